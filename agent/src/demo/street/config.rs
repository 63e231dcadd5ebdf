//! The street as a configuration file: an ordinary one, for the ordinary loader.

use std::fmt::Write;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use super::places::{BIN_EMPTY_MM, BIN_FULL_AT_PCT, BIN_FULL_MM, LOADING, SILENT_AFTER};
use super::{
    BAYS, BINS, BaySpot, BinSpot, Point, STREETS, SWEEPERS, Sensor, Street, bay_id, bin_id,
    sweeper_id,
};

/// What the configuration must know of the machine it runs on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// Where the dashboard is served.
    pub http: SocketAddr,
    /// Where the broker listens.
    pub mqtt: SocketAddr,
    /// Where the outbox is kept.
    pub dir: PathBuf,
    /// The serial line of the nodes.
    pub line: PathBuf,
    /// The receivers of the sweepers, in the order of [`SWEEPERS`].
    pub receivers: Vec<PathBuf>,
}

/// The name of the source of all nodes.
pub const LINE_SOURCE: &str = "street-line";
/// The name of the source of all LoRaWAN devices.
pub const LNS_SOURCE: &str = "lns";
/// The application under which the network server publishes, the second level of its topics.
pub const APPLICATION: &str = "7d1c3c4e-5f0b-4b6a-9a3e-2f6f2a1f9b11";

/// The configuration of the box that watches the street: an ordinary file for the ordinary loader.
#[must_use]
pub fn config_toml(options: &Options) -> String {
    let mut text = String::new();
    write_config(&mut text, options).expect("writing into a String does not fail");
    text
}

fn write_config(out: &mut String, options: &Options) -> std::fmt::Result {
    let Options { http, mqtt, dir, line, receivers } = options;
    writeln!(
        out,
        "# The simulated street of `steward demo`, as a box would be configured for a real one."
    )?;
    writeln!(out, "# Its serial lines are pseudo-terminals and exist only while the demo runs.\n")?;
    writeln!(out, "[box]\nid = \"demo\"\ntenant = \"longcheng\"\nsite = \"xuejia\"")?;
    writeln!(out, "timezone = \"Asia/Shanghai\"\n")?;
    writeln!(out, "[mqtt]\nurl = \"mqtt://{mqtt}\"\n")?;
    writeln!(out, "[buffer]\ndir = {}\nmax_size = \"64MiB\"\n", quoted(dir))?;
    writeln!(out, "[http]\nlisten = \"{http}\"\n")?;
    writeln!(out, "[open311]\nenabled = true\n")?;
    out.write_str(WORK)?;
    writeln!(out, "[[source]]\nname = \"{LINE_SOURCE}\"\nkind = \"node-link\"")?;
    writeln!(out, "device = {}\nbaud = 115200\n", quoted(line))?;
    writeln!(out, "[[source]]\nname = \"{LNS_SOURCE}\"\nkind = \"chirpstack\"")?;
    writeln!(out, "topic = \"application/{APPLICATION}/device/+/event/up\"\n")?;
    for (i, device) in receivers.iter().enumerate() {
        writeln!(out, "[[source]]\nname = \"{}\"\nkind = \"nmea\"", sweeper_id(i))?;
        writeln!(out, "device = {}\nbaud = 9600\n", quoted(device))?;
    }
    STREETS.iter().try_for_each(|street| write_street(out, street))?;
    BAYS.iter().enumerate().try_for_each(|(i, bay)| write_bay(out, i, bay))?;
    BINS.iter().enumerate().try_for_each(|(i, bin)| write_bin(out, i, bin))?;
    for (i, round) in SWEEPERS.iter().enumerate().take(receivers.len()) {
        let id = sweeper_id(i);
        writeln!(out, "[[vehicle]]\nid = \"{id}\"\nkind = \"sweeper\"\nsource = \"{id}\"")?;
        let n = i + 1;
        let plate = round.plate;
        writeln!(
            out,
            "names = {{ zh = \"{n} 号清扫车 {plate}\", en = \"Sweeper {n} {plate}\" }}\n"
        )?;
    }
    Ok(())
}

/// Who does the work, and by when.
const WORK: &str = r#"[[crew]]
id = "bins-1"
names = { zh = "环卫一班", en = "Bins, first shift" }
categories = ["bin_overflow", "bin_fault", "bin_fire"]

[[crew]]
id = "streets-1"
names = { zh = "停车管理一班", en = "Streets, first shift" }

[[limit]]
category = "bin_fire"
within = "1 urgent_hour"

[[limit]]
within = "4 work_hour"

[[tariff]]
id = "street"
version = 1
currency = "CNY"
free = { minutes = 15, inclusive = true, exceeded = "voided" }
windows = [{ name = "day", from = "07:30", to = "21:30", tiers = [{ up_to = 180, unit = 60, price = 500 }, { unit = 60, price = 1000 }] }, { name = "night", from = "21:30", to = "07:30", cap = 1000, tiers = [{ unit = 60, price = 200 }] }]
caps = [{ per = "rolling_24h", max = 3500 }]

"#;

/// When every bin is planned to be emptied, on each day of the week.
const COLLECTIONS: [&str; 8] =
    ["00:30", "03:30", "06:30", "09:30", "12:30", "15:30", "18:30", "21:30"];
const WEEK: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];

