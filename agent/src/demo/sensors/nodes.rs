//! Our battery nodes on one serial line, as the agent hears them: frames of the [`wire`] format, sent
//! again until the agent acknowledges them.
//!
//! Responsible for what real nodes do beside measuring: say hello, keep unsent reports in order, repeat,
//! and listen. It reads the agent's acknowledgements with the same decoder as a real node.

use std::collections::{BTreeMap, VecDeque};

use domain::time::Span;
use wire::{
    Ack, Battery, Bay, BayState, Bin, Body, Deframer, Distance, Down, FRAME_MAX, Firmware, Frame,
    Header, Heard, Hello, Measured, NodeKind, Temperature, Up,
};

use super::Report;
use crate::demo::chance::Chance;

/// Reports that a node keeps until they are acknowledged. Full: the oldest one is dropped and counted,
/// as a real node does, which has no more memory.
const UNSENT_MAX: usize = 32;

/// A node waits at most this long before it sends again.
const PATIENCE_MAX: Span = Span::from_secs(120);

/// One frame in so many is damaged on the line, the first time it is sent.
const DAMAGED_ONCE_IN: u64 = 60;

/// What the nodes did beside plain reporting.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize)]
pub struct Tricks {
    /// Reports, each counted once.
    pub reports: u64,
    /// Frames sent again because no acknowledgement came in time.
    pub repeated: u64,
    /// Frames damaged on the line.
    pub damaged: u64,
    /// Reports dropped because a node's memory was full.
    pub dropped: u64,
    /// Reports that the agent acknowledged.
    pub acknowledged: u64,
}

/// All nodes of the line.
#[derive(Debug)]
pub struct Nodes {
    nodes: BTreeMap<u32, Node>,
    /// How long a node waits for an acknowledgement the first time.
    patience: Span,
    ears: Deframer,
    chance: Chance,
    tricks: Tricks,
}

#[derive(Debug)]
struct Node {
    kind: NodeKind,
    counter: u32,
    unsent: VecDeque<Unsent>,
    /// Since when the oldest report has been waiting for its acknowledgement, and for how long it may.
    waiting: Option<(Span, Span)>,
}

#[derive(Debug)]
struct Unsent {
    counter: u32,
    at: Span,
    measured: Measured,
}

impl Nodes {
    /// The nodes of these numbers and kinds. `patience`: how long each waits for an acknowledgement
    /// before it sends again, the first time; it doubles with each repeat.
    #[must_use]
    pub fn new(seed: u64, kinds: impl Iterator<Item = (u32, NodeKind)>, patience: Span) -> Nodes {
        let mut chance = Chance::new(seed, "node line", 0);
        let node = |(number, kind)| {
            // Within a few thousand: a node that has been in the street for some weeks.
            let counter = chance.between(100, 5000) as u32;
            (number, Node { kind, counter, unsent: VecDeque::new(), waiting: None })
        };
        let nodes = kinds.map(node).collect();
        Nodes { nodes, patience, ears: Deframer::new(), chance, tricks: Tricks::default() }
    }

    /// What happened so far.
    #[must_use]
    pub fn tricks(&self) -> Tricks {
        self.tricks
    }

    /// Every node says who it is, and how its battery is.
    pub fn start(&mut self, now: Span) -> Vec<u8> {
        let mut bytes = Vec::new();
        let numbers: Vec<u32> = self.nodes.keys().copied().collect();
        for number in numbers {
            let node = &self.nodes[&number];
            let firmware = Firmware { major: 0, minor: 1, patch: 0 };
            let hello = Hello { firmware, kind: node.kind, boot: 1, settings: 0 };
            let header = header(number, node.counter, now);
            bytes.extend(encode(&Frame { header, body: Body::Up(Up::Hello(hello)) }));
            let millivolts = 3550 + self.chance.between(0, 80) as u16;
            bytes.extend(self.keep(number, now, Measured::Battery(Battery { millivolts }), now));
        }
        bytes
    }

    /// A node has something to report. Gives the bytes it sends now: none while an older report waits
    /// for its acknowledgement, for a node sends in order.
    pub fn report(&mut self, number: u32, report: &Report, now: Span) -> Vec<u8> {
        self.keep(number, report.at, measured(report), now)
    }

    fn keep(&mut self, number: u32, at: Span, measured: Measured, now: Span) -> Vec<u8> {
        let node = self.nodes.get_mut(&number).expect("reports come from nodes of the line");
        if node.unsent.len() == UNSENT_MAX {
            node.unsent.pop_front();
            node.waiting = None;
            self.tricks.dropped += 1;
        }
        node.unsent.push_back(Unsent { counter: node.counter, at, measured });
        node.counter += 1;
        self.tricks.reports += 1;
        if node.waiting.is_some() { Vec::new() } else { self.send_first(number, now) }
    }

