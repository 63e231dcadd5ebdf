//! ChirpStack v4: its events over MQTT.
//!
//! Topics are `application/{id}/device/{devEui}/event/{event}`, also behind a prefix. Events and their
//! fields: `integration.proto` of the ChirpStack API; in JSON, a field at its default may be left out.
//! Which of the two forms a server publishes is its setting (`json`), told apart here by the first
//! bytes. Of the events, `up` carries measurements and `status` the battery; `join` says that the frame
//! counter begins again. The others are counted and nothing else.

mod binary;

use std::collections::BTreeMap;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::decode::json::Mapping;
use crate::decode::{Decode, Raw, Reason, Tally};
use crate::ids::{DeviceKey, SourceName};
use crate::sample::{Quantity, Sample};
use crate::time::Utc;
use crate::units::Permille;

use super::Codec;
use super::uplinks::{Heard, Uplink, Uplinks, base64, dev_eui, or_default, received_on_air};

/// The longest message that is read. An uplink that a hundred gateways heard is a tenth of it.
const MESSAGE_MAX: usize = 256 * 1024;

/// Decodes the events of one ChirpStack.
#[derive(Debug, Clone)]
pub struct ChirpStack {
    uplinks: Uplinks,
}

impl ChirpStack {
    /// A decoder for the events that arrive by `source`. `devices` names the codec of each known
    /// DevEUI (upper or lower case); without one, and for devices that are not in it, the codec is
    /// inferred ([`Codec::infer`]) from `deviceProfileName` and FPort. Which devices belong to an
    /// asset is not decided here.
    #[must_use]
    pub fn new(source: SourceName, devices: BTreeMap<DeviceKey, Option<Codec>>) -> ChirpStack {
        ChirpStack { uplinks: Uplinks::new(source, devices) }
    }

    /// The reports of these devices are read from the object that the server's own codec made of
    /// them (`object`), whatever codec was named for them.
    #[must_use]
    pub fn with_decoded(mut self, devices: &BTreeMap<DeviceKey, Mapping>) -> ChirpStack {
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
        let (eui, event) = parse_topic(topic)?;
        match event {
            "up" => self.up(read(payload, eui, binary::up)?, samples),
            "status" => self.status(read(payload, eui, binary::status)?, samples),
            "join" => {
                let (device, join) = read(payload, eui, binary::join)?;
                self.count(&join)?;
                self.uplinks.joined(&device);
                Ok(())
            }
            "ack" | "location" | "integration" => self.count(&read(payload, eui, binary::join)?.1),
            "txack" => self.count(&read(payload, eui, binary::tx_ack)?.1),
            "log" => self.count(&read(payload, eui, binary::log)?.1),
            _ => Err(Reason::Topic),
        }
    }

    fn up(
        &mut self,
        (device, event): (DeviceKey, Event<Up>),
        samples: &mut Vec<Sample>,
    ) -> Result<(), Reason> {
        self.count(&event)?;
        let heard = event.body.rx_info.iter().map(RxInfo::heard);
        let heard: Vec<Heard> = heard.collect();
        let uplink = Uplink {
            device,
            at: self.uplinks.believed(received_on_air(&heard, event.time)),
            session: event.body.dev_addr,
            counter: event.body.f_cnt,
            port: event.body.f_port,
            payload: event.body.data,
            decoded: event.body.object,
            profile: event.device_info.device_profile_name,
        };
        self.uplinks.take(uplink, samples)
    }

    fn status(
        &mut self,
        (device, event): (DeviceKey, Event<Status>),
        samples: &mut Vec<Sample>,
    ) -> Result<(), Reason> {
        self.count(&event)?;
        let Status { external_power_source, battery_level_unavailable, battery_level } = event.body;
        let percent = match battery_level {
            // Without a battery, or without knowing it, the number means nothing.
            Some(_) if external_power_source || battery_level_unavailable => return Ok(()),
            Some(percent) if (0.0..=100.0).contains(&percent) => percent,
            Some(_) => return Err(Reason::OutOfRange),
            None => return Ok(()),
        };
        // In range, so the rounded product fits.
        let level = Permille::clamped(libm::round(percent * 10.0) as i64);
        let at = self.uplinks.believed(event.time.into_iter());
        let quantities = vec![Quantity::BatteryLevel(level)];
        self.uplinks.give_out(device, None, at, quantities, samples);
        Ok(())
    }

