//! A folder that somebody puts pictures into: a camera that uploads, or a script.
//!
//! Files are taken in the order of their times, the oldest first; of a backlog of more than
//! [`BACKLOG_MAX`] the older ones are dropped and counted. A file is taken when it ends as a JPEG does, or
//! has not changed since the last look: one that is still being written is left alone. Taken files are
//! removed, unless they are to be kept; files that are no pictures by their names are never touched.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// Pictures that may wait.
const BACKLOG_MAX: usize = 8;
/// Endings that pictures have.
const ENDINGS: [&str; 7] = ["jpg", "jpeg", "png", "gif", "bmp", "webp", "tif"];

/// Where a file stands among the others: by time, then by name.
type Rank = (SystemTime, PathBuf);

/// What a look brought.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Haul {
    /// The next picture.
    pub(super) picture: Option<Picture>,
    /// Pictures that were dropped, because newer ones wait.
    pub(super) dropped: u64,
}

/// A file that was taken.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Picture {
    /// Its bytes.
    Bytes(Vec<u8>),
    /// It has so many bytes, more than are taken; it was not read.
    TooLong(u64),
}

/// Looks into a folder.
#[derive(Debug)]
pub(super) struct Folder {
    path: PathBuf,
    keep: bool,
    most: u64,
    /// Files that were not complete at the last look, with their length then.
    growing: BTreeMap<Rank, u64>,
    /// The last one that was taken and stayed.
    last: Option<Rank>,
}

impl Folder {
    /// Files of more than `most` bytes are not read.
    pub(super) const fn new(path: PathBuf, keep: bool, most: u64) -> Folder {
        Folder { path, keep, most, growing: BTreeMap::new(), last: None }
    }

    /// Takes the next picture that is complete.
    pub(super) fn look(&mut self) -> io::Result<Haul> {
        let mut ready = Vec::new();
        let mut growing = BTreeMap::new();
        for entry in fs::read_dir(&self.path)? {
            let path = entry?.path();
            // It may have gone since it was listed.
            let Ok(about) = fs::metadata(&path) else { continue };
            if !about.is_file() || !is_picture(&path) {
                continue;
            }
            let rank = (about.modified()?, path);
            if self.last.as_ref().is_some_and(|last| rank <= *last) {
                continue;
            }
            let length = about.len();
            if length > self.most || self.growing.get(&rank) == Some(&length) || ends(&rank.1) {
                ready.push((rank, length));
            } else {
                growing.insert(rank, length);
            }
        }
        self.growing = growing;
        ready.sort();
        let dropped = ready.len().saturating_sub(BACKLOG_MAX);
        for (rank, _) in ready.drain(..dropped) {
            self.done(rank)?;
        }
        let mut haul = Haul { picture: None, dropped: dropped as u64 };
        if let Some((rank, length)) = ready.into_iter().next() {
            haul.picture = Some(if length > self.most {
                Picture::TooLong(length)
            } else {
                Picture::Bytes(fs::read(&rank.1)?)
            });
            self.done(rank)?;
        }
        Ok(haul)
    }

    fn done(&mut self, rank: Rank) -> io::Result<()> {
        let removed = if self.keep { Ok(()) } else { fs::remove_file(&rank.1) };
        if self.keep || removed.is_err() {
            // What stays is not taken a second time.
            self.last = self.last.take().max(Some(rank));
        }
        removed
    }
}

fn is_picture(path: &Path) -> bool {
    let ending = path.extension().and_then(|ending| ending.to_str());
    ending.is_some_and(|ending| ENDINGS.iter().any(|known| ending.eq_ignore_ascii_case(known)))
}

/// Whether a file ends as a JPEG does.
fn ends(path: &Path) -> bool {
    let read = || -> io::Result<[u8; 2]> {
        let mut file = fs::File::open(path)?;
        file.seek(SeekFrom::End(-2))?;
        let mut last = [0; 2];
        file.read_exact(&mut last)?;
        Ok(last)
    };
    read().is_ok_and(|last| last == [0xff, 0xd9])
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const WHOLE: &[u8] = b"\xff\xd8\xff whole \xff\xd9";

    fn put(dir: &Path, name: &str, bytes: &[u8], second: u64) {
        let path = dir.join(name);
        fs::write(&path, bytes).unwrap();
        let file = fs::File::options().write(true).open(&path).unwrap();
        file.set_modified(SystemTime::UNIX_EPOCH + Duration::from_secs(second)).unwrap();
    }

    fn bytes(haul: Haul) -> Option<Vec<u8>> {
        match haul.picture {
            Some(Picture::Bytes(bytes)) => Some(bytes),
            None => None,
            Some(Picture::TooLong(_)) => panic!("too long"),
        }
    }

    #[test]
    fn pictures_come_in_the_order_of_their_times_and_other_files_stay() {
        let dir = tempfile::tempdir().unwrap();
        let one = |n: u8| [WHOLE, &[n], &[0xff, 0xd9]].concat();
        put(dir.path(), "a.jpg", &one(2), 20);
        put(dir.path(), "b.JPG", &one(1), 10);
        put(dir.path(), "notes.txt", b"mine", 1);
        fs::create_dir(dir.path().join("c.jpg")).unwrap();
        let mut folder = Folder::new(dir.path().to_owned(), false, 1000);
        assert_eq!(bytes(folder.look().unwrap()), Some(one(1)));
        assert_eq!(bytes(folder.look().unwrap()), Some(one(2)));
        assert_eq!(folder.look().unwrap(), Haul::default());
        let left = fs::read_dir(dir.path()).unwrap().count();
        assert_eq!(left, 2, "the notes and the folder");
    }

    #[test]
    fn a_file_that_is_being_written_is_left_until_it_is_still() {
        let dir = tempfile::tempdir().unwrap();
        put(dir.path(), "a.jpg", &WHOLE[..5], 10);
        put(dir.path(), "empty.jpg", b"", 20);
        let mut folder = Folder::new(dir.path().to_owned(), false, 1000);
        assert_eq!(folder.look().unwrap(), Haul::default());
        put(dir.path(), "a.jpg", &WHOLE[..7], 11);
        assert_eq!(bytes(folder.look().unwrap()), Some(vec![]), "the empty one has not changed");
        put(dir.path(), "a.jpg", WHOLE, 30);
        assert_eq!(bytes(folder.look().unwrap()), Some(WHOLE.to_vec()));
    }

    #[test]
    fn of_a_backlog_the_older_ones_are_dropped_and_counted() {
        let dir = tempfile::tempdir().unwrap();
        for n in 0..20 {
            put(dir.path(), &format!("{n}.jpg"), WHOLE, 100 + n);
        }
        put(dir.path(), "huge.jpg", &[0; 2000], 115);
        let mut folder = Folder::new(dir.path().to_owned(), true, 1000);
        let mut hauls = vec![];
        while let Ok(haul @ Haul { picture: Some(_), .. }) = folder.look() {
            hauls.push(haul);
        }
        assert_eq!(hauls.iter().map(|haul| haul.dropped).sum::<u64>(), 13);
        assert_eq!(hauls.len(), 8);
        assert!(hauls.iter().any(|haul| haul.picture == Some(Picture::TooLong(2000))));
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 21, "they are kept");
        put(dir.path(), "new.jpg", WHOLE, 500);
        assert!(folder.look().unwrap().picture.is_some());
    }
}
