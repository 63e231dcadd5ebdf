//! From settings to one connection, and how long to wait before the next.
//!
//! A connection is used once: client and event loop are made new each time, so that nothing rumqttc
//! remembers of an old link can be mistaken for the present one. What was on its way is known
//! elsewhere: by the outbox, or by the broker's session.

use std::collections::VecDeque;
use std::fs;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use rumqttc::tokio_rustls::rustls::crypto::ring;
use rumqttc::tokio_rustls::rustls::pki_types::CertificateDer;
use rumqttc::tokio_rustls::rustls::pki_types::pem::PemObject;
use rumqttc::tokio_rustls::rustls::{self, ClientConfig, RootCertStore};
use rumqttc::{
    AsyncClient, ConnectionError, Event, EventLoop, MqttOptions, NetworkOptions, TlsConfiguration,
    Transport,
};
use tokio_util::sync::ReusableBoxFuture;

use crate::config::{Broker, Scheme};

/// The shortest ceiling of a wait, after the first failure.
const WAIT_MIN: Duration = Duration::from_millis(100);
/// The highest ceiling of a wait.
const WAIT_MAX: Duration = Duration::from_secs(30);
/// Beside what the settings allow, how long a link may do nothing at all before it counts as dead.
const SILENCE_MARGIN: Duration = Duration::from_secs(5);

/// Why a connection could not even be tried.
#[derive(Debug, thiserror::Error)]
pub enum SessionError {
    /// The certificate authority's file cannot be read.
    #[error("mqtt.ca_file {path} cannot be read: {why}; check the path and its permissions")]
    CaFile {
        /// The file.
        path: PathBuf,
        /// Why.
        why: String,
    },
    /// There is nothing to check the broker's certificate against.
    #[error("no certificate authority in {place}; set mqtt.ca_file to a PEM file with one")]
    NoAuthority {
        /// Where one was looked for.
        place: String,
    },
    /// TLS itself could not be set up.
    #[error("TLS cannot be set up: {0}")]
    Tls(#[from] rustls::Error),
}

/// What one connection is made of.
pub(super) struct Session {
    /// For the event loop.
    pub(super) options: MqttOptions,
    network: NetworkOptions,
    /// The longest time an event loop that lives can go without an event.
    pub(super) silence_max: Duration,
}

impl Session {
    /// The session of `client_id` at `broker`. Reads the certificates anew, so that renewed ones are
    /// used without a restart.
    pub(super) fn new(
        broker: &Broker,
        client_id: &str,
        default_user: Option<&str>,
    ) -> Result<Session, SessionError> {
        let url = &broker.url;
        let mut options = MqttOptions::new(client_id, address(broker), url.port);
        options.set_transport(match url.scheme {
            Scheme::Mqtt => Transport::tcp(),
            Scheme::Ws => Transport::ws(),
            Scheme::Mqtts => Transport::tls_with_config(tls(broker)?),
            Scheme::Wss => Transport::wss_with_config(tls(broker)?),
        });
        // The protocol counts whole seconds in 16 bits.
        let keep_alive =
            broker.keep_alive.clamp(Duration::from_secs(1), Duration::from_secs(u16::MAX.into()));
        options.set_keep_alive(keep_alive);
        let password = broker.password.as_ref().map_or("", |secret| secret.reveal());
        // A password without a name is not allowed in MQTT 3.1.1 (3.1.2.9).
        let fallback = default_user.or_else(|| (!password.is_empty()).then_some(client_id));
        if let Some(user) = broker.username.as_deref().or(fallback) {
            options.set_credentials(user, password);
        }
        let mut network = NetworkOptions::new();
        network.set_tcp_nodelay(true);
        network.set_connection_timeout(broker.connect_timeout.as_secs().max(1));
        let silence_max = keep_alive + broker.connect_timeout + SILENCE_MARGIN;
        Ok(Session { options, network, silence_max })
    }
}

/// rumqttc wants a host for plain and TLS connections, and the whole URL for WebSockets.
fn address(broker: &Broker) -> String {
    let url = &broker.url;
    let bare = url.host.trim_start_matches('[').trim_end_matches(']');
    let bracketed = if bare.contains(':') { format!("[{bare}]") } else { bare.to_owned() };
    match url.scheme {
        Scheme::Mqtt => bracketed,
        // The certificate names the address without brackets; a resolver takes it so as well, but
        // only names and IPv4 addresses can carry a port behind them.
        Scheme::Mqtts => bare.to_owned(),
        Scheme::Ws => format!("ws://{bracketed}:{}{}", url.port, url.path),
        Scheme::Wss => format!("wss://{bracketed}:{}{}", url.port, url.path),
    }
}

fn tls(broker: &Broker) -> Result<TlsConfiguration, SessionError> {
    let mut roots = RootCertStore::empty();
    let place = if let Some(path) = &broker.ca_file {
        let failed = |why: String| SessionError::CaFile { path: path.clone(), why };
        let pem = fs::read(path).map_err(|e| failed(e.to_string()))?;
        for certificate in CertificateDer::pem_slice_iter(&pem) {
            let certificate = certificate.map_err(|e| failed(format!("not PEM: {e}")))?;
            roots.add(certificate).map_err(|e| failed(e.to_string()))?;
        }
        path.display().to_string()
    } else {
        let found = rustls_native_certs::load_native_certs();
        // The system's store may hold certificates that are too old to be parsed; those do not count.
        roots.add_parsable_certificates(found.certs);
        "the system's certificate store".to_owned()
    };
    if roots.is_empty() {
        return Err(SessionError::NoAuthority { place });
    }
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(TlsConfiguration::from(config))
}

/// One connection: the client to ask with, and the event loop that does it.
pub(super) struct Connection {
    /// Only its `try_` methods may be used by the task that waits for events.
    pub(super) client: AsyncClient,
    polling: ReusableBoxFuture<'static, Polled>,
}

struct Polled {
    event_loop: Box<EventLoop>,
    result: Result<Event, ConnectionError>,
}

async fn poll(mut event_loop: Box<EventLoop>) -> Polled {
    let result = event_loop.poll().await;
    Polled { event_loop, result }
}

/// The end of a connection.
#[derive(Debug)]
pub(super) struct Broken {
    /// What ended it.
    pub(super) error: ConnectionError,
    /// What had been read before it ended and not yet been told. Acknowledgements are among it.
    pub(super) leftovers: VecDeque<Event>,
}

impl Connection {
    /// Prepares a connection that begins with the first call of [`Connection::event`].
    /// `capacity`: requests that may wait for the event loop; more are refused by `try_…`.
    pub(super) fn open(session: Session, capacity: usize) -> Connection {
        let (client, mut event_loop) = AsyncClient::new(session.options, capacity);
        event_loop.set_network_options(session.network);
        Connection { client, polling: ReusableBoxFuture::new(poll(Box::new(event_loop))) }
    }

