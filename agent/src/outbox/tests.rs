//! What the queue promises, against a model and case by case. In memory, except where the disk is the point.

mod blocks;
mod damage;
mod full;
mod held;
mod migrate;
mod power;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use domain::ids::{AssetId, AssetKey, BoxId, Class, SiteId, TenantId, TicketId};
use domain::output::{Body, Message, Quality, Topic};
use domain::time::ClockQuality;
use proptest::prelude::*;
use serde_json::{Map, Value, json};

use super::memory::MemoryStore;
use super::queue::{self, Queue};
use super::restore::{RestoreError, restore};
use super::store::{Batch, Pair, Store};
use super::*;
use crate::mqtt::payload::Stamp;

impl Queue {
    /// Takes of every lane.
    fn take(&mut self, max: usize) -> Result<Vec<Entry>, StoreError> {
        self.take_of(Lanes::ALL, max)
    }
}

fn identity() -> Identity {
    Identity {
        tenant: TenantId::new("t").unwrap(),
        site: SiteId::new("s").unwrap(),
        id: BoxId::new("box").unwrap(),
    }
}

fn settings_of(bytes_max: u64) -> Settings {
    Settings { box_id: "box".to_owned(), prefix: Prefix::new(&identity()), bytes_max }
}

fn new_queue(bytes_max: u64) -> Queue {
    restore(Box::new(MemoryStore::default()), None, settings_of(bytes_max)).unwrap().queue
}

/// Stops the box in the middle of whatever it does, and starts it again.
fn restart(queue: Queue) -> Restored {
    let Queue { store, floor, bytes_max, .. } = queue;
    restore(store, floor, settings_of(bytes_max)).unwrap()
}

fn bay(n: u8) -> AssetKey {
    AssetKey::new(Class::Bay, AssetId::new(&format!("b-{n}")).unwrap())
}

fn message(lane: Lane, asset: u8, value: u32) -> Message {
    let data = Map::from_iter([("value".to_owned(), json!(value))]);
    let (topic, body) = match lane {
        Lane::Ticket => (Topic::TicketState(TicketId::new("t-1").unwrap()), Body::Flat(data)),
        Lane::Event => (Topic::AssetEvent(bay(asset)), Body::Event { kind: "test.event", data }),
        Lane::State => (Topic::AssetState(bay(asset)), Body::Flat(data)),
        Lane::Telemetry => (Topic::AssetTelemetry(bay(asset)), Body::Flat(data)),
    };
    let (at, clock, quality) = (Utc::from_ms(value.into()), ClockQuality::Ntp, Quality::Good);
    Message { lane, topic, at, clock, quality, body }
}

fn empty(lane: Lane, asset: u8) -> Message {
    Message { body: Body::Empty, ..message(lane, asset, 0) }
}

fn turn(messages: Vec<Message>) -> Turn {
    Turn { messages, ..Turn::default() }
}

fn value_of(entry: &Entry) -> Option<u64> {
    let json: Value = serde_json::from_slice(&entry.payload).ok()?;
    json.get("value").or_else(|| json["data"].get("value"))?.as_u64()
}

/// A telemetry message of one reading, which joins a block.
fn reading(asset: u8, value: u32) -> Message {
    let points = json!([{"at": Utc::from_ms(value.into()), "value": value}]);
    let body = Body::Flat(Map::from_iter([("points".to_owned(), points)]));
    Message { body, ..message(Lane::Telemetry, asset, value) }
}

/// What a message, or every reading of a block, says.
fn values_of(payload: &[u8]) -> Vec<u64> {
    let Ok(json) = serde_json::from_slice::<Value>(payload) else { return vec![] };
    let one = |from: &Value| from.get("value").or_else(|| from["data"].get("value"))?.as_u64();
    match json["points"].as_array() {
        Some(points) => points.iter().filter_map(one).collect(),
        None => one(&json).into_iter().collect(),
    }
}

fn ledger(queue: &Queue, lane: Lane) -> &Ledger {
    &queue.lanes[lane as usize].ledger
}

/// `path value` of everything that can be taken at once.
fn taken(queue: &mut Queue) -> Vec<String> {
    if queue.conn == 0 {
        queue.link_up(77).unwrap();
    }
    queue.take(1000).unwrap().iter().map(text).collect()
}

