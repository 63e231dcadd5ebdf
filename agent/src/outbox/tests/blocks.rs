//! Blocks: many readings under one number, none twice, none lost by a commit that fails.

use super::*;
use crate::outbox::block::READINGS_MAX;
use crate::outbox::entry::Content;

const TEL: usize = Lane::Telemetry as usize;

fn readings(queue: &mut Queue, asset: u8, values: std::ops::Range<u32>) {
    for value in values {
        queue.commit(&[turn(vec![reading(asset, value)])]).unwrap();
    }
}

/// Everything that can be had, acknowledged.
fn blocks(queue: &mut Queue) -> Vec<(u64, Vec<u64>)> {
    let mut blocks = vec![];
    loop {
        let entries = queue.take(1000).unwrap();
        if entries.is_empty() {
            return blocks;
        }
        for entry in entries {
            queue.settle(entry.key, Outcome::Acknowledged);
            blocks.push((entry.key.position.seq, values_of(&entry.payload)));
        }
    }
}

#[test]
fn readings_of_a_topic_share_one_number_in_the_order_they_came() {
    let mut queue = new_queue(u64::MAX);
    queue.link_up(1).unwrap();
    for value in 0..1000 {
        readings(&mut queue, 1, value..value + 1);
        readings(&mut queue, 2, value + 5000..value + 5001);
    }
    assert_eq!(queue.stats().unwrap().lanes[TEL].gathering, 2 * (1000 % u64::from(READINGS_MAX)));
    queue.close_blocks().unwrap();
    assert!(!queue.has_open());
    let blocks = blocks(&mut queue);
    assert!(blocks.iter().map(|(seq, _)| *seq).eq(1..=6), "three blocks for each of two topics");
    let of =
        |from: u64| blocks.iter().flat_map(|(_, v)| v).filter(move |v| **v / 5000 == from / 5000);
    assert!(of(0).copied().eq(0..1000) && of(5000).copied().eq(5000..6000));
}

#[test]
fn a_reading_under_another_header_and_a_message_of_its_own_come_after_what_was_gathered() {
    let mut queue = new_queue(u64::MAX);
    queue.link_up(1).unwrap();
    readings(&mut queue, 1, 0..3);
    let doubtful = Message { quality: Quality::Uncertain, ..reading(1, 3) };
    queue.commit(&[turn(vec![doubtful, message(Lane::Telemetry, 1, 4), reading(1, 5)])]).unwrap();
    queue.close_blocks().unwrap();
    assert_eq!(blocks(&mut queue), [(1, vec![0, 1, 2]), (2, vec![3]), (3, vec![4]), (4, vec![5])]);
}

#[test]
fn a_block_closed_twice_in_one_commit_is_told_once() {
    let mut queue = new_queue(u64::MAX);
    queue.link_up(1).unwrap();
    readings(&mut queue, 1, 0..2);
    let own = |value| message(Lane::Telemetry, 1, value);
    queue.commit(&[turn(vec![own(2), own(3), reading(1, 4), own(5), own(6)])]).unwrap();
    queue.close_blocks().unwrap();
    let blocks: Vec<_> = blocks(&mut queue).into_iter().map(|(_, values)| values).collect();
    assert_eq!(blocks, [vec![0, 1], vec![2], vec![3], vec![4], vec![5], vec![6]]);
}

#[test]
fn an_open_block_is_closed_before_it_counts_as_safe() {
    let mut queue = new_queue(u64::MAX);
    readings(&mut queue, 1, 0..2);
    // A source is told that its reading is safe.
    queue.commit(&[Turn { durable: true, ..turn(vec![reading(1, 2)]) }]).unwrap();
    readings(&mut queue, 1, 3..5);
    queue.spill().unwrap();
    let mut queue = restart(queue).queue;
    queue.link_up(1).unwrap();
    assert_eq!(blocks(&mut queue), [(1, vec![0, 1, 2]), (2, vec![3, 4])]);
    assert_eq!(queue.lanes[TEL].ledger.gaps, []);
}

#[test]
fn a_kill_while_readings_are_gathered_is_told() {
    let mut queue = new_queue(u64::MAX);
    readings(&mut queue, 1, 0..2);
    let mut queue = restart(queue).queue;
    let gaps = &queue.lanes[TEL].ledger.gaps;
    assert_eq!((gaps.len(), gaps[0].reason, gaps[0].from), (1, DropReason::NotStored, 1));
    let told_up_to = gaps[0].to;
    readings(&mut queue, 1, 2..3);
    queue.link_up(1).unwrap();
    assert_eq!(blocks(&mut queue), [(told_up_to + 1, vec![2])]);
}

#[test]
fn a_commit_that_fails_leaves_the_open_block_as_it_was() {
    let fail_in = Arc::new(AtomicU32::new(0));
    let inner = MemoryStore::default();
    let store = Faulty { store: inner, fail_in: Arc::clone(&fail_in), after: false };
    let mut queue = restore(Box::new(store), None, settings_of(u64::MAX)).unwrap().queue;
    readings(&mut queue, 1, 0..2);
    fail_in.store(1, Ordering::Relaxed);
    let both = turn(vec![reading(1, 2), message(Lane::Event, 1, 9)]);
    queue.commit(std::slice::from_ref(&both)).unwrap_err();
    assert_eq!(queue.memory.gathering(), 2);
    queue.commit(&[both]).unwrap();
    queue.link_up(1).unwrap();
    assert_eq!(blocks(&mut queue), [(1, vec![9]), (1, vec![0, 1, 2])]);
}

#[test]
fn open_blocks_are_bounded_together() {
    let mut queue = new_queue(u64::MAX);
    let mut large = reading(0, 0);
    large.body =
        Body::Flat(Map::from_iter([("points".to_owned(), json!([{"track": "x".repeat(20_000)}]))]));
    for asset in 0..200 {
        let topic = Topic::AssetTelemetry(bay(asset));
        queue.commit(&[turn(vec![Message { topic, ..large.clone() }])]).unwrap();
        assert!(queue.memory.open_bytes <= block::OPEN_BYTES_MAX);
    }
    queue.link_up(1).unwrap();
    assert_eq!(blocks(&mut queue).len(), 200);
}

#[test]
fn blocks_are_stored_compressed_and_can_travel_so() {
    let mut queue = new_queue(u64::MAX);
    readings(&mut queue, 1, 0..300);
    queue.spill().unwrap();
    let page = queue.read(Lane::Telemetry, Position::default(), 10).unwrap();
    let (stored, slot) = queue::stored(page[0].0, &page[0].1).unwrap();
    assert!(matches!(stored.content, Content::Packed(_)));
    assert_eq!((page.len(), slot.pieces), (1, 1));
    queue.link_up(1).unwrap();
    let entry = queue.take(1).unwrap().remove(0);
    assert!(entry.replay && slot.bytes * 4 < entry.payload.len() as u64, "{}", slot.bytes);
    let travelled = zstd::stream::decode_all(&entry.compressed().unwrap()[..]).unwrap();
    assert_eq!(travelled, crate::mqtt::payload::mark_replay(&entry.payload));
}
