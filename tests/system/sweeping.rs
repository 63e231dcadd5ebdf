//! Sweeping against the truth: recorded drives, real rounds, and a simulated week of ten sweepers.

use std::collections::{BTreeMap, BTreeSet};

use domain::place::{Datum, Position};
use domain::sample::Fix;
use domain::sweeping::{
    Coverage, Doing, Layout, Outcome, Path, Plan, Progress, Round, Side, Step, Stop, Tolerance,
    Track, Window, encode, length_m, synchronised_error_m,
};
use domain::time::{Span, Utc};
use jiff::tz::TimeZone;
use serde_json::Value;
use system_tests::data;

use crate::nmea_drives::{decode, fixes};

/// Small numbers with a seed (SplitMix64), the same on every machine.
struct Chance(u64);

impl Chance {
    fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// From 0 to 1.
    fn unit(&mut self) -> f64 {
        (self.bits() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// Near enough to a normal distribution: the sum of twelve.
    fn normal(&mut self) -> f64 {
        (0..12).map(|_| self.unit()).sum::<f64>() - 6.0
    }
}

const LAT: f64 = 31.811;
const LON: f64 = 119.974;
const DEGREE_M: f64 = 111_195.08;

fn place(x: f64, y: f64) -> Position {
    let east = DEGREE_M * LAT.to_radians().cos();
    Position::from_degrees(LAT + y / DEGREE_M, LON + x / east, Datum::Wgs84).unwrap()
}

fn compress(track: &[(Position, Utc)], error_m: f64) -> (usize, f64, f64, f64) {
    let (mut compressor, mut kept) = (Track::default(), vec![]);
    for (position, at) in track {
        compressor.take(*position, *at, Doing::default(), error_m, &mut kept);
    }
    compressor.gap(&mut kept);
    let off = track.iter().filter_map(|(p, at)| synchronised_error_m(&kept, *p, *at));
    let worst = off.fold(0.0, f64::max);
    let km = length_m(&kept) / 1000.0;
    (kept.len(), worst, encode(&kept).len() as f64 / km, km)
}

#[test]
fn compressed_drives_stay_within_their_bound() {
    let Some(set) = data::set("gnss_drives") else { return };
    println!(
        "| track | error | fixes | kept | worst | bytes/km | km |\n|---|---|---|---|---|---|---|"
    );
    let report = |name: &str, track: &[(Position, Utc)]| {
        for error in [3.0, 5.0, 10.0] {
            let (kept, worst, bytes, km) = compress(track, error);
            let n = track.len();
            println!("| {name} | {error} m | {n} | {kept} | {worst:.2} m | {bytes:.0} | {km:.2} |");
            assert!(worst <= error + 0.01, "{name}: {worst} m for {error} m");
            assert!(kept * 2 < n, "{name}: {kept} of {n} kept");
        }
    };
    for drive in ["munich-gps.nmea", "20100411_Geko_Regensburg.nmea"] {
        let (samples, _) = decode(&data::read(&set, drive), &[]);
        let mut track: Vec<(Position, Utc)> = vec![];
        for (at, Fix { position, .. }) in fixes(&samples) {
            let at = at.unwrap();
            // A receiver whose time steps back adds nothing to a track.
            if track.last().is_none_or(|(_, last)| *last < at) {
                track.push((position, at));
            }
        }
        report(drive, &track);
    }
    let mut receiver = Receiver { chance: Chance(11), drift: (0.0, 0.0) };
    let street = Street { x0: 0.0, y0: 0.0, x1: 5000.0, y1: 0.0 };
    let track: Vec<_> = (0..2250u64)
        .map(|s| {
            let (x, y) = street.at(s as f64 * 2.2);
            let (x, y) = receiver.sees(x, y);
            (place(x, y), Utc::from_ms(MIDNIGHT) + Span::from_secs(s))
        })
        .collect();
    report("simulated sweeping, 1 Hz", &track);
}

#[test]
fn a_truck_that_skips_two_stops_and_is_late_at_one_has_three_findings() {
    let Some(set) = data::set("sweep_routes") else { return };
    let routes: Value =
        serde_json::from_str(&data::text(&set, "tainan_collection_routes.json")).unwrap();
    let mut tried = 0;
    for route in routes.as_array().unwrap() {
        for round in route["data"].as_array().unwrap() {
            tried += usize::from(drive_round(round));
        }
    }
    assert!(tried >= 8, "only {tried} rounds have the stops for it");
}

/// Drives a round of the file on a Monday; answers whether it has stops enough.
fn drive_round(round: &Value) -> bool {
    let mut stops = vec![];
    for stop in round["StopData"].as_array().unwrap() {
        let time = stop["ScheduleTime"].as_str().unwrap();
        let Some((hour, minute)) = time.split_once(':') else { continue };
        let due = hour.parse::<u16>().unwrap() * 60 + minute.parse::<u16>().unwrap();
        let days = stop["DayValue"].as_str().unwrap();
        let on = ["一", "二", "三", "四", "五", "六", "日"].map(|day| days.contains(day));
        let (lat, lon) = (stop["Lat"].as_f64().unwrap(), stop["Lon"].as_f64().unwrap());
        let (Some(due), true) = (Window::new(on, due, due + 1), on[0]) else { continue };
        let position = Position::from_degrees(lat, lon, Datum::Wgs84).unwrap();
        stops.push(Stop { name: stop["StopName"].as_str().unwrap().into(), position, due });
    }
    if stops.len() < 6 {
        return false;
    }
    let zone = TimeZone::posix("CST-8").unwrap();
    let monday = Utc::parse("2026-06-08T00:00:00+08:00").unwrap();
    let planned: Vec<Utc> =
        stops.iter().map(|s| s.due.shift(monday, &zone).unwrap().from).collect();
    let (skipped, late) = ([1, 3], 4);
    let round = Round { stops, tolerance: Tolerance::default(), zone };
    let (mut progress, mut visits) = (Progress::default(), vec![]);
    progress.pass(&round, monday, &mut visits);
    // A stop next door could be taken for one of the three: such rounds prove nothing.
    let apart = |a: usize, b: usize| {
        a == b || round.stops[a].position.distance_m(round.stops[b].position).unwrap() > 100.0
    };
    let n = round.stops.len();
    if [1, 3, late].iter().any(|a| (0..n).any(|b| !apart(*a, b))) {
        return false;
    }
    let mut drive: Vec<(Utc, usize)> = (0..n)
        .filter(|i| !skipped.contains(i))
        .map(|i| {
            let delay = if i == late { Span::from_mins(25) } else { Span::from_mins(2) };
            (planned[i] + delay, i)
        })
        .collect();
    drive.sort();
    for (at, stop) in drive {
        // It stands there for a minute, and is seen every twenty seconds.
        for seconds in [0, 20, 40] {
            let at = at + Span::from_secs(seconds);
            progress.take(&round, round.stops[stop].position, None, at, &mut visits);
        }
    }
    progress.pass(&round, monday + Span::from_mins(26 * 60), &mut visits);
    let findings: BTreeMap<usize, Outcome> = visits
        .iter()
        .filter(|v| v.outcome != Outcome::Served)
        .map(|v| (v.stop, v.outcome))
        .collect();
    let expected =
        BTreeMap::from([(1, Outcome::Skipped), (3, Outcome::Skipped), (4, Outcome::Late)]);
    assert_eq!(findings, expected, "{}", round.stops[0].name);
    assert_eq!(visits.len(), n, "every stop once");
    true
}

/// Monday 2026-06-08T00:00:00Z.
const MIDNIGHT: i64 = 1_780_876_800_000;

/// A receiver as it is in streets: a slow drift of some metres and a little noise.
struct Receiver {
    chance: Chance,
    drift: (f64, f64),
}

impl Receiver {
    /// An autoregressive drift with 1.5 m deviation and a minute's memory, and 0.4 m of noise.
    fn sees(&mut self, x: f64, y: f64) -> (f64, f64) {
        let keep = (-1.0f64 / 60.0).exp();
        let push = 1.5 * (1.0 - keep * keep).sqrt();
        self.drift.0 = self.drift.0 * keep + push * self.chance.normal();
        self.drift.1 = self.drift.1 * keep + push * self.chance.normal();
        (
            x + self.drift.0 + 0.4 * self.chance.normal(),
            y + self.drift.1 + 0.4 * self.chance.normal(),
        )
    }
}

/// A straight carriageway.
struct Street {
    x0: f64,
    y0: f64,
    x1: f64,
    y1: f64,
}

impl Street {
    fn length(&self) -> f64 {
        (self.x1 - self.x0).hypot(self.y1 - self.y0)
    }

    fn at(&self, metres: f64) -> (f64, f64) {
        let part = metres / self.length();
        (self.x0 + (self.x1 - self.x0) * part, self.y0 + (self.y1 - self.y0) * part)
    }
}

/// A grid of eight avenues and eight streets, each with two carriageways 14 m apart, against each other.
fn grid() -> Vec<Street> {
    let mut streets = vec![];
    for i in 0..8 {
        let across = f64::from(i) * 250.0;
        let (a, b) = (20.0, 820.0);
        streets.push(Street { x0: a, y0: across, x1: b, y1: across });
        streets.push(Street { x0: b, y0: across + 14.0, x1: a, y1: across + 14.0 });
        streets.push(Street { x0: across + 14.0, y0: a, x1: across + 14.0, y1: b });
        streets.push(Street { x0: across, y0: b, x1: across, y1: a });
    }
    streets
}

/// How a sweeper does a street on one day.
#[derive(Clone, Copy, PartialEq, Debug)]
enum Way {
    /// All of it.
    Swept,
    /// All of it, and it has a tunnel of 60 m in it.
    Tunnel,
    /// The brush comes up half way.
    Half,
    /// Driven through with the brush up.
    BrushUp,
    /// Driven through too fast with the brush down: nothing is cleaned.
    TooFast,
    /// Not visited.
    Skipped,
}

fn way(chance: &mut Chance) -> Way {
    match (chance.unit() * 100.0) as u32 {
        0..70 => Way::Swept,
        70..78 => Way::Tunnel,
        78..84 => Way::Half,
        84..90 => Way::BrushUp,
        90..94 => Way::TooFast,
        _ => Way::Skipped,
    }
}

/// Drives a street second by second; gives the metres that were truly swept.
fn drive(
    street: &Street,
    way: Way,
    receiver: &mut Receiver,
    path: &mut Path,
    clock: &mut Utc,
    see: &mut dyn FnMut(&mut Path, Option<Step>, bool),
) -> f64 {
    let speed = match way {
        Way::TooFast => 5.5,
        Way::BrushUp => 4.0,
        Way::Skipped => return 0.0,
        _ => 2.0 + receiver.chance.unit(),
    };
    let (mut metres, mut swept) = (0.0, 0.0);
    while metres < street.length() {
        *clock = *clock + Span::from_secs(1);
        let brush = match way {
            Way::BrushUp => false,
            Way::Half => metres < street.length() / 2.0,
            _ => true,
        };
        let works = brush && speed <= 15.0 / 3.6;
        // The sensor of the brush is wrong for a second now and then.
        let said = if receiver.chance.unit() < 0.002 { !works } else { works };
        let (x, y) = street.at(metres);
        let (x, y) = receiver.sees(x, y);
        let dark = way == Way::Tunnel && (300.0..360.0).contains(&metres);
        let step = Step { position: place(x, y), at: *clock, accuracy_mm: Some(1000) };
        see(path, (!dark).then_some(step), said);
        metres += speed;
        swept += if works { speed } else { 0.0 };
    }
    swept.min(street.length())
}

#[test]
fn a_week_of_ten_sweepers_is_told_as_it_was() {
    let streets = grid();
    let hours = Window::new([true; 7], 0, 23 * 60).unwrap();
    let plan = Plan {
        side: Side::Along,
        width_m: 7.0,
        windows: vec![hours],
        passes: 1,
        zone: TimeZone::UTC,
    };
    let layouts: Vec<Layout> = streets
        .iter()
        .map(|s| Layout::new(&[place(s.x0, s.y0), place(s.x1, s.y1)], &plan).unwrap())
        .collect();
    let mut coverage = vec![Coverage::default(); streets.len()];
    let (mut missed, mut truly_missed) = (BTreeSet::new(), BTreeSet::new());
    let mut worst: f64 = 0.0;
    for day in 0..7u64 {
        let midnight = Utc::from_ms(MIDNIGHT) + Span::from_secs(day * 86_400);
        for (coverage, layout) in coverage.iter_mut().zip(&layouts) {
            coverage.open(layout, &plan, midnight);
        }
        let mut truth = vec![0.0; streets.len()];
        for sweeper in 0..10usize {
            let seed = 1000 + day * 100 + sweeper as u64;
            let mut receiver = Receiver { chance: Chance(seed), drift: (0.0, 0.0) };
            let mut path = Path::default();
            let mut clock = midnight + Span::from_mins(sweeper as u64);
            for i in (0..streets.len()).filter(|i| i % 10 == sweeper) {
                // From one street to the next it drives with the brush up, out of sight of the plan.
                clock = clock + Span::from_mins(5);
                let how = way(&mut receiver.chance);
                let mut see = |path: &mut Path, step: Option<Step>, works: bool| {
                    let Some(step) = step else { return };
                    let mut pieces = vec![];
                    path.take(step, works, &mut pieces);
                    for piece in &pieces {
                        for (coverage, layout) in coverage.iter_mut().zip(&layouts) {
                            coverage.take(layout, piece);
                        }
                    }
                };
                truth[i] = drive(&streets[i], how, &mut receiver, &mut path, &mut clock, &mut see);
                let mut pieces = vec![];
                path.end(&mut pieces);
                for piece in &pieces {
                    coverage[i].take(&layouts[i], piece);
                }
            }
        }
        let (mut told, mut cells, mut swept, mut length) = (0, 0, 0.0, 0.0);
        for (i, street) in streets.iter().enumerate() {
            let sums = coverage[i].sums(&plan);
            told += sums.done + sums.unknown;
            cells += sums.cells;
            swept += truth[i];
            length += street.length();
            if sums.possible_milli_pct() < Some(90_000) {
                missed.insert((day, i));
            }
            if truth[i] / street.length() < 0.9 {
                truly_missed.insert((day, i));
            }
        }
        let (told, truth) = (100.0 * told as f64 / cells as f64, 100.0 * swept / length);
        println!("day {day}: told {told:.2} %, truth {truth:.2} %");
        worst = worst.max((told - truth).abs());
    }
    println!("worst error {worst:.2} points; {} missed roads", missed.len());
    assert!(worst <= 2.0, "{worst} percentage points off");
    assert!(truly_missed.len() > 20, "the week has something to find");
    assert_eq!(missed, truly_missed);
}
