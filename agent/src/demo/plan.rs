//! The tickets that must come of a run, worked out from what the sensors sent and from the rules of the
//! box's own configuration, by other code than the box's.
//!
//! Everything the street does is known beforehand, so for a run of any length it is known which problems
//! a rule must have found, at what time, and when they were over. What cannot be told is marked as such:
//! a problem that begins within [`Plan::slack`] of the end, or that a silent sensor hides, may raise a
//! ticket or not; neither is wrong.
//!
//! Not planned for are rules about what this street never has: a hot bin, an empty battery, the speed of
//! a vehicle. A ticket of such a rule counts as wrong, those about speed aside.

use std::collections::{BTreeMap, BTreeSet};

use domain::ids::{AssetId, AssetKey, Category, Class};
use domain::rules::{Condition, FactName, Level, Rule, Side};
use domain::site::{Asset, Bay, Bin, Kind as AssetKind, Site};
use domain::time::Span;
use serde::Serialize;

use super::sensors::{Measured, Report, reports};
use super::street::{BAYS, BINS, bay_id, bin_id};
use super::world::{Spot, World};

/// The kinds of problems that are planted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// A car stays longer than its bay allows.
    Overstay,
    /// A bin is filled to its mark.
    BinFull,
    /// Nothing is heard of a sensor.
    SensorSilent,
}

/// One planted problem. Times count from the start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Its kind.
    pub kind: Kind,
    /// The category of the rule that must find it.
    pub category: Category,
    /// Where.
    pub asset: AssetKey,
    /// When the rule must find it.
    pub due: Span,
    /// When the rule must find it gone; `None`: not before the end.
    pub over: Option<Span>,
    /// Whether it might be found or not: a silent sensor hid part of it, or it ended just as it began.
    pub doubtful: bool,
}

/// How many times something must and may have happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Bounds {
    /// At least.
    pub min: u64,
    /// At most.
    pub max: u64,
}

impl Bounds {
    fn add(&mut self, sure: bool) {
        self.min += u64::from(sure);
        self.max += 1;
    }

    /// Whether `count` lies within.
    #[must_use]
    pub fn hold(self, count: u64) -> bool {
        (self.min..=self.max).contains(&count)
    }
}

/// What must have become of one problem of one asset.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Expected {
    /// Its kind.
    pub kind: Kind,
    /// How often it was found: raised, or reopened.
    pub found: Bounds,
    /// How often it was found gone.
    pub cleared: Bounds,
}

/// Everything that must come of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// Every planted problem that begins before the end, by time.
    pub problems: Vec<Problem>,
    /// How much a ticket may be late, or a time be off.
    pub slack: Span,
    /// The length of the run.
    pub until: Span,
    /// Categories that this street may raise by chance.
    pub by_chance: BTreeSet<Category>,
}

/// How much a ticket may be late: some seconds of the street for the sensors, and two real seconds for
/// everything that does not run faster with the clock.
#[must_use]
pub fn slack(speed: u32) -> Span {
    Span::from_secs(20).saturating_add(Span::from_secs(2).saturating_mul(u64::from(speed)))
}

impl Plan {
    /// What must come of the street of `world` within `until`, in a box configured as `site`.
    #[must_use]
    pub fn new(world: &World, site: &Site, until: Span, slack: Span) -> Plan {
        let horizon = until.saturating_add(slack);
        let mut plan = Plan { problems: Vec::new(), slack, until, by_chance: BTreeSet::new() };
        for (spot, key) in spots() {
            let Some(asset) = site.assets.get(&key) else { continue };
            let sent: Vec<Report> =
                reports(world, spot).take_while(|report| report.at <= horizon).collect();
            for rule in site.rules.iter().filter(|rule| rule.class == key.class) {
                let (kind, found) = find(rule, asset, &sent, horizon, slack);
                let problem = |Found { due, over, doubtful }| Problem {
                    kind,
                    category: rule.category.clone(),
                    asset: key.clone(),
                    due,
                    over,
                    doubtful,
                };
                plan.problems.extend(found.into_iter().map(problem));
            }
        }
        plan.problems.retain(|problem| problem.due <= horizon);
        plan.problems.sort_by(|a, b| (a.due, &a.asset).cmp(&(b.due, &b.asset)));
        let by_chance = site.rules.iter().filter(|rule| is_by_chance(rule));
        plan.by_chance = by_chance.map(|rule| rule.category.clone()).collect();
        plan
    }

    /// Whether the problem must have been found by the end.
    #[must_use]
    pub fn required(&self, problem: &Problem) -> bool {
        !problem.doubtful && problem.due.saturating_add(self.slack) <= self.until
    }

