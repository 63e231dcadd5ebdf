//! Modbus devices, over a serial line or over TCP: each is asked in its turn, and its answers become one
//! sample.
//!
//! One question is on its way at a time, and its answer must be that of the device that was asked, to
//! that question, with the right check sum; everything else is counted and thrown away, and then the
//! line is read empty, so that a late answer is never taken for the next one. A device that does not
//! answer is named once when it falls silent and once when it is back; the others are asked on.
//!
//! On a serial line the box is the only master. Asking is all it does: nothing is ever written.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::io;
use std::time::Duration;

use domain::decode::Reason;
use domain::decode::modbus::{BadAnswer, Read, rtu, tcp};
use domain::ids::DeviceKey;
use domain::sample::{Quantity, Sample};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout};

use super::Context;
use super::intake::{Gate, Stopped};
use super::retry::Retry;
use super::serial::{Accept, Line, Port, Stream};
use crate::clock::instant;
use crate::config::{Modbus, ModbusLink, Serial, Station};

/// The longest time that a device takes to answer: level sensors measure first.
const ANSWER_MAX: Duration = Duration::from_secs(1);
/// A line that has been quiet for this long after a bad answer is free again.
const QUIET: Duration = Duration::from_millis(50);
/// A line that does not become quiet is read no longer than this before the next question.
const NOISE_MAX: Duration = Duration::from_millis(500);
/// The longest time to connect.
const CONNECT_MAX: Duration = Duration::from_secs(5);

/// Asks the devices until the box stops.
pub(super) async fn run(settings: Modbus, context: Context) {
    let mut round = Round::new(settings.stations, &context);
    match settings.link {
        ModbusLink::Line(line) => over_line(line, &mut round, context).await,
        ModbusLink::Tcp { host, port } => over_tcp(&host, port, &mut round, &context).await,
    }
}

async fn over_line(settings: Serial, round: &mut Round, context: Context) {
    let mut line = Line::new(settings, Accept::Tty, context.clone());
    while let Some(stream) = line.open().await {
        let Stream::Tty(port) = &stream else { unreachable!("the line accepts a tty only") };
        match round.ask_for_ever(&mut Bus::Line(port), &context).await {
            Err(End::Stopped) => return,
            Err(End::Lost(error)) => line.lost(&stream, error),
        }
    }
}

async fn over_tcp(host: &str, port: u16, round: &mut Round, context: &Context) {
    let mut retry = Retry::new();
    loop {
        let end = match connect(host, port).await {
            Ok(stream) => {
                round.gate.connected();
                let mut bus = Bus::Tcp { stream, transaction: 0 };
                let Err(end) = round.ask_for_ever(&mut bus, context).await;
                end
            }
            Err(error) => End::Lost(error),
        };
        let End::Lost(error) = end else { return };
        if std::mem::take(&mut round.answered) {
            retry.carried();
        }
        round.gate.trouble(format!("modbus server {host}:{port}: {error}"));
        if !retry.wait(&context.stop).await {
            return;
        }
    }
}