/// `path value` of everything, each acknowledged when its turn comes.
fn drained(queue: &mut Queue) -> Vec<String> {
    let mut all = vec![];
    queue.link_up(78).unwrap();
    loop {
        let entries = queue.take(1000).unwrap();
        if entries.is_empty() {
            return all;
        }
        for entry in entries {
            all.push(text(&entry));
            queue.settle(entry.key, Outcome::Acknowledged);
        }
    }
}

fn text(entry: &Entry) -> String {
    match value_of(entry) {
        Some(value) => format!("{} {value}", entry.path),
        None => format!("{} -", entry.path),
    }
}

#[test]
fn lanes_go_by_rank_and_messages_by_age() {
    let mut queue = new_queue(u64::MAX);
    let lanes = [Lane::Telemetry, Lane::State, Lane::Event, Lane::Ticket];
    for value in 0..2 {
        queue.commit(&[turn(lanes.iter().map(|lane| message(*lane, 1, value)).collect())]).unwrap();
    }
    assert_eq!(
        taken(&mut queue),
        [
            "ticket/t-1/state 0",
            "bay/b-1/event 0",
            "bay/b-1/event 1",
            "bay/b-1/state 1",
            "bay/b-1/tel 0",
            "bay/b-1/tel 1",
        ]
    );
    assert_eq!(taken(&mut queue), Vec::<String>::new(), "in flight is not taken again");
    queue.link_down();
    assert_eq!(taken(&mut queue).len(), 6, "a dead link gives everything back");
}

#[test]
fn a_retained_topic_is_in_flight_once_and_the_next_waits_for_it() {
    let mut queue = new_queue(u64::MAX);
    queue.link_up(1).unwrap();
    let revisions = (0..3).map(|value| message(Lane::Ticket, 1, value)).collect();
    queue.commit(&[turn(revisions)]).unwrap();
    let first = queue.take(10).unwrap();
    assert_eq!(first.len(), 1);
    assert_eq!(taken(&mut queue), Vec::<String>::new());
    queue.settle(first[0].key, Outcome::Acknowledged);
    assert_eq!(taken(&mut queue), ["ticket/t-1/state 1"]);
    queue.link_down();
    assert_eq!(drained(&mut queue), ["ticket/t-1/state 1", "ticket/t-1/state 2"]);
}

#[test]
fn a_state_replaces_one_never_sent_and_keeps_its_number() {
    let mut queue = new_queue(u64::MAX);
    queue.link_up(1).unwrap();
    queue.commit(&[turn(vec![message(Lane::State, 1, 10), message(Lane::State, 2, 20)])]).unwrap();
    queue.commit(&[turn(vec![message(Lane::State, 1, 11)])]).unwrap();
    let first = queue.take(1).unwrap().remove(0);
    assert_eq!((value_of(&first), first.key.position.seq), (Some(11), 1));
    // Now it may have been sent: what follows stands behind it, also after the link died.
    queue.link_down();
    for value in [12, 13] {
        queue.commit(&[turn(vec![message(Lane::State, 1, value)])]).unwrap();
    }
    assert_eq!(drained(&mut queue), ["bay/b-1/state 11", "bay/b-2/state 20", "bay/b-1/state 13"]);
    assert_eq!(ledger(&queue, Lane::State).last.seq, 3);
    assert_eq!(ledger(&queue, Lane::State).coalesced, 2);
}

#[test]
fn after_a_restart_only_states_that_no_link_can_have_carried_are_replaced() {
    let mut queue = new_queue(u64::MAX);
    queue.commit(&[turn(vec![message(Lane::State, 1, 1)])]).unwrap();
    let mut queue = restart(queue).queue;
    queue.commit(&[turn(vec![message(Lane::State, 1, 2)])]).unwrap();
    queue.link_up(1).unwrap();
    let mut queue = restart(queue).queue;
    queue.commit(&[turn(vec![message(Lane::State, 1, 3)])]).unwrap();
    let mut queue = restart(queue).queue;
    queue.commit(&[turn(vec![message(Lane::State, 1, 4)])]).unwrap();
    assert_eq!(drained(&mut queue), ["bay/b-1/state 2", "bay/b-1/state 4"]);
    assert_eq!(queue.boot, Boot(4));
}

