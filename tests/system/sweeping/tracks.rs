//! The track of a vehicle: what is left of it on the wire, and how far that is from the truth.

use domain::Engine;
use domain::output::Body;
use domain::place::Position;
use domain::sample::{Fix, Quantity};
use domain::sweeping::{
    Doing, Track, TrackPoint, decode as decode_track, encode, length_m, synchronised_error_m,
};
use domain::time::{Span, Utc};
use domain::units::MillimetresPerSecond;
use serde_json::Value;
use system_tests::data;

use super::{Receiver, now, place, report, site, vehicle};
use crate::nmea_drives::{decode, fixes};

const MORNING: i64 = 1_780_891_200_000;
/// Two flat planes at two ends of a street differ by this.
const PLANES_M: f64 = 0.001;

struct Figures {
    kept: usize,
    worst: f64,
    bytes_per_km: f64,
    km: f64,
}

fn compress(track: &[(Position, Utc)], error_m: f64) -> Figures {
    let (mut compressor, mut kept) = (Track::default(), vec![]);
    for (position, at) in track {
        compressor.take(*position, *at, Doing::default(), error_m, &mut kept);
    }
    compressor.gap(&mut kept);
    let km = length_m(&kept) / 1000.0;
    let sent = decode_track(&encode(&kept)).unwrap();
    let off = track.iter().filter_map(|(p, at)| synchronised_error_m(&sent, *p, *at));
    let worst = off.fold(0.0, f64::max);
    Figures { kept: kept.len(), worst, bytes_per_km: encode(&kept).len() as f64 / km, km }
}

/// A recorded drive as fixes in the order of time.
fn drive(bytes: &[u8]) -> Vec<(Fix, Utc)> {
    let (samples, _) = decode(bytes, &[]);
    let mut track: Vec<(Fix, Utc)> = vec![];
    for (at, fix) in fixes(&samples) {
        let at = at.unwrap();
        // A receiver whose time steps back adds nothing to a track.
        if track.last().is_none_or(|(_, last)| *last < at) {
            track.push((fix, at));
        }
    }
    track
}

/// Ten streets of 500 m at 7.9 km/h, with a corner, and a halt of half a minute, between them.
fn simulated() -> Vec<(Fix, Utc)> {
    let mut receiver = Receiver::new(11);
    let (mut x, mut y, mut second) = (0.0, 0.0, 0u64);
    let mut track = vec![];
    for leg in 0..10 {
        let seconds = 228 + if leg % 2 == 0 { 30 } else { 0 };
        for s in 0..seconds {
            let moves = s < 228;
            if moves {
                (x, y) = if leg % 2 == 0 { (x + 2.2, y) } else { (x, y + 2.2) };
            }
            let (seen_x, seen_y) = receiver.sees(x, y);
            let noise = (receiver.chance.normal() * 60.0).abs();
            let speed = if moves { 2200.0 + receiver.chance.normal() * 60.0 } else { noise };
            let fix = Fix {
                position: place(seen_x, seen_y),
                speed: Some(MillimetresPerSecond(speed as u32)),
                course: None,
                accuracy: None,
                satellites: None,
            };
            track.push((fix, Utc::from_ms(MORNING) + Span::from_secs(second)));
            second += 1;
        }
    }
    track
}

fn each_track(mut check: impl FnMut(&str, &[(Fix, Utc)])) {
    if let Some(set) = data::set("gnss_drives") {
        for (name, file) in [
            ("city drive, 1 Hz", "munich-gps.nmea"),
            ("by car, every 2 s", "20100411_Geko_Regensburg.nmea"),
        ] {
            check(name, &drive(&data::read(&set, file)));
        }
    }
    check("simulated sweeping, 1 Hz", &simulated());
}

