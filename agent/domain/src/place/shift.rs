//! Between the datums. Everything that is computed with is WGS84; the shifted systems of Chinese web
//! maps are only ever converted from and to.
//!
//! The shift of GCJ-02 is not published by its authority. The formula here is the one that every open
//! library has (`eviltransform`, `coordtransform`); its inverse is iterated until it is exact to the
//! millimetre. BD-09 is a rotation on top of GCJ-02. CGCS2000 and WGS84 differ by centimetres.

use std::f64::consts::PI;

use super::{Datum, Position};

/// The Krasovsky ellipsoid that the formula uses: semi-major axis in metres, first eccentricity squared.
const AXIS_M: f64 = 6_378_245.0;
const ECCENTRICITY2: f64 = 0.006_693_421_622_965_943;
/// Radians per degree, three thousand times: the period of Baidu's shift.
const BAIDU_PERIOD: f64 = PI * 3000.0 / 180.0;
/// Baidu's own offset in degrees of latitude and longitude.
const BAIDU_OFFSET: (f64, f64) = (0.006, 0.006_5);
/// Rounds of the inverse; each divides the error by more than a thousand.
const ROUNDS: usize = 4;

impl Position {
    /// The same place in WGS84. Outside of China GCJ-02 has no shift.
    #[must_use]
    pub fn to_wgs84(self) -> Position {
        let degrees = (self.lat(), self.lon());
        let degrees = match self.datum {
            Datum::Wgs84 | Datum::Cgcs2000 => return Position { datum: Datum::Wgs84, ..self },
            Datum::Gcj02 => unshift(degrees),
            Datum::Bd09 => unshift(from_baidu(degrees)),
        };
        self.moved(degrees, Datum::Wgs84)
    }

    /// The same place in `datum`.
    #[must_use]
    pub fn to_datum(self, datum: Datum) -> Position {
        if self.datum == datum {
            return self;
        }
        let here = self.to_wgs84();
        let degrees = (here.lat(), here.lon());
        match datum {
            Datum::Wgs84 | Datum::Cgcs2000 => Position { datum, ..here },
            Datum::Gcj02 => self.moved(shift(degrees), datum),
            Datum::Bd09 => self.moved(to_baidu(shift(degrees)), datum),
        }
    }

    /// Whether the place lies in China, as the formula of GCJ-02 has it: a box around it. There the
    /// datum of a map has to be asked for.
    #[must_use]
    pub fn is_in_china(self) -> bool {
        in_china((self.lat(), self.lon()))
    }

    /// A place at most a kilometre from `self`; at the edge of the world, where there is none, the
    /// numbers stay.
    fn moved(self, (lat, lon): (f64, f64), datum: Datum) -> Position {
        Position::from_degrees(lat, lon, datum).unwrap_or(Position { datum, ..self })
    }
}

fn in_china((lat, lon): (f64, f64)) -> bool {
    (0.829_3..=55.827_1).contains(&lat) && (72.004..=137.834_7).contains(&lon)
}

/// GCJ-02 from WGS84.
fn shift((lat, lon): (f64, f64)) -> (f64, f64) {
    if !in_china((lat, lon)) {
        return (lat, lon);
    }
    let (x, y) = (lon - 105.0, lat - 35.0);
    let root = libm::sqrt(libm::fabs(x));
    let waves = (20.0 * libm::sin(6.0 * x * PI) + 20.0 * libm::sin(2.0 * x * PI)) * 2.0 / 3.0;
    let north = -100.0
        + 2.0 * x
        + 3.0 * y
        + 0.2 * y * y
        + 0.1 * x * y
        + 0.2 * root
        + waves
        + (20.0 * libm::sin(y * PI) + 40.0 * libm::sin(y / 3.0 * PI)) * 2.0 / 3.0
        + (160.0 * libm::sin(y / 12.0 * PI) + 320.0 * libm::sin(y * PI / 30.0)) * 2.0 / 3.0;
    let east = 300.0
        + x
        + 2.0 * y
        + 0.1 * x * x
        + 0.1 * x * y
        + 0.1 * root
        + waves
        + (20.0 * libm::sin(x * PI) + 40.0 * libm::sin(x / 3.0 * PI)) * 2.0 / 3.0
        + (150.0 * libm::sin(x / 12.0 * PI) + 300.0 * libm::sin(x / 30.0 * PI)) * 2.0 / 3.0;
    let rad = lat / 180.0 * PI;
    let magic = 1.0 - ECCENTRICITY2 * libm::sin(rad) * libm::sin(rad);
    let root = libm::sqrt(magic);
    let meridian = AXIS_M * (1.0 - ECCENTRICITY2) / (magic * root);
    let parallel = AXIS_M / root * libm::cos(rad);
    (lat + north * 180.0 / (meridian * PI), lon + east * 180.0 / (parallel * PI))
}

