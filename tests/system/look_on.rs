//! Looking at a box that runs: more in its log for a while, by command, and what it decides as it happens.

use std::fs;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use serde_json::{Value, json};
use system_tests::mosquitto::Mosquitto;
use system_tests::program::{self, Running, texts};
use system_tests::publisher::publish;
use system_tests::subscriber::Subscriber;

const P: &str = "steward/v1/longcheng/xuejia/xj-1";
/// What the box says of a request that broke off, for those who look closely.
const BROKEN_OFF: &str = "a local request broke off";

struct Rig {
    dir: tempfile::TempDir,
    broker: Mosquitto,
    subscriber: Subscriber,
    agent: Running,
}

impl Rig {
    fn new() -> Option<Rig> {
        let dir = tempfile::tempdir().unwrap();
        let broker = Mosquitto::start(dir.path())?;
        let subscriber = Subscriber::start(broker.port, "ops", &format!("{P}/reply/ops"));
        let text = format!(
            "[box]\nid = \"xj-1\"\ntenant = \"longcheng\"\nsite = \"xuejia\"\ntimezone = \"Asia/Shanghai\"\n\
             [mqtt]\nurl = \"{}\"\n[buffer]\ndir = \"{}\"\n[http]\nenabled = false\n",
            broker.url(),
            buffer(dir.path()).display()
        );
        let config = dir.path().join("steward.toml");
        fs::write(&config, text).unwrap();
        let mut agent = Running::start(&["run", "--config", &config.display().to_string()]);
        agent.wait_for("subscribed");
        Some(Rig { dir, broker, subscriber, agent })
    }

    fn command(&self, name: &str, id: &str, args: &Value) {
        let payload = json!({"id": id, "by": "ops", "args": args});
        publish(self.broker.port, &format!("{P}/cmd/{name}"), &payload);
    }

    fn answer(&mut self, id: &str) -> Value {
        self.subscriber.wait_until(id, |heard| {
            // Of those with several answers, the last.
            heard.iter().any(|m| m.json["id"] == id && m.json["state"] != "received")
        });
        let mut answers = self.subscriber.heard.iter().filter(|m| m.json["id"] == id);
        answers.next_back().unwrap().json.clone()
    }

    /// Somebody comes to the local socket and goes without a word.
    fn break_off(&self) {
        drop(UnixStream::connect(buffer(self.dir.path()).join("steward.sock")).unwrap());
    }

    fn watch(&self, more: &[&str]) -> Child {
        let mut watching = Command::new(program::path());
        watching.args(["watch", "--buffer"]).arg(buffer(self.dir.path())).args(more);
        watching.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    }

    /// Has the box decide something until whoever watches has seen enough; gives what he saw.
    fn decide_until_seen(&mut self, mut watching: Child) -> String {
        // Each of them is answered, and at most so many until the other program has started.
        for n in 0..600 {
            if watching.try_wait().unwrap().is_some() {
                break;
            }
            let id = format!("p{}-{n}", watching.id());
            self.command("ping", &id, &json!({}));
            self.answer(&id);
        }
        let (told, said, code) = texts(&watching.wait_with_output().unwrap());
        assert_eq!(code, 0, "{said}");
        told
    }
}

fn buffer(dir: &Path) -> std::path::PathBuf {
    dir.join("buffer")
}

#[test]
fn the_log_says_more_for_a_while_and_then_as_much_as_before() {
    let Some(mut rig) = Rig::new() else { return };
    // As usual: nobody is told of this.
    rig.break_off();
    rig.command("log", "l1", &json!({"level": "debug", "for_s": 2}));
    let answer = rig.answer("l1");
    assert_eq!((&answer["ok"], &answer["state"]), (&json!(true), &json!("done")), "{answer}");
    let changed = rig.agent.wait_for("the log is changed");
    assert!(changed.contains("debug"), "{changed}");
    assert!(!rig.agent.log().contains(BROKEN_OFF));
    rig.break_off();
    rig.agent.wait_for(BROKEN_OFF);
    let over = rig.agent.wait_for("the log is changed");
    assert!(over.contains("as usual"), "{over}");
    rig.break_off();
    let (status, log) = rig.agent.terminate();
    assert!(status.success());
    assert_eq!(log.matches(BROKEN_OFF).count(), 1, "{log}");
}

#[test]
fn a_time_or_a_level_that_is_none_is_refused() {
    let Some(mut rig) = Rig::new() else { return };
    for (id, args, part) in [
        ("l1", json!({"level": "debug", "for_s": 0}), "1 to 86400"),
        ("l2", json!({"level": "debug", "for_s": 86_401}), "1 to 86400"),
        ("l3", json!({"level": "loud", "for_s": 60}), "unknown variant"),
        ("l4", json!({"level": "debug"}), "for_s"),
    ] {
        rig.command("log", id, &args);
        let answer = rig.answer(id);
        assert_eq!(answer["ok"], false);
        assert!(answer["error"]["msg"].as_str().unwrap().contains(part), "{answer}");
    }
    assert!(!rig.agent.log().contains("the log is changed"));
}

#[test]
fn what_is_decided_is_seen_as_it_happens() {
    let Some(mut rig) = Rig::new() else { return };
    let watching = rig.watch(&["--json", "--lines", "3"]);
    let told = rig.decide_until_seen(watching);
    let lines: Vec<Value> = told.lines().map(|l| serde_json::from_str(l).unwrap()).collect();
    assert_eq!(lines.len(), 3, "{told}");
    for line in &lines {
        assert_eq!(line["topic"], "reply/ops");
        assert!(line["at"].is_string() && line["body"]["ok"] == true, "{line}");
    }
    let watching = rig.watch(&["--lines", "1"]);
    let told = rig.decide_until_seen(watching);
    let words: Vec<&str> = told.split_whitespace().collect();
    assert!(words[0].len() == "04:00:03.120".len() && words[1] == "reply/ops", "{told}");
    assert!(rig.agent.terminate().0.success());
}

#[test]
fn whoever_watches_a_box_that_stops_sees_the_end_and_of_none_is_told_so() {
    let Some(mut rig) = Rig::new() else { return };
    let mut first = rig.watch(&["--json"]);
    let mut line = String::new();
    let mut seen = std::io::BufReader::new(first.stdout.take().unwrap());
    // It watches by now: what it is shown comes.
    let shown = std::thread::spawn(move || {
        std::io::BufRead::read_line(&mut seen, &mut line).unwrap();
        (line, seen)
    });
    for n in 0..600 {
        if shown.is_finished() {
            break;
        }
        let id = format!("p{n}");
        rig.command("ping", &id, &json!({}));
        rig.answer(&id);
    }
    let (line, _seen) = shown.join().unwrap();
    assert!(line.contains("reply/ops"), "{line}");
    let folder = buffer(rig.dir.path());
    assert!(rig.agent.terminate().0.success());
    assert!(first.wait().unwrap().success(), "the box has stopped, and that is the end");
    let watching = ["watch", "--buffer", &folder.display().to_string()];
    let (_, said, code) = texts(&program::run(&watching));
    assert!(code == 70 && said.contains("no box answers at"), "{code}: {said}");
}
