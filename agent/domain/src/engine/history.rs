//! What was told lately and no broker keeps: the tracks of vehicles, and the way of the waste.
//!
//! Whoever comes later can ask for it (`cmd/history`). Nothing is told here that was not told before, in the
//! same words. Waste is stored as it happens; the pieces of a track are stored when the trip they belong to
//! ends, so that a vehicle under way writes nothing: what it drove since its last rest is lost with the
//! power, here, not on its way to the broker.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::Engine;
use crate::commands::HistoryQuery;
use crate::ids::{AssetKey, Class};
use crate::output::{Body, Message, Outputs, Record, Topic};
use crate::time::{Moment, Span, Utc};

/// Entries that are kept. Full: the oldest goes. At 300 bytes each, some 3 MB.
const ENTRIES_MAX: usize = 10_000;
/// And so long, whatever there is room for.
const KEPT: Span = Span::from_mins(7 * 24 * 60);
/// The most bytes of entries in one answer; brokers take packets of 256 KiB and less.
const ANSWER_MAX: usize = 96 * 1024;
/// What a piece of a track is called in an answer; everything else has the name of its event.
const TRACK: &str = "track";
/// A vehicle has come to rest: its pieces are stored.
const TRIP_OVER: &str = "vehicle.trip";

/// What was told, oldest first.
#[derive(Debug, Default)]
pub(super) struct History {
    entries: VecDeque<Entry>,
    /// The number of the next entry.
    next: u64,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Entry {
    /// Counts from 0 for as long as the store lives.
    n: u64,
    asset: AssetKey,
    at: Utc,
    kind: String,
    data: Map<String, Value>,
    /// Whether it is in the store.
    #[serde(skip)]
    stored: bool,
}

impl History {
    /// Takes back a record. They come in the order of their keys.
    pub(super) fn restore(&mut self, value: &[u8]) -> bool {
        let Ok(entry) = serde_json::from_slice::<Entry>(value) else { return false };
        self.next = self.next.max(entry.n + 1);
        self.entries.push_back(Entry { stored: true, ..entry });
        true
    }

    /// Remembers what of `messages` no broker keeps; gives the records that make it last.
    pub(super) fn note(&mut self, messages: &[Message], now: Moment) -> Vec<Record> {
        let mut records = vec![];
        for message in messages {
            match (&message.topic, &message.body) {
                (Topic::AssetTelemetry(key), Body::Flat(body)) if key.class == Class::Vehicle => {
                    if let Some(Value::Object(track)) = body.get(TRACK) {
                        self.add(key, message.at, TRACK, track.clone());
                    }
                }
                (Topic::AssetEvent(key), Body::Event { kind, data }) if is_custody(kind) => {
                    self.add(key, message.at, kind, data.clone());
                    records.extend(self.entries.back_mut().map(Entry::store));
                }
                (Topic::AssetEvent(key), Body::Event { kind, .. }) if *kind == TRIP_OVER => {
                    let of_trip = self.entries.iter_mut().filter(|entry| entry.asset == *key);
                    records.extend(of_trip.filter(|entry| !entry.stored).map(Entry::store));
                }
                _ => {}
            }
        }
        self.forget(now.utc, &mut records);
        records
    }

    fn add(&mut self, key: &AssetKey, at: Utc, kind: &str, data: Map<String, Value>) {
        let (n, asset, kind) = (self.next, key.clone(), kind.to_owned());
        self.entries.push_back(Entry { n, asset, at, kind, data, stored: false });
        self.next += 1;
    }

    fn forget(&mut self, now: Utc, records: &mut Vec<Record>) {
        while let Some(oldest) = self.entries.front()
            && (self.entries.len() > ENTRIES_MAX || now.since(oldest.at) > KEPT)
        {
            let gone = self.entries.pop_front().filter(|gone| gone.stored);
            records.extend(gone.map(|gone| Record { key: gone.key(), value: None }));
        }
    }

    fn answer(&self, query: &HistoryQuery) -> Map<String, Value> {
        let wanted = |entry: &&Entry| {
            entry.n >= query.from
                && query.asset.as_ref().is_none_or(|asset| *asset == entry.asset)
                && query.since.is_none_or(|since| entry.at >= since)
        };
        let (mut told, mut bytes, mut next) = (vec![], 0, None);
        for entry in self.entries.iter().filter(wanted) {
            let one = json!({
                "asset": entry.asset.to_string(), "at": entry.at, "type": entry.kind, "data": entry.data,
            });
            bytes += one.to_string().len();
            if bytes > ANSWER_MAX && !told.is_empty() {
                next = Some(entry.n);
                break;
            }
            told.push(one);
        }
        let mut map = Map::from_iter([("entries".to_owned(), Value::Array(told))]);
        map.extend(next.map(|next| ("next".to_owned(), json!(next))));
        map
    }
}

impl Entry {
    fn key(&self) -> String {
        format!("history/{:016}", self.n)
    }

    fn store(&mut self) -> Record {
        self.stored = true;
        let value = serde_json::to_vec(self).expect("an entry is plain data");
        Record { key: self.key(), value: Some(value) }
    }
}

/// Who had the waste, and when.
fn is_custody(kind: &str) -> bool {
    matches!(kind, "waste.collection" | "waste.deposit" | "waste.lift" | "waste.trip")
}

impl Engine {
    /// Remembers what this step has told.
    pub(super) fn remember(&mut self, now: Moment, out: &mut Outputs) {
        out.records.extend(self.history.note(&out.messages, now));
    }

