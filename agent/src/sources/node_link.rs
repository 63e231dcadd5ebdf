//! Battery nodes on a serial line, in both directions: reports up, acknowledgements down.
//!
//! A node repeats a report until it is acknowledged, and forgets it then. So the acknowledgement is
//! written only after the engine has told that the report is on disk, and never when it could not be
//! stored. A lost acknowledgement costs a repetition and nothing else. What nodes are told besides is
//! the business of `commands`.

mod commands;

use std::collections::VecDeque;
use std::convert::Infallible;

use domain::decode::Raw;
use domain::decode::node_link::{Keys, NodeLink};
use domain::ids::DeviceKey;
use domain::output::Request;
use domain::sample::Sample;
use domain::site::Feed;
use tokio::sync::{mpsc, oneshot};

use self::commands::{Commands, Count};
use super::Context;
use super::intake::{Intake, Stopped};
use super::serial::{Accept, End, Line, Port, READ_MAX, Stream};
use crate::clock::Clock;
use crate::config::NodeLine;

/// Reports that wait for their commit. Full: the line is not read until the oldest is decided, so that
/// there are never more than this and what one read brings (a report has at least 20 bytes).
const WAITING_MAX: usize = 256;

/// Bytes of acknowledgements that wait for the line: more than all waiting reports can need at once. Full
/// (the line takes nothing): a new one is dropped and counted as unacknowledged; the node sends its
/// report again, and the line goes on being read.
const OUTPUT_MAX: usize = 16_384;

