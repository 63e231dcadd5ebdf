//! What the program is told on its command line. Every word of it stands here, and nothing is done here.

pub(crate) mod outbox;
pub(crate) mod ticket;
#[cfg(feature = "vision")]
pub(crate) mod vision;

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{Args, Parser, Subcommand};
use steward::{check, report, update};

use self::outbox::OutboxCommand;
use self::ticket::TicketArgs;

/// Street sensors in, tickets out: an agent for roadside gateways and sanitation vehicles.
///
/// Reads parking, bin and vehicle sensors, buffers everything so that pulling the plug loses nothing,
/// publishes it over MQTT, and raises tickets by itself.
#[derive(Debug, Parser)]
#[command(name = "steward", version, max_term_width = 100)]
#[command(after_help = "Exit codes: 0 ok, 1 the answer is no, 2 wrong use, 70 internal.\n\
                        Start with:  steward demo")]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Show it: a simulated street, an embedded MQTT broker and the dashboard, in one command
    Demo(DemoArgs),
    /// Run the box that a configuration describes
    Run(RunArgs),
    /// Check a configuration: every fault at once, with its place, its cause and what to do
    Check(CheckArgs),
    /// Find out what keeps a box from working, in plain words, with what to do next
    Doctor(DoctorArgs),
    /// Show what a box that runs here decides, as it happens
    Watch(WatchArgs),
    /// Put what somebody far away needs to know into one file, without secrets
    Bundle(BundleArgs),
    /// Write what others need to know of the box: its interface, schemas, rules for the broker
    #[command(subcommand)]
    Schema(SchemaCommand),
    /// Install another version of the program that came by command
    #[command(subcommand)]
    Update(UpdateCommand),
    /// Write completions for a shell, or the manual, for packages
    #[command(hide = true, subcommand)]
    Write(WriteCommand),
    /// Feed recorded inputs through the same decisions, offline: the same bytes every time
    Replay(ReplayArgs),
    /// Prove at the far end that nothing is missing: gaps, repetitions and order, per box and lane
    Audit(AuditArgs),
    /// Print the figures of days: of parking, of bins, or of tickets
    Report(ReportArgs),
    /// See tickets and move them, on a box that runs here
    Ticket(TicketArgs),
    /// Look into the buffer of a box, beside it or when it is stopped
    #[command(subcommand)]
    Outbox(OutboxCommand),
    /// Try a model on pictures, before a camera uses it
    #[cfg(feature = "vision")]
    #[command(subcommand)]
    Vision(vision::VisionCommand),
}

/// Starts a street of 20 bays, 12 bins and 2 sweepers whose sensors speak the real wire formats into the
/// real sources, and prints the address of the dashboard.
#[derive(Debug, Args)]
pub(crate) struct DemoArgs {
    /// Where the dashboard listens
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:8080")]
    pub(crate) http: SocketAddr,
    /// Where the embedded broker listens
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:1883")]
    pub(crate) mqtt: SocketAddr,
    /// How many times faster than real time the street runs
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=600))]
    pub(crate) speed: u32,
    /// Which street: the same seed is the same street, to the byte
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub(crate) seed: u64,
    /// End by itself after this time with a summary and a verdict, such as 30s or 5m
    #[arg(long = "for", value_name = "DURATION", value_parser = duration)]
    pub(crate) length: Option<Duration>,
    /// Keep the demo's configuration and buffer here; by default a directory that is removed at the end
    #[arg(long, value_name = "DIR")]
    pub(crate) dir: Option<PathBuf>,
    /// Print the summary as JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct RunArgs {
    /// The configuration
    #[arg(long, value_name = "FILE")]
    pub(crate) config: PathBuf,
    /// Write every input with its time into this file, for `steward replay`
    #[arg(long, value_name = "FILE")]
    pub(crate) record: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct CheckArgs {
    /// The configuration
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,
    /// Say in plain words what the box would do
    #[arg(long)]
    pub(crate) explain: bool,
}

