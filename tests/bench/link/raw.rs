//! MQTT 3.1.1 over bare sockets: the fastest publisher there can be with a window, and a subscriber that
//! only counts.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// A packet of `first` and `body`.
fn packet(first: u8, body: &[u8]) -> Vec<u8> {
    let mut packet = vec![first];
    let mut length = body.len();
    while length >= 128 {
        packet.push((length % 128) as u8 | 128);
        length /= 128;
    }
    packet.push(length as u8);
    packet.extend_from_slice(body);
    packet
}

fn text(text: &str) -> Vec<u8> {
    [&(text.len() as u16).to_be_bytes(), text.as_bytes()].concat()
}

fn connect(port: u16, id: &str) -> io::Result<TcpStream> {
    let mut stream = TcpStream::connect(("127.0.0.1", port))?;
    stream.set_nodelay(true)?;
    let body = [text("MQTT"), vec![4, 2, 0, 0], text(id)].concat();
    stream.write_all(&packet(0x10, &body))?;
    let mut answer = [0; 4];
    stream.read_exact(&mut answer)?;
    assert_eq!(answer, [0x20, 2, 0, 0], "accepted");
    Ok(stream)
}

/// Publishes `count` messages at QoS 1 with `window` of them on their way; answers how long it took until
/// the last was acknowledged. What the window has room for is written at once.
pub(crate) fn publish(
    port: u16,
    topic: &str,
    payload: &[u8],
    count: u64,
    window: u64,
) -> io::Result<Duration> {
    let mut stream = connect(port, "raw")?;
    let (mut sent, mut acknowledged) = (0, 0);
    let (mut out, mut acks, mut rest) = (Vec::new(), [0; 4096], 0);
    let started = Instant::now();
    while acknowledged < count {
        out.clear();
        while sent < count && sent - acknowledged < window {
            let id = (sent % 60_000) as u16 + 1;
            let body = [text(topic), id.to_be_bytes().to_vec(), payload.to_vec()].concat();
            out.extend_from_slice(&packet(0x32, &body));
            sent += 1;
        }
        stream.write_all(&out)?;
        let read = stream.read(&mut acks)?;
        assert!(read > 0, "the broker hung up");
        // A PUBACK has four bytes.
        acknowledged += ((rest + read) / 4) as u64;
        rest = (rest + read) % 4;
    }
    Ok(started.elapsed())
}

/// Counts what is published below a prefix, on a thread of its own that ends with the broker.
#[derive(Debug, Clone)]
pub(crate) struct Counter(Arc<AtomicU64>);

impl Counter {
    pub(crate) fn start(port: u16, filter: &str) -> io::Result<Counter> {
        let mut stream = connect(port, &format!("counter-{}", std::process::id()))?;
        let body = [vec![0, 1], text(filter), vec![0]].concat();
        stream.write_all(&packet(0x82, &body))?;
        let mut answer = [0; 5];
        stream.read_exact(&mut answer)?;
        let counter = Counter(Arc::default());
        let counted = Arc::clone(&counter.0);
        std::thread::spawn(move || count(stream, &counted));
        Ok(counter)
    }

    pub(crate) fn so_far(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    /// Waits until `wanted` have come, or none has for `patience`; answers how many there are.
    pub(crate) fn wait(&self, wanted: u64, patience: Duration) -> u64 {
        let (mut last, mut since) = (0, Instant::now());
        loop {
            let now = self.so_far();
            if now != last {
                (last, since) = (now, Instant::now());
            }
            if now >= wanted || since.elapsed() > patience {
                return now;
            }
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}

fn count(stream: TcpStream, counted: &AtomicU64) {
    let mut stream = io::BufReader::with_capacity(1 << 16, stream);
    let mut byte = [0];
    while stream.read_exact(&mut byte).is_ok() {
        let publish = byte[0] >> 4 == 3;
        let (mut length, mut shift) = (0_u64, 0);
        loop {
            if stream.read_exact(&mut byte).is_err() {
                return;
            }
            length |= u64::from(byte[0] & 127) << shift;
            shift += 7;
            if byte[0] & 128 == 0 {
                break;
            }
        }
        if io::copy(&mut (&mut stream).take(length), &mut io::sink()).is_err() {
            return;
        }
        counted.fetch_add(u64::from(publish), Ordering::Relaxed);
    }
}
