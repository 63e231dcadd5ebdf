//! How long to wait before the next try. Pure: time and seed are arguments.
//!
//! Two kinds of loss are told apart. A box whose own way is broken, by a dead radio cell or a lost packet, is
//! alone with it and tries again soon. When the broker ends a connection that was good, it has ended those
//! of every box in the same moment: then nobody hurries, or they all come back together.

use std::time::Duration;

/// How patient a link is with a broker that fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pace {
    /// The ceiling of the wait after the first failure.
    pub wait_min: Duration,
    /// The highest ceiling; each failure doubles it up to here. Also the time over which a fleet spreads
    /// when the broker has ended good connections.
    pub wait_max: Duration,
    /// A connection that held this long was a good one: the next failure is the first again. A broker
    /// that accepts and then hangs up does not get there.
    pub stable_after: Duration,
}

impl Default for Pace {
    fn default() -> Pace {
        Pace {
            wait_min: Duration::from_millis(100),
            wait_max: Duration::from_secs(90),
            stable_after: Duration::from_secs(30),
        }
    }
}

impl Pace {
    /// With `wait_max` as the highest ceiling.
    #[must_use]
    pub fn within(wait_max: Duration) -> Pace {
        Pace { wait_max, ..Pace::default() }
    }
}

/// So many doublings reach every ceiling that settings can have: an hour is 36 000 times the first.
const DOUBLINGS: u32 = 16;

/// Waits between tries: full jitter below a ceiling that doubles, so that a thousand boxes that lost
/// their broker together do not come back together. The same seed gives the same waits.
#[derive(Debug, Clone)]
pub struct Backoff {
    pace: Pace,
    random: u64,
    failures: u32,
    /// The connection of now has held for long enough to be a good one.
    stable: bool,
}

impl Backoff {
    /// For the box or client called `name` in the boot `boot`.
    #[must_use]
    pub fn of(name: &str, boot: u32, pace: Pace) -> Backoff {
        Backoff::new(u64::from(crc32fast::hash(name.as_bytes())) << 32 | u64::from(boot), pace)
    }

    /// With a seed.
    #[must_use]
    pub fn new(seed: u64, pace: Pace) -> Backoff {
        Backoff { pace, random: seed, failures: 0, stable: false }
    }

    /// How long to wait now that a try has failed or a link has died: anything from nothing to the
    /// ceiling.
    pub fn wait(&mut self) -> Duration {
        let Pace { wait_min, wait_max, .. } = self.pace;
        let ceiling = wait_min.saturating_mul(1 << self.failures.min(DOUBLINGS)).min(wait_max);
        self.failures = self.failures.saturating_add(1);
        self.stable = false;
        let ceiling_us = u64::try_from(ceiling.as_micros()).unwrap_or(u64::MAX - 1);
        Duration::from_micros(self.next() % (ceiling_us + 1))
    }

    /// A connection has held for `held` by now: perhaps long enough for the next failure to be the first.
    pub fn held(&mut self, held: Duration) {
        if held >= self.pace.stable_after {
            self.failures = 0;
            self.stable = true;
        }
    }

    /// The broker has ended the connection. If it was a good one, that was no fault of this box, and the
    /// other boxes have lost theirs too: the wait is anything up to the highest ceiling. One that was
    /// hardly begun may have been ended for what this box sent, and counts as any failure.
    pub fn ended_by_broker(&mut self) {
        if self.stable {
            self.failures = DOUBLINGS;
        }
    }

    /// SplitMix64 (Steele, Lea, Flood 2014): enough to spread boxes, and reproducible.
    fn next(&mut self) -> u64 {
        self.random = self.random.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.random;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn waits_stay_below_a_ceiling_that_doubles_and_only_a_stable_link_resets_it(seed: u64) {
            let pace = Pace::default();
            let mut backoff = Backoff::new(seed, pace);
            let mut ceiling = pace.wait_min;
            for _ in 0..12 {
                prop_assert!(backoff.wait() <= ceiling);
                // Accepted, and dead within the second.
                backoff.held(Duration::from_secs(1));
                ceiling = (ceiling * 2).min(pace.wait_max);
            }
            let again = (0..12).map(|_| Backoff::new(seed, pace).wait());
            prop_assert!(again.collect::<Vec<_>>().windows(2).all(|w| w[0] == w[1]));
            backoff.held(pace.stable_after);
            prop_assert!(backoff.wait() <= pace.wait_min);
        }

        /// However many boxes there are, and however long their broker was away.
        #[test]
        fn a_fleet_whose_broker_went_comes_back_over_more_than_a_minute(
            boxes in 200_u32..2000, boot: u32, away_s in 1_u64..600,
        ) {
            let away = Duration::from_secs(away_s);
            let back: Vec<Duration> = (0..boxes).map(|n| came_back(n, boot, away)).collect();
            let (first, last) = (back.iter().min().unwrap(), back.iter().max().unwrap());
            prop_assert!(*last - *first >= Duration::from_secs(60), "{:?}", *last - *first);
            // In no second more than four times as many as if all seconds were alike, and a few.
            let mut seconds = std::collections::BTreeMap::<u64, u32>::new();
            for at in &back {
                *seconds.entry((*at - away).as_secs()).or_default() += 1;
            }
            let most = seconds.values().max().copied().unwrap();
            prop_assert!(most <= 4 * boxes / 90 + 10, "{most} of {boxes} in one second");
        }
    }

    /// When box `n` is back, counted from the moment in which its broker ended a good connection, to be
    /// there again `away` later.
    fn came_back(n: u32, boot: u32, away: Duration) -> Duration {
        let mut backoff = Backoff::of(&format!("box-{n}"), boot, Pace::default());
        backoff.held(Pace::default().stable_after);
        backoff.ended_by_broker();
        let mut at = Duration::ZERO;
        while at < away {
            at += backoff.wait();
        }
        at
    }

    #[test]
    fn a_box_alone_with_its_loss_comes_back_soon_and_one_that_is_thrown_out_early_ever_later() {
        let mut backoff = Backoff::new(1, Pace::default());
        backoff.held(Pace::default().stable_after);
        assert!(backoff.wait() <= Pace::default().wait_min, "the link died unheard");
        for doubling in 1..4 {
            backoff.ended_by_broker();
            assert!(backoff.wait() <= Pace::default().wait_min * (1 << doubling));
        }
    }

    #[test]
    fn a_fleet_comes_back_spread_over_the_whole_wait() {
        let mut tenths = [0; 10];
        for n in 0..1000 {
            let mut backoff = Backoff::of(&format!("box-{n}"), 1, Pace::default());
            let wait = (0..11).fold(Duration::ZERO, |_, _| backoff.wait());
            tenths[usize::try_from(wait.as_millis() / 9001).unwrap()] += 1;
        }
        assert!(tenths.iter().all(|boxes| (60..=140).contains(boxes)), "{tenths:?}");
    }
}
