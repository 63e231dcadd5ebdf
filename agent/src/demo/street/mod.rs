//! The simulated street: where everything stands, and the configuration of the box that watches it.
//!
//! * `places`: the streets, bays, bins and rounds themselves.
//! * `config`: the same as a configuration file.
//!
//! What happens there is `world`'s business.

mod config;
mod places;

pub use self::config::{APPLICATION, LINE_SOURCE, LNS_SOURCE, Options, config_toml};
pub use self::places::{
    BAYS, BIN_EMPTY_MM, BIN_FULL_AT_PCT, BIN_FULL_MM, BINS, SILENT_AFTER, STREETS, SWEEPERS,
};

use domain::decode::lorawan::Codec;
use domain::time::Span;

/// Metres in one degree at 31.815° north, for offsets of some hundred metres.
const METRES_PER_DEGREE_LAT: f64 = 110_880.0;
/// See [`METRES_PER_DEGREE_LAT`].
const METRES_PER_DEGREE_LON: f64 = 94_660.0;

/// A point in degrees.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Point {
    /// Degrees east.
    pub lon: f64,
    /// Degrees north.
    pub lat: f64,
}

const fn at(lon: f64, lat: f64) -> Point {
    Point { lon, lat }
}

impl Point {
    /// The way from here to `other` in metres, east and north.
    fn way(self, other: Point) -> (f64, f64) {
        let east = (other.lon - self.lon) * METRES_PER_DEGREE_LON;
        (east, (other.lat - self.lat) * METRES_PER_DEGREE_LAT)
    }

    /// Metres to `other`.
    #[must_use]
    pub fn distance(self, other: Point) -> f64 {
        length(self.way(other))
    }

    /// The point `east` and `north` metres from here.
    #[must_use]
    pub fn moved(self, east: f64, north: f64) -> Point {
        at(self.lon + east / METRES_PER_DEGREE_LON, self.lat + north / METRES_PER_DEGREE_LAT)
    }
}

/// A line through points.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Line(pub &'static [Point]);

impl Line {
    /// Its length in metres.
    #[must_use]
    pub fn length(self) -> f64 {
        self.0.windows(2).map(|pair| length(pair[0].way(pair[1]))).sum()
    }

    /// The point `along` metres from the beginning (held inside the line), and the direction there as a
    /// unit vector, east and north.
    #[must_use]
    pub fn along(self, along: f64) -> (Point, (f64, f64)) {
        let mut left = along.max(0.0);
        let mut last = (self.0[0], (0.0, 1.0));
        for pair in self.0.windows(2) {
            let (east, north) = pair[0].way(pair[1]);
            let piece = length((east, north));
            let direction = (east / piece, north / piece);
            if left <= piece {
                return (pair[0].moved(direction.0 * left, direction.1 * left), direction);
            }
            left -= piece;
            last = (pair[1], direction);
        }
        last
    }

    /// The point `along` metres from the beginning and `right` metres to the right of the line.
    #[must_use]
    pub fn beside(self, along: f64, right: f64) -> Point {
        let (point, (east, north)) = self.along(along);
        point.moved(north * right, -east * right)
    }
}

fn length((east, north): (f64, f64)) -> f64 {
    (east * east + north * north).sqrt()
}

/// A named street.
#[derive(Debug, Clone, Copy)]
pub struct Street {
    /// Its id.
    pub id: &'static str,
    /// In Chinese.
    pub zh: &'static str,
    /// In English.
    pub en: &'static str,
    /// Its middle line.
    pub line: Line,
}

/// What measures a bay or a bin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sensor {
    /// One of our nodes on the serial line, by its number.
    Node(u32),
    /// A LoRaWAN device, by its DevEUI, with its codec.
    LoRa(u64, Codec),
}

