//! Bosch parking lot sensor TPS110.
//!
//! Layout: the public device description of The Things Network (`vendor/bosch`, codec 0292). Bit 0 of
//! the state byte says whether the bay is taken; the other bits are reserved and not looked at.

use crate::decode::Reason;
use crate::sample::Quantity;

use super::quantities::whole_degrees;

/// Length of the start-up message: debug codes (12 bytes), firmware (3), reset cause, state.
const STARTUP_LENGTH: usize = 17;

/// Port 1 status, 2 heartbeat with the temperature in whole degrees, 3 start-up.
pub(super) fn tps110(port: u8, payload: &[u8]) -> Result<Vec<Quantity>, Reason> {
    match (port, payload) {
        (1, [state]) => Ok(vec![occupied(*state)]),
        // Datasheet: -40 to +85 °C.
        (2, [state, degrees]) => {
            Ok(vec![occupied(*state), whole_degrees(*degrees, -40_000..=85_000)])
        }
        (3, [.., state]) if payload.len() == STARTUP_LENGTH => Ok(vec![occupied(*state)]),
        (1..=3, _) => Err(Reason::Payload),
        _ => Err(Reason::Port),
    }
}

fn occupied(state: u8) -> Quantity {
    Quantity::Occupied(state & 1 == 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample::{Absent, Missing, NoData};
    use crate::units::MilliCelsius;

    #[test]
    fn golden_uplinks() {
        let warm = |degrees| Quantity::Temperature(MilliCelsius(degrees * 1000));
        assert_eq!(tps110(1, &[1]), Ok(vec![Quantity::Occupied(true)]));
        assert_eq!(tps110(1, &[0]), Ok(vec![Quantity::Occupied(false)]));
        assert_eq!(tps110(2, &[1, 0xff]), Ok(vec![Quantity::Occupied(true), warm(-1)]));
        assert_eq!(tps110(2, &[0, 85]), Ok(vec![Quantity::Occupied(false), warm(85)]));
        let startup = [0x24, 3, 0, 0, 0x75, 3, 0, 0, 0, 0, 0, 0, 0, 0x1d, 2, 3, 1];
        assert_eq!(tps110(3, &startup), Ok(vec![Quantity::Occupied(true)]));
    }

    #[test]
    fn a_temperature_that_cannot_be_is_none() {
        let absent =
            Quantity::Absent(Absent { what: Missing::Temperature, why: NoData::OutOfRange });
        for degrees in [-117_i8, -128, -41, 86, 127] {
            let quantities = tps110(2, &[1, degrees.cast_unsigned()]).unwrap();
            assert_eq!(quantities, [Quantity::Occupied(true), absent], "{degrees}");
        }
    }

    #[test]
    fn other_lengths_and_ports_are_refused() {
        for port in 1..=3 {
            for length in 0..20 {
                let fits = matches!((port, length), (1, 1) | (2, 2) | (3, 17));
                let read = tps110(port, &vec![0; length]);
                assert_eq!(read.err(), (!fits).then_some(Reason::Payload), "{port} {length}");
            }
        }
        assert_eq!(tps110(0, &[1]), Err(Reason::Port));
        assert_eq!(tps110(4, &[1]), Err(Reason::Port));
    }
}