    /// Counts a message that was read, and refuses one that was read before.
    fn count<B>(&mut self, event: &Event<B>) -> Result<(), Reason> {
        let transmission = event.deduplication_id.as_deref().map(transmission);
        self.uplinks.tally.frames += 1;
        self.uplinks.refuse_repeat(transmission)
    }
}

impl Decode for ChirpStack {
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

/// What all events have, and what only this one has.
#[derive(Debug, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Event<B> {
    deduplication_id: Option<String>,
    time: Option<Utc>,
    device_info: DeviceInfo,
    #[serde(flatten)]
    body: B,
}

#[derive(Debug, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
struct DeviceInfo {
    dev_eui: String,
    #[serde(default, deserialize_with = "or_default")]
    device_profile_name: String,
}

#[derive(Debug, PartialEq, Deserialize)]
struct Nothing {}

#[derive(Debug, PartialEq, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Up {
    #[serde(default, deserialize_with = "or_default")]
    dev_addr: String,
    #[serde(default, deserialize_with = "or_default")]
    f_cnt: u32,
    #[serde(default, deserialize_with = "or_default")]
    f_port: u8,
    #[serde(default, deserialize_with = "base64")]
    data: Vec<u8>,
    /// Only where the server has a codec for the device.
    object: Option<Value>,
    #[serde(default, deserialize_with = "or_default")]
    rx_info: Vec<RxInfo>,
}

/// One gateway that heard it.
#[derive(Debug, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
struct RxInfo {
    gw_time: Option<Utc>,
    ns_time: Option<Utc>,
}

impl RxInfo {
    fn heard(&self) -> Heard {
        Heard { by_gateway: self.gw_time, by_server: self.ns_time }
    }
}

#[derive(Debug, PartialEq, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Status {
    #[serde(default, deserialize_with = "or_default")]
    external_power_source: bool,
    #[serde(default, deserialize_with = "or_default")]
    battery_level_unavailable: bool,
    /// Percent. Left out where nothing is known, so there is no default.
    battery_level: Option<f64>,
}

/// DevEUI and event name of a topic.
fn parse_topic(topic: &str) -> Result<(&str, &str), Reason> {
    let mut levels = topic.rsplit('/');
    let mut level = || levels.next().unwrap_or_default();
    let (event, event_word, dev_eui, device_word) = (level(), level(), level(), level());
    let (_application, application_word) = (level(), level());
    match (application_word, device_word, event_word) {
        ("application", "device", "event") => Ok((dev_eui, event)),
        _ => Err(Reason::Topic),
    }
}

/// Reads an event and checks that it is about the device that its topic names: whoever may publish on
/// one device's topic must not be able to speak for another.
fn read<B: DeserializeOwned>(
    payload: &[u8],
    topic_eui: &str,
    binary: fn(&[u8]) -> Result<Event<B>, Reason>,
) -> Result<(DeviceKey, Event<B>), Reason> {
    let event = if is_binary(payload) { binary(payload)? } else { json(payload)? };
    let device = dev_eui(&event.device_info.dev_eui)?;
    let agree = device.as_str().eq_ignore_ascii_case(topic_eui);
    if agree { Ok((device, event)) } else { Err(Reason::Field) }
}

fn json<B: DeserializeOwned>(payload: &[u8]) -> Result<Event<B>, Reason> {
    serde_json::from_slice(payload)
        .map_err(|error| if error.is_data() { Reason::Field } else { Reason::Json })
}

/// Every event has a text or a message as its first field, or a number: as protobuf it begins with 0x0a
/// or 0x08. The first is a line feed, after which JSON would go on with white space or its object.
fn is_binary(payload: &[u8]) -> bool {
    let object = || payload.iter().find(|byte| !byte.is_ascii_whitespace()) == Some(&b'{');
    matches!(payload.first(), Some(0x08 | 0x0a)) && !object()
}

