//! `[tickets]`, `[[limit]]`, `[[crew]]`, `[[maintenance]]` and `[[category]]`: how tickets behave, by when
//! they have to be handled, and by whom.

use std::collections::BTreeMap;

use domain::calendar::{Period, TimeOfDay};
use domain::commands::Action;
use domain::ids::{AssetId, AssetKey, Category, Class, CrewId};
use domain::site::{Allow, Asset, CategorySpec, Crew, LimitRule, Maintenance, TicketPolicy};
use domain::tickets::{LIMIT_MAX, TimeLimit, WorkingHours};
use domain::time::{Span, Utc};
use domain::waste::Tag;

use super::super::fault::did_you_mean;
use super::super::section::{Section, Tree, Value};
use super::super::{categories, values};
use super::rules::{SEVERITIES, category};

/// The longest radius inside which reports are of the same problem, in metres.
const RADIUS_MAX: u32 = 1000;

/// Everything that concerns tickets.
pub(super) fn read<'a>(tree: &'a Tree<'a>, assets: &BTreeMap<AssetKey, Asset>) -> TicketPolicy {
    let mut policy = TicketPolicy::default();
    if let Some(section) = tree.table("tickets") {
        read_tickets(&section, &mut policy);
    }
    policy.categories = read_categories(tree);
    let crews = tree.list("crew");
    policy.crews = crews.iter().filter_map(|section| crew(section, assets)).collect();
    check_cards(&crews, &policy.crews);
    policy.limits = tree.list("limit").iter().filter_map(limit).collect();
    policy.allow = tree.list("allow").iter().filter_map(allow).collect();
    let maintenance = tree.list("maintenance");
    policy.maintenance = maintenance.iter().filter_map(|s| read_maintenance(s, assets)).collect();
    policy
}

fn read_tickets(section: &Section<'_>, policy: &mut TicketPolicy) {
    let days = |n: u64| Span::from_mins(n * 24 * 60);
    let reopen = values::span(Span::ZERO..=days(90));
    policy.reopen_within = section.or("reopen_within", policy.reopen_within, reopen);
    let keep = values::span(Span::ZERO..=days(366));
    policy.keep_closed = section.or("keep_closed", policy.keep_closed, keep);
    if let Some(hours) = section.optional("hours", hours) {
        policy.hours = hours;
    }
    policy.flaps = section.or("flaps", policy.flaps, values::integer(0..=1000));
    let within = values::span(Span::from_mins(1)..=days(7));
    policy.flap_within = section.or("flap_within", policy.flap_within, within);
    policy.storm_from = section.or("storm_from", policy.storm_from, values::integer(0..=100_000));
    section.finish();
}

/// `["08:00-12:00", "14:00-18:00"]`.
fn hours(value: &Value<'_>) -> Option<WorkingHours> {
    let items = value.items("\"08:00-12:00\", \"14:00-18:00\"")?;
    let periods = items.iter().map(period).collect::<Option<Vec<_>>>()?;
    let hours = WorkingHours::new(periods);
    if hours.is_none() {
        let cause = "the working hours are not in order, or overlap, or are none".to_owned();
        value.error(cause, "write periods of one day, the earliest first");
    }
    hours
}

pub(super) fn period(value: &Value<'_>) -> Option<Period> {
    let text = value.as_text("a period such as \"08:00-12:00\"")?;
    let ends = text.split_once('-').map(|(a, b)| (TimeOfDay::parse(a), TimeOfDay::parse(b)));
    let Some((Some(from), Some(to))) = ends else {
        value.error(format!("{text:?} is no period"), "write HH:MM-HH:MM, such as \"08:00-12:00\"");
        return None;
    };
    Some(Period { from, to })
}

fn limit(section: &Section<'_>) -> Option<LimitRule> {
    let category = section.optional("category", category);
    let severity = section.optional("severity", values::word(&SEVERITIES));
    let limit = section.required("within", "\"4 work_hour\"", |value| {
        let text = value.as_text("a limit such as \"4 work_hour\"")?;
        let limit = TimeLimit::parse(text);
        if let Err(error) = &limit {
            value.error(format!("{text:?} is no limit"), error.to_string());
        }
        limit.ok()
    });
    let remind = values::span(Span::ZERO..=Span::from_mins(u64::from(LIMIT_MAX)));
    let remind = section.or("remind", Span::from_mins(30), remind);
    section.finish();
    Some(LimitRule { category, severity, limit: limit?, remind })
}

fn crew(section: &Section<'_>, assets: &BTreeMap<AssetKey, Asset>) -> Option<(CrewId, Crew)> {
    let id = section.required("id", "\"bins-1\"", values::id(CrewId::new));
    let names = super::assets::names(section);
    let unit = section.optional("unit", values::name);
    let categories = section.optional("categories", |value| {
        value.items("\"bin_overflow\"")?.iter().map(category).collect::<Option<Vec<_>>>()
    });
    let cards = section.optional("cards", |value| {
        value.items("\"0a2b3c4d5e\"")?.iter().map(super::bins::tag).collect::<Option<Vec<_>>>()
    });
    let vehicles = section.optional("vehicles", |value| {
        let one = |item: &Value<'_>| vehicle(item, assets);
        value.items("\"truck-3\"")?.iter().map(one).collect::<Option<Vec<_>>>()
    });
    section.finish();
    let crew = Crew {
        names,
        unit,
        categories: categories.unwrap_or_default(),
        cards: cards.unwrap_or_default(),
        vehicles: vehicles.unwrap_or_default(),
    };
    Some((id?, crew))
}

