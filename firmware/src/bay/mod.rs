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
//! * To count as occupied the field must come farther from the baseline than to stay so (hysteresis).
//!   When a vehicle leaves, it is enough that more than half of its signature is gone: the neighbour that
//!   came meanwhile stays.
//! * A new state counts when the field has kept still for the settle time. It is dated back to when the
//!   field first looked that way.
//! * The first baseline is what is there when a new node is switched on, or told to recalibrate. Should a
//!   vehicle stand there, the mistake is found: the empty bay's is the field that comes again (`plateaus`).
//! * Where a range finder looks up from the node, it is asked before a new state counts. What it says
//!   outweighs the field; covered, it says nothing.

mod baseline;
mod plateaus;
mod window;

#[cfg(test)]
mod tests;

use drivers::{Field, Range};
use wire::{BaySettings, BayState};

use self::baseline::Baseline;
use self::plateaus::Plateaus;
use self::window::Window;
use crate::record::Learnt;

/// So many readings may fail in a row before the sensor counts as faulty.
const MISSES_MAX: u8 = 8;
/// A field that never keeps still must not leave the bay undecided for longer than this.
const DOUBT_MAX_MS: u64 = 60_000;
const ADAPT_EVERY_MS: u64 = 5_000;
/// Beyond this no axis of a magnetometer can be: 2 mT, in nanotesla.
const PLAUSIBLE: core::ops::RangeInclusive<i32> = -2_000_000..=2_000_000;
/// A range finder that has not answered by then has no say.
const WORD_MS: u64 = 2_000;
/// What the range finder sees nearer than this is the underside of a vehicle: millimetres.
const UNDERSIDE_MM: u16 = 1_200;
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

