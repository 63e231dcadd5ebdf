//! Who may come in, and what is answered.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use domain::decode::Reason;
use domain::decode::jt808::{Call, Outcome, Refusal, Registration, Said, Terminal};
use domain::ids::DeviceKey;
use domain::sample::Sample;
use sha2::{Digest, Sha256};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::super::Context;
use super::super::intake::{Gate, Stopped};
use super::connection::{ANSWERS_MAX, Connection, Heard};
use crate::config::Platform;

/// Words of connections that wait for the desk. Full: the connections stop reading.
const HEARD_MAX: usize = 64;
/// Reports that wait for their commit. Full: nothing more is taken until the oldest is decided.
const OWED_MAX: usize = 4096;
/// So often may a client be refused before it is closed.
const REFUSALS_MAX: u32 = 3;

/// Where a connection stands.
struct Seat {
    answers: mpsc::Sender<Vec<u8>>,
    /// The phone number that it speaks for.
    speaks_for: Option<DeviceKey>,
    is_welcome: Arc<AtomicBool>,
    refusals: u32,
    /// Our own count of frames.
    serial: u16,
    close: CancellationToken,
}

impl Seat {
    fn is_welcome(&self) -> bool {
        self.is_welcome.load(Ordering::Relaxed)
    }

    fn next_serial(&mut self) -> u16 {
        self.serial = self.serial.wrapping_add(1);
        self.serial
    }

    /// Queues an answer. A client that takes none is closed.
    fn answer(&mut self, frame: Vec<u8>) {
        if self.answers.try_send(frame).is_err() {
            self.close.cancel();
        }
    }

    fn respond(&mut self, call: &Call, outcome: Outcome) {
        let serial = self.next_serial();
        self.answer(call.terminal.general_response(serial, call.message, call.serial, outcome));
    }
}

/// A report that is with the engine.
struct Owed {
    to: u64,
    call: Call,
    /// One for each sample that is not yet known to be stored.
    samples: Vec<oneshot::Receiver<()>>,
}

/// The one place where everything comes together.
pub(super) struct Desk {
    settings: Platform,
    gate: Gate,
    context: Context,
    seats: BTreeMap<u64, Seat>,
    /// The connection of each terminal that is welcome.
    terminals: BTreeMap<DeviceKey, u64>,
    /// In the order of arrival, which is the order in which the engine commits.
    owed: VecDeque<Owed>,
    next: u64,
}

impl Desk {
    pub(super) fn new(settings: Platform, gate: Gate, context: Context) -> Desk {
        Desk {
            settings,
            gate,
            context,
            seats: BTreeMap::new(),
            terminals: BTreeMap::new(),
            owed: VecDeque::new(),
            next: 0,
        }
    }

    /// Serves until the box stops.
    pub(super) async fn serve(mut self, listener: TcpListener) {
        let (tell, mut heard) = mpsc::channel(HEARD_MAX);
        let connections = TaskTracker::new();
        loop {
            tokio::select! {
                biased; // answers before reports: a flood must not hold them back
                () = self.context.stop.cancelled() => break,
                () = self.gate.publish_due() => {}
                stored = decided(&mut self.owed) => self.settle(stored),
                Some(heard) = heard.recv(), if self.owed.len() < OWED_MAX => {
                    if self.hear(heard).await.is_err() {
                        break;
                    }
                }
                accepted = listener.accept() => match accepted {
                    Ok((stream, _)) => self.seat(stream, &tell, &connections),
                    // Of this one connection, or no file handles are left: they come back.
                    Err(error) => {
                        tracing::debug!(%error, "connection not accepted");
                        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
                    }
                },
            }
        }
        for seat in self.seats.values() {
            seat.close.cancel();
        }
        drop(heard);
        connections.close();
        connections.wait().await;
        self.gate.publish_now();
    }

