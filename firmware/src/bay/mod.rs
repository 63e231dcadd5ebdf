//! Whether a vehicle stands on the bay, told from the magnetic field above it.
//!
//! Iron bends the earth's field. The detector knows the field of the empty bay (the *baseline*) and
//! follows how far the field is from it now:
//!
//! ```text
//!            differs or moves                 still and differs
//!  Vacant ───────────────────► Arriving ───────────────────────► Occupied
//!    ▲  ▲                          │                              ▲   │
//!    │  └──────────────────────────┘                              │   │ differs or moves
//!    │        still and as before                                 │   ▼
//!    └──────────────────────────────────────────────────────────  Leaving
//!              still and differs          (still and as before: Occupied)
//! ```
//!
//! * The baseline follows slow drift, and only while the bay is vacant and the field is still; what the
//!   temperature does to it is learnt, and holds under a parked vehicle too (`baseline`).
//! * What was there before a movement and is there after it belongs to the surroundings (`rest`). On a vacant
//!   bay the baseline takes it up as soon as the movement is over: a vehicle on the next bay.
//! * To count as occupied the field must come farther from the baseline than to stay so (hysteresis). Where it
//!   was very far in between, something moved above the sensor, and it need not stay as far.
//! * When a vehicle leaves, it is enough that the movement takes away what the vehicle brought (its
//!   *signature*); before the empty bay is known for sure, that more than half of that is gone. The neighbour
//!   who came meanwhile stays.
//! * A new state counts when the field has kept still for the settle time. It is dated back to when the
//!   field first looked that way.
//! * The first baseline is what is there when a new node is switched on, or told to recalibrate. Should a
//!   vehicle stand there, the mistake is found: the empty bay's is the field that comes again (`plateaus`). A
//!   street that has changed for good is found in the same way.
//! * Where a range finder looks up from the node, it is asked before a new state counts. What it says
//!   outweighs the field; covered, it says nothing.

mod baseline;
mod plateaus;
mod rest;
mod second;
mod window;

#[cfg(test)]
mod tests;

use drivers::{Field, Range};
use wire::{BaySettings, BayState};

use self::baseline::Baseline;
use self::plateaus::Plateaus;
use self::rest::{Rest, difference, sum};
use self::second::Second;
use self::window::Window;
use crate::record::Learnt;

/// So many readings may fail in a row before the sensor counts as faulty.
const MISSES_MAX: u8 = 8;
/// A field that never keeps still must not leave the bay undecided for longer than this.
const DOUBT_MAX_MS: u64 = 60_000;
const ADAPT_EVERY_MS: u64 = 5_000;
/// So long after a movement the field is at rest, and what the movement has changed stays.
const REST_MS: u64 = 30_000;
/// A field that was half as far away again as it must be to arrive was bent by something above the sensor; as a
/// fraction, squared.
const ABOVE: i64 = 9;
const ABOVE_OF: i64 = 4;
/// Beyond this no axis of a magnetometer can be: 2 mT, in nanotesla.
const PLAUSIBLE: core::ops::RangeInclusive<i32> = -2_000_000..=2_000_000;
/// So often in all must a field of rest be seen to be taken for that of the empty bay.
const RETURNS: u8 = 2;
/// The same where a vehicle was seen to leave, and the field to be as before it came.
const RETURNS_IF_CONFIRMED: u8 = 4;
/// After the range finder has overruled the field it is not asked again for so long.
const OVERRULED_MS: u64 = 60_000;

/// Where the detector stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// Nothing is known yet.
    Starting,
    /// Nothing stands there.
    Vacant,
    /// Vacant so far; something moves or has come.
    Arriving,
    /// A vehicle stands there.
    Occupied,
    /// Occupied so far; something moves or has gone.
    Leaving,
    /// The sensor does not answer.
    Faulty,
}

/// A new state of the bay.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Change {
    pub(crate) state: BayState,
    /// Since when.
    pub(crate) at_ms: u64,
    /// How long the state before lasted, where its beginning was seen.
    pub(crate) previous_s: Option<u32>,
}

