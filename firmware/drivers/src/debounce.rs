//! Contacts: a lid switch, a brush relay, the ignition. A contact bounces, and a long wire catches what
//! is near it; a new state counts once it has kept still.

/// Judges the levels of one pin. Knows no clock: every look is given the time.
#[derive(Debug, Clone)]
pub struct Debounce {
    settle_ms: u32,
    /// The state that counts; `None` until the first has kept still.
    counts: Option<bool>,
    /// The level seen last, and since when.
    seen: Option<(bool, u64)>,
}

impl Debounce {
    /// A new state counts after `settle_ms` milliseconds.
    #[must_use]
    pub const fn new(settle_ms: u32) -> Debounce {
        Debounce { settle_ms, counts: None, seen: None }
    }

    /// The pin is `high` at `now_ms`; answers the new state when one counts from now on. A clock that
    /// goes back begins the wait anew.
    pub fn look(&mut self, high: bool, now_ms: u64) -> Option<bool> {
        let since = match self.seen {
            Some((before, since)) if before == high && since <= now_ms => since,
            _ => now_ms,
        };
        self.seen = Some((high, since));
        let settled = now_ms - since >= u64::from(self.settle_ms);
        if settled && self.counts != Some(high) {
            self.counts = Some(high);
            return Some(high);
        }
        None
    }

    /// The state that counts; `None` until the first has kept still.
    #[must_use]
    pub const fn state(&self) -> Option<bool> {
        self.counts
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// When which state began to count.
    fn turns(settle_ms: u32, looks: &[(bool, u64)]) -> std::vec::Vec<(bool, u64)> {
        let mut pin = Debounce::new(settle_ms);
        looks.iter().filter_map(|&(high, at)| Some((pin.look(high, at)?, at))).collect()
    }

    #[test]
    fn a_bouncing_contact_counts_once() {
        let looks = [
            (false, 0),
            (false, 50),
            (true, 100),
            (false, 110),
            (true, 120),
            (true, 160),
            (true, 170),
            (true, 500),
            (false, 600),
            (true, 640),
            (false, 700),
            (false, 750),
        ];
        assert_eq!(turns(50, &looks), [(false, 50), (true, 170), (false, 750)]);
        let all: std::vec::Vec<_> = turns(0, &looks).into_iter().map(|(high, _)| high).collect();
        assert_eq!(all, [false, true, false, true, false, true, false]);
    }

    #[test]
    fn a_clock_that_goes_back_settles_nothing() {
        assert_eq!(turns(50, &[(true, 1000), (true, 10), (true, 40), (true, 60)]), [(true, 60)]);
        assert_eq!(Debounce::new(50).state(), None);
    }
}
