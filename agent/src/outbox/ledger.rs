//! What became of every message of a lane: numbers that are stored with the messages, in one batch, so
//! that they are right after any stop and nothing has to be counted at start.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Losses kept apart; older ones are joined, so that the ledger stays small.
const GAPS_MAX: usize = 16;

/// Why a message left the outbox without a PUBACK.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DropReason {
    /// The oldest of the least important lane made room for what came.
    BufferFull,
    /// As [`DropReason::BufferFull`], but it was the disk that had no space left.
    DiskFull,
    /// Older than anybody wants it.
    TooOld,
    /// Larger than the broker takes.
    TooLarge,
    /// The topic breaks the rules of MQTT.
    BadTopic,
    /// The broker said of the message itself that it does not take it, again and again.
    Refused,
    /// The connection died with it, and with it alone, again and again.
    Poison,
    /// Damaged on disk, or gone from it.
    Damaged,
    /// Held in memory when the program was killed or the power failed. Some of the numbers may have
    /// arrived, and some may never have been given away.
    NotStored,
    /// Never came into this store: it took nothing for too long, and the rest of the box went on.
    PassedOver,
}

impl DropReason {
    /// The word for metrics and logs.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            DropReason::BufferFull => "buffer_full",
            DropReason::DiskFull => "disk_full",
            DropReason::TooOld => "too_old",
            DropReason::TooLarge => "too_large",
            DropReason::BadTopic => "bad_topic",
            DropReason::Refused => "refused",
            DropReason::Poison => "poison",
            DropReason::Damaged => "damaged",
            DropReason::NotStored => "not_stored",
            DropReason::PassedOver => "passed_over",
        }
    }

    /// Whether the link keeps such a message aside, to be looked at.
    #[must_use]
    pub const fn is_quarantined(self) -> bool {
        match self {
            DropReason::TooLarge
            | DropReason::BadTopic
            | DropReason::Refused
            | DropReason::Poison => true,
            DropReason::BufferFull
            | DropReason::DiskFull
            | DropReason::TooOld
            | DropReason::Damaged
            | DropReason::NotStored
            | DropReason::PassedOver => false,
        }
    }
}

/// A run of messages that were lost for one reason.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gap {
    /// Why.
    pub reason: DropReason,
    /// The first number lost.
    pub from: u64,
    /// The last number lost.
    pub to: u64,
    /// How many of the numbers between were lost: fewer than all of them when some had been
    /// acknowledged, or when older runs were joined; 0 when it is not known.
    pub count: u64,
}

/// Where a message stands in its lane. Numbered messages have `sub` 0; what carries no number (an empty
/// payload, in which a number could not be told) stands behind the last number, with `sub` from 1.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
pub struct Position {
    /// The number, from 1.
    pub seq: u64,
    /// 0 for the numbered message itself.
    pub sub: u32,
}

impl Position {
    /// The position right behind.
    pub(super) const fn next(self) -> Position {
        match self.sub.checked_add(1) {
            Some(sub) => Position { seq: self.seq, sub },
            None => Position { seq: self.seq + 1, sub: 0 },
        }
    }
}

/// What a lane had in memory only when it was last written about: stored with the ledger, so that a
/// start after a kill knows what is gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Held {
    /// Numbers up to this may have been given away since.
    pub(super) reserved: u64,
    /// The oldest number in memory; above the ledger's last when there was none.
    pub(super) from: u64,
    /// Messages in memory.
    pub(super) count: u64,
    /// Their bytes.
    pub(super) bytes: u64,
}

/// The counts of one lane since its store was made.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Ledger {
    /// The last position given away.
    pub last: Position,
    /// Messages taken in.
    pub accepted: u64,
    /// Of those: replaced by a newer one of the same topic before they were sent.
    pub coalesced: u64,
    /// Of those: acknowledged by the broker.
    pub acknowledged: u64,
    /// Of those: in the store.
    pub stored: u64,
    /// Bytes of what is in the store, without the store's own.
    pub bytes: u64,
    /// Of those: lost, by reason.
    pub dropped: BTreeMap<DropReason, u64>,
    /// What was lost lately, by number.
    pub gaps: Vec<Gap>,
}

impl Ledger {
    /// Of what was dropped: kept aside by the link, to be looked at.
    #[must_use]
    pub fn quarantined(&self) -> u64 {
        let aside = self.dropped.iter().filter(|(reason, _)| reason.is_quarantined());
        aside.map(|(_, count)| count).sum()
    }

    /// The position for the next message, which is counted as accepted.
    pub(super) fn accept(&mut self, numbered: bool, bytes: u64) -> Position {
        self.last =
            if numbered { Position { seq: self.last.seq + 1, sub: 0 } } else { self.last.next() };
        self.accepted += 1;
        self.stored += 1;
        self.bytes += bytes;
        self.last
    }

    /// A message took the place of one of `old` bytes.
    pub(super) fn replace(&mut self, old: u64, new: u64) {
        self.accepted += 1;
        self.coalesced += 1;
        self.bytes = self.bytes.saturating_sub(old) + new;
    }

