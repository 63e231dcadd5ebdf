//! Taking up what a store holds, and counting the boot, before anything else happens.
//!
//! Reads a bounded part of the store: the outbox's own state, the engine's records, and, when no link
//! came up lately, the states that may still be replaced. Messages are not looked at.

use domain::output::{Lane, Record};
use domain::time::Boot;

use std::collections::BTreeMap;
use std::time::Duration;

use super::draft::Draft;
use super::entry::{self, RECORDS};
use super::floor::Floor;
use super::held::Memory;
use super::ledger::{Held, Ledger, Position};
use super::pack::Packer;
use super::queue::{LaneState, Queue, Waiting, stored};
use super::store::{Store, StoreError};
use super::value::{self, Found};
use crate::mqtt::topics::Prefix;

/// The layout on disk that this program writes.
/// 2 added what is held in memory; a store of layout 1 is one that holds nothing. 3 compresses blocks and
/// keeps telemetry in databases of its own; what an older store has in its core is read from there.
pub(super) const SCHEMA: u32 = 3;
/// Messages or records read together.
const PAGE: usize = 64;
/// States of earlier boots looked at: more than any box has topics. Those beyond stay as they are.
const WAITING_MAX: usize = 50_000;

/// The names of the queue's own state; a lane's ledger stands under the lane's name.
pub(super) struct Meta {
    schema: &'static str,
    pub(super) boot: &'static str,
    /// The last boot in which a link came up.
    pub(super) linked: &'static str,
    /// The number of the last commit.
    pub(super) commits: &'static str,
    /// What telemetry was in memory only.
    pub(super) held: &'static str,
}

pub(super) const META: Meta =
    Meta { schema: "schema", boot: "boot", linked: "linked", commits: "commits", held: "held" };

/// What a queue is opened with.
#[derive(Debug, Clone)]
pub(super) struct Settings {
    pub(super) box_id: String,
    pub(super) prefix: Prefix,
    /// Bytes of messages at most.
    pub(super) bytes_max: u64,
    /// Bytes that stay free on the disk.
    pub(super) free_min: u64,
    /// By lane, the age at which a message makes room.
    pub(super) max_age: [Option<Duration>; 4],
    /// Whether readings stand in columns.
    pub(super) columns: bool,
    /// The boot is this one or a later one.
    pub(super) boot_min: Boot,
}

/// What a store held.
pub(super) struct Restored {
    pub(super) queue: Queue,
    pub(super) records: Vec<Record>,
    /// Names of records that could not be read.
    pub(super) damaged: Vec<String>,
}

/// Why a store could not be taken up.
#[derive(Debug, thiserror::Error)]
pub(super) enum RestoreError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("its layout is version {found}")]
    NewerSchema { found: u64 },
    #[error("it is as it was after commit {commits}, and there was commit {witnessed}")]
    Older { commits: u64, witnessed: u64 },
    #[error("its {name} cannot be read")]
    Damaged { name: String },
}

/// Takes up what `store` holds, and counts the boot, durably.
pub(super) fn restore(
    store: Box<dyn Store>,
    floor: Option<Floor>,
    settings: Settings,
) -> Result<Restored, RestoreError> {
    let schema = number_or_damaged(&*store, META.schema)?;
    if let Some(found) = schema
        && found > u64::from(SCHEMA)
    {
        return Err(RestoreError::NewerSchema { found });
    }
    let commits = number_or_damaged(&*store, META.commits)?.unwrap_or(0);
    let witnessed = floor.as_ref().map_or(0, |floor| floor.witness().found());
    if commits < witnessed {
        return Err(RestoreError::Older { commits, witnessed });
    }
    let last_boot = number_or_damaged(&*store, META.boot)?.unwrap_or(0);
    let last_boot = last_boot.max(floor.as_ref().map_or(0, Floor::boot));
    let linked = number_or_damaged(&*store, META.linked)?.unwrap_or(0);
    let mut queue = Queue {
        lanes: lanes(&*store)?,
        commits,
        memory: Memory { held: held(&*store)?, ..Memory::default() },
        store,
        packer: Packer::default(),
        floor,
        box_id: settings.box_id,
        prefix: settings.prefix,
        bytes_max: settings.bytes_max,
        free_min: settings.free_min,
        max_age: settings.max_age,
        columns: settings.columns,
        boot: Boot(u32::try_from(last_boot).unwrap_or(u32::MAX).saturating_add(1))
            .max(settings.boot_min),
        conn: 0,
        linked: false,
        closed: false,
        waiting: BTreeMap::new(),
        sending: BTreeMap::new(),
    };
    if schema.is_none() {
        start_above_floor(&mut queue);
    }
    lose_held(&mut queue);
    if linked < last_boot {
        queue.waiting = find_waiting(&queue, linked)?;
    }
    let (records, damaged) = records(&*queue.store)?;
    count_boot(&mut queue)?;
    Ok(Restored { queue, records, damaged })
}

