//! What is told and stored of a changed ticket.

use serde_json::{Map, Value};

use super::ticket::Ticket;
use crate::ids::TicketId;
use crate::output::{Body, Lane, Message, Quality, Record, Topic, to_map};
use crate::place::Position;
use crate::site::Site;
use crate::sweeping::PositionView;
use crate::time::{Moment, Monotonic, Utc};
use crate::timers::Timer;

/// What the desk has to say: messages and records of changed tickets, and when to look again.
#[derive(Debug, Default)]
pub(crate) struct News {
    pub(crate) messages: Vec<Message>,
    pub(crate) records: Vec<Record>,
    pub(crate) timers: Vec<(Timer, Option<Monotonic>)>,
}

/// Entries of the flow log that travel in a ticket's state: the newest ones. Each was published as an
/// event of its own.
const FLOW_SHOWN: usize = 64;

impl News {
    /// The retained state of a ticket, as it is now.
    pub(crate) fn state(site: &Site, ticket: &Ticket) -> Message {
        Message {
            lane: Lane::Ticket,
            topic: Topic::TicketState(ticket.ticket_id.clone()),
            at: ticket.updated_at,
            clock: ticket.clock,
            quality: Quality::Good,
            body: Body::Flat(view(site, ticket)),
        }
    }

    /// Stores a changed ticket.
    pub(super) fn keep(&mut self, ticket: &Ticket) {
        let value = serde_json::to_vec(ticket).expect("a ticket is plain data");
        self.records.push(Record { key: record_key(&ticket.ticket_id), value: Some(value) });
    }

    /// Stores a changed ticket and tells the world: the event first, then the state as of it.
    pub(super) fn tell(&mut self, site: &Site, ticket: &Ticket, at: Moment) {
        self.keep(ticket);
        let step = ticket.flow.entries().last().map_or("", |entry| entry.step.as_str());
        let event = Message {
            lane: Lane::Ticket,
            topic: Topic::TicketEvent(ticket.ticket_id.clone()),
            at: at.utc,
            clock: at.clock,
            quality: Quality::Good,
            body: Body::Event { kind: event_kind(step), data: event_data(site, ticket, at.utc) },
        };
        self.messages.push(event);
        self.messages.push(News::state(site, ticket));
    }

    /// Takes a ticket off the broker and out of the store.
    pub(super) fn gone(id: &TicketId, now: Moment) -> News {
        let empty = Message {
            lane: Lane::Ticket,
            topic: Topic::TicketState(id.clone()),
            at: now.utc,
            clock: now.clock,
            quality: Quality::Good,
            body: Body::Empty,
        };
        let record = Record { key: record_key(id), value: None };
        News { messages: vec![empty], records: vec![record], timers: vec![] }
    }

    pub(super) fn join(&mut self, other: News) {
        self.messages.extend(other.messages);
        self.records.extend(other.records);
        self.timers.extend(other.timers);
    }
}

/// Every step that a flow log can have, with the type of its event.
const EVENTS: [(&str, &str); 29] = [
    ("candidate", "ticket.candidate"),
    ("raised", "ticket.raised"),
    ("cleared", "ticket.cleared"),
    ("again", "ticket.again"),
    ("acknowledged", "ticket.acknowledged"),
    ("dispatched", "ticket.dispatched"),
    ("accepted", "ticket.accepted"),
    ("handed_over", "ticket.handed_over"),
    ("on_site", "ticket.on_site"),
    ("started", "ticket.started"),
    ("handled", "ticket.handled"),
    ("verified", "ticket.verified"),
    ("closed", "ticket.closed"),
    ("reopened", "ticket.reopened"),
    ("rejected", "ticket.rejected"),
    ("expired", "ticket.expired"),
    ("suppressed", "ticket.suppressed"),
    ("unshelved", "ticket.unshelved"),
    ("paused", "ticket.paused"),
    ("resumed", "ticket.resumed"),
    ("extended", "ticket.extended"),
    ("noted", "ticket.noted"),
    ("refused", "ticket.refused"),
    ("due_soon", "ticket.due_soon"),
    ("overdue", "ticket.overdue"),
    ("witnessed", "ticket.witnessed"),
    ("flapping", "ticket.flapping"),
    ("settled", "ticket.settled"),
    ("time_corrected", "ticket.time_corrected"),
];

fn event_kind(step: &str) -> &'static str {
    let found = EVENTS.into_iter().find(|(name, _)| *name == step);
    found.map_or("ticket.changed", |(_, kind)| kind)
}

fn record_key(id: &TicketId) -> String {
    format!("ticket/{id}")
}

/// What is published of a ticket: all of it but what it is measured by.
pub(crate) fn view(site: &Site, ticket: &Ticket) -> Map<String, Value> {
    let mut map = to_map(ticket);
    map.remove("times");
    if let Some(place) = ticket.place {
        map.insert("place".into(), place_view(place));
    }
    let entries = ticket.flow.entries();
    let shown = &entries[entries.len().saturating_sub(FLOW_SHOWN)..];
    map.insert("flow".into(), shown.iter().map(|e| Value::Object(to_map(e))).collect());
    map.insert("flow_sha256".into(), ticket.flow.head().into());
    if let Some(Value::Object(limit)) = map.get_mut("limit") {
        limit.retain(|key, _| !["given", "left", "spent", "remind_at"].contains(&key.as_str()));
    }
    if let Some(Value::Object(suppressed)) = map.get_mut("suppressed") {
        suppressed.remove("paused");
    }
    if let Some(Value::Object(flapping)) = map.get_mut("flapping") {
        flapping.retain(|key, _| key == "count");
    }
    if let Some(spec) = site.tickets.categories.get(&ticket.category) {
        let codes = spec.codes.iter().map(|code| Value::Object(to_map(code)));
        map.insert("codes".into(), codes.collect());
        if spec.internal {
            map.insert("internal".into(), true.into());
        }
    }
    map
}

fn place_view(place: Position) -> Value {
    Value::Object(to_map(&PositionView::new(place, None)))
}

/// What an event says of its ticket: enough to act without having seen the state.
fn event_data(site: &Site, ticket: &Ticket, at: Utc) -> Map<String, Value> {
    const WANTED: [&str; 13] = [
        "ticket_id",
        "rev",
        "key",
        "category",
        "state",
        "cleared_by_sensor",
        "severity",
        "asset",
        "rule",
        "reopened",
        "confidence",
        "crew",
        "limit",
    ];
    let mut data = view(site, ticket);
    data.retain(|key, _| WANTED.contains(&key.as_str()));
    let latest = ticket.evidence.last().filter(|e| e.at <= at);
    data.insert("evidence".into(), latest.map_or(Value::Null, |e| Value::Object(to_map(e))));
    let step = ticket.flow.entries().last().map(to_map);
    data.insert("step".into(), step.map_or(Value::Null, Value::Object));
    data
}

#[cfg(test)]
mod tests {
    use super::super::life::TicketStep;
    use super::*;

    #[test]
    fn every_step_of_people_has_an_event_of_its_own() {
        for step in TicketStep::ALL {
            assert_eq!(event_kind(step.done()), format!("ticket.{}", step.done()));
        }
    }
}
