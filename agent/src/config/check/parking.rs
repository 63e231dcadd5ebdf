//! `[[tariff]]`, `[[calendar]]`, `[[permit]]` and what a bay says of them.

use std::collections::BTreeMap;
use std::fmt::Display;

use domain::calendar::{Calendar, DayClass, DayClasses, Period, TimeOfDay};
use domain::ids::{AssetId, AssetKey, Class, PermitId, TariffId, VehicleClass};
use domain::parking::tariff::{
    Applies, Campaign, Cap, Currency, Exceeded, Free, Money, OnChange, Plan, Rounding, Scope,
    Seconds, Spot, Tariff, Tier, Window,
};
use domain::site::{BayPolicy, NoParking};
use domain::time::{Span, Utc};
use jiff::civil::Date;
use jiff::tz::TimeZone;

use super::super::section::{Section, Tree, Value};
use super::super::values;

const DAYS: [(&str, DayClass); 4] = [
    ("workday", DayClass::Workday),
    ("weekend", DayClass::Weekend),
    ("holiday", DayClass::Holiday),
    ("makeup", DayClass::Makeup),
];
const WEEK: [(&str, usize); 7] =
    [("mon", 0), ("tue", 1), ("wed", 2), ("thu", 3), ("fri", 4), ("sat", 5), ("sun", 6)];
const SCOPES: [(&str, Scope); 4] = [
    ("window", Scope::Window),
    ("calendar_day", Scope::CalendarDay),
    ("rolling_24h", Scope::Rolling24h),
    ("stay", Scope::Stay),
];
const ON_CHANGE: [(&str, OnChange); 2] = [("entry", OnChange::Entry), ("split", OnChange::Split)];
const SECONDS: [(&str, Seconds); 2] =
    [("truncate", Seconds::Truncate), ("round_up", Seconds::RoundUp)];
const EXCEEDED: [(&str, Exceeded); 2] =
    [("voided", Exceeded::Voided), ("deducted", Exceeded::Deducted)];
const ROUNDING: [(&str, Rounding); 2] = [("window", Rounding::Window), ("stay", Rounding::Stay)];
const APPLIES: [(&str, Applies); 2] = [("time", Applies::Time), ("stay", Applies::Stay)];

/// The most that a price or a cap can be, in the smallest unit of the currency.
const MONEY_MAX: u64 = 100_000_000;
/// Minutes of a week: more than any unit, tier or free time has.
const MINUTES_MAX: u32 = 7 * 24 * 60;

/// The tariffs that are right, and the name of every one that was given.
pub(super) struct Tariffs {
    pub(super) tariffs: BTreeMap<TariffId, Tariff>,
    pub(super) names: Vec<TariffId>,
}

/// Every `[[tariff]]`. Several of one id are its plans.
pub(super) fn tariffs<'a>(tree: &'a Tree<'a>) -> Tariffs {
    let mut plans: BTreeMap<TariffId, Vec<Plan>> = BTreeMap::new();
    let mut names = vec![];
    for section in &tree.list("tariff") {
        let id = section.required("id", "\"street\"", values::id(TariffId::new));
        let plan = plan(section);
        section.finish();
        names.extend(id.clone());
        let (Some(id), Some(plan)) = (id, plan) else { continue };
        let others = plans.entry(id.clone()).or_default();
        if others.iter().any(|other| other.from == plan.from) {
            let cause = format!("tariff {id} is there twice for the same time");
            section.report.error(section.at, cause, "give the newer one the time it begins: from");
            continue;
        }
        others.push(plan);
    }
    let built = plans
        .into_iter()
        .filter_map(|(id, plans)| Tariff::new(id.clone(), plans).ok().map(|tariff| (id, tariff)));
    Tariffs { tariffs: built.collect(), names }
}

