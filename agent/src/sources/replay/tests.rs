use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use domain::decode::node_link::Keys;
use domain::time::ClockQuality;
use proptest::prelude::*;
use wire::{Battery, Body, FRAME_MAX, Frame, Header, Measured, Report, Up};

use super::*;
use crate::config::{NodeLine, SourceKind};
use crate::record::Recorder;
use crate::sources::broker::tests::{settings, topic, uplink};
use crate::sources::tests::{fix, serial};

fn source(name: &str, kind: SourceKind) -> Source {
    Source { name: SourceName::new(name).unwrap(), kind }
}

fn nmea(name: &str) -> Source {
    source(name, SourceKind::Gnss(serial(Path::new("/dev/null"))))
}

/// A receiver, a line of nodes and a network server.
fn street() -> Vec<Source> {
    vec![
        nmea("gnss"),
        source(
            "line-1",
            SourceKind::NodeLink(NodeLine {
                serial: serial(Path::new("/dev/null")),
                keys: Keys::default(),
                settings: None,
            }),
        ),
        source("lns", SourceKind::ChirpStack(settings(1))),
    ]
}

/// Files to replay, in a directory that goes with them.
struct Files(tempfile::TempDir);

impl Files {
    fn new() -> Files {
        Files(tempfile::tempdir().unwrap())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn with(self, name: &str, text: impl AsRef<[u8]>) -> Files {
        std::fs::write(self.path(name), text).unwrap();
        self
    }

    /// The inputs of the command line; before `=` stands a source.
    fn inputs(&self, names: &[&str]) -> Vec<InputFile> {
        let input = |name: &&str| match name.split_once('=') {
            None => self.path(name).to_str().unwrap().to_owned(),
            Some((source, name)) => format!("{source}={}", self.path(name).display()),
        };
        names.iter().map(input).map(|text: String| text.parse().unwrap()).collect()
    }

    fn open(&self, sources: &[Source], names: &[&str]) -> Result<Replay, ReplayError> {
        Replay::open(sources, &self.inputs(names))
    }

    /// Everything of a replay, and what was counted.
    fn play(&self, names: &[&str]) -> (Vec<Event>, Replay) {
        let mut replay = self.open(&street(), names).unwrap();
        let events = replay.by_ref().map(Result::unwrap).collect();
        (events, replay)
    }
}

fn name(source: &str) -> SourceName {
    SourceName::new(source).unwrap()
}

/// A line of the report `counter` of a node, which came in so many seconds after four.
fn report(second: u32, counter: u32) -> String {
    let measured = Measured::Battery(Battery { millivolts: 3000 });
    let header = Header { node: 21, counter, uptime_s: 1 };
    let body = Body::Up(Up::Report(Report { age_s: 0, measured }));
    let mut room = [0; FRAME_MAX];
    let hex = Frame { header, body }.encode(&mut room).unwrap().iter().fold(
        String::new(),
        |mut hex, byte| {
            write!(hex, "{byte:02x}").unwrap();
            hex
        },
    );
    format!(r#"{{"at":"2026-06-04T04:00:{second:02}Z","source":"line-1","hex":"{hex}"}}"#) + "\n"
}

/// `source counter second-after-four monotonic` of each input, `!reason` of what was refused.
fn summary(events: &[Event]) -> Vec<String> {
    let four = Utc::parse("2026-06-04T04:00:00Z").unwrap();
    let one = |event: &Event| match event {
        Event::Input { now, input: Input::Sample(sample), .. } => {
            let counter = sample.counter.map_or("-".to_owned(), |counter| counter.to_string());
            let late = now.utc.as_ms() - four.as_ms();
            format!("{} {counter} {late} {}", sample.source, now.monotonic.as_ms())
        }
        Event::Input { now, input, .. } => format!("{input:?} {}", now.monotonic.as_ms()),
        Event::Rejected(rejected) => format!("!{}", rejected.reason.as_str()),
    };
    events.iter().map(one).collect()
}

#[test]
fn a_drive_is_dated_by_its_sentences() {
    let drive = fix("040001", "040626") + &fix("040003", "040626") + &fix("040002", "040626");
    let files = Files::new().with("drive.nmea", &drive);
    let (events, replay) = files.play(&["drive.nmea"]);
    assert_eq!(summary(&events), ["gnss - 1000 1", "gnss - 3000 2001", "gnss - 3000 2001"]);
    let Event::Input { now, input: Input::Sample(last), recorded: false } = &events[2] else {
        panic!("not a decoded sample")
    };
    assert_eq!(last.at.unwrap().to_string(), "2026-06-04T04:00:02.000Z", "it keeps its own time");
    assert_eq!(now.clock, ClockQuality::Gnss);
    let tally = &replay.tallies()[&name("gnss")];
    assert_eq!((tally.bytes, tally.frames, tally.samples), (drive.len() as u64, 6, 3));
    assert_eq!(replay.tallies().len(), 3, "sources without input are listed too");
}

#[test]
fn a_log_that_never_tells_the_day_is_not_dated() {
    let undated = fix("040001", "") + &fix("040002", "");
    let (events, _) = Files::new().with("cold.log", undated).play(&["cold.log"]);
    let now = |event: &Event| match event {
        Event::Input { now, input: Input::Sample(sample), .. } if sample.at.is_none() => *now,
        other => panic!("{other:?}"),
    };
    assert_eq!(events.len(), 2);
    for event in &events {
        let now = now(event);
        assert_eq!((now.utc, now.clock), (Utc::from_ms(0), ClockQuality::Unset));
    }
}

#[test]
fn an_old_drive_is_believed() {
    let (events, _) = Files::new().with("a.nmea", fix("040000", "110410")).play(&["a.nmea"]);
    let Event::Input { now, .. } = &events[0] else { panic!("refused") };
    assert_eq!(now.utc.to_string(), "2010-04-11T04:00:00.000Z");
}

#[test]
fn files_are_merged_by_time_and_equal_times_by_their_order() {
    let files = Files::new()
        .with("drive.nmea", fix("040000", "040626") + &fix("040005", "040626"))
        .with("a.jsonl", report(0, 1) + &report(4, 2) + &report(5, 3))
        .with("b.jsonl", report(5, 4) + &report(2, 5));
    let (events, replay) = files.play(&["drive.nmea", "a.jsonl", "b.jsonl"]);
    let expected = [
        "gnss - 0 1",
        "line-1 1 0 1",
        "line-1 2 4000 4001",
        "gnss - 5000 5001",
        "line-1 3 5000 5001",
        "line-1 4 5000 5001",
        "line-1 5 5000 5001",
    ];
    assert_eq!(summary(&events), expected);
    assert_eq!(replay.tallies()[&name("line-1")].samples, 5);
    let (other, _) = files.play(&["b.jsonl", "a.jsonl", "drive.nmea"]);
    assert_eq!(
        summary(&other)[4..],
        ["line-1 5 5000 5001", "line-1 3 5000 5001", "gnss - 5000 5001"]
    );
}

#[test]
fn the_same_files_give_the_same_inputs() {
    let files = Files::new()
        .with("drive.nmea", fix("040000", "040626") + "$GPRMC,noise\r\n" + &fix("040005", "040626"))
        .with("a.jsonl", report(0, 1) + "{\n" + &report(4, 2));
    let names = ["a.jsonl", "drive.nmea"];
    let ((first, a), (second, b)) = (files.play(&names), files.play(&names));
    assert_eq!(first, second);
    assert_eq!((a.tallies(), a.unattributed()), (b.tallies(), b.unattributed()));
}

#[test]
fn bytes_of_a_stream_may_be_cut_over_lines() {
    let whole = report(1, 7);
    let hex = whole.split('"').nth(11).unwrap();
    let line = |second: u32, hex: &str| {
        format!(r#"{{"at":"2026-06-04T04:00:0{second}Z","source":"line-1","hex":"{hex}"}}"#) + "\n"
    };
    let files = Files::new().with("a.jsonl", line(1, &hex[..20]) + &line(3, &hex[20..]));
    let (events, _) = files.play(&["a.jsonl"]);
    assert_eq!(summary(&events), ["line-1 7 3000 2001"]);
}

#[test]
fn what_a_decoder_holds_back_comes_at_the_end() {
    let rmc = fix("040000", "040626").lines().next().unwrap().to_owned() + "\r\n";
    let hex: String = rmc.bytes().map(|byte| format!("{byte:02x}")).collect();
    let line = format!(r#"{{"at":"2026-06-04T04:00:09Z","source":"gnss","hex":"{hex}"}}"#);
    let (events, _) = Files::new().with("a.jsonl", line).play(&["a.jsonl"]);
    assert_eq!(summary(&events), ["gnss - 9000 1"]);
}

#[test]
fn messages_come_with_and_without_a_time() {
    let text = serde_json::Value::String(uplink(1)).to_string();
    let topic = topic();
    let timed = |source: &str| {
        format!(
            r#"{{"at":"2026-06-04T04:00:07Z"{source},"mqtt":{{"topic":"{topic}","payload":{text}}}}}"#
        )
    };
    let table = [
        // Pretty-printed in a file of its own: dated by the sample, 3.12 s after four.
        ("one.json", format!("{{\n \"topic\": \"{topic}\",\n \"payload\": {text}\n}}\n"), 3120),
        ("one.jsonl", format!(r#"{{"topic":"{topic}","payload":{}}}"#, uplink(1)), 3120),
        ("one.jsonl", timed(r#","source":"lns""#), 7000),
        ("one.jsonl", timed(""), 7000),
    ];
    for (file, content, late) in table {
        let (events, replay) = Files::new().with(file, &content).play(&[file]);
        assert_eq!(summary(&events), [format!("lns 1 {late} 1")], "{content}");
        let Event::Input { now, .. } = &events[0] else { panic!("refused") };
        assert_eq!(now.clock, ClockQuality::Ntp);
        assert_eq!(replay.tallies()[&name("lns")].frames, 1);
    }
}

#[test]
fn a_repeat_over_two_files_is_known() {
    let message =
        |counter| serde_json::json!({ "topic": topic(), "payload": uplink(counter) }).to_string();
    let files = Files::new().with("a.json", message(1)).with("b.json", message(1));
    let (events, replay) = files.play(&["a.json", "b.json"]);
    assert_eq!(summary(&events), ["lns 1 3120 1"]);
    assert_eq!(replay.tallies()[&name("lns")].rejected, [(Reason::Duplicate, 1)].into());
}

#[test]
fn a_recording_comes_back_as_it_was() {
    let moment = |boot, monotonic, utc: &str| Now {
        boot: domain::time::Boot(boot),
        monotonic: domain::time::Monotonic::from_ms(monotonic),
        utc: Utc::parse(utc).unwrap(),
        clock: ClockQuality::Estimated,
    };
    // The wall clock is set back in between; then the box restarts.
    let nows = [
        moment(17, 61_250, "2026-06-04T04:00:00.120Z"),
        moment(17, 61_250, "2026-06-04T03:00:00Z"),
        moment(17, 70_000, "2026-06-04T03:00:09Z"),
        moment(18, 900, "2026-06-04T03:01:00Z"),
    ];
    let sample = Input::Sample(Sample {
        source: name("gnss"),
        device: None,
        counter: Some(4),
        at: Some(nows[0].utc),
        quantities: vec![],
    });
    let files = Files::new();
    let mut recorder = Recorder::append(&files.path("run.jsonl"), u64::MAX).unwrap();
    for now in nows {
        recorder.record(now, &sample);
        recorder.record(now, &Input::Tick);
    }
    recorder.flush();
    let (events, replay) = files.play(&["run.jsonl"]);
    let expected: Vec<Event> = nows
        .into_iter()
        .flat_map(|now| {
            [sample.clone(), Input::Tick].map(|input| Event::Input { now, input, recorded: true })
        })
        .collect();
    assert_eq!(events, expected);
    let tally = &replay.tallies()[&name("gnss")];
    assert_eq!(
        (tally.samples, tally.first_at, tally.last_at),
        (4, Some(nows[0].utc), Some(nows[0].utc))
    );
}

#[test]
fn a_bad_line_is_told_with_its_place_and_is_not_the_end() {
    let stranger = report(2, 2).replace("line-1", "line-9");
    let nowhere = report(2, 2).replace(r#","source":"line-1""#, "");
    let long = format!(r#"{{"at":"{}"}}"#, "9".repeat(3 << 20));
    let text = report(1, 1) + "\n  \r\n{\n" + &stranger + &nowhere + &long + "\n" + &report(3, 3);
    let files = Files::new().with("a.jsonl", text);
    let (events, replay) = files.play(&["a.jsonl"]);
    assert_eq!(
        summary(&events),
        ["line-1 1 1000 1", "!json", "!field", "!field", "!too_long", "line-1 3 3000 2001"]
    );
    let told: Vec<&str> = events
        .iter()
        .filter_map(|event| match event {
            Event::Rejected(rejected) => Some(rejected.detail.as_str()),
            Event::Input { .. } => None,
        })
        .collect();
    let parts = [
        (4, "EOF"),
        (5, "no source line-9: it has gnss (gnss), line-1 (node-link), lns (chirpstack)"),
        (6, "--input NAME=FILE"),
        (7, "longer than"),
    ];
    for (detail, (number, part)) in told.iter().zip(parts) {
        let place = format!("{}:{number}: ", files.path("a.jsonl").display());
        assert!(detail.starts_with(&place) && detail.contains(part), "{detail}");
    }
    let expected = [(Reason::Json, 1), (Reason::Field, 2), (Reason::TooLong, 1)];
    assert_eq!(*replay.unattributed(), expected.into());

    // Bound to a source: lines that do not say are for it, and what is bad is counted there.
    let (events, replay) = files.play(&["line-1=a.jsonl"]);
    assert_eq!(summary(&events).iter().filter(|line| line.starts_with("line-1")).count(), 3);
    let expected = [(Reason::Json, 1), (Reason::Field, 1), (Reason::TooLong, 1)];
    assert_eq!(replay.tallies()[&name("line-1")].rejected, expected.into());
    assert!(replay.unattributed().is_empty());
}

#[test]
fn a_bad_or_huge_json_file_is_one_bad_line() {
    for (text, reason) in [
        ("{".to_owned(), Reason::Json),
        (format!("{{\"topic\":\"{}\"", "x".repeat(2 << 20)), Reason::TooLong),
    ] {
        let files = Files::new().with("a.json", text);
        let (events, _) = files.play(&["a.json"]);
        let [Event::Rejected(rejected)] = events.as_slice() else { panic!("{}", events.len()) };
        assert_eq!(rejected.reason, reason);
        let place = format!("{}: ", files.path("a.json").display());
        assert!(rejected.detail.starts_with(&place), "{}", rejected.detail);
    }
    let (events, _) = Files::new().with("empty.json", "").play(&["empty.json"]);
    assert_eq!(events, []);
}

#[test]
fn the_source_of_a_drive_is_found_or_asked_for() {
    let two = [nmea("front"), nmea("rear")];
    let none = [street().remove(1)];
    let files = Files::new().with("rear.nmea", fix("040000", "040626")).with("x.nmea", "");
    let fed = |sources: &[Source], input| {
        let mut replay = files.open(sources, &[input]).unwrap();
        match replay.next() {
            Some(Ok(Event::Input { input: Input::Sample(sample), .. })) => sample.source,
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(fed(&street(), "rear.nmea"), name("gnss"), "the only one");
    assert_eq!(fed(&two, "rear.nmea"), name("rear"), "called like the file");
    assert_eq!(fed(&two, "front=rear.nmea"), name("front"), "said");
    let table: [(&[Source], &str, &[&str]); 4] = [
        (&two, "x.nmea", &["x.nmea", "front (gnss), rear (gnss)", "--input NAME=FILE"]),
        (&none, "x.nmea", &["x.nmea", "line-1 (node-link)", "add a [[source]] of the kind gnss"]),
        (&two, "side=x.nmea", &["x.nmea", "side", "front (gnss), rear (gnss)"]),
        (&none, "line-1=x.nmea", &["x.nmea", "line-1", "node-link"]),
    ];
    for (sources, input, parts) in table {
        let Err(error) = files.open(sources, &[input]) else { panic!("{input} was opened") };
        let text = error.to_string();
        for part in parts {
            assert!(text.contains(part), "{part:?} is not in {text:?}");
        }
    }
}

#[test]
fn what_cannot_be_opened_is_named() {
    let files = Files::new().with("notes.txt", "");
    for (input, part) in [
        ("none.nmea", "cannot open"),
        ("", "is a directory"),
        ("notes.txt", "does not tell its form"),
    ] {
        let Err(error) = files.open(&street(), &[input]) else { panic!("{input} was opened") };
        let text = error.to_string();
        assert!(
            text.contains(part) && text.contains(files.path(input).to_str().unwrap()),
            "{text}"
        );
    }
    let forced =
        InputFile { format: Some(Format::Jsonl), ..files.inputs(&["notes.txt"]).remove(0) };
    assert_eq!(Replay::open(&street(), &[forced]).unwrap().count(), 0);
}

#[test]
fn the_command_line_is_read() {
    let read = |text: &str| text.parse::<InputFile>().unwrap();
    let file = |path: &str, source: Option<&str>| InputFile {
        path: PathBuf::from(path),
        source: source.map(name),
        format: None,
    };
    for (text, expected) in [
        ("a.nmea", file("a.nmea", None)),
        ("gnss=a.nmea", file("a.nmea", Some("gnss"))),
        ("gnss=a=b.nmea", file("a=b.nmea", Some("gnss"))),
        ("./a=b.nmea", file("./a=b.nmea", None)),
        ("A=b.nmea", file("A=b.nmea", None)),
    ] {
        assert_eq!(read(text), expected);
    }
    for (word, format) in [("nmea", Format::Nmea), ("jsonl", Format::Jsonl), ("json", Format::Json)]
    {
        assert_eq!(word.parse(), Ok(format));
        assert_eq!(Format::of(Path::new(&format!("a.{word}"))), Some(format));
    }
    assert_eq!(Format::of(Path::new("drive.LOG")), Some(Format::Nmea));
    assert!("csv".parse::<Format>().unwrap_err().to_string().contains("nmea, jsonl and json"));
}

proptest! {
    #[test]
    fn any_bytes_in_any_form_are_replayed_without_going_back_in_time(
        bytes in proptest::collection::vec(any::<u8>(), 0..300),
        order in proptest::collection::vec((0..60_u32, 0..5_u8), 0..20),
    ) {
        let lines: String = order
            .iter()
            .map(|(second, kind)| match kind {
                0 => "{\n".to_owned(),
                1 => format!("{{\"at\":\"2026-06-04T04:00:{second:02}Z\",\"monotonic_ms\":{},\"input\":\"tick\"}}\n", second * 7),
                _ => report(*second, *second),
            })
            .collect();
        let files = Files::new()
            .with("a.nmea", &bytes)
            .with("b.jsonl", [lines.as_bytes(), &bytes].concat())
            .with("c.json", &bytes);
        let names = ["a.nmea", "b.jsonl", "c.json"];
        let (events, _) = files.play(&names);
        prop_assert_eq!(&events, &files.play(&names).0);
        let times: Vec<u64> = events
            .iter()
            .filter_map(|event| match event {
                Event::Input { now, .. } => Some(now.monotonic.as_ms()),
                Event::Rejected(_) => None,
            })
            .collect();
        prop_assert!(times.is_sorted(), "{:?}", times);
    }
}
