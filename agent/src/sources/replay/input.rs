//! Which file feeds which source, and in which form it is written.

use std::convert::Infallible;
use std::ffi::OsStr;
use std::io;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use domain::ids::SourceName;

use crate::config::{Source, SourceKind};
use crate::sources::kind;

/// The form of an input file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// The bytes of a GNSS receiver, as they came: `.nmea`, `.ubx`, `.log`.
    Nmea,
    /// One JSON object a line, see [`crate::record`]: `.jsonl`.
    Jsonl,
    /// One such object, over as many lines as it likes: `.json`.
    Json,
}

impl Format {
    /// The form that the name of a file tells.
    #[must_use]
    pub fn of(path: &Path) -> Option<Format> {
        match path.extension().and_then(OsStr::to_str)?.to_ascii_lowercase().as_str() {
            "nmea" | "ubx" | "log" => Some(Format::Nmea),
            "jsonl" => Some(Format::Jsonl),
            "json" => Some(Format::Json),
            _ => None,
        }
    }
}

impl FromStr for Format {
    type Err = BadFormat;
    fn from_str(text: &str) -> Result<Format, BadFormat> {
        match text {
            "nmea" => Ok(Format::Nmea),
            "jsonl" => Ok(Format::Jsonl),
            "json" => Ok(Format::Json),
            _ => Err(BadFormat(text.to_owned())),
        }
    }
}

/// A word that is not the name of a form.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("no format {0:?}; there are nmea, jsonl and json")]
pub struct BadFormat(String);

/// One `--input` of the command line: `FILE`, or `NAME=FILE` to say which source it feeds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InputFile {
    /// The file.
    pub path: PathBuf,
    /// The source it feeds; `None`: as the file tells.
    pub source: Option<SourceName>,
    /// Its form; `None`: by its name.
    pub format: Option<Format>,
}

impl FromStr for InputFile {
    type Err = Infallible;
    /// What stands before the first `=` is the source, if it can be the name of one. For a file with
    /// an `=` in its name write `./` before it.
    fn from_str(text: &str) -> Result<InputFile, Infallible> {
        let named = text
            .split_once('=')
            .and_then(|(name, path)| Some((SourceName::new(name).ok()?, PathBuf::from(path))));
        Ok(match named {
            Some((name, path)) => InputFile { path, source: Some(name), format: None },
            None => InputFile { path: PathBuf::from(text), source: None, format: None },
        })
    }
}

/// Why there is no replay, or why it ends early.
#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    /// A file is not there or may not be read.
    #[error("cannot open {path}: {error}")]
    Open {
        /// The file.
        path: PathBuf,
        /// What the system says.
        error: io::Error,
    },
    /// A directory in place of a file.
    #[error("{0} is a directory; name the files in it, each with its own --input")]
    Directory(PathBuf),
    /// A file stopped being readable.
    #[error("cannot read {path} further: {error}")]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system says.
        error: io::Error,
    },
    /// The name of the file does not tell its form.
    #[error(
        "the name of {0} does not tell its form; it ends in .nmea, .ubx or .log (GNSS), .jsonl or .json, or \
         say --format nmea, jsonl or json"
    )]
    Format(PathBuf),
    /// There is no such source.
    #[error(
        "{path} is to feed the source {name}, which the configuration does not have; it has {has}"
    )]
    NoSuchSource {
        /// The file.
        path: PathBuf,
        /// The name on the command line.
        name: SourceName,
        /// The sources there are.
        has: String,
    },
    /// There is a source of that name, but it reads something else.
    #[error("{path} is {what}, which the source {name} does not read; it has the kind {kind}")]
    WrongKind {
        /// The file.
        path: PathBuf,
        /// What is in it.
        what: &'static str,
        /// The source.
        name: SourceName,
        /// Its kind.
        kind: &'static str,
    },
    /// No source could read the file, or several could.
    #[error("{path} is {what}, and which source it is for is not clear: there is {has}; {fix}")]
    Unclear {
        /// The file.
        path: PathBuf,
        /// What is in it.
        what: &'static str,
        /// The sources in question.
        has: String,
        /// What to do.
        fix: &'static str,
    },
}

impl InputFile {
    /// The form, said or told by the name.
    pub(super) fn form(&self) -> Result<Format, ReplayError> {
        self.format
            .or_else(|| Format::of(&self.path))
            .ok_or_else(|| ReplayError::Format(self.path.clone()))
    }

    /// The source that is named for the file, if one is.
    pub(super) fn bound<'s>(
        &self,
        sources: &'s [Source],
    ) -> Result<Option<&'s Source>, ReplayError> {
        let Some(name) = &self.source else { return Ok(None) };
        match sources.iter().find(|source| source.name == *name) {
            Some(source) => Ok(Some(source)),
            None => Err(ReplayError::NoSuchSource {
                path: self.path.clone(),
                name: name.clone(),
                has: list(sources.iter()),
            }),
        }
    }

    /// The source of kind `gnss` that raw GNSS bytes are for: the one that is named for the file, else
    /// the only one, else the one called like the file.
    pub(super) fn receiver<'s>(&self, sources: &'s [Source]) -> Result<&'s Source, ReplayError> {
        const WHAT: &str = "the bytes of a GNSS receiver";
        let is_receiver = |source: &&Source| matches!(source.kind, SourceKind::Gnss(_));
        if let Some(source) = self.bound(sources)? {
            return if is_receiver(&source) {
                Ok(source)
            } else {
                Err(ReplayError::WrongKind {
                    path: self.path.clone(),
                    what: WHAT,
                    name: source.name.clone(),
                    kind: kind(&source.kind),
                })
            };
        }
        let receivers: Vec<&Source> = sources.iter().filter(is_receiver).collect();
        let stem = self.path.file_stem().and_then(OsStr::to_str);
        match receivers.as_slice() {
            [only] => Ok(only),
            several => several
                .iter()
                .copied()
                .find(|source| Some(source.name.as_str()) == stem)
                .ok_or_else(|| self.unclear(WHAT, &receivers, sources)),
        }
    }

    fn unclear(&self, what: &'static str, fit: &[&Source], all: &[Source]) -> ReplayError {
        let (has, fix) = if fit.is_empty() {
            (list(all.iter()), "add a [[source]] of the kind gnss")
        } else {
            (list(fit.iter().copied()), "write --input NAME=FILE")
        };
        ReplayError::Unclear { path: self.path.clone(), what, has, fix }
    }
}

/// The only network server of the configuration, for messages that do not say where they came from.
pub(super) fn only_network_server(sources: &[Source]) -> Option<&SourceName> {
    let mut servers = sources.iter().filter(|source| {
        matches!(source.kind, SourceKind::ChirpStack(_) | SourceKind::ThingsStack(_))
    });
    let first = servers.next()?;
    servers.next().is_none().then_some(&first.name)
}

/// The sources and their kinds, for people.
pub(super) fn list<'s>(sources: impl Iterator<Item = &'s Source>) -> String {
    let each: Vec<String> =
        sources.map(|source| format!("{} ({})", source.name, kind(&source.kind))).collect();
    if each.is_empty() { "no source at all".to_owned() } else { each.join(", ") }
}
