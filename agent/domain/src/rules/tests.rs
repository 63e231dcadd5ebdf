//! Every condition with what makes it true and what ends it; what is put together from them; and that what a
//! rule remembers is bounded and outlives a restart.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::tz::TimeZone;
use proptest::prelude::*;

use super::*;
use crate::calendar::{Calendar, DayClasses, Period, TimeOfDay};
use crate::ids::{AssetId, AssetKey, DeviceKey, SourceName};
use crate::output::Record;
use crate::place::{Datum, Position};
use crate::sample::{Detection, Object};
use crate::site::{Asset, Bay, BayPolicy, Bin, Feed, Identity, Kind, Sensing, Service, Site};
use crate::sweeping::{Zone, ZoneKind};
use crate::time::{Boot, ClockQuality, Moment, Monotonic, Span, Utc};
use crate::units::{Millimetres, Permille};

fn mins(n: u64) -> Span {
    Span::from_mins(n)
}

fn asset(kind: Kind) -> Asset {
    let source = SourceName::new("s").unwrap();
    let feeds = vec![Feed { source, device: Some(DeviceKey::new("d").unwrap()) }];
    Asset { names: BTreeMap::new(), position: None, street: None, feeds, kind }
}

fn bin() -> Asset {
    asset(Kind::Bin(Bin {
        empty: Millimetres(1000),
        full: Millimetres(0),
        full_at: Permille::from_percent(85),
        clear_at: Permille::from_percent(60),
        capacity_l: None,
        stale_after: mins(120),
        sensing: Sensing::default(),
        service: Service::default(),
    }))
}

fn bay() -> Asset {
    asset(Kind::Bay(Bay {
        max_stay: Some(mins(60)),
        occupied_after: mins(1),
        free_after: mins(1),
        stale_after: mins(120),
        policy: BayPolicy::default(),
    }))
}

fn rule(class: Class, when: Condition) -> Rule {
    Rule {
        id: RuleId::new("r").unwrap(),
        version: 1,
        class,
        category: Category::new("c").unwrap(),
        severity: Severity::Medium,
        when,
        handling: Handling::default(),
    }
}

fn calendar() -> Calendar {
    Calendar::new(TimeZone::posix("CST-8").unwrap())
}

/// What is found, as minutes: positive when raised, negative when cleared (at 0: -1 000 000).
fn found(when: Condition, rows: Vec<Row>, until: u64) -> Vec<(u64, Edge)> {
    let bays = when
        .leaves()
        .iter()
        .any(|leaf| matches!(leaf, Condition::Overstay { .. } | Condition::Sees { .. }));
    let (class, asset) = if bays { (Class::Bay, bay()) } else { (Class::Bin, bin()) };
    // Monday.
    let start = Utc::parse("2026-06-01T00:00:00+08:00").unwrap();
    let example = Example { start, rows, until: mins(until) };
    let found = try_out(&rule(class, when), &asset, &calendar(), &example);
    for outcome in &found {
        assert!(!outcome.evidence.is_empty(), "{outcome:?}");
    }
    found.into_iter().map(|o| (o.at.as_secs() / 60, o.edge)).collect()
}

fn values(fact: FactName, rows: &[(u64, i64)]) -> Vec<Row> {
    let row = |(at, value): &(u64, i64)| Row {
        at: mins(*at),
        facts: vec![Fact::Value(fact, value * 1000)],
        heard: true,
    };
    rows.iter().map(row).collect()
}

use Edge::{Clear, Raise};
use FactName::{Burning, LevelPct, LidOpen, TemperatureC};

fn above(fact: FactName, raise: i64, clear: i64, hold: u64, readings: u32) -> Condition {
    Condition::Threshold {
        fact,
        side: Side::Above,
        raise_at: Level::Milli(raise * 1000),
        clear_at: Level::Milli(clear * 1000),
        hold: mins(hold),
        readings,
    }
}

