//! `[[source.zone]]`: a polygon in the picture, and what is looked for in it.

use std::time::Duration;

use domain::ids::Category;
use domain::rules::Severity;
use domain::sightings::Subject;
use domain::units::Permille;
use vision::manifest::Manifest;
use vision::scene::{Task, Zone};
use vision::watch::{FRAMES_MAX, Terms, Touch};
use vision::zone::Polygon;

use super::super::super::super::section::{Section, Value};
use super::super::super::super::{CameraModel, CameraZone, Problem, object, values};
use super::super::super::rules::{SEVERITIES, category};
use super::super::{device_name, refused};
use super::{manifest, millis};
use crate::config::fault::did_you_mean;

/// The models that a camera names, each once.
#[derive(Default)]
pub(super) struct Models(Vec<CameraModel>);

impl Models {
    /// The number of a model.
    pub(super) fn open(&mut self, value: &Value<'_>) -> Option<usize> {
        let model = manifest(value)?;
        let known = self.0.iter().position(|other| other.path == model.path);
        Some(known.unwrap_or_else(|| {
            self.0.push(model);
            self.0.len() - 1
        }))
    }

    pub(super) fn manifest(&self, number: usize) -> &Manifest {
        &self.0[number].manifest
    }

    pub(super) fn into_inner(self) -> Vec<CameraModel> {
        self.0
    }
}

/// How a kind of problem is usually looked for.
struct Usual {
    classes: &'static [&'static str],
    score_min: Permille,
    hits: (u32, u32),
    dwell_min: u64,
    still: Option<Permille>,
    touch: Touch,
}

const VEHICLES: &[&str] = &["car", "truck", "bus", "van", "vehicle", "motorcycle"];
/// What may stand in front of a bay counts there too: the bay knows what to make of it.
const STREET: &[&str] =
    &["car", "truck", "bus", "van", "vehicle", "motorcycle", "bicycle", "person", "pedestrian"];
const WORDS: &str = "\"car\", \"truck\"";

/// By category; what is not here needs its classes named.
fn usual(category: &str) -> Usual {
    let plain = Usual {
        classes: &[],
        score_min: Permille::from_percent(50),
        hits: (4, 6),
        dwell_min: 10,
        still: None,
        touch: Touch::Centre,
    };
    match category {
        "bin_overflow" => Usual {
            classes: &["overflow", "overflowing"],
            score_min: Permille::from_percent(55),
            ..plain
        },
        "exposed_litter" | "accumulated_waste" => {
            Usual { classes: &["garbage", "litter", "trash"], hits: (5, 8), dwell_min: 15, ..plain }
        }
        "illegal_parking" => Usual {
            classes: VEHICLES,
            score_min: Permille::from_percent(60),
            hits: (8, 10),
            dwell_min: 3,
            still: Some(Permille::from_percent(70)),
            touch: Touch::Foot,
        },
        "bike_parking" | "shared_bike" => Usual {
            classes: &["bicycle"],
            still: Some(Permille::from_percent(70)),
            touch: Touch::Foot,
            ..plain
        },
        _ => plain,
    }
}

/// Reads a zone; `model` is the number of the camera's own.
pub(super) fn zone(
    section: &Section<'_>,
    model: Option<usize>,
    models: &mut Models,
) -> Option<(Zone, CameraZone)> {
    let name = section.required("name", "\"b-1001\"", device_name);
    let polygon = section.required("polygon", "[[0.1, 0.5], [0.4, 0.5], [0.4, 0.9]]", polygon);
    let own = section.optional("model", |value| models.open(value));
    let finds = section.required("finds", "\"occupancy\", or a category: \"bin_overflow\"", finds);
    let category = finds.clone().flatten();
    let problem = category.as_ref().and_then(|category| problem(section, category));
    let model = if section.value("model").is_some() { own } else { model };
    // Without a model it cannot be told which classes there are; that has been said.
    let task = model.and_then(|model| {
        let manifest = models.manifest(model);
        match &category {
            None => Some(Task::Occupancy(classes(
                section,
                manifest,
                STREET,
                Permille::from_percent(50),
            )?)),
            Some(category) => terms(section, manifest, category).map(Task::Problem),
        }
    });
    let objects = model.map(|model| {
        let classes = models.manifest(model).classes.iter();
        classes.map(|class| object(class)).collect()
    });
    // Which keys there are depends on both.
    if model.is_some() && finds.is_some() {
        section.finish();
    }
    let (polygon, task, objects) = (polygon?, task?, objects?);
    // What is wrong with either has been said.
    finds.is_some().then_some(())?;
    if category.is_some() && problem.is_none() {
        return None;
    }
    Some((Zone { polygon, model: model?, task }, CameraZone { name: name?, objects, problem }))
}