    /// What must have become of each problem of each asset.
    #[must_use]
    pub fn expected(&self) -> BTreeMap<(Category, AssetKey), Expected> {
        let mut all = BTreeMap::new();
        for problem in &self.problems {
            let key = (problem.category.clone(), problem.asset.clone());
            let fresh = Expected {
                kind: problem.kind,
                found: Bounds::default(),
                cleared: Bounds::default(),
            };
            let expected = all.entry(key).or_insert(fresh);
            expected.found.add(self.required(problem));
            if let Some(over) = problem.over {
                let sure = self.required(problem) && over.saturating_add(self.slack) <= self.until;
                expected.cleared.add(sure);
            }
        }
        all
    }
}

/// Every spot with its name in the configuration.
fn spots() -> impl Iterator<Item = (Spot, AssetKey)> {
    let key = |class, id: &str| {
        AssetKey::new(class, AssetId::new(id).expect("the ids of the street are ids"))
    };
    let bays = (0..BAYS.len()).map(move |i| (Spot::Bay(i), key(Class::Bay, &bay_id(i))));
    let bins = (0..BINS.len()).map(move |i| (Spot::Bin(i), key(Class::Bin, &bin_id(i))));
    bays.chain(bins)
}

struct Found {
    due: Span,
    over: Option<Span>,
    doubtful: bool,
}

fn find(
    rule: &Rule,
    asset: &Asset,
    sent: &[Report],
    horizon: Span,
    slack: Span,
) -> (Kind, Vec<Found>) {
    match (&rule.when, &asset.kind) {
        (Condition::Overstay { grace }, AssetKind::Bay(bay)) => {
            (Kind::Overstay, overstays(bay, *grace, sent, horizon, slack))
        }
        (Condition::Silent { after }, AssetKind::Bay(Bay { stale_after, .. }))
        | (Condition::Silent { after }, AssetKind::Bin(Bin { stale_after, .. })) => {
            (Kind::SensorSilent, silences(after.unwrap_or(*stale_after), sent, horizon, slack))
        }
        (Condition::Threshold { fact: FactName::LevelPct, .. }, AssetKind::Bin(bin)) => {
            (Kind::BinFull, crossings(&rule.when, bin, sent))
        }
        _ => (Kind::BinFull, Vec::new()),
    }
}

/// Whether what the rule finds is planted by nobody: what becomes of vehicles and of streets to be swept is
/// the round's, and whether a bin waits for its planned collection is between two dice.
fn is_by_chance(rule: &Rule) -> bool {
    let Condition::Threshold { fact, .. } = rule.when else { return false };
    matches!(rule.class, Class::Vehicle | Class::Street)
        || matches!(fact, FactName::CollectionLateH | FactName::MissedCollection)
}

/// A car that is reported from one report to another for longer than allowed.
fn overstays(bay: &Bay, grace: Span, sent: &[Report], horizon: Span, slack: Span) -> Vec<Found> {
    let Some(max) = bay.max_stay else { return Vec::new() };
    let limit = max.saturating_add(grace);
    let mut found = Vec::new();
    let mut stay: Option<(Span, bool)> = None;
    let mut before = Span::ZERO;
    let mut close = |(since, hidden): (Span, bool), left: Option<Span>| {
        let due = since.saturating_add(limit);
        let longer = |than: Span| left.is_none_or(|left| left > than);
        if longer(Span::from_ms(due.as_ms().saturating_sub(slack.as_ms()))) {
            let over = left.map(|left| left.saturating_add(bay.free_after));
            let doubtful = hidden || !longer(due.saturating_add(slack));
            found.push(Found { due, over, doubtful });
        }
    };
    let hidden_by = |quiet_from: Span, to: Span| {
        let quiet = Span::from_ms(to.as_ms() - quiet_from.as_ms());
        quiet.saturating_add(slack) > bay.stale_after
    };
    for report in sent {
        let Measured::Bay { occupied, .. } = report.measured else { continue };
        let hidden = hidden_by(before, report.at);
        before = report.at;
        stay = match (stay, occupied) {
            (None, true) => Some((report.at, hidden)),
            (Some((since, was)), true) => Some((since, was || hidden)),
            (Some((since, was)), false) => {
                close((since, was || hidden), Some(report.at));
                None
            }
            (None, false) => None,
        };
    }
    if let Some((since, was)) = stay {
        close((since, was || hidden_by(before, horizon)), None);
    }
    found
}

