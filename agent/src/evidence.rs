//! Where the pictures of findings are kept: files named by their hash, outside the buffer.
//!
//! A picture is on disk, and synced, before anything names it. There are at most [`BYTES_MAX`] of them:
//! the oldest ones go first. What comes here was redacted; nothing else is ever written.

pub mod post;

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use sha2::{Digest, Sha256};

/// The most bytes of all pictures: about 800 of them.
pub const BYTES_MAX: u64 = 64 * 1024 * 1024;

/// The folder of the pictures.
#[derive(Debug, Clone)]
pub struct Album {
    dir: PathBuf,
    most: u64,
}

impl Album {
    /// The album of a box whose buffer is in `buffer`.
    #[must_use]
    pub fn of(buffer: &Path) -> Album {
        Album { dir: buffer.join("evidence"), most: BYTES_MAX }
    }

    /// Keeps a picture; answers the digits of its SHA-256. The same picture again changes nothing.
    ///
    /// # Errors
    /// Those of the file system; the picture is then not kept.
    pub fn keep(&self, jpeg: &[u8]) -> io::Result<String> {
        let hash: String = Sha256::digest(jpeg).iter().map(|byte| format!("{byte:02x}")).collect();
        let path = self.path(&hash);
        if path.exists() {
            return Ok(hash);
        }
        fs::create_dir_all(&self.dir)?;
        self.make_room(jpeg.len() as u64)?;
        let unfinished = self.dir.join("unfinished");
        let mut file = File::create(&unfinished)?;
        file.write_all(jpeg)?;
        file.sync_all()?;
        fs::rename(&unfinished, &path)?;
        File::open(&self.dir)?.sync_all()?;
        Ok(hash)
    }

    /// The picture with this hash; `None` where it is none of ours, or gone.
    #[must_use]
    pub fn find(&self, hash: &str) -> Option<Vec<u8>> {
        let is_hash = hash.len() == 64 && hash.bytes().all(|b| b.is_ascii_hexdigit());
        is_hash.then(|| fs::read(self.path(hash)).ok()).flatten()
    }

    fn path(&self, hash: &str) -> PathBuf {
        self.dir.join(format!("{hash}.jpg"))
    }

    /// Removes the oldest pictures until `more` bytes fit.
    fn make_room(&self, more: u64) -> io::Result<()> {
        let mut kept: Vec<(SystemTime, u64, PathBuf)> = Vec::new();
        for entry in fs::read_dir(&self.dir)? {
            let entry = entry?;
            let about = entry.metadata()?;
            kept.push((about.modified()?, about.len(), entry.path()));
        }
        kept.sort();
        let mut size = kept.iter().map(|(_, size, _)| size).sum::<u64>() + more;
        for (_, bytes, path) in kept {
            if size <= self.most {
                break;
            }
            fs::remove_file(path)?;
            size -= bytes;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pictures_are_found_by_their_hash_and_by_nothing_else() {
        let dir = tempfile::tempdir().unwrap();
        let album = Album::of(dir.path());
        let hash = album.keep(b"one").unwrap();
        assert_eq!(album.keep(b"one").unwrap(), hash);
        assert_eq!(album.find(&hash).unwrap(), b"one");
        fs::write(dir.path().join("secret"), b"x").unwrap();
        for other in ["", "../secret", &hash[1..], &"0".repeat(64), &hash.replace(&hash[..2], "..")]
        {
            assert_eq!(album.find(other), None, "{other}");
        }
        assert_eq!(fs::read_dir(dir.path().join("evidence")).unwrap().count(), 1);
    }

    #[test]
    fn the_oldest_pictures_make_room() {
        let dir = tempfile::tempdir().unwrap();
        let album = Album { most: 1000, ..Album::of(dir.path()) };
        let mut hashes = vec![];
        for n in 0..5_u8 {
            hashes.push(album.keep(&[n; 300]).unwrap());
            // The order is that of the files' times.
            let file =
                File::options().write(true).open(album.path(&hashes[usize::from(n)])).unwrap();
            file.set_modified(
                SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(u64::from(n) + 1),
            )
            .unwrap();
        }
        let there: Vec<_> = hashes.iter().map(|hash| album.find(hash).is_some()).collect();
        assert_eq!(there, [false, false, true, true, true]);
    }
}
