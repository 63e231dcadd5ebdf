//! What the rules are told of a vehicle, beside its speed and its silence.
//!
//! A value that has not changed is told once, so that a rule's `readings` counts what is new.

use serde::{Deserialize, Serialize};

use super::super::zone::{is_out_of_area, may_rest};
use super::motion::Motion;
use crate::place::Position;
use crate::rules::FactName;
use crate::sample::Fix;
use crate::site::{Duty, Vehicle};
use crate::time::{Moment, Span};

/// A shorter halt is a traffic light.
const STOP_MIN: Span = Span::from_mins(2);
/// A receiver that gives no accuracy is taken to know its place to this.
const DOUBT_M: f64 = 10.0;

/// What was told, and since when what lasts has lasted.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Facts {
    /// Told again after a restart.
    #[serde(skip)]
    told: Vec<(FactName, i64)>,
    idling_since: Option<Moment>,
    lost_since: Option<Moment>,
}

/// A vehicle as it is at a fix.
#[derive(Debug, Clone, Copy)]
pub(super) struct Now<'v> {
    pub(super) fix: &'v Fix,
    pub(super) at: Moment,
    pub(super) motion: &'v Motion,
    /// By its signals; `None` where it has none.
    pub(super) working: Option<bool>,
    pub(super) ignition: Option<bool>,
}

/// Facts in the order they became known.
pub(super) type Told = Vec<(FactName, i64)>;

impl Facts {
    /// Takes a believed fix.
    pub(super) fn take(&mut self, now: &Now<'_>, v: &Vehicle, out: &mut Told) {
        let Now { fix, at, motion, .. } = *now;
        let place = fix.position.to_wgs84();
        if let Some(speed) = fix.speed {
            out.push((FactName::SpeedKmh, milli_kmh(speed.0)));
            if let Some(working) = now.working {
                let over = speed.0.saturating_sub(v.work_speed_max.0);
                out.push((FactName::OverspeedKmh, if working { milli_kmh(over) } else { 0 }));
            }
        }
        let rested = motion.rest().map_or(Span::ZERO, |(_, since)| at.since(since));
        let stands = rested >= STOP_MIN && !may_rest(&v.duty.zones, place);
        let rested = if stands { rested } else { Span::ZERO };
        self.say(FactName::StoppedMin, minutes(rested), out);
        self.idles(now, out);
        let doubt_m = fix.accuracy.map_or(DOUBT_M, |mm| 2.0 * f64::from(mm.0) / 1000.0);
        if let Some(out_of_area) = is_out_of_area(&v.duty.zones, place, doubt_m) {
            self.say(FactName::OutOfArea, i64::from(out_of_area) * 1000, out);
        }
        self.deviates(place, at, &v.duty, out);
        if self.lost_since.take().is_some() {
            self.say(FactName::NoFixMin, 0, out);
        }
    }

    fn idles(&mut self, now: &Now<'_>, out: &mut Told) {
        let Some(ignition) = now.ignition else { return };
        let stands = ignition && now.motion.standing_since().is_some();
        self.idling_since = self.idling_since.or(Some(now.at)).filter(|_| stands);
        let idling = self.idling_since.map_or(Span::ZERO, |since| now.at.since(since));
        self.say(FactName::IdlingMin, minutes(idling), out);
    }

    fn deviates(&mut self, place: Position, at: Moment, duty: &Duty, out: &mut Told) {
        let off = duty.courses.iter().filter_map(|course| course.off_m(place, at.utc));
        match off.reduce(f64::min) {
            // At most half the world, in whole metres.
            Some(off) => self.say(FactName::DeviationM, off as i64 * 1000, out),
            // Outside of the hours nobody asks.
            None if self.told.iter().any(|(name, _)| *name == FactName::DeviationM) => {
                self.say(FactName::DeviationM, 0, out);
            }
            None => {}
        }
    }

    /// Heard, without a position.
    pub(super) fn lose(&mut self, at: Moment, out: &mut Told) {
        let since = *self.lost_since.get_or_insert(at);
        self.say(FactName::NoFixMin, minutes(at.since(since)), out);
    }

    fn say(&mut self, name: FactName, value: i64, out: &mut Told) {
        match self.told.iter_mut().find(|(told, _)| *told == name) {
            Some((_, told)) if *told == value => return,
            Some((_, told)) => *told = value,
            None => self.told.push((name, value)),
        }
        out.push((name, value));
    }
}

/// Thousandths of a km/h.
fn milli_kmh(mm_s: u32) -> i64 {
    i64::from(mm_s) * 36 / 10
}

/// Thousandths of whole minutes.
fn minutes(span: Span) -> i64 {
    i64::try_from(span.as_secs() / 60).unwrap_or(i64::MAX).saturating_mul(1000)
}
