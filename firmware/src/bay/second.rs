//! The range finder's part in a decision: it is asked before a new state counts, and not otherwise, for it takes
//! more power than all the rest.

use drivers::Range;

/// A range finder that has not answered by then has no say.
const WORD_MS: u64 = 2_000;
/// What the range finder sees nearer than this is the underside of a vehicle: millimetres.
const UNDERSIDE_MM: u16 = 1_200;

/// The second opinion.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Second {
    /// There is no range finder.
    NotFitted,
    /// Nothing is in question.
    NotAsked,
    /// Asked, since when.
    Asked(u64),
    /// Its word: whether something is above. `None`: covered, or it failed.
    Said(Option<bool>),
}

impl Second {
    /// Whether the range finder is to be read.
    pub(super) const fn is_asked(self) -> bool {
        matches!(self, Second::Asked(_))
    }

    /// Takes what it sees, if it was asked; `None` when it failed.
    pub(super) fn say(&mut self, range: Option<Range>) {
        if self.is_asked() {
            *self = Second::Said(match range {
                Some(Range::Millimetres(mm)) => Some(mm <= UNDERSIDE_MM),
                Some(Range::NoTarget) => Some(false),
                Some(Range::TooClose) | None => None,
            });
        }
    }

    /// The range finder's word, once there is one; `Some(None)` when it has none.
    pub(super) fn word(&mut self, now: u64) -> Option<Option<bool>> {
        let (next, word) = match *self {
            Second::NotFitted => (Second::NotFitted, Some(None)),
            Second::NotAsked => (Second::Asked(now), None),
            Second::Asked(since) if now.saturating_sub(since) < WORD_MS => (*self, None),
            Second::Asked(_) => (Second::NotAsked, Some(None)),
            Second::Said(word) => (Second::NotAsked, Some(word)),
        };
        *self = next;
        word
    }
}
