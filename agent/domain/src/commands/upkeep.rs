//! What somebody wants done with the box itself: its configuration, its program, how much it logs.
//!
//! The core decides who may ask and that nothing is done twice; the shell does it, and says at every step
//! how far it has come ([`Progress`]). Nothing here touches a file or a connection.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::update::{self, Update};
use crate::ids::Requester;

/// The longest time in which a new configuration can be confirmed, in seconds.
pub const CONFIRM_MAX_S: u32 = 3600;
/// The shortest: a broker may need as long to take a connection.
pub const CONFIRM_MIN_S: u32 = 10;
/// The time when nobody says another.
pub const CONFIRM_S: u32 = 120;
/// The longest time for which a level of the log can be set: a day, in seconds.
pub const LOG_MAX_S: u32 = 86_400;

/// What is to be done with the box.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Upkeep {
    /// Try a new configuration.
    Apply(Apply),
    /// The new configuration is right.
    Confirm {
        /// Which one is meant; without it, the one that is on trial.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        version: Option<u64>,
    },
    /// Back to the configuration before this one.
    Revert,
    /// Say which configurations there are.
    Show,
    /// Log more, or less, for a time.
    Log {
        /// From which level on.
        level: LogLevel,
        /// For how long, in seconds, 1 to [`LOG_MAX_S`].
        for_s: u32,
    },
    /// Install another version of the program.
    Update(Update),
    /// The new version of the program is right.
    ConfirmUpdate,
    /// Back to the version of the program before this one, or stop fetching the new one.
    RevertUpdate,
    /// Say how far an update has come.
    ShowUpdate,
}

/// A new configuration.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Apply {
    /// Where it is.
    pub text: ConfigText,
    /// In what time it must be connected and confirmed, in seconds; after it the old one is back.
    pub within_s: u32,
    /// What confirms it.
    pub by: ConfirmedBy,
}

/// Where the text of a configuration is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ConfigText {
    /// Here.
    Inline(String),
    /// To be fetched.
    At {
        /// `http://` or `https://`.
        url: String,
        /// The SHA-256 of its bytes, 64 hex digits: a text that anybody could have changed is not taken.
        sha256: String,
    },
}

/// What shows that a configuration is right.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ConfirmedBy {
    /// A command, which must reach the box under the new configuration.
    #[default]
    Command,
    /// That the broker takes the box's messages.
    Connection,
}

/// From which level on is logged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LogLevel {
    /// What must be looked at.
    Warn,
    /// What happens: as by default.
    Info,
    /// What is decided.
    Debug,
    /// Everything.
    Trace,
}

impl LogLevel {
    /// The word in filters of the log.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            LogLevel::Warn => "warn",
            LogLevel::Info => "info",
            LogLevel::Debug => "debug",
            LogLevel::Trace => "trace",
        }
    }
}

impl Upkeep {
    /// Every name by which it is allowed or not.
    pub const NAMES: [&str; 9] = [
        "config.apply",
        "config.confirm",
        "config.revert",
        "config.show",
        "log",
        "update.apply",
        "update.confirm",
        "update.revert",
        "update.show",
    ];

    /// The name by which it is allowed or not.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Upkeep::Apply(_) => "config.apply",
            Upkeep::Confirm { .. } => "config.confirm",
            Upkeep::Revert => "config.revert",
            Upkeep::Show => "config.show",
            Upkeep::Log { .. } => "log",
            Upkeep::Update(_) => "update.apply",
            Upkeep::ConfirmUpdate => "update.confirm",
            Upkeep::RevertUpdate => "update.revert",
            Upkeep::ShowUpdate => "update.show",
        }
    }
}

/// Something to be done with the box, for the shell: asked by somebody who may, and not done before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Order {
    /// The command's id.
    pub id: String,
    /// Who asks.
    pub by: Requester,
    /// What.
    pub what: Upkeep,
}

/// How far the shell has come with an [`Order`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Progress {
    /// The command's id.
    pub id: String,
    /// Who asked.
    pub by: Requester,
    /// How far.
    pub stage: Stage,
    /// What came of it.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub result: Map<String, Value>,
    /// Why it did not work.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
}

/// The states of a command that takes a while.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    /// It may be done, and will be.
    Received,
    /// It is being fetched.
    Fetching,
    /// What came is right.
    Checked,
    /// It waits to be installed.
    Staged,
    /// It is in use, on trial.
    Applied,
    /// The broker takes messages from the box under it.
    Connected,
    /// It stays.
    Confirmed,
    /// It is gone, and what was before is back.
    Reverted,
    /// Nothing was changed, for it is wrong or cannot be.
    Refused,
    /// It is done.
    Done,
}

