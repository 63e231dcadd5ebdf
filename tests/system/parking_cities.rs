//! Bays of real cities, from the poll through the decoder to the states and tickets of a box.

use std::collections::BTreeMap;

use domain::Engine;
use domain::calendar::Calendar;
use domain::decode::{Decode, Reason};
use domain::ids::{
    AssetId, AssetKey, BoxId, Category, Class, DeviceKey, RuleId, SiteId, SourceName, TenantId,
};
use domain::input::Input;
use domain::output::{Body, Outputs};
use domain::rules::{Condition, Handling, Rule, Severity};
use domain::sample::Sample;
use domain::site::{Asset, Bay, BayPolicy, Feed, Identity, Kind, Parking, Site, TicketPolicy};
use domain::time::{Boot, ClockQuality, Moment, Monotonic, Span, Utc};
use serde_json::Value;
use system_tests::data;

use super::parking_polls::{STATUS, decoder, feed, layout, melbourne, occupied};

fn engine(devices: &[DeviceKey], now: Moment) -> Engine {
    let bay = |(n, device): (usize, &DeviceKey)| {
        let feed = Feed { source: SourceName::new("polls").unwrap(), device: Some(device.clone()) };
        let asset = Asset {
            names: BTreeMap::new(),
            position: None,
            street: None,
            feeds: vec![feed],
            kind: Kind::Bay(Bay {
                max_stay: None,
                occupied_after: Span::from_secs(60),
                free_after: Span::from_secs(20),
                stale_after: Span::from_mins(50 * 60),
                policy: BayPolicy::default(),
            }),
        };
        (AssetKey::new(Class::Bay, AssetId::new(&format!("b-{n}")).unwrap()), asset)
    };
    let silent = Rule {
        id: RuleId::new("silent").unwrap(),
        version: 1,
        class: Class::Bay,
        category: Category::new("sensor_silent").unwrap(),
        severity: Severity::Low,
        when: Condition::Silent { after: None },
        handling: Handling::default(),
    };
    let site = Site {
        identity: Identity {
            tenant: TenantId::new("t").unwrap(),
            site: SiteId::new("s").unwrap(),
            id: BoxId::new("b").unwrap(),
        },
        assets: devices.iter().enumerate().map(bay).collect(),
        rules: vec![silent],
        tickets: TicketPolicy::default(),
        calendar: Calendar::default(),
        parking: Parking::default(),
    };
    Engine::new(site, vec![], now)
}

fn at(text: &str, uptime: Span) -> Moment {
    Moment {
        boot: Boot(1),
        monotonic: Monotonic::from_ms(uptime.as_ms()),
        utc: Utc::parse(text).unwrap() + uptime,
        clock: ClockQuality::Ntp,
    }
}

/// Bays by their status.
fn statuses(engine: &Engine) -> BTreeMap<String, usize> {
    let mut count = BTreeMap::new();
    for (_, state) in engine.states() {
        *count.entry(state["status"].as_str().unwrap().to_owned()).or_default() += 1;
    }
    count
}

#[test]
fn melbourne_has_as_many_free_bays_as_the_poll() {
    let Some(bays) = melbourne() else { return };
    let text = domain::decode::json::LayoutText {
        at: Some("/time".to_owned()),
        ..layout("/bay_id", Some(""), vec![occupied("/status", &STATUS)])
    };
    let mut decoder = decoder(&text);
    let samples = feed(&mut decoder, "city", Value::from(bays).to_string().as_bytes());
    let devices: Vec<DeviceKey> = samples.iter().map(|s| s.device.clone().unwrap()).collect();
    let now = at("2018-09-08T01:18:00Z", Span::from_secs(5));
    let mut engine = engine(&devices, now);
    let mut refused = 0;
    for sample in samples {
        refused += engine.step(Input::Sample(sample), now).rejected.len();
    }
    let expected = [("free", 1462), ("occupied", 1613)].map(|(s, n)| (s.to_owned(), n));
    assert_eq!((statuses(&engine), refused), (BTreeMap::from(expected), 0));
}

/// Raised tickets by their category.
fn raised_by_category(out: &Outputs) -> BTreeMap<String, usize> {
    let mut count = BTreeMap::new();
    for message in &out.messages {
        if let Body::Event { kind: "ticket.raised", data } = &message.body {
            *count.entry(data["category"].as_str().unwrap().to_owned()).or_default() += 1;
        }
    }
    count
}

#[test]
fn karlsruhes_silent_sensors_are_unknown_with_a_ticket_each_and_a_silent_source_is_one() {
    let Some(set) = data::set("parking_bays") else { return };
    let payload = data::read(&set, "karlsruhe_lorawan_bays.json");
    let status = occupied("/last_readings/0/data/parking_status", &[]);
    let text = domain::decode::json::LayoutText {
        at: Some("/last_readings/0/measured_at".to_owned()),
        ..layout("/name", Some(""), vec![status])
    };
    let mut decoder = decoder(&text);
    let samples = feed(&mut decoder, "karlsruhe", &payload);
    let sensors: Vec<Value> = serde_json::from_slice(&payload).unwrap();
    let unparseable = sensors.len() - samples.len();
    assert!(unparseable > 0);
    assert_eq!(decoder.tally().rejected[&Reason::Field] as usize, unparseable);
    let name = |s: &Value| DeviceKey::new(s["name"].as_str().unwrap()).unwrap();
    let devices: Vec<DeviceKey> = sensors.iter().map(name).collect();
    // The poll as it was taken: the last report of some is months old, that of others minutes.
    let poll = "2025-11-10T14:21:00Z";
    let now = at(poll, Span::ZERO);
    let stale = Span::from_mins(50 * 60);
    let (old, live): (Vec<_>, Vec<_>) =
        samples.into_iter().partition(|sample| now.utc.since(sample.at.unwrap()) > stale);
    assert_eq!((old.len(), live.len(), unparseable), (14, 10, 7));
    let mut engine = engine(&devices, now);
    let mut tickets: BTreeMap<String, usize> = BTreeMap::new();
    // The city's platform is asked every hour: of those that speak it has a new report, of the others
    // always the same.
    for hour in 0..=51 {
        let now = at(poll, Span::from_mins(60 * hour));
        let anew = live.iter().cloned().map(|s| Sample { at: Some(now.utc), ..s });
        for sample in old.iter().cloned().chain(anew) {
            let out = engine.step(Input::Sample(sample), now);
            raised_by_category(&out)
                .into_iter()
                .for_each(|(c, n)| *tickets.entry(c).or_default() += n);
        }
    }
    let silent = old.len() + unparseable;
    let known = statuses(&engine);
    assert_eq!(known["unknown"], silent);
    assert_eq!(known.values().sum::<usize>(), devices.len());
    // One for each of the sensors that are silent, found once, and none about the source.
    assert_eq!(tickets, BTreeMap::from([("sensor_silent".to_owned(), silent)]));
    // Then nothing at all is heard: that is one problem more, whatever number of bays it is.
    let out = engine.step(Input::Tick, at(poll, Span::from_mins((51 + 50) * 60 + 1)));
    assert_eq!(statuses(&engine), BTreeMap::from([("unknown".to_owned(), devices.len())]));
    assert_eq!(raised_by_category(&out), BTreeMap::from([("gateway_fault".to_owned(), 1)]));
    assert_eq!(engine.open_tickets(), silent + 1);
}
