//! An hour of a real fleet, polled every minute: most lines are the poll before again, and some units have
//! been silent for months.

use std::collections::{BTreeMap, BTreeSet};

use domain::Engine;
use domain::decode::Reason;
use domain::place::{Datum, Position};
use domain::sample::{Fix, Quantity};
use domain::time::{Span, Utc};
use serde_json::Value;
use system_tests::data;

use super::{now, report, site, state, vehicle};

/// US Eastern in December.
const OFFSET: &str = "-05:00";

struct Line {
    polled: Utc,
    unit: String,
    at: Utc,
    position: Position,
}

fn polls(text: &str) -> Vec<Line> {
    let mut polled = None;
    let mut lines = vec![];
    for line in text.lines() {
        if let Some(name) = line.strip_prefix("## poll ") {
            let (m, d, y, h, min, s) =
                (&name[0..2], &name[2..4], &name[4..6], &name[7..9], &name[9..11], &name[11..13]);
            polled = Utc::parse(&format!("20{y}-{m}-{d}T{h}:{min}:{s}Z")).ok();
            continue;
        }
        let fields: Vec<&str> = line.split('|').collect();
        let [lat, lon, unit, _, at] = fields[..] else { continue };
        lines.push(Line {
            polled: polled.unwrap(),
            unit: unit.to_lowercase(),
            at: Utc::parse(&format!("{at}{OFFSET}")).unwrap(),
            position: Position::from_degrees(
                lat.parse().unwrap(),
                lon.parse().unwrap(),
                Datum::Wgs84,
            )
            .unwrap(),
        });
    }
    lines
}

#[test]
fn every_position_of_a_polled_fleet_counts_once_and_the_silent_are_marked() {
    let Some(set) = data::set("fleet_tracks") else { return };
    let lines = polls(&data::text(&set, "jersey_city_minute_polls_121015-14.txt"));
    let distinct: BTreeSet<(&str, Utc)> =
        lines.iter().map(|line| (line.unit.as_str(), line.at)).collect();
    assert!(lines.len() > 7 * distinct.len(), "most lines are there before");
    let units: BTreeSet<&str> = lines.iter().map(|line| line.unit.as_str()).collect();
    let config: String =
        units.iter().map(|unit| vehicle(unit, "collector", "stale_after = \"10m\"")).collect();
    let first = lines[0].polled;
    let mut engine = Engine::new(site(&config), vec![], now(first, first));
    let mut duplicates = 0;
    for line in &lines {
        let fix = Fix {
            position: line.position,
            speed: None,
            course: None,
            accuracy: None,
            satellites: None,
        };
        let input = report(&line.unit, line.at, vec![Quantity::Fix(fix)]);
        let out = engine.step(input, now(first, line.polled));
        duplicates += out.rejected.iter().filter(|r| r.reason == Reason::Duplicate).count();
    }
    let states: BTreeMap<&str, _> =
        units.iter().map(|unit| (*unit, state(&engine, unit))).collect();
    let count = |key: &str| states.values().map(|s| s[key].as_u64().unwrap()).sum::<u64>();
    assert_eq!(count("fixes"), distinct.len() as u64);
    assert_eq!((count("duplicates"), count("late")), (duplicates as u64, 0));
    assert_eq!(duplicates, lines.len() - distinct.len(), "each is counted with its reason");
    let end = lines.last().unwrap().polled;
    let mut silent = 0;
    for unit in &units {
        let last =
            lines.iter().filter(|line| line.unit == *unit).map(|line| line.at).max().unwrap();
        let stale = end.since(last) >= Span::from_mins(10);
        let state = &states[unit];
        assert_eq!(state["activity"] == "unknown", stale, "{unit}: {last} at {end}: {state:?}");
        assert_eq!(state["position"] == Value::Null, stale, "{unit}");
        assert_eq!(
            state.get("reason").and_then(Value::as_str),
            stale.then_some("silent"),
            "{unit}"
        );
        silent += usize::from(stale);
    }
    assert!(silent > 50 && silent < units.len() - 10, "{silent} of {}", units.len());
}

#[test]
fn a_day_of_a_real_fleet_is_about_as_long_as_its_paths() {
    let Some(set) = data::set("fleet_tracks") else { return };
    let expected: BTreeMap<String, Value> =
        serde_json::from_str(&data::text(&set, "EXPECT.json")).unwrap();
    let text = data::text(&set, "jersey_city_sanitation_2015-12-10.csv");
    let mut lines: Vec<(Utc, String, Position)> = text
        .lines()
        .skip(1)
        .map(|line| {
            let fields: Vec<&str> = line.splitn(5, ',').collect();
            let degrees = |n: usize| fields[n].parse::<f64>().unwrap();
            let position = Position::from_degrees(degrees(2), degrees(3), Datum::Wgs84).unwrap();
            (
                Utc::parse(&format!("{}{OFFSET}", fields[1])).unwrap(),
                fields[0].to_lowercase(),
                position,
            )
        })
        .collect();
    lines.sort();
    let config: String =
        expected.keys().map(|unit| vehicle(&unit.to_lowercase(), "other", "")).collect();
    let first = lines[0].0;
    let mut engine = Engine::new(site(&config), vec![], now(first, first));
    for (at, unit, position) in &lines {
        let fix = Fix {
            position: *position,
            speed: None,
            course: None,
            accuracy: None,
            satellites: None,
        };
        let _ = engine.step(report(unit, *at, vec![Quantity::Fix(fix)]), now(first, *at));
    }
    for (unit, expected) in &expected {
        let lower = unit.to_lowercase();
        let state = state(&engine, &lower);
        // Some positions have the same second: whichever came first is the one that counts.
        let of_unit = lines.iter().filter(|(_, of, _)| *of == lower);
        let seconds: BTreeSet<Utc> = of_unit.clone().map(|(at, ..)| *at).collect();
        assert_eq!(expected["points"], of_unit.count());
        assert_eq!(state["fixes"], seconds.len(), "{unit}");
        let way = state["distance_m"].as_f64().unwrap();
        let path = expected["path_m"].as_f64().unwrap();
        // Legs of less than the noise of a receiver, and what a vehicle at rest wanders, do not count.
        assert!(
            way <= path * 1.001 + 1.0 && way >= path * 0.85 - 200.0,
            "{unit}: {way} m of {path} m"
        );
    }
}
