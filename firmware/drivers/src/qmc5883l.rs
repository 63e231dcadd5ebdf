//! QMC5883L, a magnetometer: three axes over I²C (QST document 13-52-04 Rev 1.0, register names as there).
//!
//! Sold on boards that are marked HMC5883L, with other registers and another address.

use embedded_hal::i2c::I2c;

use crate::registers::{self, Registers, axes};
use crate::{Field, scale};

/// The chip's only address.
pub const ADDRESS: u8 = 0x0D;

/// What the chip id register holds.
const IDENTITY: u8 = 0xFF;

/// The registers in use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Register {
    /// First of six: X, Y, Z, the low byte first.
    Data = 0x00,
    /// What has been measured, and whether it overflowed.
    Status = 0x06,
    /// Mode, rate, range, oversampling.
    Control1 = 0x09,
    /// Reset and interrupt.
    Control2 = 0x0A,
    /// Period of the set and reset pulses.
    SetReset = 0x0B,
    /// Identification.
    ChipId = 0x0D,
}

impl registers::Register for Register {
    fn number(self) -> u8 {
        self as u8
    }
}

/// Why there is no reading.
pub type Error<E> = registers::Error<Register, E>;

/// The chip on its bus.
#[derive(Debug)]
pub struct Qmc5883l<I2C> {
    chip: Registers<I2C>,
}

impl<I2C: I2c> Qmc5883l<I2C> {
    /// Takes the bus; does not touch it.
    pub const fn new(bus: I2C) -> Qmc5883l<I2C> {
        Qmc5883l { chip: Registers::new(bus, ADDRESS) }
    }

    /// Gives the bus back.
    pub fn release(self) -> I2C {
        self.chip.release()
    }

    /// Checks that it is the right chip and lets it measure ten times a second within ±200 µT. May be
    /// called again after any error.
    ///
    /// # Errors
    /// The bus fails, or the chip is another one.
    pub fn start(&mut self) -> Result<(), Error<I2C::Error>> {
        // The datasheet's example (7.1): period 1; then continuous, 10 Hz, ±2 gauss, 512 readings.
        let settings = [(Register::SetReset, 0x01), (Register::Control1, 0x01)];
        self.chip.start(Register::ChipId, IDENTITY, &settings)
    }

    /// The latest field; `None` while the next is being measured.
    ///
    /// # Errors
    /// The bus fails, the chip was not started, or the field leaves its range.
    pub fn field(&mut self) -> Result<Option<Field>, Error<I2C::Error>> {
        const READY: u8 = 0x01;
        const OVERFLOW: u8 = 0x02;
        let chip = self.chip.started()?;
        let [status] = chip.read(Register::Status, 0)?;
        if status & READY == 0 {
            return Ok(None);
        }
        // Reading the data releases the chip for the next measurement, also after an overflow.
        let field = axes(chip.read(Register::Data, 0)?);
        if status & OVERFLOW != 0 {
            return Err(Error::OutOfRange);
        }
        let [x, y, z] = field.map(nanotesla);
        Ok(Some(Field { x, y, z }))
    }
}

/// 12 000 counts a gauss (100 µT) in the range of ±2 gauss.
const fn nanotesla(counts: i16) -> i32 {
    scale(counts as i32, 25, 3)
}

#[cfg(test)]
mod tests {
    use super::*;
    use embedded_hal::i2c::ErrorKind;
    use embedded_hal_mock::eh1::i2c::{Mock, Transaction};
    use std::string::ToString;
    use std::vec;

    #[test]
    fn it_is_started_and_read() {
        let transactions = [
            Transaction::write_read(0x0D, vec![0x0D], vec![0xFF]),
            Transaction::write(0x0D, vec![0x0B, 0x01]),
            Transaction::write(0x0D, vec![0x09, 0x01]),
            Transaction::write_read(0x0D, vec![0x06], vec![0x00]),
            Transaction::write_read(0x0D, vec![0x06], vec![0x01]),
            Transaction::write_read(0x0D, vec![0x00], vec![0xE0, 0x2E, 0x20, 0xD1, 0x01, 0x00]),
            Transaction::write_read(0x0D, vec![0x06], vec![0x03]),
            Transaction::write_read(0x0D, vec![0x00], vec![0xFF, 0x7F, 0, 0, 0, 0]),
        ];
        let mut chip = Qmc5883l::new(Mock::new(&transactions));
        assert_eq!(chip.field(), Err(Error::NotStarted));
        chip.start().unwrap();
        assert_eq!(chip.field(), Ok(None));
        assert_eq!(chip.field(), Ok(Some(Field { x: 100_000, y: -100_000, z: 8 })));
        assert_eq!(chip.field(), Err(Error::OutOfRange));
        chip.release().done();
    }

    #[test]
    fn another_chip_and_a_bad_bus_are_named() {
        let transactions = [
            Transaction::write_read(0x0D, vec![0x0D], vec![0x48]),
            Transaction::write_read(0x0D, vec![0x0D], vec![0xFF]),
            Transaction::write(0x0D, vec![0x0B, 0x01]).with_error(ErrorKind::Bus),
        ];
        let mut chip = Qmc5883l::new(Mock::new(&transactions));
        assert_eq!(
            chip.start(),
            Err(Error::Identity { register: Register::ChipId, found: 0x48, expected: IDENTITY })
        );
        assert_eq!(chip.start().unwrap_err().to_string(), "writing SetReset: Bus");
        assert_eq!(chip.field(), Err(Error::NotStarted));
        chip.release().done();
    }
}