impl Stage {
    /// The word in answers.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Stage::Received => "received",
            Stage::Fetching => "fetching",
            Stage::Checked => "checked",
            Stage::Staged => "staged",
            Stage::Applied => "applied",
            Stage::Connected => "connected",
            Stage::Confirmed => "confirmed",
            Stage::Reverted => "reverted",
            Stage::Refused => "refused",
            Stage::Done => "done",
        }
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ConfigArgs {
    action: ConfigStep,
    #[serde(default)]
    toml: Option<String>,
    #[serde(default)]
    url: Option<String>,
    #[serde(default)]
    sha256: Option<String>,
    #[serde(default)]
    within_s: Option<u32>,
    #[serde(default)]
    confirmed_by: ConfirmedBy,
    #[serde(default)]
    version: Option<u64>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum ConfigStep {
    Apply,
    Confirm,
    Revert,
    Show,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct LogArgs {
    level: LogLevel,
    for_s: u32,
}

/// Reads the arguments of `cmd/<name>`; otherwise says what is wrong with them.
pub(super) fn read(name: &str, args: Value) -> Result<Upkeep, String> {
    let wrong = |error: serde_json::Error, form: &str| {
        format!("args of cmd/{name}: {error}; they are {form}")
    };
    if name == "update" {
        return update::read(args);
    }
    if name == "log" {
        let args: LogArgs =
            serde_json::from_value(args).map_err(|e| wrong(e, "{\"level\",\"for_s\"}"))?;
        if !(1..=LOG_MAX_S).contains(&args.for_s) {
            return Err(format!("args of cmd/log: for_s is 1 to {LOG_MAX_S}"));
        }
        return Ok(Upkeep::Log { level: args.level, for_s: args.for_s });
    }
    let form = "{\"action\":\"apply\",\"toml\" | \"url\" with \"sha256\",\"within_s\"?,\
                \"confirmed_by\"?}, {\"action\":\"confirm\",\"version\"?}, {\"action\":\"revert\"} or \
                {\"action\":\"show\"}";
    let args: ConfigArgs = serde_json::from_value(args).map_err(|e| wrong(e, form))?;
    match args.action {
        ConfigStep::Apply => read_apply(args).map(Upkeep::Apply),
        ConfigStep::Confirm => Ok(Upkeep::Confirm { version: args.version }),
        ConfigStep::Revert => Ok(Upkeep::Revert),
        ConfigStep::Show => Ok(Upkeep::Show),
    }
}

/// Whether this can be a SHA-256 in hex.
pub(super) fn is_sha256(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|b| b.is_ascii_hexdigit())
}

fn read_apply(args: ConfigArgs) -> Result<Apply, String> {
    let within_s = args.within_s.unwrap_or(CONFIRM_S);
    if !(CONFIRM_MIN_S..=CONFIRM_MAX_S).contains(&within_s) {
        return Err(format!("args of cmd/config: within_s is {CONFIRM_MIN_S} to {CONFIRM_MAX_S}"));
    }
    let text = match (args.toml, args.url, args.sha256) {
        (Some(text), None, None) => ConfigText::Inline(text),
        (None, Some(url), Some(sha256)) => {
            if !is_sha256(&sha256) {
                return Err("args of cmd/config: sha256 has 64 hex digits".to_owned());
            }
            ConfigText::At { url, sha256: sha256.to_ascii_lowercase() }
        }
        _ => {
            return Err(
                "args of cmd/config: give either toml, or url with the sha256 of its bytes"
                    .to_owned(),
            );
        }
    };
    Ok(Apply { text, within_s, by: args.confirmed_by })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_configuration_comes_here_or_from_where_it_is() {
        let inline = read("config", json!({"action": "apply", "toml": "[box]"})).unwrap();
        let expected = Apply {
            text: ConfigText::Inline("[box]".into()),
            within_s: CONFIRM_S,
            by: ConfirmedBy::Command,
        };
        assert_eq!(inline, Upkeep::Apply(expected));
        let sha256 = "AB".repeat(32);
        let args = json!({"action": "apply", "url": "https://h/c", "sha256": sha256,
                          "within_s": 30, "confirmed_by": "connection"});
        let expected = Apply {
            text: ConfigText::At { url: "https://h/c".into(), sha256: "ab".repeat(32) },
            within_s: 30,
            by: ConfirmedBy::Connection,
        };
        assert_eq!(read("config", args).unwrap(), Upkeep::Apply(expected));
    }

    #[test]
    fn what_is_missing_or_too_much_is_said() {
        let cases = [
            ("config", json!({"action": "apply"}), "either toml, or url"),
            ("config", json!({"action": "apply", "url": "http://h/c"}), "sha256"),
            ("config", json!({"action": "apply", "toml": "", "url": "http://h/c"}), "either"),
            ("config", json!({"action": "apply", "url": "u", "sha256": "12"}), "64 hex"),
            ("config", json!({"action": "apply", "toml": "", "within_s": 9}), "10 to 3600"),
            ("config", json!({"action": "undo"}), "unknown variant"),
            ("config", Value::Null, "they are"),
            ("log", json!({"level": "loud", "for_s": 1}), "unknown variant"),
            ("log", json!({"level": "debug", "for_s": 0}), "1 to 86400"),
        ];
        for (name, args, part) in cases {
            let why = read(name, args.clone()).unwrap_err();
            assert!(why.contains(part), "{args}: {why}");
        }
    }

    #[test]
    fn every_name_is_listed() {
        let every = [
            json!({"action": "apply", "toml": ""}),
            json!({"action": "confirm"}),
            json!({"action": "revert"}),
            json!({"action": "show"}),
        ];
        let mut names: Vec<_> =
            every.map(|args| read("config", args).unwrap().name()).into_iter().collect();
        names.push(read("log", json!({"level": "debug", "for_s": 60})).unwrap().name());
        let update = json!({"action": "apply", "url": "u", "sha256": "ab".repeat(32), "size": 1});
        names.push(read("update", update).unwrap().name());
        for action in ["confirm", "revert", "show"] {
            names.push(read("update", json!({"action": action})).unwrap().name());
        }
        assert_eq!(names, Upkeep::NAMES);
    }
}
