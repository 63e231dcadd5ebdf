//! Bins: real collections and real vendors' decisions, the forecast against what it must beat, and a year
//! of a city.

mod edinburgh;
mod forecast;
mod street;
mod trace;
mod wyndham;
mod year;

use std::collections::BTreeMap;

use domain::ids::{
    AssetId, AssetKey, BoxId, Category, Class, DeviceKey, RuleId, SiteId, SourceName, TenantId,
};
use domain::input::Input;
use domain::output::{Body, Message, Topic};
use domain::rules::{Condition, FactName, Handling, Level, Rule, Severity, Side};
use domain::sample::{Quantity, Sample};
use domain::site::{Asset, Bin, Feed, Identity, Kind, Sensing, Service, Site, TicketPolicy};
use domain::time::{Boot, ClockQuality, Moment, Monotonic, Span, Utc};
use domain::units::{Millimetres, Permille};

/// A bin 1.2 m deep under a sensor 30 cm above its full line.
fn bin(full_at: i64, clear_at: i64) -> Bin {
    Bin {
        empty: Millimetres(1500),
        full: Millimetres(300),
        full_at: Permille::from_percent(full_at),
        clear_at: Permille::from_percent(clear_at),
        capacity_l: Some(240),
        stale_after: Span::from_mins(50 * 60),
        sensing: Sensing::PLAIN,
        service: Service::NONE,
    }
}

fn source() -> SourceName {
    SourceName::new("s").unwrap()
}

fn asset(device: &str, kind: Kind) -> Asset {
    let feed = Feed { source: source(), device: Some(DeviceKey::new(device).unwrap()) };
    Asset { names: BTreeMap::new(), position: None, street: None, feeds: vec![feed], kind }
}

fn key(device: &str) -> AssetKey {
    AssetKey::new(Class::Bin, AssetId::new(device).unwrap())
}

fn site(assets: BTreeMap<AssetKey, Asset>, rules: Vec<Rule>) -> Site {
    Site {
        identity: Identity {
            tenant: TenantId::new("city").unwrap(),
            site: SiteId::new("street").unwrap(),
            id: BoxId::new("box").unwrap(),
        },
        assets,
        rules,
        tickets: TicketPolicy::default(),
        calendar: Default::default(),
        parking: Default::default(),
    }
}

fn rule(id: &str, category: &str, fact: FactName, marks: (Level, Level), readings: u32) -> Rule {
    let (raise_at, clear_at) = marks;
    let hold = Span::ZERO;
    Rule {
        id: RuleId::new(id).unwrap(),
        version: 1,
        class: Class::Bin,
        category: Category::new(category).unwrap(),
        severity: Severity::Medium,
        when: Condition::Threshold { fact, side: Side::Above, raise_at, clear_at, hold, readings },
        handling: Handling::default(),
    }
}

/// A rule for what is so or not.
fn flag(id: &str, category: &str, fact: FactName, readings: u32) -> Rule {
    rule(id, category, fact, (Level::Milli(1000), Level::Milli(0)), readings)
}

fn full_rule(readings: u32) -> Rule {
    rule("full", "bin_overflow", FactName::LevelPct, (Level::FullAt, Level::ClearAt), readings)
}

fn moment(boot: u32, start: Utc, utc: Utc) -> Moment {
    let monotonic = Monotonic::from_ms(utc.since(start).as_ms());
    Moment { boot: Boot(boot), monotonic, utc, clock: ClockQuality::Ntp }
}

fn report(device: &str, quantities: Vec<Quantity>) -> Input {
    let device = Some(DeviceKey::new(device).unwrap());
    Input::Sample(Sample { source: source(), device, counter: None, at: None, quantities })
}

/// The ticket events among messages: what happened, and the ticket's category and asset.
fn tickets(messages: &[Message]) -> Vec<(&'static str, String, String)> {
    let event = |message: &Message| match (&message.topic, &message.body) {
        (Topic::TicketEvent(_), Body::Event { kind, data }) => {
            let text = |name: &str| data[name].as_str().unwrap_or_default().to_owned();
            Some((
                *kind,
                text("category"),
                data["asset"]["id"].as_str().map_or_else(|| text("asset"), str::to_owned),
            ))
        }
        _ => None,
    };
    messages.iter().filter_map(event).collect()
}

/// The events of assets among messages, by type.
fn events<'a>(messages: &'a [Message], wanted: &'a str) -> impl Iterator<Item = &'a Message> {
    messages.iter().filter(move |m| matches!(&m.body, Body::Event { kind, .. } if *kind == wanted))
}
