//! One connection for publishing over MQTT 5.
//!
//! What rumqttc leaves to its user here: the reason in a PUBACK (it forgets the publish whatever the
//! broker says), and a flush that never ends (there is no time-out for it: the pipe watches for silence).

use std::io;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use rumqttc::Outgoing;
use rumqttc::v5::mqttbytes::QoS;
use rumqttc::v5::mqttbytes::v5::{
    ConnAck, ConnectProperties, ConnectReturnCode, LastWill, PubAckReason, PublishProperties,
};
use rumqttc::v5::{
    AsyncClient, ConnectionError, Event, EventLoop, Incoming, MqttOptions, StateError,
};

use super::event_loop::{Broken, Events};
use super::session::Access;
use super::transport::{
    Cut, CutKind, Limits, Opening, Parcel, Refusal, Signal, Transport, Verdict,
};
use super::v4::is_hung_up;

/// Fixed header of a packet at its longest, the length of the topic, the packet id, and the properties
/// that a publish of ours can have.
const OVERHEAD: usize = 5 + 2 + 2 + 96;
/// The shortest time between pings that rumqttc takes.
const KEEP_ALIVE_MIN: Duration = Duration::from_secs(5);

pub(super) struct V5 {
    client: AsyncClient,
    events: Events<EventLoop>,
    /// As asked for; the broker may allow less.
    limits: Limits,
    ids: u16,
    /// From the broker's time between pings to the longest silence.
    silence_max: Box<dyn Fn(Duration) -> Duration + Send>,
}

impl V5 {
    /// Prepares the connection; it begins with the first question for a signal.
    pub(super) fn open(access: &Access, opening: Opening<'_>) -> V5 {
        let Opening { client_id, will: (topic, payload), window, ids, packet_max } = opening;
        let mut options = options(access, client_id);
        let keep_alive = options.keep_alive();
        options
            .set_clean_start(true)
            .set_last_will(LastWill::new(topic, payload, QoS::AtLeastOnce, true, None))
            .set_outgoing_inflight_upper_limit(ids)
            .set_connect_properties(properties(packet_max));
        let patience = access.silence_max(Duration::ZERO);
        let silence_max = Box::new(move |keep_alive| patience + keep_alive);
        let limits = Limits {
            window,
            packet_max,
            silence_max: silence_max(keep_alive),
            retains: true,
            assures: true,
            narrow: false,
        };
        let (client, event_loop) = AsyncClient::new(options, ids.into());
        V5 { client, events: Events::of(event_loop), limits, ids, silence_max }
    }

    fn signal(&self, event: &Event) -> Signal {
        match event {
            Event::Incoming(Incoming::ConnAck(ack)) => Signal::Accepted(self.allowed(ack)),
            Event::Incoming(Incoming::PubAck(ack)) => {
                Signal::Answered(ack.pkid, verdict(ack.reason))
            }
            Event::Outgoing(Outgoing::Publish(id)) if *id != 0 => Signal::Written(*id),
            Event::Outgoing(Outgoing::AwaitAck(_)) => Signal::Waits,
            _ => Signal::Alive,
        }
    }

    /// What the broker allows of what we asked for.
    fn allowed(&self, ack: &ConnAck) -> Limits {
        let mut limits = self.limits;
        let Some(told) = &ack.properties else { return limits };
        if let Some(receive_max) = told.receive_max {
            limits.window = limits.window.min(receive_max);
            limits.narrow = receive_max < self.ids;
        }
        if let Some(packet_max) = told.max_packet_size {
            limits.packet_max = limits.packet_max.min(packet_max);
        }
        if let Some(seconds) = told.server_keep_alive {
            limits.silence_max = (self.silence_max)(Duration::from_secs(seconds.into()));
        }
        limits.retains = told.retain_available != Some(0);
        // Without pings a dead link would never be seen, and rumqttc would send them without a pause.
        limits.assures = told.max_qos != Some(0) && told.server_keep_alive != Some(0);
        limits
    }
}

impl Transport for V5 {
    fn publish(&self, parcel: Parcel) -> Result<(), String> {
        let Parcel { topic, payload, assured, retain, content_type, replay, correlation, expires } =
            parcel;
        let qos = if assured { QoS::AtLeastOnce } else { QoS::AtMostOnce };
        let seconds = |time: Duration| u32::try_from(time.as_secs()).unwrap_or(u32::MAX);
        let told = PublishProperties {
            payload_format_indicator: content_type.ends_with("json").then_some(1),
            message_expiry_interval: expires.map(seconds),
            user_properties: replay
                .then(|| ("replay".to_owned(), "true".to_owned()))
                .into_iter()
                .collect(),
            content_type: Some(content_type.to_owned()),
            correlation_data: correlation.filter(|data| !data.is_empty()).map(Into::into),
            ..PublishProperties::default()
        };
        let asked = self.client.try_publish_with_properties(topic, qos, retain, payload, told);
        asked.map_err(|e| e.to_string())
    }

    fn disconnect(&self) -> Result<(), String> {
        self.client.try_disconnect().map_err(|e| e.to_string())
    }

    fn limits(&self) -> Limits {
        self.limits
    }

