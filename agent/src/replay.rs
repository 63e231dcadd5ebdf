//! `steward replay`: recordings through the same decisions, offline.
//!
//! Reads no clock and sends nothing: what would be published is printed, one JSON line per message, with
//! the numbers that an outbox of its own would have given. The same inputs give the same bytes.

mod fees;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use domain::Engine;
use domain::decode::{Reason, Tally};
use domain::input::Input;
use domain::output::{Body, Lane, Message, Outputs, Record, Topic};
use domain::time::{Boot, Now, Utc};
use serde::Serialize;
use serde_json::{Map, Value};

use self::fees::Fees;
use crate::config::Config;
use crate::mqtt::payload::{Stamp, message_id, render};
use crate::mqtt::topics::{self, Prefix};
use crate::sources::replay::{BadFormat, Event, Format, InputFile, Replay, ReplayError};

/// What is to be replayed.
#[derive(Debug, Clone, Default)]
pub struct Request {
    /// Files, each `FILE` or `NAME=FILE`.
    pub inputs: Vec<OsString>,
    /// Their form, where their names do not tell it.
    pub format: Option<String>,
    /// Goes on until then, RFC 3339.
    pub until: Option<String>,
    /// Where the summary is written.
    pub summary: Option<PathBuf>,
    /// Where it is written how each fee came about.
    pub fees: Option<PathBuf>,
}

