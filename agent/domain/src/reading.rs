//! What a sample means here: the same quantities, given to an asset and dated.

use std::collections::VecDeque;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use serde::{Deserialize, Serialize, Serializer};

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

/// Whether what was dated `stored` cannot have been yet at `now`: the clock was wrong then, or is wrong now, and
/// wall time does not tell which of the two is later.
#[must_use]
pub(crate) fn is_ahead(stored: Moment, now: Now) -> bool {
    stored.utc > now.utc + AHEAD_MAX
}

/// How many reports of a device are remembered to tell a repeat from a new one: more than a node keeps
/// unacknowledged (32), all of which it sends again when the box was cut off before it could answer.
const REMEMBERED: usize = 40;
/// Two reports with the same counter but further apart than this are different ones: the device has
/// started counting again.
const SAME_WITHIN: Span = Span::from_mins(2);

/// The latest reports of one device, so that a report that comes twice counts once: a node sends again
/// until it is acknowledged, and a network server may deliver twice.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(try_from = "Stored")]
pub struct Heard(VecDeque<(u32, Utc)>);

/// Stored with every report, therefore short: each counter and its milliseconds as what they differ by from
/// the one before, in as few bytes as that takes, in base64. Half of a bay's record was this list before.
impl Serialize for Heard {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        let mut bytes = Vec::with_capacity(self.0.len() * 6);
        let (mut counter, mut ms) = (0, 0);
        for &(next, at) in &self.0 {
            write_signed(&mut bytes, i64::from(next) - counter);
            write_signed(&mut bytes, at.as_ms().wrapping_sub(ms));
            (counter, ms) = (i64::from(next), at.as_ms());
        }
        s.serialize_str(&STANDARD_NO_PAD.encode(bytes))
    }
}

/// What is stored; pairs of numbers are from before there was the short form.
#[derive(Deserialize)]
#[serde(untagged)]
enum Stored {
    Short(String),
    Pairs(Vec<(u32, i64)>),
}

impl TryFrom<Stored> for Heard {
    type Error = &'static str;

    fn try_from(stored: Stored) -> Result<Heard, &'static str> {
        let pairs = match stored {
            Stored::Pairs(pairs) => pairs,
            Stored::Short(text) => {
                let bytes = STANDARD_NO_PAD.decode(text).map_err(|_| "not base64")?;
                read_pairs(&bytes).ok_or("not the reports of a device")?
            }
        };
        Ok(Heard(pairs.into_iter().map(|(counter, ms)| (counter, Utc::from_ms(ms))).collect()))
    }
}

fn read_pairs(mut bytes: &[u8]) -> Option<Vec<(u32, i64)>> {
    let (mut counter, mut ms) = (0i64, 0i64);
    let mut pairs = vec![];
    while !bytes.is_empty() {
        counter = counter.checked_add(read_signed(&mut bytes)?)?;
        ms = ms.wrapping_add(read_signed(&mut bytes)?);
        pairs.push((u32::try_from(counter).ok()?, ms));
    }
    Some(pairs)
}

/// Seven bits a byte, the lowest first, the sign in the lowest bit of all.
fn write_signed(bytes: &mut Vec<u8>, value: i64) {
    let mut rest = (value.wrapping_shl(1) ^ (value >> 63)).cast_unsigned();
    loop {
        let low = u8::try_from(rest & 0x7f).expect("seven bits");
        rest >>= 7;
        if rest == 0 {
            return bytes.push(low);
        }
        bytes.push(low | 0x80);
    }
}

fn read_signed(bytes: &mut &[u8]) -> Option<i64> {
    let mut value = 0u64;
    for place in 0..10 {
        let (&byte, rest) = bytes.split_first()?;
        *bytes = rest;
        value |= u64::from(byte & 0x7f).checked_shl(7 * place)?;
        if byte & 0x80 == 0 {
            return Some((value >> 1).cast_signed() ^ -(value & 1).cast_signed());
        }
    }
    None
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

    #[test]
    fn what_is_stored_is_short_and_the_older_form_is_read_too() {
        let at = |n: i64| Utc::from_ms(1_780_545_600_000 + n * 14_400_000);
        let heard = Heard((0..40).map(|n| (1000 + n, at(i64::from(n)))).collect());
        let short = serde_json::to_string(&heard).unwrap();
        let pairs: Vec<(u32, i64)> = heard.0.iter().map(|&(n, at)| (n, at.as_ms())).collect();
        let long = serde_json::to_string(&pairs).unwrap();
        assert!(short.len() * 2 < long.len(), "{} of {}", short.len(), long.len());
        for text in [&short, &long] {
            assert_eq!(serde_json::from_str::<Heard>(text).unwrap(), heard);
        }
        for bad in ["\"!\"", "\"gICA\"", "\"AQ\"", "7"] {
            assert!(serde_json::from_str::<Heard>(bad).is_err(), "{bad}");
        }
    }

    proptest::proptest! {
        #[test]
        fn reports_are_stored_as_they_were(
            pairs in proptest::collection::vec((proptest::num::u32::ANY, -4_000_000_000_000i64..8_000_000_000_000), 0..40)
        ) {
            let heard = Heard(pairs.into_iter().map(|(n, ms)| (n, Utc::from_ms(ms))).collect());
            let text = serde_json::to_string(&heard).unwrap();
            proptest::prop_assert_eq!(serde_json::from_str::<Heard>(&text).unwrap(), heard);
        }
    }
}
