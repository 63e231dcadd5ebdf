//! Tariffs: what a stay costs, and why.
//!
//! Responsible for the fee of a stay whose ends are known. It does not decide whether a stay may be
//! billed at all (the session's quality does), and it knows no sensor.
//!
//! A [`Tariff`] is a list of [`Plan`]s that follow each other in time; a plan divides the day into
//! [`Window`]s, each with prices per unit of time. Every point that real tariffs leave open is a field
//! here, so that two people who read the same configuration bill the same.
//!
//! * `pieces`: the parts of a stay that are counted together.
//! * `charge`: from a stay to a [`Fee`], window by window.
//! * `fee`: the fee, which explains itself.
//! * `check`: what a plan must not be.
//!
//! Time is counted in whole minutes from the minute the stay began in. Windows, days and hours are those
//! of the site's [`crate::calendar::Calendar`]; what is billed is the time that really passed.

mod charge;
mod check;
mod fee;
mod pieces;

use std::fmt;

use jiff::civil::Date;
use serde::{Deserialize, Serialize};

pub use self::charge::{Stay, charge};
pub use self::check::{Fault, Spot};
pub use self::fee::{Fee, Line, UnitLine};
use crate::calendar::{DayClasses, Period};
use crate::ids::{TariffId, VehicleClass};
use crate::time::{Span, Utc};

/// An amount of money in the smallest unit of its currency (分, cents). Never negative, never a float.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Money(u64);

impl Money {
    /// Nothing.
    pub const ZERO: Money = Money(0);

    /// `minor` of the smallest unit.
    #[must_use]
    pub const fn from_minor(minor: u64) -> Money {
        Money(minor)
    }

    /// In the smallest unit.
    #[must_use]
    pub const fn minor(self) -> u64 {
        self.0
    }

    /// The sum, or the largest amount when it would not fit.
    #[must_use]
    pub const fn plus(self, other: Money) -> Money {
        Money(self.0.saturating_add(other.0))
    }

    /// What is left after taking `other` away, at least nothing.
    #[must_use]
    pub const fn minus(self, other: Money) -> Money {
        Money(self.0.saturating_sub(other.0))
    }

    /// `n` times the amount, or the largest amount when it would not fit.
    #[must_use]
    pub const fn times(self, n: u64) -> Money {
        Money(self.0.saturating_mul(n))
    }

    /// The amount without `percent` of it, cut off in favour of who pays; nothing from 100 on.
    #[must_use]
    pub fn less_percent(self, percent: u8) -> Money {
        let kept = u128::from(100 - percent.min(100));
        let amount = u128::from(self.0) * kept / 100;
        Money(u64::try_from(amount).expect("not more than the whole"))
    }
}

/// A currency by its ISO 4217 code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Currency([u8; 3]);

impl Currency {
    /// The yuan.
    pub const CNY: Currency = Currency(*b"CNY");

    /// Reads three capital letters.
    #[must_use]
    pub fn parse(text: &str) -> Option<Currency> {
        let code: [u8; 3] = text.as_bytes().try_into().ok()?;
        code.iter().all(u8::is_ascii_uppercase).then_some(Currency(code))
    }

    /// The code.
    #[must_use]
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).expect("three ASCII letters")
    }

    /// An amount for people: `12.50 CNY`, `300 JPY`.
    #[must_use]
    pub fn amount(&self, money: Money) -> String {
        // The currencies of ISO 4217 without a smaller unit that a city might charge in.
        match &self.0 {
            b"JPY" | b"KRW" | b"VND" | b"CLP" => format!("{} {self}", money.0),
            _ => format!("{}.{:02} {self}", money.0 / 100, money.0 % 100),
        }
    }
}

impl fmt::Display for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Serialize for Currency {
    fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for Currency {
    fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Currency, D::Error> {
        let text = String::deserialize(d)?;
        let wrong = || serde::de::Error::custom(format!("no code of a currency: {text:?}"));
        Currency::parse(&text).ok_or_else(wrong)
    }
}

/// A tariff and what it was and will be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tariff {
    /// Its name.
    pub id: TariffId,
    /// In the order they come into force; never empty.
    plans: Vec<Plan>,
}

/// The prices that are in force from some time on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// Raised by whoever changes it; written into every fee.
    pub version: u32,
    /// When it comes into force; `None`: it always was.
    pub from: Option<Utc>,
    /// What becomes of the stays that go on at that time.
    pub on_change: OnChange,
    /// The currency of all amounts.
    pub currency: Currency,
    /// What a begun minute counts.
    pub seconds: Seconds,
    /// Free minutes of a stay.
    pub free: Free,
    /// Where begun units are rounded up.
    pub rounding: Rounding,
    /// Where tiers begin anew.
    pub counting: Scope,
    /// The windows; for every class of day and vehicle they cover the day once.
    pub windows: Vec<Window>,
    /// The most that has to be paid.
    pub caps: Vec<Cap>,
    /// Whether several stays of one vehicle share the caps. Takes effect where the vehicle is known:
    /// [`Stay::charged_before`].
    pub caps_shared: bool,
    /// Times at which it costs less or nothing.
    pub campaigns: Vec<Campaign>,
    /// A stay whose length is known less well than this is not billed by the box; `None`: any error.
    pub error_max: Option<Span>,
}

