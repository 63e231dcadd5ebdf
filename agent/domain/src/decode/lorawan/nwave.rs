//! Nwave parking sensors NPS310SM and NPS405, and the vehicle counter NCC405.
//!
//! Layout: the public device descriptions of The Things Network (`vendor/nwave`). The NPS405 comes in
//! two generations that keep the occupancy at opposite ends of the same byte. Nothing in a payload
//! tells which one sent it, so a device has to be pinned to one of the two codecs by its name; no
//! device profile decides it.

use crate::decode::Reason;
use crate::sample::{Missing, NoData, Quantity};
use crate::time::Span;

use super::quantities::{millivolts, no, temperature};

/// Port 1 how many vehicles have passed, which no sample has a place for; 2 heartbeat: health, voltage
/// now and over a day; 3 start-up, 6 for the vendor.
pub(super) fn ncc405(port: u8, payload: &[u8]) -> Result<Vec<Quantity>, Reason> {
    match (port, payload) {
        (2, [_, battery, _]) => Ok(vec![volts(*battery)]),
        (1, [_, _]) | (3, [_, _, _, _]) | (6, _) => Ok(vec![]),
        (1..=3, _) => Err(Reason::Payload),
        _ => Err(Reason::Port),
    }
}

/// Port 1 status, 2 heartbeat, 3 start-up, 6 for the vendor.
pub(super) fn nps310sm(port: u8, payload: &[u8]) -> Result<Vec<Quantity>, Reason> {
    match (port, payload) {
        (1 | 2, [state]) | (3, [_, _, _, _, state]) => Ok(vec![bit_0(*state)]),
        (6, _) => Ok(vec![]),
        (1..=3, _) => Err(Reason::Payload),
        _ => Err(Reason::Port),
    }
}

/// The generation that is sold today: occupancy in bit 0, seven bits above it.
pub(super) fn nps405(port: u8, payload: &[u8]) -> Result<Vec<Quantity>, Reason> {
    report(port, payload, |state| (state & 1 == 1, state >> 1))
}

/// The first generation: occupancy in bit 7, seven bits below it.
pub(super) fn nps405_v1(port: u8, payload: &[u8]) -> Result<Vec<Quantity>, Reason> {
    report(port, payload, |state| (state >> 7 == 1, state & 0x7f))
}

/// Port 1 status, 2 heartbeat, 3 start-up, 6 for the vendor, 10 a driver's tag was read.
fn report(port: u8, payload: &[u8], split: fn(u8) -> (bool, u8)) -> Result<Vec<Quantity>, Reason> {
    match (port, payload) {
        (1, [state]) => Ok(status(split(*state))),
        (2, [state, battery, degrees, _, _, _]) => {
            let state = match split(*state) {
                (occupied, 0) => Quantity::Occupied(occupied),
                // The seven bits are the health of the hardware here.
                _ => no(Missing::Occupied, NoData::SensorFault),
            };
            let milli = i32::from(degrees.cast_signed()) * 500 + 10_000;
            Ok(vec![state, volts(*battery), temperature(milli, -40_000..=85_000)])
        }
        (3, [_, _, _, _, state]) => Ok(vec![bit_0(*state)]),
        (6, _) => Ok(vec![]),
        // The tag's number has four bytes; newer sensors put the tag's battery before it.
        (10, [state, tag @ ..]) if matches!(tag.len(), 4 | 5) => match split(*state) {
            (true, code) => Ok(status((true, code))),
            // Without the bit the state is not part of the message.
            (false, _) => Ok(vec![]),
        },
        (1..=3 | 10, _) => Err(Reason::Payload),
        _ => Err(Reason::Port),
    }
}

fn status((occupied, code): (bool, u8)) -> Vec<Quantity> {
    let mut quantities = vec![Quantity::Occupied(occupied)];
    if let Some((lasted, error)) = previous_minutes(code) {
        let (lasted, error) = (Span::from_mins(lasted), Span::from_mins(error));
        quantities.push(Quantity::PreviousState { lasted, error });
    }
    quantities
}

/// How long the previous state lasted and the most it can be wrong, in minutes. The highest code says
/// 11 hours or longer, which has no most, so it is no measurement.
fn previous_minutes(code: u8) -> Option<(u64, u64)> {
    let code = u64::from(code);
    match code {
        0..90 => Some((code, 0)),
        90..120 => Some((90 + (code - 90) * 5, 4)),
        120..127 => Some((240 + (code - 120) * 60, 59)),
        _ => None,
    }
}

/// From 2.5 V on, in steps of 4 mV.
fn volts(battery: u8) -> Quantity {
    millivolts(2500 + u16::from(battery) * 4)
}

