//! A gpsd that shares its receiver: a TCP client of it.
//!
//! Asks once for reports and reads them until the connection ends, then makes it anew. Nothing is
//! acknowledged: a receiver keeps nothing, and its next second comes in a second. A gpsd without a
//! receiver says nothing and is well; one that is gone without a word is found by a question.

use std::io;
use std::time::Duration;

use domain::decode::Raw;
use domain::decode::gpsd::{Gpsd, WATCH};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout_at;

use super::Context;
use super::intake::{Intake, Stopped};
use super::retry::Retry;
use crate::clock::{FLOOR, instant};
use crate::config::GpsdServer;

/// The longest time to connect.
const CONNECT_MAX: Duration = Duration::from_secs(5);
/// After this long without a word gpsd is asked whether it is there, and after as long again it is not.
const QUIET_MAX: Duration = Duration::from_secs(60);
/// A question that every gpsd answers.
const QUESTION: &[u8] = b"?VERSION;\n";
/// Bytes read at once.
const READ_MAX: usize = 4096;

/// Why a connection ended.
#[derive(Debug)]
enum End {
    Stopped,
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

/// Reads the receiver until the box stops.
pub(super) async fn run(settings: GpsdServer, context: Context) {
    let mut intake = Intake::new(decoder(&settings, &context), context.clone()).of_own_receiver();
    let mut retry = Retry::new();
    loop {
        let Err(end) = converse(&settings, &mut intake, &context, &mut retry).await;
        let End::Lost(error) = end else { return };
        if intake.finish().await.is_err() {
            return;
        }
        intake.publish_now();
        show_trouble(&settings, &context, &error);
        if !retry.wait(&context.stop).await {
            return;
        }
    }
}

/// The decoder. A receiver cannot have a date from before this program existed.
fn decoder(settings: &GpsdServer, context: &Context) -> Gpsd {
    settings.decoder(context.name.clone()).with_date_floor(FLOOR)
}

/// One connection, from its beginning to its end. One that carried something is tried again soon.
async fn converse(
    settings: &GpsdServer,
    intake: &mut Intake<Gpsd>,
    context: &Context,
    retry: &mut Retry,
) -> Result<std::convert::Infallible, End> {
    let mut stream = tokio::select! {
        () = context.stop.cancelled() => return Err(End::Stopped),
        stream = connect(settings) => stream?,
    };
    tracing::info!(host = settings.host, port = settings.port, "gpsd is there");
    intake.show(|status| {
        status.connected = true;
        status.trouble = None;
    });
    let mut buffer = [0; READ_MAX];
    let mut asked = false;
    let mut quiet_until = instant() + QUIET_MAX;
    loop {
        let read = tokio::select! {
            biased;
            () = context.stop.cancelled() => return Err(End::Stopped),
            () = intake.publish_due() => continue,
            read = timeout_at(quiet_until, stream.read(&mut buffer)) => read,
        };
        quiet_until = instant() + QUIET_MAX;
        let quiet = || io::Error::new(io::ErrorKind::TimedOut, "it does not answer any more");
        match read {
            Ok(Ok(0)) => return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into()),
            Ok(read) => {
                intake.take(Raw::Bytes(&buffer[..read?]), |_| None).await?;
                retry.carried();
                asked = false;
            }
            Err(_) if asked => return Err(quiet().into()),
            Err(_) => {
                let question = tokio::time::timeout(QUIET_MAX, stream.write_all(QUESTION));
                question.await.map_err(|_| quiet())??;
                asked = true;
            }
        }
    }
}

/// Connects and asks for reports.
async fn connect(settings: &GpsdServer) -> io::Result<TcpStream> {
    let connecting = async {
        let mut stream = TcpStream::connect((settings.host.as_str(), settings.port)).await?;
        stream.write_all(WATCH.as_bytes()).await?;
        Ok(stream)
    };
    let late = |_| io::Error::new(io::ErrorKind::TimedOut, "no connection in time");
    tokio::time::timeout(CONNECT_MAX, connecting).await.map_err(late)?
}

