//! Who may stand on a bay, and how long: what rules are told of a stay.
//!
//! Responsible for the questions that need the calendar (no-parking hours), the permit and the length
//! of the stay. Whether that is a ticket, and after how long, is the rules' decision.

use super::occupancy::{Occupancy, Status};
use crate::calendar::Calendar;
use crate::site::{Bay, NoParking};
use crate::time::{Now, Span, Utc};

/// What there is to say of a stay, and when it has to be asked again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Verdict {
    /// It stands where and when nobody may.
    pub(crate) forbidden: bool,
    /// It stands on a reserved bay and has shown no permit.
    pub(crate) unpermitted: bool,
    /// More than one sensor has seen it for days.
    pub(crate) zombie: bool,
    /// Whole multiples of the longest stay, in percent: 0, 100, 200 …
    pub(crate) stay_pct: Option<i64>,
    /// When the answer may become another one.
    pub(crate) next: Option<Utc>,
}

/// Judges what stands on a bay at `now`.
pub(crate) fn judge(bay: &Occupancy, settings: &Bay, calendar: &Calendar, now: Now) -> Verdict {
    let none = Verdict { stay_pct: settings.max_stay.map(|_| 0), ..Verdict::default() };
    let Some(since) = bay.stay_since().filter(|_| bay.status() == Status::Occupied) else {
        return none;
    };
    let policy = &settings.policy;
    let mut verdict = none;
    let mut next = Next(now.utc, None);
    for rule in &policy.no_parking {
        verdict.forbidden |= forbidden(rule, since.utc, calendar, &mut next);
    }
    if let Some(grace) = policy.reserved.filter(|_| bay.permit().is_none()) {
        verdict.unpermitted = next.reached(since.utc + grace);
    }
    if bay.voices(now, settings.stale_after) > 1 {
        verdict.zombie = next.reached(since.utc + policy.zombie_after);
    }
    if let Some(max) = settings.max_stay.filter(|&max| max > Span::ZERO) {
        let times = now.utc.since(since.utc).as_ms() / max.as_ms();
        next.reached(since.utc + max.saturating_mul(times + 1));
        verdict.stay_pct = Some(i64::try_from(times.saturating_mul(100)).unwrap_or(i64::MAX));
    }
    verdict.next = next.1;
    verdict
}

/// The present, and the nearest moment after it that matters.
struct Next(Utc, Option<Utc>);

impl Next {
    /// Whether `at` has come; if not, it is one of the moments that matter.
    fn reached(&mut self, at: Utc) -> bool {
        if at > self.0 {
            self.1 = Some(self.1.map_or(at, |next| next.min(at)));
        }
        at <= self.0
    }
}

fn forbidden(rule: &NoParking, since: Utc, calendar: &Calendar, next: &mut Next) -> bool {
    let today = calendar.date(next.0);
    let days = [today, today.tomorrow().unwrap_or(today)];
    let mut now_forbidden = false;
    for day in days {
        if !rule.days.has(calendar.class(day)) {
            // The class may be another one tomorrow.
            next.reached(calendar.at(day, crate::calendar::DAY_MINUTES));
            continue;
        }
        for (from, to) in rule.period.pieces() {
            let (from, to) = (calendar.at(day, from), calendar.at(day, to));
            // A piece that begins at midnight goes on from the day before: its grace is used up if the
            // car was there already.
            let begins = from.max(since);
            let due = begins + rule.grace;
            if due < to && next.reached(due) && !next.reached(to) {
                now_forbidden = true;
            }
        }
    }
    now_forbidden
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::calendar::{DayClass, DayClasses, Period, TimeOfDay};
    use crate::parking::Report;
    use crate::reading::Gap;
    use crate::sample::Quantity;
    use crate::site::BayPolicy;
    use crate::time::{Boot, ClockQuality, Moment, Monotonic};

    fn at(text: &str) -> Moment {
        let utc = Utc::parse(text).unwrap();
        let monotonic = Monotonic::from_ms(u64::try_from(utc.as_ms()).unwrap());
        Moment { boot: Boot(1), monotonic, utc, clock: ClockQuality::Ntp }
    }

    fn bay(policy: BayPolicy) -> Bay {
        Bay {
            max_stay: Some(Span::from_mins(60)),
            occupied_after: Span::from_secs(60),
            free_after: Span::from_secs(20),
            stale_after: Span::from_mins(60 * 24 * 30),
            policy,
        }
    }

    fn standing(since: &str, settings: &Bay) -> Occupancy {
        let mut bay = Occupancy::default();
        for sensor in ["a", "b"] {
            let quantities = &[Quantity::Occupied(true)];
            let report = Report { sensor, rank: 0, gap: Gap::None, quantities, at: at(since) };
            let _ = bay.report("b-1", &report, at(since), settings);
        }
        bay
    }

    #[test]
    fn no_parking_hours_hold_on_their_days_after_their_grace() {
        let time = |t| TimeOfDay::parse(t).unwrap();
        let rule = NoParking {
            period: Period { from: time("07:00"), to: time("09:00") },
            days: DayClasses::of(&[DayClass::Workday]),
            grace: Span::from_mins(5),
        };
        let settings = bay(BayPolicy { no_parking: vec![rule], ..BayPolicy::default() });
        let calendar = Calendar::default();
        // 4 June 2026 is a Thursday.
        let table = [
            ("2026-06-04T06:00:00Z", "2026-06-04T06:59:00Z", false),
            ("2026-06-04T06:00:00Z", "2026-06-04T07:04:59Z", false),
            ("2026-06-04T06:00:00Z", "2026-06-04T07:05:00Z", true),
            ("2026-06-04T08:00:00Z", "2026-06-04T08:04:00Z", false),
            ("2026-06-04T08:00:00Z", "2026-06-04T08:05:00Z", true),
            ("2026-06-04T08:00:00Z", "2026-06-04T09:00:00Z", false),
            ("2026-06-06T08:00:00Z", "2026-06-06T08:30:00Z", false),
        ];
        for (since, now, expected) in table {
            let verdict = judge(&standing(since, &settings), &settings, &calendar, at(now));
            assert_eq!(verdict.forbidden, expected, "{since} {now}");
        }
        let early = standing("2026-06-04T06:50:00Z", &settings);
        let next = judge(&early, &settings, &calendar, at("2026-06-04T06:55:00Z")).next;
        assert_eq!(next, Some(at("2026-06-04T07:05:00Z").utc));
    }

    #[test]
    fn reserved_abandoned_and_far_too_long() {
        let reserved = Some(Span::from_mins(5));
        let settings = bay(BayPolicy { reserved, ..BayPolicy::default() });
        let mut car = standing("2026-06-04T06:00:00Z", &settings);
        let calendar = Calendar::default();
        let judge = |car: &Occupancy, now| judge(car, &settings, &calendar, at(now));
        assert!(!judge(&car, "2026-06-04T06:04:00Z").unpermitted);
        assert!(judge(&car, "2026-06-04T06:05:00Z").unpermitted);
        assert_eq!(judge(&car, "2026-06-04T08:10:00Z").stay_pct, Some(200));
        assert!(!judge(&car, "2026-06-11T05:59:00Z").zombie);
        assert!(judge(&car, "2026-06-11T06:00:00Z").zombie);
        assert!(car.check_in(crate::ids::PermitId::new("p-1").unwrap()).is_some());
        assert!(!judge(&car, "2026-06-04T06:05:00Z").unpermitted);
        let empty = judge(&Occupancy::default(), "2026-06-04T06:05:00Z");
        assert_eq!((empty.stay_pct, empty.next), (Some(0), None));
    }
}
