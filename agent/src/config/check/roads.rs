//! `[[plan]]`: the roads of a GeoJSON file (RFC 7946), each a street that is to be swept.
//!
//! A road is a `LineString`, or each part of a `MultiLineString`. Its properties `id`, `name`, `side`,
//! `width_m`, `windows` and `passes` stand above what the section says for all; others are not ours.
//! GeoJSON has no word for its datum and means WGS84; maps of China are drawn in others, so there the
//! section has to say which.

use std::collections::BTreeMap;
use std::path::Path;

use domain::ids::{AssetId, AssetKey, Class};
use domain::place::{Datum, Position};
use domain::site::{Asset, Kind};
use domain::sweeping::{Layout, Plan, ROAD_MAX_M};
use serde_json::Value as Json;

use super::super::fault::Place;
use super::super::section::{Section, Value};
use super::super::{file, values};
use super::assets::APART_MAX_M;
use super::sweep;

/// The longest file that is read.
const FILE_MAX: u64 = 32 * 1024 * 1024;
/// The most roads of a file.
const ROADS_MAX: usize = 10_000;
/// The most points of a road.
const POINTS_MAX: usize = 5000;
/// The most cells of a file, some 2,000 km of tracks: each is held in memory.
const CELLS_MAX: usize = 400_000;
/// Faults that are told of one file; the rest is counted.
const TOLD_MAX: usize = 20;

/// Names of the `crs` of older GeoJSON that are WGS84, or as good.
const CRS: [(&str, Datum); 4] = [
    ("CRS84", Datum::Wgs84),
    ("EPSG::4326", Datum::Wgs84),
    ("EPSG:4326", Datum::Wgs84),
    ("EPSG::4490", Datum::Cgcs2000),
];

/// Reads the roads of a `[[plan]]` into `assets`.
pub(super) fn read(
    section: &Section<'_>,
    assets: &mut BTreeMap<AssetKey, Asset>,
    places: &mut BTreeMap<AssetKey, Place>,
) {
    let path = section.required("file", "\"plans/roads.geojson\"", values::path);
    let datum = section.optional("datum", values::datum);
    let sweep = section.required("sweep", "{ windows = [\"daily 04:00-07:00\"] }", sweep::read);
    section.finish();
    let (Some(path), Some(sweep), Some(value)) = (path, sweep, section.value("file")) else {
        return;
    };
    let mut file = PlanFile { value: &value, path: &path, sweep, datum, told: 0, untold: 0 };
    let roads = file.roads();
    file.add(roads, assets, places);
    if file.untold > 0 {
        let cause = format!("{} more faults in {}", file.untold, path.display());
        value.error(cause, "mend those above first");
    }
}

struct PlanFile<'v> {
    value: &'v Value<'v>,
    path: &'v Path,
    /// What holds for roads that say nothing else.
    sweep: Plan,
    /// As the section says it.
    datum: Option<Datum>,
    told: usize,
    untold: usize,
}

/// A road as it stands in the file.
struct Road {
    id: AssetId,
    name: Option<String>,
    line: Vec<Position>,
    plan: Plan,
}

