//! Queues stay within what they may hold, the disk within what the configuration gives, and all of it is empty
//! in time once all is well.

use crate::city::far_end::WINDOW;
use crate::city::truth::MINUTE;

/// What there is at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(in crate::city) struct Load {
    /// In milliseconds from the start.
    pub(in crate::city) at: u64,
    /// Messages on their way.
    pub(in crate::city) in_flight: u64,
    /// Messages that are not done with.
    pub(in crate::city) stored: u64,
    /// Bytes of stored messages, and how many there may be.
    pub(in crate::city) bytes: u64,
    pub(in crate::city) bytes_max: u64,
    /// Bytes of the store's files.
    pub(in crate::city) disk: u64,
    /// Tickets on which work may be due, and all that may ever be planted.
    pub(in crate::city) open_tickets: u64,
    pub(in crate::city) planted: u64,
}

/// Messages on their way at most, when nobody is acknowledged.
const IN_FLIGHT_MAX: u64 = 4096;
/// Once all is well, nothing is left after this time.
const HEALED_WITHIN: u64 = 30 * MINUTE;
/// What a store of sled takes beside its messages: the configuration promises twice its size, and a new store
/// has its first segments.
const DISK_FLOOR: u64 = 32 << 20;

/// See the head of this file.
#[derive(Debug, Default)]
pub(in crate::city) struct Bounds {
    pub(in crate::city) most: Load,
    healed_at: Option<u64>,
    wrong: Vec<String>,
}

impl Bounds {
    /// Looks at `load`; the weather is fine from `heals_at` on.
    pub(in crate::city) fn look(&mut self, load: Load, heals_at: u64) {
        let most = &mut self.most;
        most.in_flight = most.in_flight.max(load.in_flight);
        most.stored = most.stored.max(load.stored);
        most.bytes = most.bytes.max(load.bytes);
        most.disk = most.disk.max(load.disk);
        most.open_tickets = most.open_tickets.max(load.open_tickets);
        let within = [
            ("on their way", load.in_flight, IN_FLIGHT_MAX + WINDOW as u64),
            ("bytes stored", load.bytes, load.bytes_max),
            ("bytes on disk", load.disk, 2 * load.bytes_max + DISK_FLOOR),
            ("open tickets", load.open_tickets, load.planted),
        ];
        for (what, is, most) in within {
            if is > most {
                self.wrong.push(format!("at {}: {is} {what}, {most} are allowed", load.at));
            }
        }
        if load.at >= heals_at && load.stored == 0 && self.healed_at.is_none() {
            self.healed_at = Some(load.at);
        }
    }

    /// Everything that was wrong.
    pub(in crate::city) fn verdict(&self, heals_at: u64) -> Vec<String> {
        let mut wrong = self.wrong.clone();
        match self.healed_at {
            Some(at) if at <= heals_at + HEALED_WITHIN => {}
            Some(at) => wrong.push(format!("healed {} minutes late", (at - heals_at) / MINUTE)),
            None => wrong.push("never healed: something was always left".to_owned()),
        }
        wrong
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEALS_AT: u64 = 100 * MINUTE;

    fn judged(load: Load) -> usize {
        let mut bounds = Bounds::default();
        bounds.look(load, HEALS_AT);
        bounds.verdict(HEALS_AT).len()
    }

    #[test]
    fn what_is_empty_in_time_and_within_its_bounds_is_right() {
        let fine = Load { at: HEALS_AT, bytes_max: 1000, planted: 3, ..Load::default() };
        assert_eq!(judged(fine), 0);
        assert_eq!(judged(Load { in_flight: 5000, ..fine }), 1);
        assert_eq!(judged(Load { bytes: 1001, ..fine }), 1);
        assert_eq!(judged(Load { disk: 1 << 30, ..fine }), 1);
        assert_eq!(judged(Load { open_tickets: 4, ..fine }), 1);
    }

    #[test]
    fn what_heals_late_or_never_is_wrong() {
        let late = Load { at: HEALS_AT + 31 * MINUTE, ..Load::default() };
        assert_eq!(judged(late), 1);
        assert_eq!(judged(Load { at: HEALS_AT, stored: 1, ..Load::default() }), 1);
    }
}
