//! Distance to filling level.
//!
//! The filling level is the share of the volume below the full line that is filled. What lies between
//! the echo and that share is the sensor's mounting and the bin's shape, and nothing else is corrected.

use crate::sample::NoData;
use crate::site::Bin;
use crate::units::{CentiDegrees, MilliCelsius, Millimetres, Permille};

/// The shape of the inside of a bin, bottom to full line.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Geometry {
    /// Straight walls.
    #[default]
    Prism,
    /// A square base that widens (or narrows) in a straight line up to the full line.
    Tapered {
        /// Side at the bottom.
        bottom: Millimetres,
        /// Side at the full line.
        top: Millimetres,
    },
    /// A lying cylinder.
    Cylinder {
        /// Its inner diameter, at least the depth of the bin.
        diameter: Millimetres,
    },
    /// Any other shape, measured.
    Table(Table),
}

/// Measured filling levels by the height of the waste, straight lines in between.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Table(Vec<(Millimetres, Permille)>);

/// Why points are no table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadTable {
    /// Fewer than two points, or more than [`Table::POINTS_MAX`].
    #[error("has {0} points; 2 to {max} are needed", max = Table::POINTS_MAX)]
    Points(usize),
    /// The bottom is missing.
    #[error("begins at {height} mm with {level} %; it must begin at 0 mm with 0 %")]
    Bottom {
        /// Height of the first point in millimetres.
        height: u32,
        /// Level of the first point in whole percent.
        level: u16,
    },
    /// A point is not above the one before it.
    #[error("point {0} is not above the one before it in height, or is below it in level")]
    Order(usize),
}

impl Table {
    /// More points say no more about a bin.
    pub const POINTS_MAX: usize = 16;

    /// A table from points of height above the bottom and level, lowest first.
    ///
    /// # Errors
    /// Too few or too many points, no bottom, or points out of order (counted from 1).
    pub fn new(points: Vec<(Millimetres, Permille)>) -> Result<Table, BadTable> {
        if !(2..=Table::POINTS_MAX).contains(&points.len()) {
            return Err(BadTable::Points(points.len()));
        }
        let (height, level) = points[0];
        if height.0 != 0 || level.get() != 0 {
            return Err(BadTable::Bottom { height: height.0, level: level.get() / 10 });
        }
        let fell = points.windows(2).position(|p| p[1].0 <= p[0].0 || p[1].1 < p[0].1);
        match fell {
            Some(i) => Err(BadTable::Order(i + 2)),
            None => Ok(Table(points)),
        }
    }

    fn level(&self, height: i64) -> Permille {
        let above = self.0.iter().position(|(h, _)| i64::from(h.0) > height);
        let Some(i) = above else { return self.0[self.0.len() - 1].1 };
        let (Some(low), high) = (i.checked_sub(1).map(|i| self.0[i]), self.0[i]) else {
            return Permille::default();
        };
        let (h0, h1) = (i64::from(low.0.0), i64::from(high.0.0));
        let (f0, f1) = (i64::from(low.1.get()), i64::from(high.1.get()));
        Permille::clamped(f0 + rounded((f1 - f0) * (height - h0), h1 - h0))
    }
}

/// The level that a distance means in `bin`, with the air at `temperature` where that is known.
///
/// # Errors
/// [`NoData::OutOfRange`] for what the bin cannot show (nothing, or half as far again as its bottom),
/// [`NoData::TooClose`] inside the sensor's blind zone: the level is then that of the blind zone or
/// higher, if the echo is waste at all.
pub fn filling_level(
    distance: Millimetres,
    temperature: Option<MilliCelsius>,
    bin: &Bin,
) -> Result<Permille, NoData> {
    let sensing = &bin.sensing;
    if distance.0 == 0 || u64::from(distance.0) * 2 > u64::from(bin.empty.0) * 3 {
        return Err(NoData::OutOfRange);
    }
    if distance < sensing.blind {
        return Err(NoData::TooClose);
    }
    let heard = match temperature {
        Some(t) if sensing.assumes_20_c => at_speed_of_sound(distance, t),
        _ => distance,
    };
    Ok(level_at(upright(heard, sensing.mount_angle), bin))
}

/// The lowest level that an echo inside the blind zone can mean.
pub(super) fn blind_level(bin: &Bin) -> Permille {
    level_at(bin.sensing.blind.max(bin.full), bin)
}

