//! A node on a bench: sensors, a memory and a line that the test holds in its hands.

use drivers::{Field, Range};
use node::{
    Action, Actions, Cell, Draw, Duty, Event, Identity, Kind, Node, Phase, RECORD_LEN, Reading,
    Record, Sense, Street, Supply,
};
use proptest::prelude::*;
use wire::*;

const EMPTY: Field = Field { x: 30_000, y: -4_000, z: 38_000 };
const CAR: Field = Field { x: 39_000, y: -10_000, z: 52_000 };
const NUMBER: u32 = 1001;
const SECOND: u64 = 1000;
const HOUR: u64 = 3600 * SECOND;

struct Bench {
    identity: Identity,
    node: Node,
    now: u64,
    field: Option<Field>,
    range: Option<Range>,
    temperature: Temperature,
    tilted: Option<bool>,
    battery: Option<u16>,
    memory: [[u8; RECORD_LEN]; 2],
    memory_works: bool,
    /// Every frame sent, and when.
    sent: Vec<(u64, Frame)>,
    /// Every action, in order.
    done: Vec<Action>,
    /// The agent answers every report at once.
    acknowledging: bool,
    next_command: u32,
}

fn identity(kind: Kind) -> Identity {
    let firmware = Firmware { major: 0, minor: 1, patch: 0 };
    Identity::new(NUMBER, kind, firmware).expect("not the number of all nodes")
}

impl Bench {
    fn new(kind: Kind) -> Bench {
        Bench::of(identity(kind))
    }

    fn of(identity: Identity) -> Bench {
        Bench {
            identity,
            node: Node::new(identity, None, 0),
            now: 0,
            field: Some(EMPTY),
            range: Some(Range::Millimetres(1200)),
            temperature: Temperature::MilliCelsius(20_000),
            tilted: Some(false),
            battery: Some(3300),
            memory: [[0xFF; RECORD_LEN]; 2],
            memory_works: true,
            sent: vec![],
            done: vec![],
            acknowledging: true,
            next_command: 1,
        }
    }

    /// Takes the power away and gives it back; the memory stays.
    fn restart(&mut self) {
        let [one, other] = self.memory.map(|bytes| Record::decode(&bytes).ok());
        self.node = Node::new(self.identity, Record::newest(one, other), 0);
        self.now = 0;
    }

    fn event(&mut self, event: Event) {
        let actions = self.node.step(event, self.now);
        self.carry_out(&actions);
    }

    fn carry_out(&mut self, actions: &Actions) {
        for action in actions {
            self.done.push(*action);
            match action {
                Action::Measure(sense) => {
                    if let Some(reading) = self.reading(*sense) {
                        self.event(Event::Read(reading));
                    }
                }
                Action::Store => {
                    if self.memory_works {
                        let record = self.node.record();
                        self.memory[record.place()] = record.encode();
                    }
                    self.event(Event::Stored(self.memory_works));
                }
                Action::Send(frame) => {
                    self.sent.push((self.now, *frame));
                    if self.acknowledging && matches!(frame.body, Body::Up(Up::Report(_))) {
                        let counter = frame.header.counter;
                        self.say(NUMBER, 0, Down::Ack(Ack { counter }));
                    }
                }
                Action::Keep { .. } => self.event(Event::Kept(true)),
                Action::Identify { .. } | Action::SetClock { .. } => {}
            }
        }
    }

    fn reading(&self, sense: Sense) -> Option<Reading> {
        Some(match sense {
            Sense::Field => Reading::Field(self.field),
            Sense::Range => Reading::Range(self.range),
            Sense::Temperature => Reading::Temperature(self.temperature),
            Sense::Switches => Reading::Switches { tilted: self.tilted, lid_open: None },
            Sense::Battery => Reading::Battery(self.battery),
        })
    }

    fn say(&mut self, node: u32, counter: u32, down: Down) {
        let header = Header { node, counter, uptime_s: 0 };
        self.event(Event::Heard(Heard::Frame(Frame { header, body: Body::Down(down) })));
    }

