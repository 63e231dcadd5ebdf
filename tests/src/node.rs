//! A battery node on a serial line: sends reports again and again until they are acknowledged.

use std::collections::{BTreeMap, BTreeSet};
use std::io;

use steward::demo::pty::{Pty, PtyError};
use wire::{
    Bin, Body, Deframer, Distance, Down, FRAME_MAX, Frame, Header, Measured, Report, Temperature,
    Up,
};

use crate::program::PATIENCE;
use crate::subscriber::Heard;

/// Its number on the line.
pub const NODE: u32 = 7;

/// A node on the line that sends reports and remembers which were acknowledged.
#[derive(Debug)]
pub struct Node {
    /// The line.
    pub line: Pty,
    deframer: Deframer,
    acknowledged: BTreeSet<u32>,
}

impl Node {
    /// A node on a line of its own.
    ///
    /// # Errors
    /// The system has no pseudo terminal left.
    pub fn new() -> Result<Node, PtyError> {
        let (line, deframer) = (Pty::open()?, Deframer::new());
        Ok(Node { line, deframer, acknowledged: BTreeSet::new() })
    }

    /// Report number `counter`, told by its distance.
    ///
    /// # Errors
    /// The line is gone.
    pub async fn send(&self, counter: u32) -> io::Result<()> {
        let bin = Bin {
            distance: Distance::Millimetres(distance(counter)),
            tilted: None,
            lid_open: None,
            fire: None,
            temperature: Temperature::NotFitted,
        };
        let frame = Frame {
            header: Header { node: NODE, counter, uptime_s: counter },
            body: Body::Up(Up::Report(Report { age_s: 0, measured: Measured::Bin(bin) })),
        };
        let mut buffer = [0; FRAME_MAX];
        let bytes = frame.encode(&mut buffer).expect("a report fits a frame").to_vec();
        self.line.write_all(&bytes).await
    }

    /// Sends everything in `counters` that is not acknowledged, again and again until it is.
    ///
    /// # Errors
    /// The line is gone.
    pub async fn deliver(&mut self, counters: std::ops::RangeInclusive<u32>) -> io::Result<()> {
        let mut buffer = [0; 256];
        while !counters.clone().all(|c| self.acknowledged.contains(&c)) {
            for counter in counters.clone().filter(|c| !self.acknowledged.contains(c)).take(16) {
                self.send(counter).await?;
            }
            let heard = tokio::time::timeout(PATIENCE / 60, self.line.read(&mut buffer)).await;
            if let Ok(Ok(n)) = heard {
                self.hear(&buffer[..n]);
            }
        }
        Ok(())
    }

    fn hear(&mut self, bytes: &[u8]) {
        let acknowledged = &mut self.acknowledged;
        self.deframer.push_slice(bytes, |heard| {
            if let wire::Heard::Frame(Frame { body: Body::Down(Down::Ack(ack)), .. }) = heard {
                acknowledged.insert(ack.counter);
            }
        });
    }
}

/// Every report says another distance, so that a point can be told from every other.
#[must_use]
pub fn distance(counter: u32) -> u16 {
    u16::try_from(200 + counter).unwrap_or(u16::MAX)
}

/// How often each distance was told in the telemetry, repeats of the same message counted once.
#[must_use]
pub fn points(heard: &[Heard]) -> BTreeMap<u64, usize> {
    let mut ids = BTreeSet::new();
    let mut points = BTreeMap::new();
    for message in heard.iter().filter(|m| m.topic.ends_with("/tel")) {
        if ids.insert(message.json["id"].to_string()) {
            for point in message.json["points"].as_array().into_iter().flatten() {
                *points.entry(point["distance_mm"].as_u64().unwrap_or(0)).or_default() += 1;
            }
        }
    }
    points
}

/// Whether report number `counter` was told.
#[must_use]
pub fn told(heard: &[Heard], counter: u32) -> bool {
    points(heard).contains_key(&u64::from(distance(counter)))
}
