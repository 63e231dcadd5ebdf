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
//! * The baseline follows slow drift (temperature, a car on the next bay), with a time constant of about
//!   11 minutes, and only while the bay is vacant and the field is still.
//! * To count as occupied the field must come farther from the baseline than to stay so (hysteresis).
//!   When a vehicle leaves, it is enough that more than half of its signature is gone: the neighbour that
//!   came meanwhile stays.
//! * A new state counts when the field has kept still for the settle time. It is dated back to when the
//!   field first looked that way.
//! * The first baseline is what is there when a new node is switched on, or told to recalibrate: the
//!   bay must be empty then.

use drivers::Field;
use heapless::Vec;
use wire::{BaySettings, BayState};

/// Readings that are averaged, and over which movement is judged.
const WINDOW: usize = 8;
/// So many readings may fail in a row before the sensor counts as faulty.
const MISSES_MAX: u8 = 8;
/// A field that never keeps still must not leave the bay undecided for longer than this.
const DOUBT_MAX_MS: u64 = 60_000;
/// The baseline moves by 1/128 of the difference every 5 seconds.
const ADAPT_EVERY_MS: u64 = 5_000;
const ADAPT_SHIFT: u32 = 7;
/// Beyond this no axis of a magnetometer can be: 2 mT, in nanotesla.
const PLAUSIBLE: core::ops::RangeInclusive<i32> = -2_000_000..=2_000_000;

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
}

impl Bay {
    pub(crate) fn new(baseline: Option<Field>, now: u64) -> Bay {
        Bay {
            window: Window::default(),
            baseline: baseline.filter(is_plausible).map(Baseline::new),
            phase: Phase::Starting,
            misses: 0,
            started_ms: now,
            still_since: None,
            differs_since: None,
            began_ms: None,
            signature: 0,
            adapted_ms: now,
        }
    }

    /// Learns the baseline anew from what is there now.
    pub(crate) fn recalibrate(&mut self, now: u64) {
        *self = Bay::new(None, now);
    }

    pub(crate) const fn phase(&self) -> Phase {
        self.phase
    }

