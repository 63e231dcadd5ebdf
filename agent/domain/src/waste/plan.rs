//! When a bin is to be emptied: hours of the local week.

use jiff::civil::{Date, Weekday};
use jiff::tz::TimeZone;

use crate::calendar::Calendar;
use crate::time::{Span, Utc};

/// Planned collections of a week, in local time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WeekPlan {
    calendar: Calendar,
    /// Weekday (Monday is 0) and minute of the day, in order, each once.
    times: Vec<(i8, u16)>,
}

impl WeekPlan {
    /// A plan from weekdays and minutes after local midnight (0 to 1439; later ones count as 1439).
    #[must_use]
    pub fn new(zone: TimeZone, times: impl IntoIterator<Item = (Weekday, u16)>) -> WeekPlan {
        let mut times: Vec<(i8, u16)> = times
            .into_iter()
            .map(|(day, minute)| (day.to_monday_zero_offset(), minute.min(1439)))
            .collect();
        times.sort_unstable();
        times.dedup();
        WeekPlan { calendar: Calendar::new(zone), times }
    }

    /// The first planned collection after `t`; `None` in a plan without any.
    #[must_use]
    pub fn next(&self, t: Utc) -> Option<Utc> {
        // Eight days: the same hour of next week may come a moment too early.
        let day = self.calendar.date(t - Span::from_mins(24 * 60));
        self.around(day, 9).find(|at| *at > t)
    }

    /// The last planned collection at or before `t`.
    #[must_use]
    pub fn last(&self, t: Utc) -> Option<Utc> {
        let day = self.calendar.date(t - Span::from_mins(9 * 24 * 60));
        self.around(day, 11).take_while(|at| *at <= t).last()
    }

    /// The planned instants of the `days` from `first` on, in order.
    fn around(&self, first: Date, days: u8) -> impl Iterator<Item = Utc> + '_ {
        let dates = std::iter::successors(Some(first), |day| day.tomorrow().ok());
        dates.take(usize::from(days)).flat_map(move |date| {
            let weekday = date.weekday().to_monday_zero_offset();
            let of_day = self.times.iter().filter(move |(day, _)| *day == weekday);
            of_day.map(move |&(_, minute)| self.calendar.at(date, minute))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn utc(text: &str) -> Utc {
        Utc::parse(text).unwrap()
    }

    #[test]
    fn the_plan_is_local_and_the_week_goes_round() {
        let zone = TimeZone::posix("CST-8").unwrap();
        let plan = WeekPlan::new(zone, [(Weekday::Thursday, 6 * 60), (Weekday::Monday, 390)]);
        // 2026-06-01 is a Monday.
        let monday = utc("2026-06-01T06:30:00+08:00");
        let thursday = utc("2026-06-04T06:00:00+08:00");
        assert_eq!(plan.next(monday), Some(thursday));
        assert_eq!(plan.next(thursday), Some(utc("2026-06-08T06:30:00+08:00")));
        assert_eq!(plan.last(monday), Some(monday));
        assert_eq!(
            plan.last(utc("2026-06-01T06:29:59+08:00")),
            Some(utc("2026-05-28T06:00:00+08:00"))
        );
        let none = WeekPlan::new(TimeZone::UTC, []);
        assert_eq!((none.next(monday), none.last(monday)), (None, None));
    }

    #[test]
    fn a_clock_change_moves_the_instant_and_loses_no_collection() {
        let zone = TimeZone::posix("GMT0BST,M3.5.0/1,M10.5.0").unwrap();
        let plan = WeekPlan::new(zone, [(Weekday::Sunday, 90)]);
        // On 2026-03-29 the hour from 01:00 to 02:00 is skipped.
        let week_before = plan.next(utc("2026-03-21T00:00:00Z")).unwrap();
        assert_eq!(week_before, utc("2026-03-22T01:30:00Z"));
        assert_eq!(plan.next(week_before), Some(utc("2026-03-29T02:00:00+01:00")));
        assert_eq!(plan.next(utc("2026-03-30T00:00:00Z")), Some(utc("2026-04-05T01:30:00+01:00")));
    }
}
