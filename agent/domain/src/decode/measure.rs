//! What a number in a register or in a frame measures.
//!
//! Devices on a bus send bare numbers; what they mean stands in the configuration. Responsible for the
//! way from such a number to a [`Quantity`]: the special values of the device, scale and offset, the
//! unit, the range that the device can have. A value outside its range is
//! [`Absent`], never held at the edge and never a default. Knows no bus.
//!
//! The value is `number · scale + offset`, in the unit that is named. Floating point takes part in this
//! conversion only; quantities are integers again.

use std::fmt;
use std::str::FromStr;

use crate::sample::{Absent, Missing, NoData, Quantity};
use crate::units::{
    Metres, MilliCelsius, Millilitres, Millimetres, MillimetresPerSecond, Millivolts, Permille,
};

/// Declares an enum with the words that stand for it in the configuration.
macro_rules! named {
    (
        $(#[$doc:meta])*
        pub enum $name:ident is $what:literal {
            $($(#[$variant_doc:meta])* $variant:ident = $text:literal,)+
        }
    ) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum $name {
            $($(#[$variant_doc])* $variant,)+
        }

        impl $name {
            /// Every one.
            pub const ALL: &[$name] = &[$($name::$variant),+];

            /// Its word in the configuration.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self {
                    $($name::$variant => $text,)+
                }
            }
        }

        impl std::str::FromStr for $name {
            type Err = $crate::decode::measure::UnknownWord;
            fn from_str(word: &str) -> Result<$name, Self::Err> {
                $name::ALL.iter().copied().find(|one| one.as_str() == word).ok_or_else(|| {
                    $crate::decode::measure::UnknownWord {
                        what: $what,
                        word: word.to_owned(),
                        known: &[$($text),+],
                    }
                })
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.as_str())
            }
        }
    };
}
pub(super) use named;

/// A word that stands for nothing here.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{word:?} is no {what}; known are {}", known.join(", "))]
pub struct UnknownWord {
    /// What it should have been.
    pub what: &'static str,
    /// The word.
    pub word: String,
    /// The words there are.
    pub known: &'static [&'static str],
}

named! {
    /// What is measured.
    pub enum Measure is "quantity" {
        /// From the sensor to what it looks at.
        Distance = "distance",
        /// Filling level.
        Level = "level",
        /// Temperature.
        Temperature = "temperature",
        /// Battery charge.
        BatteryLevel = "battery_level",
        /// Battery voltage.
        BatteryVoltage = "battery_voltage",
        /// Whether something stands on the bay.
        Occupied = "occupied",
        /// Whether the sensor hangs at an angle it should not have.
        Tilted = "tilted",
        /// Whether the lid stands open.
        LidOpen = "lid_open",
        /// Whether there is fire.
        Fire = "fire",
        /// Whether the brush, pump or suction works.
        Working = "working",
        /// Whether the ignition is on.
        Ignition = "ignition",
        /// The vehicle's own speed.
        Speed = "speed",
        /// The whole way of the vehicle.
        Odometer = "odometer",
        /// Fuel, of the whole tank.
        FuelLevel = "fuel_level",
        /// Fuel.
        FuelVolume = "fuel_volume",
    }
}

named! {
    /// In what a value is given.
    pub enum Unit is "unit" {
        /// Millimetres.
        Millimetre = "mm",
        /// Centimetres.
        Centimetre = "cm",
        /// Metres.
        Metre = "m",
        /// Kilometres.
        Kilometre = "km",
        /// Degrees Celsius.
        Celsius = "C",
        /// Hundredths of the whole.
        Percent = "%",
        /// Volts.
        Volt = "V",
        /// Kilometres per hour.
        KilometrePerHour = "km/h",
        /// Metres per second.
        MetrePerSecond = "m/s",
        /// Litres.
        Litre = "l",
        /// None: yes or no.
        State = "state",
    }
}

/// What a special number of a device stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Meaning {
    /// Yes or no.
    State(bool),
    /// There is no value, for this reason.
    Absent(NoData),
    /// The device does not have this; nothing is said about it.
    NotFitted,
}

