//! `[[rule]]` and `[rules]`: when a ticket is opened. The built-in rules are a file of the same form.

use std::collections::BTreeMap;

use domain::ids::{AssetKey, Category, Class, RuleId};
use domain::rules::{Condition, FactName, Level, READINGS_MAX, Rule, Severity, Side};
use domain::site::{Asset, Bin, Kind};
use domain::time::Span;
use toml::de::DeValue;

use super::super::fault::{Fault, Place, did_you_mean, nearest};
use super::super::section::{Report, Section, Tree, Value};
use super::super::{categories, defaults, file, values};
use super::Assets;

/// The rules that apply unless the configuration says otherwise.
const BUILT_IN: &str = include_str!("../../../../config/rules/default.toml");

/// The classes that rules can watch.
pub(super) const CLASSES: [(&str, Class); 4] = [
    ("bay", Class::Bay),
    ("bin", Class::Bin),
    ("vehicle", Class::Vehicle),
    ("street", Class::Street),
];

pub(super) const SEVERITIES: [(&str, Severity); 4] = [
    ("low", Severity::Low),
    ("medium", Severity::Medium),
    ("high", Severity::High),
    ("critical", Severity::Critical),
];

/// The facts that assets of a class have.
const fn facts(class: Class) -> &'static [FactName] {
    match class {
        Class::Bay => &[
            FactName::TemperatureC,
            FactName::BatteryPct,
            FactName::BatteryV,
            FactName::BayStuck,
            FactName::BayContested,
            FactName::BayDrifted,
            FactName::BayForbidden,
            FactName::BayUnpermitted,
            FactName::BayZombie,
            FactName::StayPct,
        ],
        Class::Bin => &[
            FactName::LevelPct,
            FactName::TemperatureC,
            FactName::BatteryPct,
            FactName::BatteryV,
            FactName::Overflow,
            FactName::Burning,
            FactName::Tilted,
            FactName::LidOpen,
            FactName::Moved,
            FactName::SensorFault,
            FactName::CollectionLateH,
            FactName::MissedCollection,
            FactName::NoFall,
            FactName::NoLift,
        ],
        Class::Vehicle => &[
            FactName::SpeedKmh,
            FactName::WeighDifferencePct,
            FactName::OverspeedKmh,
            FactName::StoppedMin,
            FactName::IdlingMin,
            FactName::OutOfArea,
            FactName::DeviationM,
            FactName::NoFixMin,
            FactName::StopsSkipped,
            FactName::StopsLate,
            FactName::StopsEarly,
            FactName::PlanShifted,
        ],
        Class::Street => &[FactName::SweptPct],
        Class::Gauge | Class::Camera | Class::Node => &[],
    }
}

/// What a fact can be, in its unit.
const fn possible(fact: FactName) -> std::ops::RangeInclusive<i64> {
    match fact {
        FactName::LevelPct
        | FactName::BatteryPct
        | FactName::SweptPct
        | FactName::WeighDifferencePct => 0..=100,
        FactName::TemperatureC => -60..=120,
        FactName::BatteryV => 0..=60,
        FactName::SpeedKmh | FactName::OverspeedKmh => 0..=200,
        FactName::StoppedMin | FactName::IdlingMin | FactName::NoFixMin => 0..=10_080,
        FactName::DeviationM => 0..=100_000,
        FactName::StopsSkipped | FactName::StopsLate | FactName::StopsEarly => 0..=1000,
        FactName::CollectionLateH => -168..=168,
        FactName::Overflow
        | FactName::Burning
        | FactName::Tilted
        | FactName::LidOpen
        | FactName::Moved
        | FactName::SensorFault
        | FactName::MissedCollection
        | FactName::NoFall
        | FactName::NoLift
        | FactName::BayStuck
        | FactName::BayContested
        | FactName::BayDrifted
        | FactName::BayForbidden
        | FactName::BayUnpermitted
        | FactName::BayZombie
        | FactName::OutOfArea
        | FactName::PlanShifted => 0..=1,
        FactName::StayPct => 0..=100_000,
    }
}

