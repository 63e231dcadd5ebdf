//! A buffer as people look into it, and one that was damaged: the box starts all the same, a ticket says so,
//! and `steward outbox salvage` reads what is left.

use std::fs;
use std::path::Path;

use domain::output::Lane;
use serde_json::Value;
use steward::outbox::{Outbox, Turn};
use system_tests::outbox::message;
use system_tests::program::{Running, run, texts};

const CONFIG: &str = r#"
[box]
id = "v-1"
tenant = "longcheng"
site = "xuejia"
timezone = "Europe/Berlin"

[mqtt]
url = "mqtt://127.0.0.1:1"

[http]
enabled = false

[[source]]
name = "gnss"
kind = "nmea"
device = "DIR/serial"
baud = 9600

[[vehicle]]
id = "sweeper-07"
kind = "sweeper"
source = "gnss"

[buffer]
dir = "DIR/buffer"
"#;

/// A configuration in `dir`, and 40 messages of each lane in its buffer.
fn filled(dir: &Path) -> String {
    let path = dir.join("steward.toml");
    fs::write(&path, CONFIG.replace("DIR", &dir.display().to_string())).unwrap();
    let config = steward::config::load(&path).unwrap().config;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let opened = Outbox::open(&config.buffer, &config.site.identity).unwrap();
    runtime.block_on(async {
        for n in 0..40_u64 {
            let asset = u32::try_from(n).unwrap();
            let messages = Lane::ALL.map(|lane| message(lane, asset, n).unwrap()).to_vec();
            opened.outbox.commit(Turn { messages, ..Turn::default() }).await.unwrap();
        }
        opened.outbox.close().await.unwrap();
    });
    path.display().to_string()
}

/// Runs `steward outbox WORDS --config CONFIG`; its output and its exit code.
fn outbox(config: &str, words: &[&str]) -> (String, i32) {
    let output = run(&[&["outbox"], words, &["--config", config]].concat());
    let (out, err, code) = texts(&output);
    assert_eq!(err, "", "{words:?}");
    (out, code)
}

fn lines(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn people_can_look_into_a_buffer() {
    let dir = tempfile::tempdir().unwrap();
    let config = filled(dir.path());
    let (stats, code) = outbox(&config, &["stats", "--json"]);
    let stats: Value = serde_json::from_str(&stats).unwrap();
    assert_eq!((code, &stats["boot"]), (0, &1.into()));
    for lane in stats["lanes"].as_array().unwrap() {
        assert_eq!((&lane["stored"], &lane["last"]), (&40.into(), &40.into()), "{lane}");
    }
    assert!(outbox(&config, &["stats"]).0.contains("telemetry"));
    assert_eq!(outbox(&config, &["verify"]).1, 0);
    let (listed, _) = outbox(&config, &["ls", "--lane", "ticket", "--limit", "3", "--json"]);
    let numbers: Vec<_> = lines(&listed).iter().map(|line| line["seq"].as_u64()).collect();
    assert_eq!(numbers, [Some(1), Some(2), Some(3)]);
    let (payload, _) = outbox(&config, &["peek", "--lane", "event", "--seq", "7"]);
    assert_eq!(lines(&payload)[0]["data"]["value"], 6);
    assert_eq!(outbox(&config, &["peek", "--lane", "event", "--seq", "99"]).1, 1);
    let (exported, code) = outbox(&config, &["export"]);
    let exported = lines(&exported);
    assert_eq!((code, exported.len()), (0, 160), "looking deletes nothing");
    assert_eq!(exported[0]["topic"], "steward/v1/longcheng/xuejia/v-1/ticket/t-0/event");
}

#[test]
fn a_damaged_buffer_is_a_ticket_and_not_the_end() {
    let dir = tempfile::tempdir().unwrap();
    let config = filled(dir.path());
    fs::write(dir.path().join("buffer/core/conf"), [0xa5; 64]).unwrap();
    let mut agent = Running::start(&["run", "--config", &config]);
    agent.wait_for("the buffer was damaged");
    agent.wait_for("steward runs");
    // A box that runs is asked itself.
    let (stats, code) = outbox(&config, &["stats", "--json"]);
    let stats: Value = serde_json::from_str(&stats).unwrap();
    assert_eq!(code, 0, "{stats}");
    let (status, log) = agent.terminate();
    assert!(status.success(), "{log}");
    let (tickets, _) = outbox(&config, &["export", "--lane", "ticket"]);
    let raised =
        lines(&tickets).into_iter().find(|line| line["payload"]["type"] == "ticket.raised");
    let raised = raised.expect("nobody was told").to_string();
    assert!(raised.contains("gateway_fault") && raised.contains("core.bad-1"), "{raised}");
    let (saved, code) = outbox(&config, &["salvage"]);
    let saved = lines(&saved);
    assert_eq!((code, saved.len()), (0, 160));
    let (stats, _) = outbox(&config, &["stats", "--json"]);
    assert!(stats.contains("core.bad-1"), "{stats}");
    // Nothing more to be found where nothing was moved aside.
    let other = tempfile::tempdir().unwrap();
    assert_eq!(outbox(&filled(other.path()), &["salvage"]).1, 1);
}
