//! The only reader of clocks; makes [`domain::time::Now`].
//!
//! Every other room is handed the time. The system clock and the faster clock of the demo are the same
//! type, so nothing downstream can tell them apart.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
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
}

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
        Clock(Arc::new(Inner { boot, began: instant_now(), pace, quality }))
    }

    /// The present.
    #[must_use]
    pub fn now(&self) -> Now {
        let elapsed = u64::try_from(self.0.began.elapsed().as_millis()).unwrap_or(u64::MAX);
        let (monotonic, utc) = match self.0.pace {
            Pace::System => (Monotonic::from_ms(elapsed), system_utc()),
            Pace::Scaled { speed, start } => {
                let ms = elapsed.saturating_mul(u64::from(speed));
                (Monotonic::from_ms(ms), start + Span::from_ms(ms))
            }
        };
        Now { boot: self.0.boot, monotonic, utc, clock: self.quality(utc) }
    }

    /// Trust in wall time at `utc`: what was last said with [`Clock::set_quality`], and never better
    /// than `unset` below [`FLOOR`].
    fn quality(&self, utc: Utc) -> ClockQuality {
        if utc < FLOOR {
            ClockQuality::Unset
        } else {
            decode(self.0.quality.load(Ordering::Relaxed))
        }
    }

    /// States how far wall time can be trusted from now on.
    pub fn set_quality(&self, quality: ClockQuality) {
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
}
