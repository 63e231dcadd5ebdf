//! Open311 with programs of others: what they report becomes tickets, and they can read what becomes of it.
//! Who reports is nowhere to be heard.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;
use system_tests::data::say;
use system_tests::mosquitto::free_port;
use system_tests::program::Running;
use system_tests::subscriber::Subscriber;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// The python that has what a script needs, as `make peers` installs it.
pub(super) fn python(script: &str) -> Option<Command> {
    let python = root().join("target/peers/bin/python");
    if !python.exists() {
        say(&format!("SKIPPED: {} is not there (make peers)", python.display()));
        return None;
    }
    let mut command = Command::new(python);
    command.arg(root().join("tests/peers").join(script));
    Some(command)
}

/// A demo that takes reports, its folder, and where its endpoint and its broker are.
fn demo(folder: &Path) -> (Running, String, u16) {
    let port = free_port();
    let (mqtt, dir) = (format!("127.0.0.1:{port}"), folder.display().to_string());
    let args = ["demo", "--json", "--mqtt", &mqtt, "--http", "127.0.0.1:0", "--dir", &dir];
    let mut running = Running::start(&[&args[..], &["--speed", "10", "--for", "10m"]].concat());
    let line = running.wait_for("http://127.0.0.1:");
    let after = line.split("http://").nth(1).unwrap();
    let host: String = after.chars().take_while(|c| !c.is_whitespace() && *c != '/').collect();
    (running, format!("http://{host}/open311/v2"), port)
}

#[test]
fn clients_of_others_report_and_see_what_becomes_of_it() {
    let Some(mut clients) = python("open311.py") else { return };
    let folder = tempfile::tempdir().unwrap();
    let (_running, endpoint, port) = demo(folder.path());
    let mut all = Subscriber::start(port, "everything", "steward/#");
    // Beside the first bin of the demo's street.
    all.wait_until("a bin", |heard| {
        heard.iter().any(|m| m.topic.contains("/bin/") && m.topic.ends_with("/info"))
    });
    let bin = all.heard.iter().find(|m| m.topic.contains("/bin/") && m.topic.ends_with("/info"));
    let position = &bin.unwrap().json["position"];
    let place = [&position["lat"], &position["lon"]].map(ToString::to_string);
    let told = clients.arg(&endpoint).args(place).stdin(Stdio::null()).output().unwrap();
    let errors = String::from_utf8_lossy(&told.stderr);
    assert!(told.status.success(), "{errors}");
    let told: Value = serde_json::from_slice(&told.stdout).unwrap();
    let numbers: Vec<String> = serde_json::from_value(told["numbers"].clone()).unwrap();
    let of_ticket = |m: &system_tests::subscriber::Heard, number: &str| {
        m.topic.contains("/ticket/") && m.topic.ends_with("/state") && m.text.contains(number)
    };
    all.wait_until("the tickets of both reports", |heard| {
        numbers.iter().all(|number| heard.iter().any(|m| of_ticket(m, number)))
    });
    // One problem, told twice: one ticket with both numbers, and the photo by its hash.
    let ticket = all.heard.iter().rev().find(|m| numbers.iter().all(|n| of_ticket(m, n))).unwrap();
    let sources = ticket.json["sources"].as_array().unwrap();
    let photo = sources.iter().find_map(|w| w["media"].as_str()).unwrap();
    let hash = photo.strip_prefix("sha256:").unwrap();
    assert!(folder.path().join("buffer/photos").join(format!("{hash}.jpg")).exists());
    for heard in &all.heard {
        for secret in ["13800001111", "san@example.org", "Zhang"] {
            assert!(!heard.text.contains(secret), "{secret} on {}", heard.topic);
        }
    }
    let person = folder.path().join("buffer/people").join(format!("{}.json", numbers[0]));
    assert!(std::fs::read_to_string(person).unwrap().contains("13800001111"));
    let audit = std::fs::read_to_string(folder.path().join("buffer/audit.jsonl")).unwrap();
    assert_eq!(audit.matches("\"open311.report\"").count(), 2, "{audit}");
    assert!(!audit.contains("13800001111"));
}

/// Commands that PyJWT has signed are ours to read; one bit more and they are not.
#[test]
fn commands_signed_by_a_program_of_others_are_believed() {
    use domain::ids::Requester;
    use std::io::Write;
    use steward::control::signed::{Actors, Key};

    let Some(mut signer) = python("sign.py") else { return };
    let secret = "0123456789abcdef0123456789abcdef";
    let topic = "steward/v1/longcheng/xuejia/xj-0412/cmd/ticket";
    let command = serde_json::json!({
        "id": "c-1", "by": "duty-1", "to": topic,
        "issued_at": "2026-06-04T04:00:00Z", "expires_at": "2026-06-04T04:05:00Z",
        "args": {"ticket": "t-1", "action": "ack", "note": "收到"},
    });
    let mut signer =
        signer.arg(secret).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    writeln!(signer.stdin.take().unwrap(), "{command}").unwrap();
    let token = String::from_utf8(signer.wait_with_output().unwrap().stdout).unwrap();
    let token = token.trim();
    let key = Key::secret(secret.as_bytes()).unwrap();
    let keys = [(Requester::new("duty-1").unwrap(), key)].into();
    let actors = Actors { keys, required: true };
    let read = actors.read(topic, "ticket", token.as_bytes()).unwrap();
    assert!(read.signed);
    assert_eq!(read.action.name(), "ticket.ack");
    let elsewhere =
        actors.read("steward/v1/longcheng/xuejia/xj-0413/cmd/ticket", "ticket", token.as_bytes());
    assert!(elsewhere.unwrap_err().why.contains("must be signed as"));
}
