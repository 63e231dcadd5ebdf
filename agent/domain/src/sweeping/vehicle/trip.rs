//! Trips and shifts: what a vehicle did between two rests, and between two long ones.
//!
//! A trip begins when the vehicle leaves the place where it rested and ends where it rests again for
//! `parked_after`, or where it was last seen before a silence of that length: a night in a garage joins
//! no two trips. A shift is the trips that are no further apart than `shift_ends_after`.

use serde::{Deserialize, Serialize};

use super::Activity;
use super::motion::{Motion, Moved};
use super::view::{PositionView, rounded};
use crate::place::Position;
use crate::site::Vehicle;
use crate::time::{ClockQuality, Moment, Monotonic, Now, Span, Utc};
use crate::units::MillimetresPerSecond;

/// A shorter way is no trip: a receiver at rest wanders that far.
const TRIP_MIN_MM: u64 = 100_000;
/// A longer pause between fixes is a time in which nobody saw the vehicle.
const SEEN_WITHIN: Span = Span::from_mins(2);

/// What was done, summed up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(super) struct Sums {
    way_mm: u64,
    worked_mm: u64,
    working: Span,
    travelling: Span,
    idle: Span,
    unseen: Span,
    overspeed: Span,
    fastest: MillimetresPerSecond,
}

impl Sums {
    fn add(&mut self, step: &Step) {
        let pause = step.moved.pause;
        self.way_mm += step.moved.way_mm;
        let did = match step.before {
            _ if pause > SEEN_WITHIN => &mut self.unseen,
            Activity::Working => &mut self.working,
            Activity::Travelling => &mut self.travelling,
            Activity::Idle | Activity::Parked => &mut self.idle,
            Activity::Unknown => &mut self.unseen,
        };
        *did = did.saturating_add(pause);
        if step.before == Activity::Working && pause <= SEEN_WITHIN {
            self.worked_mm += step.moved.way_mm;
        }
        if step.too_fast && pause <= SEEN_WITHIN {
            self.overspeed = self.overspeed.saturating_add(pause);
        }
        self.fastest = self.fastest.max(step.moved.speed.unwrap_or_default());
    }

    fn join(&mut self, other: &Sums) {
        self.way_mm += other.way_mm;
        self.worked_mm += other.worked_mm;
        for (mine, theirs) in [
            (&mut self.working, other.working),
            (&mut self.travelling, other.travelling),
            (&mut self.idle, other.idle),
            (&mut self.unseen, other.unseen),
            (&mut self.overspeed, other.overspeed),
        ] {
            *mine = mine.saturating_add(theirs);
        }
        self.fastest = self.fastest.max(other.fastest);
    }
}

/// One fix, for the sums.
#[derive(Debug, Clone, Copy)]
pub(super) struct Step {
    pub(super) moved: Moved,
    pub(super) at: Moment,
    /// What the vehicle did since the fix before.
    pub(super) before: Activity,
    /// Its parts worked, and it was too fast for them.
    pub(super) too_fast: bool,
}

/// A place with the time at which the vehicle was there.
type Seen = (Position, Moment);

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Open {
    from: Seen,
    sums: Sums,
    /// The sums, and the place, when it came to rest where it is now.
    here: (Seen, Sums),
    /// It has stood since it came here.
    stood: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct OpenShift {
    from: Moment,
    until: Moment,
    trips: u32,
    sums: Sums,
}

/// The trip and the shift that are going on.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Travels {
    trip: Option<Open>,
    shift: Option<OpenShift>,
    /// Before a trip: where it last stood, and what it has done since.
    lead: Option<(Seen, Sums)>,
    /// Where and when the vehicle was seen last.
    seen: Option<Seen>,
}

/// A trip or a shift that is over: the data of `vehicle.trip` and `vehicle.shift`.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Travelled {
    from: Utc,
    until: Utc,
    #[serde(skip_serializing_if = "Option::is_none")]
    start: Option<PositionView>,
    #[serde(skip_serializing_if = "Option::is_none")]
    end: Option<PositionView>,
    /// Of a shift.
    #[serde(skip_serializing_if = "Option::is_none")]
    trips: Option<u32>,
    distance_m: f64,
    worked_m: f64,
    working_s: u64,
    travelling_s: u64,
    idle_s: u64,
    unseen_s: u64,
    overspeed_s: u64,
    speed_max_kmh: f64,
    clock: ClockQuality,
}

