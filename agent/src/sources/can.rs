//! A vehicle's bus: through SocketCAN where the kernel has it, or from a recording of candump.
//!
//! Only listens. An interface that is not there, or not up, is waited for; on a machine whose kernel
//! knows no CAN that is for ever.

use std::io;
use std::path::Path;

use domain::decode::Raw;
use domain::decode::can::{Can, CanId, Frame};
use socketcan::tokio::CanSocket;
use socketcan::{CanFrame, EmbeddedFrame, Id};
use tokio::fs::File;
use tokio::io::AsyncReadExt;

use super::Context;
use super::intake::{Intake, Stopped};
use super::retry::Retry;
use crate::config::{CanBus, CanFrom};

/// Bytes read at once from a recording.
const READ_MAX: usize = 4096;

/// Reads the bus until the box stops.
pub(super) async fn run(settings: CanBus, context: Context) {
    let mut intake = Intake::new(settings.decoder(context.name.clone()), context.clone());
    match &settings.from {
        CanFrom::File(path) => recording(path, &mut intake, &context).await,
        CanFrom::Interface(name) => interface(name, &mut intake, &context).await,
    }
}

async fn interface(name: &str, intake: &mut Intake<Can>, context: &Context) {
    let mut retry = Retry::new();
    loop {
        let error = match open(name).await {
            Ok(socket) => {
                tracing::info!(interface = name, "bus is open");
                intake.gate().connected();
                match listen(&socket, intake, context, &mut retry).await {
                    Ok(Stopped) => return,
                    Err(error) => error,
                }
            }
            Err(error) => error,
        };
        let trouble = if is_absence(&error) {
            format!("no such device {name}: waiting for it")
        } else {
            format!("cannot read {name}: {error}")
        };
        intake.gate().trouble(trouble);
        if !retry.wait(&context.stop).await {
            return;
        }
    }
}

/// Whether there is no such interface, or no CAN in this kernel.
fn is_absence(error: &io::Error) -> bool {
    use rustix::io::Errno;
    let absent = [Errno::NODEV, Errno::AFNOSUPPORT, Errno::PROTONOSUPPORT, Errno::NXIO];
    absent.iter().any(|errno| error.raw_os_error() == Some(errno.raw_os_error()))
}

async fn open(name: &str) -> io::Result<CanSocket> {
    CanSocket::open(name)
}

/// Reads frames until the box stops, or the bus is gone.
async fn listen(
    socket: &CanSocket,
    intake: &mut Intake<Can>,
    context: &Context,
    retry: &mut Retry,
) -> io::Result<Stopped> {
    loop {
        let frame = tokio::select! {
            biased;
            () = context.stop.cancelled() => return Ok(Stopped),
            () = intake.publish_due() => continue,
            frame = socket.read_frame() => frame?,
        };
        retry.carried();
        let Some(frame) = data(&frame) else { continue };
        let feed = |can: &mut Can, received, samples: &mut _| {
            can.frame(&frame, None, received, samples);
        };
        if intake.take_with(feed, |_| None).await.is_err() {
            return Ok(Stopped);
        }
    }
}

/// A frame with data; `None` for requests and for what the bus says of itself.
fn data(frame: &CanFrame) -> Option<Frame> {
    let CanFrame::Data(frame) = frame else { return None };
    let id = match frame.id() {
        Id::Standard(id) => CanId::standard(id.as_raw()),
        Id::Extended(id) => CanId::extended(id.as_raw()),
    };
    Frame::new(id?, frame.data())
}