#[test]
fn an_empty_payload_has_no_number_and_goes_when_a_state_comes() {
    let mut queue = new_queue(u64::MAX);
    queue.commit(&[turn(vec![message(Lane::State, 1, 1), empty(Lane::State, 1)])]).unwrap();
    queue.commit(&[turn(vec![empty(Lane::State, 1), message(Lane::State, 2, 5)])]).unwrap();
    assert_eq!(ledger(&queue, Lane::State).stored, 3);
    queue.commit(&[turn(vec![message(Lane::State, 1, 2)])]).unwrap();
    let mut queue = restart(queue).queue;
    queue.commit(&[turn(vec![empty(Lane::Ticket, 0), empty(Lane::State, 2)])]).unwrap();
    let all = ["ticket/t-1/state -", "bay/b-1/state 2", "bay/b-2/state 5", "bay/b-2/state -"];
    assert_eq!(drained(&mut queue), all);
    assert_eq!(ledger(&queue, Lane::State).last.seq, 2);
    assert_eq!(ledger(&queue, Lane::Ticket).last.seq, 0);
}

#[test]
fn backlog_is_marked_and_live_messages_are_not() {
    let mut queue = new_queue(u64::MAX);
    let marks = |queue: &mut Queue| -> Vec<bool> {
        queue.take(10).unwrap().iter().map(|entry| entry.replay).collect()
    };
    queue.commit(&[turn(vec![message(Lane::Event, 1, 1)])]).unwrap();
    queue.link_up(1).unwrap();
    queue.commit(&[turn(vec![message(Lane::Event, 1, 2)])]).unwrap();
    assert_eq!(marks(&mut queue), [true, false]);
    queue.link_up(2).unwrap();
    assert_eq!(marks(&mut queue), [true, true]);
    let mut queue = restart(queue).queue;
    queue.link_up(1).unwrap();
    assert_eq!(marks(&mut queue), [true, true], "connection 1 of another boot");
}

#[test]
fn room_is_made_from_below_and_tickets_are_last() {
    let mut queue = new_queue(1800);
    let fill = |queue: &mut Queue, lane, n: u32| {
        for value in 0..n {
            let asset = u8::try_from(value % 200).unwrap();
            queue.commit(&[turn(vec![message(lane, asset, value)])]).unwrap();
        }
    };
    fill(&mut queue, Lane::Ticket, 3);
    fill(&mut queue, Lane::Event, 2);
    fill(&mut queue, Lane::State, 2);
    fill(&mut queue, Lane::Telemetry, 200);
    let dropped = |queue: &Queue, lane| {
        ledger(queue, lane).dropped.get(&DropReason::BufferFull).copied().unwrap_or(0)
    };
    assert!(dropped(&queue, Lane::Telemetry) > 150);
    for lane in [Lane::Ticket, Lane::Event, Lane::State] {
        assert_eq!(dropped(&queue, lane), 0, "{lane:?}");
    }
    let gaps = &ledger(&queue, Lane::Telemetry).gaps;
    assert_eq!((gaps.len(), gaps[0].from), (1, 1), "one run from the oldest on: {gaps:?}");
    assert_eq!(gaps[0].to, gaps[0].count);
    fill(&mut queue, Lane::Ticket, 60);
    assert_eq!(ledger(&queue, Lane::Event).stored, 0);
    assert!(dropped(&queue, Lane::Ticket) > 0);
    let stored: u64 = Lane::ALL.iter().map(|lane| ledger(&queue, *lane).bytes).sum();
    assert!(stored <= 1800, "{stored}");
    assert_eq!(drained(&mut queue).last().unwrap(), "ticket/t-1/state 59");
}

#[test]
fn what_is_in_flight_is_not_evicted_and_keeps_tickets_from_it() {
    let mut queue = new_queue(400);
    queue.link_up(1).unwrap();
    queue.commit(&[turn(vec![message(Lane::Telemetry, 1, 0)])]).unwrap();
    assert_eq!(queue.take(1).unwrap().len(), 1);
    for value in 0..10 {
        queue.commit(&[turn(vec![message(Lane::Ticket, 1, value)])]).unwrap();
    }
    assert_eq!(ledger(&queue, Lane::Ticket).stored, 10);
    queue.link_down();
    queue.commit(&[]).unwrap();
    assert_eq!(ledger(&queue, Lane::Telemetry).stored, 0);
    assert!(ledger(&queue, Lane::Ticket).stored < 10);
}

