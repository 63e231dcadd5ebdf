//! `steward report`: the figures of days, from a box's store or from recordings.
//!
//! Reads what the engine stored when it closed a day, beside a box that runs as well as without one, and
//! changes nothing.

use std::ffi::OsString;
use std::io::{self, Write};

use domain::assessment;
use domain::ids::{AssetId, AssetKey, Class};
use domain::output::Record;
use domain::parking::report::{csv, days, lines, people, rows, table};
use domain::parking::tariff::{Currency, Tariff};
use domain::waste::figures;
use jiff::civil::Date;

use crate::config::Config;
use crate::outbox::{self, OpenError};
use crate::replay;

/// What is wanted.
#[derive(Debug, Clone)]
pub struct Request {
    /// The first day.
    pub from: Date,
    /// The last day.
    pub to: Date,
    /// Recordings to take in place of the store.
    pub inputs: Vec<OsString>,
    /// How it is printed.
    pub form: Form,
    /// What it is about.
    pub about: About,
}

/// What a report is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum About {
    /// Streets and bays.
    Parking,
    /// Streets and bins.
    Waste,
    /// Tickets: how fast, how well, how often again.
    Tickets,
}

/// How a report is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Form {
    /// For people.
    Table,
    /// Comma-separated values.
    Csv,
    /// An array of objects.
    Json,
}

/// Why there is no report.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// The store.
    #[error("cannot read the store (--input takes recordings in its place): {0}")]
    Store(#[from] OpenError),
    /// A recording.
    #[error(transparent)]
    Replay(#[from] replay::Failure),
    /// The output.
    #[error("cannot print: {0}")]
    Print(#[from] io::Error),
}

/// Prints the report to `out`; answers whether there were any days.
///
/// # Errors
/// The store or a recording cannot be read, or the output cannot be written.
pub fn report(config: &Config, request: &Request, out: &mut impl Write) -> Result<bool, Failure> {
    let records: Vec<Record> = if request.inputs.is_empty() {
        outbox::look(&config.buffer, &config.site.identity)?
    } else {
        let inputs =
            replay::Request { inputs: request.inputs.clone(), ..replay::Request::default() };
        replay::records(config, &inputs)?
    };
    let (lines, json) = match request.about {
        About::Parking => {
            let rows = rows(&days(records.iter(), request.from, request.to));
            let lines = match request.form {
                Form::Table => people(&rows, currency(config)),
                Form::Csv | Form::Json => lines(&rows),
            };
            (lines, serde_json::to_value(&rows))
        }
        About::Waste => {
            let street_of = |bin: &AssetId| {
                let key = AssetKey::new(Class::Bin, bin.clone());
                config.site.assets.get(&key)?.street.clone()
            };
            let days = (request.from, request.to);
            let rows = figures::rows(records.iter(), days, street_of);
            (figures::lines(&rows), serde_json::to_value(&rows))
        }
        About::Tickets => {
            let site = &config.site;
            let tickets =
                assessment::tickets(records.iter(), &site.calendar, request.from, request.to);
            let rows = assessment::rows(&tickets, site);
            (assessment::lines(&rows), serde_json::to_value(&rows))
        }
    };
    match request.form {
        Form::Table => out.write_all(table(&lines).as_bytes())?,
        Form::Csv => out.write_all(csv(&lines).as_bytes())?,
        Form::Json => {
            let json = json.map_err(io::Error::from)?;
            serde_json::to_writer_pretty(&mut *out, &json).map_err(io::Error::from)?;
            out.write_all(b"\n")?;
        }
    }
    // The first line is the head.
    Ok(lines.len() > 1)
}

/// The currency of all tariffs, where they have one in common.
fn currency(config: &Config) -> Option<Currency> {
    let tariffs = config.site.parking.tariffs.values();
    let mut found = tariffs.flat_map(Tariff::plans).map(|plan| plan.currency);
    let first = found.next()?;
    found.all(|other| other == first).then_some(first)
}
