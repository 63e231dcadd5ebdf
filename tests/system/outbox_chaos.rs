//! Tens of thousands of messages to a broker that hangs up, keeps acknowledgements back and sends them in
//! any order: each arrives, none is taken for delivered that was not, and the numbers have no gaps.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use domain::output::Lane;
use serde_json::Value;
use steward::config::Version;
use steward::outbox::{Outbox, Stats, Turn};
use system_tests::broker::{Random, ScriptedBroker, Seen, Speaks, Temper};
use system_tests::outbox::{broker_at, buffer, identity, message, only, start, stored, value_of};

const PATIENCE: Duration = Duration::from_secs(120);
const VERSIONS: [Version; 2] = [Version::V311, Version::V5];
const KIND: Temper = Temper {
    refuse: 0,
    kick: 0,
    cut_before: 0,
    cut_after: 0,
    withhold: 0,
    batch: 0,
    negative: 0,
    reason: 0,
    speaks: Speaks::Both,
    receive_max: 0,
    packet_max: 0,
    poison: None,
    deaf_after: 0,
};
const UNKIND: Temper =
    Temper { refuse: 50, kick: 50, cut_before: 6, cut_after: 6, batch: 7, ..KIND };

/// Waits until nothing is stored any more.
async fn emptied(outbox: &Outbox) -> Stats {
    let empty = |stats: &Stats| stats.lanes.iter().all(|lane| lane.ledger.stored == 0);
    stored(outbox, PATIENCE, empty).await
}

/// Commits `count` messages of random lanes in turns of random sizes.
async fn produce(outbox: &Outbox, random: &mut Random, count: u64) -> BTreeMap<String, u64> {
    let mut last_states = BTreeMap::new();
    let mut value = 0;
    while value < count {
        let mut turn = Turn::default();
        for _ in 0..=random.below(60) {
            value += 1;
            let lane = Lane::ALL[usize::try_from(random.below(4)).unwrap()];
            let asset = u32::try_from(random.below(50)).unwrap();
            if lane == Lane::State {
                last_states.insert(format!("steward/v1/t/s/box/bay/b-{asset}/state"), value);
            }
            turn.messages.push(message(lane, asset, value).unwrap());
        }
        outbox.commit(turn).await.unwrap();
    }
    last_states
}

/// What the far end can tell from the messages alone. Answers how many came more than once.
fn judge(seen: &Seen, stats: &Stats) -> usize {
    let mut first: BTreeMap<(String, u64), Value> = BTreeMap::new();
    let mut last_new: BTreeMap<String, u64> = BTreeMap::new();
    let mut values = BTreeSet::new();
    let mut repeats = 0;
    for taken in seen.taken.iter().filter(|taken| taken.qos == 1) {
        let mut payload: Value = serde_json::from_slice(&taken.payload).unwrap();
        let Some(seq) = payload["seq"].as_u64() else { continue };
        payload.as_object_mut().unwrap().remove("replay");
        let lane = payload["lane"].as_str().unwrap().to_owned();
        assert_eq!(payload["id"], format!("box-{lane}-{seq}"));
        if let Some(before) = first.get(&(lane.clone(), seq)) {
            assert_eq!(*before, payload, "the same number, another message");
            repeats += 1;
            continue;
        }
        let previous = last_new.insert(lane.clone(), seq).unwrap_or(0);
        assert_eq!(seq, previous + 1, "{lane}: first seen out of order, or lost");
        assert!(values.insert(value_of(&payload).unwrap()), "one message under two numbers");
        first.insert((lane, seq), payload);
    }
    for lane in &stats.lanes {
        let last = last_new.get(lane.lane.as_str()).copied().unwrap_or(0);
        assert_eq!(last, lane.ledger.last.seq, "{:?}: the last ones are missing", lane.lane);
        assert_eq!(lane.ledger.acknowledged, lane.ledger.accepted - lane.ledger.coalesced);
        assert!(lane.ledger.dropped.is_empty(), "{:?}", lane.ledger.dropped);
    }
    repeats
}

