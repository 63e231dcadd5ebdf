//! `/metrics`: the box's counts in the text format of Prometheus (version 0.0.4).
//!
//! The same counts as in `P/health`, read from the same places. Base units, counters end in `_total`, and no
//! label names an asset, so that the number of series does not grow with the street.

use std::collections::BTreeMap;
use std::fmt::{Display, Write as _};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use axum::body::Body;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::http::{HeaderValue, Response, StatusCode};
use domain::ids::SourceName;
use domain::output::Lane;
use domain::time::Utc;
use tokio::sync::watch;

use super::files::plain;
use super::open311::Counts;
use crate::clock::Clock;
use crate::engine;
use crate::mqtt::{LaneTraffic, LinkStatus};
use crate::outbox::{LaneStats, Outbox, OutboxError, Stats};
use crate::sources;
use crate::uplinks;

/// How long the outbox may take to answer: whoever scrapes has other boxes to ask.
const ANSWER_WITHIN: Duration = Duration::from_secs(5);

/// Where the counts are read.
#[derive(Debug, Clone)]
pub struct Metrics {
    /// The time.
    pub clock: Clock,
    /// The buffer.
    pub outbox: Outbox,
    /// The engine.
    pub engine: watch::Receiver<engine::Status>,
    /// The link to the broker of `[mqtt]`.
    pub link: watch::Receiver<LinkStatus>,
    /// The other brokers.
    pub uplinks: Vec<uplinks::Shown>,
    /// Every source.
    pub sources: BTreeMap<SourceName, watch::Receiver<sources::Status>>,
    /// What became of what the public sent; `None`: nobody may send anything.
    pub public: Option<Arc<Counts>>,
}

impl Metrics {
    pub(super) async fn answer(&self) -> Response<Body> {
        let Ok(Ok(ways)) = tokio::time::timeout(ANSWER_WITHIN, self.ways()).await else {
            return plain(StatusCode::SERVICE_UNAVAILABLE, "the buffer does not answer\n");
        };
        let mut answer = Response::new(Body::from(self.text(&ways)));
        let kind = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
        answer.headers_mut().insert(CONTENT_TYPE, kind);
        answer.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        answer
    }

    /// The counts of every store and link, those of `[mqtt]` first.
    async fn ways(&self) -> Result<Vec<Way>, OutboxError> {
        let (stats, link) = (self.outbox.stats().await?, self.link.borrow().clone());
        let mut ways = vec![Way { uplink: None, stats, link }];
        for uplink in &self.uplinks {
            let (stats, link) = (uplink.outbox.stats().await?, uplink.link.borrow().clone());
            ways.push(Way { uplink: Some(uplink.name.to_string()), stats, link });
        }
        Ok(ways)
    }

    fn text(&self, ways: &[Way]) -> String {
        let mut text = Text::default();
        text.family("build_info", "gauge", "The program that runs; always 1.");
        text.sample(&[("version", env!("CARGO_PKG_VERSION"))], 1);
        text.one("boot", "gauge", "Starts of the box so far.", self.clock.boot().0);
        buffer(&mut text, ways, self.clock.now().utc);
        link(&mut text, ways);
        self.of_uplinks(&mut text);
        let engine = self.engine.borrow();
        text.one("engine_inputs_total", "counter", "Inputs decided.", engine.inputs);
        let open = "Tickets on which work may still be due.";
        text.one("tickets_open", "gauge", open, engine.open_tickets);
        let stuck = "Whether the buffer does not take what was decided.";
        text.one("buffer_trouble", "gauge", stuck, u8::from(engine.store_trouble.is_some()));
        self.of_sources(&mut text);
        if let Some(counts) = &self.public {
            public(&mut text, counts);
        }
        text.0
    }

    fn of_uplinks(&self, text: &mut Text) {
        let mut each = |name: &str, help: &str, value: &dyn Fn(&uplinks::Status) -> u64| {
            text.family(name, "counter", help);
            for uplink in &self.uplinks {
                text.sample(&[("uplink", uplink.name.as_str())], value(&uplink.status.borrow()));
            }
        };
        each("uplink_no_form_total", "Messages that its profile has no form for.", &|s| s.no_form);
        let late = "Messages that its store could not take in time.";
        each("uplink_passed_over_total", late, &|s| s.passed_over);
    }

