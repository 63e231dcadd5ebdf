//! The box: the real decoders, the real core and the real outbox on disk, without the tasks between them.
//!
//! It does in order what the tasks do: what has arrived is decoded and decided, stored as one turn, and only
//! then acknowledged. A kill leaves what stands on the disk at that moment: a copy of the store's directory.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use domain::Engine;
use domain::commands::Command;
use domain::decode::gnss::Gnss;
use domain::decode::lorawan::Codec;
use domain::decode::lorawan::chirpstack::ChirpStack;
use domain::decode::node_link::NodeLink;
use domain::decode::{Decode, Raw};
use domain::ids::{DeviceKey, SourceName};
use domain::input::Input;
use domain::output::Outputs;
use domain::sample::Sample;
use domain::time::{ClockQuality, Now};
use steward::config::Buffer;
use steward::demo::street::{LINE_SOURCE, LNS_SOURCE};
use steward::outbox::{Outbox, Turn};

use super::clock::Clock;
use super::judges::replay::Life;
use super::site;
use super::street::Arrival;
use super::truth::{Sensor, Truth, sweeper_id};
use super::weather::Weather;

/// What the box owes for a turn, once it is stored.
#[derive(Debug, Default)]
pub(super) struct Owed {
    /// To nodes: their number, and the bytes for the line.
    pub(super) line: Vec<(u32, Vec<u8>)>,
    /// To the broker of the network server.
    pub(super) lns: Vec<u64>,
    /// To people: how many of their commands.
    pub(super) commands: usize,
}

/// A running box.
pub(super) struct Gateway {
    pub(super) outbox: Outbox,
    pub(super) clock: Clock,
    pub(super) dir: PathBuf,
    /// What it was told in this life, and what it said.
    pub(super) life: Life,
    engine: Engine,
    line: NodeLink,
    lns: ChirpStack,
    receivers: Vec<Gnss>,
    turn: Turn,
    owed: Owed,
    /// Samples that the core refused, and frames that the decoders did.
    pub(super) rejected: u64,
}

impl Gateway {
    /// Starts on what stands in `dir`, at `at`.
    ///
    /// # Panics
    /// The store cannot be opened, or was damaged: neither is in the weather.
    pub(super) fn start(truth: &Truth, weather: &Weather, dir: PathBuf, at: u64) -> Gateway {
        let config = site::config(truth, at);
        let site = config.site.clone();
        // A commit brings what is settled anyway: without a timer, a copy is never half of something.
        let commit_every = Duration::from_secs(3600);
        let buffer = Buffer { dir: dir.clone(), commit_every, ..config.buffer };
        let opened = Outbox::open(&buffer, &site.identity).expect("the store can be opened");
        assert_eq!(opened.quarantined, None, "nothing damages the store");
        assert!(opened.damaged.is_empty(), "records are damaged: {:?}", opened.damaged);
        let clock = Clock { boot: opened.boot, started: at };
        let now = clock.now(weather, at);
        let recording = dir.with_extension(format!("{}.jsonl", opened.boot.0));
        let life = Life::new(site.clone(), opened.records.clone(), now, recording);
        let source = |name: &str| SourceName::new(name).expect("the sources have good names");
        let mut gateway = Gateway {
            outbox: opened.outbox,
            clock,
            dir,
            life,
            engine: Engine::new(site, opened.records, now),
            line: NodeLink::new(source(LINE_SOURCE)),
            lns: ChirpStack::new(source(LNS_SOURCE), codecs(truth)),
            receivers: (0..truth.sweepers.len())
                .map(|i| Gnss::new(source(&sweeper_id(i))))
                .collect(),
            turn: Turn::default(),
            owed: Owed::default(),
            rejected: 0,
        };
        gateway.decide(Input::Start, now);
        gateway
    }

    /// Takes what arrives at `now`.
    pub(super) fn arrive(&mut self, arrival: &Arrival, now: Now) {
        let mut samples = Vec::new();
        match arrival {
            Arrival::Line(bytes) => {
                self.line.feed(Raw::Bytes(bytes), now.utc, &mut samples);
                self.line.take_news();
                let owed = samples.iter().filter_map(acknowledgement);
                self.owed.line.extend(owed);
            }
            Arrival::Lns(number, uplink) => {
                let raw = Raw::Mqtt { topic: &uplink.topic, payload: uplink.payload.as_bytes() };
                self.lns.feed(raw, now.utc, &mut samples);
                self.owed.lns.push(*number);
            }
            Arrival::Gnss(i, bytes) => {
                self.receivers[*i].feed(Raw::Bytes(bytes), now.utc, &mut samples);
            }
        }
        for sample in samples {
            self.decide(Input::Sample(sample), now);
        }
    }

    /// Somebody wants something.
    ///
    /// # Panics
    /// It cannot be read: the city's people know the form.
    pub(super) fn command(&mut self, name: &str, payload: &[u8], now: Now) {
        let command = Command::parse(name, payload).expect("the command is well formed");
        self.owed.commands += 1;
        self.decide(Input::Command(command), now);
    }

