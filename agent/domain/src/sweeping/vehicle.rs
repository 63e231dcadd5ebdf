//! The state of a vehicle.
//!
//! * `belief`: which fixes are believed.
//! * `motion`: whether it stands, and how far it has gone.
//! * `facts`: what the rules are told.
//! * `trip`: trips and shifts.
//! * `view`: what is published.

mod belief;
mod facts;
mod motion;
mod trip;
mod view;

use serde::{Deserialize, Serialize};

pub(crate) use self::belief::Arrival;
use self::belief::{Belief, Verdict};
use self::facts::{Facts, Told};
use self::motion::{Motion, Moved};
pub(crate) use self::trip::Over;
pub use self::trip::Travelled;
use self::trip::{Step as Travelling, Travels};
pub(crate) use self::view::PositionView;
pub use self::view::VehicleState;
use super::collection::{RoundLog, RoundNews};
use super::path::{Path, Piece, Step};
use super::track::{Doing, Sent, TrackLog};
use crate::place::Position;
use crate::sample::{Fix, Missing, NoData, Quantity};
use crate::site::{Vehicle, VehicleKind};
use crate::time::{ClockQuality, Moment, Monotonic, Now, Span};
use crate::units::MillimetresPerSecond;

/// What a vehicle does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Activity {
    /// Sweeping, washing, collecting.
    Working,
    /// Driving without working.
    Travelling,
    /// Standing, for a short while.
    Idle,
    /// Standing for long.
    Parked,
    /// No position.
    #[default]
    Unknown,
}

impl Activity {
    /// Whether the vehicle goes somewhere.
    const fn moves(self) -> bool {
        matches!(self, Activity::Working | Activity::Travelling)
    }
}

/// One vehicle.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Tracker {
    activity: Activity,
    since: Option<Moment>,
    last: Option<(Fix, Moment)>,
    /// From a brush, pump or suction input; `None` where the vehicle has none.
    working: Option<bool>,
    ignition: Option<bool>,
    fixes: u64,
    reason: Option<NoData>,
    heard: Option<Moment>,
    published: Option<Moment>,
    belief: Belief,
    motion: Motion,
    facts: Facts,
    travels: Travels,
    rounds: RoundLog,
    /// The way at work, for the coverage of roads.
    path: Path,
    /// The same of fixes that came late.
    past: Path,
    log: TrackLog,
    /// What was not stored since then.
    #[serde(skip)]
    unsaved_since: Option<Moment>,
}

/// What a report or a deadline changed.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct Change {
    pub(crate) state: bool,
    /// The report was there before: nothing has changed.
    pub(crate) duplicate: bool,
    /// Nothing changed that is worth a write of its own.
    pub(crate) keeps: bool,
    pub(crate) facts: Told,
    /// Pieces of way that are complete now.
    pub(crate) pieces: Vec<Piece>,
    /// Trips and shifts that are over.
    pub(crate) over: Vec<Over>,
    pub(crate) rounds: Vec<RoundNews>,
    /// A piece of the track is to be sent.
    pub(crate) track: Option<Sent>,
}

/// No receiver at rest reports this.
const SURELY_MOVES: MillimetresPerSecond = MillimetresPerSecond::from_kmh(3);
/// While nothing else changes, a moving vehicle's state is published at most this often; the track
/// itself travels as telemetry.
const PUBLISH_EVERY: Span = Span::from_secs(5);
/// While nothing else changes, a moving vehicle is stored at most this often: a power cut takes less
/// than this of its track.
const STORE_EVERY: Span = Span::from_secs(15);

impl Tracker {
    /// What the vehicle does.
    #[must_use]
    pub fn activity(&self) -> Activity {
        self.activity
    }

    /// Valid positions so far.
    #[must_use]
    pub fn fixes(&self) -> u64 {
        self.fixes
    }

    /// The way so far in millimetres, in legs between positions.
    #[must_use]
    pub fn distance_mm(&self) -> u64 {
        self.motion.distance_mm
    }

    /// When the vehicle was last heard of.
    #[must_use]
    pub fn heard(&self) -> Option<Moment> {
        self.heard
    }

    /// Its last valid position.
    #[must_use]
    pub fn position(&self) -> Option<Position> {
        self.last.map(|(fix, _)| fix.position)
    }

    /// Where it stands, and since when; `None`: it moves, or nobody knows.
    pub(crate) fn stands_since(&self) -> Option<(Position, Moment)> {
        self.position().zip(self.motion.standing_since())
    }

