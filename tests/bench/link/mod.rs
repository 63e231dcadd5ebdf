//! From the outbox to the broker: one publish for each reading, against bare sockets and against
//! mosquitto's bridge with persistence, all to the same broker in the same run.

mod process;
mod raw;

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};

use domain::output::{Body, Lane, Message};
use serde_json::{Value, json};
use steward::config::{Buffer, Traffic, Version};
use steward::outbox::{Opened, Outbox, Turn};
use system_tests::mosquitto::{Mosquitto, free_port};
use system_tests::outbox::{
    Running, broker_at, buffer, identity, message, only, start, stored, value_of,
};

use self::process::Used;
use self::raw::Counter;
use crate::counted;
use crate::outbox::sink;
use crate::table::Table;

/// Messages of one run.
const COUNT: u64 = 50_000;
/// On their way at once.
const WINDOW: u16 = 100;
/// Messages of the run whose system calls and instructions are counted.
const COUNTED: &str = "20000";
/// Messages committed as one turn.
const TURN: u64 = 100;
/// Tickets whose way is timed.
const TICKETS: usize = 300;
/// Messages a bridge has acknowledged before it is killed.
const KILLED_WITH: u64 = 10_000;
const PATIENCE: Duration = Duration::from_secs(120);
/// Nothing has come for so long: nothing more will.
const SILENCE: Duration = Duration::from_secs(5);
/// The far end keeps nothing.
const PLAIN: &str = "persistence false\nlog_type information\n";

/// What one way of sending has done.
struct Run {
    per_second: f64,
    used: Used,
}

pub(crate) fn rows(table: &mut Table) {
    let dir = tempfile::tempdir().unwrap();
    let Some(broker) = Mosquitto::start_with(dir.path(), PLAIN) else { return };
    // The same reader listens in each run: what it costs the broker, it costs all of them.
    let counter = Counter::start(broker.port, "#").unwrap();
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let runtime = runtime.unwrap();
    let bare = bare(broker.port);
    let alone = [Version::V311, Version::V5].map(|version| {
        runtime.block_on(whole(broker.port, Outbox::in_memory, version, Source::Before))
    });
    let drain = runtime.block_on(whole(broker.port, Outbox::open, Version::V5, Source::Before));
    let pipe = runtime.block_on(whole(broker.port, Outbox::open, Version::V5, Source::Meanwhile));
    let bridge = bridge(&broker, &counter);
    let [old, new] = &alone;
    table
        .row("bare sockets", bare.per_second, "messages/s")
        .how(format!("QoS 1, window {WINDOW}, {COUNT} messages of one reading, to mosquitto"));
    for (name, run) in [("MQTT 3.1.1", old), ("MQTT 5", new)] {
        table
            .row(format!("link alone, {name}"), run.per_second / bare.per_second, "x")
            .at_least(0.9)
            .how(format!("of bare sockets; {:.0} messages/s from memory", run.per_second));
    }
    table.row("backlog on disk", drain.per_second / bare.per_second, "x").how(format!(
        "of bare sockets; {:.0} messages/s, deleted as acknowledged",
        drain.per_second
    ));
    table
        .row("from commit to PUBACK, durable", pipe.per_second / bridge.per_second, "x")
        .at_least(3.0)
        .how(format!(
            "of mosquitto's bridge; {:.0} against {:.0} messages/s",
            pipe.per_second, bridge.per_second
        ));
    // What ours takes of memory stands with the outbox, whose loads run by themselves: here it shares this
    // program with its load, the counter, and all that the rows before have left.
    table
        .row("memory, mosquitto's bridge", bridge.used.rss as f64 / 1e6, "MB")
        .how("resident at the end; ours: outbox, whole pipe, memory, peak");
    for (name, run) in [("ours, durable", &pipe), ("mosquitto's bridge", &bridge)] {
        let cpu = run.used.cpu_s * 1e6 / COUNT as f64;
        table.row(format!("processor, {name}"), cpu, "µs/message");
        let written = run.used.written as f64 / COUNT as f64;
        table.row(format!("written, {name}"), written, "bytes/message").how("write_bytes of /proc");
    }
    per_message(table);
    let lost = bridge_killed();
    table
        .row("lost to SIGKILL, mosquitto's bridge", lost as f64, "messages")
        .how(format!("of {KILLED_WITH} acknowledged; ours 0 (test outbox_kills)"));
    runtime.block_on(latency(table, broker.port));
    for form in ["points", "columns", "compressed"] {
        runtime.block_on(on_the_wire(table, broker.port, form));
    }
}

