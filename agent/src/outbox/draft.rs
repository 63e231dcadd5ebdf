//! The next commit, worked out beside the queue: what it writes, and what the queue will be after it.
//!
//! Nothing of the queue changes here, so a commit that fails leaves everything as it was.

use std::collections::{BTreeMap, BTreeSet};

use domain::output::{Body, Lane, Message, Record};

use super::Turn;
use super::entry::{self, Key, Stored};
use super::ledger::{DropReason, Ledger, Position};
use super::queue::{Outcome, Queue, Slot, Waiting, stored};
use super::restore::META;
use super::store::{Batch, StoreError};
use super::value::{self, Found};
use crate::mqtt::payload::{self, Stamp};
use crate::mqtt::topics;

/// The order in which lanes make room: none before all in front of it are empty.
pub(super) const ROOM_FROM: [Lane; 4] = [Lane::Telemetry, Lane::State, Lane::Event, Lane::Ticket];
/// Messages looked at together when room is made.
const ROOM_PAGE: usize = 16;

pub(super) struct Draft<'q> {
    queue: &'q Queue,
    batch: Batch,
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
}

impl<'q> Draft<'q> {
    /// A draft that deletes what is settled.
    pub(super) fn new(queue: &'q Queue) -> Result<Draft<'q>, StoreError> {
        let mut draft = Draft {
            queue,
            batch: Batch::default(),
            ledgers: std::array::from_fn(|lane| queue.lanes[lane].ledger.clone()),
            waiting: BTreeMap::new(),
            touched: BTreeSet::new(),
        };
        for lane in Lane::ALL {
            for (&position, &(slot, outcome)) in queue.settled(lane) {
                draft.delete(Key { lane, position }, slot.pieces)?;
                let ledger = &mut draft.ledgers[lane as usize];
                match outcome {
                    Outcome::Acknowledged => ledger.acknowledge(slot.bytes),
                    Outcome::Dropped(reason) => ledger.drop(position, slot.bytes, reason),
                }
            }
        }
        Ok(draft)
    }

    /// Adds everything in `turns`.
    pub(super) fn add(&mut self, turns: &[Turn]) -> Result<(), StoreError> {
        self.records(turns.iter().flat_map(|turn| &turn.records))?;
        for message in turns.iter().flat_map(|turn| &turn.messages) {
            self.message(message);
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
        } else {
            self.append(message);
        }
    }

    /// Gives the message the next place in its lane.
    fn append(&mut self, message: &Message) -> Slot {
        let numbered = message.body != Body::Empty;
        let lane = message.lane as usize;
        let position = self.ledgers[lane].accept(numbered, 0);
        let slot = self.store(message, position, 0);
        self.ledgers[lane].bytes += slot.bytes;
        slot
    }

    /// Stores the message at `position`, over one of `before` pieces.
    fn store(&mut self, message: &Message, position: Position, before: u16) -> Slot {
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
            payload: payload::render(message, &stamp),
        }
        .encode();
        let pieces = value::put(&mut self.batch, &entry::message_key(key), &blob, before);
        self.touched.insert(key);
        Slot { position, pieces, bytes: blob.len() as u64 }
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
                    let new = self.store(message, old.position, old.pieces);
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

    fn evict(&mut self, key: Key, found: &Found, reason: DropReason) -> Result<(), StoreError> {
        if self.touched.contains(&key) || self.queue.is_in_flight(key) {
            return Ok(());
        }
        let readable = stored(key.position, found);
        let (bytes, pieces) =
            readable.as_ref().map_or((0, 0), |(_, slot)| (slot.bytes, slot.pieces));
        self.delete(key, pieces)?;
        self.ledgers[key.lane as usize].drop(key.position, bytes, reason);
        if let Some((stored, _)) = readable
            && key.lane == Lane::State
        {
            let waiting = self.waiting_at(&stored.path).without(key.position);
            self.waiting.insert(stored.path, waiting);
        }
        Ok(())
    }

    /// Removes a message of `pieces`; 0 when their number is not known.
    fn delete(&mut self, key: Key, pieces: u16) -> Result<(), StoreError> {
        let at = entry::message_key(key);
        if pieces == 0 {
            value::sweep(&*self.queue.store, &mut self.batch, &at)?;
        } else {
            value::remove(&mut self.batch, &at, 0..pieces);
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
        for lane in Lane::ALL {
            let (now, before) = (&self.ledgers[lane as usize], &self.queue.lanes[lane as usize]);
            if before.dirty || *now != before.ledger {
                let json = serde_json::to_vec(now).expect("numbers into memory cannot fail");
                value::put(&mut self.batch, &entry::meta_key(lane.as_str()), &json, 1);
            }
        }
        let number = (self.queue.commits + 1).to_le_bytes();
        value::put(&mut self.batch, &entry::meta_key(META.commits), &number, 1);
        Drafted { batch: self.batch, next: Next { ledgers: self.ledgers, waiting: self.waiting } }
    }
}
