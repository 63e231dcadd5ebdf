//! When a bin will be full.
//!
//! A bin's filling is a sawtooth. Between two emptyings only what rises above the highest level so far
//! counts as filling (noise and settling do not), and it is learned as a rate for each quarter of each
//! day of the week. The forecast lets those rates run on from the present level. Its band comes from how
//! far past fillings were from what the rates of their time promised; without enough of them there is
//! no band. Before a day has been seen there is no forecast at all.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use crate::time::{Span, Utc};
use crate::units::Permille;

const HOUR: u64 = 3_600_000;
/// A quarter of a day. Cells are counted in UTC: a clock change moves a habit by an hour, not a cell.
const CELL: u64 = 6 * HOUR;
/// Cells of a week.
const CELLS: usize = 28;
/// The week's cells begin on a Thursday, as 1970 did.
const WEEK: u64 = CELL * CELLS as u64;
/// Hours that the mean rate of all cells counts for in each cell: two visits of it.
const PRIOR_H: u64 = 12;
/// A cell forgets: its hours are capped, so that about five weeks count.
const CELL_HOURS_MAX: u64 = 30;
/// And the mean, over about two weeks.
const MEAN_HOURS_MAX: u64 = 14 * 24;
/// Nothing is said before so much has been seen.
const LEARNED_MIN: Span = Span::from_mins(24 * 60);
/// Farther ahead nothing is said.
const HORIZON_CELLS: usize = 60 * 4;
/// A silence longer than this teaches nothing: the bin may have been emptied in it.
const GAP_MAX: Span = Span::from_mins(8 * 24 * 60);
/// Past fillings that make the band, and how many it needs.
const CYCLES_MAX: usize = 16;
const CYCLES_MIN: usize = 5;
/// A filling of less than this says little about the rates.
const CYCLE_GAIN_MIN: u64 = 150;

/// When a bin will reach a level.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Forecast {
    /// Most likely.
    pub at: Utc,
    /// Four of five past fillings would have come after this ...
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub earliest: Option<Utc>,
    /// ... and before this (one in ten each way). `None` while too few are known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub latest: Option<Utc>,
}

/// Filled thousandths (times a thousand) over hours; both are scaled down together to forget.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
struct Rate(u64, u64);

impl Rate {
    /// Adds a filling over some milliseconds, and forgets what is more than `hours_max` old.
    fn add(&mut self, micro: u64, ms: u64, hours_max: u64) {
        self.0 = self.0.saturating_add(micro);
        self.1 = self.1.saturating_add(ms);
        let max = hours_max * HOUR;
        if self.1 > max {
            self.0 = wide(self.0, max, self.1);
            self.1 = max;
        }
    }
}

/// What a bin's past says about its filling.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Habits {
    cells: Vec<Rate>,
    mean: Rate,
    /// Time learned from, in milliseconds.
    learned: Span,
    cycle: Option<Cycle>,
    /// Of past fillings: what came over what was promised, in thousandths.
    ratios: VecDeque<u32>,
}

/// The filling that is going on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct Cycle {
    /// The highest level so far.
    peak: Permille,
    /// The latest reading.
    at: Utc,
    /// Gained so far.
    gained: u64,
    /// What the rates promised for the same time, in millionths.
    promised: u64,
}

impl Default for Habits {
    fn default() -> Habits {
        Habits {
            cells: vec![Rate::default(); CELLS],
            mean: Rate::default(),
            learned: Span::ZERO,
            cycle: None,
            ratios: VecDeque::new(),
        }
    }
}

impl Habits {
    /// The bin stood at `level` at `at`.
    pub fn take(&mut self, level: Permille, at: Utc) {
        let gap = |cycle: &Cycle| at.since(cycle.at);
        let known = self.cycle.filter(|c| gap(c) <= GAP_MAX && at >= c.at);
        let Some(mut cycle) = known else {
            self.cycle = Some(Cycle { peak: level, at, gained: 0, promised: 0 });
            return;
        };
        let gain = u64::from(level.get().saturating_sub(cycle.peak.get()));
        if self.learned >= LEARNED_MIN {
            cycle.promised += self.filling(cycle.at, at);
            cycle.gained += gain;
        }
        self.learn(cycle.at, at, gain * 1000);
        cycle.peak = cycle.peak.max(level);
        cycle.at = at;
        self.cycle = Some(cycle);
    }