    /// Gives a command a number and returns how it was answered.
    fn command(&mut self, down: Down) -> Option<Outcome> {
        self.next_command += 1;
        let (to, before) = (self.next_command, self.sent.len());
        self.say(NUMBER, to, down);
        self.sent[before..].iter().find_map(|(_, frame)| match frame.body {
            Body::Up(Up::Answer(answer)) if answer.to == to => Some(answer.outcome),
            _ => None,
        })
    }

    /// Lets `ms` pass, waking the node when it wants to be.
    fn run(&mut self, ms: u64) {
        let end = self.now + ms;
        while self.node.next_ms() <= end {
            assert!(self.node.next_ms() > self.now || self.now == 0, "it asks for the past");
            self.now = self.now.max(self.node.next_ms());
            self.event(Event::Wake);
        }
        self.now = end;
    }

    /// The reports since the last call: when sent, counter, age and content.
    fn reports(&mut self) -> Vec<(u64, u32, u32, Measured)> {
        self.sent
            .drain(..)
            .filter_map(|(at, Frame { header, body })| match body {
                Body::Up(Up::Report(Report { age_s, measured })) => {
                    Some((at, header.counter, age_s, measured))
                }
                _ => None,
            })
            .collect()
    }

    fn bays(&mut self) -> Vec<Bay> {
        let bay = |m| if let Measured::Bay(bay) = m { Some(bay) } else { None };
        self.reports().into_iter().filter_map(|(.., measured)| bay(measured)).collect()
    }

    fn bins(&mut self) -> Vec<Bin> {
        let bin = |m| if let Measured::Bin(bin) = m { Some(bin) } else { None };
        self.reports().into_iter().filter_map(|(.., measured)| bin(measured)).collect()
    }

    fn hellos(&self) -> Vec<(u64, Header, Hello)> {
        let hello = |(at, frame): &(u64, Frame)| match frame.body {
            Body::Up(Up::Hello(hello)) => Some((*at, frame.header, hello)),
            _ => None,
        };
        self.sent.iter().filter_map(hello).collect()
    }
}

#[test]
fn it_says_hello_after_a_start_and_every_day() {
    let mut bench = Bench::new(Kind::Bay);
    bench.run(49 * HOUR);
    let hellos = bench.hellos();
    assert_eq!(hellos.len(), 3);
    assert!(hellos[0].0 < 2 * SECOND);
    let (at, header, hello) = hellos[1];
    assert_eq!((header.node, u64::from(header.uptime_s)), (NUMBER, at / 1000));
    assert_eq!((hello.kind, hello.boot, hello.settings), (NodeKind::Bay, 1, 0));
}

#[test]
fn a_car_is_reported_with_its_past_and_the_temperature() {
    let mut bench = Bench::new(Kind::Bay);
    bench.run(600 * SECOND);
    let temperature = Temperature::MilliCelsius(20_000);
    let first = Bay { state: BayState::Free, previous_s: None, temperature };
    assert_eq!(bench.bays(), [first]);
    bench.field = Some(CAR);
    bench.run(900 * SECOND);
    bench.field = Some(EMPTY);
    bench.temperature = Temperature::Fault;
    bench.run(90 * SECOND);
    let reports = bench.reports();
    let [(came, _, came_age, Measured::Bay(occupied)), (_, _, _, Measured::Bay(free))] =
        reports[..]
    else {
        panic!("{reports:?}")
    };
    assert_eq!((occupied.state, occupied.previous_s), (BayState::Occupied, None));
    let began = came - u64::from(came_age) * SECOND;
    assert!((599_000..603_000).contains(&began), "dated back by its age: {began}");
    assert_eq!(free.state, BayState::Free);
    assert!((899..=901).contains(&free.previous_s.unwrap()), "{free:?}");
    assert_eq!(bench.node.unsent(), 0);
}

/// A day with nothing but samples takes some 90 of 1000 mAh.
const SUPPLY: Supply = Supply {
    draw: Draw {
        always_na: 3_000_000,
        field_nc: 600_000,
        range_nc: 0,
        temperature_nc: 600_000,
        frame_nc: 20_000_000,
        write_nc: 40_000_000,
    },
    cell: Cell { mah: 1_000, lost_permille: 10 },
};

