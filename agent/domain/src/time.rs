//! Time as an argument.
//!
//! The core never reads a clock. The agent reads it once per turn (`clock.rs`) and hands it in as [`Now`].
//!
//! * [`Monotonic`]: milliseconds of this boot. Durations and deadlines inside a boot use it.
//! * [`Utc`]: milliseconds since 1970, with a [`ClockQuality`]. Stored and sent, never used for ordering.
//! * [`Moment`]: both together with the boot they belong to, so that a duration across a restart can be
//!   told from one inside a boot ([`Moment::since`]).

use std::fmt;
use std::ops::{Add, Sub};

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A length of time in milliseconds, never negative.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Span(u64);

impl Span {
    /// No time at all.
    pub const ZERO: Span = Span(0);

    /// A span of `ms` milliseconds.
    #[must_use]
    pub const fn from_ms(ms: u64) -> Span {
        Span(ms)
    }

    /// A span of `s` seconds; saturates at the largest span.
    #[must_use]
    pub const fn from_secs(s: u64) -> Span {
        Span(s.saturating_mul(1000))
    }

    /// A span of `m` minutes; saturates at the largest span.
    #[must_use]
    pub const fn from_mins(m: u64) -> Span {
        Span::from_secs(m.saturating_mul(60))
    }

    /// Milliseconds.
    #[must_use]
    pub const fn as_ms(self) -> u64 {
        self.0
    }

    /// Whole seconds, cut off.
    #[must_use]
    pub const fn as_secs(self) -> u64 {
        self.0 / 1000
    }

    /// The sum, or the largest span when it would not fit.
    #[must_use]
    pub const fn saturating_add(self, other: Span) -> Span {
        Span(self.0.saturating_add(other.0))
    }

    /// `n` times the span, or the largest span when it would not fit.
    #[must_use]
    pub const fn saturating_mul(self, n: u64) -> Span {
        Span(self.0.saturating_mul(n))
    }
}

impl Span {
    /// Every part of it that is not zero, as it is written in the configuration: `2d 2h`, `1m 30s`, `10ms`.
    #[must_use]
    pub fn compact(self) -> String {
        let ms = self.0;
        let parts = [
            (ms / 86_400_000, "d"),
            (ms / 3_600_000 % 24, "h"),
            (ms / 60_000 % 60, "m"),
            (ms / 1000 % 60, "s"),
            (ms % 1000, "ms"),
        ];
        let parts = parts.iter().filter(|(n, _)| *n > 0).map(|(n, unit)| format!("{n}{unit}"));
        let text = parts.collect::<Vec<_>>().join(" ");
        if text.is_empty() { "0s".to_owned() } else { text }
    }
}

/// Written for people: `1h 05m`, `3m 20s`, `450ms`.
impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (s, ms) = (self.0 / 1000, self.0 % 1000);
        let (d, h, m) = (s / 86_400, s / 3600 % 24, s / 60 % 60);
        match (d, h, m, s % 60) {
            (0, 0, 0, 0) => write!(f, "{ms}ms"),
            (0, 0, 0, s) => write!(f, "{s}s"),
            (0, 0, m, s) => write!(f, "{m}m {s:02}s"),
            (0, h, m, _) => write!(f, "{h}h {m:02}m"),
            (d, h, _, _) => write!(f, "{d}d {h:02}h"),
        }
    }
}

/// Milliseconds since this boot's clock began. Only comparable inside one boot.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Monotonic(u64);

impl Monotonic {
    /// The instant `ms` milliseconds after the clock began.
    #[must_use]
    pub const fn from_ms(ms: u64) -> Monotonic {
        Monotonic(ms)
    }

    /// Milliseconds since the clock began.
    #[must_use]
    pub const fn as_ms(self) -> u64 {
        self.0
    }

    /// The time from `earlier` to `self`, zero when `earlier` is later.
    #[must_use]
    pub const fn since(self, earlier: Monotonic) -> Span {
        Span(self.0.saturating_sub(earlier.0))
    }
}