    /// The bin was emptied, and stood at `level` at `at`.
    pub fn emptied(&mut self, level: Permille, at: Utc) {
        if let Some(cycle) = self.cycle
            && cycle.gained >= CYCLE_GAIN_MIN
            && cycle.promised > 0
        {
            let ratio = (cycle.gained * 1_000_000 / cycle.promised).clamp(1, 100_000);
            if self.ratios.len() == CYCLES_MAX {
                self.ratios.pop_front();
            }
            self.ratios.push_back(u32::try_from(ratio).expect("clamped"));
        }
        self.cycle = Some(Cycle { peak: level, at, gained: 0, promised: 0 });
    }

    /// When the bin, which stands at `level` at `from`, will reach `goal`; `None` when that is not
    /// within 60 days, or too little is known.
    #[must_use]
    pub fn forecast(&self, level: Permille, from: Utc, goal: Permille) -> Option<Forecast> {
        if self.learned < LEARNED_MIN {
            return None;
        }
        let need = u64::from(goal.get().saturating_sub(level.get())) * 1000;
        let mut ratios: Vec<u32> = self.ratios.iter().copied().collect();
        ratios.sort_unstable();
        let ratio = |i: usize| u64::from(ratios[i]);
        // The next filling falls below the k-th of n past ones in k of n + 1 cases: one in ten, or as
        // few as n allows.
        let tail = ((ratios.len() + 1) / 10).max(1) - 1;
        let with = |ratio: u64| self.reach(need * 1000 / ratio, from);
        if ratios.len() < CYCLES_MIN {
            return Some(Forecast { at: with(1000)?, earliest: None, latest: None });
        }
        // The rates are means over time, in which slow fillings weigh most; half of all fillings are
        // faster than their median ratio.
        let (slow, fast) = (ratio(tail), ratio(ratios.len() - 1 - tail));
        let at = with(ratio(ratios.len() / 2))?;
        Some(Forecast { at, earliest: with(fast), latest: with(slow) })
    }

    /// The most likely level `ahead` of `from`, at most full; `None` while too little is known.
    pub(crate) fn expected(&self, level: Permille, from: Utc, ahead: Span) -> Option<Permille> {
        if self.learned < LEARNED_MIN {
            return None;
        }
        let mut ratios: Vec<u32> = self.ratios.iter().copied().collect();
        ratios.sort_unstable();
        let ratio = if ratios.len() < CYCLES_MIN { 1000 } else { ratios[ratios.len() / 2] };
        let gain = wide(self.filling(from, from + ahead), ratio.into(), 1_000_000);
        Some(Permille::clamped(i64::from(level.get()).saturating_add_unsigned(gain)))
    }

    /// When `need` millionths will have been filled from `from` on.
    fn reach(&self, need: u64, from: Utc) -> Option<Utc> {
        let (mut t, mut left) = (from, need);
        for _ in 0..=HORIZON_CELLS {
            let (cell, ms) = cell_at(t);
            let (micro, per) = self.rate(cell);
            let whole = wide(micro, ms, per);
            if whole >= left {
                let part = if micro == 0 { 0 } else { wide(left, per, micro) };
                return Some(t + Span::from_ms(part.min(ms)));
            }
            left -= whole;
            t = t + Span::from_ms(ms);
        }
        None
    }

    /// What the rates promise from `from` to `to`, in millionths.
    fn filling(&self, from: Utc, to: Utc) -> u64 {
        pieces(from, to)
            .map(|(cell, ms)| {
                let (micro, per) = self.rate(cell);
                wide(micro, ms, per)
            })
            .sum()
    }

    fn learn(&mut self, from: Utc, to: Utc, micro: u64) {
        let all = to.since(from).as_ms();
        if all == 0 {
            return;
        }
        let parts: Vec<(usize, u64)> = pieces(from, to).collect();
        for (cell, ms) in parts {
            let share = wide(micro, ms, all);
            self.cells[cell].add(share, ms, CELL_HOURS_MAX);
            self.mean.add(share, ms, MEAN_HOURS_MAX);
        }
        self.learned = self.learned.saturating_add(Span::from_ms(all));
    }

    /// The rate of a cell, drawn towards the mean where little is known of it: millionths per ms.
    fn rate(&self, cell: usize) -> (u64, u64) {
        let Rate(micro, ms) = self.cells[cell];
        let prior = wide(self.mean.0, PRIOR_H * HOUR, self.mean.1.max(1));
        (micro + prior, ms + PRIOR_H * HOUR)
    }
}

/// `a * b / c` without running over.
fn wide(a: u64, b: u64, c: u64) -> u64 {
    let product = u128::from(a) * u128::from(b) / u128::from(c.max(1));
    u64::try_from(product).unwrap_or(u64::MAX)
}