async fn connect(host: &str, port: u16) -> io::Result<TcpStream> {
    let stream = timeout(CONNECT_MAX, TcpStream::connect((host, port)))
        .await
        .map_err(|_| io::Error::new(io::ErrorKind::TimedOut, "it does not answer"))??;
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// Why asking ended.
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

/// Why a question has no answer.
#[derive(Debug)]
enum Failure {
    /// Nothing came in time.
    Silent,
    /// What came is no answer to it.
    Bad(BadAnswer),
    /// The connection is gone, or out of step.
    Lost(io::Error),
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Failure {
        Failure::Lost(error)
    }
}

impl From<Reason> for Failure {
    fn from(reason: Reason) -> Failure {
        Failure::Bad(reason.into())
    }
}

/// The devices, and when each is to be asked.
struct Round {
    stations: Vec<(Instant, Station)>,
    /// Devices that do not answer at present, with why.
    silent: BTreeMap<DeviceKey, String>,
    gate: Gate,
    source: domain::ids::SourceName,
    /// Whether any device has answered on this connection.
    answered: bool,
}

impl Round {
    fn new(stations: Vec<Station>, context: &Context) -> Round {
        let now = instant();
        Round {
            stations: stations.into_iter().map(|station| (now, station)).collect(),
            silent: BTreeMap::new(),
            gate: Gate::new(context.clone()),
            source: context.name.clone(),
            answered: false,
        }
    }

    /// Asks whose turn it is, until the connection or the box ends.
    async fn ask_for_ever(
        &mut self,
        bus: &mut Bus<'_>,
        context: &Context,
    ) -> Result<Infallible, End> {
        loop {
            let next = self.stations.iter().enumerate().min_by_key(|(_, (due, _))| *due);
            let (index, due) = next.map(|(i, (due, _))| (i, *due)).expect("there is a station");
            tokio::select! {
                biased;
                () = context.stop.cancelled() => return Err(End::Stopped),
                () = self.gate.publish_due() => {}
                () = tokio::time::sleep_until(due) => {
                    let station = self.stations[index].1.clone();
                    // From now, not from when it was due: a slow line must not be asked twice at once.
                    self.stations[index].0 = instant() + station.every;
                    tokio::select! {
                        () = context.stop.cancelled() => return Err(End::Stopped),
                        asked = self.ask(bus, &station) => asked?,
                    }
                }
            }
        }
    }

    /// Asks one device for everything.
    async fn ask(&mut self, bus: &mut Bus<'_>, station: &Station) -> Result<(), End> {
        let mut quantities: Vec<Quantity> = Vec::new();
        let mut failed = None;
        for read in station.map.reads() {
            match bus.exchange(station.address, *read).await {
                Ok((values, bytes)) => {
                    self.gate.count(|tally| {
                        tally.bytes += bytes as u64;
                        tally.frames += 1;
                    });
                    match station.map.decode(*read, &values) {
                        Ok(found) => quantities.extend(found),
                        Err(reason) => self.gate.reject(reason),
                    }
                }
                Err(Failure::Lost(error)) => return Err(End::Lost(error)),
                Err(Failure::Silent) => {
                    failed = Some("it does not answer".to_owned());
                    break;
                }
                Err(Failure::Bad(bad)) => {
                    if let BadAnswer::Rejected(reason) = bad {
                        self.gate.reject(reason);
                    }
                    failed = Some(bad.to_string());
                }
            }
        }
        self.tell(&station.device, failed);
        if quantities.is_empty() {
            return Ok(());
        }
        self.answered = true;
        self.gate.count(|tally| tally.sample(None));
        let (source, device) = (self.source.clone(), Some(station.device.clone()));
        let sample = Sample { source, device, counter: None, at: None, quantities };
        Ok(self.gate.hand_over(vec![sample], |_| None).await?)
    }

    /// Logs once that a device does not answer, and once that it is back; shows all that do not.
    fn tell(&mut self, device: &DeviceKey, failed: Option<String>) {
        let before = self.silent.get(device);
        match (&failed, before) {
            (Some(why), None) => tracing::warn!(%device, why, "modbus device gives no values"),
            (None, Some(_)) => tracing::info!(%device, "modbus device is back"),
            (Some(why), Some(known)) if why != known => {
                tracing::warn!(%device, why, "modbus device gives no values");
            }
            _ => return,
        }
        match failed {
            Some(why) => self.silent.insert(device.clone(), why),
            None => self.silent.remove(device),
        };
        let each: Vec<String> =
            self.silent.iter().map(|(device, why)| format!("{device}: {why}")).collect();
        self.gate.show(|status| status.trouble = (!each.is_empty()).then(|| each.join("; ")));
    }
}

/// The way to the devices.
enum Bus<'a> {
    Line(&'a Port),
    Tcp { stream: TcpStream, transaction: u16 },
}

impl Bus<'_> {
    /// Asks, and answers with the values and with how many bytes came.
    async fn exchange(&mut self, address: u8, read: Read) -> Result<(Vec<u16>, usize), Failure> {
        match self {
            Bus::Line(port) => on_line(port, address, read).await,
            Bus::Tcp { stream, transaction } => {
                *transaction = transaction.wrapping_add(1);
                over_stream(stream, *transaction, address, read).await
            }
        }
    }
}

