//! Streets in a few lines: what stands, passes, flickers and leaves.

use proptest::prelude::*;

use super::*;

const CAR: usize = 2;
const SECOND: Millis = 1000;
const MINUTE: Millis = 60 * SECOND;

fn lane() -> Polygon {
    Polygon::new(vec![(0.0, 0.5), (1.0, 0.5), (1.0, 1.0), (0.0, 1.0)]).unwrap()
}

/// A car in the lane, so far from the left.
fn car(x1: f32, score: f32) -> Detection {
    Detection { class: CAR, score, bounds: Bounds { x1, y1: 0.6, x2: x1 + 0.2, y2: 0.8 } }
}

fn parked() -> Terms {
    Terms {
        classes: vec![(CAR, 0.6)],
        touch: Touch::Foot,
        hits: (8, 10),
        dwell: 3 * MINUTE,
        still: Some(0.7),
        clear_after: MINUTE,
        rest: 5 * MINUTE,
    }
}

fn litter() -> Terms {
    Terms { still: None, touch: Touch::Centre, hits: (4, 6), ..parked() }
}

/// A look every two seconds from `from` on; what changed, with the second it changed in.
fn run(
    watch: &mut Watch,
    from: Millis,
    looks: u64,
    street: impl Fn(u64) -> Vec<Detection>,
) -> Vec<(Millis, bool)> {
    let mut changes = vec![];
    for n in 0..looks {
        let now = from + n * 2 * SECOND;
        match watch.look(&lane(), &street(n), now) {
            Some(Change::Begins(_)) => changes.push((now / SECOND, true)),
            Some(Change::Over) => changes.push((now / SECOND, false)),
            None => {}
        }
    }
    changes
}

/// A watch that has seen that there is nothing.
fn clear(terms: Terms) -> Watch {
    let mut watch = Watch::new(terms);
    assert_eq!(run(&mut watch, 0, 40, |_| vec![]), [(60, false)]);
    assert!(!watch.is_busy());
    watch
}

#[test]
fn a_car_that_stays_is_found_once_and_is_over_once() {
    let mut watch = clear(parked());
    let changes =
        run(&mut watch, 100 * SECOND, 400, |n| if n < 300 { vec![car(0.3, 0.8)] } else { vec![] });
    assert_eq!(changes, [(280, true), (760, false)]);
}

#[test]
fn a_car_that_leaves_before_the_dwell_is_nothing() {
    let mut watch = clear(parked());
    assert_eq!(
        run(&mut watch, 100_000, 300, |n| if n < 85 { vec![car(0.3, 0.9)] } else { vec![] }),
        []
    );
}

#[test]
fn a_passing_car_is_never_found_however_many_pass() {
    let mut watch = clear(parked());
    let passing = |n: u64| vec![car((n % 8) as f32 * 0.1, 0.9)];
    assert_eq!(run(&mut watch, 100_000, 3000, passing), []);
}

#[test]
fn flicker_delays_nothing_as_long_as_enough_frames_hit() {
    let flicker = |of: u64| move |n: u64| if n % 10 < of { vec![car(0.3, 0.8)] } else { vec![] };
    let mut watch = clear(parked());
    let changes = run(&mut watch, 100_000, 200, flicker(9));
    assert_eq!(changes.len(), 1, "nine of ten are enough");
    assert!(changes[0].1 && (280..=300).contains(&changes[0].0), "{changes:?}");
    let mut watch = clear(parked());
    assert_eq!(run(&mut watch, 100_000, 200, flicker(7)), [], "seven of ten are not");
}

#[test]
fn a_score_too_low_another_class_or_another_place_does_not_count() {
    let others = [
        car(0.3, 0.59),
        Detection { class: 7, ..car(0.3, 0.9) },
        Detection { bounds: Bounds { x1: 0.3, y1: 0.1, x2: 0.5, y2: 0.45 }, ..car(0.3, 0.9) },
        // Its foot is in the lane, but most of it is not: it stands before the camera.
        Detection { bounds: Bounds { x1: 0.3, y1: 0.0, x2: 0.5, y2: 0.65 }, ..car(0.3, 0.9) },
    ];
    for other in others {
        let mut watch = clear(parked());
        assert_eq!(run(&mut watch, 100_000, 300, |_| vec![other]), [], "{other:?}");
    }
}

