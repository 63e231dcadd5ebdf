//! The simulated city of one seed, or of one seed after the other until the time is over.
//!
//! ```text
//! city [--seed N] [--size small|district] [--calm] [--about ASSET] [--minutes N]
//! ```
//! Without `--minutes` it runs the one seed. Exit code 1: a judge found something wrong; the command that
//! repeats the seed stands beside it.
#![allow(clippy::print_stdout, reason = "it is a program: this is how it talks")]

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use system_tests::city::{Plan, Size, Verdict, run};
use tokio::runtime;

struct Options {
    seed: u64,
    size: (&'static str, Size),
    calm: bool,
    about: Option<String>,
    minutes: Option<u64>,
}

fn options(mut args: impl Iterator<Item = String>) -> Option<Options> {
    let size = ("district", Size::DISTRICT);
    let mut options = Options { seed: 1, size, calm: false, about: None, minutes: None };
    while let Some(arg) = args.next() {
        match arg.as_str() {
            "--seed" => options.seed = args.next()?.parse().ok()?,
            "--minutes" => options.minutes = Some(args.next()?.parse().ok()?),
            "--about" => options.about = Some(args.next()?),
            "--calm" => options.calm = true,
            "--size" => {
                options.size = match args.next()?.as_str() {
                    "small" => ("small", Size::SMALL),
                    "district" => ("district", Size::DISTRICT),
                    _ => return None,
                }
            }
            _ => return None,
        }
    }
    Some(options)
}

#[allow(clippy::disallowed_methods, reason = "how long it takes is printed")]
fn now() -> Instant {
    Instant::now()
}

fn main() -> ExitCode {
    let Some(options) = options(std::env::args().skip(1)) else {
        println!("city [--seed N] [--size small|district] [--calm] [--about ASSET] [--minutes N]");
        return ExitCode::from(2);
    };
    let begun = now();
    let limit = options.minutes.map(|minutes| Duration::from_secs(60 * minutes));
    let (mut bad, mut seeds, mut days) = (0, 0, 0);
    for seed in options.seed.. {
        let (wrong, lived) = live(seed, &options);
        (seeds, days) = (seeds + 1, days + lived);
        bad += u64::from(wrong > 0);
        if limit.is_none_or(|limit| begun.elapsed() >= limit) {
            break;
        }
    }
    let took = begun.elapsed().as_secs_f64();
    println!("{seeds} seeds, {days} days of the city in {took:.1} s, {bad} with faults");
    if bad == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Runs one seed; gives how much was wrong, and the days that it was about.
fn live(seed: u64, options: &Options) -> (usize, u64) {
    let begun = now();
    // In memory where there is such a file system: it is kills that are simulated, not power cuts.
    let memory = PathBuf::from("/dev/shm");
    let place = if memory.is_dir() { memory } else { std::env::temp_dir() };
    let dir = tempfile::Builder::new().prefix("city-").tempdir_in(place);
    let dir = dir.expect("there is a place for the store");
    let runtime = runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.expect("a runtime of one thread can be had");
    let (size, calm) = (options.size, options.calm);
    let plan = Plan { seed, size: size.1, calm, about: options.about.clone() };
    let Verdict { wrong, figures } = runtime.block_on(run(&plan, dir.path()));
    println!("seed {seed}: {figures}; took {:.1} s", begun.elapsed().as_secs_f64());
    for what in wrong.iter().take(40) {
        println!("seed {seed}: {what}");
    }
    if !wrong.is_empty() {
        let calm = if calm { " CALM=1" } else { "" };
        println!(
            "seed {seed}: {} faults. Repeat it: make city SEED={seed} SIZE={}{calm}",
            wrong.len(),
            size.0
        );
    }
    (wrong.len(), figures.days)
}
