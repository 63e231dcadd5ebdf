//! The state of a bin.

use serde::{Deserialize, Serialize};

use super::emptying::{Collection, Emptying};
use super::figures::{EARLY_BELOW_PCT, Figures};
use super::filter::Median;
use super::forecast::{Forecast, Habits};
use super::heat::Heat;
use super::level::{blind_level, filling_level};
use super::trace::{DepositEvent, Lift, judge};
use crate::ids::AssetId;
use crate::place::Position;
use crate::rules::FactName;
use crate::sample::{Absent, Fix, Missing, NoData, Quantity};
use crate::site::Bin;
use crate::time::{Moment, Span, Utc};
use crate::units::{MilliCelsius, Permille};

/// What is known of a bin.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// Room for more.
    Ok,
    /// Filled to its mark, and not yet below the clear mark again.
    Full,
    /// Filled to the rim, or so near to the sensor that it sees nothing.
    Overflow,
    /// The lid stands open: the level cannot be measured.
    LidOpen,
    /// Lying or hanging at an angle: the level cannot be measured.
    Tilted,
    /// Not where it belongs.
    Moved,
    /// On fire.
    Burning,
    /// Nobody can tell.
    Unknown,
}

impl Status {
    /// Every status.
    pub const ALL: [Status; 8] = [
        Status::Ok,
        Status::Full,
        Status::Overflow,
        Status::LidOpen,
        Status::Tilted,
        Status::Moved,
        Status::Burning,
        Status::Unknown,
    ];
}

/// One bin.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Container {
    level: Option<Permille>,
    median: Median,
    /// Between its marks a bin is what it was.
    full: bool,
    full_at: Option<Moment>,
    overflow: bool,
    heat: Heat,
    tilted: bool,
    lid_open: bool,
    /// Tilted readings in a row that saw nothing where the bottom should be.
    gaping: u8,
    /// Positions in a row that are not the bin's.
    away: u8,
    /// Why there is no level, or why it is only a lower bound.
    reason: Option<NoData>,
    emptying: Emptying,
    habits: Habits,
    forecast: Option<Forecast>,
    heard: Option<Moment>,
}

/// The published state of a bin.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct BinState {
    level_pct: Option<f64>,
    status: Status,
    full_at: Option<Utc>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<NoData>,
    #[serde(skip_serializing_if = "Option::is_none")]
    temperature_c: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    last_collected: Option<Utc>,
    /// When the bin will reach its mark.
    #[serde(skip_serializing_if = "Option::is_none")]
    full_expected: Option<Forecast>,
}

/// What a report changed.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct Change {
    pub(crate) state: bool,
    /// The level that counts, where this report measured one.
    pub(crate) level: Option<Permille>,
    pub(crate) collection: Option<Collection>,
    pub(crate) deposits: Vec<DepositEvent>,
    /// What the day's figures grow by.
    pub(crate) figures: Figures,
    /// What rules may ask for, in thousandths of the fact's unit.
    pub(crate) facts: Vec<(FactName, i64)>,
}

impl Change {
    fn flag(&mut self, fact: FactName, yes: bool) {
        self.facts.push((fact, if yes { 1000 } else { 0 }));
    }
}

/// From this level on a bin overflows, ...
const OVERFLOW_FROM: Permille = Permille::from_percent(98);
/// ... until it is below this one.
const OVERFLOW_UNTIL: Permille = Permille::from_percent(95);
/// A bin that stood at least this high and is now too near to see is full or covered.
const BLIND_FROM: Permille = Permille::from_percent(70);
/// So many readings in a row tell a lid, or a place, from chance.
const IN_A_ROW: u8 = 2;
/// A forecast is news when it has moved by this much.
const FORECAST_STEP: Span = Span::from_mins(60);

