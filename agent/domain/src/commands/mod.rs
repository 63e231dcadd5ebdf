//! What people and platforms ask the box to do.
//!
//! A command arrives as JSON on `P/cmd/<name>` or on the local socket, is read here, and is always
//! answered. It is idempotent by its id: a repeat gets the stored answer.

mod report;
pub mod update;
pub mod upkeep;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

pub use self::report::Report;
use self::upkeep::Upkeep;
use crate::ids::{AssetId, AssetKey, Category, CrewId, PermitId, Requester, TicketId};
use crate::output::Wanted;
use crate::tickets::State;
pub use crate::tickets::TicketStep;
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
    /// Whether it came with a signature of the requester's that is right.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub signed: bool,
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
    /// `cmd/history`: what was told lately and no broker keeps.
    History(HistoryQuery),
    /// `cmd/ticket`: move a ticket.
    Ticket(TicketOrder),
    /// `cmd/tickets`: which tickets there are, or all of one.
    Tickets(TicketQuery),
    /// `cmd/report`: somebody, or a camera, says that there is a problem.
    Report(Box<Report>),
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
    /// `cmd/config`, `cmd/update`, `cmd/log`, `cmd/evidence`: what somebody wants done with the box itself.
    Upkeep(Upkeep),
}

/// Which part of what was told lately.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct HistoryQuery {
    /// Only of this asset.
    #[serde(default)]
    pub asset: Option<AssetKey>,
    /// Only what came at this time or later.
    #[serde(default)]
    pub since: Option<Utc>,
    /// Where the answer goes on: `next` of the one before.
    #[serde(default)]
    pub from: u64,
}

impl BayStep {
    /// Every one.
    pub const ALL: [BayStep; 4] =
        [BayStep::OutOfService, BayStep::InService, BayStep::Recalibrate, BayStep::CheckIn];

    /// The word in commands.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            BayStep::OutOfService => "out_of_service",
            BayStep::InService => "in_service",
            BayStep::Recalibrate => "recalibrate",
            BayStep::CheckIn => "check_in",
        }
    }
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

impl Action {
    /// The name by which it is allowed or not: `ping`, `ticket.ack`, `bay.recalibrate`.
    #[must_use]
    pub fn name(&self) -> String {
        match self {
            Action::Ping => "ping".into(),
            Action::Refresh => "refresh".into(),
            Action::Coverage { .. } => "coverage".into(),
            Action::History(_) => "history".into(),
            Action::Ticket(order) => format!("ticket.{}", order.step.as_str()),
            Action::Tickets(_) => "tickets".into(),
            Action::Report(_) => "report".into(),
            Action::Bay { step, .. } => format!("bay.{}", step.as_str()),
            Action::Device { what: Wanted::Recalibrate, .. } => "device.recalibrate".into(),
            Action::Device { what: Wanted::NewBattery, .. } => "device.new_battery".into(),
            Action::Device { what: Wanted::Identify { .. }, .. } => "device.identify".into(),
            Action::Upkeep(upkeep) => upkeep.name().to_owned(),
        }
    }

    /// Whether it changes nothing: it may be asked again, and its answer need not be remembered.
    pub(crate) const fn only_asks(&self) -> bool {
        matches!(self, Action::Tickets(_) | Action::Coverage { .. } | Action::History(_))
    }
}

impl Action {
    /// Every name there is.
    #[must_use]
    pub fn names() -> Vec<String> {
        let plain = [
            "ping",
            "refresh",
            "coverage",
            "history",
            "tickets",
            "report",
            "device.new_battery",
            "device.recalibrate",
            "device.identify",
        ];
        let plain = plain.map(str::to_owned);
        let tickets = TicketStep::ALL.map(|step| format!("ticket.{}", step.as_str()));
        let bays = BayStep::ALL.map(|step| format!("bay.{}", step.as_str()));
        let upkeep = Upkeep::NAMES.map(str::to_owned);
        plain.into_iter().chain(tickets).chain(bays).chain(upkeep).collect()
    }
}

/// A question about tickets.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TicketQuery {
    /// All of this one; else a list of those that fit the rest.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ticket: Option<TicketId>,
    /// Only in this state; without it, and without `all`, those that are open.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state: Option<State>,
    /// Only of this kind.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub category: Option<Category>,
    /// Only those of this crew.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub crew: Option<CrewId>,
    /// Also those that have ended.
    pub all: bool,
}

