//! What people do with tickets.

use serde_json::{Map, Value};

use super::desk::Desk;
use super::life::{Lead, Refusal, State, TicketStep};
use super::news::News;
use super::ticket::{SuppressedBy, Ticket, worktime};
use crate::commands::TicketOrder;
use crate::ids::{Category, CrewId, Requester};
use crate::site::Site;
use crate::time::{Now, Span, Utc};

/// The longest time that a ticket may be shelved for.
const SHELF_MAX: Span = Span::from_mins(366 * 24 * 60);

impl Desk {
    /// Takes a step that a person asked for. What is refused is written down in the ticket too.
    pub(crate) fn order(
        &mut self,
        site: &Site,
        order: &TicketOrder,
        by: &Requester,
        now: Now,
    ) -> (News, Result<Map<String, Value>, Refusal>) {
        let mut news = News::default();
        let newer = self.newer_than(&order.ticket);
        let Some(ticket) = self.ticket_mut(&order.ticket) else {
            return (news, Err(Refusal::Unknown(order.ticket.clone())));
        };
        let taken = match newer {
            Some(newer) if order.step == TicketStep::Reopen => Err(Refusal::Superseded(newer)),
            _ => ticket.take(order, by, site, now),
        };
        if let Err(refusal) = taken {
            if ticket.refuse(&refusal.to_string(), by.as_str(), site, now) {
                news.tell(site, ticket, now);
            } else {
                news.keep(ticket);
            }
            return (news, Err(refusal));
        }
        news.tell(site, ticket, now);
        let mut result = Map::new();
        result.insert("ticket".into(), Value::String(order.ticket.to_string()));
        result.insert("state".into(), Value::String(ticket.state.to_string()));
        result.insert("rev".into(), Value::from(ticket.rev));
        if let Some(due) = ticket.limit.as_ref().and_then(|limit| limit.due) {
            result.insert("due".into(), Value::String(due.to_string()));
        }
        news.timers.extend(self.timers_of(site, &order.ticket, now));
        (news, Ok(result))
    }
}

impl Ticket {
    /// Takes a step, or says why not; then nothing has changed.
    fn take(
        &mut self,
        order: &TicketOrder,
        by: &Requester,
        site: &Site,
        now: Now,
    ) -> Result<(), Refusal> {
        let step = order.step;
        let Some(lead) = step.from(self.state) else {
            let allowed = TicketStep::words_from(self.state);
            return Err(Refusal::Illegal { step: step.as_str(), state: self.state, allowed });
        };
        self.prepare(order, site, now)?;
        match (step, lead) {
            (TicketStep::Shelve, _) => {
                let until = shelf_end(order, now)?;
                self.suppress(SuppressedBy::Shelved, Some(until), site, now);
            }
            (_, Lead::To(state)) => {
                if state == State::Reopened {
                    self.cleared_by_sensor = false;
                    self.times.cleared = None;
                }
                self.enter(state, site, now);
            }
            (_, Lead::Back) => self.unsuppress(site, now),
            (_, Lead::Stay) => {}
        }
        let crew_steps = matches!(step, TicketStep::Assign | TicketStep::HandOver);
        if let Some(crew) = order.crew.as_ref().filter(|_| crew_steps) {
            self.crew = Some(crew.clone());
        }
        self.log(step.done(), by.as_str(), order.note.clone(), site, now);
        Ok(())
    }

    /// What a step needs, and what it does to the time limit.
    fn prepare(&mut self, order: &TicketOrder, site: &Site, now: Now) -> Result<(), Refusal> {
        let step = order.step;
        let needs = |what| Refusal::Needs { step: step.as_str(), what };
        let work = worktime(site);
        let remind = self.remind(site);
        let reasoned = matches!(
            step,
            TicketStep::Pause | TicketStep::Extend | TicketStep::Shelve | TicketStep::Note
        );
        if reasoned && order.note.as_ref().is_none_or(|note| note.trim().is_empty()) {
            return Err(needs("a note that says why"));
        }
        let no_limit = Refusal::Limit("nothing is laid down by when this has to be handled");
        match step {
            TicketStep::Assign | TicketStep::HandOver => {
                let crew = order.crew.as_ref().ok_or_else(|| needs("a crew"))?;
                self.may_have(crew, site)
            }
            TicketStep::Pause => {
                let limit = self.limit.as_mut().ok_or(no_limit)?;
                limit.pause(work, now.utc).map_err(Refusal::Limit)
            }
            TicketStep::Resume => {
                let limit = self.limit.as_mut().ok_or(no_limit)?;
                limit.resume(remind, work, now.utc).map_err(Refusal::Limit)
            }
            TicketStep::Extend => {
                let more = order.for_s.filter(|s| *s > 0).ok_or_else(|| needs("for_s"))?;
                let limit = self.limit.as_mut().ok_or(no_limit)?;
                let more = Span::from_secs(u64::from(more));
                limit.extend(more, remind, work, now.utc).map_err(Refusal::Limit)
            }
            _ => Ok(()),
        }
    }

    fn may_have(&self, crew: &CrewId, site: &Site) -> Result<(), Refusal> {
        let crews = &site.tickets.crews;
        let Some(spec) = crews.get(crew) else {
            let known: Vec<&str> = crews.keys().map(CrewId::as_str).collect();
            let known = if known.is_empty() { "none".into() } else { known.join(", ") };
            return Err(Refusal::NoCrew { crew: crew.clone(), known });
        };
        if spec.categories.is_empty() || spec.categories.contains(&self.category) {
            return Ok(());
        }
        let does: Vec<&str> = spec.categories.iter().map(Category::as_str).collect();
        Err(Refusal::NotTheirs { crew: crew.clone(), does: does.join(", ") })
    }
}

fn shelf_end(order: &TicketOrder, now: Now) -> Result<Utc, Refusal> {
    let until = match (order.until, order.for_s) {
        (Some(until), _) => until,
        (None, Some(s)) => now.utc + Span::from_secs(u64::from(s)),
        (None, None) => {
            return Err(Refusal::Needs { step: "shelve", what: "until, or for_s" });
        }
    };
    if until <= now.utc || until.since(now.utc) > SHELF_MAX {
        return Err(Refusal::Needs { step: "shelve", what: "a time within the next 366 days" });
    }
    Ok(until)
}
