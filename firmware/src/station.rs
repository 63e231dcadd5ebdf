//! A node on its board: carries out what the node wants, in order, and hands the results back.
//!
//! Responsible for the loop that every board has alike, and for where things lie in the board's memory. It
//! reads no clock and never waits: the board calls [`Station::wake`] at [`Station::next_ms`] or earlier and
//! [`Station::hear`] with every byte of the line.
//!
//! ```text
//! memory: record 0 | record 1 | slot 0 | slot 1 | … | slot 31 | who the node is
//! ```

use heapless::Deque;
use wire::{DELIMITER, Deframer, FRAME_MAX, Firmware};

use crate::event::{Action, Event, Reading, Sense};
use crate::kept::KEPT_LEN;
use crate::node::{Identity, Node};
use crate::provision::{PROVISION_LEN, Provision};
use crate::record::{RECORD_LEN, Record};
use crate::unsent::UNSENT_MAX;

/// How many slots for reports the memory has.
pub const SLOTS: u8 = UNSENT_MAX as u8;

/// Where it stands in the memory who the node is: [`Provision`].
pub const PROVISION_AT: u16 = (2 * RECORD_LEN + UNSENT_MAX * KEPT_LEN) as u16;

/// The bytes of memory that a board needs.
pub const MEMORY_LEN: usize = PROVISION_AT as usize + PROVISION_LEN;

const _: () = assert!(MEMORY_LEN <= u16::MAX as usize);

/// Results that wait for their step. Full: a reading is dropped, and the node takes the sensor for silent and
/// asks again. One step asks for four readings and two writes at the most.
const RESULTS_MAX: usize = 8;

/// The result of an action. Much smaller than an [`Event`], which may hold a whole frame: memory is scarce.
#[derive(Debug, Clone, Copy)]
enum Outcome {
    Read(Reading),
    Stored(bool),
    Kept(bool),
}

impl From<Outcome> for Event {
    fn from(outcome: Outcome) -> Event {
        match outcome {
            Outcome::Read(reading) => Event::Read(reading),
            Outcome::Stored(is_safe) => Event::Stored(is_safe),
            Outcome::Kept(is_safe) => Event::Kept(is_safe),
        }
    }
}

/// What a board can do.
pub trait Board {
    /// Reads a sensor.
    fn measure(&mut self, sense: Sense) -> Reading;
    /// Reads memory from `address` on; whether it could be read.
    fn load(&mut self, address: u16, bytes: &mut [u8]) -> bool;
    /// Writes memory from `address` on and answers when it is safe; whether it is.
    fn save(&mut self, address: u16, bytes: &[u8]) -> bool;
    /// Puts bytes on the line.
    fn send(&mut self, bytes: &[u8]);
    /// Shows the node for so many seconds; 0 ends it.
    fn identify(&mut self, seconds: u16);
    /// Sets the board's clock, if it has one.
    fn set_clock(&mut self, unix_s: u64);
}

/// A node and its ear on the line.
#[derive(Debug)]
pub struct Station {
    node: Node,
    deframer: Deframer,
}

impl Station {
    /// Who the memory says that the node is, running `firmware`. `None` when it does not say, or does not
    /// answer.
    pub fn identity(firmware: Firmware, board: &mut impl Board) -> Option<Identity> {
        let mut made = [0; PROVISION_LEN];
        let is_read = board.load(PROVISION_AT, &mut made);
        Provision::decode(&made).ok().filter(|_| is_read)?.identity(firmware)
    }

    /// A node that goes on where the record in the memory ends. Where that cannot be read the node begins
    /// anew, and says so by the number of its start. [`Station::recall`] comes next.
    #[inline(never)] // What it needs of the stack is given back.
    pub fn start(identity: Identity, board: &mut impl Board, now_ms: u64) -> Station {
        let stored = Record::newest(load_record(board, 0), load_record(board, 1));
        Station { node: Node::new(identity, stored, now_ms), deframer: Deframer::new() }
    }

    /// Takes up the reports that wait in the memory. A step of its own, so that a board can put the station
    /// where it stays before it grows: two of them do not fit on a small stack.
    pub fn recall(&mut self, board: &mut impl Board) {
        for slot in 0..SLOTS {
            let mut bytes = [0; KEPT_LEN];
            if board.load(slot_address(slot), &mut bytes) {
                self.node.recall(slot, &bytes);
            }
        }
    }

