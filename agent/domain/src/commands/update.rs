//! `cmd/update`: what somebody wants done with the program itself.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::upkeep::{CONFIRM_MAX_S, ConfirmedBy, Upkeep, is_sha256};

/// The shortest time in which a new version can be confirmed, in seconds: a slow card needs as long to
/// install it and to start it.
pub const UPDATE_MIN_S: u32 = 30;
/// The time when nobody says another.
pub const UPDATE_S: u32 = 600;

/// Another version of the program, as a Debian package.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Update {
    /// Where the package is: `http://` or `https://`. Its signature is there too, with `.minisig` behind.
    pub url: String,
    /// The SHA-256 of its bytes, 64 hex digits.
    pub sha256: String,
    /// Its bytes.
    pub size: u64,
    /// In what time after its start the new version must be connected and confirmed, in seconds,
    /// [`UPDATE_MIN_S`] to [`CONFIRM_MAX_S`]; after it the old one is back.
    pub within_s: u32,
    /// What confirms it.
    pub by: ConfirmedBy,
    /// Whether it may be older than what is installed.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub allow_downgrade: bool,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct UpdateArgs {
    action: UpdateStep,
    #[serde(default)]
    url: Option<String>,
    #[serde(default)]
    sha256: Option<String>,
    #[serde(default)]
    size: Option<u64>,
    #[serde(default)]
    within_s: Option<u32>,
    #[serde(default)]
    confirmed_by: ConfirmedBy,
    #[serde(default)]
    allow_downgrade: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum UpdateStep {
    Apply,
    Confirm,
    Revert,
    Show,
}

/// Reads the arguments; otherwise says what is wrong with them.
pub(super) fn read(args: Value) -> Result<Upkeep, String> {
    let form = "{\"action\":\"apply\",\"url\",\"sha256\",\"size\",\"within_s\"?,\"confirmed_by\"?,\
                \"allow_downgrade\"?}, {\"action\":\"confirm\"}, {\"action\":\"revert\"} or \
                {\"action\":\"show\"}";
    let args: UpdateArgs = serde_json::from_value(args)
        .map_err(|error| format!("args of cmd/update: {error}; they are {form}"))?;
    match args.action {
        UpdateStep::Apply => read_apply(args).map(Upkeep::Update),
        UpdateStep::Confirm => Ok(Upkeep::ConfirmUpdate),
        UpdateStep::Revert => Ok(Upkeep::RevertUpdate),
        UpdateStep::Show => Ok(Upkeep::ShowUpdate),
    }
}

fn read_apply(args: UpdateArgs) -> Result<Update, String> {
    let (Some(url), Some(sha256), Some(size)) = (args.url, args.sha256, args.size) else {
        return Err("args of cmd/update: apply needs url, sha256 and size".to_owned());
    };
    let within_s = args.within_s.unwrap_or(UPDATE_S);
    if !(UPDATE_MIN_S..=CONFIRM_MAX_S).contains(&within_s) {
        return Err(format!("args of cmd/update: within_s is {UPDATE_MIN_S} to {CONFIRM_MAX_S}"));
    }
    if !is_sha256(&sha256) {
        return Err("args of cmd/update: sha256 has 64 hex digits".to_owned());
    }
    if size == 0 {
        return Err("args of cmd/update: size is the bytes of the package".to_owned());
    }
    let (by, allow_downgrade) = (args.confirmed_by, args.allow_downgrade);
    Ok(Update { url, sha256: sha256.to_ascii_lowercase(), size, within_s, by, allow_downgrade })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_update_says_where_it_is_and_what_it_is() {
        let args = json!({"action": "apply", "url": "https://h/s.deb", "sha256": "AB".repeat(32),
                          "size": 5_000_000});
        let expected = Update {
            url: "https://h/s.deb".into(),
            sha256: "ab".repeat(32),
            size: 5_000_000,
            within_s: UPDATE_S,
            by: ConfirmedBy::Command,
            allow_downgrade: false,
        };
        assert_eq!(read(args).unwrap(), Upkeep::Update(expected));
        assert_eq!(read(json!({"action": "confirm"})).unwrap(), Upkeep::ConfirmUpdate);
    }

    #[test]
    fn what_is_missing_or_out_of_range_is_said() {
        let apply = |changes: Value| {
            let mut args = json!({"action": "apply", "url": "https://h/s.deb",
                                  "sha256": "ab".repeat(32), "size": 1});
            for (key, value) in changes.as_object().unwrap() {
                args[key] = value.clone();
            }
            args
        };
        for (args, part) in [
            (json!({"action": "apply"}), "needs url, sha256 and size"),
            (apply(json!({"sha256": "12"})), "64 hex"),
            (apply(json!({"size": 0})), "bytes of the package"),
            (apply(json!({"within_s": 29})), "30 to 3600"),
            (apply(json!({"within_s": 3601})), "30 to 3600"),
            (apply(json!({"toml": ""})), "unknown field"),
            (json!({"action": "undo"}), "unknown variant"),
            (Value::Null, "they are"),
        ] {
            let why = read(args.clone()).unwrap_err();
            assert!(why.contains(part), "{args}: {why}");
        }
    }
}