    /// Time passed.
    pub(super) fn tick(&mut self, now: Now) {
        if self.engine.next_deadline().is_some_and(|due| due <= now.monotonic) {
            self.decide(Input::Tick, now);
        }
    }

    fn decide(&mut self, input: Input, now: Now) {
        self.life.record(&input, now);
        let outputs = self.engine.step(input, now);
        self.life.said(&outputs);
        let Outputs { records, messages, rejected, requests: _, orders: _ } = outputs;
        self.rejected += u64::try_from(rejected.len()).unwrap_or(u64::MAX);
        self.turn.records.extend(records);
        self.turn.messages.extend(messages);
    }

    /// Stores the turn; gives what is owed for it now.
    ///
    /// # Panics
    /// It cannot be stored.
    pub(super) async fn commit(&mut self, now: Now) -> Owed {
        let owed = std::mem::take(&mut self.owed);
        let mut turn = std::mem::take(&mut self.turn);
        turn.durable = !owed.line.is_empty() || !owed.lns.is_empty() || owed.commands > 0;
        turn.now = (now.clock >= ClockQuality::Ntp).then_some(now.utc);
        if !turn.records.is_empty() || !turn.messages.is_empty() {
            self.outbox.commit(turn).await.expect("the store takes the turn");
        }
        owed
    }

    /// Tickets on which work may be due.
    pub(super) fn open_tickets(&self) -> usize {
        self.engine.open_tickets()
    }

    /// Stops in order: everything is stored.
    ///
    /// # Panics
    /// It is not.
    pub(super) async fn stop(self) -> (PathBuf, Life) {
        self.outbox.close().await.expect("the store is closed");
        (self.dir, self.life)
    }

    /// Kills the box: what stands on the disk now is copied to `to`, and nobody hears of the rest.
    ///
    /// # Panics
    /// The copy cannot be made.
    pub(super) async fn kill(self, to: &Path) -> Life {
        copy_at_rest(&self.dir, to).expect("a quiet moment to copy the store");
        // The thread is left to end by itself on the old directory, which nobody looks at again.
        let ended = self.outbox.close().await;
        drop(ended);
        fs::remove_dir_all(&self.dir).expect("the old directory can be removed");
        self.life
    }
}

fn acknowledgement(sample: &Sample) -> Option<(u32, Vec<u8>)> {
    let (device, counter) = (sample.device.as_ref()?, sample.counter?);
    let frame = domain::decode::node_link::Keys::default().ack_frame(device, counter)?;
    Some((device.as_str().parse().ok()?, frame))
}

fn codecs(truth: &Truth) -> BTreeMap<DeviceKey, Option<Codec>> {
    let device = |eui: u64| DeviceKey::new(&format!("{eui:016x}")).expect("a DevEUI is a name");
    let lora = |sensor, codec| match sensor {
        Sensor::LoRa(eui) => Some((device(eui), Some(codec))),
        Sensor::Node(_) => None,
    };
    let bays = truth.bays.iter().filter_map(|bay| lora(bay.sensor, Codec::BoschTps110));
    let bins = truth.bins.iter().filter_map(|bin| lora(bin.sensor, Codec::MilesightEm400));
    bays.chain(bins).collect()
}

/// So often it is tried to copy the store while nothing is written.
const COPIES_MAX: usize = 100;

/// Copies a directory such that nothing was written meanwhile: what a kill would have left.
fn copy_at_rest(from: &Path, to: &Path) -> io::Result<()> {
    for _ in 0..COPIES_MAX {
        if to.exists() {
            fs::remove_dir_all(to)?;
        }
        let before = listing(from)?;
        match copy(from, to) {
            // A file went away under our hands: something was written.
            Err(gone) if gone.kind() == io::ErrorKind::NotFound => continue,
            done => done?,
        }
        if listing(from)? == before {
            return Ok(());
        }
    }
    Err(io::Error::other("something was written all the time"))
}

type Listing = BTreeMap<PathBuf, (u64, std::time::SystemTime)>;

fn listing(of: &Path) -> io::Result<Listing> {
    let mut all = Listing::new();
    for entry in fs::read_dir(of)? {
        let path = entry?.path();
        let known = match fs::metadata(&path) {
            Err(gone) if gone.kind() == io::ErrorKind::NotFound => continue,
            known => known?,
        };
        if known.is_dir() {
            all.extend(listing(&path)?);
        } else {
            all.insert(path, (known.len(), known.modified()?));
        }
    }
    Ok(all)
}

fn copy(from: &Path, to: &Path) -> io::Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let path = entry?.path();
        let name = path.file_name().expect("an entry has a name");
        if path.is_dir() {
            copy(&path, &to.join(name))?;
        } else {
            fs::copy(&path, to.join(name))?;
        }
    }
    Ok(())
}