#[test]
fn compressed_drives_stay_within_their_bound() {
    println!("| track | bound | fixes | kept | largest error | bytes per km of the code |");
    println!("|---|---|---|---|---|---|");
    each_track(|name, track| {
        let n = track.len();
        let track: Vec<_> = track.iter().map(|(fix, at)| (fix.position, *at)).collect();
        for error in [3.0, 5.0, 10.0] {
            let Figures { kept, worst, bytes_per_km, .. } = compress(&track, error);
            println!("| {name} | {error} m | {n} | {kept} | {worst:.2} m | {bytes_per_km:.0} |");
            assert!(worst <= error + PLANES_M, "{name}: {worst} m for {error} m");
            assert!(kept * 2 < n, "{name}: {kept} of {n} kept");
        }
    });
}

/// What an engine sends of a vehicle whose brush works while it moves: bytes, and the pieces of track.
fn sent(track: &[(Fix, Utc)], more: &str) -> (usize, Vec<TrackPoint>, Value) {
    let site = site(&vehicle("v", "sweeper", &format!("work_speed_max = \"99 km/h\"\n{more}")));
    let epoch = track[0].1;
    let mut engine = Engine::new(site, vec![], now(epoch, epoch));
    let (mut bytes, mut points) = (0, vec![]);
    let mut take = |out: domain::output::Outputs| {
        for message in out.messages {
            let Body::Flat(body) = &message.body else { continue };
            if message.lane != domain::output::Lane::Telemetry {
                continue;
            }
            // Single readings share the header of a block, so that it is left out.
            let header = if body.contains_key("track") { HEADER } else { 0 };
            bytes += serde_json::to_vec(body).unwrap().len() + header;
            if let Some(code) = body.get("track").map(|track| track["code"].as_str().unwrap()) {
                points.extend(decode_track(code).unwrap());
            }
        }
    };
    for (fix, at) in track {
        let works = fix.speed.is_some_and(|speed| speed.0 > 280);
        let input = report("v", *at, vec![Quantity::Working(works), Quantity::Fix(*fix)]);
        take(engine.step(input, now(epoch, *at)));
    }
    let last = track.last().unwrap().1;
    take(engine.step(domain::input::Input::Tick, now(epoch, last + Span::from_mins(30))));
    let state = Value::Object(super::state(&engine, "v"));
    (bytes, points, state)
}

/// `{"v":1,"id":"xj-0412-telemetry-8123","at":…,"clock":…,"boot":…,"lane":…,"seq":…,"quality":…}` and the
/// topic `steward/v1/longcheng/xuejia/xj-0412/vehicle/sweeper-07/tel`.
const HEADER: usize = 200;

#[test]
fn a_vehicle_sends_its_track_and_not_its_fixes() {
    println!("| track | sent | points | largest error | bytes per km on the wire | way |");
    println!("|---|---|---|---|---|---|");
    each_track(|name, track| {
        let km = {
            let track: Vec<_> = track.iter().map(|(fix, at)| (fix.position, *at)).collect();
            compress(&track, 3.0).km
        };
        let (raw, _, _) = sent(track, "raw_fixes = true");
        let (bytes, points, state) = sent(track, "");
        let off = track.iter().map(|(fix, at)| synchronised_error_m(&points, fix.position, *at));
        let worst = off.flatten().fold(0.0, f64::max);
        let way = state["distance_m"].as_f64().unwrap() / 1000.0;
        let (n, per_km) = (points.len(), bytes as f64 / km);
        println!("| {name} | track, 5 m | {n} | {worst:.2} m | {per_km:.0} | {way:.2} km |");
        println!("| {name} | every fix too | {} | | {:.0} | |", track.len(), raw as f64 / km);
        assert!(worst <= 5.0 + PLANES_M, "{name}: {worst} m");
        assert!(points.is_sorted_by_key(|point| point.at), "{name}");
        assert!(bytes * 10 < raw, "{name}: {bytes} of {raw}");
        // What lies in gaps has no track, and is way all the same.
        assert!(way > km * 0.98 && way < km * 1.08, "{name}: {way} km of {km}");
    });
}
