//! When a bin was emptied, by whom, and when it should have been.
//!
//! An emptying is seen in the level: a fall of at least 20 points and of half the level, from at least
//! 15 %, that holds on the next readings. Vehicles and lifts say who it was. What does not fit is told:
//! a lift after which nothing fell, a fall without a lift, a full bin that a vehicle passed, a planned
//! collection that did not come.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use super::trace::{By, KnownBy, Lift};
use crate::ids::AssetId;
use crate::site::{Bin, Service};
use crate::time::{ClockQuality, Moment, Span, Utc};
use crate::units::{Grams, Permille};

/// A level must have been at least this high for a drop to be an emptying.
const EMPTIED_FROM: Permille = Permille::from_percent(15);
/// And it must have fallen by at least this much.
const EMPTIED_BY: u16 = 200;
/// Readings of one level are at most this far from each other.
const AGREES_WITHIN: u16 = 150;
/// From this level on a lift must show as a fall.
const SHOWS_FROM: Permille = Permille::from_percent(30);
/// Sensor and vehicle may be apart by this much.
const NEAR_IN_TIME: Span = Span::from_mins(10);
/// Two sightings of a vehicle further apart than this are two visits.
const VISIT_GAP: Span = Span::from_mins(5);
/// So many readings without a fall say that nothing was emptied.
const UNCHANGED: u8 = 2;
/// A collection so long before its planned time is the planned one.
const PLAN_EARLY: Span = Span::from_mins(12 * 60);
/// Lifts and visits remembered; the oldest is forgotten first.
const REMEMBERED: usize = 4;

/// Somebody emptied a bin.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Collection {
    /// When the low level was first seen: the bin was emptied between the reading before and this.
    pub at: Utc,
    /// The reading before: the bin was not yet empty.
    pub after: Utc,
    /// How full it was.
    pub level_before_pct: f64,
    /// How full it is now.
    pub level_after_pct: f64,
    /// Litres taken out, where the bin's size is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub volume_l: Option<u32>,
    /// By whom, where a vehicle was there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub by: Option<By>,
    /// How long the bin overflowed before, in seconds.
    pub overflow_s: u64,
    /// Trust in `at`.
    pub clock: ClockQuality,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct Fall {
    before: Permille,
    /// Where it went to.
    #[serde(default)]
    to: Permille,
    /// The last reading before it, and the first after it.
    from: Moment,
    at: Moment,
    /// Readings that have confirmed it.
    held: u8,
    /// Readings that do not agree with it.
    #[serde(default)]
    broken: u8,
    /// A low reading that does not agree on how low: it or the first one is astray.
    #[serde(default)]
    other: Option<(Permille, Moment)>,
}

impl Fall {
    fn begin(before: Permille, to: Permille, from: Moment, at: Moment) -> Fall {
        Fall { before, to, from, at, held: 0, broken: 0, other: None }
    }

    /// Whether `level` is as low as an emptying from `before` leaves a bin.
    fn is_from(before: Permille, level: Permille) -> bool {
        before.get().saturating_sub(level.get()) >= EMPTIED_BY.max(before.get() / 2)
    }

    /// Whether `level` says the same as the first low reading. Where readings go astray often enough to
    /// need a filter, two that are low by chance seldom agree on how low.
    fn is_held_by(&self, level: Permille, must_hold: u8) -> bool {
        Fall::is_from(self.before, level) && (must_hold == 1 || agree(level, self.to))
    }

    /// Whether `level` says that nothing has happened since before. After a fall that has held once it
    /// is as likely an echo gone astray.
    fn is_denied_by(&self, level: Permille) -> bool {
        self.held == 0 && agree(level, self.before)
    }

    /// Whether its low readings are still at least as many as those that do not agree with it, with `level`.
    fn outweighs(&self, level: Permille) -> bool {
        self.broken <= self.held && !self.is_denied_by(level)
    }

    /// The fall that the other low reading and `level` agree on: then the first low one was astray.
    fn to_other(self, level: Permille) -> Option<Fall> {
        let (to, at) = self.other.filter(|(to, _)| agree(level, *to))?;
        let fall = Fall::begin(self.before, to, self.from, at);
        Fall::is_from(self.before, level).then_some(Fall { held: 1, ..fall })
    }

    /// The same fall after a reading that does not agree with it.
    fn broken_by(self, level: Permille, at: Moment) -> Fall {
        let other = Fall::is_from(self.before, level).then_some((level, at));
        Fall { broken: self.broken + 1, other: other.or(self.other), ..self }
    }
}

