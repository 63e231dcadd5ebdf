//! Which part of a planned road was swept.
//!
//! A road is cut into cells of about five metres for each track that a vehicle must drive along it. A
//! cell is done when its centre projects inside a swept piece of way that passes near enough and in the
//! right direction. What a vehicle may have swept unseen is `unknown`, and stays apart from both `done`
//! and missed: no satellite is no proof of dirt.

use serde::{Deserialize, Serialize};

use super::path::{Piece, Worth};
use super::plane::{Flat, Plane};
use super::window::{Shift, Window, shift_of};
use crate::place::Position;
use crate::time::{Span, Utc};

/// Length of a cell.
const CELL_M: f64 = 5.0;
/// How far beside a cell's centre a piece may pass, before the receiver's own doubt.
const BESIDE_M: f64 = 5.0;
/// And with it, at most.
const BESIDE_MAX_M: f64 = 12.0;
/// Cosine of the most that a piece's heading may differ from the road's: 30°.
const HEADING_COS_MIN: f64 = 0.866_025_403_784_438_6;
/// Sweeping the same cell again counts as another pass only after this.
pub const PASS_APART: Span = Span::from_mins(10);
/// A stretch is of one time, as far as a viewer cares who lets the day pass by.
const STRETCH_APART: Span = Span::from_mins(2);
/// From the kerb to the middle of the vehicle that sweeps along it.
const KERB_M: f64 = 1.5;
/// The longest planned road; longer ones are cut by whoever draws them.
pub const ROAD_MAX_M: f64 = 50_000.0;

/// Which tracks a vehicle must drive along the line of a road.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Side {
    /// The line itself, in the direction it is drawn.
    #[default]
    Along,
    /// The line itself, in either direction.
    Either,
    /// The kerb on the right of the line, in its direction.
    Right,
    /// The kerb on the left of the line, against its direction (traffic keeps right).
    Left,
    /// Both kerbs.
    Both,
}

/// How a road is to be swept.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    /// Which tracks.
    pub side: Side,
    /// From kerb to kerb in metres.
    pub width_m: f64,
    /// When; never empty.
    pub windows: Vec<Window>,
    /// How often in each window, at least once.
    pub passes: u8,
    /// Where the hours of the windows are.
    pub zone: jiff::tz::TimeZone,
}

/// A cell on the ground: its centre and the direction of its track.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Cell {
    centre: Flat,
    heading: Flat,
    /// Whether the other direction is right as well.
    either: bool,
}

/// The cells of a road.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Layout {
    plane: Plane,
    cells: Vec<Cell>,
}

/// What was done of a cell.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
struct Mark {
    passes: u8,
    unknown: bool,
    /// When it was last swept.
    last: Option<Utc>,
}

/// A road in its present window.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Coverage {
    from: Option<Utc>,
    until: Option<Utc>,
    /// Runs of equal cells, so that a road is stored in a few bytes.
    #[serde(with = "runs")]
    marks: Vec<Mark>,
}

/// A road's window in numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Sums {
    /// Cells that were planned.
    pub cells: usize,
    /// Cells that were swept at least once.
    pub done: usize,
    /// Cells that were swept as often as planned.
    pub fulfilled: usize,
    /// Cells that nobody saw and a vehicle may have swept.
    pub unknown: usize,
}

impl Sums {
    /// Share of the plan that was swept, in thousandths of a percent; `None` for an empty plan.
    #[must_use]
    pub fn done_milli_pct(&self) -> Option<i64> {
        milli_pct(self.done, self.cells)
    }

    /// The same if everything unknown was swept.
    #[must_use]
    pub fn possible_milli_pct(&self) -> Option<i64> {
        milli_pct(self.done + self.unknown, self.cells)
    }

    /// Share of the plan that was swept as often as planned.
    #[must_use]
    pub fn fulfilled_milli_pct(&self) -> Option<i64> {
        milli_pct(self.fulfilled, self.cells)
    }
}

fn milli_pct(part: usize, whole: usize) -> Option<i64> {
    let (part, whole) = (i64::try_from(part).ok()?, i64::try_from(whole).ok()?);
    (whole > 0).then(|| part * 100_000 / whole)
}

impl Layout {
    /// Cuts the road along `line` into cells. A line without length has none.
    #[must_use]
    pub fn new(line: &[Position], plan: &Plan) -> Option<Layout> {
        let plane = Plane::at(*line.first()?);
        let points: Vec<Flat> = line.iter().map(|p| plane.flat(*p)).collect();
        let aside = (plan.width_m / 2.0 - KERB_M).max(0.0);
        let mut cells = Vec::new();
        let either = plan.side == Side::Either;
        if matches!(plan.side, Side::Along | Side::Either) {
            cut(&points, 0.0, either, &mut cells);
        }
        if matches!(plan.side, Side::Right | Side::Both) {
            cut(&points, aside, false, &mut cells);
        }
        if matches!(plan.side, Side::Left | Side::Both) {
            let back: Vec<Flat> = points.iter().rev().copied().collect();
            cut(&back, aside, false, &mut cells);
        }
        Some(Layout { plane, cells })
    }

