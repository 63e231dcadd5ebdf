//! What a rule says of its tickets: hours in which nobody is to be disturbed, and getting worse with age.
//!
//! Quiet hours delay that people are told, never that it is written down: the ticket is there, suppressed,
//! from the moment it was found, and is told when they end, gone by then or not.

use super::news::News;
use super::ticket::{SuppressedBy, Ticket};
use crate::rules::{Escalation, Handling, Severity};
use crate::site::Site;
use crate::time::{ClockQuality, Moment, Monotonic, Now};

impl Ticket {
    fn handling<'s>(&self, site: &'s Site) -> Option<&'s Handling> {
        let id = &self.rule.as_ref()?.id;
        site.rules.iter().find(|rule| rule.id == *id).map(|rule| &rule.handling)
    }

    /// Suppresses what is found in quiet hours; answers whether it was. What is critical is told at once.
    pub(super) fn hush(&mut self, site: &Site, at: Moment) -> bool {
        let quiet = self.handling(site).and_then(|handling| handling.quiet.as_ref());
        let known = at.clock > ClockQuality::Unset && self.severity < Severity::Critical;
        let until = quiet.filter(|_| known).and_then(|quiet| quiet.end(at.utc, &site.calendar));
        if until.is_some() {
            self.suppress(SuppressedBy::Quiet, until, site, at);
        }
        until.is_some()
    }

    /// The next step in which it gets worse, and from when its age counts.
    fn escalation(&self, site: &Site) -> Option<(Escalation, Moment)> {
        let quiet = self.suppressed.as_ref().is_some_and(|s| s.reason == SuppressedBy::Quiet);
        let raised = self.times.raised.filter(|_| self.state.is_timed() || quiet)?;
        let steps = &self.handling(site)?.escalate;
        let step = steps.iter().find(|step| step.to > self.severity)?;
        Some((*step, raised))
    }

    /// When it gets worse.
    pub(super) fn worse_at(&self, site: &Site, now: Now) -> Option<Monotonic> {
        let (step, raised) = self.escalation(site)?;
        Some(raised.deadline(step.after, now))
    }

    /// Gets worse, if it is old enough for that. What becomes critical is told whatever the hour.
    pub(super) fn age(&mut self, site: &Site, now: Now, news: &mut News) {
        while let Some((step, raised)) = self.escalation(site) {
            if now.since(raised) < step.after {
                return;
            }
            self.severity = step.to;
            let note = format!("not handled for {}: {}", step.after, step.to.as_str());
            self.log("escalated", "agent", Some(note), site, now);
            news.tell(site, self, now);
            let quiet = self.suppressed.as_ref().is_some_and(|s| s.reason == SuppressedBy::Quiet);
            if quiet && step.to == Severity::Critical {
                self.unsuppress(site, now);
                self.log(self.state.as_str(), "agent", None, site, now);
                news.tell(site, self, now);
            }
        }
    }
}
