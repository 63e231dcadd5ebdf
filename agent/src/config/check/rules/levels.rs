//! Thresholds: numbers, or each bin's own.

use domain::rules::{FactName, Level, Side};
use domain::site::{Bin, Kind};
use domain::units::Permille;
use toml::de::DeValue;

use super::super::super::section::Value;
use super::super::super::{defaults, values};
use super::{Around, facts};

/// A number that the fact can be, or the bin's own threshold.
pub(super) fn level(value: &Value<'_>, fact: Option<FactName>) -> Option<Level> {
    let own = match value.raw() {
        DeValue::String(text) => match text.as_ref() {
            "full_at" => Some(Level::FullAt),
            "clear_at" => Some(Level::ClearAt),
            _ => {
                let fix = "write a number, \"full_at\" or \"clear_at\"";
                value.error(format!("{text:?} is no threshold"), fix);
                return None;
            }
        },
        _ => None,
    };
    if let Some(own) = own {
        if fact.is_some_and(|fact| fact != FactName::LevelPct) {
            let cause = "only level_pct has thresholds of the bin's own".to_owned();
            value.error(cause, "write a number");
            return None;
        }
        return Some(own);
    }
    let range = fact.map_or(-1_000_000..=1_000_000, facts::possible);
    values::milli(range)(value).map(Level::Milli)
}

/// A threshold that is cleared where it is raised would open and close a ticket with every reading.
pub(super) fn refuse_wrong_side(
    value: &Value<'_>,
    side: Side,
    raise: Option<Level>,
    clear: Level,
    around: &Around<'_>,
) {
    let Some(raise) = raise else { return };
    let wrong = |bin: Option<&Bin>| {
        let (raise, clear) = (resolve(raise, bin), resolve(clear, bin));
        match side {
            Side::Above => clear >= raise,
            Side::Below => clear <= raise,
        }
    };
    let numbers = matches!((raise, clear), (Level::Milli(_), Level::Milli(_)));
    let bins = around.assets.iter().filter_map(|(key, asset)| match &asset.kind {
        Kind::Bin(bin) if !numbers => Some((key, bin)),
        _ => None,
    });
    let whose = match bins.clone().find(|(_, bin)| wrong(Some(bin))) {
        Some((key, _)) => format!(" for {key}"),
        None if bins.count() == 0 && wrong(None) => String::new(),
        None => return,
    };
    let (must, than) = match side {
        Side::Above => ("below", "above"),
        Side::Below => ("above", "below"),
    };
    let cause = format!("clear_at must be {must} raise_at{whose}");
    value.error(cause, format!("with {than}, write a clear_at that is {must} raise_at"));
}

/// A level in thousandths; the bin's own, or what a bin has by default.
fn resolve(level: Level, bin: Option<&Bin>) -> i64 {
    let milli = |permille: Permille| i64::from(permille.get()) * 100;
    match level {
        Level::Milli(milli) => milli,
        Level::FullAt => milli(bin.map_or(defaults::FULL_AT, |bin| bin.full_at)),
        Level::ClearAt => milli(bin.map_or(defaults::CLEAR_AT, |bin| bin.clear_at)),
    }
}
