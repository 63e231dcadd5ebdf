//! Readings on their way into a block: what many small telemetry messages become, so that one number, one
//! value in the store, one publish and one PUBACK stand for hundreds of readings.
//!
//! A block belongs to one topic. It is open while readings may join it, and gets its number and its bytes
//! when it is closed; from then on it is a message like any other. An open block is in memory only.
//! A reading is named by the number of its block and its place in `points`.

use std::collections::BTreeMap;

use domain::output::{Body, Lane, Message, Topic};
use serde_json::{Map, Value};

use super::columns::Columns;
use crate::mqtt::payload::{self, Stamp};

/// Readings in a block at most.
pub(super) const READINGS_MAX: u32 = 400;
/// Bytes of readings after which a block is closed. With its header and one reading more it stays below
/// the 32 KB that a payload may have.
const BYTES_MAX: usize = 30 * 1024;
/// Bytes of readings in all open blocks together after which all of them are closed.
pub(super) const OPEN_BYTES_MAX: usize = 512 * 1024;

/// The one key of a message that may join a block.
const POINTS: &str = "points";

/// A block that is still open.
#[derive(Debug, Clone)]
pub(super) struct Open {
    /// Of its first reading, without a body: every reading agrees with it in quality and clock.
    head: Message,
    rows: Rows,
    /// How many.
    readings: u32,
}

/// The readings of a block.
#[derive(Debug, Clone)]
enum Rows {
    /// One by one, as JSON with commas between.
    Points(Vec<u8>),
    Columns(Columns),
}

/// Every open block, by topic.
pub(super) type Blocks = BTreeMap<Topic, Open>;

/// The readings of `message`, if they may join a block.
pub(super) fn readings(message: &Message) -> Option<&[Value]> {
    let Body::Flat(body) = &message.body else { return None };
    let alone = message.lane == Lane::Telemetry && body.len() == 1;
    alone.then(|| body.get(POINTS)?.as_array().map(Vec::as_slice)).flatten()
}

impl Open {
    /// An empty block that begins with `message`. Its readings stand in `columns` or one by one.
    pub(super) fn new(message: &Message, columns: bool) -> Open {
        let Message { lane, at, clock, quality, ref topic, .. } = *message;
        let (topic, body) = (topic.clone(), Body::Flat(Map::new()));
        let head = Message { lane, topic, at, clock, quality, body };
        let rows = match columns {
            true => Rows::Columns(Columns::default()),
            false => Rows::Points(Vec::new()),
        };
        Open { head, rows, readings: 0 }
    }

    /// Whether the readings of `message` may stand under the same header.
    pub(super) fn agrees(&self, message: &Message) -> bool {
        self.head.quality == message.quality && self.head.clock == message.clock
    }

    /// Adds a reading.
    pub(super) fn push(&mut self, reading: &Value) {
        match &mut self.rows {
            Rows::Points(text) => {
                if self.readings > 0 {
                    text.push(b',');
                }
                serde_json::to_writer(text, reading).expect("JSON into memory cannot fail");
            }
            Rows::Columns(columns) => columns.push(reading, self.head.at),
        }
        self.readings += 1;
    }

    /// Whether nothing more may join.
    pub(super) fn is_full(&self) -> bool {
        self.readings >= READINGS_MAX || self.bytes() >= BYTES_MAX
    }

    /// How many readings it has.
    pub(super) fn readings(&self) -> u32 {
        self.readings
    }

    /// Bytes of its readings.
    pub(super) fn bytes(&self) -> usize {
        match &self.rows {
            Rows::Points(text) => text.len(),
            Rows::Columns(columns) => columns.bytes(),
        }
    }

    /// What its header says beside the number.
    pub(super) fn head(&self) -> &Message {
        &self.head
    }