/// Exit code 0: nothing is wrong; 1: something is.
#[derive(Debug, Args)]
pub(crate) struct DoctorArgs {
    /// The configuration
    #[arg(long, value_name = "FILE")]
    pub(crate) config: PathBuf,
    /// For programs
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct WatchArgs {
    /// The configuration of the box; without it and without --buffer, the box that buffers in /var/lib/steward
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// Its buffer, in place of the configuration; of a demo, DIR/buffer
    #[arg(long, value_name = "DIR")]
    pub(crate) buffer: Option<PathBuf>,
    /// End after so many lines
    #[arg(long, value_name = "N")]
    pub(crate) lines: Option<usize>,
    /// A JSON object a line
    #[arg(long)]
    pub(crate) json: bool,
}

/// Takes the configuration, what the doctor finds, the last heartbeat, the audit log and the journal. What
/// stands in the files that the configuration names for passwords, tokens and keys is cut out of everything.
#[derive(Debug, Args)]
pub(crate) struct BundleArgs {
    /// The configuration
    #[arg(long, value_name = "FILE")]
    pub(crate) config: PathBuf,
    /// The file to write, such as box.tar.gz; it must not be there yet
    #[arg(long, value_name = "FILE")]
    pub(crate) out: PathBuf,
}

#[derive(Debug, Subcommand)]
pub(crate) enum SchemaCommand {
    /// The broker's rules, as mosquitto's acl_file: what boxes may say and hear, and nothing else
    Acl {
        /// Only boxes of this configuration's tenant and site
        #[arg(long, value_name = "FILE")]
        config: Option<PathBuf>,
        /// A user who may read everything and give commands; may be given several times
        #[arg(long = "operator", value_name = "NAME")]
        operators: Vec<String>,
        /// A user who may read everything; may be given several times
        #[arg(long = "viewer", value_name = "NAME")]
        viewers: Vec<String>,
    },
    /// Every topic and what it carries, as an AsyncAPI 3 document
    Asyncapi,
    /// What every message looks like, as JSON Schemas (draft 7) in one document
    #[command(visible_alias = "payloads")]
    Json,
}

#[derive(Debug, Subcommand)]
pub(crate) enum UpdateCommand {
    /// Install the package that waits, watch it, and take it back when it does not work; also goes on with what
    /// a power failure has interrupted. Run by steward-update.service, as root. Exit code 1: it did not stay
    Install {
        /// The configuration of the installation, which says whose packages are installed
        #[arg(long, value_name = "FILE")]
        config: PathBuf,
        /// The system to install into, as with dpkg --root
        #[arg(long, value_name = "DIR", default_value = "/")]
        root: PathBuf,
        /// What starts the program anew, a line of shell
        #[arg(long, value_name = "LINE", default_value = update::install::RESTART)]
        restart: String,
        /// A line of shell that succeeds when the program is started no more: it is taken back at once
        #[arg(long, value_name = "LINE", default_value = update::install::GIVEN_UP)]
        given_up: String,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum WriteCommand {
    /// Completions, on stdout
    Completions {
        /// bash, zsh, fish …
        shell: clap_complete::Shell,
    },
    /// The manual, a page for the program and for each command
    Manual {
        /// The folder to write into
        dir: PathBuf,
    },
}

/// Prints one JSON line per message: {"lane","topic","retain","payload"}.
#[derive(Debug, Args)]
pub(crate) struct ReplayArgs {
    /// The configuration
    #[arg(long, value_name = "FILE")]
    pub(crate) config: PathBuf,
    /// What to feed in; may be given several times, and is then merged by time. Raw GNSS bytes (.nmea,
    /// .log), recorded inputs or raw bytes with their time (.jsonl), one network server message (.json).
    /// NAME=FILE feeds the source of that name
    #[arg(long = "input", value_name = "[NAME=]FILE", required = true)]
    pub(crate) inputs: Vec<OsString>,
    /// What the inputs are, where their names do not say it
    #[arg(long, value_name = "FORMAT")]
    pub(crate) format: Option<String>,
    /// Go on until this time (RFC 3339) after the last input, so that deadlines pass
    #[arg(long, value_name = "TIME")]
    pub(crate) until: Option<String>,
    /// Write counts and last states into this file as one JSON object
    #[arg(long, value_name = "FILE")]
    pub(crate) summary: Option<PathBuf>,
    /// Write into this file how each parking fee came about, window by window
    #[arg(long, value_name = "FILE")]
    pub(crate) fees: Option<PathBuf>,
    /// Write into this file which rule raised, cleared or reopened a ticket, and why
    #[arg(long, value_name = "FILE")]
    pub(crate) rules: Option<PathBuf>,
}

/// Listens to every box below the prefix. Exit code 0: between the first and the last number heard of each
/// lane nothing is missing; 1: something is, or nothing was heard.
#[derive(Debug, Args)]
pub(crate) struct AuditArgs {
    /// The broker, such as mqtt://127.0.0.1:1883
    #[arg(long, value_name = "URL", required_unless_present = "input", conflicts_with = "input")]
    pub(crate) broker: Option<String>,
    /// Read a recording instead: a JSON object a line, as mosquitto_sub -F %j prints them
    #[arg(long, value_name = "FILE")]
    pub(crate) input: Option<PathBuf>,
    /// Listen below this topic only
    #[arg(long, value_name = "P", default_value = "steward/v1")]
    pub(crate) prefix: String,
    /// Listen for this time, such as 30s or 5m
    #[arg(long = "for", value_name = "DURATION", value_parser = duration, default_value = "1m")]
    pub(crate) length: Duration,
    /// The user name at the broker
    #[arg(long, value_name = "NAME")]
    pub(crate) username: Option<String>,
    /// A file with the password, and nothing else
    #[arg(long, value_name = "FILE")]
    pub(crate) password_file: Option<PathBuf>,
    /// The certificate authority of the broker, PEM
    #[arg(long, value_name = "FILE")]
    pub(crate) ca_file: Option<PathBuf>,
    /// Print the verdict as JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// One line per street and bay, per bin with --about waste, or per category with --about tickets. -1 stands where nobody knows: a time that was blind is not an empty one.
#[derive(Debug, Args)]
pub(crate) struct ReportArgs {
    /// The configuration
    #[arg(long, value_name = "FILE")]
    pub(crate) config: PathBuf,
    /// The first day, such as 2026-06-01
    #[arg(long, value_name = "DATE")]
    pub(crate) from: jiff::civil::Date,
    /// The last day
    #[arg(long, value_name = "DATE")]
    pub(crate) to: jiff::civil::Date,
    /// Take recordings in place of the box's store
    #[arg(long = "input", value_name = "[NAME=]FILE")]
    pub(crate) inputs: Vec<OsString>,
    /// How it is printed
    #[arg(long, value_enum, default_value = "table")]
    pub(crate) format: report::Form,
    /// What it is about
    #[arg(long, value_enum, default_value = "parking")]
    pub(crate) about: report::About,
}

fn duration(text: &str) -> Result<Duration, String> {
    humantime::parse_duration(text).map_err(|e| format!("{e}; write it like 30s, 5m or 1h 30m"))
}

/// Where the box buffers that is meant: in `buffer`, or where the configuration at `config` says, or where
/// boxes do. `None`: the configuration is not right, which has been said.
pub(crate) fn buffer_dir(
    buffer: Option<PathBuf>,
    config: Option<&Path>,
) -> std::io::Result<Option<PathBuf>> {
    match (buffer, config) {
        (Some(dir), _) => Ok(Some(dir)),
        (None, Some(file)) => Ok(check::load(file)?.map(|config| config.buffer.dir)),
        (None, None) => Ok(Some(PathBuf::from("/var/lib/steward"))),
    }
}
