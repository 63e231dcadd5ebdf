//! Sensors: one file per chip, used on the microcontroller and on the gateway alike.
//!
//! Responsible for the datasheet: registers, transactions, and the step from raw numbers to units. A
//! driver owns its bus, never waits, keeps no time, and does not judge what a value means; that is the
//! node's and the core's business. Everything here is integer arithmetic without `std` and without
//! allocation.
//!
//! | chip | quantity | bus | source |
//! |---|---|---|---|
//! | [`lsm303dlhc`] | magnetic field, three axes | I²C 0x1E | ST DocID018771 Rev 2 |
//! | [`tmp102`] | temperature | I²C 0x48 to 0x4B | TI SBOS397 |
//! | [`hcsr04`] | distance, 20 mm to 4 m | two pins, pulse length | HC-SR04 user guide |
//! | [`a02yyuw`] | distance, 30 mm to 4.5 m | UART 9600 8N1 | DFRobot SEN0311 |
//!
//! An error names the register that was being read or written ([`BusError`]), so that the log of a box
//! tells a missing chip from a disturbed line.

#![no_std]

#[cfg(test)]
extern crate std;

pub mod a02yyuw;
pub mod hcsr04;
pub mod lsm303dlhc;
pub mod tmp102;

use core::fmt;

/// A transfer on the bus failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BusError<R, E> {
    /// Whether it was a read or a write.
    pub access: Access,
    /// The register, by its name in the datasheet.
    pub register: R,
    /// What the bus says.
    pub source: E,
}

/// The direction of a transfer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// From the chip.
    Read,
    /// To the chip.
    Write,
}

impl<R: fmt::Debug, E: fmt::Debug> fmt::Display for BusError<R, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let access = match self.access {
            Access::Read => "reading",
            Access::Write => "writing",
        };
        write!(f, "{access} {:?}: {:?}", self.register, self.source)
    }
}

impl<R: fmt::Debug, E: fmt::Debug> core::error::Error for BusError<R, E> {}

/// A magnetic field in nanotesla along the three axes of the chip. The earth's is 25 000 to 65 000.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Field {
    /// Along X.
    pub x: i32,
    /// Along Y.
    pub y: i32,
    /// Along Z.
    pub z: i32,
}

/// What a range finder saw.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Range {
    /// Something at this many millimetres.
    Millimetres(u16),
    /// No echo: nothing within range, or something that swallows sound.
    NoTarget,
    /// Something nearer than the sensor can measure.
    TooClose,
}

/// `value * mul / div`, rounded to the nearest, halves away from zero. `div` is not zero and the
/// product fits, which every caller's range makes sure of.
const fn scale(value: i32, mul: i32, div: i32) -> i32 {
    let product = value * mul;
    let half = if product < 0 { -(div / 2) } else { div / 2 };
    (product + half) / div
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::string::ToString;

    #[test]
    fn scaling_rounds_to_the_nearest() {
        for (value, expected) in [(0, 0), (1, 0), (-1, 0), (2, 1), (-2, -1), (4, 1), (5, 2)] {
            assert_eq!(scale(value, 1, 3), expected, "{value}");
        }
        assert_eq!((scale(1, 1, 2), scale(-1, 1, 2)), (1, -1));
    }

    #[test]
    fn an_error_says_what_was_being_done() {
        let error =
            BusError { access: Access::Write, register: tmp102::Register::Config, source: 7 };
        assert_eq!(error.to_string(), "writing Config: 7");
    }
}
