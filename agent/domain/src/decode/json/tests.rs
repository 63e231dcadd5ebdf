use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::ids::DeviceKey;
use crate::place::Position;
use crate::sample::{Absent, Fix, Missing, NoData, Quantity};
use crate::units::{CentiDegrees, Millimetres, MillimetresPerSecond, Millivolts};

fn rule(name: &str, pointer: &str, unit: Option<&str>) -> RuleText {
    RuleText {
        name: name.to_owned(),
        pointer: pointer.to_owned(),
        unit: unit.map(str::to_owned),
        ..RuleText::default()
    }
}

fn status() -> RuleText {
    let values = [("Present", true), ("Unoccupied", false)];
    let values = values.map(|(word, truth)| (word.to_owned(), Word::Truth(truth)));
    RuleText { values: values.into(), ..rule("occupied", "/status", None) }
}

fn battery() -> RuleText {
    RuleText { optional: true, ..rule("battery_voltage", "/bat", Some("v")) }
}

/// As in the example of the configuration.
fn polls() -> LayoutText {
    LayoutText {
        device: Some("topic:1".to_owned()),
        at: Some("/time".to_owned()),
        quantity: vec![status(), battery()],
        ..LayoutText::default()
    }
}

/// The same in one document.
fn poll() -> LayoutText {
    let device = Some("/id".to_owned());
    LayoutText { device, each: Some("/items".to_owned()), ..polls() }
}

fn decoder(text: &LayoutText) -> JsonMap {
    JsonMap::new(SourceName::new("polls").unwrap(), Layout::new(text).unwrap())
}

fn feed(decoder: &mut JsonMap, topic: &str, payload: &[u8]) -> Vec<Sample> {
    let mut samples = Vec::new();
    decoder.feed(Raw::Mqtt { topic, payload }, Utc::from_ms(0), &mut samples);
    samples
}

/// Samples and the refusals of one document.
fn decode(text: &LayoutText, topic: &str, document: &Value) -> (Vec<Sample>, Vec<(Reason, u64)>) {
    let mut decoder = decoder(text);
    let samples = feed(&mut decoder, topic, document.to_string().as_bytes());
    assert_eq!(decoder.tally().samples, samples.len() as u64);
    (samples, decoder.tally().rejected.clone().into_iter().collect())
}

fn sample(device: &str, quantities: Vec<Quantity>) -> Sample {
    Sample {
        source: SourceName::new("polls").unwrap(),
        device: Some(DeviceKey::new(device).unwrap()),
        counter: None,
        at: Some(Utc::parse("2026-06-04T04:00:00Z").unwrap()),
        quantities,
    }
}

const AT: &str = "2026-06-04T12:00:00+08:00";
const OCCUPIED: Quantity = Quantity::Occupied(true);
const FREE: Quantity = Quantity::Occupied(false);

#[test]
fn one_message_a_bay() {
    let message = json!({ "status": "Present", "time": AT, "bat": 3.6 });
    let battery = Quantity::BatteryVoltage(Millivolts(3600));
    let expected = sample("1001", vec![OCCUPIED, battery]);
    assert_eq!(decode(&polls(), "bays/1001", &message), (vec![expected], vec![]));
    // What is optional may be missing.
    let message = json!({ "status": "Unoccupied", "time": AT });
    let expected = sample("1002", vec![FREE]);
    assert_eq!(decode(&polls(), "bays/1002", &message), (vec![expected], vec![]));
}

#[test]
fn one_document_with_many() {
    let document = json!({ "items": [
        { "id": 1, "status": "Present", "time": AT },
        { "id": "b 2", "status": "Unoccupied", "time": AT },
    ] });
    let expected = vec![sample("1", vec![OCCUPIED]), sample("b%202", vec![FREE])];
    assert_eq!(decode(&poll(), "city", &document), (expected, vec![]));
    let array = LayoutText { each: Some(String::new()), ..poll() };
    assert_eq!(decode(&array, "city", &document["items"]).0.len(), 2);
    assert_eq!(decode(&array, "city", &json!([])), (vec![], vec![]));
}

