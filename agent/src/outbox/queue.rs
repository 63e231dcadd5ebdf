//! The lanes over a store: what is there, what is on its way, what is done.
//!
//! Synchronous and without a clock; the committer's thread drives it. Per lane it remembers a cursor,
//! what is in flight and what is settled but not yet deleted; the messages themselves stay in the store.
//! How many there are, and how they ended, is in the lane's [`Ledger`].

mod taking;

use std::collections::BTreeMap;
use std::time::Duration;

use domain::output::Lane;
use domain::time::{Boot, Utc};

use super::draft::{Draft, Drafted, Next, ROOM_FROM};
use super::entry::{self, Key, Stored};
use super::floor::Floor;
use super::held::{self, Memory};
use super::ledger::{DropReason, Ledger, Position};
use super::pack::Packer;
use super::restore::{META, number};
use super::store::{Store, StoreError};
use super::value::{self, Found};
use super::{LaneStats, Stats, Turn};
use crate::mqtt::topics::Prefix;

/// Messages in flight at most: bounds the memory, whatever is asked for.
pub(super) const IN_FLIGHT_MAX: usize = 4096;
/// Messages read together.
const PAGE: usize = 64;
/// A full disk: this much is given up, oldest first, so that what matters more can go on.
const DISK_FULL_KEEP_PERCENT: u64 = 75;

/// Free space, and what is too old, is looked at with one commit in so many.
const LOOK_EVERY: u64 = 64;

/// Where a message stands in the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Slot {
    pub(super) position: Position,
    /// Pieces of its value; 0 when it is damaged and their number is not known.
    pub(super) pieces: u16,
    pub(super) bytes: u64,
}

/// The messages of one state topic that were certainly never sent.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Waiting {
    pub(super) value: Option<Slot>,
    /// Behind the value, when there are both.
    pub(super) empty: Option<Slot>,
}

impl Waiting {
    /// As it is when the message at `position` is not waiting any more.
    pub(super) fn without(self, position: Position) -> Waiting {
        let other = |slot: &Slot| slot.position != position;
        Waiting { value: self.value.filter(other), empty: self.empty.filter(other) }
    }
}

/// How a message ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// The broker has it.
    Acknowledged,
    /// It cannot be sent.
    Dropped(DropReason),
}

/// A message that is on its way.
#[derive(Debug)]
struct Taken {
    slot: Slot,
    /// Its path, if it is retained: nothing else goes there meanwhile.
    retained: Option<String>,
}

#[derive(Debug, Default)]
pub(super) struct LaneState {
    pub(super) ledger: Ledger,
    /// The ledger was changed outside a commit.
    pub(super) dirty: bool,
    /// The store has an older ledger: the next commit that is written brings this one.
    pub(super) stale: bool,
    /// Where the next take begins.
    cursor: Position,
    /// Taken and not settled.
    in_flight: BTreeMap<Position, Taken>,
    /// Settled, and deleted by the next commit.
    pub(super) settled: BTreeMap<Position, (Slot, Outcome)>,
}

/// The outbox without its thread.
pub(super) struct Queue {
    pub(super) store: Box<dyn Store>,
    /// Telemetry that is not in the store.
    pub(super) memory: Memory,
    pub(super) packer: Packer,
    pub(super) floor: Option<Floor>,
    pub(super) box_id: String,
    pub(super) prefix: Prefix,
    /// Bytes of stored messages, without the store's own.
    pub(super) bytes_max: u64,
    /// Less free than this where the store stands: telemetry makes room, so that the rest of the box,
    /// and what matters more, can go on.
    pub(super) free_min: u64,
    /// By lane, the age at which a message makes room.
    pub(super) max_age: [Option<Duration>; 4],
    /// Whether readings stand in columns.
    pub(super) columns: bool,
    pub(super) boot: Boot,
    /// The connection that is up, 0 for none.
    pub(super) conn: u32,
    /// Whether a link came up in this boot, and that is on disk.
    pub(super) linked: bool,
    /// The number of the last commit.
    pub(super) commits: u64,
    /// The store failed and could not be reopened.
    pub(super) closed: bool,
    pub(super) lanes: [LaneState; 4],
    /// By topic.
    pub(super) waiting: BTreeMap<String, Waiting>,
    /// Retained topics with a message in flight. There is never more than one: were a newer one
    /// acknowledged before an older, sending the older again would leave the broker with the past.
    pub(super) sending: BTreeMap<String, Key>,
}

impl Queue {
    /// Stores `turns`, and deletes what is settled, durably and as one.
    ///
    /// # Errors
    /// Nothing of it is stored.
    pub(super) fn commit(&mut self, turns: &[Turn]) -> Result<(), StoreError> {
        let must_stay = |turn: &Turn| turn.durable || turn.passed_over != [0; 4];
        let hold = self.may_hold() && !turns.iter().any(must_stay);
        self.commit_with(turns, hold, false)
    }

