//! TekZiPark: magnetometer and radar.
//!
//! Layout: the public device description of The Things Network (`vendor/tekzitel`). The battery is one
//! flag without a measure, and the beacons are the driver's; neither is used.

use crate::decode::Reason;
use crate::sample::{Missing, NoData, Quantity};

use super::quantities::{no, whole_degrees};

/// Bit 4 of the status: the radar looks at something that lies on the sensor.
const OBSTRUCTED: u8 = 0x10;

/// Port 1 status, temperature, number of the bay, signal of the strongest beacon and beacons; port 2
/// the same with the workings of the detection.
pub(super) fn tekzipark(port: u8, payload: &[u8]) -> Result<Vec<Quantity>, Reason> {
    match (port, payload) {
        (1, [status, degrees, _bay]) => Ok(report(*status, 0, *degrees)),
        (1, [status, degrees, _bay, _signal, beacons @ ..]) if beacons.len().is_multiple_of(2) => {
            Ok(report(*status, 0, *degrees))
        }
        (2, [status, degrees, _bay, _, _, _, _, _, _, fault, _, _]) => {
            Ok(report(*status, *fault, *degrees))
        }
        (1 | 2, _) => Err(Reason::Payload),
        _ => Err(Reason::Port),
    }
}

fn report(status: u8, fault: u8, degrees: u8) -> Vec<Quantity> {
    let state = if fault != 0 {
        no(Missing::Occupied, NoData::SensorFault)
    } else if status & OBSTRUCTED != 0 {
        // Snow or a leaf must not be read as a car, and not as none either.
        no(Missing::Occupied, NoData::TooClose)
    } else {
        Quantity::Occupied(status & 0x80 != 0)
    };
    vec![state, whole_degrees(degrees, -40_000..=85_000)]
}

#[cfg(test)]
mod tests {
    use super::super::bytes;
    use super::*;
    use crate::units::MilliCelsius;

    const fn celsius(degrees: i32) -> Quantity {
        Quantity::Temperature(MilliCelsius(degrees * 1000))
    }

    #[test]
    fn golden_uplinks() {
        let occupied = vec![Quantity::Occupied(true), celsius(45)];
        assert_eq!(tekzipark(1, &bytes("A82D63B000550120")), Ok(occupied));
        let free = vec![Quantity::Occupied(false), celsius(46)];
        assert_eq!(tekzipark(1, &bytes("292E62")), Ok(free));
        let debug = vec![Quantity::Occupied(true), celsius(-1)];
        assert_eq!(tekzipark(2, &bytes("A8FF63010203040506000005")), Ok(debug));
    }

    #[test]
    fn what_hides_the_bay() {
        for (hex, why) in [
            ("B8FF63010203040506000005", NoData::TooClose),
            ("38FF63010203040506000005", NoData::TooClose),
            ("A8FF63010203040506010005", NoData::SensorFault),
        ] {
            let quantities = tekzipark(2, &bytes(hex)).unwrap();
            assert_eq!(quantities[0], no(Missing::Occupied, why), "{hex}");
        }
    }

    #[test]
    fn half_a_beacon_is_refused() {
        assert_eq!(tekzipark(1, &bytes("A82D63B00055")).unwrap().len(), 2);
        assert_eq!(tekzipark(1, &bytes("A82D63B000")), Err(Reason::Payload));
        assert_eq!(tekzipark(1, &bytes("A82D")), Err(Reason::Payload));
        assert_eq!(tekzipark(3, &bytes("A82D63")), Err(Reason::Port));
    }
}
