//! Noah trash bin sensor.
//!
//! Layout: the public device description of The Things Network (`vendor/noah`): three little-endian
//! words, temperature and level as the small floats of the LMIC library (sign, 4 bits exponent, 11 bits
//! mantissa, in the open interval -1 to 1) times 100, and a voltage whose scale is not documented: the
//! example calls 13060 "1.3 V". The voltage is therefore not used.

use crate::decode::Reason;
use crate::sample::{Missing, NoData, Quantity};
use crate::units::Permille;

use super::quantities::{no, temperature};

pub(super) fn trashbin(port: u8, payload: &[u8]) -> Result<Vec<Quantity>, Reason> {
    if port != 1 {
        return Err(Reason::Port);
    }
    let &[t0, t1, _, _, l0, l1] = payload else {
        return Err(if payload.len() < 6 { Reason::Truncated } else { Reason::Payload });
    };
    let degrees_e5 = small_float_e5(u16::from_le_bytes([t0, t1]));
    let level_e5 = small_float_e5(u16::from_le_bytes([l0, l1]));
    Ok(vec![
        // Hundredths of what the float says are degrees, so 1e-5 of it are thousandths.
        temperature(degrees_e5, -40_000..=85_000),
        if level_e5 < 0 {
            no(Missing::Distance, NoData::OutOfRange)
        } else {
            Quantity::Level(Permille::clamped((i64::from(level_e5) + 50) / 100))
        },
    ])
}

/// The small float in 1e-5, rounded to zero.
fn small_float_e5(raw: u16) -> i32 {
    let mantissa = i64::from(raw & 0x7ff);
    let exponent = (raw >> 11) & 0xf;
    // mantissa / 2^11 * 2^(exponent - 15): at most 2047 * 2^15 * 1e5 before the division.
    let magnitude = ((mantissa << exponent) * 100_000) >> 26;
    let magnitude = i32::try_from(magnitude).expect("the float is below 1");
    if raw & 0x8000 == 0 { magnitude } else { -magnitude }
}

#[cfg(test)]
mod tests {
    use super::super::bytes;
    use super::*;
    use crate::units::MilliCelsius;

    #[test]
    fn golden_uplinks() {
        // 4.7668 %, 0.00026 °C.
        let quantities =
            vec![Quantity::Temperature(MilliCelsius(0)), Quantity::Level(Permille::clamped(48))];
        assert_eq!(trashbin(1, &bytes("AE0004331A5E")), Ok(quantities));
    }

    #[test]
    fn small_floats() {
        assert_eq!(small_float_e5(0x5e1a), 4766);
        assert_eq!(small_float_e5(0x7fff), 99_951);
        assert_eq!(small_float_e5(0xffff), -99_951);
        assert_eq!(small_float_e5(0x7c00), 50_000);
        assert_eq!(small_float_e5(0x8000), 0);
    }

    #[test]
    fn a_level_below_empty_is_none() {
        let level = trashbin(1, &bytes("00000433 00FC")).unwrap()[1];
        assert_eq!(level, no(Missing::Distance, NoData::OutOfRange));
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        assert_eq!(trashbin(1, &bytes("AE0004331A")), Err(Reason::Truncated));
        assert_eq!(trashbin(1, &bytes("AE0004331A5E00")), Err(Reason::Payload));
        assert_eq!(trashbin(2, &bytes("AE0004331A5E")), Err(Reason::Port));
    }
}
