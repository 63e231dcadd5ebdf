//! The same events as protobuf.
//!
//! Field numbers: `integration.proto` and `gw.proto` of the ChirpStack API, version 4.

use crate::decode::Reason;

use super::super::protobuf::{Wire, each_field};
use super::{DeviceInfo, Event, Nothing, RxInfo, Status, Up};

/// `UplinkEvent`.
pub(super) fn up(payload: &[u8]) -> Result<Event<Up>, Reason> {
    let mut up = Up::default();
    let mut rx_info = Vec::new();
    let event = event(payload, COMMON, |number, value| {
        match number {
            4 => up.dev_addr = value.text()?,
            7 => up.f_cnt = value.number()?,
            8 => up.f_port = value.number()?,
            10 => up.data = value.bytes()?.to_vec(),
            11 => up.object = Some(value.object()?),
            12 => rx_info.push(rx(value.bytes()?)?),
            _ => {}
        }
        Ok(())
    })?;
    up.rx_info = rx_info;
    Ok(event.with(up))
}

/// `StatusEvent`.
pub(super) fn status(payload: &[u8]) -> Result<Event<Status>, Reason> {
    let mut status = Status::default();
    let event = event(payload, COMMON, |number, value| {
        match number {
            6 => status.external_power_source = value.truth()?,
            7 => status.battery_level_unavailable = value.truth()?,
            8 => status.battery_level = Some(value.float()?),
            _ => {}
        }
        Ok(())
    })?;
    Ok(event.with(status))
}

/// `JoinEvent`, and all others whose first three fields are the common ones.
pub(super) fn join(payload: &[u8]) -> Result<Event<Nothing>, Reason> {
    event(payload, COMMON, |_, _| Ok(()))
}

/// `TxAckEvent`: a number in place of the deduplication id.
pub(super) fn tx_ack(payload: &[u8]) -> Result<Event<Nothing>, Reason> {
    event(payload, Common { deduplication_id: 0, ..COMMON }, |_, _| Ok(()))
}

/// `LogEvent`: no deduplication id, so the others have moved up.
pub(super) fn log(payload: &[u8]) -> Result<Event<Nothing>, Reason> {
    event(payload, Common { deduplication_id: 0, time: 1, device_info: 2 }, |_, _| Ok(()))
}

/// The numbers of the fields that all events have; no field has 0.
#[derive(Clone, Copy)]
struct Common {
    deduplication_id: u32,
    time: u32,
    device_info: u32,
}

const COMMON: Common = Common { deduplication_id: 1, time: 2, device_info: 3 };

/// Reads what all events have, and hands over the other fields.
fn event<'a>(
    payload: &'a [u8],
    common: Common,
    mut other: impl FnMut(u32, Wire<'a>) -> Result<(), Reason>,
) -> Result<Event<Nothing>, Reason> {
    let (mut deduplication_id, mut time, mut device_info) = (None, None, None);
    each_field(payload, |number, value| {
        if number == common.deduplication_id {
            deduplication_id = Some(value.text()?);
        } else if number == common.time {
            time = Some(value.time()?);
        } else if number == common.device_info {
            device_info = Some(device(value.bytes()?)?);
        } else {
            other(number, value)?;
        }
        Ok(())
    })?;
    let device_info = device_info.ok_or(Reason::Field)?;
    Ok(Event { deduplication_id, time, device_info, body: Nothing {} })
}

impl Event<Nothing> {
    fn with<B>(self, body: B) -> Event<B> {
        let Event { deduplication_id, time, device_info, body: Nothing {} } = self;
        Event { deduplication_id, time, device_info, body }
    }
}

/// `DeviceInfo`.
fn device(message: &[u8]) -> Result<DeviceInfo, Reason> {
    let mut info = DeviceInfo { dev_eui: String::new(), device_profile_name: String::new() };
    each_field(message, |number, value| {
        match number {
            6 => info.device_profile_name = value.text()?,
            8 => info.dev_eui = value.text()?,
            _ => {}
        }
        Ok(())
    })?;
    Ok(info)
}

