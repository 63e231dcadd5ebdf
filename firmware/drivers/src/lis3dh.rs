//! LIS3DH, an accelerometer over I²C (ST DocID17530 Rev 2, register names as there), here for the angle at
//! which something hangs.

use embedded_hal::i2c::I2c;

use crate::Acceleration;
use crate::registers::{self, Registers, axes};

/// The address, chosen by where the pin SDO/SA0 is connected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Address {
    /// SA0 on ground.
    Ground = 0x18,
    /// SA0 on the supply.
    Supply = 0x19,
}

/// What `WHO_AM_I` holds.
const IDENTITY: u8 = 0x33;
/// Bit 7 of the register's address: it goes up by one with every byte.
const AUTO_INCREMENT: u8 = 0x80;

/// The registers in use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(non_camel_case_types, reason = "the datasheet's names")]
pub enum Register {
    /// Identification.
    WHO_AM_I = 0x0F,
    /// Rate and axes.
    CTRL_REG1 = 0x20,
    /// Range and resolution.
    CTRL_REG4 = 0x23,
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
pub struct Lis3dh<I2C> {
    chip: Registers<I2C>,
}

impl<I2C: I2c> Lis3dh<I2C> {
    /// Takes the bus; does not touch it.
    pub const fn new(bus: I2C, address: Address) -> Lis3dh<I2C> {
        Lis3dh { chip: Registers::new(bus, address as u8) }
    }

    /// Gives the bus back.
    pub fn release(self) -> I2C {
        self.chip.release()
    }

    /// Checks that it is the right chip and lets it measure ten times a second within ±2 g. The first
    /// reading is good after a tenth of a second. May be called again after any error.
    ///
    /// # Errors
    /// The bus fails, or the chip is another one.
    pub fn start(&mut self) -> Result<(), Error<I2C::Error>> {
        // Block update, ±2 g, high resolution; then 10 Hz on all axes.
        let settings = [(Register::CTRL_REG4, 0x88), (Register::CTRL_REG1, 0x27)];
        self.chip.start(Register::WHO_AM_I, IDENTITY, &settings)
    }

    /// The latest acceleration.
    ///
    /// # Errors
    /// The bus fails, or the chip was not started.
    pub fn acceleration(&mut self) -> Result<Acceleration, Error<I2C::Error>> {
        let chip = self.chip.started()?;
        let counts = axes(chip.read(Register::OUT_X_L, AUTO_INCREMENT)?);
        // Twelve bits on the left; 1 mg a count.
        let [x, y, z] = counts.map(|count| i32::from(count >> 4));
        Ok(Acceleration { x, y, z })
    }
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
            Transaction::write_read(0x18, vec![0x0F], vec![0x33]),
            Transaction::write(0x18, vec![0x23, 0x88]),
            Transaction::write(0x18, vec![0x20, 0x27]),
            Transaction::write_read(0x18, vec![0xA8], vec![0x40, 0x1F, 0xC0, 0xE0, 0x80, 0x3E]),
        ];
        let mut chip = Lis3dh::new(Mock::new(&transactions), Address::Ground);
        assert_eq!(chip.acceleration(), Err(Error::NotStarted));
        chip.start().unwrap();
        assert_eq!(chip.acceleration(), Ok(Acceleration { x: 500, y: -500, z: 1000 }));
        chip.release().done();
    }

    #[test]
    fn another_chip_and_a_bad_bus_are_named() {
        let transactions = [
            Transaction::write_read(0x19, vec![0x0F], vec![0x3D]),
            Transaction::write_read(0x19, vec![0x0F], vec![0x33]),
            Transaction::write(0x19, vec![0x23, 0x88]).with_error(ErrorKind::Bus),
        ];
        let mut chip = Lis3dh::new(Mock::new(&transactions), Address::Supply);
        assert_eq!(
            chip.start(),
            Err(Error::Identity { register: Register::WHO_AM_I, found: 0x3D, expected: IDENTITY })
        );
        assert_eq!(chip.start().unwrap_err().to_string(), "writing CTRL_REG4: Bus");
        assert_eq!(chip.acceleration(), Err(Error::NotStarted));
        chip.release().done();
    }
}
