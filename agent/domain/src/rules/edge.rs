//! What is so from one reading to the next: counted, held, and cleared some way behind where it was raised.

use super::leaf::Leaf;
use super::watch::Evidence;
use crate::time::{Moment, Monotonic, Now, Span};

/// Readings kept as evidence while counting; the first ones and the newest say enough.
pub(super) const EVIDENCE_MAX: usize = 8;

/// The most readings a rule may ask for: more would not fit into the evidence that is kept.
pub const READINGS_MAX: u32 = EVIDENCE_MAX as u32;

/// What one reading says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It is so.
    Yes,
    /// It is not so.
    No,
    /// Behind where it is raised and not yet where it is cleared.
    Between,
    /// It says nothing.
    Nothing,
}

/// How long and how often it must be so.
#[derive(Debug, Clone, Copy)]
pub(super) struct Need {
    pub(super) hold: Span,
    pub(super) readings: u32,
}

impl Leaf {
    /// Takes what a reading at `at` says. Answers whether something changed that is stored.
    pub(super) fn count(
        &mut self,
        verdict: Verdict,
        need: Need,
        at: Moment,
        evidence: impl FnOnce() -> Evidence,
    ) -> bool {
        match (self.truth, verdict) {
            (_, Verdict::Nothing) | (Some(true), Verdict::Yes | Verdict::Between) => false,
            (Some(true), Verdict::No) => {
                self.settle(false, vec![evidence()]);
                true
            }
            (_, Verdict::Yes) => {
                if self.since.is_none() {
                    (self.since, self.readings) = (Some(at), vec![]);
                }
                if self.readings.len() == EVIDENCE_MAX {
                    self.readings.remove(EVIDENCE_MAX / 2);
                }
                self.readings.push(evidence());
                self.ripen(need, at);
                true
            }
            (Some(false), _) if self.since.is_none() => false,
            _ => {
                self.settle(false, vec![evidence()]);
                true
            }
        }
    }

    /// It is so if it was counted often enough and has held for long enough at `at`.
    pub(super) fn ripen(&mut self, need: Need, at: Moment) -> bool {
        let Some(since) = self.counting(need) else { return false };
        if at.since(since) < need.hold {
            return false;
        }
        let readings = std::mem::take(&mut self.readings);
        self.settle(true, readings);
        true
    }

    /// When holding alone will make it so.
    pub(super) fn ripe_at(&self, need: Need, now: Now) -> Option<Monotonic> {
        let since = self.counting(need).filter(|_| need.hold > Span::ZERO)?;
        Some(since.due(need.hold, now))
    }

    /// Since when it has been counted often enough, and does not count as so yet.
    fn counting(&self, need: Need) -> Option<Moment> {
        let often = self.readings.len() >= usize::try_from(need.readings).unwrap_or(usize::MAX);
        self.since.filter(|_| often && self.truth != Some(true))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::condition::{Side, Test};
    use crate::time::{Boot, ClockQuality, Utc};

    fn t(s: u64) -> Moment {
        Moment {
            boot: Boot(1),
            monotonic: Monotonic::from_ms(s * 1000),
            utc: Utc::from_ms(1_780_000_000_000) + Span::from_secs(s),
            clock: ClockQuality::Ntp,
        }
    }

    const FULL: Test = Test::Beyond { side: Side::Above, raise: 85, clear: 60 };

    fn need(readings: u32, hold_s: u64) -> Need {
        Need { hold: Span::from_secs(hold_s), readings }
    }

    fn say(leaf: &mut Leaf, test: Test, value: i64, need: Need, s: u64) {
        let verdict = match value {
            v if test.raised_by(v) => Verdict::Yes,
            v if test.cleared_by(v) => Verdict::No,
            _ => Verdict::Between,
        };
        let evidence = || Evidence::text(t(s), "x", value.to_string());
        leaf.count(verdict, need, t(s), evidence);
    }

    /// The places at which it becomes so, or is no longer so.
    fn edges(test: Test, need: Need, values: &[i64]) -> Vec<(usize, bool)> {
        let (mut leaf, mut found) = (Leaf::default(), vec![]);
        for (i, value) in values.iter().enumerate() {
            let before = leaf.truth == Some(true);
            say(&mut leaf, test, *value, need, i as u64 * 60);
            let after = leaf.truth == Some(true);
            found.extend((before != after).then_some((i, after)));
        }
        found
    }

    #[test]
    fn raised_once_and_cleared_once_whatever_happens_between() {
        let values = [50, 90, 84, 86, 85, 95, 61, 84, 90, 60, 70, 90, 90];
        assert_eq!(edges(FULL, need(2, 0), &values), [(4, true), (9, false), (12, true)]);
    }

    #[test]
    fn it_must_hold() {
        let mut leaf = Leaf::default();
        say(&mut leaf, FULL, 90, need(1, 300), 0);
        assert_eq!(leaf.ripe_at(need(1, 300), t(0)), Some(Monotonic::from_ms(300_000)));
        assert!(!leaf.ripen(need(1, 300), t(299)));
        assert!(leaf.ripen(need(1, 300), t(300)));
        assert_eq!((leaf.truth, leaf.readings.len()), (Some(true), 1));
    }

    #[test]
    fn below_is_the_mirror_of_above_and_outside_is_both() {
        let low = Test::Beyond { side: Side::Below, raise: 15, clear: 25 };
        let values = [30, 15, 20, 25, 16, 14];
        assert_eq!(edges(low, need(1, 0), &values), [(1, true), (3, false), (5, true)]);
        let window = Test::Outside { from: 5, to: 35, margin: 2 };
        let values = [20, 36, 34, 33, 4, 6, 7, 35, 5];
        let expected = [(1, true), (3, false), (4, true), (6, false)];
        assert_eq!(edges(window, need(1, 0), &values), expected);
    }

    #[test]
    fn evidence_is_bounded_and_keeps_the_first_and_the_newest() {
        let mut leaf = Leaf::default();
        (0..100).for_each(|i| say(&mut leaf, FULL, 86, need(1, 1_000_000), i));
        assert_eq!(leaf.readings.len(), EVIDENCE_MAX);
        assert_eq!((leaf.readings[0].at, leaf.readings[7].at), (t(0).utc, t(99).utc));
    }
}
