use jiff::tz::TimeZone;
use proptest::prelude::*;

use super::super::path::{Path, Step};
use super::*;
use crate::place::Datum;

const NOON: i64 = 1_780_574_400_000; // 2026-06-04T12:00:00Z

fn origin() -> Position {
    Position::from_degrees(31.811, 119.974, Datum::Wgs84).unwrap()
}

fn at(x: f64, y: f64) -> Position {
    Plane::at(origin()).position(Flat { x, y }).unwrap()
}

fn plan(side: Side) -> Plan {
    Plan { side, width_m: 12.0, windows: vec![Window::ALWAYS], passes: 1, zone: TimeZone::UTC }
}

struct Road {
    plan: Plan,
    layout: Layout,
    coverage: Coverage,
    path: Path,
}

impl Road {
    fn new(line: &[(f64, f64)], side: Side) -> Road {
        let plan = plan(side);
        let line: Vec<_> = line.iter().map(|(x, y)| at(*x, *y)).collect();
        let layout = Layout::new(&line, &plan).unwrap();
        let mut coverage = Coverage::default();
        coverage.open(&layout, &plan, Utc::from_ms(NOON));
        Road { plan, layout, coverage, path: Path::default() }
    }

    fn straight() -> Road {
        Road::new(&[(0.0, 0.0), (100.0, 0.0)], Side::Along)
    }

    fn be(&mut self, seconds: i64, x: f64, y: f64, works: bool) {
        let step =
            Step { position: at(x, y), at: Utc::from_ms(NOON + seconds * 1000), accuracy_mm: None };
        let mut pieces = vec![];
        self.path.take(step, works, &mut pieces);
        for piece in &pieces {
            self.coverage.take(&self.layout, piece);
        }
    }

    /// Sweeps along y = `lateral` at 2 m/s from `x0` to `x1`, then raises the brush.
    fn sweep(&mut self, start: i64, x0: f64, x1: f64, lateral: f64) {
        let steps = ((x1 - x0).abs() / 2.0) as i64;
        for i in 0..=steps {
            let x = x0 + (x1 - x0) * i as f64 / steps as f64;
            self.be(start + i, x, lateral, true);
        }
        self.be(start + steps + 1, x1, lateral, false);
    }

    fn sums(&self) -> Sums {
        self.coverage.sums(&self.plan)
    }
}

#[test]
fn golden_cases_of_a_straight_road() {
    let mut road = Road::straight();
    assert_eq!(road.layout.cells(), 20);
    road.sweep(0, 0.0, 60.0, 2.0);
    assert_eq!((road.sums().done, road.sums().done_milli_pct()), (12, Some(60_000)));
    road.sweep(300, 0.0, 60.0, 2.0);
    assert_eq!(road.sums().done, 12, "the same again is not more");
    road.plan.passes = 2;
    assert_eq!(road.sums().fulfilled, 0, "and not another pass within ten minutes");
    road.sweep(1000, 0.0, 60.0, 2.0);
    assert_eq!(road.sums().fulfilled, 12);

    let mut far = Road::straight();
    far.sweep(0, 0.0, 100.0, 9.0);
    assert_eq!(far.sums().done, 0, "another carriageway");
    let mut against = Road::straight();
    against.sweep(0, 100.0, 0.0, 2.0);
    assert_eq!(against.sums().done, 0, "against the direction");
    let mut either = Road::new(&[(0.0, 0.0), (100.0, 0.0)], Side::Either);
    either.sweep(0, 100.0, 0.0, 2.0);
    assert_eq!(either.sums().done, 20);
}

#[test]
fn a_gap_is_unknown_and_not_missed() {
    let mut road = Road::straight();
    for i in 0..=14 {
        road.be(i, f64::from(i as i32) * 2.0, 0.0, true);
    }
    for i in 0..=14 {
        road.be(34 + i, 72.0 + f64::from(i as i32) * 2.0, 0.0, true);
    }
    road.be(49, 100.0, 0.0, false);
    let sums = road.sums();
    // 44 m of 100 m were not seen: cells 28 to 72.
    assert_eq!((sums.done + sums.unknown, sums.unknown), (20, 8), "{sums:?}");
    assert!(sums.done_milli_pct() < Some(100_000));
    let states: Vec<_> =
        road.coverage.stretches(&road.layout).iter().map(|s| (s.state, s.cells)).collect();
    assert_eq!(states, [(CellState::Done, 6), (CellState::Unknown, 8), (CellState::Done, 6)]);
    // Swept later, the unknown is known.
    road.sweep(2000, 20.0, 80.0, 0.0);
    assert_eq!((road.sums().done, road.sums().unknown), (20, 0));
}

