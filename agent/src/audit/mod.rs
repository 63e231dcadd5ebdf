//! `steward audit`: listens at the far end, or reads what somebody recorded there, and proves from the
//! messages alone that nothing is missing ([`judge`]).
//!
//! It needs no configuration of a box and looks at every box below the prefix. The session at the broker
//! is a persistent one while it runs, so that a line that breaks makes no gap, and is taken away after.

pub mod judge;

use std::fs::File;
use std::io::{self, BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use domain::time::Boot;
use serde_json::Value;
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

use self::judge::{Heard, Judge, Report};
use crate::clock::Clock;
use crate::config::{Broker, Secret, broker_by_url};
use crate::mqtt::LinkStatus;
use crate::mqtt::inbound::{self, Delivery, SubscribeError};

/// Deliveries waiting for the judge. Full: the broker keeps what follows.
const DELIVERIES_MAX: usize = 64;
/// The largest message that is listened to, in bytes.
const PACKET_MAX: u32 = 1024 * 1024;
/// Gaps shown for a lane; all of them are in the JSON.
const GAPS_SHOWN: usize = 8;

/// What is asked.
#[derive(Debug, Clone)]
pub struct Request {
    /// Where to listen.
    pub from: From,
    /// Print JSON.
    pub json: bool,
}

/// Where messages are heard.
#[derive(Debug, Clone)]
pub enum From {
    /// At a broker.
    Broker(At),
    /// In a file: a JSON object a line with `topic`, `payload` (text or JSON) and perhaps `retain`, as
    /// `mosquitto_sub -F %j` and `steward replay` write them.
    File(PathBuf),
}

/// A broker, and how long to listen to it.
#[derive(Debug, Clone)]
pub struct At {
    /// Its URL.
    pub url: String,
    /// User name.
    pub username: Option<String>,
    /// A file with the password.
    pub password_file: Option<PathBuf>,
    /// The certificate authority, PEM.
    pub ca_file: Option<PathBuf>,
    /// Boxes below this topic: `steward/v1`, or more of it.
    pub prefix: String,
    /// How long.
    pub length: Duration,
}

/// Why there is no verdict.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// The URL.
    #[error("{0}")]
    Url(String),
    /// The prefix.
    #[error("the prefix is wrong: {0}")]
    Prefix(#[from] SubscribeError),
    /// A file.
    #[error("{path} cannot be read: {why}")]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        why: io::Error,
    },
    /// The broker was never there.
    #[error("the broker could not be listened to: {0}")]
    Away(String),
    /// The output.
    #[error("cannot print: {0}")]
    Print(#[from] io::Error),
}

impl Failure {
    /// Whether the command line was wrong, rather than the world.
    #[must_use]
    pub const fn is_wrong_use(&self) -> bool {
        matches!(self, Failure::Url(_) | Failure::Prefix(_))
    }
}

/// Prints the verdict to `out`; answers whether nothing is missing.
///
/// # Errors
/// See [`Failure`].
pub async fn audit(request: Request, out: &mut impl Write) -> Result<bool, Failure> {
    let report = match request.from {
        From::Broker(at) => listen(at).await?,
        From::File(path) => read(&path)?,
    };
    if request.json {
        serde_json::to_writer_pretty(&mut *out, &report).map_err(io::Error::from)?;
        writeln!(out)?;
    } else {
        out.write_all(table(&report).as_bytes())?;
    }
    Ok(report.complete)
}

async fn listen(at: At) -> Result<Report, Failure> {
    let broker = broker(&at)?;
    let client_id = format!("steward-audit-{}", std::process::id());
    let filter = format!("{}/#", at.prefix.trim_end_matches('/'));
    let (sender, mut deliveries) = mpsc::channel::<Delivery>(DELIVERIES_MAX);
    let (status, shown) = watch::channel(LinkStatus::default());
    let (clock, stop) = (Clock::system(Boot(0)), CancellationToken::new());
    let mut judge = Judge::default();
    let hearing = async {
        while let Some(Delivery { topic, payload, retain, done, .. }) = deliveries.recv().await {
            judge.hear(Heard { topic: &topic, payload: &payload, retained: retain });
            // A session that has ended meanwhile delivers it again: then it is a repetition.
            let _ = done.send(());
        }
    };
    let filters = [filter];
    let subscription =
        inbound::subscribe(&broker, &client_id, &filters, sender, status, &clock, stop.clone());
    let ending = async {
        tokio::time::sleep(at.length).await;
        stop.cancel();
    };
    let ((), ended, ()) = tokio::join!(hearing, subscription, ending);
    ended?;
    inbound::forget(&broker, &client_id).await;
    let link = shown.borrow();
    if link.conn == 0 {
        return Err(Failure::Away(link.last_error.clone().unwrap_or_default()));
    }
    Ok(judge.report())
}

fn broker(at: &At) -> Result<Broker, Failure> {
    let mut broker = broker_by_url(&at.url).map_err(Failure::Url)?;
    broker.username.clone_from(&at.username);
    broker.ca_file.clone_from(&at.ca_file);
    broker.packet_max = PACKET_MAX;
    if let Some(path) = &at.password_file {
        let text = std::fs::read_to_string(path)
            .map_err(|why| Failure::File { path: path.clone(), why })?;
        broker.password = Some(Secret::new(text.trim_end_matches(['\r', '\n']).to_owned()));
    }
    Ok(broker)
}

fn read(path: &Path) -> Result<Report, Failure> {
    let failed = |why| Failure::File { path: path.to_owned(), why };
    let mut judge = Judge::default();
    for line in BufReader::new(File::open(path).map_err(failed)?).lines() {
        let line = line.map_err(failed)?;
        if !line.trim().is_empty() && hear_line(&mut judge, &line).is_none() {
            judge.heard += 1;
            judge.unreadable += 1;
        }
    }
    Ok(judge.report())
}

fn hear_line(judge: &mut Judge, line: &str) -> Option<()> {
    let line: Value = serde_json::from_str(line).ok()?;
    let topic = line.get("topic")?.as_str()?;
    let payload = match line.get("payload")? {
        Value::String(text) => text.clone().into_bytes(),
        Value::Null => vec![],
        other => other.to_string().into_bytes(),
    };
    // What a recording calls retained was published so; it is heard as it happened all the same, unless
    // the broker said that it is old, which it does with a number.
    let retained = line.get("retain").and_then(Value::as_u64) == Some(1);
    judge.hear(Heard { topic, payload: &payload, retained });
    Some(())
}

fn table(report: &Report) -> String {
    let head = ["box", "lane", "messages", "first", "last", "again", "late", "missing", "faults"];
    let mut lines = vec![head.map(str::to_owned)];
    for (name, lane, record) in &report.lanes {
        let faults = record.conflicts + record.wrong_ids + record.boot_went_back;
        let numbers = [
            record.messages,
            record.first,
            record.last,
            record.repeated,
            record.late,
            record.missing,
            faults,
        ];
        let [messages, first, last, again, late, missing, faults] = numbers.map(|n| n.to_string());
        let (name, lane) = (name.clone(), lane.clone());
        lines.push([name, lane, messages, first, last, again, late, missing, faults]);
    }
    let width = |column: usize| lines.iter().map(|line| line[column].len()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..head.len()).map(width).collect();
    let mut text = String::new();
    for line in &lines {
        for (column, (cell, width)) in line.iter().zip(&widths).enumerate() {
            let cell =
                if column < 2 { format!("{cell:width$}") } else { format!("{cell:>width$}") };
            text.push_str(if column == 0 { "" } else { "  " });
            text.push_str(&cell);
        }
        text.push('\n');
    }
    for (name, lane, record) in &report.lanes {
        for gap in record.gaps.iter().take(GAPS_SHOWN) {
            let said = gap.announced.as_deref().unwrap_or("the box has not said why");
            text.push_str(&format!("{name} {lane}: {} to {} missing: {said}\n", gap.from, gap.to));
        }
        if let Some(more) = record.gaps.len().checked_sub(GAPS_SHOWN).filter(|more| *more > 0) {
            text.push_str(&format!("{name} {lane}: and {more} gaps more\n"));
        }
    }
    text.push_str(&verdict(report));
    text
}

fn verdict(report: &Report) -> String {
    let Report { heard, retained, unnumbered, unreadable, .. } = report;
    let counts = format!(
        "{heard} messages heard, {retained} of them retained and {unnumbered} without a number"
    );
    if report.complete {
        format!("complete: {counts}\n")
    } else if report.lanes.is_empty() {
        format!("nothing proved: {counts}, {unreadable} unreadable\n")
    } else {
        format!("NOT complete: {counts}, {unreadable} unreadable\n")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(seq: u64) -> String {
        let payload = format!(r#"{{"id":"b-event-{seq}","boot":1,"lane":"event","seq":{seq}}}"#);
        let topic = "steward/v1/t/s/b/bay/x/event";
        serde_json::json!({"topic": topic, "retain": 0, "payload": payload}).to_string()
    }

    async fn of_file(lines: &[String], json: bool) -> (bool, String) {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), lines.join("\n")).unwrap();
        let request = Request { from: From::File(file.path().to_owned()), json };
        let mut out = vec![];
        let answer = audit(request, &mut out).await.unwrap();
        (answer, String::from_utf8(out).unwrap())
    }

    #[tokio::test]
    async fn a_recording_without_a_gap_is_complete_and_one_with_a_gap_is_not() {
        let (complete, text) = of_file(&[line(4), line(5), line(6)], false).await;
        assert!(
            complete
                && text.ends_with(
                    "complete: 3 messages heard, 0 of them retained and 0 without a number\n"
                ),
            "{text}"
        );
        let (complete, text) = of_file(&[line(4), line(6), line(9)], false).await;
        assert!(!complete);
        assert!(text.contains("t/s/b event: 5 to 5 missing: the box has not said why"), "{text}");
        let (_, json) = of_file(&[line(4), line(6), line(9)], true).await;
        let json: Value = serde_json::from_str(&json).unwrap();
        assert_eq!(json["lanes"][0][2]["missing"], 3);
        assert_eq!(json["complete"], false);
    }

    #[tokio::test]
    async fn what_cannot_be_read_is_counted_and_nothing_is_no_proof() {
        let (complete, text) = of_file(&["{".to_owned(), line(1)], false).await;
        assert!(!complete && text.contains("1 unreadable"), "{text}");
        let (complete, text) = of_file(&[], false).await;
        assert!(!complete && text.contains("nothing proved"), "{text}");
    }

    #[tokio::test]
    async fn what_is_wrong_is_told() {
        let at = |url: &str| At {
            url: url.to_owned(),
            username: None,
            password_file: None,
            ca_file: None,
            prefix: "steward/v1".to_owned(),
            length: Duration::from_millis(10),
        };
        let ask = async |at| {
            let request = Request { from: From::Broker(at), json: false };
            audit(request, &mut vec![]).await.unwrap_err()
        };
        let wrong = ask(at("127.0.0.1")).await;
        assert!(wrong.is_wrong_use() && wrong.to_string().contains("scheme"), "{wrong}");
        let wrong = ask(At { prefix: "a/+b".to_owned(), ..at("mqtt://127.0.0.1:1") }).await;
        assert!(wrong.is_wrong_use(), "{wrong}");
        let away = ask(at("mqtt://127.0.0.1:1")).await;
        assert!(!away.is_wrong_use(), "{away}");
    }
}
