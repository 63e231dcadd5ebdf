//! What the queue promises, against a model and case by case. In memory, except where the disk is the point.

mod blocks;
mod damage;
mod full;
mod held;
mod migrate;
mod model;
mod opening;
mod order;
mod power;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use domain::ids::{AssetId, AssetKey, BoxId, Class, SiteId, TenantId, TicketId};
use domain::output::{Body, Message, Quality, Topic};
use domain::time::ClockQuality;
use proptest::prelude::*;
use serde_json::{Map, Value, json};

use super::memory::MemoryStore;
use super::queue::{self, Queue};
use super::restore::{RestoreError, restore};
use super::store::{Batch, Pair, Store};
use super::*;
use crate::mqtt::payload::Stamp;

impl Queue {
    /// Takes of every lane.
    fn take(&mut self, max: usize) -> Result<Vec<Entry>, StoreError> {
        self.take_of(Lanes::ALL, max)
    }
}

fn identity() -> Identity {
    Identity {
        tenant: TenantId::new("t").unwrap(),
        site: SiteId::new("s").unwrap(),
        id: BoxId::new("box").unwrap(),
    }
}

fn settings_of(bytes_max: u64) -> Settings {
    let buffer = Buffer { max_size: bytes_max, ..buffer(std::path::Path::new("")) };
    settings(&buffer, &identity())
}

fn new_queue(bytes_max: u64) -> Queue {
    restore(Box::new(MemoryStore::default()), None, settings_of(bytes_max)).unwrap().queue
}

/// Stops the box in the middle of whatever it does, and starts it again.
fn restart(queue: Queue) -> Restored {
    let Queue { store, floor, bytes_max, .. } = queue;
    restore(store, floor, settings_of(bytes_max)).unwrap()
}

fn bay(n: u8) -> AssetKey {
    AssetKey::new(Class::Bay, AssetId::new(&format!("b-{n}")).unwrap())
}

fn message(lane: Lane, asset: u8, value: u32) -> Message {
    let data = Map::from_iter([("value".to_owned(), json!(value))]);
    let (topic, body) = match lane {
        Lane::Ticket => (Topic::TicketState(TicketId::new("t-1").unwrap()), Body::Flat(data)),
        Lane::Event => (Topic::AssetEvent(bay(asset)), Body::Event { kind: "test.event", data }),
        Lane::State => (Topic::AssetState(bay(asset)), Body::Flat(data)),
        Lane::Telemetry => (Topic::AssetTelemetry(bay(asset)), Body::Flat(data)),
    };
    let (at, clock, quality) = (Utc::from_ms(value.into()), ClockQuality::Ntp, Quality::Good);
    Message { lane, topic, at, clock, quality, body }
}

fn empty(lane: Lane, asset: u8) -> Message {
    Message { body: Body::Empty, ..message(lane, asset, 0) }
}

fn turn(messages: Vec<Message>) -> Turn {
    Turn { messages, ..Turn::default() }
}

fn value_of(entry: &Entry) -> Option<u64> {
    let json: Value = serde_json::from_slice(&entry.payload).ok()?;
    json.get("value").or_else(|| json["data"].get("value"))?.as_u64()
}

/// A telemetry message of one reading, which joins a block.
fn reading(asset: u8, value: u32) -> Message {
    let points = json!([{"at": Utc::from_ms(value.into()), "value": value}]);
    let body = Body::Flat(Map::from_iter([("points".to_owned(), points)]));
    Message { body, ..message(Lane::Telemetry, asset, value) }
}

/// What a message, or every reading of a block, says.
fn values_of(payload: &[u8]) -> Vec<u64> {
    let Ok(json) = serde_json::from_slice::<Value>(payload) else { return vec![] };
    let one = |from: &Value| from.get("value").or_else(|| from["data"].get("value"))?.as_u64();
    match json["points"].as_array() {
        Some(points) => points.iter().filter_map(one).collect(),
        None => one(&json).into_iter().collect(),
    }
}

fn ledger(queue: &Queue, lane: Lane) -> &Ledger {
    &queue.lanes[lane as usize].ledger
}

/// `path value` of everything that can be taken at once.
fn taken(queue: &mut Queue) -> Vec<String> {
    if queue.conn == 0 {
        queue.link_up(77).unwrap();
    }
    queue.take(1000).unwrap().iter().map(text).collect()
}

/// `path value` of everything, each acknowledged when its turn comes.
fn drained(queue: &mut Queue) -> Vec<String> {
    let mut all = vec![];
    queue.link_up(78).unwrap();
    loop {
        let entries = queue.take(1000).unwrap();
        if entries.is_empty() {
            return all;
        }
        for entry in entries {
            all.push(text(&entry));
            queue.settle(entry.key, Outcome::Acknowledged);
        }
    }
}

fn text(entry: &Entry) -> String {
    match value_of(entry) {
        Some(value) => format!("{} {value}", entry.path),
        None => format!("{} -", entry.path),
    }
}

fn buffer(dir: &std::path::Path) -> Buffer {
    let commit_every = Duration::from_millis(20);
    Buffer { max_size: 1 << 20, commit_every, ..Buffer::below(dir.to_owned()) }
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

/// Opens, stores `messages`, and closes again.
fn session(dir: &std::path::Path, messages: Vec<Message>) -> Opened {
    let opened = Outbox::open(&buffer(dir), &identity()).unwrap();
    runtime().block_on(async {
        opened.outbox.commit(turn(messages)).await.unwrap();
        opened.outbox.close().await.unwrap();
    });
    opened
}

/// Fails the commit with the number it is told, before or after doing it.
struct Faulty {
    store: MemoryStore,
    fail_in: Arc<AtomicU32>,
    after: bool,
}

impl Store for Faulty {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        self.store.get(key)
    }
    fn scan(&self, from: &[u8], to: &[u8], limit: usize) -> Result<Vec<Pair>, StoreError> {
        self.store.scan(from, to, limit)
    }
    fn commit(&mut self, batch: Batch) -> Result<(), StoreError> {
        let left = self.fail_in.load(Ordering::Relaxed);
        self.fail_in.store(left.saturating_sub(1), Ordering::Relaxed);
        if left != 1 || self.after {
            self.store.commit(batch)?;
        }
        if left == 1 {
            let (path, why) = (PathBuf::from("db"), std::io::ErrorKind::StorageFull.into());
            return Err(StoreError::Io { doing: "syncing", path, why });
        }
        Ok(())
    }
    fn reopen(&mut self) -> Result<(), StoreError> {
        self.store.reopen()
    }
}
