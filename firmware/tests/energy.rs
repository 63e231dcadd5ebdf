//! How long a battery lasts with which settings, from the datasheets of the nRF52840 board: the table of
//! `docs/hardware.md`.

#![allow(clippy::print_stdout, reason = "a test")]

#[path = "shown/mod.rs"]
mod shown;

use std::fmt::Write;

use node::{Cell, Draw, Duty, Kind, Street};
use shown::shown;
use wire::{BaySettings, BinSettings, Settings};

/// The core awake, from flash, by its linear regulator: 6.3 mA (nRF52840 Product Specification, CPU running
/// CoreMark).
const AWAKE_NA: u32 = 6_300_000;
/// Milliseconds for which the core waits: seven bytes of the bus at 100 kHz twice, and 3 500 instructions.
const FIELD_MS: u32 = 1;
/// Thirty bytes at 115 200 baud.
const FRAME_MS: u32 = 3;
/// Four pages of the memory, of 32 bytes each, and 10 ms for each of them (AT24C32: 3 mA while it writes).
const WRITE_MS: u32 = 4 * (3 + 10);
const WRITE_NA: u32 = AWAKE_NA + 3_000_000;

/// What flows all the time: chip asleep on its crystal with its memory kept, magnetometer at 7.5 Hz, thermometer,
/// memory at rest.
const ASLEEP_NA: u32 = 3_160 + 110_000 + 10_000 + 6_000;
/// A UART that listens keeps clocks and regulators on. The datasheet gives no sum; users of the chip measure this.
const LISTENING_NA: u32 = 600_000;

const BAY: Draw = Draw {
    always_na: ASLEEP_NA + LISTENING_NA,
    field_nc: AWAKE_NA / 1000 * FIELD_MS,
    range_nc: 0,
    temperature_nc: AWAKE_NA / 1000 * FIELD_MS,
    frame_nc: AWAKE_NA / 1000 * FRAME_MS,
    write_nc: WRITE_NA / 1000 * WRITE_MS,
};
/// In place of the magnetometer an HC-SR04 that has power only while it measures: 15 mA for 60 ms.
const BIN: Draw =
    Draw { always_na: BAY.always_na - 110_000, range_nc: 15_000_000 / 1000 * 60, ..BAY };

/// A lithium thionyl chloride cell of size D, 17 Ah and less than 1 % a year (Saft LS 33600), of which a fifth is
/// left alone: cold and pulses take their part.
const CELL: Cell = Cell { mah: 17_000 / 5 * 4, lost_permille: 10 };

/// A bay of the simulated streets: ten vehicles, and a quarter of an hour in which something moves.
const STREET: Street = Street { changes: 20, restless_s: 900 };

fn kinds() -> [(&'static str, Kind, Settings); 7] {
    let usual = Settings::INITIAL;
    let bay = |sample_ms| BaySettings { sample_ms, ..usual.bay };
    let bin = |sample_s, burst| BinSettings { sample_s, burst, ..usual.bin };
    [
        ("bay, as made: 250 ms, 1 h", Kind::Bay, usual),
        ("bay, a sign of life a day", Kind::Bay, Settings { keep_alive_s: 86_400, ..usual }),
        ("bay, 100 ms", Kind::Bay, Settings { bay: bay(100), ..usual }),
        ("bay, 500 ms", Kind::Bay, Settings { bay: bay(500), ..usual }),
        ("bin, as made: 10 min, 7 readings", Kind::Bin, usual),
        ("bin, 1 min, 7 readings", Kind::Bin, Settings { bin: bin(60, 7), ..usual }),
        ("bin, 1 h, 5 readings", Kind::Bin, Settings { bin: bin(3_600, 5), ..usual }),
    ]
}

#[test]
fn years_of_a_battery() {
    let mut out =
        "| settings | readings a day | frames a day | mAh a day, the line listens | years | mAh a day, the line sleeps | years |\n\
         |---|---|---|---|---|---|---|\n"
            .to_owned();
    for (name, kind, settings) in kinds() {
        assert_eq!(settings.check(), Ok(()), "{name}");
        let duty = Duty::of(kind, &settings, STREET);
        let draw = if kind == Kind::Bay { BAY } else { BIN };
        let asleep = Draw { always_na: draw.always_na - LISTENING_NA, ..draw };
        let [(listens_mah, listens), (sleeps_mah, sleeps)] = [draw, asleep].map(|draw| {
            let day = draw.charge_of_a_day(&duty);
            (day as f64 / 3.6e9, CELL.tenths_of_years(day) as f64 / 10.0)
        });
        writeln!(
            out,
            "| {name} | {} | {} | {listens_mah:.2} | {listens:.1} | {sleeps_mah:.2} | {sleeps:.1} |",
            duty.fields + duty.ranges,
            duty.frames
        )
        .expect("a string takes it");
        assert!(listens < sleeps, "{name}");
    }
    print!("{out}");
    shown("battery", &out);
}
