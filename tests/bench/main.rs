//! `make bench`: one table of counts and ratios, for people and for programs.
//!
//! ```text
//! cargo run --release --locked -p system-tests --bin bench -- [AREA…] [--json FILE]
//! ```
//! No row is a verdict on time alone: a speed stands beside a reference measured in the same run, or
//! beside the target it is meant to reach. A missed target is marked, and the program still ends well:
//! what fails a build is a test.
#![allow(clippy::disallowed_methods, reason = "it measures time")]
#![allow(clippy::unwrap_used, reason = "what cannot be set up cannot be measured")]

mod counted;
mod dashboard;
mod decoders;
mod engine;
mod link;
mod node;
mod outbox;
mod process;
mod sweeping;
mod table;
mod tickets;
mod vision;

use std::io::Write;
use std::process::ExitCode;

use table::Table;

/// One part of the system, and what measures it.
type Area = (&'static str, fn(&mut Table));

/// In the order the data flows.
const AREAS: &[Area] = &[
    ("decoders", decoders::rows),
    ("node", node::rows),
    ("engine", engine::rows),
    ("tickets", tickets::rows),
    ("outbox", outbox::rows),
    ("link", link::rows),
    ("process", process::rows),
    ("sweeping", sweeping::rows),
    ("vision", vision::rows),
    ("dashboard", dashboard::rows),
];

fn known() -> String {
    AREAS.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(", ")
}

fn wanted(names: &[String]) -> Result<Vec<Area>, String> {
    let find = |name: &String| {
        let area = AREAS.iter().find(|(known, _)| known == name);
        area.copied().ok_or_else(|| format!("{name} is not an area; there are: {}", known()))
    };
    if names.is_empty() { Ok(AREAS.to_vec()) } else { names.iter().map(find).collect() }
}

fn run() -> Result<(), String> {
    let mut names: Vec<String> = std::env::args().skip(1).collect();
    if let [word, fixes] = names.as_slice()
        && word == sweeping::ONLY
    {
        // A run of its own, whose instructions are counted from outside.
        std::hint::black_box(sweeping::drive(fixes.parse().map_err(|e| format!("{fixes}: {e}"))?));
        return Ok(());
    }
    if let [word, manifest] = names.as_slice()
        && word == vision::ONLY
    {
        // A run of its own, whose memory is counted.
        let peak = vision::only_looks(manifest).ok_or_else(|| format!("{manifest} cannot look"))?;
        writeln!(std::io::stdout(), "{peak}").map_err(|e| e.to_string())?;
        return Ok(());
    }
    let file = names.iter().position(|name| name == "--json").map(|at| names.split_off(at));
    let file = match file.as_deref() {
        None => None,
        Some([_, file]) => Some(file.clone()),
        Some(_) => return Err("--json comes last and wants a file".into()),
    };
    let mut table = Table::default();
    for (name, rows) in wanted(&names)? {
        table.area(name);
        rows(&mut table);
    }
    table.print(&mut std::io::stdout().lock()).map_err(|e| e.to_string())?;
    if let Some(file) = file {
        let text = table.json();
        std::fs::write(&file, text).map_err(|e| format!("{file}: {e}"))?;
    }
    Ok(())
}

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    if outbox::run(&args) {
        return ExitCode::SUCCESS;
    }
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(said) => {
            use std::io::Write as _;
            let _ = writeln!(std::io::stderr(), "bench: {said}");
            ExitCode::from(2)
        }
    }
}