fn bit_0(state: u8) -> Quantity {
    Quantity::Occupied(state & 1 == 1)
}

#[cfg(test)]
mod tests {
    use super::super::bytes;
    use super::*;
    use crate::units::{MilliCelsius, Millivolts};

    const fn previous(lasted: u64, error: u64) -> Quantity {
        Quantity::PreviousState { lasted: Span::from_mins(lasted), error: Span::from_mins(error) }
    }

    const OCCUPIED: Quantity = Quantity::Occupied(true);
    const FREE: Quantity = Quantity::Occupied(false);

    #[test]
    fn golden_uplinks() {
        assert_eq!(nps405(1, &bytes("95")), Ok(vec![OCCUPIED, previous(74, 0)]));
        assert_eq!(nps405(10, &bytes("D1201F345678")), Ok(vec![OCCUPIED, previous(160, 4)]));
        let heartbeat = vec![
            FREE,
            Quantity::BatteryVoltage(Millivolts(3344)),
            Quantity::Temperature(MilliCelsius(-10_000)),
        ];
        assert_eq!(nps405(2, &bytes("00D3D800590B")), Ok(heartbeat.clone()));
        assert_eq!(nps405(3, &bytes("0204090200")), Ok(vec![FREE]));
        assert_eq!(nps405_v1(1, &bytes("CA")), Ok(vec![OCCUPIED, previous(74, 0)]));
        assert_eq!(nps405_v1(2, &bytes("00D3D800590B")), Ok(heartbeat));
        assert_eq!(nps405_v1(10, &bytes("E81F345678")), Ok(vec![OCCUPIED, previous(160, 4)]));
        assert_eq!(nps310sm(1, &[1]), Ok(vec![OCCUPIED]));
        assert_eq!(nps310sm(2, &[0]), Ok(vec![FREE]));
        assert_eq!(nps310sm(3, &bytes("010D000200")), Ok(vec![FREE]));
    }

    #[test]
    fn a_counter_tells_its_battery() {
        assert_eq!(ncc405(1, &bytes("06AA")), Ok(vec![]));
        let battery = Quantity::BatteryVoltage(Millivolts(3344));
        assert_eq!(ncc405(2, &bytes("00D3D8")), Ok(vec![battery]));
        assert_eq!(ncc405(3, &bytes("010D0002")), Ok(vec![]));
        for (port, hex) in [(1, "06"), (1, "06AA00"), (2, "00D3"), (3, "010D000200")] {
            assert_eq!(ncc405(port, &bytes(hex)), Err(Reason::Payload), "{port} {hex}");
        }
        assert_eq!(ncc405(10, &bytes("06AA")), Err(Reason::Port));
    }

    #[test]
    fn the_generations_read_the_same_byte_differently() {
        assert_eq!(nps405(1, &bytes("95")), Ok(vec![OCCUPIED, previous(74, 0)]));
        assert_eq!(nps405_v1(1, &bytes("95")), Ok(vec![OCCUPIED, previous(21, 0)]));
        assert_eq!(nps405(1, &bytes("CA")), Ok(vec![FREE, previous(145, 4)]));
        assert_eq!(nps405_v1(1, &bytes("01")), Ok(vec![FREE, previous(1, 0)]));
    }

    #[test]
    fn durations_at_the_edges_of_the_code() {
        for (code, minutes) in [
            (0, Some((0, 0))),
            (89, Some((89, 0))),
            (90, Some((90, 4))),
            (119, Some((235, 4))),
            (120, Some((240, 59))),
            (126, Some((600, 59))),
            (127, None),
        ] {
            assert_eq!(previous_minutes(code), minutes, "{code}");
        }
        assert_eq!(nps405(1, &[0xff]), Ok(vec![OCCUPIED]));
    }

    #[test]
    fn unhealthy_hardware_says_nothing_about_the_bay() {
        let fault = no(Missing::Occupied, NoData::SensorFault);
        assert_eq!(nps405(2, &bytes("03D3D800590B")).unwrap()[0], fault);
        assert_eq!(nps405_v1(2, &bytes("81D3D800590B")).unwrap()[0], fault);
        assert_eq!(nps405_v1(2, &bytes("80D3D800590B")).unwrap()[0], OCCUPIED);
    }

    #[test]
    fn a_tag_without_a_state_is_no_statement() {
        assert_eq!(nps405(10, &bytes("D0201F345678")), Ok(vec![]));
        assert_eq!(nps405_v1(10, &bytes("681F345678")), Ok(vec![]));
        assert_eq!(nps405(10, &bytes("D11F3456")), Err(Reason::Payload));
    }
}
