//! Another version of the program, by command: fetched, checked, installed, watched, and taken back by
//! itself when it does not work.
//!
//! ```text
//!  the service, without rights                 │ root: steward-update.service
//!  cmd/update ─► fetching ─► checked ─► staged ─► copied, checked again ─► dpkg ─► started, on trial
//!  new program: connected ─► confirmed ────────────────────────────────────► kept; not in time: dpkg back
//! ```
//! Neither side writes where the other does: the service leaves a request, a package and its last word in
//! `<buffer.dir>/update`; root tells how far it has come in a folder of its own. Root trusts nothing that
//! it has not copied and checked there, with the key in the file of the installation: a configuration that
//! came by command cannot change it.
//!
//! Nothing here touches what is buffered, and nothing is installed without a signature.

mod carry;
mod download;
mod errand;
pub mod install;
mod installed;
mod package;
mod repack;
mod trial;

use std::fs::File;
use std::io::{self, Read};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, Mode, OFlags};
use rustix::io::Errno;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

pub use self::errand::{News, Told, Updates};
use crate::control::versions::replace;
use crate::health::disk_free;

/// The folder of requests, below `buffer.dir`.
const STAGE: &str = "update";
/// Files of the service in it.
const PACKAGE: &str = "package.deb";
const SIGNATURE: &str = "package.deb.minisig";
const REQUEST: &str = "request.json";
const WORD: &str = "word.json";
const ERRAND: &str = "errand.json";
/// What root says, in its own folder.
const STATUS: &str = "status.json";
/// The longest of these files but the package, in bytes.
const NOTE_MAX: u64 = 64 * 1024;
/// The longest signature: four lines.
const SIGNATURE_MAX: u64 = 4096;

/// `[update]`: whose packages are installed, and which of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// The public half of the key that signs, as minisign writes it.
    pub key: String,
    /// The longest package, in bytes.
    pub size_max: u64,
    /// Whether a command may ask for an older version than what is installed.
    pub allow_downgrade: bool,
    /// Own certificate authority of where packages are, PEM; `None`: the system's roots.
    pub ca_file: Option<PathBuf>,
    /// The folder of root's.
    pub state_dir: PathBuf,
}

/// What root is asked to install.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Request {
    /// The command's id: the same package may be asked for again.
    id: String,
    sha256: String,
    size: u64,
    /// In what time after its start the new version must be confirmed, in seconds.
    within_s: u32,
    #[serde(default)]
    allow_downgrade: bool,
}

/// What the service says last of what root has installed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Word {
    /// Which request is meant.
    id: String,
    says: Verdict,
}

/// Whether a new version stays.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Verdict {
    /// It works.
    Confirmed,
    /// Somebody wants the old one back.
    Revert,
}

/// How far root has come with the last request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// Which request it is about: the command's id.
    pub id: String,
    /// The package's version, once that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// The version before it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// How far.
    pub phase: Phase,
    /// Why it was refused or taken back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
}

/// The phases of an installation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// dpkg is at it.
    Installing,
    /// It is in use, and may be taken back.
    Trial,
    /// It stays.
    Confirmed,
    /// The version before is back.
    Reverted,
    /// Nothing was changed.
    Refused,
}

/// Where the service leaves what it asks for, when it buffers in `buffer_dir`.
fn stage(buffer_dir: &Path) -> PathBuf {
    buffer_dir.join(STAGE)
}

/// Writes a note in place of the one before.
fn write_note(path: &Path, note: &impl Serialize) -> io::Result<()> {
    replace(path, &serde_json::to_vec_pretty(note)?)
}

/// A folder that somebody else may write to: its files are opened by name in it, and never through a link.
struct Folder(OwnedFd);

impl Folder {
    /// Opens the folder, which must be one, and no link to one.
    fn open(path: &Path) -> io::Result<Folder> {
        let flags = OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        Ok(Folder(rustix::fs::open(path, flags, Mode::empty())?))
    }

    /// Opens a file to read it, which must be a file: no link to one, no pipe that keeps us waiting.
    fn file(&self, name: &str) -> io::Result<File> {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let file = File::from(rustix::fs::openat(&self.0, name, flags, Mode::empty())?);
        if !file.metadata()?.is_file() {
            let why = format!("{name} is no file");
            return Err(io::Error::new(io::ErrorKind::InvalidInput, why));
        }
        Ok(file)
    }

    /// A short text; `None` when there is none.
    fn text(&self, name: &str, max: u64) -> Option<String> {
        let mut text = String::new();
        self.file(name).ok()?.take(max).read_to_string(&mut text).ok()?;
        Some(text)
    }

    /// A note; `None` when there is none, or it is none.
    fn note<T: DeserializeOwned>(&self, name: &str) -> Option<T> {
        serde_json::from_str(&self.text(name, NOTE_MAX)?).ok()
    }

    /// Removes a file that may not be there. Answers whether it was.
    fn remove(&self, name: &str) -> io::Result<bool> {
        match rustix::fs::unlinkat(&self.0, name, AtFlags::empty()) {
            Ok(()) => Ok(true),
            Err(Errno::NOENT) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }
}

/// How far root has come, by its folder.
fn status(state_dir: &Path) -> Option<Status> {
    Folder::open(state_dir).ok()?.note(STATUS)
}

/// The free bytes that a package of `size` bytes needs: it is fetched and copied, what it brings is
/// unpacked beside what is there, and that is packed for the way back. Programs unpack to three times
/// their package.
fn room_needed(size: u64) -> u64 {
    size.saturating_mul(10)
}

/// Whether there is room for a package where `dir` lies; otherwise says what there is.
fn has_room(dir: &Path, size: u64) -> Result<(), String> {
    let Some(free) = disk_free(dir) else { return Ok(()) };
    let needed = room_needed(size);
    if free >= needed {
        return Ok(());
    }
    Err(format!(
        "there is no room: {needed} bytes are needed where {} lies, and {free} are free",
        dir.display()
    ))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_link_or_a_pipe_is_not_read() {
        let dir = tempfile::tempdir().unwrap();
        let path = |name: &str| dir.path().join(name);
        fs::write(path("file"), "{\"id\":\"c1\",\"says\":\"confirmed\"}").unwrap();
        std::os::unix::fs::symlink(path("file"), path("link")).unwrap();
        std::os::unix::fs::symlink(dir.path(), path("folder")).unwrap();
        let made = std::process::Command::new("mkfifo").arg(path("pipe")).status().unwrap();
        assert!(made.success());
        assert!(Folder::open(&path("folder")).is_err(), "a link to a folder");
        let folder = Folder::open(dir.path()).unwrap();
        let word: Option<Word> = folder.note("file");
        assert_eq!(word.map(|word| word.says), Some(Verdict::Confirmed));
        assert_eq!(folder.note::<Word>("link"), None);
        assert!(folder.file("pipe").is_err() && folder.file(".").is_err());
        assert!(folder.remove("link").unwrap() && !folder.remove("link").unwrap());
        assert!(path("file").exists());
    }

    #[test]
    fn no_room_is_said_with_numbers() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(has_room(dir.path(), 1), Ok(()));
        assert!(has_room(dir.path(), u64::MAX / 20).unwrap_err().contains("there is no room"));
    }
}