    /// What was told lately; whoever asks for an asset that is not there is told so.
    pub(super) fn history_of(
        &self,
        query: &HistoryQuery,
    ) -> Result<Map<String, Value>, (&'static str, String)> {
        match &query.asset {
            Some(asset) if !self.site.assets.contains_key(asset) => {
                Err(("unknown", format!("there is no {asset}")))
            }
            _ => Ok(self.history.answer(query)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::{Lane, Quality};
    use crate::time::{Boot, ClockQuality, Monotonic};

    fn now(minutes: u64) -> Moment {
        Moment {
            boot: Boot(1),
            monotonic: Monotonic::from_ms(minutes * 60_000),
            utc: Utc::parse("2026-06-04T00:00:00Z").unwrap() + Span::from_mins(minutes),
            clock: ClockQuality::Ntp,
        }
    }

    fn message(topic: Topic, minutes: u64, body: Body) -> Message {
        let Moment { utc: at, clock, .. } = now(minutes);
        Message { lane: Lane::Event, topic, at, clock, quality: Quality::Good, body }
    }

    fn track(vehicle: &str, minutes: u64) -> Message {
        let body = json!({"track": {"code": format!("piece {minutes}")}});
        let Value::Object(body) = body else { unreachable!() };
        message(Topic::AssetTelemetry(vehicle.parse().unwrap()), minutes, Body::Flat(body))
    }

    fn event(asset: &str, minutes: u64, kind: &'static str) -> Message {
        let body = Body::Event { kind, data: Map::new() };
        message(Topic::AssetEvent(asset.parse().unwrap()), minutes, body)
    }

    fn told(history: &History, query: &HistoryQuery) -> Vec<String> {
        let answer = history.answer(query);
        let entries = answer["entries"].as_array().unwrap().iter();
        entries
            .map(|e| format!("{} {}", e["asset"].as_str().unwrap(), e["type"].as_str().unwrap()))
            .collect()
    }

    #[test]
    fn waste_is_stored_at_once_and_a_track_when_its_trip_is_over() {
        let mut history = History::default();
        let under_way =
            [track("vehicle/s-1", 5), track("vehicle/s-2", 6), event("bin/a", 6, "waste.day")];
        assert_eq!(history.note(&under_way, now(6)), []);
        let collected = history.note(&[event("bin/a", 7, "waste.collection")], now(7));
        assert_eq!(collected.len(), 1);
        let over = history
            .note(&[track("vehicle/s-1", 9), event("vehicle/s-1", 9, "vehicle.trip")], now(9));
        assert_eq!(
            over.iter().map(|r| r.key.as_str()).collect::<Vec<_>>(),
            ["history/0000000000000000", "history/0000000000000003",]
        );
        // After a restart everything is there but the trip that was going on.
        let mut again = History::default();
        let mut kept: Vec<Record> = collected.into_iter().chain(over).collect();
        kept.sort_by(|a, b| a.key.cmp(&b.key));
        assert!(kept.iter().all(|record| again.restore(record.value.as_ref().unwrap())));
        let all = ["vehicle/s-1 track", "bin/a waste.collection", "vehicle/s-1 track"];
        assert_eq!(told(&again, &HistoryQuery::default()), all);
        again.note(&[event("bin/a", 20, "waste.lift")], now(20));
        assert_eq!(again.entries.back().map(|entry| entry.n), Some(4));
        assert!(!again.restore(b"{}"));
    }

    #[test]
    fn it_answers_by_asset_time_and_page() {
        let mut history = History::default();
        for minute in 0..2000 {
            let _ = history.note(
                &[track(["vehicle/s-1", "vehicle/s-2"][minute as usize % 2], minute)],
                now(minute),
            );
        }
        let asset: Option<AssetKey> = Some("vehicle/s-2".parse().unwrap());
        let since = Some(now(1990).utc);
        let query = HistoryQuery { asset: asset.clone(), since, from: 0 };
        assert_eq!(told(&history, &query).len(), 5);
        let (mut from, mut seen, mut pages) = (0, 0, 0);
        loop {
            let answer = history.answer(&HistoryQuery { asset: None, since: None, from });
            assert!(Value::Object(answer.clone()).to_string().len() < 128 * 1024);
            seen += answer["entries"].as_array().unwrap().len();
            pages += 1;
            let Some(next) = answer.get("next").and_then(Value::as_u64) else { break };
            from = next;
        }
        assert_eq!(seen, 2000);
        assert!(pages > 1, "{pages} pages");
    }

    #[test]
    fn the_oldest_goes_by_age_and_when_there_are_too_many() {
        let mut history = History::default();
        let _ = history.note(&[event("bin/a", 0, "waste.collection")], now(0));
        let gone = history.note(&[], now(7 * 24 * 60 + 1));
        assert_eq!(gone, [Record { key: "history/0000000000000000".into(), value: None }]);
        for minute in 0..=ENTRIES_MAX as u64 {
            let _ =
                history.note(&[event("bin/a", 20_000, "waste.lift")], now(20_000 + minute / 100));
        }
        assert_eq!(history.entries.len(), ENTRIES_MAX);
        assert_eq!(history.entries.front().map(|entry| entry.n), Some(2));
    }
}
