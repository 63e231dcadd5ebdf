//! A GNSS receiver that speaks NMEA 0183 on a tty; or a recording of one: a file that is read once, as
//! fast as the engine takes it, to its end.
//!
//! Nothing is acknowledged: a receiver keeps nothing, and its next second comes in a second.

use domain::decode::Raw;
use domain::decode::nmea::Nmea;

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
        let intake =
            intake.get_or_insert_with(|| Intake::new(decoder(&stream, &context), context.clone()));
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
fn decoder(stream: &Stream, context: &Context) -> Nmea {
    let decoder = Nmea::new(context.name.clone());
    match stream {
        Stream::Tty(_) => decoder.with_date_floor(FLOOR),
        Stream::File(_) => decoder,
    }
}

/// Reads to the end of the stream.
async fn pump(
    stream: &mut Stream,
    intake: &mut Intake<Nmea>,
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
async fn rest(intake: &mut Intake<Nmea>, context: &Context, why: String) {
    tracing::info!(why, "recording is over");
    intake.publish_now();
    intake.show(|status| {
        status.connected = false;
        status.trouble = Some(why);
    });
    context.stop.cancelled().await;
}
