//! MQTT 5, for publishing.
//!
//! What rumqttc leaves to its user here: the reason in a PUBACK.

use std::io;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use rumqttc::v5::mqttbytes::v5::{
    ConnAck, Connect, ConnectProperties, ConnectReturnCode, LastWill, Login, Packet, PubAckReason,
};
use rumqttc::v5::mqttbytes::{Error, QoS};
use rumqttc::v5::{ConnectionError, MqttOptions, StateError};

use super::dialect::{Cut, CutKind, Dialect, Limits, Opening, Parcel, Refusal, Signal, Verdict};
use super::packet::publish5;
use super::session::Access;

/// Fixed header of a packet at its longest, the length of the topic, the packet id, and the properties
/// that a publish of ours can have.
const OVERHEAD: usize = 5 + 2 + 2 + 96;
/// The shortest time between pings that rumqttc takes.
const KEEP_ALIVE_MIN: Duration = Duration::from_secs(5);

pub(super) struct V5 {
    connect: Packet,
    /// As asked for; the broker may allow less.
    limits: Limits,
}

impl V5 {
    pub(super) fn new(access: &Access, opening: Opening<'_>) -> V5 {
        let Opening { client_id, will: (topic, payload), window, packet_max } = opening;
        let connect = Connect {
            keep_alive: u16::try_from(access.keep_alive.as_secs()).unwrap_or(u16::MAX),
            client_id: client_id.to_owned(),
            clean_start: true,
            properties: Some(properties(packet_max)),
        };
        let will = LastWill {
            topic: Bytes::from(topic),
            message: Bytes::from(payload),
            qos: QoS::AtLeastOnce,
            retain: true,
            properties: None,
        };
        let login = access.login.clone().map(|(user, password)| Login::new(user, password));
        let connect = Packet::Connect(connect, Some(will), login);
        let keep_alive = access.keep_alive;
        let limits = Limits { window, packet_max, keep_alive, retains: true, assures: true };
        V5 { connect, limits }
    }

    /// What the broker allows of what we asked for.
    fn allowed(&self, ack: &ConnAck) -> Limits {
        let mut limits = self.limits;
        let Some(told) = &ack.properties else { return limits };
        if let Some(receive_max) = told.receive_max {
            limits.window = limits.window.min(receive_max);
        }
        if let Some(packet_max) = told.max_packet_size {
            limits.packet_max = limits.packet_max.min(packet_max);
        }
        if let Some(seconds) = told.server_keep_alive {
            limits.keep_alive = Duration::from_secs(seconds.into());
        }
        limits.retains = told.retain_available != Some(0);
        // Without pings a dead link would never be seen.
        limits.assures = told.max_qos != Some(0) && told.server_keep_alive != Some(0);
        limits
    }
}

impl Dialect for V5 {
    fn connect(&self, out: &mut BytesMut) -> Result<(), String> {
        self.connect.write(out, None).map(drop).map_err(|e| e.to_string())
    }

    fn publish(&self, id: u16, parcel: &Parcel, out: &mut BytesMut) {
        publish5(id, parcel, out);
    }

    fn read(&self, bytes: &mut BytesMut) -> Result<Option<Signal>, Cut> {
        Ok(Some(match Packet::read(bytes, Some(self.limits.packet_max)) {
            Ok(Packet::ConnAck(ack)) if ack.code == ConnectReturnCode::Success => {
                Signal::Accepted(self.allowed(&ack))
            }
            Ok(Packet::ConnAck(ack)) => {
                return Err(cut(&ConnectionError::ConnectionRefused(ack.code)));
            }
            Ok(Packet::PubAck(ack)) => Signal::Answered(ack.pkid, verdict(ack.reason)),
            Ok(Packet::Disconnect(told)) => {
                let reason = told.reason_code;
                return Err(Cut::other(format!("the broker ended the connection: {reason:?}")));
            }
            Ok(_) => Signal::Alive,
            Err(Error::InsufficientBytes(_)) => return Ok(None),
            Err(error) => return Err(cut(&ConnectionError::MqttState(StateError::from(error)))),
        }))
    }

    fn limits(&self) -> Limits {
        self.limits
    }

    fn overhead(&self) -> usize {
        OVERHEAD
    }
}

fn cut(error: &ConnectionError) -> Cut {
    Cut { kind: kind(error), why: in_words(error) }
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

/// What the end of a connection says about the version.
pub(super) fn kind(error: &ConnectionError) -> CutKind {
    match error {
        ConnectionError::ConnectionRefused(
            ConnectReturnCode::UnsupportedProtocolVersion
            | ConnectReturnCode::RefusedProtocolVersion,
        ) => CutKind::WrongVersion,
        ConnectionError::ConnectionRefused(
            ConnectReturnCode::BadUserNamePassword
            | ConnectReturnCode::NotAuthorized
            | ConnectReturnCode::BadClientId
            | ConnectReturnCode::ClientIdentifierNotValid
            | ConnectReturnCode::Banned
            | ConnectReturnCode::BadAuthenticationMethod,
        ) => CutKind::Denied,
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