impl Container {
    /// The status as it counts: danger before a fault, a fault before a level.
    #[must_use]
    pub fn status(&self) -> Status {
        match () {
            () if self.heat.is_fire() => Status::Burning,
            () if self.lid_open || self.gaping >= IN_A_ROW => Status::LidOpen,
            () if self.tilted => Status::Tilted,
            () if self.away >= IN_A_ROW => Status::Moved,
            () if self.level.is_none() => Status::Unknown,
            () if self.overflow => Status::Overflow,
            () if self.full => Status::Full,
            () => Status::Ok,
        }
    }

    /// The filling level, if it is known.
    #[must_use]
    pub fn level(&self) -> Option<Permille> {
        self.level
    }

    /// The level to be expected `ahead` of `at` if nobody empties the bin; `None` while too little is known.
    pub(crate) fn level_at(&self, at: Utc, ahead: Span) -> Option<Permille> {
        self.habits.expected(self.level?, at, ahead)
    }

    /// When the bin was last heard of.
    #[must_use]
    pub fn heard(&self) -> Option<Moment> {
        self.heard
    }

    /// The latest temperature at the sensor.
    #[must_use]
    pub(crate) fn temperature(&self) -> Option<MilliCelsius> {
        self.heat.latest()
    }

    /// What is published.
    #[must_use]
    pub fn view(&self) -> BinState {
        BinState {
            level_pct: self.level.map(Permille::percent),
            status: self.status(),
            full_at: self.full_at.map(|m| m.utc),
            reason: self.reason,
            temperature_c: self.heat.latest().map(|t| f64::from(t.0) / 1000.0),
            last_collected: self.emptying.last(),
            full_expected: self.forecast,
        }
    }

    /// A vehicle that empties bins is beside this one; answers whether it has just come.
    pub(crate) fn visited(&mut self, vehicle: &AssetId, at: Moment) -> bool {
        self.emptying.visited(vehicle, at, self.full)
    }

    /// A vehicle has lifted this bin.
    pub(crate) fn lifted(&mut self, vehicle: &AssetId, lift: Lift, at: Moment) {
        self.emptying.lifted(vehicle, lift, self.level, at);
    }

    /// Takes a report measured at `at` of a bin that belongs at `home`.
    pub(crate) fn report(
        &mut self,
        quantities: &[Quantity],
        at: Moment,
        home: Option<Position>,
        bin: &Bin,
    ) -> Change {
        let before = self.view();
        let mut change = Change::default();
        let late = self.heard.is_some_and(|h| at.measured_since(h) == Span::ZERO && at != h);
        for quantity in quantities {
            if let Quantity::Deposit(deposit) = *quantity {
                let service = &bin.service;
                let scale = service.scale_tolerance;
                let event = judge(deposit, service.waste, service.load_max, scale);
                change.figures.deposits += 1;
                change.figures.violations += u64::from(event.is_violation());
                let kind = deposit.kind.or(service.waste);
                if let (Some(kind), Some(weight)) = (kind, deposit.weight) {
                    *change.figures.deposited_g.entry(kind).or_default() += u64::from(weight.0);
                }
                change.deposits.push(event);
            }
        }
        if late {
            // Measured before the latest one: it belongs into the series, not into the present.
            return change;
        }
        let passed = self.heard.map_or(Span::ZERO, |heard| at.since(heard));
        if self.overflow && passed <= bin.stale_after {
            self.emptying.overflowed(passed);
            change.figures.overflow_ms = passed;
        }
        self.heard = Some(at);
        for quantity in quantities {
            self.signal(quantity, at, home, bin, &mut change);
        }
        if let Some(seen) = seen(quantities, self.temperature(), bin) {
            self.look(seen, at, bin, &mut change);
        }
        change.flag(FactName::Burning, self.heat.is_fire());
        change.state = self.view() != before;
        change
    }

