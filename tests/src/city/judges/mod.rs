//! The judges: each asks one thing of what the far end received, and knows nothing of how it came about.
//!
//! * `ids`: a number is one message for ever, and an id one number.
//! * `numbers`: no number is missing, but where the ledger says why.
//! * `acknowledged`: what was acknowledged to a sensor has arrived.
//! * `sessions`: stays do not overlap, and are those that there were.
//! * `identity`: one open ticket for a problem.
//! * `tickets`: the tickets are the problems that were planted.
//! * `bounds`: queues stay within what they may hold, and are empty in time once all is well.
//! * `replay`: the inputs of a life, recorded and read back, give the same outputs.

pub(super) mod acknowledged;
pub(super) mod bounds;
pub(super) mod identity;
pub(super) mod ids;
pub(super) mod numbers;
pub(super) mod replay;
pub(super) mod sessions;
pub(super) mod tickets;

use std::collections::BTreeMap;

use domain::output::Lane;
use serde_json::Value;
use steward::outbox::Ledger;

use super::far_end::Arrived;
use super::sensors::Told;
use super::truth::{Truth, Window};

/// A message that arrived, read.
#[derive(Debug)]
pub(super) struct Heard {
    pub(super) arrived: Arrived,
    /// Its payload; null where there is none, or it is not JSON.
    pub(super) body: Value,
    /// Whether it is the first with its number.
    pub(super) first: bool,
}

/// What is known when all is over.
#[derive(Debug)]
pub(super) struct End<'a> {
    pub(super) truth: &'a Truth,
    /// When the box did not know the time.
    pub(super) timeless: Vec<Window>,
    /// When the box was down.
    pub(super) downs: Vec<Window>,
    /// What the box says of its lanes.
    pub(super) ledgers: BTreeMap<Lane, Ledger>,
    /// What sensors were told is safe.
    pub(super) acknowledged: &'a [Told],
}

/// Somebody who has an opinion in the end.
pub(super) trait Judge {
    /// The word before what it finds wrong.
    fn name(&self) -> &'static str;

    /// Takes a message, in the order of arrival.
    fn hear(&mut self, heard: &Heard);

    /// Everything that was wrong.
    fn verdict(&self, end: &End<'_>) -> Vec<String>;
}

/// All that go by messages alone.
pub(super) fn bench() -> Vec<Box<dyn Judge>> {
    vec![
        Box::new(ids::Ids::default()),
        Box::new(numbers::Numbers::default()),
        Box::new(acknowledged::Acknowledged::default()),
        Box::new(sessions::Sessions::default()),
        Box::new(identity::Identity::default()),
        Box::new(tickets::Tickets::default()),
    ]
}

#[cfg(test)]
pub(super) mod tests {
    //! Messages and ends for the judges' own tests.

    use serde_json::json;

    use super::*;
    use crate::city::truth::Size;

    /// A truth in which nothing happens, to plant into.
    pub(in crate::city) fn quiet() -> Truth {
        let mut truth = Truth::new(1, Size { bays: 2, bins: 2, sweepers: 0, days: 2 });
        for bay in &mut truth.bays {
            bay.stays.clear();
            (bay.silent, bay.stuck, bay.since) = (None, None, 0);
        }
        for bin in &mut truth.bins {
            bin.fillings.iter_mut().for_each(|filling| filling.peak = 50);
            (bin.silent, bin.fire) = (None, None);
        }
        truth.litter.clear();
        truth
    }

    pub(in crate::city) fn end(truth: &Truth) -> End<'_> {
        End { truth, timeless: vec![], downs: vec![], ledgers: BTreeMap::new(), acknowledged: &[] }
    }

    pub(in crate::city) fn heard(lane: Lane, seq: u64, path: &str, body: Value) -> Heard {
        let payload = body.to_string().into_bytes();
        let (path, seq) = (path.to_owned(), Some(seq));
        let arrived = Arrived { path, lane, seq, payload, replay: false, wanted: true };
        Heard { arrived, body, first: true }
    }

    pub(in crate::city) fn session(seq: u64, bay: &str, from: &str, to: &str) -> Heard {
        let data = json!({"start": from, "end": to, "clock": "ntp"});
        let body =
            json!({"id": format!("city-event-{seq}"), "type": "parking.session", "data": data});
        heard(Lane::Event, seq, &format!("bay/{bay}/event"), body)
    }
}
