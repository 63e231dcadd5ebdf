//! Pepperl+Fuchs WILSEN.sonic, ultrasonic distance and level, with a receiver for its place.
//!
//! Layout: the public device description of The Things Network (`vendor/pepperl-fuchs`). A payload is a
//! row of records: how many bytes follow, what they are (2 bytes), value (big-endian). Settings that the
//! device confirms have the same form and are left.

use std::ops::RangeInclusive;

use crate::decode::Reason;
use crate::sample::{Missing, NoData, Quantity};
use crate::units::{Millimetres, Permille};

use super::quantities::{fix_e6, millivolts, no, temperature};

/// The sensors see from a few centimetres to 4 m; half as far again is certainly no measurement.
const DISTANCE_MM: RangeInclusive<u32> = 10..=6_000;

/// What a payload said, each at most once.
#[derive(Default)]
struct Said {
    centimetres: Option<u16>,
    millimetres: Option<u16>,
    level: Option<u8>,
    celsius: Option<f32>,
    decivolts: Option<u8>,
    lat_e6: Option<i32>,
    lon_e6: Option<i32>,
}

pub(super) fn wilsen(port: u8, payload: &[u8]) -> Result<Vec<Quantity>, Reason> {
    if port != 1 {
        return Err(Reason::Port);
    }
    if payload.is_empty() {
        return Err(Reason::Payload);
    }
    let mut said = Said::default();
    let mut rest = payload;
    while let [length, tail @ ..] = rest {
        let (record, next) =
            tail.split_at_checked(usize::from(*length)).ok_or(Reason::Truncated)?;
        said.take(record)?;
        rest = next;
    }
    said.quantities()
}

impl Said {
    fn take(&mut self, record: &[u8]) -> Result<(), Reason> {
        match *record {
            [0x0b, 0x01, a, b] => once(&mut self.centimetres, u16::from_be_bytes([a, b])),
            [0x0b, 0x02, a, b] => once(&mut self.millimetres, u16::from_be_bytes([a, b])),
            [0x0b, 0x06, percent] => once(&mut self.level, percent),
            [0x02, 0x01, a, b, c, d] => once(&mut self.celsius, f32::from_be_bytes([a, b, c, d])),
            [0x51, 0x01, tenths] => once(&mut self.decivolts, tenths),
            [0x50, 0x01, a, b, c, d] => once(&mut self.lat_e6, i32::from_be_bytes([a, b, c, d])),
            [0x50, 0x02, a, b, c, d] => once(&mut self.lon_e6, i32::from_be_bytes([a, b, c, d])),
            // Strength of the echo; counters of transmissions, positions and measurements.
            [0x0b, 0x07, _] | [0x31, 0x01 | 0x02, _, _] | [0x31, 0x03, _, _, _, _] => Ok(()),
            // The serial number in letters, and settings confirmed.
            [0x2a, 0x25, ref serial @ ..] if serial.len() == 14 => Ok(()),
            [0xf1..=0xf5, _, ..] => Ok(()),
            _ => Err(Reason::Payload),
        }
    }

    fn quantities(&self) -> Result<Vec<Quantity>, Reason> {
        let mut quantities = Vec::new();
        let centimetres = self.centimetres.map(|cm| u32::from(cm) * 10);
        if let Some(mm) = self.millimetres.map(u32::from).or(centimetres) {
            quantities.push(if DISTANCE_MM.contains(&mm) {
                Quantity::Distance(Millimetres(mm))
            } else {
                no(Missing::Distance, NoData::OutOfRange)
            });
        }
        if let Some(percent) = self.level {
            quantities.push(match percent {
                0..=100 => Quantity::Level(Permille::from_percent(percent.into())),
                _ => no(Missing::Level, NoData::OutOfRange),
            });
        }
        quantities.extend(self.celsius.map(degrees));
        quantities.extend(self.decivolts.map(|tenths| millivolts(u16::from(tenths) * 100)));
        match (self.lat_e6, self.lon_e6) {
            (Some(lat), Some(lon)) => quantities.push(fix_e6(lat, lon)),
            (None, None) => {}
            // Cut between the two.
            _ => return Err(Reason::Truncated),
        }
        Ok(quantities)
    }
}

