//! LSM303DLHC, the magnetometer half: three axes over I²C (ST DocID018771 Rev 2, register names as there).
//!
//! The HMC5883L has the same registers and passes the same identity check, without the thermometer.

use core::fmt;

use embedded_hal::i2c::I2c;

use crate::{Access, BusError, Field, scale};

/// The chip's only address.
pub const ADDRESS: u8 = 0x1E;

/// An axis that left its range reads as this.
const OVERFLOW: i16 = -4096;

/// What the three identification registers hold: `H43`.
const IDENTITY: [u8; 3] = [0x48, 0x34, 0x33];

/// The registers in use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(non_camel_case_types, reason = "the datasheet's names")]
pub enum Register {
    /// Output rate and thermometer.
    CRA_REG_M = 0x00,
    /// Gain.
    CRB_REG_M = 0x01,
    /// Operating mode.
    MR_REG_M = 0x02,
    /// First of six: X, Z, Y, the high byte first.
    OUT_X_H_M = 0x03,
    /// First of the three identification registers.
    IRA_REG_M = 0x0A,
    /// First of two: temperature, the high byte first.
    TEMP_OUT_H_M = 0x31,
}

/// The measuring range; the wider, the coarser.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Gain {
    /// ±130 µT, the finest. Enough for the earth's field and a vehicle.
    MicroTesla130 = 1,
    /// ±190 µT.
    MicroTesla190 = 2,
    /// ±250 µT.
    MicroTesla250 = 3,
    /// ±400 µT.
    MicroTesla400 = 4,
    /// ±470 µT.
    MicroTesla470 = 5,
    /// ±560 µT.
    MicroTesla560 = 6,
    /// ±810 µT.
    MicroTesla810 = 7,
}

/// How often the chip measures by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rate {
    /// 3 times a second.
    Hz3 = 2,
    /// 7.5 times a second.
    Hz7 = 3,
    /// 15 times a second.
    Hz15 = 4,
    /// 30 times a second.
    Hz30 = 5,
    /// 75 times a second.
    Hz75 = 6,
    /// 220 times a second.
    Hz220 = 7,
}

/// Raw numbers of the three axes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Counts {
    /// X.
    pub x: i16,
    /// Y.
    pub y: i16,
    /// Z.
    pub z: i16,
}

/// Why there is no reading.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Error<E> {
    /// The bus.
    Bus(BusError<Register, E>),
    /// Another chip answers at this address.
    Identity {
        /// What it holds in place of `H43`.
        found: [u8; 3],
    },
    /// [`Lsm303dlhc::start`] has not succeeded yet: the gain in the chip is not known.
    NotStarted,
    /// The field is stronger than the gain allows on at least one axis.
    OutOfRange,
}

impl<E> From<BusError<Register, E>> for Error<E> {
    fn from(error: BusError<Register, E>) -> Error<E> {
        Error::Bus(error)
    }
}

impl<E: fmt::Debug> fmt::Display for Error<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Bus(error) => error.fmt(f),
            Error::Identity { found } => {
                write!(f, "IRA_REG_M holds {found:02x?}, not {IDENTITY:02x?}: another chip")
            }
            Error::NotStarted => f.write_str("not started: the gain in the chip is not known"),
            Error::OutOfRange => f.write_str("the field is out of range: use a wider gain"),
        }
    }
}

impl<E: fmt::Debug> core::error::Error for Error<E> {}

/// The chip on its bus.
#[derive(Debug)]
pub struct Lsm303dlhc<I2C> {
    bus: I2C,
    /// The gain in the chip, since the chip confirmed it.
    gain: Option<Gain>,
}

impl<I2C: I2c> Lsm303dlhc<I2C> {
    /// Takes the bus; does not touch it.
    pub const fn new(bus: I2C) -> Lsm303dlhc<I2C> {
        Lsm303dlhc { bus, gain: None }
    }

    /// Gives the bus back.
    pub fn release(self) -> I2C {
        self.bus
    }

    /// Checks that it is the right chip and lets it measure continuously, thermometer included. The
    /// first reading is good after two periods of `rate`. May be called again after any error.
    ///
    /// # Errors
    /// The bus fails, or the chip is another one.
    pub fn start(&mut self, gain: Gain, rate: Rate) -> Result<(), Error<I2C::Error>> {
        const TEMP_EN: u8 = 0x80;
        const CONTINUOUS: u8 = 0x00;
        self.gain = None;
        let found = self.read(Register::IRA_REG_M)?;
        if found != IDENTITY {
            return Err(Error::Identity { found });
        }
        self.write(Register::CRA_REG_M, TEMP_EN | ((rate as u8) << 2))?;
        self.write(Register::CRB_REG_M, (gain as u8) << 5)?;
        self.write(Register::MR_REG_M, CONTINUOUS)?;
        self.gain = Some(gain);
        Ok(())
    }

    /// Lets the chip sleep. [`Lsm303dlhc::start`] wakes it.
    ///
    /// # Errors
    /// The bus fails; whether the chip sleeps is then not known.
    pub fn sleep(&mut self) -> Result<(), Error<I2C::Error>> {
        const SLEEP: u8 = 0x03;
        self.gain = None;
        Ok(self.write(Register::MR_REG_M, SLEEP)?)
    }

