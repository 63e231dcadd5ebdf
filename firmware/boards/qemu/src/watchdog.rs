//! The watchdog: a program that hangs is started again.

use crate::registers::write;

const BASE: u32 = 0x4000_0000;
const LOAD: u32 = BASE;
const CONTROL: u32 = BASE + 0x008;
const CLEAR: u32 = BASE + 0x00C;
/// An interrupt at the first time it runs out, a reset at the second.
const INTERRUPT_AND_RESET: u32 = 0x3;
const SECONDS: u32 = 4;

/// Starts it; from now on [`feed`] must be called every four seconds.
pub fn start() {
    write(LOAD, SECONDS * crate::clock::HZ);
    write(CONTROL, INTERRUPT_AND_RESET);
}

/// The program is alive.
pub fn feed() {
    write(CLEAR, 1);
}
