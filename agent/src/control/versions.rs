//! The configurations of a box: the one it was installed with, those that came by command, and the one
//! that is on trial.
//!
//! They are kept in `config/` beside the buffer: `<n>.toml`, and `versions.json`, which says what each is.
//! The newest word counts, whoever said it: a configuration that came by command holds until another comes
//! or somebody changes the file. A trial does not outlive the process: whatever ended it, the start goes
//! back to what was confirmed.
//!
//! It does not touch what is buffered, and does not decide whether a trial has succeeded
//! ([`super::trial`]).

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use domain::time::Utc;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::trial::Asked;
use crate::config::{self, Config, Faults, Loaded};

/// Confirmed versions that are kept, the one in use included.
const KEPT: usize = 3;
/// Files of the installation that did not work and are remembered as such.
const REFUSED_MAX: usize = 8;

/// Where a configuration came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Origin {
    /// The file on the box.
    File,
    /// A command.
    Command,
}

/// Under which configuration a box runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Standing {
    /// Its number: each new one has a higher one.
    pub version: u64,
    /// Where it came from.
    pub origin: Origin,
    /// Whether it is on trial.
    pub on_trial: bool,
}

/// One configuration.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Version {
    n: u64,
    sha256: String,
    origin: Origin,
    /// Who asked for it; `None`: the file was there.
    by: Option<String>,
    at: Utc,
}

/// One that is on trial.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct OpenTrial {
    version: Version,
    asked: Option<Asked>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Index {
    v: u32,
    /// The number of the next version.
    next: u64,
    /// The file as it was when it was last looked at.
    file_sha256: String,
    /// Files that did not work.
    refused: Vec<String>,
    /// Confirmed versions, the one in use last.
    kept: Vec<Version>,
    trial: Option<OpenTrial>,
}

/// Everything kept.
#[derive(Debug)]
pub struct Versions {
    dir: PathBuf,
    file: PathBuf,
    index: Index,
}

/// What a box starts with.
#[derive(Debug)]
pub struct Begun {
    /// What is kept.
    pub versions: Versions,
    /// The configuration.
    pub config: Config,
    /// A trial that was cut short by the end of the process, and who had asked for it.
    pub cut_short: Option<Cut>,
}

/// A trial that the end of the process cut short.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cut {
    /// Its version.
    pub version: u64,
    /// Who had asked for it.
    pub asked: Option<Asked>,
}

impl Versions {
    /// Looks at what is kept for the box whose `file` says `config`, and chooses what it runs under: what was
    /// confirmed last, or the file when somebody has changed it since.
    ///
    /// # Errors
    /// The folder beside the buffer, or the file, cannot be read or written.
    pub fn open(file: &Path, config: Config, now: Utc) -> io::Result<Begun> {
        let dir = config.buffer.dir.join("config");
        fs::create_dir_all(&dir)?;
        let text = fs::read(file)?;
        let sha256 = sha256(&text);
        let mut index = match fs::read(dir.join("versions.json")) {
            Ok(bytes) => serde_json::from_slice(&bytes).unwrap_or_else(|error| {
                tracing::error!(error = %error, "what is kept of configurations cannot be read; the file counts");
                Index::new(next_free(&dir))
            }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Index::new(1),
            Err(error) => return Err(error),
        };
        let trial = index.trial.take();
        let cut_short = trial.map(|t| Cut { version: t.version.n, asked: t.asked });
        let mut versions = Versions { dir, file: file.to_owned(), index };
        let changed = versions.index.file_sha256 != sha256;
        let refused = versions.index.refused.contains(&sha256);
        if versions.index.kept.is_empty() || changed && !refused {
            let version = versions.keep(&text, Origin::File, None, now)?;
            versions.index.kept.push(version);
        }
        versions.index.file_sha256 = sha256;
        versions.save()?;
        let config = versions.newest_that_loads(config)?;
        Ok(Begun { versions, config, cut_short })
    }

    /// The newest confirmed version that is still right: what it includes may have gone. `fallback` is the
    /// file's.
    fn newest_that_loads(&mut self, fallback: Config) -> io::Result<Config> {
        let mut before = self.index.kept.len();
        while let Some(version) = self.index.kept.last() {
            match self.load(version.n) {
                Ok(config) => {
                    if before != self.index.kept.len() {
                        self.save()?;
                    }
                    return Ok(config);
                }
                Err(faults) => {
                    tracing::error!(version = version.n, error = %faults, "a kept configuration is not right any more");
                    self.index.kept.pop();
                    before = usize::MAX;
                }
            }
        }
        let version = self.keep(&fs::read(&self.file)?, Origin::File, None, Utc::from_ms(0))?;
        self.index.kept.push(version);
        self.save()?;
        Ok(fallback)
    }

    /// Under what the box runs.
    #[must_use]
    pub fn standing(&self) -> Standing {
        let (version, on_trial) = match &self.index.trial {
            Some(trial) => (&trial.version, true),
            None => (self.index.kept.last().expect("open keeps one"), false),
        };
        Standing { version: version.n, origin: version.origin, on_trial }
    }

    /// The file of the installation.
    #[must_use]
    pub fn file(&self) -> &Path {
        &self.file
    }

    /// Whether the file is as it was when it was last taken.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn is_file_unchanged(&self) -> io::Result<bool> {
        Ok(sha256(&fs::read(&self.file)?) == self.index.file_sha256)
    }

