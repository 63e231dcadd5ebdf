//! Messages as real network servers sent them, through the decoders of both.

use std::collections::BTreeMap;

use domain::decode::json::{Mapping, RuleText};
use domain::decode::lorawan::Codec;
use domain::decode::lorawan::chirpstack::ChirpStack;
use domain::decode::lorawan::things_stack::ThingsStack;
use domain::decode::{Decode, Raw, Reason, Tally};
use domain::ids::{DeviceKey, SourceName};
use domain::place::Datum;
use domain::sample::{Quantity, Sample};
use domain::time::Utc;
use domain::units::{MilliCelsius, Millimetres, Millivolts, Permille};
use serde::Deserialize;
use serde_json::Value;
use system_tests::data;

#[derive(Deserialize)]
struct Message {
    topic: String,
    payload: String,
}

const MESSAGES: [&str; 6] = [
    "chirpstack_v4_ack",
    "chirpstack_v4_join",
    "chirpstack_v4_status",
    "chirpstack_v4_up_lt22222",
    "chirpstack_v4_up_soil",
    "ttn_v3_up_modbus_level",
];

fn each_message(check: impl Fn(&str, &Message)) {
    let Some(set) = data::set("lns_events") else { return };
    for name in MESSAGES {
        let text = data::text(&set, &format!("{name}.json"));
        check(name, &serde_json::from_str(&text).unwrap());
    }
}

fn chirpstack(devices: &[(&str, Codec)]) -> ChirpStack {
    let known = |(eui, codec): &(&str, Codec)| (DeviceKey::new(eui).unwrap(), Some(*codec));
    let devices: BTreeMap<_, _> = devices.iter().map(known).collect();
    ChirpStack::new(SourceName::new("lns").unwrap(), devices)
}

fn feed(decoder: &mut impl Decode, topic: &str, payload: &[u8]) -> Vec<Sample> {
    let mut samples = Vec::new();
    decoder.feed(Raw::Mqtt { topic, payload }, Utc::from_ms(0), &mut samples);
    samples
}

/// Samples and counters after one message.
fn decode(message: &Message) -> (Vec<Sample>, Tally) {
    let mut decoder = chirpstack(&[]);
    let samples = feed(&mut decoder, &message.topic, message.payload.as_bytes());
    (samples, decoder.tally().clone())
}

fn only(tally: &Tally) -> Option<Reason> {
    assert!(tally.rejected_total() <= 1, "{:?}", tally.rejected);
    tally.rejected.keys().next().copied()
}

#[test]
fn every_message_is_a_sample_a_frame_or_a_reason() {
    each_message(|name, message| {
        let (samples, tally) = decode(message);
        let expected = match name {
            "chirpstack_v4_ack" | "chirpstack_v4_join" => (0, 1, None),
            "chirpstack_v4_status" => (1, 1, None),
            // Devices without a codec of ours.
            "chirpstack_v4_up_lt22222" | "chirpstack_v4_up_soil" => (0, 1, Some(Reason::Codec)),
            "ttn_v3_up_modbus_level" => (0, 0, Some(Reason::Topic)),
            _ => panic!("{name}"),
        };
        assert_eq!((samples.len(), tally.frames, only(&tally)), expected, "{name}");
        assert_eq!(tally.bytes, message.payload.len() as u64, "{name}");
    });
}

#[test]
fn a_status_tells_the_battery() {
    each_message(|name, message| {
        if name == "chirpstack_v4_status" {
            let expected = Sample {
                source: SourceName::new("lns").unwrap(),
                device: Some(DeviceKey::new("70b3d52dd300ed31").unwrap()),
                counter: None,
                at: Some(Utc::parse("2024-01-26T20:18:45.299Z").unwrap()),
                quantities: vec![Quantity::BatteryLevel(Permille::clamped(858))],
            };
            assert_eq!(decode(message).0, [expected]);
        }
    });
}

#[test]
fn a_message_that_comes_again_is_refused() {
    each_message(|name, message| {
        if name.starts_with("chirpstack") {
            let mut decoder = chirpstack(&[]);
            feed(&mut decoder, &message.topic, message.payload.as_bytes());
            assert_eq!(decoder.tally().rejected.get(&Reason::Duplicate), None, "{name}");
            let again = feed(&mut decoder, &message.topic, message.payload.as_bytes());
            assert_eq!(again, [], "{name}");
            assert_eq!(decoder.tally().rejected[&Reason::Duplicate], 1, "{name}");
        }
    });
}

/// The real envelope around the payload of a device that we read.
#[test]
fn an_uplink_in_a_real_envelope() {
    each_message(|name, message| {
        let (device, counter, at) = match name {
            "chirpstack_v4_up_lt22222" => ("a8404127a188d826", 12, "2024-01-24T16:47:01.573Z"),
            "chirpstack_v4_up_soil" => ("a84041f621857cd2", 170, "2025-02-18T14:49:19.475Z"),
            _ => return,
        };
        let mut event: Value = serde_json::from_str(&message.payload).unwrap();
        event["fPort"] = 85.into();
        event["data"] = "AXVcA4JECAQAAQ==".into();
        let payload = event.to_string();
        let mut decoder = chirpstack(&[(device, Codec::MilesightEm310Udl)]);
        let samples = feed(&mut decoder, &message.topic, payload.as_bytes());
        let expected = Sample {
            source: SourceName::new("lns").unwrap(),
            device: Some(DeviceKey::new(device).unwrap()),
            counter: Some(counter),
            at: Some(Utc::parse(at).unwrap()),
            quantities: vec![
                Quantity::BatteryLevel(Permille::from_percent(92)),
                Quantity::Distance(Millimetres(2116)),
                Quantity::Tilted(true),
            ],
        };
        assert_eq!(samples, [expected], "{name}");
        assert_eq!(decoder.tally().rejected_total(), 0, "{name}");
    });
}

