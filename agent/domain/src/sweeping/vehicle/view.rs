//! What is published of a vehicle.

use serde::Serialize;

use super::{Activity, Tracker};
use crate::place::{Datum, Position};
use crate::sample::NoData;
use crate::time::Utc;

/// The published state of a vehicle.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct VehicleState {
    position: Option<PositionView>,
    #[serde(skip_serializing_if = "Option::is_none")]
    position_at: Option<Utc>,
    speed_kmh: Option<f64>,
    course_deg: Option<f64>,
    activity: Activity,
    /// How the activity is known.
    activity_from: ActivityFrom,
    since: Option<Utc>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<NoData>,
    distance_m: f64,
    /// By the receiver's own speed.
    #[serde(skip_serializing_if = "Option::is_none")]
    doppler_m: Option<f64>,
    fixes: u64,
    /// Fixes that were too far from the others to be true.
    jumps: u64,
    /// Fixes that came twice.
    duplicates: u64,
    /// Fixes that came after newer ones.
    late: u64,
}

/// How the activity is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum ActivityFrom {
    /// A signal of the working parts.
    Signal,
    /// Inferred from the speed alone.
    Speed,
}

/// A position as it is published.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct PositionView {
    lat: f64,
    lon: f64,
    datum: Datum,
    #[serde(skip_serializing_if = "Option::is_none")]
    hacc_m: Option<f64>,
}

impl PositionView {
    pub(crate) fn new(position: Position, accuracy_mm: Option<u32>) -> PositionView {
        PositionView {
            lat: position.lat(),
            lon: position.lon(),
            datum: position.datum,
            hacc_m: accuracy_mm.map(|mm| f64::from(mm) / 1000.0),
        }
    }
}

impl Tracker {
    /// What is published.
    #[must_use]
    pub fn view(&self) -> VehicleState {
        let present = self.last.filter(|_| self.activity != Activity::Unknown);
        let fix = present.map(|(fix, _)| fix);
        VehicleState {
            position: fix.map(|f| PositionView::new(f.position, f.accuracy.map(|mm| mm.0))),
            position_at: present.map(|(_, at)| at.utc),
            speed_kmh: fix.and_then(|f| f.speed).map(|s| rounded(s.kmh())),
            course_deg: fix.and_then(|f| f.course).map(|c| f64::from(c.0) / 100.0),
            activity: self.activity,
            activity_from: match self.working {
                Some(_) => ActivityFrom::Signal,
                None => ActivityFrom::Speed,
            },
            since: self.since.map(|m| m.utc),
            reason: self.reason,
            distance_m: rounded(self.motion.distance_mm as f64 / 1000.0),
            doppler_m: self.motion.doppler_mm.map(|mm| rounded(mm as f64 / 1000.0)),
            fixes: self.fixes,
            jumps: self.belief.jumps,
            duplicates: self.belief.duplicates,
            late: self.belief.late,
        }
    }
}

/// Two decimals: centimetres per hour and per kilometre are noise.
pub(super) fn rounded(value: f64) -> f64 {
    libm::round(value * 100.0) / 100.0
}
