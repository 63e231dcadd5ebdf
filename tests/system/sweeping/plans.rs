//! Plans of roads from files: what is wrong with them is told with its place, and large ones are borne.

use std::collections::BTreeSet;
use std::path::Path;

use domain::Engine;
use domain::commands::{Action, Command};
use domain::ids::Requester;
use domain::input::Input;
use domain::output::Body;
use domain::place::Datum;
use domain::sample::{Fix, Quantity};
use domain::time::{Span, Utc};
use domain::units::MillimetresPerSecond;
use serde_json::{Value, json};

use super::{events, now, place, report, site_in, tickets, vehicle};

const PLAN: &str = "[[plan]]\nfile = \"roads.geojson\"\n\
                    sweep = { windows = [\"daily 00:00-23:00\"] }\n";

fn in_wgs84() -> String {
    format!("{PLAN}datum = \"WGS84\"\n")
}

fn line(points: &Value) -> Value {
    json!({"type": "Feature", "properties": {}, "geometry": {"type": "LineString", "coordinates": points}})
}

fn write(folder: &Path, features: &[Value]) {
    let file = json!({"type": "FeatureCollection", "features": features});
    std::fs::write(folder.join("roads.geojson"), file.to_string()).unwrap();
}

#[test]
fn what_is_wrong_with_a_plan_is_told_with_its_place() {
    let good = json!([[119.97, 31.81], [119.98, 31.81]]);
    let cases = [
        (json!([[119.97, 31.81]]), "feature 2: it has 1 points"),
        (json!([[119.97, 31.81], [119.97, 31.81]]), "feature 2: it is 0 m long"),
        (json!([[119.97, 31.81], [0, 0]]), "feature 2, point 2: latitude and longitude are both 0"),
        (json!([[31.81, 119.97], [31.81, 119.98]]), "are lat and lon swapped?"),
        (json!([[119.97, null], [119.98, 31.81]]), "feature 2, point 1: [119.97,null] is no point"),
        (json!([[11.57, 48.14], [11.58, 48.14]]), "it is 8636 km from road road-1"),
        (json!("a line"), "feature 2: it has 0 points"),
    ];
    for (points, expected) in cases {
        let folder = tempfile::tempdir().unwrap();
        write(folder.path(), &[line(&good), line(&points)]);
        let faults = site_in(folder.path(), &in_wgs84()).unwrap_err();
        assert!(faults.contains(expected), "{points}: {faults}");
        assert!(
            faults.contains("box.toml:9:8: ") && faults.contains("roads.geojson: "),
            "{faults}"
        );
    }
    let folder = tempfile::tempdir().unwrap();
    let texts = [
        ("{\"features\": [{\"geometry\": {\"coordinates\": [[NaN, 31.8]]}}]}", "line 1, column "),
        ("{}", "it has no features"),
        ("", "line 1, column 0"),
        (
            "{\"crs\":{\"properties\":{\"name\":\"urn:ogc:def:crs:EPSG::3857\"}},\"features\":[]}",
            "crs: its numbers are not degrees",
        ),
    ];
    for (text, expected) in texts {
        std::fs::write(folder.path().join("roads.geojson"), text).unwrap();
        let faults = site_in(folder.path(), &in_wgs84()).unwrap_err();
        assert!(faults.contains(expected), "{text}: {faults}");
    }
    std::fs::remove_file(folder.path().join("roads.geojson")).unwrap();
    let faults = site_in(folder.path(), &in_wgs84()).unwrap_err();
    assert!(faults.contains("there is no such file"), "{faults}");
}

#[test]
fn properties_of_a_road_stand_above_those_of_the_plan() {
    let folder = tempfile::tempdir().unwrap();
    let mut road = line(&json!([[119.97, 31.81, 4.5], [119.98, 31.81]]));
    road["properties"] = json!({
        "id": "a", "name": "黄山路", "side": "both", "width_m": 14, "passes": 2,
        "windows": ["mon-fri 06:00-09:00"], "lanes": 4,
    });
    write(folder.path(), &[road.clone(), line(&json!([[119.97, 31.82], [119.98, 31.82]]))]);
    let site = site_in(folder.path(), &in_wgs84()).unwrap();
    let plans: Vec<_> = site
        .assets
        .values()
        .map(|asset| match &asset.kind {
            domain::site::Kind::Street { sweep: Some(plan), .. } => (plan.width_m, plan.passes),
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(plans, [(14.0, 2), (7.0, 1)]);
    for (key, wrong) in [
        ("side", json!("middle")),
        ("width_m", json!("wide")),
        ("passes", json!(0)),
        ("windows", json!([])),
    ] {
        let mut road = road.clone();
        road["properties"][key] = wrong;
        write(folder.path(), &[road]);
        let faults = site_in(folder.path(), &in_wgs84()).unwrap_err();
        assert!(faults.contains(&format!("feature 1: {key} must be")), "{faults}");
    }
}

#[test]
fn a_plan_in_china_says_its_datum() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), &[line(&json!([[119.97, 31.81], [119.98, 31.81]]))]);
    let faults = site_in(folder.path(), PLAN).unwrap_err();
    assert!(faults.contains("it does not say its datum"), "{faults}");
    assert!(site_in(folder.path(), &format!("{PLAN}datum = \"GCJ02\"\n")).is_ok());
    write(folder.path(), &[line(&json!([[11.57, 48.14], [11.58, 48.14]]))]);
    assert!(site_in(folder.path(), PLAN).is_ok(), "elsewhere GeoJSON is WGS84");
}