/// The vehicle of that id.
fn vehicle(value: &Value<'_>, assets: &BTreeMap<AssetKey, Asset>) -> Option<AssetId> {
    let text = value.as_text("the id of a vehicle, such as \"truck-3\"")?;
    let vehicles = || assets.keys().filter(|key| key.class == Class::Vehicle);
    let found = vehicles().find(|key| key.id.as_str() == text);
    if found.is_none() {
        let fix = did_you_mean(text, vehicles().map(|key| key.id.as_str()));
        value.error(format!("no vehicle {text:?}"), fix);
    }
    found.map(|key| key.id.clone())
}

/// A card opens one door: who has it is one crew.
fn check_cards(sections: &[Section<'_>], crews: &BTreeMap<CrewId, Crew>) {
    let mut seen: BTreeMap<Tag, &CrewId> = BTreeMap::new();
    for (id, crew) in crews {
        for card in &crew.cards {
            if let Some(other) = seen.insert(*card, id)
                && let Some(section) = sections.first()
            {
                let cause = format!("card {card} belongs to {other} and to {id}");
                section.report.error(section.at, cause, "give each card to one crew");
            }
        }
    }
}

fn allow(section: &Section<'_>) -> Option<Allow> {
    let patterns = |example: &'static str| {
        move |value: &Value<'_>| {
            let one = |item: &Value<'_>| item.as_text(example).map(str::to_owned);
            value.items(example)?.iter().map(one).collect::<Option<Vec<String>>>()
        }
    };
    let by = section.required("by", "[\"duty-*\"]", patterns("\"duty-*\""));
    let commands = section.required("commands", "[\"ticket.*\"]", |value| {
        let patterns = patterns("\"ticket.ack\"")(value)?;
        let known = Action::names();
        for (pattern, item) in patterns.iter().zip(value.items("\"ticket.ack\"")?) {
            let begin = pattern.strip_suffix('*');
            let fits = |name: &&String| begin.map_or(*name == pattern, |b| name.starts_with(b));
            if !known.iter().any(|name| fits(&name)) {
                let fix = did_you_mean(pattern, known.iter().map(String::as_str));
                item.error(format!("no command {pattern:?}"), fix);
            }
        }
        Some(patterns)
    });
    section.finish();
    Some(Allow { by: by?, commands: commands? })
}

fn read_maintenance(
    section: &Section<'_>,
    assets: &BTreeMap<AssetKey, Asset>,
) -> Option<Maintenance> {
    let instant = |value: &Value<'_>| {
        let text = value.as_text("a time such as \"2026-10-01T22:00:00+08:00\"")?;
        let time = Utc::parse(text);
        if let Err(error) = &time {
            value.error(error.to_string(), "write a time with its offset");
        }
        time.ok()
    };
    let from = section.required("from", "\"2026-10-01T22:00:00+08:00\"", instant);
    let until = section.required("until", "\"2026-10-02T05:00:00+08:00\"", |value| {
        let until = instant(value)?;
        if from.is_some_and(|from| from >= until) {
            value.error("the maintenance ends before it begins".to_owned(), "write a later time");
        }
        Some(until)
    });
    let reason = section.or("reason", "maintenance".to_owned(), values::name);
    let covered = section.optional("assets", |value| {
        let known = || assets.keys().map(ToString::to_string).collect::<Vec<_>>();
        let one = |item: &Value<'_>| {
            let text = item.as_text("the name of an asset, such as \"bin/bin-21\"")?;
            let key = text.parse::<AssetKey>().ok().filter(|key| assets.contains_key(key));
            if key.is_none() {
                let known = known();
                let fix = did_you_mean(text, known.iter().map(String::as_str));
                item.error(format!("no asset {text:?}"), fix);
            }
            key
        };
        value.items("\"bin/bin-21\"")?.iter().map(one).collect::<Option<Vec<_>>>()
    });
    section.finish();
    let assets = covered.unwrap_or_default();
    Some(Maintenance { assets, from: from?, until: until?, reason })
}

/// The catalogue, with what the configuration says otherwise.
fn read_categories<'a>(tree: &'a Tree<'a>) -> BTreeMap<Category, CategorySpec> {
    let mut specs = categories::specs();
    for section in &tree.list("category") {
        let symbol = section.required("symbol", "\"bin_overflow\"", values::id(Category::new));
        let before = symbol.as_ref().and_then(|s| specs.get(s)).cloned().unwrap_or_default();
        let names = super::assets::names(section);
        let spec = CategorySpec {
            names: if names.is_empty() { before.names } else { names },
            codes: section.or("codes", before.codes, codes),
            class: section.optional("class", values::word(&super::rules::CLASSES)).or(before.class),
            radius_m: section.or("radius_m", before.radius_m, values::integer(0..=RADIUS_MAX)),
            review: section.or("review", before.review, values::boolean),
            internal: section.or("internal", before.internal, values::boolean),
        };
        section.finish();
        specs.extend(symbol.map(|symbol| (symbol, spec)));
    }
    specs
}

fn codes(value: &Value<'_>) -> Option<Vec<domain::site::CategoryCode>> {
    let example = "{ scheme = \"GB/T47678.5\", kind = \"matter\", code = \"06042\" }";
    let one = |item: &Value<'_>| {
        let section = item.as_section(example)?;
        let scheme = section.required("scheme", "\"GB/T47678.5\"", values::name);
        let kinds = [("component", "component"), ("matter", "matter")];
        let kind = section.required("kind", "\"matter\"", values::word(&kinds));
        let code = section.required("code", "\"06042\"", values::name);
        let local = section.or("local", false, values::boolean);
        section.finish();
        let kind = kind?.to_owned();
        Some(domain::site::CategoryCode { scheme: scheme?, kind, code: code?, local })
    };
    value.items(example)?.iter().map(one).collect()
}
