//! The life of a ticket: where it can stand, and which step leads from where to where.
//!
//! ```text
//! candidate ─confirm─► raised ─ack─► acknowledged ─assign─► dispatched ─resolve─► handled ─verify─► verified ─close─► closed
//!                        ▲  └──────────────────── again, inside the window: reopened ◄──────────────┴──────────────────┘
//! suppressed (shelved, maintenance)      rejected (by review)      expired (a newer ticket took its place)
//! ```
//!
//! The table is the whole truth: what is not in it is refused, with the reason, and written down.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::ids::{CrewId, TicketId};

/// Where a ticket stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// Found by something that a person has to look at first.
    Candidate,
    /// Found, and nobody has said anything yet.
    Raised,
    /// Somebody has seen it.
    Acknowledged,
    /// A crew has it.
    Dispatched,
    /// Somebody says it is done.
    Handled,
    /// Somebody has looked, and it is done.
    Verified,
    /// Accepted as done.
    Closed,
    /// Nobody wants to hear of it for a time: shelved, or maintenance goes on.
    Suppressed,
    /// It was never a problem, says a person.
    Rejected,
    /// It was done, and is there again.
    Reopened,
    /// Its cause went away long ago and nobody ever looked; a newer ticket took its place.
    Expired,
}

impl State {
    /// Every state, in the order of a ticket's life, then the side states.
    pub const ALL: [State; 11] = [
        State::Candidate,
        State::Raised,
        State::Acknowledged,
        State::Dispatched,
        State::Handled,
        State::Verified,
        State::Closed,
        State::Suppressed,
        State::Rejected,
        State::Reopened,
        State::Expired,
    ];

    /// Whether the ticket stands for its problem: a finding of the same problem belongs to it.
    #[must_use]
    pub const fn is_open(self) -> bool {
        !matches!(self, State::Closed | State::Rejected | State::Expired)
    }

    /// Whether the time limit runs.
    #[must_use]
    pub const fn is_timed(self) -> bool {
        use State::{Acknowledged, Dispatched, Raised, Reopened};
        matches!(self, Raised | Reopened | Acknowledged | Dispatched)
    }

    /// The word in payloads.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            State::Candidate => "candidate",
            State::Raised => "raised",
            State::Acknowledged => "acknowledged",
            State::Dispatched => "dispatched",
            State::Handled => "handled",
            State::Verified => "verified",
            State::Closed => "closed",
            State::Suppressed => "suppressed",
            State::Rejected => "rejected",
            State::Reopened => "reopened",
            State::Expired => "expired",
        }
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The steps a person can take with a ticket.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TicketStep {
    /// A candidate is a problem.
    Confirm,
    /// Seen.
    Ack,
    /// Give it to a crew.
    Assign,
    /// The crew takes it.
    Accept,
    /// From one crew to another.
    HandOver,
    /// The crew is there.
    OnSite,
    /// The work begins.
    Start,
    /// The work is done.
    Resolve,
    /// Looked at on the spot: it is done.
    Verify,
    /// Accepted as done: the end.
    Close,
    /// It was not done after all.
    Reopen,
    /// It was never a problem.
    Reject,
    /// Not to be heard of until a time.
    Shelve,
    /// To be heard of again.
    Unshelve,
    /// The time limit stands still.
    Pause,
    /// The time limit goes on.
    Resume,
    /// The time limit is longer.
    Extend,
    /// A remark, nothing else.
    Note,
}

/// Where a step leads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lead {
    /// To another state (or the same one anew).
    To(State),
    /// Nowhere: the ticket stays where it is.
    Stay,
    /// Back to where the ticket was before it was suppressed.
    Back,
}

impl TicketStep {
    /// Every step, in the order of a ticket's life.
    pub const ALL: [TicketStep; 18] = [
        TicketStep::Confirm,
        TicketStep::Ack,
        TicketStep::Assign,
        TicketStep::Accept,
        TicketStep::HandOver,
        TicketStep::OnSite,
        TicketStep::Start,
        TicketStep::Resolve,
        TicketStep::Verify,
        TicketStep::Close,
        TicketStep::Reopen,
        TicketStep::Reject,
        TicketStep::Shelve,
        TicketStep::Unshelve,
        TicketStep::Pause,
        TicketStep::Resume,
        TicketStep::Extend,
        TicketStep::Note,
    ];