/// The rules that are built in.
pub(in crate::config) fn built_in() -> Vec<Rule> {
    let (rules, faults) = read_built_in();
    assert!(faults.is_empty(), "the built-in rules are valid: {faults:?}");
    rules
}

fn read_built_in() -> (Vec<Rule>, Vec<Fault>) {
    let texts = file::from_text("config/rules/default.toml", BUILT_IN);
    let report = Report::new(&texts.texts);
    let tree = Tree::new(&report, &texts.texts, texts.incomplete);
    let rules = read_list(&tree, &BTreeMap::new());
    tree.finish(&[]);
    drop(tree);
    let mut faults = texts.faults.clone();
    faults.extend(report.into_faults());
    (rules, faults)
}

/// The rules of the configuration: the built-in ones, each unless it is replaced by one of the same id,
/// then the others.
pub(super) fn read<'a>(tree: &'a Tree<'a>, assets: &Assets) -> Vec<Rule> {
    let mut with_defaults = true;
    if let Some(section) = tree.table("rules") {
        with_defaults = section.or("defaults", true, values::boolean);
        section.finish();
    }
    let mut own = read_list(tree, &assets.assets);
    let mut rules = if with_defaults { built_in() } else { Vec::new() };
    for rule in &mut rules {
        if let Some(at) = own.iter().position(|own| own.id == rule.id) {
            *rule = own.remove(at);
        }
    }
    rules.extend(own);
    rules
}

fn read_list<'a>(tree: &'a Tree<'a>, assets: &BTreeMap<AssetKey, Asset>) -> Vec<Rule> {
    let mut places = BTreeMap::new();
    let sections = tree.list("rule");
    sections.iter().filter_map(|section| read_rule(section, assets, &mut places)).collect()
}

fn read_rule(
    section: &Section<'_>,
    assets: &BTreeMap<AssetKey, Asset>,
    places: &mut BTreeMap<RuleId, Place>,
) -> Option<Rule> {
    let id = section.required("id", "\"bin-full\"", |value| {
        let id = values::id(RuleId::new)(value)?;
        if let Some(first) = places.get(&id) {
            let cause = format!("there are two rules called {id}; first at {first}");
            value.error(cause, "give each its own id");
            return None;
        }
        places.insert(id.clone(), value.place());
        Some(id)
    });
    let version = section.or("version", defaults::RULE_VERSION, values::integer(1..=u32::MAX));
    let class = section.required("class", "\"bin\"", values::word(&CLASSES));
    let category = section.required("category", "\"bin_overflow\"", category);
    let severity = section.or("severity", defaults::SEVERITY, values::word(&SEVERITIES));
    let example = "{ above = \"level_pct\", raise_at = \"full_at\", clear_at = \"clear_at\" }";
    let when = section.required("when", example, |value| {
        let section = value.as_section(example)?;
        condition(&section, class, assets)
    });
    section.finish();
    Some(Rule { id: id?, version, class: class?, category: category?, severity, when: when? })
}

/// A category: any symbol, with a warning when it is none that the catalogue has.
pub(super) fn category(value: &Value<'_>) -> Option<Category> {
    let category = values::id(Category::new)(value)?;
    let known = categories::symbols();
    if !known.contains(&category.as_str()) {
        let fix = match nearest(category.as_str(), known.iter().copied()) {
            Some(near) => format!("did you mean {near:?}?"),
            None => "see config/categories.toml for those that platforms know".to_owned(),
        };
        value.warning(format!("the category {category} is not in the catalogue"), fix);
    }
    Some(category)
}

/// What `when` can begin with.
const CONDITIONS: [&str; 4] = ["above", "below", "overstay", "silent"];

