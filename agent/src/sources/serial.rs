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
use serial2_tokio::{SerialPort, Settings};
use tokio::fs::File;
use tokio::io::AsyncReadExt;

use super::Context;
use super::intake::Stopped;
use crate::config::{Parity, Serial};

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

/// An open serial line in raw mode: 8 data bits, 1 stop bit, no flow control.
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
    let settings = settings.clone();
    tokio::task::spawn_blocking(move || open(&settings, accept))
        .await
        .expect("opening a line does not panic and is never cancelled")
}

fn open(line: &Serial, accept: Accept) -> Result<Stream, Trouble> {
    let Serial { device: path, baud, parity } = line;
    let baud = *baud;
    let failed = |error| Trouble::of(path, baud, error);
    let kind = std::fs::metadata(path).map_err(failed)?.file_type();
    if kind.is_file() && accept == Accept::TtyOrFile {
        let file = std::fs::File::open(path).map_err(failed)?;
        return Ok(Stream::File(File::from_std(file)));
    }
    if let Some(what) = other_than_device(kind) {
        return Err(Trouble::NotATty { path: path.clone(), what });
    }
    let port = SerialPort::open(path, |mut settings: Settings| {
        settings.set_raw();
        settings.set_baud_rate(baud)?;
        settings.set_parity(match parity {
            Parity::None => serial2_tokio::Parity::None,
            Parity::Even => serial2_tokio::Parity::Even,
            Parity::Odd => serial2_tokio::Parity::Odd,
        });
        Ok(settings)
    })
    .map_err(failed)?;
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

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;
    use std::os::unix::net::UnixListener;

    use super::*;
    use crate::demo::pty::Pty;
    use crate::sources::tests::{Bench, Log, in_time, serial};

    fn line(device: &Path, accept: Accept, bench: &Bench) -> Line {
        Line::new(serial(device), accept, bench.context.clone())
    }

    async fn open_tty(line: &mut Line) -> Port {
        match line.open().await {
            Some(Stream::Tty(port)) => port,
            other => panic!("not a tty: {other:?}"),
        }
    }

    #[test]
    fn every_trouble_names_the_path_the_cause_and_what_to_do() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        std::fs::write(at("file"), "x").unwrap();
        let _socket = UnixListener::bind(at("socket")).unwrap();
        let fifo = rustix::fs::FileType::Fifo;
        rustix::fs::mknodat(rustix::fs::CWD, at("fifo"), fifo, 0o600.into(), 0).unwrap();
        let table = [
            (at("none"), Accept::Tty, "no such device", "waiting for it"),
            (dir.path().to_owned(), Accept::TtyOrFile, "is a directory", "set `device`"),
            (at("file"), Accept::Tty, "is a regular file", "set `device`"),
            (at("socket"), Accept::TtyOrFile, "is a socket", "set `device`"),
            (at("fifo"), Accept::TtyOrFile, "is a named pipe", "set `device`"),
            (PathBuf::from("/dev/null"), Accept::Tty, "a device of another kind", "set `device`"),
        ];
        for (path, accept, cause, fix) in table {
            let text = open(&serial(&path), accept).unwrap_err().to_string();
            for part in [path.to_str().unwrap(), cause, fix] {
                assert!(text.contains(part), "{part:?} is not in {text:?}");
            }
        }
        let of = |kind| Trouble::of(Path::new("/dev/ttyS9"), 31, io::Error::from(kind)).to_string();
        let denied = of(io::ErrorKind::PermissionDenied);
        assert!(denied.starts_with("cannot open /dev/ttyS9: permission denied"), "{denied}");
        assert!(denied.contains("usermod -aG dialout"), "{denied}");
        let refused = of(io::ErrorKind::InvalidInput);
        assert!(refused.starts_with("cannot open /dev/ttyS9 at 31 baud: "), "{refused}");
    }

    #[tokio::test(start_paused = true)]
    async fn the_waits_grow_to_half_a_minute_and_start_again_after_a_line_that_carried() {
        let bench = Bench::new("s", 1);
        let pty = Pty::open().unwrap();
        let mut line = line(pty.slave(), Accept::Tty, &bench);
        let waits = async |line: &mut Line, n: usize| {
            let mut seconds = Vec::new();
            for _ in 0..n {
                let before = tokio::time::Instant::now();
                assert!(line.wait().await);
                seconds.push(before.elapsed().as_secs());
            }
            seconds
        };
        assert_eq!(waits(&mut line, 7).await, [1, 2, 4, 8, 16, 30, 30]);
        let failed = || io::Error::from(io::ErrorKind::BrokenPipe);
        let silent = Stream::Tty(open_tty(&mut line).await);
        line.lost(&silent, failed());
        assert_eq!(waits(&mut line, 1).await, [30], "it broke at once");
        let mut carrying = Stream::Tty(open_tty(&mut line).await);
        pty.write_all(b"x").await.unwrap();
        assert_eq!(carrying.read(&mut [0; 9]).await.unwrap(), 1);
        line.lost(&carrying, failed());
        assert_eq!(waits(&mut line, 2).await, [1, 2]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_stop_ends_the_waiting() {
        let bench = Bench::new("s", 1);
        let mut line = line(Path::new("/nonexistent/tty"), Accept::Tty, &bench);
        let ((), opened) = tokio::join!(async { bench.context.stop.cancel() }, line.open());
        assert!(opened.is_none());
    }

    #[tokio::test]
    async fn every_byte_passes_both_ways() {
        let bench = Bench::new("s", 1);
        let pty = Pty::open().unwrap();
        let port = open_tty(&mut line(pty.slave(), Accept::Tty, &bench)).await;
        let all: Vec<u8> = (0..=255).collect();
        for _ in 0..3 {
            pty.write_all(&all).await.unwrap();
            let mut got = Vec::new();
            while got.len() < all.len() {
                let mut piece = [0; 100];
                let n = in_time(port.read(&mut piece)).await.unwrap();
                got.extend_from_slice(&piece[..n]);
            }
            assert_eq!(got, all);
        }
        assert_eq!(port.write(&all).await.unwrap(), all.len());
        let mut got = Vec::new();
        while got.len() < all.len() {
            let mut piece = [0; 100];
            let n = in_time(pty.read(&mut piece)).await.unwrap();
            got.extend_from_slice(&piece[..n]);
        }
        assert_eq!(got, all);
    }

    #[tokio::test(start_paused = true)]
    async fn missing_present_lost_and_back_are_each_said_once() {
        let log = Log::capture();
        let mut bench = Bench::new("s", 1);
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("ttyUSB0");
        let mut line = line(&path, Accept::Tty, &bench);

        // Missing for a long time, then plugged in.
        let plugged = async {
            let missing = bench.until(|status| status.trouble.is_some()).await;
            assert_eq!(
                missing.trouble.unwrap(),
                format!("no such device {}: waiting for it", path.display())
            );
            tokio::time::sleep(Duration::from_secs(600)).await;
            let pty = Pty::open().unwrap();
            symlink(pty.slave(), &path).unwrap();
            pty
        };
        let (port, pty) = tokio::join!(open_tty(&mut line), plugged);
        assert!(bench.status.borrow().connected && bench.status.borrow().trouble.is_none());

        // Pulled out.
        std::fs::remove_file(&path).unwrap();
        drop(pty);
        let error = port.read(&mut [0; 9]).await.unwrap_err();
        line.lost(&Stream::Tty(port), error);
        assert!(!bench.status.borrow().connected);

        // And in again, much later.
        let plugged = async {
            tokio::time::sleep(Duration::from_secs(600)).await;
            let pty = Pty::open().unwrap();
            symlink(pty.slave(), &path).unwrap();
            pty
        };
        let (_port, _pty) = tokio::join!(open_tty(&mut line), plugged);
        assert!(bench.status.borrow().connected);

        let lines = log.lines();
        let said: Vec<&str> = lines.iter().map(|line| &line[..4]).collect();
        assert_eq!(said, ["WARN", "INFO", "WARN", "INFO"], "{lines:#?}");
        for (line, part) in lines.iter().zip(["no such", "is back", "lost", "is back"]) {
            assert!(line.contains(part), "{line}");
        }
    }
}
