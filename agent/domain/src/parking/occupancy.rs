//! The state of a bay, from reports that may bounce, be late, contradict each other, or stop.
//!
//! * `doubt`: what has to hold before it counts.
//! * `view`: what is published.

mod doubt;
mod view;

use serde::{Deserialize, Serialize};

use self::doubt::Pending;
pub use self::view::BayState;

use super::session::{Counted, Ended, Session, SessionQuality};
use super::votes::{Votes, Word};
use crate::ids::PermitId;
use crate::reading::{Gap, is_ahead};
use crate::sample::{Missing, NoData, Quantity};
use crate::site::Bay;
use crate::time::{Moment, Now, Span};

/// What is known of a bay.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// Nothing stands on it.
    Free,
    /// Something stands on it.
    Occupied,
    /// Nobody can tell.
    Unknown,
    /// Taken out of service by a person.
    OutOfService,
}

/// One bay.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Occupancy {
    pub(super) status: Status,
    pub(super) since: Option<Moment>,
    /// Why the status is unknown, once something was known or tried.
    reason: Option<NoData>,
    /// A word that differs from the status and has not yet held long enough.
    pending: Option<Pending>,
    pub(super) session: Option<Session>,
    heard: Option<Moment>,
    #[serde(default)]
    votes: Votes,
    /// Since when the sensors contradict each other.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    contested: Option<Moment>,
    /// When a sensor was last asked to learn its empty bay anew.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    recalibrated: Option<Moment>,
    /// The only sensor has said the same for too long to be believed.
    #[serde(default)]
    stuck: bool,
    /// What the driver has shown, for this stay.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    permit: Option<PermitId>,
}

/// What one sensor reports of the bay.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Report<'a> {
    /// The sensor's name inside the bay.
    pub(crate) sensor: &'a str,
    /// Its place among the bay's sensors.
    pub(crate) rank: u8,
    /// What is missing between its last report and this one.
    pub(crate) gap: Gap,
    /// What it measured.
    pub(crate) quantities: &'a [Quantity],
    /// When.
    pub(crate) at: Moment,
}

/// What a report or a deadline changed.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Change {
    /// The published state is a new one.
    pub(crate) state: bool,
    /// Stays that ended.
    pub(crate) ended: Vec<Ended>,
    /// Sensors that are to learn their empty bay anew.
    pub(crate) recalibrate: Vec<String>,
}

impl Default for Occupancy {
    fn default() -> Occupancy {
        Occupancy {
            status: Status::Unknown,
            since: None,
            reason: None,
            pending: None,
            session: None,
            heard: None,
            votes: Votes::default(),
            contested: None,
            recalibrated: None,
            stuck: false,
            permit: None,
        }
    }
}

impl Occupancy {
    /// The status as it counts.
    #[must_use]
    pub fn status(&self) -> Status {
        self.status
    }

    /// Since when the status has been so.
    #[must_use]
    pub fn since(&self) -> Option<Moment> {
        self.since
    }

    /// Since when a car has been standing, if one is.
    #[must_use]
    pub fn stay_since(&self) -> Option<Moment> {
        self.session.as_ref().map(|s| s.start)
    }

    /// When the bay was last heard of.
    #[must_use]
    pub fn heard(&self) -> Option<Moment> {
        self.heard
    }

    /// Whether its sensor is not believed any more.
    #[must_use]
    pub fn is_stuck(&self) -> bool {
        self.stuck
    }

    /// Whether its sensors contradict each other.
    #[must_use]
    pub fn is_contested(&self) -> bool {
        self.contested.is_some()
    }

    /// How many sensors are heard.
    pub(super) fn voices(&self, now: Now, stale_after: Span) -> usize {
        self.votes.word(now, stale_after).map_or(0, |word| word.voices)
    }

    /// The permit shown for the present stay.
    #[must_use]
    pub fn permit(&self) -> Option<&PermitId> {
        self.permit.as_ref()
    }

