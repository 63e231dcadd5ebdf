//! The node on the emulated board: wakes when it wants to or when the line speaks.

#![no_std]
#![no_main]

use core::cell::RefCell;

use board_qemu::{FIRMWARE, Hardware, clock, watchdog};
use cortex_m_rt::entry;
use node::Station;
use panic_halt as _;

#[entry]
fn main() -> ! {
    let bus = RefCell::new(board_qemu::start());
    let mut board = Hardware::new(&bus);
    watchdog::start();
    let mut station = loop {
        if let Some(station) = Station::start(FIRMWARE, &mut board, clock::now_ms()) {
            break station;
        }
        // Nobody has told it who it is, or its memory does not answer. The watchdog is fed: starting again
        // would not help.
        watchdog::feed();
        cortex_m::asm::wfi();
    };
    loop {
        while let Some(byte) = board.heard() {
            station.hear(byte, &mut board, clock::now_ms());
        }
        if clock::now_ms() >= station.next_ms() {
            station.wake(&mut board, clock::now_ms());
        }
        watchdog::feed();
        cortex_m::asm::wfi();
    }
}
