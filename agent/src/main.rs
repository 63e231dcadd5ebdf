//! The commands. Data goes to stdout, everything else to stderr.

mod cli;

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{CommandFactory, Parser};
use steward::logging::log;
use steward::{audit, bundle, check, demo, doctor, replay, report, run, schema, update, watch};

use self::cli::{
    AuditArgs, BundleArgs, Cli, Command, DemoArgs, DoctorArgs, ReplayArgs, ReportArgs, RunArgs,
    SchemaCommand, UpdateCommand, WatchArgs, WriteCommand,
};

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
        Command::Demo(args) => show(args),
        Command::Run(args) => serve(args),
        Command::Check(args) => Ok(check::check(&args.file, args.explain)?),
        Command::Doctor(args) => examine(args),
        Command::Watch(args) => look_on(args),
        Command::Bundle(args) => pack(args),
        Command::Schema(command) => describe(command),
        Command::Update(command) => install(command),
        Command::Write(command) => write_out(command),
        Command::Replay(args) => play(args),
        Command::Ticket(args) => cli::ticket::ask(args),
        Command::Audit(args) => listen(args),
        Command::Report(args) => print_report(args),
        Command::Outbox(command) => cli::outbox::look_into(command),
        #[cfg(feature = "vision")]
        Command::Vision(command) => cli::vision::look_at(command),
    }
}

fn show(args: DemoArgs) -> anyhow::Result<bool> {
    log("warn");
    let DemoArgs { http, mqtt, speed, seed, length, dir, json } = args;
    let options = demo::Options { http, mqtt, speed, seed, length, dir, json };
    Ok(runtime()?.block_on(demo::show(options))?)
}

fn serve(args: RunArgs) -> anyhow::Result<bool> {
    let log = log("info");
    let Some(config) = check::load(&args.config)? else { return Ok(false) };
    let start = run::Start { file: args.config, config, record: args.record, log };
    runtime()?.block_on(run::serve(start))?;
    Ok(true)
}

fn examine(DoctorArgs { config, json }: DoctorArgs) -> anyhow::Result<bool> {
    log("error");
    let findings = runtime()?.block_on(doctor::examine(&config));
    Ok(doctor::print(&findings, json, &mut std::io::stdout().lock())?)
}

fn look_on(args: WatchArgs) -> anyhow::Result<bool> {
    let Some(dir) = cli::buffer_dir(args.buffer, args.config.as_deref())? else { return Ok(false) };
    watch::watch(&dir, args.json, args.lines, &mut std::io::stdout().lock())?;
    Ok(true)
}

fn pack(BundleArgs { config, out }: BundleArgs) -> anyhow::Result<bool> {
    log("error");
    let names = runtime()?.block_on(bundle::bundle(&config, &out))?;
    writeln!(std::io::stdout(), "{}: {}", out.display(), names.join(", "))?;
    Ok(true)
}

fn describe(command: SchemaCommand) -> anyhow::Result<bool> {
    let document = match command {
        SchemaCommand::Asyncapi => schema::asyncapi::document(),
        SchemaCommand::Json => schema::payloads::document(),
        SchemaCommand::Acl { config, operators, viewers } => {
            return write_acl(config, &schema::acl::Wanted { operators, viewers });
        }
    };
    writeln!(std::io::stdout(), "{document:#}")?;
    Ok(true)
}

fn write_acl(config: Option<PathBuf>, wanted: &schema::acl::Wanted) -> anyhow::Result<bool> {
    let config = match config {
        Some(file) => match check::load(&file)? {
            Some(config) => Some(config),
            None => return Ok(false),
        },
        None => None,
    };
    write!(std::io::stdout(), "{}", schema::acl::mosquitto(config.as_ref(), wanted))?;
    Ok(true)
}

fn install(command: UpdateCommand) -> anyhow::Result<bool> {
    log("info");
    let UpdateCommand::Install { config, root, restart, given_up } = command;
    // What was interrupted must be brought to its end whatever the file says by now.
    let config = check::load(&config)?;
    let settings = config.as_ref().and_then(|config| config.update.as_ref());
    let state = settings.map_or(update::install::STATE_DIR.into(), |s| s.state_dir.clone());
    let place = update::install::Place { root, state, restart, given_up };
    let installation = config.as_ref().map(|config| (config.buffer.dir.as_path(), settings));
    let ended = runtime()?.block_on(update::install::install(&place, installation))?;
    Ok(matches!(ended, None | Some(update::Phase::Confirmed)))
}

fn write_out(command: WriteCommand) -> anyhow::Result<bool> {
    let mut cli = Cli::command();
    match command {
        WriteCommand::Completions { shell } => {
            clap_complete::generate(shell, &mut cli, "steward", &mut std::io::stdout().lock());
        }
        WriteCommand::Manual { dir } => {
            std::fs::create_dir_all(&dir)?;
            clap_mangen::generate_to(cli, dir)?;
        }
    }
    Ok(true)
}

fn play(args: ReplayArgs) -> anyhow::Result<bool> {
    let Some(config) = check::load(&args.config)? else { return Ok(false) };
    let ReplayArgs { inputs, format, until, summary, fees, rules, .. } = args;
    let request = replay::Request { inputs, format, until, summary, fees, rules };
    let mut stdout = std::io::BufWriter::new(std::io::stdout().lock());
    replay::replay(&config, &request, &mut stdout)?;
    stdout.flush()?;
    Ok(true)
}

fn listen(args: AuditArgs) -> anyhow::Result<bool> {
    log("error");
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

fn print_report(args: ReportArgs) -> anyhow::Result<bool> {
    let Some(config) = check::load(&args.config)? else { return Ok(false) };
    let ReportArgs { from, to, inputs, format: form, about, .. } = args;
    let request = report::Request { from, to, inputs, form, about };
    let mut stdout = std::io::BufWriter::new(std::io::stdout().lock());
    let any = report::report(&config, &request, &mut stdout)?;
    stdout.flush()?;
    Ok(any)
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
