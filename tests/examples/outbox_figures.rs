//! Measures the outbox on this machine's disk: `cargo run --release -p system-tests --example
//! outbox_figures [DIR]`. Prints one line per group size: messages and commits per second, the bytes the
//! process wrote per message (`write_bytes` of /proc/self/io), and the memory it holds (anonymous pages).
#![allow(clippy::print_stdout, reason = "figures are what it is for")]
#![allow(clippy::disallowed_methods, reason = "it measures time")]
#![allow(clippy::unwrap_used, reason = "without a disk there are no figures")]

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

use domain::output::Lane;
use steward::outbox::{Outbox, Outcome, Turn};
use system_tests::outbox::{buffer, identity, message};
use tokio::task::JoinSet;

const MESSAGES: u64 = 20_000;

fn number(file: &str, key: &str) -> u64 {
    let text = fs::read_to_string(file).unwrap();
    let line = text.lines().find(|line| line.starts_with(key)).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

/// Commits `MESSAGES` messages, `per_turn` in each turn, by `writers` at once.
async fn fill(outbox: &Outbox, writers: u64, per_turn: u64) -> u64 {
    let mut tasks = JoinSet::new();
    let turns = MESSAGES / writers / per_turn;
    for writer in 0..writers {
        let outbox = outbox.clone();
        tasks.spawn(async move {
            for n in 0..turns {
                let value = |m| (writer * turns + n) * per_turn + m;
                let messages = (0..per_turn).map(|m| message(Lane::Event, 7, value(m)).unwrap());
                let turn = Turn { messages: messages.collect(), ..Turn::default() };
                outbox.commit(turn).await.unwrap();
            }
        });
    }
    tasks.join_all().await;
    turns * writers
}

/// As it is while the link is up: what is committed is taken and acknowledged at once.
async fn steady(place: &Path) {
    let dir = place.join(format!("outbox-figures-{}", std::process::id()));
    let opened = Outbox::open(&buffer(&dir), &identity().unwrap()).unwrap();
    opened.outbox.link_up(1).await.unwrap();
    let before = number("/proc/self/io", "write_bytes:");
    for n in 0..MESSAGES / 10 {
        let messages = (0..10).map(|m| message(Lane::Event, 7, n * 10 + m).unwrap()).collect();
        opened.outbox.commit(Turn { messages, ..Turn::default() }).await.unwrap();
        drain(&opened.outbox).await;
    }
    let bytes = (number("/proc/self/io", "write_bytes:") - before) / MESSAGES;
    let memory = number("/proc/self/status", "RssAnon:") >> 10;
    let file = fs::metadata(dir.join("core/db")).unwrap().len() >> 20;
    println!("steady, 10 a turn: {bytes} bytes/message, {memory} MiB, file {file} MiB");
    opened.outbox.close().await.unwrap();
    fs::remove_dir_all(dir).unwrap();
}

/// Takes and acknowledges everything.
async fn drain(outbox: &Outbox) {
    loop {
        let entries = outbox.take(100).await.unwrap();
        if entries.is_empty() {
            return;
        }
        let done = entries.iter().map(|entry| (entry.key, Outcome::Acknowledged)).collect();
        outbox.settle(done).await.unwrap();
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let place = std::env::args_os().nth(1).map_or_else(std::env::temp_dir, PathBuf::from);
    steady(&place).await;
    let written = || number("/proc/self/io", "write_bytes:");
    println!(
        "writers per-turn  messages/s  turns/s  bytes/message in  out  anonymous RSS MiB  file MiB"
    );
    for (writers, per_turn) in [(1, 1), (1, 10), (1, 100), (10, 1), (60, 1), (60, 10)] {
        let dir = place.join(format!("outbox-figures-{}-{writers}-{per_turn}", std::process::id()));
        let opened = Outbox::open(&buffer(&dir), &identity().unwrap()).unwrap();
        let (began, before) = (Instant::now(), written());
        let turns = fill(&opened.outbox, writers, per_turn).await;
        let (seconds, filled) = (began.elapsed().as_secs_f64(), written());
        opened.outbox.link_up(1).await.unwrap();
        drain(&opened.outbox).await;
        opened.outbox.close().await.unwrap();
        let rss = number("/proc/self/status", "RssAnon:") >> 10;
        let file = fs::metadata(dir.join("core/db")).unwrap().len() >> 20;
        println!(
            "{writers:7} {per_turn:8} {:11.0} {:8.0} {:17} {:4} {rss:8} {file:9}",
            f64::from(u32::try_from(MESSAGES).unwrap()) / seconds,
            f64::from(u32::try_from(turns).unwrap()) / seconds,
            (filled - before) / MESSAGES,
            (written() - filled) / MESSAGES,
        );
        fs::remove_dir_all(dir).unwrap();
    }
}
