//! What is taken when, what replaces what, what gives way, and what damage or a failed commit costs.

use super::*;

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
fn what_is_too_old_goes_and_what_has_no_age_stays() {
    const NOON: i64 = 1_780_545_600_000;
    let event =
        |value: u32, at: i64| Message { at: Utc::from_ms(at), ..message(Lane::Event, 1, value) };
    let mut queue = new_queue(u64::MAX);
    queue.max_age[Lane::Event as usize] = Some(Duration::from_secs(3600));
    // The first was dated by a clock that nobody had set.
    let minute = 60_000;
    let messages = vec![event(1, 5), event(2, NOON), event(3, NOON + 50 * minute)];
    queue.commit(&[turn(messages)]).unwrap();
    let mut pass = |now: Option<Utc>| {
        for value in 0..70 {
            let messages = vec![message(Lane::Ticket, 1, value)];
            queue.commit(&[Turn { now, ..turn(messages) }]).unwrap();
        }
        ledger(&queue, Lane::Event).clone()
    };
    assert_eq!(pass(None).stored, 3, "nobody knows the time");
    assert_eq!(pass(Some(Utc::from_ms(NOON + 59 * minute))).stored, 3);
    let ledger = pass(Some(Utc::from_ms(NOON + 61 * minute)));
    let gap = Gap { reason: DropReason::TooOld, from: 2, to: 2, count: 1 };
    assert_eq!((ledger.stored, ledger.gaps), (2, vec![gap]));
    assert_eq!(ledger.dropped, BTreeMap::from([(DropReason::TooOld, 1)]));
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
