//! The line: UART0, 115 200 baud, 8N1. What comes is taken by an interrupt.

use core::cell::RefCell;

use cortex_m::peripheral::NVIC;
use critical_section::Mutex;
use heapless::Deque;

use crate::clock::HZ;
use crate::registers::{modify, read, write};

const BASE: u32 = 0x4000_C000;
const DATA: u32 = BASE;
const FLAGS: u32 = BASE + 0x018;
const BAUD_INTEGER: u32 = BASE + 0x024;
const BAUD_FRACTION: u32 = BASE + 0x028;
const FORMAT: u32 = BASE + 0x02C;
const CONTROL: u32 = BASE + 0x030;
const INTERRUPTS: u32 = BASE + 0x038;
const CLEAR: u32 = BASE + 0x044;
const RECEIVE_EMPTY: u32 = 1 << 4;
const TRANSMIT_FULL: u32 = 1 << 5;
/// Something has come, or nothing more comes.
const RECEIVED: u32 = 1 << 4 | 1 << 6;
const BAUD: u32 = 115_200;

/// Bytes that wait for the program: four of the longest frames. Full: the byte is dropped, its frame fails its
/// check, and whoever sent it sends it again.
static WAITING: Mutex<RefCell<Deque<u8, 512>>> = Mutex::new(RefCell::new(Deque::new()));

/// The line.
#[derive(Debug)]
pub struct Line(());

impl Line {
    pub(crate) fn start() -> Line {
        write(CONTROL, 0);
        let sixty_fourths = (HZ * 4 + BAUD / 2) / BAUD;
        write(BAUD_INTEGER, sixty_fourths / 64);
        write(BAUD_FRACTION, sixty_fourths % 64);
        const EIGHT_BITS_AND_FIFO: u32 = 0x70;
        write(FORMAT, EIGHT_BITS_AND_FIFO);
        write(INTERRUPTS, RECEIVED);
        const ENABLE_BOTH_WAYS: u32 = 0x301;
        write(CONTROL, ENABLE_BOTH_WAYS);
        // SAFETY: the handler is below, and what it shares is behind a critical section.
        unsafe { NVIC::unmask(Uart0) };
        Line(())
    }

    pub(crate) fn heard(&mut self) -> Option<u8> {
        critical_section::with(|held| WAITING.borrow_ref_mut(held).pop_front())
    }

    pub(crate) fn send(&mut self, bytes: &[u8]) {
        for byte in bytes {
            while read(FLAGS) & TRANSMIT_FULL != 0 {}
            write(DATA, (*byte).into());
        }
    }
}

/// The UART's interrupt.
#[derive(Debug, Clone, Copy)]
struct Uart0;

// SAFETY: table 2-9 of the datasheet gives UART0 this number.
unsafe impl cortex_m::interrupt::InterruptNumber for Uart0 {
    fn number(self) -> u16 {
        5
    }
}

extern "C" fn take() {
    modify(CLEAR, |_| RECEIVED);
    critical_section::with(|held| {
        let mut waiting = WAITING.borrow_ref_mut(held);
        while read(FLAGS) & RECEIVE_EMPTY == 0 {
            // Full: see WAITING.
            let _ = waiting.push_back(read(DATA) as u8);
        }
    });
}

extern "C" fn stop() {
    loop {
        cortex_m::asm::nop();
    }
}

/// The table of interrupts as cortex-m-rt places it: all but the UART's stop the program, and the watchdog
/// starts it again.
#[unsafe(link_section = ".vector_table.interrupts")]
#[unsafe(no_mangle)]
#[allow(non_upper_case_globals, reason = "cortex-m-rt looks for this name")]
pub static __INTERRUPTS: [extern "C" fn(); 44] = {
    let mut table = [stop as extern "C" fn(); 44];
    table[5] = take;
    table
};
