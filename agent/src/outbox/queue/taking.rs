//! Taking out and settling: what a link does with a queue.

use domain::output::Lane;

use super::{IN_FLIGHT_MAX, Outcome, Queue, Slot, Taken, Waiting, stored};
use crate::outbox::draft::Draft;
use crate::outbox::entry::{self, Content, Entry, Key, Lanes};
use crate::outbox::ledger::{DropReason, Position};
use crate::outbox::restore::META;
use crate::outbox::store::StoreError;
use crate::outbox::value::{self, Found};

/// Bytes taken at once at most (one message more may come with them).
const TAKE_BYTES: usize = 512 * 1024;

impl Queue {
    /// Takes up to `max` messages of `lanes` that are not in flight, highest lane first, each lane in
    /// order. Nothing while no link is up: what is taken counts as perhaps sent.
    ///
    /// # Errors
    /// The store cannot be read; nothing is taken.
    pub(in crate::outbox) fn take_of(
        &mut self,
        lanes: Lanes,
        max: usize,
    ) -> Result<Vec<Entry>, StoreError> {
        self.ensure_open()?;
        let mut entries = Vec::new();
        if self.conn == 0 {
            return Ok(entries);
        }
        for lane in Lane::ALL.into_iter().filter(|lane| lanes.contains(*lane)) {
            match self.take_from(lane, max, &mut entries) {
                Err(error) if entries.is_empty() => return Err(error),
                Err(_) | Ok(Full::Yes) => break,
                Ok(Full::No) => {}
            }
        }
        Ok(entries)
    }

    fn take_from(
        &mut self,
        lane: Lane,
        max: usize,
        entries: &mut Vec<Entry>,
    ) -> Result<Full, StoreError> {
        loop {
            let in_flight: usize = self.lanes.iter().map(|lane| lane.in_flight.len()).sum();
            let room = (max - entries.len()).min(IN_FLIGHT_MAX - in_flight).min(super::PAGE);
            let bytes: usize = entries.iter().map(|entry| entry.payload.len()).sum();
            if room == 0 || bytes >= TAKE_BYTES {
                return Ok(Full::Yes);
            }
            let page = self.read(lane, self.lanes[lane as usize].cursor, room)?;
            if page.is_empty() {
                self.look_for_lost(lane)?;
                return Ok(Full::No);
            }
            for (position, found) in page {
                if !self.take_one(Key { lane, position }, &found, entries) {
                    return Ok(Full::No);
                }
            }
        }
    }

    /// Takes one message. `false`: the lane must wait, for the topic is taken.
    fn take_one(&mut self, key: Key, found: &Found, entries: &mut Vec<Entry>) -> bool {
        let lane = &mut self.lanes[key.lane as usize];
        let behind = key.position.next();
        if lane.settled.contains_key(&key.position) {
            lane.cursor = behind;
            return true;
        }
        let readable = stored(key.position, found).and_then(|(mut stored, slot)| {
            let empty = Content::Plain(Vec::new());
            let content = std::mem::replace(&mut stored.content, empty).open(&self.packer)?;
            Some((stored, content, slot))
        });
        let Some((stored, (payload, packed), slot)) = readable else {
            tracing::error!(lane = key.lane.as_str(), seq = key.position.seq, "message is damaged");
            let slot = Slot { position: key.position, pieces: 0, bytes: 0 };
            lane.settled.insert(key.position, (slot, Outcome::Dropped(DropReason::Damaged)));
            lane.cursor = behind;
            return true;
        };
        if stored.retain && self.sending.contains_key(&stored.path) {
            return false;
        }
        lane.cursor = behind;
        let retained = stored.retain.then(|| stored.path.clone());
        if let Some(path) = &retained {
            self.sending.insert(path.clone(), key);
        }
        lane.in_flight.insert(key.position, Taken { slot, retained });
        if key.lane == Lane::State
            && let Some(waiting) = self.waiting.get_mut(&stored.path)
        {
            // From here on it may have been sent, and must stay as it is.
            *waiting = waiting.without(key.position);
            if *waiting == Waiting::default() {
                self.waiting.remove(&stored.path);
            }
        }
        let live = stored.boot == self.boot && stored.conn == self.conn;
        entries.push(Entry {
            key,
            path: stored.path,
            retain: stored.retain,
            replay: !live,
            at: stored.at,
            payload,
            packed,
        });
        true
    }

    /// A lane of which nothing is left, though its ledger says otherwise, has lost something.
    fn look_for_lost(&mut self, lane: Lane) -> Result<(), StoreError> {
        let state = &self.lanes[lane as usize];
        let quiet = state.in_flight.is_empty() && state.settled.is_empty();
        if quiet && state.ledger.stored > 0 && self.read(lane, Position::default(), 1)?.is_empty() {
            let state = &mut self.lanes[lane as usize];
            let lost = state.ledger.stored;
            tracing::error!(lane = lane.as_str(), lost, "messages are gone from the store");
            state.ledger.lose_rest();
            state.dirty = true;
        }
        Ok(())
    }

    /// The message is done with. One that is not in flight (any more) is left as it is.
    pub(in crate::outbox) fn settle(&mut self, key: Key, outcome: Outcome) {
        let lane = &mut self.lanes[key.lane as usize];
        if let Some(Taken { slot, retained }) = lane.in_flight.remove(&key.position) {
            lane.settled.insert(key.position, (slot, outcome));
            if let Some(path) = retained {
                self.sending.remove(&path);
            }
        }
    }

    /// The broker has accepted connection `conn` (counted from 1 in this boot).
    ///
    /// # Errors
    /// The mark that a link came up could not be stored; nothing may be sent yet.
    pub(in crate::outbox) fn link_up(&mut self, conn: u32) -> Result<(), StoreError> {
        self.link_down();
        if !self.linked {
            self.ensure_open()?;
            let mut drafted = Draft::new(self, false)?.finish();
            drafted.next.durable = true;
            let boot = u64::from(self.boot.0).to_le_bytes();
            value::put(&mut drafted.batch, &entry::meta_key(META.linked), &boot, 1);
            self.write(drafted)?;
            self.linked = true;
        }
        // What was gathered while no link was up is backlog.
        self.close_blocks()?;
        self.conn = conn;
        Ok(())
    }

    /// The connection is gone: what it had not acknowledged is to be taken again, in order.
    pub(in crate::outbox) fn link_down(&mut self) {
        self.conn = 0;
        self.sending.clear();
        for lane in &mut self.lanes {
            if let Some((&first, _)) = lane.in_flight.first_key_value() {
                lane.cursor = lane.cursor.min(first);
                lane.in_flight.clear();
            }
        }
    }
}

/// Whether a take has all it may have.
enum Full {
    Yes,
    No,
}
