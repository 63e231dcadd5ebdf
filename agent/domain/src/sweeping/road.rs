//! A street that is to be swept: its present window, what is told of it, and when it is stored.

use serde::{Deserialize, Serialize};

use super::coverage::{Coverage, Layout, Plan, Stretch, Sums};
use super::path::Piece;
use super::window::Shift;
use crate::place::Position;
use crate::time::{ClockQuality, Moment, Monotonic, Now, Span, Utc};

/// While it is being swept, a street is stored and told at most this often. A power cut loses less than
/// this of its coverage.
const TELL_EVERY: Span = Span::from_secs(15);

/// A window that is over is shown for this long: a day.
const PAST_FOR: Span = Span::from_mins(24 * 60);
/// Windows that are over and still shown; with more in a day the oldest is forgotten. `sweep.road` has
/// told each.
const PAST_MAX: usize = 8;

/// A planned street.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Road {
    coverage: Coverage,
    /// Windows that are over, the oldest first; at most [`PAST_MAX`], for [`PAST_FOR`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    past: Vec<Coverage>,
    /// Made of the configuration at every start.
    #[serde(skip)]
    layout: Layout,
    /// Cells have changed since then that are not stored.
    #[serde(skip)]
    unsaid_since: Option<Moment>,
}

/// What a street has to tell.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct RoadChange {
    /// It is to be stored and told.
    pub(crate) tell: bool,
    /// A window is over.
    pub(crate) ended: Option<Ended>,
}

/// A street's window that is over: the data of `sweep.road`.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Ended {
    from: Utc,
    until: Utc,
    #[serde(flatten)]
    sums: Sums,
    done_pct: Option<f64>,
    fulfilled_pct: Option<f64>,
    unknown_pct: Option<f64>,
    /// Share that was swept or may have been, in thousandths of a percent.
    #[serde(skip)]
    pub(crate) possible: Option<i64>,
}

/// The published state of a planned street.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RoadState {
    window: Option<WindowState>,
    #[serde(flatten)]
    sums: Sums,
    /// `None` where nothing is planned.
    done_pct: Option<f64>,
    fulfilled_pct: Option<f64>,
    unknown_pct: Option<f64>,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
struct WindowState {
    from: Utc,
    until: Utc,
}

impl Road {
    /// A street along `line`, nothing of it swept.
    #[must_use]
    pub fn new(line: &[Position], plan: &Plan) -> Road {
        let layout = Layout::new(line, plan).unwrap_or_default();
        Road { layout, ..Road::default() }
    }

    /// Takes over what was stored of the same street.
    pub(crate) fn restore(&mut self, stored: Road) {
        (self.coverage, self.past) = (stored.coverage, stored.past);
    }

    /// The cells.
    #[must_use]
    pub fn layout(&self) -> &Layout {
        &self.layout
    }

    /// The numbers of the present window.
    #[must_use]
    pub fn sums(&self, plan: &Plan) -> Sums {
        self.coverage.sums(plan)
    }

    /// The present window, or the next one.
    #[must_use]
    pub fn shift(&self) -> Option<Shift> {
        self.coverage.shift()
    }

    /// Every window of the last day and the present one, each in stretches of equal state.
    pub fn windows(&self) -> impl Iterator<Item = (Shift, Vec<Stretch>)> {
        let all = self.past.iter().chain([&self.coverage]);
        all.filter_map(|coverage| Some((coverage.shift()?, coverage.stretches(&self.layout))))
    }

    pub(crate) fn view(&self, plan: &Plan) -> RoadState {
        let sums = self.coverage.sums(plan);
        let window = self.coverage.shift();
        RoadState {
            window: window.map(|s| WindowState { from: s.from, until: s.until }),
            sums,
            done_pct: sums.done_milli_pct().map(percent),
            fulfilled_pct: sums.fulfilled_milli_pct().map(percent),
            unknown_pct: unknown(&sums),
        }
    }

    /// A vehicle has gone along `piece`.
    pub(crate) fn take(&mut self, plan: &Plan, piece: &Piece, at: Moment) -> RoadChange {
        if self.coverage.shift().is_none() {
            self.coverage.open(&self.layout, plan, piece.to.at);
        }
        if !self.coverage.take(&self.layout, piece) {
            return RoadChange::default();
        }
        let since = *self.unsaid_since.get_or_insert(at);
        let tell = at.since(since) >= TELL_EVERY;
        if tell {
            self.unsaid_since = None;
        }
        RoadChange { tell, ended: None }
    }

    /// When [`Road::settle`] has something to do; never while nobody knows what time it is.
    pub(crate) fn settle_at(&self, now: Now) -> Option<Monotonic> {
        let unsaid = self.unsaid_since.map(|since| since.deadline(TELL_EVERY, now));
        let trusted = now.clock > ClockQuality::Unset;
        let window = trusted.then(|| match self.coverage.shift() {
            Some(shift) if shift.until > now.utc => now.at(shift.until).monotonic,
            _ => now.monotonic,
        });
        // A road of no cells has nothing that could end.
        let window = window.filter(|_| self.layout.cells() > 0);
        unsaid.into_iter().chain(window).min()
    }

    /// A deadline came: what is unsaid is told, and a window that is over makes room for the next.
    pub(crate) fn settle(&mut self, plan: &Plan, at: Moment) -> RoadChange {
        let mut change = RoadChange { tell: self.unsaid_since.take().is_some(), ended: None };
        if at.clock == ClockQuality::Unset {
            return change;
        }
        match self.coverage.shift() {
            Some(shift) if at.utc < shift.until => return change,
            Some(shift) => {
                change.ended = Some(self.end(plan, shift));
                self.past.push(std::mem::take(&mut self.coverage));
            }
            None => {}
        }
        let old = |past: &Coverage| past.shift().is_none_or(|s| s.until + PAST_FOR <= at.utc);
        self.past.retain(|past| !old(past));
        let excess = self.past.len().saturating_sub(PAST_MAX);
        self.past.drain(..excess);
        self.coverage.open(&self.layout, plan, at.utc);
        change.tell = true;
        change
    }

    fn end(&self, plan: &Plan, shift: Shift) -> Ended {
        let sums = self.coverage.sums(plan);
        Ended {
            from: shift.from,
            until: shift.until,
            sums,
            done_pct: sums.done_milli_pct().map(percent),
            fulfilled_pct: sums.fulfilled_milli_pct().map(percent),
            unknown_pct: unknown(&sums),
            possible: sums.possible_milli_pct(),
        }
    }
}

fn percent(milli: i64) -> f64 {
    // At most 100 000, which a float holds exactly.
    milli as f64 / 1000.0
}

fn unknown(sums: &Sums) -> Option<f64> {
    Some(percent(sums.possible_milli_pct()? - sums.done_milli_pct()?))
}
