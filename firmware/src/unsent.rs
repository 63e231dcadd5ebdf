//! Reports that are not acknowledged yet.
//!
//! A report is sent at once and again after 2 s, 4 s, 8 s and so on up to 10 minutes, each time a
//! little later by chance, so that two nodes that disturbed each other do not do so again. An
//! acknowledgement takes out the report it names, in whatever order it comes, and shows that somebody
//! listens: what still waits then goes out soon.
//!
//! Every report has a slot in memory that outlives the power. It is written before the report is sent
//! first, and emptied when it is acknowledged; a node that starts takes up what it finds there.

use heapless::Vec;
use wire::{Measured, Report};

use crate::kept::Kept;

/// How many reports can wait. When full the oldest is dropped and counted; the gap in the counters tells
/// the agent.
pub(crate) const UNSENT_MAX: usize = 32;

const RETRY_MIN_MS: u64 = 2_000;
const RETRY_MAX_MS: u64 = 600_000;
/// Between two reports of one node, to leave the line to others and the agent time to answer.
const SPACING_MS: u64 = 100;
/// What was taken up after a start waits so long for somebody to tell the time, without which nobody
/// knows how old it is.
const TIME_MS: u64 = 15_000;

/// When a report was measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum When {
    /// Since this start, on the board's clock.
    Ms(u64),
    /// Before this start, in seconds since 1970.
    UnixS(u64),
    /// Before this start, and nobody had told the time.
    Unknown,
}

impl When {
    /// Whole seconds from then to `now`. `epoch_ms` is what the board's clock shows at 1970, below zero
    /// for any node, once it was told the time.
    fn age_s(self, now: u64, epoch_ms: Option<i64>) -> u32 {
        let seconds = |ms: u64| u32::try_from(ms / 1000).unwrap_or(u32::MAX - 1);
        let of_unix = |unix_s: u64, epoch: i64| {
            let unix_ms = i64::try_from(unix_s.saturating_mul(1000)).unwrap_or(i64::MAX);
            let now = i64::try_from(now).unwrap_or(i64::MAX);
            u64::try_from(now.saturating_sub(epoch).saturating_sub(unix_ms)).unwrap_or(0)
        };
        match (self, epoch_ms) {
            (When::Ms(ms), _) => seconds(now.saturating_sub(ms)),
            (When::UnixS(unix_s), Some(epoch)) => seconds(of_unix(unix_s, epoch)),
            (When::UnixS(_), None) | (When::Unknown, _) => Report::AGE_UNKNOWN,
        }
    }

    fn unix_s(self, epoch_ms: Option<i64>) -> Option<u64> {
        match self {
            When::Ms(ms) => {
                let ms = i64::try_from(ms).ok()?.checked_sub(epoch_ms?)?;
                u64::try_from(ms / 1000).ok()
            }
            When::UnixS(unix_s) => Some(unix_s),
            When::Unknown => None,
        }
    }
}

/// A report that waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Waiting {
    pub(crate) counter: u32,
    pub(crate) measured: Measured,
    /// On the board's clock since this start, in seconds since 1970 before it: a number and its kind apart,
    /// for 32 reports wait at once and a [`When`] fills up to eight bytes each.
    measured_at: u64,
    clock: MeasuredBy,
    due_ms: u64,
    tries: u8,
    pub(crate) slot: u8,
    /// Its slot holds it, with its time if that is known.
    is_kept: bool,
}

/// What [`Waiting::measured_at`] counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum MeasuredBy {
    Board,
    Calendar,
    Nobody,
}

impl Waiting {
    fn new(counter: u32, measured: Measured, when: When, due_ms: u64, slot: u8) -> Waiting {
        let (clock, measured_at) = match when {
            When::Ms(ms) => (MeasuredBy::Board, ms),
            When::UnixS(unix_s) => (MeasuredBy::Calendar, unix_s),
            When::Unknown => (MeasuredBy::Nobody, 0),
        };
        Waiting { counter, measured, measured_at, clock, due_ms, tries: 0, slot, is_kept: false }
    }

    const fn when(&self) -> When {
        match self.clock {
            MeasuredBy::Board => When::Ms(self.measured_at),
            MeasuredBy::Calendar => When::UnixS(self.measured_at),
            MeasuredBy::Nobody => When::Unknown,
        }
    }
}

/// A report to be sent now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Due {
    pub(crate) counter: u32,
    pub(crate) report: Report,
    /// The slot to write first.
    pub(crate) keep: Option<u8>,
}

