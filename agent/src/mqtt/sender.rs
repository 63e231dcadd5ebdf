//! One connection, and everything that is on its way through it.
//!
//! Every publish gets its packet id here, and an answer for that id settles it ([`super::flight`]).
//!
//! The window is kept here: no more than `window` publishes are on their way. A quarter of it is kept for
//! what is live: what is sent late waits on a shelf, lane by lane and in order, until the allowance and
//! the window have room for it, and passes nobody of its own lane.

mod answers;
mod asking;
mod handing;

use std::collections::VecDeque;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use domain::output::Lane;
use tokio::sync::watch;
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

use self::asking::Asking;
use self::handing::mail;
use super::dialect::{Cut, Limits, Parcel, Signal};
use super::flight::Flight;
use super::link::{BEAT, Beats};
use super::pipe::{Memory, Pipe};
use super::refused::Refused;
use super::socket::Socket;
use super::topics::Prefix;
use super::{LaneTraffic, LinkStatus};
use crate::clock::Clock;
use crate::outbox::{Entry, Key, Lanes, Outbox, OutboxError, Outcome};

/// Acknowledgements are told to the outbox so many at a time, or when something else is told to it.
const SETTLE_AT: usize = 32;
/// Signals looked at in one round.
const SIGNALS_MAX: usize = 64;
/// How long a stop waits for what is on its way, and again for the goodbye.
const GOODBYE: Duration = Duration::from_secs(5);

/// Why a connection ended.
pub(super) enum End {
    Finished,
    Broken(String),
}

/// How far a connection is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// Not accepted yet.
    Connecting,
    Live,
    /// Nothing new is sent; what is on its way may arrive.
    Draining,
    /// `offline` is on its way.
    Parting,
    /// DISCONNECT is on its way: the end of the connection is the end.
    Gone,
}

/// A message of the outbox, ready for the broker.
#[derive(Debug, Clone)]
struct Mail {
    key: Key,
    /// The outbox gives one message of its topic at a time. The parcel says what the broker is told.
    retained: bool,
    parcel: Parcel,
}

/// The message that is tried alone, see [`super::suspect`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Trial {
    None,
    /// To be sent alone, once the broker has answered for something else.
    Waiting(Key),
    /// It is on its way, alone.
    Sent(Key),
}

/// Counts since the status was told them last: it is told after each round, not for each message.
#[derive(Debug, Default, PartialEq, Eq)]
struct Tally {
    sent: u64,
    acked: u64,
    lanes: [LaneTraffic; 4],
}

type Taking = Pin<Box<dyn Future<Output = Result<Vec<Entry>, OutboxError>> + Send>>;

pub(super) struct Link<'a> {
    outbox: &'a Outbox,
    clock: &'a Clock,
    status: &'a watch::Sender<LinkStatus>,
    stop: &'a CancellationToken,
    client_id: &'a str,
    prefix: &'a Prefix,
    memory: &'a mut Memory,
    window: usize,
    compress: bool,
    /// What the broker allows.
    limits: Limits,
    /// How long the broker may keep a publish unanswered.
    patience: Duration,
    conn: u32,
    phase: Phase,
    /// The beat in which the present phase must end, for those that may not last.
    phase_until: u32,
    socket: Socket,
    /// What has happened on the connection and was not looked at yet.
    heard: Vec<Result<Signal, Cut>>,
    /// What the status has not been told yet.
    tally: Tally,
    beats: Beats,
    /// Taken from the outbox and not handed over, by lane and in order. A lane is asked for more when less
    /// than half a window of it is left here, so that there are never more than six windows.
    shelf: [VecDeque<Mail>; 4],
    refused: Refused<Mail>,
    trial: Trial,
    flight: Flight<Mail>,
    /// The broker has taken something over this connection.
    answered: bool,
    /// Not told to the outbox yet.
    settled: Vec<(Key, Outcome)>,
    taking: Option<Taking>,
    /// The outbox has been asked over this connection.
    asked: bool,
    /// When it is to be asked again.
    asking: Asking,
}

