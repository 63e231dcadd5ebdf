//! A tty as a byte stream: opens it, sets it up, waits for it while it is missing, and says once that it
//! is gone and once that it is back.
//!
//! Knows nothing of what travels on the line. A line that is pulled out is not an error of the program:
//! [`Line::open`] tries again, at first after a second and later every half minute, for as long as the
//! box runs.

use std::io;
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rustix::io::Errno;
use serial2_tokio::SerialPort;
use tokio::fs::File;
use tokio::io::AsyncReadExt;

use super::Context;
use super::intake::Stopped;
use crate::config::Serial;

/// The first wait before a line is tried again.
const RETRY_MIN: Duration = Duration::from_secs(1);
/// The longest wait; an adapter that is plugged in again is found at the latest after it.
const RETRY_MAX: Duration = Duration::from_secs(30);

/// Bytes read at once. A source holds no more than this of its line: while it is busy the bytes wait in
/// the tty's own buffer (4 KiB in Linux), which, once full, drops what the device goes on sending.
pub(super) const READ_MAX: usize = 4096;

/// What a line may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Accept {
    /// A tty and nothing else.
    Tty,
    /// A tty; or a regular file, a recording.
    TtyOrFile,
}

/// The stream of bytes behind the path of a line.
#[derive(Debug)]
pub(super) enum Stream {
    /// A serial line.
    Tty(Port),
    /// A recording, which has an end.
    File(File),
}

impl Stream {
    /// Reads at least one byte, or 0 at the end of a file. May be dropped at any time.
    ///
    /// # Errors
    /// The tty is gone, or the file cannot be read further.
    pub(super) async fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Stream::Tty(port) => port.read(buffer).await,
            Stream::File(file) => file.read(buffer).await,
        }
    }
}

/// An open serial line in raw mode: 8 data bits, no parity, no flow control.
#[derive(Debug)]
pub(super) struct Port {
    port: SerialPort,
    carried: AtomicBool,
}

impl Port {
    /// Reads at least one byte. May be dropped at any time.
    ///
    /// # Errors
    /// The tty is gone.
    pub(super) async fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        match self.port.read(buffer).await? {
            // In raw mode a tty reads nothing only when it has been hung up.
            0 => Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the line was hung up")),
            n => {
                self.carried.store(true, Ordering::Relaxed);
                Ok(n)
            }
        }
    }

    /// Writes some of `bytes`, waiting while the line takes none. May be dropped at any time.
    ///
    /// # Errors
    /// The tty is gone.
    pub(super) async fn write(&self, bytes: &[u8]) -> io::Result<usize> {
        self.port.write(bytes).await
    }
}

/// Why a line is not open. Each says what to do.
#[derive(Debug, thiserror::Error)]
enum Trouble {
    #[error("no such device {0}: waiting for it")]
    Missing(PathBuf),
    #[error(
        "cannot open {0}: permission denied; add the user that runs steward to the group that owns \
         the device, on Debian dialout (usermod -aG dialout USER, then start steward anew)"
    )]
    Denied(PathBuf),
    #[error(
        "{path} is {what}, not a serial device; set `device` of this source to a tty such as \
         /dev/serial/by-id/…"
    )]
    NotATty { path: PathBuf, what: &'static str },
    #[error("cannot open {path} at {baud} baud: {error}")]
    Open { path: PathBuf, baud: u32, error: io::Error },
    #[error("lost {path}: {error}; waiting for it")]
    Lost { path: PathBuf, error: io::Error },
}

impl Trouble {
    /// Whether the device simply is not there.
    fn is_absence(&self) -> bool {
        matches!(self, Trouble::Missing(_) | Trouble::Lost { .. })
    }

    /// Names what went wrong with `path`.
    fn of(path: &Path, baud: u32, error: io::Error) -> Trouble {
        match error.kind() {
            io::ErrorKind::NotFound => Trouble::Missing(path.to_owned()),
            io::ErrorKind::PermissionDenied => Trouble::Denied(path.to_owned()),
            _ if error.raw_os_error() == Some(Errno::NOTTY.raw_os_error()) => {
                Trouble::NotATty { path: path.to_owned(), what: "a device of another kind" }
            }
            _ => Trouble::Open { path: path.to_owned(), baud, error },
        }
    }
}

/// Why a source stopped reading its line.
#[derive(Debug)]
pub(super) enum End {
    /// The box stops.
    Stopped,
    /// The line is gone.
    Lost(io::Error),
}

