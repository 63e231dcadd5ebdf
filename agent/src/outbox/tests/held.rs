//! Telemetry in memory: nothing on disk while the link is up, everything when it is down, and after a
//! kill the truth about what is gone.

use super::*;
use crate::outbox::held::BYTES_MAX;

const TEL: usize = Lane::Telemetry as usize;

fn online() -> Queue {
    let mut queue = new_queue(u64::MAX);
    queue.link_up(1).unwrap();
    queue
}

fn telemetry(queue: &mut Queue, values: std::ops::Range<u32>) {
    for value in values {
        queue.commit(&[turn(vec![message(Lane::Telemetry, 1, value)])]).unwrap();
    }
}

fn acknowledge(queue: &mut Queue, max: usize) -> Vec<u64> {
    let entries = queue.take(max).unwrap();
    let numbers = entries.iter().map(|entry| entry.key.position.seq).collect();
    entries.iter().for_each(|entry| queue.settle(entry.key, Outcome::Acknowledged));
    numbers
}

fn on_disk(queue: &Queue) -> usize {
    let (from, to) = ([b'4'], entry::lane_end(Lane::Telemetry));
    queue.store.scan(&from, &to, usize::MAX).unwrap().len()
}

fn balanced(queue: &Queue) {
    let Ledger { accepted, coalesced, acknowledged, stored, dropped, .. } =
        ledger(queue, Lane::Telemetry);
    assert_eq!(*accepted, coalesced + acknowledged + stored + dropped.values().sum::<u64>());
}

#[test]
fn telemetry_that_the_broker_takes_never_touches_the_disk() {
    let mut queue = online();
    telemetry(&mut queue, 0..1);
    let commits = queue.commits;
    for value in 1..500 {
        telemetry(&mut queue, value..value + 1);
        assert!(!acknowledge(&mut queue, 100).is_empty());
        queue.flush().unwrap();
    }
    assert_eq!((queue.commits, on_disk(&queue)), (commits, 0), "something was written");
    let ledger = ledger(&queue, Lane::Telemetry);
    assert_eq!((ledger.acknowledged, ledger.stored, ledger.bytes), (500, 0, 0));
}

#[test]
fn a_link_that_dies_stores_what_is_in_memory_and_a_restart_has_no_gap() {
    let mut queue = online();
    telemetry(&mut queue, 0..10);
    assert_eq!(acknowledge(&mut queue, 4), [1, 2, 3, 4]);
    assert_eq!(queue.take(3).unwrap().len(), 3, "in flight when the link dies");
    queue.link_down();
    queue.spill().unwrap();
    assert_eq!(on_disk(&queue), 6);
    let mut queue = restart(queue).queue;
    telemetry(&mut queue, 10..12);
    let expected: Vec<_> = (4..12).map(|value| format!("bay/b-1/tel {value}")).collect();
    assert_eq!(drained(&mut queue), expected);
    queue.flush().unwrap();
    balanced(&queue);
    let ledger = ledger(&queue, Lane::Telemetry);
    assert_eq!((ledger.last.seq, ledger.acknowledged), (12, 12));
    assert!(ledger.dropped.is_empty() && ledger.gaps.is_empty());
}

#[test]
fn a_clean_end_stores_what_is_in_memory_though_the_link_is_up() {
    let mut queue = online();
    telemetry(&mut queue, 0..3);
    queue.spill().unwrap();
    let mut queue = restart(queue).queue;
    telemetry(&mut queue, 3..4);
    assert_eq!(ledger(&queue, Lane::Telemetry).last.seq, 4);
    assert_eq!(drained(&mut queue).len(), 4);
    assert!(ledger(&queue, Lane::Telemetry).gaps.is_empty());
}

#[test]
fn a_kill_costs_what_is_in_memory_and_the_ledger_says_so() {
    let mut queue = new_queue(u64::MAX);
    telemetry(&mut queue, 0..2);
    queue.link_up(1).unwrap();
    telemetry(&mut queue, 2..5);
    // An event is stored, and with it what is known of telemetry.
    queue.commit(&[turn(vec![message(Lane::Event, 1, 1)])]).unwrap();
    telemetry(&mut queue, 5..7);
    let mut queue = restart(queue).queue;
    balanced(&queue);
    let lost = ledger(&queue, Lane::Telemetry);
    assert_eq!(lost.dropped, BTreeMap::from([(DropReason::NotStored, 3)]));
    let (gap, before) = (lost.gaps.last().unwrap().clone(), lost.last.seq);
    assert_eq!((gap.reason, gap.from, gap.to), (DropReason::NotStored, 3, before));
    assert!(before >= 7, "number {before} may be used twice");
    telemetry(&mut queue, 7..8);
    let events_first = ["bay/b-1/event 1", "bay/b-1/tel 0", "bay/b-1/tel 1", "bay/b-1/tel 7"];
    assert_eq!(drained(&mut queue), events_first);
    assert_eq!(ledger(&queue, Lane::Telemetry).last.seq, before + 1);
    let queue = restart(queue).queue;
    assert_eq!(ledger(&queue, Lane::Telemetry).gaps.len(), 1, "one kill is told once");
}