/// What the kernel and the processor are asked for, for one message from memory to its PUBACK.
fn per_message(table: &mut Table) {
    let dir = tempfile::tempdir().unwrap();
    let (addr, _) = sink::start();
    let (place, addr) = (dir.path().to_str().unwrap(), addr.to_string());
    let args = |count: &'static str| ["load", "link", place, count, &addr].map(ToOwned::to_owned);
    let (none, all) = (args("0"), args(COUNTED));
    let both = [&none, &all].map(|args| args.each_ref().map(String::as_str));
    let messages: f64 = COUNTED.parse().unwrap();
    if let [Some(none), Some(all)] = both.map(|args| counted::system_calls(&args)) {
        let more: BTreeMap<&str, f64> = all
            .iter()
            .map(|(name, calls)| {
                let before = none.get(name).copied().unwrap_or(0);
                (name.as_str(), (*calls as f64 - before as f64) / messages)
            })
            .collect();
        let part = |name| more.get(name).copied().unwrap_or(0.0);
        table.row("system calls for a message", more.values().sum(), "calls").at_most(1.0).how(
            format!(
                "strace, {COUNTED} messages, all threads; writes to the socket {:.3}, reads {:.3}",
                part("sendto"),
                part("recvfrom")
            ),
        );
    }
    if let [Some((none, who)), Some((all, _))] = both.map(|args| counted::instructions(&args)) {
        let each = all.saturating_sub(none) as f64 / messages;
        table
            .row("instructions for a message", each, "")
            .how(format!("{who}, user mode; its commit to memory included"));
    }
}

fn reading(value: u64) -> Message {
    message(Lane::Event, (value % 50) as u32, value).unwrap()
}

/// Topic and payload of a message as long as ours are.
fn example() -> (String, Vec<u8>) {
    let topic = "steward/v1/t/s/box/bay/b-10/event".to_owned();
    let payload = json!({
        "specversion": "1.0", "id": "box-event-12345", "source": "/steward/t/s/box",
        "type": "test.event", "subject": "bay/b-10", "time": "1970-01-01T00:00:12.345Z",
        "datacontenttype": "application/json", "boot": 1, "lane": "event", "seq": 12345,
        "clock": "ntp", "data": {"value": 12345},
    });
    assert_eq!(value_of(&payload), Some(12345));
    (topic, payload.to_string().into_bytes())
}

fn bare(port: u16) -> Run {
    let (topic, payload) = example();
    let before = Used::ours();
    let took = raw::publish(port, &topic, &payload, COUNT, WINDOW.into()).unwrap();
    Run { per_second: COUNT as f64 / took.as_secs_f64(), used: Used::ours().since(before) }
}

/// When messages are committed.
#[derive(Clone, Copy, PartialEq)]
enum Source {
    Before,
    Meanwhile,
}

type Open = fn(&Buffer, &domain::site::Identity) -> Result<Opened, steward::outbox::OpenError>;

async fn commit_all(outbox: &Outbox) {
    for turn in 0..COUNT / TURN {
        let messages = (turn * TURN..(turn + 1) * TURN).map(reading).collect();
        outbox.commit(Turn { messages, ..Turn::default() }).await.unwrap();
    }
}

