//! `[[zone]]` and `[[route]]`: where vehicles are to be, where not, and when at which stop.

use std::collections::BTreeMap;
use std::sync::Arc;

use domain::ids::{AssetId, AssetKey, Class};
use domain::place::Datum;
use domain::site::{Asset, Duty, Kind};
use domain::sweeping::{Course, POINTS_MAX, Round, Stop, Tolerance, Window, Zone, ZoneKind};
use domain::time::Span;
use jiff::tz::TimeZone;

use super::super::fault::{Place, did_you_mean};
use super::super::section::{Section, Tree, Value};
use super::super::values;
use super::{schedule, sweep};

const ZONES: [(&str, ZoneKind); 5] = [
    ("work", ZoneKind::Work),
    ("forbidden", ZoneKind::Forbidden),
    ("depot", ZoneKind::Rest),
    ("water_point", ZoneKind::Rest),
    ("transfer_station", ZoneKind::Rest),
];

type Assets = BTreeMap<AssetKey, Asset>;

/// Reads both kinds of section and gives them to the vehicles they are for.
pub(super) fn read<'a>(tree: &'a Tree<'a>, assets: &mut Assets, zone: &TimeZone) {
    let mut names = BTreeMap::new();
    for section in &tree.list("zone") {
        read_zone(section, assets, &mut names, tree.incomplete);
    }
    let mut names = BTreeMap::new();
    for section in &tree.list("route") {
        read_route(section, assets, &mut names, zone, tree.incomplete);
    }
}

/// An id that no other section of the kind has.
fn name(value: &Value<'_>, names: &mut BTreeMap<AssetId, Place>) -> Option<AssetId> {
    let id = values::id(AssetId::new)(value)?;
    if let Some(first) = names.get(&id) {
        value.error(format!("{id} is there twice; first at {first}"), "give each its own id");
        return None;
    }
    names.insert(id.clone(), value.place());
    Some(id)
}

/// A vehicle that is configured. Where parts of the configuration are missing, none is known to be.
fn vehicle(value: &Value<'_>, assets: &Assets, incomplete: bool) -> Option<AssetKey> {
    let key = AssetKey::new(Class::Vehicle, values::id(AssetId::new)(value)?);
    if assets.contains_key(&key) {
        return Some(key);
    }
    if !incomplete {
        let vehicles = assets.keys().filter(|key| key.class == Class::Vehicle);
        let known: Vec<_> = vehicles.map(|key| key.id.as_str()).collect();
        let fix = did_you_mean(key.id.as_str(), known);
        value.error(format!("no vehicle is called {}", key.id), fix);
    }
    None
}

fn duty<'s>(assets: &'s mut Assets, key: &AssetKey) -> Option<&'s mut Duty> {
    match &mut assets.get_mut(key)?.kind {
        Kind::Vehicle(vehicle) => Some(&mut vehicle.duty),
        _ => None,
    }
}

fn read_zone(
    section: &Section<'_>,
    assets: &mut Assets,
    names: &mut BTreeMap<AssetId, Place>,
    incomplete: bool,
) {
    let id = section.required("id", "\"depot-1\"", |value| name(value, names));
    let kind = section.required("kind", "\"work\"", values::word(&ZONES));
    let datum = section.or("datum", Datum::default(), values::datum);
    let corners = "[[119.97, 31.81], [119.98, 31.81], [119.98, 31.82]]";
    let area = section.required("area", corners, |value| {
        let area = values::line(value, datum)?;
        if !(3..=POINTS_MAX).contains(&area.len()) {
            let cause = format!("an area has 3 to {POINTS_MAX} corners");
            value.error(cause, "write its corners one after the other, as [lon, lat]");
            return None;
        }
        Some(area)
    });
    let vehicles = section.optional("vehicles", |value| {
        let items = value.items("\"sweeper-07\"")?;
        Some(items.iter().filter_map(|item| vehicle(item, assets, incomplete)).collect::<Vec<_>>())
    });
    section.finish();
    let (Some(id), Some(kind), Some(area)) = (id, kind, area) else { return };
    let Some(zone) = Zone::new(id.as_str(), kind, &area).map(Arc::new) else { return };
    let all = || assets.keys().filter(|key| key.class == Class::Vehicle).cloned().collect();
    for key in vehicles.unwrap_or_else(all) {
        if let Some(duty) = duty(assets, &key) {
            duty.zones.push(Arc::clone(&zone));
        }
    }
}

