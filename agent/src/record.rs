//! Recordings: what came into the box, one JSON object a line, for `steward replay`.
//!
//! `steward run --record FILE` writes every input with its [`Now`]; the same lines, and lines that hold
//! raw bytes or MQTT messages for a source, are read back here. Which source a line is for, and when its
//! turn comes, is decided in [`crate::sources::replay`].
//!
//! ```text
//! {"at":"2026-06-04T04:00:03.120Z","monotonic_ms":61250,"boot":17,"clock":"ntp","input":{…}}
//! {"at":"2026-06-04T04:00:03.120Z","source":"line-1","hex":"0403e903…"}
//! {"at":"2026-06-04T04:00:03.120Z","source":"lns","mqtt":{"topic":"application/…","payload":"{…}"}}
//! {"topic":"application/…","payload":"{…}"}
//! ```

use std::fs::{File, OpenOptions};
use std::io::{self, BufWriter, Read, Seek, SeekFrom, Write};
use std::path::Path;

use domain::decode::Reason;
use domain::ids::SourceName;
use domain::input::Input;
use domain::time::{Boot, ClockQuality, Monotonic, Now, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The size at which a recording ends, in bytes, unless told otherwise: about a week of a busy street.
pub const SIZE_MAX: u64 = 1 << 30;

/// Writes a recording.
///
/// A recording has an end: when it is full, or cannot be written, nothing more is written and every
/// further input is counted ([`Recorder::missed`]). The beginning is kept and not the end, because a
/// replay must start where the engine started. The box goes on in any case.
#[derive(Debug)]
pub struct Recorder<W: Write = File> {
    /// `None` once it has ended.
    out: Option<BufWriter<W>>,
    size: u64,
    size_max: u64,
    missed: u64,
}

impl Recorder {
    /// Records into `path`, behind what is there already: a start after a crash must not destroy the
    /// recording of the crash. `size_max` bounds the whole file, in bytes.
    ///
    /// # Errors
    /// The file cannot be opened for writing.
    pub fn append(path: &Path, size_max: u64) -> io::Result<Recorder> {
        let mut file = OpenOptions::new().read(true).append(true).create(true).open(path)?;
        let size = file.seek(SeekFrom::End(0))?;
        let torn = ends_torn(&mut file, size)?;
        let mut recorder = Recorder::new(file, size, size_max);
        if torn {
            // A power cut has left half a line: it is ended, so that only that one is lost.
            recorder.write_line(b"\n");
        }
        Ok(recorder)
    }
}

fn ends_torn(file: &mut File, size: u64) -> io::Result<bool> {
    if size == 0 {
        return Ok(false);
    }
    let mut last = [0];
    file.seek(SeekFrom::Start(size - 1))?;
    file.read_exact(&mut last)?;
    Ok(last != *b"\n")
}

impl<W: Write> Recorder<W> {
    /// Records into `out`, which already holds `size` of the `size_max` bytes it may hold.
    pub fn new(out: W, size: u64, size_max: u64) -> Recorder<W> {
        let out = Some(BufWriter::new(out));
        Recorder { out, size, size_max, missed: 0 }
    }

    /// Writes one input. It is safe in the file after the next [`Recorder::flush`].
    pub fn record(&mut self, now: Now, input: &Input) {
        let line = Written {
            at: now.utc,
            monotonic_ms: now.monotonic,
            boot: now.boot,
            clock: now.clock,
            input,
        };
        let mut line = serde_json::to_vec(&line).expect("an input is plain data with text keys");
        line.push(b'\n');
        self.write_line(&line);
    }

    /// Passes on to the system what was recorded in this turn.
    pub fn flush(&mut self) {
        if let Some(Err(error)) = self.out.as_mut().map(Write::flush) {
            self.end("cannot be written", Some(&error));
        }
    }

    /// Inputs that are not in the recording.
    #[must_use]
    pub const fn missed(&self) -> u64 {
        self.missed
    }

    fn write_line(&mut self, line: &[u8]) {
        let Some(out) = self.out.as_mut() else {
            self.missed += 1;
            return;
        };
        let size = self.size + line.len() as u64;
        if size > self.size_max {
            self.missed += 1;
            self.flush();
            return self.end("is full", None);
        }
        match out.write_all(line) {
            Ok(()) => self.size = size,
            Err(error) => {
                self.missed += 1;
                self.end("cannot be written", Some(&error));
            }
        }
    }

    fn end(&mut self, why: &str, error: Option<&io::Error>) {
        let size = self.size;
        let error = error.map(tracing::field::display);
        tracing::warn!(why, size, error, "recording has ended");
        if let Some(out) = self.out.take() {
            // Not flushed again on being dropped: that is what has just failed.
            drop(out.into_parts());
        }
    }
}

#[derive(Serialize)]
struct Written<'a> {
    at: Utc,
    monotonic_ms: Monotonic,
    boot: Boot,
    clock: ClockQuality,
    input: &'a Input,
}

