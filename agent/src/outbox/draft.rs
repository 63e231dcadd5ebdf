//! The next commit, worked out beside the queue: what it writes, and what the queue will be after it.
//!
//! Nothing of the queue changes here, so a commit that fails leaves everything as it was.

use std::collections::{BTreeMap, BTreeSet};

use domain::output::{Body, Lane, Message, Record, Topic};
use domain::time::Utc;
use serde::Serialize;
use serde_json::Value;

use super::Turn;
use super::block::{self, OPEN_BYTES_MAX, Open};
use super::entry::{self, Content, Key, Stored};
use super::held::{self, NextMemory};
use super::ledger::{DropReason, Held, Ledger, Position};
use super::queue::{Outcome, Queue, Slot, Waiting, stored};
use super::restore::META;
use super::store::{Batch, Store, StoreError};
use super::value::{self, Found};
use crate::mqtt::payload::{self, Stamp};
use crate::mqtt::topics;

/// The order in which lanes make room: none before all in front of it are empty.
pub(super) const ROOM_FROM: [Lane; 4] = [Lane::Telemetry, Lane::State, Lane::Event, Lane::Ticket];
/// Messages looked at together when room is made.
const ROOM_PAGE: usize = 16;
/// What is dated before 2024 was dated by a clock that nobody had set: its age is not known.
const DATED_FROM: Utc = Utc::from_ms(1_704_067_200_000);

pub(super) struct Draft<'q> {
    queue: &'q Queue,
    batch: Batch,
    /// Whether telemetry stays in memory; else all of it goes to the store.
    hold: bool,
    /// Whether no block may stay open.
    close: bool,
    /// What changes in memory.
    memory: Batch,
    held: Held,
    /// The open blocks that changed; `None` for one that is closed.
    blocks: BTreeMap<Topic, Option<Open>>,
    /// Bytes of readings in all open blocks.
    open_bytes: usize,
    ledgers: [Ledger; 4],
    /// What changed in the index of messages that may still be replaced.
    waiting: BTreeMap<String, Waiting>,
    /// What this draft itself wrote or removed.
    touched: BTreeSet<Key>,
}

/// A finished draft: what to write, and what holds when it is written.
pub(super) struct Drafted {
    pub(super) batch: Batch,
    pub(super) next: Next,
}

/// The queue after a commit.
pub(super) struct Next {
    pub(super) ledgers: [Ledger; 4],
    pub(super) waiting: BTreeMap<String, Waiting>,
    pub(super) memory: NextMemory,
    /// Whether the store has to be written for it.
    pub(super) durable: bool,
}

impl<'q> Draft<'q> {
    /// A draft that deletes what is settled and, unless telemetry is to be in memory only (`hold`), moves
    /// all of that to the store.
    pub(super) fn new(queue: &'q Queue, hold: bool) -> Result<Draft<'q>, StoreError> {
        let mut draft = Draft {
            queue,
            batch: Batch::default(),
            hold,
            close: !hold,
            memory: Batch::default(),
            held: queue.memory.held,
            blocks: BTreeMap::new(),
            open_bytes: queue.memory.open_bytes,
            ledgers: std::array::from_fn(|lane| queue.lanes[lane].ledger.clone()),
            waiting: BTreeMap::new(),
            touched: BTreeSet::new(),
        };
        if !hold {
            for (key, value) in queue.memory.pairs() {
                draft.batch.put(key.to_vec(), value.to_vec());
            }
        }
        for lane in Lane::ALL {
            for (&position, &(slot, outcome)) in queue.settled(lane) {
                draft.delete(Key { lane, position }, slot)?;
                let ledger = &mut draft.ledgers[lane as usize];
                match outcome {
                    Outcome::Acknowledged => ledger.acknowledge(slot.bytes),
                    Outcome::Dropped(reason) => ledger.drop(position, slot.bytes, reason),
                }
            }
        }
        Ok(draft)
    }

    /// No block stays open.
    pub(super) fn close_blocks(&mut self) {
        self.close = true;
    }

    /// Adds everything in `turns`.
    pub(super) fn add(&mut self, turns: &[Turn]) -> Result<(), StoreError> {
        self.records(turns.iter().flat_map(|turn| &turn.records))?;
        for turn in turns {
            for (ledger, count) in self.ledgers.iter_mut().zip(turn.passed_over) {
                ledger.pass_over(count);
            }
            turn.messages.iter().for_each(|message| self.message(message));
        }
        Ok(())
    }

    fn records<'t>(&mut self, records: impl Iterator<Item = &'t Record>) -> Result<(), StoreError> {
        // The last word on a record counts, and is written once.
        let latest: BTreeMap<&str, &Option<Vec<u8>>> =
            records.map(|record| (record.key.as_str(), &record.value)).collect();
        for (name, value) in latest {
            let key = entry::record_key(name);
            let before = match value::get(&*self.queue.store, &key)? {
                None => 0,
                Some(Found::Blob(_, pieces)) => pieces,
                Some(Found::Damaged) => {
                    value::sweep(&*self.queue.store, &mut self.batch, &key)?;
                    0
                }
            };
            match value {
                Some(blob) => _ = value::put(&mut self.batch, &key, blob, before),
                None => value::remove(&mut self.batch, &key, 0..before),
            }
        }
        Ok(())
    }

