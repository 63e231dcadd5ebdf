//! One connection, and everything that is on its way through it.
//!
//! A `Written(id)` binds the oldest publish that was handed over to the id, an `Answered(id)` settles it
//! ([`super::flight`]).
//!
//! The window is kept here: no more than `window` publishes are on their way. A quarter of it is kept for
//! what is live: what is sent late waits on a shelf, lane by lane and in order, until the allowance and
//! the window have room for it, and passes nobody of its own lane.

use std::collections::VecDeque;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::time::Duration;

use bytes::Bytes;
use domain::output::Lane;
use tokio::sync::watch;
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

use super::LinkStatus;
use super::flight::Flight;
use super::letters::Letter;
use super::link::{BEAT, Beats, found};
use super::payload::{self, mark_replay};
use super::pipe::{Memory, Pipe, status_payload};
use super::refused::{Refused, Sentence};
use super::topics::{self, Prefix};
use super::transport::{Cut, Limits, Parcel, Refusal, Signal, Transport, Verdict};
use crate::clock::Clock;
use crate::outbox::{DropReason, Entry, Key, Lanes, Outbox, OutboxError, Outcome};

/// Acknowledgements are told to the outbox so many at a time, or when something else is told to it.
const SETTLE_AT: usize = 32;
/// How long a stop waits for what is on its way, and again for the goodbye.
const GOODBYE: Duration = Duration::from_secs(5);
/// A heartbeat that is older than three of them is worth nothing.
const HEALTH_EXPIRES: Duration = Duration::from_secs(90);

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
    limits: Limits,
    /// How long the broker may keep a publish unanswered.
    patience: Duration,
    conn: u32,
    phase: Phase,
    /// The beat in which the present phase must end, for those that may not last.
    phase_until: u32,
    transport: Box<dyn Transport>,
    beats: Beats,
    /// Taken from the outbox and not handed over, by lane and in order. A lane is asked for more when
    /// nothing of it is left here, so that there are never more than four windows.
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
    /// Whether the outbox may have more to take.
    more: bool,
}

