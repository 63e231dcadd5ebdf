//! Several uplinks: brokers that go away, an agent that is killed in the middle, and at every far end exactly
//! what its filter and its profile say, once and without a gap.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::time::Duration;

use serde_json::Value;
use system_tests::mosquitto::{Mosquitto, free_port};
use system_tests::node::{NODE, Node, distance, points, told};
use system_tests::program::{Running, run, texts};
use system_tests::subscriber::{Heard, Subscriber, prove};

fn write_config(dir: &Path, tty: &Path, main: &str, uplinks: &str) -> String {
    let path = dir.join("steward.toml");
    let text = format!(
        r#"
[box]
id = "xj-1"
tenant = "longcheng"
site = "xuejia"
timezone = "Asia/Shanghai"

[mqtt]
url = "{main}"

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
position = {{ lat = 31.81, lon = 119.97 }}
{uplinks}"#,
        dir = dir.display(),
        tty = tty.display()
    );
    fs::write(&path, text).unwrap();
    path.display().to_string()
}

/// What was told of tickets, without what is each uplink's own: the number, and the id made of it.
fn tickets(heard: &[Heard]) -> BTreeSet<String> {
    let of_tickets = heard.iter().filter(|m| m.topic.contains("/ticket/"));
    let content = |message: &Heard| {
        let mut json = message.json.clone();
        if let Value::Object(fields) = &mut json {
            fields.retain(|key, _| !["id", "seq", "replay"].contains(&key.as_str()));
        }
        format!("{} {json}", message.topic)
    };
    of_tickets.map(content).collect()
}

/// By ticket and transition, what the platform that speaks Open311 was told.
fn requests(heard: &[Heard]) -> BTreeMap<String, BTreeSet<String>> {
    let mut requests: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for message in heard {
        if let Some((_, key)) = message.topic.split_once("/open311/requests/") {
            assert_eq!(
                Some(&message.json["service_request_id"]),
                key.split('/').next().map(Value::from).as_ref()
            );
            requests.entry(key.to_owned()).or_default().insert(message.text.clone());
        }
    }
    requests
}

