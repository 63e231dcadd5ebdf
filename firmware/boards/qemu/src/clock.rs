//! The clock in milliseconds, and waiting on it.

use core::cell::Cell;

use cortex_m::peripheral::syst::SystClkSource;
use cortex_m_rt::exception;
use critical_section::Mutex;
use embedded_hal::delay::DelayNs;

/// After reset the divider of the PLL stands at 16: 200 MHz / 16. The datasheet's sequence to change it is
/// not needed.
pub const HZ: u32 = 12_500_000;

static NOW_MS: Mutex<Cell<u64>> = Mutex::new(Cell::new(0));

/// Lets a millisecond interrupt run.
pub(crate) fn start() {
    let Some(mut core) = cortex_m::Peripherals::take() else { return };
    core.SYST.set_clock_source(SystClkSource::Core);
    core.SYST.set_reload(HZ / 1000 - 1);
    core.SYST.clear_current();
    core.SYST.enable_counter();
    core.SYST.enable_interrupt();
}

/// Milliseconds since the start.
pub fn now_ms() -> u64 {
    critical_section::with(|held| NOW_MS.borrow(held).get())
}

#[exception]
fn SysTick() {
    critical_section::with(|held| {
        let now = NOW_MS.borrow(held);
        now.set(now.get() + 1);
    });
}

/// Waits by sleeping until the clock has come far enough.
#[derive(Debug, Clone, Copy)]
pub struct Wait;

impl DelayNs for Wait {
    fn delay_ns(&mut self, ns: u32) {
        // The millisecond that has begun does not count.
        let until = now_ms() + 1 + u64::from(ns.div_ceil(1_000_000));
        while now_ms() < until {
            cortex_m::asm::wfi();
        }
    }
}
