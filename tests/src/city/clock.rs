//! The box's clock: an argument. What is true is the time of the city; what the box believes is the weather's.

use domain::time::{Boot, Moment, Monotonic, Now, Span, Utc};

use super::street::ORIGIN;
use super::weather::Weather;

/// The clock of one life of the box.
#[derive(Debug, Clone, Copy)]
pub(super) struct Clock {
    pub(super) boot: Boot,
    /// When it started, in milliseconds of the city.
    pub(super) started: u64,
}

impl Clock {
    /// What it says at `at`.
    pub(super) fn now(self, weather: &Weather, at: u64) -> Now {
        let telling = weather.clock(at);
        let right = ORIGIN + Span::from_ms(at);
        Moment {
            boot: self.boot,
            // It runs for a moment before there is a core to ask it.
            monotonic: Monotonic::from_ms(at - self.started + 700),
            utc: Utc::from_ms(right.as_ms() + telling.ahead),
            clock: telling.quality,
        }
    }
}
