//! Damage: one byte in every region of every file. The box starts, nothing panics, and what is missing
//! is told.

use std::path::Path;

use super::*;
use crate::outbox::disk::Medium;
use crate::outbox::inspect;
use crate::outbox::open::open_on_disk;

/// Places in each file at which a byte is flipped, beside its first and its last one.
const PLACES: usize = 24;

fn medium() -> Medium {
    Medium { values_max: 256 * 1024, ..Medium::default() }
}

fn open(dir: &Path) -> (Queue, bool) {
    let (restored, aside) = open_on_disk(dir, &settings_of(u64::MAX), &medium()).unwrap();
    (restored.queue, aside.is_some())
}

/// A store with something in every lane, and telemetry in several databases.
fn fill(dir: &Path) -> BTreeSet<u64> {
    let (mut queue, _) = open(dir);
    let mut value = 0;
    for n in 0..120 {
        let mut turn = Turn { durable: true, ..Turn::default() };
        for lane in [Lane::Ticket, Lane::Event, Lane::State] {
            value += 1;
            turn.messages.push(message(lane, (value % 200) as u8, value));
        }
        for _ in 0..20 {
            value += 1;
            let mut reading = reading(1, value);
            let Body::Flat(body) = &mut reading.body else { panic!("telemetry is flat") };
            let noise = u64::from(value).wrapping_mul(0x9E37_79B9_7F4A_7C15);
            body["points"][0]["noise"] = json!(format!("{noise:x}").repeat(12));
            turn.messages.push(reading);
        }
        let key = format!("asset/bay/b-{n}");
        turn.records.push(Record { key, value: Some(vec![b'1'; 300]) });
        queue.commit(&[turn]).unwrap();
    }
    drop(queue);
    // Once more, so that there are snapshots.
    let (mut queue, _) = open(dir);
    seen_in(&mut queue).unwrap()
}

/// Everything that can be taken, without settling it.
fn seen_in(queue: &mut Queue) -> Result<BTreeSet<u64>, StoreError> {
    let mut seen = BTreeSet::new();
    queue.link_up(1)?;
    loop {
        let entries = queue.take(1000)?;
        if entries.is_empty() {
            return Ok(seen);
        }
        for entry in entries {
            seen.extend(values_of(&entry.payload));
            queue.settle(entry.key, Outcome::Acknowledged);
        }
    }
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let to = to.join(path.file_name().unwrap());
        if path.is_dir() {
            copy(&path, &to);
        } else if path.extension().is_none_or(|e| e != "reserve") {
            fs::copy(&path, &to).unwrap();
        }
    }
}

fn files(dir: &Path) -> Vec<PathBuf> {
    let mut all = vec![];
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { all.extend(files(&path)) } else { all.push(path) }
    }
    all.sort();
    all
}

/// Starts with whatever is in `dir`, twice if the first finds damage while it runs. Answers what arrived,
/// and whether anything is said to be missing.
fn live_on(dir: &Path) -> (BTreeSet<u64>, bool) {
    let mut told = false;
    for _ in 0..3 {
        let (mut queue, aside) = open(dir);
        told |= aside;
        match seen_in(&mut queue) {
            Ok(seen) => {
                queue.flush().unwrap();
                // What the counts say is stored, and is not to be found, is noticed by asking for it.
                assert_eq!(seen_in(&mut queue).unwrap(), BTreeSet::new());
                queue.flush().unwrap();
                let lanes = queue.stats().unwrap().lanes;
                told |= lanes.iter().any(|lane| !lane.ledger.dropped.is_empty());
                return (seen, told);
            }
            Err(error) => {
                assert!(matches!(error, StoreError::Damaged { .. }), "{error}");
                // As the committer does before it ends the box.
                queue.store.condemn();
            }
        }
    }
    panic!("the box starts and stops for ever");
}

#[test]
fn a_flipped_byte_anywhere_is_survived_and_what_it_costs_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let good = dir.path().join("good");
    let expected = fill(&good);
    assert!(expected.len() > 1000);
    let good = dir.path().join("good");
    let pristine = dir.path().join("pristine");
    // What `fill` looked at last is still unacknowledged on disk.
    copy(&good, &pristine);
    let (mut hurt, mut whole) = (0, 0);
    for (n, file) in files(&pristine).into_iter().enumerate() {
        let bytes = fs::read(&file).unwrap();
        let step = (bytes.len() / PLACES).max(1);
        for at in (0..bytes.len()).step_by(step).chain(bytes.len().checked_sub(1)) {
            let place = dir.path().join(format!("at-{n}-{at}"));
            copy(&pristine, &place);
            let mut flipped = bytes.clone();
            flipped[at] ^= 0x10;
            fs::write(place.join(file.strip_prefix(&pristine).unwrap()), flipped).unwrap();
            let (seen, told) = live_on(&place);
            let missing = expected.difference(&seen).count();
            assert!(missing == 0 || told, "{}:{at}: {missing} lost in silence", file.display());
            if missing > 0 {
                hurt += 1;
            } else {
                whole += 1;
            }
            fs::remove_dir_all(&place).unwrap();
        }
    }
    assert!(hurt > 0 && whole > 0, "hardly a test: {hurt} hurt, {whole} whole");
}

#[test]
fn salvage_finds_the_messages_of_a_store_that_is_torn_to_pieces() {
    let dir = tempfile::tempdir().unwrap();
    let expected = fill(dir.path());
    for file in files(dir.path()).iter().filter(|path| path.ends_with("db")) {
        let mut bytes = fs::read(file).unwrap();
        // A page in sixteen is gone.
        bytes.chunks_mut(4096).step_by(16).for_each(|page| page.fill(0));
        fs::write(file, bytes).unwrap();
    }
    let mut found = BTreeSet::new();
    inspect::carve(dir.path(), &mut |_, message| {
        found.extend(values_of(&message.payload));
        Ok(())
    })
    .unwrap();
    let saved = expected.intersection(&found).count();
    assert!(saved * 10 > expected.len() * 7, "{saved} of {}", expected.len());
}
