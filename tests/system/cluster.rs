//! Three RabbitMQ nodes behind one address: one is killed and comes again, another is stopped, and the far
//! end, whose own connection and queue were there too, has everything.

use std::time::Duration;

use steward::config::{Broker, Secret};
use steward::mqtt::backoff::Pace;
use system_tests::data::say;
use system_tests::fleet::{Auditor, Fleet, Manner, judge};
use system_tests::outbox::broker_at;
use system_tests::rabbit::{Cluster, Door};

const BOXES: usize = 30;
/// How long things go on between two events.
const BETWEEN: Duration = Duration::from_secs(10);

/// `make cluster`.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "minutes, and a gigabyte of memory: make cluster"]
async fn a_cluster_that_loses_a_node_loses_nothing_of_what_boxes_said() {
    let (stores, of_cluster) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let Some(mut cluster) = Cluster::start(of_cluster.path()).await else { return };
    let door = Door::open(cluster.addresses()).await.unwrap();
    let broker = Broker {
        username: Some("guest".to_owned()),
        password: Some(Secret::new("guest".to_owned())),
        keep_alive: Duration::from_secs(10),
        connect_timeout: Duration::from_secs(30),
        reconnect_spread: Duration::from_secs(5),
        ..broker_at(door.addr, 64)
    };
    // The first connection: at the node that is killed, and so is what the broker keeps for it.
    let mut auditor = Auditor::start(broker.clone()).await;
    let pace = Pace::within(broker.reconnect_spread);
    let manner = Manner { pace, commands: false, every: Duration::from_secs(1) };
    let mut fleet = Fleet::start(stores.path(), &vec![broker; BOXES], manner);
    fleet.connected().await;
    say(&format!("{BOXES} boxes at three nodes, memory of each: {:?}", cluster.memory()));
    tokio::time::sleep(BETWEEN).await;

    cluster.end(0, "-KILL");
    tokio::time::sleep(BETWEEN).await;
    fleet.connected().await;
    say("a node was killed, and every box is connected");
    cluster.again(0).await;
    tokio::time::sleep(BETWEEN).await;
    cluster.end(1, "-TERM");
    tokio::time::sleep(BETWEEN).await;
    fleet.connected().await;
    say("another was stopped, and every box is connected");

    let last = fleet.finish().await;
    let report = judge(|| auditor.take(), &last).await;
    let count = |of: fn(&steward::audit::judge::Lane) -> u64| -> u64 {
        report.lanes.iter().map(|(_, _, lane)| of(lane)).sum()
    };
    say(&format!(
        "{} messages in {} lanes, {} missing, {} came again; memory of each node: {:?}",
        count(|lane| lane.messages),
        report.lanes.len(),
        count(|lane| lane.missing),
        count(|lane| lane.repeated),
        cluster.memory()
    ));
    assert!(report.complete, "{report:?}");
    assert!(report.lanes.iter().all(|(_, _, lane)| lane.first == 1), "the first are missing");
}