/// A gap between two reports, or after the last one.
fn silences(after: Span, sent: &[Report], horizon: Span, slack: Span) -> Vec<Found> {
    let mut found = Vec::new();
    let starts = std::iter::once(Span::ZERO).chain(sent.iter().map(|report| report.at));
    let ends = sent.iter().map(|report| Some(report.at)).chain([None]);
    for (from, to) in starts.zip(ends) {
        let gap = to.unwrap_or(horizon).as_ms() - from.as_ms();
        if gap.saturating_add(slack.as_ms()) > after.as_ms() {
            let doubtful = to.is_some() && gap <= after.as_ms().saturating_add(slack.as_ms());
            found.push(Found { due: from.saturating_add(after), over: to, doubtful });
        }
    }
    found
}

/// Levels that cross the mark often enough and for long enough, until they are below the other mark.
fn crossings(condition: &Condition, bin: &Bin, sent: &[Report]) -> Vec<Found> {
    let Condition::Threshold { side, raise_at, clear_at, hold, readings, .. } = *condition else {
        return Vec::new();
    };
    let (raise_at, clear_at) = (mark(raise_at, bin), mark(clear_at, bin));
    let beyond = |level: i64, mark: i64| match side {
        Side::Above => level >= mark,
        Side::Below => level <= mark,
    };
    let mut found: Vec<Found> = Vec::new();
    let (mut raised, mut count, mut since) = (false, 0, Span::ZERO);
    for report in sent {
        let Measured::Bin { distance_mm } = report.measured else { continue };
        let level = level(distance_mm, bin);
        if raised {
            // On the other side of the clear mark, or on it.
            if level == clear_at || !beyond(level, clear_at) {
                found.last_mut().expect("it was raised").over = Some(report.at);
                (raised, count) = (false, 0);
            }
            continue;
        }
        // What was counted often enough may have held for long enough since.
        let held = since.saturating_add(hold);
        if count >= readings.max(1) && held <= report.at {
            found.push(Found { due: held, over: None, doubtful: false });
            (raised, count) = (true, 0);
            continue;
        }
        if !beyond(level, raise_at) {
            count = 0;
            continue;
        }
        if count == 0 {
            since = report.at;
        }
        count += 1;
        if count >= readings.max(1) && since.saturating_add(hold) <= report.at {
            found.push(Found { due: report.at, over: None, doubtful: false });
            (raised, count) = (true, 0);
        }
    }
    found
}

/// A mark in thousandths of a percent.
fn mark(level: Level, bin: &Bin) -> i64 {
    match level {
        Level::Milli(value) => value,
        Level::FullAt => i64::from(bin.full_at.get()) * 100,
        Level::ClearAt => i64::from(bin.clear_at.get()) * 100,
    }
}

/// The level in thousandths of a percent, rounded to a tenth of a percent as it is published.
fn level(distance_mm: u32, bin: &Bin) -> i64 {
    let depth = f64::from(bin.empty.0) - f64::from(bin.full.0);
    let height = f64::from(bin.empty.0) - f64::from(distance_mm);
    // A level is at most some thousand.
    ((height / depth * 1000.0).round().clamp(0.0, 1000.0) as i64) * 100
}

#[cfg(test)]
pub(super) mod tests {
    use domain::ids::{BoxId, RuleId, SiteId, TenantId};
    use domain::rules::{Handling, Severity};
    use domain::site::{BayPolicy, Identity, Sensing, Service, TicketPolicy};
    use domain::units::{Millimetres, Permille};
    use proptest::prelude::*;

    use super::*;
    use crate::demo::street::{BIN_EMPTY_MM, BIN_FULL_MM, SILENT_AFTER};
    use crate::demo::world::Stay;

    const GRACE: Span = Span::from_mins(5);
    const SLACK: Span = Span::from_secs(60);

    fn rule(id: &str, class: Class, category: &str, when: Condition) -> Rule {
        Rule {
            id: RuleId::new(id).unwrap(),
            version: 1,
            class,
            category: Category::new(category).unwrap(),
            severity: Severity::Medium,
            when,
            handling: Handling::default(),
        }
    }