    /// A stored message of `bytes` is not wanted any more: a newer one says more.
    pub(super) fn supersede(&mut self, bytes: u64) {
        self.coalesced += 1;
        self.take_out(bytes);
    }

    /// A message of `bytes` was acknowledged.
    pub(super) fn acknowledge(&mut self, bytes: u64) {
        self.acknowledged += 1;
        self.take_out(bytes);
    }

    /// The message at `position` is lost.
    pub(super) fn drop(&mut self, position: Position, bytes: u64, reason: DropReason) {
        *self.dropped.entry(reason).or_default() += 1;
        self.take_out(bytes);
        if position.sub == 0 {
            self.note(Gap { reason, from: position.seq, to: position.seq, count: 1 });
        }
    }

    /// The ledger of a new store in place of a lost one, in which numbers up to `number` may have been
    /// used: how many of them were lost, nobody can tell.
    pub(super) fn start_after(&mut self, number: u64) {
        self.last = Position { seq: number, sub: 0 };
        self.note(Gap { reason: DropReason::Damaged, from: 1, to: number, count: 0 });
    }

    /// The program ended without storing what it `held` in memory. Numbers go on above all that it can
    /// have used.
    pub(super) fn lose_held(&mut self, held: &Held) {
        if held.count > 0 {
            *self.dropped.entry(DropReason::NotStored).or_default() += held.count;
            self.stored = self.stored.saturating_sub(held.count);
            self.bytes = if self.stored == 0 { 0 } else { self.bytes.saturating_sub(held.bytes) };
        }
        let (reason, from) = (DropReason::NotStored, held.from.min(self.last.seq + 1));
        if from <= held.reserved {
            self.note(Gap { reason, from, to: held.reserved, count: held.count });
        }
        let reserved = Position { seq: held.reserved, sub: 0 };
        self.last = self.last.max(reserved);
    }

    /// `count` messages never came here. They have their numbers all the same, so that the far end can
    /// see that something is missing, and is told what.
    pub(super) fn pass_over(&mut self, count: u64) {
        if count == 0 {
            return;
        }
        let (reason, from, to) = (DropReason::PassedOver, self.last.seq + 1, self.last.seq + count);
        self.last = Position { seq: to, sub: 0 };
        self.accepted += count;
        *self.dropped.entry(reason).or_default() += count;
        self.note(Gap { reason, from, to, count });
    }

    /// Everything that should be stored is not there.
    pub(super) fn lose_rest(&mut self) {
        let count = std::mem::take(&mut self.stored);
        self.bytes = 0;
        *self.dropped.entry(DropReason::Damaged).or_default() += count;
        self.note(Gap { reason: DropReason::Damaged, from: 1, to: self.last.seq, count });
    }

    fn take_out(&mut self, bytes: u64) {
        self.stored = self.stored.saturating_sub(1);
        // The size of a damaged message can only be guessed; an empty lane puts that right.
        self.bytes = if self.stored == 0 { 0 } else { self.bytes.saturating_sub(bytes) };
    }

    fn note(&mut self, gap: Gap) {
        if let Some(last) = self.gaps.last_mut()
            && last.reason == gap.reason
            && gap.from == last.to + 1
        {
            last.to = gap.to;
            last.count += gap.count;
            return;
        }
        self.gaps.push(gap);
        if self.gaps.len() > GAPS_MAX {
            let oldest = self.gaps.remove(0);
            let next = &mut self.gaps[0];
            // The reason of the larger part stands for both; the counters by reason stay exact.
            if oldest.count > next.count {
                next.reason = oldest.reason;
            }
            next.from = next.from.min(oldest.from);
            next.to = next.to.max(oldest.to);
            next.count += oldest.count;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_no_gaps_and_unnumbered_ones_stand_between() {
        let mut ledger = Ledger::default();
        let at = |seq, sub| Position { seq, sub };
        assert_eq!(ledger.accept(false, 1), at(0, 1));
        assert_eq!(ledger.accept(true, 1), at(1, 0));
        assert_eq!(ledger.accept(false, 1), at(1, 1));
        assert_eq!(ledger.accept(false, 1), at(1, 2));
        assert_eq!(ledger.accept(true, 1), at(2, 0));
        assert_eq!(at(3, u32::MAX).next(), at(4, 0));
    }

    #[test]
    fn losses_in_a_row_are_one_gap_and_gaps_stay_few() {
        let mut ledger = Ledger::default();
        for seq in 1..=10 {
            ledger.accept(true, 5);
            ledger.drop(Position { seq, sub: 0 }, 5, DropReason::BufferFull);
        }
        let gap = Gap { reason: DropReason::BufferFull, from: 1, to: 10, count: 10 };
        assert_eq!(ledger.gaps, [gap]);
        for seq in (20..200).step_by(2) {
            ledger.drop(Position { seq, sub: 0 }, 0, DropReason::TooLarge);
        }
        assert_eq!(ledger.gaps.len(), GAPS_MAX);
        let noted: u64 = ledger.gaps.iter().map(|gap| gap.count).sum();
        assert_eq!(noted, ledger.dropped.values().sum::<u64>());
        assert_eq!((ledger.gaps[0].from, ledger.gaps.last().unwrap().to), (1, 198));
    }
}
