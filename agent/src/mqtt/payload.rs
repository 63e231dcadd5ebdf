//! Payloads: a message and its stamp to bytes.
//!
//! Pure. The bytes are made once, when the message is committed, and stored, so that whatever is sent
//! again is the same. The one thing added later is `"replay":true`, see [`mark_replay`].

use domain::output::{Body, Lane, Message, Topic};
use domain::time::Boot;
use serde::Serialize;
use serde_json::{Map, Value};

use super::topics::{self, Prefix};

/// The media type of what is flat.
pub const JSON: &str = "application/json";
/// The media type of parts of pictures.
pub const JPEG: &str = "image/jpeg";
/// The media type of what is compressed (RFC 8878, 7.2); what is inside is [`JSON`].
pub const ZSTD: &str = "application/zstd";
/// The first bytes of what is compressed.
pub const ZSTD_MAGIC: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];
/// The media type of an NGSI-LD entity (JSON-LD 1.1, 10).
const JSON_LD: &str = "application/ld+json";
/// The media type of an event (CloudEvents 1.0.2, MQTT binding 3.2).
const CLOUD_EVENT: &str = "application/cloudevents+json";

/// The media type of what is published at `path` below the prefix.
#[must_use]
pub fn content_type(path: &str) -> &'static str {
    match path {
        _ if path.starts_with("ngsi-ld/") => JSON_LD,
        _ if path.ends_with("/event") && topics::answer(path).is_none() => CLOUD_EVENT,
        _ => JSON,
    }
}

/// What the outbox adds to a message when it takes it.
#[derive(Debug, Clone, Copy)]
pub struct Stamp<'a> {
    /// The box.
    pub prefix: &'a Prefix,
    /// `<box>-<lane>-<seq>`: the same for every sending of the message.
    pub id: &'a str,
    /// The boot that committed it.
    pub boot: Boot,
    /// Its number in its lane, from 1, without gaps.
    pub seq: u64,
}

/// Keys that the header owns in a flat payload; the body's own values of these names are left out.
const HEADER: [&str; 9] = ["v", "id", "at", "clock", "boot", "lane", "seq", "quality", "replay"];

/// The payload of `message`: a header and the body's keys in one flat object; or, for events,
/// a CloudEvent 1.0 in structured JSON; or nothing, for what takes a retained message away.
///
/// A reply's `id` is that of the command it answers, which is what its requester looks for; its own
/// name is (box, lane, seq) as for every message.
#[must_use]
pub fn render(message: &Message, stamp: &Stamp) -> Vec<u8> {
    match &message.body {
        Body::Empty => Vec::new(),
        Body::Flat(body) => flat(message, body, stamp),
        Body::Event { kind, data } => cloud_event(message, kind, data, stamp),
        Body::Form(form) => form.to_string().into_bytes(),
    }
}

