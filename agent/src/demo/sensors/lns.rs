//! LoRaWAN devices behind a network server: the `up` events of ChirpStack v4, as it publishes them.
//!
//! The payloads are those of the devices themselves: Bosch TPS110 (public device description of The
//! Things Network, `vendor/bosch`) and Milesight EM310-UDL and EM400 (the vendor's public decoders).

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use domain::decode::lorawan::Codec;
use domain::time::{Span, Utc};
use serde_json::json;

use super::{Measured, Report};
use crate::demo::chance::Chance;
use crate::demo::street::APPLICATION;

/// One uplink in so many is delivered twice.
const TWICE_ONCE_IN: u64 = 40;

/// A message for the broker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Uplink {
    /// Where to.
    pub topic: String,
    /// What.
    pub payload: String,
}

/// What the network server did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize)]
pub struct Deliveries {
    /// Reports, each counted once.
    pub reports: u64,
    /// Reports delivered a second time.
    pub repeated: u64,
}

/// A network server with its devices.
#[derive(Debug)]
pub struct Server {
    chance: Chance,
    counters: BTreeMap<u64, u32>,
    deliveries: Deliveries,
}

impl Server {
    /// A server under `seed`.
    #[must_use]
    pub fn new(seed: u64) -> Server {
        let chance = Chance::new(seed, "network server", 0);
        Server { chance, counters: BTreeMap::new(), deliveries: Deliveries::default() }
    }

    /// What happened so far.
    #[must_use]
    pub fn deliveries(&self) -> Deliveries {
        self.deliveries
    }

    /// A device reports; gives what is published: once, now and then twice. `origin` is the time of
    /// the street's start.
    pub fn up(&mut self, eui: u64, codec: Codec, report: &Report, origin: Utc) -> Vec<Uplink> {
        let first = self.chance.between(200, 9000);
        // Within a few thousand: a device that joined some weeks ago.
        let counter = self.counters.entry(eui).or_insert(first as u32);
        *counter += 1;
        let counter = *counter;
        let (port, payload) = payload(codec, report);
        let id = (u128::from(self.chance.next()) << 64) | u128::from(self.chance.next());
        let air = Span::from_ms(self.chance.between(60, 400));
        let uplink = Uplink {
            topic: format!("application/{APPLICATION}/device/{eui:016x}/event/up"),
            payload: event(&Received {
                id,
                eui,
                codec,
                counter,
                port,
                payload: &payload,
                at: origin + report.at + air,
                rssi: -120 + i64::try_from(self.chance.between(0, 50)).unwrap_or(0),
            }),
        };
        self.deliveries.reports += 1;
        if self.chance.once_in(TWICE_ONCE_IN) {
            self.deliveries.repeated += 1;
            return vec![uplink.clone(), uplink];
        }
        vec![uplink]
    }
}

/// The device's own payload, with its port.
fn payload(codec: Codec, report: &Report) -> (u8, Vec<u8>) {
    let tenths = i16::try_from(report.temperature_mc / 100).unwrap_or(i16::MAX).to_le_bytes();
    match report.measured {
        Measured::Bay { occupied, changed: true, .. } => (1, vec![u8::from(occupied)]),
        Measured::Bay { occupied, changed: false, .. } => {
            let degrees = i8::try_from(report.temperature_mc / 1000).unwrap_or(i8::MAX);
            (2, vec![u8::from(occupied), degrees.to_le_bytes()[0]])
        }
        Measured::Bin { distance_mm } => {
            let mm = u16::try_from(distance_mm).unwrap_or(u16::MAX).to_le_bytes();
            let battery = [0x01, 0x75, 0x5C];
            let rest = if codec == Codec::MilesightEm310Udl {
                vec![0x03, 0x82, mm[0], mm[1], 0x04, 0x00, 0x00]
            } else {
                let [low, high] = tenths;
                vec![0x03, 0x67, low, high, 0x04, 0x82, mm[0], mm[1], 0x05, 0x00, 0x00]
            };
            (85, [&battery[..], &rest[..]].concat())
        }
    }
}

struct Received<'a> {
    id: u128,
    eui: u64,
    codec: Codec,
    counter: u32,
    port: u8,
    payload: &'a [u8],
    at: Utc,
    rssi: i64,
}

