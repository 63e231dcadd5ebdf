//! Another configuration while the box runs: by command and by SIGHUP, confirmed, refused, and taken back
//! by itself when the box does not reach its broker under it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};
use system_tests::mosquitto::{Mosquitto, free_port};
use system_tests::program::Running;
use system_tests::publisher::publish;
use system_tests::subscriber::{Heard, Subscriber, prove};

const P: &str = "steward/v1/longcheng/xuejia/xj-1";

/// A box, its broker, and somebody who hears everything.
struct Rig {
    dir: tempfile::TempDir,
    broker: Mosquitto,
    subscriber: Subscriber,
    agent: Running,
}

fn text(dir: &Path, url: &str, keep_alive: u32, id: &str) -> String {
    format!(
        "[box]\nid = \"{id}\"\ntenant = \"longcheng\"\nsite = \"xuejia\"\ntimezone = \"Asia/Shanghai\"\n\
         [mqtt]\nurl = \"{url}\"\nkeep_alive = \"{keep_alive}s\"\nconnect_timeout = \"2s\"\n\
         [buffer]\ndir = \"{}/buffer\"\n[http]\nenabled = false\n",
        dir.display()
    )
}

impl Rig {
    fn new() -> Option<Rig> {
        let dir = tempfile::tempdir().unwrap();
        let broker = Mosquitto::start(dir.path())?;
        let subscriber = Subscriber::start(broker.port, "ops", "steward/v1/#");
        fs::write(file(&dir), text(dir.path(), &broker.url(), 10, "xj-1")).unwrap();
        let agent = start(&dir);
        let mut rig = Rig { dir, broker, subscriber, agent };
        // A command that nobody has subscribed to is lost.
        rig.agent.wait_for("subscribed");
        Some(rig)
    }

    fn text(&self, keep_alive: u32) -> String {
        text(self.dir.path(), &self.broker.url(), keep_alive, "xj-1")
    }

    fn command(&self, id: &str, args: &Value) {
        let payload = json!({"id": id, "by": "ops", "args": args});
        publish(self.broker.port, &format!("{P}/cmd/config"), &payload);
    }

    /// Waits until the command `id` is told to be in `state`, and gives that answer.
    fn wait(&mut self, id: &str, state: &str) -> Value {
        let is = |m: &Heard| m.json["id"] == id && m.json["state"] == state;
        self.subscriber.wait_until(&format!("{id} {state}"), |heard| heard.iter().any(is));
        self.subscriber.heard.iter().rev().find(|m| is(m)).unwrap().json.clone()
    }

    /// The states that were told of the command `id`.
    fn states(&self, id: &str) -> Vec<String> {
        let of = self.subscriber.heard.iter().filter(|m| m.json["id"] == id);
        of.filter_map(|m| m.json["state"].as_str().map(str::to_owned)).collect()
    }

    /// Waits until the box says that it runs under `version`.
    fn wait_for_info(&mut self, version: u64) {
        self.subscriber.wait_until("the version", |heard| {
            let info = heard.iter().rev().find(|m| m.topic.ends_with("xj-1/info"));
            info.is_some_and(|m| m.json["configuration"]["version"] == version)
        });
    }

    /// What the box says of its configuration, last.
    fn standing(&self) -> Value {
        let info = self.subscriber.heard.iter().rev().find(|m| m.topic.ends_with("xj-1/info"));
        info.unwrap().json["configuration"].clone()
    }

    fn hang_up(&self) {
        let pid = self.agent.pid().to_string();
        assert!(Command::new("kill").args(["-HUP", &pid]).status().unwrap().success());
    }

    fn end(self) -> Vec<Heard> {
        let Rig { mut subscriber, agent, .. } = self;
        let (status, log) = agent.terminate();
        assert!(status.success(), "{log}");
        subscriber.wait_until("the farewell", |heard| {
            heard.last().is_some_and(|m| m.json["state"] == "offline")
        });
        let proof = prove(&subscriber.heard);
        assert!(proof.faults.is_empty(), "{}", proof.faults.join("\n"));
        std::mem::take(&mut subscriber.heard)
    }
}

fn file(dir: &tempfile::TempDir) -> PathBuf {
    dir.path().join("steward.toml")
}

fn start(dir: &tempfile::TempDir) -> Running {
    Running::start(&["run", "--config", &file(dir).display().to_string()])
}

#[test]
fn a_configuration_by_command_is_tried_confirmed_and_kept() {
    let Some(mut rig) = Rig::new() else { return };
    rig.command("c1", &json!({"action": "apply", "toml": rig.text(20)}));
    rig.wait("c1", "connected");
    rig.command("c2", &json!({"action": "confirm", "version": 2}));
    rig.wait("c1", "confirmed");
    let kept = rig.wait("c2", "done");
    assert_eq!(rig.states("c1"), ["received", "checked", "applied", "connected", "confirmed"]);
    assert_eq!((&kept["result"]["running"], &kept["result"]["trial"]), (&json!(2), &Value::Null));
    // It holds over a restart, although the file says something else.
    let Rig { dir, broker, subscriber, agent } = rig;
    assert!(agent.terminate().0.success());
    let mut rig = Rig { agent: start(&dir), dir, broker, subscriber };
    rig.wait_for_info(2);
    // And back to the one before, by a trial of that one.
    rig.command("c3", &json!({"action": "revert"}));
    rig.wait("c3", "confirmed");
    assert_eq!(rig.standing(), json!({"version": 3, "origin": "command", "on_trial": true}));
    rig.end();
}

