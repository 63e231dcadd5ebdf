//! `steward doctor`: what keeps a box from working, in plain words, with what to do next.
//!
//! Every check is a [`Finding`]. The doctor changes nothing, needs no box that runs, and asks one that does.
//! * `machine`: disk, card, clock, permissions, devices.
//! * `broker`: name, connection, TLS, certificates, and a message there and back on the box's own topics.
//! * `running`: what the box says of itself.

mod broker;
mod machine;
mod running;

use std::io::{self, Write};
use std::path::Path;

use serde::Serialize;
use serde_json::json;

use crate::config::{self, Config, Level, Loaded};

/// How bad a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// It is well.
    Ok,
    /// It works, and somebody should look.
    Warning,
    /// It does not work.
    Fault,
}

impl Verdict {
    const fn mark(self) -> &'static str {
        match self {
            Verdict::Ok => "ok  ",
            Verdict::Warning => "look",
            Verdict::Fault => "BAD ",
        }
    }
}

/// What one check has found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// What was looked at, one word for programs: `disk`, `name`, `publish` …
    pub check: &'static str,
    /// How bad it is.
    pub verdict: Verdict,
    /// What was found.
    pub says: String,
    /// What to do about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub todo: Option<String>,
}

impl Finding {
    fn ok(check: &'static str, says: impl Into<String>) -> Finding {
        Finding { check, verdict: Verdict::Ok, says: says.into(), todo: None }
    }

    fn look(check: &'static str, says: impl Into<String>, todo: impl Into<String>) -> Finding {
        let (verdict, todo) = (Verdict::Warning, Some(todo.into()));
        Finding { check, verdict, says: says.into(), todo }
    }

    fn bad(check: &'static str, says: impl Into<String>, todo: impl Into<String>) -> Finding {
        Finding { verdict: Verdict::Fault, ..Finding::look(check, says, todo) }
    }
}

/// Looks at everything that the configuration at `file` needs.
pub async fn examine(file: &Path) -> Vec<Finding> {
    let (config, mut findings) = read(file);
    if let Some(config) = config {
        findings.extend(machine::examine(&config));
        findings.extend(broker::examine(&config.broker, &config.site.identity).await);
        findings.extend(running::examine(&config));
    }
    findings
}

fn read(file: &Path) -> (Option<Config>, Vec<Finding>) {
    let told = |fault: &config::Fault| {
        let says = format!("{}: {}", fault.place, fault.cause);
        match fault.level {
            Level::Error => Finding::bad("configuration", says, fault.fix.clone()),
            Level::Warning => Finding::look("configuration", says, fault.fix.clone()),
        }
    };
    match config::load(file) {
        Ok(Loaded { config, warnings }) => {
            let mut findings: Vec<_> = warnings.iter().map(told).collect();
            if findings.is_empty() {
                let assets = config.site.assets.len();
                let sources = config.sources.len();
                let says = format!("{}: right; {assets} assets, {sources} sources", file.display());
                findings.push(Finding::ok("configuration", says));
            }
            (Some(config), findings)
        }
        Err(faults) => (None, faults.all().iter().map(told).collect()),
    }
}

/// Prints the findings; answers whether nothing is wrong (what should only be looked at is not).
///
/// # Errors
/// The output cannot be written.
pub fn print(findings: &[Finding], json: bool, out: &mut impl Write) -> io::Result<bool> {
    let worst = findings.iter().map(|finding| finding.verdict).max().unwrap_or(Verdict::Ok);
    if json {
        let all = json!({"verdict": worst, "findings": findings});
        writeln!(out, "{all:#}")?;
        return Ok(worst < Verdict::Fault);
    }
    for Finding { check, verdict, says, todo } in findings {
        writeln!(out, "{}  {check:<14} {says}", verdict.mark())?;
        if let Some(todo) = todo {
            writeln!(out, "                     → {todo}")?;
        }
    }
    let count = |wanted| findings.iter().filter(|f| f.verdict == wanted).count();
    let (bad, look) = (count(Verdict::Fault), count(Verdict::Warning));
    writeln!(out, "\n{} checks, {bad} bad, {look} to look at", findings.len())?;
    Ok(worst < Verdict::Fault)
}