#[test]
fn a_bad_item_does_not_lose_the_others() {
    let good = json!({ "id": "ok", "status": "Present", "time": AT });
    for (bad, reason) in [
        (json!({ "status": "Present", "time": AT }), Reason::Field),
        (json!({ "id": {}, "status": "Present", "time": AT }), Reason::Field),
        (json!({ "id": "x", "status": "Present" }), Reason::Field),
        (json!({ "id": "x", "status": "Present", "time": "noon" }), Reason::Field),
        (json!({ "id": "x", "status": "Present", "time": "1970-01-01T00:00:07Z" }), Reason::Time),
        (json!({ "id": "x", "status": "Gone", "time": AT }), Reason::OutOfRange),
        (json!({ "id": "x", "status": 7, "time": AT }), Reason::OutOfRange),
        (json!({ "id": "x", "status": [], "time": AT }), Reason::Field),
        (json!({ "id": "x", "time": AT }), Reason::Field),
        (json!("x"), Reason::Field),
        (json!(null), Reason::Field),
    ] {
        let document = json!({ "items": [bad, good] });
        let expected = (vec![sample("ok", vec![OCCUPIED])], vec![(reason, 1)]);
        assert_eq!(decode(&poll(), "city", &document), expected, "{document}");
    }
}

#[test]
fn a_bad_value_does_not_lose_the_others() {
    for (bat, reason) in [(json!("3.6"), Reason::Field), (json!(-1), Reason::OutOfRange)] {
        let message = json!({ "status": "Present", "time": AT, "bat": bat });
        let expected = (vec![sample("1001", vec![OCCUPIED])], vec![(reason, 1)]);
        assert_eq!(decode(&polls(), "bays/1001", &message), expected);
    }
}

#[test]
fn what_is_no_document_is_refused() {
    let good = json!({ "status": "Present", "time": AT }).to_string();
    let long = format!("{good}{}", " ".repeat(DOCUMENT_MAX));
    let deep = "[".repeat(1000);
    for (topic, payload, reason) in [
        ("bays/1", "", Reason::Json),
        ("bays/1", &good[..good.len() - 1], Reason::Json),
        ("bays/1", deep.as_str(), Reason::Json),
        ("bays/1", long.as_str(), Reason::TooLong),
        ("bays", good.as_str(), Reason::Topic),
        ("bays/", good.as_str(), Reason::Topic),
    ] {
        let mut decoder = decoder(&polls());
        assert_eq!(feed(&mut decoder, topic, payload.as_bytes()), []);
        assert_eq!(decoder.tally().rejected.get(&reason), Some(&1), "{topic} {reason:?}");
        assert_eq!(decoder.tally().rejected_total(), 1);
        assert_eq!(decoder.tally().bytes, payload.len() as u64);
    }
    for document in [json!({}), json!({ "items": {} }), json!([])] {
        assert_eq!(decode(&poll(), "city", &document), (vec![], vec![(Reason::Field, 1)]));
    }
    let mut decoder = decoder(&polls());
    decoder.feed(Raw::Bytes(good.as_bytes()), Utc::from_ms(0), &mut Vec::new());
    assert_eq!(decoder.tally().rejected[&Reason::Malformed], 1);
}

#[test]
fn a_document_without_end_is_cut_and_counted() {
    let item = json!({ "id": 1, "status": "Present", "time": AT });
    let document = json!({ "items": vec![item; ITEMS_MAX + 3] });
    let (samples, rejected) = decode(&poll(), "city", &document);
    assert_eq!((samples.len(), rejected), (ITEMS_MAX, vec![(Reason::TooLong, 3)]));
}

#[test]
fn a_time_of_the_whole_document() {
    let layout = LayoutText {
        at: Some("document:/at".to_owned()),
        at_form: Some("unix_ms".to_owned()),
        ..poll()
    };
    let document =
        json!({ "at": 1_780_545_600_000_i64, "items": [{ "id": 1, "status": "Present" }] });
    assert_eq!(decode(&layout, "city", &document), (vec![sample("1", vec![OCCUPIED])], vec![]));
    let without = LayoutText { at: None, device: None, ..polls() };
    let samples = decode(&without, "x", &json!({ "status": "Present" })).0;
    assert_eq!((samples[0].at, &samples[0].device), (None, &None));
}