#[test]
fn above_for_a_time_and_outside_a_window() {
    let rows = values(LevelPct, &[(0, 90), (10, 50), (20, 90), (30, 88), (60, 70), (70, 60)]);
    assert_eq!(found(above(LevelPct, 85, 60, 30, 1), rows, 90), [(50, Raise), (70, Clear)]);
    let fire = values(Burning, &[(5, 1), (6, 0)]);
    let hesitant = above(Burning, 1, 0, 30, 3);
    assert_eq!(found(hesitant, fire, 9), [(5, Raise), (6, Clear)], "nothing delays a fire");
    let window = Condition::Outside {
        fact: TemperatureC,
        from: -10_000,
        to: 50_000,
        margin: 2000,
        hold: Span::ZERO,
        readings: 1,
    };
    let rows = values(TemperatureC, &[(0, 20), (1, -11), (2, -9), (3, -8), (4, 51), (5, 48)]);
    assert_eq!(found(window, rows, 5), [(1, Raise), (3, Clear), (4, Raise), (5, Clear)]);
}

#[test]
fn a_change_counts_inside_its_time_and_ends_with_it() {
    let rises = |side| Condition::Change {
        fact: TemperatureC,
        side,
        by: 10_000,
        clear_by: 5000,
        within: mins(5),
    };
    // Nine degrees in five minutes, then ten; five minutes after the last low one, at 7, it is over.
    let rows = values(TemperatureC, &[(0, 20), (5, 29), (7, 32), (10, 39), (11, 39), (14, 39)]);
    assert_eq!(found(rises(Side::Above), rows.clone(), 30), [(10, Raise), (12, Clear)]);
    assert_eq!(found(rises(Side::Below), rows, 30), []);
    let rows = values(TemperatureC, &[(0, 40), (4, 30)]);
    assert_eq!(found(rises(Side::Below), rows, 30), [(4, Raise), (5, Clear)]);
}

#[test]
fn a_fact_is_missing_though_the_asset_is_heard() {
    let missing = Condition::Missing { fact: LevelPct, after: mins(60) };
    let mut rows = values(LevelPct, &[(0, 10), (30, 11)]);
    rows.extend(values(TemperatureC, &[(60, 20), (100, 20)]));
    rows.extend(values(LevelPct, &[(120, 12)]));
    assert_eq!(found(missing.clone(), rows, 150), [(90, Raise), (120, Clear)]);
    assert_eq!(found(missing, vec![], 70), [(60, Raise)], "never told");
}

#[test]
fn what_is_told_and_does_not_move_is_stuck_and_what_is_silent_is_not() {
    let stuck = Condition::Stuck { fact: LevelPct, band: 1000, after: mins(60) };
    let rows = values(LevelPct, &[(0, 40), (30, 41), (59, 40), (61, 39), (70, 40), (80, 45)]);
    assert_eq!(found(stuck.clone(), rows, 300), [(61, Raise), (80, Clear)]);
    let rows = values(LevelPct, &[(0, 40), (10, 40)]);
    assert_eq!(found(stuck, rows, 300), []);
}

fn square() -> Area {
    let corner = |lat, lon| Position::from_degrees(lat, lon, Datum::Wgs84).unwrap();
    let corners = [
        corner(31.81, 119.97),
        corner(31.81, 119.98),
        corner(31.82, 119.98),
        corner(31.82, 119.97),
    ];
    Area(Arc::new(Zone::new("yard", ZoneKind::Work, &corners).unwrap()))
}

#[test]
fn inside_and_outside_of_an_area_and_too_near_to_say() {
    let at = |minute, lat, doubt| Row {
        at: mins(minute),
        facts: vec![Fact::At(Position::from_degrees(lat, 119.975, Datum::Wgs84).unwrap(), doubt)],
        heard: true,
    };
    let rows = vec![
        at(0, 31.815, 10.0),
        // Fifty metres outside, known to a hundred.
        at(10, 31.8205, 100.0),
        at(20, 31.83, 10.0),
        at(30, 31.83, 10.0),
        at(40, 31.815, 10.0),
    ];
    let out = |inside| Condition::InArea { area: square(), inside, hold: mins(5) };
    assert_eq!(found(out(false), rows.clone(), 60), [(25, Raise), (40, Clear)]);
    assert_eq!(found(out(true), rows, 60), [(5, Raise), (20, Clear), (45, Raise)]);
}

