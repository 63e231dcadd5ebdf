//! Time limits: by when a ticket has to be handled, in the four kinds of time that cities count in.
//!
//! | kind | counts |
//! |---|---|
//! | `urgent_hour` (紧急工作时) | every hour, nights and holidays too |
//! | `work_hour` (工作时) | working periods of working days, make-up days among them |
//! | `work_day` (工作日) | whole days, without days off and holidays |
//! | `natural_day` (自然日) | every day |
//!
//! Knows no ticket. Local days come from [`Calendar`], so clock changes are in it.

use std::fmt;

use jiff::Span as CivilSpan;
use serde::{Deserialize, Serialize};

use crate::calendar::{Calendar, DAY_MINUTES, Period, TimeOfDay};
use crate::time::{Span, Utc};

/// In which kind of time a limit counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LimitKind {
    /// 紧急工作时: hours, whatever the time of day.
    UrgentHour,
    /// 工作时: hours inside working periods.
    WorkHour,
    /// 工作日: days that are worked.
    WorkDay,
    /// 自然日: days.
    NaturalDay,
}

/// A limit as a city sets it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct TimeLimit {
    /// In which kind of time it counts.
    #[serde(rename = "type")]
    pub kind: LimitKind,
    /// How many hours or days, 1 to 10,000.
    pub value: u32,
}

/// The longest limit, in its own unit.
pub const LIMIT_MAX: u32 = 10_000;
/// Days that are looked through for working time. More than a limit can need unless nobody ever works.
const DAYS_MAX: usize = 40_000;
const HOUR_MS: u64 = 3_600_000;
const DAY_MS: u64 = 24 * HOUR_MS;

impl LimitKind {
    /// Every kind, with its word in configuration and the one in Chinese regulations.
    pub const ALL: [(LimitKind, &'static str, &'static str); 4] = [
        (LimitKind::UrgentHour, "urgent_hour", "紧急工作时"),
        (LimitKind::WorkHour, "work_hour", "工作时"),
        (LimitKind::WorkDay, "work_day", "工作日"),
        (LimitKind::NaturalDay, "natural_day", "自然日"),
    ];

    const fn unit_ms(self) -> u64 {
        match self {
            LimitKind::UrgentHour | LimitKind::WorkHour => HOUR_MS,
            LimitKind::WorkDay | LimitKind::NaturalDay => DAY_MS,
        }
    }
}

impl fmt::Display for TimeLimit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let words = LimitKind::ALL.into_iter().find(|(kind, ..)| *kind == self.kind);
        write!(f, "{} {}", self.value, words.map_or("", |(_, word, _)| word))
    }
}

/// A text that is no limit.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "a limit is 1 to 10000 and its kind, such as \"4 work_hour\" or \"4 工作时\"; the kinds are urgent_hour \
     (紧急工作时), work_hour (工作时), work_day (工作日), natural_day (自然日)"
)]
pub struct BadLimit;

impl TimeLimit {
    /// Reads `4 work_hour`, `4 工作时`, `2紧急工作时`.
    ///
    /// # Errors
    /// No such kind, or a number that is not 1 to 10,000.
    pub fn parse(text: &str) -> Result<TimeLimit, BadLimit> {
        let text = text.trim();
        let end = text.find(|c: char| !c.is_ascii_digit()).ok_or(BadLimit)?;
        let (number, word) = (&text[..end], text[end..].trim());
        let value = number.parse().ok().filter(|n| (1..=LIMIT_MAX).contains(n)).ok_or(BadLimit)?;
        let named = LimitKind::ALL.into_iter().find(|(_, en, zh)| *en == word || *zh == word);
        let (kind, ..) = named.ok_or(BadLimit)?;
        Ok(TimeLimit { kind, value })
    }

    /// The limit of a record with a type field and a text beside it: if the text says 「紧急」, it wins.
    #[must_use]
    pub fn of_record(kind: LimitKind, value: u32, text: &str) -> TimeLimit {
        let urgent = text.contains("紧急");
        TimeLimit { kind: if urgent { LimitKind::UrgentHour } else { kind }, value }
    }

