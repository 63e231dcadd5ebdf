//! A disk that is really full: a small file system, filled to its last byte. What was committed stays, what is
//! not committed is refused, and when there is room again it goes on.

use std::collections::BTreeSet;
use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use domain::output::{Body, Lane, Message};
use serde_json::Value;
use steward::outbox::{Outbox, Outcome, Turn};
use system_tests::outbox::{buffer, identity, message, value_of};

/// Room for the store's reserve and a few megabytes more.
const SIZE: &str = "size=22m";
/// Kept by somebody else, and given back in the middle of the test.
const FILLER: usize = 12 << 20;

/// A file system of its own, unmounted at the end.
struct Small<'d>(&'d Path);

impl Small<'_> {
    /// `None`: this user may not mount, which has then been said.
    fn mount(dir: &Path) -> Option<Small<'_>> {
        let mount =
            Command::new("mount").args(["-t", "tmpfs", "-o", SIZE, "tmpfs"]).arg(dir).output();
        if mount.is_ok_and(|done| done.status.success()) {
            return Some(Small(dir));
        }
        let told = writeln!(std::io::stderr(), "SKIPPED: mounting a small file system takes root");
        told.unwrap();
        None
    }
}

impl Drop for Small<'_> {
    fn drop(&mut self) {
        // Whatever the test came to, nothing may stay mounted.
        let _ = Command::new("umount").arg("-l").arg(self.0).status();
    }
}

/// A ticket event of some kilobytes that nothing compresses.
fn large(value: u64) -> Message {
    let mut message = message(Lane::Ticket, 1, value).unwrap();
    if let Body::Event { data, .. } = &mut message.body {
        let mut state = value.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
        let text = std::iter::repeat_with(|| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            format!("{state:016x}")
        });
        data.insert("track".into(), text.take(250).collect::<String>().into());
    }
    message
}

fn turn(value: u64) -> Turn {
    Turn { messages: vec![large(value)], durable: true, ..Turn::default() }
}

async fn taken(outbox: &Outbox) -> BTreeSet<u64> {
    outbox.link_up(1).await.unwrap();
    let mut values = BTreeSet::new();
    loop {
        let entries = outbox.take(200).await.unwrap();
        if entries.is_empty() {
            return values;
        }
        for entry in &entries {
            let payload: Value = serde_json::from_slice(&entry.payload).unwrap();
            assert!(values.insert(value_of(&payload).unwrap()), "it came twice");
        }
        let settled = entries.into_iter().map(|entry| (entry.key, Outcome::Acknowledged)).collect();
        outbox.settle(settled).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_system_without_a_byte_left_loses_nothing_that_was_committed() {
    let dir = tempfile::tempdir().unwrap();
    let Some(small) = Small::mount(dir.path()) else { return };
    let filler = small.0.join("filler");
    fs::write(&filler, vec![1; FILLER]).unwrap();
    let at = small.0.join("buffer");
    let opened = Outbox::open(&buffer(&at), &identity().unwrap()).unwrap();
    let outbox = opened.outbox;
    let (mut committed, mut value, mut refusals) = (BTreeSet::new(), 1, 0);
    let mut next = turn(value);
    // At the first refusal the store has its reserve to go on with; then there is nothing left.
    let mut held = loop {
        match outbox.commit(next).await {
            Ok(()) => {
                assert!(committed.insert(value));
                (value, refusals) = (value + 1, 0);
                next = turn(value);
            }
            Err(error) => {
                next = error.turn.expect("what is refused comes back");
                refusals += 1;
            }
        }
        if refusals == 10 {
            break next;
        }
        assert!(value < 10_000, "the file system is never full");
    };
    assert!(committed.len() > 100, "hardly a test: {} commits", committed.len());
    fs::remove_file(&filler).unwrap();
    // The engine tries once a second; here it is tried until it goes.
    let mut tries = 0;
    while let Err(error) = outbox.commit(held).await {
        held = error.turn.expect("what is refused comes back");
        tries += 1;
        assert!(tries < 100, "there is room again, and yet: {}", error.why);
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert!(committed.insert(value));
    outbox.close().await.unwrap();
    let opened = Outbox::open(&buffer(&at), &identity().unwrap()).unwrap();
    assert_eq!(opened.quarantined, None);
    let ledger = &opened.outbox.stats().await.unwrap().lanes[0].ledger;
    assert!(ledger.dropped.is_empty() && ledger.gaps.is_empty(), "{ledger:?}");
    assert_eq!(taken(&opened.outbox).await, committed);
    opened.outbox.close().await.unwrap();
    drop(small);
}
