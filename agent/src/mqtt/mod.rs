//! The only room that names rumqttc: what the outbox holds goes out, commands come in.
//!
//! * `topics` and `payload` are pure: what a message is called and what it looks like.
//! * `session` turns settings into the way of one connection, `backoff` knows how long to wait for the next.
//! * `dial` is the way to the broker, `socket` one connection over it, that writes and reads many packets
//!   at once. `dialect` is what the versions of the protocol say differently when the box publishes; `v5`
//!   and `v4` do it, `packet` writes what there is most of, `version` chooses.
//! * `pipe` publishes: it takes from the outbox, and a PUBACK, nothing else, acknowledges there.
//!   `sender` is one connection of it, with small pure parts beside it: `flight` (what is on its way),
//!   `refused`, `suspect`, `meter` and `allowance`; `letters` keeps what cannot be delivered.
//! * `inbound` subscribes: it acknowledges to the broker what the receiver says is safe; `reading` is one
//!   connection of it, in either version.
//! * `broker`: the embedded broker of the demo and of a box without one.
//!
//! The box publishes with rumqttc's codec and without its event loop: that forgets publishes when the broker
//! forgets the session, can wait for ever for a packet id, and writes every packet by itself. Subscriptions
//! use the event loop, each for one connection.

pub mod topics;

pub mod payload;

pub mod backoff;

mod event_loop;
mod session;

mod link;

mod dial;
mod dialect;
mod packet;
mod socket;
mod v4;
mod v5;
mod version;

mod allowance;
mod flight;
mod letters;
mod meter;
mod refused;
mod sender;
mod suspect;

pub mod pipe;

pub mod inbound;
mod reading;

pub mod broker;
pub mod peer;
pub mod probe;

use std::collections::BTreeMap;

use domain::time::Utc;

pub use self::dialect::Refusal;
pub use self::session::SessionError;

use crate::config::Version;

/// How a link to a broker is doing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LinkStatus {
    /// Whether the broker has accepted the connection (CONNACK) and it has not broken since.
    pub connected: bool,
    /// Since when it is so; `None` before the first try has ended.
    pub since: Option<Utc>,
    /// The number of the last accepted connection: the publishing link counts tries, from 1 in each
    /// boot, a subscription counts what was accepted.
    pub conn: u32,
    /// Tries after the first.
    pub reconnects: u64,
    /// What ended the last connection or try, in words.
    pub last_error: Option<String>,
    /// Tries in which the broker did not let the box in (CONNACK: user name, password or its rules), since
    /// it did last.
    pub denied: u32,
    /// The version of MQTT that the last accepted connection speaks; only of the publishing link.
    pub version: Option<Version>,
    /// Messages written to the broker, those written again included.
    pub sent: u64,
    /// Messages the broker has acknowledged.
    pub acked: u64,
    /// Messages received.
    pub received: u64,
    /// Messages received and refused: too large, retained, or without a place to go.
    pub refused: u64,
    /// What was sent, by lane, highest first.
    pub lanes: [LaneTraffic; 4],
    /// Answers of the broker that it has not taken a message, by reason. Such a message is kept.
    pub refusals: BTreeMap<Refusal, u64>,
    /// Bytes of packets that were sent today (UTC), as far as they count against a day's limit.
    pub day_bytes: u64,
    /// Parts of pictures handed to the connection.
    pub parts: u64,
    /// Those that the broker would not have taken: its packets are too small.
    pub parts_dropped: u64,
    /// Messages kept aside because they cannot be delivered, and how many of them made room since.
    pub undelivered: usize,
    /// Messages that were kept aside and had to make room for others.
    pub undelivered_gone: u64,
}

/// What a lane has sent, since the box was started.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct LaneTraffic {
    /// Publishes handed to the connection, those sent again included.
    pub sent: u64,
    /// Of those: sent later than meant.
    pub replayed: u64,
    /// Bytes of their packets.
    pub bytes: u64,
    /// Publishes that the broker has acknowledged.
    pub acked: u64,
    /// Messages kept aside because they cannot be delivered.
    pub quarantined: u64,
    /// Taken from the outbox, and waiting for the allowance, the window or the end of a pause.
    pub waiting: usize,
    /// The day's bytes leave nothing for this lane.
    pub held_back: bool,
}
