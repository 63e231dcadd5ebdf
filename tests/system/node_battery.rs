//! From what a battery node has done to a ticket: the node itself counts what it takes out of its battery,
//! says what is left, and the box raises a ticket before it is empty; a new battery clears it.

use std::fmt::Write;
use std::fs;

use jiff::{Timestamp, ToSpan};
use node::{Action, Cell, Draw, Event, Identity, Kind, Node, Reading, Sense, Supply};
use serde_json::{Value, json};
use system_tests::program::{run, texts};
use wire::{Ack, Body, Down, FRAME_MAX, Firmware, Frame, Header, Heard, Temperature, Up};

use crate::command_line::config;

const NODE: u32 = 21;
const HOUR_MS: u64 = 3_600_000;

/// 86.4 of 1000 mAh a day.
const SUPPLY: Supply = Supply {
    draw: Draw {
        always_na: 3_600_000,
        field_nc: 0,
        range_nc: 900_000,
        temperature_nc: 6_300,
        frame_nc: 18_900,
        write_nc: 480_000,
    },
    cell: Cell { mah: 1_000, lost_permille: 10 },
};

const BIN: &str = r#"
[[source]]
name = "nodes"
kind = "node-link"
device = "/dev/ttyAMA0"

[[bin]]
id = "bin-21"
source = "nodes"
device = 21
empty_mm = 1500
full_mm = 300
full_at_pct = 80
"#;

/// A node on a line of which every report is acknowledged, and what it said, as a box records it.
struct Line {
    node: Node,
    now: u64,
    recorded: String,
}

impl Line {
    fn step(&mut self, event: Event) {
        for action in &self.node.step(event, self.now) {
            match *action {
                Action::Measure(sense) => self.step(Event::Read(reading(sense))),
                Action::Store => self.step(Event::Stored(true)),
                Action::Keep { .. } => self.step(Event::Kept(true)),
                Action::Send(frame) => self.send(&frame),
                Action::Identify { .. } | Action::SetClock { .. } => {}
            }
        }
    }

    fn send(&mut self, frame: &Frame) {
        let mut room = [0; FRAME_MAX];
        let mut hex = String::new();
        for byte in self.node.encode(frame, &mut room).unwrap() {
            write!(hex, "{byte:02x}").unwrap();
        }
        let start: Timestamp = "2026-06-01T00:00:00Z".parse().unwrap();
        let at = start + i64::try_from(self.now).unwrap().milliseconds();
        let line = json!({"at": at.to_string(), "source": "nodes", "hex": hex});
        writeln!(self.recorded, "{line}").unwrap();
        if matches!(frame.body, Body::Up(Up::Report(_))) {
            self.say(0, Down::Ack(Ack { counter: frame.header.counter }));
        }
    }

    fn say(&mut self, counter: u32, down: Down) {
        let header = Header { node: NODE, counter, uptime_s: 0 };
        self.step(Event::Heard(Heard::Frame(Frame { header, body: Body::Down(down) })));
    }

    fn run(&mut self, ms: u64) {
        let end = self.now + ms;
        while self.node.next_ms() <= end {
            self.now = self.node.next_ms();
            self.step(Event::Wake);
        }
        self.now = end;
    }
}

fn reading(sense: Sense) -> Reading {
    match sense {
        Sense::Field => Reading::Field(None),
        Sense::Range => Reading::Range(Some(drivers::Range::Millimetres(1_200))),
        Sense::Temperature => Reading::Temperature(Temperature::MilliCelsius(20_000)),
        Sense::Switches => Reading::Switches { tilted: None, lid_open: None },
        // As flat as that of a lithium cell until its end.
        Sense::Battery => Reading::Battery(Some(3_600)),
    }
}

/// What `steward replay` makes of what was recorded.
fn replay(recorded: &str) -> Value {
    let dir = tempfile::tempdir().unwrap();
    let [input, summary] = ["line.jsonl", "summary.json"].map(|name| dir.path().join(name));
    fs::write(&input, recorded).unwrap();
    let file = config(dir.path(), BIN);
    let [input, summary] = [input, summary].map(|path| path.display().to_string());
    let arguments = ["replay", "--config", &file, "--input", &input, "--summary", &summary];
    let (_, stderr, code) = texts(&run(&arguments));
    assert_eq!(code, 0, "{stderr}");
    serde_json::from_slice(&fs::read(summary).unwrap()).unwrap()
}

#[test]
fn a_node_that_counts_its_battery_down_is_a_ticket_and_a_new_battery_clears_it() {
    let firmware = Firmware { major: 0, minor: 2, patch: 0 };
    let identity = Identity::new(NODE, Kind::Bin, firmware).unwrap().with_supply(&SUPPLY);
    let mut line = Line { node: Node::new(identity, None, 0), now: 0, recorded: String::new() };
    line.run(9 * 24 * HOUR_MS);
    let tickets = replay(&line.recorded)["tickets"].clone();
    assert_eq!(tickets["node_battery_low"], Value::Null, "a quarter is left: {tickets}");

    line.run(4 * 24 * HOUR_MS);
    let summary = replay(&line.recorded);
    let of = |summary: &Value| {
        let ticket = &summary["tickets"]["node_battery_low"];
        (ticket["raised"].clone(), ticket["cleared"].clone())
    };
    assert_eq!(of(&summary), (json!(1), json!(0)), "{summary:#}");
    assert_eq!(summary["sources"]["nodes"]["rejected"], json!({}));

    line.say(1, Down::NewBattery);
    line.run(4 * 24 * HOUR_MS);
    assert_eq!(of(&replay(&line.recorded)), (json!(1), json!(1)));
}
