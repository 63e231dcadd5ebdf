use super::*;
use proptest::prelude::*;
use std::vec;
use wire::Settings;

const EMPTY: Field = Field { x: 30_000, y: -4_000, z: 38_000 };
const SETTINGS: BaySettings = Settings::INITIAL.bay;
const STEP_MS: u64 = SETTINGS.sample_ms as u64;

fn learnt(field: Field) -> Learnt {
    Learnt { field, mc: None, slope: [0; 3], is_confirmed: true, standing: None }
}

/// A bay with its field, its noise and its history.
struct Street {
    bay: Bay,
    now: u64,
    seed: u32,
    /// Peak to peak, in nanotesla.
    noise: i32,
    mc: Option<i32>,
    changes: vec::Vec<Change>,
}

impl Street {
    fn new() -> Street {
        Street {
            bay: Bay::new(None, false, 0),
            now: 0,
            seed: 1,
            noise: 400,
            mc: None,
            changes: vec![],
        }
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
        i32::try_from(self.seed % u32::try_from(self.noise + 1).unwrap()).unwrap() - self.noise / 2
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
        self.changes.extend(self.bay.read(reading, self.mc, &SETTINGS, self.now));
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
    for (ms, from, to) in
        [(4_000, [0; 3], CAR), (10_000, CAR, CAR), (4_000, CAR, [0; 3]), (10_000, [0; 3], [0; 3])]
    {
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
    let followed = street.bay.learnt().map(|learnt| learnt.field).unwrap();
    assert!((followed.x - EMPTY.x - 12_000).abs() < 1_000, "{followed:?}");
}

#[test]
fn the_baseline_is_frozen_while_occupied() {
    let mut street = Street::vacant();
    let before = street.bay.learnt().map(|learnt| learnt.field);
    street.ramp(2_000, [0; 3], CAR);
    street.hold(86_400_000, CAR);
    let after = street.bay.learnt().map(|learnt| learnt.field);
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
        street.bay = Bay::new(Some(learnt(EMPTY)), false, 0);
        street.hold(10_000, extra);
        assert_eq!(street.take(), [(state, None)]);
    }
}

#[test]
fn an_impossible_baseline_is_learnt_anew() {
    let mut street = Street::new();
    street.bay = Bay::new(Some(learnt(Field { x: i32::MIN, y: 0, z: 0 })), false, 0);
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

#[test]
fn a_node_that_was_switched_on_under_a_vehicle_finds_its_mistake() {
    let other = [-12_000, 5_000, 6_000];
    let mut street = Street::new();
    street.hold(60_000, CAR);
    assert_eq!(street.take(), [(BayState::Free, None)], "it cannot know better");
    street.ramp(2_000, CAR, [0; 3]);
    street.hold(600_000, [0; 3]);
    assert_eq!(street.take(), [(BayState::Occupied, None)], "the other way round");
    // The next vehicle, and the empty bay comes again.
    street.ramp(2_000, [0; 3], other);
    street.hold(600_000, other);
    assert_eq!(street.take(), []);
    street.ramp(2_000, other, [0; 3]);
    street.hold(60_000, [0; 3]);
    assert_eq!(street.take().iter().map(|c| c.0).collect::<vec::Vec<_>>(), [BayState::Free]);
    // From now on all is well.
    street.ramp(2_000, [0; 3], CAR);
    street.hold(600_000, CAR);
    street.ramp(2_000, CAR, [0; 3]);
    street.hold(60_000, [0; 3]);
    let states: vec::Vec<BayState> = street.take().iter().map(|c| c.0).collect();
    assert_eq!(states, [BayState::Occupied, BayState::Free]);
}

#[test]
fn a_vehicle_that_returns_to_its_place_is_not_the_empty_bay_once_that_was_seen() {
    let mut street = Street::vacant();
    let other = [-12_000, 5_000, 6_000];
    for car in [CAR, other, CAR, other, CAR] {
        street.ramp(2_000, [0; 3], car);
        street.hold(600_000, car);
        street.ramp(2_000, car, [0; 3]);
        street.hold(60_000, [0; 3]);
    }
    let states: vec::Vec<BayState> = street.take().iter().map(|c| c.0).collect();
    assert_eq!(states, [BayState::Occupied, BayState::Free].repeat(5));
    // Swaps without a gap, there and back.
    street.ramp(2_000, [0; 3], CAR);
    for (from, to) in [(CAR, other), (other, CAR), (CAR, other)] {
        street.hold(60_000, from);
        street.ramp(2_000, from, to);
    }
    assert_eq!(street.take().len(), 1);
}

#[test]
fn the_temperature_under_a_parked_vehicle_is_reckoned_with() {
    // 100 nT per degree and a small car: without the slope its departure would not be seen.
    let small = [6_000, 0, 0];
    let warm = |mc: i32| (mc - 20_000) / 10;
    let mut street = Street::vacant();
    for hour in 0..48 {
        let mc = 20_000 + [0, 5_000, 10_000, 15_000, 10_000, 5_000][hour % 6];
        street.mc = Some(mc);
        street.hold(3_600_000, [warm(mc), 0, warm(mc)]);
    }
    assert_eq!(street.take(), []);
    street.ramp(2_000, [0; 3], small);
    street.hold(60_000, small);
    street.mc = Some(45_000);
    street.hold(60_000, [small[0] + warm(45_000), 0, warm(45_000)]);
    street.ramp(2_000, [small[0] + warm(45_000), 0, warm(45_000)], [warm(45_000), 0, warm(45_000)]);
    street.hold(60_000, [warm(45_000), 0, warm(45_000)]);
    let states: vec::Vec<BayState> = street.take().iter().map(|c| c.0).collect();
    assert_eq!(states, [BayState::Occupied, BayState::Free]);
}

/// A street whose node has a range finder that sees `seen`.
fn ranged(street: &mut Street, ms: u64, extra: [i32; 3], seen: Option<Range>) {
    for part in parts(ms, extra, extra) {
        street.read(part);
        if street.bay.wants_range() {
            street.bay.range(seen);
        }
    }
}

const ABOVE: Option<Range> = Some(Range::Millimetres(240));
const SKY: Option<Range> = Some(Range::NoTarget);
const COVERED: Option<Range> = Some(Range::TooClose);

fn street_with_range_finder() -> Street {
    let mut street = Street::new();
    street.bay = Bay::new(None, true, 0);
    street
}

#[test]
fn the_range_finder_overrules_the_field() {
    let mut street = street_with_range_finder();
    ranged(&mut street, 60_000, [0; 3], SKY);
    assert_eq!(street.take(), [(BayState::Free, None)]);
    // A steel plate, a tram: not above the bay.
    ranged(&mut street, 60_000, CAR, SKY);
    assert_eq!(street.take(), []);
    assert_eq!(street.bay.phase(), Phase::Vacant, "it is the new baseline");
    // A car of plastic: the field has gone back, it has not.
    ranged(&mut street, 60_000, [0; 3], ABOVE);
    assert_eq!(street.take(), [(BayState::Occupied, None)]);
    ranged(&mut street, 600_000, CAR, ABOVE);
    assert_eq!(street.take(), []);
    ranged(&mut street, 120_000, CAR, SKY);
    assert_eq!(street.take().iter().map(|c| c.0).collect::<vec::Vec<_>>(), [BayState::Free]);
}

#[test]
fn a_range_finder_that_is_covered_or_silent_has_no_say() {
    for seen in [COVERED, None] {
        let mut street = street_with_range_finder();
        ranged(&mut street, 60_000, [0; 3], seen);
        ranged(&mut street, 60_000, CAR, seen);
        assert_eq!(street.take(), [(BayState::Free, None), (BayState::Occupied, None)]);
    }
    let mut street = street_with_range_finder();
    street.hold(60_000, [0; 3]);
    street.hold(60_000, CAR);
    assert_eq!(street.take().len(), 2, "it was asked and never answered");
}

#[test]
fn with_a_range_finder_a_start_under_a_vehicle_is_no_mistake() {
    let mut street = street_with_range_finder();
    ranged(&mut street, 60_000, CAR, ABOVE);
    assert_eq!(street.take(), [(BayState::Occupied, None)]);
    ranged(&mut street, 60_000, [5_000, 0, 0], ABOVE);
    assert_eq!(street.take(), [], "it was moved a little");
    ranged(&mut street, 60_000, [0; 3], SKY);
    assert_eq!(street.take(), [(BayState::Free, None)]);
    ranged(&mut street, 60_000, CAR, ABOVE);
    assert_eq!(street.take().len(), 1);
}

/// What may happen to a bay before.
#[derive(Debug, Clone)]
enum Past {
    /// The field is so far from the empty bay's for so many readings.
    Field([i32; 3], usize),
    /// The sensor says anything.
    Reading(Option<[i32; 3]>),
    Temperature(Option<i32>),
    Recalibrated,
    Restarted,
}

fn past() -> impl Strategy<Value = Past> {
    let near = prop::array::uniform3(-60_000..60_000);
    prop_oneof![
        8 => (near, 1..400_usize).prop_map(|(extra, readings)| Past::Field(extra, readings)),
        2 => any::<Option<[i32; 3]>>().prop_map(Past::Reading),
        1 => any::<Option<i32>>().prop_map(Past::Temperature),
        1 => Just(Past::Recalibrated),
        1 => Just(Past::Restarted),
    ]
}

impl Street {
    fn suffer(&mut self, past: &Past) {
        match *past {
            Past::Field(extra, readings) => (0..readings).for_each(|_| self.read(extra)),
            Past::Reading(reading) => {
                self.feed(reading.map(|[x, y, z]| Field { x, y, z }));
            }
            Past::Temperature(mc) => self.mc = mc,
            Past::Recalibrated => self.bay.recalibrate(self.now),
            Past::Restarted => self.bay = Bay::new(self.bay.learnt(), false, self.now),
        }
    }
}

/// Vehicles that no two are alike.
const VISITORS: [[i32; 3]; 8] = [
    CAR,
    [-12_000, 5_000, 6_000],
    [0, 0, 30_000],
    [20_000, 20_000, 0],
    [-15_000, -15_000, -15_000],
    [0, 25_000, -20_000],
    [30_000, -10_000, -10_000],
    [-30_000, 0, 25_000],
];

proptest! {
    /// Nothing makes it panic, and nothing keeps it wrong for ever.
    #[test]
    fn whatever_it_has_seen_a_few_visits_later_it_is_right(
        history in prop::collection::vec(past(), 0..40),
    ) {
        let mut street = Street::new();
        for past in history {
            street.suffer(&past);
        }
        for (visit, car) in VISITORS.into_iter().enumerate() {
            street.ramp(2_000, [0; 3], car);
            street.hold(90_000, car);
            let occupied = street.bay.state();
            street.ramp(2_000, car, [0; 3]);
            street.hold(90_000, [0; 3]);
            let after = street.bay.state();
            if visit >= VISITORS.len() - 2 {
                prop_assert_eq!((occupied, after), (Some(BayState::Occupied), Some(BayState::Free)));
            }
        }
    }
}