/// Reads a recording to its end, and rests.
async fn recording(path: &Path, intake: &mut Intake<Can>, context: &Context) {
    let mut retry = Retry::new();
    let mut file = loop {
        match File::open(path).await {
            Ok(file) => break file,
            Err(error) => {
                let trouble = match error.kind() {
                    io::ErrorKind::NotFound => {
                        format!("no such file {}: waiting for it", path.display())
                    }
                    _ => format!("cannot open {}: {error}", path.display()),
                };
                intake.gate().trouble(trouble);
                if !retry.wait(&context.stop).await {
                    return;
                }
            }
        }
    };
    intake.gate().connected();
    let mut buffer = [0; READ_MAX];
    let why = loop {
        let read = tokio::select! {
            biased;
            () = context.stop.cancelled() => return,
            () = intake.publish_due() => continue,
            read = file.read(&mut buffer) => read,
        };
        match read {
            Ok(0) => break "end of file".to_owned(),
            Ok(n) => {
                if intake.take(Raw::Bytes(&buffer[..n]), |_| None).await.is_err() {
                    return;
                }
            }
            // Not from the beginning again: what was read has become samples.
            Err(error) => break format!("cannot read the file further: {error}"),
        }
    };
    if intake.finish().await.is_err() {
        return;
    }
    intake.publish_now();
    intake.gate().trouble(why);
    context.stop.cancelled().await;
}

#[cfg(test)]
pub(super) mod tests {
    use domain::decode::can::{BitOrder, Bits, Selector, Signal, SignalMap};
    use domain::decode::measure::{Measure, Scaling};
    use domain::sample::Quantity;
    use domain::time::Span;
    use domain::units::MillimetresPerSecond;

    use super::*;
    use crate::sources::tests::{Bench, in_time};

    /// Wheel speed, J1939.
    pub(in crate::sources) fn bus(from: CanFrom) -> CanBus {
        let scaling = Scaling::new(Measure::Speed).with_scale(1.0 / 256.0, 0.0).unwrap();
        let selector = Selector::Pgn { pgn: 0xfef1, source_address: None };
        let bits = Bits::new(8, 16, BitOrder::Intel).unwrap();
        let signal = Signal::new(selector, bits, scaling).unwrap();
        CanBus { from, every: Span::from_secs(1), map: SignalMap::new(vec![signal]).unwrap() }
    }

    #[tokio::test]
    async fn a_recording_of_candump_is_read_to_its_end() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("bus.log");
        let log = "(1780545600.000000) can0 18FEF100#FF00240000000000\n\
            nonsense\n(1780545602.000000) can0 18FEF100#FF00480000000000";
        std::fs::write(&path, log).unwrap();
        let mut bench = Bench::new("bus", 8);
        let task = tokio::spawn(run(bus(CanFrom::File(path)), bench.context.clone()));
        for speed in [10_000, 20_000] {
            let (sample, committed) = bench.arrival().await;
            assert_eq!(sample.quantities, [Quantity::Speed(MillimetresPerSecond(speed))]);
            assert!(sample.at.is_some() && committed.is_none());
        }
        let status = in_time(bench.until(|status| status.trouble.is_some())).await;
        assert_eq!(status.trouble.as_deref(), Some("end of file"));
        assert_eq!((status.tally.frames, status.tally.rejected_total()), (2, 1));
        bench.context.stop.cancel();
        in_time(task).await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn a_bus_that_is_not_there_is_no_such_device_and_is_waited_for() {
        let mut bench = Bench::new("bus", 8);
        let from = CanFrom::Interface("nocan7".to_owned());
        let task = tokio::spawn(run(bus(from), bench.context.clone()));
        let status = bench.until(|status| status.trouble.is_some()).await;
        assert_eq!(status.trouble.as_deref(), Some("no such device nocan7: waiting for it"));
        tokio::time::sleep(std::time::Duration::from_secs(600)).await;
        assert!(!task.is_finished());
        bench.context.stop.cancel();
        task.await.unwrap();
    }

    #[test]
    fn frames_of_the_kernel_keep_their_identifier_and_data() {
        let extended = socketcan::ExtendedId::new(0x18fe_f100).unwrap();
        let frame = CanFrame::new(extended, &[0xff, 0, 0x24]).unwrap();
        let id = CanId::extended(0x18fe_f100).unwrap();
        assert_eq!(data(&frame), Frame::new(id, &[0xff, 0, 0x24]));
        let standard = socketcan::StandardId::new(0x521).unwrap();
        assert_eq!(data(&CanFrame::new_remote(standard, 2).unwrap()), None);
    }
}
