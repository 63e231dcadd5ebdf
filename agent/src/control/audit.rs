//! The audit log: who asked for what, when, by which way, and what came of it.
//!
//! One JSON object a line in `audit.jsonl` beside the buffer. When the file is full it becomes
//! `audit.1.jsonl`, and the one before that goes: what a ticket went through stands in its own flow log.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use domain::ids::UplinkName;
use domain::time::Now;
use serde_json::{Map, Value, json};

use super::versions::sha256;

/// A file of the audit log is at most so long.
const SIZE_MAX: u64 = 4 * 1024 * 1024;

/// By which way a command came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Via {
    /// `P/cmd/<name>`, on the broker of `[mqtt]` or of an uplink.
    Mqtt(Option<UplinkName>),
    /// The local socket.
    Local,
    /// A report of the public, over Open311.
    Public,
}

/// The log.
#[derive(Debug)]
pub struct Audit {
    path: PathBuf,
    file: Option<File>,
    troubled: bool,
}

impl Audit {
    /// The log in `dir`. What cannot be written is told in the journal.
    #[must_use]
    pub fn new(dir: &Path) -> Audit {
        Audit { path: dir.join("audit.jsonl"), file: None, troubled: false }
    }

    /// Writes down a command and its answer.
    pub fn note(&mut self, now: Now, via: &Via, name: &str, payload: &[u8], answer: &Value) {
        let line = line(now, via, name, payload, answer);
        match self.append(&line) {
            Ok(()) => self.troubled = false,
            Err(error) if !self.troubled => {
                self.troubled = true;
                tracing::error!(path = %self.path.display(), error = %error, "the audit log cannot be written");
            }
            Err(_) => {}
        }
    }

    fn append(&mut self, line: &str) -> io::Result<()> {
        let file = match &mut self.file {
            Some(file) => file,
            None => {
                self.file.insert(OpenOptions::new().create(true).append(true).open(&self.path)?)
            }
        };
        file.write_all(line.as_bytes())?;
        if file.metadata()?.len() > SIZE_MAX {
            self.file = None;
            std::fs::rename(&self.path, self.path.with_file_name("audit.1.jsonl"))?;
        }
        Ok(())
    }
}

fn line(now: Now, via: &Via, name: &str, payload: &[u8], answer: &Value) -> String {
    let mut asked: Map<String, Value> = serde_json::from_slice(payload).unwrap_or_default();
    if let Some(text) = asked.get_mut("args").and_then(|args| args.get_mut("toml")) {
        // A whole configuration would soon fill the log; the kept versions have it by this hash.
        let of = text.as_str().unwrap_or_default();
        *text = json!({"sha256": sha256(of.as_bytes()), "bytes": of.len()});
    }
    if let Some(Value::String(url)) = asked.get_mut("args").and_then(|args| args.get_mut("url")) {
        // A query may hold a secret.
        let end = url.find('?').unwrap_or(url.len());
        url.truncate(end);
    }
    let via = match via {
        Via::Mqtt(None) => "mqtt".to_owned(),
        Via::Mqtt(Some(uplink)) => format!("mqtt:{uplink}"),
        Via::Local => "local".to_owned(),
        Via::Public => "open311".to_owned(),
    };
    let entry = json!({
        "at": now.utc, "clock": now.clock, "boot": now.boot, "via": via, "command": name,
        "by": asked.get("by"), "id": asked.get("id"), "args": asked.get("args"),
        "ok": answer.get("ok"), "error": answer.get("error"),
    });
    format!("{entry}\n")
}

#[cfg(test)]
mod tests {
    use domain::time::{Boot, ClockQuality, Moment, Monotonic, Utc};

    use super::*;

    fn now() -> Now {
        Moment {
            boot: Boot(3),
            monotonic: Monotonic::from_ms(0),
            utc: Utc::from_ms(0),
            clock: ClockQuality::Ntp,
        }
    }

    #[test]
    fn every_command_is_a_line_and_a_full_file_gives_way() {
        let folder = tempfile::tempdir().unwrap();
        let mut audit = Audit::new(folder.path());
        let payload = br#"{"id":"c1","by":"duty-1","args":{"ticket":"t-1"}}"#;
        audit.note(now(), &Via::Mqtt(None), "ticket", payload, &json!({"ok": true}));
        audit.note(
            now(),
            &Via::Local,
            "fly",
            b"{",
            &json!({"ok": false, "error": {"code": "invalid"}}),
        );
        let read = |name| std::fs::read_to_string(folder.path().join(name)).unwrap();
        let lines: Vec<Value> =
            read("audit.jsonl").lines().map(|l| serde_json::from_str(l).unwrap()).collect();
        assert_eq!((&lines[0]["by"], &lines[0]["ok"]), (&json!("duty-1"), &json!(true)));
        assert_eq!(
            (&lines[1]["via"], &lines[1]["error"]["code"]),
            (&json!("local"), &json!("invalid"))
        );
        let large = vec![b' '; usize::try_from(SIZE_MAX).unwrap()];
        audit.append(&String::from_utf8(large).unwrap()).unwrap();
        audit.note(now(), &Via::Mqtt(None), "ping", payload, &json!({"ok": true}));
        let line = read("audit.jsonl");
        assert_eq!(line.lines().count(), 1);
        assert!(folder.path().join("audit.1.jsonl").exists());
        let payload = br#"{"id":"c2","by":"ops","args":{"action":"apply","toml":"[box]"}}"#;
        audit.note(now(), &Via::Mqtt(None), "config", payload, &json!({"ok": true}));
        let log = read("audit.jsonl");
        assert!(!log.contains("[box]") && log.contains(r#""bytes":5"#), "{log}");
    }
}
