//! `[[rule.test]]`: an example beside a rule, and whether the rule does what it says.

use std::collections::BTreeMap;

use domain::calendar::Calendar;
use domain::ids::Class;
use domain::rules::{Edge, Example, Fact, FactName, Outcome, Row, Rule, try_out};
use domain::sample::{Detection, Object};
use domain::site::{
    Asset, Bay, BayPolicy, Bin, Duty, Feed, Kind, Sensing, Service, Vehicle, VehicleKind,
};
use domain::time::{Span, Utc};
use domain::units::Millimetres;
use toml::de::DeValue;

use super::super::super::fault::did_you_mean;
use super::super::super::section::{Section, Value};
use super::super::super::{defaults, values};
use super::facts;

const LONGEST: Span = Span::from_mins(400 * 24 * 60);
/// The most reports of an example.
const ROWS_MAX: usize = 500;

/// An example as it is written.
pub(super) struct Written<'v> {
    example: Example,
    /// What is expected, each with the place of it.
    expected: Vec<(Edge, Vec<Span>, Option<Value<'v>>)>,
    max_stay: Span,
}

/// Reads an example.
pub(super) fn read<'v>(
    section: &'v Section<'v>,
    class: Option<Class>,
    calendar: &Calendar,
) -> Option<Written<'v>> {
    let _: Option<String> = section.optional("name", values::name);
    let start = section.optional("start", |value| local(value, calendar));
    let given = section.required("given", "[{ at = \"0s\", level_pct = 90 }]", |v| rows(v, class));
    let raised = section.required("raised", "[\"10m\"]", times);
    let cleared = section.optional("cleared", times);
    let last = [&raised, &cleared].into_iter().flatten().flatten().max().copied();
    let last = given.iter().flatten().map(|row| row.at).chain(last).max().unwrap_or_default();
    let until = section.or("until", last, values::span(last..=LONGEST));
    let stays = values::span(Span::from_secs(1)..=LONGEST);
    let max_stay = section.or("max_stay", defaults::EXAMPLE_STAY, stays);
    section.finish();
    let default = calendar.at(jiff::civil::date(2026, 6, 1), 0);
    let example = Example { start: start.unwrap_or(default), rows: given?, until };
    let expected = vec![
        (Edge::Raise, raised?, section.value("raised")),
        (Edge::Clear, cleared.unwrap_or_default(), section.value("cleared")),
    ];
    Some(Written { example, expected, max_stay })
}

impl Written<'_> {
    /// Runs the example; what comes otherwise than it says is a fault with its place.
    pub(super) fn hold(&self, section: &Section<'_>, rule: &Rule, calendar: &Calendar) {
        let asset = model(rule.class, self.max_stay);
        let found = try_out(rule, &asset, calendar, &self.example);
        for (edge, expected, value) in &self.expected {
            let came = found.iter().filter(|outcome| outcome.edge == *edge);
            let came: Vec<Span> = came.map(|outcome| outcome.at).collect();
            if came == *expected {
                continue;
            }
            let word = if *edge == Edge::Raise { "raised" } else { "cleared" };
            let cause = format!(
                "the example says {word} {}, but {} is {word} {}",
                when(expected),
                rule.id,
                when(&came)
            );
            let spot = value.map_or(section.at, |value| value.spot());
            section.report.error(spot, cause, story(rule, &asset, &found));
        }
    }
}

/// `at 10m, 2h`, or `never`.
fn when(times: &[Span]) -> String {
    if times.is_empty() {
        return "never".to_owned();
    }
    let times: Vec<String> = times.iter().map(|time| time.compact()).collect();
    format!("at {}", times.join(", "))
}

/// What the rule asks for and what came of the example.
fn story(rule: &Rule, asset: &Asset, found: &[Outcome]) -> String {
    let mut text = format!("it is raised when {}", rule.when.words(Some(asset)));
    for Outcome { at, edge, evidence } in found.iter().take(8) {
        let word = if *edge == Edge::Raise { "raised" } else { "cleared" };
        let why: Vec<&str> = evidence.iter().map(|one| one.text.as_str()).collect();
        text += &format!("; {word} at {}: {}", at.compact(), why.join(", "));
    }
    text
}

fn rows(value: &Value<'_>, class: Option<Class>) -> Option<Vec<Row>> {
    let items = value.items("{ at = \"0s\", level_pct = 90 }")?;
    if items.is_empty() || items.len() > ROWS_MAX {
        value.error(format!("an example has 1 to {ROWS_MAX} reports"), "write what is told");
        return None;
    }
    let mut before = Span::ZERO;
    let mut rows = vec![];
    for item in &items {
        let row = row(item, class)?;
        if row.at < before {
            item.error("this report is before the one above it".to_owned(), "sort them by time");
            return None;
        }
        before = row.at;
        rows.push(row);
    }
    Some(rows)
}

