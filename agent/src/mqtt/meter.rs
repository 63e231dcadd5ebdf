//! How much may be sent: a token bucket for what is sent late, and the bytes of a day.
//!
//! Pure: time comes in beats and days.

use domain::output::Lane;
use serde::{Deserialize, Serialize};

use crate::config::Rate;

/// A day in milliseconds.
const DAY_MS: i64 = 86_400_000;
/// Per lane, highest first: the part of a day's bytes, in percent, up to which it may be sent. What is
/// less important stops earlier, so that something is left for the rest. Tickets never stop.
const SHARE: [u64; 4] = [u64::MAX, 100, 85, 70];

/// A token bucket that is filled once a beat, with what a second allows.
#[derive(Debug)]
pub(super) struct Bucket {
    rate: Rate,
    messages: u32,
    /// Below zero after a message that was larger than what was left: it is paid for later.
    bytes: i64,
}

impl Bucket {
    /// Full.
    pub(super) fn new(rate: Rate) -> Bucket {
        Bucket { rate, messages: rate.messages, bytes: signed(rate.bytes) }
    }

    /// A second has passed.
    pub(super) fn fill(&mut self) {
        self.messages = self.rate.messages;
        let full = signed(self.rate.bytes);
        self.bytes = self.bytes.saturating_add(full).min(full);
    }

    /// Whether a message may be sent late now.
    pub(super) fn allows(&self) -> bool {
        self.messages > 0 && self.bytes > 0
    }

    /// A message of `bytes` was sent late.
    pub(super) fn spend(&mut self, bytes: u64) {
        if self.rate.messages != u32::MAX {
            self.messages = self.messages.saturating_sub(1);
        }
        if self.rate.bytes != u64::MAX {
            self.bytes = self.bytes.saturating_sub(signed(bytes));
        }
    }
}

fn signed(bytes: u64) -> i64 {
    i64::try_from(bytes).unwrap_or(i64::MAX)
}

/// The bytes that were sent on a day (UTC), against what a day may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct DayBytes {
    /// Days since 1970. It never goes back: a clock that has forgotten the date gives no new budget.
    pub(super) day: i64,
    /// Bytes of packets since it began.
    pub(super) spent: u64,
}

impl DayBytes {
    /// The day of `utc_ms`; nothing was sent on it.
    pub(super) fn at(utc_ms: i64) -> DayBytes {
        DayBytes { day: utc_ms.div_euclid(DAY_MS), spent: 0 }
    }

    /// It is `utc_ms` now.
    pub(super) fn turn(&mut self, utc_ms: i64) {
        let now = DayBytes::at(utc_ms);
        if now.day > self.day {
            *self = now;
        }
    }

    /// A packet of `bytes` was sent.
    pub(super) fn spend(&mut self, bytes: u64) {
        self.spent = self.spent.saturating_add(bytes);
    }

    /// Whether `lane` may still be sent when a day has `max` bytes.
    pub(super) fn allows(&self, lane: Lane, max: u64) -> bool {
        let percent = SHARE[lane as usize];
        percent == u64::MAX || u128::from(self.spent) * 100 < u128::from(max) * u128::from(percent)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const LANES: [Lane; 4] = Lane::ALL;

    #[test]
    fn less_important_lanes_stop_first_and_tickets_never() {
        let allowed = |spent| {
            let day = DayBytes { day: 1, spent };
            LANES.map(|lane| day.allows(lane, 1000))
        };
        assert_eq!(allowed(699), [true; 4]);
        assert_eq!(allowed(700), [true, true, true, false]);
        assert_eq!(allowed(850), [true, true, false, false]);
        assert_eq!(allowed(1000), [true, false, false, false]);
        assert_eq!(allowed(u64::MAX), [true, false, false, false]);
    }

    #[test]
    fn a_new_day_begins_anew_and_a_lost_clock_does_not() {
        let noon = 20_000 * DAY_MS + DAY_MS / 2;
        let mut day = DayBytes::at(noon);
        day.spend(500);
        day.turn(0);
        day.turn(noon - DAY_MS);
        day.turn(noon + DAY_MS / 2 - 1);
        assert_eq!(day, DayBytes { day: 20_000, spent: 500 });
        day.turn(noon + DAY_MS / 2);
        assert_eq!(day, DayBytes { day: 20_001, spent: 0 });
    }

    #[test]
    fn without_a_limit_nothing_ends() {
        let mut bucket = Bucket::new(Rate::UNLIMITED);
        for _ in 0..1000 {
            bucket.spend(u64::MAX);
        }
        assert!(bucket.allows());
    }

    proptest! {
        /// Over any run of beats no more goes out than the rate allows, and one message more.
        #[test]
        fn the_rate_holds(messages in 1..50_u32, bytes in 1..5000_u64,
            sizes in proptest::collection::vec(1..3000_u64, 1..400))
        {
            let rate = Rate { messages, bytes };
            let mut bucket = Bucket::new(rate);
            let (mut beats, mut sent, mut sum) = (1_u64, 0_u64, 0_u64);
            for size in sizes {
                while !bucket.allows() {
                    bucket.fill();
                    beats += 1;
                }
                bucket.spend(size);
                prop_assert!(sum < beats * bytes);
                (sent, sum) = (sent + 1, sum + size);
                prop_assert!(sent <= beats * u64::from(messages));
            }
        }
    }
}