#[test]
fn what_happens_too_often_is_counted_by_its_beginnings() {
    let often = Condition::Count {
        fact: LidOpen,
        side: Side::Above,
        at: 1000,
        times: 3,
        clear_times: 1,
        within: mins(60),
    };
    // Told again and again while it is open: that is once.
    let rows = values(
        LidOpen,
        &[(0, 0), (1, 1), (2, 1), (3, 1), (4, 0), (20, 1), (21, 0), (40, 1), (41, 0)],
    );
    // One of the three is left an hour after the second.
    assert_eq!(found(often, rows, 200), [(40, Raise), (80, Clear)]);
}

#[test]
fn what_goes_on_as_it_did_will_be_reached_in_time() {
    let soon = Condition::Forecast {
        fact: LevelPct,
        side: Side::Above,
        reaches: 95_000,
        within: mins(120),
        over: mins(180),
    };
    // Ten percent an hour, with a stray echo: 95 % is two hours from 75 %.
    let rows = [(0, 35), (60, 45), (120, 55), (150, 5), (180, 65), (239, 74), (240, 75), (300, 85)];
    let mut rows = values(LevelPct, &rows);
    rows.extend(values(LevelPct, &[(310, 5), (320, 5), (330, 5), (340, 5), (350, 5)]));
    let found = found(soon, rows, 400);
    assert_eq!(found[0], (240, Raise));
    assert_eq!(found.len(), 2, "{found:?}");
    assert!(found[1].1 == Clear && found[1].0 > 300, "{found:?}");
}

#[test]
fn a_camera_sees_something_for_as_long_as_it_must() {
    let sees = Condition::Sees { what: Object::Truck, confidence: 600, dwell: mins(3) };
    let saw = |minute, what, percent| Row {
        at: mins(minute),
        facts: vec![Fact::Seen(Detection { what, confidence: Permille::from_percent(percent) })],
        heard: true,
    };
    let truck = Some(Object::Truck);
    let rows = vec![
        saw(0, truck, 80),
        saw(2, None, 90),
        // Unsure says nothing, and ten minutes without a sight begin anew.
        saw(10, truck, 80),
        saw(11, truck, 30),
        saw(20, truck, 80),
        saw(22, truck, 80),
        saw(23, truck, 80),
        saw(25, Some(Object::Car), 80),
    ];
    assert_eq!(found(sees, rows, 60), [(23, Raise), (25, Clear)]);
}

fn night() -> Schedule {
    let period =
        Period { from: TimeOfDay::parse("02:00").unwrap(), to: TimeOfDay::parse("04:00").unwrap() };
    Schedule { periods: vec![period], days: DayClasses::ALL }
}

#[test]
fn conditions_together() {
    let full = || above(LevelPct, 85, 60, 0, 1);
    let open = || above(LidOpen, 1, 0, 0, 1);
    let night = || Condition::During(night());
    let rows = values(LevelPct, &[(30, 90), (60, 50), (90, 90)]);
    let both = Condition::All(vec![full(), night()]);
    // From two to four at night while it is full; four o'clock ends it.
    assert_eq!(found(both, rows.clone(), 300), [(120, Raise), (240, Clear)]);
    let either = Condition::Any(vec![full(), night()]);
    assert_eq!(found(either, rows.clone(), 300), [(30, Raise), (60, Clear), (90, Raise)]);
    let by_day = Condition::All(vec![full(), Condition::Not(Box::new(night()))]);
    let expected = [(30, Raise), (60, Clear), (90, Raise), (120, Clear), (240, Raise)];
    assert_eq!(found(by_day, rows, 300), expected);
    // Nobody knows of the lid: neither open nor not.
    let shut = Condition::All(vec![full(), Condition::Not(Box::new(open()))]);
    let mut rows = values(LevelPct, &[(0, 90)]);
    assert_eq!(found(shut.clone(), rows.clone(), 60), []);
    rows.extend(values(LidOpen, &[(10, 0), (20, 1)]));
    assert_eq!(found(shut, rows, 60), [(10, Raise), (20, Clear)]);
}

