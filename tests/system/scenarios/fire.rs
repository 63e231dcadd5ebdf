//! A bin burns at night, the link is down and a tenth of the buffer is left.

use std::path::Path;

use domain::output::{Lane, Message};
use domain::sample::Quantity;
use domain::time::Span;
use steward::config::Buffer;
use steward::outbox::{Outbox, Outcome, Turn};
use system_tests::outbox::{buffer, identity, message};

use super::street::{Street, bin, config};

/// Bytes of the buffer.
const ROOM: u64 = 2 << 20;

async fn commit(outbox: &Outbox, messages: Vec<Message>) {
    let turn = Turn { messages, durable: true, ..Turn::default() };
    outbox.commit(turn).await.unwrap();
}

async fn stored(outbox: &Outbox) -> u64 {
    let stats = outbox.stats().await.unwrap();
    stats.lanes.iter().map(|lane| lane.ledger.bytes).sum()
}

#[tokio::test]
async fn scenario_05_a_fire_at_night_with_a_tenth_of_the_buffer_left_is_delivered_first() {
    let buffer = Buffer { max_size: ROOM, ..buffer(Path::new("unused")) };
    let outbox = Outbox::in_memory(&buffer, &identity().unwrap()).unwrap().outbox;
    // Hours without a link: events, states and readings until a tenth is left.
    let mut n = 0;
    while stored(&outbox).await < ROOM / 10 * 9 {
        let each = [Lane::Event, Lane::Telemetry, Lane::State].map(|lane| {
            let asset = u32::try_from(n % 500).unwrap();
            message(lane, asset, n).unwrap()
        });
        commit(&outbox, each.into()).await;
        n += 1;
        assert!(n < 100_000, "the buffer fills up");
    }
    // Half past one, with quiet hours for every other rule of the bins.
    let quiet = "[[rule]]\nid = \"bin-full\"\nclass = \"bin\"\ncategory = \"bin_overflow\"\n\
                 quiet = { hours = [\"22:00-07:00\"] }\n\
                 when = { above = \"level_pct\", raise_at = 85, clear_at = 60 }\n";
    let text = config(&[bin("bin-1")]) + quiet;
    let mut street = Street::at(&text, "2026-06-02T01:30:00+08:00");
    street.say("bin-1", super::full(95));
    assert_eq!(street.events, ["suppressed"], "it can wait");
    street.pass(Span::from_mins(1));
    street.messages.clear();
    street.say("bin-1", Quantity::Fire(true));
    assert_eq!(street.events, ["suppressed", "raised"], "a fire cannot");
    let fire = street.ticket("bin_fire");
    assert_eq!((&fire["severity"], &fire["state"]), (&"critical".into(), &"raised".into()));
    commit(&outbox, std::mem::take(&mut street.messages)).await;
    // The street goes on until long after the buffer is full.
    for more in n..2 * n {
        commit(&outbox, vec![message(Lane::Event, 1, more).unwrap()]).await;
    }
    let lost = |lane: Lane, stats: &steward::outbox::Stats| {
        let of_lane = stats.lanes.iter().find(|l| l.lane == lane).unwrap();
        of_lane.ledger.dropped.values().sum::<u64>()
    };
    let stats = outbox.stats().await.unwrap();
    let dropped = lost(Lane::Telemetry, &stats) + lost(Lane::Event, &stats);
    assert!(dropped > 0, "it was full");
    assert_eq!(lost(Lane::Ticket, &stats), 0);
    outbox.link_up(1).await.unwrap();
    let first = outbox.take(2).await.unwrap();
    for entry in &first {
        assert!(entry.path.starts_with("ticket/"), "{}", entry.path);
        assert!(String::from_utf8_lossy(&entry.payload).contains("bin_fire"));
        outbox.settle(vec![(entry.key, Outcome::Acknowledged)]).await.unwrap();
    }
    assert_eq!(first.len(), 2, "the event and the state");
}