    /// The street's assets with rules as a box has them.
    pub(crate) fn site() -> Site {
        let full = Condition::Threshold {
            fact: FactName::LevelPct,
            side: Side::Above,
            raise_at: Level::FullAt,
            clear_at: Level::ClearAt,
            hold: Span::ZERO,
            readings: 2,
        };
        let silent = Condition::Silent { after: None };
        let assets = spots().map(|(spot, key)| {
            let kind = match spot {
                Spot::Bay(i) => AssetKind::Bay(Bay {
                    max_stay: Some(BAYS[i].max_stay),
                    occupied_after: Span::from_secs(60),
                    free_after: Span::from_secs(20),
                    stale_after: SILENT_AFTER,
                    policy: BayPolicy::default(),
                }),
                Spot::Bin(_) => AssetKind::Bin(Bin {
                    empty: Millimetres(BIN_EMPTY_MM),
                    full: Millimetres(BIN_FULL_MM),
                    full_at: Permille::from_percent(80),
                    clear_at: Permille::from_percent(60),
                    capacity_l: Some(240),
                    stale_after: SILENT_AFTER,
                    sensing: Sensing::default(),
                    service: Service::default(),
                }),
            };
            let asset = Asset {
                names: BTreeMap::from([("zh".into(), "泊位".into()), ("en".into(), "bay".into())]),
                position: None,
                street: None,
                feeds: vec![],
                kind,
            };
            (key, asset)
        });
        Site {
            identity: Identity {
                tenant: TenantId::new("longcheng").unwrap(),
                site: SiteId::new("xuejia").unwrap(),
                id: BoxId::new("demo").unwrap(),
            },
            assets: assets.collect(),
            rules: vec![
                rule("over", Class::Bay, "overstay", Condition::Overstay { grace: GRACE }),
                rule("full", Class::Bin, "bin_full", full),
                rule("bay-silent", Class::Bay, "sensor_silent", silent.clone()),
                rule("bin-silent", Class::Bin, "sensor_silent", silent),
            ],
            tickets: TicketPolicy::default(),
            calendar: domain::calendar::Calendar::default(),
            parking: domain::site::Parking::default(),
        }
    }

    fn plan(seed: u64, until: Span) -> Plan {
        Plan::new(&World::new(seed), &site(), until, SLACK)
    }

    fn spot_of(key: &AssetKey) -> Spot {
        spots().find(|(_, k)| k == key).unwrap().0
    }

    /// The stay that was going on at `t`.
    fn stay_at(world: &World, bay: usize, t: Span) -> Option<Stay> {
        let stay = world.stays(bay).find(|stay| stay.leave > t)?;
        (stay.arrive <= t).then_some(stay)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn every_required_problem_follows_from_the_truth(seed: u64, hours in 1u64..48) {
            let world = World::new(seed);
            let plan = plan(seed, Span::from_mins(60 * hours));
            for problem in plan.problems.iter().filter(|p| plan.required(p)) {
                match (problem.kind, spot_of(&problem.asset)) {
                    (Kind::Overstay, Spot::Bay(bay)) => {
                        let stay = stay_at(&world, bay, problem.due).expect("somebody stands there");
                        let limit = BAYS[bay].max_stay.saturating_add(GRACE);
                        prop_assert!(stay.over);
                        prop_assert!(stay.arrive.saturating_add(limit) <= problem.due);
                    }
                    (Kind::BinFull, Spot::Bin(bin)) => {
                        let filling = world.fillings(bin).find(|f| f.until > problem.due).unwrap();
                        prop_assert!(filling.level_at(problem.due) > 775.0);
                    }
                    (Kind::SensorSilent, spot) => {
                        let outage = world.outages(spot).find(|o| o.until > problem.due).unwrap();
                        prop_assert!(outage.from <= problem.due);
                    }
                    other => return Err(TestCaseError::fail(format!("{other:?}"))),
                }
            }
        }

        #[test]
        fn every_planted_truth_that_could_be_seen_is_in_the_plan(seed: u64) {
            let world = World::new(seed);
            let until = Span::from_mins(12 * 60);
            let plan = plan(seed, until);
            let planned = |kind, key: &AssetKey, from: Span, to: Span| {
                let fits = |p: &&Problem| p.kind == kind && p.asset == *key;
                plan.problems.iter().filter(fits).any(|p| from <= p.due && p.due <= to)
            };
            for (spot, key) in spots() {
                let hidden = |from: Span, to: Span| {
                    let margin = SILENT_AFTER.saturating_mul(2);
                    world.outages(spot).take_while(|o| o.from <= to).any(|o| {
                        o.until.saturating_add(margin) >= from
                    })
                };
                match spot {
                    Spot::Bay(bay) => for stay in world.stays(bay).take_while(|s| s.leave < until) {
                        if stay.over && !hidden(stay.arrive, stay.leave) {
                            prop_assert!(planned(Kind::Overstay, &key, stay.arrive, stay.leave));
                        }
                    },
                    Spot::Bin(bin) => for f in world.fillings(bin).take_while(|f| f.until < until) {
                        if f.over && !hidden(f.from, f.until) {
                            prop_assert!(planned(Kind::BinFull, &key, f.from, f.until));
                        }
                    },
                }
                for outage in world.outages(spot).take_while(|o| o.until < until) {
                    let heard_by = outage.until.saturating_add(SILENT_AFTER);
                    prop_assert!(planned(Kind::SensorSilent, &key, outage.from, heard_by));
                }
            }
        }

        #[test]
        fn the_first_simulated_hour_must_show_each_kind(seed: u64) {
            let plan = plan(seed, Span::from_mins(60));
            let required: Vec<&Problem> =
                plan.problems.iter().filter(|p| plan.required(p)).collect();
            for kind in [Kind::Overstay, Kind::BinFull, Kind::SensorSilent] {
                let cleared = |p: &&&Problem| p.over.is_some_and(|over| over < Span::from_mins(58));
                let of_kind: Vec<_> = required.iter().filter(|p| p.kind == kind).collect();
                prop_assert!(of_kind.len() >= 2, "{:?} {:?}", kind, of_kind);
                prop_assert!(of_kind.iter().copied().any(|p| cleared(&p)), "{:?} {:?}", kind, of_kind);
            }
            let first = required.iter().map(|p| p.due).min().unwrap();
            prop_assert!(first <= Span::from_mins(8), "the first ticket comes at {}", first);
        }

        #[test]
        fn a_longer_run_keeps_what_a_shorter_one_required(seed: u64, minutes in 10u64..600) {
            let short = plan(seed, Span::from_mins(minutes)).expected();
            let long = plan(seed, Span::from_mins(minutes + 60)).expected();
            for (key, expected) in &short {
                if expected.found.min > 0 {
                    prop_assert!(long[key].found.min >= expected.found.min);
                }
            }
        }
    }