    fn message(&mut self, message: &Message) {
        if message.lane == Lane::State {
            self.state_message(message);
        } else if let Some(readings) = block::readings(message) {
            self.gather(message, readings);
        } else {
            if message.lane == Lane::Telemetry {
                // What came before it on its topic goes before it.
                self.close(&message.topic);
            }
            self.append(message);
        }
    }

    /// Lets readings join the open block of their topic, and the next ones when that is full.
    fn gather(&mut self, message: &Message, readings: &[Value]) {
        let mut open = self.take_open(&message.topic);
        for reading in readings {
            if let Some(block) = open.take_if(|block| block.is_full() || !block.agrees(message)) {
                self.append_block(&block);
            }
            let columns = self.queue.columns;
            open.get_or_insert_with(|| Open::new(message, columns)).push(reading);
        }
        if let Some(block) = open.take_if(|block| block.is_full()) {
            self.append_block(&block);
        }
        self.open_bytes += open.as_ref().map_or(0, Open::bytes);
        self.blocks.insert(message.topic.clone(), open);
    }

    /// Takes the open block of `topic` out of the draft, which notes that there is none any more.
    fn take_open(&mut self, topic: &Topic) -> Option<Open> {
        let open = match self.blocks.insert(topic.clone(), None) {
            Some(changed) => changed,
            None => self.queue.memory.blocks.get(topic).cloned(),
        };
        self.open_bytes -= open.as_ref().map_or(0, Open::bytes);
        open
    }

    /// Closes the open block of `topic`, if there is one.
    fn close(&mut self, topic: &Topic) {
        if let Some(block) = self.take_open(topic) {
            self.append_block(&block);
        }
    }

    fn close_all(&mut self) {
        let topics: BTreeSet<Topic> =
            self.queue.memory.blocks.keys().chain(self.blocks.keys()).cloned().collect();
        topics.iter().for_each(|topic| self.close(topic));
    }

    fn append_block(&mut self, block: &Open) {
        self.append_as(block.head(), |stamp| block.payload(stamp));
    }

    /// Gives the message the next place in its lane.
    fn append(&mut self, message: &Message) -> Slot {
        self.append_as(message, |stamp| payload::render(message, stamp))
    }

    fn append_as(&mut self, message: &Message, render: impl FnOnce(&Stamp) -> Vec<u8>) -> Slot {
        let numbered = message.body != Body::Empty;
        let lane = message.lane as usize;
        let position = self.ledgers[lane].accept(numbered, 0);
        let slot = self.store(message, position, 0, render);
        self.ledgers[lane].bytes += slot.bytes;
        slot
    }

    /// Stores the message at `position`, over one of `before` pieces.
    fn store(
        &mut self,
        message: &Message,
        position: Position,
        before: u16,
        render: impl FnOnce(&Stamp) -> Vec<u8>,
    ) -> Slot {
        let key = Key { lane: message.lane, position };
        let id = payload::message_id(&self.queue.box_id, message.lane, position.seq);
        let stamp =
            Stamp { prefix: &self.queue.prefix, id: &id, boot: self.queue.boot, seq: position.seq };
        let blob = Stored {
            boot: self.queue.boot,
            conn: self.queue.conn,
            at: message.at,
            retain: message.topic.retained(),
            path: topics::path(&message.topic),
            content: Content::of(render(&stamp), message.lane, &self.queue.packer),
        }
        .encode(key);
        let bytes = blob.len() as u64;
        let batch = if self.hold && key.lane == Lane::Telemetry {
            self.held.count += 1;
            self.held.bytes += bytes;
            &mut self.memory
        } else {
            &mut self.batch
        };
        let pieces = value::put(batch, &entry::message_key(key), &blob, before);
        self.touched.insert(key);
        Slot { position, pieces, bytes }
    }

