//! `[[route]] file`: stops with their times, in the form in which Tainan City publishes the routes of its
//! refuse trucks: a list `StopData` of `StopName`, `ScheduleTime` (`16:43`), `Lon`, `Lat` and `DayValue`,
//! the days as `一,三,五,六`. The list may stand at the top, or in an object, or in the `data` of one.
//! The form has no word for its datum, so in China, where maps are drawn in several, the section says it.

use domain::place::{Datum, Position};
use domain::sweeping::{Stop, Window};
use serde_json::Value as Json;

use super::super::section::Value;
use super::super::{file, values};
use super::sweep;

/// The longest file that is read.
const FILE_MAX: u64 = 4 * 1024 * 1024;
/// The most stops of a route.
const STOPS_MAX: usize = 1000;
/// Monday first.
const DAYS: [char; 7] = ['一', '二', '三', '四', '五', '六', '日'];

/// Reads the stops of a file for `route`. Its numbers are of `datum`, or of WGS84 where that goes without
/// saying.
pub(super) fn read(value: &Value<'_>, route: &str, datum: Option<Datum>) -> Option<Vec<Stop>> {
    let path = values::path(value)?;
    let fault = |place: &str, cause: &str, fix: &str| {
        value.error(format!("{}: {place}: {cause}", path.display()), fix);
    };
    let bytes = file::read_file(&path, FILE_MAX)
        .map_err(|why| fault("the file", &why, "check the path and who may read the file"))
        .ok()?;
    let json: Json = serde_json::from_slice(&bytes)
        .map_err(|error| {
            let place = format!("line {}, column {}", error.line(), error.column());
            fault(&place, &format!("it is no JSON: {error}"), "save it as JSON");
        })
        .ok()?;
    let Some(list) = stop_list(&json) else {
        fault("the file", "it has no StopData, or that of several routes", "keep one route a file");
        return None;
    };
    if list.is_empty() || list.len() > STOPS_MAX {
        let cause = format!("it has {} stops, a route has 1 to {STOPS_MAX}", list.len());
        fault("the file", &cause, "divide it, or remove it");
        return None;
    }
    // Every stop is read, so that every wrong one is told.
    let stops: Vec<Option<Stop>> = list
        .iter()
        .enumerate()
        .map(|(n, json)| {
            let told =
                |(cause, fix): (String, &str)| fault(&format!("stop {}", n + 1), &cause, fix);
            stop(json, route, datum.unwrap_or_default()).map_err(told).ok()
        })
        .collect();
    let stops = stops.into_iter().collect::<Option<Vec<_>>>()?;
    if datum.is_none() && stops.iter().any(|stop| stop.position.is_in_china()) {
        let (cause, fix) = values::DATUM_UNSAID;
        fault("the file", cause, fix);
        return None;
    }
    Some(stops)
}

fn stop_list(json: &Json) -> Option<&Vec<Json>> {
    if let Some(list) = json["StopData"].as_array() {
        return Some(list);
    }
    let items = json.as_array().or_else(|| json["data"].as_array())?;
    match items.as_slice() {
        [one] if one.get("StopData").is_some() => one["StopData"].as_array(),
        [first, ..] if first.get("StopName").is_some() => Some(items),
        _ => None,
    }
}

fn stop(json: &Json, route: &str, datum: Datum) -> Result<Stop, (String, &'static str)> {
    let name = json["StopName"].as_str().map(str::trim).filter(|name| !name.is_empty());
    let name = name.ok_or(("it has no StopName".to_owned(), "name it"))?;
    let (Some(lat), Some(lon)) = (json["Lat"].as_f64(), json["Lon"].as_f64()) else {
        return Err((format!("{name} has no Lat and Lon"), "write both in degrees"));
    };
    let position = Position::from_degrees(lat, lon, datum)
        .map_err(|bad| (format!("{name}: {bad}"), values::what_to_do(bad, lat, lon)))?;
    let time = json["ScheduleTime"].as_str().unwrap_or_default();
    let due = sweep::minute(time.trim()).filter(|minute| *minute < 24 * 60);
    let due = due.ok_or((format!("{name}: {time:?} is no time of day"), "write it as 16:43"))?;
    let text = json["DayValue"].as_str().unwrap_or_default();
    let days = DAYS.map(|day| text.contains(day));
    let due = Window::new(days, due, due + 1)
        .ok_or((format!("{name}: {text:?} are no days"), "write them as 一,三,五"))?;
    Ok(Stop { route: route.to_owned(), name: name.chars().take(100).collect(), position, due })
}
