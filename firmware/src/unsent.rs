//! Reports that are not acknowledged yet.
//!
//! A report is sent at once and again after 2 s, 4 s, 8 s and so on up to 10 minutes, each time a
//! little later by chance, so that two nodes that disturbed each other do not do so again. An
//! acknowledgement takes out the report it names, in whatever order it comes, and shows that somebody
//! listens: what still waits then goes out soon.

use heapless::Vec;
use wire::Measured;

/// How many reports can wait. When full the oldest is dropped and counted; the gap in the counters tells
/// the agent.
pub(crate) const UNSENT_MAX: usize = 32;

const RETRY_MIN_MS: u64 = 2_000;
const RETRY_MAX_MS: u64 = 600_000;
/// Between two reports of one node, to leave the line to others and the agent time to answer.
const SPACING_MS: u64 = 100;

/// A report that waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Waiting {
    pub(crate) counter: u32,
    pub(crate) measured_ms: u64,
    pub(crate) measured: Measured,
    due_ms: u64,
    tries: u32,
}

/// The reports that wait, oldest first.
#[derive(Debug, Default)]
pub(crate) struct Unsent {
    waiting: Vec<Waiting, UNSENT_MAX>,
    free_ms: u64,
    dropped: u32,
}

impl Unsent {
    pub(crate) fn push(&mut self, counter: u32, measured_ms: u64, measured: Measured, now: u64) {
        if self.waiting.is_full() {
            self.waiting.remove(0);
            self.dropped = self.dropped.saturating_add(1);
        }
        let waiting = Waiting { counter, measured_ms, measured, due_ms: now, tries: 0 };
        self.waiting.push(waiting).expect("room was made above");
    }

    /// Takes out what is acknowledged. A repeated or unknown acknowledgement is nothing.
    pub(crate) fn acknowledge(&mut self, counter: u32, now: u64) {
        let before = self.waiting.len();
        self.waiting.retain(|waiting| waiting.counter != counter);
        if self.waiting.len() < before {
            for waiting in &mut self.waiting {
                waiting.due_ms = waiting.due_ms.min(now.saturating_add(RETRY_MIN_MS));
            }
        }
    }

    /// The next report to send now, if any; it is due again later. `seed` differs from node to node.
    pub(crate) fn take_due(&mut self, now: u64, seed: u32) -> Option<Waiting> {
        if now < self.free_ms {
            return None;
        }
        let waiting = self.waiting.iter_mut().find(|waiting| waiting.due_ms <= now)?;
        let pause = RETRY_MAX_MS.min(RETRY_MIN_MS << waiting.tries.min(10));
        let chance = u64::from(scatter(seed ^ waiting.counter.rotate_left(8) ^ waiting.tries));
        waiting.due_ms = now.saturating_add(pause + chance % (pause / 2));
        waiting.tries = waiting.tries.saturating_add(1);
        self.free_ms = now.saturating_add(SPACING_MS);
        Some(*waiting)
    }

    /// When there is something to send next.
    pub(crate) fn next_ms(&self) -> Option<u64> {
        self.waiting.iter().map(|waiting| waiting.due_ms.max(self.free_ms)).min()
    }

    pub(crate) fn len(&self) -> usize {
        self.waiting.len()
    }

    pub(crate) const fn dropped(&self) -> u32 {
        self.dropped
    }
}