/// The transitions that our own form tells: `<ticket>/<rev>`.
fn transitions(heard: &[Heard]) -> BTreeSet<String> {
    let states =
        heard.iter().filter(|m| m.topic.contains("/ticket/") && m.topic.ends_with("/state"));
    let key =
        |m: &Heard| Some(format!("{}/{}", m.json["ticket_id"].as_str()?, m.json["rev"].as_u64()?));
    states.filter_map(key).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_broker_gets_what_is_meant_for_it_whoever_dies() {
    let dirs: Vec<_> = (0..4).map(|_| tempfile::tempdir().unwrap()).collect();
    let Some(main) = Mosquitto::start(dirs[1].path()) else { return };
    let city = Mosquitto::start(dirs[2].path()).unwrap();
    let desk = Mosquitto::start(dirs[3].path()).unwrap();
    let mut at_main = Subscriber::start(main.port, "auditor", "steward/v1/#");
    let mut at_city = Subscriber::start(city.port, "auditor", "steward/v1/#");
    let mut at_desk = Subscriber::start(desk.port, "auditor", "steward/v1/#");
    let mut node = Node::new().unwrap();
    let uplinks = format!(
        r#"
[[uplink]]
name = "city"
url = "{}"
lanes = ["ticket", "telemetry"]
topics = ["ticket/#", "bin/+/tel"]

[[uplink]]
name = "desk"
url = "{}"
topics = ["ticket/+/state", "bin/+/state"]
profile = "open311"
"#,
        city.url(),
        desk.url()
    );
    let config = write_config(dirs[0].path(), node.line.slave(), &main.url(), &uplinks);
    let arguments = ["run", "--config", &config];

    let agent = Running::start(&arguments);
    node.deliver(1..=40).await.unwrap();
    at_main.wait_until("the first reports", |heard| told(heard, 40));
    at_city.wait_until("the first reports", |heard| told(heard, 40));
    at_desk.wait_until("the ticket", |heard| !requests(heard).is_empty());

    // A dead uplink keeps nobody waiting.
    let city = city.stop();
    node.deliver(41..=100).await.unwrap();
    at_main.wait_until("what came without the city", |heard| told(heard, 100));
    let main = main.stop();
    node.deliver(101..=140).await.unwrap();
    // Some of these are on their way when the agent is killed.
    for counter in 141..=160 {
        node.send(counter).await.unwrap();
    }
    agent.kill();

    let agent_again = Running::start(&arguments);
    node.deliver(141..=200).await.unwrap();
    let (main, city) = (main.start(), city.start());
    node.deliver(201..=240).await.unwrap();
    at_main.wait_until("the last report", |heard| told(heard, 240));
    at_city.wait_until("the last report", |heard| told(heard, 240));
    let (status, log) = agent_again.terminate();
    assert!(status.success(), "{log}");
    let farewell = |heard: &[Heard]| {
        heard.iter().any(|m| m.json["state"] == "offline" && m.topic.ends_with("/status"))
    };
    for subscriber in [&mut at_main, &mut at_city, &mut at_desk] {
        subscriber.wait_until("the farewell", farewell);
    }
    drop((main, city, desk));

    judge(&at_main.heard, &at_city.heard, &at_desk.heard);
    look_into_the_city(&config);
}

/// Each far end has what is meant for it, once and without a gap.
fn judge(main: &[Heard], city: &[Heard], desk: &[Heard]) {
    for (name, heard) in [("main", main), ("city", city)] {
        let proof = prove(heard);
        assert!(proof.faults.is_empty(), "{name}: {}", proof.faults.join("\n"));
        let points = points(heard);
        for counter in 1..=240 {
            assert_eq!(
                points.get(&u64::from(distance(counter))),
                Some(&1),
                "{name}: report {counter}"
            );
        }
    }
    // Nothing of a lane or topic that the city does not want.
    let lanes: Vec<String> = prove(city).seqs.into_keys().collect();
    assert_eq!(lanes, ["telemetry", "ticket"]);
    assert!(tickets(main).len() > 1);
    assert_eq!(tickets(city), tickets(main));
    // One request for each transition, however often it came.
    let requests = requests(desk);
    assert_eq!(requests.keys().cloned().collect::<BTreeSet<_>>(), transitions(main));
    for (key, forms) in &requests {
        assert_eq!(forms.len(), 1, "{key} is told in different words: {forms:?}");
    }
    let of_ours = desk.iter().find(|m| m.topic.ends_with("/bin/bin-7/state"));
    assert!(of_ours.is_none(), "a state has no form of Open311: {of_ours:?}");
    let health = main.iter().rfind(|m| m.topic.ends_with("/health")).unwrap();
    assert_eq!(health.json["uplinks"]["desk"]["profile"], "open311");
    assert!(health.json["uplinks"]["desk"]["no_form"].as_u64().unwrap() > 0);
}

/// Nothing is left in the store of the city, and nothing was lost there.
fn look_into_the_city(config: &str) {
    let told = run(&["outbox", "stats", "--config", config, "--uplink", "city", "--json"]);
    let (out, err, code) = texts(&told);
    assert_eq!(code, 0, "{err}");
    let stats: Value = serde_json::from_str(&out).unwrap();
    let telemetry =
        stats["lanes"].as_array().unwrap().iter().find(|l| l["lane"] == "telemetry").unwrap();
    assert_eq!(
        (telemetry["stored"].as_u64(), &telemetry["dropped"]),
        (Some(0), &serde_json::json!({}))
    );
    let (_, err, code) = texts(&run(&["outbox", "stats", "--config", config, "--uplink", "town"]));
    assert!(code != 0 && err.contains("town") && err.contains("city"), "{err}");
}

/// A command that `mosquitto_pub` sends.
fn command(port: u16, name: &str, id: &str) {
    let topic = format!("steward/v1/longcheng/xuejia/xj-1/cmd/{name}");
    let payload = format!("{{\"id\":\"{id}\",\"by\":\"duty\"}}");
    let sent = std::process::Command::new("mosquitto_pub")
        .args(["-h", "127.0.0.1", "-p", &port.to_string(), "-q", "1", "-t", &topic, "-m", &payload])
        .status()
        .unwrap();
    assert!(sent.success());
}

#[tokio::test(flavor = "multi_thread")]
async fn commands_come_only_from_uplinks_that_say_so_and_are_answered_there() {
    let dirs: Vec<_> = (0..3).map(|_| tempfile::tempdir().unwrap()).collect();
    let Some(open) = Mosquitto::start(dirs[1].path()) else { return };
    let shut = Mosquitto::start(dirs[2].path()).unwrap();
    let mut at_open = Subscriber::start(open.port, "auditor", "steward/v1/#");
    let mut at_shut = Subscriber::start(shut.port, "auditor", "steward/v1/#");
    let node = Node::new().unwrap();
    let uplinks = format!(
        r#"
[[uplink]]
name = "open"
url = "{}"
lanes = ["event"]
commands = true

[[uplink]]
name = "shut"
url = "{}"
"#,
        open.url(),
        shut.url()
    );
    // Nobody is at the first broker, now or ever.
    let nobody = format!("mqtt://127.0.0.1:{}", free_port());
    let config = write_config(dirs[0].path(), node.line.slave(), &nobody, &uplinks);
    let mut agent = Running::start(&["run", "--config", &config]);
    agent.wait_for("xj-1-cmd");
    agent.wait_for("subscribed");
    let online = |heard: &[Heard]| heard.iter().any(|m| m.json["state"] == "online");
    at_open.wait_until("the box", online);
    at_shut.wait_until("the box", online);
    command(shut.port, "ping", "from-shut");
    // The subscription may come a moment after the connection: until it is there nobody is told.
    let answered = |heard: &[Heard]| heard.iter().any(|m| m.topic.ends_with("/reply/duty"));
    for n in 0..100 {
        command(open.port, "ping", &format!("from-open-{n}"));
        tokio::time::sleep(Duration::from_millis(100)).await;
        at_open.listen();
        if answered(&at_open.heard) {
            break;
        }
    }
    at_open.wait_until("the answer", answered);
    let (status, log) = agent.terminate();
    assert!(status.success(), "{log}");
    at_shut.wait_until("the farewell", |heard| heard.iter().any(|m| m.json["state"] == "offline"));
    assert!(!answered(&at_shut.heard), "an answer went elsewhere");
    let of_answer = at_open.heard.iter().filter(|m| m.topic.ends_with("/reply/duty"));
    assert!(
        of_answer.clone().all(
            |m| m.json["ok"] == true && m.json["id"].as_str().unwrap().starts_with("from-open")
        )
    );
    let audit = fs::read_to_string(dirs[0].path().join("buffer/audit.jsonl")).unwrap();
    assert!(audit.contains("\"mqtt:open\"") && !audit.contains("from-shut"), "{audit}");
}

/// MQTT 5 has a place for where an answer is wanted and what is to stand beside it.
#[tokio::test(flavor = "multi_thread")]
async fn an_answer_goes_where_its_requester_wants_it() {
    let dirs: Vec<_> = (0..2).map(|_| tempfile::tempdir().unwrap()).collect();
    let Some(broker) = Mosquitto::start(dirs[1].path()) else { return };
    let node = Node::new().unwrap();
    let config = write_config(dirs[0].path(), node.line.slave(), &broker.url(), "");
    let mut agent = Running::start(&["run", "--config", &config]);
    agent.wait_for("xj-1-cmd");
    agent.wait_for("subscribed");
    let mqtt = |program: &str| {
        let mut command = std::process::Command::new(program);
        command.args(["-h", "127.0.0.1", "-p", &broker.port.to_string(), "-V", "5", "-q", "1"]);
        command
    };
    let mut waiting = mqtt("mosquitto_sub")
        .args(["-t", "desk/7/in", "-C", "1", "-W", "60", "-F", "%D %p"])
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let topic = "steward/v1/longcheng/xuejia/xj-1/cmd/ping";
    // Whoever asks before the other side listens asks again.
    let mut n = 0;
    while waiting.try_wait().unwrap().is_none() {
        n += 1;
        let payload = format!("{{\"id\":\"c-{n}\",\"by\":\"duty\"}}");
        let sent = mqtt("mosquitto_pub")
            .args(["-t", topic, "-m", &payload, "-D", "publish", "response-topic", "desk/7/in"])
            .args(["-D", "publish", "correlation-data", "case 12"])
            .status()
            .unwrap();
        assert!(sent.success());
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let said = String::from_utf8(waiting.wait_with_output().unwrap().stdout).unwrap();
    let (correlation, payload) = said.trim().split_at("case 12".len());
    assert_eq!(correlation, "case 12", "{said}");
    let answer: Value = serde_json::from_str(payload.trim()).unwrap();
    assert!(answer["ok"] == true && answer["id"].as_str().unwrap().starts_with("c-"), "{answer}");
    let (status, log) = agent.terminate();
    assert!(status.success(), "{log}");
}