impl PlanFile<'_> {
    fn error(&mut self, place: &str, cause: &str, fix: &str) {
        if self.told == TOLD_MAX {
            self.untold += 1;
            return;
        }
        self.told += 1;
        self.value.error(format!("{}: {place}: {cause}", self.path.display()), fix);
    }

    fn roads(&mut self) -> Vec<Road> {
        let json = match read_json(self.path) {
            Ok(json) => json,
            Err((place, cause, fix)) => {
                self.error(&place, &cause, fix);
                return vec![];
            }
        };
        let Some(features) = json["features"].as_array() else {
            self.error("the file", "it has no features", "save it as a GeoJSON FeatureCollection");
            return vec![];
        };
        if features.len() > ROADS_MAX {
            let cause = format!("{} roads, at most {ROADS_MAX} are taken", features.len());
            self.error("the file", &cause, "divide the plan among several boxes");
            return vec![];
        }
        let Some(datum) = self.datum_of(&json, features) else { return vec![] };
        let each = features.iter().enumerate();
        each.flat_map(|(n, feature)| self.feature(n + 1, feature, datum)).collect()
    }

    /// The datum of the file; `None`, and a fault, when nobody says it.
    fn datum_of(&mut self, json: &Json, features: &[Json]) -> Option<Datum> {
        let named = json["crs"]["properties"]["name"].as_str();
        let known = named.map(|name| CRS.iter().find(|(known, _)| name.ends_with(known)));
        if let (Some(name), Some(None)) = (named, known) {
            let fix = "save it in WGS84 (EPSG:4326) or CGCS2000 (EPSG:4490)";
            self.error(
                "crs",
                &format!("its numbers are not degrees of a known datum: {name}"),
                fix,
            );
            return None;
        }
        let stated = self.datum.or(known.flatten().map(|(_, datum)| *datum));
        if stated.is_some() {
            return stated;
        }
        let first = |feature: &Json| point(first_point(&feature["geometry"]["coordinates"])?).ok();
        if features.iter().filter_map(first).any(Position::is_in_china) {
            let (cause, fix) = values::DATUM_UNSAID;
            self.error("the file", cause, fix);
            return None;
        }
        Some(Datum::Wgs84)
    }

    fn feature(&mut self, number: usize, feature: &Json, datum: Datum) -> Vec<Road> {
        let place = format!("feature {number}");
        let geometry = &feature["geometry"];
        let lines: Vec<&Json> = match geometry["type"].as_str() {
            Some("LineString") => vec![&geometry["coordinates"]],
            Some("MultiLineString") => geometry["coordinates"]
                .as_array()
                .map(|parts| parts.iter().collect())
                .unwrap_or_default(),
            other => {
                let cause = format!("a road is a LineString, not {}", other.unwrap_or("nothing"));
                self.error(&place, &cause, "draw it as a line, or remove it");
                return vec![];
            }
        };
        let properties = &feature["properties"];
        let Some(plan) = self.plan(&place, properties) else { return vec![] };
        let name = properties["name"].as_str().map(str::trim).filter(|name| !name.is_empty());
        let several = lines.len() > 1;
        let mut roads = vec![];
        for (part, line) in lines.into_iter().enumerate() {
            let id = self.id(&place, number, feature, several.then_some(part + 1));
            let line = self.line(&place, line, datum);
            let name = name.map(|name| name.chars().take(100).collect());
            if let (Some(id), Some(line)) = (id, line) {
                roads.push(Road { id, name, line, plan: plan.clone() });
            }
        }
        roads
    }

    fn id(
        &mut self,
        place: &str,
        number: usize,
        feature: &Json,
        part: Option<usize>,
    ) -> Option<AssetId> {
        let stated = [&feature["properties"]["id"], &feature["id"]];
        let stated = stated.into_iter().find(|id| !id.is_null());
        let id = match stated {
            Some(Json::String(text)) => text.clone(),
            Some(other) => other.to_string(),
            None => format!("road-{number}"),
        };
        let id = part.map(|part| format!("{id}-{part}")).unwrap_or(id);
        AssetId::new(&id)
            .map_err(|bad| {
                let fix = "write an id of small letters, digits and hyphens, or leave it out";
                self.error(place, &format!("its id {id:?} {bad}"), fix);
            })
            .ok()
    }

    fn line(&mut self, place: &str, line: &Json, datum: Datum) -> Option<Vec<Position>> {
        let points = line.as_array().map(Vec::as_slice).unwrap_or_default();
        if !(2..=POINTS_MAX).contains(&points.len()) {
            let cause = format!("it has {} points, a road has 2 to {POINTS_MAX}", points.len());
            self.error(place, &cause, "draw it from its beginning to its end, or divide it");
            return None;
        }
        let mut line = Vec::with_capacity(points.len());
        for (n, json) in points.iter().enumerate() {
            match point(json) {
                Ok(position) => line.push(position.read_as(datum)),
                Err((cause, fix)) => {
                    self.error(&format!("{place}, point {}", n + 1), &cause, fix);
                    return None;
                }
            }
        }
        let length: f64 = line.windows(2).filter_map(|leg| leg[0].distance_m(leg[1])).sum();
        if !(1.0..=ROAD_MAX_M).contains(&length) {
            let cause = format!("it is {length:.0} m long, a road has 1 to {ROAD_MAX_M:.0} m");
            self.error(place, &cause, "check its points, or divide it");
            return None;
        }
        Some(line)
    }

    /// How a road is to be swept: as its properties say, and else as the section.
    fn plan(&mut self, place: &str, properties: &Json) -> Option<Plan> {
        let mut plan = self.sweep.clone();
        let mut wrong = None;
        if let Some(side) = given(properties, "side") {
            let word = side.as_str().and_then(|text| sweep::SIDES.iter().find(|(w, _)| *w == text));
            match word {
                Some((_, side)) => plan.side = *side,
                None => wrong = Some("side must be along, either, right, left or both"),
            }
        }
        if let Some(width) = given(properties, "width_m") {
            match width.as_f64().filter(|width| (1.0..=100.0).contains(width)) {
                Some(width) => plan.width_m = width,
                None => wrong = Some("width_m must be a number from 1 to 100"),
            }
        }
        if let Some(passes) = given(properties, "passes") {
            match passes
                .as_u64()
                .and_then(|n| u8::try_from(n).ok())
                .filter(|n| (1..=20).contains(n))
            {
                Some(passes) => plan.passes = passes,
                None => wrong = Some("passes must be a whole number from 1 to 20"),
            }
        }
        if let Some(windows) = given(properties, "windows") {
            let texts = windows.as_array().map(Vec::as_slice).unwrap_or_default();
            let read = texts.iter().map(|text| sweep::parse(text.as_str()?));
            match read.collect::<Option<Vec<_>>>().filter(|windows| !windows.is_empty()) {
                Some(windows) => plan.windows = windows,
                None => wrong = Some("windows must be a list such as [\"mon-fri 06:00-09:00\"]"),
            }
        }
        if let Some(cause) = wrong {
            self.error(place, cause, "mend the property, or remove it: then the section's holds");
        }
        wrong.is_none().then_some(plan)
    }

    /// Makes streets of the roads.
    fn add(
        &mut self,
        roads: Vec<Road>,
        assets: &mut BTreeMap<AssetKey, Asset>,
        places: &mut BTreeMap<AssetKey, Place>,
    ) {
        let first = roads.first().map(|road| (road.id.clone(), road.line[0]));
        let mut cells = 0;
        for Road { id, name, line, plan } in roads {
            let place = format!("road {id}");
            let key = AssetKey::new(Class::Street, id);
            if let Some(first) = places.get(&key) {
                self.error(
                    &place,
                    &format!("there is another of this name at {first}"),
                    "rename one",
                );
                continue;
            }
            if let Some((first, from)) = &first
                && let Some(metres) = from.distance_m(line[0]).filter(|m| *m > APART_MAX_M)
            {
                let cause = format!("it is {:.0} km from road {first}", metres / 1000.0);
                self.error(&place, &cause, "are lat and lon swapped in one of them?");
                continue;
            }
            cells += Layout::new(&line, &plan).map_or(0, |layout| layout.cells());
            if cells > CELLS_MAX {
                let cause = format!("with it the plan has more than {CELLS_MAX} cells of 5 m");
                return self.error(&place, &cause, "divide the plan among several boxes");
            }
            places.insert(key.clone(), self.value.place());
            let names = name.map(super::assets::by_language).into_iter().collect();
            let kind = Kind::Street { line, sweep: Some(plan) };
            let asset = Asset { names, position: None, street: None, feeds: vec![], kind };
            assets.insert(key, asset);
        }
    }
}

