//! Telemetry in memory: while the link is up it goes to the broker without ever touching the disk.
//!
//! Everything in the lane from [`Memory::from`] on is here and nowhere else; everything before it is in
//! the store. It moves to the store, all at once, when the link goes down, when it gets old or large, and
//! when the program ends. What a kill costs is told by [`Held`], which is in the store meanwhile.

use std::collections::BTreeMap;

use domain::output::{Lane, Topic};

use super::block::{Blocks, Open};
use super::entry::{self, Key};
use super::ledger::{Held, Position};
use super::memory::MemoryStore;
use super::store::{Batch, Store};
use super::value;

/// Bytes held at most (one commit more may come with them). More: all of it is moved to the store.
pub(super) const BYTES_MAX: u64 = 1024 * 1024;
/// Numbers set aside at a time, so that holding a message does not need a write.
const RESERVE: u64 = 65_536;

/// The messages in memory.
#[derive(Debug, Default)]
pub(super) struct Memory {
    pub(super) store: MemoryStore,
    /// The first position that is here.
    pub(super) from: Position,
    /// How much is here, and what the store says about it.
    pub(super) held: Held,
    /// Blocks that readings may still join. They have no number yet.
    pub(super) blocks: Blocks,
    /// Bytes of their readings; 0 when there are none.
    pub(super) open_bytes: usize,
}

impl Memory {
    /// Whether `key` is here.
    pub(super) fn has(&self, key: Key) -> bool {
        key.lane == Lane::Telemetry && key.position >= self.from
    }

    /// All that is here, as it is to be written into the store.
    pub(super) fn pairs(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        self.store.pairs()
    }

    /// Where the messages here stand, oldest first; one of several pieces comes several times.
    pub(super) fn positions(&self) -> impl Iterator<Item = Position> {
        let keys = self.store.pairs().filter_map(|(key, _)| value::split(key));
        keys.filter_map(|(key, _)| entry::message_position(key))
    }

    /// Takes over what a commit decided.
    pub(super) fn adopt(&mut self, next: NextMemory) {
        if next.emptied {
            self.store = MemoryStore::default();
        }
        self.store.commit(next.changes).expect("a map in memory takes every change");
        self.from = next.from;
        self.held = next.held;
        for (topic, block) in next.blocks {
            match block {
                Some(block) => self.blocks.insert(topic, block),
                None => self.blocks.remove(&topic),
            };
        }
        self.open_bytes = next.open_bytes;
    }

    /// Readings in open blocks.
    pub(super) fn gathering(&self) -> u64 {
        self.blocks.values().map(|block| u64::from(block.readings())).sum()
    }
}

/// The memory after a commit.
pub(super) struct NextMemory {
    /// Everything moved to the store.
    pub(super) emptied: bool,
    pub(super) changes: Batch,
    pub(super) from: Position,
    pub(super) held: Held,
    /// The open blocks that changed; `None` for one that is closed.
    pub(super) blocks: BTreeMap<Topic, Option<Open>>,
    pub(super) open_bytes: usize,
}

/// Sees to it that numbers up to `last` are set aside.
pub(super) fn reserve(held: &mut Held, last: u64) {
    // Also at nought: what is reserved says that something is held.
    if last >= held.reserved {
        held.reserved = last + RESERVE;
    }
}
