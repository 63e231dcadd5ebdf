//! What a bay, a street and a day come to: occupancy, turnover, dwell, due.
//!
//! Each bay's [`Meter`] adds up, by local hour, how long it was occupied and free; what is left of the
//! hour nobody saw. An hour that was blind for more than half has no figures: −1, never 0, as the Curb
//! Data Specification has it (metrics, `value` −1).

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::occupancy::Status;
use super::session::Ended;
use super::tariff::Money;
use crate::calendar::Calendar;
use crate::time::{Span, Utc};

/// What happened in some time on some bays.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Sum {
    /// How long bays were there to be used, in milliseconds: their number times the time.
    pub open_ms: u64,
    /// Occupied.
    pub occupied_ms: u64,
    /// Free.
    pub free_ms: u64,
    /// Out of service: neither seen nor blind.
    pub out_ms: u64,
    /// Stays that ended.
    pub sessions: u64,
    /// Their length together, in seconds.
    pub dwell_s: u64,
    /// What was billed for them, in the smallest unit of the currency.
    pub due: Money,
    /// Stays that the box did not bill although the bay has a tariff.
    pub unbilled: u64,
}

/// Metrics by the names of the Curb Data Specification; −1: nobody knows.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Metrics {
    /// Stays that ended.
    pub total_sessions: f64,
    /// Stays per bay and hour.
    pub turnover: f64,
    /// Seconds per stay.
    pub average_dwell_time: f64,
    /// Share of the time that was occupied.
    pub occupancy_percent: f64,
}

impl Sum {
    /// Adds what happened elsewhere, or at another time.
    pub fn add(&mut self, other: &Sum) {
        self.open_ms += other.open_ms;
        self.occupied_ms += other.occupied_ms;
        self.free_ms += other.free_ms;
        self.out_ms += other.out_ms;
        self.sessions += other.sessions;
        self.dwell_s += other.dwell_s;
        self.due = self.due.plus(other.due);
        self.unbilled += other.unbilled;
    }

    /// How long nobody saw, in milliseconds.
    #[must_use]
    pub fn blind_ms(&self) -> u64 {
        self.open_ms.saturating_sub(self.occupied_ms + self.free_ms + self.out_ms)
    }

    /// Whether nobody saw more than half of it.
    #[must_use]
    pub fn is_blind(&self) -> bool {
        let in_service = self.open_ms.saturating_sub(self.out_ms);
        in_service == 0 || self.blind_ms() * 2 > in_service
    }

    /// The metrics. Occupancy is that of the time that was seen; turnover that of the time in service.
    #[must_use]
    pub fn metrics(&self) -> Metrics {
        const NOBODY: f64 = -1.0;
        if self.is_blind() {
            return Metrics {
                total_sessions: NOBODY,
                turnover: NOBODY,
                average_dwell_time: NOBODY,
                occupancy_percent: NOBODY,
            };
        }
        let sessions = self.sessions as f64;
        let seen = self.occupied_ms + self.free_ms;
        let hours = (self.open_ms - self.out_ms) as f64 / 3_600_000.0;
        Metrics {
            total_sessions: sessions,
            turnover: round(sessions / hours, 10_000.0),
            average_dwell_time: match self.sessions {
                0 => NOBODY,
                _ => round(self.dwell_s as f64 / sessions, 10.0),
            },
            occupancy_percent: round(self.occupied_ms as f64 * 100.0 / seen as f64, 100.0),
        }
    }

    fn of(&mut self, status: Status) -> Option<&mut u64> {
        match status {
            Status::Occupied => Some(&mut self.occupied_ms),
            Status::Free => Some(&mut self.free_ms),
            Status::OutOfService => Some(&mut self.out_ms),
            Status::Unknown => None,
        }
    }
}

/// To the nearest multiple of one `scale`th.
fn round(value: f64, scale: f64) -> f64 {
    libm::round(value * scale) / scale
}

