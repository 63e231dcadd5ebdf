use jiff::tz::TimeZone;

use super::super::plane::{Flat, Plane};
use super::*;
use crate::place::Datum;
use crate::rules::FactName;
use crate::sample::Absent;
use crate::site::Duty;
use crate::sweeping::{Course, Zone, ZoneKind};
use crate::time::{Boot, Utc};
use crate::units::Millimetres;

fn sweeper() -> Vehicle {
    Vehicle {
        kind: VehicleKind::Sweeper,
        work_speed_max: MillimetresPerSecond::from_kmh(15),
        parked_after: Span::from_mins(10),
        stale_after: Span::from_mins(5),
        duty: Duty::NONE,
    }
}

fn t(s: u64) -> Moment {
    Moment {
        boot: Boot(1),
        monotonic: Monotonic::from_ms(s * 1000),
        utc: Utc::from_ms(1_780_000_000_000) + Span::from_secs(s),
        clock: ClockQuality::Gnss,
    }
}

fn live(s: u64) -> Arrival {
    Arrival { at: t(s), now: t(s), dated: true }
}

fn at(x: f64, y: f64) -> Position {
    let origin = Position::from_degrees(31.81, 119.97, Datum::Wgs84).unwrap();
    Plane::at(origin).position(Flat { x, y }).unwrap()
}

fn fix_at(position: Position, speed: Option<MillimetresPerSecond>) -> Quantity {
    let accuracy = Some(Millimetres(2000));
    Quantity::Fix(Fix { position, speed, course: None, accuracy, satellites: Some(9) })
}

fn fix(lat: f64, kmh: u32) -> Quantity {
    let position = Position::from_degrees(lat, 119.97, Datum::Wgs84).unwrap();
    fix_at(position, Some(MillimetresPerSecond::from_kmh(kmh)))
}

