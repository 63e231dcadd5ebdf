//! What a bare number measures: the keys that registers and signals have in common.

use domain::decode::measure::{BadScaling, Meaning, Measure, Scaling, Unit};

use super::super::super::section::{Section, Value};
use super::super::super::values;
use super::{parsed, refused};

/// Reads `quantity`, `unit`, `scale`, `offset`, `min`, `max` and `values`.
pub(super) fn scaling(section: &Section<'_>) -> Option<Scaling> {
    let measure = section.required("quantity", "\"distance\"", parsed::<Measure>);
    let unit = section.optional("unit", parsed::<Unit>);
    let scale = section.optional("scale", values::real);
    let offset = section.optional("offset", values::real);
    let min = section.optional("min", values::real);
    let max = section.optional("max", values::real);
    let meanings = section.optional("values", meanings).unwrap_or_default();
    let measure = measure?;
    let made = || -> Result<Scaling, BadScaling> {
        let mut scaling = Scaling::new(measure);
        if let Some(unit) = unit {
            scaling = scaling.with_unit(unit)?;
        }
        if scale.is_some() || offset.is_some() {
            scaling = scaling.with_scale(scale.unwrap_or(1.0), offset.unwrap_or(0.0))?;
        }
        if min.is_some() || max.is_some() {
            let (min, max) = (min.unwrap_or(f64::NEG_INFINITY), max.unwrap_or(f64::INFINITY));
            scaling = scaling.with_range(min, max)?;
        }
        let with = |scaling: Scaling, (raw, meaning)| scaling.with_meaning(raw, meaning);
        meanings.into_iter().try_fold(scaling, with)
    };
    made().map_err(|bad| refused(section, section.at, &bad.to_string())).ok()
}

/// `{ 0 = "too_close", 1 = false, 2 = true }`.
fn meanings(value: &Value<'_>) -> Option<Vec<(i64, Meaning)>> {
    let section = value.as_section("{ 0 = \"no_target\" }, numbers with what they mean")?;
    let meanings = section.entries().filter_map(|(key, value)| {
        let Ok(raw) = key.parse::<i64>() else {
            value.error(format!("{key:?} is no whole number"), "write the number as it is sent");
            return None;
        };
        let meaning = match value.raw().as_bool() {
            Some(yes) => Meaning::State(yes),
            None => parsed(&value)?,
        };
        Some((raw, meaning))
    });
    Some(meanings.collect())
}
