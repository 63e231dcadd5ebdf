//! Where telemetry is on disk: databases of a few megabytes, one after the other, in each of which values
//! are only ever added. Nothing is deleted inside them; one that has been read to its end is unlinked whole,
//! which costs nothing and gives its space back at once.
//!
//! What counts is told by [`Marks`], which stand in the core database and change in its commits: keys from
//! `start` to before `end` are there, but for those `gone`. Blocks are written and synced before the commit
//! that moves `end` behind them, so after a stop in between they do not count, and are removed.
//!
//! Opening a box opens the newest database only, however many there are.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::ops::Bound;
use std::path::{Path, PathBuf};

use super::Quarantined;
use super::disk::Medium;
use super::sled::{SledStore, Sync, remove_snapshots};
use super::store::{Batch, Pair, Store, StoreError};
use super::value::{self, Found};

/// Bytes of values after which the next database is begun. Opening one reads all of it once, so this is
/// what a start after a long outage takes.
pub(super) const VALUES_MAX: u64 = 2 * 1024 * 1024;
/// Bytes of values that may stay in a database of which nothing is wanted any more. On disk it is about
/// twice as much, and a megabyte that every database has.
const LEFT_MAX: u64 = 1024 * 1024;
/// Keys looked at together.
const PAGE: usize = 64;
/// A key longer than this is not a message's.
const KEY_MAX: usize = 64;

/// The names of the marks in the core database.
const START: &[u8] = b"gstart";
const END: &[u8] = b"gend";
const GONE: u8 = b'x';
const GONE_END: u8 = GONE + 1;

/// Which keys count.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Marks {
    start: Vec<u8>,
    end: Vec<u8>,
    /// Removed before those in front of them were. Bounded by what may be in flight.
    gone: BTreeSet<Vec<u8>>,
}

/// What holds once the core database is committed.
#[derive(Debug)]
pub(super) struct Next(Marks);

/// The databases.
pub(super) struct Generations {
    dir: PathBuf,
    sync: Sync,
    /// Bytes of values after which the next database is begun.
    values_max: u64,
    /// The first key of each, which is its name; oldest first.
    firsts: BTreeSet<Vec<u8>>,
    marks: Marks,
    /// The last of them, once it is open.
    newest: Option<SledStore>,
    /// Bytes of values in it.
    written: u64,
    /// An older one that is being read, and its first key.
    reader: Option<(Vec<u8>, SledStore)>,
}

impl Generations {
    /// Takes up the databases in `dir`, of which `core` says what counts. One that is damaged is moved
    /// aside and told.
    pub(super) fn open(
        dir: &Path,
        core: &SledStore,
        medium: &Medium,
    ) -> Result<(Generations, Option<Quarantined>), StoreError> {
        let mut all = Generations {
            dir: dir.to_owned(),
            sync: medium.sync.clone(),
            values_max: medium.values_max,
            firsts: BTreeSet::new(),
            marks: marks(core, dir)?,
            newest: None,
            written: 0,
            reader: None,
        };
        all.firsts = all.list()?;
        // Begun, but the commit that counts did not come to pass.
        while let Some(last) = all.firsts.last().filter(|last| **last >= all.marks.end).cloned() {
            all.unlink(&last)?;
        }
        all.unlink_read()?;
        let Some(last) = all.firsts.last().cloned() else { return Ok((all, None)) };
        match all.open_newest(&last) {
            Ok(()) => Ok((all, None)),
            Err(StoreError::Damaged { why, .. }) => {
                let moved_to = all.move_aside(&last, &why)?;
                Ok((all, Some(Quarantined { moved_to, cause: why })))
            }
            Err(other) => Err(other),
        }
    }

