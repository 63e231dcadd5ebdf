//! MQTT discovery for Home Assistant: one retained document that makes the box a device there, with everything
//! it watches as an entity. Off unless `[home_assistant]` switches it on.
//!
//! The document is sent after every welcome of the broker of `[mqtt]`, beside the outbox: it is the same each time, has no
//! number, and a broker that lost it has it again. When discovery is switched off, an empty message takes the
//! document away; that there is something to take away is remembered in a file in the buffer's directory.
//! It says nothing of values: Home Assistant reads those from the box's own topics.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use domain::ids::AssetKey;
use domain::site::{Asset, Kind};
use serde_json::{Map, Value, json};
use tokio::sync::watch;

use crate::config::Config;
use crate::mqtt::LinkStatus;
use crate::mqtt::topics::Prefix;

/// Entities at the most: Home Assistant is for a yard or a campus, not for a city. The gateway's own come
/// first, and assets in the order of their names; how many are left out is logged.
const ENTITIES_MAX: usize = 500;
/// Three heartbeats: what is older is not available.
const HEALTH_EXPIRES_S: u32 = 90;
/// Publishes that have been acknowledged when the one behind `online` has been.
const ACKED: u64 = 2;
/// The file that remembers the topic of a document.
const FILE: &str = "home-assistant.json";

/// `[home_assistant]`, switched on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HomeAssistant {
    /// The first level of its topics.
    pub prefix: String,
}

/// What is sent after each welcome of the broker: a topic and what is retained there.
pub type Greeting = Option<(String, Vec<u8>)>;

/// Where the document of the box called `id` stands below `prefix`.
#[must_use]
pub fn topic(prefix: &str, id: &str) -> String {
    format!("{prefix}/device/steward/{id}/config")
}

/// What there is to send under `config`, given what was sent under the one before it.
pub fn greeting(config: &Config) -> Greeting {
    let path = config.buffer.dir.join(FILE);
    let Some(settings) = &config.home_assistant else {
        let topic = remembered(&path)?;
        return Some((topic, vec![]));
    };
    let topic = topic(&settings.prefix, config.site.identity.id.as_str());
    if let Err(error) = remember(&path, &topic) {
        tracing::warn!(error = %error, "Home Assistant would keep the box when it is switched off");
    }
    Some((topic, document(config).to_string().into_bytes()))
}

/// Forgets a document once the broker has taken the message that takes it away.
pub async fn forget(config: &Config, mut link: watch::Receiver<LinkStatus>) {
    let path = config.buffer.dir.join(FILE);
    if config.home_assistant.is_none()
        && link.wait_for(|l| l.connected && l.acked >= ACKED).await.is_ok()
        && let Err(error) = fs::remove_file(&path)
        && error.kind() != io::ErrorKind::NotFound
    {
        tracing::warn!(path = %path.display(), error = %error, "it is taken away once more next time");
    }
}

fn remembered(path: &Path) -> Option<String> {
    let found: Value = serde_json::from_slice(&fs::read(path).ok()?).ok()?;
    found["topic"].as_str().map(str::to_owned)
}

fn remember(path: &PathBuf, topic: &str) -> io::Result<()> {
    fs::write(path, json!({"topic": topic}).to_string())
}

/// The document: device-based discovery, Home Assistant 2024.11 and later.
#[must_use]
pub fn document(config: &Config) -> Value {
    let identity = &config.site.identity;
    let id = identity.id.as_str();
    let prefix = Prefix::new(identity);
    let entities = Entities { id, prefix: prefix.as_str(), all: Map::new() };
    json!({
        "dev": {
            "ids": [format!("steward_{}_{}_{id}", identity.tenant, identity.site)],
            "name": config.name.as_deref().unwrap_or(id),
            "mf": "steward",
            "mdl": "street gateway",
            "sw": env!("CARGO_PKG_VERSION"),
        },
        // Without a name of its origin a document is refused.
        "o": {"name": "steward", "sw": env!("CARGO_PKG_VERSION")},
        "availability": [{
            "topic": prefix.status(),
            "value_template": "{{ value_json.state }}",
            "payload_available": "online",
            "payload_not_available": "offline",
        }],
        "cmps": entities.of(&config.site.assets),
    })
}

