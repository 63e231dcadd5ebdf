//! The local web server: the dashboard's files, the way from the browser to the broker, and a sign of life.
//!
//! It holds no state of the street: the dashboard learns everything over MQTT ([`bridge`]). It listens on
//! loopback unless the configuration says otherwise.
//!
//! | path | answer |
//! |---|---|
//! | `/`, `/assets/…` | the dashboard ([`files`]) |
//! | `/mqtt` | a WebSocket with subprotocol `mqtt`, carried to the box's broker |
//! | `POST /in/<source>` | documents for a source of kind `http-json` (`inlet`) |
//! | `/open311/v2/…` | where the public reports problems, when that is switched on ([`open311`]) |
//! | `/evidence/<sha256>.jpg` | the picture of a finding, redacted |
//! | `/healthz` | 200 while the process serves |
//! | `/metrics` | the box's counts, for Prometheus ([`metrics`]) |

pub mod bridge;
pub mod files;
mod inlet;
pub mod metrics;
pub mod open311;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::ws::WebSocketUpgrade;
use axum::extract::ws::rejection::WebSocketUpgradeRejection;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode, Uri};
use axum::middleware::map_response;
use axum::routing::{any, get};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use self::bridge::{Bridge, CONNECTIONS_MAX, Connect, Foreign, Patience, Refusal, check_origin};
use self::files::{Files, plain};
use self::metrics::Metrics;
use self::open311::Open311;
use crate::evidence::Album;
use crate::sources::http_json::Inlets;

/// How long requests may take to finish when the server stops.
const STOP_WITHIN: Duration = Duration::from_secs(3);

/// What the server offers.
pub struct Site {
    /// The dashboard.
    pub files: Files,
    /// The way to the broker.
    pub broker: Connect,
    /// How long the bridge waits.
    pub patience: Patience,
    /// The counts; `None`: there are none.
    pub metrics: Option<Metrics>,
    /// Public names of the box (behind a reverse proxy) whose pages may use the bridge.
    pub names: Vec<String>,
    /// The sources that documents can be sent to.
    pub inlets: Inlets,
    /// Where the public reports problems; `None`: nowhere.
    pub open311: Option<Open311>,
    /// The pictures of findings; `None`: there are none.
    pub evidence: Option<Album>,
    /// The server of map tiles that the page may ask for pictures; `None`: only this one.
    pub tiles: Option<String>,
}

/// A server that has its address but does not answer yet.
#[derive(Debug)]
pub struct Listening {
    /// Where: with the port the system chose when port 0 was asked for.
    pub addr: SocketAddr,
    listener: TcpListener,
}