/// The detector.
#[derive(Debug)]
pub(crate) struct Bay {
    window: Window,
    baseline: Option<Baseline>,
    plateaus: Plateaus,
    phase: Phase,
    misses: u8,
    /// When the present phase of not knowing began.
    started_ms: u64,
    /// Since when nothing moves.
    still_since: Option<u64>,
    /// Since when the field looks like the other state.
    differs_since: Option<u64>,
    /// When the present state began, if that was seen.
    began_ms: Option<u64>,
    /// What the vehicle that stands there does to the field; before the first state, what stood there before the
    /// restart.
    signature: Option<Field>,
    /// The field before the latest movement; none before the first state.
    rest: Option<Rest>,
    adapted_ms: u64,
    second: Second,
    overruled_until: u64,
    /// The latest reading is unlike those before.
    is_alert: bool,
}

/// One reading with what it is judged by.
#[derive(Debug, Clone, Copy)]
struct Now<'s> {
    mean: Field,
    /// At the sensor, in thousandths of a degree Celsius; `None` without a working thermometer.
    mc: Option<i32>,
    settings: &'s BaySettings,
    ms: u64,
}

impl Bay {
    pub(crate) fn new(learnt: Option<Learnt>, has_range_finder: bool, now: u64) -> Bay {
        let learnt = learnt.filter(|learnt| is_plausible(&learnt.field));
        let standing = learnt.and_then(|learnt| learnt.standing).filter(is_plausible);
        Bay {
            window: Window::default(),
            baseline: learnt.map(Baseline::recall),
            plateaus: Plateaus::default(),
            phase: Phase::Starting,
            misses: 0,
            started_ms: now,
            still_since: None,
            differs_since: None,
            began_ms: None,
            signature: standing,
            rest: None,
            adapted_ms: now,
            second: if has_range_finder { Second::NotAsked } else { Second::NotFitted },
            overruled_until: now,
            is_alert: true,
        }
    }

    fn restart(&mut self, learnt: Option<Learnt>, now: u64) {
        *self = Bay::new(learnt, self.second != Second::NotFitted, now);
    }

    /// Learns the baseline anew from what is there now.
    pub(crate) fn recalibrate(&mut self, now: u64) {
        self.restart(None, now);
    }

    pub(crate) const fn phase(&self) -> Phase {
        self.phase
    }

    /// What is known of the empty bay.
    pub(crate) fn learnt(&self) -> Option<Learnt> {
        self.baseline.map(|baseline| baseline.learnt(self.signature))
    }

    /// The field of the empty bay at a temperature.
    pub(crate) fn empty_field(&self, mc: Option<i32>) -> Option<Field> {
        self.baseline.map(|baseline| baseline.at(mc))
    }

    /// The state as it was last reported; `None` as long as nothing is known.
    pub(crate) const fn state(&self) -> Option<BayState> {
        match self.phase {
            Phase::Starting => None,
            Phase::Vacant | Phase::Arriving => Some(BayState::Free),
            Phase::Occupied | Phase::Leaving => Some(BayState::Occupied),
            Phase::Faulty => Some(BayState::Fault),
        }
    }

    /// Whether it is enough to look now and then: nothing moves, and nothing is in doubt.
    pub(crate) const fn is_at_rest(&self) -> bool {
        !self.is_alert && matches!(self.phase, Phase::Vacant | Phase::Occupied)
    }

    /// Takes a reading of the field at a temperature; `None` when the sensor did not answer.
    pub(crate) fn read(
        &mut self,
        reading: Option<Field>,
        mc: Option<i32>,
        settings: &BaySettings,
        ms: u64,
    ) -> Option<Change> {
        self.is_alert = true;
        let Some(field) = reading.filter(is_plausible) else { return self.miss(ms) };
        self.misses = 0;
        if self.phase == Phase::Faulty {
            self.restart(self.learnt(), ms);
        }
        self.window.push(field);
        let (mean, spread) = self.window.full()?;
        self.is_alert = field.distance(mean) > u32::from(settings.moving_nt) / 2;
        let moves = spread > i32::from(settings.moving_nt);
        if moves {
            self.still_since = None;
        } else {
            self.still_since.get_or_insert(ms);
        }
        if let Some(rest) = &mut self.rest {
            rest.see(field, moves);
        }
        let now = Now { mean, mc, settings, ms };
        match self.state() {
            Some(state) => self.follow(state == BayState::Occupied, now),
            None => self.begin(now),
        }
    }

    /// Whether the range finder is to be read.
    pub(crate) const fn wants_range(&self) -> bool {
        self.second.is_asked()
    }

    /// Takes what the range finder sees; `None` when it failed.
    pub(crate) fn range(&mut self, range: Option<Range>) {
        self.second.say(range);
    }

