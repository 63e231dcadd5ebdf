//! A bay through bounces, lost reports, contradictions and silence.

use super::*;
use crate::site::BayPolicy;
use crate::time::{Boot, ClockQuality, Monotonic, Utc};

const SETTINGS: Bay = Bay {
    max_stay: None,
    occupied_after: Span::from_secs(60),
    free_after: Span::from_secs(20),
    stale_after: Span::from_mins(60),
    policy: BayPolicy {
        tariff: None,
        vehicle: None,
        disagree_after: Span::from_mins(3),
        drift_after: Span::from_mins(360),
        stuck_after: Span::from_mins(7 * 24 * 60),
        zombie_after: Span::from_mins(7 * 24 * 60),
        no_parking: vec![],
        reserved: None,
    },
};

fn t(s: u64) -> Moment {
    Moment {
        boot: Boot(1),
        monotonic: Monotonic::from_ms(s * 1000),
        utc: Utc::from_ms(1_780_000_000_000) + Span::from_secs(s),
        clock: ClockQuality::Ntp,
    }
}

fn say(bay: &mut Occupancy, s: u64, occupied: bool) -> Change {
    hear(bay, "a", s, Gap::None, &[Quantity::Occupied(occupied)])
}

/// What the sensor called `sensor` reports at `s`; `a` has the word before `b`.
fn hear(bay: &mut Occupancy, sensor: &str, s: u64, gap: Gap, quantities: &[Quantity]) -> Change {
    let rank = u8::from(sensor != "a");
    let report = Report { sensor, rank, gap, quantities, at: t(s) };
    bay.report("b-1", &report, t(s), &SETTINGS)
}

fn counted(minutes: u64) -> Quantity {
    Quantity::PreviousState { lasted: Span::from_mins(minutes), error: Span::ZERO }
}

fn settle(bay: &mut Occupancy, s: u64) -> Change {
    bay.settle("b-1", t(s), &SETTINGS)
}

#[test]
fn a_stay_is_counted_from_report_to_report() {
    let mut bay = Occupancy::default();
    assert!(say(&mut bay, 0, false).state);
    assert!(!say(&mut bay, 100, true).state, "not yet");
    assert_eq!(bay.settle_at(t(100), &SETTINGS), Some(Monotonic::from_ms(160_000)));
    assert!(settle(&mut bay, 160).state);
    assert_eq!(bay.stay_since(), Some(t(100)));
    say(&mut bay, 700, false);
    let ended = settle(&mut bay, 720).ended.remove(0);
    assert_eq!((ended.duration_s, ended.quality), (600, SessionQuality::Exact));
    assert_eq!(bay.status(), Status::Free);
}

#[test]
fn a_bounce_changes_nothing() {
    let mut bay = Occupancy::default();
    say(&mut bay, 0, false);
    say(&mut bay, 10, true);
    say(&mut bay, 40, false);
    assert_eq!(settle(&mut bay, 100), Change::default());
    assert_eq!((bay.status(), bay.session.clone()), (Status::Free, None));
}

#[test]
fn the_sensors_own_count_goes_before_reception_times() {
    let mut bay = Occupancy::default();
    say(&mut bay, 0, false);
    say(&mut bay, 100, true);
    settle(&mut bay, 200);
    let count = counted(74);
    hear(&mut bay, "a", 9_000, Gap::None, &[Quantity::Occupied(false), count]);
    let ended = settle(&mut bay, 9_020).ended.remove(0);
    assert_eq!((ended.duration_s, ended.quality), (74 * 60, SessionQuality::Exact));
    assert_eq!(ended.start, t(9_000).utc - Span::from_mins(74));
}

#[test]
fn silence_is_unknown_and_becomes_the_error_of_the_stay() {
    let mut bay = Occupancy::default();
    say(&mut bay, 0, false);
    say(&mut bay, 100, true);
    settle(&mut bay, 200);
    assert!(bay.lose(NoData::Silent, t(4_000)).state);
    assert_eq!(bay.status(), Status::Unknown);
    assert!(!bay.lose(NoData::Silent, t(4_100)).state, "said once");
    let ended = say(&mut bay, 5_000, false).ended.remove(0);
    assert_eq!((ended.quality, ended.error_s), (SessionQuality::Bounded, 4_900));
    assert_eq!(ended.duration_s, 4_900);
}

