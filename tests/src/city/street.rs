//! The ways from the sensors to the box, as bytes, and what is kept on them until the box has answered.
//!
//! * The serial line of the nodes: they send again until they are acknowledged.
//! * The broker of the network server, with a session that is kept: what was not acknowledged is delivered
//!   again, now and then something comes twice, late or in another order.
//! * The receivers of the sweepers, who talk whether anybody listens or not.
//!
//! Here is known what was acknowledged to a sensor: it may forget that, so the box must not.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use domain::decode::lorawan::Codec;
use domain::time::{Span, Utc};
use steward::demo::chance::Chance;
use steward::demo::sensors::Measured;
use steward::demo::sensors::gnss::Receiver;
use steward::demo::sensors::lns::{Server, Uplink};
use steward::demo::sensors::nodes::Nodes;
use wire::NodeKind;

use super::sensors::{Told, Who, told};
use super::truth::{HOUR, MINUTE, SECOND, Sensor, Sweeper, Truth};

/// Midnight at the beginning: Monday.
pub(super) const ORIGIN: Utc = Utc::from_ms(1_780_243_200_000); // 2026-06-01T00:00:00+08:00

/// One report in so many that the network does not confirm is lost in the air.
const LOST_ONCE_IN: u64 = 30;
/// One uplink in so many is late.
const LATE_ONCE_IN: u64 = 25;

/// Something that arrives at the box.
#[derive(Debug, Clone)]
pub(super) enum Arrival {
    /// Bytes on the serial line.
    Line(Vec<u8>),
    /// A message of the network server, and its number.
    Lns(u64, Uplink),
    /// What a receiver says.
    Gnss(usize, Vec<u8>),
}

/// A message that the broker of the network server holds.
#[derive(Debug, Clone)]
struct Held {
    number: u64,
    due: u64,
    told: Told,
    uplink: Uplink,
    sent: bool,
}

/// All of them.
#[derive(Debug)]
pub(super) struct Ways {
    told: VecDeque<Told>,
    nodes: Nodes,
    /// Bytes that the nodes have sent upon what they heard.
    line: Vec<u8>,
    server: Server,
    held: Vec<Held>,
    numbers: u64,
    receivers: Vec<(Sweeper, Receiver, u64)>,
    chance: Chance,
    /// By asset, whether its latest report was lost: never two in a row.
    lost: BTreeSet<Who>,
    /// What the air took.
    pub(super) lost_count: u64,
    /// What was acknowledged of LoRaWAN devices.
    pub(super) acknowledged: Vec<Told>,
    /// What the nodes have to say, oldest first: acknowledged in that order.
    unsent: BTreeMap<u32, VecDeque<Told>>,
    /// What the sweepers said until now is told up to here.
    heard_until: u64,
}

impl Ways {
    pub(super) fn new(truth: &Truth) -> Ways {
        let node = |sensor, kind| match sensor {
            Sensor::Node(number) => Some((number, kind)),
            Sensor::LoRa(_) => None,
        };
        let bays = truth.bays.iter().filter_map(|bay| node(bay.sensor, NodeKind::Bay));
        let bins = truth.bins.iter().filter_map(|bin| node(bin.sensor, NodeKind::Bin));
        let patience = Span::from_secs(45);
        let receiver = |(i, sweeper): (usize, &Sweeper)| {
            let number = u64::try_from(i).expect("a district is small");
            (sweeper.clone(), Receiver::new(truth.seed, number, sweeper.round), 0)
        };
        Ways {
            told: told(truth).into(),
            nodes: Nodes::new(truth.seed, bays.chain(bins), patience),
            line: Vec::new(),
            server: Server::new(truth.seed),
            held: Vec::new(),
            numbers: 0,
            receivers: truth.sweepers.iter().enumerate().map(receiver).collect(),
            chance: Chance::new(truth.seed, "the air", 0),
            lost: BTreeSet::new(),
            lost_count: 0,
            acknowledged: Vec::new(),
            unsent: BTreeMap::new(),
            heard_until: 0,
        }
    }

    /// Everything that is sent from the last call to before `until`, in the order of time; a box that does
    /// not listen hears what is not kept by anybody never.
    pub(super) fn pass(&mut self, truth: &Truth, until: u64, listens: bool) -> Vec<(u64, Arrival)> {
        let mut arrivals = Vec::new();
        if !self.line.is_empty() {
            arrivals.push((self.heard_until, Arrival::Line(std::mem::take(&mut self.line))));
        }
        while let Some(&told) = self.told.front().filter(|told| told.at() < until) {
            self.told.pop_front();
            match sensor_of(truth, told.who) {
                Sensor::Node(number) => {
                    let bytes = self.report(number, told);
                    arrivals.push((told.at(), Arrival::Line(bytes)));
                }
                Sensor::LoRa(eui) => self.up(eui, told),
            }
        }
        let now = until - 1;
        let again = self.nodes.repeat(Span::from_ms(now));
        arrivals.push((now, Arrival::Line(again)));
        self.sweep(until, &mut arrivals);
        self.heard_until = until;
        if !listens {
            return Vec::new();
        }
        arrivals.retain(|(_, arrival)| !matches!(arrival, Arrival::Line(b) | Arrival::Gnss(_, b) if b.is_empty()));
        arrivals.sort_by_key(|(at, _)| *at);
        arrivals
    }

