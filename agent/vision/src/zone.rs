//! Zones: polygons in the picture that stand for a place in the street.
//!
//! Points are fractions of the picture, `x` to the right and `y` downwards. A polygon is checked once,
//! when it is made: what is here has an area and does not cross itself.

use crate::bounds::Bounds;

/// A polygon in the picture.
#[derive(Debug, Clone, PartialEq)]
pub struct Polygon(Vec<(f32, f32)>);

/// Why points are no polygon.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadPolygon {
    /// Fewer than three points, or more than [`Polygon::POINTS_MAX`].
    #[error("it has {0} points; write from 3 to {max}", max = Polygon::POINTS_MAX)]
    Points(usize),
    /// A point is outside the picture; numbers count from 1.
    #[error("point {0} is outside the picture; write fractions from 0 to 1")]
    Outside(usize),
    /// Two edges cross or touch; they are named by the points they begin at, counted from 1.
    #[error(
        "the edges from points {0} and {1} cross; give the points in the order along the outline"
    )]
    Crossing(usize, usize),
    /// Its area is nearly nothing.
    #[error("it covers less than a thousandth of the picture; draw it larger")]
    Thin,
}

impl Polygon {
    /// The most points.
    pub const POINTS_MAX: usize = 32;
    /// The least area as a fraction of the picture.
    const AREA_MIN: f32 = 0.001;

    /// A polygon through these points, closed from the last to the first.
    ///
    /// # Errors
    /// [`BadPolygon`] where they are none.
    pub fn new(points: Vec<(f32, f32)>) -> Result<Polygon, BadPolygon> {
        if !(3..=Polygon::POINTS_MAX).contains(&points.len()) {
            return Err(BadPolygon::Points(points.len()));
        }
        let inside = |v: f32| (0.0..=1.0).contains(&v);
        if let Some(n) = points.iter().position(|(x, y)| !inside(*x) || !inside(*y)) {
            return Err(BadPolygon::Outside(n + 1));
        }
        let polygon = Polygon(points);
        if let Some((a, b)) = polygon.crossing() {
            return Err(BadPolygon::Crossing(a + 1, b + 1));
        }
        if area(&polygon.0) < Polygon::AREA_MIN { Err(BadPolygon::Thin) } else { Ok(polygon) }
    }

    /// The points.
    #[must_use]
    pub fn points(&self) -> &[(f32, f32)] {
        &self.0
    }

    /// The edges, each from a point to the next.
    pub(crate) fn edges(&self) -> impl Iterator<Item = ((f32, f32), (f32, f32))> {
        self.0.iter().copied().zip(self.0.iter().copied().cycle().skip(1))
    }

    /// Two edges that meet and are no neighbours.
    fn crossing(&self) -> Option<(usize, usize)> {
        let edges: Vec<_> = self.edges().collect();
        let count = edges.len();
        let pairs = (0..count).flat_map(|a| (a + 2..count).map(move |b| (a, b)));
        let apart = pairs.filter(|(a, b)| !(*a == 0 && *b == count - 1));
        apart.into_iter().find(|(a, b)| cross(edges[*a], edges[*b]))
    }

    /// Whether a point lies inside.
    #[must_use]
    pub fn contains(&self, (x, y): (f32, f32)) -> bool {
        let crosses = |((x1, y1), (x2, y2)): &((f32, f32), (f32, f32))| {
            (*y1 > y) != (*y2 > y) && x < (x2 - x1) * (y - y1) / (y2 - y1) + x1
        };
        self.edges().filter(crosses).count() % 2 == 1
    }

    /// Which share of a box lies inside, 0 to 1.
    #[must_use]
    pub fn share(&self, of: &Bounds) -> f32 {
        let whole = of.area();
        if whole <= 0.0 {
            return 0.0;
        }
        let mut part = self.0.clone();
        // Cut off, side by side, what is outside the box (Sutherland and Hodgman, 1974).
        let sides: [(bool, f32, f32); 4] =
            [(true, of.x1, 1.0), (true, of.x2, -1.0), (false, of.y1, 1.0), (false, of.y2, -1.0)];
        for (upright, at, sign) in sides {
            part = cut(&part, |(x, y)| (if upright { x } else { y } - at) * sign);
        }
        (area(&part) / whole).clamp(0.0, 1.0)
    }

    /// The smallest box around it.
    #[must_use]
    pub fn bounds(&self) -> Bounds {
        let start = Bounds { x1: 1.0, y1: 1.0, x2: 0.0, y2: 0.0 };
        self.0.iter().fold(start, |b, (x, y)| Bounds {
            x1: b.x1.min(*x),
            y1: b.y1.min(*y),
            x2: b.x2.max(*x),
            y2: b.y2.max(*y),
        })
    }
}

/// The part of a polygon where `inner` is not negative.
fn cut(points: &[(f32, f32)], inner: impl Fn((f32, f32)) -> f32) -> Vec<(f32, f32)> {
    let mut kept = Vec::with_capacity(points.len() + 4);
    for (n, &next) in points.iter().enumerate() {
        let before = points[(n + points.len() - 1) % points.len()];
        let (from, to) = (inner(before), inner(next));
        if (from < 0.0) != (to < 0.0) {
            let share = from / (from - to);
            let between = |a: f32, b: f32| a + (b - a) * share;
            kept.push((between(before.0, next.0), between(before.1, next.1)));
        }
        if to >= 0.0 {
            kept.push(next);
        }
    }
    kept
}

