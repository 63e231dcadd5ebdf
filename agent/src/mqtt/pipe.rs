//! Publishes what the outbox holds; a PUBACK, and nothing else, acknowledges there.
//!
//! One task owns the connection. What it knows of messages on their way fits in two small tables: a
//! first-in-first-out list of what was handed to the event loop, and a map from packet id to message of
//! what the event loop has written. An `Outgoing::Publish(id)` binds the oldest of the list to the id, a
//! `PubAck(id)` settles it. For that to be true every publish with QoS 1 has its place in the list, also
//! those that come from elsewhere (`P/status`), and those with QoS 0 never have one.
//!
//! The window is kept here: no more than `window` publishes are on their way, and packet ids wrap at
//! four times as many, so that none comes back while it is still waited for.

use std::collections::{BTreeMap, VecDeque};
use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use domain::site::Identity;
use domain::time::{Boot, Now};
use rumqttc::{Event, Incoming, LastWill, Outgoing, QoS};
use tokio::sync::watch;
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

use super::LinkStatus;
use super::link::{BEAT, Beats, found, lost};
use super::payload::mark_replay;
use super::session::{Backoff, Broken, Connection, Pace, Session, SessionError, in_words};
use super::topics::Prefix;
use crate::clock::Clock;
use crate::config::Broker;
use crate::outbox::{DropReason, Entry, Key, Outbox, OutboxError, Outcome};

/// The largest window (the settings say so too): packet ids are 16 bits, and four times it must fit.
const WINDOW_MAX: u16 = 1000;
/// Requests beside the window that may wait for the event loop: status, health, disconnect.
const EXTRA: u16 = 8;
/// Acknowledgements are told to the outbox so many at a time, or when something else is told to it.
const SETTLE_AT: usize = 32;
/// How long a stop waits for what is on its way, and again for the goodbye.
const GOODBYE: Duration = Duration::from_secs(5);
/// Fixed header of an MQTT packet at its longest, the length of the topic, and the packet id.
const PACKET_OVERHEAD: usize = 5 + 2 + 2;

/// Everything the publishing task works with.
pub struct Pipe {
    /// The broker.
    pub settings: Broker,
    /// Who the box is; its id is the client id, and the user name unless the settings have one.
    pub identity: Identity,
    /// Where messages come from.
    pub outbox: Outbox,
    /// The time.
    pub clock: Clock,
    /// Ready-made payloads for `P/health`; each new one is sent once, none is waited for.
    pub health: watch::Receiver<Option<Vec<u8>>>,
    /// Where the task shows how the link is doing.
    pub status: watch::Sender<LinkStatus>,
    /// Says goodbye and ends.
    pub stop: CancellationToken,
}

/// Why the pipe ended.
#[derive(Debug, thiserror::Error)]
pub enum PipeError {
    /// The outbox has gone away.
    #[error("the outbox has stopped")]
    OutboxGone,
}

impl Pipe {
    /// Connects, publishes, and connects again, until it is stopped.
    ///
    /// # Errors
    /// The outbox is gone: the box must not go on without it.
    pub async fn run(self) -> Result<(), PipeError> {
        self.run_at(Pace::default()).await
    }

    /// As [`Pipe::run`], with another patience.
    ///
    /// # Errors
    /// As [`Pipe::run`].
    pub async fn run_at(self, pace: Pace) -> Result<(), PipeError> {
        let prefix = Prefix::new(&self.identity);
        let mut backoff = Backoff::of(self.identity.id.as_str(), self.clock.boot().0, pace);
        // Counted per try, not per CONNACK: a broker may have accepted a try of which we never heard,
        // and the last will of that one must not pass for the present one's.
        let mut conn = 0_u32;
        let mut health = self.health.clone();
        loop {
            conn = conn.saturating_add(1);
            let why = match self.session(&prefix, conn) {
                Err(error) => error.to_string(),
                Ok(session) => {
                    let mut link = Link::new(&self, &prefix, session, conn);
                    let end = link.run(&mut health, &mut backoff).await;
                    // What the broker has acknowledged first, then everything else is free again.
                    let settled = std::mem::take(&mut link.settled);
                    self.outbox.settle(settled).await.map_err(gone)?;
                    self.outbox.release_all().await.map_err(gone)?;
                    match end {
                        End::Finished => return Ok(()),
                        End::Broken(why) => why,
                    }
                }
            };
            lost(&self.status, &self.clock, self.identity.id.as_str(), why);
            tokio::select! {
                () = self.stop.cancelled() => return Ok(()),
                () = tokio::time::sleep(backoff.wait()) => {}
            }
            self.status.send_modify(|s| s.reconnects += 1);
        }
    }