impl Add<Span> for Monotonic {
    type Output = Monotonic;
    fn add(self, span: Span) -> Monotonic {
        Monotonic(self.0.saturating_add(span.0))
    }
}

/// Wall time in milliseconds since 1970-01-01T00:00:00Z.
///
/// Serialised as RFC 3339 in UTC with milliseconds: `2026-06-04T04:00:03.120Z`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Hash)]
pub struct Utc(i64);

impl Utc {
    /// The instant `ms` milliseconds after 1970 (before it, when negative). The value is held inside
    /// the years 1 to 9999, so that it can always be written.
    #[must_use]
    pub const fn from_ms(ms: i64) -> Utc {
        const MIN: i64 = -62_135_596_800_000;
        const MAX: i64 = 253_402_207_199_999;
        Utc(if ms < MIN {
            MIN
        } else if ms > MAX {
            MAX
        } else {
            ms
        })
    }

    /// Milliseconds since 1970.
    #[must_use]
    pub const fn as_ms(self) -> i64 {
        self.0
    }

    /// The time from `earlier` to `self`, zero when `earlier` is later.
    #[must_use]
    pub const fn since(self, earlier: Utc) -> Span {
        let ms = self.0.saturating_sub(earlier.0);
        Span(if ms < 0 { 0 } else { ms.unsigned_abs() })
    }

    /// The instant of a calendar day and time of day in UTC; `None` when the calendar or the clock has
    /// no such. Second 60 is a leap second and counts as the first of the next minute.
    #[must_use]
    pub fn from_civil(date: (i16, u8, u8), time: (u8, u8, u8)) -> Option<Utc> {
        let ((year, month, day), (hour, minute, second)) = (date, time);
        if hour > 23 || minute > 59 || second > 60 {
            return None;
        }
        let (month, day) = (i8::try_from(month).ok()?, i8::try_from(day).ok()?);
        let date = jiff::civil::Date::new(year, month, day).ok()?;
        let days = date.duration_since(jiff::civil::Date::constant(1970, 1, 1)).as_secs();
        let clock = (i64::from(hour) * 60 + i64::from(minute)) * 60 + i64::from(second);
        Some(Utc::from_ms((days + clock) * 1000))
    }

    /// Reads RFC 3339 with any offset.
    ///
    /// # Errors
    /// The text is not a timestamp with an offset.
    pub fn parse(text: &str) -> Result<Utc, BadTime> {
        let t: jiff::Timestamp = text.parse().map_err(|_| BadTime(text.to_owned()))?;
        Ok(Utc::from_ms(t.as_millisecond()))
    }
}

/// A text that should have been an RFC 3339 timestamp.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not an RFC 3339 time with offset, such as 2026-06-04T12:00:03.120+08:00: {0:?}")]
pub struct BadTime(String);

impl Add<Span> for Utc {
    type Output = Utc;
    fn add(self, span: Span) -> Utc {
        Utc::from_ms(self.0.saturating_add(i64::try_from(span.0).unwrap_or(i64::MAX)))
    }
}

impl Sub<Span> for Utc {
    type Output = Utc;
    fn sub(self, span: Span) -> Utc {
        Utc::from_ms(self.0.saturating_sub(i64::try_from(span.0).unwrap_or(i64::MAX)))
    }
}

impl Utc {
    /// The text, in place: a box writes several times with every report, and most of them into its store.
    fn text(self) -> [u8; 24] {
        let (days, ms) = (self.0.div_euclid(DAY_MS), self.0.rem_euclid(DAY_MS));
        let (year, month, day) = civil(days);
        let (s, ms) = (ms / 1000, ms % 1000);
        let mut text = *b"0000-00-00T00:00:00.000Z";
        for (last, digits, mut number) in [
            (3, 4, year),
            (6, 2, month),
            (9, 2, day),
            (12, 2, s / 3600),
            (15, 2, s / 60 % 60),
            (18, 2, s % 60),
            (22, 3, ms),
        ] {
            for place in 0..digits {
                text[last - place] = b'0' + u8::try_from(number % 10).expect("one digit");
                number /= 10;
            }
        }
        text
    }
}

