//! A witness of how far the store has come, beside it. sled cannot tell the end of its log that a power cut
//! tore off from a part in the middle that has rotted: it takes everything behind for torn, and opens as an
//! older store, or as an empty one, without a word. Its numbers would then be given away a second time.
//!
//! The number of the last commit is written here after each, without a sync: it may be older than the store,
//! never newer. A store that is older than its witness has lost something.

use std::fs::{self, File, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::Path;

/// A number and its checksum.
const LENGTH: usize = 12;

/// The file.
#[derive(Debug)]
pub(super) struct Witness {
    file: Option<File>,
    /// What it said when it was opened.
    found: u64,
}

impl Witness {
    /// Reads the file at `path`; one that is missing or cannot be read says nothing.
    pub(super) fn open(path: &Path) -> Witness {
        let found = fs::read(path).ok().and_then(|bytes| number(&bytes)).unwrap_or(0);
        let file = OpenOptions::new().write(true).create(true).truncate(false).open(path);
        if let Err(why) = &file {
            tracing::warn!(path = %path.display(), error = %why, "a loss would not be noticed");
        }
        Witness { file: file.ok(), found }
    }

    /// The last commit it knew of when it was opened.
    pub(super) fn found(&self) -> u64 {
        self.found
    }

    /// Commit number `commits` is on the device.
    pub(super) fn note(&self, commits: u64) {
        let Some(file) = &self.file else { return };
        let number = commits.to_le_bytes();
        let crc = crc32fast::hash(&number).to_le_bytes();
        if let Err(why) = file.write_all_at(&[&number[..], &crc].concat(), 0) {
            tracing::debug!(error = %why, "the witness of the store is behind");
        }
    }
}

fn number(bytes: &[u8]) -> Option<u64> {
    let (number, crc) = bytes.get(..LENGTH)?.split_first_chunk()?;
    let good = crc32fast::hash(number).to_le_bytes() == crc[..];
    good.then(|| u64::from_le_bytes(*number))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_says_what_was_noted_last_and_nothing_when_it_is_damaged() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("witness");
        let witness = Witness::open(&path);
        assert_eq!(witness.found(), 0);
        witness.note(7);
        witness.note(9);
        assert_eq!(Witness::open(&path).found(), 9);
        let mut bytes = fs::read(&path).unwrap();
        bytes[0] ^= 1;
        fs::write(&path, bytes).unwrap();
        assert_eq!(Witness::open(&path).found(), 0);
    }
}