    pub(crate) fn baseline(&self) -> Option<Field> {
        self.baseline.map(Baseline::field)
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

    /// Takes a reading; `None` when the sensor did not answer.
    pub(crate) fn read(
        &mut self,
        reading: Option<Field>,
        settings: &BaySettings,
        now: u64,
    ) -> Option<Change> {
        let Some(field) = reading.filter(is_plausible) else { return self.miss(now) };
        self.misses = 0;
        if self.phase == Phase::Faulty {
            *self = Bay::new(self.baseline(), now);
        }
        self.window.push(field);
        let (mean, spread) = self.window.full()?;
        if spread > i32::from(settings.moving_nt) {
            self.still_since = None;
        } else {
            self.still_since.get_or_insert(now);
        }
        match self.state() {
            Some(state) => self.follow(state == BayState::Occupied, mean, settings, now),
            None => self.begin(mean, settings, now),
        }
    }

    fn miss(&mut self, now: u64) -> Option<Change> {
        self.misses = self.misses.saturating_add(1);
        if self.misses < MISSES_MAX || self.phase == Phase::Faulty {
            return None;
        }
        *self = Bay { phase: Phase::Faulty, ..Bay::new(self.baseline(), now) };
        Some(Change { state: BayState::Fault, at_ms: now, previous_s: None })
    }

    /// The first decision after a start, a fault or a recalibration.
    fn begin(&mut self, mean: Field, settings: &BaySettings, now: u64) -> Option<Change> {
        if !self.is_settled(settings, now) && now.saturating_sub(self.started_ms) < DOUBT_MAX_MS {
            return None;
        }
        let baseline = self.baseline.get_or_insert(Baseline::new(mean));
        let distance = baseline.distance_squared(mean);
        let occupied = distance > squared(settings.arrive_nt);
        Some(self.enter(occupied, distance, None, now))
    }

    fn follow(
        &mut self,
        occupied: bool,
        mean: Field,
        settings: &BaySettings,
        now: u64,
    ) -> Option<Change> {
        let mut baseline = self.baseline?;
        let distance = baseline.distance_squared(mean);
        let settled = self.is_settled(settings, now);
        if self.looks_occupied(occupied, distance, settings) == occupied {
            self.differs_since = None;
            self.phase = phase(occupied, settled);
            if occupied && settled {
                self.signature = distance;
            } else if settled && now.saturating_sub(self.adapted_ms) >= ADAPT_EVERY_MS {
                self.adapted_ms = now;
                baseline.follow(mean);
                self.baseline = Some(baseline);
            }
            return None;
        }
        let since = *self.differs_since.get_or_insert(now);
        let lasted = now.saturating_sub(since);
        if (settled && lasted >= settings.settle_ms.into()) || lasted >= DOUBT_MAX_MS {
            return Some(self.enter(!occupied, distance, Some(since), now));
        }
        self.phase = phase(occupied, false);
        None
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
        Change {
            state: if occupied { BayState::Occupied } else { BayState::Free },
            at_ms,
            previous_s: previous.map(|ms| u32::try_from(ms / 1000).unwrap_or(u32::MAX)),
        }
    }

    fn is_settled(&self, settings: &BaySettings, now: u64) -> bool {
        self.still_since
            .is_some_and(|since| now.saturating_sub(since) >= u64::from(settings.settle_ms))
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

/// The latest readings.
#[derive(Debug, Default)]
struct Window {
    fields: Vec<Field, WINDOW>,
    next: usize,
}

impl Window {
    fn push(&mut self, field: Field) {
        if let Some(oldest) = self.fields.get_mut(self.next) {
            *oldest = field;
        } else {
            self.fields.push(field).expect("next is below WINDOW");
        }
        self.next = (self.next + 1) % WINDOW;
    }

    /// The mean, and how far the readings lie apart on the axis where they do most; `None` until there
    /// are enough.
    fn full(&self) -> Option<(Field, i32)> {
        if !self.fields.is_full() {
            return None;
        }
        let (x, x_spread) = self.axis(|field| field.x);
        let (y, y_spread) = self.axis(|field| field.y);
        let (z, z_spread) = self.axis(|field| field.z);
        Some((Field { x, y, z }, x_spread.max(y_spread).max(z_spread)))
    }

    /// Mean and spread of one axis. Plausible readings keep both within an i32.
    fn axis(&self, of: impl Fn(&Field) -> i32) -> (i32, i32) {
        let (mut sum, mut low, mut high) = (0, i32::MAX, i32::MIN);
        for value in self.fields.iter().map(of) {
            sum += value;
            low = low.min(value);
            high = high.max(value);
        }
        (sum / WINDOW as i32, high - low)
    }
}

/// The field of the empty bay, in 1/256 nT so that slow adaptation does not get stuck in rounding.
#[derive(Debug, Clone, Copy)]
struct Baseline {
    axes: [i32; 3],
}

impl Baseline {
    const FRACTION: i32 = 256;

    /// Of a plausible field: times 256 that fits an i32.
    const fn new(Field { x, y, z }: Field) -> Baseline {
        Baseline { axes: [x * Baseline::FRACTION, y * Baseline::FRACTION, z * Baseline::FRACTION] }
    }

    const fn field(self) -> Field {
        let [x, y, z] = self.axes;
        Field { x: x / Baseline::FRACTION, y: y / Baseline::FRACTION, z: z / Baseline::FRACTION }
    }

    fn follow(&mut self, mean: Field) {
        let target = Baseline::new(mean);
        for (axis, to) in self.axes.iter_mut().zip(target.axes) {
            *axis += (to - *axis) >> ADAPT_SHIFT;
        }
    }

    /// Square of the distance to `mean` in nanotesla.
    fn distance_squared(&self, mean: Field) -> i64 {
        let Field { x, y, z } = self.field();
        [(mean.x, x), (mean.y, y), (mean.z, z)]
            .iter()
            .map(|(now, then)| i64::from(now - then).pow(2))
            .sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec;
    use wire::Settings;

    const EMPTY: Field = Field { x: 30_000, y: -4_000, z: 38_000 };
    const SETTINGS: BaySettings = Settings::INITIAL.bay;
    const STEP_MS: u64 = SETTINGS.sample_ms as u64;

    /// A bay with its field, its noise and its history.
    struct Street {
        bay: Bay,
        now: u64,
        seed: u32,
        /// Peak to peak, in nanotesla.
        noise: i32,
        changes: vec::Vec<Change>,
    }

    impl Street {
        fn new() -> Street {
            Street { bay: Bay::new(None, 0), now: 0, seed: 1, noise: 400, changes: vec![] }
        }

        /// A street whose bay has been vacant for a minute.
        fn vacant() -> Street {
            let mut street = Street::new();
            street.hold(60_000, [0; 3]);
            assert_eq!(street.take(), [(BayState::Free, None)]);
            street
        }

        fn noise(&mut self) -> i32 {
            self.seed = crate::unsent::scatter(self.seed.wrapping_add(1));
            i32::try_from(self.seed % u32::try_from(self.noise + 1).unwrap()).unwrap()
                - self.noise / 2
        }

        fn read(&mut self, [x, y, z]: [i32; 3]) {
            let field = Field {
                x: EMPTY.x + x + self.noise(),
                y: EMPTY.y + y + self.noise(),
                z: EMPTY.z + z + self.noise(),
            };
            self.feed(Some(field));
        }

        fn feed(&mut self, reading: Option<Field>) {
            self.changes.extend(self.bay.read(reading, &SETTINGS, self.now));
            self.now += STEP_MS;
        }

        /// The field stays `extra` nanotesla from that of the empty bay for `ms`.
        fn hold(&mut self, ms: u64, extra: [i32; 3]) {
            self.ramp(ms, extra, extra);
        }

        /// The field goes from `from` to `to` within `ms`.
        fn ramp(&mut self, ms: u64, from: [i32; 3], to: [i32; 3]) {
            for part in parts(ms, from, to) {
                self.read(part);
            }
        }

        fn take(&mut self) -> vec::Vec<(BayState, Option<u32>)> {
            self.changes.drain(..).map(|change| (change.state, change.previous_s)).collect()
        }
    }

    /// The readings on the way from `from` to `to` within `ms`.
    fn parts(ms: u64, from: [i32; 3], to: [i32; 3]) -> impl Iterator<Item = [i32; 3]> {
        let steps = i64::try_from(ms / STEP_MS).unwrap();
        (0..steps).map(move |i| {
            core::array::from_fn(|k| {
                from[k] + i32::try_from(i64::from(to[k] - from[k]) * i / steps).unwrap()
            })
        })
    }

    const CAR: [i32; 3] = [9_000, -6_000, 14_000];
    const NEIGHBOUR: [i32; 3] = [2_000, 1_500, -1_500];

    #[test]
    fn a_car_comes_and_goes() {
        let mut street = Street::vacant();
        let came = street.now;
        street.ramp(4_000, [0; 3], CAR);
        street.hold(3_600_000, CAR);
        let change = street.changes[0];
        assert_eq!((change.state, change.previous_s), (BayState::Occupied, None));
        assert!(change.at_ms > came && change.at_ms < came + 4_000, "dated back: {change:?}");
        street.changes.clear();
        let went = street.now;
        street.ramp(4_000, CAR, [0; 3]);
        street.hold(60_000, [0; 3]);
        let change = street.changes[0];
        assert_eq!(change.state, BayState::Free);
        assert!(change.at_ms > went && change.at_ms < went + 6_000, "{change:?}");
        let lasted = change.previous_s.unwrap();
        assert!((3_600..=3_606).contains(&lasted), "{lasted}");
        assert_eq!(street.changes.len(), 1);
    }

    #[test]
    fn it_is_told_soon_after_the_car_stands() {
        let mut street = Street::vacant();
        street.ramp(3_000, [0; 3], CAR);
        street.hold(5_000, CAR);
        assert_eq!(street.take(), [(BayState::Occupied, None)]);
    }

    #[test]
    fn the_phases_are_gone_through_in_order() {
        let mut street = Street::vacant();
        let mut phases = vec![street.bay.phase()];
        for (ms, from, to) in [
            (4_000, [0; 3], CAR),
            (10_000, CAR, CAR),
            (4_000, CAR, [0; 3]),
            (10_000, [0; 3], [0; 3]),
        ] {
            for part in parts(ms, from, to) {
                street.read(part);
                phases.push(street.bay.phase());
            }
        }
        phases.dedup();
        assert_eq!(
            phases,
            [Phase::Vacant, Phase::Arriving, Phase::Occupied, Phase::Leaving, Phase::Vacant]
        );
    }

    #[test]
    fn a_slow_arrival_is_seen() {
        let mut street = Street::vacant();
        street.ramp(40_000, [0; 3], CAR);
        street.hold(20_000, CAR);
        assert_eq!(street.take(), [(BayState::Occupied, None)]);
    }

    #[test]
    fn a_car_that_passes_or_manoeuvres_is_no_arrival() {
        let mut street = Street::vacant();
        for _ in 0..30 {
            street.ramp(1_500, [0; 3], CAR);
            street.ramp(1_500, CAR, [0; 3]);
            street.hold(5_000, [0; 3]);
        }
        assert_eq!(street.take(), []);
        assert_eq!(street.bay.phase(), Phase::Vacant);
    }

    #[test]
    fn noise_alone_is_nothing() {
        let mut street = Street::vacant();
        street.noise = 1_200;
        street.hold(6 * 3_600_000, [0; 3]);
        assert_eq!(street.take(), []);
    }

    #[test]
    fn a_neighbour_who_comes_and_goes_is_nothing() {
        let mut street = Street::vacant();
        for _ in 0..5 {
            street.ramp(4_000, [0; 3], NEIGHBOUR);
            street.hold(1_800_000, NEIGHBOUR);
            street.ramp(4_000, NEIGHBOUR, [0; 3]);
            street.hold(1_800_000, [0; 3]);
        }
        assert_eq!(street.take(), []);
    }

    #[test]
    fn a_departure_is_seen_although_a_neighbour_came_meanwhile() {
        let both = [CAR[0] + NEIGHBOUR[0], CAR[1] + NEIGHBOUR[1], CAR[2] + NEIGHBOUR[2]];
        let far = NEIGHBOUR.iter().map(|n| i64::from(*n).pow(2)).sum::<i64>();
        assert!(far > squared(SETTINGS.leave_nt), "the neighbour alone would hold the bay");
        let mut street = Street::vacant();
        street.ramp(4_000, [0; 3], CAR);
        street.hold(600_000, CAR);
        street.ramp(4_000, CAR, both);
        street.hold(600_000, both);
        street.ramp(4_000, both, NEIGHBOUR);
        street.hold(60_000, NEIGHBOUR);
        assert_eq!(
            street.take().iter().map(|c| c.0).collect::<vec::Vec<_>>(),
            [BayState::Occupied, BayState::Free]
        );
    }

    #[test]
    fn slow_drift_is_followed_while_vacant() {
        let mut street = Street::vacant();
        // 12 µT in 12 hours: a sunny day on the asphalt.
        street.ramp(12 * 3_600_000, [0; 3], [12_000, -6_000, 6_000]);
        assert_eq!(street.take(), []);
        let followed = street.bay.baseline().unwrap();
        assert!((followed.x - EMPTY.x - 12_000).abs() < 1_000, "{followed:?}");
    }

    #[test]
    fn the_baseline_is_frozen_while_occupied() {
        let mut street = Street::vacant();
        let before = street.bay.baseline();
        street.ramp(2_000, [0; 3], CAR);
        street.hold(86_400_000, CAR);
        let after = street.bay.baseline();
        let moved = (after.unwrap().x - before.unwrap().x).abs();
        assert!(moved <= 50, "{moved}");
        street.ramp(2_000, CAR, [0; 3]);
        street.hold(60_000, [0; 3]);
        assert_eq!(street.take().len(), 2);
    }

    #[test]
    fn drift_under_a_parked_car_does_not_hide_its_departure() {
        let mut street = Street::vacant();
        street.ramp(2_000, [0; 3], CAR);
        street.hold(60_000, CAR);
        let drift = [3_000, 0, 2_000];
        let moved = [CAR[0] + drift[0], CAR[1], CAR[2] + drift[2]];
        street.ramp(8 * 3_600_000, CAR, moved);
        street.ramp(2_000, moved, drift);
        street.hold(60_000, drift);
        assert_eq!(street.take().last().map(|c| c.0), Some(BayState::Free));
    }

    #[test]
    fn a_swap_of_cars_without_a_gap_stays_occupied() {
        let mut street = Street::vacant();
        street.ramp(2_000, [0; 3], CAR);
        street.hold(60_000, CAR);
        let other = [-12_000, 5_000, 6_000];
        street.ramp(1_000, CAR, other);
        street.hold(60_000, other);
        assert_eq!(street.take(), [(BayState::Occupied, None)]);
        assert_eq!(street.bay.phase(), Phase::Occupied);
    }

    #[test]
    fn hysteresis_holds_a_weak_signature() {
        let mut street = Street::vacant();
        street.ramp(2_000, [0; 3], [6_000, 0, 0]);
        street.hold(60_000, [6_000, 0, 0]);
        // Between the thresholds, and more than half of it is left.
        street.hold(60_000, [4_000, 0, 0]);
        assert_eq!(street.take(), [(BayState::Occupied, None)]);
        street.hold(60_000, [1_500, 0, 0]);
        assert_eq!(street.take().len(), 1);
    }

    #[test]
    fn a_field_that_never_keeps_still_is_decided_all_the_same() {
        let mut street = Street::vacant();
        street.noise = 4_000;
        street.hold(50_000, CAR);
        assert_eq!(street.take(), []);
        street.hold(20_000, CAR);
        assert_eq!(street.take(), [(BayState::Occupied, None)]);
    }

    #[test]
    fn a_sensor_that_fails_is_told_once_and_its_return_too() {
        let mut street = Street::vacant();
        (0..7).for_each(|_| street.feed(None));
        street.hold(10_000, [0; 3]);
        assert_eq!(street.take(), [], "a few misses are nothing");
        (0..500).for_each(|_| street.feed(None));
        assert_eq!(street.take(), [(BayState::Fault, None)]);
        street.hold(30_000, CAR);
        assert_eq!(street.take(), [(BayState::Occupied, None)], "by the old baseline");
    }

    #[test]
    fn a_field_that_cannot_be_is_a_fault() {
        let mut street = Street::vacant();
        for axis in [i32::MIN, i32::MAX, 2_000_001, -2_000_001] {
            (0..4).for_each(|_| street.feed(Some(Field { x: axis, ..EMPTY })));
        }
        assert_eq!(street.take(), [(BayState::Fault, None)]);
        let extreme = Field { x: 2_000_000, y: -2_000_000, z: 2_000_000 };
        (0..40).for_each(|_| street.feed(Some(extreme)));
        assert_eq!(street.take(), [(BayState::Occupied, None)]);
    }

    #[test]
    fn a_known_baseline_tells_the_state_after_a_restart() {
        for (extra, state) in [(CAR, BayState::Occupied), (NEIGHBOUR, BayState::Free)] {
            let mut street = Street::new();
            street.bay = Bay::new(Some(EMPTY), 0);
            street.hold(10_000, extra);
            assert_eq!(street.take(), [(state, None)]);
        }
    }

    #[test]
    fn an_impossible_baseline_is_learnt_anew() {
        let mut street = Street::new();
        street.bay = Bay::new(Some(Field { x: i32::MIN, y: 0, z: 0 }), 0);
        street.hold(10_000, [0; 3]);
        assert_eq!(street.take(), [(BayState::Free, None)]);
    }

    #[test]
    fn recalibration_takes_what_is_there_for_the_empty_bay() {
        let mut street = Street::vacant();
        street.ramp(2_000, [0; 3], CAR);
        street.hold(60_000, CAR);
        street.take();
        street.bay.recalibrate(street.now);
        assert_eq!(street.bay.state(), None);
        street.hold(10_000, CAR);
        assert_eq!(street.take(), [(BayState::Free, None)]);
        street.ramp(2_000, CAR, [0; 3]);
        street.hold(10_000, [0; 3]);
        assert_eq!(street.take().len(), 1, "the other way round from now on");
    }
}
