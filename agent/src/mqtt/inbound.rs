//! Subscribes, and acknowledges to the broker only what the receiver says is safe.
//!
//! [`subscribe`] is the loop for anybody who consumes from a broker; [`commands`] is the same for
//! `P/cmd/#`. The session is persistent and acknowledgements are manual: what was not acknowledged is
//! delivered again after a reconnect or a restart, so the receiver sees everything at least once and
//! must know repeats by their ids.
//!
//! It does not look into payloads, except at their size.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::time::Duration;

use domain::output::Topic;
use rumqttc::{Event, Incoming, mqttbytes};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

use super::LinkStatus;
use super::backoff::{Backoff, Pace};
use super::link::{BEAT, Beats, found, lost};
use super::reading::{Ended, HELD_MAX, Heard, PACKET_MAX, Reading, Reading4, Reading5, Taken};
use super::session::{Access, Connection, Session};
use super::topics::Prefix;
use super::version::Versions;
use crate::clock::Clock;
use crate::config::{Broker, Version};

/// Commands waiting for the engine. Full: the broker keeps what follows.
pub const COMMANDS_MAX: usize = 16;
/// So many connections in a row ended by a packet that is too large to be read: the broker would send it
/// for ever, so the session is thrown away with it.
const POISONED_AFTER: u32 = 3;
/// How long [`forget`] tries.
const FORGET_WITHIN: Duration = Duration::from_secs(3);

/// A message from a broker.
#[derive(Debug)]
pub struct Delivery {
    /// Its topic.
    pub topic: String,
    /// Its payload, not larger than the settings' `packet_max`.
    pub payload: Vec<u8>,
    /// Whether it was retained, that is: old.
    pub retain: bool,
    /// Where whoever sent it wants an answer; only over MQTT 5.
    pub response: Option<Topic>,
    /// Told once the message is safe: then, and in the order of receipt, the broker gets its PUBACK.
    /// Dropped without a word: the message could not be taken, and the broker is made to send it again.
    pub done: oneshot::Sender<()>,
}

/// A command from `P/cmd/<name>`.
#[derive(Debug)]
pub struct CommandArrival {
    /// The command's name.
    pub name: String,
    /// Its payload.
    pub payload: Vec<u8>,
    /// Where whoever sent it wants the answer.
    pub response: Option<Topic>,
    /// As [`Delivery::done`].
    pub done: oneshot::Sender<()>,
}

/// Why a subscription cannot work.
#[derive(Debug, thiserror::Error)]
pub enum SubscribeError {
    /// A filter breaks the rules of MQTT 3.1.1 (4.7).
    #[error("{filter:?} is not a topic filter; + stands for one whole level, # for the last ones")]
    Filter {
        /// The filter.
        filter: String,
    },
}

/// Who subscribes to what, and over which version of the protocol.
#[derive(Debug, Clone, Copy)]
struct Subscription<'a> {
    client_id: &'a str,
    filters: &'a [String],
    /// The only version; `None`: MQTT 5, and 3.1.1 where the broker has no other.
    protocol: Option<Version>,
}

/// Subscribes to `filters` (QoS 1) as `client_id` over MQTT 3.1.1 until `stop` or until nobody receives any
/// more.
///
/// Reconnects by itself. Without a user name in `settings` it connects without one. What is larger
/// than `settings.packet_max` is refused: acknowledged, counted and logged.
///
/// # Errors
/// A filter is not valid.
pub async fn subscribe(
    settings: &Broker,
    client_id: &str,
    filters: &[String],
    deliveries: mpsc::Sender<Delivery>,
    status: watch::Sender<LinkStatus>,
    clock: &Clock,
    stop: CancellationToken,
) -> Result<(), SubscribeError> {
    let subscription = Subscription { client_id, filters, protocol: Some(Version::V311) };
    subscription.run(settings, deliveries, status, clock, stop).await
}

impl Subscription<'_> {
    async fn run(
        self,
        settings: &Broker,
        deliveries: mpsc::Sender<Delivery>,
        status: watch::Sender<LinkStatus>,
        clock: &Clock,
        stop: CancellationToken,
    ) -> Result<(), SubscribeError> {
        let Subscription { client_id, filters, protocol } = self;
        if let Some(bad) = filters.iter().find(|filter| !mqttbytes::valid_filter(filter)) {
            return Err(SubscribeError::Filter { filter: bad.clone() });
        }
        let pace = Pace::within(settings.reconnect_spread);
        let mut backoff = Backoff::of(client_id, clock.boot().0, pace);
        let mut versions = Versions::new(protocol);
        let mut poisoned = 0;
        loop {
            let anew = poisoned >= POISONED_AFTER;
            let end = match open(settings, client_id, versions.next(), anew) {
                Err(why) => End::Broken(why),
                Ok(reading) => {
                    let link = Link {
                        reading,
                        accepted: false,
                        unacked: VecDeque::new(),
                        waiting: VecDeque::new(),
                        beats: Beats::default(),
                        payload_max: usize::try_from(settings.packet_max).unwrap_or(usize::MAX),
                        client_id,
                        filters,
                        deliveries: &deliveries,
                        status: &status,
                        clock,
                        versions: &mut versions,
                    };
                    link.run(&stop, &mut backoff).await
                }
            };
            let why = match end {
                End::Finished => return Ok(()),
                End::Broken(why) => {
                    poisoned = 0;
                    why
                }
                End::TooLarge(bytes) => {
                    poisoned += 1;
                    format!("a packet of {bytes} bytes came, more than {PACKET_MAX} are never read")
                }
            };
            lost(&status, clock, client_id, why);
            tokio::select! {
                () = stop.cancelled() => return Ok(()),
                () = tokio::time::sleep(backoff.wait()) => {}
            }
            status.send_modify(|s| s.reconnects += 1);
        }
    }
}