    /// Sends a node's oldest report for the first time; now and then it does not arrive whole.
    fn send_first(&mut self, number: u32, now: Span) -> Vec<u8> {
        let node = self.nodes.get_mut(&number).expect("only known nodes send");
        let Some(oldest) = node.unsent.front() else {
            node.waiting = None;
            return Vec::new();
        };
        node.waiting = Some((now, self.patience));
        let mut bytes = encode(&oldest.frame(number, now));
        if self.chance.once_in(DAMAGED_ONCE_IN) {
            damage(&mut bytes, &mut self.chance);
            self.tricks.damaged += 1;
        }
        bytes
    }

    /// When the next node will lose patience.
    #[must_use]
    pub fn next_repeat(&self) -> Option<Span> {
        let due = |node: &Node| node.waiting.map(|(since, wait)| since.saturating_add(wait));
        self.nodes.values().filter_map(due).min()
    }

    /// Whoever has lost patience sends again.
    pub fn repeat(&mut self, now: Span) -> Vec<u8> {
        let mut bytes = Vec::new();
        for (&number, node) in &mut self.nodes {
            let Some((since, wait)) = node.waiting else { continue };
            let Some(oldest) = node.unsent.front() else { continue };
            if since.saturating_add(wait) <= now {
                node.waiting = Some((now, wait.saturating_mul(2).min(PATIENCE_MAX.max(wait))));
                bytes.extend(encode(&oldest.frame(number, now)));
                self.tricks.repeated += 1;
            }
        }
        bytes
    }

    /// The agent said something. Gives what the nodes send upon it: the next report of a node whose
    /// oldest one was acknowledged.
    pub fn hear(&mut self, bytes: &[u8], now: Span) -> Vec<u8> {
        let mut answer = Vec::new();
        for &byte in bytes {
            let Some(Heard::Frame(frame)) = self.ears.push(byte) else { continue };
            let Body::Down(Down::Ack(Ack { counter })) = frame.body else { continue };
            let number = frame.header.node;
            let Some(node) = self.nodes.get_mut(&number) else { continue };
            if node.unsent.front().is_some_and(|oldest| oldest.counter == counter) {
                node.unsent.pop_front();
                self.tricks.acknowledged += 1;
                answer.extend(self.send_first(number, now));
            }
        }
        answer
    }
}

impl Unsent {
    fn frame(&self, number: u32, now: Span) -> Frame {
        let age_s = seconds(Span::from_ms(now.as_ms().saturating_sub(self.at.as_ms())));
        let report = wire::Report { age_s, measured: self.measured };
        Frame { header: header(number, self.counter, now), body: Body::Up(Up::Report(report)) }
    }
}

fn header(node: u32, counter: u32, now: Span) -> Header {
    Header { node, counter, uptime_s: seconds(now) }
}

fn seconds(span: Span) -> u32 {
    u32::try_from(span.as_secs()).unwrap_or(u32::MAX)
}

fn measured(report: &Report) -> Measured {
    let temperature = Temperature::MilliCelsius(report.temperature_mc);
    match report.measured {
        super::Measured::Bay { occupied, lasted, .. } => Measured::Bay(Bay {
            state: if occupied { BayState::Occupied } else { BayState::Free },
            previous_s: lasted.map(seconds),
            temperature,
        }),
        super::Measured::Bin { distance_mm } => Measured::Bin(Bin {
            distance: u16::try_from(distance_mm).map_or(Distance::NoTarget, Distance::Millimetres),
            tilted: Some(false),
            lid_open: None,
            fire: Some(false),
            temperature,
        }),
    }
}

fn encode(frame: &Frame) -> Vec<u8> {
    let mut out = [0; FRAME_MAX];
    frame.encode(&mut out).expect("FRAME_MAX bytes suffice for every frame").to_vec()
}

/// Changes one byte, but never to or from the delimiter: the damage stays inside this frame.
fn damage(bytes: &mut [u8], chance: &mut Chance) {
    let last = bytes.len() - 2;
    // Within a frame, which is far shorter than a usize.
    let place = chance.between(0, last as u64) as usize;
    let old = bytes[place];
    bytes[place] = if old == 0x55 { 0xAA } else { 0x55 };
}

#[cfg(test)]
mod tests {
    use domain::decode::node_link::NodeLink;
    use domain::decode::{Decode, Raw, Reason};
    use domain::ids::SourceName;
    use domain::sample::{Quantity, Sample};
    use domain::time::Utc;

    use super::*;
    use crate::demo::sensors::Measured as Seen;

    const PATIENCE: Span = Span::from_secs(2);

    fn line() -> Nodes {
        let kinds = [(101, NodeKind::Bay), (201, NodeKind::Bin)];
        Nodes::new(7, kinds.into_iter(), PATIENCE)
    }

    fn bay(at: u64, occupied: bool) -> Report {
        let measured = Seen::Bay { occupied, changed: true, lasted: Some(Span::from_secs(90)) };
        Report { at: Span::from_secs(at), measured, temperature_mc: 27_000 }
    }

    fn t(s: u64) -> Span {
        Span::from_secs(s)
    }

    /// The agent's side: the real decoder.
    struct Agent {
        decoder: NodeLink,
        samples: Vec<Sample>,
    }

    impl Agent {
        fn new() -> Agent {
            let decoder = NodeLink::new(SourceName::new("line").unwrap());
            Agent { decoder, samples: Vec::new() }
        }

