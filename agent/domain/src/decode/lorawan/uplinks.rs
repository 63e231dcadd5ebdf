//! What all network servers have in common once their messages are read: repeats are sorted out, the
//! time is picked that can be believed, the codec is picked, the payload becomes a sample, and
//! everything is counted.

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Deserializer};
use serde_json::Value;

use crate::decode::json::Mapping;
use crate::decode::{Reason, Tally};
use crate::ids::{DeviceKey, SourceName};
use crate::sample::{Quantity, Sample};
use crate::time::{Span, Utc};

use super::recent::Recent;
use super::{Codec, decode};

/// 2015-01-01: before there was LoRaWAN, so the clock was not set.
const DATE_FLOOR: Utc = Utc::from_ms(1_420_070_400_000);

/// A gateway whose clock is ahead of the server's by more than this is not believed.
const GATEWAY_AHEAD_MAX: Span = Span::from_secs(10);

/// A report of a device, as a network server passed it on.
pub(super) struct Uplink {
    /// DevEUI in lower case.
    pub(super) device: DeviceKey,
    /// Changes when the device joins: its device address or a session id.
    pub(super) session: String,
    /// The frame counter (FCnt).
    pub(super) counter: u32,
    /// The application port (FPort), 0 for none.
    pub(super) port: u8,
    /// The application payload, decrypted.
    pub(super) payload: Vec<u8>,
    /// What the network server itself made of the payload.
    pub(super) decoded: Option<Value>,
    /// What the network server calls this kind of device.
    pub(super) profile: String,
    /// When it was received on air.
    pub(super) at: Option<Utc>,
}

/// When a gateway heard a report, by its own clock and by the server's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Heard {
    /// By the gateway's clock.
    pub(super) by_gateway: Option<Utc>,
    /// When it arrived at the network server.
    pub(super) by_server: Option<Utc>,
}

/// When an uplink was received on air, best first:
/// 1. the gateway's clock at reception. Nothing comes closer to the measurement, also where a gateway
///    passes on late what it heard while its link was down. Left out where it is ahead of the server,
///    since it then was not set;
/// 2. the server's clock when it arrived there;
/// 3. `otherwise`, what the message says of itself: a copy of one of these, or later.
pub(super) fn received_on_air(
    heard: &[Heard],
    otherwise: Option<Utc>,
) -> impl Iterator<Item = Utc> + Clone {
    let by_gateway = heard.iter().filter_map(|heard| {
        let ahead =
            |time: &Utc| heard.by_server.is_some_and(|server| *time > server + GATEWAY_AHEAD_MAX);
        heard.by_gateway.filter(|time| !ahead(time))
    });
    let by_server = heard.iter().filter_map(|heard| heard.by_server);
    by_gateway.chain(by_server).chain(otherwise)
}

/// A DevEUI in lower case.
pub(super) fn dev_eui(text: &str) -> Result<DeviceKey, Reason> {
    let is_eui = text.len() == 16 && text.bytes().all(|b| b.is_ascii_hexdigit());
    let key = is_eui.then(|| DeviceKey::new(&text.to_ascii_lowercase()));
    key.and_then(Result::ok).ok_or(Reason::Field)
}

