//! The dashboard in a browser: what it weighs, how fast it is there, and how it stands ten thousand assets.
//!
//! The measuring is the dashboard's own (`npm run bench`); this reads its rows. Where Node or the built
//! page is missing there are none, without Chromium there are sizes only; both are said.

use std::path::Path;
use std::process::{Command, Stdio};

use serde::Deserialize;

use crate::table::Table;

/// A row as the dashboard's bench prints it.
#[derive(Debug, Deserialize)]
struct Row {
    figure: String,
    /// `null`: the browser did not tell.
    value: Option<f64>,
    unit: String,
    how: String,
    /// The target: what it is meant to stay under.
    most: Option<f64>,
}

fn unit(text: &str) -> &'static str {
    match text {
        "kB" => "kB",
        "ms" => "ms",
        "MB" => "MB",
        _ => "%",
    }
}

/// Runs the dashboard's bench.
fn measure() -> Result<Vec<Row>, String> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../agent/dashboard");
    if !dir.join("dist/index.html").exists() {
        return Err("the page is not built; make dashboard builds it".into());
    }
    let mut node = Command::new("node");
    node.args(["scripts/bench.mjs", "--json"]).current_dir(&dir).stderr(Stdio::inherit());
    let out = node.output().map_err(|e| format!("node: {e}"))?;
    let text = String::from_utf8_lossy(&out.stdout);
    let last = text.lines().last().unwrap_or_default();
    serde_json::from_str(last).map_err(|e| format!("npm run bench: {e}: {last}"))
}

pub(crate) fn rows(table: &mut Table) {
    let rows = match measure() {
        Ok(rows) => rows,
        Err(said) => {
            use std::io::Write as _;
            let _ = writeln!(std::io::stderr(), "bench: dashboard: not measured: {said}");
            return;
        }
    };
    for Row { figure, value, unit: text, how, most } in rows {
        let Some(value) = value else { continue };
        let row = table.row(figure, value, unit(&text)).how(how);
        if let Some(most) = most {
            row.at_most(most);
        }
    }
}
