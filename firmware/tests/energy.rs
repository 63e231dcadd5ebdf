//! How long a battery lasts with which settings, from the datasheets of the nRF52840 board: the table of
//! `docs/hardware.md`.

#![allow(clippy::print_stdout, reason = "a test")]

#[path = "shown/mod.rs"]
mod shown;
#[path = "../boards/nrf52840/src/supply.rs"]
mod supply;

use std::fmt::Write;

use node::{Draw, Duty, Kind, Street};
use shown::shown;
use supply::{BAY, LISTENING_NA, MAGNETOMETER_NA};
use wire::{BaySettings, BinSettings, Settings};

/// In place of the magnetometer an HC-SR04 that has power only while it measures: 15 mA for 60 ms, from
/// its sheet, not compared.
const BIN: Draw = Draw {
    always_na: BAY.draw.always_na - MAGNETOMETER_NA,
    range_nc: 15_000_000 / 1000 * 60,
    ..BAY.draw
};

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
        let draw = if kind == Kind::Bay { BAY.draw } else { BIN };
        let asleep = Draw { always_na: draw.always_na - LISTENING_NA, ..draw };
        let [(listens_mah, listens), (sleeps_mah, sleeps)] = [draw, asleep].map(|draw| {
            let day = draw.charge_of_a_day(&duty);
            (day as f64 / 3.6e9, BAY.cell.tenths_of_years(day) as f64 / 10.0)
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