/// 10,000 roads of 100 m on a grid.
fn city(roads: usize) -> Vec<Value> {
    let point = |x: f64, y: f64| json!([place(x, y).lon(), place(x, y).lat()]);
    let road = |n: usize| {
        let (x, y) = ((n % 100) as f64 * 150.0, (n / 100) as f64 * 150.0);
        line(&json!([point(x, y), point(x + 100.0, y)]))
    };
    (0..roads).map(road).collect()
}

fn ask(engine: &mut Engine, from: usize, at: domain::time::Now) -> Value {
    let command = Command {
        id: format!("c-{from}"),
        by: Requester::new("duty").unwrap(),
        issued_at: None,
        expires_at: None,
        signed: false,
        action: Action::Coverage { street: None, from },
    };
    let out = engine.step(Input::Command(command), at);
    let Body::Flat(body) = &out.messages.last().unwrap().body else { panic!("no reply") };
    body["result"].clone()
}

#[test]
fn ten_thousand_roads_are_borne_and_more_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), &city(10_001));
    let faults = site_in(folder.path(), &in_wgs84()).unwrap_err();
    assert!(faults.contains("10001 roads, at most 10000 are taken"), "{faults}");

    write(folder.path(), &city(10_000));
    let config = in_wgs84() + &vehicle("v", "sweeper", "");
    let site = site_in(folder.path(), &config).unwrap();
    let midnight = Utc::parse("2026-06-08T00:00:00+08:00").unwrap();
    let mut engine = Engine::new(site, vec![], now(midnight, midnight));
    let start = engine.step(Input::Start, now(midnight, midnight));
    assert!(start.messages.len() >= 20_000, "every road is told");
    let mut swept = 0;
    for second in 0..60u64 {
        let fix = Fix {
            position: place(second as f64 * 2.0, 150.0),
            speed: Some(MillimetresPerSecond(2000)),
            course: None,
            accuracy: None,
            satellites: None,
        };
        let at = midnight + Span::from_secs(second);
        let out = engine.step(report("v", at, vec![Quantity::Fix(fix)]), now(midnight, at));
        // Only the street that it is on has anything to tell.
        swept += out.records.iter().filter(|record| record.key.starts_with("asset/street")).count();
    }
    assert!((1..10).contains(&swept), "{swept}");
    let (mut from, mut streets, mut done) = (0, BTreeSet::new(), 0);
    loop {
        let answer = ask(&mut engine, from, now(midnight, midnight + Span::from_mins(2)));
        assert!(answer.to_string().len() < 128 * 1024, "fits into a packet");
        for feature in answer["features"].as_array().unwrap() {
            let properties = &feature["properties"];
            streets.insert(properties["street"].as_str().unwrap().to_owned());
            done += match properties["state"] == "done" {
                true => properties["cells"].as_u64().unwrap(),
                false => 0,
            };
        }
        let Some(next) = answer["next"].as_u64() else { break };
        assert!(next as usize > from);
        from = next as usize;
    }
    assert_eq!((streets.len(), done), (10_000, 20));
}

#[test]
fn a_plan_in_another_datum_than_it_says_is_told_by_where_the_sweeper_drives() {
    for (drawn, said, fits) in [
        (Datum::Gcj02, "WGS84", Some("GCJ02")),
        (Datum::Bd09, "WGS84", Some("BD09")),
        (Datum::Wgs84, "GCJ02", Some("WGS84")),
        (Datum::Gcj02, "GCJ02", None),
        (Datum::Wgs84, "CGCS2000", None),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let point = |x: f64| {
            let there = place(x, 0.0).to_datum(drawn);
            json!([there.lon(), there.lat()])
        };
        write(folder.path(), &[line(&json!([point(0.0), point(900.0)]))]);
        let config = format!("{PLAN}datum = \"{said}\"\n") + &vehicle("v", "sweeper", "");
        let site = site_in(folder.path(), &config).unwrap();
        let midnight = Utc::parse("2026-06-08T00:00:00+08:00").unwrap();
        let mut engine = Engine::new(site, vec![], now(midnight, midnight));
        let (mut told, mut raised) = (vec![], vec![]);
        for second in 0..400u64 {
            let fix = Fix {
                position: place(second as f64 * 2.0, 1.0),
                speed: Some(MillimetresPerSecond(2000)),
                course: None,
                accuracy: None,
                satellites: None,
            };
            let at = midnight + Span::from_secs(second);
            let out = engine.step(report("v", at, vec![Quantity::Fix(fix)]), now(midnight, at));
            told.extend(events(&out, "sweep.plan_shifted"));
            raised.extend(tickets(&out));
        }
        let told: Vec<_> = told.iter().map(|(_, data)| data["fits"].as_str().unwrap()).collect();
        assert_eq!(told, Vec::from_iter(fits), "{drawn:?} said to be {said}");
        let expected = fits.map(|_| ("ticket.raised", "plan_fault".to_owned(), "v".to_owned()));
        assert_eq!(raised, Vec::from_iter(expected));
    }
}