    /// All of it as time of its own kind.
    #[must_use]
    pub const fn whole(self) -> Span {
        Span::from_ms(self.kind.unit_ms() * self.value as u64)
    }
}

/// When people work here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WorkingHours(Vec<Period>);

impl Default for WorkingHours {
    /// 08:00 to 12:00 and 14:00 to 18:00.
    fn default() -> WorkingHours {
        let period = |from: u16, to: u16| Period {
            from: TimeOfDay::from_minutes(from * 60).expect("a time of day"),
            to: TimeOfDay::from_minutes(to * 60).expect("a time of day"),
        };
        WorkingHours(vec![period(8, 12), period(14, 18)])
    }
}

impl WorkingHours {
    /// Periods of one day, in order and without overlap; `None` when they are not, or there are none.
    #[must_use]
    pub fn new(periods: Vec<Period>) -> Option<WorkingHours> {
        let ordered = periods.iter().all(|p| p.from < p.to)
            && periods.windows(2).all(|pair| pair[0].to <= pair[1].from);
        (ordered && !periods.is_empty()).then_some(WorkingHours(periods))
    }

    /// The periods.
    #[must_use]
    pub fn periods(&self) -> &[Period] {
        &self.0
    }
}

/// Time as limits count it: a calendar and the working hours of a city.
#[derive(Debug, Clone, Copy)]
pub struct Worktime<'a> {
    /// Days off, holidays and make-up days.
    pub calendar: &'a Calendar,
    /// Working periods.
    pub hours: &'a WorkingHours,
}

