//! The recipe for Prometheus, by Prometheus: it scrapes a box with the configuration that is published, and its
//! own tool finds nothing to say of the figures and of the alerts.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use system_tests::data::say;
use system_tests::mosquitto::{Mosquitto, free_port};
use system_tests::program::Running;

fn recipe() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/recipes/prometheus")
}

fn installed() -> bool {
    let runs = Command::new("promtool").arg("--version").stdout(Stdio::null()).status().is_ok();
    if !runs {
        say("SKIPPED: Prometheus is not installed (apt-get install prometheus)");
    }
    runs
}

/// The body of an answer to GET.
fn get(port: u16, path: &str) -> Option<String> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).ok()?;
    let asked = format!("GET {path} HTTP/1.0\r\nhost: 127.0.0.1:{port}\r\n\r\n");
    stream.write_all(asked.as_bytes()).ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    let (head, body) = answer.split_once("\r\n\r\n")?;
    head.contains(" 200 ").then(|| body.to_owned())
}

/// A Prometheus, ended when dropped.
struct Prometheus(Child);

impl Drop for Prometheus {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn check(args: &[&str], input: &str) {
    let mut tool = Command::new("promtool")
        .args(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    tool.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let said = tool.wait_with_output().unwrap();
    let text = String::from_utf8_lossy(&said.stdout) + String::from_utf8_lossy(&said.stderr);
    assert!(said.status.success(), "{args:?}: {text}");
}

#[test]
#[allow(clippy::disallowed_methods, reason = "another program is waited for by asking it again")]
fn prometheus_scrapes_a_box_by_the_recipe_and_finds_nothing_to_say() {
    if !installed() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let Some(broker) = Mosquitto::start(dir.path()) else { return };
    let (http, own) = (free_port(), free_port());
    let config = dir.path().join("steward.toml");
    let text = format!(
        "[box]\nid = \"xj-1\"\ntenant = \"t\"\nsite = \"s\"\ntimezone = \"UTC\"\n[mqtt]\nurl = \"{}\"\n\
         [buffer]\ndir = \"{}/buffer\"\n[http]\nlisten = \"127.0.0.1:{http}\"\n\
         [[source]]\nname = \"nodes\"\nkind = \"node-link\"\ndevice = \"/dev/null\"\n",
        broker.url(),
        dir.path().display()
    );
    fs::write(&config, text).unwrap();
    let mut agent = Running::start(&["run", "--config", &config.display().to_string()]);
    agent.wait_for("link to the broker is up");

    check(&["check", "metrics"], &get(http, "/metrics").unwrap());
    check(&["check", "rules", &recipe().join("alerts.yml").display().to_string()], "");
    let text = fs::read_to_string(recipe().join("prometheus.yml")).unwrap();
    let text = text
        .replace("127.0.0.1:8080", &format!("127.0.0.1:{http}"))
        .replace("alerts.yml", &recipe().join("alerts.yml").display().to_string())
        .replace("scrape_interval: 30s", "scrape_interval: 1s");
    let file = dir.path().join("prometheus.yml");
    fs::write(&file, text).unwrap();
    let _prometheus = Prometheus(
        Command::new("prometheus")
            .arg(format!("--config.file={}", file.display()))
            .arg(format!("--storage.tsdb.path={}/tsdb", dir.path().display()))
            .arg(format!("--web.listen-address=127.0.0.1:{own}"))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap(),
    );
    // Until it has come by.
    let found = (0..600).find_map(|_| {
        let answer = get(own, "/api/v1/query?query=steward_uplink_connected");
        let found = answer.filter(|text| text.contains("\"__name__\""));
        found.or_else(|| {
            std::thread::sleep(Duration::from_millis(100));
            None
        })
    });
    let found = found.expect("Prometheus has the figures of the box");
    assert!(found.contains("\"job\":\"steward\"") && found.contains(",\"1\"]"), "{found}");
    assert!(agent.terminate().0.success());
}
