//! What is remembered for one condition of one asset, and when the condition is true.
//!
//! A condition is true, false, or not known yet. What it takes from a reading is dated by the reading; what
//! it takes from the clock (stays, silences, hours) by now.

use serde::{Deserialize, Serialize};

use super::book::Due;
use super::condition::{Condition, test};
use super::edge::{Need, Verdict};
use super::facts::{Fact, FactName, Stay};
use super::watch::Evidence;
use super::window::{Point, Window, is_later};
use super::words::limit;
use crate::calendar::Calendar;
use crate::site::{Asset, Kind};
use crate::time::{ClockQuality, Moment, Monotonic, Now, Span, Utc};

/// What is remembered. Which of it is used depends on the condition.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Leaf {
    /// Whether the condition is true, where that is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) truth: Option<bool>,
    /// Since when it has been counted, or from when silence counts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) since: Option<Moment>,
    /// What made it true or false, or is being counted.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) readings: Vec<Evidence>,
    /// What it looks back on.
    #[serde(skip_serializing_if = "Window::is_empty")]
    pub(super) window: Window,
    /// Whether the last value was beyond the threshold that is counted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) beyond: Option<bool>,
    /// When the fact was told last. Not stored: the box itself is deaf while it is off.
    #[serde(skip)]
    told: Option<Moment>,
    /// Since when and until when the hours are as they are.
    #[serde(skip)]
    hours: Option<(Utc, Option<Utc>)>,
}

/// What a condition is evaluated against.
#[derive(Debug, Clone, Copy)]
pub(super) struct Scene<'a> {
    pub(super) calendar: &'a Calendar,
    pub(super) asset: &'a Asset,
    pub(super) due: Due,
    /// Since when the box has been listening.
    pub(super) listening: Option<Moment>,
    /// When what was told was so.
    pub(super) at: Moment,
    /// What the clock says: of what comes late, what it said then.
    pub(super) now: Now,
    /// When it was heard of.
    pub(super) heard: Now,
}

impl Leaf {
    /// Nothing that would be missed.
    pub(super) fn is_blank(&self, composite: bool) -> bool {
        let unset = self.truth.is_none() || (self.truth == Some(false) && !composite);
        let counting = self.since.is_some() || self.beyond.is_some() || !self.window.is_empty();
        unset && !counting
    }

    /// It is so, or not so, because of `readings`.
    pub(super) fn settle(&mut self, truth: bool, readings: Vec<Evidence>) {
        (self.truth, self.since, self.readings) = (Some(truth), None, readings);
    }

    /// A person has dealt with it: a reading that still says so finds it anew.
    pub(super) fn forget(&mut self, condition: &Condition) {
        if !condition.is_read() {
            return;
        }
        (self.truth, self.since) = (None, None);
        self.readings.clear();
        if matches!(condition, Condition::Count { .. } | Condition::Stuck { .. }) {
            self.window.clear();
        }
    }

    /// Silence counts from `now` on.
    pub(super) fn hear_anew(&mut self, now: Now) {
        *self = Leaf { since: Some(now), ..Leaf::default() };
    }

    /// Takes what was told, which the condition wants. Answers whether something changed that is stored.
    pub(super) fn take(&mut self, condition: &Condition, told: &Fact, scene: &Scene<'_>) -> bool {
        let at = scene.at;
        match (condition, *told) {
            (
                Condition::Threshold { fact, .. } | Condition::Outside { fact, .. },
                Fact::Value(_, v),
            ) => self.compare(condition, *fact, v, scene),
            (Condition::Change { within, .. }, Fact::Value(_, value)) => {
                self.window.take(Point { at, value });
                self.window.forget(self.window.newest().map_or(at, |p| p.at), *within);
                true
            }
            (Condition::Forecast { over, .. }, Fact::Value(_, value)) => {
                self.window.take(Point { at, value });
                self.window.forget(self.window.newest().map_or(at, |p| p.at), *over);
                self.expect(condition);
                true
            }
            (Condition::Stuck { fact, band, after }, Fact::Value(_, value)) => {
                self.move_or_stay(*fact, value, *band, *after, at)
            }
            (Condition::Count { side, at: limit, times, .. }, Fact::Value(_, value)) => {
                let beyond = side.beyond(value, *limit);
                let before = self.beyond.replace(beyond);
                if beyond && before == Some(false) {
                    self.window.take(Point { at, value });
                    self.window.keep(usize::try_from(*times).unwrap_or(usize::MAX));
                }
                before != Some(beyond)
            }
            (Condition::Missing { .. }, Fact::Value(..)) => {
                self.told = Some(scene.now);
                false
            }
            (Condition::Silent { .. }, Fact::Heard(heard)) => {
                self.told = Some(heard);
                self.since.take().is_some()
            }
            (Condition::InArea { area, inside, .. }, Fact::At(place, doubt_m)) => {
                let (place, here) = (place.to_wgs84(), area.0.contains(place.to_wgs84()));
                let verdict = match area.0.edge_m(place) > doubt_m {
                    false => Verdict::Nothing,
                    true if here == *inside => Verdict::Yes,
                    true => Verdict::No,
                };
                self.count(verdict, need(condition), at, || {
                    let word = if here { "inside" } else { "outside" };
                    Evidence::text(at, "position", format!("{word} of {}", area.0.id))
                })
            }
            (Condition::Sees { what, confidence, dwell }, Fact::Seen(seen)) => {
                let sure = u32::from(seen.confidence.get()) >= *confidence;
                let verdict = match seen.what == Some(*what) {
                    _ if !sure => Verdict::Nothing,
                    true => Verdict::Yes,
                    false => Verdict::No,
                };
                self.sight(verdict, *dwell, at, || {
                    let name = seen.what.map_or("nothing", crate::sample::Object::as_str);
                    let text = format!("{name}, {} % sure", seen.confidence.percent());
                    Evidence::text(at, "seen", text)
                })
            }
            _ => false,
        }
    }

