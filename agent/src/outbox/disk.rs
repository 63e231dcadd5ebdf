//! The store on disk: a core database for everything that is committed together, and telemetry in
//! generations of its own ([`super::generations`]). To the outbox both are one map.
//!
//! A store written before there were generations has telemetry in its core; it is read from there, and what
//! is left of it goes as it is acknowledged.

use std::cell::RefCell;
use std::fs;
use std::path::{Path, PathBuf};

use domain::output::Lane;

use super::Quarantined;
use super::entry;
use super::generations::{Generations, VALUES_MAX};
use super::reserve::Reserve;
use super::sled::{SledStore, Sync, to_device};
use super::store::{Batch, Pair, Store, StoreError};

/// The directories inside the buffer's, and the file that keeps space free.
pub(super) const CORE: &str = "core";
pub(super) const TELEMETRY: &str = "telemetry";
const RESERVE: &str = "core.reserve";
/// There when the core was found to be damaged while it was open.
pub(super) const SUSPECT: &str = "core.suspect";
/// Pairs read together.
const PAGE: usize = 64;

/// What the databases stand on; a seam for tests.
#[derive(Clone)]
pub(super) struct Medium {
    /// How a file is made to be on the device.
    pub(super) sync: Sync,
    /// Bytes of values in a generation.
    pub(super) values_max: u64,
}

impl Default for Medium {
    fn default() -> Medium {
        Medium { sync: to_device(), values_max: VALUES_MAX }
    }
}

/// Both kinds of databases, as one store.
pub(super) struct DiskStore {
    dir: PathBuf,
    core: SledStore,
    /// Reading may open another one of them.
    generations: RefCell<Generations>,
    /// Telemetry in the core ends before this key; empty when there is none.
    in_core: Vec<u8>,
    reserve: Reserve,
    medium: Medium,
}

impl DiskStore {
    /// Opens or creates the store in `dir`. A damaged core may panic; damaged telemetry is moved aside
    /// and told.
    pub(super) fn open(
        dir: &Path,
        medium: &Medium,
    ) -> Result<(DiskStore, Option<Quarantined>), StoreError> {
        let core = SledStore::open(&dir.join(CORE), medium.sync.clone())?;
        let telemetry = dir.join(TELEMETRY);
        let (generations, aside) = Generations::open(&telemetry, &core, medium)?;
        let mut store = DiskStore {
            dir: dir.to_owned(),
            in_core: end_in(&core)?,
            core,
            generations: RefCell::new(generations),
            reserve: Reserve::new(dir.join(RESERVE)),
            medium: medium.clone(),
        };
        store.reserve.keep();
        Ok((store, aside))
    }

    /// Reads all of the core, if it was said to be damaged; and takes that back when it is not.
    pub(super) fn prove(&self) -> Result<(), StoreError> {
        let suspect = self.dir.join(SUSPECT);
        if !suspect.exists() {
            return Ok(());
        }
        let mut from = Vec::new();
        loop {
            let page = self.core.scan(&from, &[0xff; 9], PAGE)?;
            let Some((last, _)) = page.last() else { break };
            from = [&last[..], &[0]].concat();
        }
        let deleted = fs::remove_file(&suspect);
        deleted.map_err(|why| StoreError::Io { doing: "deleting", path: suspect, why })
    }
}

/// The first key of telemetry, and the first behind it.
fn bounds() -> ([u8; 1], [u8; 1]) {
    let end = entry::lane_end(Lane::Telemetry);
    ([end[0] - 1], end)
}

fn is_telemetry(key: &[u8]) -> bool {
    let (from, to) = bounds();
    (&from[..]..&to[..]).contains(&key)
}

fn end_in(core: &SledStore) -> Result<Vec<u8>, StoreError> {
    let (from, to) = bounds();
    Ok(core.last_key(&from, &to)?.map_or_else(Vec::new, |key| [&key[..], &[0]].concat()))
}

