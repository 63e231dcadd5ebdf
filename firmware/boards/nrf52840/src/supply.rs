//! What the board draws and what it is drawn from, for the estimate of its battery. The table of years in
//! `docs/hardware.md` is made from the same figures.
//!
//! At each figure stands where it comes from, and whether it was compared with the document. None was measured
//! on a board.

use node::{Cell, Draw, Supply};

/// The core awake, from flash, by its linear regulator. nRF52840 Product Specification, section "Current
/// consumption", CPU running CoreMark; the document was not at hand to compare.
const AWAKE_NA: u32 = 6_300_000;
/// Milliseconds for which the core waits: seven bytes of the bus at 100 kHz twice, and 3 500 instructions.
const FIELD_MS: u32 = 1;
/// Thirty bytes at 115 200 baud.
const FRAME_MS: u32 = 3;
/// Four pages of the memory, of 32 bytes each: 3 ms on the bus, and 10 ms until the page is written. The
/// AT24C32E needs 5 ms and 1 mA at the most (Microchip DS20006109A, page 1), an M24C32-W 5 mA (ST Doc ID 4578
/// Rev 17, table 13); between them, for memories of any make.
const WRITE_MS: u32 = 4 * (3 + 10);
const WRITE_NA: u32 = AWAKE_NA + 3_000_000;

/// Chip asleep on its crystal with all its memory kept: the same section of the same document, not compared.
const CHIP_NA: u32 = 3_160;
/// LSM303DLHC with its magnetometer at 7.5 Hz: ST Doc ID 018771, table 4, "current consumption in normal mode";
/// not compared.
pub(crate) const MAGNETOMETER_NA: u32 = 110_000;
/// TMP102, the most it takes while it measures all the time (TI SBOS397H, page 1).
const THERMOMETER_NA: u32 = 10_000;
/// A memory at rest: 10 µA at the most for an M24C32-W (ST Doc ID 4578 Rev 17, table 13), 0.8 µA for an
/// AT24C32E (Microchip DS20006109A, page 1).
const MEMORY_NA: u32 = 6_000;
/// A UART that listens keeps clocks, regulators and its memory access on. The datasheet gives no sum; a user of
/// the chip measured 600 µA with it on and 20 µA with it off (Nordic DevZone, question 84113).
pub(crate) const LISTENING_NA: u32 = 600_000;

/// A bay node that lives on one lithium thionyl chloride cell of size D, and whose line listens all the time.
pub(crate) static BAY: Supply = Supply {
    draw: Draw {
        always_na: CHIP_NA + MAGNETOMETER_NA + THERMOMETER_NA + MEMORY_NA + LISTENING_NA,
        field_nc: AWAKE_NA / 1000 * FIELD_MS,
        range_nc: 0,
        temperature_nc: AWAKE_NA / 1000 * FIELD_MS,
        frame_nc: AWAKE_NA / 1000 * FRAME_MS,
        write_nc: WRITE_NA / 1000 * WRITE_MS,
    },
    // 17 Ah (Saft LS 33600, not compared) and less than 1 % a year at 20 °C (as Saft gives it for the cell of
    // size C of the same series, LS 26500), of which a fifth is left alone: cold and pulses take their part.
    cell: Cell { mah: 17_000 / 5 * 4, lost_permille: 10 },
};