/// Prepares a connection; otherwise says why there is none.
fn open(
    settings: &Broker,
    client_id: &str,
    version: Version,
    anew: bool,
) -> Result<Box<dyn Reading>, String> {
    let access = Access::of(settings, client_id, None).map_err(|e| e.to_string())?;
    Ok(match version {
        Version::V5 => Box::new(Reading5::open(&access, client_id, anew)),
        Version::V311 => Box::new(Reading4::open(&access, client_id, anew)),
    })
}

/// Takes away what the broker keeps for `client_id`: its session, with everything that was subscribed to.
/// Tries once, for at most `FORGET_WITHIN`: a broker that is away keeps it until it expires.
pub async fn forget(settings: &Broker, client_id: &str) {
    let Ok(mut session) = Session::new(settings, client_id, None) else { return };
    // A clean session ends the one before it (MQTT 3.1.1, 3.1.2.4).
    session.options.set_clean_session(true);
    let mut connection = Connection::open(session, 1);
    let goodbye = async {
        while let Ok(event) = connection.event().await {
            if matches!(event, Event::Incoming(Incoming::ConnAck(_))) {
                // The queue is empty: nothing else was asked.
                let _ = connection.client.try_disconnect();
            }
        }
    };
    let _late = tokio::time::timeout(FORGET_WITHIN, goodbye).await;
}

/// Where commands come to.
#[derive(Debug, Clone, Copy)]
pub struct Post<'a> {
    /// The broker, with the box's user name.
    pub settings: &'a Broker,
    /// The only version of MQTT to speak; `None`: MQTT 5, and 3.1.1 where the broker has no other. Only
    /// MQTT 5 tells where an answer is wanted.
    pub protocol: Option<Version>,
    /// The box.
    pub box_id: &'a str,
    /// Where it is on the broker.
    pub prefix: &'a Prefix,
}

/// Receives the commands for the box at `post` until `stop`.
///
/// A retained command is refused: it would be obeyed again at every reconnect, long after it was meant.
///
/// # Errors
/// Never for a prefix made of checked ids.
pub async fn commands(
    post: &Post<'_>,
    arrivals: mpsc::Sender<CommandArrival>,
    status: watch::Sender<LinkStatus>,
    clock: &Clock,
    stop: CancellationToken,
) -> Result<(), SubscribeError> {
    let (sender, mut deliveries) = mpsc::channel(1);
    let Post { settings, protocol, box_id, prefix } = *post;
    let settings = Broker {
        username: Some(settings.username.clone().unwrap_or_else(|| box_id.to_owned())),
        ..settings.clone()
    };
    let (client_id, filters) = (format!("{box_id}-cmd"), [prefix.commands()]);
    let refused = status.clone();
    let (client_id, filters) = (&client_id[..], &filters[..]);
    let subscription = Subscription { client_id, filters, protocol };
    let subscription = subscription.run(&settings, sender, status, clock, stop);
    let sorting = async {
        while let Some(delivery) = deliveries.recv().await {
            match command(prefix, delivery) {
                Ok(arrival) => {
                    if arrivals.send(arrival).await.is_err() {
                        return;
                    }
                }
                Err((topic, done)) => {
                    tracing::warn!(topic, "command refused: retained, or not a name below cmd");
                    refused.send_modify(|s| s.refused += 1);
                    // The link may have died meanwhile; then the command comes again.
                    let _ = done.send(());
                }
            }
        }
    };
    tokio::select! {
        ended = subscription => ended,
        () = sorting => Ok(()),
    }
}

fn command(
    prefix: &Prefix,
    delivery: Delivery,
) -> Result<CommandArrival, (String, oneshot::Sender<()>)> {
    let Delivery { topic, payload, retain, response, done } = delivery;
    match prefix.command(&topic).map(str::to_owned) {
        Some(name) if !retain => Ok(CommandArrival { name, payload, response, done }),
        _ => Err((topic, done)),
    }
}

/// Why a connection ended.
enum End {
    /// On request, or nobody receives any more.
    Finished,
    Broken(String),
    TooLarge(usize),
}