const DAY_MS: i64 = 86_400_000;

/// The day of the Gregorian calendar that is `days` after 1970-01-01, for years above 0. Years are counted
/// from March, so that the leap day is the last of them, in eras of 400 years of 146 097 days.
fn civil(days: i64) -> (i64, i64, i64) {
    let since_march_0 = days + 719_468;
    let (era, day) = (since_march_0.div_euclid(146_097), since_march_0.rem_euclid(146_097));
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let of_year = day - (365 * year + year / 4 - year / 100);
    let from_march = (5 * of_year + 2) / 153;
    let month = if from_march < 10 { from_march + 3 } else { from_march - 9 };
    let year = era * 400 + year + i64::from(month <= 2);
    (year, month, of_year - (153 * from_march + 2) / 5 + 1)
}

impl fmt::Display for Utc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(std::str::from_utf8(&self.text()).expect("digits and signs are ASCII"))
    }
}

impl Serialize for Utc {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.serialize_str(std::str::from_utf8(&self.text()).expect("digits and signs are ASCII"))
    }
}

impl<'de> Deserialize<'de> for Utc {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Utc, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(d)?;
        Utc::parse(&text).map_err(serde::de::Error::custom)
    }
}

/// How far wall time can be trusted; worst first, so that `min` of two is the honest one.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Hash, Serialize, Deserialize,
)]
#[serde(rename_all = "lowercase")]
pub enum ClockQuality {
    /// Nobody has set the clock since the box started.
    #[default]
    Unset,
    /// Worked out from another time: the last one known before a restart, or a sensor's own counting.
    Estimated,
    /// Kept by NTP.
    Ntp,
    /// Taken from a satellite receiver.
    Gnss,
}

/// Which start of the box: counted up by one, and synced, at every start.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Boot(pub u32);

/// An instant as the box knows it. Stored with what it dates, and handed to every step as [`Now`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Moment {
    /// The boot that `monotonic` belongs to.
    pub boot: Boot,
    /// Milliseconds in that boot.
    pub monotonic: Monotonic,
    /// Wall time.
    pub utc: Utc,
    /// Trust in `utc`.
    pub clock: ClockQuality,
}

/// The present, as handed to [`crate::Engine::step`].
pub type Now = Moment;

impl Moment {
    /// Time from `earlier` to `self`: by the monotonic clock inside a boot, by wall time across
    /// boots, and from before a boot. Never negative. Where wall time is not known on both sides, it is what is
    /// certain: the time since this boot began.
    #[must_use]
    pub fn since(self, earlier: Moment) -> Span {
        if earlier.shares_monotonic(self) {
            self.monotonic.since(earlier.monotonic)
        } else if self.boot != earlier.boot && self.clock.min(earlier.clock) == ClockQuality::Unset
        {
            self.monotonic.since(Monotonic(0))
        } else {
            self.utc.since(earlier.utc)
        }
    }

    /// The same for two moments of measuring. Two that came at one instant, to a box that did not know the time, are
    /// told apart by what dated them, the sensor's own clock.
    #[must_use]
    pub(crate) fn measured_since(self, earlier: Moment) -> Span {
        if self.boot == earlier.boot && self.monotonic == earlier.monotonic {
            self.utc.since(earlier.utc)
        } else {
            self.since(earlier)
        }
    }

    /// Whether this was in `boot`, and not before it and held at its start ([`Moment::at`]).
    #[must_use]
    pub fn is_of_boot(self, boot: Boot) -> bool {
        self.boot == boot && self.monotonic > Monotonic(0)
    }

    /// Whether the monotonic clock tells how long it was from this moment to `later`. What was measured before
    /// the boot is held at its start ([`Moment::at`]), where only wall time tells it apart; if that is known.
    fn shares_monotonic(self, later: Moment) -> bool {
        let held =
            self.monotonic == Monotonic(0) && self.clock.min(later.clock) >= ClockQuality::Ntp;
        self.boot == later.boot && !held
    }

