//! A ticket and the steps it can take.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::commands::TicketStep;
use crate::ids::{AssetKey, Category, RuleId, TicketId};
use crate::place::Position;
use crate::rules::{Evidence, Severity};
use crate::time::{ClockQuality, Moment, Utc};

/// Where a ticket stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// Found, and nobody has said anything yet.
    Raised,
    /// Somebody is on it.
    Acknowledged,
    /// Somebody says it is done.
    Handled,
    /// Accepted as done.
    Closed,
    /// It was never a problem.
    Rejected,
    /// It was done, and is there again.
    Reopened,
    /// Its cause went away long ago and nobody ever looked; a newer ticket took its place.
    Expired,
}

impl State {
    /// Whether work on it may still be due.
    #[must_use]
    pub const fn is_open(self) -> bool {
        !matches!(self, State::Closed | State::Rejected | State::Expired)
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            State::Raised => "raised",
            State::Acknowledged => "acknowledged",
            State::Handled => "handled",
            State::Closed => "closed",
            State::Rejected => "rejected",
            State::Reopened => "reopened",
            State::Expired => "expired",
        })
    }
}

/// One entry of a ticket's flow log. Only ever appended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Flow {
    /// Counted from 1; with the ticket's id the key that makes an outward message idempotent.
    pub n: u32,
    /// What happened: `raised`, `cleared`, `acknowledged` …
    pub step: String,
    /// When.
    pub at: Utc,
    /// Who: `agent`, or the requester.
    pub by: String,
    /// A remark.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

/// A ticket.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Ticket {
    /// Derived from box, category, asset and opening time.
    pub ticket_id: TicketId,
    /// Grows with every change; what is newer wins.
    pub rev: u32,
    /// Category and asset: what makes two findings the same problem.
    pub key: String,
    /// What kind of problem.
    pub category: Category,
    /// Where it stands.
    pub state: State,
    /// The sensor no longer sees the problem: evidence, never a closure.
    pub cleared_by_sensor: bool,
    /// How bad.
    pub severity: Severity,
    /// At which asset.
    pub asset: AssetKey,
    /// Where that is.
    pub place: Option<Position>,
    /// When it was found.
    pub opened_at: Utc,
    /// Trust in that time.
    pub clock: ClockQuality,
    /// The last change.
    pub updated_at: Utc,
    /// When it was closed or rejected.
    pub closed_at: Option<Utc>,
    /// The rule that found it.
    pub rule: RuleRef,
    /// The readings that made it true, and those that ended it.
    pub evidence: Vec<Evidence>,
    /// What happened to it.
    pub flow: Vec<Flow>,
    /// How often it came back after it was done or gone.
    pub reopened: u32,
    /// The ticket of the same problem before this one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prior: Option<TicketId>,
    /// When it was opened, cleared and closed, to measure from.
    pub(super) times: Times,
}

/// A rule as it was.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RuleRef {
    /// Its name.
    pub id: RuleId,
    /// Its version then.
    pub version: u32,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Times {
    pub(super) cleared: Option<Moment>,
    pub(super) closed: Option<Moment>,
}

/// Why a step was not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// No ticket of that id is known.
    #[error("no ticket {0}")]
    Unknown(TicketId),
    /// The same problem has a newer ticket: an old one beside it would be a second.
    #[error("the same problem has a newer ticket, {0}")]
    Superseded(TicketId),
    /// The ticket is not in a state from which that step leads anywhere.
    #[error("cannot {step} a ticket that is {state}; from there one can {allowed}")]
    Illegal {
        /// The step in words.
        step: &'static str,
        /// Its state.
        state: State,
        /// The steps that are possible.
        allowed: String,
    },
}

/// Evidence kept in a ticket: the readings that opened it and the newest ones.
const EVIDENCE_MAX: usize = 32;
/// Flow entries kept in a ticket; a ticket that flaps more often than this shows its first and its
/// newest ones. Every one of them was published as an event of its own.
const FLOW_MAX: usize = 64;

impl TicketStep {
    /// Every step, in the order of a ticket's life.
    pub const ALL: [TicketStep; 5] = [
        TicketStep::Ack,
        TicketStep::Resolve,
        TicketStep::Close,
        TicketStep::Reopen,
        TicketStep::Reject,
    ];

    /// The word people use.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            TicketStep::Ack => "ack",
            TicketStep::Resolve => "resolve",
            TicketStep::Close => "close",
            TicketStep::Reopen => "reopen",
            TicketStep::Reject => "reject",
        }
    }

    /// Where the step leads from `state`; `None`: it does not lead from there.
    #[must_use]
    pub const fn from(self, state: State) -> Option<State> {
        use State::{Acknowledged, Closed, Handled, Raised, Rejected, Reopened};
        match (self, state) {
            (TicketStep::Ack, Raised | Reopened) => Some(Acknowledged),
            (TicketStep::Resolve, Raised | Reopened | Acknowledged) => Some(Handled),
            (TicketStep::Close, Raised | Reopened | Acknowledged | Handled) => Some(Closed),
            (TicketStep::Reject, Raised | Reopened | Acknowledged) => Some(Rejected),
            (TicketStep::Reopen, Handled | Closed | Rejected) => Some(Reopened),
            _ => None,
        }
    }
}

impl Ticket {
    /// Writes down what happened, and counts the revision up.
    pub(super) fn log(&mut self, step: &str, at: Utc, by: &str, note: Option<String>) {
        self.rev += 1;
        self.updated_at = at;
        if self.flow.len() == FLOW_MAX {
            self.flow.remove(FLOW_MAX / 2);
        }
        let entry = Flow { n: self.rev, step: step.to_owned(), at, by: by.to_owned(), note };
        self.flow.push(entry);
    }

    /// Attaches readings; the oldest of the middle give way when there are too many.
    pub(super) fn attach(&mut self, evidence: Vec<Evidence>) {
        for one in evidence {
            if self.evidence.len() == EVIDENCE_MAX {
                self.evidence.remove(EVIDENCE_MAX / 2);
            }
            self.evidence.push(one);
        }
    }

    /// Takes a step that a person asked for.
    pub(super) fn step(
        &mut self,
        step: TicketStep,
        by: &str,
        note: Option<String>,
        now: Moment,
    ) -> Result<(), Refusal> {
        let Some(to) = step.from(self.state) else {
            let possible = TicketStep::ALL.iter().filter(|s| s.from(self.state).is_some());
            let words: Vec<&str> = possible.map(|s| s.as_str()).collect();
            let allowed = if words.is_empty() { "do nothing".into() } else { words.join(", ") };
            return Err(Refusal::Illegal { step: step.as_str(), state: self.state, allowed });
        };
        self.become_(to, by, note, now);
        Ok(())
    }

    /// Moves to `to` and writes it down.
    pub(super) fn become_(&mut self, to: State, by: &str, note: Option<String>, now: Moment) {
        self.state = to;
        if to == State::Reopened {
            self.reopened += 1;
        }
        let ended = !to.is_open();
        self.closed_at = ended.then_some(now.utc);
        self.times.closed = ended.then_some(now);
        self.log(&to.to_string(), now.utc, by, note);
    }
}
