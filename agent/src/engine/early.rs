//! Readings from before anybody knew what time it is.
//!
//! A box on a vehicle starts with the time at which its power went, and its receiver needs a minute for the
//! first fix. What other sensors say in that minute would be dated hours too early. So it waits here, at
//! most [`WAIT_MAX`] and [`HELD_MAX`] readings, and is dated once, when the time is known. Where the time
//! stays unknown it goes on as it is, and says so. Nothing that waits here is acknowledged.

use domain::input::Input;
use domain::sample::{Missing, Quantity};
use domain::time::{ClockQuality, Monotonic, Now, Span, Utc};

use crate::sources::Arrival;

/// A cold receiver has its first fix by then, or none for a long time.
const WAIT_MAX: Span = Span::from_mins(2);
/// Readings that wait. Full: all of them go on as they are.
const HELD_MAX: usize = 4096;

/// What waits for the time.
#[derive(Debug)]
pub(super) struct Early {
    until: Monotonic,
    held: Vec<(Arrival, Now)>,
}

impl Early {
    /// Begins to wait, if that is worth it and the time is not known yet.
    pub(super) fn new(awaits_time: bool, now: Now) -> Option<Early> {
        let waits = awaits_time && now.clock < ClockQuality::Ntp;
        waits.then(|| Early { until: now.monotonic + WAIT_MAX, held: vec![] })
    }

    /// Takes what arrived at `now`; gives what does not wait: what is no reading, and what comes from a
    /// receiver and has its own time.
    pub(super) fn take(&mut self, arrivals: Vec<Arrival>, now: Now) -> Vec<Arrival> {
        let of_receiver = |quantity: &Quantity| match quantity {
            Quantity::Fix(_) => true,
            Quantity::Absent(absent) => absent.what == Missing::Fix,
            _ => false,
        };
        let waits = |arrival: &Arrival| matches!(&arrival.input, Input::Sample(s) if !s.quantities.iter().any(of_receiver));
        let (readings, rest): (Vec<_>, Vec<_>) = arrivals.into_iter().partition(waits);
        self.held.extend(readings.into_iter().map(|arrival| (arrival, now)));
        rest
    }

    /// Whether the wait is over at `now`: the time is known, or nobody waits any longer for it.
    pub(super) fn is_over(&self, now: Now) -> bool {
        let known = now.clock >= ClockQuality::Ntp;
        known || now.monotonic >= self.until || self.held.len() >= HELD_MAX
    }

    /// What has waited, dated by the clock as it is at `now`.
    pub(super) fn end(self, now: Now) -> Vec<Arrival> {
        let date = |(mut arrival, then): (Arrival, Now)| {
            let right = now.at_instant(then.monotonic).utc;
            if let Input::Sample(sample) = &mut arrival.input {
                sample.at = Some(redate(sample.at, then.utc, right));
            }
            arrival
        };
        self.held.into_iter().map(date).collect()
    }
}

/// The time of a reading that arrived when the clock said `wrong` and it was `right`. A source that counted
/// back from the wrong clock is moved with it; one with a time of its own is not.
fn redate(at: Option<Utc>, wrong: Utc, right: Utc) -> Utc {
    let Some(at) = at else { return right };
    let apart = |a: Utc, b: Utc| a.since(b).max(b.since(a));
    if apart(at, wrong) >= apart(at, right) {
        return at;
    }
    Utc::from_ms(at.as_ms() - wrong.as_ms() + right.as_ms())
}

#[cfg(test)]
mod tests {
    use domain::ids::SourceName;
    use domain::sample::Sample;
    use domain::time::Boot;

    use super::*;

    const WRONG: i64 = 1_780_574_400_000; // 2026-06-04T12:00:00Z
    const HOURS: i64 = 3 * 3_600_000;

    fn now(second: u64, clock: ClockQuality) -> Now {
        let ahead = if clock == ClockQuality::Gnss { HOURS } else { 0 };
        Now {
            boot: Boot(1),
            monotonic: Monotonic::from_ms(second * 1000),
            utc: Utc::from_ms(WRONG + ahead + second as i64 * 1000),
            clock,
        }
    }

    fn reading(at: Option<i64>) -> Arrival {
        let source = SourceName::new("s").unwrap();
        let at = at.map(Utc::from_ms);
        let sample = Sample { source, device: None, counter: None, at, quantities: vec![] };
        Arrival { input: Input::Sample(sample), committed: None, answer: None }
    }

    #[test]
    fn readings_wait_and_are_dated_once_and_nothing_else_waits() {
        let mut early = Early::new(true, now(0, ClockQuality::Estimated)).unwrap();
        let tick = Arrival { input: Input::Tick, committed: None, answer: None };
        let own_time = WRONG + HOURS + 9000;
        let five_seconds_old = WRONG + 10_000 - 5000;
        let arrivals =
            vec![reading(None), tick, reading(Some(own_time)), reading(Some(five_seconds_old))];
        let rest = early.take(arrivals, now(10, ClockQuality::Estimated));
        assert_eq!(rest.iter().map(|a| a.input == Input::Tick).collect::<Vec<_>>(), [true]);
        assert!(!early.is_over(now(60, ClockQuality::Estimated)));
        assert!(early.is_over(now(60, ClockQuality::Gnss)));
        let dated: Vec<i64> = early
            .end(now(60, ClockQuality::Gnss))
            .into_iter()
            .map(|arrival| match arrival.input {
                Input::Sample(sample) => sample.at.unwrap().as_ms() - WRONG - HOURS,
                other => panic!("{other:?}"),
            })
            .collect();
        assert_eq!(dated, [10_000, 9000, 5000]);
    }

    #[test]
    fn nobody_waits_for_ever_nor_where_the_time_is_known() {
        assert!(Early::new(true, now(0, ClockQuality::Ntp)).is_none());
        assert!(Early::new(false, now(0, ClockQuality::Unset)).is_none());
        let mut early = Early::new(true, now(0, ClockQuality::Unset)).unwrap();
        assert!(early.is_over(now(120, ClockQuality::Unset)));
        let many = (0..HELD_MAX).map(|_| reading(None)).collect();
        early.take(many, now(1, ClockQuality::Unset));
        assert!(early.is_over(now(1, ClockQuality::Unset)), "full");
        assert_eq!(early.end(now(2, ClockQuality::Unset)).len(), HELD_MAX, "none is lost");
    }
}
