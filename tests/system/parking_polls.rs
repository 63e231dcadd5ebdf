//! Bays as cities publish them, through the configured JSON decoder.

use std::collections::BTreeMap;

use domain::decode::json::{JsonMap, Layout, LayoutText, RuleText, Word};
use domain::decode::{Decode, Raw, Reason};
use domain::ids::{DeviceKey, SourceName};
use domain::place::{Datum, Position};
use domain::sample::{Quantity, Sample};
use domain::time::Utc;
use serde_json::{Value, json};
use system_tests::data;

/// A rule for the occupancy.
pub(super) fn occupied(pointer: &str, words: &[(&str, bool)]) -> RuleText {
    let values = words.iter().map(|(word, truth)| ((*word).to_owned(), Word::Truth(*truth)));
    RuleText {
        name: "occupied".to_owned(),
        pointer: pointer.to_owned(),
        values: values.collect(),
        ..RuleText::default()
    }
}

fn rule(name: &str, pointer: &str, unit: &str) -> RuleText {
    RuleText {
        name: name.to_owned(),
        pointer: pointer.to_owned(),
        unit: Some(unit.to_owned()),
        ..RuleText::default()
    }
}

pub(super) fn layout(device: &str, each: Option<&str>, quantity: Vec<RuleText>) -> LayoutText {
    LayoutText {
        device: Some(device.to_owned()),
        each: each.map(str::to_owned),
        quantity,
        ..LayoutText::default()
    }
}

pub(super) fn decoder(text: &LayoutText) -> JsonMap {
    JsonMap::new(SourceName::new("polls").unwrap(), Layout::new(text).unwrap())
}

pub(super) fn feed(decoder: &mut JsonMap, topic: &str, payload: &[u8]) -> Vec<Sample> {
    let mut samples = Vec::new();
    decoder.feed(Raw::Mqtt { topic, payload }, Utc::from_ms(0), &mut samples);
    samples
}

/// Bays by their state.
fn states(samples: &[Sample]) -> BTreeMap<DeviceKey, bool> {
    let state = |sample: &Sample| {
        let quantity = sample.quantities.iter().find_map(|quantity| match quantity {
            Quantity::Occupied(occupied) => Some(*occupied),
            _ => None,
        });
        (sample.device.clone().unwrap(), quantity.unwrap())
    };
    samples.iter().map(state).collect()
}

fn count(states: &BTreeMap<DeviceKey, bool>) -> (usize, usize) {
    let occupied = states.values().filter(|occupied| **occupied).count();
    (occupied, states.len() - occupied)
}

/// The poll of a whole city, as its interface gives it: an array of objects.
pub(super) fn melbourne() -> Option<Vec<Value>> {
    let set = data::set("parking_bays")?;
    let text = data::text(&set, "melbourne_bays_2018-09-08T11-18.csv");
    let bay = |line: &str| {
        // The location in between is quoted and holds a comma; the last two fields repeat it.
        let (id, marker, status, rest) = {
            let mut fields = line.splitn(4, ',');
            let mut field = || fields.next().unwrap();
            (field(), field(), field(), field())
        };
        let mut last = rest.rsplit(',');
        let mut degrees = || last.next().unwrap().parse::<f64>().unwrap();
        let (lon, lat) = (degrees(), degrees());
        json!({
            "bay_id": id, "st_marker_id": marker, "status": status, "lat": lat, "lon": lon,
            "time": "2018-09-08T11:18:00+10:00",
        })
    };
    Some(text.lines().skip(1).map(bay).collect())
}

pub(super) const STATUS: [(&str, bool); 2] = [("Present", true), ("Unoccupied", false)];

#[test]
fn a_city_in_one_document() {
    let Some(bays) = melbourne() else { return };
    let position = [rule("latitude", "/lat", "deg"), rule("longitude", "/lon", "deg")];
    let quantity = [&[occupied("/status", &STATUS)][..], &position].concat();
    let text =
        LayoutText { at: Some("/time".to_owned()), ..layout("/bay_id", Some("/bays"), quantity) };
    let mut decoder = decoder(&text);
    let payload = json!({ "bays": bays }).to_string();
    let samples = feed(&mut decoder, "city/poll", payload.as_bytes());
    assert_eq!((samples.len(), count(&states(&samples))), (3075, (1613, 1462)));
    let tally = decoder.tally();
    assert_eq!((tally.frames, tally.samples, tally.rejected_total()), (1, 3075, 0));
    let first = &samples[0];
    assert_eq!(first.device, Some(DeviceKey::new("629").unwrap()));
    assert_eq!(first.at, Some(Utc::parse("2018-09-08T01:18:00Z").unwrap()));
    let [Quantity::Occupied(false), Quantity::Fix(fix)] = first.quantities[..] else {
        panic!("{first:?}");
    };
    let place =
        Position::from_degrees(-37.808_886_411_152_15, 144.971_778_092_482_28, Datum::Wgs84);
    assert_eq!(fix.position, place.unwrap());
}

