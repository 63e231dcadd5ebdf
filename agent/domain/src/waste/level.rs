//! Distance to filling level.

use crate::units::{Millimetres, Permille};

/// The filling level of a bin with straight walls: how much of the way from the bottom to the full
/// line the waste has come. Held inside 0 to 100 %; `full` must be smaller than `empty`.
#[must_use]
pub fn filling_level(distance: Millimetres, empty: Millimetres, full: Millimetres) -> Permille {
    let depth = i64::from(empty.0) - i64::from(full.0);
    debug_assert!(depth > 0, "the configuration check keeps full < empty");
    let height = i64::from(empty.0) - i64::from(distance.0);
    // Rounded to the nearest thousandth.
    Permille::clamped((height * 2000 / depth.max(1) + 1).div_euclid(2))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn level(distance: u32) -> u16 {
        filling_level(Millimetres(distance), Millimetres(1500), Millimetres(300)).get()
    }

    #[test]
    fn golden_values_of_a_prism() {
        let expected = [(900, 500), (540, 800), (300, 1000), (200, 1000), (1500, 0), (1600, 0)];
        for (distance, permille) in expected {
            assert_eq!(level(distance), permille, "{distance} mm");
        }
    }

    proptest! {
        #[test]
        fn never_outside_the_range_and_never_rising_with_distance(
            empty in 2u32..10_000, full in 0u32..10_000, a in 0u32..20_000, b in 0u32..20_000,
        ) {
            prop_assume!(full < empty);
            let level = |d| filling_level(Millimetres(d), Millimetres(empty), Millimetres(full));
            prop_assert!(level(a.min(b)) >= level(a.max(b)));
            prop_assert!(level(a) <= Permille::FULL);
        }
    }
}
