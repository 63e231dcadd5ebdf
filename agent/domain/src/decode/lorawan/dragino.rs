//! Dragino distance sensors and trackers.
//!
//! Layout: the vendor's public decoders and user manuals. Numbers are big-endian; a battery voltage has
//! 14 bits, the two above it are flags. A thermometer (DS18B20) is an option of the distance sensors;
//! where none answers they send 0, so that 0.0 °C cannot be told from none and is left out.

use crate::decode::Reason;
use crate::sample::{Missing, NoData, Quantity};

use super::quantities::{distance, fix_e6, millivolts, no, temperature};

/// The DS18B20 by its datasheet.
const TEMPERATURE: std::ops::RangeInclusive<i32> = -55_000..=125_000;

/// What the distance sensors put in place of a distance that they could not measure.
const INVALID_MM: u16 = 20;

/// LDDS75, LDDS45 and LDDS20: from firmware 1.1.4 on 8 bytes, before it 5, or 4 without a sensor.
pub(super) fn ldds75(port: u8, payload: &[u8]) -> Result<Vec<Quantity>, Reason> {
    match (port, payload) {
        (2, &[b1, b0, d1, d0, _interrupt, t1, t0, sensor @ (0 | 1)]) => {
            Ok(distance_report([b1, b0], [d1, d0], sensor, tenths([t1, t0])))
        }
        (2, &[b1, b0, d1, d0, _interrupt]) => {
            Ok(vec![battery([b1, b0]), echo(u16::from_be_bytes([d1, d0]))])
        }
        (2, &[b1, b0, _, _interrupt]) => {
            Ok(vec![battery([b1, b0]), no(Missing::Distance, NoData::SensorFault)])
        }
        (2, _) => Err(Reason::Payload),
        _ => Err(Reason::Port),
    }
}

/// DDS75-LB: port 2 one distance or several, port 5 about the device. What it stored while there was no
/// network (port 3) has times of its own, which a sample cannot carry: refused.
pub(super) fn dds75_lb(port: u8, payload: &[u8]) -> Result<Vec<Quantity>, Reason> {
    match (port, payload) {
        (2, &[b1, ..]) if b1 & 0x10 != 0 => several_distances(payload),
        // Degrees come in hundredths here and in tenths in the form with several distances.
        (2, &[b1, b0, d1, d0, _interrupt, t1, t0, sensor @ (0 | 1)]) => {
            Ok(distance_report([b1, b0], [d1, d0], sensor, hundredths([t1, t0])))
        }
        (5, &[0x27, _, _, _, _, b1, b0]) => Ok(vec![battery([b1, b0])]),
        (2 | 3 | 5, _) => Err(Reason::Payload),
        _ => Err(Reason::Port),
    }
}

/// Eight bytes of which only the battery is documented, up to twenty distances, interrupt, temperature,
/// sensor. Which distance is the latest is not documented, so the middle one is taken: it does not
/// depend on their order.
fn several_distances(payload: &[u8]) -> Result<Vec<Quantity>, Reason> {
    let [b1, b0, _, _, _, _, _, _, distances @ .., 0 | 1, t1, t0, sensor @ (0 | 1)] = payload
    else {
        return Err(Reason::Payload);
    };
    let (pairs, odd) = distances.as_chunks::<2>();
    if !odd.is_empty() || pairs.is_empty() || pairs.len() > 20 {
        return Err(Reason::Payload);
    }
    let mut seen: Vec<u16> = pairs.iter().map(|pair| u16::from_be_bytes(*pair)).collect();
    seen.retain(|mm| matches!(echo(*mm), Quantity::Distance(_)));
    seen.sort_unstable();
    let middle = seen.get(seen.len() / 2).copied().unwrap_or(INVALID_MM).to_be_bytes();
    // Here the battery has 12 bits.
    Ok(distance_report([b1 & 0x0f, *b0], middle, *sensor, tenths([*t1, *t0])))
}

fn distance_report(mv: [u8; 2], mm: [u8; 2], sensor: u8, milli: i32) -> Vec<Quantity> {
    let mm = u16::from_be_bytes(mm);
    let mut quantities = vec![
        battery(mv),
        if sensor == 0 || mm == 0 { no(Missing::Distance, NoData::SensorFault) } else { echo(mm) },
    ];
    quantities.extend(optional_temperature(milli));
    quantities
}

