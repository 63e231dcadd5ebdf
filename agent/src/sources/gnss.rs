//! A GNSS receiver that speaks NMEA 0183, UBX or both on a tty; or a recording of one: a file that is read once, as
//! fast as the engine takes it, to its end.
//!
//! Nothing is acknowledged: a receiver keeps nothing, and its next second comes in a second.

use domain::decode::Raw;
use domain::decode::gnss::Gnss;

use super::Context;
use super::intake::Intake;
use super::serial::{Accept, End, Line, READ_MAX, Stream};
use crate::clock::FLOOR;
use crate::config::Serial;

/// Reads the receiver until the box stops.
pub(super) async fn run(settings: Serial, context: Context) {
    let mut line = Line::new(settings, Accept::TtyOrFile, context.clone());
    let mut intake = None;
    while let Some(mut stream) = line.open().await {
        let intake = intake.get_or_insert_with(|| {
            let intake = Intake::new(decoder(&stream, &context), context.clone());
            // What a recording says was the time once.
            if matches!(stream, Stream::Tty(_)) { intake.of_own_receiver() } else { intake }
        });
        let end = pump(&mut stream, intake, &context).await;
        if matches!(end, Err(End::Stopped)) || intake.finish().await.is_err() {
            return;
        }
        match (end, &stream) {
            (Err(End::Lost(error)), Stream::Tty(_)) => line.lost(&stream, error),
            // Not from the beginning again: what was read has become samples.
            (Err(End::Lost(error)), Stream::File(_)) => {
                return rest(intake, &context, format!("cannot read the file further: {error}"))
                    .await;
            }
            _ => return rest(intake, &context, "end of file".to_owned()).await,
        }
    }
}

/// The decoder for a stream. A receiver cannot have a date from before this program existed (its week
/// counter has rolled over); a recording may be old.
fn decoder(stream: &Stream, context: &Context) -> Gnss {
    let decoder = Gnss::new(context.name.clone());
    match stream {
        Stream::Tty(_) => decoder.with_date_floor(FLOOR),
        Stream::File(_) => decoder,
    }
}

/// Reads to the end of the stream.
async fn pump(
    stream: &mut Stream,
    intake: &mut Intake<Gnss>,
    context: &Context,
) -> Result<(), End> {
    let mut buffer = [0; READ_MAX];
    loop {
        let read = tokio::select! {
            biased;
            () = context.stop.cancelled() => return Err(End::Stopped),
            () = intake.publish_due() => continue,
            read = stream.read(&mut buffer) => read?,
        };
        if read == 0 {
            return Ok(());
        }
        intake.take(Raw::Bytes(&buffer[..read]), |_| None).await?;
    }
}

/// Shows why nothing more will come, and waits for the box to stop.
async fn rest(intake: &mut Intake<Gnss>, context: &Context, why: String) {
    tracing::info!(why, "recording is over");
    intake.publish_now();
    intake.show(|status| {
        status.connected = false;
        status.trouble = Some(why);
    });
    context.stop.cancelled().await;
}

#[cfg(test)]
mod tests {
    use domain::decode::{Decode, Reason};
    use domain::sample::{Quantity, Sample};
    use domain::time::Utc;
    use domain::units::Millimetres;

    use super::*;
    use crate::demo::pty::Pty;
    use crate::sources::tests::{Bench, fix, in_time, serial};

    /// A drive of `n` seconds in 2018, with noise in it.
    fn drive(n: u32) -> String {
        let second = |i: u32| format!("{:02}{:02}{:02}", 4 + i / 3600, i / 60 % 60, i % 60);
        (0..n).map(|i| fix(&second(i), "040618") + "$GPxx,half a sen\n").collect()
    }

    fn decoded(bytes: &[u8]) -> Vec<Sample> {
        let mut decoder = Gnss::new(Bench::new("gnss", 1).context.name);
        let mut samples = Vec::new();
        decoder.feed(Raw::Bytes(bytes), Utc::from_ms(0), &mut samples);
        decoder.finish(&mut samples);
        samples
    }

