//! The configuration as a whole: text in, faults or a configuration out.

use std::path::Path;
use std::time::Duration;

use domain::decode::lorawan::Codec;
use domain::ids::{AssetId, AssetKey, Category, Class, DeviceKey};
use domain::place::Datum;
use domain::rules::Condition;
use domain::site::{Kind, VehicleKind};
use domain::time::Span;
use domain::units::{MillimetresPerSecond, Permille};
use proptest::prelude::*;

use super::*;

mod docs;
mod files;
mod public;
mod reference;
mod single;
mod tariffs;
mod traffic;

const GATEWAY: &str = include_str!("../../../config/gateway.toml");
const SWEEPER: &str = include_str!("../../../config/sweeper.toml");

/// A box that is right, with one source of each kind; tests add to its end.
const BASE: &str = r#"[box]
id = "b"
tenant = "t"
site = "s"
timezone = "Asia/Shanghai"
[mqtt]
url = "mqtt://127.0.0.1"
[[source]]
name = "nodes"
kind = "node-link"
device = "/dev/ttyAMA0"
[[source]]
name = "gnss"
kind = "nmea"
device = "/dev/serial0"
[[source]]
name = "lns"
kind = "chirpstack"
"#;
/// The line after [`BASE`].
const NEXT: usize = 19;

fn faults(text: &str) -> Vec<Fault> {
    match load_text("t.toml", text) {
        Ok(loaded) => loaded.warnings,
        Err(faults) => faults.into_vec(),
    }
}

fn errors(text: &str) -> Vec<Fault> {
    faults(text).into_iter().filter(|fault| fault.level == Level::Error).collect()
}

fn key(class: Class, id: &str) -> AssetKey {
    AssetKey::new(class, AssetId::new(id).unwrap())
}

/// Sections that are right, for texts to begin with.
const STUBS: [(&str, &str); 5] = [
    ("@bay", "[[bay]]\nid = \"a\"\nsource = \"nodes\"\ndevice = 1"),
    ("@bin", "[[bin]]\nid = \"a\"\nsource = \"nodes\"\ndevice = 1\nempty_mm = 900\nfull_mm = 300"),
    ("@vehicle", "[[vehicle]]\nid = \"a\"\nkind = \"other\"\nsource = \"gnss\""),
    ("@lns", "[[source]]\nname = \"x\"\nkind = \"chirpstack\""),
    ("@rule", "[[rule]]\nid = \"r\"\nclass = \"bin\"\ncategory = \"bin_fault\""),
];

/// [`BASE`] and `text`, with its stubs written out.
fn with_base(text: &str) -> String {
    let text = STUBS.iter().fold(text.to_owned(), |text, (stub, full)| text.replace(stub, full));
    format!("{BASE}{text}\n")
}

/// A folder with files, for what includes.
fn folder(files: &[(&str, &[u8])]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, bytes) in files {
        let path = folder.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, bytes).unwrap();
    }
    folder
}