/// Marks what is sent later than it was meant to be: backlog of another connection or boot, or sent
/// before without an acknowledgement. Only the mark differs from what was or would have been sent,
/// never the id. It is the last key of the object, so that the stored bytes stay as they are.
#[must_use]
pub fn mark_replay(payload: &[u8]) -> Vec<u8> {
    match payload.strip_suffix(b"}") {
        Some(open) => [open, br#","replay":true}"#].concat(),
        None => payload.to_vec(),
    }
}

/// Writes a JSON object key by key, in the order given.
struct Object(Vec<u8>);

impl Object {
    fn new() -> Object {
        Object(Vec::with_capacity(256))
    }

    fn put<T: Serialize + ?Sized>(&mut self, key: &str, value: &T) {
        self.0.push(if self.0.is_empty() { b'{' } else { b',' });
        self.write(key);
        self.0.push(b':');
        self.write(value);
    }

    fn write<T: Serialize + ?Sized>(&mut self, value: &T) {
        serde_json::to_writer(&mut self.0, value).expect("plain data into memory cannot fail");
    }

    fn close(mut self) -> Vec<u8> {
        self.0.push(b'}');
        self.0
    }
}

fn flat(message: &Message, body: &Map<String, Value>, stamp: &Stamp) -> Vec<u8> {
    let reply = matches!(message.topic, Topic::Reply(_) | Topic::Answer { .. });
    let mut object = Object::new();
    object.put("v", &1);
    match body.get("id").filter(|_| reply) {
        Some(id) => object.put("id", id),
        None => object.put("id", stamp.id),
    }
    object.put("at", &message.at);
    object.put("clock", &message.clock);
    object.put("boot", &stamp.boot);
    object.put("lane", &message.lane);
    object.put("seq", &stamp.seq);
    object.put("quality", &message.quality);
    for (key, value) in body.iter().filter(|(key, _)| !HEADER.contains(&key.as_str())) {
        object.put(key, value);
    }
    object.close()
}

/// CloudEvents 1.0.2, JSON event format, structured mode. `boot`, `lane`, `seq` and `clock` are
/// extension attributes.
fn cloud_event(message: &Message, kind: &str, data: &Map<String, Value>, stamp: &Stamp) -> Vec<u8> {
    let mut object = Object::new();
    object.put("specversion", "1.0");
    object.put("id", stamp.id);
    object.put("source", stamp.prefix.source());
    object.put("type", kind);
    if let Some(subject) = subject(&message.topic) {
        object.put("subject", &subject);
    }
    object.put("time", &message.at);
    object.put("datacontenttype", "application/json");
    object.put("boot", &stamp.boot);
    object.put("lane", &message.lane);
    object.put("seq", &stamp.seq);
    object.put("clock", &message.clock);
    object.put("data", data);
    object.close()
}

/// What an event is about: `<class>/<id>` or `ticket/<id>`, the topic without its last level.
fn subject(topic: &Topic) -> Option<String> {
    let path = topics::path(topic);
    Some(path.rsplit_once('/')?.0.to_owned())
}

/// The id of the message numbered `seq` in `lane` of the box `name`.
#[must_use]
pub fn message_id(name: &str, lane: Lane, seq: u64) -> String {
    format!("{name}-{}-{seq}", lane.as_str())
}

#[cfg(test)]
mod tests {
    use domain::ids::{AssetId, AssetKey, BoxId, Class, Requester, SiteId, TenantId, TicketId};
    use domain::output::Quality;
    use domain::site::Identity;
    use domain::time::{ClockQuality, Utc};
    use serde_json::json;

    use super::*;

    fn rendered(lane: Lane, topic: Topic, body: Body) -> String {
        let prefix = Prefix::new(&Identity {
            tenant: TenantId::new("longcheng").unwrap(),
            site: SiteId::new("xuejia").unwrap(),
            id: BoxId::new("xj-0412").unwrap(),
        });
        let message = Message {
            lane,
            topic,
            at: Utc::parse("2026-06-04T04:00:03.120Z").unwrap(),
            clock: ClockQuality::Gnss,
            quality: Quality::Good,
            body,
        };
        let id = message_id("xj-0412", lane, 8123);
        let stamp = Stamp { prefix: &prefix, id: &id, boot: Boot(17), seq: 8123 };
        String::from_utf8(render(&message, &stamp)).unwrap()
    }

    fn object(value: Value) -> Map<String, Value> {
        let Value::Object(map) = value else { panic!("{value} is not an object") };
        map
    }

    fn bay() -> AssetKey {
        AssetKey::new(Class::Bay, AssetId::new("b-1001").unwrap())
    }

    #[test]
    fn a_state_is_flat_and_begins_with_its_header() {
        let body =
            Body::Flat(object(json!({"status": "free", "confidence": 0.9, "session": null})));
        assert_eq!(
            rendered(Lane::State, Topic::AssetState(bay()), body),
            r#"{"v":1,"id":"xj-0412-state-8123","at":"2026-06-04T04:00:03.120Z","clock":"gnss","boot":17,"lane":"state","seq":8123,"quality":"good","confidence":0.9,"session":null,"status":"free"}"#
        );
    }

    #[test]
    fn an_event_is_a_cloud_event_about_its_asset_or_ticket() {
        let event = |data| Body::Event { kind: "parking.session", data: object(data) };
        assert_eq!(
            rendered(Lane::Event, Topic::AssetEvent(bay()), event(json!({"minutes": 40}))),
            r#"{"specversion":"1.0","id":"xj-0412-event-8123","source":"/steward/longcheng/xuejia/xj-0412","type":"parking.session","subject":"bay/b-1001","time":"2026-06-04T04:00:03.120Z","datacontenttype":"application/json","boot":17,"lane":"event","seq":8123,"clock":"gnss","data":{"minutes":40}}"#
        );
        let ticket = Topic::TicketEvent(TicketId::new("t-7").unwrap());
        let text = rendered(Lane::Ticket, ticket, event(json!({})));
        assert!(text.contains(r#""subject":"ticket/t-7""#), "{text}");
    }

    #[test]
    fn the_header_is_not_overwritten_except_by_a_replys_id() {
        let body = || Body::Flat(object(json!({"id": "c1", "seq": 1, "replay": 5, "ok": true})));
        let reply = rendered(Lane::Ticket, Topic::Reply(Requester::new("duty").unwrap()), body());
        let value: Value = serde_json::from_str(&reply).unwrap();
        assert_eq!((&value["id"], &value["seq"]), (&json!("c1"), &json!(8123)));
        let state = rendered(Lane::State, Topic::Info, body());
        assert!(state.contains(r#""id":"xj-0412-state-8123""#) && !state.contains("c1"), "{state}");
        assert!(!state.contains("replay"), "{state}");
    }

    #[test]
    fn replay_is_one_more_key_and_an_empty_payload_stays_empty() {
        let state = rendered(Lane::State, Topic::Info, Body::Flat(Map::new()));
        let marked = mark_replay(state.as_bytes());
        let mut value: Value = serde_json::from_slice(&marked).unwrap();
        assert_eq!(value["replay"], json!(true));
        value.as_object_mut().unwrap().remove("replay");
        assert_eq!(value, serde_json::from_str::<Value>(&state).unwrap());
        assert_eq!(rendered(Lane::Ticket, Topic::Info, Body::Empty), "");
        assert_eq!(mark_replay(b""), b"");
    }
}
