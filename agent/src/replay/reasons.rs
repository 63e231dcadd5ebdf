//! Which rule raised, cleared or reopened a ticket in a replay, and why, for people.
//!
//! Everything is taken from the messages about tickets, so what is said here is what whoever receives them
//! can work out as well.

use std::collections::BTreeMap;

use domain::calendar::Calendar;
use domain::output::{Body, Message, Topic};
use domain::time::Utc;
use serde::Serialize;
use serde_json::{Map, Value};

/// How often a rule did what.
#[derive(Debug, Default, Clone, PartialEq, Eq, Serialize)]
pub struct Fired {
    /// Of which version, the last time.
    pub version: u64,
    /// New tickets.
    pub raised: u64,
    /// How often the problem was gone.
    pub cleared: u64,
    /// How often one came back.
    pub reopened: u64,
}

/// What rules did so far.
#[derive(Debug, Default)]
pub(super) struct Reasons {
    /// By rule.
    pub(super) fired: BTreeMap<String, Fired>,
    /// By ticket: the readings that were told already.
    told: BTreeMap<String, Vec<Value>>,
}

impl Reasons {
    /// Takes the messages of one step; gives what there is to say of them.
    pub(super) fn take(&mut self, messages: &[Message], calendar: &Calendar) -> Vec<String> {
        let mut texts = vec![];
        for (i, message) in messages.iter().enumerate() {
            let (Topic::TicketEvent(id), Body::Event { kind, data }) =
                (&message.topic, &message.body)
            else {
                continue;
            };
            let Some(step) = kind.strip_prefix("ticket.").filter(|step| self.count(step, data))
            else {
                continue;
            };
            // The state as of the event follows it, with every reading.
            let state = messages[i..].iter().find_map(|other| match (&other.topic, &other.body) {
                (Topic::TicketState(other), Body::Flat(body)) if other == id => Some(body),
                _ => None,
            });
            let readings = state.and_then(|state| state.get("evidence")?.as_array().cloned());
            let readings = readings.unwrap_or_default();
            let before = self.told.insert(id.to_string(), readings.clone()).unwrap_or_default();
            let new = readings.iter().filter(|reading| !before.contains(reading));
            let head = format!("{} {step} {}", local(message.at, calendar), subject(data));
            texts.push(explain(head, data, new, calendar));
        }
        texts
    }

    /// Counts an event; answers whether it is one of a rule's.
    fn count(&mut self, step: &str, data: &Map<String, Value>) -> bool {
        let rule = data.get("rule").filter(|rule| rule.is_object());
        let Some(id) = rule.and_then(|rule| rule["id"].as_str()) else { return false };
        if !matches!(step, "raised" | "cleared" | "reopened" | "suppressed") {
            return false;
        }
        let fired = self.fired.entry(id.to_owned()).or_default();
        fired.version = rule.and_then(|rule| rule["version"].as_u64()).unwrap_or_default();
        match step {
            "raised" => fired.raised += 1,
            "cleared" => fired.cleared += 1,
            "reopened" => fired.reopened += 1,
            _ => {}
        }
        true
    }
}

fn subject(data: &Map<String, Value>) -> String {
    let text = |name: &str| data.get(name).and_then(Value::as_str).unwrap_or_default();
    let rule = &data["rule"];
    let (id, version) = (rule["id"].as_str().unwrap_or_default(), &rule["version"]);
    format!("{} by rule {id} version {version} ({})", text("key"), text("ticket_id"))
}

fn explain<'r>(
    head: String,
    data: &Map<String, Value>,
    readings: impl Iterator<Item = &'r Value>,
    calendar: &Calendar,
) -> String {
    let mut lines = vec![head];
    lines.extend(data["rule"]["when"].as_str().map(|when| format!("  when {when}")));
    for reading in readings {
        let at = reading["at"].as_str().and_then(|at| Utc::parse(at).ok());
        let at = at.map_or_else(String::new, |at| local(at, calendar));
        lines.push(format!("  {at}  {}", reading["text"].as_str().unwrap_or_default()));
    }
    lines.join("\n")
}

fn local(utc: Utc, calendar: &Calendar) -> String {
    calendar.local(utc).strftime("%Y-%m-%d %H:%M:%S").to_string()
}
