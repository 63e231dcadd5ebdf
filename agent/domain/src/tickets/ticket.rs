//! A ticket: what it is about, where it stands, and what happened to it.

use serde::{Deserialize, Serialize};

use super::deadline::Deadline;
use super::flow::{Flow, FlowLog};
use super::life::State;
use super::limit::Worktime;
use crate::ids::{AssetKey, Category, CrewId, RuleId, SourceName, TicketId};
use crate::place::Position;
use crate::rules::{Evidence, Severity};
use crate::sightings::Look;
use crate::site::Site;
use crate::time::{ClockQuality, Moment, Span, Utc};

/// A ticket.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Ticket {
    /// Derived from box, identity and opening time.
    pub ticket_id: TicketId,
    /// Grows with every change; what is newer wins.
    pub rev: u32,
    /// What makes two findings the same problem: category and asset, or category and place.
    pub key: String,
    /// What kind of problem.
    pub category: Category,
    /// Where it stands.
    pub state: State,
    /// The sensor no longer sees the problem: evidence, never a closure.
    pub cleared_by_sensor: bool,
    /// How bad.
    pub severity: Severity,
    /// At which asset, where it is at one.
    pub asset: Option<AssetKey>,
    /// Where that is.
    pub place: Option<Position>,
    /// When it was found.
    pub opened_at: Utc,
    /// Trust in that time.
    pub clock: ClockQuality,
    /// The last change.
    pub updated_at: Utc,
    /// When it was closed or rejected.
    pub closed_at: Option<Utc>,
    /// The rule that found it, where a rule did.
    pub rule: Option<RuleRef>,
    /// The readings that made it true, and those that ended it.
    pub evidence: Vec<Evidence>,
    /// Who says so: sensors, cameras, people.
    pub sources: Vec<Witness>,
    /// How sure that is, in percent.
    pub confidence: u8,
    /// What happened to it.
    pub flow: FlowLog,
    /// How often it came back after it was done or gone.
    pub reopened: u32,
    /// The ticket of the same problem before this one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prior: Option<TicketId>,
    /// Who has it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub crew: Option<CrewId>,
    /// By when it has to be handled; `None` where nothing is laid down.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<Deadline>,
    /// Why nobody is to hear of it, and until when.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub suppressed: Option<Suppression>,
    /// It comes and goes so often that its coming and going is only counted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub flapping: Option<Flapping>,
    /// Steps that were refused.
    pub refused: u32,
    /// What it is measured by.
    pub(super) times: Times,
}

/// A rule as it was.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RuleRef {
    /// Its name.
    pub id: RuleId,
    /// Its version then.
    pub version: u32,
    /// Its condition in words, with the thresholds of this asset.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub when: Option<String>,
}

/// What kind of witness.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WitnessKind {
    /// A sensor, by a rule.
    Sensor,
    /// A camera, by a model.
    Camera,
    /// Somebody who lives here.
    Citizen,
    /// Somebody on duty.
    Patrol,
}

impl WitnessKind {
    /// How sure one of them is alone, in percent, when it does not say so itself.
    #[must_use]
    pub const fn confidence(self) -> u8 {
        match self {
            WitnessKind::Sensor | WitnessKind::Patrol => 90,
            WitnessKind::Camera => 50,
            WitnessKind::Citizen => 60,
        }
    }
}

/// Who says that there is a problem.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Witness {
    /// What kind.
    pub kind: WitnessKind,
    /// Which one: a rule, a camera, a tracking number.
    pub by: String,
    /// When it was first said.
    pub at: Utc,
    /// How sure, in percent.
    pub confidence: u8,
    /// In their words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// A photo: where it is kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub media: Option<String>,
    /// What a camera saw, and by which model.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seen: Option<Box<Look>>,
}

/// Why nobody is to hear of a ticket.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Suppression {
    /// Shelved by a person, maintenance, or quiet hours.
    pub reason: SuppressedBy,
    /// Until when; `None`: until what it is part of is over.
    pub until: Option<Utc>,
    /// Where it stood before.
    pub(super) back: State,
    /// Whether the time limit stands still because of it.
    pub(super) paused: bool,
}

