//! Collection rounds of a real city, driven by a simulated truck.

use std::collections::BTreeMap;

use domain::Engine;
use domain::input::Input;
use domain::output::Outputs;
use domain::place::{Datum, Position};
use domain::sample::{Fix, Quantity};
use domain::time::{Span, Utc};
use domain::units::MillimetresPerSecond;
use serde_json::{Value, json};
use system_tests::data;

use super::{events, now, report, site_in, tickets, vehicle};

const SKIPPED: [usize; 2] = [1, 3];
const LATE: usize = 4;

#[test]
fn a_truck_that_skips_two_stops_and_is_late_at_one_has_three_findings() {
    let Some(set) = data::set("sweep_routes") else { return };
    let routes: Value =
        serde_json::from_str(&data::text(&set, "tainan_collection_routes.json")).unwrap();
    let rounds = routes.as_array().unwrap().iter().flat_map(|r| r["data"].as_array().unwrap());
    let tried = rounds.filter(|round| drive_round(round)).count();
    assert!(tried >= 6, "only {tried} rounds have the stops for it");
}

struct Stop {
    name: String,
    position: Position,
    due: Utc,
}

/// The stops of a Monday, and their file.
fn monday(round: &Value) -> (Vec<Stop>, Value) {
    let of_monday = |stop: &&Value| {
        let time = stop["ScheduleTime"].as_str().unwrap();
        stop["DayValue"].as_str().unwrap().contains('一') && time.len() == 5
    };
    let kept: Vec<&Value> =
        round["StopData"].as_array().unwrap().iter().filter(of_monday).collect();
    let stop = |stop: &&Value| {
        let time = stop["ScheduleTime"].as_str().unwrap();
        let (lat, lon) = (stop["Lat"].as_f64().unwrap(), stop["Lon"].as_f64().unwrap());
        Stop {
            name: stop["StopName"].as_str().unwrap().to_owned(),
            position: Position::from_degrees(lat, lon, Datum::Wgs84).unwrap(),
            due: Utc::parse(&format!("2026-06-08T{time}:00+08:00")).unwrap(),
        }
    };
    (kept.iter().map(stop).collect(), json!({"StopData": kept}))
}

/// A stop next door could be taken for one of the three: such rounds prove nothing.
fn is_clear(stops: &[Stop]) -> bool {
    let apart = |a: &Stop, b: &Stop| a.position.distance_m(b.position).unwrap() > 100.0;
    let three = [SKIPPED[0], SKIPPED[1], LATE];
    let clear =
        |a: &usize| stops.iter().enumerate().all(|(b, other)| *a == b || apart(&stops[*a], other));
    stops.len() >= 6 && three.iter().all(clear)
}

/// The fixes of the truck: a minute at each stop, and the way from one to the next in between, past
/// those that it skips.
fn drive(stops: &[Stop]) -> Option<Vec<(Utc, Position, u32)>> {
    let mut order: Vec<(Utc, usize)> = (0..stops.len())
        .filter(|i| !SKIPPED.contains(i))
        .map(|i| (stops[i].due + Span::from_mins(if i == LATE { 25 } else { 2 }), i))
        .collect();
    order.sort();
    // A city's schedule has stops so near in time that no truck keeps to it.
    for n in 1..order.len() {
        let (left, from) = (order[n - 1].0 + Span::from_secs(50), order[n - 1].1);
        let metres = stops[from].position.distance_m(stops[order[n].1].position).unwrap();
        // A detour past a skipped stop included: 25 km/h as the crow flies.
        order[n].0 = order[n].0.max(left + Span::from_secs((metres / 7.0) as u64 + 10));
    }
    let on_time =
        |(at, i): &(Utc, usize)| *i == LATE || at.since(stops[*i].due) < Span::from_mins(9);
    if !order.iter().all(on_time) {
        return None;
    }
    let mut fixes = vec![];
    for (n, (at, stop)) in order.iter().enumerate() {
        for seconds in [0, 20, 40] {
            fixes.push((*at + Span::from_secs(seconds), stops[*stop].position, 0));
        }
        let Some((next, to)) = order.get(n + 1) else { continue };
        let mut way = vec![stops[*stop].position];
        way.extend(SKIPPED.iter().filter(|s| **s == stop + 1).map(|s| stops[*s].position));
        way.push(stops[*to].position);
        let leave = *at + Span::from_secs(50);
        let pause = next.since(leave).as_secs().saturating_sub(10);
        for second in (0..pause).step_by(10) {
            let part = second as f64 / pause as f64 * (way.len() - 1) as f64;
            let (leg, part) = (part as usize, part.fract());
            let between = |a: f64, b: f64| a + (b - a) * part;
            let (a, b) = (way[leg], way[leg + 1]);
            let lat = between(a.lat(), b.lat());
            let position = Position::from_degrees(lat, between(a.lon(), b.lon()), Datum::Wgs84);
            fixes.push((leave + Span::from_secs(second), position.unwrap(), 25));
        }
    }
    fixes.sort_by_key(|(at, ..)| *at);
    Some(fixes)
}

