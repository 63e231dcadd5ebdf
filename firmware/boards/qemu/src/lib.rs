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
use node::{Board, Instruments, Reading, Sense};

use crate::clock::Wait;
use crate::registers::{CLOCKS, modify, write};

/// The number of this program, in every hello.
pub const FIRMWARE: wire::Firmware = wire::Firmware { major: 0, minor: 1, patch: 0 };

/// The board with everything that stands on it.
pub struct Hardware<'b> {
    instruments: Instruments<RefCellDevice<'b, Bus>, Wait>,
    line: Line,
}

impl<'b> Hardware<'b> {
    /// Takes the chips on `bus` into use.
    pub fn new(bus: &'b RefCell<Bus>) -> Hardware<'b> {
        let memory = at24c::Address::new(0).expect("0 is below 8");
        let instruments = Instruments::new(
            Lsm303dlhc::new(RefCellDevice::new(bus)),
            Some(Tmp102::new(RefCellDevice::new(bus), tmp102::Address::Ground)),
            At24c::new(RefCellDevice::new(bus), memory),
            Wait,
        );
        Hardware { instruments, line: Line::start() }
    }

    /// The next byte from the line, if there is one.
    pub fn heard(&mut self) -> Option<u8> {
        self.line.heard()
    }
}

impl Board for Hardware<'_> {
    fn measure(&mut self, sense: Sense) -> Reading {
        match sense {
            Sense::Field => Reading::Field(self.instruments.field()),
            Sense::Temperature => Reading::Temperature(self.instruments.temperature()),
            // The board has none of these.
            Sense::Range => Reading::Range(None),
            Sense::Switches => Reading::Switches { tilted: None, lid_open: None },
            Sense::Battery => Reading::Battery(None),
        }
    }

    fn load(&mut self, address: u16, bytes: &mut [u8]) -> bool {
        self.instruments.load(address, bytes)
    }

    fn save(&mut self, address: u16, bytes: &[u8]) -> bool {
        self.instruments.save(address, bytes)
    }

    fn send(&mut self, bytes: &[u8]) {
        self.line.send(bytes);
    }

    fn identify(&mut self, seconds: u16) {
        registers::light(seconds > 0);
    }

    fn set_clock(&mut self, _unix_s: u64) {
        // It has none that outlives the power.
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
