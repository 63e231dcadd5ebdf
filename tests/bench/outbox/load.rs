//! What a measured process does: it runs on its own, so that its memory and its writes are its own, and
//! prints what it measured as one line of JSON.

use std::io::Write as _;
use std::net::SocketAddr;
use std::path::Path;
use std::time::{Duration, Instant};

use domain::ids::{AssetId, AssetKey, Class};
use domain::output::{Body, Lane, Message, Quality, Topic};
use domain::time::{ClockQuality, Utc};
use serde_json::{Map, Value, json};
use steward::config::{Broker, Buffer, Version};
use steward::mqtt::LinkStatus;
use steward::outbox::{Opened, Outbox, Outcome, Turn};
use system_tests::outbox::{Running, broker_at, identity, message, only, start};
use tokio::task::JoinSet;

/// Readings in a message, as the engine joins them, and messages in a turn.
const PER_MESSAGE: u64 = 100;
const PER_TURN: u64 = 10;
/// Assets they are about.
const ASSETS: u64 = 4;
/// Turns that are on their way to the store at once: as many as it may take together, or one and the next.
const MANY: usize = 16;
const FEW: usize = 2;
/// Messages in memory beyond which a paced load waits.
const PACE: u64 = 50;

/// A buffer as it is by default, but larger.
fn buffer(dir: &Path) -> Buffer {
    Buffer { max_size: 4 << 30, ..Buffer::below(dir.to_owned()) }
}

fn bin(n: u64) -> AssetKey {
    AssetKey::new(Class::Bin, AssetId::new(&format!("bin-{n}")).unwrap())
}

/// A reading as a bin's sensor gives it: about a hundred bytes of JSON.
fn point(n: u64) -> Value {
    let noise = n.wrapping_mul(2_654_435_761) >> 7;
    json!({
        "at": Utc::from_ms(1_780_000_000_000 + n as i64 * 37),
        "distance_mm": 900 + n / 500 % 300 + noise % 7,
        "level_pct": 40 + n / 5000 % 50,
        "temperature_c": (210 + noise % 23) as f64 / 10.0,
        "battery_v": 3.6,
    })
}

fn turn(n: u64, durable: bool) -> Turn {
    let messages = (0..PER_TURN).map(|m| {
        let from = (n * PER_TURN + m) * PER_MESSAGE;
        let points: Vec<Value> = (from..from + PER_MESSAGE).map(point).collect();
        Message {
            lane: Lane::Telemetry,
            topic: Topic::AssetTelemetry(bin(m % ASSETS)),
            at: Utc::from_ms(1_780_000_000_000),
            clock: ClockQuality::Ntp,
            quality: Quality::Good,
            body: Body::Flat(Map::from_iter([("points".to_owned(), points.into())])),
        }
    });
    Turn { messages: messages.collect(), durable, ..Turn::default() }
}

fn turns(readings: u64) -> u64 {
    readings / PER_MESSAGE / PER_TURN
}

/// A figure of this process: `write_bytes` of /proc/self/io, a line of /proc/self/status in bytes.
fn proc(file: &str, key: &str) -> u64 {
    let text = std::fs::read_to_string(file).unwrap();
    let line = text.lines().find(|line| line.starts_with(key)).unwrap();
    let number: u64 = line.split_whitespace().nth(1).unwrap().parse().unwrap();
    if file.ends_with("status") { number << 10 } else { number }
}

fn written() -> u64 {
    proc("/proc/self/io", "write_bytes:")
}

fn peak() -> u64 {
    proc("/proc/self/status", "VmHWM:")
}

fn cpu_seconds() -> f64 {
    let text = std::fs::read_to_string("/proc/self/stat").unwrap();
    let after = text.rsplit_once(") ").unwrap().1;
    let ticks: Vec<f64> = after.split(' ').skip(11).take(2).map(|n| n.parse().unwrap()).collect();
    (ticks[0] + ticks[1]) / 100.0
}

