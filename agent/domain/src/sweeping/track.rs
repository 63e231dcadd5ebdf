//! A track with few points and a bound on what it leaves out.
//!
//! Opening-window time-ratio compression: a point is left out while every point since the last kept one
//! stays within `error` of where the straight line between its neighbours says the vehicle was *at that
//! time* (synchronised Euclidean distance), the rounding of the code included. So dwell times and speeds survive, not only shapes. The
//! window holds [`WINDOW_MAX`] points, which bounds memory and work.
//!
//! Points that mean something are kept whatever their place: where work begins and ends, where a
//! vehicle stops and starts, and both ends of a gap.
//!
//! * `code`: a track as one text.
//! * `log`: what waits to be sent.

mod code;
mod log;

use serde::{Deserialize, Serialize};

pub use self::code::{BadTrack, decode, encode};
pub(crate) use self::log::{Sent, TrackLog};

use self::code::ROUNDING_M;
use super::path::JOIN_TIME_MAX;
use super::plane::{Flat, Plane};
use crate::place::Position;
use crate::time::{Span, Utc};

/// Points that wait for a decision.
pub const WINDOW_MAX: usize = 120;

/// Why a point is part of the track. The numbers are part of the wire format.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Why {
    /// It holds the bound.
    Shape = 0,
    /// Work has begun.
    WorkBegins = 1,
    /// Work has ended.
    WorkEnds = 2,
    /// The vehicle has come to rest.
    Stop = 3,
    /// It moves again.
    Start = 4,
    /// The last one before a gap.
    GapBegins = 5,
    /// The first one after a gap, or at all.
    GapEnds = 6,
    /// It has become too fast for the work it does.
    TooFast = 7,
    /// It is slow enough again.
    SlowEnough = 8,
}

impl Why {
    const ALL: [Why; 9] = [
        Why::Shape,
        Why::WorkBegins,
        Why::WorkEnds,
        Why::Stop,
        Why::Start,
        Why::GapBegins,
        Why::GapEnds,
        Why::TooFast,
        Why::SlowEnough,
    ];
}

/// A point of a track.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct TrackPoint {
    /// Where, in WGS84.
    pub position: Position,
    /// When.
    pub at: Utc,
    /// Why it is kept.
    pub why: Why,
}

/// What is known of a vehicle at a point, so that the edges can be told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Doing {
    /// It works.
    pub works: bool,
    /// It stands.
    pub stands: bool,
    /// Its working parts run, and it is too fast for them.
    pub too_fast: bool,
}

/// The compressor of one vehicle's track.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Track {
    /// The last kept point.
    kept: Option<(Position, Utc)>,
    /// What came after it and is not decided; never longer than [`WINDOW_MAX`].
    open: Vec<(Position, Utc)>,
    doing: Doing,
}

impl Track {
    /// Takes the next fix; gives the points that are kept now, in order. A fix that is not later than
    /// the one before adds nothing.
    pub fn take(
        &mut self,
        position: Position,
        at: Utc,
        doing: Doing,
        error_m: f64,
        kept: &mut Vec<TrackPoint>,
    ) {
        let Some(last) = self.open.last().copied().or(self.kept) else {
            return self.keep((position, at), Why::GapEnds, doing, kept);
        };
        if at <= last.1 {
            return;
        }
        if at.since(last.1) > JOIN_TIME_MAX {
            self.gap(kept);
            return self.keep((position, at), Why::GapEnds, doing, kept);
        }
        if let Some(why) = edge(self.doing, doing) {
            self.settle((position, at), error_m, kept);
            return self.keep((position, at), why, doing, kept);
        }
        self.settle((position, at), error_m, kept);
        self.open.push((position, at));
    }

    /// The signal is lost, or the track is to be sent as it is: the last fix is kept.
    pub fn gap(&mut self, kept: &mut Vec<TrackPoint>) {
        if let Some(last) = self.open.last().copied() {
            self.keep(last, Why::GapBegins, self.doing, kept);
        }
    }