#[test]
fn a_report_with_several_facts_is_one_moment() {
    let hot = above(TemperatureC, 50, 40, 0, 1);
    let both = Condition::All(vec![above(LevelPct, 85, 60, 0, 1), hot]);
    let report = |minute, level: i64, degrees: i64| Row {
        at: mins(minute),
        facts: vec![Fact::Value(LevelPct, level * 1000), Fact::Value(TemperatureC, degrees * 1000)],
        heard: true,
    };
    let rows = vec![report(0, 10, 60), report(10, 90, 20), report(20, 90, 60)];
    assert_eq!(found(both, rows, 30), [(20, Raise)]);
}

#[test]
fn stays_and_silences_are_as_ever() {
    let over = Condition::Overstay { grace: mins(5) };
    let rows = values(FactName::Occupied, &[(0, 0), (10, 1), (60, 1), (90, 0)]);
    assert_eq!(found(over, rows, 200), [(75, Raise), (90, Clear)]);
    let silent = Condition::Silent { after: None };
    let rows = values(LevelPct, &[(10, 50), (200, 50)]);
    assert_eq!(found(silent, rows, 250), [(130, Raise), (200, Clear)]);
}

#[test]
fn what_is_written_down_beside_the_condition() {
    let mut rule = rule(Class::Bin, above(LevelPct, 85, 60, 0, 1));
    rule.handling.evidence = vec![TemperatureC, FactName::BatteryPct];
    let mut rows = values(TemperatureC, &[(0, 20), (5, 21)]);
    rows.extend(values(LevelPct, &[(10, 90)]));
    let start = Utc::parse("2026-06-01T00:00:00+08:00").unwrap();
    let example = Example { start, rows, until: mins(20) };
    let found = try_out(&rule, &bin(), &calendar(), &example);
    let texts: Vec<&str> = found[0].evidence.iter().map(|e| e.text.as_str()).collect();
    assert_eq!(texts, ["level_pct 90 %, at or above 85 %", "temperature_c 21 °C"]);
}

#[test]
fn conditions_in_words() {
    let full = Condition::Threshold {
        fact: LevelPct,
        side: Side::Above,
        raise_at: Level::FullAt,
        clear_at: Level::ClearAt,
        hold: Span::ZERO,
        readings: 2,
    };
    let night = Condition::During(night());
    let both = Condition::All(vec![full.clone(), Condition::Not(Box::new(night))]);
    assert_eq!(
        full.words(None),
        "level_pct is at or above the bin's full_at in 2 readings; over at or below the bin's clear_at"
    );
    assert_eq!(
        both.words(Some(&bin())),
        "(level_pct is at or above 85% in 2 readings; over at or below 60%) and (not (it is \
         02:00–04:00))"
    );
}

/// A box with one bin and one rule, through any history of reports and restarts.
struct Bench {
    site: Site,
    key: AssetKey,
    book: RuleBook,
    records: BTreeMap<String, Vec<u8>>,
    boot: u32,
    booted: u64,
    deadline: Option<Monotonic>,
    found: Vec<(u64, Edge)>,
}

impl Bench {
    fn new(when: Condition) -> Bench {
        let key = AssetKey::new(Class::Bin, AssetId::new("b").unwrap());
        let site = Site {
            identity: Identity {
                tenant: crate::ids::TenantId::new("t").unwrap(),
                site: crate::ids::SiteId::new("s").unwrap(),
                id: crate::ids::BoxId::new("b").unwrap(),
            },
            assets: [(key.clone(), bin())].into(),
            rules: vec![rule(Class::Bin, when)],
            tickets: Default::default(),
            calendar: calendar(),
            parking: Default::default(),
        };
        let book = RuleBook::new(&site);
        let (records, found) = (BTreeMap::new(), vec![]);
        let mut bench =
            Bench { site, key, book, records, boot: 1, booted: 0, deadline: None, found };
        bench.listen(0);
        bench
    }

    fn moment(&self, minute: u64) -> Moment {
        Moment {
            boot: Boot(self.boot),
            monotonic: Monotonic::from_ms((minute - self.booted) * 60_000),
            utc: Utc::parse("2026-06-01T00:00:00+08:00").unwrap() + mins(minute),
            clock: ClockQuality::Ntp,
        }
    }

    fn listen(&mut self, minute: u64) {
        let now = self.moment(minute);
        let deadlines = self.book.listen(&self.site, &self.key, Due::default(), now);
        self.deadline = deadlines.into_iter().find_map(|(_, at)| at);
    }