#[test]
fn what_the_lower_edge_of_the_picture_cuts_stands_in_a_zone_that_reaches_there() {
    let near = Bounds { x1: 0.3, y1: 0.7, x2: 0.6, y2: 1.0 };
    assert!(is_in(&lane(), Touch::Foot, &near));
}

#[test]
fn litter_is_one_problem_wherever_in_the_zone_it_lies() {
    let mut watch = clear(litter());
    let bags = |n: u64| vec![car((n % 5) as f32 * 0.15, 0.7), car(0.7, 0.65)];
    assert_eq!(run(&mut watch, 100_000, 400, bags), [(280, true)]);
}

#[test]
fn after_it_was_over_the_zone_rests() {
    let mut watch = clear(Terms { rest: 10 * MINUTE, ..parked() });
    // Five minutes there, two minutes gone, and so on.
    let comes = |n: u64| if n % 210 < 150 { vec![car(0.3, 0.8)] } else { vec![] };
    let changes = run(&mut watch, 100_000, 1050, comes);
    let begun: Vec<_> = changes.iter().filter(|c| c.1).map(|c| c.0).collect();
    // Five times there in 35 minutes: the rest after the first one swallows the second.
    assert_eq!(begun, [280, 1120, 1960], "{changes:?}");
}

#[test]
fn a_start_says_over_only_after_a_look_long_enough_and_never_for_what_is_there() {
    let mut watch = Watch::new(parked());
    let changes = run(&mut watch, 0, 100, |_| vec![car(0.3, 0.8)]);
    assert_eq!(changes, [(180, true)], "what was open goes on");
}

#[test]
fn a_gap_is_no_stay_and_no_clearance() {
    let mut watch = clear(parked());
    assert_eq!(run(&mut watch, 100_000, 60, |_| vec![car(0.3, 0.8)]), []);
    // Blind for an hour; the same place is taken again afterwards, by whomever.
    let back = 100_000 + 60 * MINUTE;
    assert_eq!(run(&mut watch, back, 60, |_| vec![car(0.3, 0.8)]), [], "the dwell begins anew");
    assert_eq!(run(&mut watch, back + 120_000, 60, |_| vec![car(0.3, 0.8)]), [(3880, true)]);
    let later = back + 60 * MINUTE;
    assert_eq!(run(&mut watch, later, 29, |_| vec![]), [], "an hour unseen is not an hour clear");
    assert_eq!(run(&mut watch, later + 58_000, 5, |_| vec![]).len(), 1);
}

#[test]
fn what_began_says_what_was_seen() {
    let mut watch = clear(parked());
    let mut begun = None;
    for n in 0..100 {
        let score = if n == 40 { 0.95 } else { 0.7 };
        let found = if n == 7 { vec![] } else { vec![car(0.3, score)] };
        if let Some(Change::Begins(seen)) = watch.look(&lane(), &found, 100_000 + n * 2000) {
            begun = Some(seen);
        }
    }
    let seen = begun.unwrap();
    assert_eq!((seen.class, seen.score, seen.hits, seen.frames), (CAR, 0.95, 90, 91));
    assert_eq!((seen.first, seen.last), (100_000, 280_000));
}

proptest! {
    /// Whatever happens in the street, findings begin and are over in turn, and memory is bounded.
    #[test]
    fn findings_begin_and_end_in_turn(
        street in prop::collection::vec(
            (prop::collection::vec((0.0..0.8_f32, 0.5..1.0_f32), 0..50), 1..200_u64),
            1..120,
        ),
        still in prop::option::of(0.3..0.9_f32),
    ) {
        let mut watch = Watch::new(Terms { still, dwell: 5 * SECOND, hits: (1, 3), ..parked() });
        let (mut now, mut open) = (0, None);
        for (cars, gap) in street {
            now += gap * SECOND;
            let found: Vec<_> = cars.into_iter().map(|(x, score)| car(x, score)).collect();
            match watch.look(&lane(), &found, now) {
                Some(Change::Begins(seen)) => {
                    prop_assert_ne!(open, Some(true));
                    prop_assert!(seen.hits <= seen.frames && seen.last - seen.first >= 5 * SECOND);
                    open = Some(true);
                }
                Some(Change::Over) => {
                    prop_assert_ne!(open, Some(false));
                    prop_assert!(found.iter().all(|one| one.score < 0.6));
                    open = Some(false);
                }
                None => {}
            }
            prop_assert!(watch.tracks.len() <= TRACKS_MAX);
        }
    }
}
