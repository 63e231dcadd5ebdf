//! What becomes known of an asset, told to the rules; and what they find, told to the desk.

use super::Engine;
use crate::ids::AssetKey;
use crate::output::Outputs;
use crate::rules::{Fact, Seen};
use crate::time::{Moment, Now};
use crate::timers::Timer;

impl Engine {
    /// Lets a rule look at an asset again.
    pub(super) fn look(&mut self, rule: usize, key: &AssetKey, at: Moment, out: &mut Outputs) {
        let due = self.assets[key].due();
        let seen = self.rules.due(&self.site, (rule, key), due, at);
        self.conclude(key, seen, out);
    }

    /// Tells the rules what became known of an asset at `at`.
    pub(super) fn find(
        &mut self,
        key: &AssetKey,
        facts: &[Fact],
        at: Moment,
        now: Now,
        out: &mut Outputs,
    ) {
        let due = self.assets[key].due();
        let seen = self.rules.observe(&self.site, key, facts, due, (at, now));
        self.conclude(key, seen, out);
    }

    pub(super) fn conclude(&mut self, key: &AssetKey, seen: Seen, out: &mut Outputs) {
        out.records.extend(seen.records);
        for (rule, deadline) in seen.deadlines {
            let deadline = self.late.hold(key, rule, deadline);
            self.timers.set(Timer::Rule(rule, key.clone()), deadline);
        }
        for finding in seen.findings {
            self.take_finding(finding, out);
        }
    }
}
