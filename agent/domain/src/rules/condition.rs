//! The language of rules: conditions over the facts of one asset, and how they are put together.
//!
//! Made by the configuration check, which sees to it that thresholds are possible. What is in here can be
//! evaluated as it is.

use std::sync::Arc;

use super::facts::FactName;
use super::schedule::Schedule;
use super::{Fact, Severity};
use crate::sample::Object;
use crate::site::{Asset, Kind};
use crate::sweeping::Zone;
use crate::time::Span;

/// The most conditions of one rule, those inside of `all`, `any` and `not` counted one by one.
pub const LEAVES_MAX: usize = 16;

/// A condition over the facts of one asset.
#[derive(Debug, Clone, PartialEq)]
pub enum Condition {
    /// A fact crosses a threshold, and stays there.
    Threshold {
        /// Which fact.
        fact: FactName,
        /// Above or below.
        side: Side,
        /// Raised at this value.
        raise_at: Level,
        /// Cleared at this value, on the other side of `raise_at` (hysteresis).
        clear_at: Level,
        /// Raised only after it has held for this long.
        hold: Span,
        /// Raised only after this many readings in a row, at least 1.
        readings: u32,
    },
    /// A fact is below or above what it should be, and stays there.
    Outside {
        /// Which fact.
        fact: FactName,
        /// The lowest value that is right, in thousandths.
        from: i64,
        /// The highest value that is right, in thousandths; above `from`.
        to: i64,
        /// Cleared when it is so far inside again, in thousandths; less than half of the window.
        margin: i64,
        /// As for a threshold.
        hold: Span,
        /// As for a threshold.
        readings: u32,
    },
    /// A fact rises or falls too fast.
    Change {
        /// Which fact.
        fact: FactName,
        /// Above: it rises. Below: it falls.
        side: Side,
        /// Raised by this much, in thousandths, above 0.
        by: i64,
        /// Cleared when it is no more than this, below `by`.
        clear_by: i64,
        /// In this time.
        within: Span,
    },
    /// A fact that an asset should have was not told, though the asset itself may have been heard.
    Missing {
        /// Which fact.
        fact: FactName,
        /// For this long.
        after: Span,
    },
    /// A fact is told again and again and does not move.
    Stuck {
        /// Which fact.
        fact: FactName,
        /// What is no movement, in thousandths to either side.
        band: i64,
        /// For this long.
        after: Span,
    },
    /// The asset is inside of an area, or outside of it.
    InArea {
        /// The area.
        area: Area,
        /// Inside, or outside.
        inside: bool,
        /// For this long.
        hold: Span,
    },
    /// Something happens too often: a fact crosses a threshold so many times.
    Count {
        /// Which fact.
        fact: FactName,
        /// Above or below.
        side: Side,
        /// The threshold, in thousandths. Only crossing it counts, not staying there.
        at: i64,
        /// Raised by this many, at least 2.
        times: u32,
        /// Cleared when it is no more than this, below `times`.
        clear_times: u32,
        /// In this time.
        within: Span,
    },
    /// If a fact goes on as it did lately, it will reach a value soon.
    Forecast {
        /// Which fact.
        fact: FactName,
        /// Above: it rises to it. Below: it falls to it.
        side: Side,
        /// The value, in thousandths.
        reaches: i64,
        /// So soon. Cleared when it is not expected within twice that.
        within: Span,
        /// Judged by the readings of this time.
        over: Span,
    },
    /// A camera sees something where the asset is, and it stays.
    Sees {
        /// What.
        what: Object,
        /// How sure the model must be, in permille; what is less sure says nothing.
        confidence: u32,
        /// For this long, seen again and again with pauses no longer than that.
        dwell: Span,
    },
    /// It is a certain time of day and kind of day.
    During(Schedule),
    /// A car stays longer than the bay allows.
    Overstay {
        /// On top of the bay's longest stay.
        grace: Span,
    },
    /// Nothing was heard of the asset.
    Silent {
        /// For how long; `None`: the asset's own `stale_after`.
        after: Option<Span>,
    },
    /// Each of them.
    All(Vec<Condition>),
    /// At least one of them.
    Any(Vec<Condition>),
    /// It is known not to be so.
    Not(Box<Condition>),
}

/// Which way a threshold is crossed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// Raised when the value is at or above.
    Above,
    /// Raised when the value is at or below.
    Below,
}

impl Side {
    /// Whether `value` is at `limit` or beyond it.
    #[must_use]
    pub const fn beyond(self, value: i64, limit: i64) -> bool {
        match self {
            Side::Above => value >= limit,
            Side::Below => value <= limit,
        }
    }

    /// The other one.
    #[must_use]
    pub const fn other(self) -> Side {
        match self {
            Side::Above => Side::Below,
            Side::Below => Side::Above,
        }
    }
}

/// A threshold value: a number, or the asset's own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Level {
    /// Thousandths of the fact's unit.
    Milli(i64),
    /// The asset's own `full_at`.
    FullAt,
    /// The asset's own `clear_at`.
    ClearAt,
}

