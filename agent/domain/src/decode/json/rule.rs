//! How one quantity is read from an item: where it stands, in which unit, and what its words mean.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

use crate::decode::{Reason, nearest};
use crate::sample::{Missing, NoData};

use super::{BadPlace, Pointer};

/// One `[[source.map.quantity]]` of the configuration, as it is written.
#[derive(Debug, Clone, PartialEq, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RuleText {
    /// Which quantity, by its [`Name`].
    pub name: String,
    /// JSON pointer into the item.
    pub pointer: String,
    /// The unit of the number that stands there.
    pub unit: Option<String>,
    /// What the number is multiplied with to be in that unit; 1 where it is not said.
    pub scale: Option<f64>,
    /// What is added after that; 0 where it is not said.
    pub offset: Option<f64>,
    /// What words, or numbers and truth values written as words, stand for: a truth value, a number in
    /// the unit (scale and offset do not touch it), or the reason why there is no value (`no_fix`,
    /// `no_target`, `too_close`, `sensor_fault`, `out_of_range`, `silent`).
    #[serde(default)]
    pub values: BTreeMap<String, Word>,
    /// Whether it is all right that nothing stands there. Otherwise that is counted.
    #[serde(default)]
    pub optional: bool,
}

/// What a word stands for, as it is written.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(untagged)]
pub enum Word {
    /// A truth value.
    Truth(bool),
    /// A number in the unit of the rule.
    Number(f64),
    /// The reason why there is no value.
    Why(String),
}

/// A rule that cannot be.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum BadRule {
    /// No quantity has this name.
    #[error("no quantity is called {name:?}; the nearest is {nearest:?}")]
    Name {
        /// The name that was given.
        name: String,
        /// The most similar one there is.
        nearest: &'static str,
    },
    /// No JSON pointer.
    #[error(transparent)]
    Pointer(#[from] BadPlace),
    /// A unit is missing.
    #[error("{name} needs a unit: {units}")]
    UnitNeeded {
        /// The quantity.
        name: &'static str,
        /// What it can be measured in.
        units: String,
    },
    /// Not a unit of this quantity.
    #[error("{name} is not measured in {unit:?}; there are {units}")]
    Unit {
        /// The quantity.
        name: &'static str,
        /// The unit that was given.
        unit: String,
        /// What it can be measured in.
        units: String,
    },
    /// A unit, scale or offset for something that is yes or no, or a text.
    #[error("{0} is yes or no, or a text: it has neither unit nor scale nor offset")]
    NoNumber(&'static str),
    /// A scale that loses everything.
    #[error("the scale is a number other than 0, the offset a number")]
    Scale,
    /// A word that stands for something that the quantity cannot be.
    #[error("{word:?} cannot stand for that: {name} takes {takes}")]
    Word {
        /// The word.
        word: String,
        /// The quantity.
        name: &'static str,
        /// What would be right.
        takes: &'static str,
    },
}

impl BadRule {
    /// The key of the rule that is wrong.
    #[must_use]
    pub const fn key(&self) -> &'static str {
        match self {
            BadRule::Name { .. } => "name",
            BadRule::Pointer(_) => "pointer",
            BadRule::UnitNeeded { .. } | BadRule::Unit { .. } | BadRule::NoNumber(_) => "unit",
            BadRule::Scale => "scale",
            BadRule::Word { .. } => "values",
        }
    }
}

