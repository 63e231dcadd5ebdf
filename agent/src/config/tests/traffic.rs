//! How much `[mqtt]` lets be sent.

use super::super::*;
use super::{BASE, errors};

fn with(lines: &str) -> String {
    BASE.replace("url = \"mqtt://127.0.0.1\"", &format!("url = \"mqtt://127.0.0.1\"\n{lines}"))
}

#[test]
fn what_is_said_arrives_and_the_rest_is_default() {
    let traffic = |lines: &str| load_text("t.toml", &with(lines)).unwrap().config.traffic;
    assert_eq!(traffic(""), Traffic::default());
    assert_eq!(Traffic::default().protocol, None);
    let said = traffic(
        "protocol = \"3.1.1\"\nreplay_messages = 7\nreplay_bytes = \"2KiB\"\nday_bytes = \"1MiB\"\n\
         compress = true\nseries = \"columns\"",
    );
    let expected = Traffic {
        protocol: Some(Version::V311),
        replay: Rate { messages: 7, bytes: 2048 },
        day_bytes: Some(1 << 20),
        compress: true,
        columns: true,
    };
    assert_eq!(said, expected);
    assert_eq!(traffic("protocol = \"5\"").protocol, Some(Version::V5));
    assert_eq!(traffic("protocol = \"auto\"").protocol, None);
}

#[test]
fn each_fault_has_its_place_and_its_fix() {
    let table = [
        ("protocol = \"3.1\"", "\"3.1\" is no version of MQTT", "\"auto\", \"5\" or \"3.1.1\""),
        ("protocol = 5", "5", "\"auto\", \"5\" or \"3.1.1\""),
        ("replay_messages = 0", "0", "1"),
        ("replay_bytes = \"1KB/s\"", "1KB/s", ""),
        ("day_bytes = \"1KiB\"", "1KiB", "64KiB"),
    ];
    for (line, cause, fix) in table {
        let found = errors(&with(line));
        assert_eq!(found.len(), 1, "{line}: {found:?}");
        let said = found[0].to_string();
        assert!(said.contains(":8:") && said.contains(cause) && said.contains(fix), "{said}");
    }
    let source = format!("{BASE}day_bytes = \"1MiB\"\n");
    assert_eq!(errors(&source).len(), 1, "a source publishes nothing");
}
