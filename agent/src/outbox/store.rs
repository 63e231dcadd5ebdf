//! What the outbox asks of a store: an ordered map whose commits are all or nothing, and durable.
//!
//! A store knows nothing of lanes, messages or checksums. Two pass the suite below: [`super::sled`] on
//! disk and [`super::memory`] for simulation.

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;

/// Largest value in bytes. A leaf of sled can hold some twenty of them; above a quarter of its
/// segment (128 KiB) it would write files that it never syncs.
pub(super) const VALUE_MAX: usize = 6 * 1024;

/// A key and its value.
pub(super) type Pair = (Vec<u8>, Vec<u8>);

/// Why a store did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The disk, or the file system's rules.
    #[error("{doing} {path} failed: {why}")]
    Io {
        /// What was being done.
        doing: &'static str,
        /// To which file.
        path: PathBuf,
        /// Why.
        #[source]
        why: io::Error,
    },
    /// The store says that its contents are damaged.
    #[error("the store {path} is damaged: {why}")]
    Damaged {
        /// Its directory.
        path: PathBuf,
        /// In its words.
        why: String,
    },
    /// Another process has the store open.
    #[error("the store {path} is in use by another process; stop it first")]
    Locked {
        /// Its directory.
        path: PathBuf,
    },
    /// The store was closed after an error and could not be opened again.
    #[error("the store {path} is closed: {why}")]
    Closed {
        /// Its directory.
        path: PathBuf,
        /// What closed it.
        why: String,
    },
}

impl StoreError {
    /// Whether the cause is that no space is left.
    #[must_use]
    pub fn is_disk_full(&self) -> bool {
        let full = [io::ErrorKind::StorageFull, io::ErrorKind::QuotaExceeded];
        matches!(self, StoreError::Io { why, .. } if full.contains(&why.kind()))
    }
}

/// Changes that happen together or not at all.
#[derive(Debug, Default, Clone)]
pub(super) struct Batch(BTreeMap<Vec<u8>, Option<Vec<u8>>>);

impl Batch {
    /// Stores `value` at `key`, in place of what is there.
    ///
    /// # Panics
    /// The value is larger than [`VALUE_MAX`]: who writes has to cut it.
    pub(super) fn put(&mut self, key: Vec<u8>, value: Vec<u8>) {
        assert!(value.len() <= VALUE_MAX, "values are cut before they get here");
        self.0.insert(key, Some(value));
    }

    /// Removes `key`; nothing happens when it is not there.
    pub(super) fn remove(&mut self, key: Vec<u8>) {
        self.0.insert(key, None);
    }

    /// Whether it changes nothing.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The changes of keys from `from` to before `to`, and all others.
    pub(super) fn split(mut self, from: &[u8], to: &[u8]) -> (Batch, Batch) {
        let mut middle = self.0.split_off(from);
        let mut above = middle.split_off(to);
        self.0.append(&mut above);
        (Batch(middle), self)
    }

    pub(super) fn into_changes(self) -> impl Iterator<Item = (Vec<u8>, Option<Vec<u8>>)> {
        self.0.into_iter()
    }
}

/// An ordered map of small values.
pub(super) trait Store: Send {
    /// The value at `key`.
    ///
    /// # Errors
    /// The store cannot be read.
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError>;

    /// The first `limit` pairs with `from <= key < to`, in order.
    ///
    /// # Errors
    /// The store cannot be read.
    fn scan(&self, from: &[u8], to: &[u8], limit: usize) -> Result<Vec<Pair>, StoreError>;

    /// Does all of `batch`, so that it is still there after the power fails.
    ///
    /// # Errors
    /// It is not known whether the batch was done: the store must be reopened and looked at.
    fn commit(&mut self, batch: Batch) -> Result<(), StoreError>;

    /// Closes and opens the store, after an error. What it then holds is durable.
    ///
    /// # Errors
    /// The store is closed and every call fails until this one succeeds.
    fn reopen(&mut self) -> Result<(), StoreError>;

    /// Bytes that are free where it stands; `None` when that is not known, or not bounded.
    fn free_bytes(&self) -> Option<u64> {
        None
    }

    /// Notes, for the next start, that something in it cannot be read.
    fn condemn(&self) {}
}

#[cfg(test)]
pub(super) mod conformance {
    //! What every store must do.

    use proptest::prelude::*;
    use proptest::test_runner::{Config, TestRunner};

    use super::*;

    /// Runs the suite on stores made by `make`, each new and empty.
    pub(in crate::outbox) fn suite<S: Store>(make: impl Fn() -> S) {
        empty(&mut make());
        order_and_bounds(&mut make());
        all_changes_of_a_batch(&mut make());
        large_batches(&mut make());
        model(make);
    }

