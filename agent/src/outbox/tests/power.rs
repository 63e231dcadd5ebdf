//! Power cuts. Every sync of the store passes through a layer that remembers what was on the device by then.
//! Just before a sync it sometimes makes a directory as a disk could hold it after a cut at that moment:
//! of what was written and not synced, some pages are there, some are not, one is half there; files that
//! came or went since the last sync of anything may not have. From such a directory the box has to start,
//! without moving anything aside, and with all that was promised.
//!
//! `STEWARD_POWER_CUTS=15000 cargo test -p steward --release outbox::tests::power` for a long run.

use std::fs::File;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::*;
use crate::outbox::disk::{DiskStore, Medium};
use crate::outbox::floor::Floor;
use crate::outbox::open::open_on_disk;

/// States looked at in each of three lives, without the variable: 1,500 in a test run.
const CUTS: u64 = 500;
/// States in which a disk that does not sync must be found out.
const FORGETFUL_CUTS: u64 = 100;
const PAGE: usize = 4096;

fn cuts() -> u64 {
    std::env::var("STEWARD_POWER_CUTS").ok().and_then(|n| n.parse().ok()).unwrap_or(CUTS)
}

/// SplitMix64.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (z ^ (z >> 31)) % bound
    }
}

type Files = BTreeMap<PathBuf, Vec<u8>>;

/// The device below a directory.
struct Device {
    live: PathBuf,
    /// Which files were there at the last sync of anything: it takes all earlier names along.
    named: BTreeSet<PathBuf>,
    /// What of each file is certainly there.
    synced: Files,
    random: Random,
    /// What was promised and may not be missing.
    owed: BTreeSet<u64>,
    /// What the engine's record said when it was promised; a later one does as well.
    record: u64,
    /// A broken disk: databases are never really synced.
    forgetful: bool,
    states: u64,
    /// How many of them are looked at.
    cuts: u64,
    lost: u64,
}

fn read_all(dir: &Path) -> Files {
    let mut files = Files::new();
    let mut left = vec![dir.to_owned()];
    while let Some(next) = left.pop() {
        let Ok(entries) = fs::read_dir(&next) else { continue };
        for path in entries.map(|entry| entry.unwrap().path()) {
            if path.is_dir() {
                left.push(path);
            } else if path.extension().is_none_or(|e| e != "reserve") {
                let bytes = fs::read(&path).unwrap_or_default();
                files.insert(path.strip_prefix(dir).unwrap().to_owned(), bytes);
            }
        }
    }
    files
}

impl Device {
    /// A sync of `path` is about to happen.
    fn sync(&mut self, path: &Path) {
        let files = read_all(&self.live);
        if self.states < self.cuts && self.random.below(3) == 0 {
            self.cut(&files);
        }
        let name = path.strip_prefix(&self.live).unwrap_or(path).to_owned();
        for (name, bytes) in files.iter().filter(|(name, _)| is_snapshot(name)) {
            self.synced.insert(name.clone(), bytes.clone());
        }
        let broken = self.forgetful && name.ends_with("db");
        if let Some(bytes) = files.get(&name).filter(|_| !broken) {
            self.synced.insert(name, bytes.clone());
        }
        self.synced.retain(|name, _| files.contains_key(name));
        self.named = files.into_keys().collect();
    }

    /// A disk after a cut now, and what the box makes of it.
    fn cut(&mut self, files: &Files) {
        let dir = tempfile::tempdir().unwrap();
        let place = dir.path().join("buffer");
        fs::create_dir_all(&place).unwrap();
        let names_are_there = self.random.below(2) == 0;
        let names: BTreeSet<PathBuf> =
            if names_are_there { files.keys().cloned().collect() } else { self.named.clone() };
        let chance = [0, 2, 5, 10][self.random.below(4) as usize];
        for name in names {
            let synced = self.synced.get(&name).cloned().unwrap_or_default();
            let live = files.get(&name).cloned().unwrap_or_else(|| synced.clone());
            let bytes = mix(&synced, &live, chance, &mut self.random);
            let path = place.join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, bytes).unwrap();
        }
        self.states += 1;
        match look(&place) {
            Ok((found, record)) if self.owed.is_subset(&found) && record >= self.record => {}
            _ if self.forgetful => self.lost += 1,
            Ok((found, record)) => {
                let missing: Vec<_> = self.owed.difference(&found).collect();
                let (state, promised) = (self.states, self.record);
                panic!("state {state}: lost: {missing:?}, or the record: {record} of {promised}");
            }
            Err(why) => panic!("state {}: {why}", self.states),
        }
    }
}