    fn restart(&mut self, minute: u64) {
        (self.boot, self.booted) = (self.boot + 1, minute);
        self.book = RuleBook::new(&self.site);
        for (key, value) in &self.records {
            let rest = key.strip_prefix("watch/").unwrap();
            assert!(self.book.restore(&self.site, rest, value), "{key}");
        }
        self.listen(minute);
    }

    fn pass(&mut self, minute: u64) {
        while let Some(at) = self.deadline.filter(|at| *at <= self.moment(minute).monotonic) {
            self.deadline = None;
            let at = self.moment(minute).at_instant(at);
            let seen = self.book.due(&self.site, (0, &self.key), Due::default(), at);
            self.take(seen);
        }
    }

    fn tell(&mut self, minute: u64, fact: FactName, value: i64) {
        self.pass(minute);
        let now = self.moment(minute);
        let facts = [Fact::Value(fact, value * 1000)];
        let seen = self.book.observe(&self.site, &self.key, &facts, Due::default(), (now, now));
        self.take(seen);
    }

    fn take(&mut self, seen: Seen) {
        for Record { key, value } in seen.records {
            match value {
                Some(value) => self.records.insert(key, value),
                None => self.records.remove(&key),
            };
        }
        if let Some((_, deadline)) = seen.deadlines.last() {
            self.deadline = *deadline;
        }
        let start = Utc::parse("2026-06-01T00:00:00+08:00").unwrap();
        let minute = |at: Moment| at.utc.since(start).as_secs() / 60;
        self.found.extend(seen.findings.iter().map(|f| (minute(f.at), f.edge)));
    }
}

/// Every condition that remembers readings, and some put together.
fn remembering() -> impl Strategy<Value = Condition> {
    let change = Condition::Change {
        fact: LevelPct,
        side: Side::Above,
        by: 20_000,
        clear_by: 5000,
        within: mins(45),
    };
    let count = Condition::Count {
        fact: LevelPct,
        side: Side::Above,
        at: 50_000,
        times: 3,
        clear_times: 1,
        within: mins(120),
    };
    let forecast = Condition::Forecast {
        fact: LevelPct,
        side: Side::Above,
        reaches: 90_000,
        within: mins(60),
        over: mins(180),
    };
    let stuck = Condition::Stuck { fact: LevelPct, band: 10_000, after: mins(90) };
    let single = vec![
        above(LevelPct, 80, 40, 30, 2),
        change,
        count,
        forecast,
        stuck,
        above(TemperatureC, 50, 40, 15, 1),
        Condition::During(night()),
    ];
    let leaf = prop::sample::select(single);
    leaf.prop_recursive(2, 6, 3, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 2..4).prop_map(Condition::All),
            prop::collection::vec(inner.clone(), 2..4).prop_map(Condition::Any),
            inner.prop_map(|part| Condition::Not(Box::new(part))),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    /// A rule finds the same at the same minutes whether the box is restarted or not, raises and clears in
    /// turn, and what it stores is bounded.
    #[test]
    fn restarts_change_nothing_and_memory_is_bounded(
        when in remembering(),
        history in prop::collection::vec((1u64..40, any::<bool>(), 0i64..100, any::<bool>()), 1..120),
    ) {
        let mut steady = Bench::new(when.clone());
        let mut shaken = Bench::new(when.clone());
        let mut minute = 0;
        for (pause, level, value, restart) in history {
            minute += pause;
            let fact = if level { LevelPct } else { TemperatureC };
            steady.tell(minute, fact, value);
            shaken.tell(minute, fact, value);
            if restart {
                shaken.restart(minute);
            }
            let stored: usize = shaken.records.values().map(Vec::len).sum();
            prop_assert!(stored <= 4096 * when.leaves().len(), "{stored} bytes for {when:?}");
        }
        steady.pass(minute + 1000);
        shaken.pass(minute + 1000);
        prop_assert_eq!(&steady.found, &shaken.found);
        let in_turn = steady.found.iter().enumerate().all(|(i, (_, edge))| {
            *edge == if i % 2 == 0 { Raise } else { Clear }
        });
        prop_assert!(in_turn, "{:?}", steady.found);
    }
}
