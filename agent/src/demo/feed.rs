//! Plays the street into the box: every byte at its time, in an order that the seed alone decides.
//!
//! [`Player`] is pure: asked at a time, it gives what is due. [`run`] asks it at the pace of the clock and
//! moves the bytes: into the serial lines, and to whoever publishes for the network server.
//!
//! When the box or the machine cannot keep up, the feed falls behind: what is late is still played in
//! order, and reports carry their true time of measurement. Only positions are left out when they are
//! more than a second (of real time) late, as a receiver does whose line is blocked; they are counted.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::io;
use std::time::Duration;

use domain::time::{Moment, Span, Utc};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use wire::NodeKind;

use super::pty::Pty;
use super::sensors::gnss::{EPOCH, Receiver};
use super::sensors::lns::{Deliveries, Server, Uplink};
use super::sensors::nodes::{Nodes, Tricks};
use super::sensors::{Report, Reports, reports};
use super::street::{BAYS, BINS, SWEEPERS, Sensor};
use super::world::{Spot, World};
use crate::clock::Clock;

/// Uplinks on their way to the publisher. Full: the feed waits, and falls behind.
pub const UPLINKS_MAX: usize = 64;

/// Where the bytes go.
#[derive(Debug)]
pub struct Ports {
    /// The line of the nodes.
    pub line: Pty,
    /// The receivers, in the order of the sweepers.
    pub receivers: Vec<Pty>,
    /// The network server's way to the broker.
    pub uplinks: mpsc::Sender<Uplink>,
}

/// What was played.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize)]
pub struct Played {
    /// By the nodes.
    pub nodes: Tricks,
    /// By the network server.
    pub lns: Deliveries,
    /// Epochs told by the receivers.
    pub epochs: u64,
    /// Epochs left out because the feed had fallen behind.
    pub epochs_skipped: u64,
    /// Sentences damaged on the line.
    pub sentences_damaged: u64,
}

/// Why the feed ended before its time.
#[derive(Debug, thiserror::Error)]
pub enum FeedError {
    /// A serial line broke.
    #[error("the simulated serial line {name} broke: {source}")]
    Line {
        /// Which.
        name: String,
        /// What the system said.
        source: io::Error,
    },
    /// Nobody publishes any more.
    #[error("the simulated network server has lost its way to the broker")]
    Uplinks,
}

/// Something to be done now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Act {
    /// Bytes on the nodes' line.
    Line(Vec<u8>),
    /// Bytes of the receiver with this number.
    Receiver(usize, Vec<u8>),
    /// A message of the network server.
    Publish(Uplink),
}

/// Whose turn it is. The order of the variants decides between turns of the same moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Turn {
    Report(usize),
    Epoch(usize),
}

/// The street as a queue of what is to be played.
#[derive(Debug)]
pub struct Player {
    origin: Utc,
    /// An epoch that is later than this is left out.
    late_max: Span,
    turns: BinaryHeap<Reverse<(Span, Turn)>>,
    sensors: Vec<Speaker>,
    receivers: Vec<Receiver>,
    nodes: Nodes,
    server: Server,
    /// The nodes have not said hello yet.
    fresh: bool,
    epochs_skipped: u64,
}

#[derive(Debug)]
struct Speaker {
    sensor: Sensor,
    reports: Reports,
    next: Report,
}

impl Player {
    /// The street of `world`, begun at `origin`, for a clock that runs `speed` times real time.
    #[must_use]
    pub fn new(world: World, origin: Utc, speed: u32) -> Player {
        let bays = BAYS.iter().enumerate().map(|(i, bay)| (Spot::Bay(i), bay.sensor));
        let bins = BINS.iter().enumerate().map(|(i, bin)| (Spot::Bin(i), bin.sensor));
        let all: Vec<(Spot, Sensor)> = bays.chain(bins).collect();
        let kinds = all.iter().filter_map(|(spot, sensor)| match (spot, sensor) {
            (Spot::Bay(_), Sensor::Node(number)) => Some((*number, NodeKind::Bay)),
            (Spot::Bin(_), Sensor::Node(number)) => Some((*number, NodeKind::Bin)),
            (_, Sensor::LoRa(..)) => None,
        });
        let nodes = Nodes::new(world.seed, kinds, patience(speed));
        let sensors: Vec<Speaker> =
            all.iter().map(|&(spot, sensor)| Speaker::new(&world, spot, sensor)).collect();
        let receivers: Vec<Receiver> = (0..)
            .zip(SWEEPERS)
            .map(|(number, round)| Receiver::new(world.seed, number, round))
            .collect();
        let first = |(i, speaker): (usize, &Speaker)| Reverse((speaker.next.at, Turn::Report(i)));
        let mut turns: BinaryHeap<_> = sensors.iter().enumerate().map(first).collect();
        turns.extend((0..receivers.len()).map(|i| Reverse((EPOCH, Turn::Epoch(i)))));
        Player {
            origin,
            late_max: Span::from_secs(u64::from(speed.max(1))),
            turns,
            sensors,
            receivers,
            nodes,
            server: Server::new(world.seed),
            fresh: true,
            epochs_skipped: 0,
        }
    }