const MEANINGS: [(&str, Meaning); 7] = [
    ("true", Meaning::State(true)),
    ("false", Meaning::State(false)),
    ("not_fitted", Meaning::NotFitted),
    ("no_target", Meaning::Absent(NoData::NoTarget)),
    ("too_close", Meaning::Absent(NoData::TooClose)),
    ("sensor_fault", Meaning::Absent(NoData::SensorFault)),
    ("out_of_range", Meaning::Absent(NoData::OutOfRange)),
];

/// Takes `true`, `false`, `not_fitted`, or the reason for which there is no value.
impl FromStr for Meaning {
    type Err = UnknownWord;

    fn from_str(word: &str) -> Result<Meaning, UnknownWord> {
        const KNOWN: [&str; MEANINGS.len()] = {
            let mut words = [""; MEANINGS.len()];
            let mut i = 0;
            while i < words.len() {
                words[i] = MEANINGS[i].0;
                i += 1;
            }
            words
        };
        let found = MEANINGS.iter().find(|(known, _)| *known == word);
        found.map(|&(_, meaning)| meaning).ok_or_else(|| UnknownWord {
            what: "meaning of a value",
            word: word.to_owned(),
            known: &KNOWN,
        })
    }
}

/// A number as it was sent.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Number {
    /// A whole one, signed or not.
    Integer(i64),
    /// A floating-point one.
    Real(f64),
}

/// How a number becomes a quantity.
#[derive(Debug, Clone, PartialEq)]
pub struct Scaling {
    measure: Measure,
    unit: Unit,
    scale: f64,
    offset: f64,
    min: f64,
    max: f64,
    meanings: Vec<(i64, Meaning)>,
}

/// Why a scaling cannot be.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum BadScaling {
    /// The unit is not one of the quantity.
    #[error("{measure} is not measured in {unit}; use {}", words(units(*measure)))]
    Unit {
        /// The quantity.
        measure: Measure,
        /// The unit.
        unit: Unit,
    },
    /// The scale is 0, or scale or offset is not a number.
    #[error(
        "scale {scale} with offset {offset} gives no value; use finite numbers and a scale that is not 0"
    )]
    Scale {
        /// The scale.
        scale: f64,
        /// The offset.
        offset: f64,
    },
    /// No value lies between the two, or one is not a number.
    #[error("no value lies between min {min} and max {max}; exchange or correct them")]
    Range {
        /// The least value.
        min: f64,
        /// The greatest value.
        max: f64,
    },
    /// A number has two meanings.
    #[error("the value {0} has two meanings; keep one")]
    TwoMeanings(i64),
    /// Yes or no was given as the meaning of a number that measures something else.
    #[error("{0} is not yes or no, so no value of it can mean true or false")]
    NotAState(Measure),
    /// Scale, offset or range for something that is yes or no.
    #[error("{0} is yes or no and has no scale, offset or range; list its values instead")]
    OnlyAState(Measure),
}

/// The units in which a quantity can be given; the first is meant where none is named.
const fn units(measure: Measure) -> &'static [Unit] {
    match measure {
        Measure::Distance => &[Unit::Millimetre, Unit::Centimetre, Unit::Metre],
        Measure::Odometer => &[Unit::Kilometre, Unit::Metre],
        Measure::Temperature => &[Unit::Celsius],
        Measure::Level | Measure::BatteryLevel | Measure::FuelLevel => &[Unit::Percent],
        Measure::BatteryVoltage => &[Unit::Volt],
        Measure::Speed => &[Unit::KilometrePerHour, Unit::MetrePerSecond],
        Measure::FuelVolume => &[Unit::Litre],
        Measure::Occupied
        | Measure::Tilted
        | Measure::LidOpen
        | Measure::Fire
        | Measure::Working
        | Measure::Ignition => &[Unit::State],
    }
}

fn words(units: &[Unit]) -> String {
    units.iter().map(|unit| unit.as_str()).collect::<Vec<_>>().join(" or ")
}

