//! Every ticket of the box.

use std::collections::BTreeMap;

use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

use super::ticket::{Refusal, RuleRef, State, Ticket, Times};
use crate::commands::TicketStep;
use crate::ids::{AssetKey, Category, Requester, TicketId};
use crate::output::{Body, Lane, Message, Quality, Record, Topic};
use crate::rules::{Edge, Finding, Rule};
use crate::site::{Site, TicketPolicy};
use crate::time::{Moment, Monotonic, Now, Utc};

/// The tickets, by id, and which of them a new finding of the same problem belongs to.
#[derive(Debug, Default)]
pub(crate) struct Desk {
    tickets: BTreeMap<TicketId, Ticket>,
    latest: BTreeMap<(Category, AssetKey), TicketId>,
}

/// What the desk has to say: messages and records of changed tickets, and when to look again.
#[derive(Debug, Default)]
pub(crate) struct News {
    pub(crate) messages: Vec<Message>,
    pub(crate) records: Vec<Record>,
    pub(crate) purge: Vec<(TicketId, Option<Monotonic>)>,
}

impl Desk {
    /// Takes back a stored ticket; answers whether it could be read.
    pub(crate) fn restore(&mut self, value: &[u8]) -> Option<&Ticket> {
        let ticket: Ticket = serde_json::from_slice(value).ok()?;
        let identity = (ticket.category.clone(), ticket.asset.clone());
        let newer = self
            .latest
            .get(&identity)
            .and_then(|id| self.tickets.get(id))
            .is_none_or(|other| other.opened_at <= ticket.opened_at);
        let id = ticket.ticket_id.clone();
        if newer {
            self.latest.insert(identity, id.clone());
        }
        Some(self.tickets.entry(id).or_insert(ticket))
    }

    /// Every ticket.
    pub(crate) fn all(&self) -> impl Iterator<Item = &Ticket> {
        self.tickets.values()
    }

    /// The rule and asset of a ticket.
    pub(crate) fn subject(&self, id: &TicketId) -> Option<(String, AssetKey)> {
        self.tickets.get(id).map(|t| (t.rule.id.to_string(), t.asset.clone()))
    }

    /// Takes a finding: opens, reopens or clears, at most one ticket per category and asset.
    /// `rule` is the one that made it, or stands for what the program itself found.
    pub(crate) fn find(&mut self, site: &Site, rule: &Rule, finding: Finding) -> News {
        let identity = (rule.category.clone(), finding.asset.clone());
        let existing = self.latest.get(&identity).and_then(|id| self.tickets.get_mut(id));
        match (finding.edge, existing) {
            (Edge::Clear, Some(ticket)) if ticket.state.is_open() => clear(ticket, finding),
            // The problem ended after its ticket did: nothing to add.
            (Edge::Clear, _) => News::default(),
            (Edge::Raise, None) => self.open(site, rule, finding, None),
            (Edge::Raise, Some(ticket)) => match again(ticket, finding.at, &site.tickets) {
                Again::Same => same(ticket, finding),
                Again::Reopen => reopen(ticket, finding),
                Again::New => self.renew(site, rule, finding, &identity),
            },
        }
    }

    /// Takes a step that a person asked for.
    pub(crate) fn step(
        &mut self,
        id: &TicketId,
        step: TicketStep,
        by: &Requester,
        note: Option<String>,
        site: &Site,
        now: Now,
    ) -> Result<(News, Map<String, Value>), Refusal> {
        let ticket = self.tickets.get_mut(id).ok_or_else(|| Refusal::Unknown(id.clone()))?;
        let identity = (ticket.category.clone(), ticket.asset.clone());
        if let (TicketStep::Reopen, Some(newer)) = (step, self.latest.get(&identity))
            && newer != id
        {
            return Err(Refusal::Superseded(newer.clone()));
        }
        ticket.step(step, by.as_str(), note, now)?;
        let mut news = News::default();
        let name = event_name(ticket.state);
        news.tell(ticket, name, now);
        news.purge.push((id.clone(), purge_at(ticket, &site.tickets, now)));
        let mut result = Map::new();
        result.insert("ticket".into(), Value::String(id.to_string()));
        result.insert("state".into(), Value::String(ticket.state.to_string()));
        result.insert("rev".into(), Value::from(ticket.rev));
        Ok((news, result))
    }