    /// When something is due next, from the start.
    #[must_use]
    pub fn next_at(&self) -> Span {
        if self.fresh {
            return Span::ZERO;
        }
        let turn = self.turns.peek().map(|Reverse((at, _))| *at);
        let repeat = self.nodes.next_repeat();
        turn.into_iter().chain(repeat).min().unwrap_or(Span::ZERO)
    }

    /// Does one thing that is due at `now`; nothing when nothing is.
    pub fn play(&mut self, now: Span) -> Vec<Act> {
        if std::mem::take(&mut self.fresh) {
            return vec![Act::Line(self.nodes.start(now))];
        }
        if self.nodes.next_repeat().is_some_and(|at| at <= now) {
            return vec![Act::Line(self.nodes.repeat(now))];
        }
        match self.turns.peek() {
            Some(&Reverse((at, turn))) if at <= now => {
                self.turns.pop();
                match turn {
                    Turn::Report(i) => self.report(i, now),
                    Turn::Epoch(i) => self.epoch(i, at, now),
                }
            }
            _ => Vec::new(),
        }
    }

    fn report(&mut self, i: usize, now: Span) -> Vec<Act> {
        let speaker = &mut self.sensors[i];
        let report = speaker.next;
        speaker.next = speaker.reports.next().expect("reports do not end");
        self.turns.push(Reverse((speaker.next.at, Turn::Report(i))));
        match speaker.sensor {
            Sensor::Node(number) => vec![Act::Line(self.nodes.report(number, &report, now))],
            Sensor::LoRa(eui, codec) => {
                let uplinks = self.server.up(eui, codec, &report, self.origin);
                uplinks.into_iter().map(Act::Publish).collect()
            }
        }
    }

    fn epoch(&mut self, i: usize, mut at: Span, now: Span) -> Vec<Act> {
        while at.saturating_add(self.late_max) < now {
            at = at.saturating_add(EPOCH);
            self.epochs_skipped += 1;
        }
        self.turns.push(Reverse((at.saturating_add(EPOCH), Turn::Epoch(i))));
        vec![Act::Receiver(i, self.receivers[i].epoch(at, self.origin))]
    }

    /// The agent said something on the nodes' line; gives what the nodes say upon it.
    pub fn hear(&mut self, bytes: &[u8], now: Span) -> Vec<u8> {
        self.nodes.hear(bytes, now)
    }

    /// What was played so far.
    #[must_use]
    pub fn played(&self) -> Played {
        Played {
            nodes: self.nodes.tricks(),
            lns: self.server.deliveries(),
            epochs: self.receivers.iter().map(Receiver::epochs).sum(),
            epochs_skipped: self.epochs_skipped,
            sentences_damaged: self.receivers.iter().map(Receiver::damaged).sum(),
        }
    }
}

impl Speaker {
    fn new(world: &World, spot: Spot, sensor: Sensor) -> Speaker {
        let mut reports = reports(world, spot);
        let next = reports.next().expect("reports do not end");
        Speaker { sensor, reports, next }
    }
}

/// How long a node waits for an acknowledgement: two seconds, or four tenths of a real one where the
/// clock runs fast. The line does not run faster with the clock.
fn patience(speed: u32) -> Span {
    Span::from_ms(u64::from(speed).saturating_mul(400).max(2_000))
}