    fn signal(
        &mut self,
        quantity: &Quantity,
        at: Moment,
        home: Option<Position>,
        bin: &Bin,
        change: &mut Change,
    ) {
        match *quantity {
            Quantity::Temperature(t) => self.heat.take(t, at, bin.sensing.fire_at),
            Quantity::Fire(yes) => self.heat.signal(yes),
            Quantity::Tilted(yes) => {
                self.tilted = yes;
                if !yes {
                    self.gaping = 0;
                }
                change.flag(FactName::Tilted, yes);
            }
            Quantity::LidOpen(yes) => {
                self.lid_open = yes;
                change.flag(FactName::LidOpen, yes);
            }
            Quantity::Fix(fix) => {
                let Some(away) = home.and_then(|home| is_away(fix, home, bin)) else { return };
                self.away = if away { self.away.saturating_add(1) } else { 0 };
                change.flag(FactName::Moved, self.away >= IN_A_ROW);
            }
            _ => {}
        }
    }

    /// Takes what the level sensor saw.
    fn look(&mut self, seen: Result<Permille, NoData>, at: Moment, bin: &Bin, change: &mut Change) {
        if self.tilted || self.lid_open {
            // What the sensor sees now is not the waste: the last level stands.
            self.emptying.disturbed();
            let gapes = matches!(seen, Err(NoData::NoTarget | NoData::OutOfRange));
            self.gaping = if gapes && self.tilted { self.gaping.saturating_add(1) } else { 0 };
            return;
        }
        let covered = self.level.is_some_and(|level| level >= BLIND_FROM);
        match seen {
            Err(NoData::TooClose) if covered => {
                let level = self.level.max(Some(blind_level(bin))).expect("it is covered");
                self.emptying.disturbed();
                self.take(level, at, bin);
                self.reason = Some(NoData::TooClose);
                self.overflow = true;
                change.level = Some(level);
            }
            Err(why) => self.lose(why),
            Ok(level) => {
                // A single echo, right after the sensor could not see, is nothing to fall from.
                let settled = self.median.is_settled(bin.sensing.median_of);
                let before = self.level.filter(|_| settled);
                let seen = self.emptying.take(level, before, at, bin);
                if seen.collection.is_some() {
                    self.median.keep_of(level);
                    self.habits.emptied(level, at.utc);
                }
                self.take(level, at, bin);
                change.level = self.level;
                self.expect(seen.falling, at, bin, change);
                for (fact, flag) in [
                    (FactName::NoLift, seen.no_lift),
                    (FactName::NoFall, seen.no_fall),
                    (FactName::MissedCollection, seen.missed),
                ] {
                    if let Some(yes) = flag {
                        change.flag(fact, yes);
                    }
                }
                if let Some(collection) = &seen.collection {
                    let early = collection.level_before_pct < EARLY_BELOW_PCT;
                    change.figures.collections = 1;
                    change.figures.early = u64::from(early);
                    change.figures.litres = collection.volume_l.map_or(0, u64::from);
                }
                change.collection = seen.collection;
            }
        }
        change.flag(FactName::SensorFault, change.level.is_none());
        if let Some(level) = change.level {
            change.facts.push((FactName::LevelPct, i64::from(level.get()) * 100));
            change.flag(FactName::Overflow, self.overflow);
        }
    }

    fn take(&mut self, measured: Permille, at: Moment, bin: &Bin) {
        let level = self.median.push(measured, bin.sensing.median_of);
        self.level = Some(level);
        self.reason = None;
        if level >= bin.full_at && !self.full {
            self.full = true;
            self.full_at = Some(at);
        } else if level < bin.clear_at || (level == bin.clear_at && bin.clear_at < bin.full_at) {
            self.full = false;
            self.full_at = None;
        }
        self.overflow = level >= OVERFLOW_FROM || (self.overflow && level >= OVERFLOW_UNTIL);
    }

