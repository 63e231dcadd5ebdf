//! What one value means: text, ids, numbers in their ranges, times, sizes, speeds, words.
//!
//! Each reader takes a [`Value`] and answers with what it means, or says in the report what is wrong
//! with it and how it is written.

use std::fmt::Display;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use domain::ids::BadId;
use domain::place::{BadPosition, Datum, Position};
use domain::time::Span;
use domain::units::{Millimetres, MillimetresPerSecond, Permille};
use toml::de::DeValue;

use super::fault::did_you_mean;
use super::section::Value;

/// The longest text that is a name.
const NAME_MAX: usize = 100;

/// The datums, as they are written in payloads.
pub(super) const DATUMS: [(&str, Datum); 4] = [
    ("WGS84", Datum::Wgs84),
    ("CGCS2000", Datum::Cgcs2000),
    ("GCJ02", Datum::Gcj02),
    ("BD09", Datum::Bd09),
];

/// An id of any kind; what `new` accepts.
pub(super) fn id<T>(new: fn(&str) -> Result<T, BadId>) -> impl Fn(&Value<'_>) -> Option<T> {
    move |value| {
        let text = value.as_text("it in double quotes")?;
        match new(text) {
            Ok(id) => Some(id),
            Err(bad) => {
                let near = [slug(text), slug(text).replace('-', "_")];
                let fix = match near.iter().find(|text| new(text).is_ok()) {
                    Some(near) => format!("write {near:?}, for instance"),
                    None => "choose another one".to_owned(),
                };
                value.error(format!("{:?} {text:?} {bad}", value.key), fix);
                None
            }
        }
    }
}

/// The nearest text that keeps to the rule for ids.
fn slug(text: &str) -> String {
    let plain = text.trim().to_ascii_lowercase().replace([' ', '_', '.', '/'], "-");
    plain.trim_start_matches('-').chars().take(32).collect()
}

/// A text for people: not empty, no control characters.
pub(super) fn name(value: &Value<'_>) -> Option<String> {
    let text = value.as_text("a text in double quotes")?.trim();
    let length = text.chars().count();
    if length == 0 || length > NAME_MAX || text.chars().any(char::is_control) {
        let cause = format!("{:?} is empty, too long or has control characters", value.key);
        value.error(cause, format!("write 1 to {NAME_MAX} characters on one line"));
        return None;
    }
    Some(text.to_owned())
}

/// `true` or `false`.
pub(super) fn boolean(value: &Value<'_>) -> Option<bool> {
    let found = value.raw().as_bool();
    if found.is_none() {
        value.wrong_type("true or false, without quotes");
    }
    found
}

/// A path; relative ones start from the folder of the file they stand in.
pub(super) fn path(value: &Value<'_>) -> Option<PathBuf> {
    value.as_path("a path in double quotes")
}

