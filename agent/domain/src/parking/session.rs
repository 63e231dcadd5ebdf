//! A stay of one car on one bay.

use serde::{Deserialize, Serialize};

use crate::time::{ClockQuality, Moment, Span, Utc};

/// How well the length of a stay is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SessionQuality {
    /// Both ends were reported.
    Exact,
    /// Known to within `error`.
    Bounded,
    /// The beginning was not seen: it was occupied when first heard of, or contact was lost meanwhile.
    Inferred,
}

/// A stay that goes on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Session {
    /// When it began.
    pub start: Moment,
    /// How well that is known.
    pub quality: SessionQuality,
    /// Time without contact inside the stay.
    pub blind: Span,
}

/// A stay that is over.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Ended {
    /// `<bay>-<start>`: the same stay always gets the same.
    pub session_id: String,
    /// Arrival.
    pub start: Utc,
    /// Departure.
    pub end: Utc,
    /// Its length in seconds.
    pub duration_s: u64,
    /// How well that is known.
    pub quality: SessionQuality,
    /// The most the length can be wrong, in seconds.
    pub error_s: u64,
    /// Trust in the clock at both ends (the worse).
    pub clock: ClockQuality,
}

impl Session {
    /// Ends the stay at `end`. `counted` is the length the sensor itself counted, with its error; it
    /// goes before the difference of two reception times, because uplinks can be late.
    pub(super) fn end(&self, bay: &str, end: Moment, counted: Option<(Span, Span)>) -> Ended {
        let (length, mut quality, mut error) = match counted {
            Some((lasted, error)) if error > Span::ZERO => (lasted, SessionQuality::Bounded, error),
            Some((lasted, _)) => (lasted, SessionQuality::Exact, Span::ZERO),
            None => (end.since(self.start), self.quality, Span::ZERO),
        };
        if counted.is_none() && self.blind > Span::ZERO {
            quality = quality.max(SessionQuality::Bounded);
            error = self.blind;
        }
        let start = if counted.is_some() { end.utc - length } else { self.start.utc };
        Ended {
            session_id: format!("{bay}-{}", start.as_ms()),
            start,
            end: end.utc,
            duration_s: length.as_secs(),
            quality,
            error_s: error.as_ms().div_ceil(1000),
            clock: self.start.clock.min(end.clock),
        }
    }
}
