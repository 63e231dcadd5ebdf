//! What the bins of a street hold, and how much they will hold in the days to come.
//!
//! Adds up only bins of which everything is known: size, present level and habits. The others are counted
//! as unknown, never as empty.

use serde::Serialize;

use super::bin::Container;
use crate::site::Bin;
use crate::time::{Span, Utc};
use crate::units::Permille;

/// How far ahead is looked, in hours.
const AHEAD_H: [u64; 3] = [24, 48, 72];

/// What a street's bins hold and will hold.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub(crate) struct Capacity {
    /// Bins of the street.
    bins: u32,
    /// Of these, without size, level or habits: they are in no other number here.
    unknown: u32,
    /// Litres up to the full lines.
    capacity_l: u64,
    /// Litres in the bins.
    filled_l: u64,
    /// Bins that are full.
    full: u32,
    /// If nothing is emptied until then.
    ahead: [Ahead; AHEAD_H.len()],
}

/// The same, later.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
struct Ahead {
    hours: u64,
    filled_l: u64,
    full: u32,
}

impl Capacity {
    /// Adds up `bins` as they stand at `at`.
    pub(crate) fn of<'b>(bins: impl Iterator<Item = (&'b Container, &'b Bin)>, at: Utc) -> Self {
        let mut sum = Capacity::default();
        for (ahead, hours) in sum.ahead.iter_mut().zip(AHEAD_H) {
            ahead.hours = hours;
        }
        for (container, bin) in bins {
            sum.bins += 1;
            if sum.add(container, bin, at).is_none() {
                sum.unknown += 1;
            }
        }
        sum
    }

    fn add(&mut self, container: &Container, bin: &Bin, at: Utc) -> Option<()> {
        let capacity = u64::from(bin.capacity_l?);
        let now = container.level()?;
        let later = |hours| container.level_at(at, Span::from_mins(hours * 60));
        let mut levels = [Permille::default(); AHEAD_H.len()];
        for (level, hours) in levels.iter_mut().zip(AHEAD_H) {
            *level = later(hours)?;
        }
        let litres = |level: Permille| capacity * u64::from(level.get()) / 1000;
        self.capacity_l += capacity;
        self.filled_l += litres(now);
        self.full += u32::from(now >= bin.full_at);
        for (ahead, level) in self.ahead.iter_mut().zip(levels) {
            ahead.filled_l += litres(level);
            ahead.full += u32::from(level >= bin.full_at);
        }
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample::Quantity;
    use crate::waste::bin::tests::{BIN, t};

    /// A bin that gained `percent` an hour for three days from empty.
    fn container(percent: u64) -> Container {
        let mut container = Container::default();
        for hour in 0..=72 {
            let level = Quantity::Level(Permille::from_percent((hour * percent) as i64 / 10));
            container.report(&[level], t(hour * 60), None, &BIN);
        }
        container
    }

    #[test]
    fn a_street_adds_up_what_is_known_now_and_later() {
        let (slow, fast, fresh) = (container(2), container(10), Container::default());
        let unsized_bin = Bin { capacity_l: None, ..BIN };
        let bins = [(&slow, &BIN), (&fast, &BIN), (&fresh, &BIN), (&slow, &unsized_bin)];
        let sum = Capacity::of(bins.into_iter(), t(72 * 60).utc);
        assert_eq!((sum.bins, sum.unknown, sum.capacity_l), (4, 2, 480));
        // 14 % and 72 % of 240 litres.
        assert_eq!((sum.filled_l, sum.full), (33 + 172, 0));
        assert_eq!(sum.ahead.map(|a| (a.hours, a.full)), [(24, 1), (48, 1), (72, 1)]);
        let [day, two, three] = sum.ahead.map(|a| a.filled_l);
        // The slow one gains about 5 % a day; the fast one is full within the second day.
        assert!((205 + 12 + 55..=205 + 12 + 68).contains(&day), "{day}");
        assert!(three - two < 20 && three <= 480, "{two} {three}");
    }
}
