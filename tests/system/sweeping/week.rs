//! Ten sweepers on a grid of double carriageways, with tunnels, noise and a brush sensor that errs; through
//! the whole engine, against the truth.

use std::collections::BTreeSet;

use domain::Engine;
use domain::input::Input;
use domain::sample::{Absent, Fix, Missing, NoData, Quantity};
use domain::time::{Span, Utc};
use domain::units::{Millimetres, MillimetresPerSecond};
use serde_json::json;

use super::{Chance, Receiver, events, now, place, report, site_in, tickets, vehicle};

const SWEEPERS: usize = 10;

/// A straight carriageway.
struct Street {
    x0: f64,
    y0: f64,
    x1: f64,
    y1: f64,
}

impl Street {
    fn length(&self) -> f64 {
        (self.x1 - self.x0).hypot(self.y1 - self.y0)
    }

    fn at(&self, metres: f64) -> (f64, f64) {
        let part = metres / self.length();
        (self.x0 + (self.x1 - self.x0) * part, self.y0 + (self.y1 - self.y0) * part)
    }
}

/// A grid of eight avenues and eight streets, each with two carriageways 14 m apart, against each other.
fn grid() -> Vec<Street> {
    let mut streets = vec![];
    for i in 0..8 {
        let across = f64::from(i) * 250.0;
        let (a, b) = (20.0, 820.0);
        streets.push(Street { x0: a, y0: across, x1: b, y1: across });
        streets.push(Street { x0: b, y0: across + 14.0, x1: a, y1: across + 14.0 });
        streets.push(Street { x0: across + 14.0, y0: a, x1: across + 14.0, y1: b });
        streets.push(Street { x0: across, y0: b, x1: across, y1: a });
    }
    streets
}

/// The plan as a GeoJSON file: the roads are called after their number.
fn plan(streets: &[Street]) -> String {
    let point = |(x, y): (f64, f64)| json!([place(x, y).lon(), place(x, y).lat()]);
    let feature = |(i, street): (usize, &Street)| {
        json!({
            "type": "Feature", "properties": {"id": format!("road-{i}")},
            "geometry": {
                "type": "LineString",
                "coordinates": [point((street.x0, street.y0)), point((street.x1, street.y1))],
            },
        })
    };
    let features: Vec<_> = streets.iter().enumerate().map(feature).collect();
    json!({"type": "FeatureCollection", "features": features}).to_string()
}

/// How a sweeper does a street on one day.
#[derive(Clone, Copy, PartialEq, Debug)]
enum Way {
    /// All of it.
    Swept,
    /// All of it, and it has a tunnel of 60 m in it.
    Tunnel,
    /// The brush comes up half way.
    Half,
    /// Driven through with the brush up.
    BrushUp,
    /// Driven through too fast with the brush down: nothing is cleaned.
    TooFast,
    /// Not visited.
    Skipped,
}

fn way(chance: &mut Chance) -> Way {
    match (chance.unit() * 100.0) as u32 {
        0..70 => Way::Swept,
        70..78 => Way::Tunnel,
        78..84 => Way::Half,
        84..90 => Way::BrushUp,
        90..94 => Way::TooFast,
        _ => Way::Skipped,
    }
}

/// One report of one sweeper.
type Said = (Utc, usize, Vec<Quantity>);

/// Drives a street second by second; gives the metres that were truly swept.
fn drive(
    street: &Street,
    way: Way,
    (sweeper, receiver): (usize, &mut Receiver),
    clock: &mut Utc,
    said: &mut Vec<Said>,
) -> f64 {
    let speed = match way {
        Way::TooFast => 5.5,
        Way::BrushUp => 4.0,
        Way::Skipped => return 0.0,
        _ => 2.0 + receiver.chance.unit(),
    };
    let (mut metres, mut swept) = (0.0, 0.0);
    while metres < street.length() {
        *clock = *clock + Span::from_secs(1);
        let brush = match way {
            Way::BrushUp => false,
            Way::Half => metres < street.length() / 2.0,
            _ => true,
        };
        // The sensor of the brush is wrong for a second now and then.
        let told = if receiver.chance.unit() < 0.002 { !brush } else { brush };
        let (x, y) = street.at(metres);
        let (x, y) = receiver.sees(x, y);
        let measured = speed * 1000.0 + 50.0 * receiver.chance.normal();
        let fix = Fix {
            position: place(x, y),
            speed: Some(MillimetresPerSecond(measured as u32)),
            course: None,
            accuracy: Some(Millimetres(1000)),
            satellites: None,
        };
        let dark = way == Way::Tunnel && (300.0..360.0).contains(&metres);
        let seen = match dark {
            true => Quantity::Absent(Absent { what: Missing::Fix, why: NoData::NoFix }),
            false => Quantity::Fix(fix),
        };
        said.push((*clock, sweeper, vec![Quantity::Working(told), seen]));
        metres += speed;
        swept += if brush && speed <= 15.0 / 3.6 { speed } else { 0.0 };
    }
    // Out of the street, the brush is up.
    *clock = *clock + Span::from_secs(1);
    said.push((*clock, sweeper, vec![Quantity::Working(false)]));
    swept.min(street.length())
}