#[test]
fn a_large_payload_travels_in_pieces_and_leaves_nothing_behind() {
    let mut queue = new_queue(u64::MAX);
    let mut large = message(Lane::Ticket, 1, 7);
    let Body::Flat(body) = &mut large.body else { panic!("a ticket is flat") };
    body.insert("evidence".into(), json!("x".repeat(100_000)));
    queue.commit(&[turn(vec![large])]).unwrap();
    let mut queue = restart(queue).queue;
    assert_eq!(queue.take(1).unwrap(), [], "no link, nothing taken");
    queue.link_up(1).unwrap();
    let entry = queue.take(1).unwrap().remove(0);
    assert!(entry.payload.len() > 100_000 && value_of(&entry) == Some(7));
    queue.settle(entry.key, Outcome::Acknowledged);
    queue.flush().unwrap();
    let (from, to) = (entry::message_key(entry.key), entry::lane_end(Lane::Ticket));
    assert_eq!(queue.store.scan(&from, &to, 10).unwrap(), vec![]);
    assert_eq!((ledger(&queue, Lane::Ticket).stored, ledger(&queue, Lane::Ticket).bytes), (0, 0));
}

#[test]
fn damage_costs_one_message_and_is_counted_by_its_number() {
    let mut queue = new_queue(u64::MAX);
    queue.commit(&[turn((0..3).map(|n| message(Lane::Event, 1, n)).collect())]).unwrap();
    let key = Key { lane: Lane::Event, position: Position { seq: 2, sub: 0 } };
    let (at, mut bytes) = value::raw(&*queue.store, &entry::message_key(key), 0).unwrap();
    bytes[30] ^= 1;
    let mut batch = Batch::default();
    batch.put(at, bytes);
    queue.store.commit(batch).unwrap();
    assert_eq!(taken(&mut queue), ["bay/b-1/event 0", "bay/b-1/event 2"]);
    queue.flush().unwrap();
    let gap = Gap { reason: DropReason::Damaged, from: 2, to: 2, count: 1 };
    assert_eq!(ledger(&queue, Lane::Event).gaps, [gap]);
    assert_eq!(queue.read(Lane::Event, Position::default(), 10).unwrap().len(), 2);
}

#[test]
fn messages_that_vanished_are_noticed_when_their_lane_is_empty() {
    let mut queue = new_queue(u64::MAX);
    queue.commit(&[turn(vec![message(Lane::Event, 1, 1), message(Lane::Event, 1, 2)])]).unwrap();
    let mut batch = Batch::default();
    let (from, to) = ([b'2'], entry::lane_end(Lane::Event));
    for (key, _) in queue.store.scan(&from, &to, 10).unwrap() {
        batch.remove(key);
    }
    queue.store.commit(batch).unwrap();
    assert_eq!(taken(&mut queue), Vec::<String>::new());
    queue.flush().unwrap();
    let queue = restart(queue).queue;
    assert_eq!(ledger(&queue, Lane::Event).dropped[&DropReason::Damaged], 2);
    assert_eq!(ledger(&queue, Lane::Event).stored, 0);
}

#[test]
fn records_of_any_size_come_back_and_the_last_word_counts() {
    let mut queue = new_queue(u64::MAX);
    let record = |key: &str, value: Option<usize>| Record {
        key: key.to_owned(),
        value: value.map(|size| vec![b'x'; size]),
    };
    let records = vec![
        record("bay/b-1", Some(30_000)),
        record("bay/b-10", Some(5)),
        record("bay/b", Some(1)),
        record("gone", Some(20_000)),
    ];
    queue.commit(&[Turn { records, ..Turn::default() }]).unwrap();
    let changes = vec![record("gone", Some(3)), record("gone", None), record("bay/b-1", Some(7))];
    queue.commit(&[Turn { records: changes, ..Turn::default() }]).unwrap();
    let restored = restart(queue);
    let expected =
        [record("bay/b", Some(1)), record("bay/b-1", Some(7)), record("bay/b-10", Some(5))];
    assert_eq!(restored.records, expected);
    assert_eq!(restored.damaged, Vec::<String>::new());
}