    /// The same boot's instant at wall time `utc`, with the monotonic clock moved by the same amount
    /// (held at the start of the boot when it would fall before it).
    #[must_use]
    pub fn at(self, utc: Utc) -> Moment {
        let shift = utc.as_ms().saturating_sub(self.utc.as_ms());
        let monotonic = if shift < 0 {
            Monotonic(self.monotonic.0.saturating_sub(shift.unsigned_abs()))
        } else {
            Monotonic(self.monotonic.0.saturating_add(shift.unsigned_abs()))
        };
        Moment { monotonic, utc, ..self }
    }

    /// The same boot's moment at `instant`, with wall time moved by the same amount.
    #[must_use]
    pub fn at_instant(self, instant: Monotonic) -> Moment {
        let utc = if instant < self.monotonic {
            self.utc - self.monotonic.since(instant)
        } else {
            self.utc + instant.since(self.monotonic)
        };
        Moment { monotonic: instant, utc, ..self }
    }

    /// The monotonic instant `span` after this moment, seen from `now`'s boot: for a moment of an
    /// earlier boot, or from before this one, it is worked out from wall time, and is `now` when it is over.
    #[must_use]
    pub fn deadline(self, span: Span, now: Now) -> Monotonic {
        let due = self.due(span, now);
        if self.shares_monotonic(now) { due } else { due.max(now.monotonic) }
    }