    fn miss(&mut self, now: u64) -> Option<Change> {
        self.misses = self.misses.saturating_add(1);
        if self.misses < MISSES_MAX || self.phase == Phase::Faulty {
            return None;
        }
        self.restart(self.learnt(), now);
        self.phase = Phase::Faulty;
        Some(Change { state: BayState::Fault, at_ms: now, previous_s: None })
    }

    /// The first decision after a start, a fault or a recalibration.
    fn begin(&mut self, now: Now<'_>) -> Option<Change> {
        if !self.is_settled(now) && now.ms.saturating_sub(self.started_ms) < DOUBT_MAX_MS {
            return None;
        }
        let word = self.second.word(now.ms)?;
        if self.baseline.is_none() && word == Some(true) {
            // Nobody knows the empty bay, but it is not this.
            return Some(self.enter(true, None, now));
        }
        let baseline = self.baseline.get_or_insert(Baseline::new(now.mean, now.mc));
        let distance = baseline.distance_squared(now.mean, now.mc);
        let change = difference(now.mean, baseline.at(now.mc));
        // What stood there before is still there, if that is the better explanation; a neighbour may have come.
        let known = self.signature.filter(|vehicle| distance_squared(change, *vehicle) < distance);
        let needed = if known.is_some() { now.settings.leave_nt } else { now.settings.arrive_nt };
        let occupied = word.unwrap_or(distance > squared(needed));
        let change = self.enter(occupied, None, now);
        self.signature = known.filter(|_| occupied).or(self.signature);
        Some(change)
    }

    fn follow(&mut self, occupied: bool, now: Now<'_>) -> Option<Change> {
        let Some(baseline) = self.baseline else { return self.wait_until_gone(now) };
        let distance = baseline.distance_squared(now.mean, now.mc);
        let settled = self.is_settled(now);
        if self.looks_occupied(occupied, distance, now) == occupied {
            self.differs_since = None;
            self.phase = phase(occupied, settled);
            return if settled { self.stay(occupied, now) } else { None };
        }
        let since = *self.differs_since.get_or_insert(now.ms);
        self.phase = phase(occupied, false);
        let lasted = now.ms.saturating_sub(since);
        let long_enough = settled && lasted >= now.settings.settle_ms.into();
        if !(long_enough || lasted >= DOUBT_MAX_MS) || now.ms < self.overruled_until {
            return None;
        }
        if self.second.word(now.ms)? == Some(occupied) {
            self.overrule(occupied, now);
            return None;
        }
        if occupied {
            let is_as_before = distance < squared(now.settings.leave_nt);
            let baseline = if is_as_before { baseline.confirmed() } else { baseline };
            self.baseline = Some(baseline.begun_anew(now.mean, now.mc));
        }
        Some(self.enter(!occupied, Some(since), now))
    }

    /// Nothing has changed and nothing moves.
    fn stay(&mut self, occupied: bool, now: Now<'_>) -> Option<Change> {
        let rested = self.still_since.is_some_and(|since| now.ms.saturating_sub(since) >= REST_MS);
        if rested && self.rest.is_some_and(|rest| rest.has_moved()) {
            return self.come_to_rest(occupied, now);
        }
        if now.ms.saturating_sub(self.adapted_ms) >= ADAPT_EVERY_MS {
            self.adapted_ms = now.ms;
            if let Some(rest) = self.rest.as_mut().filter(|rest| !rest.has_moved()) {
                rest.follow(now.mean);
            }
            if let Some(baseline) = self.baseline.as_mut().filter(|_| !occupied) {
                baseline.follow(now.mean, now.mc);
            }
        }
        None
    }

    /// A movement is over, and the bay is what it was.
    fn come_to_rest(&mut self, occupied: bool, now: Now<'_>) -> Option<Change> {
        let baseline = self.baseline.as_mut()?;
        let change = self.rest.replace(Rest::new(now.mean))?.change(now.mean);
        if !occupied {
            baseline.step_to(now.mean, now.mc);
            return None;
        }
        // Squared: to three quarters of its length. A smaller change is a neighbour's, a larger one another vehicle.
        if self.signature.is_none_or(|s| length_squared(change) > length_squared(s) * 9 / 16) {
            self.signature = Some(difference(now.mean, baseline.at(now.mc)));
        }
        let needed = if baseline.is_confirmed() { RETURNS_IF_CONFIRMED } else { RETURNS };
        if self.plateaus.returns(now.mean, now.settings) < needed {
            return None;
        }
        // What was taken for the empty bay was a vehicle, or the street has changed: this is the empty bay.
        *baseline = baseline.begun_anew(now.mean, now.mc).confirmed();
        let since = self.still_since;
        Some(self.enter(false, since, now))
    }

