//! Quantities in fixed small integer units. No float takes part in a decision.

use serde::{Deserialize, Serialize};

macro_rules! unit {
    ($(#[$doc:meta])* $name:ident($inner:ty)) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub $inner);
    };
}

unit!(
    /// Length in millimetres.
    Millimetres(u32)
);
unit!(
    /// Length in metres, for ways that vehicles have gone.
    Metres(u64)
);
unit!(
    /// Volume in millilitres.
    Millilitres(u32)
);
unit!(
    /// Temperature in thousandths of a degree Celsius.
    MilliCelsius(i32)
);
unit!(
    /// Voltage in millivolts.
    Millivolts(u16)
);
unit!(
    /// Speed over ground in millimetres per second.
    MillimetresPerSecond(u32)
);
unit!(
    /// Weight in grams.
    Grams(u32)
);
unit!(
    /// Direction in hundredths of a degree clockwise from true north, 0 to 35 999.
    CentiDegrees(u16)
);

/// A share of the whole in thousandths, 0 to 1000.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Permille(u16);

impl Permille {
    /// The whole.
    pub const FULL: Permille = Permille(1000);

    /// Holds `value` inside 0 to 1000.
    #[must_use]
    pub const fn clamped(value: i64) -> Permille {
        Permille(if value < 0 {
            0
        } else if value > 1000 {
            1000
        } else {
            // In range by the two branches above.
            value as u16
        })
    }

    /// From whole percent, held inside 0 to 100.
    #[must_use]
    pub const fn from_percent(percent: i64) -> Permille {
        Permille::clamped(percent.saturating_mul(10))
    }

    /// Thousandths.
    #[must_use]
    pub const fn get(self) -> u16 {
        self.0
    }

    /// Percent with one decimal, for people and payloads.
    #[must_use]
    pub fn percent(self) -> f64 {
        f64::from(self.0) / 10.0
    }
}

impl Grams {
    /// Kilograms, for people and payloads.
    #[must_use]
    pub fn kilograms(self) -> f64 {
        f64::from(self.0) / 1000.0
    }
}

impl MillimetresPerSecond {
    /// Kilometres per hour, for people and payloads.
    #[must_use]
    pub fn kmh(self) -> f64 {
        f64::from(self.0) * 0.0036
    }

    /// From kilometres per hour.
    #[must_use]
    pub const fn from_kmh(kmh: u32) -> MillimetresPerSecond {
        MillimetresPerSecond(kmh.saturating_mul(2500) / 9)
    }
}
