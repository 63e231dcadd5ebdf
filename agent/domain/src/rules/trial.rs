//! A rule tried out on an example: a few reports with their times, and what came of them.
//!
//! The same evaluation as on the street, with one asset and one rule. Examples stand beside rules in the
//! configuration and are run whenever that is read.

use super::Rule;
use super::book::{Due, RuleBook, Seen};
use super::facts::{Fact, FactName, Stay};
use super::watch::{Edge, Evidence};
use crate::calendar::Calendar;
use crate::ids::{AssetId, AssetKey, BoxId, SiteId, TenantId};
use crate::site::{Asset, Identity, Parking, Site, TicketPolicy};
use crate::time::{Boot, ClockQuality, Moment, Monotonic, Span, Utc};

/// An example.
#[derive(Debug, Clone, PartialEq)]
pub struct Example {
    /// When it begins.
    pub start: Utc,
    /// What is told, in order.
    pub rows: Vec<Row>,
    /// How long it goes on.
    pub until: Span,
}

/// One report of the asset.
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    /// After the beginning.
    pub at: Span,
    /// What it says. Whether a bay is occupied also says for how long.
    pub facts: Vec<Fact>,
    /// Whether the asset is heard with it.
    pub heard: bool,
}

/// Something that was found.
#[derive(Debug, Clone, PartialEq)]
pub struct Outcome {
    /// After the beginning.
    pub at: Span,
    /// A problem begins, or is over.
    pub edge: Edge,
    /// Why.
    pub evidence: Vec<Evidence>,
}

/// Deadlines worked off in one example; more would be a fault of ours.
const DUE_MAX: usize = 10_000;

/// Runs `example` through `rule` with an asset like `asset`; gives what was found, in order.
#[must_use]
pub fn try_out(rule: &Rule, asset: &Asset, calendar: &Calendar, example: &Example) -> Vec<Outcome> {
    let key = AssetKey::new(rule.class, AssetId::new("example").expect("a name of ours"));
    let site = site(rule, asset, &key, calendar);
    let mut trial = Trial {
        book: RuleBook::new(&site),
        site: &site,
        key: &key,
        start: example.start,
        due: Due::default(),
        deadline: None,
        found: vec![],
    };
    let begun = trial.moment(Span::ZERO);
    let deadlines = trial.book.listen(&site, &key, trial.due, begun);
    trial.deadline = deadlines.into_iter().find_map(|(_, deadline)| deadline);
    for row in &example.rows {
        trial.pass(row.at);
        trial.tell(row);
    }
    trial.pass(example.until);
    trial.found
}

struct Trial<'s> {
    book: RuleBook,
    site: &'s Site,
    key: &'s AssetKey,
    start: Utc,
    due: Due,
    deadline: Option<Monotonic>,
    found: Vec<Outcome>,
}

impl Trial<'_> {
    fn moment(&self, at: Span) -> Moment {
        Moment {
            boot: Boot(1),
            monotonic: Monotonic::from_ms(at.as_ms()),
            utc: self.start + at,
            clock: ClockQuality::Ntp,
        }
    }

    fn tell(&mut self, row: &Row) {
        let now = self.moment(row.at);
        let mut facts = row.facts.clone();
        if let Some(occupied) = occupied(&row.facts) {
            self.due.stay = match (occupied, self.due.stay) {
                (true, Stay::Since(since)) => Stay::Since(since),
                (true, _) => Stay::Since(now),
                (false, _) => Stay::None,
            };
            facts.push(Fact::Stay(self.due.stay));
        }
        if row.heard {
            self.due.heard = Some(now);
            facts.push(Fact::Heard(now));
        }
        let seen = self.book.observe(self.site, self.key, &facts, self.due, (now, now));
        self.take(seen);
    }

    /// Works off what is due up to `until`.
    fn pass(&mut self, until: Span) {
        let until = Monotonic::from_ms(until.as_ms());
        for _ in 0..DUE_MAX {
            let Some(deadline) = self.deadline.filter(|deadline| *deadline <= until) else {
                return;
            };
            self.deadline = None;
            let at = self.moment(Span::from_ms(deadline.as_ms()));
            let seen = self.book.due(self.site, (0, self.key), self.due, at);
            self.take(seen);
        }
    }

    fn take(&mut self, seen: Seen) {
        if let Some((_, deadline)) = seen.deadlines.last() {
            self.deadline = *deadline;
        }
        let begun = self.moment(Span::ZERO);
        let outcome = |f: super::Finding| Outcome {
            at: f.at.since(begun),
            edge: f.edge,
            evidence: f.evidence,
        };
        self.found.extend(seen.findings.into_iter().map(outcome));
    }
}

fn occupied(facts: &[Fact]) -> Option<bool> {
    facts.iter().rev().find_map(|fact| match fact {
        Fact::Value(FactName::Occupied, value) => Some(*value > 0),
        _ => None,
    })
}

fn site(rule: &Rule, asset: &Asset, key: &AssetKey, calendar: &Calendar) -> Site {
    const OURS: &str = "a name of ours";
    Site {
        identity: Identity {
            tenant: TenantId::new("example").expect(OURS),
            site: SiteId::new("example").expect(OURS),
            id: BoxId::new("example").expect(OURS),
        },
        assets: [(key.clone(), asset.clone())].into(),
        rules: vec![rule.clone()],
        tickets: TicketPolicy::default(),
        calendar: calendar.clone(),
        parking: Parking::default(),
    }
}
