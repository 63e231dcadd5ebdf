//! `P/info`: what the box says of itself.

use domain::output::{Body, Lane, Message, Quality, Topic};
use domain::time::ClockQuality;
use serde_json::{Map, Value, json};

use crate::clock::Clock;
use crate::config::Config;
use crate::control::versions::Standing;
use crate::run::Launch;

/// The commands that the box knows, by the last level of their topics.
const CAPABILITIES: [&str; 12] = [
    "bay", "config", "coverage", "device", "history", "log", "ping", "refresh", "report", "ticket",
    "tickets", "update",
];

/// Where it says how far an update has come.
const UPDATE: &str = "update";

/// `P/info`: who the box is and what it watches.
pub(super) fn info(config: &Config, launch: &Launch, clock: &Clock) -> Message {
    let now = clock.now();
    let assets: Vec<String> = config.site.assets.keys().map(ToString::to_string).collect();
    let mut body = Map::new();
    body.insert("version".into(), json!(env!("CARGO_PKG_VERSION")));
    body.insert("hardware".into(), json!(hardware()));
    body.insert("config".into(), json!(config.hash));
    if let Some(Standing { version, origin, on_trial }) = launch.standing {
        let told = json!({"version": version, "origin": origin, "on_trial": on_trial});
        body.insert("configuration".into(), told);
    }
    if let Some(update) = &launch.update {
        body.insert(UPDATE.into(), update.clone());
    }
    body.insert("timezone".into(), json!(config.timezone.iana_name()));
    body.insert("capabilities".into(), json!(CAPABILITIES));
    body.insert("assets".into(), Value::from(assets));
    let crews = config.site.tickets.crews.iter();
    let crews = crews
        .map(|(id, crew)| json!({"id": id, "names": crew.names, "categories": crew.categories}));
    body.insert("crews".into(), crews.collect());
    if let Some(speed) = clock.speed() {
        // Whoever shows ages must count them by the box's clock, not by their own.
        body.insert("simulated".into(), json!({"speed": speed}));
    }
    Message {
        lane: Lane::State,
        topic: Topic::Info,
        at: now.utc,
        clock: now.clock,
        quality: if now.clock > ClockQuality::Unset { Quality::Good } else { Quality::Uncertain },
        body: Body::Flat(body),
    }
}

/// Says in `info` how far an update of the program has come.
pub(super) fn tell_update(info: &mut Message, update: Value) {
    if let Body::Flat(body) = &mut info.body {
        body.insert(UPDATE.into(), update);
    }
}

/// The board's name as its firmware tells it; elsewhere the processor's kind.
fn hardware() -> String {
    let model = std::fs::read_to_string("/proc/device-tree/model").ok();
    let model = model.map(|text| text.trim_end_matches('\0').trim().to_owned());
    model.filter(|text| !text.is_empty()).unwrap_or_else(|| std::env::consts::ARCH.to_owned())
}