impl Measure {
    /// Whether it is yes or no.
    #[must_use]
    pub fn is_state(self) -> bool {
        units(self) == [Unit::State]
    }

    /// What is missing when there is no value.
    #[must_use]
    pub const fn missing(self) -> Missing {
        match self {
            Measure::Distance => Missing::Distance,
            Measure::Level => Missing::Level,
            Measure::Temperature => Missing::Temperature,
            Measure::BatteryLevel | Measure::BatteryVoltage => Missing::Battery,
            Measure::Occupied => Missing::Occupied,
            Measure::Tilted => Missing::Tilted,
            Measure::LidOpen => Missing::LidOpen,
            Measure::Fire => Missing::Fire,
            Measure::Working => Missing::Working,
            Measure::Ignition => Missing::Ignition,
            Measure::Speed => Missing::Speed,
            Measure::Odometer => Missing::Odometer,
            Measure::FuelLevel | Measure::FuelVolume => Missing::Fuel,
        }
    }

    /// A state as a quantity; `None` for what is not yes or no.
    const fn state(self, yes: bool) -> Option<Quantity> {
        Some(match self {
            Measure::Occupied => Quantity::Occupied(yes),
            Measure::Tilted => Quantity::Tilted(yes),
            Measure::LidOpen => Quantity::LidOpen(yes),
            Measure::Fire => Quantity::Fire(yes),
            Measure::Working => Quantity::Working(yes),
            Measure::Ignition => Quantity::Ignition(yes),
            _ => return None,
        })
    }

    /// A value in the small unit of the quantity; `None` where the quantity cannot hold it.
    fn amount(self, value: i64) -> Option<Quantity> {
        let share = || (0..=1000).contains(&value).then(|| Permille::clamped(value));
        Some(match self {
            Measure::Distance => Quantity::Distance(Millimetres(value.try_into().ok()?)),
            Measure::Odometer => Quantity::Odometer(Metres(value.try_into().ok()?)),
            Measure::Temperature => Quantity::Temperature(MilliCelsius(value.try_into().ok()?)),
            Measure::Level => Quantity::Level(share()?),
            Measure::BatteryLevel => Quantity::BatteryLevel(share()?),
            Measure::FuelLevel => Quantity::FuelLevel(share()?),
            Measure::BatteryVoltage => Quantity::BatteryVoltage(Millivolts(value.try_into().ok()?)),
            Measure::Speed => Quantity::Speed(MillimetresPerSecond(value.try_into().ok()?)),
            Measure::FuelVolume => Quantity::FuelVolume(Millilitres(value.try_into().ok()?)),
            _ => return None,
        })
    }
}

impl Unit {
    /// How many of the quantity's small unit make one of these.
    const fn factor(self, measure: Measure) -> f64 {
        match self {
            Unit::Centimetre | Unit::Percent => 10.0,
            Unit::Metre if matches!(measure, Measure::Odometer) => 1.0,
            Unit::Millimetre | Unit::State => 1.0,
            Unit::Metre
            | Unit::Kilometre
            | Unit::Celsius
            | Unit::Volt
            | Unit::MetrePerSecond
            | Unit::Litre => 1000.0,
            Unit::KilometrePerHour => 1000.0 / 3.6,
        }
    }
}

impl Scaling {
    /// The number as it is, in the usual unit of the quantity, in any range. For a state 0 is no and 1
    /// is yes.
    #[must_use]
    pub fn new(measure: Measure) -> Scaling {
        Scaling {
            measure,
            unit: units(measure)[0],
            scale: 1.0,
            offset: 0.0,
            min: f64::NEG_INFINITY,
            max: f64::INFINITY,
            meanings: Vec::new(),
        }
    }

    /// The value is in `unit`.
    ///
    /// # Errors
    /// [`BadScaling::Unit`].
    pub fn with_unit(self, unit: Unit) -> Result<Scaling, BadScaling> {
        let measure = self.measure;
        if units(measure).contains(&unit) {
            Ok(Scaling { unit, ..self })
        } else {
            Err(BadScaling::Unit { measure, unit })
        }
    }

