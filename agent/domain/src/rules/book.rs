//! Every rule with every asset it watches.

use std::collections::BTreeMap;

use sha2::{Digest, Sha256};

use super::Rule;
use super::condition::Condition;
use super::facts::{Fact, FactName, Stay};
use super::leaf::Scene;
use super::watch::{Edge, Evidence, Finding, LATE_AFTER, Watch};
use crate::ids::{AssetKey, Class};
use crate::output::Record;
use crate::site::Site;
use crate::time::{Moment, Monotonic, Now};

/// What the rules remember.
#[derive(Debug, Default)]
pub(crate) struct RuleBook {
    /// Of each rule of the site, in its order.
    plans: Vec<Plan>,
    watches: BTreeMap<AssetKey, BTreeMap<usize, Watch>>,
    /// Since when the box has been listening: silence before that is its own.
    listening: Option<Moment>,
}

/// A rule, made ready.
#[derive(Debug)]
pub(super) struct Plan {
    class: Class,
    /// Its single conditions, in order.
    pub(super) leaves: Vec<Condition>,
    /// Whether it is put together from several.
    pub(super) composite: bool,
    /// Facts that are written into its tickets beside those.
    pub(super) evidence: Vec<FactName>,
    /// Tells its conditions from others.
    pub(super) print: u32,
}

impl Plan {
    pub(super) fn new(rule: &Rule) -> Plan {
        let leaves = rule.when.leaves().into_iter().cloned().collect();
        let hash = Sha256::digest(format!("{:?}", rule.when).as_bytes());
        Plan {
            class: rule.class,
            leaves,
            composite: rule.when.is_composite(),
            evidence: rule.handling.evidence.clone(),
            print: hash.iter().take(4).fold(0, |print, byte| (print << 8) | u32::from(*byte)),
        }
    }

    fn is_by_the_clock(&self) -> bool {
        let by =
            |leaf: &Condition| matches!(leaf, Condition::During(_) | Condition::Overstay { .. });
        self.leaves.iter().any(by)
    }
}

/// A deadline that a rule wants for an asset, or wants gone.
pub(crate) type Deadline = (usize, Option<Monotonic>);

/// What an observation led to.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    pub(crate) findings: Vec<Finding>,
    pub(crate) deadlines: Vec<Deadline>,
    pub(crate) records: Vec<Record>,
}

/// What the engine knows of an asset beside what is told.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Due {
    pub(crate) stay: Stay,
    pub(crate) heard: Option<Moment>,
}

impl RuleBook {
    pub(crate) fn new(site: &Site) -> RuleBook {
        RuleBook { plans: site.rules.iter().map(Plan::new).collect(), ..RuleBook::default() }
    }

    /// Takes back what was stored; answers whether the record still belongs to a rule and an asset.
    pub(crate) fn restore(&mut self, site: &Site, key: &str, value: &[u8]) -> bool {
        let found = key.split_once('/').and_then(|(rule, asset)| {
            let asset: AssetKey = asset.parse().ok()?;
            let i = site.rules.iter().position(|r| r.id.as_str() == rule)?;
            let fits = site.rules[i].class == asset.class && site.assets.contains_key(&asset);
            fits.then_some((i, asset))
        });
        let Some((i, asset)) = found else { return false };
        let Some(watch) = Watch::restore(value, &self.plans[i]) else { return false };
        self.watches.entry(asset).or_default().insert(i, watch);
        true
    }

    /// Begins to listen: silence counts from here. Gives the deadlines that follow from what is
    /// remembered of the asset, and of what is known of it.
    pub(crate) fn listen(
        &mut self,
        site: &Site,
        asset: &AssetKey,
        due: Due,
        now: Now,
    ) -> Vec<Deadline> {
        self.listening = Some(now);
        let scene = self.scene(site, asset, due, now, now);
        let watches = self.watches.entry(asset.clone()).or_default();
        let mut deadlines = vec![];
        for (i, plan) in self.plans.iter().enumerate().filter(|(_, p)| p.class == asset.class) {
            let watch = watches.entry(i).or_insert_with(|| Watch::new(plan));
            deadlines.extend(watch.next(plan, &scene).map(|at| (i, Some(at))));
        }
        deadlines
    }

    /// The rules of `class` that look again when the clock has been set: those that ask for hours, and for a
    /// stay, which may have begun before the boot. Silence counts from the boot.
    pub(crate) fn by_the_clock(&self, class: Class) -> impl Iterator<Item = usize> {
        let plans = self.plans.iter().enumerate();
        plans.filter(move |(_, plan)| plan.class == class && plan.is_by_the_clock()).map(|(i, _)| i)
    }