impl Worktime<'_> {
    /// When a limit that begins at `start` is over.
    #[must_use]
    pub fn due(self, limit: TimeLimit, start: Utc) -> Utc {
        match limit.kind {
            LimitKind::UrgentHour | LimitKind::WorkHour => {
                self.advance(limit.kind, start, limit.whole())
            }
            LimitKind::NaturalDay => self.days_later(start, limit.value, |_| true),
            LimitKind::WorkDay => {
                let calendar = self.calendar;
                self.days_later(start, limit.value, |day| calendar.class(day).is_worked())
            }
        }
    }

    /// The same local time `days` counted days later; the end of the last one where the first is not
    /// counted itself.
    fn days_later(self, start: Utc, days: u32, counted: impl Fn(jiff::civil::Date) -> bool) -> Utc {
        let local = self.calendar.local(start);
        let (mut day, whole) = (local.date(), !counted(local.date()));
        let mut left = days;
        for _ in 0..DAYS_MAX {
            if left == 0 {
                break;
            }
            let Ok(next) = day.checked_add(CivilSpan::new().days(1)) else { break };
            day = next;
            left -= u32::from(counted(day));
        }
        if whole {
            return self.calendar.at(day, DAY_MINUTES);
        }
        let minutes =
            u16::from(local.hour().unsigned_abs()) * 60 + u16::from(local.minute().unsigned_abs());
        let into =
            i64::from(local.second()) * 1000 + i64::from(local.subsec_nanosecond()) / 1_000_000;
        self.calendar.at(day, minutes) + Span::from_ms(into.unsigned_abs())
    }

    /// `from` and `amount` of that kind of time after it.
    #[must_use]
    pub fn advance(self, kind: LimitKind, from: Utc, amount: Span) -> Utc {
        if matches!(kind, LimitKind::UrgentHour | LimitKind::NaturalDay) {
            return from + amount;
        }
        let (mut at, mut left) = (from, amount.as_ms());
        for (begin, end) in self.pieces(kind, from) {
            let begin = begin.max(from);
            let there = end.since(begin).as_ms();
            if left <= there {
                return if left == 0 { at } else { begin + Span::from_ms(left) };
            }
            (at, left) = (end, left - there);
        }
        at
    }

    /// How much of that kind of time lies between two instants; nothing when `to` is not later.
    #[must_use]
    pub fn between(self, kind: LimitKind, from: Utc, to: Utc) -> Span {
        if matches!(kind, LimitKind::UrgentHour | LimitKind::NaturalDay) {
            return to.since(from);
        }
        let pieces = self.pieces(kind, from).take_while(|(begin, _)| *begin < to);
        pieces.fold(Span::ZERO, |sum, (begin, end)| {
            sum.saturating_add(end.min(to).since(begin.max(from)))
        })
    }

    /// The stretches that count, from the day of `from` on.
    fn pieces(self, kind: LimitKind, from: Utc) -> impl Iterator<Item = (Utc, Utc)> {
        let days = std::iter::successors(Some(self.calendar.date(from)), |day| day.tomorrow().ok());
        let worked = days.take(DAYS_MAX).filter(move |day| self.calendar.class(*day).is_worked());
        worked
            .flat_map(move |day| {
                let pieces: Vec<(u16, u16)> = if kind == LimitKind::WorkDay {
                    vec![(0, DAY_MINUTES)]
                } else {
                    self.hours.0.iter().map(|p| (p.from.minutes(), p.to.minutes())).collect()
                };
                pieces
                    .into_iter()
                    .map(move |(a, b)| (self.calendar.at(day, a), self.calendar.at(day, b)))
            })
            .filter(move |(_, end)| *end > from)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use jiff::civil::date;
    use jiff::tz::TimeZone;
    use proptest::prelude::*;

    use super::*;
    use crate::calendar::DayClass;

    fn changzhou() -> Calendar {
        let special = BTreeMap::from([
            (date(2026, 6, 19), DayClass::Holiday),
            (date(2026, 9, 27), DayClass::Makeup),
        ]);
        Calendar::new(TimeZone::posix("CST-8").unwrap()).with_special(special)
    }

    fn due(start: &str, limit: &str) -> String {
        let (calendar, hours) = (changzhou(), WorkingHours::default());
        let start = Utc::parse(&format!("{start}+08:00")).unwrap();
        let due = Worktime { calendar: &calendar, hours: &hours }
            .due(TimeLimit::parse(limit).unwrap(), start);
        calendar.local(due).strftime("%Y-%m-%d %H:%M").to_string()
    }

    #[test]
    fn deadlines_of_running_cities() {
        // Periods 08–12 and 14–18, Monday to Friday; 2026-06-19 is the Dragon Boat Festival.
        for (start, limit, expected) in [
            ("2026-06-01T22:36", "2 紧急工作时", "2026-06-02 00:36"),
            ("2026-06-01T22:36", "4 工作时", "2026-06-02 12:00"),
            ("2026-06-05T11:00", "2 工作时", "2026-06-05 15:00"),
            ("2026-06-05T13:00", "2 工作时", "2026-06-05 16:00"),
            // The end of the period, not the beginning of the next one.
            ("2026-06-05T10:00", "2 工作时", "2026-06-05 12:00"),
            ("2026-06-05T17:30", "4 工作时", "2026-06-08 11:30"),
            ("2026-06-06T10:00", "1 工作时", "2026-06-08 09:00"),
            ("2026-06-18T16:30", "4 工作时", "2026-06-22 10:30"),
            ("2026-06-04T12:00", "4 work_hour", "2026-06-04 18:00"),
        ] {
            assert_eq!(due(start, limit), expected, "{start} + {limit}");
        }
    }

    #[test]
    fn days_that_are_worked_and_days_that_are() {
        for (start, limit, expected) in [
            ("2026-06-04T10:20", "1 工作日", "2026-06-05 10:20"),
            ("2026-06-05T10:20", "1 work_day", "2026-06-08 10:20"),
            ("2026-06-18T16:30", "1 work_day", "2026-06-22 16:30"),
            // Begun on a day off: the whole of the next working day.
            ("2026-06-06T10:20", "1 work_day", "2026-06-09 00:00"),
            ("2026-06-05T10:20", "3 自然日", "2026-06-08 10:20"),
            ("2026-06-18T16:30", "1 natural_day", "2026-06-19 16:30"),
        ] {
            assert_eq!(due(start, limit), expected, "{start} + {limit}");
        }
    }

    #[test]
    fn a_make_up_sunday_is_worked() {
        // Saturday 26 September is off, Sunday 27 makes up for the National Day holiday.
        assert_eq!(due("2026-09-26T10:00", "2 work_hour"), "2026-09-27 10:00");
        assert_eq!(due("2026-09-25T17:00", "2 work_hour"), "2026-09-27 09:00");
        assert_eq!(due("2026-09-25T12:00", "1 work_day"), "2026-09-27 12:00");
    }

    #[test]
    fn the_text_of_a_record_wins_when_it_says_urgent() {
        let limit = TimeLimit::of_record(LimitKind::WorkHour, 2, "2个紧急工作时");
        assert_eq!(limit.kind, LimitKind::UrgentHour);
        assert_eq!(
            TimeLimit::of_record(LimitKind::WorkDay, 2, "2个工作日").kind,
            LimitKind::WorkDay
        );
    }

    #[test]
    fn limits_are_read_as_people_write_them() {
        for (text, shown) in [
            ("4 work_hour", "4 work_hour"),
            ("4工作时", "4 work_hour"),
            (" 2 紧急工作时 ", "2 urgent_hour"),
            ("15 工作日", "15 work_day"),
        ] {
            assert_eq!(TimeLimit::parse(text).unwrap().to_string(), shown);
        }
        for bad in ["", "4", "0 work_hour", "work_hour", "4 hours", "99999 work_day", "-1 work_day"]
        {
            assert_eq!(TimeLimit::parse(bad), Err(BadLimit), "{bad:?}");
        }
    }

    #[test]
    fn working_hours_are_in_order_and_do_not_overlap() {
        let period = |a: &str, b: &str| Period {
            from: TimeOfDay::parse(a).unwrap(),
            to: TimeOfDay::parse(b).unwrap(),
        };
        assert!(
            WorkingHours::new(vec![period("08:00", "12:00"), period("12:00", "13:00")]).is_some()
        );
        assert_eq!(WorkingHours::new(vec![]), None);
        assert_eq!(WorkingHours::new(vec![period("12:00", "08:00")]), None);
        assert_eq!(
            WorkingHours::new(vec![period("08:00", "12:00"), period("11:00", "13:00")]),
            None
        );
    }

    #[test]
    fn a_clock_change_is_in_a_day_and_not_in_a_working_hour() {
        let calendar = Calendar::new(TimeZone::posix("CET-1CEST,M3.5.0,M10.5.0/3").unwrap());
        let hours = WorkingHours::default();
        let work = Worktime { calendar: &calendar, hours: &hours };
        let start = Utc::parse("2026-10-23T17:00:00+02:00").unwrap();
        let due = |text| work.due(TimeLimit::parse(text).unwrap(), start).to_string();
        assert_eq!(due("2 work_hour"), "2026-10-26T08:00:00.000Z");
        assert_eq!(due("3 natural_day"), "2026-10-26T16:00:00.000Z");
        assert_eq!(due("72 urgent_hour"), "2026-10-26T15:00:00.000Z");
    }

    #[test]
    fn nobody_ever_works_and_it_still_ends() {
        let calendar = Calendar::default().with_days_off([true; 7]);
        let hours = WorkingHours::default();
        let work = Worktime { calendar: &calendar, hours: &hours };
        let start = Utc::parse("2026-06-01T00:00:00Z").unwrap();
        assert_eq!(work.advance(LimitKind::WorkHour, start, Span::from_mins(60)), start);
        assert!(work.due(TimeLimit::parse("1 work_day").unwrap(), start) > start);
    }

    proptest! {
        #[test]
        fn between_undoes_advance(
            minute in 0u64..500_000,
            kind in 0usize..4,
            amount in 0u64..100_000,
        ) {
            let (calendar, hours) = (changzhou(), WorkingHours::default());
            let work = Worktime { calendar: &calendar, hours: &hours };
            let from = Utc::parse("2026-01-01T00:00:00Z").unwrap() + Span::from_mins(minute);
            let (kind, ..) = LimitKind::ALL[kind];
            let amount = Span::from_mins(amount);
            let due = work.advance(kind, from, amount);
            prop_assert!(due >= from);
            prop_assert_eq!(work.between(kind, from, due), amount);
        }
    }
}
