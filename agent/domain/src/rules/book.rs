//! Every rule with every asset it watches.

use std::collections::BTreeMap;

use super::watch::{Edge, Evidence, Finding, Threshold, Watch};
use super::{Condition, FactName, Level, Rule};
use crate::ids::AssetKey;
use crate::output::Record;
use crate::site::{Asset, Kind, Site};
use crate::time::{Moment, Monotonic, Now, Span};

/// What the domain rooms tell the rules about an asset.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Fact {
    /// A value in thousandths of its unit.
    Value(FactName, i64),
    /// A car has been standing since then; `None`: nothing stands there.
    Stay(Option<Moment>),
    /// Nobody can tell whether a car stands there.
    StayUnknown,
    /// The asset was heard.
    Heard(Moment),
}

/// What the rules remember.
#[derive(Debug, Default)]
pub(crate) struct RuleBook {
    watches: BTreeMap<(usize, AssetKey), Watch>,
    /// Since when the box has been listening: silence before that is its own.
    listening: Option<Moment>,
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

impl RuleBook {
    /// Takes back what was stored; answers whether the record still belongs to a rule and an asset.
    pub(crate) fn restore(&mut self, site: &Site, key: &str, value: &[u8]) -> bool {
        let found = key.split_once('/').and_then(|(rule, asset)| {
            let asset: AssetKey = asset.parse().ok()?;
            let i = site.rules.iter().position(|r| r.id.as_str() == rule)?;
            let fits = site.rules[i].class == asset.class && site.assets.contains_key(&asset);
            fits.then_some((i, asset))
        });
        match (found, serde_json::from_slice(value)) {
            (Some(place), Ok(watch)) => {
                self.watches.insert(place, watch);
                true
            }
            _ => false,
        }
    }

    /// Begins to listen: silence counts from here. Gives the deadlines that follow from what is
    /// remembered of the asset, and of a car that stands there since `stay`.
    pub(crate) fn listen(
        &mut self,
        site: &Site,
        asset: &AssetKey,
        stay: Option<Moment>,
        now: Now,
    ) -> Vec<Deadline> {
        self.listening = Some(now);
        let spec = &site.assets[asset];
        let mut deadlines = vec![];
        for (i, rule) in site.rules.iter().enumerate().filter(|(_, r)| r.class == asset.class) {
            let watch = self.watches.get(&(i, asset.clone()));
            if watch == Some(&Watch::Raised) {
                continue;
            }
            let deadline = match &rule.when {
                Condition::Threshold { .. } => threshold(rule, spec)
                    .and_then(|threshold| watch.and_then(|w| w.ripe_at(now, &threshold))),
                Condition::Overstay { .. } => allowed(rule, spec)
                    .zip(stay)
                    .map(|((max, grace), since)| since.deadline(max.saturating_add(grace), now)),
                Condition::Silent { .. } => {
                    silence(rule, spec).map(|after| now.deadline(after, now))
                }
            };
            deadlines.extend(deadline.map(|at| (i, Some(at))));
        }
        deadlines
    }

    /// Takes what became known of an asset at `at`.
    pub(crate) fn observe(
        &mut self,
        site: &Site,
        asset: &AssetKey,
        facts: &[Fact],
        at: Moment,
        now: Now,
    ) -> Seen {
        let mut seen = Seen::default();
        for (i, rule) in site.rules.iter().enumerate() {
            if rule.class != asset.class {
                continue;
            }
            for fact in facts {
                self.apply(site, (i, asset), *fact, at, now, &mut seen);
            }
        }
        seen
    }

