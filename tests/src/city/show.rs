//! Prints everything about one asset: what is true, what its sensor says, the weather, what arrives.
#![allow(clippy::print_stdout, reason = "somebody asked for it on the command line")]

use domain::time::Span;

use super::judges::Heard;
use super::sensors::{Who, told};
use super::street::ORIGIN;
use super::truth::{Truth, bay_key, bin_key};
use super::weather::Weather;

/// What is known before anything runs.
pub(super) fn plan(asset: &str, truth: &Truth, weather: &Weather) {
    for restart in &weather.restarts {
        println!("{} restart {restart:?}", clock(restart.at));
    }
    for spell in &weather.clocks {
        println!("{} until {} {:?}", clock(spell.time.from), clock(spell.time.until), spell.what);
    }
    for problem in truth.problems().iter().filter(|p| p.asset.as_deref() == Some(asset)) {
        println!("{} planted {problem:?}", clock(problem.time.from));
    }
    let of = |who: Who| match who {
        Who::Bay(i) => bay_key(i) == asset,
        Who::Bin(i) => bin_key(i) == asset,
    };
    for told in told(truth).iter().filter(|told| of(told.who)) {
        println!("{} ({}) says {:?}", clock(told.at()), told.at(), told.report.measured);
    }
}

/// A message, if it is about the asset.
pub(super) fn message(asset: &str, heard: &Heard) {
    let body = heard.body.to_string();
    let path = &heard.arrived.path;
    let of_ticket = path.starts_with("ticket/") && path.ends_with("/event");
    if path.starts_with(&format!("{asset}/"))
        || (of_ticket && body.contains(&format!(":{asset}\"")))
    {
        println!("    {path} {body}");
    }
}

/// A time of the city as the box would write it.
fn clock(at: u64) -> String {
    (ORIGIN + Span::from_ms(at)).to_string()
}
