//! DS18B20, a thermometer on one wire (Maxim 19-7487 Rev 6): what its memory says.
//!
//! The timing of the wire is the board's, or the kernel's (`w1-gpio`), which gives the nine bytes of the
//! scratchpad as they came.

/// What the sensor can measure, in thousandths of a degree Celsius.
pub const REACH: core::ops::RangeInclusive<i32> = -55_000..=125_000;

/// 85 °C: what the memory holds after power-on, before the first conversion. A sensor whose supply
/// breaks down under the conversion says it for ever.
const POWER_ON: i16 = 0x0550;

/// Why there is no temperature.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Error {
    /// The check sum does not fit: a disturbed or broken wire.
    Checksum,
    /// Nothing has been measured since the sensor got its supply.
    NotMeasured,
    /// No temperature of this sensor.
    OutOfRange,
}

impl core::fmt::Display for Error {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(match self {
            Error::Checksum => "the check sum does not fit: the wire is disturbed or broken",
            Error::NotMeasured => "nothing has been measured since power-on: check the supply",
            Error::OutOfRange => "no temperature of this sensor",
        })
    }
}

impl core::error::Error for Error {}

/// The temperature in a scratchpad, in thousandths of a degree Celsius.
///
/// # Errors
/// The check sum does not fit, or it holds no measurement.
pub fn temperature(scratchpad: &[u8; 9]) -> Result<i32, Error> {
    let [low, high, _, _, config, _, _, _, check] = *scratchpad;
    // Eight zeros have the right sum: a line that is held low.
    if crc(&scratchpad[..8]) != check || scratchpad.iter().all(|byte| *byte == 0) {
        return Err(Error::Checksum);
    }
    let raw = i16::from_le_bytes([low, high]);
    // Byte 6 is 0x0C after power-on only, and byte 4 holds the resolution.
    if raw == POWER_ON && scratchpad[6] == 0x0C {
        return Err(Error::NotMeasured);
    }
    // Below twelve bits the last ones are undefined (figure 8 and table 2).
    let undefined = 3 - (config >> 5 & 3);
    let sixteenths = i32::from(raw >> undefined << undefined);
    let milli_celsius = sixteenths * 125 / 2;
    if REACH.contains(&milli_celsius) { Ok(milli_celsius) } else { Err(Error::OutOfRange) }
}

/// The check sum of Maxim application note 27: x⁸ + x⁵ + x⁴ + 1, reflected.
fn crc(bytes: &[u8]) -> u8 {
    bytes.iter().fold(0, |crc, &byte| {
        (0..8).fold(crc ^ byte, |crc, _| if crc & 1 == 1 { crc >> 1 ^ 0x8C } else { crc >> 1 })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scratchpad(raw: i16, config: u8) -> [u8; 9] {
        let [low, high] = raw.to_le_bytes();
        let mut bytes = [low, high, 0x4B, 0x46, config, 0xFF, 0x10, 0x10, 0];
        bytes[8] = crc(&bytes[..8]);
        bytes
    }

    #[test]
    fn the_check_sum_of_the_application_note() {
        assert_eq!(crc(&[0x02, 0x1C, 0xB8, 0x01, 0x00, 0x00, 0x00]), 0xA2);
    }

    #[test]
    fn the_datasheets_table_of_temperatures() {
        for (raw, mc) in [
            (0x07D0, 125_000),
            (0x0550, 85_000),
            (0x0191, 25_062),
            (0x00A2, 10_125),
            (0x0008, 500),
            (0x0000, 0),
            (-0x0008, -500),
            (-0x00A2, -10_125),
            (-0x0191, -25_062),
            (-0x0370, -55_000),
        ] {
            assert_eq!(temperature(&scratchpad(raw, 0x7F)), Ok(mc), "{raw:04x}");
        }
        // Nine bits: only halves of a degree.
        assert_eq!(temperature(&scratchpad(0x0197, 0x1F)), Ok(25_000));
    }

    #[test]
    fn what_is_no_measurement_is_none() {
        let good = scratchpad(0x0191, 0x7F);
        for at in 0..9 {
            for bit in 0..8 {
                let mut damaged = good;
                damaged[at] ^= 1 << bit;
                assert_eq!(temperature(&damaged), Err(Error::Checksum), "byte {at}, bit {bit}");
            }
        }
        assert_eq!(temperature(&[0; 9]), Err(Error::Checksum));
        assert_eq!(temperature(&[0xFF; 9]), Err(Error::Checksum));
        let mut fresh = [0x50, 0x05, 0x4B, 0x46, 0x7F, 0xFF, 0x0C, 0x10, 0];
        fresh[8] = crc(&fresh[..8]);
        assert_eq!(temperature(&fresh), Err(Error::NotMeasured));
        assert_eq!(temperature(&scratchpad(0x07E0, 0x7F)), Err(Error::OutOfRange));
        assert_eq!(temperature(&scratchpad(-0x0380, 0x7F)), Err(Error::OutOfRange));
    }
}
