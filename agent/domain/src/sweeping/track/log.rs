//! A track on its way out: the compressor, and what it has kept and nobody has been sent yet.
//!
//! Stored with the vehicle, so that the end of a shift, when the power goes with the ignition, is not
//! lost. In the store places are rounded as on the wire.

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::code::{decode, encode};
use super::{Doing, SEND_EVERY, SEND_POINTS, Track, TrackPoint, Why, length_m};
use crate::place::Position;
use crate::time::{Monotonic, Now, Utc};

/// The compressor of a vehicle's track and the points that wait to be sent: [`SEND_POINTS`] at most and
/// what one fix adds to them.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(from = "Stored", into = "Stored")]
pub(crate) struct TrackLog {
    track: Track,
    pending: Vec<TrackPoint>,
}

/// A piece of a track, as it is sent.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Sent {
    from: Utc,
    until: Utc,
    points: usize,
    length_m: f64,
    error_m: f64,
    /// See [`encode`].
    code: String,
}

impl TrackLog {
    /// Takes the next fix.
    pub(crate) fn take(&mut self, position: Position, at: Utc, doing: Doing, error_m: f64) {
        self.track.take(position, at, doing, error_m, &mut self.pending);
    }

    /// The vehicle is lost or rests: what was seen of it up to now is all there is.
    pub(crate) fn end(&mut self) {
        self.track.gap(&mut self.pending);
    }

    /// Whether enough waits to be sent at `at`.
    pub(crate) fn is_due(&self, at: Utc) -> bool {
        self.pending.len() >= SEND_POINTS
            || self.pending.first().is_some_and(|first| at.since(first.at) >= SEND_EVERY)
    }

    /// When [`TrackLog::is_due`] comes true by time alone.
    pub(crate) fn due(&self, now: Now) -> Option<Monotonic> {
        self.pending.first().map(|first| now.at(first.at + SEND_EVERY).monotonic)
    }

    /// Takes out what waits.
    pub(crate) fn send(&mut self, error_m: f64) -> Option<Sent> {
        let (first, last) = (self.pending.first()?, self.pending.last()?);
        let sent = Sent {
            from: first.at,
            until: last.at,
            points: self.pending.len(),
            length_m: libm::round(length_m(&self.pending) * 10.0) / 10.0,
            error_m,
            code: encode(&self.pending),
        };
        self.pending.clear();
        Some(sent)
    }
}

/// The log in short.
#[derive(Serialize, Deserialize)]
struct Stored {
    kept: Points,
    open: Points,
    pending: Points,
    doing: Doing,
}

/// Points as one text.
struct Points(Vec<TrackPoint>);

impl Serialize for Points {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.serialize_str(&encode(&self.0))
    }
}

impl<'de> Deserialize<'de> for Points {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Points, D::Error> {
        let text = String::deserialize(d)?;
        decode(&text).map(Points).map_err(serde::de::Error::custom)
    }
}

impl From<TrackLog> for Stored {
    fn from(log: TrackLog) -> Stored {
        let point = |(position, at): (Position, Utc)| TrackPoint { position, at, why: Why::Shape };
        Stored {
            kept: Points(log.track.kept.into_iter().map(point).collect()),
            open: Points(log.track.open.into_iter().map(point).collect()),
            pending: Points(log.pending),
            doing: log.track.doing,
        }
    }
}

impl From<Stored> for TrackLog {
    fn from(stored: Stored) -> TrackLog {
        let place = |point: TrackPoint| (point.position, point.at);
        TrackLog {
            track: Track {
                kept: stored.kept.0.into_iter().next_back().map(place),
                open: stored.open.0.into_iter().map(place).take(super::WINDOW_MAX).collect(),
                doing: stored.doing,
            },
            pending: stored.pending.0,
        }
    }
}
