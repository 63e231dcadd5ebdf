//! What a broker can do to a link beside hanging up, one thing at a time, in both versions of MQTT where
//! both can tell: refuse a message, allow little, stop listening, know no MQTT 5, choke on one message.

use std::time::Duration;

use domain::output::{Body, Lane, Message};
use serde_json::Value;
use steward::config::{Rate, Traffic, Version};
use steward::mqtt::{LinkStatus, Refusal};
use steward::outbox::{Outbox, Stats, Turn};
use system_tests::broker::{ScriptedBroker, Seen, Speaks, Temper};
use system_tests::outbox::{
    Running, broker_at, buffer, identity, message, only, start, stored, value_of,
};

const PATIENCE: Duration = Duration::from_secs(60);
const VERSIONS: [Version; 2] = [Version::V311, Version::V5];
const ANY: Traffic = Traffic {
    protocol: None,
    replay: Rate::UNLIMITED,
    day_bytes: None,
    compress: false,
    columns: false,
};

/// A box with a broker of some temper, and a directory that lives as long.
struct Rig {
    dir: tempfile::TempDir,
    broker: ScriptedBroker,
    running: Running,
}

async fn rig(temper: Temper, traffic: Traffic, window: u16, messages: Vec<Message>) -> Rig {
    let dir = tempfile::tempdir().unwrap();
    let broker = ScriptedBroker::start(1, temper).await.unwrap();
    let opened = Outbox::open(&buffer(dir.path()), &identity().unwrap()).unwrap();
    opened.outbox.commit(Turn { messages, ..Turn::default() }).await.unwrap();
    let running = start(opened, dir.path(), broker_at(broker.addr(), window), traffic);
    Rig { dir, broker, running }
}

impl Rig {
    async fn emptied(&self) -> Stats {
        stored(&self.running.outbox, PATIENCE, |stats| {
            stats.lanes.iter().all(|lane| lane.ledger.stored == 0)
        })
        .await
    }

    async fn end(self) -> (Seen, tempfile::TempDir) {
        self.running.stop.cancel();
        self.running.pipe.await.unwrap().unwrap();
        (self.broker.seen(), self.dir)
    }
}

fn events(values: std::ops::RangeInclusive<u64>) -> Vec<Message> {
    values.map(|value| message(Lane::Event, 1, value).unwrap()).collect()
}

/// The values of what was taken, in order.
fn values(seen: &Seen) -> Vec<u64> {
    let payload = |bytes: &[u8]| serde_json::from_slice::<Value>(bytes).ok();
    seen.taken.iter().filter_map(|t| payload(&t.payload)).filter_map(|p| value_of(&p)).collect()
}

