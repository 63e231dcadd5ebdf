//! The other end of the local socket: asks a box that runs on this machine.

use std::io::{self, BufRead, BufReader, Lines, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::Value;

use super::local::{self, Request};

/// The longest wait for an answer.
const PATIENCE: Duration = Duration::from_secs(20);
/// The longest answer.
const ANSWER_MAX: u64 = 4 * 1024 * 1024;

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum AskError {
    /// Nobody listens there.
    #[error("no box answers at {path}: {source}; is it running, and may you open its socket?")]
    Nobody {
        /// The socket.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// The connection broke off.
    #[error("the box did not answer: {0}")]
    Broken(#[source] io::Error),
    /// What came is no answer.
    #[error("what the box said is no answer: {0}")]
    Unread(#[from] serde_json::Error),
}

/// Asks the box that buffers in `dir` and gives its answer.
///
/// # Errors
/// Nobody listens, or what comes is no answer.
pub fn ask(dir: &Path, command: &str, payload: Value) -> Result<Value, AskError> {
    let stream = call(dir, command, payload)?;
    let mut said = String::new();
    let mut listen = || -> io::Result<()> {
        stream.set_read_timeout(Some(PATIENCE))?;
        BufReader::new((&stream).take(ANSWER_MAX)).read_line(&mut said)?;
        Ok(())
    };
    listen().map_err(AskError::Broken)?;
    if said.is_empty() {
        return Err(AskError::Broken(io::ErrorKind::UnexpectedEof.into()));
    }
    Ok(serde_json::from_str(&said)?)
}

/// What the box that buffers in `dir` decides from now on, a JSON object a line, until it stops.
///
/// # Errors
/// Nobody listens.
pub fn follow(dir: &Path) -> Result<Lines<BufReader<UnixStream>>, AskError> {
    Ok(BufReader::new(call(dir, local::WATCH, Value::Null)?).lines())
}

fn call(dir: &Path, command: &str, payload: Value) -> Result<UnixStream, AskError> {
    let path = local::path(dir);
    let nobody = |source| AskError::Nobody { path: path.clone(), source };
    let mut stream = UnixStream::connect(&path).map_err(nobody)?;
    let request = Request { command: command.to_owned(), payload };
    let mut line = serde_json::to_vec(&request)?;
    line.push(b'\n');
    stream.write_all(&line).map_err(AskError::Broken)?;
    Ok(stream)
}
