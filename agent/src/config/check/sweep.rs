//! `sweep = { … }` of a street: when, how often and on which side it is to be swept.

use std::collections::BTreeMap;

use domain::ids::AssetKey;
use domain::site::{Asset, Kind};
use domain::sweeping::{Plan, Side, Window};
use jiff::tz::TimeZone;

use super::super::defaults;
use super::super::section::Value;
use super::super::values;

pub(super) const SIDES: [(&str, Side); 5] = [
    ("along", Side::Along),
    ("either", Side::Either),
    ("right", Side::Right),
    ("left", Side::Left),
    ("both", Side::Both),
];

const DAYS: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];

const EXAMPLE: &str = "mon-fri 06:00-09:00";

/// The plan; its hours are UTC until [`set_zone`].
pub(super) fn read(value: &Value<'_>) -> Option<Plan> {
    let section = value.as_section("{ windows = [\"mon-fri 06:00-09:00\"], passes = 1 }")?;
    let windows = section.required("windows", "[\"mon-fri 06:00-09:00\"]", windows);
    let side = section.or("side", Side::default(), values::word(&SIDES));
    let width_m = section.or("width_mm", defaults::ROAD_WIDTH, values::integer(1000..=100_000_u32));
    let passes = section.or("passes", 1, values::integer(1..=20_u8));
    section.finish();
    let width_m = f64::from(width_m) / 1000.0;
    Some(Plan { side, width_m, windows: windows?, passes, zone: TimeZone::UTC })
}

/// Hours, at least one window of them.
pub(super) fn windows(value: &Value<'_>) -> Option<Vec<Window>> {
    let items = value.items("\"mon-fri 06:00-09:00\"")?;
    if items.is_empty() {
        value.error("there is no window".to_owned(), format!("add one: [{EXAMPLE:?}]"));
        return None;
    }
    // Every window is read, so that every wrong one is told.
    let windows: Vec<_> = items.iter().map(window).collect();
    windows.into_iter().collect::<Option<Vec<_>>>()
}

/// Gives every plan the site's time zone.
pub(super) fn set_zone(assets: &mut BTreeMap<AssetKey, Asset>, zone: &TimeZone) {
    for asset in assets.values_mut() {
        if let Kind::Street { sweep: Some(plan), .. } = &mut asset.kind {
            plan.zone = zone.clone();
        }
    }
}

/// `mon-fri 06:00-09:00`, `sat,sun 22:00-06:00`, `daily 00:00-24:00`.
fn window(value: &Value<'_>) -> Option<Window> {
    let text = value.as_text(&format!("a window such as {EXAMPLE:?}"))?;
    let found = parse(text);
    if found.is_none() {
        let fix = format!("write days and hours such as {EXAMPLE:?} or \"daily 22:00-06:00\"");
        value.error(format!("{text:?} is no window"), fix);
    }
    found
}

pub(super) fn parse(text: &str) -> Option<Window> {
    let (days, hours) = text.trim().split_once(' ')?;
    let (from, until) = hours.trim().split_once('-')?;
    Window::new(parse_days(days)?, minute(from)?, minute(until)?)
}

pub(super) fn parse_days(text: &str) -> Option<[bool; 7]> {
    let number = |day: &str| DAYS.iter().position(|known| *known == day);
    let mut days = [false; 7];
    for part in text.split(',') {
        match part.split_once('-') {
            None if part == "daily" => days = [true; 7],
            None => days[number(part)?] = true,
            Some((first, last)) => {
                let (first, last) = (number(first)?, number(last)?);
                // From Saturday to Monday goes over the end of the week.
                let count = (last + 7 - first) % 7;
                (first..=first + count).for_each(|day| days[day % 7] = true);
            }
        }
    }
    Some(days)
}

pub(super) fn minute(text: &str) -> Option<u16> {
    let (hour, minute) = text.split_once(':')?;
    let two = |digits: &str| (digits.len() == 2).then(|| digits.parse::<u16>().ok()).flatten();
    let (hour, minute) = (two(hour)?, two(minute)?);
    (minute < 60 && hour * 60 + minute <= 24 * 60).then_some(hour * 60 + minute)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_are_days_and_hours() {
        let days = |on: &[usize]| std::array::from_fn(|day| on.contains(&day));
        let cases = [
            ("mon-fri 06:00-09:00", Window::new(days(&[0, 1, 2, 3, 4]), 360, 540)),
            ("sat,sun 22:00-06:00", Window::new(days(&[5, 6]), 1320, 360)),
            ("sat-mon 06:30-07:00", Window::new(days(&[5, 6, 0]), 390, 420)),
            ("daily 00:00-24:00", Some(Window::ALWAYS)),
        ];
        for (text, window) in cases {
            assert_eq!(parse(text), window, "{text}");
            assert!(window.is_some(), "{text}");
        }
        for text in
            ["", "06:00-09:00", "mon 6:00-9:00", "mon 06:00", "mun 06:00-09:00", "mon 06:00-24:30"]
        {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
