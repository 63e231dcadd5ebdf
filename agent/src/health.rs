//! How the box is doing: `P/health` every 30 seconds, and the service manager's watchdog, which is fed
//! only while the engine makes turns, the outbox answers and no task is stuck.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use domain::ids::SourceName;
use domain::output::Lane;
use domain::time::ClockQuality;
use serde_json::{Map, Value, json};
use tokio::sync::watch;
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

use crate::clock::Clock;
use crate::engine;
use crate::mqtt::LinkStatus;
use crate::outbox::{Outbox, OutboxError, Stats};
use crate::pulse::Pulses;
use crate::sources;
use crate::uplinks::Shown;
use crate::wear;

/// Between two heartbeats.
const EVERY: Duration = Duration::from_secs(30);
/// The outbox has this long to answer before it counts as stuck: a commit on a slow card included.
const ANSWER_WITHIN: Duration = Duration::from_secs(20);
/// systemd's time service leaves this file when the clock has been set.
const TIME_SET: &str = "/run/systemd/timesync/synchronized";
/// Where it keeps its own, while it runs.
const TIME_KEPT: &str = "/run/systemd/timesync";

/// Everything the heartbeat looks at.
pub struct Health {
    /// The time; its quality is set from here.
    pub clock: Clock,
    /// The buffer.
    pub outbox: Outbox,
    /// Where it lies.
    pub dir: PathBuf,
    /// The engine.
    pub engine: watch::Receiver<engine::Status>,
    /// The link to the broker of `[mqtt]`.
    pub link: watch::Receiver<LinkStatus>,
    /// The other brokers.
    pub uplinks: Vec<Shown>,
    /// Every source.
    pub sources: BTreeMap<SourceName, watch::Receiver<sources::Status>>,
    /// Whether every task goes on.
    pub pulses: Pulses,
    /// Ready-made payloads for the link of `[mqtt]`. A newer one takes the place of one not yet sent.
    pub payloads: watch::Sender<Option<Vec<u8>>>,
    /// Ends the task.
    pub stop: CancellationToken,
}

impl Health {
    /// Beats until it is stopped.
    pub async fn run(self) {
        let mut beat = tokio::time::interval(EVERY);
        beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut turns = 0;
        loop {
            tokio::select! {
                () = self.stop.cancelled() => return,
                _ = beat.tick() => {}
            }
            if self.clock.is_machines() {
                self.clock.set_quality(machine_clock());
            }
            let Some((stats, others)) = self.stats().await else {
                tracing::error!("the outbox does not answer: the watchdog is not fed");
                continue;
            };
            let payload = self.payload(&stats, &others);
            self.payloads.send_replace(Some(bytes(&payload)));
            for (uplink, stats) in self.uplinks.iter().zip(&others) {
                let own = towards(payload.clone(), uplink, stats, self.clock.now().utc);
                uplink.health.send_replace(Some(bytes(&own)));
            }
            let now = self.engine.borrow().turns;
            if now == turns {
                tracing::error!(turns, "the engine stands still: the watchdog is not fed");
                continue;
            }
            turns = now;
            let stuck = self.pulses.stuck();
            if !stuck.is_empty() {
                tracing::error!(?stuck, "tasks are stuck: the watchdog is not fed");
                continue;
            }
            notify(&[sd_notify::NotifyState::Watchdog]);
        }
    }

    /// The counts of the first store, and of the others.
    async fn stats(&self) -> Option<(Stats, Vec<Stats>)> {
        let all = async {
            let mut others = vec![];
            for uplink in &self.uplinks {
                others.push(uplink.outbox.stats().await?);
            }
            Ok::<_, OutboxError>((self.outbox.stats().await?, others))
        };
        tokio::time::timeout(ANSWER_WITHIN, all).await.ok()?.ok()
    }

    fn payload(&self, stats: &Stats, others: &[Stats]) -> Value {
        let now = self.clock.now();
        let engine = self.engine.borrow();
        let link = self.link.borrow();
        let sources: Vec<Value> =
            self.sources.iter().map(|(n, s)| source(n, &s.borrow())).collect();
        json!({
            "v": 1,
            "at": now.utc,
            "clock": now.clock,
            "boot": now.boot,
            "uptime_s": now.monotonic.as_ms() / 1000,
            "buffer": buffer(stats, now.utc),
            "buffer_max_b": stats.bytes_max,
            "link": link_figures(&link),
            "uplinks": uplinks(&self.uplinks, others, now.utc),
            "engine": {
                "inputs": engine.inputs, "rejected": engine.rejected,
                "open_tickets": engine.open_tickets, "store_trouble": engine.store_trouble,
                "not_asked": engine.not_asked,
            },
            "sources": sources,
            "disk_free_b": disk_free(&self.dir),
            "flash": wear::tell(&self.dir, now.monotonic.as_ms() / 1000),
            "memory_b": memory(),
            "temperature_c": temperature(),
        })
    }
}

