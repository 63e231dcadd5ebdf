//! A store as an older steward left it, killed in the middle of a street's morning: layout 1, with telemetry
//! in the core, nothing compressed, no marks and no witness. It opens, loses nothing, and goes on.

use super::*;
use crate::outbox::disk::Medium;
use crate::outbox::open::open_on_disk;

const CONF: &[u8] = include_bytes!("schema-1/conf");
const DB: &[u8] = include_bytes!("schema-1/db.zst");
const FLOOR: &[u8] = include_bytes!("schema-1/floor.json");

fn open(dir: &std::path::Path) -> Restored {
    let settings = Settings { box_id: "demo".to_owned(), ..settings_of(u64::MAX) };
    let (restored, aside) = open_on_disk(dir, &settings, &Medium::default()).unwrap();
    assert_eq!(aside, None);
    assert_eq!(restored.damaged, Vec::<String>::new());
    restored
}

#[test]
fn a_store_of_layout_1_opens_drains_and_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir_all(dir.path().join("core")).unwrap();
    fs::write(dir.path().join("core/conf"), CONF).unwrap();
    fs::write(dir.path().join("core/db"), zstd::stream::decode_all(DB).unwrap()).unwrap();
    fs::write(dir.path().join("floor.json"), FLOOR).unwrap();
    let Restored { mut queue, records, .. } = open(dir.path());
    assert_eq!(queue.boot, Boot(2));
    assert_eq!(records.len(), 47);
    let last = Lane::ALL.map(|lane| ledger(&queue, lane).last.seq);
    assert_eq!(last, [42, 71, 1295, 2521]);
    // What comes now stands behind it, in a database of its own.
    queue.commit(&[Turn { durable: true, ..turn(vec![reading(1, 7)]) }]).unwrap();
    assert!(dir.path().join("telemetry").exists());
    drop(queue);
    let mut queue = open(dir.path()).queue;
    queue.link_up(1).unwrap();
    let entries = queue.take(100).unwrap();
    let of = |lane| entries.iter().filter(|e| e.key.lane == lane).count();
    assert_eq!(Lane::ALL.map(of), [0, 1, 3, 4]);
    for entry in &entries {
        let payload: Value = serde_json::from_slice(&entry.payload).unwrap();
        assert_eq!(payload["seq"].as_u64(), Some(entry.key.position.seq));
        assert!(entry.replay);
        queue.settle(entry.key, Outcome::Acknowledged);
    }
    assert_eq!(entries.last().unwrap().key.position.seq, 2522);
    queue.flush().unwrap();
    drop(queue);
    let mut queue = open(dir.path()).queue;
    queue.link_up(1).unwrap();
    assert_eq!(queue.take(100).unwrap(), []);
    assert!(Lane::ALL.iter().all(|lane| ledger(&queue, *lane).gaps.is_empty()));
}