/// What becomes of a stay that goes on when a plan comes into force.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnChange {
    /// It is billed by the plan it began under.
    Entry,
    /// Each part is billed by the plan in force.
    Split,
}

/// What a begun minute counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Seconds {
    /// Nothing.
    Truncate,
    /// A whole minute.
    RoundUp,
}

/// Free minutes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Free {
    /// How many; 0: none.
    pub minutes: u32,
    /// Whether exactly so many are still free.
    pub inclusive: bool,
    /// What they are once they are used up.
    pub exceeded: Exceeded,
}

impl Free {
    /// No free minutes.
    pub const NONE: Free = Free { minutes: 0, inclusive: true, exceeded: Exceeded::Voided };

    const fn covers(self, minutes: u64) -> bool {
        let free = self.minutes as u64;
        free > 0 && (minutes < free || (self.inclusive && minutes == free))
    }
}

/// What free minutes are once they are used up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exceeded {
    /// Void: everything is billed from the first minute.
    Voided,
    /// Taken off: billing begins after them.
    Deducted,
}

/// Where begun units are rounded up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rounding {
    /// At the end of every window, and wherever tiers or caps begin anew.
    Window,
    /// At the end of the stay only: a unit begun in one window is finished in the next.
    Stay,
}

/// A stretch of a stay that is counted together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Scope {
    /// One instance of a window.
    Window,
    /// A local calendar day.
    CalendarDay,
    /// 24 hours from the beginning of the stay, and again.
    #[serde(rename = "rolling_24h")]
    Rolling24h,
    /// The whole stay.
    Stay,
}

impl Scope {
    /// Every scope, the smallest first.
    pub const ALL: [Scope; 4] = [Scope::Window, Scope::CalendarDay, Scope::Rolling24h, Scope::Stay];

    /// The word in configuration and payloads.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Scope::Window => "window",
            Scope::CalendarDay => "calendar_day",
            Scope::Rolling24h => "rolling_24h",
            Scope::Stay => "stay",
        }
    }
}

/// A part of the day with its prices.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Window {
    /// What people call it.
    pub name: String,
    /// When. A window over midnight goes on into the next day, if it applies there too.
    pub period: Period,
    /// On which days.
    pub days: DayClasses,
    /// For which vehicles; empty: for those that no window names.
    pub vehicles: Vec<VehicleClass>,
    /// Free minutes of each of its instances, beside those of the stay.
    pub free: Free,
    /// Prices by how long a stay has been in this window; never empty, the last without `up_to`.
    pub tiers: Vec<Tier>,
    /// The most that one instance costs.
    pub cap: Option<Money>,
}

/// A price that holds up to some minute.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tier {
    /// Up to which minute inside the window, counted by [`Plan::counting`]; `None`: for the rest.
    pub up_to: Option<u32>,
    /// Length of a unit in minutes.
    pub unit: u32,
    /// Price of a unit.
    pub price: Money,
}

/// The most that has to be paid.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cap {
    /// For what.
    pub scope: Scope,
    /// How much.
    pub max: Money,
}

/// Days on which it costs less or nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Campaign {
    /// What people call it.
    pub name: String,
    /// The first local day.
    pub first: Date,
    /// The last local day.
    pub last: Date,
    /// On which of those days.
    pub days: DayClasses,
    /// How much less, 1 to 100 percent.
    pub percent: u8,
    /// What is cheaper.
    pub applies: Applies,
}

/// What a campaign makes cheaper.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Applies {
    /// The time inside it.
    Time,
    /// The whole of every stay that begins in it.
    Stay,
}

impl Tariff {
    /// The currencies of its plans.
    pub fn currencies(&self) -> impl Iterator<Item = Currency> {
        self.plans.iter().map(|plan| plan.currency)
    }

    /// A tariff of `plans`, put in the order they come into force.
    ///
    /// # Errors
    /// There is no plan, or two come into force at the same time: the place of the second in `plans`.
    pub fn new(id: TariffId, plans: Vec<Plan>) -> Result<Tariff, Option<usize>> {
        if plans.is_empty() {
            return Err(None);
        }
        let twice = (1..plans.len()).find(|&i| plans[..i].iter().any(|p| p.from == plans[i].from));
        if twice.is_some() {
            return Err(twice);
        }
        let mut plans = plans;
        plans.sort_by_key(|plan| plan.from);
        Ok(Tariff { id, plans })
    }

    /// The plans in the order they come into force.
    #[must_use]
    pub fn plans(&self) -> &[Plan] {
        &self.plans
    }

    /// The plan in force at `at`. Before the first one it is the first.
    #[must_use]
    pub fn plan_at(&self, at: Utc) -> &Plan {
        let in_force = self.plans.iter().rev().find(|plan| plan.from.is_none_or(|from| from <= at));
        in_force.unwrap_or(&self.plans[0])
    }
}

#[cfg(test)]
mod tests;