/// A parking bay.
#[derive(Debug, Clone, Copy)]
pub struct BaySpot {
    /// Its place in [`STREETS`].
    pub street: usize,
    /// Metres from the street's beginning.
    pub along: f64,
    /// Metres to the right of the street's middle; negative: to the left.
    pub right: f64,
    /// How long one may stay.
    pub max_stay: Span,
    /// What measures it.
    pub sensor: Sensor,
}

/// A bin.
#[derive(Debug, Clone, Copy)]
pub struct BinSpot {
    /// Its place in [`STREETS`].
    pub street: usize,
    /// Metres from the street's beginning.
    pub along: f64,
    /// Metres to the right of the street's middle; negative: to the left.
    pub right: f64,
    /// What is thrown in, in Chinese and English.
    pub kind: (&'static str, &'static str),
    /// What measures it.
    pub sensor: Sensor,
}

/// One piece of a sweeper's round.
#[derive(Debug, Clone, Copy)]
pub enum Leg {
    /// Brush down, along the line, at 8 km/h.
    Sweep(Line),
    /// Brush up, along the line, at 22 km/h.
    Travel(Line),
    /// Standing at the end of the leg before.
    Stop(Span),
}

/// A sweeper.
#[derive(Debug, Clone, Copy)]
pub struct Round {
    /// Its plate, for people.
    pub plate: &'static str,
    /// The legs, driven again and again; the last one ends where the first begins.
    pub legs: &'static [Leg],
    /// Metres of the sky-less piece of the first leg, from and to; equal: none.
    pub tunnel: (f64, f64),
}

/// The id of the bay at place `i` of [`BAYS`].
#[must_use]
pub fn bay_id(i: usize) -> String {
    format!("b-{:02}", i + 1)
}

/// The id of the bin at place `i` of [`BINS`].
#[must_use]
pub fn bin_id(i: usize) -> String {
    format!("bin-{:02}", i + 1)
}

/// The id of the sweeper at place `i` of [`SWEEPERS`], which is also the name of its source.
#[must_use]
pub fn sweeper_id(i: usize) -> String {
    format!("sweeper-{:02}", i + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_stands_in_xuejia_beside_its_street() {
        let place = |street: usize, along: f64, right: f64| {
            assert!(along < STREETS[street].line.length(), "beyond the end of the street");
            let point = STREETS[street].line.beside(along, right);
            assert!((31.810..31.820).contains(&point.lat), "{point:?}");
            assert!((119.960..119.980).contains(&point.lon), "{point:?}");
            let (middle, _) = STREETS[street].line.along(along);
            assert!((middle.distance(point) - right.abs()).abs() < 0.01);
            point
        };
        let bays = BAYS.iter().map(|b| place(b.street, b.along, b.right));
        let bins = BINS.iter().map(|b| place(b.street, b.along, b.right));
        let all: Vec<Point> = bays.chain(bins).collect();
        for (i, a) in all.iter().enumerate() {
            for b in &all[i + 1..] {
                assert!(a.distance(*b) > 2.5, "{a:?} and {b:?} stand on each other");
            }
        }
    }

    #[test]
    fn rounds_are_closed_and_without_jumps() {
        for round in SWEEPERS {
            let lines: Vec<Line> = round
                .legs
                .iter()
                .filter_map(|leg| match leg {
                    Leg::Sweep(line) | Leg::Travel(line) => Some(*line),
                    Leg::Stop(_) => None,
                })
                .collect();
            for (i, line) in lines.iter().enumerate() {
                let next = lines[(i + 1) % lines.len()];
                assert_eq!(line.0.last(), next.0.first(), "{} leg {i}", round.plate);
            }
            assert!(round.tunnel.1 <= lines[0].length());
        }
    }

    #[test]
    fn right_is_right() {
        const EAST: &[Point] = &[at(119.97, 31.81), at(119.98, 31.81)];
        let east = Line(EAST);
        let point = east.beside(100.0, 10.0);
        assert!(point.lat < 31.81, "right of a line to the east is south");
        assert!((east.length() - 946.6).abs() < 0.1);
    }
}
