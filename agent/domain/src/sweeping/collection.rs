//! The stops of a collection round: served in time, early, late, or skipped.
//!
//! A stop is served where the vehicle comes near it, nearest to its hour first. A vehicle that passes
//! at speed has served nothing; where a receiver gives no speed, being near is enough. Which stops were
//! skipped is known when the round is over.

use serde::{Deserialize, Serialize};

use crate::place::Position;
use crate::time::{Span, Utc};
use crate::units::MillimetresPerSecond;

use super::window::Window;

/// A stop of a round.
#[derive(Debug, Clone, PartialEq)]
pub struct Stop {
    /// The route it belongs to.
    pub route: String,
    /// What people call it.
    pub name: String,
    /// Where.
    pub position: Position,
    /// When, on which days. The window's beginning is the planned time.
    pub due: Window,
}

/// What counts as served, early and late.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tolerance {
    /// Nearer than this is at the stop, in metres.
    pub near_m: u32,
    /// At most this fast is stopping, rather than driving past.
    pub speed_max: MillimetresPerSecond,
    /// More before the planned time than this is early.
    pub early: Span,
    /// More after the planned time than this is late.
    pub late: Span,
    /// This long after the planned time the stop is skipped.
    pub skipped: Span,
}

impl Default for Tolerance {
    fn default() -> Tolerance {
        Tolerance {
            near_m: 40,
            speed_max: MillimetresPerSecond::from_kmh(10),
            early: Span::from_mins(5),
            late: Span::from_mins(10),
            skipped: Span::from_mins(60),
        }
    }
}

/// How a stop went.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// Served within the tolerance.
    Served,
    /// Served too early: people come when it is gone.
    Early,
    /// Served too late.
    Late,
    /// Not served.
    Skipped,
}

/// One stop on one day, decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Visit {
    /// Which stop: its place in the round.
    pub stop: usize,
    /// When it was planned.
    pub due: Utc,
    /// When the vehicle came; `None`: it did not.
    pub came: Option<Utc>,
    /// How it went.
    pub outcome: Outcome,
}

/// What a vehicle is to do: the stops of its routes.
#[derive(Debug, Clone, PartialEq)]
pub struct Round {
    /// The stops, in the order they are driven.
    pub stops: Vec<Stop>,
    /// What counts.
    pub tolerance: Tolerance,
    /// Where the hours are.
    pub zone: jiff::tz::TimeZone,
}

/// How far a round has come.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Progress {
    /// For each stop: the planned time that is awaited.
    awaited: Vec<Option<Utc>>,
    /// For each stop: when the vehicle was there too early. It may come again in time.
    early: Vec<Option<Utc>>,
}

impl Round {
    /// The first planned time of a stop whose minute is not over at `now`.
    fn due(&self, stop: usize, now: Utc) -> Option<Utc> {
        self.stops[stop].due.shift(now, &self.zone).map(|shift| shift.from)
    }
}

impl Progress {
    /// Begins to wait at `now` for what is due from then on.
    fn begin(&mut self, round: &Round, now: Utc) {
        if self.awaited.len() != round.stops.len() || self.early.len() != round.stops.len() {
            self.early = vec![None; round.stops.len()];
            // What was due before the box began to look is not its to judge.
            self.awaited = (0..round.stops.len()).map(|stop| round.due(stop, now)).collect();
        }
    }

    /// Time has come to `now`: what was due too long ago is skipped.
    pub fn pass(&mut self, round: &Round, now: Utc, visits: &mut Vec<Visit>) {
        self.begin(round, now);
        for stop in 0..round.stops.len() {
            let overdue = |due: &Utc| *due + round.tolerance.skipped <= now;
            if let Some(due) = self.awaited[stop].filter(overdue) {
                let came = self.early[stop].take();
                let outcome = if came.is_some() { Outcome::Early } else { Outcome::Skipped };
                visits.push(Visit { stop, due, came, outcome });
                self.awaited[stop] = after(round, stop, due);
            }
        }
    }

    /// The vehicle is at `position` at `at`: at most one stop is served, the one that is due nearest.
    pub fn take(
        &mut self,
        round: &Round,
        position: Position,
        speed: Option<MillimetresPerSecond>,
        at: Utc,
        visits: &mut Vec<Visit>,
    ) {
        self.pass(round, at, visits);
        let tolerance = round.tolerance;
        if speed.is_some_and(|speed| speed > tolerance.speed_max) {
            return;
        }
        let off = |due: Utc| at.since(due).max(due.since(at));
        let here = |(stop, due): &(usize, Utc)| {
            let metres = round.stops[*stop].position.to_wgs84().distance_m(position.to_wgs84());
            off(*due) <= tolerance.skipped
                && metres.is_some_and(|m| m <= f64::from(tolerance.near_m))
        };
        let awaited = self.awaited.iter().enumerate().filter_map(|(i, due)| Some((i, (*due)?)));
        let Some((stop, due)) = awaited.filter(here).min_by_key(|(_, due)| off(*due)) else {
            return;
        };
        if due.since(at) > tolerance.early {
            self.early[stop] = Some(at);
            return;
        }
        let outcome = if at.since(due) > tolerance.late { Outcome::Late } else { Outcome::Served };
        visits.push(Visit { stop, due, came: Some(at), outcome });
        self.early[stop] = None;
        self.awaited[stop] = after(round, stop, due);
    }

    /// When [`Progress::pass`] has the next stop to skip.
    #[must_use]
    pub fn deadline(&self, round: &Round) -> Option<Utc> {
        self.awaited.iter().flatten().min().map(|due| *due + round.tolerance.skipped)
    }
}