    fn apply(
        &mut self,
        site: &Site,
        (i, asset): (usize, &AssetKey),
        fact: Fact,
        at: Moment,
        now: Now,
        seen: &mut Seen,
    ) {
        let rule = &site.rules[i];
        let spec = &site.assets[asset];
        let watch = self.watches.entry((i, asset.clone())).or_default();
        let before = watch.clone();
        let found = match (&rule.when, fact) {
            (Condition::Threshold { fact: wanted, .. }, Fact::Value(name, value))
                if *wanted == name =>
            {
                let Some(threshold) = threshold(rule, spec) else { return };
                let found = watch.value(value, at, &threshold);
                seen.deadlines.push((i, watch.ripe_at(now, &threshold)));
                found
            }
            (Condition::Overstay { .. }, Fact::Stay(since)) => {
                let (found, deadline) = stay(watch, since, allowed(rule, spec), at, now);
                seen.deadlines.push((i, deadline));
                found
            }
            (Condition::Overstay { .. }, Fact::StayUnknown) => {
                seen.deadlines.push((i, None));
                None
            }
            (Condition::Silent { .. }, Fact::Heard(heard)) => {
                let Some(after) = silence(rule, spec) else { return };
                let until = heard.deadline(after, now);
                seen.deadlines.push((i, Some(until)));
                // A report that is as old as that says that the sensor is silent, not that it speaks.
                if until > now.monotonic { heard_again(watch, at) } else { None }
            }
            _ => return,
        };
        self.conclude(site, (i, asset), &before, found.map(|f| (f, at)), seen);
    }

    /// A deadline of the rule at `i` came for `asset`, at `at`.
    pub(crate) fn due(
        &mut self,
        site: &Site,
        (i, asset): (usize, &AssetKey),
        state: Due,
        at: Moment,
    ) -> Seen {
        let mut seen = Seen::default();
        let rule = &site.rules[i];
        let spec = &site.assets[asset];
        let watch = self.watches.entry((i, asset.clone())).or_default();
        let before = watch.clone();
        let found = match &rule.when {
            Condition::Threshold { .. } => {
                threshold(rule, spec).and_then(|threshold| watch.ripe(at, &threshold))
            }
            Condition::Overstay { .. } => {
                let (found, deadline) = stay(watch, state.stay, allowed(rule, spec), at, at);
                if deadline.is_some() {
                    seen.deadlines.push((i, deadline));
                }
                found
            }
            Condition::Silent { .. } => {
                let since = match (state.heard, self.listening) {
                    (Some(heard), Some(listening)) if heard.boot == listening.boot => Some(heard),
                    (_, listening) => listening,
                };
                silent(watch, since, state.heard, at)
            }
        };
        self.conclude(site, (i, asset), &before, found.map(|f| (f, at)), &mut seen);
        seen
    }

    /// A person has closed a ticket of this rule: if the condition still holds, the next reading may
    /// find it anew. A stay or a silence that was dealt with is not found twice.
    pub(crate) fn closed(&mut self, site: &Site, rule: &str, asset: &AssetKey) -> Option<Record> {
        let i = site.rules.iter().position(|r| r.id.as_str() == rule)?;
        if !matches!(site.rules[i].when, Condition::Threshold { .. }) {
            return None;
        }
        self.watches.remove(&(i, asset.clone()))?;
        Some(Record { key: record_key(&site.rules[i], asset), value: None })
    }

    /// Begins anew to wait for an asset that was found silent, as if it had been heard at `now`.
    pub(crate) fn listen_anew(&mut self, site: &Site, asset: &AssetKey, now: Now) -> Seen {
        let mut seen = Seen::default();
        let spec = &site.assets[asset];
        for (i, rule) in site.rules.iter().enumerate().filter(|(_, r)| r.class == asset.class) {
            let place = (i, asset.clone());
            let silent = self.watches.get(&place) == Some(&Watch::Raised);
            let Some(after) = silence(rule, spec).filter(|_| silent) else { continue };
            self.watches.remove(&place);
            seen.records.push(Record { key: record_key(rule, asset), value: None });
            seen.deadlines.push((i, Some(now.deadline(after, now))));
        }
        seen
    }

    fn conclude(
        &self,
        site: &Site,
        (i, asset): (usize, &AssetKey),
        before: &Watch,
        found: Option<((Edge, Vec<Evidence>), Moment)>,
        seen: &mut Seen,
    ) {
        let watch = &self.watches[&(i, asset.clone())];
        if watch != before {
            let value = (*watch != Watch::Quiet)
                .then(|| serde_json::to_vec(watch).expect("a watch is plain data"));
            seen.records.push(Record { key: record_key(&site.rules[i], asset), value });
        }
        if let Some(((edge, evidence), at)) = found {
            seen.findings.push(Finding { rule: i, asset: asset.clone(), at, edge, evidence });
        }
    }
}

/// What the engine knows of an asset when a rule's deadline comes.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Due {
    pub(crate) stay: Option<Moment>,
    pub(crate) heard: Option<Moment>,
}