#[test]
fn a_report_that_a_wrong_clock_dated_does_not_make_the_bay_deaf() {
    const YEARS_10: u64 = 10 * 365 * 86_400;
    for restarted in [false, true] {
        let mut bay = Occupancy::default();
        say(&mut bay, 0, false);
        // For a while the clock is ten years ahead.
        let wrong = |s| Moment {
            clock: ClockQuality::Unset,
            utc: t(s).utc + Span::from_secs(YEARS_10),
            ..t(s)
        };
        let occupied = [Quantity::Occupied(true)];
        let report =
            Report { sensor: "a", rank: 0, gap: Gap::None, quantities: &occupied, at: wrong(100) };
        bay.report("b-1", &report, wrong(100), &SETTINGS);
        bay.settle("b-1", wrong(160), &SETTINGS);
        assert_eq!(bay.status(), Status::Occupied);
        // Then it is right again.
        let right = |s| Moment { boot: Boot(1 + u32::from(restarted)), ..t(s) };
        for (s, yes) in [(4_000, false), (5_000, true)] {
            let quantities = [Quantity::Occupied(yes)];
            let at = right(s);
            let report = Report { quantities: &quantities, at, ..report };
            bay.report("b-1", &report, at, &SETTINGS);
            bay.settle("b-1", right(s + 60), &SETTINGS);
            let status = if yes { Status::Occupied } else { Status::Free };
            assert_eq!(bay.status(), status, "restarted: {restarted}");
            assert_eq!(bay.heard(), Some(at), "restarted: {restarted}");
        }
    }
}

#[test]
fn occupied_when_first_heard_of_is_an_inferred_stay() {
    let mut bay = Occupancy::default();
    say(&mut bay, 0, true);
    say(&mut bay, 600, false);
    let ended = settle(&mut bay, 700).ended.remove(0);
    assert_eq!(ended.quality, SessionQuality::Inferred);
}

#[test]
fn a_late_report_that_has_already_held_counts_at_once_with_its_own_time() {
    let mut bay = Occupancy::default();
    say(&mut bay, 0, false);
    let quantities = &[Quantity::Occupied(true)];
    let report = Report { sensor: "a", rank: 0, gap: Gap::None, quantities, at: t(1_000) };
    let change = bay.report("b-1", &report, t(8_000), &SETTINGS);
    assert!(change.state);
    assert_eq!(bay.stay_since(), Some(t(1_000)));
}

#[test]
fn a_report_from_before_the_present_state_is_not_about_now() {
    let mut bay = Occupancy::default();
    say(&mut bay, 0, false);
    say(&mut bay, 1_000, true);
    settle(&mut bay, 1_100);
    let quantities = &[Quantity::Occupied(false)];
    let report = Report { sensor: "a", rank: 0, gap: Gap::None, quantities, at: t(500) };
    bay.report("b-1", &report, t(1_200), &SETTINGS);
    assert_eq!(settle(&mut bay, 2_000), Change::default());
    assert_eq!(bay.status(), Status::Occupied);
}

fn parked_at_100() -> Occupancy {
    let mut bay = Occupancy::default();
    say(&mut bay, 0, false);
    say(&mut bay, 100, true);
    settle(&mut bay, 200);
    bay
}

fn ends(change: &Change) -> Vec<(u64, SessionQuality)> {
    change.ended.iter().map(|e| (e.duration_s, e.quality)).collect()
}

#[test]
fn a_lost_arrival_is_a_stay_that_the_sensor_counted() {
    let mut bay = Occupancy::default();
    say(&mut bay, 0, false);
    let leave = [Quantity::Occupied(false), counted(40)];
    let change = hear(&mut bay, "a", 4_000, Gap::Missing(1), &leave);
    assert_eq!(ends(&change), [(2400, SessionQuality::Inferred)]);
    let again = hear(&mut bay, "a", 4_002, Gap::None, &leave);
    assert_eq!(again, Change::default(), "the same report again, without a counter");
}

