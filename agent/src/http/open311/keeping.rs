//! What the public sends that must not go further: photos, and who people are.
//!
//! Two folders beside the buffer, for the user that the agent runs as. A photo is a file that is called by
//! the SHA-256 of its bytes, and is on disk before a ticket speaks of it; the ticket has the hash. A person
//! is a file that is called by the number of the request. Neither goes into the store, a message or a log.
//! Both are removed when they are older than `keep`; that is judged by the box's clock, which each file
//! carries as the time of its change.
//!
//! Full: a photo that does not fit is not kept, and whoever sent it is told so; nothing older gives way.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use domain::open311::{Person, RequestNumber};
use domain::time::{ClockQuality, Now, Span, Utc};
use serde_json::json;
use sha2::{Digest, Sha256};

/// The folders, and how much they may hold.
#[derive(Debug, Clone)]
pub struct Keeping {
    photos: PathBuf,
    people: PathBuf,
    photos_max: u64,
    keep: Span,
}

/// Why a photo was not kept.
#[derive(Debug, thiserror::Error)]
pub(super) enum NotKept {
    #[error("it is neither a JPEG nor a PNG")]
    Kind,
    #[error("there is no room for photos at present")]
    Full,
    #[error("it could not be stored")]
    Io(#[from] io::Error),
}

/// The kinds of photos that are taken, by how they begin.
const KINDS: [(&[u8], &str); 2] =
    [(&[0xff, 0xd8, 0xff], "jpg"), (&[0x89, b'P', b'N', b'G', b'\r', b'\n', 0x1a, b'\n'], "png")];

/// How a photo's file ends, by its first bytes; what its sender calls it does not count.
pub(super) fn kind(bytes: &[u8]) -> Option<&'static str> {
    KINDS.iter().find(|(begin, _)| bytes.starts_with(begin)).map(|(_, kind)| *kind)
}

impl Keeping {
    /// In the folder of a buffer.
    #[must_use]
    pub fn new(buffer: &Path, photos_max: u64, keep: Span) -> Keeping {
        Keeping { photos: buffer.join("photos"), people: buffer.join("people"), photos_max, keep }
    }

    /// Stores a photo and gives what a ticket calls it.
    pub(super) fn photo(&self, bytes: &[u8], now: Now) -> Result<String, NotKept> {
        let kind = kind(bytes).ok_or(NotKept::Kind)?;
        let hash: String = Sha256::digest(bytes).iter().map(|b| format!("{b:02x}")).collect();
        folder(&self.photos)?;
        let path = self.photos.join(format!("{hash}.{kind}"));
        if !path.exists() {
            let size = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
            if size_of(&self.photos)?.saturating_add(size) > self.photos_max {
                return Err(NotKept::Full);
            }
        }
        write(&path, bytes, now.utc)?;
        Ok(format!("sha256:{hash}"))
    }

    /// Stores who a request is of.
    pub(super) fn person(&self, number: RequestNumber, who: &Person, now: Now) -> io::Result<()> {
        folder(&self.people)?;
        let entry = json!({"at": now.utc, "request": number, "person": who});
        write(&self.person_file(number), format!("{entry}\n").as_bytes(), now.utc)
    }

    /// A request was not taken: nothing is kept of whoever it was of.
    pub(super) fn forget(&self, number: RequestNumber) {
        // There may have been nothing to keep; what is left over goes with its age.
        let _ = fs::remove_file(self.person_file(number));
    }

    fn person_file(&self, number: RequestNumber) -> PathBuf {
        self.people.join(format!("{number}.json"))
    }

    /// Removes what is older than it may be; says how many files that were.
    ///
    /// # Errors
    /// A folder cannot be read, or a file not be removed.
    pub fn clear_out(&self, now: Now) -> io::Result<usize> {
        if now.clock == ClockQuality::Unset {
            return Ok(0);
        }
        let mut gone = 0;
        for folder in [&self.photos, &self.people] {
            let Ok(entries) = fs::read_dir(folder) else { continue };
            for entry in entries {
                let entry = entry?;
                let changed = entry.metadata()?.modified()?.duration_since(SystemTime::UNIX_EPOCH);
                let ms = changed.map_or(0, |since| i64::try_from(since.as_millis()).unwrap_or(0));
                if now.utc.since(Utc::from_ms(ms)) > self.keep {
                    fs::remove_file(entry.path())?;
                    gone += 1;
                }
            }
        }
        Ok(gone)
    }
}

