//! A message that kills every connection it is sent over must not stop the rest for ever.
//!
//! Pure. A message that was first in line of [`DEATHS`] dying connections in a row is suspected. A bad
//! line looks the same, so it is then tried: the broker first acknowledges something else on a new
//! connection, then the suspect is sent alone. If the connection dies of that [`TRIALS`] times in a row
//! without its acknowledgement, it is the message. A connection that dies before the suspect was sent
//! says nothing.

use crate::outbox::Key;

/// Deaths in a row before a message is tried.
const DEATHS: u32 = 5;
/// Trials in a row before it is convicted.
const TRIALS: u32 = 3;

/// Who was first in line when connections died.
#[derive(Debug, Default)]
pub(super) struct Suspects {
    first: Option<Key>,
    deaths: u32,
    trials: u32,
}

impl Suspects {
    /// The message to be sent alone over the next connection, once that has carried something else.
    pub(super) fn trial(&self) -> Option<Key> {
        self.first.filter(|_| self.deaths >= DEATHS)
    }

    /// The broker has answered for `key`.
    pub(super) fn answered(&mut self, key: Key) {
        if self.first == Some(key) {
            *self = Suspects::default();
        }
    }

    /// A connection that was accepted has died. `first`: the oldest message on its way then, `alone`: it
    /// was sent as a trial. Answers whether that one is convicted.
    pub(super) fn died(&mut self, first: Option<Key>, alone: bool) -> Option<Key> {
        let first = first?;
        if self.first != Some(first) {
            *self = Suspects { first: Some(first), deaths: 1, trials: 0 };
            return None;
        }
        self.deaths += 1;
        if !alone {
            return None;
        }
        self.trials += 1;
        if self.trials < TRIALS {
            return None;
        }
        *self = Suspects::default();
        Some(first)
    }
}

#[cfg(test)]
mod tests {
    use domain::output::Lane;

    use super::*;
    use crate::outbox::Position;

    fn key(seq: u64) -> Key {
        Key { lane: Lane::Event, position: Position { seq, sub: 0 } }
    }

    /// Lets connections die with `key(1)` in front until it is tried.
    fn suspected() -> Suspects {
        let mut suspects = Suspects::default();
        for _ in 0..DEATHS {
            assert_eq!(suspects.trial(), None);
            assert_eq!(suspects.died(Some(key(1)), false), None);
        }
        assert_eq!(suspects.trial(), Some(key(1)));
        suspects
    }

    #[test]
    fn a_message_that_kills_alone_is_convicted() {
        let mut suspects = suspected();
        for _ in 1..TRIALS {
            assert_eq!(suspects.died(Some(key(1)), true), None);
        }
        assert_eq!(suspects.died(Some(key(1)), true), Some(key(1)));
        assert_eq!(suspects.trial(), None);
    }

    #[test]
    fn a_bad_line_convicts_nobody() {
        let mut suspects = suspected();
        for _ in 0..1000 {
            // It dies before anything could be tried.
            assert_eq!(suspects.died(None, false), None);
        }
        assert_eq!(suspects.trial(), Some(key(1)));
    }

    #[test]
    fn whoever_arrives_is_no_suspect() {
        let mut suspects = suspected();
        suspects.died(Some(key(1)), true);
        suspects.died(Some(key(1)), true);
        suspects.answered(key(2));
        assert_eq!(suspects.trial(), Some(key(1)), "another's arrival says nothing about it");
        suspects.answered(key(1));
        assert_eq!(suspects.trial(), None);
        assert_eq!(suspects.died(Some(key(1)), true), None, "counted from the beginning");
    }

    #[test]
    fn different_messages_in_front_are_the_line_s_fault() {
        let mut suspects = Suspects::default();
        for n in 0..1000 {
            assert_eq!(suspects.died(Some(key(n % 2)), false), None);
            assert_eq!(suspects.trial(), None);
        }
    }
}