impl<'a> Link<'a> {
    pub(super) fn new(
        pipe: &'a Pipe,
        prefix: &'a Prefix,
        socket: Socket,
        conn: u32,
        memory: &'a mut Memory,
    ) -> Link<'a> {
        let window = pipe.window();
        let patience = pipe.settings.keep_alive + pipe.settings.connect_timeout;
        Link {
            outbox: &pipe.outbox,
            clock: &pipe.clock,
            status: &pipe.status,
            stop: &pipe.stop,
            client_id: pipe.identity.id.as_str(),
            prefix,
            trial: memory.suspects.trial().map_or(Trial::None, Trial::Waiting),
            memory,
            window: window.into(),
            compress: pipe.traffic.compress,
            limits: socket.limits(),
            patience,
            conn,
            phase: Phase::Connecting,
            phase_until: u32::MAX,
            socket,
            heard: Vec::with_capacity(SIGNALS_MAX),
            tally: Tally::default(),
            beats: Beats::default(),
            shelf: std::array::from_fn(|_| VecDeque::new()),
            refused: Refused::new(),
            flight: Flight::new(),
            answered: false,
            settled: Vec::new(),
            taking: None,
            asked: false,
            asking: Asking::new(),
        }
    }

    /// Runs the connection to its end.
    pub(super) async fn run(&mut self) -> End {
        let mut beat = tokio::time::interval(BEAT);
        beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut ready = self.outbox.ready();
        let mut health = self.memory.health.clone();
        health.mark_changed();
        loop {
            let live = self.phase == Phase::Live;
            let stoppable = live || self.phase == Phase::Connecting;
            if live && self.taking.is_none() && self.asking.is_due() {
                ready.borrow_and_update();
                self.start_taking();
            }
            let (socket, heard) = (&mut self.socket, &mut self.heard);
            let step = tokio::select! {
                () = poll_fn(|cx| listen(socket, cx, heard)) => self.on_signals().await,
                entries = next_entries(&mut self.taking), if self.taking.is_some() => {
                    self.on_entries(entries);
                    Ok(())
                }
                changed = ready.changed(), if live && !self.asking.is_due() => {
                    self.asking.again();
                    changed.map_err(|_| End::Broken("the outbox has stopped".to_owned()))
                }
                Ok(()) = health.changed(), if live => {
                    let payload = health.borrow_and_update().clone();
                    self.send_health(payload);
                    Ok(())
                }
                () = self.stop.cancelled(), if stoppable => self.begin_to_part(),
                _ = beat.tick() => self.on_beat(),
            };
            if let Err(end) = step {
                return end;
            }
            self.pump();
            self.part();
            self.tell();
        }
    }

    /// What is settled and not told to the outbox. To be called when the connection has ended.
    pub(super) fn finish(&mut self) -> Vec<(Key, Outcome)> {
        self.tell();
        self.show();
        std::mem::take(&mut self.settled)
    }

    fn room(&self) -> usize {
        self.window.saturating_sub(self.flight.len())
    }

    /// A lane with fewer on its shelf is asked for more, so that they are there before they are missed.
    fn low(&self) -> usize {
        self.window.div_ceil(2)
    }

    /// The lanes of which more may be taken.
    fn wanted(&self) -> Lanes {
        let trying = self.asked && self.trial != Trial::None;
        let silent = trying || self.refused.is_silent(self.beats.all);
        Lanes::which(|lane| {
            !silent
                && self.shelf[lane as usize].len() < self.low()
                && !self.refused.is_full(lane)
                && self.memory.allowance.allows_lane(lane)
        })
    }

    fn start_taking(&mut self) {
        self.asking.asked();
        let wanted = self.wanted();
        if wanted.is_empty() {
            // Asked again at the next beat, or when a shelf runs low.
            return;
        }
        self.settle();
        // A window at once, not only what there is room for: while it goes out, nobody has to be asked.
        let (outbox, max) = (self.outbox.clone(), self.window);
        self.taking = Some(Box::pin(async move { outbox.take_of(wanted, max).await }));
    }

    fn on_entries(&mut self, entries: Result<Vec<Entry>, OutboxError>) {
        self.taking = None;
        match entries {
            Err(error) => {
                // Asked again at the next beat; the outbox says more about it in its own log.
                tracing::warn!(error = %error, "nothing can be taken from the outbox");
            }
            Ok(entries) => {
                self.asked = true;
                // Fewer than there was room for is no proof that there are no more: the outbox bounds
                // what it gives at once. None at all is.
                if !entries.is_empty() {
                    self.asking.again();
                }
                for entry in entries {
                    let mail = mail(self.prefix, entry, self.compress);
                    self.shelf[mail.key.lane as usize].push_back(mail);
                }
            }
        }
    }

    /// Hands over what may go now.
    fn pump(&mut self) {
        if self.phase != Phase::Live {
            return;
        }
        if self.trial != Trial::None {
            self.go_on_trial();
        }
        if self.trial != Trial::None || self.refused.is_silent(self.beats.all) {
            return;
        }
        while self.room() > 0
            && self.socket.has_room()
            && let Some(mail) = self.refused.due(self.beats.all)
        {
            self.send(mail);
        }
        for lane in Lane::ALL {
            let before = self.shelf[lane as usize].len();
            while self.may_go(lane)
                && let Some(mail) = self.shelf[lane as usize].pop_front()
            {
                self.send(mail);
            }
            let low = self.low();
            if before >= low && self.shelf[lane as usize].len() < low {
                self.asking.again();
            }
        }
    }

    /// Whether the first on the shelf of `lane` may go.
    fn may_go(&mut self, lane: Lane) -> bool {
        let Some(mail) = self.shelf[lane as usize].front() else { return false };
        let replay = mail.parcel.replay;
        let kept = if replay { self.window / 4 } else { 0 };
        self.room() > kept && self.memory.allowance.allows(lane, replay) && self.socket.has_room()
    }

    /// Tells the outbox what is settled, unless it is busy: then later.
    fn settle(&mut self) {
        if self.settled.is_empty() {
            return;
        }
        if let Err(back) = self.outbox.try_settle(std::mem::take(&mut self.settled)) {
            self.settled = back;
        }
    }

    fn on_beat(&mut self) -> Result<(), End> {
        self.settle();
        self.asking.again();
        self.memory.allowance.beat(self.clock.now().utc);
        self.show();
        let connected = self.phase != Phase::Connecting;
        let silence_max = self.socket.silence_max();
        if let Some(why) = self.beats.pass(connected, silence_max, &mut self.memory.backoff) {
            return Err(self.broken(why));
        }
        let oldest = self.flight.since().unwrap_or(self.beats.all);
        if BEAT * (self.beats.all - oldest) > self.patience {
            let patience = self.patience;
            return Err(self.broken(format!("a publish is unacknowledged for {patience:?}")));
        }
        if self.beats.all > self.phase_until {
            return Err(End::Finished);
        }
        Ok(())
    }

    /// Tells the status what has been counted.
    fn tell(&mut self) {
        if self.tally == Tally::default() {
            return;
        }
        let Tally { sent, acked, lanes } = std::mem::take(&mut self.tally);
        self.status.send_modify(|status| {
            status.sent += sent;
            status.acked += acked;
            for (shown, lane) in status.lanes.iter_mut().zip(lanes) {
                shown.sent += lane.sent;
                shown.replayed += lane.replayed;
                shown.bytes += lane.bytes;
                shown.acked += lane.acked;
            }
        });
    }

    /// Shows what changes without an event.
    fn show(&self) {
        self.status.send_modify(|s| {
            s.day_bytes = self.memory.allowance.spent();
            s.undelivered = self.memory.letters.count();
            for lane in Lane::ALL {
                let shown = &mut s.lanes[lane as usize];
                shown.waiting = self.shelf[lane as usize].len() + self.refused.count(lane);
                shown.held_back = !self.memory.allowance.allows_lane(lane);
            }
        });
    }

    fn enter(&mut self, phase: Phase) {
        self.phase = phase;
        self.phase_until = self.beats.all + u32::try_from(GOODBYE.as_secs()).unwrap_or(u32::MAX);
    }

    fn begin_to_part(&mut self) -> Result<(), End> {
        if self.phase == Phase::Connecting {
            return Err(End::Finished);
        }
        self.taking = None;
        self.enter(Phase::Draining);
        Ok(())
    }

    /// Goes on with the goodbye as far as it can.
    fn part(&mut self) {
        if self.flight.len() > 0 {
            return;
        }
        match self.phase {
            Phase::Draining => {
                self.enter(Phase::Parting);
                self.send_status("offline");
            }
            Phase::Parting => {
                self.enter(Phase::Gone);
                self.socket.disconnect();
            }
            Phase::Connecting | Phase::Live | Phase::Gone => {}
        }
    }
}

async fn next_entries(taking: &mut Option<Taking>) -> Result<Vec<Entry>, OutboxError> {
    taking.as_mut().expect("only called when something is being taken").await
}

/// Everything that has happened on a connection by now, as far as one round goes; waits for the first.
fn listen(
    socket: &mut Socket,
    cx: &mut Context<'_>,
    heard: &mut Vec<Result<Signal, Cut>>,
) -> Poll<()> {
    while heard.len() < SIGNALS_MAX
        && let Poll::Ready(signal) = socket.poll_signal(cx)
    {
        let over = signal.is_err();
        heard.push(signal);
        if over {
            break;
        }
    }
    if heard.is_empty() { Poll::Pending } else { Poll::Ready(()) }
}