fn vehicle() -> Mapping {
    let rules = [
        rule("latitude", "/lat", None),
        rule("longitude", "/lon", None),
        RuleText { optional: true, ..rule("speed", "/kmh", Some("km/h")) },
        RuleText { optional: true, ..rule("course", "/dir", None) },
        RuleText { optional: true, ..rule("accuracy", "/acc", Some("m")) },
        RuleText { optional: true, ..rule("satellites", "/sat", None) },
        RuleText { optional: true, ..rule("working", "/brush", None) },
    ];
    Mapping::new(Datum::Gcj02, &rules).unwrap()
}

#[test]
fn a_position_is_put_together() {
    let all = json!({
        "lat": 31.811, "lon": 119.974, "kmh": 36, "dir": 360, "acc": 2.5, "sat": 9, "brush": true,
    });
    let fix = Fix {
        position: Position::from_degrees(31.811, 119.974, Datum::Gcj02).unwrap(),
        speed: Some(MillimetresPerSecond(10_000)),
        course: Some(CentiDegrees(0)),
        accuracy: Some(Millimetres(2500)),
        satellites: Some(9),
    };
    let read = vehicle().read(&all);
    assert_eq!(read.quantities, [Quantity::Working(true), Quantity::Fix(fix)]);
    assert_eq!(read.refused, []);
}

#[test]
fn half_a_position_is_none() {
    let no_fix = Quantity::Absent(Absent { what: Missing::Fix, why: NoData::NoFix });
    for (item, quantities, refused) in [
        (json!({ "lat": 31.811, "kmh": 3 }), vec![], vec![Reason::Field]),
        (json!({ "lat": 131.0, "lon": 119.0 }), vec![], vec![Reason::OutOfRange]),
        (json!({ "kmh": 3 }), vec![], vec![Reason::Field, Reason::Field]),
        (json!({ "lat": 0, "lon": 0.0 }), vec![no_fix], vec![]),
    ] {
        let read = vehicle().read(&item);
        assert_eq!((read.quantities, read.refused), (quantities, refused), "{item}");
    }
    let optional = |name, pointer| RuleText { optional: true, ..rule(name, pointer, None) };
    let rules = [optional("latitude", "/lat"), optional("longitude", "/lon")];
    let mapping = Mapping::new(Datum::Wgs84, &rules).unwrap();
    assert_eq!(mapping.read(&json!({})), Read::default());
    assert_eq!(mapping.read(&json!({ "lat": 1 })).refused, [Reason::Field]);
}

#[test]
fn every_name_is_a_quantity_or_part_of_a_position() {
    for name in Name::ALL {
        // Weights of a lift are nothing without its tag.
        let lift = matches!(name, Name::GrossWeight | Name::TareWeight);
        let beside = if lift { "tag" } else { name.as_str() };
        let names = [name.as_str(), beside, "latitude", "longitude"];
        let known = ["g", "mm", "percent", "c", "mv", "s", "deg", "m/s", "count"];
        let fits = |name: &str| {
            let units = known.iter().map(|unit| Some(*unit)).chain([None]);
            let mut rules = units.map(|unit| rule(name, &format!("/{name}"), unit));
            rules.find(|rule| Rule::new(rule).is_ok()).unwrap()
        };
        let mut rules: Vec<RuleText> = names.map(fits).into();
        rules.dedup_by(|a, b| a.name == b.name);
        let distinct = rules
            .iter()
            .enumerate()
            .filter(|(i, rule)| rules[..*i].iter().all(|other| other.name != rule.name));
        let distinct: Vec<RuleText> = distinct.map(|(_, rule)| rule.clone()).collect();
        let key = PersonKey::new(&[1; 32]).ok();
        let mapping = Mapping::new(Datum::Wgs84, &distinct).unwrap().with_person_key(key);
        let mut item = json!({ "latitude": 1, "longitude": 1, "tag": "e2" });
        item[name.as_str()] = match name {
            Name::Waste => "glass".into(),
            Name::Violation => "mixed".into(),
            Name::Tag => "e2".into(),
            _ => 1.into(),
        };
        let read = mapping.read(&item);
        let expected = if name.is_of_position() { 1 } else { 2 };
        assert_eq!((read.quantities.len(), read.refused), (expected, vec![]), "{name:?}");
    }
}

