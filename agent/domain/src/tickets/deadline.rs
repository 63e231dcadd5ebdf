//! The time limit of one ticket while it runs, stands still and ends.
//!
//! It never moves by itself: every change of `due` belongs to a step that the flow log names.

use serde::{Deserialize, Serialize};

use super::limit::{TimeLimit, Worktime};
use crate::time::{Span, Utc};

/// How a limit stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Running {
    /// Time is being used up.
    Running,
    /// It stands still.
    Paused,
    /// The work was done.
    Finished,
    /// It was not done in time, and is not done yet.
    Timeout,
}

/// The time limit of a ticket.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Deadline {
    /// What the city allows.
    #[serde(flatten)]
    pub limit: TimeLimit,
    /// When it is over; `None` while it stands still.
    pub due: Option<Utc>,
    /// How it stands.
    pub status: Running,
    /// Whether it was missed: stays true when the work is done later.
    pub overdue: bool,
    /// How much of it was given: the limit and what it was extended by.
    given: Span,
    /// What was left when it was stopped.
    left: Span,
    /// What was used up when it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    spent: Option<Span>,
    /// When somebody is to be told that it will soon be over.
    remind_at: Option<Utc>,
}

/// Something that time did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reached {
    /// It will soon be over.
    Soon,
    /// It is over.
    Over,
}

impl Deadline {
    /// Begins to run at `now`; somebody is told when `remind` of it is left.
    pub(super) fn start(limit: TimeLimit, remind: Span, work: Worktime<'_>, now: Utc) -> Deadline {
        let due = work.due(limit, now);
        let given = work.between(limit.kind, now, due);
        let mut deadline = Deadline {
            limit,
            due: Some(due),
            status: Running::Running,
            overdue: false,
            given,
            left: given,
            spent: None,
            remind_at: None,
        };
        deadline.arm(remind, work, now);
        deadline
    }

    fn arm(&mut self, remind: Span, work: Worktime<'_>, now: Utc) {
        let before = self.left.as_ms().saturating_sub(remind.as_ms());
        let sensible = remind > Span::ZERO && before > 0;
        self.remind_at =
            sensible.then(|| work.advance(self.limit.kind, now, Span::from_ms(before)));
    }

    fn left_at(&self, work: Worktime<'_>, now: Utc) -> Span {
        self.due.map_or(self.left, |due| work.between(self.limit.kind, now, due))
    }

    /// Time of its kind that was used up by `now`.
    pub(super) fn used(&self, work: Worktime<'_>, now: Utc) -> Span {
        if let Some(spent) = self.spent {
            return spent;
        }
        let late = match self.due {
            Some(due) => work.between(self.limit.kind, due, now),
            None => Span::ZERO,
        };
        let left = self.left_at(work, now).as_ms();
        Span::from_ms(self.given.as_ms().saturating_sub(left)).saturating_add(late)
    }

    /// Stands still from `now` on.
    pub(super) fn pause(&mut self, work: Worktime<'_>, now: Utc) -> Result<(), &'static str> {
        match self.status {
            Running::Running => {
                self.left = self.left_at(work, now);
                (self.due, self.remind_at) = (None, None);
                self.status = Running::Paused;
                Ok(())
            }
            Running::Paused => Err("the time limit stands still already"),
            Running::Timeout => Err("the time limit is over: it can no longer be paused"),
            Running::Finished => Err("the time limit has ended"),
        }
    }

    /// Goes on from `now` with what was left.
    pub(super) fn resume(
        &mut self,
        remind: Span,
        work: Worktime<'_>,
        now: Utc,
    ) -> Result<(), &'static str> {
        if self.status != Running::Paused {
            return Err("the time limit does not stand still");
        }
        self.due = Some(work.advance(self.limit.kind, now, self.left));
        self.status = Running::Running;
        self.arm(remind, work, now);
        Ok(())
    }