/// Serves the line until the box stops.
pub(super) async fn run(
    settings: NodeLine,
    requests: Option<mpsc::Receiver<Request>>,
    context: Context,
) {
    let NodeLine { serial, settings, keys } = settings;
    let mut line = Line::new(serial, Accept::Tty, context.clone());
    let decoder = NodeLink::new(context.name.clone()).with_keys(keys.clone());
    let mut intake = Intake::new(decoder, context.clone());
    let mut acks = Acks { keys: keys.clone(), ..Acks::default() };
    let commands = Commands::new(settings, keys, context.clock.now());
    let mut down = Down { commands, requests, clock: context.clock.clone() };
    while let Some(stream) = line.open().await {
        let Stream::Tty(port) = &stream else { unreachable!("the line accepts a tty only") };
        let Err(end) = serve(port, &mut intake, &mut acks, &mut down, &context).await;
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
    down: &mut Down,
    context: &Context,
) -> Result<Infallible, End> {
    let mut buffer = [0; READ_MAX];
    loop {
        let Acks { waiting, output, .. } = acks;
        tokio::select! {
            biased; // acknowledgements before reports: a flood must not hold them back
            () = context.stop.cancelled() => return Err(End::Stopped),
            () = intake.publish_due() => {}
            written = port.write(output), if !output.is_empty() => {
                output.drain(..written?);
            }
            (report, stored) = decided(waiting) => acks.answer(&report, stored, intake),
            () = down.due(), if output.len() < OUTPUT_MAX / 2 => {
                output.extend(down.commands.due(down.clock.now()));
                down.show(intake);
            }
            read = port.read(&mut buffer), if waiting.len() < WAITING_MAX => {
                take(&buffer[..read?], intake, acks, down).await?;
            }
        }
    }
}

/// Hands the reports in `bytes` to the engine and remembers whom to answer.
async fn take(
    bytes: &[u8],
    intake: &mut Intake<NodeLink>,
    acks: &mut Acks,
    down: &mut Down,
) -> Result<(), Stopped> {
    let now = down.clock.now();
    let safe = |sample: &Sample| {
        if let Some(device) = &sample.device {
            down.commands.awake(device, now);
        }
        acks.expect(sample)
    };
    let taken = intake.take(Raw::Bytes(bytes), safe).await;
    for news in intake.decoder().take_news() {
        down.commands.hear(&news, now);
        let (device, uptime_s) = (news.device.as_str(), news.uptime.as_secs());
        tracing::info!(device, uptime_s, said = ?news.said, "node speaks");
    }
    down.show(intake);
    taken
}

/// What goes down besides acknowledgements.
struct Down {
    commands: Commands,
    /// What the engine wants of nodes; `None` when nobody asks.
    requests: Option<mpsc::Receiver<Request>>,
    clock: Clock,
}

impl Down {
    /// Waits until something is to be sent, and takes requests meanwhile. May be dropped at any time.
    async fn due(&mut self) {
        loop {
            let wait = self.clock.until(self.commands.next_at());
            let request = async {
                match &mut self.requests {
                    Some(requests) => requests.recv().await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = tokio::time::sleep(wait) => return,
                request = request => match request {
                    Some(Request { feed: Feed { device: Some(device), .. }, what }) => {
                        self.commands.ask(&device, what, self.clock.now());
                    }
                    // A line has no device that is the line itself.
                    Some(_) => {}
                    None => self.requests = None,
                },
            }
        }
    }

    /// Counts what became of commands.
    fn show(&mut self, intake: &Intake<NodeLink>) {
        let Count { done, failed } = self.commands.take_count();
        if done + failed > 0 {
            intake.show(|status| {
                status.carried_out += done;
                status.not_carried_out += failed;
            });
        }
    }
}

/// The acknowledgements that are owed.
#[derive(Debug, Default)]
struct Acks {
    keys: Keys,
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
        let frame = stored.then(|| self.keys.ack_frame(&report.device, report.counter)).flatten();
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

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;
    use std::path::Path;
    use std::time::Duration;

    use domain::decode::Reason;
    use domain::output::Wanted;
    use tokio::task::JoinHandle;
    use wire::{Battery, Body, FRAME_MAX, Frame, Header, Measured, Report, Up};

    use super::*;
    use crate::demo::pty::Pty;
    use crate::sources::tests::{Bench, in_time, serial};

    const NODE: u32 = 21;

    fn nodes(tty: &Path) -> NodeLine {
        NodeLine { serial: serial(tty), settings: None, keys: Keys::default() }
    }

    /// A report of the battery, with the counter as its voltage.
    fn report(counter: u32) -> Vec<u8> {
        let millivolts = u16::try_from(counter % 5000).unwrap();
        let report = Report { age_s: 0, measured: Measured::Battery(Battery { millivolts }) };
        let header = Header { node: NODE, counter, uptime_s: 1 };
        let frame = Frame { header, body: Body::Up(Up::Report(report)) };
        frame.encode(&mut [0; FRAME_MAX]).unwrap().to_vec()
    }

    fn ack(counter: u32) -> Vec<u8> {
        Keys::default().ack_frame(&DeviceKey::new(&NODE.to_string()).unwrap(), counter).unwrap()
    }

    fn start(pty: &Pty, bench: &Bench) -> JoinHandle<()> {
        tokio::spawn(run(nodes(pty.slave()), None, bench.context.clone()))
    }

    /// Reads `n` bytes that the source has written.
    async fn answer(pty: &Pty, n: usize) -> Vec<u8> {
        let mut got = Vec::new();
        while got.len() < n {
            let mut piece = vec![0; n - got.len()];
            let read = in_time(pty.read(&mut piece)).await.unwrap();
            got.extend_from_slice(&piece[..read]);
        }
        got
    }

    #[tokio::test]
    async fn a_node_is_told_what_the_engine_wants_until_it_answers() {
        let mut bench = Bench::new("line-1", 8);
        let pty = Pty::open().unwrap();
        let (engine, requests) = mpsc::channel(1);
        let settings = nodes(pty.slave());
        let _task = tokio::spawn(run(settings, Some(requests), bench.context.clone()));
        in_time(bench.until(|status| status.connected)).await;
        let device = DeviceKey::new(&NODE.to_string()).unwrap();
        let feed = Feed { source: bench.context.name.clone(), device: Some(device) };
        let what = Wanted::Identify { seconds: 30 };
        engine.send(Request { feed, what }).await.unwrap();
        let mut deframer = wire::Deframer::new();
        let number = loop {
            let heard = answer(&pty, 1).await.into_iter().find_map(|byte| deframer.push(byte));
            let Some(wire::Heard::Frame(frame)) = heard else { continue };
            assert_eq!(frame.header.node, NODE);
            assert_eq!(
                frame.body,
                Body::Down(wire::Down::Identify(wire::Identify { seconds: 30 }))
            );
            break frame.header.counter;
        };
        let header = Header { node: NODE, counter: 1, uptime_s: 1 };
        let outcome = wire::Outcome::Done;
        let body = Body::Up(Up::Answer(wire::Answer { to: number, outcome }));
        let mut room = [0; FRAME_MAX];
        let frame = Frame { header, body };
        pty.write_all(frame.encode(&mut room).unwrap()).await.unwrap();
        in_time(bench.until(|status| status.carried_out == 1)).await;
    }

    #[tokio::test]
    async fn a_report_is_acknowledged_after_its_commit_and_not_before() {
        let mut bench = Bench::new("line-1", 8);
        let pty = Pty::open().unwrap();
        let task = start(&pty, &bench);
        pty.write_all(&[report(1), report(2), report(3)].concat()).await.unwrap();
        let mut asked = Vec::new();
        for counter in 1..=3 {
            let (sample, committed) = bench.arrival().await;
            assert_eq!((sample.counter, sample.source.as_str()), (Some(counter), "line-1"));
            asked.push(committed.unwrap());
        }
        // The third is committed, but the first is not: nobody is told anything yet.
        asked.pop().unwrap().send(()).unwrap();
        assert!(tokio::time::timeout(Duration::from_millis(50), pty.read(&mut [0])).await.is_err());
        for sender in asked {
            sender.send(()).unwrap();
        }
        let expected = [ack(1), ack(2), ack(3)].concat();
        assert_eq!(answer(&pty, expected.len()).await, expected);
        bench.context.stop.cancel();
        in_time(task).await.unwrap();
        assert_eq!(bench.status.borrow().unacknowledged, 0);
    }

    #[tokio::test]
    async fn what_could_not_be_stored_is_not_acknowledged_and_counted() {
        let mut bench = Bench::new("line-1", 8);
        let pty = Pty::open().unwrap();
        let _task = start(&pty, &bench);
        pty.write_all(&[report(1), report(2)].concat()).await.unwrap();
        drop(bench.arrival().await);
        bench.arrival().await.1.unwrap().send(()).unwrap();
        assert_eq!(answer(&pty, ack(2).len()).await, ack(2));
        in_time(bench.until(|status| status.unacknowledged == 1)).await;
        // The node says it again.
        pty.write_all(&report(1)).await.unwrap();
        bench.arrival().await.1.unwrap().send(()).unwrap();
        assert_eq!(answer(&pty, ack(1).len()).await, ack(1));
    }

    #[tokio::test]
    async fn a_line_that_is_pulled_out_and_in_again_goes_on() {
        let mut bench = Bench::new("line-1", 8);
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("ttyUSB0");
        let plug_in = || {
            let pty = Pty::open().unwrap();
            symlink(pty.slave(), &path).unwrap();
            pty
        };
        let pty = plug_in();
        let _task = tokio::spawn(run(nodes(&path), None, bench.context.clone()));
        let half = report(2);
        pty.write_all(&[&report(1), &half[..half.len() / 2]].concat()).await.unwrap();
        let (_, committed) = bench.arrival().await;
        in_time(bench.until(|s| s.connected && s.tally.bytes > report(1).len() as u64)).await;

        std::fs::remove_file(&path).unwrap();
        drop(pty);
        let lost = in_time(bench.until(|status| !status.connected)).await;
        assert!(lost.trouble.unwrap().contains("ttyUSB0"));
        committed.unwrap().send(()).unwrap();

        let pty = plug_in();
        in_time(bench.until(|status| status.connected && status.trouble.is_none())).await;
        assert_eq!(answer(&pty, ack(1).len()).await, ack(1), "what was owed");
        pty.write_all(&report(2)).await.unwrap();
        let (sample, committed) = bench.arrival().await;
        assert_eq!(sample.counter, Some(2), "whole, not glued to the half before");
        committed.unwrap().send(()).unwrap();
        assert_eq!(answer(&pty, ack(2).len()).await, ack(2));
        let tally = in_time(bench.until(|status| status.tally.frames == 2)).await.tally;
        assert_eq!(tally.rejected, [(Reason::Truncated, 1)].into());
    }

    #[tokio::test]
    async fn a_flood_of_noise_is_read_counted_and_forgotten() {
        const NOISE: usize = 1 << 20;
        let mut bench = Bench::new("line-1", 1);
        let pty = Pty::open().unwrap();
        let _task = start(&pty, &bench);
        let noise: Vec<u8> = (0..NOISE).map(|i| (i * i % 251 + 1) as u8).collect();
        in_time(pty.write_all(&noise)).await.unwrap();
        pty.write_all(&[vec![0], report(7)].concat()).await.unwrap();
        let (sample, _committed) = bench.arrival().await;
        assert_eq!(sample.counter, Some(7));
        let all = (NOISE + 1 + report(7).len()) as u64;
        let tally = in_time(bench.until(|status| status.tally.bytes == all)).await.tally;
        assert_eq!(tally.frames, 1);
        assert!(tally.rejected[&Reason::TooLong] >= 1, "{tally:?}");
    }

    #[tokio::test]
    async fn while_the_engine_takes_nothing_the_line_is_not_read_and_nothing_is_lost() {
        let mut bench = Bench::new("line-1", 2);
        let pty = Pty::open().unwrap();
        let _task = start(&pty, &bench);
        in_time(bench.until(|status| status.connected)).await;
        let sent = fill(&pty).await;
        // The kernel's buffers, one read, and the engine's channel: that is all that is held.
        assert!(sent < 4096, "{sent} reports found room");
        commit_all(&mut bench, &pty, sent).await;
    }

    #[tokio::test]
    async fn reports_without_a_decision_are_bounded() {
        let mut bench = Bench::new("line-1", 10_000);
        let pty = Pty::open().unwrap();
        let _task = start(&pty, &bench);
        in_time(bench.until(|status| status.connected)).await;
        let sent = fill(&pty).await;
        let held = bench.arrivals.len();
        let most = WAITING_MAX + READ_MAX / report(0).len() + 1;
        assert!((WAITING_MAX..=most).contains(&held), "{held} of at most {most}");
        assert!((sent as usize) > held, "the rest waits in the line");
        commit_all(&mut bench, &pty, sent).await;
    }

    /// Commits the reports `0..sent`, and finds every one acknowledged, in order.
    async fn commit_all(bench: &mut Bench, pty: &Pty, sent: u32) {
        let expected: Vec<u8> = (0..sent).flat_map(ack).collect();
        let commit = async {
            for counter in 0..sent {
                let (sample, committed) = bench.arrival().await;
                assert_eq!(sample.counter, Some(counter));
                committed.unwrap().send(()).unwrap();
            }
        };
        let ((), answers) = tokio::join!(commit, answer(pty, expected.len()));
        assert!(answers == expected);
        assert_eq!(bench.status.borrow().unacknowledged, 0);
    }

    /// Writes whole reports until the line has taken none for a while; says how many it took.
    async fn fill(pty: &Pty) -> u32 {
        let mut rest = Vec::new();
        let mut counter = 0;
        let mut refused = 0;
        while refused < 20 {
            if rest.is_empty() {
                rest = report(counter);
                counter += 1;
            }
            let written = pty.try_write(&rest).unwrap();
            rest.drain(..written);
            if written == 0 {
                refused += 1;
                tokio::time::sleep(Duration::from_millis(10)).await;
            } else {
                refused = 0;
            }
        }
        // The half that is in is not counted: its end never comes.
        counter - u32::from(!rest.is_empty())
    }

    #[tokio::test]
    async fn a_line_that_takes_nothing_costs_acknowledgements_and_no_memory() {
        let bench = Bench::new("line-1", 1);
        let intake = Intake::new(NodeLink::new(bench.context.name.clone()), bench.context.clone());
        let mut acks = Acks::default();
        let most = OUTPUT_MAX / ack(1).len();
        for _ in 0..most + 3 {
            let (_tell, committed) = oneshot::channel();
            let device = DeviceKey::new("21").unwrap();
            acks.answer(&Waiting { device, counter: 1, committed }, true, &intake);
        }
        assert_eq!(acks.output.len(), most * ack(1).len());
        assert_eq!(bench.status.borrow().unacknowledged, 3);
        acks.line_lost();
        assert!(acks.output.is_empty());
    }
}
