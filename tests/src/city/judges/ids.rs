//! A number in a lane is one message for ever, over repeats, connections and boots; and an id is one number.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};

use domain::output::Lane;

use super::{End, Heard, Judge};

/// See the head of this file.
#[derive(Debug, Default)]
pub(in crate::city) struct Ids {
    /// The message of each number.
    messages: BTreeMap<(Lane, u64), u64>,
    /// The number of each id.
    numbers: BTreeMap<u64, (Lane, u64)>,
    wrong: Vec<String>,
}

impl Judge for Ids {
    fn name(&self) -> &'static str {
        "ids"
    }

    fn hear(&mut self, heard: &Heard) {
        let arrived = &heard.arrived;
        let Some(seq) = arrived.seq else {
            if !arrived.payload.is_empty() {
                self.wrong.push(format!("{} has a payload and no number", arrived.path));
            }
            return;
        };
        let number = (arrived.lane, seq);
        if heard.body["seq"] != seq || heard.body["lane"] != arrived.lane.as_str() {
            self.wrong
                .push(format!("{number:?} says of itself that it is another: {}", heard.body));
        }
        let message = hash(&(&arrived.path, &arrived.payload));
        let known = *self.messages.entry(number).or_insert(message);
        if known != message {
            self.wrong.push(format!("{number:?} is two messages, one of {}", arrived.path));
        }
        // An answer has the id of what was asked.
        let Some(id) = heard.body["id"].as_str().filter(|_| !arrived.path.starts_with("reply/"))
        else {
            return;
        };
        let known = *self.numbers.entry(hash(&id)).or_insert(number);
        if known != number {
            self.wrong.push(format!("the id {id} has two numbers: {known:?} and {number:?}"));
        }
    }

    fn verdict(&self, _end: &End<'_>) -> Vec<String> {
        self.wrong.clone()
    }
}

fn hash<T: Hash>(of: &T) -> u64 {
    let mut hasher = DefaultHasher::new();
    of.hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::tests::{end, heard, quiet};
    use super::*;

    fn message(seq: u64, id: &str, value: u64) -> Heard {
        let body = json!({"id": id, "lane": "event", "seq": seq, "value": value});
        heard(Lane::Event, seq, "bay/b-1/event", body)
    }

    fn judged(messages: &[Heard]) -> usize {
        let mut ids = Ids::default();
        messages.iter().for_each(|message| ids.hear(message));
        ids.verdict(&end(&quiet())).len()
    }

    #[test]
    fn a_repeat_is_right_and_another_message_with_its_number_is_not() {
        assert_eq!(judged(&[message(1, "a", 7), message(1, "a", 7), message(2, "b", 7)]), 0);
        assert_eq!(judged(&[message(1, "a", 7), message(1, "a", 8)]), 1);
    }

    #[test]
    fn an_id_with_two_numbers_is_wrong_and_so_is_a_number_that_the_payload_denies() {
        assert_eq!(judged(&[message(1, "a", 7), message(2, "a", 7)]), 1);
        let mut denied = message(3, "c", 7);
        denied.arrived.seq = Some(4);
        assert_eq!(judged(&[denied]), 1);
    }
}