    /// The value is the number times `scale` plus `offset`.
    ///
    /// # Errors
    /// [`BadScaling::Scale`], [`BadScaling::OnlyAState`].
    pub fn with_scale(self, scale: f64, offset: f64) -> Result<Scaling, BadScaling> {
        if self.measure.is_state() {
            return Err(BadScaling::OnlyAState(self.measure));
        }
        if scale == 0.0 || !scale.is_finite() || !offset.is_finite() {
            return Err(BadScaling::Scale { scale, offset });
        }
        Ok(Scaling { scale, offset, ..self })
    }

    /// A value outside `min` to `max` (both allowed, in the unit of the value) is
    /// [`NoData::OutOfRange`].
    ///
    /// # Errors
    /// [`BadScaling::Range`], [`BadScaling::OnlyAState`].
    pub fn with_range(self, min: f64, max: f64) -> Result<Scaling, BadScaling> {
        if self.measure.is_state() {
            return Err(BadScaling::OnlyAState(self.measure));
        }
        if min <= max {
            Ok(Scaling { min, max, ..self })
        } else {
            Err(BadScaling::Range { min, max })
        }
    }

    /// The number `raw`, as it is sent, has a meaning of its own. Once a state has such values, all
    /// others are [`NoData::OutOfRange`].
    ///
    /// # Errors
    /// [`BadScaling::TwoMeanings`], [`BadScaling::NotAState`].
    pub fn with_meaning(mut self, raw: i64, meaning: Meaning) -> Result<Scaling, BadScaling> {
        if self.has_meaning(raw) {
            return Err(BadScaling::TwoMeanings(raw));
        }
        if matches!(meaning, Meaning::State(_)) && !self.measure.is_state() {
            return Err(BadScaling::NotAState(self.measure));
        }
        self.meanings.push((raw, meaning));
        Ok(self)
    }

    /// What is measured.
    #[must_use]
    pub const fn measure(&self) -> Measure {
        self.measure
    }

    /// Whether the number `raw` has a meaning of its own.
    #[must_use]
    pub fn has_meaning(&self, raw: i64) -> bool {
        self.meanings.iter().any(|&(known, _)| known == raw)
    }

    /// The quantity, or that and why there is none. `None` for [`Meaning::NotFitted`].
    #[must_use]
    pub fn read(&self, number: Number) -> Option<Quantity> {
        match self.special(number) {
            Some(Meaning::NotFitted) => None,
            Some(Meaning::Absent(why)) => Some(self.absent(why)),
            Some(Meaning::State(yes)) => self.measure.state(yes),
            None => Some(self.value(number).unwrap_or_else(|| self.absent(NoData::OutOfRange))),
        }
    }

    /// That there is no value.
    #[must_use]
    pub const fn absent(&self, why: NoData) -> Quantity {
        Quantity::Absent(Absent { what: self.measure.missing(), why })
    }

    fn special(&self, number: Number) -> Option<Meaning> {
        let Number::Integer(raw) = number else { return None };
        let listed = self.meanings.iter().find(|&&(known, _)| known == raw);
        match (listed, raw) {
            (Some(&(_, meaning)), _) => Some(meaning),
            (None, 0 | 1) if self.measure.is_state() && !self.has_states() => {
                Some(Meaning::State(raw == 1))
            }
            _ => None,
        }
    }

    fn has_states(&self) -> bool {
        self.meanings.iter().any(|(_, meaning)| matches!(meaning, Meaning::State(_)))
    }

    fn value(&self, number: Number) -> Option<Quantity> {
        let raw = match number {
            // Registers and signals hold at most 32 bits where exactness counts.
            Number::Integer(raw) => raw as f64,
            Number::Real(raw) => raw,
        };
        let value = raw * self.scale + self.offset;
        let small = libm::round(value * self.unit.factor(self.measure));
        // Beyond 9e15 a double no longer tells whole numbers apart, and no quantity is so great.
        let fits = (self.min..=self.max).contains(&value) && libm::fabs(small) < 9e15;
        if fits { self.measure.amount(small as i64) } else { None }
    }
}