    /// The same, but what was over before `now` keeps its own time, held at the start of the boot. `now` is the
    /// present: a moment that is held there itself tells nothing about others.
    #[must_use]
    pub fn due(self, span: Span, now: Now) -> Monotonic {
        if self.shares_monotonic(now) {
            self.monotonic + span
        } else {
            let due = now.monotonic + span;
            Monotonic(due.0.saturating_sub(now.since(self).0))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn moment(boot: u32, ms: u64, utc: i64) -> Moment {
        Moment {
            boot: Boot(boot),
            monotonic: Monotonic(ms),
            utc: Utc::from_ms(utc),
            clock: ClockQuality::Ntp,
        }
    }

    #[test]
    fn utc_is_written_with_milliseconds_and_read_back() {
        let t = Utc::parse("2026-06-04T12:00:03.12+08:00").unwrap();
        assert_eq!(t.to_string(), "2026-06-04T04:00:03.120Z");
        assert_eq!(Utc::parse(&t.to_string()).unwrap(), t);
        assert_eq!(Utc::from_ms(0).to_string(), "1970-01-01T00:00:00.000Z");
        assert!(Utc::parse("2026-06-04 12:00").is_err());
    }

    #[test]
    fn the_text_is_that_of_the_calendar_on_every_day_there_is() {
        let same = |ms: i64| {
            let utc = Utc::from_ms(ms);
            let expected = jiff::Timestamp::from_millisecond(utc.as_ms()).unwrap();
            assert_eq!(utc.to_string(), format!("{expected:.3}"));
        };
        for ms in [i64::MIN, -1, 0, 951_782_399_999, 951_782_400_000, i64::MAX] {
            same(ms);
        }
        // A step of 610 days and some meets every month and every time of day.
        for step in 0..6_000 {
            same(Utc::from_ms(i64::MIN).as_ms() + step * 52_771_234_567);
        }
    }

    #[test]
    fn a_day_and_a_time_of_day_are_an_instant_where_the_calendar_has_them() {
        let text = |date, time| Utc::from_civil(date, time).map(|t| t.to_string());
        let known = text((2026, 6, 4), (4, 0, 3));
        assert_eq!(known.as_deref(), Some("2026-06-04T04:00:03.000Z"));
        let leap = text((2016, 12, 31), (23, 59, 60));
        assert_eq!(leap.as_deref(), Some("2017-01-01T00:00:00.000Z"));
        for (date, time) in [
            ((2026, 2, 29), (0, 0, 0)),
            ((2026, 0, 1), (0, 0, 0)),
            ((2026, 1, 200), (0, 0, 0)),
            ((2026, 1, 1), (24, 0, 0)),
            ((2026, 1, 1), (0, 60, 0)),
            ((2026, 1, 1), (0, 0, 61)),
        ] {
            assert_eq!(Utc::from_civil(date, time), None, "{date:?} {time:?}");
        }
    }

    #[test]
    fn a_stepped_wall_clock_does_not_change_a_duration_inside_a_boot() {
        let before = moment(1, 10_000, 1_000_000);
        let after = moment(1, 15_000, -500_000);
        assert_eq!(after.since(before), Span::from_secs(5));
    }

    #[test]
    fn across_boots_wall_time_counts_and_never_runs_backwards() {
        let before = moment(1, 900_000, 1_000_000);
        assert_eq!(moment(2, 10, 1_060_000).since(before), Span::from_mins(1));
        assert_eq!(moment(2, 10, 0).since(before), Span::ZERO);
    }

    #[test]
    fn what_was_measured_before_the_boot_is_told_apart_by_wall_time() {
        // The box was down from 1000 s to 5000 s; a sensor kept two reports meanwhile.
        let now = moment(2, 10_000, 5_010_000);
        let (came, left) = (now.at(Utc::from_ms(2_000_000)), now.at(Utc::from_ms(3_000_000)));
        assert_eq!((came.monotonic, left.monotonic), (Monotonic(0), Monotonic(0)));
        assert_eq!(left.since(came), Span::from_secs(1000));
        assert_eq!(now.since(left), Span::from_secs(2010));
        assert!(left.deadline(Span::from_secs(20), now) <= now.monotonic, "long over");
        // Nobody knows what a clock said that has not been set.
        let unset = Moment { clock: ClockQuality::Unset, ..moment(2, 0, 77) };
        assert_eq!(now.since(unset), Span::from_secs(10));
    }

    #[test]
    fn across_boots_a_clock_that_is_not_set_counts_for_nothing() {
        const YEARS_10: i64 = 10 * 365 * 86_400_000;
        let unset = |at: Moment, ahead| Moment {
            clock: ClockQuality::Unset,
            utc: Utc::from_ms(at.utc.as_ms() + ahead),
            ..at
        };
        let (before, after) = (moment(1, 900_000, YEARS_10), moment(2, 60_000, YEARS_10));
        for ahead in [YEARS_10, -YEARS_10] {
            for (from, to) in [(before, unset(after, ahead)), (unset(before, ahead), after)] {
                // It was a minute at least: that long this boot has been going on.
                assert_eq!(to.since(from), Span::from_mins(1));
                assert_eq!(from.deadline(Span::from_mins(5), to), Monotonic(300_000));
            }
        }
    }

    #[test]
    fn a_deadline_of_an_earlier_boot_is_carried_over_by_wall_time() {
        let began = moment(1, 900_000, 1_000_000);
        let now = moment(2, 5_000, 1_040_000);
        assert_eq!(began.deadline(Span::from_mins(1), now), Monotonic(25_000));
        assert_eq!(began.deadline(Span::from_secs(10), now), Monotonic(5_000));
        assert_eq!(began.due(Span::from_mins(1), now), Monotonic(25_000));
        let passed = now.since(began).0;
        assert_eq!(began.due(Span(passed - 2_000), now), Monotonic(3_000), "its own time");
        assert_eq!(began.due(Span::from_secs(10), now), Monotonic(0), "before the boot");
    }

    #[test]
    fn spans_read_like_people_say_them() {
        let text = |ms| Span::from_ms(ms).to_string();
        assert_eq!(text(450), "450ms");
        assert_eq!(text(65_000), "1m 05s");
        assert_eq!(text(3_900_000), "1h 05m");
        assert_eq!(text(90_000_000), "1d 01h");
    }
}
