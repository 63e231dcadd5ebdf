use std::collections::BTreeMap;
use std::time::Duration;

use domain::decode::Reason;
use domain::ids::DeviceKey;
use domain::sample::Quantity;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;

use super::*;
use crate::config::TerminalSettings;
use crate::sources::tests::{Bench, in_time};

pub(super) const PHONE: &str = "013912345678";

fn settings() -> Platform {
    let known = |phone: &str| DeviceKey::new(phone).unwrap();
    let pinned = TerminalSettings { id: Some("CHI123".to_owned()), working: None };
    Platform {
        listen: "127.0.0.1:0".parse().unwrap(),
        key: None,
        working: None,
        bus: None,
        terminals: BTreeMap::from([(known("13912345679"), pinned)]),
        known: [known("13912345678"), known("13912345679")].into(),
        connections_max: 8,
        idle_max: Duration::from_secs(60),
    }
}

/// A platform on a port of its own.
async fn start(settings: Platform, bench: &Bench) -> (SocketAddr, JoinHandle<()>) {
    let listener = TcpListener::bind(settings.listen).await.unwrap();
    let addr = listener.local_addr().unwrap();
    let gate = Gate::new(bench.context.clone());
    let desk = Desk::new(settings, gate, bench.context.clone());
    (addr, tokio::spawn(desk.serve(listener)))
}

/// A terminal of the 2013 edition.
struct Client {
    stream: TcpStream,
    phone: &'static str,
    serial: u16,
}

/// What the platform said: message, and body.
type Answer = (u16, Vec<u8>);

impl Client {
    async fn connect(addr: SocketAddr, phone: &'static str) -> Client {
        let stream = in_time(TcpStream::connect(addr)).await.unwrap();
        Client { stream, phone, serial: 0 }
    }

    fn frame(&mut self, message: u16, body: &[u8]) -> Vec<u8> {
        self.serial += 1;
        let length = u16::try_from(body.len()).unwrap();
        let mut inside = [message.to_be_bytes(), length.to_be_bytes()].concat();
        for pair in self.phone.as_bytes().chunks(2) {
            inside.push((pair[0] - b'0') << 4 | (pair[1] - b'0'));
        }
        inside.extend(self.serial.to_be_bytes());
        inside.extend(body);
        inside.push(inside.iter().fold(0, |sum, byte| sum ^ byte));
        let mut frame = vec![0x7e];
        for byte in inside {
            match byte {
                0x7e => frame.extend([0x7d, 2]),
                0x7d => frame.extend([0x7d, 1]),
                byte => frame.push(byte),
            }
        }
        frame.push(0x7e);
        frame
    }

    async fn send(&mut self, message: u16, body: &[u8]) {
        let frame = self.frame(message, body);
        in_time(self.stream.write_all(&frame)).await.unwrap();
    }

    /// The next answer; `None` when the platform has closed.
    async fn answer(&mut self) -> Option<Answer> {
        let mut frame = Vec::new();
        while frame.iter().filter(|byte| **byte == 0x7e).count() < 2 {
            match in_time(self.stream.read_u8()).await {
                Ok(byte) => frame.push(byte),
                Err(_) => return None,
            }
        }
        let mut inside = Vec::new();
        let mut bytes = frame[1..frame.len() - 1].iter();
        while let Some(byte) = bytes.next() {
            let escaped =
                (*byte == 0x7d).then(|| if bytes.next() == Some(&1) { 0x7d } else { 0x7e });
            inside.push(escaped.unwrap_or(*byte));
        }
        let message = u16::from_be_bytes([inside[0], inside[1]]);
        Some((message, inside[12..inside.len() - 1].to_vec()))
    }

    /// The result of a general response to `message`.
    async fn result(&mut self, message: u16) -> u8 {
        let (kind, body) = self.answer().await.unwrap();
        assert_eq!((kind, &body[2..4]), (0x8001, &message.to_be_bytes()[..]));
        body[4]
    }

    async fn register(&mut self, id: &str) -> Result<Vec<u8>, u8> {
        let mut body = vec![0; 2 + 2 + 5 + 20];
        body.extend(id.as_bytes());
        body.resize(2 + 2 + 5 + 20 + 7, 0);
        body.extend([0, b'v']);
        self.send(0x0100, &body).await;
        let (kind, body) = self.answer().await.unwrap();
        assert_eq!(kind, 0x8100);
        if body[2] == 0 { Ok(body[3..].to_vec()) } else { Err(body[2]) }
    }

    async fn come_in(&mut self) {
        let code = self.register("CHI123").await.unwrap();
        self.send(0x0102, &code).await;
        assert_eq!(self.result(0x0102).await, 0);
    }
}

/// A location report in Longcheng on 4 June 2026, 12:00:00 of local time, with the ignition on.
fn location() -> Vec<u8> {
    let mut body = vec![0, 0, 0, 0, 0, 0, 0, 3];
    body.extend(31_811_000_u32.to_be_bytes());
    body.extend(119_974_000_u32.to_be_bytes());
    body.extend([0, 5, 0, 100, 0, 90, 0x26, 0x06, 0x04, 0x12, 0x00, 0x00]);
    body
}

