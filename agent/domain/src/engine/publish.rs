//! What is said of an asset, and to whom.

use serde_json::{Map, Value, json};

use super::watched::Watched;
use crate::ids::{AssetKey, Requester};
use crate::output::{Body, Lane, Message, Quality, Topic, to_map};
use crate::parking::Guidance;
use crate::reading::Reading;
use crate::sample::Quantity;
use crate::site::{Asset, Kind, VehicleKind};
use crate::sweeping::PositionView;
use crate::time::{Moment, Now};
use crate::units::Permille;

/// The state of an asset; of a street with bays, with how they stand.
pub(super) fn state(
    key: &AssetKey,
    watched: Option<(&Watched, &Kind)>,
    parking: Option<&Guidance>,
    at: Moment,
) -> Message {
    let known = watched.is_some_and(|(watched, _)| watched.is_known())
        || parking.is_some_and(Guidance::is_known);
    let mut body = watched.map(|(watched, kind)| watched.view(kind)).unwrap_or_default();
    if let Some(guidance) = parking {
        body.insert("parking".into(), Value::Object(to_map(guidance)));
    }
    Message {
        lane: Lane::State,
        topic: Topic::AssetState(key.clone()),
        at: at.utc,
        clock: at.clock,
        quality: if known { Quality::Good } else { Quality::Stale },
        body: Body::Flat(body),
    }
}

pub(super) fn event(
    key: &AssetKey,
    kind: &'static str,
    data: Map<String, Value>,
    at: Moment,
) -> Message {
    Message {
        lane: Lane::Event,
        topic: Topic::AssetEvent(key.clone()),
        at: at.utc,
        clock: at.clock,
        quality: Quality::Good,
        body: Body::Event { kind, data },
    }
}

pub(super) fn reply(by: &Requester, answer: Map<String, Value>, now: Now) -> Message {
    Message {
        lane: Lane::Ticket,
        topic: Topic::Reply(by.clone()),
        at: now.utc,
        clock: now.clock,
        quality: Quality::Good,
        body: Body::Flat(answer),
    }
}

/// What does not change by itself: names, place, settings that a viewer needs.
pub(super) fn info(key: &AssetKey, asset: &Asset, now: Now) -> Message {
    let mut body = Map::new();
    body.insert("names".into(), json!(asset.names));
    if let Some(position) = asset.position {
        body.insert("position".into(), Value::Object(to_map(&PositionView::new(position, None))));
    }
    if let Some(street) = &asset.street {
        body.insert("street".into(), json!(street));
    }
    match &asset.kind {
        Kind::Bay(bay) => {
            if let Some(max) = bay.max_stay {
                body.insert("max_stay_s".into(), json!(max.as_secs()));
            }
            if let Some(tariff) = &bay.policy.tariff {
                body.insert("tariff".into(), json!(tariff));
            }
            if bay.policy.reserved.is_some() {
                body.insert("reserved".into(), json!(true));
            }
        }
        Kind::Bin(bin) => {
            body.insert("full_at_pct".into(), json!(bin.full_at.percent()));
            if let Some(kind) = bin.service.waste {
                body.insert("waste".into(), json!(kind));
            }
            if let Some(litres) = bin.capacity_l {
                body.insert("capacity_l".into(), json!(litres));
            }
        }
        Kind::Vehicle(vehicle) => {
            let kind = match vehicle.kind {
                VehicleKind::Sweeper => "sweeper",
                VehicleKind::Washer => "washer",
                VehicleKind::Collector => "collector",
                VehicleKind::Other => "other",
            };
            body.insert("kind".into(), json!(kind));
        }
        Kind::Street { line, .. } => {
            let points: Vec<[f64; 2]> = line.iter().map(|p| [p.lon(), p.lat()]).collect();
            let geometry = json!({"type": "LineString", "coordinates": points});
            body.insert("geometry".into(), geometry);
        }
    }
    Message {
        lane: Lane::State,
        topic: Topic::AssetInfo(key.clone()),
        at: now.utc,
        clock: now.clock,
        quality: Quality::Good,
        body: Body::Flat(body),
    }
}

/// One point of an asset's series: what was measured and, for a bin, what it means.
pub(super) fn telemetry(reading: &Reading<'_>, level: Option<Permille>) -> Message {
    let mut point = Map::new();
    point.insert("at".into(), json!(reading.at.utc));
    for quantity in reading.quantities {
        add(&mut point, quantity);
    }
    // The level that rules and state go by, not one of its own.
    if let Some(level) = level {
        point.insert("level_pct".into(), json!(level.percent()));
    }
    Message {
        lane: Lane::Telemetry,
        topic: Topic::AssetTelemetry(reading.asset.clone()),
        at: reading.at.utc,
        clock: reading.at.clock,
        quality: reading.quality,
        body: Body::Flat(Map::from_iter([("points".to_owned(), json!([point]))])),
    }
}

fn add(point: &mut Map<String, Value>, quantity: &Quantity) {
    let mut put = |name: &str, value: Value| {
        point.insert(name.to_owned(), value);
    };
    match *quantity {
        Quantity::Occupied(yes) => put("occupied", json!(yes)),
        Quantity::Detected(seen) => {
            put("detected", json!(seen.what));
            put("confidence_pct", json!(seen.confidence.percent()));
        }
        Quantity::PreviousState { lasted, error } => {
            put("previous_s", json!(lasted.as_secs()));
            put("previous_error_s", json!(error.as_secs()));
        }
        Quantity::Distance(mm) => put("distance_mm", json!(mm.0)),
        Quantity::Level(level) => put("level_pct", json!(level.percent())),
        Quantity::Temperature(t) => put("temperature_c", json!(f64::from(t.0) / 1000.0)),
        Quantity::BatteryLevel(b) => put("battery_pct", json!(b.percent())),
        Quantity::BatteryVoltage(v) => put("battery_v", json!(f64::from(v.0) / 1000.0)),
        Quantity::Tilted(yes) => put("tilted", json!(yes)),
        Quantity::LidOpen(yes) => put("lid_open", json!(yes)),
        Quantity::Fire(yes) => put("fire", json!(yes)),
        Quantity::Working(yes) => put("working", json!(yes)),
        Quantity::Ignition(yes) => put("ignition", json!(yes)),
        Quantity::Speed(speed) => {
            put("bus_speed_kmh", json!(libm::round(speed.kmh() * 100.0) / 100.0));
        }
        Quantity::Odometer(way) => put("odometer_m", json!(way.0)),
        Quantity::FuelLevel(level) => put("fuel_pct", json!(level.percent())),
        Quantity::FuelVolume(volume) => put("fuel_l", json!(f64::from(volume.0) / 1000.0)),
        Quantity::Fix(fix) => {
            put("lat", json!(fix.position.lat()));
            put("lon", json!(fix.position.lon()));
            put("datum", json!(fix.position.datum));
            if let Some(speed) = fix.speed {
                put("speed_kmh", json!(libm::round(speed.kmh() * 100.0) / 100.0));
            }
            if let Some(course) = fix.course {
                put("course_deg", json!(f64::from(course.0) / 100.0));
            }
            if let Some(accuracy) = fix.accuracy {
                put("hacc_m", json!(f64::from(accuracy.0) / 1000.0));
            }
            if let Some(satellites) = fix.satellites {
                put("satellites", json!(satellites));
            }
        }
        // Events of their own.
        Quantity::Deposit(_) | Quantity::Lift(_) => {}
        Quantity::StationWeight(g) => put("station_kg", json!(g.kilograms())),
        Quantity::Absent(absent) => {
            put("missing", json!(absent.what));
            put("why", json!(absent.why));
        }
    }
}
