//! Space kept free for the day on which the disk is full: opening a store needs some, and so does deleting.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

/// How much. The first databases of a box, and what a store writes while it is opened, fit in.
pub(super) const RESERVE_BYTES: u64 = 4 * 1024 * 1024;
/// Without a reserve one is tried for again after so many commits.
const RESERVE_EVERY: u32 = 256;

/// A file whose blocks are given back when they are needed.
#[derive(Debug)]
pub(super) struct Reserve {
    path: PathBuf,
    /// Since the last try to set it aside.
    commits: u32,
}

impl Reserve {
    /// The reserve at `path`, which is not looked at before [`Reserve::keep`].
    pub(super) fn new(path: PathBuf) -> Reserve {
        Reserve { path, commits: RESERVE_EVERY }
    }

    /// Sets the space aside, when there is none set aside yet; tries again from time to time. To be
    /// called with every commit.
    pub(super) fn keep(&mut self) {
        if self.commits < RESERVE_EVERY {
            self.commits += 1;
            return;
        }
        self.commits = 0;
        if let Err(why) = set_aside(&self.path) {
            let path = self.path.display().to_string();
            tracing::warn!(path, error = %why, "no space kept in reserve for a full disk");
        }
    }

    /// Gives the space back.
    pub(super) fn release(&mut self) {
        if fs::remove_file(&self.path).is_ok() {
            // Not set aside again at once: what needs it comes first.
            self.commits = 0;
        }
    }
}

fn set_aside(path: &Path) -> io::Result<()> {
    if fs::metadata(path).is_ok_and(|m| m.len() == RESERVE_BYTES) {
        return Ok(());
    }
    let file = File::create(path)?;
    let outcome =
        rustix::fs::fallocate(&file, rustix::fs::FallocateFlags::empty(), 0, RESERVE_BYTES);
    if outcome.is_err() {
        // Half a reserve would be taken for a whole one.
        fs::remove_file(path)?;
    }
    outcome.map_err(io::Error::from)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt;

    use super::*;

    #[test]
    fn space_is_set_aside_given_back_and_set_aside_again_later() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("core.reserve");
        let mut reserve = Reserve::new(path.clone());
        reserve.keep();
        let blocks = fs::metadata(&path).unwrap().blocks();
        assert!(blocks * 512 >= RESERVE_BYTES, "space is only promised, not set aside");
        reserve.release();
        for _ in 0..RESERVE_EVERY {
            reserve.keep();
            assert!(!path.exists());
        }
        reserve.keep();
        assert!(path.exists());
    }
}
