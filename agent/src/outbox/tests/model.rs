//! Whatever happens in whatever order, a far end that knows only what it was sent finds every number.

use super::*;

#[derive(Debug, Clone)]
enum Action {
    Commit(Vec<(Lane, u8, bool)>),
    Take(usize),
    /// Settles what is on its way, by a pattern of bits.
    Settle(u32),
    LinkUp,
    LinkDown,
    Flush,
    /// A clean end, and a start.
    Restart,
    /// A start after the power failed.
    Kill,
}

fn actions() -> impl Strategy<Value = Vec<Action>> {
    let lane = proptest::sample::select(&Lane::ALL[..]);
    let message = (lane, 0..4_u8, proptest::bool::weighted(0.1));
    let action = prop_oneof![
        6 => proptest::collection::vec(message, 0..6).prop_map(Action::Commit),
        4 => (1..12_usize).prop_map(Action::Take),
        4 => any::<u32>().prop_map(Action::Settle),
        2 => Just(Action::LinkUp),
        1 => Just(Action::LinkDown),
        1 => Just(Action::Flush),
        1 => Just(Action::Restart),
        1 => Just(Action::Kill),
    ];
    proptest::collection::vec(action, 1..60)
}

/// What the far end has seen, and what it must have seen in the end.
#[derive(Default)]
struct Far {
    /// By lane and number: the payload. It never changes once it was sent.
    seen: BTreeMap<(Lane, u64), Vec<u8>>,
    /// The number under which each value arrived.
    told_once: BTreeMap<(Lane, u64), u64>,
    /// Values that must arrive (all but states).
    owed: BTreeSet<(Lane, u64)>,
    /// The last state of each asset; `None` after an empty payload.
    states: BTreeMap<String, Option<u64>>,
    shown: BTreeMap<String, Option<u64>>,
    /// Numbers of telemetry said to be lost.
    told: Vec<(u64, u64)>,
}

impl Far {
    /// The power fails: telemetry in memory is not owed any more.
    fn excuse(&mut self, queue: &Queue) {
        let page = queue.read(Lane::Telemetry, queue.memory.from, 10_000).unwrap();
        for (position, found) in page.iter().filter(|(at, _)| *at >= queue.memory.from) {
            let (stored, _) = queue::stored(*position, found).unwrap();
            let (payload, _) = stored.content.open(&queue.packer).unwrap();
            self.forget(&payload);
        }
        let id = "not numbered yet";
        let stamp = Stamp { prefix: &queue.prefix, id, boot: queue.boot, seq: 0 };
        queue.memory.blocks.values().for_each(|block| self.forget(&block.payload(&stamp)));
    }

    fn forget(&mut self, telemetry: &[u8]) {
        for value in values_of(telemetry) {
            self.owed.remove(&(Lane::Telemetry, value));
        }
    }

    /// What a start says about losses.
    fn hear(&mut self, ledger: &Ledger) {
        self.told.extend(ledger.gaps.iter().map(|gap| (gap.from, gap.to)));
    }

    /// Whether every number up to `last` was seen, or is told to be lost.
    fn is_complete(&self, lane: Lane, last: u64) -> bool {
        let mut next = 1;
        while next <= last {
            let of_gap = |(from, to): &&(u64, u64)| (*from..=*to).contains(&next);
            let gap = self.told.iter().filter(|_| lane == Lane::Telemetry).find(of_gap);
            next = match gap {
                Some((_, to)) => to + 1,
                None if self.seen.contains_key(&(lane, next)) => next + 1,
                None => return false,
            };
        }
        self.seen.range((lane, last + 1)..=(lane, u64::MAX)).next().is_none()
    }

    fn see(&mut self, entry: &Entry) -> Result<(), TestCaseError> {
        if entry.key.position.sub == 0 {
            let at = (entry.key.lane, entry.key.position.seq);
            let json: Value = serde_json::from_slice(&entry.payload).unwrap();
            prop_assert_eq!(json["seq"].as_u64(), Some(at.1));
            let id = format!("box-{}-{}", at.0.as_str(), at.1);
            prop_assert_eq!(json["id"].as_str(), Some(&id[..]));
            let before = self.seen.entry(at).or_insert_with(|| entry.payload.clone());
            prop_assert_eq!(&*before, &entry.payload, "the same number, another message");
            for value in values_of(&entry.payload) {
                let told = self.told_once.insert((entry.key.lane, value), at.1);
                prop_assert!(told.is_none_or(|seq| seq == at.1), "one value under two numbers");
                self.owed.remove(&(entry.key.lane, value));
            }
        }
        if entry.key.lane == Lane::State {
            self.shown.insert(entry.path.clone(), value_of(entry));
        }
        Ok(())
    }
}