fn with_text(mut message: Message, text: String) -> Message {
    if let Body::Event { data, .. } = &mut message.body {
        data.insert("text".into(), text.into());
    }
    message
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refused_message_is_kept_and_offered_again_until_it_is_taken() {
    for (reason, word) in [(0x87, Refusal::NotAuthorized), (0x97, Refusal::Quota)] {
        let temper = Temper { negative: 1000, reason, ..Temper::default() };
        let rig = rig(temper, only(Version::V5), 10, events(1..=30)).await;
        let mut status = rig.running.status.clone();
        let refused = |s: &LinkStatus| s.refusals.get(&word).is_some_and(|n| *n > 15);
        tokio::time::timeout(PATIENCE, status.wait_for(refused)).await.unwrap().unwrap();
        let stats = rig.running.outbox.stats().await.unwrap();
        let ledger = &stats.lanes[Lane::Event as usize].ledger;
        assert_eq!((ledger.stored, ledger.acknowledged), (30, 0), "nothing passes for delivered");
        rig.broker.set_temper(Temper::default());
        let stats = rig.emptied().await;
        assert_eq!(stats.lanes[Lane::Event as usize].ledger.acknowledged, 30);
        let (seen, _) = rig.end().await;
        assert_eq!(seen.connections, 1, "no reason to hang up");
        let mut got = values(&seen);
        got.sort_unstable();
        assert_eq!(got, (1..=30).collect::<Vec<_>>());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_the_broker_cannot_read_is_kept_aside_at_last() {
    // 0x99: the payload is not what it should be.
    let temper = Temper { negative: 1000, reason: 0x99, ..Temper::default() };
    let rig = rig(temper, only(Version::V5), 10, events(1..=2)).await;
    let stats = rig.emptied().await;
    let ledger = &stats.lanes[Lane::Event as usize].ledger;
    let refused: u64 = ledger.dropped.values().sum();
    assert_eq!((ledger.acknowledged, refused, ledger.gaps[0].reason.as_str()), (0, 2, "refused"));
    let (seen, dir) = rig.end().await;
    assert_eq!(seen.negatives, 2 + 2 * 3, "online, offline, and three offers each");
    let letter = std::fs::read(dir.path().join("undelivered/event-2.json")).unwrap();
    let letter: Value = serde_json::from_slice(&letter).unwrap();
    let payload: Value = serde_json::from_str(letter["payload"].as_str().unwrap()).unwrap();
    assert_eq!((value_of(&payload), &letter["reason"]), (Some(2), &"refused".into()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_broker_allows_is_kept() {
    let temper = Temper { receive_max: 3, packet_max: 2000, batch: 3, ..Temper::default() };
    let large = with_text(message(Lane::Event, 1, 7).unwrap(), "x".repeat(3000));
    let messages = [events(1..=6), vec![large], events(8..=200)].concat();
    let rig = rig(temper, only(Version::V5), 50, messages).await;
    let stats = rig.emptied().await;
    let ledger = &stats.lanes[Lane::Event as usize].ledger;
    assert_eq!((ledger.acknowledged, ledger.gaps[0].from), (199, 7));
    let (seen, dir) = rig.end().await;
    assert_eq!((seen.connections, seen.oversize), (1, 0));
    assert!(seen.unanswered_max <= 3, "{}", seen.unanswered_max);
    assert!(dir.path().join("undelivered/event-7.json").exists());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broker_without_mqtt_5_gets_3_1_1_and_it_is_remembered() {
    for speaks in [Speaks::Old, Speaks::OldAndRude] {
        let temper = Temper { speaks, ..Temper::default() };
        let rig = rig(temper, ANY, 10, events(1..=5)).await;
        rig.emptied().await;
        // Another connection is made as the first one was.
        rig.broker.set_temper(Temper { cut_before: 1000, ..temper });
        rig.running
            .outbox
            .commit(Turn { messages: events(6..=6), ..Turn::default() })
            .await
            .unwrap();
        assert!(rig.broker.wait(PATIENCE, |seen| seen.connections >= 4).await);
        rig.broker.set_temper(temper);
        rig.emptied().await;
        assert_eq!(rig.running.status.borrow().version, Some(Version::V311));
        let (seen, _) = rig.end().await;
        let fives = seen.levels.iter().filter(|level| **level == 5).count();
        assert!((1..=2).contains(&fives), "{:?}", seen.levels);
        assert_eq!(values(&seen), [1, 2, 3, 4, 5, 6]);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn mqtt_5_says_what_a_payload_is_and_whether_it_is_late() {
    let messages = vec![message(Lane::Event, 1, 1).unwrap(), message(Lane::State, 1, 2).unwrap()];
    let rig = rig(Temper::default(), ANY, 10, messages).await;
    rig.emptied().await;
    let (seen, _) = rig.end().await;
    let late = vec![("replay".to_owned(), "true".to_owned())];
    let told = |class: &str| {
        let taken = seen.taken.iter().find(|taken| taken.topic.ends_with(class)).unwrap();
        (taken.content_type.clone().unwrap(), taken.user.clone())
    };
    assert_eq!(told("/event"), ("application/cloudevents+json".to_owned(), late.clone()));
    assert_eq!(told("/state"), ("application/json".to_owned(), late));
    assert_eq!(told("/status"), ("application/json".to_owned(), vec![]));
    assert!(seen.levels.iter().all(|level| *level == 5));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broker_that_stops_reading_is_left() {
    for version in VERSIONS {
        let temper = Temper { deaf_after: 5, ..Temper::default() };
        // More than the sockets between can hold, so that a flush never ends.
        let large = |value| with_text(message(Lane::Event, 1, value).unwrap(), "x".repeat(90_000));
        let rig = rig(temper, only(version), 200, (1..=120).map(large).collect()).await;
        assert!(rig.broker.wait(PATIENCE, |seen| seen.connections >= 2).await, "{version}");
        rig.broker.set_temper(Temper::default());
        let stats = rig.emptied().await;
        assert_eq!(stats.lanes[Lane::Event as usize].ledger.acknowledged, 120);
        let (seen, _) = rig.end().await;
        assert!(values(&seen).len() >= 120);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_that_kills_every_connection_is_kept_aside_and_the_rest_goes_on() {
    for version in VERSIONS {
        let temper = Temper { poison: Some("arsenic"), ..Temper::default() };
        let bad = with_text(message(Lane::Event, 1, 4).unwrap(), "arsenic".to_owned());
        let messages = [events(1..=3), vec![bad], events(5..=60)].concat();
        let rig = rig(temper, only(version), 20, messages).await;
        let stats = rig.emptied().await;
        let ledger = &stats.lanes[Lane::Event as usize].ledger;
        assert_eq!((ledger.acknowledged, ledger.gaps.len()), (59, 1));
        assert_eq!((ledger.gaps[0].from, ledger.gaps[0].reason.as_str()), (4, "poison"));
        assert_eq!(rig.running.status.borrow().lanes[Lane::Event as usize].quarantined, 1);
        let (seen, dir) = rig.end().await;
        assert!(seen.connections < 15, "{}", seen.connections);
        let letter = std::fs::read_to_string(dir.path().join("undelivered/event-4.json")).unwrap();
        assert!(letter.contains("arsenic") && letter.contains("poison"), "{letter}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_happens_now_goes_before_what_is_late() {
    // Late: 300 events, of which ten may go each second.
    let traffic = Traffic { replay: Rate { messages: 10, bytes: 1 << 30 }, ..ANY };
    let rig = rig(Temper::default(), traffic, 20, events(1..=300)).await;
    assert!(rig.broker.wait(PATIENCE, |seen| values(seen).len() >= 10).await);
    let now = vec![message(Lane::State, 9, 1000).unwrap(), message(Lane::Ticket, 9, 1001).unwrap()];
    rig.running.outbox.commit(Turn { messages: now, ..Turn::default() }).await.unwrap();
    let came = |seen: &Seen| values(seen).iter().filter(|value| **value >= 1000).count() == 2;
    assert!(rig.broker.wait(PATIENCE, came).await);
    let late = rig.broker.look(|seen| values(seen).iter().filter(|v| **v < 1000).count());
    assert!(late < 250, "{late}: what was late went first");
    let (seen, _) = rig.end().await;
    let order: Vec<u64> = values(&seen).into_iter().filter(|value| *value < 1000).collect();
    assert!(order.is_sorted(), "{order:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn over_the_day_s_bytes_telemetry_waits_and_tickets_do_not() {
    let traffic = Traffic { day_bytes: Some(10_000), ..ANY };
    let tel = |value| message(Lane::Telemetry, 1, value).unwrap();
    let rig = rig(Temper::default(), traffic, 10, (1..=100).map(tel).collect()).await;
    let mut status = rig.running.status.clone();
    let held = |s: &LinkStatus| s.lanes[Lane::Telemetry as usize].held_back;
    tokio::time::timeout(PATIENCE, status.wait_for(held)).await.unwrap().unwrap();
    let ticket = (1..=100).map(|value| message(Lane::Ticket, 1, 1000 + value).unwrap()).collect();
    rig.running.outbox.commit(Turn { messages: ticket, ..Turn::default() }).await.unwrap();
    let stats = stored(&rig.running.outbox, PATIENCE, |stats| {
        stats.lanes[Lane::Ticket as usize].ledger.stored == 0
    })
    .await;
    let telemetry = &stats.lanes[Lane::Telemetry as usize].ledger;
    assert!((10..90).contains(&telemetry.stored), "{}", telemetry.stored);
    assert!(telemetry.dropped.is_empty(), "held back, not dropped");
    let (seen, dir) = rig.end().await;
    assert!(values(&seen).iter().filter(|value| **value > 1000).count() == 100);
    let day = std::fs::read_to_string(dir.path().join("day-bytes.json")).unwrap();
    let day: Value = serde_json::from_str(&day).unwrap();
    assert!(day["spent"].as_u64().unwrap() > 10_000, "{day}");
}