    /// Learns from the level, and says whether the next planned collection comes in time.
    fn expect(&mut self, falling: bool, at: Moment, bin: &Bin, change: &mut Change) {
        let Some(level) = self.level.filter(|_| !falling) else { return };
        self.habits.take(level, at.utc);
        let full = self.habits.forecast(level, at.utc, bin.full_at).filter(|_| !self.full);
        let apart = |a: Utc, b: Utc| a.since(b).max(b.since(a));
        let moved = match (&full, &self.forecast) {
            (Some(new), Some(old)) => apart(new.at, old.at) >= FORECAST_STEP,
            (new, old) => new.is_some() != old.is_some(),
        };
        if moved {
            self.forecast = full;
        }
        let planned = bin.service.plan.as_ref().and_then(|plan| plan.next(at.utc));
        let over = self.habits.forecast(level, at.utc, OVERFLOW_FROM);
        if let (Some(planned), Some(over)) = (planned, over) {
            // One filling in ten is faster than the early end of the band: late enough to be worth a
            // ticket, early enough not to miss the overflow.
            let ms = planned.as_ms() - over.earliest.unwrap_or(over.at).as_ms();
            // Milliseconds to thousandths of an hour.
            change.facts.push((FactName::CollectionLateH, ms / 3600));
        }
    }

    /// The level can no longer be told. It is not kept, and it is not zero.
    fn lose(&mut self, why: NoData) {
        self.level = None;
        self.overflow = false;
        self.forecast = None;
        self.median.clear();
        self.reason = Some(why);
    }

    /// Nothing was heard for too long; answers whether that is news.
    pub(crate) fn silent(&mut self) -> bool {
        let news = self.reason != Some(NoData::Silent);
        self.lose(NoData::Silent);
        news
    }
}

/// What a thermometer in a bin can show, in thousandths of a degree Celsius. A fire melts it beyond.
const TEMPERATURE: std::ops::RangeInclusive<i32> = -60_000..=200_000;

/// Puts a reason in the place of every value that cannot be, and says in words what it was.
pub(crate) fn refuse(quantities: &mut [Quantity], bin: &Bin) -> Vec<String> {
    let mut refused = Vec::new();
    for quantity in quantities {
        let (what, words) = match *quantity {
            Quantity::Distance(d) if filling_level(d, None, bin) == Err(NoData::OutOfRange) => {
                (Missing::Distance, format!("a distance of {} mm cannot be", d.0))
            }
            Quantity::Temperature(t) if !TEMPERATURE.contains(&t.0) => {
                let celsius = f64::from(t.0) / 1000.0;
                (Missing::Temperature, format!("a temperature of {celsius} °C cannot be"))
            }
            _ => continue,
        };
        *quantity = Quantity::Absent(Absent { what, why: NoData::OutOfRange });
        refused.push(words);
    }
    refused
}

/// What the level sensor saw, if the report has it.
fn seen(
    quantities: &[Quantity],
    temperature: Option<MilliCelsius>,
    bin: &Bin,
) -> Option<Result<Permille, NoData>> {
    quantities.iter().find_map(|quantity| match *quantity {
        Quantity::Distance(d) => Some(filling_level(d, temperature, bin)),
        Quantity::Level(level) => Some(Ok(level)),
        Quantity::Absent(a) if a.what == Missing::Distance => Some(Err(a.why)),
        _ => None,
    })
}

