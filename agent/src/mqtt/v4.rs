//! MQTT 3.1.1, for publishing.

use std::io;

use bytes::BytesMut;
use rumqttc::mqttbytes::Error;
use rumqttc::mqttbytes::v4::{Connect, LastWill, Login, Packet};
use rumqttc::{ConnectReturnCode, ConnectionError, QoS, StateError};

use super::dialect::{Cut, CutKind, Dialect, Limits, Opening, Parcel, Signal, Verdict};
use super::packet::publish4;
use super::session::{Access, in_words};

/// Fixed header of a packet at its longest, the length of the topic, and the packet id.
const OVERHEAD: usize = 5 + 2 + 2;

pub(super) struct V4 {
    connect: Connect,
    limits: Limits,
}

impl V4 {
    pub(super) fn new(access: &Access, opening: Opening<'_>) -> V4 {
        let Opening { client_id, will: (topic, payload), window, packet_max } = opening;
        let mut connect = Connect::new(client_id);
        connect.keep_alive = u16::try_from(access.keep_alive.as_secs()).unwrap_or(u16::MAX);
        connect.clean_session = true;
        connect.last_will = Some(LastWill::new(topic, payload, QoS::AtLeastOnce, true));
        connect.login = access.login.clone().map(|(user, password)| Login::new(user, password));
        let keep_alive = access.keep_alive;
        let limits = Limits { window, packet_max, keep_alive, retains: true, assures: true };
        V4 { connect, limits }
    }
}

impl Dialect for V4 {
    fn connect(&self, out: &mut BytesMut) -> Result<(), String> {
        self.connect.write(out).map(drop).map_err(|e| e.to_string())
    }

    fn publish(&self, id: u16, parcel: &Parcel, out: &mut BytesMut) {
        publish4(id, parcel, out);
    }

    fn read(&self, bytes: &mut BytesMut) -> Result<Option<Signal>, Cut> {
        let packet_max = usize::try_from(self.limits.packet_max).unwrap_or(usize::MAX);
        Ok(Some(match Packet::read(bytes, packet_max) {
            Ok(Packet::ConnAck(ack)) if ack.code == ConnectReturnCode::Success => {
                Signal::Accepted(self.limits)
            }
            Ok(Packet::ConnAck(ack)) => {
                return Err(cut(&ConnectionError::ConnectionRefused(ack.code)));
            }
            Ok(Packet::PubAck(ack)) => Signal::Answered(ack.pkid, Verdict::Taken),
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

/// What the end of a connection says about the version.
pub(super) fn kind(error: &ConnectionError) -> CutKind {
    match error {
        ConnectionError::ConnectionRefused(ConnectReturnCode::RefusedProtocolVersion) => {
            CutKind::WrongVersion
        }
        ConnectionError::ConnectionRefused(
            ConnectReturnCode::BadUserNamePassword
            | ConnectReturnCode::NotAuthorized
            | ConnectReturnCode::BadClientId,
        ) => CutKind::Denied,
        ConnectionError::NotConnAck(_) | ConnectionError::MqttState(_) => CutKind::Unanswered,
        ConnectionError::Io(e) if e.kind() == io::ErrorKind::ConnectionAborted => {
            CutKind::Unanswered
        }
        _ => CutKind::Other,
    }
}
