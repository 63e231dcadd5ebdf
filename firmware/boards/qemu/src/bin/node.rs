//! The node on the emulated board: wakes when it wants to or when the line speaks.

#![no_std]
#![no_main]

use core::cell::RefCell;

use board_qemu::{FIRMWARE, Hardware, clock, watchdog};
use cortex_m_rt::entry;
use node::Station;
use panic_halt as _;
use static_cell::StaticCell;

/// Not on the stack, where making it would need it twice.
static STATION: StaticCell<Station> = StaticCell::new();

#[entry]
fn main() -> ! {
    let bus = RefCell::new(board_qemu::start());
    let mut board = board_qemu::hardware(&bus);
    watchdog::start();
    let station = start(&mut board);
    loop {
        while let Some(byte) = board.pins().heard() {
            station.hear(byte, &mut board, clock::now_ms());
        }
        if clock::now_ms() >= station.next_ms() {
            station.wake(&mut board, clock::now_ms());
        }
        watchdog::feed();
        cortex_m::asm::wfi();
    }
}

/// Starts the node, as soon as its memory says who it is.
#[inline(never)] // What it needs of the stack is given back.
fn start(board: &mut Hardware<'_>) -> &'static mut Station {
    loop {
        if let Some(identity) = Station::identity(FIRMWARE, board) {
            let station = STATION.init_with(|| Station::start(identity, board, clock::now_ms()));
            station.recall(board);
            return station;
        }
        // Starting again would not help, so the watchdog is fed.
        watchdog::feed();
        cortex_m::asm::wfi();
    }
}