/// Small noise that is the same on every machine, from -1 to 1.
fn noise(n: u64) -> f64 {
    let mixed = n.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let mixed = (mixed ^ (mixed >> 29)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    (mixed >> 11) as f64 / (1u64 << 52) as f64 - 1.0
}

/// Drives east at `mm_s` from second `from` to `until`; gives what changed.
fn drive(
    v: &mut Tracker,
    s: &Vehicle,
    (from, until): (u64, u64),
    x0: f64,
    mm_s: u32,
) -> Vec<Change> {
    let speed = Some(MillimetresPerSecond(mm_s));
    let x = |second: u64| x0 + (second - from) as f64 * f64::from(mm_s) / 1000.0;
    (from..until)
        .map(|second| v.report(&[fix_at(at(x(second), 0.0), speed)], live(second), s))
        .collect()
}

fn facts(changes: &[Change], name: FactName) -> Vec<i64> {
    let all = changes.iter().flat_map(|change| &change.facts);
    all.filter(|(n, _)| *n == name).map(|(_, value)| *value).collect()
}

#[test]
fn the_activity_follows_the_speed_and_says_that_it_is_inferred() {
    let (mut v, s) = (Tracker::default(), sweeper());
    let run = [(0, 8, Activity::Working), (1, 40, Activity::Travelling), (2, 0, Activity::Idle)];
    for (second, kmh, activity) in run {
        v.report(&[fix(31.81, kmh)], live(second), &s);
        assert_eq!(v.activity(), activity, "{kmh} km/h");
    }
    // It has not left the place since second 0.
    let view = serde_json::to_value(v.view()).unwrap();
    assert_eq!(view["activity_from"], "speed");
    assert!(v.settle(t(600), &s).state);
    assert_eq!(v.activity(), Activity::Parked);
}

#[test]
fn a_raised_brush_is_travelling_at_any_speed() {
    let (mut v, s) = (Tracker::default(), sweeper());
    let run = [
        (0, Some(false), 8, Activity::Travelling),
        (1, Some(true), 8, Activity::Working),
        (2, None, 18, Activity::Travelling),
    ];
    for (second, signal, kmh, activity) in run {
        let signal = signal.map(Quantity::Working);
        let report: Vec<_> = signal.into_iter().chain([fix(31.81, kmh)]).collect();
        v.report(&report, live(second), &s);
        assert_eq!(v.activity(), activity, "{kmh} km/h");
    }
    assert_eq!(serde_json::to_value(v.view()).unwrap()["activity_from"], "signal");
}

#[test]
fn without_a_position_nothing_is_shown_and_the_rules_hear_how_long() {
    let (mut v, s) = (Tracker::default(), sweeper());
    v.report(&[fix(31.81, 8)], live(0), &s);
    let absent = [Quantity::Absent(Absent { what: Missing::Fix, why: NoData::NoFix })];
    assert!(v.report(&absent, live(1), &s).state);
    let rest: Vec<_> = (2..200).map(|n| v.report(&absent, live(n), &s)).collect();
    assert!(rest.iter().all(|change| !change.state), "said once");
    assert_eq!(facts(&rest, FactName::NoFixMin), [1000, 2000, 3000]);
    let view = serde_json::to_value(v.view()).unwrap();
    assert_eq!((&view["activity"], view.get("position")), (&"unknown".into(), Some(&().into())));
    // A signal alone does not make a place known.
    v.report(&[Quantity::Working(true)], live(201), &s);
    assert_eq!(v.activity(), Activity::Unknown);
    let back = v.report(&[fix(31.81, 8)], live(202), &s);
    assert_eq!(facts(&[back], FactName::NoFixMin), [0]);
}

#[test]
fn a_jump_is_not_believed_until_it_stays() {
    let (mut v, s) = (Tracker::default(), sweeper());
    for (second, lat) in [(0, 31.81), (1, 31.91), (2, 31.81), (3, 31.91), (4, 31.91)] {
        v.report(&[fix(lat, 0)], live(second), &s);
        assert_eq!(v.position().unwrap().lat(), 31.81, "{second}");
    }
    v.report(&[fix(31.91, 0)], live(5), &s);
    assert_eq!((v.position().unwrap().lat(), v.fixes(), v.belief.jumps), (31.91, 3, 3));
    assert_eq!(v.distance_mm(), 0, "the way in between was not driven");
    v.report(&[fix(32.4, 8)], live(5 + 3600), &s);
    assert_eq!(v.fixes(), 4, "an hour is enough for 55 km");
}

#[test]
fn a_report_that_comes_twice_counts_once_and_an_old_one_changes_no_present() {
    let (mut v, s) = (Tracker::default(), sweeper());
    let report = |v: &mut Tracker, measured: u64, lat: f64| {
        let arrival = Arrival { at: t(measured), now: t(2000), dated: true };
        v.report(&[Quantity::Working(true), fix(lat, 8)], arrival, &s)
    };
    report(&mut v, 1990, 31.81);
    assert!(report(&mut v, 1990, 31.81).duplicate);
    // Blind for a while, its terminal sends what it has kept: where it was ten minutes ago.
    let old: Vec<_> = (0..30u32)
        .map(|n| report(&mut v, 1400 + u64::from(n), 31.80 + f64::from(n) * 2e-5))
        .collect();
    assert!(old.iter().map(|change| change.pieces.len()).sum::<usize>() >= 8, "it swept there");
    assert_eq!(v.position().unwrap().lat(), 31.81);
    assert_eq!((v.fixes(), v.belief.late, v.belief.duplicates), (31, 30, 1));
    // A receiver whose clock steps back by a second is where it says.
    report(&mut v, 1989, 31.810_01);
    assert_eq!(v.position().unwrap().lat(), 31.810_01);
    // One whose clock was an hour ahead as well.
    let ahead = Arrival { at: t(5600), now: t(2001), dated: true };
    v.report(&[fix(31.81, 8)], ahead, &s);
    let arrival = Arrival { at: t(2002), now: t(2002), dated: true };
    v.report(&[fix(31.810_02, 8)], arrival, &s);
    assert_eq!(v.position().unwrap().lat(), 31.810_02);
}

#[test]
fn two_reports_without_a_time_in_one_turn_are_two() {
    let (mut v, s) = (Tracker::default(), sweeper());
    let arrival = Arrival { at: t(1), now: t(1), dated: false };
    for _ in 0..2 {
        assert!(!v.report(&[fix(31.81, 8)], arrival, &s).duplicate);
    }
    assert_eq!(v.fixes(), 2);
}

#[test]
fn what_was_reported_long_ago_is_no_present() {
    let (mut v, s) = (Tracker::default(), sweeper());
    let months_ago = Arrival { at: t(10), now: t(8_000_000), dated: true };
    let change = v.report(&[fix(31.81, 8)], months_ago, &s);
    assert!(change.state);
    assert_eq!((v.activity(), v.fixes()), (Activity::Unknown, 1));
    assert_eq!(serde_json::to_value(v.view()).unwrap()["reason"], "silent");
}

#[test]
fn a_moving_vehicle_is_published_every_five_seconds_and_stored_every_fifteen() {
    let (mut v, s) = (Tracker::default(), sweeper());
    let changes = drive(&mut v, &s, (0, 60), 0.0, 2000);
    assert_eq!(changes.iter().filter(|change| change.state).count(), 12);
    assert_eq!(changes.iter().filter(|change| !change.keeps).count(), 3);
    assert_eq!(v.due(t(59), &s), Some(Monotonic::from_ms(63_000)), "and what is left after that");
}

#[test]
fn a_receiver_at_rest_wanders_and_its_vehicle_does_not() {
    let (mut v, s) = (Tracker::default(), sweeper());
    drive(&mut v, &s, (0, 200), 0.0, 2000);
    let mut changes = vec![];
    let mut drift = (0.0, 0.0);
    for second in 200..8000 {
        drift = (drift.0 * 0.98 + noise(second), drift.1 * 0.98 + noise(second + 99_991));
        // Up to 1.5 km/h, which is a slow sweeper's speed.
        let speed = MillimetresPerSecond((noise(second * 7).abs() * 420.0) as u32);
        let place = at(400.0 + drift.0 * 2.0, drift.1 * 2.0);
        changes.push(v.report(&[fix_at(place, Some(speed))], live(second), &s));
    }
    assert_eq!(v.activity(), Activity::Parked);
    let parked = changes.iter().position(|change| !change.over.is_empty()).unwrap();
    assert!((550..=620).contains(&parked), "{parked}: ten minutes after it came to rest");
    let flaps = changes[parked + 1..].iter().filter(|change| !change.over.is_empty()).count();
    assert_eq!(flaps, 0, "no trips in place");
    let way = v.distance_mm() as f64 / 1000.0;
    assert!((way - 398.0).abs() < 50.0, "{way} m: two hours of drift are no way");
    let stopped = facts(&changes, FactName::StoppedMin);
    assert!(stopped.iter().max() >= Some(&120_000), "{stopped:?}");
    assert!(stopped.is_sorted(), "never begun anew");
}

#[test]
fn the_way_is_not_the_noise_of_the_receiver() {
    let (mut v, s) = (Tracker::default(), sweeper());
    let (mut drift, mut raw) = ((0.0, 0.0), 0.0);
    let mut last = None;
    for second in 0..3600u64 {
        drift = (drift.0 * 0.98 + 0.2 * noise(second), drift.1 * 0.98 + 0.2 * noise(second + 7));
        let x = second as f64 * 2.2 + drift.0 + 0.8 * noise(second * 3);
        let place = at(x, drift.1 + 0.8 * noise(second * 5));
        raw += last.map_or(0.0, |last: Position| last.distance_m(place).unwrap());
        last = Some(place);
        let speed = MillimetresPerSecond((2200.0 + 150.0 * noise(second * 11)) as u32);
        v.report(&[fix_at(place, Some(speed))], live(second), &s);
    }
    let (way, truth) = (v.distance_mm() as f64 / 1000.0, 3599.0 * 2.2);
    assert!((way / truth - 1.0).abs() < 0.02, "{way} of {truth}");
    let doppler = v.motion.doppler_mm.unwrap() as f64 / 1000.0;
    assert!((doppler / truth - 1.0).abs() < 0.01, "{doppler} of {truth}");
    assert!(raw / truth > 1.03, "the sum of distances says {raw}");
}

#[test]
fn a_brush_that_comes_up_without_a_position_ends_the_way_at_work() {
    let (mut v, s) = (Tracker::default(), sweeper());
    v.report(&[Quantity::Working(true)], live(0), &s);
    drive(&mut v, &s, (1, 60), 0.0, 2000);
    v.report(&[Quantity::Working(false)], live(60), &s);
    v.report(&[Quantity::Working(true)], live(400), &s);
    // Elsewhere and later: what lies between was not swept unseen.
    let changes = drive(&mut v, &s, (401, 430), 600.0, 2000);
    let unknown = |piece: &&Piece| piece.worth == crate::sweeping::Worth::Unknown;
    assert_eq!(changes.iter().flat_map(|c| &c.pieces).filter(unknown).count(), 0);
}

#[test]
fn a_night_in_a_garage_joins_no_two_trips() {
    let (mut v, s) = (Tracker::default(), sweeper());
    let mut over: Vec<_> =
        drive(&mut v, &s, (0, 600), 0.0, 3000).into_iter().flat_map(|c| c.over).collect();
    assert!(over.is_empty());
    // Nine hours under ground, unheard; it comes up 300 m further.
    over.extend(v.silent(t(900), &s).over);
    over.extend(v.settle(t(1200), &s).over);
    let [Over::Trip(first)] = &over[..] else { panic!("{over:?}") };
    let first = serde_json::to_value(first).unwrap();
    assert!((1770.0..1800.0).contains(&first["distance_m"].as_f64().unwrap()), "{first}");
    assert_eq!(first["idle_s"], 0, "{first}");
    over.clear();
    over.extend(v.settle(t(600 + 3 * 3600), &s).over);
    assert!(matches!(&over[..], [Over::Shift(_)]), "{over:?}");
    over.clear();
    over.extend(drive(&mut v, &s, (33_000, 33_600), 2100.0, 3000).into_iter().flat_map(|c| c.over));
    over.extend(v.settle(t(33_600 + 600), &s).over);
    let [Over::Trip(second)] = &over[..] else { panic!("{over:?}") };
    let second = serde_json::to_value(second).unwrap();
    assert!((1740.0..1800.0).contains(&second["distance_m"].as_f64().unwrap()), "{second}");
    assert!(second["working_s"].as_u64() > Some(550), "{second}");
}

#[test]
fn a_shift_is_its_trips() {
    let (mut v, s) = (Tracker::default(), sweeper());
    let mut over = vec![];
    let mut x = 0.0;
    for trip in 0..3u64 {
        let begin = trip * 3000;
        over.extend(
            drive(&mut v, &s, (begin, begin + 600), x, 3000).into_iter().flat_map(|c| c.over),
        );
        x += 1800.0;
        over.extend(
            drive(&mut v, &s, (begin + 600, begin + 1500), x, 0).into_iter().flat_map(|c| c.over),
        );
    }
    assert_eq!(over.len(), 3);
    over.extend(v.settle(t(6600 + 3 * 3600 + 1), &s).over);
    let Some(Over::Shift(shift)) = over.last() else { panic!("{over:?}") };
    let shift = serde_json::to_value(shift).unwrap();
    assert_eq!(shift["trips"], 3);
    assert!((5370.0..5420.0).contains(&shift["distance_m"].as_f64().unwrap()), "{shift}");
    assert_eq!(v.due(t(20_000), &s), None, "nothing is left to say");
}

#[test]
fn too_fast_at_work_is_told_only_while_the_parts_run() {
    let (mut v, s) = (Tracker::default(), sweeper());
    let mut changes = vec![];
    for (second, works, kmh) in [(0, true, 10), (1, true, 20), (2, false, 40), (3, true, 15)] {
        let report = [Quantity::Working(works), fix(31.81, kmh)];
        changes.push(v.report(&report, live(second), &s));
    }
    let over = facts(&changes, FactName::OverspeedKmh);
    assert_eq!(over.len(), 4);
    assert!(
        (over[0], over[2], over[3]) == (0, 0, 0) && (4990..5010).contains(&over[1]),
        "{over:?}"
    );
    let mut blind = Tracker::default();
    let none = drive(&mut blind, &s, (0, 5), 0.0, 9000);
    assert!(facts(&none, FactName::OverspeedKmh).is_empty(), "without a signal nobody knows");
}

#[test]
fn a_running_engine_that_goes_nowhere_is_idling() {
    let (mut v, s) = (Tracker::default(), sweeper());
    let mut reports = |on: bool, seconds: std::ops::Range<u64>| -> Vec<i64> {
        let report = [Quantity::Ignition(on), fix(31.81, 0)];
        let changes: Vec<_> = seconds.map(|n| v.report(&report, live(n), &s)).collect();
        facts(&changes, FactName::IdlingMin)
    };
    assert_eq!(reports(true, 0..181), [0, 1000, 2000, 3000]);
    assert_eq!(reports(false, 181..400), [0]);
}

#[test]
fn areas_courses_and_places_to_rest() {
    let square = |kind, x: f64| {
        let corners = [(x, -50.0), (x + 200.0, -50.0), (x + 200.0, 50.0), (x, 50.0)];
        Zone::new("z", kind, &corners.map(|(x, y)| at(x, y))).unwrap().into()
    };
    let course = Course::new(&[at(0.0, 0.0), at(300.0, 0.0)], vec![], TimeZone::UTC).unwrap();
    let mut s = sweeper();
    s.duty.zones = vec![square(ZoneKind::Work, 0.0), square(ZoneKind::Rest, 600.0)];
    s.duty.courses = vec![course.into()];
    let mut v = Tracker::default();
    let mut changes = drive(&mut v, &s, (0, 201), 0.0, 2000);
    assert_eq!(facts(&changes, FactName::OutOfArea), [0, 1000]);
    let off = facts(&changes, FactName::DeviationM);
    assert_eq!((off[0], *off.last().unwrap()), (0, 100_000));
    changes = drive(&mut v, &s, (201, 351), 400.0, 2000);
    assert_eq!(facts(&changes, FactName::OutOfArea), [0], "the depot is allowed");
    changes = drive(&mut v, &s, (351, 3000), 700.0, 0);
    assert!(facts(&changes, FactName::StoppedMin).is_empty(), "and good to rest in");
}

#[test]
fn a_track_is_sent_when_it_is_full_and_when_the_vehicle_rests_and_survives_a_restart() {
    let (mut v, s) = (Tracker::default(), sweeper());
    let mut tracks: Vec<Sent> =
        drive(&mut v, &s, (0, 700), 0.0, 2000).into_iter().filter_map(|c| c.track).collect();
    let text = serde_json::to_vec(&v).unwrap();
    let stored: Tracker = serde_json::from_slice(&text).unwrap();
    assert_eq!(serde_json::to_vec(&stored).unwrap(), text);
    // 120 waiting points at most, of 13 characters each, twice, and what else is known of the vehicle.
    assert!(text.len() < 3500, "{}", text.len());
    let mut v = stored;
    let rest = drive(&mut v, &s, (700, 1400), 1400.0, 0);
    tracks.extend(rest.into_iter().filter_map(|c| c.track));
    let track: Vec<_> = tracks
        .iter()
        .flat_map(|sent| {
            let code = serde_json::to_value(sent).unwrap()["code"].as_str().unwrap().to_owned();
            super::super::track::decode(&code).unwrap()
        })
        .collect();
    assert!(tracks.len() >= 2 && track.is_sorted_by_key(|point| point.at), "{tracks:?}");
    let length = super::super::track::length_m(&track);
    assert!((length - 1400.0).abs() < 5.0, "{length}");
}
