//! A look into a store that no box holds open: what is in it, whether it can be read, and what can be
//! recovered of one that is damaged. Counts no boot and deletes nothing.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use domain::output::Lane;
use domain::time::{Boot, Utc};
use serde::{Deserialize, Serialize};

use super::disk::{CORE, DiskStore, Medium, TELEMETRY};
use super::entry::{self, Key, MAGIC, Stored};
use super::ledger::{Ledger, Position};
use super::pack::Packer;
use super::queue::{self, Queue};
use super::restore::{self, META, RestoreError};
use super::store::{StoreError, VALUE_MAX};
use super::value::{self, Found};

/// Messages read together.
const PAGE: usize = 64;
/// Bytes of payloads in one answer of a box that runs (one message more may come with them).
const ANSWER_BYTES: usize = 1024 * 1024;
/// Bytes of a damaged file looked at together.
const WINDOW: usize = 1024 * 1024;

/// A message as it stands in a store.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Kept {
    /// Its name.
    pub key: Key,
    /// Bytes it takes, without the store's own.
    pub bytes: usize,
    /// What it is; `None` when it cannot be read.
    pub message: Option<KeptMessage>,
}

/// What a message is that can be read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeptMessage {
    /// The boot that committed it.
    pub boot: Boot,
    /// When what it tells was so.
    pub at: Utc,
    /// Its topic below the box's prefix.
    pub path: String,
    /// Whether the broker is to keep it.
    pub retain: bool,
    /// The payload, without the replay mark.
    #[serde(with = "as_text")]
    pub payload: Vec<u8>,
}

/// Payloads are JSON, or nothing: text.
mod as_text {
    use serde::{Deserialize, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(payload: &[u8], to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&String::from_utf8_lossy(payload))
    }

    pub(super) fn deserialize<'d, D: Deserializer<'d>>(from: D) -> Result<Vec<u8>, D::Error> {
        Ok(String::deserialize(from)?.into_bytes())
    }
}

/// Why there is nothing to look at.
#[derive(Debug, thiserror::Error)]
pub enum LookError {
    /// There is no store.
    #[error("there is no store in {0}; is buffer.dir right, and may you read it?")]
    None(PathBuf),
    /// It cannot be opened or read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Its own state cannot be read.
    #[error("the store in {path}: {why}; what can be read of it: steward outbox salvage")]
    State {
        /// The buffer's directory.
        path: PathBuf,
        /// What.
        why: String,
    },
}

/// A store that is looked at.
pub struct Look {
    dir: PathBuf,
    store: DiskStore,
    packer: Packer,
}

impl Look {
    /// Opens the store below `dir`, which must not be in use.
    ///
    /// # Errors
    /// There is none, a box holds it, or it cannot be opened.
    pub fn open(dir: &Path) -> Result<Look, LookError> {
        if !dir.join(CORE).join("db").exists() {
            return Err(LookError::None(dir.to_owned()));
        }
        let of = dir.to_owned();
        let opened = super::on_opening_thread(move || DiskStore::open(&of, &Medium::default()));
        let opened = opened.map_err(|why| LookError::State { path: dir.to_owned(), why })?;
        Ok(Look { dir: dir.to_owned(), store: opened?.0, packer: Packer::default() })
    }

    fn state<T>(&self, read: Result<T, RestoreError>) -> Result<T, LookError> {
        read.map_err(|why| LookError::State { path: self.dir.clone(), why: why.to_string() })
    }

    /// The last boot.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn boot(&self) -> Result<Boot, LookError> {
        let number = self.state(restore::number_or_damaged(&self.store, META.boot))?;
        Ok(Boot(number.and_then(|n| u32::try_from(n).ok()).unwrap_or(0)))
    }

    /// The ledger of a lane, and how many of its messages a kill had taken from memory, for which the
    /// next start will account.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn ledger(&self, lane: Lane) -> Result<(Ledger, u64), LookError> {
        let mut lanes = self.state(restore::lanes(&self.store))?;
        let held = self.state(restore::held(&self.store))?;
        let lost = if lane == Lane::Telemetry { held.count } else { 0 };
        Ok((std::mem::take(&mut lanes[lane as usize].ledger), lost))
    }

    /// Up to some number of messages of `lane` from `from` on, in order; none: there are no more.
    ///
    /// # Errors
    /// The store cannot be read from here on.
    pub fn page(&self, lane: Lane, from: Position) -> Result<Vec<Kept>, StoreError> {
        let from = entry::message_key(Key { lane, position: from });
        let found = value::scan(&self.store, &from, &entry::lane_end(lane), PAGE)?;
        let named = |(key, found): (Vec<u8>, Found)| {
            Some(kept(Key { lane, position: entry::message_position(&key)? }, &found, &self.packer))
        };
        Ok(found.into_iter().filter_map(named).collect())
    }
}