/// LDDS04, four distances in tenths of a centimetre. A device is one place, so the first probe counts;
/// the others are left.
pub(super) fn ldds04(port: u8, payload: &[u8]) -> Result<Vec<Quantity>, Reason> {
    match (port, payload) {
        (2, &[b1, b0, d1, d0, _, _, _, _, _, _, 1]) => {
            let mm = u16::from_be_bytes([d1, d0]);
            Ok(vec![battery([b1, b0]), echo(mm)])
        }
        // Answers with its settings.
        (2, &[.., 2]) if payload.len() == 11 => Ok(vec![]),
        (2, _) => Err(Reason::Payload),
        _ => Err(Reason::Port),
    }
}

/// DS20L, a light pulse over 3 cm to 2 m. In the counting modes it tells no distance.
pub(super) fn ds20l(port: u8, payload: &[u8]) -> Result<Vec<Quantity>, Reason> {
    const RANGE: std::ops::RangeInclusive<u16> = 30..=2000;
    let (&[b1, b0, flags, d1, d0], rest) = match (port, payload.split_first_chunk::<5>()) {
        (2, Some(split)) => split,
        (5, _) if payload.len() == 8 && payload[0] == 0x21 => {
            return Ok(vec![millivolts(u16::from_be_bytes([payload[6], payload[7]]))]);
        }
        (2 | 5, _) => return Err(Reason::Payload),
        _ => return Err(Reason::Port),
    };
    let counting = flags & 0x08 != 0;
    let mut quantities = vec![millivolts(u16::from_be_bytes([b1, b0]))];
    match (flags >> 6, counting, rest.len()) {
        // State of the measurement and a count; then two limits; or a count in the distance's place.
        (1, _, 5) | (0 | 2 | 3, false, 4) => {
            quantities.push(distance(u16::from_be_bytes([d1, d0]), RANGE));
        }
        (0 | 2 | 3, true, 6) => {}
        _ => return Err(Reason::Payload),
    }
    Ok(quantities)
}

/// LGT-92, position; with the motion sensor also roll and pitch, in some firmware also precision and
/// altitude, or precision alone.
pub(super) fn lgt92(port: u8, payload: &[u8]) -> Result<Vec<Quantity>, Reason> {
    match (port, payload) {
        (2, [place @ .., b1, b0, _]) if place.len() == 8 => tracker(place, [*b1, *b0]),
        (2, _) if matches!(payload.len(), 15 | 16 | 18) => {
            tracker(&payload[..8], [payload[8], payload[9]])
        }
        (2, _) => Err(Reason::Payload),
        _ => Err(Reason::Port),
    }
}

/// TrackerD and TrackerD-LS: port 2 position and climate, 3 position, 7 an alarm without a position, 5
/// about the device, 6 and 8 to 10 what else is on air. Newer firmware puts speed and course (without a
/// documented unit, so not used) between position and battery. What was stored while there was no
/// network (port 4) has times of its own, which a sample cannot carry: refused.
pub(super) fn trackerd(port: u8, payload: &[u8]) -> Result<Vec<Quantity>, Reason> {
    // Where the battery stands, where the temperature stands.
    let (battery_at, temperature_at) = match (port, payload.len()) {
        (2, 15) => (8, Some(13)),
        // With the time of the fix in the place of the climate.
        (2, 18) | (3, 11) => (8, None),
        (2, 23) => (16, Some(21)),
        (3, 19) => (16, None),
        (7, 3) => return Ok(vec![battery([payload[0], payload[1]])]),
        (5 | 6 | 8..=10, _) => return Ok(vec![]),
        (2 | 3 | 4 | 7, _) => return Err(Reason::Payload),
        _ => return Err(Reason::Port),
    };
    let battery = [payload[battery_at], payload[battery_at + 1]];
    let mut quantities = tracker(&payload[..8], battery)?;
    if let Some(at) = temperature_at {
        quantities.extend(optional_temperature(tenths([payload[at], payload[at + 1]])));
    }
    Ok(quantities)
}

/// Position in millionths of a degree, and battery. All zero: no fix; 0x0fffffff: the receiver was
/// switched off to save the battery. The layouts are told apart by their length alone; that nothing can
/// send with an empty battery catches one that was taken for another.
fn tracker(place: &[u8], mv: [u8; 2]) -> Result<Vec<Quantity>, Reason> {
    const OFF: i32 = 0x0fff_ffff;
    const ALIVE_MV: u16 = 2000;
    if u16::from_be_bytes([mv[0] & 0x3f, mv[1]]) < ALIVE_MV {
        return Err(Reason::OutOfRange);
    }
    let number = |at: usize| i32::from_be_bytes([0, 1, 2, 3].map(|i| place[at + i]));
    let position = match (number(0), number(4)) {
        (OFF, OFF) => no(Missing::Fix, NoData::NoFix),
        (lat, lon) => fix_e6(lat, lon),
    };
    Ok(vec![position, battery(mv)])
}

fn battery([high, low]: [u8; 2]) -> Quantity {
    millivolts(u16::from_be_bytes([high & 0x3f, low]))
}