    fn compare(&mut self, c: &Condition, fact: FactName, value: i64, scene: &Scene<'_>) -> bool {
        let Some(test) = test(c, scene.asset) else { return false };
        let verdict = match value {
            v if test.raised_by(v) => Verdict::Yes,
            v if test.cleared_by(v) => Verdict::No,
            _ => Verdict::Between,
        };
        self.count(verdict, need(c), scene.at, || {
            let text = limit(fact, value, test);
            Evidence::value(scene.at, fact, value, text)
        })
    }

    /// Lets time pass. Answers whether something changed that is stored.
    pub(super) fn pass(&mut self, condition: &Condition, scene: &Scene<'_>) -> bool {
        match condition {
            Condition::Threshold { .. } | Condition::Outside { .. } | Condition::InArea { .. } => {
                self.ripen(need(condition), scene.at)
            }
            Condition::Change { .. } => self.compare_change(condition, scene.at),
            Condition::Count { .. } => self.compare_count(condition, scene.at),
            Condition::During(schedule) => {
                let utc = scene.now.utc;
                if scene.now.clock == ClockQuality::Unset {
                    (self.truth, self.hours) = (None, None);
                    return false;
                }
                let still = self.hours.is_some_and(|(from, until)| {
                    from <= utc && until.is_none_or(|until| utc < until)
                });
                if still {
                    return false;
                }
                self.hours = Some((utc, schedule.next_change(utc, scene.calendar)));
                let inside = schedule.contains(utc, scene.calendar);
                let word = if inside { "in" } else { "not in" };
                let text = format!("{word} {}", schedule.words());
                self.turn(inside, || Evidence::text(scene.now, "hours", text))
            }
            Condition::Missing { fact, after } => self.miss(*fact, *after, scene),
            Condition::Overstay { grace } => self.overstay(*grace, scene),
            Condition::Silent { after } => self.fall_silent(*after, scene),
            _ => false,
        }
    }

    /// Becomes `truth`, if it is not; answers whether it has.
    pub(super) fn turn(&mut self, truth: bool, evidence: impl FnOnce() -> Evidence) -> bool {
        if self.truth == Some(truth) {
            return false;
        }
        self.settle(truth, vec![evidence()]);
        true
    }

    fn miss(&mut self, fact: FactName, after: Span, scene: &Scene<'_>) -> bool {
        let Some(since) = self.base(scene, None) else { return false };
        let gone = scene.now.since(since);
        let name = fact.as_str();
        self.turn(gone >= after, || {
            let text = match gone >= after {
                true => format!("{name} not told for {}", gone.compact()),
                false => format!("{name} told"),
            };
            Evidence::text(scene.now, name, text)
        })
    }

    fn overstay(&mut self, grace: Span, scene: &Scene<'_>) -> bool {
        let Kind::Bay(bay) = &scene.asset.kind else { return false };
        let Some(max) = bay.max_stay else { return false };
        match scene.due.stay {
            Stay::Unknown => false,
            Stay::None => self.turn(false, || {
                Evidence::text(scene.at, "stay", "the bay is free again".to_owned())
            }),
            Stay::Since(_) if self.truth == Some(true) => false,
            Stay::Since(since) => {
                let stayed = scene.now.since(since);
                let over = stayed >= max.saturating_add(grace);
                self.turn(over, || {
                    let since = since.utc;
                    let text =
                        format!("stands since {since} for {stayed}, allowed are {max} + {grace}");
                    Evidence::lasting(scene.now, "stay", stayed, text)
                })
            }
        }
    }

