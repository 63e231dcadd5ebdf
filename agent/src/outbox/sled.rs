//! One database on disk: sled 0.34, inside the fence that makes it keep its word.
//!
//! Every rule here stands for a way in which sled was seen to lose or refuse data:
//! * `Db::flush` hands pages to the kernel but does not make the device write them
//!   (<https://github.com/spacejam/sled/issues/1452>): each commit syncs the `db` file itself.
//! * A new store is only found again when its `conf` file, its directories and their parent are synced.
//! * Half-written snapshots (`snap.*.generating`) are read as whole ones: they are deleted before opening
//!   (<https://github.com/spacejam/sled/issues/1527>). A snapshot is only a shortcut: when opening fails
//!   all of them are deleted and the log is read instead.
//! * Any write error is final for an open store: it is closed and opened again.
//! * Opening a damaged store can panic. It is opened on a thread of its own ([`super::OPENING_THREAD`]),
//!   whose end by a panic is an error like any other.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use super::store::{Batch, Pair, Store, StoreError};

/// Memory for pages. sled's own default is 1 GiB.
const CACHE_BYTES: u64 = 2 * 1024 * 1024;
/// sled unlocks its directory some time after it was dropped: so often and so long that is waited for.
const LOCK_TRIES: u32 = 40;
const LOCK_WAIT: Duration = Duration::from_millis(25);

/// How the file or directory at a path is made to be on the device; a seam for tests.
pub(super) type Sync = Arc<dyn Fn(&Path, &File) -> io::Result<()> + Send + std::marker::Sync>;

/// What is used but in tests.
pub(super) fn to_device() -> Sync {
    Arc::new(|_, file| file.sync_data())
}

/// A store in a directory of its own.
pub(super) struct SledStore {
    dir: PathBuf,
    open: Result<Open, String>,
    sync: Sync,
}

struct Open {
    db: ::sled::Db,
    /// The file all pages are in, opened by us to sync it.
    file: File,
}

impl SledStore {
    /// Opens or creates the store in `dir`. A damaged one may panic.
    pub(super) fn open(dir: &Path, sync: Sync) -> Result<SledStore, StoreError> {
        let open = open_database(dir, &sync)?;
        Ok(SledStore { dir: dir.to_owned(), open: Ok(open), sync })
    }

    /// As [`SledStore::open`], on a thread of its own, so that a panic is an error.
    pub(super) fn open_guarded(dir: &Path, sync: Sync) -> Result<SledStore, StoreError> {
        let open = open_guarded(dir, &sync)?;
        Ok(SledStore { dir: dir.to_owned(), open: Ok(open), sync })
    }

    /// The first `limit` keys with `from <= key < to`, in order.
    pub(super) fn keys(
        &self,
        from: &[u8],
        to: &[u8],
        limit: usize,
    ) -> Result<Vec<Vec<u8>>, StoreError> {
        let ready = self.ready()?;
        if from >= to {
            return Ok(vec![]);
        }
        let keys = ready.db.range(from..to).keys().take(limit);
        keys.map(|key| key.map(|k| k.to_vec()).map_err(|e| self.failed("reading", e))).collect()
    }

    /// The last key with `from <= key < to`.
    pub(super) fn last_key(&self, from: &[u8], to: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        let last = self.ready()?.db.range(from..to).next_back().transpose();
        Ok(last.map_err(|e| self.failed("reading", e))?.map(|(key, _)| key.to_vec()))
    }

    fn ready(&self) -> Result<&Open, StoreError> {
        self.open
            .as_ref()
            .map_err(|why| StoreError::Closed { path: self.dir.clone(), why: why.clone() })
    }

    fn failed(&self, doing: &'static str, why: ::sled::Error) -> StoreError {
        translate(&self.dir, doing, why)
    }
}

