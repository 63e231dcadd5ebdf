//! What a sample means here: the same quantities, given to an asset and dated.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use crate::ids::AssetKey;
use crate::output::Quality;
use crate::sample::{Quantity, Sample};
use crate::time::{ClockQuality, Moment, Now, Span, Utc};

/// Quantities of one asset, measured together.
#[derive(Debug, Clone, Copy)]
pub struct Reading<'a> {
    /// Whose they are.
    pub asset: &'a AssetKey,
    /// When they were so.
    pub at: Moment,
    /// `Uncertain` when the time had to be guessed.
    pub quality: Quality,
    /// What was measured.
    pub quantities: &'a [Quantity],
}

/// Earlier than this a sensor's time cannot be right: satellite time itself begins here
/// (1980-01-06T00:00:00Z), and receivers without a fix report it.
pub const TIME_FLOOR: Utc = Utc::from_ms(315_964_800_000);

/// A sensor's time may be this far ahead of ours before it is not believed.
pub const AHEAD_MAX: Span = Span::from_mins(5);

/// Dates a sample: by its own time where that can be believed, else by its arrival, marked uncertain.
/// An untrusted clock of ours never overrules the sensor's.
#[must_use]
pub fn date(sample: &Sample, now: Now) -> (Moment, Quality) {
    let Some(at) = sample.at else { return (now, Quality::Good) };
    let ahead = now.clock > ClockQuality::Unset && at > now.utc + AHEAD_MAX;
    if at <= TIME_FLOOR || ahead {
        (now, Quality::Uncertain)
    } else if now.clock == ClockQuality::Unset {
        // Our own wall time means nothing, so the distance between the two means nothing either.
        (Moment { utc: at, ..now }, Quality::Uncertain)
    } else {
        (now.at(at), Quality::Good)
    }
}

/// How many reports of a device are remembered to tell a repeat from a new one: more than a node keeps
/// unacknowledged (32), all of which it sends again when the box was cut off before it could answer.
const REMEMBERED: usize = 40;
/// Two reports with the same counter but further apart than this are different ones: the device has
/// started counting again.
const SAME_WITHIN: Span = Span::from_mins(2);

/// The latest reports of one device, so that a report that comes twice counts once: a node sends again
/// until it is acknowledged, and a network server may deliver twice.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Vec<(u32, i64)>", into = "Vec<(u32, i64)>")]
pub struct Heard(VecDeque<(u32, Utc)>);

/// Stored with every report, therefore short: counters and milliseconds.
impl From<Heard> for Vec<(u32, i64)> {
    fn from(heard: Heard) -> Vec<(u32, i64)> {
        heard.0.into_iter().map(|(counter, at)| (counter, at.as_ms())).collect()
    }
}

impl From<Vec<(u32, i64)>> for Heard {
    fn from(stored: Vec<(u32, i64)>) -> Heard {
        Heard(stored.into_iter().map(|(counter, ms)| (counter, Utc::from_ms(ms))).collect())
    }
}

/// What is missing between a device's last report and this one, by its counter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Gap {
    /// Nothing, as far as one can tell.
    None,
    /// So many reports never came, or have not come yet.
    Missing(u32),
    /// The device counts from the beginning again.
    Restarted,
}

impl Gap {
    /// Whether anything may be missing.
    #[must_use]
    pub const fn is_some(self) -> bool {
        !matches!(self, Gap::None)
    }
}

impl Heard {
    /// What is missing before a report with this counter, measured at `at`. To be asked before it is
    /// noted.
    #[must_use]
    pub fn gap(&self, counter: Option<u32>, at: Utc) -> Gap {
        let (Some(counter), Some(&(last, when))) = (counter, self.0.back()) else {
            return Gap::None;
        };
        match counter.checked_sub(last) {
            Some(0 | 1) => Gap::None,
            Some(more) => Gap::Missing(more - 1),
            // A report that was overtaken by a later one.
            None if at < when => Gap::None,
            None => Gap::Restarted,
        }
    }