async fn chaos(version: Version, seed: u64, count: u64, window: u16, temper: Temper) {
    let dir = tempfile::tempdir().unwrap();
    let broker = ScriptedBroker::start(seed, temper).await.unwrap();
    let opened = Outbox::open(&buffer(dir.path()), &identity().unwrap()).unwrap();
    let settings = broker_at(broker.addr(), window);
    let running = start(opened, dir.path(), settings, only(version));
    let mut random = Random(seed ^ 0xfeed);
    let states = produce(&running.outbox, &mut random, count).await;
    // Told to be delivered only what was acknowledged, at any time.
    let acknowledged: u64 =
        running.outbox.stats().await.unwrap().lanes.iter().map(|l| l.ledger.acknowledged).sum();
    assert!(acknowledged <= broker.look(|seen| seen.acknowledged));
    // Time heals: what was withheld comes again over another connection.
    let healed = Temper { withhold: 0, ..temper };
    broker.set_temper(healed);
    let stats = emptied(&running.outbox).await;
    running.stop.cancel();
    running.pipe.await.unwrap().unwrap();
    let seen = broker.seen();
    let repeats = judge(&seen, &stats);
    for (topic, value) in states {
        let payload: Value = serde_json::from_slice(&seen.retained[&topic]).unwrap();
        assert_eq!(value_of(&payload), Some(value), "{topic} shows the past");
    }
    if temper == KIND {
        assert_eq!((repeats, seen.connections), (0, 1), "nothing went wrong, and yet");
    } else {
        assert!(seen.connections > 20, "hardly a test: {} connections", seen.connections);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_lost_on_an_unkind_broker() {
    for version in VERSIONS {
        for (seed, window) in [(1, 20), (2, 1), (3, 100)] {
            let count = if window == 1 { 2_000 } else { 8_000 };
            chaos(version, seed, count, window, UNKIND).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn acknowledgements_that_never_come_end_the_connection_and_not_the_message() {
    for version in VERSIONS {
        chaos(version, 4, 2_000, 20, Temper { withhold: 2, cut_before: 20, ..UNKIND }).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_kind_broker_gets_everything_once_over_one_connection() {
    for version in VERSIONS {
        chaos(version, 5, 10_000, 100, KIND).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_box_says_when_it_comes_and_when_it_goes() {
    let dir = tempfile::tempdir().unwrap();
    let broker = ScriptedBroker::start(6, KIND).await.unwrap();
    let opened = Outbox::open(&buffer(dir.path()), &identity().unwrap()).unwrap();
    let settings = broker_at(broker.addr(), 10);
    let mut running = start(opened, dir.path(), settings, only(Version::V5));
    running.health.send_replace(Some(b"{\"ok\":true}".to_vec()));
    let shown = |topic: &'static str, word: &'static str| {
        move |seen: &Seen| {
            let payload = seen.retained.get(topic).map(|bytes| String::from_utf8_lossy(bytes));
            payload.is_some_and(|text| text.contains(word))
        }
    };
    let status = "steward/v1/t/s/box/status";
    assert!(broker.wait(PATIENCE, shown(status, "\"online\"")).await);
    assert!(broker.wait(PATIENCE, shown("steward/v1/t/s/box/health", "ok")).await);
    running.status.wait_for(|s| s.connected && s.conn == 1).await.unwrap();
    running
        .outbox
        .commit(Turn { messages: vec![message(Lane::Ticket, 1, 1).unwrap()], ..Turn::default() })
        .await
        .unwrap();
    // Stopped at once: what was committed may go or stay, but the goodbye comes, and comes last.
    running.stop.cancel();
    running.pipe.await.unwrap().unwrap();
    assert!(broker.wait(PATIENCE, |seen| seen.goodbyes == 1).await);
    let seen = broker.seen();
    assert_eq!((seen.wills.len(), seen.clients), (0, vec![("box".to_owned(), true)]));
    let last = seen.taken.iter().rfind(|taken| taken.topic == status).unwrap();
    let last: Value = serde_json::from_slice(&last.payload).unwrap();
    assert_eq!(
        (&last["state"], &last["boot"], &last["conn"]),
        (&"offline".into(), &1.into(), &1.into())
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_broker_cannot_take_does_not_hold_up_the_rest() {
    let dir = tempfile::tempdir().unwrap();
    let broker = ScriptedBroker::start(7, KIND).await.unwrap();
    let opened = Outbox::open(&buffer(dir.path()), &identity().unwrap()).unwrap();
    let mut large = message(Lane::Event, 1, 2).unwrap();
    if let domain::output::Body::Event { data, .. } = &mut large.body {
        data.insert("track".into(), "x".repeat(200_000).into());
    }
    let messages =
        vec![message(Lane::Event, 1, 1).unwrap(), large, message(Lane::Event, 1, 3).unwrap()];
    opened.outbox.commit(Turn { messages, ..Turn::default() }).await.unwrap();
    let settings = broker_at(broker.addr(), 10);
    let running = start(opened, dir.path(), settings, only(Version::V311));
    let stats = emptied(&running.outbox).await;
    let ledger = &stats.lanes[1].ledger;
    assert_eq!(ledger.acknowledged, 2);
    assert_eq!(
        (ledger.gaps.len(), ledger.gaps[0].from, ledger.gaps[0].reason.as_str()),
        (1, 2, "too_large")
    );
    assert_eq!(broker.look(|seen| seen.connections), 1);
    running.stop.cancel();
    running.pipe.await.unwrap().unwrap();
}