impl Store for SledStore {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        let value = self.ready()?.db.get(key).map_err(|e| self.failed("reading", e))?;
        Ok(value.map(|v| v.to_vec()))
    }

    fn scan(&self, from: &[u8], to: &[u8], limit: usize) -> Result<Vec<Pair>, StoreError> {
        let ready = self.ready()?;
        if from >= to {
            return Ok(vec![]);
        }
        let mut found = Vec::with_capacity(limit.min(64));
        for pair in ready.db.range(from..to).take(limit) {
            let (key, value) = pair.map_err(|e| self.failed("reading", e))?;
            found.push((key.to_vec(), value.to_vec()));
        }
        Ok(found)
    }

    fn commit(&mut self, batch: Batch) -> Result<(), StoreError> {
        let ready = self.ready()?;
        let mut writes = ::sled::Batch::default();
        for (key, value) in batch.into_changes() {
            match value {
                Some(value) => writes.insert(key, value),
                None => writes.remove(key),
            }
        }
        ready.db.apply_batch(writes).map_err(|e| self.failed("writing to", e))?;
        ready.db.flush().map_err(|e| self.failed("writing to", e))?;
        sync_file(&self.sync, &self.dir.join("db"), &ready.file)
    }

    fn reopen(&mut self) -> Result<(), StoreError> {
        // Dropped before the next is opened: the directory is locked.
        self.open = Err("it is being opened again".to_owned());
        let opened = open_guarded(&self.dir, &self.sync).and_then(|open| {
            // What the kernel holds from before the error must be on the device to count.
            sync_file(&self.sync, &self.dir.join("db"), &open.file)?;
            Ok(open)
        });
        match opened {
            Ok(open) => {
                self.open = Ok(open);
                Ok(())
            }
            Err(error) => {
                self.open = Err(error.to_string());
                Err(error)
            }
        }
    }
}

fn sync_file(sync: &Sync, path: &Path, file: &File) -> Result<(), StoreError> {
    sync(path, file).map_err(|why| StoreError::Io { doing: "syncing", path: path.to_owned(), why })
}

/// Opens on a thread of its own, so that a panic is an error.
fn open_guarded(dir: &Path, sync: &Sync) -> Result<Open, StoreError> {
    let (of, sync) = (dir.to_owned(), Arc::clone(sync));
    super::on_opening_thread(move || open_database(&of, &sync))
        .unwrap_or_else(|why| Err(StoreError::Damaged { path: dir.to_owned(), why }))
}

fn open_database(dir: &Path, sync: &Sync) -> Result<Open, StoreError> {
    let io = |doing, path: &Path, why| StoreError::Io { doing, path: path.to_owned(), why };
    let fresh = !dir.join("db").exists();
    fs::create_dir_all(dir).map_err(|e| io("creating", dir, e))?;
    remove_snapshots(dir, |name| name.ends_with(".generating"))?;
    let db = open_unlocked(dir)?;
    let path = dir.join("db");
    let file = File::open(&path).map_err(|e| io("opening", &path, e))?;
    if fresh {
        let parent = dir.parent().unwrap_or(Path::new("/"));
        for path in [&dir.join("conf"), &dir.join("blobs"), dir, parent] {
            let file = File::open(path).map_err(|e| io("opening", path, e))?;
            sync_file(sync, path, &file)?;
        }
    }
    Ok(Open { db, file })
}

/// Deletes the snapshots whose file name is `chosen`.
pub(super) fn remove_snapshots(
    dir: &Path,
    chosen: impl Fn(&str) -> bool,
) -> Result<(), StoreError> {
    let io = |doing, path: &Path, why| StoreError::Io { doing, path: path.to_owned(), why };
    for entry in fs::read_dir(dir).map_err(|e| io("listing", dir, e))? {
        let path = entry.map_err(|e| io("listing", dir, e))?.path();
        let name = path.file_name().and_then(|n| n.to_str()).unwrap_or_default();
        if name.starts_with("snap.") && chosen(name) {
            fs::remove_file(&path).map_err(|e| io("deleting", &path, e))?;
        }
    }
    Ok(())
}

#[allow(clippy::disallowed_methods, reason = "a file lock has no event to wait for")]
fn open_unlocked(dir: &Path) -> Result<::sled::Db, StoreError> {
    let config = ::sled::Config::new().path(dir).cache_capacity(CACHE_BYTES).flush_every_ms(None);
    for _ in 0..LOCK_TRIES {
        match config.open() {
            Ok(db) => return Ok(db),
            Err(why) if is_locked(&why) => std::thread::sleep(LOCK_WAIT),
            Err(why) => return Err(translate(dir, "opening", why)),
        }
    }
    Err(StoreError::Locked { path: dir.to_owned() })
}

