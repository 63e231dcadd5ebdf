//! Every ticket of the box: which finding belongs to which, and at most one for each problem.

use std::collections::BTreeMap;

use sha2::{Digest, Sha256};

use super::archive::Archive;
use super::deadline::Deadline;
use super::flow::FlowLog;
use super::life::State;
use super::news::News;
use super::ticket::{Flapping, RuleRef, SuppressedBy, Ticket, Times, Witness, WitnessKind};
use crate::ids::{AssetKey, Category, TicketId};
use crate::place::Position;
use crate::rules::{Edge, Evidence, Finding, Rule, Severity};
use crate::site::{Site, TicketPolicy};
use crate::time::{Moment, Monotonic, Now, Utc};
use crate::timers::Timer;

/// The tickets, by id, and which of them a new finding of the same problem belongs to.
#[derive(Debug, Default)]
pub(crate) struct Desk {
    tickets: BTreeMap<TicketId, Ticket>,
    /// By what makes two findings the same problem.
    latest: BTreeMap<String, TicketId>,
    archive: Archive,
}

/// A problem, as whoever found it describes it.
#[derive(Debug, Clone)]
pub(super) struct Problem {
    pub(super) key: String,
    pub(super) category: Category,
    pub(super) severity: Severity,
    pub(super) asset: Option<AssetKey>,
    pub(super) place: Option<Position>,
    pub(super) rule: Option<RuleRef>,
    pub(super) evidence: Vec<Evidence>,
    pub(super) witness: Witness,
    pub(super) at: Moment,
}

impl Desk {
    /// Takes back a stored ticket; answers whether it could be read.
    pub(crate) fn restore(&mut self, value: &[u8]) -> Option<TicketId> {
        let ticket: Ticket = serde_json::from_slice(value).ok()?;
        let newer = self
            .latest
            .get(&ticket.key)
            .and_then(|id| self.tickets.get(id))
            .is_none_or(|other| other.opened_at <= ticket.opened_at);
        let id = ticket.ticket_id.clone();
        if newer {
            self.latest.insert(ticket.key.clone(), id.clone());
        }
        self.tickets.insert(id.clone(), ticket);
        Some(id)
    }

    /// Every ticket.
    pub(crate) fn all(&self) -> impl Iterator<Item = &Ticket> {
        self.tickets.values()
    }

    /// One ticket.
    pub(crate) fn get(&self, id: &TicketId) -> Option<&Ticket> {
        self.tickets.get(id)
    }

    pub(super) fn ticket_mut(&mut self, id: &TicketId) -> Option<&mut Ticket> {
        self.tickets.get_mut(id)
    }

    pub(super) fn tickets_mut(&mut self) -> impl Iterator<Item = &mut Ticket> {
        self.tickets.values_mut()
    }

    /// The newer ticket of the same problem, if there is one.
    pub(super) fn newer_than(&self, id: &TicketId) -> Option<TicketId> {
        let key = &self.tickets.get(id)?.key;
        self.latest.get(key).filter(|newest| *newest != id).cloned()
    }

    /// The latest ticket of a problem.
    pub(super) fn latest(&self, key: &str) -> Option<&Ticket> {
        self.latest.get(key).and_then(|id| self.tickets.get(id))
    }

    /// The latest tickets of the problems whose key begins with `prefix`.
    pub(super) fn with_prefix(&self, prefix: &str) -> impl Iterator<Item = &Ticket> {
        let from = self.latest.range(prefix.to_owned()..);
        let these = from.take_while(move |(key, _)| key.starts_with(prefix));
        these.filter_map(|(_, id)| self.tickets.get(id))
    }

    /// How many open problems are only known by their place.
    pub(super) fn places(&self) -> usize {
        self.tickets.values().filter(|t| t.asset.is_none() && t.state.is_open()).count()
    }

    /// Takes a finding: opens, reopens or clears, at most one ticket per category and asset.
    /// `rule` is the one that made it, or stands for what the program itself found.
    pub(crate) fn find(&mut self, site: &Site, rule: &Rule, finding: Finding) -> News {
        let key = format!("{}:{}", rule.category, finding.asset);
        match finding.edge {
            Edge::Clear => self.clear(site, &key, finding.evidence, finding.at),
            Edge::Raise => self.raise(site, problem_of(site, rule, key, finding)),
        }
    }