async fn on_line(port: &Port, address: u8, read: Read) -> Result<(Vec<u16>, usize), Failure> {
    drain(port).await?;
    let question = rtu::frame(address, &read.request());
    let mut rest = question.as_slice();
    while !rest.is_empty() {
        rest = &rest[port.write(rest).await?..];
    }
    let mut frame = Vec::with_capacity(rtu::FRAME_MAX);
    let whole = read.answer_length() + 3;
    let answered = timeout(ANSWER_MAX, async {
        let mut piece = [0; rtu::FRAME_MAX];
        // An answer that refuses has five bytes, and bit 7 in its second.
        while frame.len() < if is_refusal(&frame) { 5 } else { whole } {
            let n = port.read(&mut piece[..rtu::FRAME_MAX]).await?;
            frame.extend_from_slice(&piece[..n]);
            if frame.len() > rtu::FRAME_MAX {
                break;
            }
        }
        io::Result::Ok(())
    });
    match answered.await {
        Ok(done) => done?,
        Err(_) if frame.is_empty() => return Err(Failure::Silent),
        // Whatever it is, it is judged as it is.
        Err(_) => {}
    }
    let bytes = frame.len();
    let answer = rtu::payload(address, &frame).map_err(Failure::from);
    match answer.and_then(|payload| read.answer(payload).map_err(Failure::Bad)) {
        Ok(values) => Ok((values, bytes)),
        Err(failure) => {
            quiet(port).await?;
            Err(failure)
        }
    }
}

fn is_refusal(frame: &[u8]) -> bool {
    frame.get(1).is_some_and(|function| function & 0x80 != 0)
}

/// Throws away what has come since the last answer.
async fn drain(port: &Port) -> io::Result<()> {
    let mut piece = [0; rtu::FRAME_MAX];
    let until = instant() + NOISE_MAX;
    while instant() < until {
        match timeout(Duration::ZERO, port.read(&mut piece)).await {
            Ok(read) => read?,
            Err(_) => return Ok(()),
        };
    }
    Ok(())
}

/// Reads the line empty until it has been quiet for a while.
async fn quiet(port: &Port) -> io::Result<()> {
    let mut piece = [0; rtu::FRAME_MAX];
    let until = instant() + NOISE_MAX;
    while instant() < until {
        match timeout(QUIET, port.read(&mut piece)).await {
            Ok(read) => read?,
            Err(_) => return Ok(()),
        };
    }
    Ok(())
}

async fn over_stream(
    stream: &mut TcpStream,
    transaction: u16,
    unit: u8,
    read: Read,
) -> Result<(Vec<u16>, usize), Failure> {
    stream.write_all(&tcp::frame(transaction, unit, &read.request())).await?;
    let answered = timeout(ANSWER_MAX, async {
        loop {
            let frame = next_frame(stream).await?;
            // An answer that came too late for its question is of an earlier transaction.
            let of = u16::from_be_bytes([frame[0], frame[1]]);
            if of == transaction || transaction.wrapping_sub(of) > 0x7fff {
                return io::Result::Ok(frame);
            }
        }
    });
    let frame = match answered.await {
        Ok(frame) => frame?,
        Err(_) => return Err(Failure::Silent),
    };
    let payload = tcp::payload(transaction, unit, &frame)?;
    let values = read.answer(payload).map_err(Failure::Bad)?;
    Ok((values, frame.len()))
}

