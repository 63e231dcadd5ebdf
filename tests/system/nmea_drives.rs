//! Two recorded drives through the NMEA decoder: every count and the length of the way must be what
//! an independent reading of the files says.

use std::collections::BTreeMap;

use domain::decode::nmea::Nmea;
use domain::decode::{Decode, Raw, Tally};
use domain::ids::SourceName;
use domain::sample::{Fix, Missing, Quantity, Sample};
use domain::time::Utc;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use serde::Deserialize;
use system_tests::data;

/// What `EXPECT.json` says of a drive.
#[derive(Deserialize)]
struct Expected {
    bytes: u64,
    types: BTreeMap<String, u64>,
    bad_checksum: u64,
    rmc: BTreeMap<String, u64>,
    valid_rmc: usize,
    /// Seconds of the day of the first and last valid fix.
    first: f64,
    last: f64,
    /// Of every fix, `ddmmyy`.
    date: Vec<String>,
    dist_m: f64,
    max_kn: f64,
    backwards: usize,
    /// South, west, north, east.
    bbox: [f64; 4],
}

fn decoder() -> Nmea {
    Nmea::new(SourceName::new("gnss").unwrap())
}

/// Decodes `bytes` cut into `pieces`; what they leave over is the last piece.
pub(crate) fn decode(bytes: &[u8], pieces: &[usize]) -> (Vec<Sample>, Tally) {
    let mut nmea = decoder();
    let mut samples = Vec::new();
    let mut rest = bytes;
    for &piece in pieces {
        let (head, tail) = rest.split_at(piece.min(rest.len()));
        nmea.feed(Raw::Bytes(head), Utc::from_ms(0), &mut samples);
        rest = tail;
    }
    nmea.feed(Raw::Bytes(rest), Utc::from_ms(0), &mut samples);
    nmea.finish(&mut samples);
    (samples, nmea.tally().clone())
}

/// The fixes among samples, each with its time.
pub(crate) fn fixes(samples: &[Sample]) -> Vec<(Option<Utc>, Fix)> {
    let fix = |sample: &Sample| match sample.quantities[..] {
        [Quantity::Fix(fix)] => Some((sample.at, fix)),
        _ => None,
    };
    samples.iter().filter_map(fix).collect()
}

/// The samples that say "alive, and no fix".
pub(crate) fn voids(samples: &[Sample]) -> usize {
    let void = |sample: &&Sample| matches!(sample.quantities[..], [Quantity::Absent(absent)] if absent.what == Missing::Fix);
    samples.iter().filter(void).count()
}

fn each_drive(check: impl Fn(&str, &[u8], &Expected)) {
    let Some(set) = data::set("gnss_drives") else { return };
    let expected: BTreeMap<String, Expected> =
        serde_json::from_str(&data::text(&set, "EXPECT.json")).unwrap();
    assert_eq!(expected.len(), 2);
    for (file, expected) in &expected {
        check(file, &data::read(&set, file), expected);
    }
}

#[test]
fn every_sentence_and_every_fix_is_counted() {
    each_drive(|file, bytes, expected| {
        let (samples, tally) = decode(bytes, &[]);
        assert_eq!(tally.bytes, expected.bytes, "{file}");
        assert_eq!(tally.frames, expected.types.values().sum::<u64>(), "{file}");
        assert_eq!(tally.rejected_total(), expected.bad_checksum, "{file}: {:?}", tally.rejected);
        assert_eq!(fixes(&samples).len(), expected.valid_rmc, "{file}");
        assert_eq!(voids(&samples) as u64, expected.rmc["V"], "{file}");
        assert_eq!(tally.samples as usize, samples.len(), "{file}");
    });
}

#[test]
fn the_way_is_as_long_as_the_track() {
    each_drive(|file, bytes, expected| {
        let fixes = fixes(&decode(bytes, &[]).0);
        let metres: f64 = fixes
            .windows(2)
            .map(|pair| pair[0].1.position.distance_m(pair[1].1.position).unwrap())
            .sum();
        assert!((metres - expected.dist_m).abs() < 1.0, "{file}: {metres} m");
        let [south, west, north, east] = expected.bbox;
        for (_, fix) in &fixes {
            let (lat, lon) = (fix.position.lat(), fix.position.lon());
            assert!(lat > south - 1e-5 && lat < north + 1e-5, "{file}: {lat}");
            assert!(lon > west - 1e-5 && lon < east + 1e-5, "{file}: {lon}");
        }
        let fastest = fixes.iter().filter_map(|(_, fix)| fix.speed).max().unwrap();
        assert!((fastest.kmh() - expected.max_kn * 1.852).abs() < 0.01, "{file}: {fastest:?}");
    });
}

#[test]
fn every_fix_has_its_time_and_its_quality() {
    each_drive(|file, bytes, expected| {
        let fixes = fixes(&decode(bytes, &[]).0);
        let times: Vec<Utc> = fixes.iter().map(|(at, _)| at.unwrap()).collect();
        let [date] = &expected.date[..] else { panic!("{file}: more than one day") };
        let day = format!("20{}-{}-{}T00:00:00Z", &date[4..6], &date[2..4], &date[..2]);
        let midnight = Utc::parse(&day).unwrap().as_ms();
        let second = |time: &Utc| (time.as_ms() - midnight) as f64 / 1000.0;
        assert_eq!(second(&times[0]), expected.first, "{file}");
        assert_eq!(second(&times[times.len() - 1]), expected.last, "{file}");
        let backwards = times.windows(2).filter(|pair| pair[1] < pair[0]).count();
        assert_eq!(backwards, expected.backwards, "{file}: a step back is passed on as it is");
        // GGA was merged into every one of them; one of theirs says NaN for HDOP.
        assert!(fixes.iter().all(|(_, fix)| fix.satellites.is_some()), "{file}");
        assert!(fixes.iter().filter(|(_, fix)| fix.accuracy.is_none()).count() <= 1, "{file}");
    });
}

#[test]
fn how_the_bytes_are_cut_changes_nothing() {
    each_drive(|file, bytes, _| {
        let whole = decode(bytes, &[]);
        assert_eq!(decode(bytes, &vec![1; bytes.len()]), whole, "{file}: one by one");
        let mut runner = TestRunner::new(Config::with_cases(8));
        let cuts = proptest::collection::vec(1_usize..2000, 0..1500);
        runner
            .run(&cuts, |cuts| {
                prop_assert!(decode(bytes, &cuts) == whole);
                Ok(())
            })
            .unwrap();
    });
}
