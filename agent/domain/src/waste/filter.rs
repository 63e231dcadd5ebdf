//! The median of the latest levels: what a bin counts as filled, for rules and reports alike.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use super::emptying::agree;
use crate::units::Permille;

/// The latest levels of one bin, oldest first.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub(super) struct Median(VecDeque<Permille>);

impl Median {
    /// Takes a level; gives the median of it and at most `of - 1` before it. Always a level that was
    /// measured: of two in the middle it is the lower one.
    pub(super) fn push(&mut self, level: Permille, of: u8) -> Permille {
        while self.0.len() >= usize::from(of.max(1)) {
            self.0.pop_front();
        }
        self.0.push_back(level);
        let mut sorted: Vec<Permille> = self.0.iter().copied().collect();
        sorted.sort_unstable();
        sorted[(sorted.len() - 1) / 2]
    }

    /// Whether the median is more than one reading's word, as far as `of` asks for more.
    pub(super) fn is_settled(&self, of: u8) -> bool {
        self.0.len() >= usize::from(of.clamp(1, 2))
    }

    /// Keeps only levels that may be of the filling that begins with `level`: the ones before are of another
    /// or went astray.
    pub(super) fn keep_of(&mut self, level: Permille) {
        self.0.retain(|kept| agree(*kept, level));
    }

    /// Forgets the levels: what comes next has nothing to do with them.
    pub(super) fn clear(&mut self) {
        self.0.clear();
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn run(of: u8, levels: &[u16]) -> Vec<u16> {
        let mut median = Median::default();
        levels.iter().map(|&l| median.push(Permille::clamped(l.into()), of).get()).collect()
    }

    #[test]
    fn after_an_emptying_the_low_readings_count_and_the_high_ones_do_not() {
        let mut median = Median::default();
        for level in [910, 20, 30, 530, 990] {
            median.push(Permille::clamped(level), 5);
        }
        median.keep_of(Permille::clamped(25));
        assert_eq!(median.push(Permille::clamped(25), 5).get(), 25);
        median.push(Permille::clamped(800), 5);
        assert_eq!(median.push(Permille::clamped(900), 5).get(), 30, "two wild ones");
    }

    #[test]
    fn a_missed_echo_does_not_pass_and_one_is_no_filter() {
        assert_eq!(run(3, &[500, 510, 0, 520, 1000, 530]), [500, 500, 500, 510, 520, 530]);
        assert_eq!(run(1, &[500, 0, 520]), [500, 0, 520]);
    }

    proptest! {
        #[test]
        fn never_a_value_that_was_not_measured(
            of in 0u8..=9, levels in proptest::collection::vec(0u16..=1000, 1..40),
        ) {
            for (i, found) in run(of, &levels).into_iter().enumerate() {
                let from = (i + 1).saturating_sub(usize::from(of.max(1)));
                prop_assert!(levels[from..=i].contains(&found));
            }
        }
    }
}