    /// Notes a report; answers whether it is new. A report without a counter always is.
    pub fn note(&mut self, counter: Option<u32>, at: Utc) -> bool {
        let Some(counter) = counter else { return true };
        let apart = |other: Utc| at.since(other).max(other.since(at));
        if self.0.iter().any(|&(c, t)| c == counter && apart(t) <= SAME_WITHIN) {
            return false;
        }
        if self.0.len() == REMEMBERED {
            self.0.pop_front();
        }
        self.0.push_back((counter, at));
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::SourceName;
    use crate::time::{Boot, Monotonic};

    fn now(clock: ClockQuality) -> Now {
        Moment {
            boot: Boot(1),
            monotonic: Monotonic::from_ms(600_000),
            utc: Utc::parse("2026-06-04T04:00:00Z").unwrap(),
            clock,
        }
    }

    fn sample(at: Option<&str>) -> Sample {
        Sample {
            source: SourceName::new("s").unwrap(),
            device: None,
            counter: None,
            at: at.map(|t| Utc::parse(t).unwrap()),
            quantities: vec![],
        }
    }

    #[test]
    fn a_late_report_keeps_its_own_time() {
        let (at, quality) = date(&sample(Some("2026-06-04T03:55:00Z")), now(ClockQuality::Ntp));
        assert_eq!(at.monotonic, Monotonic::from_ms(300_000));
        assert_eq!(quality, Quality::Good);
    }

    #[test]
    fn impossible_times_are_replaced_by_the_arrival_and_marked() {
        for wrong in ["1980-01-06T00:00:00Z", "1970-01-01T00:00:00Z", "2026-06-04T05:00:00Z"] {
            let (at, quality) = date(&sample(Some(wrong)), now(ClockQuality::Ntp));
            assert_eq!((at, quality), (now(ClockQuality::Ntp), Quality::Uncertain), "{wrong}");
        }
    }

    #[test]
    fn an_unset_clock_does_not_overrule_the_sensor() {
        let unset = Moment { utc: Utc::from_ms(5_000), ..now(ClockQuality::Unset) };
        let (at, quality) = date(&sample(Some("2026-06-04T03:55:00Z")), unset);
        assert_eq!(at.utc, Utc::parse("2026-06-04T03:55:00Z").unwrap());
        assert_eq!((at.monotonic, quality), (unset.monotonic, Quality::Uncertain));
    }

    #[test]
    fn what_is_missing_is_told_by_the_counter() {
        let t = |s| Utc::from_ms(1_000_000_000) + Span::from_secs(s);
        let mut heard = Heard::default();
        assert_eq!(heard.gap(Some(7), t(0)), Gap::None, "the first one");
        heard.note(Some(7), t(100));
        let table = [
            (Some(8), 110, Gap::None),
            (Some(10), 110, Gap::Missing(2)),
            (Some(5), 90, Gap::None),
            (Some(0), 200, Gap::Restarted),
            (None, 200, Gap::None),
        ];
        for (counter, s, expected) in table {
            assert_eq!(heard.gap(counter, t(s)), expected, "{counter:?}");
        }
    }

    #[test]
    fn everything_a_node_holds_back_is_known_again_after_a_restart() {
        let t = Utc::from_ms(1_780_000_000_000);
        let mut heard = Heard::default();
        assert!((1..=32).all(|counter| heard.note(Some(counter), t)));
        let stored = serde_json::to_string(&heard).unwrap();
        let mut heard: Heard = serde_json::from_str(&stored).unwrap();
        assert!((1..=32).all(|counter| !heard.note(Some(counter), t + Span::from_secs(90))));
    }

    #[test]
    fn a_repeat_is_known_and_a_restarted_counter_is_not_one() {
        let t = Utc::from_ms(1_000_000_000);
        let mut heard = Heard::default();
        assert!(heard.note(Some(7), t));
        assert!(heard.note(Some(9), t + Span::from_secs(30)));
        assert!(!heard.note(Some(7), t + Span::from_secs(2)), "resent with a second of jitter");
        assert!(heard.note(Some(8), t + Span::from_secs(10)), "late, but new");
        assert!(heard.note(Some(7), t + Span::from_mins(10)), "the device counts anew");
        assert!(heard.note(None, t) && heard.note(None, t));
    }
}
