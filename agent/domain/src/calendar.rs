//! Local days and hours: which class a day has, and when a local hour begins in UTC.
//!
//! Responsible for the one place where UTC meets the site's time zone: tariffs, no-parking hours, figures
//! and deadlines all ask here. It knows no clock and decides nothing.
//!
//! Local times are turned into instants so that both clock-change days come out right: an hour that is
//! skipped begins at the change, an hour that comes twice begins the first time. A day has 23, 24 or 25
//! hours, and the instants between two local times are what really passed.

use std::collections::BTreeMap;
use std::fmt;

use jiff::Timestamp;
use jiff::civil::{Date, DateTime, Time};
use jiff::tz::{AmbiguousOffset, TimeZone};
use serde::{Deserialize, Serialize, Serializer};

use crate::time::Utc;

/// What kind of day it is, as tariffs and deadlines see it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DayClass {
    /// An ordinary working day.
    Workday,
    /// An ordinary day off.
    Weekend,
    /// A public holiday, whatever its day of the week.
    Holiday,
    /// A day off that is worked to make up for a holiday (调休).
    Makeup,
}

impl DayClass {
    /// Every class.
    pub const ALL: [DayClass; 4] =
        [DayClass::Workday, DayClass::Weekend, DayClass::Holiday, DayClass::Makeup];

    /// The word in configuration and payloads.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            DayClass::Workday => "workday",
            DayClass::Weekend => "weekend",
            DayClass::Holiday => "holiday",
            DayClass::Makeup => "makeup",
        }
    }

    /// Whether people work on it.
    #[must_use]
    pub const fn is_worked(self) -> bool {
        matches!(self, DayClass::Workday | DayClass::Makeup)
    }
}

impl fmt::Display for DayClass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Some of the day classes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DayClasses(u8);

impl DayClasses {
    /// Every class.
    pub const ALL: DayClasses = DayClasses(0b1111);

    /// Those in `classes`.
    #[must_use]
    pub fn of(classes: &[DayClass]) -> DayClasses {
        DayClasses(classes.iter().fold(0, |bits, &class| bits | DayClasses::bit(class)))
    }

    const fn bit(class: DayClass) -> u8 {
        1 << class as u8
    }

    /// Whether `class` is among them.
    #[must_use]
    pub const fn has(self, class: DayClass) -> bool {
        self.0 & DayClasses::bit(class) != 0
    }

    /// Whether there are none.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }
}

/// Minutes in a day without a clock change.
pub const DAY_MINUTES: u16 = 24 * 60;

/// A local time of day to the minute, 00:00 to 24:00 (the end of the day).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TimeOfDay(u16);

impl TimeOfDay {
    /// The beginning of the day.
    pub const MIDNIGHT: TimeOfDay = TimeOfDay(0);
    /// The end of the day.
    pub const END: TimeOfDay = TimeOfDay(DAY_MINUTES);

    /// `minutes` after 00:00; `None` above 24:00.
    #[must_use]
    pub const fn from_minutes(minutes: u16) -> Option<TimeOfDay> {
        if minutes <= DAY_MINUTES { Some(TimeOfDay(minutes)) } else { None }
    }

    /// Reads `HH:MM`, 00:00 to 24:00.
    #[must_use]
    pub fn parse(text: &str) -> Option<TimeOfDay> {
        let (h, m) = text.split_once(':')?;
        let two = |t: &str| (t.len() == 2).then(|| t.parse::<u16>().ok()).flatten();
        let (h, m) = (two(h)?, two(m)?);
        if m > 59 { None } else { TimeOfDay::from_minutes(h * 60 + m) }
    }

    /// Minutes after 00:00, 0 to 1440.
    #[must_use]
    pub const fn minutes(self) -> u16 {
        self.0
    }
}

impl fmt::Display for TimeOfDay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:02}:{:02}", self.0 / 60, self.0 % 60)
    }
}

impl Serialize for TimeOfDay {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(self)
    }
}

/// A part of every day, from `from` to before `to`; over midnight when `to` is not after `from`. The
/// same time twice is the whole day.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct Period {
    /// The first minute in it.
    pub from: TimeOfDay,
    /// The first minute after it.
    pub to: TimeOfDay,
}

impl Period {
    /// The whole day.
    pub const DAY: Period = Period { from: TimeOfDay::MIDNIGHT, to: TimeOfDay::END };