/// All messages through an outbox and a link, until the last is acknowledged.
async fn whole(port: u16, open: Open, version: Version, source: Source) -> Run {
    let dir = tempfile::tempdir().unwrap();
    let opened = open(&buffer(dir.path()), &identity().unwrap()).unwrap();
    let outbox = opened.outbox.clone();
    if source == Source::Before {
        commit_all(&outbox).await;
    }
    let before = Used::ours();
    let started = Instant::now();
    let mut running = to(port, opened, dir.path(), only(version));
    if source == Source::Meanwhile {
        commit_all(&outbox).await;
    }
    let acknowledged = running.status.wait_for(|s| s.lanes[Lane::Event as usize].acked >= COUNT);
    tokio::time::timeout(PATIENCE, acknowledged).await.unwrap().unwrap();
    let per_second = COUNT as f64 / started.elapsed().as_secs_f64();
    let used = Used::ours().since(before);
    end(running).await;
    Run { per_second, used }
}

fn to(port: u16, opened: Opened, dir: &Path, traffic: Traffic) -> Running {
    let mut settings = broker_at(([127, 0, 0, 1], port).into(), WINDOW);
    settings.keep_alive = Duration::from_secs(30);
    start(opened, dir, settings, traffic)
}

async fn end(running: Running) {
    running.stop.cancel();
    running.pipe.await.unwrap().unwrap();
    running.outbox.close().await.unwrap();
}

fn bridge_to(port: u16) -> String {
    format!(
        "persistence true\nautosave_interval 1\nlog_type information\nconnection far\n\
         address 127.0.0.1:{port}\ntopic # out 1\ncleansession false\nnotifications false\n\
         try_private false\nbridge_protocol_version mqttv311\nrestart_timeout 1\n"
    )
}

/// The same load into a mosquitto that bridges it, until the last has reached the far end.
fn bridge(far: &Mosquitto, counter: &Counter) -> Run {
    let dir = tempfile::tempdir().unwrap();
    let near = Mosquitto::start_with(dir.path(), &bridge_to(far.port)).unwrap();
    let (topic, payload) = example();
    // Warm: the bridge is connected when the first message has come through.
    raw::publish(near.port, &topic, &payload, 1, 1).unwrap();
    let begun = counter.wait(counter.so_far() + 1, SILENCE);
    let before = Used::by(near.pid());
    let started = Instant::now();
    raw::publish(near.port, &topic, &payload, COUNT, WINDOW.into()).unwrap();
    let came = counter.wait(begun + COUNT, SILENCE) - begun;
    assert_eq!(came, COUNT, "the bridge has lost some without any fault");
    let per_second = COUNT as f64 / started.elapsed().as_secs_f64();
    Run { per_second, used: Used::by(near.pid()).since(before) }
}

/// How many messages that a bridge has acknowledged are gone when it is killed while its far end is away.
fn bridge_killed() -> u64 {
    let (near_dir, far_dir) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let far_port = free_port();
    let near = Mosquitto::start_with(near_dir.path(), &bridge_to(far_port)).unwrap();
    let (topic, payload) = example();
    raw::publish(near.port, &topic, &payload, KILLED_WITH, WINDOW.into()).unwrap();
    let killed = near.kill();
    let lines = format!("{PLAIN}listener {far_port} 127.0.0.1\n");
    let _far = Mosquitto::start_with(far_dir.path(), &lines).unwrap();
    let counter = Counter::start(far_port, "#").unwrap();
    let _near = killed.start();
    KILLED_WITH.saturating_sub(counter.wait(KILLED_WITH, SILENCE))
}