    /// The node's time has come, or the board woke for another reason.
    pub fn wake(&mut self, board: &mut impl Board, now_ms: u64) {
        self.run(Event::Wake, board, now_ms);
    }

    /// Something was measured that the node did not ask for: a switch moved.
    pub fn read(&mut self, reading: Reading, board: &mut impl Board, now_ms: u64) {
        self.run(Event::Read(reading), board, now_ms);
    }

    /// A byte came on the line.
    pub fn hear(&mut self, byte: u8, board: &mut impl Board, now_ms: u64) {
        if let Some(heard) = self.deframer.push(byte) {
            self.run(Event::Heard(heard), board, now_ms);
        }
    }

    /// When to wake it next, on the board's clock.
    #[must_use]
    pub fn next_ms(&self) -> u64 {
        self.node.next_ms()
    }

    /// The node.
    #[must_use]
    pub const fn node(&self) -> &Node {
        &self.node
    }

    fn run(&mut self, first: Event, board: &mut impl Board, now_ms: u64) {
        let mut results: Deque<Outcome, RESULTS_MAX> = Deque::new();
        let mut next = Some(first);
        while let Some(event) = next {
            let actions = self.node.step(event, now_ms);
            for action in &actions {
                if let Some(result) = self.carry_out(action, board) {
                    // Full: see RESULTS_MAX.
                    let _ = results.push_back(result);
                }
            }
            next = results.pop_front().map(Event::from);
        }
    }

    #[inline(never)] // What it needs of the stack is given back before the next step.
    fn carry_out(&self, action: &Action, board: &mut impl Board) -> Option<Outcome> {
        match *action {
            Action::Measure(sense) => return Some(Outcome::Read(board.measure(sense))),
            Action::Store => {
                let record = self.node.record();
                let is_safe = board.save(record_address(record.place()), &record.encode());
                return Some(Outcome::Stored(is_safe));
            }
            Action::Keep { slot } => {
                let is_safe = board.save(slot_address(slot), &self.node.kept(slot));
                return Some(Outcome::Kept(is_safe));
            }
            Action::Send(frame) => {
                let mut room = [DELIMITER; 1 + FRAME_MAX];
                let len = self.node.encode(&frame, &mut room[1..]).map_or(0, <[u8]>::len);
                board.send(&room[..=len]);
            }
            Action::Identify { seconds } => board.identify(seconds),
            Action::SetClock { unix_s } => board.set_clock(unix_s),
        }
        None
    }
}

fn load_record(board: &mut impl Board, place: usize) -> Option<Record> {
    let mut bytes = [0; RECORD_LEN];
    let is_read = board.load(record_address(place), &mut bytes);
    Record::decode(&bytes).ok().filter(|_| is_read)
}

/// Of one of the two places, which [`Record::place`] names.
const fn record_address(place: usize) -> u16 {
    (place * RECORD_LEN) as u16
}

