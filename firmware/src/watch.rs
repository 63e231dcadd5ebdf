//! What a node looks after, and when it looks: a bay all the time, a bin now and then.

use drivers::{Field, Range};
use heapless::Vec;
use wire::{Bin, Distance, Measured, Settings};

use crate::bay::{Bay, Change};
use crate::bin::{Burst, is_news};
use crate::event::Sense;
use crate::record::Learnt;
use crate::thermometer::Thermometer;

/// Between two readings of a burst, until the old echo has died away.
const BURST_GAP_MS: u64 = 100;
/// A range finder that has not answered by then does not.
const ANSWER_MS: u64 = 1_000;
/// Between the beginnings of two measurements that something other than the schedule asked for.
const HURRY_GAP_MS: u64 = 10_000;

/// A bay where nothing moves and nothing is in doubt is looked at so much more rarely.
pub(crate) const REST_FACTOR: u64 = 4;

/// What a watch must know of its node.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Around<'n> {
    pub(crate) now: u64,
    pub(crate) settings: &'n Settings,
    pub(crate) thermometer: &'n Thermometer,
    /// Nothing was reported for so long that a sign of life is due.
    pub(crate) keep_alive: bool,
}

/// What a watch wants done.
#[derive(Debug, Default)]
pub(crate) struct Wishes {
    pub(crate) measure: Vec<Sense, 2>,
    /// Something to report, and when it was measured.
    pub(crate) report: Option<(Measured, u64)>,
}

impl Wishes {
    fn measure(&mut self, sense: Sense) {
        self.measure.push(sense).expect("a turn asks each of at most two senses once");
    }
}

/// Watches a bay.
#[derive(Debug)]
pub(crate) struct BayWatch {
    pub(crate) bay: Bay,
    due_ms: u64,
    asked: bool,
    range_asked: bool,
}

impl BayWatch {
    pub(crate) fn new(learnt: Option<Learnt>, has_range_finder: bool, now: u64) -> BayWatch {
        let bay = Bay::new(learnt, has_range_finder, now);
        BayWatch { bay, due_ms: now, asked: false, range_asked: false }
    }

    pub(crate) fn poll(&mut self, around: Around<'_>, wishes: &mut Wishes) {
        if around.now >= self.due_ms {
            if self.asked {
                self.take(None, around, wishes);
            }
            self.asked = true;
            let factor = if self.bay.is_at_rest() { REST_FACTOR } else { 1 };
            self.due_ms = after(around.now, u64::from(around.settings.bay.sample_ms) * factor);
            wishes.measure(Sense::Field);
        }
        if self.bay.wants_range() && !self.range_asked {
            wishes.measure(Sense::Range);
        }
        self.range_asked = self.bay.wants_range();
        if around.keep_alive
            && wishes.report.is_none()
            && let Some(state) = self.bay.state()
        {
            let change = Change { state, at_ms: around.now, previous_s: None };
            wishes.report = Some(report(change, around));
        }
    }

    pub(crate) fn read(&mut self, reading: Option<Field>, around: Around<'_>, wishes: &mut Wishes) {
        self.asked = false;
        self.take(reading, around, wishes);
        if !self.bay.is_at_rest() {
            self.retime(around.settings, around.now);
        }
    }

    /// What the range finder sees.
    pub(crate) fn range(&mut self, range: Option<Range>) {
        self.bay.range(range);
    }

    fn take(&mut self, reading: Option<Field>, around: Around<'_>, wishes: &mut Wishes) {
        let mc = around.thermometer.milli_celsius();
        if let Some(change) = self.bay.read(reading, mc, &around.settings.bay, around.now) {
            wishes.report = Some(report(change, around));
        }
    }

    pub(crate) fn retime(&mut self, settings: &Settings, now: u64) {
        self.due_ms = self.due_ms.min(after(now, settings.bay.sample_ms.into()));
    }

    pub(crate) const fn next_ms(&self) -> u64 {
        self.due_ms
    }

    /// Whether a sign of life could be given now.
    pub(crate) const fn can_report(&self) -> bool {
        self.bay.state().is_some()
    }
}

