//! A flat piece of the world: metres east and north of a point. Good to a millimetre per kilometre for
//! the few kilometres of a road.

use crate::place::{Datum, EARTH_RADIUS_M, Position};

/// Metres east and north.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(crate) struct Flat {
    pub(crate) x: f64,
    pub(crate) y: f64,
}

impl Flat {
    pub(crate) fn from(self, other: Flat) -> Flat {
        Flat { x: self.x - other.x, y: self.y - other.y }
    }

    pub(crate) fn dot(self, other: Flat) -> f64 {
        self.x * other.x + self.y * other.y
    }

    /// How far `other` points to the left of `self`, times both lengths.
    pub(crate) fn cross(self, other: Flat) -> f64 {
        self.x * other.y - self.y * other.x
    }

    pub(crate) fn length(self) -> f64 {
        libm::sqrt(self.dot(self))
    }

    /// Distance to the nearest point between `a` and `b`.
    pub(crate) fn beside(self, a: Flat, b: Flat) -> f64 {
        let (way, there) = (b.from(a), self.from(a));
        let square = way.dot(way);
        let part = if square > 0.0 { (there.dot(way) / square).clamp(0.0, 1.0) } else { 0.0 };
        there.from(Flat { x: way.x * part, y: way.y * part }).length()
    }
}

/// The plane that touches the world at its origin.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(crate) struct Plane {
    lat: f64,
    lon: f64,
    metres_per_degree: (f64, f64),
}

impl Plane {
    pub(crate) fn at(origin: Position) -> Plane {
        let origin = origin.to_wgs84();
        let degree = EARTH_RADIUS_M.to_radians();
        let east = degree * libm::cos(origin.lat().to_radians());
        Plane { lat: origin.lat(), lon: origin.lon(), metres_per_degree: (degree, east) }
    }

    /// Where `position`, of any datum, lies in the plane.
    pub(crate) fn flat(&self, position: Position) -> Flat {
        let position = position.to_wgs84();
        let x = (position.lon() - self.lon) * self.metres_per_degree.1;
        Flat { x, y: (position.lat() - self.lat) * self.metres_per_degree.0 }
    }

    /// The position of a point of the plane, in WGS84.
    pub(crate) fn position(&self, flat: Flat) -> Option<Position> {
        let lat = self.lat + flat.y / self.metres_per_degree.0;
        // At the poles a degree of longitude has no length.
        let lon = self.lon + flat.x / self.metres_per_degree.1.max(1.0);
        Position::from_degrees(lat, lon, Datum::Wgs84).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kilometre_is_a_kilometre_and_comes_back() {
        let origin = Position::from_degrees(31.811, 119.974, Datum::Wgs84).unwrap();
        let plane = Plane::at(origin);
        for flat in [Flat { x: 1000.0, y: 0.0 }, Flat { x: -300.0, y: 950.0 }] {
            let there = plane.position(flat).unwrap();
            assert!((origin.distance_m(there).unwrap() - flat.length()).abs() < 0.1, "{flat:?}");
            assert!(plane.flat(there).from(flat).length() < 0.02);
        }
    }
}