    /// A state takes the place, and the number, of an older one of its topic that certainly was never
    /// sent. An empty payload has no number to take over, so it stands for itself; it is taken back
    /// when a new state comes before it was sent.
    fn state_message(&mut self, message: &Message) {
        let path = topics::path(&message.topic);
        let mut waiting = self.waiting_at(&path);
        let lane = Lane::State as usize;
        if message.body == Body::Empty {
            if let Some(slot) = waiting.empty {
                // The same nothing is already on its way.
                self.ledgers[lane].replace(slot.bytes, slot.bytes);
            } else {
                waiting.empty = Some(self.append(message));
            }
        } else {
            if let Some(slot) = waiting.empty.take() {
                let key = Key { lane: Lane::State, position: slot.position };
                value::remove(&mut self.batch, &entry::message_key(key), 0..slot.pieces);
                self.touched.insert(key);
                self.ledgers[lane].supersede(slot.bytes);
            }
            waiting.value = Some(match waiting.value {
                Some(old) => {
                    let render = |stamp: &Stamp| payload::render(message, stamp);
                    let new = self.store(message, old.position, old.pieces, render);
                    self.ledgers[lane].replace(old.bytes, new.bytes);
                    new
                }
                None => self.append(message),
            });
        }
        self.waiting.insert(path, waiting);
    }

    fn waiting_at(&self, path: &str) -> Waiting {
        self.waiting.get(path).or_else(|| self.queue.waiting.get(path)).copied().unwrap_or_default()
    }

    /// Evicts from `lanes`, in their order and each from its oldest on, until no more than `bytes_max`
    /// are stored. What is in flight, or came with this very draft, stays, and so does everything
    /// more important; the bound may be passed by as much, until the next commit.
    pub(super) fn make_room(
        &mut self,
        lanes: &[Lane],
        bytes_max: u64,
        reason: DropReason,
    ) -> Result<(), StoreError> {
        for lane in lanes {
            self.make_room_in(*lane, bytes_max, reason)?;
            if self.ledgers[*lane as usize].stored > 0 {
                break;
            }
        }
        Ok(())
    }

    fn make_room_in(
        &mut self,
        lane: Lane,
        bytes_max: u64,
        reason: DropReason,
    ) -> Result<(), StoreError> {
        let mut from = Position::default();
        while self.bytes() > bytes_max {
            let page = self.queue.read(lane, from, ROOM_PAGE)?;
            let Some((last, _)) = page.last() else { return Ok(()) };
            from = last.next();
            for (position, found) in page {
                if self.bytes() <= bytes_max {
                    return Ok(());
                }
                self.evict(Key { lane, position }, &found, reason)?;
            }
        }
        Ok(())
    }

    /// Evicts what is older by `now` than its lane allows, each lane from its oldest on.
    pub(super) fn let_go_of_the_old(&mut self, now: Utc) -> Result<(), StoreError> {
        for lane in Lane::ALL {
            let Some(age) = self.queue.max_age[lane as usize] else { continue };
            let age = i64::try_from(age.as_millis()).unwrap_or(i64::MAX);
            let before = Utc::from_ms(now.as_ms().saturating_sub(age));
            self.evict_before(lane, before)?;
        }
        Ok(())
    }

    fn evict_before(&mut self, lane: Lane, before: Utc) -> Result<(), StoreError> {
        let mut from = Position::default();
        loop {
            let page = self.queue.read(lane, from, ROOM_PAGE)?;
            let Some((last, _)) = page.last() else { return Ok(()) };
            from = last.next();
            for (position, found) in page {
                let at = stored(position, &found).map(|(stored, _)| stored.at);
                // One that cannot be read is found out when it is taken.
                if at.is_some_and(|at| at >= before) {
                    return Ok(());
                }
                if at.is_some_and(|at| at >= DATED_FROM) {
                    self.evict(Key { lane, position }, &found, DropReason::TooOld)?;
                }
            }
        }
    }

