//! What comes late comes in bulk: a network that is back tells what it kept, report by report.
//!
//! Between two reports of one asset nobody knows yet what the next one says. A rule's deadline that lies in
//! that past therefore waits until a later report has come, or a minute has passed without one; and then it
//! is worked off at its own time. So the same is found as if every report had come on time.
//!
//! So it is when the box itself was down: what passed meanwhile waits for what the sensors have kept.

use std::collections::BTreeMap;

use super::Engine;
use super::watched::Watched;
use crate::ids::AssetKey;
use crate::output::Outputs;
use crate::rules::LATE_AFTER;
use crate::time::{Moment, Monotonic, Now, Span};

/// So long the next late report may take.
const NEXT_WITHIN: Span = Span::from_mins(1);

/// After a start, sensors that were not answered have tried again by then: our own nodes do after ten minutes at
/// the latest (`firmware/src/unsent.rs`), and what a network server keeps comes at once.
const KEPT_WITHIN: Span = Span::from_mins(10);

/// Deadlines of one asset worked off before one report. What is left over is due when it has caught up.
const LOOKS_MAX: usize = 10_000;

/// The assets that are catching up. Bounded by the assets and their rules.
#[derive(Debug, Default)]
pub(super) struct CatchUp {
    /// Until when the next report is waited for.
    until: BTreeMap<AssetKey, Monotonic>,
    /// Deadlines of rules that wait, each with its own time.
    held: BTreeMap<(AssetKey, usize), Monotonic>,
}

impl CatchUp {
    /// When to look: a deadline that passes while its asset is catching up waits until that is over, for what
    /// comes late may be from before it.
    pub(super) fn hold(
        &mut self,
        key: &AssetKey,
        rule: usize,
        deadline: Option<Monotonic>,
    ) -> Option<Monotonic> {
        let place = (key.clone(), rule);
        let until = self.until.get(key).copied();
        match (deadline, until) {
            (Some(deadline), Some(until)) if deadline <= until => {
                self.held.insert(place, deadline);
                Some(until)
            }
            (deadline, _) => {
                self.held.remove(&place);
                deadline
            }
        }
    }

    /// The time of a deadline that waited.
    pub(super) fn release(&mut self, key: &AssetKey, rule: usize) -> Option<Monotonic> {
        self.held.remove(&(key.clone(), rule))
    }

    /// The next deadline of the asset that waits and is not later than `at`.
    fn next(&self, key: &AssetKey, at: Monotonic) -> Option<(usize, Monotonic)> {
        let from = (key.clone(), 0);
        let own = self.held.range(from..).take_while(|((other, _), _)| other == key);
        let due = own.filter(|(_, deadline)| **deadline <= at);
        due.map(|((_, rule), deadline)| (*rule, *deadline)).min_by_key(|(_, deadline)| *deadline)
    }
}

impl Engine {
    /// When to look for the first time after a start at `now`: an asset that was known before may have more
    /// to tell.
    pub(super) fn hold_at_start(
        &mut self,
        key: &AssetKey,
        rule: usize,
        deadline: Option<Monotonic>,
        now: Now,
    ) -> Option<Monotonic> {
        let heard = self.assets.get(key).and_then(Watched::heard);
        if heard.is_some_and(|heard| heard.boot != now.boot) {
            self.late.until.insert(key.clone(), now.monotonic + KEPT_WITHIN);
        }
        self.late.hold(key, rule, deadline)
    }

    /// A report of an asset came that was measured at `at`: what was due before it is worked off first.
    pub(super) fn catch_up(&mut self, key: &AssetKey, at: Moment, now: Now, out: &mut Outputs) {
        if now.since(at) > LATE_AFTER {
            self.late.until.insert(key.clone(), now.monotonic + NEXT_WITHIN);
        } else {
            self.late.until.remove(key);
        }
        if !at.is_of_boot(now.boot) {
            // All of its past lies at the start of the boot, and tells no order.
            return;
        }
        for _ in 0..LOOKS_MAX {
            let Some((rule, deadline)) = self.late.next(key, at.monotonic) else { return };
            self.late.release(key, rule);
            self.look(rule, key, now.at_instant(deadline), out);
        }
    }
}