/// `UplinkRxInfo`.
fn rx(message: &[u8]) -> Result<RxInfo, Reason> {
    let mut info = RxInfo { gw_time: None, ns_time: None };
    each_field(message, |number, value| {
        match number {
            3 => info.gw_time = Some(value.time()?),
            17 => info.ns_time = Some(value.time()?),
            _ => {}
        }
        Ok(())
    })?;
    Ok(info)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;
    use serde_json::json;

    use super::super::super::protobuf::write::{bytes, double, entry, float, number, time};
    use super::super::{ChirpStack, json as from_json};
    use super::*;
    use crate::decode::{Decode, Raw};
    use crate::ids::{DeviceKey, SourceName};
    use crate::sample::{Quantity, Sample};
    use crate::time::Utc;
    use crate::units::{Millimetres, Permille};

    const EUI: &str = "24e124713b000001";
    const UUID: &str = "4a91b00d-b5e1-4955-b085-ba21b9318213";

    fn info(field: u64) -> Vec<u8> {
        let parts = [bytes(4, b"bins"), bytes(6, b"Milesight EM310-UDL"), bytes(8, EUI.as_bytes())];
        bytes(field, &parts.concat())
    }

    fn common() -> Vec<u8> {
        [bytes(1, UUID.as_bytes()), time(2, 1_780_545_603, 120_000_000), info(3)].concat()
    }

    fn rx(gateway: i64, server: i64) -> Vec<u8> {
        let parts = [bytes(1, b"5030"), number(2, 7), time(3, gateway, 0), time(17, server, 0)];
        bytes(12, &[parts.concat(), float(7, -8.5)].concat())
    }

    fn uplink() -> Vec<u8> {
        let data = [0x01, 0x75, 0x5c, 0x03, 0x82, 0x44, 0x08, 0x04, 0x00, 0x00];
        let object = entry("distance", &double(2, 2116.0));
        let parts = [
            bytes(4, b"01dfbaf2"),
            number(5, 1),
            number(6, 5),
            number(7, 12),
            number(8, 85),
            bytes(10, &data),
            bytes(11, &object),
            rx(1_780_545_602, 1_780_545_604),
        ];
        [common(), parts.concat()].concat()
    }

    fn feed(decoder: &mut ChirpStack, event: &str, payload: &[u8]) -> Vec<Sample> {
        let mut samples = Vec::new();
        let topic = format!("application/59bcc5a7/device/{EUI}/event/{event}");
        decoder.feed(Raw::Mqtt { topic: &topic, payload }, Utc::from_ms(0), &mut samples);
        samples
    }

    fn chirpstack() -> ChirpStack {
        ChirpStack::new(SourceName::new("lns").unwrap(), BTreeMap::new())
    }

    #[test]
    fn the_same_uplink_in_both_forms() {
        let in_json = json!({
            "deduplicationId": UUID,
            "time": "2026-06-04T04:00:03.12+00:00",
            "deviceInfo": { "devEui": EUI, "deviceProfileName": "Milesight EM310-UDL" },
            "devAddr": "01dfbaf2",
            "fCnt": 12,
            "fPort": 85,
            "data": "AXVcA4JECAQAAA==",
            "object": { "distance": 2116.0 },
            "rxInfo": [
                { "gwTime": "2026-06-04T04:00:02Z", "nsTime": "2026-06-04T04:00:04Z" },
            ],
        });
        assert_eq!(up(&uplink()), from_json(in_json.to_string().as_bytes()));
        let mut decoder = chirpstack();
        let samples = feed(&mut decoder, "up", &uplink());
        let expected = Sample {
            source: SourceName::new("lns").unwrap(),
            device: Some(DeviceKey::new(EUI).unwrap()),
            counter: Some(12),
            at: Some(Utc::parse("2026-06-04T04:00:02Z").unwrap()),
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
    fn the_other_events() {
        let status = [common(), number(5, 7), float(8, 85.75)].concat();
        let mut decoder = chirpstack();
        let samples = feed(&mut decoder, "status", &status);
        assert_eq!(samples[0].quantities, [Quantity::BatteryLevel(Permille::clamped(858))]);
        let external = [common(), number(6, 1), float(8, 85.75)].concat();
        assert_eq!(feed(&mut chirpstack(), "status", &external), []);
        for (event, payload) in [
            ("join", [common(), bytes(4, b"01009400")].concat()),
            ("ack", [common(), number(5, 1)].concat()),
            ("txack", [number(1, 7), time(2, 1_780_545_603, 0), info(3)].concat()),
            ("log", [time(1, 1_780_545_603, 0), info(2), number(4, 5)].concat()),
        ] {
            let mut decoder = chirpstack();
            assert_eq!(feed(&mut decoder, event, &payload), [], "{event}");
            let tally = decoder.tally();
            assert_eq!((tally.frames, tally.rejected_total()), (1, 0), "{event}");
        }
    }

    #[test]
    fn what_is_wrong_has_its_reason() {
        for (payload, reason) in [
            ([common(), number(8, 256)].concat(), Reason::Field),
            ([common(), number(7, 1 << 32)].concat(), Reason::Field),
            ([common(), bytes(7, b"12")].concat(), Reason::Field),
            ([common(), bytes(4, &[0xff])].concat(), Reason::Field),
            ([common(), vec![0x0b]].concat(), Reason::Malformed),
            (bytes(1, UUID.as_bytes()), Reason::Field),
        ] {
            let mut decoder = chirpstack();
            assert_eq!(feed(&mut decoder, "up", &payload), []);
            let rejected = &decoder.tally().rejected;
            assert_eq!(rejected.get(&reason), Some(&1), "{payload:02x?} {rejected:?}");
        }
    }

    #[test]
    fn json_after_a_line_feed_is_json() {
        let mut decoder = chirpstack();
        feed(&mut decoder, "up", b"\n\n  {}");
        assert_eq!(decoder.tally().rejected[&Reason::Field], 1);
        feed(&mut decoder, "up", b"\n  {");
        assert_eq!(decoder.tally().rejected[&Reason::Json], 1);
    }

    proptest! {
        /// A cut between two fields is a shorter message, and says less, never something else.
        #[test]
        fn every_cut_is_refused_or_says_less(kept in 0..400_usize) {
            let whole = uplink();
            let kept = kept.min(whole.len() - 1);
            let samples = feed(&mut chirpstack(), "up", &whole[..kept]);
            for sample in samples {
                prop_assert_eq!(sample.device, Some(DeviceKey::new(EUI).unwrap()));
                prop_assert_eq!(sample.quantities.len(), 3);
            }
        }

        #[test]
        fn noise_is_refused(noise in proptest::collection::vec(any::<u8>(), 0..200)) {
            let payload = [vec![0x0a], noise].concat();
            let mut decoder = chirpstack();
            prop_assert!(feed(&mut decoder, "up", &payload).is_empty());
            prop_assert_eq!(decoder.tally().rejected_total(), 1);
        }
    }
}
