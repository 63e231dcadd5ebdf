//! Whether the box may bill a stay, and how much.
//!
//! Of a stay that is known to within an error the part is billed in which the car stood there for certain:
//! in doubt for the driver. What nobody saw whole is left to a person.

use serde::Serialize;

use super::session::{Ended, SessionQuality};
use super::tariff::{Fee, Money, Stay, charge};
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
    let later = Stay { start, end, vehicle, charged_before: Money::ZERO };
    // A stay is counted from the minute it began in. Where that minute is not certain, the one before
    // may be cheaper, because the stay then also ends a minute earlier.
    let minute = error.min(Span::from_mins(1));
    let earlier = Stay { start: start - minute, end: end - minute, ..later };
    let fee = charge(tariff, calendar, &later);
    let other = charge(tariff, calendar, &earlier);
    let fee = if other.total < fee.total { other } else { fee };
    Some(Bill { billable: not_billed.is_none(), not_billed, fee })
}
