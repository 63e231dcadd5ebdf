//! What a subscription asks of one connection, whichever version of the protocol it speaks.
//!
//! The session is persistent and acknowledgements are given by hand, in the order of receipt. Only MQTT 5 says
//! where whoever published wants an answer.

use std::collections::VecDeque;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use domain::output::Topic;
use rumqttc::{
    ConnectionError, Event, Incoming, Publish, QoS, StateError, SubscribeFilter,
    SubscribeReasonCode, mqttbytes, v5,
};

use super::dialect::CutKind;
use super::event_loop::Events;
use super::session::{Access, Connection, Session, in_words};
use super::{v4, v5 as publishing};

/// Deliveries read and not yet acknowledged. Full: nothing more is read, and the broker keeps it.
pub(super) const HELD_MAX: u16 = 256;
/// Requests waiting for the event loop: every held delivery's acknowledgement, and the subscription.
const REQUESTS_MAX: usize = HELD_MAX as usize + 2;
/// Largest packet read at all. One that is larger than the settings allow, but not than this, is
/// refused by itself; beyond this the connection ends, or with MQTT 5 the broker keeps it to itself.
pub(super) const PACKET_MAX: u32 = 1024 * 1024;
/// The longest topic, and the longest correlation data, that an answer is sent with.
const RESPONSE_MAX: usize = 1024;

/// What happened on a connection.
pub(super) enum Heard {
    /// The broker has accepted it.
    Accepted,
    /// The broker has granted the subscription: from here on it sends.
    Subscribed,
    /// The broker has refused the subscription.
    NotSubscribed,
    Publish(Taken),
    /// A sign of life.
    Alive,
}

/// A publish, to be acknowledged in its turn.
pub(super) struct Taken {
    pub(super) topic: String,
    pub(super) payload: Vec<u8>,
    pub(super) retain: bool,
    /// Where an answer is wanted.
    pub(super) response: Option<Topic>,
}

/// How a connection ended.
pub(super) enum Ended {
    /// With a packet of so many bytes.
    TooLarge(usize),
    Broken {
        kind: CutKind,
        why: String,
    },
}

/// One connection that reads.
pub(super) trait Reading: Send {
    /// What happens next. Loses nothing when it is dropped and asked again.
    fn poll_heard(&mut self, cx: &mut Context<'_>) -> Poll<Result<Heard, Ended>>;

    /// Asks for `filters`, QoS 1.
    ///
    /// # Errors
    /// The event loop is busy or has ended, in words.
    fn subscribe(&self, filters: &[String]) -> Result<(), String>;

    /// Acknowledges the oldest publish that is not acknowledged.
    ///
    /// # Errors
    /// As [`Reading::subscribe`].
    fn acknowledge(&mut self) -> Result<(), String>;

    /// The longest time without a sign of life.
    fn silence_max(&self) -> Duration;
}

/// A connection over MQTT 3.1.1.
pub(super) struct Reading4 {
    connection: Connection,
    silence_max: Duration,
    unacked: VecDeque<Publish>,
}

impl Reading4 {
    /// Prepares it. `anew`: the broker is to forget the session there was.
    pub(super) fn open(access: &Access, client_id: &str, anew: bool) -> Reading4 {
        let mut session = Session::with(access, client_id);
        let packet_max = PACKET_MAX as usize;
        session
            .options
            .set_clean_session(anew)
            .set_manual_acks(true)
            .set_max_packet_size(packet_max, packet_max);
        let silence_max = session.silence_max;
        let connection = Connection::open(session, REQUESTS_MAX);
        Reading4 { connection, silence_max, unacked: VecDeque::new() }
    }
}

impl Reading for Reading4 {
    fn poll_heard(&mut self, cx: &mut Context<'_>) -> Poll<Result<Heard, Ended>> {
        Poll::Ready(match ready!(self.connection.poll(cx)) {
            Err(error) => Err(ended4(&error)),
            Ok(Event::Incoming(Incoming::ConnAck(_))) => Ok(Heard::Accepted),
            Ok(Event::Incoming(Incoming::SubAck(ack))) => {
                let refused = ack.return_codes.contains(&SubscribeReasonCode::Failure);
                Ok(if refused { Heard::NotSubscribed } else { Heard::Subscribed })
            }
            Ok(Event::Incoming(Incoming::Publish(mut publish))) => {
                let payload = std::mem::take(&mut publish.payload).into();
                let (topic, retain) = (publish.topic.clone(), publish.retain);
                self.unacked.push_back(publish);
                Ok(Heard::Publish(Taken { topic, payload, retain, response: None }))
            }
            Ok(_) => Ok(Heard::Alive),
        })
    }

    fn subscribe(&self, filters: &[String]) -> Result<(), String> {
        let filters = filters.iter().map(|f| SubscribeFilter::new(f.clone(), QoS::AtLeastOnce));
        self.connection.client.try_subscribe_many(filters).map_err(|e| e.to_string())
    }

    fn acknowledge(&mut self) -> Result<(), String> {
        let Some(first) = self.unacked.pop_front() else { return Ok(()) };
        self.connection.client.try_ack(&first).map_err(|e| e.to_string())
    }

