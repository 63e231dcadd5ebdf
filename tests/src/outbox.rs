//! An outbox and a link as the program would set them up, with small numbers.

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use domain::ids::{AssetId, AssetKey, BadId, BoxId, Class, SiteId, TenantId, TicketId};
use domain::output::{Body, Lane, Message, Quality, Topic};
use domain::site::Identity;
use domain::time::{ClockQuality, Utc};
use serde_json::{Map, Value, json};
use steward::clock::Clock;
use steward::config::{Broker, BrokerUrl, Buffer, Rate, Scheme, Traffic, Version};
use steward::mqtt::LinkStatus;
use steward::mqtt::backoff::Pace;
use steward::mqtt::pipe::{Pipe, PipeError};
use steward::outbox::{Opened, Outbox, Stats};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// The box of the tests: `steward/v1/t/s/box`.
///
/// # Errors
/// Never: the ids are good.
pub fn identity() -> Result<Identity, BadId> {
    Ok(Identity { tenant: TenantId::new("t")?, site: SiteId::new("s")?, id: BoxId::new("box")? })
}

/// A buffer in `dir` that deletes quickly.
#[must_use]
pub fn buffer(dir: &Path) -> Buffer {
    let commit_every = Duration::from_millis(50);
    Buffer { max_size: 256 << 20, commit_every, ..Buffer::below(dir.to_owned()) }
}

/// The broker at `addr`, with the shortest times MQTT allows.
#[must_use]
pub fn broker_at(addr: SocketAddr, window: u16) -> Broker {
    Broker {
        url: BrokerUrl {
            scheme: Scheme::Mqtt,
            host: addr.ip().to_string(),
            port: addr.port(),
            path: String::new(),
        },
        username: None,
        password: None,
        ca_file: None,
        identity: None,
        keep_alive: Duration::from_secs(1),
        connect_timeout: Duration::from_secs(1),
        reconnect_spread: Duration::from_secs(1),
        window,
        packet_max: 128 * 1024,
    }
}

/// A message of `lane` about asset number `asset`, that says `value`.
///
/// # Errors
/// Never: the ids are good.
pub fn message(lane: Lane, asset: u32, value: u64) -> Result<Message, BadId> {
    let data = Map::from_iter([("value".to_owned(), json!(value))]);
    let key = AssetKey::new(Class::Bay, AssetId::new(&format!("b-{asset}"))?);
    let (topic, body) = match lane {
        Lane::Ticket => {
            let id = TicketId::new(&format!("t-{asset}"))?;
            (Topic::TicketEvent(id), Body::Event { kind: "ticket.raised", data })
        }
        Lane::Event => (Topic::AssetEvent(key), Body::Event { kind: "test.event", data }),
        Lane::State => (Topic::AssetState(key), Body::Flat(data)),
        Lane::Telemetry => (Topic::AssetTelemetry(key), Body::Flat(data)),
    };
    let at = Utc::from_ms(i64::try_from(value).unwrap_or(i64::MAX));
    Ok(Message { lane, topic, at, clock: ClockQuality::Ntp, quality: Quality::Good, body })
}

/// The `value` a payload made from [`message`] says.
#[must_use]
pub fn value_of(payload: &Value) -> Option<u64> {
    payload.get("value").or_else(|| payload.get("data")?.get("value"))?.as_u64()
}

/// Hundreds of connections must die in seconds.
pub const HASTY: Pace = Pace {
    wait_min: Duration::from_millis(1),
    wait_max: Duration::from_millis(20),
    stable_after: Duration::from_secs(30),
};

/// A pipe that runs.
#[derive(Debug)]
pub struct Running {
    /// Where it takes from.
    pub outbox: Outbox,
    /// Ends it.
    pub stop: CancellationToken,
    /// What it shows.
    pub status: watch::Receiver<LinkStatus>,
    /// What it is to send as `P/health`.
    pub health: watch::Sender<Option<Vec<u8>>>,
    /// The task.
    pub pipe: JoinHandle<Result<(), PipeError>>,
}

/// Starts a pipe from `opened`, whose directory is `dir`, to the broker that `settings` name.
#[must_use]
pub fn start(opened: Opened, dir: &Path, settings: Broker, traffic: Traffic) -> Running {
    let identity = identity().expect("the ids are good");
    start_as(identity, HASTY, opened, dir, settings, traffic)
}

/// As [`start`], of the box `identity` with its own patience.
#[must_use]
pub fn start_as(
    identity: Identity,
    pace: Pace,
    opened: Opened,
    dir: &Path,
    settings: Broker,
    traffic: Traffic,
) -> Running {
    let (status, shown) = watch::channel(LinkStatus::default());
    let (health, payloads) = watch::channel(None);
    let stop = CancellationToken::new();
    let pipe = Pipe {
        settings,
        traffic,
        identity,
        outbox: opened.outbox.clone(),
        dir: dir.to_owned(),
        clock: Clock::system(opened.boot),
        health: payloads,
        greeting: None,
        pictures: None,
        status,
        stop: stop.clone(),
    };
    let pipe = tokio::spawn(pipe.run_at(pace));
    Running { outbox: opened.outbox, stop, status: shown, health, pipe }
}

/// `version` alone, and as fast as it goes.
#[must_use]
pub fn only(version: Version) -> Traffic {
    Traffic { protocol: Some(version), replay: Rate::UNLIMITED, ..Traffic::default() }
}

/// Waits until `holds` is true of what `outbox` holds.
///
/// # Panics
/// It takes longer than `within`.
pub async fn stored(outbox: &Outbox, within: Duration, holds: impl Fn(&Stats) -> bool) -> Stats {
    let wait = async {
        loop {
            let stats = outbox.stats().await.expect("the outbox answers");
            if holds(&stats) {
                return stats;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(within, wait).await.expect("in time")
}