/// Whether two readings may be of one level.
pub(super) fn agree(a: Permille, b: Permille) -> bool {
    a.get().abs_diff(b.get()) <= AGREES_WITHIN
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Visit {
    vehicle: AssetId,
    from: Moment,
    until: Moment,
    /// The bin was full when the vehicle was there.
    full: bool,
    readings: u8,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Lifted {
    vehicle: AssetId,
    at: Moment,
    net: Option<Grams>,
    /// The level then, where it was known.
    level: Option<Permille>,
    readings: u8,
}

/// What is known of the emptyings of one bin.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Emptying {
    fall: Option<Fall>,
    /// The counted levels before the latest readings, where the sensor needs a filter.
    stood: VecDeque<Permille>,
    /// The latest reading that was no part of a fall.
    reading: Option<Moment>,
    visits: VecDeque<Visit>,
    lifts: VecDeque<Lifted>,
    collected: Option<Utc>,
    /// Since when the present plan is known to have been kept or not.
    planned: Option<Utc>,
    overflowed: Span,
}

/// What a reading says about the emptying.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct Seen {
    pub(super) collection: Option<Collection>,
    /// A fall that has not held for long enough yet: the reading may be an echo gone astray.
    pub(super) falling: bool,
    /// The bin fell and nobody lifted it.
    pub(super) no_lift: Option<bool>,
    /// It was lifted and nothing fell.
    pub(super) no_fall: Option<bool>,
    /// It should have been emptied and was not.
    pub(super) missed: Option<bool>,
}

impl Emptying {
    pub(super) fn last(&self) -> Option<Utc> {
        self.collected
    }

    /// What the sensor sees is not the waste.
    pub(super) fn disturbed(&mut self) {
        self.fall = None;
    }

    /// The bin has overflowed for another `time`.
    pub(super) fn overflowed(&mut self, time: Span) {
        self.overflowed = self.overflowed.saturating_add(time);
    }

    /// A vehicle that empties bins is beside this one; answers whether it has just come.
    pub(super) fn visited(&mut self, vehicle: &AssetId, at: Moment, full: bool) -> bool {
        let last = self.visits.iter_mut().rev().find(|v| v.vehicle == *vehicle);
        if let Some(visit) = last
            && at.since(visit.until) <= VISIT_GAP
        {
            visit.until = at;
            visit.full |= full;
            return false;
        }
        let visit = Visit { vehicle: vehicle.clone(), from: at, until: at, full, readings: 0 };
        push_bounded(&mut self.visits, visit);
        true
    }

    /// A vehicle has lifted the bin, which stood at `level`.
    pub(super) fn lifted(
        &mut self,
        vehicle: &AssetId,
        lift: Lift,
        level: Option<Permille>,
        at: Moment,
    ) {
        let net = lift.net();
        let lifted = Lifted { vehicle: vehicle.clone(), at, net, level, readings: 0 };
        push_bounded(&mut self.lifts, lifted);
    }

    /// Takes a measured level, with the counted one before it.
    pub(super) fn take(
        &mut self,
        level: Permille,
        before: Option<Permille>,
        at: Moment,
        bin: &Bin,
    ) -> Seen {
        let mut seen = Seen::default();
        let must_hold = must_hold(bin);
        match (self.fall, before) {
            (Some(fall), _) if fall.is_held_by(level, must_hold) => {
                let fall = Fall { held: fall.held + 1, ..fall };
                self.fall = Some(fall).filter(|f| f.held < must_hold);
                if self.fall.is_none() {
                    self.collected(fall, level, bin, &mut seen);
                }
            }
            // Where two must hold, as many echoes gone astray as low readings do not undo it.
            (Some(fall), _) if must_hold > 1 && fall.outweighs(level) => {
                self.fall = Some(fall.broken_by(level, at));
            }
            (Some(fall), _) if fall.to_other(level).is_some() => {
                self.fall = fall.to_other(level);
            }
            // It was the first low reading that was astray.
            (Some(fall), _) if Fall::is_from(fall.before, level) => {
                self.fall = Some(Fall::begin(fall.before, level, fall.from, at));
            }
            (None, Some(before)) => {
                // From where it has stood for some readings: not from a peak of echoes gone astray, and
                // still when the filter has followed already.
                let stood = self.stood.iter().copied().min().unwrap_or(before);
                let fell = stood >= EMPTIED_FROM && Fall::is_from(stood, level);
                let from = self.reading.unwrap_or(at);
                self.fall = fell.then(|| Fall::begin(before.max(stood), level, from, at));
            }
            _ => self.fall = None,
        }
        seen.falling = self.fall.is_some();
        if !seen.falling {
            self.stand(before.filter(|_| must_hold > 1 && seen.collection.is_none()), must_hold);
            self.reading = Some(at);
            self.without_fall(at, &mut seen);
            self.plan(level, at, bin, &mut seen);
        }
        seen
    }

