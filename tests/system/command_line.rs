//! The commands as a person uses them: what they print, and how they end.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;
use system_tests::data;
use system_tests::program::{run, texts};

fn repository(file: &str) -> String {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(file).display().to_string()
}

/// A configuration in `dir` with these sections after the usual beginning.
pub(crate) fn config(dir: &Path, sections: &str) -> String {
    let path = dir.join("steward.toml");
    let head = format!(
        "[box]\nid = \"v-1\"\ntenant = \"longcheng\"\nsite = \"xuejia\"\ntimezone = \"Europe/Berlin\"\n\n\
         [mqtt]\nurl = \"mqtt://127.0.0.1:1\"\n\n[buffer]\ndir = \"{}/buffer\"\n\n",
        dir.display()
    );
    fs::write(&path, head + sections).unwrap();
    path.display().to_string()
}

const VEHICLE: &str = r#"
[[source]]
name = "gnss"
kind = "nmea"
device = "/dev/serial0"
baud = 9600

[[vehicle]]
id = "sweeper-07"
kind = "sweeper"
raw_fixes = true
source = "gnss"
"#;

const LORAWAN: &str = r#"
[[source]]
name = "lns"
kind = "chirpstack"

[[bay]]
id = "bay-1"
source = "lns"
device = "0000000000000001"
codec = "bosch/tps110"

[[bin]]
id = "bin-310"
source = "lns"
device = "0000000000000002"
codec = "milesight/em310-udl"
empty_mm = 4000
full_mm = 300

[[bin]]
id = "bin-400"
source = "lns"
device = "0000000000000003"
codec = "milesight/em400"
empty_mm = 4000
full_mm = 300
"#;

/// Replays `inputs`; gives what was printed and the summary.
pub(crate) fn replay(config: &str, inputs: &[PathBuf], summary: &Path) -> (String, Value) {
    let summary_text = summary.display().to_string();
    let mut args = vec!["replay", "--config", config, "--summary", &summary_text];
    let inputs: Vec<String> = inputs.iter().map(|p| p.display().to_string()).collect();
    for input in &inputs {
        args.extend(["--input", input]);
    }
    let (stdout, stderr, code) = texts(&run(&args));
    assert_eq!(code, 0, "{stderr}");
    (stdout, serde_json::from_str(&fs::read_to_string(summary).unwrap()).unwrap())
}

