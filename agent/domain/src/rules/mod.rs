//! Facts in, findings out: when something is a problem.
//!
//! A rule watches every asset of its class. What comes out is a [`Finding`] at the moment a problem begins
//! and another when it is over, never in between.
//!
//! * `facts`: what can be known of an asset, by name.
//! * `condition`: the language of rules: conditions, and how they are put together.
//! * `words`: a condition as people read it.
//! * `schedule`: hours and kinds of days.
//! * `leaf`: what is remembered for one condition of one asset, and when it is true; `edge` is for what holds
//!   from reading to reading, `past` for what looks back, on a `window`.
//! * `watch`: a whole rule with one asset: what its conditions together come to.
//! * `book`: every rule with every asset.
//! * `trial`: a rule tried out on an example, as they stand beside rules.
//!
//! What a rule remembers of an asset is bounded: [`LEAVES_MAX`] conditions, each with [`POINTS_MAX`] points
//! of a window and [`READINGS_MAX`] readings of evidence. A window that is full forgets every second point
//! of it: what rises is found a little later, and nothing is found that is not so. It is stored with the
//! asset's own state, so a restart loses nothing but the hours in which the box was deaf.

mod book;
mod condition;
mod edge;
mod facts;
mod leaf;
mod past;
mod schedule;
mod trial;
mod watch;
mod window;
mod words;

pub(crate) use book::{Due, RuleBook, Seen};
pub use condition::{Area, Condition, Escalation, Handling, LEAVES_MAX, Level, Side, Test};
pub use edge::READINGS_MAX;
pub use facts::{Fact, FactName, Stay};
pub use schedule::Schedule;
pub use trial::{Example, Outcome, Row, try_out};
pub(crate) use watch::LATE_AFTER;
pub use watch::{Edge, Evidence, Finding};
pub use window::POINTS_MAX;

use serde::{Deserialize, Serialize};

use crate::ids::{Category, Class, RuleId};

/// How bad a problem is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Good to know.
    Low,
    /// To be done in the ordinary course.
    Medium,
    /// To be done soon.
    High,
    /// Danger: now.
    Critical,
}

impl Severity {
    /// The word in configuration and payloads.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Severity::Low => "low",
            Severity::Medium => "medium",
            Severity::High => "high",
            Severity::Critical => "critical",
        }
    }
}

/// A `[[rule]]`: when a finding is made, and of what category.
#[derive(Debug, Clone, PartialEq)]
pub struct Rule {
    /// Its name.
    pub id: RuleId,
    /// Raised by whoever changes it; written into every ticket.
    pub version: u32,
    /// The class of assets it watches.
    pub class: Class,
    /// What kind of ticket it opens.
    pub category: Category,
    /// How bad that is.
    pub severity: Severity,
    /// The condition.
    pub when: Condition,
    /// How its tickets are told, and what is written into them.
    pub handling: Handling,
}

#[cfg(test)]
mod tests;