/// Protobuf in JSON: a field that is left out or null is at its default.
pub(super) fn or_default<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Default + Deserialize<'de>,
{
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

/// Protobuf in JSON: bytes are base64.
pub(super) fn base64<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u8>, D::Error> {
    let text: String = or_default(deserializer)?;
    STANDARD.decode(text).map_err(serde::de::Error::custom)
}

/// How the reports of a device are read.
#[derive(Debug, Clone)]
enum Reader {
    /// By a codec, set or inferred.
    Codec(Option<Codec>),
    /// By what the network server has decoded.
    Decoded(Mapping),
}

/// The shared half of a source.
#[derive(Debug, Clone)]
pub(super) struct Uplinks {
    source: SourceName,
    devices: BTreeMap<DeviceKey, Reader>,
    recent: Recent,
    pub(super) tally: Tally,
}

impl Uplinks {
    pub(super) fn new(source: SourceName, devices: BTreeMap<DeviceKey, Option<Codec>>) -> Uplinks {
        let devices = devices.into_iter();
        let devices = devices.map(|(device, codec)| (lower_case(&device), Reader::Codec(codec)));
        Uplinks {
            source,
            devices: devices.collect(),
            recent: Recent::default(),
            tally: Tally::default(),
        }
    }

    /// The reports of this device are read from the object that the network server decoded.
    pub(super) fn decoded(&mut self, device: &DeviceKey, mapping: Mapping) {
        self.devices.insert(lower_case(device), Reader::Decoded(mapping));
    }

    /// The first time that can be; it is counted when there are times and none can.
    pub(super) fn believed(&mut self, times: impl Iterator<Item = Utc> + Clone) -> Option<Utc> {
        let believed = times.clone().find(|time| *time >= DATE_FLOOR);
        if believed.is_none() && times.count() > 0 {
            self.tally.reject(Reason::Time);
        }
        believed
    }

    /// Takes a report and makes a sample of it, unless it is a repeat or says nothing.
    ///
    /// # Errors
    /// Why there is no sample.
    pub(super) fn take(&mut self, uplink: Uplink, samples: &mut Vec<Sample>) -> Result<(), Reason> {
        if !self.recent.is_new_report(&uplink.device, &uplink.session, uplink.counter) {
            return Err(Reason::Duplicate);
        }
        if uplink.payload.is_empty() && uplink.decoded.is_none() {
            // Only commands for the network (LoRaWAN 1.0.4, 4.3.2): the device had nothing to say.
            return Ok(());
        }
        let quantities = self.quantities(&uplink)?;
        self.give_out(uplink.device, Some(uplink.counter), uplink.at, quantities, samples);
        Ok(())
    }

    fn quantities(&mut self, uplink: &Uplink) -> Result<Vec<Quantity>, Reason> {
        let set = match self.devices.get(&uplink.device) {
            Some(Reader::Decoded(mapping)) => {
                let read = mapping.read(uplink.decoded.as_ref().ok_or(Reason::Field)?);
                if read.quantities.is_empty() {
                    return Err(read.refused.first().copied().unwrap_or(Reason::Field));
                }
                read.refused.into_iter().for_each(|reason| self.tally.reject(reason));
                return Ok(read.quantities);
            }
            Some(Reader::Codec(codec)) => *codec,
            None => None,
        };
        if uplink.payload.is_empty() {
            return Ok(vec![]);
        }
        let inferred = || Codec::infer(&uplink.profile, uplink.port);
        decode(set.or_else(inferred).ok_or(Reason::Codec)?, uplink.port, &uplink.payload)
    }

    /// Refuses a message that was taken before, by the id that the network server gave it.
    ///
    /// # Errors
    /// [`Reason::Duplicate`].
    pub(super) fn refuse_repeat(&mut self, transmission: Option<u128>) -> Result<(), Reason> {
        match transmission {
            Some(id) if !self.recent.is_new_transmission(id) => Err(Reason::Duplicate),
            _ => Ok(()),
        }
    }

    /// The device has joined: its frame counter begins again.
    pub(super) fn joined(&mut self, device: &DeviceKey) {
        self.recent.forget(device);
    }

    /// Makes a sample, if there is anything to put in it.
    pub(super) fn give_out(
        &mut self,
        device: DeviceKey,
        counter: Option<u32>,
        at: Option<Utc>,
        quantities: Vec<Quantity>,
        samples: &mut Vec<Sample>,
    ) {
        if quantities.is_empty() {
            return;
        }
        self.tally.sample(at);
        let source = self.source.clone();
        samples.push(Sample { source, device: Some(device), counter, at, quantities });
    }
}

fn lower_case(device: &DeviceKey) -> DeviceKey {
    let key = DeviceKey::new(&device.as_str().to_ascii_lowercase());
    key.expect("lower case keeps the rule for device names")
}