impl Queue {
    /// What is stored or in memory of `lane` from `from` on, as far as it goes into one answer.
    pub(super) fn page(&self, lane: Lane, from: Position) -> Result<Vec<Kept>, StoreError> {
        let (mut page, mut bytes) = (vec![], 0);
        for (position, found) in self.read(lane, from, PAGE)? {
            let key = Key { lane, position };
            if self.settled(lane).contains_key(&position) {
                continue;
            }
            let kept = kept(key, &found, &self.packer);
            bytes += kept.message.as_ref().map_or(0, |message| message.payload.len());
            if bytes > ANSWER_BYTES && !page.is_empty() {
                break;
            }
            page.push(kept);
        }
        Ok(page)
    }
}

fn kept(key: Key, found: &Found, packer: &Packer) -> Kept {
    let bytes = if let Found::Blob(blob, _) = found { blob.len() } else { 0 };
    let stored = queue::stored(key.position, found);
    Kept { key, bytes, message: stored.and_then(|(stored, _)| open(stored, packer)) }
}

fn open(stored: Stored, packer: &Packer) -> Option<KeptMessage> {
    let Stored { boot, conn: _, at, retain, path, content } = stored;
    let (payload, _packed) = content.open(packer)?;
    Some(KeptMessage { boot, at, path, retain, payload })
}

impl Position {
    /// The position behind this one, to read on from.
    #[must_use]
    pub fn behind(self) -> Position {
        self.next()
    }
}

/// Stores and databases that were damaged and moved aside, below the buffer's directory `dir`.
///
/// # Errors
/// The directory cannot be read.
pub fn set_aside(dir: &Path) -> io::Result<Vec<PathBuf>> {
    let mut found = vec![];
    for dir in [dir.to_owned(), dir.join(TELEMETRY)] {
        if !dir.exists() {
            continue;
        }
        for entry in fs::read_dir(dir)? {
            let path = entry?.path();
            let extension = path.extension().and_then(|e| e.to_str()).unwrap_or_default();
            if path.is_dir() && extension.starts_with("bad") {
                found.push(path);
            }
        }
    }
    found.sort();
    Ok(found)
}

/// Hands every message that can be found in the files below `dir` to `tell`, once each, in no order; answers
/// how many. Needs nothing of the store to be whole: messages are found by their mark and proved by their
/// checksum. What had been acknowledged and not been overwritten yet is found as well, and so may be sent
/// twice under its id. Messages above some 6 KB are in pieces and are not found.
///
/// # Errors
/// A file cannot be read, or `tell` says so.
pub fn carve(
    dir: &Path,
    tell: &mut impl FnMut(Key, KeptMessage) -> io::Result<()>,
) -> io::Result<usize> {
    let (mut files, mut seen, packer) = (vec![], BTreeSet::new(), Packer::default());
    data_files(dir, &mut files)?;
    files.sort();
    for path in files {
        carve_file(&path, &mut |key, stored| match open(stored, &packer) {
            Some(message) if seen.insert(key) => tell(key, message),
            _ => Ok(()),
        })?;
    }
    Ok(seen.len())
}

fn data_files(dir: &Path, files: &mut Vec<PathBuf>) -> io::Result<()> {
    for entry in fs::read_dir(dir)? {
        let path = entry?.path();
        if path.is_dir() {
            data_files(&path, files)?;
        } else if path.file_name().is_some_and(|name| name == "db") {
            files.push(path);
        }
    }
    Ok(())
}

fn carve_file(path: &Path, tell: &mut impl FnMut(Key, Stored) -> io::Result<()>) -> io::Result<()> {
    let (mut file, mut bytes) = (File::open(path)?, Vec::with_capacity(WINDOW + VALUE_MAX));
    loop {
        let read = file.by_ref().take(WINDOW as u64).read_to_end(&mut bytes)?;
        // A message that is cut off by the end of the window is looked at with the next one.
        let whole = if read == 0 { bytes.len() } else { bytes.len().saturating_sub(VALUE_MAX) };
        for at in 0..whole {
            if bytes[at..].starts_with(&MAGIC)
                && let Some((key, stored)) = Stored::find(&bytes[at..])
            {
                tell(key, stored)?;
            }
        }
        if read == 0 {
            return Ok(());
        }
        bytes.drain(..whole);
    }
}
