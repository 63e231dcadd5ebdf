//! What the codecs have in common: raw numbers to quantities, or to the reason why there is none.
//!
//! A number that the sensor cannot have measured is never passed on and never replaced by another.

use std::ops::RangeInclusive;

use crate::place::{BadPosition, Datum, Position};
use crate::sample::{Absent, Fix, Missing, NoData, Quantity};
use crate::units::{CentiDegrees, MilliCelsius, Millimetres, MillimetresPerSecond, Millivolts};

/// A quantity that should be there and is not.
pub(super) const fn no(what: Missing, why: NoData) -> Quantity {
    Quantity::Absent(Absent { what, why })
}

/// A temperature in thousandths of a degree, or that there is none where it lies outside of what the
/// sensor can measure: faulty ones report -117 °C.
pub(super) fn temperature(milli: i32, range: RangeInclusive<i32>) -> Quantity {
    if range.contains(&milli) {
        Quantity::Temperature(MilliCelsius(milli))
    } else {
        no(Missing::Temperature, NoData::OutOfRange)
    }
}

/// A temperature in whole degrees from one signed byte.
pub(super) fn whole_degrees(degrees: u8, range: RangeInclusive<i32>) -> Quantity {
    temperature(i32::from(degrees.cast_signed()) * 1000, range)
}

/// A distance in millimetres, or that there is none where it lies outside of `range`.
pub(super) fn distance(mm: u16, range: RangeInclusive<u16>) -> Quantity {
    if range.contains(&mm) {
        Quantity::Distance(Millimetres(mm.into()))
    } else {
        no(Missing::Distance, NoData::OutOfRange)
    }
}

/// A battery voltage.
pub(super) const fn millivolts(mv: u16) -> Quantity {
    Quantity::BatteryVoltage(Millivolts(mv))
}

/// A position, or why there is none: receivers send (0, 0) when they have no fix.
pub(super) fn fix(
    position: Result<Position, BadPosition>,
    speed: Option<MillimetresPerSecond>,
    course: Option<CentiDegrees>,
) -> Quantity {
    match position {
        Ok(position) => {
            let (accuracy, satellites) = (None, None);
            Quantity::Fix(Fix { position, speed, course, accuracy, satellites })
        }
        Err(BadPosition::Null) => no(Missing::Fix, NoData::NoFix),
        Err(BadPosition::Latitude(_) | BadPosition::Longitude(_)) => {
            no(Missing::Fix, NoData::OutOfRange)
        }
    }
}

/// A WGS84 position in millionths of a degree.
pub(super) fn fix_e6(lat_e6: i32, lon_e6: i32) -> Quantity {
    let degrees = |e6: i32| f64::from(e6) / 1e6;
    fix(Position::from_degrees(degrees(lat_e6), degrees(lon_e6), Datum::Wgs84), None, None)
}
