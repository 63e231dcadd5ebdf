//! A stream of pictures that is read all the time, so that the newest one is new.

use std::time::Duration;

use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use tokio::io::AsyncReadExt;
use tokio::process::ChildStdout;
use tokio::sync::watch;
use vision::stream::Splitter;

/// A stream that has said nothing for so long hangs.
const SILENCE_MAX: Duration = Duration::from_secs(30);
/// What is read at once, in bytes.
const PIECE: usize = 64 * 1024;

/// Where the bytes of a stream come from.
pub(super) enum Bytestream {
    /// The output of a program.
    Program(ChildStdout),
    /// The answer of a web server.
    Answer(Incoming),
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
        }
    }
}

/// Where the pictures of a stream go.
pub(super) struct Live {
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
    /// Takes pictures until the stream ends or is silent for too long; answers which.
    pub(super) async fn read(&mut self, mut stream: Bytestream) -> String {
        let mut splitter = Splitter::new(self.most);
        loop {
            match tokio::time::timeout(SILENCE_MAX, stream.next()).await {
                Err(_) => return format!("it has been silent for {} s", SILENCE_MAX.as_secs()),
                Ok(Err(error)) => return error,
                Ok(Ok(bytes)) if bytes.is_empty() => return "its output has ended".to_owned(),
                Ok(Ok(bytes)) => self.split(&mut splitter, &bytes),
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
