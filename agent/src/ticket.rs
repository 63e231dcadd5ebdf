//! `steward ticket`: tickets from the shell, through the local socket of a box that runs.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::{Map, Value, json};

use crate::control::local;

/// The longest wait for an answer.
const PATIENCE: Duration = Duration::from_secs(20);
/// The longest answer.
const ANSWER_MAX: u64 = 4 * 1024 * 1024;

/// What is asked, of whom.
#[derive(Debug, Clone)]
pub struct Request {
    /// The folder that the box buffers in.
    pub dir: PathBuf,
    /// Who asks.
    pub by: String,
    /// The command's id; without it, one that nobody has had.
    pub id: Option<String>,
    /// Print what came as JSON.
    pub json: bool,
    /// The name of the command.
    pub command: &'static str,
    /// Its arguments.
    pub args: Map<String, Value>,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// Nobody listens there.
    #[error("no box answers at {path}: {source}; is it running, and may you open its socket?")]
    Nobody {
        /// The socket.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// The connection broke off.
    #[error("the box did not answer: {0}")]
    Broken(#[source] io::Error),
    /// What came is no answer.
    #[error("what the box said is no answer: {0}")]
    Unread(#[from] serde_json::Error),
    /// The output.
    #[error("cannot print: {0}")]
    Print(#[source] io::Error),
}

/// Asks, and prints the answer; answers whether it is yes.
///
/// # Errors
/// Nobody answers, or the output cannot be written.
pub fn ask(request: &Request, out: &mut impl Write) -> Result<bool, Failure> {
    let id = match &request.id {
        Some(id) => id.clone(),
        None => new_id().map_err(Failure::Broken)?,
    };
    let payload = json!({"id": id, "by": request.by, "args": request.args});
    let answer = exchange(&request.dir, request.command, payload)?;
    let ok = answer["ok"] == true;
    let printed = if request.json {
        writeln!(out, "{answer:#}")
    } else if ok {
        print(request, &answer["result"], out)
    } else {
        writeln!(io::stderr(), "steward: {}", text(&answer["error"], "msg"))
    };
    printed.map_err(Failure::Print)?;
    Ok(ok && answer["result"]["chain"]["ok"] != false)
}

/// One request and its answer, on the socket of the box that buffers in `dir`.
///
/// # Errors
/// Nobody answers there, or what comes is no answer.
pub(crate) fn exchange(dir: &Path, command: &str, payload: Value) -> Result<Value, Failure> {
    let path = local::path(dir);
    let nobody = |source| Failure::Nobody { path: path.clone(), source };
    let mut stream = UnixStream::connect(&path).map_err(nobody)?;
    let request = local::Request { command: command.to_owned(), payload };
    let mut line = serde_json::to_vec(&request)?;
    line.push(b'\n');
    let mut said = String::new();
    let mut talk = || -> io::Result<()> {
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.write_all(&line)?;
        BufReader::new((&stream).take(ANSWER_MAX)).read_line(&mut said)?;
        Ok(())
    };
    talk().map_err(Failure::Broken)?;
    if said.is_empty() {
        return Err(Failure::Broken(io::ErrorKind::UnexpectedEof.into()));
    }
    Ok(serde_json::from_str(&said)?)
}

/// An id that no command has had: the kernel's own random one.
fn new_id() -> io::Result<String> {
    let id = std::fs::read_to_string("/proc/sys/kernel/random/uuid")?;
    Ok(format!("cli-{}", id.trim()))
}

fn print(request: &Request, result: &Value, out: &mut impl Write) -> io::Result<()> {
    match (request.command, result.get("tickets")) {
        ("tickets", Some(Value::Array(tickets))) => print_list(tickets, result, out),
        ("tickets", _) => print_ticket(result, out),
        _ => {
            write!(out, "{} is {}", text(result, "ticket"), text(result, "state"))?;
            match result.get("due") {
                Some(due) => writeln!(out, ", due {}", due.as_str().unwrap_or_default()),
                None => writeln!(out),
            }
        }
    }
}

fn print_list(tickets: &[Value], result: &Value, out: &mut impl Write) -> io::Result<()> {
    for ticket in tickets {
        let due = ticket.get("due").and_then(Value::as_str).map(|due| {
            let word = if ticket["overdue"] == true { "overdue since" } else { "due" };
            format!("  {word} {due}")
        });
        let crew = ticket.get("crew").and_then(Value::as_str).map(|crew| format!("  crew {crew}"));
        let cleared =
            if ticket["cleared_by_sensor"] == true { "  gone, says the sensor" } else { "" };
        writeln!(
            out,
            "{}  {:<12} {:<8} {:<40} since {}{}{}{cleared}",
            text(ticket, "ticket_id"),
            text(ticket, "state"),
            text(ticket, "severity"),
            text(ticket, "key"),
            text(ticket, "opened_at"),
            due.unwrap_or_default(),
            crew.unwrap_or_default(),
        )?;
    }
    writeln!(out, "{} of {}", tickets.len(), result["total"])?;
    for (crew, load) in result["workload"].as_object().into_iter().flatten() {
        writeln!(
            out,
            "crew {crew}: {} dispatched, {} overdue",
            load["dispatched"], load["overdue"]
        )?;
    }
    Ok(())
}

/// A ticket for people: what it is about, why, and who did what when.
fn print_ticket(ticket: &Value, out: &mut impl Write) -> io::Result<()> {
    let key = text(ticket, "key");
    writeln!(out, "{}  {key}  {}", text(ticket, "ticket_id"), text(ticket, "state"))?;
    writeln!(
        out,
        "severity {}, found {} (clock {}), came back {} times, {} % sure",
        text(ticket, "severity"),
        text(ticket, "opened_at"),
        text(ticket, "clock"),
        ticket["reopened"],
        ticket["confidence"],
    )?;
    if let Some(rule) = ticket.get("rule").filter(|rule| rule.is_object()) {
        writeln!(out, "rule {} version {}", text(rule, "id"), rule["version"])?;
    }
    if let Some(limit) = ticket.get("limit").filter(|limit| limit.is_object()) {
        let due = limit["due"].as_str().unwrap_or("not running");
        let (value, kind, status) = (&limit["value"], text(limit, "type"), text(limit, "status"));
        writeln!(out, "limit {value} {kind}, {status}, due {due}")?;
    }
    for witness in ticket["sources"].as_array().into_iter().flatten() {
        let words = witness.get("text").and_then(Value::as_str);
        let words = words.map(|words| format!(": {words}")).unwrap_or_default();
        writeln!(out, "seen by {} {}{words}", text(witness, "kind"), text(witness, "by"))?;
    }
    for one in ticket["evidence"].as_array().into_iter().flatten() {
        writeln!(out, "  {}  {}", text(one, "at"), text(one, "text"))?;
    }
    if ticket["cleared_by_sensor"] == true {
        writeln!(out, "  gone, says the sensor; a person ends the ticket")?;
    }
    writeln!(out, "what happened:")?;
    for entry in ticket["flow"].as_array().into_iter().flatten() {
        let used = entry.get("used_s").and_then(Value::as_u64);
        let used = used.map(|s| format!(", {} min used", s / 60)).unwrap_or_default();
        let note = entry.get("note").and_then(Value::as_str);
        let note = note.map(|note| format!(": {note}")).unwrap_or_default();
        writeln!(
            out,
            "  {:>3}  {}  {:<14} by {}{used}{note}",
            entry["n"],
            text(entry, "at"),
            text(entry, "step"),
            text(entry, "by"),
        )?;
    }
    match ticket["chain"]["ok"].as_bool() {
        Some(true) => writeln!(out, "the flow log is whole"),
        _ => writeln!(out, "{}", text(&ticket["chain"], "msg")),
    }
}

fn text<'v>(value: &'v Value, key: &str) -> &'v str {
    value.get(key).and_then(Value::as_str).unwrap_or("-")
}
