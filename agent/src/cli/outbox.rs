//! `steward outbox`: what can be asked of a buffer.

use std::io::Write;
use std::path::PathBuf;

use clap::{Args, Subcommand};
use domain::output::Lane;
use steward::logging::log;
use steward::{check, stored};

#[derive(Debug, Subcommand)]
pub(crate) enum OutboxCommand {
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
pub(crate) struct OutboxArgs {
    /// The configuration
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// The buffer of this [[uplink]]; without it, that of [mqtt]
    #[arg(long, value_name = "NAME")]
    uplink: Option<String>,
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

pub(crate) fn look_into(command: OutboxCommand) -> anyhow::Result<bool> {
    log("error");
    let (args, request) = command.request();
    let Some(config) = check::load(&args.config)? else { return Ok(false) };
    let mut stdout = std::io::BufWriter::new(std::io::stdout().lock());
    let answer = stored::outbox(&config, args.uplink.as_deref(), &request, &mut stdout)?;
    stdout.flush()?;
    Ok(answer)
}
