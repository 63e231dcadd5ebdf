//! One connection of a terminal: bytes in to calls and samples, answers out.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use domain::decode::jt808::{Call, Link};
use domain::decode::{Decode, Raw, Tally};
use domain::sample::Sample;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::mpsc;
use tokio::time::{timeout, timeout_at};
use tokio_util::sync::CancellationToken;

use crate::clock::{Clock, instant};

/// Bytes read at once.
const READ_MAX: usize = 4096;
/// A client that has not shown who it is after this long is closed.
pub(super) const WELCOME_WITHIN: Duration = Duration::from_secs(30);
/// A client that takes no answer for this long is closed.
const WRITE_WITHIN: Duration = Duration::from_secs(10);
/// Answers that wait for a client. Full: the client takes none, and is closed.
pub(super) const ANSWERS_MAX: usize = 64;

/// What a connection has to say to the desk.
#[derive(Debug)]
pub(super) struct Heard {
    /// Which connection.
    pub(super) from: u64,
    /// What the terminal said, and the samples of it, in the same order.
    pub(super) calls: Vec<Call>,
    pub(super) samples: Vec<Sample>,
    /// What was counted.
    pub(super) counted: Tally,
    /// It has ended; this is the last word of it.
    pub(super) ended: bool,
}

/// What a connection works with.
pub(super) struct Connection {
    pub(super) id: u64,
    pub(super) link: Link,
    pub(super) heard: mpsc::Sender<Heard>,
    pub(super) clock: Clock,
    /// Whether the terminal has shown who it is.
    pub(super) is_welcome: Arc<AtomicBool>,
    /// The longest time without a whole frame.
    pub(super) idle_max: Duration,
    pub(super) close: CancellationToken,
}

impl Connection {
    /// Reads and writes until either side, the desk or patience ends it.
    pub(super) async fn run(mut self, stream: TcpStream, answers: mpsc::Receiver<Vec<u8>>) {
        let (read, write) = stream.into_split();
        let close = self.close.clone();
        tokio::select! {
            () = close.cancelled() => {}
            () = self.read(read) => {}
            () = write_all(write, answers) => {}
        }
        let mut samples = Vec::new();
        self.link.finish(&mut samples);
        self.tell(samples, true).await;
    }

    async fn read(&mut self, mut stream: OwnedReadHalf) {
        let began = instant();
        let mut last_frame = began;
        let mut buffer = [0; READ_MAX];
        loop {
            let deadline = if self.is_welcome.load(Ordering::Relaxed) {
                last_frame + self.idle_max
            } else {
                began + WELCOME_WITHIN
            };
            let read = match timeout_at(deadline, stream.read(&mut buffer)).await {
                Ok(Ok(n)) if n > 0 => n,
                Ok(_) => return,
                // The terminal may have become welcome while this waited.
                Err(_) if instant() < last_frame + self.idle_max => {
                    if self.is_welcome.load(Ordering::Relaxed) {
                        continue;
                    }
                    return;
                }
                Err(_) => return,
            };
            let mut samples = Vec::new();
            let received = self.clock.now().utc;
            self.link.feed(Raw::Bytes(&buffer[..read]), received, &mut samples);
            // Bytes that make no frame do not keep a connection open.
            if self.tell(samples, false).await {
                last_frame = instant();
            }
        }
    }

    /// Tells the desk what there is to tell; answers whether there was a whole frame.
    async fn tell(&mut self, samples: Vec<Sample>, ended: bool) -> bool {
        let calls = self.link.take_calls();
        let counted = self.link.take_tally();
        let whole = !calls.is_empty();
        let heard = Heard { from: self.id, calls, samples, counted, ended };
        // Without a desk the box stops, and the terminal keeps what was not answered.
        let _ = self.heard.send(heard).await;
        whole
    }
}

async fn write_all(mut stream: OwnedWriteHalf, mut answers: mpsc::Receiver<Vec<u8>>) {
    while let Some(answer) = answers.recv().await {
        match timeout(WRITE_WITHIN, stream.write_all(&answer)).await {
            Ok(Ok(())) => {}
            Ok(Err(_)) | Err(_) => return,
        }
    }
}