    /// The latest field.
    ///
    /// # Errors
    /// The bus fails, the chip was not started, or the field leaves its range.
    pub fn field(&mut self) -> Result<Field, Error<I2C::Error>> {
        let gain = self.gain.ok_or(Error::NotStarted)?;
        let counts = Counts::from_registers(self.read(Register::OUT_X_H_M)?);
        gain.field(counts).ok_or(Error::OutOfRange)
    }

    /// The latest temperature in thousandths of a degree Celsius, in steps of 125. The datasheet gives
    /// no zero for it: good for changes of one and the same chip, not as a thermometer.
    ///
    /// # Errors
    /// The bus fails, or the chip was not started.
    pub fn temperature(&mut self) -> Result<i32, Error<I2C::Error>> {
        self.gain.ok_or(Error::NotStarted)?;
        Ok(milli_celsius(self.read(Register::TEMP_OUT_H_M)?))
    }

    fn read<const N: usize>(
        &mut self,
        register: Register,
    ) -> Result<[u8; N], BusError<Register, I2C::Error>> {
        let mut bytes = [0; N];
        self.bus.write_read(ADDRESS, &[register as u8], &mut bytes).map_err(|source| BusError {
            access: Access::Read,
            register,
            source,
        })?;
        Ok(bytes)
    }

    fn write(
        &mut self,
        register: Register,
        value: u8,
    ) -> Result<(), BusError<Register, I2C::Error>> {
        self.bus.write(ADDRESS, &[register as u8, value]).map_err(|source| BusError {
            access: Access::Write,
            register,
            source,
        })
    }
}

impl Counts {
    /// From the six output registers: X, Z, Y, the high byte first.
    #[must_use]
    pub const fn from_registers(bytes: [u8; 6]) -> Counts {
        let [x_high, x_low, z_high, z_low, y_high, y_low] = bytes;
        Counts {
            x: i16::from_be_bytes([x_high, x_low]),
            y: i16::from_be_bytes([y_high, y_low]),
            z: i16::from_be_bytes([z_high, z_low]),
        }
    }
}

impl Gain {
    /// Counts per gauss (100 µT) on X and Y, and on Z.
    const fn sensitivity(self) -> (i32, i32) {
        match self {
            Gain::MicroTesla130 => (1100, 980),
            Gain::MicroTesla190 => (855, 760),
            Gain::MicroTesla250 => (670, 600),
            Gain::MicroTesla400 => (450, 400),
            Gain::MicroTesla470 => (400, 355),
            Gain::MicroTesla560 => (330, 295),
            Gain::MicroTesla810 => (230, 205),
        }
    }

    /// The field that `counts` stand for; `None` when an axis left its range.
    #[must_use]
    pub fn field(self, counts: Counts) -> Option<Field> {
        let (xy, z) = self.sensitivity();
        Some(Field {
            x: nanotesla(counts.x, xy)?,
            y: nanotesla(counts.y, xy)?,
            z: nanotesla(counts.z, z)?,
        })
    }
}

fn nanotesla(counts: i16, per_gauss: i32) -> Option<i32> {
    const GAUSS: i32 = 100_000;
    // The converter has 12 bits: -2048 to 2047. Times a gauss that fits an i32.
    let valid = counts != OVERFLOW && (-2048..=2047).contains(&counts);
    valid.then(|| scale(i32::from(counts), GAUSS, per_gauss))
}

/// The temperature stands in the upper 12 bits, 8 counts per degree.
const fn milli_celsius(bytes: [u8; 2]) -> i32 {
    ((i16::from_be_bytes(bytes) >> 4) as i32) * 125
}

#[cfg(test)]
mod tests {
    use super::*;
    use embedded_hal::i2c::ErrorKind;
    use embedded_hal_mock::eh1::i2c::{Mock, Transaction};
    use std::vec;
    use std::vec::Vec;

    fn started() -> Vec<Transaction> {
        vec![
            Transaction::write_read(0x1E, vec![0x0A], vec![0x48, 0x34, 0x33]),
            Transaction::write(0x1E, vec![0x00, 0x90]),
            Transaction::write(0x1E, vec![0x01, 0x20]),
            Transaction::write(0x1E, vec![0x02, 0x00]),
        ]
    }

    fn start(chip: &mut Lsm303dlhc<Mock>) -> Result<(), Error<ErrorKind>> {
        chip.start(Gain::MicroTesla130, Rate::Hz15)
    }

