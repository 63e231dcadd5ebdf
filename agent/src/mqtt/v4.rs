//! One connection for publishing over MQTT 3.1.1.

use std::io;
use std::task::{Context, Poll, ready};

use rumqttc::{
    AsyncClient, ConnectReturnCode, ConnectionError, Event, EventLoop, Incoming, LastWill,
    Outgoing, QoS, StateError,
};

use super::event_loop::{Broken, Events};
use super::session::{Access, Session, in_words};
use super::transport::{Cut, CutKind, Limits, Opening, Parcel, Signal, Transport, Verdict};

/// Fixed header of a packet at its longest, the length of the topic, and the packet id.
const OVERHEAD: usize = 5 + 2 + 2;

pub(super) struct V4 {
    client: AsyncClient,
    events: Events<EventLoop>,
    limits: Limits,
}

impl V4 {
    /// Prepares the connection; it begins with the first question for a signal.
    pub(super) fn open(access: &Access, opening: Opening<'_>) -> V4 {
        let Opening { client_id, will: (topic, payload), window, ids, packet_max } = opening;
        let mut session = Session::with(access, client_id);
        let packet_bytes = usize::try_from(packet_max).unwrap_or(usize::MAX);
        session
            .options
            .set_clean_session(true)
            .set_last_will(LastWill::new(topic, payload, QoS::AtLeastOnce, true))
            .set_inflight(ids)
            .set_max_packet_size(packet_bytes, packet_bytes);
        let limits = Limits {
            window,
            packet_max,
            silence_max: session.silence_max,
            retains: true,
            assures: true,
            narrow: false,
        };
        let (client, mut event_loop) = AsyncClient::new(session.options, ids.into());
        event_loop.set_network_options(session.network);
        V4 { client, events: Events::of(event_loop), limits }
    }

    fn signal(&self, event: &Event) -> Signal {
        match event {
            Event::Incoming(Incoming::ConnAck(_)) => Signal::Accepted(self.limits),
            Event::Incoming(Incoming::PubAck(ack)) => Signal::Answered(ack.pkid, Verdict::Taken),
            Event::Outgoing(Outgoing::Publish(id)) if *id != 0 => Signal::Written(*id),
            Event::Outgoing(Outgoing::AwaitAck(_)) => Signal::Waits,
            _ => Signal::Alive,
        }
    }
}

impl Transport for V4 {
    fn publish(&self, parcel: Parcel) -> Result<(), String> {
        let qos = if parcel.assured { QoS::AtLeastOnce } else { QoS::AtMostOnce };
        let Parcel { topic, payload, retain, .. } = parcel;
        self.client.try_publish(topic, qos, retain, payload).map_err(|e| e.to_string())
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

/// Whether the broker has ended a connection, rather than the way to it.
pub(super) fn ended_by_broker(error: &ConnectionError) -> bool {
    match error {
        ConnectionError::Io(e) | ConnectionError::MqttState(StateError::Io(e)) => is_hung_up(e),
        ConnectionError::MqttState(StateError::ConnectionAborted)
        | ConnectionError::Websocket(_) => true,
        _ => false,
    }
}

/// Whether the other side has closed or reset a connection.
pub(super) fn is_hung_up(error: &io::Error) -> bool {
    use io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset, UnexpectedEof};
    matches!(error.kind(), BrokenPipe | ConnectionAborted | ConnectionReset | UnexpectedEof)
}

/// What the end of a connection says about the version.
pub(super) fn kind(error: &ConnectionError) -> CutKind {
    match error {
        ConnectionError::ConnectionRefused(ConnectReturnCode::RefusedProtocolVersion) => {
            CutKind::WrongVersion
        }
        ConnectionError::NotConnAck(_) | ConnectionError::MqttState(_) => CutKind::Unanswered,
        ConnectionError::Io(e) if e.kind() == io::ErrorKind::ConnectionAborted => {
            CutKind::Unanswered
        }
        _ => CutKind::Other,
    }
}