    fn fall_silent(&mut self, after: Option<Span>, scene: &Scene<'_>) -> bool {
        let heard = scene.due.heard;
        let (Some(after), Some(since)) = (silence(after, scene.asset), self.base(scene, heard))
        else {
            return false;
        };
        // By the clock of now: a report that is as old as that says that the sensor is silent, and not that
        // it speaks.
        let silent = scene.heard.since(since);
        if silent < after {
            let again = self.truth == Some(true);
            let text = if again { "heard again" } else { "heard" };
            return self.turn(false, || Evidence::text(scene.at, "silent", text.to_owned()));
        }
        self.turn(true, || {
            let last = heard.map_or("never heard".to_owned(), |h| format!("last heard {}", h.utc));
            let text = format!("nothing heard for {silent}, {last}");
            Evidence::lasting(scene.heard, "silent", silent, text)
        })
    }

    /// From when silence counts: from what was heard last, and never from before the box listened.
    /// `None` for an asset that nothing feeds.
    fn base(&self, scene: &Scene<'_>, heard: Option<Moment>) -> Option<Moment> {
        if scene.asset.feeds.is_empty() {
            return None;
        }
        let listening = scene.listening?;
        let here = |moment: &Moment| moment.is_of_boot(listening.boot);
        let heard = self.told.or(heard).filter(here).unwrap_or(listening);
        let anew = self.since.filter(here).unwrap_or(heard);
        Some(if is_later(anew, heard) { anew } else { heard })
    }

    /// When time alone may change it.
    pub(super) fn next(&self, condition: &Condition, scene: &Scene<'_>) -> Option<Monotonic> {
        // Of the present: what was told may be from before the boot, where the monotonic clock counts nothing.
        let now = scene.heard;
        let waits = self.truth != Some(true);
        let after = |moment: Moment, span: Span| moment.due(span, now);
        // Past the end of the window, not at it.
        let past = |span: Span| span.saturating_add(Span::from_ms(1));
        let oldest = || self.window.points().first().map(|point| point.at);
        match condition {
            Condition::Threshold { .. } | Condition::Outside { .. } | Condition::InArea { .. } => {
                self.ripe_at(need(condition), now)
            }
            Condition::Change { within, .. } | Condition::Count { within, .. } => {
                oldest().filter(|_| !waits).map(|at| after(at, past(*within)))
            }
            Condition::During(_) => match self.hours {
                Some((_, until)) => until.map(|until| now.at(until).monotonic),
                None if now.clock == ClockQuality::Unset => None,
                None => Some(now.monotonic),
            },
            Condition::Missing { after: span, .. } => {
                self.base(scene, None).filter(|_| waits).map(|from| after(from, *span))
            }
            Condition::Overstay { grace } => match (&scene.asset.kind, scene.due.stay) {
                (Kind::Bay(bay), Stay::Since(since)) if waits => {
                    bay.max_stay.map(|max| after(since, max.saturating_add(*grace)))
                }
                _ => None,
            },
            Condition::Silent { after: span } => {
                let from = self.base(scene, scene.due.heard).filter(|_| waits)?;
                silence(*span, scene.asset).map(|span| after(from, span))
            }
            _ => None,
        }
    }
}

/// How long and how often it must be so.
fn need(condition: &Condition) -> Need {
    match *condition {
        // A fire is told at once, whatever the rule would wait for.
        Condition::Threshold { fact: FactName::Burning, .. } => {
            Need { hold: Span::ZERO, readings: 1 }
        }
        Condition::Threshold { hold, readings, .. } | Condition::Outside { hold, readings, .. } => {
            Need { hold, readings: readings.max(1) }
        }
        Condition::InArea { hold, .. } => Need { hold, readings: 1 },
        _ => Need { hold: Span::ZERO, readings: 1 },
    }
}

/// After how long an asset is silent; `None` for what is never heard.
pub(super) fn silence(after: Option<Span>, asset: &Asset) -> Option<Span> {
    if asset.feeds.is_empty() {
        return None;
    }
    after.or(match &asset.kind {
        Kind::Bay(bay) => Some(bay.stale_after),
        Kind::Bin(bin) => Some(bin.stale_after),
        Kind::Vehicle(vehicle) => Some(vehicle.stale_after),
        Kind::Street { .. } => None,
    })
}