    /// Remembers where the bin stands; `None`: somewhere new.
    fn stand(&mut self, level: Option<Permille>, must_hold: u8) {
        let Some(level) = level else { return self.stood.clear() };
        if self.stood.len() > usize::from(must_hold) {
            self.stood.pop_front();
        }
        self.stood.push_back(level);
    }

    fn collected(&mut self, fall: Fall, level: Permille, bin: &Bin, seen: &mut Seen) {
        let by = self.by(&fall);
        let litres = |l: u32| {
            let share = u64::from(fall.before.get() - level.get());
            let litres = u64::from(l) * share / u64::from(Permille::FULL.get());
            u32::try_from(litres).expect("a share of a u32")
        };
        if bin.service.expects_vehicle {
            seen.no_lift = Some(by.is_none());
        }
        seen.missed = Some(false);
        self.collected = Some(fall.at.utc);
        seen.collection = Some(Collection {
            at: fall.at.utc,
            after: fall.from.utc,
            level_before_pct: fall.before.percent(),
            level_after_pct: level.percent(),
            volume_l: bin.capacity_l.map(litres),
            by,
            overflow_s: std::mem::take(&mut self.overflowed).as_secs(),
            clock: fall.at.clock,
        });
    }

    /// Who was there between the reading before the fall and the first after it. Uses it up.
    fn by(&mut self, fall: &Fall) -> Option<By> {
        let early = |from: Utc| from - NEAR_IN_TIME <= fall.at.utc;
        let late = |until: Utc| until + NEAR_IN_TIME >= fall.from.utc;
        let lift = self.lifts.iter().rposition(|l| early(l.at.utc) && late(l.at.utc));
        let visit = self.visits.iter().rposition(|v| early(v.from.utc) && late(v.until.utc));
        let lift = lift.and_then(|i| self.lifts.remove(i));
        let visit = visit.and_then(|i| self.visits.remove(i));
        if let Some(lift) = lift {
            return Some(By { vehicle: lift.vehicle, known_by: KnownBy::Tag, net_g: lift.net });
        }
        let by = |v: Visit| By { vehicle: v.vehicle, known_by: KnownBy::Position, net_g: None };
        visit.map(by)
    }

    /// A reading after which nothing fell: lifts and visits that were long enough ago came to nothing.
    fn without_fall(&mut self, at: Moment, seen: &mut Seen) {
        let over = |then: Moment| at.since(then) > NEAR_IN_TIME;
        for lift in self.lifts.iter_mut().filter(|l| over(l.at)) {
            lift.readings += 1;
        }
        for visit in self.visits.iter_mut().filter(|v| over(v.until)) {
            visit.readings += 1;
        }
        let done = |l: &Lifted| l.readings >= UNCHANGED;
        let shows = |l: &Lifted| l.level.is_some_and(|level| level >= SHOWS_FROM);
        if self.lifts.iter().any(|l| done(l) && shows(l)) {
            seen.no_fall = Some(true);
        } else if seen.collection.is_some() {
            seen.no_fall = Some(false);
        }
        if self.visits.iter().any(|v| v.readings >= UNCHANGED && v.full) {
            seen.missed = Some(true);
        }
        self.lifts.retain(|l| !done(l));
        self.visits.retain(|v| v.readings < UNCHANGED);
    }

    /// Whether the latest planned collection has come, once its time is over.
    fn plan(&mut self, level: Permille, at: Moment, bin: &Bin, seen: &mut Seen) {
        let Service { plan: Some(plan), plan_grace, .. } = &bin.service else { return };
        let Some(planned) = plan.last(at.utc - *plan_grace) else { return };
        // What was planned before the bin was known is nobody's fault.
        let known_since = *self.planned.get_or_insert(at.utc);
        let came = self.collected.is_some_and(|c| c >= planned - PLAN_EARLY);
        if planned >= known_since && !came && level >= bin.clear_at {
            seen.missed = Some(true);
        }
    }
}

/// On how many more readings a fall must hold: a sensor that needs a filter errs more than once.
fn must_hold(bin: &Bin) -> u8 {
    if bin.sensing.median_of >= 3 { 2 } else { 1 }
}