fn record_key(rule: &Rule, asset: &AssetKey) -> String {
    format!("watch/{}/{asset}", rule.id)
}

fn threshold(rule: &Rule, asset: &Asset) -> Option<Threshold> {
    let Condition::Threshold { fact, side, raise_at, clear_at, hold, readings } = rule.when else {
        return None;
    };
    let resolve = |level| match (level, &asset.kind) {
        (Level::Milli(value), _) => Some(value),
        // Permille to thousandths of a percent.
        (Level::FullAt, Kind::Bin(bin)) => Some(i64::from(bin.full_at.get()) * 100),
        (Level::ClearAt, Kind::Bin(bin)) => Some(i64::from(bin.clear_at.get()) * 100),
        _ => None,
    };
    let (raise_at, clear_at) = (resolve(raise_at)?, resolve(clear_at)?);
    // A fire is told at once, whatever the rule would wait for.
    let (hold, readings) =
        if fact == FactName::Burning { (Span::ZERO, 1) } else { (hold, readings.max(1)) };
    Some(Threshold { fact, side, raise_at, clear_at, hold, readings })
}

/// How long a car may stay before the rule finds it, if the bay has a limit.
fn allowed(rule: &Rule, asset: &Asset) -> Option<(Span, Span)> {
    match (&rule.when, &asset.kind) {
        (Condition::Overstay { grace }, Kind::Bay(bay)) => bay.max_stay.map(|max| (max, *grace)),
        _ => None,
    }
}

fn silence(rule: &Rule, asset: &Asset) -> Option<Span> {
    let Condition::Silent { after } = rule.when else { return None };
    if asset.feeds.is_empty() {
        return None;
    }
    after.or(match &asset.kind {
        Kind::Bay(bay) => Some(bay.stale_after),
        Kind::Bin(bin) => Some(bin.stale_after),
        Kind::Vehicle(vehicle) => Some(vehicle.stale_after),
        Kind::Street { .. } => None,
    })
}

type Found = Option<(Edge, Vec<Evidence>)>;

fn stay(
    watch: &mut Watch,
    since: Option<Moment>,
    allowed: Option<(Span, Span)>,
    at: Moment,
    now: Now,
) -> (Found, Option<Monotonic>) {
    let Some((max, grace)) = allowed else { return (None, None) };
    let Some(since) = since else {
        if std::mem::take(watch) != Watch::Raised {
            return (None, None);
        }
        let text = "the bay is free again".to_owned();
        let evidence = Evidence { at: at.utc, fact: "stay".into(), value: None, unit: None, text };
        return (Some((Edge::Clear, vec![evidence])), None);
    };
    let limit = max.saturating_add(grace);
    let stayed = now.since(since);
    if *watch == Watch::Raised {
        return (None, None);
    }
    if stayed < limit {
        return (None, Some(since.deadline(limit, now)));
    }
    *watch = Watch::Raised;
    let evidence = Evidence {
        at: now.utc,
        fact: "stay".into(),
        value: Some(stayed.as_secs() as f64),
        unit: Some("s".into()),
        text: format!("stands since {} for {stayed}, allowed are {max} + {grace}", since.utc),
    };
    (Some((Edge::Raise, vec![evidence])), None)
}

fn heard_again(watch: &mut Watch, at: Moment) -> Found {
    if std::mem::take(watch) != Watch::Raised {
        return None;
    }
    let text = "heard again".to_owned();
    let evidence = Evidence { at: at.utc, fact: "silent".into(), value: None, unit: None, text };
    Some((Edge::Clear, vec![evidence]))
}

fn silent(watch: &mut Watch, since: Option<Moment>, heard: Option<Moment>, at: Moment) -> Found {
    if *watch == Watch::Raised {
        return None;
    }
    *watch = Watch::Raised;
    let silent = since.map_or(Span::ZERO, |s| at.since(s));
    let last = heard.map_or("never heard".to_owned(), |h| format!("last heard {}", h.utc));
    let evidence = Evidence {
        at: at.utc,
        fact: "silent".into(),
        value: Some(silent.as_secs() as f64),
        unit: Some("s".into()),
        text: format!("nothing heard for {silent}, {last}"),
    };
    Some((Edge::Raise, vec![evidence]))
}
