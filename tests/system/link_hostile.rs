//! A broker that does everything wrong at once, in both versions of MQTT: it cuts connections, loses
//! sessions, acknowledges out of order, late or never, refuses with a reason, and dies of large packets.
//! Nothing is lost, nothing passes for delivered that is not, and what comes twice is the same message.
//!
//! The long form is a million messages:
//! `cargo test --release -p system-tests --test system -- --ignored a_million`

use std::collections::BTreeSet;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::Duration;

use domain::output::{Body, Lane, Message};
use serde_json::Value;
use steward::config::Version;
use steward::outbox::{DropReason, Outbox, Stats, Turn};
use system_tests::broker::{Random, ScriptedBroker, Taken, Temper};
use system_tests::outbox::{broker_at, buffer, identity, message, only, start, stored, value_of};
use tokio::task::JoinHandle;

const PATIENCE: Duration = Duration::from_secs(600);
/// Messages not delivered at which the producer waits: nothing may be evicted.
const BACKLOG_MAX: u64 = 20_000;
/// One message in so many is larger than the broker takes.
const LARGE_EVERY: u64 = 9_973;
/// What the broker takes at most, in bytes.
const PACKET_MAX: u32 = 100_000;

/// Its moods: most of the time it cuts, now and then it keeps acknowledgements back or refuses.
fn mood(random: &mut Random) -> Temper {
    let cutting = Temper {
        refuse: 50,
        kick: 50,
        cut_before: 3,
        cut_after: 3,
        batch: 7,
        packet_max: PACKET_MAX,
        ..Temper::default()
    };
    match random.below(40) {
        0 => Temper { withhold: 5, ..cutting },
        1..3 => Temper { negative: 50, ..cutting },
        3..8 => Temper { receive_max: 5, batch: 5, ..cutting },
        8..16 => Temper { batch: 19, cut_before: 0, cut_after: 0, ..cutting },
        _ => cutting,
    }
}

/// What the far end remembers of a lane: the content under each number, from 1.
#[derive(Default)]
struct FarEnd {
    lanes: [Vec<Option<u64>>; 4],
    values: BTreeSet<u64>,
    again: u64,
}

impl FarEnd {
    fn hear(&mut self, taken: &Taken) {
        let mut payload: Value = serde_json::from_slice(&taken.payload).unwrap();
        let Some(seq) = payload["seq"].as_u64() else { return };
        payload.as_object_mut().unwrap().remove("replay");
        let lane = Lane::ALL.into_iter().find(|lane| payload["lane"] == lane.as_str()).unwrap();
        assert_eq!(payload["id"], format!("box-{}-{seq}", lane.as_str()));
        let mut hasher = DefaultHasher::new();
        payload.to_string().hash(&mut hasher);
        let (known, at) = (&mut self.lanes[lane as usize], usize::try_from(seq).unwrap() - 1);
        if known.len() <= at {
            known.resize(at + 1, None);
        }
        match known[at] {
            Some(before) => {
                assert_eq!(before, hasher.finish(), "{lane:?} {seq}: another message, same number");
                self.again += 1;
            }
            None => {
                known[at] = Some(hasher.finish());
                let value = value_of(&payload).unwrap();
                assert!(self.values.insert(value), "value {value} under two numbers");
            }
        }
    }

    /// Numbers up to `last` that did not come.
    fn missing(&self, lane: Lane, last: u64) -> Vec<u64> {
        let known = &self.lanes[lane as usize];
        let heard =
            |seq: &u64| known.get(usize::try_from(seq - 1).unwrap()).is_some_and(Option::is_some);
        (1..=last).filter(|seq| !heard(seq)).collect()
    }
}

fn large(mut message: Message) -> Message {
    if let Body::Event { data, .. } = &mut message.body {
        data.insert("track".into(), "x".repeat(120_000).into());
    }
    message
}