/// Why there is no server.
#[derive(Debug, thiserror::Error)]
pub enum HttpError {
    /// Something else listens there.
    #[error(
        "address {0} is in use, perhaps by another steward; stop it, or choose another port \
         (port 0 takes any free one)"
    )]
    InUse(SocketAddr),
    /// Ports below 1024 belong to the system.
    #[error("not allowed to listen on {0}; choose a port from 1024 on")]
    Privileged(SocketAddr),
    /// The address cannot be listened on.
    #[error("cannot listen on {addr}: {source}")]
    Listen {
        /// The address.
        addr: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
    /// The server broke off.
    #[error("the web server on {addr} failed: {source}")]
    Serve {
        /// The address.
        addr: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
}

/// Takes the address.
///
/// # Errors
/// It is in use, not allowed, or not an address of this machine.
pub async fn listen(addr: SocketAddr) -> Result<Listening, HttpError> {
    let failed = |source: io::Error| match source.kind() {
        io::ErrorKind::AddrInUse => HttpError::InUse(addr),
        io::ErrorKind::PermissionDenied => HttpError::Privileged(addr),
        _ => HttpError::Listen { addr, source },
    };
    let listener = TcpListener::bind(addr).await.map_err(failed)?;
    let addr = listener.local_addr().map_err(failed)?;
    Ok(Listening { addr, listener })
}

impl Listening {
    /// Answers until `stop`; then lets requests finish for at most 3 s and closes every bridge.
    ///
    /// # Errors
    /// The listener broke.
    pub async fn serve(self, site: Site, stop: CancellationToken) -> Result<(), HttpError> {
        let Listening { addr, listener } = self;
        if !addr.ip().is_loopback() {
            warn!(%addr, "the web server is reachable from other machines");
        }
        info!(%addr, "web server listens");
        let routes = routes(site, stop.clone());
        let asked = stop.clone();
        let routes = routes.into_make_service_with_connect_info::<SocketAddr>();
        let server = axum::serve(listener, routes)
            .with_graceful_shutdown(async move { asked.cancelled().await });
        let late = async {
            stop.cancelled().await;
            tokio::time::sleep(STOP_WITHIN).await;
        };
        tokio::select! {
            outcome = server => outcome.map_err(|source| HttpError::Serve { addr, source }),
            () = late => Ok(()),
        }
    }
}

/// What every request is answered from.
struct Shared {
    files: Files,
    bridge: Bridge,
    metrics: Option<Metrics>,
    names: Vec<String>,
    album: Option<Album>,
}

fn routes(site: Site, stop: CancellationToken) -> Router {
    let Site { files, broker, patience, metrics, names, inlets, open311, evidence: album, tiles } =
        site;
    let policy = policy(tiles.as_deref());
    let public = open311.map_or_else(Router::new, open311::routes);
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let bridge = Bridge { connect: broker, patience, places, stop };
    Router::new()
        .route("/healthz", get(|| async { plain(StatusCode::OK, "ok\n") }))
        .route("/metrics", get(counts))
        .route("/mqtt", any(mqtt))
        .route("/evidence/{name}", get(evidence))
        .fallback(get(file))
        .with_state(Arc::new(Shared { files, bridge, metrics, names, album }))
        .merge(inlet::routes(inlets))
        .merge(public)
        .layer(map_response(move |answer| secure(answer, policy.clone())))
}

async fn counts(State(shared): State<Arc<Shared>>) -> Response<Body> {
    match &shared.metrics {
        Some(metrics) => metrics.answer().await,
        None => plain(StatusCode::NOT_FOUND, "this server has no counts\n"),
    }
}

/// A picture never changes: its name is its hash.
async fn evidence(State(shared): State<Arc<Shared>>, Path(name): Path<String>) -> Response<Body> {
    let album = shared.album.clone();
    let find = move || album.and_then(|album| album.find(name.strip_suffix(".jpg")?));
    let Ok(Some(jpeg)) = tokio::task::spawn_blocking(find).await else {
        return plain(StatusCode::NOT_FOUND, "There is no such picture, or it is gone.\n");
    };
    let mut answer = Response::new(Body::from(jpeg));
    let fixed =
        [("content-type", "image/jpeg"), ("cache-control", "private, max-age=31536000, immutable")];
    for (name, value) in fixed {
        answer.headers_mut().insert(HeaderName::from_static(name), HeaderValue::from_static(value));
    }
    answer
}

async fn file(State(shared): State<Arc<Shared>>, uri: Uri, headers: HeaderMap) -> Response<Body> {
    shared.files.answer(uri.path(), &headers)
}

async fn mqtt(
    State(shared): State<Arc<Shared>>,
    headers: HeaderMap,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> Response<Body> {
    let Ok(upgrade) = upgrade else {
        let words = "This is a WebSocket with subprotocol mqtt.\n";
        return plain(StatusCode::UPGRADE_REQUIRED, words);
    };
    if let Err(foreign) = check_origin(&headers, &shared.names) {
        warn!(?foreign, "bridge refused a page");
        let words = match foreign {
            Foreign::Page => "Pages of other sites may not use this broker.\n",
            Foreign::Name => {
                "Open the box by its address, or add this name to its configuration.\n"
            }
        };
        return plain(StatusCode::FORBIDDEN, words);
    }
    match shared.bridge.upgrade(upgrade) {
        Ok(answer) => answer,
        Err(Refusal::Protocol) => {
            plain(StatusCode::BAD_REQUEST, "The WebSocket must offer subprotocol mqtt.\n")
        }
        Err(Refusal::Full) => {
            warn!(max = CONNECTIONS_MAX, "bridge is full");
            plain(StatusCode::SERVICE_UNAVAILABLE, "Too many browsers are connected.\n")
        }
    }
}

/// What a page of ours may do in a browser: run its own scripts, show its own pictures and those of `tiles`,
/// speak to its own server and to brokers, and be framed by nobody.
fn policy(tiles: Option<&str>) -> HeaderValue {
    let pictures = tiles.map(|origin| format!(" {origin}")).unwrap_or_default();
    let policy = format!(
        "default-src 'none'; script-src 'self'; style-src 'self'; font-src 'self'; \
         img-src 'self' data:{pictures}; connect-src 'self' ws: wss:; manifest-src 'self'; \
         base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    );
    HeaderValue::from_str(&policy).expect("the configuration lets only plain names of servers pass")
}

/// Adds the headers that hold for every answer.
async fn secure(
    mut answer: axum::response::Response,
    policy: HeaderValue,
) -> axum::response::Response {
    let fixed: [(&'static str, &'static str); 6] = [
        ("x-content-type-options", "nosniff"),
        ("x-frame-options", "DENY"),
        ("referrer-policy", "no-referrer"),
        ("cross-origin-opener-policy", "same-origin"),
        ("cross-origin-resource-policy", "same-origin"),
        ("permissions-policy", "camera=(), microphone=(), payment=(), usb=()"),
    ];
    for (name, value) in fixed {
        let name = HeaderName::from_static(name);
        answer.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    answer.headers_mut().insert(HeaderName::from_static("content-security-policy"), policy);
    answer
}

#[cfg(test)]
mod tests;