/// The area by the shoelace formula, whichever way round the points go.
fn area(points: &[(f32, f32)]) -> f32 {
    let next = points.iter().cycle().skip(1);
    let twice: f32 = points.iter().zip(next).map(|(a, b)| a.0 * b.1 - b.0 * a.1).sum();
    (twice / 2.0).abs()
}

/// Whether two segments have a point in common.
fn cross(a: ((f32, f32), (f32, f32)), b: ((f32, f32), (f32, f32))) -> bool {
    let side = |p: (f32, f32), q: (f32, f32), r: (f32, f32)| {
        (q.0 - p.0) * (r.1 - p.1) - (q.1 - p.1) * (r.0 - p.0)
    };
    let within = |p: (f32, f32), q: (f32, f32), r: (f32, f32)| {
        (p.0.min(q.0)..=p.0.max(q.0)).contains(&r.0) && (p.1.min(q.1)..=p.1.max(q.1)).contains(&r.1)
    };
    let sides =
        [side(a.0, a.1, b.0), side(a.0, a.1, b.1), side(b.0, b.1, a.0), side(b.0, b.1, a.1)];
    let apart = |x: f32, y: f32| (x > 0.0 && y < 0.0) || (x < 0.0 && y > 0.0);
    if apart(sides[0], sides[1]) && apart(sides[2], sides[3]) {
        return true;
    }
    let ends = [(a.0, a.1, b.0), (a.0, a.1, b.1), (b.0, b.1, a.0), (b.0, b.1, a.1)];
    sides.iter().zip(ends).any(|(side, (p, q, r))| *side == 0.0 && within(p, q, r))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn rectangle(x1: f32, y1: f32, x2: f32, y2: f32) -> Polygon {
        Polygon::new(vec![(x1, y1), (x2, y1), (x2, y2), (x1, y2)]).unwrap()
    }

    #[test]
    fn points_that_are_no_polygon_are_refused_with_what_to_do() {
        let new = |points: &[(f32, f32)]| Polygon::new(points.to_vec()).unwrap_err();
        assert_eq!(new(&[(0.0, 0.0), (1.0, 1.0)]), BadPolygon::Points(2));
        assert_eq!(new(&[(0.0, 0.0), (1.2, 0.0), (1.0, 1.0)]), BadPolygon::Outside(2));
        assert_eq!(new(&[(0.0, 0.0), (f32::NAN, 0.0), (1.0, 1.0)]), BadPolygon::Outside(2));
        let bow = [(0.0, 0.0), (1.0, 1.0), (1.0, 0.0), (0.0, 1.0)];
        assert_eq!(new(&bow), BadPolygon::Crossing(1, 3));
        assert_eq!(new(&[(0.0, 0.0), (1.0, 0.0), (0.5, 0.0)]), BadPolygon::Thin);
        let twice = [(0.0, 0.0), (0.5, 0.0), (0.5, 0.5), (0.5, 0.0), (0.0, 0.5)];
        assert!(matches!(new(&twice), BadPolygon::Crossing(..)), "it touches itself");
        assert_eq!(new(&[(0.1, 0.1); 40]), BadPolygon::Points(40));
    }

    #[test]
    fn a_hollow_polygon_has_its_own_inside() {
        let u = [
            (0.0, 0.0),
            (0.2, 0.0),
            (0.2, 0.8),
            (0.8, 0.8),
            (0.8, 0.0),
            (1.0, 0.0),
            (1.0, 1.0),
            (0.0, 1.0),
        ];
        let u = Polygon::new(u.to_vec()).unwrap();
        assert!(u.contains((0.1, 0.5)) && u.contains((0.5, 0.9)) && !u.contains((0.5, 0.5)));
        let inner = Bounds { x1: 0.3, y1: 0.1, x2: 0.7, y2: 0.7 };
        assert!(u.share(&inner) < 1e-5);
        assert!((u.share(&Bounds::ALL) - 0.52).abs() < 1e-4);
        assert_eq!(u.bounds(), Bounds::ALL);
    }

    proptest! {
        /// For a rectangle the share is that of two boxes, which is known another way.
        #[test]
        fn the_share_of_a_box_is_what_is_common(
            (x, y, w, h) in (0.0..0.6_f32, 0.0..0.6_f32, 0.1..0.4_f32, 0.1..0.4_f32),
            (bx, by, bw, bh) in (0.0..0.9_f32, 0.0..0.9_f32, 0.01..0.5_f32, 0.01..0.5_f32),
        ) {
            let polygon = rectangle(x, y, x + w, y + h);
            let of = Bounds { x1: bx, y1: by, x2: bx + bw, y2: by + bh };
            let wanted = polygon.bounds().common(&of) / of.area();
            prop_assert!((polygon.share(&of) - wanted).abs() < 1e-3);
        }

        #[test]
        fn where_the_points_begin_changes_nothing(turn in 0..5_usize, x in 0.0..1.0_f32, y in 0.0..1.0_f32) {
            let points = vec![(0.1, 0.2), (0.7, 0.1), (0.9, 0.6), (0.5, 0.9), (0.2, 0.7)];
            let mut turned = points.clone();
            turned.rotate_left(turn);
            let (a, b) = (Polygon::new(points).unwrap(), Polygon::new(turned).unwrap());
            prop_assert_eq!(a.contains((x, y)), b.contains((x, y)));
        }
    }
}
