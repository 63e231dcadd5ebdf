//! What the box that runs says of itself, through its local socket.

use serde_json::{Value, json};

use super::Finding;
use crate::config::Config;
use crate::control::ask::{AskError, ask};
use crate::control::local::HEALTH;

pub(super) fn examine(config: &Config) -> Vec<Finding> {
    match ask(&config.buffer.dir, HEALTH, json!({})) {
        Ok(Value::Null) => vec![Finding::look(
            "service",
            "the box has just started and has not looked at itself yet",
            "ask again in half a minute",
        )],
        Ok(health) => judge(&health),
        Err(AskError::Nobody { path, source }) => {
            let denied = source.kind() == std::io::ErrorKind::PermissionDenied;
            let todo = if denied {
                "run the doctor as the user of the service: sudo -u steward steward doctor …"
            } else {
                "systemctl start steward; journalctl -u steward says why it ended"
            };
            vec![Finding::look("service", format!("no box answers at {}", path.display()), todo)]
        }
        Err(error) => vec![Finding::bad("service", error.to_string(), "systemctl restart steward")],
    }
}

/// What the heartbeat says.
fn judge(health: &Value) -> Vec<Finding> {
    let mut findings = vec![];
    let up = health["uptime_s"].as_u64().unwrap_or_default();
    findings.push(Finding::ok("service", format!("runs since {up} s")));
    if let Some(trouble) = health["engine"]["store_trouble"].as_str() {
        findings.push(Finding::bad(
            "store",
            format!("the buffer takes nothing: {trouble}"),
            "make room on the disk, or look at the card (dmesg)",
        ));
    }
    findings.push(link(&health["link"]));
    let refused = health["link"]["refused"].as_object().into_iter().flatten();
    for (reason, count) in refused.filter(|(_, count)| count.as_u64() > Some(0)) {
        findings.push(Finding::bad(
            "refused",
            format!("the broker has refused {count} messages: {reason}"),
            "look at the broker's rules for this box: steward schema acl writes those it needs",
        ));
    }
    findings.extend(health["sources"].as_array().into_iter().flatten().map(source));
    findings
}

fn link(link: &Value) -> Finding {
    let since = link["since"].as_str().unwrap_or("the start");
    if link["connected"] == true {
        return Finding::ok("link", format!("up since {since}"));
    }
    let why = link["last_error"].as_str().unwrap_or("it has not been tried yet");
    Finding::bad(
        "link",
        format!("down since {since}: {why}"),
        "what was found about the broker above says what to do; nothing is lost meanwhile",
    )
}

fn source(source: &Value) -> Finding {
    let name = source["name"].as_str().unwrap_or_default();
    if let Some(trouble) = source["trouble"].as_str() {
        return Finding::bad(
            "source",
            format!("{name}: {trouble}"),
            "docs/sources.md, kind by kind",
        );
    }
    let frames = source["frames"].as_u64().unwrap_or_default();
    let bytes = source["bytes"].as_u64().unwrap_or_default();
    let rejected = source["rejected"].as_u64().unwrap_or_default();
    if source["silent"] == true {
        let last = source["last_heard_at"].as_str().unwrap_or("it was ever listened to");
        let todo = "look at the sensors' supply and cable; their batteries may be empty";
        return Finding::bad("source", format!("{name}: silent since {last}"), todo);
    }
    match (bytes, frames) {
        (0, _) if source["connected"] == true => Finding::look(
            "source",
            format!("{name}: the line is open and not a byte has come"),
            "is the device powered, are RX and TX crossed, is it the right port?",
        ),
        (1.., 0) => Finding::bad(
            "source",
            format!("{name}: {bytes} bytes have come and no message among them"),
            "the speed (baud) or the kind of the source is wrong",
        ),
        _ if rejected > frames => Finding::look(
            "source",
            format!("{name}: {rejected} of what came was refused, {frames} were whole"),
            "rejected_by_reason in P/health says why; a long or unshielded cable corrupts lines",
        ),
        _ => Finding::ok("source", format!("{name}: {frames} messages")),
    }
}

#[cfg(test)]
mod tests {
    use super::super::Verdict;
    use super::*;

    #[test]
    fn each_state_of_a_source_has_its_words() {
        let cases = [
            (json!({"bytes": 0, "frames": 0, "connected": true}), Verdict::Warning, "not a byte"),
            (json!({"bytes": 900, "frames": 0, "connected": true}), Verdict::Fault, "no message"),
            (json!({"bytes": 900, "frames": 9, "silent": true}), Verdict::Fault, "silent since"),
            (json!({"trouble": "no such file"}), Verdict::Fault, "no such file"),
            (json!({"bytes": 900, "frames": 2, "rejected": 30}), Verdict::Warning, "was refused"),
            (json!({"bytes": 900, "frames": 9, "rejected": 1}), Verdict::Ok, "9 messages"),
        ];
        for (state, verdict, part) in cases {
            let found = source(&state);
            assert_eq!(found.verdict, verdict, "{state}");
            assert!(found.says.contains(part), "{}", found.says);
        }
    }

    #[test]
    fn what_the_broker_refuses_and_what_the_disk_does_not_take_is_said() {
        let health = json!({
            "uptime_s": 7, "engine": {"store_trouble": "no space left"},
            "link": {"connected": false, "last_error": "nobody listens", "refused": {"not_authorized": 3, "quota": 0}},
        });
        let found = judge(&health);
        let bad: Vec<_> =
            found.iter().filter(|f| f.verdict == Verdict::Fault).map(|f| f.check).collect();
        assert_eq!(bad, ["store", "link", "refused"]);
    }
}