    /// The word people use.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            TicketStep::Confirm => "confirm",
            TicketStep::Ack => "ack",
            TicketStep::Assign => "assign",
            TicketStep::Accept => "accept",
            TicketStep::HandOver => "hand_over",
            TicketStep::OnSite => "on_site",
            TicketStep::Start => "start",
            TicketStep::Resolve => "resolve",
            TicketStep::Verify => "verify",
            TicketStep::Close => "close",
            TicketStep::Reopen => "reopen",
            TicketStep::Reject => "reject",
            TicketStep::Shelve => "shelve",
            TicketStep::Unshelve => "unshelve",
            TicketStep::Pause => "pause",
            TicketStep::Resume => "resume",
            TicketStep::Extend => "extend",
            TicketStep::Note => "note",
        }
    }

    /// What the flow log and the events call it, once it is taken.
    #[must_use]
    pub const fn done(self) -> &'static str {
        match self {
            TicketStep::Confirm => "raised",
            TicketStep::Ack => "acknowledged",
            TicketStep::Assign => "dispatched",
            TicketStep::Accept => "accepted",
            TicketStep::HandOver => "handed_over",
            TicketStep::OnSite => "on_site",
            TicketStep::Start => "started",
            TicketStep::Resolve => "handled",
            TicketStep::Verify => "verified",
            TicketStep::Close => "closed",
            TicketStep::Reopen => "reopened",
            TicketStep::Reject => "rejected",
            TicketStep::Shelve => "suppressed",
            TicketStep::Unshelve => "unshelved",
            TicketStep::Pause => "paused",
            TicketStep::Resume => "resumed",
            TicketStep::Extend => "extended",
            TicketStep::Note => "noted",
        }
    }

    /// The states from which the step may be taken, and where it leads.
    const fn row(self) -> (&'static [State], Lead) {
        use State::{
            Acknowledged, Candidate, Closed, Dispatched, Handled, Raised, Rejected, Reopened,
            Suppressed, Verified,
        };
        const TIMED: &[State] = &[Raised, Reopened, Acknowledged, Dispatched];
        match self {
            TicketStep::Confirm => (&[Candidate], Lead::To(Raised)),
            TicketStep::Ack => (&[Raised, Reopened], Lead::To(Acknowledged)),
            TicketStep::Assign => (&[Raised, Reopened, Acknowledged], Lead::To(Dispatched)),
            TicketStep::Accept | TicketStep::HandOver | TicketStep::OnSite => {
                (&[Dispatched], Lead::Stay)
            }
            TicketStep::Start => (TIMED, Lead::To(Dispatched)),
            TicketStep::Resolve => (TIMED, Lead::To(Handled)),
            TicketStep::Verify => (&[Handled], Lead::To(Verified)),
            TicketStep::Close => {
                (&[Raised, Reopened, Acknowledged, Dispatched, Handled, Verified], Lead::To(Closed))
            }
            TicketStep::Reopen => (&[Handled, Verified, Closed, Rejected], Lead::To(Reopened)),
            TicketStep::Reject => {
                (&[Candidate, Raised, Reopened, Acknowledged, Dispatched], Lead::To(Rejected))
            }
            TicketStep::Shelve => {
                (&[Candidate, Raised, Reopened, Acknowledged, Dispatched], Lead::To(Suppressed))
            }
            TicketStep::Unshelve => (&[Suppressed], Lead::Back),
            TicketStep::Pause | TicketStep::Resume | TicketStep::Extend => (TIMED, Lead::Stay),
            TicketStep::Note => (
                &[
                    Candidate,
                    Raised,
                    Acknowledged,
                    Dispatched,
                    Handled,
                    Verified,
                    Closed,
                    Suppressed,
                    Rejected,
                    Reopened,
                ],
                Lead::Stay,
            ),
        }
    }

    /// Where the step leads from `state`; `None`: it does not lead from there.
    #[must_use]
    pub fn from(self, state: State) -> Option<Lead> {
        let (states, lead) = self.row();
        states.contains(&state).then_some(lead)
    }

    /// The steps that can be taken from `state`, in words.
    #[must_use]
    pub fn words_from(state: State) -> String {
        let possible = TicketStep::ALL.into_iter().filter(|step| step.from(state).is_some());
        let words: Vec<&str> = possible.map(TicketStep::as_str).collect();
        if words.is_empty() { "do nothing".into() } else { words.join(", ") }
    }
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
    /// The step needs something that the command does not say.
    #[error("{step} needs {what}")]
    Needs {
        /// The step in words.
        step: &'static str,
        /// What is missing.
        what: &'static str,
    },
    /// No such crew is configured.
    #[error("no crew {crew}; there are {known}")]
    NoCrew {
        /// Who was named.
        crew: CrewId,
        /// Who there is.
        known: String,
    },
    /// The crew does other things.
    #[error("crew {crew} does not do this; it does {does}")]
    NotTheirs {
        /// Who was named.
        crew: CrewId,
        /// Their categories.
        does: String,
    },
    /// The time limit does not allow it.
    #[error("{0}")]
    Limit(&'static str),
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every step from every state. `.` is refused, `=` stays, `<` goes back, a letter is the state that
    /// it leads to: A acknowledged, C closed, D dispatched, H handled, J rejected, O reopened, R raised,
    /// S suppressed, V verified.
    const TABLE: &str = "
        step       candidate raised acknowledged dispatched handled verified closed suppressed rejected reopened expired
        confirm    R         .      .            .          .       .        .      .          .        .        .
        ack        .         A      .            .          .       .        .      .          .        A        .
        assign     .         D      D            .          .       .        .      .          .        D        .
        accept     .         .      .            =          .       .        .      .          .        .        .
        hand_over  .         .      .            =          .       .        .      .          .        .        .
        on_site    .         .      .            =          .       .        .      .          .        .        .
        start      .         D      D            D          .       .        .      .          .        D        .
        resolve    .         H      H            H          .       .        .      .          .        H        .
        verify     .         .      .            .          V       .        .      .          .        .        .
        close      .         C      C            C          C       C        .      .          .        C        .
        reopen     .         .      .            .          O       O        O      .          O        .        .
        reject     J         J      J            J          .       .        .      .          .        J        .
        shelve     S         S      S            S          .       .        .      .          .        S        .
        unshelve   .         .      .            .          .       .        .      <          .        .        .
        pause      .         =      =            =          .       .        .      .          .        =        .
        resume     .         =      =            =          .       .        .      .          .        =        .
        extend     .         =      =            =          .       .        .      .          .        =        .
        note       =         =      =            =          =       =        =      =          =        =        .
    ";

    fn letter(lead: Option<Lead>) -> &'static str {
        match lead {
            None => ".",
            Some(Lead::Stay) => "=",
            Some(Lead::Back) => "<",
            Some(Lead::To(State::Acknowledged)) => "A",
            Some(Lead::To(State::Closed)) => "C",
            Some(Lead::To(State::Dispatched)) => "D",
            Some(Lead::To(State::Handled)) => "H",
            Some(Lead::To(State::Rejected)) => "J",
            Some(Lead::To(State::Reopened)) => "O",
            Some(Lead::To(State::Raised)) => "R",
            Some(Lead::To(State::Suppressed)) => "S",
            Some(Lead::To(State::Verified)) => "V",
            Some(Lead::To(State::Candidate | State::Expired)) => "!",
        }
    }

    #[test]
    fn every_step_from_every_state() {
        let mut lines = TABLE.lines().map(str::split_whitespace).filter(|l| l.clone().count() > 0);
        let heads: Vec<&str> = lines.next().unwrap().skip(1).collect();
        assert_eq!(heads, State::ALL.map(State::as_str));
        let mut cells = 0;
        for (step, mut line) in TicketStep::ALL.into_iter().zip(lines.by_ref()) {
            assert_eq!(line.next(), Some(step.as_str()));
            for (state, expected) in State::ALL.into_iter().zip(line) {
                assert_eq!(letter(step.from(state)), expected, "{} from {state}", step.as_str());
                cells += 1;
            }
        }
        assert_eq!((cells, lines.count()), (18 * 11, 0));
    }

    #[test]
    fn from_every_open_state_there_is_a_way_to_an_end_and_the_words_are_unique() {
        for state in State::ALL.into_iter().filter(|s| s.is_open() && *s != State::Suppressed) {
            let ends = TicketStep::ALL.into_iter().filter_map(|step| step.from(state));
            assert!(ends.into_iter().any(|l| matches!(l, Lead::To(s) if !s.is_open())), "{state}");
        }
        let mut words: Vec<_> = TicketStep::ALL.map(TicketStep::as_str).into();
        words.sort_unstable();
        words.dedup();
        assert_eq!(words.len(), TicketStep::ALL.len());
        for step in TicketStep::ALL {
            let json = serde_json::to_string(&step).unwrap();
            assert_eq!(json, format!("\"{}\"", step.as_str()));
        }
    }
}