/// A unit: its name, and what a number in it is multiplied with and then added to be in the small
/// integer unit of the quantity.
struct Unit(&'static str, f64, f64);

const FLAG: &[Unit] = &[];
const TEXT: &[Unit] = &[];
const WEIGHT: &[Unit] = &[Unit("g", 1.0, 0.0), Unit("kg", 1000.0, 0.0), Unit("t", 1e6, 0.0)];
const LENGTH: &[Unit] =
    &[Unit("mm", 1.0, 0.0), Unit("cm", 10.0, 0.0), Unit("m", 1000.0, 0.0), Unit("in", 25.4, 0.0)];
const SHARE: &[Unit] =
    &[Unit("percent", 10.0, 0.0), Unit("permille", 1.0, 0.0), Unit("ratio", 1000.0, 0.0)];
const TEMPERATURE: &[Unit] = &[
    Unit("c", 1000.0, 0.0),
    Unit("f", 5000.0 / 9.0, -160_000.0 / 9.0),
    Unit("k", 1000.0, -273_150.0),
];
const VOLTAGE: &[Unit] = &[Unit("mv", 1.0, 0.0), Unit("v", 1000.0, 0.0)];
const DURATION: &[Unit] = &[
    Unit("ms", 1.0, 0.0),
    Unit("s", 1000.0, 0.0),
    Unit("min", 60_000.0, 0.0),
    Unit("h", 3_600_000.0, 0.0),
];
const PLACE: &[Unit] = &[Unit("deg", 1e7, 0.0)];
const SPEED: &[Unit] = &[
    Unit("m/s", 1000.0, 0.0),
    Unit("km/h", 10_000.0 / 36.0, 0.0),
    Unit("kn", 1852.0 / 3.6, 0.0),
    Unit("mph", 447.04, 0.0),
];
const COURSE: &[Unit] = &[Unit("deg", 100.0, 0.0)];
const COUNT: &[Unit] = &[Unit("count", 1.0, 0.0)];

/// One row a name: how it is written, its units, the smallest and largest value in its own small unit,
/// and what is missing when a word says that there is none.
macro_rules! names {
    ($($(#[$doc:meta])* $name:ident = $text:literal, $units:ident, $min:literal, $max:literal, $missing:expr;)+) => {
        /// The quantities that a rule can name.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Name {
            $($(#[$doc])* $name,)+
        }

        impl Name {
            /// Every name.
            pub const ALL: &[Name] = &[$(Name::$name),+];

            /// How it is written.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Name::$name => $text,)+ }
            }

            const fn units(self) -> &'static [Unit] {
                match self { $(Name::$name => $units,)+ }
            }

            const fn range(self) -> (f64, f64) {
                match self { $(Name::$name => ($min, $max),)+ }
            }

            /// What is missing when there is none.
            pub(super) const fn missing(self) -> Option<Missing> {
                match self { $(Name::$name => $missing,)+ }
            }
        }
    };
}

names! {
    /// Whether something stands on the bay.
    Occupied = "occupied", FLAG, 0.0, 1.0, Some(Missing::Occupied);
    /// How long the state before lasted.
    PreviousState = "previous_state", DURATION, 0.0, 1e11, None;
    /// From the sensor to what it looks at.
    Distance = "distance", LENGTH, 0.0, 100_000.0, Some(Missing::Distance);
    /// Filling level. Some devices count beyond the rim: up to 200 % is full.
    Level = "level", SHARE, 0.0, 2000.0, Some(Missing::Distance);
    /// Temperature.
    Temperature = "temperature", TEMPERATURE, -100_000.0, 500_000.0, Some(Missing::Temperature);
    /// Battery charge.
    BatteryLevel = "battery_level", SHARE, 0.0, 1000.0, None;
    /// Battery voltage.
    BatteryVoltage = "battery_voltage", VOLTAGE, 0.0, 65_535.0, None;
    /// Whether the sensor hangs at an angle it should not have.
    Tilted = "tilted", FLAG, 0.0, 1.0, None;
    /// Whether the lid stands open.
    LidOpen = "lid_open", FLAG, 0.0, 1.0, None;
    /// Whether the sensor reports fire.
    Fire = "fire", FLAG, 0.0, 1.0, None;
    /// Whether the brush, pump or suction works.
    Working = "working", FLAG, 0.0, 1.0, None;
    /// Degrees north, of a position.
    Latitude = "latitude", PLACE, -9e8, 9e8, Some(Missing::Fix);
    /// Degrees east, of a position.
    Longitude = "longitude", PLACE, -18e8, 18e8, Some(Missing::Fix);
    /// Speed over ground, of a position.
    Speed = "speed", SPEED, 0.0, 150_000.0, None;
    /// Direction of movement, of a position.
    Course = "course", COURSE, 0.0, 36_000.0, None;
    /// Horizontal accuracy, of a position.
    Accuracy = "accuracy", LENGTH, 0.0, 1e8, None;
    /// Satellites used, of a position.
    Satellites = "satellites", COUNT, 0.0, 255.0, None;
    /// Number of a card, or text of a code, of who puts something in. Becomes a pseudonym.
    Person = "person", TEXT, 0.0, 0.0, None;
    /// Kind of what was put in.
    Waste = "waste", TEXT, 0.0, 0.0, None;
    /// What the device found wrong with it.
    Violation = "violation", TEXT, 0.0, 0.0, None;
    /// What was put in.
    DepositWeight = "deposit_weight", WEIGHT, 0.0, 1e8, None;
    /// What the bin's scale showed before.
    ScaleBefore = "scale_before", WEIGHT, 0.0, 1e8, None;
    /// What it showed after.
    ScaleAfter = "scale_after", WEIGHT, 0.0, 1e8, None;
    /// RFID tag of a bin that a vehicle lifted, in hexadecimal.
    Tag = "tag", TEXT, 0.0, 0.0, None;
    /// Weight of the bin going up.
    GrossWeight = "gross_weight", WEIGHT, 0.0, 1e8, None;
    /// Weight of the bin coming down.
    TareWeight = "tare_weight", WEIGHT, 0.0, 1e8, None;
    /// A vehicle's load on the weighbridge.
    StationWeight = "station_weight", WEIGHT, 0.0, 1e8, None;
}

impl Name {
    fn find(text: &str) -> Result<Name, BadRule> {
        let known = Name::ALL.iter().copied();
        known.clone().find(|name| name.as_str() == text).ok_or_else(|| {
            let nearest = nearest(text, known.clone().map(|name| name.as_str().to_owned()));
            let nearest = known.map(Name::as_str).find(|name| *name == nearest);
            BadRule::Name { name: text.to_owned(), nearest: nearest.unwrap_or_default() }
        })
    }

    /// Whether it is a part of a position.
    pub(super) const fn is_of_position(self) -> bool {
        matches!(
            self,
            Name::Latitude
                | Name::Longitude
                | Name::Speed
                | Name::Course
                | Name::Accuracy
                | Name::Satellites
        )
    }

    const fn is_flag(self) -> bool {
        self.units().is_empty() && !self.is_text()
    }

    /// Whether it is a text.
    const fn is_text(self) -> bool {
        matches!(self, Name::Person | Name::Waste | Name::Violation | Name::Tag)
    }

    fn unit_list(self) -> String {
        self.units().iter().map(|unit| unit.0).collect::<Vec<_>>().join(", ")
    }

    fn unit(self, text: Option<&str>) -> Result<&'static Unit, BadRule> {
        let (name, units) = (self.as_str(), self.units());
        match (text, units) {
            (None, [only]) => Ok(only),
            (None, _) => Err(BadRule::UnitNeeded { name, units: self.unit_list() }),
            (Some(text), _) => units.iter().find(|unit| unit.0 == text).ok_or_else(|| {
                BadRule::Unit { name, unit: text.to_owned(), units: self.unit_list() }
            }),
        }
    }
}

/// What a rule found.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Found {
    /// Nothing stands there, and that is all right.
    Nothing,
    /// Yes or no.
    Truth(bool),
    /// A number in the small unit of the quantity, in its range.
    Number(i64),
    /// A text.
    Text(String),
    /// A word that says that there is none.
    Absent(NoData),
}