/// What a person wants done with a ticket.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TicketOrder {
    /// Which.
    pub ticket: TicketId,
    /// The step.
    pub step: TicketStep,
    /// A remark for the flow log; the reason, where a deadline moves.
    pub note: Option<String>,
    /// To whom: `assign` and `hand_over`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub crew: Option<CrewId>,
    /// For how long: `shelve`; by how much: `extend`, in the limit's kind of time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub for_s: Option<u32>,
    /// Until when: `shelve`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Utc>,
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
    args: Value,
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
struct HistoryArgs {
    #[serde(default)]
    asset: Option<String>,
    #[serde(default)]
    since: Option<Utc>,
    #[serde(default)]
    from: u64,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct TicketArgs {
    ticket: TicketId,
    action: TicketStep,
    #[serde(default)]
    note: Option<String>,
    #[serde(default)]
    crew: Option<CrewId>,
    #[serde(default)]
    for_s: Option<u32>,
    #[serde(default)]
    until: Option<Utc>,
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
    NewBattery,
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
        (DeviceStep::NewBattery, None) => Wanted::NewBattery,
        (DeviceStep::Recalibrate | DeviceStep::NewBattery, Some(_)) => {
            return Err("args of cmd/device: only identify takes seconds".to_owned());
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
    /// It could be read, and is not to be believed.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub denied: bool,
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
        let value: Value = serde_json::from_slice(payload).map_err(|e| BadCommand {
            id: None,
            by: None,
            why: format!("the payload is not JSON: {e}"),
            denied: false,
        })?;
        let id = value.get("id").and_then(|v| v.as_str()).map(|s| s.chars().take(ID_MAX).collect());
        let by = value.get("by").and_then(|v| v.as_str()).and_then(|s| Requester::new(s).ok());
        let fail = |why: String| BadCommand { id: id.clone(), by: by.clone(), why, denied: false };
        let envelope: Envelope = serde_json::from_value(value)
            .map_err(|e| fail(format!("the command is wrong: {e}")))?;
        if envelope.id.is_empty() || envelope.id.len() > ID_MAX {
            return Err(fail(format!("the id must have 1 to {ID_MAX} bytes")));
        }
        let action = read_action(name, envelope.args).map_err(fail)?;
        let Envelope { id, by, issued_at, expires_at, .. } = envelope;
        Ok(Command { id, by, issued_at, expires_at, signed: false, action })
    }
}

fn read_action(name: &str, args: Value) -> Result<Action, String> {
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
        "history" => {
            let args = if args.is_null() { Value::Object(Map::new()) } else { args };
            let args: HistoryArgs = serde_json::from_value(args).map_err(|e| {
                format!("args of cmd/history: {e}; they are {{\"asset\"?,\"since\"?,\"from\"?}}")
            })?;
            let asset = args.asset.map(|asset| asset.parse()).transpose();
            let asset = asset.map_err(|bad| format!("args of cmd/history: asset {bad}"))?;
            let HistoryArgs { since, from, .. } = args;
            Ok(Action::History(HistoryQuery { asset, since, from }))
        }
        "ticket" => {
            let args: TicketArgs = serde_json::from_value(args).map_err(|e| {
                format!(
                    "args of cmd/ticket: {e}; they are {{\"ticket\",\"action\",\"note\"?,\"crew\"?,\
                     \"for_s\"?,\"until\"?}}"
                )
            })?;
            if args.note.as_ref().is_some_and(|n| n.len() > NOTE_MAX) {
                return Err(format!("the note is longer than {NOTE_MAX} bytes"));
            }
            let TicketArgs { ticket, action: step, note, crew, for_s, until } = args;
            Ok(Action::Ticket(TicketOrder { ticket, step, note, crew, for_s, until }))
        }
        "tickets" => {
            let args = if args.is_null() { Value::Object(Map::new()) } else { args };
            serde_json::from_value(args).map(Action::Tickets).map_err(|e| {
                format!(
                    "args of cmd/tickets: {e}; they are {{\"ticket\"?,\"state\"?,\"category\"?,\"crew\"?,\
                     \"all\"?}}"
                )
            })
        }
        "report" => report::read(args).map(|report| Action::Report(Box::new(report))),
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
        "config" | "log" | "update" | "evidence" => upkeep::read(name, args).map(Action::Upkeep),
        other => Err(format!(
            "no command {other:?}; there are bay, config, coverage, device, evidence, history, log, ping, \
             refresh, report, ticket, tickets, update"
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
        let Action::Ticket(order) = command.action else { panic!("not a ticket step") };
        assert_eq!((order.step, order.note.as_deref()), (TicketStep::Ack, Some("on my way")));
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
            (r#"{"asset":"bay/b-1","action":"recalibrate","seconds":3}"#, "only identify"),
            (r#"{"asset":"bay/b-1","action":"identify","seconds":70000}"#, "they are"),
        ] {
            let why = parse(args).unwrap_err();
            assert!(why.contains(part), "{why}");
        }
    }

    #[test]
    fn history_is_asked_for_by_asset_time_and_page() {
        let parse = |args: &str| {
            let text = format!(r#"{{"id":"c1","by":"duty-1","args":{args}}}"#);
            Command::parse("history", text.as_bytes()).map(|c| c.action).map_err(|bad| bad.why)
        };
        assert_eq!(parse("null"), Ok(Action::History(HistoryQuery::default())));
        let asked =
            parse(r#"{"asset":"bin/b-1","since":"2026-06-04T00:00:00Z","from":7}"#).unwrap();
        let Action::History(query) = asked else { panic!("not a question for history") };
        assert_eq!(query.asset.unwrap().to_string(), "bin/b-1");
        assert_eq!(
            (query.since.unwrap().to_string().as_str(), query.from),
            ("2026-06-04T00:00:00.000Z", 7)
        );
        for (args, part) in [(r#"{"asset":"b-1"}"#, "asset"), (r#"{"until":1}"#, "they are")] {
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
