//! `steward ticket`: what people at the box can do with tickets.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Subcommand};
use serde_json::{Map, Value};
use steward::{check, ticket};

use super::duration;

/// Speaks to a running box through the socket beside its buffer. Exit code 1 when it refuses.
#[derive(Debug, Args)]
pub(crate) struct TicketArgs {
    #[command(flatten)]
    to: To,
    #[command(subcommand)]
    what: TicketCommand,
}

#[derive(Debug, Args)]
struct To {
    /// The configuration of the box
    #[arg(long, value_name = "FILE", global = true)]
    config: Option<PathBuf>,
    /// Its buffer, in place of the configuration; of a demo, DIR/buffer
    #[arg(long, value_name = "DIR", global = true)]
    buffer: Option<PathBuf>,
    /// Who asks
    #[arg(long, value_name = "NAME", default_value = "local", global = true)]
    by: String,
    /// The command's id: the same one is carried out once
    #[arg(long, value_name = "ID", global = true)]
    id: Option<String>,
    /// Print the answer as JSON
    #[arg(long, global = true)]
    json: bool,
}

#[derive(Debug, Args)]
struct Which {
    /// The ticket
    #[arg(value_name = "ID")]
    ticket: String,
    /// A remark for its flow log; the reason, where a deadline moves
    #[arg(long, value_name = "TEXT")]
    note: Option<String>,
}

#[derive(Debug, Subcommand)]
enum TicketCommand {
    /// The open tickets, the most urgent first, and what each crew has to do
    #[command(alias = "ls")]
    List {
        /// Only in this state
        #[arg(long)]
        state: Option<String>,
        /// Only of this kind
        #[arg(long)]
        category: Option<String>,
        /// Only of this crew
        #[arg(long)]
        crew: Option<String>,
        /// Also those that have ended
        #[arg(long)]
        all: bool,
    },
    /// All of a ticket: why it is there, who did what when; and whether its flow log is whole
    Show {
        /// The ticket
        #[arg(value_name = "ID")]
        ticket: String,
    },
    /// A candidate is a problem
    Confirm(Which),
    /// Seen
    Ack(Which),
    /// Give it to a crew
    Assign {
        #[command(flatten)]
        which: Which,
        /// The crew
        #[arg(long)]
        crew: String,
    },
    /// The crew takes it
    Accept(Which),
    /// From one crew to another
    HandOver {
        #[command(flatten)]
        which: Which,
        /// The other crew
        #[arg(long)]
        crew: String,
    },
    /// The crew is there
    OnSite(Which),
    /// The work begins
    Start(Which),
    /// The work is done
    Resolve(Which),
    /// Looked at on the spot: it is done
    Verify(Which),
    /// Accepted as done
    Close(Which),
    /// It was not done after all
    Reopen(Which),
    /// It was never a problem
    Reject(Which),
    /// Not to be heard of for a time
    Shelve {
        #[command(flatten)]
        which: Which,
        /// For how long, such as 2h
        #[arg(long = "for", value_name = "DURATION", value_parser = duration)]
        length: Duration,
    },
    /// To be heard of again
    Unshelve(Which),
    /// The time limit stands still
    Pause(Which),
    /// The time limit goes on
    Resume(Which),
    /// The time limit is longer
    Extend {
        #[command(flatten)]
        which: Which,
        /// By how much of its own kind of time, such as 2h
        #[arg(long = "for", value_name = "DURATION", value_parser = duration)]
        length: Duration,
    },
    /// A remark, nothing else
    Note(Which),
}

impl TicketCommand {
    /// The command and its arguments, as they go over MQTT.
    fn arguments(self) -> (&'static str, Map<String, Value>) {
        let map = |pairs: Vec<(&str, Option<Value>)>| {
            let given = pairs.into_iter().filter_map(|(k, v)| Some((k.to_owned(), v?)));
            given.collect::<Map<String, Value>>()
        };
        let step = |action: &str, which: Which, more: Vec<(&str, Option<Value>)>| {
            let mut pairs = vec![
                ("ticket", Some(which.ticket.into())),
                ("action", Some(action.into())),
                ("note", which.note.map(Value::from)),
            ];
            pairs.extend(more);
            ("ticket", map(pairs))
        };
        let seconds = |length: Duration| Some(Value::from(length.as_secs()));
        match self {
            TicketCommand::List { state, category, crew, all } => {
                let text = |value: Option<String>| value.map(Value::from);
                let pairs = vec![
                    ("state", text(state)),
                    ("category", text(category)),
                    ("crew", text(crew)),
                    ("all", Some(all.into())),
                ];
                ("tickets", map(pairs))
            }
            TicketCommand::Show { ticket } => {
                ("tickets", map(vec![("ticket", Some(ticket.into()))]))
            }
            TicketCommand::Assign { which, crew } => {
                step("assign", which, vec![("crew", Some(crew.into()))])
            }
            TicketCommand::HandOver { which, crew } => {
                step("hand_over", which, vec![("crew", Some(crew.into()))])
            }
            TicketCommand::Shelve { which, length } => {
                step("shelve", which, vec![("for_s", seconds(length))])
            }
            TicketCommand::Extend { which, length } => {
                step("extend", which, vec![("for_s", seconds(length))])
            }
            TicketCommand::Confirm(which) => step("confirm", which, vec![]),
            TicketCommand::Ack(which) => step("ack", which, vec![]),
            TicketCommand::Accept(which) => step("accept", which, vec![]),
            TicketCommand::OnSite(which) => step("on_site", which, vec![]),
            TicketCommand::Start(which) => step("start", which, vec![]),
            TicketCommand::Resolve(which) => step("resolve", which, vec![]),
            TicketCommand::Verify(which) => step("verify", which, vec![]),
            TicketCommand::Close(which) => step("close", which, vec![]),
            TicketCommand::Reopen(which) => step("reopen", which, vec![]),
            TicketCommand::Reject(which) => step("reject", which, vec![]),
            TicketCommand::Unshelve(which) => step("unshelve", which, vec![]),
            TicketCommand::Pause(which) => step("pause", which, vec![]),
            TicketCommand::Resume(which) => step("resume", which, vec![]),
            TicketCommand::Note(which) => step("note", which, vec![]),
        }
    }
}

pub(crate) fn ask(TicketArgs { to, what }: TicketArgs) -> anyhow::Result<bool> {
    let dir = match (to.buffer, &to.config) {
        (Some(dir), _) => dir,
        (None, Some(file)) => {
            let Some(config) = check::load(file)? else { return Ok(false) };
            config.buffer.dir
        }
        (None, None) => PathBuf::from("/var/lib/steward"),
    };
    let (command, args) = what.arguments();
    let request = ticket::Request { dir, by: to.by, id: to.id, json: to.json, command, args };
    let mut stdout = std::io::stdout().lock();
    Ok(ticket::ask(&request, &mut stdout)?)
}