struct Entities<'a> {
    id: &'a str,
    prefix: &'a str,
    all: Map<String, Value>,
}

impl Entities<'_> {
    fn of(mut self, assets: &BTreeMap<AssetKey, Asset>) -> Map<String, Value> {
        self.gateway();
        let mut left_out = 0;
        for (key, asset) in assets {
            if self.all.len() >= ENTITIES_MAX {
                left_out += 1;
            } else {
                self.asset(key, asset);
            }
        }
        if left_out > 0 {
            tracing::warn!(left_out, max = ENTITIES_MAX, "too many assets for Home Assistant");
        }
        self.all
    }

    /// One entity. Only few keys of the document hold for its entities, so that each has its own.
    fn put(&mut self, key: &str, platform: &str, name: &str, topic: &str, more: Value) {
        let mut entity = Map::new();
        entity.insert("p".into(), json!(platform));
        entity.insert("unique_id".into(), json!(format!("{}_{key}", self.id)));
        entity.insert("name".into(), json!(name));
        entity.insert("qos".into(), json!(1));
        if platform != "device_tracker" {
            entity.insert("state_topic".into(), json!(format!("{}/{topic}", self.prefix)));
        }
        if let Value::Object(more) = more {
            entity.extend(more);
        }
        self.all.insert(key.to_owned(), Value::Object(entity));
    }

    fn gateway(&mut self) {
        let diagnosis = |template: &str| {
            json!({"value_template": template, "entity_category": "diagnostic",
                   "expire_after": HEALTH_EXPIRES_S, "state_class": "measurement"})
        };
        let tickets = json!({"value_template": "{{ value_json.engine.open_tickets }}",
                             "expire_after": HEALTH_EXPIRES_S, "state_class": "measurement"});
        self.put("open_tickets", "sensor", "Open tickets", "health", tickets);
        let waiting = diagnosis("{{ value_json.buffer.values() | sum(attribute='records') }}");
        self.put("waiting", "sensor", "Messages that wait", "health", waiting);
    }

    fn asset(&mut self, key: &AssetKey, asset: &Asset) {
        let name = asset.names.get("en").or_else(|| asset.names.values().next());
        let name = name.map_or_else(|| key.id.as_str(), String::as_str).to_owned();
        let entity = format!("{}_{}", key.class, key.id);
        let topic = format!("{key}/state");
        let whole = format!("{}/{topic}", self.prefix);
        match &asset.kind {
            Kind::Bay(_) => {
                // "None" is Home Assistant's word for not known.
                let told = "{{ {'occupied': 'ON', 'free': 'OFF'}.get(value_json.status, 'None') }}";
                let more = json!({"value_template": told, "device_class": "occupancy",
                                  "json_attributes_topic": whole});
                self.put(&entity, "binary_sensor", &name, &topic, more);
            }
            Kind::Bin(_) => {
                let more = json!({"value_template": "{{ value_json.level_pct }}",
                                  "unit_of_measurement": "%", "state_class": "measurement",
                                  "json_attributes_topic": whole});
                self.put(&entity, "sensor", &name, &topic, more);
            }
            Kind::Vehicle(_) => {
                let place = "{% set p = value_json.position %}{{ ({'latitude': p.lat, 'longitude': p.lon, \
                             'gps_accuracy': p.hacc_m | default(0)} if p and p.datum == 'WGS84' else {}) \
                             | tojson }}";
                let more = json!({"json_attributes_topic": whole, "json_attributes_template": place,
                                  "source_type": "gps"});
                self.put(&entity, "device_tracker", &name, &topic, more);
            }
            // A street has no value that an entity could have.
            Kind::Street { .. } => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "[box]\nid = \"xj-1\"\ntenant = \"t\"\nsite = \"s\"\ntimezone = \"UTC\"\n\
        [mqtt]\nurl = \"mqtt://127.0.0.1\"\n[home_assistant]\nenabled = true\n\
        [[source]]\nname = \"nodes\"\nkind = \"node-link\"\ndevice = \"/dev/null\"\n\
        [[source]]\nname = \"gnss\"\nkind = \"nmea\"\ndevice = \"/dev/zero\"\n\
        [[bay]]\nid = \"b-1\"\nsource = \"nodes\"\ndevice = \"1\"\n\
        [[bin]]\nid = \"bin-1\"\nsource = \"nodes\"\ndevice = \"2\"\nempty_mm = 1000\nfull_mm = 10\n\
        [[vehicle]]\nid = \"v-1\"\nkind = \"sweeper\"\nsource = \"gnss\"\n";

    fn config(dir: &Path, text: &str) -> Config {
        let text = format!("{text}[buffer]\ndir = {dir:?}\n");
        crate::config::load_text("t.toml", &text).unwrap_or_else(|f| panic!("{f}")).config
    }

    /// The keys that each platform takes, of those that are used (Home Assistant's MQTT documentation).
    fn allowed(platform: &str) -> &'static [&'static str] {
        match platform {
            "sensor" => &[
                "p",
                "unique_id",
                "name",
                "qos",
                "state_topic",
                "value_template",
                "entity_category",
                "expire_after",
                "state_class",
                "unit_of_measurement",
                "json_attributes_topic",
            ],
            "binary_sensor" => &[
                "p",
                "unique_id",
                "name",
                "qos",
                "state_topic",
                "value_template",
                "device_class",
                "json_attributes_topic",
            ],
            "device_tracker" => &[
                "p",
                "unique_id",
                "name",
                "qos",
                "json_attributes_topic",
                "json_attributes_template",
                "source_type",
            ],
            other => panic!("{other} is no platform that is used"),
        }
    }

    #[test]
    fn the_document_keeps_the_rules_of_discovery() {
        let dir = tempfile::tempdir().unwrap();
        let config = config(dir.path(), TEXT);
        let (topic, payload) = greeting(&config).unwrap();
        assert_eq!(topic, "homeassistant/device/steward/xj-1/config");
        let plain = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
        assert!(topic.split('/').all(|level| level.chars().all(plain)), "{topic}");
        let document: Value = serde_json::from_slice(&payload).unwrap();
        assert!(document["o"]["name"].is_string() && document["dev"]["ids"][0].is_string());
        let entities = document["cmps"].as_object().unwrap();
        assert_eq!(entities.len(), 5, "{document:#}");
        let mut ids = std::collections::BTreeSet::new();
        for (key, entity) in entities {
            assert!(key.chars().all(plain), "{key}");
            let allowed = allowed(entity["p"].as_str().unwrap());
            for name in entity.as_object().unwrap().keys() {
                assert!(allowed.contains(&name.as_str()), "{key}: {name}");
            }
            assert!(ids.insert(entity["unique_id"].as_str().unwrap()));
            let topics = ["state_topic", "json_attributes_topic"].map(|name| entity[name].as_str());
            for topic in topics.into_iter().flatten() {
                assert!(topic.starts_with("steward/v1/t/s/xj-1/"), "{topic}");
            }
        }
    }

    #[tokio::test]
    async fn what_is_switched_off_is_taken_away_once() {
        let dir = tempfile::tempdir().unwrap();
        let off = config(dir.path(), &TEXT.replace("enabled = true", "enabled = false"));
        assert_eq!(greeting(&off), None, "nothing was ever there");
        let on = config(dir.path(), TEXT);
        assert!(greeting(&on).is_some_and(|(_, payload)| !payload.is_empty()));
        let topic = "homeassistant/device/steward/xj-1/config".to_owned();
        assert_eq!(greeting(&off), Some((topic, vec![])));
        let status = LinkStatus { connected: true, acked: ACKED, ..LinkStatus::default() };
        forget(&off, watch::channel(status).1).await;
        assert_eq!(greeting(&off), None);
    }
}
