//! The state of a vehicle.

use serde::{Deserialize, Serialize};

use super::path::{Path, Piece, Step};
use crate::place::{Datum, Position};
use crate::sample::{Fix, Missing, NoData, Quantity};
use crate::site::{Vehicle, VehicleKind};
use crate::time::{Moment, Monotonic, Now, Span, Utc};
use crate::units::MillimetresPerSecond;

/// What a vehicle does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Activity {
    /// Sweeping, washing, collecting.
    Working,
    /// Driving without working.
    Travelling,
    /// Standing, for a short while.
    Idle,
    /// Standing for long.
    Parked,
    /// No position.
    Unknown,
}

/// One vehicle.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tracker {
    activity: Activity,
    since: Option<Moment>,
    last: Option<(Fix, Moment)>,
    /// From a brush, pump or ignition input; `None` where the vehicle has none.
    working: Option<bool>,
    standing_since: Option<Moment>,
    distance_mm: u64,
    fixes: u64,
    reason: Option<NoData>,
    heard: Option<Moment>,
    published: Option<Moment>,
    /// The way at work, for the coverage of roads.
    #[serde(default)]
    path: Path,
    /// A fix too far from the one before to be true, and how many have agreed with it.
    #[serde(default)]
    doubted: Option<(Fix, Moment, u8)>,
    /// Fixes that were not believed.
    #[serde(default)]
    jumps: u64,
}

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
    fixes: u64,
    /// Fixes that were too far from the others to be true.
    jumps: u64,
}

/// How the activity is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum ActivityFrom {
    /// A signal of the working parts.
    Signal,
    /// The speed alone.
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

/// What a report changed.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct Change {
    pub(crate) state: bool,
    pub(crate) speed: Option<MillimetresPerSecond>,
    /// Pieces of way that are complete now.
    pub(crate) pieces: Vec<Piece>,
}

/// Below this a vehicle stands: a receiver at rest reports up to some decimetres per second.
const STANDING_BELOW: MillimetresPerSecond = MillimetresPerSecond::from_kmh(1);
/// While nothing else changes, a moving vehicle's state is published at most this often; the track
/// itself travels as telemetry.
const PUBLISH_EVERY: Span = Span::from_secs(5);

/// Faster than this is no street vehicle, and faster than [`JUMP_MIN_M`] allows for noise: 70 m/s.
const SPEED_MAX_MM_S: u64 = 70_000;
/// A fix may be this far off without being a jump: urban canyons do that.
const JUMP_MIN_M: f64 = 80.0;
/// So many fixes in a row that agree with each other are right, and those before them were wrong.
const AGREED: u8 = 3;

impl Default for Tracker {
    fn default() -> Tracker {
        Tracker {
            activity: Activity::Unknown,
            since: None,
            last: None,
            working: None,
            standing_since: None,
            distance_mm: 0,
            fixes: 0,
            reason: None,
            heard: None,
            published: None,
            path: Path::default(),
            doubted: None,
            jumps: 0,
        }
    }
}

impl Tracker {
    /// What the vehicle does.
    #[must_use]
    pub fn activity(&self) -> Activity {
        self.activity
    }

    /// Valid positions so far.
    #[must_use]
    pub fn fixes(&self) -> u64 {
        self.fixes
    }

    /// The way so far in millimetres: great circles between consecutive valid positions.
    #[must_use]
    pub fn distance_mm(&self) -> u64 {
        self.distance_mm
    }

    /// When the vehicle was last heard of.
    #[must_use]
    pub fn heard(&self) -> Option<Moment> {
        self.heard
    }

