use std::path::Path;

use domain::ids::{AssetId, AssetKey, BoxId, Class, SiteId, TenantId, TicketId};
use domain::output::{Body, Quality};
use domain::site::{Identity, Site};
use domain::time::{Boot, ClockQuality};
use serde_json::Map;

use super::*;
use crate::config::Buffer;

fn config(dir: &Path, uplinks: &str) -> crate::config::Config {
    let text = format!(
        "[box]\nid = \"b\"\ntenant = \"t\"\nsite = \"s\"\ntimezone = \"UTC\"\n\
         [mqtt]\nurl = \"mqtt://127.0.0.1\"\n[buffer]\ndir = {dir:?}\n{uplinks}"
    );
    crate::config::load_text("t.toml", &text).unwrap().config
}

const CITY: &str = "[[uplink]]\nname = \"city\"\nurl = \"mqtt://city\"\nlanes = [\"ticket\", \"telemetry\"]\n\
                    topics = [\"ticket/#\", \"bay/b-1/tel\"]\n";

fn identity() -> Identity {
    let (tenant, site) = (TenantId::new("t").unwrap(), SiteId::new("s").unwrap());
    Identity { tenant, site, id: BoxId::new("b").unwrap() }
}

fn message(lane: Lane, value: u64) -> Message {
    let data = Map::from_iter([("value".to_owned(), value.into())]);
    let bay = AssetKey::new(Class::Bay, AssetId::new("b-1").unwrap());
    let (topic, body) = match lane {
        Lane::Ticket => {
            let id = TicketId::new(&format!("t-{value}")).unwrap();
            (Topic::TicketEvent(id), Body::Event { kind: "ticket.raised", data })
        }
        Lane::Event => (Topic::AssetEvent(bay), Body::Event { kind: "test.event", data }),
        Lane::State => (Topic::AssetState(bay), Body::Flat(data)),
        Lane::Telemetry => (Topic::AssetTelemetry(bay), Body::Flat(data)),
    };
    let (clock, quality) = (ClockQuality::Ntp, Quality::Good);
    Message { lane, topic, at: Utc::from_ms(0), clock, quality, body }
}

fn open(buffer: &Buffer, boot: Boot) -> crate::outbox::Opened {
    Outbox::open_beside(buffer, &identity(), boot).unwrap()
}

/// Both stores of a box with one uplink, as at a start.
struct Box2 {
    first: Outbox,
    second: Outbox,
    uplinks: Uplinks,
    feeder: Feeder,
    site: Site,
}

impl Box2 {
    fn start(dir: &Path) -> Box2 {
        let config = config(dir, CITY);
        let first = open(&config.buffer, Boot(0));
        let second = open(&config.uplinks[0].buffer, first.boot);
        assert_eq!(second.boot, first.boot);
        let mut records = first.records;
        let (outbox, kept) = (second.outbox.clone(), second.records);
        let opened = [Opened { settings: &config.uplinks[0], outbox, records: kept }];
        let (uplinks, mut feeders) = connect(&opened, &mut records);
        assert!(records.is_empty(), "the engine gets none of the journal: {records:?}");
        let (feeder, _) = feeders.remove(0);
        Box2 { first: first.outbox, second: second.outbox, uplinks, feeder, site: config.site }
    }

    /// Decides and commits one turn, and hands over what is meant for the uplink.
    async fn turn(&mut self, messages: Vec<Message>, durable: bool) {
        let outputs = Outputs { messages, ..Outputs::default() };
        self.uplinks.note(&self.site, &outputs, |_| None);
        let mut turn = Turn { messages: outputs.messages, durable, ..Turn::default() };
        let ready = self.uplinks.prepare(&mut turn);
        self.first.commit(turn).await.unwrap();
        ready.hand_over();
    }

    /// Ends as a kill would: what was handed over and not stored is gone.
    async fn kill(self) {
        drop((self.uplinks, self.feeder));
        self.first.close().await.unwrap();
        self.second.close().await.unwrap();
    }

    /// Ends well; answers the values that the uplink's store has.
    async fn values(self) -> Vec<(Lane, u64, u64)> {
        let Box2 { first, second, uplinks, feeder, .. } = self;
        drop(uplinks);
        feeder.run().await.unwrap();
        second.link_up(1).await.unwrap();
        let mut found = vec![];
        loop {
            let entries = second.take(100).await.unwrap();
            if entries.is_empty() {
                break;
            }
            for entry in entries {
                let json: serde_json::Value = serde_json::from_slice(&entry.payload).unwrap();
                let value = json.get("value").or(json["data"].get("value")).unwrap();
                let (lane, seq) = (entry.key.lane, entry.key.position.seq);
                found.push((lane, seq, value.as_u64().unwrap()));
            }
        }
        second.release_all().await.unwrap();
        first.close().await.unwrap();
        second.close().await.unwrap();
        found
    }
}

#[tokio::test]
async fn an_uplink_gets_what_its_filter_says_numbered_for_itself() {
    let dir = tempfile::tempdir().unwrap();
    let mut both = Box2::start(dir.path());
    let all = |value| Lane::ALL.map(|lane| message(lane, value)).to_vec();
    both.turn(all(1), true).await;
    both.turn(all(2), true).await;
    let expected = [
        (Lane::Ticket, 1, 1),
        (Lane::Ticket, 2, 2),
        (Lane::Telemetry, 1, 1),
        (Lane::Telemetry, 2, 2),
    ];
    assert_eq!(both.values().await, expected);
}