/// A rule that was checked.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Rule {
    pub(super) name: Name,
    pointer: Pointer,
    /// The number that stands there, times this and plus that, is in the small unit.
    factor: f64,
    offset: f64,
    words: BTreeMap<String, Found>,
    optional: bool,
}

impl Rule {
    /// Checks what the configuration says.
    ///
    /// # Errors
    /// The first thing that is wrong.
    pub(super) fn new(text: &RuleText) -> Result<Rule, BadRule> {
        let name = Name::find(&text.name)?;
        let pointer = Pointer::new(&text.pointer)?;
        let (scale, offset) = (text.scale.unwrap_or(1.0), text.offset.unwrap_or(0.0));
        if name.units().is_empty() && (text.unit.is_some() || text.scale.or(text.offset).is_some())
        {
            return Err(BadRule::NoNumber(name.as_str()));
        }
        if scale == 0.0 || !scale.is_finite() || !offset.is_finite() {
            return Err(BadRule::Scale);
        }
        let identity = &Unit("", 1.0, 0.0);
        let unit =
            if name.units().is_empty() { identity } else { name.unit(text.unit.as_deref())? };
        let words = text.values.iter().map(|(word, meaning)| {
            let found = meant(name, unit, meaning);
            let takes = match (name.is_flag(), name.missing().is_some()) {
                _ if name.is_text() => "a text",
                (true, true) => "true, false or the reason why there is none",
                (true, false) => "true or false",
                (false, true) => "a number it can have or the reason why there is none",
                (false, false) => "a number it can have",
            };
            let bad = || BadRule::Word { word: word.clone(), name: name.as_str(), takes };
            Ok((word.clone(), found.ok_or_else(bad)?))
        });
        let words = words.collect::<Result<_, BadRule>>()?;
        let (factor, offset) = (scale * unit.1, offset * unit.1 + unit.2);
        Ok(Rule { name, pointer, factor, offset, words, optional: text.optional })
    }

