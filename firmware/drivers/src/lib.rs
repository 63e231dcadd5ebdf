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
//! | [`lis3mdl`] | magnetic field, three axes | I²C 0x1C, 0x1E | ST DocID024204 Rev 6 |
//! | [`qmc5883l`] | magnetic field, three axes | I²C 0x0D | QST 13-52-04 Rev 1.0 |
//! | [`adxl345`] | acceleration, three axes | I²C 0x53, 0x1D | Analog Devices Rev. G |
//! | [`lis3dh`] | acceleration, three axes | I²C 0x18, 0x19 | ST DocID17530 Rev 2 |
//! | [`ads1115`] | voltage, four inputs | I²C 0x48 to 0x4B | TI SBAS444D |
//! | [`ds18b20`] | temperature | one wire | Maxim 19-7487 Rev 6 |
//! | [`at24c`] | memory that keeps without power | I²C 0x50 to 0x57 | Atmel doc0336 |
//! | [`rdm6300`] | 125 kHz cards | UART 9600 8N1 | manual of the reader |
//! | [`debounce`] | contacts | a pin | |
//!
//! An error names the register that was being read or written ([`BusError`]), so that the log of a box
//! tells a missing chip from a disturbed line.

#![no_std]

#[cfg(test)]
extern crate std;

pub mod a02yyuw;
pub mod ads1115;
pub mod adxl345;
pub mod at24c;
pub mod debounce;
pub mod ds18b20;
pub mod hcsr04;
pub mod lis3dh;
pub mod lis3mdl;
pub mod lsm303dlhc;
pub mod qmc5883l;
pub mod rdm6300;
pub mod registers;
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

impl Field {
    /// How far this field is from another one, in nanotesla, cut to whole ones.
    #[must_use]
    pub fn distance(self, other: Field) -> u32 {
        let square = |a: i32, b: i32| u64::from(a.abs_diff(b)).pow(2);
        let sum = square(self.x, other.x)
            .saturating_add(square(self.y, other.y))
            .saturating_add(square(self.z, other.z));
        u32::try_from(sum.isqrt()).unwrap_or(u32::MAX)
    }
}

/// An acceleration in thousandths of the earth's along the three axes of the chip. At rest it is the
/// earth's own, and tells which way is up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Acceleration {
    /// Along X.
    pub x: i32,
    /// Along Y.
    pub y: i32,
    /// Along Z, which is up when the chip lies flat.
    pub z: i32,
}

impl Acceleration {
    /// What counts as rest, in thousandths of the earth's: outside something knocks or lifts.
    pub const REST: core::ops::RangeInclusive<u64> = 800..=1200;

    /// Whether Z leans from upright by more than the angle whose cosine is this many thousandths
    /// (60°: 500). `None` while the chip is not at rest: nobody then knows which way is up.
    #[must_use]
    pub fn leans_beyond(self, cosine_milli: i32) -> Option<bool> {
        let square = |axis: i32| u64::from(axis.unsigned_abs()).pow(2);
        let whole = (square(self.x) + square(self.y) + square(self.z)).isqrt();
        if !Acceleration::REST.contains(&whole) {
            return None;
        }
        // The cosine is Z over the whole; both are far from what 64 bits hold.
        let whole = i64::try_from(whole).ok()?;
        Some(i64::from(self.z) * 1000 < whole * i64::from(cosine_milli))
    }
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
    fn the_distance_between_two_fields() {
        let field = |x, y, z| Field { x, y, z };
        assert_eq!(field(3000, -4000, 0).distance(field(0, 0, 0)), 5000);
        assert_eq!(field(i32::MAX, i32::MAX, i32::MAX).distance(field(i32::MIN, 0, 0)), u32::MAX);
    }

    #[test]
    fn leaning_is_told_at_rest_only() {
        let at = |x, y, z| Acceleration { x, y, z }.leans_beyond(707);
        assert_eq!(at(0, 0, 1000), Some(false));
        assert_eq!(at(690, 0, 724), Some(false));
        assert_eq!(at(724, 0, 690), Some(true));
        assert_eq!(at(0, -1000, 0), Some(true));
        assert_eq!(at(0, 0, -1000), Some(true), "upside down");
        assert_eq!(at(0, 0, 0), None, "falling");
        assert_eq!(at(2000, 0, 1000), None, "knocked");
    }

    #[test]
    fn an_error_says_what_was_being_done() {
        let error =
            BusError { access: Access::Write, register: tmp102::Register::Config, source: 7 };
        assert_eq!(error.to_string(), "writing Config: 7");
    }
}
