//! Dingtek: DO201 in the ground, DF702 in the bin, DC410 and DF530 over containers and tanks.
//!
//! Layout: the public device descriptions of The Things Network (`vendor/dingtek`). All speak on port 3
//! in one frame: 0x80, two bytes for the model, what it is about, its whole length, body, 0x81.
//! Numbers are big-endian, positions little-endian. Not used: the device's own counter (the LoRaWAN
//! frame counter does the same), the "battery low" flag (it has no measure), the "full" flag (when a
//! bin is full is decided at the place) and the angle (the public decoders disagree on its sign).

use crate::decode::Reason;
use crate::place::{Datum, Position};
use crate::sample::Quantity;

use super::quantities::{distance, fix, millivolts, whole_degrees};

/// What a frame is about: 1 and 2 are measurements, 3 the answer to a setting.
const PARAMETERS: u8 = 3;

/// The sensors see 5 m at most; a tank's is fixed right over the liquid.
const DISTANCE: std::ops::RangeInclusive<u16> = 1..=10_000;

/// One signed byte, though some public decoders take it for unsigned: it freezes in bins. What burns
/// hotter than the byte can say is told by the fire flag.
const TEMPERATURE: std::ops::RangeInclusive<i32> = -40_000..=125_000;

/// Ultrasonic and magnetic, in the ground of a bay.
pub(super) fn do201(port: u8, payload: &[u8]) -> Result<Vec<Quantity>, Reason> {
    match frame(port, payload)? {
        None => Ok(vec![]),
        Some(&[d1, d0, alarms, _, v1, v0, _, _, _, _, _, _, degrees, _humidity, _, _, _]) => {
            let centivolts = u16::from_be_bytes([v1, v0]);
            Ok(vec![
                Quantity::Occupied(alarms >> 4 != 0),
                distance(u16::from_be_bytes([d1, d0]), DISTANCE),
                millivolts(centivolts.checked_mul(10).ok_or(Reason::OutOfRange)?),
                whole_degrees(degrees, TEMPERATURE),
            ])
        }
        Some(_) => Err(Reason::Payload),
    }
}

/// Ultrasonic in the lid of a bin, with tilt and fire, some with GPS.
pub(super) fn df702(port: u8, payload: &[u8]) -> Result<Vec<Quantity>, Reason> {
    let Some(Level { mut quantities, alarms: [first, second] }) = level(port, payload)? else {
        return Ok(vec![]);
    };
    quantities.push(Quantity::Tilted(second >> 4 != 0));
    quantities.push(Quantity::Fire(first & 0x0f != 0));
    Ok(quantities)
}

/// The models that tell neither fire nor tilt.
pub(super) fn df530(port: u8, payload: &[u8]) -> Result<Vec<Quantity>, Reason> {
    Ok(level(port, payload)?.map(|level| level.quantities).unwrap_or_default())
}

/// What all level sensors tell, and the two bytes of alarms, whose meaning is the model's.
struct Level {
    quantities: Vec<Quantity>,
    alarms: [u8; 2],
}

/// The report of a level sensor; none for an answer to a setting.
fn level(port: u8, payload: &[u8]) -> Result<Option<Level>, Reason> {
    let Some(body) = frame(port, payload)? else { return Ok(None) };
    let (place, near): (Option<[u8; 8]>, &[u8]) = match body.len() {
        11 => (None, &body[3..]),
        19 => (body[3..11].try_into().ok(), &body[11..]),
        _ => return Err(Reason::Payload),
    };
    let mut quantities = vec![
        distance(u16::from_be_bytes([body[0], body[1]]), DISTANCE),
        whole_degrees(near[0], TEMPERATURE),
    ];
    quantities.extend(place.map(position));
    Ok(Some(Level { quantities, alarms: [near[3], near[4]] }))
}

/// Longitude and latitude as little-endian floats.
fn position([a, b, c, d, e, f, g, h]: [u8; 8]) -> Quantity {
    let lon = f32::from_le_bytes([a, b, c, d]);
    let lat = f32::from_le_bytes([e, f, g, h]);
    fix(Position::from_degrees(lat.into(), lon.into(), Datum::Wgs84), None, None)
}

/// The body of a measurement, `None` for an answer to a setting.
fn frame(port: u8, payload: &[u8]) -> Result<Option<&[u8]>, Reason> {
    if port != 3 {
        return Err(Reason::Port);
    }
    let [0x80, _, _, about, stated, rest @ ..] = payload else { return Err(Reason::Payload) };
    if payload.len() < usize::from(*stated) {
        return Err(Reason::Truncated);
    }
    let [body @ .., 0x81] = rest else { return Err(Reason::Payload) };
    match *about {
        _ if payload.len() > usize::from(*stated) => Err(Reason::Payload),
        1 | 2 => Ok(Some(body)),
        PARAMETERS => Ok(None),
        _ => Err(Reason::Payload),
    }
}

#[cfg(test)]
mod tests {
    use super::super::bytes;
    use super::super::quantities::no;
    use super::*;
    use crate::sample::{Missing, NoData};
    use crate::units::{MilliCelsius, Millimetres, Millivolts};

    const fn mm(mm: u32) -> Quantity {
        Quantity::Distance(Millimetres(mm))
    }