/// What it says of its battery: when, and how much is left.
fn charges(bench: &mut Bench) -> Vec<(u64, u16)> {
    let charge = |(at, _, _, measured)| match measured {
        Measured::Charge(Charge { left_permille }) => Some((at, left_permille)),
        _ => None,
    };
    bench.reports().into_iter().filter_map(charge).collect()
}

#[test]
fn what_is_left_of_its_battery_is_what_the_model_says_beforehand() {
    let mut bench = Bench::of(identity(Kind::Bay).with_supply(&SUPPLY));
    bench.run(10 * 24 * HOUR + HOUR);
    let told = charges(&mut bench);
    assert_eq!(told.len(), 11);
    assert!(told[0].1 >= 999, "{told:?}");
    let street = Street { changes: 0, restless_s: 0 };
    let duty = Duty::of(Kind::Bay, bench.node.settings(), street);
    // 3 600 000 nC are a microampere hour; a year loses 10 mAh by itself.
    let expected = SUPPLY.draw.charge_of_a_day(&duty) / 3_600_000 + 10_000_000 / 365_250;
    let day_uah = u64::from(1000 - told[10].1) * 1_000 / 10;
    assert!(day_uah.abs_diff(expected) * 50 < expected, "{day_uah} and {expected} uAh a day");
    // Its voltage goes on being told as it is measured.
    bench.run(24 * HOUR);
    let volts = bench.reports().iter().filter(|r| matches!(r.3, Measured::Battery(_))).count();
    assert_eq!(volts, 1);
}

#[test]
fn what_it_has_told_of_its_battery_a_restart_does_not_take_back() {
    let mut bench = Bench::of(identity(Kind::Bay).with_supply(&SUPPLY));
    let mut least = 1000;
    for _ in 0..8 {
        bench.run(30 * HOUR);
        for (_, left) in charges(&mut bench) {
            assert!(left <= least, "{left} after {least}");
            least = left;
        }
        bench.restart();
    }
    assert!(least < 500, "{least}");
    // And it wears the memory no more than a few times a day.
    bench.done.clear();
    bench.run(48 * HOUR);
    let stores = bench.done.iter().filter(|action| **action == Action::Store).count();
    assert!((2..=8).contains(&stores), "{stores} in two days");
}

#[test]
fn a_new_battery_is_full_and_stays_so_over_a_restart() {
    let mut bench = Bench::of(identity(Kind::Bay).with_supply(&SUPPLY));
    bench.run(50 * HOUR);
    assert!(charges(&mut bench).last().is_some_and(|told| told.1 < 900));
    assert_eq!(bench.command(Down::NewBattery), Some(Outcome::Done));
    bench.run(SECOND);
    assert!(charges(&mut bench).last().is_some_and(|told| told.1 >= 999));
    bench.restart();
    bench.run(10 * SECOND);
    assert!(charges(&mut bench).last().is_some_and(|told| told.1 >= 999));
}

#[test]
fn a_node_without_a_battery_says_nothing_of_one() {
    let mut bench = Bench::new(Kind::Bay);
    bench.run(49 * HOUR);
    assert_eq!(charges(&mut bench), []);
    assert_eq!(bench.command(Down::NewBattery), Some(Outcome::NotForMe));
}

#[test]
fn without_news_it_gives_a_sign_of_life() {
    let mut bench = Bench::new(Kind::Bay);
    bench.run(5 * HOUR + 60 * SECOND);
    let bays = bench.bays();
    assert_eq!(bays.len(), 6, "the first report and one an hour");
    assert!(bays.iter().all(|bay| bay.state == BayState::Free && bay.previous_s.is_none()));
    let mut bench = Bench::new(Kind::Bin);
    bench.run(5 * HOUR + 60 * SECOND);
    assert_eq!(bench.bins().len(), 6);
}

