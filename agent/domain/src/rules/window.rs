//! The latest readings of a fact, as far as a condition looks back.

use serde::{Deserialize, Serialize};

use crate::time::{Boot, ClockQuality, Moment, Monotonic, Span, Utc};

/// The most readings that are remembered for one condition of one asset. When there are more inside its
/// time, every second one is forgotten but the first and the newest: what is found from them is found a
/// little later, and nothing is found that is not so.
pub const POINTS_MAX: usize = 32;

/// A reading of a fact in thousandths of its unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Point {
    pub(super) at: Moment,
    pub(super) value: i64,
}

/// Readings in the order of their time.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(from = "Vec<Stored>", into = "Vec<Stored>")]
pub(super) struct Window(Vec<Point>);

/// Stored with every reading, therefore short: boot, both times in milliseconds, clock, value.
type Stored = (Boot, Monotonic, i64, ClockQuality, i64);

impl From<Window> for Vec<Stored> {
    fn from(window: Window) -> Vec<Stored> {
        let short =
            |Point { at, value }: Point| (at.boot, at.monotonic, at.utc.as_ms(), at.clock, value);
        window.0.into_iter().map(short).collect()
    }
}

impl From<Vec<Stored>> for Window {
    fn from(stored: Vec<Stored>) -> Window {
        let point = |(boot, monotonic, utc, clock, value): Stored| Point {
            at: Moment { boot, monotonic, utc: Utc::from_ms(utc), clock },
            value,
        };
        Window(stored.into_iter().take(POINTS_MAX).map(point).collect())
    }
}

impl Window {
    pub(super) fn points(&self) -> &[Point] {
        &self.0
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn newest(&self) -> Option<Point> {
        self.0.last().copied()
    }

    /// Takes a reading at its place in time: some come late.
    pub(super) fn take(&mut self, point: Point) {
        let later = |other: &Point| is_later(other.at, point.at);
        let place = self.0.iter().rposition(|other| !later(other)).map_or(0, |i| i + 1);
        self.0.insert(place, point);
        if self.0.len() > POINTS_MAX {
            let last = self.0.len() - 1;
            let mut i = 0;
            self.0.retain(|_| {
                i += 1;
                i % 2 == 1 || i > last
            });
        }
    }

    /// Forgets what is older than `within` at `at`.
    pub(super) fn forget(&mut self, at: Moment, within: Span) {
        self.0.retain(|point| at.since(point.at) <= within);
    }

    /// Forgets all but the newest `count`.
    pub(super) fn keep(&mut self, count: usize) {
        let over = self.0.len().saturating_sub(count);
        self.0.drain(..over);
    }

    /// Forgets everything.
    pub(super) fn clear(&mut self) {
        self.0.clear();
    }

    /// How fast it goes, in thousandths an hour: the median over all pairs of readings (Theil–Sen), which
    /// single stray ones do not move. `None` below three readings, or when all are of one moment.
    pub(super) fn slope(&self) -> Option<i64> {
        if self.0.len() < 3 {
            return None;
        }
        let mut slopes = Vec::with_capacity(self.0.len() * (self.0.len() - 1) / 2);
        for (i, a) in self.0.iter().enumerate() {
            for b in &self.0[i + 1..] {
                let ms = i128::from(b.at.since(a.at).as_ms());
                if ms > 0 {
                    slopes.push(i128::from(b.value - a.value) * 3_600_000 / ms);
                }
            }
        }
        slopes.sort_unstable();
        let median = *slopes.get(slopes.len() / 2)?;
        Some(median.clamp(i64::MIN.into(), i64::MAX.into()) as i64)
    }
}

/// Whether `a` is after `b`.
pub(super) fn is_later(a: Moment, b: Moment) -> bool {
    if a.boot == b.boot { a.monotonic > b.monotonic } else { a.utc > b.utc }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn t(s: u64) -> Moment {
        Moment {
            boot: Boot(1),
            monotonic: Monotonic::from_ms(s * 1000),
            utc: Utc::from_ms(1_780_000_000_000) + Span::from_secs(s),
            clock: ClockQuality::Ntp,
        }
    }

    fn window(points: impl IntoIterator<Item = (u64, i64)>) -> Window {
        let mut window = Window::default();
        points.into_iter().for_each(|(s, value)| window.take(Point { at: t(s), value }));
        window
    }

    #[test]
    fn readings_stand_in_the_order_of_their_time_however_they_come() {
        let window = window([(60, 2), (120, 3), (0, 1), (60, 9)]);
        let values: Vec<i64> = window.points().iter().map(|p| p.value).collect();
        assert_eq!(values, [1, 2, 9, 3]);
    }

    #[test]
    fn a_stray_reading_does_not_move_the_slope() {
        let hour = |n: u64| n * 3600;
        let rising = [(hour(0), 10_000), (hour(1), 12_000), (hour(2), 90_000), (hour(3), 16_000)];
        assert_eq!(window([(0, 1), (60, 2)]).slope(), None);
        assert_eq!(window([(5, 1), (5, 2), (5, 3)]).slope(), None);
        let more = rising.into_iter().chain([(hour(4), 18_000), (hour(5), 20_000)]);
        assert_eq!(window(more).slope(), Some(2000));
    }

    proptest! {
        #[test]
        fn a_window_is_bounded_and_keeps_the_first_and_the_newest(
            times in prop::collection::vec(0u64..100_000, 1..200),
        ) {
            let window = window(times.iter().map(|s| (*s, 0)));
            prop_assert!(window.points().len() <= POINTS_MAX);
            let ends = (window.points()[0].at, window.newest().unwrap().at);
            prop_assert_eq!(ends, (t(*times.iter().min().unwrap()), t(*times.iter().max().unwrap())));
            let ordered = window.points().windows(2).all(|p| !is_later(p[0].at, p[1].at));
            prop_assert!(ordered);
        }
    }
}
