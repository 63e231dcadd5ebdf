//! A bay beside a lane: what passes and what parks next to it, from the field above the sensor through the
//! node, its frames and the whole core.
//!
//! Vehicles are magnetic dipoles of the strength that is measured on real ones (some hundred ampere square
//! metres), at the distances of a kerb: a lane 2.5 m beside the sensor, a bay 3 m beside it.

use domain::decode::node_link::NodeLink;
use domain::decode::{Decode, Raw};
use domain::ids::SourceName;
use domain::time::Span;
use drivers::Field;
use node::{Action, Event, Identity, Kind, Node, Reading, Sense};
use wire::{Ack, Body, Down, FRAME_MAX, Firmware, Frame, Header, Heard, Temperature, Up};

use super::street::{Street, config};
use crate::sweeping::Chance;

const NODE: u32 = 1001;
/// The field of the earth there, in nanotesla.
const EARTH: [f64; 3] = [30_000.0, -4_000.0, 38_000.0];

/// A vehicle at a place: metres along the kerb and beside it, and its moment in A·m².
#[derive(Debug, Clone, Copy)]
struct Car {
    along: f64,
    beside: f64,
    moment: [f64; 3],
}

const MOMENT: [f64; 3] = [180.0, -90.0, 260.0];

impl Car {
    /// What it adds to the field at the sensor, in nanotesla: a dipole, µ₀/4π = 1e-7.
    fn field(self) -> [f64; 3] {
        let r = [self.along, self.beside, 0.5];
        let squared: f64 = r.iter().map(|x| x * x).sum();
        let along: f64 = r.iter().zip(self.moment).map(|(x, m)| x * m).sum();
        let tesla =
            |i: usize| 1e-7 * (3.0 * r[i] * along / squared - self.moment[i]) / squared.powf(1.5);
        [0, 1, 2].map(|i| tesla(i) * 1e9)
    }
}

/// A node on a bay whose field the test makes, and the box that hears it.
struct Kerb {
    node: Node,
    ms: u64,
    chance: Chance,
    link: NodeLink,
    street: Street,
    told_ms: u64,
}

impl Kerb {
    fn new() -> Kerb {
        let line = "[[source]]\nname = \"line\"\nkind = \"node-link\"\ndevice = \"/dev/ttyX\"\n\
                    [[bay]]\nid = \"b-1\"\nsource = \"line\"\ndevice = 1001\n";
        let firmware = Firmware { major: 0, minor: 1, patch: 0 };
        let identity = Identity::new(NODE, Kind::Bay, firmware).unwrap();
        let mut kerb = Kerb {
            node: Node::new(identity, None, 0),
            ms: 0,
            chance: Chance(7),
            link: NodeLink::new(SourceName::new("line").unwrap()),
            street: Street::new(&(config(&[]) + line)),
            told_ms: 0,
        };
        kerb.pass(120_000, |_| None);
        kerb
    }

    /// Lets time pass, with a vehicle where `car` says at each millisecond from now.
    fn pass(&mut self, ms: u64, car: impl Fn(u64) -> Option<Car>) {
        let begun = self.ms;
        while self.ms < begun + ms {
            self.ms = self.node.next_ms().clamp(self.ms + 1, begun + ms);
            let there = car(self.ms - begun);
            self.event(Event::Wake, there);
        }
    }

    fn event(&mut self, event: Event, car: Option<Car>) {
        for action in &self.node.step(event, self.ms) {
            match action {
                Action::Measure(sense) => {
                    let reading = self.reading(*sense, car);
                    self.event(Event::Read(reading), car);
                }
                Action::Store => self.event(Event::Stored(true), car),
                Action::Keep { .. } => self.event(Event::Kept(true), car),
                Action::Send(frame) => self.hear(frame, car),
                Action::Identify { .. } | Action::SetClock { .. } => {}
            }
        }
    }