/// Stops that are due this much later belong to another round.
const ROUND_APART: Span = Span::from_mins(4 * 60);

/// A round as far as it is decided, and at its end the data of `route.round`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tally {
    from: Utc,
    until: Utc,
    stops: u32,
    served: u32,
    early: u32,
    late: u32,
    skipped: u32,
}

/// What became known of a round.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum RoundNews {
    /// How a stop went, and the round so far.
    Stop(Visit, Tally),
    /// The round is over.
    Over(Tally),
}

/// A vehicle's rounds, one after the other.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct RoundLog {
    progress: Progress,
    tally: Option<Tally>,
}

impl Tally {
    /// Stops that were skipped, were served late, and were served early.
    pub(crate) fn faults(&self) -> [u32; 3] {
        [self.skipped, self.late, self.early]
    }

    fn add(&mut self, visit: &Visit) {
        self.until = self.until.max(visit.due);
        self.stops += 1;
        *match visit.outcome {
            Outcome::Served => &mut self.served,
            Outcome::Early => &mut self.early,
            Outcome::Late => &mut self.late,
            Outcome::Skipped => &mut self.skipped,
        } += 1;
    }
}

impl RoundLog {
    /// The vehicle is at a place.
    pub(crate) fn take(
        &mut self,
        round: &Round,
        position: Position,
        speed: Option<MillimetresPerSecond>,
        at: Utc,
        news: &mut Vec<RoundNews>,
    ) {
        let mut visits = vec![];
        self.progress.take(round, position, speed, at, &mut visits);
        self.tell(visits, news);
    }

    /// Time has come to `now`.
    pub(crate) fn pass(&mut self, round: &Round, now: Utc, news: &mut Vec<RoundNews>) {
        let mut visits = vec![];
        self.progress.pass(round, now, &mut visits);
        self.tell(visits, news);
    }

    /// When [`RoundLog::pass`] has something to do; `None` before the first look.
    pub(crate) fn deadline(&self, round: &Round) -> Option<Utc> {
        self.progress.deadline(round)
    }

    fn tell(&mut self, visits: Vec<Visit>, news: &mut Vec<RoundNews>) {
        for visit in visits {
            let (from, until) = (visit.due, visit.due);
            let tally = self.tally.get_or_insert(Tally {
                from,
                until,
                stops: 0,
                served: 0,
                early: 0,
                late: 0,
                skipped: 0,
            });
            tally.add(&visit);
            news.push(RoundNews::Stop(visit, tally.clone()));
        }
        let next = self.progress.awaited.iter().flatten().min();
        let over = |tally: &Tally| next.is_none_or(|next| next.since(tally.until) >= ROUND_APART);
        if let Some(tally) = self.tally.take_if(|tally| over(tally)) {
            news.push(RoundNews::Over(tally));
        }
    }
}

/// The planned time that follows `due`: a stop's window is a minute long.
fn after(round: &Round, stop: usize, due: Utc) -> Option<Utc> {
    round.due(stop, due + Span::from_mins(1))
}

#[cfg(test)]
mod tests {
    use jiff::tz::TimeZone;

    use super::*;
    use crate::place::Datum;

    const NOON: i64 = 1_780_574_400_000; // Thursday 2026-06-04T12:00:00Z

    fn minute(m: u64) -> Utc {
        Utc::from_ms(NOON) + Span::from_mins(m)
    }

    fn stop(n: u16) -> Stop {
        Stop {
            route: "r".into(),
            name: format!("stop {n}"),
            position: Position::from_degrees(23.0 + f64::from(n) * 0.01, 120.1, Datum::Wgs84)
                .unwrap(),
            due: Window::new([true; 7], 12 * 60 + n * 10, 12 * 60 + n * 10 + 1).unwrap(),
        }
    }

    fn round(stops: u16) -> Round {
        let stops = (1..=stops).map(stop).collect();
        Round { stops, tolerance: Tolerance::default(), zone: TimeZone::UTC }
    }

    #[test]
    fn every_stop_has_one_outcome_each_day() {
        let round = round(4);
        let mut progress = Progress::default();
        let mut visits = vec![];
        progress.pass(&round, minute(0), &mut visits);
        let kmh = MillimetresPerSecond::from_kmh;
        let drive = [(0, 2, 3), (1, 20, 3), (1, 21, 0), (2, 45, 0), (3, 40, 40)];
        for (n, m, speed) in drive {
            let position = round.stops[n].position;
            progress.take(&round, position, Some(kmh(speed)), minute(m), &mut visits);
        }
        progress.pass(&round, minute(24 * 60), &mut visits);
        let outcomes: Vec<_> = visits.iter().map(|v| (v.stop, v.outcome)).collect();
        let expected =
            [(1, Outcome::Served), (2, Outcome::Late), (0, Outcome::Early), (3, Outcome::Skipped)];
        assert_eq!(outcomes, expected);
        // The next day begins anew.
        let before = visits.len();
        progress.take(&round, round.stops[0].position, None, minute(24 * 60 + 10), &mut visits);
        assert_eq!((visits.len() - before, visits[before].outcome), (1, Outcome::Served));
        assert_eq!(progress.deadline(&round), Some(minute(25 * 60 + 20)));
    }

    #[test]
    fn what_was_due_before_the_box_began_is_not_judged() {
        let round = round(2);
        let mut visits = vec![];
        Progress::default().pass(&round, minute(15), &mut visits);
        Progress::default().pass(&round, minute(600), &mut visits);
        assert_eq!(visits, []);
    }
}