#[tokio::test]
async fn a_terminal_registers_shows_its_code_and_is_answered_after_the_commit() {
    let mut bench = Bench::new("fleet", 16);
    let (addr, task) = start(settings(), &bench).await;
    let mut terminal = Client::connect(addr, PHONE).await;
    terminal.come_in().await;
    terminal.send(0x0002, &[]).await;
    assert_eq!(terminal.result(0x0002).await, 0);
    terminal.send(0x0200, &location()).await;
    let batch = [&[0, 2, 0, 0, 28][..], &location(), &[0, 28], &location()].concat();
    terminal.send(0x0704, &batch).await;
    let mut committed = Vec::new();
    for _ in 0..3 {
        let (sample, safe) = bench.arrival().await;
        assert_eq!(sample.device.as_ref().unwrap().as_str(), "13912345678");
        assert_eq!(sample.at.unwrap().to_string(), "2026-06-04T04:00:00.000Z");
        assert!(sample.quantities.iter().any(|q| matches!(q, Quantity::Fix(_))));
        committed.push(safe.unwrap());
    }
    let early = tokio::time::timeout(Duration::from_millis(50), terminal.stream.read_u8()).await;
    assert!(early.is_err(), "nothing is committed yet");
    for safe in committed {
        safe.send(()).unwrap();
    }
    assert_eq!(terminal.result(0x0200).await, 0);
    assert_eq!(terminal.result(0x0704).await, 0);
    // Frames of the bus are answered as well, and a message that nobody reads here says so.
    terminal.send(0x0705, &[0, 0, 0, 0, 0, 0, 0]).await;
    assert_eq!(terminal.result(0x0705).await, 0);
    terminal.send(0x0900, &[1]).await;
    assert_eq!(terminal.result(0x0900).await, 3);
    let status = in_time(bench.until(|status| status.tally.samples == 3)).await;
    assert_eq!(status.tally.rejected_total(), 0, "{:?}", status.tally);
    bench.context.stop.cancel();
    in_time(task).await.unwrap();
}

#[tokio::test]
async fn what_could_not_be_stored_is_answered_failed() {
    let mut bench = Bench::new("fleet", 16);
    let (addr, _task) = start(settings(), &bench).await;
    let mut terminal = Client::connect(addr, PHONE).await;
    terminal.come_in().await;
    terminal.send(0x0200, &location()).await;
    drop(bench.arrival().await);
    assert_eq!(terminal.result(0x0200).await, 1);
    assert_eq!(in_time(bench.until(|s| s.unacknowledged == 1)).await.unacknowledged, 1);
}

#[tokio::test]
async fn who_is_not_known_or_has_not_shown_a_code_is_refused_and_counted() {
    let mut bench = Bench::new("fleet", 16);
    let (addr, _task) = start(settings(), &bench).await;
    let mut stranger = Client::connect(addr, "013900000000").await;
    assert_eq!(stranger.register("CHI123").await, Err(4));
    let mut other_hardware = Client::connect(addr, "013912345679").await;
    assert_eq!(other_hardware.register("OTHER").await, Err(1));
    let mut early = Client::connect(addr, PHONE).await;
    // Three times it is told; then it is closed.
    for _ in 0..3 {
        early.send(0x0200, &location()).await;
        assert_eq!(early.result(0x0200).await, 1);
    }
    early.send(0x0102, b"0123456789abcdef").await;
    early.send(0x0102, b"0123456789abcdef").await;
    while early.answer().await.is_some() {}
    let status = in_time(bench.until(|status| status.tally.rejected_total() >= 6)).await;
    assert_eq!(status.tally.rejected[&Reason::UnknownDevice], 1);
    assert_eq!(status.tally.rejected[&Reason::Authentication], 5);
    assert!(bench.is_quiet(), "nothing of them is taken");
    assert_eq!(status.tally.samples, 0);
}

#[tokio::test]
async fn a_terminal_that_answers_for_another_is_cut_off_and_nothing_of_it_is_taken() {
    let mut bench = Bench::new("fleet", 16);
    let (addr, _task) = start(settings(), &bench).await;
    let mut terminal = Client::connect(addr, PHONE).await;
    terminal.come_in().await;
    terminal.phone = "013912345679";
    let foreign = terminal.frame(0x0200, &location());
    terminal.phone = PHONE;
    let own = terminal.frame(0x0200, &location());
    terminal.stream.write_all(&[foreign, own].concat()).await.unwrap();
    assert_eq!(terminal.answer().await, None);
    let status = in_time(bench.until(|status| status.tally.rejected_total() > 0)).await;
    assert_eq!(status.tally.rejected, [(Reason::Authentication, 1)].into());
    assert!(bench.is_quiet());
}

#[tokio::test]
async fn the_code_of_one_terminal_is_no_other_ones() {
    let bench = Bench::new("fleet", 16);
    let (addr, _task) = start(settings(), &bench).await;
    let mut one = Client::connect(addr, PHONE).await;
    let code = one.register("CHI123").await.unwrap();
    let mut other = Client::connect(addr, "013912345679").await;
    other.send(0x0102, &code).await;
    assert_eq!(other.result(0x0102).await, 1);
}