    /// Occupied by the range finder's word, and the field of the empty bay was never seen: what is there
    /// after the next movement is asked about.
    fn wait_until_gone(&mut self, now: Now<'_>) -> Option<Change> {
        if !self.is_settled(now) {
            self.phase = Phase::Leaving;
            return None;
        }
        if self.phase == Phase::Leaving {
            if self.second.word(now.ms)? == Some(false) {
                self.baseline = Some(Baseline::new(now.mean, now.mc).confirmed());
                return Some(self.enter(false, self.still_since, now));
            }
            self.phase = Phase::Occupied;
        }
        None
    }

    /// The range finder sees no change. A field that differs above an empty bay is the surroundings'; one that
    /// is back under a vehicle is a vehicle with little iron.
    fn overrule(&mut self, occupied: bool, now: Now<'_>) {
        self.differs_since = None;
        self.overruled_until = now.ms.saturating_add(OVERRULED_MS);
        if !occupied {
            self.baseline = Some(Baseline::new(now.mean, now.mc).confirmed());
        }
    }

    /// What the field looks like at `distance`, seen from the present state.
    fn looks_occupied(&self, occupied: bool, distance: i64, now: Now<'_>) -> bool {
        let (arrive, leave) = (squared(now.settings.arrive_nt), squared(now.settings.leave_nt));
        if !occupied {
            let far = arrive * ABOVE / ABOVE_OF;
            let was_above = self.rest.is_some_and(|rest| rest.farthest_squared() > far);
            return distance > arrive || distance > leave && was_above;
        }
        let Some(((rest, brought), baseline)) = self.rest.zip(self.signature).zip(self.baseline)
        else {
            return distance >= leave;
        };
        // Squared: to a third of its length.
        let change = rest.change(now.mean);
        let is_taken_away = length_squared(sum(change, brought)) < length_squared(brought) / 9;
        let held = difference(difference(now.mean, baseline.at(now.mc)), change);
        let is_mostly_gone = distance < length_squared(held) / 9;
        distance >= leave && !is_taken_away && !is_mostly_gone
    }

    /// A new state, which began at `since` if that was seen.
    fn enter(&mut self, occupied: bool, since: Option<u64>, now: Now<'_>) -> Change {
        let at_ms = since.unwrap_or(now.ms);
        let previous = since.zip(self.began_ms).map(|(end, begin)| end.saturating_sub(begin));
        self.began_ms = since;
        self.differs_since = None;
        self.phase = phase(occupied, true);
        self.rest = Some(Rest::new(now.mean));
        self.adapted_ms = now.ms;
        let empty = self.baseline.filter(|_| occupied).map(|baseline| baseline.at(now.mc));
        self.signature = empty.map(|empty| difference(now.mean, empty));
        if occupied {
            self.plateaus.returns(now.mean, now.settings);
        } else {
            self.plateaus = Plateaus::default();
        }
        Change {
            state: if occupied { BayState::Occupied } else { BayState::Free },
            at_ms,
            previous_s: previous.map(|ms| u32::try_from(ms / 1000).unwrap_or(u32::MAX)),
        }
    }

    fn is_settled(&self, now: Now<'_>) -> bool {
        let settle = u64::from(now.settings.settle_ms);
        self.still_since.is_some_and(|since| now.ms.saturating_sub(since) >= settle)
    }
}

const fn phase(occupied: bool, settled: bool) -> Phase {
    match (occupied, settled) {
        (false, true) => Phase::Vacant,
        (false, false) => Phase::Arriving,
        (true, true) => Phase::Occupied,
        (true, false) => Phase::Leaving,
    }
}

fn is_plausible(field: &Field) -> bool {
    [field.x, field.y, field.z].iter().all(|axis| PLAUSIBLE.contains(axis))
}

fn squared(nanotesla: u16) -> i64 {
    i64::from(nanotesla) * i64::from(nanotesla)
}

/// The square of the distance between two plausible fields, in nanotesla.
fn distance_squared(one: Field, other: Field) -> i64 {
    length_squared(difference(one, other))
}

/// The square of the length of a difference between plausible fields, in nanotesla.
fn length_squared(Field { x, y, z }: Field) -> i64 {
    [x, y, z].iter().map(|axis| i64::from(*axis).pow(2)).sum()
}
