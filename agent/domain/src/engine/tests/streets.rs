//! Vehicles sweep streets, and what is said of it.

use super::*;
use crate::sample::Fix;
use crate::site::{Duty, Vehicle, VehicleKind};
use crate::sweeping::{Plan, Window};
use crate::units::MillimetresPerSecond;

const STREETS: [&str; 2] = ["north", "south"];

/// A degree of longitude at the streets' latitude in metres.
const DEGREE_M: f64 = 94_489.0;

fn at(x: f64, lat: f64) -> Position {
    Position::from_degrees(lat, 119.97 + x / DEGREE_M, Datum::Wgs84).unwrap()
}

/// A sweeper and two streets of 200 m, 550 m apart, from noon to one.
fn sweeping_site() -> Site {
    let mut site = site();
    let vehicle = Vehicle {
        kind: VehicleKind::Sweeper,
        work_speed_max: MillimetresPerSecond::from_kmh(15),
        parked_after: Span::from_mins(10),
        stale_after: Span::from_mins(5),
        duty: Duty::NONE,
    };
    site.assets.extend([asset("v-1", Kind::Vehicle(vehicle))]);
    for (i, name) in STREETS.iter().enumerate() {
        let lat = 31.81 - 0.005 * i as f64;
        let sweep = Plan {
            side: crate::sweeping::Side::Along,
            width_m: 7.0,
            windows: vec![Window::new([true; 7], 12 * 60, 13 * 60).unwrap()],
            passes: 1,
            zone: jiff::tz::TimeZone::UTC,
        };
        let kind = Kind::Street { line: vec![at(0.0, lat), at(200.0, lat)], sweep: Some(sweep) };
        let (key, mut street) = asset(name, kind);
        street.feeds.clear();
        site.assets.insert(key, street);
    }
    let when = Condition::Threshold {
        fact: FactName::SweptPct,
        side: Side::Below,
        raise_at: Level::Milli(90_000),
        clear_at: Level::Milli(95_000),
        hold: Span::ZERO,
        readings: 1,
    };
    site.rules.push(rule("unswept", Class::Street, "unswept_road", when));
    site
}

/// Noon, so many seconds later; the box started with the epoch of the other tests.
fn noon(seconds: u64) -> Now {
    let noon = Utc::parse("2026-06-04T12:00:00Z").unwrap() + Span::from_secs(seconds);
    t(0).at(noon)
}

/// Sweeps the northern street from `x0` to `x1` metres, beginning at second `start`.
fn sweep(engine: &mut Engine, start: u64, x0: u32, x1: u32) -> Vec<Message> {
    let mut messages = vec![];
    for (second, x) in (start..).zip((x0..=x1).step_by(2)) {
        let fix = Fix {
            position: at(f64::from(x), 31.81),
            speed: Some(MillimetresPerSecond(2000)),
            course: None,
            accuracy: None,
            satellites: None,
        };
        let works = [Quantity::Working(x < x1), Quantity::Fix(fix)];
        for quantity in works {
            let out = engine.step(
                say(
                    "v-1",
                    x + 1_000_000 * u32::from(matches!(quantity, Quantity::Fix(_))),
                    quantity,
                ),
                noon(second),
            );
            messages.extend(out.messages);
        }
    }
    messages
}

fn coverage(engine: &mut Engine, id: &str, now: Now) -> Map<String, Value> {
    let street = AssetId::new("north").unwrap();
    let ask = Input::Command(Command {
        id: id.into(),
        by: Requester::new("duty").unwrap(),
        issued_at: None,
        expires_at: None,
        signed: false,
        action: Action::Coverage { street: Some(street), from: 0 },
    });
    reply(&engine.step(ask, now))["result"].as_object().unwrap().clone()
}

#[test]
fn a_street_that_was_not_swept_is_one_ticket_when_its_window_ends() {
    let mut engine = Engine::new(sweeping_site(), vec![], noon(0));
    let messages = sweep(&mut engine, 10, 0, 200);
    let told = messages.iter().filter(|m| m.lane == Lane::State && m.topic.to_street()).count();
    assert!((3..=8).contains(&told), "told every fifteen seconds: {told}");
    assert!(ticket_events(&messages).is_empty(), "not before the window ends");

    let map = coverage(&mut engine, "c1", noon(200));
    assert_eq!(map["features"].as_array().unwrap().len(), 1, "all of it is done: {map:?}");
    assert_eq!(map["features"][0]["properties"]["state"], "done");

    let out = engine.step(Input::Tick, noon(3600));
    let ended: Vec<_> = out
        .messages
        .iter()
        .filter_map(|m| match &m.body {
            Body::Event { kind: "sweep.road", data } => Some(data["done_pct"].as_f64().unwrap()),
            _ => None,
        })
        .collect();
    assert_eq!(ended, [100.0, 0.0], "north was swept, south was not");
    assert_eq!(ticket_events(&out.messages), ["ticket.raised"]);
    let out = engine.step(Input::Tick, noon(4000));
    assert!(out.messages.iter().all(|m| m.lane != Lane::Event && m.lane != Lane::Ticket));
}

#[test]
fn coverage_survives_a_restart_and_the_break_is_not_swept_twice() {
    let mut engine = Engine::new(sweeping_site(), vec![], noon(0));
    let mut records = BTreeMap::new();
    let collect = |engine: &mut Engine, records: &mut BTreeMap<String, Vec<u8>>| {
        for x in (0..=100u32).step_by(2) {
            let fix = Fix {
                position: at(f64::from(x), 31.81),
                speed: Some(MillimetresPerSecond(2000)),
                course: None,
                accuracy: None,
                satellites: None,
            };
            let out = engine.step(say("v-1", x, Quantity::Fix(fix)), noon(10 + u64::from(x / 2)));
            store(records, &out);
        }
        store(records, &engine.step(Input::Tick, noon(90)));
    };
    collect(&mut engine, &mut records);
    let stored = records
        .iter()
        .map(|(key, value)| Record { key: key.clone(), value: Some(value.clone()) })
        .collect();
    let mut engine = Engine::new(sweeping_site(), stored, noon(100));
    let _ = engine.step(Input::Start, noon(100));
    let map = coverage(&mut engine, "c2", noon(101));
    let states: Vec<_> = map["features"]
        .as_array()
        .unwrap()
        .iter()
        .map(|f| f["properties"]["state"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(states, ["done", "missed"], "{map:?}");
}

impl Topic {
    fn to_street(&self) -> bool {
        matches!(self, Topic::AssetState(key) if key.class == Class::Street)
    }
}