    /// The payload: the header of a flat message, and the readings under `points` or `columns`.
    pub(super) fn payload(&self, stamp: &Stamp) -> Vec<u8> {
        let mut payload = payload::render(&self.head, stamp);
        let brace = payload.pop();
        debug_assert_eq!(brace, Some(b'}'), "a flat payload is an object");
        payload.reserve_exact(self.bytes() + POINTS.len() + 8);
        match &self.rows {
            Rows::Points(text) => {
                payload.extend_from_slice(b",\"points\":[");
                payload.extend_from_slice(text);
                payload.push(b']');
            }
            Rows::Columns(columns) => {
                payload.extend_from_slice(b",\"columns\":");
                columns.write(&mut payload);
            }
        }
        payload.push(b'}');
        payload
    }
}

#[cfg(test)]
mod tests {
    use domain::ids::{AssetId, AssetKey, BoxId, Class, SiteId, TenantId};
    use domain::output::Quality;
    use domain::site::Identity;
    use domain::time::{Boot, ClockQuality, Utc};
    use serde_json::json;

    use super::*;
    use crate::mqtt::topics::Prefix;

    fn message(body: Value) -> Message {
        let Value::Object(body) = body else { panic!("{body} is not an object") };
        let bin = AssetKey::new(Class::Bin, AssetId::new("bin-1").unwrap());
        Message {
            lane: Lane::Telemetry,
            topic: Topic::AssetTelemetry(bin),
            at: Utc::from_ms(1_000),
            clock: ClockQuality::Ntp,
            quality: Quality::Good,
            body: Body::Flat(body),
        }
    }

    #[test]
    fn only_a_message_that_is_nothing_but_readings_may_join() {
        assert_eq!(readings(&message(json!({"points": [1, 2]}))), Some(&[json!(1), json!(2)][..]));
        assert_eq!(readings(&message(json!({"points": 1}))), None);
        assert_eq!(readings(&message(json!({"points": [1], "track": 7}))), None);
        let state = Message { lane: Lane::State, ..message(json!({"points": [1]})) };
        assert_eq!(readings(&state), None);
        let open = Open::new(&message(json!({})), false);
        assert!(open.agrees(&message(json!({}))));
        let doubtful = Message { quality: Quality::Uncertain, ..message(json!({})) };
        assert!(!open.agrees(&doubtful));
    }

    #[test]
    fn a_block_is_the_same_json_as_one_message_with_all_its_readings() {
        let prefix = Prefix::new(&Identity {
            tenant: TenantId::new("t").unwrap(),
            site: SiteId::new("s").unwrap(),
            id: BoxId::new("b").unwrap(),
        });
        let stamp = Stamp { prefix: &prefix, id: "b-telemetry-9", boot: Boot(2), seq: 9 };
        let points = [json!({"at": "x", "level_pct": 4}), json!({"level_pct": null})];
        let whole = message(json!({"points": points}));
        let mut open = Open::new(&whole, false);
        points.iter().for_each(|point| open.push(point));
        assert_eq!(open.payload(&stamp), payload::render(&whole, &stamp));
    }

    #[test]
    fn in_columns_a_reading_is_a_third() {
        let reading = |n: i64| {
            json!({"at": Utc::from_ms(1_000 + n * 1_000), "distance_mm": 800 + n % 50,
                "level_pct": 57.5, "temperature_c": 21.5})
        };
        let sizes = [false, true].map(|columns| {
            let mut open = Open::new(&message(json!({})), columns);
            (0..300).for_each(|n| open.push(&reading(n)));
            open.bytes() / 300
        });
        assert!(sizes[0] > 80 && sizes[1] < 25, "{sizes:?}");
    }

    #[test]
    fn it_is_full_by_readings_and_by_bytes_and_stays_below_32_kb() {
        let mut small = Open::new(&message(json!({})), false);
        (0..READINGS_MAX).for_each(|n| {
            assert!(!small.is_full());
            small.push(&json!(n));
        });
        assert!(small.is_full());
        let mut large = Open::new(&message(json!({})), false);
        while !large.is_full() {
            large.push(&json!({"track": "x".repeat(500)}));
        }
        assert!(large.bytes() < 31 * 1024 && large.readings() < 100);
    }
}
