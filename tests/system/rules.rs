//! Rules as an operator meets them: examples that are run, and reasons that are told.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};
use system_tests::program::{run, texts};

use crate::command_line::config;

const RULE: &str = r#"
[[source]]
name = "bins"
kind = "mqtt-json"
topic = "bins/+"
[source.map]
device = "topic:1"
at = "/at"
[[source.map.quantity]]
name = "level"
pointer = "/level"
unit = "percent"

[[bin]]
id = "bin-1"
source = "bins"
device = "1"
empty_mm = 1000
full_mm = 100
full_at_pct = 80

[rules]
defaults = false

[[rule]]
id = "full-by-day"
version = 4
class = "bin"
category = "bin_overflow"
when = { all = [
  { above = "level_pct", raise_at = "full_at", clear_at = 60, readings = 2 },
  { during = ["07:00-22:00"] },
] }

[[rule.test]]
start = "2026-06-01T06:00"
given = [{ at = "0s", level_pct = 90 }, { at = "10m", level_pct = 91 }]
raised = ["RAISED"]
until = "2h"
"#;

fn configured(dir: &Path, raised: &str) -> String {
    config(dir, &RULE.replace("RAISED", raised))
}

#[test]
fn an_example_that_does_not_hold_is_told_with_its_place_and_what_came() {
    let dir = tempfile::tempdir().unwrap();
    let (_, stderr, code) = texts(&run(&["check", &configured(dir.path(), "1h")]));
    assert_eq!((code, stderr.as_str()), (0, ""));
    let file = configured(dir.path(), "10m");
    let (_, stderr, code) = texts(&run(&["check", &file]));
    assert_eq!(code, 1);
    let line = fs::read_to_string(&file).unwrap().lines().position(|l| l.starts_with("raised"));
    let place = format!("{file}:{}:10: ", line.unwrap() + 1);
    for part in [
        place.as_str(),
        "the example says raised at 10m, but full-by-day is raised at 1h",
        "it is raised when (level_pct is at or above 85% in 2 readings; over at or below 60%) and (it \
         is 07:00–22:00)",
        "raised at 1h: level_pct 90 %, at or above 85 %, level_pct 91 %, at or above 85 %, in \
         07:00–22:00",
    ] {
        assert!(stderr.contains(part), "{part:?} is not in\n{stderr}");
    }
}

#[test]
fn a_replay_says_which_rule_did_what_and_why() {
    let dir = tempfile::tempdir().unwrap();
    let said = |at: &str, level: u32| {
        let payload = json!({"at": format!("2026-06-01T{at}:00+02:00"), "level": level});
        json!({"at": format!("2026-06-01T{at}:00+02:00"), "source": "bins",
               "mqtt": {"topic": "bins/1", "payload": payload}})
    };
    let lines = [("06:40", 85), ("06:50", 86), ("07:30", 88), ("09:00", 10)];
    let text: Vec<String> =
        lines.iter().map(|(at, level)| said(at, *level).to_string() + "\n").collect();
    let input = dir.path().join("bins.jsonl");
    fs::write(&input, text.concat()).unwrap();
    let path = |name: &str| dir.path().join(name).display().to_string();
    let (summary, reasons) = (path("summary.json"), path("rules.txt"));
    let file = configured(dir.path(), "1h");
    let args = ["replay", "--config", &file, "--input", input.to_str().unwrap()];
    let more = ["--summary", &summary, "--rules", &reasons];
    let (_, stderr, code) = texts(&run(&[&args[..], &more[..]].concat()));
    assert_eq!(code, 0, "{stderr}");
    let summary: Value = serde_json::from_slice(&fs::read(summary).unwrap()).unwrap();
    let fired = json!({"version": 4, "raised": 1, "cleared": 1, "reopened": 0});
    assert_eq!(summary["rules"], json!({"full-by-day": fired}));
    let told = fs::read_to_string(reasons).unwrap();
    let ticket = told.split(['(', ')']).nth(1).unwrap().to_owned();
    let when = "  when (level_pct is at or above 80% in 2 readings; over at or below 60%) and (it is \
                07:00–22:00)";
    let by = format!("bin_overflow:bin/bin-1 by rule full-by-day version 4 ({ticket})");
    let expected = format!(
        "2026-06-01 07:00:00 raised {by}\n{when}\n\
         \x20 2026-06-01 06:40:00  level_pct 85 %, at or above 80 %\n\
         \x20 2026-06-01 06:50:00  level_pct 86 %, at or above 80 %\n\
         \x20 2026-06-01 07:00:00  in 07:00–22:00\n\
         2026-06-01 09:00:00 cleared {by}\n{when}\n\
         \x20 2026-06-01 09:00:00  level_pct 10 %, no longer 80 %\n"
    );
    assert_eq!(told, expected);
}
