//! What comes in wrong: one clear line, a counter, no panic, and nothing lost of what was right.

use std::fs;
use std::path::Path;

use steward::demo::pty::Pty;
use system_tests::mosquitto::{Mosquitto, free_port};
use system_tests::program::Running;
use system_tests::subscriber::Subscriber;
use wire::{Bin, Body, Distance, FRAME_MAX, Frame, Header, Measured, Report, Temperature, Up};

fn write_config(dir: &Path, port: u16, tty: &Path) -> String {
    let path = dir.join("steward.toml");
    let text = format!(
        r#"
[box]
id = "xj-2"
tenant = "longcheng"
site = "xuejia"
timezone = "Asia/Shanghai"

[mqtt]
url = "mqtt://127.0.0.1:{port}"

[buffer]
dir = "{}/buffer"

[http]
enabled = false

[[source]]
name = "nodes"
kind = "node-link"
device = "{}"
baud = 115200

[[bin]]
id = "bin-1"
source = "nodes"
device = "1"
empty_mm = 1500
full_mm = 300
"#,
        dir.display(),
        tty.display()
    );
    fs::write(&path, text).unwrap();
    path.display().to_string()
}

fn frame(node: u32, counter: u32, distance: u16) -> Vec<u8> {
    let bin = Bin {
        distance: Distance::Millimetres(distance),
        tilted: None,
        lid_open: None,
        fire: None,
        temperature: Temperature::NotFitted,
    };
    let report = Report { age_s: 0, measured: Measured::Bin(bin) };
    let header = Header { node, counter, uptime_s: 60 };
    let frame = Frame { header, body: Body::Up(Up::Report(report)) };
    frame.encode(&mut [0; FRAME_MAX]).unwrap().to_vec()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_tty_and_a_broker_that_is_down_are_each_one_line_and_are_waited_for() {
    let dir = tempfile::tempdir().unwrap();
    let tty = dir.path().join("ttyNONE");
    let config = write_config(dir.path(), free_port(), &tty);
    let mut agent = Running::start(&["run", "--config", &config]);
    let line = agent.wait_for("ttyNONE");
    assert!(line.contains("WARN"), "{line}");
    agent.wait_for("link to the broker is down");
    let (status, log) = agent.terminate();
    assert!(status.success(), "{log}");
    assert_eq!(log.matches("line is not there").count(), 1, "told once:\n{log}");
    assert!(!log.contains("panicked"), "{log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn noise_broken_frames_strangers_and_wrong_commands_are_counted_and_the_rest_arrives() {
    let dir = tempfile::tempdir().unwrap();
    let Some(broker) = Mosquitto::start(dir.path()) else { return };
    let mut subscriber = Subscriber::start(broker.port, "auditor", "steward/v1/#");
    // Kept by the broker, it would be obeyed at every connection from now on.
    publish(broker.port, "cmd/ping", r#"{"id":"kept","by":"duty"}"#, true);
    let line = Pty::open().unwrap();
    let config = write_config(dir.path(), broker.port, line.slave());
    let mut agent = Running::start(&["run", "--config", &config]);
    agent.wait_for("subscribed");

    let mut damaged = frame(1, 1, 500);
    damaged[6] ^= 0x40;
    let noise: Vec<u8> =
        (0..4096u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    for bytes in
        [&noise[..], &[0], &damaged, &frame(99, 1, 700), &frame(1, 2, 900), &frame(1, 2, 900)]
    {
        line.write_all(bytes).await.unwrap();
    }
    for (topic, payload) in [("cmd/ping", "{"), ("cmd/fly", r#"{"id":"1","by":"duty"}"#)] {
        publish(broker.port, topic, payload, false);
    }
    publish(broker.port, "cmd/ping", r#"{"id":"2","by":"duty"}"#, false);
    subscriber.wait_until("the answer to the last command", |heard| {
        heard.iter().any(|m| m.topic.ends_with("/reply/duty") && m.json["id"] == "2")
    });
    subscriber.wait_until("the good reading", |heard| {
        heard.iter().any(|m| m.topic.ends_with("/bin/bin-1/tel"))
    });
    let (status, log) = agent.terminate();
    assert!(status.success() && !log.contains("panicked"), "{log}");
    for told in ["unknown_device", "duplicate", "is not JSON"] {
        assert!(log.contains(told), "no word of {told}:\n{log}");
    }
    subscriber.listen();
    let replies: Vec<_> =
        subscriber.heard.iter().filter(|m| m.topic.ends_with("/reply/duty")).collect();
    assert_eq!(replies.len(), 2, "{replies:#?}");
    assert_eq!(replies[0].json["error"]["code"], "invalid");
    let points: usize = subscriber
        .heard
        .iter()
        .filter(|m| m.topic.ends_with("/tel"))
        .map(|m| m.json["points"].as_array().unwrap().len())
        .sum();
    assert_eq!(points, 1);
}

fn publish(port: u16, path: &str, payload: &str, retain: bool) {
    let topic = format!("steward/v1/longcheng/xuejia/xj-2/{path}");
    let mut command = std::process::Command::new("mosquitto_pub");
    command.args([
        "-h",
        "127.0.0.1",
        "-p",
        &port.to_string(),
        "-q",
        "1",
        "-t",
        &topic,
        "-m",
        payload,
    ]);
    if retain {
        command.arg("-r");
    }
    assert!(command.status().expect("mosquitto_pub comes with mosquitto-clients").success());
}