/// Whether a bin is away from home, as far as its receiver can tell; `None` for another datum.
fn is_away(fix: Fix, home: Position, bin: &Bin) -> Option<bool> {
    let metres = fix.position.distance_m(home)?;
    let accuracy = fix.accuracy.map_or(0, |mm| mm.0);
    let limit = bin.sensing.moved_beyond.0.saturating_add(accuracy);
    Some(metres * 1000.0 > f64::from(limit))
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::site::{Sensing, Service};
    use crate::time::{Boot, ClockQuality, Monotonic};
    use crate::units::{MilliCelsius, Millimetres};

    pub(crate) const BIN: Bin = Bin {
        empty: Millimetres(1000),
        full: Millimetres(0),
        full_at: Permille::from_percent(85),
        clear_at: Permille::from_percent(60),
        capacity_l: Some(240),
        stale_after: Span::from_mins(120),
        sensing: Sensing::PLAIN,
        service: Service::NONE,
    };

    pub(crate) fn t(m: u64) -> Moment {
        Moment {
            boot: Boot(1),
            monotonic: Monotonic::from_ms(m * 60_000),
            utc: Utc::from_ms(1_780_000_000_000) + Span::from_mins(m),
            clock: ClockQuality::Ntp,
        }
    }

    fn fill(c: &mut Container, m: u64, percent: u32) -> Change {
        c.report(&[Quantity::Distance(Millimetres(1000 - percent * 10))], t(m), None, &BIN)
    }

    #[test]
    fn full_has_hysteresis() {
        let mut c = Container::default();
        let run = [(0, 84, Status::Ok), (1, 85, Status::Full), (2, 70, Status::Full)];
        for (m, percent, status) in run {
            fill(&mut c, m, percent);
            assert_eq!(c.status(), status, "{percent} %");
        }
        assert_eq!(c.full_at, Some(t(1)));
        fill(&mut c, 3, 60);
        assert_eq!((c.status(), c.full_at), (Status::Ok, None));
    }

    /// Reports that came at one moment to a box that does not know the time, each dated by its sensor.
    fn kept(c: &mut Container, minutes: &[(u64, i32)]) -> Vec<Status> {
        let told = minutes.iter().map(|&(m, celsius)| {
            let at = Moment { monotonic: t(0).monotonic, clock: ClockQuality::Unset, ..t(m) };
            c.report(&[Quantity::Temperature(MilliCelsius(celsius * 1000))], at, None, &BIN);
            c.status()
        });
        told.collect()
    }

    #[test]
    fn what_was_kept_for_a_box_without_the_time_is_told_apart_by_the_sensors_clock() {
        let burns = kept(&mut Container::default(), &[(0, 21), (10, 85), (20, 85)]);
        assert_eq!(burns.last(), Some(&Status::Burning));
        let sun = kept(&mut Container::default(), &[(0, 36), (60, 48)]);
        assert_ne!(sun.last(), Some(&Status::Burning), "an hour is no steep rise");
        let late = kept(&mut Container::default(), &[(20, 21), (0, 85), (10, 85)]);
        assert_ne!(late.last(), Some(&Status::Burning), "it was over before the latest");
    }

    #[test]
    fn an_emptying_must_hold_on_the_next_reading() {
        let mut c = Container::default();
        fill(&mut c, 0, 90);
        assert_eq!(fill(&mut c, 10, 5).collection, None);
        let collection = fill(&mut c, 20, 6).collection.unwrap();
        assert_eq!((collection.at, collection.level_before_pct), (t(10).utc, 90.0));
        assert_eq!(collection.volume_l, Some(201));
        assert_eq!(fill(&mut c, 30, 7).collection, None, "once");
    }

    #[test]
    fn a_missed_echo_is_no_emptying_and_settling_is_none_either() {
        let mut c = Container::default();
        fill(&mut c, 0, 90);
        fill(&mut c, 10, 0);
        assert_eq!(fill(&mut c, 20, 91).collection, None);
        for (m, percent) in [(30, 85), (40, 80), (50, 74), (60, 70)] {
            assert_eq!(fill(&mut c, m, percent).collection, None);
        }
    }

    #[test]
    fn a_fault_is_never_read_as_empty() {
        let mut c = Container::default();
        fill(&mut c, 0, 90);
        let absent = Absent { what: Missing::Distance, why: NoData::SensorFault };
        let change = c.report(&[Quantity::Absent(absent)], t(10), None, &BIN);
        assert!(change.state && change.level.is_none());
        assert_eq!((c.level(), c.status()), (None, Status::Unknown));
        assert_eq!(fill(&mut c, 20, 92).collection, None);
    }

    #[test]
    fn a_tilted_bin_keeps_its_last_level() {
        let mut c = Container::default();
        fill(&mut c, 0, 70);
        let tilted = [Quantity::Distance(Millimetres(20)), Quantity::Tilted(true)];
        let change = c.report(&tilted, t(10), None, &BIN);
        assert_eq!((change.level, c.status()), (None, Status::Tilted));
        assert_eq!(c.level(), Some(Permille::from_percent(70)));
    }

    #[test]
    fn silence_is_news_once() {
        let mut c = Container::default();
        fill(&mut c, 0, 70);
        assert!(c.silent() && !c.silent());
        assert_eq!(c.status(), Status::Unknown);
    }
}