    /// Its last valid position.
    #[must_use]
    pub fn position(&self) -> Option<Position> {
        self.last.map(|(fix, _)| fix.position)
    }

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
            distance_m: rounded(self.distance_mm as f64 / 1000.0),
            fixes: self.fixes,
            jumps: self.jumps,
        }
    }

    /// Takes a report measured at `at`.
    pub(crate) fn report(&mut self, quantities: &[Quantity], at: Moment, v: &Vehicle) -> Change {
        self.heard = Some(at);
        let mut change = Change::default();
        let mut moved = None;
        for quantity in quantities {
            match *quantity {
                Quantity::Working(yes) => self.working = Some(yes),
                Quantity::Fix(fix) if self.believes(fix, at) => {
                    self.moved(fix, at);
                    change.speed = fix.speed;
                    moved = Some(fix);
                }
                Quantity::Absent(a) if a.what == Missing::Fix => {
                    change.state |= self.lose(a.why, at);
                    return change;
                }
                _ => {}
            }
        }
        let became = self.judge(at, v);
        change.state |= became;
        if let Some(fix) = moved {
            let accuracy_mm = fix.accuracy.map(|mm| mm.0);
            let step = Step { position: fix.position.to_wgs84(), at: at.utc, accuracy_mm };
            self.path.take(step, self.activity == Activity::Working, &mut change.pieces);
        }
        let due = self.published.is_none_or(|p| at.since(p) >= PUBLISH_EVERY);
        if (became || due) && self.activity != Activity::Unknown {
            self.published = Some(at);
            change.state = true;
        }
        change
    }

    /// Whether a vehicle can have come here since the last fix. One that stays where it jumped to is
    /// believed in the end: the wrong fix was the one before.
    fn believes(&mut self, fix: Fix, at: Moment) -> bool {
        let reachable = |(from, then): (Fix, Moment)| {
            let allowed = at.since(then).as_ms().saturating_mul(SPEED_MAX_MM_S) as f64 / 1e6;
            let metres = from.position.to_wgs84().distance_m(fix.position.to_wgs84());
            metres.is_none_or(|metres| metres <= JUMP_MIN_M + allowed)
        };
        if self.last.is_none_or(reachable) {
            self.doubted = None;
            return true;
        }
        let agreed = match self.doubted {
            Some((other, then, agreed)) if reachable((other, then)) => agreed + 1,
            _ => 1,
        };
        if agreed >= AGREED {
            // The way between the two places was not driven.
            (self.doubted, self.last) = (None, None);
            return true;
        }
        self.doubted = Some((fix, at, agreed));
        self.jumps += 1;
        false
    }

    fn moved(&mut self, fix: Fix, at: Moment) {
        self.fixes += 1;
        self.reason = None;
        if let Some((before, _)) = self.last
            && let Some(metres) = before.position.distance_m(fix.position)
        {
            // Rounded per step: below a millimetre nothing is known anyway.
            self.distance_mm += libm::round(metres * 1000.0) as u64;
        }
        self.last = Some((fix, at));
        let stands = fix.speed.is_some_and(|s| s < STANDING_BELOW);
        match (stands, self.standing_since) {
            (true, None) => self.standing_since = Some(at),
            (false, Some(_)) => self.standing_since = None,
            _ => {}
        }
    }

    /// Works out the activity; answers whether it is a new one.
    fn judge(&mut self, at: Moment, v: &Vehicle) -> bool {
        let Some((fix, _)) = self.last else { return false };
        let activity = match (self.standing_since, fix.speed) {
            (Some(since), _) if at.since(since) >= v.parked_after => Activity::Parked,
            (Some(_), _) => Activity::Idle,
            (None, Some(speed)) if self.works(speed, v) => Activity::Working,
            (None, Some(_)) => Activity::Travelling,
            // A receiver that gives no speed leaves what was.
            (None, None) if self.activity == Activity::Unknown => Activity::Travelling,
            (None, None) => self.activity,
        };
        self.become_(activity, at)
    }

    /// By the signal of the working parts where there is one, else by a sweeper's speed.
    fn works(&self, speed: MillimetresPerSecond, v: &Vehicle) -> bool {
        let slow = speed <= v.work_speed_max;
        match self.working {
            Some(signal) => signal && slow,
            None => slow && matches!(v.kind, VehicleKind::Sweeper | VehicleKind::Washer),
        }
    }

    fn become_(&mut self, activity: Activity, at: Moment) -> bool {
        if self.activity == activity {
            return false;
        }
        self.activity = activity;
        self.since = Some(at);
        true
    }

    /// When a standing vehicle becomes a parked one, seen from `now`.
    pub(crate) fn parked_at(&self, now: Now, v: &Vehicle) -> Option<Monotonic> {
        (self.activity == Activity::Idle)
            .then(|| self.standing_since.map(|s| s.deadline(v.parked_after, now)))
            .flatten()
    }

    /// A deadline came: a standing vehicle may have become a parked one.
    pub(crate) fn settle(&mut self, at: Moment, v: &Vehicle) -> bool {
        self.activity == Activity::Idle && self.judge(at, v)
    }

    /// There is no position any more; answers whether that is news.
    pub(crate) fn lose(&mut self, why: NoData, at: Moment) -> bool {
        let news = self.reason != Some(why);
        self.reason = Some(why);
        self.standing_since = None;
        self.become_(Activity::Unknown, at) || news
    }
}