/// The next whole frame. One whose length cannot be ends the connection: it is out of step.
async fn next_frame(stream: &mut TcpStream) -> io::Result<Vec<u8>> {
    let mut frame = vec![0; tcp::HEADER];
    stream.read_exact(&mut frame).await?;
    let out_of_step = |reason: Reason| {
        let words = format!("the connection is out of step ({})", reason.as_str());
        io::Error::new(io::ErrorKind::InvalidData, words)
    };
    let whole = tcp::length(&frame).map_err(out_of_step)?.unwrap_or(tcp::HEADER);
    frame.resize(whole, 0);
    stream.read_exact(&mut frame[tcp::HEADER..]).await?;
    Ok(frame)
}

#[cfg(test)]
pub(super) mod tests {
    use std::path::Path;

    use domain::decode::measure::{Measure, Scaling};
    use domain::decode::modbus::{Encoding, Register, RegisterMap, Table};
    use domain::units::Millimetres;
    use tokio::net::TcpListener;
    use tokio::task::JoinHandle;

    use super::*;
    use crate::demo::pty::Pty;
    use crate::sources::tests::{Bench, in_time, serial};

    fn station(address: u8) -> Station {
        let scaling = Scaling::new(Measure::Distance);
        let register = Register::new(Table::Holding, 0x100, Encoding::U16, scaling).unwrap();
        Station {
            address,
            device: DeviceKey::new(&format!("well-{address}")).unwrap(),
            every: Duration::from_millis(100),
            map: RegisterMap::new(vec![register]).unwrap(),
        }
    }

    /// Two devices on a line.
    pub(in crate::sources) fn line(tty: &Path) -> Modbus {
        Modbus { link: ModbusLink::Line(serial(tty)), stations: vec![station(1), station(2)] }
    }

    fn start(settings: Modbus, bench: &Bench) -> JoinHandle<()> {
        tokio::spawn(run(settings, bench.context.clone()))
    }

    /// The next question on the line, by the address it is for.
    async fn question(pty: &Pty) -> u8 {
        let mut got = Vec::new();
        while got.len() < 8 {
            let mut piece = vec![0; 8 - got.len()];
            let n = in_time(pty.read(&mut piece)).await.unwrap();
            got.extend_from_slice(&piece[..n]);
        }
        assert_eq!(rtu::payload(got[0], &got), Ok(&[3, 1, 0, 0, 1][..]));
        got[0]
    }

    fn answer(address: u8, mm: u16) -> Vec<u8> {
        let [high, low] = mm.to_be_bytes();
        rtu::frame(address, &[3, 2, high, low])
    }

    #[tokio::test]
    async fn devices_of_a_line_are_asked_in_turn_and_never_taken_for_another() {
        let mut bench = Bench::new("levels", 8);
        let pty = Pty::open().unwrap();
        let task = start(line(pty.slave()), &bench);
        let first = question(&pty).await;
        assert_eq!(first, 1);
        // The other device answers, a damaged answer comes, and then the right one, too late.
        let wrong = answer(2, 9);
        pty.write_all(&wrong).await.unwrap();
        let second = question(&pty).await;
        assert_eq!(second, 2);
        let mut damaged = answer(2, 700);
        damaged[3] ^= 1;
        pty.write_all(&damaged).await.unwrap();
        // From now on every question is answered.
        for _ in 0..2 {
            let address = question(&pty).await;
            let mm = 700 + u16::from(address);
            for byte in answer(address, mm) {
                pty.write_all(&[byte]).await.unwrap();
            }
            let (sample, committed) = bench.arrival().await;
            assert_eq!(sample.device.unwrap().as_str(), format!("well-{address}"));
            assert_eq!(sample.quantities, [Quantity::Distance(Millimetres(mm.into()))]);
            assert!(sample.at.is_none() && committed.is_none());
        }
        let status = in_time(bench.until(|status| status.tally.samples == 2)).await;
        let expected = [(Reason::Authentication, 1), (Reason::Checksum, 1)];
        assert_eq!(status.tally.rejected, expected.into());
        bench.context.stop.cancel();
        in_time(task).await.unwrap();
    }