/// Longer than this without a look at the clock, and the time in between counts as not seen.
const LOOK_MAX: Span = Span::from_mins(26 * 60);
/// Hours that wait for late reports. More than these are merged into the oldest.
const HOURS_MAX: usize = 4;

/// One bay's open hours.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Meter {
    /// When it was first looked at.
    #[serde(default)]
    begun: Option<Utc>,
    /// Up to when it has been added up.
    until: Option<Utc>,
    /// By the beginning of the hour.
    hours: BTreeMap<Utc, Sum>,
}

impl Meter {
    /// Begins, or begins again after a time that nobody saw.
    pub(crate) fn resume(&mut self, now: Utc) {
        self.begun = self.begun.or(Some(now));
        self.until = Some(now);
    }

    /// Whether the bay was there before `end`.
    pub(crate) fn is_older_than(&self, end: Utc) -> bool {
        self.begun.is_some_and(|begun| begun < end)
    }

    /// Adds up to `to` that the bay was in `status`. For a time that was added up already see
    /// [`Meter::correct`].
    pub(crate) fn advance(&mut self, status: Status, to: Utc, calendar: &Calendar) {
        let from = self.until.unwrap_or(to);
        if to <= from {
            return;
        }
        self.until = Some(to);
        if to.since(from) <= LOOK_MAX {
            self.add(status, (from, to), calendar);
        }
    }

    /// The bay has been in `now` since `since`, which was added up as `before`.
    pub(crate) fn correct(&mut self, before: Status, now: Status, since: Utc, calendar: &Calendar) {
        let Some(until) = self.until.filter(|&until| since < until) else { return };
        let mut at = since.max(until - LOOK_MAX);
        while at < until {
            let hour = calendar.hour(at);
            let end = (hour + Span::from_mins(60)).min(until);
            let ms = end.since(at).as_ms();
            if let Some(sum) = self.hours.get_mut(&hour) {
                let moved = sum.of(before).map_or(ms, |was| {
                    let moved = ms.min(*was);
                    *was -= moved;
                    moved
                });
                if let Some(is) = sum.of(now) {
                    *is += moved;
                }
            }
            at = end;
        }
    }

    fn add(&mut self, status: Status, (from, to): (Utc, Utc), calendar: &Calendar) {
        let mut at = from;
        while at < to {
            let hour = calendar.hour(at);
            let end = (hour + Span::from_mins(60)).min(to);
            if let Some(part) = self.hour(hour).of(status) {
                *part += end.since(at).as_ms();
            }
            at = end;
        }
    }

    fn hour(&mut self, hour: Utc) -> &mut Sum {
        let known = self.hours.contains_key(&hour);
        let oldest = self.hours.keys().next().copied();
        let key = match oldest {
            Some(oldest) if !known && self.hours.len() >= HOURS_MAX => oldest,
            _ => hour,
        };
        self.hours.entry(key).or_default()
    }

    /// Counts a stay that ended, in the hour it ended in.
    pub(crate) fn ended(
        &mut self,
        ended: &Ended,
        due: Option<Money>,
        unbilled: bool,
        calendar: &Calendar,
    ) {
        let hour = calendar.hour(ended.end);
        let open = self.hours.keys().next().copied().unwrap_or(hour);
        let sum = self.hour(hour.max(open));
        sum.sessions += 1;
        sum.dwell_s += ended.duration_s;
        sum.due = sum.due.plus(due.unwrap_or_default());
        sum.unbilled += u64::from(unbilled);
    }

