//! What each sensor of a bay says, and what they say together.
//!
//! A bay may have several sensors of any kind. While they agree, their word counts as that of one. When
//! they disagree, the first one in the configuration that is still heard has the word, but later: the
//! others get time to say the same.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::reading::is_ahead;
use crate::time::{Moment, Now, Span};

/// The latest word of each sensor, by its name.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub(super) struct Votes(BTreeMap<String, Vote>);

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct Vote {
    /// Its place among the sensors of the bay; the first has the last word.
    rank: u8,
    occupied: bool,
    since: Moment,
    heard: Moment,
}

/// What the sensors say together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Word {
    pub(super) occupied: bool,
    /// Since when the first of them has been saying so.
    pub(super) since: Moment,
    /// How many are heard.
    pub(super) voices: usize,
    /// Whether another one says otherwise.
    pub(super) contested: bool,
}

impl Votes {
    /// Takes a sensor's word of `at`, as it arrived at `now`; answers whether it is newer than the one
    /// before. What cannot have been yet does not count as newer: a wrong clock dated it.
    pub(super) fn cast(
        &mut self,
        name: &str,
        (rank, occupied): (u8, bool),
        at: Moment,
        now: Now,
    ) -> bool {
        let new = Vote { rank, occupied, since: at, heard: at };
        match self.0.get_mut(name) {
            Some(old) if at.utc < old.heard.utc && !is_ahead(old.heard, now) => return false,
            Some(old) => {
                let since = if old.occupied == occupied { old.since } else { at };
                *old = Vote { since, ..new };
            }
            None => {
                self.0.insert(name.to_owned(), new);
            }
        }
        true
    }

    /// A sensor can no longer tell.
    pub(super) fn withdraw(&mut self, name: &str) {
        self.0.remove(name);
    }

    /// When the sensor was last heard.
    pub(super) fn heard(&self, name: &str) -> Option<Moment> {
        self.0.get(name).map(|vote| vote.heard)
    }

    /// What those say together that were heard within `stale_after`.
    pub(super) fn word(&self, now: Now, stale_after: Span) -> Option<Word> {
        let fresh = || self.0.values().filter(|v| now.since(v.heard) < stale_after);
        let first = fresh().min_by_key(|v| v.rank)?;
        let agreeing = fresh().filter(|v| v.occupied == first.occupied);
        let since = agreeing.map(|v| v.since).min_by_key(|s| s.utc).unwrap_or(first.since);
        let contested = fresh().any(|v| v.occupied != first.occupied);
        Some(Word { occupied: first.occupied, since, voices: fresh().count(), contested })
    }

    /// Those that say occupied while another one says free.
    pub(super) fn lonely_occupied(&self) -> Vec<String> {
        if self.0.values().all(|v| v.occupied) {
            return vec![];
        }
        self.0.iter().filter(|(_, v)| v.occupied).map(|(name, _)| name.clone()).collect()
    }
}