    /// Opens the last database for writing, and removes what does not count.
    fn open_newest(&mut self, first: &[u8]) -> Result<(), StoreError> {
        let mut store = self.open_one(first)?;
        loop {
            let orphans = store.keys(&self.marks.end, &[0xff], PAGE)?;
            if orphans.is_empty() {
                break;
            }
            let mut batch = Batch::default();
            orphans.into_iter().for_each(|key| batch.remove(key));
            store.commit(batch)?;
        }
        // Nearly half of the file are values; the exact number does not matter.
        let file = self.path(first).join("db");
        self.written = fs::metadata(file).map_or(0, |m| m.len() / 2);
        self.newest = Some(store);
        Ok(())
    }

    /// Up to `limit` pairs with `from <= key < to`.
    pub(super) fn scan(
        &mut self,
        from: &[u8],
        to: &[u8],
        limit: usize,
    ) -> Result<Vec<Pair>, StoreError> {
        let mut found = Vec::new();
        let (mut from, to) =
            (from.max(&self.marks.start).to_vec(), to.min(&self.marks.end).to_vec());
        while found.len() < limit && from < to {
            let (page, behind) = self.page(&from, &to, limit - found.len())?;
            found.extend(page.into_iter().filter(|(key, _)| !self.marks.gone.contains(key)));
            from = behind;
        }
        Ok(found)
    }

    /// Pairs of one database from `from` on, and the key where to go on.
    fn page(
        &mut self,
        from: &[u8],
        to: &[u8],
        limit: usize,
    ) -> Result<(Vec<Pair>, Vec<u8>), StoreError> {
        let Some((first, next)) = self.around(from) else { return Ok((vec![], to.to_vec())) };
        let end = next.filter(|next| &next[..] < to).unwrap_or_else(|| to.to_vec());
        let page = match self.reader(&first).and_then(|store| store.scan(from, &end, limit)) {
            Ok(page) => page,
            Err(StoreError::Damaged { why, .. }) => {
                // What is left in it can only be salvaged; those behind it are not to wait for that.
                self.move_aside(&first, &why)?;
                return Ok((vec![], end));
            }
            Err(other) => return Err(other),
        };
        let behind = match page.last() {
            Some((last, _)) if page.len() == limit => [last, &[0][..]].concat(),
            _ => end,
        };
        Ok((page, behind))
    }

    /// The first key of the database in which `key` would be, or of the first one behind it; and that of
    /// the next.
    fn around(&self, key: &[u8]) -> Option<(Vec<u8>, Option<Vec<u8>>)> {
        let up_to = (Bound::Unbounded, Bound::Included(key));
        let up_to = self.firsts.range::<[u8], _>(up_to).next_back();
        let first = up_to.or_else(|| self.firsts.first())?;
        let behind = (Bound::Excluded(&first[..]), Bound::Unbounded);
        Some((first.clone(), self.firsts.range::<[u8], _>(behind).next().cloned()))
    }

    /// The database that begins with `first`.
    fn reader(&mut self, first: &[u8]) -> Result<&SledStore, StoreError> {
        if self.firsts.last().is_some_and(|last| last == first) {
            if self.newest.is_none() {
                self.open_newest(first)?;
            }
            return Ok(self.newest.as_ref().expect("it was opened above"));
        }
        if self.reader.as_ref().is_none_or(|(open, _)| open != first) {
            // Closed before the next is opened: each has its own memory.
            self.reader = None;
            self.reader = Some((first.to_vec(), self.open_one(first)?));
        }
        Ok(&self.reader.as_ref().expect("it was opened above").1)
    }

    /// Writes what `changes` puts, durably, and adds to `core` how the marks change.
    pub(super) fn prepare(&mut self, changes: Batch, core: &mut Batch) -> Result<Next, StoreError> {
        let (mut puts, mut removed, mut bytes) = (Batch::default(), BTreeSet::new(), 0);
        let mut marks = self.marks.clone();
        let mut first = None;
        for (key, value) in changes.into_changes() {
            match value {
                Some(value) => {
                    assert!(key >= self.marks.end, "telemetry is only added behind what is there");
                    first.get_or_insert_with(|| key.clone());
                    marks.end = [&key[..], &[0]].concat();
                    bytes += (key.len() + value.len()) as u64;
                    puts.put(key, value);
                }
                // What is not there yet is in memory only.
                None if key < self.marks.end => _ = removed.insert(key),
                None => {}
            }
        }
        if let Some(first) = first {
            if self.firsts.is_empty() {
                marks.start.clone_from(&first);
            }
            self.write(&first, puts, bytes)?;
        }
        if !removed.is_empty() {
            marks.gone.append(&mut removed);
            self.advance(&mut marks)?;
        }
        self.note(&marks, core);
        Ok(Next(marks))
    }

