//! The range finder VL53L0X on a bus that holds a model of its registers: what the driver from outside asks
//! of the chip, to the byte, and what becomes of what the chip says.

use std::sync::{Arc, Mutex};

use embedded_hal::i2c::{ErrorKind, ErrorType, Operation};

use super::*;

const ADDRESS: u8 = 0x29;
/// Registers by the names of ST's programming interface.
const MODEL_ID: u8 = 0xC0;
const INTERRUPT_STATUS: u8 = 0x13;
const RANGE: u8 = 0x1E;
const STOP_VARIABLE: u8 = 0x91;
const SPAD_READY: u8 = 0x83;

/// The chip behind the bus, and what was asked of it.
#[derive(Debug, Default)]
struct Registers {
    model: u8,
    range_mm: u16,
    is_gone: bool,
    /// Register and value for each write, register alone for each read.
    asked: Vec<Vec<u8>>,
}

#[derive(Debug, Clone, Default)]
struct Bus(Arc<Mutex<Registers>>);

impl ErrorType for Bus {
    type Error = ErrorKind;
}

impl I2c for Bus {
    fn transaction(
        &mut self,
        address: u8,
        operations: &mut [Operation<'_>],
    ) -> Result<(), ErrorKind> {
        let mut chip = self.0.lock().unwrap();
        if chip.is_gone || address != ADDRESS {
            return Err(ErrorKind::Bus);
        }
        let [Operation::Write(asked), Operation::Read(answer)] = operations else {
            panic!("the driver writes and reads at once: {operations:?}")
        };
        chip.asked.push(asked.to_vec());
        answer.fill(0);
        match asked[..] {
            [MODEL_ID] => answer[0] = chip.model,
            [INTERRUPT_STATUS] => answer[0] = 0x04,
            [SPAD_READY] => answer[0] = 0x10,
            [STOP_VARIABLE] => answer[0] = 0x3C,
            [RANGE] => answer.copy_from_slice(&chip.range_mm.to_be_bytes()),
            _ => {}
        }
        Ok(())
    }
}

fn started() -> (Bus, impl Chip) {
    let bus = Bus::default();
    bus.0.lock().unwrap().model = 0xEE;
    let chip = start_vl53l0x(bus.clone(), ADDRESS).unwrap();
    bus.0.lock().unwrap().asked.clear();
    (bus, chip)
}

#[test]
fn one_look_is_one_measurement_with_these_bytes() {
    let (bus, mut chip) = started();
    bus.0.lock().unwrap().range_mm = 842;
    assert_eq!(chip.look(0), Ok(vec![Quantity::Distance(Millimetres(842))]));
    let expected: [&[u8]; 12] = [
        // The stop variable that was read at the start is given back in a page of its own.
        &[0x80, 0x01],
        &[0xFF, 0x01],
        &[0x00, 0x00],
        &[STOP_VARIABLE, 0x3C],
        &[0x00, 0x01],
        &[0xFF, 0x00],
        &[0x80, 0x00],
        // One measurement; its beginning, its end, its result; and the result is taken.
        &[0x00, 0x01],
        &[0x00],
        &[INTERRUPT_STATUS],
        &[RANGE],
        &[0x0B, 0x01],
    ];
    assert_eq!(bus.0.lock().unwrap().asked, expected);
}

#[test]
fn what_it_cannot_see_is_no_distance() {
    let (bus, mut chip) = started();
    let missing = |why| vec![absent(Missing::Distance, why)];
    let distance = |mm| vec![Quantity::Distance(Millimetres(mm))];
    for (range_mm, expected) in [
        (29, missing(NoData::TooClose)),
        (30, distance(30)),
        (2000, distance(2000)),
        (2001, missing(NoData::NoTarget)),
        // What the chip gives when nothing comes back.
        (8190, missing(NoData::NoTarget)),
    ] {
        bus.0.lock().unwrap().range_mm = range_mm;
        assert_eq!(chip.look(0), Ok(expected), "{range_mm}");
    }
}

#[test]
fn a_chip_that_is_another_or_goes_away_is_an_error_and_no_distance() {
    let other = Bus::default();
    other.0.lock().unwrap().model = 0x42;
    let error = start_vl53l0x(other, ADDRESS).err().unwrap();
    assert!(error.contains("66"), "{error}");
    let (bus, mut chip) = started();
    bus.0.lock().unwrap().is_gone = true;
    assert!(chip.look(0).is_err());
}