/// Fails the commit with the number it is told, before or after doing it.
struct Faulty {
    store: MemoryStore,
    fail_in: Arc<AtomicU32>,
    after: bool,
}

impl Store for Faulty {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        self.store.get(key)
    }
    fn scan(&self, from: &[u8], to: &[u8], limit: usize) -> Result<Vec<Pair>, StoreError> {
        self.store.scan(from, to, limit)
    }
    fn commit(&mut self, batch: Batch) -> Result<(), StoreError> {
        let left = self.fail_in.load(Ordering::Relaxed);
        self.fail_in.store(left.saturating_sub(1), Ordering::Relaxed);
        if left != 1 || self.after {
            self.store.commit(batch)?;
        }
        if left == 1 {
            let (path, why) = (PathBuf::from("db"), std::io::ErrorKind::StorageFull.into());
            return Err(StoreError::Io { doing: "syncing", path, why });
        }
        Ok(())
    }
    fn reopen(&mut self) -> Result<(), StoreError> {
        self.store.reopen()
    }
}

#[test]
fn a_failed_commit_is_done_wholly_or_not_at_all_and_the_queue_knows_which() {
    for after in [false, true] {
        let fail_in = Arc::new(AtomicU32::new(0));
        let store = Faulty { store: MemoryStore::default(), fail_in: Arc::clone(&fail_in), after };
        let mut queue = restore(Box::new(store), None, settings_of(u64::MAX)).unwrap().queue;
        queue.commit(&[turn(vec![message(Lane::Ticket, 1, 1)])]).unwrap();
        fail_in.store(1, Ordering::Relaxed);
        let second = turn(vec![message(Lane::Ticket, 1, 2)]);
        let outcome = queue.commit(std::slice::from_ref(&second));
        assert_eq!(outcome.is_ok(), after);
        if outcome.is_err() {
            queue.commit(&[second]).unwrap();
        }
        assert_eq!(ledger(&queue, Lane::Ticket).last.seq, 2);
        assert_eq!(drained(&mut queue), ["ticket/t-1/state 1", "ticket/t-1/state 2"]);
    }
}

#[test]
fn a_newer_layout_is_refused_and_left_alone() {
    let Queue { mut store, .. } = new_queue(u64::MAX);
    let mut batch = Batch::default();
    value::put(&mut batch, &entry::meta_key("schema"), &99_u64.to_le_bytes(), 1);
    store.commit(batch).unwrap();
    let error = restore(store, None, settings_of(1)).err().unwrap();
    assert!(matches!(error, RestoreError::NewerSchema { found: 99 }), "{error}");
}

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
                        // Two of the assets have blocks, the others messages of their own.
                        Lane::Telemetry if asset > 1 => reading(asset, value),
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