/// The reports that wait, oldest first.
#[derive(Debug, Default)]
pub(crate) struct Unsent {
    waiting: Vec<Waiting, UNSENT_MAX>,
    free_ms: u64,
    dropped: u32,
    /// What the board's clock shows at 1970, once somebody told the time.
    epoch_ms: Option<i64>,
}

impl Unsent {
    pub(crate) fn push(&mut self, counter: u32, measured_ms: u64, measured: Measured, now: u64) {
        if self.waiting.is_full() {
            self.waiting.remove(0);
            self.dropped = self.dropped.saturating_add(1);
        }
        let slot = self.free_slot(counter);
        let waiting = Waiting::new(counter, measured, When::Ms(measured_ms), now, slot);
        self.waiting.push(waiting).expect("room was made above");
    }

    /// A slot that holds no report that waits. The counter chooses, so that all wear alike.
    fn free_slot(&self, counter: u32) -> u8 {
        let at = |i: u32| (counter.wrapping_add(i) % UNSENT_MAX as u32) as u8;
        (0..UNSENT_MAX as u32)
            .map(at)
            .find(|slot| self.waiting.iter().all(|waiting| waiting.slot != *slot))
            .expect("there are as many slots as reports, and room for one was made")
    }

    /// Takes up what was found in `slot` at a start. `next` is the counter that the next report will have.
    pub(crate) fn recall(&mut self, slot: u8, kept: Kept, next: u32, now: u64) {
        let when = kept.measured_unix_s.map_or(When::Unknown, When::UnixS);
        let Kept { counter, measured, .. } = kept;
        let waiting = Waiting { is_kept: true, ..Waiting::new(counter, measured, when, now, slot) };
        let age = |counter: u32| next.wrapping_sub(counter);
        let place = self.waiting.iter().take_while(|w| age(w.counter) >= age(counter)).count();
        if self.waiting.insert(place, waiting).is_err() {
            // More slots than there are: a board's mistake, and counted like any report that has no room.
            self.dropped = self.dropped.saturating_add(1);
        }
        self.free_ms = self.free_ms.max(now.saturating_add(TIME_MS));
    }

    /// Somebody told the time.
    pub(crate) fn set_clock(&mut self, unix_s: u64, now: u64) {
        let unix_ms = i64::try_from(unix_s.saturating_mul(1000)).unwrap_or(i64::MAX);
        let epoch = i64::try_from(now).unwrap_or(i64::MAX).saturating_sub(unix_ms);
        if self.epoch_ms.replace(epoch).is_none() {
            for waiting in &mut self.waiting {
                waiting.is_kept &= waiting.clock != MeasuredBy::Board;
            }
            self.free_ms = self.free_ms.min(now);
        }
    }

    /// Takes out what is acknowledged and answers with the slot that is empty now. A repeated or unknown
    /// acknowledgement is nothing.
    pub(crate) fn acknowledge(&mut self, counter: u32, now: u64) -> Option<u8> {
        let place = self.waiting.iter().position(|waiting| waiting.counter == counter)?;
        let slot = self.waiting.remove(place).slot;
        for waiting in &mut self.waiting {
            waiting.due_ms = waiting.due_ms.min(now.saturating_add(RETRY_MIN_MS));
        }
        Some(slot)
    }

    /// The next report to send now, if any; it is due again later. `seed` differs from node to node.
    pub(crate) fn take_due(&mut self, now: u64, seed: u32) -> Option<Due> {
        if now < self.free_ms {
            return None;
        }
        let waiting = self.waiting.iter_mut().find(|waiting| waiting.due_ms <= now)?;
        let pause = RETRY_MAX_MS.min(RETRY_MIN_MS << waiting.tries.min(10));
        let chance =
            u64::from(scatter(seed ^ waiting.counter.rotate_left(8) ^ u32::from(waiting.tries)));
        waiting.due_ms = now.saturating_add(pause + chance % (pause / 2));
        waiting.tries = waiting.tries.saturating_add(1);
        self.free_ms = now.saturating_add(SPACING_MS);
        let age_s = waiting.when().age_s(now, self.epoch_ms);
        let report = Report { age_s, measured: waiting.measured };
        let keep = (!waiting.is_kept).then_some(waiting.slot);
        waiting.is_kept = true;
        Some(Due { counter: waiting.counter, report, keep })
    }

