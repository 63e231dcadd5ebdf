//! Opening the store on disk, whatever state it is in: as it is, without its snapshots, or a new one in
//! its place, with the damaged one moved aside and the fact reported.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use super::floor::Floor;
use super::restore::{RestoreError, Restored, SCHEMA, Settings, restore};
use super::sled::{SledStore, remove_snapshots};
use super::store::StoreError;
use super::{OpenError, Quarantined, on_opening_thread};

/// The store's directory inside the buffer's.
const STORE: &str = "core";
/// The file with the numbers that must not be used again.
const FLOOR: &str = "floor.json";
/// Damaged stores kept beside each other at most; nobody has looked for a long time when there are so
/// many, and the next stays where it is.
const QUARANTINE_MAX: u32 = 100;

/// Opens the store below `dir`.
pub(super) fn open_on_disk(
    dir: &Path,
    settings: &Settings,
) -> Result<(Restored, Option<Quarantined>), OpenError> {
    let store = dir.join(STORE);
    fs::create_dir_all(dir).map_err(|why| io("creating", dir, why))?;
    let cause = match attempt(dir, settings)? {
        Attempt::Open(restored) => return Ok((*restored, None)),
        Attempt::Damaged(why) => why,
    };
    tracing::warn!(path = %store.display(), error = %cause, "store is damaged; its snapshots are set aside");
    remove_snapshots(&store, |_| true)?;
    if let Attempt::Open(restored) = attempt(dir, settings)? {
        return Ok((*restored, None));
    }
    let moved_to = move_aside(&store)?;
    tracing::error!(path = %moved_to.display(), error = %cause, "damaged store was moved here");
    match attempt(dir, settings)? {
        Attempt::Open(restored) => Ok((*restored, Some(Quarantined { moved_to, cause }))),
        Attempt::Damaged(why) => Err(OpenError::Store(StoreError::Damaged { path: store, why })),
    }
}

enum Attempt {
    Open(Box<Restored>),
    Damaged(String),
}

/// One try. Only damage is for the caller to act on; what somebody else must put right is an error.
fn attempt(dir: &Path, settings: &Settings) -> Result<Attempt, OpenError> {
    let (of, with) = (dir.to_owned(), settings.clone());
    let outcome = on_opening_thread(move || {
        let floor = Floor::open(&of.join(FLOOR))?;
        let store = SledStore::open(&of.join(STORE))?;
        restore(Box::new(store), Some(floor), with)
    });
    match outcome {
        Ok(Ok(restored)) => Ok(Attempt::Open(Box::new(restored))),
        Ok(Err(RestoreError::NewerSchema { found })) => {
            Err(OpenError::NewerSchema { path: dir.join(STORE), found, known: SCHEMA })
        }
        Ok(Err(RestoreError::Store(StoreError::Damaged { why, .. }))) => Ok(Attempt::Damaged(why)),
        Ok(Err(RestoreError::Store(other))) => Err(OpenError::Store(other)),
        Ok(Err(damaged @ RestoreError::Damaged { .. })) => {
            Ok(Attempt::Damaged(damaged.to_string()))
        }
        Err(panic) => Ok(Attempt::Damaged(panic)),
    }
}

/// Renames the store to the first free `<store>.bad-<n>`.
fn move_aside(store: &Path) -> Result<PathBuf, OpenError> {
    let free = (1..=QUARANTINE_MAX)
        .map(|n| store.with_extension(format!("bad-{n}")))
        .find(|path| !path.exists());
    let Some(path) = free else {
        return Err(OpenError::TooManyDamaged { path: store.to_owned(), count: QUARANTINE_MAX });
    };
    fs::rename(store, &path).map_err(|why| io("moving aside", store, why))?;
    let parent = store.parent().unwrap_or(Path::new("/"));
    File::open(parent).and_then(|dir| dir.sync_all()).map_err(|why| io("syncing", parent, why))?;
    Ok(path)
}

fn io(doing: &'static str, path: &Path, why: std::io::Error) -> OpenError {
    OpenError::Store(StoreError::Io { doing, path: path.to_owned(), why })
}