    /// Gives a connection its place. When all are taken, the oldest that has not shown who it is must
    /// go; when all have, the new one is turned away.
    fn seat(&mut self, stream: TcpStream, tell: &mpsc::Sender<Heard>, connections: &TaskTracker) {
        if self.seats.len() >= self.settings.connections_max {
            let stranger = self.seats.values().find(|s| !s.is_welcome() && !s.close.is_cancelled());
            match stranger {
                Some(stranger) => stranger.close.cancel(),
                None => {
                    self.turn_away();
                    return;
                }
            }
            // Those that are being closed are few; beyond twice the places nobody more comes in.
            if self.seats.len() >= self.settings.connections_max * 2 {
                self.turn_away();
                return;
            }
        }
        // Answers are small and waited for.
        let _ = stream.set_nodelay(true);
        self.next += 1;
        let (answers, queue) = mpsc::channel(ANSWERS_MAX);
        let (is_welcome, close) = (Arc::new(AtomicBool::new(false)), CancellationToken::new());
        let connection = Connection {
            id: self.next,
            link: self.settings.decoder(self.context.name.clone()),
            heard: tell.clone(),
            clock: self.context.clock.clone(),
            is_welcome: Arc::clone(&is_welcome),
            idle_max: self.settings.idle_max,
            close: close.clone(),
        };
        connections.spawn(connection.run(stream, queue));
        let seat = Seat { answers, speaks_for: None, is_welcome, refusals: 0, serial: 0, close };
        self.seats.insert(self.next, seat);
    }

    fn turn_away(&mut self) {
        self.gate.show(|status| status.turned_away += 1);
    }

    /// Takes what a connection has to say.
    async fn hear(&mut self, heard: Heard) -> Result<(), Stopped> {
        let Heard { from, calls, mut samples, counted, ended } = heard;
        // Samples are counted when they are taken.
        self.gate.count(|tally| {
            tally.bytes += counted.bytes;
            tally.frames += counted.frames;
            for (reason, count) in counted.rejected {
                *tally.rejected.entry(reason).or_default() += count;
            }
        });
        for call in calls {
            let rest = samples.split_off(call.samples.min(samples.len()));
            let own = std::mem::replace(&mut samples, rest);
            self.call(from, call, own).await?;
        }
        if ended && let Some(seat) = self.seats.remove(&from) {
            let device = seat.speaks_for;
            if let Some(device) = device.filter(|d| self.terminals.get(d) == Some(&from)) {
                self.terminals.remove(&device);
            }
        }
        Ok(())
    }

    /// One thing that a terminal said, with its samples.
    async fn call(&mut self, from: u64, call: Call, samples: Vec<Sample>) -> Result<(), Stopped> {
        let device = call.terminal.device();
        let Some(seat) = self.seats.get_mut(&from) else { return Ok(()) };
        if seat.close.is_cancelled() {
            return Ok(());
        }
        if seat.speaks_for.get_or_insert_with(|| device.clone()) != &device {
            tracing::warn!(%device, "terminal answers for another");
            self.gate.reject(Reason::Authentication);
            seat.close.cancel();
            return Ok(());
        }
        match &call.said {
            Said::Registers(registration) => self.register(from, &call, registration),
            Said::Authenticates(shown) => {
                let is_right = *shown.code.bytes() == *self.code(&call.terminal).as_bytes();
                self.authenticate(from, &call, is_right);
            }
            _ if !self.is_welcome(from) => self.refuse(from, &call, Reason::Authentication),
            Said::Reports if !samples.is_empty() => return self.report(from, call, samples).await,
            said => self.respond(from, &call, said),
        }
        Ok(())
    }

    fn is_welcome(&self, from: u64) -> bool {
        self.seats.get(&from).is_some_and(Seat::is_welcome)
    }

    /// Answers what wants an answer at once.
    fn respond(&mut self, from: u64, call: &Call, said: &Said) {
        let now = self.context.clock.now().utc;
        let Some(seat) = self.seats.get_mut(&from) else { return };
        match said {
            Said::Responds(_) => {}
            Said::AsksTime => {
                let serial = seat.next_serial();
                if let Some(frame) = call.terminal.server_time(serial, now) {
                    seat.answer(frame);
                }
            }
            Said::Other => seat.respond(call, Outcome::NotSupported),
            // What cannot be read does not become better by coming again; it has been counted.
            _ => seat.respond(call, Outcome::Done),
        }
    }

    /// Hands a report to the engine and remembers whom to answer.
    async fn report(&mut self, from: u64, call: Call, samples: Vec<Sample>) -> Result<(), Stopped> {
        let mut receivers = Vec::with_capacity(samples.len());
        self.gate.count(|tally| samples.iter().for_each(|sample| tally.sample(sample.at)));
        let safe = |_: &Sample| {
            let (tell, committed) = oneshot::channel();
            receivers.push(committed);
            Some(tell)
        };
        self.gate.hand_over(samples, safe).await?;
        self.owed.push_back(Owed { to: from, call, samples: receivers });
        Ok(())
    }

