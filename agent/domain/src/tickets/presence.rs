//! A crew is where its tickets are.

use super::desk::Desk;
use super::life::{State, TicketStep};
use super::news::News;
use super::ticket::Ticket;
use crate::ids::{AssetKey, CrewId};
use crate::place::Position;
use crate::site::Site;
use crate::time::Moment;

/// From here one walks: a vehicle stops where there is room.
const NEAR_M: f64 = 50.0;

impl Desk {
    /// A crew is at an asset, or at a place: its tickets there say so.
    pub(crate) fn arrive(
        &mut self,
        site: &Site,
        crew: &CrewId,
        asset: Option<&AssetKey>,
        place: Option<Position>,
        by: &str,
        at: Moment,
    ) -> News {
        let place = place.map(Position::to_wgs84);
        let near = |ticket: &Ticket| {
            let metres = ticket.place.zip(place).and_then(|(a, b)| a.to_wgs84().distance_m(b));
            metres.is_some_and(|metres| metres <= NEAR_M)
        };
        let here = |ticket: &Ticket| {
            asset.is_some_and(|a| ticket.asset.as_ref() == Some(a)) || near(ticket)
        };
        let mut news = News::default();
        for ticket in self.tickets_mut() {
            let theirs = ticket.state == State::Dispatched && ticket.crew.as_ref() == Some(crew);
            if theirs && here(ticket) && !ticket.was_on_site() {
                ticket.log(TicketStep::OnSite.done(), by, None, site, at);
                news.tell(site, ticket, at);
            }
        }
        news
    }
}

impl Ticket {
    /// Whether the crew that has it was there already, since it was given to it.
    fn was_on_site(&self) -> bool {
        let last = self.flow.entries().iter().rev().find(|entry| {
            matches!(entry.step.as_str(), "on_site" | "dispatched" | "handed_over" | "reopened")
        });
        last.is_some_and(|entry| entry.step == "on_site")
    }
}
