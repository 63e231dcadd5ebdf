//! What is told of a configuration on its way: to whoever asked for it, or as trouble.

use domain::commands::upkeep::{Progress, Stage};
use domain::input::{Fault, Input, Trouble};
use serde_json::{Map, Value, json};

use super::Station;
use crate::config::Config;
use crate::control::trial::Asked;
use crate::control::versions::{Cut, sha256};

/// What the engine is told of a trial that the end of the process cut short.
pub(super) fn cut_short_in_words(cut: &Cut) -> Input {
    let why = "the program ended while it was on trial";
    tracing::error!(version = cut.version, why, "the configuration is taken back");
    reverted(cut.version, cut.asked.clone(), why)
}

/// The news that a trial has failed: for whoever asked for it, or else a ticket.
pub(super) fn reverted(version: u64, asked: Option<Asked>, why: &str) -> Input {
    match asked {
        Some(asked) => {
            let result = map(json!({"version": version}));
            progress(asked, Stage::Reverted, result, Some(why.to_owned()))
        }
        None => Input::Trouble(Trouble {
            fault: Fault::Configuration,
            text: format!(
                "the changed configuration was taken back: {why}; correct the file and reload the service"
            ),
        }),
    }
}

/// The hashes of the certificates that the configuration names; `None` for one that cannot be read.
pub(super) fn fingerprints(config: &Config) -> Vec<Option<String>> {
    let files = config.broker.certificate_files();
    files.iter().map(|file| std::fs::read(file).ok().map(|bytes| sha256(&bytes))).collect()
}

pub(super) fn progress(
    asked: Asked,
    stage: Stage,
    result: Map<String, Value>,
    why: Option<String>,
) -> Input {
    let Asked { id, by } = asked;
    Input::Progress(Progress { id, by, stage, result, why })
}

/// Tells that nothing was changed.
pub(super) async fn refuse(asked: Asked, why: String, station: &Station) {
    station.tell(progress(asked, Stage::Refused, Map::new(), Some(why))).await;
}

pub(super) fn map(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(map) => map,
        other => Map::from_iter([("value".to_owned(), other)]),
    }
}