    /// Puts a text on trial.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn begin(
        &mut self,
        text: &[u8],
        origin: Origin,
        asked: Option<Asked>,
        now: Utc,
    ) -> io::Result<u64> {
        let by = asked.as_ref().map(|asked| asked.by.to_string());
        let version = self.keep(text, origin, by, now)?;
        let n = version.n;
        if origin == Origin::File {
            self.index.file_sha256.clone_from(&version.sha256);
            self.index.refused.retain(|refused| *refused != version.sha256);
        }
        self.index.trial = Some(OpenTrial { version, asked });
        self.save()?;
        Ok(n)
    }

    /// What is on trial stays. The oldest of more than three goes.
    ///
    /// # Errors
    /// It cannot be written down.
    pub fn confirm(&mut self) -> io::Result<()> {
        if let Some(trial) = self.index.trial.take() {
            self.index.kept.push(trial.version);
        }
        let spare = self.index.kept.len().saturating_sub(KEPT);
        let gone: Vec<Version> = self.index.kept.drain(..spare).collect();
        self.save()?;
        for version in gone {
            self.remove(version.n);
        }
        Ok(())
    }

    /// What is on trial goes; gives what was before.
    ///
    /// # Errors
    /// It cannot be written down, or what was before cannot be read any more.
    pub fn revert(&mut self) -> io::Result<Config> {
        if let Some(OpenTrial { version, .. }) = self.index.trial.take() {
            if version.origin == Origin::File {
                self.index.refused.push(version.sha256);
                let spare = self.index.refused.len().saturating_sub(REFUSED_MAX);
                self.index.refused.drain(..spare);
            }
            self.save()?;
            self.remove(version.n);
        }
        let kept = self.index.kept.last().expect("open keeps one").n;
        self.load(kept).map_err(|faults| io::Error::other(faults.to_string()))
    }

    /// The text of the version before the one in use.
    ///
    /// # Errors
    /// It cannot be read; `None`: there is none.
    pub fn previous(&self) -> io::Result<Option<Vec<u8>>> {
        let before = self.index.kept.iter().rev().nth(1);
        before.map(|version| fs::read(self.path(version.n))).transpose()
    }

    /// The configuration that a version says.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn load(&self, n: u64) -> Result<Config, Faults> {
        let folder = self.file.parent().unwrap_or(Path::new(""));
        config::load_from(&self.path(n), folder).map(|Loaded { config, .. }| config)
    }

    /// What there is, for people.
    #[must_use]
    pub fn tell(&self) -> Value {
        json!({
            "running": self.standing().version,
            "kept": self.index.kept,
            "trial": self.index.trial.as_ref().map(|trial| &trial.version),
        })
    }

    fn path(&self, n: u64) -> PathBuf {
        self.dir.join(format!("{n}.toml"))
    }

    fn keep(
        &mut self,
        text: &[u8],
        origin: Origin,
        by: Option<String>,
        at: Utc,
    ) -> io::Result<Version> {
        let n = self.index.next;
        self.index.next += 1;
        replace(&self.path(n), text)?;
        Ok(Version { n, sha256: sha256(text), origin, by, at })
    }

    fn remove(&self, n: u64) {
        if let Err(error) = fs::remove_file(self.path(n)) {
            tracing::warn!(version = n, error = %error, "an old configuration cannot be removed");
        }
    }

    fn save(&self) -> io::Result<()> {
        replace(&self.dir.join("versions.json"), &serde_json::to_vec_pretty(&self.index)?)
    }
}

