//! A bad line between a node and the agent: it loses, damages, delays, reorders and repeats, both ways.
//! Every report must arrive exactly once by its counter, with its content and its time, and nothing else.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};

use drivers::{Field, Range};
use node::{Action, Event, Identity, Kind, Node, Reading, Sense};
use wire::*;

const NUMBER: u32 = 21;
const SECOND: u64 = 1000;
const MINUTE: u64 = 60 * SECOND;

/// Numbers by chance, the same for the same seed (xorshift).
struct Chance(u64);

impl Chance {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % bound
    }
}

/// How bad a line is, in percent.
#[derive(Clone, Copy)]
struct Weather {
    lost: u64,
    damaged: u64,
    repeated: u64,
    delay_max_ms: u64,
}

const FINE: Weather = Weather { lost: 0, damaged: 0, repeated: 0, delay_max_ms: 1 };
const BAD: Weather = Weather { lost: 35, damaged: 15, repeated: 20, delay_max_ms: 5_000 };
const CUT: Weather = Weather { lost: 100, ..FINE };

/// What travels: when it arrives, and which way.
type Travelling = Reverse<(u64, u64, bool, Vec<u8>)>;

/// A report as the agent got it: when it was measured by the agent's reckoning, and what.
type Got = (u64, Measured);

struct Street {
    node: Node,
    now: u64,
    chance: Chance,
    weather: Weather,
    line: BinaryHeap<Travelling>,
    sent: u64,
    up: Deframer,
    down: Deframer,
    /// When the agent got the latest byte that is not a delimiter.
    byte_at: u64,
    got: BTreeMap<u32, Got>,
    repeats: u32,
    field: Field,
    range: u16,
}

impl Street {
    fn new(kind: Kind, seed: u64) -> Street {
        let firmware = Firmware { major: 0, minor: 1, patch: 0 };
        let identity = Identity::new(NUMBER, kind, firmware).expect("not the number of all");
        Street {
            node: Node::new(identity, None, 0),
            now: 0,
            chance: Chance(seed),
            weather: FINE,
            line: BinaryHeap::new(),
            sent: 0,
            up: Deframer::new(),
            down: Deframer::new(),
            byte_at: 0,
            got: BTreeMap::new(),
            repeats: 0,
            field: Field { x: 30_000, y: 0, z: 35_000 },
            range: 1500,
        }
    }

    fn event(&mut self, event: Event) {
        for action in self.node.step(event, self.now) {
            match action {
                Action::Measure(sense) => {
                    let reading = match sense {
                        Sense::Field => Reading::Field(Some(self.field)),
                        Sense::Range => Reading::Range(Some(Range::Millimetres(self.range))),
                        Sense::Temperature => {
                            Reading::Temperature(Temperature::MilliCelsius(20_000))
                        }
                        Sense::Switches => {
                            Reading::Switches { tilted: Some(false), lid_open: Some(false) }
                        }
                        Sense::Battery => Reading::Battery(Some(3600)),
                    };
                    self.event(Event::Read(reading));
                }
                Action::Store => self.event(Event::Stored(true)),
                Action::Keep { .. } => self.event(Event::Kept(true)),
                Action::Send(frame) => self.transmit(&frame, true),
                Action::Identify { .. } | Action::SetClock { .. } => {}
            }
        }
    }

    /// Puts a frame on the line, as far as the weather lets it.
    fn transmit(&mut self, frame: &Frame, up: bool) {
        let weather = self.weather;
        let mut room = [0; FRAME_MAX];
        let good = frame.encode(&mut room).expect("the room for the longest");
        let copies = 1 + u64::from(self.chance.below(100) < weather.repeated);
        for _ in 0..copies {
            if self.chance.below(100) < weather.lost {
                continue;
            }
            let mut bytes = [&[DELIMITER], good].concat();
            if self.chance.below(100) < weather.damaged {
                self.damage(&mut bytes);
            }
            self.sent += 1;
            let arrives = self.now + 1 + self.chance.below(weather.delay_max_ms);
            self.line.push(Reverse((arrives, self.sent, up, bytes)));
        }
    }

    fn damage(&mut self, bytes: &mut Vec<u8>) {
        let at = self.chance.below(bytes.len() as u64) as usize;
        match self.chance.below(3) {
            0 => bytes.truncate(at),
            1 => bytes[at] ^= 1 << self.chance.below(8),
            _ => bytes.insert(at, self.chance.below(256) as u8),
        }
    }

