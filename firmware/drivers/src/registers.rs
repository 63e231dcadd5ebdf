//! What chips with numbered registers on I²C have in common: transfers whose errors name the register, the
//! check that the right chip answers, and that nothing is read before the chip is set up.

use core::fmt;

use embedded_hal::i2c::I2c;

use crate::{Access, BusError};

/// A register of a chip, by its name in the datasheet.
pub trait Register: Copy + fmt::Debug {
    /// Its number.
    fn number(self) -> u8;
}

/// Why there is no reading.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Error<R, E> {
    /// The bus.
    Bus(BusError<R, E>),
    /// Another chip answers at this address.
    Identity {
        /// The register that tells the kind of chip.
        register: R,
        /// What it holds.
        found: u8,
        /// What it should hold.
        expected: u8,
    },
    /// The chip was not set up, or not since the last error of doing so: it sleeps, or its range is unknown.
    NotStarted,
    /// What it measures is beyond the range it was set to.
    OutOfRange,
}

impl<R, E> From<BusError<R, E>> for Error<R, E> {
    fn from(error: BusError<R, E>) -> Error<R, E> {
        Error::Bus(error)
    }
}

impl<R: fmt::Debug, E: fmt::Debug> fmt::Display for Error<R, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Bus(error) => error.fmt(f),
            Error::Identity { register, found, expected } => {
                write!(f, "{register:?} holds {found:#04x}, not {expected:#04x}: another chip")
            }
            Error::NotStarted => {
                f.write_str("not started: the chip sleeps, or its range is unknown")
            }
            Error::OutOfRange => f.write_str("beyond the range that the chip is set to"),
        }
    }
}

impl<R: fmt::Debug, E: fmt::Debug> core::error::Error for Error<R, E> {}

/// A chip on its bus.
#[derive(Debug)]
pub(crate) struct Registers<I2C> {
    bus: I2C,
    address: u8,
    is_started: bool,
}

impl<I2C: I2c> Registers<I2C> {
    pub(crate) const fn new(bus: I2C, address: u8) -> Registers<I2C> {
        Registers { bus, address, is_started: false }
    }

    pub(crate) fn release(self) -> I2C {
        self.bus
    }

    /// Reads from `register` on. `flags` go with its number: some chips want bit 7 for more than one byte.
    pub(crate) fn read<R: Register, const N: usize>(
        &mut self,
        register: R,
        flags: u8,
    ) -> Result<[u8; N], BusError<R, I2C::Error>> {
        let mut bytes = [0; N];
        self.bus
            .write_read(self.address, &[register.number() | flags], &mut bytes)
            .map_err(|source| BusError { access: Access::Read, register, source })?;
        Ok(bytes)
    }

    fn write<R: Register>(
        &mut self,
        register: R,
        value: u8,
    ) -> Result<(), BusError<R, I2C::Error>> {
        self.bus.write(self.address, &[register.number(), value]).map_err(|source| BusError {
            access: Access::Write,
            register,
            source,
        })
    }

    /// Sets the chip up: checks that `register` holds `expected`, then writes `settings`. Only after that
    /// [`Registers::started`] lets through.
    pub(crate) fn start<R: Register>(
        &mut self,
        register: R,
        expected: u8,
        settings: &[(R, u8)],
    ) -> Result<(), Error<R, I2C::Error>> {
        self.is_started = false;
        let [found] = self.read(register, 0)?;
        if found != expected {
            return Err(Error::Identity { register, found, expected });
        }
        for (register, value) in settings {
            self.write(*register, *value)?;
        }
        self.is_started = true;
        Ok(())
    }

    /// The chip, if it was set up.
    pub(crate) fn started<R>(&mut self) -> Result<&mut Self, Error<R, I2C::Error>> {
        if self.is_started { Ok(self) } else { Err(Error::NotStarted) }
    }
}

/// Three axes of sixteen bits each, the low byte first.
pub(crate) fn axes(bytes: [u8; 6]) -> [i16; 3] {
    let [xl, xh, yl, yh, zl, zh] = bytes;
    [(xl, xh), (yl, yh), (zl, zh)].map(|(low, high)| i16::from_le_bytes([low, high]))
}