/// One line, read and checked.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Entry {
    /// When it came in; only a bare MQTT message may go without.
    pub(crate) at: Option<Utc>,
    /// The rest of its [`Now`], as far as it is given.
    pub(crate) monotonic: Option<Monotonic>,
    /// The boot it belongs to.
    pub(crate) boot: Option<Boot>,
    /// Trust in `at`.
    pub(crate) clock: Option<ClockQuality>,
    /// The source that raw content is for.
    pub(crate) source: Option<SourceName>,
    /// What came in.
    pub(crate) content: Content,
}

/// What came in.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Content {
    /// An input of the engine, decoded already.
    Input(Input),
    /// Bytes of a stream, cut anywhere.
    Bytes(Vec<u8>),
    /// A whole message.
    Mqtt { topic: String, payload: Vec<u8> },
}

/// Why a line cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{detail}")]
pub(crate) struct BadLine {
    pub(crate) reason: Reason,
    pub(crate) detail: String,
}

impl BadLine {
    pub(crate) fn field(detail: impl Into<String>) -> BadLine {
        BadLine { reason: Reason::Field, detail: detail.into() }
    }
}

/// A line as it stands. Fields that nobody knows are left alone: people write remarks into recordings.
#[derive(Deserialize)]
struct Raw {
    at: Option<Utc>,
    monotonic_ms: Option<Monotonic>,
    boot: Option<Boot>,
    clock: Option<ClockQuality>,
    input: Option<Input>,
    source: Option<SourceName>,
    hex: Option<String>,
    mqtt: Option<Mqtt>,
    topic: Option<String>,
    payload: Option<Value>,
}

#[derive(Deserialize)]
struct Mqtt {
    topic: String,
    payload: Value,
}

impl Entry {
    /// Reads one line.
    ///
    /// # Errors
    /// It is not JSON, or not one of the forms at the top of this file.
    pub(crate) fn parse(line: &[u8]) -> Result<Entry, BadLine> {
        let read: Raw = serde_json::from_slice(line).map_err(|e| BadLine {
            reason: if e.is_data() { Reason::Field } else { Reason::Json },
            detail: e.to_string(),
        })?;
        let Raw { at, monotonic_ms: monotonic, boot, clock, .. } = read;
        let source = read.source.clone();
        let content = content(read)?;
        if at.is_none() && !matches!(content, Content::Mqtt { .. }) {
            return Err(BadLine::field("has no \"at\", the time when it came in (RFC 3339)"));
        }
        Ok(Entry { at, monotonic, boot, clock, source, content })
    }
}

fn content(read: Raw) -> Result<Content, BadLine> {
    let bare = match (read.topic, read.payload) {
        (Some(topic), Some(payload)) => Some(Mqtt { topic, payload }),
        (None, None) => None,
        _ => return Err(BadLine::field("\"topic\" and \"payload\" belong together")),
    };
    match (read.input, read.hex, read.mqtt.or(bare)) {
        (Some(input), None, None) => Ok(Content::Input(input)),
        (None, Some(hex), None) => Ok(Content::Bytes(unhex(&hex)?)),
        (None, None, Some(Mqtt { topic, payload })) => {
            Ok(Content::Mqtt { topic, payload: text(payload) })
        }
        (None, None, None) => Err(BadLine::field("has none of \"input\", \"hex\" and \"mqtt\"")),
        _ => Err(BadLine::field("has more than one of \"input\", \"hex\" and \"mqtt\"")),
    }
}

/// A payload given as text is the payload; one given as JSON is written out.
fn text(payload: Value) -> Vec<u8> {
    match payload {
        Value::String(text) => text.into_bytes(),
        other => other.to_string().into_bytes(),
    }
}

fn unhex(text: &str) -> Result<Vec<u8>, BadLine> {
    let digits: Option<Vec<u8>> =
        text.chars().map(|c| c.to_digit(16).and_then(|d| u8::try_from(d).ok())).collect();
    match digits {
        Some(digits) if digits.len() % 2 == 0 => {
            Ok(digits.chunks_exact(2).map(|pair| pair[0] << 4 | pair[1]).collect())
        }
        _ => Err(BadLine::field("\"hex\" must be pairs of hexadecimal digits and nothing else")),
    }
}