    fn evict(&mut self, key: Key, found: &Found, reason: DropReason) -> Result<(), StoreError> {
        if self.touched.contains(&key) || self.queue.is_in_flight(key) {
            return Ok(());
        }
        let readable = stored(key.position, found);
        let damaged = Slot { position: key.position, pieces: 0, bytes: 0 };
        let slot = readable.as_ref().map_or(damaged, |(_, slot)| *slot);
        self.delete(key, slot)?;
        self.ledgers[key.lane as usize].drop(key.position, slot.bytes, reason);
        if let Some((stored, _)) = readable
            && key.lane == Lane::State
        {
            let waiting = self.waiting_at(&stored.path).without(key.position);
            self.waiting.insert(stored.path, waiting);
        }
        Ok(())
    }

    /// Removes the message in `slot`, from wherever it is.
    fn delete(&mut self, key: Key, slot: Slot) -> Result<(), StoreError> {
        let at = entry::message_key(key);
        let (store, batch): (&dyn Store, _) = if self.hold && self.queue.memory.has(key) {
            self.held.count = self.held.count.saturating_sub(1);
            self.held.bytes = self.held.bytes.saturating_sub(slot.bytes);
            (&self.queue.memory.store, &mut self.memory)
        } else {
            (&*self.queue.store, &mut self.batch)
        };
        if slot.pieces == 0 {
            value::sweep(store, batch, &at)?;
        } else {
            value::remove(batch, &at, 0..slot.pieces);
        }
        self.touched.insert(key);
        Ok(())
    }

    /// Bytes stored when this draft is committed.
    pub(super) fn bytes(&self) -> u64 {
        self.ledgers.iter().map(|ledger| ledger.bytes).sum()
    }

    /// The draft as a batch, with the ledgers that changed and the number of the commit.
    pub(super) fn finish(mut self) -> Drafted {
        if self.close || self.open_bytes > OPEN_BYTES_MAX {
            self.close_all();
        }
        let memory = self.next_memory();
        let mut durable =
            !self.batch.is_empty() || memory.held.reserved != self.queue.memory.held.reserved;
        for lane in Lane::ALL {
            let (now, before) = (&self.ledgers[lane as usize], &self.queue.lanes[lane as usize]);
            if before.dirty || before.stale || *now != before.ledger {
                value::put(&mut self.batch, &entry::meta_key(lane.as_str()), &json(now), 1);
                // While it is held, telemetry is no reason to write: its counts wait for one.
                durable |= before.dirty || !(self.hold && lane == Lane::Telemetry);
            }
        }
        // Always beside the ledger: a start after a kill takes the one from the other.
        let note = entry::meta_key(META.held);
        if self.hold {
            value::put(&mut self.batch, &note, &json(&memory.held), 1);
        } else if self.queue.memory.held.reserved > 0 {
            value::remove(&mut self.batch, &note, 0..1);
        }
        let number = (self.queue.commits + 1).to_le_bytes();
        value::put(&mut self.batch, &entry::meta_key(META.commits), &number, 1);
        let next = Next { ledgers: self.ledgers, waiting: self.waiting, memory, durable };
        Drafted { batch: self.batch, next }
    }

    fn next_memory(&mut self) -> NextMemory {
        let last = self.ledgers[Lane::Telemetry as usize].last;
        if !self.hold {
            let (from, held) = (last.next(), Held::default());
            let (blocks, changes) = (std::mem::take(&mut self.blocks), Batch::default());
            return NextMemory { emptied: true, changes, from, held, blocks, open_bytes: 0 };
        }
        let before = self.queue.lanes[Lane::Telemetry as usize].ledger.last.seq;
        // One that is being settled counts too: only when that is stored it is known to have arrived.
        let oldest = self.queue.memory.positions().next();
        self.held.from = oldest.map_or(before + 1, |at| at.seq);
        if self.held.count > 0 || self.open_bytes > 0 {
            held::reserve(&mut self.held, last.seq);
        }
        let changes = std::mem::take(&mut self.memory);
        let from = self.queue.memory.from;
        let (blocks, open_bytes) = (std::mem::take(&mut self.blocks), self.open_bytes);
        NextMemory { emptied: false, changes, from, held: self.held, blocks, open_bytes }
    }
}

fn json(value: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(value).expect("numbers into memory cannot fail")
}
