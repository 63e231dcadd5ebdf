//! Subscribes, and acknowledges to the broker only what the receiver says is safe.
//!
//! [`subscribe`] is the loop for anybody who consumes from a broker; [`commands`] is the same for
//! `P/cmd/#`. The session is persistent and acknowledgements are manual: what was not acknowledged is
//! delivered again after a reconnect or a restart, so the receiver sees everything at least once and
//! must know repeats by their ids.
//!
//! It does not look into payloads, except at their size.

use std::collections::VecDeque;
use std::time::Duration;

use rumqttc::{
    ConnectionError, Event, EventLoop, Incoming, Publish, QoS, StateError, SubscribeFilter,
    SubscribeReasonCode, mqttbytes,
};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

use super::LinkStatus;
use super::backoff::{Backoff, Pace};
use super::event_loop::BrokenOf;
use super::link::{BEAT, Beats, found, lost};
use super::session::{Connection, Session, in_words};
use super::topics::Prefix;
use crate::clock::Clock;
use crate::config::Broker;

/// Deliveries read and not yet acknowledged. Full: nothing more is read, and the broker keeps it.
const HELD_MAX: usize = 256;
/// Requests waiting for the event loop: every held delivery's acknowledgement, and the subscription.
const REQUESTS_MAX: usize = HELD_MAX + 2;
/// Commands waiting for the engine. Full: the broker keeps what follows.
pub const COMMANDS_MAX: usize = 16;
/// Largest packet read at all. One that is larger than the settings allow, but not than this, is
/// refused by itself; beyond this the connection ends.
const PACKET_MAX: usize = 1024 * 1024;
/// So many connections in a row ended by a packet beyond [`PACKET_MAX`]: the broker would send it
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

