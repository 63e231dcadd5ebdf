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

fn property(value: &Value, at: Utc) -> Value {
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
            entity.insert("status".into(), property(&json!(status), message.at));
            entity.insert("category".into(), property(&json!(["onStreet"]), message.at));
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
            let parking = body.get("parking")?;
            for (ours, theirs) in names {
                entity.insert(theirs.into(), property(parking.get(ours)?, message.at));
            }
            let detection = json!("singleSpaceDetection");
            entity.insert("occupancyDetectionType".into(), property(&detection, message.at));
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

/// A state that is only told again is the same event again: it happened when the silence began.
fn comms_events(body: &Map<String, Value>, at: Utc) -> Vec<CurbEvent> {
    let text = |name| body.get(name).and_then(Value::as_str);
    if text("reason") != Some("silent") {
        return vec![];
    }
    let since = text("since").and_then(|t| Utc::parse(t).ok()).unwrap_or(at);
    vec![("comms_lost", since.as_ms(), Map::new())]
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::calendar::Calendar;
    use crate::ids::{AssetId, BoxId, SiteId, TenantId};
    use crate::output::{Lane, Quality};
    use crate::place::Datum;
    use crate::site::{Asset, Identity, Kind, Parking, TicketPolicy};
    use crate::time::ClockQuality;

    fn key(class: Class, id: &str) -> AssetKey {
        AssetKey::new(class, AssetId::new(id).unwrap())
    }

    /// The profiles ask where an asset is and what street it belongs to, whatever its kind.
    fn site() -> Site {
        let asset = |position, street: Option<&str>| Asset {
            names: BTreeMap::new(),
            position,
            street: street.map(|s| AssetId::new(s).unwrap()),
            feeds: vec![],
            kind: Kind::Street { line: vec![], sweep: None },
        };
        let here = Position::from_degrees(31.811, 119.974, Datum::Wgs84).unwrap();
        let assets = [
            (key(Class::Bay, "b-1"), asset(Some(here), Some("road"))),
            (key(Class::Street, "road"), asset(None, None)),
        ];
        Site {
            identity: Identity {
                tenant: TenantId::new("t").unwrap(),
                site: SiteId::new("xuejia").unwrap(),
                id: BoxId::new("xj-1").unwrap(),
            },
            assets: assets.into_iter().collect(),
            rules: vec![],
            tickets: TicketPolicy::default(),
            calendar: Calendar::default(),
            parking: Parking::default(),
        }
    }

    fn message(topic: Topic, body: Body) -> Message {
        let at = Utc::from_ms(1_780_545_600_000);
        let (clock, quality) = (ClockQuality::Ntp, Quality::Good);
        Message { lane: Lane::State, topic, at, clock, quality, body }
    }

    fn flat(class: Class, id: &str, body: Value) -> Message {
        let Value::Object(body) = body else { panic!("an object") };
        message(Topic::AssetState(key(class, id)), Body::Flat(body))
    }

    #[test]
    fn a_bay_is_a_parking_spot_and_a_street_is_on_street_parking() {
        let state = flat(Class::Bay, "b-1", json!({"status": "out_of_service"}));
        let (topic, spot) = fiware(&state, &site()).unwrap();
        assert_eq!(topic, "ngsi-ld/ParkingSpot/urn:ngsi-ld:ParkingSpot:xuejia:xj-1:b-1");
        assert_eq!(spot["status"]["value"], "closed");
        assert_eq!(spot["location"]["value"]["coordinates"], json!([119.974, 31.811]));
        let street = "urn:ngsi-ld:OnStreetParking:xuejia:xj-1:road";
        assert_eq!(spot["refParkingSite"]["object"], street);
        let counts = json!({"parking": {
            "bays": 9, "free": 2, "occupied": 6, "unknown": 1, "out_of_service": 0,
        }});

        let (_, road) = fiware(&flat(Class::Street, "road", counts), &site()).unwrap();
        assert_eq!(road["id"], street);
        assert_eq!(road["availableSpotNumber"]["value"], 2);
        assert_eq!(fiware(&flat(Class::Bin, "x", json!({})), &site()), None);
    }

    #[test]
    fn a_stay_is_two_curb_events_with_what_was_billed() {
        let data = |billable| {
            let data = json!({"session_id": "s", "start": "2026-06-04T04:00:00Z",
                "end": "2026-06-04T05:00:00Z", "billable": billable, "fee": {"total": 500}});
            let Value::Object(data) = data else { panic!("an object") };
            let topic = Topic::AssetEvent(key(Class::Bay, "b-1"));
            curb_events(&message(topic, Body::Event { kind: "parking.session", data }), &site())
        };
        let events = data(true);
        let kinds: Vec<_> = events.iter().map(|(_, e)| e["event_type"].as_str().unwrap()).collect();
        assert_eq!(kinds, ["park_start", "park_end"]);
        assert_eq!(events[1].1["event_time"], 1_780_549_200_000_i64);
        assert_eq!(events[1].1["actual_cost"], 500);
        assert_eq!(data(false)[1].1.get("actual_cost"), None);
        let lost = flat(Class::Bay, "b-1", json!({"status": "unknown", "reason": "silent"}));
        let lost = curb_events(&lost, &site());
        assert_eq!(lost[0].1["sensor_status"]["is_online"], false);
    }
}
