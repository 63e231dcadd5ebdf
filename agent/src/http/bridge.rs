//! `/mqtt`: carries the bytes of an MQTT connection between a browser's WebSocket and the box's broker.
//!
//! The browser speaks MQTT with the broker itself; nothing is read or changed on the way, so the broker's
//! own rules apply to it. MQTT packets may be cut anywhere by WebSocket frames (MQTT 5.0, section 6), so
//! each frame is written as it comes and each read becomes a frame.
//!
//! A page of another site must not drive the box through its visitor's browser: its `Origin` is checked.

use std::future::Future;
use std::io;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::ws::{CloseFrame, Message, WebSocket, WebSocketUpgrade, close_code};
use axum::http::HeaderMap;
use axum::http::header::{HOST, ORIGIN};
use axum::http::uri::{Authority, Uri};
use futures_util::stream::{SplitSink, SplitStream};
use futures_util::{SinkExt, StreamExt};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadHalf, WriteHalf};
use tokio::net::TcpStream;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

/// Most browsers at a time. Full: 503 until one leaves.
pub(super) const CONNECTIONS_MAX: usize = 64;

/// Longest frame a browser may send, in bytes.
pub(super) const FRAME_MAX: usize = 256 * 1024;

/// Bytes read from the broker at once: the longest frame we send.
const PIECE: usize = 16 * 1024;

/// A connection to a broker, whatever carries it.
pub trait Link: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Link for T {}

/// A connection being made.
pub type Connecting = Pin<Box<dyn Future<Output = io::Result<Box<dyn Link>>> + Send>>;

/// Makes a new connection to the box's broker: over TCP, or over TLS where the box uses that.
pub type Connect = Arc<dyn Fn() -> Connecting + Send + Sync>;

/// Connects over TCP to `host:port`.
#[must_use]
pub fn tcp(host: String, port: u16) -> Connect {
    Arc::new(move || {
        let host = host.clone();
        Box::pin(async move {
            let stream = TcpStream::connect((host.as_str(), port)).await?;
            stream.set_nodelay(true)?;
            Ok(Box::new(stream) as Box<dyn Link>)
        })
    })
}

/// How long the bridge waits for whom.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Patience {
    /// For the broker to take a connection.
    pub connect: Duration,
    /// For a byte from the browser; MQTT clients send a ping within their keep-alive time.
    pub idle: Duration,
    /// For either side to take what was sent to it.
    pub write: Duration,
}

impl Default for Patience {
    fn default() -> Patience {
        Patience {
            connect: Duration::from_secs(10),
            idle: Duration::from_secs(180),
            write: Duration::from_secs(30),
        }
    }
}

/// The bridge of one server.
#[derive(Clone)]
pub(super) struct Bridge {
    pub(super) connect: Connect,
    pub(super) patience: Patience,
    pub(super) places: Arc<Semaphore>,
    pub(super) stop: CancellationToken,
}

/// Why a request does not become a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refusal {
    /// Not the MQTT subprotocol.
    Protocol,
    /// All places are taken.
    Full,
}

impl Bridge {
    /// Turns a request into a bridged connection.
    pub(super) fn upgrade(
        &self,
        upgrade: WebSocketUpgrade,
    ) -> Result<axum::response::Response, Refusal> {
        let upgrade = upgrade.protocols(["mqtt"]);
        if upgrade.selected_protocol().is_none() {
            return Err(Refusal::Protocol);
        }
        let place = Arc::clone(&self.places).try_acquire_owned().map_err(|_| Refusal::Full)?;
        let bridge = self.clone();
        Ok(upgrade
            .max_frame_size(FRAME_MAX)
            .max_message_size(FRAME_MAX)
            .max_write_buffer_size(4 * FRAME_MAX)
            .on_upgrade(move |socket| bridge.carry(socket, place)))
    }

