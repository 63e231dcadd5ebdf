//! Digital Matter Oyster, position of a vehicle.
//!
//! Layout: the public device description of The Things Network (`vendor/digital-matter`). Numbers are
//! little-endian. After a failed fix the device repeats its last position; that is no position now.

use crate::decode::Reason;
use crate::place::{Datum, Position};
use crate::sample::{Missing, NoData, Quantity};
use crate::units::{CentiDegrees, MillimetresPerSecond};

use super::quantities::{fix, millivolts, no};

/// Bit 1 of the status byte.
const FIX_FAILED: u8 = 0x02;

/// Port 1 position, 4 the same in fewer bits, 2 and 3 about the device.
pub(super) fn oyster(port: u8, payload: &[u8]) -> Result<Vec<Quantity>, Reason> {
    match (port, payload) {
        (1, &[a, b, c, d, e, f, g, h, status, kmh, battery]) => {
            let lat = i32::from_le_bytes([a, b, c, d]);
            let lon = i32::from_le_bytes([e, f, g, h]);
            // Steps of 5.625°.
            let course = u32::from(status >> 2) * 1125 / 2;
            Ok(report((lat, lon), status, kmh.into(), course, battery))
        }
        (4, &[a, b, c, d, e, f, motion, battery, status]) => {
            // Steps of 256e-7°: the low byte of the long form was left out.
            let lat = i32::from_le_bytes([0, a, b, c]);
            let lon = i32::from_le_bytes([0, d, e, f]);
            let (kmh, course) = (u32::from(motion >> 3) * 5, u32::from(motion & 7) * 4500);
            Ok(report((lat, lon), status, kmh, course, battery))
        }
        (2 | 3, _) => Ok(vec![]),
        (1 | 4, _) => Err(Reason::Payload),
        _ => Err(Reason::Port),
    }
}

fn report(
    (lat_e7, lon_e7): (i32, i32),
    status: u8,
    kmh: u32,
    course: u32,
    battery: u8,
) -> Vec<Quantity> {
    let position = if status & FIX_FAILED != 0 {
        no(Missing::Fix, NoData::NoFix)
    } else {
        // At rest the heading means nothing.
        let course = (kmh > 0).then_some(course).and_then(|course| course.try_into().ok());
        let position = Position::from_e7(lat_e7, lon_e7, Datum::Wgs84);
        fix(position, Some(MillimetresPerSecond::from_kmh(kmh)), course.map(CentiDegrees))
    };
    vec![position, millivolts(u16::from(battery) * 25)]
}

#[cfg(test)]
mod tests {
    use super::super::bytes;
    use super::*;
    use crate::sample::Fix;
    use crate::units::Millivolts;

    fn at(lat: f64, lon: f64, kmh: u32, course: Option<u16>) -> Quantity {
        Quantity::Fix(Fix {
            position: Position::from_degrees(lat, lon, Datum::Wgs84).unwrap(),
            speed: Some(MillimetresPerSecond::from_kmh(kmh)),
            course: course.map(CentiDegrees),
            accuracy: None,
            satellites: None,
        })
    }

    const BATTERY: Quantity = Quantity::BatteryVoltage(Millivolts(5550));

    #[test]
    fn golden_uplinks() {
        let still = vec![at(-32.0, 116.0, 0, None), BATTERY];
        assert_eq!(oyster(1, &bytes("0030EDEC 00322445 00 00 DE")), Ok(still));
        let moving = vec![at(-32.0, 116.0, 8, Some(4500)), BATTERY];
        assert_eq!(oyster(1, &bytes("0030EDEC 00322445 21 08 DE")), Ok(moving));
        let short = vec![at(-32.0, 116.0, 10, Some(9000)), BATTERY];
        assert_eq!(oyster(4, &bytes("30EDEC 322445 12 DE 01")), Ok(short));
    }

    #[test]
    fn the_last_position_is_not_one_of_now() {
        let lost = vec![no(Missing::Fix, NoData::NoFix), BATTERY];
        assert_eq!(oyster(1, &bytes("0030EDEC 00322445 02 00 DE")), Ok(lost.clone()));
        assert_eq!(oyster(4, &bytes("30EDEC 322445 00 DE 02")), Ok(lost.clone()));
        assert_eq!(oyster(1, &bytes("00000000 00000000 00 00 DE")), Ok(lost));
        let nowhere = oyster(1, &bytes("FFFFFF7F FFFFFF7F 00 00 DE")).unwrap();
        assert_eq!(nowhere[0], no(Missing::Fix, NoData::OutOfRange));
    }

    #[test]
    fn other_lengths_and_ports_are_refused() {
        assert_eq!(oyster(1, &[0; 10]), Err(Reason::Payload));
        assert_eq!(oyster(4, &[0; 10]), Err(Reason::Payload));
        assert_eq!(oyster(3, &[0; 11]), Ok(vec![]));
        assert_eq!(oyster(5, &[0; 11]), Err(Reason::Port));
    }
}