/// Plays the street into `ports` from `origin` on, a moment of `clock`, until `stop`. Gives the lines back:
/// as long as they are held, nobody at their other end finds them hung up.
///
/// # Errors
/// A line broke, or nobody publishes the uplinks.
pub async fn run(
    world: World,
    mut ports: Ports,
    clock: Clock,
    origin: Moment,
    speed: u32,
    stop: CancellationToken,
) -> Result<(Played, Vec<Pty>), FeedError> {
    let mut player = Player::new(world, origin.utc, speed);
    let now = || clock.now().monotonic.since(origin.monotonic);
    let mut heard = [0; 1024];
    loop {
        let wait: Duration = clock.until(origin.monotonic + player.next_at());
        tokio::select! {
            // What the box says goes first: it is little, and only answers to what was played.
            biased;
            () = stop.cancelled() => {
                let Ports { line, mut receivers, uplinks: _ } = ports;
                receivers.push(line);
                return Ok((player.played(), receivers));
            }
            got = ports.line.read(&mut heard) => {
                let count = got.map_err(|source| broken(&ports.line, source))?;
                let answer = player.hear(&heard[..count], now());
                write(&ports.line, &answer, &stop).await?;
            }
            () = pause(wait) => {
                for act in player.play(now()) {
                    perform(act, &mut ports, &stop).await?;
                }
            }
        }
    }
}

/// Waits; not at all for no time, for which a timer would still take its next tick.
async fn pause(wait: Duration) {
    if !wait.is_zero() {
        tokio::time::sleep(wait).await;
    }
}

async fn perform(act: Act, ports: &mut Ports, stop: &CancellationToken) -> Result<(), FeedError> {
    match act {
        Act::Line(bytes) => write(&ports.line, &bytes, stop).await,
        Act::Receiver(i, bytes) => match ports.receivers.get(i) {
            Some(receiver) => write(receiver, &bytes, stop).await,
            None => Ok(()),
        },
        Act::Publish(uplink) => tokio::select! {
            sent = ports.uplinks.send(uplink) => sent.map_err(|_| FeedError::Uplinks),
            () = stop.cancelled() => Ok(()),
        },
    }
}

/// Writes, and waits while the box does not read, but not beyond `stop`.
async fn write(line: &Pty, bytes: &[u8], stop: &CancellationToken) -> Result<(), FeedError> {
    tokio::select! {
        written = line.write_all(bytes) => written.map_err(|source| broken(line, source)),
        () = stop.cancelled() => Ok(()),
    }
}

fn broken(line: &Pty, source: io::Error) -> FeedError {
    FeedError::Line { name: line.slave().display().to_string(), source }
}

#[cfg(test)]
mod tests {
    use domain::time::Boot;
    use proptest::prelude::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use wire::{Ack, Body, Deframer, Down, Frame, Header, Heard, Up};

    use super::*;

    const ORIGIN: Utc = Utc::from_ms(1_780_000_000_000);

    /// What an agent answers to bytes of the line: an acknowledgement for each report.
    fn acknowledge(ears: &mut Deframer, bytes: &[u8]) -> Vec<u8> {
        let mut acks = Vec::new();
        for &byte in bytes {
            let Some(Heard::Frame(frame)) = ears.push(byte) else { continue };
            let Body::Up(Up::Report(_)) = frame.body else { continue };
            let header = Header { node: frame.header.node, counter: 0, uptime_s: 0 };
            let ack = Ack { counter: frame.header.counter };
            let mut out = [0; wire::FRAME_MAX];
            let down = Frame { header, body: Body::Down(Down::Ack(ack)) };
            acks.extend_from_slice(down.encode(&mut out).unwrap());
        }
        acks
    }

    /// Plays until `until`, with an agent that acknowledges at once.
    fn play(player: &mut Player, until: Span) -> Vec<(Span, Act)> {
        let mut ears = Deframer::new();
        let mut all = Vec::new();
        while player.next_at() <= until {
            let now = player.next_at();
            for act in player.play(now) {
                let mut said = vec![act];
                while let Some(act) = said.pop() {
                    if let Act::Line(bytes) = &act {
                        let acks = acknowledge(&mut ears, bytes);
                        let more = player.hear(&acks, now);
                        said.extend((!more.is_empty()).then_some(Act::Line(more)));
                    }
                    all.push((now, act));
                }
            }
        }
        all
    }