    fn batch(changes: &[(&[u8], Option<&[u8]>)]) -> Batch {
        let mut batch = Batch::default();
        for (key, value) in changes {
            match value {
                Some(value) => batch.put(key.to_vec(), value.to_vec()),
                None => batch.remove(key.to_vec()),
            }
        }
        batch
    }

    fn empty(store: &mut impl Store) {
        assert_eq!(store.get(b"x").unwrap(), None);
        assert_eq!(store.scan(b"", b"\xff", 10).unwrap(), vec![]);
        store.commit(Batch::default()).unwrap();
        store.commit(batch(&[(b"x", None)])).unwrap();
        store.reopen().unwrap();
        assert_eq!(store.scan(b"", b"\xff", 10).unwrap(), vec![]);
    }

    fn order_and_bounds(store: &mut impl Store) {
        let keys: [&[u8]; 5] = [b"a", b"a\0", b"aa", b"b", b"\xfe\xff"];
        for key in keys.iter().rev() {
            store.commit(batch(&[(key, Some(key))])).unwrap();
        }
        let found = |from: &[u8], to: &[u8], limit| -> Vec<Vec<u8>> {
            store.scan(from, to, limit).unwrap().into_iter().map(|(key, _)| key).collect()
        };
        assert_eq!(found(b"", b"\xff", 10), keys);
        assert_eq!(found(b"a\0", b"b", 10), [&b"a\0"[..], b"aa"]);
        assert_eq!(found(b"", b"\xff", 2), [&b"a"[..], b"a\0"]);
        assert_eq!(found(b"", b"\xff", 0), Vec::<Vec<u8>>::new());
        assert_eq!(found(b"b", b"b", 10), Vec::<Vec<u8>>::new());
        assert_eq!(found(b"c", b"b", 10), Vec::<Vec<u8>>::new());
    }

    fn all_changes_of_a_batch(store: &mut impl Store) {
        store.commit(batch(&[(b"a", Some(b"1")), (b"b", Some(b"2"))])).unwrap();
        store.commit(batch(&[(b"a", None), (b"b", Some(b"")), (b"c", Some(b"3"))])).unwrap();
        store.reopen().unwrap();
        assert_eq!(store.get(b"a").unwrap(), None);
        assert_eq!(store.get(b"b").unwrap(), Some(vec![]));
        assert_eq!(store.get(b"c").unwrap(), Some(b"3".to_vec()));
    }

    fn large_batches(store: &mut impl Store) {
        let mut all = Batch::default();
        for n in 0..200_u32 {
            all.put(n.to_be_bytes().to_vec(), vec![u8::try_from(n).unwrap(); VALUE_MAX]);
        }
        store.commit(all).unwrap();
        store.reopen().unwrap();
        let found = store.scan(&[0], &[0xff], 1000).unwrap();
        assert_eq!(found.len(), 200);
        assert!(found.iter().all(|(key, value)| value == &vec![key[3]; VALUE_MAX]));
    }

    #[derive(Debug, Clone)]
    enum Action {
        Commit(Vec<(u8, Option<u8>)>),
        Reopen,
    }

    /// Random commits and reopens, against a map in memory.
    fn model<S: Store>(make: impl Fn() -> S) {
        let change = (0..24_u8, proptest::option::weighted(0.6, any::<u8>()));
        let action = prop_oneof![
            6 => proptest::collection::vec(change, 0..12).prop_map(Action::Commit),
            1 => Just(Action::Reopen),
        ];
        let config = Config { failure_persistence: None, ..Config::with_cases(24) };
        let actions = proptest::collection::vec(action, 1..24);
        let run = |actions: Vec<Action>| {
            let mut store = make();
            let mut map = BTreeMap::new();
            for action in actions {
                match action {
                    Action::Reopen => store.reopen().unwrap(),
                    Action::Commit(changes) => {
                        let mut batch = Batch::default();
                        for (key, value) in changes {
                            match value {
                                Some(n) => {
                                    let value = vec![n; usize::from(n) * 20];
                                    map.insert(vec![key], value.clone());
                                    batch.put(vec![key], value);
                                }
                                None => {
                                    map.remove(&vec![key]);
                                    batch.remove(vec![key]);
                                }
                            }
                        }
                        store.commit(batch).unwrap();
                    }
                }
                let all: Vec<Pair> = map.clone().into_iter().collect();
                prop_assert_eq!(store.scan(b"", b"\xff", 100).unwrap(), all);
            }
            Ok(())
        };
        TestRunner::new(config).run(&actions, run).unwrap();
    }

    #[test]
    #[should_panic(expected = "cut before")]
    fn a_value_over_the_limit_is_a_mistake_of_ours() {
        Batch::default().put(vec![1], vec![0; VALUE_MAX + 1]);
    }
}
