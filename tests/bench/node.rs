//! What a battery node and its line cost: frames in bytes, their making and reading beside one pass of a CRC over
//! the same bytes, and what a sample costs the core of an emulated board.
//!
//! Instructions are counted by the board's own program `count` in QEMU with `-icount`, where virtual time stands
//! still between instructions: the same program always gives the same figures, whatever the machine.

use std::hint::black_box;
use std::io::Write as _;
use std::time::Instant;

use node::{Kind, Provision};
use system_tests::emulator::Board;
use tokio::io::{AsyncBufReadExt, BufReader};
use wire::{
    Bay, BayState, Body, CRC, Deframer, FRAME_MAX, Frame, Header, Heard, KEY_LEN, Key, Measured,
    Report, Temperature, Up,
};

use crate::table::Table;

/// Frames that are made and read.
const FRAMES: u32 = 300_000;
/// Bytes a second at 115 200 baud, ten bits each.
const LINE: f64 = 11_520.0;
/// What QEMU is told: an instruction takes 16 ns of its clock.
const ICOUNT: [&str; 2] = ["-icount", "shift=4,sleep=off"];
/// Instructions that do nothing, by which the counter is gauged.
const NOTHING: f64 = 1_000.0;

pub(crate) fn rows(table: &mut Table) {
    line(table);
    instructions(table);
}

fn report(counter: u32) -> Frame {
    let bay = Bay {
        state: BayState::Occupied,
        previous_s: Some(3_600),
        temperature: Temperature::MilliCelsius(21_500),
    };
    let report = Report { age_s: 2, measured: Measured::Bay(bay) };
    let header = Header { node: 17, counter, uptime_s: 86_400 };
    Frame { header, body: Body::Up(Up::Report(report)) }
}

fn seconds(work: impl FnOnce()) -> f64 {
    let begin = Instant::now();
    work();
    begin.elapsed().as_secs_f64()
}

/// Frames on the host.
fn line(table: &mut Table) {
    let key = Key::new([7; KEY_LEN]);
    let mut room = [0; FRAME_MAX];
    let plain = report(1_000_000).encode(&mut room).unwrap().len();
    let sealed = report(1_000_000).seal(&key, &mut room).unwrap().len();
    table.row("a bay's report", plain as f64, "bytes").how("on the line, with its delimiter");
    table.row("a bay's report, sealed", sealed as f64, "bytes").how("with a tag of 16 bytes");

    let mut all = Vec::with_capacity(FRAMES as usize * FRAME_MAX);
    let encode = seconds(|| {
        for counter in 0..FRAMES {
            all.extend_from_slice(black_box(report(counter)).encode(&mut room).unwrap());
        }
    });
    let seal = seconds(|| {
        for counter in 0..FRAMES {
            black_box(black_box(report(counter)).seal(&key, &mut room).unwrap());
        }
    });
    let pass = seconds(|| {
        for frame in all.split_inclusive(|byte| *byte == 0) {
            black_box(CRC.checksum(black_box(frame)));
        }
    });
    let mut read = 0;
    let decode = seconds(|| {
        Deframer::new()
            .push_slice(&all, |heard| read += u32::from(matches!(heard, Heard::Frame(_))));
    });
    assert_eq!(read, FRAMES, "every frame is read");
    let beside = format!("{FRAMES} reports; a CRC-32C over the same frames is 1");
    table.row("wire encode", encode / pass, "CRC passes").how(&beside);
    table.row("wire seal", seal / pass, "CRC passes").how(&beside);
    table.row("wire decode", decode / pass, "CRC passes").how(&beside);
    let lines = |seconds: f64| all.len() as f64 / seconds / LINE;
    let how = "full lines of 115 200 baud on one core";
    table.row("wire encode", lines(encode), "lines").at_least(1.0).how(how);
    table.row("wire decode", lines(decode), "lines").at_least(1.0).how(how);
}

/// How often something was done on the board, counter steps in all, and the most that one took.
struct Counted {
    name: String,
    times: f64,
    sum: f64,
    most: f64,
}

fn counted(line: &str) -> Option<Counted> {
    let mut words = line.split_whitespace();
    let name = words.next()?.to_owned();
    let mut number = || words.next()?.parse().ok();
    Some(Counted { name, times: number()?, sum: number()?, most: number()? })
}

/// Lets the board count; `None` when it cannot, which has then been said.
fn count() -> Option<Vec<Counted>> {
    let dir = tempfile::tempdir().unwrap();
    let made = Provision { node: 1, kind: Kind::Bay, has_range_finder: false, key: None };
    let board = Board::new(dir.path(), "count", &made)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let mut emulated = board.power_with([30_000, 20_000, 40_000], &ICOUNT).await;
        let mut lines = BufReader::new(emulated.line.take().unwrap()).lines();
        let mut all = vec![];
        while let Some(line) = lines.next_line().await.unwrap()
            && line != "end"
        {
            all.extend(counted(&line));
        }
        Some(all)
    })
}

/// What the node costs a Cortex-M3.
fn instructions(table: &mut Table) {
    let Some(all) = count() else {
        let _ = writeln!(std::io::stderr(), "bench: no instructions are counted");
        return;
    };
    let find = |name: &str| all.iter().find(|counted| counted.name == name).expect("it is counted");
    let nothing = find("nothing");
    let each = NOTHING * nothing.times / nothing.sum;
    let how = |counted: &Counted| {
        format!(
            "mean of {}, most {:.0}; counted in QEMU by SysTick with -icount, to {each:.1} instructions",
            counted.times,
            counted.most * each
        )
    };
    for (name, figure) in [
        ("rest", "a sample of the field, nothing moves"),
        ("moving", "a sample of the field, a vehicle moves"),
        ("encode", "a frame made"),
        ("seal", "a frame made and sealed"),
        ("decode", "a frame read"),
    ] {
        let counted = find(name);
        table.row(figure, counted.sum * each / counted.times, "instructions").how(how(counted));
    }
}
