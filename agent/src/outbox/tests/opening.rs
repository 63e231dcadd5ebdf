//! The store on disk: commits together, closing and opening, damage and places that cannot be written.

use super::*;

#[test]
fn turns_committed_together_all_arrive_and_settled_ones_are_gone() {
    let dir = tempfile::tempdir().unwrap();
    let opened = Outbox::open(&buffer(dir.path()), &identity()).unwrap();
    assert_eq!((opened.boot, opened.quarantined), (Boot(1), None));
    let outbox = opened.outbox;
    runtime().block_on(async {
        let commits = (0..100).map(|n| {
            let outbox = outbox.clone();
            async move { outbox.commit(turn(vec![message(Lane::Event, 1, n)])).await.unwrap() }
        });
        let tasks: tokio::task::JoinSet<()> = commits.collect();
        tasks.join_all().await;
        outbox.link_up(1).await.unwrap();
        let entries = outbox.take(1000).await.unwrap();
        assert_eq!(entries.len(), 100);
        let settled = entries.iter().map(|e| (e.key, Outcome::Acknowledged)).collect();
        outbox.settle(settled).await.unwrap();
        // Deleted by the committer on its own, without another commit.
        while outbox.stats().await.unwrap().lanes[1].ledger.stored > 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        outbox.close().await.unwrap();
        assert!(matches!(outbox.stats().await, Err(OutboxError::Stopped)));
        let refused = outbox.commit(turn(vec![message(Lane::Event, 1, 1)])).await.unwrap_err();
        assert_eq!(refused.turn.unwrap().messages.len(), 1);
    });
    let opened = Outbox::open(&buffer(dir.path()), &identity()).unwrap();
    assert_eq!(opened.boot, Boot(2));
}

#[test]
fn damaged_snapshots_cost_nothing() {
    let dir = tempfile::tempdir().unwrap();
    session(dir.path(), vec![message(Lane::Event, 1, 1)]);
    session(dir.path(), vec![message(Lane::Event, 1, 2)]);
    let mut damaged = 0;
    for file in fs::read_dir(dir.path().join("core")).unwrap() {
        let path = file.unwrap().path();
        if path.file_name().unwrap().to_str().unwrap().starts_with("snap.") {
            fs::write(path, "not a snapshot").unwrap();
            damaged += 1;
        }
    }
    assert!(damaged > 0);
    let opened = Outbox::open(&buffer(dir.path()), &identity()).unwrap();
    assert_eq!((opened.boot, opened.quarantined), (Boot(3), None));
    let stats = runtime().block_on(opened.outbox.stats()).unwrap();
    assert_eq!(stats.lanes[1].ledger.stored, 2);
    assert_eq!(stats.lanes[1].oldest_at, Some(Utc::from_ms(1)));
}

#[test]
fn a_store_beyond_use_is_moved_aside_and_no_number_is_used_twice() {
    let dir = tempfile::tempdir().unwrap();
    session(dir.path(), vec![message(Lane::Ticket, 1, 1), message(Lane::Event, 1, 2)]);
    let mut last_boot = Boot(1);
    let mut last_seq = 1;
    for n in 1..=2 {
        fs::write(dir.path().join("core/conf"), [0xa5; 64]).unwrap();
        let opened = Outbox::open(&buffer(dir.path()), &identity()).unwrap();
        let quarantined = opened.quarantined.unwrap();
        assert_eq!(quarantined.moved_to, dir.path().join(format!("core.bad-{n}")));
        assert!(quarantined.moved_to.join("db").exists());
        assert!(opened.boot > last_boot, "{:?}", opened.boot);
        last_boot = opened.boot;
        let outbox = opened.outbox;
        let (entries, stats) = runtime().block_on(async {
            outbox.commit(turn(vec![message(Lane::Ticket, 1, 3)])).await.unwrap();
            outbox.link_up(1).await.unwrap();
            let entries = outbox.take(10).await.unwrap();
            let stats = outbox.stats().await.unwrap();
            outbox.close().await.unwrap();
            (entries, stats)
        });
        assert_eq!(entries.len(), 1);
        let seq = entries[0].key.position.seq;
        assert!(seq > last_seq, "{seq} after {last_seq}");
        let gap = &stats.lanes[0].ledger.gaps[0];
        assert_eq!((gap.reason, gap.to), (DropReason::Damaged, seq - 1));
        last_seq = seq;
    }
}

#[test]
fn a_place_that_cannot_be_written_is_named_and_nothing_is_moved() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("file");
    fs::write(&file, "x").unwrap();
    let error = Outbox::open(&buffer(&file.join("below")), &identity()).unwrap_err();
    assert!(error.to_string().contains("file/below"), "{error}");
    let held = Outbox::open(&buffer(dir.path()), &identity()).unwrap();
    let error = Outbox::open(&buffer(dir.path()), &identity()).unwrap_err();
    assert!(error.to_string().contains("in use by another process"), "{error}");
    drop(held);
    assert!(!dir.path().join("core.bad-1").exists());
}