impl Travelled {
    fn new((from, until): (Moment, Moment), sums: &Sums) -> Travelled {
        Travelled {
            from: from.utc,
            until: until.utc,
            start: None,
            end: None,
            trips: None,
            distance_m: rounded(sums.way_mm as f64 / 1000.0),
            worked_m: rounded(sums.worked_mm as f64 / 1000.0),
            working_s: sums.working.as_secs(),
            travelling_s: sums.travelling.as_secs(),
            idle_s: sums.idle.as_secs(),
            unseen_s: sums.unseen.as_secs(),
            overspeed_s: sums.overspeed.as_secs(),
            speed_max_kmh: rounded(sums.fastest.kmh()),
            clock: from.clock.min(until.clock),
        }
    }
}

/// What has ended.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Over {
    /// A trip.
    Trip(Travelled),
    /// A shift.
    Shift(Travelled),
}

impl Travels {
    /// Takes a fix that `motion` has taken already.
    pub(super) fn take(
        &mut self,
        position: Position,
        step: &Step,
        motion: &Motion,
        v: &Vehicle,
        over: &mut Vec<Over>,
    ) {
        let here = (position, step.at);
        let anew = step.moved.pause >= v.parked_after;
        if anew {
            // What lies between belongs to no trip: nobody saw it.
            self.end_trip_unseen(over);
        }
        match (&mut self.trip, &mut self.lead) {
            (Some(trip), _) => trip.sums.add(step),
            (None, Some((_, sums))) if step.before.moves() && !anew => sums.add(step),
            (None, lead) => *lead = Some((here, Sums::default())),
        }
        if self.trip.is_none() && step.moved.left {
            self.begin(here, v, over);
        }
        if let Some(trip) = &mut self.trip {
            trip.stood &= !step.moved.left;
            if !trip.stood {
                trip.here = (here, trip.sums);
                trip.stood = motion.standing_since().is_some();
            }
        }
        self.seen = Some(here);
        if motion.has_rested(v.parked_after, step.at) {
            self.end_trip(over);
        }
    }

    fn begin(&mut self, here: Seen, v: &Vehicle, over: &mut Vec<Over>) {
        let (from, sums) = self.lead.take().unwrap_or((here, Sums::default()));
        self.end_shift(from.1, v, over);
        self.trip = Some(Open { from, sums, here: (here, sums), stood: false });
    }

    /// Ends the trip where the vehicle came to rest.
    fn end_trip(&mut self, over: &mut Vec<Over>) {
        let Some(trip) = self.trip.take() else { return };
        let (end, sums) = trip.here;
        self.tell(trip.from, end, &sums, over);
    }

    /// Ends the trip where the vehicle was seen last.
    fn end_trip_unseen(&mut self, over: &mut Vec<Over>) {
        if let (Some(trip), Some(end)) = (self.trip.take(), self.seen) {
            self.tell(trip.from, end, &trip.sums, over);
        }
    }

    fn tell(&mut self, from: Seen, end: Seen, sums: &Sums, over: &mut Vec<Over>) {
        if sums.way_mm < TRIP_MIN_MM {
            return;
        }
        over.push(Over::Trip(Travelled {
            start: Some(PositionView::new(from.0, None)),
            end: Some(PositionView::new(end.0, None)),
            ..Travelled::new((from.1, end.1), sums)
        }));
        let shift = self.shift.get_or_insert_with(|| OpenShift {
            from: from.1,
            until: end.1,
            trips: 0,
            sums: Sums::default(),
        });
        shift.until = end.1;
        shift.trips += 1;
        shift.sums.join(sums);
    }

    fn end_shift(&mut self, at: Moment, v: &Vehicle, over: &mut Vec<Over>) {
        let long_ago = |shift: &OpenShift| at.since(shift.until) >= v.duty.shift_ends_after;
        if self.trip.is_some() || !self.shift.as_ref().is_some_and(long_ago) {
            return;
        }
        if let Some(shift) = self.shift.take() {
            let sums = Travelled::new((shift.from, shift.until), &shift.sums);
            over.push(Over::Shift(Travelled { trips: Some(shift.trips), ..sums }));
        }
    }

    /// When [`Travels::settle`] has something to end, seen from `now`.
    pub(super) fn due(&self, motion: &Motion, v: &Vehicle, now: Now) -> Option<Monotonic> {
        match (&self.trip, &self.shift) {
            (Some(_), _) => motion.rest().map(|(_, since)| since.deadline(v.parked_after, now)),
            (None, Some(shift)) => Some(shift.until.deadline(v.duty.shift_ends_after, now)),
            (None, None) => None,
        }
    }

    /// A deadline came.
    pub(super) fn settle(
        &mut self,
        motion: &Motion,
        v: &Vehicle,
        at: Moment,
        over: &mut Vec<Over>,
    ) {
        if motion.has_rested(v.parked_after, at) {
            self.end_trip(over);
        }
        self.end_shift(at, v, over);
    }
}
