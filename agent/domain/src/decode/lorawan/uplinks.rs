//! What all network servers have in common once their JSON is read: repeats are sorted out, the codec
//! is picked, the payload becomes a sample, and everything is counted.

use std::collections::BTreeMap;

use crate::decode::{Reason, Tally};
use crate::ids::{DeviceKey, SourceName};
use crate::sample::{Quantity, Sample};
use crate::time::Utc;

use super::recent::Recent;
use super::{Codec, decode};

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
    /// What the network server calls this kind of device.
    pub(super) profile: String,
    /// When it was received on air.
    pub(super) at: Option<Utc>,
}

/// The shared half of a source.
#[derive(Debug, Clone)]
pub(super) struct Uplinks {
    source: SourceName,
    devices: BTreeMap<DeviceKey, Option<Codec>>,
    recent: Recent,
    pub(super) tally: Tally,
}

impl Uplinks {
    pub(super) fn new(source: SourceName, devices: BTreeMap<DeviceKey, Option<Codec>>) -> Uplinks {
        let lower_case = |(device, codec): (DeviceKey, Option<Codec>)| {
            let key = DeviceKey::new(&device.as_str().to_ascii_lowercase());
            (key.expect("lower case keeps the rule for device names"), codec)
        };
        Uplinks {
            source,
            devices: devices.into_iter().map(lower_case).collect(),
            recent: Recent::default(),
            tally: Tally::default(),
        }
    }

    /// Takes a report and makes a sample of it, unless it is a repeat or says nothing.
    ///
    /// # Errors
    /// Why there is no sample.
    pub(super) fn take(&mut self, uplink: Uplink, samples: &mut Vec<Sample>) -> Result<(), Reason> {
        let Uplink { device, session, counter, port, payload, profile, at } = uplink;
        if !self.recent.is_new_report(&device, &session, counter) {
            return Err(Reason::Duplicate);
        }
        if payload.is_empty() {
            // Only commands for the network (LoRaWAN 1.0.4, 4.3.2): the device had nothing to say.
            return Ok(());
        }
        let set = self.devices.get(&device).copied().flatten();
        let codec = set.or_else(|| Codec::infer(&profile, port)).ok_or(Reason::Codec)?;
        let quantities = decode(codec, port, &payload)?;
        self.give_out(device, Some(counter), at, quantities, samples);
        Ok(())
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
