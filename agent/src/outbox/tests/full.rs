//! A disk that is full for ten minutes, and then is not.

use std::io;
use std::path::Path;
use std::sync::atomic::AtomicBool;

use super::*;
use crate::outbox::disk::{DiskStore, Medium};
use crate::outbox::floor::Floor;

#[test]
fn a_full_disk_takes_nothing_loses_nothing_and_is_over_when_it_is_over() {
    let dir = tempfile::tempdir().unwrap();
    let full = Arc::new(AtomicBool::new(false));
    let is_full = Arc::clone(&full);
    let sync = move |_: &Path, file: &fs::File| {
        if is_full.load(Ordering::Relaxed) {
            return Err(io::ErrorKind::StorageFull.into());
        }
        file.sync_data()
    };
    let medium = Medium { sync: Arc::new(sync), ..Medium::default() };
    let (store, _) = DiskStore::open(dir.path(), &medium).unwrap();
    let floor = Floor::open(&dir.path().join("floor.json")).unwrap();
    let mut queue = restore(Box::new(store), Some(floor), settings_of(u64::MAX)).unwrap().queue;
    queue.commit(&[turn(vec![message(Lane::Ticket, 1, 1), message(Lane::Event, 1, 2)])]).unwrap();
    queue.commit(&[Turn { durable: true, ..turn(vec![reading(1, 3)]) }]).unwrap();
    full.store(true, Ordering::Relaxed);
    // The engine tries again once a second.
    let held = Turn { durable: true, ..turn(vec![message(Lane::Ticket, 1, 4), reading(1, 5)]) };
    for second in 0..600 {
        let error = queue.commit(std::slice::from_ref(&held)).unwrap_err();
        let known = matches!(error, StoreError::Closed { .. }) || error.is_disk_full();
        assert!(known, "second {second}: {error}");
    }
    full.store(false, Ordering::Relaxed);
    queue.commit(&[held]).unwrap();
    let mut queue = restart(queue).queue;
    queue.link_up(1).unwrap();
    let mut seen = BTreeSet::new();
    loop {
        let entries = queue.take(100).unwrap();
        if entries.is_empty() {
            break;
        }
        for entry in entries {
            for value in values_of(&entry.payload) {
                assert!(seen.insert(value), "{value} came twice");
            }
            queue.settle(entry.key, Outcome::Acknowledged);
        }
    }
    let lost: u64 =
        Lane::ALL.iter().map(|l| ledger(&queue, *l).dropped.values().sum::<u64>()).sum();
    assert!(seen.contains(&1) && seen.contains(&4) && seen.contains(&5));
    assert_eq!(seen.len() as u64 + lost, 5, "what is not there is told");
    for lane in Lane::ALL {
        assert_eq!(ledger(&queue, lane).last.seq, [2, 1, 0, 2][lane as usize], "{lane:?}");
    }
}

#[test]
fn the_reserve_is_for_the_last_commit_too() {
    let dir = tempfile::tempdir().unwrap();
    let reserve = dir.path().join("core.reserve");
    let kept = reserve.clone();
    // Full but for what is kept in reserve.
    let sync = move |_: &Path, file: &fs::File| match kept.exists() {
        true => Err(io::ErrorKind::StorageFull.into()),
        false => file.sync_data(),
    };
    let medium = Medium { sync: Arc::new(sync), ..Medium::default() };
    let (store, _) = DiskStore::open(dir.path(), &medium).unwrap();
    fs::remove_file(&reserve).unwrap();
    let mut queue = restore(Box::new(store), None, settings_of(u64::MAX)).unwrap().queue;
    queue.commit(&[turn(vec![message(Lane::Ticket, 1, 1), message(Lane::Ticket, 1, 2)])]).unwrap();
    queue.link_up(1).unwrap();
    let taken = queue.take(1).unwrap();
    queue.settle(taken[0].key, Outcome::Acknowledged);
    fs::write(&reserve, "").unwrap();
    queue.spill_at_end().unwrap();
    assert!(!queue.is_settled() && !reserve.exists());
    assert_eq!(ledger(&queue, Lane::Ticket).stored, 1, "it was sent, and is deleted");
}

/// A store that stands where little is free.
struct Cramped(MemoryStore, Arc<AtomicU32>);

impl Store for Cramped {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        self.0.get(key)
    }
    fn scan(&self, from: &[u8], to: &[u8], limit: usize) -> Result<Vec<Pair>, StoreError> {
        self.0.scan(from, to, limit)
    }
    fn commit(&mut self, batch: Batch) -> Result<(), StoreError> {
        self.0.commit(batch)
    }
    fn reopen(&mut self) -> Result<(), StoreError> {
        self.0.reopen()
    }
    fn free_bytes(&self) -> Option<u64> {
        Some(self.1.load(Ordering::Relaxed).into())
    }
}

#[test]
fn telemetry_makes_room_before_the_disk_is_full() {
    let free = Arc::new(AtomicU32::new(u32::MAX));
    let store = Cramped(MemoryStore::default(), Arc::clone(&free));
    let mut queue = restore(Box::new(store), None, settings_of(u64::MAX)).unwrap().queue;
    let both = |value| {
        let messages = vec![message(Lane::Event, 1, value), message(Lane::Telemetry, 1, value)];
        Turn { durable: true, ..turn(messages) }
    };
    (0..200).for_each(|value| queue.commit(&[both(value)]).unwrap());
    assert!(ledger(&queue, Lane::Telemetry).dropped.is_empty());
    free.store(1 << 20, Ordering::Relaxed);
    (200..400).for_each(|value| queue.commit(&[both(value)]).unwrap());
    let telemetry = ledger(&queue, Lane::Telemetry);
    assert!(telemetry.dropped[&DropReason::DiskFull] > 150, "{telemetry:?}");
    assert_eq!(telemetry.gaps[0].from, 1, "oldest first");
    assert_eq!(ledger(&queue, Lane::Event).stored, 400, "only telemetry makes room");
}
