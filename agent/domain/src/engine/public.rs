//! What the public reports and asks.

use super::*;
use crate::commands::Report;
use crate::ids::{Requester, TicketId};
use crate::open311::{Query, Submission};
use crate::tickets::WitnessKind;

/// The name under which the answers to the public are known inside the box.
const PUBLIC: &str = "open311";

impl Engine {
    /// Takes a report of somebody: it becomes part of a ticket, and gets its number.
    pub(super) fn submission(&mut self, said: Submission, now: Now, out: &mut Outputs) {
        let number = said.number.to_string();
        let answer = match self.take_submission(said, now, out) {
            Ok(result) => answers::yes(&number, result),
            Err((code, why)) => answers::no(&number, code, &why),
        };
        out.messages.push(publish::reply(&public(), answer, now));
    }

    fn take_submission(
        &mut self,
        said: Submission,
        now: Now,
        out: &mut Outputs,
    ) -> Result<Map<String, Value>, (&'static str, String)> {
        let Some(gone) = self.requests.make_room(now) else {
            return Err(("full", "too many requests are open; come again later".to_owned()));
        };
        out.records.extend(gone);
        let words = [said.text.as_deref(), said.address.as_deref()];
        let words: Vec<&str> = words.into_iter().flatten().collect();
        let report = Report {
            category: said.category.clone(),
            asset: said.asset.clone(),
            place: said.place,
            witness: WitnessKind::Citizen,
            from: Some(said.number.to_string()),
            confidence: None,
            severity: None,
            text: (!words.is_empty()).then(|| words.join(" · ")),
            media: said.media.clone(),
        };
        let taken = self.desk.report(&self.site, &report, &public(), now);
        let (news, result) = taken.map_err(|untaken| ("refused", untaken.to_string()))?;
        self.spread(news, out);
        let ticket =
            result.get("ticket").and_then(Value::as_str).and_then(|t| TicketId::new(t).ok());
        let ticket = ticket.expect("a report that was taken has a ticket");
        out.records.push(self.requests.keep(said, ticket, now));
        Ok(result)
    }

    /// Answers which requests there are, and where they stand.
    pub(super) fn show_requests(&self, query: &Query, now: Now, out: &mut Outputs) {
        let found = self.requests.find(&self.site, query, |id| self.desk.get(id));
        let found = serde_json::to_value(found).expect("requests are plain data");
        let answer = answers::yes(PUBLIC, Map::from_iter([("requests".to_owned(), found)]));
        out.messages.push(publish::reply(&public(), answer, now));
    }

    /// A closed ticket has been kept for long enough.
    pub(super) fn purge(&mut self, id: &TicketId, at: Moment, out: &mut Outputs) {
        if let Some(ticket) = self.desk.get(id).filter(|ticket| !ticket.state.is_open()) {
            out.records.extend(self.requests.ticket_goes(&self.site, ticket));
        }
        let news = self.desk.purge(id, at);
        self.spread(news, out);
    }
}

fn public() -> Requester {
    Requester::new(PUBLIC).expect("a name that may ask")
}