/// The reasons for suppression.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SuppressedBy {
    /// A person said so.
    Shelved,
    /// There is maintenance.
    Maintenance,
    /// It was found in the quiet hours of its rule.
    Quiet,
}

impl SuppressedBy {
    /// The word in payloads and in the flow log.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            SuppressedBy::Shelved => "shelved",
            SuppressedBy::Maintenance => "maintenance",
            SuppressedBy::Quiet => "quiet hours",
        }
    }
}

/// A problem that comes and goes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Flapping {
    /// Comings and goings since it began to flap.
    pub count: u32,
    /// When the last one was.
    pub(super) last: Moment,
    /// Whether the problem is there.
    pub(super) there: bool,
}

/// What a ticket is measured by, and which source of the box it is about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Times {
    pub(super) opened: Moment,
    /// When it was raised, or came back: its age counts from here.
    #[serde(default)]
    pub(super) raised: Option<Moment>,
    pub(super) cleared: Option<Moment>,
    pub(super) closed: Option<Moment>,
    /// The latest comings and goings.
    pub(super) edges: Vec<Moment>,
    /// The source that is silent as a whole.
    pub(super) source: Option<SourceName>,
}

/// Evidence kept in a ticket: the readings that opened it and the newest ones.
const EVIDENCE_MAX: usize = 32;
/// Witnesses kept in a ticket: the first ones and the newest.
const WITNESSES_MAX: usize = 16;
/// Refused steps that are written into the flow log; more are counted only, so that nobody can push the
/// history of a ticket out by asking for what cannot be.
const REFUSED_MAX: u32 = 8;

impl Ticket {
    /// Writes down what happened, and counts the revision up.
    pub(super) fn log(
        &mut self,
        step: &str,
        by: &str,
        note: Option<String>,
        site: &Site,
        at: Moment,
    ) {
        self.rev += 1;
        self.updated_at = at.utc;
        let limit = self.limit.as_ref();
        self.flow.append(Flow {
            n: self.rev,
            step: step.to_owned(),
            at: at.utc,
            by: by.to_owned(),
            state: self.state,
            note,
            crew: self.crew.clone(),
            due: limit.and_then(|l| l.due),
            used_s: limit.map(|l| l.used(worktime(site), at.utc).as_secs()),
            prev_sha256: String::new(),
        });
    }

    /// Counts a step that was not taken; the first few are written down. Answers whether this one was.
    pub(super) fn refuse(&mut self, why: &str, by: &str, site: &Site, now: Moment) -> bool {
        self.refused = self.refused.saturating_add(1);
        let written = self.refused <= REFUSED_MAX;
        if written {
            self.log("refused", by, Some(why.to_owned()), site, now);
        }
        written
    }

    /// Attaches readings; the oldest of the middle give way when there are too many.
    pub(super) fn attach(&mut self, evidence: Vec<Evidence>) {
        for one in evidence {
            if self.evidence.len() == EVIDENCE_MAX {
                self.evidence.remove(EVIDENCE_MAX / 2);
            }
            self.evidence.push(one);
        }
    }

    /// Hears a witness. Answers whether it is one that had not been heard.
    pub(super) fn hear(&mut self, witness: Witness) -> bool {
        let same = |w: &Witness| w.kind == witness.kind && w.by == witness.by;
        if self.sources.iter().any(same) {
            return false;
        }
        if self.sources.len() == WITNESSES_MAX {
            self.sources.remove(WITNESSES_MAX / 2);
        }
        self.sources.push(witness);
        self.confidence = confidence(&self.sources);
        true
    }

    /// Whether witnesses of different kinds say the same.
    pub(super) fn is_agreed(&self) -> bool {
        self.sources.windows(2).any(|pair| pair[0].kind != pair[1].kind)
    }

