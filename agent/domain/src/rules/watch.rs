//! What a rule remembers of one asset, and what it finds.

use serde::{Deserialize, Serialize};

use super::{FactName, Side};
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
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
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

/// How far a rule has come with one asset.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Watch {
    /// Nothing to see.
    #[default]
    Quiet,
    /// Over the threshold, but not yet often or long enough.
    Counting { since: Moment, readings: Vec<Evidence> },
    /// Found, and still so.
    Raised,
}

/// The numbers of a threshold, resolved for one asset.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Threshold {
    pub(crate) fact: FactName,
    pub(crate) side: Side,
    pub(crate) raise_at: i64,
    pub(crate) clear_at: i64,
    pub(crate) hold: Span,
    pub(crate) readings: u32,
}

/// Readings kept as evidence while counting; the first ones and the newest say enough.
const EVIDENCE_MAX: usize = 8;

impl Threshold {
    fn beyond(&self, value: i64, limit: i64) -> bool {
        match self.side {
            Side::Above => value >= limit,
            Side::Below => value <= limit,
        }
    }

    fn raised_by(&self, value: i64) -> bool {
        self.beyond(value, self.raise_at)
    }

    fn cleared_by(&self, value: i64) -> bool {
        // At the clear value itself it is over; between the two nothing changes.
        match self.side {
            Side::Above => value <= self.clear_at,
            Side::Below => value >= self.clear_at,
        }
    }

    fn evidence(&self, value: i64, at: Moment) -> Evidence {
        if self.fact.is_flag() {
            return self.flag(value, at);
        }
        let unit = self.fact.unit();
        let number = milli(value);
        let (word, limit) = match self.side {
            Side::Above => ("at or above", milli(self.raise_at)),
            Side::Below => ("at or below", milli(self.raise_at)),
        };
        let verdict = if self.raised_by(value) { word } else { "no longer" };
        let name = self.fact.as_str();
        let text = if unit.is_empty() {
            format!("{name}: {}", if self.raised_by(value) { "yes" } else { "no longer" })
        } else {
            format!("{name} {number} {unit}, {verdict} {limit} {unit}")
        };
        let known_unit = (!unit.is_empty()).then(|| unit.to_owned());
        Evidence { at: at.utc, fact: name.to_owned(), value: Some(number), unit: known_unit, text }
    }
}

impl Threshold {
    /// The evidence of a fact that is so or not.
    fn flag(&self, value: i64, at: Moment) -> Evidence {
        let verdict = if value > 0 { "yes" } else { "no" };
        Evidence {
            at: at.utc,
            fact: self.fact.as_str().to_owned(),
            value: Some(milli(value)),
            unit: None,
            text: format!("{}: {verdict}", self.fact.as_str()),
        }
    }
}

fn milli(value: i64) -> f64 {
    value as f64 / 1000.0
}

impl Watch {
    /// Takes a value of the watched fact; answers with the edge, if it is one, and its evidence.
    pub(crate) fn value(
        &mut self,
        value: i64,
        at: Moment,
        threshold: &Threshold,
    ) -> Option<(Edge, Vec<Evidence>)> {
        let evidence = threshold.evidence(value, at);
        match self {
            Watch::Raised if threshold.cleared_by(value) => {
                *self = Watch::Quiet;
                Some((Edge::Clear, vec![evidence]))
            }
            Watch::Raised => None,
            Watch::Counting { .. } | Watch::Quiet if !threshold.raised_by(value) => {
                *self = Watch::Quiet;
                None
            }
            Watch::Quiet => {
                *self = Watch::Counting { since: at, readings: vec![evidence] };
                self.ripe(at, threshold)
            }
            Watch::Counting { readings, .. } => {
                if readings.len() == EVIDENCE_MAX {
                    readings.remove(EVIDENCE_MAX / 2);
                }
                readings.push(evidence);
                self.ripe(at, threshold)
            }
        }
    }