#[test]
fn an_empty_plan_has_no_percentage() {
    let point = Road::new(&[(0.0, 0.0), (0.0, 0.0)], Side::Both);
    assert_eq!(point.layout.cells(), 0);
    assert_eq!(point.sums().done_milli_pct(), None);
}

#[test]
fn both_kerbs_are_two_tracks_each_in_its_direction() {
    let mut road = Road::new(&[(0.0, 0.0), (100.0, 0.0)], Side::Both);
    assert_eq!(road.layout.cells(), 40);
    // Width 12 m: the tracks are 4.5 m from the middle, on the right of each direction.
    road.sweep(0, 0.0, 100.0, -4.5);
    assert_eq!(road.sums().done, 20);
    road.sweep(100, 100.0, 0.0, 4.5);
    assert_eq!(road.sums().done, 40);
}

#[test]
fn an_inaccurate_fix_proves_nothing_and_doubt_widens() {
    let mut road = Road::straight();
    let mut drive = |lateral: f64, accuracy: u32, start: i64| {
        for i in 0..=50 {
            let step = Step {
                position: at(f64::from(i) * 2.0, lateral),
                at: Utc::from_ms(NOON + (start + i64::from(i)) * 1000),
                accuracy_mm: Some(accuracy),
            };
            let mut pieces = vec![];
            road.path.take(step, true, &mut pieces);
            for piece in &pieces {
                road.coverage.take(&road.layout, piece);
            }
        }
        let mut pieces = vec![];
        road.path.end(&mut pieces);
        road.coverage.sums(&road.plan).done
    };
    assert_eq!(drive(0.0, 26_000, 0), 0);
    assert_eq!(drive(9.0, 1_000, 100), 0);
    assert!(drive(9.0, 2_500, 200) >= 19);
}

#[test]
fn a_window_that_is_over_makes_room_for_the_next() {
    let mut road = Road::straight();
    road.sweep(0, 0.0, 100.0, 0.0);
    let until = road.coverage.shift().unwrap().until;
    road.coverage.open(&road.layout, &road.plan, until);
    assert_eq!(road.sums().done, 0);
    // A piece of yesterday comes late: it is not today's.
    road.sweep(100, 0.0, 100.0, 0.0);
    assert_eq!(road.sums().done, 0);
}

#[test]
fn what_is_stored_is_small_and_never_adds_a_pass() {
    let mut road = Road::straight();
    road.sweep(0, 0.0, 60.0, 2.0);
    let text = serde_json::to_string(&road.coverage).unwrap();
    assert!(text.len() < 160, "{text}");
    road.coverage = serde_json::from_str(&text).unwrap();
    road.sweep(560, 0.0, 60.0, 2.0);
    road.plan.passes = 2;
    assert_eq!((road.sums().done, road.sums().fulfilled), (12, 0));
}

proptest! {
    /// However a vehicle drives about, nothing counts twice.
    #[test]
    fn never_more_than_everything(
        steps in prop::collection::vec((0i64..20, -20.0..120.0f64, -8.0..8.0f64, any::<bool>()), 1..80),
    ) {
        let mut road = Road::new(&[(0.0, 0.0), (60.0, 0.0), (60.0, 40.0)], Side::Both);
        let mut time = 0;
        for (pause, x, y, works) in steps {
            time += pause;
            road.be(time, x, y, works);
            let sums = road.sums();
            prop_assert!(sums.done + sums.unknown <= sums.cells);
            prop_assert!(sums.fulfilled <= sums.done);
            let cells: usize =
                road.coverage.stretches(&road.layout).iter().map(|s| s.cells).sum();
            prop_assert_eq!(cells, sums.cells);
        }
    }
}
