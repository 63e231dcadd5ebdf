//! Deadlines inside the core: a table that answers "what is due, and when is the next".

use std::collections::BTreeMap;

use crate::ids::{AssetKey, TicketId};
use crate::time::Monotonic;

/// What a deadline is for. One deadline each.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Timer {
    /// A change of an asset's state has held long enough to count.
    Settle(AssetKey),
    /// An asset has not been heard for too long.
    Stale(AssetKey),
    /// The rule at this place of the list must look at the asset again.
    Rule(usize, AssetKey),
    /// An hour is over, and its figures can be closed.
    Hour,
    /// A day is over, and what bins did on it is told.
    Day,
    /// Time does something to a ticket: a limit, a shelf, a flap.
    Ticket(TicketId),
    /// A closed ticket leaves the broker and the store.
    Purge(TicketId),
}

/// The table.
#[derive(Debug, Default)]
pub(crate) struct Timers {
    by_time: BTreeMap<(Monotonic, Timer), ()>,
    by_timer: BTreeMap<Timer, Monotonic>,
}

impl Timers {
    /// Sets `timer` to `deadline`, or takes it off; a deadline it had before is forgotten.
    pub(crate) fn set(&mut self, timer: Timer, deadline: Option<Monotonic>) {
        let old = match deadline {
            Some(at) => self.by_timer.insert(timer.clone(), at),
            None => self.by_timer.remove(&timer),
        };
        if old == deadline {
            return;
        }
        let mut place = (deadline.unwrap_or_default(), timer);
        if deadline.is_some() {
            self.by_time.insert(place.clone(), ());
        }
        if let Some(old) = old {
            place.0 = old;
            self.by_time.remove(&place);
        }
    }

    /// Takes out the earliest timer that is due at `now`, with its deadline.
    pub(crate) fn pop_due(&mut self, now: Monotonic) -> Option<(Monotonic, Timer)> {
        let ((at, _), ()) = self.by_time.first_key_value()?;
        if *at > now {
            return None;
        }
        let ((at, timer), ()) = self.by_time.pop_first()?;
        self.by_timer.remove(&timer);
        Some((at, timer))
    }

    /// The earliest deadline.
    pub(crate) fn next(&self) -> Option<Monotonic> {
        self.by_time.first_key_value().map(|((at, _), ())| *at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::{AssetId, Class};

    fn stale(id: &str) -> Timer {
        Timer::Stale(AssetKey::new(Class::Bay, AssetId::new(id).unwrap()))
    }

    #[test]
    fn due_timers_come_out_in_order_and_once() {
        let mut timers = Timers::default();
        timers.set(stale("b"), Some(Monotonic::from_ms(20)));
        timers.set(stale("a"), Some(Monotonic::from_ms(10)));
        timers.set(stale("c"), Some(Monotonic::from_ms(5)));
        timers.set(stale("c"), Some(Monotonic::from_ms(30)));
        timers.set(stale("b"), None);
        assert_eq!(timers.next(), Some(Monotonic::from_ms(10)));
        assert_eq!(timers.pop_due(Monotonic::from_ms(9)), None);
        assert_eq!(
            timers.pop_due(Monotonic::from_ms(30)),
            Some((Monotonic::from_ms(10), stale("a")))
        );
        assert_eq!(
            timers.pop_due(Monotonic::from_ms(30)),
            Some((Monotonic::from_ms(30), stale("c")))
        );
        assert_eq!((timers.pop_due(Monotonic::from_ms(99)), timers.next()), (None, None));
    }
}