    /// Keeps the newest open point where the line from the last kept one to `next` would leave the
    /// bound, or the window is full.
    fn settle(&mut self, next: (Position, Utc), error_m: f64, kept: &mut Vec<TrackPoint>) {
        let (Some(from), Some(last)) = (self.kept, self.open.last().copied()) else { return };
        // Once for the ends of the line, once for points that waited in the store over a restart.
        let error_m = (error_m - 2.0 * ROUNDING_M).max(0.0);
        if self.open.len() >= WINDOW_MAX || !holds(from, &self.open, next, error_m) {
            self.keep(last, Why::Shape, self.doing, kept);
        }
    }

    fn keep(
        &mut self,
        (position, at): (Position, Utc),
        why: Why,
        doing: Doing,
        kept: &mut Vec<TrackPoint>,
    ) {
        self.kept = Some((position, at));
        self.open.clear();
        self.doing = doing;
        kept.push(TrackPoint { position, at, why });
    }
}

fn edge(before: Doing, now: Doing) -> Option<Why> {
    Some(match (before, now) {
        (b, n) if b.works != n.works => [Why::WorkEnds, Why::WorkBegins][usize::from(n.works)],
        (b, n) if b.too_fast != n.too_fast => {
            [Why::SlowEnough, Why::TooFast][usize::from(n.too_fast)]
        }
        (b, n) if b.stands != n.stands => [Why::Start, Why::Stop][usize::from(n.stands)],
        _ => return None,
    })
}

/// Whether every point of `open` is within the bound of the line between the two ends.
fn holds(
    from: (Position, Utc),
    open: &[(Position, Utc)],
    to: (Position, Utc),
    error_m: f64,
) -> bool {
    let plane = Plane::at(from.0);
    let end = plane.flat(to.0);
    let whole = to.1.since(from.1).as_ms() as f64;
    open.iter().all(|(position, at)| {
        let part = at.since(from.1).as_ms() as f64 / whole;
        let there = plane.flat(*position).from(Flat { x: end.x * part, y: end.y * part });
        there.dot(there) <= error_m * error_m
    })
}

/// Distance in metres between where the vehicle was at `at` and where the track says it was; `None`
/// outside of the track and inside its gaps.
#[must_use]
pub fn synchronised_error_m(track: &[TrackPoint], position: Position, at: Utc) -> Option<f64> {
    let after = track.partition_point(|point| point.at < at);
    let to = track.get(after)?;
    if to.at == at {
        return to.position.distance_m(position);
    }
    let from = track.get(after.checked_sub(1)?)?;
    if to.why == Why::GapEnds {
        return None;
    }
    let plane = Plane::at(from.position);
    let end = plane.flat(to.position);
    let part = at.since(from.at).as_ms() as f64 / to.at.since(from.at).as_ms() as f64;
    Some(plane.flat(position).from(Flat { x: end.x * part, y: end.y * part }).length())
}

/// Length of a track in metres, gaps left out.
#[must_use]
pub fn length_m(track: &[TrackPoint]) -> f64 {
    let joined = track.windows(2).filter(|pair| pair[1].why != Why::GapEnds);
    joined.filter_map(|pair| pair[0].position.distance_m(pair[1].position)).sum()
}

