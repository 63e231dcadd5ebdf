//! The commands. Data goes to stdout, everything else to stderr.

use std::ffi::OsString;
use std::io::Write;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};
use domain::output::Lane;
use serde_json::{Map, Value};
use steward::{audit, check, demo, replay, report, run, stored, ticket};

/// Street sensors in, tickets out: an agent for roadside gateways and sanitation vehicles.
///
/// Reads parking, bin and vehicle sensors, buffers everything so that pulling the plug loses nothing,
/// publishes it over MQTT, and raises tickets by itself.
#[derive(Debug, Parser)]
#[command(name = "steward", version, max_term_width = 100)]
#[command(after_help = "Exit codes: 0 ok, 1 the answer is no, 2 wrong use, 70 internal.\n\
                        Start with:  steward demo")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Show it: a simulated street, an embedded MQTT broker and the dashboard, in one command
    Demo(DemoArgs),
    /// Run the box that a configuration describes
    Run(RunArgs),
    /// Check a configuration: every fault at once, with its place, its cause and what to do
    Check(CheckArgs),
    /// Feed recorded inputs through the same decisions, offline: the same bytes every time
    Replay(ReplayArgs),
    /// Prove at the far end that nothing is missing: gaps, repetitions and order, per box and lane
    Audit(AuditArgs),
    /// Print the figures of days: of parking, of bins, or of tickets
    Report(ReportArgs),
    /// See tickets and move them, on a box that runs here
    Ticket(TicketArgs),
    /// Look into the buffer of a box that is stopped
    #[command(subcommand)]
    Outbox(OutboxCommand),
    /// Try a model on pictures, before a camera uses it
    #[cfg(feature = "vision")]
    #[command(subcommand)]
    Vision(VisionCommand),
}

#[cfg(feature = "vision")]
#[derive(Debug, Subcommand)]
enum VisionCommand {
    /// What the model sees in pictures; 1 when one of them cannot be read
    Run {
        #[command(flatten)]
        args: VisionArgs,
        /// One JSON object a line
        #[arg(long)]
        json: bool,
        /// Write copies here, redacted, with the surest box
        #[arg(long, value_name = "DIR")]
        annotate: Option<PathBuf>,
    },
    /// How long it takes on this machine
    Bench(VisionArgs),
}

#[cfg(feature = "vision")]
#[derive(Debug, Args)]
struct VisionArgs {
    /// The manifest of a model, or the name of a built-in one
    #[arg(long, value_name = "MANIFEST")]
    model: String,
    /// A picture; may be given more than once
    #[arg(long, value_name = "FILE", required_unless_present = "dir")]
    image: Vec<PathBuf>,
    /// Every JPEG in a folder
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
enum OutboxCommand {
    /// The counts of every lane: what was taken in, acknowledged, is stored, was lost and why
    Stats(OutboxArgs),
    /// What is stored, oldest first
    Ls {
        #[command(flatten)]
        args: OutboxArgs,
        /// Of this lane only: ticket, event, state or telemetry
        #[arg(long, value_parser = lane)]
        lane: Option<Lane>,
        /// At most so many
        #[arg(long, value_name = "N", default_value_t = 100)]
        limit: usize,
    },
    /// The payload of one message
    Peek {
        #[command(flatten)]
        args: OutboxArgs,
        /// Its lane: ticket, event, state or telemetry
        #[arg(long, value_parser = lane)]
        lane: Lane,
        /// Its number; the oldest by default
        #[arg(long, value_name = "N")]
        seq: Option<u64>,
    },
    /// Read everything: 0 all of it is there, 1 it is not
    Verify(OutboxArgs),
    /// Every message as a JSON line; what is exported stays
    Export {
        #[command(flatten)]
        args: OutboxArgs,
        /// Of this lane only: ticket, event, state or telemetry
        #[arg(long, value_parser = lane)]
        lane: Option<Lane>,
    },
    /// Every message that can be found in what was damaged and moved aside, as a JSON line
    ///
    /// Finds messages up to 6 KB in any order, also some that had been acknowledged: their ids tell.
    Salvage {
        #[command(flatten)]
        args: OutboxArgs,
        /// Look in this directory
        #[arg(long, value_name = "DIR")]
        from: Option<PathBuf>,
    },
}

#[derive(Debug, Args)]
struct OutboxArgs {
    /// The configuration
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// For programs
    #[arg(long)]
    json: bool,
}

impl OutboxCommand {
    fn request(self) -> (OutboxArgs, stored::Request) {
        use stored::Request;
        match self {
            OutboxCommand::Stats(args) => {
                let json = args.json;
                (args, Request::Stats { json })
            }
            OutboxCommand::Ls { args, lane, limit } => {
                let json = args.json;
                (args, Request::Ls { lane, limit, json })
            }
            OutboxCommand::Peek { args, lane, seq } => (args, Request::Peek { lane, seq }),
            OutboxCommand::Verify(args) => {
                let json = args.json;
                (args, Request::Verify { json })
            }
            OutboxCommand::Export { args, lane } => (args, Request::Export { lane }),
            OutboxCommand::Salvage { args, from } => (args, Request::Salvage { from }),
        }
    }
}

fn lane(text: &str) -> Result<Lane, String> {
    let lane = Lane::ALL.into_iter().find(|lane| lane.as_str() == text);
    lane.ok_or_else(|| "there are ticket, event, state and telemetry".to_owned())
}

/// Starts a street of 20 bays, 12 bins and 2 sweepers whose sensors speak the real wire formats into the
/// real sources, and prints the address of the dashboard.
#[derive(Debug, Args)]
struct DemoArgs {
    /// Where the dashboard listens
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:8080")]
    http: SocketAddr,
    /// Where the embedded broker listens
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:1883")]
    mqtt: SocketAddr,
    /// How many times faster than real time the street runs
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=600))]
    speed: u32,
    /// Which street: the same seed is the same street, to the byte
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    /// End by itself after this time with a summary and a verdict, such as 30s or 5m
    #[arg(long = "for", value_name = "DURATION", value_parser = duration)]
    length: Option<Duration>,
    /// Keep the demo's configuration and buffer here; by default a directory that is removed at the end
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
    /// Print the summary as JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