    fn of_sources(&self, text: &mut Text) {
        let shown: Vec<_> = self.sources.iter().map(|(n, s)| (n, s.borrow().clone())).collect();
        text.family("source_connected", "gauge", "Whether a source's device or broker is there.");
        for (name, status) in &shown {
            text.sample(&[("source", name.as_str())], u8::from(status.connected));
        }
        counts(text, &shown);
        rhythm(text, &shown);
        pictures(text, &shown);
        text.family("source_rejected_total", "counter", "What a source could not use.");
        for (name, status) in &shown {
            for (reason, count) in &status.tally.rejected {
                text.sample(&[("source", name.as_str()), ("reason", reason.as_str())], count);
            }
        }
    }
}

type Shown<'a> = [(&'a SourceName, sources::Status)];

/// A family with one sample for each source that has a `value`.
fn each<T: Display>(
    text: &mut Text,
    shown: &Shown<'_>,
    (name, kind, help): (&str, &str, &str),
    value: impl Fn(&sources::Status) -> Option<T>,
) {
    text.family(name, kind, help);
    for (source, status) in shown {
        if let Some(value) = value(status) {
            text.sample(&[("source", source.as_str())], value);
        }
    }
}

fn counts(text: &mut Text, shown: &Shown<'_>) {
    let mut count = |name, help, value: &dyn Fn(&sources::Status) -> u64| {
        each(text, shown, (name, "counter", help), |status| Some(value(status)));
    };
    count("source_samples_total", "Samples that a source has read.", &|s| s.tally.samples);
    count("source_frames_total", "Whole frames or messages.", &|s| s.tally.frames);
    count("source_bytes_total", "Bytes that a source has heard.", &|s| s.tally.bytes);
    let again = "Reports that did not get their acknowledgement.";
    count("source_unacknowledged_total", again, &|s| s.unacknowledged);
    count("source_turned_away_total", "Clients that found no place.", &|s| s.turned_away);
}

/// What became of the pictures of cameras; other sources have no line.
fn pictures(text: &mut Text, shown: &Shown<'_>) {
    type Of = fn(sources::PictureCounts) -> u64;
    let counts: [(&str, &str, Of); 5] = [
        ("source_pictures_looked_total", "Pictures that a network saw.", |p| p.looked),
        ("source_pictures_still_total", "Pictures in which nothing had moved.", |p| p.still),
        ("source_pictures_blind_total", "Pictures that show nothing.", |p| p.blind),
        ("source_pictures_dropped_total", "Pictures that nobody had time for.", |p| p.dropped),
        ("source_pictures_failed_total", "Pictures on which a model failed.", |p| p.failed),
    ];
    for (name, help, of) in counts {
        each(text, shown, (name, "counter", help), |s| s.pictures.map(of));
    }
}

/// How often each source is heard. What is not known yet has no line: 0 would be a figure.
fn rhythm(text: &mut Text, shown: &Shown<'_>) {
    let rate = ("source_samples_per_minute", "gauge", "Samples in the last whole minute.");
    each(text, shown, rate, |s| Some(s.heard.per_minute));
    let pause = ("source_usual_pause_seconds", "gauge", "The longest usual pause, once learned.");
    each(text, shown, pause, |s| s.heard.pause.map(|pause| seconds(pause.as_ms())));
    let last = ("source_last_heard_timestamp_seconds", "gauge", "When a source was heard last.");
    each(text, shown, last, |s| Some(seconds(u64::try_from(s.heard.last?.as_ms()).ok()?)));
    let silent = ("source_silent", "gauge", "Whether it is quiet for longer than it usually is.");
    each(text, shown, silent, |s| Some(u8::from(s.heard.silent)));
    let devices = ("source_silent_devices", "gauge", "Its devices that are quiet for too long.");
    each(text, shown, devices, |s| Some(s.heard.silent_count));
}