#[test]
fn a_lost_departure_ends_where_the_sensor_counts_the_gap_from() {
    let arrive = [Quantity::Occupied(true), counted(10)];
    let mut bay = parked_at_100();
    let change = hear(&mut bay, "a", 4_000, Gap::Missing(1), &arrive);
    assert_eq!(ends(&change), [(3_300, SessionQuality::Bounded)]);
    assert_eq!((bay.stay_since(), bay.status()), (Some(t(4_000)), Status::Occupied));
    // Its arrival was lost as well: that error does not go away.
    let mut bay = Occupancy::default();
    say(&mut bay, 0, false);
    hear(&mut bay, "a", 1_000, Gap::Missing(1), &[Quantity::Occupied(true)]);
    settle(&mut bay, 1_060);
    let ended = hear(&mut bay, "a", 4_000, Gap::Missing(1), &arrive).ended.remove(0);
    assert_eq!((ended.duration_s, ended.error_s), (2_400, 1_001));
    assert_eq!(ended.certain, (t(1_000).utc, t(3_399).utc));
    // More is missing: which of the cars left then, nobody knows.
    let mut bay = parked_at_100();
    let change = hear(&mut bay, "a", 4_000, Gap::Missing(3), &arrive);
    assert_eq!(ends(&change), [(3_300, SessionQuality::LostEnd)]);
}

#[test]
fn missing_reports_inside_a_stay_are_settled_by_the_sensors_count_or_not_at_all() {
    let leave = |minutes| [Quantity::Occupied(false), counted(minutes)];
    let with = |quantities: &[Quantity]| {
        let mut bay = parked_at_100();
        hear(&mut bay, "a", 3_000, Gap::Missing(2), &[Quantity::Occupied(true)]);
        hear(&mut bay, "a", 6_100, Gap::None, quantities);
        ends(&settle(&mut bay, 6_200))
    };
    assert_eq!(with(&leave(100)), [(6_000, SessionQuality::Exact)], "the same car all the time");
    let two = [(3_600, SessionQuality::LostEnd), (2_400, SessionQuality::Inferred)];
    assert_eq!(with(&leave(40)), two);
    assert_eq!(with(&[Quantity::Occupied(false)]), [(6_000, SessionQuality::Inferred)]);
}

#[test]
fn a_sensor_that_starts_anew_in_a_stay_does_not_shorten_it() {
    let mut bay = parked_at_100();
    hear(&mut bay, "a", 3_000, Gap::Restarted, &[Quantity::Occupied(true)]);
    hear(&mut bay, "a", 6_100, Gap::None, &[Quantity::Occupied(false), counted(50)]);
    assert_eq!(ends(&settle(&mut bay, 6_200)), [(6_000, SessionQuality::Inferred)]);
}

#[test]
fn an_arrival_after_missing_reports_may_have_been_earlier() {
    let mut bay = Occupancy::default();
    say(&mut bay, 0, false);
    hear(&mut bay, "a", 1_000, Gap::Missing(1), &[Quantity::Occupied(true)]);
    settle(&mut bay, 1_060);
    say(&mut bay, 4_000, false);
    let ended = settle(&mut bay, 4_060).ended.remove(0);
    assert_eq!((ended.quality, ended.error_s), (SessionQuality::Bounded, 1_000));
}

#[test]
fn regained_as_occupied_it_may_be_another_car() {
    let mut bay = parked_at_100();
    bay.lose(NoData::Silent, t(4_000));
    assert!(say(&mut bay, 5_000, true).ended.is_empty());
    say(&mut bay, 6_000, false);
    assert_eq!(ends(&settle(&mut bay, 6_060)), [(5_900, SessionQuality::Inferred)]);
}

#[test]
fn two_sensors_that_agree_are_one_and_the_second_is_waited_for() {
    let mut bay = Occupancy::default();
    let one = |bay: &mut Occupancy, sensor, s, yes| {
        hear(bay, sensor, s, Gap::None, &[Quantity::Occupied(yes)])
    };
    one(&mut bay, "a", 0, false);
    one(&mut bay, "b", 1, false);
    one(&mut bay, "a", 100, true);
    assert_eq!(settle(&mut bay, 170), Change::default(), "the other one has not said so");
    assert!(one(&mut bay, "b", 175, true).state);
    assert_eq!((bay.stay_since(), bay.is_contested()), (Some(t(100)), false));
    // The second alone changes nothing; the first alone does, later, and it may not be billed.
    one(&mut bay, "b", 1_000, false);
    assert_eq!(settle(&mut bay, 2_000), Change::default());
    one(&mut bay, "b", 2_100, true);
    one(&mut bay, "a", 2_200, false);
    assert_eq!(settle(&mut bay, 2_379), Change::default());
    assert_eq!(ends(&settle(&mut bay, 2_380)), [(2_100, SessionQuality::Inferred)]);
}

