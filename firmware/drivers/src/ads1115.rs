//! ADS1115, an analogue input: four voltages over I²C (TI SBAS444D, register names as there).
//!
//! One input is measured at a time and on request, against ground, within ±4.096 V.

use embedded_hal::i2c::I2c;

use crate::{Access, BusError};

/// The address, chosen by where the pin ADDR is connected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Address {
    /// On ground.
    Ground = 0x48,
    /// On the supply.
    Supply = 0x49,
    /// On SDA.
    Sda = 0x4A,
    /// On SCL.
    Scl = 0x4B,
}

/// An input, measured against ground.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Input {
    /// AIN0.
    A0 = 4,
    /// AIN1.
    A1 = 5,
    /// AIN2.
    A2 = 6,
    /// AIN3.
    A3 = 7,
}

/// The registers in use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Register {
    /// The result, two bytes.
    Conversion = 0x00,
    /// The configuration, two bytes.
    Config = 0x01,
}

/// What a transfer can fail with.
pub type Error<E> = BusError<Register, E>;

/// The longest time that a conversion takes, in milliseconds: 128 a second, and a tenth more for the
/// chip's own clock (table 7.5).
pub const CONVERSION_MS: u32 = 9;

/// Bit 15 of the configuration: starts a conversion, and reads as one when none is under way.
const START: u8 = 0x80;
/// ±4.096 V and one conversion at a time.
const ONE_AT_4V: u8 = 0x02 | 0x01;
/// 128 a second, comparator off.
const AS_AFTER_POWER_ON: u8 = 0x83;

/// The chip on its bus.
#[derive(Debug)]
pub struct Ads1115<I2C> {
    bus: I2C,
    address: Address,
}

impl<I2C: I2c> Ads1115<I2C> {
    /// Takes the bus; does not touch it.
    pub const fn new(bus: I2C, address: Address) -> Ads1115<I2C> {
        Ads1115 { bus, address }
    }

    /// Gives the bus back.
    pub fn release(self) -> I2C {
        self.bus
    }

    /// Starts a measurement of `input`; done after [`CONVERSION_MS`] at the most.
    ///
    /// # Errors
    /// The bus fails.
    pub fn convert(&mut self, input: Input) -> Result<(), Error<I2C::Error>> {
        let register = Register::Config;
        let first = START | (input as u8) << 4 | ONE_AT_4V;
        self.bus
            .write(self.address as u8, &[register as u8, first, AS_AFTER_POWER_ON])
            .map_err(|source| BusError { access: Access::Write, register, source })
    }

    /// The voltage that [`Ads1115::convert`] has measured, in millivolts; `None` while it is measured.
    ///
    /// # Errors
    /// The bus fails.
    pub fn millivolts(&mut self) -> Result<Option<i32>, Error<I2C::Error>> {
        let [first, _] = self.read(Register::Config)?;
        if first & START == 0 {
            return Ok(None);
        }
        // 8 counts are a millivolt.
        let counts = i16::from_be_bytes(self.read(Register::Conversion)?);
        Ok(Some(i32::from(counts) / 8))
    }

    fn read(&mut self, register: Register) -> Result<[u8; 2], Error<I2C::Error>> {
        let mut bytes = [0; 2];
        self.bus
            .write_read(self.address as u8, &[register as u8], &mut bytes)
            .map_err(|source| BusError { access: Access::Read, register, source })?;
        Ok(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use embedded_hal::i2c::ErrorKind;
    use embedded_hal_mock::eh1::i2c::{Mock, Transaction};
    use std::vec;

    #[test]
    fn an_input_is_measured() {
        let transactions = [
            Transaction::write(0x48, vec![0x01, 0xC3, 0x83]),
            Transaction::write_read(0x48, vec![0x01], vec![0x43, 0x83]),
            Transaction::write_read(0x48, vec![0x01], vec![0xC3, 0x83]),
            Transaction::write_read(0x48, vec![0x00], vec![0x5D, 0xC0]),
            Transaction::write(0x48, vec![0x01, 0xF3, 0x83]),
            Transaction::write_read(0x48, vec![0x01], vec![0xF3, 0x83]),
            Transaction::write_read(0x48, vec![0x00], vec![0xFF, 0xF0]),
        ];
        let mut chip = Ads1115::new(Mock::new(&transactions), Address::Ground);
        chip.convert(Input::A0).unwrap();
        assert_eq!(chip.millivolts(), Ok(None));
        assert_eq!(chip.millivolts(), Ok(Some(3000)));
        chip.convert(Input::A3).unwrap();
        assert_eq!(chip.millivolts(), Ok(Some(-2)));
        chip.release().done();
    }

    #[test]
    fn an_error_names_the_register() {
        let transactions =
            [Transaction::write(0x4B, vec![0x01, 0xD3, 0x83]).with_error(ErrorKind::Bus)];
        let mut chip = Ads1115::new(Mock::new(&transactions), Address::Scl);
        let error = chip.convert(Input::A1).unwrap_err();
        assert_eq!((error.access, error.register), (Access::Write, Register::Config));
        chip.release().done();
    }
}