#[test]
fn everything_that_is_wrong_is_told_at_once() {
    let text = LayoutText {
        device: Some("topic:x".to_owned()),
        at: Some("time".to_owned()),
        at_form: Some("iso".to_owned()),
        each: Some("items".to_owned()),
        quantity: vec![status(), status(), rule("distance", "/d", None), rule("lid", "/l", None)],
        ..LayoutText::default()
    };
    let faults = Layout::new(&text).unwrap_err();
    let keys: Vec<&str> = faults.iter().map(|fault| fault.key.as_str()).collect();
    let expected = [
        "device",
        "at_form",
        "at",
        "each",
        "quantity[1].name",
        "quantity[2].unit",
        "quantity[3].name",
    ];
    assert_eq!(keys, expected);
    assert!(faults[5].to_string().contains("mm, cm, m, in"), "{}", faults[5]);
    let empty = Layout::new(&LayoutText::default()).unwrap_err();
    assert_eq!(empty, [Fault { key: "quantity".to_owned(), problem: Problem::Empty }]);
    let half = Mapping::new(Datum::Wgs84, &[rule("speed", "/s", Some("kn"))]).unwrap_err();
    assert_eq!(half[0].problem, Problem::HalfPosition("speed"));
}

#[test]
fn the_configuration_reads_as_it_is_written() {
    let written = json!({
        "device": "topic:1",
        "at": "/time",
        "quantity": [
            {
                "name": "occupied",
                "pointer": "/status",
                "values": { "Present": true, "Unoccupied": false },
            },
            { "name": "battery_voltage", "pointer": "/bat", "unit": "v", "optional": true },
        ],
    });
    assert_eq!(serde_json::from_value::<LayoutText>(written).unwrap(), polls());
    assert!(serde_json::from_value::<LayoutText>(json!({ "devise": "/id" })).is_err());
}

proptest! {
    #[test]
    fn noise_is_counted(noise in proptest::collection::vec(any::<u8>(), 0..200)) {
        let mut decoder = decoder(&poll());
        let samples = feed(&mut decoder, "city", &noise);
        prop_assert!(samples.is_empty());
        prop_assert_eq!(decoder.tally().rejected_total(), 1);
    }

    /// Whatever stands where a status, a time or a name should: a sample or a counted refusal, and the
    /// neighbour is not touched.
    #[test]
    fn any_value_is_read_or_counted(
        field in prop_oneof![Just("id"), Just("status"), Just("time"), Just("bat")],
        value in prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<f64>().prop_map(Value::from),
            "\\PC{0,80}".prop_map(Value::from),
            proptest::collection::vec(any::<i32>(), 0..3).prop_map(Value::from),
        ],
    ) {
        let good = json!({ "id": "ok", "status": "Present", "time": AT });
        let mut other = json!({ "id": "other", "status": "Unoccupied", "time": AT });
        other[field] = value;
        let (samples, rejected) = decode(&poll(), "city", &json!({ "items": [other, good] }));
        let refused: u64 = rejected.iter().map(|(_, count)| count).sum();
        prop_assert_eq!(samples.last(), Some(&sample("ok", vec![OCCUPIED])));
        prop_assert!(samples.len() as u64 + refused >= 2);
    }
}