/// None of them sees farther than 7.5 m.
fn echo(mm: u16) -> Quantity {
    distance(mm, INVALID_MM + 1..=8000)
}

fn tenths(raw: [u8; 2]) -> i32 {
    i32::from(i16::from_be_bytes(raw)) * 100
}

fn hundredths(raw: [u8; 2]) -> i32 {
    i32::from(i16::from_be_bytes(raw)) * 10
}

fn optional_temperature(milli: i32) -> Option<Quantity> {
    (milli != 0).then(|| temperature(milli, TEMPERATURE))
}

#[cfg(test)]
mod tests {
    use super::super::bytes;
    use super::*;
    use crate::place::{Datum, Position};
    use crate::sample::Fix;
    use crate::units::{MilliCelsius, Millimetres, Millivolts};

    const fn mv(mv: u16) -> Quantity {
        Quantity::BatteryVoltage(Millivolts(mv))
    }

    const fn mm(mm: u32) -> Quantity {
        Quantity::Distance(Millimetres(mm))
    }

    const fn celsius(milli: i32) -> Quantity {
        Quantity::Temperature(MilliCelsius(milli))
    }

    fn at(lat: f64, lon: f64) -> Quantity {
        Quantity::Fix(Fix {
            position: Position::from_degrees(lat, lon, Datum::Wgs84).unwrap(),
            speed: None,
            course: None,
            accuracy: None,
            satellites: None,
        })
    }

    const NO_FIX: Quantity = no(Missing::Fix, NoData::NoFix);
    const NO_SENSOR: Quantity = no(Missing::Distance, NoData::SensorFault);
    const INVALID: Quantity = no(Missing::Distance, NoData::OutOfRange);

    #[test]
    fn ldds75_in_its_three_lengths() {
        for (hex, quantities) in [
            ("0D3B 0AEF 00 0000 01", vec![mv(3387), mm(2799)]),
            ("0D3B 0AEF 00 FF3F 01", vec![mv(3387), mm(2799), celsius(-19_300)]),
            ("CD3B 0AEF 01 0105 01", vec![mv(3387), mm(2799), celsius(26_100)]),
            ("0D3B 0000 00 0000 01", vec![mv(3387), NO_SENSOR]),
            ("0D3B 0AEF 00 0000 00", vec![mv(3387), NO_SENSOR]),
            ("0D3B 0014 00 0000 01", vec![mv(3387), INVALID]),
            (
                "0D3B FFFF 00 7FFF 01",
                vec![mv(3387), INVALID, no(Missing::Temperature, NoData::OutOfRange)],
            ),
            ("0B45 0B05 00", vec![mv(2885), mm(2821)]),
            ("0B45 0013 00", vec![mv(2885), INVALID]),
            ("0E1C 0B05", vec![mv(3612), NO_SENSOR]),
        ] {
            assert_eq!(ldds75(2, &bytes(hex)), Ok(quantities), "{hex}");
        }
        for length in (0..12).filter(|length| ![4, 5, 8].contains(length)) {
            assert_eq!(ldds75(2, &vec![0; length]), Err(Reason::Payload), "{length}");
        }
        assert_eq!(ldds75(1, &bytes("0E1C0B05")), Err(Reason::Port));
    }

    /// The same two bytes are 26.1 °C in one frame and 2.61 °C in the other.
    #[test]
    fn dds75_lb_has_two_scales_of_temperature() {
        let one = vec![mv(3387), mm(2799), celsius(2610)];
        assert_eq!(dds75_lb(2, &bytes("0D3B 0AEF 00 0105 01")), Ok(one));
        let several = "1D3B 000000000000 0320 0AEF 0014 0384 00 0105 01";
        assert_eq!(dds75_lb(2, &bytes(several)), Ok(vec![mv(3387), mm(900), celsius(26_100)]));
    }

    #[test]
    fn dds75_lb_takes_the_middle_of_what_it_saw() {
        let with = |distances: &str| {
            let hex = format!("1D3B 000000000000 {distances} 00 0000 01");
            dds75_lb(2, &bytes(&hex))
        };
        assert_eq!(with("0384 0320 0AEF"), Ok(vec![mv(3387), mm(900)]));
        assert_eq!(with("0014 0384 0014"), Ok(vec![mv(3387), mm(900)]));
        assert_eq!(with("0014 0014"), Ok(vec![mv(3387), INVALID]));
        assert_eq!(with(&"0384".repeat(20)), Ok(vec![mv(3387), mm(900)]));
        assert_eq!(with(&"0384".repeat(21)), Err(Reason::Payload));
        assert_eq!(with("0384 03"), Err(Reason::Payload));
        assert_eq!(with(""), Err(Reason::Payload));
        assert_eq!(dds75_lb(5, &bytes("27 0100 01 FF 0D3B")), Ok(vec![mv(3387)]));
        assert_eq!(dds75_lb(3, &[0; 11]), Err(Reason::Payload));
    }

