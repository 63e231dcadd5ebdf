//! What is on its way to the store of an uplink, kept as a record in the first store until it is there.
//!
//! The record is written in the same batch as everything else that was decided, so that a kill between the
//! two stores neither loses a message nor tells it twice: the uplink's own store remembers up to which
//! number it has taken, and what is beyond is handed to it again at the next start.

use domain::ids::UplinkName;
use domain::output::{Body, Lane, Message, Quality, Record, Topic};
use domain::time::{ClockQuality, Utc};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// The keys of journal records begin so. No record of the engine does.
const KIND: &str = "uplink";
/// The record of an uplink's own store that says up to which number it has taken.
const TAKEN: &str = "taken";
/// The record, in the first store and in an uplink's own, that says how many messages were passed over for
/// it, by lane, since there are such records.
const PASSED: &str = "passed";

#[derive(Serialize, Deserialize)]
struct Line {
    lane: Lane,
    topic: Topic,
    at: Utc,
    clock: ClockQuality,
    quality: Quality,
    body: Told,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Told {
    Flat(Map<String, Value>),
    Event { kind: String, data: Map<String, Value> },
    Form(Value),
    Empty,
}

/// The record of turn `number` of the uplink `name`.
pub(super) fn record(name: &UplinkName, number: u64, messages: &[Message]) -> Record {
    let lines: Vec<Line> = messages.iter().map(line).collect();
    let value = serde_json::to_vec(&lines).expect("messages are plain data");
    Record { key: key(name, number), value: Some(value) }
}

/// Takes the record of turn `number` away.
pub(super) fn removal(name: &UplinkName, number: u64) -> Record {
    Record { key: key(name, number), value: None }
}

fn key(name: &UplinkName, number: u64) -> String {
    // Twenty digits, so that keys sort as numbers do.
    format!("{KIND}/{name}/{number:020}")
}

/// The uplink and the number of a journal record; `None` for a record of the engine.
pub(super) fn parse_key(key: &str) -> Option<(UplinkName, u64)> {
    let (name, number) = key.strip_prefix(KIND)?.strip_prefix('/')?.split_once('/')?;
    Some((UplinkName::new(name).ok()?, number.parse().ok()?))
}

/// The messages of a journal record; `None` when it cannot be read.
pub(super) fn messages(value: &[u8]) -> Option<Vec<Message>> {
    let lines: Vec<Line> = serde_json::from_slice(value).ok()?;
    Some(lines.into_iter().map(message).collect())
}

/// The record by which an uplink's store knows that it has taken turn `number`.
pub(super) fn taken(number: u64) -> Record {
    Record { key: TAKEN.to_owned(), value: Some(number.to_string().into_bytes()) }
}

/// Up to which number the store has taken that holds `records`; 0 for a new one.
pub(super) fn taken_up_to(records: &[Record]) -> u64 {
    let found = records.iter().find(|record| record.key == TAKEN);
    let text = found.and_then(|record| std::str::from_utf8(record.value.as_deref()?).ok());
    text.and_then(|text| text.parse().ok()).unwrap_or(0)
}

/// The record in the first store of how many messages were passed over for the uplink `name`.
pub(super) fn passed(name: &UplinkName, counts: [u64; 4]) -> Record {
    Record { key: format!("{KIND}/{name}/{PASSED}"), value: Some(text(counts)) }
}

/// The uplink that a record of [`passed`] is about, and the counts; `None` for any other record.
pub(super) fn parse_passed(record: &Record) -> Option<(UplinkName, [u64; 4])> {
    let (name, kind) = record.key.strip_prefix(KIND)?.strip_prefix('/')?.split_once('/')?;
    let counts = (kind == PASSED).then(|| counts(record.value.as_deref()))?;
    Some((UplinkName::new(name).ok()?, counts))
}

/// The record by which an uplink's store knows how many of those it has given numbers.
pub(super) fn passed_told(counts: [u64; 4]) -> Record {
    Record { key: PASSED.to_owned(), value: Some(text(counts)) }
}

/// How many of them the store has given numbers that holds `records`.
pub(super) fn passed_told_in(records: &[Record]) -> [u64; 4] {
    let found = records.iter().find(|record| record.key == PASSED);
    found.map_or([0; 4], |record| counts(record.value.as_deref()))
}

fn text(counts: [u64; 4]) -> Vec<u8> {
    serde_json::to_vec(&counts).expect("four numbers into memory cannot fail")
}

fn counts(value: Option<&[u8]>) -> [u64; 4] {
    value.and_then(|text| serde_json::from_slice(text).ok()).unwrap_or_default()
}

fn line(message: &Message) -> Line {
    let Message { lane, at, clock, quality, ref topic, ref body } = *message;
    let body = match body.clone() {
        Body::Flat(body) => Told::Flat(body),
        Body::Event { kind, data } => Told::Event { kind: kind.to_owned(), data },
        Body::Form(form) => Told::Form(form),
        Body::Empty => Told::Empty,
    };
    Line { lane, topic: topic.clone(), at, clock, quality, body }
}

fn message(line: Line) -> Message {
    let Line { lane, topic, at, clock, quality, body } = line;
    let body = match body {
        Told::Flat(body) => Body::Flat(body),
        // Kinds live as long as the program. Only what a kill left over is read here, once at the start,
        // and of that there are few.
        Told::Event { kind, data } => Body::Event { kind: Box::leak(kind.into_boxed_str()), data },
        Told::Form(form) => Body::Form(form),
        Told::Empty => Body::Empty,
    };
    Message { lane, topic, at, clock, quality, body }
}

#[cfg(test)]
mod tests {
    use domain::ids::{AssetId, AssetKey, Class, TicketId};
    use serde_json::json;

