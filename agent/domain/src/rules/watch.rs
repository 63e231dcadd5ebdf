//! A whole rule with one asset: what its conditions together come to, and what it finds.

use serde::{Deserialize, Serialize};

use super::book::Plan;
use super::condition::Condition;
use super::facts::{Fact, FactName};
use super::leaf::{Leaf, Scene};
use super::words::{number, reading};
use crate::ids::AssetKey;
use crate::time::{Moment, Monotonic, Now, Span, Utc};

/// A problem begins, or is over.
#[derive(Debug, Clone, PartialEq)]
pub struct Finding {
    /// Which rule found it: its place in the site's list.
    pub rule: usize,
    /// Where.
    pub asset: AssetKey,
    /// When.
    pub at: Moment,
    /// Begins or ends.
    pub edge: Edge,
    /// The readings that made it so.
    pub evidence: Vec<Evidence>,
}

/// Which end of a problem a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Edge {
    /// The condition has come true.
    Raise,
    /// It is true no longer.
    Clear,
}

/// One reading that a ticket rests on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Evidence {
    /// When it was measured.
    pub at: Utc,
    /// When the box heard of it, where that was more than a minute later.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub received: Option<Utc>,
    /// The fact.
    pub fact: String,
    /// Its value, where it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<f64>,
    /// The value's unit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unit: Option<String>,
    /// The same for people.
    pub text: String,
}

impl Evidence {
    /// Something that is no number.
    pub(crate) fn text(at: Moment, fact: &str, text: String) -> Evidence {
        Evidence {
            at: at.utc,
            received: None,
            fact: fact.to_owned(),
            value: None,
            unit: None,
            text,
        }
    }

    /// A value of a fact, in thousandths.
    pub(super) fn value(at: Moment, fact: FactName, milli: i64, text: String) -> Evidence {
        let unit = Some(fact.unit().to_owned()).filter(|unit| !unit.is_empty());
        let value = Some(number(milli));
        Evidence { value, unit, ..Evidence::text(at, fact.as_str(), text) }
    }

    /// Something that has lasted.
    pub(super) fn lasting(at: Moment, fact: &str, lasted: Span, text: String) -> Evidence {
        let value = Some(lasted.as_secs() as f64);
        Evidence { value, unit: Some("s".to_owned()), ..Evidence::text(at, fact, text) }
    }
}

/// A report that came no later than this is as good as on time.
pub(crate) const LATE_AFTER: Span = Span::from_mins(1);

/// Readings in one finding at the most: as many as a ticket keeps.
const FINDING_MAX: usize = 32;

/// How far a rule has come with one asset.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub(super) struct Watch {
    /// Found, and still so.
    raised: bool,
    /// What its conditions remember, in their order.
    leaves: Vec<Leaf>,
    /// Which conditions these are: of others nothing is taken over.
    print: u32,
    /// The latest values of what is written into tickets beside the conditions. Not stored.
    #[serde(skip)]
    noted: Vec<Evidence>,
    /// Something changed that is stored.
    #[serde(skip)]
    changed: bool,
    /// It is in the store.
    #[serde(skip)]
    kept: bool,
}

type Found = Option<(Edge, Vec<Evidence>)>;

impl Watch {
    pub(super) fn new(plan: &Plan) -> Watch {
        let leaves = vec![Leaf::default(); plan.leaves.len()];
        Watch { leaves, print: plan.print, ..Watch::default() }
    }

    /// What was stored. Of a rule whose conditions are others by now only this is taken over: that it was
    /// found.
    pub(super) fn restore(value: &[u8], plan: &Plan) -> Option<Watch> {
        let stored: Watch = serde_json::from_slice(value).ok()?;
        let same = stored.print == plan.print && stored.leaves.len() == plan.leaves.len();
        let fresh = Watch { raised: stored.raised, ..Watch::new(plan) };
        Some(Watch { kept: true, ..if same { stored } else { fresh } })
    }

    pub(super) fn is_raised(&self) -> bool {
        self.raised
    }

    /// Takes what was told; answers whether the rule has anything to do with it.
    pub(super) fn take(&mut self, plan: &Plan, told: &Fact, scene: &Scene<'_>) -> bool {
        let mut wanted = false;
        for (leaf, condition) in self.leaves.iter_mut().zip(&plan.leaves) {
            if condition.wants(told) {
                wanted = true;
                self.changed |= leaf.take(condition, told, scene);
            }
        }
        if let Fact::Value(name, milli) = *told
            && plan.evidence.contains(&name)
        {
            let text = reading(name, milli);
            self.noted.retain(|known| known.fact != name.as_str());
            self.noted.push(Evidence::value(scene.at, name, milli, text));
        }
        wanted
    }

