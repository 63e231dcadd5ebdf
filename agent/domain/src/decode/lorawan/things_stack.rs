//! The Things Stack v3 (The Things Network): its uplinks over MQTT.
//!
//! Topics are `v3/{application}@{tenant}/devices/{device}/{event}`, without `@{tenant}` on one's own
//! server, also behind a prefix. Fields: the data formats of the public documentation; one at its
//! default is left out. Of the events, `up` carries measurements; `join` says that the frame counter
//! begins again. The others are counted and nothing else.
//!
//! Only the stack itself can publish on these topics, so whether the topic names the device of the
//! message is not checked, other than with servers whose broker anybody may feed.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

use crate::decode::json::Mapping;
use crate::decode::{Decode, Raw, Reason, Tally};
use crate::ids::{DeviceKey, SourceName};
use crate::sample::Sample;
use crate::time::Utc;

use super::Codec;
use super::uplinks::{Heard, Uplink, Uplinks, base64, dev_eui, or_default, received_on_air};

/// The longest message that is read. An uplink that a hundred gateways heard is a third of it.
const MESSAGE_MAX: usize = 256 * 1024;

/// Decodes the messages of one application, or of several.
#[derive(Debug, Clone)]
pub struct ThingsStack {
    uplinks: Uplinks,
}

impl ThingsStack {
    /// A decoder for the messages that arrive by `source`. `devices` names the codec of each known
    /// DevEUI (upper or lower case); without one, and for devices that are not in it, the codec is
    /// inferred ([`Codec::infer`]) from the model that the device was registered as, and FPort. A
    /// device without a DevEUI goes by its id in the application. Which devices belong to an asset is
    /// not decided here.
    #[must_use]
    pub fn new(source: SourceName, devices: BTreeMap<DeviceKey, Option<Codec>>) -> ThingsStack {
        ThingsStack { uplinks: Uplinks::new(source, devices) }
    }

    /// The reports of these devices are read from the object that the stack's payload formatter made
    /// of them (`decoded_payload`), whatever codec was named for them.
    #[must_use]
    pub fn with_decoded(mut self, devices: &BTreeMap<DeviceKey, Mapping>) -> ThingsStack {
        devices.iter().for_each(|(device, map)| self.uplinks.decoded(device, map.clone()));
        self
    }

    fn take(
        &mut self,
        topic: &str,
        payload: &[u8],
        samples: &mut Vec<Sample>,
    ) -> Result<(), Reason> {
        if payload.len() > MESSAGE_MAX {
            return Err(Reason::TooLong);
        }
        let event = event(topic).ok_or(Reason::Topic)?;
        let message: Message = serde_json::from_slice(payload)
            .map_err(|error| if error.is_data() { Reason::Field } else { Reason::Json })?;
        let device = message.end_device_ids.key()?;
        self.uplinks.tally.frames += 1;
        match event {
            Event::Up => {
                let uplink = message.uplink_message.ok_or(Reason::Field)?;
                let dev_addr = &message.end_device_ids.dev_addr;
                self.up(device, dev_addr, uplink, message.received_at, samples)
            }
            Event::Join => {
                self.uplinks.joined(&device);
                Ok(())
            }
            Event::Other => Ok(()),
        }
    }

    fn up(
        &mut self,
        device: DeviceKey,
        dev_addr: &str,
        message: UplinkMessage,
        received_at: Option<Utc>,
        samples: &mut Vec<Sample>,
    ) -> Result<(), Reason> {
        let heard = message.rx_metadata.iter();
        let heard = heard.map(|rx| Heard { by_gateway: rx.time, by_server: rx.received_at });
        let heard: Vec<Heard> = heard.collect();
        let otherwise = message.received_at.or(received_at);
        let uplink = Uplink {
            device,
            at: self.uplinks.believed(received_on_air(&heard, otherwise)),
            // The session's key; the address alone may stay the same over a join.
            session: message.session_key_id + dev_addr,
            counter: message.f_cnt,
            port: message.f_port,
            payload: message.frm_payload,
            decoded: message.decoded_payload,
            profile: message.version_ids.model_id,
        };
        self.uplinks.take(uplink, samples)
    }
}

impl Decode for ThingsStack {
    fn feed(&mut self, raw: Raw<'_>, _received: Utc, samples: &mut Vec<Sample>) {
        let (size, taken) = match raw {
            Raw::Mqtt { topic, payload } => (payload.len(), self.take(topic, payload, samples)),
            Raw::Bytes(bytes) => (bytes.len(), Err(Reason::Malformed)),
        };
        self.uplinks.tally.bytes += size as u64;
        if let Err(reason) = taken {
            self.uplinks.tally.reject(reason);
        }
    }

    /// Messages arrive whole: nothing is held back.
    fn finish(&mut self, _samples: &mut Vec<Sample>) {}

