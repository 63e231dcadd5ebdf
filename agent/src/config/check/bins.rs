//! `[[bin]]`: a bin, how its sensor sees it, and when it is emptied.

use domain::site::{Bin, Kind, Sensing, Service};
use domain::time::Span;
use domain::units::{CentiDegrees, Grams, MilliCelsius, Millimetres, Permille};
use domain::waste::{Geometry, Table, Tag, WasteKind, WeekPlan};
use jiff::civil::Weekday;
use jiff::tz::TimeZone;

use super::super::section::{Section, Value};
use super::super::{defaults, values};

const DAYS: [(&str, Weekday); 7] = [
    ("mon", Weekday::Monday),
    ("tue", Weekday::Tuesday),
    ("wed", Weekday::Wednesday),
    ("thu", Weekday::Thursday),
    ("fri", Weekday::Friday),
    ("sat", Weekday::Saturday),
    ("sun", Weekday::Sunday),
];

/// The shapes that have no key of their own.
#[derive(Clone, Copy)]
enum Shape {
    Prism,
    Tapered,
    Cylinder,
    Table,
}

const SHAPES: [(&str, Shape); 4] = [
    ("prism", Shape::Prism),
    ("tapered", Shape::Tapered),
    ("cylinder", Shape::Cylinder),
    ("table", Shape::Table),
];

/// Reads a bin; its plan is in local time of `zone`.
pub(super) fn bin(section: &Section<'_>, zone: &TimeZone) -> Option<Kind> {
    let empty = section.required("empty_mm", "1500", values::millimetres);
    let full = section.required("full_mm", "300", |value| full_line(value, empty));
    let full_at = section.or("full_at_pct", defaults::FULL_AT, values::percent);
    let clear_at = section.or("clear_at_pct", defaults::CLEAR_AT, values::percent);
    if clear_at >= full_at {
        let value = section.value("clear_at_pct").or_else(|| section.value("full_at_pct"));
        let spot = value.map_or(section.at, |value| value.spot());
        let (clear, full) = (clear_at.percent(), full_at.percent());
        let cause = format!("clear_at_pct ({clear}) must be below full_at_pct ({full})");
        section.report.error(spot, cause, "write clear_at_pct some 20 below full_at_pct");
    }
    let capacity_l = section.optional("capacity_l", values::integer(1..=100_000_u32));
    let stale_after = super::assets::stale_after(section, defaults::SENSOR_STALE_AFTER);
    let depth = empty.zip(full).map(|(empty, full)| empty.0 - full.0);
    let sensing = sensing(section, depth);
    let service = service(section, zone);
    let (empty, full) = (empty?, full?);
    let bin = Bin { empty, full, full_at, clear_at, capacity_l, stale_after, sensing, service };
    Some(Kind::Bin(bin))
}

/// The full line is nearer to the sensor than the bottom.
fn full_line(value: &Value<'_>, empty: Option<Millimetres>) -> Option<Millimetres> {
    let full = values::millimetres(value)?;
    if empty.is_some_and(|empty| full >= empty) {
        let cause = "full_mm must be smaller than empty_mm: both are measured from the sensor";
        value.error(cause.to_owned(), "write the distance from the sensor to the full line");
        return None;
    }
    Some(full)
}

fn sensing(section: &Section<'_>, depth: Option<u32>) -> Sensing {
    let plain = Sensing::PLAIN;
    let degrees = |value: &Value<'_>| {
        let milli = values::milli(0..=80)(value)?;
        // At most 80 degrees.
        Some(CentiDegrees(u16::try_from(milli / 10).expect("within 0 to 80 degrees")))
    };
    let celsius = |value: &Value<'_>| {
        let milli = values::milli(40..=120)(value)?;
        Some(MilliCelsius(i32::try_from(milli).expect("within 40 to 120 °C")))
    };
    let metres = |value: &Value<'_>| values::integer(5..=10_000_u32)(value);
    let moved = section.or("moved_beyond_m", plain.moved_beyond.0 / 1000, metres);
    Sensing {
        geometry: geometry(section, depth),
        mount_angle: section.or("mount_angle_deg", plain.mount_angle, degrees),
        assumes_20_c: section.or("assumes_20_c", plain.assumes_20_c, values::boolean),
        blind: section
            .or("blind_mm", plain.blind, |v| values::integer(0..=5000)(v).map(Millimetres)),
        median_of: section.or("median_of", plain.median_of, median),
        fire_at: section.or("fire_at_c", plain.fire_at, celsius),
        moved_beyond: Millimetres(moved * 1000),
    }
}

fn median(value: &Value<'_>) -> Option<u8> {
    let of = values::integer(1..=9_u8)(value)?;
    if of % 2 == 0 {
        value.error(format!("the median of {of} is not one reading"), "write 1, 3, 5, 7 or 9");
        return None;
    }
    Some(of)
}