    fn overhead(&self) -> usize {
        OVERHEAD
    }

    fn poll_signal(&mut self, cx: &mut Context<'_>) -> Poll<Result<Signal, Cut>> {
        Poll::Ready(match ready!(self.events.poll(cx)) {
            Ok(event) => Ok(self.signal(&event)),
            Err(Broken { error, leftovers }) => Err(Cut {
                kind: kind(&error),
                why: in_words(&error),
                by_broker: ended_by_broker(&error),
                leftovers: leftovers.iter().map(|event| self.signal(event)).collect(),
            }),
        })
    }
}

/// How `client_id` comes over `access`.
pub(super) fn options(access: &Access, client_id: &str) -> MqttOptions {
    let mut options = MqttOptions::new(client_id, access.address.clone(), access.port);
    options
        .set_transport(access.transport.clone())
        .set_keep_alive(access.keep_alive.max(KEEP_ALIVE_MIN))
        .set_connection_timeout(access.connect_timeout.as_secs().max(1))
        .set_network_options(access.network.clone());
    if let Some((user, password)) = &access.login {
        options.set_credentials(user, password);
    }
    options
}

/// What is told with CONNECT of a connection that leaves nothing behind.
pub(super) fn properties(packet_max: u32) -> ConnectProperties {
    let mut properties = ConnectProperties::new();
    // The session ends with the connection: what was on its way is in the outbox.
    properties.session_expiry_interval = Some(0);
    properties.max_packet_size = Some(packet_max);
    properties.user_properties =
        vec![("agent".to_owned(), concat!("steward/", env!("CARGO_PKG_VERSION")).to_owned())];
    properties
}

fn verdict(reason: PubAckReason) -> Verdict {
    Verdict::Refused(match reason {
        // Nobody listens at present, which is no fault of the message.
        PubAckReason::Success | PubAckReason::NoMatchingSubscribers => return Verdict::Taken,
        PubAckReason::NotAuthorized => Refusal::NotAuthorized,
        PubAckReason::TopicNameInvalid => Refusal::TopicName,
        PubAckReason::QuotaExceeded => Refusal::Quota,
        PubAckReason::PayloadFormatInvalid => Refusal::PayloadFormat,
        PubAckReason::UnspecifiedError
        | PubAckReason::ImplementationSpecificError
        | PubAckReason::PacketIdentifierInUse => Refusal::Unspecified,
    })
}

/// Whether the broker has ended a connection, rather than the way to it.
pub(super) fn ended_by_broker(error: &ConnectionError) -> bool {
    match error {
        ConnectionError::Io(e) | ConnectionError::MqttState(StateError::Io(e)) => is_hung_up(e),
        ConnectionError::MqttState(
            StateError::ConnectionAborted | StateError::ServerDisconnect { .. },
        )
        | ConnectionError::Websocket(_) => true,
        _ => false,
    }
}

/// What the end of a connection says about the version.
pub(super) fn kind(error: &ConnectionError) -> CutKind {
    match error {
        ConnectionError::ConnectionRefused(
            ConnectReturnCode::UnsupportedProtocolVersion
            | ConnectReturnCode::RefusedProtocolVersion,
        ) => CutKind::WrongVersion,
        ConnectionError::NotConnAck(_)
        | ConnectionError::MqttState(_)
        | ConnectionError::Timeout(_) => CutKind::Unanswered,
        ConnectionError::Io(e) if e.kind() == io::ErrorKind::ConnectionAborted => {
            CutKind::Unanswered
        }
        _ => CutKind::Other,
    }
}

/// The words of a link's end for people: the cause behind the library's wrapping.
pub(super) fn in_words(error: &ConnectionError) -> String {
    match error {
        ConnectionError::Io(e) if e.kind() == io::ErrorKind::ConnectionRefused => {
            "nobody listens at the broker's address (connection refused)".to_owned()
        }
        ConnectionError::Timeout(_) => "the broker did not answer in time".to_owned(),
        ConnectionError::ConnectionRefused(code) => {
            format!("the broker refused the connection: {code:?}; check user name and password")
        }
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_broker_that_has_it_has_taken_it() {
        let table = [
            (PubAckReason::Success, Verdict::Taken),
            (PubAckReason::NoMatchingSubscribers, Verdict::Taken),
            (PubAckReason::UnspecifiedError, Verdict::Refused(Refusal::Unspecified)),
            (PubAckReason::ImplementationSpecificError, Verdict::Refused(Refusal::Unspecified)),
            (PubAckReason::NotAuthorized, Verdict::Refused(Refusal::NotAuthorized)),
            (PubAckReason::TopicNameInvalid, Verdict::Refused(Refusal::TopicName)),
            (PubAckReason::PacketIdentifierInUse, Verdict::Refused(Refusal::Unspecified)),
            (PubAckReason::QuotaExceeded, Verdict::Refused(Refusal::Quota)),
            (PubAckReason::PayloadFormatInvalid, Verdict::Refused(Refusal::PayloadFormat)),
        ];
        for (reason, expected) in table {
            assert_eq!(verdict(reason), expected);
        }
    }
}