    use super::*;

    fn of(lane: Lane, topic: Topic, body: Body) -> Message {
        let (clock, quality) = (ClockQuality::Gnss, Quality::Uncertain);
        Message { lane, topic, at: Utc::from_ms(1_780_545_600_120), clock, quality, body }
    }

    #[test]
    fn every_kind_of_message_comes_back_as_it_was() {
        let Value::Object(map) = json!({"a": [1, null, "x"]}) else { panic!("an object") };
        let bay = AssetKey::new(Class::Bay, AssetId::new("b-1").unwrap());
        let ticket = TicketId::new("t-1").unwrap();
        let form = Topic::Form { path: "cds/events/b-1".into(), retained: false };
        let answer = Topic::Answer { topic: "x/y".into(), correlation: vec![0, 255] };
        let all = vec![
            of(Lane::State, Topic::AssetState(bay.clone()), Body::Flat(map.clone())),
            of(Lane::Event, Topic::AssetEvent(bay), Body::Event { kind: "a.b", data: map.clone() }),
            of(Lane::Event, form, Body::Form(json!({"event_id": 1}))),
            of(Lane::Ticket, Topic::TicketState(ticket), Body::Empty),
            of(Lane::Ticket, answer, Body::Flat(map)),
        ];
        let name = UplinkName::new("city").unwrap();
        let record = record(&name, 7, &all);
        assert_eq!(parse_key(&record.key), Some((name.clone(), 7)));
        assert_eq!(messages(&record.value.unwrap()), Some(all));
        assert_eq!(removal(&name, 7).key, record.key);
        assert_eq!(messages(b"[{}]"), None);
    }

    #[test]
    fn keys_sort_as_numbers_and_the_engines_are_not_ours() {
        let name = UplinkName::new("a").unwrap();
        let keys = [9, 10, 100].map(|n| key(&name, n));
        assert!(keys.is_sorted(), "{keys:?}");
        for other in
            ["ticket/t-1", "asset/bay/b-1", "uplink", "uplink/a", "uplink/A/1", "uplink/a/x"]
        {
            assert_eq!(parse_key(other), None, "{other}");
        }
        assert_eq!(parse_passed(&passed(&name, [1, 0, 2, 3])), Some((name.clone(), [1, 0, 2, 3])));
        assert_eq!((parse_key(&passed(&name, [0; 4]).key), parse_passed(&taken(3))), (None, None));
        assert_eq!(passed_told_in(&[taken(3), passed_told([4, 3, 2, 1])]), [4, 3, 2, 1]);
        assert_eq!(taken_up_to(&[taken(3)]), 3);
        assert_eq!(taken_up_to(&[]), 0);
    }
}