/// Commits `count` messages of all lanes; answers how many of them were too large.
async fn produce(outbox: Outbox, seed: u64, count: u64) -> u64 {
    let mut random = Random(seed);
    let (mut value, mut too_large) = (0, 0);
    while value < count {
        let mut turn = Turn::default();
        for _ in 0..=random.below(120) {
            value += 1;
            let lane = Lane::ALL[usize::try_from(random.below(4)).unwrap()];
            let asset = u32::try_from(random.below(200)).unwrap();
            let mut next = message(lane, asset, value).unwrap();
            if value % LARGE_EVERY == 0 {
                next = large(message(Lane::Event, asset, value).unwrap());
                too_large += 1;
            }
            turn.messages.push(next);
        }
        outbox.commit(turn).await.unwrap();
        let room = |stats: &Stats| {
            stats.lanes.iter().map(|lane| lane.ledger.stored).sum::<u64>() < BACKLOG_MAX
        };
        if random.below(20) == 0 {
            stored(&outbox, PATIENCE, room).await;
        }
    }
    too_large
}

async fn hostile(version: Version, seed: u64, count: u64) {
    let dir = tempfile::tempdir().unwrap();
    let mut random = Random(seed);
    let broker = ScriptedBroker::start(seed, mood(&mut random)).await.unwrap();
    let opened = Outbox::open(&buffer(dir.path()), &identity().unwrap()).unwrap();
    let running = start(opened, dir.path(), broker_at(broker.addr(), 20), only(version));
    let producing: JoinHandle<u64> =
        tokio::spawn(produce(running.outbox.clone(), seed ^ 0xfeed, count));
    let mut far_end = FarEnd::default();
    let stats = loop {
        tokio::time::sleep(Duration::from_millis(100)).await;
        // Asked before the broker is looked at: what is acknowledged here it has sent.
        let stats = running.outbox.stats().await.unwrap();
        let acknowledged: u64 =
            stats.lanes.iter().map(|lane| lane.ledger.acknowledged + lane.settled).sum();
        assert!(acknowledged <= broker.look(|seen| seen.acknowledged));
        broker.drain().iter().for_each(|taken| far_end.hear(taken));
        if producing.is_finished() && stats.lanes.iter().all(|lane| lane.ledger.stored == 0) {
            break stats;
        }
        broker.set_temper(mood(&mut random));
    };
    let too_large = producing.await.unwrap();
    running.stop.cancel();
    running.pipe.await.unwrap().unwrap();
    broker.drain().iter().for_each(|taken| far_end.hear(taken));
    let mut kept_aside = 0;
    for lane in &stats.lanes {
        let ledger = &lane.ledger;
        let missing = far_end.missing(lane.lane, ledger.last.seq);
        let aside = ledger.quarantined();
        assert_eq!(missing.len() as u64, aside, "{:?}: {missing:?} did not come", lane.lane);
        assert_eq!(ledger.acknowledged + aside, ledger.accepted - ledger.coalesced);
        let why = [DropReason::TooLarge, DropReason::Poison];
        assert!(ledger.dropped.keys().all(|reason| why.contains(reason)), "{:?}", ledger.dropped);
        kept_aside += aside;
    }
    assert_eq!(kept_aside, too_large, "nothing but what is too large is kept aside");
    let (connections, negatives) = broker.look(|seen| (seen.connections, seen.negatives));
    assert!(connections > count / 2_000, "hardly a test: {connections} connections");
    #[allow(clippy::print_stdout, reason = "the figures of the long form")]
    {
        println!(
            "MQTT {version}: {count} messages, {connections} connections, {negatives} refusals, \
         {} came again, {kept_aside} kept aside, 0 lost",
            far_end.again
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_lost_on_a_hostile_broker() {
    hostile(Version::V5, 11, 20_000).await;
    hostile(Version::V311, 12, 12_000).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "a million messages: some minutes in a release build"]
async fn a_million_messages_to_a_hostile_broker() {
    hostile(Version::V5, 21, 500_000).await;
    hostile(Version::V311, 22, 500_000).await;
}