/// Subscribes to `filters` (QoS 1) as `client_id` until `stop` or until nobody receives any more.
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
    if let Some(bad) = filters.iter().find(|filter| !mqttbytes::valid_filter(filter)) {
        return Err(SubscribeError::Filter { filter: bad.clone() });
    }
    let mut backoff = Backoff::of(client_id, clock.boot().0, Pace::default());
    let mut poisoned = 0;
    loop {
        let session = Session::new(settings, client_id, None).map(|mut session| {
            session.options.set_clean_session(poisoned >= POISONED_AFTER);
            session.options.set_manual_acks(true);
            session.options.set_max_packet_size(PACKET_MAX, PACKET_MAX);
            session
        });
        let end = match session {
            Err(error) => End::Broken(error.to_string()),
            Ok(session) => {
                let link = Link {
                    silence_max: session.silence_max,
                    connection: Connection::open(session, REQUESTS_MAX),
                    unacked: VecDeque::new(),
                    waiting: VecDeque::new(),
                    beats: Beats::default(),
                    payload_max: usize::try_from(settings.packet_max).unwrap_or(usize::MAX),
                    client_id,
                    filters,
                    deliveries: &deliveries,
                    status: &status,
                    clock,
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

/// Receives the commands for the box at `prefix` until `stop`. `settings` carry the box's user name.
///
/// A retained command is refused: it would be obeyed again at every reconnect, long after it was meant.
///
/// # Errors
/// Never for a prefix made of checked ids.
pub async fn commands(
    settings: &Broker,
    box_id: &str,
    prefix: &Prefix,
    arrivals: mpsc::Sender<CommandArrival>,
    status: watch::Sender<LinkStatus>,
    clock: &Clock,
    stop: CancellationToken,
) -> Result<(), SubscribeError> {
    let (sender, mut deliveries) = mpsc::channel(1);
    let settings = Broker {
        username: Some(settings.username.clone().unwrap_or_else(|| box_id.to_owned())),
        ..settings.clone()
    };
    let (client_id, filters) = (format!("{box_id}-cmd"), [prefix.commands()]);
    let refused = status.clone();
    let subscription = subscribe(&settings, &client_id, &filters, sender, status, clock, stop);
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
    let Delivery { topic, payload, retain, done } = delivery;
    match prefix.command(&topic).map(str::to_owned) {
        Some(name) if !retain => Ok(CommandArrival { name, payload, done }),
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

/// What the broker waits for an acknowledgement of.
struct Unacked {
    publish: Publish,
    done: oneshot::Receiver<()>,
}

/// One connection with everything that is on its way through it.
struct Link<'a> {
    connection: Connection,
    silence_max: Duration,
    /// Everything read and not yet acknowledged, in the order of receipt.
    unacked: VecDeque<Unacked>,
    /// The last of them: not yet with the receiver.
    waiting: VecDeque<Delivery>,
    beats: Beats,
    payload_max: usize,
    client_id: &'a str,
    filters: &'a [String],
    deliveries: &'a mpsc::Sender<Delivery>,
    status: &'a watch::Sender<LinkStatus>,
    clock: &'a Clock,
}

impl Link<'_> {
    async fn run(mut self, stop: &CancellationToken, backoff: &mut Backoff) -> End {
        let mut beat = tokio::time::interval(BEAT);
        beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let room = self.unacked.len() < HELD_MAX;
            let ended = tokio::select! {
                () = stop.cancelled() => Some(End::Finished),
                answer = first_answer(&mut self.unacked), if !self.unacked.is_empty() => {
                    self.acknowledge(answer.is_ok())
                }
                permit = self.deliveries.reserve(), if !self.waiting.is_empty() => {
                    hand_over(permit, &mut self.waiting)
                }
                event = self.connection.event(), if room => self.take(event),
                _ = beat.tick() => self.beat(room, backoff),
            };
            if let Some(end) = ended {
                return end;
            }
        }
    }

    fn take(&mut self, event: Result<Event, BrokenOf<EventLoop>>) -> Option<End> {
        self.beats.heard();
        match event {
            Err(broken) => Some(why(&broken.error)),
            Ok(Event::Incoming(Incoming::ConnAck(_))) => self.connected(),
            Ok(Event::Incoming(Incoming::SubAck(ack))) => {
                let refused = ack.return_codes.contains(&SubscribeReasonCode::Failure);
                refused.then(|| {
                    let filters = self.filters.join(", ");
                    End::Broken(format!("the broker refused the subscription to {filters}"))
                })
            }
            Ok(Event::Incoming(Incoming::Publish(publish))) => {
                self.receive(publish);
                None
            }
            Ok(_) => None,
        }
    }

    fn connected(&mut self) -> Option<End> {
        let conn = self.status.borrow().conn + 1;
        found(self.status, self.clock, self.client_id, conn);
        let filters =
            self.filters.iter().map(|f| SubscribeFilter::new(f.clone(), QoS::AtLeastOnce));
        let asked = self.connection.client.try_subscribe_many(filters);
        asked.err().map(|e| End::Broken(format!("the subscription could not be sent: {e}")))
    }

    fn receive(&mut self, mut publish: Publish) {
        self.status.send_modify(|s| s.received += 1);
        let payload = std::mem::take(&mut publish.payload);
        let (sender, done) = oneshot::channel();
        if payload.len() > self.payload_max {
            let (topic, bytes) = (&publish.topic, payload.len());
            tracing::warn!(topic, bytes, max = self.payload_max, "message refused: too large");
            self.status.send_modify(|s| s.refused += 1);
            // Acknowledged in its turn, as if a receiver had thrown it away; our end is still open.
            let _ = sender.send(());
        } else {
            self.waiting.push_back(Delivery {
                topic: publish.topic.clone(),
                payload: payload.into(),
                retain: publish.retain,
                done: sender,
            });
        }
        self.unacked.push_back(Unacked { publish, done });
    }

    /// The receiver has answered for the oldest delivery.
    fn acknowledge(&mut self, safe: bool) -> Option<End> {
        if !safe {
            return Some(End::Broken(
                "a message could not be taken; the broker is asked for it again".to_owned(),
            ));
        }
        let first =
            self.unacked.pop_front().expect("an answer is only waited for when one is held");
        let asked = self.connection.client.try_ack(&first.publish);
        self.status.send_modify(|s| s.acked += 1);
        asked.err().map(|e| End::Broken(format!("an acknowledgement could not be sent: {e}")))
    }

    fn beat(&mut self, reading: bool, backoff: &mut Backoff) -> Option<End> {
        if !reading {
            // Silence is our own doing then.
            self.beats.heard();
        }
        let connected = self.status.borrow().connected;
        self.beats.pass(connected, self.silence_max, backoff).map(End::Broken)
    }
}

type Answer = Result<(), oneshot::error::RecvError>;

async fn first_answer(unacked: &mut VecDeque<Unacked>) -> Answer {
    let first = unacked.front_mut().expect("only called when there is one");
    (&mut first.done).await
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

fn why(error: &ConnectionError) -> End {
    match error {
        ConnectionError::MqttState(StateError::Deserialization(
            mqttbytes::Error::PayloadSizeLimitExceeded(bytes),
        )) => End::TooLarge(*bytes),
        other => End::Broken(in_words(other)),
    }
}