    /// Takes what a sensor reports, as it arrived at `now`.
    pub(crate) fn report(
        &mut self,
        id: &str,
        report: &Report<'_>,
        now: Now,
        settings: &Bay,
    ) -> Change {
        let at = report.at;
        let Said { occupied, counted, absent } = Said::of(report.quantities);
        let silent = self.heard.map_or(Span::ZERO, |h| at.since(h));
        let newer = |h: &Moment| at.since(*h) > Span::ZERO || is_ahead(*h, now);
        self.heard = Some(self.heard.filter(|h| !newer(h)).unwrap_or(at));
        let before = self.votes.heard(report.sensor);
        match (occupied, absent) {
            (Some(yes), _) => {
                if !self.votes.cast(report.sensor, (report.rank, yes), at, now) {
                    return Change::default();
                }
            }
            (None, Some(why)) => {
                self.votes.withdraw(report.sensor);
                if self.votes.word(now, settings.stale_after).is_none() {
                    return self.lose(why, at);
                }
            }
            (None, None) => return Change::default(),
        }
        let Some(word) = self.votes.word(at, settings.stale_after) else {
            return Change::default();
        };
        self.note_contest(word, at);
        if self.status == Status::OutOfService || (self.stuck && word.occupied) {
            return Change::default();
        }
        if self.status == Status::Unknown {
            return self.regain(id, word, at, silent, counted);
        }
        let missed = before.filter(|_| report.gap.is_some()).map_or(Span::ZERO, |b| at.since(b));
        let mut change = self.lost_reports(id, report, word, counted, settings);
        self.consider(word, (at, now), counted.filter(|_| word.voices == 1), missed);
        let settled = self.settle(id, now, settings);
        change.state |= settled.state;
        change.ended.extend(settled.ended);
        change.recalibrate.extend(settled.recalibrate);
        change
    }

    /// The first word after nothing was known counts at once.
    fn regain(
        &mut self,
        id: &str,
        word: Word,
        at: Moment,
        silent: Span,
        counted: Option<Counted>,
    ) -> Change {
        self.reason = None;
        self.pending = None;
        self.stuck = false;
        let mut ended = vec![];
        match (&mut self.session, word.occupied) {
            // Whether it is the same car that stood there before, nobody saw.
            (Some(session), true) => session.gap = true,
            (Some(session), false) => {
                session.blind = session.blind.saturating_add(silent);
                ended = session.end(id, at, counted);
                self.session = None;
                self.permit = None;
            }
            (None, true) => {
                let quality = SessionQuality::Inferred;
                self.session = Some(Session { quality, ..Session::begun(at, Span::ZERO) });
            }
            (None, false) => {}
        }
        self.status = if word.occupied { Status::Occupied } else { Status::Free };
        self.since = Some(self.session.as_ref().map_or(at, |s| s.start));
        Change { state: true, ended, ..Change::default() }
    }