/// Two values for one thing: one of them is not what it is taken for.
fn once<T>(place: &mut Option<T>, value: T) -> Result<(), Reason> {
    match place.replace(value) {
        None => Ok(()),
        Some(_) => Err(Reason::Payload),
    }
}

fn degrees(celsius: f32) -> Quantity {
    if celsius.is_finite() {
        // Saturates, and then is out of range.
        temperature((f64::from(celsius) * 1000.0).round() as i32, -40_000..=85_000)
    } else {
        no(Missing::Temperature, NoData::SensorFault)
    }
}

#[cfg(test)]
mod tests {
    use super::super::bytes;
    use super::*;
    use crate::place::{Datum, Position};
    use crate::sample::Fix;
    use crate::units::{MilliCelsius, Millivolts};

    const LEVEL: Quantity = Quantity::Level(Permille::from_percent(93));
    const CELSIUS: Quantity = Quantity::Temperature(MilliCelsius(20_800));

    const fn mm(mm: u32) -> Quantity {
        Quantity::Distance(Millimetres(mm))
    }

    const fn volts(mv: u16) -> Quantity {
        Quantity::BatteryVoltage(Millivolts(mv))
    }

    #[test]
    fn golden_uplinks() {
        let regular = "040B010031 030B065D 06020141A66666 03510122";
        assert_eq!(wilsen(1, &bytes(regular)), Ok(vec![mm(490), LEVEL, CELSIUS, volts(3400)]));
        let about =
            "102A253438303030303030363330363832 04310102C0 0431020000 06310300000173 03510124";
        assert_eq!(wilsen(1, &bytes(about)), Ok(vec![volts(3600)]));
        let position = Position::from_degrees(31.81, 119.974, Datum::Wgs84).unwrap();
        let (speed, course, accuracy, satellites) = (None, None, None, None);
        let place = Quantity::Fix(Fix { position, speed, course, accuracy, satellites });
        let placed = "040B0201F1 06500101E561D0 0650020726A870 03510122";
        assert_eq!(wilsen(1, &bytes(placed)), Ok(vec![mm(497), volts(3400), place]));
    }

    #[test]
    fn the_finer_of_two_distances_counts() {
        assert_eq!(wilsen(1, &bytes("040B010031 040B0201F1")), Ok(vec![mm(497)]));
    }

    #[test]
    fn what_cannot_be_measured_is_never_a_number() {
        for (hex, what, why) in [
            ("040B010000", Missing::Distance, NoData::OutOfRange),
            ("040B01FFFF", Missing::Distance, NoData::OutOfRange),
            ("040B021771", Missing::Distance, NoData::OutOfRange),
            ("030B0665", Missing::Level, NoData::OutOfRange),
            ("0602017FC00000", Missing::Temperature, NoData::SensorFault),
            ("06020142AB0000", Missing::Temperature, NoData::OutOfRange),
            ("0602017F7FFFFF", Missing::Temperature, NoData::OutOfRange),
            ("06500100000000 06500200000000", Missing::Fix, NoData::NoFix),
        ] {
            assert_eq!(wilsen(1, &bytes(hex)), Ok(vec![no(what, why)]), "{hex}");
        }
    }

    #[test]
    fn a_confirmed_setting_is_no_sample() {
        assert_eq!(wilsen(1, &bytes("04F4050064 03F10101")), Ok(vec![]));
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        for (hex, reason) in [
            ("", Reason::Payload),
            ("00", Reason::Payload),
            ("040B0100", Reason::Truncated),
            ("050B01003100", Reason::Payload),
            ("040B010031 040B010032", Reason::Payload),
            ("06500101E561D0", Reason::Truncated),
            // A valve of the same vendor.
            ("030C0201", Reason::Payload),
        ] {
            assert_eq!(wilsen(1, &bytes(hex)), Err(reason), "{hex}");
        }
        assert_eq!(wilsen(2, &bytes("040B010031")), Err(Reason::Port));
    }
}