impl Index {
    fn new(next: u64) -> Index {
        let (file_sha256, refused, kept) = (String::new(), vec![], vec![]);
        Index { v: 1, next, file_sha256, refused, kept, trial: None }
    }
}

/// A number above those of all files in `dir`.
fn next_free(dir: &Path) -> u64 {
    let names = fs::read_dir(dir).into_iter().flatten().filter_map(Result::ok);
    let number = |entry: fs::DirEntry| entry.path().file_stem()?.to_str()?.parse::<u64>().ok();
    names.filter_map(number).max().unwrap_or(0) + 1
}

/// The SHA-256 of `bytes` in hex.
#[must_use]
pub fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Writes a new file beside the old one and puts it in its place, so that there is always a whole one.
pub(crate) fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let new = path.with_extension("new");
    let mut file = File::create(&new)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&new, path)?;
    File::open(path.parent().unwrap_or(Path::new("/")))?.sync_all()
}

/// Whether the box can go from `running` to `next` while it runs, and with `stored` bytes in its buffer:
/// another name or another buffer would leave behind what is not delivered yet.
///
/// # Errors
/// Why not.
pub fn fits(running: &Config, next: &Config, stored: u64) -> Result<(), String> {
    if next.site.identity != running.site.identity {
        let was = &running.site.identity;
        return Err(format!(
            "[box] tenant, site and id are {}, {} and {}; they are changed on the box, with the service \
             stopped",
            was.tenant, was.site, was.id
        ));
    }
    if next.buffer.dir != running.buffer.dir {
        return Err(format!(
            "[buffer] dir is {}; it is changed on the box, with the service stopped",
            running.buffer.dir.display()
        ));
    }
    if next.buffer.max_size < stored {
        return Err(format!(
            "[buffer] max_size is {} bytes, and {stored} are waiting to be sent: they would be lost",
            next.buffer.max_size
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Rig {
        dir: tempfile::TempDir,
    }

    fn text(rig: &Rig, keep_alive: u32) -> String {
        let dir = rig.dir.path().display();
        format!(
            "[box]\nid = \"xj-1\"\ntenant = \"t\"\nsite = \"s\"\ntimezone = \"UTC\"\n[mqtt]\n\
             url = \"mqtt://127.0.0.1\"\nkeep_alive = \"{keep_alive}s\"\n[buffer]\ndir = \"{dir}\"\n"
        )
    }

    impl Rig {
        fn new() -> Rig {
            let rig = Rig { dir: tempfile::tempdir().unwrap() };
            rig.write(10);
            rig
        }

        fn file(&self) -> PathBuf {
            self.dir.path().join("steward.toml")
        }

        fn write(&self, keep_alive: u32) {
            fs::write(self.file(), text(self, keep_alive)).unwrap();
        }

        fn open(&self) -> Begun {
            let config = config::load(&self.file()).unwrap().config;
            Versions::open(&self.file(), config, Utc::from_ms(1)).unwrap()
        }
    }

    fn seconds(config: &Config) -> u64 {
        config.broker.keep_alive.as_secs()
    }

    #[test]
    fn what_was_confirmed_holds_until_somebody_changes_the_file() {
        let rig = Rig::new();
        let Begun { mut versions, .. } = rig.open();
        let n = versions.begin(text(&rig, 20).as_bytes(), Origin::Command, None, Utc::from_ms(2));
        assert_eq!(n.unwrap(), 2);
        versions.confirm().unwrap();
        let begun = rig.open();
        assert_eq!((seconds(&begun.config), begun.versions.standing().version), (20, 2));
        rig.write(30);
        let begun = rig.open();
        assert_eq!((seconds(&begun.config), begun.versions.standing().origin), (30, Origin::File));
        assert_eq!(seconds(&rig.open().config), 30, "and stays");
    }

    #[test]
    fn a_trial_ends_with_the_process() {
        let rig = Rig::new();
        let asked = Asked { id: "c1".into(), by: "ops".parse().unwrap() };
        let mut versions = rig.open().versions;
        versions
            .begin(text(&rig, 20).as_bytes(), Origin::Command, Some(asked.clone()), Utc::from_ms(2))
            .unwrap();
        assert!(versions.standing().on_trial);
        drop(versions);
        let begun = rig.open();
        assert_eq!(begun.cut_short, Some(Cut { version: 2, asked: Some(asked) }));
        assert_eq!(seconds(&begun.config), 10);
        assert_eq!(rig.open().cut_short, None, "it is told once");
    }

    #[test]
    fn a_file_that_did_not_work_is_not_tried_again_until_it_is_changed() {
        let rig = Rig::new();
        let mut versions = rig.open().versions;
        rig.write(20);
        versions.begin(text(&rig, 20).as_bytes(), Origin::File, None, Utc::from_ms(2)).unwrap();
        assert_eq!(seconds(&versions.revert().unwrap()), 10);
        assert_eq!(seconds(&rig.open().config), 10);
        rig.write(25);
        assert_eq!(seconds(&rig.open().config), 25);
    }

    #[test]
    fn the_last_three_are_kept() {
        let rig = Rig::new();
        let mut versions = rig.open().versions;
        for keep_alive in 20..26 {
            let text = text(&rig, keep_alive);
            versions.begin(text.as_bytes(), Origin::Command, None, Utc::from_ms(2)).unwrap();
            versions.confirm().unwrap();
        }
        let kept = fs::read_dir(rig.dir.path().join("config")).unwrap().count();
        assert_eq!(kept, KEPT + 1, "three, and versions.json");
        assert_eq!(versions.previous().unwrap().unwrap(), text(&rig, 24).into_bytes());
    }

    #[test]
    fn what_is_kept_and_not_right_any_more_gives_way() {
        let rig = Rig::new();
        let mut versions = rig.open().versions;
        versions.begin(b"[box]", Origin::Command, None, Utc::from_ms(2)).unwrap();
        versions.confirm().unwrap();
        assert_eq!(seconds(&rig.open().config), 10);
        fs::write(rig.dir.path().join("config/versions.json"), "{").unwrap();
        let begun = rig.open();
        assert_eq!(seconds(&begun.config), 10);
        assert!(begun.versions.standing().version > 1, "no number is used twice");
    }

    #[test]
    fn a_change_that_would_leave_messages_behind_is_refused() {
        let rig = Rig::new();
        let running = rig.open().config;
        assert_eq!(fits(&running, &running.clone(), 1000), Ok(()));
        let mut other = running.clone();
        other.buffer.dir = PathBuf::from("/elsewhere");
        assert!(fits(&running, &other, 0).unwrap_err().contains("[buffer] dir"));
        let mut other = running.clone();
        other.site.identity.id = "xj-2".parse().unwrap();
        assert!(fits(&running, &other, 0).unwrap_err().contains("[box]"));
        let mut other = running.clone();
        other.buffer.max_size = 999;
        assert!(fits(&running, &other, 1000).unwrap_err().contains("would be lost"));
    }
}