    fn write(&mut self, first: &[u8], puts: Batch, bytes: u64) -> Result<(), StoreError> {
        if self.firsts.is_empty() || self.written >= self.values_max {
            self.newest = None;
            self.newest = Some(self.open_one(first)?);
            self.firsts.insert(first.to_vec());
            self.written = 0;
        } else if self.newest.is_none() {
            let last = self.firsts.last().cloned().expect("there is one");
            self.open_newest(&last)?;
        }
        let newest = self.newest.as_mut().expect("it was opened above");
        newest.commit(puts)?;
        self.written += bytes;
        Ok(())
    }

    /// Moves the start behind everything at the front that is gone.
    fn advance(&mut self, marks: &mut Marks) -> Result<(), StoreError> {
        // New ones may have been written, but none of these is gone.
        while marks.start < self.marks.end {
            let Some((first, next)) = self.around(&marks.start) else { break };
            let old = self.marks.end.clone();
            let end = next.filter(|next| *next < old).unwrap_or(old);
            let keys = match self.reader(&first).and_then(|s| s.keys(&marks.start, &end, PAGE)) {
                Ok(keys) => keys,
                Err(StoreError::Damaged { why, .. }) => {
                    self.move_aside(&first, &why)?;
                    vec![]
                }
                Err(other) => return Err(other),
            };
            let whole = keys.len() == PAGE;
            for key in keys {
                if !marks.gone.remove(&key) {
                    marks.start = key;
                    return Ok(());
                }
                marks.start = [&key[..], &[0]].concat();
            }
            if !whole {
                marks.start = end;
            }
        }
        // Those that were not there at all.
        marks.gone = marks.gone.split_off(&marks.start);
        Ok(())
    }

    /// Writes what changed of the marks.
    fn note(&self, marks: &Marks, core: &mut Batch) {
        for (name, now, before) in
            [(START, &marks.start, &self.marks.start), (END, &marks.end, &self.marks.end)]
        {
            if now != before {
                value::put(core, name, now, 1);
            }
        }
        for key in marks.gone.difference(&self.marks.gone) {
            core.put(gone_key(key), vec![]);
        }
        for key in self.marks.gone.difference(&marks.gone) {
            core.remove(gone_key(key));
        }
    }

    /// The core database is committed: what is read to its end is unlinked.
    pub(super) fn adopt(&mut self, next: Next) -> Result<(), StoreError> {
        self.marks = next.0;
        self.unlink_read()
    }

    fn unlink_read(&mut self) -> Result<(), StoreError> {
        while let Some(first) = self.firsts.first().cloned() {
            let next = self.firsts.iter().nth(1);
            let read = match next {
                Some(next) => *next <= self.marks.start,
                None => {
                    let all = self.marks.start >= self.marks.end;
                    // One that is not open was not looked at yet; nothing is worth keeping of it.
                    all && (self.newest.is_none() || self.written > LEFT_MAX)
                }
            };
            if !read {
                return Ok(());
            }
            self.unlink(&first)?;
        }
        Ok(())
    }

    fn unlink(&mut self, first: &[u8]) -> Result<(), StoreError> {
        self.close(first);
        let path = self.path(first);
        fs::remove_dir_all(&path).map_err(|why| StoreError::Io { doing: "deleting", path, why })?;
        self.firsts.remove(first);
        Ok(())
    }

    /// Closes what is open, so that it can be opened again.
    pub(super) fn close_all(&mut self) {
        self.newest = None;
        self.reader = None;
    }

