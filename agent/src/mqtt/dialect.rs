//! What the two versions of the protocol say differently when the box publishes.
//!
//! [`super::v5`] and [`super::v4`] do it. Pure: packets to bytes and bytes to signals; [`super::socket`]
//! moves the bytes.

use std::time::Duration;

use bytes::{Bytes, BytesMut};

/// What a connection for publishing is opened with.
#[derive(Debug)]
pub(super) struct Opening<'a> {
    pub(super) client_id: &'a str,
    /// Topic and payload of the last will: assured and retained.
    pub(super) will: (String, Vec<u8>),
    /// Assured parcels on their way at most.
    pub(super) window: u16,
    /// Bytes of a packet at most, in either direction.
    pub(super) packet_max: u32,
}

/// A message for the broker.
#[derive(Debug, Clone)]
pub(super) struct Parcel {
    pub(super) topic: String,
    pub(super) payload: Bytes,
    /// QoS 1: to be acknowledged; otherwise QoS 0.
    pub(super) assured: bool,
    pub(super) retain: bool,
    /// The media type of the payload.
    pub(super) content_type: &'static str,
    /// It is sent later than meant.
    pub(super) replay: bool,
    /// What whoever asked for it wants to find beside it. MQTT 3.1.1 has no place for it.
    pub(super) correlation: Option<Vec<u8>>,
    /// After this time it is of no use to anybody.
    pub(super) expires: Option<Duration>,
}

/// What happened on a connection.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Signal {
    /// The broker has accepted the connection.
    Accepted(Limits),
    /// There was no room for more parcels, and now there is.
    Room,
    /// The broker has answered for a packet id.
    Answered(u16, Verdict),
    /// A sign of life.
    Alive,
}

/// What the broker says of a publish.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It has it.
    Taken,
    /// It has not taken it.
    Refused(Refusal),
}

/// Why a broker did not take a publish (MQTT 5, 3.4.2.1). MQTT 3.1.1 knows no such answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Refusal {
    /// 0x80, 0x83 and 0x91: without a reason that says anything about the message.
    Unspecified,
    /// 0x87: the box may not publish there.
    NotAuthorized,
    /// 0x90: not a topic for this broker.
    TopicName,
    /// 0x97: too much, for the time being.
    Quota,
    /// 0x99: the payload is not what it was said to be.
    PayloadFormat,
}

impl Refusal {
    /// The word for metrics and logs.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Refusal::Unspecified => "unspecified",
            Refusal::NotAuthorized => "not_authorized",
            Refusal::TopicName => "topic_name",
            Refusal::Quota => "quota",
            Refusal::PayloadFormat => "payload_format",
        }
    }
}

/// What the broker allows, told when it accepts a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Limits {
    /// Assured parcels that may be on their way (receive maximum).
    pub(super) window: u16,
    /// Bytes of a packet at most.
    pub(super) packet_max: u32,
    /// The time between pings.
    pub(super) keep_alive: Duration,
    /// Whether it keeps retained messages. To send one to a broker that does not is a protocol error.
    pub(super) retains: bool,
    /// Whether it takes what is to be acknowledged. Without that nothing can be delivered.
    pub(super) assures: bool,
}

/// The end of a connection.
#[derive(Debug)]
pub(super) struct Cut {
    /// What it says about the broker.
    pub(super) kind: CutKind,
    /// In words.
    pub(super) why: String,
}

impl Cut {
    /// One that says nothing about the broker.
    pub(super) fn other(why: impl Into<String>) -> Cut {
        Cut { kind: CutKind::Other, why: why.into() }
    }
}

/// What the end of a connection says about the broker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum CutKind {
    /// The broker does not speak this version of the protocol.
    WrongVersion,
    /// There was a connection and no answer to CONNECT that could be read: perhaps for that reason.
    Unanswered,
    /// It does not let the box in: name, password or its rules.
    Denied,
    /// Nothing.
    Other,
}

/// One version of the protocol, towards one broker.
pub(super) trait Dialect: Send {
    /// Appends CONNECT to `out`.
    ///
    /// # Errors
    /// The settings make no packet, in words.
    fn connect(&self, out: &mut BytesMut) -> Result<(), String>;

    /// Appends a PUBLISH to `out`, under the packet id `id` if the parcel is assured.
    fn publish(&self, id: u16, parcel: &Parcel, out: &mut BytesMut);

    /// Takes the first packet off `bytes`; `None`: it is not whole yet.
    ///
    /// # Errors
    /// What it says, or that it cannot be read, ends the connection.
    fn read(&self, bytes: &mut BytesMut) -> Result<Option<Signal>, Cut>;

    /// What is allowed before the broker has said so.
    fn limits(&self) -> Limits;

    /// Bytes of a packet beside its topic and payload, at most.
    fn overhead(&self) -> usize;
}
