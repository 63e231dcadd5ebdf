//! Never are two tickets of one identity open at a time.

use std::collections::BTreeMap;

use domain::output::Lane;

use super::{End, Heard, Judge};

/// See the head of this file.
#[derive(Debug, Default)]
pub(in crate::city) struct Identity {
    /// By number, what the state of a ticket says: ticket, identity, and whether it is open.
    states: BTreeMap<u64, (String, String, bool)>,
    wrong: Vec<String>,
}

impl Judge for Identity {
    fn name(&self) -> &'static str {
        "identity"
    }

    fn hear(&mut self, heard: &Heard) {
        let path = &heard.arrived.path;
        let state = path.starts_with("ticket/") && path.ends_with("/state");
        let Some(seq) = heard.arrived.seq.filter(|_| state && heard.arrived.lane == Lane::Ticket)
        else {
            return;
        };
        let text = |name: &str| heard.body[name].as_str().map(str::to_owned);
        let (Some(ticket), Some(key), Some(state)) =
            (text("ticket_id"), text("key"), text("state"))
        else {
            return self.wrong.push(format!("a ticket is unreadable: {}", heard.body));
        };
        let open = !["closed", "rejected", "expired"].contains(&state.as_str());
        self.states.insert(seq, (ticket, key, open));
    }

    fn verdict(&self, _end: &End<'_>) -> Vec<String> {
        let mut wrong = self.wrong.clone();
        let mut open: BTreeMap<&str, &str> = BTreeMap::new();
        // In the order in which they were decided.
        for (seq, (ticket, key, is_open)) in &self.states {
            let other = open.get(key.as_str()).filter(|other| **other != ticket);
            match (other, is_open) {
                (Some(other), true) => {
                    wrong.push(format!("{key}: at {seq} {ticket} is open beside {other}"));
                }
                (None, true) => _ = open.insert(key, ticket),
                (None, false) => _ = open.remove(key.as_str()),
                (Some(_), false) => {}
            }
        }
        wrong
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::tests::{end, heard, quiet};
    use super::*;

    fn judged(states: &[(&str, &str)]) -> usize {
        let mut judge = Identity::default();
        for (seq, (ticket, state)) in (1..).zip(states) {
            let body =
                json!({"ticket_id": ticket, "key": "bin_overflow:bin/bin-1", "state": state});
            judge.hear(&heard(Lane::Ticket, seq, &format!("ticket/{ticket}/state"), body));
        }
        judge.verdict(&end(&quiet())).len()
    }

    #[test]
    fn a_second_open_ticket_is_wrong_and_one_after_the_other_is_not() {
        assert_eq!(judged(&[("t-1", "raised"), ("t-1", "closed"), ("t-2", "raised")]), 0);
        assert_eq!(judged(&[("t-1", "raised"), ("t-1", "expired"), ("t-2", "raised")]), 0);
        assert_eq!(judged(&[("t-1", "raised"), ("t-2", "raised")]), 1);
        assert_eq!(judged(&[("t-1", "closed"), ("t-2", "raised"), ("t-1", "reopened")]), 1);
    }
}