    /// Gives `more` time of its kind.
    pub(super) fn extend(
        &mut self,
        more: Span,
        remind: Span,
        work: Worktime<'_>,
        now: Utc,
    ) -> Result<(), &'static str> {
        match self.status {
            Running::Timeout => return Err("the time limit is over: it can no longer be extended"),
            Running::Finished => return Err("the time limit has ended"),
            Running::Running | Running::Paused => {}
        }
        self.left = self.left_at(work, now).saturating_add(more);
        self.given = self.given.saturating_add(more);
        if let Some(due) = self.due {
            self.due = Some(work.advance(self.limit.kind, due, more));
            self.arm(remind, work, now);
        }
        Ok(())
    }

    /// The work is done, or nobody waits for it any more.
    pub(super) fn finish(&mut self, work: Worktime<'_>, now: Utc) {
        if self.status != Running::Finished {
            self.spent = Some(self.used(work, now));
            self.status = Running::Finished;
            self.remind_at = None;
        }
    }

    /// When to look at it again.
    pub(super) fn next(&self) -> Option<Utc> {
        match self.status {
            Running::Running => self.remind_at.or(self.due),
            Running::Paused | Running::Finished | Running::Timeout => None,
        }
    }

    /// What has come by `now`, once each: first the reminder, then the end.
    pub(super) fn reach(&mut self, now: Utc) -> Option<Reached> {
        if self.status != Running::Running {
            return None;
        }
        if self.due.is_some_and(|due| due <= now) {
            self.remind_at = None;
            self.status = Running::Timeout;
            self.overdue = true;
            return Some(Reached::Over);
        }
        if self.remind_at.is_some_and(|at| at <= now) {
            self.remind_at = None;
            return Some(Reached::Soon);
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::super::limit::WorkingHours;
    use super::*;
    use crate::calendar::Calendar;

    fn utc(text: &str) -> Utc {
        Utc::parse(&format!("2026-06-{text}:00Z")).unwrap()
    }

    fn run(limit: &str, start: &str, then: impl FnOnce(&mut Deadline, Worktime<'_>)) -> Deadline {
        let (calendar, hours) = (Calendar::default(), WorkingHours::default());
        let work = Worktime { calendar: &calendar, hours: &hours };
        let limit = TimeLimit::parse(limit).unwrap();
        let mut deadline = Deadline::start(limit, Span::from_mins(30), work, utc(start));
        then(&mut deadline, work);
        deadline
    }

    #[test]
    fn what_was_left_is_left_after_a_pause() {
        // Monday 1 June 2026, 4 working hours from 10:00: 12:00, then 14:00 to 16:00.
        let deadline = run("4 work_hour", "01T10:00", |d, work| {
            assert_eq!(d.due, Some(utc("01T16:00")));
            assert_eq!(d.pause(work, utc("01T11:00")), Ok(()));
            assert_eq!((d.due, d.next()), (None, None));
            assert_eq!(d.used(work, utc("05T00:00")), Span::from_mins(60));
            assert!(d.pause(work, utc("01T11:30")).is_err());
            // Three hours are left, from Tuesday 17:00: one on Tuesday, two on Wednesday.
            assert_eq!(d.resume(Span::from_mins(30), work, utc("02T17:00")), Ok(()));
        });
        assert_eq!(deadline.due, Some(utc("03T10:00")));
        assert_eq!(deadline.next(), Some(utc("03T09:30")));
    }

    #[test]
    fn an_extension_is_time_of_its_kind_and_comes_before_the_end_or_not_at_all() {
        let deadline = run("2 work_hour", "01T16:00", |d, work| {
            let half = Span::from_mins(30);
            assert_eq!(d.extend(Span::from_mins(60), half, work, utc("01T17:00")), Ok(()));
            assert_eq!(d.due, Some(utc("02T09:00")));
            assert_eq!(d.used(work, utc("01T17:00")), Span::from_mins(60));
            assert_eq!(d.reach(utc("02T09:00")), Some(Reached::Over));
            assert!(d.extend(Span::from_mins(60), half, work, utc("02T09:00")).is_err());
            assert!(d.pause(work, utc("02T09:00")).is_err());
            d.finish(work, utc("02T10:00"));
        });
        assert!(deadline.overdue && deadline.status == Running::Finished);
    }

    #[test]
    fn soon_and_over_come_once_each() {
        let deadline = run("1 urgent_hour", "01T22:00", |d, _| {
            assert_eq!(d.reach(utc("01T22:29")), None);
            assert_eq!(d.reach(utc("01T22:30")), Some(Reached::Soon));
            assert_eq!(d.reach(utc("01T22:31")), None);
            assert_eq!(d.next(), Some(utc("01T23:00")));
            assert_eq!(d.reach(utc("01T23:00")), Some(Reached::Over));
            assert_eq!((d.reach(utc("01T23:30")), d.next()), (None, None));
        });
        assert_eq!(deadline.status, Running::Timeout);
    }

    #[test]
    fn minutes_used_go_on_after_the_end() {
        run("1 work_hour", "01T11:30", |d, work| {
            assert_eq!(d.due, Some(utc("01T14:30")));
            assert_eq!(d.used(work, utc("01T14:30")), Span::from_mins(60));
            assert_eq!(d.used(work, utc("01T15:30")), Span::from_mins(120));
        });
    }
}
