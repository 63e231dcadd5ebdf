//! The published interface against what a box says: every message of a demo, and the answers to commands,
//! stands on a topic that the AsyncAPI document describes, and is what its schema says.

use std::io::Write;
use std::net::TcpStream;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use serde_json::json;
use system_tests::mosquitto::free_port;
use system_tests::program::{Running, run, texts};
use system_tests::publisher::publish;
use system_tests::subscriber::{Heard, Subscriber};

use super::open311::python;

const P: &str = "steward/v1/longcheng/xuejia/demo";

/// Everything that a demo says until it has told of all that there is to tell, or ends.
#[allow(clippy::disallowed_methods, reason = "another program is waited for by asking it again")]
fn demo() -> Vec<Heard> {
    let port = free_port();
    let addr = format!("127.0.0.1:{port}");
    let fixed = ["demo", "--json", "--http", "127.0.0.1:0", "--for", "30s", "--speed", "180"];
    let demo = Running::start(&[&fixed[..], &["--mqtt", &addr]].concat());
    while TcpStream::connect(&addr).is_err() {
        std::thread::sleep(Duration::from_millis(20));
    }
    let mut subscriber = Subscriber::start(port, "reader", "steward/v1/#");
    // The subscription may come a moment after the connection: until it is there nobody is told.
    let answered = |heard: &[Heard]| heard.iter().any(|m| m.topic.ends_with("/reply/desk"));
    for n in 0..100 {
        command(port, "ping", n, &json!({}));
        std::thread::sleep(Duration::from_millis(100));
        subscriber.listen();
        if answered(&subscriber.heard) {
            break;
        }
    }
    for (name, args) in [
        ("tickets", json!({})),
        ("refresh", json!({})),
        ("ticket", json!({"ticket": "t-none", "action": "ack"})),
        ("config", json!({"action": "show"})),
    ] {
        command(port, name, 0, &args);
    }
    subscriber.wait_until("the farewell", |heard| {
        heard.last().is_some_and(|m| m.topic.ends_with("/status") && m.json["state"] == "offline")
    });
    drop(demo);
    std::mem::take(&mut subscriber.heard)
}

fn command(port: u16, name: &str, n: u32, args: &serde_json::Value) {
    let command = json!({"id": format!("{name}-{n}"), "by": "desk", "args": args});
    publish(port, &format!("{P}/cmd/{name}"), &command);
}

#[test]
fn every_message_of_a_demo_is_what_the_published_interface_says() {
    let Some(mut peer) = python("schemas.py") else { return };
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/api/asyncapi.json");
    let heard = demo();
    let mut peer = peer.arg(docs).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut to = peer.stdin.take().unwrap();
    let lines: String = heard
        .iter()
        .filter(|m| !m.text.is_empty())
        .map(|m| format!("{}\n", json!({"topic": m.topic, "payload": m.json})))
        .collect();
    let writing = std::thread::spawn(move || to.write_all(lines.as_bytes()));
    let told = peer.wait_with_output().unwrap();
    writing.join().unwrap().unwrap();
    assert!(told.status.success());
    let told = String::from_utf8(told.stdout).unwrap();
    let (wrong, seen) = told.rsplit_once("seen: ").unwrap();
    assert_eq!(wrong, "", "{} messages", heard.len());
    for name in [
        "status",
        "info",
        "health",
        "asset-info",
        "bay-state",
        "bin-state",
        "vehicle-state",
        "street-state",
        "figures",
        "telemetry",
        "parking.session",
        "ticket-state",
        "ticket-event",
        "reply",
        "command",
    ] {
        assert!(seen.split_whitespace().any(|one| one == name), "{name} did not occur: {seen}");
    }
}

#[test]
fn the_documents_are_printed_for_others() {
    for (word, file) in [("asyncapi", "asyncapi.json"), ("json", "payloads.schema.json")] {
        let (out, said, code) = texts(&run(&["schema", word]));
        assert_eq!(code, 0, "{said}");
        let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/api").join(file);
        assert_eq!(out, std::fs::read_to_string(docs).unwrap(), "{file}");
    }
}
