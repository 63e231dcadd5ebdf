//! The LM3S6965 evaluation board as QEMU emulates it (TI SPMS143): what of it a node needs, at the level of
//! registers.
//!
//! Responsible for the millisecond clock, one UART, one I²C bus, the watchdog, and the light. What is known
//! to be different in QEMU stands beside the code it concerns. No decision is made here.

#![no_std]

mod bus;
mod line;
mod registers;

pub mod clock;
pub mod watchdog;

pub use bus::{Bus, BusFault};
pub use line::Line;

use core::cell::RefCell;

use drivers::at24c::{self, At24c};
use drivers::lsm303dlhc::Lsm303dlhc;
use drivers::tmp102::{self, Tmp102};
use embedded_hal_bus::i2c::RefCellDevice;
use node::{BayBoard, Instruments, Pins};

use crate::clock::Wait;
use crate::registers::{CLOCKS, modify, write};

/// The number of this program, in every hello.
pub const FIRMWARE: wire::Firmware = wire::Firmware { major: 0, minor: 2, patch: 0 };

/// The board with everything that stands on it.
pub type Hardware<'b> = BayBoard<RefCellDevice<'b, Bus>, Wait, Outside>;

/// What of it is not on the bus.
#[derive(Debug)]
pub struct Outside {
    line: Line,
}

/// Takes the chips on `bus` and the line into use.
pub fn hardware(bus: &RefCell<Bus>) -> Hardware<'_> {
    let memory = at24c::Address::new(0).expect("0 is below 8");
    let instruments = Instruments::new(
        Lsm303dlhc::new(RefCellDevice::new(bus)),
        Some(Tmp102::new(RefCellDevice::new(bus), tmp102::Address::Ground)),
        At24c::new(RefCellDevice::new(bus), memory),
        Wait,
    );
    BayBoard::new(instruments, Outside { line: Line::start() })
}

impl Outside {
    /// The next byte from the line, if there is one.
    pub fn heard(&mut self) -> Option<u8> {
        self.line.heard()
    }
}

impl Pins for Outside {
    fn send(&mut self, bytes: &[u8]) {
        self.line.send(bytes);
    }

    fn supply_mv(&mut self) -> Option<u16> {
        // QEMU has no converter.
        None
    }

    fn light(&mut self, is_on: bool) {
        registers::light(is_on);
    }
}

/// Lets the clock into what is used, and connects the pins.
pub fn start() -> Bus {
    for (register, bits) in CLOCKS {
        modify(register, |before| before | bits);
    }
    registers::connect_pins();
    clock::start();
    Bus::start()
}

/// Writes to a register of the board by its address, for programs that measure.
pub fn poke(address: u32, value: u32) {
    write(address, value);
}