/// sled wraps the lock's error into one of kind `Other` that names the kind it had.
fn is_locked(why: &::sled::Error) -> bool {
    matches!(why, ::sled::Error::Io(e) if
        e.kind() == io::ErrorKind::WouldBlock || e.to_string().contains("WouldBlock"))
}

fn translate(dir: &Path, doing: &'static str, why: ::sled::Error) -> StoreError {
    let path = dir.to_owned();
    match why {
        ::sled::Error::Io(e) if e.kind() == io::ErrorKind::UnexpectedEof => {
            StoreError::Damaged { path, why: e.to_string() }
        }
        ::sled::Error::Io(why) => StoreError::Io { doing, path, why },
        other => StoreError::Damaged { path, why: other.to_string() },
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::*;

    fn batch(key: u8) -> Batch {
        let mut batch = Batch::default();
        batch.put(vec![key], vec![key; 100]);
        batch
    }

    #[test]
    fn conforms() {
        let dir = tempfile::tempdir().unwrap();
        let n = AtomicU64::new(0);
        crate::outbox::store::conformance::suite(|| {
            let n = n.fetch_add(1, Ordering::Relaxed);
            SledStore::open(&dir.path().join(n.to_string()), to_device()).unwrap()
        });
    }

    #[test]
    fn every_commit_syncs_the_data_file_after_sled_has_written_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("core");
        let synced = Arc::new(AtomicU64::new(0));
        let (count, db) = (Arc::clone(&synced), path.join("db"));
        let sync = move |path: &Path, file: &File| {
            if path != db {
                return file.sync_all();
            }
            assert_eq!(file.metadata()?.ino(), fs::metadata(&db)?.ino(), "not the data file");
            // What was committed is in the file by now, or syncing it is worth nothing.
            let n = count.fetch_add(1, Ordering::Relaxed);
            let marker = vec![u8::try_from(n).unwrap(); 100];
            let bytes = fs::read(&db)?;
            assert!(bytes.windows(100).any(|w| w == marker), "commit {n} is not in the file");
            file.sync_data()
        };
        let mut store = SledStore::open(&path, Arc::new(sync)).unwrap();
        for n in 0..20 {
            store.commit(batch(n)).unwrap();
            assert_eq!(synced.load(Ordering::Relaxed), u64::from(n) + 1, "a commit without a sync");
        }
    }

    #[test]
    fn a_failed_sync_is_a_failed_commit_and_names_the_file() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("core");
        let sync = |path: &Path, _: &File| match path.ends_with("db") {
            true => Err(io::Error::from(io::ErrorKind::StorageFull)),
            false => Ok(()),
        };
        let mut store = SledStore::open(&path, Arc::new(sync)).unwrap();
        let error = store.commit(batch(1)).unwrap_err();
        assert!(error.is_disk_full());
        assert!(error.to_string().contains("core/db"), "{error}");
        assert!(store.reopen().is_err());
        let closed = store.commit(batch(2)).unwrap_err();
        assert!(matches!(closed, StoreError::Closed { .. }), "{closed}");
    }

    #[test]
    fn a_half_written_snapshot_is_deleted() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("core");
        let mut store = SledStore::open(&path, to_device()).unwrap();
        store.commit(batch(1)).unwrap();
        drop(store);
        let half = path.join("snap.0000000000000009.generating");
        fs::write(&half, "half").unwrap();
        let store = SledStore::open(&path, to_device()).unwrap();
        assert!(!half.exists());
        assert_eq!(store.get(&[1]).unwrap(), Some(vec![1; 100]));
    }

    #[test]
    fn a_store_in_use_says_so() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("core");
        let held = SledStore::open(&path, to_device()).unwrap();
        let error = SledStore::open(&path, to_device()).err().unwrap();
        assert!(matches!(error, StoreError::Locked { .. }), "{error}");
        drop(held);
        SledStore::open(&path, to_device()).unwrap();
    }
}