impl From<Stopped> for End {
    fn from(Stopped: Stopped) -> End {
        End::Stopped
    }
}

impl From<io::Error> for End {
    fn from(error: io::Error) -> End {
        End::Lost(error)
    }
}

/// The serial line of a source, through every loss and return.
#[derive(Debug)]
pub(super) struct Line {
    settings: Serial,
    accept: Accept,
    context: Context,
    retry: Duration,
    /// The trouble that was logged last and still lasts.
    said: Option<Trouble>,
    /// Whether the line has been tried and must now be waited for.
    tried: bool,
}

impl Line {
    pub(super) fn new(settings: Serial, accept: Accept, context: Context) -> Line {
        Line { settings, accept, context, retry: RETRY_MIN, said: None, tried: false }
    }

    /// Opens the line, trying again until it is there. `None` when the box stops.
    pub(super) async fn open(&mut self) -> Option<Stream> {
        loop {
            if std::mem::replace(&mut self.tried, true) && !self.wait().await {
                return None;
            }
            match attempt(&self.settings, self.accept).await {
                Ok(stream) => {
                    self.opened();
                    return Some(stream);
                }
                Err(trouble) => self.trouble(trouble),
            }
        }
    }

    /// The line failed while it was open. One that carried something is tried again soon; one that
    /// fails as soon as it is open, ever later.
    pub(super) fn lost(&mut self, stream: &Stream, error: io::Error) {
        if matches!(stream, Stream::Tty(port) if port.carried.load(Ordering::Relaxed)) {
            self.retry = RETRY_MIN;
        }
        let path = self.settings.device.clone();
        self.trouble(Trouble::Lost { path, error });
    }

    /// Waits until the next attempt is due; false when the box stops.
    async fn wait(&mut self) -> bool {
        let wait = self.retry;
        self.retry = (wait * 2).min(RETRY_MAX);
        tokio::select! {
            () = self.context.stop.cancelled() => false,
            () = tokio::time::sleep(wait) => true,
        }
    }

    fn opened(&mut self) {
        let (device, baud) = (self.settings.device.display(), self.settings.baud);
        match self.said.take() {
            Some(_) => tracing::info!(%device, baud, "line is back"),
            None => tracing::info!(%device, baud, "line is open"),
        }
        self.context.status.send_modify(|status| {
            status.connected = true;
            status.trouble = None;
        });
    }

    /// Says what is wrong, unless that was said already. That a device which was lost is missing is
    /// no news either.
    fn trouble(&mut self, trouble: Trouble) {
        let text = trouble.to_string();
        let known = self.said.as_ref().is_some_and(|said| {
            said.to_string() == text || (said.is_absence() && trouble.is_absence())
        });
        if known {
            return;
        }
        tracing::warn!(trouble = text, "line is not there");
        self.context.status.send_modify(|status| {
            status.connected = false;
            status.trouble = Some(text);
        });
        self.said = Some(trouble);
    }
}

/// Opens the line once. Opening can block in a driver, so it has a thread of its own.
async fn attempt(settings: &Serial, accept: Accept) -> Result<Stream, Trouble> {
    let Serial { device, baud } = settings.clone();
    tokio::task::spawn_blocking(move || open(&device, baud, accept))
        .await
        .expect("opening a line does not panic and is never cancelled")
}

fn open(path: &Path, baud: u32, accept: Accept) -> Result<Stream, Trouble> {
    let failed = |error| Trouble::of(path, baud, error);
    let kind = std::fs::metadata(path).map_err(failed)?.file_type();
    if kind.is_file() && accept == Accept::TtyOrFile {
        let file = std::fs::File::open(path).map_err(failed)?;
        return Ok(Stream::File(File::from_std(file)));
    }
    if let Some(what) = other_than_device(kind) {
        return Err(Trouble::NotATty { path: path.to_owned(), what });
    }
    let port = SerialPort::open(path, baud).map_err(failed)?;
    Ok(Stream::Tty(Port { port, carried: AtomicBool::new(false) }))
}

/// What a path names that cannot be a tty.
fn other_than_device(kind: std::fs::FileType) -> Option<&'static str> {
    if kind.is_dir() {
        Some("a directory")
    } else if kind.is_file() {
        Some("a regular file")
    } else if kind.is_fifo() {
        Some("a named pipe")
    } else if kind.is_socket() {
        Some("a socket")
    } else if kind.is_block_device() {
        Some("a disk")
    } else {
        None
    }
}
