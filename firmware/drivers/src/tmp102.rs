//! TMP102, a thermometer on I²C (TI SBOS397, register names as there).
//!
//! After power-on it measures four times a second and reads 0 °C until the first conversion is done,
//! 35 ms at the most; whoever owns the chip waits that long. It has no register by which it could be
//! told from another chip. The temperature register of TMP112, TMP75 and LM75 has the same form.

use embedded_hal::i2c::I2c;

use crate::{Access, BusError};

/// The address, chosen by where the pin ADD0 is connected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Address {
    /// ADD0 on ground.
    Ground = 0x48,
    /// ADD0 on the supply.
    Supply = 0x49,
    /// ADD0 on SDA.
    Sda = 0x4A,
    /// ADD0 on SCL.
    Scl = 0x4B,
}

/// The registers in use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Register {
    /// The temperature, two bytes.
    Temperature = 0x00,
    /// The configuration, two bytes.
    Config = 0x01,
}

/// What a transfer can fail with.
pub type Error<E> = BusError<Register, E>;

/// First byte: full resolution (read-only), shut down. Second byte: as after power-on.
const CONFIG_SHUTDOWN: [u8; 2] = [0x61, 0xA0];
/// The bit that starts a conversion while shut down, and that reads as one when it is done.
const ONE_SHOT: u8 = 0x80;

/// The chip on its bus.
#[derive(Debug)]
pub struct Tmp102<I2C> {
    bus: I2C,
    address: Address,
}

impl<I2C: I2c> Tmp102<I2C> {
    /// Takes the bus; does not touch it.
    pub const fn new(bus: I2C, address: Address) -> Tmp102<I2C> {
        Tmp102 { bus, address }
    }

    /// Gives the bus back.
    pub fn release(self) -> I2C {
        self.bus
    }

    /// The latest temperature in thousandths of a degree Celsius, in steps of 62.5 (cut to whole ones).
    ///
    /// # Errors
    /// The bus fails.
    pub fn temperature(&mut self) -> Result<i32, Error<I2C::Error>> {
        self.read(Register::Temperature).map(milli_celsius)
    }

    /// Stops measuring: below 1 µA from then on.
    ///
    /// # Errors
    /// The bus fails; whether the chip sleeps is then not known.
    pub fn shut_down(&mut self) -> Result<(), Error<I2C::Error>> {
        self.configure(CONFIG_SHUTDOWN)
    }

    /// Starts one measurement of a chip that is shut down; done after 35 ms at the most.
    ///
    /// # Errors
    /// The bus fails.
    pub fn convert(&mut self) -> Result<(), Error<I2C::Error>> {
        let [first, second] = CONFIG_SHUTDOWN;
        self.configure([first | ONE_SHOT, second])
    }

    /// Whether the measurement that [`Tmp102::convert`] started is done.
    ///
    /// # Errors
    /// The bus fails.
    pub fn converted(&mut self) -> Result<bool, Error<I2C::Error>> {
        let [first, _] = self.read(Register::Config)?;
        Ok(first & ONE_SHOT != 0)
    }

    fn read(&mut self, register: Register) -> Result<[u8; 2], Error<I2C::Error>> {
        let mut bytes = [0; 2];
        self.bus
            .write_read(self.address as u8, &[register as u8], &mut bytes)
            .map_err(|source| BusError { access: Access::Read, register, source })?;
        Ok(bytes)
    }

    fn configure(&mut self, [first, second]: [u8; 2]) -> Result<(), Error<I2C::Error>> {
        let register = Register::Config;
        self.bus
            .write(self.address as u8, &[register as u8, first, second])
            .map_err(|source| BusError { access: Access::Write, register, source })
    }
}

/// Sixteenths of a degree, left aligned: 12 bits, or 13 in the extended mode, which the lowest bit
/// shows.
const fn milli_celsius(bytes: [u8; 2]) -> i32 {
    let raw = i16::from_be_bytes(bytes);
    let sixteenths = if raw & 1 == 1 { raw >> 3 } else { raw >> 4 };
    sixteenths as i32 * 125 / 2
}

#[cfg(test)]
mod tests {
    use super::*;
    use embedded_hal::i2c::ErrorKind;
    use embedded_hal_mock::eh1::i2c::{Mock, Transaction};
    use std::vec;

    #[test]
    fn the_datasheets_table_of_temperatures() {
        let table = [
            (0x7FF0, 127_937),
            (0x6400, 100_000),
            (0x5000, 80_000),
            (0x4B00, 75_000),
            (0x3200, 50_000),
            (0x1900, 25_000),
            (0x0040, 250),
            (0x0010, 62),
            (0x0000, 0),
            (0xFFC0, -250),
            (0xFFF0, -62),
            (0xE700, -25_000),
            (0xC900, -55_000),
            // Extended mode.
            (0x4B01, 150_000),
            (0x3E81, 125_000),
            (0xE481, -55_000),
        ];
        for (raw, mc) in table {
            assert_eq!(milli_celsius(u16::to_be_bytes(raw)), mc, "{raw:04x}");
        }
    }

    #[test]
    fn it_is_read_and_put_to_sleep() {
        let transactions = [
            Transaction::write_read(0x49, vec![0x00], vec![0x15, 0x80]),
            Transaction::write(0x49, vec![0x01, 0x61, 0xA0]),
            Transaction::write(0x49, vec![0x01, 0xE1, 0xA0]),
            Transaction::write_read(0x49, vec![0x01], vec![0x61, 0xA0]),
            Transaction::write_read(0x49, vec![0x01], vec![0xE1, 0xA0]),
        ];
        let mut chip = Tmp102::new(Mock::new(&transactions), Address::Supply);
        assert_eq!(chip.temperature(), Ok(21_500));
        chip.shut_down().unwrap();
        chip.convert().unwrap();
        assert_eq!(chip.converted(), Ok(false));
        assert_eq!(chip.converted(), Ok(true));
        chip.release().done();
    }

    #[test]
    fn an_error_names_the_register() {
        let transactions = [
            Transaction::write_read(0x48, vec![0x00], vec![0, 0]).with_error(ErrorKind::Bus),
            Transaction::write(0x48, vec![0x01, 0x61, 0xA0]).with_error(ErrorKind::Overrun),
        ];
        let mut chip = Tmp102::new(Mock::new(&transactions), Address::Ground);
        let error = chip.temperature().unwrap_err();
        assert_eq!((error.access, error.register), (Access::Read, Register::Temperature));
        let error = chip.shut_down().unwrap_err();
        assert_eq!((error.access, error.register), (Access::Write, Register::Config));
        assert_eq!(error.source, ErrorKind::Overrun);
        chip.release().done();
    }
}