fn plan(section: &Section<'_>) -> Option<Plan> {
    let list = |key, read: fn(&Section<'_>) -> Option<Window>| tables(section, key, read);
    let windows = list("windows", window);
    if section.value("windows").is_none() {
        section.missing("windows", "[{ name = \"day\", from = \"00:00\", to = \"24:00\", … }]");
    }
    let caps = tables(section, "caps", cap);
    let campaigns = tables(section, "campaigns", campaign);
    refuse_shared_caps(section);
    let plan = Plan {
        version: section.or("version", 1, values::integer(1..=u32::MAX)),
        from: section.optional("from", instant),
        on_change: section.or("on_change", OnChange::Entry, values::word(&ON_CHANGE)),
        currency: section.or("currency", Currency::CNY, currency),
        seconds: section.or("seconds", Seconds::Truncate, values::word(&SECONDS)),
        free: section.or("free", Free::NONE, free),
        rounding: section.or("rounding", Rounding::Window, values::word(&ROUNDING)),
        counting: section.or("counting", Scope::Rolling24h, values::word(&SCOPES)),
        windows: windows?,
        caps: caps?,
        campaigns: campaigns?,
        error_max: section.optional("error_max", values::span(Span::ZERO..=Span::from_mins(1440))),
    };
    let faults = plan.faults();
    for fault in &faults {
        let (key, n) = match fault.spot {
            Spot::Plan => ("windows", None),
            Spot::Window(n) | Spot::Tier(n, _) => ("windows", Some(n)),
            Spot::Cap(n) => ("caps", Some(n)),
            Spot::Campaign(n) => ("campaigns", Some(n)),
        };
        let value = section.value(key);
        let item = n.and_then(|n| value?.items("{}")?.get(n).copied());
        let spot = item.or(value).map_or(section.at, |value| value.spot());
        section.report.error(spot, fault.cause.clone(), fault.fix);
    }
    faults.is_empty().then_some(plan)
}

/// The tables of a list; `None`, with their faults told, when one of them is wrong.
fn tables<T>(
    section: &Section<'_>,
    key: &'static str,
    read: fn(&Section<'_>) -> Option<T>,
) -> Option<Vec<T>> {
    let Some(value) = section.value(key) else { return Some(vec![]) };
    let items = value.items("{ … }")?;
    let read_one = |item: &Value<'_>| {
        let table = item.as_section("a table { … }")?;
        let one = read(&table);
        table.finish();
        one
    };
    let all: Vec<Option<T>> = items.iter().map(read_one).collect();
    all.into_iter().collect()
}

fn window(section: &Section<'_>) -> Option<Window> {
    let name = section.required("name", "\"day\"", values::name);
    let period = period(section);
    let days = section.or("days", DayClasses::ALL, days);
    let vehicles = section.optional("vehicles", |value| {
        let items = value.items("\"truck\"")?;
        items.iter().map(values::id(VehicleClass::new)).collect::<Option<Vec<_>>>()
    });
    let free = section.or("free", Free::NONE, free);
    let cap = section.optional("cap", money);
    let tiers = tables(section, "tiers", tier);
    let vehicles = vehicles.unwrap_or_default();
    Some(Window { name: name?, period: period?, days, vehicles, free, tiers: tiers?, cap })
}

fn tier(section: &Section<'_>) -> Option<Tier> {
    let up_to = section.optional("up_to", values::integer(1..=MINUTES_MAX));
    let unit = section.required("unit", "60", values::integer(1..=MINUTES_MAX));
    let price = section.required("price", "500", money);
    Some(Tier { up_to, unit: unit?, price: price? })
}

fn cap(section: &Section<'_>) -> Option<Cap> {
    let scope = section.required("per", "\"rolling_24h\"", values::word(&SCOPES));
    let max = section.required("max", "3500", money);
    Some(Cap { scope: scope?, max: max? })
}

fn campaign(section: &Section<'_>) -> Option<Campaign> {
    let name = section.required("name", "\"spring\"", values::name);
    let first = section.required("first", "\"2026-10-01\"", date);
    let last = section.required("last", "\"2026-10-07\"", date);
    let days = section.or("days", DayClasses::ALL, days);
    let percent = section.or("percent", 100, values::integer(1..=100_u8));
    let applies = section.or("applies", Applies::Time, values::word(&APPLIES));
    Some(Campaign { name: name?, first: first?, last: last?, days, percent, applies })
}

fn money(value: &Value<'_>) -> Option<Money> {
    values::integer(0..=MONEY_MAX)(value).map(Money::from_minor)
}

fn free(value: &Value<'_>) -> Option<Free> {
    let section = value.as_section("{ minutes = 15 }")?;
    let minutes = section.required("minutes", "15", values::integer(0..=MINUTES_MAX));
    let inclusive = section.or("inclusive", true, values::boolean);
    let exceeded = section.or("exceeded", Exceeded::Voided, values::word(&EXCEEDED));
    section.finish();
    Some(Free { minutes: minutes?, inclusive, exceeded })
}

fn parsed<T, E: Display>(
    value: &Value<'_>,
    wanted: &str,
    parse: impl FnOnce(&str) -> Result<T, E>,
) -> Option<T> {
    let text = value.as_text(wanted)?;
    match parse(text) {
        Ok(parsed) => Some(parsed),
        Err(why) => {
            value.error(format!("{text:?}: {why}"), format!("write {wanted}"));
            None
        }
    }
}

fn currency(value: &Value<'_>) -> Option<Currency> {
    let parse = |text: &str| Currency::parse(text).ok_or("no code of a currency");
    parsed(value, "three capital letters, such as \"CNY\"", parse)
}

fn instant(value: &Value<'_>) -> Option<Utc> {
    parsed(value, "a time such as \"2026-10-01T00:00:00+08:00\"", Utc::parse)
}

fn date(value: &Value<'_>) -> Option<Date> {
    let parse = |text: &str| text.parse::<Date>().map_err(|_| "no day");
    parsed(value, "a day such as \"2026-10-01\"", parse)
}

fn time_of_day(value: &Value<'_>) -> Option<TimeOfDay> {
    let parse = |text: &str| TimeOfDay::parse(text).ok_or("no time of day");
    parsed(value, "a time such as \"07:30\"", parse)
}

fn period(section: &Section<'_>) -> Option<Period> {
    let from = section.required("from", "\"07:30\"", time_of_day);
    let to = section.required("to", "\"21:30\"", time_of_day);
    Some(Period { from: from?, to: to? })
}

fn days(value: &Value<'_>) -> Option<DayClasses> {
    let items = value.items("\"workday\"")?;
    let classes: Vec<Option<DayClass>> = items.iter().map(values::word(&DAYS)).collect();
    Some(DayClasses::of(&classes.into_iter().collect::<Option<Vec<_>>>()?))
}

/// Every `[[calendar]]` together: days off, holidays, and days that make up for them.
pub(super) fn calendar<'a>(tree: &'a Tree<'a>, zone: TimeZone) -> Calendar {
    let mut calendar = Calendar::new(zone);
    let mut special = BTreeMap::new();
    for section in &tree.list("calendar") {
        let off = section.optional("days_off", |value| {
            let items = value.items("\"sat\"")?;
            let days: Vec<Option<usize>> = items.iter().map(values::word(&WEEK)).collect();
            let mut off = [false; 7];
            for day in days {
                off[day?] = true;
            }
            Some(off)
        });
        if let Some(off) = off {
            calendar = calendar.with_days_off(off);
        }
        for (key, class) in [("holidays", DayClass::Holiday), ("makeup", DayClass::Makeup)] {
            let Some(value) = section.value(key) else { continue };
            for item in value.items("\"2026-10-01\"").unwrap_or_default() {
                let Some(day) = date(&item) else { continue };
                if special.insert(day, class).is_some_and(|other| other != class) {
                    let cause = format!("{day} is both a holiday and made up for");
                    item.error(cause, "keep one of the two");
                }
            }
        }
        section.finish();
    }
    calendar.with_special(special)
}

