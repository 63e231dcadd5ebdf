//! A stream of pictures that is read all the time, so that the newest one is new.

use std::time::Duration;

use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use tokio::io::AsyncReadExt;
use tokio::process::ChildStdout;
use tokio::sync::watch;
use vision::stream::Splitter;

/// A stream that has shown no picture for so long hangs, whatever else it says.
const PATIENCE_MIN: Duration = Duration::from_secs(30);
/// What is read at once, in bytes.
const PIECE: usize = 64 * 1024;

/// Where the bytes of a stream come from.
pub(super) enum Bytestream {
    /// The output of a program.
    Program(ChildStdout),
    /// The answer of a web server.
    Answer(Incoming),
    /// The frames of a USB camera, or why there are no more.
    #[cfg(feature = "usb-camera")]
    Frames(tokio::sync::mpsc::Receiver<Result<Bytes, String>>),
}

impl Bytestream {
    /// What has come next; nothing at the end. May be dropped at any time.
    async fn next(&mut self) -> Result<Bytes, String> {
        match self {
            Bytestream::Program(output) => {
                let mut bytes = Vec::with_capacity(PIECE);
                output.read_buf(&mut bytes).await.map_err(|error| error.to_string())?;
                Ok(Bytes::from(bytes))
            }
            Bytestream::Answer(body) => {
                while let Some(frame) = body.frame().await {
                    let frame = frame.map_err(|error| error.to_string())?;
                    if let Ok(data) = frame.into_data()
                        && !data.is_empty()
                    {
                        return Ok(data);
                    }
                }
                Ok(Bytes::new())
            }
            #[cfg(feature = "usb-camera")]
            Bytestream::Frames(frames) => frames.recv().await.unwrap_or_else(|| Ok(Bytes::new())),
        }
    }
}

/// How long to wait for the next picture of a camera that is looked at so often: some make their
/// pictures at the pace at which they are wanted.
pub(super) fn patience(every: Duration) -> Duration {
    (every * 3).max(PATIENCE_MIN)
}

/// Where the pictures of a stream go.
pub(super) struct Live {
    /// How long to wait for the next one.
    pub(super) patience: Duration,
    /// The most bytes of a picture.
    pub(super) most: usize,
    /// The newest picture, with its number. One that is not taken gives way to the next.
    pub(super) newest: watch::Sender<(u64, Vec<u8>)>,
    /// Pictures that were too long.
    pub(super) too_long: watch::Sender<u64>,
    /// Whether pictures come, and why not; `None` before the first word.
    pub(super) state: watch::Sender<Option<Result<(), String>>>,
    /// Pictures so far.
    pub(super) number: u64,
}

impl Live {
    /// Takes pictures until the stream ends or shows none for too long; answers which.
    pub(super) async fn read(&mut self, mut stream: Bytestream) -> String {
        let mut splitter = Splitter::new(self.most);
        let hangs = tokio::time::sleep(self.patience);
        tokio::pin!(hangs);
        loop {
            let bytes = tokio::select! {
                () = &mut hangs => {
                    return format!("it has shown no picture for {} s", self.patience.as_secs());
                }
                bytes = stream.next() => bytes,
            };
            match bytes {
                Err(error) => return error,
                Ok(bytes) if bytes.is_empty() => return "its output has ended".to_owned(),
                Ok(bytes) => {
                    let before = self.number;
                    self.split(&mut splitter, &bytes);
                    if self.number > before {
                        hangs.set(tokio::time::sleep(self.patience));
                    }
                }
            }
        }
    }

    fn split(&mut self, splitter: &mut Splitter, bytes: &[u8]) {
        let before = splitter.too_long();
        for jpeg in splitter.push(bytes) {
            self.number += 1;
            self.newest.send_replace((self.number, jpeg));
            self.state.send_if_modified(|state| {
                let is_news = !matches!(state, Some(Ok(())));
                *state = Some(Ok(()));
                is_news
            });
        }
        let longer = splitter.too_long() - before;
        if longer > 0 {
            self.too_long.send_modify(|count| *count += longer);
        }
    }
}
