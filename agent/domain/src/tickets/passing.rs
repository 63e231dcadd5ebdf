//! What time does with tickets: limits come near and pass, shelves end, flapping settles, clocks are set.

use super::deadline::Reached;
use super::desk::Desk;
use super::life::State;
use super::news::News;
use super::ticket::{SuppressedBy, Ticket};
use crate::ids::TicketId;
use crate::site::Site;
use crate::time::{ClockQuality, Moment, Now};

impl Desk {
    /// The ticket's deadline came.
    pub(crate) fn pass(&mut self, site: &Site, id: &TicketId, now: Now) -> News {
        let mut news = News::default();
        let Some(ticket) = self.ticket_mut(id) else { return news };
        ticket.wake(site, now, &mut news);
        ticket.age(site, now, &mut news);
        ticket.settle(site, now, &mut news);
        ticket.run_out(site, now, &mut news);
        news.timers.extend(self.timers_of(site, id, now));
        news
    }

    /// The box has learnt what time it is: what it found before, it found so long ago.
    pub(crate) fn correct_times(&mut self, site: &Site, now: Now) -> News {
        let mut news = News::default();
        let unset = |t: &&mut Ticket| t.clock == ClockQuality::Unset;
        let mut corrected = vec![];
        for ticket in self.tickets_mut().filter(unset) {
            if ticket.times.opened.boot == now.boot {
                let was = ticket.opened_at;
                ticket.opened_at = now.utc - now.since(ticket.times.opened);
                ticket.clock = ClockQuality::Estimated;
                let opened = now.at(ticket.opened_at);
                ticket.times.opened = Moment { clock: ClockQuality::Estimated, ..opened };
                if ticket.state.is_timed() && ticket.limit.is_none() {
                    ticket.start_limit(site, ticket.times.opened);
                }
                let note =
                    format!("found at {}, not at {was}: the clock was not set", ticket.opened_at);
                ticket.log("time_corrected", "agent", Some(note), site, now);
                news.tell(site, ticket, now);
                corrected.push(ticket.ticket_id.clone());
            } else if ticket.state.is_timed() && ticket.limit.is_none() {
                // Found in an earlier start without a clock: nobody knows when. Time counts from here.
                ticket.clock = ClockQuality::Estimated;
                ticket.start_limit(site, now);
                let note = "found before a restart, when the clock was not set".to_owned();
                ticket.log("time_corrected", "agent", Some(note), site, now);
                news.tell(site, ticket, now);
                corrected.push(ticket.ticket_id.clone());
            }
        }
        for id in corrected {
            news.timers.extend(self.timers_of(site, &id, now));
        }
        news
    }
}

impl Ticket {
    /// The shelf or the maintenance has ended.
    fn wake(&mut self, site: &Site, now: Now, news: &mut News) {
        let Some(suppressed) = &self.suppressed else { return };
        if suppressed.until.is_none_or(|until| until > now.utc) {
            return;
        }
        let (shelved, maintained) = match suppressed.reason {
            SuppressedBy::Shelved => (true, false),
            SuppressedBy::Maintenance => (false, true),
            SuppressedBy::Quiet => (false, false),
        };
        if maintained && self.cleared_by_sensor {
            self.enter(State::Expired, site, now);
            let note = "came and went during maintenance".to_owned();
            self.log("expired", "agent", Some(note), site, now);
        } else {
            self.unsuppress(site, now);
            let step = if shelved { "unshelved" } else { self.state.as_str() };
            self.log(step, "agent", None, site, now);
        }
        news.tell(site, self, now);
    }

    /// It has been still for long enough.
    fn settle(&mut self, site: &Site, now: Now, news: &mut News) {
        let within = site.tickets.flap_within;
        let Some(flapping) = self.flapping.take_if(|f| now.since(f.last) >= within) else { return };
        self.times.edges.clear();
        let note = format!("it came and went {} times", flapping.count);
        self.log("settled", "agent", Some(note), site, now);
        news.tell(site, self, now);
        if !flapping.there && !self.cleared_by_sensor {
            self.cleared_by_sensor = true;
            self.times.cleared = Some(flapping.last);
            self.log("cleared", "agent", None, site, now);
            news.tell(site, self, now);
        }
    }

    /// The limit comes near, or is over.
    fn run_out(&mut self, site: &Site, now: Now, news: &mut News) {
        if !self.state.is_timed() {
            return;
        }
        while let Some(reached) = self.limit.as_mut().and_then(|limit| limit.reach(now.utc)) {
            let step = match reached {
                Reached::Soon => "due_soon",
                Reached::Over => "overdue",
            };
            self.log(step, "agent", None, site, now);
            news.tell(site, self, now);
        }
    }
}