#[test]
fn counters_are_never_used_twice_also_not_after_a_restart() {
    let mut bench = Bench::new(Kind::Bay);
    let mut counters = vec![];
    for restart in 1..=4 {
        bench.run(HOUR);
        for _ in 0..150 {
            bench.field = Some(CAR);
            bench.run(20 * SECOND);
            bench.field = Some(EMPTY);
            bench.run(20 * SECOND);
        }
        counters.extend(bench.reports().iter().map(|report| report.1));
        assert_eq!(bench.node.record().boot(), restart);
        bench.restart();
    }
    assert!(counters.len() > 1200, "{}", counters.len());
    assert!(counters.windows(2).all(|pair| pair[0] < pair[1]), "they only rise");
}

#[test]
fn the_record_is_stored_before_its_counters_are_used() {
    let mut bench = Bench::new(Kind::Bay);
    bench.run(HOUR);
    let first = |wanted: fn(&Action) -> bool| bench.done.iter().position(wanted).unwrap();
    let store = first(|action| matches!(action, Action::Store));
    let send = first(|action| matches!(action, Action::Send(_)));
    assert!(store < send);
}

#[test]
fn the_field_of_the_empty_bay_survives_a_restart() {
    let mut bench = Bench::new(Kind::Bay);
    bench.run(60 * SECOND);
    bench.field = Some(CAR);
    bench.run(60 * SECOND);
    bench.sent.clear();
    bench.restart();
    bench.run(60 * SECOND);
    assert_eq!(bench.bays()[0].state, BayState::Occupied);
}

#[test]
fn a_memory_that_fails_is_tried_again_and_does_not_stop_the_node() {
    let mut bench = Bench::new(Kind::Bay);
    bench.memory_works = false;
    bench.run(10 * 60 * SECOND);
    assert_eq!(bench.bays().len(), 1);
    assert!((5..=12).contains(&bench.node.counters().store_failures));
    let place = bench.node.record().place();
    bench.memory_works = true;
    bench.run(120 * SECOND);
    assert_eq!(bench.node.record().place(), place, "never over the good one");
    let stored = bench.memory.map(|bytes| Record::decode(&bytes).ok());
    assert_eq!(Record::newest(stored[0], stored[1]), Some(*bench.node.record()));
}

#[test]
fn a_magnetometer_that_is_silent_or_never_answers_is_a_fault() {
    let mut bench = Bench::new(Kind::Bay);
    bench.field = None;
    bench.run(10 * SECOND);
    assert_eq!(bench.bays()[0].state, BayState::Fault);

    let mut node = Node::new(identity(Kind::Bay), None, 0);
    let mut told = false;
    while node.next_ms() < 20 * SECOND {
        let now = node.next_ms();
        told |= node.step(Event::Wake, now).iter().any(|action| {
            let Action::Send(frame) = action else { return false };
            let Body::Up(Up::Report(report)) = frame.body else { return false };
            report.measured
                == Measured::Bay(Bay {
                    state: BayState::Fault,
                    previous_s: None,
                    temperature: Temperature::Fault,
                })
        });
    }
    assert!(told);
}

#[test]
fn a_bin_is_reported_when_its_level_changes() {
    let mut bench = Bench::new(Kind::Bin);
    bench.run(60 * SECOND);
    let first = Bin {
        distance: Distance::Millimetres(1200),
        tilted: Some(false),
        lid_open: None,
        fire: Some(false),
        temperature: Temperature::MilliCelsius(20_000),
    };
    assert_eq!(bench.bins(), [first]);
    bench.range = Some(Range::Millimetres(1151));
    bench.run(1200 * SECOND);
    assert_eq!(bench.bins(), [], "49 mm are no change");
    bench.range = Some(Range::Millimetres(1150));
    bench.run(601 * SECOND);
    assert_eq!(bench.bins(), [Bin { distance: Distance::Millimetres(1150), ..first }]);
    bench.range = None;
    bench.run(601 * SECOND);
    assert_eq!(bench.bins(), [Bin { distance: Distance::Fault, ..first }]);
}

