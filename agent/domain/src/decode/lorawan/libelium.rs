//! Libelium Smart Parking, firmware 2 and 3.
//!
//! Every uplink has 11 bytes: status and frame type, the node's own counter, nine bytes by type.
//! Layout: the vendor's technical guide and the public parser of the Element platform. The node's
//! counter (one byte) is not used: the LoRaWAN frame counter beside it does the same and is longer.
//! So is the battery flag not: it says "change me" without a measure. Whatever port: it is not
//! documented.

use crate::decode::Reason;
use crate::sample::{Missing, NoData, Quantity};

use super::quantities::{no, whole_degrees};

/// Length of every uplink.
const LENGTH: usize = 11;

pub(super) fn smart_parking(_port: u8, payload: &[u8]) -> Result<Vec<Quantity>, Reason> {
    if payload.len() != LENGTH {
        return Err(if payload.len() < LENGTH { Reason::Truncated } else { Reason::Payload });
    }
    let occupied = Quantity::Occupied(payload[0] & 0x80 != 0);
    match payload[0] & 0x0f {
        // The state has changed; it is still the same.
        0 | 1 => {
            let state = match payload[2] {
                0 => occupied,
                _ => no(Missing::Occupied, NoData::SensorFault),
            };
            Ok(vec![state, whole_degrees(payload[3], -40_000..=85_000)])
        }
        // Once a day.
        2 => Ok(vec![occupied]),
        // Error, two start-ups, service, downlink, radio: about the device, which at a start-up has
        // not looked at the bay yet.
        3..=8 => Ok(vec![]),
        _ => Err(Reason::Payload),
    }
}

#[cfg(test)]
mod tests {
    use super::super::bytes;
    use super::*;
    use crate::units::MilliCelsius;

    fn read(hex: &str) -> Result<Vec<Quantity>, Reason> {
        smart_parking(3, &bytes(hex))
    }

    const fn celsius(degrees: i32) -> Quantity {
        Quantity::Temperature(MilliCelsius(degrees * 1000))
    }

    #[test]
    fn golden_uplinks() {
        let (free, occupied) = (Quantity::Occupied(false), Quantity::Occupied(true));
        assert_eq!(read("006E000900390000000000"), Ok(vec![free, celsius(9)]));
        assert_eq!(read("805B0009001400DE0A0801"), Ok(vec![occupied, celsius(9)]));
        assert_eq!(read("81C60014053300D90C80C8"), Ok(vec![occupied, celsius(20)]));
        assert_eq!(read("829F665700000D9F00FF00"), Ok(vec![occupied]));
        assert_eq!(read("006E00F700390000000000"), Ok(vec![free, celsius(-9)]));
    }

    #[test]
    fn about_the_device_is_no_statement_about_the_bay() {
        for hex in ["04001E0E7CF2D9F91E0DDF", "050106160801010100014B", "060A00001F00C60561ED91"] {
            assert_eq!(read(hex), Ok(vec![]), "{hex}");
        }
        assert_eq!(read("090A00001F00C60561ED91"), Err(Reason::Payload));
    }

    #[test]
    fn a_sensor_error_hides_the_state() {
        let fault = no(Missing::Occupied, NoData::SensorFault);
        assert_eq!(read("806E020900390000000000"), Ok(vec![fault, celsius(9)]));
    }

    #[test]
    fn every_other_length_is_refused() {
        for length in (0..30).filter(|length| *length != LENGTH) {
            assert!(smart_parking(3, &vec![0; length]).is_err(), "{length}");
        }
    }
}