    /// The centres of the cells, in WGS84.
    pub(crate) fn centres(&self) -> impl Iterator<Item = Position> {
        self.cells.iter().filter_map(|cell| self.plane.position(cell.centre))
    }

    /// Whether a swept piece would do one of the cells.
    pub(crate) fn fits(&self, piece: &Piece) -> bool {
        let stroke = Stroke::new(piece, &self.plane);
        stroke.is_some_and(|stroke| self.cells.iter().any(|cell| stroke.sweeps(cell)))
    }

    /// How many cells there are.
    #[must_use]
    pub fn cells(&self) -> usize {
        self.cells.len()
    }
}

/// Cuts the track `aside` metres to the right of `points` into cells.
fn cut(points: &[Flat], aside: f64, either: bool, cells: &mut Vec<Cell>) {
    let legs = points.windows(2).map(|leg| (leg[0], leg[1].from(leg[0])));
    let length: f64 = legs.clone().map(|(_, way)| way.length()).sum();
    // Rounded, so that cells are as near to five metres as the road allows; the length is bounded.
    let count = libm::round(length / CELL_M).clamp(0.0, ROAD_MAX_M / CELL_M) as u32;
    let count = if length > 0.0 { count.max(1) } else { return };
    let size = length / f64::from(count);
    let mut next = 0;
    let mut passed = 0.0;
    for (from, way) in legs {
        let long = way.length();
        while next < count && (f64::from(next) + 0.5) * size < passed + long {
            let part = ((f64::from(next) + 0.5) * size - passed) / long;
            let heading = Flat { x: way.x / long, y: way.y / long };
            let centre = Flat {
                x: from.x + way.x * part + heading.y * aside,
                y: from.y + way.y * part - heading.x * aside,
            };
            cells.push(Cell { centre, heading, either });
            next += 1;
        }
        passed += long;
    }
}

/// A piece of way in the plane of a road.
struct Stroke {
    from: Flat,
    way: Flat,
    length: f64,
    /// The way of the piece before, when joined.
    before: Option<Flat>,
    beside: f64,
}

impl Stroke {
    fn new(piece: &Piece, plane: &Plane) -> Option<Stroke> {
        let from = plane.flat(piece.from.position);
        let way = plane.flat(piece.to.position).from(from);
        let length = way.length();
        let before = piece.before.map(|position| from.from(plane.flat(position)));
        let doubt = piece.from.accuracy_mm.max(piece.to.accuracy_mm).unwrap_or(0);
        let beside = (BESIDE_M + 2.0 * f64::from(doubt) / 1000.0).min(BESIDE_MAX_M);
        (length > 0.0).then_some(Stroke { from, way, length, before, beside })
    }

    fn sweeps(&self, cell: &Cell) -> bool {
        let to = cell.centre.from(self.from);
        let along = to.dot(self.way);
        let turn = self.way.dot(cell.heading) / self.length;
        if turn < HEADING_COS_MIN && !(cell.either && -turn >= HEADING_COS_MIN) {
            return false;
        }
        if along >= 0.0 {
            let inside = along < self.length * self.length;
            return inside && self.way.cross(to).abs() / self.length <= self.beside;
        }
        // On the outside of a bend a cell lies beyond one piece and before the next.
        let beyond = self.before.is_some_and(|before| to.dot(before) >= 0.0);
        beyond && to.length() <= self.beside
    }

    /// Whether a vehicle that was not seen between the two ends may have swept the cell.
    fn may_have_swept(&self, cell: &Cell) -> bool {
        let there = cell.centre.from(self.from);
        let on = there.from(self.way);
        there.length() + on.length() <= self.length * 1.1 + BESIDE_M
    }
}

impl Coverage {
    /// Turns to the window of `plan` that holds `now` or comes next, when there is none or it is over.
    pub fn open(&mut self, layout: &Layout, plan: &Plan, now: Utc) {
        if self.shift().is_some_and(|s| now < s.until) && self.marks.len() == layout.cells() {
            return;
        }
        let shift = shift_of(&plan.windows, now, &plan.zone);
        self.from = shift.map(|s| s.from);
        self.until = shift.map(|s| s.until);
        self.marks = vec![Mark::default(); layout.cells()];
    }

    /// The present window, or the next one.
    #[must_use]
    pub fn shift(&self) -> Option<Shift> {
        Some(Shift { from: self.from?, until: self.until? })
    }

    /// Takes a piece of a vehicle's way; answers whether it changed a cell.
    pub fn take(&mut self, layout: &Layout, piece: &Piece) -> bool {
        let at = piece.to.at;
        if !self.shift().is_some_and(|s| s.contains(piece.from.at) || s.contains(at)) {
            return false;
        }
        let Some(stroke) = Stroke::new(piece, &layout.plane) else { return false };
        let mut changed = false;
        for (mark, cell) in self.marks.iter_mut().zip(&layout.cells) {
            changed |= match piece.worth {
                Worth::Swept => stroke.sweeps(cell) && mark.sweep(at),
                Worth::Unknown => {
                    !mark.unknown && mark.passes == 0 && stroke.may_have_swept(cell) && {
                        mark.unknown = true;
                        true
                    }
                }
            };
        }
        changed
    }

