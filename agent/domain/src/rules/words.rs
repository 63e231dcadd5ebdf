//! A condition as people read it, with its numbers.

use super::condition::{Condition, Level, Side, Test};
use super::facts::FactName;
use super::schedule::Schedule;
use crate::calendar::{DayClass, DayClasses};
use crate::site::Asset;
use crate::time::Span;

/// Thousandths as a number, for people; decisions are made in thousandths.
pub(super) fn number(milli: i64) -> f64 {
    milli as f64 / 1000.0
}

/// `40 %`, `3.6 V`, `-5 °C`, or `yes`.
fn amount(fact: FactName, milli: i64) -> String {
    match fact.unit() {
        "" => if milli > 0 { "yes" } else { "no" }.to_owned(),
        unit => format!("{} {unit}", number(milli)),
    }
}

/// A value with its name: `level_pct 40 %`, `lid_open: yes`.
pub(super) fn reading(fact: FactName, milli: i64) -> String {
    let colon = if fact.is_flag() { ":" } else { "" };
    format!("{}{colon} {}", fact.as_str(), amount(fact, milli))
}

/// A value with what it is compared with: `level_pct 90 %, at or above 85 %`.
pub(super) fn limit(fact: FactName, milli: i64, test: Test) -> String {
    let value = reading(fact, milli);
    if fact.is_flag() {
        return value;
    }
    let raised = test.raised_by(milli);
    match test {
        Test::Beyond { side, raise, .. } => {
            let word = if raised { beyond(side) } else { "no longer" };
            format!("{value}, {word} {}", amount(fact, raise))
        }
        Test::Outside { from, to, .. } => {
            let word = if raised { "not within" } else { "within" };
            format!("{value}, {word} {} to {}", number(from), amount(fact, to))
        }
    }
}

const fn beyond(side: Side) -> &'static str {
    match side {
        Side::Above => "at or above",
        Side::Below => "at or below",
    }
}

impl Condition {
    /// In words. Thresholds that each asset has its own of are those of `asset`, where one is given.
    #[must_use]
    pub fn words(&self, asset: Option<&Asset>) -> String {
        match self {
            Condition::Threshold { fact, raise_at: Level::Milli(yes), .. } if fact.is_flag() => {
                format!("{}{}", reading(*fact, *yes), self.needs())
            }
            Condition::Threshold { fact, side, raise_at, clear_at, .. } => {
                let (over, back) = (beyond(*side), beyond(side.other()));
                let (raise, clear) =
                    (level(*fact, *raise_at, asset), level(*fact, *clear_at, asset));
                format!("{} is {over} {raise}{}; over {back} {clear}", fact.as_str(), self.needs())
            }
            Condition::Outside { fact, from, to, margin, .. } => {
                let (name, window) = (fact.as_str(), amount(*fact, *to));
                let (from, margin) = (number(*from), amount(*fact, *margin));
                format!(
                    "{name} is not within {from} to {window}{}; over {margin} inside",
                    self.needs()
                )
            }
            Condition::Change { fact, side, by, clear_by, within } => {
                let how = if *side == Side::Above { "rises" } else { "falls" };
                let (by, clear) = (amount(*fact, *by), amount(*fact, *clear_by));
                let within = within.compact();
                format!("{} {how} by {by} in {within}; over at {clear}", fact.as_str())
            }
            Condition::Missing { fact, after } => {
                format!("{} is not told for {}", fact.as_str(), after.compact())
            }
            Condition::Stuck { fact, band, after } => {
                let (band, after) = (amount(*fact, *band), after.compact());
                format!("{} is told and moves no more than {band} for {after}", fact.as_str())
            }
            Condition::InArea { area, inside, .. } => {
                let word = if *inside { "inside" } else { "outside" };
                format!("it is {word} of {}{}", area.0.id, self.needs())
            }
            Condition::Count { fact, side, at, times, clear_times, within } => {
                let (name, over, at) = (fact.as_str(), beyond(*side), amount(*fact, *at));
                let within = within.compact();
                format!("{name} comes {over} {at} {times} times in {within}; over at {clear_times}")
            }
            Condition::Forecast { fact, reaches, within, over, .. } => {
                let (name, reaches) = (fact.as_str(), amount(*fact, *reaches));
                let (within, over) = (within.compact(), over.compact());
                format!("{name} will reach {reaches} within {within}, as it went for {over}")
            }
            Condition::Sees { what, confidence, dwell } => {
                let (what, sure) = (what.as_str(), number(i64::from(*confidence) * 100));
                let dwell = dwell.compact();
                format!("a camera that is {sure} % sure or more sees a {what} for {dwell}")
            }
            Condition::During(schedule) => format!("it is {}", schedule.words()),
            Condition::Overstay { grace } => {
                format!("the longest stay is passed by {}", grace.compact())
            }
            Condition::Silent { after: Some(after) } => format!("silent for {}", after.compact()),
            Condition::Silent { after: None } => "silent for its stale_after".to_owned(),
            Condition::All(parts) => joined(parts, " and ", asset),
            Condition::Any(parts) => joined(parts, " or ", asset),
            Condition::Not(part) => format!("not ({})", part.words(asset)),
        }
    }

    /// How often and how long it must be so.
    fn needs(&self) -> String {
        let (hold, readings) = match self {
            Condition::Threshold { hold, readings, .. }
            | Condition::Outside { hold, readings, .. } => (*hold, *readings),
            Condition::InArea { hold, .. } => (*hold, 1),
            _ => (Span::ZERO, 1),
        };
        let mut text = String::new();
        if readings > 1 {
            text += &format!(" in {readings} readings");
        }
        if hold > Span::ZERO {
            text += &format!(" for {}", hold.compact());
        }
        text
    }
}

fn joined(parts: &[Condition], word: &str, asset: Option<&Asset>) -> String {
    let texts: Vec<String> = parts.iter().map(|part| format!("({})", part.words(asset))).collect();
    texts.join(word)
}

fn level(fact: FactName, level: Level, asset: Option<&Asset>) -> String {
    match (level, asset.and_then(|asset| level.of(asset))) {
        (Level::FullAt, None) => "the bin's full_at".to_owned(),
        (Level::ClearAt, None) => "the bin's clear_at".to_owned(),
        (Level::Milli(milli), _) | (_, Some(milli)) if fact.is_flag() => {
            format!("{}", number(milli))
        }
        (Level::Milli(milli), _) | (_, Some(milli)) => match fact.unit() {
            "%" => format!("{}%", number(milli)),
            unit => format!("{} {unit}", number(milli)),
        },
    }
}

impl Schedule {
    /// In words: `22:00–06:00 on workdays`.
    #[must_use]
    pub fn words(&self) -> String {
        let hours: Vec<String> = self.periods.iter().map(ToString::to_string).collect();
        let hours = if hours.is_empty() { "any hour".to_owned() } else { hours.join(", ") };
        if self.days == DayClasses::ALL {
            return hours;
        }
        let days = DayClass::ALL.into_iter().filter(|class| self.days.has(*class));
        let days: Vec<&str> = days.map(DayClass::as_str).collect();
        format!("{hours} on {}", days.join(", "))
    }
}
