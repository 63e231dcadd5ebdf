//! Sweeping against the truth: recorded drives, a real fleet, real rounds, and simulated weeks.

mod fleet;
mod plans;
mod rounds;
mod tracks;
mod week;

use domain::Engine;
use domain::ids::{DeviceKey, SourceName};
use domain::input::Input;
use domain::output::{Body, Message, Outputs, Topic};
use domain::place::{Datum, Position};
use domain::sample::{Quantity, Sample};
use domain::site::Site;
use domain::time::{Boot, ClockQuality, Moment, Monotonic, Now, Utc};
use serde_json::{Map, Value};

const LAT: f64 = 31.811;
const LON: f64 = 119.974;
const DEGREE_M: f64 = 111_195.08;

/// Small numbers with a seed (SplitMix64), the same on every machine.
pub(crate) struct Chance(pub(crate) u64);

impl Chance {
    fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// From 0 to 1.
    fn unit(&mut self) -> f64 {
        (self.bits() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// Near enough to a normal distribution: the sum of twelve.
    pub(crate) fn normal(&mut self) -> f64 {
        (0..12).map(|_| self.unit()).sum::<f64>() - 6.0
    }
}

/// A receiver as it is in streets: a slow drift of some metres and a little noise.
struct Receiver {
    chance: Chance,
    drift: (f64, f64),
}

impl Receiver {
    fn new(seed: u64) -> Receiver {
        Receiver { chance: Chance(seed), drift: (0.0, 0.0) }
    }

    /// An autoregressive drift with 1.5 m deviation and a minute's memory, and 0.4 m of noise.
    fn sees(&mut self, x: f64, y: f64) -> (f64, f64) {
        let keep = (-1.0f64 / 60.0).exp();
        let push = 1.5 * (1.0 - keep * keep).sqrt();
        self.drift.0 = self.drift.0 * keep + push * self.chance.normal();
        self.drift.1 = self.drift.1 * keep + push * self.chance.normal();
        (
            x + self.drift.0 + 0.4 * self.chance.normal(),
            y + self.drift.1 + 0.4 * self.chance.normal(),
        )
    }
}

/// The place so many metres east and north of the origin of the simulated towns.
pub(crate) fn place(x: f64, y: f64) -> Position {
    let east = DEGREE_M * LAT.to_radians().cos();
    Position::from_degrees(LAT + y / DEGREE_M, LON + x / east, Datum::Wgs84).unwrap()
}

/// A box on the Changzhou ring road whose configuration ends with `rest`; its files lie in `folder`.
fn site_in(folder: &std::path::Path, rest: &str) -> Result<Site, String> {
    let file = folder.join("box.toml");
    let head = "[box]\nid = \"b\"\ntenant = \"t\"\nsite = \"s\"\ntimezone = \"Asia/Shanghai\"\n\
                [mqtt]\nurl = \"mqtt://127.0.0.1\"\n";
    std::fs::write(&file, format!("{head}{rest}")).unwrap();
    steward::config::load(&file)
        .map(|loaded| loaded.config.site)
        .map_err(|faults| faults.to_string())
}

fn site(rest: &str) -> Site {
    let folder = tempfile::tempdir().unwrap();
    site_in(folder.path(), rest).unwrap_or_else(|faults| panic!("{faults}"))
}

/// A receiver called `id` and the vehicle of the same name; `more` are keys of the vehicle.
fn vehicle(id: &str, kind: &str, more: &str) -> String {
    format!(
        "[[source]]\nname = \"{id}\"\nkind = \"nmea\"\ndevice = \"/dev/{id}\"\n\
         [[vehicle]]\nid = \"{id}\"\nkind = \"{kind}\"\nsource = \"{id}\"\n{more}\n"
    )
}

fn source(name: &str) -> SourceName {
    SourceName::new(name).unwrap()
}

/// Wall time and the monotonic clock of a box that was started a day before `epoch`.
fn now(epoch: Utc, utc: Utc) -> Now {
    let day = 86_400_000;
    let ms = utc.as_ms() - epoch.as_ms() + day;
    let monotonic = Monotonic::from_ms(u64::try_from(ms).unwrap());
    Moment { boot: Boot(1), monotonic, utc, clock: ClockQuality::Ntp }
}

fn report(from: &str, at: Utc, quantities: Vec<Quantity>) -> Input {
    let device: Option<DeviceKey> = None;
    Input::Sample(Sample { source: source(from), device, counter: None, at: Some(at), quantities })
}

/// The data of the events of a kind, each with the topic of its asset.
fn events(out: &Outputs, wanted: &str) -> Vec<(String, Map<String, Value>)> {
    let event = |message: &Message| match (&message.topic, &message.body) {
        (Topic::AssetEvent(key), Body::Event { kind, data }) if *kind == wanted => {
            Some((key.id.to_string(), data.clone()))
        }
        _ => None,
    };
    out.messages.iter().filter_map(event).collect()
}

/// What became of tickets in a step: the event, the category and the asset.
fn tickets(out: &Outputs) -> Vec<(&'static str, String, String)> {
    let ticket = |message: &Message| match (&message.topic, &message.body) {
        (Topic::TicketEvent(_), Body::Event { kind, data }) => {
            let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
            Some((*kind, text(&data["category"]), text(&data["asset"]["id"])))
        }
        _ => None,
    };
    out.messages.iter().filter_map(ticket).collect()
}

/// The present state of an asset as it would be published.
fn state(engine: &Engine, id: &str) -> Map<String, Value> {
    let (_, state) = engine.states().find(|(key, _)| key.id.as_str() == id).unwrap();
    state
}