#[test]
fn a_configuration_that_does_not_reach_its_broker_is_taken_back_by_itself() {
    let Some(mut rig) = Rig::new() else { return };
    let nobody = format!("mqtt://127.0.0.1:{}", free_port());
    let bad = text(rig.dir.path(), &nobody, 10, "xj-1");
    rig.command("c1", &json!({"action": "apply", "toml": bad, "within_s": 10}));
    let told = rig.wait("c1", "reverted");
    assert_eq!(rig.states("c1"), ["received", "checked", "applied", "reverted"]);
    let why = told["error"]["msg"].as_str().unwrap();
    assert!(why.contains("the broker took no message"), "{why}");
    assert_eq!(rig.standing(), json!({"version": 1, "origin": "file", "on_trial": false}));
    // One that connects and that nobody confirms goes as well, and the same command is not obeyed twice.
    rig.command("c2", &json!({"action": "apply", "toml": rig.text(30), "within_s": 10}));
    let told = rig.wait("c2", "reverted");
    assert!(told["error"]["msg"].as_str().unwrap().contains("nobody confirmed"), "{told}");
    let heard = rig.end();
    assert!(
        !heard.iter().any(|m| m.json["category"] == "gateway_fault"),
        "it was told to who asked"
    );
}

#[test]
fn what_is_wrong_or_would_leave_messages_behind_is_refused_with_reasons() {
    let Some(mut rig) = Rig::new() else { return };
    rig.command("c1", &json!({"action": "apply", "toml": "[box]\nid = 7\n"}));
    let told = rig.wait("c1", "refused");
    let why = told["error"]["msg"].as_str().unwrap();
    assert!(why.contains("2.toml:2:6") && why.contains("[mqtt] is missing"), "{why}");
    let other = text(rig.dir.path(), &rig.broker.url(), 10, "xj-2");
    rig.command("c2", &json!({"action": "apply", "toml": other}));
    let told = rig.wait("c2", "refused");
    assert!(told["error"]["msg"].as_str().unwrap().contains("[box] tenant, site and id"), "{told}");
    rig.command("c3", &json!({"action": "confirm"}));
    let told = rig.wait("c3", "refused");
    assert!(told["error"]["msg"].as_str().unwrap().contains("no configuration is on trial"));
    rig.command("c4", &json!({"action": "show"}));
    assert_eq!(rig.wait("c4", "done")["result"]["running"], 1);
    rig.end();
}

/// Somebody who answers every question with `text`, for as long as the test runs. Answers where he is.
fn web(text: String) -> String {
    use std::io::{Read, Write};
    let listener = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let at = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            // The question is shorter than that, and comes at once.
            let _ = stream.read(&mut [0; 4096]).unwrap();
            let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", text.len());
            stream.write_all((head + &text).as_bytes()).unwrap();
        }
    });
    format!("http://{at}/boxes/xj-1.toml")
}

#[test]
fn a_configuration_is_fetched_and_tried_when_it_is_what_the_command_means() {
    let Some(mut rig) = Rig::new() else { return };
    let text = rig.text(20);
    let sha256 = steward::control::versions::sha256(text.as_bytes());
    let url = web(text) + "?token=planted-secret";
    let wrong = "0".repeat(64);
    rig.command("c1", &json!({"action": "apply", "url": url, "sha256": wrong}));
    let told = rig.wait("c1", "refused");
    let why = told["error"]["msg"].as_str().unwrap();
    assert!(why.contains("not what the command means"), "{why}");
    let args = json!({"action": "apply", "url": url, "sha256": sha256,
                      "confirmed_by": "connection"});
    rig.command("c2", &args);
    rig.wait("c2", "confirmed");
    assert_eq!(rig.states("c2"), ["received", "checked", "applied", "connected", "confirmed"]);
    let audit = fs::read_to_string(rig.dir.path().join("buffer/audit.jsonl")).unwrap();
    assert!(audit.contains("/boxes/xj-1.toml"), "{audit}");
    let log = rig.agent.log();
    let heard = rig.end();
    for (place, text) in [("audit", audit), ("log", log)] {
        assert!(!text.contains("planted-secret"), "{place}: {text}");
    }
    let told = |m: &&Heard| !m.topic.contains("/cmd/");
    assert!(!heard.iter().filter(told).any(|m| m.text.contains("planted-secret")));
}

#[test]
fn a_changed_file_is_taken_at_a_hangup_when_it_is_right() {
    let Some(mut rig) = Rig::new() else { return };
    rig.hang_up();
    rig.agent.wait_for("the configuration is as it was");
    fs::write(file(&rig.dir), "[box]\nid = 7\n").unwrap();
    rig.hang_up();
    rig.agent.wait_for("nothing is changed");
    fs::write(file(&rig.dir), rig.text(25)).unwrap();
    rig.hang_up();
    rig.agent.wait_for("the configuration stays");
    rig.end();
}

#[test]
fn a_kill_in_the_middle_of_a_trial_ends_it() {
    let Some(mut rig) = Rig::new() else { return };
    rig.command("c1", &json!({"action": "apply", "toml": rig.text(20)}));
    rig.wait("c1", "connected");
    let Rig { dir, broker, subscriber, agent } = rig;
    agent.kill();
    let mut rig = Rig { agent: start(&dir), dir, broker, subscriber };
    let told = rig.wait("c1", "reverted");
    assert!(told["error"]["msg"].as_str().unwrap().contains("the program ended"), "{told}");
    rig.wait_for_info(1);
    rig.end();
}
