//! MOKO LW001-BG, position of a vehicle, by satellites or by what radio is around.
//!
//! Layout: the public device description of The Things Network (`vendor/moko`, the form of the firmware
//! whose heartbeat has nine bytes). Numbers are big-endian. Scans of Wi-Fi and Bluetooth stand for a
//! position that only a service elsewhere could work out: here they are none.

use crate::decode::Reason;
use crate::place::{Datum, Position};
use crate::sample::{Missing, NoData, Quantity};

use super::quantities::{fix, millivolts, no, whole_degrees};

/// How a position was found: 0 Wi-Fi, 1 Bluetooth, 2 satellites.
const BY_SATELLITES: u8 = 2;

/// Address and strength of one transmitter in a scan.
const SCANNED: usize = 7;

/// Port 1 heartbeat, 2 position, 3 none was found, 4 to 9 about the device, 12 position in brief.
pub(super) fn lw001_bg(port: u8, payload: &[u8]) -> Result<Vec<Quantity>, Reason> {
    match (port, payload) {
        (1, [_, degrees, battery, 0..=3, _, _, _, _, _]) => Ok(head(*degrees, *battery)),
        (2, [_, degrees, battery, found, _, _, _, _, _, _, _, _, length, data @ ..]) => {
            let mut quantities = vec![found_by(*found, whole(data, *length)?)?];
            quantities.extend(head(*degrees, *battery));
            Ok(quantities)
        }
        (3, [_, degrees, battery, 0..=14, length, data @ ..]) => {
            whole(data, *length)?;
            let mut quantities = vec![no(Missing::Fix, NoData::NoFix)];
            quantities.extend(head(*degrees, *battery));
            Ok(quantities)
        }
        (4 | 8, [_, degrees, battery, _])
        | (5 | 6, [_, degrees, battery, _, _])
        | (7, [_, degrees, battery, _, _, _, _, _, _, _, _]) => Ok(head(*degrees, *battery)),
        (9, [_, degrees, battery, counters @ ..]) if counters.len() == 5 * 4 => {
            Ok(head(*degrees, *battery))
        }
        (12, [_, battery, position @ ..]) if position.len() == 9 => {
            Ok(vec![satellites(position)?, volts(*battery)])
        }
        (1..=9 | 12, _) => Err(Reason::Payload),
        _ => Err(Reason::Port),
    }
}

/// What every report but the brief one begins with. The temperature is the one of its processor.
fn head(degrees: u8, battery: u8) -> Vec<Quantity> {
    vec![whole_degrees(degrees, -40_000..=85_000), volts(battery)]
}

/// From 2.2 V on in tenths, in the upper half of the byte.
fn volts(battery: u8) -> Quantity {
    millivolts(2200 + u16::from(battery >> 4) * 100)
}

/// The data, if it is as long as it says.
fn whole(data: &[u8], length: u8) -> Result<&[u8], Reason> {
    match data.len().cmp(&usize::from(length)) {
        std::cmp::Ordering::Less => Err(Reason::Truncated),
        std::cmp::Ordering::Equal => Ok(data),
        std::cmp::Ordering::Greater => Err(Reason::Payload),
    }
}

fn found_by(found: u8, data: &[u8]) -> Result<Quantity, Reason> {
    match found {
        BY_SATELLITES => satellites(data),
        0 | 1 if data.len().is_multiple_of(SCANNED) => Ok(no(Missing::Fix, NoData::NoFix)),
        _ => Err(Reason::Payload),
    }
}

/// Latitude, longitude and dilution of precision.
fn satellites(data: &[u8]) -> Result<Quantity, Reason> {
    let &[a, b, c, d, e, f, g, h, _] = data else { return Err(Reason::Payload) };
    let (lat, lon) = (i32::from_be_bytes([a, b, c, d]), i32::from_be_bytes([e, f, g, h]));
    Ok(fix(Position::from_e7(lat, lon, Datum::Wgs84), None, None))
}

