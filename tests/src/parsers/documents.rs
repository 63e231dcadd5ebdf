//! Parsers of whole messages and files.

use std::collections::BTreeMap;

use domain::commands::Command;
use domain::decode::json::{JsonMap, Layout, LayoutText, Mapping};
use domain::decode::lorawan::chirpstack::ChirpStack;
use domain::decode::lorawan::things_stack::ThingsStack;
use domain::decode::lorawan::{Codec, decode};
use domain::decode::{Decode, Raw};
use domain::ids::{DeviceKey, SourceName};
use domain::sample::Quantity;
use domain::time::Utc;

use super::seeds::EUI;

fn source() -> SourceName {
    SourceName::new("s").expect("a name")
}

/// What no sensor can mean, however its bytes lie.
fn check(quantities: &[Quantity]) {
    for quantity in quantities {
        match quantity {
            Quantity::Fix(fix) => {
                assert!((-90.0..=90.0).contains(&fix.position.lat()), "{fix:?}");
                assert!((-180.0..=180.0).contains(&fix.position.lon()), "{fix:?}");
            }
            Quantity::Temperature(temperature) => {
                assert!((-273_150..=2_000_000).contains(&temperature.0), "{temperature:?}");
            }
            _ => {}
        }
    }
}

/// The first byte picks the codec, the second is the port.
pub(super) fn lorawan(input: &[u8]) -> bool {
    let Some((&[codec, port], payload)) = input.split_first_chunk::<2>() else { return false };
    let codec = Codec::ALL[usize::from(codec) % Codec::ALL.len()];
    let Ok(quantities) = decode(codec, port, payload) else { return false };
    check(&quantities);
    true
}

fn layout() -> Layout {
    let text: LayoutText = serde_json::from_str(
        r#"{"device": "/id", "at": "/at", "each": "/items", "quantity": [
            {"name": "occupied", "pointer": "/status", "values": {"Present": true}, "optional": true},
            {"name": "level", "pointer": "/level", "unit": "percent", "scale": 0.5, "optional": true},
            {"name": "distance", "pointer": "/d", "unit": "cm", "optional": true},
            {"name": "latitude", "pointer": "/p/0", "optional": true},
            {"name": "longitude", "pointer": "/p/1", "optional": true}]}"#,
    )
    .expect("a layout in the right form");
    Layout::new(&text).expect("a right layout")
}

/// The first line is the topic, the rest the payload; every kind of message is tried.
pub(super) fn messages(input: &[u8]) -> bool {
    let end = input.iter().position(|byte| *byte == b'\n').unwrap_or(0);
    let (topic, payload) = input.split_at(end);
    let payload = payload.strip_prefix(b"\n").unwrap_or(payload);
    let topic = &*String::from_utf8_lossy(topic);
    let device = DeviceKey::new(EUI).expect("a device");
    let codecs = || BTreeMap::from([(device.clone(), Some(Codec::MilesightEm310Udl))]);
    let quantities = r#"[{"name": "level", "pointer": "/level", "unit": "percent"}]"#;
    let rules: Vec<_> = serde_json::from_str(quantities).expect("rules in the right form");
    let mapping = Mapping::new(domain::place::Datum::Wgs84, &rules).expect("a right mapping");
    let decoded = BTreeMap::from([(DeviceKey::new("other").expect("a device"), mapping)]);
    let network = ChirpStack::new(source(), codecs()).with_decoded(&decoded);
    let things = ThingsStack::new(source(), codecs()).with_decoded(&decoded);
    let read = [
        message(network, topic, payload),
        message(things, topic, payload),
        message(JsonMap::new(source(), layout()), topic, payload),
    ];
    read.contains(&true)
}

fn message(mut decoder: impl Decode, topic: &str, payload: &[u8]) -> bool {
    let mut samples = Vec::new();
    // Twice: a repeat is counted and says nothing new, or says the same.
    for _ in 0..2 {
        let received = Utc::from_ms(1_780_545_600_000);
        decoder.feed(Raw::Mqtt { topic, payload }, received, &mut samples);
    }
    decoder.finish(&mut samples);
    assert_eq!(decoder.tally().samples, samples.len() as u64, "every sample is counted");
    samples.iter().for_each(|sample| check(&sample.quantities));
    !samples.is_empty()
}

/// The first line names the command, the rest is its payload.
pub(super) fn command(input: &[u8]) -> bool {
    let end = input.iter().position(|byte| *byte == b'\n').unwrap_or(0);
    let (name, payload) = input.split_at(end);
    let name = String::from_utf8_lossy(name);
    let payload = payload.strip_prefix(b"\n").unwrap_or(payload);
    Command::parse(&name, payload)
        .inspect_err(|bad| assert!(!bad.why.is_empty(), "a refusal says why"))
        .is_ok()
}

/// The configuration, with its rules, tariffs and plans.
pub(super) fn config(input: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(input) else { return false };
    // Files that it names would be those of whoever fuzzes.
    if ["file", "include"].iter().any(|key| text.contains(key)) {
        return false;
    }
    steward::config::load_text("fuzz.toml", text)
        .inspect_err(|faults| assert!(!faults.to_string().is_empty(), "a refusal says why"))
        .is_ok()
}
