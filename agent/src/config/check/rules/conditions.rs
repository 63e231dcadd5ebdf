//! `when` of a rule: its condition, and whether that is possible at all.

use std::sync::Arc;

use domain::ids::Class;
use domain::rules::{Area, Condition, FactName, LEAVES_MAX, POINTS_MAX, READINGS_MAX, Side};
use domain::sample::Object;
use domain::time::Span;

use super::super::super::fault::did_you_mean;
use super::super::super::section::{Section, Value};
use super::super::super::{defaults, values};
use super::levels::{level, refuse_wrong_side};
use super::{Around, facts, hours};

/// What a condition can begin with.
const CONDITIONS: [&str; 18] = [
    "above",
    "below",
    "outside",
    "rises",
    "falls",
    "missing",
    "stuck",
    "in_zone",
    "out_of_zone",
    "count",
    "forecast",
    "sees",
    "during",
    "overstay",
    "silent",
    "all",
    "any",
    "not",
];

/// What is written for a condition, in errors.
pub(super) const EXAMPLE: &str =
    "{ above = \"level_pct\", raise_at = \"full_at\", clear_at = \"clear_at\" }";

const DAY: Span = Span::from_mins(24 * 60);
/// The longest time that a condition may last or look back.
const LONGEST: Span = DAY.saturating_mul(90);
const SECOND: Span = Span::from_secs(1);

/// Reads `when`, and what is inside of it.
pub(super) fn read(
    value: &Value<'_>,
    class: Option<Class>,
    around: &Around<'_>,
) -> Option<Condition> {
    let condition = Reading { class, around }.condition(value)?;
    let leaves = condition.leaves().len();
    if leaves > LEAVES_MAX {
        let cause = format!("\"when\" has {leaves} conditions, a rule has {LEAVES_MAX} at most");
        value.error(cause, "make it two rules");
        return None;
    }
    Some(condition)
}

#[derive(Clone, Copy)]
struct Reading<'r> {
    class: Option<Class>,
    around: &'r Around<'r>,
}