#[test]
fn a_fire_is_told_within_two_minutes() {
    let mut bench = Bench::new(Kind::Bin);
    bench.run(200 * SECOND);
    bench.bins();
    let broke_out = bench.now;
    bench.temperature = Temperature::MilliCelsius(90_000);
    bench.run(120 * SECOND);
    let reports = bench.reports();
    let [(at, _, _, Measured::Bin(bin))] = reports[..] else { panic!("{reports:?}") };
    assert_eq!(bin.fire, Some(true));
    assert!(at - broke_out < 80 * SECOND, "{}", at - broke_out);
}

#[test]
fn a_bin_that_falls_over_is_told_soon() {
    let mut bench = Bench::new(Kind::Bin);
    bench.run(200 * SECOND);
    bench.bins();
    bench.tilted = Some(true);
    bench.event(Event::Read(Reading::Switches { tilted: Some(true), lid_open: None }));
    bench.run(2 * SECOND);
    assert_eq!(bench.bins()[0].tilted, Some(true));
    let before = bench.done.len();
    for i in 0..100 {
        bench.tilted = Some(i % 2 == 0);
        bench.event(Event::Read(Reading::Switches { tilted: bench.tilted, lid_open: None }));
        bench.run(100);
    }
    let bursts = bench.done[before..]
        .iter()
        .filter(|action| **action == Action::Measure(Sense::Switches))
        .count();
    assert!(bursts <= 2, "a loose switch must not empty the battery: {bursts}");
}

#[test]
fn the_battery_is_reported_every_day() {
    let mut bench = Bench::new(Kind::Bin);
    bench.run(25 * HOUR);
    let battery = |m: &Measured| matches!(m, Measured::Battery(Battery { millivolts: 3300 }));
    assert_eq!(bench.reports().iter().filter(|report| battery(&report.3)).count(), 2);
    bench.battery = None;
    bench.run(48 * HOUR);
    assert_eq!(bench.node.counters().battery_failures, 2);
}

#[test]
fn a_board_without_a_thermometer_is_asked_once() {
    let mut bench = Bench::new(Kind::Bin);
    bench.temperature = Temperature::NotFitted;
    bench.run(5 * HOUR);
    let asked = |action: &&Action| **action == Action::Measure(Sense::Temperature);
    assert_eq!(bench.done.iter().filter(asked).count(), 1);
    let bins = bench.bins();
    assert!(bins.iter().all(|b| b.fire.is_none() && b.temperature == Temperature::NotFitted));
}

#[test]
fn settings_are_checked_taken_stored_and_answered() {
    let mut bench = Bench::new(Kind::Bay);
    bench.run(10 * SECOND);
    let wrong = Settings { keep_alive_s: 1, ..Settings::INITIAL };
    assert_eq!(bench.command(Down::Settings(wrong)), Some(Outcome::OutOfRange));
    assert_eq!(bench.node.settings(), &Settings::INITIAL);
    let right = Settings { revision: 9, keep_alive_s: 60, battery_s: 3600, ..Settings::INITIAL };
    assert_eq!(bench.command(Down::Settings(right)), Some(Outcome::Done));
    bench.sent.clear();
    bench.run(HOUR);
    assert_eq!(bench.hellos()[0].2.settings, 9);
    let lives = bench.bays().len();
    assert!((58..=61).contains(&lives), "{lives}");
    bench.restart();
    assert_eq!(bench.node.settings(), &right);
}

#[test]
fn a_command_that_comes_again_is_answered_again_and_not_done_again() {
    let mut bench = Bench::new(Kind::Bay);
    bench.run(10 * SECOND);
    for _ in 0..3 {
        bench.say(NUMBER, 77, Down::Identify(Identify { seconds: 30 }));
    }
    let shown = |action: &&Action| **action == Action::Identify { seconds: 30 };
    assert_eq!(bench.done.iter().filter(shown).count(), 1);
    let answer = Body::Up(Up::Answer(Answer { to: 77, outcome: Outcome::Done }));
    assert_eq!(bench.sent.iter().filter(|(_, frame)| frame.body == answer).count(), 3);
}