    /// Looks what the conditions together come to.
    pub(super) fn judge(&mut self, plan: &Plan, when: &Condition, scene: &Scene<'_>) -> Found {
        for (leaf, condition) in self.leaves.iter_mut().zip(&plan.leaves) {
            self.changed |= leaf.pass(condition, scene);
        }
        let truth = truth(when, &mut self.leaves.iter())?;
        if truth == self.raised {
            return None;
        }
        (self.raised, self.changed) = (truth, true);
        let mut evidence = vec![];
        support(when, &mut self.leaves.iter(), truth, &mut evidence);
        if !plan.composite {
            // Said once; the ticket has it from here on.
            self.leaves.iter_mut().for_each(|leaf| leaf.readings.clear());
        }
        if truth {
            evidence.extend(self.noted.iter().cloned());
        }
        evidence.truncate(FINDING_MAX);
        if scene.heard.since(scene.at) > LATE_AFTER {
            let of_this = |one: &&mut Evidence| one.at == scene.at.utc;
            let late = evidence.iter_mut().filter(of_this);
            late.for_each(|one| one.received = Some(scene.heard.utc));
        }
        Some((if truth { Edge::Raise } else { Edge::Clear }, evidence))
    }

    /// When time alone may change something.
    pub(super) fn next(&self, plan: &Plan, scene: &Scene<'_>) -> Option<Monotonic> {
        let leaves = self.leaves.iter().zip(&plan.leaves);
        leaves.filter_map(|(leaf, condition)| leaf.next(condition, scene)).min()
    }

    /// What is to be stored, if that has changed: `Some(None)` takes it out of the store.
    pub(super) fn store(&mut self, plan: &Plan) -> Option<Option<Vec<u8>>> {
        if !std::mem::take(&mut self.changed) {
            return None;
        }
        let blank = !self.raised && self.leaves.iter().all(|leaf| leaf.is_blank(plan.composite));
        let was_kept = std::mem::replace(&mut self.kept, !blank);
        let value = || serde_json::to_vec(self).expect("a watch is plain data");
        (!blank || was_kept).then(|| (!blank).then(value))
    }

    /// A person has dealt with it. Answers whether the rule looks anew: one that asks for no reading does
    /// not find the same twice.
    pub(super) fn forget(&mut self, plan: &Plan) -> bool {
        if !plan.leaves.iter().any(Condition::is_read) {
            return false;
        }
        let leaves = self.leaves.iter_mut().zip(&plan.leaves);
        leaves.for_each(|(leaf, condition)| leaf.forget(condition));
        (self.raised, self.changed) = (false, true);
        true
    }

    /// The silence that was found was another's: it counts from `now` on.
    pub(super) fn hear_anew(&mut self, now: Now) {
        self.leaves.iter_mut().for_each(|leaf| leaf.hear_anew(now));
        (self.raised, self.kept) = (false, false);
    }
}

/// What the conditions come to: all of them when all are true, not when one is false, and otherwise nobody
/// knows (Kleene).
fn truth<'l>(when: &Condition, leaves: &mut impl Iterator<Item = &'l Leaf>) -> Option<bool> {
    match when {
        Condition::Not(part) => truth(part, leaves).map(|truth| !truth),
        Condition::All(parts) | Condition::Any(parts) => {
            let decides = matches!(when, Condition::Any(_));
            // Each takes its leaves, whatever the ones before it came to.
            let truths: Vec<_> = parts.iter().map(|part| truth(part, leaves)).collect();
            if truths.contains(&Some(decides)) {
                return Some(decides);
            }
            (!truths.contains(&None)).then_some(!decides)
        }
        _ => leaves.next().and_then(|leaf| leaf.truth),
    }
}

/// Collects the readings of those conditions that make it `wanted`.
fn support<'l>(
    when: &Condition,
    leaves: &mut impl Iterator<Item = &'l Leaf>,
    wanted: bool,
    out: &mut Vec<Evidence>,
) {
    match when {
        Condition::Not(part) => support(part, leaves, !wanted, out),
        Condition::All(parts) | Condition::Any(parts) => {
            parts.iter().for_each(|part| support(part, leaves, wanted, out));
        }
        _ => {
            let leaf = leaves.next().filter(|leaf| leaf.truth == Some(wanted));
            out.extend(leaf.into_iter().flat_map(|leaf| leaf.readings.iter().cloned()));
        }
    }
}