fn geometry(section: &Section<'_>, depth: Option<u32>) -> Geometry {
    let shape = section.or("shape", Shape::Prism, values::word(&SHAPES));
    match shape {
        Shape::Prism => Geometry::Prism,
        Shape::Tapered => {
            let bottom = section.required("bottom_mm", "400", values::millimetres);
            let top = section.required("top_mm", "550", values::millimetres);
            let both = bottom.zip(top);
            both.map_or(Geometry::Prism, |(bottom, top)| Geometry::Tapered { bottom, top })
        }
        Shape::Cylinder => {
            let found = section.required("diameter_mm", "1200", |value| diameter(value, depth));
            found.map_or(Geometry::Prism, |diameter| Geometry::Cylinder { diameter })
        }
        Shape::Table => {
            let example = "[[0, 0], [400, 25], [1200, 100]]";
            section.required("levels", example, table).map_or(Geometry::Prism, Geometry::Table)
        }
    }
}

/// A lying cylinder is at least as high as the way from its bottom to the full line.
fn diameter(value: &Value<'_>, depth: Option<u32>) -> Option<Millimetres> {
    let diameter = values::millimetres(value)?;
    if let Some(depth) = depth.filter(|depth| diameter.0 < *depth) {
        let cause = format!(
            "diameter_mm ({}) is less than the {depth} mm from the bottom to the full line",
            diameter.0
        );
        value.error(cause, "measure the inner diameter; a lying cylinder is no higher than that");
        return None;
    }
    Some(diameter)
}

fn table(value: &Value<'_>) -> Option<Table> {
    let items = value.items("[0, 0], [400, 25], [1200, 100]")?;
    let point = |item: &Value<'_>| -> Option<(Millimetres, Permille)> {
        let pair = item.items("400, 25")?;
        let [height, level] = pair.as_slice() else {
            let cause = format!("a point has a height and a level, not {} numbers", pair.len());
            item.error(cause, "write [height in mm, level in percent]");
            return None;
        };
        let height = values::integer(0..=20_000_u32)(height).map(Millimetres);
        height.zip(values::percent(level))
    };
    // Every point is read, so that every wrong one is told.
    let points: Vec<_> = items.iter().map(point).collect();
    let points = points.into_iter().collect::<Option<Vec<_>>>()?;
    match Table::new(points) {
        Ok(table) => Some(table),
        Err(bad) => {
            let fix = "write points [height in mm, level in percent] upwards from [0, 0]";
            value.error(format!("the table {bad}"), fix);
            None
        }
    }
}

fn service(section: &Section<'_>, zone: &TimeZone) -> Service {
    let none = Service::NONE;
    let kinds = WasteKind::ALL.map(|kind| (kind.as_str(), kind));
    let kilograms = |value: &Value<'_>| {
        let grams = values::milli(0..=20_000)(value)?;
        Some(Grams(u32::try_from(grams).expect("at most 20 t")))
    };
    let plan = section.optional("collections", collections);
    Service {
        waste: section.optional("waste", values::word(&kinds)),
        tag: section.optional("tag", tag),
        load_max: section.optional("load_max_kg", kilograms),
        plan: plan.map(|times| WeekPlan::new(zone.clone(), times)),
        plan_grace: section.or(
            "collection_grace",
            none.plan_grace,
            values::span(Span::ZERO..=Span::from_mins(48 * 60)),
        ),
        scale_tolerance: section.or("scale_tolerance_kg", none.scale_tolerance, kilograms),
        expects_vehicle: section.or("expects_vehicle", none.expects_vehicle, values::boolean),
    }
}

pub(super) fn tag(value: &Value<'_>) -> Option<Tag> {
    let text = value.as_text("the tag in double quotes, such as \"e28011606000020812345678\"")?;
    let tag = Tag::from_hex(text);
    if tag.is_none() {
        value.error(format!("{text:?} is no tag"), "write its 1 to 32 hexadecimal digits");
    }
    tag
}

fn collections(value: &Value<'_>) -> Option<Vec<(Weekday, u16)>> {
    let items = value.items("\"mon 06:30\", \"thu 06:30\"")?;
    if items.is_empty() {
        value.error("a plan without a collection".to_owned(), "remove collections, or add one");
        return None;
    }
    let times: Vec<_> = items.iter().map(collection).collect();
    times.into_iter().collect()
}

fn collection(value: &Value<'_>) -> Option<(Weekday, u16)> {
    let text = value.as_text("a weekday and a time, such as \"mon 06:30\"")?;
    let found = text.split_once(' ').and_then(|(day, time)| {
        let (_, day) = DAYS.into_iter().find(|(name, _)| *name == day)?;
        let (hours, minutes) = time.split_once(':')?;
        let two = |text: &str| (text.len() == 2).then(|| text.parse::<u16>().ok()).flatten();
        let (hours, minutes) = (two(hours)?, two(minutes)?);
        (hours < 24 && minutes < 60).then_some((day, hours * 60 + minutes))
    });
    if found.is_none() {
        let days = DAYS.map(|(name, _)| name).join(", ");
        let fix = format!("write one of {days}, and the local time: \"mon 06:30\"");
        value.error(format!("{text:?} is no time of the week"), fix);
    }
    found
}
