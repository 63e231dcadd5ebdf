//! What comes out of [`crate::Engine::step`]: one value, nothing to poll.

use serde::{Deserialize, Serialize};

use crate::commands::upkeep::Order;
use crate::decode::Reason;
use crate::ids::{AssetKey, Requester, SourceName, TicketId};
use crate::site::Feed;
use crate::time::{ClockQuality, Utc};

/// The lanes of the outbox, highest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Lane {
    /// Ticket transitions, alarms, replies: on disk before anybody is told.
    Ticket,
    /// Sessions, collections: on disk before the source is acknowledged.
    Event,
    /// The latest value per asset; a newer one takes the place of one not yet sent.
    State,
    /// Series.
    Telemetry,
}

impl Lane {
    /// Every lane, highest first.
    pub const ALL: [Lane; 4] = [Lane::Ticket, Lane::Event, Lane::State, Lane::Telemetry];

    /// The word in payloads.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Lane::Ticket => "ticket",
            Lane::Event => "event",
            Lane::State => "state",
            Lane::Telemetry => "telemetry",
        }
    }
}

/// Where a message goes, below the box's prefix `P`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Topic {
    /// `P/info`
    Info,
    /// `P/<class>/<id>/info`
    AssetInfo(AssetKey),
    /// `P/<class>/<id>/state`
    AssetState(AssetKey),
    /// `P/<class>/<id>/event`
    AssetEvent(AssetKey),
    /// `P/<class>/<id>/figures`
    AssetFigures(AssetKey),
    /// `P/<class>/<id>/tel`
    AssetTelemetry(AssetKey),
    /// `P/ticket/<id>/state`
    TicketState(TicketId),
    /// `P/ticket/<id>/event`
    TicketEvent(TicketId),
    /// `P/reply/<requester>`
    Reply(Requester),
    /// Where a requester wants his answer: a whole topic, not below `P`.
    Answer {
        /// The topic.
        topic: String,
        /// What he wants to find beside it.
        correlation: Vec<u8>,
    },
    /// A topic of a profile's own, below `P`.
    Form {
        /// The rest of it.
        path: String,
        /// Whether the broker keeps the latest message of it.
        retained: bool,
    },
}

/// How good the values of a message are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Quality {
    /// As measured.
    Good,
    /// Measured, with doubt: inferred, or a guessed time.
    Uncertain,
    /// The sensor says itself that it is wrong.
    Bad,
    /// Too old to be believed.
    Stale,
}

/// A message for the outbox. The lane's sequence number, the boot and the id are added when it is stored.
#[derive(Debug, Clone, PartialEq)]
pub struct Message {
    /// Which lane.
    pub lane: Lane,
    /// Where to.
    pub topic: Topic,
    /// When what it tells was so.
    pub at: Utc,
    /// Trust in `at`.
    pub clock: ClockQuality,
    /// Trust in the values.
    pub quality: Quality,
    /// What it tells.
    pub body: Body,
}

/// The content of a message.
#[derive(Debug, Clone, PartialEq)]
pub enum Body {
    /// A flat JSON object that joins the header (state, info, telemetry, reply).
    Flat(serde_json::Map<String, serde_json::Value>),
    /// A CloudEvent: its type (`parking.session`) and its data.
    Event {
        /// The event type.
        kind: &'static str,
        /// The data.
        data: serde_json::Map<String, serde_json::Value>,
    },
    /// As another platform reads it: nothing of ours is added.
    Form(serde_json::Value),
    /// An empty payload: takes a retained message off the broker.
    Empty,
}

/// A plain struct as a JSON object.
pub(crate) fn to_map<T: Serialize>(value: &T) -> serde_json::Map<String, serde_json::Value> {
    match serde_json::to_value(value) {
        Ok(serde_json::Value::Object(map)) => map,
        other => unreachable!("only structs with plain fields are sent, not {other:?}"),
    }
}

impl Topic {
    /// Whether the broker keeps the latest message of this topic.
    #[must_use]
    pub const fn retained(&self) -> bool {
        matches!(
            self,
            Topic::Info
                | Topic::AssetInfo(_)
                | Topic::AssetState(_)
                | Topic::AssetFigures(_)
                | Topic::TicketState(_)
                | Topic::Form { retained: true, .. }
        )
    }
}

/// A piece of the engine's own state, stored so that a restart goes on where it was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// `bay/b-1001`, `ticket/t-…`.
    pub key: String,
    /// The state as JSON; `None` removes the record.
    pub value: Option<Vec<u8>>,
}

/// Something that came in and was not taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rejected {
    /// Where it came from; `None` for commands.
    pub source: Option<SourceName>,
    /// Why.
    pub reason: Reason,
    /// In words, for the log.
    pub detail: String,
}

/// Everything a step decided. Records and messages are committed in one batch.
#[derive(Debug, Clone, PartialEq, Default)]
#[must_use]
pub struct Outputs {
    /// State to store.
    pub records: Vec<Record>,
    /// Messages to send, in order.
    pub messages: Vec<Message>,
    /// What was refused.
    pub rejected: Vec<Rejected>,
    /// What devices are asked to do. Nothing waits for the answer: who wants it asks again.
    pub requests: Vec<Request>,
    /// What is to be done with the box itself, once the rest is stored.
    pub orders: Vec<Order>,
}

/// Something a device is asked to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// Which device.
    pub feed: Feed,
    /// What.
    pub what: Wanted,
}

/// What devices can be asked to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Wanted {
    /// Learn the empty bay anew.
    Recalibrate,
    /// Count from the beginning of a new battery.
    NewBattery,
    /// Show where it is (a light, a sound) for so many seconds; 0 ends it.
    Identify {
        /// How long.
        seconds: u16,
    },
}
