//! The money of a simulated street, as a person asks for it: how each fee came about, and what the days
//! came to, from a recording and from the store of a box that runs.
//!
//! The ordinary run takes some bays over some days; `a_year_is_reported` takes 40 bays over a year (release
//! build): `cargo test --release -p system-tests -- --ignored --nocapture a_year_is_reported`.

use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};

use domain::input::Input;
use domain::parking::report;
use domain::time::Span;
use serde_json::{Value, json};
use steward::config;
use steward::demo::pty::Pty;
use steward::outbox::{Outbox, Turn};
use system_tests::data;
use system_tests::program::{Running, run as steward, texts};

use super::parking_year::{DAY_S, Heard, SEED, arriving, run, start};

/// The box of the year, as a file: its tariff is the stadium's that is shipped.
fn write_config(dir: &Path, bays: usize, tty: &Path) -> PathBuf {
    let tariffs = Path::new(env!("CARGO_MANIFEST_DIR")).join("../config/tariffs/stadium.toml");
    let mut text = format!(
        "include = [{tariffs:?}]\n[box]\nid = \"b\"\ntenant = \"t\"\nsite = \"s\"\n\
         timezone = \"Asia/Shanghai\"\n[mqtt]\nurl = \"mqtt://127.0.0.1:1\"\n\
         [buffer]\ndir = \"{0}/store\"\n[http]\nenabled = false\n[rules]\ndefaults = false\n\
         [[source]]\nname = \"s\"\nkind = \"node-link\"\ndevice = {tty:?}\n",
        dir.display()
    );
    for street in 0..bays.div_ceil(20) {
        let line = "line = [[119.97, 31.81], [119.98, 31.82]]";
        writeln!(text, "[[street]]\nid = \"street-{street}\"\n{line}").unwrap();
    }
    for bay in 0..bays {
        writeln!(
            text,
            "[[bay]]\nid = \"b-{bay}\"\nsource = \"s\"\ndevice = {}\nstreet = \"street-{}\"\n\
             tariff = \"stadium\"\nstale_after = \"12h 10m\"",
            bay + 1,
            bay / 20
        )
        .unwrap();
    }
    let path = dir.join("box.toml");
    fs::write(&path, text).unwrap();
    path
}

/// Every input of the year as `steward run --record` would have written it.
fn write_recording(path: &Path, bays: usize, days: u64) {
    let line = |s: u64, input: &Input| {
        let at = start() + Span::from_secs(s);
        let line =
            json!({"at": at, "monotonic_ms": s * 1000, "boot": 1, "clock": "ntp", "input": input});
        format!("{line}\n")
    };
    let mut text = line(0, &Input::Start);
    for mut one in arriving(SEED, bays, days * DAY_S).1 {
        one.sample.device = Some((one.bay + 1).to_string().parse().unwrap());
        text += &line(one.arrives, &Input::Sample(one.sample));
    }
    text += &line(days * DAY_S + 600, &Input::Tick);
    fs::write(path, text).unwrap();
}

fn report_of(config: &str, form: &str, more: &[&str]) -> String {
    let range = ["--from", "2026-01-01", "--to", "2026-12-31", "--format", form];
    let arguments = [&["report", "--config", config], &range[..], more].concat();
    let (stdout, stderr, code) = texts(&steward(&arguments));
    assert_eq!(code, 0, "{stderr}");
    stdout
}

/// The reports must say what the engine itself stored.
fn judge(heard: &Heard, config: &str, more: &[&str]) -> usize {
    let day = |text: &str| text.parse().unwrap();
    let stored = heard.stored();
    let rows = report::rows(&report::days(stored.iter(), day("2026-01-01"), day("2026-12-31")));
    let lines = report::lines(&rows);
    let currency = domain::parking::tariff::Currency::CNY;
    let people = report::table(&report::people(&rows, Some(currency)));
    assert_eq!(report_of(config, "table", more), people);
    assert_eq!(report_of(config, "csv", more), report::csv(&lines));
    let json: Value = serde_json::from_str(&report_of(config, "json", more)).unwrap();
    assert_eq!(json, serde_json::to_value(&rows).unwrap());
    rows.len()
}

