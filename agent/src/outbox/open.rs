//! Opening the store on disk, whatever state it is in: as it is, without its snapshots, or a new one in
//! its place, with the damaged one moved aside and the fact reported.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use super::disk::{CORE, DiskStore, Medium, SUSPECT, TELEMETRY};
use super::floor::{self, Floor};
use super::restore::{RestoreError, Restored, SCHEMA, Settings, restore};
use super::sled::remove_snapshots;
use super::store::StoreError;
use super::{OpenError, Quarantined, on_opening_thread};

/// The file with the numbers that must not be used again.
const FLOOR: &str = "floor.json";
/// Damaged stores kept beside each other at most; nobody has looked for a long time when there are so
/// many, and the next stays where it is.
const QUARANTINE_MAX: u32 = 100;

/// Opens the store below `dir`.
pub(super) fn open_on_disk(
    dir: &Path,
    settings: &Settings,
    medium: &Medium,
) -> Result<(Restored, Option<Quarantined>), OpenError> {
    let store = dir.join(CORE);
    fs::create_dir_all(dir).map_err(|why| io("creating", dir, why))?;
    let cause = match attempt(dir, settings, medium)? {
        Attempt::Open(restored, aside) => return Ok((*restored, aside)),
        Attempt::Damaged(why) => why,
    };
    tracing::warn!(path = %store.display(), error = %cause, "store is damaged; its snapshots are set aside");
    remove_snapshots(&store, |_| true)?;
    if let Attempt::Open(restored, aside) = attempt(dir, settings, medium)? {
        return Ok((*restored, aside));
    }
    let moved_to = move_aside(dir)?;
    tracing::error!(path = %moved_to.display(), error = %cause, "damaged store was moved here");
    match attempt(dir, settings, medium)? {
        Attempt::Open(restored, _) => Ok((*restored, Some(Quarantined { moved_to, cause }))),
        Attempt::Damaged(why) => Err(OpenError::Store(StoreError::Damaged { path: store, why })),
    }
}

enum Attempt {
    /// With telemetry that was moved aside, if that was damaged.
    Open(Box<Restored>, Option<Quarantined>),
    Damaged(String),
}

/// One try. Only damage is for the caller to act on; what somebody else must put right is an error.
fn attempt(dir: &Path, settings: &Settings, medium: &Medium) -> Result<Attempt, OpenError> {
    let (of, with, medium) = (dir.to_owned(), settings.clone(), medium.clone());
    let outcome = on_opening_thread(move || {
        let floor = Floor::open(&of.join(FLOOR))?;
        let (store, aside) = DiskStore::open(&of, &medium)?;
        store.prove()?;
        Ok((restore(Box::new(store), Some(floor), with)?, aside))
    });
    match outcome {
        Ok(Ok((restored, aside))) => Ok(Attempt::Open(Box::new(restored), aside)),
        Ok(Err(RestoreError::NewerSchema { found })) => {
            Err(OpenError::NewerSchema { path: dir.join(CORE), found, known: SCHEMA })
        }
        Ok(Err(RestoreError::Store(StoreError::Damaged { why, .. }))) => Ok(Attempt::Damaged(why)),
        Ok(Err(RestoreError::Store(other))) => Err(OpenError::Store(other)),
        Ok(Err(damaged @ (RestoreError::Damaged { .. } | RestoreError::Older { .. }))) => {
            Ok(Attempt::Damaged(damaged.to_string()))
        }
        Err(panic) => Ok(Attempt::Damaged(panic)),
    }
}

/// Renames the store to the first free `core.bad-<n>`, and takes its telemetry along: without the core
/// nobody knows what of it is still wanted.
fn move_aside(dir: &Path) -> Result<PathBuf, OpenError> {
    let store = &dir.join(CORE);
    let free = (1..=QUARANTINE_MAX)
        .map(|n| store.with_extension(format!("bad-{n}")))
        .find(|path| !path.exists());
    let Some(path) = free else {
        return Err(OpenError::TooManyDamaged { path: store.to_owned(), count: QUARANTINE_MAX });
    };
    let telemetry = dir.join(TELEMETRY);
    // First, so that it can never be taken for that of the new core.
    if telemetry.exists() {
        fs::rename(&telemetry, store.join(TELEMETRY))
            .map_err(|why| io("moving aside", &telemetry, why))?;
    }
    fs::rename(store, &path).map_err(|why| io("moving aside", store, why))?;
    // What was said of the old store does not hold of the new one.
    for said in [dir.join(SUSPECT), floor::witness_of(&dir.join(FLOOR))] {
        if said.exists() {
            fs::remove_file(&said).map_err(|why| io("deleting", &said, why))?;
        }
    }
    File::open(dir).and_then(|dir| dir.sync_all()).map_err(|why| io("syncing", dir, why))?;
    Ok(path)
}

fn io(doing: &'static str, path: &Path, why: std::io::Error) -> OpenError {
    OpenError::Store(StoreError::Io { doing, path: path.to_owned(), why })
}