#[tokio::test]
async fn a_terminal_that_comes_again_ends_its_earlier_connection() {
    let bench = Bench::new("fleet", 16);
    let (addr, _task) = start(settings(), &bench).await;
    let mut before = Client::connect(addr, PHONE).await;
    before.come_in().await;
    let mut now = Client::connect(addr, PHONE).await;
    now.come_in().await;
    assert_eq!(before.answer().await, None);
    now.send(0x0002, &[]).await;
    assert_eq!(now.result(0x0002).await, 0);
}

#[tokio::test]
async fn strangers_cannot_keep_terminals_out() {
    let mut bench = Bench::new("fleet", 16);
    let (addr, _task) = start(Platform { connections_max: 2, ..settings() }, &bench).await;
    let mut strangers = Vec::new();
    for _ in 0..40 {
        strangers.push(Client::connect(addr, "013900000000").await);
    }
    // Some of the strangers must go before there is a place.
    let mut terminal = in_time(async {
        loop {
            let mut terminal = Client::connect(addr, PHONE).await;
            let _ = terminal.stream.write_all(&[0x7e]).await;
            let frame = terminal.frame(0x0002, &[]);
            if terminal.stream.write_all(&frame).await.is_ok() && terminal.answer().await.is_some()
            {
                return terminal;
            }
        }
    })
    .await;
    terminal.come_in().await;
    // A second one takes the place of the last stranger; a third finds none.
    let mut second = Client::connect(addr, "013912345679").await;
    second.come_in().await;
    let mut third = Client::connect(addr, "013900000000").await;
    assert_eq!(third.answer().await, None);
    in_time(bench.until(|status| status.turned_away > 0)).await;
    terminal.send(0x0002, &[]).await;
    assert_eq!(terminal.result(0x0002).await, 0);
}

#[tokio::test]
async fn noise_and_wrong_lengths_are_counted_and_the_next_frame_is_read() {
    let mut bench = Bench::new("fleet", 16);
    let (addr, _task) = start(settings(), &bench).await;
    let mut terminal = Client::connect(addr, PHONE).await;
    terminal.come_in().await;
    let mut wrong = terminal.frame(0x0200, &location());
    wrong[4] ^= 0x10;
    let mut cut = terminal.frame(0x0704, &[0, 200, 0, 0, 28]);
    cut[2] ^= 0;
    let noise: Vec<u8> = (0..5000_u32).map(|i| (i * 37 % 125) as u8).collect();
    for piece in [&wrong[..], &noise, &[0x7e], &cut] {
        terminal.stream.write_all(piece).await.unwrap();
    }
    terminal.send(0x0002, &[]).await;
    // A batch that promises 200 items and holds none is answered: it would not become better.
    assert_eq!(terminal.result(0x0704).await, 0);
    assert_eq!(terminal.result(0x0002).await, 0);
    let status = in_time(bench.until(|status| status.tally.rejected_total() >= 3)).await;
    for reason in [Reason::Checksum, Reason::TooLong, Reason::Truncated] {
        assert!(status.tally.rejected.contains_key(&reason), "{reason:?}: {:?}", status.tally);
    }
    assert_eq!(status.tally.samples, 0);
}

#[tokio::test(start_paused = true)]
async fn a_client_that_says_nothing_whole_is_closed_in_time() {
    let bench = Bench::new("fleet", 16);
    let (addr, _task) = start(settings(), &bench).await;
    // Half open: connected, and never a word. Slow: a byte now and then, never a frame.
    let mut silent = TcpStream::connect(addr).await.unwrap();
    let mut slow = TcpStream::connect(addr).await.unwrap();
    let before = crate::clock::instant();
    let mut turn = tokio::time::interval(Duration::from_secs(5));
    let mut byte = [0];
    let slow_is_closed = async {
        loop {
            tokio::select! {
                _ = turn.tick() => { let _ = slow.write_all(&[0x31]).await; }
                read = slow.read(&mut byte) => { assert!(matches!(read, Ok(0) | Err(_))); return; }
            }
        }
    };
    let mut other = [0];
    let (read, ()) = tokio::join!(silent.read(&mut other), slow_is_closed);
    assert!(matches!(read, Ok(0) | Err(_)));
    assert!(before.elapsed() <= connection::WELCOME_WITHIN + Duration::from_secs(10));
}

#[tokio::test]
async fn an_address_that_is_taken_is_said_and_tried_again() {
    let mut bench = Bench::new("fleet", 16);
    let taken = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let listen = taken.local_addr().unwrap();
    let task = tokio::spawn(run(Platform { listen, ..settings() }, bench.context.clone()));
    let status = in_time(bench.until(|status| status.trouble.is_some())).await;
    assert!(status.trouble.unwrap().contains(&listen.to_string()));
    drop(taken);
    in_time(bench.until(|status| status.connected)).await;
    bench.context.stop.cancel();
    in_time(task).await.unwrap();
}