/// Every `[[permit]]`, with the bays it is good for.
pub(super) fn permits<'a, T>(
    tree: &'a Tree<'a>,
    assets: &BTreeMap<AssetKey, T>,
) -> BTreeMap<PermitId, Vec<AssetId>> {
    let mut permits = BTreeMap::new();
    for section in &tree.list("permit") {
        let id = section.required("id", "\"p-0001\"", values::id(PermitId::new));
        let bays = section.optional("bays", |value| {
            let items = value.items("\"b-1001\"")?;
            items.iter().map(|item| known_bay(item, assets)).collect::<Option<Vec<_>>>()
        });
        section.finish();
        if let Some(id) = id {
            permits.insert(id, bays.unwrap_or_default());
        }
    }
    permits
}

fn known_bay<T>(value: &Value<'_>, assets: &BTreeMap<AssetKey, T>) -> Option<AssetId> {
    let id = values::id(AssetId::new)(value)?;
    if !assets.contains_key(&AssetKey::new(Class::Bay, id.clone())) {
        value.error(format!("no bay is called {id}"), "name a [[bay]], or leave bays out for all");
        return None;
    }
    Some(id)
}

/// What a `[[bay]]` says of tariff, permits and doubt; the tariff itself is looked up by the caller.
pub(super) fn policy(section: &Section<'_>) -> Option<BayPolicy> {
    let usual = BayPolicy::default();
    let days = |n: u64| Span::from_mins(n * 24 * 60);
    let short = || values::span(Span::ZERO..=days(1));
    let long = || values::span(Span::from_mins(60)..=days(90));
    let no_parking = tables(section, "no_parking", no_parking);
    Some(BayPolicy {
        tariff: None,
        vehicle: section.optional("vehicle", values::id(VehicleClass::new)),
        disagree_after: section.or("disagree_after", usual.disagree_after, short()),
        drift_after: section.or("drift_after", usual.drift_after, long()),
        stuck_after: section.or("stuck_after", usual.stuck_after, long()),
        zombie_after: section.or("zombie_after", usual.zombie_after, long()),
        no_parking: no_parking?,
        reserved: section.optional("reserved", short()),
    })
}

fn no_parking(section: &Section<'_>) -> Option<NoParking> {
    let period = period(section);
    let days = section.or("days", DayClasses::ALL, days);
    let grace =
        section.or("grace", Span::from_mins(5), values::span(Span::ZERO..=Span::from_mins(60)));
    Some(NoParking { period: period?, days, grace })
}

/// A cap over several stays needs to know that they are of one vehicle. No source of the box tells whose car
/// it is, so such a cap would never hold: better said here than on a bill.
fn refuse_shared_caps(section: &Section<'_>) {
    let shared = section.value("caps_shared");
    if let Some(value) = shared.filter(|value| values::boolean(value) == Some(true)) {
        let cause =
            "caps cannot be shared by several stays: no sensor of a bay tells whose car it is";
        let fix = "write false, and let the back office that knows the vehicle apply such a cap";
        value.error(cause.to_owned(), fix);
    }
}
