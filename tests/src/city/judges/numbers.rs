//! Every number that a lane has given away arrives, first in order where order is promised; but for those that
//! the ledger counts as dropped, with a reason that this weather can give. After the healing nothing is left.

use std::collections::{BTreeMap, BTreeSet};

use domain::output::Lane;
use steward::outbox::{DropReason, Ledger};

use super::{End, Heard, Judge};

/// See the head of this file.
#[derive(Debug, Default)]
pub(in crate::city) struct Numbers {
    seen: BTreeMap<Lane, BTreeSet<u64>>,
    wrong: Vec<String>,
}

/// What a lane may lose: telemetry that was in memory at a kill, or that the far end did not want.
fn may_lose(lane: Lane) -> &'static [DropReason] {
    match lane {
        Lane::Telemetry => &[DropReason::NotStored, DropReason::Refused],
        Lane::Ticket | Lane::Event | Lane::State => &[],
    }
}

impl Judge for Numbers {
    fn name(&self) -> &'static str {
        "numbers"
    }

    fn hear(&mut self, heard: &Heard) {
        let arrived = &heard.arrived;
        let Some(seq) = arrived.seq.filter(|_| arrived.wanted) else { return };
        let seen = self.seen.entry(arrived.lane).or_default();
        let last = seen.last().copied();
        if !seen.insert(seq) {
            return;
        }
        let ordered = matches!(arrived.lane, Lane::Ticket | Lane::Event);
        if ordered && last.is_some_and(|last| seq < last) {
            self.wrong.push(format!("{:?} {seq} came first after {last:?}", arrived.lane));
        }
    }

    fn verdict(&self, end: &End<'_>) -> Vec<String> {
        let mut wrong = self.wrong.clone();
        for (lane, ledger) in &end.ledgers {
            let seen = self.seen.get(lane);
            wrong.extend(missing(*lane, ledger, seen.unwrap_or(&BTreeSet::new())));
            let other = ledger.dropped.keys().filter(|reason| !may_lose(*lane).contains(reason));
            wrong.extend(other.map(|reason| format!("{lane:?} dropped some as {reason:?}")));
            if ledger.stored > 0 {
                wrong.push(format!("{lane:?} still holds {} messages", ledger.stored));
            }
        }
        wrong
    }
}

fn missing(lane: Lane, ledger: &Ledger, seen: &BTreeSet<u64>) -> Vec<String> {
    let last = ledger.last.seq;
    let accounted = |seq: u64| {
        let allowed = ledger.gaps.iter().filter(|gap| may_lose(lane).contains(&gap.reason));
        allowed.into_iter().any(|gap| (gap.from..=gap.to).contains(&seq))
    };
    let lost: Vec<u64> = (1..=last).filter(|seq| !seen.contains(seq) && !accounted(*seq)).collect();
    let mut wrong = Vec::new();
    if let Some(first) = lost.first() {
        wrong.push(format!("{lane:?} {first} and {} more never came", lost.len() - 1));
    }
    if let Some(beyond) = seen.last().filter(|seq| **seq > last) {
        wrong.push(format!("{lane:?} {beyond} came, and the last one given away is {last}"));
    }
    wrong
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use steward::outbox::{Gap, Position};

    use super::super::tests::{end, heard, quiet};
    use super::*;

    fn judged(lane: Lane, seqs: &[u64], ledger: Ledger) -> Vec<String> {
        let mut numbers = Numbers::default();
        for seq in seqs {
            numbers.hear(&heard(lane, *seq, "bay/b-1/x", json!({})));
        }
        let truth = quiet();
        let mut end = end(&truth);
        end.ledgers.insert(lane, ledger);
        numbers.verdict(&end)
    }

    fn ledger(last: u64) -> Ledger {
        Ledger { last: Position { seq: last, sub: 0 }, ..Ledger::default() }
    }

    #[test]
    fn a_hole_is_wrong_in_every_lane_and_a_repeat_is_not() {
        for lane in Lane::ALL {
            assert_eq!(judged(lane, &[1, 2, 2, 3, 1], ledger(3)), Vec::<String>::new());
            assert_eq!(judged(lane, &[1, 3], ledger(3)).len(), 1);
            assert_eq!(judged(lane, &[1, 2], ledger(3)).len(), 1, "the last one too");
            assert_eq!(judged(lane, &[1, 2, 3], ledger(2)).len(), 1, "beyond the last");
        }
    }

    #[test]
    fn a_hole_is_right_where_the_ledger_says_why_and_the_lane_may() {
        let gap = Gap { reason: DropReason::NotStored, from: 2, to: 2, count: 1 };
        let dropped = BTreeMap::from([(DropReason::NotStored, 1)]);
        let said = Ledger { gaps: vec![gap], dropped, ..ledger(3) };
        assert_eq!(judged(Lane::Telemetry, &[1, 3], said.clone()), Vec::<String>::new());
        assert_eq!(judged(Lane::Ticket, &[1, 3], said).len(), 2, "lost, and said so");
    }

    #[test]
    fn what_is_left_and_what_is_out_of_order_is_wrong() {
        assert_eq!(judged(Lane::Event, &[2, 1], ledger(2)).len(), 1);
        let left = Ledger { stored: 4, ..ledger(2) };
        assert_eq!(judged(Lane::Event, &[1, 2], left).len(), 1);
    }
}