fn given<'j>(properties: &'j Json, key: &str) -> Option<&'j Json> {
    properties.get(key).filter(|value| !value.is_null())
}

/// The file as JSON, or where it is wrong, why, and what to do.
fn read_json(path: &Path) -> Result<Json, (String, String, &'static str)> {
    let bytes = file::read_file(path, FILE_MAX)
        .map_err(|why| ("the file".to_owned(), why, "check the path and who may read the file"))?;
    let text = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&bytes);
    serde_json::from_slice(text).map_err(|error| {
        let place = format!("line {}, column {}", error.line(), error.column());
        (place, format!("it is no JSON: {error}"), "save it as GeoJSON")
    })
}

/// The first pair of numbers of nested coordinates.
fn first_point(coordinates: &Json) -> Option<&Json> {
    let first = coordinates.as_array()?.first()?;
    if first.is_number() { Some(coordinates) } else { first_point(first) }
}

/// `[lon, lat]`, perhaps with a height, as numbers of an unknown datum.
fn point(json: &Json) -> Result<Position, (String, &'static str)> {
    let number = |n: usize| json.get(n).and_then(Json::as_f64);
    let (Some(lon), Some(lat)) = (number(0), number(1)) else {
        return Err((format!("{json} is no point"), "write [lon, lat] in degrees"));
    };
    Position::from_degrees(lat, lon, Datum::Wgs84)
        .map_err(|bad| (bad.to_string(), values::what_to_do(bad, lat, lon)))
}
