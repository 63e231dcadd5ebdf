//! Reading a store that a running box holds: a copy of it is opened, and the store stays as it is.
//!
//! sled locks its directory, and two processes in one store would end it. But what stands in its files at
//! any instant is what a power cut would leave, and that must open anyway. So the files are copied, and
//! the copy counts when nothing was written meanwhile.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use domain::output::Record;
use domain::site::Identity;

use super::disk::{CORE, Medium};
use super::open::open_on_disk;
use super::store::StoreError;
use super::{OpenError, settings};
use crate::config::Buffer;

/// A box commits at most a few times a second, and a copy takes milliseconds: so often it is tried.
const TRIES: u32 = 50;
const WAIT: Duration = Duration::from_millis(20);

/// What the engine has stored, from a store that may be in use.
///
/// # Errors
/// There is no store, it cannot be read, or it was written to all the time.
pub fn look(buffer: &Buffer, identity: &Identity) -> Result<Vec<Record>, OpenError> {
    let from = buffer.dir.join(CORE);
    let failed = |doing, why| OpenError::Store(StoreError::Io { doing, path: from.clone(), why });
    let copy = Copy::new().map_err(|why| failed("making room to copy", why))?;
    let mut tries = 0;
    while !copy.take(&from).map_err(|why| failed("copying", why))? {
        tries += 1;
        if tries == TRIES {
            let busy = io::Error::new(io::ErrorKind::ResourceBusy, "it is written to all the time");
            return Err(failed("copying", busy));
        }
        wait();
    }
    let (restored, quarantined) =
        open_on_disk(&copy.0, &settings(buffer, identity), &Medium::default())?;
    match quarantined {
        Some(damaged) => {
            Err(OpenError::Store(StoreError::Damaged { path: from, why: damaged.cause }))
        }
        None => Ok(restored.records),
    }
}

#[allow(
    clippy::disallowed_methods,
    reason = "the box that writes is another process: nothing tells"
)]
fn wait() {
    std::thread::sleep(WAIT);
}

/// A directory that is gone when this is.
struct Copy(PathBuf);

impl Copy {
    fn new() -> io::Result<Copy> {
        let name = format!("steward-look-{}", std::process::id());
        let dir = std::env::temp_dir().join(name);
        fs::create_dir(&dir)?;
        Ok(Copy(dir))
    }

    /// Copies the store; answers whether nothing was written to it meanwhile.
    fn take(&self, from: &Path) -> io::Result<bool> {
        let to = self.0.join(CORE);
        if to.exists() {
            fs::remove_dir_all(&to)?;
        }
        let before = traces(from)?;
        for (file, _, _) in &before {
            let target = to.join(file);
            fs::create_dir_all(target.parent().unwrap_or(&to))?;
            match fs::copy(from.join(file), target) {
                Ok(_) => {}
                // A snapshot that was replaced.
                Err(gone) if gone.kind() == io::ErrorKind::NotFound => return Ok(false),
                Err(why) => return Err(why),
            }
        }
        Ok(traces(from)? == before)
    }
}

impl Drop for Copy {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir_all(&self.0) {
            tracing::warn!(dir = %self.0.display(), %error, "a copy stays behind");
        }
    }
}

/// The files below a directory, each with its size and when it was last written, by name.
fn traces(dir: &Path) -> io::Result<Vec<(PathBuf, u64, Option<SystemTime>)>> {
    let mut found = vec![];
    let mut open = vec![PathBuf::new()];
    while let Some(below) = open.pop() {
        for entry in fs::read_dir(dir.join(&below))? {
            let entry = entry?;
            let (path, meta) = (below.join(entry.file_name()), entry.metadata()?);
            if meta.is_dir() {
                open.push(path);
            } else {
                found.push((path, meta.len(), meta.modified().ok()));
            }
        }
    }
    found.sort();
    Ok(found)
}