    fn bins(levels: &[(u64, u32)]) -> Vec<Report> {
        let report = |&(minute, percent): &(u64, u32)| Report {
            at: Span::from_mins(minute),
            measured: Measured::Bin { distance_mm: BIN_EMPTY_MM - percent * 10 },
            temperature_mc: 27_000,
        };
        levels.iter().map(report).collect()
    }

    #[test]
    fn a_level_must_be_over_the_mark_often_enough_and_clears_below_the_other() {
        let site = site();
        let AssetKind::Bin(bin) = &site.assets.iter().last().unwrap().1.kind else { panic!() };
        let sent = bins(&[(0, 79), (1, 85), (2, 70), (3, 80), (4, 81), (5, 61), (6, 60), (7, 90)]);
        let found = crossings(&site.rules[1].when, bin, &sent);
        let seen: Vec<_> = found.iter().map(|f| (f.due, f.over)).collect();
        assert_eq!(seen, [(Span::from_mins(4), Some(Span::from_mins(6)))]);
    }

    #[test]
    fn a_mark_that_must_be_held_is_found_when_it_was_held() {
        let site = site();
        let AssetKind::Bin(bin) = &site.assets.iter().last().unwrap().1.kind else { panic!() };
        let Condition::Threshold { fact, side, raise_at, clear_at, .. } = site.rules[1].when else {
            panic!()
        };
        let hold = Span::from_mins(10);
        let held = Condition::Threshold { fact, side, raise_at, clear_at, hold, readings: 1 };
        let sent = bins(&[(0, 85), (5, 85), (12, 85), (20, 10)]);
        let found = crossings(&held, bin, &sent);
        assert_eq!(found.iter().map(|f| f.due).collect::<Vec<_>>(), [Span::from_mins(10)]);
        let broken = bins(&[(0, 85), (5, 70), (12, 85), (20, 85)]);
        assert!(crossings(&held, bin, &broken).is_empty());
    }

    #[test]
    fn silence_counts_from_the_start_and_to_the_end() {
        let after = Span::from_mins(15);
        let none = silences(after, &[], Span::from_mins(30), SLACK);
        assert_eq!(none.iter().map(|f| (f.due, f.over)).collect::<Vec<_>>(), [(after, None)]);
        let sent = bins(&[(5, 10), (10, 10)]);
        assert!(silences(after, &sent, Span::from_mins(20), SLACK).is_empty());
        let late = bins(&[(5, 10), (40, 10)]);
        let found = silences(after, &late, Span::from_mins(41), SLACK);
        let seen: Vec<_> = found.iter().map(|f| (f.due, f.over)).collect();
        assert_eq!(seen, [(Span::from_mins(20), Some(Span::from_mins(40)))]);
    }
}