    /// What the broker of the network server has for the box at `now`: everything it has not been told yet.
    pub(super) fn uplinks(&mut self, now: u64) -> Vec<Arrival> {
        let mut due: Vec<&mut Held> =
            self.held.iter_mut().filter(|held| !held.sent && held.due <= now).collect();
        due.sort_by_key(|held| held.due);
        let give = |held: &mut Held| {
            held.sent = true;
            Arrival::Lns(held.number, held.uplink.clone())
        };
        due.into_iter().map(give).collect()
    }

    /// The session with that broker begins anew: what was not acknowledged comes again.
    pub(super) fn session_lost(&mut self) {
        self.held.iter_mut().for_each(|held| held.sent = false);
    }

    /// The box acknowledges messages of the network server.
    pub(super) fn lns_acknowledged(&mut self, numbers: &[u64]) {
        for number in numbers {
            let Some(at) = self.held.iter().position(|held| held.number == *number) else {
                continue;
            };
            self.acknowledged.push(self.held.swap_remove(at).told);
        }
    }

    /// The box says something on the serial line.
    pub(super) fn line_acknowledged(&mut self, acks: &[(u32, Vec<u8>)], now: u64) {
        for (number, bytes) in acks {
            let before = self.nodes.tricks().acknowledged;
            let answer = self.nodes.hear(bytes, Span::from_ms(now));
            if self.nodes.tricks().acknowledged > before {
                let unsent = self.unsent.get_mut(number).and_then(VecDeque::pop_front);
                self.acknowledged.extend(unsent);
            }
            self.line.extend(answer);
        }
    }

    /// Reports that a node dropped because its memory was full, while nobody answered it.
    pub(super) fn dropped(&self) -> u64 {
        self.nodes.tricks().dropped
    }

    fn report(&mut self, number: u32, told: Told) -> Vec<u8> {
        let dropped = self.dropped();
        let bytes = self.nodes.report(number, &told.report, told.report.at);
        let unsent = self.unsent.entry(number).or_default();
        if self.nodes.tricks().dropped > dropped {
            unsent.pop_front();
        }
        unsent.push_back(told);
        bytes
    }

    fn up(&mut self, eui: u64, told: Told) {
        let codec = match told.report.measured {
            Measured::Bay { .. } => Codec::BoschTps110,
            Measured::Bin { .. } => Codec::MilesightEm400,
        };
        let uplinks = self.server.up(eui, codec, &told.report, ORIGIN);
        let may_lose = !told.confirmed && !self.lost.contains(&told.who);
        if may_lose && self.chance.once_in(LOST_ONCE_IN) {
            self.lost.insert(told.who);
            self.lost_count += 1;
            return;
        }
        self.lost.remove(&told.who);
        let late = self.chance.once_in(LATE_ONCE_IN);
        let late = if late { self.chance.between(SECOND, 4 * MINUTE) } else { SECOND };
        for (copy, uplink) in (0..).zip(uplinks) {
            self.numbers += 1;
            let due = told.at() + late + copy * 7 * SECOND;
            self.held.push(Held { number: self.numbers, due, told, uplink, sent: false });
        }
    }

    /// What the receivers say up to `until`: every second while they drive, every minute in the depot.
    fn sweep(&mut self, until: u64, arrivals: &mut Vec<(u64, Arrival)>) {
        for (i, (sweeper, receiver, next)) in self.receivers.iter_mut().enumerate() {
            while *next < until {
                let at = *next;
                let (day, of_day) = (at / (24 * HOUR), at % (24 * HOUR));
                let broken = sweeper.broken.contains(&day);
                let out = sweeper.leaves..sweeper.leaves + sweeper.drives + MINUTE;
                let drives = !broken && out.contains(&of_day);
                *next += if drives { SECOND } else { MINUTE.min(until_leaving(of_day, out.start)) };
                if sweeper.silent.is_some_and(|silent| silent.covers(at)) {
                    continue;
                }
                // In the depot its round stands still: any time of rest will do.
                let rests = 12 * HOUR + of_day % (8 * HOUR);
                let round = if drives { of_day - sweeper.leaves } else { rests };
                let round = Span::from_ms(round);
                let bytes = receiver.epoch(round, (ORIGIN + Span::from_ms(at)) - round);
                arrivals.push((at, Arrival::Gnss(i, bytes)));
            }
        }
    }
}

/// How long until the sweeper leaves, at `of_day`; a minute when that is later, or over.
fn until_leaving(of_day: u64, leaves: u64) -> u64 {
    if of_day < leaves { leaves - of_day } else { MINUTE }
}

fn sensor_of(truth: &Truth, who: Who) -> Sensor {
    match who {
        Who::Bay(i) => truth.bays[i].sensor,
        Who::Bin(i) => truth.bins[i].sensor,
    }
}