/// Says what is wrong, unless that was said already.
fn show_trouble(settings: &GpsdServer, context: &Context, error: &io::Error) {
    let GpsdServer { host, port, .. } = settings;
    let trouble = format!("gpsd at {host}:{port}: {error}; waiting for it");
    context.status.send_if_modified(|status| {
        let is_news = status.trouble.as_ref() != Some(&trouble);
        if is_news {
            tracing::warn!(trouble, "gpsd is not there");
        }
        status.connected = false;
        status.trouble = Some(trouble);
        is_news
    });
}

#[cfg(test)]
pub(super) mod tests {
    use std::io::Write;
    use std::os::unix::process::CommandExt;
    use std::path::Path;
    use std::process::{Command, Stdio};

    use domain::decode::Reason;
    use domain::place::{Datum, Position};
    use domain::sample::Quantity;
    use domain::units::MillimetresPerSecond;
    use tokio::io::{AsyncBufReadExt, BufReader};
    use tokio::net::TcpListener;

    use super::*;
    use crate::sources::tests::{Bench, fix, in_time};

    /// A gpsd on a port of this machine.
    pub(in crate::sources) fn settings(port: u16) -> GpsdServer {
        GpsdServer { host: "127.0.0.1".to_owned(), port, receiver: None }
    }

    const BANNER: &str = "{\"class\":\"VERSION\",\"release\":\"3.22\",\"rev\":\"3.22\",\"proto_major\":3,\"proto_minor\":14}\n";

    fn report(device: &str, time: &str) -> String {
        format!(
            "{{\"class\":\"TPV\",\"device\":\"{device}\",\"mode\":3,\"time\":\"{time}\",\
             \"lat\":31.81,\"lon\":119.974,\"speed\":1.5}}\n"
        )
    }

