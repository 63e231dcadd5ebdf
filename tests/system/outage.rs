//! The promise: pull the plug at any time. A broker that goes away, an agent that is killed in the middle,
//! and an independent subscriber that afterwards has everything, once and without a gap.

use std::fs;
use std::path::Path;

use system_tests::mosquitto::Mosquitto;
use system_tests::node::{NODE, Node, distance, points, told};
use system_tests::program::Running;
use system_tests::subscriber::{Subscriber, prove};

fn write_config(dir: &Path, broker: &str, tty: &Path) -> String {
    let path = dir.join("steward.toml");
    let text = format!(
        r#"
[box]
id = "xj-1"
tenant = "longcheng"
site = "xuejia"
timezone = "Asia/Shanghai"

[mqtt]
url = "{broker}"

[buffer]
dir = "{dir}/buffer"

[http]
enabled = false

[[source]]
name = "nodes"
kind = "node-link"
device = "{tty}"
baud = 115200

[[bin]]
id = "bin-7"
source = "nodes"
device = "{NODE}"
empty_mm = 1500
full_mm = 300
"#,
        dir = dir.display(),
        tty = tty.display()
    );
    fs::write(&path, text).unwrap();
    path.display().to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_that_goes_and_an_agent_that_is_killed_lose_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let Some(broker) = Mosquitto::start(dir.path()) else { return };
    let mut subscriber = Subscriber::start(broker.port, "auditor", "steward/v1/#");
    let mut node = Node::new().unwrap();
    let config = write_config(dir.path(), &broker.url(), node.line.slave());
    let arguments = ["run", "--config", &config];

    let mut agent = Running::start(&arguments);
    agent.wait_for("link to the broker is up");
    node.deliver(1..=40).await.unwrap();
    subscriber.wait_until("the first reports", |heard| told(heard, 40));

    // The broker is away: everything is taken and acknowledged all the same.
    let stopped = broker.stop();
    node.deliver(41..=140).await.unwrap();
    // Some of these are on their way when the agent is killed.
    for counter in 141..=160 {
        node.send(counter).await.unwrap();
    }
    agent.kill();

    let mut agent = Running::start(&arguments);
    node.deliver(141..=200).await.unwrap();
    let broker = stopped.start();
    agent.wait_for("link to the broker is up");
    node.deliver(201..=240).await.unwrap();
    subscriber.wait_until("the last report", |heard| told(heard, 240));
    let (status, log) = agent.terminate();
    assert!(status.success(), "{log}");
    subscriber.wait_until("the farewell", |heard| {
        heard.iter().any(|m| m.topic.ends_with("/status") && m.json["state"] == "offline")
    });
    drop(broker);

    let proof = prove(&subscriber.heard);
    assert!(proof.faults.is_empty(), "{}", proof.faults.join("\n"));
    let points = points(&subscriber.heard);
    for counter in 1..=240 {
        assert_eq!(points.get(&u64::from(distance(counter))), Some(&1), "report {counter}");
    }
    for lane in ["ticket", "state", "telemetry"] {
        assert!(proof.seqs.contains_key(lane), "nothing was told in lane {lane}");
    }
}