impl Store for DiskStore {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        if !is_telemetry(key) || *key < self.in_core[..] {
            return self.core.get(key);
        }
        let found = self.generations.borrow_mut().scan(key, &[key, &[0]].concat(), 1)?;
        Ok(found.into_iter().next().map(|(_, value)| value))
    }

    fn scan(&self, from: &[u8], to: &[u8], limit: usize) -> Result<Vec<Pair>, StoreError> {
        let (begin, end) = bounds();
        // Below telemetry with what a core has of it, telemetry, and what is above.
        let mut found = self.core.scan(from, to.min(&end), limit)?;
        if found.len() < limit {
            let (from, to) = (from.max(&begin), to.min(&end));
            found.extend(self.generations.borrow_mut().scan(from, to, limit - found.len())?);
        }
        if found.len() < limit {
            found.extend(self.core.scan(from.max(&end), to, limit - found.len())?);
        }
        Ok(found)
    }

    fn commit(&mut self, batch: Batch) -> Result<(), StoreError> {
        let (from, to) = bounds();
        let (telemetry, mut core) = batch.split(&from, &to);
        let (old, telemetry) = telemetry.split(&from, self.in_core.as_slice().max(&from));
        for (key, _) in old.into_changes() {
            core.remove(key);
        }
        let generations = self.generations.get_mut();
        let next = generations.prepare(telemetry, &mut core)?;
        self.core.commit(core)?;
        generations.adopt(next)?;
        self.reserve.keep();
        Ok(())
    }

    fn reopen(&mut self) -> Result<(), StoreError> {
        // Opening a store writes, and a full disk may be why it had to be closed.
        self.reserve.release();
        self.generations.get_mut().close_all();
        self.core.reopen()?;
        let telemetry = self.dir.join(TELEMETRY);
        let (generations, _told) = Generations::open(&telemetry, &self.core, &self.medium)?;
        self.generations = RefCell::new(generations);
        self.in_core = end_in(&self.core)?;
        Ok(())
    }

    fn free_bytes(&self) -> Option<u64> {
        let space = rustix::fs::statvfs(&self.dir).ok()?;
        Some(space.f_bavail.saturating_mul(space.f_frsize))
    }

    fn condemn(&self) {
        // Best effort: what is not marked will be found again.
        if let Err(why) = fs::write(self.dir.join(SUSPECT), b"") {
            tracing::warn!(error = %why, "the damaged store could not be marked");
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::*;
    use crate::outbox::store::VALUE_MAX;

    fn open(dir: &Path) -> DiskStore {
        let (store, aside) = DiskStore::open(dir, &Medium::default()).unwrap();
        assert_eq!(aside, None);
        store
    }

    fn key(n: u32) -> Vec<u8> {
        [&bounds().0[..], &n.to_be_bytes()].concat()
    }

    fn databases(dir: &Path) -> Vec<String> {
        let names = fs::read_dir(dir.join(TELEMETRY)).into_iter().flatten();
        let mut names: Vec<_> =
            names.map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    fn put(store: &mut DiskStore, numbers: std::ops::Range<u32>) {
        let mut batch = Batch::default();
        // Nothing that could be compressed, and of the size of a block.
        numbers.for_each(|n| batch.put(key(n), n.to_le_bytes().repeat(VALUE_MAX / 4)));
        store.commit(batch).unwrap();
    }

    fn remove(store: &mut DiskStore, numbers: impl IntoIterator<Item = u32>) {
        let mut batch = Batch::default();
        numbers.into_iter().for_each(|n| batch.remove(key(n)));
        store.commit(batch).unwrap();
    }

    fn numbers(store: &DiskStore) -> Vec<u32> {
        let all = store.scan(&bounds().0, &bounds().1, usize::MAX).unwrap();
        let number = |(key, _): (Vec<u8>, _)| u32::from_be_bytes(key[1..].try_into().unwrap());
        all.into_iter().map(number).collect()
    }

    #[test]
    fn conforms() {
        let dir = tempfile::tempdir().unwrap();
        let n = AtomicU64::new(0);
        crate::outbox::store::conformance::suite(|| {
            open(&dir.path().join(n.fetch_add(1, Ordering::Relaxed).to_string()))
        });
    }

    #[test]
    fn telemetry_is_read_across_databases_and_unlinked_as_it_goes() {
        let dir = tempfile::tempdir().unwrap();
        let mut store = open(dir.path());
        for from in (0..4000).step_by(500) {
            put(&mut store, from..from + 500);
        }
        assert_eq!(databases(dir.path()).len(), 8, "24 MB of values, 3 MB at a time");
        assert_eq!(numbers(&store), (0..4000).collect::<Vec<_>>());
        assert_eq!(store.get(&key(1700)).unwrap().unwrap()[..4], 1700_u32.to_le_bytes());
        remove(&mut store, 0..3500);
        assert_eq!(databases(dir.path()).len(), 1, "what is read is unlinked");
        drop(store);
        let mut store = open(dir.path());
        assert_eq!(numbers(&store), (3500..4000).collect::<Vec<_>>());
        remove(&mut store, 3500..4000);
        assert_eq!(databases(dir.path()), Vec::<String>::new());
        put(&mut store, 4000..4003);
        assert_eq!(numbers(&store), [4000, 4001, 4002]);
    }

    #[test]
    fn what_is_removed_out_of_order_is_gone_at_once_and_forgotten_in_time() {
        let dir = tempfile::tempdir().unwrap();
        let mut store = open(dir.path());
        put(&mut store, 0..10);
        remove(&mut store, [3, 5, 9]);
        remove(&mut store, [0]);
        store.reopen().unwrap();
        assert_eq!(numbers(&store), [1, 2, 4, 6, 7, 8]);
        assert_eq!(store.get(&key(5)).unwrap(), None);
        remove(&mut store, [1, 2]);
        assert_eq!(numbers(&store), [4, 6, 7, 8]);
        remove(&mut store, [4, 6, 7, 8]);
        drop(store);
        let store = open(dir.path());
        assert_eq!(numbers(&store), Vec::<u32>::new());
        assert_eq!(store.core.keys(b"x", b"y", 10).unwrap(), Vec::<Vec<u8>>::new());
    }

    #[test]
    fn blocks_whose_commit_was_not_finished_do_not_count() {
        let dir = tempfile::tempdir().unwrap();
        let mut store = open(dir.path());
        put(&mut store, 0..3);
        let mut batch = Batch::default();
        (3..5).for_each(|n| batch.put(key(n), vec![7; 100]));
        let mut core = Batch::default();
        store.generations.get_mut().prepare(batch, &mut core).unwrap();
        drop(store);
        let mut store = open(dir.path());
        assert_eq!(numbers(&store), [0, 1, 2]);
        put(&mut store, 3..4);
        assert_eq!(numbers(&store), [0, 1, 2, 3]);
        assert_eq!(store.get(&key(3)).unwrap().unwrap().len(), VALUE_MAX);
    }

    #[test]
    fn telemetry_of_an_older_store_is_read_from_its_core_first() {
        let dir = tempfile::tempdir().unwrap();
        let mut core = SledStore::open(&dir.path().join(CORE), to_device()).unwrap();
        let mut batch = Batch::default();
        (0..3).for_each(|n| batch.put(key(n), vec![1]));
        core.commit(batch).unwrap();
        drop(core);
        let mut store = open(dir.path());
        put(&mut store, 3..5);
        assert_eq!(numbers(&store), [0, 1, 2, 3, 4]);
        remove(&mut store, [0, 1, 2, 3]);
        store.reopen().unwrap();
        assert_eq!(numbers(&store), [4]);
        assert_eq!(store.get(&key(2)).unwrap(), None);
    }

    #[test]
    fn a_damaged_database_is_moved_aside_and_the_others_go_on() {
        let dir = tempfile::tempdir().unwrap();
        let mut store = open(dir.path());
        for from in (0..4000).step_by(500) {
            put(&mut store, from..from + 500);
        }
        drop(store);
        let names = databases(dir.path());
        let last = names.last().unwrap();
        for broken in [&names[0], last] {
            let conf = dir.path().join(TELEMETRY).join(broken).join("conf");
            fs::write(conf, "no configuration of any database").unwrap();
        }
        let (mut store, aside) = DiskStore::open(dir.path(), &Medium::default()).unwrap();
        let aside = aside.unwrap();
        assert!(aside.moved_to.ends_with(format!("{last}.bad")), "{aside:?}");
        let left = numbers(&store);
        assert!(left.len() > 1000 && left[0] > 0, "that in the middle is whole");
        put(&mut store, 4000..4002);
        assert_eq!(numbers(&store).last(), Some(&4001));
        let bad = databases(dir.path()).iter().filter(|name| name.ends_with(".bad")).count();
        assert_eq!(bad, 2);
    }
}
