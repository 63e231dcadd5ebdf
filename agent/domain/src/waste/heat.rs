//! Whether a bin burns, from temperatures and the sensor's own word.
//!
//! A steel lid in the summer sun passes 55 °C, so neither a single hot reading nor warmth alone is a
//! fire: it is two readings at the bin's `fire_at`, or a rise that no sun makes.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use crate::time::{Moment, Span};
use crate::units::MilliCelsius;

/// Hot this often in a row is fire; cool this often in a row is the end of it.
const IN_A_ROW: u8 = 2;
/// A rise by this much ...
const RISE: i32 = 10_000;
/// ... within this time is fire ...
const RISE_WITHIN: Span = Span::from_mins(5);
/// ... from this temperature on. Below it, a bin was opened in the sun or rolled out of the shade.
const RISE_FROM: i32 = 45_000;
/// So far below `fire_at` it is over.
const COOLED_BY: i32 = 15_000;
/// Temperatures remembered; a sensor that measures every half minute is seen over five minutes.
const REMEMBERED: usize = 10;

/// What is known of a bin's heat.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(super) struct Heat {
    recent: VecDeque<(Moment, MilliCelsius)>,
    hot: u8,
    cool: u8,
    /// The temperatures say fire.
    burning: bool,
    /// The sensor says fire.
    alarm: bool,
}

impl Heat {
    pub(super) fn is_fire(&self) -> bool {
        self.burning || self.alarm
    }

    /// The latest temperature.
    pub(super) fn latest(&self) -> Option<MilliCelsius> {
        self.recent.back().map(|(_, t)| *t)
    }

    /// The sensor's own fire signal.
    pub(super) fn signal(&mut self, fire: bool) {
        self.alarm = fire;
    }

    /// A temperature measured at `at`; `fire_at` is the bin's own.
    pub(super) fn take(&mut self, t: MilliCelsius, at: Moment, fire_at: MilliCelsius) {
        let count = |yes: bool, n: u8| if yes { n.saturating_add(1) } else { 0 };
        self.hot = count(t >= fire_at, self.hot);
        self.cool = count(t.0 <= fire_at.0 - COOLED_BY, self.cool);
        let from = |(then, before): &(Moment, MilliCelsius)| {
            at.measured_since(*then) <= RISE_WITHIN && t.0 - before.0 >= RISE
        };
        let rose = t.0 >= RISE_FROM && self.recent.iter().any(from);
        if self.hot >= IN_A_ROW || rose {
            self.burning = true;
        } else if self.cool >= IN_A_ROW {
            self.burning = false;
        }
        if self.recent.len() == REMEMBERED {
            self.recent.pop_front();
        }
        self.recent.push_back((at, t));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::waste::bin::tests::t;

    fn fires(readings: &[(u64, i32)]) -> Vec<bool> {
        let mut heat = Heat::default();
        let mut take = |&(minute, celsius): &(u64, i32)| {
            heat.take(MilliCelsius(celsius * 1000), t(minute), MilliCelsius(65_000));
            heat.is_fire()
        };
        readings.iter().map(&mut take).collect()
    }

    #[test]
    fn twice_hot_is_fire_until_twice_cool() {
        let run =
            fires(&[(0, 64), (10, 65), (20, 66), (30, 60), (40, 49), (50, 51), (60, 50), (70, 50)]);
        assert_eq!(run, [false, false, true, true, true, true, true, false]);
    }

    #[test]
    fn the_summer_sun_is_no_fire_and_a_steep_rise_is_one() {
        assert_eq!(fires(&[(0, 35), (30, 48), (60, 58), (90, 63)]), [false; 4]);
        assert_eq!(fires(&[(0, 36), (5, 46)]), [false, true]);
        assert_eq!(fires(&[(0, 36), (6, 46)]), [false, false], "too slow");
        assert_eq!(fires(&[(0, 10), (5, 25)]), [false, false], "out of the shade");
        assert_eq!(fires(&[(0, 20), (30, 66), (60, 21)]), [false; 3], "one wild reading");
    }

    #[test]
    fn the_sensors_word_counts_at_once() {
        let mut heat = Heat::default();
        heat.signal(true);
        assert!(heat.is_fire());
        heat.signal(false);
        assert!(!heat.is_fire());
    }
}