/// One connection with everything that is on its way through it.
struct Link<'a> {
    reading: Box<dyn Reading>,
    /// The broker has accepted it.
    accepted: bool,
    /// Told once what was read and is not yet acknowledged is safe, in the order of receipt.
    unacked: VecDeque<oneshot::Receiver<()>>,
    /// The last of them: not yet with the receiver.
    waiting: VecDeque<Delivery>,
    beats: Beats,
    payload_max: usize,
    client_id: &'a str,
    filters: &'a [String],
    deliveries: &'a mpsc::Sender<Delivery>,
    status: &'a watch::Sender<LinkStatus>,
    clock: &'a Clock,
    versions: &'a mut Versions,
}

impl Link<'_> {
    async fn run(mut self, stop: &CancellationToken, backoff: &mut Backoff) -> End {
        let mut beat = tokio::time::interval(BEAT);
        beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let room = self.unacked.len() < usize::from(HELD_MAX);
            let reading = &mut self.reading;
            let ended = tokio::select! {
                () = stop.cancelled() => Some(End::Finished),
                answer = first_answer(&mut self.unacked), if !self.unacked.is_empty() => {
                    self.acknowledge(answer.is_ok())
                }
                permit = self.deliveries.reserve(), if !self.waiting.is_empty() => {
                    hand_over(permit, &mut self.waiting)
                }
                heard = poll_fn(|cx| reading.poll_heard(cx)), if room => self.take(heard, backoff),
                _ = beat.tick() => self.beat(room, backoff),
            };
            if let Some(end) = ended {
                return end;
            }
        }
    }

    fn take(&mut self, heard: Result<Heard, Ended>, backoff: &mut Backoff) -> Option<End> {
        self.beats.heard();
        match heard {
            Err(Ended::TooLarge(bytes)) => Some(End::TooLarge(bytes)),
            Err(Ended::Broken { kind, why, by_broker }) => {
                if by_broker {
                    backoff.ended_by_broker();
                }
                if !self.accepted {
                    self.versions.refused(kind);
                }
                Some(End::Broken(why))
            }
            Ok(Heard::Accepted) => self.connected(),
            Ok(Heard::Subscribed) => {
                let filters = self.filters.join(", ");
                tracing::info!(client_id = self.client_id, filters, "subscribed");
                None
            }
            Ok(Heard::NotSubscribed) => {
                let filters = self.filters.join(", ");
                Some(End::Broken(format!("the broker refused the subscription to {filters}")))
            }
            Ok(Heard::Publish(taken)) => {
                self.receive(taken);
                None
            }
            Ok(Heard::Alive) => None,
        }
    }

    fn connected(&mut self) -> Option<End> {
        self.accepted = true;
        self.versions.accepted();
        let conn = self.status.borrow().conn + 1;
        found(self.status, self.clock, self.client_id, conn);
        let asked = self.reading.subscribe(self.filters);
        asked.err().map(|e| End::Broken(format!("the subscription could not be sent: {e}")))
    }

    fn receive(&mut self, taken: Taken) {
        let Taken { topic, payload, retain, response } = taken;
        self.status.send_modify(|s| s.received += 1);
        let (done, told) = oneshot::channel();
        if payload.len() > self.payload_max {
            let bytes = payload.len();
            tracing::warn!(topic, bytes, max = self.payload_max, "message refused: too large");
            self.status.send_modify(|s| s.refused += 1);
            // Acknowledged in its turn, as if a receiver had thrown it away; our end is still open.
            let _ = done.send(());
        } else {
            self.waiting.push_back(Delivery { topic, payload, retain, response, done });
        }
        self.unacked.push_back(told);
    }

    /// The receiver has answered for the oldest delivery.
    fn acknowledge(&mut self, safe: bool) -> Option<End> {
        if !safe {
            return Some(End::Broken(
                "a message could not be taken; the broker is asked for it again".to_owned(),
            ));
        }
        self.unacked.pop_front();
        let asked = self.reading.acknowledge();
        self.status.send_modify(|s| s.acked += 1);
        asked.err().map(|e| End::Broken(format!("an acknowledgement could not be sent: {e}")))
    }

    fn beat(&mut self, reading: bool, backoff: &mut Backoff) -> Option<End> {
        if !reading {
            // Silence is our own doing then.
            self.beats.heard();
        }
        let connected = self.status.borrow().connected;
        self.beats.pass(connected, self.reading.silence_max(), backoff).map(End::Broken)
    }
}

type Answer = Result<(), oneshot::error::RecvError>;

async fn first_answer(unacked: &mut VecDeque<oneshot::Receiver<()>>) -> Answer {
    let first = unacked.front_mut().expect("only called when there is one");
    first.await
}

fn hand_over(
    permit: Result<mpsc::Permit<'_, Delivery>, mpsc::error::SendError<()>>,
    waiting: &mut VecDeque<Delivery>,
) -> Option<End> {
    let Ok(permit) = permit else { return Some(End::Finished) };
    if let Some(delivery) = waiting.pop_front() {
        permit.send(delivery);
    }
    None
}