    /// A problem is there. Opens a ticket for it, or finds the one it belongs to.
    pub(super) fn raise(&mut self, site: &Site, problem: Problem) -> News {
        let id = self.latest.get(&problem.key).cloned();
        let Some((id, ticket)) = id.and_then(|id| Some((id.clone(), self.tickets.get_mut(&id)?)))
        else {
            return self.open(site, problem, None);
        };
        let at = problem.at;
        let mut news = match again(ticket, at, &site.tickets) {
            Again::Same => same(ticket, problem, site),
            Again::Back => back(ticket, problem, site),
            Again::Reopen => reopen(ticket, problem, site),
            Again::New => return self.renew(site, problem, &id),
        };
        news.timers.extend(self.timers_of(site, &id, at));
        news
    }

    /// The problem is there no longer: evidence, never a closure.
    pub(super) fn clear(
        &mut self,
        site: &Site,
        key: &str,
        evidence: Vec<Evidence>,
        at: Moment,
    ) -> News {
        let id = self.latest.get(key).cloned();
        let Some((id, ticket)) = id.and_then(|id| Some((id.clone(), self.tickets.get_mut(&id)?)))
        else {
            return News::default();
        };
        // The problem ended after its ticket did: nothing to add.
        if !ticket.state.is_open() {
            return News::default();
        }
        let mut news = News::default();
        ticket.attach(evidence);
        if ticket.is_flapping(false, site, at) {
            news.keep_or_tell(ticket, site, at);
        } else {
            ticket.cleared_by_sensor = true;
            ticket.times.cleared = Some(at);
            ticket.log("cleared", "agent", None, site, at);
            news.tell(site, ticket, at);
        }
        news.timers.extend(self.timers_of(site, &id, at));
        news
    }

    /// A closed ticket has been kept for long enough: it leaves the broker and the store.
    pub(crate) fn purge(&mut self, id: &TicketId, now: Now) -> News {
        if self.tickets.get(id).is_none_or(|t| t.state.is_open()) {
            return News::default();
        }
        let Some(ticket) = self.tickets.remove(id) else { return News::default() };
        if self.latest.get(&ticket.key) == Some(id) {
            self.latest.remove(&ticket.key);
        }
        let mut news = News::gone(id, now);
        news.records.extend(self.archive.add(ticket, now.utc));
        news
    }

    /// Takes back the name of a case that is kept for assessment; answers whether it is one.
    pub(crate) fn restore_case(&mut self, rest: &str) -> bool {
        self.archive.restore(rest)
    }

    /// The deadlines of a ticket, as they are now.
    pub(crate) fn timers_of(
        &self,
        site: &Site,
        id: &TicketId,
        now: Now,
    ) -> Vec<(Timer, Option<Monotonic>)> {
        let Some(ticket) = self.tickets.get(id) else { return vec![] };
        let keep = site.tickets.keep_closed;
        let purge = ticket.times.closed.map(|closed| closed.deadline(keep, now));
        let limit = ticket.limit.as_ref().filter(|_| ticket.state.is_timed());
        let until = ticket.suppressed.as_ref().and_then(|s| s.until);
        let wall = [limit.and_then(Deadline::next), until];
        let wall = wall.into_iter().flatten().map(|utc| now.at(utc).monotonic);
        let still = ticket.flapping.as_ref();
        let still = still.map(|f| f.last.deadline(site.tickets.flap_within, now));
        let next = wall.chain(still).chain(ticket.worse_at(site, now)).min();
        vec![(Timer::Purge(id.clone()), purge), (Timer::Ticket(id.clone()), next)]
    }

