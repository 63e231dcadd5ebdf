//! LIS3MDL, a magnetometer: three axes over I²C (ST DocID024204 Rev 6, register names as there).

use embedded_hal::i2c::I2c;

use crate::registers::{self, Registers, axes};
use crate::{Field, scale};

/// The address, chosen by where the pin SDO/SA1 is connected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Address {
    /// SA1 on ground.
    Ground = 0x1C,
    /// SA1 on the supply.
    Supply = 0x1E,
}

/// What `WHO_AM_I` holds.
const IDENTITY: u8 = 0x3D;
/// Bit 7 of the register's address: it goes up by one with every byte.
const AUTO_INCREMENT: u8 = 0x80;

/// The registers in use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(non_camel_case_types, reason = "the datasheet's names")]
pub enum Register {
    /// Identification.
    WHO_AM_I = 0x0F,
    /// Mode of X and Y, and rate.
    CTRL_REG1 = 0x20,
    /// Range.
    CTRL_REG2 = 0x21,
    /// Continuous or not.
    CTRL_REG3 = 0x22,
    /// Mode of Z.
    CTRL_REG4 = 0x23,
    /// What has been measured.
    STATUS_REG = 0x27,
    /// First of six: X, Y, Z, the low byte first.
    OUT_X_L = 0x28,
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
pub struct Lis3mdl<I2C> {
    chip: Registers<I2C>,
}

impl<I2C: I2c> Lis3mdl<I2C> {
    /// Takes the bus; does not touch it.
    pub const fn new(bus: I2C, address: Address) -> Lis3mdl<I2C> {
        Lis3mdl { chip: Registers::new(bus, address as u8) }
    }

    /// Gives the bus back.
    pub fn release(self) -> I2C {
        self.chip.release()
    }

    /// Checks that it is the right chip and lets it measure ten times a second within ±400 µT: enough
    /// for the earth's field and a vehicle. May be called again after any error.
    ///
    /// # Errors
    /// The bus fails, or the chip is another one.
    pub fn start(&mut self) -> Result<(), Error<I2C::Error>> {
        let settings = [
            // Ultra-high performance at 10 Hz; ±4 gauss.
            (Register::CTRL_REG1, 0x70),
            (Register::CTRL_REG2, 0x00),
            // Z as X and Y; then continuous.
            (Register::CTRL_REG4, 0x0C),
            (Register::CTRL_REG3, 0x00),
        ];
        self.chip.start(Register::WHO_AM_I, IDENTITY, &settings)
    }

    /// The latest field; `None` while the first is being measured.
    ///
    /// # Errors
    /// The bus fails, or the chip was not started.
    pub fn field(&mut self) -> Result<Option<Field>, Error<I2C::Error>> {
        const ZYXDA: u8 = 0x08;
        let chip = self.chip.started()?;
        let [status] = chip.read(Register::STATUS_REG, 0)?;
        if status & ZYXDA == 0 {
            return Ok(None);
        }
        let [x, y, z] = axes(chip.read(Register::OUT_X_L, AUTO_INCREMENT)?).map(nanotesla);
        Ok(Some(Field { x, y, z }))
    }
}

/// 6842 counts a gauss (100 µT) in the range of ±4 gauss.
const fn nanotesla(counts: i16) -> i32 {
    scale(counts as i32, 50_000, 3421)
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
            Transaction::write_read(0x1E, vec![0x0F], vec![0x3D]),
            Transaction::write(0x1E, vec![0x20, 0x70]),
            Transaction::write(0x1E, vec![0x21, 0x00]),
            Transaction::write(0x1E, vec![0x23, 0x0C]),
            Transaction::write(0x1E, vec![0x22, 0x00]),
            Transaction::write_read(0x1E, vec![0x27], vec![0x00]),
            Transaction::write_read(0x1E, vec![0x27], vec![0x0F]),
            Transaction::write_read(0x1E, vec![0xA8], vec![0xBA, 0x1A, 0x46, 0xE5, 0x00, 0x80]),
        ];
        let mut chip = Lis3mdl::new(Mock::new(&transactions), Address::Supply);
        assert_eq!(chip.field(), Err(Error::NotStarted));
        chip.start().unwrap();
        assert_eq!(chip.field(), Ok(None));
        let field = Field { x: 100_000, y: -100_000, z: -478_924 };
        assert_eq!(chip.field(), Ok(Some(field)));
        chip.release().done();
    }

    #[test]
    fn another_chip_and_a_bad_bus_are_named() {
        let transactions = [
            Transaction::write_read(0x1C, vec![0x0F], vec![0x33]),
            Transaction::write_read(0x1C, vec![0x0F], vec![0x3D]),
            Transaction::write(0x1C, vec![0x20, 0x70]).with_error(ErrorKind::ArbitrationLoss),
        ];
        let mut chip = Lis3mdl::new(Mock::new(&transactions), Address::Ground);
        let error = chip.start().unwrap_err();
        assert_eq!(
            error,
            Error::Identity { register: Register::WHO_AM_I, found: 0x33, expected: IDENTITY }
        );
        assert!(error.to_string().contains("0x33"));
        let error = chip.start().unwrap_err();
        assert_eq!(error.to_string(), "writing CTRL_REG1: ArbitrationLoss");
        assert_eq!(chip.field(), Err(Error::NotStarted));
        chip.release().done();
    }
}
