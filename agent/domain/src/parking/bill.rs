//! Whether the box may bill a stay, and how much.
//!
//! Of a stay that is known to within an error the part is billed in which the car stood there for certain:
//! in doubt for the driver. What nobody saw whole is left to a person.

use serde::Serialize;

use super::session::{Ended, SessionQuality};
use super::tariff::{Fee, Stay, charge};
use crate::calendar::Calendar;
use crate::site::{BayPolicy, Parking};
use crate::time::{ClockQuality, Span};

/// What is due for a stay on a bay with a tariff.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Bill {
    /// Whether the box bills it.
    pub billable: bool,
    /// Why not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub not_billed: Option<NotBilled>,
    /// The fee; of a stay that is not billed, what it would have been.
    pub fee: Fee,
}

/// Why the box does not bill a stay.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum NotBilled {
    /// An end was not seen, or it may have been two cars.
    Quality,
    /// Nobody had set the clock: windows cannot be told.
    Clock,
    /// Its length is known less well than the tariff allows.
    Error,
}

/// Bills a stay that is over; `None` where the bay has no tariff.
#[must_use]
pub fn bill(
    ended: &Ended,
    policy: &BayPolicy,
    parking: &Parking,
    calendar: &Calendar,
) -> Option<Bill> {
    let tariff = parking.tariffs.get(policy.tariff.as_ref()?)?;
    let error = Span::from_secs(ended.error_s);
    let allowed = tariff.plan_at(ended.start).error_max;
    let not_billed = if ended.quality > SessionQuality::Bounded {
        Some(NotBilled::Quality)
    } else if ended.clock < ClockQuality::Ntp {
        Some(NotBilled::Clock)
    } else if allowed.is_some_and(|max| error > max) {
        Some(NotBilled::Error)
    } else {
        None
    };
    let (start, end) = ended.certain;
    let vehicle = policy.vehicle.as_ref();
    let later = Stay { start, end, vehicle };
    // A stay is counted from the minute it began in. Where that minute is not certain, the one before
    // may be cheaper, because the stay then also ends a minute earlier.
    let doubt = if start > ended.start { start.since(ended.start) } else { error };
    let minute = doubt.min(Span::from_mins(1));
    let earlier = Stay { start: start - minute, end: end - minute, ..later };
    let fee = charge(tariff, calendar, &later);
    let other = (minute > Span::ZERO).then(|| charge(tariff, calendar, &earlier));
    let fee = match other {
        Some(other) if other.total < fee.total => other,
        _ => fee,
    };
    Some(Bill { billable: not_billed.is_none(), not_billed, fee })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::calendar::{DayClasses, Period, TimeOfDay};
    use crate::ids::TariffId;
    use crate::parking::tariff::{
        Currency, Free, Money, OnChange, Plan, Rounding, Scope, Seconds, Tariff, Tier, Window,
    };
    use crate::time::Utc;

    fn utc(text: &str) -> Utc {
        Utc::parse(text).unwrap()
    }

    fn parking() -> Parking {
        let window = |name: &str, from, to, price| Window {
            name: name.to_owned(),
            period: Period {
                from: TimeOfDay::parse(from).unwrap(),
                to: TimeOfDay::parse(to).unwrap(),
            },
            days: DayClasses::ALL,
            vehicles: vec![],
            free: Free::NONE,
            tiers: vec![Tier { up_to: None, unit: 60, price: Money::from_minor(price) }],
            cap: None,
        };
        let plan = Plan {
            version: 1,
            from: None,
            on_change: OnChange::Entry,
            currency: Currency::CNY,
            seconds: Seconds::Truncate,
            free: Free::NONE,
            rounding: Rounding::Window,
            counting: Scope::Rolling24h,
            windows: vec![
                window("night", "00:00", "08:00", 100),
                window("day", "08:00", "24:00", 500),
            ],
            caps: vec![],
            campaigns: vec![],
            error_max: Some(Span::from_mins(10)),
        };
        let id = TariffId::new("t").unwrap();
        let tariff = Tariff::new(id.clone(), vec![plan]).unwrap();
        Parking { tariffs: [(id, tariff)].into_iter().collect(), ..Parking::default() }
    }

    /// A stay from 07:00:30 on, counted back from its end with an error of some milliseconds.
    fn ended(end: &str, error_ms: u64) -> Ended {
        let (start, end) = (utc("2026-06-03T07:00:30Z"), utc(end));
        let length = (end.since(start), Span::from_ms(error_ms));
        Ended::new("b-1", (start, end), SessionQuality::Bounded, length, ClockQuality::Ntp)
    }

    fn billed(ended: &Ended) -> (Option<NotBilled>, u64) {
        let tariff = Some(TariffId::new("t").unwrap());
        let policy = BayPolicy { tariff, ..BayPolicy::default() };
        let bill = bill(ended, &policy, &parking(), &Calendar::default()).unwrap();
        (bill.not_billed, bill.fee.total.minor())
    }

    #[test]
    fn what_is_not_certain_is_not_billed() {
        let stay = ended("2026-06-03T07:50:30Z", 0);
        assert_eq!(billed(&stay), (None, 100));
        let unset = Ended { clock: ClockQuality::Estimated, ..stay.clone() };
        assert_eq!(billed(&unset).0, Some(NotBilled::Clock));
        let inferred = Ended { quality: SessionQuality::Inferred, ..stay };
        assert_eq!(billed(&inferred).0, Some(NotBilled::Quality));
        assert_eq!(billed(&ended("2026-06-03T07:50:30Z", 601_000)).0, Some(NotBilled::Error));
    }

    #[test]
    fn an_uncertain_minute_is_the_cheaper_one() {
        // From 07:00:30 or 07:01:00 on for 60 minutes: the later minute would begin a day's hour.
        assert_eq!(billed(&ended("2026-06-03T08:01:00Z", 30_000)), (None, 100));
        assert_eq!(billed(&ended("2026-06-03T08:02:00Z", 30_000)), (None, 600));
        // An error below a second does not reach into the minute before.
        let (start, end) = (utc("2026-06-03T07:01:00Z"), utc("2026-06-03T08:02:00Z"));
        let length = (end.since(start), Span::from_ms(900));
        let stay =
            Ended::new("b-1", (start, end), SessionQuality::Bounded, length, ClockQuality::Ntp);
        assert_eq!(billed(&stay), (None, 600));
    }
}
