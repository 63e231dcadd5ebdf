//! Areas and courses: where a vehicle is to work, where it must not be, where it may rest, and along
//! which line it is to go.

use std::sync::Arc;

use jiff::tz::TimeZone;

use super::plane::{Flat, Plane};
use super::window::{Window, shift_of};
use crate::place::Position;
use crate::time::Utc;

/// The most corners of an area and points of a course: each fix is compared with all of them.
pub const POINTS_MAX: usize = 5000;

/// What an area is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ZoneKind {
    /// The vehicle is to stay in its areas of this kind.
    Work,
    /// It must not be here.
    Forbidden,
    /// It may rest here for as long as it likes: depots, water points, transfer stations.
    Rest,
}

/// An area of the map.
#[derive(Debug, Clone, PartialEq)]
pub struct Zone {
    /// Its name.
    pub id: String,
    /// What it is for.
    pub kind: ZoneKind,
    plane: Plane,
    ring: Vec<Flat>,
}

/// A line along which a vehicle is to go.
#[derive(Debug, Clone, PartialEq)]
pub struct Course {
    plane: Plane,
    points: Vec<Flat>,
    /// When; empty: always.
    windows: Vec<Window>,
    zone: TimeZone,
}

impl Zone {
    /// The area inside `corners`, which need not be closed. `None`: fewer than three of them, or more
    /// than [`POINTS_MAX`].
    #[must_use]
    pub fn new(id: &str, kind: ZoneKind, corners: &[Position]) -> Option<Zone> {
        if !(3..=POINTS_MAX).contains(&corners.len()) {
            return None;
        }
        let plane = Plane::at(*corners.first()?);
        let ring = corners.iter().map(|corner| plane.flat(*corner)).collect();
        Some(Zone { id: id.to_owned(), kind, plane, ring })
    }

    /// Whether `position` is inside.
    #[must_use]
    pub fn contains(&self, position: Position) -> bool {
        let p = self.plane.flat(position);
        // Even-odd: a ray to the east crosses the edge an odd number of times.
        self.edges().fold(false, |inside, (a, b)| {
            let crosses =
                (a.y > p.y) != (b.y > p.y) && p.x < a.x + (p.y - a.y) / (b.y - a.y) * (b.x - a.x);
            inside != crosses
        })
    }

    /// From `position` to the nearest edge in metres.
    #[must_use]
    pub fn edge_m(&self, position: Position) -> f64 {
        let p = self.plane.flat(position);
        self.edges().map(|(a, b)| p.beside(a, b)).fold(f64::INFINITY, f64::min)
    }

    fn edges(&self) -> impl Iterator<Item = (Flat, Flat)> {
        let next = self.ring.iter().cycle().skip(1);
        self.ring.iter().copied().zip(next.copied())
    }
}

impl Course {
    /// The course along `line` in `windows` of local time. `None`: a line without length, or of more
    /// than [`POINTS_MAX`] points.
    #[must_use]
    pub fn new(line: &[Position], windows: Vec<Window>, zone: TimeZone) -> Option<Course> {
        let plane = Plane::at(*line.first()?);
        let points: Vec<Flat> = line.iter().map(|p| plane.flat(*p)).collect();
        let long = points.windows(2).any(|leg| leg[1].from(leg[0]).length() > 0.0);
        let valid = long && points.len() <= POINTS_MAX;
        valid.then_some(Course { plane, points, windows, zone })
    }

    /// How far `position` is from the course in metres; `None` outside of its hours.
    #[must_use]
    pub fn off_m(&self, position: Position, at: Utc) -> Option<f64> {
        let now = shift_of(&self.windows, at, &self.zone).is_some_and(|shift| shift.contains(at));
        if !self.windows.is_empty() && !now {
            return None;
        }
        let p = self.plane.flat(position);
        let legs = self.points.windows(2).map(|leg| p.beside(leg[0], leg[1]));
        Some(legs.fold(f64::INFINITY, f64::min))
    }
}