/// Ten things wrong in one file, of every sort: exactly these are told, each where it is.
#[test]
fn ten_faults_at_once() {
    let text = r#"[box]
id = "XJ"
tenant = "t"
site = "s"
timezone = "Asia/Shanghia"
[mqtt]
url = mqtt://127.0.0.1
windw = 10
[[source]]
name = "nodes"
kind = "node-link"
device = "/dev/ttyAMA0"
[[bay]]
id = "b-1"
source = "node"
device = 1
max_stay = 2
[[bay]
id = "b-2"
source = "nodes"
device = 2
position = { lat = 119.9, lon = 31.8 }
[[bin]]
id = "bin-1"
source = "nodes"
device = 2
empty_mm = 100
full_mm = 200
"#;
    let found: Vec<_> = faults(text)
        .into_iter()
        .map(|fault| (fault.place.line, fault.place.col, fault.cause))
        .collect();
    let expected = [
        (2, 6, "\"id\" \"XJ\" has 'X' at position 1"),
        (5, 12, "unknown time zone \"Asia/Shanghia\""),
        (7, 7, "the text mqtt://127.0.0.1 has no quotes"),
        (8, 1, "unknown key \"windw\" in [mqtt]"),
        (15, 10, "no source is called node"),
        (17, 12, "\"max_stay\" in [[bay]] cannot be a whole number"),
        (18, 7, "not TOML: unclosed array table"),
        (22, 12, "latitude 119.9 is outside -90 to 90"),
        (26, 10, "device 2 of source nodes feeds both bay/b-2 and bin/bin-1"),
        (28, 11, "full_mm must be smaller than empty_mm"),
    ];
    assert_eq!(found.len(), expected.len(), "{found:#?}");
    for ((line, col, cause), (l, c, expected)) in found.iter().zip(expected) {
        assert_eq!((*line, *col), (l, c), "{cause}");
        assert!(cause.starts_with(expected), "{cause}");
    }
}

#[test]
fn what_people_see() {
    let text = "[box]\nid = \"xj-0412\"\ntenant = \"longcheng\"\nsite = \"xuejia\"\n\
                timezone = \"Asia/Shanghai\"\n\n[mqtt]\nurl = \"mqtt://127.0.0.1:1883\"\n\n\
                [[source]]\nname = \"gnss\"\n   devcie = \"/dev/serial0\"\nkind = \"nmea\"\n";
    let told = load_text("config/gateway.toml", text).unwrap_err().to_string();
    let expected = "\
config/gateway.toml:1:1: warning: there are no assets: the box watches nothing
    add a [[bay]], [[bin]] or [[vehicle]]
config/gateway.toml:10:1: \"device\" is missing in [[source]]
    add device = \"/dev/ttyAMA0\"
config/gateway.toml:10:1: warning: the source gnss feeds nothing
    name it in an asset with source = \"gnss\", or remove it
config/gateway.toml:12:4: unknown key \"devcie\" in [[source]]
    did you mean \"device\"?
2 faults, 2 warnings";
    assert_eq!(told, expected);
}

#[test]
fn an_empty_file_says_what_is_needed() {
    let found = errors("");
    let causes: Vec<_> = found.iter().map(|fault| fault.cause.as_str()).collect();
    assert_eq!(causes, ["the section [box] is missing", "the section [mqtt] is missing"]);
}

#[test]
fn what_a_broken_line_may_have_said_is_not_called_missing() {
    let text = BASE.replace("name = \"nodes\"", "name = nodes");
    let text = format!("{text}[[bay]]\nid = \"a\"\nsource = \"nodes\"\ndevice = 1\n");
    let found = errors(&text);
    assert_eq!(found.len(), 1, "{}", Faults::from(found.clone()));
    assert_eq!(found[0].cause, "the text nodes has no quotes");
    let text = format!(
        "{BASE}[[rule]]\nid = \"a\"\nclass = \"bay\"\ncategory = \"overstay\"\n\
                        [rule.when]\nabove = \"battery_v\"\nraise_at = x\nclear_at = 1\n"
    );
    assert_eq!(errors(&text).len(), 1);
    let section = BASE.replace("[mqtt]", "[mqtt");
    assert_eq!(errors(&section).len(), 1, "the rest of the section is read all the same");
    let twice = format!("{BASE}[mqtt]\nurl = 7\n");
    assert_eq!(errors(&twice).len(), 1);
}

#[test]
fn warnings_do_not_stop_the_box() {
    let cases = [
        ("@rule\nwhen = { silent = true }", "bin_fault", "bin_falt", "did you mean \"bin_fault\"?"),
        ("@bay\n[http]\nlisten = \"0.0.0.0:8080\"", "", "", "trusted network"),
        (
            "@bay\nposition = { lat = 31.8, lon = 119.9 }\n[[bay]]\nid = \"c\"\nsource = \"nodes\"\n\
             device = 2\nposition = { lat = 31.8, lon = 19.9 }",
            "",
            "",
            "swapped",
        ),
        ("@bay", "", "", "source = \"lns\""),
    ];
    for (text, from, to, fix) in cases {
        let mut text = with_base(text);
        if !from.is_empty() {
            text = text.replace(from, to);
        }
        let loaded = load_text("t.toml", &text).unwrap_or_else(|faults| panic!("{faults}"));
        assert!(loaded.warnings.iter().any(|w| w.fix.contains(fix)), "{:?}", loaded.warnings);
    }
}

#[test]
fn everything_of_the_gateway_arrives() {
    let Loaded { config, warnings } = load_text("config/gateway.toml", GATEWAY).unwrap();
    assert_eq!(warnings, []);
    let site = &config.site;
    let count = |class| site.assets.keys().filter(|key| key.class == class).count();
    let classes = [Class::Bay, Class::Bin, Class::Vehicle, Class::Street];
    assert_eq!(classes.map(count), [6, 4, 0, 2]);
    assert_eq!(config.broker.username.as_deref(), Some("xj-0412"));
    assert_eq!(config.timezone.iana_name(), Some("Asia/Shanghai"));

    let bin = &site.assets[&key(Class::Bin, "bin-21")];
    let Kind::Bin(settings) = &bin.kind else { panic!("not a bin") };
    assert_eq!((settings.empty.0, settings.full.0), (1500, 300));
    assert_eq!(settings.full_at, Permille::from_percent(80));
    assert_eq!(settings.clear_at, Permille::from_percent(60));
    assert_eq!(bin.names["zh"], "黄山路 21");
    assert_eq!(bin.street, Some(AssetId::new("huangshan-road").unwrap()));
    assert_eq!(bin.position.unwrap().datum, Datum::Wgs84);

    let bay = &site.assets[&key(Class::Bay, "b-1001")];
    let Kind::Bay(settings) = &bay.kind else { panic!("not a bay") };
    assert_eq!(settings.max_stay, Some(Span::from_mins(120)));
    assert_eq!(bay.feeds[0].device, Some(DeviceKey::new("17").unwrap()));

    let SourceKind::NodeLink(nodes) = &config.sources[0].kind else { panic!("not node-link") };
    let line = &nodes.serial;
    assert_eq!((line.device.as_path(), line.baud), (Path::new("/dev/ttyAMA0"), 115_200));
    let SourceKind::ChirpStack(server) = &config.sources[1].kind else { panic!("no server") };
    assert_eq!(server.broker.url, config.broker.url);
    assert_eq!(server.devices.len(), 5);
    let sensor = DeviceKey::new("24e124713b000001").unwrap();
    assert_eq!(server.devices[&sensor].map(Codec::as_str), Some("milesight/em400"));

    let Kind::Street { line, .. } = &site.assets[&key(Class::Street, "taihu-road")].kind else {
        panic!("not a street")
    };
    assert!((line[1].lat() - 31.8127).abs() < 1e-9 && (line[1].lon() - 119.9741).abs() < 1e-9);

    let overstay = site.rules.iter().find(|rule| rule.id.as_str() == "bay-overstay").unwrap();
    assert_eq!(overstay.version, 2, "the file's rule takes the place of the built-in one");
    assert_eq!(overstay.when, Condition::Overstay { grace: Span::from_mins(2) });
    let own = check::built_in_rules().len();
    assert_eq!(site.rules.len(), own);
}

#[test]
fn everything_of_the_sweeper_arrives() {
    let Loaded { config, warnings } = load_text("config/sweeper.toml", SWEEPER).unwrap();
    assert_eq!(warnings, []);
    assert_eq!(config.broker.url.scheme, Scheme::Mqtts);
    let sweeper = &config.site.assets[&key(Class::Vehicle, "sweeper-07")];
    let Kind::Vehicle(settings) = &sweeper.kind else { panic!("not a vehicle") };
    assert_eq!(settings.kind, VehicleKind::Sweeper);
    assert_eq!(settings.work_speed_max, MillimetresPerSecond::from_kmh(12));
    assert_eq!(sweeper.feeds[0].device, None);
}

#[test]
fn a_source_has_the_box_s_broker_or_its_own() {
    let text = BASE.replace(
        "url = \"mqtt://127.0.0.1\"",
        "url = \"mqtt://127.0.0.1\"\nwindow = 7\nkeep_alive = \"1m\"",
    );
    let server = |more: &str| {
        let config = load_text("t.toml", &format!("{text}{more}")).unwrap().config;
        let SourceKind::ChirpStack(server) = config.sources[2].kind.clone() else { panic!() };
        server.broker
    };
    let own = server("window = 9\n");
    assert_eq!((own.url.host.as_str(), own.window), ("127.0.0.1", 9));
    assert_eq!((own.keep_alive, own.username.as_deref()), (Duration::from_secs(60), Some("b")));
    let other = server("url = \"mqtt://lns.example\"\n");
    assert_eq!((other.url.host.as_str(), other.window), ("lns.example", defaults::WINDOW));
    assert_eq!((other.keep_alive, other.username), (defaults::KEEP_ALIVE, None));
}

#[test]
fn names_and_devices_are_brought_into_one_form() {
    let text = with_base(
        "@bay\nname = \"Kerb 7\"\n[[bin]]\nid = \"b\"\nsource = \"lns\"\n\
         device = \"24-E1-24-71-3B-00-00-01\"\nempty_mm = 1_500\nfull_mm = 300\n",
    );
    let config = load_text("t.toml", &text).unwrap().config;
    assert_eq!(config.site.assets[&key(Class::Bay, "a")].names["en"], "Kerb 7");
    let bin = &config.site.assets[&key(Class::Bin, "b")];
    assert_eq!(bin.feeds[0].device, Some(DeviceKey::new("24e124713b000001").unwrap()));
    let SourceKind::ChirpStack(server) = &config.sources[2].kind else { panic!("no server") };
    assert_eq!(server.devices.values().collect::<Vec<_>>(), [&None]);
}

#[test]
fn built_in_rules_can_be_switched_off() {
    let text = with_base("[rules]\ndefaults = false\n@rule\nwhen = { silent = true }");
    let rules = load_text("t.toml", &text).unwrap().config.site.rules;
    assert_eq!(rules.len(), 1);
    assert_eq!(rules[0].category, Category::new("bin_fault").unwrap());
}

#[test]
fn explained_in_plain_words() {
    let config = load_text("config/gateway.toml", GATEWAY).unwrap().config;
    let text = explain(&config);
    for part in [
        "Box xj-0412 of longcheng at xuejia, called 薛家 412 号网关\n",
        "  publishes to   mqtt://127.0.0.1:1883 as xj-0412, without a password\n",
        "  below          steward/v1/longcheng/xuejia/xj-0412\n",
        "  nodes  node-link   feeds 4 bays, 1 bin   /dev/ttyAMA0 at 115200* baud\n",
        "  lns    chirpstack  feeds 2 bays, 3 bins  application/+/device/+/event/+* on mqtt",
        "  bay/b-1004             from nodes 20              any stay; taken after 1m*, free after",
        "full from 80%, no longer below 60%*",
        "  bin-full*         4 bins  medium bin_overflow          when level_pct is at or above the \
         bin's full_at in 2 readings; over at or below the bin's clear_at\n",
        "  bay-overstay      5 bays  medium overstay              when the longest stay is passed by 2m\n",
        "  nothing to watch for vehicle-silent, vehicle-weigh, vehicle-overspeed, ",
    ] {
        assert!(text.contains(part), "{part:?} is not in\n{text}");
    }
}

proptest! {
    /// Whatever happens to a file, it is a configuration or has at least one fault; never a panic.
    #[test]
    fn mutations_never_panic(edits in prop::collection::vec((any::<u16>(), 0..5_u8, any::<u8>()), 1..12)) {
        let mut bytes = GATEWAY.as_bytes().to_vec();
        for (at, what, byte) in edits {
            let at = usize::from(at) % bytes.len();
            match what {
                0 => bytes[at] = byte,
                1 => { bytes.remove(at); }
                2 => bytes.insert(at, byte),
                3 => bytes.insert(at, b"[]{}\"'=,.#\n"[usize::from(byte) % 11]),
                _ => { bytes.drain(at..(at + usize::from(byte)).min(bytes.len())); }
            }
            if bytes.is_empty() {
                break;
            }
        }
        if let Err(faults) = load_text("t.toml", &String::from_utf8_lossy(&bytes)) {
            prop_assert!(faults.count(Level::Error) > 0);
        }
    }

    /// Text that has nothing to do with a configuration.
    #[test]
    fn noise_never_panics(text in "[\\[\\]{}\"'=,.#a-z0-9 \n\\\\é]{0,200}") {
        prop_assert!(load_text("t.toml", &text).is_err());
    }
}