/// A new store in place of a lost one: no number is used twice. Those between are a loss of unknown
/// size, and told as one.
fn start_above_floor(queue: &mut Queue) {
    let Some(floor) = &queue.floor else { return };
    for (lane, number) in queue.lanes.iter_mut().zip(floor.numbers()) {
        if number > 0 {
            lane.ledger.start_after(number);
            lane.dirty = true;
        }
    }
}

/// What the last run had in memory when it ended without a goodbye is gone.
fn lose_held(queue: &mut Queue) {
    let held = queue.memory.held;
    let lane = &mut queue.lanes[Lane::Telemetry as usize];
    if held.reserved > 0 {
        tracing::warn!(
            at_least = held.count,
            from = held.from,
            to = held.reserved,
            "telemetry was in memory when the program was killed or the power failed"
        );
        lane.ledger.lose_held(&held);
        lane.dirty = true;
    }
}

pub(super) fn held(store: &dyn Store) -> Result<Held, RestoreError> {
    let damaged = || RestoreError::Damaged { name: "note of what is in memory".to_owned() };
    match value::get(store, &entry::meta_key(META.held))? {
        None => Ok(Held::default()),
        Some(Found::Blob(json, _)) => serde_json::from_slice(&json).map_err(|_| damaged()),
        Some(Found::Damaged) => Err(damaged()),
    }
}

fn count_boot(queue: &mut Queue) -> Result<(), StoreError> {
    let mut drafted = Draft::new(queue, false)?.finish();
    drafted.next.durable = true;
    for (name, n) in [(META.schema, SCHEMA), (META.boot, queue.boot.0)] {
        let number = u64::from(n).to_le_bytes();
        value::put(&mut drafted.batch, &entry::meta_key(name), &number, 1);
    }
    queue.write(drafted)
}

/// States that no link can have carried away: those of boots after the last that had one.
fn find_waiting(queue: &Queue, linked: u64) -> Result<BTreeMap<String, Waiting>, StoreError> {
    let mut all: BTreeMap<String, Waiting> = BTreeMap::new();
    let (mut from, mut seen) = (Position::default(), 0);
    while seen < WAITING_MAX {
        let page = queue.read(Lane::State, from, PAGE)?;
        let Some((last, _)) = page.last() else { break };
        from = last.next();
        seen += page.len();
        for (position, found) in page {
            let Some((stored, slot)) = stored(position, &found) else { continue };
            if u64::from(stored.boot.0) <= linked {
                continue;
            }
            let waiting = all.entry(stored.path).or_default();
            if position.sub == 0 {
                *waiting = Waiting { value: Some(slot), empty: None };
            } else {
                waiting.empty = Some(slot);
            }
        }
    }
    Ok(all)
}

fn records(store: &dyn Store) -> Result<(Vec<Record>, Vec<String>), StoreError> {
    let (mut records, mut damaged) = (vec![], vec![]);
    let (mut from, to) = (RECORDS.0.to_vec(), RECORDS.1);
    loop {
        let page = value::scan(store, &from, &to, PAGE)?;
        let Some((last, _)) = page.last() else { return Ok((records, damaged)) };
        from = value::behind(last);
        for (key, found) in page {
            match (entry::record_name(&key), found) {
                (Some(key), Found::Blob(value, _)) => {
                    records.push(Record { key, value: Some(value) });
                }
                (name, _) => damaged.push(name.unwrap_or_else(|| format!("{key:02x?}"))),
            }
        }
    }
}

pub(super) fn lanes(store: &dyn Store) -> Result<[LaneState; 4], RestoreError> {
    let mut lanes: [LaneState; 4] = std::array::from_fn(|_| LaneState::default());
    for lane in Lane::ALL {
        let damaged =
            || RestoreError::Damaged { name: format!("ledger of the {} lane", lane.as_str()) };
        lanes[lane as usize].ledger = match value::get(store, &entry::meta_key(lane.as_str()))? {
            None => Ledger::default(),
            Some(Found::Blob(json, _)) => serde_json::from_slice(&json).map_err(|_| damaged())?,
            Some(Found::Damaged) => return Err(damaged()),
        };
    }
    Ok(lanes)
}

/// The number stored under `name`; `None` when there is none, or none that can be read.
pub(super) fn number(store: &dyn Store, name: &str) -> Result<Option<u64>, StoreError> {
    Ok(match value::get(store, &entry::meta_key(name))? {
        Some(Found::Blob(bytes, _)) => bytes.try_into().ok().map(u64::from_le_bytes),
        Some(Found::Damaged) | None => None,
    })
}

pub(super) fn number_or_damaged(
    store: &dyn Store,
    name: &str,
) -> Result<Option<u64>, RestoreError> {
    let there = value::get(store, &entry::meta_key(name))?.is_some();
    let number = number(store, name)?;
    if there && number.is_none() {
        return Err(RestoreError::Damaged { name: format!("{name} number") });
    }
    Ok(number)
}