impl Level {
    /// The number for one asset, in thousandths; `None` where the asset has none of its own.
    #[must_use]
    pub fn of(self, asset: &Asset) -> Option<i64> {
        match (self, &asset.kind) {
            (Level::Milli(value), _) => Some(value),
            // Permille to thousandths of a percent.
            (Level::FullAt, Kind::Bin(bin)) => Some(i64::from(bin.full_at.get()) * 100),
            (Level::ClearAt, Kind::Bin(bin)) => Some(i64::from(bin.clear_at.get()) * 100),
            _ => None,
        }
    }
}

/// A `[[zone]]` that a rule asks for.
#[derive(Debug, Clone, PartialEq)]
pub struct Area(pub Arc<Zone>);

/// What is compared with a reading: numbers, resolved for one asset.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Test {
    /// At or beyond `raise`, until it is at or behind `clear`.
    Beyond {
        /// Which way.
        side: Side,
        /// Raised here.
        raise: i64,
        /// Cleared here.
        clear: i64,
    },
    /// Outside of a window, until it is `margin` inside of it.
    Outside {
        /// The lowest value that is right.
        from: i64,
        /// The highest value that is right.
        to: i64,
        /// How far inside it has to be again.
        margin: i64,
    },
}

impl Test {
    /// Whether `value` is wrong.
    #[must_use]
    pub const fn raised_by(self, value: i64) -> bool {
        match self {
            Test::Beyond { side, raise, .. } => side.beyond(value, raise),
            Test::Outside { from, to, .. } => value < from || value > to,
        }
    }

    /// Whether `value` is right again. Between the two nothing changes.
    #[must_use]
    pub const fn cleared_by(self, value: i64) -> bool {
        match self {
            // At the clear value itself it is over.
            Test::Beyond { side, clear, .. } => side.other().beyond(value, clear),
            Test::Outside { from, to, margin } => from + margin <= value && value <= to - margin,
        }
    }
}

/// How the tickets of a rule are told, and what is written into them.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Handling {
    /// When nobody is to be disturbed: the ticket is written down at once and told after that.
    pub quiet: Option<Schedule>,
    /// Worse with age; the longest age last.
    pub escalate: Vec<Escalation>,
    /// Facts that are written into the ticket beside those that made it true; 8 at the most.
    pub evidence: Vec<FactName>,
}

/// A ticket that nobody has handled gets worse.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Escalation {
    /// So long after it was raised, or came back.
    pub after: Span,
    /// As bad as this, if it is not worse already.
    pub to: Severity,
}

impl Condition {
    /// Whether it is put together from others.
    #[must_use]
    pub const fn is_composite(&self) -> bool {
        matches!(self, Condition::All(_) | Condition::Any(_) | Condition::Not(_))
    }

    /// The conditions it is put together from, in order.
    #[must_use]
    pub fn parts(&self) -> &[Condition] {
        match self {
            Condition::All(parts) | Condition::Any(parts) => parts,
            Condition::Not(part) => std::slice::from_ref(part),
            _ => &[],
        }
    }

    /// Every single condition in it, in order.
    #[must_use]
    pub fn leaves(&self) -> Vec<&Condition> {
        if self.is_composite() {
            self.parts().iter().flat_map(Condition::leaves).collect()
        } else {
            vec![self]
        }
    }

    /// The fact it asks for; `None` for what is no value: hours, places, stays and silence.
    #[must_use]
    pub const fn fact(&self) -> Option<FactName> {
        match self {
            Condition::Threshold { fact, .. }
            | Condition::Outside { fact, .. }
            | Condition::Change { fact, .. }
            | Condition::Missing { fact, .. }
            | Condition::Stuck { fact, .. }
            | Condition::Count { fact, .. }
            | Condition::Forecast { fact, .. } => Some(*fact),
            _ => None,
        }
    }

    /// Whether a single condition takes that fact.
    pub(super) fn wants(&self, told: &Fact) -> bool {
        match (self, told) {
            (Condition::InArea { .. }, Fact::At(..))
            | (Condition::Sees { .. }, Fact::Seen(_))
            | (Condition::Overstay { .. }, Fact::Stay(_))
            | (Condition::Silent { .. }, Fact::Heard(_)) => true,
            (condition, Fact::Value(name, _)) => condition.fact() == Some(*name),
            _ => false,
        }
    }

    /// Whether a single condition is found again by a reading, when a person has ended its ticket and
    /// nothing was done. A stay, a silence and an hour that were dealt with are not found twice.
    pub(super) const fn is_read(&self) -> bool {
        !matches!(
            self,
            Condition::Overstay { .. }
                | Condition::Silent { .. }
                | Condition::Missing { .. }
                | Condition::During(_)
        )
    }
}

/// What a threshold or a window compares with, for one asset; `None` where the asset has no such.
pub(super) fn test(condition: &Condition, asset: &Asset) -> Option<Test> {
    match *condition {
        Condition::Threshold { side, raise_at, clear_at, .. } => {
            Some(Test::Beyond { side, raise: raise_at.of(asset)?, clear: clear_at.of(asset)? })
        }
        Condition::Outside { from, to, margin, .. } => Some(Test::Outside { from, to, margin }),
        _ => None,
    }
}
