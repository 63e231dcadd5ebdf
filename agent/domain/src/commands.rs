//! What people and platforms ask the box to do.
//!
//! A command arrives as JSON on `P/cmd/<name>` or on the local socket, is read here, and is always
//! answered. It is idempotent by its id: a repeat gets the stored answer.

use serde::{Deserialize, Serialize};

use crate::ids::{AssetId, AssetKey, PermitId, Requester, TicketId};
use crate::output::Wanted;
use crate::time::Utc;

/// A command, read and checked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Command {
    /// Chosen by the requester; the same id is the same command.
    pub id: String,
    /// Who asks; the reply goes to `P/reply/<by>`.
    pub by: Requester,
    /// When it was issued.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub issued_at: Option<Utc>,
    /// After this it must not be carried out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Utc>,
    /// What to do.
    pub action: Action,
}

/// What a command asks for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// `cmd/ping`: answer, nothing else.
    Ping,
    /// `cmd/refresh`: publish every retained topic again.
    Refresh,
    /// `cmd/coverage`: what was swept in the windows of the last day and now, as GeoJSON.
    Coverage {
        /// Which street; `None`: all.
        street: Option<AssetId>,
        /// So many stretches were answered already.
        #[serde(default)]
        from: usize,
    },
    /// `cmd/ticket`: move a ticket.
    Ticket {
        /// Which.
        ticket: TicketId,
        /// Where to.
        step: TicketStep,
        /// A remark for the flow log.
        note: Option<String>,
    },
    /// `cmd/device`: what the devices that feed an asset are to do.
    Device {
        /// Which asset.
        asset: AssetKey,
        /// What.
        what: Wanted,
    },
    /// `cmd/bay`: what a person does with a bay.
    Bay {
        /// Which.
        bay: AssetId,
        /// What.
        step: BayStep,
        /// The permit, to check in with.
        permit: Option<PermitId>,
    },
}

/// What a person can do with a bay.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BayStep {
    /// Take it out of service: maintenance, works, an event.
    OutOfService,
    /// Put it back, or vouch for a sensor that was not believed.
    InService,
    /// Have its sensors learn the empty bay anew.
    Recalibrate,
    /// Show a permit for the car that stands there.
    CheckIn,
}

/// The steps a person can take with a ticket.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TicketStep {
    /// Seen; somebody is on it.
    Ack,
    /// The work is done.
    Resolve,
    /// Checked on the spot, or accepted as done: the end.
    Close,
    /// It was not done after all.
    Reopen,
    /// It was never a problem.
    Reject,
}

