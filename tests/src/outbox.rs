//! An outbox and a link as the program would set them up, with small numbers.

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use domain::ids::{AssetId, AssetKey, BadId, BoxId, Class, SiteId, TenantId, TicketId};
use domain::output::{Body, Lane, Message, Quality, Topic};
use domain::site::Identity;
use domain::time::{ClockQuality, Utc};
use serde_json::{Map, Value, json};
use steward::config::{Broker, BrokerUrl, Buffer, Scheme};

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
    Buffer { dir: dir.to_owned(), max_size: 256 << 20, commit_every }
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
        keep_alive: Duration::from_secs(1),
        connect_timeout: Duration::from_secs(1),
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
