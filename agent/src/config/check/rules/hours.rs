//! Hours and kinds of days: `during` of a condition and `quiet` of a rule.

use domain::calendar::{DayClass, DayClasses, Period};
use domain::rules::Schedule;

use super::super::super::section::{Section, Value};
use super::super::super::values;
use super::super::tickets::period;
use super::Around;

const WORKING: &str = "working_hours";
const EXAMPLE: &str = "\"22:00-06:00\"";

/// `during = ["22:00-06:00"]` or `during = "working_hours"`, with `days`.
pub(super) fn during(section: &Section<'_>, around: &Around<'_>) -> Option<Schedule> {
    let value = section.value("during")?;
    let days = section.optional("days", days);
    let schedule = if value.raw().as_str() == Some(WORKING) {
        let worked: Vec<_> = DayClass::ALL.into_iter().filter(|class| class.is_worked()).collect();
        let periods = around.hours.periods().to_vec();
        Schedule { periods, days: days.unwrap_or_else(|| DayClasses::of(&worked)) }
    } else {
        Schedule { periods: periods(&value)?, days: days.unwrap_or(DayClasses::ALL) }
    };
    if is_always(&schedule) {
        let cause = "that is always: it says nothing".to_owned();
        value.error(cause, "write the hours or the days that are meant");
        return None;
    }
    Some(schedule)
}

/// `{ hours = ["22:00-07:00"], days = ["workday"] }`.
pub(super) fn quiet(value: &Value<'_>) -> Option<Schedule> {
    let section = value.as_section("{ hours = [\"22:00-07:00\"] }")?;
    let periods = section.required("hours", "[\"22:00-07:00\"]", periods);
    let days = section.or("days", DayClasses::ALL, days);
    section.finish();
    let schedule = Schedule { periods: periods?, days };
    if is_always(&schedule) {
        value.error("quiet hours that never end".to_owned(), "write when they end");
        return None;
    }
    Some(schedule)
}

fn is_always(schedule: &Schedule) -> bool {
    let whole = |period: &Period| period.is_whole_day();
    schedule.days == DayClasses::ALL
        && (schedule.periods.is_empty() || schedule.periods.iter().any(whole))
}

fn periods(value: &Value<'_>) -> Option<Vec<Period>> {
    let items = value.items(EXAMPLE)?;
    // Every one is read, so that every wrong one is told.
    let periods: Vec<_> = items.iter().map(period).collect();
    periods.into_iter().collect()
}

fn days(value: &Value<'_>) -> Option<DayClasses> {
    let words = DayClass::ALL.map(|class| (class.as_str(), class));
    let items = value.items("\"workday\", \"makeup\"")?;
    let classes: Vec<_> = items.iter().map(values::word(&words)).collect();
    let classes = classes.into_iter().collect::<Option<Vec<DayClass>>>()?;
    if classes.is_empty() {
        value.error("there is no day".to_owned(), "name one, or leave days out");
        return None;
    }
    Some(DayClasses::of(&classes))
}