    #[tokio::test]
    async fn a_flood_on_the_line_is_bounded_and_the_asking_goes_on() {
        let mut bench = Bench::new("levels", 8);
        let pty = Pty::open().unwrap();
        let _task = start(line(pty.slave()), &bench);
        question(&pty).await;
        pty.write_all(&[0x55; 2000]).await.unwrap();
        let status = in_time(bench.until(|status| status.tally.rejected_total() > 0)).await;
        assert!(status.tally.rejected.contains_key(&Reason::Checksum), "{:?}", status.tally);
        loop {
            let address = question(&pty).await;
            pty.write_all(&answer(address, 754)).await.unwrap();
            if !bench.is_quiet() {
                break;
            }
        }
    }

    #[tokio::test]
    async fn a_silent_device_is_named_and_the_other_is_asked_on() {
        let mut bench = Bench::new("levels", 64);
        let pty = Pty::open().unwrap();
        let _task = start(line(pty.slave()), &bench);
        let serve = async {
            loop {
                if question(&pty).await == 2 {
                    pty.write_all(&answer(2, 754)).await.unwrap();
                }
            }
        };
        let seen = async {
            let status = bench.until(|status| status.trouble.is_some()).await;
            let (sample, _) = bench.arrival().await;
            (status.trouble.unwrap(), sample.device.unwrap())
        };
        let (trouble, device) = tokio::select! {
            () = serve => unreachable!(),
            seen = in_time(seen) => seen,
        };
        assert_eq!(trouble, "well-1: it does not answer");
        assert_eq!(device.as_str(), "well-2");
    }

    async fn read_question(stream: &mut TcpStream) -> (u16, u8) {
        let mut frame = [0; 12];
        in_time(stream.read_exact(&mut frame)).await.unwrap();
        assert_eq!(frame[7..], [3, 1, 0, 0, 1]);
        (u16::from_be_bytes([frame[0], frame[1]]), frame[6])
    }

    #[tokio::test]
    async fn over_tcp_late_and_foreign_answers_are_thrown_away_and_nonsense_ends_the_connection() {
        let mut bench = Bench::new("levels", 8);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let link = ModbusLink::Tcp {
            host: "127.0.0.1".to_owned(),
            port: listener.local_addr().unwrap().port(),
        };
        let _task = start(Modbus { link, stations: vec![station(1)] }, &bench);
        let (mut stream, _) = in_time(listener.accept()).await.unwrap();
        let payload = |mm: u8| [3, 2, 0, mm];
        let (first, unit) = read_question(&mut stream).await;
        // Another unit answers.
        stream.write_all(&tcp::frame(first, unit + 1, &payload(1))).await.unwrap();
        let (second, unit) = read_question(&mut stream).await;
        // The answer to the first question comes late, before that to the second, in pieces.
        let late = tcp::frame(first, unit, &payload(2));
        for byte in [late, tcp::frame(second, unit, &payload(3))].concat() {
            stream.write_all(&[byte]).await.unwrap();
        }
        let (sample, _) = bench.arrival().await;
        assert_eq!(sample.quantities, [Quantity::Distance(Millimetres(3))]);
        read_question(&mut stream).await;
        stream.write_all(&[0xff; 64]).await.unwrap();
        let status = in_time(bench.until(|status| !status.connected)).await;
        assert!(status.trouble.unwrap().contains("out of step"));
        assert_eq!(status.tally.rejected, [(Reason::Authentication, 1)].into());
        // And it is there again.
        let (mut stream, _) = in_time(listener.accept()).await.unwrap();
        let (transaction, unit) = read_question(&mut stream).await;
        stream.write_all(&tcp::frame(transaction, unit, &payload(4))).await.unwrap();
        assert_eq!(bench.arrival().await.0.quantities, [Quantity::Distance(Millimetres(4))]);
    }
}