fn push_bounded<T>(queue: &mut VecDeque<T>, item: T) {
    if queue.len() == REMEMBERED {
        queue.pop_front();
    }
    queue.push_back(item);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::site::Sensing;
    use crate::waste::bin::tests::{BIN, t};

    /// Runs levels, in percent, of a bin that stood at 90 %; gives the place of the collection.
    fn collected_at(median_of: u8, levels: &[i64]) -> Vec<usize> {
        let bin = Bin { sensing: Sensing { median_of, ..Sensing::PLAIN }, ..BIN };
        let mut emptying = Emptying::default();
        let mut take = |i: usize, percent: i64| {
            let before = Some(Permille::from_percent(90));
            emptying.take(Permille::from_percent(percent), before, t(i as u64 * 10), &bin)
        };
        let found = |(i, &percent)| take(i, percent).collection.map(|_| i);
        levels.iter().enumerate().filter_map(found).collect()
    }

    /// The same with the counted level before each reading, as the filter gives it.
    fn collected_from(levels: &[(i64, i64)]) -> Vec<usize> {
        let bin = Bin { sensing: Sensing { median_of: 5, ..Sensing::PLAIN }, ..BIN };
        let mut emptying = Emptying::default();
        let percent = Permille::from_percent;
        let mut take = |i: usize, (before, level): (i64, i64)| {
            emptying.take(percent(level), Some(percent(before)), t(i as u64 * 10), &bin)
        };
        let found = |(i, &pair)| take(i, pair).collection.map(|_| i);
        levels.iter().enumerate().filter_map(found).collect()
    }

    #[test]
    fn a_peak_is_nothing_to_fall_from_and_a_filter_that_follows_hides_no_emptying() {
        let stands = [(17, 17); 4];
        let peak = [(17, 98), (17, 83), (17, 17), (17, 98), (83, 17), (17, 17), (17, 17)];
        assert!(collected_from(&[&stands[..], &peak[..]].concat()).is_empty());
        // Two readings at the old level in between, by chance, while the filter goes down.
        let full = [(90, 90); 4];
        let emptied = [(90, 2), (90, 88), (90, 2), (88, 89), (88, 2), (2, 2), (2, 3), (2, 2)];
        assert_eq!(collected_from(&[&full[..], &emptied[..]].concat()), [10]);
    }

    #[test]
    fn echoes_astray_at_both_ends_of_an_emptying_hide_it_not() {
        let full = [(95, 95); 4];
        // Two low ones, one at the old level, low ones again.
        let one = [(95, 3), (95, 3), (95, 88), (88, 4), (4, 72), (4, 3)];
        // One of the old level after the first, and one after the third.
        let two = [(95, 1), (95, 98), (95, 2), (95, 3), (3, 96), (3, 6)];
        // The last of the full ones was astray and low already, and then one is high.
        let three = [(95, 28), (95, 4), (95, 5), (28, 80), (28, 7), (7, 10)];
        // One astray that is low but not as low, and then one that is high.
        let four = [(95, 3), (95, 21), (95, 2), (21, 73), (21, 2), (2, 0)];
        for (echoes, found) in [(one, 7), (two, 9), (three, 8), (four, 8)] {
            assert_eq!(collected_from(&[&full[..], &echoes[..]].concat()), [found], "{echoes:?}");
        }
        // Two strays that agree, and nothing else: the bin stands where it stood.
        let astray = [(95, 20), (95, 15), (95, 94), (95, 96), (94, 95), (95, 17), (95, 95)];
        assert!(collected_from(&[&full[..], &astray[..]].concat()).is_empty());
    }

    #[test]
    fn a_fall_must_hold_and_how_often_is_the_sensors_matter() {
        let plain: [(&[i64], &[usize]); 4] = [
            (&[90, 2, 3], &[2]),
            (&[90, 2, 90, 3, 90], &[]),
            // Much was put in between two reports.
            (&[90, 2, 40], &[2]),
            (&[90, 2, 46], &[]),
        ];
        for (levels, places) in plain {
            assert_eq!(collected_at(1, levels), places, "{levels:?}");
        }
        let filtered: [(&[i64], &[usize]); 7] = [
            (&[90, 2, 3, 4], &[3]),
            // One echo astray within, high or low, and one astray at the beginning.
            (&[90, 2, 60, 3, 2], &[4]),
            (&[90, 2, 40, 3, 2], &[4]),
            (&[90, 35, 2, 3, 2, 3], &[4]),
            // The old level again undoes it, and the fall begins anew.
            (&[90, 2, 80, 3, 2, 3], &[5]),
            // Echoes astray, and no emptying.
            (&[90, 2, 90, 3, 90, 2, 90], &[]),
            (&[90, 40, 5, 90, 24, 90, 90], &[]),
        ];
        for (levels, places) in filtered {
            assert_eq!(collected_at(5, levels), places, "{levels:?}");
        }
    }
}