/// From the decision to the PUBACK of a ticket, one at a time.
async fn latency(table: &mut Table, port: u16) {
    let dir = tempfile::tempdir().unwrap();
    let opened = Outbox::open(&buffer(dir.path()), &identity().unwrap()).unwrap();
    let outbox = opened.outbox.clone();
    let mut running = to(port, opened, dir.path(), only(Version::V5));
    running.status.wait_for(|s| s.connected).await.unwrap();
    let mut times = vec![];
    for n in 0..TICKETS {
        let ticket = message(Lane::Ticket, n as u32, n as u64).unwrap();
        let started = Instant::now();
        outbox.commit(Turn { messages: vec![ticket], ..Turn::default() }).await.unwrap();
        let arrived = running.status.wait_for(|s| s.lanes[Lane::Ticket as usize].acked > n as u64);
        tokio::time::timeout(PATIENCE, arrived).await.unwrap().unwrap();
        times.push(started.elapsed());
    }
    end(running).await;
    let mut syncs: Vec<Duration> = (0..TICKETS).map(|_| one_sync(dir.path())).collect();
    times.sort_unstable();
    syncs.sort_unstable();
    let ms = |sorted: &[Duration], percent: usize| {
        sorted[(sorted.len() - 1) * percent / 100].as_secs_f64() * 1e3
    };
    table.row("ticket to PUBACK, p50", ms(&times, 50) / ms(&syncs, 50), "x").how(format!(
        "of an overwrite of 4 KB with a sync; {:.2} ms against {:.2} ms",
        ms(&times, 50),
        ms(&syncs, 50)
    ));
    table
        .row("ticket to PUBACK, p99 less one sync", ms(&times, 99) - ms(&syncs, 99), "ms")
        .at_most(25.0)
        .how(format!("{TICKETS} tickets, loopback, MQTT 5"));
}

fn one_sync(dir: &Path) -> Duration {
    use std::io::{Seek, Write};
    let path = dir.join("overwrite");
    let mut file =
        std::fs::OpenOptions::new().create(true).truncate(false).write(true).open(path).unwrap();
    let started = Instant::now();
    file.rewind().unwrap();
    file.write_all(&[7; 4096]).unwrap();
    file.sync_data().unwrap();
    started.elapsed()
}

/// Bytes of packets for each reading of a bin, in blocks.
async fn on_the_wire(table: &mut Table, port: u16, form: &str) {
    const READINGS: u64 = 20_000;
    let dir = tempfile::tempdir().unwrap();
    let buffer = Buffer { columns: form == "columns", ..buffer(dir.path()) };
    let opened = Outbox::open(&buffer, &identity().unwrap()).unwrap();
    let outbox = opened.outbox.clone();
    let traffic = Traffic { compress: form == "compressed", ..only(Version::V5) };
    let running = to(port, opened, dir.path(), traffic);
    for n in 0..READINGS / TURN {
        let messages = (n * TURN..(n + 1) * TURN).map(series).collect();
        outbox.commit(Turn { messages, ..Turn::default() }).await.unwrap();
    }
    stored(&outbox, PATIENCE, |stats| {
        stats.lanes.iter().all(|lane| lane.ledger.stored == 0 && lane.gathering == 0)
    })
    .await;
    let traffic = running.status.borrow().lanes[Lane::Telemetry as usize];
    end(running).await;
    let row = table.row(
        format!("on the wire, {form}"),
        traffic.bytes as f64 / READINGS as f64,
        "bytes/reading",
    );
    let row = match form {
        "columns" => row.at_most(60.0),
        "compressed" => row.at_most(13.0),
        _ => row,
    };
    row.how(format!("{READINGS} readings of ten bins in {} publishes", traffic.sent));
}

fn series(n: u64) -> Message {
    let mut message = message(Lane::Telemetry, (n % 10) as u32, n).unwrap();
    let at = format!("2026-06-04T{:02}:{:02}:{:02}Z", n / 3600 % 24, n / 60 % 60, n % 60);
    let point: Value = json!({
        "at": at, "distance_mm": 600 + n * 7 % 90, "level_pct": 40 + n % 9, "temperature_c": 20 + n % 3,
    });
    message.body = Body::Flat([("points".to_owned(), json!([point]))].into_iter().collect());
    message
}
