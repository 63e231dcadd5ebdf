//! The outbox: speed, bytes and memory of the store and of the way through it to a broker's PUBACK.
//!
//! Each load runs in a process of its own. Bytes written are the pages a process gave the disk to write
//! (`write_bytes` of /proc/self/io): without the file system's journal, which is the same for all.

mod load;
pub(crate) mod sink;

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::net::SocketAddr;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::Ordering;
use std::time::Instant;

use serde_json::Value;

pub(crate) use load::run;

use crate::table::Table;

const MILLION: u64 = 1_000_000;
/// Commits of single tickets, and of the bare references beside them.
const COMMITS: u64 = 500;
/// About what a ticket's message is long.
const TICKET: usize = 250;
/// Payload bytes of a block in the references.
const BLOCK: usize = 4 * 1024;

pub(crate) fn rows(table: &mut Table) {
    let place = tempfile::tempdir_in("target").unwrap();
    commits(table, place.path());
    buffering(table, place.path());
    backlog(table, place.path());
    whole_pipe(table, place.path());
}

/// Runs a load in a process of its own, with the allocator set as the service's unit sets it.
fn load(name: &str, dir: &Path, number: u64, addr: SocketAddr) -> Value {
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["load", name, dir.to_str().unwrap(), &number.to_string(), &addr.to_string()])
        .env("MALLOC_ARENA_MAX", "1")
        .env("MALLOC_MMAP_THRESHOLD_", "65536")
        .env("MALLOC_TRIM_THRESHOLD_", "131072")
        .stderr(Stdio::inherit())
        .output()
        .unwrap();
    assert!(output.status.success(), "the load {name} failed");
    serde_json::from_slice(&output.stdout).unwrap()
}

fn nowhere() -> SocketAddr {
    ([127, 0, 0, 1], 9).into()
}

fn figure(figures: &Value, key: &str) -> f64 {
    figures[key].as_f64().unwrap()
}

pub(crate) fn median(mut times: Vec<f64>) -> f64 {
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}

/// Bytes on disk of everything below `dir`, the space kept in reserve apart.
fn on_disk(dir: &Path) -> f64 {
    let mut bytes = 0;
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            bytes += on_disk(&path) as u64;
        } else if path.extension().is_none_or(|e| e != "reserve") {
            bytes += fs::metadata(&path).unwrap().blocks() * 512;
        }
    }
    bytes as f64
}

/// The bare disk: 4 KB overwritten in place and synced, and a record appended and synced.
fn bare(place: &Path) -> (f64, f64) {
    let path = place.join("bare");
    fs::write(&path, vec![0; 1 << 20]).unwrap();
    let file = OpenOptions::new().write(true).open(&path).unwrap();
    file.sync_all().unwrap();
    let timed = |write: &mut dyn FnMut(u64)| {
        let time = |n| {
            let started = Instant::now();
            write(n);
            file.sync_data().unwrap();
            started.elapsed().as_secs_f64()
        };
        median((0..COMMITS).map(time).collect())
    };
    let overwrite = timed(&mut |n| file.write_all_at(&[n as u8; 4096], n % 256 * 4096).unwrap());
    let append =
        timed(&mut |n| file.write_all_at(&[1; TICKET], (1 << 20) + n * TICKET as u64).unwrap());
    (overwrite, append)
}

fn commits(table: &mut Table, place: &Path) {
    let (overwrite, append) = bare(place);
    let figures = load("tickets", &place.join("tickets"), COMMITS, nowhere());
    let ratio = figure(&figures, "p50") / overwrite;
    table.row("commit of one ticket, p50 against a bare overwrite", ratio, "x").at_most(2.5).how(
        format!(
            "4 KB overwritten and synced: {:.2} ms; appended and synced: {:.2} ms; {COMMITS} each",
            overwrite * 1e3,
            append * 1e3
        ),
    );
    table
        .row("bytes written for one ticket", figure(&figures, "written"), "bytes")
        .how("one commit, pages of 4096 bytes");
}

/// An append log with a sync per 10,000 readings of `bytes` each: bytes written per reading.
fn append_log(place: &Path) -> f64 {
    let before = written_here();
    let mut log = File::create(place.join("log")).unwrap();
    // 25 blocks of 400 readings are a commit.
    for _ in 0..40 {
        (0..25).for_each(|_| log.write_all(&[7; BLOCK]).unwrap());
        log.sync_data().unwrap();
    }
    (written_here() - before) as f64 / (40.0 * 25.0 * 400.0)
}

fn written_here() -> u64 {
    let text = fs::read_to_string("/proc/self/io").unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix("write_bytes: ")).unwrap();
    line.parse().unwrap()
}