    #[test]
    fn ldds04_tells_its_first_distance() {
        let normal = "0D4A 0316 0318 031A 0315 01";
        assert_eq!(ldds04(2, &bytes(normal)), Ok(vec![mv(3402), mm(790)]));
        let interrupt = "8D41 0000 0318 031A 0315 01";
        assert_eq!(ldds04(2, &bytes(interrupt)), Ok(vec![mv(3393), INVALID]));
        assert_eq!(ldds04(2, &bytes("0301 0316 0318 031A 0315 02")), Ok(vec![]));
        assert_eq!(ldds04(2, &bytes("0D4A 0316 0318 031A 0315 03")), Err(Reason::Payload));
        assert_eq!(ldds04(2, &bytes("0D4A 0316 01")), Err(Reason::Payload));
    }

    #[test]
    fn ds20l_in_its_modes() {
        for (hex, quantities) in [
            ("0CE4 40 01F4 00 00000007", Ok(vec![mv(3300), mm(500)])),
            ("0CE4 40 0000 02 00000007", Ok(vec![mv(3300), INVALID])),
            ("0CE4 00 01F4 0064 03E8", Ok(vec![mv(3300), mm(500)])),
            ("0CE4 08 00000007 0064 03E8", Ok(vec![mv(3300)])),
            ("0CE4 08 01F4 0064 03E8", Err(Reason::Payload)),
            ("0CE4 40 01F4", Err(Reason::Payload)),
            ("0CE4", Err(Reason::Payload)),
        ] {
            assert_eq!(ds20l(2, &bytes(hex)), quantities, "{hex}");
        }
        assert_eq!(ds20l(5, &bytes("21 0100 01 FF 00 0CE4")), Ok(vec![mv(3300)]));
    }

    #[test]
    fn lgt92_in_its_lengths() {
        let place = vec![at(22.706_26, 114.242_52), mv(3360)];
        for tail in ["", "004B0190", "004B019000", "004B019078 0102"] {
            let hex = format!("015A7854 06CF33D8 0D20 60 {tail}");
            assert_eq!(lgt92(2, &bytes(&hex)), Ok(place.clone()), "{hex}");
        }
        let nothing = "00000000 00000000 0C2E 64";
        assert_eq!(lgt92(2, &bytes(nothing)), Ok(vec![NO_FIX, mv(3118)]));
        let off = "0FFFFFFF 0FFFFFFF 0C2E 64";
        assert_eq!(lgt92(2, &bytes(off)), Ok(vec![NO_FIX, mv(3118)]));
        let alarm = "015A7854 F930CC28 4D20 60";
        assert_eq!(lgt92(2, &bytes(alarm)), Ok(vec![at(22.706_26, -114.242_52), mv(3360)]));
        assert_eq!(lgt92(2, &bytes("015A7854 06CF33D8 0D20")), Err(Reason::Payload));
    }

    #[test]
    fn trackerd_old_and_new() {
        let place = || vec![at(22.706_26, 114.242_52), mv(3360)];
        let with_climate = || [place(), vec![celsius(25_500)]].concat();
        let (old, new) = ("015A7854 06CF33D8", "015A7854 06CF33D8 00000008 0000005A");
        for (port, hex, quantities) in [
            (2, format!("{old} 4D20 60 0258 00FF"), Ok(with_climate())),
            (2, format!("{old} 0D20 68 07EA 06 04 0400 00"), Ok(place())),
            (3, format!("{old} 0D20 60"), Ok(place())),
            (2, format!("{new} 0D20 60 0258 00FF"), Ok(with_climate())),
            (3, format!("{new} 0D20 60"), Ok(place())),
            (2, "00000000 00000000 0D20 60 0000 0000".into(), Ok(vec![NO_FIX, mv(3360)])),
            (7, "4D20 60".into(), Ok(vec![mv(3360)])),
            (5, "13 0151 01 FF 0D20 40 00".into(), Ok(vec![])),
            (4, format!("{old} 07EA 06 04 04 00 00"), Err(Reason::Payload)),
            (3, old.into(), Err(Reason::Payload)),
            // The new layout without its end has the length of the old one.
            (2, new[..33].into(), Err(Reason::OutOfRange)),
            (1, old.into(), Err(Reason::Port)),
        ] {
            assert_eq!(trackerd(port, &bytes(&hex)), quantities, "{port} {hex}");
        }
    }
}
