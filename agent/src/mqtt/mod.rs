//! The only room that names rumqttc: what the outbox holds goes out, commands come in.
//!
//! * [`topics`] and [`payload`] are pure: what a message is called and what it looks like.
//! * [`session`] turns settings into one connection, and knows how long to wait for the next.
//! * [`pipe`] publishes: it takes from the outbox, and a PUBACK, nothing else, acknowledges there.
//! * [`inbound`] subscribes: it acknowledges to the broker what the receiver says is safe.
//! * [`broker`]: the embedded broker of the demo and of a box without one.
//!
//! rumqttc is a pipe here and nothing more. Its own memory of a session is thrown away with every
//! connection: it forgets publishes when the broker forgets the session, and can wait for ever for a
//! packet id; the outbox does neither.

pub mod topics;

pub mod payload;

pub mod session;

mod link;

pub mod pipe;

pub mod inbound;

pub mod broker;
pub mod peer;

use domain::time::Utc;

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
    /// Messages written to the broker, those written again included.
    pub sent: u64,
    /// Messages the broker has acknowledged.
    pub acked: u64,
    /// Messages received.
    pub received: u64,
    /// Messages received and refused: too large, retained, or without a place to go.
    pub refused: u64,
}
