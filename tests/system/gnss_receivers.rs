//! Logs of receivers through the decoder for NMEA and UBX, and through that for gpsd: what gpsd made of
//! them is what we make of them.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use domain::decode::gnss::Gnss;
use domain::decode::gpsd::Gpsd;
use domain::decode::{Decode, Raw, Reason, Tally};
use domain::ids::SourceName;
use domain::sample::{Fix, Sample};
use domain::time::Utc;
use serde_json::Value;
use system_tests::data;

use crate::nmea_drives::{self, fixes, voids};
use crate::nmea_receivers::cells;

/// A row of `EXPECT.csv`.
struct Row {
    log: String,
    is_ubx: bool,
    /// gpsd's position reports by mode, 0 to 3.
    reports: [u64; 4],
}

fn rows(set: &Path) -> Vec<Row> {
    let table = data::text(set, "EXPECT.csv");
    let mut lines = table.lines();
    let header = cells(lines.next().unwrap());
    let place = |name: &str| header.iter().position(|column| column == name).unwrap();
    let (kind, by_mode) = (place("kind"), place("gpsd_tpv_by_mode"));
    let rows: Vec<Row> = lines
        .map(|line| {
            let cells = cells(line);
            let counts: BTreeMap<usize, u64> = serde_json::from_str(&cells[by_mode]).unwrap();
            let reports = [0, 1, 2, 3].map(|mode| counts.get(&mode).copied().unwrap_or(0));
            Row { log: cells[0].clone(), is_ubx: cells[kind] == "ubx", reports }
        })
        .collect();
    assert!(rows.len() >= 50, "only {} logs", rows.len());
    rows
}

fn feed(mut decoder: impl Decode, bytes: &[u8], piece: usize) -> (Vec<Sample>, Tally) {
    let mut samples = Vec::new();
    for piece in bytes.chunks(piece.max(1)) {
        decoder.feed(Raw::Bytes(piece), Utc::from_ms(0), &mut samples);
    }
    decoder.finish(&mut samples);
    (samples, decoder.tally().clone())
}

fn gnss() -> Gnss {
    Gnss::new(SourceName::new("gnss").unwrap())
}

/// gpsd's positions by their time; it repeats itself inside an epoch.
fn positions(set: &Path, log: &str) -> BTreeMap<Utc, (f64, f64)> {
    let reports = data::text(set, &format!("{log}.log.chk"));
    let report = |line: &str| {
        let report: Value = serde_json::from_str(line).ok()?;
        let time = Utc::parse(report.get("time")?.as_str()?).ok()?;
        (report["class"] == "TPV" && report["mode"].as_u64()? >= 2)
            .then(|| Some((time, (report["lat"].as_f64()?, report["lon"].as_f64()?))))?
    };
    reports.lines().filter_map(report).collect()
}

fn is_at(fix: &Fix, (lat, lon): (f64, f64)) -> bool {
    let near = |ours: f64, theirs: f64| (ours - theirs).abs() < 1.1e-7;
    near(fix.position.lat(), lat) && near(fix.position.lon(), lon)
}

#[test]
fn ubx_logs_read_as_gpsd_reads_them() {
    let Some(set) = data::set("gnss_gpsd") else { return };
    // How many solutions the log has, and of how many moments gpsd reports. It needs a while to know
    // the rhythm of a receiver, and leaves out epochs at the beginning and the end.
    let known = [
        ("ublox-aek-4t", 4, 4),
        ("ublox-neo-m8n", 24, 22),
        ("ublox-neo-m8u", 3, 2),
        ("ublox-zed-f9t-ubx_nmea_l5", 9, 8),
    ];
    let rows = rows(&set);
    let ubx: BTreeSet<&str> = rows.iter().filter(|r| r.is_ubx).map(|r| r.log.as_str()).collect();
    assert_eq!(ubx, known.iter().map(|(log, ..)| *log).collect());
    for (log, solutions, moments) in known {
        let row = rows.iter().find(|row| row.log == log).unwrap();
        let bytes = data::read(&set, &format!("{log}.log"));
        let (samples, tally) = feed(gnss(), &bytes, bytes.len());
        let fixes = fixes(&samples);
        assert_eq!((fixes.len(), voids(&samples)), (solutions, 0), "{log}");
        assert_eq!(row.reports[..2], [0, 0], "{log}: gpsd has a fix in every report");
        let theirs = positions(&set, log);
        assert_eq!(theirs.len(), moments, "{log}");
        let cut = if log == "ublox-neo-m8n" { 1 } else { 0 };
        assert_eq!(tally.rejected_total(), cut, "{log}: {:?}", tally.rejected);
        assert_eq!(tally.rejected.get(&Reason::Truncated).copied().unwrap_or(0), cut, "{log}");
        if log == "ublox-aek-4t" {
            continue;
        }
        for (time, place) in theirs {
            let ours = fixes.iter().find(|(at, _)| *at == Some(time));
            let (_, fix) = ours.unwrap_or_else(|| panic!("{log}: nothing at {time}"));
            // gpsd takes the position of the mixed log from sentences, which round to 1e-5 minutes.
            let rounded = log == "ublox-zed-f9t-ubx_nmea_l5";
            assert!(is_at(fix, place) || rounded, "{log} {time}: {fix:?} is not at {place:?}");
        }
    }
}