/// Commits `turns`, at most `at_once` together.
async fn commit_all(outbox: &Outbox, turns: impl Iterator<Item = Turn>, at_once: usize) {
    let mut tasks = JoinSet::new();
    for turn in turns {
        if tasks.len() >= at_once {
            tasks.join_next().await.unwrap().unwrap();
        }
        let outbox = outbox.clone();
        tasks.spawn(async move { outbox.commit(turn).await.unwrap() });
    }
    tasks.join_all().await;
}

/// Turns made before the clock runs.
fn made(readings: u64) -> Vec<Turn> {
    (0..turns(readings)).map(|n| turn(n, true)).collect()
}

/// Takes and acknowledges everything; answers how many messages.
async fn drain(outbox: &Outbox) -> u64 {
    let mut messages = 0;
    loop {
        let entries = outbox.take(100).await.unwrap();
        if entries.is_empty() {
            return messages;
        }
        messages += entries.len() as u64;
        let done = entries.iter().map(|entry| (entry.key, Outcome::Acknowledged)).collect();
        outbox.settle(done).await.unwrap();
    }
}

fn open(dir: &Path) -> Opened {
    Outbox::open(&buffer(dir), &identity().unwrap()).unwrap()
}

/// Committed durably, nothing sent.
async fn through(dir: &Path, readings: u64) -> Value {
    let outbox = open(dir).outbox;
    let made = made(readings);
    let (started, before) = (Instant::now(), (written(), cpu_seconds()));
    commit_all(&outbox, made.into_iter(), MANY).await;
    let seconds = started.elapsed().as_secs_f64();
    let (bytes, cpu) = (written() - before.0, cpu_seconds() - before.1);
    outbox.close().await.unwrap();
    json!({"seconds": seconds, "written": bytes, "cpu": cpu})
}

/// An outage: nothing is acknowledged to a source, everything goes to disk in time.
async fn fill(dir: &Path, readings: u64) -> Value {
    let outbox = open(dir).outbox;
    let before = written();
    commit_all(&outbox, (0..turns(readings)).map(|n| turn(n, false)), FEW).await;
    outbox.close().await.unwrap();
    json!({"written": written() - before, "peak": peak()})
}

/// Opened cold; then all of it is taken and acknowledged.
async fn drained(dir: &Path) -> Value {
    let started = Instant::now();
    let outbox = open(dir).outbox;
    let opened = started.elapsed().as_secs_f64();
    outbox.link_up(1).await.unwrap();
    let first = outbox.take(1).await.unwrap();
    let first_after = started.elapsed().as_secs_f64();
    outbox.release_all().await.unwrap();
    outbox.link_up(2).await.unwrap();
    drop(first);
    let started = Instant::now();
    let messages = drain(&outbox).await;
    let seconds = started.elapsed().as_secs_f64();
    outbox.close().await.unwrap();
    json!({"open": opened, "first": first_after, "seconds": seconds, "messages": messages,
        "peak": peak()})
}

/// The link is up and everything is acknowledged at once: telemetry never gets old.
async fn online(dir: &Path, readings: u64) -> Value {
    let outbox = open(dir).outbox;
    outbox.link_up(1).await.unwrap();
    outbox.commit(turn(0, false)).await.unwrap();
    let before = written();
    for n in 1..turns(readings) {
        outbox.commit(turn(n, false)).await.unwrap();
        drain(&outbox).await;
    }
    let bytes = written() - before;
    let rss = proc("/proc/self/status", "VmRSS:");
    outbox.close().await.unwrap();
    json!({"written": bytes, "rss": rss})
}

/// Single tickets, each on disk before the next.
async fn tickets(dir: &Path, count: u64) -> Value {
    let outbox = open(dir).outbox;
    let before = written();
    let mut times = Vec::new();
    for n in 0..count {
        let messages = vec![message(Lane::Ticket, 1, n).unwrap()];
        let started = Instant::now();
        outbox.commit(Turn { messages, ..Turn::default() }).await.unwrap();
        times.push(started.elapsed().as_secs_f64());
    }
    let bytes = (written() - before) / count;
    outbox.close().await.unwrap();
    json!({"p50": super::median(times), "written": bytes})
}