/// A box with a card reader and a scale.
fn deposits() -> LayoutText {
    let letters = [("A", "glass"), ("B", "organic")];
    let letters = letters.map(|(letter, kind)| (letter.to_owned(), Word::Why(kind.to_owned())));
    let kg = |name, pointer| rule(name, pointer, Some("kg"));
    LayoutText {
        device: Some("/bin".to_owned()),
        quantity: vec![
            rule("person", "/card", None),
            RuleText { values: letters.into(), ..rule("waste", "/type", None) },
            kg("deposit_weight", "/post_weight"),
            kg("scale_before", "/former_weight"),
            kg("scale_after", "/now_weight"),
            RuleText { optional: true, ..rule("violation", "/violation", None) },
        ],
        ..LayoutText::default()
    }
}

const DEPOSIT: &str = r#"{"bin":"7","card":47110815,"type":"A","post_weight":1.2,
    "former_weight":30,"now_weight":31.2,"violation":"mixed"}"#;

#[test]
fn a_deposit_is_read_and_the_card_becomes_a_pseudonym() {
    use crate::units::Grams;
    use crate::waste::{Deposit, PersonKey, Violation, WasteKind};
    let key = PersonKey::new(&[7; 32]).unwrap();
    let layout = Layout::new(&deposits()).unwrap().with_person_key(Some(key.clone()));
    assert!(layout.reads_persons());
    let mut decoder = JsonMap::new(SourceName::new("bins").unwrap(), layout);
    let samples = feed(&mut decoder, "t", DEPOSIT.as_bytes());
    let expected = Deposit {
        user: Some(key.pseudonym("47110815")),
        kind: Some(WasteKind::Glass),
        weight: Some(Grams(1200)),
        before: Some(Grams(30_000)),
        after: Some(Grams(31_200)),
        violation: Some(Violation::Mixed),
    };
    assert_eq!(samples[0].quantities, [Quantity::Deposit(expected)]);
    assert_eq!(decoder.tally().rejected_total(), 0);
    assert!(!serde_json::to_string(&samples).unwrap().contains("47110815"));
}

#[test]
fn without_the_key_a_deposit_has_nobody_and_that_is_counted() {
    let (samples, refused) = decode(&deposits(), "t", &serde_json::from_str(DEPOSIT).unwrap());
    assert_eq!(refused, [(Reason::NoKey, 1)]);
    let [Quantity::Deposit(deposit)] = samples[0].quantities[..] else { panic!("{samples:?}") };
    assert_eq!((deposit.user, deposit.weight.is_some()), (None, true));
    assert!(!serde_json::to_string(&samples).unwrap().contains("47110815"));
}

#[test]
fn lifts_and_the_weighbridge_are_read_and_a_lift_needs_its_tag() {
    use crate::units::Grams;
    use crate::waste::{Lift, Tag};
    let optional = |rule| RuleText { optional: true, ..rule };
    let text = LayoutText {
        quantity: vec![
            optional(rule("tag", "/epc", None)),
            optional(rule("gross_weight", "/gross", Some("kg"))),
            optional(rule("tare_weight", "/tare", Some("kg"))),
            optional(rule("station_weight", "/net", Some("t"))),
        ],
        ..LayoutText::default()
    };
    let (samples, refused) = decode(&text, "t", &json!({"epc": "E280", "gross": 60, "tare": 12.5}));
    let tag = Tag::from_hex("e280").unwrap();
    let lift = Lift { tag, gross: Some(Grams(60_000)), tare: Some(Grams(12_500)) };
    assert_eq!((&samples[0].quantities[..], refused), (&[Quantity::Lift(lift)][..], vec![]));
    let (samples, _) = decode(&text, "t", &json!({"net": 4.18}));
    assert_eq!(samples[0].quantities, [Quantity::StationWeight(Grams(4_180_000))]);
    for (item, reason) in [
        (json!({"gross": 60}), Reason::Field),
        (json!({"epc": "no tag", "net": 1}), Reason::OutOfRange),
        (json!({"epc": {}, "net": 1}), Reason::Field),
        (json!({"net": -1, "epc": "e2"}), Reason::OutOfRange),
    ] {
        let (_, refused) = decode(&text, "t", &item);
        assert!(refused.contains(&(reason, 1)), "{item}: {refused:?}");
    }
}
