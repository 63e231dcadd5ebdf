//! When a road is to be swept: hours of the day on days of the week, in the site's time zone.

use jiff::civil::Time;
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan};

use crate::time::Utc;

const DAY_MINUTES: u16 = 24 * 60;

/// Hours on some days of the week.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    days: [bool; 7],
    from: u16,
    until: u16,
}

/// One window of one day.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Shift {
    /// Its beginning.
    pub from: Utc,
    /// Its end, not part of it.
    pub until: Utc,
}

impl Shift {
    /// Whether `at` is inside.
    #[must_use]
    pub fn contains(&self, at: Utc) -> bool {
        self.from <= at && at < self.until
    }
}

impl Window {
    /// Every day from midnight to midnight.
    pub const ALWAYS: Window = Window { days: [true; 7], from: 0, until: DAY_MINUTES };

    /// From minute `from` to minute `until` of the day, on `days` (Monday first). A window whose end
    /// is not after its beginning ends on the next day. `None`: no day, or no minute of a day.
    #[must_use]
    pub fn new(days: [bool; 7], from: u16, until: u16) -> Option<Window> {
        let valid = days.contains(&true) && from < DAY_MINUTES && until <= DAY_MINUTES;
        valid.then_some(Window { days, from, until })
    }

    /// The window of this kind that holds `at`, or the next to come; `None` at the end of all dates.
    #[must_use]
    pub fn shift(&self, at: Utc, zone: &TimeZone) -> Option<Shift> {
        let instant = Timestamp::from_millisecond(at.as_ms()).ok()?;
        let local = zone.to_datetime(instant);
        // A window of yesterday may reach into today; the next one comes within a week.
        (-1..=8).find_map(|days: i64| {
            let date = local.date().checked_add(days.days()).ok()?;
            if !self.days[usize::try_from(date.weekday().to_monday_zero_offset()).ok()?] {
                return None;
            }
            let instant = |minute: u16, days: i64| {
                let date =
                    date.checked_add((days + i64::from(minute / DAY_MINUTES)).days()).ok()?;
                let minute = i8::try_from(minute % DAY_MINUTES / 60)
                    .ok()
                    .zip(i8::try_from(minute % 60).ok());
                let (hour, minute) = minute?;
                let time = Time::new(hour, minute, 0, 0).ok()?;
                let instant = zone.to_timestamp(date.to_datetime(time)).ok()?;
                Some(Utc::from_ms(instant.as_millisecond()))
            };
            let next_day = i64::from(self.until <= self.from);
            let shift =
                Shift { from: instant(self.from, 0)?, until: instant(self.until, next_day)? };
            (at < shift.until && shift.from < shift.until).then_some(shift)
        })
    }
}

/// The shift of `windows` that holds `at`, or the first to come.
#[must_use]
pub fn shift_of(windows: &[Window], at: Utc, zone: &TimeZone) -> Option<Shift> {
    windows.iter().filter_map(|window| window.shift(at, zone)).min()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn zone(name: &str) -> TimeZone {
        TimeZone::posix(name).unwrap()
    }

    fn utc(text: &str) -> Utc {
        Utc::parse(text).unwrap()
    }

    #[test]
    fn windows_are_of_local_days() {
        let weekdays = [true, true, true, true, true, false, false];
        let morning = Window::new(weekdays, 6 * 60, 9 * 60).unwrap();
        let night = Window::new([true; 7], 22 * 60, 6 * 60).unwrap();
        let cases = [
            (morning, "2026-06-05T07:00:00+08:00", "2026-06-05T06:00:00+08:00", 3),
            (morning, "2026-06-05T09:00:00+08:00", "2026-06-08T06:00:00+08:00", 3),
            (morning, "2026-06-04T23:00:00+08:00", "2026-06-05T06:00:00+08:00", 3),
            (night, "2026-06-05T03:00:00+08:00", "2026-06-04T22:00:00+08:00", 8),
            (night, "2026-06-05T12:00:00+08:00", "2026-06-05T22:00:00+08:00", 8),
            (Window::ALWAYS, "2026-06-05T12:00:00+08:00", "2026-06-05T00:00:00+08:00", 24),
        ];
        for (window, at, from, hours) in cases {
            let shift = window.shift(utc(at), &zone("CST-8")).unwrap();
            assert_eq!(shift.from, utc(from), "{at}");
            assert_eq!(shift.until.since(shift.from).as_secs(), hours * 3600, "{at}");
        }
    }

    #[test]
    fn the_days_on_which_clocks_change_are_shorter_and_longer() {
        for (day, hours) in [("2026-03-29", 23), ("2026-10-25", 25), ("2026-06-05", 24)] {
            let noon = utc(&format!("{day}T12:00:00+01:00"));
            let shift = Window::ALWAYS.shift(noon, &zone("CET-1CEST,M3.5.0,M10.5.0/3")).unwrap();
            assert_eq!(shift.until.since(shift.from).as_secs(), hours * 3600, "{day}");
        }
    }

    #[test]
    fn the_first_of_several_counts() {
        let windows =
            [(14, 16), (6, 9)].map(|(a, b)| Window::new([true; 7], a * 60, b * 60).unwrap());
        let shift = shift_of(&windows, utc("2026-06-05T10:00:00Z"), &TimeZone::UTC).unwrap();
        assert_eq!(shift.from, utc("2026-06-05T14:00:00Z"));
        assert!(Window::new([false; 7], 0, 60).is_none());
    }
}
