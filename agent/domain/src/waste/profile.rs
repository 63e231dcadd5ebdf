//! FIWARE Smart Data Models in NGSI-LD: a bin's state as a `WasteContainer`.
//!
//! Names and enumerations are those of `dataModel.WasteManagement` (`WasteContainer/schema.json`);
//! attribute forms those of ETSI GS CIM 009. Filling levels are 0 to 1 there, the fullness threshold is
//! percent, and coordinates stand longitude first.

use serde_json::{Map, Value, json};

use crate::ids::Class;
use crate::output::{Body, Message, Topic};
use crate::place::Datum;
use crate::site::{Kind, Site};
use crate::waste::WasteKind;

/// The contexts that give the names their meaning.
const CONTEXT: [&str; 2] = [
    "https://raw.githubusercontent.com/smart-data-models/dataModel.WasteManagement/master/context.jsonld",
    "https://uri.etsi.org/ngsi-ld/v1/ngsi-ld-core-context.jsonld",
];

/// The topic and entity for the state of a bin. `None` for every other message, and for a bin without a
/// position in WGS84 or CGCS2000: the model requires one, and there is none to invent.
#[must_use]
pub fn fiware(message: &Message, site: &Site) -> Option<(String, Value)> {
    let (Topic::AssetState(key), Body::Flat(state)) = (&message.topic, &message.body) else {
        return None;
    };
    if key.class != Class::Bin {
        return None;
    }
    let asset = site.assets.get(key)?;
    let Kind::Bin(bin) = &asset.kind else { return None };
    let place = asset.position.filter(|p| matches!(p.datum, Datum::Wgs84 | Datum::Cgcs2000))?;
    let identity = &site.identity;
    let id = format!("urn:ngsi-ld:WasteContainer:{}:{}:{}", identity.site, identity.id, key.id);
    let at = json!(message.at);
    let mut entity = Map::new();
    let mut put = |name: &str, value: Value| entity.insert(name.to_owned(), value);
    put("id", json!(id));
    put("type", json!("WasteContainer"));
    put("@context", json!(CONTEXT));
    let point = json!({"type": "Point", "coordinates": [place.lon(), place.lat()]});
    put("location", json!({"type": "GeoProperty", "value": point}));
    put("status", json!({"type": "Property", "value": status(state), "observedAt": at}));
    if let Some(percent) = state.get("level_pct").and_then(Value::as_f64) {
        // A level has one decimal as percent, so three as a share.
        let share = libm::round(percent * 10.0) / 1000.0;
        put("fillingLevel", json!({"type": "Property", "value": share, "observedAt": at}));
    }
    if let Some(celsius) = state.get("temperature_c").and_then(Value::as_f64) {
        let value =
            json!({"type": "Property", "value": celsius, "unitCode": "CEL", "observedAt": at});
        put("temperature", value);
    }
    if let Some(emptied) = state.get("last_collected").filter(|v| !v.is_null()) {
        let value = json!({"@type": "DateTime", "@value": emptied});
        put("dateLastEmptying", json!({"type": "Property", "value": value}));
    }
    put("binFullnessThreshold", json!({"type": "Property", "value": bin.full_at.percent()}));
    if let Some(litres) = bin.capacity_l {
        put("binCapacity", json!({"type": "Property", "value": litres, "unitCode": "LTR"}));
    }
    if let Some(kind) = bin.service.waste {
        put("storedWasteKind", json!({"type": "Property", "value": stored(kind)}));
    }
    if let Some(tag) = bin.service.tag {
        put("RFID", json!({"type": "Property", "value": tag}));
    }
    let topic = format!("ngsi-ld/WasteContainer/{id}");
    Some((topic, Value::Object(entity)))
}

/// The model knows no full container: how full it is stands in `fillingLevel`.
fn status(state: &Map<String, Value>) -> &'static str {
    match state.get("status").and_then(Value::as_str) {
        Some("ok" | "full" | "overflow") => "ok",
        Some("lid_open") => "lidOpen",
        Some("tilted") => "dropped",
        Some("moved") => "moved",
        Some("burning") => "burning",
        _ => "unknown",
    }
}

