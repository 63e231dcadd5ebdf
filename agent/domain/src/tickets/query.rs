//! Questions about tickets: one of them whole, or those that fit, and how much each crew has to do.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::desk::Desk;
use super::life::{Refusal, State};
use super::news::view;
use super::ticket::Ticket;
use crate::commands::TicketQuery;
use crate::ids::TicketId;
use crate::output::to_map;
use crate::site::Site;

/// Tickets in one answer at the most: it has to fit into a packet.
const LISTED_MAX: usize = 200;

impl Desk {
    /// Answers a question.
    pub(crate) fn query(
        &self,
        site: &Site,
        query: &TicketQuery,
    ) -> Result<Map<String, Value>, Refusal> {
        match &query.ticket {
            Some(id) => self.show(site, id),
            None => Ok(self.list(query)),
        }
    }

    fn show(&self, site: &Site, id: &TicketId) -> Result<Map<String, Value>, Refusal> {
        let ticket = self.get(id).ok_or_else(|| Refusal::Unknown(id.clone()))?;
        let mut answer = view(site, ticket);
        let chain = match ticket.flow.verify(id) {
            Ok(()) => json!({"ok": true, "entries": ticket.rev}),
            Err(broken) => json!({"ok": false, "broken_at": broken.n, "msg": broken.to_string()}),
        };
        answer.insert("chain".into(), chain);
        Ok(answer)
    }

    /// The tickets that fit, those that are most urgent first.
    fn list(&self, query: &TicketQuery) -> Map<String, Value> {
        let fits = |ticket: &&Ticket| {
            let state =
                query.state.map_or(query.all || ticket.state.is_open(), |s| s == ticket.state);
            let category = query.category.as_ref().is_none_or(|c| *c == ticket.category);
            let crew = query.crew.as_ref().is_none_or(|c| ticket.crew.as_ref() == Some(c));
            state && category && crew
        };
        let mut found: Vec<&Ticket> = self.all().filter(fits).collect();
        found.sort_by_key(|t| {
            (!t.state.is_open(), std::cmp::Reverse(t.severity), t.opened_at, t.ticket_id.clone())
        });
        let total = found.len();
        found.truncate(LISTED_MAX);
        let mut answer = Map::new();
        answer.insert("tickets".into(), found.into_iter().map(summary).collect());
        answer.insert("total".into(), total.into());
        answer.insert("workload".into(), self.workload());
        answer
    }

    /// How many tickets each crew has to do, and how many of them are over their limit.
    fn workload(&self) -> Value {
        let mut crews: BTreeMap<&str, (u64, u64)> = BTreeMap::new();
        for ticket in self.all().filter(|t| t.state == State::Dispatched) {
            let Some(crew) = &ticket.crew else { continue };
            let (open, late) = crews.entry(crew.as_str()).or_default();
            *open += 1;
            *late += u64::from(ticket.limit.as_ref().is_some_and(|limit| limit.overdue));
        }
        let one = |(crew, (open, late)): (&str, (u64, u64))| {
            (crew.to_owned(), json!({"dispatched": open, "overdue": late}))
        };
        Value::Object(crews.into_iter().map(one).collect())
    }
}

fn summary(ticket: &Ticket) -> Value {
    const WANTED: [&str; 11] = [
        "ticket_id",
        "rev",
        "category",
        "state",
        "severity",
        "asset",
        "opened_at",
        "cleared_by_sensor",
        "reopened",
        "crew",
        "key",
    ];
    let mut map = to_map(ticket);
    map.retain(|key, _| WANTED.contains(&key.as_str()));
    if let Some(limit) = &ticket.limit {
        map.insert("due".into(), json!(limit.due));
        map.insert("overdue".into(), json!(limit.overdue));
    }
    Value::Object(map)
}