    fn silence_max(&self) -> Duration {
        self.silence_max
    }
}

fn ended4(error: &ConnectionError) -> Ended {
    match error {
        ConnectionError::MqttState(StateError::Deserialization(
            mqttbytes::Error::PayloadSizeLimitExceeded(bytes),
        )) => Ended::TooLarge(*bytes),
        other => Ended::Broken { kind: v4::kind(other), why: in_words(other) },
    }
}

/// A connection over MQTT 5.
pub(super) struct Reading5 {
    client: v5::AsyncClient,
    events: Events<v5::EventLoop>,
    silence_max: Duration,
    unacked: VecDeque<v5::mqttbytes::v5::Publish>,
}

impl Reading5 {
    /// As [`Reading4::open`].
    pub(super) fn open(access: &Access, client_id: &str, anew: bool) -> Reading5 {
        let mut options = publishing::options(access, client_id);
        let mut properties = publishing::properties(PACKET_MAX);
        // As long as the broker likes: commands wait for a box that is away.
        properties.session_expiry_interval = Some(u32::MAX);
        properties.receive_maximum = Some(HELD_MAX);
        options.set_clean_start(anew).set_manual_acks(true).set_connect_properties(properties);
        let silence_max = access.silence_max(options.keep_alive());
        let (client, event_loop) = v5::AsyncClient::new(options, REQUESTS_MAX);
        let events = Events::of(event_loop);
        Reading5 { client, events, silence_max, unacked: VecDeque::new() }
    }

    fn take(&mut self, mut publish: v5::mqttbytes::v5::Publish) -> Heard {
        let topic = String::from_utf8_lossy(&publish.topic).into_owned();
        let payload = std::mem::take(&mut publish.payload).into();
        let response = publish.properties.take().and_then(response);
        let retain = publish.retain;
        self.unacked.push_back(publish);
        Heard::Publish(Taken { topic, payload, retain, response })
    }
}

/// Where an answer is wanted, if it can be sent there.
fn response(told: v5::mqttbytes::v5::PublishProperties) -> Option<Topic> {
    let topic = told.response_topic?;
    let correlation = told.correlation_data.map(Vec::from).unwrap_or_default();
    let fits = topic.len() <= RESPONSE_MAX && correlation.len() <= RESPONSE_MAX;
    (fits && !topic.is_empty() && rumqttc::valid_topic(&topic))
        .then_some(Topic::Answer { topic, correlation })
}

impl Reading for Reading5 {
    fn poll_heard(&mut self, cx: &mut Context<'_>) -> Poll<Result<Heard, Ended>> {
        use v5::mqttbytes::v5::SubscribeReasonCode::Success;
        use v5::{Event, Incoming};
        Poll::Ready(match ready!(self.events.poll(cx)) {
            Err(error) => Err(Ended::Broken {
                kind: publishing::kind(&error),
                why: publishing::in_words(&error),
            }),
            Ok(Event::Incoming(Incoming::ConnAck(ack))) => {
                let pings = ack.properties.and_then(|told| told.server_keep_alive) != Some(0);
                if pings {
                    Ok(Heard::Accepted)
                } else {
                    let why =
                        "the broker wants no pings, so a dead link would not be seen".to_owned();
                    Err(Ended::Broken { kind: CutKind::WrongVersion, why })
                }
            }
            Ok(Event::Incoming(Incoming::SubAck(ack))) => {
                let granted = ack.return_codes.iter().all(|code| matches!(code, Success(_)));
                Ok(if granted { Heard::Subscribed } else { Heard::NotSubscribed })
            }
            Ok(Event::Incoming(Incoming::Publish(publish))) => Ok(self.take(publish)),
            Ok(_) => Ok(Heard::Alive),
        })
    }

    fn subscribe(&self, filters: &[String]) -> Result<(), String> {
        use v5::mqttbytes::QoS::AtLeastOnce;
        let filter = |filter: &String| v5::mqttbytes::v5::Filter::new(filter.clone(), AtLeastOnce);
        let filters = filters.iter().map(filter);
        self.client.try_subscribe_many(filters).map_err(|e| e.to_string())
    }

    fn acknowledge(&mut self) -> Result<(), String> {
        let Some(first) = self.unacked.pop_front() else { return Ok(()) };
        self.client.try_ack(&first).map_err(|e| e.to_string())
    }

    fn silence_max(&self) -> Duration {
        self.silence_max
    }
}

#[cfg(test)]
mod tests {
    use rumqttc::v5::mqttbytes::v5::PublishProperties;

    use super::*;

    #[test]
    fn an_answer_is_only_sent_where_it_can_be() {
        let told = |topic: &str, data: usize| {
            response(PublishProperties {
                response_topic: Some(topic.to_owned()),
                correlation_data: Some(vec![7; data].into()),
                ..PublishProperties::default()
            })
        };
        let expected = Topic::Answer { topic: "duty/in".into(), correlation: vec![7, 7] };
        assert_eq!(told("duty/in", 2), Some(expected));
        for (topic, data) in [("", 1), ("duty/#", 1), ("duty/in", RESPONSE_MAX + 1)] {
            assert_eq!(told(topic, data), None, "{topic}");
        }
        assert_eq!(told(&"x".repeat(RESPONSE_MAX + 1), 0), None);
        assert_eq!(response(PublishProperties::default()), None);
    }
}