/// Each session of the replay explains itself, and its windows add up to what was billed.
fn judge_fees(text: &str, heard: &Heard) {
    let mut billed: Vec<u64> = heard.sessions.iter().filter_map(|s| s.billed).collect();
    let mut explained = vec![];
    let amount = |text: &str| -> u64 {
        text.trim_end_matches(" CNY").replace('.', "").trim_start_matches('0').parse().unwrap_or(0)
    };
    for block in text.split("\nbay/") {
        let mut lines = block.lines();
        let head = lines.next().unwrap();
        let due = amount(lines.next().unwrap().rsplit_once("due ").unwrap().1);
        let windows: u64 = lines.map(|l| amount(l.rsplit_once("→ ").unwrap().1)).sum();
        assert_eq!(windows, due, "{block}");
        if head.ends_with(", billed") {
            explained.push(due);
        }
    }
    billed.sort_unstable();
    explained.sort_unstable();
    assert_eq!(explained, billed);
}

fn check(bays: usize, days: u64) {
    let dir = tempfile::tempdir().unwrap();
    let config = write_config(dir.path(), bays, Path::new("/dev/ttyAMA0")).display().to_string();
    let recording = dir.path().join("year.jsonl");
    write_recording(&recording, bays, days);
    let (_, heard) = run(SEED, bays, days, 0);
    let recording = recording.display().to_string();
    let rows = judge(&heard, &config, &["--input", &recording]);
    assert_eq!(rows, bays + bays.div_ceil(20));

    let fees = dir.path().join("fees.txt").display().to_string();
    let arguments = ["replay", "--config", &config, "--input", &recording, "--fees", &fees];
    let (stdout, stderr, code) = texts(&steward(&arguments));
    assert_eq!(code, 0, "{stderr}");
    let sessions = stdout.lines().filter(|l| l.contains("parking.session")).count();
    assert_eq!(sessions, heard.sessions.len());
    let text = fs::read_to_string(&fees).unwrap();
    judge_fees(&text, &heard);
    let example = text.lines().take(4).collect::<Vec<_>>().join("\n");
    let table = report_of(&config, "table", &["--input", &recording]);
    let head = table.lines().take(3).collect::<Vec<_>>().join("\n");
    data::say(&format!("{sessions} sessions; the first:\n{example}\n{head}"));
}

#[test]
fn days_of_a_street_are_reported_and_every_fee_explains_itself() {
    check(6, 10);
}

#[test]
#[ignore = "a year in a release build: see the head of the file"]
fn a_year_is_reported() {
    check(40, 365);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_box_that_runs_is_reported_on_and_not_disturbed() {
    let dir = tempfile::tempdir().unwrap();
    let line = Pty::open().unwrap();
    let path = write_config(dir.path(), 3, line.slave());
    let config = path.display().to_string();
    let (stdout, stderr, code) = texts(&steward(&[
        "report",
        "--config",
        &config,
        "--from",
        "2026-01-01",
        "--to",
        "2026-01-02",
    ]));
    assert!(code != 0 && stdout.is_empty() && stderr.contains("cannot read the store"), "{stderr}");
    assert!(!dir.path().join("store").exists(), "a report makes no store");

    let (_, heard) = run(SEED, 3, 3, 0);
    let loaded = config::load(&path).unwrap().config;
    let opened = Outbox::open(&loaded.buffer, &loaded.site.identity).unwrap();
    let records = heard.stored().into_iter().filter(|r| r.key.starts_with("figures/")).collect();
    opened.outbox.commit(Turn { records, ..Turn::default() }).await.unwrap();
    opened.outbox.close().await.unwrap();
    drop(opened);

    let mut agent = Running::start(&["run", "--config", &config]);
    agent.wait_for("steward runs");
    assert_eq!(judge(&heard, &config, &[]), 4);
    let (status, log) = agent.terminate();
    assert!(status.success(), "{log}");
    assert_eq!(judge(&heard, &config, &[]), 4, "the same without it");
}