fn row(value: &Value<'_>, class: Option<Class>) -> Option<Row> {
    let section = value.as_section("{ at = \"0s\", level_pct = 90 }")?;
    let at = section.required("at", "\"0s\"", values::span(Span::ZERO..=LONGEST));
    let sure = section.or("confidence_pct", defaults::CONFIDENCE, values::percent);
    let mut told = BTreeMap::new();
    let mut heard = None;
    for (key, value) in section.entries() {
        match key {
            "at" | "confidence_pct" => {}
            "heard" => heard = Some(values::boolean(&value)?),
            "position" => {
                told.insert(key, Fact::At(values::position(&value)?, 0.0));
            }
            "sees" => {
                let what = object(&value)?;
                told.insert(key, Fact::Seen(Detection { what, confidence: sure }));
            }
            name => {
                told.insert(key, fact(name, &value, class)?);
            }
        }
    }
    let facts: Vec<Fact> = told.into_values().collect();
    let heard = heard.unwrap_or(!facts.is_empty());
    Some(Row { at: at?, facts, heard })
}

fn object(value: &Value<'_>) -> Option<Option<Object>> {
    let objects = Object::ALL.map(|object| (object.as_str(), Some(object)));
    let words: Vec<_> = objects.into_iter().chain([("nothing", None)]).collect();
    values::word(&words)(value)
}

fn fact(name: &str, value: &Value<'_>, class: Option<Class>) -> Option<Fact> {
    let of_class = class.map_or(FactName::ALL.as_slice(), facts::of_class);
    let Some(fact) = of_class.iter().find(|fact| fact.as_str() == name) else {
        let known = of_class.iter().map(|fact| fact.as_str());
        let others = ["at", "sees", "confidence_pct", "position", "heard"];
        let known: Vec<_> = known.chain(others).collect();
        value
            .error(format!("{name:?} is nothing that can be told here"), did_you_mean(name, known));
        return None;
    };
    let milli = match value.raw() {
        DeValue::Boolean(yes) if fact.is_flag() => i64::from(*yes) * 1000,
        _ => values::milli(facts::possible(*fact))(value)?,
    };
    Some(Fact::Value(*fact, milli))
}

fn times(value: &Value<'_>) -> Option<Vec<Span>> {
    let items = value.items("\"10m\"")?;
    let times: Vec<_> = items.iter().map(values::span(Span::ZERO..=LONGEST)).collect();
    times.into_iter().collect()
}

/// A local time: `2026-06-01T22:00`.
fn local(value: &Value<'_>, calendar: &Calendar) -> Option<Utc> {
    let text = value.as_text("a local time such as \"2026-06-01T22:00\"")?;
    let Ok(local) = text.parse::<jiff::civil::DateTime>() else {
        let fix = "write a local time such as \"2026-06-01T22:00\"";
        value.error(format!("{text:?} is no time"), fix);
        return None;
    };
    let minutes = u16::from(local.hour().unsigned_abs()) * 60;
    let minutes = minutes + u16::from(local.minute().unsigned_abs());
    Some(calendar.at(local.date(), minutes))
}

/// An asset as the configuration makes one of `class` when nothing is said of it.
fn model(class: Class, max_stay: Span) -> Asset {
    let kind = match class {
        Class::Bay => Kind::Bay(Bay {
            max_stay: Some(max_stay),
            occupied_after: defaults::OCCUPIED_AFTER,
            free_after: defaults::FREE_AFTER,
            stale_after: defaults::SENSOR_STALE_AFTER,
            policy: BayPolicy::default(),
        }),
        Class::Bin => Kind::Bin(Bin {
            empty: Millimetres(1500),
            full: Millimetres(300),
            full_at: defaults::FULL_AT,
            clear_at: defaults::CLEAR_AT,
            capacity_l: None,
            stale_after: defaults::SENSOR_STALE_AFTER,
            sensing: Sensing::default(),
            service: Service::default(),
        }),
        Class::Vehicle => Kind::Vehicle(Vehicle {
            kind: VehicleKind::Sweeper,
            work_speed_max: defaults::WORK_SPEED_MAX,
            parked_after: defaults::PARKED_AFTER,
            stale_after: defaults::VEHICLE_STALE_AFTER,
            duty: Duty::NONE,
        }),
        _ => Kind::Street { line: vec![], sweep: None },
    };
    let source = domain::ids::SourceName::new("example").expect("a name of ours");
    let feeds = vec![Feed { source, device: None }];
    Asset { names: BTreeMap::new(), position: None, street: None, feeds, kind }
}
