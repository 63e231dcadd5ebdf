//! Tickets from outside: a demo that runs, its tickets moved from the shell and over MQTT with the same
//! result.

use std::collections::BTreeSet;
use std::path::Path;

use serde_json::Value;
use system_tests::data::say;
use system_tests::program::{self, Running, texts};
use system_tests::subscriber::Subscriber;

/// A demo in a folder of its own.
struct Demo {
    _running: Running,
    folder: tempfile::TempDir,
    port: u16,
    commands: u32,
}

/// What came of a command.
#[derive(Debug)]
struct Answer {
    json: Value,
    code: i32,
}

impl Demo {
    fn start() -> Demo {
        let folder = tempfile::tempdir().unwrap();
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let mqtt = format!("127.0.0.1:{port}");
        let dir = folder.path().display().to_string();
        // A quarter of an hour of the street in a quarter of a minute: slow enough that no problem comes and
        // goes under the hands of the test on a busy machine.
        let args = ["demo", "--json", "--mqtt", &mqtt, "--http", "127.0.0.1:0", "--dir", &dir];
        let speed = ["--speed", "60", "--for", "10m"];
        let mut running = Running::start(&[&args[..], &speed[..]].concat());
        running.wait_for("http://127.0.0.1:");
        let filter = "steward/v1/longcheng/xuejia/demo/ticket/+/state";
        let mut tickets = Subscriber::start(port, "tickets", filter);
        tickets.wait_until("three tickets", |heard| {
            let raised = heard.iter().filter(|m| m.json["state"] == "raised");
            raised.map(|m| &m.topic).collect::<BTreeSet<_>>().len() >= 3
        });
        Demo { _running: running, folder, port, commands: 0 }
    }

    fn buffer(&self) -> std::path::PathBuf {
        self.folder.path().join("buffer")
    }

    /// The tickets that nobody has touched yet.
    fn open(&self) -> Vec<String> {
        let answer = self.ask(&["list", "--state", "raised"]);
        let tickets = answer.json["result"]["tickets"].as_array().cloned().unwrap_or_default();
        tickets.iter().map(|t| t["ticket_id"].as_str().unwrap().to_owned()).collect()
    }

    fn ask(&self, args: &[&str]) -> Answer {
        let buffer = self.buffer().display().to_string();
        let all = [&["ticket", "--json", "--buffer", &buffer], args].concat();
        let (stdout, _, code) = texts(&program::run(&all));
        Answer { json: serde_json::from_str(&stdout).unwrap_or_default(), code }
    }

    /// The same by a command on the broker.
    fn publish(&mut self, answers: &mut Subscriber, args: &Value) -> Value {
        self.commands += 1;
        let id = format!("m-{}", self.commands);
        let command = serde_json::json!({"id": id, "by": "duty-9", "args": args});
        let topic = "steward/v1/longcheng/xuejia/demo/cmd/ticket";
        let sent = std::process::Command::new("mosquitto_pub")
            .args(["-h", "127.0.0.1", "-p", &self.port.to_string(), "-q", "1"])
            .args(["-t", topic, "-m", &command.to_string()])
            .status()
            .expect("mosquitto_pub comes with mosquitto-clients");
        assert!(sent.success());
        answers.wait_until("the answer", |heard| heard.iter().any(|m| m.json["id"] == *id));
        let heard = answers.heard.iter().find(|m| m.json["id"] == *id).unwrap();
        heard.json.clone()
    }
}

/// In the shell, over MQTT, with what else, and to what end.
type Step = (&'static str, &'static str, &'static [(&'static str, &'static str)], &'static str);

/// Every step, as it is called in the shell, with what else it needs and what comes of it. A note is given
/// with each.
const LIFE: [Step; 13] = [
    ("ack", "ack", &[], "acknowledged"),
    ("verify", "verify", &[], "refused"),
    ("assign", "assign", &[("crew", "streets-1")], "dispatched"),
    ("hand-over", "hand_over", &[("crew", "nobody")], "refused"),
    ("accept", "accept", &[], "dispatched"),
    ("on-site", "on_site", &[], "dispatched"),
    ("start", "start", &[], "dispatched"),
    ("resolve", "resolve", &[], "handled"),
    ("verify", "verify", &[], "verified"),
    ("close", "close", &[], "closed"),
    ("reopen", "reopen", &[], "reopened"),
    ("shelve", "shelve", &[("for", "86400")], "suppressed"),
    ("assign", "assign", &[("crew", "streets-1")], "refused"),
];