    /// The next event. Can be dropped and called again without losing anything: a poll that has begun
    /// goes on where it was, whereas rumqttc's own poll, dropped half-way, can lose a packet.
    pub(super) async fn event(&mut self) -> Result<Event, Broken> {
        let Polled { mut event_loop, result } = self.polling.get_pin().await;
        match result {
            Ok(event) => {
                self.polling.set(poll(event_loop));
                Ok(event)
            }
            Err(error) => {
                let leftovers = std::mem::take(&mut event_loop.state.events);
                // Nobody is to ask again; but if somebody does, it is a new try and not a panic.
                self.polling.set(poll(event_loop));
                Err(Broken { error, leftovers })
            }
        }
    }
}

/// Waits between tries: full jitter below a ceiling that doubles, so that a thousand boxes that lost
/// their broker together do not come back together. The same seed gives the same waits.
#[derive(Debug, Clone)]
pub struct Backoff {
    random: u64,
    failures: u32,
}

impl Backoff {
    /// For the box or client called `name` in the boot `boot`.
    #[must_use]
    pub fn of(name: &str, boot: u32) -> Backoff {
        Backoff::new(u64::from(crc32fast::hash(name.as_bytes())) << 32 | u64::from(boot))
    }

    /// With a seed.
    #[must_use]
    pub fn new(seed: u64) -> Backoff {
        Backoff { random: seed, failures: 0 }
    }

    /// How long to wait now that a try has failed or a link has died: anything from nothing to a
    /// ceiling of 0.1 s, that doubles with every call up to 30 s.
    pub fn wait(&mut self) -> Duration {
        let ceiling = WAIT_MIN.saturating_mul(1 << self.failures.min(16)).min(WAIT_MAX);
        self.failures = self.failures.saturating_add(1);
        let ceiling_us = u64::try_from(ceiling.as_micros()).expect("30 s in microseconds fit");
        Duration::from_micros(self.next() % (ceiling_us + 1))
    }

    /// The link has held for a while: the next failure is the first.
    pub fn held(&mut self) {
        self.failures = 0;
    }

    /// SplitMix64 (Steele, Lea, Flood 2014): enough to spread boxes, and reproducible.
    fn next(&mut self) -> u64 {
        self.random = self.random.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.random;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }
}

/// The words of a link's end for people: the cause behind the library's wrapping.
pub(super) fn in_words(error: &ConnectionError) -> String {
    match error {
        ConnectionError::Io(e) if e.kind() == io::ErrorKind::ConnectionRefused => {
            "nobody listens at the broker's address (connection refused)".to_owned()
        }
        ConnectionError::NetworkTimeout => "the broker did not answer in time".to_owned(),
        ConnectionError::ConnectionRefused(code) => {
            format!("the broker refused the connection: {code:?}; check user name and password")
        }
        other => other.to_string(),
    }
}
