//! Recordings of the ways in that speak bytes: `steward replay` reads what was heard on a line, in the form
//! of `docs/sources.md`, and what a running box has recorded says the same as the bytes it was made of.

use std::fs;
use std::path::{Path, PathBuf};

use domain::time::{Span, Utc};
use serde_json::{Value, json};
use system_tests::program::Running;

use crate::command_line::{config, messages, replay};

/// Terminals, with the key of their codes in `key`.
fn fleet(key: &Path) -> String {
    format!(
        r#"
[[source]]
name = "fleet"
kind = "jt808"
listen = "127.0.0.1:0"
key_file = {key:?}

[[vehicle]]
id = "sweeper-07"
kind = "sweeper"
raw_fixes = true
source = "fleet"
device = "123456789012"
"#
    )
}

const LEVELS: &str = r#"
[[source]]
name = "levels"
kind = "modbus-rtu"
device = "/dev/ttyNONE"
baud = 9600

[[source.station]]
address = 1
device = "bin-24"

[[source.station.register]]
quantity = "distance"
unit = "mm"
address = 0x0101
min = 280
max = 7500

[[source.station.register]]
quantity = "temperature"
address = 0x0102
type = "i16"
scale = 0.1

[[bin]]
id = "bin-24"
source = "levels"
device = "bin-24"
empty_mm = 1500
full_mm = 300
"#;

/// A bus whose frames come from `log`.
fn bus(log: &Path) -> String {
    format!(
        r#"
[[source]]
name = "bus"
kind = "can"
file = {log:?}
every = "1s"

[[source.signal]]
pgn = 0xFEF1
start = 8
length = 16
quantity = "speed"
unit = "km/h"
scale = 0.00390625

[[source.signal]]
id = 0x521
start = 0
length = 2
quantity = "working"
values = {{ 0 = "not_fitted", 1 = false, 2 = true }}

[[vehicle]]
id = "sweeper-09"
kind = "sweeper"
source = "bus"
"#
    )
}

/// A location (0x0200 of 2013), as open implementations publish it: 12.222222, 132.444444 on 15 October
/// 2018, 10:10:10 in Beijing. A byte of it is escaped.
const LOCATION: &str = "7E02000026123456789012007D02000000010000000200BA7F0E07E4F11C0028003C0000\
                        1810151010100104000000640202007D01137E";