    /// Carries bytes both ways until one side leaves, then lets the other side know.
    async fn carry(self, socket: WebSocket, _place: OwnedSemaphorePermit) {
        let (mut to_browser, from_browser) = socket.split();
        let link = match timeout(self.patience.connect, (self.connect)()).await {
            Ok(Ok(link)) => link,
            Ok(Err(e)) => {
                warn!(error = %e, "bridge cannot reach the broker");
                return self.part(&mut to_browser, Parting::BrokerAway).await;
            }
            Err(_late) => {
                warn!("bridge waited too long for the broker");
                return self.part(&mut to_browser, Parting::BrokerAway).await;
            }
        };
        let (from_broker, to_broker) = tokio::io::split(link);
        // Either direction ending drops both, and with them both halves of the broker's connection.
        let parting = tokio::select! {
            parting = upward(from_browser, to_broker, self.patience) => parting,
            parting = downward(from_broker, &mut to_browser, self.patience) => parting,
            () = self.stop.cancelled() => Parting::Stopping,
        };
        debug!(reason = parting.words(), "bridge closed");
        self.part(&mut to_browser, parting).await;
    }

    /// Closes the browser's side with the reason.
    async fn part(&self, browser: &mut SplitSink<WebSocket, Message>, parting: Parting) {
        let frame = CloseFrame { code: parting.code(), reason: parting.words().into() };
        // A browser that is gone, or takes nothing more, need not be told.
        let _gone = timeout(self.patience.write, browser.send(Message::Close(Some(frame)))).await;
    }
}

/// Why a bridged connection ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Parting {
    BrowserLeft,
    BrokerLeft,
    BrokerAway,
    Idle,
    Slow,
    NotMqtt,
    Stopping,
}

impl Parting {
    /// For the log and for the browser.
    const fn words(self) -> &'static str {
        match self {
            Parting::BrowserLeft => "the browser left",
            Parting::BrokerLeft => "the broker closed the connection",
            Parting::BrokerAway => "the broker cannot be reached",
            Parting::Idle => "nothing was heard for too long",
            Parting::Slow => "data was not taken for too long",
            Parting::NotMqtt => "text frames are not MQTT",
            Parting::Stopping => "the box is stopping",
        }
    }

    /// The close code (RFC 6455, 7.4.1, and its registry).
    const fn code(self) -> u16 {
        match self {
            Parting::BrowserLeft | Parting::BrokerLeft => close_code::NORMAL,
            Parting::BrokerAway => close_code::AGAIN,
            Parting::Idle | Parting::Slow => close_code::POLICY,
            Parting::NotMqtt => close_code::UNSUPPORTED,
            Parting::Stopping => close_code::AWAY,
        }
    }
}

/// Browser to broker. A frame beyond the limit ends the stream with an error, as the browser leaving.
async fn upward(
    mut browser: SplitStream<WebSocket>,
    mut broker: WriteHalf<Box<dyn Link>>,
    patience: Patience,
) -> Parting {
    loop {
        let bytes = match timeout(patience.idle, browser.next()).await {
            Err(_late) => return Parting::Idle,
            Ok(None | Some(Err(_) | Ok(Message::Close(_)))) => return Parting::BrowserLeft,
            Ok(Some(Ok(Message::Text(_)))) => return Parting::NotMqtt,
            // Pings are answered by the library.
            Ok(Some(Ok(Message::Ping(_) | Message::Pong(_)))) => continue,
            Ok(Some(Ok(Message::Binary(bytes)))) => bytes,
        };
        match timeout(patience.write, broker.write_all(&bytes)).await {
            Ok(Ok(())) => {}
            Ok(Err(_broken)) => return Parting::BrokerLeft,
            Err(_late) => return Parting::Slow,
        }
    }
}

/// Broker to browser.
async fn downward(
    mut broker: ReadHalf<Box<dyn Link>>,
    browser: &mut SplitSink<WebSocket, Message>,
    patience: Patience,
) -> Parting {
    let mut piece = vec![0; PIECE];
    loop {
        let bytes = match broker.read(&mut piece).await {
            Ok(0) | Err(_) => return Parting::BrokerLeft,
            Ok(n) => piece[..n].to_vec(),
        };
        match timeout(patience.write, browser.send(Message::Binary(bytes.into()))).await {
            Ok(Ok(())) => {}
            Ok(Err(_broken)) => return Parting::BrowserLeft,
            Err(_late) => return Parting::Slow,
        }
    }
}

/// Why a page may not use the bridge.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Foreign {
    /// The page comes from another address than the box's own.
    Page,
    /// The box was addressed by a public name that is not its own.
    Name,
}

