//! The answers to commands, so that a command that comes twice is carried out once.
//!
//! Repeats are told by the command's id: who repeats it gets the same answer again, and nothing is done. An
//! id belongs to whoever used it first. A signed command may be copied by anybody who hears it, so its id is
//! remembered until the command has expired: there is no moment at which a copy would be carried out.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::commands::Command;
use crate::commands::upkeep::Progress;
use crate::ids::Requester;
use crate::output::Record;
use crate::time::{ClockQuality, Now, Span, Utc};

/// Answers that are remembered. A requester that repeats an unsigned command after 256 others gets it done
/// again; ticket steps are then refused by the state of the ticket.
const REMEMBERED: usize = 256;
/// Answers to signed commands that have not expired, and others. Full: a further signed command is refused
/// until one of them has expired, because its copies could not be told from it.
const REMEMBERED_MAX: usize = 4096;
/// A signed command is good for at most so long.
const GOOD_FOR: Span = Span::from_mins(24 * 60);
/// Clocks differ by this much at the most.
const CLOCKS_DIFFER: Span = Span::from_mins(5);

/// The remembered answers, oldest first.
#[derive(Debug, Default)]
pub(super) struct Answers(VecDeque<(String, Kept)>);

#[derive(Debug, Serialize, Deserialize)]
struct Kept {
    answer: Map<String, Value>,
    /// Who asked; unknown for what an older version has stored.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    by: Option<Requester>,
    /// Not to be forgotten before: the command was signed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    until: Option<Utc>,
}

impl Answers {
    pub(super) fn restore(&mut self, id: &str, value: &[u8]) -> bool {
        let plain = |_| {
            let answer = serde_json::from_slice(value)?;
            Ok::<_, serde_json::Error>(Kept { answer, by: None, until: None })
        };
        let kept = serde_json::from_slice::<Kept>(value).or_else(plain);
        kept.map(|kept| self.0.push_back((id.to_owned(), kept))).is_ok()
    }

    /// The answer to a command that was here before; that its id is taken, to one of somebody else's.
    pub(super) fn known(&self, command: &Command) -> Option<Map<String, Value>> {
        let (id, kept) = self.0.iter().find(|(known, _)| *known == command.id)?;
        match &kept.by {
            Some(by) if *by != command.by => {
                Some(no(id, "denied", &format!("another requester has used the id {id:?}")))
            }
            _ => Some(kept.answer.clone()),
        }
    }

    /// Whether a signed command is fresh, and can be told from its copies for as long as it is good.
    pub(super) fn believe(
        &self,
        command: &Command,
        now: Now,
    ) -> Result<(), (&'static str, String)> {
        let denied = |why: String| Err(("denied", why));
        if now.clock == ClockQuality::Unset {
            return denied(
                "the box does not know the time, and cannot tell an old signed command".into(),
            );
        }
        let (Some(issued), Some(expires)) = (command.issued_at, command.expires_at) else {
            return denied("a signed command says issued_at and expires_at".into());
        };
        if issued > now.utc + CLOCKS_DIFFER {
            return denied(format!("it was issued at {issued}, and it is {}", now.utc));
        }
        if expires.since(issued) > GOOD_FOR {
            return denied("expires_at is more than 24 h after issued_at".into());
        }
        let held = self.0.iter().filter(|(_, kept)| kept.until.is_some_and(|u| u >= now.utc));
        if held.count() >= REMEMBERED_MAX {
            return Err(("busy", "too many signed commands have not expired yet".into()));
        }
        Ok(())
    }

    /// Remembers an answer; gives the records that make it so on disk.
    pub(super) fn keep(
        &mut self,
        command: &Command,
        answer: Map<String, Value>,
        now: Now,
    ) -> Vec<Record> {
        let until = command.expires_at.filter(|_| command.signed);
        self.remember(&command.id, Kept { answer, by: Some(command.by.clone()), until }, now)
    }

    /// Remembers how far a command has come, in place of what was said of it before.
    pub(super) fn keep_stage(
        &mut self,
        progress: &Progress,
        answer: Map<String, Value>,
        now: Now,
    ) -> Vec<Record> {
        let before = self.0.iter().find(|(known, _)| *known == progress.id);
        let until = before.and_then(|(_, kept)| kept.until);
        let kept = Kept { answer, by: Some(progress.by.clone()), until };
        self.remember(&progress.id, kept, now)
    }

    fn remember(&mut self, id: &str, kept: Kept, now: Now) -> Vec<Record> {
        self.0.retain(|(known, _)| known != id);
        let value = serde_json::to_vec(&kept).expect("an answer is plain data");
        let mut records = vec![];
        if self.0.len() >= REMEMBERED {
            let free = |(_, kept): &(String, Kept)| kept.until.is_none_or(|until| until < now.utc);
            let oldest = self.0.iter().position(free);
            let gone = oldest.and_then(|at| self.0.remove(at));
            records.extend(gone.map(|(id, _)| Record { key: record_key(&id), value: None }));
        }
        records.push(Record { key: record_key(id), value: Some(value) });
        self.0.push_back((id.to_owned(), kept));
        records
    }
}

fn record_key(id: &str) -> String {
    format!("command/{id}")
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