    fn window(&self) -> u16 {
        self.settings.window.clamp(1, WINDOW_MAX)
    }

    fn session(&self, prefix: &Prefix, conn: u32) -> Result<Session, SessionError> {
        let id = self.identity.id.as_str();
        let mut session = Session::new(&self.settings, id, Some(id))?;
        let will = status_payload("lost", self.clock.boot(), conn, self.clock.now());
        let packet_max = usize::try_from(self.settings.packet_max).unwrap_or(usize::MAX);
        session
            .options
            .set_clean_session(true)
            .set_last_will(LastWill::new(prefix.status(), will, QoS::AtLeastOnce, true))
            .set_inflight(4 * self.window() + EXTRA)
            .set_max_packet_size(packet_max, packet_max);
        Ok(session)
    }
}

/// `{"state":"online","boot":17,"conn":3,"at":…,"clock":…}`
fn status_payload(state: &str, boot: Boot, conn: u32, now: Now) -> Vec<u8> {
    let status = serde_json::json!({
        "state": state, "boot": boot, "conn": conn, "at": now.utc, "clock": now.clock,
    });
    status.to_string().into_bytes()
}

fn gone(_: OutboxError) -> PipeError {
    PipeError::OutboxGone
}

/// Why a connection ended.
enum End {
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

/// A publish the broker has not acknowledged. `key` is empty for what is not the outbox's.
#[derive(Debug, Clone, Copy)]
struct OnItsWay {
    key: Option<Key>,
    /// The beat it was written in.
    beat: u32,
}

type Taking = Pin<Box<dyn Future<Output = Result<Vec<Entry>, OutboxError>> + Send>>;

/// One connection, and everything that is on its way through it.
struct Link<'a> {
    outbox: &'a Outbox,
    clock: &'a Clock,
    status: &'a watch::Sender<LinkStatus>,
    stop: &'a CancellationToken,
    client_id: &'a str,
    prefix: &'a Prefix,
    window: usize,
    packet_max: usize,
    /// How long the broker may keep a publish unacknowledged.
    patience: Duration,
    silence_max: Duration,
    conn: u32,
    phase: Phase,
    /// The beat in which the present phase must end, for those that may not last.
    phase_until: u32,
    connection: Connection,
    beats: Beats,
    /// Handed to the event loop and not written yet, in order.
    handed: VecDeque<Option<Key>>,
    /// Written and not acknowledged, by packet id.
    written: BTreeMap<u16, OnItsWay>,
    /// Not told to the outbox yet.
    settled: Vec<(Key, Outcome)>,
    taking: Option<Taking>,
    /// Whether the outbox may have more to take.
    more: bool,
}