struct RunArgs {
    /// The configuration
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// Write every input with its time into this file, for `steward replay`
    #[arg(long, value_name = "FILE")]
    record: Option<PathBuf>,
}

#[derive(Debug, Args)]
struct CheckArgs {
    /// The configuration
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Say in plain words what the box would do
    #[arg(long)]
    explain: bool,
}

/// Prints one JSON line per message: {"lane","topic","retain","payload"}.
#[derive(Debug, Args)]
struct ReplayArgs {
    /// The configuration
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// What to feed in; may be given several times, and is then merged by time. Raw GNSS bytes (.nmea,
    /// .log), recorded inputs or raw bytes with their time (.jsonl), one network server message (.json).
    /// NAME=FILE feeds the source of that name
    #[arg(long = "input", value_name = "[NAME=]FILE", required = true)]
    inputs: Vec<OsString>,
    /// What the inputs are, where their names do not say it
    #[arg(long, value_name = "FORMAT")]
    format: Option<String>,
    /// Go on until this time (RFC 3339) after the last input, so that deadlines pass
    #[arg(long, value_name = "TIME")]
    until: Option<String>,
    /// Write counts and last states into this file as one JSON object
    #[arg(long, value_name = "FILE")]
    summary: Option<PathBuf>,
    /// Write into this file how each parking fee came about, window by window
    #[arg(long, value_name = "FILE")]
    fees: Option<PathBuf>,
}

/// Listens to every box below the prefix. Exit code 0: between the first and the last number heard of each
/// lane nothing is missing; 1: something is, or nothing was heard.
#[derive(Debug, Args)]
struct AuditArgs {
    /// The broker, such as mqtt://127.0.0.1:1883
    #[arg(long, value_name = "URL", required_unless_present = "input", conflicts_with = "input")]
    broker: Option<String>,
    /// Read a recording instead: a JSON object a line, as mosquitto_sub -F %j prints them
    #[arg(long, value_name = "FILE")]
    input: Option<PathBuf>,
    /// Listen below this topic only
    #[arg(long, value_name = "P", default_value = "steward/v1")]
    prefix: String,
    /// Listen for this time, such as 30s or 5m
    #[arg(long = "for", value_name = "DURATION", value_parser = duration, default_value = "1m")]
    length: Duration,
    /// The user name at the broker
    #[arg(long, value_name = "NAME")]
    username: Option<String>,
    /// A file with the password, and nothing else
    #[arg(long, value_name = "FILE")]
    password_file: Option<PathBuf>,
    /// The certificate authority of the broker, PEM
    #[arg(long, value_name = "FILE")]
    ca_file: Option<PathBuf>,
    /// Print the verdict as JSON
    #[arg(long)]
    json: bool,
}

/// One line per street and bay, per bin with --about waste, or per category with --about tickets. -1 stands where nobody knows: a time that was blind is not an empty one.
#[derive(Debug, Args)]
struct ReportArgs {
    /// The configuration
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// The first day, such as 2026-06-01
    #[arg(long, value_name = "DATE")]
    from: jiff::civil::Date,
    /// The last day
    #[arg(long, value_name = "DATE")]
    to: jiff::civil::Date,
    /// Take recordings in place of the box's store
    #[arg(long = "input", value_name = "[NAME=]FILE")]
    inputs: Vec<OsString>,
    /// How it is printed
    #[arg(long, value_enum, default_value = "table")]
    format: report::Form,
    /// What it is about
    #[arg(long, value_enum, default_value = "parking")]
    about: report::About,
}

