//! What the public has asked for: by its number, which ticket it belongs to.
//!
//! A request outlives its ticket: when that leaves the box, where it stood last stays with the request for
//! [`KEPT`]. Full ([`REQUESTS_MAX`]): the oldest one whose ticket has gone makes room; where there is none,
//! a new request is refused, and whoever asks is told so.

use std::collections::BTreeMap;

use crate::ids::TicketId;
use crate::open311::{Known, Query, RequestNumber, Standing, Submission};
use crate::output::Record;
use crate::site::Site;
use crate::time::{Now, Span};

use super::ticket::Ticket;

/// Requests that are remembered: about a kilobyte each.
const REQUESTS_MAX: usize = 5000;
/// How long a request is remembered after its ticket has gone: what GeoReport lets people ask about.
const KEPT: Span = Span::from_mins(90 * 24 * 60);
/// Requests in one answer, as the standard lays down.
const SHOWN_MAX: usize = 1000;

/// The requests of the public, by number.
#[derive(Debug, Default)]
pub(crate) struct Requests(BTreeMap<RequestNumber, Known>);

impl Requests {
    /// Takes back a stored request; answers whether it could be read.
    pub(crate) fn restore(&mut self, value: &[u8]) -> bool {
        let known: Option<Known> = serde_json::from_slice(value).ok();
        known.map(|known| self.0.insert(known.said.number, known)).is_some()
    }

    /// Makes room for another request: gives the records that go for it, or `None` where there is none.
    pub(crate) fn make_room(&mut self, now: Now) -> Option<Vec<Record>> {
        let over = |known: &Known| {
            let gone = known.standing.as_ref();
            gone.is_some_and(|standing| now.utc.since(standing.updated_at) > KEPT)
        };
        let mut going: Vec<RequestNumber> =
            self.0.values().filter(|known| over(known)).map(|known| known.said.number).collect();
        if self.0.len() - going.len() >= REQUESTS_MAX {
            let ended = self.0.values().filter(|k| k.standing.is_some() && !over(k));
            going.push(ended.min_by_key(|known| known.at)?.said.number);
        }
        for number in &going {
            self.0.remove(number);
        }
        let gone = |number| Record { key: record_key(number), value: None };
        Some(going.into_iter().map(gone).collect())
    }

    /// Remembers a request that became part of a ticket.
    pub(crate) fn keep(&mut self, said: Submission, ticket: TicketId, now: Now) -> Record {
        let known = Known { said, at: now.utc, ticket, standing: None };
        let record = stored(&known);
        self.0.insert(known.said.number, known);
        record
    }

    /// A ticket leaves the box: where it stood stays with the requests that belong to it.
    pub(crate) fn ticket_goes(&mut self, site: &Site, ticket: &Ticket) -> Vec<Record> {
        let of_ticket = self.0.values_mut().filter(|known| known.ticket == ticket.ticket_id);
        let end = |known: &mut Known| {
            known.standing = Some(standing(site, ticket));
            stored(known)
        };
        of_ticket.map(end).collect()
    }

    /// The requests that somebody wants to see, the newest first.
    pub(crate) fn find<'a>(
        &self,
        site: &Site,
        query: &Query,
        ticket: impl Fn(&TicketId) -> Option<&'a Ticket>,
    ) -> Vec<Known> {
        let now = |known: &Known| {
            let live = ticket(&known.ticket).map(|ticket| standing(site, ticket));
            Known { standing: live.or_else(|| known.standing.clone()), ..known.clone() }
        };
        if !query.numbers.is_empty() {
            return query.numbers.iter().filter_map(|number| self.0.get(number)).map(now).collect();
        }
        let fits = |known: &&Known| {
            let categories = &query.categories;
            (categories.is_empty() || categories.contains(&known.said.category))
                && query.from.is_none_or(|from| known.at >= from)
                && query.to.is_none_or(|to| known.at <= to)
        };
        let closed = |known: &Known| known.standing.as_ref().is_some_and(Standing::is_closed);
        let mut found: Vec<Known> = self
            .0
            .values()
            .filter(fits)
            .map(now)
            .filter(|known| query.closed.is_none_or(|wanted| wanted == closed(known)))
            .collect();
        found.sort_by_key(|known| (std::cmp::Reverse(known.at), known.said.number));
        found.truncate(SHOWN_MAX);
        found
    }
}

fn standing(site: &Site, ticket: &Ticket) -> Standing {
    let crew = ticket.crew.as_ref().and_then(|crew| site.tickets.crews.get(crew));
    Standing {
        state: ticket.state,
        cleared: ticket.cleared_by_sensor,
        updated_at: ticket.updated_at,
        due: ticket.limit.as_ref().and_then(|limit| limit.due),
        unit: crew.and_then(|crew| crew.unit.clone()),
    }
}

fn record_key(number: RequestNumber) -> String {
    format!("public/{number}")
}

fn stored(known: &Known) -> Record {
    let value = serde_json::to_vec(known).expect("a request is plain data");
    Record { key: record_key(known.said.number), value: Some(value) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::Category;
    use crate::tickets::State;
    use crate::time::{Boot, ClockQuality, Moment, Monotonic, Utc};

    fn now(minute: u64) -> Now {
        Moment {
            boot: Boot(1),
            monotonic: Monotonic::from_ms(minute * 60_000),
            utc: Utc::from_ms(1_780_000_000_000) + Span::from_mins(minute),
            clock: ClockQuality::Ntp,
        }
    }

    fn said(number: u128) -> Submission {
        Submission {
            number: RequestNumber::from_random(number),
            category: Category::new("bin_overflow").unwrap(),
            asset: None,
            place: None,
            address: None,
            text: None,
            media: None,
        }
    }

    #[test]
    fn open_requests_are_never_pushed_out_and_ended_ones_give_way() {
        let mut requests = Requests::default();
        let ticket = || TicketId::new("t-1").unwrap();
        for number in 0..REQUESTS_MAX as u128 {
            assert_eq!(requests.make_room(now(1)).map(|gone| gone.len()), Some(0));
            let _ = requests.keep(said(number), ticket(), now(1));
        }
        assert_eq!(requests.make_room(now(2)), None, "all of them are open");
        let ended = requests.0.values_mut().nth(7).unwrap();
        let updated_at = now(1).utc;
        let (state, cleared, due, unit) = (State::Closed, false, None, None);
        ended.standing = Some(Standing { state, cleared, updated_at, due, unit });
        let number = ended.said.number;
        let gone = requests.make_room(now(3)).unwrap();
        assert_eq!(gone, [Record { key: record_key(number), value: None }]);
        assert_eq!(requests.0.len(), REQUESTS_MAX - 1);
        let site = crate::open311::tests::site();
        let all = requests.find(&site, &Query::default(), |_| None);
        assert_eq!(all.len(), SHOWN_MAX, "as many as are shown at once");
    }
}
