//! LIS3DH, an accelerometer over I²C (ST DocID17530 Rev 2, register names as there), here for the angle at
//! which something hangs.

use core::fmt;

use embedded_hal::i2c::I2c;

use crate::{Acceleration, Access, BusError};

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

/// What a transfer can fail with.
pub type BusFault<E> = BusError<Register, E>;

/// Why there is no reading.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Error<E> {
    /// The bus.
    Bus(BusFault<E>),
    /// Another chip answers at this address.
    Identity {
        /// What it holds in place of 0x33.
        found: u8,
    },
    /// [`Lis3dh::start`] has not succeeded yet.
    NotStarted,
}

impl<E> From<BusFault<E>> for Error<E> {
    fn from(error: BusFault<E>) -> Error<E> {
        Error::Bus(error)
    }
}

impl<E: fmt::Debug> fmt::Display for Error<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Bus(error) => error.fmt(f),
            Error::Identity { found } => {
                write!(f, "WHO_AM_I holds {found:#04x}, not {IDENTITY:#04x}: another chip")
            }
            Error::NotStarted => f.write_str("not started: the chip sleeps"),
        }
    }
}

impl<E: fmt::Debug> core::error::Error for Error<E> {}

/// The chip on its bus.
#[derive(Debug)]
pub struct Lis3dh<I2C> {
    bus: I2C,
    address: Address,
    is_started: bool,
}

impl<I2C: I2c> Lis3dh<I2C> {
    /// Takes the bus; does not touch it.
    pub const fn new(bus: I2C, address: Address) -> Lis3dh<I2C> {
        Lis3dh { bus, address, is_started: false }
    }

    /// Gives the bus back.
    pub fn release(self) -> I2C {
        self.bus
    }

    /// Checks that it is the right chip and lets it measure ten times a second within ±2 g. The first
    /// reading is good after a tenth of a second. May be called again after any error.
    ///
    /// # Errors
    /// The bus fails, or the chip is another one.
    pub fn start(&mut self) -> Result<(), Error<I2C::Error>> {
        self.is_started = false;
        let [found] = self.read(Register::WHO_AM_I, 0)?;
        if found != IDENTITY {
            return Err(Error::Identity { found });
        }
        // Block update, ±2 g, high resolution; then 10 Hz on all axes.
        self.write(Register::CTRL_REG4, 0x88)?;
        self.write(Register::CTRL_REG1, 0x27)?;
        self.is_started = true;
        Ok(())
    }

    /// The latest acceleration.
    ///
    /// # Errors
    /// The bus fails, or the chip was not started.
    pub fn acceleration(&mut self) -> Result<Acceleration, Error<I2C::Error>> {
        if !self.is_started {
            return Err(Error::NotStarted);
        }
        let [xl, xh, yl, yh, zl, zh] = self.read(Register::OUT_X_L, AUTO_INCREMENT)?;
        // Twelve bits on the left; 1 mg a count.
        let axis = |low, high| i32::from(i16::from_le_bytes([low, high]) >> 4);
        Ok(Acceleration { x: axis(xl, xh), y: axis(yl, yh), z: axis(zl, zh) })
    }

    fn read<const N: usize>(
        &mut self,
        register: Register,
        flags: u8,
    ) -> Result<[u8; N], BusFault<I2C::Error>> {
        let mut bytes = [0; N];
        self.bus
            .write_read(self.address as u8, &[register as u8 | flags], &mut bytes)
            .map_err(|source| BusError { access: Access::Read, register, source })?;
        Ok(bytes)
    }

    fn write(&mut self, register: Register, value: u8) -> Result<(), BusFault<I2C::Error>> {
        self.bus.write(self.address as u8, &[register as u8, value]).map_err(|source| BusError {
            access: Access::Write,
            register,
            source,
        })
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
        assert_eq!(chip.start(), Err(Error::Identity { found: 0x3D }));
        assert_eq!(chip.start().unwrap_err().to_string(), "writing CTRL_REG4: Bus");
        assert_eq!(chip.acceleration(), Err(Error::NotStarted));
        chip.release().done();
    }
}