#[test]
fn a_sensor_that_holds_out_alone_is_asked_to_learn_anew_once_a_day() {
    let mut bay = Occupancy::default();
    hear(&mut bay, "a", 0, Gap::None, &[Quantity::Occupied(false)]);
    hear(&mut bay, "b", 1, Gap::None, &[Quantity::Occupied(true)]);
    assert_eq!(settle(&mut bay, 21_600), Change::default());
    assert!(bay.is_contested() && !bay.is_drifted());
    assert_eq!(settle(&mut bay, 21_601).recalibrate, ["b"]);
    assert!(bay.is_drifted());
    assert_eq!(settle(&mut bay, 30_000), Change::default());
    assert_eq!(settle(&mut bay, 21_601 + 86_400).recalibrate, ["b"]);
    assert_eq!(bay.status(), Status::Free);
    hear(&mut bay, "b", 110_000, Gap::None, &[Quantity::Occupied(false)]);
    hear(&mut bay, "a", 110_001, Gap::None, &[Quantity::Occupied(false)]);
    assert!(!bay.is_drifted());
}

#[test]
fn occupied_for_a_week_by_one_sensor_alone_is_not_believed() {
    let mut bay = parked_at_100();
    let week = 100 + 7 * 86_400;
    for s in (3_000..week).step_by(3_000) {
        say(&mut bay, s, true);
        assert_eq!(settle(&mut bay, s), Change::default());
    }
    let change = settle(&mut bay, week);
    assert_eq!(ends(&change), [(7 * 86_400, SessionQuality::LostEnd)]);
    assert_eq!((bay.status(), bay.is_stuck()), (Status::Unknown, true));
    assert_eq!(say(&mut bay, week + 60, true), Change::default(), "still not");
    assert!(say(&mut bay, week + 120, false).state);
    assert_eq!((bay.status(), bay.is_stuck()), (Status::Free, false));
}

#[test]
fn out_of_service_is_a_persons_word_until_it_is_taken_back() {
    let mut bay = parked_at_100();
    let change = bay.take_out("b-1", t(1_000));
    assert_eq!(ends(&change), [(900, SessionQuality::LostEnd)]);
    assert_eq!(say(&mut bay, 1_100, false), Change::default());
    assert_eq!(bay.lose(NoData::Silent, t(9_000)), Change::default());
    assert_eq!(bay.status(), Status::OutOfService);
    assert!(bay.put_back(t(10_000)).state);
    assert_eq!(bay.status(), Status::Unknown);
    assert!(say(&mut bay, 10_100, false).state);
    assert_eq!(bay.status(), Status::Free);
}

#[test]
fn a_camera_is_a_sensor_like_any_other() {
    use crate::sample::{Detection, Object};
    use crate::units::Permille;
    let see = |what, percent| {
        Quantity::Detected(Detection { what, confidence: Permille::from_percent(percent) })
    };
    let camera = |bay: &mut Occupancy, s, seen| hear(bay, "b", s, Gap::None, &[seen]);
    let mut bay = Occupancy::default();
    say(&mut bay, 0, false);
    camera(&mut bay, 10, see(None, 90));
    // The magnetometer says car, the camera does not see it: the first has the word, later.
    say(&mut bay, 100, true);
    camera(&mut bay, 110, see(None, 90));
    assert!(bay.is_contested());
    settle(&mut bay, 170);
    assert_eq!(bay.status(), Status::Free);
    // A person before the car, or a shadow of one, changes no word.
    camera(&mut bay, 180, see(Some(Object::Person), 95));
    camera(&mut bay, 190, see(Some(Object::Car), 30));
    assert!(bay.is_contested());
    camera(&mut bay, 200, see(Some(Object::Truck), 80));
    assert!(!bay.is_contested());
    settle(&mut bay, 260);
    assert_eq!((bay.status(), bay.stay_since()), (Status::Occupied, Some(t(100))));
    // Alone, it is as good as any: nothing was heard of the magnetometer since.
    camera(&mut bay, 3_590, see(Some(Object::Car), 80));
    camera(&mut bay, 7_000, see(None, 80));
    settle(&mut bay, 7_020);
    assert_eq!(bay.status(), Status::Free);
}