fn read_route(
    section: &Section<'_>,
    assets: &mut Assets,
    names: &mut BTreeMap<AssetId, Place>,
    zone: &TimeZone,
    incomplete: bool,
) {
    let id = section.required("id", "\"qigu-1\"", |value| name(value, names));
    let key =
        section.required("vehicle", "\"truck-3\"", |value| vehicle(value, assets, incomplete));
    let stated = section.optional("datum", values::datum);
    let datum = stated.unwrap_or_default();
    let hours = section.optional("windows", sweep::windows).unwrap_or_default();
    let course = section.optional("line", |value| {
        let line = values::line(value, datum)?;
        let course = Course::new(&line, hours, zone.clone());
        if course.is_none() {
            let cause = format!("a course has 2 to {POINTS_MAX} points that are not all one");
            value.error(cause, "draw it from its beginning to its end");
        }
        course
    });
    let route = id.as_ref().map_or("", AssetId::as_str);
    let mut stops = section
        .optional("stops", |value| {
            let items = value.items(STOP)?;
            let stops: Vec<_> = items.iter().map(|item| stop(item, route, datum)).collect();
            stops.into_iter().collect::<Option<Vec<_>>>()
        })
        .unwrap_or_default();
    let file = section.optional("file", |value| schedule::read(value, route, stated));
    stops.extend(file.into_iter().flatten());
    let tolerance = tolerance(section);
    let says = ["line", "stops", "file"].into_iter().any(|key| section.value(key).is_some());
    if !says {
        section.missing("line", "[[119.974, 31.811], [119.975, 31.812]], or stops, or file");
    }
    section.finish();
    let Some(duty) = key.and_then(|key| duty(assets, &key)) else { return };
    duty.courses.extend(course.map(Arc::new));
    add_stops(section, duty, stops, tolerance, zone);
}

/// The routes of one vehicle are one list of stops, so they share what counts as late.
fn add_stops(
    section: &Section<'_>,
    duty: &mut Duty,
    stops: Vec<Stop>,
    tolerance: Tolerance,
    zone: &TimeZone,
) {
    if stops.is_empty() {
        return;
    }
    match &mut duty.round {
        Some(round) if round.tolerance != tolerance => {
            let cause = "another route of this vehicle has other tolerances".to_owned();
            let fix = "write the same near_m, stop_speed_max, early, late and skipped in both";
            section.report.error(section.at, cause, fix);
        }
        Some(round) => round.stops.extend(stops),
        None => duty.round = Some(Round { stops, tolerance, zone: zone.clone() }),
    }
}

const STOP: &str = "{ name = \"…\", position = { lat = 23.15, lon = 120.09 }, at = \"16:52\" }";

fn stop(value: &Value<'_>, route: &str, datum: Datum) -> Option<Stop> {
    let section = value.as_section(STOP)?;
    let name = section.required("name", "\"…\"", values::name);
    let position = section.required("position", "{ lat = 23.15, lon = 120.09 }", |value| {
        let position = values::position(value)?;
        // A place of its own datum stays what it is.
        let own = position.datum != Datum::default();
        Some(if own { position } else { position.read_as(datum) })
    });
    let due = section.required("at", "\"16:52\"", |value| {
        let text = value.as_text("a time of day such as \"16:52\"")?;
        let minute = sweep::minute(text).filter(|minute| *minute < 24 * 60);
        if minute.is_none() {
            value
                .error(format!("{text:?} is no time of day"), "write hours and minutes, \"16:52\"");
        }
        minute
    });
    let days = section.or("days", [true; 7], |value| {
        let text = value.as_text("days such as \"mon-fri\"")?;
        let days = sweep::parse_days(text);
        if days.is_none() {
            value.error(
                format!("{text:?} are no days"),
                "write \"mon-fri\", \"mon,wed\" or \"daily\"",
            );
        }
        days
    });
    section.finish();
    let due = Window::new(days, due?, due? + 1)?;
    Some(Stop { route: route.to_owned(), name: name?, position: position?, due })
}

fn tolerance(section: &Section<'_>) -> Tolerance {
    let usual = Tolerance::default();
    let span =
        |key, usual, max| section.or(key, usual, values::span(Span::ZERO..=Span::from_mins(max)));
    Tolerance {
        near_m: section.or("near_m", usual.near_m, values::integer(5..=500_u32)),
        speed_max: section.or("stop_speed_max", usual.speed_max, values::speed),
        early: span("early", usual.early, 60),
        late: span("late", usual.late, 120),
        skipped: section.or(
            "skipped",
            usual.skipped,
            values::span(Span::from_mins(1)..=Span::from_mins(6 * 60)),
        ),
    }
}