impl<'a> Link<'a> {
    pub(super) fn new(
        pipe: &'a Pipe,
        prefix: &'a Prefix,
        transport: Box<dyn Transport>,
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
            limits: transport.limits(),
            patience,
            conn,
            phase: Phase::Connecting,
            phase_until: u32::MAX,
            transport,
            beats: Beats::default(),
            shelf: std::array::from_fn(|_| VecDeque::new()),
            refused: Refused::new(),
            flight: Flight::new(),
            answered: false,
            settled: Vec::new(),
            taking: None,
            asked: false,
            more: true,
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
            if live && self.taking.is_none() && self.more && self.room() > 0 {
                ready.borrow_and_update();
                self.start_taking();
            }
            let transport = &mut self.transport;
            let step = tokio::select! {
                signal = poll_fn(|cx| transport.poll_signal(cx)) => self.on_signal(signal).await,
                entries = next_entries(&mut self.taking), if self.taking.is_some() => {
                    self.on_entries(entries);
                    Ok(())
                }
                changed = ready.changed(), if live && !self.more => {
                    self.more = true;
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
            let step = step.and_then(|()| self.pump()).and_then(|()| self.part());
            if let Err(end) = step {
                return end;
            }
        }
    }

    /// What is settled and not told to the outbox. To be called when the connection has ended.
    pub(super) fn finish(&mut self) -> Vec<(Key, Outcome)> {
        self.show();
        std::mem::take(&mut self.settled)
    }

    fn room(&self) -> usize {
        self.window.saturating_sub(self.flight.len())
    }

    /// The lanes of which more may be taken.
    fn wanted(&self) -> Lanes {
        let trying = self.asked && self.trial != Trial::None;
        let silent = trying || self.refused.is_silent(self.beats.all);
        Lanes::which(|lane| {
            !silent
                && self.shelf[lane as usize].is_empty()
                && !self.refused.is_full(lane)
                && self.memory.allowance.allows_lane(lane)
        })
    }

    fn start_taking(&mut self) {
        let wanted = self.wanted();
        if wanted.is_empty() {
            // Asked again at the next beat, or when a shelf is empty.
            self.more = false;
            return;
        }
        self.settle();
        let (outbox, max) = (self.outbox.clone(), self.room());
        self.taking = Some(Box::pin(async move { outbox.take_of(wanted, max).await }));
    }

    fn on_entries(&mut self, entries: Result<Vec<Entry>, OutboxError>) {
        self.taking = None;
        match entries {
            Err(error) => {
                // Asked again at the next beat; the outbox says more about it in its own log.
                tracing::warn!(error = %error, "nothing can be taken from the outbox");
                self.more = false;
            }
            Ok(entries) => {
                self.asked = true;
                // Fewer than there was room for is no proof that there are no more: the outbox bounds
                // what it gives at once. None at all is.
                self.more = !entries.is_empty();
                for entry in entries {
                    let mail = mail(self.prefix, entry, self.compress);
                    self.shelf[mail.key.lane as usize].push_back(mail);
                }
            }
        }
    }

    /// Hands over what may go now.
    fn pump(&mut self) -> Result<(), End> {
        if self.phase != Phase::Live {
            return Ok(());
        }
        if self.trial != Trial::None {
            self.go_on_trial()?;
        }
        if self.trial != Trial::None || self.refused.is_silent(self.beats.all) {
            return Ok(());
        }
        while self.room() > 0
            && let Some(mail) = self.refused.due(self.beats.all)
        {
            self.send(mail)?;
        }
        for lane in Lane::ALL {
            let before = self.shelf[lane as usize].len();
            while self.may_go(lane)
                && let Some(mail) = self.shelf[lane as usize].pop_front()
            {
                self.send(mail)?;
            }
            if before > 0 && self.shelf[lane as usize].is_empty() {
                self.more = true;
            }
        }
        Ok(())
    }

    /// Whether the first on the shelf of `lane` may go.
    fn may_go(&self, lane: Lane) -> bool {
        let Some(mail) = self.shelf[lane as usize].front() else { return false };
        let replay = mail.parcel.replay;
        let kept = if replay { self.window / 4 } else { 0 };
        self.room() > kept && self.memory.allowance.allows(lane, replay)
    }

    /// Sends the suspect when everything that was sent before it has arrived, and nothing beside it.
    fn go_on_trial(&mut self) -> Result<(), End> {
        if self.flight.len() > 0 || !self.answered {
            return Ok(());
        }
        let Trial::Waiting(key) = self.trial else {
            // It was answered for.
            self.trial = Trial::None;
            return Ok(());
        };
        let shelf = &mut self.shelf[key.lane as usize];
        match shelf.iter().position(|mail| mail.key == key) {
            Some(at) => {
                let mail = shelf.remove(at).expect("it was found there");
                tracing::warn!(
                    topic = mail.parcel.topic,
                    seq = key.position.seq,
                    "a message that was first in line of dying connections is tried alone"
                );
                self.trial = Trial::Sent(key);
                self.send(mail)
            }
            None => {
                // Not among the first any more; if nothing was taken yet it may come.
                if self.asked {
                    self.trial = Trial::None;
                }
                Ok(())
            }
        }
    }

    fn send(&mut self, mut mail: Mail) -> Result<(), End> {
        let parcel = &mut mail.parcel;
        let beside = parcel.correlation.as_ref().map_or(0, Vec::len);
        let bytes = self.transport.overhead() + parcel.topic.len() + parcel.payload.len() + beside;
        if bytes > usize::try_from(self.limits.packet_max).unwrap_or(usize::MAX) {
            self.give_up(&mail, DropReason::TooLarge);
            return Ok(());
        }
        if !rumqttc::valid_topic(&parcel.topic) || parcel.topic.len() > usize::from(u16::MAX) {
            self.give_up(&mail, DropReason::BadTopic);
            return Ok(());
        }
        parcel.retain &= self.limits.retains;
        let (lane, replay) = (mail.key.lane, parcel.replay);
        self.memory.allowance.spend(bytes as u64, replay);
        self.publish(parcel.clone(), Some(mail))?;
        self.status.send_modify(|s| {
            s.sent += 1;
            s.lanes[lane as usize].sent += 1;
            s.lanes[lane as usize].replayed += u64::from(replay);
            s.lanes[lane as usize].bytes += bytes as u64;
        });
        Ok(())
    }

    /// Hands an assured parcel to the event loop, and notes it.
    fn publish(&mut self, parcel: Parcel, mail: Option<Mail>) -> Result<(), End> {
        let asked = self.transport.publish(parcel);
        asked.map_err(|e| End::Broken(format!("a publish could not be handed over: {e}")))?;
        self.flight.hand_over(mail, self.beats.all);
        Ok(())
    }

    fn send_status(&mut self, state: &str) -> Result<(), End> {
        let payload = status_payload(state, self.clock.boot(), self.conn, self.clock.now());
        self.publish(self.own(self.prefix.status(), payload, true, None), None)
    }

    fn send_health(&self, payload: Option<Vec<u8>>) {
        let Some(payload) = payload else { return };
        // Not assured: no place in the list. When the event loop is busy the next one will do.
        let parcel = self.own(self.prefix.health(), payload, false, Some(HEALTH_EXPIRES));
        if self.transport.publish(parcel).is_err() {
            tracing::debug!("health not sent: the link is busy");
        }
    }

    /// A retained message that is not the outbox's.
    fn own(
        &self,
        topic: String,
        payload: Vec<u8>,
        assured: bool,
        expires: Option<Duration>,
    ) -> Parcel {
        let retain = self.limits.retains;
        let (payload, content_type) = (Bytes::from(payload), payload::JSON);
        let (replay, correlation) = (false, None);
        Parcel { topic, payload, assured, retain, content_type, replay, correlation, expires }
    }

    /// Keeps a message aside that cannot be delivered, and takes it out of the outbox. If it cannot be
    /// kept it stays in the outbox, and comes again with the next connection.
    fn give_up(&mut self, mail: &Mail, reason: DropReason) {
        let Parcel { topic, retain, payload, .. } = &mail.parcel;
        let (seq, bytes, why) = (mail.key.position.seq, payload.len(), reason.as_str());
        tracing::error!(topic, seq, bytes, reason = why, "a message cannot be delivered");
        let at = self.clock.now().utc.to_string();
        // On this task: it happens a few times in a box's life, and must be on disk before the outbox
        // forgets the message.
        let letter = Letter { key: mail.key, topic, retain: *retain, payload, reason, at: &at };
        match self.memory.letters.keep(letter) {
            Ok(gone) => {
                self.status.send_modify(|s| {
                    s.lanes[mail.key.lane as usize].quarantined += 1;
                    s.undelivered_gone += gone;
                });
                self.settled.push((mail.key, Outcome::Dropped(reason)));
            }
            Err(error) => {
                tracing::error!(error = %error, topic, seq, "it cannot be kept aside either");
            }
        }
    }

    async fn on_signal(&mut self, signal: Result<Signal, Cut>) -> Result<(), End> {
        self.beats.heard();
        match signal {
            Ok(Signal::Accepted(limits)) => self.accepted(limits).await,
            Ok(signal) => self.follow(&signal),
            Err(Cut { kind, why, leftovers }) => {
                for signal in leftovers.iter().filter(|signal| **signal != Signal::Waits) {
                    // The connection is over anyway; what counts is which publishes arrived.
                    let _ = self.follow(signal);
                }
                if self.phase == Phase::Connecting {
                    self.memory.never_accepted(kind);
                }
                let parted = self.phase == Phase::Gone;
                Err(if parted { End::Finished } else { self.broken(why) })
            }
        }
    }

    async fn accepted(&mut self, limits: Limits) -> Result<(), End> {
        if !limits.assures {
            self.memory.versions.useless();
            let why = "the broker acknowledges no messages (maximum QoS 0, or no keep alive)";
            return Err(End::Broken(why.to_owned()));
        }
        self.memory.versions.accepted();
        self.limits = limits;
        self.window = usize::from(limits.window).max(1);
        // Known on disk before anything is sent: after a restart that makes the difference between
        // what may have been sent and what certainly was not.
        let marked = self.outbox.link_up(self.conn).await;
        marked.map_err(|e| End::Broken(format!("the outbox is not ready: {e}")))?;
        self.phase = Phase::Live;
        found(self.status, self.clock, self.client_id, self.conn);
        let version = self.memory.versions.next();
        self.status.send_modify(|s| s.version = Some(version));
        self.send_status("online")
    }

    /// Follows publishes through the event loop.
    fn follow(&mut self, signal: &Signal) -> Result<(), End> {
        match *signal {
            Signal::Written(id) => {
                if !self.flight.written(id) {
                    return Err(End::Broken("a publish of unknown origin was written".to_owned()));
                }
            }
            Signal::Answered(id, verdict) => match (self.flight.answered(id), verdict) {
                (Some(mail), Verdict::Taken) => self.taken(mail.map(|mail| mail.key)),
                (Some(mail), Verdict::Refused(why)) => self.was_refused(mail, why),
                (None, _) => {}
            },
            // A broker that allows few publishes at once makes ids come round early. Otherwise one has
            // been left unanswered for four windows.
            Signal::Waits if !self.limits.narrow => {
                let why = "a packet id came round unacknowledged";
                return Err(self.broken(why.to_owned()));
            }
            Signal::Waits | Signal::Accepted(_) | Signal::Alive => {}
        }
        Ok(())
    }

    fn taken(&mut self, key: Option<Key>) {
        self.answered = true;
        self.status.send_modify(|s| {
            s.acked += 1;
            if let Some(key) = key {
                s.lanes[key.lane as usize].acked += 1;
            }
        });
        let Some(key) = key else { return };
        self.memory.suspects.answered(key);
        self.refused.taken(key);
        self.settled.push((key, Outcome::Acknowledged));
        // With nothing else to do: a topic that was taken may be free now.
        let idle = !self.more && self.taking.is_none();
        if self.settled.len() >= SETTLE_AT || idle {
            self.settle();
            self.more = true;
        }
    }

    fn was_refused(&mut self, mail: Option<Mail>, why: Refusal) {
        // The broker is there and answers: what it says is not the line's fault.
        self.answered = true;
        let known = self.status.borrow().refusals.contains_key(&why);
        self.status.send_modify(|s| *s.refusals.entry(why).or_default() += 1);
        let Some(mail) = mail else {
            tracing::error!(reason = why.as_str(), "the broker refuses the box's status");
            return;
        };
        let key = mail.key;
        if !known {
            let (topic, seq) = (&mail.parcel.topic, key.position.seq);
            tracing::error!(
                topic,
                seq,
                reason = why.as_str(),
                "the broker refuses a message; it is kept and offered again"
            );
        }
        self.memory.suspects.answered(key);
        if let Sentence::Hopeless(mail) = self.refused.refuse(key, mail, why, self.beats.all) {
            self.give_up(&mail, DropReason::Refused);
        }
    }

    /// The end of a connection that died: remembers what was first in line, and keeps it aside when it
    /// is convicted.
    fn broken(&mut self, why: String) -> End {
        if self.phase == Phase::Connecting {
            return End::Broken(why);
        }
        let alone = matches!(self.trial, Trial::Sent(_));
        let first = self.flight.first().cloned();
        let convicted = self.memory.suspects.died(first.as_ref().map(|mail| mail.key), alone);
        if convicted.is_some()
            && let Some(mail) = first
        {
            self.give_up(&mail, DropReason::Poison);
        }
        End::Broken(why)
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
        self.more = true;
        self.memory.allowance.beat(self.clock.now().utc);
        self.show();
        let connected = self.phase != Phase::Connecting;
        let silence_max = self.limits.silence_max;
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
    fn part(&mut self) -> Result<(), End> {
        if self.flight.len() > 0 {
            return Ok(());
        }
        match self.phase {
            Phase::Draining => {
                self.enter(Phase::Parting);
                self.send_status("offline")
            }
            Phase::Parting => {
                self.enter(Phase::Gone);
                let asked = self.transport.disconnect();
                asked.map_err(|e| End::Broken(format!("the goodbye could not be sent: {e}")))
            }
            Phase::Connecting | Phase::Live | Phase::Gone => Ok(()),
        }
    }
}

fn mail(prefix: &Prefix, entry: Entry, compress: bool) -> Mail {
    let compressed = if compress { entry.compressed() } else { None };
    let Entry { key, path, retain, replay, payload, .. } = entry;
    let (payload, content_type) = match compressed {
        Some(compressed) => (compressed, payload::ZSTD),
        None if replay && !topics::is_form(&path) => {
            (mark_replay(&payload), payload::content_type(&path))
        }
        None => (payload, payload::content_type(&path)),
    };
    let parcel = Parcel {
        topic: prefix.join(&path),
        correlation: topics::answer(&path).map(|(_, correlation)| correlation),
        payload: Bytes::from(payload),
        assured: true,
        retain,
        content_type,
        replay,
        expires: None,
    };
    Mail { key, parcel }
}

async fn next_entries(taking: &mut Option<Taking>) -> Result<Vec<Entry>, OutboxError> {
    taking.as_mut().expect("only called when something is being taken").await
}