fn condition(
    section: &Section<'_>,
    class: Option<Class>,
    assets: &BTreeMap<AssetKey, Asset>,
) -> Option<Condition> {
    let given: Vec<_> = CONDITIONS.into_iter().filter(|key| section.value(key).is_some()).collect();
    let condition = match given.as_slice() {
        ["above"] => threshold(section, "above", Side::Above, class, assets),
        ["below"] => threshold(section, "below", Side::Below, class, assets),
        ["overstay"] => overstay(section, class),
        ["silent"] => {
            section.required("silent", "true", only_true)?;
            let range = Span::from_secs(1)..=Span::from_mins(90 * 24 * 60);
            Some(Condition::Silent { after: section.optional("after", values::span(range)) })
        }
        _ => {
            let cause = match given.as_slice() {
                [] => "\"when\" does not say when".to_owned(),
                several => format!("\"when\" says several things: {}", several.join(", ")),
            };
            let fix = "write one of above = fact, below = fact, overstay = true, silent = true";
            section.report.error(section.at, cause, fix);
            return None;
        }
    };
    section.finish();
    condition
}

fn overstay(section: &Section<'_>, class: Option<Class>) -> Option<Condition> {
    let stated = section.required("overstay", "true", |value| {
        if class.is_some_and(|class| class != Class::Bay) {
            value.error("only a bay can be overstayed".to_owned(), "write class = \"bay\"");
        }
        only_true(value)
    });
    let day = Span::from_mins(24 * 60);
    let grace = section.or("grace", defaults::GRACE, values::span(Span::ZERO..=day));
    stated.map(|()| Condition::Overstay { grace })
}

fn only_true(value: &Value<'_>) -> Option<()> {
    let stated = values::boolean(value)?;
    if !stated {
        let cause = format!("{} = false is no condition", value.key);
        value.error(cause, "write true, or remove the rule");
    }
    stated.then_some(())
}

fn threshold(
    section: &Section<'_>,
    key: &'static str,
    side: Side,
    class: Option<Class>,
    assets: &BTreeMap<AssetKey, Asset>,
) -> Option<Condition> {
    let fact = section.required(key, "\"level_pct\"", |value| fact(value, class));
    let raise_at = section.required("raise_at", "85", |value| level(value, fact));
    let clear_at = section.required("clear_at", "60", |value| {
        let clear = level(value, fact)?;
        refuse_wrong_side(value, side, raise_at, clear, assets);
        Some(clear)
    });
    let hold = values::span(Span::ZERO..=Span::from_mins(7 * 24 * 60));
    let hold = section.or("hold", defaults::HOLD, hold);
    let readings = section.or("readings", defaults::READINGS, values::integer(1..=READINGS_MAX));
    let (fact, raise_at, clear_at) = (fact?, raise_at?, clear_at?);
    Some(Condition::Threshold { fact, side, raise_at, clear_at, hold, readings })
}

fn fact(value: &Value<'_>, class: Option<Class>) -> Option<FactName> {
    let text = value.as_text("the name of a fact, such as \"level_pct\"")?;
    let of_class = class.map_or(FactName::ALL.as_slice(), facts);
    let known: Vec<_> = of_class.iter().map(|fact| fact.as_str()).collect();
    let Some(found) = FactName::ALL.into_iter().find(|fact| fact.as_str() == text) else {
        value.error(format!("unknown fact {text:?}"), did_you_mean(text, known));
        return None;
    };
    if !of_class.contains(&found) {
        let class = class.map_or("asset", Class::as_str);
        let fix = format!("a {class} has {}", known.join(", "));
        value.error(format!("a {class} has no {text}"), fix);
        return None;
    }
    Some(found)
}