/// What the public sent, over Open311.
fn public(text: &mut Text, counts: &Counts) {
    text.family(
        "open311_reports_total",
        "counter",
        "Reports of the public, by what became of them.",
    );
    for (outcome, n) in [("taken", &counts.taken), ("refused", &counts.refused)] {
        text.sample(&[("outcome", outcome)], n.load(Ordering::Relaxed));
    }
    let limited = "Requests of the public that were too many.";
    text.one("open311_limited_total", "counter", limited, counts.limited.load(Ordering::Relaxed));
    let lost = "Photos that were not kept though the report was taken.";
    text.one(
        "open311_photos_lost_total",
        "counter",
        lost,
        counts.photos_lost.load(Ordering::Relaxed),
    );
}

/// Milliseconds in the base unit, to the last digit.
fn seconds(ms: u64) -> String {
    format!("{}.{:03}", ms / 1000, ms % 1000)
}

/// One broker's store and link.
struct Way {
    /// Its name; `None` for that of `[mqtt]`, whose samples have no such label.
    uplink: Option<String>,
    stats: Stats,
    link: LinkStatus,
}

impl Way {
    fn labels<'a>(&'a self, more: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
        self.uplink
            .iter()
            .map(|name| ("uplink", name.as_str()))
            .chain(more.iter().copied())
            .collect()
    }
}

fn buffer(text: &mut Text, ways: &[Way], now: Utc) {
    let mut lanes = |name: &str, kind: &str, help: &str, value: &dyn Fn(&LaneStats) -> u64| {
        text.family(name, kind, help);
        for way in ways {
            for lane in &way.stats.lanes {
                text.sample(&way.labels(&[("lane", lane.lane.as_str())]), value(lane));
            }
        }
    };
    lanes("buffer_messages", "gauge", "Messages that are not delivered.", &|lane| {
        lane.ledger.stored.saturating_sub(lane.settled)
    });
    lanes("buffer_bytes", "gauge", "Their bytes.", &|lane| lane.ledger.bytes);
    lanes("buffer_oldest_age_seconds", "gauge", "The age of the oldest; 0 for none.", &|lane| {
        lane.oldest_at.map_or(0, |at| now.since(at).as_secs())
    });
    lanes("last_seq", "gauge", "The last number given.", &|lane| lane.ledger.last.seq);
    lanes("accepted_total", "counter", "Messages taken in.", &|lane| lane.ledger.accepted);
    let replaced = "Of those: replaced by a newer one before they were sent.";
    lanes("coalesced_total", "counter", replaced, &|lane| lane.ledger.coalesced);
    let told = "Of those: acknowledged by the broker.";
    lanes("acknowledged_total", "counter", told, &|lane| lane.ledger.acknowledged + lane.settled);
    text.family("dropped_total", "counter", "Of those: not delivered, by reason.");
    for way in ways {
        for lane in &way.stats.lanes {
            for (reason, count) in &lane.ledger.dropped {
                let labels = [("lane", lane.lane.as_str()), ("reason", reason.as_str())];
                text.sample(&way.labels(&labels), count);
            }
        }
    }
}

fn link(text: &mut Text, ways: &[Way]) {
    let mut links = |name: &str, kind: &str, help: &str, value: &dyn Fn(&LinkStatus) -> u64| {
        text.family(name, kind, help);
        for way in ways {
            text.sample(&way.labels(&[]), value(&way.link));
        }
    };
    let there = "Whether the broker has accepted a connection that has not broken.";
    links("uplink_connected", "gauge", there, &|link| u64::from(link.connected));
    links("uplink_reconnects_total", "counter", "Tries after the first.", &|link| link.reconnects);
    links("uplink_day_bytes", "gauge", "Bytes of packets sent today (UTC).", &|l| l.day_bytes);
    let aside = "Messages kept aside because they cannot be delivered.";
    links("uplink_undelivered", "gauge", aside, &|link| link.undelivered as u64);
    let gone = "Messages kept aside that made room for others.";
    links("uplink_undelivered_gone_total", "counter", gone, &|link| link.undelivered_gone);
    let parts = "Parts of pictures handed to the connection.";
    links("uplink_picture_parts_total", "counter", parts, &|link| link.parts);
    let small = "Parts of pictures too large for the packets of the broker.";
    links("uplink_picture_parts_dropped_total", "counter", small, &|link| link.parts_dropped);
    text.family("uplink_refused_total", "counter", "Publishes that the broker did not take.");
    for way in ways {
        for (reason, count) in &way.link.refusals {
            text.sample(&way.labels(&[("reason", reason.as_str())]), count);
        }
    }
    traffic(text, ways);
}