/// The cell an instant is in, and how long the cell still lasts.
fn cell_at(t: Utc) -> (usize, u64) {
    let in_week = t.as_ms().rem_euclid(WEEK as i64).unsigned_abs();
    ((in_week / CELL) as usize, CELL - in_week % CELL)
}

/// The cells between two instants, each with its milliseconds. At most `GAP_MAX` of them are asked for.
fn pieces(from: Utc, to: Utc) -> impl Iterator<Item = (usize, u64)> {
    let mut t = from;
    std::iter::from_fn(move || {
        let left = to.since(t).as_ms();
        if left == 0 {
            return None;
        }
        let (cell, rest) = cell_at(t);
        let ms = rest.min(left);
        t = t + Span::from_ms(ms);
        Some((cell, ms))
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const START: Utc = Utc::from_ms(1_780_272_000_000);

    fn hours(h: u64) -> Utc {
        START + Span::from_mins(h * 60)
    }

    fn permille(p: u64) -> Permille {
        Permille::clamped(p as i64)
    }

    /// Emptied every `cycle` hours, filled by what `rate` gives for each hour.
    fn learned(days: u64, cycle: u64, rate: impl Fn(u64) -> u64) -> (Habits, u64) {
        let (mut habits, mut level) = (Habits::default(), 0);
        for h in 0..days * 24 {
            if h > 0 && h % cycle == 0 {
                level = 0;
                habits.emptied(permille(0), hours(h));
            }
            habits.take(permille(level), hours(h));
            level += rate(h);
        }
        (habits, level)
    }

    #[test]
    fn a_steady_bin_is_full_when_arithmetic_says_so() {
        let (habits, _) = learned(15, 60, |_| 10);
        let forecast = habits.forecast(permille(200), hours(360), permille(800)).unwrap();
        let off = forecast.at.as_ms() - hours(420).as_ms();
        assert!(off.abs() < 3 * 3_600_000, "{forecast:?}");
        assert!(
            forecast.earliest.unwrap() <= forecast.at && forecast.at <= forecast.latest.unwrap()
        );
    }

    #[test]
    fn nights_are_known_to_be_quiet() {
        // Filled only from 06 to 18 o'clock.
        let (habits, _) = learned(30, 48, |h| if (6..18).contains(&(h % 24)) { 20 } else { 0 });
        let evening = hours(30 * 24 + 18);
        let forecast = habits.forecast(permille(700), evening, permille(800)).unwrap();
        let after = forecast.at.since(evening).as_secs() / 3600;
        assert!((10..=18).contains(&after), "12 hours of night and 5 of day, not {after}");
    }

    #[test]
    fn noise_and_settling_are_no_filling() {
        let mut habits = Habits::default();
        for h in 0..96 {
            habits.take(permille(if h % 2 == 0 { 500 } else { 490 }), hours(h));
        }
        assert_eq!(habits.forecast(permille(500), hours(96), permille(800)), None);
    }

    #[test]
    fn too_little_is_no_forecast_and_no_band() {
        let mut habits = Habits::default();
        for h in 0..24 {
            habits.take(permille(h * 10), hours(h));
        }
        assert_eq!(habits.forecast(permille(230), hours(23), permille(800)), None);
        habits.take(permille(240), hours(24));
        let forecast = habits.forecast(permille(240), hours(24), permille(800)).unwrap();
        assert_eq!((forecast.earliest, forecast.latest), (None, None));
    }

    #[test]
    fn restored_habits_go_on() {
        let (habits, _) = learned(15, 60, |_| 10);
        let text = serde_json::to_string(&habits).unwrap();
        assert_eq!(serde_json::from_str::<Habits>(&text).unwrap(), habits);
    }

    proptest! {
        #[test]
        fn a_higher_goal_is_never_sooner(
            gains in proptest::collection::vec(0u64..30, 30..200),
            level in 0u64..900, a in 0u64..1000, b in 0u64..1000,
        ) {
            let (mut habits, mut sum) = (Habits::default(), 0);
            for (h, gain) in gains.iter().enumerate() {
                sum += gain;
                if sum > 1000 {
                    sum = 0;
                    habits.emptied(permille(0), hours(h as u64));
                }
                habits.take(permille(sum), hours(h as u64));
            }
            let at = |goal| habits.forecast(permille(level), hours(300), permille(goal));
            if let (Some(low), Some(high)) = (at(a.min(b)), at(a.max(b))) {
                prop_assert!(low.at <= high.at && low.at >= hours(300));
            }
        }
    }
}