    /// The numbers so far.
    #[must_use]
    pub fn sums(&self, plan: &Plan) -> Sums {
        let count = |f: &dyn Fn(&Mark) -> bool| self.marks.iter().filter(|m| f(m)).count();
        Sums {
            cells: self.marks.len(),
            done: count(&|m| m.passes > 0),
            fulfilled: count(&|m| m.passes >= plan.passes.max(1)),
            unknown: count(&|m| m.passes == 0 && m.unknown),
        }
    }

    /// The road as stretches of equal state: `done`, `unknown` or `missed`, each with its passes and
    /// its line in WGS84.
    #[must_use]
    pub fn stretches(&self, layout: &Layout) -> Vec<Stretch> {
        let mut stretches: Vec<Stretch> = vec![];
        let mut last: Option<&Cell> = None;
        for (mark, cell) in self.marks.iter().zip(&layout.cells) {
            let half = CELL_M / 2.0;
            let end = |sign: f64| Flat {
                x: cell.centre.x + sign * half * cell.heading.x,
                y: cell.centre.y + sign * half * cell.heading.y,
            };
            let Some(to) = layout.plane.position(end(1.0)) else { continue };
            let joins = last.is_some_and(|l| l.centre.from(cell.centre).length() < 2.0 * CELL_M);
            let straight = last.is_some_and(|l| l.heading == cell.heading);
            last = Some(cell);
            let (state, passes) = (mark.state(), mark.passes);
            let together = |at: Option<Utc>| match (at, mark.last) {
                (Some(at), Some(last)) => at.since(last).max(last.since(at)) < STRETCH_APART,
                (at, last) => at.is_none() && last.is_none(),
            };
            match stretches.last_mut() {
                Some(s) if joins && s.state == state && s.passes == passes && together(s.at) => {
                    s.at = s.at.max(mark.last);
                    // On a straight leg the end moves on, and the line stays short.
                    if straight && s.line.len() > 1 {
                        s.line.pop();
                    }
                    s.line.push(to);
                    s.cells += 1;
                }
                _ => {
                    let from = layout.plane.position(end(-1.0));
                    let line = from.into_iter().chain([to]).collect();
                    stretches.push(Stretch { state, passes, cells: 1, at: mark.last, line });
                }
            }
        }
        stretches
    }
}

/// Neighbouring cells of the same state.
#[derive(Debug, Clone, PartialEq)]
pub struct Stretch {
    /// What was done.
    pub state: CellState,
    /// How often.
    pub passes: u8,
    /// How many cells.
    pub cells: usize,
    /// When they were last swept, at the latest. Cells that were swept longer apart are another stretch.
    pub at: Option<Utc>,
    /// Where, in WGS84.
    pub line: Vec<Position>,
}

/// The three classes of cells.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum CellState {
    /// Swept.
    Done,
    /// Perhaps swept: nobody saw it.
    Unknown,
    /// Not swept.
    Missed,
}

impl Mark {
    fn sweep(&mut self, at: Utc) -> bool {
        let again = self.last.is_none_or(|last| at.since(last) >= PASS_APART);
        self.last = Some(self.last.map_or(at, |last| last.max(at)));
        if again {
            self.passes = self.passes.saturating_add(1);
        }
        again
    }

    fn state(&self) -> CellState {
        match (self.passes, self.unknown) {
            (0, true) => CellState::Unknown,
            (0, false) => CellState::Missed,
            _ => CellState::Done,
        }
    }
}

/// Marks as runs of `[count, passes, unknown, minutes since 1970 of the last sweep]`. Rounded up to the
/// minute, a stored time never makes a pass that was none.
mod runs {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    use super::Mark;
    use crate::time::Utc;

    type Run = (usize, u8, bool, Option<i64>);
    const MINUTE_MS: i64 = 60_000;

    pub(super) fn serialize<S: Serializer>(marks: &[Mark], s: S) -> Result<S::Ok, S::Error> {
        let mut runs: Vec<Run> = vec![];
        for mark in marks {
            let last = mark.last.map(|at| at.as_ms().div_euclid(MINUTE_MS) + 1);
            match runs.last_mut() {
                Some((n, p, u, l)) if (*p, *u, *l) == (mark.passes, mark.unknown, last) => *n += 1,
                _ => runs.push((1, mark.passes, mark.unknown, last)),
            }
        }
        runs.serialize(s)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(d: D) -> Result<Vec<Mark>, D::Error> {
        /// As many cells as the longest road has, on both of its sides.
        const MAX: usize = 20_000;
        let mut marks = vec![];
        for (n, passes, unknown, last) in Vec::<Run>::deserialize(d)? {
            let last = last.map(|minutes| Utc::from_ms(minutes.saturating_mul(MINUTE_MS)));
            marks.extend(std::iter::repeat_n(Mark { passes, unknown, last }, n.min(MAX)));
            marks.truncate(MAX);
        }
        Ok(marks)
    }
}

#[cfg(test)]
mod tests;