pub(crate) fn messages(stdout: &str) -> Vec<Value> {
    stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn both_recorded_drives_give_their_fixes_and_their_way_and_the_same_bytes_twice() {
    let Some(set) = data::set("gnss_drives") else { return };
    let expected: Value = serde_json::from_str(&data::text(&set, "EXPECT.json")).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let config = config(dir.path(), VEHICLE);
    for drive in ["munich-gps.nmea", "20100411_Geko_Regensburg.nmea"] {
        let expected = &expected[drive];
        let once = replay(&config, &[set.join(drive)], &dir.path().join("1.json"));
        let twice = replay(&config, &[set.join(drive)], &dir.path().join("2.json"));
        assert!(once == twice, "{drive}: two runs differ");
        let vehicle = &once.1["assets"]["sweeper-07"];
        assert_eq!(vehicle["fixes"], expected["valid_rmc"], "{drive}");
        let way = vehicle["distance_m"].as_f64().unwrap();
        let right = expected["dist_m"].as_f64().unwrap();
        assert!((way / right - 1.0).abs() < 0.02, "{drive}: {way} m, expected {right} m");
        // Every position that was told came from a valid sentence: inside the box of the drive.
        let bounds: Vec<f64> =
            expected["bbox"].as_array().unwrap().iter().map(|v| v.as_f64().unwrap()).collect();
        let mut points = 0;
        for message in messages(&once.0).iter().filter(|m| m["lane"] == "telemetry") {
            for point in message["payload"]["points"].as_array().into_iter().flatten() {
                let Some(lat) = point["lat"].as_f64() else { continue };
                let lon = point["lon"].as_f64().unwrap();
                points += 1;
                let slack = 1e-5;
                let inside = lat >= bounds[0] - slack
                    && lat <= bounds[2] + slack
                    && lon >= bounds[1] - slack
                    && lon <= bounds[3] + slack;
                assert!(inside, "{drive}: {lat}, {lon}");
            }
        }
        assert_eq!(Some(points), expected["valid_rmc"].as_i64());
    }
}

#[test]
fn void_positions_and_wrong_checksums_are_counted_and_never_told() {
    let dir = tempfile::tempdir().unwrap();
    let log = dir.path().join("gnss.nmea");
    let text = "$GPRMC,030719.000,A,3747.0873,S,17518.8938,E,0.69,181.39,311214,,,A*7D\r\n\
                $GPRMC,030720.000,V,3747.0873,S,17518.8938,E,0.69,181.39,311214,,,N*6F\r\n\
                $GPRMC,030721.000,A,3747.0873,S,17518.8938,E,0.69,181.39,311214,,,A*00\r\n";
    fs::write(&log, text).unwrap();
    let config = config(dir.path(), VEHICLE);
    let (stdout, summary) = replay(&config, &[log], &dir.path().join("s.json"));
    let source = &summary["sources"]["gnss"];
    assert_eq!(source["rejected"]["checksum"], 1, "{summary}");
    assert_eq!(summary["assets"]["sweeper-07"]["fixes"], 1);
    let positions = messages(&stdout)
        .iter()
        .filter(|m| m["lane"] == "telemetry")
        .flat_map(|m| m["payload"]["points"].as_array().cloned().unwrap_or_default())
        .filter(|p| p.get("lat").is_some())
        .count();
    assert_eq!(positions, 1);
}

/// A vector as the network server would deliver it.
fn uplink(at: &str, device: u8, count: usize, port: &Value, hex: &str) -> String {
    let bytes: Vec<u8> = (0..hex.len())
        .step_by(2)
        .map(|i| u8::from_str_radix(&hex[i..i + 2], 16).unwrap())
        .collect();
    let eui = format!("{device:016x}");
    let event = serde_json::json!({
        "deduplicationId": format!("{device}-{count}"),
        "time": at,
        "deviceInfo": {"devEui": eui, "deviceName": "d", "deviceProfileName": "p"},
        "fCnt": count, "fPort": port, "data": base64(&bytes), "rxInfo": [{"gatewayId": "g", "gwTime": at}],
    });
    let topic = format!("application/a/device/{eui}/event/up");
    serde_json::json!({"at": at, "source": "lns", "mqtt": {"topic": topic, "payload": event.to_string()}})
        .to_string()
}

fn base64(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for chunk in bytes.chunks(3) {
        let word =
            chunk.iter().fold(0u32, |w, b| w << 8 | u32::from(*b)) << (8 * (3 - chunk.len()));
        for i in 0..4 {
            let six = usize::try_from(word >> (18 - 6 * i) & 63).unwrap();
            text.push(if i <= chunk.len() { char::from(ALPHABET[six]) } else { '=' });
        }
    }
    text
}

#[test]
fn lorawan_vectors_give_the_values_their_makers_say() {
    let Some(set) = data::set("lorawan_vectors") else { return };
    let dir = tempfile::tempdir().unwrap();
    let config = config(dir.path(), LORAWAN);
    let families = [("bosch/tps110", 1), ("milesight/em310-udl", 2), ("milesight/em400", 3)];
    let mut lines = vec![];
    let mut expected = vec![];
    for line in data::text(&set, "device_uplinks.jsonl").lines() {
        let vector: Value = serde_json::from_str(line).unwrap();
        let device = vector["device"].as_str().unwrap();
        let Some((_, number)) = families.iter().find(|(name, _)| device.starts_with(name)) else {
            continue;
        };
        let hex = vector["hex"].as_str().unwrap();
        let at = format!("2026-06-04T04:{:02}:00Z", lines.len());
        lines.push(uplink(&at, *number, lines.len() + 1, &vector["fPort"], hex));
        expected.push(vector["expect"]["data"].clone());
    }
    assert!(lines.len() >= 4, "the set has vectors of these families");
    let input = dir.path().join("uplinks.jsonl");
    fs::write(&input, lines.join("\n")).unwrap();
    let (stdout, summary) = replay(&config, &[input], &dir.path().join("s.json"));
    assert_eq!(summary["sources"]["lns"]["frames"], lines.len(), "{summary}");
    let points: Vec<Value> = messages(&stdout)
        .iter()
        .filter(|m| m["lane"] == "telemetry")
        .flat_map(|m| m["payload"]["points"].as_array().unwrap().clone())
        .collect();
    assert_eq!(points.len(), expected.len(), "{points:#?}");
    let pairs = [
        ("occupied", "occupied", 1.0),
        ("distance", "distance_mm", 1.0),
        ("temperature", "temperature_c", 1.0),
        ("battery", "battery_pct", 1.0),
    ];
    let mut compared = 0;
    for (point, expected) in points.iter().zip(&expected) {
        for (theirs, ours, scale) in pairs {
            let Some(value) = expected.get(theirs).filter(|v| !v.is_null()) else { continue };
            match (value.as_bool(), value.as_f64()) {
                (Some(yes), _) => assert_eq!(point[ours], yes, "{expected} {point}"),
                (_, Some(number)) => {
                    let got = point[ours].as_f64().unwrap_or(f64::NAN);
                    assert!((got - number * scale).abs() < 0.05, "{theirs}: {expected} {point}");
                }
                _ => continue,
            }
            compared += 1;
        }
    }
    assert!(compared >= lines.len(), "only {compared} values were compared");
}

#[test]
fn network_server_messages_are_read_and_what_is_not_ours_is_counted() {
    let Some(set) = data::set("lns_events") else { return };
    let dir = tempfile::tempdir().unwrap();
    let config = config(dir.path(), LORAWAN);
    let events = ["up_lt22222", "up_soil", "join", "status", "ack"];
    let inputs: Vec<PathBuf> =
        events.iter().map(|e| set.join(format!("chirpstack_v4_{e}.json"))).collect();
    let (_, summary) = replay(&config, &inputs, &dir.path().join("s.json"));
    let source = &summary["sources"]["lns"];
    assert_eq!(source["bytes"].as_u64().map(|n| n > 0), Some(true));
    // Five messages: what is read is a frame, and none of these devices belongs to an asset of ours.
    let frames = source["frames"].as_u64().unwrap();
    let rejected: u64 =
        source["rejected"].as_object().unwrap().values().map(|n| n.as_u64().unwrap()).sum();
    assert!(frames >= 3 && rejected >= 2, "{summary}");
    assert_eq!(summary["messages"]["telemetry"].as_u64().unwrap_or(0), 0);
}

#[test]
fn the_shipped_configurations_are_valid_and_explain_themselves() {
    for file in ["config/steward.toml", "config/gateway.toml", "config/sweeper.toml"] {
        let (stdout, stderr, code) = texts(&run(&["check", &repository(file), "--explain"]));
        assert_eq!(code, 0, "{file}: {stderr}");
        assert!(stdout.contains("bin-full") || file.contains("sweeper"), "{file}: {stdout}");
    }
}

#[test]
fn ten_faults_are_told_at_once_each_with_its_place() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("bad.toml");
    let text = r#"[box]
id = "XJ_0412"
tenant = "longcheng"
site = "xuejia"
timezone = "Asia/Shanghia"

[mqtt]
url = "mqtt//127.0.0.1"

[buffer]
dir = "/var/lib/steward"
max_size = "256 bananas"

[[source]]
name = "gnss"
kind = "nema"
device = "/dev/serial0"
baud = 9600

[[source]]
name = "nodes"
kind = "node-link"
devcie = "/dev/ttyUSB0"

[[vehicle]]
id = "sweeper-07"
kind = "sweper"
source = "gnss"

[[bin]]
id = "bin-1"
source = "noods"
device = "1"
empty_mm = 300
full_mm = 1500
"#;
    fs::write(&path, text).unwrap();
    let (stdout, stderr, code) = texts(&run(&["check", &path.display().to_string()]));
    let said = stdout + &stderr;
    assert_eq!(code, 1, "{said}");
    for place in
        [":2:6", ":5:12", ":8:7", ":12:12", ":16:8", ":20:1", ":23:1", ":27:8", ":32:10", ":35:11"]
    {
        assert!(said.contains(&format!("bad.toml{place}")), "no fault at {place}\n{said}");
    }
    for hint in ["Asia/Shanghai", "nmea", "device", "sweeper", "nodes"] {
        assert!(said.contains(hint), "no hint {hint}\n{said}");
    }
    assert!(said.contains("10 faults"), "{said}");
}