    /// Opens a ticket.
    pub(super) fn open(&mut self, site: &Site, problem: Problem, prior: Option<TicketId>) -> News {
        let at = problem.at;
        let id = ticket_id(site, &problem.key, at.utc, prior.as_ref());
        let key = problem.key.clone();
        let review = site.tickets.categories.get(&problem.category).is_some_and(|c| c.review);
        let candidate = review && problem.witness.kind == WitnessKind::Camera;
        let mut ticket = new_ticket(&id, problem, prior);
        if !candidate {
            ticket.enter(State::Raised, site, at);
        }
        if !ticket.maintain(site, at) && !candidate {
            ticket.hush(site, at);
        }
        let note = ticket.suppressed.as_ref().map(|s| {
            let until = s.until.map_or_else(String::new, |until| format!(" until {until}"));
            format!("{}{until}", s.reason.as_str())
        });
        ticket.log(ticket.state.as_str(), "agent", note, site, at);
        let mut news = News::default();
        news.tell(site, &ticket, at);
        self.latest.insert(key, id.clone());
        self.tickets.insert(id.clone(), ticket);
        news.timers.extend(self.timers_of(site, &id, at));
        news
    }

    /// The problem is there again, too long after: the old ticket ends, if it has not, and a new one
    /// that names it begins.
    fn renew(&mut self, site: &Site, problem: Problem, old: &TicketId) -> News {
        let mut news = News::default();
        let at = problem.at;
        if let Some(ticket) = self.tickets.get_mut(old).filter(|t| t.state.is_open()) {
            let note = "gone for long, and there again: see the newer ticket".to_owned();
            ticket.enter(State::Expired, site, at);
            ticket.log("expired", "agent", Some(note), site, at);
            news.tell(site, ticket, at);
            news.timers.extend(self.timers_of(site, old, at));
        }
        news.join(self.open(site, problem, Some(old.clone())));
        news
    }
}

fn problem_of(site: &Site, rule: &Rule, key: String, finding: Finding) -> Problem {
    let confidence = WitnessKind::Sensor.confidence();
    // What is found of the box itself has no asset, and its rule no condition.
    let asset = site.assets.get(&finding.asset);
    Problem {
        key,
        category: rule.category.clone(),
        severity: rule.severity,
        place: asset.and_then(|asset| asset.position),
        rule: Some(RuleRef {
            id: rule.id.clone(),
            version: rule.version,
            when: asset.map(|asset| rule.when.words(Some(asset))),
        }),
        asset: Some(finding.asset),
        evidence: finding.evidence,
        witness: Witness {
            kind: WitnessKind::Sensor,
            by: rule.id.to_string(),
            at: finding.at.utc,
            confidence,
            text: None,
            media: None,
            seen: None,
        },
        at: finding.at,
    }
}

fn new_ticket(id: &TicketId, problem: Problem, prior: Option<TicketId>) -> Ticket {
    let Problem { key, category, severity, asset, place, rule, evidence, witness, at } = problem;
    let mut ticket = Ticket {
        ticket_id: id.clone(),
        rev: 0,
        key,
        category,
        state: State::Candidate,
        cleared_by_sensor: false,
        severity,
        asset,
        place,
        opened_at: at.utc,
        clock: at.clock,
        updated_at: at.utc,
        closed_at: None,
        rule,
        evidence: vec![],
        sources: vec![],
        confidence: 0,
        flow: FlowLog::new(id),
        reopened: 0,
        prior,
        crew: None,
        limit: None,
        suppressed: None,
        flapping: None,
        refused: 0,
        times: Times {
            opened: at,
            raised: None,
            cleared: None,
            closed: None,
            edges: vec![],
            source: None,
        },
    };
    ticket.attach(evidence);
    ticket.hear(witness);
    ticket
}

/// What a finding means for a ticket of the same problem that exists.
enum Again {
    /// The problem was known all the time.
    Same,
    /// It was gone from a ticket that nobody is at work on.
    Back,
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
        State::Handled | State::Verified => Again::Reopen,
        _ if !ticket.cleared_by_sensor => Again::Same,
        State::Candidate | State::Suppressed => Again::Back,
        _ if recent(ticket.times.cleared) => Again::Reopen,
        _ => Again::New,
    }
}

fn same(ticket: &mut Ticket, problem: Problem, site: &Site) -> News {
    let at = problem.at;
    let mut news = News::default();
    ticket.attach(problem.evidence);
    let flapping = ticket.flapping.is_some() && ticket.is_flapping(true, site, at);
    if ticket.hear(problem.witness) && ticket.state.is_open() {
        let kind = ticket.sources.last().map(|w| format!("{} says so too", w.by));
        ticket.log("witnessed", "agent", kind, site, at);
        news.tell(site, ticket, at);
        // Two kinds of witnesses that agree are what a review would look for.
        if ticket.state == State::Candidate && ticket.is_agreed() {
            ticket.enter(State::Raised, site, at);
            ticket.log("raised", "agent", None, site, at);
            news.tell(site, ticket, at);
        }
    } else if flapping {
        news.keep_or_tell(ticket, site, at);
    } else {
        news.keep(ticket);
    }
    news
}