/// Nobody but the agent's user may look.
fn folder(path: &Path) -> io::Result<()> {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(path)
}

fn size_of(folder: &Path) -> io::Result<u64> {
    fs::read_dir(folder)?.map(|entry| Ok(entry?.metadata()?.len())).sum()
}

/// Writes a file beside its place, syncs it, and puts it there; then syncs the folder.
fn write(path: &Path, bytes: &[u8], at: Utc) -> io::Result<()> {
    let beside = path.with_extension("new");
    let mut file =
        OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&beside)?;
    file.write_all(bytes)?;
    let ms = u64::try_from(at.as_ms()).unwrap_or(0);
    file.set_modified(SystemTime::UNIX_EPOCH + Duration::from_millis(ms))?;
    file.sync_all()?;
    fs::rename(&beside, path)?;
    File::open(path.parent().unwrap_or(Path::new(".")))?.sync_all()
}

#[cfg(test)]
mod tests {
    use domain::time::{Boot, Moment, Monotonic};

    use super::*;

    fn now(day: u64) -> Now {
        Moment {
            boot: Boot(1),
            monotonic: Monotonic::from_ms(day * 86_400_000),
            utc: Utc::from_ms(1_780_545_600_000) + Span::from_mins(day * 24 * 60),
            clock: ClockQuality::Ntp,
        }
    }

    fn keeping(folder: &tempfile::TempDir) -> Keeping {
        Keeping::new(folder.path(), 100, Span::from_mins(90 * 24 * 60))
    }

    const JPEG: &[u8] = b"\xff\xd8\xff\xe0 a photo";

    #[test]
    fn a_photo_is_kept_by_its_hash_once_and_within_bounds() {
        let folder = tempfile::tempdir().unwrap();
        let keeping = keeping(&folder);
        let name = keeping.photo(JPEG, now(0)).unwrap();
        let hash: String = Sha256::digest(JPEG).iter().map(|b| format!("{b:02x}")).collect();
        assert_eq!(name, format!("sha256:{hash}"));
        let file = folder.path().join("photos").join(format!("{hash}.jpg"));
        assert_eq!(fs::read(&file).unwrap(), JPEG);
        assert!(matches!(keeping.photo(b"GIF89a", now(0)), Err(NotKept::Kind)));
        let mut large = JPEG.to_vec();
        large.resize(90, 0);
        assert!(matches!(keeping.photo(&large, now(0)), Err(NotKept::Full)));
        // The same one again needs no room.
        assert_eq!(keeping.photo(JPEG, now(0)).unwrap(), name);
        assert_eq!(fs::read_dir(folder.path().join("photos")).unwrap().count(), 1);
        let png = [KINDS[1].0, b"x"].concat();
        assert_eq!(kind(&png), Some("png"));
        assert_eq!(kind(b"<svg onload="), None);
    }

    #[test]
    fn people_are_for_the_agent_alone_and_for_a_time() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let keeping = keeping(&folder);
        let (one, two) = (RequestNumber::from_random(1), RequestNumber::from_random(2));
        let who = Person { phone: Some("13800000000".to_owned()), ..Person::default() };
        keeping.person(one, &who, now(0)).unwrap();
        keeping.person(two, &who, now(60)).unwrap();
        keeping.photo(JPEG, now(0)).unwrap();
        let file = folder.path().join("people").join(format!("{one}.json"));
        assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
        assert!(fs::read_to_string(&file).unwrap().contains("13800000000"));
        assert_eq!(keeping.clear_out(now(90)).unwrap(), 0);
        let unset = Now { clock: ClockQuality::Unset, ..now(900) };
        assert_eq!(keeping.clear_out(unset).unwrap(), 0, "nobody knows how old they are");
        assert_eq!(keeping.clear_out(now(91)).unwrap(), 2);
        assert!(!file.exists());
        keeping.forget(two);
        assert_eq!(fs::read_dir(folder.path().join("people")).unwrap().count(), 0);
    }
}