/// One of `words`.
pub(super) fn word<T: Copy>(words: &[(&'static str, T)]) -> impl Fn(&Value<'_>) -> Option<T> {
    move |value| {
        let known = words.iter().map(|(word, _)| *word);
        let listed = known.clone().map(|word| format!("{word:?}")).collect::<Vec<_>>().join(", ");
        let text = value.as_text(&format!("one of {listed}"))?;
        let found = words.iter().find(|(word, _)| *word == text).map(|(_, meaning)| *meaning);
        if found.is_none() {
            value.error(format!("unknown {:?} {text:?}", value.key), did_you_mean(text, known));
        }
        found
    }
}

/// A whole number in `range`.
pub(super) fn integer<T>(range: RangeInclusive<T>) -> impl Fn(&Value<'_>) -> Option<T>
where
    T: TryFrom<i64> + PartialOrd + Display,
{
    move |value| {
        let wanted = format!("a whole number from {} to {}", range.start(), range.end());
        let DeValue::Integer(number) = value.raw() else {
            value.wrong_type(&format!("{wanted}, without quotes"));
            return None;
        };
        let parsed = i64::from_str_radix(number.as_str(), number.radix()).ok();
        let found = parsed.and_then(|n| T::try_from(n).ok()).filter(|n| range.contains(n));
        if found.is_none() {
            value.error(format!("{:?} is out of range", value.key), format!("write {wanted}"));
        }
        found
    }
}

/// A length in whole millimetres.
pub(super) fn millimetres(value: &Value<'_>) -> Option<Millimetres> {
    integer(1..=20_000)(value).map(Millimetres)
}

/// A number with at most three places behind the point, in thousandths; between `range`, in whole
/// units.
pub(super) fn milli(range: RangeInclusive<i64>) -> impl Fn(&Value<'_>) -> Option<i64> {
    move |value| {
        let wanted = format!("a number from {} to {}", range.start(), range.end());
        let found = match value.raw() {
            DeValue::Integer(n) if n.radix() == 10 => parse_milli(n.as_str()),
            DeValue::Float(n) => parse_milli(n.as_str()),
            _ => {
                value.wrong_type(&format!("{wanted}, without quotes"));
                return None;
            }
        };
        let within = |n: &i64| (range.start() * 1000..=range.end() * 1000).contains(n);
        let found = found.filter(within);
        if found.is_none() {
            let fix = format!("write {wanted} with at most 3 places behind the point");
            value.error(format!("{:?} is out of range", value.key), fix);
        }
        found
    }
}

/// Any number that is one.
pub(super) fn real(value: &Value<'_>) -> Option<f64> {
    let found = match value.raw() {
        DeValue::Float(number) => number.as_str().replace('_', "").parse::<f64>().ok(),
        DeValue::Integer(number) => {
            // The nearest number that there is; maps hold small ones.
            i64::from_str_radix(number.as_str(), number.radix()).ok().map(|n| n as f64)
        }
        _ => {
            value.wrong_type("a number, without quotes");
            return None;
        }
    };
    let found = found.filter(|number| number.is_finite());
    if found.is_none() {
        value.error(format!("{:?} is no number", value.key), "write a number such as 0.1");
    }
    found
}

/// Thousandths from decimal text, exactly.
fn parse_milli(text: &str) -> Option<i64> {
    let (sign, digits) = match text.strip_prefix('-') {
        Some(digits) => (-1, digits),
        None => (1, text.strip_prefix('+').unwrap_or(text)),
    };
    let (whole, places) = digits.split_once('.').unwrap_or((digits, ""));
    let all_digits = |t: &str| t.bytes().all(|b| b.is_ascii_digit());
    if places.len() > 3 || whole.is_empty() || !all_digits(whole) || !all_digits(places) {
        return None;
    }
    let whole = whole.parse::<i64>().ok()?.checked_mul(1000)?;
    let places = format!("{places:0<3}").parse::<i64>().ok()?;
    Some(sign * whole.checked_add(places)?)
}

/// Percent, 0 to 100, in tenths at the finest.
pub(super) fn percent(value: &Value<'_>) -> Option<Permille> {
    let milli = milli(0..=100)(value)?;
    if milli % 100 != 0 {
        value.error(format!("{:?} is finer than a tenth", value.key), "write at most one place");
        return None;
    }
    Some(Permille::clamped(milli / 100))
}

/// A time with unit, in `range`.
pub(super) fn duration(range: RangeInclusive<Duration>) -> impl Fn(&Value<'_>) -> Option<Duration> {
    move |value| {
        if let DeValue::Integer(n) = value.raw() {
            value.wrong_type(&format!("it with its unit, such as \"{}s\"", n.as_str()));
            return None;
        }
        let text = value.as_text("a time with its unit, such as \"90s\", \"5m\" or \"1h 30m\"")?;
        let found = match humantime::parse_duration(text) {
            Ok(found) => found,
            Err(error) => {
                let fix = "write numbers with ms, s, m, h or d, such as \"90s\" or \"1h 30m\"";
                value.error(format!("{:?} {text:?} is no time: {error}", value.key), fix);
                return None;
            }
        };
        if !range.contains(&found) || found.subsec_nanos() % 1_000_000 != 0 {
            let fix = format!(
                "write {} to {}",
                write_duration(*range.start()),
                write_duration(*range.end())
            );
            value.error(format!("{:?} {text:?} is out of range", value.key), fix);
            return None;
        }
        Some(found)
    }
}

/// A time as it is written in the configuration: `2d 2h`, `90s` as `1m 30s`, `10ms`.
pub(super) fn write_duration(duration: Duration) -> String {
    let ms = duration.as_millis();
    let parts = [
        (ms / 86_400_000, "d"),
        (ms / 3_600_000 % 24, "h"),
        (ms / 60_000 % 60, "m"),
        (ms / 1000 % 60, "s"),
        (ms % 1000, "ms"),
    ];
    let parts = parts.iter().filter(|(n, _)| *n > 0).map(|(n, unit)| format!("{n}{unit}"));
    let text = parts.collect::<Vec<_>>().join(" ");
    if text.is_empty() { "0s".to_owned() } else { text }
}

/// As [`duration`], for the core.
pub(super) fn span(range: RangeInclusive<Span>) -> impl Fn(&Value<'_>) -> Option<Span> {
    let real = |span: &Span| Duration::from_millis(span.as_ms());
    let read = duration(real(range.start())..=real(range.end()));
    // In range, so it fits.
    move |value| {
        read(value).map(|d| Span::from_ms(u64::try_from(d.as_millis()).unwrap_or(u64::MAX)))
    }
}

/// The units of sizes, the longest first.
const SIZES: [(&str, u64); 7] = [
    ("GiB", 1 << 30),
    ("MiB", 1 << 20),
    ("KiB", 1 << 10),
    ("GB", 1_000_000_000),
    ("MB", 1_000_000),
    ("KB", 1000),
    ("B", 1),
];

/// A size with unit, in bytes, in `range`.
pub(super) fn size(range: RangeInclusive<u64>) -> impl Fn(&Value<'_>) -> Option<u64> {
    move |value| {
        if let DeValue::Integer(n) = value.raw() {
            value.wrong_type(&format!("it with its unit, such as \"{}MiB\"", n.as_str()));
            return None;
        }
        let text = value.as_text("a size with its unit, such as \"64MiB\"")?;
        let Some(found) = parse_size(text) else {
            let fix = "write a whole number with B, KB, MB, GB, KiB, MiB or GiB, such as \"64MiB\"";
            value.error(format!("{:?} {text:?} is no size", value.key), fix);
            return None;
        };
        if !range.contains(&found) {
            let fix =
                format!("write {} to {}", write_size(*range.start()), write_size(*range.end()));
            value.error(format!("{:?} {text:?} is out of range", value.key), fix);
            return None;
        }
        Some(found)
    }
}

fn parse_size(text: &str) -> Option<u64> {
    let (number, factor) =
        SIZES.iter().find_map(|(unit, factor)| Some((text.strip_suffix(unit)?, factor)))?;
    let number = number.trim_end();
    let digits = !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit());
    digits.then(|| number.parse::<u64>().ok()?.checked_mul(*factor))?
}

/// A size in the largest unit that divides it.
pub(super) fn write_size(bytes: u64) -> String {
    let fits = |(_, factor): &&(&str, u64)| bytes >= *factor && bytes.is_multiple_of(*factor);
    let (unit, factor) = SIZES.iter().find(fits).unwrap_or(&("B", 1));
    format!("{}{unit}", bytes / factor)
}

/// A speed with unit: `15 km/h` or `4.2 m/s`.
pub(super) fn speed(value: &Value<'_>) -> Option<MillimetresPerSecond> {
    const WANTED: &str = "a speed with its unit, such as \"15 km/h\"";
    const MAX: i64 = 100_000;
    let text = value.as_text(WANTED)?;
    let kmh = text.strip_suffix("km/h").and_then(|n| parse_milli(n.trim_end()));
    // Thousandths of a km/h are 5/18 mm/s.
    let kmh = kmh.and_then(|milli| milli.checked_mul(5)).map(|n| n / 18);
    let found = kmh.or_else(|| parse_milli(text.strip_suffix("m/s")?.trim_end()));
    let found = found.filter(|mms| (1..=MAX).contains(mms)).and_then(|mms| mms.try_into().ok());
    if found.is_none() {
        let cause = format!("{:?} {text:?} is no speed, or too high", value.key);
        value.error(cause, format!("write {WANTED}"));
    }
    found.map(MillimetresPerSecond)
}

/// What is wrong with a file of places in China that does not say its datum, and what to do.
pub(super) const DATUM_UNSAID: (&str, &str) = (
    "it does not say its datum, and maps of China are drawn in several",
    "add datum = \"WGS84\", \"CGCS2000\", \"GCJ02\" (most web maps) or \"BD09\"",
);

/// The datum of positions.
pub(super) fn datum(value: &Value<'_>) -> Option<Datum> {
    word(&DATUMS)(value)
}

/// Degrees.
fn degrees(value: &Value<'_>) -> Option<f64> {
    let found = match value.raw() {
        DeValue::Float(number) => number.as_str().parse::<f64>().ok(),
        DeValue::Integer(number) if number.radix() == 10 => number.as_str().parse().ok(),
        _ => None,
    };
    if found.is_none() {
        value.wrong_type("degrees, such as 31.811, without quotes");
    }
    found
}

/// `{ lat = …, lon = …, datum = "…" }`.
pub(super) fn position(value: &Value<'_>) -> Option<Position> {
    let section = value.as_section("{ lat = 31.811, lon = 119.974 }")?;
    let lat = section.required("lat", "31.811", degrees);
    let lon = section.required("lon", "119.974", degrees);
    let datum = section.or("datum", Datum::default(), datum);
    section.finish();
    place(value, lat?, lon?, datum)
}

/// One `[lon, lat]` of a line, in the order of GeoJSON.
pub(super) fn point(value: &Value<'_>, datum: Datum) -> Option<Position> {
    let items = value.items("119.974, 31.811")?;
    let [lon, lat] = items.as_slice() else {
        value.error("a point has two numbers".to_owned(), "write [lon, lat]");
        return None;
    };
    let (lon, lat) = (degrees(lon), degrees(lat));
    place(value, lat?, lon?, datum)
}

/// A line of `[lon, lat]`: at least two points.
pub(super) fn line(value: &Value<'_>, datum: Datum) -> Option<Vec<Position>> {
    let items = value.items("[119.974, 31.811], [119.975, 31.812]")?;
    if items.len() < 2 {
        value.error("a line has at least two points".to_owned(), "add a point [lon, lat]");
        return None;
    }
    // Every point is read, so that every wrong one is told.
    let points: Vec<_> = items.iter().map(|item| point(item, datum)).collect();
    points.into_iter().collect::<Option<Vec<_>>>()
}

fn place(value: &Value<'_>, lat: f64, lon: f64, datum: Datum) -> Option<Position> {
    Position::from_degrees(lat, lon, datum)
        .map_err(|bad| value.error(bad.to_string(), what_to_do(bad, lat, lon)))
        .ok()
}

/// What to do about coordinates that are no place.
pub(super) fn what_to_do(bad: BadPosition, lat: f64, lon: f64) -> &'static str {
    let swapped = Position::from_degrees(lon, lat, Datum::default()).is_ok();
    match bad {
        BadPosition::Latitude(_) if swapped => "are lat and lon swapped?",
        BadPosition::Null => "measure the place, or leave the position out",
        _ => "write degrees, north and east positive",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_and_written() {
        let cases = [
            ("256MiB", Some(268_435_456)),
            ("64KB", Some(64_000)),
            ("1 GiB", Some(1 << 30)),
            ("7B", Some(7)),
            ("0B", Some(0)),
            ("256", None),
            ("MiB", None),
            ("1.5MiB", None),
            ("-1KB", None),
            ("18446744073709551615KB", None),
        ];
        for (text, expected) in cases {
            assert_eq!(parse_size(text), expected, "{text}");
        }
        for (bytes, text) in [(268_435_456, "256MiB"), (64_000, "64KB"), (1, "1B"), (0, "0B")] {
            assert_eq!(write_size(bytes), text);
        }
    }

    #[test]
    fn times_are_written_as_they_are_read() {
        for (ms, text) in [(0, "0s"), (10, "10ms"), (90_000, "1m 30s"), (180_000_000, "2d 2h")] {
            let duration = Duration::from_millis(ms);
            assert_eq!(write_duration(duration), text);
            assert_eq!(humantime::parse_duration(text), Ok(duration));
        }
    }

    #[test]
    fn thousandths_are_exact() {
        let cases = [
            ("85", Some(85_000)),
            ("0.1", Some(100)),
            ("-2.345", Some(-2345)),
            ("+1.", Some(1000)),
            ("1.2345", None),
            ("", None),
            ("-", None),
            (".5", None),
            ("1e3", None),
            ("inf", None),
            ("9223372036854775807", None),
        ];
        for (text, expected) in cases {
            assert_eq!(parse_milli(text), expected, "{text}");
        }
    }

    #[test]
    fn a_wrong_id_gets_a_right_one() {
        for (text, expected) in
            [("B_1001", "b-1001"), (" Xue Jia", "xue-jia"), ("-a", "a"), ("街", "街")]
        {
            assert_eq!(slug(text), expected);
        }
    }
}