/// Speaks to a running box through the socket beside its buffer. Exit code 1 when it refuses.
#[derive(Debug, Args)]
struct TicketArgs {
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

fn ask_of_ticket(TicketArgs { to, what }: TicketArgs) -> anyhow::Result<bool> {
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

fn duration(text: &str) -> Result<Duration, String> {
    humantime::parse_duration(text).map_err(|e| format!("{e}; write it like 30s, 5m or 1h 30m"))
}

/// Sysexits' EX_SOFTWARE: something in here is broken, not in what was asked.
const INTERNAL: u8 = 70;

fn main() -> ExitCode {
    let cli = Cli::parse();
    match dispatch(cli.command) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(1),
        // Whoever read our output has had enough.
        Err(error) if is_broken_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            // Nobody is left to tell if stderr is closed.
            let _ = writeln!(std::io::stderr(), "steward: {error}");
            let wrong_use = error
                .downcast_ref::<replay::Failure>()
                .is_some_and(replay::Failure::is_wrong_use)
                || error.downcast_ref::<audit::Failure>().is_some_and(audit::Failure::is_wrong_use);
            ExitCode::from(if wrong_use { 2 } else { INTERNAL })
        }
    }
}

/// Carries a command out; answers whether the answer is yes.
fn dispatch(command: Command) -> anyhow::Result<bool> {
    match command {
        Command::Demo(args) => {
            run::log("warn");
            let options = demo::Options {
                http: args.http,
                mqtt: args.mqtt,
                speed: args.speed,
                seed: args.seed,
                length: args.length,
                dir: args.dir,
                json: args.json,
            };
            Ok(runtime()?.block_on(demo::show(options))?)
        }
        Command::Run(args) => {
            run::log("info");
            let Some(config) = check::load(&args.config)? else { return Ok(false) };
            runtime()?.block_on(run::serve(config, args.record))?;
            Ok(true)
        }
        Command::Check(args) => Ok(check::check(&args.file, args.explain)?),
        Command::Replay(args) => {
            let Some(config) = check::load(&args.config)? else { return Ok(false) };
            let request = replay::Request {
                inputs: args.inputs,
                format: args.format,
                until: args.until,
                summary: args.summary,
                fees: args.fees,
            };
            let mut stdout = std::io::BufWriter::new(std::io::stdout().lock());
            replay::replay(&config, &request, &mut stdout)?;
            stdout.flush()?;
            Ok(true)
        }
        Command::Ticket(args) => ask_of_ticket(args),
        Command::Audit(args) => {
            run::log("error");
            let from = match (args.broker, args.input) {
                (Some(url), _) => audit::From::Broker(audit::At {
                    url,
                    username: args.username,
                    password_file: args.password_file,
                    ca_file: args.ca_file,
                    prefix: args.prefix,
                    length: args.length,
                }),
                (None, Some(path)) => audit::From::File(path),
                (None, None) => unreachable!("one of the two is required"),
            };
            let mut stdout = std::io::stdout().lock();
            let request = audit::Request { from, json: args.json };
            Ok(runtime()?.block_on(audit::audit(request, &mut stdout))?)
        }
        Command::Report(args) => {
            let Some(config) = check::load(&args.config)? else { return Ok(false) };
            let ReportArgs { from, to, inputs, format: form, about, .. } = args;
            let request = report::Request { from, to, inputs, form, about };
            let mut stdout = std::io::BufWriter::new(std::io::stdout().lock());
            let any = report::report(&config, &request, &mut stdout)?;
            stdout.flush()?;
            Ok(any)
        }
        Command::Outbox(command) => look_into(command),
        #[cfg(feature = "vision")]
        Command::Vision(command) => look_at(command),
    }
}

#[cfg(feature = "vision")]
fn look_at(command: VisionCommand) -> anyhow::Result<bool> {
    use steward::look;
    let (args, json, annotate, bench) = match command {
        VisionCommand::Run { args, json, annotate } => (args, json, annotate, false),
        VisionCommand::Bench(args) => (args, false, None, true),
    };
    let VisionArgs { model, image: mut pictures, dir } = args;
    if let Some(dir) = dir {
        pictures.extend(look::pictures_in(&dir)?);
    }
    let request = look::Request { model, pictures, json, annotate, bench };
    let mut stdout = std::io::BufWriter::new(std::io::stdout().lock());
    let all = look::look(&request, &mut stdout, &mut std::io::stderr().lock())?;
    stdout.flush()?;
    Ok(all)
}

fn look_into(command: OutboxCommand) -> anyhow::Result<bool> {
    run::log("error");
    let (args, request) = command.request();
    let Some(config) = check::load(&args.config)? else { return Ok(false) };
    let mut stdout = std::io::BufWriter::new(std::io::stdout().lock());
    let answer = stored::outbox(&config, &request, &mut stdout)?;
    stdout.flush()?;
    Ok(answer)
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    let io = |e: &(dyn std::error::Error + 'static)| {
        e.downcast_ref::<std::io::Error>().map(std::io::Error::kind)
    };
    error.chain().filter_map(io).any(|kind| kind == std::io::ErrorKind::BrokenPipe)
}

fn runtime() -> std::io::Result<tokio::runtime::Runtime> {
    // Two threads carry everything: one for the links and sources, one so that a busy moment of the
    // engine does not keep a ping waiting. The committer has a thread of its own.
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()
}
