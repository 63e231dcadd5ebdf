//! Published uplinks with what the vendor's own decoder makes of them: ours must read the same.

use std::collections::BTreeSet;

use domain::decode::lorawan::{Codec, decode};
use domain::sample::Quantity;
use domain::units::{MilliCelsius, Millimetres, Permille};
use serde::Deserialize;
use serde_json::{Map, Value};
use system_tests::data;

/// One line of the set.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Vector {
    device: String,
    f_port: u8,
    hex: String,
    expect: Expected,
    note: String,
}

#[derive(Deserialize)]
struct Expected {
    data: Map<String, Value>,
}

/// What the vendors' decoders also tell and a sample has no place for.
const ABOUT_THE_DEVICE: [&str; 17] = [
    "type",
    "debugCodes",
    "firmwareVersion",
    "resetCause",
    "startFlag",
    "id",
    "length",
    "flag",
    "frameCnt",
    "protocolVersion",
    "hardwareVersion",
    "sn",
    "imei",
    "imsi",
    "iccid",
    "csq",
    "data_length",
];

/// The vendor's fields as quantities.
fn quantities(fields: &Map<String, Value>) -> Vec<Quantity> {
    let mut quantities = Vec::new();
    for (name, value) in fields {
        let number = || value.as_f64().unwrap();
        match name.as_str() {
            "occupied" => quantities.push(Quantity::Occupied(value.as_bool().unwrap())),
            "battery" => {
                quantities.push(Quantity::BatteryLevel(Permille::from_percent(number() as i64)));
            }
            "temperature" => {
                let milli = (number() * 1000.0).round() as i32;
                quantities.push(Quantity::Temperature(MilliCelsius(milli)));
            }
            "distance" => quantities.push(Quantity::Distance(Millimetres(number() as u32))),
            "position" => quantities.push(Quantity::Tilted(value == "tilt")),
            // Frames that carry reports.
            "data" => {
                for report in value.as_array().unwrap() {
                    quantities.extend(self::quantities(report.as_object().unwrap()));
                }
            }
            other => assert!(ABOUT_THE_DEVICE.contains(&other), "field {other} is not mapped"),
        }
    }
    quantities
}

fn bytes(hex: &str) -> Vec<u8> {
    let pair = |at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap();
    (0..hex.len()).step_by(2).map(pair).collect()
}

/// The vectors of devices that have a codec; the others are named to whoever runs this.
fn implemented() -> Vec<(Codec, Vector)> {
    let Some(set) = data::set("lorawan_vectors") else { return Vec::new() };
    let mut implemented = Vec::new();
    let mut missing = BTreeSet::new();
    for line in data::text(&set, "device_uplinks.jsonl").lines() {
        let device = serde_json::from_str::<Map<String, Value>>(line).unwrap();
        let device = device["device"].as_str().unwrap().to_owned();
        match device.parse::<Codec>() {
            Ok(codec) => implemented.push((codec, serde_json::from_str(line).unwrap())),
            Err(_) => _ = missing.insert(device),
        }
    }
    let missing: Vec<String> = missing.into_iter().collect();
    data::say(&format!(
        "lorawan_vectors: {} vectors checked; NOT IMPLEMENTED: {}",
        implemented.len(),
        missing.join(", ")
    ));
    let tried: BTreeSet<Codec> = implemented.iter().map(|(codec, _)| *codec).collect();
    assert!(tried.len() >= 4, "the set has vectors of four of our codecs, found {tried:?}");
    implemented
}

fn sorted(quantities: &[Quantity]) -> Vec<String> {
    let mut sorted: Vec<String> = quantities.iter().map(|q| format!("{q:?}")).collect();
    sorted.sort();
    sorted
}

#[test]
fn every_vector_reads_as_its_vendor_says() {
    for (codec, Vector { device, f_port, hex, expect, note }) in implemented() {
        let expected = quantities(&expect.data);
        assert!(!expected.is_empty(), "{device}: {note}");
        let read = decode(codec, f_port, &bytes(&hex));
        let read = read.unwrap_or_else(|reason| panic!("{device} {hex}: {reason:?}"));
        assert_eq!(sorted(&read), sorted(&expected), "{device} {hex}");
        // A Milesight record means the same where the model is not known.
        if f_port == 85 && !hex.starts_with("02") {
            let inferred = decode(Codec::infer("", f_port).unwrap(), f_port, &bytes(&hex));
            assert_eq!(inferred.as_ref().map(|read| sorted(read)), Ok(sorted(&expected)), "{hex}");
        }
    }
}

#[test]
fn what_is_left_of_a_cut_vector_is_refused_or_true() {
    for (codec, Vector { device, f_port, hex, expect, .. }) in implemented() {
        let (whole, expected) = (bytes(&hex), sorted(&quantities(&expect.data)));
        for length in 0..whole.len() {
            // Records end where they end: a cut between two of them leaves fewer, never others.
            for quantity in decode(codec, f_port, &whole[..length]).unwrap_or_default() {
                assert!(expected.contains(&format!("{quantity:?}")), "{device} {hex} {length}");
            }
        }
    }
}