fn polygon(value: &Value<'_>) -> Option<Polygon> {
    let point = |value: &Value<'_>| -> Option<(f32, f32)> {
        let pair = value.items("0.1, 0.5")?;
        let numbers: Vec<f64> = pair.iter().filter_map(values::real).collect();
        let [x, y] = *numbers.as_slice() else {
            if numbers.len() == pair.len() {
                value.error("a point has two numbers".to_owned(), "write [x, y], from 0 to 1");
            }
            return None;
        };
        Some((x as f32, y as f32))
    };
    let points: Option<Vec<_>> =
        value.items("[0.1, 0.5], [0.4, 0.5], …")?.iter().map(point).collect();
    Polygon::new(points?)
        .map_err(|bad| {
            let said = bad.to_string();
            let (cause, fix) = said.split_once("; ").unwrap_or((&said, "draw it anew"));
            value.error(format!("this is no polygon: {cause}"), fix);
        })
        .ok()
}

/// What is looked for: what stands on a bay (`None`), or a category of problems.
#[allow(clippy::option_option, reason = "the outer one is a fault")]
fn finds(value: &Value<'_>) -> Option<Option<Category>> {
    if value.raw().as_str() == Some("occupancy") { Some(None) } else { category(value).map(Some) }
}

/// What a zone with a category is about.
fn problem(section: &Section<'_>, category: &Category) -> Option<Problem> {
    let subject = section.required("about", "\"bin/bin-21\", or { lat = …, lon = … }", subject);
    let severity = section.or("severity", Severity::Medium, values::word(&SEVERITIES));
    Some(Problem { category: category.clone(), severity, subject: subject? })
}

/// An asset by its name, or a place.
fn subject(value: &Value<'_>) -> Option<Subject> {
    let Some(text) = value.raw().as_str() else {
        return values::position(value).map(Subject::Place);
    };
    let key = text.parse();
    if key.is_err() {
        value.error(format!("{text:?} names no asset"), "write class/id, such as \"bin/bin-21\"");
    }
    key.ok().map(Subject::Asset)
}

fn terms(section: &Section<'_>, manifest: &Manifest, category: &Category) -> Option<Terms> {
    let usual = usual(category.as_str());
    let classes = classes(section, manifest, usual.classes, usual.score_min);
    let hits = section.or("hits", usual.hits, hits);
    let range = |from: u64| Duration::from_secs(from)..=Duration::from_secs(86_400);
    let minutes = |n: u64| Duration::from_secs(n * 60);
    let dwell = section.or("dwell", minutes(usual.dwell_min), values::duration(range(0)));
    let still = section.value("still_pct").map_or(usual.still, |value| {
        // 0 says that it may lie anywhere in the zone.
        values::percent(&value).filter(|still| *still > Permille::default())
    });
    let touches = [("foot", Touch::Foot), ("centre", Touch::Centre)];
    let touch = section.or("touch", usual.touch, values::word(&touches));
    let clear_after = section.or("clear_after", minutes(5), values::duration(range(1)));
    let rest = section.or("rest", minutes(10), values::duration(range(0)));
    Some(Terms {
        classes: classes?,
        touch,
        hits,
        dwell: millis(dwell),
        still: still.map(|still| f32::from(still.get()) / 1000.0),
        clear_after: millis(clear_after),
        rest: millis(rest),
    })
}

/// The classes that count, by their numbers, each with the least score.
fn classes(
    section: &Section<'_>,
    manifest: &Manifest,
    usual: &[&str],
    score_min: Permille,
) -> Option<Vec<(usize, f32)>> {
    let least = section.or("score_min_pct", score_min, values::percent);
    let least = f32::from(least.get()) / 1000.0;
    if least < manifest.score_min {
        let value = section.value("score_min_pct");
        let cause = format!(
            "{} makes no detection below {:.0} %",
            manifest.name,
            manifest.score_min * 100.0
        );
        let fix = "lower score_min in the manifest, or write a higher score_min_pct";
        section.report.warning(value.map_or(section.at, |value| value.spot()), cause, fix);
    }
    let known = || manifest.classes.iter().map(String::as_str);
    let numbers: Option<Vec<usize>> = match section.value("classes") {
        None => Some(usual.iter().filter_map(|class| manifest.class(class)).collect()),
        Some(value) => {
            let number = |value: &Value<'_>| {
                let class = value.as_text("the name of a class")?;
                let number = manifest.class(class);
                if number.is_none() {
                    let cause = format!("{} has no class {class:?}", manifest.name);
                    value.error(cause, did_you_mean(class, known()));
                }
                number
            };
            value.items(WORDS)?.iter().map(number).collect()
        }
    };
    let numbers = numbers?;
    if numbers.is_empty() {
        let some: Vec<_> = known().take(8).collect();
        let said = format!(
            "no class of {} is what is usually looked for; add classes = [{WORDS}], of {}",
            manifest.name,
            some.join(", ")
        );
        refused(section, section.at, &said);
        return None;
    }
    Some(numbers.into_iter().map(|class| (class, least)).collect())
}

/// `[4, 6]`: so many of so many frames.
fn hits(value: &Value<'_>) -> Option<(u32, u32)> {
    let pair = value.items("4, 6")?;
    let numbers: Vec<u32> = pair.iter().filter_map(values::integer(1..=FRAMES_MAX)).collect();
    match *numbers.as_slice() {
        [hits, of] if hits <= of => Some((hits, of)),
        _ if numbers.len() < pair.len() => None,
        _ => {
            let fix = "write [hits, frames], such as [4, 6]";
            value.error("these are no hits of so many frames".to_owned(), fix);
            None
        }
    }
}