    /// One step of what stands there, in the small unit: the most that a count of whole steps is wrong.
    pub(super) fn step(&self) -> f64 {
        libm::fabs(self.factor)
    }

    /// Reads the quantity of an item.
    ///
    /// A word that is not in the list is [`Reason::OutOfRange`], like a number that the quantity cannot
    /// have; anything of the wrong type, and nothing where something must stand, is [`Reason::Field`].
    pub(super) fn read(&self, item: &Value) -> Result<Found, Reason> {
        let Some(value) = self.pointer.get(item) else {
            return if self.optional { Ok(Found::Nothing) } else { Err(Reason::Field) };
        };
        if let Some(found) = spelled(value).and_then(|word| self.words.get(&word)) {
            return Ok(found.clone());
        }
        if self.name.is_text() {
            return match spelled(value) {
                Some(_) if !self.words.is_empty() => Err(Reason::OutOfRange),
                Some(text) => Ok(Found::Text(text)),
                None => Err(Reason::Field),
            };
        }
        match value {
            Value::String(_) if self.words.is_empty() => Err(Reason::Field),
            Value::String(_) => Err(Reason::OutOfRange),
            Value::Bool(_) | Value::Number(_) if self.name.is_flag() && !self.words.is_empty() => {
                Err(Reason::OutOfRange)
            }
            Value::Bool(truth) if self.name.is_flag() => Ok(Found::Truth(*truth)),
            Value::Number(number) => {
                let number = number.as_f64().ok_or(Reason::Field)?;
                let small = number * self.factor + self.offset;
                let found = if self.name.is_flag() { flag(number) } else { held(self.name, small) };
                found.ok_or(Reason::OutOfRange)
            }
            _ => Err(Reason::Field),
        }
    }
}

/// How a value is spelled in a list of words: 1 and 1.0 are both `1`.
fn spelled(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Bool(truth) => Some(truth.to_string()),
        Value::Number(number) => Some(match (number.as_i64(), number.as_f64()) {
            (Some(whole), _) => whole.to_string(),
            (None, Some(float)) => float.to_string(),
            (None, None) => number.to_string(),
        }),
        _ => None,
    }
}

/// What a word stands for, if the quantity can be that.
fn meant(name: Name, unit: &Unit, word: &Word) -> Option<Found> {
    match word {
        Word::Why(text) if name.is_text() => Some(Found::Text(text.clone())),
        _ if name.is_text() => None,
        Word::Truth(truth) => name.is_flag().then_some(Found::Truth(*truth)),
        Word::Number(_) if name.is_flag() => None,
        Word::Number(number) => held(name, number * unit.1 + unit.2),
        Word::Why(why) => {
            name.missing()?;
            NoData::deserialize(Value::String(why.clone())).ok().map(Found::Absent)
        }
    }
}

fn flag(number: f64) -> Option<Found> {
    match number {
        0.0 => Some(Found::Truth(false)),
        1.0 => Some(Found::Truth(true)),
        _ => None,
    }
}

