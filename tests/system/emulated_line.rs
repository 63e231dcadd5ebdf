//! The line of the emulated node, measured and damaged: frames through its UART, bytes flipped and lost between
//! its UART and whoever listens. Nothing wrong may be taken for right, and nothing right may be lost for good.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::ops::RangeInclusive;
use std::time::{Duration, Instant};

use node::{Kind, Provision};
use steward::demo::pty::Pty;
use system_tests::emulator::{Board, Emulated};
use system_tests::mosquitto::Mosquitto;
use system_tests::noise::Noise;
use system_tests::program::{PATIENCE, Running};
use system_tests::subscriber::{Subscriber, prove};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use wire::{Answer, Body, Deframer, Down, FRAME_MAX, Frame, Header, Heard, Identify, Outcome, Up};

use crate::emulated_node::{CARS, EMPTY, NODE, now_is, sessions, write_config};

/// One byte in so many is damaged. A frame has some thirty: one frame in four.
const DAMAGED: u32 = 100;
const SEED: u64 = 20_260_604;
/// An answer that is not here by then does not come: it was damaged, or the command was. Each time twice as long:
/// on a busy machine the node is only slow, and must not be buried under repetitions.
const AGAIN: Duration = Duration::from_millis(20);

fn made() -> Provision {
    Provision { node: NODE, kind: Kind::Bay, has_range_finder: false, key: None }
}

/// Somebody who says commands to the node over a damaged line, and counts.
struct Caller {
    line: UnixStream,
    noise: Option<Noise>,
    ear: Deframer,
    /// Frames that came and were none.
    faults: u64,
    frames: u64,
    bytes: u64,
}

impl Caller {
    fn new(line: UnixStream, noise: Option<Noise>) -> Caller {
        Caller { line, noise, ear: Deframer::new(), faults: 0, frames: 0, bytes: 0 }
    }

    async fn say(&mut self, number: u32) {
        let header = Header { node: NODE, counter: number, uptime_s: 0 };
        // Of different lengths and contents, so that a mix-up would show.
        let seconds = (number % 60_000) as u16;
        let body = Body::Down(Down::Identify(Identify { seconds }));
        let mut room = [0; FRAME_MAX + 1];
        let len = Frame { header, body }.encode(&mut room[1..]).unwrap().len();
        let said = self.damaged(&room[..=len]);
        self.line.write_all(&said).await.unwrap();
    }

    fn damaged(&mut self, bytes: &[u8]) -> Vec<u8> {
        match &mut self.noise {
            Some(noise) => noise.on(bytes),
            None => bytes.to_vec(),
        }
    }

    /// The answers that have come whole, once some bytes have; `None` when nothing comes for so long.
    async fn answers(&mut self, patience: Duration) -> Option<Vec<Answer>> {
        let mut room = [0; 4096];
        let read = tokio::time::timeout(patience, self.line.read(&mut room)).await;
        let read = read.ok()?.unwrap();
        self.bytes += read as u64;
        let heard = self.damaged(&room[..read]);
        let (mut answers, mut faults, mut frames) = (vec![], 0, 0);
        self.ear.push_slice(&heard, |what| match what {
            Heard::Frame(Frame { header, body: Body::Up(up) }) => {
                assert_eq!(header.node, NODE, "a damaged frame was taken for right");
                frames += 1;
                if let Up::Answer(answer) = up {
                    answers.push(answer);
                }
            }
            Heard::Fault(_) => faults += 1,
            other => panic!("the node never says {other:?}"),
        });
        self.faults += faults;
        self.frames += frames;
        Some(answers)
    }

    /// Says some commands, and each again until it is answered.
    async fn call(&mut self, numbers: RangeInclusive<u32>) {
        let mut open: Vec<u32> = numbers.clone().collect();
        for number in numbers.clone() {
            self.say(number).await;
        }
        let mut patience = AGAIN;
        while !open.is_empty() {
            let answers = self.answers(patience).await;
            for answer in answers.iter().flatten() {
                assert!((1..=*numbers.end()).contains(&answer.to), "nobody asked: {answer:?}");
                assert_eq!(answer.outcome, Outcome::Done, "{answer:?}");
                open.retain(|number| *number != answer.to);
            }
            if answers.is_none() {
                patience *= 2;
                for number in open.clone() {
                    self.say(number).await;
                }
            }
        }
    }
}