    /// Moves to `to`, with everything that belongs to being there.
    pub(super) fn enter(&mut self, to: State, site: &Site, now: Moment) {
        let rework = to == State::Reopened && !self.state.is_timed();
        self.state = to;
        self.suppressed = None;
        let ended = !to.is_open();
        self.closed_at = ended.then_some(now.utc);
        self.times.closed = ended.then_some(now);
        if to == State::Reopened {
            self.reopened += 1;
        }
        if matches!(to, State::Raised | State::Reopened) {
            self.times.raised = Some(now);
        }
        if rework {
            // Rework has the whole limit again, from the time it was found; what was not done yet when
            // it came back keeps the one it has.
            (self.crew, self.limit) = (None, None);
        }
        if to.is_timed() && self.limit.is_none() {
            self.start_limit(site, now);
        }
        if !to.is_timed() {
            let work = worktime(site);
            self.limit.iter_mut().for_each(|limit| limit.finish(work, now.utc));
            self.flapping = None;
        }
    }

    /// Nobody is to hear of it: it keeps where it stands, and its time limit stands still.
    pub(super) fn suppress(
        &mut self,
        reason: SuppressedBy,
        until: Option<Utc>,
        site: &Site,
        now: Moment,
    ) {
        let pause = |limit: &mut Deadline| limit.pause(worktime(site), now.utc).is_ok();
        let paused = self.limit.as_mut().is_some_and(pause);
        self.suppressed = Some(Suppression { reason, until, back: self.state, paused });
        self.state = State::Suppressed;
    }

    /// To be heard of again: it stands where it stood.
    pub(super) fn unsuppress(&mut self, site: &Site, now: Moment) {
        let Some(Suppression { back, paused, .. }) = self.suppressed.take() else { return };
        self.state = back;
        let remind = self.remind(site);
        if let Some(limit) = self.limit.as_mut().filter(|_| paused) {
            // It was paused by the suppression and by nothing else, so it can go on.
            let resumed = limit.resume(remind, worktime(site), now.utc);
            debug_assert!(resumed.is_ok());
        }
        if back.is_timed() && self.limit.is_none() {
            self.start_limit(site, now);
        }
    }

    /// The time limit begins, where there is one and the time of day is known.
    pub(super) fn start_limit(&mut self, site: &Site, now: Moment) {
        if now.clock == ClockQuality::Unset {
            return;
        }
        let found = site.tickets.limit_for(&self.category, self.severity);
        self.limit =
            found.map(|(limit, remind)| Deadline::start(limit, remind, worktime(site), now.utc));
    }

    /// How long before the end somebody is told.
    pub(super) fn remind(&self, site: &Site) -> Span {
        site.tickets.limit_for(&self.category, self.severity).map_or(Span::ZERO, |(_, r)| r)
    }
}

/// Time as the limits of this site count it.
pub(super) fn worktime(site: &Site) -> Worktime<'_> {
    Worktime { calendar: &site.calendar, hours: &site.tickets.hours }
}

/// How sure several witnesses are together, in percent, never more than 99. Those of one kind see the
/// same with the same eyes: only the surest of them counts.
fn confidence(witnesses: &[Witness]) -> u8 {
    let kinds =
        [WitnessKind::Sensor, WitnessKind::Camera, WitnessKind::Citizen, WitnessKind::Patrol];
    let doubt = kinds.into_iter().fold(10_000u32, |doubt, kind| {
        let of_kind = witnesses.iter().filter(|w| w.kind == kind);
        let surest = of_kind.map(|w| u32::from(w.confidence.min(100))).max().unwrap_or(0);
        doubt * (100 - surest) / 100
    });
    u8::try_from((100 - doubt.div_ceil(100)).min(99)).unwrap_or(99)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn witnesses_of_different_kinds_add_up_and_those_of_one_kind_do_not() {
        let witness = |kind, by: &str, confidence| Witness {
            kind,
            by: by.into(),
            at: Utc::from_ms(0),
            confidence,
            text: None,
            media: None,
            seen: None,
        };
        let camera = witness(WitnessKind::Camera, "cam-1", 60);
        let citizen = witness(WitnessKind::Citizen, "c-1", 50);
        assert_eq!(confidence(&[]), 0);
        assert_eq!(confidence(std::slice::from_ref(&camera)), 60);
        assert_eq!(confidence(&[camera.clone(), witness(WitnessKind::Camera, "cam-2", 40)]), 60);
        assert_eq!(confidence(&[camera.clone(), citizen.clone()]), 80);
        let sure = witness(WitnessKind::Sensor, "bin-full", 100);
        assert_eq!(confidence(&[camera, citizen, sure]), 99);
    }
}