/// sled syncs a snapshot before it gives it its name.
fn is_snapshot(name: &Path) -> bool {
    let name = name.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    name.starts_with("snap.") && !name.ends_with(".generating")
}

/// Of pages that differ, each new one is there with a chance of so many in ten; one is cut in the middle.
fn mix(synced: &[u8], live: &[u8], chance: u64, random: &mut Random) -> Vec<u8> {
    let length = if random.below(10) < chance { live.len() } else { synced.len() };
    let mut bytes = synced.to_vec();
    bytes.resize(length, 0);
    for at in (0..length.min(live.len())).step_by(PAGE) {
        let end = (at + PAGE).min(length).min(live.len());
        if bytes[at..end] != live[at..end] && random.below(10) < chance {
            let torn = random.below(20) == 0;
            let end = if torn { end.min(at + 512 * random.below(8) as usize) } else { end };
            bytes[at..end].copy_from_slice(&live[at..end]);
        }
    }
    bytes
}

/// Starts the box in `dir` and takes everything out; the record apart.
fn look(dir: &Path) -> Result<(BTreeSet<u64>, u64), String> {
    let medium = Medium { values_max: 64 * 1024, ..Medium::default() };
    let opened = open_on_disk(dir, &settings_of(u64::MAX), &medium).map_err(|e| e.to_string())?;
    let (restored, aside) = opened;
    if let Some(aside) = aside {
        return Err(format!("moved aside: {aside:?}"));
    }
    if !restored.damaged.is_empty() {
        return Err(format!("records are damaged: {:?}", restored.damaged));
    }
    let mut queue = restored.queue;
    queue.link_up(1).map_err(|e| e.to_string())?;
    let record = restored.records.first().map_or(0, record_value);
    let mut found = BTreeSet::new();
    loop {
        let entries = queue.take(1000).map_err(|e| e.to_string())?;
        if entries.is_empty() {
            break;
        }
        for entry in entries {
            found.extend(values_of(&entry.payload));
            queue.settle(entry.key, Outcome::Acknowledged);
        }
    }
    queue.flush().map_err(|e| e.to_string())?;
    let lanes = queue.stats().map_err(|e| e.to_string())?.lanes;
    for lane in lanes {
        let damaged = lane.ledger.dropped.get(&DropReason::Damaged).copied().unwrap_or(0);
        if damaged > 0 || lane.ledger.stored > 0 {
            return Err(format!("{:?}: {:?}", lane.lane, lane.ledger));
        }
    }
    Ok((found, record))
}

fn record(value: u64) -> Record {
    Record { key: "asset/bay/b-1".into(), value: Some(value.to_string().into_bytes()) }
}

fn record_value(record: &Record) -> u64 {
    let value = record.value.as_ref().unwrap();
    std::str::from_utf8(value).unwrap().parse().unwrap()
}

type Shared = Arc<Mutex<Device>>;

fn lock(device: &Shared) -> MutexGuard<'_, Device> {
    device.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A queue on the device.