#[test]
#[allow(
    clippy::disallowed_methods,
    reason = "how long an answer takes is printed, and judged by nobody"
)]
fn a_ticket_is_moved_from_the_shell_and_over_mqtt_with_the_same_result() {
    let mut demo = Demo::start();
    let open = demo.open();
    let (by_shell, by_mqtt) = (open[0].clone(), open[1].clone());
    let filter = "steward/v1/longcheng/xuejia/demo/reply/duty-9";
    let mut answers = Subscriber::start(demo.port, "judge", filter);
    let mut times = [vec![], vec![]];
    for (shell, action, more, expected) in LIFE {
        let mut args = vec![shell.to_owned(), by_shell.clone(), "--note=seen to".to_owned()];
        let mut command =
            serde_json::json!({"ticket": by_mqtt, "action": action, "note": "seen to"});
        for (key, value) in more {
            let unit = if *key == "for" { "s" } else { "" };
            args.push(format!("--{key}={value}{unit}"));
            let (key, value) = match *key {
                "for" => ("for_s", Value::from(value.parse::<u64>().unwrap())),
                key => (key, Value::from(*value)),
            };
            command[key] = value;
        }
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        let begun = std::time::Instant::now();
        let said = demo.ask(&args);
        times[0].push(begun.elapsed());
        let begun = std::time::Instant::now();
        let told = demo.publish(&mut answers, &command);
        times[1].push(begun.elapsed());
        for answer in [&said.json, &told] {
            let came = answer["result"]["state"].as_str().or(answer["error"]["code"].as_str());
            assert_eq!(came, Some(expected), "{action}: {answer}");
        }
        assert_eq!(said.json["error"]["msg"], told["error"]["msg"]);
        assert_eq!(said.code, i32::from(expected == "refused"), "{action}");
    }
    let steps = |id: &str| -> Vec<String> {
        let shown = demo.ask(&["show", id]);
        assert_eq!((shown.code, &shown.json["result"]["chain"]["ok"]), (0, &Value::from(true)));
        let flow = shown.json["result"]["flow"].as_array().unwrap().clone();
        let of_people = flow.iter().filter(|entry| entry["by"] != "agent");
        of_people.map(|entry| entry["step"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(steps(&by_shell), steps(&by_mqtt));
    // With the start of the program that asks, each time.
    for (way, mut times) in ["steward ticket", "mosquitto_pub"].into_iter().zip(times) {
        times.sort_unstable();
        let (median, worst) = (times[times.len() / 2], times[times.len() - 1]);
        say(&format!("{way}: answered after {median:.0?}, at the worst {worst:.0?}"));
    }
    audited(&demo.buffer());
}

/// Every command is in the audit log, whichever way it came.
fn audited(buffer: &Path) {
    let log = std::fs::read_to_string(buffer.join("audit.jsonl")).unwrap();
    let lines = log.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let moves: Vec<Value> = lines.filter(|line| line["command"] == "ticket").collect();
    for via in ["local", "mqtt"] {
        let of_way = moves.iter().filter(|line| line["via"] == via);
        assert_eq!(of_way.clone().count(), LIFE.len(), "{via}");
        assert_eq!(of_way.filter(|line| line["ok"] == false).count(), 3, "{via}");
    }
}

#[test]
fn a_command_is_carried_out_once_and_people_can_read_the_answer() {
    let demo = Demo::start();
    let id = demo.open()[2].clone();
    let first = demo.ask(&["ack", &id, "--id", "once"]);
    let again = demo.ask(&["ack", &id, "--id", "once"]);
    assert_eq!((first.code, &first.json), (0, &again.json));
    let buffer = demo.buffer().display().to_string();
    let (shown, _, code) = texts(&program::run(&["ticket", "show", &id, "--buffer", &buffer]));
    assert_eq!(code, 0);
    for expected in
        [id.as_str(), "acknowledged", "by local", " version 1: ", "the flow log is whole"]
    {
        assert!(shown.contains(expected), "{expected} is not in:\n{shown}");
    }
    let (_, stderr, code) = texts(&program::run(&["ticket", "ack", &id, "--buffer", &buffer]));
    assert_eq!(code, 1);
    assert!(stderr.contains("cannot ack a ticket that is acknowledged"), "{stderr}");
    let (_, stderr, code) = texts(&program::run(&["ticket", "list", "--buffer", "/nowhere"]));
    assert_eq!(code, 70);
    assert!(stderr.contains("is it running"), "{stderr}");
}
