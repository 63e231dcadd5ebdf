//! What the boards of bay nodes have on their bus: magnetometer, thermometer, and memory that keeps without
//! power.
//!
//! Responsible for starting a chip again that has failed, and for waiting as long as a chip says it needs. A
//! board adds what has pins of its own: battery, switches, line and light.

use drivers::Field;
use drivers::at24c::{At24c, WRITE_MS, pages};
use drivers::lsm303dlhc::{Gain, Lsm303dlhc, Rate};
use drivers::tmp102::Tmp102;
use embedded_hal::delay::DelayNs;
use embedded_hal::i2c::I2c;
use wire::Temperature;

/// Quicker than a node looks by its initial settings; ten times as quick would take ten times the current.
const RATE: Rate = Rate::Hz7;
/// A chip that has just been started has its first reading after two periods of 7.5 Hz.
const FIRST_FIELD_MS: u32 = 267;

/// The chips, each with its handle of the bus.
#[derive(Debug)]
pub struct Instruments<I2C, D> {
    magnetometer: Lsm303dlhc<I2C>,
    is_started: bool,
    thermometer: Option<Tmp102<I2C>>,
    memory: At24c<I2C>,
    delay: D,
}

impl<I2C: I2c, D: DelayNs> Instruments<I2C, D> {
    /// Takes the handles; touches no chip. A board without a thermometer says so.
    pub const fn new(
        magnetometer: Lsm303dlhc<I2C>,
        thermometer: Option<Tmp102<I2C>>,
        memory: At24c<I2C>,
        delay: D,
    ) -> Instruments<I2C, D> {
        Instruments { magnetometer, is_started: false, thermometer, memory, delay }
    }

    /// The field; `None` when the chip fails. It is started anew before the next reading.
    pub fn field(&mut self) -> Option<Field> {
        if !self.is_started {
            self.magnetometer.start(Gain::MicroTesla130, RATE).ok()?;
            self.is_started = true;
            self.delay.delay_ms(FIRST_FIELD_MS);
        }
        let field = self.magnetometer.field();
        self.is_started = field.is_ok();
        field.ok()
    }

    /// The temperature at the sensor.
    pub fn temperature(&mut self) -> Temperature {
        match self.thermometer.as_mut().map(Tmp102::temperature) {
            Some(Ok(mc)) => Temperature::MilliCelsius(mc),
            Some(Err(_)) => Temperature::Fault,
            None => Temperature::NotFitted,
        }
    }

    /// Reads memory; whether it could be read.
    pub fn load(&mut self, address: u16, bytes: &mut [u8]) -> bool {
        self.memory.read(address, bytes).is_ok()
    }

    /// Writes memory and waits until it is safe; whether it is.
    pub fn save(&mut self, address: u16, bytes: &[u8]) -> bool {
        pages(address, bytes).all(|(cell, page)| self.save_page(cell, page))
    }

    fn save_page(&mut self, cell: u16, page: &[u8]) -> bool {
        if self.memory.write_page(cell, page).is_err() {
            return false;
        }
        for _ in 0..=WRITE_MS {
            if matches!(self.memory.is_ready(), Ok(true)) {
                return true;
            }
            self.delay.delay_ms(1);
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use drivers::at24c::Address;
    use drivers::tmp102;
    use embedded_hal::i2c::{ErrorKind, NoAcknowledgeSource};
    use embedded_hal_mock::eh1::delay::NoopDelay;
    use embedded_hal_mock::eh1::i2c::{Mock, Transaction};
    use std::vec;
    use std::vec::Vec;

    fn instruments(
        field: &[Transaction],
        temperature: &[Transaction],
        memory: &[Transaction],
    ) -> Instruments<Mock, NoopDelay> {
        Instruments::new(
            Lsm303dlhc::new(Mock::new(field)),
            Some(Tmp102::new(Mock::new(temperature), tmp102::Address::Ground)),
            At24c::new(Mock::new(memory), Address::new(0).unwrap()),
            NoopDelay::new(),
        )
    }

    fn done(instruments: Instruments<Mock, NoopDelay>) {
        instruments.magnetometer.release().done();
        instruments.thermometer.unwrap().release().done();
        instruments.memory.release().done();
    }

    #[test]
    fn a_magnetometer_that_failed_is_started_again() {
        let start = [
            Transaction::write_read(0x1E, vec![0x0A], vec![0x48, 0x34, 0x33]),
            Transaction::write(0x1E, vec![0x00, 0x8C]),
            Transaction::write(0x1E, vec![0x01, 0x20]),
            Transaction::write(0x1E, vec![0x02, 0x00]),
        ];
        let read = Transaction::write_read(0x1E, vec![0x03], vec![0; 6]);
        let failed = read.clone().with_error(ErrorKind::Other);
        let gone = start[0].clone().with_error(ErrorKind::Other);
        let parts: [&[Transaction]; 4] = [&start, &[read.clone(), failed, gone], &start, &[read]];
        let mut chips = instruments(&parts.concat(), &[], &[]);
        let seen: Vec<bool> = (0..4).map(|_| chips.field().is_some()).collect();
        assert_eq!(seen, [true, false, false, true]);
        done(chips);
    }

    #[test]
    fn a_thermometer_that_fails_is_told_from_one_that_is_not_there() {
        let read = Transaction::write_read(0x48, vec![0x00], vec![0x15, 0x80]);
        let mut chips = instruments(&[], &[read.clone(), read.with_error(ErrorKind::Bus)], &[]);
        assert_eq!(chips.temperature(), Temperature::MilliCelsius(21_500));
        assert_eq!(chips.temperature(), Temperature::Fault);
        done(chips);
        let memory = At24c::new(Mock::new(&[]), Address::new(0).unwrap());
        let field = Lsm303dlhc::new(Mock::new(&[]));
        let mut bare = Instruments::new(field, None, memory, NoopDelay::new());
        assert_eq!(bare.temperature(), Temperature::NotFitted);
        bare.magnetometer.release().done();
        bare.memory.release().done();
    }

    fn page(cell: u8, bytes: &[u8]) -> [Transaction; 4] {
        [
            Transaction::transaction_start(0x50),
            Transaction::write(0x50, vec![0, cell]),
            Transaction::write(0x50, bytes.to_vec()),
            Transaction::transaction_end(0x50),
        ]
    }

    #[test]
    fn memory_is_written_page_by_page_and_waited_for() {
        let ready = Transaction::read(0x50, vec![0]);
        let busy = ready.clone().with_error(ErrorKind::NoAcknowledge(NoAcknowledgeSource::Address));
        let mut steps = page(0x1E, &[1, 2]).to_vec();
        steps.extend([busy.clone(), busy.clone(), ready.clone()]);
        steps.extend(page(0x20, &[3]));
        steps.push(ready);
        // One that never becomes ready.
        steps.extend(page(0x00, &[4]));
        steps.extend(vec![busy; WRITE_MS as usize + 1]);
        let mut chips = instruments(&[], &[], &steps);
        assert!(chips.save(0x1E, &[1, 2, 3]));
        assert!(!chips.save(0, &[4]));
        done(chips);
    }
}