impl<'a> Link<'a> {
    fn new(pipe: &'a Pipe, prefix: &'a Prefix, session: Session, conn: u32) -> Link<'a> {
        let window = pipe.window();
        let silence_max = session.silence_max;
        Link {
            outbox: &pipe.outbox,
            clock: &pipe.clock,
            status: &pipe.status,
            stop: &pipe.stop,
            client_id: pipe.identity.id.as_str(),
            prefix,
            window: window.into(),
            packet_max: usize::try_from(pipe.settings.packet_max).unwrap_or(usize::MAX),
            patience: pipe.settings.keep_alive + pipe.settings.connect_timeout,
            silence_max,
            conn,
            phase: Phase::Connecting,
            phase_until: u32::MAX,
            connection: Connection::open(session, (window + EXTRA).into()),
            beats: Beats::default(),
            handed: VecDeque::new(),
            written: BTreeMap::new(),
            settled: Vec::new(),
            taking: None,
            more: true,
        }
    }

    /// Runs the connection to its end.
    async fn run(
        &mut self,
        health: &mut watch::Receiver<Option<Vec<u8>>>,
        backoff: &mut Backoff,
    ) -> End {
        let mut beat = tokio::time::interval(BEAT);
        beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut ready = self.outbox.ready();
        health.mark_changed();
        loop {
            let live = self.phase == Phase::Live;
            let stoppable = live || self.phase == Phase::Connecting;
            if live && self.taking.is_none() && self.more && self.room() > 0 {
                ready.borrow_and_update();
                self.start_taking();
            }
            let step = tokio::select! {
                event = self.connection.event() => self.on_event(event).await,
                entries = next_entries(&mut self.taking), if self.taking.is_some() => {
                    self.on_entries(entries)
                }
                changed = ready.changed(), if live && !self.more => {
                    self.more = true;
                    changed.map_err(|_| End::Broken("the outbox has stopped".to_owned()))
                }
                Ok(()) = health.changed(), if live => self.send_health(health),
                () = self.stop.cancelled(), if stoppable => self.begin_to_part(),
                _ = beat.tick() => self.on_beat(backoff),
            };
            let step = step.and_then(|()| self.part());
            if let Err(end) = step {
                return end;
            }
        }
    }

    fn on_its_way(&self) -> usize {
        self.handed.len() + self.written.len()
    }

    fn room(&self) -> usize {
        self.window.saturating_sub(self.on_its_way())
    }

    fn start_taking(&mut self) {
        self.settle();
        let (outbox, max) = (self.outbox.clone(), self.room());
        self.taking = Some(Box::pin(async move { outbox.take(max).await }));
    }

    fn on_entries(&mut self, entries: Result<Vec<Entry>, OutboxError>) -> Result<(), End> {
        self.taking = None;
        match entries {
            Err(error) => {
                // Asked again at the next beat; the outbox says more about it in its own log.
                tracing::warn!(error = %error, "nothing can be taken from the outbox");
                self.more = false;
                Ok(())
            }
            Ok(entries) => {
                // Fewer than there was room for is no proof that there are no more: the outbox bounds
                // what it gives at once. None at all is.
                self.more = !entries.is_empty();
                entries.into_iter().try_for_each(|entry| self.send(entry))
            }
        }
    }

    fn send(&mut self, entry: Entry) -> Result<(), End> {
        let topic = self.prefix.join(&entry.path);
        let payload = if entry.replay { mark_replay(&entry.payload) } else { entry.payload };
        let refusal = if PACKET_OVERHEAD + topic.len() + payload.len() > self.packet_max {
            Some(DropReason::TooLarge)
        } else if !rumqttc::valid_topic(&topic) || topic.len() > usize::from(u16::MAX) {
            Some(DropReason::BadTopic)
        } else {
            None
        };
        if let Some(reason) = refusal {
            let (seq, bytes) = (entry.key.position.seq, payload.len());
            tracing::error!(topic, seq, bytes, reason = reason.as_str(), "message cannot be sent");
            self.settled.push((entry.key, Outcome::Dropped(reason)));
            return Ok(());
        }
        self.publish(Some(entry.key), topic, entry.retain, payload)
    }

    /// Hands a publish with QoS 1 to the event loop, and notes it.
    fn publish(
        &mut self,
        key: Option<Key>,
        topic: String,
        retain: bool,
        payload: Vec<u8>,
    ) -> Result<(), End> {
        let asked = self.connection.client.try_publish(topic, QoS::AtLeastOnce, retain, payload);
        asked.map_err(|e| End::Broken(format!("a publish could not be handed over: {e}")))?;
        self.handed.push_back(key);
        Ok(())
    }

    fn send_status(&mut self, state: &str) -> Result<(), End> {
        let payload = status_payload(state, self.clock.boot(), self.conn, self.clock.now());
        self.publish(None, self.prefix.status(), true, payload)
    }

    fn send_health(&mut self, health: &mut watch::Receiver<Option<Vec<u8>>>) -> Result<(), End> {
        let Some(payload) = health.borrow_and_update().clone() else { return Ok(()) };
        // QoS 0: no place in the list. When the event loop is busy the next one will do.
        let topic = self.prefix.health();
        if self.connection.client.try_publish(topic, QoS::AtMostOnce, true, payload).is_err() {
            tracing::debug!("health not sent: the link is busy");
        }
        Ok(())
    }

    async fn on_event(&mut self, event: Result<Event, Broken>) -> Result<(), End> {
        self.beats.heard();
        match event {
            Ok(Event::Incoming(Incoming::ConnAck(_))) => {
                // Known on disk before anything is sent: after a restart that makes the difference
                // between what may have been sent and what certainly was not.
                let marked = self.outbox.link_up(self.conn).await;
                marked.map_err(|e| End::Broken(format!("the outbox is not ready: {e}")))?;
                self.phase = Phase::Live;
                found(self.status, self.clock, self.client_id, self.conn);
                self.send_status("online")
            }
            Ok(event) => self.follow(&event),
            Err(Broken { error, leftovers }) => {
                for event in &leftovers {
                    // The connection is over anyway; what counts is which publishes arrived.
                    let _ = self.follow(event);
                }
                let parted = self.phase == Phase::Gone;
                Err(if parted { End::Finished } else { End::Broken(in_words(&error)) })
            }
        }
    }

    /// Follows publishes through the event loop.
    fn follow(&mut self, event: &Event) -> Result<(), End> {
        match event {
            Event::Outgoing(Outgoing::Publish(id)) if *id != 0 => {
                let Some(key) = self.handed.pop_front() else {
                    return Err(End::Broken("a publish of unknown origin was written".to_owned()));
                };
                self.written.insert(*id, OnItsWay { key, beat: self.beats.all });
                self.status.send_modify(|s| s.sent += 1);
            }
            Event::Incoming(Incoming::PubAck(ack)) => {
                if let Some(OnItsWay { key, .. }) = self.written.remove(&ack.pkid) {
                    self.status.send_modify(|s| s.acked += 1);
                    self.settled.extend(key.map(|key| (key, Outcome::Acknowledged)));
                    // With nothing else to do: a topic that was taken may be free now.
                    let idle = !self.more && self.taking.is_none();
                    if self.settled.len() >= SETTLE_AT || (idle && key.is_some()) {
                        self.settle();
                        self.more = true;
                    }
                }
            }
            Event::Outgoing(Outgoing::AwaitAck(id)) => {
                return Err(End::Broken(format!("packet id {id} came round unacknowledged")));
            }
            _ => {}
        }
        Ok(())
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

    fn on_beat(&mut self, backoff: &mut Backoff) -> Result<(), End> {
        self.settle();
        self.more = true;
        let connected = self.phase != Phase::Connecting;
        if let Some(why) = self.beats.pass(connected, self.silence_max, backoff) {
            return Err(End::Broken(why));
        }
        let oldest = self.written.values().map(|one| one.beat).min().unwrap_or(self.beats.all);
        if BEAT * (self.beats.all - oldest) > self.patience {
            let patience = self.patience;
            return Err(End::Broken(format!("a publish is unacknowledged for {patience:?}")));
        }
        if self.beats.all > self.phase_until {
            return Err(End::Finished);
        }
        Ok(())
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
        if self.on_its_way() > 0 {
            return Ok(());
        }
        match self.phase {
            Phase::Draining => {
                self.enter(Phase::Parting);
                self.send_status("offline")
            }
            Phase::Parting => {
                self.enter(Phase::Gone);
                let asked = self.connection.client.try_disconnect();
                asked.map_err(|e| End::Broken(format!("the goodbye could not be sent: {e}")))
            }
            Phase::Connecting | Phase::Live | Phase::Gone => Ok(()),
        }
    }
}

async fn next_entries(taking: &mut Option<Taking>) -> Result<Vec<Entry>, OutboxError> {
    taking.as_mut().expect("only called when something is being taken").await
}
