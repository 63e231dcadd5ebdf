//! Tickets that have left the broker, kept on disk for assessment.
//!
//! What is kept is the flow log and what the ticket is about. The box does not read it again but for
//! `steward report`: in memory there are only the names.

use std::collections::BTreeSet;

use super::ticket::Ticket;
use crate::output::Record;
use crate::time::{Span, Utc};

/// Cases kept at the most; the oldest give way.
const CASES_MAX: usize = 20_000;
/// How long a case is kept: assessment looks a year back.
const KEEP: Span = Span::from_mins(400 * 24 * 60);

/// The names of the kept cases, the oldest first: `<milliseconds of the end>/<ticket>`.
#[derive(Debug, Default)]
pub(super) struct Archive(BTreeSet<String>);

impl Archive {
    /// Takes back a name; answers whether it is one.
    pub(super) fn restore(&mut self, name: &str) -> bool {
        let known = ended(name).is_some();
        if known {
            self.0.insert(name.to_owned());
        }
        known
    }

    /// Keeps a ticket, and lets go what is too old or too much.
    pub(super) fn add(&mut self, mut ticket: Ticket, now: Utc) -> Vec<Record> {
        let end = ticket.closed_at.unwrap_or(ticket.updated_at).as_ms().max(0);
        let name = format!("{end:015}/{}", ticket.ticket_id);
        ticket.evidence.clear();
        let value = serde_json::to_vec(&ticket).expect("a ticket is plain data");
        let mut records = vec![Record { key: key(&name), value: Some(value) }];
        self.0.insert(name);
        while let Some(oldest) = self.0.first() {
            let old = ended(oldest).is_none_or(|end| now.since(end) > KEEP);
            if !old && self.0.len() <= CASES_MAX {
                break;
            }
            records.push(Record { key: key(oldest), value: None });
            self.0.pop_first();
        }
        records
    }
}

fn key(name: &str) -> String {
    format!("case/{name}")
}

fn ended(name: &str) -> Option<Utc> {
    let (end, _) = name.split_once('/')?;
    end.parse().ok().map(Utc::from_ms)
}
