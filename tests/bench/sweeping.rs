//! What one vehicle costs: instructions per fix, counted, and the share of a core that makes at 1 Hz.
//!
//! The instructions of this program are counted with and without the fixes; where nothing can count them the
//! row says so.

use std::time::Instant;

use domain::Engine;
use domain::input::Input;
use domain::place::{Datum, Position};
use domain::sample::{Fix, Quantity, Sample};
use domain::site::Site;
use domain::time::{Boot, ClockQuality, Moment, Monotonic, Now, Span, Utc};
use domain::units::{Millimetres, MillimetresPerSecond};

use crate::counted;
use crate::table::Table;

/// The word by which this program is asked to do nothing but so many fixes.
pub(crate) const ONLY: &str = "only-fixes";
/// Fixes that are counted, an hour and a bit of driving.
const FIXES: u64 = 4000;
/// Instructions a second of a slow core: one a cycle at 1 GHz. The slowest Pi this is for has 1.2 GHz.
const SLOW_CORE: f64 = 1.0e9;

fn site() -> Site {
    let streets: String = (0..40)
        .map(|i| {
            let lat = 31.80 + 0.002 * f64::from(i);
            format!(
                "[[street]]\nid = \"s-{i}\"\nline = [[119.97, {lat}], [119.99, {lat}]]\n\
                 sweep = {{ windows = [\"daily 00:00-24:00\"], side = \"both\" }}\n"
            )
        })
        .collect();
    let text = format!(
        "[box]\nid = \"b\"\ntenant = \"t\"\nsite = \"s\"\ntimezone = \"Asia/Shanghai\"\n\
         [mqtt]\nurl = \"mqtt://127.0.0.1\"\n\
         [[source]]\nname = \"gnss\"\nkind = \"nmea\"\ndevice = \"/dev/gnss\"\n\
         [[vehicle]]\nid = \"v\"\nkind = \"sweeper\"\nsource = \"gnss\"\n{streets}"
    );
    steward::config::load_text("bench.toml", &text).unwrap().config.site
}

fn now(second: u64) -> Now {
    let start = Utc::parse("2026-06-08T04:00:00+08:00").unwrap();
    Moment {
        boot: Boot(1),
        monotonic: Monotonic::from_ms(second * 1000),
        utc: start + Span::from_secs(second),
        clock: ClockQuality::Gnss,
    }
}

/// Sweeping to and fro along a street, with a metre of noise, brush signal and all.
fn sample(second: u64) -> Sample {
    let leg = 900;
    let along = if (second / leg).is_multiple_of(2) { second % leg } else { leg - second % leg };
    let noise =
        |n: u64| (n.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40) as f64 / (1u64 << 24) as f64 - 0.5;
    let lon = 119.97 + along as f64 * 2.2e-5 + noise(second) * 1e-5;
    let fix = Fix {
        position: Position::from_degrees(31.80 + noise(second * 3) * 1e-5, lon, Datum::Wgs84)
            .unwrap(),
        speed: Some(MillimetresPerSecond(2100)),
        course: None,
        accuracy: Some(Millimetres(2000)),
        satellites: Some(12),
    };
    Sample {
        source: domain::ids::SourceName::new("gnss").unwrap(),
        device: None,
        counter: None,
        at: Some(now(second).utc),
        quantities: vec![Quantity::Working(true), Quantity::Fix(fix)],
    }
}

/// Drives for so many seconds, and writes what would be stored and sent as bytes; gives their number.
pub(crate) fn drive(seconds: u64) -> usize {
    let mut engine = Engine::new(site(), vec![], now(0));
    let _ = engine.step(Input::Start, now(0));
    let mut bytes = 0;
    for second in 1..=seconds {
        let out = engine.step(Input::Sample(sample(second)), now(second));
        bytes += out
            .records
            .iter()
            .filter_map(|record| record.value.as_ref())
            .map(Vec::len)
            .sum::<usize>();
    }
    bytes
}

pub(crate) fn rows(table: &mut Table) {
    let started = Instant::now();
    let bytes = drive(FIXES);
    let micros = started.elapsed().as_secs_f64() * 1e6 / FIXES as f64;
    table.row("a fix of a sweeper, decided", micros, "µs").how("one core, 40 planned streets");
    let per_hour = (bytes * 3600 / FIXES as usize) as f64 / 1000.0;
    table
        .row("stored of an hour of sweeping", per_hour, "KB")
        .how("records of vehicle and streets");
    let count = |fixes: u64| counted::instructions(&[ONLY, &fixes.to_string()]);
    let counted = count(0).zip(count(FIXES));
    let Some(((none, _), (all, who))) = counted else {
        table
            .row("instructions per fix", f64::NAN, "")
            .how("neither perf nor valgrind may count here: install one of them");
        return;
    };
    let each = all.saturating_sub(none) as f64 / FIXES as f64;
    table.row("instructions per fix", each, "").how(format!("{who}, {FIXES} fixes less none"));
    table
        .row("a vehicle at 1 Hz, of a core", each / SLOW_CORE * 100.0, "%")
        .at_most(0.1)
        .how("of a core of 1.0e9 instructions a second, slower than any Pi's");
}