fn level_at(distance: Millimetres, bin: &Bin) -> Permille {
    let depth = i64::from(bin.empty.0) - i64::from(bin.full.0);
    debug_assert!(depth > 0, "the configuration check keeps full < empty");
    let depth = depth.max(1);
    let height = (i64::from(bin.empty.0) - i64::from(distance.0)).clamp(0, depth);
    match &bin.sensing.geometry {
        Geometry::Prism => Permille::clamped(rounded(height * 1000, depth)),
        Geometry::Tapered { bottom, top } => tapered(height, depth, *bottom, *top),
        Geometry::Cylinder { diameter } => lying_cylinder(height, depth, *diameter),
        Geometry::Table(table) => table.level(height),
    }
}

/// `a / b` to the nearest whole number, for `b` above zero.
fn rounded(a: i64, b: i64) -> i64 {
    (a * 2 + b).div_euclid(b * 2)
}

/// Volume of a frustum over the whole one: `h/3·(a0² + a0·a + a²)`, with the side `a` at height `h`.
fn tapered(height: i64, depth: i64, bottom: Millimetres, top: Millimetres) -> Permille {
    let (h, whole) = (height as f64, depth as f64);
    let (a0, a1) = (f64::from(bottom.0), f64::from(top.0));
    let volume = |h: f64| {
        let a = a0 + (a1 - a0) * h / whole;
        h * (a0 * a0 + a0 * a + a * a)
    };
    Permille::clamped(libm::round(volume(h) / volume(whole) * 1000.0) as i64)
}

/// Area of a circle's segment over that of the segment up to the full line.
fn lying_cylinder(height: i64, depth: i64, diameter: Millimetres) -> Permille {
    let r = f64::from(diameter.0) / 2.0;
    let segment = |h: i64| {
        let h = (h as f64).min(2.0 * r);
        let root = libm::sqrt((2.0 * r * h - h * h).max(0.0));
        r * r * libm::acos(((r - h) / r).clamp(-1.0, 1.0)) - (r - h) * root
    };
    Permille::clamped(libm::round(segment(height) / segment(depth) * 1000.0) as i64)
}

/// What a sensor that reckons with 20 °C has really measured at `t`: sound goes 331.3 + 0.606·T m/s.
fn at_speed_of_sound(distance: Millimetres, t: MilliCelsius) -> Millimetres {
    // Thousandths of a millimetre per second; at -60 °C still far above zero.
    let speed = |milli: i64| 331_300_000 + 606 * milli;
    let corrected = i64::from(distance.0) * speed(i64::from(t.0));
    let mm = rounded(corrected, speed(20_000)).clamp(0, i64::from(u32::MAX));
    Millimetres(u32::try_from(mm).expect("clamped to the range"))
}