    /// What a sensor's counters say of reports that never came.
    fn lost_reports(
        &mut self,
        id: &str,
        report: &Report<'_>,
        word: Word,
        counted: Option<Counted>,
        settings: &Bay,
    ) -> Change {
        let mut change = Change::default();
        if word.voices > 1 {
            return change;
        }
        let at = report.at;
        if let Some(session) = &mut self.session {
            session.restarted |= report.gap == Gap::Restarted;
        }
        match (self.status, counted) {
            // It became free, and was free for all we knew: the arrival was lost.
            (Status::Free, Some((lasted, error))) if !word.occupied && self.pending.is_none() => {
                let start = at.utc - lasted;
                let room = self.since.is_none_or(|since| start >= since.utc);
                if room && lasted >= settings.occupied_after {
                    let quality = SessionQuality::Inferred;
                    let ended = Ended::new(id, (start, at.utc), quality, (lasted, error), at.clock);
                    change.ended.push(ended);
                    change.state = true;
                    self.since = Some(at);
                }
            }
            // It became occupied, and was so for all we knew: the departure was lost.
            (Status::Occupied, Some((lasted, error)))
                if word.occupied && self.pending.is_none() =>
            {
                let left = at.at(at.utc - lasted);
                let swapped = self.session.as_mut().filter(|s| s.start.utc < left.utc);
                if let Some(session) = swapped.filter(|_| lasted >= settings.free_after) {
                    let only_that = report.gap == Gap::Missing(1) && !session.gap;
                    if only_that && !session.restarted {
                        session.blind = session.blind.saturating_add(error.max(Span::from_secs(1)));
                        change.ended.extend(session.end(id, left, None));
                    } else {
                        change.ended.push(session.lose_end(id, left));
                    }
                    change.state = true;
                    self.begin(at, Span::ZERO);
                }
            }
            (Status::Occupied, _) => {
                if let Some(session) = &mut self.session {
                    session.gap |= matches!(report.gap, Gap::Missing(_));
                }
            }
            _ => {}
        }
        change
    }

    fn begin(&mut self, at: Moment, error: Span) {
        self.since = Some(at);
        self.permit = None;
        self.session = Some(Session::begun(at, error));
    }

    /// The bay can no longer be told: its sensor is silent or says so itself. A stay is not ended by
    /// that; the time without contact becomes its error.
    pub(crate) fn lose(&mut self, why: NoData, at: Moment) -> Change {
        if self.status == Status::OutOfService {
            return Change::default();
        }
        let news = self.status != Status::Unknown || self.reason != Some(why);
        if self.status != Status::Unknown {
            self.since = Some(at);
        }
        self.status = Status::Unknown;
        self.reason = Some(why);
        self.pending = None;
        Change { state: news, ..Change::default() }
    }

    /// A person takes the bay out of service: what stands there is nobody's stay.
    pub(crate) fn take_out(&mut self, id: &str, now: Now) -> Change {
        if self.status == Status::OutOfService {
            return Change::default();
        }
        let ended = self.session.take().map(|s| s.lose_end(id, now)).into_iter().collect();
        *self = Occupancy {
            status: Status::OutOfService,
            since: Some(now),
            heard: self.heard,
            votes: std::mem::take(&mut self.votes),
            recalibrated: self.recalibrated,
            ..Occupancy::default()
        };
        Change { state: true, ended, ..Change::default() }
    }

    /// A person puts the bay back, or vouches for its sensor: the next report counts.
    pub(crate) fn put_back(&mut self, now: Now) -> Change {
        if self.status != Status::OutOfService && !self.stuck {
            return Change::default();
        }
        (self.status, self.since, self.reason) = (Status::Unknown, Some(now), None);
        self.stuck = false;
        Change { state: true, ..Change::default() }
    }

    /// A driver has shown a permit for the present stay; `None` when nobody stands there.
    pub(crate) fn check_in(&mut self, permit: PermitId) -> Option<Change> {
        self.session.as_ref()?;
        self.permit = Some(permit);
        Some(Change { state: true, ..Change::default() })
    }
}

struct Said {
    occupied: Option<bool>,
    counted: Option<Counted>,
    absent: Option<NoData>,
}

impl Said {
    fn of(quantities: &[Quantity]) -> Said {
        let mut said = Said { occupied: None, counted: None, absent: None };
        for quantity in quantities {
            match *quantity {
                Quantity::Occupied(yes) => said.occupied = Some(yes),
                Quantity::Detected(seen) => said.occupied = seen.occupied().or(said.occupied),
                Quantity::PreviousState { lasted, error } => said.counted = Some((lasted, error)),
                Quantity::Absent(a) if a.what == Missing::Occupied => said.absent = Some(a.why),
                _ => {}
            }
        }
        said
    }
}

#[cfg(test)]
mod tests;