/// Why a replay failed.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// `--format` names no form.
    #[error("--format: {0}")]
    Format(#[from] BadFormat),
    /// `--until` is no time.
    #[error("--until: {0}")]
    Until(#[from] domain::time::BadTime),
    /// A path that is no text cannot be told from a name.
    #[error("--input {0:?} is not UTF-8")]
    Input(OsString),
    /// An input file.
    #[error(transparent)]
    Replay(#[from] ReplayError),
    /// The messages cannot be printed.
    #[error("cannot print: {0}")]
    Print(#[source] io::Error),
    /// A file beside the messages cannot be written.
    #[error("cannot write {path}: {source}")]
    Write {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
}

impl Failure {
    /// Whether the command line was wrong, rather than the world.
    #[must_use]
    pub const fn is_wrong_use(&self) -> bool {
        matches!(self, Failure::Format(_) | Failure::Until(_) | Failure::Input(_))
    }
}

/// Counts and last states of a replay, as one JSON object.
#[derive(Debug, Default, Serialize)]
pub struct Summary {
    /// By source.
    pub sources: BTreeMap<String, Tally>,
    /// Refused and of no source: lines that cannot be read, commands.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub rejected: BTreeMap<Reason, u64>,
    /// Messages by lane.
    pub messages: BTreeMap<Lane, u64>,
    /// By category.
    pub tickets: BTreeMap<String, Tickets>,
    /// The last state of each asset, by its id (by `class/id` where two classes share one).
    pub assets: BTreeMap<String, Map<String, Value>>,
}

/// What became of the tickets of a category.
#[derive(Debug, Default, Clone, Serialize)]
pub struct Tickets {
    /// New ones.
    pub raised: u64,
    /// How often a sensor saw the problem gone.
    pub cleared: u64,
    /// How often one came back.
    pub reopened: u64,
    /// At the end: neither cleared by the sensor nor ended by a person.
    pub open: u64,
}

/// Replays `request` through a box configured as `config`, and prints to `out`.
///
/// # Errors
/// An input cannot be read, or an output cannot be written. Lines that cannot be read are counted, told
/// in the log, and are not the end.
pub fn replay(config: &Config, request: &Request, out: &mut impl Write) -> Result<(), Failure> {
    run(config, request, out).map(drop)
}

/// What the engine has stored after a replay, in the order of the keys.
///
/// # Errors
/// As [`replay`].
pub fn records(config: &Config, request: &Request) -> Result<Vec<Record>, Failure> {
    let records = run(config, request, &mut io::sink())?;
    Ok(records.into_iter().map(|(key, value)| Record { key, value: Some(value) }).collect())
}

fn run(
    config: &Config,
    request: &Request,
    out: &mut impl Write,
) -> Result<BTreeMap<String, Vec<u8>>, Failure> {
    let format = request.format.as_deref().map(str::parse::<Format>).transpose()?;
    let until = request.until.as_deref().map(Utc::parse).transpose()?;
    let inputs = request.inputs.iter().map(|text| input(text, format));
    let inputs = inputs.collect::<Result<Vec<InputFile>, Failure>>()?;
    let mut replay = Replay::open(&config.sources, &inputs)?;
    let mut offline = Offline::new(config);
    let unwritten = |path: &Path| {
        let path = path.to_owned();
        |source| Failure::Write { path, source }
    };
    if let Some(path) = &request.fees {
        offline.fees = Some(Fees::create(path).map_err(unwritten(path))?);
    }
    for event in &mut replay {
        match event? {
            Event::Input { now, input, recorded: _ } => offline.step(input, now, out)?,
            Event::Rejected(rejected) => {
                tracing::warn!(reason = rejected.reason.as_str(), detail = %rejected.detail, "rejected");
            }
        }
    }
    if let (Some(until), Some(last)) = (until, offline.last)
        && until > last.utc
    {
        offline.step(Input::Tick, last.at(until), out)?;
    }
    if let Some(path) = &request.summary {
        let summary = offline.summary(&replay);
        let mut text = serde_json::to_vec_pretty(&summary).expect("a summary is plain data");
        text.push(b'\n');
        fs::write(path, text).map_err(unwritten(path))?;
    }
    if let Some(fees) = &mut offline.fees {
        let finished = fees.finish();
        finished.map_err(unwritten(fees.path()))?;
    }
    Ok(offline.records)
}

fn input(text: &OsString, format: Option<Format>) -> Result<InputFile, Failure> {
    let text = text.to_str().ok_or_else(|| Failure::Input(text.clone()))?;
    let mut input: InputFile = text.parse().unwrap_or_else(|never| match never {});
    input.format = format.or(input.format);
    Ok(input)
}

/// A box without a world around it.
struct Offline<'c> {
    config: &'c Config,
    prefix: Prefix,
    engine: Option<Engine>,
    records: BTreeMap<String, Vec<u8>>,
    numbers: BTreeMap<Lane, u64>,
    messages: BTreeMap<Lane, u64>,
    tickets: BTreeMap<String, Tickets>,
    /// Tickets that are open, with their category.
    open: BTreeMap<String, String>,
    rejected: BTreeMap<Option<String>, BTreeMap<Reason, u64>>,
    last: Option<Now>,
    fees: Option<Fees>,
}

impl<'c> Offline<'c> {
    fn new(config: &'c Config) -> Offline<'c> {
        Offline {
            config,
            prefix: Prefix::new(&config.site.identity),
            engine: None,
            records: BTreeMap::new(),
            numbers: BTreeMap::new(),
            messages: Lane::ALL.into_iter().map(|lane| (lane, 0)).collect(),
            tickets: BTreeMap::new(),
            open: BTreeMap::new(),
            rejected: BTreeMap::new(),
            last: None,
            fees: None,
        }
    }

    /// Steps the engine; a first input, or one of a later boot, starts it from its records.
    fn step(&mut self, input: Input, now: Now, out: &mut impl Write) -> Result<(), Failure> {
        let restarted = self.last.is_none_or(|last| last.boot != now.boot);
        self.last = Some(now);
        if restarted {
            let record = |(key, value): (&String, &Vec<u8>)| Record {
                key: key.clone(),
                value: Some(value.clone()),
            };
            let stored = self.records.iter().map(record).collect();
            self.engine = Some(Engine::new(self.config.site.clone(), stored, now));
            if input != Input::Start {
                self.decide(Input::Start, now, out)?;
            }
        }
        self.decide(input, now, out)
    }

    fn decide(&mut self, input: Input, now: Now, out: &mut impl Write) -> Result<(), Failure> {
        let engine = self.engine.as_mut().expect("step makes one before anything is decided");
        let Outputs { records, messages, rejected, requests: _, orders: _ } =
            engine.step(input, now);
        for record in records {
            match record.value {
                Some(value) => self.records.insert(record.key, value),
                None => self.records.remove(&record.key),
            };
        }
        for one in rejected {
            let source = one.source.map(String::from);
            *self.rejected.entry(source).or_default().entry(one.reason).or_default() += 1;
        }
        for message in &messages {
            self.count(message);
            if let Some(fees) = &mut self.fees {
                let noted = fees.note(message, &self.config.site.calendar);
                noted.map_err(|source| Failure::Write { path: fees.path().to_owned(), source })?;
            }
            self.print(message, now.boot, out).map_err(Failure::Print)?;
        }
        Ok(())
    }

    fn print(&mut self, message: &Message, boot: Boot, out: &mut impl Write) -> io::Result<()> {
        let number = self.numbers.entry(message.lane).or_default();
        // An empty payload has no room for a number, so it does not use one up.
        *number += u64::from(message.body != Body::Empty);
        let id = message_id(self.config.site.identity.id.as_str(), message.lane, *number);
        let stamp = Stamp { prefix: &self.prefix, id: &id, boot, seq: *number };
        let payload = render(message, &stamp);
        let topic = self.prefix.join(&topics::path(&message.topic));
        let (lane, retain) = (message.lane.as_str(), message.topic.retained());
        write!(out, r#"{{"lane":"{lane}","topic":"{topic}","retain":{retain},"payload":"#)?;
        out.write_all(if payload.is_empty() { b"null" } else { &payload })?;
        out.write_all(b"}\n")
    }

    fn count(&mut self, message: &Message) {
        *self.messages.entry(message.lane).or_default() += 1;
        let (Topic::TicketEvent(id), Body::Event { kind, data }) = (&message.topic, &message.body)
        else {
            return;
        };
        let category = data.get("category").and_then(Value::as_str).unwrap_or_default();
        let tickets = self.tickets.entry(category.to_owned()).or_default();
        match *kind {
            "ticket.raised" => tickets.raised += 1,
            "ticket.cleared" => tickets.cleared += 1,
            "ticket.reopened" => tickets.reopened += 1,
            _ => {}
        }
        match *kind {
            "ticket.raised" | "ticket.reopened" => {
                self.open.insert(id.to_string(), category.to_owned());
            }
            "ticket.cleared" | "ticket.closed" | "ticket.rejected" | "ticket.expired" => {
                self.open.remove(id.as_str());
            }
            _ => {}
        }
    }

    fn summary(&self, replay: &Replay) -> Summary {
        let mut summary = Summary {
            messages: self.messages.clone(),
            tickets: self.tickets.clone(),
            rejected: replay.unattributed().clone(),
            ..Summary::default()
        };
        for (name, tally) in replay.tallies() {
            summary.sources.insert(name.to_string(), tally);
        }
        for (source, reasons) in &self.rejected {
            let into = match source {
                Some(name) => &mut summary.sources.entry(name.clone()).or_default().rejected,
                None => &mut summary.rejected,
            };
            for (reason, count) in reasons {
                *into.entry(*reason).or_default() += count;
            }
        }
        for category in self.open.values() {
            if let Some(tickets) = summary.tickets.get_mut(category) {
                tickets.open += 1;
            }
        }
        if let Some(engine) = &self.engine {
            summary.assets = assets(engine);
        }
        summary
    }
}

fn assets(engine: &Engine) -> BTreeMap<String, Map<String, Value>> {
    let mut times = BTreeMap::new();
    for (key, _) in engine.states() {
        *times.entry(key.id.to_string()).or_insert(0) += 1;
    }
    let named = engine.states().map(|(key, mut state)| {
        state.insert("class".to_owned(), Value::String(key.class.to_string()));
        let alone = times[key.id.as_str()] == 1;
        (if alone { key.id.to_string() } else { key.to_string() }, state)
    });
    named.collect()
}