/// Commands, `window` of them at a time.
#[expect(clippy::disallowed_methods, reason = "it measures time")]
async fn calling(emulated: &mut Emulated, noise: Option<Noise>, count: u32, window: u32) -> Caller {
    let mut caller = Caller::new(emulated.line.take().unwrap(), noise);
    let started = Instant::now();
    for first in (1..=count).step_by(window as usize) {
        let some = caller.call(first..=first + window - 1);
        tokio::time::timeout(PATIENCE, some).await.expect("the node answers");
    }
    let seconds = started.elapsed().as_secs_f64();
    writeln!(
        std::io::stderr(),
        "{count} commands, {window} at a time: {:.0} frames/s and {:.0} KB/s from the node, {} faults heard",
        caller.frames as f64 / seconds,
        caller.bytes as f64 / 1000.0 / seconds,
        caller.faults
    )
    .expect("stderr takes a line");
    caller
}

#[tokio::test(flavor = "multi_thread")]
async fn every_command_is_answered_over_an_emulated_uart_that_flips_and_loses_bytes() {
    let dir = tempfile::tempdir().unwrap();
    let Some(board) = Board::new(dir.path(), "node", &made()) else { return };
    let mut emulated = board.power(EMPTY).await;
    let clean = calling(&mut emulated, None, 2_000, 8).await;
    assert_eq!(clean.faults, 0, "the emulated line loses nothing by itself");
    drop(emulated);

    let mut emulated = board.power(EMPTY).await;
    let noise = Noise::new(SEED, DAMAGED);
    let caller = calling(&mut emulated, Some(noise), 200, 1).await;
    let noise = caller.noise.unwrap();
    assert!(noise.flipped > 20 && noise.lost > 20, "{noise:?}");
    assert!(caller.faults > 10, "damage was seen as damage");
}

/// Carries bytes both ways until the board's end is gone, and damages them.
async fn connect(mut socket: UnixStream, tty: std::sync::Arc<Pty>) {
    let (mut up, mut down) = (Noise::new(SEED, DAMAGED), Noise::new(SEED + 1, DAMAGED));
    let (mut board, mut agent) = ([0; 512], [0; 512]);
    loop {
        tokio::select! {
            read = socket.read(&mut board) => {
                let Ok(n @ 1..) = read else { return };
                tty.write_all(&up.on(&board[..n])).await.unwrap();
            }
            read = tty.read(&mut agent) => {
                let n = read.unwrap();
                if socket.write_all(&down.on(&agent[..n])).await.is_err() {
                    return;
                }
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_stay_arrives_once_over_an_emulated_uart_that_flips_and_loses_bytes() {
    let dir = tempfile::tempdir().unwrap();
    let Some(board) = Board::new(dir.path(), "node", &made()) else { return };
    let Some(broker) = Mosquitto::start(dir.path()) else { return };
    let mut subscriber = Subscriber::start(broker.port, "auditor", "steward/v1/#");
    let tty = std::sync::Arc::new(Pty::open().unwrap());
    let config = write_config(dir.path(), &broker.url(), tty.slave(), "");
    let agent = Running::start(&["run", "--config", &config]);
    let mut emulated = board.power(EMPTY).await;
    let line = tokio::spawn(connect(emulated.line.take().unwrap(), tty));
    subscriber.wait_until("the empty bay", |heard| now_is(heard, "free"));
    for car in CARS {
        emulated.set_field(car);
        subscriber.wait_until("a car", |heard| now_is(heard, "occupied"));
        emulated.set_field(EMPTY);
        subscriber.wait_until("the empty bay again", |heard| now_is(heard, "free"));
    }
    subscriber.wait_until("all stays", |heard| sessions(heard).len() == CARS.len());
    let proof = prove(&subscriber.heard);
    assert!(proof.faults.is_empty(), "{}", proof.faults.join("\n"));
    let told: BTreeMap<_, _> = sessions(&subscriber.heard);
    assert_eq!(told.len(), CARS.len(), "{told:#?}");
    line.abort();
    drop((agent, broker));
}