/// Tells the service manager, where there is one.
pub fn notify(state: &[sd_notify::NotifyState]) {
    // Without a service manager there is nobody to tell, which is no fault.
    if let Err(error) = sd_notify::notify(state) {
        tracing::debug!(error = %error, "the service manager was not told");
    }
}

/// How far the machine's clock can be trusted, as its time service says.
#[must_use]
pub fn machine_clock() -> ClockQuality {
    if fs::exists(TIME_SET).unwrap_or(false) { ClockQuality::Ntp } else { ClockQuality::Estimated }
}

/// Whether the machine's time is what its time service has kept over the night, and not set yet. Where
/// another service keeps the time, nobody says so here, and it is taken as it is.
#[must_use]
pub fn is_time_restored() -> bool {
    fs::exists(TIME_KEPT).unwrap_or(false) && !fs::exists(TIME_SET).unwrap_or(false)
}

fn buffer(stats: &Stats, now: domain::time::Utc) -> Map<String, Value> {
    let lane = |lane: &crate::outbox::LaneStats| {
        let ledger = &lane.ledger;
        let dropped: u64 = ledger.dropped.values().sum();
        let figures = json!({
            "records": ledger.stored.saturating_sub(lane.settled),
            "bytes": ledger.bytes,
            "oldest_s": lane.oldest_at.map(|at| now.since(at).as_secs()),
            "accepted": ledger.accepted,
            "acknowledged": ledger.acknowledged + lane.settled,
            "coalesced": ledger.coalesced,
            "dropped": dropped,
            "dropped_by_reason": ledger.dropped,
            "quarantined": ledger.quarantined(),
            "last_seq": ledger.last.seq,
            "gaps": ledger.gaps,
        });
        (lane.lane.as_str().to_owned(), figures)
    };
    stats.lanes.iter().map(lane).collect()
}

/// What the broker of `uplink` is told: the store and the link that it hears of are its own, and so are the
/// numbers that are missing there.
fn towards(mut health: Value, uplink: &Shown, stats: &Stats, now: domain::time::Utc) -> Value {
    health["buffer"] = buffer(stats, now).into();
    health["buffer_max_b"] = stats.bytes_max.into();
    health["link"] = link_figures(&uplink.link.borrow());
    health
}

fn bytes(payload: &Value) -> Vec<u8> {
    serde_json::to_vec(payload).expect("it is plain data")
}

/// By name, the same figures of the brokers beside the first.
fn uplinks(shown: &[Shown], stats: &[Stats], now: domain::time::Utc) -> Map<String, Value> {
    let of_uplink = |(shown, stats): (&Shown, &Stats)| {
        let status = shown.status.borrow();
        let figures = json!({
            "profile": shown.profile,
            "buffer": buffer(stats, now),
            "buffer_max_b": stats.bytes_max,
            "link": link_figures(&shown.link.borrow()),
            "no_form": status.no_form,
            "passed_over": status.passed_over,
            "store_trouble": status.store_trouble,
        });
        (shown.name.to_string(), figures)
    };
    shown.iter().zip(stats).map(of_uplink).collect()
}

fn link_figures(link: &LinkStatus) -> Value {
    let lane = |lane: Lane| {
        let traffic = &link.lanes[lane as usize];
        let figures = json!({
            "sent": traffic.sent,
            "replayed": traffic.replayed,
            "bytes": traffic.bytes,
            "acked": traffic.acked,
            "quarantined": traffic.quarantined,
            "waiting": traffic.waiting,
            "held_back": traffic.held_back,
        });
        (lane.as_str().to_owned(), figures)
    };
    let lanes: Map<String, Value> = Lane::ALL.into_iter().map(lane).collect();
    let refused: BTreeMap<&str, u64> =
        link.refusals.iter().map(|(why, count)| (why.as_str(), *count)).collect();
    json!({
        "connected": link.connected, "last_error": link.last_error,
        "since": link.since, "conn": link.conn, "reconnects": link.reconnects,
        "protocol": link.version.map(|version| version.to_string()),
        "sent": link.sent, "acked": link.acked, "refused": refused,
        "undelivered": link.undelivered, "undelivered_gone": link.undelivered_gone,
        "day_b": link.day_bytes, "lanes": lanes,
    })
}