fn buffer(dir: &std::path::Path) -> Buffer {
    let commit_every = Duration::from_millis(20);
    Buffer { dir: dir.to_owned(), max_size: 1 << 20, commit_every }
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

/// Opens, stores `messages`, and closes again.
fn session(dir: &std::path::Path, messages: Vec<Message>) -> Opened {
    let opened = Outbox::open(&buffer(dir), &identity()).unwrap();
    runtime().block_on(async {
        opened.outbox.commit(turn(messages)).await.unwrap();
        opened.outbox.close().await.unwrap();
    });
    opened
}

#[test]
fn turns_committed_together_all_arrive_and_settled_ones_are_gone() {
    let dir = tempfile::tempdir().unwrap();
    let opened = Outbox::open(&buffer(dir.path()), &identity()).unwrap();
    assert_eq!((opened.boot, opened.quarantined), (Boot(1), None));
    let outbox = opened.outbox;
    runtime().block_on(async {
        let commits = (0..100).map(|n| {
            let outbox = outbox.clone();
            async move { outbox.commit(turn(vec![message(Lane::Event, 1, n)])).await.unwrap() }
        });
        let tasks: tokio::task::JoinSet<()> = commits.collect();
        tasks.join_all().await;
        outbox.link_up(1).await.unwrap();
        let entries = outbox.take(1000).await.unwrap();
        assert_eq!(entries.len(), 100);
        let settled = entries.iter().map(|e| (e.key, Outcome::Acknowledged)).collect();
        outbox.settle(settled).await.unwrap();
        // Deleted by the committer on its own, without another commit.
        while outbox.stats().await.unwrap().lanes[1].ledger.stored > 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        outbox.close().await.unwrap();
        assert!(matches!(outbox.stats().await, Err(OutboxError::Stopped)));
        let refused = outbox.commit(turn(vec![message(Lane::Event, 1, 1)])).await.unwrap_err();
        assert_eq!(refused.turn.unwrap().messages.len(), 1);
    });
    let opened = Outbox::open(&buffer(dir.path()), &identity()).unwrap();
    assert_eq!(opened.boot, Boot(2));
}

#[test]
fn damaged_snapshots_cost_nothing() {
    let dir = tempfile::tempdir().unwrap();
    session(dir.path(), vec![message(Lane::Event, 1, 1)]);
    session(dir.path(), vec![message(Lane::Event, 1, 2)]);
    let mut damaged = 0;
    for file in fs::read_dir(dir.path().join("core")).unwrap() {
        let path = file.unwrap().path();
        if path.file_name().unwrap().to_str().unwrap().starts_with("snap.") {
            fs::write(path, "not a snapshot").unwrap();
            damaged += 1;
        }
    }
    assert!(damaged > 0);
    let opened = Outbox::open(&buffer(dir.path()), &identity()).unwrap();
    assert_eq!((opened.boot, opened.quarantined), (Boot(3), None));
    let stats = runtime().block_on(opened.outbox.stats()).unwrap();
    assert_eq!(stats.lanes[1].ledger.stored, 2);
    assert_eq!(stats.lanes[1].oldest_at, Some(Utc::from_ms(1)));
}

#[test]
fn a_store_beyond_use_is_moved_aside_and_no_number_is_used_twice() {
    let dir = tempfile::tempdir().unwrap();
    session(dir.path(), vec![message(Lane::Ticket, 1, 1), message(Lane::Event, 1, 2)]);
    let mut last_boot = Boot(1);
    let mut last_seq = 1;
    for n in 1..=2 {
        fs::write(dir.path().join("core/conf"), [0xa5; 64]).unwrap();
        let opened = Outbox::open(&buffer(dir.path()), &identity()).unwrap();
        let quarantined = opened.quarantined.unwrap();
        assert_eq!(quarantined.moved_to, dir.path().join(format!("core.bad-{n}")));
        assert!(quarantined.moved_to.join("db").exists());
        assert!(opened.boot > last_boot, "{:?}", opened.boot);
        last_boot = opened.boot;
        let outbox = opened.outbox;
        let (entries, stats) = runtime().block_on(async {
            outbox.commit(turn(vec![message(Lane::Ticket, 1, 3)])).await.unwrap();
            outbox.link_up(1).await.unwrap();
            let entries = outbox.take(10).await.unwrap();
            let stats = outbox.stats().await.unwrap();
            outbox.close().await.unwrap();
            (entries, stats)
        });
        assert_eq!(entries.len(), 1);
        let seq = entries[0].key.position.seq;
        assert!(seq > last_seq, "{seq} after {last_seq}");
        let gap = &stats.lanes[0].ledger.gaps[0];
        assert_eq!((gap.reason, gap.to), (DropReason::Damaged, seq - 1));
        last_seq = seq;
    }
}

#[test]
fn a_place_that_cannot_be_written_is_named_and_nothing_is_moved() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("file");
    fs::write(&file, "x").unwrap();
    let error = Outbox::open(&buffer(&file.join("below")), &identity()).unwrap_err();
    assert!(error.to_string().contains("file/below"), "{error}");
    let held = Outbox::open(&buffer(dir.path()), &identity()).unwrap();
    let error = Outbox::open(&buffer(dir.path()), &identity()).unwrap_err();
    assert!(error.to_string().contains("in use by another process"), "{error}");
    drop(held);
    assert!(!dir.path().join("core.bad-1").exists());
}