#[test]
fn a_city_in_one_message_a_bay() {
    let Some(bays) = melbourne() else { return };
    let text = LayoutText {
        at: Some("/time".to_owned()),
        ..layout("topic:1", None, vec![occupied("/status", &STATUS)])
    };
    let mut decoder = decoder(&text);
    let mut samples = Vec::new();
    for bay in &bays {
        let topic = format!("bays/{}", bay["bay_id"].as_str().unwrap());
        let payload = bay.to_string();
        decoder.feed(
            Raw::Mqtt { topic: &topic, payload: payload.as_bytes() },
            Utc::from_ms(0),
            &mut samples,
        );
    }
    assert_eq!((samples.len(), count(&states(&samples))), (3075, (1613, 1462)));
    let tally = decoder.tally();
    assert_eq!((tally.frames, tally.samples, tally.rejected_total()), (3075, 3075, 0));
}

/// Thirty-one LoRaWAN sensors with their last readings, some of them months old, some not understood
/// by the city's own decoder.
#[test]
fn karlsruhe_with_the_times_of_its_readings() {
    let Some(set) = data::set("parking_bays") else { return };
    let payload = data::read(&set, "karlsruhe_lorawan_bays.json");
    let optional = |rule: RuleText| RuleText { optional: true, ..rule };
    let status = occupied("/last_readings/0/data/parking_status", &[]);
    let degrees = optional(rule("temperature", "/last_readings/0/data/temperature", "c"));
    let text = LayoutText {
        at: Some("/last_readings/0/measured_at".to_owned()),
        ..layout("/name", Some(""), vec![status, degrees])
    };
    let mut decoder = decoder(&text);
    let samples = feed(&mut decoder, "karlsruhe", &payload);
    // Counted in the file, not by the decoder.
    let sensors: Vec<Value> = serde_json::from_slice(&payload).unwrap();
    let reading = |sensor: &Value| sensor["last_readings"][0]["data"]["parking_status"].as_i64();
    let with = |wanted: i64| sensors.iter().filter(|s| reading(s) == Some(wanted)).count();
    assert_eq!(count(&states(&samples)), (with(1), with(0)));
    assert_eq!(samples.len(), with(0) + with(1));
    assert!(samples.len() > 20, "{}", samples.len());
    let refused = decoder.tally().rejected.get(&Reason::Field).copied().unwrap_or_default();
    assert_eq!(refused as usize, sensors.len() - samples.len());
    assert_eq!(decoder.tally().rejected_total(), refused);
    let first = &samples[0];
    assert_eq!(first.device, Some(DeviceKey::new("KA1").unwrap()));
    assert_eq!(first.at, Some(Utc::parse("2025-04-08T08:34:56.928Z").unwrap()));
    assert!(samples.iter().all(|sample| sample.at.is_some()));
}

/// GeoJSON: positions are longitude, then latitude; bays go by names with spaces and umlauts.
#[test]
fn freiburg_in_geojson() {
    let Some(set) = data::set("parking_bays") else { return };
    let payload = data::read(&set, "freiburg_disabled_sensors.geojson");
    let quantity = vec![
        occupied("/properties/status", &[("0", false), ("1", true)]),
        rule("latitude", "/geometry/coordinates/1", "deg"),
        rule("longitude", "/geometry/coordinates/0", "deg"),
    ];
    let mut decoder = decoder(&layout("/properties/name", Some("/features"), quantity));
    let samples = feed(&mut decoder, "freiburg", &payload);
    assert_eq!(decoder.tally().rejected_total(), 0);
    assert_eq!((samples.len(), count(&states(&samples))), (20, (2, 18)));
    let first = DeviceKey::new("P01%20-%20Erbprinzenstrasse%20(R)").unwrap();
    assert_eq!(samples[0].device, Some(first));
    for sample in &samples {
        let fix = sample.quantities.iter().find_map(|quantity| match quantity {
            Quantity::Fix(fix) => Some(fix.position),
            _ => None,
        });
        let (lat, lon) = fix.map(|place| (place.lat(), place.lon())).unwrap();
        assert!((47.9..48.1).contains(&lat) && (7.7..7.95).contains(&lon), "{lat} {lon}");
    }
}

#[test]
fn a_cut_document_says_nothing() {
    let Some(bays) = melbourne() else { return };
    let text = layout("/bay_id", Some(""), vec![occupied("/status", &STATUS)]);
    let payload = Value::from(bays).to_string();
    for part in 1..20 {
        let mut decoder = decoder(&text);
        let cut = &payload.as_bytes()[..payload.len() * part / 20];
        assert_eq!(feed(&mut decoder, "city", cut), []);
        assert_eq!(decoder.tally().rejected[&Reason::Json], 1);
    }
}
