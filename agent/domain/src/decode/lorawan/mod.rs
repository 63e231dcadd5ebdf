//! Payloads of LoRaWAN devices.
use std::fmt;

/// How one device's payload is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Codec {
    /// Bosch TPS110 parking sensor.
    BoschTps110,
    /// Milesight EM310-UDL level sensor.
    MilesightEm310Udl,
    /// Milesight EM400-UDL, -MUD, -TLD level sensors.
    MilesightEm400,
}

impl Codec {
    /// Every codec.
    pub const ALL: [Codec; 3] =
        [Codec::BoschTps110, Codec::MilesightEm310Udl, Codec::MilesightEm400];

    /// The word in configuration.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Codec::BoschTps110 => "bosch/tps110",
            Codec::MilesightEm310Udl => "milesight/em310-udl",
            Codec::MilesightEm400 => "milesight/em400",
        }
    }
}

impl fmt::Display for Codec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