/// The range finder's part in a decision.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Second {
    NotFitted,
    NotAsked,
    /// Asked, since when.
    Asked(u64),
    /// Its word: whether something is above. `None`: covered, or it failed.
    Said(Option<bool>),
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
    /// How far from the baseline the vehicle holds the field, squared.
    signature: i64,
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
        Bay {
            window: Window::default(),
            baseline: learnt.filter(|learnt| is_plausible(&learnt.field)).map(Baseline::recall),
            plateaus: Plateaus::default(),
            phase: Phase::Starting,
            misses: 0,
            started_ms: now,
            still_since: None,
            differs_since: None,
            began_ms: None,
            signature: 0,
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
        self.baseline.map(|baseline| baseline.learnt())
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
        if spread > i32::from(settings.moving_nt) {
            self.still_since = None;
        } else {
            self.still_since.get_or_insert(ms);
        }
        let now = Now { mean, mc, settings, ms };
        match self.state() {
            Some(state) => self.follow(state == BayState::Occupied, now),
            None => self.begin(now),
        }
    }

    /// Whether the range finder is to be read.
    pub(crate) const fn wants_range(&self) -> bool {
        matches!(self.second, Second::Asked(_))
    }

    /// Takes what the range finder sees; `None` when it failed.
    pub(crate) fn range(&mut self, range: Option<Range>) {
        if self.wants_range() {
            self.second = Second::Said(match range {
                Some(Range::Millimetres(mm)) => Some(mm <= UNDERSIDE_MM),
                Some(Range::NoTarget) => Some(false),
                Some(Range::TooClose) | None => None,
            });
        }
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
        let word = self.word(now.ms)?;
        if self.baseline.is_none() && word == Some(true) {
            // Nobody knows the empty bay, but it is not this.
            return Some(self.enter(true, 0, None, now.ms));
        }
        let baseline = self.baseline.get_or_insert(Baseline::new(now.mean, now.mc));
        let distance = baseline.distance_squared(now.mean, now.mc);
        let occupied = word.unwrap_or(distance > squared(now.settings.arrive_nt));
        Some(self.enter(occupied, distance, None, now.ms))
    }

    fn follow(&mut self, occupied: bool, now: Now<'_>) -> Option<Change> {
        let Some(baseline) = self.baseline else { return self.wait_until_gone(now) };
        let distance = baseline.distance_squared(now.mean, now.mc);
        let settled = self.is_settled(now);
        if self.looks_occupied(occupied, distance, now.settings) == occupied {
            self.differs_since = None;
            self.phase = phase(occupied, settled);
            return if settled { self.stay(occupied, distance, now) } else { None };
        }
        let since = *self.differs_since.get_or_insert(now.ms);
        self.phase = phase(occupied, false);
        let lasted = now.ms.saturating_sub(since);
        let long_enough = settled && lasted >= now.settings.settle_ms.into();
        if !(long_enough || lasted >= DOUBT_MAX_MS) || now.ms < self.overruled_until {
            return None;
        }
        if self.word(now.ms)? == Some(occupied) {
            self.overrule(occupied, now);
            return None;
        }
        if occupied && distance < squared(now.settings.leave_nt) {
            self.baseline = Some(baseline.confirmed());
        }
        Some(self.enter(!occupied, distance, Some(since), now.ms))
    }

    /// Nothing has changed and nothing moves.
    fn stay(&mut self, occupied: bool, distance: i64, now: Now<'_>) -> Option<Change> {
        let mut baseline = self.baseline?;
        if !occupied {
            if now.ms.saturating_sub(self.adapted_ms) >= ADAPT_EVERY_MS {
                self.adapted_ms = now.ms;
                baseline.follow(now.mean, now.mc);
                self.baseline = Some(baseline);
            }
            return None;
        }
        self.signature = distance;
        if baseline.is_confirmed() || !self.plateaus.comes_again(now.mean, now.settings) {
            return None;
        }
        // What was taken for the empty bay was a vehicle, and this is the empty bay.
        let since = self.still_since;
        self.baseline = Some(Baseline::new(now.mean, now.mc).confirmed());
        Some(self.enter(false, 0, since, now.ms))
    }

    /// Occupied by the range finder's word, and the field of the empty bay was never seen: what is there
    /// after the next movement is asked about.
    fn wait_until_gone(&mut self, now: Now<'_>) -> Option<Change> {
        if !self.is_settled(now) {
            self.phase = Phase::Leaving;
            return None;
        }
        if self.phase == Phase::Leaving {
            if self.word(now.ms)? == Some(false) {
                self.baseline = Some(Baseline::new(now.mean, now.mc).confirmed());
                return Some(self.enter(false, 0, self.still_since, now.ms));
            }
            self.phase = Phase::Occupied;
        }
        None
    }

    /// The range finder's word, once there is one; `Some(None)` when it has none.
    fn word(&mut self, now: u64) -> Option<Option<bool>> {
        let (next, word) = match self.second {
            Second::NotFitted => (Second::NotFitted, Some(None)),
            Second::NotAsked => (Second::Asked(now), None),
            Second::Asked(since) if now.saturating_sub(since) < WORD_MS => (self.second, None),
            Second::Asked(_) => (Second::NotAsked, Some(None)),
            Second::Said(word) => (Second::NotAsked, Some(word)),
        };
        self.second = next;
        word
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
    fn looks_occupied(&self, occupied: bool, distance: i64, settings: &BaySettings) -> bool {
        let could_arrive = distance > squared(settings.arrive_nt);
        if !occupied {
            return could_arrive;
        }
        // Squared: a quarter is half of the distance.
        let mostly_gone = !could_arrive && distance < self.signature / 4;
        distance >= squared(settings.leave_nt) && !mostly_gone
    }

    /// A new state, which began at `since` if that was seen.
    fn enter(&mut self, occupied: bool, distance: i64, since: Option<u64>, now: u64) -> Change {
        let at_ms = since.unwrap_or(now);
        let previous = since.zip(self.began_ms).map(|(end, begin)| end.saturating_sub(begin));
        self.began_ms = since;
        self.differs_since = None;
        self.phase = phase(occupied, true);
        self.signature = distance;
        self.adapted_ms = now;
        if !occupied {
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
    [(one.x, other.x), (one.y, other.y), (one.z, other.z)]
        .iter()
        .map(|(a, b)| (i64::from(*a) - i64::from(*b)).pow(2))
        .sum()
}