/// How often a track is sent at least while the vehicle is heard.
pub const SEND_EVERY: Span = Span::from_mins(5);
/// Points that are sent together at most.
pub const SEND_POINTS: usize = 40;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::place::Datum;

    fn at(x: f64, y: f64) -> Position {
        let origin = Position::from_degrees(31.811, 119.974, Datum::Wgs84).unwrap();
        Plane::at(origin).position(Flat { x, y }).unwrap()
    }

    fn second(s: u64) -> Utc {
        Utc::from_ms(1_780_000_000_000) + Span::from_secs(s)
    }

    type Fixes = [(u64, f64, f64, Doing)];

    fn compress(fixes: &Fixes, error_m: f64) -> Vec<TrackPoint> {
        let (mut track, mut kept) = (Track::default(), vec![]);
        for (s, x, y, doing) in fixes {
            track.take(at(*x, *y), second(*s), *doing, error_m, &mut kept);
            assert!(track.open.len() <= WINDOW_MAX);
        }
        track.gap(&mut kept);
        kept
    }

    const WORKS: Doing = Doing { works: true, stands: false, too_fast: false };
    const DRIVES: Doing = Doing { works: false, stands: false, too_fast: false };
    const STANDS: Doing = Doing { works: false, stands: true, too_fast: false };

    #[test]
    fn a_straight_line_at_one_speed_is_its_two_ends() {
        let fixes: Vec<_> = (0..100).map(|s| (s, s as f64 * 2.0, 0.0, WORKS)).collect();
        let track = compress(&fixes, 5.0);
        assert_eq!(track.len(), 2);
        assert!((length_m(&track) - 198.0).abs() < 0.2);
    }

    #[test]
    fn edges_of_work_stops_and_gaps_are_kept_with_their_reason() {
        let mut fixes: Vec<_> = (0..10).map(|s| (s, s as f64, 0.0, DRIVES)).collect();
        fixes.extend((10..20).map(|s| (s, s as f64, 0.0, WORKS)));
        fixes.extend((20..30).map(|s| (s, 20.0, 0.0, STANDS)));
        fixes.extend((60..70).map(|s| (s, s as f64, 0.0, STANDS)));
        fixes.push((70, 70.0, 0.0, Doing { works: true, stands: false, too_fast: true }));
        let whys: Vec<_> = compress(&fixes, 50.0)
            .iter()
            .map(|p| (p.why, p.at.since(second(0)).as_secs()))
            .collect();
        let expected = [
            (Why::GapEnds, 0),
            (Why::WorkBegins, 10),
            (Why::WorkEnds, 20),
            (Why::GapBegins, 29),
            (Why::GapEnds, 60),
            (Why::WorkBegins, 70),
        ];
        assert_eq!(whys, expected);
    }

    #[test]
    fn a_track_on_the_wire_is_short_and_pinned() {
        let fixes: Vec<_> =
            (0..10).map(|s| (s * 10, s as f64 * 20.0, s as f64 * s as f64, WORKS)).collect();
        let track = compress(&fixes, 1.0);
        let text = encode(&track);
        assert!(text.len() <= 16 + 9 * track.len(), "{} for {}", text.len(), track.len());
        assert_eq!(encode(&track[..1]), "__cqgorfBozqt{@_fsycFK");
        for cut in 1..text.len().min(20) {
            assert!(decode(&text[..cut]).is_err(), "{cut}");
        }
        assert!(matches!(decode("\u{7f}"), Err(BadTrack::Damaged(0))));
    }

    fn fixes() -> impl Strategy<Value = Vec<(u64, f64, f64, Doing)>> {
        let step = (1u64..4, -6.0..6.0f64, -6.0..6.0f64, 0u8..40, 0u64..60);
        prop::collection::vec(step, 2..400).prop_map(|steps| {
            let (mut s, mut x, mut y) = (0, 0.0, 0.0);
            let each = |(pause, dx, dy, doing, rare): (u64, f64, f64, u8, u64)| {
                s += if rare == 0 { 40 } else { pause };
                (x, y) = (x + dx, y + dy);
                let doing =
                    Doing { works: doing % 8 > 0, stands: doing == 1, too_fast: doing == 2 };
                (s, x, y, doing)
            };
            steps.into_iter().map(each).collect()
        })
    }

    proptest! {
        #[test]
        fn the_bound_holds_for_every_fix_behind_the_wire(fixes in fixes(), error in 1.0..20.0f64) {
            let track = decode(&encode(&compress(&fixes, error))).unwrap();
            for (s, x, y, _) in &fixes {
                let off = synchronised_error_m(&track, at(*x, *y), second(*s));
                // A millimetre for the difference between planes.
                prop_assert!(off.is_some_and(|m| m <= error + 0.001), "{off:?} at {s}");
            }
        }

        #[test]
        fn what_is_sent_is_what_is_read(fixes in fixes()) {
            let track = compress(&fixes, 2.0);
            let read = decode(&encode(&track)).unwrap();
            prop_assert_eq!(read.len(), track.len());
            for (read, sent) in read.iter().zip(&track) {
                prop_assert_eq!((read.why, read.at), (sent.why, sent.at));
                prop_assert!(read.position.distance_m(sent.position).unwrap() < 0.11);
            }
        }

        #[test]
        fn no_text_upsets_the_reader(text in ".{0,60}") {
            // Any outcome is fine but a panic.
            let _ = decode(&text).is_ok();
        }
    }
}
