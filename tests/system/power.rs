//! The power fails and a UPS says so: what was in memory only is on disk before the lights go out. And the
//! buffer of a box that runs can be looked into, memory included.

use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::Value;
use steward::demo::pty::Pty;
use system_tests::mosquitto::free_port;
use system_tests::program::{Running, run, texts};

/// A receiver on a vehicle, and a broker that is not there.
fn write_config(dir: &Path, tty: &Path) -> String {
    let path = dir.join("steward.toml");
    let text = format!(
        r#"
[box]
id = "xj-1"
tenant = "longcheng"
site = "xuejia"
timezone = "Asia/Shanghai"

[mqtt]
url = "mqtt://127.0.0.1:{port}"

[buffer]
dir = "{dir}/buffer"

[http]
enabled = false

[[source]]
name = "gnss"
kind = "nmea"
device = "{tty}"
baud = 9600

[[vehicle]]
id = "sweeper-07"
kind = "sweeper"
source = "gnss"
raw_fixes = true
"#,
        dir = dir.display(),
        tty = tty.display(),
        port = free_port()
    );
    fs::write(&path, text).unwrap();
    path.display().to_string()
}

/// A position at second `n` of the present day, as a receiver says it.
fn sentence(n: u32) -> String {
    let now = jiff::Timestamp::now().in_tz("UTC").unwrap();
    let body = format!(
        "GPRMC,{},A,3148.{:04},N,11958.4000,E,3.2,0.0,{},,,A",
        now.strftime("%H%M%S.00"),
        6000 + n,
        now.strftime("%d%m%y")
    );
    let sum = body.bytes().fold(0, |sum, byte| sum ^ byte);
    format!("${body}*{sum:02X}\r\n")
}

/// The counts of the telemetry lane.
fn telemetry(config: &str) -> (Value, bool) {
    let (out, err, code) = texts(&run(&["outbox", "stats", "--config", config, "--json"]));
    assert_eq!(code, 0, "{err}");
    let stats: Value = serde_json::from_str(&out).unwrap();
    let lane =
        stats["lanes"].as_array().unwrap().iter().find(|l| l["lane"] == "telemetry").unwrap();
    (lane.clone(), stats["running"] == true)
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_in_memory_is_stored_when_the_power_fails() {
    let dir = tempfile::tempdir().unwrap();
    let line = Pty::open().unwrap();
    let config = write_config(dir.path(), line.slave());
    let mut agent = Running::start(&["run", "--config", &config]);
    agent.wait_for("steward runs");
    // Looked at beside the box, until something is in memory and nowhere else.
    let mut fix = 0;
    loop {
        fix += 1;
        line.write_all(sentence(fix).as_bytes()).await.unwrap();
        let (lane, running) = telemetry(&config);
        assert!(running);
        if lane["gathering"].as_u64().unwrap() + lane["in_memory"].as_u64().unwrap() > 0 {
            break;
        }
        assert!(fix < 2_000, "nothing of {fix} positions is in memory: {lane}");
    }
    let (out, err, code) = texts(&run(&["outbox", "ls", "--config", &config, "--lane", "state"]));
    assert!(code == 0 && out.contains("vehicle/sweeper-07/info"), "{out}{err}");
    let (out, err, code) = texts(&run(&["outbox", "peek", "--config", &config, "--lane", "state"]));
    assert!(code == 0 && out.contains("\"lane\":\"state\""), "{out}{err}");

    let pid = agent.pid().to_string();
    assert!(Command::new("kill").args(["-PWR", &pid]).status().unwrap().success());
    agent.wait_for("everything is stored");
    agent.kill();

    let (lane, running) = telemetry(&config);
    assert!(!running);
    assert!(lane["stored"].as_u64().unwrap() > 0, "{lane}");
    assert_eq!(
        (lane["lost_in_memory"].as_u64(), lane["dropped"].as_object().unwrap().len()),
        (Some(0), 0)
    );
    let (out, err, code) =
        texts(&run(&["outbox", "export", "--config", &config, "--lane", "telemetry"]));
    assert!(code == 0 && out.contains("sweeper-07/tel"), "{out}{err}");
}