/// WGS84 from GCJ-02: the place whose shift leads there.
fn unshift((lat, lon): (f64, f64)) -> (f64, f64) {
    let mut guess = (lat, lon);
    for _ in 0..ROUNDS {
        let there = shift(guess);
        guess = (guess.0 + lat - there.0, guess.1 + lon - there.1);
    }
    guess
}

fn to_baidu((lat, lon): (f64, f64)) -> (f64, f64) {
    let radius = libm::sqrt(lon * lon + lat * lat) + 0.000_02 * libm::sin(lat * BAIDU_PERIOD);
    let angle = libm::atan2(lat, lon) + 0.000_003 * libm::cos(lon * BAIDU_PERIOD);
    (radius * libm::sin(angle) + BAIDU_OFFSET.0, radius * libm::cos(angle) + BAIDU_OFFSET.1)
}

/// GCJ-02 from BD-09, iterated like [`unshift`].
fn from_baidu((lat, lon): (f64, f64)) -> (f64, f64) {
    let mut guess = (lat - BAIDU_OFFSET.0, lon - BAIDU_OFFSET.1);
    for _ in 0..ROUNDS {
        let there = to_baidu(guess);
        guess = (guess.0 + lat - there.0, guess.1 + lon - there.1);
    }
    guess
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(lat: f64, lon: f64, datum: Datum) -> Position {
        Position::from_degrees(lat, lon, datum).unwrap()
    }

    #[test]
    fn golden_conversions() {
        // The first worked out for this project; the others from the README of `coordtransform`.
        let cases = [
            (at(31.811, 119.974, Datum::Wgs84), (31.808_959_0, 119.978_750_0), Datum::Gcj02),
            (at(39.915, 116.404, Datum::Wgs84), (39.916_404_3, 116.410_244_5), Datum::Gcj02),
            (at(39.915, 116.404, Datum::Gcj02), (39.921_337_0, 116.410_369_5), Datum::Bd09),
            (at(31.811, 119.974, Datum::Cgcs2000), (31.811, 119.974), Datum::Wgs84),
            (at(48.85, 2.35, Datum::Gcj02), (48.85, 2.35), Datum::Wgs84),
        ];
        for (from, (lat, lon), datum) in cases {
            let to = from.to_datum(datum);
            let off = at(lat, lon, datum).distance_m(to).unwrap();
            assert!(off < 0.05, "{from:?} to {datum:?}: {off} m off, {to:?}");
        }
        let here = at(31.811, 119.974, Datum::Wgs84);
        let taken_for_wgs84 = Position { datum: Datum::Wgs84, ..here.to_datum(Datum::Gcj02) };
        let metres = here.distance_m(taken_for_wgs84).unwrap();
        assert!((metres - 503.0).abs() < 1.0, "{metres}");
    }

    proptest! {
        #[test]
        fn there_and_back_is_the_same_place(lat in 18.0..53.0f64, lon in 74.0..134.0f64) {
            let here = at(lat, lon, Datum::Wgs84);
            for datum in [Datum::Cgcs2000, Datum::Gcj02, Datum::Bd09] {
                let back = here.to_datum(datum).to_wgs84();
                prop_assert!(here.distance_m(back).unwrap() < 0.05, "{:?}: {:?}", datum, back);
            }
        }
    }
}