impl Reading<'_> {
    fn condition(self, value: &Value<'_>) -> Option<Condition> {
        let section = value.as_section(EXAMPLE)?;
        let given: Vec<_> =
            CONDITIONS.into_iter().filter(|key| section.value(key).is_some()).collect();
        // A count has a side of its own.
        let key = match given.as_slice() {
            [key] => *key,
            ["above" | "below", key @ "count"] => key,
            [] => {
                let cause = format!("{:?} does not say when", value.key);
                section.report.error(section.at, cause, format!("write one of {}", listed()));
                return None;
            }
            several => {
                let cause = format!("{:?} says several things: {}", value.key, several.join(", "));
                let fix = "write one, or put them together with all = [{ … }, { … }] or any";
                section.report.error(section.at, cause, fix);
                return None;
            }
        };
        let found = self.by_key(&section, key);
        section.finish();
        found
    }

    fn by_key(self, section: &Section<'_>, key: &'static str) -> Option<Condition> {
        match key {
            "above" => self.threshold(section, key, Side::Above),
            "below" => self.threshold(section, key, Side::Below),
            "outside" => self.outside(section),
            "rises" => self.change(section, key, Side::Above),
            "falls" => self.change(section, key, Side::Below),
            "missing" => {
                let fact = section.required(key, "\"level_pct\"", |v| self.fact(v));
                let after = section.required("after", "\"6h\"", values::span(SECOND..=LONGEST));
                Some(Condition::Missing { fact: fact?, after: after? })
            }
            "stuck" => self.stuck(section),
            "in_zone" => self.in_area(section, key, true),
            "out_of_zone" => self.in_area(section, key, false),
            "count" => self.count(section),
            "forecast" => self.forecast(section),
            "sees" => self.sees(section),
            "during" => hours::during(section, self.around).map(Condition::During),
            "overstay" => self.overstay(section),
            "silent" => {
                section.required("silent", "true", only_true)?;
                let after = section.optional("after", values::span(SECOND..=LONGEST));
                Some(Condition::Silent { after })
            }
            "not" => {
                let part = section.required(key, EXAMPLE, |value| self.condition(value));
                part.map(|part| Condition::Not(Box::new(part)))
            }
            "all" => self.parts(section, key).map(Condition::All),
            _ => self.parts(section, key).map(Condition::Any),
        }
    }

    fn parts(self, section: &Section<'_>, key: &'static str) -> Option<Vec<Condition>> {
        let value = section.value(key)?;
        let items = value.items(EXAMPLE)?;
        if items.len() < 2 {
            value.error(format!("{key:?} puts two conditions together, or more"), "add one");
            return None;
        }
        // Every one is read, so that every wrong one is told.
        let parts: Vec<_> = items.iter().map(|item| self.condition(item)).collect();
        parts.into_iter().collect()
    }

    fn fact(self, value: &Value<'_>) -> Option<FactName> {
        facts::read(value, self.class)
    }

    /// A fact that is a number: what is so or not does not rise, and has no window.
    fn amount(self, value: &Value<'_>) -> Option<FactName> {
        let fact = self.fact(value)?;
        if fact.is_flag() {
            let cause = format!("{} is so or not: it is no number", fact.as_str());
            value.error(cause, "write above with raise_at = 1 and clear_at = 0");
            return None;
        }
        Some(fact)
    }

    fn threshold(self, section: &Section<'_>, key: &'static str, side: Side) -> Option<Condition> {
        let fact = section.required(key, "\"level_pct\"", |value| self.fact(value));
        let raise_at = section.required("raise_at", "85", |value| level(value, fact));
        let clear_at = section.required("clear_at", "60", |value| {
            let clear = level(value, fact)?;
            refuse_wrong_side(value, side, raise_at, clear, self.around);
            Some(clear)
        });
        let (hold, readings) = needs(section);
        let (fact, raise_at, clear_at) = (fact?, raise_at?, clear_at?);
        Some(Condition::Threshold { fact, side, raise_at, clear_at, hold, readings })
    }

    fn outside(self, section: &Section<'_>) -> Option<Condition> {
        let fact = section.required("outside", "\"temperature_c\"", |value| self.amount(value));
        let from = section.required("from", "-10", |value| milli(value, fact));
        let to = section.required("to", "50", |value| {
            let to = milli(value, fact)?;
            if from.is_some_and(|from| from >= to) {
                value.error("the window ends where it begins".to_owned(), "write a higher to");
                return None;
            }
            Some(to)
        });
        let margin = section.or("margin", 0, |value| {
            let margin = width(value, fact)?;
            if let (Some(from), Some(to)) = (from, to)
                && margin * 2 >= to - from
            {
                let cause = "with this margin no value is inside again".to_owned();
                value.error(cause, "write less than half of the window");
                return None;
            }
            Some(margin)
        });
        let (hold, readings) = needs(section);
        Some(Condition::Outside { fact: fact?, from: from?, to: to?, margin, hold, readings })
    }

    fn change(self, section: &Section<'_>, key: &'static str, side: Side) -> Option<Condition> {
        let fact = section.required(key, "\"temperature_c\"", |value| self.amount(value));
        let by = section.required("by", "10", |value| positive(value, fact));
        let clear_by = section.or("clear_by", by.unwrap_or_default() / 2, |value| {
            let clear = width(value, fact)?;
            if by.is_some_and(|by| clear >= by) {
                value.error("clear_by must be below by".to_owned(), "write a smaller one");
                return None;
            }
            Some(clear)
        });
        let within = section.required("within", "\"5m\"", values::span(SECOND..=DAY));
        Some(Condition::Change { fact: fact?, side, by: by?, clear_by, within: within? })
    }

    fn stuck(self, section: &Section<'_>) -> Option<Condition> {
        let fact = section.required("stuck", "\"level_pct\"", |value| self.fact(value));
        let band = section.or("band", 0, |value| {
            let band = width(value, fact)?;
            let range = fact.map(facts::possible);
            if range.is_some_and(|range| band * 2 >= (range.end() - range.start()) * 1000) {
                value.error("everything is within this band".to_owned(), "write a smaller one");
                return None;
            }
            Some(band)
        });
        let after = section.required("after", "\"7d\"", values::span(SECOND..=LONGEST));
        Some(Condition::Stuck { fact: fact?, band, after: after? })
    }

    fn in_area(self, section: &Section<'_>, key: &'static str, inside: bool) -> Option<Condition> {
        let area = section.required(key, "\"depot-1\"", |value| {
            if !matches!(self.class, None | Some(Class::Vehicle | Class::Bin)) {
                let cause = "only a vehicle or a bin says where it is".to_owned();
                value.error(cause, "write class = \"vehicle\"");
                return None;
            }
            let text = value.as_text("the id of a [[zone]]")?;
            let found = self.around.zones.iter().find(|zone| zone.id == text);
            if found.is_none() {
                let known: Vec<&str> = self.around.zones.iter().map(|z| z.id.as_str()).collect();
                value.error(format!("no zone is called {text}"), did_you_mean(text, known));
            }
            found.map(|zone| Area(Arc::clone(zone)))
        });
        let hold = section.or("hold", defaults::HOLD, values::span(Span::ZERO..=LONGEST));
        Some(Condition::InArea { area: area?, inside, hold })
    }

    fn count(self, section: &Section<'_>) -> Option<Condition> {
        let fact = section.required("count", "\"lid_open\"", |value| self.fact(value));
        let sides = [("above", Side::Above), ("below", Side::Below)];
        let given = sides.into_iter().find(|(key, _)| section.value(key).is_some());
        let (side, at) = match (given, fact) {
            (Some((key, side)), _) => {
                (side, section.required(key, "80", |value| milli(value, fact)))
            }
            // How often it becomes so.
            (None, Some(fact)) if fact.is_flag() => (Side::Above, Some(1000)),
            (None, _) => {
                section.missing("above", "80");
                (Side::Above, None)
            }
        };
        let most = u32::try_from(POINTS_MAX).unwrap_or(u32::MAX);
        let times = section.required("times", "10", values::integer(2..=most));
        let clear_times = section.or("clear_times", times.unwrap_or_default() / 2, |value| {
            let clear = values::integer(0..=most)(value)?;
            if times.is_some_and(|times| clear >= times) {
                value.error("clear_times must be below times".to_owned(), "write a smaller one");
                return None;
            }
            Some(clear)
        });
        let within = section.required("within", "\"1h\"", values::span(SECOND..=LONGEST));
        let (fact, at, times, within) = (fact?, at?, times?, within?);
        Some(Condition::Count { fact, side, at, times, clear_times, within })
    }

    fn forecast(self, section: &Section<'_>) -> Option<Condition> {
        let fact = section.required("forecast", "\"level_pct\"", |value| self.amount(value));
        let sides = [("rises_to", Side::Above), ("falls_to", Side::Below)];
        let given: Vec<_> =
            sides.into_iter().filter(|(key, _)| section.value(key).is_some()).collect();
        let (side, reaches) = match given.as_slice() {
            [(key, side)] => (*side, section.required(key, "95", |value| milli(value, fact))),
            [] => {
                section.missing("rises_to", "95");
                (Side::Above, None)
            }
            _ => {
                let cause = "it cannot rise to one value and fall to another".to_owned();
                section.report.error(section.at, cause, "keep one of rises_to and falls_to");
                (Side::Above, None)
            }
        };
        let within = section.required("within", "\"12h\"", values::span(SECOND..=LONGEST));
        let over = section.required("over", "\"6h\"", values::span(SECOND..=LONGEST));
        let (fact, reaches, within) = (fact?, reaches?, within?);
        Some(Condition::Forecast { fact, side, reaches, within, over: over? })
    }

    fn sees(self, section: &Section<'_>) -> Option<Condition> {
        let what = section.required("sees", "\"truck\"", |value| {
            if self.class.is_some_and(|class| class != Class::Bay) {
                let cause = "a camera looks at bays".to_owned();
                value.error(cause, "write class = \"bay\"");
                return None;
            }
            values::word(&Object::ALL.map(|object| (object.as_str(), object)))(value)
        });
        let confidence = section.or("confidence_pct", defaults::CONFIDENCE, values::percent);
        let dwell = section.required("dwell", "\"3m\"", values::span(Span::ZERO..=DAY));
        let confidence = u32::from(confidence.get());
        Some(Condition::Sees { what: what?, confidence, dwell: dwell? })
    }

    fn overstay(self, section: &Section<'_>) -> Option<Condition> {
        let stated = section.required("overstay", "true", |value| {
            if self.class.is_some_and(|class| class != Class::Bay) {
                value.error("only a bay can be overstayed".to_owned(), "write class = \"bay\"");
            }
            only_true(value)
        });
        let grace = section.or("grace", defaults::GRACE, values::span(Span::ZERO..=DAY));
        stated.map(|()| Condition::Overstay { grace })
    }
}

