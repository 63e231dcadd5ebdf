//! Where something is: positions with their datum, and distances between them.

mod shift;

use serde::{Deserialize, Serialize};

/// The mean Earth radius of the IUGG in metres, used for great circles.
pub const EARTH_RADIUS_M: f64 = 6_371_008.8;

/// The reference a pair of coordinates belongs to. Positions of different datums are never compared.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Hash, Serialize, Deserialize,
)]
pub enum Datum {
    /// What satellite receivers give.
    #[default]
    #[serde(rename = "WGS84")]
    Wgs84,
    /// China's national system; within centimetres of WGS84 for this use.
    #[serde(rename = "CGCS2000")]
    Cgcs2000,
    /// The shifted system of Chinese web maps, some 500 m from WGS84.
    #[serde(rename = "GCJ02")]
    Gcj02,
    /// Baidu's own shift on top of GCJ-02.
    #[serde(rename = "BD09")]
    Bd09,
}

/// A point on the ground in 1e-7 degrees.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Position {
    lat_e7: i32,
    lon_e7: i32,
    /// The reference of both.
    pub datum: Datum,
}

/// Coordinates that are no place.
#[derive(Debug, Clone, Copy, PartialEq, thiserror::Error)]
pub enum BadPosition {
    /// Latitude outside ±90° or not a number.
    #[error("latitude {0} is outside -90 to 90")]
    Latitude(f64),
    /// Longitude outside ±180° or not a number.
    #[error("longitude {0} is outside -180 to 180")]
    Longitude(f64),
    /// Exactly (0, 0): what receivers send when they know nothing.
    #[error("latitude and longitude are both 0")]
    Null,
}

impl Position {
    /// A position from degrees, north and east positive.
    ///
    /// # Errors
    /// Out of range, not a number, or the null position (0, 0).
    pub fn from_degrees(lat: f64, lon: f64, datum: Datum) -> Result<Position, BadPosition> {
        if !(-90.0..=90.0).contains(&lat) {
            return Err(BadPosition::Latitude(lat));
        }
        if !(-180.0..=180.0).contains(&lon) {
            return Err(BadPosition::Longitude(lon));
        }
        // In range, so the rounded products fit.
        Position::from_e7(libm::round(lat * 1e7) as i32, libm::round(lon * 1e7) as i32, datum)
    }

    /// A position from 1e-7 degrees.
    ///
    /// # Errors
    /// As [`Position::from_degrees`].
    pub fn from_e7(lat_e7: i32, lon_e7: i32, datum: Datum) -> Result<Position, BadPosition> {
        if !(-900_000_000..=900_000_000).contains(&lat_e7) {
            return Err(BadPosition::Latitude(f64::from(lat_e7) / 1e7));
        }
        if !(-1_800_000_000..=1_800_000_000).contains(&lon_e7) {
            return Err(BadPosition::Longitude(f64::from(lon_e7) / 1e7));
        }
        if lat_e7 == 0 && lon_e7 == 0 {
            return Err(BadPosition::Null);
        }
        Ok(Position { lat_e7, lon_e7, datum })
    }

    /// The same numbers, taken to be of another datum: another place.
    #[must_use]
    pub const fn read_as(self, datum: Datum) -> Position {
        Position { datum, ..self }
    }

    /// Degrees north.
    #[must_use]
    pub fn lat(self) -> f64 {
        f64::from(self.lat_e7) / 1e7
    }

    /// Degrees east.
    #[must_use]
    pub fn lon(self) -> f64 {
        f64::from(self.lon_e7) / 1e7
    }

    /// Great-circle distance in metres (haversine, radius [`EARTH_RADIUS_M`]); `None` when the datums
    /// differ. The same on every machine: the functions come from a software library, not the CPU's.
    #[must_use]
    pub fn distance_m(self, other: Position) -> Option<f64> {
        if self.datum != other.datum {
            return None;
        }
        let (a, b) = (self.lat().to_radians(), other.lat().to_radians());
        let half_lat = (b - a) / 2.0;
        let half_lon = (other.lon() - self.lon()).to_radians() / 2.0;
        let (sin_lat, sin_lon) = (libm::sin(half_lat), libm::sin(half_lon));
        let h = sin_lat * sin_lat + libm::cos(a) * libm::cos(b) * sin_lon * sin_lon;
        Some(2.0 * EARTH_RADIUS_M * libm::asin(libm::sqrt(h).min(1.0)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(lat: f64, lon: f64) -> Position {
        Position::from_degrees(lat, lon, Datum::Wgs84).unwrap()
    }

    #[test]
    fn haversine_golden_values() {
        // Worked by hand: 0.0009° of latitude and 0.00105° of longitude at 31.81° N.
        let here = at(31.81, 119.974);
        let north = here.distance_m(at(31.81 + 0.0009, 119.974)).unwrap();
        let east = here.distance_m(at(31.81, 119.974 + 0.00105)).unwrap();
        assert!((north - 100.08).abs() < 0.01, "{north}");
        assert!((east - 99.22).abs() < 0.01, "{east}");
    }

    #[test]
    fn no_place_is_refused() {
        let bad = |lat, lon| Position::from_degrees(lat, lon, Datum::Wgs84).unwrap_err();
        assert_eq!(bad(0.0, 0.0), BadPosition::Null);
        assert_eq!(bad(116.3, 40.0), BadPosition::Latitude(116.3));
        assert!(matches!(bad(f64::NAN, 1.0), BadPosition::Latitude(_)));
        assert!(matches!(bad(1.0, f64::INFINITY), BadPosition::Longitude(_)));
    }

    #[test]
    fn different_datums_have_no_distance() {
        let shifted = Position::from_degrees(31.8, 119.9, Datum::Gcj02).unwrap();
        assert_eq!(at(31.8, 119.9).distance_m(shifted), None);
    }
}
