//! Registers by their address, and the pins. Everything unsafe about them is here.

/// RCGC1: UART0 and I2C0. RCGC2: ports A, B and F.
pub(crate) const CLOCKS: [(u32, u32); 2] = [(0x400F_E104, 1 | 1 << 12), (0x400F_E108, 0x23)];

const PORT_A: u32 = 0x4000_4000;
const PORT_B: u32 = 0x4000_5000;
const PORT_F: u32 = 0x4002_5000;
const DIRECTION: u32 = 0x400;
const ALTERNATIVE: u32 = 0x420;
const OPEN_DRAIN: u32 = 0x50C;
const DIGITAL: u32 = 0x51C;
const LIGHT: u32 = 1;

pub(crate) fn read(address: u32) -> u32 {
    // SAFETY: every caller names a register of this chip, and reading one of those in use has no effect on
    // memory.
    unsafe { (address as *const u32).read_volatile() }
}

pub(crate) fn write(address: u32, value: u32) {
    // SAFETY: every caller names a register of this chip; none of those in use lets it write to memory.
    unsafe { (address as *mut u32).write_volatile(value) }
}

pub(crate) fn modify(address: u32, change: impl FnOnce(u32) -> u32) {
    write(address, change(read(address)));
}

/// PA0 and PA1 are the UART, PB2 and PB3 the bus, PF0 the light.
pub(crate) fn connect_pins() {
    for (port, pins) in [(PORT_A, 0x03), (PORT_B, 0x0C)] {
        modify(port + ALTERNATIVE, |bits| bits | pins);
        modify(port + DIGITAL, |bits| bits | pins);
    }
    modify(PORT_B + OPEN_DRAIN, |bits| bits | 0x08);
    modify(PORT_F + DIRECTION, |bits| bits | LIGHT);
    modify(PORT_F + DIGITAL, |bits| bits | LIGHT);
}

/// The address chooses the pins that are written.
pub(crate) fn light(on: bool) {
    write(PORT_F + (LIGHT << 2), if on { LIGHT } else { 0 });
}