#[test]
fn a_cut_message_is_refused() {
    each_message(|name, message| {
        let payload = message.payload.as_bytes();
        for length in (0..payload.len()).step_by(7) {
            let mut decoder = chirpstack(&[]);
            let samples = feed(&mut decoder, &message.topic, &payload[..length]);
            assert_eq!(samples, [], "{name} {length}");
            assert_eq!(decoder.tally().frames, 0, "{name} {length}");
            assert_eq!(decoder.tally().rejected_total(), 1, "{name} {length}");
        }
    });
}

fn things_stack() -> ThingsStack {
    ThingsStack::new(SourceName::new("ttn").unwrap(), BTreeMap::new())
}

#[test]
fn the_things_stack_reads_its_own_and_refuses_the_others() {
    each_message(|name, message| {
        let mut decoder = things_stack();
        assert_eq!(feed(&mut decoder, &message.topic, message.payload.as_bytes()), [], "{name}");
        let expected = match name {
            // A modbus bridge: no codec of ours.
            "ttn_v3_up_modbus_level" => (1, Some(Reason::Codec)),
            _ => (0, Some(Reason::Topic)),
        };
        assert_eq!((decoder.tally().frames, only(decoder.tally())), expected, "{name}");
    });
}

fn rule(name: &str, pointer: &str, unit: &str) -> RuleText {
    RuleText {
        name: name.to_owned(),
        pointer: pointer.to_owned(),
        unit: Some(unit.to_owned()),
        ..RuleText::default()
    }
}

/// The cistern of the real message, by what its payload formatter made of it.
#[test]
fn a_decoded_object_of_the_things_stack() {
    each_message(|name, message| {
        if name != "ttn_v3_up_modbus_level" {
            return;
        }
        let rules = [
            rule("distance", "/zisternenpegel", "m"),
            rule("temperature", "/airtemperature", "c"),
            rule("battery_voltage", "/volt", "v"),
        ];
        let mapping = Mapping::new(Datum::Wgs84, &rules).unwrap();
        let device = DeviceKey::new("70b3d5e050013950").unwrap();
        let mut decoder = things_stack().with_decoded(&BTreeMap::from([(device.clone(), mapping)]));
        let samples = feed(&mut decoder, &message.topic, message.payload.as_bytes());
        let expected = Sample {
            source: SourceName::new("ttn").unwrap(),
            device: Some(device),
            counter: Some(2),
            // The gateway's clock, before the server's.
            at: Some(Utc::parse("2024-01-22T07:06:25.013Z").unwrap()),
            quantities: vec![
                Quantity::Distance(Millimetres(2000)),
                Quantity::Temperature(MilliCelsius(19_900)),
                Quantity::BatteryVoltage(Millivolts(3649)),
            ],
        };
        assert_eq!(samples, [expected]);
        assert_eq!(decoder.tally().rejected_total(), 0);
        assert_eq!(feed(&mut decoder, &message.topic, message.payload.as_bytes()), []);
        assert_eq!(only(decoder.tally()), Some(Reason::Duplicate));
    });
}

/// The soil probe of the real message, by what ChirpStack's codec made of it.
#[test]
fn a_decoded_object_of_chirpstack() {
    each_message(|name, message| {
        if name != "chirpstack_v4_up_soil" {
            return;
        }
        let rules =
            [rule("temperature", "/Soiltemperature", "c"), rule("battery_voltage", "/Volt", "v")];
        let mapping = Mapping::new(Datum::Wgs84, &rules).unwrap();
        let device = DeviceKey::new("a84041f621857cd2").unwrap();
        let mut decoder = chirpstack(&[]).with_decoded(&BTreeMap::from([(device, mapping)]));
        let samples = feed(&mut decoder, &message.topic, message.payload.as_bytes());
        let expected =
            [Quantity::Temperature(MilliCelsius(-400)), Quantity::BatteryVoltage(Millivolts(3318))];
        assert_eq!(samples[0].quantities, expected);
        assert_eq!(decoder.tally().rejected_total(), 0);
    });
}

#[test]
fn a_cut_message_of_the_things_stack_is_refused() {
    each_message(|name, message| {
        if name == "ttn_v3_up_modbus_level" {
            for length in (0..message.payload.len()).step_by(7) {
                let mut decoder = things_stack();
                let payload = &message.payload.as_bytes()[..length];
                assert_eq!(feed(&mut decoder, &message.topic, payload), [], "{length}");
                assert_eq!(only(decoder.tally()), Some(Reason::Json), "{length}");
            }
        }
    });
}