/// Drives a round of the file on a Monday; answers whether it has stops enough.
fn drive_round(round: &Value) -> bool {
    let (stops, file) = monday(round);
    if !is_clear(&stops) {
        return false;
    }
    let Some(fixes) = drive(&stops) else { return false };
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("route.json"), file.to_string()).unwrap();
    let config = vehicle("truck-3", "collector", "stale_after = \"1d\"")
        + "[[route]]\nid = \"r\"\nvehicle = \"truck-3\"\ndatum = \"WGS84\"\nfile = \"route.json\"\n";
    let site = site_in(folder.path(), &config).unwrap();
    let morning = Utc::parse("2026-06-08T04:00:00+08:00").unwrap();
    let mut engine = Engine::new(site, vec![], now(morning, morning));
    let mut outs: Vec<Outputs> = vec![engine.step(Input::Start, now(morning, morning))];
    for (at, position, kmh) in fixes {
        let speed = Some(MillimetresPerSecond::from_kmh(kmh));
        let fix = Fix { position, speed, course: None, accuracy: None, satellites: None };
        outs.push(engine.step(report("truck-3", at, vec![Quantity::Fix(fix)]), now(morning, at)));
    }
    let night = morning + Span::from_mins(22 * 60);
    outs.push(engine.step(Input::Tick, now(morning, night)));

    let all: Vec<_> = outs.iter().flat_map(|out| events(out, "route.stop")).collect();
    assert_eq!(all.len(), stops.len(), "every stop once");
    let findings: BTreeMap<&str, &str> = all
        .iter()
        .filter(|(_, data)| data["outcome"] != "served")
        .map(|(_, data)| (data["stop"].as_str().unwrap(), data["outcome"].as_str().unwrap()))
        .collect();
    let [one, three] = SKIPPED.map(|i| (stops[i].name.as_str(), "skipped"));
    let expected = BTreeMap::from([one, three, (stops[LATE].name.as_str(), "late")]);
    assert_eq!(findings, expected, "{}", stops[0].name);

    let ends: Vec<_> = outs.iter().flat_map(|out| events(out, "route.round")).collect();
    let sum = |key: &str| ends.iter().map(|(_, data)| data[key].as_u64().unwrap()).sum::<u64>();
    let sums = ["stops", "skipped", "late", "early"].map(sum);
    assert_eq!(sums, [stops.len() as u64, 2, 1, 0]);
    let raised: Vec<_> = outs.iter().flat_map(tickets).collect();
    let mut categories: Vec<_> = raised
        .iter()
        .filter(|(kind, ..)| *kind == "ticket.raised")
        .map(|(_, category, _)| category.as_str())
        .filter(|category| category.starts_with("stops"))
        .collect();
    categories.sort_unstable();
    assert_eq!(categories, ["stops_skipped", "stops_untimely"], "{raised:?}");
    true
}

#[test]
fn a_file_of_stops_in_china_says_its_datum() {
    let folder = tempfile::tempdir().unwrap();
    let write = |lon: f64, lat: f64| {
        let stop = serde_json::json!({
            "StopName": "No. 7 Huangshan Road", "ScheduleTime": "16:43", "DayValue": "一,三",
            "Lon": lon, "Lat": lat,
        });
        let file = serde_json::json!({"StopData": [stop]}).to_string();
        std::fs::write(folder.path().join("route.json"), file).unwrap();
    };
    let route = vehicle("truck-3", "collector", "")
        + "[[route]]\nid = \"r\"\nvehicle = \"truck-3\"\nfile = \"route.json\"\n";
    write(119.97, 31.81);
    let faults = site_in(folder.path(), &route).unwrap_err();
    assert!(faults.contains("route.json: the file: it does not say its datum"), "{faults}");
    assert!(site_in(folder.path(), &format!("{route}datum = \"GCJ02\"\n")).is_ok());
    write(11.57, 48.14);
    assert!(site_in(folder.path(), &route).is_ok(), "elsewhere degrees are WGS84");
}
