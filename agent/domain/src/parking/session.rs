//! A stay of one car on one bay.

use serde::{Deserialize, Serialize};

use crate::time::{ClockQuality, Moment, Span, Utc};

/// How well the length of a stay is known. Only the first two may be billed without a person.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SessionQuality {
    /// Both ends were reported.
    Exact,
    /// Known to within `error`.
    Bounded,
    /// An end was not seen, or it is not certain that it was one car all the time.
    Inferred,
    /// Nobody saw the end: it is the latest moment at which it can have been.
    LostEnd,
}

/// A stay that goes on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Session {
    /// When it began.
    pub start: Moment,
    /// How well that is known.
    pub quality: SessionQuality,
    /// How much earlier it may have begun.
    #[serde(default)]
    pub start_error: Span,
    /// The time without contact before the last report.
    #[serde(default)]
    pub blind: Span,
    /// Reports are missing inside it: another car may have taken the place.
    #[serde(default)]
    pub gap: bool,
    /// The sensor started anew inside it, so that its own count is too short.
    #[serde(default)]
    pub restarted: bool,
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
    /// The part of it in which the car stood there for certain: what may be billed.
    #[serde(skip)]
    pub certain: (Utc, Utc),
}

/// How long a state lasted by the sensor's own count, with its error.
pub(super) type Counted = (Span, Span);

/// A sensor's count may be this much shorter than the time between reports, which travel.
const TRAVEL_MAX: Span = Span::from_mins(2);

impl Session {
    /// A stay that was seen to begin.
    pub(super) fn begun(start: Moment, start_error: Span) -> Session {
        Session {
            start,
            quality: SessionQuality::Exact,
            start_error,
            blind: Span::ZERO,
            gap: false,
            restarted: false,
        }
    }

    /// Ends the stay at `end`. `counted` is the length the sensor itself counted; it goes before the
    /// difference of two reception times, because uplinks can be late. Where reports are missing and
    /// the count is of a shorter stay, there were two, and the end of the first was not seen.
    pub(super) fn end(&self, bay: &str, end: Moment, counted: Option<Counted>) -> Vec<Ended> {
        let seen = end.since(self.start);
        let counted = counted.filter(|_| !self.restarted);
        let Some((lasted, error)) = counted else {
            return vec![self.end_by_reports(bay, end, seen)];
        };
        let quality =
            if error > Span::ZERO { SessionQuality::Bounded } else { SessionQuality::Exact };
        let clock = self.start.clock.min(end.clock);
        let start = end.utc - lasted;
        let shorter = lasted.saturating_add(error).saturating_add(TRAVEL_MAX) < seen;
        if self.gap && shorter {
            let first = self.lose_end(bay, end.at(start));
            let second =
                Ended::new(bay, (start, end.utc), SessionQuality::Inferred, (lasted, error), clock);
            return vec![first, second];
        }
        vec![Ended::new(bay, (start, end.utc), quality, (lasted, error), clock)]
    }

    fn end_by_reports(&self, bay: &str, end: Moment, seen: Span) -> Ended {
        let error = self.blind.saturating_add(self.start_error);
        let quality = match self.quality {
            _ if self.gap || self.restarted => self.quality.max(SessionQuality::Inferred),
            quality if error > Span::ZERO => quality.max(SessionQuality::Bounded),
            quality => quality,
        };
        let clock = self.start.clock.min(end.clock);
        let ended = Ended::new(bay, (self.start.utc, end.utc), quality, (seen, error), clock);
        // It may have begun earlier; it was seen no later than before the contact was lost.
        let last = (end.utc - self.blind).max(self.start.utc);
        Ended { certain: (self.start.utc, last), ..ended }
    }

    /// Ends a stay whose end nobody saw: it lies before `latest`.
    pub(super) fn lose_end(&self, bay: &str, latest: Moment) -> Ended {
        let seen = latest.since(self.start);
        let clock = self.start.clock.min(latest.clock);
        let ends = (self.start.utc, latest.utc);
        Ended::new(bay, ends, SessionQuality::LostEnd, (seen, seen), clock)
    }
}

impl Ended {
    /// A stay between `start` and `end` with its length and the length's error, counted back from its
    /// end.
    pub(super) fn new(
        bay: &str,
        (start, end): (Utc, Utc),
        quality: SessionQuality,
        (length, error): (Span, Span),
        clock: ClockQuality,
    ) -> Ended {
        Ended {
            session_id: format!("{bay}-{}", start.as_ms()),
            start,
            end,
            duration_s: length.as_secs(),
            quality,
            error_s: error.as_ms().div_ceil(1000),
            clock,
            certain: ((start + error).min(end), end),
        }
    }
}
