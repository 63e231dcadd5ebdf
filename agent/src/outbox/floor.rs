//! Numbers that must not be used again, kept apart from the store: should the store be lost, its
//! successor goes on above them. A consumer that knows (box, lane, number) would otherwise take new
//! messages for old ones and throw them away.
//!
//! The file is written once per boot and once per [`RESERVE`] messages of a lane.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::store::StoreError;
use super::witness::Witness;

/// Numbers set aside at a time. After a loss the numbers left of them are skipped.
const RESERVE: u64 = 1_000_000;

/// The file with the numbers.
#[derive(Debug)]
pub(super) struct Floor {
    path: PathBuf,
    kept: Kept,
    /// Beside it, for the same store.
    witness: Witness,
}

/// The witness of the store whose floor is at `path`.
pub(super) fn witness_of(path: &Path) -> PathBuf {
    path.with_extension("witness")
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Kept {
    /// The last boot.
    boot: u64,
    /// Per lane, highest first: no number up to this is new.
    numbers: [u64; 4],
}

impl Floor {
    /// Reads the file at `path`; one that is missing or cannot be understood counts as none.
    pub(super) fn open(path: &Path) -> Result<Floor, StoreError> {
        let kept = match fs::read(path) {
            Ok(json) => serde_json::from_slice(&json).unwrap_or_else(|why| {
                tracing::warn!(path = %path.display(), error = %why, "file is damaged; made anew");
                Kept::default()
            }),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Kept::default(),
            Err(why) => {
                return Err(StoreError::Io { doing: "reading", path: path.to_owned(), why });
            }
        };
        Ok(Floor { path: path.to_owned(), kept, witness: Witness::open(&witness_of(path)) })
    }

    /// What is known of how far the store had come.
    pub(super) fn witness(&self) -> &Witness {
        &self.witness
    }

    /// The last boot known.
    pub(super) fn boot(&self) -> u64 {
        self.kept.boot
    }

    /// Per lane, the number above which a new store begins.
    pub(super) fn numbers(&self) -> [u64; 4] {
        self.kept.numbers
    }

    /// Sees to it that `boot` and `numbers` are covered, durably, before they are used.
    pub(super) fn raise(&mut self, boot: u64, numbers: [u64; 4]) -> Result<(), StoreError> {
        let mut next = Kept { boot: boot.max(self.kept.boot), numbers: self.kept.numbers };
        for (kept, number) in next.numbers.iter_mut().zip(numbers) {
            if number > *kept {
                *kept = number + RESERVE;
            }
        }
        if next != self.kept {
            let write = replace(&self.path, &next);
            write.map_err(|why| StoreError::Io {
                doing: "writing",
                path: self.path.clone(),
                why,
            })?;
            self.kept = next;
        }
        Ok(())
    }
}

/// Writes a new file beside the old one and puts it in its place, so that there is always a whole one.
fn replace(path: &Path, kept: &Kept) -> io::Result<()> {
    let new = path.with_extension("new");
    let mut file = File::create(&new)?;
    file.write_all(&serde_json::to_vec(kept)?)?;
    file.sync_all()?;
    fs::rename(&new, path)?;
    File::open(path.parent().unwrap_or(Path::new("/")))?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_written_only_when_a_number_passes_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("floor.json");
        let mut floor = Floor::open(&path).unwrap();
        assert_eq!((floor.boot(), floor.numbers()), (0, [0; 4]));
        floor.raise(1, [0, 5, 0, 0]).unwrap();
        assert_eq!(floor.numbers(), [0, 5 + RESERVE, 0, 0]);
        fs::remove_file(&path).unwrap();
        floor.raise(1, [0, 5 + RESERVE, 0, 0]).unwrap();
        assert!(!path.exists(), "nothing new, nothing written");
        floor.raise(1, [1, 6 + RESERVE, 0, 0]).unwrap();
        let again = Floor::open(&path).unwrap();
        assert_eq!(again.numbers(), [1 + RESERVE, 6 + 2 * RESERVE, 0, 0]);
        fs::write(&path, "{").unwrap();
        assert_eq!(Floor::open(&path).unwrap().boot(), 0);
    }
}