#[cfg(test)]
mod tests {
    use super::super::bytes;
    use super::*;
    use crate::sample::Fix;
    use crate::units::{MilliCelsius, Millivolts};

    const TEMPERATURE: Quantity = Quantity::Temperature(MilliCelsius(30_000));
    const BATTERY: Quantity = Quantity::BatteryVoltage(Millivolts(3400));
    const NO_FIX: Quantity = no(Missing::Fix, NoData::NoFix);

    fn at(lat: f64, lon: f64) -> Quantity {
        let position = Position::from_degrees(lat, lon, Datum::Wgs84).unwrap();
        let (speed, course, accuracy, satellites) = (None, None, None, None);
        Quantity::Fix(Fix { position, speed, course, accuracy, satellites })
    }

    #[test]
    fn golden_uplinks() {
        let heartbeat = vec![TEMPERATURE, BATTERY];
        assert_eq!(lw001_bg(1, &bytes("211EC0 01 47 00000000")), Ok(heartbeat));
        // 31.81 and 119.974.
        let place = "12F5D220 47829460 0F";
        let long = format!("211EC0 02 07EA0604061E00 08 09 {place}");
        assert_eq!(lw001_bg(2, &bytes(&long)), Ok(vec![at(31.81, 119.974), TEMPERATURE, BATTERY]));
        let brief = format!("21C0 {place}");
        assert_eq!(lw001_bg(12, &bytes(&brief)), Ok(vec![at(31.81, 119.974), BATTERY]));
    }

    #[test]
    fn a_scan_and_a_failure_are_no_position() {
        let none = Ok(vec![NO_FIX, TEMPERATURE, BATTERY]);
        let scan = "211EC0 00 07EA0604061E00 08 07 081CC316222DC3";
        assert_eq!(lw001_bg(2, &bytes(scan)), none);
        assert_eq!(lw001_bg(3, &bytes("211EC0 09 05 FF00000000")), none);
        assert_eq!(lw001_bg(12, &bytes("21C0 00000000 00000000 FF")), Ok(vec![NO_FIX, BATTERY]));
        let beyond = lw001_bg(12, &bytes("21C0 7FFFFFFF 00000000 FF")).unwrap();
        assert_eq!(beyond[0], no(Missing::Fix, NoData::OutOfRange));
    }

    #[test]
    fn a_processor_below_zero_and_one_that_cannot_be() {
        assert_eq!(
            lw001_bg(8, &bytes("21F6C0 00")).unwrap()[0],
            Quantity::Temperature(MilliCelsius(-10_000))
        );
        let hot = no(Missing::Temperature, NoData::OutOfRange);
        assert_eq!(lw001_bg(8, &bytes("217FC0 00")).unwrap()[0], hot);
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        for (port, hex, reason) in [
            (1, "211EC0 01 47 000000", Reason::Payload),
            (1, "211EC0 01 47 0000000000", Reason::Payload),
            (1, "211EC0 04 47 00000000", Reason::Payload),
            // The oldest firmware: another layout on the same port.
            (1, "3101 3F 55 1C20 1388 018B CD", Reason::Payload),
            (2, "211EC0 03 07EA0604061E00 08 00", Reason::Payload),
            (2, "211EC0 02 07EA0604061E00 08 09 12F5D220", Reason::Truncated),
            (2, "211EC0 02 07EA0604061E00 08 01 12F5D220", Reason::Payload),
            (2, "211EC0 00 07EA0604061E00 08 06 081CC316222D", Reason::Payload),
            (3, "211EC0 0F 00", Reason::Payload),
            (3, "211EC0 09 05 FF0000", Reason::Truncated),
            (9, "211EC0 00000000", Reason::Payload),
            (12, "21C0 00000000 00000000", Reason::Payload),
            (10, "211EC0", Reason::Port),
            (85, "211EC0", Reason::Port),
        ] {
            assert_eq!(lw001_bg(port, &bytes(hex)), Err(reason), "{port} {hex}");
        }
    }
}