#[test]
fn a_command_without_a_number_is_done_and_not_answered() {
    let mut bench = Bench::new(Kind::Bay);
    bench.run(10 * SECOND);
    bench.sent.clear();
    bench.say(NUMBER, 0, Down::Identify(Identify { seconds: 5 }));
    bench.say(BROADCAST, 5, Down::Identify(Identify { seconds: 6 }));
    bench.say(BROADCAST, 0, Down::Time(Time { unix_s: 1_780_545_600 }));
    assert_eq!(bench.sent, []);
    assert_eq!(
        bench.done[bench.done.len() - 3..],
        [
            Action::Identify { seconds: 5 },
            Action::Identify { seconds: 6 },
            Action::SetClock { unix_s: 1_780_545_600 }
        ]
    );
}

#[test]
fn recalibration_is_for_bays() {
    let mut bench = Bench::new(Kind::Bay);
    bench.run(60 * SECOND);
    bench.field = Some(CAR);
    bench.run(60 * SECOND);
    assert_eq!(bench.node.phase(), Some(Phase::Occupied));
    assert_eq!(bench.command(Down::Recalibrate), Some(Outcome::Done));
    bench.run(60 * SECOND);
    assert_eq!(bench.node.phase(), Some(Phase::Vacant));
    let mut again = Bench::new(Kind::Bay);
    again.memory = bench.memory;
    again.restart();
    again.field = Some(CAR);
    again.run(60 * SECOND);
    assert_eq!(again.bays()[0].state, BayState::Free, "the new baseline was stored");

    let mut bin = Bench::new(Kind::Bin);
    assert_eq!(bin.command(Down::Recalibrate), Some(Outcome::NotForMe));
}

#[test]
fn what_is_for_others_is_let_pass_and_what_is_wrong_is_counted() {
    let mut bench = Bench::new(Kind::Bay);
    bench.acknowledging = false;
    bench.run(10 * SECOND);
    let (done, waiting) = (bench.done.len(), bench.node.unsent());
    assert!(waiting > 0);
    for counter in 0..10 {
        bench.say(NUMBER + 1, counter, Down::Ack(Ack { counter }));
        bench.say(BROADCAST, counter, Down::Ack(Ack { counter }));
        bench.say(NUMBER + 1, counter, Down::Identify(Identify { seconds: 9 }));
    }
    let header = Header { node: NUMBER, counter: 1, uptime_s: 0 };
    let hello = bench.hellos()[0].2;
    let own = Frame { header, body: Body::Up(Up::Hello(hello)) };
    bench.event(Event::Heard(Heard::Frame(own)));
    bench.event(Event::Heard(Heard::Unknown { header, kind: 0x99 }));
    let other = Header { node: NUMBER + 1, ..header };
    bench.event(Event::Heard(Heard::Unknown { header: other, kind: 0x99 }));
    bench.event(Event::Heard(Heard::Fault(Fault::Checksum)));
    assert_eq!((bench.done.len(), bench.node.unsent()), (done, waiting));
    let counters = bench.node.counters();
    assert_eq!((counters.line_faults, counters.unknown_kinds), (1, 1));
}

#[test]
fn the_number_of_all_nodes_is_nobodys() {
    let firmware = Firmware { major: 0, minor: 1, patch: 0 };
    assert_eq!(Identity::new(BROADCAST, Kind::Bay, firmware), None);
}

#[test]
fn what_is_lost_in_a_long_outage_is_the_oldest_and_it_is_counted() {
    let mut bench = Bench::new(Kind::Bay);
    bench.run(60 * SECOND);
    bench.acknowledging = false;
    for _ in 0..30 {
        bench.field = Some(CAR);
        bench.run(60 * SECOND);
        bench.field = Some(EMPTY);
        bench.run(60 * SECOND);
    }
    let lost = bench.node.counters().reports_dropped;
    assert!(lost >= 28, "{lost}");
    assert_eq!(bench.node.unsent(), 32);
    bench.acknowledging = true;
    bench.sent.clear();
    bench.run(20 * 60 * SECOND);
    assert_eq!(bench.node.unsent(), 0);
    let counters: Vec<u32> = bench.reports().iter().map(|report| report.1).collect();
    assert!(counters.len() >= 32, "{counters:?}");
}