/// The envelope on `P/cmd/<name>`.
#[derive(Debug, Deserialize)]
struct Envelope {
    id: String,
    by: Requester,
    #[serde(default)]
    issued_at: Option<Utc>,
    #[serde(default)]
    expires_at: Option<Utc>,
    #[serde(default)]
    args: serde_json::Value,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct CoverageArgs {
    #[serde(default)]
    street: Option<AssetId>,
    #[serde(default)]
    from: usize,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct TicketArgs {
    ticket: TicketId,
    action: TicketStep,
    #[serde(default)]
    note: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct DeviceArgs {
    asset: String,
    action: DeviceStep,
    #[serde(default)]
    seconds: Option<u16>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum DeviceStep {
    Recalibrate,
    Identify,
}

/// How long a device shows where it is when nobody says how long.
const IDENTIFY_S: u16 = 60;

fn device(args: &DeviceArgs) -> Result<Action, String> {
    let asset = args.asset.parse().map_err(|bad| format!("args of cmd/device: asset {bad}"))?;
    let what = match (args.action, args.seconds) {
        (DeviceStep::Identify, seconds) => {
            Wanted::Identify { seconds: seconds.unwrap_or(IDENTIFY_S) }
        }
        (DeviceStep::Recalibrate, None) => Wanted::Recalibrate,
        (DeviceStep::Recalibrate, Some(_)) => {
            return Err("args of cmd/device: recalibrate takes no seconds".to_owned());
        }
    };
    Ok(Action::Device { asset, what })
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct BayArgs {
    bay: AssetId,
    action: BayStep,
    #[serde(default)]
    permit: Option<PermitId>,
}

/// Why a command could not be read. The requester, where known, is told so.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
#[error("{why}")]
pub struct BadCommand {
    /// The id, as far as it could be read.
    pub id: Option<String>,
    /// Who asked, as far as it could be read.
    pub by: Option<Requester>,
    /// What is wrong.
    pub why: String,
}

/// The longest command id.
pub const ID_MAX: usize = 64;
/// The longest remark, in bytes.
pub const NOTE_MAX: usize = 2000;

impl Command {
    /// Reads the payload of `P/cmd/<name>`.
    ///
    /// # Errors
    /// Not JSON, no id or requester, an unknown name, or arguments that do not fit.
    pub fn parse(name: &str, payload: &[u8]) -> Result<Command, BadCommand> {
        let value: serde_json::Value = serde_json::from_slice(payload).map_err(|e| BadCommand {
            id: None,
            by: None,
            why: format!("the payload is not JSON: {e}"),
        })?;
        let id = value.get("id").and_then(|v| v.as_str()).map(|s| s.chars().take(ID_MAX).collect());
        let by = value.get("by").and_then(|v| v.as_str()).and_then(|s| Requester::new(s).ok());
        let fail = |why: String| BadCommand { id: id.clone(), by: by.clone(), why };
        let envelope: Envelope = serde_json::from_value(value)
            .map_err(|e| fail(format!("the command is wrong: {e}")))?;
        if envelope.id.is_empty() || envelope.id.len() > ID_MAX {
            return Err(fail(format!("the id must have 1 to {ID_MAX} bytes")));
        }
        let action = read_action(name, envelope.args).map_err(fail)?;
        let Envelope { id, by, issued_at, expires_at, .. } = envelope;
        Ok(Command { id, by, issued_at, expires_at, action })
    }
}

fn read_action(name: &str, args: serde_json::Value) -> Result<Action, String> {
    match name {
        "ping" => Ok(Action::Ping),
        "refresh" => Ok(Action::Refresh),
        "coverage" => {
            // Without any, they are left out.
            let args = if args.is_null() { serde_json::json!({}) } else { args };
            let args: CoverageArgs = serde_json::from_value(args).map_err(|e| {
                format!("args of cmd/coverage: {e}; they are {{\"street\"?,\"from\"?}}")
            })?;
            Ok(Action::Coverage { street: args.street, from: args.from })
        }
        "ticket" => {
            let args: TicketArgs = serde_json::from_value(args).map_err(|e| {
                format!("args of cmd/ticket: {e}; they are {{\"ticket\",\"action\",\"note\"?}}")
            })?;
            if args.note.as_ref().is_some_and(|n| n.len() > NOTE_MAX) {
                return Err(format!("the note is longer than {NOTE_MAX} bytes"));
            }
            Ok(Action::Ticket { ticket: args.ticket, step: args.action, note: args.note })
        }
        "device" => {
            let args: DeviceArgs = serde_json::from_value(args).map_err(|e| {
                format!("args of cmd/device: {e}; they are {{\"asset\",\"action\",\"seconds\"?}}")
            })?;
            device(&args)
        }
        "bay" => {
            let args: BayArgs = serde_json::from_value(args).map_err(|e| {
                format!("args of cmd/bay: {e}; they are {{\"bay\",\"action\",\"permit\"?}}")
            })?;
            if (args.action == BayStep::CheckIn) != args.permit.is_some() {
                return Err("args of cmd/bay: check_in and permit go together".to_owned());
            }
            Ok(Action::Bay { bay: args.bay, step: args.action, permit: args.permit })
        }
        other => Err(format!(
            "no command {other:?}; there are bay, coverage, device, ping, refresh, ticket"
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ticket_command_is_read() {
        let text = br#"{"id":"c1","by":"duty-1","args":{"ticket":"t-abc","action":"ack","note":"on my way"}}"#;
        let command = Command::parse("ticket", text).unwrap();
        assert_eq!(command.by.as_str(), "duty-1");
        let Action::Ticket { step, note, .. } = command.action else { panic!("not a ticket step") };
        assert_eq!((step, note.as_deref()), (TicketStep::Ack, Some("on my way")));
    }

    #[test]
    fn a_device_is_asked() {
        let parse = |args: &str| {
            let text = format!(r#"{{"id":"c1","by":"duty-1","args":{args}}}"#);
            Command::parse("device", text.as_bytes()).map(|c| c.action).map_err(|bad| bad.why)
        };
        let asset = "bin/bin-21".parse().unwrap();
        let what = Wanted::Identify { seconds: 60 };
        assert_eq!(
            parse(r#"{"asset":"bin/bin-21","action":"identify"}"#),
            Ok(Action::Device { asset, what })
        );
        for (args, part) in [
            (r#"{"asset":"bin-21","action":"identify"}"#, "asset"),
            (r#"{"asset":"bay/b-1","action":"explode"}"#, "explode"),
            (r#"{"asset":"bay/b-1","action":"recalibrate","seconds":3}"#, "no seconds"),
            (r#"{"asset":"bay/b-1","action":"identify","seconds":70000}"#, "they are"),
        ] {
            let why = parse(args).unwrap_err();
            assert!(why.contains(part), "{why}");
        }
    }

    #[test]
    fn what_is_wrong_is_said_and_the_requester_is_kept() {
        let cases: [(&str, &[u8], &str, bool); 5] = [
            ("ping", b"{", "not JSON", false),
            ("ping", br#"{"by":"a"}"#, "missing field `id`", true),
            ("fly", br#"{"id":"1","by":"a"}"#, "no command \"fly\"", true),
            (
                "ticket",
                br#"{"id":"1","by":"a","args":{"ticket":"T!","action":"ack"}}"#,
                "args of",
                true,
            ),
            ("ping", br#"{"id":"1","by":"A/B"}"#, "position 1", false),
        ];
        for (name, text, expected, has_by) in cases {
            let bad = Command::parse(name, text).unwrap_err();
            assert!(bad.why.contains(expected), "{}", bad.why);
            assert_eq!(bad.by.is_some(), has_by, "{}", bad.why);
        }
    }
}
