//! Decentlab DL-MBX, ultrasonic distance, and DL-DWS, weighing scale.
//!
//! Layout: the vendor's payload description, as in the public device descriptions of The Things Network
//! (`vendor/decentlab`). Version 2, the sensor's serial number, then a flag for each part that follows:
//! bit 0 the measurement, bit 1 battery. Whatever port.

use crate::decode::Reason;
use crate::sample::{Missing, NoData, Quantity};

use super::quantities::{distance, millivolts, no};

/// The longer of the two models sees 10 m.
const DISTANCE: std::ops::RangeInclusive<u16> = 1..=10_000;

/// Distance and how many of the samples were good.
pub(super) fn dl_mbx(_port: u8, payload: &[u8]) -> Result<Vec<Quantity>, Reason> {
    parts(payload, |[mm1, mm0, samples1, samples0]| {
        Ok(Some(match (samples1, samples0) {
            (0, 0) => no(Missing::Distance, NoData::NoTarget),
            _ => distance(u16::from_be_bytes([mm1, mm0]), DISTANCE),
        }))
    })
}

/// Vibrations of the string, the time they took, and the vibrations again. What weight they stand for
/// takes three numbers from the calibration of that one scale, so they are only looked at.
pub(super) fn dl_dws(_port: u8, payload: &[u8]) -> Result<Vec<Quantity>, Reason> {
    parts(payload, |[_, _, time1, time0, _, _]| match (time1, time0) {
        (0, 0) => Err(Reason::OutOfRange),
        _ => Ok(None),
    })
}

fn parts<const N: usize>(
    payload: &[u8],
    measured: fn([u8; N]) -> Result<Option<Quantity>, Reason>,
) -> Result<Vec<Quantity>, Reason> {
    let [2, _, _, 0, flags @ 0..=3, rest @ ..] = payload else { return Err(Reason::Payload) };
    let mut quantities = Vec::new();
    let mut rest = rest;
    if flags & 1 != 0 {
        let (measurement, next) = split(rest)?;
        quantities.extend(measured(measurement)?);
        rest = next;
    }
    if flags & 2 != 0 {
        let (mv, next) = split(rest)?;
        quantities.push(millivolts(u16::from_be_bytes(mv)));
        rest = next;
    }
    if rest.is_empty() { Ok(quantities) } else { Err(Reason::Payload) }
}

fn split<const N: usize>(rest: &[u8]) -> Result<([u8; N], &[u8]), Reason> {
    rest.split_first_chunk().map(|(head, next)| (*head, next)).ok_or(Reason::Truncated)
}

#[cfg(test)]
mod tests {
    use super::super::bytes;
    use super::*;
    use crate::units::{Millimetres, Millivolts};

    const BATTERY: Quantity = Quantity::BatteryVoltage(Millivolts(2993));

    #[test]
    fn golden_uplinks() {
        let both = vec![Quantity::Distance(Millimetres(1234)), BATTERY];
        assert_eq!(dl_mbx(1, &bytes("02012F000304D200010BB1")), Ok(both));
        assert_eq!(dl_mbx(1, &bytes("02012F00020BB1")), Ok(vec![BATTERY]));
        assert_eq!(dl_mbx(1, &bytes("02012F0000")), Ok(vec![]));
    }

    #[test]
    fn a_scale_tells_its_battery() {
        let battery = vec![Quantity::BatteryVoltage(Millivolts(3168))];
        assert_eq!(dl_dws(1, &bytes("0203D40003 3BF67FFF3BF6 0C60")), Ok(battery.clone()));
        assert_eq!(dl_dws(1, &bytes("0203D40002 0C60")), Ok(battery));
        for (hex, reason) in [
            ("0203D40003 3BF600003BF6 0C60", Reason::OutOfRange),
            ("0203D40003 3BF67FFF3BF6 0C", Reason::Truncated),
            ("0203D40003 3BF67FFF3BF6 0C6000", Reason::Payload),
            ("0203D40001 3BF67FFF", Reason::Truncated),
        ] {
            assert_eq!(dl_dws(1, &bytes(hex)), Err(reason), "{hex}");
        }
    }

    #[test]
    fn without_a_good_sample_there_is_no_distance() {
        let quantities = vec![no(Missing::Distance, NoData::NoTarget), BATTERY];
        assert_eq!(dl_mbx(1, &bytes("02012F000304D200000BB1")), Ok(quantities));
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        for (hex, reason) in [
            ("01012F00020BB1", Reason::Payload),
            ("02012F00040BB1", Reason::Payload),
            ("02012F01020BB1", Reason::Payload),
            ("02012F00020B", Reason::Truncated),
            ("02012F00020BB100", Reason::Payload),
            ("02012F000304D2000B", Reason::Truncated),
        ] {
            assert_eq!(dl_mbx(1, &bytes(hex)), Err(reason), "{hex}");
        }
    }
}
