//! ADXL345, an accelerometer over I²C (Analog Devices, Rev. G, register names as there), here for the angle
//! at which something hangs.

use core::fmt;

use embedded_hal::i2c::I2c;

use crate::{Acceleration, Access, BusError};

/// The address, chosen by where the pin SDO/ALT ADDRESS is connected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Address {
    /// On ground.
    Ground = 0x53,
    /// On the supply.
    Supply = 0x1D,
}

/// What `DEVID` holds.
const IDENTITY: u8 = 0xE5;

/// The registers in use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(non_camel_case_types, reason = "the datasheet's names")]
pub enum Register {
    /// Identification.
    DEVID = 0x00,
    /// Rate.
    BW_RATE = 0x2C,
    /// Sleep and measurement.
    POWER_CTL = 0x2D,
    /// Range and resolution.
    DATA_FORMAT = 0x31,
    /// First of six: X, Y, Z, the low byte first.
    DATAX0 = 0x32,
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
        /// What it holds in place of 0xE5.
        found: u8,
    },
    /// [`Adxl345::start`] has not succeeded yet.
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
                write!(f, "DEVID holds {found:#04x}, not {IDENTITY:#04x}: another chip")
            }
            Error::NotStarted => f.write_str("not started: the chip sleeps"),
        }
    }
}

impl<E: fmt::Debug> core::error::Error for Error<E> {}

/// The chip on its bus.
#[derive(Debug)]
pub struct Adxl345<I2C> {
    bus: I2C,
    address: Address,
    is_started: bool,
}

impl<I2C: I2c> Adxl345<I2C> {
    /// Takes the bus; does not touch it.
    pub const fn new(bus: I2C, address: Address) -> Adxl345<I2C> {
        Adxl345 { bus, address, is_started: false }
    }

    /// Gives the bus back.
    pub fn release(self) -> I2C {
        self.bus
    }

    /// Checks that it is the right chip and lets it measure 12.5 times a second within ±16 g. The first
    /// reading is good after a tenth of a second. May be called again after any error.
    ///
    /// # Errors
    /// The bus fails, or the chip is another one.
    pub fn start(&mut self) -> Result<(), Error<I2C::Error>> {
        self.is_started = false;
        let [found] = self.read(Register::DEVID)?;
        if found != IDENTITY {
            return Err(Error::Identity { found });
        }
        self.write(Register::BW_RATE, 0x07)?;
        // Full resolution: 3.9 mg a count whatever the range.
        self.write(Register::DATA_FORMAT, 0x0B)?;
        self.write(Register::POWER_CTL, 0x08)?;
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
        let [xl, xh, yl, yh, zl, zh] = self.read(Register::DATAX0)?;
        // 256 counts are 1000 mg.
        let axis = |low, high| i32::from(i16::from_le_bytes([low, high])) * 125 / 32;
        Ok(Acceleration { x: axis(xl, xh), y: axis(yl, yh), z: axis(zl, zh) })
    }

    fn read<const N: usize>(
        &mut self,
        register: Register,
    ) -> Result<[u8; N], BusFault<I2C::Error>> {
        let mut bytes = [0; N];
        self.bus
            .write_read(self.address as u8, &[register as u8], &mut bytes)
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
            Transaction::write_read(0x53, vec![0x00], vec![0xE5]),
            Transaction::write(0x53, vec![0x2C, 0x07]),
            Transaction::write(0x53, vec![0x31, 0x0B]),
            Transaction::write(0x53, vec![0x2D, 0x08]),
            Transaction::write_read(0x53, vec![0x32], vec![0x80, 0x00, 0x80, 0xFF, 0x00, 0x01]),
        ];
        let mut chip = Adxl345::new(Mock::new(&transactions), Address::Ground);
        assert_eq!(chip.acceleration(), Err(Error::NotStarted));
        chip.start().unwrap();
        assert_eq!(chip.acceleration(), Ok(Acceleration { x: 500, y: -500, z: 1000 }));
        chip.release().done();
    }

    #[test]
    fn another_chip_and_a_bad_bus_are_named() {
        let transactions = [
            Transaction::write_read(0x1D, vec![0x00], vec![0x00]),
            Transaction::write_read(0x1D, vec![0x00], vec![0xE5]),
            Transaction::write(0x1D, vec![0x2C, 0x07]).with_error(ErrorKind::Bus),
        ];
        let mut chip = Adxl345::new(Mock::new(&transactions), Address::Supply);
        assert_eq!(chip.start(), Err(Error::Identity { found: 0 }));
        assert_eq!(chip.start().unwrap_err().to_string(), "writing BW_RATE: Bus");
        assert_eq!(chip.acceleration(), Err(Error::NotStarted));
        chip.release().done();
    }
}