    /// The oldest report is decided: its terminal is told.
    fn settle(&mut self, (owed, stored): (Owed, bool)) {
        if !stored {
            self.gate.show(|status| status.unacknowledged += 1);
        }
        // A connection that has ended meanwhile is not answered; the terminal sends again.
        if let Some(seat) = self.seats.get_mut(&owed.to) {
            seat.respond(&owed.call, if stored { Outcome::Done } else { Outcome::Failed });
        }
    }

    fn register(&mut self, from: u64, call: &Call, registration: &Registration) {
        let device = call.terminal.device();
        let pinned = self.settings.terminals.get(&device).and_then(|t| t.id.as_ref());
        let refusal = if !self.settings.known.contains(&device) {
            Some((Refusal::TerminalUnknown, Reason::UnknownDevice))
        } else if pinned.is_some_and(|id| *id != registration.id) {
            Some((Refusal::VehicleTaken, Reason::Authentication))
        } else {
            None
        };
        let code = self.code(&call.terminal);
        let Some(seat) = self.seats.get_mut(&from) else { return };
        let serial = seat.next_serial();
        let Some((refusal, reason)) = refusal else {
            tracing::info!(%device, "terminal registers");
            let frame = call.terminal.registered(serial, call.serial, code.as_bytes());
            seat.answer(frame.expect("sixteen bytes are a code"));
            return;
        };
        tracing::warn!(%device, ?refusal, "terminal refused");
        seat.answer(call.terminal.not_registered(serial, call.serial, refusal));
        self.count_refusal(from, reason);
    }

    fn authenticate(&mut self, from: u64, call: &Call, is_right: bool) {
        let device = call.terminal.device();
        if !self.settings.known.contains(&device) {
            return self.refuse(from, call, Reason::UnknownDevice);
        }
        if !is_right {
            return self.refuse(from, call, Reason::Authentication);
        }
        tracing::info!(%device, "terminal is there");
        let Some(seat) = self.seats.get_mut(&from) else { return };
        seat.is_welcome.store(true, Ordering::Relaxed);
        seat.respond(call, Outcome::Done);
        // Its earlier connection died unheard, in a tunnel for instance.
        if let Some(earlier) = self.terminals.insert(device, from).filter(|id| *id != from)
            && let Some(seat) = self.seats.get(&earlier)
        {
            seat.close.cancel();
        }
    }

    /// Answers "failed" and counts why.
    fn refuse(&mut self, from: u64, call: &Call, reason: Reason) {
        if let Some(seat) = self.seats.get_mut(&from) {
            seat.respond(call, Outcome::Failed);
        }
        self.count_refusal(from, reason);
    }

    /// A client that is refused again and again is closed.
    fn count_refusal(&mut self, from: u64, reason: Reason) {
        self.gate.reject(reason);
        let Some(seat) = self.seats.get_mut(&from) else { return };
        seat.refusals += 1;
        if seat.refusals > REFUSALS_MAX {
            seat.close.cancel();
        }
    }

    /// The code of a terminal: the same after a restart, and no other terminal's.
    fn code(&self, terminal: &Terminal) -> String {
        let key = self.settings.key.as_ref().map_or("", |key| key.reveal());
        let device = terminal.device();
        let parts = [key, self.context.name.as_str(), device.as_str()];
        let mut hash = Sha256::new();
        for part in parts {
            hash.update((part.len() as u64).to_be_bytes());
            hash.update(part.as_bytes());
        }
        hash.finalize().iter().take(8).map(|byte| format!("{byte:02x}")).collect()
    }
}

/// The oldest report that waits, once every sample of it is decided, and whether all are stored. May be
/// dropped at any time.
async fn decided(owed: &mut VecDeque<Owed>) -> (Owed, bool) {
    let Some(oldest) = owed.front_mut() else { return std::future::pending().await };
    let mut stored = true;
    while let Some(sample) = oldest.samples.last_mut() {
        stored = sample.await.is_ok();
        if !stored {
            break;
        }
        oldest.samples.pop();
    }
    (owed.pop_front().expect("its front was just seen"), stored)
}