    const fn celsius(degrees: i32) -> Quantity {
        Quantity::Temperature(MilliCelsius(degrees * 1000))
    }

    const DO201: &str = "80 00 31 02 17 06 B4 00 00 01 61 00 10 FF F6 FF F0 8B 2D 00 01 00 81";
    const WITH_GPS: &str =
        "80 00 01 01 19 07 D0 01 CD 03 E9 42 EF 27 20 42 19 00 00 00 00 00 00 00 81";

    #[test]
    fn golden_uplinks() {
        let parked = vec![
            Quantity::Occupied(false),
            mm(1716),
            Quantity::BatteryVoltage(Millivolts(3530)),
            // -117 °C is how this one says that its thermometer is broken.
            no(Missing::Temperature, NoData::OutOfRange),
        ];
        assert_eq!(do201(3, &bytes(DO201)), Ok(parked));
        let settings = "80 00 31 03 10 01 01 18 1E 3C 00 3C 14 00 00 81";
        assert_eq!(do201(3, &bytes(settings)), Ok(vec![]));
        let quiet = [Quantity::Tilted(false), Quantity::Fire(false)];
        let bin = "80 00 01 01 11 07 D0 00 19 00 00 00 00 00 00 00 81";
        assert_eq!(df702(3, &bytes(bin)), Ok([&[mm(2000), celsius(25)][..], &quiet].concat()));
        let settings = "80 00 01 03 19 01 04 18 01 1E 4B 1E 00000000000000000000000081";
        assert_eq!(df702(3, &bytes(settings)), Ok(vec![]));
        let container = "800001021106a400160100000000010081";
        assert_eq!(df530(3, &bytes(container)), Ok(vec![mm(1700), celsius(22)]));
        let tank = "8000010211000f00190000100000000081";
        assert_eq!(df530(3, &bytes(tank)), Ok(vec![mm(15), celsius(25)]));
    }

    #[test]
    fn a_position_comes_with_the_long_form() {
        let quantities = df702(3, &bytes(WITH_GPS)).unwrap();
        let [distance, temperature, Quantity::Fix(fix), _, _] = quantities[..] else {
            panic!("{quantities:?}");
        };
        assert_eq!([distance, temperature], [mm(2000), celsius(25)]);
        assert!((fix.position.lon() - 116.507_423).abs() < 1e-5, "{fix:?}");
        assert!((fix.position.lat() - 40.038_998).abs() < 1e-5, "{fix:?}");
        let mut elsewhere = bytes(WITH_GPS);
        for (float, why) in [
            (0.0, NoData::NoFix),
            (f32::NAN, NoData::OutOfRange),
            (f32::INFINITY, NoData::OutOfRange),
            (200.0, NoData::OutOfRange),
        ] {
            elsewhere[8..12].copy_from_slice(&float.to_le_bytes());
            elsewhere[12..16].copy_from_slice(&float.to_le_bytes());
            assert_eq!(df702(3, &elsewhere).unwrap()[2], no(Missing::Fix, why), "{float}");
        }
    }

    #[test]
    fn alarms_are_nibbles_of_two_bytes() {
        let with = |first: u8, second: u8| {
            let mut bin = bytes("800001011107d000190000000000000081");
            (bin[11], bin[12]) = (first, second);
            df702(3, &bin).unwrap()[2..].to_vec()
        };
        let says = |tilted, fire| vec![Quantity::Tilted(tilted), Quantity::Fire(fire)];
        assert_eq!(with(0x10, 0), says(false, false), "full");
        assert_eq!(with(0x01, 0), says(false, true));
        assert_eq!(with(0, 0x10), says(true, false));
        assert_eq!(with(0, 0x01), says(false, false), "battery");
        let mut bay = bytes(DO201);
        (bay[7], bay[8]) = (0x10, 0);
        assert_eq!(do201(3, &bay).unwrap()[0], Quantity::Occupied(true));
        (bay[7], bay[8]) = (0x01, 0x11);
        assert_eq!(do201(3, &bay).unwrap()[0], Quantity::Occupied(false));
    }

    #[test]
    fn frost_is_below_zero() {
        let bin = "80 00 01 01 11 07 D0 00 F6 00 00 00 00 00 00 00 81";
        assert_eq!(df702(3, &bytes(bin)).unwrap()[1], celsius(-10));
    }

    #[test]
    fn frames_that_do_not_fit_are_refused() {
        for (hex, reason) in [
            ("", Reason::Payload),
            ("80 00 01 01 11 07 D0", Reason::Truncated),
            ("80 00 01 01 11 07 D0 00 19 00 00 00 00 00 00 00 80", Reason::Payload),
            ("80 00 01 01 11 07 D0 00 19 00 00 00 00 00 00 00 00 81", Reason::Payload),
            ("80 00 01 04 11 07 D0 00 19 00 00 00 00 00 00 00 81", Reason::Payload),
            ("00 00 01 01 11 07 D0 00 19 00 00 00 00 00 00 00 81", Reason::Payload),
            // A frame of the other kind.
            (DO201, Reason::Payload),
        ] {
            assert_eq!(df702(3, &bytes(hex)), Err(reason), "{hex}");
        }
        assert_eq!(do201(3, &bytes(WITH_GPS)), Err(Reason::Payload));
        assert_eq!(df702(2, &bytes(WITH_GPS)), Err(Reason::Port));
    }
}
