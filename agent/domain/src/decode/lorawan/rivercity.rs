//! RiverCity Innovations Lynx, position of whatever carries it.
//!
//! Layout: the public device description of The Things Network (`vendor/rivercity-innovations`). Numbers
//! are big-endian. After a failed fix the device repeats its last position; that is no position now.

use crate::decode::Reason;
use crate::place::{Datum, Position};
use crate::sample::{Missing, NoData, Quantity};
use crate::units::CentiDegrees;

use super::quantities::{fix, millivolts, no, temperature};

/// Bits of the status byte; its other six are the battery.
const IN_TRIP: u8 = 0x80;
const FIX_FAILED: u8 = 0x40;

/// Port 2 position, 3 versions, 4 how long it sleeps, 5 settings of its receiver.
pub(super) fn lynx(port: u8, payload: &[u8]) -> Result<Vec<Quantity>, Reason> {
    match (port, payload) {
        (2, &[a, b, c, d, e, f, g, h, status, direction, degrees]) => {
            let lat = i32::from_be_bytes([a, b, c, d]);
            let lon = i32::from_be_bytes([e, f, g, h]);
            Ok(vec![
                place((lat, lon), status, direction),
                millivolts((u16::from(status & 0x3f) + 20) * 100),
                half_degrees(degrees),
            ])
        }
        (3 | 4, [_, _, _, _, _, _, _, _]) | (5, [_, _, _, _, _]) => Ok(vec![]),
        (2..=5, _) => Err(Reason::Payload),
        _ => Err(Reason::Port),
    }
}

fn place((lat_e6, lon_e6): (i32, i32), status: u8, direction: u8) -> Quantity {
    if status & FIX_FAILED != 0 {
        return no(Missing::Fix, NoData::NoFix);
    }
    // 255 steps to the full circle, which is 0 again. At rest the direction means nothing.
    let hundredths = u32::from(direction) * 36_000 / 255 % 36_000;
    let course = (status & IN_TRIP != 0).then_some(hundredths);
    let course = course.and_then(|course| course.try_into().ok()).map(CentiDegrees);
    let degrees = |e6: i32| f64::from(e6) / 1e6;
    fix(Position::from_degrees(degrees(lat_e6), degrees(lon_e6), Datum::Wgs84), None, course)
}

/// How the device writes a temperature below zero is not documented, and the vendor's own decoder makes
/// a warm one of it: there is none then.
fn half_degrees(raw: u8) -> Quantity {
    match i8::try_from(raw) {
        Ok(halves) => temperature(i32::from(halves) * 500, 0..=85_000),
        Err(_) => no(Missing::Temperature, NoData::OutOfRange),
    }
}

#[cfg(test)]
mod tests {
    use super::super::bytes;
    use super::*;
    use crate::sample::Fix;
    use crate::units::{MilliCelsius, Millivolts};

    fn at(lat: f64, lon: f64, course: Option<u16>) -> Quantity {
        Quantity::Fix(Fix {
            position: Position::from_degrees(lat, lon, Datum::Wgs84).unwrap(),
            speed: None,
            course: course.map(CentiDegrees),
            accuracy: None,
            satellites: None,
        })
    }

    const BATTERY: Quantity = Quantity::BatteryVoltage(Millivolts(4000));
    const WARM: Quantity = Quantity::Temperature(MilliCelsius(19_000));

    #[test]
    fn golden_uplinks() {
        let moving = vec![at(52.142455, -106.627343, Some(31_482)), BATTERY, WARM];
        assert_eq!(lynx(2, &bytes("031BA177 F9A4FEF1 94 DF 26")), Ok(moving));
        let still = vec![at(52.142455, -106.627343, None), BATTERY, WARM];
        assert_eq!(lynx(2, &bytes("031BA177 F9A4FEF1 14 DF 26")), Ok(still));
        assert_eq!(lynx(4, &bytes("00000078 00015180")), Ok(vec![]));
    }

    #[test]
    fn the_full_circle_is_north() {
        let north = lynx(2, &bytes("031BA177 F9A4FEF1 94 FF 26")).unwrap();
        assert_eq!(north[0], at(52.142455, -106.627343, Some(0)));
    }

    #[test]
    fn the_last_position_is_not_one_of_now() {
        let lost = vec![no(Missing::Fix, NoData::NoFix), BATTERY, WARM];
        assert_eq!(lynx(2, &bytes("031BA177 F9A4FEF1 D4 DF 26")), Ok(lost.clone()));
        assert_eq!(lynx(2, &bytes("00000000 00000000 94 DF 26")), Ok(lost));
        let nowhere = lynx(2, &bytes("7FFFFFFF F9A4FEF1 94 DF 26")).unwrap();
        assert_eq!(nowhere[0], no(Missing::Fix, NoData::OutOfRange));
    }

    #[test]
    fn frost_is_not_told_as_warmth() {
        let read = lynx(2, &bytes("031BA177 F9A4FEF1 94 DF EC")).unwrap();
        assert_eq!(read[2], no(Missing::Temperature, NoData::OutOfRange));
    }

    #[test]
    fn other_lengths_and_ports_are_refused() {
        assert_eq!(lynx(2, &[0; 10]), Err(Reason::Payload));
        assert_eq!(lynx(2, &[0; 12]), Err(Reason::Payload));
        assert_eq!(lynx(4, &[0; 7]), Err(Reason::Payload));
        assert_eq!(lynx(5, &[0; 8]), Err(Reason::Payload));
        assert_eq!(lynx(1, &[0; 11]), Err(Reason::Port));
    }
}