fn bytes(hex: &str) -> Vec<u8> {
    crate::jt808_frames::bytes(&hex.replace(' ', ""))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Bytes that came from `source`, cut into pieces of `size`, a millisecond apart from `at` on.
fn heard(source: &str, at: &str, bytes: &[u8], size: usize) -> String {
    let begin = Utc::parse(at).unwrap();
    let line = |(n, piece): (usize, &[u8])| {
        let at = (begin + Span::from_ms(n as u64)).to_string();
        json!({"at": at, "source": source, "hex": hex(piece)}).to_string() + "\n"
    };
    bytes.chunks(size).enumerate().map(line).collect()
}

/// Replays a recording of these lines.
fn play(dir: &Path, sections: &str, lines: &str) -> (String, Value) {
    let input = dir.join("heard.jsonl");
    fs::write(&input, lines).unwrap();
    replay(&config(dir, sections), &[input], &dir.join("summary.json"))
}

fn points(stdout: &str) -> Vec<Value> {
    let telemetry = messages(stdout).into_iter().filter(|m| m["lane"] == "telemetry");
    telemetry.flat_map(|m| m["payload"]["points"].as_array().cloned().unwrap_or_default()).collect()
}

#[test]
fn what_terminals_sent_is_replayed_however_it_was_cut() {
    let dir = tempfile::tempdir().unwrap();
    let key = dir.path().join("fleet.key");
    fs::write(&key, "a key of this test alone, 32 bytes").unwrap();
    let fleet = fleet(&key);
    let good = bytes(LOCATION);
    let mut damaged = good.clone();
    damaged[20] ^= 1;
    let line = [&b"noise"[..], &good, &damaged].concat();
    let at = "2018-10-15T02:10:12Z";
    let whole = play(dir.path(), &fleet, &heard("fleet", at, &line, line.len()));
    let summary = &whole.1["sources"]["fleet"];
    assert_eq!((&summary["samples"], &summary["frames"]), (&json!(1), &json!(1)), "{summary}");
    assert_eq!(summary["rejected"]["checksum"], 1, "{summary}");
    let points = points(&whole.0);
    let place = (points[0]["lat"].as_f64().unwrap(), points[0]["lon"].as_f64().unwrap());
    assert_eq!((points.len(), place), (1, (12.222222, 132.444444)));
    for size in [1, 7] {
        let again = play(dir.path(), &fleet, &heard("fleet", at, &line, size));
        assert_eq!(again.1["sources"], whole.1["sources"], "in pieces of {size}");
        assert_eq!(self::points(&again.0), points, "in pieces of {size}");
    }
}

#[test]
fn what_was_heard_on_a_modbus_line_is_replayed_however_it_was_cut() {
    let dir = tempfile::tempdir().unwrap();
    // Published exchanges: 751 mm, 30.0 °C; an answer with a wrong check sum between them.
    let line = bytes(
        "010301010001d436 01030202eff8a8 010301010001d436 01030202eff8a9 \
         0103010200012436 010302012cb809",
    );
    let at = "2026-06-04T04:00:00Z";
    let whole = play(dir.path(), LEVELS, &heard("levels", at, &line, line.len()));
    let summary = &whole.1["sources"]["levels"];
    assert_eq!(summary["samples"], 2, "{summary}");
    assert_eq!(summary["rejected"]["checksum"], 1, "{summary}");
    let distances: Vec<Value> =
        points(&whole.0).iter().filter_map(|p| p.get("distance_mm").cloned()).collect();
    assert_eq!(distances, [751]);
    for size in [1, 5] {
        let again = play(dir.path(), LEVELS, &heard("levels", at, &line, size));
        assert_eq!(again.1["sources"], whole.1["sources"], "in pieces of {size}");
    }
}

/// Wheel speed ten times a second for a minute, and the brush, which is let down after twenty seconds.
fn candump() -> String {
    let mut log = String::new();
    for tenth in 0..600 {
        let time = format!("({}.{}00000)", 1_780_545_600 + tenth / 10, tenth % 10);
        log += &format!("{time} can0 18FEF100#FF00{:02X}0000000000\n", tenth % 40);
        log += &format!("{time} can0 521#{:02X}\n", if tenth < 200 { 1 } else { 2 });
    }
    log + "a torn line\n"
}

#[test]
fn what_a_bus_said_is_replayed_however_it_was_cut() {
    let dir = tempfile::tempdir().unwrap();
    let log = candump();
    let sections = bus(Path::new("/dev/null"));
    let at = "2026-06-04T04:00:00Z";
    let whole = play(dir.path(), &sections, &heard("bus", at, log.as_bytes(), log.len()));
    let summary = &whole.1["sources"]["bus"];
    assert_eq!(summary["frames"], 1200, "{summary}");
    assert_eq!(summary["rejected"], json!({"malformed": 1}), "{summary}");
    // Each group once a second, and the brush once more when it changes on the second.
    assert_eq!(summary["samples"], 120, "{summary}");
    let again = play(dir.path(), &sections, &heard("bus", at, log.as_bytes(), 11));
    assert_eq!(again.1["sources"], whole.1["sources"], "in pieces of 11");
}

/// Lines of a recording that hold a sample of the bus.
fn recorded(path: &Path) -> Vec<Value> {
    let text = fs::read_to_string(path).unwrap();
    let lines = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    lines.filter(|line| line["input"].get("sample").is_some()).collect()
}

#[test]
fn a_recorded_bus_replays_to_the_same_as_its_bytes() {
    let dir = tempfile::tempdir().unwrap();
    let (log, record): (PathBuf, PathBuf) =
        (dir.path().join("bus.log"), dir.path().join("r.jsonl"));
    fs::write(&log, candump()).unwrap();
    let config = config(dir.path(), &bus(&log));
    let record_text = record.display().to_string();
    let mut agent = Running::start(&["run", "--config", &config, "--record", &record_text]);
    agent.wait_for("end of file");
    let (status, said) = agent.terminate();
    assert!(status.success(), "{said}");
    let samples = recorded(&record);
    assert_eq!(samples.len(), 120, "{said}");

    let once = replay(&config, std::slice::from_ref(&record), &dir.path().join("1.json"));
    let twice = replay(&config, &[record], &dir.path().join("2.json"));
    assert!(once == twice, "two replays of one recording differ");
    let lines = heard("bus", "2026-06-04T04:00:00Z", candump().as_bytes(), 4096);
    let bytes = play(dir.path(), &bus(&log), &lines);
    assert_eq!(points(&once.0).len(), 60);
    assert_eq!(points(&once.0), points(&bytes.0));
    for figure in ["samples", "first_at", "last_at"] {
        assert_eq!(once.1["sources"]["bus"][figure], bytes.1["sources"]["bus"][figure], "{figure}");
    }
    assert_eq!(once.1["assets"]["sweeper-09"], bytes.1["assets"]["sweeper-09"]);
}