    /// Whether it has no end that it begins anew after.
    #[must_use]
    pub const fn is_whole_day(self) -> bool {
        self.from.0 == self.to.0 || (self.from.0 == 0 && self.to.0 == DAY_MINUTES)
    }

    /// The minutes of one calendar day that it covers: one or two pieces, in order.
    #[must_use]
    pub fn pieces(self) -> Vec<(u16, u16)> {
        let (from, to) = (self.from.0, self.to.0);
        let pieces = if self.is_whole_day() {
            vec![(0, DAY_MINUTES)]
        } else if from < to {
            vec![(from, to)]
        } else {
            vec![(0, to), (from, DAY_MINUTES)]
        };
        pieces.into_iter().filter(|(a, b)| a < b).collect()
    }
}

impl fmt::Display for Period {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}–{}", self.from, self.to)
    }
}

/// The site's time zone, week and special days.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Calendar {
    zone: TimeZone,
    /// Monday first.
    days_off: [bool; 7],
    special: BTreeMap<Date, DayClass>,
}

impl Default for Calendar {
    /// UTC, Saturday and Sunday off, no holidays.
    fn default() -> Calendar {
        Calendar::new(TimeZone::UTC)
    }
}

impl Calendar {
    /// Saturday and Sunday off, no holidays.
    #[must_use]
    pub fn new(zone: TimeZone) -> Calendar {
        let days_off = [false, false, false, false, false, true, true];
        Calendar { zone, days_off, special: BTreeMap::new() }
    }

    /// With other days off, Monday first.
    #[must_use]
    pub fn with_days_off(self, days_off: [bool; 7]) -> Calendar {
        Calendar { days_off, ..self }
    }

    /// With days that are not what their weekday says: holidays, and days that make up for them.
    #[must_use]
    pub fn with_special(self, special: BTreeMap<Date, DayClass>) -> Calendar {
        Calendar { special, ..self }
    }

    /// The time zone.
    #[must_use]
    pub fn zone(&self) -> &TimeZone {
        &self.zone
    }

    /// The class of a day.
    #[must_use]
    pub fn class(&self, date: Date) -> DayClass {
        let weekday = usize::try_from(date.weekday().to_monday_zero_offset()).unwrap_or(0);
        match self.special.get(&date) {
            Some(&class) => class,
            None if self.days_off[weekday] => DayClass::Weekend,
            None => DayClass::Workday,
        }
    }

    /// What clocks on the wall show at `utc`.
    #[must_use]
    pub fn local(&self, utc: Utc) -> DateTime {
        self.zone.to_datetime(timestamp(utc))
    }

    /// The local day at `utc`.
    #[must_use]
    pub fn date(&self, utc: Utc) -> Date {
        self.local(utc).date()
    }

    /// The instant at which `minutes` after 00:00 of `date` begins, 0 to 1440: the first time it comes,
    /// or the clock change that skips it.
    #[must_use]
    pub fn at(&self, date: Date, minutes: u16) -> Utc {
        let (date, minutes) = if minutes >= DAY_MINUTES {
            (date.tomorrow().unwrap_or(date), 0)
        } else {
            (date, minutes)
        };
        let (h, m) = (minutes / 60, minutes % 60);
        let small = |n: u16| i8::try_from(n).expect("hours and minutes are below 60");
        let time = Time::new(small(h), small(m), 0, 0).expect("below 24:00");
        let found = self.zone.to_ambiguous_timestamp(DateTime::from_parts(date, time));
        let skipped = matches!(found.offset(), AmbiguousOffset::Gap { .. });
        let Ok(earlier) = found.earlier() else { return Utc::from_ms(i64::MAX) };
        if skipped {
            let change = self.zone.following(earlier).next().map(|t| t.timestamp());
            return Utc::from_ms(change.unwrap_or(earlier).as_millisecond());
        }
        Utc::from_ms(earlier.as_millisecond())
    }

    /// The beginning of the local day after the one at `utc`.
    #[must_use]
    pub fn next_day(&self, utc: Utc) -> Utc {
        self.at(self.date(utc), DAY_MINUTES)
    }

