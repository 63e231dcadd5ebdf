//! Messages that the broker has refused (MQTT 5 tells so in its PUBACK): kept, and offered again later.
//!
//! Pure; time comes in beats. What is refused because of the box (not authorised, over its quota) is
//! offered for ever, with pauses that double up to [`PAUSE_MAX`]. What is refused because of itself is
//! offered [`OFFERS_MAX`] times. The messages wait in memory, and are in the outbox all the while: when
//! the connection ends, they are forgotten here and taken again.

use std::collections::BTreeMap;

use domain::output::Lane;

use super::dialect::Refusal;
use crate::outbox::Key;

/// Refused messages of a lane that wait here at most. With so many, no more of the lane is taken.
const PARKED_MAX: usize = 64;
/// The longest pause, in beats.
const PAUSE_MAX: u32 = 300;
/// Offers of a message that is refused because of itself.
const OFFERS_MAX: u32 = 3;

/// What becomes of a refused message.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Sentence<M> {
    /// It waits here.
    Waits,
    /// There is no hope for it.
    Hopeless(M),
}

#[derive(Debug)]
pub(super) struct Refused<M> {
    parked: BTreeMap<Key, (M, u32)>,
    /// How often a message was refused on this connection; of what waits here or is offered again.
    refusals: BTreeMap<Key, u32>,
    /// Refusals of the box since the last message that was taken, and until when it is silent.
    strikes: u32,
    silent_until: u32,
}

impl<M> Refused<M> {
    pub(super) fn new() -> Refused<M> {
        Refused { parked: BTreeMap::new(), refusals: BTreeMap::new(), strikes: 0, silent_until: 0 }
    }

    /// The broker has refused `message` in the beat `now`.
    pub(super) fn refuse(&mut self, key: Key, message: M, why: Refusal, now: u32) -> Sentence<M> {
        let times = self.refusals.entry(key).or_default();
        *times += 1;
        if why.is_about_message() && *times >= OFFERS_MAX {
            self.refusals.remove(&key);
            return Sentence::Hopeless(message);
        }
        let again = now + pause(*times);
        if why == Refusal::Quota {
            // One quota for all: nothing else is offered either.
            self.strikes = if now < self.silent_until { self.strikes } else { self.strikes + 1 };
            self.silent_until = self.silent_until.max(now + pause(self.strikes));
        }
        self.parked.insert(key, (message, again));
        Sentence::Waits
    }

    /// The broker has taken `key`.
    pub(super) fn taken(&mut self, key: Key) {
        self.refusals.remove(&key);
        self.strikes = 0;
    }

    /// A message whose pause is over, to be offered again.
    pub(super) fn due(&mut self, now: u32) -> Option<M> {
        if self.is_silent(now) {
            return None;
        }
        let (&key, _) = self.parked.iter().find(|(_, (_, again))| *again <= now)?;
        self.parked.remove(&key).map(|(message, _)| message)
    }

    /// Whether nothing may be offered, because the box is over its quota.
    pub(super) fn is_silent(&self, now: u32) -> bool {
        now < self.silent_until
    }

    /// Whether no more of `lane` may be taken.
    pub(super) fn is_full(&self, lane: Lane) -> bool {
        self.count(lane) >= PARKED_MAX
    }

    /// Messages of `lane` that wait here.
    pub(super) fn count(&self, lane: Lane) -> usize {
        self.parked.keys().filter(|key| key.lane == lane).count()
    }
}

/// 2, 4, 8 … beats after the first, second, third refusal.
fn pause(times: u32) -> u32 {
    1_u32.checked_shl(times).unwrap_or(PAUSE_MAX).clamp(2, PAUSE_MAX)
}

impl Refusal {
    /// Whether the same would be said of this message again, whatever else changes.
    pub(super) const fn is_about_message(self) -> bool {
        match self {
            Refusal::TopicName | Refusal::PayloadFormat => true,
            Refusal::Unspecified | Refusal::NotAuthorized | Refusal::Quota => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::outbox::Position;

    fn key(seq: u64) -> Key {
        Key { lane: Lane::Event, position: Position { seq, sub: 0 } }
    }

    #[test]
    fn who_may_not_publish_is_asked_again_and_again_with_longer_pauses() {
        let mut refused = Refused::new();
        let (mut now, mut pauses) = (10, vec![]);
        for _ in 0..12 {
            let said = refused.refuse(key(1), "m", Refusal::NotAuthorized, now);
            assert_eq!(said, Sentence::Waits);
            let at = (now..).find(|beat| refused.due(*beat).is_some()).unwrap();
            pauses.push(at - now);
            now = at;
        }
        assert_eq!(pauses, [2, 4, 8, 16, 32, 64, 128, 256, 300, 300, 300, 300]);
    }

    #[test]
    fn a_message_the_broker_cannot_read_is_given_up_at_last() {
        let mut refused = Refused::new();
        for n in 1..OFFERS_MAX {
            let said = refused.refuse(key(1), n, Refusal::PayloadFormat, n * 100);
            assert_eq!(said, Sentence::Waits);
            assert_eq!(refused.due(n * 100 + 50), Some(n));
        }
        let said = refused.refuse(key(1), 9, Refusal::TopicName, 1000);
        assert_eq!(said, Sentence::Hopeless(9));
        assert_eq!((refused.due(5000), refused.count(Lane::Event)), (None, 0));
    }

    #[test]
    fn over_the_quota_everything_is_silent_until_something_is_taken() {
        let mut refused = Refused::new();
        // A whole window is refused at once: one strike.
        for seq in 0..20 {
            refused.refuse(key(seq), seq, Refusal::Quota, 5);
        }
        assert!(refused.is_silent(6) && !refused.is_silent(7));
        assert_eq!(refused.due(6), None);
        assert_eq!(refused.due(7), Some(0));
        refused.refuse(key(0), 0, Refusal::Quota, 7);
        assert!(refused.is_silent(10) && !refused.is_silent(11));
        refused.taken(key(0));
        refused.refuse(key(1), 1, Refusal::Quota, 20);
        assert!(refused.is_silent(21) && !refused.is_silent(22), "from the beginning");
    }

    #[test]
    fn a_lane_is_full_by_itself() {
        let mut refused = Refused::new();
        for seq in 0..64 {
            assert!(!refused.is_full(Lane::Event));
            refused.refuse(key(seq), seq, Refusal::NotAuthorized, 0);
        }
        assert!(refused.is_full(Lane::Event) && !refused.is_full(Lane::Ticket));
    }
}
