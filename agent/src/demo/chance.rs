//! Chance that is the same for ever: what the simulated street throws dice with.
//!
//! The generator is SplitMix64 (Steele, Lea, Flood: "Fast splittable pseudorandom number generators",
//! OOPSLA 2014), written out here because a seed must mean the same street in every version of every
//! library. It is for simulation only and must never make a secret.

/// A stream of dice.
#[derive(Debug, Clone)]
pub struct Chance(u64);

const GOLDEN: u64 = 0x9E37_79B9_7F4A_7C15;

fn mix(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

impl Chance {
    /// The stream of `seed` for one purpose: streams of different purposes do not influence each other,
    /// so that one more throw here changes nothing there.
    #[must_use]
    pub fn new(seed: u64, purpose: &str, number: u64) -> Chance {
        let named = purpose.bytes().fold(seed, |state, byte| {
            mix(state.wrapping_add(GOLDEN).wrapping_add(u64::from(byte)))
        });
        Chance(mix(named ^ mix(number.wrapping_add(GOLDEN))))
    }

    /// Any number there is.
    #[expect(
        clippy::should_implement_trait,
        reason = "dice have no end, and nothing to be asked for"
    )]
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(GOLDEN);
        mix(self.0)
    }

    /// A whole number from `low` to `high`, both possible.
    pub fn between(&mut self, low: u64, high: u64) -> u64 {
        debug_assert!(low <= high);
        // The bias of the remainder is far below anything a street would show.
        match (high - low).checked_add(1) {
            Some(choices) => low + self.next() % choices,
            None => self.next(),
        }
    }

    /// Yes, once in `n` times on average.
    pub fn once_in(&mut self, n: u64) -> bool {
        self.between(1, n.max(1)) == 1
    }

    /// A number around 0 with standard deviation 1: the sum of twelve even ones, less their mean. It uses
    /// no function that differs between machines.
    pub fn bell(&mut self) -> f64 {
        let even = |chance: &mut Chance| (chance.next() >> 11) as f64 / (1u64 << 53) as f64;
        (0..12).map(|_| even(self)).sum::<f64>() - 6.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_algorithm_is_pinned() {
        // The published test vector of SplitMix64 for the state 1234567.
        let mut chance = Chance(1_234_567);
        let first = [chance.next(), chance.next(), chance.next()];
        assert_eq!(
            first,
            [6_457_827_717_110_365_317, 3_203_168_211_198_807_973, 9_817_491_932_198_370_423]
        );
        assert_eq!(Chance::new(7, "bay", 3).next(), Chance::new(7, "bay", 3).next());
    }

    #[test]
    fn streams_differ_by_seed_purpose_and_number() {
        let first = |seed, purpose, number| Chance::new(seed, purpose, number).next();
        let all = [first(1, "bay", 0), first(2, "bay", 0), first(1, "bin", 0), first(1, "bay", 1)];
        for (i, a) in all.iter().enumerate() {
            assert!(all[i + 1..].iter().all(|b| a != b));
        }
    }

    #[test]
    fn both_ends_are_possible_and_nothing_beyond() {
        let mut chance = Chance::new(1, "ends", 0);
        let thrown: std::collections::BTreeSet<u64> =
            (0..200).map(|_| chance.between(3, 6)).collect();
        assert_eq!(thrown.into_iter().collect::<Vec<_>>(), [3, 4, 5, 6]);
        assert_eq!(chance.between(9, 9), 9);
        chance.between(0, u64::MAX);
    }

    #[test]
    fn the_bell_has_mean_0_and_deviation_1() {
        let mut chance = Chance::new(1, "bell", 0);
        let thrown: Vec<f64> = (0..20_000).map(|_| chance.bell()).collect();
        let mean = thrown.iter().sum::<f64>() / 20_000.0;
        let variance = thrown.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / 20_000.0;
        assert!(mean.abs() < 0.03 && (variance - 1.0).abs() < 0.05, "{mean} {variance}");
    }
}