fn write_street(out: &mut String, street: &Street) -> std::fmt::Result {
    let points = street.line.0.iter().map(|p| format!("[{:.4}, {:.4}]", p.lon, p.lat));
    writeln!(out, "[[street]]\nid = \"{}\"", street.id)?;
    writeln!(out, "names = {{ zh = \"{}\", en = \"{}\" }}", street.zh, street.en)?;
    writeln!(out, "line = [{}]", points.collect::<Vec<_>>().join(", "))?;
    writeln!(out, "sweep = {{ windows = [\"daily 00:00-24:00\"], side = \"either\" }}\n")
}

fn write_bay(out: &mut String, i: usize, bay: &BaySpot) -> std::fmt::Result {
    let street = &STREETS[bay.street];
    writeln!(out, "[[bay]]\nid = \"{}\"", bay_id(i))?;
    write_sensor(out, bay.sensor)?;
    let n = i + 1;
    let loading = bay.max_stay == LOADING;
    let (zh, en) = if loading { ("装卸泊位", "loading bay") } else { ("泊位", "bay") };
    let (street_zh, street_en) = (street.zh, street.en);
    writeln!(
        out,
        "names = {{ zh = \"{street_zh}{n:02}号{zh}\", en = \"{street_en}, {en} {n}\" }}"
    )?;
    write_place(out, street, street.line.beside(bay.along, bay.right))?;
    writeln!(out, "max_stay = \"{}m\"\ntariff = \"street\"", bay.max_stay.as_secs() / 60)?;
    writeln!(out, "stale_after = \"{}m\"\n", SILENT_AFTER.as_secs() / 60)
}

fn write_bin(out: &mut String, i: usize, bin: &BinSpot) -> std::fmt::Result {
    let street = &STREETS[bin.street];
    writeln!(out, "[[bin]]\nid = \"{}\"", bin_id(i))?;
    write_sensor(out, bin.sensor)?;
    let n = i + 1;
    let ((zh, en), street_zh, street_en) = (bin.kind, street.zh, street.en);
    writeln!(
        out,
        "names = {{ zh = \"{street_zh}{n}号{zh}桶\", en = \"{street_en}, bin {n} ({en})\" }}"
    )?;
    write_place(out, street, street.line.beside(bin.along, bin.right))?;
    writeln!(out, "empty_mm = {BIN_EMPTY_MM}\nfull_mm = {BIN_FULL_MM}")?;
    writeln!(out, "full_at_pct = {BIN_FULL_AT_PCT}\ncapacity_l = 240")?;
    let planned = WEEK.iter().flat_map(|day| COLLECTIONS.map(|at| format!("\"{day} {at}\"")));
    writeln!(out, "collections = [{}]", planned.collect::<Vec<_>>().join(", "))?;
    writeln!(out, "stale_after = \"{}m\"\n", SILENT_AFTER.as_secs() / 60)
}

fn write_sensor(out: &mut String, sensor: Sensor) -> std::fmt::Result {
    match sensor {
        Sensor::Node(number) => {
            writeln!(out, "source = \"{LINE_SOURCE}\"\ndevice = \"{number}\"")
        }
        Sensor::LoRa(eui, codec) => {
            writeln!(
                out,
                "source = \"{LNS_SOURCE}\"\ndevice = \"{eui:016x}\"\ncodec = \"{}\"",
                codec.as_str()
            )
        }
    }
}

fn write_place(out: &mut String, street: &Street, place: Point) -> std::fmt::Result {
    writeln!(out, "street = \"{}\"", street.id)?;
    writeln!(out, "position = {{ lat = {:.7}, lon = {:.7} }}", place.lat, place.lon)
}

/// A path as a TOML string.
fn quoted(path: &Path) -> String {
    toml::Value::String(path.display().to_string()).to_string()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn options() -> Options {
        Options {
            http: "127.0.0.1:8080".parse().unwrap(),
            mqtt: "127.0.0.1:1883".parse().unwrap(),
            dir: "/tmp/odd \"name\"".into(),
            line: "/dev/pts/3".into(),
            receivers: vec!["/dev/pts/4".into(), "/dev/pts/5".into()],
        }
    }

    #[test]
    fn the_configuration_is_toml_with_every_asset_once() {
        let table: toml::Table = config_toml(&options()).parse().unwrap();
        let count = |key: &str| table[key].as_array().unwrap().len();
        assert_eq!((count("bay"), count("bin"), count("vehicle")), (20, 12, 2));
        assert_eq!((count("street"), count("source")), (6, 4));
        assert_eq!(table["buffer"]["dir"].as_str(), Some("/tmp/odd \"name\""));
        let mut devices = BTreeSet::new();
        for asset in ["bay", "bin"].iter().flat_map(|key| table[*key].as_array().unwrap()) {
            let feed = (asset["source"].as_str().unwrap(), asset["device"].as_str().unwrap());
            assert!(devices.insert(feed), "two assets with device {feed:?}");
        }
        assert_eq!(devices.iter().filter(|(source, _)| *source == LINE_SOURCE).count(), 18);
    }

    #[test]
    fn ids_are_ids() {
        for id in (0..20).map(bay_id).chain((0..12).map(bin_id)).chain((0..2).map(sweeper_id)) {
            domain::ids::AssetId::new(&id).unwrap();
        }
        for street in STREETS {
            domain::ids::AssetId::new(street.id).unwrap();
        }
    }
}