#[test]
fn a_tariff_with_an_hour_that_nobody_priced_is_refused_with_place_and_reason() {
    let dir = tempfile::tempdir().unwrap();
    let tariff = r#"[[tariff]]
id = "kerb"
windows = [
  { name = "day", from = "07:30", to = "22:00", tiers = [{ unit = 60, price = 500 }] },
  { name = "night", from = "23:00", to = "07:30", tiers = [{ unit = 60, price = -200 }] },
]
"#;
    let path = config(dir.path(), tariff);
    let place = |text: &str| {
        let file = fs::read_to_string(&path).unwrap();
        let line = file.lines().position(|line| line.contains(text)).unwrap() + 1;
        format!("steward.toml:{line}:")
    };
    let (stdout, stderr, code) = texts(&run(&["check", &path]));
    let said = stdout + &stderr;
    assert_eq!(code, 1, "{said}");
    assert!(said.contains(&place("night")) && said.contains("price"), "{said}");
    fs::write(&path, fs::read_to_string(&path).unwrap().replace("-200", "200")).unwrap();
    let (stdout, stderr, code) = texts(&run(&["check", &path]));
    let said = stdout + &stderr;
    assert_eq!(code, 1, "{said}");
    let gap = said.lines().find(|line| line.contains("no window from 22:00 to 23:00"));
    assert!(gap.is_some_and(|line| line.contains(&place("\"day\""))), "{said}");
}

#[test]
fn wrong_use_is_told_and_is_not_a_no() {
    let (_, stderr, code) = texts(&run(&["run"]));
    assert_eq!(code, 2, "{stderr}");
    let (_, stderr, code) = texts(&run(&["check", "/nowhere/steward.toml"]));
    assert_ne!(code, 0);
    assert!(stderr.contains("/nowhere/steward.toml"), "{stderr}");
    let (stdout, _, code) = texts(&run(&["--help"]));
    assert_eq!(code, 0);
    for command in ["demo", "run", "check", "replay"] {
        assert!(stdout.contains(command), "{stdout}");
    }
}