    fn close(&mut self, first: &[u8]) {
        if self.firsts.last().is_some_and(|last| last == first) {
            self.newest = None;
            self.written = self.values_max;
        }
        self.reader.take_if(|(open, _)| open == first);
    }

    /// A damaged database is kept for whoever wants to salvage it, and does not count any more.
    fn move_aside(&mut self, first: &[u8], why: &str) -> Result<PathBuf, StoreError> {
        self.close(first);
        let path = self.path(first);
        let aside = path.with_extension("bad");
        tracing::error!(moved_to = %aside.display(), error = why, "stored telemetry is damaged");
        let moved = fs::rename(&path, &aside);
        moved.map_err(|why| StoreError::Io { doing: "moving aside", path, why })?;
        self.firsts.remove(first);
        Ok(aside)
    }

    /// Opens one; a damaged one once more without its snapshots, which are only a shortcut.
    fn open_one(&self, first: &[u8]) -> Result<SledStore, StoreError> {
        let path = self.path(first);
        let fresh = !self.dir.exists();
        fs::create_dir_all(&path).map_err(|why| StoreError::Io {
            doing: "creating",
            path: path.clone(),
            why,
        })?;
        if fresh && let Some(parent) = self.dir.parent() {
            let synced = File::open(parent).and_then(|file| (self.sync)(parent, &file));
            let io = |why| StoreError::Io { doing: "syncing", path: parent.to_owned(), why };
            synced.map_err(io)?;
        }
        match SledStore::open_guarded(&path, self.sync.clone()) {
            Err(StoreError::Damaged { .. }) => {
                remove_snapshots(&path, |_| true)?;
                SledStore::open_guarded(&path, self.sync.clone())
            }
            outcome => outcome,
        }
    }

    fn list(&self) -> Result<BTreeSet<Vec<u8>>, StoreError> {
        let entries = match fs::read_dir(&self.dir) {
            Ok(entries) => entries,
            Err(why) if why.kind() == std::io::ErrorKind::NotFound => return Ok(BTreeSet::new()),
            Err(why) => {
                return Err(StoreError::Io { doing: "listing", path: self.dir.clone(), why });
            }
        };
        // What has another name is not ours, or was moved aside.
        let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
        Ok(names.filter_map(|name| first_of(&name)).collect())
    }

    fn path(&self, first: &[u8]) -> PathBuf {
        self.dir.join(name_of(first))
    }
}

/// `g` and the key in hexadecimal digits.
fn name_of(first: &[u8]) -> String {
    let digits = first.iter().map(|byte| format!("{byte:02x}"));
    std::iter::once("g".to_owned()).chain(digits).collect()
}

fn first_of(name: &str) -> Option<Vec<u8>> {
    let digits = name.strip_prefix('g').filter(|digits| digits.len() <= 2 * KEY_MAX)?;
    let pairs = digits.as_bytes().chunks(2).map(|pair| std::str::from_utf8(pair).ok());
    let first: Option<Vec<u8>> = pairs.map(|pair| u8::from_str_radix(pair?, 16).ok()).collect();
    first.filter(|first| name_of(first) == name)
}

fn gone_key(key: &[u8]) -> Vec<u8> {
    [&[GONE], key].concat()
}

fn marks(core: &SledStore, dir: &Path) -> Result<Marks, StoreError> {
    let key = |name: &[u8]| match value::get(core, name)? {
        None => Ok(Vec::new()),
        Some(Found::Blob(key, _)) => Ok(key),
        Some(Found::Damaged) => Err(StoreError::Damaged {
            path: dir.to_owned(),
            why: "its marks cannot be read".to_owned(),
        }),
    };
    let gone = core.keys(&[GONE], &[GONE_END], usize::MAX)?;
    let gone = gone.into_iter().map(|key| key[1..].to_vec()).collect();
    Ok(Marks { start: key(START)?, end: key(END)?, gone })
}