    /// Takes a report.
    pub(crate) fn report(
        &mut self,
        quantities: &[Quantity],
        arrival: Arrival,
        v: &Vehicle,
    ) -> Change {
        let mut change = Change::default();
        for quantity in quantities {
            match *quantity {
                Quantity::Working(yes) => self.working = Some(yes),
                Quantity::Ignition(on) => self.ignition = Some(on),
                _ => {}
            }
        }
        let fix = quantities.iter().find_map(|quantity| match *quantity {
            Quantity::Fix(fix) => Some(fix),
            _ => None,
        });
        let verdict = fix.map(|fix| (fix, self.belief.judge(self.last, fix, arrival)));
        match verdict {
            Some((_, Verdict::Duplicate)) => {
                (change.duplicate, change.keeps) = (true, true);
                return change;
            }
            Some((fix, Verdict::Past)) => {
                self.remember(&fix, arrival.at, v, &mut change);
                return change;
            }
            Some((fix, Verdict::Present)) => self.moved(&fix, arrival, v, &mut change),
            Some((fix, Verdict::Elsewhere)) => {
                self.motion.forget_place();
                self.moved(&fix, arrival, v, &mut change);
            }
            Some((_, Verdict::Jump)) | None => {
                self.heard = Some(arrival.at);
                self.judge(arrival.at, v, &mut change);
            }
        }
        let lost = quantities.iter().find_map(|quantity| match *quantity {
            Quantity::Absent(absent) if absent.what == Missing::Fix => Some(absent.why),
            _ => None,
        });
        if let Some(why) = lost.filter(|_| fix.is_none()) {
            self.lose(why, arrival.at, &mut change);
        }
        self.finish(arrival.at, v, &mut change);
        change
    }

    /// A fix of the past: the roads that were swept there count, the present stays as it is.
    fn remember(&mut self, fix: &Fix, at: Moment, v: &Vehicle, change: &mut Change) {
        self.fixes += 1;
        let works = fix.speed.is_some_and(|speed| self.works(speed, v));
        self.past.take(step(fix, at), works, &mut change.pieces);
    }

    fn moved(&mut self, fix: &Fix, arrival: Arrival, v: &Vehicle, change: &mut Change) {
        let Arrival { at, now, .. } = arrival;
        self.heard = Some(at);
        self.fixes += 1;
        self.reason = None;
        let before = self.activity;
        let moved = self.motion.take(fix, at);
        self.last = Some((*fix, at));
        self.become_(self.doing(at, &moved, v), at, change);
        let works = self.activity == Activity::Working;
        let too_fast =
            self.working == Some(true) && fix.speed.is_some_and(|speed| speed > v.work_speed_max);
        let position = fix.position.to_wgs84();
        self.path.take(step(fix, at), works, &mut change.pieces);
        let stands = self.motion.standing_since().is_some();
        let doing = Doing { works, stands, too_fast };
        self.log.take(position, at.utc, doing, v.duty.track_error_m());
        let travelling = Travelling { moved, at, before, too_fast };
        self.travels.take(position, &travelling, &self.motion, v, &mut change.over);
        if let Some(round) = v.duty.round.as_ref().filter(|_| at.clock > ClockQuality::Unset) {
            self.rounds.take(round, position, moved.speed, at.utc, &mut change.rounds);
        }
        let here = facts::Now {
            fix,
            at,
            motion: &self.motion,
            working: self.working,
            ignition: self.ignition,
        };
        self.facts.take(&here, v, &mut change.facts);
        if now.utc.since(at.utc) >= v.stale_after {
            // It was there a long time ago: where it is now nobody knows.
            self.lose(NoData::Silent, at, change);
        }
    }

    /// What a vehicle does that has moved so.
    fn doing(&self, at: Moment, moved: &Moved, v: &Vehicle) -> Activity {
        let rested = self.motion.has_rested(v.parked_after, at);
        let stands = self.motion.standing_since().is_some();
        // A receiver at rest may report the speed of a slow sweeper: there only a signal is believed.
        let parked = rested && moved.speed.is_none_or(|speed| speed < SURELY_MOVES);
        match moved.speed {
            Some(speed)
                if !stands && self.works(speed, v) && (!parked || self.working.is_some()) =>
            {
                Activity::Working
            }
            _ if parked => Activity::Parked,
            _ if stands => Activity::Idle,
            Some(_) => Activity::Travelling,
            // A receiver that gives no speed leaves what was.
            None if self.activity == Activity::Unknown => Activity::Travelling,
            None => self.activity,
        }
    }