/// Two decimals: centimetres per hour and per kilometre are noise.
fn rounded(value: f64) -> f64 {
    libm::round(value * 100.0) / 100.0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample::Absent;
    use crate::time::{Boot, ClockQuality};

    const SWEEPER: Vehicle = Vehicle {
        kind: VehicleKind::Sweeper,
        work_speed_max: MillimetresPerSecond::from_kmh(15),
        parked_after: Span::from_mins(10),
        stale_after: Span::from_mins(5),
    };

    fn t(s: u64) -> Moment {
        Moment {
            boot: Boot(1),
            monotonic: Monotonic::from_ms(s * 1000),
            utc: Utc::from_ms(1_780_000_000_000) + Span::from_secs(s),
            clock: ClockQuality::Gnss,
        }
    }

    fn fix(lat: f64, kmh: u32) -> Quantity {
        Quantity::Fix(Fix {
            position: Position::from_degrees(lat, 119.97, Datum::Wgs84).unwrap(),
            speed: Some(MillimetresPerSecond::from_kmh(kmh)),
            course: None,
            accuracy: None,
            satellites: Some(9),
        })
    }

    #[test]
    fn the_activity_follows_the_speed_and_says_that_it_is_inferred() {
        let mut v = Tracker::default();
        let run =
            [(0, 8, Activity::Working), (1, 40, Activity::Travelling), (2, 0, Activity::Idle)];
        for (s, kmh, activity) in run {
            v.report(&[fix(31.81, kmh)], t(s), &SWEEPER);
            assert_eq!(v.activity(), activity, "{kmh} km/h");
        }
        assert_eq!(v.parked_at(t(2), &SWEEPER), Some(Monotonic::from_ms(602_000)));
        assert!(v.settle(t(602), &SWEEPER));
        assert_eq!(v.activity(), Activity::Parked);
        assert_eq!(v.view().activity_from, ActivityFrom::Speed);
    }

    #[test]
    fn a_raised_brush_is_travelling_at_any_speed() {
        let mut v = Tracker::default();
        v.report(&[Quantity::Working(false), fix(31.81, 8)], t(0), &SWEEPER);
        assert_eq!(v.activity(), Activity::Travelling);
        v.report(&[Quantity::Working(true), fix(31.81, 8)], t(1), &SWEEPER);
        assert_eq!(v.activity(), Activity::Working);
        v.report(&[fix(31.81, 18)], t(2), &SWEEPER);
        assert_eq!(v.activity(), Activity::Travelling, "too fast to sweep");
    }

    #[test]
    fn the_way_is_the_sum_of_great_circles() {
        let mut v = Tracker::default();
        for s in 0..=10u32 {
            let lat = 31.81 + f64::from(s) * 0.0009;
            v.report(&[fix(lat, 8)], t(u64::from(s)), &SWEEPER);
        }
        let metres = v.distance_mm() as f64 / 1000.0;
        assert!((metres - 1000.75).abs() < 0.2, "{metres}");
        assert_eq!(v.fixes(), 11);
    }

    #[test]
    fn no_fix_is_unknown_and_not_a_place() {
        let mut v = Tracker::default();
        v.report(&[fix(31.81, 8)], t(0), &SWEEPER);
        let absent = Quantity::Absent(Absent { what: Missing::Fix, why: NoData::NoFix });
        assert!(v.report(&[absent], t(1), &SWEEPER).state);
        assert!(!v.report(&[absent], t(2), &SWEEPER).state, "said once");
        assert_eq!((v.activity(), v.view().position), (Activity::Unknown, None));
    }

    #[test]
    fn a_jump_is_not_believed_until_it_stays() {
        let mut v = Tracker::default();
        for (s, lat) in [(0, 31.81), (1, 31.91), (2, 31.81), (3, 31.91), (4, 31.91)] {
            v.report(&[fix(lat, 8)], t(s), &SWEEPER);
            assert_eq!(v.position().unwrap().lat(), 31.81, "{s}");
        }
        v.report(&[fix(31.91, 8)], t(5), &SWEEPER);
        assert_eq!((v.position().unwrap().lat(), v.fixes(), v.jumps), (31.91, 3, 3));
        assert_eq!(v.distance_mm(), 0, "the way in between was not driven");
        let far_later = t(5 + 3600);
        v.report(&[fix(32.4, 8)], far_later, &SWEEPER);
        assert_eq!(v.fixes(), 4, "an hour is enough for 55 km");
    }

    #[test]
    fn a_moving_vehicle_is_published_every_five_seconds() {
        let mut v = Tracker::default();
        let published = (0..20).filter(|&s| v.report(&[fix(31.81, 8)], t(s), &SWEEPER).state);
        assert_eq!(published.count(), 4);
    }
}
