//! The district as a configuration file, for the ordinary loader.

use std::fmt::Write;

use steward::config::Config;
use steward::demo::street::{APPLICATION, LINE_SOURCE, LNS_SOURCE, Point};

use super::truth::{
    DEPOT, SILENT_AFTER, STAY_MAX, STUCK_AFTER, SWEPT_BY, Sensor, Truth, bay_id, bin_id, road_id,
    sweeper_id,
};

/// From a bin's sensor to its bottom.
pub(super) const EMPTY_MM: u32 = 1500;
/// From a bin's sensor to its full line.
pub(super) const FULL_MM: u32 = 300;

/// The configuration of the box, as it is from `at` on: bays that come later are not in it, and the limit of
/// time for a ticket is another one once a bay has come.
pub(super) fn config(truth: &Truth, at: u64) -> Config {
    let text = text(truth, at);
    match steward::config::load_text("city.toml", &text) {
        Ok(loaded) => loaded.config,
        Err(faults) => panic!("the district is configured wrongly: {faults}\n{text}"),
    }
}

fn text(truth: &Truth, at: u64) -> String {
    let mut out = String::new();
    write(&mut out, truth, at).expect("writing into a String does not fail");
    out
}

const HEAD: &str = r#"[box]
id = "city"
tenant = "longcheng"
site = "xuejia"
timezone = "Asia/Shanghai"
[mqtt]
url = "mqtt://127.0.0.1:1883"
[[zone]]
id = "depot"
kind = "depot"
"#;

fn write(out: &mut String, truth: &Truth, at: u64) -> std::fmt::Result {
    out.write_str(HEAD)?;
    let (west, east) = DEPOT;
    writeln!(out, "area = [[{west}, 31.79], [{east}, 31.79], [{east}, 31.86], [{west}, 31.86]]")?;
    let grown = truth.bays.iter().any(|bay| bay.since > 0 && bay.since <= at);
    writeln!(out, "[[limit]]\nwithin = \"{} work_hour\"", if grown { 2 } else { 4 })?;
    writeln!(out, "[[source]]\nname = \"{LINE_SOURCE}\"\nkind = \"node-link\"")?;
    writeln!(out, "device = \"/dev/null\"\nbaud = 115200")?;
    writeln!(out, "[[source]]\nname = \"{LNS_SOURCE}\"\nkind = \"chirpstack\"")?;
    writeln!(out, "topic = \"application/{APPLICATION}/device/+/event/up\"")?;
    for (i, bay) in truth.bays.iter().enumerate().filter(|(_, bay)| bay.since <= at) {
        writeln!(out, "[[bay]]\nid = \"{}\"", bay_id(i))?;
        sensor(out, bay.sensor, "bosch/tps110")?;
        place(out, beside(i, 0.0))?;
        writeln!(out, "stuck_after = \"{}h\"", hours(STUCK_AFTER))?;
        writeln!(out, "stale_after = \"{}h\"", hours(SILENT_AFTER))?;
        if bay.limited {
            writeln!(out, "max_stay = \"{}h\"", hours(STAY_MAX))?;
        }
    }
    for (i, bin) in truth.bins.iter().enumerate() {
        writeln!(out, "[[bin]]\nid = \"{}\"", bin_id(i))?;
        sensor(out, bin.sensor, "milesight/em400")?;
        place(out, beside(i, 0.0004))?;
        writeln!(out, "stale_after = \"{}h\"", hours(SILENT_AFTER))?;
        writeln!(out, "empty_mm = {EMPTY_MM}\nfull_mm = {FULL_MM}")?;
    }
    for (i, sweeper) in truth.sweepers.iter().enumerate() {
        let (id, road) = (sweeper_id(i), road_id(i));
        writeln!(out, "[[source]]\nname = \"{id}\"\nkind = \"nmea\"\ndevice = \"/dev/null-{i}\"")?;
        writeln!(out, "[[vehicle]]\nid = \"{id}\"\nkind = \"sweeper\"\nsource = \"{id}\"")?;
        let line = sweeper.line.0.iter().map(|p| format!("[{:.6}, {:.6}]", p.lon, p.lat));
        writeln!(out, "[[street]]\nid = \"{road}\"")?;
        writeln!(out, "line = [{}]", line.collect::<Vec<_>>().join(", "))?;
        let by = format!("00:00-{:02}:00", hours(SWEPT_BY));
        writeln!(out, "sweep = {{ windows = [\"daily {by}\"], side = \"either\" }}")?;
    }
    Ok(())
}

fn hours(ms: u64) -> u64 {
    ms / super::truth::HOUR
}

/// Assets stand in rows south of the streets.
fn beside(i: usize, south: f64) -> Point {
    let (row, column) = (i / 40, i % 40);
    Point { lon: 119.953 + 0.0005 * column as f64, lat: 31.790 - south - 0.001 * row as f64 }
}

fn sensor(out: &mut String, sensor: Sensor, codec: &str) -> std::fmt::Result {
    match sensor {
        Sensor::Node(number) => writeln!(out, "source = \"{LINE_SOURCE}\"\ndevice = \"{number}\""),
        Sensor::LoRa(eui) => {
            writeln!(out, "source = \"{LNS_SOURCE}\"\ndevice = \"{eui:016x}\"\ncodec = \"{codec}\"")
        }
    }
}

fn place(out: &mut String, at: Point) -> std::fmt::Result {
    writeln!(out, "position = {{ lat = {:.6}, lon = {:.6} }}", at.lat, at.lon)
}
