//! The promise: pull the plug at any time. A broker that goes away, an agent that is killed in the middle,
//! and an independent subscriber that afterwards has everything, once and without a gap.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use steward::demo::pty::Pty;
use system_tests::mosquitto::Mosquitto;
use system_tests::program::{PATIENCE, Running};
use system_tests::subscriber::{Heard, Subscriber, prove};
use wire::{
    Bin, Body, Deframer, Distance, Down, FRAME_MAX, Frame, Header, Measured, Report, Temperature,
    Up,
};

const NODE: u32 = 7;

/// A node on the line that sends reports and remembers which were acknowledged.
struct Node {
    line: Pty,
    deframer: Deframer,
    acknowledged: BTreeSet<u32>,
}

impl Node {
    fn new() -> Node {
        Node {
            line: Pty::open().unwrap(),
            deframer: Deframer::new(),
            acknowledged: BTreeSet::new(),
        }
    }

    /// Report number `counter`, told by its distance.
    async fn send(&self, counter: u32) {
        let bin = Bin {
            distance: Distance::Millimetres(distance(counter)),
            tilted: None,
            lid_open: None,
            fire: None,
            temperature: Temperature::NotFitted,
        };
        let frame = Frame {
            header: Header { node: NODE, counter, uptime_s: counter },
            body: Body::Up(Up::Report(Report { age_s: 0, measured: Measured::Bin(bin) })),
        };
        let mut buffer = [0; FRAME_MAX];
        let bytes = frame.encode(&mut buffer).unwrap().to_vec();
        self.line.write_all(&bytes).await.unwrap();
    }

    /// Sends everything in `counters` that is not acknowledged, again and again until it is.
    async fn deliver(&mut self, counters: std::ops::RangeInclusive<u32>) {
        let mut buffer = [0; 256];
        while !counters.clone().all(|c| self.acknowledged.contains(&c)) {
            for counter in counters.clone().filter(|c| !self.acknowledged.contains(c)).take(16) {
                self.send(counter).await;
            }
            let heard = tokio::time::timeout(PATIENCE / 60, self.line.read(&mut buffer)).await;
            if let Ok(Ok(n)) = heard {
                self.hear(&buffer[..n]);
            }
        }
    }

    fn hear(&mut self, bytes: &[u8]) {
        let acknowledged = &mut self.acknowledged;
        self.deframer.push_slice(bytes, |heard| {
            if let wire::Heard::Frame(Frame { body: Body::Down(Down::Ack(ack)), .. }) = heard {
                acknowledged.insert(ack.counter);
            }
        });
    }
}

/// Every report says another distance, so that a point can be told from every other.
fn distance(counter: u32) -> u16 {
    u16::try_from(200 + counter).unwrap()
}

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

/// How often each distance was told in the telemetry, repeats of the same message counted once.
fn points(heard: &[Heard]) -> BTreeMap<u64, usize> {
    let mut ids = BTreeSet::new();
    let mut points = BTreeMap::new();
    for message in heard.iter().filter(|m| m.topic.ends_with("/tel")) {
        if ids.insert(message.json["id"].as_str().unwrap().to_owned()) {
            for point in message.json["points"].as_array().unwrap() {
                *points.entry(point["distance_mm"].as_u64().unwrap()).or_default() += 1;
            }
        }
    }
    points
}

fn told(heard: &[Heard], counter: u32) -> bool {
    points(heard).contains_key(&u64::from(distance(counter)))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_that_goes_and_an_agent_that_is_killed_lose_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let Some(broker) = Mosquitto::start(dir.path()) else { return };
    let mut subscriber = Subscriber::start(broker.port, "auditor", "steward/v1/#");
    let mut node = Node::new();
    let config = write_config(dir.path(), &broker.url(), node.line.slave());
    let arguments = ["run", "--config", &config];

    let mut agent = Running::start(&arguments);
    agent.wait_for("link to the broker is up");
    node.deliver(1..=40).await;
    subscriber.wait_until("the first reports", |heard| told(heard, 40));

    // The broker is away: everything is taken and acknowledged all the same.
    let stopped = broker.stop();
    node.deliver(41..=140).await;
    // Some of these are on their way when the agent is killed.
    for counter in 141..=160 {
        node.send(counter).await;
    }
    agent.kill();

    let mut agent = Running::start(&arguments);
    node.deliver(141..=200).await;
    let broker = stopped.start();
    agent.wait_for("link to the broker is up");
    node.deliver(201..=240).await;
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
