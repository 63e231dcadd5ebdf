//! What is on its way over a connection: a first-in-first-out list of what was handed to the event loop,
//! and a map from packet id to message of what the event loop has written.
//!
//! Pure. Every assured publish has its place here, also one that is not the outbox's (`None`).

use std::collections::{BTreeMap, VecDeque};

#[derive(Debug)]
struct Sent<M> {
    message: Option<M>,
    /// The beat in which it was handed over.
    beat: u32,
    /// Counts what was handed over.
    order: u64,
}

#[derive(Debug)]
pub(super) struct Flight<M> {
    handed_over: u64,
    /// Handed to the event loop and not written yet, in order.
    handed: VecDeque<Sent<M>>,
    /// Written and not answered, by packet id.
    written: BTreeMap<u16, Sent<M>>,
}

impl<M> Flight<M> {
    pub(super) fn new() -> Flight<M> {
        Flight { handed_over: 0, handed: VecDeque::new(), written: BTreeMap::new() }
    }

    /// A publish was handed to the event loop in the beat `beat`.
    pub(super) fn hand_over(&mut self, message: Option<M>, beat: u32) {
        self.handed_over += 1;
        self.handed.push_back(Sent { message, beat, order: self.handed_over });
    }

    /// The oldest that was handed over was written as `id`. `false`: nothing was handed over.
    #[must_use]
    pub(super) fn written(&mut self, id: u16) -> bool {
        let Some(sent) = self.handed.pop_front() else { return false };
        self.written.insert(id, sent);
        true
    }

    /// The broker has answered for `id`: what that was; `None` when nothing is known of it.
    #[expect(clippy::option_option, reason = "known or not, and the outbox's or not")]
    pub(super) fn answered(&mut self, id: u16) -> Option<Option<M>> {
        self.written.remove(&id).map(|sent| sent.message)
    }

    /// How many are on their way.
    pub(super) fn len(&self) -> usize {
        self.handed.len() + self.written.len()
    }

    /// The beat in which the one was handed over that is longest on its way.
    pub(super) fn since(&self) -> Option<u32> {
        self.all().map(|sent| sent.beat).min()
    }

    /// The outbox's message that is longest on its way.
    pub(super) fn first(&self) -> Option<&M> {
        let ours = self.all().filter(|sent| sent.message.is_some());
        ours.min_by_key(|sent| sent.order)?.message.as_ref()
    }

    fn all(&self) -> impl Iterator<Item = &Sent<M>> {
        self.handed.iter().chain(self.written.values())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_bound_in_the_order_of_handing_over() {
        let mut flight = Flight::new();
        assert!(!flight.written(1), "nothing was handed over");
        flight.hand_over(None, 1);
        flight.hand_over(Some("a"), 1);
        flight.hand_over(Some("b"), 2);
        assert!(flight.written(7) && flight.written(8));
        assert_eq!((flight.len(), flight.since(), flight.first()), (3, Some(1), Some(&"a")));
        assert_eq!(flight.answered(8), Some(Some("a")));
        assert_eq!(flight.answered(8), None, "not twice");
        assert_eq!(flight.answered(9), None);
        assert_eq!((flight.since(), flight.first()), (Some(1), Some(&"b")));
        assert_eq!(flight.answered(7), Some(None));
        assert!(flight.written(1));
        assert_eq!((flight.len(), flight.since(), flight.first()), (1, Some(2), Some(&"b")));
    }

    #[test]
    fn the_first_is_the_oldest_whatever_its_id() {
        let mut flight = Flight::new();
        for (message, id) in [("old", 400), ("young", 1)] {
            flight.hand_over(Some(message), 0);
            assert!(flight.written(id));
        }
        assert_eq!(flight.first(), Some(&"old"));
    }
}