fn traffic(text: &mut Text, ways: &[Way]) {
    let mut lanes = |name: &str, kind: &str, help: &str, value: &dyn Fn(&LaneTraffic) -> u64| {
        text.family(name, kind, help);
        for way in ways {
            for lane in Lane::ALL {
                let labels = way.labels(&[("lane", lane.as_str())]);
                text.sample(&labels, value(&way.link.lanes[lane as usize]));
            }
        }
    };
    lanes("uplink_sent_total", "counter", "Publishes, repeated ones included.", &|l| l.sent);
    lanes("uplink_replayed_total", "counter", "Of those: late.", &|l| l.replayed);
    lanes("uplink_sent_bytes_total", "counter", "Bytes of their packets.", &|l| l.bytes);
    lanes("uplink_acknowledged_total", "counter", "Of those: acknowledged.", &|l| l.acked);
    lanes("uplink_quarantined_total", "counter", "Messages kept aside.", &|l| l.quarantined);
    lanes("uplink_waiting", "gauge", "Taken from the buffer, not sent.", &|l| l.waiting as u64);
    let held = "Whether the day's bytes leave nothing for the lane.";
    lanes("uplink_held_back", "gauge", held, &|l| u64::from(l.held_back));
}

/// The text, family by family.
#[derive(Default)]
struct Text(String);

impl Text {
    /// Begins a family; its samples follow.
    fn family(&mut self, name: &str, kind: &str, help: &str) {
        let written =
            writeln!(self.0, "# HELP steward_{name} {help}\n# TYPE steward_{name} {kind}");
        written.expect("a text takes everything");
    }

    /// A sample of the family begun last.
    fn sample(&mut self, labels: &[(&str, &str)], value: impl Display) {
        let name = self.0.rsplit_once("# TYPE ").and_then(|(_, rest)| rest.split(' ').next());
        let name = name.expect("a family was begun").to_owned();
        let quoted =
            |text: &str| text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
        let labels: Vec<String> =
            labels.iter().map(|(key, text)| format!("{key}=\"{}\"", quoted(text))).collect();
        let braces =
            if labels.is_empty() { String::new() } else { format!("{{{}}}", labels.join(",")) };
        writeln!(self.0, "{name}{braces} {value}").expect("a text takes everything");
    }

