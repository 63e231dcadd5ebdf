//! The same facts in the forms that other platforms read: FIWARE and the Curb Data Specification.
//!
//! Pure functions from a message to a topic and a payload; `None` where the form has no word for it. What
//! is sent where is the uplink's choice.
//!
//! * FIWARE Smart Data Models, dataModel.Parking: `ParkingSpot` of a bay, `OnStreetParking` of a street.
//! * Curb Data Specification 1.0, Events: `park_start`, `park_end`, `comms_lost`.

use serde_json::{Map, Value, json};

use crate::ids::{AssetKey, Class};
use crate::output::{Body, Message, Topic};
use crate::place::Position;
use crate::site::Site;
use crate::time::Utc;

/// A topic and what is published on it.
pub type Profiled = (String, Value);

fn urn(kind: &str, site: &Site, key: &AssetKey) -> String {
    format!("urn:ngsi-ld:{kind}:{}:{}:{}", site.identity.site, site.identity.id, key.id)
}

fn property(value: Value, at: Utc) -> Value {
    json!({"type": "Property", "value": value, "observedAt": at})
}

/// GeoJSON, longitude first.
fn location(position: Position) -> Value {
    let point = json!({"type": "Point", "coordinates": [position.lon(), position.lat()]});
    json!({"type": "GeoProperty", "value": point})
}

/// The state of a bay or a street as an NGSI-LD entity.
#[must_use]
pub fn fiware(message: &Message, site: &Site) -> Option<Profiled> {
    let (Topic::AssetState(key), Body::Flat(body)) = (&message.topic, &message.body) else {
        return None;
    };
    let asset = site.assets.get(key)?;
    let mut entity = Map::new();
    let kind = match key.class {
        Class::Bay => {
            let status = match body.get("status")?.as_str()? {
                "out_of_service" => "closed",
                known => known,
            };
            entity.insert("status".into(), property(json!(status), message.at));
            entity.insert("category".into(), property(json!(["onStreet"]), message.at));
            if let Some(street) = &asset.street {
                let street = AssetKey::new(Class::Street, street.clone());
                let object = urn("OnStreetParking", site, &street);
                let site_of = json!({"type": "Relationship", "object": object});
                entity.insert("refParkingSite".into(), site_of);
            }
            "ParkingSpot"
        }
        Class::Street => {
            let names = [
                ("bays", "totalSpotNumber"),
                ("free", "availableSpotNumber"),
                ("occupied", "occupiedSpotNumber"),
                ("out_of_service", "outOfServiceSlotNumber"),
            ];
            for (ours, theirs) in names {
                entity.insert(theirs.into(), property(body.get(ours)?.clone(), message.at));
            }
            let detection = json!("singleSpaceDetection");
            entity.insert("occupancyDetectionType".into(), property(detection, message.at));
            "OnStreetParking"
        }
        _ => return None,
    };
    let id = urn(kind, site, key);
    entity.insert("id".into(), json!(id));
    entity.insert("type".into(), json!(kind));
    if let Some(position) = asset.position {
        entity.insert("location".into(), location(position));
    }
    Some((format!("ngsi-ld/{kind}/{id}"), Value::Object(entity)))
}

/// What happened at a bay as events of the Curb Data Specification. Times are in milliseconds.
#[must_use]
pub fn curb_events(message: &Message, site: &Site) -> Vec<Profiled> {
    let (key, events) = match (&message.topic, &message.body) {
        (Topic::AssetEvent(key), Body::Event { kind: "parking.session", data }) => {
            (key, session_events(data))
        }
        (Topic::AssetState(key), Body::Flat(body)) if key.class == Class::Bay => {
            (key, comms_events(body, message.at))
        }
        _ => return vec![],
    };
    let space = format!("{}:{}", site.identity.id, key.id);
    let street = site.assets.get(key).and_then(|asset| asset.street.as_ref());
    let online = |kind: &str| kind != "comms_lost";
    let event = |(kind, time, mut more): (&'static str, i64, Map<String, Value>)| {
        more.insert("event_id".into(), json!(format!("{space}:{kind}:{time}")));
        more.insert("event_type".into(), json!(kind));
        more.insert("event_time".into(), json!(time));
        more.insert("event_publication_time".into(), json!(message.at.as_ms()));
        more.insert("curb_space_id".into(), json!(space));
        if let Some(street) = street {
            more.insert("curb_zone_id".into(), json!(street));
        }
        more.insert("data_source_type".into(), json!("in_ground"));
        let sensor = json!({"is_commissioned": true, "is_online": online(kind)});
        more.insert("sensor_status".into(), sensor);
        (format!("cds/events/{}", key.id), Value::Object(more))
    };
    events.into_iter().map(event).collect()
}

type CurbEvent = (&'static str, i64, Map<String, Value>);

fn session_events(data: &Map<String, Value>) -> Vec<CurbEvent> {
    let time = |name| data.get(name)?.as_str().and_then(|t| Utc::parse(t).ok());
    let (Some(start), Some(end)) = (time("start"), time("end")) else { return vec![] };
    let session = data.get("session_id").cloned().unwrap_or(Value::Null);
    let with = || Map::from_iter([("event_session_id".to_owned(), session.clone())]);
    let mut ended = with();
    let billed = data.get("billable") == Some(&Value::Bool(true));
    if let Some(total) = data.get("fee").filter(|_| billed).and_then(|fee| fee.get("total")) {
        ended.insert("actual_cost".into(), total.clone());
    }
    vec![("park_start", start.as_ms(), with()), ("park_end", end.as_ms(), ended)]
}

fn comms_events(body: &Map<String, Value>, at: Utc) -> Vec<CurbEvent> {
    let silent = body.get("reason").and_then(Value::as_str) == Some("silent");
    if silent { vec![("comms_lost", at.as_ms(), Map::new())] } else { vec![] }
}
