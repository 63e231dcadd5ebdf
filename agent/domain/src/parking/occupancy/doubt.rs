//! What has to hold before it counts: a change that may be a bounce, sensors that contradict each other,
//! a sensor that has drifted, and one that is not believed any more.

use serde::{Deserialize, Serialize};

use super::{Change, Occupancy, Status};
use crate::parking::session::{Counted, SessionQuality};
use crate::parking::votes::Word;
use crate::reading::is_ahead;
use crate::sample::NoData;
use crate::site::Bay;
use crate::time::{Moment, Monotonic, Now, Span};

/// Between two requests to learn anew.
const RECALIBRATE_EVERY: Span = Span::from_mins(24 * 60);

/// A word that differs from the status and has not held long enough.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Pending {
    occupied: bool,
    since: Moment,
    /// The sensor's own count of the state before, with its error.
    counted: Option<Counted>,
    /// How much earlier it may have been, because reports before it are missing.
    #[serde(default)]
    error: Span,
    /// Whether another sensor says otherwise.
    #[serde(default)]
    contested: bool,
}

impl Occupancy {
    /// Whether a sensor was asked to learn anew and contradicts another one still.
    #[must_use]
    pub fn is_drifted(&self) -> bool {
        let asked = self.recalibrated.zip(self.contested);
        asked.is_some_and(|(asked, since)| asked.utc >= since.utc)
    }

    pub(super) fn note_contest(&mut self, word: Word, at: Moment) {
        self.contested = if word.contested { self.contested.or(Some(at)) } else { None };
    }

    /// Notes that a word of `at`, which arrived at `now`, may differ from what counts.
    pub(super) fn consider(
        &mut self,
        word: Word,
        (at, now): (Moment, Now),
        counted: Option<Counted>,
        missed: Span,
    ) {
        let differs = word.occupied != (self.status == Status::Occupied);
        let late = self.since.is_some_and(|since| at.utc < since.utc && !is_ahead(since, now));
        let contested = word.contested;
        match &mut self.pending {
            // A report from before the present state began says nothing about now.
            _ if late => {}
            _ if !differs => self.pending = None,
            Some(p) if p.occupied == word.occupied => p.contested = contested,
            _ => {
                let since =
                    if word.voices > 1 && word.since.utc <= at.utc { word.since } else { at };
                let occupied = word.occupied;
                self.pending = Some(Pending { occupied, since, counted, error: missed, contested });
            }
        }
    }

    /// Lets what is due at `now` count: a change that has held for long enough, a sensor that cannot
    /// be believed any more, a contradiction that calls for a new calibration.
    pub(crate) fn settle(&mut self, id: &str, now: Now, settings: &Bay) -> Change {
        let due = |at: Option<Monotonic>| at.is_some_and(|at| at <= now.monotonic);
        if due(self.pending_at(now, settings)) {
            return self.settle_pending(id, settings);
        }
        if due(self.stuck_at(now, settings)) {
            return self.quarantine(id, now);
        }
        if due(self.recalibrate_at(now, settings)) {
            self.recalibrated = Some(now);
            return Change { recalibrate: self.votes.lonely_occupied(), ..Change::default() };
        }
        Change::default()
    }

    fn settle_pending(&mut self, id: &str, settings: &Bay) -> Change {
        let Some(p) = self.pending.take() else { return Change::default() };
        if p.occupied {
            self.status = Status::Occupied;
            self.begin(p.since, p.error);
            if let Some(session) = self.session.as_mut().filter(|_| p.contested) {
                session.quality = SessionQuality::Inferred;
            }
            return Change { state: true, ..Change::default() };
        }
        self.status = Status::Free;
        self.since = Some(p.since);
        self.permit = None;
        let mut ended = vec![];
        if let Some(mut session) = self.session.take() {
            if p.contested {
                session.quality = session.quality.max(SessionQuality::Inferred);
            }
            if p.error > Span::ZERO {
                session.blind = session.blind.saturating_add(p.error);
            }
            ended = session.end(id, p.since, p.counted);
        }
        // What arrived late, both ends at once, had no time to prove a bounce.
        ended.retain(|e| Span::from_secs(e.duration_s) >= settings.occupied_after);
        Change { state: true, ended, ..Change::default() }
    }

    fn quarantine(&mut self, id: &str, now: Now) -> Change {
        let ended = self.session.take().map(|s| s.lose_end(id, now)).into_iter().collect();
        self.stuck = true;
        self.permit = None;
        let lost = self.lose(NoData::Stuck, now);
        Change { ended, ..lost }
    }

    /// When [`Occupancy::settle`] has to be called.
    pub(crate) fn settle_at(&self, now: Now, settings: &Bay) -> Option<Monotonic> {
        [
            self.pending_at(now, settings),
            self.stuck_at(now, settings),
            self.recalibrate_at(now, settings),
        ]
        .into_iter()
        .flatten()
        .min()
    }

    fn pending_at(&self, now: Now, settings: &Bay) -> Option<Monotonic> {
        let p = self.pending?;
        let hold = if p.occupied { settings.occupied_after } else { settings.free_after };
        let hold = if p.contested { hold.max(settings.policy.disagree_after) } else { hold };
        Some(p.since.deadline(hold, now))
    }

    /// One sensor alone that has said occupied for days: a car, or a fault, and nobody can tell.
    fn stuck_at(&self, now: Now, settings: &Bay) -> Option<Monotonic> {
        let session = self.session.as_ref().filter(|_| self.status == Status::Occupied)?;
        let word = self.votes.word(now, settings.stale_after)?;
        let alone = word.voices == 1;
        alone.then(|| session.start.deadline(settings.policy.stuck_after, now))
    }

    /// A sensor that says occupied against another one for hours has drifted. It is asked to learn
    /// anew only then: learning with a car above it would hide every car.
    fn recalibrate_at(&self, now: Now, settings: &Bay) -> Option<Monotonic> {
        let since = self.contested.filter(|_| self.status == Status::Free)?;
        if self.votes.lonely_occupied().is_empty() {
            return None;
        }
        let drifted = since.deadline(settings.policy.drift_after, now);
        let again = self.recalibrated.map(|r| r.deadline(RECALIBRATE_EVERY, now));
        Some(again.map_or(drifted, |again| again.max(drifted)))
    }
}