    fn reading(&mut self, sense: Sense, car: Option<Car>) -> Reading {
        let added = car.map_or([0.0; 3], Car::field);
        match sense {
            Sense::Field => {
                // A magnetometer of this class has some hundred nanotesla of noise.
                let axis = |i: usize, noise: f64| (EARTH[i] + added[i] + noise) as i32;
                let noise = [0; 3].map(|_| 150.0 * self.chance.normal());
                let field =
                    Field { x: axis(0, noise[0]), y: axis(1, noise[1]), z: axis(2, noise[2]) };
                Reading::Field(Some(field))
            }
            Sense::Range => Reading::Range(None),
            Sense::Temperature => Reading::Temperature(Temperature::MilliCelsius(20_000)),
            Sense::Switches => Reading::Switches { tilted: None, lid_open: None },
            Sense::Battery => Reading::Battery(Some(3600)),
        }
    }

    /// The box hears a frame, takes what it says and acknowledges it.
    fn hear(&mut self, frame: &Frame, car: Option<Car>) {
        let mut bytes = [0; FRAME_MAX];
        let bytes = frame.encode(&mut bytes).unwrap();
        self.street.pass(Span::from_ms(self.ms - self.told_ms));
        self.told_ms = self.ms;
        let mut samples = vec![];
        self.link.feed(Raw::Bytes(bytes), self.street.now.utc, &mut samples);
        samples.into_iter().for_each(|sample| self.street.take_sample(sample));
        if matches!(frame.body, Body::Up(Up::Report(_))) {
            let header = Header { node: NODE, counter: 0, uptime_s: 0 };
            let ack = Down::Ack(Ack { counter: frame.header.counter });
            let frame = Frame { header, body: Body::Down(ack) };
            self.event(Event::Heard(Heard::Frame(frame)), car);
        }
    }

    /// A vehicle passes in the lane.
    fn passes(&mut self, kmh: f64, strength: f64) {
        let speed = kmh / 3.6;
        let ms = (60.0 / speed * 1000.0) as u64;
        let moment = MOMENT.map(|m| m * strength);
        self.pass(ms, |at| {
            let along = -30.0 + speed * at as f64 / 1000.0;
            Some(Car { along, beside: 2.5, moment })
        });
        self.pass(4_000, |_| None);
    }
}

#[test]
fn scenario_07_traffic_in_the_lane_and_the_car_next_door_are_no_session() {
    let mut kerb = Kerb::new();
    for round in 0..10 {
        for kmh in [20.0, 32.0, 48.0, 64.0] {
            // Cars, and a lorry now and then.
            kerb.passes(kmh, if round % 5 == 4 { 3.0 } else { 1.0 });
        }
    }
    // Somebody parks on the next bay for an hour, and the traffic goes on.
    let next_door = Car { along: 0.0, beside: 3.0, moment: MOMENT };
    kerb.pass(4_000, |at| Some(Car { along: 4.0 - at as f64 / 1000.0, ..next_door }));
    kerb.pass(3_600_000, |_| Some(next_door));
    kerb.pass(4_000, |at| Some(Car { along: at as f64 / 1000.0, ..next_door }));
    kerb.pass(120_000, |_| None);
    kerb.street.pass(Span::from_mins(2));
    assert_eq!(kerb.street.sessions, [], "zero sessions");
    assert_eq!(kerb.street.state("b-1")["status"], "free", "and the bay is known to be free");
    // The same sensor sees a car that parks above it.
    let above = Car { along: 0.0, beside: 0.0, moment: MOMENT.map(|m| m / 4.0) };
    kerb.pass(4_000, |at| Some(Car { along: 4.0 - at as f64 / 1000.0, ..above }));
    kerb.pass(1_800_000, |_| Some(above));
    kerb.pass(4_000, |at| Some(Car { along: at as f64 / 1000.0, ..above }));
    kerb.pass(120_000, |_| None);
    kerb.street.pass(Span::from_mins(2));
    assert_eq!(kerb.street.sessions.len(), 1, "{:?}", kerb.street.sessions);
    let lasted = kerb.street.sessions[0]["duration_s"].as_u64().unwrap();
    assert!((1790..=1820).contains(&lasted), "{lasted}");
    assert_eq!(kerb.street.engine.open_tickets(), 0);
}