    fn may_hold(&self) -> bool {
        self.memory.held.bytes < held::BYTES_MAX
    }

    fn commit_with(&mut self, turns: &[Turn], hold: bool, close: bool) -> Result<(), StoreError> {
        self.ensure_open()?;
        let mut draft = Draft::new(self, hold)?;
        if close {
            draft.close_blocks();
        }
        draft.add(turns)?;
        draft.make_room(&ROOM_FROM, self.bytes_max, DropReason::BufferFull)?;
        if let Some(missing) = self.missing_space() {
            let keep = draft.bytes().saturating_sub(missing);
            draft.make_room(&[Lane::Telemetry], keep, DropReason::DiskFull)?;
        }
        if let Some(now) = turns.iter().rev().find_map(|turn| turn.now)
            && self.commits.is_multiple_of(LOOK_EVERY)
        {
            draft.let_go_of_the_old(now)?;
        }
        let drafted = draft.finish();
        self.write(drafted)
    }

    /// How much less is free than should be, when it is time to look.
    fn missing_space(&self) -> Option<u64> {
        let free = self.store.free_bytes().filter(|_| self.commits.is_multiple_of(LOOK_EVERY))?;
        (free < self.free_min).then(|| self.free_min - free)
    }

    /// Moves all that is in memory to the store, and deletes what is settled.
    ///
    /// # Errors
    /// It stays in memory.
    pub(super) fn spill(&mut self) -> Result<(), StoreError> {
        if self.memory.held.reserved > 0 {
            self.commit_with(&[], false, false)
        } else {
            self.flush()
        }
    }

    /// As [`Queue::spill`], before the store is closed. On a full disk the first try makes the store give
    /// its reserve back, and there may be no later one.
    ///
    /// # Errors
    /// What is in memory is lost with it, and what is settled will be sent again.
    pub(super) fn spill_at_end(&mut self) -> Result<(), StoreError> {
        self.spill().or_else(|why| if why.is_disk_full() { self.spill() } else { Err(why) })
    }

    /// Gives every open block its number, so that it can be sent.
    ///
    /// # Errors
    /// They stay open.
    pub(super) fn close_blocks(&mut self) -> Result<(), StoreError> {
        if self.has_open() { self.commit_with(&[], self.may_hold(), true) } else { Ok(()) }
    }

    /// Whether readings wait in a block that is not closed.
    pub(super) fn has_open(&self) -> bool {
        self.memory.open_bytes > 0
    }

    /// As [`Queue::spill`], if something numbered up to `last` is still in memory, or, while no link is
    /// up to take it, anything at all.
    ///
    /// # Errors
    /// It stays in memory.
    pub(super) fn spill_up_to(&mut self, last: u64) -> Result<(), StoreError> {
        let old = self.held_from().is_some_and(|from| from <= last || self.conn == 0);
        if old || (self.conn == 0 && self.has_open()) { self.spill() } else { Ok(()) }
    }

    /// The oldest number that is in memory and may be lost; `None` when there is nothing to lose.
    pub(super) fn held_from(&self) -> Option<u64> {
        let settled = self.settled(Lane::Telemetry);
        // Settled ones are in memory until the next commit, and safe.
        self.memory.positions().find(|at| !settled.contains_key(at)).map(|at| at.seq)
    }

    /// The last number given to telemetry.
    pub(super) fn last_given(&self) -> u64 {
        self.lanes[Lane::Telemetry as usize].ledger.last.seq
    }

    /// Deletes what is settled, if there is anything.
    ///
    /// # Errors
    /// It stays settled, and is deleted the next time.
    pub(super) fn flush(&mut self) -> Result<(), StoreError> {
        if self.is_settled() || self.lanes.iter().any(|lane| lane.dirty) {
            self.commit(&[])?;
        }
        Ok(())
    }

    /// Whether something waits for the next commit to be deleted.
    pub(super) fn is_settled(&self) -> bool {
        self.lanes.iter().any(|lane| !lane.settled.is_empty())
    }

    pub(super) fn write(&mut self, drafted: Drafted) -> Result<(), StoreError> {
        let Drafted { batch, next } = drafted;
        if !next.durable {
            self.adopt(next);
            return Ok(());
        }
        if let Some(floor) = &mut self.floor {
            let numbers = std::array::from_fn(|lane| next.ledgers[lane].last.seq);
            floor.raise(self.boot.0.into(), numbers)?;
        }
        if let Err(error) = self.store.commit(batch) {
            self.recover(error)?;
        }
        self.adopt(next);
        if let Some(floor) = &self.floor {
            floor.witness().note(self.commits);
        }
        Ok(())
    }