#[test]
fn a_receiver_of_2007_gives_earth_centred_positions() {
    let Some(set) = data::set("gnss_gpsd") else { return };
    let bytes = data::read(&set, "ublox-aek-4t.log");
    let fixes = fixes(&feed(gnss(), &bytes, bytes.len()).0);
    let theirs = positions(&set, "ublox-aek-4t");
    for ((at, fix), (time, place)) in fixes.iter().zip(theirs) {
        assert!(is_at(fix, place), "{fix:?} {place:?}");
        assert_eq!(fix.accuracy.unwrap().0, 2800);
        // It does not move, and so has no direction.
        assert_eq!((fix.speed.unwrap().0, fix.course), (0, None));
        // gpsd works the first one out before it knows the leap seconds, and is four seconds late;
        // the log ends before the time of the last.
        let expected = match at.map(|at| at.to_string()) {
            Some(text) if text.starts_with("2007-12-23T23:11:23") => "2007-12-23T23:11:19.999Z",
            Some(_) => &at.unwrap().to_string(),
            None => "2007-12-23T23:11:26.999Z",
        };
        assert_eq!(time.to_string(), expected);
    }
    assert_eq!(fixes.iter().filter(|(at, _)| at.is_some()).count(), 3);
}

#[test]
fn a_log_of_sentences_reads_the_same_with_either_decoder() {
    let Some(set) = data::set("gnss_gpsd") else { return };
    for row in rows(&set).iter().filter(|row| !row.is_ubx) {
        let bytes = data::read(&set, &format!("{}.log", row.log));
        let alone = nmea_drives::decode(&bytes, &[]);
        assert_eq!(feed(gnss(), &bytes, bytes.len()), alone, "{}", row.log);
    }
}

#[test]
fn how_a_mixed_log_is_cut_changes_nothing() {
    let Some(set) = data::set("gnss_gpsd") else { return };
    for row in rows(&set).iter().filter(|row| row.is_ubx) {
        let bytes = data::read(&set, &format!("{}.log", row.log));
        let whole = feed(gnss(), &bytes, bytes.len());
        for piece in [1, 7, 100, 4097] {
            assert_eq!(feed(gnss(), &bytes, piece), whole, "{}: pieces of {piece}", row.log);
        }
    }
}

#[test]
fn every_position_report_of_gpsd_is_a_sample() {
    let Some(set) = data::set("gnss_gpsd") else { return };
    for row in rows(&set) {
        let bytes = data::read(&set, &format!("{}.log.chk", row.log));
        let gpsd = Gpsd::new(SourceName::new("gnss").unwrap());
        let (samples, tally) = feed(gpsd.clone(), &bytes, bytes.len());
        let reject = |reason| tally.rejected.get(&reason).copied().unwrap_or(0);
        // Some reports of a fix come without a place.
        let (fixes, placeless) = (fixes(&samples), reject(Reason::Field));
        assert_eq!(fixes.len() as u64 + placeless, row.reports[2] + row.reports[3], "{}", row.log);
        assert_eq!(voids(&samples) as u64, row.reports[0] + row.reports[1], "{}", row.log);
        let text = String::from_utf8_lossy(&bytes);
        let no_place = |line: &&str| {
            line.contains("\"TPV\"") && !line.contains("\"mode\":1") && !line.contains("\"lat\"")
        };
        let without = text.lines().filter(no_place).count() as u64 - row.reports[0];
        assert_eq!((placeless, tally.rejected_total()), (without, without), "{}", row.log);
        assert_eq!(feed(gpsd, &bytes, 1000), (samples, tally), "{}", row.log);
    }
}