fn start(device: &Shared) -> Queue {
    let at_sync = Arc::clone(device);
    let sync = move |path: &Path, file: &File| {
        lock(&at_sync).sync(path);
        file.sync_data()
    };
    let medium = Medium { sync: Arc::new(sync), values_max: 64 * 1024 };
    let live = lock(device).live.clone();
    fs::create_dir_all(&live).unwrap();
    let floor = Floor::open(&live.join("floor.json")).unwrap();
    let (store, aside) = DiskStore::open(&live, &medium).unwrap();
    assert_eq!(aside, None);
    // sled syncs while it opens a database, and with that the names that changed.
    let mut now = lock(device);
    let files = read_all(&live);
    now.synced.extend(
        files.iter().filter(|(name, _)| is_snapshot(name)).map(|(n, b)| (n.clone(), b.clone())),
    );
    now.named = files.into_keys().collect();
    drop(now);
    restore(Box::new(store), Some(floor), settings_of(u64::MAX)).unwrap().queue
}

/// Commits, sends and acknowledges at random, with a stop now and then, until there were enough cuts.
fn life(seed: u64, forgetful: bool, cuts: u64) -> (u64, u64) {
    let dir = tempfile::tempdir().unwrap();
    let device = Device {
        live: dir.path().join("buffer"),
        named: BTreeSet::new(),
        synced: Files::new(),
        random: Random(seed),
        owed: BTreeSet::new(),
        record: 0,
        forgetful,
        states: 0,
        cuts,
        lost: 0,
    };
    let device = Arc::new(Mutex::new(device));
    let (mut queue, mut value, mut random) = (start(&device), 0_u32, Random(seed ^ 0xabc));
    while lock(&device).states < cuts {
        let (mut turn, mut promised) = (Turn { durable: true, ..Turn::default() }, vec![]);
        for _ in 0..=random.below(8) {
            value += 1;
            promised.push(u64::from(value));
            turn.messages.push(match random.below(4) {
                0 => message(Lane::Ticket, 1, value),
                1 => message(Lane::Event, 1, value),
                _ => {
                    let mut reading = reading(random.below(2) as u8, value);
                    if random.below(4) == 0 {
                        pad(&mut reading, &mut random);
                    }
                    reading
                }
            });
        }
        value += 1;
        turn.records.push(record(value.into()));
        queue.commit(&[turn]).unwrap();
        let mut device_now = lock(&device);
        device_now.owed.extend(promised);
        device_now.record = value.into();
        drop(device_now);
        if random.below(3) == 0 {
            send(&mut queue, &device, &mut random);
        }
        if random.below(25) == 0 {
            queue.spill().unwrap();
            drop(queue);
            queue = start(&device);
        }
    }
    let device = lock(&device);
    (device.states, device.lost)
}

/// Some of what is stored is acknowledged.
fn send(queue: &mut Queue, device: &Shared, random: &mut Random) {
    queue.link_up(1).unwrap();
    for entry in queue.take(30).unwrap() {
        if random.below(10) > 0 {
            queue.settle(entry.key, Outcome::Acknowledged);
            // The broker has it: it need not be here any more.
            let mut device = lock(device);
            values_of(&entry.payload).iter().for_each(|value| _ = device.owed.remove(value));
        }
    }
    queue.link_down();
    queue.flush().unwrap();
}

/// Makes a reading large, and nothing that compresses.
fn pad(message: &mut Message, random: &mut Random) {
    let noise: String = (0..200).map(|_| format!("{:016x}", random.below(u64::MAX))).collect();
    let Body::Flat(body) = &mut message.body else { panic!("telemetry is flat") };
    body["points"][0]["noise"] = json!(noise);
}

#[test]
fn what_was_promised_survives_a_power_cut() {
    assert_eq!(life(1, false, cuts()), (cuts(), 0));
}

#[test]
fn what_was_promised_survives_a_power_cut_in_another_life() {
    assert_eq!(life(2, false, cuts()), (cuts(), 0));
}

#[test]
fn what_was_promised_survives_a_power_cut_in_a_third_life() {
    assert_eq!(life(3, false, cuts()), (cuts(), 0));
}

#[test]
fn a_disk_that_does_not_sync_is_found_out() {
    let (states, lost) = life(4, true, FORGETFUL_CUTS);
    assert!(lost * 4 > states, "the cuts are too kind: {lost} of {states} lost something");
}