/// Spreads neighbouring numbers over the whole range (the finaliser of MurmurHash3).
pub(crate) const fn scatter(mut x: u32) -> u32 {
    x ^= x >> 16;
    x = x.wrapping_mul(0x85EB_CA6B);
    x ^= x >> 13;
    x = x.wrapping_mul(0xC2B2_AE35);
    x ^ (x >> 16)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec;
    use wire::Battery;

    fn measured(millivolts: u16) -> Measured {
        Measured::Battery(Battery { millivolts })
    }

    fn counters(unsent: &Unsent) -> vec::Vec<u32> {
        unsent.waiting.iter().map(|w| w.counter).collect()
    }

    #[test]
    fn it_is_sent_at_once_and_then_ever_more_rarely() {
        let mut unsent = Unsent::default();
        unsent.push(1, 0, measured(1), 0);
        let (mut now, mut pauses) = (0, vec![]);
        for _ in 0..14 {
            assert_eq!(unsent.take_due(now, 7).map(|w| w.counter), Some(1));
            assert_eq!(unsent.take_due(now + SPACING_MS, 7), None, "it waits for its answer");
            let next = unsent.next_ms().unwrap();
            pauses.push(next - now);
            now = next;
        }
        for (i, pause) in pauses.iter().enumerate() {
            let least = (RETRY_MIN_MS << i).min(RETRY_MAX_MS);
            assert!((least..least * 3 / 2).contains(pause), "{i}: {pause}");
        }
    }

    #[test]
    fn nodes_that_collide_part() {
        let due = |seed| {
            let mut unsent = Unsent::default();
            unsent.push(1, 0, measured(1), 0);
            unsent.take_due(0, seed).unwrap();
            unsent.next_ms().unwrap()
        };
        let mut all: vec::Vec<u64> = (0..20).map(due).collect();
        all.sort_unstable();
        all.dedup();
        assert!(all.len() >= 18, "{all:?}");
    }

    #[test]
    fn acknowledgements_in_any_order_and_repeated() {
        let mut unsent = Unsent::default();
        for counter in 1..=4 {
            unsent.push(counter, 0, measured(1), 0);
        }
        for (ack, left) in [(3, 3), (3, 3), (9, 3), (1, 2), (4, 1), (2, 0), (2, 0)] {
            unsent.acknowledge(ack, 0);
            assert_eq!(unsent.len(), left, "{ack}");
        }
        assert_eq!(unsent.next_ms(), None);
    }

    #[test]
    fn an_acknowledgement_hurries_what_waits_long() {
        let mut unsent = Unsent::default();
        unsent.push(1, 0, measured(1), 0);
        unsent.push(2, 0, measured(1), 0);
        let mut now = 0;
        while unsent.waiting[0].tries < 10 || unsent.waiting[1].tries < 10 {
            now = unsent.next_ms().unwrap();
            unsent.take_due(now, 7);
        }
        assert!(unsent.waiting.iter().all(|w| w.tries >= 10));
        unsent.acknowledge(1, now);
        assert!(unsent.next_ms().unwrap() <= now + RETRY_MIN_MS);
    }

    #[test]
    fn one_at_a_time_oldest_first() {
        let mut unsent = Unsent::default();
        unsent.push(1, 0, measured(1), 0);
        unsent.push(2, 0, measured(1), 0);
        assert_eq!(unsent.take_due(0, 7).map(|w| w.counter), Some(1));
        assert_eq!(unsent.take_due(0, 7), None);
        assert_eq!(unsent.next_ms(), Some(SPACING_MS));
        assert_eq!(unsent.take_due(SPACING_MS, 7).map(|w| w.counter), Some(2));
    }

    #[test]
    fn when_full_the_oldest_is_dropped_and_counted() {
        let mut unsent = Unsent::default();
        let all = u32::try_from(UNSENT_MAX).unwrap() + 3;
        for counter in 0..all {
            unsent.push(counter, 0, measured(1), 0);
        }
        assert_eq!(counters(&unsent), (3..all).collect::<vec::Vec<u32>>());
        assert_eq!(unsent.dropped(), 3);
    }

    #[test]
    fn the_end_of_time_is_no_panic() {
        let mut unsent = Unsent::default();
        unsent.push(1, 0, measured(1), u64::MAX);
        assert!(unsent.take_due(u64::MAX, 7).is_some());
        unsent.acknowledge(0, u64::MAX);
        assert_eq!(unsent.next_ms(), Some(u64::MAX));
    }
}