/// How long and how often it must be so.
fn needs(section: &Section<'_>) -> (Span, u32) {
    let hold = values::span(Span::ZERO..=DAY.saturating_mul(7));
    let hold = section.or("hold", defaults::HOLD, hold);
    let readings = section.or("readings", defaults::READINGS, values::integer(1..=READINGS_MAX));
    (hold, readings)
}

/// A value that the fact can have.
fn milli(value: &Value<'_>, fact: Option<FactName>) -> Option<i64> {
    values::milli(fact.map_or(-1_000_000..=1_000_000, facts::possible))(value)
}

/// The distance between two values that the fact can have.
fn width(value: &Value<'_>, fact: Option<FactName>) -> Option<i64> {
    let range = fact.map_or(0..=1_000_000, facts::possible);
    values::milli(0..=range.end() - range.start())(value)
}

/// As [`width`], and not none at all.
fn positive(value: &Value<'_>, fact: Option<FactName>) -> Option<i64> {
    let width = width(value, fact)?;
    if width == 0 {
        value.error(format!("{:?} is nothing", value.key), "write more than 0");
    }
    (width > 0).then_some(width)
}

fn only_true(value: &Value<'_>) -> Option<()> {
    let stated = values::boolean(value)?;
    if !stated {
        let cause = format!("{} = false is no condition", value.key);
        value.error(cause, "write true, or remove the rule");
    }
    stated.then_some(())
}

fn listed() -> String {
    CONDITIONS.join(", ")
}
