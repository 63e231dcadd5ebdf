//! How long to wait before the next try. Pure: time and seed are arguments.

use std::time::Duration;

/// How patient a link is with a broker that fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pace {
    /// The ceiling of the wait after the first failure.
    pub wait_min: Duration,
    /// The highest ceiling; each failure doubles it up to here.
    pub wait_max: Duration,
    /// A connection that held this long was a good one: the next failure is the first again. A broker
    /// that accepts and then hangs up does not get there.
    pub stable_after: Duration,
}

impl Default for Pace {
    fn default() -> Pace {
        Pace {
            wait_min: Duration::from_millis(100),
            wait_max: Duration::from_secs(30),
            stable_after: Duration::from_secs(30),
        }
    }
}

/// Waits between tries: full jitter below a ceiling that doubles, so that a thousand boxes that lost
/// their broker together do not come back together. The same seed gives the same waits.
#[derive(Debug, Clone)]
pub struct Backoff {
    pace: Pace,
    random: u64,
    failures: u32,
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
        Backoff { pace, random: seed, failures: 0 }
    }

    /// How long to wait now that a try has failed or a link has died: anything from nothing to the
    /// ceiling.
    pub fn wait(&mut self) -> Duration {
        let Pace { wait_min, wait_max, .. } = self.pace;
        let ceiling = wait_min.saturating_mul(1 << self.failures.min(16)).min(wait_max);
        self.failures = self.failures.saturating_add(1);
        let ceiling_us = u64::try_from(ceiling.as_micros()).unwrap_or(u64::MAX - 1);
        Duration::from_micros(self.next() % (ceiling_us + 1))
    }

    /// A connection has held for `held` by now: perhaps long enough for the next failure to be the first.
    pub fn held(&mut self, held: Duration) {
        if held >= self.pace.stable_after {
            self.failures = 0;
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
    }

    #[test]
    fn a_fleet_comes_back_spread_over_the_whole_wait() {
        let mut tenths = [0; 10];
        for n in 0..1000 {
            let mut backoff = Backoff::of(&format!("box-{n}"), 1, Pace::default());
            let wait = (0..10).fold(Duration::ZERO, |_, _| backoff.wait());
            tenths[usize::try_from(wait.as_millis() / 3001).unwrap()] += 1;
        }
        assert!(tenths.iter().all(|boxes| (60..=140).contains(boxes)), "{tenths:?}");
    }
}
