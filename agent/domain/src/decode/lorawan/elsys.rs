//! Elsys ELT with an ultrasonic head.
//!
//! A payload is a row of records: type, value (big-endian, its length fixed by the type). Layout: the
//! vendor's public payload description. As there is no length in a record, one that is not known makes
//! the rest unreadable, and the whole payload is refused. Whatever port.

use crate::decode::Reason;
use crate::sample::Quantity;

use super::quantities::{distance, millivolts, temperature};

/// The head sees 0.3 to 10 m.
const DISTANCE: std::ops::RangeInclusive<u16> = 1..=10_000;

pub(super) fn elt_ultrasonic(_port: u8, payload: &[u8]) -> Result<Vec<Quantity>, Reason> {
    if payload.is_empty() {
        return Err(Reason::Payload);
    }
    let mut quantities = Vec::new();
    let mut rest = payload;
    while let [kind, tail @ ..] = rest {
        let length = length(*kind).ok_or(Reason::Payload)?;
        let (value, next) = tail.split_at_checked(length).ok_or(Reason::Truncated)?;
        match (*kind, value) {
            (0x01, &[t1, t0]) => {
                let tenths = i16::from_be_bytes([t1, t0]);
                quantities.push(temperature(i32::from(tenths) * 100, -40_000..=125_000));
            }
            (0x07, &[mv1, mv0]) => quantities.push(millivolts(u16::from_be_bytes([mv1, mv0]))),
            (0x0e, &[mm1, mm0]) => {
                quantities.push(distance(u16::from_be_bytes([mm1, mm0]), DISTANCE));
            }
            // Humidity, movement, light, other inputs: nothing here asks for them.
            _ => {}
        }
        rest = next;
    }
    Ok(quantities)
}

/// Length of the value of a type.
const fn length(kind: u8) -> Option<usize> {
    match kind {
        0x02 | 0x05 | 0x0d | 0x0f | 0x11 | 0x12 | 0x1a => Some(1),
        0x01 | 0x04 | 0x06..=0x08 | 0x0a | 0x0c | 0x0e | 0x15 | 0x16 | 0x18 | 0x19 | 0x1c => {
            Some(2)
        }
        0x03 => Some(3),
        0x0b | 0x10 | 0x14 | 0x17 | 0x1b | 0x3d => Some(4),
        0x09 => Some(6),
        0x13 => Some(65),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::super::bytes;
    use super::*;
    use crate::sample::{Missing, NoData};
    use crate::units::{MilliCelsius, Millimetres, Millivolts};

    use super::super::quantities::no;

    #[test]
    fn golden_uplinks() {
        let both = vec![
            Quantity::Temperature(MilliCelsius(22_600)),
            Quantity::Distance(Millimetres(8977)),
        ];
        let hex = "0100e2 0229 03012705 1406010111 0e2311";
        assert_eq!(elt_ultrasonic(1, &bytes(hex)), Ok(both));
        let battery = vec![
            Quantity::Temperature(MilliCelsius(-500)),
            Quantity::BatteryVoltage(Millivolts(3614)),
        ];
        assert_eq!(elt_ultrasonic(5, &bytes("01FFFB 070E1E")), Ok(battery));
    }

    #[test]
    fn no_echo_is_no_distance() {
        let none = vec![no(Missing::Distance, NoData::OutOfRange)];
        assert_eq!(elt_ultrasonic(1, &bytes("0e0000")), Ok(none.clone()));
        assert_eq!(elt_ultrasonic(1, &bytes("0effff")), Ok(none));
    }

    #[test]
    fn what_is_not_understood_to_the_end_is_refused() {
        for (hex, reason) in [
            ("", Reason::Payload),
            ("0100e2 3E00", Reason::Payload),
            ("0100e2 0e23", Reason::Truncated),
            ("0100", Reason::Truncated),
        ] {
            assert_eq!(elt_ultrasonic(1, &bytes(hex)), Err(reason), "{hex}");
        }
    }
}