    /// What `slot` is to hold now; `None` where it is to be empty.
    pub(crate) fn kept(&self, slot: u8) -> Option<Kept> {
        let waiting = self.waiting.iter().find(|waiting| waiting.slot == slot)?;
        let measured_unix_s = waiting.when().unix_s(self.epoch_ms);
        Some(Kept { counter: waiting.counter, measured_unix_s, measured: waiting.measured })
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
        for (ack, left, is_news) in [
            (3, 3, true),
            (3, 3, false),
            (9, 3, false),
            (1, 2, true),
            (4, 1, true),
            (2, 0, true),
            (2, 0, false),
        ] {
            assert_eq!(unsent.acknowledge(ack, 0).is_some(), is_news, "{ack}");
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

    #[test]
    fn a_report_is_kept_before_it_is_sent_and_once() {
        let mut unsent = Unsent::default();
        unsent.push(70, 5_000, measured(1), 5_000);
        assert_eq!(unsent.take_due(5_000, 7).unwrap().keep, Some(6), "70 % 32");
        assert_eq!(unsent.take_due(9_000, 7).unwrap().keep, None);
        assert_eq!(unsent.kept(6).unwrap().measured_unix_s, None);
        assert_eq!(unsent.kept(5), None);
        // Now it can be dated, and is written once more.
        unsent.set_clock(1_000_000, 15_000);
        assert_eq!(unsent.kept(6).unwrap().measured_unix_s, Some(999_990));
        assert_eq!(unsent.take_due(19_000, 7).unwrap().keep, Some(6));
        assert_eq!(unsent.acknowledge(70, 20_000), Some(6));
        assert_eq!(unsent.kept(6), None);
    }

    #[test]
    fn every_report_has_a_slot_of_its_own() {
        let mut unsent = Unsent::default();
        // The first is never acknowledged, the others are, until the counter comes round to its slot.
        for counter in 0..100 {
            unsent.push(counter, 0, measured(1), 0);
            if counter % 32 != 0 {
                assert!(unsent.acknowledge(counter, 0).is_some());
            }
        }
        let mut slots: vec::Vec<u8> = unsent.waiting.iter().map(|w| w.slot).collect();
        assert_eq!(counters(&unsent), [0, 32, 64, 96]);
        slots.sort_unstable();
        slots.dedup();
        assert_eq!(slots.len(), 4);
    }

    #[test]
    fn what_is_taken_up_goes_out_in_order_when_the_time_is_told() {
        let kept =
            |counter, measured_unix_s| Kept { counter, measured_unix_s, measured: measured(1) };
        let mut unsent = Unsent::default();
        // Counters that run over the end of 32 bits keep their order.
        for (slot, counter) in [(0, 3), (1, u32::MAX), (2, 1)] {
            unsent.recall(slot, kept(counter, Some(500)), 256, 0);
        }
        unsent.push(256, 0, measured(2), 0);
        assert_eq!(counters(&unsent), [u32::MAX, 1, 3, 256]);
        assert_eq!(unsent.take_due(1_000, 7), None, "nobody told the time");
        unsent.set_clock(2_000, 1_000);
        let first = unsent.take_due(1_000, 7).unwrap();
        assert_eq!((first.counter, first.report.age_s, first.keep), (u32::MAX, 1_500, None));
    }

    #[test]
    fn what_nobody_can_date_goes_out_all_the_same() {
        let kept = Kept { counter: 1, measured_unix_s: Some(500), measured: measured(1) };
        let mut unsent = Unsent::default();
        unsent.recall(0, kept, 256, 0);
        assert_eq!(unsent.next_ms(), Some(TIME_MS));
        let due = unsent.take_due(TIME_MS, 7).unwrap();
        assert_eq!((due.counter, due.report.age_s), (1, Report::AGE_UNKNOWN));
        // Told the time later, it says more.
        unsent.set_clock(1_000, TIME_MS + 4_000);
        assert_eq!(unsent.take_due(TIME_MS + 4_000, 7).unwrap().report.age_s, 500);
    }

    #[test]
    fn a_clock_that_goes_back_makes_nothing_older_than_it_is() {
        assert_eq!(When::UnixS(10).age_s(5_000, Some(0)), 0, "it is not measured yet");
        assert_eq!(When::UnixS(u64::MAX).age_s(u64::MAX, Some(i64::MIN)), 0);
        assert_eq!(When::UnixS(0).age_s(u64::MAX, Some(i64::MIN)), u32::MAX - 1);
        assert_eq!(When::Ms(0).age_s(u64::MAX, None), u32::MAX - 1);
        assert_eq!(When::Ms(5_000).unix_s(Some(10_000)), None, "before 1970");
    }
}