fn run(actions: Vec<Action>) -> Result<(), TestCaseError> {
    let mut queue = new_queue(u64::MAX);
    let (mut far, mut value, mut conn) = (Far::default(), 0_u32, 0);
    let mut on_its_way: Vec<Entry> = vec![];
    for action in actions {
        match action {
            Action::Commit(messages) => {
                let mut all = vec![];
                for (lane, asset, is_empty) in messages {
                    value += 1;
                    let one = match lane {
                        _ if is_empty => empty(lane, asset),
                        // Of an asset that has blocks, some messages stand for themselves.
                        Lane::Telemetry if asset > 1 && value % 4 != 0 => reading(asset, value),
                        _ => message(lane, asset, value),
                    };
                    if lane == Lane::State {
                        let path = crate::mqtt::topics::path(&one.topic);
                        far.states.insert(path, (!is_empty).then_some(value.into()));
                    } else if !is_empty {
                        far.owed.insert((lane, value.into()));
                    }
                    all.push(one);
                }
                queue.commit(&[turn(all)]).unwrap();
            }
            Action::Take(max) => {
                let entries = queue.take(max).unwrap();
                prop_assert!(entries.len() <= max);
                prop_assert!(entries.is_sorted_by_key(|entry| entry.key));
                entries.iter().try_for_each(|entry| far.see(entry))?;
                on_its_way.extend(entries);
            }
            Action::Settle(bits) => {
                let mut n = 0;
                on_its_way.retain(|entry| {
                    n += 1;
                    let done = bits >> (n % 32) & 1 == 1;
                    if done {
                        queue.settle(entry.key, Outcome::Acknowledged);
                    }
                    !done
                });
            }
            Action::LinkUp => {
                conn += 1;
                queue.link_up(conn).unwrap();
                on_its_way.clear();
            }
            Action::LinkDown => {
                queue.link_down();
                on_its_way.clear();
            }
            Action::Flush => queue.flush().unwrap(),
            Action::Restart | Action::Kill => {
                let boot = queue.boot;
                if matches!(action, Action::Kill) {
                    far.excuse(&queue);
                } else {
                    queue.spill().unwrap();
                }
                queue = restart(queue).queue;
                prop_assert_eq!(queue.boot.0, boot.0 + 1);
                far.hear(ledger(&queue, Lane::Telemetry));
                on_its_way.clear();
                conn = 0;
            }
        }
    }
    drain(queue, far)
}

/// Everything arrives in the end, and what has arrived has no gaps.
fn drain(mut queue: Queue, mut far: Far) -> Result<(), TestCaseError> {
    queue.link_up(1000).unwrap();
    loop {
        let entries = queue.take(7).unwrap();
        if entries.is_empty() {
            break;
        }
        for entry in entries {
            far.see(&entry)?;
            queue.settle(entry.key, Outcome::Acknowledged);
        }
    }
    queue.flush().unwrap();
    prop_assert!(far.owed.is_empty(), "never arrived: {:?}", far.owed);
    prop_assert_eq!(&far.shown, &far.states, "the last state shown is not the last state");
    for lane in Lane::ALL {
        let ledger = ledger(&queue, lane);
        prop_assert!(far.is_complete(lane, ledger.last.seq), "{:?} has gaps", lane);
        prop_assert_eq!((ledger.stored, ledger.bytes), (0, 0));
        let dropped = ledger.dropped.values().sum::<u64>();
        prop_assert_eq!(ledger.accepted, ledger.coalesced + ledger.acknowledged + dropped);
        prop_assert!(dropped == 0 || lane == Lane::Telemetry);
        prop_assert_eq!(queue.read(lane, Position::default(), 1).unwrap().len(), 0);
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(400) })]

    #[test]
    fn nothing_is_lost_and_no_number_is_missing(actions in actions()) {
        run(actions)?;
    }
}
