//! Battery nodes on a serial line, in both directions: reports up, acknowledgements down.
//!
//! A node repeats a report until it is acknowledged, and forgets it then. So the acknowledgement is
//! written only after the engine has told that the report is on disk, and never when it could not be
//! stored. A lost acknowledgement costs a repetition and nothing else.

use std::collections::VecDeque;
use std::convert::Infallible;

use domain::decode::Raw;
use domain::decode::node_link::{NodeLink, ack_frame};
use domain::ids::DeviceKey;
use domain::sample::Sample;
use tokio::sync::oneshot;

use super::Context;
use super::intake::{Intake, Stopped};
use super::serial::{Accept, End, Line, Port, READ_MAX, Stream};
use crate::config::Serial;

/// Reports that wait for their commit. Full: the line is not read until the oldest is decided, so that
/// there are never more than this and what one read brings (a report has at least 20 bytes).
const WAITING_MAX: usize = 256;

/// Bytes of acknowledgements that wait for the line. Full (the line takes nothing): a new one is dropped
/// and counted as unacknowledged; the node sends its report again.
const OUTPUT_MAX: usize = 4096;

/// Serves the line until the box stops.
pub(super) async fn run(settings: Serial, context: Context) {
    let mut line = Line::new(settings, Accept::Tty, context.clone());
    let mut intake = Intake::new(NodeLink::new(context.name.clone()), context.clone());
    let mut acks = Acks::default();
    while let Some(stream) = line.open().await {
        let Stream::Tty(port) = &stream else { unreachable!("the line accepts a tty only") };
        let Err(end) = serve(port, &mut intake, &mut acks, &context).await;
        match end {
            End::Stopped => return,
            End::Lost(error) => line.lost(&stream, error),
        }
        acks.line_lost();
        if intake.finish().await.is_err() {
            return;
        }
    }
}

/// Reads reports and writes acknowledgements until the line or the box ends.
async fn serve(
    port: &Port,
    intake: &mut Intake<NodeLink>,
    acks: &mut Acks,
    context: &Context,
) -> Result<Infallible, End> {
    let mut buffer = [0; READ_MAX];
    loop {
        let Acks { waiting, output, .. } = acks;
        tokio::select! {
            biased; // acknowledgements before new reports, so that a flood cannot hold them back
            () = context.stop.cancelled() => return Err(End::Stopped),
            () = intake.publish_due() => {}
            (report, stored) = decided(waiting) => acks.answer(&report, stored, intake),
            written = port.write(output), if !output.is_empty() => {
                output.drain(..written?);
            }
            read = port.read(&mut buffer), if waiting.len() < WAITING_MAX => {
                take(&buffer[..read?], intake, acks).await?;
            }
        }
    }
}

/// Hands the reports in `bytes` to the engine and remembers whom to answer.
async fn take(bytes: &[u8], intake: &mut Intake<NodeLink>, acks: &mut Acks) -> Result<(), Stopped> {
    let taken = intake.take(Raw::Bytes(bytes), |sample| acks.expect(sample)).await;
    for news in intake.decoder().take_news() {
        let (device, uptime_s) = (news.device.as_str(), news.uptime.as_secs());
        tracing::info!(device, uptime_s, said = ?news.said, "node speaks");
    }
    taken
}

/// The acknowledgements that are owed.
#[derive(Debug, Default)]
struct Acks {
    /// In the order of the reports, which is the order in which the engine commits.
    waiting: VecDeque<Waiting>,
    /// What is due on the line.
    output: Vec<u8>,
}

/// A report that the engine has and has not yet committed.
#[derive(Debug)]
struct Waiting {
    device: DeviceKey,
    counter: u32,
    committed: oneshot::Receiver<()>,
}

impl Acks {
    /// Asks to be told when `sample` is safe. Without device or counter there is nobody to answer.
    fn expect(&mut self, sample: &Sample) -> Option<oneshot::Sender<()>> {
        let (device, counter) = (sample.device.clone()?, sample.counter?);
        let (tell, committed) = oneshot::channel();
        self.waiting.push_back(Waiting { device, counter, committed });
        Some(tell)
    }

    /// Queues the acknowledgement of a report that is stored, and counts every one that gets none.
    fn answer(&mut self, report: &Waiting, stored: bool, intake: &Intake<NodeLink>) {
        let frame = if stored { ack_frame(&report.device, report.counter) } else { None };
        match frame {
            Some(frame) if self.output.len() + frame.len() <= OUTPUT_MAX => {
                self.output.extend_from_slice(&frame);
            }
            _ => intake.show(|status| status.unacknowledged += 1),
        }
    }

    /// What was not written is not written later: half a frame may be out already, and a node that has
    /// not been answered repeats itself. Reports still waiting are answered when the line is back.
    fn line_lost(&mut self) {
        self.output.clear();
    }
}

/// The oldest report that waits, once it is decided, and whether it is stored. May be dropped at any time.
async fn decided(waiting: &mut VecDeque<Waiting>) -> (Waiting, bool) {
    let Some(oldest) = waiting.front_mut() else { return std::future::pending().await };
    let stored = (&mut oldest.committed).await.is_ok();
    (waiting.pop_front().expect("its front was just seen"), stored)
}