    fn adopt(&mut self, next: Next) {
        self.commits += u64::from(next.durable);
        self.memory.adopt(next.memory);
        for (lane, ledger) in self.lanes.iter_mut().zip(next.ledgers) {
            lane.stale = !next.durable && (lane.stale || lane.ledger != ledger);
            lane.ledger = ledger;
            lane.dirty = false;
            lane.settled.clear();
        }
        for (path, waiting) in next.waiting {
            if waiting == Waiting::default() {
                self.waiting.remove(&path);
            } else {
                self.waiting.insert(path, waiting);
            }
        }
    }

    /// After an error nobody knows whether the commit was done. The store is opened again and says so
    /// itself: it holds the number of its last commit. `Ok`: it was.
    fn recover(&mut self, error: StoreError) -> Result<(), StoreError> {
        tracing::error!(error = %error, "commit failed; the store is opened again");
        if let Err(why) = self.store.reopen() {
            tracing::error!(error = %why, "the store cannot be opened again");
            self.closed = true;
            return Err(error);
        }
        if number(&*self.store, META.commits)? == Some(self.commits + 1) {
            return Ok(());
        }
        if error.is_disk_full()
            && let Err(why) = self.give_up_space()
        {
            tracing::error!(error = %why, "no room could be made on the full disk");
            self.closed = self.store.reopen().is_err();
        }
        Err(error)
    }

    /// Evicts a part of what is stored, oldest and least important first. A disk can be full through
    /// no fault of ours, so tickets stay.
    fn give_up_space(&mut self) -> Result<(), StoreError> {
        let mut draft = Draft::new(self, true)?;
        let keep = draft.bytes() / 100 * DISK_FULL_KEEP_PERCENT;
        draft.make_room(&ROOM_FROM[..3], keep, DropReason::DiskFull)?;
        let Drafted { batch, mut next } = draft.finish();
        next.durable = true;
        self.store.commit(batch)?;
        self.adopt(next);
        Ok(())
    }

    fn ensure_open(&mut self) -> Result<(), StoreError> {
        if self.closed {
            self.store.reopen()?;
            self.closed = false;
        }
        Ok(())
    }

    /// The counts.
    ///
    /// # Errors
    /// The store cannot be read.
    pub(super) fn stats(&self) -> Result<Stats, StoreError> {
        let mut lanes = Vec::with_capacity(4);
        for lane in Lane::ALL {
            let state = &self.lanes[lane as usize];
            lanes.push(LaneStats {
                lane,
                ledger: state.ledger.clone(),
                in_flight: state.in_flight.len() as u64,
                in_memory: if lane == Lane::Telemetry { self.memory.held.count } else { 0 },
                gathering: if lane == Lane::Telemetry { self.memory.gathering() } else { 0 },
                settled: state.settled.len() as u64,
                oldest_at: self.oldest_at(lane)?,
            });
        }
        Ok(Stats { boot: self.boot, bytes_max: self.bytes_max, lanes })
    }

    fn oldest_at(&self, lane: Lane) -> Result<Option<Utc>, StoreError> {
        let settled = self.lanes[lane as usize].settled.len();
        // Settled messages are few and still there; the first that is not among them is the oldest.
        let page = self.read(lane, Position::default(), settled.min(PAGE) + 1)?;
        let first = page.iter().find(|(at, _)| !self.settled(lane).contains_key(at));
        Ok(first.and_then(|(at, found)| stored(*at, found)).map(|(stored, _)| stored.at))
    }

    /// Up to `limit` messages of `lane`, from `from` on.
    pub(super) fn read(
        &self,
        lane: Lane,
        from: Position,
        limit: usize,
    ) -> Result<Vec<(Position, Found)>, StoreError> {
        let from = entry::message_key(Key { lane, position: from });
        let mut found = value::scan(&*self.store, &from, &entry::lane_end(lane), limit)?;
        if lane == Lane::Telemetry && found.len() < limit {
            let room = limit - found.len();
            found.extend(value::scan(&self.memory.store, &from, &entry::lane_end(lane), room)?);
        }
        let place = |(key, found): (Vec<u8>, Found)| Some((entry::message_position(&key)?, found));
        Ok(found.into_iter().filter_map(place).collect())
    }

    pub(super) fn settled(&self, lane: Lane) -> &BTreeMap<Position, (Slot, Outcome)> {
        &self.lanes[lane as usize].settled
    }

    pub(super) fn is_in_flight(&self, key: Key) -> bool {
        self.lanes[key.lane as usize].in_flight.contains_key(&key.position)
    }
}

/// The message at `position` and its slot; `None` when it cannot be read.
pub(super) fn stored(position: Position, found: &Found) -> Option<(Stored, Slot)> {
    let Found::Blob(blob, pieces) = found else { return None };
    let slot = Slot { position, pieces: *pieces, bytes: blob.len() as u64 };
    Some((Stored::decode(blob)?, slot))
}
