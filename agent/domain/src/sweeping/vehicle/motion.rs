//! Whether a vehicle stands, and how far it has gone.
//!
//! A receiver at rest wanders by metres and reports small speeds. So there are two answers: whether it
//! stands *now*, by its speed, and how long it has *rested*: been within some metres of one place. There
//! are two ways as well: in legs that are longer than the noise of fixes (summing every second would
//! measure that noise, some nine percent at sweeping speed), and as the integral of the receiver's own
//! (Doppler) speed.

use serde::{Deserialize, Serialize};

use super::super::path::JOIN_TIME_MAX;
use crate::place::Position;
use crate::sample::Fix;
use crate::time::{Moment, Span};
use crate::units::MillimetresPerSecond;

/// Below this a vehicle stands: a receiver at rest reports up to some decimetres per second.
const STANDING_BELOW: MillimetresPerSecond = MillimetresPerSecond::from_kmh(1);
/// A vehicle rests while it is no further than this from where it came to rest, and twice the
/// receiver's own doubt.
const REST_RADIUS_M: f64 = 30.0;
/// At most, whatever the receiver doubts.
const REST_RADIUS_MAX_M: f64 = 60.0;
/// Without a speed, a vehicle stands when it has rested for this long.
const STANDS_AFTER: Span = Span::from_secs(60);
/// A vehicle that has rested for this long goes nowhere, whatever its receiver says; when it has left,
/// the way from where it rested counts.
const HELD_AFTER: Span = Span::from_secs(120);
/// Fixes nearer in time than this give no speed of their own: their noise is larger.
const SPEED_BASE_MIN: Span = Span::from_secs(5);
/// The way grows in legs of at least this.
const LEG_MIN_M: f64 = 5.0;

/// Where a vehicle rests, and its way so far.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Motion {
    /// The first place of those that are all near each other, up to now.
    rest: Option<(Position, Moment)>,
    standing_since: Option<Moment>,
    /// The end of the way that is counted.
    counted: Option<Position>,
    last: Option<(Position, Moment, Option<MillimetresPerSecond>)>,
    /// The way so far in millimetres, in legs.
    pub(super) distance_mm: u64,
    /// The same by the receiver's own speed; `None`: it gives none.
    pub(super) doppler_mm: Option<u64>,
}

/// What one fix has moved.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Moved {
    /// By the receiver or, of fixes some seconds apart, by the distance between them.
    pub(super) speed: Option<MillimetresPerSecond>,
    /// What the way grew by.
    pub(super) way_mm: u64,
    /// Since the fix before.
    pub(super) pause: Span,
    /// It has left the place where it rested.
    pub(super) left: bool,
}

impl Motion {
    /// Takes the next believed fix.
    pub(super) fn take(&mut self, fix: &Fix, at: Moment) -> Moved {
        let position = fix.position.to_wgs84();
        let pause = self.last.map_or(Span::ZERO, |(_, then, _)| at.since(then));
        let speed = fix.speed.or_else(|| self.speed_to(position, at));
        let held = self.rest.filter(|(_, since)| at.since(*since) >= HELD_AFTER);
        let left = self.rests(position, fix.accuracy.map_or(0, |mm| mm.0), at);
        let driven = self.way_to(position, pause);
        self.integrate(pause, fix.speed);
        let way_mm = match held {
            Some((place, _)) if left => place.distance_m(position).map_or(0, millimetres),
            Some(_) => 0,
            None => driven,
        };
        self.distance_mm = self.distance_mm.saturating_add(way_mm);
        let rested = self.rest.map_or(Span::ZERO, |(_, since)| at.since(since));
        let stands = match fix.speed {
            Some(speed) => speed < STANDING_BELOW,
            None => rested >= STANDS_AFTER,
        };
        if !stands {
            self.standing_since = None;
        } else if self.standing_since.is_none() {
            let since = self.rest.filter(|_| fix.speed.is_none()).map_or(at, |(_, since)| since);
            self.standing_since = Some(since);
        }
        self.last = Some((position, at, fix.speed));
        Moved { speed, way_mm, pause, left }
    }

    /// The vehicle is somewhere else, and did not drive there as far as anybody knows.
    pub(super) fn forget_place(&mut self) {
        (self.last, self.counted, self.rest) = (None, None, None);
    }

    /// Nobody knows whether it stands any more.
    pub(super) fn lose(&mut self) {
        self.standing_since = None;
    }

    /// Since when it stands.
    pub(super) fn standing_since(&self) -> Option<Moment> {
        self.standing_since
    }

    /// Since when it has not left the place, and which that is.
    pub(super) fn rest(&self) -> Option<(Position, Moment)> {
        self.rest
    }

    /// Whether it has rested for `long` at `at`.
    pub(super) fn has_rested(&self, long: Span, at: Moment) -> bool {
        self.rest.is_some_and(|(_, since)| at.since(since) >= long)
    }

    fn rests(&mut self, position: Position, accuracy_mm: u32, at: Moment) -> bool {
        let radius = REST_RADIUS_M + 2.0 * f64::from(accuracy_mm) / 1000.0;
        let near = |(place, _): (Position, Moment)| {
            place.distance_m(position).is_some_and(|m| m <= radius.min(REST_RADIUS_MAX_M))
        };
        if self.rest.is_some_and(near) {
            return false;
        }
        self.rest.replace((position, at)).is_some()
    }

    fn speed_to(&self, position: Position, at: Moment) -> Option<MillimetresPerSecond> {
        let (from, then, _) = self.last?;
        let pause = at.since(then);
        let fits = pause >= SPEED_BASE_MIN;
        let metres = from.distance_m(position).filter(|_| fits)?;
        // A believed fix is at most 70 m/s and some noise away.
        Some(MillimetresPerSecond((metres * 1e6 / pause.as_ms() as f64) as u32))
    }

    fn way_to(&mut self, position: Position, pause: Span) -> u64 {
        let counted = *self.counted.get_or_insert(position);
        let metres = counted.distance_m(position).unwrap_or(0.0);
        if metres < LEG_MIN_M && pause <= JOIN_TIME_MAX {
            return 0;
        }
        self.counted = Some(position);
        millimetres(metres)
    }

    /// Where nobody saw the vehicle, no speed was measured.
    fn integrate(&mut self, pause: Span, speed: Option<MillimetresPerSecond>) {
        let Some(speed) = speed else { return };
        let way = self.doppler_mm.get_or_insert(0);
        let before = self.last.and_then(|(_, _, speed)| speed);
        if let Some(before) = before.filter(|_| pause <= JOIN_TIME_MAX) {
            let moves = |speed: MillimetresPerSecond| {
                if speed < STANDING_BELOW { 0 } else { u64::from(speed.0) }
            };
            *way = way.saturating_add((moves(before) + moves(speed)) * pause.as_ms() / 2000);
        }
    }
}

/// Rounded per leg: below a millimetre nothing is known anyway.
fn millimetres(metres: f64) -> u64 {
    libm::round(metres * 1000.0) as u64
}