    #[tokio::test]
    async fn a_file_is_read_to_its_end_and_waits_for_the_engine() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("drive.nmea");
        let text = drive(2000);
        std::fs::write(&path, &text).unwrap();
        let mut bench = Bench::new("gnss", 1);
        let task = tokio::spawn(run(serial(&path), bench.context.clone()));
        let expected = decoded(text.as_bytes());
        assert_eq!(expected.len(), 2000);
        for (i, sample) in expected.iter().enumerate() {
            let (got, committed) = bench.arrival().await;
            assert!(got == *sample && committed.is_none(), "sample {i}");
        }
        let status = in_time(bench.until(|status| status.trouble.is_some())).await;
        assert_eq!((status.connected, status.trouble.as_deref()), (false, Some("end of file")));
        assert_eq!(status.tally.bytes, text.len() as u64);
        assert_eq!((status.tally.frames, status.tally.samples), (4000, 2000));
        assert!(!task.is_finished(), "it rests");
        bench.context.stop.cancel();
        in_time(task).await.unwrap();
        assert!(bench.is_quiet());
    }

    #[tokio::test]
    async fn a_receiver_is_read_as_it_speaks_and_its_rolled_over_date_is_not_believed() {
        let mut bench = Bench::new("gnss", 8);
        let pty = Pty::open().unwrap();
        let _task = tokio::spawn(run(serial(pty.slave()), bench.context.clone()));
        pty.write_all((fix("040000", "040626") + &fix("040001", "191006")).as_bytes())
            .await
            .unwrap();
        let (sample, committed) = bench.arrival().await;
        assert_eq!(sample.at.unwrap().to_string(), "2026-06-04T04:00:00.000Z");
        assert!(committed.is_none());
        assert_eq!(bench.arrival().await.0.at, None);
        let status = in_time(bench.until(|status| status.tally.samples == 2)).await;
        assert!(status.connected);
        assert_eq!(status.tally.rejected, [(Reason::Time, 1)].into());
    }

    /// UBX NAV-PVT of a second of 4 June 2026 with a fix, by the interface description of u-blox.
    fn solution(second: u8) -> Vec<u8> {
        let mut payload = [0; 92];
        payload[4..12].copy_from_slice(&[0xea, 0x07, 6, 4, 4, 0, second, 0b0111]);
        payload[20..24].copy_from_slice(&[3, 1, 0, 14]);
        payload[24..28].copy_from_slice(&1_199_740_000_i32.to_le_bytes());
        payload[28..32].copy_from_slice(&318_100_000_i32.to_le_bytes());
        payload[40..44].copy_from_slice(&1_250_u32.to_le_bytes());
        let mut frame = vec![0xb5, 0x62, 0x01, 0x07, 92, 0];
        frame.extend_from_slice(&payload);
        let sums = frame[2..].iter().fold((0_u8, 0_u8), |(a, b), byte| {
            let a = a.wrapping_add(*byte);
            (a, b.wrapping_add(a))
        });
        frame.extend_from_slice(&[sums.0, sums.1]);
        frame
    }

    #[tokio::test]
    async fn a_receiver_that_speaks_both_says_every_moment_once() {
        let mut bench = Bench::new("gnss", 8);
        let pty = Pty::open().unwrap();
        let _task = tokio::spawn(run(serial(pty.slave()), bench.context.clone()));
        for second in 0..3 {
            pty.write_all(&solution(second)).await.unwrap();
            pty.write_all(fix(&format!("04000{second}"), "040626").as_bytes()).await.unwrap();
        }
        pty.write_all(&solution(3)).await.unwrap();
        for second in 0..3 {
            let sample = bench.arrival().await.0;
            let at = sample.at.unwrap().to_string();
            assert_eq!(at, format!("2026-06-04T04:00:0{second}.000Z"));
            let [Quantity::Fix(fix)] = sample.quantities.as_slice() else { panic!("{sample:?}") };
            assert_eq!(fix.accuracy, Some(Millimetres(1_250)));
        }
    }

    #[tokio::test]
    async fn a_receiver_that_is_pulled_out_gives_out_what_it_had_begun() {
        let mut bench = Bench::new("gnss", 8);
        let pty = Pty::open().unwrap();
        let _task = tokio::spawn(run(serial(pty.slave()), bench.context.clone()));
        in_time(bench.until(|status| status.connected)).await;
        let whole = fix("040000", "040626");
        pty.write_all(whole.trim_end().as_bytes()).await.unwrap();
        in_time(bench.until(|status| status.tally.bytes > 0)).await;
        assert!(bench.is_quiet(), "the line end is missing");
        drop(pty);
        assert!(bench.arrival().await.0.at.is_some());
        in_time(bench.until(|status| status.trouble.is_some())).await;
    }
}