fn source(name: &SourceName, status: &sources::Status) -> Value {
    json!({
        "name": name,
        "connected": status.connected,
        "trouble": status.trouble,
        "samples": status.tally.samples,
        "rejected": status.tally.rejected_total(),
        "rejected_by_reason": status.tally.rejected,
        "last_at": status.tally.last_at,
        "bytes": status.tally.bytes,
        "frames": status.tally.frames,
        "unacknowledged": status.unacknowledged,
        "commands_done": status.carried_out,
        "commands_failed": status.not_carried_out,
        "turned_away": status.turned_away,
        "last_heard_at": status.heard.last,
        "per_minute": status.heard.per_minute,
        "usual_pause_s": status.heard.pause.map(domain::time::Span::as_secs),
        "silent": status.heard.silent,
        "silent_devices": status.heard.silent_devices,
        "silent_count": status.heard.silent_count,
        "pictures": status.pictures,
    })
}

/// Free bytes for us where the buffer lies; `None` when the system does not say.
pub(crate) fn disk_free(dir: &Path) -> Option<u64> {
    let stat = rustix::fs::statvfs(dir).ok()?;
    stat.f_bavail.checked_mul(stat.f_frsize)
}

/// Bytes of memory in use (the resident set).
fn memory() -> Option<u64> {
    let text = fs::read_to_string("/proc/self/statm").ok()?;
    let pages: u64 = text.split_whitespace().nth(1)?.parse().ok()?;
    pages.checked_mul(u64::try_from(rustix::param::page_size()).ok()?)
}

/// Degrees Celsius of the processor, where the kernel tells.
pub(crate) fn temperature() -> Option<f64> {
    let text = fs::read_to_string("/sys/class/thermal/thermal_zone0/temp").ok()?;
    let milli: i32 = text.trim().parse().ok()?;
    Some(f64::from(milli) / 1000.0)
}

#[cfg(test)]
mod tests {
    use domain::ids::{BoxId, SiteId, TenantId, TicketId, UplinkName};
    use domain::output::{Body, Message, Quality, Topic};
    use domain::site::Identity;
    use domain::time::Utc;

    use super::*;
    use crate::audit::judge::{Heard, Judge};
    use crate::config::Buffer;
    use crate::outbox::Turn;
    use crate::uplinks;

    fn ticket() -> Message {
        Message {
            lane: Lane::Ticket,
            topic: Topic::TicketEvent(TicketId::new("t-1").unwrap()),
            at: Utc::from_ms(0),
            clock: ClockQuality::Ntp,
            quality: Quality::Good,
            body: Body::Event { kind: "ticket.raised", data: Map::new() },
        }
    }

    /// Two messages are passed over for an uplink. Whoever listens at its broker finds that two numbers are
    /// missing there, and why: from what is published there, and from nothing else.
    #[tokio::test]
    async fn an_audit_at_an_uplinks_broker_explains_what_was_passed_over() {
        let dir = tempfile::tempdir().unwrap();
        let (tenant, site) = (TenantId::new("t").unwrap(), SiteId::new("s").unwrap());
        let identity = Identity { tenant, site, id: BoxId::new("b").unwrap() };
        let buffer = Buffer::below(dir.path().to_owned());
        let outbox = Outbox::in_memory(&buffer, &identity).unwrap().outbox;
        for passed in [0, 2] {
            let passed_over = [passed, 0, 0, 0];
            let turn = Turn { messages: vec![ticket()], passed_over, ..Turn::default() };
            outbox.commit(turn).await.unwrap();
        }
        let shown = Shown {
            name: UplinkName::new("city").unwrap(),
            profile: "steward",
            outbox: outbox.clone(),
            link: watch::channel(LinkStatus::default()).1,
            status: watch::channel(uplinks::Status::default()).1,
            health: watch::channel(None).0,
        };
        let stats = outbox.stats().await.unwrap();
        let first = json!({"buffer": {"ticket": {"gaps": []}}, "link": {"connected": true}});
        let health = towards(first, &shown, &stats, Utc::from_ms(0));
        assert_eq!(health["link"]["connected"], false, "its own");

        let mut judge = Judge::default();
        let mut hear = |path: &str, payload: &[u8]| {
            let topic = format!("steward/v1/t/s/b/{path}");
            judge.hear(Heard { topic: &topic, payload, retained: false });
        };
        outbox.link_up(1).await.unwrap();
        for entry in outbox.take(10).await.unwrap() {
            hear(&entry.path, &entry.payload);
        }
        hear("health", &bytes(&health));
        let report = judge.report();
        let (_, _, lane) = &report.lanes[0];
        assert_eq!((lane.messages, lane.missing), (2, 2));
        let [gap] = &lane.gaps[..] else { panic!("{:?}", lane.gaps) };
        assert_eq!((gap.from, gap.to, gap.announced.as_deref()), (2, 3, Some("passed_over")));
        outbox.close().await.unwrap();
    }
}