fn back(ticket: &mut Ticket, problem: Problem, site: &Site) -> News {
    let mut news = News::default();
    ticket.cleared_by_sensor = false;
    ticket.times.cleared = None;
    ticket.attach(problem.evidence);
    ticket.hear(problem.witness);
    ticket.log("again", "agent", None, site, problem.at);
    news.tell(site, ticket, problem.at);
    news
}

fn reopen(ticket: &mut Ticket, problem: Problem, site: &Site) -> News {
    let at = problem.at;
    let mut news = News::default();
    let came_back = ticket.cleared_by_sensor && ticket.state.is_timed();
    ticket.cleared_by_sensor = false;
    ticket.times.cleared = None;
    ticket.attach(problem.evidence);
    ticket.hear(problem.witness);
    ticket.enter(State::Reopened, site, at);
    ticket.severity = problem.severity;
    let suppressed = ticket.maintain(site, at) || ticket.hush(site, at);
    let step = if suppressed { "suppressed" } else { "reopened" };
    ticket.log(step, "agent", None, site, at);
    news.tell(site, ticket, at);
    if came_back && ticket.is_flapping(true, site, at) {
        news.keep_or_tell(ticket, site, at);
    }
    news
}

impl Ticket {
    /// Notes that the problem comes or goes. Answers whether it does so too often for each time to be
    /// told.
    fn is_flapping(&mut self, there: bool, site: &Site, at: Moment) -> bool {
        let policy = &site.tickets;
        if let Some(flapping) = &mut self.flapping {
            flapping.count = flapping.count.saturating_add(1);
            (flapping.last, flapping.there) = (at, there);
            return true;
        }
        if policy.flaps == 0 || !self.state.is_timed() {
            return false;
        }
        self.times.edges.retain(|edge| at.since(*edge) < policy.flap_within);
        self.times.edges.push(at);
        let often = self.times.edges.len() >= usize::try_from(policy.flaps).unwrap_or(usize::MAX);
        if often {
            self.flapping = Some(Flapping { count: 0, last: at, there });
        }
        often
    }

    /// Suppresses what is found during maintenance; answers whether it was.
    pub(super) fn maintain(&mut self, site: &Site, at: Moment) -> bool {
        let here = |m: &&crate::site::Maintenance| {
            let asset = self.asset.as_ref();
            let covered = m.assets.is_empty() || asset.is_some_and(|a| m.assets.contains(a));
            covered && m.from <= at.utc && at.utc < m.until
        };
        let until = site.tickets.maintenance.iter().filter(here).map(|m| m.until).max();
        if until.is_some() {
            self.suppress(SuppressedBy::Maintenance, until, site, at);
        }
        until.is_some()
    }
}

impl News {
    /// Says once that a ticket flaps; after that its coming and going is only stored.
    fn keep_or_tell(&mut self, ticket: &mut Ticket, site: &Site, at: Moment) {
        if ticket.flapping.as_ref().is_some_and(|f| f.count == 0) {
            let note = "it comes and goes: counted until it is still".to_owned();
            ticket.log("flapping", "agent", Some(note), site, at);
            self.tell(site, ticket, at);
        } else {
            self.keep(ticket);
        }
    }
}

/// `t-` and 16 characters of base 32: the same problem at the same time always gets the same id, so a
/// step that is repeated after a crash opens nothing twice.
fn ticket_id(site: &Site, key: &str, at: Utc, prior: Option<&TicketId>) -> TicketId {
    const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";
    let prior = prior.map_or("", TicketId::as_str);
    let text = format!("{}|{key}|{}|{prior}", site.identity.id, at.as_ms());
    let hash = Sha256::digest(text.as_bytes());
    let mut id = String::from("t-");
    id.extend(hash.iter().take(16).map(|b| char::from(ALPHABET[usize::from(b & 31)])));
    TicketId::new(&id).expect("the alphabet is one of ids, and 18 characters are few enough")
}