/// Whether a request comes from the box's own page, or from no page at all (tools send no `Origin`, and
/// could say what they like anyway).
///
/// 1. `Origin` must name the same host and port as `Host`: another site's page is refused.
/// 2. `Host` must be an address, a name without a dot, a name from a zone that nobody can register
///    (`localhost`, `local`, `internal`, `home.arpa`), or one of `names`: a public name that was made to
///    point at the box would pass the first check.
pub(super) fn check_origin(headers: &HeaderMap, names: &[String]) -> Result<(), Foreign> {
    let Some(origin) = headers.get(ORIGIN) else { return Ok(()) };
    let host: Authority =
        headers.get(HOST).and_then(|host| host.to_str().ok()?.parse().ok()).ok_or(Foreign::Name)?;
    // `null`, which sandboxed and local pages send, has no authority.
    let origin: Uri = origin.to_str().ok().and_then(|o| o.parse().ok()).ok_or(Foreign::Page)?;
    let (Some(scheme), Some(page)) = (origin.scheme_str(), origin.authority()) else {
        return Err(Foreign::Page);
    };
    let default = if scheme == "https" { 443 } else { 80 };
    let port = |authority: &Authority| authority.port_u16().unwrap_or(default);
    let same_host = page.host().eq_ignore_ascii_case(host.host());
    if !same_host || port(page) != port(&host) {
        return Err(Foreign::Page);
    }
    if own_name(host.host(), names) { Ok(()) } else { Err(Foreign::Name) }
}

/// Whether `host` can only be the box's own name.
fn own_name(host: &str, names: &[String]) -> bool {
    let address = host.trim_start_matches('[').trim_end_matches(']');
    let lower = host.trim_end_matches('.').to_ascii_lowercase();
    let private = [".localhost", ".local", ".internal", ".home.arpa"];
    address.parse::<IpAddr>().is_ok()
        || !lower.contains('.')
        || private.iter().any(|zone| lower.ends_with(zone))
        || names.iter().any(|name| name.eq_ignore_ascii_case(&lower))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(origin: Option<&str>, host: &str) -> Result<(), Foreign> {
        let mut headers = HeaderMap::new();
        headers.insert(HOST, host.parse().unwrap());
        if let Some(origin) = origin {
            headers.insert(ORIGIN, origin.parse().unwrap());
        }
        check_origin(&headers, &["street.example.org".to_owned()])
    }

    #[test]
    fn the_boxs_own_page_may_and_so_may_tools() {
        for (origin, host) in [
            (None, "127.0.0.1:8080"),
            (Some("http://127.0.0.1:8080"), "127.0.0.1:8080"),
            (Some("http://localhost:8080"), "localhost:8080"),
            (Some("http://LOCALHOST:8080"), "localhost:8080"),
            (Some("http://[::1]:8080"), "[::1]:8080"),
            (Some("http://192.168.1.7"), "192.168.1.7"),
            (Some("http://xj-0412.local:8080"), "xj-0412.local:8080"),
            (Some("https://street.example.org"), "street.example.org:443"),
            (Some("https://street.example.org"), "street.example.org"),
        ] {
            assert_eq!(check(origin, host), Ok(()), "{origin:?} {host}");
        }
    }

    #[test]
    fn a_page_of_another_site_may_not() {
        for (origin, host) in [
            ("https://evil.example", "127.0.0.1:8080"),
            ("http://127.0.0.1:9090", "127.0.0.1:8080"),
            ("http://localhost:8080", "127.0.0.1:8080"),
            ("null", "127.0.0.1:8080"),
            ("file://", "127.0.0.1:8080"),
            ("127.0.0.1:8080", "127.0.0.1:8080"),
            ("http://127.0.0.1:8080.evil.example", "127.0.0.1:8080"),
        ] {
            assert_eq!(check(Some(origin), host), Err(Foreign::Page), "{origin}");
        }
    }

    #[test]
    fn a_public_name_made_to_point_at_the_box_may_not() {
        for host in ["evil.example:8080", "127.0.0.1.evil.example:8080", "evil.example.:8080"] {
            let origin = format!("http://{host}");
            assert_eq!(check(Some(&origin), host), Err(Foreign::Name), "{host}");
        }
    }
}