    #[test]
    fn the_same_seed_plays_the_same_bytes() {
        let bytes = |seed| {
            let mut player = Player::new(World::new(seed), ORIGIN, 1);
            (play(&mut player, Span::from_mins(20)), player.played())
        };
        assert_eq!(bytes(4), bytes(4));
        assert_ne!(bytes(4), bytes(5));
    }

    #[test]
    fn an_hour_has_every_kind_of_traffic_and_of_dirt() {
        let mut player = Player::new(World::new(1), ORIGIN, 1);
        let acts = play(&mut player, Span::from_mins(60));
        assert!(acts.windows(2).all(|pair| pair[0].0 <= pair[1].0), "in the order of time");
        let played = player.played();
        assert_eq!((played.epochs, played.epochs_skipped), (7200, 0));
        assert!(played.nodes.reports > 200 && played.lns.reports > 150, "{played:?}");
        assert!(played.nodes.damaged > 0 && played.lns.repeated > 0, "{played:?}");
        assert!(played.sentences_damaged > 0, "{played:?}");
        assert_eq!(played.nodes.acknowledged, played.nodes.reports);
    }

    #[test]
    fn positions_that_are_too_late_are_left_out_and_counted() {
        let mut player = Player::new(World::new(1), ORIGIN, 60);
        let late = Span::from_mins(10);
        let mut epochs = 0;
        while player.next_at() <= late {
            let acts = player.play(late);
            epochs += acts.iter().filter(|act| matches!(act, Act::Receiver(..))).count();
        }
        let skipped = player.played().epochs_skipped;
        assert_eq!(skipped, 2 * (600 - 61), "all but the last minute");
        assert_eq!(epochs, 2 * 61);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]
        #[test]
        fn it_never_stands_still(seed: u64) {
            let mut player = Player::new(World::new(seed), ORIGIN, 1);
            let mut before = Span::ZERO;
            for _ in 0..2000 {
                let at = player.next_at();
                prop_assert!(at >= before);
                player.play(at);
                before = at;
            }
            prop_assert!(before > Span::from_mins(1), "{}", before);
        }
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn twenty_minutes_are_played_into_real_terminals_in_two_seconds() {
        let (line, receivers) =
            (Pty::open().unwrap(), vec![Pty::open().unwrap(), Pty::open().unwrap()]);
        let open = |pty: &Pty| {
            let slave = pty.slave().to_owned();
            async move {
                tokio::fs::OpenOptions::new().read(true).write(true).open(slave).await.unwrap()
            }
        };
        let agent_line = open(&line).await;
        let mut ends = vec![open(&receivers[0]).await, open(&receivers[1]).await];
        let (uplinks, mut published) = mpsc::channel(UPLINKS_MAX);
        let clock = Clock::scaled(Boot(1), ORIGIN, 600);
        let stop = CancellationToken::new();
        let ports = Ports { line, receivers, uplinks };
        let origin = clock.now();
        let feed = tokio::spawn(run(World::new(1), ports, clock, origin, 600, stop.clone()));

        let agent = tokio::spawn(async move {
            let (mut read, mut write) = tokio::io::split(agent_line);
            let (mut ears, mut piece) = (Deframer::new(), [0; 512]);
            while let Ok(count @ 1..) = read.read(&mut piece).await {
                let acks = acknowledge(&mut ears, &piece[..count]);
                write.write_all(&acks).await.unwrap();
                write.flush().await.unwrap();
            }
        });
        for mut end in ends.drain(..) {
            tokio::spawn(async move {
                let mut piece = [0; 4096];
                while let Ok(1..) = end.read(&mut piece).await {}
            });
        }
        let mut count = 0;
        let uplinks = async {
            while published.recv().await.is_some() {
                count += 1;
            }
        };
        let _still_open = tokio::time::timeout(Duration::from_secs(2), uplinks).await;
        stop.cancel();
        let (played, _lines) = feed.await.unwrap().unwrap();
        agent.abort();
        assert!(played.lns.reports > 50 && count > 50, "{played:?}");
        assert!(played.nodes.acknowledged * 100 > played.nodes.reports * 90, "{played:?}");
        assert!(played.epochs > 1600, "{played:?}");
    }
}