    /// Takes what became known of an asset at `at`.
    pub(crate) fn observe(
        &mut self,
        site: &Site,
        asset: &AssetKey,
        facts: &[Fact],
        due: Due,
        (at, now): (Moment, Now),
    ) -> Seen {
        let mut seen = Seen::default();
        let scene = self.scene(site, asset, due, at, now);
        let Some(watches) = self.watches.get_mut(asset) else { return seen };
        for (i, watch) in watches {
            let (plan, when) = (&self.plans[*i], &site.rules[*i].when);
            let (mut wanted, mut found) = (false, vec![]);
            for told in facts {
                if !watch.take(plan, told, &scene) {
                    continue;
                }
                wanted = true;
                // Two values of a fact in one report are two readings; of several facts that belong
                // together the report is one.
                if !plan.composite {
                    found.extend(watch.judge(plan, when, &scene));
                }
            }
            if wanted {
                found.extend(watch.judge(plan, when, &scene));
                seen.conclude(site, (*i, asset), (watch, plan), &scene, found);
            }
        }
        seen
    }

    /// A deadline of the rule at `i` came for `asset`, at `at`.
    pub(crate) fn due(
        &mut self,
        site: &Site,
        (i, asset): (usize, &AssetKey),
        due: Due,
        at: Moment,
    ) -> Seen {
        let mut seen = Seen::default();
        let scene = self.scene(site, asset, due, at, at);
        let plan = &self.plans[i];
        let watches = self.watches.entry(asset.clone()).or_default();
        let watch = watches.entry(i).or_insert_with(|| Watch::new(plan));
        let found = watch.judge(plan, &site.rules[i].when, &scene);
        seen.conclude(site, (i, asset), (watch, plan), &scene, found);
        seen
    }

    /// A person has closed a ticket of this rule: if the condition still holds, the next reading may
    /// find it anew. A stay or a silence that was dealt with is not found twice.
    pub(crate) fn closed(&mut self, site: &Site, rule: &str, asset: &AssetKey) -> Option<Record> {
        let i = site.rules.iter().position(|r| r.id.as_str() == rule)?;
        let plan = &self.plans[i];
        let watch = self.watches.get_mut(asset)?.get_mut(&i)?;
        if !watch.forget(plan) {
            return None;
        }
        let value = watch.store(plan)?;
        Some(Record { key: record_key(&site.rules[i], asset), value })
    }

    /// Begins anew to wait for an asset that was found silent, as if it had been heard at `now`.
    pub(crate) fn listen_anew(
        &mut self,
        site: &Site,
        asset: &AssetKey,
        due: Due,
        now: Now,
    ) -> Seen {
        let mut seen = Seen::default();
        let scene = self.scene(site, asset, due, now, now);
        let Some(watches) = self.watches.get_mut(asset) else { return seen };
        for (i, watch) in watches {
            let rule = &site.rules[*i];
            if !matches!(rule.when, Condition::Silent { .. }) || !watch.is_raised() {
                continue;
            }
            watch.hear_anew(now);
            seen.records.push(Record { key: record_key(rule, asset), value: None });
            seen.deadlines.push((*i, watch.next(&self.plans[*i], &scene)));
        }
        seen
    }

    fn scene<'s>(
        &self,
        site: &'s Site,
        asset: &AssetKey,
        due: Due,
        at: Moment,
        now: Now,
    ) -> Scene<'s> {
        let (calendar, asset) = (&site.calendar, &site.assets[asset]);
        let heard = now;
        let now = if heard.since(at) > LATE_AFTER { at } else { heard };
        Scene { calendar, asset, due, listening: self.listening, at, now, heard }
    }
}

impl Seen {
    /// What follows for a rule and an asset that were looked at: what is stored, when to look again, and
    /// what was found.
    fn conclude(
        &mut self,
        site: &Site,
        (rule, asset): (usize, &AssetKey),
        (watch, plan): (&mut Watch, &Plan),
        scene: &Scene<'_>,
        found: impl IntoIterator<Item = (Edge, Vec<Evidence>)>,
    ) {
        if let Some(value) = watch.store(plan) {
            self.records.push(Record { key: record_key(&site.rules[rule], asset), value });
        }
        self.deadlines.push((rule, watch.next(plan, scene)));
        let at = scene.at;
        let finding = |(edge, evidence)| Finding { rule, asset: asset.clone(), at, edge, evidence };
        self.findings.extend(found.into_iter().map(finding));
    }
}

fn record_key(rule: &Rule, asset: &AssetKey) -> String {
    format!("watch/{}/{asset}", rule.id)
}