/// The upright share of a distance measured at an angle.
fn upright(distance: Millimetres, angle: CentiDegrees) -> Millimetres {
    if angle.0 == 0 {
        return distance;
    }
    let radians = (f64::from(angle.0) / 100.0).to_radians();
    Millimetres(libm::round(f64::from(distance.0) * libm::cos(radians)).max(0.0) as u32)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::site::Sensing;
    use crate::waste::bin::tests::BIN;

    fn bin(empty: u32, full: u32, geometry: Geometry) -> Bin {
        let sensing = Sensing { geometry, ..Sensing::default() };
        Bin { empty: Millimetres(empty), full: Millimetres(full), sensing, ..BIN }
    }

    fn level(distance: u32, bin: &Bin) -> Result<u16, NoData> {
        filling_level(Millimetres(distance), None, bin).map(Permille::get)
    }

    #[test]
    fn golden_values_of_a_prism() {
        let bin = bin(1500, 300, Geometry::Prism);
        let expected = [(900, 500), (540, 800), (300, 1000), (200, 1000), (1500, 0), (1600, 0)];
        for (distance, permille) in expected {
            assert_eq!(level(distance, &bin), Ok(permille), "{distance} mm");
        }
    }

    #[test]
    fn golden_values_of_the_other_shapes() {
        let mm = Millimetres;
        let tapered = Geometry::Tapered { bottom: mm(400), top: mm(550) };
        let cylinder = Geometry::Cylinder { diameter: mm(1000) };
        let points = [(0, 0), (200, 10), (1000, 100)];
        let points = points.map(|(h, f)| (mm(h), Permille::from_percent(f)));
        let table = Geometry::Table(Table::new(points.to_vec()).unwrap());
        let expected =
            [(tapered, [193, 422, 690]), (cylinder, [196, 500, 804]), (table, [156, 438, 719])];
        for (geometry, levels) in expected {
            let bin = bin(1300, 300, geometry);
            let found = [1050, 800, 550].map(|d| level(d, &bin).unwrap());
            assert_eq!(found, levels, "{:?}", bin.sensing.geometry);
            assert_eq!((level(1300, &bin), level(300, &bin)), (Ok(0), Ok(1000)));
        }
    }

    #[test]
    fn a_table_must_rise_from_the_bottom() {
        let table = |points: &[(u32, i64)]| {
            let point = |&(h, f): &(u32, i64)| (Millimetres(h), Permille::from_percent(f));
            Table::new(points.iter().map(point).collect()).err()
        };
        assert_eq!(table(&[(0, 0)]), Some(BadTable::Points(1)));
        assert_eq!(table(&[(0, 0); 17]), Some(BadTable::Points(17)));
        assert_eq!(table(&[(5, 1), (9, 2)]), Some(BadTable::Bottom { height: 5, level: 1 }));
        assert_eq!(table(&[(0, 0), (5, 9), (5, 10)]), Some(BadTable::Order(3)));
        assert_eq!(table(&[(0, 0), (5, 9), (6, 8)]), Some(BadTable::Order(3)));
        assert_eq!(table(&[(0, 0), (5, 9), (6, 9)]), None);
    }

    #[test]
    fn golden_values_of_sound_and_angle() {
        let sound = |mm, t| at_speed_of_sound(Millimetres(mm), MilliCelsius(t)).0;
        assert_eq!(
            [sound(2000, -10_000), sound(2000, 45_000), sound(2000, 20_000)],
            [1894, 2088, 2000]
        );
        // The cosine of 60° is one half.
        assert_eq!(upright(Millimetres(2000), CentiDegrees(6000)).0, 1000);
        let mut bin = bin(2000, 0, Geometry::Prism);
        let cold = |bin: &Bin| filling_level(Millimetres(1000), Some(MilliCelsius(-10_000)), bin);
        assert_eq!(cold(&bin), Ok(Permille::from_percent(50)), "the sensor does it itself");
        bin.sensing.assumes_20_c = true;
        assert_eq!(cold(&bin).map(Permille::get), Ok(527));
    }

    #[test]
    fn what_cannot_be_is_no_level() {
        let mut bin = bin(1500, 300, Geometry::Prism);
        bin.sensing.blind = Millimetres(250);
        let refused = [0, 2251, 65_533, 65_535, u32::MAX];
        for distance in refused {
            assert_eq!(level(distance, &bin), Err(NoData::OutOfRange), "{distance} mm");
        }
        assert_eq!(level(249, &bin), Err(NoData::TooClose));
        assert_eq!((level(250, &bin), blind_level(&bin).get()), (Ok(1000), 1000));
        bin.sensing.blind = Millimetres(420);
        assert_eq!(blind_level(&bin).get(), 900, "the full line itself is out of sight");
    }

    fn shapes(depth: u32) -> impl Strategy<Value = Geometry> {
        let mm = Millimetres;
        prop_oneof![
            Just(Geometry::Prism),
            (1u32..3000, 1u32..3000)
                .prop_map(move |(a, b)| Geometry::Tapered { bottom: mm(a), top: mm(b) }),
            (depth..=depth * 3).prop_map(move |d| Geometry::Cylinder { diameter: mm(d) }),
            (1..depth.max(2), 0i64..=1000).prop_map(move |(h, f)| {
                let points = [(0, 0), (h, f), (h + depth, 1000)];
                let points = points.map(|(h, f)| (mm(h), Permille::clamped(f)));
                Geometry::Table(Table::new(points.to_vec()).unwrap())
            }),
        ]
    }

    proptest! {
        #[test]
        fn never_outside_the_range_and_never_rising_with_distance(
            (full, depth, geometry) in (0u32..5000, 2u32..5000)
                .prop_flat_map(|(full, depth)| (Just(full), Just(depth), shapes(depth))),
            angle in 0u16..8000, t in proptest::option::of(-60_000i32..150_000),
            a in 0u32..20_000, b in 0u32..20_000,
        ) {
            let mut bin = bin(full + depth, full, geometry);
            bin.sensing.mount_angle = CentiDegrees(angle);
            bin.sensing.assumes_20_c = true;
            let level = |d| filling_level(Millimetres(d), t.map(MilliCelsius), &bin);
            if let (Ok(near), Ok(far)) = (level(a.min(b)), level(a.max(b))) {
                prop_assert!(near >= far);
                prop_assert!(near <= Permille::FULL);
            }
        }
    }
}
