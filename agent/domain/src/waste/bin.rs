//! The state of a bin.

use serde::{Deserialize, Serialize};

use super::level::filling_level;
use crate::sample::{Missing, NoData, Quantity};
use crate::site::Bin;
use crate::time::{ClockQuality, Moment, Span, Utc};
use crate::units::{MilliCelsius, Permille};

/// What is known of a bin.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// Room for more.
    Ok,
    /// Filled to its mark, and not yet below the clear mark again.
    Full,
    /// The lid stands open: the level cannot be measured.
    LidOpen,
    /// Lying or hanging at an angle: the level cannot be measured.
    Tilted,
    /// The sensor reports fire.
    Burning,
    /// Nobody can tell.
    Unknown,
}

/// One bin.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Container {
    level: Option<Permille>,
    /// Between its marks a bin is what it was.
    full: bool,
    full_at: Option<Moment>,
    temperature: Option<MilliCelsius>,
    tilted: bool,
    lid_open: bool,
    fire: bool,
    /// Why there is no level.
    reason: Option<NoData>,
    /// A drop that looks like an emptying and has to hold on the next reading.
    drop: Option<Drop>,
    collected: Option<Utc>,
    heard: Option<Moment>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct Drop {
    before: Permille,
    at: Moment,
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
}

/// Somebody emptied a bin.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Collection {
    /// When the low level was first seen: the bin was emptied between the reading before and this.
    pub at: Utc,
    /// How full it was.
    pub level_before_pct: f64,
    /// How full it is now.
    pub level_after_pct: f64,
    /// Litres taken out, where the bin's size is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub volume_l: Option<u32>,
    /// Trust in `at`.
    pub clock: ClockQuality,
}

/// What a report changed.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct Change {
    pub(crate) state: bool,
    pub(crate) level: Option<Permille>,
    pub(crate) collection: Option<Collection>,
}

/// A level must have been at least this high for a drop to be an emptying.
const EMPTIED_FROM: Permille = Permille::from_percent(15);
/// And it must have fallen by at least this much.
const EMPTIED_BY: u16 = 200;

impl Container {
    /// The status as it counts: danger before a fault, a fault before a level.
    #[must_use]
    pub fn status(&self) -> Status {
        match () {
            () if self.fire => Status::Burning,
            () if self.tilted => Status::Tilted,
            () if self.lid_open => Status::LidOpen,
            () if self.level.is_none() => Status::Unknown,
            () if self.full => Status::Full,
            () => Status::Ok,
        }
    }

    /// The filling level, if it is known.
    #[must_use]
    pub fn level(&self) -> Option<Permille> {
        self.level
    }

    /// When the bin was last heard of.
    #[must_use]
    pub fn heard(&self) -> Option<Moment> {
        self.heard
    }

    /// What is published.
    #[must_use]
    pub fn view(&self) -> BinState {
        BinState {
            level_pct: self.level.map(Permille::percent),
            status: self.status(),
            full_at: self.full_at.map(|m| m.utc),
            reason: self.reason,
            temperature_c: self.temperature.map(|t| f64::from(t.0) / 1000.0),
            last_collected: self.collected,
        }
    }

    /// Takes a report measured at `at`.
    pub(crate) fn report(&mut self, quantities: &[Quantity], at: Moment, bin: &Bin) -> Change {
        let before = self.clone();
        let late = self.heard.is_some_and(|h| at.since(h) == Span::ZERO && at != h);
        if late {
            // Measured before the latest one: it belongs into the series, not into the present.
            return Change::default();
        }
        self.heard = Some(at);
        let mut change = Change::default();
        for quantity in quantities {
            match *quantity {
                Quantity::Temperature(t) => self.temperature = Some(t),
                Quantity::Tilted(yes) => self.tilted = yes,
                Quantity::LidOpen(yes) => self.lid_open = yes,
                Quantity::Fire(yes) => self.fire = yes,
                Quantity::Absent(a) if a.what == Missing::Distance => self.lose(a.why),
                _ => {}
            }
        }
        if let Some(level) = measured_level(quantities, bin) {
            if self.tilted || self.lid_open {
                // What the sensor sees now is not the waste: the last level stands.
                self.drop = None;
            } else {
                change.collection = self.emptied(level, at, bin);
                self.take(level, at, bin);
                change.level = Some(level);
            }
        }
        change.state = self.view() != before.view();
        change
    }