const fn slot_address(slot: u8) -> u16 {
    (2 * RECORD_LEN + slot as usize * KEPT_LEN) as u16
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::node::Kind;
    use std::vec::Vec;
    use wire::{Ack, Body, Down, Frame, Header, Heard, Temperature, Time, Up};

    const NODE: u32 = 5;

    struct Bench {
        memory: Vec<u8>,
        memory_works: bool,
        sent: Vec<Frame>,
        /// Bytes of memory that may still be written before the power goes.
        power: usize,
    }

    impl Bench {
        fn new() -> Bench {
            let mut memory = std::vec![0xFF; MEMORY_LEN];
            let made =
                Provision { node: NODE, kind: Kind::Bin, has_range_finder: false, key: None };
            memory[PROVISION_AT.into()..].copy_from_slice(&made.encode());
            Bench { memory, memory_works: true, sent: std::vec![], power: usize::MAX }
        }

        /// Counters of the reports sent since the last call.
        fn reports(&mut self) -> Vec<u32> {
            let report = |frame: Frame| {
                matches!(frame.body, Body::Up(Up::Report(_))).then_some(frame.header.counter)
            };
            self.sent.drain(..).filter_map(report).collect()
        }
    }

    impl Board for Bench {
        fn measure(&mut self, sense: Sense) -> Reading {
            match sense {
                Sense::Field => Reading::Field(None),
                Sense::Range => Reading::Range(None),
                Sense::Temperature => Reading::Temperature(Temperature::NotFitted),
                Sense::Switches => Reading::Switches { tilted: None, lid_open: None },
                Sense::Battery => Reading::Battery(Some(3000)),
            }
        }

        fn load(&mut self, address: u16, bytes: &mut [u8]) -> bool {
            let at = usize::from(address);
            bytes.copy_from_slice(&self.memory[at..at + bytes.len()]);
            self.memory_works || address == PROVISION_AT
        }

        fn save(&mut self, address: u16, bytes: &[u8]) -> bool {
            let len = bytes.len().min(self.power);
            self.power -= len;
            let at = usize::from(address);
            self.memory[at..at + len].copy_from_slice(&bytes[..len]);
            self.memory_works && len == bytes.len()
        }

        fn send(&mut self, bytes: &[u8]) {
            if self.power == 0 {
                return;
            }
            Deframer::new().push_slice(bytes, |heard| match heard {
                Heard::Frame(frame) => self.sent.push(frame),
                other => panic!("{other:?}"),
            });
        }

        fn identify(&mut self, _seconds: u16) {}

        fn set_clock(&mut self, _unix_s: u64) {}
    }

    fn start(bench: &mut Bench) -> Station {
        let firmware = Firmware { major: 0, minor: 1, patch: 0 };
        let identity = Station::identity(firmware, bench).unwrap();
        let mut station = Station::start(identity, bench, 0);
        station.recall(bench);
        station
    }

    fn run(station: &mut Station, bench: &mut Bench, until_ms: u64) {
        while station.next_ms() <= until_ms {
            let now = station.next_ms();
            station.wake(bench, now);
        }
    }

    fn tell(station: &mut Station, bench: &mut Bench, down: Down, now: u64) {
        let header = Header { node: NODE, counter: 0, uptime_s: 0 };
        let mut room = [0; FRAME_MAX];
        let frame = Frame { header, body: Body::Down(down) };
        for byte in frame.encode(&mut room).unwrap() {
            station.hear(*byte, bench, now);
        }
    }

    #[test]
    fn what_was_not_acknowledged_is_sent_after_a_restart_and_what_was_is_not() {
        let mut bench = Bench::new();
        let mut station = start(&mut bench);
        run(&mut station, &mut bench, 30_000);
        let mut sent = bench.reports();
        sent.sort_unstable();
        sent.dedup();
        assert_eq!(sent, [0, 1], "the first measurement, and the battery");
        tell(&mut station, &mut bench, Down::Ack(Ack { counter: 0 }), 30_000);

        let mut station = start(&mut bench);
        assert_eq!(station.node().unsent(), 1);
        tell(&mut station, &mut bench, Down::Time(Time { unix_s: 1_000 }), 1);
        run(&mut station, &mut bench, 5_000);
        let sent = bench.reports();
        assert_eq!(sent[0], 1, "the one of before comes first");
        assert!(sent.iter().all(|counter| *counter == 1 || *counter >= 256), "{sent:?}");
    }

    #[test]
    fn memory_that_does_not_work_is_counted_and_the_node_goes_on() {
        let mut bench = Bench::new();
        bench.memory_works = false;
        let mut station = start(&mut bench);
        run(&mut station, &mut bench, 30_000);
        let counters = station.node().counters();
        assert_eq!((counters.keep_failures, counters.slots_damaged), (2, 0));
        assert!(counters.store_failures > 0);
        assert!(!bench.reports().is_empty());
    }

    #[test]
    fn a_node_that_was_never_told_who_it_is_does_not_start() {
        let firmware = Firmware { major: 0, minor: 1, patch: 0 };
        let mut bench = Bench::new();
        bench.memory[PROVISION_AT.into()..].fill(0xFF);
        assert_eq!(Station::identity(firmware, &mut bench), None);
    }

    /// Power that goes after any number of written bytes: a report that was sent is there after the restart
    /// or was acknowledged, and no counter is used twice.
    #[test]
    fn the_power_may_go_at_any_byte_that_is_written() {
        for power in 0..700 {
            let mut bench = Bench::new();
            bench.power = power;
            let mut station = start(&mut bench);
            run(&mut station, &mut bench, 30_000);
            let before = bench.reports();
            bench.power = usize::MAX;
            let mut station = start(&mut bench);
            run(&mut station, &mut bench, 60_000);
            let after = bench.reports();
            for counter in &before {
                assert!(after.contains(counter), "{power} bytes: report {counter} is lost");
            }
            let fresh = after.iter().filter(|counter| !before.contains(counter)).min();
            assert!(fresh > before.iter().max(), "{power} bytes: {before:?} {after:?}");
        }
    }
}
