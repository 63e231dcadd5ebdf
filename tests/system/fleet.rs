//! A fleet and one broker that is restarted: every box comes back at a moment of its own, and nothing of
//! what any of them had to say is missing.

use std::time::Duration;

use steward::config::Broker;
use steward::mqtt::backoff::Pace;
use system_tests::data::say;
use system_tests::fleet::{Fleet, Manner, histogram, judge};
use system_tests::mosquitto::Mosquitto;
use system_tests::outbox::broker_at;
use system_tests::subscriber::Subscriber;

/// Runs `boxes` for so long that their connections are good ones, restarts the broker, and answers when each
/// connection came back, after everything was proved to be there.
async fn restart(boxes: usize, manner: Manner, slice: Duration) -> Option<Vec<Duration>> {
    let (stores, of_broker) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let mosquitto = Mosquitto::start(of_broker.path())?;
    let mut subscriber = Subscriber::start(mosquitto.port, "auditor", "steward/v1/#");
    let broker = Broker {
        reconnect_spread: manner.pace.wait_max,
        keep_alive: Duration::from_secs(15),
        connect_timeout: Duration::from_secs(10),
        ..broker_at(([127, 0, 0, 1], mosquitto.port).into(), 64)
    };
    let mut fleet = Fleet::start(stores.path(), &vec![broker; boxes], manner);
    fleet.connected().await;
    tokio::time::sleep(manner.pace.stable_after + Duration::from_secs(2)).await;
    let stopped = mosquitto.stop();
    let mosquitto = stopped.start();
    let back = fleet.watch_return().await.unwrap();
    say(&format!(
        "{boxes} boxes, {} connections, back after (s):\n{}",
        back.len(),
        histogram(&back, slice)
    ));
    let last = fleet.finish().await;
    let report = judge(
        || {
            subscriber.listen();
            std::mem::take(&mut subscriber.heard)
        },
        &last,
    )
    .await;
    drop(mosquitto);
    assert!(report.complete, "{report:?}");
    let first = |(_, _, lane): &(String, String, steward::audit::judge::Lane)| lane.first == 1;
    assert!(report.lanes.iter().all(first), "the first of a lane is missing");
    let again: u64 = report.lanes.iter().map(|(_, _, lane)| lane.repeated).sum();
    let messages: u64 = report.lanes.iter().map(|(_, _, lane)| lane.messages).sum();
    say(&format!(
        "{messages} messages in {} lanes, none missing, {again} came again",
        report.lanes.len()
    ));
    Some(back)
}

fn spread(back: &[Duration]) -> Duration {
    *back.iter().max().unwrap() - *back.iter().min().unwrap()
}

/// The same in small, and ten times as fast.
#[tokio::test(flavor = "multi_thread")]
async fn thirty_boxes_come_back_one_by_one_and_lose_nothing() {
    let wait_max = Duration::from_secs(9);
    let pace = Pace { wait_max, stable_after: Duration::from_secs(1), ..Pace::default() };
    let manner = Manner { pace, commands: false, every: Duration::from_millis(500) };
    let Some(back) = restart(30, manner, Duration::from_secs(1)).await else { return };
    // The seeds are the boxes' names, so the waits are always the same; a slow machine adds to them.
    assert!(spread(&back) >= wait_max / 2, "{back:?}");
}

/// Five hundred boxes, with the patience they have by default: minutes. `make fleet`.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "minutes: make fleet"]
async fn five_hundred_boxes_come_back_over_more_than_a_minute_and_lose_nothing() {
    let manner = Manner { pace: Pace::default(), commands: true, every: Duration::from_secs(5) };
    let Some(back) = restart(500, manner, Duration::from_secs(5)).await else { return };
    assert_eq!(back.len(), 1000, "each box has two connections");
    assert!(spread(&back) >= Duration::from_secs(60), "{:?}", spread(&back));
}