/// The event as ChirpStack writes it (`integration.UplinkEvent` in JSON).
fn event(up: &Received<'_>) -> String {
    let hex = format!("{:032x}", up.id);
    let id = [&hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]].join("-");
    let profile = match up.codec {
        Codec::BoschTps110 => "Bosch TPS110",
        Codec::MilesightEm310Udl => "Milesight EM310-UDL",
        _ => "Milesight EM400-MUD",
    };
    json!({
        "deduplicationId": id,
        "time": up.at,
        "deviceInfo": {
            "tenantId": "52f14cd4-c6f1-4fbd-8f87-4025e1d49242",
            "tenantName": "Longcheng",
            "applicationId": APPLICATION,
            "applicationName": "street",
            "deviceProfileId": "3c6a3b6e-0a52-4a35-a5b5-2fdd0a3b7a10",
            "deviceProfileName": profile,
            "deviceName": format!("{:016x}", up.eui),
            "devEui": format!("{:016x}", up.eui),
            "deviceClassEnabled": "CLASS_A",
            "tags": {}
        },
        "devAddr": format!("{:08x}", 0x01a0_0000 | (up.eui & 0xffff)),
        "adr": true,
        "dr": 5,
        "fCnt": up.counter,
        "fPort": up.port,
        "confirmed": false,
        "data": STANDARD.encode(up.payload),
        "rxInfo": [{
            "gatewayId": "24e124fffef79304",
            "uplinkId": up.counter,
            "gwTime": up.at,
            "nsTime": up.at + Span::from_ms(35),
            "rssi": up.rssi,
            "snr": 7.5,
            "crcStatus": "CRC_OK"
        }],
        "txInfo": {
            "frequency": 470_300_000,
            "modulation": {"lora": {"bandwidth": 125_000, "spreadingFactor": 7, "codeRate": "CR_4_5"}}
        }
    })
    .to_string()
}

#[cfg(test)]
mod tests {
    use domain::decode::lorawan::chirpstack::ChirpStack;
    use domain::decode::{Decode, Raw, Reason};
    use domain::ids::{DeviceKey, SourceName};
    use domain::sample::{Quantity, Sample};
    use domain::units::{MilliCelsius, Millimetres};

    use super::*;

    const ORIGIN: Utc = Utc::from_ms(1_780_000_000_000);

    fn read(uplinks: &[Uplink], samples: &mut Vec<Sample>, decoder: &mut ChirpStack) {
        for Uplink { topic, payload } in uplinks {
            decoder.feed(Raw::Mqtt { topic, payload: payload.as_bytes() }, ORIGIN, samples);
        }
    }

    #[test]
    fn the_real_decoder_reads_every_kind_of_payload() {
        let t = Quantity::Temperature;
        let d = |mm| Quantity::Distance(Millimetres(mm));
        let bay = |changed| Measured::Bay { occupied: true, changed, lasted: None };
        let bin = Measured::Bin { distance_mm: 2116 };
        let occupied = Quantity::Occupied(true);
        let table = [
            (Codec::BoschTps110, bay(true), vec![occupied]),
            (Codec::BoschTps110, bay(false), vec![occupied, t(MilliCelsius(25_000))]),
            (Codec::MilesightEm310Udl, bin, vec![d(2116)]),
            (Codec::MilesightEm400, bin, vec![t(MilliCelsius(25_700)), d(2116)]),
        ];
        for (i, (codec, measured, expected)) in table.into_iter().enumerate() {
            let eui = 0x24E1_2471_3B00_0000 + i as u64;
            let device = DeviceKey::new(&format!("{eui:016x}")).unwrap();
            let known = BTreeMap::from([(device.clone(), Some(codec))]);
            let mut decoder = ChirpStack::new(SourceName::new("lns").unwrap(), known);
            let mut samples = Vec::new();
            let report = Report { at: Span::from_secs(60), measured, temperature_mc: 25_750 };
            read(&Server::new(1).up(eui, codec, &report, ORIGIN), &mut samples, &mut decoder);
            assert_eq!(decoder.tally().rejected_total(), 0, "{codec:?} {:?}", decoder.tally());
            let sample = &samples[0];
            assert_eq!(sample.device, Some(device));
            let late = sample.at.unwrap().since(ORIGIN + Span::from_secs(60));
            assert!(late < Span::from_ms(500), "{late}");
            for quantity in expected {
                assert!(sample.quantities.contains(&quantity), "{codec:?}: {sample:?}");
            }
        }
    }

    #[test]
    fn what_is_delivered_twice_is_refused_once() {
        let mut server = Server::new(3);
        let mut decoder = ChirpStack::new(SourceName::new("lns").unwrap(), BTreeMap::new());
        let mut samples = Vec::new();
        for i in 0..400 {
            let measured = Measured::Bin { distance_mm: 1000 };
            let report = Report { at: Span::from_secs(i * 60), measured, temperature_mc: 27_000 };
            let eui = 0x24E1_2471_3B00_0001;
            let uplinks = server.up(eui, Codec::MilesightEm310Udl, &report, ORIGIN);
            read(&uplinks, &mut samples, &mut decoder);
        }
        let Deliveries { reports, repeated } = server.deliveries();
        assert_eq!((reports, samples.len()), (400, 400));
        assert!(repeated > 2, "{repeated}");
        assert_eq!(decoder.tally().rejected.get(&Reason::Duplicate), Some(&repeated));
        assert_eq!(decoder.tally().rejected_total(), repeated);
    }
}
