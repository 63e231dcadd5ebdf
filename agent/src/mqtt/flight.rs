//! What is on its way over a connection, in the order in which it was handed over, and under which packet
//! ids.
//!
//! Pure. Every assured publish has its place here, also one that is not the outbox's (`None`). Ids are
//! given in turn, and none that is still waited for is given again.

use std::collections::VecDeque;

#[derive(Debug)]
struct Sent<M> {
    id: u16,
    message: Option<M>,
    /// The beat in which it was handed over.
    beat: u32,
}

#[derive(Debug)]
pub(super) struct Flight<M> {
    sent: VecDeque<Sent<M>>,
    last_id: u16,
}

impl<M> Flight<M> {
    pub(super) fn new() -> Flight<M> {
        Flight { sent: VecDeque::new(), last_id: 0 }
    }

    /// The id for the next publish. The window is far smaller than there are ids.
    pub(super) fn next_id(&self) -> u16 {
        let mut id = after(self.last_id);
        // Ids in flight are in turn from the oldest on, so the next one meets the oldest first.
        for sent in &self.sent {
            if sent.id != id {
                break;
            }
            id = after(id);
        }
        id
    }

    /// A publish was handed over as `id`, in the beat `beat`.
    pub(super) fn hand_over(&mut self, id: u16, message: Option<M>, beat: u32) {
        self.last_id = id;
        self.sent.push_back(Sent { id, message, beat });
    }

    /// The broker has answered for `id`: what that was; `None` when nothing is known of it.
    #[expect(clippy::option_option, reason = "known or not, and the outbox's or not")]
    pub(super) fn answered(&mut self, id: u16) -> Option<Option<M>> {
        // Brokers answer in order, as a rule: it is the first.
        let at = self.sent.iter().position(|sent| sent.id == id)?;
        self.sent.remove(at).map(|sent| sent.message)
    }

    /// How many are on their way.
    pub(super) fn len(&self) -> usize {
        self.sent.len()
    }

    /// The beat in which the one was handed over that is longest on its way.
    pub(super) fn since(&self) -> Option<u32> {
        self.sent.front().map(|sent| sent.beat)
    }

    /// The outbox's message that is longest on its way.
    pub(super) fn first(&self) -> Option<&M> {
        self.sent.iter().find_map(|sent| sent.message.as_ref())
    }
}

/// Packet ids are never 0 (MQTT 5, 2.2.1).
const fn after(id: u16) -> u16 {
    if id == u16::MAX { 1 } else { id + 1 }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_was_handed_over_is_answered_once_by_its_id() {
        let mut flight = Flight::new();
        for (message, beat) in [(None, 1), (Some("a"), 1), (Some("b"), 2)] {
            flight.hand_over(flight.next_id(), message, beat);
        }
        assert_eq!((flight.len(), flight.since(), flight.first()), (3, Some(1), Some(&"a")));
        assert_eq!(flight.answered(2), Some(Some("a")));
        assert_eq!(flight.answered(2), None, "not twice");
        assert_eq!(flight.answered(9), None);
        assert_eq!((flight.since(), flight.first()), (Some(1), Some(&"b")));
        assert_eq!(flight.answered(1), Some(None));
        assert_eq!((flight.len(), flight.since(), flight.first()), (1, Some(2), Some(&"b")));
        assert_eq!(flight.next_id(), 4);
    }

    proptest! {
        /// Whatever is answered and whatever is not: no id is waited for twice, and none is 0.
        #[test]
        fn no_id_is_given_twice_while_it_is_waited_for(
            answers in proptest::collection::vec(proptest::option::of(any::<proptest::sample::Index>()), 1..400),
            start in 65_500..=u16::MAX,
        ) {
            let mut flight = Flight::new();
            flight.last_id = start;
            let mut waited: Vec<u16> = vec![];
            for answer in answers {
                if let Some(which) = answer && !waited.is_empty() {
                    let id = waited.swap_remove(which.index(waited.len()));
                    prop_assert_eq!(flight.answered(id), Some(Some(id)));
                }
                let id = flight.next_id();
                prop_assert!(id != 0 && !waited.contains(&id));
                flight.hand_over(id, Some(id), 0);
                waited.push(id);
                prop_assert_eq!(flight.len(), waited.len());
            }
        }

        #[test]
        fn ids_that_come_round_pass_those_still_waited_for(stuck in 1_u16..50) {
            let mut flight = Flight::new();
            for _ in 0..stuck {
                flight.hand_over(flight.next_id(), Some(()), 0);
            }
            flight.last_id = u16::MAX;
            prop_assert_eq!(flight.next_id(), stuck + 1);
        }
    }
}
