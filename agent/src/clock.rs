//! The only reader of clocks; makes [`domain::time::Now`].
//!
//! Every other room is handed the time. The system clock and the faster clock of the demo are the same
//! type, so nothing downstream can tell them apart.
//!
//! A box on a vehicle often has no time but that of its satellite receiver: its clock is as it was when the
//! power went. Once the receiver has said the time several times alike, wall time is the machine's and a
//! step; the machine's own clock is left alone.

use std::sync::atomic::{AtomicI64, AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use domain::time::{Boot, ClockQuality, Monotonic, Now, Span, Utc};

/// Before this the clock cannot be right: the program did not exist yet (2026-01-01T00:00:00Z).
pub const FLOOR: Utc = Utc::from_ms(1_767_225_600_000);

/// A clock that can be shared by every task.
#[derive(Debug, Clone)]
pub struct Clock(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    boot: Boot,
    began: Instant,
    pace: Pace,
    quality: AtomicU8,
    /// What wall time is ahead of the machine's, by the receiver; in milliseconds.
    step: AtomicI64,
    /// Until when the receiver's word is fresh, in milliseconds of this boot.
    fresh_until: AtomicU64,
    word: Mutex<Word>,
}

/// What the receiver has said last: how far ahead of the machine it is, and how often in a row.
#[derive(Debug, Default)]
struct Word {
    ahead_ms: i64,
    alike: u8,
}

/// The receiver counts when it has said the same this often in a row.
const ALIKE: u8 = 3;
/// Sentences that waited in a buffer come in a burst, a second of the receiver apart: not alike.
const ALIKE_WITHIN_MS: i64 = 700;
/// A sentence is up to a second on its way, and the machine's clock may be as far off.
const STEP_MIN_MS: i64 = 2000;
/// So long the receiver's word counts after it was last heard.
const FRESH_MS: u64 = 10 * 60 * 1000;
/// Later than this no receiver that works can be: twenty years after [`FLOOR`].
const CEILING: Utc = Utc::from_ms(FLOOR.as_ms() + 20 * 365 * 86_400_000);

#[derive(Debug)]
enum Pace {
    /// As the machine's.
    System,
    /// `speed` times real time, from `start` on.
    Scaled { speed: u32, start: Utc },
}

#[allow(clippy::disallowed_methods)] // the one place that may
fn instant_now() -> Instant {
    Instant::now()
}

#[allow(clippy::disallowed_methods)] // the one place that may
fn system_utc() -> Utc {
    // A clock before 1970 is as good as 1970: both are below the floor.
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
    Utc::from_ms(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}

/// The time by which certificates are judged: the machine's; where that has plainly not been set yet, the
/// latest that [`remember`] was told of, or [`FLOOR`].
#[must_use]
pub fn for_certificates() -> Utc {
    certificates_at(system_utc(), Utc::from_ms(KNOWN.load(Ordering::Relaxed)))
}

fn certificates_at(system: Utc, known: Utc) -> Utc {
    if system < FLOOR { known.max(FLOOR) } else { system }
}

/// `at` has been: something on the disk was written then. Later than a receiver can be is not believed.
pub fn remember(at: Utc) {
    if at < CEILING {
        KNOWN.fetch_max(at.as_ms(), Ordering::Relaxed);
    }
}

/// The latest time that is known to have been, of this process's machine.
static KNOWN: AtomicI64 = AtomicI64::new(FLOOR.as_ms());

impl Clock {
    /// The machine's clock, for the boot counted as `boot`.
    #[must_use]
    pub fn system(boot: Boot) -> Clock {
        Clock::new(boot, Pace::System)
    }

    /// A clock that starts at `start` and runs `speed` times as fast as real time (at least once).
    #[must_use]
    pub fn scaled(boot: Boot, start: Utc, speed: u32) -> Clock {
        let clock = Clock::new(boot, Pace::Scaled { speed: speed.max(1), start });
        clock.set_quality(ClockQuality::Ntp);
        clock
    }

    fn new(boot: Boot, pace: Pace) -> Clock {
        let quality = AtomicU8::new(encode(ClockQuality::Unset));
        Clock(Arc::new(Inner {
            boot,
            began: instant_now(),
            pace,
            quality,
            step: AtomicI64::new(0),
            fresh_until: AtomicU64::new(0),
            word: Mutex::default(),
        }))
    }

    /// The present.
    #[must_use]
    pub fn now(&self) -> Now {
        self.at(self.elapsed_ms(), system_utc())
    }

    fn elapsed_ms(&self) -> u64 {
        u64::try_from(self.0.began.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// The present, when `elapsed` have passed and the machine says it is `system`.
    fn at(&self, elapsed: u64, system: Utc) -> Now {
        let (monotonic, utc) = match self.0.pace {
            Pace::System => {
                let ahead = self.0.step.load(Ordering::Relaxed);
                let utc = Utc::from_ms(system.as_ms().saturating_add(ahead));
                (Monotonic::from_ms(elapsed), utc)
            }
            Pace::Scaled { speed, start } => {
                let ms = elapsed.saturating_mul(u64::from(speed));
                (Monotonic::from_ms(ms), start + Span::from_ms(ms))
            }
        };
        Now { boot: self.0.boot, monotonic, utc, clock: self.quality(elapsed, utc) }
    }

    /// The box's own receiver says that it is `at`. Said alike several times, it is believed, unless
    /// the machine keeps time by NTP and says otherwise. Nothing for a simulated clock.
    pub fn hear_gnss(&self, at: Utc) {
        if self.is_machines() {
            self.hear_gnss_at(at, self.elapsed_ms(), system_utc());
        }
    }

    fn hear_gnss_at(&self, at: Utc, elapsed: u64, system: Utc) {
        if !(FLOOR..CEILING).contains(&at) {
            return;
        }
        let ahead = at.as_ms() - system.as_ms();
        let mut word = self.0.word.lock().unwrap_or_else(PoisonError::into_inner);
        let alike = (ahead - word.ahead_ms).abs() <= ALIKE_WITHIN_MS;
        word.alike = if alike { word.alike.saturating_add(1) } else { 1 };
        word.ahead_ms = ahead;
        if word.alike < ALIKE {
            return;
        }
        let far = ahead.abs() > STEP_MIN_MS;
        if far && decode(self.0.quality.load(Ordering::Relaxed)) >= ClockQuality::Ntp {
            if word.alike == ALIKE {
                tracing::warn!(ahead_ms = ahead, "the receiver contradicts NTP; NTP is believed");
            }
            return;
        }
        let step = if far { ahead } else { 0 };
        let before = self.0.step.load(Ordering::Relaxed);
        // A step that is right already is not changed by a few milliseconds with every fix.
        if (step - before).abs() > STEP_MIN_MS || step == 0 && before != 0 {
            self.0.step.store(step, Ordering::Relaxed);
            tracing::info!(ahead_ms = step, "wall time is the receiver's");
        }
        self.0.fresh_until.store(elapsed.saturating_add(FRESH_MS), Ordering::Relaxed);
    }

    /// Trust in wall time at `utc`: the receiver's while its word is fresh, else what was last said
    /// with [`Clock::set_quality`]; never better than `unset` below [`FLOOR`].
    fn quality(&self, elapsed: u64, utc: Utc) -> ClockQuality {
        if utc < FLOOR {
            ClockQuality::Unset
        } else if elapsed < self.0.fresh_until.load(Ordering::Relaxed) {
            ClockQuality::Gnss
        } else {
            decode(self.0.quality.load(Ordering::Relaxed))
        }
    }

    /// States how far the machine's own wall time can be trusted from now on. Kept by NTP, it needs no
    /// step any more.
    pub fn set_quality(&self, quality: ClockQuality) {
        if quality >= ClockQuality::Ntp {
            self.0.step.store(0, Ordering::Relaxed);
        }
        self.0.quality.store(encode(quality), Ordering::Relaxed);
    }

    /// How long to wait in real time until `deadline`; zero when it has passed.
    #[must_use]
    pub fn until(&self, deadline: Monotonic) -> Duration {
        let left = deadline.since(self.now().monotonic);
        match self.0.pace {
            Pace::System => Duration::from_millis(left.as_ms()),
            // Rounded up, so that waiting it out is enough.
            Pace::Scaled { speed, .. } => {
                Duration::from_millis(left.as_ms().div_ceil(u64::from(speed)))
            }
        }
    }

    /// How many times real time a simulated clock runs; `None` for the machine's own.
    #[must_use]
    pub fn speed(&self) -> Option<u32> {
        match self.0.pace {
            Pace::System => None,
            Pace::Scaled { speed, .. } => Some(speed),
        }
    }

    /// Whether this is the machine's clock, whose trust the machine's time service decides.
    #[must_use]
    pub fn is_machines(&self) -> bool {
        matches!(self.0.pace, Pace::System)
    }

    /// The boot this clock counts in.
    #[must_use]
    pub fn boot(&self) -> Boot {
        self.0.boot
    }
}

fn encode(quality: ClockQuality) -> u8 {
    match quality {
        ClockQuality::Unset => 0,
        ClockQuality::Estimated => 1,
        ClockQuality::Ntp => 2,
        ClockQuality::Gnss => 3,
    }
}

fn decode(code: u8) -> ClockQuality {
    match code {
        3 => ClockQuality::Gnss,
        2 => ClockQuality::Ntp,
        1 => ClockQuality::Estimated,
        _ => ClockQuality::Unset,
    }
}

/// The present for waiting: what time limits are counted from. Goes on while the wall clock is set, and
/// stands in tests that pause it.
#[must_use]
pub(crate) fn instant() -> tokio::time::Instant {
    tokio::time::Instant::now()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn certificates_are_judged_by_a_time_that_can_be() {
        let known = FLOOR + Span::from_mins(5);
        let unset = Utc::from_ms(0);
        assert_eq!(certificates_at(unset, known), known);
        assert_eq!(certificates_at(unset, unset), FLOOR);
        // A machine that has been set is believed, also when the disk says later.
        let set = FLOOR + Span::from_mins(1);
        assert_eq!(certificates_at(set, known), set);
    }

    #[test]
    fn a_scaled_clock_runs_faster_and_waits_shorter() {
        let start = Utc::parse("2026-06-04T04:00:00Z").unwrap();
        let clock = Clock::scaled(Boot(3), start, 60);
        let now = clock.now();
        assert!(now.utc >= start && now.boot == Boot(3));
        let wait = clock.until(now.monotonic + Span::from_mins(1));
        assert!(wait <= Duration::from_secs(1), "{wait:?}");
        assert_eq!(now.clock, ClockQuality::Ntp);
    }

    #[test]
    fn time_before_the_program_was_built_is_unset_whatever_was_said() {
        let clock = Clock::scaled(Boot(1), Utc::from_ms(0), 1);
        clock.set_quality(ClockQuality::Gnss);
        assert_eq!(clock.now().clock, ClockQuality::Unset);
    }

    const NOON: i64 = 1_780_574_400_000; // 2026-06-04T12:00:00Z

    fn system(quality: ClockQuality) -> Clock {
        let clock = Clock::system(Boot(1));
        clock.set_quality(quality);
        clock
    }

    /// The receiver says each second, from second `from` on, what it has to say, up to half a second
    /// late; the machine began at noon.
    fn hear(clock: &Clock, from: u64, ahead_ms: i64, times: u64) {
        for second in from..from + times {
            let (elapsed, machine) = (second * 1000, NOON + second as i64 * 1000);
            let late = (second as i64 * 137) % 500;
            clock.hear_gnss_at(
                Utc::from_ms(machine + ahead_ms - late),
                elapsed,
                Utc::from_ms(machine),
            );
        }
    }

    fn now(clock: &Clock, second: u64) -> Now {
        clock.at(second * 1000, Utc::from_ms(NOON + second as i64 * 1000))
    }

    #[test]
    fn a_receiver_that_says_the_same_three_times_sets_the_time_of_a_box_that_has_none() {
        let clock = system(ClockQuality::Estimated);
        let hours = 3 * 3_600_000;
        hear(&clock, 0, hours, 2);
        assert_eq!(now(&clock, 2).clock, ClockQuality::Estimated);
        hear(&clock, 2, hours, 5);
        let (now, later) = (now(&clock, 7), now(&clock, 8));
        assert_eq!(now.clock, ClockQuality::Gnss);
        let off = now.utc.as_ms() - (NOON + 7000 + hours);
        assert!(off.abs() <= 500, "{off}");
        assert_eq!(later.utc.as_ms() - now.utc.as_ms(), 1000, "one step, and then it runs evenly");
    }

    #[test]
    fn the_word_of_a_receiver_wears_off_and_ntp_stands_above_it() {
        let clock = system(ClockQuality::Estimated);
        hear(&clock, 0, 100, 5);
        assert_eq!(now(&clock, 5).clock, ClockQuality::Gnss);
        assert_eq!(now(&clock, 5 + 600).clock, ClockQuality::Estimated);
        let clock = system(ClockQuality::Ntp);
        hear(&clock, 0, 3_600_000, 5);
        assert_eq!(
            (now(&clock, 5).clock, now(&clock, 5).utc.as_ms()),
            (ClockQuality::Ntp, NOON + 5000)
        );
        // The machine is set at last: nothing is added any more.
        let clock = system(ClockQuality::Estimated);
        hear(&clock, 0, 3_600_000, 5);
        clock.set_quality(ClockQuality::Ntp);
        assert_eq!(now(&clock, 5).utc.as_ms(), NOON + 5000);
    }

    #[test]
    fn bursts_and_dates_that_cannot_be_set_nothing() {
        let clock = system(ClockQuality::Estimated);
        // Twenty old sentences at once.
        for second in 0..20 {
            let at = Utc::from_ms(NOON - 20_000 + second * 1000);
            clock.hear_gnss_at(at, 0, Utc::from_ms(NOON));
        }
        for wrong in ["2006-10-19T12:00:00Z", "2065-06-04T12:00:00Z"] {
            for _ in 0..5 {
                clock.hear_gnss_at(Utc::parse(wrong).unwrap(), 0, Utc::from_ms(NOON));
            }
        }
        assert_eq!(
            (now(&clock, 0).clock, now(&clock, 0).utc.as_ms()),
            (ClockQuality::Estimated, NOON)
        );
    }
}