    fn take(&mut self, level: Permille, at: Moment, bin: &Bin) {
        self.level = Some(level);
        self.reason = None;
        if level >= bin.full_at && !self.full {
            self.full = true;
            self.full_at = Some(at);
        } else if level < bin.clear_at || (level == bin.clear_at && bin.clear_at < bin.full_at) {
            self.full = false;
            self.full_at = None;
        }
    }

    /// An emptying is a fall of at least 20 points and of half the level, from at least 15 %, that
    /// still holds on the next reading; a missed echo does not.
    fn emptied(&mut self, level: Permille, at: Moment, bin: &Bin) -> Option<Collection> {
        let needed = |before: Permille| EMPTIED_BY.max(before.get() / 2);
        let fell = |before: Permille| before.get().saturating_sub(level.get()) >= needed(before);
        if let Some(drop) = self.drop.take() {
            if fell(drop.before) {
                self.collected = Some(drop.at.utc);
                let litres = |l: u32| {
                    l * u32::from(drop.before.get() - level.get()) / u32::from(Permille::FULL.get())
                };
                return Some(Collection {
                    at: drop.at.utc,
                    level_before_pct: drop.before.percent(),
                    level_after_pct: level.percent(),
                    volume_l: bin.capacity_l.map(litres),
                    clock: drop.at.clock,
                });
            }
            return None;
        }
        let before = self.level?;
        if before >= EMPTIED_FROM && fell(before) {
            self.drop = Some(Drop { before, at });
        }
        None
    }

    /// The level can no longer be told. It is not kept, and it is not zero.
    fn lose(&mut self, why: NoData) {
        self.level = None;
        self.reason = Some(why);
    }

    /// Nothing was heard for too long; answers whether that is news.
    pub(crate) fn silent(&mut self) -> bool {
        let news = self.reason != Some(NoData::Silent);
        self.lose(NoData::Silent);
        news
    }
}

fn measured_level(quantities: &[Quantity], bin: &Bin) -> Option<Permille> {
    quantities.iter().find_map(|quantity| match *quantity {
        Quantity::Distance(d) => Some(filling_level(d, bin.empty, bin.full)),
        Quantity::Level(level) => Some(level),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample::Absent;
    use crate::time::{Boot, Monotonic};
    use crate::units::Millimetres;

    const BIN: Bin = Bin {
        empty: Millimetres(1000),
        full: Millimetres(0),
        full_at: Permille::from_percent(85),
        clear_at: Permille::from_percent(60),
        capacity_l: Some(240),
        stale_after: Span::from_mins(120),
    };

    fn t(m: u64) -> Moment {
        Moment {
            boot: Boot(1),
            monotonic: Monotonic::from_ms(m * 60_000),
            utc: Utc::from_ms(1_780_000_000_000) + Span::from_mins(m),
            clock: ClockQuality::Ntp,
        }
    }

    fn fill(c: &mut Container, m: u64, percent: u32) -> Change {
        c.report(&[Quantity::Distance(Millimetres(1000 - percent * 10))], t(m), &BIN)
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
        let change = c.report(&[Quantity::Absent(absent)], t(10), &BIN);
        assert!(change.state && change.level.is_none());
        assert_eq!((c.level(), c.status()), (None, Status::Unknown));
        assert_eq!(fill(&mut c, 20, 92).collection, None);
    }

    #[test]
    fn a_tilted_bin_keeps_its_last_level() {
        let mut c = Container::default();
        fill(&mut c, 0, 70);
        let tilted = [Quantity::Distance(Millimetres(20)), Quantity::Tilted(true)];
        let change = c.report(&tilted, t(10), &BIN);
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
