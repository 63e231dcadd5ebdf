//! A process that commits and says so is killed at random, also while it opens its store. Whatever it
//! said is there afterwards, and the numbers have no gaps.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use domain::output::Lane;
use serde_json::Value;
use steward::outbox::{Outbox, Outcome, Turn};
use system_tests::broker::Random;
use system_tests::outbox::{buffer, identity, message, value_of};

/// Kills in a test run; `STEWARD_KILLS` for more.
const KILLS: u64 = 300;
/// Tells the test program that it is the one to be killed: the directory, and the first value to commit.
const DIR: &str = "STEWARD_TEST_COMMIT_IN";
const FIRST: &str = "STEWARD_TEST_COMMIT_FROM";

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

/// The process that is killed. Not a test of its own: it does nothing without its directory.
#[test]
fn committing_process() {
    let Ok(dir) = std::env::var(DIR) else { return };
    let mut value: u64 = std::env::var(FIRST).unwrap().parse().unwrap();
    let opened = Outbox::open(&buffer(Path::new(&dir)), &identity().unwrap()).unwrap();
    assert_eq!(opened.quarantined, None);
    let mut out = std::io::stdout();
    writeln!(out, "\nboot {}", opened.boot.0).unwrap();
    runtime().block_on(async {
        loop {
            let lane = [Lane::Ticket, Lane::Event, Lane::Telemetry][value as usize % 3];
            let messages = vec![message(lane, 1, value).unwrap()];
            let turn = Turn { messages, durable: true, ..Turn::default() };
            opened.outbox.commit(turn).await.unwrap();
            // Said only now that it is committed.
            writeln!(out, "committed {value}").unwrap();
            out.flush().unwrap();
            value += 1;
        }
    });
}

fn spawn(dir: &Path, first: u64) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "outbox_kills::committing_process", "--nocapture", "--test-threads=1"])
        .env(DIR, dir)
        .env(FIRST, first.to_string())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

/// Lets a process commit, kills it, and answers what it said.
fn one_life(dir: &Path, first: u64, random: &mut Random) -> Vec<u64> {
    let mut child = spawn(dir, first);
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let early = random.below(1000) < 350;
    if early {
        // While it opens, or shortly after. A fault at a random time, not a wait for anything.
        let pause = Duration::from_micros(random.below(60_000));
        runtime().block_on(async { tokio::time::sleep(pause).await });
        child.kill().unwrap();
    }
    let enough = random.below(40) + 1;
    let mut said = vec![];
    for line in lines {
        let line = line.unwrap();
        if let Some(value) = line.strip_prefix("committed ") {
            // A line cut short by the kill says nothing.
            said.extend(
                value.parse::<u64>().ok().filter(|value| *value == first + said.len() as u64),
            );
        }
        if said.len() as u64 == enough {
            child.kill().unwrap();
        }
    }
    child.wait().unwrap();
    said
}

/// Takes everything out, and acknowledges every other message, and the rest the next time.
async fn look(dir: &Path, seen: &mut BTreeSet<(Lane, u64)>, values: &mut BTreeSet<u64>) {
    let opened = Outbox::open(&buffer(dir), &identity().unwrap()).unwrap();
    assert_eq!(opened.quarantined, None);
    let outbox = opened.outbox;
    outbox.link_up(1).await.unwrap();
    loop {
        let entries = outbox.take(500).await.unwrap();
        if entries.is_empty() {
            break;
        }
        let mut done = vec![];
        for entry in entries {
            let payload: Value = serde_json::from_slice(&entry.payload).unwrap();
            values.insert(value_of(&payload).unwrap());
            let again = !seen.insert((entry.key.lane, entry.key.position.seq));
            // One that has outlived a kill unacknowledged is let go, so that they do not grow beyond what
            // may be on its way at once, however many kills there are.
            if again || entry.key.position.seq.is_multiple_of(2) {
                done.push((entry.key, Outcome::Acknowledged));
            }
        }
        outbox.settle(done).await.unwrap();
    }
    let stats = outbox.stats().await.unwrap();
    for lane in stats.lanes {
        let numbers = seen.range((lane.lane, 0)..=(lane.lane, u64::MAX)).map(|(_, seq)| *seq);
        assert!(numbers.eq(1..=lane.ledger.last.seq), "{:?} has gaps", lane.lane);
        assert!(lane.ledger.dropped.is_empty());
    }
    outbox.close().await.unwrap();
}

/// More may be stored than may be on its way at once. What is beyond waits, which looks like a gap to whoever
/// takes everything and acknowledges nothing, and is none: it comes, in order, as there is room for it.
#[test]
fn what_does_not_fit_on_its_way_waits_and_is_not_missing() {
    const MESSAGES: u64 = 5000;
    let dir = tempfile::tempdir().unwrap();
    let outbox = Outbox::open(&buffer(dir.path()), &identity().unwrap()).unwrap().outbox;
    runtime().block_on(async {
        for from in (0..MESSAGES).step_by(100) {
            let messages = (from..from + 100).map(|n| message(Lane::Event, 1, n).unwrap());
            let turn = Turn { messages: messages.collect(), ..Turn::default() };
            outbox.commit(turn).await.unwrap();
        }
        outbox.link_up(1).await.unwrap();
        let mut taken = vec![];
        loop {
            let entries = outbox.take(500).await.unwrap();
            if entries.is_empty() {
                break;
            }
            taken.extend(entries.iter().map(|entry| entry.key));
        }
        let most = taken.len() as u64;
        assert!(most < MESSAGES, "there is a bound: {most}");
        let stats = outbox.stats().await.unwrap().lanes.remove(Lane::Event as usize);
        assert_eq!((stats.ledger.stored, stats.in_flight), (MESSAGES, most));
        assert!(stats.ledger.gaps.is_empty() && stats.ledger.dropped.is_empty());
        let done = taken.iter().map(|key| (*key, Outcome::Acknowledged)).collect();
        outbox.settle(done).await.unwrap();
        loop {
            let entries = outbox.take(500).await.unwrap();
            if entries.is_empty() {
                break;
            }
            taken.extend(entries.iter().map(|entry| entry.key));
        }
        assert!(taken.iter().map(|key| key.position.seq).eq(1..=MESSAGES));
        outbox.close().await.unwrap();
    });
}

#[test]
fn whatever_was_committed_survives_a_kill() {
    let dir = tempfile::tempdir().unwrap();
    let mut random = Random(11);
    let (mut seen, mut values, mut first, mut total) = (BTreeSet::new(), BTreeSet::new(), 1, 0);
    let kills = std::env::var("STEWARD_KILLS").ok().and_then(|n| n.parse().ok()).unwrap_or(KILLS);
    for kill in 0..kills {
        let said = one_life(dir.path(), first, &mut random);
        runtime().block_on(look(dir.path(), &mut seen, &mut values));
        for value in &said {
            assert!(values.contains(value), "kill {kill}: {value} was committed and is not there");
        }
        total += said.len();
        // One more than was said may have been committed.
        first = values.last().copied().unwrap_or(0) + 1;
    }
    assert!(total > 100, "hardly a test: {total} commits");
}