#[test]
fn what_gets_old_or_large_is_stored_while_the_link_is_up() {
    let mut queue = online();
    telemetry(&mut queue, 0..3);
    let last = queue.last_given();
    assert_eq!(acknowledge(&mut queue, 3).len(), 3);
    telemetry(&mut queue, 3..5);
    queue.spill_up_to(last).unwrap();
    assert_eq!(on_disk(&queue), 0, "what was old had arrived");
    queue.spill_up_to(queue.last_given()).unwrap();
    assert_eq!(on_disk(&queue), 2);
    let mut large = message(Lane::Telemetry, 2, 9);
    let Body::Flat(body) = &mut large.body else { panic!("telemetry is flat") };
    body.insert("track".into(), json!("x".repeat(70_000)));
    let enough = usize::try_from(BYTES_MAX / 70_000).unwrap() + 2;
    for _ in 0..enough {
        queue.commit(&[turn(vec![large.clone()])]).unwrap();
        assert!(queue.memory.held.bytes < BYTES_MAX + 80_000);
    }
    assert!(on_disk(&queue) > enough, "memory is bounded");
    queue.link_down();
    queue.flush().unwrap();
    assert_eq!(drained(&mut queue).len(), 2 + enough);
}

#[test]
fn room_is_made_in_memory_too() {
    let mut queue = new_queue(2000);
    telemetry(&mut queue, 0..3);
    queue.link_up(1).unwrap();
    telemetry(&mut queue, 3..60);
    balanced(&queue);
    assert!(ledger(&queue, Lane::Telemetry).bytes <= 2000);
    assert_eq!(drained(&mut queue).last().unwrap(), "bay/b-1/tel 59");
    assert_eq!(queue.lanes[TEL].ledger.gaps[0].from, 1, "oldest first");
}

#[test]
fn what_a_source_is_told_about_is_on_disk_though_the_link_is_up() {
    let mut queue = online();
    telemetry(&mut queue, 0..2);
    let messages = vec![message(Lane::Telemetry, 1, 2)];
    queue.commit(&[Turn { messages, durable: true, ..Turn::default() }]).unwrap();
    telemetry(&mut queue, 3..4);
    assert_eq!(on_disk(&queue), 3);
    assert_eq!(acknowledge(&mut queue, 10), [1, 2, 3, 4], "disk and memory are one lane");
    telemetry(&mut queue, 4..5);
    assert_eq!(on_disk(&queue), 0);
    balanced(&queue);
}

#[tokio::test]
async fn telemetry_moves_to_disk_when_it_is_old_when_the_link_dies_and_at_the_end() {
    let dir = tempfile::tempdir().unwrap();
    let open = || Outbox::open(&buffer(dir.path()), &identity()).unwrap().outbox;
    let outbox = open();
    let commit = async |outbox: &Outbox, value| {
        outbox.commit(turn(vec![message(Lane::Telemetry, 1, value)])).await.unwrap();
    };
    outbox.link_up(1).await.unwrap();
    commit(&outbox, 1).await;
    assert!(in_memory(&outbox).await > 0);
    // Nobody acknowledges it.
    tokio::time::timeout(4 * AGE_MAX, async {
        while in_memory(&outbox).await > 0 {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    })
    .await
    .expect("it got old and is in memory still");
    commit(&outbox, 2).await;
    outbox.release_all().await.unwrap();
    assert_eq!(in_memory(&outbox).await, 0);
    outbox.link_up(2).await.unwrap();
    commit(&outbox, 3).await;
    // The power is failing.
    outbox.spill().await.unwrap();
    assert_eq!(in_memory(&outbox).await, 0);
    commit(&outbox, 4).await;
    outbox.close().await.unwrap();
    let stats = open().stats().await.unwrap();
    let ledger = &stats.lanes[TEL].ledger;
    assert_eq!((ledger.stored, ledger.last.seq, ledger.gaps.len()), (4, 4, 0));
}

async fn in_memory(outbox: &Outbox) -> u64 {
    outbox.stats().await.unwrap().lanes[TEL].in_memory
}