/// A number that the fact can be, or the bin's own threshold.
fn level(value: &Value<'_>, fact: Option<FactName>) -> Option<Level> {
    let own = match value.raw() {
        DeValue::String(text) => match text.as_ref() {
            "full_at" => Some(Level::FullAt),
            "clear_at" => Some(Level::ClearAt),
            _ => {
                let fix = "write a number, \"full_at\" or \"clear_at\"";
                value.error(format!("{text:?} is no threshold"), fix);
                return None;
            }
        },
        _ => None,
    };
    if let Some(own) = own {
        if fact.is_some_and(|fact| fact != FactName::LevelPct) {
            let cause = "only level_pct has thresholds of the bin's own".to_owned();
            value.error(cause, "write a number");
            return None;
        }
        return Some(own);
    }
    let range = fact.map_or(-1_000_000..=1_000_000, possible);
    values::milli(range)(value).map(Level::Milli)
}

/// A threshold that is cleared where it is raised would open and close a ticket with every reading.
fn refuse_wrong_side(
    value: &Value<'_>,
    side: Side,
    raise: Option<Level>,
    clear: Level,
    assets: &BTreeMap<AssetKey, Asset>,
) {
    let Some(raise) = raise else { return };
    let wrong = |bin: Option<&Bin>| {
        let (raise, clear) = (resolve(raise, bin), resolve(clear, bin));
        match side {
            Side::Above => clear >= raise,
            Side::Below => clear <= raise,
        }
    };
    let numbers = matches!((raise, clear), (Level::Milli(_), Level::Milli(_)));
    let bins = assets.iter().filter_map(|(key, asset)| match &asset.kind {
        Kind::Bin(bin) if !numbers => Some((key, bin)),
        _ => None,
    });
    let whose = match bins.clone().find(|(_, bin)| wrong(Some(bin))) {
        Some((key, _)) => format!(" for {key}"),
        None if bins.count() == 0 && wrong(None) => String::new(),
        None => return,
    };
    let (must, than) = match side {
        Side::Above => ("below", "above"),
        Side::Below => ("above", "below"),
    };
    let cause = format!("clear_at must be {must} raise_at{whose}");
    value.error(cause, format!("with {than}, write a clear_at that is {must} raise_at"));
}

/// A level in thousandths; the bin's own, or what a bin has by default.
fn resolve(level: Level, bin: Option<&Bin>) -> i64 {
    let milli = |permille: domain::units::Permille| i64::from(permille.get()) * 100;
    match level {
        Level::Milli(milli) => milli,
        Level::FullAt => milli(bin.map_or(defaults::FULL_AT, |bin| bin.full_at)),
        Level::ClearAt => milli(bin.map_or(defaults::CLEAR_AT, |bin| bin.clear_at)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_built_in_rules_are_valid_and_cover_what_is_watched() {
        let (rules, faults) = read_built_in();
        assert_eq!(faults, []);
        let ids: Vec<_> = rules.iter().map(|rule| rule.id.as_str()).collect();
        for expected in [
            "bin-full",
            "bay-overstay",
            "bay-silent",
            "bin-silent",
            "vehicle-silent",
            "bin-fire",
            "bin-tilted",
            "bin-moved",
            "bin-sensor",
            "bin-early",
            "bin-missed",
            "bin-no-fall",
            "bin-no-lift",
            "vehicle-weigh",
            "bay-battery-low",
            "bin-battery-low",
            "street-unswept",
            "vehicle-overspeed",
            "vehicle-long-stop",
            "vehicle-idling",
            "vehicle-out-of-area",
            "vehicle-off-course",
            "vehicle-no-fix",
            "vehicle-stops-skipped",
            "vehicle-stops-late",
            "vehicle-stops-early",
            "vehicle-plan-shifted",
        ] {
            assert!(ids.contains(&expected), "{expected} is not among {ids:?}");
        }
    }

    #[test]
    fn every_fact_belongs_to_a_class() {
        for fact in FactName::ALL {
            assert!(CLASSES.iter().any(|(_, class)| facts(*class).contains(&fact)), "{fact:?}");
        }
    }
}