/// Waits until no more than `most` messages are left to be acknowledged.
async fn left(outbox: &Outbox, most: u64) {
    loop {
        let lanes = outbox.stats().await.unwrap().lanes;
        let left = lanes.iter().map(|lane| lane.ledger.stored - lane.settled);
        let open = if most == 0 { lanes.iter().map(|lane| lane.gathering).sum() } else { 0 };
        if left.sum::<u64>() + open <= most {
            return;
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

/// Commit, send over the real pipe, PUBACK, delete. Durably and as fast as it goes, or with telemetry in
/// memory and no faster than it is acknowledged.
async fn pipe(dir: &Path, readings: u64, durable: bool, addr: SocketAddr) -> Value {
    let Running { outbox, stop, mut status, health: _health, pipe } =
        start(open(dir), dir, broker_at(addr, 64), only(Version::V311));
    status.wait_for(|link| link.connected).await.unwrap();
    let ready = if durable { made(readings) } else { vec![] };
    let (started, cpu, before) = (Instant::now(), cpu_seconds(), written());
    if durable {
        commit_all(&outbox, ready.into_iter(), MANY).await;
    } else {
        for n in 0..turns(readings) {
            outbox.commit(turn(n, false)).await.unwrap();
            left(&outbox, PACE).await;
        }
    }
    left(&outbox, 0).await;
    let figures = json!({"seconds": started.elapsed().as_secs_f64(), "cpu": cpu_seconds() - cpu,
        "written": written() - before, "peak": peak()});
    stop.cancel();
    pipe.await.unwrap().unwrap();
    outbox.close().await.unwrap();
    figures
}

/// Messages of one reading from memory over a link: what the link costs, without a disk.
async fn link(dir: &Path, messages: u64, addr: SocketAddr) -> Value {
    let opened = Outbox::in_memory(&buffer(dir), &identity().unwrap()).unwrap();
    for first in (0..messages).step_by(100) {
        let values = first..messages.min(first + 100);
        let messages = values.map(|n| message(Lane::Event, n as u32 % 50, n).unwrap()).collect();
        opened.outbox.commit(Turn { messages, ..Turn::default() }).await.unwrap();
    }
    let settings = Broker { keep_alive: Duration::from_secs(60), ..broker_at(addr, 100) };
    let mut running = start(opened, dir, settings, only(Version::V311));
    let all =
        |link: &LinkStatus| link.connected && link.lanes[Lane::Event as usize].acked >= messages;
    running.status.wait_for(all).await.unwrap();
    running.stop.cancel();
    running.pipe.await.unwrap().unwrap();
    running.outbox.close().await.unwrap();
    json!({"messages": messages})
}

/// Runs the load named by the program's arguments, if there is one: `load NAME DIR NUMBER ADDR`.
pub(crate) fn run(args: &[String]) -> bool {
    let [word, name, dir, number, addr] = args else { return false };
    if word != "load" {
        return false;
    }
    let (dir, number) = (Path::new(dir), number.parse().unwrap());
    let addr = addr.parse().unwrap();
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let figures = runtime.block_on(async {
        match &name[..] {
            "through" => through(dir, number).await,
            "fill" => fill(dir, number).await,
            "drain" => drained(dir).await,
            "online" => online(dir, number).await,
            "tickets" => tickets(dir, number).await,
            "link" => link(dir, number, addr).await,
            "pipe" => pipe(dir, number, true, addr).await,
            "pipe-online" => pipe(dir, number, false, addr).await,
            other => panic!("{other} is no load"),
        }
    });
    std::io::stdout().lock().write_all(figures.to_string().as_bytes()).unwrap();
    true
}