    /// Takes out everything before `end`, the end of an hour that began at `hour`.
    pub(crate) fn close(&mut self, hour: Utc, end: Utc) -> Sum {
        let later = self.hours.split_off(&end);
        let mut closed = Sum { open_ms: end.since(hour).as_ms(), ..Sum::default() };
        for (_, sum) in std::mem::replace(&mut self.hours, later) {
            closed.add(&Sum { open_ms: 0, ..sum });
        }
        // Late corrections from before can bring more than an hour; an hour has no more.
        closed.occupied_ms = closed.occupied_ms.min(closed.open_ms);
        closed.free_ms = closed.free_ms.min(closed.open_ms - closed.occupied_ms);
        closed.out_ms = closed.out_ms.min(closed.open_ms - closed.occupied_ms - closed.free_ms);
        closed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn utc(text: &str) -> Utc {
        Utc::parse(text).unwrap()
    }

    fn minutes(n: u64) -> u64 {
        n * 60_000
    }

    #[test]
    fn golden_occupancy() {
        // Two bays, 08 to 10: one occupied for 90 minutes in two stays, one for 60 in one.
        let bay = |occupied, sessions| Sum {
            open_ms: minutes(120),
            occupied_ms: minutes(occupied),
            free_ms: minutes(120 - occupied),
            sessions,
            dwell_s: occupied * 60,
            ..Sum::default()
        };
        let mut both = bay(90, 2);
        both.add(&bay(60, 1));
        let metrics = both.metrics();
        assert_eq!(metrics.occupancy_percent, 62.5);
        assert_eq!(metrics.turnover, 0.75);
        assert_eq!(metrics.total_sessions / 2.0, 1.5);
        assert_eq!(metrics.average_dwell_time, 50.0 * 60.0);
    }

    #[test]
    fn a_blind_hour_is_not_an_empty_one() {
        let hour = |free| Sum { open_ms: minutes(60), free_ms: minutes(free), ..Sum::default() };
        assert_eq!(hour(60).metrics().occupancy_percent, 0.0);
        assert_eq!(hour(30).metrics().occupancy_percent, 0.0);
        assert_eq!(hour(29).metrics().occupancy_percent, -1.0);
        assert_eq!(hour(0).metrics().total_sessions, -1.0);
        let out = Sum { open_ms: minutes(60), out_ms: minutes(60), ..Sum::default() };
        assert_eq!(out.metrics().occupancy_percent, -1.0, "out of service has no occupancy");
    }

    #[test]
    fn time_goes_to_the_local_hour_it_belongs_to() {
        let india = Calendar::new(jiff::tz::TimeZone::posix("IST-5:30").unwrap());
        let mut meter = Meter::default();
        meter.resume(utc("2026-06-04T03:40:00Z"));
        meter.advance(Status::Free, utc("2026-06-04T04:00:00Z"), &india);
        meter.advance(Status::Occupied, utc("2026-06-04T04:50:00Z"), &india);
        let first = meter.close(utc("2026-06-04T03:30:00Z"), utc("2026-06-04T04:30:00Z"));
        assert_eq!((first.free_ms, first.occupied_ms), (minutes(20), minutes(30)));
        assert_eq!(first.blind_ms(), minutes(10), "before it began nobody saw");
        let second = meter.close(utc("2026-06-04T04:30:00Z"), utc("2026-06-04T05:30:00Z"));
        assert_eq!((second.occupied_ms, second.blind_ms()), (minutes(20), minutes(40)));
    }

    #[test]
    fn a_late_report_moves_time_that_was_counted_otherwise() {
        let calendar = Calendar::default();
        let mut meter = Meter::default();
        meter.resume(utc("2026-06-04T03:00:00Z"));
        meter.advance(Status::Free, utc("2026-06-04T04:30:00Z"), &calendar);
        let since = utc("2026-06-04T03:45:00Z");
        meter.correct(Status::Free, Status::Occupied, since, &calendar);
        let first = meter.close(utc("2026-06-04T03:00:00Z"), utc("2026-06-04T04:00:00Z"));
        assert_eq!((first.free_ms, first.occupied_ms), (minutes(45), minutes(15)));
        let second = meter.close(utc("2026-06-04T04:00:00Z"), utc("2026-06-04T05:00:00Z"));
        assert_eq!((second.free_ms, second.occupied_ms), (0, minutes(30)));
    }
}