/// Written as in the messages of a check: `distance in mm`.
impl fmt::Display for Scaling {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} in {}", self.measure, self.unit)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn absent(what: Missing, why: NoData) -> Option<Quantity> {
        Some(Quantity::Absent(Absent { what, why }))
    }

    #[test]
    fn numbers_become_quantities_in_the_unit_that_is_named() {
        use Number::{Integer, Real};
        let mm = |mm| Quantity::Distance(Millimetres(mm));
        let m = |m| Quantity::Odometer(Metres(m));
        let mm_s = |mm_s| Quantity::Speed(MillimetresPerSecond(mm_s));
        let ten = Permille::from_percent(10);
        for (measure, unit, scale, offset, number, expected) in [
            (Measure::Distance, "mm", 0.1, 0.0, Integer(7541), mm(754)),
            (Measure::Distance, "cm", 1.0, -5.0, Integer(75), mm(700)),
            (Measure::Distance, "m", 1.0, 0.0, Real(1.2345), mm(1235)),
            (Measure::Odometer, "km", 0.125, 0.0, Integer(80_001), m(10_000_125)),
            (Measure::Odometer, "m", 5.0, 0.0, Integer(4_211_081_215), m(21_055_406_075)),
            (Measure::Speed, "km/h", 1.0 / 256.0, 0.0, Integer(9216), mm_s(10_000)),
            (Measure::Speed, "m/s", 1.0, 0.0, Integer(3), mm_s(3000)),
            (Measure::FuelLevel, "%", 0.4, 0.0, Integer(25), Quantity::FuelLevel(ten)),
            (Measure::Level, "%", 1.0, 0.0, Integer(10), Quantity::Level(ten)),
            (Measure::BatteryLevel, "%", 10.0, 0.0, Integer(1), Quantity::BatteryLevel(ten)),
        ] {
            let scaling = Scaling::new(measure).with_unit(unit.parse().unwrap()).unwrap();
            let scaling = scaling.with_scale(scale, offset).unwrap();
            assert_eq!(scaling.read(number), Some(expected), "{scaling} {number:?}");
        }
        for (measure, scale, number, expected) in [
            (Measure::Temperature, 0.1, -123, Quantity::Temperature(MilliCelsius(-12_300))),
            (Measure::BatteryVoltage, 0.001, 3312, Quantity::BatteryVoltage(Millivolts(3312))),
            (Measure::FuelVolume, 0.1, 125, Quantity::FuelVolume(Millilitres(12_500))),
        ] {
            let scaling = Scaling::new(measure).with_scale(scale, 0.0).unwrap();
            assert_eq!(scaling.read(Integer(number)), Some(expected), "{scaling}");
        }
    }

    #[test]
    fn states_are_yes_no_or_absent() {
        for measure in Measure::ALL.iter().copied().filter(|m| m.is_state()) {
            let plain = Scaling::new(measure);
            assert_eq!(plain.read(Number::Integer(0)), measure.state(false));
            assert_eq!(plain.read(Number::Integer(1)), measure.state(true));
            let out = absent(measure.missing(), NoData::OutOfRange);
            assert_eq!(plain.read(Number::Integer(2)), out);
            assert_eq!(plain.read(Number::Real(1.0)), out);
        }
        let listed = Scaling::new(Measure::Working)
            .with_meaning(2, Meaning::State(true))
            .and_then(|s| s.with_meaning(1, Meaning::State(false)))
            .and_then(|s| s.with_meaning(3, Meaning::NotFitted))
            .and_then(|s| s.with_meaning(9, Meaning::Absent(NoData::SensorFault)))
            .unwrap();
        assert_eq!(listed.read(Number::Integer(2)), Some(Quantity::Working(true)));
        assert_eq!(listed.read(Number::Integer(1)), Some(Quantity::Working(false)));
        assert_eq!(listed.read(Number::Integer(3)), None);
        let missing = |why| absent(Missing::Working, why);
        assert_eq!(listed.read(Number::Integer(9)), missing(NoData::SensorFault));
        assert_eq!(listed.read(Number::Integer(0)), missing(NoData::OutOfRange));
    }

    #[test]
    fn what_is_outside_is_absent_and_never_held_at_the_edge() {
        let distance = Scaling::new(Measure::Distance).with_range(280.0, 3500.0).unwrap();
        let read = |number| distance.read(Number::Integer(number));
        assert_eq!(read(280), Some(Quantity::Distance(Millimetres(280))));
        assert_eq!(read(3500), Some(Quantity::Distance(Millimetres(3500))));
        for outside in [279, 3501, -1, i64::MAX] {
            assert_eq!(read(outside), absent(Missing::Distance, NoData::OutOfRange), "{outside}");
        }
        for number in [f64::NAN, f64::INFINITY, -1.0, 1e300] {
            let plain = Scaling::new(Measure::Distance);
            let expected = absent(Missing::Distance, NoData::OutOfRange);
            assert_eq!(plain.read(Number::Real(number)), expected, "{number}");
        }
        let level = Scaling::new(Measure::Level);
        assert_eq!(level.read(Number::Integer(101)), absent(Missing::Level, NoData::OutOfRange));
    }

    #[test]
    fn special_values_go_before_the_scale() {
        let distance = Scaling::new(Measure::Distance)
            .with_meaning(0xffff, Meaning::Absent(NoData::NoTarget))
            .unwrap();
        let expected = absent(Missing::Distance, NoData::NoTarget);
        assert_eq!(distance.read(Number::Integer(0xffff)), expected);
    }

    #[test]
    fn what_cannot_be_is_refused_with_what_to_do() {
        let text = |bad: Result<Scaling, BadScaling>| bad.unwrap_err().to_string();
        let distance = || Scaling::new(Measure::Distance);
        assert_eq!(
            text(distance().with_unit(Unit::Kilometre)),
            "distance is not measured in km; use mm or cm or m"
        );
        for (scale, offset) in [(0.0, 0.0), (f64::NAN, 0.0), (1.0, f64::INFINITY)] {
            assert!(text(distance().with_scale(scale, offset)).contains("no value"));
        }
        assert!(text(distance().with_range(2.0, 1.0)).contains("min 2 and max 1"));
        assert!(text(distance().with_range(f64::NAN, 1.0)).contains("no value"));
        let true_distance = distance().with_meaning(1, Meaning::State(true));
        assert!(text(true_distance).contains("distance is not yes or no"));
        let twice = distance()
            .with_meaning(7, Meaning::NotFitted)
            .and_then(|s| s.with_meaning(7, Meaning::NotFitted));
        assert!(text(twice).contains("7 has two meanings"));
        let working = Scaling::new(Measure::Working);
        assert!(text(working.clone().with_scale(2.0, 0.0)).contains("yes or no"));
        assert!(text(working.with_range(0.0, 1.0)).contains("yes or no"));
        let unknown = "distanz".parse::<Measure>().unwrap_err().to_string();
        assert!(unknown.starts_with("\"distanz\" is no quantity; known are distance, level"));
    }

    #[test]
    fn words_are_read_as_they_are_written() {
        for &measure in Measure::ALL {
            assert_eq!(measure.as_str().parse(), Ok(measure));
        }
        for &unit in Unit::ALL {
            assert_eq!(unit.to_string().parse(), Ok(unit));
        }
        assert_eq!("false".parse(), Ok(Meaning::State(false)));
        assert_eq!("not_fitted".parse(), Ok(Meaning::NotFitted));
        let error = "lost".parse::<Meaning>().unwrap_err();
        for known in error.known {
            assert!(known.parse::<Meaning>().is_ok(), "{known}");
        }
    }

    proptest! {
        #[test]
        fn every_number_gives_an_answer(raw in any::<i64>(), real in any::<f64>()) {
            for &measure in Measure::ALL {
                let scaling = Scaling::new(measure);
                prop_assert!(scaling.read(Number::Integer(raw)).is_some());
                prop_assert!(scaling.read(Number::Real(real)).is_some());
            }
        }
    }
}
