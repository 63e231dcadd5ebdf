//! Pseudo-terminals: the serial lines of the simulated street.
//!
//! The demo and the tests write what a device would say into the master side; the source opens the
//! slave's path as it would open `/dev/ttyUSB0` and cannot tell the difference. This file knows nothing
//! of what travels on the line.

use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags};
use rustix::pty::OpenptFlags;
use rustix::termios::OptionalActions;
use tokio::io::unix::AsyncFd;

/// A pair of terminals, seen from the device's end. Dropping it hangs up the line, which the other end
/// sees as a device that was pulled out.
///
/// The line is raw: every byte passes as it is. What is written before anybody has opened the slave is
/// kept by the kernel (some 4 KiB); when that is full, [`Pty::write_all`] waits.
#[derive(Debug)]
pub struct Pty {
    master: AsyncFd<OwnedFd>,
    slave: PathBuf,
    /// Keeps the line up while the source closes and opens it again; without it the master would read
    /// an error in between.
    _keeper: OwnedFd,
}

/// Why there is no pseudo-terminal.
#[derive(Debug, thiserror::Error)]
#[error(
    "cannot {doing}: {source}; is /dev/pts mounted, and is its limit (kernel.pty.max) reached?"
)]
pub struct PtyError {
    doing: &'static str,
    source: io::Error,
}

/// Names the step that failed.
fn failed<E: Into<io::Error>>(doing: &'static str) -> impl FnOnce(E) -> PtyError {
    move |e| PtyError { doing, source: e.into() }
}

impl Pty {
    /// Opens a pair of terminals. Must be called inside a tokio runtime with I/O.
    ///
    /// # Errors
    /// The system has none left, or does not offer them.
    pub fn open() -> Result<Pty, PtyError> {
        let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
        let master = rustix::pty::openpt(flags).map_err(failed("open a pseudo-terminal"))?;
        rustix::pty::grantpt(&master).map_err(failed("grant the pseudo-terminal"))?;
        rustix::pty::unlockpt(&master).map_err(failed("unlock the pseudo-terminal"))?;
        let name = rustix::pty::ptsname(&master, Vec::new())
            .map_err(failed("name the pseudo-terminal"))?;
        let slave = PathBuf::from(std::ffi::OsString::from_vec(name.into_bytes()));
        let keeper = open_raw(&slave)?;
        rustix::io::ioctl_fionbio(&master, true)
            .map_err(failed("make the pseudo-terminal non-blocking"))?;
        Ok(Pty { master: watched(master)?, slave, _keeper: keeper })
    }

    /// Where the other end is opened, such as `/dev/pts/7`.
    #[must_use]
    pub fn slave(&self) -> &Path {
        &self.slave
    }

    /// Reads what the other end wrote: at least one byte, at most `buffer.len()`.
    ///
    /// # Errors
    /// The line broke.
    pub async fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            let mut ready = self.master.readable().await?;
            let attempt =
                ready.try_io(|master| Ok(rustix::io::read(master.get_ref(), &mut *buffer)?));
            match attempt {
                Ok(outcome) => return outcome,
                Err(_would_block) => {}
            }
        }
    }

    /// Writes all of `bytes`, waiting while the line is full.
    ///
    /// # Errors
    /// The line broke.
    pub async fn write_all(&self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            let mut ready = self.master.writable().await?;
            let attempt = ready.try_io(|master| Ok(rustix::io::write(master.get_ref(), bytes)?));
            match attempt {
                Ok(written) => bytes = &bytes[written?..],
                Err(_would_block) => {}
            }
        }
        Ok(())
    }

    /// Writes as much of `bytes` as the line takes at once and says how much that was; 0 when the other
    /// end has stopped reading and the line is full.
    ///
    /// # Errors
    /// The line broke.
    pub fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
        match rustix::io::write(self.master.get_ref(), bytes) {
            Ok(written) => Ok(written),
            Err(rustix::io::Errno::AGAIN) => Ok(0),
            Err(e) => Err(e.into()),
        }
    }
}

/// Hands the master to the runtime.
#[expect(
    deprecated,
    reason = "`AsyncFd::new` lets a type lie about its descriptor, which `OwnedFd` cannot do; its \
              successor is unsafe, which this workspace forbids"
)]
fn watched(master: OwnedFd) -> Result<AsyncFd<OwnedFd>, PtyError> {
    AsyncFd::new(master).map_err(failed("watch the pseudo-terminal"))
}

/// Opens the slave once and makes the line raw, so that no byte is changed or echoed even before the
/// source sets it up.
fn open_raw(slave: &Path) -> Result<OwnedFd, PtyError> {
    let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC;
    let fd = rustix::fs::open(slave, flags, Mode::empty())
        .map_err(failed("open the pseudo-terminal's other end"))?;
    let mut settings = rustix::termios::tcgetattr(&fd).map_err(failed("read the line settings"))?;
    settings.make_raw();
    rustix::termios::tcsetattr(&fd, OptionalActions::Now, &settings)
        .map_err(failed("make the line raw"))?;
    Ok(fd)
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    async fn other_end(pty: &Pty) -> tokio::fs::File {
        tokio::fs::OpenOptions::new().read(true).write(true).open(pty.slave()).await.unwrap()
    }

    #[tokio::test]
    async fn every_byte_passes_both_ways() {
        let pty = Pty::open().unwrap();
        let mut device = other_end(&pty).await;
        let all: Vec<u8> = (0..=255).collect();

        pty.write_all(&all).await.unwrap();
        let mut got = vec![0; 256];
        device.read_exact(&mut got).await.unwrap();
        assert_eq!(got, all);

        device.write_all(&all).await.unwrap();
        let mut got = Vec::new();
        while got.len() < 256 {
            let mut piece = [0; 64];
            let n = pty.read(&mut piece).await.unwrap();
            got.extend_from_slice(&piece[..n]);
        }
        assert_eq!(got, all);
    }

    #[tokio::test]
    async fn the_line_survives_a_source_that_opens_it_again() {
        let pty = Pty::open().unwrap();
        drop(other_end(&pty).await);
        pty.write_all(b"still here").await.unwrap();
        let mut again = other_end(&pty).await;
        let mut got = [0; 10];
        again.read_exact(&mut got).await.unwrap();
        assert_eq!(&got, b"still here");
    }

    #[tokio::test]
    async fn nobody_reading_fills_the_line_and_loses_nothing() {
        let pty = Pty::open().unwrap();
        let mut sent: Vec<u8> = Vec::new();
        loop {
            let piece: Vec<u8> = (sent.len()..sent.len() + 100).map(|i| i as u8).collect();
            let n = pty.try_write(&piece).unwrap();
            sent.extend_from_slice(&piece[..n]);
            if n == 0 {
                break;
            }
        }
        let mut device = other_end(&pty).await;
        let mut got = vec![0; sent.len()];
        device.read_exact(&mut got).await.unwrap();
        assert_eq!(got, sent);
    }

    #[tokio::test]
    async fn dropping_it_hangs_up() {
        let pty = Pty::open().unwrap();
        let mut device = other_end(&pty).await;
        drop(pty);
        let mut piece = [0; 1];
        // Linux answers end of file or EIO to a reader whose line has hung up.
        assert!(matches!(device.read(&mut piece).await, Ok(0) | Err(_)));
    }
}
