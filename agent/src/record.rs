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
    /// Inputs taken since the last flush: lost when it fails.
    unflushed: u64,
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
            // When it is full already, the next input finds that out and is counted.
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
        Recorder { out, size, size_max, unflushed: 0, missed: 0 }
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
        if self.write_line(&line) {
            self.unflushed += 1;
        } else {
            self.missed += 1;
        }
    }

    /// Passes on to the system what was recorded in this turn.
    pub fn flush(&mut self) {
        match self.out.as_mut().map(Write::flush) {
            Some(Ok(())) => self.unflushed = 0,
            Some(Err(error)) => self.end("cannot be written", Some(&error)),
            None => {}
        }
    }

    /// Inputs that are not in the recording, or perhaps not.
    #[must_use]
    pub const fn missed(&self) -> u64 {
        self.missed
    }

    /// Writes a line, if the recording has not ended and does not end with it.
    fn write_line(&mut self, line: &[u8]) -> bool {
        let Some(out) = self.out.as_mut() else { return false };
        let size = self.size + line.len() as u64;
        if size > self.size_max {
            self.flush();
            self.end("is full", None);
            return false;
        }
        if let Err(error) = out.write_all(line) {
            self.end("cannot be written", Some(&error));
            return false;
        }
        self.size = size;
        true
    }

    fn end(&mut self, why: &str, error: Option<&io::Error>) {
        let Some(out) = self.out.take() else { return };
        // Not flushed again on being dropped: what there was to write is written, or cannot be.
        drop(out.into_parts());
        self.missed += std::mem::take(&mut self.unflushed);
        let (size, error) = (self.size, error.map(tracing::field::display));
        tracing::warn!(why, size, error, "recording has ended");
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

#[cfg(test)]
mod tests {
    use domain::commands::{Action, Command, TicketOrder, TicketStep};
    use domain::ids::{DeviceKey, Requester, TicketId};
    use domain::place::{Datum, Position};
    use domain::sample::{Absent, Fix, Missing, NoData, Quantity, Sample};
    use domain::time::Span;
    use domain::units::{CentiDegrees, Millimetres, MillimetresPerSecond, Millivolts, Permille};
    use proptest::option::of;
    use proptest::prelude::*;

    use super::*;

    fn now(ms: u64) -> Now {
        let utc = Utc::from_ms(1_780_545_600_000) + Span::from_ms(ms);
        let monotonic = Monotonic::from_ms(ms);
        Now { boot: Boot(17), monotonic, utc, clock: ClockQuality::Ntp }
    }

    /// What is in a recording, line by line.
    fn read(text: &[u8]) -> Vec<(Now, Input)> {
        let lines = text.split_inclusive(|&b| b == b'\n');
        lines.map(|line| read_line(line).unwrap()).collect()
    }

    fn read_line(line: &[u8]) -> Result<(Now, Input), BadLine> {
        let entry = Entry::parse(line)?;
        let now = Now {
            boot: entry.boot.unwrap(),
            monotonic: entry.monotonic.unwrap(),
            utc: entry.at.unwrap(),
            clock: entry.clock.unwrap(),
        };
        let Content::Input(input) = entry.content else { panic!("not an input") };
        Ok((now, input))
    }

    fn quantity() -> impl Strategy<Value = Quantity> {
        let fix = (
            -900_000_000..=900_000_000_i32,
            -1_800_000_000..=1_800_000_000_i32,
            of(any::<u8>()),
            of(0..36_000_u16),
        );
        prop_oneof![
            any::<bool>().prop_map(Quantity::Occupied),
            (any::<u64>(), any::<u64>()).prop_map(|(lasted, error)| Quantity::PreviousState {
                lasted: Span::from_ms(lasted),
                error: Span::from_ms(error),
            }),
            (0..10_000_u32).prop_map(|mm| Quantity::Distance(Millimetres(mm))),
            (0..=100_u8).prop_map(|p| Quantity::Level(Permille::from_percent(p.into()))),
            any::<u16>().prop_map(|mv| Quantity::BatteryVoltage(Millivolts(mv))),
            Just(Quantity::Absent(Absent { what: Missing::Fix, why: NoData::NoFix })),
            fix.prop_map(|(lat, lon, satellites, course)| Quantity::Fix(Fix {
                position: Position::from_e7(lat, lon, Datum::Wgs84).unwrap(),
                speed: course.map(|c| MillimetresPerSecond(c.into())),
                course: course.map(CentiDegrees),
                accuracy: None,
                satellites,
            })),
        ]
    }

    fn input() -> impl Strategy<Value = Input> {
        let at = of((-62_135_596_800_000..253_402_207_199_999_i64).prop_map(Utc::from_ms));
        let sample = (
            of("[!-\"$-*,-.0-~]{1,64}"),
            of(any::<u32>()),
            at.clone(),
            proptest::collection::vec(quantity(), 0..5),
        );
        let sample = sample.prop_map(|(device, counter, at, quantities)| Sample {
            source: SourceName::new("line-1").unwrap(),
            device: device.map(|device| DeviceKey::new(&device).unwrap()),
            counter,
            at,
            quantities,
        });
        let command = (".{1,20}", at, of(".{0,40}"));
        let command = command.prop_map(|(id, expires_at, note)| Command {
            id,
            by: Requester::new("duty-1").unwrap(),
            issued_at: None,
            expires_at,
            signed: false,
            action: Action::Ticket(TicketOrder {
                ticket: TicketId::new("t-1").unwrap(),
                step: TicketStep::Ack,
                note,
                crew: None,
                for_s: None,
                until: None,
            }),
        });
        prop_oneof![
            sample.prop_map(Input::Sample),
            command.prop_map(Input::Command),
            Just(Input::Tick)
        ]
    }

    fn moment() -> impl Strategy<Value = Now> {
        let clock = prop_oneof![
            Just(ClockQuality::Unset),
            Just(ClockQuality::Estimated),
            Just(ClockQuality::Ntp),
            Just(ClockQuality::Gnss)
        ];
        (any::<u32>(), any::<u64>(), any::<i64>(), clock).prop_map(|(boot, ms, utc, clock)| Now {
            boot: Boot(boot),
            monotonic: Monotonic::from_ms(ms),
            utc: Utc::from_ms(utc),
            clock,
        })
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back(
            inputs in proptest::collection::vec((moment(), input()), 0..8),
        ) {
            let mut file = Vec::new();
            let mut recorder = Recorder::new(&mut file, 0, SIZE_MAX);
            inputs.iter().for_each(|(now, input)| recorder.record(*now, input));
            recorder.flush();
            prop_assert_eq!(recorder.missed(), 0);
            drop(recorder);
            prop_assert_eq!(read(&file), inputs);
        }

        #[test]
        fn a_line_of_anything_is_an_entry_or_a_reason(line in proptest::collection::vec(any::<u8>(), 0..200)) {
            if let Err(bad) = Entry::parse(&line) {
                prop_assert!(!bad.detail.is_empty());
            }
        }
    }

    #[test]
    fn a_full_recording_keeps_its_beginning_and_counts_the_rest() {
        let mut file = Vec::new();
        let line = {
            let mut one = Vec::new();
            Recorder::new(&mut one, 0, SIZE_MAX).record(now(10), &Input::Tick);
            one.len() as u64
        };
        let mut recorder = Recorder::new(&mut file, 5, 5 + 3 * line);
        (10..20).for_each(|ms| recorder.record(now(ms), &Input::Tick));
        recorder.flush();
        assert_eq!(recorder.missed(), 7);
        drop(recorder);
        let expected: Vec<(Now, Input)> = (10..13).map(|ms| (now(ms), Input::Tick)).collect();
        assert_eq!(read(&file), expected);
    }

    /// A disk with room for a few bytes.
    struct Disk(usize);

    impl Write for Disk {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            if self.0 == 0 {
                return Err(io::ErrorKind::StorageFull.into());
            }
            let n = bytes.len().min(self.0);
            self.0 -= n;
            Ok(n)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_full_disk_ends_the_recording_and_nothing_else() {
        let mut recorder = Recorder::new(Disk(100), 0, SIZE_MAX);
        recorder.record(now(1), &Input::Tick);
        recorder.record(now(2), &Input::Tick);
        recorder.flush();
        recorder.record(now(3), &Input::Tick);
        recorder.flush();
        assert_eq!(recorder.missed(), 3, "those that were in the memory are lost too");
    }

    #[test]
    fn a_recording_goes_on_behind_what_is_there_and_a_torn_line_costs_only_itself() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("run.jsonl");
        for ms in [1, 2] {
            let mut recorder = Recorder::append(&path, SIZE_MAX).unwrap();
            recorder.record(now(ms), &Input::Tick);
            recorder.flush();
        }
        let whole = std::fs::read(&path).unwrap();
        std::fs::write(&path, &whole[..whole.len() - 7]).unwrap();
        let mut recorder = Recorder::append(&path, SIZE_MAX).unwrap();
        recorder.record(now(3), &Input::Tick);
        recorder.flush();
        let text = std::fs::read(&path).unwrap();
        let lines: Vec<_> = text.split_inclusive(|&b| b == b'\n').map(read_line).collect();
        assert_eq!(lines.len(), 3);
        assert_eq!(lines[0], Ok((now(1), Input::Tick)));
        assert!(lines[1].as_ref().is_err_and(|bad| bad.reason == Reason::Json));
        assert_eq!(lines[2], Ok((now(3), Input::Tick)));
        assert!(Recorder::append(dir.path(), SIZE_MAX).is_err());
    }

    #[test]
    fn every_form_of_a_line_is_read() {
        let source = || Some(SourceName::new("s").unwrap());
        let message = |payload: &str| Content::Mqtt {
            topic: "a/b".to_owned(),
            payload: payload.as_bytes().to_vec(),
        };
        let at = r#""at":"2026-06-04T12:00:00+08:00""#;
        let table = [
            (format!(r#"{{{at},"input":"tick"}}"#), None, Content::Input(Input::Tick)),
            (
                format!(r#"{{{at},"source":"s","hex":"00fFa1"}}"#),
                source(),
                Content::Bytes(vec![0, 255, 0xA1]),
            ),
            (format!(r#"{{{at},"source":"s","hex":""}}"#), source(), Content::Bytes(vec![])),
            (
                format!(
                    r#"{{{at},"source":"s","mqtt":{{"topic":"a/b","payload":"{{\"x\":1}}"}}}}"#
                ),
                source(),
                message(r#"{"x":1}"#),
            ),
            (
                format!(r#"{{{at},"source":"s","mqtt":{{"topic":"a/b","payload":{{"x":2.0}}}}}}"#),
                source(),
                message(r#"{"x":2.0}"#),
            ),
            (
                format!(r#"{{{at},"topic":"a/b","payload":"hello","remark":"kept"}}"#),
                None,
                message("hello"),
            ),
        ];
        for (line, source, content) in table {
            let entry = Entry::parse(line.as_bytes()).unwrap();
            assert_eq!((entry.source, entry.content), (source, content), "{line}");
            assert_eq!(entry.at, Some(Utc::parse("2026-06-04T04:00:00Z").unwrap()), "{line}");
            assert_eq!((entry.monotonic, entry.boot, entry.clock), (None, None, None));
        }
        let bare = Entry::parse(br#"{"topic":"a/b","payload":"hello"}"#).unwrap();
        assert_eq!((bare.at, bare.content), (None, message("hello")));
    }

    #[test]
    fn what_is_wrong_with_a_line_is_said() {
        let at = r#""at":"2026-06-04T04:00:00Z""#;
        let table = [
            ("{".to_owned(), Reason::Json, "EOF"),
            ("at last".to_owned(), Reason::Json, "expected"),
            ("\u{fffd}".to_owned(), Reason::Json, "expected"),
            ("[]".to_owned(), Reason::Field, "at line 1"),
            (format!("{{{at}}}"), Reason::Field, "has none of"),
            (format!(r#"{{{at},"input":"tick","hex":"00"}}"#), Reason::Field, "more than one of"),
            (r#"{"input":"tick"}"#.to_owned(), Reason::Field, "has no \"at\""),
            (r#"{"hex":"00","source":"s"}"#.to_owned(), Reason::Field, "has no \"at\""),
            (r#"{"at":"noon","input":"tick"}"#.to_owned(), Reason::Field, "RFC 3339"),
            (format!(r#"{{{at},"input":"tock"}}"#), Reason::Field, "tock"),
            (format!(r#"{{{at},"source":"S","hex":"00"}}"#), Reason::Field, "position 1"),
            (format!(r#"{{{at},"source":"s","hex":"0"}}"#), Reason::Field, "pairs of"),
            (format!(r#"{{{at},"source":"s","hex":"0g"}}"#), Reason::Field, "pairs of"),
            (format!(r#"{{{at},"topic":"a"}}"#), Reason::Field, "belong together"),
            (format!(r#"{{{at},"mqtt":{{"topic":"a"}}}}"#), Reason::Field, "payload"),
            (format!(r#"{{{at},"input":"tick","boot":-1}}"#), Reason::Field, "-1"),
        ];
        for (line, reason, part) in table {
            let bad = Entry::parse(line.as_bytes()).unwrap_err();
            assert_eq!(bad.reason, reason, "{line}");
            assert!(bad.detail.contains(part), "{line}: {bad}");
        }
    }
}
