//! Remembers what was taken, to know it when it comes again.
//!
//! The same report comes twice when the broker delivers again after a lost connection, when a gateway
//! passes its copy on late, and when a device repeats what was not acknowledged to it. Everything here
//! is bounded; what falls out of memory would be taken again, and the engine orders by time anyway.

use std::collections::{BTreeMap, VecDeque};

use crate::ids::DeviceKey;

/// Transmissions remembered over all devices. When full: the oldest is forgotten. A broker holds back
/// far fewer messages than this for a session.
const TRANSMISSIONS_MAX: usize = 1024;

/// Devices whose counters are remembered. When full: the one heard longest ago is forgotten.
const DEVICES_MAX: usize = 4096;

/// Counters remembered of each device. When full: the oldest is forgotten.
const COUNTERS_MAX: usize = 32;

/// A counter that falls back below this has started again. A late copy of an early report can look
/// the same, but a lost report of a device that restarted would be worse.
const RESTARTED_BELOW: u32 = 4;

/// The memory of one source.
#[derive(Debug, Clone, Default)]
pub(super) struct Recent {
    transmissions: VecDeque<u128>,
    devices: BTreeMap<DeviceKey, Heard>,
    /// Counts the reports, to tell which device was heard longest ago.
    turn: u64,
}

#[derive(Debug, Clone)]
struct Heard {
    session: String,
    counters: VecDeque<u32>,
    turn: u64,
}

impl Recent {
    /// Whether this transmission, by the id that the network server gave it, is new. Remembers it.
    pub(super) fn is_new_transmission(&mut self, id: u128) -> bool {
        if self.transmissions.contains(&id) {
            return false;
        }
        if self.transmissions.len() == TRANSMISSIONS_MAX {
            self.transmissions.pop_front();
        }
        self.transmissions.push_back(id);
        true
    }

    /// Whether this report of a device is new. Remembers it. A new session (a join, told by another
    /// device address) and a counter that fell back to its beginning start afresh.
    pub(super) fn is_new_report(
        &mut self,
        device: &DeviceKey,
        session: &str,
        counter: u32,
    ) -> bool {
        self.turn += 1;
        self.make_room(device);
        let turn = self.turn;
        let heard = self.devices.entry(device.clone()).or_insert_with(|| Heard {
            session: session.to_owned(),
            counters: VecDeque::new(),
            turn,
        });
        heard.turn = turn;
        if heard.session != session {
            session.clone_into(&mut heard.session);
            heard.counters.clear();
        }
        let fell_back = heard.counters.back().is_some_and(|&latest| counter < latest);
        if fell_back && counter < RESTARTED_BELOW {
            heard.counters.clear();
        }
        if heard.counters.contains(&counter) {
            return false;
        }
        if heard.counters.len() == COUNTERS_MAX {
            heard.counters.pop_front();
        }
        heard.counters.push_back(counter);
        true
    }

    /// The device has joined: its counter begins again.
    pub(super) fn forget(&mut self, device: &DeviceKey) {
        self.devices.remove(device);
    }

    fn make_room(&mut self, device: &DeviceKey) {
        if self.devices.len() < DEVICES_MAX || self.devices.contains_key(device) {
            return;
        }
        let oldest = self.devices.iter().min_by_key(|(_, heard)| heard.turn);
        if let Some(oldest) = oldest.map(|(device, _)| device.clone()) {
            self.devices.remove(&oldest);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn device(number: usize) -> DeviceKey {
        DeviceKey::new(&format!("{number:016x}")).unwrap()
    }

    /// Which of the counters, in this order, are new.
    fn new_ones(counters: &[u32]) -> Vec<u32> {
        let mut recent = Recent::default();
        let new = |&&counter: &&u32| recent.is_new_report(&device(1), "01", counter);
        counters.iter().filter(new).copied().collect()
    }

    #[test]
    fn a_repeat_is_known_also_out_of_order() {
        assert_eq!(new_ones(&[10, 11, 11, 12, 10, 11, 13]), [10, 11, 12, 13]);
        assert_eq!(new_ones(&[0, 0, 0]), [0]);
        assert_eq!(new_ones(&[12, 11, 12]), [12, 11]);
    }

    #[test]
    fn a_device_that_starts_again_is_heard() {
        assert_eq!(new_ones(&[5, 6, 7, 0, 1, 5, 6, 7]), [5, 6, 7, 0, 1, 5, 6, 7]);
        assert_eq!(new_ones(&[0, 1, 2, 1, 2]), [0, 1, 2, 1, 2]);
        assert_eq!(new_ones(&[5000, 9, 10]), [5000, 9, 10]);
    }

    #[test]
    fn a_new_session_starts_afresh() {
        let mut recent = Recent::default();
        assert!(recent.is_new_report(&device(1), "01", 7));
        assert!(!recent.is_new_report(&device(1), "01", 7));
        assert!(recent.is_new_report(&device(1), "02", 7));
        recent.forget(&device(1));
        assert!(recent.is_new_report(&device(1), "02", 7));
        assert!(recent.is_new_report(&device(2), "02", 7));
    }

    #[test]
    fn the_memory_is_bounded() {
        let mut recent = Recent::default();
        for number in 0..DEVICES_MAX + 10 {
            assert!(recent.is_new_report(&device(number), "01", 7));
            // The first is heard again and again, so it stays.
            assert!(recent.is_new_report(&device(0), "01", 100 + number as u32));
        }
        assert_eq!(recent.devices.len(), DEVICES_MAX);
        assert_eq!(recent.devices[&device(0)].counters.len(), COUNTERS_MAX);
        assert!(!recent.devices.contains_key(&device(1)));
        for id in 0..=TRANSMISSIONS_MAX as u128 {
            assert!(recent.is_new_transmission(id));
        }
        assert_eq!(recent.transmissions.len(), TRANSMISSIONS_MAX);
        assert!(!recent.is_new_transmission(1));
        assert!(recent.is_new_transmission(0));
    }
}
