//! A board of a bay node: magnetometer, thermometer and memory on its bus, and what has pins of its own.
//!
//! Responsible for what such boards answer alike. Decides nothing and touches no pin itself.

use embedded_hal::delay::DelayNs;
use embedded_hal::i2c::I2c;

use crate::event::{Reading, Sense};
use crate::instruments::Instruments;
use crate::station::Board;

/// What is not on the bus, and differs from board to board.
pub trait Pins {
    /// Puts bytes on the line.
    fn send(&mut self, bytes: &[u8]);
    /// The voltage of the supply in millivolts, measured now; `None` when it cannot be.
    fn supply_mv(&mut self) -> Option<u16>;
    /// Turns the light on or off.
    fn light(&mut self, is_on: bool);
}

/// The board.
#[derive(Debug)]
pub struct BayBoard<I2C, D, P> {
    instruments: Instruments<I2C, D>,
    pins: P,
}

impl<I2C, D, P> BayBoard<I2C, D, P> {
    /// A board of these.
    pub const fn new(instruments: Instruments<I2C, D>, pins: P) -> BayBoard<I2C, D, P> {
        BayBoard { instruments, pins }
    }

    /// What is not on the bus.
    pub const fn pins(&mut self) -> &mut P {
        &mut self.pins
    }
}

impl<I2C: I2c, D: DelayNs, P: Pins> Board for BayBoard<I2C, D, P> {
    fn measure(&mut self, sense: Sense) -> Reading {
        match sense {
            Sense::Field => Reading::Field(self.instruments.field()),
            Sense::Temperature => Reading::Temperature(self.instruments.temperature()),
            Sense::Battery => Reading::Battery(self.pins.supply_mv()),
            // Such a board has none of these.
            Sense::Range => Reading::Range(None),
            Sense::Switches => Reading::Switches { tilted: None, lid_open: None },
        }
    }

    fn load(&mut self, address: u16, bytes: &mut [u8]) -> bool {
        self.instruments.load(address, bytes)
    }

    fn save(&mut self, address: u16, bytes: &[u8]) -> bool {
        self.instruments.save(address, bytes)
    }

    fn send(&mut self, bytes: &[u8]) {
        self.pins.send(bytes);
    }

    fn identify(&mut self, seconds: u16) {
        self.pins.light(seconds > 0);
    }

    fn set_clock(&mut self, _unix_s: u64) {
        // It has none that outlives the power.
    }
}
