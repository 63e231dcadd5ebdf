//! ADXL345, an accelerometer over I²C (Analog Devices, Rev. G, register names as there), here for the angle
//! at which something hangs.

use embedded_hal::i2c::I2c;

use crate::Acceleration;
use crate::registers::{self, Registers, axes};

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

impl registers::Register for Register {
    fn number(self) -> u8 {
        self as u8
    }
}

/// Why there is no reading.
pub type Error<E> = registers::Error<Register, E>;

/// The chip on its bus.
#[derive(Debug)]
pub struct Adxl345<I2C> {
    chip: Registers<I2C>,
}

impl<I2C: I2c> Adxl345<I2C> {
    /// Takes the bus; does not touch it.
    pub const fn new(bus: I2C, address: Address) -> Adxl345<I2C> {
        Adxl345 { chip: Registers::new(bus, address as u8) }
    }

    /// Gives the bus back.
    pub fn release(self) -> I2C {
        self.chip.release()
    }

    /// Checks that it is the right chip and lets it measure 12.5 times a second within ±16 g. The first
    /// reading is good after a tenth of a second. May be called again after any error.
    ///
    /// # Errors
    /// The bus fails, or the chip is another one.
    pub fn start(&mut self) -> Result<(), Error<I2C::Error>> {
        let settings = [
            (Register::BW_RATE, 0x07),
            // Full resolution: 3.9 mg a count whatever the range.
            (Register::DATA_FORMAT, 0x0B),
            (Register::POWER_CTL, 0x08),
        ];
        self.chip.start(Register::DEVID, IDENTITY, &settings)
    }

    /// The latest acceleration.
    ///
    /// # Errors
    /// The bus fails, or the chip was not started.
    pub fn acceleration(&mut self) -> Result<Acceleration, Error<I2C::Error>> {
        let chip = self.chip.started()?;
        let counts = axes(chip.read(Register::DATAX0, 0)?);
        // 256 counts are 1000 mg.
        let [x, y, z] = counts.map(|count| i32::from(count) * 125 / 32);
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
        assert_eq!(
            chip.start(),
            Err(Error::Identity { register: Register::DEVID, found: 0, expected: IDENTITY })
        );
        assert_eq!(chip.start().unwrap_err().to_string(), "writing BW_RATE: Bus");
        assert_eq!(chip.acceleration(), Err(Error::NotStarted));
        chip.release().done();
    }
}