fn report(change: Change, around: Around<'_>) -> (Measured, u64) {
    let Change { state, at_ms, previous_s } = change;
    let temperature = around.thermometer.latest;
    (Measured::Bay(wire::Bay { state, previous_s, temperature }), at_ms)
}

/// Watches a bin.
#[derive(Debug)]
pub(crate) struct BinWatch {
    /// The measurement that is going on.
    burst: Option<Burst>,
    asked: bool,
    /// When the next reading, or the next measurement, is due.
    due_ms: u64,
    /// When the latest measurement began.
    began_ms: Option<u64>,
    tilted: Option<bool>,
    lid_open: Option<bool>,
    /// What was reported last.
    told: Option<Bin>,
}

impl BinWatch {
    pub(crate) const fn new(now: u64) -> BinWatch {
        BinWatch {
            burst: None,
            asked: false,
            due_ms: now,
            began_ms: None,
            tilted: None,
            lid_open: None,
            told: None,
        }
    }

    pub(crate) fn poll(&mut self, around: Around<'_>, wishes: &mut Wishes) {
        let due = around.now >= self.due_ms;
        if self.burst.is_some() {
            if due && self.asked {
                self.take(None, around, wishes);
            } else if due {
                self.ask(around, wishes);
            }
        } else if due || around.keep_alive {
            self.burst = Some(Burst::default());
            self.began_ms = Some(around.now);
            wishes.measure(Sense::Switches);
            self.ask(around, wishes);
        }
    }

    fn ask(&mut self, around: Around<'_>, wishes: &mut Wishes) {
        self.asked = true;
        self.due_ms = after(around.now, ANSWER_MS);
        wishes.measure(Sense::Range);
    }

    /// A reading of the range finder; one that was not asked for is nothing.
    pub(crate) fn read(&mut self, reading: Option<Range>, around: Around<'_>, wishes: &mut Wishes) {
        if self.asked {
            self.take(reading, around, wishes);
        }
    }

    fn take(&mut self, reading: Option<Range>, around: Around<'_>, wishes: &mut Wishes) {
        self.asked = false;
        self.due_ms = after(around.now, BURST_GAP_MS);
        let Some(burst) = &mut self.burst else { return };
        let Some(distance) = burst.push(reading, around.settings.bin.burst) else { return };
        self.burst = None;
        let began = self.began_ms.unwrap_or(around.now);
        self.due_ms = after(began, sample_ms(around.settings)).max(after(around.now, 1));
        wishes.report = self.report(distance, around);
    }

    fn report(&mut self, distance: Distance, around: Around<'_>) -> Option<(Measured, u64)> {
        let bin = Bin {
            distance,
            tilted: self.tilted,
            lid_open: self.lid_open,
            fire: around.thermometer.fire,
            temperature: around.thermometer.latest,
        };
        if !around.keep_alive && !is_news(self.told.as_ref(), &bin, &around.settings.bin) {
            return None;
        }
        self.told = Some(bin);
        Some((Measured::Bin(bin), around.now))
    }

    /// The switches, asked for or because one of them moved. A bin that falls over is measured soon.
    pub(crate) fn switches(&mut self, tilted: Option<bool>, lid_open: Option<bool>, now: u64) {
        if tilted != self.tilted {
            self.hurry(now);
        }
        (self.tilted, self.lid_open) = (tilted, lid_open);
    }

    /// Brings the next measurement forward.
    pub(crate) fn hurry(&mut self, now: u64) {
        if self.burst.is_none() {
            let soon = self.began_ms.map_or(now, |began| after(began, HURRY_GAP_MS).max(now));
            self.due_ms = self.due_ms.min(soon);
        }
    }

    pub(crate) fn retime(&mut self, settings: &Settings, now: u64) {
        self.due_ms = self.due_ms.min(after(now, sample_ms(settings)));
    }

    pub(crate) const fn next_ms(&self) -> u64 {
        self.due_ms
    }

    /// Whether a sign of life could be begun now.
    pub(crate) const fn can_report(&self) -> bool {
        self.burst.is_none()
    }
}

fn sample_ms(settings: &Settings) -> u64 {
    u64::from(settings.bin.sample_s) * 1000
}

/// `ms` after `now`.
pub(crate) const fn after(now: u64, ms: u64) -> u64 {
    now.saturating_add(ms)
}