/// A day of all sweepers: what they report in the order of time, and the metres swept of each street.
fn day(number: u64, midnight: Utc, streets: &[Street]) -> (Vec<Said>, Vec<f64>) {
    let (mut said, mut truth) = (vec![], vec![0.0; streets.len()]);
    for sweeper in 0..SWEEPERS {
        let mut receiver = Receiver::new(1000 + number * 100 + sweeper as u64);
        let mut clock = midnight + Span::from_mins(1 + sweeper as u64);
        for i in (0..streets.len()).filter(|i| i % SWEEPERS == sweeper) {
            // From one street to the next it drives with the brush up, out of sight of the plan.
            clock = clock + Span::from_mins(5);
            let how = way(&mut receiver.chance);
            truth[i] = drive(&streets[i], how, (sweeper, &mut receiver), &mut clock, &mut said);
        }
    }
    said.sort_by_key(|(at, sweeper, _)| (*at, *sweeper));
    (said, truth)
}

/// Through the engine for so many days; gives what to print of each, and judges.
fn sweepers_are_told_as_they_were(days: u64) -> Vec<String> {
    let mut lines = vec![];
    let streets = grid();
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("roads.geojson"), plan(&streets)).unwrap();
    let mut config: String =
        (0..SWEEPERS).map(|i| vehicle(&format!("sweeper-{i}"), "sweeper", "")).collect();
    config += "[[plan]]\nfile = \"roads.geojson\"\ndatum = \"WGS84\"\n\
               sweep = { windows = [\"daily 00:00-23:00\"] }\n";
    let monday = Utc::parse("2026-06-08T00:00:00+08:00").unwrap();
    let site = site_in(folder.path(), &config).unwrap();
    let mut engine = Engine::new(site, vec![], now(monday, monday));
    let _ = engine.step(Input::Start, now(monday, monday));
    let (mut worst, mut found): (f64, usize) = (0.0, 0);
    let mut raised = BTreeSet::new();
    for number in 0..days {
        let midnight = monday + Span::from_mins(number * 24 * 60);
        let (said, truth) = day(number, midnight, &streets);
        for (at, sweeper, quantities) in said {
            let out =
                engine.step(report(&format!("sweeper-{sweeper}"), at, quantities), now(monday, at));
            assert!(tickets(&out).iter().all(|(_, category, _)| category != "unswept_road"));
        }
        let out = engine.step(Input::Tick, now(monday, midnight + Span::from_mins(23 * 60 + 1)));
        let ended = events(&out, "sweep.road");
        assert_eq!(ended.len(), streets.len());
        let (mut told, mut cells) = (0, 0);
        let mut missed = BTreeSet::new();
        for (id, data) in &ended {
            let count = |key: &str| data[key].as_u64().unwrap();
            told += count("done") + count("unknown");
            cells += count("cells");
            if (count("done") + count("unknown")) * 10 < count("cells") * 9 {
                missed.insert(id.clone());
            }
        }
        let length: f64 = streets.iter().map(Street::length).sum();
        let told = 100.0 * told as f64 / cells as f64;
        let swept = 100.0 * truth.iter().sum::<f64>() / length;
        lines.push(format!("day {number}: told {told:.2} %, truth {swept:.2} %"));
        worst = worst.max((told - swept).abs());
        let truly = (0..streets.len()).filter(|i| truth[*i] / streets[*i].length() < 0.9);
        let truly: BTreeSet<String> = truly.map(|i| format!("road-{i}")).collect();
        assert_eq!(missed, truly, "day {number}");
        found += truly.len();
        // One ticket for a road, open until a later window was swept.
        let unswept =
            tickets(&out).into_iter().filter(|(_, category, _)| category == "unswept_road");
        for (kind, _, asset) in unswept {
            match kind {
                "ticket.raised" | "ticket.reopened" => assert!(raised.insert(asset)),
                "ticket.cleared" => assert!(raised.remove(&asset)),
                // One that was cleared and that nobody has looked at for days.
                "ticket.expired" => assert!(!raised.contains(&asset)),
                other => panic!("{other}"),
            }
        }
        assert_eq!(raised, truly, "day {number}: the open tickets");
    }
    lines.push(format!("worst error {worst:.2} points; {found} missed roads"));
    assert!(worst <= 2.0, "{worst} percentage points off");
    assert!(found as u64 >= 4 * days, "the days have something to find");
    lines
}

#[test]
fn two_days_of_ten_sweepers_are_told_as_they_were() {
    println!("{}", sweepers_are_told_as_they_were(2).join("\n"));
}

#[test]
#[ignore = "a week through the whole engine takes a while in debug: make soak"]
fn a_week_of_ten_sweepers_is_told_as_it_was() {
    println!("{}", sweepers_are_told_as_they_were(7).join("\n"));
}