    /// By the signal of the working parts where there is one, else by a sweeper's speed.
    fn works(&self, speed: MillimetresPerSecond, v: &Vehicle) -> bool {
        let slow = speed <= v.work_speed_max;
        match self.working {
            Some(signal) => signal && slow,
            None => slow && matches!(v.kind, VehicleKind::Sweeper | VehicleKind::Washer),
        }
    }

    /// A signal came without a position.
    fn judge(&mut self, at: Moment, v: &Vehicle, change: &mut Change) {
        if self.activity == Activity::Unknown {
            return;
        }
        if let Some((fix, _)) = self.last {
            let moved = Moved { speed: fix.speed, ..Moved::default() };
            self.become_(self.doing(at, &moved, v), at, change);
        }
        if self.activity != Activity::Working {
            self.path.end(&mut change.pieces);
        }
    }

    fn become_(&mut self, activity: Activity, at: Moment, change: &mut Change) {
        if self.activity != activity {
            self.activity = activity;
            self.since = Some(at);
            change.state = true;
            if activity == Activity::Parked {
                self.log.end();
            }
        }
    }

    /// Whether what has changed is to be told and stored now.
    fn finish(&mut self, at: Moment, v: &Vehicle, change: &mut Change) {
        let due = self.published.is_none_or(|p| at.since(p) >= PUBLISH_EVERY);
        change.state |= due && self.activity != Activity::Unknown;
        if change.state {
            self.published = Some(at);
        }
        let rests = matches!(self.activity, Activity::Parked | Activity::Unknown);
        if rests || self.log.is_due(at.utc) {
            change.track = self.log.send(v.duty.track_error_m());
        }
        let since = *self.unsaved_since.get_or_insert(at);
        let told = !change.over.is_empty() || !change.rounds.is_empty() || change.track.is_some();
        change.keeps = !told && at.since(since) < STORE_EVERY;
        if !change.keeps {
            self.unsaved_since = None;
        }
    }

    /// When [`Tracker::settle`] has something to do, seen from `now`.
    pub(crate) fn due(&self, now: Now, v: &Vehicle) -> Option<Monotonic> {
        let rest = self.motion.rest().filter(|_| self.activity == Activity::Idle);
        let parked = rest.map(|(_, since)| since.deadline(v.parked_after, now));
        let trip = self.travels.due(&self.motion, v, now);
        let unsaved = self.unsaved_since.map(|since| since.deadline(STORE_EVERY, now));
        let known = now.clock > ClockQuality::Unset;
        let stop = v.duty.round.as_ref().filter(|_| known).map(|round| {
            match self.rounds.deadline(round) {
                Some(due) if due > now.utc => now.at(due).monotonic,
                _ => now.monotonic,
            }
        });
        [parked, trip, unsaved, stop, self.log.due(now)].into_iter().flatten().min()
    }

    /// A deadline came: a standing vehicle may be a parked one, a trip or a stop may be over.
    pub(crate) fn settle(&mut self, at: Moment, v: &Vehicle) -> Change {
        let mut change = Change::default();
        if self.activity == Activity::Idle {
            self.judge(at, v, &mut change);
        }
        self.travels.settle(&self.motion, v, at, &mut change.over);
        if let Some(round) = v.duty.round.as_ref().filter(|_| at.clock > ClockQuality::Unset) {
            self.rounds.pass(round, at.utc, &mut change.rounds);
        }
        if self.log.is_due(at.utc) {
            change.track = self.log.send(v.duty.track_error_m());
        }
        self.unsaved_since = None;
        change
    }

    /// Nothing was heard for too long.
    pub(crate) fn silent(&mut self, at: Moment, v: &Vehicle) -> Change {
        let mut change = Change::default();
        self.lose(NoData::Silent, at, &mut change);
        self.finish(at, v, &mut change);
        change
    }

    /// There is no position any more.
    fn lose(&mut self, why: NoData, at: Moment, change: &mut Change) {
        change.state |= self.reason != Some(why);
        self.reason = Some(why);
        self.motion.lose();
        self.log.end();
        if why != NoData::Silent {
            self.facts.lose(at, &mut change.facts);
        }
        self.become_(Activity::Unknown, at, change);
    }
}

fn step(fix: &Fix, at: Moment) -> Step {
    let accuracy_mm = fix.accuracy.map(|mm| mm.0);
    Step { position: fix.position.to_wgs84(), at: at.utc, accuracy_mm }
}

#[cfg(test)]
mod tests;