/// Whether a vehicle at `position`, known to `doubt_m` metres, is where it must not be: outside of all
/// areas it is to stay in, or in a forbidden one. `None`: too near an edge to say, or nothing is
/// configured.
#[must_use]
pub(crate) fn is_out_of_area(
    zones: &[Arc<Zone>],
    position: Position,
    doubt_m: f64,
) -> Option<bool> {
    let of = |kind| zones.iter().filter(move |zone| zone.kind == kind);
    let certain = |zone: &Arc<Zone>| zone.edge_m(position) > doubt_m;
    if let Some(zone) = of(ZoneKind::Forbidden).find(|zone| zone.contains(position)) {
        return certain(zone).then_some(true);
    }
    if of(ZoneKind::Work).next().is_none() {
        return of(ZoneKind::Forbidden).next().map(|_| false);
    }
    let allowed = || of(ZoneKind::Work).chain(of(ZoneKind::Rest));
    if allowed().any(|zone| zone.contains(position)) {
        return Some(false);
    }
    allowed().all(certain).then_some(true)
}

/// Whether `position` is where a vehicle may rest.
#[must_use]
pub(crate) fn may_rest(zones: &[Arc<Zone>], position: Position) -> bool {
    zones.iter().any(|zone| zone.kind == ZoneKind::Rest && zone.contains(position))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::place::Datum;

    fn at(x: f64, y: f64) -> Position {
        let origin = Position::from_degrees(31.811, 119.974, Datum::Wgs84).unwrap();
        Plane::at(origin).position(Flat { x, y }).unwrap()
    }

    fn square(kind: ZoneKind, x: f64, size: f64) -> Arc<Zone> {
        let corners = [(x, 0.0), (x + size, 0.0), (x + size, size), (x, size)];
        Zone::new("z", kind, &corners.map(|(x, y)| at(x, y))).unwrap().into()
    }

    #[test]
    fn inside_outside_and_too_near_to_say() {
        use ZoneKind::{Forbidden, Rest, Work};
        let work = square(Work, 0.0, 100.0);
        let rest = square(Rest, 200.0, 50.0);
        let forbidden = square(Forbidden, 40.0, 20.0);
        let all = [work.clone(), rest.clone(), forbidden.clone()];
        let only_forbidden = [forbidden];
        let cases = [
            (&all[..], (10.0, 50.0), Some(false)),
            (&all, (-50.0, 50.0), Some(true)),
            (&all, (-5.0, 50.0), None),
            (&all, (225.0, 25.0), Some(false)),
            (&all, (50.0, 10.0), None),
            (&only_forbidden, (50.0, 10.0), None),
            (&only_forbidden, (500.0, 10.0), Some(false)),
            (&[], (0.0, 0.0), None),
        ];
        for (zones, (x, y), expected) in cases {
            assert_eq!(is_out_of_area(zones, at(x, y), 10.0), expected, "{x} {y}");
        }
        assert_eq!(is_out_of_area(&all, at(50.0, 10.0), 5.0), Some(true), "deep enough in");
        assert!(may_rest(&all, at(225.0, 25.0)));
        assert!(!may_rest(&all, at(50.0, 80.0)));
        assert_eq!(Zone::new("z", Work, &[at(0.0, 0.0), at(1.0, 1.0)]), None);
        assert!((work.edge_m(at(-30.0, 140.0)) - 50.0).abs() < 0.1, "to the corner");
    }

    #[test]
    fn a_course_is_a_line_in_its_hours() {
        let six_to_nine = Window::new([true; 7], 360, 540).unwrap();
        let line = [at(0.0, 0.0), at(100.0, 0.0), at(100.0, 100.0)];
        let course = Course::new(&line, vec![six_to_nine], TimeZone::UTC).unwrap();
        let day = Utc::parse("2026-06-04T00:00:00Z").unwrap();
        let hour = |h: u64| day + crate::time::Span::from_mins(h * 60);
        let off = course.off_m(at(60.0, 30.0), hour(7)).unwrap();
        assert!((off - 30.0).abs() < 0.1, "{off}");
        assert_eq!(course.off_m(at(60.0, 30.0), hour(10)), None);
        let always = Course::new(&line, vec![], TimeZone::UTC).unwrap();
        assert!(always.off_m(at(60.0, 30.0), hour(10)).is_some());
        for line in [&line[..1], &[line[0], line[0]], &[]] {
            assert_eq!(Course::new(line, vec![], TimeZone::UTC), None, "no length, no course");
        }
    }
}
