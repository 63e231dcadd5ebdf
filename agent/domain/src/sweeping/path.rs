//! From fixes to pieces of the way: what was swept, and where nobody knows.
//!
//! Two fixes are joined when they are near each other in time and space. A piece is at least some
//! metres long, so that the noise of single fixes does not turn its heading; it ends where the work
//! ends. A pause in the fixes of a working vehicle is a gap: unknown, neither swept nor missed.

use serde::{Deserialize, Serialize};

use crate::place::Position;
use crate::time::{Span, Utc};

/// Fixes further apart in time than this are not joined.
pub const JOIN_TIME_MAX: Span = Span::from_secs(15);
/// Fixes further apart than this are not joined.
pub const JOIN_DISTANCE_MAX_M: f64 = 60.0;
/// A fix that is less accurate than this proves nothing.
pub const ACCURACY_MAX_MM: u32 = 25_000;
/// A piece is closed when it is this long.
const PIECE_MIN_M: f64 = 6.0;
/// A longer silence than this is not a gap in the work: the vehicle was off.
const GAP_TIME_MAX: Span = Span::from_mins(30);
/// A longer way than this was not swept unseen.
const GAP_DISTANCE_MAX_M: f64 = 3000.0;

/// A place of a working vehicle.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Step {
    /// Where, in WGS84.
    pub position: Position,
    /// When.
    pub at: Utc,
    /// Horizontal accuracy in millimetres, where the receiver gives one.
    pub accuracy_mm: Option<u32>,
}

/// What a piece of the way is worth.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Worth {
    /// Swept.
    Swept,
    /// The vehicle worked before and after and was not seen in between.
    Unknown,
}

/// A straight piece of the way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Piece {
    /// Its beginning.
    pub from: Step,
    /// Its end.
    pub to: Step,
    /// Where the piece before it began, when the two are joined.
    pub before: Option<Position>,
    /// What it is worth.
    pub worth: Worth,
}

/// The way of one vehicle, as far as it is needed for the next piece.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Path {
    /// Where the piece that is being made began, and the beginning of the one before it.
    open: Option<(Step, Option<Position>)>,
    /// The last place of the vehicle at work.
    last: Option<Step>,
}

impl Path {
    /// Takes the next place of the vehicle, and whether it works there. Gives the pieces that are
    /// complete now: at most two.
    pub fn take(&mut self, step: Step, works: bool, pieces: &mut Vec<Piece>) {
        if step.accuracy_mm.is_some_and(|mm| mm > ACCURACY_MAX_MM) {
            return;
        }
        if !works {
            self.end(pieces);
            return;
        }
        let Some(last) = self.last.replace(step) else {
            self.open = Some((step, None));
            return;
        };
        let apart = last.position.distance_m(step.position).unwrap_or(f64::INFINITY);
        let pause = step.at.since(last.at);
        if step.at < last.at || pause > JOIN_TIME_MAX || apart > JOIN_DISTANCE_MAX_M {
            self.close(last, pieces);
            if step.at > last.at && pause <= GAP_TIME_MAX && apart <= GAP_DISTANCE_MAX_M {
                pieces.push(Piece { from: last, to: step, before: None, worth: Worth::Unknown });
            }
            self.open = Some((step, None));
            return;
        }
        let Some((from, _)) = self.open else {
            self.open = Some((last, None));
            return;
        };
        if from.position.distance_m(step.position).is_some_and(|metres| metres >= PIECE_MIN_M) {
            self.close(step, pieces);
        }
    }

    /// The work has ended, or the vehicle is lost: what is open is complete.
    pub fn end(&mut self, pieces: &mut Vec<Piece>) {
        if let Some(last) = self.last.take() {
            self.close(last, pieces);
        }
        self.open = None;
    }

    fn close(&mut self, to: Step, pieces: &mut Vec<Piece>) {
        let Some((from, before)) = self.open.take() else { return };
        if from.position == to.position {
            self.open = Some((to, before));
            return;
        }
        pieces.push(Piece { from, to, before, worth: Worth::Swept });
        self.open = Some((to, Some(from.position)));
    }
}