        /// Takes bytes at `now` and acknowledges every report in them.
        fn take(&mut self, bytes: &[u8], now: Span) -> Vec<u8> {
            let before = self.samples.len();
            let received = Utc::from_ms(1_780_000_000_000) + now;
            self.decoder.feed(Raw::Bytes(bytes), received, &mut self.samples);
            let ack = |sample: &Sample| {
                let node = sample.device.as_ref().unwrap().as_str().parse().unwrap();
                let header = Header { node, counter: 0, uptime_s: 0 };
                let ack = Ack { counter: sample.counter.unwrap() };
                encode(&Frame { header, body: Body::Down(Down::Ack(ack)) })
            };
            self.samples[before..].iter().flat_map(ack).collect()
        }
    }

    #[test]
    fn the_real_decoder_reads_the_report_with_its_own_time() {
        let mut nodes = line();
        let mut agent = Agent::new();
        let acks = agent.take(&nodes.start(t(0)), t(0));
        nodes.hear(&acks, t(0));
        let bytes = nodes.report(101, &bay(100, true), t(107));
        agent.take(&bytes, t(107));
        let sample = agent.samples.last().unwrap();
        assert_eq!(sample.at, Some(Utc::from_ms(1_780_000_000_000) + t(100)));
        assert!(sample.quantities.contains(&Quantity::Occupied(true)));
        assert_eq!(agent.decoder.take_news().len(), 2, "both said hello");
        assert_eq!(agent.decoder.tally().rejected_total(), 0);
    }

    #[test]
    fn a_node_repeats_in_order_until_it_is_acknowledged() {
        let mut nodes = line();
        let mut agent = Agent::new();
        let acks = agent.take(&nodes.start(t(0)), t(0));
        nodes.hear(&acks, t(0));
        assert_eq!(nodes.next_repeat(), None);

        assert!(!nodes.report(101, &bay(100, true), t(100)).is_empty());
        assert!(nodes.report(101, &bay(101, false), t(101)).is_empty(), "in order");
        assert_eq!(nodes.next_repeat(), Some(t(102)));
        assert!(nodes.repeat(t(101)).is_empty());
        assert!(!nodes.repeat(t(102)).is_empty());
        assert_eq!(nodes.next_repeat(), Some(t(106)), "twice as long");
        let again = nodes.repeat(t(106));
        let acks = agent.take(&again, t(106));
        let next = nodes.hear(&acks, t(106));
        let acks = agent.take(&next, t(106));
        assert!(nodes.hear(&acks, t(106)).is_empty());
        assert_eq!(nodes.next_repeat(), None);
        let occupied: Vec<_> = agent.samples[2..].iter().map(|s| s.quantities[0]).collect();
        assert_eq!(occupied, [Quantity::Occupied(true), Quantity::Occupied(false)]);
        let tricks = nodes.tricks();
        assert_eq!((tricks.reports, tricks.acknowledged, tricks.repeated), (4, 4, 2));
    }

    #[test]
    fn a_wrong_or_late_acknowledgement_changes_nothing() {
        let mut nodes = line();
        nodes.start(t(0));
        let waiting = nodes.next_repeat();
        for (node, counter) in [(101, 1), (999, 100), (201, u32::MAX)] {
            let header = Header { node, counter: 0, uptime_s: 0 };
            let ack = encode(&Frame { header, body: Body::Down(Down::Ack(Ack { counter })) });
            assert!(nodes.hear(&ack, t(1)).is_empty());
        }
        assert!(nodes.hear(&[0xff; 300], t(1)).is_empty());
        assert_eq!((nodes.next_repeat(), nodes.tricks().acknowledged), (waiting, 0));
    }

    #[test]
    fn damage_is_one_refused_frame_and_is_healed_by_the_repeat() {
        let mut nodes = line();
        let mut agent = Agent::new();
        let mut now = 0;
        let acks = agent.take(&nodes.start(t(now)), t(now));
        nodes.hear(&acks, t(now));
        for i in 0..600 {
            now += 10;
            let bytes = nodes.report(101, &bay(now, i % 2 == 0), t(now));
            let acks = agent.take(&bytes, t(now));
            nodes.hear(&acks, t(now));
            now += 5;
            let again = nodes.repeat(t(now));
            let acks = agent.take(&again, t(now));
            nodes.hear(&acks, t(now));
        }
        let (tricks, tally) = (nodes.tricks(), agent.decoder.tally());
        assert!(tricks.damaged > 3, "{tricks:?}");
        assert_eq!(tally.rejected_total(), tricks.damaged, "{tally:?}");
        assert!(tally.rejected.contains_key(&Reason::Checksum), "{tally:?}");
        assert_eq!((tricks.acknowledged, tricks.dropped), (tricks.reports, 0));
    }

    #[test]
    fn a_full_memory_drops_the_oldest_and_counts() {
        let mut nodes = line();
        for i in 0..40 {
            nodes.report(101, &bay(i, true), t(i));
        }
        assert_eq!(nodes.tricks().dropped, 8);
        assert_eq!(nodes.nodes[&101].unsent.len(), UNSENT_MAX);
    }
}