fn stored(kind: WasteKind) -> &'static [&'static str] {
    match kind {
        WasteKind::Residual => &["other"],
        WasteKind::Organic => &["organic"],
        WasteKind::Recyclable => &["glass", "metal", "paper", "plastic"],
        WasteKind::Hazardous => &["hazardous"],
        WasteKind::Glass => &["glass"],
        WasteKind::Paper => &["paper"],
        WasteKind::Plastic => &["plastic"],
        WasteKind::Metal => &["metal"],
        WasteKind::Batteries => &["batteries"],
        WasteKind::Electronics => &["electronics"],
        WasteKind::Oil => &["oil"],
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::{AssetId, AssetKey, BoxId, SiteId, TenantId};
    use crate::output::{Lane, Quality};
    use crate::place::Position;
    use crate::site::{Asset, Bin, Identity, Service, TicketPolicy};
    use crate::time::{ClockQuality, Utc};
    use crate::waste::bin::tests::BIN;
    use crate::waste::{Status, Tag};

    fn site(datum: Datum) -> Site {
        let service = Service {
            waste: Some(WasteKind::Recyclable),
            tag: Tag::from_hex("e280"),
            ..Service::NONE
        };
        let asset = Asset {
            names: [].into(),
            position: Some(Position::from_degrees(31.81, 119.97, datum).unwrap()),
            street: None,
            feeds: vec![],
            kind: Kind::Bin(Bin { service, ..BIN }),
        };
        Site {
            identity: Identity {
                tenant: TenantId::new("longcheng").unwrap(),
                site: SiteId::new("xuejia").unwrap(),
                id: BoxId::new("xj-1").unwrap(),
            },
            assets: [(key(), asset)].into(),
            rules: vec![],
            tickets: TicketPolicy::default(),
            calendar: Default::default(),
            parking: Default::default(),
        }
    }

    fn key() -> AssetKey {
        AssetKey::new(Class::Bin, AssetId::new("bin-1").unwrap())
    }

    fn state(body: Value) -> Message {
        let Value::Object(body) = body else { panic!("a state is flat") };
        Message {
            lane: Lane::State,
            topic: Topic::AssetState(key()),
            at: Utc::parse("2026-06-04T04:00:00Z").unwrap(),
            clock: ClockQuality::Ntp,
            quality: Quality::Good,
            body: Body::Flat(body),
        }
    }

    #[test]
    fn a_state_becomes_an_entity_with_the_models_names_and_units() {
        let body = json!({"level_pct": 82.5, "status": "full", "temperature_c": 21.5,
            "full_at": null, "last_collected": "2026-06-03T02:00:00.000Z"});
        let (topic, entity) = fiware(&state(body), &site(Datum::Wgs84)).unwrap();
        assert_eq!(topic, "ngsi-ld/WasteContainer/urn:ngsi-ld:WasteContainer:xuejia:xj-1:bin-1");
        let at = "2026-06-04T04:00:00.000Z";
        let property = |value: Value| json!({"type": "Property", "value": value});
        let expected = json!({
            "id": "urn:ngsi-ld:WasteContainer:xuejia:xj-1:bin-1",
            "type": "WasteContainer",
            "@context": CONTEXT,
            "location": {"type": "GeoProperty",
                "value": {"type": "Point", "coordinates": [119.97, 31.81]}},
            "status": {"type": "Property", "value": "ok", "observedAt": at},
            "fillingLevel": {"type": "Property", "value": 0.825, "observedAt": at},
            "temperature":
                {"type": "Property", "value": 21.5, "unitCode": "CEL", "observedAt": at},
            "dateLastEmptying":
                property(json!({"@type": "DateTime", "@value": "2026-06-03T02:00:00.000Z"})),
            "binFullnessThreshold": property(json!(85.0)),
            "binCapacity": {"type": "Property", "value": 240, "unitCode": "LTR"},
            "storedWasteKind": property(json!(["glass", "metal", "paper", "plastic"])),
            "RFID": property(json!("0000000000000000000000000000e280")),
        });
        assert_eq!(entity, expected);
    }

    #[test]
    fn no_level_is_no_filling_level_and_every_status_is_one_of_the_models() {
        for own in Status::ALL {
            let message = state(json!({"level_pct": null, "status": own}));
            let (_, entity) = fiware(&message, &site(Datum::Cgcs2000)).unwrap();
            assert!(entity.get("fillingLevel").is_none());
            let expected = match own {
                Status::Ok | Status::Full | Status::Overflow => "ok",
                Status::LidOpen => "lidOpen",
                Status::Tilted => "dropped",
                Status::Moved => "moved",
                Status::Burning => "burning",
                Status::Unknown => "unknown",
            };
            assert_eq!(entity["status"]["value"], expected);
        }
    }

    #[test]
    fn a_position_that_would_be_half_a_kilometre_off_is_not_told() {
        let message = state(json!({"level_pct": 5.0, "status": "ok"}));
        assert_eq!(fiware(&message, &site(Datum::Gcj02)), None);
        let other = Message { topic: Topic::Info, ..message };
        assert_eq!(fiware(&other, &site(Datum::Wgs84)), None);
    }
}