    #[test]
    fn it_is_checked_set_up_and_read() {
        let mut transactions = started();
        transactions.extend([
            // X 220, Z 392, Y -55: 20, 40 and -5 µT.
            Transaction::write_read(0x1E, vec![0x03], vec![0x00, 0xDC, 0x01, 0x88, 0xFF, 0xC9]),
            // 172 eighths of a degree.
            Transaction::write_read(0x1E, vec![0x31], vec![0x0A, 0xC0]),
            Transaction::write(0x1E, vec![0x02, 0x03]),
        ]);
        let mut chip = Lsm303dlhc::new(Mock::new(&transactions));
        start(&mut chip).unwrap();
        assert_eq!(chip.field(), Ok(Field { x: 20_000, y: -5_000, z: 40_000 }));
        assert_eq!(chip.temperature(), Ok(21_500));
        chip.sleep().unwrap();
        assert_eq!(chip.field(), Err(Error::NotStarted));
        chip.release().done();
    }

    #[test]
    fn before_the_start_the_bus_is_left_alone() {
        let mut chip = Lsm303dlhc::new(Mock::new(&[]));
        assert_eq!(chip.field(), Err(Error::NotStarted));
        assert_eq!(chip.temperature(), Err(Error::NotStarted));
        chip.release().done();
    }

    #[test]
    fn another_chip_is_not_written_to() {
        let other = Transaction::write_read(0x1E, vec![0x0A], vec![0, 0, 0xFF]);
        let mut chip = Lsm303dlhc::new(Mock::new(&[other]));
        assert_eq!(start(&mut chip), Err(Error::Identity { found: [0, 0, 0xFF] }));
        chip.release().done();
    }

    #[test]
    fn a_failed_write_is_named_and_the_gain_is_not_believed() {
        let mut transactions = started();
        transactions.truncate(3);
        transactions[2] = transactions[2].clone().with_error(ErrorKind::ArbitrationLoss);
        transactions.extend(started());
        let mut chip = Lsm303dlhc::new(Mock::new(&transactions));
        assert_eq!(
            start(&mut chip),
            Err(Error::Bus(BusError {
                access: Access::Write,
                register: Register::CRB_REG_M,
                source: ErrorKind::ArbitrationLoss
            }))
        );
        assert_eq!(chip.field(), Err(Error::NotStarted));
        assert_eq!(start(&mut chip), Ok(()), "a second start is allowed");
        chip.release().done();
    }

    #[test]
    fn a_failed_read_is_named_and_the_next_one_works() {
        let field = Transaction::write_read(0x1E, vec![0x03], vec![0; 6]);
        let mut transactions = started();
        transactions.extend([field.clone().with_error(ErrorKind::Other), field]);
        let mut chip = Lsm303dlhc::new(Mock::new(&transactions));
        start(&mut chip).unwrap();
        let Err(Error::Bus(error)) = chip.field() else { panic!("the bus failed") };
        assert_eq!((error.access, error.register), (Access::Read, Register::OUT_X_H_M));
        assert_eq!(chip.field(), Ok(Field::default()));
        chip.release().done();
    }

    #[test]
    fn counts_become_nanotesla() {
        let table = [
            (Gain::MicroTesla130, 1100, 980, 100_000),
            (Gain::MicroTesla190, 855, 760, 100_000),
            (Gain::MicroTesla250, 670, 600, 100_000),
            (Gain::MicroTesla400, 450, 400, 100_000),
            (Gain::MicroTesla470, 400, 355, 100_000),
            (Gain::MicroTesla560, 330, 295, 100_000),
            (Gain::MicroTesla810, 230, 205, 100_000),
            (Gain::MicroTesla130, 0, 0, 0),
            (Gain::MicroTesla130, -1100, -980, -100_000),
        ];
        for (gain, xy, z, nt) in table {
            let field = gain.field(Counts { x: xy, y: xy, z });
            assert_eq!(field, Some(Field { x: nt, y: nt, z: nt }), "{gain:?}");
        }
    }

    #[test]
    fn the_edges_of_the_converter() {
        let of = |counts| nanotesla(counts, 1100);
        assert_eq!(of(1), Some(91));
        assert_eq!(of(-1), Some(-91));
        assert_eq!(of(2047), Some(186_091));
        assert_eq!(of(-2048), Some(-186_182));
        assert_eq!(nanotesla(2047, 205), Some(998_537));
        for out in [2048, -2049, OVERFLOW, i16::MAX, i16::MIN] {
            assert_eq!(of(out), None, "{out}");
        }
    }

    #[test]
    fn one_axis_out_of_range_spoils_the_reading() {
        let mut transactions = started();
        transactions.push(Transaction::write_read(
            0x1E,
            vec![0x03],
            vec![0x00, 0x01, 0xF0, 0x00, 0x00, 0x01],
        ));
        let mut chip = Lsm303dlhc::new(Mock::new(&transactions));
        start(&mut chip).unwrap();
        assert_eq!(chip.field(), Err(Error::OutOfRange));
        chip.release().done();
    }

    #[test]
    fn the_thermometer_has_twelve_bits_and_a_sign() {
        let table = [
            ([0x00, 0x00], 0),
            ([0x00, 0x10], 125),
            ([0xFF, 0xF0], -125),
            ([0x7F, 0xF0], 255_875),
            ([0x80, 0x00], -256_000),
            ([0x00, 0x0F], 0),
        ];
        for (bytes, mc) in table {
            assert_eq!(milli_celsius(bytes), mc, "{bytes:02x?}");
        }
    }
}