/// The number rounded to a whole one, if the quantity can have it.
fn held(name: Name, small: f64) -> Option<Found> {
    let (min, max) = name.range();
    let rounded = libm::round(small);
    // In range, so the cast is exact.
    (min..=max).contains(&rounded).then_some(Found::Number(rounded as i64))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn text(name: &str) -> RuleText {
        RuleText { name: name.to_owned(), pointer: "/v".to_owned(), ..RuleText::default() }
    }

    fn in_unit(name: &str, unit: &str) -> RuleText {
        RuleText { unit: Some(unit.to_owned()), ..text(name) }
    }

    fn words(name: &str, words: &[(&str, Word)]) -> RuleText {
        let values = words.iter().map(|(word, meaning)| ((*word).to_owned(), meaning.clone()));
        RuleText { values: values.collect(), ..text(name) }
    }

    fn read(text: &RuleText, value: impl Into<Value>) -> Result<Found, Reason> {
        Rule::new(text).unwrap().read(&json!({ "v": value.into() }))
    }

    #[test]
    fn numbers_in_every_unit() {
        for (name, unit, value, small) in [
            ("distance", "mm", 1716.0, 1716),
            ("distance", "cm", 79.2, 792),
            ("distance", "m", 2.116, 2116),
            ("distance", "in", 10.0, 254),
            ("level", "percent", 45.67, 457),
            ("level", "permille", 457.0, 457),
            ("level", "ratio", 0.5, 500),
            ("temperature", "c", -1.5, -1500),
            ("temperature", "f", 212.0, 100_000),
            ("temperature", "f", -40.0, -40_000),
            ("temperature", "k", 273.15, 0),
            ("battery_voltage", "v", 3.35, 3350),
            ("previous_state", "min", 74.0, 74 * 60_000),
            ("previous_state", "h", 1.5, 5_400_000),
            ("latitude", "deg", 31.811, 318_110_000),
            ("speed", "km/h", 36.0, 10_000),
            ("speed", "kn", 1.0, 514),
            ("course", "deg", 359.99, 35_999),
            ("satellites", "count", 14.0, 14),
        ] {
            let found = read(&in_unit(name, unit), json!(value));
            assert_eq!(found, Ok(Found::Number(small)), "{name} {unit} {value}");
        }
    }

    #[test]
    fn scale_and_offset_come_before_the_unit() {
        let tenths = RuleText { scale: Some(10.0), ..in_unit("level", "percent") };
        assert_eq!(read(&tenths, json!(6)), Ok(Found::Number(600)));
        let free =
            RuleText { scale: Some(-1.0), offset: Some(100.0), ..in_unit("level", "percent") };
        assert_eq!(read(&free, json!(30)), Ok(Found::Number(700)));
        let shifted = RuleText { offset: Some(-40.0), ..in_unit("temperature", "c") };
        assert_eq!(read(&shifted, json!(65)), Ok(Found::Number(25_000)));
        assert!((Rule::new(&in_unit("previous_state", "min")).unwrap().step() - 6e4).abs() < 1e-9);
    }

    #[test]
    fn what_a_quantity_cannot_be_is_out_of_range() {
        for (name, unit, value) in [
            ("distance", "mm", -1.0),
            ("distance", "m", 100.1),
            ("level", "percent", -0.1),
            ("level", "percent", 201.0),
            ("battery_level", "percent", 101.0),
            ("temperature", "c", -117.0),
            ("latitude", "deg", 90.1),
            ("course", "deg", 361.0),
            ("distance", "mm", f64::MAX),
        ] {
            let found = read(&in_unit(name, unit), json!(value));
            assert_eq!(found, Err(Reason::OutOfRange), "{name} {value}");
        }
    }

    #[test]
    fn yes_and_no_without_a_list() {
        let occupied = text("occupied");
        for (value, found) in [
            (json!(true), Ok(Found::Truth(true))),
            (json!(0), Ok(Found::Truth(false))),
            (json!(1), Ok(Found::Truth(true))),
            (json!(1.0), Ok(Found::Truth(true))),
            (json!(2), Err(Reason::OutOfRange)),
            (json!("true"), Err(Reason::Field)),
            (json!([true]), Err(Reason::Field)),
            (json!({}), Err(Reason::Field)),
            (json!(null), Err(Reason::Field)),
        ] {
            assert_eq!(read(&occupied, value.clone()), found, "{value}");
        }
        assert_eq!(read(&in_unit("distance", "mm"), json!(true)), Err(Reason::Field));
        assert_eq!(read(&in_unit("distance", "mm"), json!("12")), Err(Reason::Field));
    }

    #[test]
    fn words_mean_what_the_list_says() {
        let status = words(
            "occupied",
            &[
                ("Present", Word::Truth(true)),
                ("Unoccupied", Word::Truth(false)),
                ("2", Word::Truth(true)),
                ("broken", Word::Why("sensor_fault".to_owned())),
            ],
        );
        for (value, found) in [
            (json!("Present"), Ok(Found::Truth(true))),
            (json!("Unoccupied"), Ok(Found::Truth(false))),
            (json!(2), Ok(Found::Truth(true))),
            (json!(2.0), Ok(Found::Truth(true))),
            (json!("broken"), Ok(Found::Absent(NoData::SensorFault))),
            (json!("present"), Err(Reason::OutOfRange)),
            // With a list, only what is in it counts.
            (json!(1), Err(Reason::OutOfRange)),
            (json!(true), Err(Reason::OutOfRange)),
            (json!(["Present"]), Err(Reason::Field)),
        ] {
            assert_eq!(read(&status, value.clone()), found, "{value}");
        }
        let level = RuleText {
            scale: Some(10.0),
            unit: Some("percent".to_owned()),
            ..words(
                "level",
                &[("full", Word::Number(100.0)), ("-1", Word::Why("no_target".to_owned()))],
            )
        };
        assert_eq!(read(&level, json!("full")), Ok(Found::Number(1000)));
        assert_eq!(read(&level, json!(-1)), Ok(Found::Absent(NoData::NoTarget)));
        assert_eq!(read(&level, json!(6)), Ok(Found::Number(600)));
    }

    #[test]
    fn nothing_is_counted_unless_it_may_be_missing() {
        let occupied = Rule::new(&text("occupied")).unwrap();
        assert_eq!(occupied.read(&json!({})), Err(Reason::Field));
        let optional = Rule::new(&RuleText { optional: true, ..text("occupied") }).unwrap();
        assert_eq!(optional.read(&json!({})), Ok(Found::Nothing));
        assert_eq!(optional.read(&json!({ "v": null })), Ok(Found::Nothing));
        assert_eq!(optional.read(&json!({ "v": "x" })), Err(Reason::Field));
    }

    #[test]
    fn rules_that_cannot_be_are_answered_with_what_would_be_right() {
        let nan = RuleText { offset: Some(f64::NAN), ..in_unit("distance", "mm") };
        let zero = RuleText { scale: Some(0.0), ..in_unit("distance", "mm") };
        let flag = RuleText { scale: Some(2.0), ..text("occupied") };
        let pointer = RuleText { pointer: "v".to_owned(), ..text("occupied") };
        for (rule, key, says) in [
            (text("ocupied"), "name", "\"occupied\""),
            (text(""), "name", "nearest"),
            (pointer, "pointer", "JSON pointer"),
            (text("distance"), "unit", "mm, cm, m, in"),
            (in_unit("distance", "km"), "unit", "mm, cm, m, in"),
            (in_unit("occupied", "mm"), "unit", "yes or no"),
            (flag, "unit", "yes or no"),
            (zero, "scale", "other than 0"),
            (nan, "scale", "number"),
            (words("occupied", &[("x", Word::Number(1.0))]), "values", "true, false"),
            (words("tilted", &[("x", Word::Why("silent".into()))]), "values", "true or false"),
            (words("occupied", &[("x", Word::Why("bad".into()))]), "values", "reason"),
        ] {
            let bad = Rule::new(&rule).unwrap_err();
            assert_eq!(bad.key(), key, "{bad}");
            assert!(bad.to_string().contains(says), "{bad}");
        }
    }
}
