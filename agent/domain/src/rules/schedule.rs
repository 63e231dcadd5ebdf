//! Hours and kinds of days.

use crate::calendar::{Calendar, DayClasses, Period};
use crate::time::Utc;

/// Some hours of some kinds of days, in local time. Every minute has the kind of its own day: a night from a
/// working day into a holiday ends at midnight where only working days are meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Schedule {
    /// The hours; none: the whole day.
    pub periods: Vec<Period>,
    /// The kinds of days.
    pub days: DayClasses,
}

/// Days that are looked through for the next change: no calendar has a longer stretch of the same.
const DAYS_MAX: usize = 400;

impl Schedule {
    /// Whether `utc` is inside.
    #[must_use]
    pub fn contains(&self, utc: Utc, calendar: &Calendar) -> bool {
        let local = calendar.local(utc);
        let minute =
            u16::from(local.hour().unsigned_abs()) * 60 + u16::from(local.minute().unsigned_abs());
        let inside = |period: &Period| {
            period.pieces().into_iter().any(|(from, to)| (from..to).contains(&minute))
        };
        self.days.has(calendar.class(local.date()))
            && (self.periods.is_empty() || self.periods.iter().any(inside))
    }

    /// When that changes after `utc`; `None` when it does not within more than a year.
    #[must_use]
    pub fn next_change(&self, utc: Utc, calendar: &Calendar) -> Option<Utc> {
        let now = self.contains(utc, calendar);
        let mut minutes: Vec<u16> =
            self.periods.iter().flat_map(|p| p.pieces()).fold(vec![0], |mut all, (from, to)| {
                all.extend([from, to]);
                all
            });
        minutes.sort_unstable();
        minutes.dedup();
        let first = calendar.date(utc);
        let days = std::iter::successors(Some(first), |day| day.tomorrow().ok()).take(DAYS_MAX);
        let mut marks =
            days.flat_map(|day| minutes.iter().map(move |minute| calendar.at(day, *minute)));
        marks.find(|mark| *mark > utc && self.contains(*mark, calendar) != now)
    }

    /// When it ends that `utc` is inside; `None` when it is not, or when that never ends.
    #[must_use]
    pub fn end(&self, utc: Utc, calendar: &Calendar) -> Option<Utc> {
        self.contains(utc, calendar).then(|| self.next_change(utc, calendar)).flatten()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use jiff::civil::date;
    use jiff::tz::TimeZone;

    use super::*;
    use crate::calendar::{DayClass, TimeOfDay};

    fn period(from: &str, to: &str) -> Period {
        Period { from: TimeOfDay::parse(from).unwrap(), to: TimeOfDay::parse(to).unwrap() }
    }

    #[test]
    fn hours_of_some_days_and_when_they_change() {
        let special = BTreeMap::from([
            (date(2026, 6, 19), DayClass::Holiday),
            (date(2026, 6, 21), DayClass::Makeup),
        ]);
        let calendar = Calendar::new(TimeZone::posix("CST-8").unwrap()).with_special(special);
        let worked = DayClasses::of(&[DayClass::Workday, DayClass::Makeup]);
        let night = Schedule { periods: vec![period("22:00", "06:00")], days: DayClasses::ALL };
        let work = Schedule { periods: vec![period("08:00", "18:00")], days: worked };
        let days_off = Schedule { periods: vec![], days: DayClasses::of(&[DayClass::Holiday]) };
        let cases = [
            (&night, "2026-06-01T21:59", false, Some("2026-06-01T22:00")),
            (&night, "2026-06-01T22:00", true, Some("2026-06-02T06:00")),
            (&night, "2026-06-02T05:59", true, Some("2026-06-02T06:00")),
            (&night, "2026-06-02T06:00", false, Some("2026-06-02T22:00")),
            (&work, "2026-06-18T17:59", true, Some("2026-06-18T18:00")),
            // Friday is a holiday, Saturday is off, Sunday is worked.
            (&work, "2026-06-18T18:00", false, Some("2026-06-21T08:00")),
            (&days_off, "2026-06-19T12:00", true, Some("2026-06-20T00:00")),
            (&days_off, "2026-06-20T00:00", false, None),
        ];
        let utc = |text: &str| Utc::parse(&format!("{text}:00+08:00")).unwrap();
        for (schedule, at, inside, change) in cases {
            assert_eq!(schedule.contains(utc(at), &calendar), inside, "{at}");
            assert_eq!(schedule.next_change(utc(at), &calendar), change.map(utc), "{at}");
        }
        assert_eq!(night.end(utc("2026-06-01T21:00"), &calendar), None);
    }
}
