//! Whether the box may bill a stay, and how much.
//!
//! A stay that is known to within an error is billed as the shorter of what it can have been: in doubt
//! for the driver. What nobody saw whole is left to a person.

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
    let whole = Stay {
        start: ended.start,
        end: ended.start + Span::from_secs(ended.duration_s),
        vehicle: policy.vehicle.as_ref(),
        charged_before: Money::ZERO,
    };
    let earlier = Stay { end: (whole.end - error).max(whole.start), ..whole };
    let later = Stay { start: (whole.start + error).min(whole.end), ..whole };
    let fee = charge(tariff, calendar, &earlier);
    let other = charge(tariff, calendar, &later);
    let fee = if other.total < fee.total { other } else { fee };
    Some(Bill { billable: not_billed.is_none(), not_billed, fee })
}
