//! The answers to commands, so that a command that comes twice is carried out once.

use std::collections::VecDeque;

use serde_json::{Map, Value};

use crate::commands::upkeep::Progress;
use crate::output::Record;

/// Answers that are remembered. A requester that repeats a command after 256 others gets it done again;
/// ticket steps are then refused by the state of the ticket.
const REMEMBERED: usize = 256;

/// The remembered answers, oldest first.
#[derive(Debug, Default)]
pub(super) struct Answers(VecDeque<(String, Map<String, Value>)>);

impl Answers {
    pub(super) fn restore(&mut self, id: &str, value: &[u8]) -> bool {
        let answer = serde_json::from_slice(value);
        if let Ok(answer) = answer {
            self.0.push_back((id.to_owned(), answer));
        }
        self.0.back().is_some_and(|(last, _)| last == id)
    }

    pub(super) fn known(&self, id: &str) -> Option<&Map<String, Value>> {
        self.0.iter().find(|(known, _)| known == id).map(|(_, answer)| answer)
    }

    /// Remembers an answer, in place of an earlier one to the same command; gives the records that make it
    /// so on disk.
    pub(super) fn keep(&mut self, id: &str, answer: Map<String, Value>) -> Vec<Record> {
        self.0.retain(|(known, _)| known != id);
        let value = serde_json::to_vec(&answer).expect("an answer is plain data");
        let mut records = vec![Record { key: format!("command/{id}"), value: Some(value) }];
        if self.0.len() == REMEMBERED
            && let Some((oldest, _)) = self.0.pop_front()
        {
            records.push(Record { key: format!("command/{oldest}"), value: None });
        }
        self.0.push_back((id.to_owned(), answer));
        records
    }
}

pub(super) fn yes(id: &str, result: Map<String, Value>) -> Map<String, Value> {
    let mut answer = Map::new();
    answer.insert("id".into(), Value::String(id.to_owned()));
    answer.insert("ok".into(), Value::Bool(true));
    answer.insert("result".into(), Value::Object(result));
    answer
}

/// The answer to a command that takes a while, at some stage.
pub(super) fn stage(progress: &Progress) -> Map<String, Value> {
    let mut answer = match &progress.why {
        None => yes(&progress.id, progress.result.clone()),
        Some(why) => no(&progress.id, progress.stage.as_str(), why),
    };
    answer.insert("state".into(), progress.stage.as_str().into());
    answer
}

pub(super) fn no(id: &str, code: &str, why: &str) -> Map<String, Value> {
    let mut error = Map::new();
    error.insert("code".into(), Value::String(code.to_owned()));
    error.insert("msg".into(), Value::String(why.to_owned()));
    let mut answer = Map::new();
    answer.insert("id".into(), Value::String(id.to_owned()));
    answer.insert("ok".into(), Value::Bool(false));
    answer.insert("error".into(), Value::Object(error));
    answer
}
