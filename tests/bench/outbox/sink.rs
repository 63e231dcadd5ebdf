//! A broker that takes everything and acknowledges it, as fast as a socket allows: so that what is measured
//! is the sender. Counts messages and bytes.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

/// What it has taken so far.
#[derive(Debug, Default)]
pub(crate) struct Taken {
    pub(crate) publishes: AtomicU64,
    /// Of PUBLISH packets, their headers included.
    pub(crate) bytes: AtomicU64,
}

/// Starts it on a free port; it ends with the program.
pub(crate) fn start() -> (SocketAddr, Arc<Taken>) {
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let addr = listener.local_addr().unwrap();
    let taken = Arc::new(Taken::default());
    let counts = Arc::clone(&taken);
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let counts = Arc::clone(&counts);
            // A client that goes away ends its thread.
            thread::spawn(move || serve(stream, &counts));
        }
    });
    (addr, taken)
}

fn serve(mut stream: TcpStream, taken: &Taken) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut buffer = vec![0; 256 * 1024];
    let (mut start, mut end) = (0, 0);
    let mut answers = Vec::new();
    loop {
        while let Some((first, body, next)) = packet(&buffer[start..end]) {
            answer(first, &buffer[start..end][body..next], &mut answers);
            if first >> 4 == 3 {
                taken.publishes.fetch_add(1, Ordering::Relaxed);
                taken.bytes.fetch_add(next as u64, Ordering::Relaxed);
            }
            start += next;
        }
        if !answers.is_empty() {
            stream.write_all(&answers)?;
            answers.clear();
        }
        buffer.copy_within(start..end, 0);
        (start, end) = (0, end - start);
        match stream.read(&mut buffer[end..])? {
            0 => return Ok(()),
            n => end += n,
        }
    }
}

/// The first packet, if it is whole: its first byte, where its body begins and where it ends.
fn packet(bytes: &[u8]) -> Option<(u8, usize, usize)> {
    let (mut length, mut at) = (0, 1);
    loop {
        let byte = *bytes.get(at)?;
        length |= usize::from(byte & 0x7f) << (7 * (at - 1));
        at += 1;
        if byte & 0x80 == 0 {
            break;
        }
    }
    (bytes.len() >= at + length).then_some((*bytes.first()?, at, at + length))
}

fn answer(first: u8, body: &[u8], answers: &mut Vec<u8>) {
    match first >> 4 {
        1 => answers.extend_from_slice(&[0x20, 2, 0, 0]),
        3 if first & 0x06 != 0 => {
            let topic = usize::from(u16::from_be_bytes([body[0], body[1]]));
            answers.extend_from_slice(&[0x40, 2, body[2 + topic], body[3 + topic]]);
        }
        12 => answers.extend_from_slice(&[0xd0, 0]),
        _ => {}
    }
}

/// The reference: the same payloads over a bare socket, at most `window` unacknowledged. Answers seconds.
pub(crate) fn raw(addr: SocketAddr, payloads: &[Vec<u8>], window: usize) -> f64 {
    let mut stream = TcpStream::connect(addr).unwrap();
    stream.set_nodelay(true).unwrap();
    stream.write_all(&[0x10, 13, 0, 4, b'M', b'Q', b'T', b'T', 4, 2, 0, 60, 0, 1, b'r']).unwrap();
    let mut connack = [0; 4];
    stream.read_exact(&mut connack).unwrap();
    let started = std::time::Instant::now();
    let (mut acked, mut sent) = (0, 0);
    let mut answers = vec![0; 4 * window];
    let mut held = 0;
    while acked < payloads.len() {
        let mut packets = Vec::new();
        while sent < payloads.len() && sent - acked < window {
            publish(&mut packets, sent, &payloads[sent]);
            sent += 1;
        }
        stream.write_all(&packets).unwrap();
        held += stream.read(&mut answers[held..]).unwrap();
        acked += held / 4;
        held %= 4;
    }
    started.elapsed().as_secs_f64()
}

fn publish(packets: &mut Vec<u8>, n: usize, payload: &[u8]) {
    let topic = b"steward/v1/t/s/box/bin/bin-1/tel";
    let mut length = 2 + topic.len() + 2 + payload.len();
    packets.push(0x32);
    while length >= 0x80 {
        packets.push(length as u8 | 0x80);
        length >>= 7;
    }
    packets.push(length as u8);
    packets.extend_from_slice(&(topic.len() as u16).to_be_bytes());
    packets.extend_from_slice(topic);
    packets.extend_from_slice(&(n as u16 % 60_000 + 1).to_be_bytes());
    packets.extend_from_slice(payload);
}