    /// The beginning of the local hour at `utc`. An hour that comes twice is two hours.
    #[must_use]
    pub fn hour(&self, utc: Utc) -> Utc {
        let local = self.local(utc);
        let into = i64::from(local.minute()) * 60_000
            + i64::from(local.second()) * 1000
            + i64::from(local.subsec_nanosecond()) / 1_000_000;
        Utc::from_ms(utc.as_ms() - into)
    }
}

fn timestamp(utc: Utc) -> Timestamp {
    Timestamp::from_millisecond(utc.as_ms()).expect("Utc::from_ms keeps the range")
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::civil::date;

    fn berlin() -> Calendar {
        Calendar::new(TimeZone::posix("CET-1CEST,M3.5.0,M10.5.0/3").unwrap())
    }

    fn utc(text: &str) -> Utc {
        Utc::parse(text).unwrap()
    }

    #[test]
    fn holidays_and_the_days_that_make_up_for_them() {
        // The National Day holiday of 2026: 27 September, a Sunday, is worked.
        let special = BTreeMap::from([
            (date(2026, 9, 27), DayClass::Makeup),
            (date(2026, 10, 1), DayClass::Holiday),
        ]);
        let calendar = Calendar::default().with_special(special);
        assert_eq!(calendar.class(date(2026, 9, 27)), DayClass::Makeup);
        assert_eq!(calendar.class(date(2026, 9, 26)), DayClass::Weekend);
        assert_eq!(calendar.class(date(2026, 10, 1)), DayClass::Holiday);
        assert_eq!(calendar.class(date(2026, 10, 8)), DayClass::Workday);
        assert!(DayClass::Makeup.is_worked() && !DayClass::Holiday.is_worked());
    }

    #[test]
    fn a_skipped_hour_begins_at_the_change_and_a_repeated_one_the_first_time() {
        let calendar = berlin();
        let spring = date(2026, 3, 29);
        assert_eq!(calendar.at(spring, 150), utc("2026-03-29T01:00:00Z"), "02:30 does not exist");
        assert_eq!(calendar.at(spring, 180), utc("2026-03-29T01:00:00Z"));
        let autumn = date(2026, 10, 25);
        assert_eq!(calendar.at(autumn, 150), utc("2026-10-25T00:30:00Z"), "02:30 comes twice");
        assert_eq!(calendar.at(autumn, 180), utc("2026-10-25T02:00:00Z"));
        let hours = |day| calendar.at(day, DAY_MINUTES).since(calendar.at(day, 0)).as_secs() / 3600;
        assert_eq!((hours(spring), hours(autumn), hours(date(2026, 6, 1))), (23, 25, 24));
    }

    #[test]
    fn an_hour_that_comes_twice_is_two_hours() {
        let calendar = berlin();
        let hour = |t| calendar.hour(utc(t)).to_string();
        assert_eq!(hour("2026-10-25T00:30:00Z"), "2026-10-25T00:00:00.000Z");
        assert_eq!(hour("2026-10-25T01:30:00Z"), "2026-10-25T01:00:00.000Z");
        let india = Calendar::new(TimeZone::posix("IST-5:30").unwrap());
        assert_eq!(india.hour(utc("2026-06-04T04:00:00.5Z")), utc("2026-06-04T03:30:00Z"));
    }

    #[test]
    fn times_of_day_are_read_as_they_are_written() {
        for (text, minutes) in [("00:00", 0), ("07:30", 450), ("24:00", 1440)] {
            let time = TimeOfDay::parse(text).unwrap();
            assert_eq!((time.minutes(), time.to_string()), (minutes, text.to_owned()));
        }
        for bad in ["24:01", "7:30", "07:60", "0730", "", "ab:cd", "-1:00"] {
            assert_eq!(TimeOfDay::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_period_over_midnight_is_two_pieces_of_a_day() {
        let period =
            |a, b| Period { from: TimeOfDay::parse(a).unwrap(), to: TimeOfDay::parse(b).unwrap() };
        assert_eq!(period("08:00", "22:00").pieces(), [(480, 1320)]);
        assert_eq!(period("22:00", "08:00").pieces(), [(0, 480), (1320, 1440)]);
        assert_eq!(period("22:00", "24:00").pieces(), [(1320, 1440)]);
        assert_eq!(period("22:00", "00:00").pieces(), [(1320, 1440)]);
        assert_eq!(period("06:00", "06:00").pieces(), [(0, 1440)]);
        assert_eq!(Period::DAY.pieces(), [(0, 1440)]);
    }
}
