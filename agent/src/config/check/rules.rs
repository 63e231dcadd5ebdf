//! `[[rule]]` and `[rules]`: when a ticket is opened. The built-in rules are a file of the same form.
//!
//! * `facts`: what rules can ask for, and what it can be.
//! * `conditions`: `when`; `levels` are its thresholds and `hours` its times.
//! * `examples`: `[[rule.test]]`, run whenever the configuration is read.

mod conditions;
mod examples;
mod facts;
mod hours;
mod levels;

use std::collections::BTreeMap;
use std::sync::Arc;

use domain::calendar::Calendar;
use domain::ids::{AssetKey, Category, Class, RuleId};
use domain::rules::{Escalation, Handling, Rule, Severity};
use domain::site::Asset;
use domain::sweeping::Zone;
use domain::tickets::WorkingHours;
use domain::time::Span;

use super::super::fault::{Fault, Place, nearest};
use super::super::section::{Report, Section, Tree, Value};
use super::super::{categories, defaults, file, values};

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

/// Facts that are written into tickets of a rule beside its conditions, at the most.
const EVIDENCE_MAX: usize = 8;

/// What rules refer to.
#[derive(Clone, Copy)]
pub(super) struct Around<'a> {
    pub(super) assets: &'a BTreeMap<AssetKey, Asset>,
    pub(super) zones: &'a [Arc<Zone>],
    pub(super) hours: &'a WorkingHours,
    pub(super) calendar: &'a Calendar,
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
    let (hours, calendar) = (WorkingHours::default(), Calendar::default());
    let around =
        Around { assets: &BTreeMap::new(), zones: &[], hours: &hours, calendar: &calendar };
    let rules = read_list(&tree, &around);
    tree.finish(&[]);
    drop(tree);
    let mut faults = texts.faults.clone();
    faults.extend(report.into_faults());
    (rules, faults)
}

/// The rules of the configuration: the built-in ones, each unless it is replaced by one of the same id,
/// then the others.
pub(super) fn read<'a>(tree: &'a Tree<'a>, around: &Around<'_>) -> Vec<Rule> {
    let mut with_defaults = true;
    if let Some(section) = tree.table("rules") {
        with_defaults = section.or("defaults", true, values::boolean);
        section.finish();
    }
    let mut own = read_list(tree, around);
    let mut rules = if with_defaults { built_in() } else { Vec::new() };
    for rule in &mut rules {
        if let Some(at) = own.iter().position(|own| own.id == rule.id) {
            *rule = own.remove(at);
        }
    }
    rules.extend(own);
    rules
}

fn read_list<'a>(tree: &'a Tree<'a>, around: &Around<'_>) -> Vec<Rule> {
    let mut places = BTreeMap::new();
    let sections = tree.list("rule");
    sections.iter().filter_map(|section| read_rule(section, around, &mut places)).collect()
}

fn read_rule(
    section: &Section<'_>,
    around: &Around<'_>,
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
    let when = section
        .required("when", conditions::EXAMPLE, |value| conditions::read(value, class, around));
    let handling = handling(section, class, severity);
    let tests = section.value("test").map(|value| value.items("{ given = […] }"));
    let examples: Vec<Section<'_>> = tests
        .flatten()
        .iter()
        .flatten()
        .filter_map(|item| item.as_section("[[rule.test]]"))
        .collect();
    let written: Vec<_> =
        examples.iter().map(|s| examples::read(s, class, around.calendar)).collect();
    section.finish();
    let (id, class, category, when) = (id?, class?, category?, when?);
    let rule = Rule { id, version, class, category, severity, when, handling };
    for (written, section) in written.iter().zip(&examples) {
        written.iter().for_each(|written| written.hold(section, &rule, around.calendar));
    }
    Some(rule)
}

/// How the tickets of a rule are told, and what is written into them.
fn handling(section: &Section<'_>, class: Option<Class>, severity: Severity) -> Handling {
    let quiet = section.optional("quiet", |value| {
        if severity == Severity::Critical {
            let cause = "what is critical has no quiet hours".to_owned();
            value.error(cause, "remove quiet, or write a lower severity");
            return None;
        }
        hours::quiet(value)
    });
    let escalate = section.optional("escalate", |value| escalate(value, severity));
    let evidence = section.optional("evidence", |value| {
        let items = value.items("\"temperature_c\"")?;
        if items.len() > EVIDENCE_MAX {
            let cause = format!("{:?} has more than {EVIDENCE_MAX} facts", value.key);
            value.error(cause, "keep those that help whoever goes there");
            return None;
        }
        let facts: Vec<_> = items.iter().map(|item| facts::read(item, class)).collect();
        facts.into_iter().collect()
    });
    Handling {
        quiet,
        escalate: escalate.unwrap_or_default(),
        evidence: evidence.unwrap_or_default(),
    }
}

/// `[{ after = "4h", to = "high" }, { after = "1d", to = "critical" }]`.
fn escalate(value: &Value<'_>, severity: Severity) -> Option<Vec<Escalation>> {
    const EXAMPLE: &str = "{ after = \"4h\", to = \"high\" }";
    let (mut before, mut steps) = ((Span::ZERO, severity), vec![]);
    for item in value.items(EXAMPLE)? {
        let section = item.as_section(EXAMPLE)?;
        let range = Span::from_secs(1)..=Span::from_mins(366 * 24 * 60);
        let after = section.required("after", "\"4h\"", values::span(range));
        let to = section.required("to", "\"high\"", values::word(&SEVERITIES));
        section.finish();
        let (after, to) = (after?, to?);
        if after <= before.0 || to <= before.1 {
            let cause = "each step is later and worse than the one before it".to_owned();
            item.error(cause, format!("it was {} before", before.1.as_str()));
            return None;
        }
        before = (after, to);
        steps.push(Escalation { after, to });
    }
    Some(steps)
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
}
