//! A fee: what is due, and how that comes about, window by window.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{Currency, Money};
use crate::calendar::{Calendar, DayClass};
use crate::ids::TariffId;
use crate::time::Utc;

/// What a stay costs, and how that comes about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fee {
    /// The tariff.
    pub tariff: TariffId,
    /// The version of the plan that the stay began under.
    pub version: u32,
    /// The currency of every amount.
    pub currency: Currency,
    /// Minutes that were counted.
    pub minutes: u64,
    /// What is due: the sum of what the windows charge.
    pub total: Money,
    /// Minutes that were free for the stay as a whole.
    pub free_minutes: u64,
    /// The parts of the stay in the order of time.
    pub windows: Vec<Line>,
}

/// One instance of a window, or the part of one that is counted together.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Line {
    /// The window's name.
    pub window: String,
    /// The version of the plan it belongs to.
    pub version: u32,
    /// The class of the day it begins on.
    pub day: DayClass,
    /// Its beginning.
    pub from: Utc,
    /// Its end.
    pub to: Utc,
    /// Its length in minutes.
    pub minutes: u64,
    /// The units that were begun.
    pub units: Vec<UnitLine>,
    /// What the units cost.
    pub amount: Money,
    /// Percent taken off by a campaign.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub discount_pct: Option<u8>,
    /// Why it is less than that, if it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limited_by: Option<String>,
    /// What is due for it.
    pub charged: Money,
}

/// Units of one price.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct UnitLine {
    /// How many.
    pub count: u64,
    /// How long each is, in minutes.
    pub unit: u32,
    /// What each costs.
    pub price: Money,
}

impl Fee {
    /// How the fee comes about, one line a window, in local time.
    #[must_use]
    pub fn explain(&self, calendar: &Calendar) -> Vec<String> {
        let mut lines = vec![format!(
            "tariff {} version {}: {} min, {} min of them free, due {}",
            self.tariff,
            self.version,
            self.minutes,
            self.free_minutes,
            self.currency.amount(self.total)
        )];
        lines.extend(self.windows.iter().map(|line| self.explain_line(line, calendar)));
        lines
    }

    fn explain_line(&self, line: &Line, calendar: &Calendar) -> String {
        let time = |utc| calendar.local(utc).strftime("%Y-%m-%d %H:%M").to_string();
        let units: Vec<String> = line
            .units
            .iter()
            .map(|u| format!("{} × {} min at {}", u.count, u.unit, self.currency.amount(u.price)))
            .collect();
        let units = if units.is_empty() { "nothing to pay".to_owned() } else { units.join(" + ") };
        let mut text = format!(
            "  {} ({}) {} to {}, {} min: {units} = {}",
            line.window,
            line.day,
            time(line.from),
            time(line.to),
            line.minutes,
            self.currency.amount(line.amount)
        );
        if let Some(percent) = line.discount_pct {
            text.push_str(&format!(", {percent} % off"));
        }
        if let Some(cap) = &line.limited_by {
            text.push_str(&format!(", {cap}"));
        }
        text.push_str(&format!(" → {}", self.currency.amount(line.charged)));
        text
    }
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} to {}: {}", self.window, self.from, self.to, self.charged.minor())
    }
}