fn event() -> impl Strategy<Value = Event> {
    let edge = prop_oneof![any::<i32>(), -2_000_001..=2_000_001, 0..60_000];
    let field = (edge.clone(), edge.clone(), edge).prop_map(|(x, y, z)| Field { x, y, z });
    let range = prop_oneof![
        any::<u16>().prop_map(Range::Millimetres),
        Just(Range::NoTarget),
        Just(Range::TooClose)
    ];
    let temperature = prop_oneof![
        any::<i32>().prop_map(Temperature::MilliCelsius),
        Just(Temperature::Fault),
        Just(Temperature::NotFitted)
    ];
    let reading = prop_oneof![
        prop::option::of(field).prop_map(Reading::Field),
        prop::option::of(range).prop_map(Reading::Range),
        temperature.prop_map(Reading::Temperature),
        any::<(Option<bool>, Option<bool>)>()
            .prop_map(|(tilted, lid_open)| Reading::Switches { tilted, lid_open }),
        any::<Option<u16>>().prop_map(Reading::Battery),
    ];
    let settings = any::<(u16, u32, u32, u16, u8)>().prop_map(|(a, b, c, d, e)| {
        let bay =
            BaySettings { sample_ms: a, arrive_nt: d, leave_nt: d / 2, moving_nt: a, settle_ms: d };
        let bin = BinSettings { sample_s: b, burst: e, change_mm: d, fire_mc: 65_000 };
        let quick =
            Settings { revision: a, keep_alive_s: 60, battery_s: 3600, ..Settings::INITIAL };
        if e % 2 == 0 {
            quick
        } else {
            Settings { keep_alive_s: b, battery_s: c, bay, bin, ..quick }
        }
    });
    let down = prop_oneof![
        (0_u32..400).prop_map(|counter| Down::Ack(Ack { counter })),
        settings.prop_map(Down::Settings),
        Just(Down::Recalibrate),
        any::<u16>().prop_map(|seconds| Down::Identify(Identify { seconds })),
        any::<u64>().prop_map(|unix_s| Down::Time(Time { unix_s })),
    ];
    let node = prop_oneof![Just(NUMBER), Just(BROADCAST), any::<u32>()];
    let frame = (node, any::<u32>(), down).prop_map(|(node, counter, down)| {
        let header = Header { node, counter, uptime_s: 0 };
        Event::Heard(Heard::Frame(Frame { header, body: Body::Down(down) }))
    });
    prop_oneof![
        4 => Just(Event::Wake),
        4 => reading.prop_map(Event::Read),
        2 => frame,
        1 => any::<bool>().prop_map(Event::Stored),
        1 => any::<bool>().prop_map(Event::Kept),
        1 => Just(Event::Heard(Heard::Fault(Fault::TooLong))),
    ]
}

proptest! {
    #[test]
    fn no_events_make_it_panic_or_spin(
        is_bay in any::<bool>(),
        start in prop_oneof![Just(0), Just(u64::MAX - 5_000_000)],
        events in prop::collection::vec((event(), 0_u64..20_000), 1..400),
    ) {
        let kind = if is_bay { Kind::Bay } else { Kind::Bin };
        let (mut node, mut now) = (Node::new(identity(kind), None, start), start);
        for (event, pause) in events {
            // Half of the time it wakes when it wants to, otherwise when it pleases the street.
            now = if pause % 2 == 0 { node.next_ms().max(now) } else { now.saturating_add(pause) };
            let _ = node.step(event, now);
            prop_assert!(node.next_ms() > now || now == u64::MAX, "it would spin at {}", now);
            prop_assert!(node.unsent() <= 32);
        }
    }

    #[test]
    fn no_bytes_on_the_line_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..2000)) {
        let mut node = Node::new(identity(Kind::Bay), None, 0);
        let mut deframer = Deframer::new();
        let before = *node.settings();
        for (heard, now) in bytes.iter().filter_map(|byte| deframer.push(*byte)).zip(1..) {
            let _ = node.step(Event::Heard(heard), now);
        }
        prop_assert_eq!(*node.settings(), before);
    }
}
