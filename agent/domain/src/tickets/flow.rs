//! What happened to a ticket, in order, and so that nobody can change it afterwards unseen.
//!
//! Every entry carries the SHA-256 of the one before it, the first one that of the ticket's id; the ticket
//! carries that of the last. The hash is over the entry as JSON without blanks, its keys in alphabetical
//! order, so that whoever has the published entries can check them with a few lines of their own.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::life::State;
use crate::ids::{CrewId, TicketId};
use crate::time::Utc;

/// One entry of a ticket's flow log. Only ever appended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Flow {
    /// Counted from 1; with the ticket's id the key that makes an outward message idempotent.
    pub n: u32,
    /// What happened: `raised`, `cleared`, `acknowledged` …
    pub step: String,
    /// When.
    pub at: Utc,
    /// Who: `agent`, or the requester.
    pub by: String,
    /// Where the ticket stands after it.
    pub state: State,
    /// A remark, or the reason.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
    /// Who has it after this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub crew: Option<CrewId>,
    /// When it has to be done, as of this entry; missing while no limit runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub due: Option<Utc>,
    /// Seconds of the limit that were used up, in the limit's own kind of time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub used_s: Option<u64>,
    /// SHA-256 of the entry before this one.
    pub prev_sha256: String,
}

/// Where the kept part of a log begins, when its oldest entries have been let go.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Folded {
    /// The last entry that is no longer kept. Each was published as an event of its own.
    pub through: u32,
    /// Its SHA-256.
    pub sha256: String,
}

/// The log of one ticket.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FlowLog {
    entries: Vec<Flow>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    folded: Option<Folded>,
    /// SHA-256 of the last entry.
    head: String,
}

/// Where a chain is broken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the flow log is broken at entry {n}: it was changed, or the one before it is missing")]
pub struct Broken {
    /// The entry that does not fit the one before it.
    pub n: u32,
}

/// Entries kept in a ticket. When there are more, the oldest ones are let go: the log then begins with
/// the hash of the last of them.
const ENTRIES_MAX: usize = 128;

impl FlowLog {
    /// An empty log.
    #[must_use]
    pub fn new(ticket: &TicketId) -> FlowLog {
        FlowLog { entries: vec![], folded: None, head: hex(ticket.as_str().as_bytes()) }
    }

    /// Appends what happened. `entry` says everything but its own place in the chain.
    pub(super) fn append(&mut self, entry: Flow) {
        if self.entries.len() == ENTRIES_MAX {
            let oldest = self.entries.remove(0);
            self.folded = Some(Folded { through: oldest.n, sha256: digest(&oldest) });
        }
        let entry = Flow { prev_sha256: self.head.clone(), ..entry };
        self.head = digest(&entry);
        self.entries.push(entry);
    }

    /// The entries that are kept, oldest first.
    #[must_use]
    pub fn entries(&self) -> &[Flow] {
        &self.entries
    }

    /// What is no longer kept.
    #[must_use]
    pub fn folded(&self) -> Option<&Folded> {
        self.folded.as_ref()
    }

    /// SHA-256 of the last entry.
    #[must_use]
    pub fn head(&self) -> &str {
        &self.head
    }

    /// Checks that every entry is as it was written, and that none is missing.
    ///
    /// # Errors
    /// Where the chain is broken.
    pub fn verify(&self, ticket: &TicketId) -> Result<(), Broken> {
        let (mut n, mut prev) = match &self.folded {
            Some(folded) => (folded.through, folded.sha256.clone()),
            None => (0, hex(ticket.as_str().as_bytes())),
        };
        for entry in &self.entries {
            n += 1;
            if entry.n != n || entry.prev_sha256 != prev {
                return Err(Broken { n });
            }
            prev = digest(entry);
        }
        if prev == self.head { Ok(()) } else { Err(Broken { n }) }
    }
}

/// The SHA-256 of an entry.
fn digest(entry: &Flow) -> String {
    let sorted: BTreeMap<String, Value> = crate::output::to_map(entry).into_iter().collect();
    hex(&serde_json::to_vec(&sorted).expect("an entry is plain data"))
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    Sha256::digest(bytes).iter().fold(String::with_capacity(64), |mut text, byte| {
        write!(text, "{byte:02x}").expect("writing to a text cannot fail");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn log(entries: u32) -> (TicketId, FlowLog) {
        let id = TicketId::new("t-1").unwrap();
        let mut log = FlowLog::new(&id);
        for n in 1..=entries {
            log.append(Flow {
                n,
                step: "noted".into(),
                at: Utc::from_ms(i64::from(n) * 1000),
                by: "duty".into(),
                state: State::Raised,
                note: Some(format!("remark {n}")),
                crew: None,
                due: None,
                used_s: None,
                prev_sha256: String::new(),
            });
        }
        (id, log)
    }

    #[test]
    fn an_entry_that_was_changed_moved_or_taken_out_breaks_the_chain() {
        let (id, good) = log(5);
        assert_eq!(good.verify(&id), Ok(()));
        let broken = |change: &dyn Fn(&mut FlowLog)| {
            let mut log = good.clone();
            change(&mut log);
            log.verify(&id).unwrap_err().n
        };
        assert_eq!(broken(&|log| log.entries[2].note = Some("nothing".into())), 4);
        assert_eq!(broken(&|log| log.entries[4].by = "somebody".into()), 5, "the last one too");
        assert_eq!(broken(&|log| log.entries.swap(1, 2)), 2);
        assert_eq!(broken(&|log| drop(log.entries.remove(3))), 4);
        assert_eq!(broken(&|log| drop(log.entries.pop())), 4);
        let other = TicketId::new("t-2").unwrap();
        assert_eq!(good.verify(&other), Err(Broken { n: 1 }), "the log of another ticket");
    }

    #[test]
    fn a_long_log_lets_its_oldest_entries_go_and_still_holds() {
        let (id, mut log) = log(300);
        assert_eq!((log.entries.len(), log.folded.as_ref().unwrap().through), (ENTRIES_MAX, 172));
        assert_eq!(log.verify(&id), Ok(()));
        log.folded.as_mut().unwrap().through = 171;
        assert!(log.verify(&id).is_err());
    }

    #[test]
    fn the_hash_is_over_sorted_json_so_that_others_can_check_it() {
        let (_, log) = log(1);
        let text = r#"{"at":"1970-01-01T00:00:01.000Z","by":"duty","n":1,"note":"remark 1","prev_sha256":"PREV","state":"raised","step":"noted"}"#;
        // sha256("t-1")
        let prev = hex(b"t-1");
        assert_eq!(log.entries[0].prev_sha256, prev);
        assert_eq!(log.head, hex(text.replace("PREV", &prev).as_bytes()));
    }
}