    fn arrive(&mut self, up: bool, bytes: &[u8]) {
        for &byte in bytes {
            let heard = if up { self.up.push(byte) } else { self.down.push(byte) };
            match heard {
                Some(heard) if up => self.agent(heard),
                Some(heard) => self.event(Event::Heard(heard)),
                None => {}
            }
            if up && byte != DELIMITER {
                self.byte_at = self.now;
            }
        }
    }

    /// The agent: keeps a report by its counter and acknowledges it, also when it knows it already.
    fn agent(&mut self, heard: Heard) {
        let Heard::Frame(Frame { header, body: Body::Up(Up::Report(report)) }) = heard else {
            return;
        };
        assert_eq!(header.node, NUMBER);
        let counter = header.counter;
        let at = self.byte_at.saturating_sub(u64::from(report.age_s) * SECOND);
        if let Some((_, before)) = self.got.get(&counter) {
            assert_eq!(*before, report.measured, "the same counter, another report");
            self.repeats += 1;
        } else {
            self.got.insert(counter, (at, report.measured));
        }
        let header = Header { node: NUMBER, counter: 0, uptime_s: 0 };
        let body = Body::Down(Down::Ack(Ack { counter }));
        self.transmit(&Frame { header, body }, false);
    }

    fn run(&mut self, ms: u64) {
        let end = self.now + ms;
        loop {
            let wake = self.node.next_ms().max(self.now);
            let arrival = self.line.peek().map_or(u64::MAX, |Reverse((at, ..))| *at);
            if wake.min(arrival) > end {
                break;
            }
            if arrival <= wake {
                let Reverse((at, _, up, bytes)) = self.line.pop().expect("it was peeked at");
                self.now = self.now.max(at);
                self.arrive(up, &bytes);
            } else {
                self.now = wake;
                self.event(Event::Wake);
            }
        }
        self.now = end;
    }

    /// Some hours of a street, under a weather that changes.
    fn live(&mut self, forecast: &[Weather]) {
        for (hour, weather) in forecast.iter().enumerate() {
            self.weather = *weather;
            for part in 0..6 {
                let busy = (hour + part) % 2 == 0;
                self.field.x = if busy { 45_000 } else { 30_000 };
                self.range = if busy { 700 } else { 1500 };
                self.run(10 * MINUTE);
            }
        }
    }
}

/// What the node has to say does not depend on the line, so its twin on a perfect one tells the truth.
fn check(kind: Kind, seed: u64) -> u32 {
    let forecast = [FINE, BAD, BAD, CUT, CUT, BAD, BAD, CUT, BAD];
    let mut street = Street::new(kind, seed);
    street.live(&forecast);
    street.weather = FINE;
    street.run(30 * MINUTE);

    let mut twin = Street::new(kind, seed);
    twin.live(&[FINE; 9]);
    twin.run(30 * MINUTE);

    assert_eq!(street.node.unsent(), 0, "seed {seed}: all is delivered within half an hour");
    assert_eq!(street.node.counters().reports_dropped, 0, "seed {seed}");
    assert!(twin.got.len() > 40, "{}", twin.got.len());
    let counters = |street: &Street| street.got.keys().copied().collect::<Vec<_>>();
    assert_eq!(counters(&street), counters(&twin), "seed {seed}");
    for (counter, (at, measured)) in &street.got {
        let (true_at, true_measured) = twin.got[counter];
        assert_eq!(*measured, true_measured, "seed {seed}, report {counter}");
        let slack = SECOND + BAD.delay_max_ms;
        assert!(at.abs_diff(true_at) <= slack, "seed {seed}, report {counter}: {at} {true_at}");
    }
    street.repeats
}

#[test]
fn every_report_of_a_bay_arrives_exactly_once() {
    let repeats: u32 = (1..=5).map(|seed| check(Kind::Bay, seed)).sum();
    assert!(repeats > 100, "the line was not bad enough to prove anything: {repeats}");
}

#[test]
fn every_report_of_a_bin_arrives_exactly_once() {
    let repeats: u32 = (1..=5).map(|seed| check(Kind::Bin, seed)).sum();
    assert!(repeats > 100, "the line was not bad enough to prove anything: {repeats}");
}
