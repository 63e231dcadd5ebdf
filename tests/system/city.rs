//! The simulated city: fixed seeds on every commit, a district for a week, and seeds until told to stop.
//!
//! `make city SEED=7` repeats the district of one seed; a seed that fails prints the command that repeats it.
#![allow(clippy::print_stdout, reason = "what was found is printed beside the verdict")]

use std::path::PathBuf;
use std::time::Instant;

use system_tests::city::{Plan, Size, Verdict, run};
use tokio::runtime;

/// In memory where there is such a file system: it is kills that are simulated, not power cuts.
fn place() -> PathBuf {
    let memory = PathBuf::from("/dev/shm");
    if memory.is_dir() { memory } else { std::env::temp_dir() }
}

fn live(seed: u64, size: Size, calm: bool) -> Verdict {
    let dir = tempfile::Builder::new().prefix("city-").tempdir_in(place()).unwrap();
    let runtime = runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let plan = Plan { seed, size, calm, about: None };
    runtime.block_on(run(&plan, dir.path()))
}

/// Fails with everything that was wrong, and the command that repeats it.
#[allow(clippy::disallowed_methods, reason = "how long it takes is printed")]
fn judge(seed: u64, size: Size, calm: bool, repeat: &str) {
    let begun = Instant::now();
    let Verdict { wrong, figures } = live(seed, size, calm);
    println!("seed {seed}: {figures}; took {:.1} s", begun.elapsed().as_secs_f64());
    for what in wrong.iter().take(40) {
        println!("seed {seed}: {what}");
    }
    assert!(wrong.is_empty(), "seed {seed}: {} faults. Repeat it: {repeat}", wrong.len());
}

#[test]
fn a_small_district_in_good_weather() {
    judge(1, Size::SMALL, true, "make city SEED=1 SIZE=small CALM=1");
}

#[test]
fn a_small_district_in_every_weather() {
    for seed in [2, 4] {
        judge(seed, Size::SMALL, false, &format!("make city SEED={seed} SIZE=small"));
    }
}
