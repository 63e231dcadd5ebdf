//! The local socket: the same commands as over MQTT, for people at the box.
//!
//! `steward.sock` beside the buffer, for the user that the agent runs as. A request is one line,
//! `{"command":"ticket","payload":{"id","by","args"}}`, and so is its answer. Who may open the socket may
//! say who he is, as on a broker; what that name may do is laid down in `[[allow]]`.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use super::audit::Via;
use super::stores::{self, Stores};
use super::{AnswerTo, Desk};

/// People that are served at once; more wait in the system's queue.
const CONNECTIONS_MAX: usize = 8;
/// The longest request.
const REQUEST_MAX: u64 = 64 * 1024;
/// The longest that a request may take to come, and its answer to be taken.
const PATIENCE: Duration = Duration::from_secs(10);

/// A request on the socket.
#[derive(Debug, Serialize, Deserialize)]
pub struct Request {
    /// The name of the command: the last level of its topic.
    pub command: String,
    /// What would be the payload on that topic.
    pub payload: Value,
}

/// Where the socket of a box is that buffers in `dir`.
#[must_use]
pub fn path(dir: &Path) -> PathBuf {
    dir.join("steward.sock")
}

/// Makes the socket. The store in the same folder is held by this process alone, so a socket that is
/// there was left behind by one that is gone.
///
/// # Errors
/// The folder cannot be written, or the path is too long for a socket.
pub fn listen(dir: &Path) -> io::Result<UnixListener> {
    use std::os::unix::fs::PermissionsExt;
    let path = path(dir);
    match std::fs::remove_file(&path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let listener = UnixListener::bind(&path)?;
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600))?;
    Ok(listener)
}

/// Serves people until `stop`.
pub async fn run(listener: UnixListener, desk: Desk, stores: Stores, stop: CancellationToken) {
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    loop {
        let place = Arc::clone(&places).acquire_owned().await.expect("it is never closed");
        let stream = tokio::select! {
            () = stop.cancelled() => return,
            stream = listener.accept() => stream,
        };
        match stream {
            Ok((stream, _)) => {
                let (desk, stores, stop) = (desk.clone(), stores.clone(), stop.clone());
                tokio::spawn(async move {
                    let served = tokio::select! {
                        () = stop.cancelled() => Ok(()),
                        served = tokio::time::timeout(PATIENCE, serve(stream, desk, stores)) => {
                            served.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
                        }
                    };
                    if let Err(error) = served {
                        tracing::debug!(error = %error, "a local request broke off");
                    }
                    drop(place);
                });
            }
            Err(error) => {
                tracing::warn!(error = %error, "the local socket takes nobody");
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
        }
    }
}

async fn serve(mut stream: UnixStream, desk: Desk, stores: Stores) -> io::Result<()> {
    let (read, mut write) = stream.split();
    let mut line = Vec::new();
    BufReader::new(read.take(REQUEST_MAX)).read_until(b'\n', &mut line).await?;
    let answer = match serde_json::from_slice::<Request>(&line) {
        Ok(Request { command, payload }) if command == stores::NAME => {
            Some(stores.answer(payload).await)
        }
        Ok(Request { command, payload }) => {
            let payload = payload.to_string().into_bytes();
            desk.carry(&command, &payload, &Via::Local, AnswerTo::Caller).await
        }
        Err(error) => Some(super::not_read(&format!("the request cannot be read: {error}"))),
    };
    // Without an answer the box is about to end: the connection ends too, and the other side says so.
    let Some(answer) = answer else { return Ok(()) };
    write.write_all(format!("{answer}\n").as_bytes()).await
}