    /// A family of one sample without labels.
    fn one(&mut self, name: &str, kind: &str, help: &str, value: impl Display) {
        self.family(name, kind, help);
        self.sample(&[], value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_quoted_and_families_named_once() {
        let mut text = Text::default();
        text.family("a_total", "counter", "Help.");
        text.sample(&[("x", "say \"a\\b\"\n"), ("y", "z")], 1);
        text.sample(&[], 2);
        text.one("b", "gauge", "More.", 0.5);
        let expected = "# HELP steward_a_total Help.\n# TYPE steward_a_total counter\n\
            steward_a_total{x=\"say \\\"a\\\\b\\\"\\n\",y=\"z\"} 1\nsteward_a_total 2\n\
            # HELP steward_b More.\n# TYPE steward_b gauge\nsteward_b 0.5\n";
        assert_eq!(text.0, expected);
    }

    fn config(dir: &std::path::Path) -> crate::config::Config {
        let text = format!(
            "[box]\nid = \"b\"\ntenant = \"t\"\nsite = \"s\"\ntimezone = \"UTC\"\n\
             [mqtt]\nurl = \"mqtt://127.0.0.1\"\n[buffer]\ndir = {dir:?}\n"
        );
        crate::config::load_text("t.toml", &text).unwrap().config
    }

    /// A source that has fallen silent.
    fn silent() -> sources::Status {
        sources::Status {
            unacknowledged: 5,
            heard: sources::Heard {
                last: Some(Utc::from_ms(1_780_545_600_500)),
                per_minute: 12,
                pause: Some(domain::time::Span::from_ms(5_250)),
                silent: true,
                silent_count: 3,
                ..sources::Heard::default()
            },
            ..sources::Status::default()
        }
    }

    #[tokio::test]
    async fn what_the_buffer_and_the_link_count_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let config = config(folder.path());
        let opened = Outbox::in_memory(&config.buffer, &config.site.identity).unwrap();
        let mut status = LinkStatus { connected: true, reconnects: 3, ..LinkStatus::default() };
        status.lanes[0].sent = 7;
        status.refusals.insert(crate::mqtt::Refusal::Quota, 2);
        let metrics = Metrics {
            clock: Clock::system(opened.boot),
            outbox: opened.outbox.clone(),
            engine: watch::channel(engine::Status::default()).1,
            link: watch::channel(status.clone()).1,
            uplinks: vec![uplinks::Shown {
                name: domain::ids::UplinkName::new("city").unwrap(),
                profile: "cds",
                outbox: opened.outbox.clone(),
                link: watch::channel(status).1,
                status: watch::channel(uplinks::Status { no_form: 9, ..Default::default() }).1,
                health: watch::channel(None).0,
            }],
            sources: BTreeMap::from([
                (SourceName::new("gnss").unwrap(), watch::channel(sources::Status::default()).1),
                (SourceName::new("nodes").unwrap(), watch::channel(silent()).1),
            ]),
            public: Some(Arc::default()),
        };
        let told = metrics.text(&metrics.ways().await.unwrap());
        for line in [
            "steward_boot 1",
            "steward_buffer_messages{lane=\"telemetry\"} 0",
            "steward_uplink_connected 1",
            "steward_uplink_connected{uplink=\"city\"} 1",
            "steward_buffer_messages{uplink=\"city\",lane=\"telemetry\"} 0",
            "steward_uplink_sent_total{uplink=\"city\",lane=\"ticket\"} 7",
            "steward_uplink_no_form_total{uplink=\"city\"} 9",
            "steward_uplink_reconnects_total 3",
            "steward_uplink_sent_total{lane=\"ticket\"} 7",
            "steward_uplink_refused_total{reason=\"quota\"} 2",
            "steward_source_connected{source=\"gnss\"} 0",
            "steward_source_samples_per_minute{source=\"nodes\"} 12",
            "steward_source_usual_pause_seconds{source=\"nodes\"} 5.250",
            "steward_source_last_heard_timestamp_seconds{source=\"nodes\"} 1780545600.500",
            "steward_source_silent{source=\"nodes\"} 1",
            "steward_source_silent{source=\"gnss\"} 0",
            "steward_source_silent_devices{source=\"nodes\"} 3",
            "steward_source_unacknowledged_total{source=\"nodes\"} 5",
            "steward_open311_reports_total{outcome=\"taken\"} 0",
        ] {
            assert!(told.lines().any(|found| found == line), "{line} is not in\n{told}");
        }
        let unknown = "steward_source_usual_pause_seconds{source=\"gnss\"}";
        assert!(!told.contains(unknown), "a pause that is not known is told:\n{told}");
        let families: Vec<_> = told.lines().filter(|line| line.starts_with("# TYPE ")).collect();
        let unique: std::collections::BTreeSet<_> = families.iter().collect();
        assert_eq!(unique.len(), families.len());
        for line in told.lines().filter(|line| !line.starts_with('#')) {
            let (name, value) = line.rsplit_once(' ').unwrap();
            assert!(value.parse::<f64>().is_ok(), "{line}");
            let family = name.split('{').next().unwrap();
            let counted = families.iter().any(|f| f.starts_with(&format!("# TYPE {family} ")));
            assert!(counted, "{line}");
        }
    }
}
