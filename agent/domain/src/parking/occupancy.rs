//! The state of a bay, from reports that may bounce, be late, or stop.

use serde::{Deserialize, Serialize};

use super::session::{Ended, Session, SessionQuality};
use crate::sample::{Missing, NoData, Quantity};
use crate::site::Bay;
use crate::time::{Moment, Monotonic, Now, Span, Utc};

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
}

/// One bay.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Occupancy {
    status: Status,
    since: Option<Moment>,
    /// Why the status is unknown, once something was known or tried.
    reason: Option<NoData>,
    /// A report that differs from the status and has not yet held long enough.
    pending: Option<Pending>,
    session: Option<Session>,
    heard: Option<Moment>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct Pending {
    occupied: bool,
    since: Moment,
    /// The sensor's own count of the state before, with its error.
    counted: Option<(Span, Span)>,
}

/// The published state of a bay.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct BayState {
    status: Status,
    since: Option<Utc>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<NoData>,
    session: Option<SessionView>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
struct SessionView {
    start: Utc,
    quality: SessionQuality,
}

/// What a report or a deadline changed.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Change {
    /// The published state is a new one.
    pub(crate) state: bool,
    /// A stay ended.
    pub(crate) ended: Option<Ended>,
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
        }
    }
}

impl Occupancy {
    /// The status as it counts.
    #[must_use]
    pub fn status(&self) -> Status {
        self.status
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

    /// What is published.
    #[must_use]
    pub fn view(&self) -> BayState {
        BayState {
            status: self.status,
            since: self.since.map(|m| m.utc),
            reason: self.reason,
            session: self
                .session
                .as_ref()
                .map(|s| SessionView { start: s.start.utc, quality: s.quality }),
        }
    }

    /// Takes a report measured at `at`, that arrived at `now`.
    pub(crate) fn report(
        &mut self,
        id: &str,
        quantities: &[Quantity],
        at: Moment,
        now: Now,
        settings: &Bay,
    ) -> Change {
        let mut occupied = None;
        let mut counted = None;
        let mut absent = None;
        for quantity in quantities {
            match *quantity {
                Quantity::Occupied(yes) => occupied = Some(yes),
                Quantity::PreviousState { lasted, error } => counted = Some((lasted, error)),
                Quantity::Absent(a) if a.what == Missing::Occupied => absent = Some(a.why),
                _ => {}
            }
        }
        let was_blind = self.status == Status::Unknown;
        let silent = self.heard.map_or(Span::ZERO, |h| at.since(h));
        self.heard = Some(self.heard.map_or(at, |h| if at.since(h) > Span::ZERO { at } else { h }));
        match (occupied, absent) {
            (Some(yes), _) if was_blind => self.regain(id, yes, at, silent, counted),
            (Some(yes), _) => {
                self.consider(yes, at, counted);
                self.settle(id, now, settings)
            }
            (None, Some(why)) => self.lose(why, at),
            (None, None) => Change::default(),
        }
    }

    /// The first report after nothing was known counts at once.
    fn regain(
        &mut self,
        id: &str,
        occupied: bool,
        at: Moment,
        silent: Span,
        counted: Option<(Span, Span)>,
    ) -> Change {
        self.reason = None;
        self.pending = None;
        let mut ended = None;
        match (&mut self.session, occupied) {
            (Some(session), true) => session.blind = session.blind.saturating_add(silent),
            (Some(session), false) => {
                session.blind = session.blind.saturating_add(silent);
                ended = Some(session.end(id, at, counted));
                self.session = None;
            }
            (None, true) => {
                let quality = SessionQuality::Inferred;
                self.session = Some(Session { start: at, quality, blind: Span::ZERO });
            }
            (None, false) => {}
        }
        self.status = if occupied { Status::Occupied } else { Status::Free };
        self.since = Some(self.session.as_ref().map_or(at, |s| s.start));
        Change { state: true, ended }
    }

    fn consider(&mut self, occupied: bool, at: Moment, counted: Option<(Span, Span)>) {
        let differs = occupied != (self.status == Status::Occupied);
        let late = self.since.is_some_and(|since| at.utc < since.utc);
        match self.pending {
            // A report from before the present state began says nothing about now.
            _ if late => {}
            _ if !differs => self.pending = None,
            Some(p) if p.occupied == occupied => {}
            _ => self.pending = Some(Pending { occupied, since: at, counted }),
        }
    }

    /// Lets a pending change count if it has held for long enough at `now`.
    pub(crate) fn settle(&mut self, id: &str, now: Now, settings: &Bay) -> Change {
        let Some(p) = self.pending else { return Change::default() };
        if self.settle_at(now, settings).is_some_and(|at| at > now.monotonic) {
            return Change::default();
        }
        self.pending = None;
        self.since = Some(p.since);
        if p.occupied {
            self.status = Status::Occupied;
            let quality = SessionQuality::Exact;
            self.session = Some(Session { start: p.since, quality, blind: Span::ZERO });
            Change { state: true, ended: None }
        } else {
            self.status = Status::Free;
            let ended = self.session.take().map(|s| s.end(id, p.since, p.counted));
            Change { state: true, ended }
        }
    }

    /// When a pending change will count.
    pub(crate) fn settle_at(&self, now: Now, settings: &Bay) -> Option<Monotonic> {
        let p = self.pending?;
        let hold = if p.occupied { settings.occupied_after } else { settings.free_after };
        Some(p.since.deadline(hold, now))
    }

    /// The bay can no longer be told: its sensor is silent or says so itself. A stay is not ended by
    /// that; the time without contact becomes its error.
    pub(crate) fn lose(&mut self, why: NoData, at: Moment) -> Change {
        let news = self.status != Status::Unknown || self.reason != Some(why);
        if self.status != Status::Unknown {
            self.since = Some(at);
        }
        self.status = Status::Unknown;
        self.reason = Some(why);
        self.pending = None;
        Change { state: news, ended: None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::{Boot, ClockQuality};

    const SETTINGS: Bay = Bay {
        max_stay: None,
        occupied_after: Span::from_secs(60),
        free_after: Span::from_secs(20),
        stale_after: Span::from_mins(60),
    };

    fn t(s: u64) -> Moment {
        Moment {
            boot: Boot(1),
            monotonic: Monotonic::from_ms(s * 1000),
            utc: Utc::from_ms(1_780_000_000_000) + Span::from_secs(s),
            clock: ClockQuality::Ntp,
        }
    }

    fn say(bay: &mut Occupancy, s: u64, occupied: bool) -> Change {
        bay.report("b-1", &[Quantity::Occupied(occupied)], t(s), t(s), &SETTINGS)
    }

    fn settle(bay: &mut Occupancy, s: u64) -> Change {
        bay.settle("b-1", t(s), &SETTINGS)
    }

    #[test]
    fn a_stay_is_counted_from_report_to_report() {
        let mut bay = Occupancy::default();
        assert!(say(&mut bay, 0, false).state);
        assert!(!say(&mut bay, 100, true).state, "not yet");
        assert_eq!(bay.settle_at(t(100), &SETTINGS), Some(Monotonic::from_ms(160_000)));
        assert!(settle(&mut bay, 160).state);
        assert_eq!(bay.stay_since(), Some(t(100)));
        say(&mut bay, 700, false);
        let ended = settle(&mut bay, 720).ended.unwrap();
        assert_eq!((ended.duration_s, ended.quality), (600, SessionQuality::Exact));
        assert_eq!(bay.status(), Status::Free);
    }

    #[test]
    fn a_bounce_changes_nothing() {
        let mut bay = Occupancy::default();
        say(&mut bay, 0, false);
        say(&mut bay, 10, true);
        say(&mut bay, 40, false);
        assert_eq!(settle(&mut bay, 100), Change::default());
        assert_eq!((bay.status(), bay.session.clone()), (Status::Free, None));
    }

    #[test]
    fn the_sensors_own_count_goes_before_reception_times() {
        let mut bay = Occupancy::default();
        say(&mut bay, 0, false);
        say(&mut bay, 100, true);
        settle(&mut bay, 200);
        let counted = Quantity::PreviousState { lasted: Span::from_mins(74), error: Span::ZERO };
        bay.report("b-1", &[Quantity::Occupied(false), counted], t(9_000), t(9_000), &SETTINGS);
        let ended = settle(&mut bay, 9_020).ended.unwrap();
        assert_eq!((ended.duration_s, ended.quality), (74 * 60, SessionQuality::Exact));
        assert_eq!(ended.start, t(9_000).utc - Span::from_mins(74));
    }

    #[test]
    fn silence_is_unknown_and_becomes_the_error_of_the_stay() {
        let mut bay = Occupancy::default();
        say(&mut bay, 0, false);
        say(&mut bay, 100, true);
        settle(&mut bay, 200);
        assert!(bay.lose(NoData::Silent, t(4_000)).state);
        assert_eq!(bay.status(), Status::Unknown);
        assert!(!bay.lose(NoData::Silent, t(4_100)).state, "said once");
        let ended = say(&mut bay, 5_000, false).ended.unwrap();
        assert_eq!((ended.quality, ended.error_s), (SessionQuality::Bounded, 4_900));
        assert_eq!(ended.duration_s, 4_900);
    }

    #[test]
    fn occupied_when_first_heard_of_is_an_inferred_stay() {
        let mut bay = Occupancy::default();
        say(&mut bay, 0, true);
        say(&mut bay, 600, false);
        let ended = settle(&mut bay, 700).ended.unwrap();
        assert_eq!(ended.quality, SessionQuality::Inferred);
    }

    #[test]
    fn a_late_report_that_has_already_held_counts_at_once_with_its_own_time() {
        let mut bay = Occupancy::default();
        say(&mut bay, 0, false);
        let change = bay.report("b-1", &[Quantity::Occupied(true)], t(1_000), t(8_000), &SETTINGS);
        assert!(change.state);
        assert_eq!(bay.stay_since(), Some(t(1_000)));
    }

    #[test]
    fn a_report_from_before_the_present_state_is_not_about_now() {
        let mut bay = Occupancy::default();
        say(&mut bay, 0, false);
        say(&mut bay, 1_000, true);
        settle(&mut bay, 1_100);
        bay.report("b-1", &[Quantity::Occupied(false)], t(500), t(1_200), &SETTINGS);
        assert_eq!(settle(&mut bay, 2_000), Change::default());
        assert_eq!(bay.status(), Status::Occupied);
    }
}
