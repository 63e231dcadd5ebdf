//! The program of the boards that run on embassy: wakes when the node wants to or when the line speaks, feeds
//! the watchdog, and sleeps in between.
//!
//! Responsible for what these boards have alike. A board brings its pins and peripherals, and has nothing to
//! decide; what the node decides is in `node`.

#![no_std]

use embassy_time::{Duration, Instant, Timer, with_deadline};
use embedded_io_async::Read;
use node::{Board, Identity, Station};
use static_cell::StaticCell;

/// The number of this program, in every hello.
const FIRMWARE: wire::Firmware = wire::Firmware { major: 0, minor: 2, patch: 0 };

/// The watchdog is fed at least so often. A board's watchdog waits for twice as long, [`WATCHDOG_MS`].
const FEED_MS: u64 = 4_000;

/// For how long a watchdog that is not fed waits, in milliseconds: an RP2040 cannot wait longer than 8.3 s.
pub const WATCHDOG_MS: u32 = 2 * FEED_MS as u32;

/// Bytes that wait for the program: two of the longest frames. Full: the byte is dropped, its frame fails its
/// check, and whoever sent it sends it again.
pub const HEARD_MAX: usize = 256;

/// Bytes that wait for the line. Full: the program waits.
pub const SAID_MAX: usize = 128;

/// Not on the stack, where making it would need it twice.
static STATION: StaticCell<Station> = StaticCell::new();

/// Runs the node of `board` for ever, as soon as the board's memory says who it is. `made` adds what the
/// board knows of itself, `ear` hears the line, `feed` feeds the watchdog. Once in a program.
pub async fn run(
    board: &mut impl Board,
    made: impl Fn(Identity) -> Identity,
    ear: &mut impl Read,
    mut feed: impl FnMut(),
) -> ! {
    let station = loop {
        if let Some(identity) = Station::identity(FIRMWARE, board) {
            let station = STATION.init_with(|| Station::start(made(identity), board, now_ms()));
            station.recall(board);
            break station;
        }
        // Starting again would not help, so the watchdog is fed.
        feed();
        Timer::after(Duration::from_millis(FEED_MS)).await;
    };
    loop {
        let until = station.next_ms().min(now_ms() + FEED_MS);
        let mut bytes = [0; 32];
        if let Ok(Ok(heard)) = with_deadline(Instant::from_millis(until), ear.read(&mut bytes)).await {
            for byte in &bytes[..heard] {
                station.hear(*byte, board, now_ms());
            }
        }
        if now_ms() >= station.next_ms() {
            station.wake(board, now_ms());
        }
        feed();
    }
}

fn now_ms() -> u64 {
    Instant::now().as_millis()
}