/// Whenever a kill comes between the two stores, the uplink has every message once.
#[tokio::test]
async fn a_kill_between_the_stores_loses_nothing_and_tells_nothing_twice() {
    for stored in 0..=4_usize {
        let dir = tempfile::tempdir().unwrap();
        let mut both = Box2::start(dir.path());
        for value in 1..=4 {
            both.turn(vec![message(Lane::Ticket, value)], false).await;
        }
        for _ in 0..stored {
            let handed = both.feeder.turns.recv().await.unwrap();
            both.feeder.store(handed).await.unwrap();
        }
        both.kill().await;
        let mut both = Box2::start(dir.path());
        both.turn(vec![message(Lane::Ticket, 5)], false).await;
        let expected: Vec<_> = (1..=5).map(|n| (Lane::Ticket, n, n)).collect();
        assert_eq!(both.values().await, expected, "killed after {stored}");
        // The journal is empty again once that was noticed.
        let mut both = Box2::start(dir.path());
        let turn = &mut Turn::default();
        drop(both.uplinks.prepare(turn));
        assert!(turn.records.iter().all(|record| record.value.is_none()), "{turn:?}");
        assert_eq!(both.values().await.len(), 5);
    }
}

#[tokio::test]
async fn an_uplink_whose_store_is_stuck_keeps_nobody_waiting() {
    let dir = tempfile::tempdir().unwrap();
    let mut both = Box2::start(dir.path());
    // Nobody runs the feeder.
    for value in 1..=TURNS_MAX as u64 + 3 {
        both.turn(vec![message(Lane::Ticket, value)], false).await;
    }
    assert_eq!(both.feeder.status.borrow().passed_over, 3);
    let stats = both.first.stats().await.unwrap();
    assert_eq!(stats.lanes[0].ledger.accepted, TURNS_MAX as u64 + 3);
    assert_eq!(both.values().await.len(), TURNS_MAX);
}

/// What was passed over takes numbers, once, also when a kill comes before that is stored; and the store
/// says why they are missing.
#[tokio::test]
async fn what_is_passed_over_is_a_gap_that_is_explained() {
    for killed in [false, true] {
        let dir = tempfile::tempdir().unwrap();
        let mut both = Box2::start(dir.path());
        let most = TURNS_MAX as u64;
        for value in 1..=most + 3 {
            both.turn(vec![message(Lane::Ticket, value)], false).await;
        }
        if killed {
            both.kill().await;
            both = Box2::start(dir.path());
            for handed in std::mem::take(&mut both.feeder.left) {
                both.feeder.store(handed).await.unwrap();
            }
        }
        for _ in 0..if killed { 0 } else { TURNS_MAX } {
            let handed = both.feeder.turns.recv().await.unwrap();
            both.feeder.store(handed).await.unwrap();
        }
        for value in [100, 101] {
            both.turn(vec![message(Lane::Ticket, value)], false).await;
            let handed = both.feeder.turns.recv().await.unwrap();
            both.feeder.store(handed).await.unwrap();
        }
        let ledger = both.second.stats().await.unwrap().lanes.remove(0).ledger;
        assert_eq!(ledger.accepted, ledger.stored + 3);
        let [gap] = &ledger.gaps[..] else { panic!("{:?}", ledger.gaps) };
        assert_eq!((gap.from, gap.to, gap.count), (most + 1, most + 3, 3));
        assert_eq!(gap.reason.as_str(), "passed_over");
        let found = both.values().await;
        assert_eq!(
            found[TURNS_MAX - 1..],
            [
                (Lane::Ticket, most, most),
                (Lane::Ticket, most + 4, 100),
                (Lane::Ticket, most + 5, 101),
            ]
        );
        let mut both = Box2::start(dir.path());
        both.turn(vec![message(Lane::Ticket, 102)], false).await;
        assert_eq!(both.values().await.last(), Some(&(Lane::Ticket, most + 6, 102)), "told once");
    }
}

#[tokio::test]
async fn what_an_uplink_that_is_gone_had_on_its_way_is_cleared() {
    let dir = tempfile::tempdir().unwrap();
    let mut both = Box2::start(dir.path());
    both.turn(vec![message(Lane::Ticket, 1)], false).await;
    both.kill().await;
    let config = config(dir.path(), "");
    let first = open(&config.buffer, Boot(0));
    let mut records = first.records;
    assert_eq!(records.len(), 1);
    let (mut uplinks, _) = connect(&[], &mut records);
    let mut turn = Turn::default();
    uplinks.prepare(&mut turn).hand_over();
    assert!(records.is_empty() && turn.records.len() == 1 && turn.records[0].value.is_none());
    first.outbox.close().await.unwrap();
}

#[tokio::test]
async fn what_a_profile_has_no_form_for_is_counted() {
    let dir = tempfile::tempdir().unwrap();
    let config =
        config(dir.path(), "[[uplink]]\nname = \"c\"\nurl = \"mqtt://c\"\nprofile = \"cds\"\n");
    let opened = open(&config.uplinks[0].buffer, Boot(0));
    let settings = &config.uplinks[0];
    let of = [Opened { settings, outbox: opened.outbox, records: vec![] }];
    let (mut uplinks, feeders) = connect(&of, &mut vec![]);
    let messages = vec![message(Lane::State, 1), message(Lane::Ticket, 2)];
    uplinks.note(&config.site, &Outputs { messages, ..Outputs::default() }, |_| None);
    assert_eq!(feeders[0].1.borrow().no_form, 2);
    assert!(uplinks.ways[0].messages.is_empty());
}