    /// A closed ticket has been kept for long enough: it leaves the broker and the store.
    pub(crate) fn purge(&mut self, id: &TicketId, now: Now) -> News {
        let Some(ticket) = self.tickets.get(id).filter(|t| !t.state.is_open()) else {
            return News::default();
        };
        let identity = (ticket.category.clone(), ticket.asset.clone());
        if self.latest.get(&identity) == Some(id) {
            self.latest.remove(&identity);
        }
        let empty = Message {
            lane: Lane::Ticket,
            topic: Topic::TicketState(id.clone()),
            at: now.utc,
            clock: now.clock,
            quality: Quality::Good,
            body: Body::Empty,
        };
        let record = Record { key: record_key(id), value: None };
        self.tickets.remove(id);
        News { messages: vec![empty], records: vec![record], purge: vec![] }
    }

    /// When a closed ticket is to be purged.
    pub(crate) fn purge_at(
        &self,
        id: &TicketId,
        policy: &TicketPolicy,
        now: Now,
    ) -> Option<Monotonic> {
        self.tickets.get(id).and_then(|ticket| purge_at(ticket, policy, now))
    }

    fn open(
        &mut self,
        site: &Site,
        rule: &Rule,
        finding: Finding,
        prior: Option<TicketId>,
    ) -> News {
        let id = ticket_id(site, rule, &finding);
        let place = site.assets.get(&finding.asset).and_then(|asset| asset.position);
        let mut ticket = Ticket {
            ticket_id: id.clone(),
            rev: 0,
            key: format!("{}:{}", rule.category, finding.asset),
            category: rule.category.clone(),
            state: State::Raised,
            cleared_by_sensor: false,
            severity: rule.severity,
            asset: finding.asset.clone(),
            place,
            opened_at: finding.at.utc,
            clock: finding.at.clock,
            updated_at: finding.at.utc,
            closed_at: None,
            rule: RuleRef { id: rule.id.clone(), version: rule.version },
            evidence: vec![],
            flow: vec![],
            reopened: 0,
            prior,
            times: Times { cleared: None, closed: None },
        };
        ticket.attach(finding.evidence);
        ticket.log("raised", finding.at.utc, "agent", None);
        let mut news = News::default();
        news.tell(&ticket, "ticket.raised", finding.at);
        self.latest.insert((rule.category.clone(), finding.asset), id.clone());
        self.tickets.insert(id, ticket);
        news
    }

    /// The problem is there again, too long after: the old ticket ends, if it has not, and a new one
    /// that names it begins.
    fn renew(
        &mut self,
        site: &Site,
        rule: &Rule,
        finding: Finding,
        identity: &(Category, AssetKey),
    ) -> News {
        let mut news = News::default();
        let old = self.latest[identity].clone();
        if let Some(ticket) = self.tickets.get_mut(&old).filter(|t| t.state.is_open()) {
            let note = "gone for long, and there again: see the newer ticket".to_owned();
            ticket.become_(State::Expired, "agent", Some(note), finding.at);
            news.tell(ticket, event_name(State::Expired), finding.at);
            news.purge.push((old.clone(), purge_at(ticket, &site.tickets, finding.at)));
        }
        let opened = self.open(site, rule, finding, Some(old));
        news.messages.extend(opened.messages);
        news.records.extend(opened.records);
        news
    }
}

/// What a finding means for a ticket of the same problem that exists.
enum Again {
    /// The problem was known all the time.
    Same,
    /// It was gone or done, not long ago.
    Reopen,
    /// It was gone or done long ago.
    New,
}

fn again(ticket: &Ticket, at: Moment, policy: &TicketPolicy) -> Again {
    let recent = |when: Option<Moment>| when.is_some_and(|w| at.since(w) <= policy.reopen_within);
    match ticket.state {
        // A person has said that this is no problem: it is not raised against that word so soon.
        State::Rejected if recent(ticket.times.closed) => Again::Same,
        State::Closed if recent(ticket.times.closed) => Again::Reopen,
        State::Rejected | State::Closed | State::Expired => Again::New,
        State::Handled => Again::Reopen,
        _ if !ticket.cleared_by_sensor => Again::Same,
        _ if recent(ticket.times.cleared) => Again::Reopen,
        _ => Again::New,
    }
}

fn clear(ticket: &mut Ticket, finding: Finding) -> News {
    ticket.cleared_by_sensor = true;
    ticket.times.cleared = Some(finding.at);
    ticket.attach(finding.evidence);
    ticket.log("cleared", finding.at.utc, "agent", None);
    let mut news = News::default();
    news.tell(ticket, "ticket.cleared", finding.at);
    news
}

