//! Conditions that look back on the latest readings: too fast, too often, not at all, again and again, and
//! where it will come to if it goes on like that.

use super::condition::{Condition, Side};
use super::edge::{Need, Verdict};
use super::facts::FactName;
use super::leaf::Leaf;
use super::watch::Evidence;
use super::window::{Point, is_later};
use super::words::reading;
use crate::time::{Moment, Span};

impl Leaf {
    /// Seen again and again: two sightings further apart than the dwell are two visits.
    pub(super) fn sight(
        &mut self,
        verdict: Verdict,
        dwell: Span,
        at: Moment,
        evidence: impl FnOnce() -> Evidence,
    ) -> bool {
        if verdict == Verdict::Yes {
            let gone = self.window.newest().is_some_and(|last| at.since(last.at) > dwell);
            if gone && self.truth != Some(true) {
                self.since = None;
                self.readings.clear();
            }
            self.window.clear();
            self.window.take(Point { at, value: 0 });
        }
        self.count(verdict, Need { hold: dwell, readings: 1 }, at, evidence)
    }

    pub(super) fn move_or_stay(
        &mut self,
        fact: FactName,
        value: i64,
        band: i64,
        after: Span,
        at: Moment,
    ) -> bool {
        let begun = self.window.newest();
        let still = begun.filter(|point| (value - point.value).abs() <= band);
        let Some(point) = still else {
            self.window.clear();
            self.window.take(Point { at, value });
            let text = match self.truth {
                Some(true) => format!("{} moves again", reading(fact, value)),
                _ => reading(fact, value),
            };
            self.settle(false, vec![Evidence::value(at, fact, value, text)]);
            return true;
        };
        let stood = at.since(point.at);
        if self.truth == Some(true) || stood < after {
            return false;
        }
        let text = format!(
            "{} since {}, for {}: has not moved",
            reading(fact, value),
            point.at.utc,
            stood.compact()
        );
        self.settle(true, vec![Evidence::value(at, fact, value, text)]);
        true
    }

    pub(super) fn compare_change(&mut self, condition: &Condition, at: Moment) -> bool {
        let Condition::Change { fact, side, by, clear_by, within } = *condition else {
            return false;
        };
        let Some(newest) = self.window.newest() else { return false };
        let at = if is_later(newest.at, at) { newest.at } else { at };
        let before = self.window.points().len();
        self.window.forget(at, within);
        let forgot = before != self.window.points().len();
        let points = self.window.points().iter();
        let far = match side {
            Side::Above => points.min_by_key(|p| p.value),
            Side::Below => points.max_by_key(|p| p.value),
        };
        let from = far.copied().unwrap_or(newest);
        let change = (newest.value - from.value).abs();
        let truth = match self.truth {
            Some(true) => change > clear_by,
            _ => change >= by,
        };
        let turned = self.turn(truth, || {
            let took = newest.at.since(from.at).compact();
            let (a, b) = (reading(fact, from.value), reading(fact, newest.value));
            Evidence::value(newest.at, fact, newest.value, format!("{a} to {b} in {took}"))
        });
        turned || forgot
    }

    pub(super) fn compare_count(&mut self, condition: &Condition, at: Moment) -> bool {
        let Condition::Count { fact, times, clear_times, within, .. } = *condition else {
            return false;
        };
        if self.beyond.is_none() {
            return false;
        }
        let before = self.window.points().len();
        self.window.forget(at, within);
        let count = self.window.points().len();
        let usize = |n: u32| usize::try_from(n).unwrap_or(usize::MAX);
        let truth = match self.truth {
            Some(true) => count > usize(clear_times),
            _ => count >= usize(times),
        };
        let turned = self.turn(truth, || {
            let text = format!("{}: {count} times in {}", fact.as_str(), within.compact());
            Evidence::text(at, fact.as_str(), text)
        });
        turned || before != count
    }

    pub(super) fn expect(&mut self, condition: &Condition) {
        let Condition::Forecast { fact, side, reaches, within, .. } = *condition else { return };
        let Some(newest) = self.window.newest() else { return };
        let eta = if side.beyond(newest.value, reaches) {
            Some(Span::ZERO)
        } else {
            let Some(slope) = self.window.slope() else { return };
            let left = i128::from(reaches) - i128::from(newest.value);
            // It goes the right way when both have the same sign.
            let ms = (slope != 0).then(|| left * 3_600_000 / i128::from(slope));
            ms.and_then(|ms| u64::try_from(ms).ok()).map(Span::from_ms)
        };
        let bound = if self.truth == Some(true) { within.saturating_mul(2) } else { within };
        let soon = eta.filter(|eta| *eta <= bound);
        self.turn(soon.is_some(), || {
            let goal = reading(fact, reaches);
            let text = match eta {
                Some(eta) => format!("{goal} expected in {}", eta.compact()),
                None => format!("{goal} no longer expected"),
            };
            Evidence::value(newest.at, fact, newest.value, text)
        });
    }
}