    /// Raises if it was counted often enough and has held for long enough at `at`.
    pub(crate) fn ripe(
        &mut self,
        at: Moment,
        threshold: &Threshold,
    ) -> Option<(Edge, Vec<Evidence>)> {
        let Watch::Counting { since, readings } = self else { return None };
        let often = readings.len() >= usize::try_from(threshold.readings).unwrap_or(usize::MAX);
        if !often || at.since(*since) < threshold.hold {
            return None;
        }
        let readings = std::mem::take(readings);
        *self = Watch::Raised;
        Some((Edge::Raise, readings))
    }

    /// When holding alone will make it ripe.
    pub(crate) fn ripe_at(&self, now: Now, threshold: &Threshold) -> Option<Monotonic> {
        let Watch::Counting { since, readings } = self else { return None };
        let often = readings.len() >= usize::try_from(threshold.readings).unwrap_or(usize::MAX);
        (often && threshold.hold > Span::ZERO).then(|| since.deadline(threshold.hold, now))
    }
}

/// The most readings a rule may ask for: more would not fit into the evidence that is kept.
pub const READINGS_MAX: u32 = EVIDENCE_MAX as u32;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::{Boot, ClockQuality};

    fn t(s: u64) -> Moment {
        Moment {
            boot: Boot(1),
            monotonic: Monotonic::from_ms(s * 1000),
            utc: Utc::from_ms(1_780_000_000_000) + Span::from_secs(s),
            clock: ClockQuality::Ntp,
        }
    }

    fn full(readings: u32, hold_s: u64) -> Threshold {
        Threshold {
            fact: FactName::LevelPct,
            side: Side::Above,
            raise_at: 85_000,
            clear_at: 60_000,
            hold: Span::from_secs(hold_s),
            readings,
        }
    }

    fn edges(threshold: &Threshold, values: &[i64]) -> Vec<(usize, Edge)> {
        let mut watch = Watch::default();
        let edge = |(i, &v): (usize, &i64)| {
            watch.value(v * 1000, t(i as u64 * 60), threshold).map(|(edge, _)| (i, edge))
        };
        values.iter().enumerate().filter_map(edge).collect()
    }

    #[test]
    fn raised_once_and_cleared_once_whatever_happens_between() {
        let values = [50, 90, 84, 86, 85, 95, 61, 84, 90, 60, 70, 90, 90];
        let expected = [(4, Edge::Raise), (9, Edge::Clear), (12, Edge::Raise)];
        assert_eq!(edges(&full(2, 0), &values), expected);
    }

    #[test]
    fn it_must_hold() {
        let mut watch = Watch::default();
        let threshold = full(1, 300);
        assert_eq!(watch.value(90_000, t(0), &threshold), None);
        assert_eq!(watch.ripe_at(t(0), &threshold), Some(Monotonic::from_ms(300_000)));
        assert_eq!(watch.ripe(t(299), &threshold), None);
        let (edge, evidence) = watch.ripe(t(300), &threshold).unwrap();
        assert_eq!((edge, evidence.len()), (Edge::Raise, 1));
        assert_eq!(evidence[0].text, "level_pct 90 %, at or above 85 %");
    }

    #[test]
    fn below_is_the_mirror_of_above() {
        let low = Threshold {
            fact: FactName::BatteryPct,
            side: Side::Below,
            raise_at: 15_000,
            clear_at: 25_000,
            ..full(1, 0)
        };
        let values = [30, 15, 20, 25, 16, 14];
        assert_eq!(edges(&low, &values), [(1, Edge::Raise), (3, Edge::Clear), (5, Edge::Raise)]);
    }

    #[test]
    fn evidence_is_bounded_and_keeps_the_first_and_the_newest() {
        let mut watch = Watch::default();
        let threshold = full(1, 1_000_000);
        for i in 0..100 {
            watch.value(86_000 + i, t(i as u64), &threshold);
        }
        let Watch::Counting { readings, .. } = watch else { panic!("still counting") };
        assert_eq!(readings.len(), EVIDENCE_MAX);
        assert_eq!((readings[0].at, readings[7].at), (t(0).utc, t(99).utc));
    }
}