    /// A daemon on a port of this machine, and the settings to find it.
    async fn daemon(receiver: Option<&str>) -> (TcpListener, GpsdServer) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let receiver = receiver.map(str::to_owned);
        (listener, GpsdServer { receiver, ..settings(port) })
    }

    /// Takes the connection of the source and its wish.
    async fn welcome(listener: &TcpListener) -> BufReader<TcpStream> {
        let mut stream = BufReader::new(in_time(listener.accept()).await.unwrap().0);
        stream.get_mut().write_all(BANNER.as_bytes()).await.unwrap();
        let mut wish = String::new();
        in_time(stream.read_line(&mut wish)).await.unwrap();
        assert_eq!(wish, WATCH);
        stream
    }

    #[tokio::test]
    async fn reports_become_samples_and_only_those_of_the_receiver_that_counts() {
        let mut bench = Bench::new("gnss", 8);
        let (listener, settings) = daemon(Some("/dev/ttyS0")).await;
        let task = tokio::spawn(run(settings, bench.context.clone()));
        let mut stream = welcome(&listener).await;
        let text = report("/dev/ttyS1", "2026-06-04T03:59:59.000Z")
            + &report("/dev/ttyS0", "2006-10-19T04:00:00.000Z")
            + "{\"class\":\"TP\n"
            + &report("/dev/ttyS0", "2026-06-04T04:00:01.000Z");
        for piece in text.as_bytes().chunks(7) {
            stream.get_mut().write_all(piece).await.unwrap();
        }
        assert_eq!(bench.arrival().await.0.at, None, "the week counter has rolled over");
        let (sample, committed) = bench.arrival().await;
        assert_eq!(sample.at.unwrap().to_string(), "2026-06-04T04:00:01.000Z");
        assert!(committed.is_none());
        let status = in_time(bench.until(|status| status.tally.samples == 2)).await;
        assert!(status.connected);
        assert_eq!(status.tally.rejected[&Reason::UnknownDevice], 1);
        assert_eq!(status.tally.rejected[&Reason::Time], 1);
        assert_eq!(status.tally.rejected_total(), 3);
        bench.context.stop.cancel();
        in_time(task).await.unwrap();
    }

    /// Debian's gpsd behind gpsfake, which plays a receiver's log to it. The two are a process group, and
    /// end with this.
    struct Fake(std::process::Child);

    impl Fake {
        /// `None` when it is not installed; that has then been said.
        fn start(log: &Path, port: u16) -> Option<Fake> {
            let started = Command::new("gpsfake")
                .args(["-n", "-c", "0.05", "-P", &port.to_string()])
                .arg(log)
                .process_group(0)
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .spawn();
            match started {
                Ok(child) => Some(Fake(child)),
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    let told =
                        "SKIPPED: gpsfake is not installed (apt-get install gpsd gpsd-clients)";
                    writeln!(io::stderr(), "{told}").unwrap();
                    None
                }
                Err(error) => panic!("gpsfake does not start: {error}"),
            }
        }
    }

    impl Drop for Fake {
        fn drop(&mut self) {
            let group = format!("-{}", self.0.id());
            // Ended already, or to be ended now: both are right.
            let _ = Command::new("kill").args(["-TERM", "--", &group]).status();
            let _ = self.0.wait();
        }
    }

    #[tokio::test]
    async fn a_real_gpsd_is_waited_for_and_what_its_receiver_says_arrives() {
        let dir = tempfile::tempdir().unwrap();
        let log = dir.path().join("drive.nmea");
        let drive: String =
            (0..30).map(|second| fix(&format!("0400{second:02}"), "040626")).collect();
        std::fs::write(&log, drive).unwrap();
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let mut bench = Bench::new("gnss", 64);
        let task = tokio::spawn(run(settings(port), bench.context.clone()));
        in_time(bench.until(|status| status.trouble.is_some())).await;
        let Some(fake) = Fake::start(&log, port) else { return };
        // Some reports come before gpsd has found the rhythm of the receiver.
        let (at, fix) = in_time(async {
            loop {
                let sample = bench.arrival().await.0;
                if let (Some(at), [Quantity::Fix(fix)]) = (sample.at, sample.quantities.as_slice())
                {
                    return (at, *fix);
                }
            }
        })
        .await;
        assert!(at.to_string().starts_with("2026-06-04T04:00:"), "{at}");
        let place = Position::from_e7(318_100_000, 1_199_740_000, Datum::Wgs84).unwrap();
        assert_eq!(fix.position, place);
        // 5 knots.
        assert_eq!(fix.speed, Some(MillimetresPerSecond(2_572)));
        let status = in_time(bench.until(|status| status.tally.samples > 3)).await;
        assert_eq!(status.tally.rejected_total(), 0, "{:?}", status.tally);
        drop(fake);
        in_time(bench.until(|status| status.trouble.is_some())).await;
        bench.context.stop.cancel();
        in_time(task).await.unwrap();
    }

    #[tokio::test]
    async fn a_daemon_that_goes_is_shown_and_found_again() {
        let mut bench = Bench::new("gnss", 8);
        let (listener, settings) = daemon(None).await;
        let _task = tokio::spawn(run(settings, bench.context.clone()));
        drop(welcome(&listener).await);
        let status = in_time(bench.until(|status| status.trouble.is_some())).await;
        assert!(!status.connected);
        assert!(status.trouble.unwrap().starts_with("gpsd at 127.0.0.1:"));
        let mut stream = welcome(&listener).await;
        in_time(bench.until(|status| status.connected && status.trouble.is_none())).await;
        let text = report("/dev/ttyS0", "2026-06-04T04:00:01.000Z");
        stream.get_mut().write_all(text.as_bytes()).await.unwrap();
        assert!(bench.arrival().await.0.at.is_some());
    }

    #[tokio::test]
    async fn a_silent_daemon_is_asked_and_one_that_does_not_answer_is_left() {
        let mut bench = Bench::new("gnss", 8);
        let (listener, settings) = daemon(None).await;
        let _task = tokio::spawn(run(settings, bench.context.clone()));
        let mut stream = welcome(&listener).await;
        in_time(bench.until(|status| status.tally.frames == 1)).await;
        tokio::time::pause();
        let mut question = String::new();
        stream.read_line(&mut question).await.unwrap();
        assert_eq!(question.as_bytes(), QUESTION);
        let status = bench.until(|status| status.trouble.is_some()).await;
        assert!(status.trouble.unwrap().contains("does not answer any more"));
    }
}
