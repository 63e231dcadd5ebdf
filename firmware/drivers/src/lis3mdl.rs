//! LIS3MDL, a magnetometer: three axes over I²C (ST DocID024204 Rev 6, register names as there).

use core::fmt;

use embedded_hal::i2c::I2c;

use crate::{Access, BusError, Field, scale};

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
    /// First of four: mode and rate, range, continuous, mode of Z.
    CTRL_REG1 = 0x20,
    /// What has been measured.
    STATUS_REG = 0x27,
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
        /// What it holds in place of 0x3D.
        found: u8,
    },
    /// [`Lis3mdl::start`] has not succeeded yet.
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
            Error::NotStarted => f.write_str("not started: the range in the chip is not known"),
        }
    }
}

impl<E: fmt::Debug> core::error::Error for Error<E> {}

/// The chip on its bus.
#[derive(Debug)]
pub struct Lis3mdl<I2C> {
    bus: I2C,
    address: Address,
    is_started: bool,
}

impl<I2C: I2c> Lis3mdl<I2C> {
    /// Takes the bus; does not touch it.
    pub const fn new(bus: I2C, address: Address) -> Lis3mdl<I2C> {
        Lis3mdl { bus, address, is_started: false }
    }

    /// Gives the bus back.
    pub fn release(self) -> I2C {
        self.bus
    }

    /// Checks that it is the right chip and lets it measure ten times a second within ±400 µT: enough
    /// for the earth's field and a vehicle. May be called again after any error.
    ///
    /// # Errors
    /// The bus fails, or the chip is another one.
    pub fn start(&mut self) -> Result<(), Error<I2C::Error>> {
        self.is_started = false;
        let [found] = self.read(Register::WHO_AM_I, 0)?;
        if found != IDENTITY {
            return Err(Error::Identity { found });
        }
        // Ultra-high performance at 10 Hz; ±4 gauss; continuous; Z as X and Y.
        let settings = [0x70, 0x00, 0x00, 0x0C];
        let register = Register::CTRL_REG1;
        let [one, two, three, four] = settings;
        let bytes = [register as u8 | AUTO_INCREMENT, one, two, three, four];
        self.bus.write(self.address as u8, &bytes).map_err(|source| BusError {
            access: Access::Write,
            register,
            source,
        })?;
        self.is_started = true;
        Ok(())
    }

    /// The latest field; `None` while the first is being measured.
    ///
    /// # Errors
    /// The bus fails, or the chip was not started.
    pub fn field(&mut self) -> Result<Option<Field>, Error<I2C::Error>> {
        const ZYXDA: u8 = 0x08;
        if !self.is_started {
            return Err(Error::NotStarted);
        }
        let [status] = self.read(Register::STATUS_REG, 0)?;
        if status & ZYXDA == 0 {
            return Ok(None);
        }
        let bytes: [u8; 6] = self.read(Register::OUT_X_L, AUTO_INCREMENT)?;
        let [xl, xh, yl, yh, zl, zh] = bytes;
        let axis = |low, high| nanotesla(i16::from_le_bytes([low, high]));
        Ok(Some(Field { x: axis(xl, xh), y: axis(yl, yh), z: axis(zl, zh) }))
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
            Transaction::write(0x1E, vec![0xA0, 0x70, 0x00, 0x00, 0x0C]),
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
            Transaction::write(0x1C, vec![0xA0, 0x70, 0x00, 0x00, 0x0C])
                .with_error(ErrorKind::ArbitrationLoss),
        ];
        let mut chip = Lis3mdl::new(Mock::new(&transactions), Address::Ground);
        let error = chip.start().unwrap_err();
        assert_eq!(error, Error::Identity { found: 0x33 });
        assert!(error.to_string().contains("0x33"));
        let error = chip.start().unwrap_err();
        assert_eq!(error.to_string(), "writing CTRL_REG1: ArbitrationLoss");
        assert_eq!(chip.field(), Err(Error::NotStarted));
        chip.release().done();
    }
}