    fn tally(&self) -> &Tally {
        &self.uplinks.tally
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Event {
    Up,
    Join,
    Other,
}

/// The event of a topic.
fn event(topic: &str) -> Option<Event> {
    let mut levels = topic.split('/').skip_while(|level| *level != "v3").skip(1);
    let mut level = || levels.next();
    let (_application, devices, _device) = (level()?, level()?, level()?);
    if devices != "devices" {
        return None;
    }
    match (level()?, level()) {
        ("up", None) => Some(Event::Up),
        ("join", None) => Some(Event::Join),
        ("down", Some("queued" | "sent" | "ack" | "nack" | "failed"))
        | ("service", Some("data"))
        | ("location", Some("solved"))
        | ("up", Some("normalized")) => Some(Event::Other),
        _ => None,
    }
}

#[derive(Deserialize)]
struct Message {
    end_device_ids: EndDevice,
    received_at: Option<Utc>,
    uplink_message: Option<UplinkMessage>,
}

#[derive(Deserialize)]
struct EndDevice {
    device_id: String,
    dev_eui: Option<String>,
    #[serde(default, deserialize_with = "or_default")]
    dev_addr: String,
}

impl EndDevice {
    fn key(&self) -> Result<DeviceKey, Reason> {
        match &self.dev_eui {
            Some(eui) => dev_eui(eui),
            None => DeviceKey::new(&self.device_id).map_err(|_| Reason::Field),
        }
    }
}

#[derive(Deserialize)]
struct UplinkMessage {
    #[serde(default, deserialize_with = "or_default")]
    session_key_id: String,
    #[serde(default, deserialize_with = "or_default")]
    f_port: u8,
    #[serde(default, deserialize_with = "or_default")]
    f_cnt: u32,
    #[serde(default, deserialize_with = "base64")]
    frm_payload: Vec<u8>,
    decoded_payload: Option<Value>,
    #[serde(default, deserialize_with = "or_default")]
    rx_metadata: Vec<RxMetadata>,
    received_at: Option<Utc>,
    #[serde(default, deserialize_with = "or_default")]
    version_ids: VersionIds,
}

/// One gateway that heard it.
#[derive(Deserialize)]
struct RxMetadata {
    time: Option<Utc>,
    received_at: Option<Utc>,
}

/// What the device was registered as.
#[derive(Default, Deserialize)]
struct VersionIds {
    #[serde(default, deserialize_with = "or_default")]
    model_id: String,
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::decode::json::RuleText;
    use crate::place::Datum;
    use crate::sample::Quantity;
    use crate::units::{MilliCelsius, Millimetres, Permille};

    const EUI: &str = "24E124713B000001";
    const TOPIC: &str = "v3/bins@ttn/devices/bin-21/up";

    fn source() -> SourceName {
        SourceName::new("ttn").unwrap()
    }

    fn stack() -> ThingsStack {
        ThingsStack::new(source(), BTreeMap::new())
    }

    fn key() -> DeviceKey {
        DeviceKey::new(&EUI.to_ascii_lowercase()).unwrap()
    }

    /// An `up` of an EM310-UDL that sees 2116 mm, with `fields` put into its uplink message.
    fn up(fields: &[(&str, Value)]) -> Value {
        let mut message = json!({
            "end_device_ids": { "device_id": "bin-21", "dev_eui": EUI, "dev_addr": "260B5972" },
            "received_at": "2026-06-04T04:00:05Z",
            "uplink_message": {
                "session_key_id": "AXBSH1Pk6Z0G166",
                "f_port": 85,
                "f_cnt": 12,
                "frm_payload": "AXVcA4JECAQAAA==",
                "rx_metadata": [{
                    "time": "2026-06-04T04:00:03.120Z",
                    "received_at": "2026-06-04T04:00:04Z",
                }],
                "received_at": "2026-06-04T04:00:04.5Z",
                "version_ids": { "brand_id": "milesight-iot", "model_id": "em310-udl" },
            },
        });
        for (name, value) in fields {
            message["uplink_message"][*name] = value.clone();
        }
        message
    }

    fn feed(decoder: &mut ThingsStack, topic: &str, payload: &str) -> Vec<Sample> {
        let mut samples = Vec::new();
        let raw = Raw::Mqtt { topic, payload: payload.as_bytes() };
        decoder.feed(raw, Utc::from_ms(0), &mut samples);
        samples
    }

    /// The only reason that one message is refused for.
    fn reason(topic: &str, payload: &str) -> Option<Reason> {
        let mut decoder = stack();
        let samples = feed(&mut decoder, topic, payload);
        let rejected = &decoder.tally().rejected;
        assert!(rejected.len() + samples.len() <= 1, "{rejected:?} {samples:?}");
        rejected.keys().next().copied()
    }

    #[test]
    fn an_uplink_becomes_a_sample() {
        let mut decoder = stack();
        let samples = feed(&mut decoder, TOPIC, &up(&[]).to_string());
        let expected = Sample {
            source: source(),
            device: Some(key()),
            counter: Some(12),
            at: Some(Utc::parse("2026-06-04T04:00:03.120Z").unwrap()),
            quantities: vec![
                Quantity::BatteryLevel(Permille::from_percent(92)),
                Quantity::Distance(Millimetres(2116)),
                Quantity::Tilted(false),
            ],
        };
        assert_eq!(samples, [expected]);
        assert_eq!((decoder.tally().frames, decoder.tally().rejected_total()), (1, 0));
    }

    #[test]
    fn the_best_time_there_is() {
        let late = "2026-06-04T05:30:00Z";
        for (rx, at) in [
            (
                json!([{ "time": "2026-06-04T04:00:01Z", "received_at": late }]),
                "2026-06-04T04:00:01Z",
            ),
            (json!([{ "time": "2031-01-01T00:00:00Z", "received_at": late }]), late),
            (json!([{ "time": "1980-01-06T00:00:00Z", "received_at": late }]), late),
            (json!([{ "received_at": late }]), late),
            (json!([]), "2026-06-04T04:00:04.500Z"),
            (Value::Null, "2026-06-04T04:00:04.500Z"),
        ] {
            let message = up(&[("rx_metadata", rx.clone())]).to_string();
            let samples = feed(&mut stack(), TOPIC, &message);
            assert_eq!(samples[0].at, Some(Utc::parse(at).unwrap()), "{rx}");
        }
    }

    #[test]
    fn fields_at_their_default_are_left_out() {
        let mut message = up(&[("f_cnt", Value::Null), ("rx_metadata", json!([{}]))]);
        message["uplink_message"].as_object_mut().unwrap().remove("session_key_id");
        message["end_device_ids"].as_object_mut().unwrap().remove("dev_addr");
        let samples = feed(&mut stack(), TOPIC, &message.to_string());
        assert_eq!(samples[0].counter, Some(0));
        let empty = up(&[("frm_payload", Value::Null), ("f_port", Value::Null)]).to_string();
        assert_eq!(reason(TOPIC, &empty), None);
    }

    #[test]
    fn a_device_without_eui_goes_by_its_id() {
        let mut message = up(&[]);
        message["end_device_ids"].as_object_mut().unwrap().remove("dev_eui");
        let samples = feed(&mut stack(), TOPIC, &message.to_string());
        assert_eq!(samples[0].device, Some(DeviceKey::new("bin-21").unwrap()));
    }

    #[test]
    fn a_repeat_is_refused_and_a_join_starts_afresh() {
        let mut decoder = stack();
        let message = up(&[]).to_string();
        assert_eq!(feed(&mut decoder, TOPIC, &message).len(), 1);
        assert_eq!(feed(&mut decoder, TOPIC, &message).len(), 0);
        assert_eq!(decoder.tally().rejected[&Reason::Duplicate], 1);
        let join = json!({ "end_device_ids": { "device_id": "bin-21", "dev_eui": EUI } });
        feed(&mut decoder, "v3/bins@ttn/devices/bin-21/join", &join.to_string());
        assert_eq!(feed(&mut decoder, TOPIC, &message).len(), 1);
    }

    #[test]
    fn topics() {
        let payload = up(&[]).to_string();
        for (topic, expected) in [
            (TOPIC, None),
            ("v3/bins/devices/bin-21/up", None),
            ("bridge/ttn/v3/bins@ttn/devices/bin-21/up", None),
            ("v3/bins@ttn/devices/bin-21/down/queued", None),
            ("v3/bins@ttn/devices/bin-21/location/solved", None),
            ("v3/bins@ttn/devices/bin-21/up/normalized", None),
            ("v3/bins@ttn/devices/bin-21/up/other", Some(Reason::Topic)),
            ("v3/bins@ttn/gateways/bin-21/up", Some(Reason::Topic)),
            ("v3/bins@ttn/devices/up", Some(Reason::Topic)),
            ("v2/bins@ttn/devices/bin-21/up", Some(Reason::Topic)),
            ("", Some(Reason::Topic)),
        ] {
            assert_eq!(reason(topic, &payload), expected, "{topic}");
        }
        assert_eq!(feed(&mut stack(), "v3/b/devices/d/up/normalized", &payload), []);
    }

    #[test]
    fn what_is_wrong_has_its_reason() {
        let good = up(&[]).to_string();
        let eui = |eui: Value| {
            let mut message = up(&[]);
            message["end_device_ids"]["dev_eui"] = eui;
            message.to_string()
        };
        let version = json!({ "model_id": "nps405" });
        for (payload, expected) in [
            (good[..good.len() - 1].to_owned(), Reason::Json),
            (String::new(), Reason::Json),
            ("{}".to_owned(), Reason::Field),
            (eui(json!("24E1")), Reason::Field),
            (eui(json!(7)), Reason::Field),
            (up(&[("frm_payload", json!("AXV"))]).to_string(), Reason::Field),
            (up(&[("f_port", json!(256))]).to_string(), Reason::Field),
            (up(&[("f_port", json!(2))]).to_string(), Reason::Port),
            (up(&[("version_ids", version), ("f_port", json!(1))]).to_string(), Reason::Codec),
            (json!({ "end_device_ids": { "device_id": "x" } }).to_string(), Reason::Field),
            (" ".repeat(MESSAGE_MAX + 1), Reason::TooLong),
        ] {
            let start = &payload[..payload.len().min(200)];
            assert_eq!(reason(TOPIC, &payload), Some(expected), "{start}");
        }
        let mut decoder = stack();
        decoder.feed(Raw::Bytes(b"{}"), Utc::from_ms(0), &mut Vec::new());
        assert_eq!(decoder.tally().rejected[&Reason::Malformed], 1);
    }

    fn decoded() -> ThingsStack {
        let rule = |name: &str, pointer: &str, unit: &str| RuleText {
            name: name.to_owned(),
            pointer: pointer.to_owned(),
            unit: Some(unit.to_owned()),
            ..RuleText::default()
        };
        let rules = [rule("distance", "/level_cm", "cm"), rule("temperature", "/temp", "c")];
        let mapping = Mapping::new(Datum::Wgs84, &rules).unwrap();
        stack().with_decoded(&BTreeMap::from([(DeviceKey::new(EUI).unwrap(), mapping)]))
    }

    #[test]
    fn the_decoded_object_instead_of_the_bytes() {
        let object = json!({ "level_cm": 79.2, "temp": -1.5 });
        let message = up(&[("decoded_payload", object)]).to_string();
        let samples = feed(&mut decoded(), TOPIC, &message);
        let expected =
            [Quantity::Distance(Millimetres(792)), Quantity::Temperature(MilliCelsius(-1500))];
        assert_eq!(samples[0].quantities, expected);
        // Other devices are still read by their bytes.
        let samples = feed(&mut stack(), TOPIC, &message);
        assert_eq!(samples[0].quantities[1], Quantity::Distance(Millimetres(2116)));
    }

    #[test]
    fn what_the_object_lacks_is_counted() {
        for (object, samples, reason) in [
            (json!({ "level_cm": 79.2 }), 1, Reason::Field),
            (json!({ "level_cm": 79.2, "temp": 900 }), 1, Reason::OutOfRange),
            (json!({}), 0, Reason::Field),
            (json!("x"), 0, Reason::Field),
            (Value::Null, 0, Reason::Field),
        ] {
            let mut decoder = decoded();
            let message = up(&[("decoded_payload", object.clone())]).to_string();
            assert_eq!(feed(&mut decoder, TOPIC, &message).len(), samples, "{object}");
            assert_eq!(decoder.tally().rejected.get(&reason), Some(&1), "{object}");
        }
    }

    proptest! {
        #[test]
        fn noise_is_refused(noise in proptest::collection::vec(any::<u8>(), 0..300)) {
            let mut decoder = stack();
            let mut samples = Vec::new();
            let raw = Raw::Mqtt { topic: TOPIC, payload: &noise };
            decoder.feed(raw, Utc::from_ms(0), &mut samples);
            prop_assert!(samples.is_empty());
            prop_assert_eq!(decoder.tally().rejected_total(), 1);
        }

        #[test]
        fn any_field_is_read_or_counted(
            field in proptest::sample::select(&[
                "f_port", "f_cnt", "frm_payload", "rx_metadata", "received_at", "version_ids",
            ][..]),
            value in prop_oneof![
                Just(Value::Null),
                any::<i64>().prop_map(Value::from),
                "[ -~]{0,20}".prop_map(Value::from),
                Just(json!([])),
                Just(json!({})),
            ],
        ) {
            let mut decoder = stack();
            let samples = feed(&mut decoder, TOPIC, &up(&[(field, value)]).to_string());
            let tally = decoder.tally();
            prop_assert_eq!(tally.samples, samples.len() as u64);
            prop_assert!(tally.frames + tally.rejected_total() > 0);
        }

        #[test]
        fn every_cut_is_refused(kept in 0..600_usize) {
            let payload = up(&[]).to_string();
            let kept = kept.min(payload.len() - 1);
            prop_assert_eq!(reason(TOPIC, &payload[..kept]), Some(Reason::Json));
        }
    }
}