fn buffering(table: &mut Table, place: &Path) {
    let million = MILLION as f64;
    let figures = load("through", &place.join("through"), MILLION, nowhere());
    table
        .row("readings committed durably", million / figure(&figures, "seconds"), "readings/s")
        .how("turns of 1,000 readings, 16 at once, each synced before it is answered");
    table
        .row("… bytes written per reading", figure(&figures, "written") / million, "bytes")
        .at_most(40.0)
        .how(format!("an append log of the same blocks: {:.1}", append_log(place)));
    table
        .row("… CPU per reading", figure(&figures, "cpu") * 1e6 / million, "us")
        .how("the making of the turns is not in it");
    let figures = load("online", &place.join("online"), MILLION / 10, nowhere());
    table
        .row("bytes written online, 100,000 readings", figure(&figures, "written"), "bytes")
        .at_most(0.0)
        .how("telemetry that the broker acknowledges never touches the disk");
    table
        .row("memory online", figure(&figures, "rss"), "bytes")
        .at_most(12e6)
        .how("resident, outbox only");
}

fn backlog(table: &mut Table, place: &Path) {
    let empty = load("drain", &place.join("empty"), 0, nowhere());
    table
        .row("cold open, empty", figure(&empty, "open") * 1e3, "ms")
        .at_most(50.0)
        .how("until it takes turns");
    for millions in [1, 5] {
        backlog_of(table, place, millions);
    }
}

/// An outage in which so many million readings gather, and its end.
fn backlog_of(table: &mut Table, place: &Path, millions: u64) {
    let dir = place.join(format!("backlog-{millions}"));
    let fill = load("fill", &dir, millions * MILLION, nowhere());
    let stored = on_disk(&dir);
    let drain = load("drain", &dir, 0, nowhere());
    let readings = (millions * MILLION) as f64;
    let of = format!("backlog of {millions} M");
    table.row(format!("{of} on disk"), stored / readings, "bytes").how("per reading, all files");
    table
        .row(format!("{of}, written while it grew"), figure(&fill, "written") / readings, "bytes")
        .at_most(40.0)
        .how("per reading");
    table
        .row(format!("{of}, memory while it grew"), figure(&fill, "peak"), "bytes")
        .at_most(25e6)
        .how("resident at most, the load's own turns included");
    table
        .row(format!("{of}, cold open"), figure(&drain, "open") * 1e3, "ms")
        .at_most(50.0)
        .how("until it takes turns");
    table
        .row(format!("{of}, drain of a million"), figure(&drain, "seconds") / millions as f64, "s")
        .at_most(0.5)
        .how(format!("taken and acknowledged, {} messages in all", drain["messages"]));
    table
        .row(format!("{of}, memory while it drains"), figure(&drain, "peak"), "bytes")
        .at_most(25e6)
        .how("resident at most");
    table
        .row(format!("{of}, left on disk after it"), on_disk(&dir), "bytes")
        .at_most(4.0 * 1024.0 * 1024.0)
        .how("all files, the 4 MiB in reserve for a full disk apart");
}

fn whole_pipe(table: &mut Table, place: &Path) {
    let (addr, taken) = sink::start();
    let million = MILLION as f64;
    let figures = load("pipe", &place.join("pipe"), MILLION, addr);
    let (messages, bytes) =
        (taken.publishes.load(Ordering::Relaxed), taken.bytes.load(Ordering::Relaxed));
    let payloads = vec![vec![b'x'; (bytes / messages) as usize]; messages as usize];
    let raw = million / sink::raw(addr, &payloads, 64);
    let rate = million / figure(&figures, "seconds");
    table
        .row("whole pipe, durable, blocks on the wire", rate, "readings/s")
        .at_least(1e6)
        .how(format!("commit, sync, publish, PUBACK, delete; bare socket, same blocks: {raw:.0}"));
    table
        .row("… against a bare socket with the same blocks", rate / raw, "x")
        .how("the bare socket neither stores, syncs, packs nor deletes");
    table
        .row("… CPU per reading", figure(&figures, "cpu") * 1e6 / million, "us")
        .how("the sender only, without the making of the turns");
    table
        .row("… bytes on the wire per reading", bytes as f64 / million, "bytes")
        .how("JSON, MQTT headers included");
    let figures = load("pipe-online", &place.join("pipe-online"), MILLION, addr);
    table
        .row("whole pipe, telemetry in memory", million / figure(&figures, "seconds"), "readings/s")
        .how("turns made while the clock runs, no faster than PUBACKs come");
    table
        .row("… bytes written", figure(&figures, "written"), "bytes")
        .at_most(65_536.0)
        .how("the note of the numbers set aside, and nothing per reading");
    table
        .row("… memory, peak", figure(&figures, "peak"), "bytes")
        .at_most(25e6)
        .how("resident, outbox, link and load");
}
