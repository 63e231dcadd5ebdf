//! How each fee of a replay came about, window by window, for people.
//!
//! Everything is taken from the session's event, so what is said here is what whoever receives the event
//! can work out as well.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use domain::calendar::Calendar;
use domain::output::{Body, Message, Topic};
use domain::parking::tariff::Fee;
use domain::time::Utc;
use serde_json::{Map, Value};

/// The file that fees are written to.
pub(super) struct Fees {
    path: PathBuf,
    out: BufWriter<File>,
}

impl Fees {
    pub(super) fn create(path: &Path) -> io::Result<Fees> {
        Ok(Fees { path: path.to_owned(), out: BufWriter::new(File::create(path)?) })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Writes a session's fee; nothing for every other message.
    pub(super) fn note(&mut self, message: &Message, calendar: &Calendar) -> io::Result<()> {
        match (&message.topic, &message.body) {
            (Topic::AssetEvent(bay), Body::Event { kind: "parking.session", data }) => {
                writeln!(self.out, "{bay} {}", explain(data, calendar))
            }
            _ => Ok(()),
        }
    }

    pub(super) fn finish(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

fn explain(session: &Map<String, Value>, calendar: &Calendar) -> String {
    let text = |name: &str| session.get(name).and_then(Value::as_str).unwrap_or_default();
    let time = |name: &str| match Utc::parse(text(name)) {
        Ok(utc) => calendar.local(utc).strftime("%Y-%m-%d %H:%M:%S").to_string(),
        Err(_) => text(name).to_owned(),
    };
    let (from, to, quality) = (time("start"), time("end"), text("quality"));
    let fee = session.get("fee").and_then(|fee| serde_json::from_value::<Fee>(fee.clone()).ok());
    let Some(fee) = fee else { return format!("{from} to {to}, {quality}: no tariff") };
    let billed = match text("not_billed") {
        "" => "billed".to_owned(),
        why => format!("not billed ({why})"),
    };
    let mut lines = vec![format!("{from} to {to}, {quality}, {billed}")];
    lines.extend(fee.explain(calendar).into_iter().map(|line| format!("  {line}")));
    lines.join("\n")
}
