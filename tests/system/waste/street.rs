//! The truth of simulated bins: people fill them by hour and weekday, trucks empty them.

use domain::time::{Span, Utc};

/// A Monday, 00:00 UTC.
pub(super) const START: Utc = Utc::from_ms(1_767_571_200_000);

/// Numbers that look like chance and are the same everywhere (splitmix64, public domain).
#[derive(Debug, Clone)]
pub(super) struct Chance(u64);

impl Chance {
    pub(super) fn new(seed: u64, stream: u64) -> Chance {
        let mut chance = Chance(seed ^ stream.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        chance.next();
        chance
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// From 0 up to, and without, 1.
    pub(super) fn share(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1u64 << 53) as f64
    }

    pub(super) fn once_in(&mut self, n: f64) -> bool {
        self.share() * n < 1.0
    }

    pub(super) fn between(&mut self, low: f64, high: f64) -> f64 {
        low + (high - low) * self.share()
    }

    /// Around 0, with deviation 1 (the sum of twelve shares).
    pub(super) fn noise(&mut self) -> f64 {
        (0..12).map(|_| self.share()).sum::<f64>() - 6.0
    }
}

/// How a bin is used.
#[derive(Debug, Clone)]
pub(super) struct Habit {
    /// Percent of the bin a day, on an average day.
    pub(super) daily: f64,
    /// By weekday, Monday first; 1 on average.
    weekday: [f64; 7],
    /// The busiest hour.
    peak: f64,
}

impl Habit {
    pub(super) fn new(chance: &mut Chance) -> Habit {
        let weekend = chance.between(0.5, 2.2);
        let workday = (7.0 - 2.0 * weekend) / 5.0;
        let mut weekday = [workday; 7];
        weekday[5] = weekend;
        weekday[6] = weekend;
        let daily = chance.between(8.0, 45.0);
        Habit { daily, weekday, peak: chance.between(9.0, 20.0) }
    }

    /// Percent an hour at `t`, on average: nothing happens more than nine hours from the peak.
    fn rate(&self, t: Utc) -> f64 {
        let hours = t.since(START).as_ms() as f64 / 3_600_000.0;
        let day = self.weekday[(hours / 24.0) as usize % 7];
        let away = ((hours % 24.0 - self.peak + 36.0) % 24.0 - 12.0).abs();
        let shape = if away < 9.0 { 1.0 + (away / 9.0 * std::f64::consts::PI).cos() } else { 0.0 };
        // The bell's area over eighteen hours is 18.
        self.daily * day * shape / 18.0
    }

    /// What is put in during `span` from `t` on, in percent: bags of up to 2 % that come by chance.
    pub(super) fn put_in(&self, t: Utc, span: Span, chance: &mut Chance) -> f64 {
        let expected = self.rate(t) * span.as_ms() as f64 / 3_600_000.0;
        let bags = expected.max(0.0);
        let mut sum = 0.0;
        let mut left = bags;
        while left > 0.0 {
            let part = left.min(0.5);
            if chance.share() < part {
                sum += chance.between(0.0, 2.0);
            }
            left -= part;
        }
        sum
    }
}