fn same(ticket: &mut Ticket, finding: Finding) -> News {
    ticket.attach(finding.evidence);
    let mut news = News::default();
    news.keep(ticket);
    news
}

fn reopen(ticket: &mut Ticket, finding: Finding) -> News {
    ticket.cleared_by_sensor = false;
    ticket.times.cleared = None;
    ticket.attach(finding.evidence);
    ticket.become_(State::Reopened, "agent", None, finding.at);
    let mut news = News::default();
    news.tell(ticket, "ticket.reopened", finding.at);
    news.purge.push((ticket.ticket_id.clone(), None));
    news
}

fn purge_at(ticket: &Ticket, policy: &TicketPolicy, now: Now) -> Option<Monotonic> {
    ticket.times.closed.map(|closed| closed.deadline(policy.keep_closed, now))
}

fn event_name(state: State) -> &'static str {
    match state {
        State::Raised => "ticket.raised",
        State::Acknowledged => "ticket.acknowledged",
        State::Handled => "ticket.handled",
        State::Closed => "ticket.closed",
        State::Rejected => "ticket.rejected",
        State::Reopened => "ticket.reopened",
        State::Expired => "ticket.expired",
    }
}

fn record_key(id: &TicketId) -> String {
    format!("ticket/{id}")
}

/// `t-` and 16 characters of base 32: the same problem at the same time always gets the same id, so a
/// step that is repeated after a crash opens nothing twice.
fn ticket_id(site: &Site, rule: &Rule, finding: &Finding) -> TicketId {
    const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";
    let text = format!(
        "{}|{}|{}|{}",
        site.identity.id,
        rule.category,
        finding.asset,
        finding.at.utc.as_ms()
    );
    let hash = Sha256::digest(text.as_bytes());
    let mut id = String::from("t-");
    id.extend(hash.iter().take(16).map(|b| char::from(ALPHABET[usize::from(b & 31)])));
    TicketId::new(&id).expect("the alphabet is one of ids, and 18 characters are few enough")
}

/// What is published of a ticket: all of it but the moments it is measured by.
pub(crate) fn view(ticket: &Ticket) -> Map<String, Value> {
    let mut map = crate::output::to_map(ticket);
    map.remove("times");
    if let Some(place) = ticket.place {
        map.insert("place".into(), place_view(place));
    }
    map
}

fn place_view(place: crate::place::Position) -> Value {
    Value::Object(crate::output::to_map(&crate::sweeping::PositionView::new(place, None)))
}

impl News {
    /// The retained state of a ticket, as it is now.
    pub(crate) fn state(ticket: &Ticket) -> Message {
        Message {
            lane: Lane::Ticket,
            topic: Topic::TicketState(ticket.ticket_id.clone()),
            at: ticket.updated_at,
            clock: ticket.clock,
            quality: Quality::Good,
            body: Body::Flat(view(ticket)),
        }
    }

    fn keep(&mut self, ticket: &Ticket) {
        let value = serde_json::to_vec(ticket).expect("a ticket is plain data");
        self.records.push(Record { key: record_key(&ticket.ticket_id), value: Some(value) });
    }

    /// Stores a changed ticket and tells the world: the event first, then the state as of it.
    fn tell(&mut self, ticket: &Ticket, kind: &'static str, at: Moment) {
        self.keep(ticket);
        let event = Message {
            lane: Lane::Ticket,
            topic: Topic::TicketEvent(ticket.ticket_id.clone()),
            at: at.utc,
            clock: at.clock,
            quality: Quality::Good,
            body: Body::Event { kind, data: event_data(ticket, at.utc) },
        };
        self.messages.push(event);
        self.messages.push(News::state(ticket));
    }
}

/// What an event says of its ticket: enough to act without having seen the state.
fn event_data(ticket: &Ticket, at: Utc) -> Map<String, Value> {
    const WANTED: [&str; 9] = [
        "ticket_id",
        "rev",
        "category",
        "state",
        "cleared_by_sensor",
        "severity",
        "asset",
        "rule",
        "reopened",
    ];
    let mut data = view(ticket);
    data.retain(|key, _| WANTED.contains(&key.as_str()));
    let latest = ticket.evidence.last().filter(|e| e.at <= at);
    data.insert(
        "evidence".into(),
        latest.map_or(Value::Null, |e| Value::Object(crate::output::to_map(e))),
    );
    let step = ticket.flow.last().map(crate::output::to_map);
    data.insert("step".into(), step.map_or(Value::Null, Value::Object));
    data
}