/// The deduplication id is a UUID.
fn transmission(id: &str) -> u128 {
    let digits: String = id.chars().filter(|&c| c != '-').take(33).collect();
    match u128::from_str_radix(&digits, 16) {
        Ok(uuid) if digits.len() == 32 => uuid,
        // Not the form ChirpStack uses, and still the same text for the same transmission.
        _ => {
            let hash = Sha256::digest(id.as_bytes());
            hash.iter().take(16).fold(0, |number, &byte| number << 8 | u128::from(byte))
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::decode::json::{RuleText, Word};
    use crate::place::Datum;
    use crate::units::Millimetres;

    const EUI: &str = "24e124713b000001";

    fn source() -> SourceName {
        SourceName::new("lns").unwrap()
    }

    fn chirpstack() -> ChirpStack {
        ChirpStack::new(source(), BTreeMap::new())
    }

    /// An `up` of an EM310-UDL that sees 2116 mm, with `fields` added or put in place of its own.
    fn up(fields: &[(&str, Value)]) -> String {
        event(
            &[
                ("devAddr", "01dfbaf2".into()),
                ("fCnt", 12.into()),
                ("fPort", 85.into()),
                ("data", "AXVcA4JECAQAAA==".into()),
            ],
            fields,
        )
    }

    fn event(own: &[(&str, Value)], fields: &[(&str, Value)]) -> String {
        let mut event = serde_json::json!({
            "time": "2026-06-04T04:00:03.12+00:00",
            "deviceInfo": { "devEui": EUI, "deviceProfileName": "Milesight EM310-UDL" },
        });
        for (name, value) in own.iter().chain(fields) {
            event[*name] = value.clone();
        }
        event.to_string()
    }

    fn topic(event: &str) -> String {
        format!("application/59bcc5a7/device/{EUI}/event/{event}")
    }

    fn feed(decoder: &mut ChirpStack, event: &str, payload: &str) -> Vec<Sample> {
        let mut samples = Vec::new();
        let raw = Raw::Mqtt { topic: &topic(event), payload: payload.as_bytes() };
        decoder.feed(raw, Utc::from_ms(0), &mut samples);
        samples
    }

    /// The only reason that one message is refused for.
    fn reason(topic: &str, payload: &str) -> Option<Reason> {
        let mut decoder = chirpstack();
        let mut samples = Vec::new();
        let raw = Raw::Mqtt { topic, payload: payload.as_bytes() };
        decoder.feed(raw, Utc::from_ms(0), &mut samples);
        let rejected = &decoder.tally().rejected;
        assert!(rejected.len() + samples.len() <= 1, "{rejected:?} {samples:?}");
        rejected.keys().next().copied()
    }

    #[test]
    fn an_uplink_becomes_a_sample() {
        let mut decoder = chirpstack();
        let payload = up(&[]);
        let samples = feed(&mut decoder, "up", &payload);
        let expected = Sample {
            source: source(),
            device: Some(DeviceKey::new(EUI).unwrap()),
            counter: Some(12),
            at: Some(Utc::parse("2026-06-04T04:00:03.120Z").unwrap()),
            quantities: vec![
                Quantity::BatteryLevel(Permille::from_percent(92)),
                Quantity::Distance(Millimetres(2116)),
                Quantity::Tilted(false),
            ],
        };
        assert_eq!(samples, [expected]);
        let tally = decoder.tally();
        assert_eq!((tally.bytes, tally.frames, tally.samples), (payload.len() as u64, 1, 1));
        assert_eq!(tally.rejected_total(), 0);
    }

    #[test]
    fn upper_case_is_the_same_device() {
        let key = DeviceKey::new(&EUI.to_ascii_uppercase()).unwrap();
        let devices = BTreeMap::from([(key, Some(Codec::BoschTps110))]);
        let mut decoder = ChirpStack::new(source(), devices);
        let mut samples = Vec::new();
        let info = serde_json::json!({ "devEui": EUI.to_ascii_uppercase() });
        let payload = up(&[("deviceInfo", info), ("fPort", 1.into()), ("data", "AQ==".into())]);
        let topic = topic("up").to_ascii_lowercase();
        decoder.feed(
            Raw::Mqtt { topic: &topic, payload: payload.as_bytes() },
            Utc::from_ms(0),
            &mut samples,
        );
        assert_eq!(samples[0].device.as_ref().unwrap().as_str(), EUI);
        assert_eq!(samples[0].quantities, [Quantity::Occupied(true)]);
    }

    #[test]
    fn the_codec_that_was_set_goes_before_the_inferred_one() {
        let key = DeviceKey::new(EUI).unwrap();
        let bosch = BTreeMap::from([(key.clone(), Some(Codec::BoschTps110))]);
        let mut set = ChirpStack::new(source(), bosch);
        assert_eq!(feed(&mut set, "up", &up(&[])), []);
        assert_eq!(set.tally().rejected[&Reason::Port], 1);
        let mut not_set = ChirpStack::new(source(), BTreeMap::from([(key, None)]));
        assert_eq!(feed(&mut not_set, "up", &up(&[])).len(), 1);
    }

    #[test]
    fn the_decoded_object_instead_of_the_bytes() {
        let rule = RuleText {
            name: "occupied".to_owned(),
            pointer: "/state".to_owned(),
            values: [("CAR".to_owned(), Word::Truth(true))].into(),
            ..RuleText::default()
        };
        let mapping = Mapping::new(Datum::Wgs84, &[rule]).unwrap();
        let devices = BTreeMap::from([(DeviceKey::new(EUI).unwrap(), mapping)]);
        let mut decoder = chirpstack().with_decoded(&devices);
        let with = |counter: u32, object: Value| {
            up(&[("fCnt", counter.into()), ("object", object), ("fPort", 2.into())])
        };
        let car = with(1, serde_json::json!({ "state": "CAR" }));
        assert_eq!(feed(&mut decoder, "up", &car)[0].quantities, [Quantity::Occupied(true)]);
        assert_eq!(feed(&mut decoder, "up", &car), [], "the same report");
        let gone = with(2, serde_json::json!({ "state": "GONE" }));
        assert_eq!(feed(&mut decoder, "up", &gone), []);
        assert_eq!(decoder.tally().rejected[&Reason::OutOfRange], 1);
        assert_eq!(feed(&mut decoder, "up", &with(3, Value::Null)), []);
        assert_eq!(decoder.tally().rejected[&Reason::Field], 1);
    }

    #[test]
    fn the_best_time_there_is() {
        let rx = |gw: &str, ns: &str| serde_json::json!({ "gwTime": gw, "nsTime": ns });
        let (early, late) = ("2026-06-04T04:00:01Z", "2026-06-04T05:30:00Z");
        let unset = "1970-01-01T00:00:07Z";
        let event = "2026-06-04T04:00:03.120Z";
        for (rx_info, at) in [
            // Passed on late: the gateway's time is that of the measurement.
            (serde_json::json!([rx(early, late)]), Some(early)),
            (serde_json::json!([{ "gwTime": early }]), Some(early)),
            (serde_json::json!([{ "nsTime": late }]), Some(late)),
            // A gateway whose clock is not set, or ahead.
            (serde_json::json!([rx(unset, late)]), Some(late)),
            (serde_json::json!([rx(unset, late), rx(early, late)]), Some(early)),
            (serde_json::json!([rx("2031-01-01T00:00:00Z", late)]), Some(late)),
            (serde_json::json!([]), Some(event)),
            (Value::Null, Some(event)),
        ] {
            let samples = feed(&mut chirpstack(), "up", &up(&[("rxInfo", rx_info.clone())]));
            let expected = at.map(|at| Utc::parse(at).unwrap());
            assert_eq!(samples[0].at, expected, "{rx_info}");
        }
    }

    #[test]
    fn no_believable_time_is_no_time_and_counted() {
        let mut decoder = chirpstack();
        let samples = feed(&mut decoder, "up", &up(&[("time", "1970-01-01T00:00:07Z".into())]));
        assert_eq!((samples.len(), samples[0].at), (1, None));
        assert_eq!(decoder.tally().rejected[&Reason::Time], 1);
        let samples = feed(&mut chirpstack(), "up", &up(&[("time", Value::Null)]));
        assert_eq!(samples[0].at, None);
    }

    #[test]
    fn a_repeat_is_refused() {
        let id = |n: u8| serde_json::json!(format!("4a91b00d-b5e1-4955-b085-ba21b93182{n:02x}"));
        let of = |n: u8, counter: u32| up(&[("deduplicationId", id(n)), ("fCnt", counter.into())]);
        let mut decoder = chirpstack();
        let mut taken = |payload: &str| feed(&mut decoder, "up", payload).len();
        assert_eq!(taken(&of(1, 12)), 1);
        assert_eq!(taken(&of(1, 12)), 0, "delivered again");
        assert_eq!(taken(&of(1, 13)), 0, "the same transmission");
        assert_eq!(taken(&of(2, 12)), 0, "the same report");
        assert_eq!(taken(&of(3, 13)), 1);
        assert_eq!(taken(&of(4, 0)), 1, "the device has started again");
        assert_eq!(taken(&of(5, 12)), 1);
        assert_eq!(decoder.tally().rejected[&Reason::Duplicate], 3);
        let joined = event(&[("devAddr", "01009400".into())], &[]);
        assert_eq!(feed(&mut decoder, "join", &joined), []);
        assert_eq!(feed(&mut decoder, "up", &of(6, 12)).len(), 1, "after a join");
    }

    #[test]
    fn the_battery_comes_with_the_status() {
        let status = |level: Value, external: bool, unavailable: bool| {
            let fields = [
                ("batteryLevel", level),
                ("externalPowerSource", external.into()),
                ("batteryLevelUnavailable", unavailable.into()),
            ];
            let mut decoder = chirpstack();
            let samples = feed(&mut decoder, "status", &event(&fields, &[]));
            let quantities = samples.into_iter().flat_map(|sample| sample.quantities).collect();
            (quantities, decoder.tally().rejected.keys().next().copied())
        };
        let level = |permille| vec![Quantity::BatteryLevel(Permille::clamped(permille))];
        assert_eq!(status(85.826_775.into(), false, false), (level(858), None));
        assert_eq!(status(0.into(), false, false), (level(0), None));
        assert_eq!(status(100.into(), false, false), (level(1000), None));
        assert_eq!(status(0.into(), true, false), (vec![], None));
        assert_eq!(status(0.into(), false, true), (vec![], None));
        assert_eq!(status(Value::Null, false, false), (vec![], None));
        assert_eq!(status(254.into(), false, false), (vec![], Some(Reason::OutOfRange)));
    }

    #[test]
    fn a_frame_without_application_data_is_no_sample() {
        for fields in [
            vec![("data", Value::Null), ("fPort", Value::Null)],
            vec![("data", "".into()), ("fPort", 0.into())],
        ] {
            let mut decoder = chirpstack();
            assert_eq!(feed(&mut decoder, "up", &up(&fields)), []);
            assert_eq!((decoder.tally().frames, decoder.tally().rejected_total()), (1, 0));
        }
    }

    #[test]
    fn what_is_wrong_has_its_reason() {
        let good = up(&[]);
        let info = |eui: &str, profile: &str| serde_json::json!({ "devEui": eui, "deviceProfileName": profile });
        let no_model = info(EUI, "parking");
        for (payload, expected) in [
            (good.clone(), None),
            (good[..good.len() - 1].to_owned(), Some(Reason::Json)),
            (String::new(), Some(Reason::Json)),
            ("[]".to_owned(), Some(Reason::Field)),
            ("{}".to_owned(), Some(Reason::Field)),
            (up(&[("deviceInfo", info("24e124713b000002", ""))]), Some(Reason::Field)),
            (up(&[("deviceInfo", info("24e1", ""))]), Some(Reason::Field)),
            (up(&[("data", "AXV".into())]), Some(Reason::Field)),
            (up(&[("data", 7.into())]), Some(Reason::Field)),
            (up(&[("fPort", 256.into())]), Some(Reason::Field)),
            (up(&[("fCnt", (-1).into())]), Some(Reason::Field)),
            (up(&[("time", "yesterday".into())]), Some(Reason::Field)),
            (up(&[("deduplicationId", "x".into())]), None),
            (up(&[("deviceInfo", no_model.clone()), ("fPort", 2.into())]), Some(Reason::Codec)),
            (up(&[("fPort", 2.into())]), Some(Reason::Port)),
            (up(&[("data", "AXVcA3cCAA==".into())]), Some(Reason::Payload)),
            (up(&[("data", "AXVcA4JE".into())]), Some(Reason::Truncated)),
            (up(&[("object", "x".repeat(MESSAGE_MAX).into())]), Some(Reason::TooLong)),
        ] {
            let start = &payload[..payload.len().min(200)];
            assert_eq!(reason(&topic("up"), &payload), expected, "{start}");
        }
        // An unknown model on the vendor's port is read by its records.
        assert_eq!(reason(&topic("up"), &up(&[("deviceInfo", no_model)])), None);
    }

    #[test]
    fn topics() {
        let payload = up(&[]);
        for (topic, expected) in [
            (topic("up"), None),
            (format!("cs/eu868/{}", topic("up")), None),
            (topic("ack"), None),
            (topic("txack"), None),
            (topic("log"), None),
            (topic("upside"), Some(Reason::Topic)),
            (format!("application/a/device/{EUI}/command/down"), Some(Reason::Topic)),
            ("v3/app@ttn/devices/x/up".to_owned(), Some(Reason::Topic)),
            (String::new(), Some(Reason::Topic)),
            ("application/a/device/0000000000000001/event/up".to_owned(), Some(Reason::Field)),
        ] {
            assert_eq!(reason(&topic, &payload), expected, "{topic}");
        }
    }

    #[test]
    fn bytes_of_a_stream_are_refused() {
        let mut decoder = chirpstack();
        decoder.feed(Raw::Bytes(b"{}"), Utc::from_ms(0), &mut Vec::new());
        assert_eq!(decoder.tally().rejected[&Reason::Malformed], 1);
        assert_eq!(decoder.tally().bytes, 2);
    }

    fn any_json() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Into::into),
            any::<i64>().prop_map(Into::into),
            any::<f64>().prop_map(Into::into),
            "[ -~]{0,20}".prop_map(Into::into),
        ];
        let name =
            prop_oneof![Just("devEui".to_owned()), Just("gwTime".to_owned()), "[a-zA-Z]{0,8}",];
        leaf.prop_recursive(3, 16, 4, move |inner| {
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..4).prop_map(Into::into),
                proptest::collection::btree_map(name.clone(), inner, 0..4)
                    .prop_map(|map| map.into_iter().collect::<serde_json::Map<_, _>>().into()),
            ]
        })
    }

    const FIELDS: [&str; 12] = [
        "deduplicationId",
        "time",
        "deviceInfo",
        "devAddr",
        "fCnt",
        "fPort",
        "data",
        "rxInfo",
        "object",
        "batteryLevel",
        "externalPowerSource",
        "batteryLevelUnavailable",
    ];

    proptest! {
        #[test]
        fn any_message_is_a_sample_or_counted(
            kind in prop_oneof![Just("up"), Just("status"), Just("join"), Just("log"), Just("x")],
            field in proptest::sample::select(&FIELDS[..]),
            value in any_json(),
        ) {
            let mut decoder = chirpstack();
            let samples = feed(&mut decoder, kind, &up(&[(field, value)]));
            let tally = decoder.tally();
            prop_assert_eq!(tally.samples, samples.len() as u64);
            prop_assert!(tally.frames + tally.rejected_total() > 0);
        }

        #[test]
        fn noise_is_refused(noise in proptest::collection::vec(any::<u8>(), 0..300)) {
            let mut decoder = chirpstack();
            let mut samples = Vec::new();
            let raw = Raw::Mqtt { topic: &topic("up"), payload: &noise };
            decoder.feed(raw, Utc::from_ms(0), &mut samples);
            prop_assert!(samples.is_empty());
            prop_assert_eq!(decoder.tally().rejected_total(), 1);
        }

        #[test]
        fn every_cut_is_refused(kept in 0..250_usize) {
            let payload = up(&[]);
            let kept = kept.min(payload.len() - 1);
            prop_assert_eq!(reason(&topic("up"), &payload[..kept]), Some(Reason::Json));
        }
    }
}
