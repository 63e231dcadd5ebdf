//! From settings to one connection, and how long to wait before the next.
//!
//! A connection is used once: client and event loop are made new each time, so that nothing rumqttc
//! remembers of an old link can be mistaken for the present one. What was on its way is known
//! elsewhere: by the outbox, or by the broker's session.

use std::collections::VecDeque;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
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
    client_tls(broker.ca_file.as_deref()).map(TlsConfiguration::from)
}

/// TLS towards servers that the authority in `ca_file`, or one that the system trusts, vouches for.
///
/// # Errors
/// The file cannot be read, or there is no authority at all.
pub(crate) fn client_tls(ca_file: Option<&Path>) -> Result<ClientConfig, SessionError> {
    let mut roots = RootCertStore::empty();
    let place = if let Some(path) = ca_file {
        let failed = |why: String| SessionError::CaFile { path: path.to_owned(), why };
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
    Ok(config)
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

/// How patient a link is with a broker that fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pace {
    /// The ceiling of the wait after the first failure.
    pub wait_min: Duration,
    /// The highest ceiling; each failure doubles it up to here.
    pub wait_max: Duration,
    /// A connection that held this long was a good one: the next failure is the first again. A broker
    /// that accepts and then hangs up does not get there.
    pub stable_after: Duration,
}

impl Default for Pace {
    fn default() -> Pace {
        Pace {
            wait_min: Duration::from_millis(100),
            wait_max: Duration::from_secs(30),
            stable_after: Duration::from_secs(30),
        }
    }
}

/// Waits between tries: full jitter below a ceiling that doubles, so that a thousand boxes that lost
/// their broker together do not come back together. The same seed gives the same waits.
#[derive(Debug, Clone)]
pub struct Backoff {
    pace: Pace,
    random: u64,
    failures: u32,
}

impl Backoff {
    /// For the box or client called `name` in the boot `boot`.
    #[must_use]
    pub fn of(name: &str, boot: u32, pace: Pace) -> Backoff {
        Backoff::new(u64::from(crc32fast::hash(name.as_bytes())) << 32 | u64::from(boot), pace)
    }

    /// With a seed.
    #[must_use]
    pub fn new(seed: u64, pace: Pace) -> Backoff {
        Backoff { pace, random: seed, failures: 0 }
    }

    /// How long to wait now that a try has failed or a link has died: anything from nothing to the
    /// ceiling.
    pub fn wait(&mut self) -> Duration {
        let Pace { wait_min, wait_max, .. } = self.pace;
        let ceiling = wait_min.saturating_mul(1 << self.failures.min(16)).min(wait_max);
        self.failures = self.failures.saturating_add(1);
        let ceiling_us = u64::try_from(ceiling.as_micros()).unwrap_or(u64::MAX - 1);
        Duration::from_micros(self.next() % (ceiling_us + 1))
    }

    /// A connection has held for `held` by now: perhaps long enough for the next failure to be the first.
    pub fn held(&mut self, held: Duration) {
        if held >= self.pace.stable_after {
            self.failures = 0;
        }
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::config::{BrokerUrl, Secret};

    fn broker(scheme: Scheme, host: &str) -> Broker {
        let path = if matches!(scheme, Scheme::Ws | Scheme::Wss) { "/mqtt" } else { "" };
        Broker {
            url: BrokerUrl { scheme, host: host.to_owned(), port: 1234, path: path.to_owned() },
            username: None,
            password: None,
            ca_file: None,
            keep_alive: Duration::from_millis(500),
            connect_timeout: Duration::from_secs(3),
            window: 20,
            packet_max: 1024,
        }
    }

    #[test]
    fn addresses_are_as_the_library_wants_them() {
        let table = [
            (Scheme::Mqtt, "broker.example", "broker.example"),
            (Scheme::Mqtt, "::1", "[::1]"),
            (Scheme::Mqtt, "[::1]", "[::1]"),
            (Scheme::Mqtts, "broker.example", "broker.example"),
            (Scheme::Ws, "broker.example", "ws://broker.example:1234/mqtt"),
            (Scheme::Wss, "::1", "wss://[::1]:1234/mqtt"),
        ];
        for (scheme, host, expected) in table {
            assert_eq!(address(&broker(scheme, host)), expected);
        }
    }

    #[test]
    fn the_user_is_the_settings_or_else_the_box_and_a_password_always_has_one() {
        let user = |settings: &Broker, default| {
            let session = Session::new(settings, "client", default).unwrap();
            session.options.credentials().map(|login| (login.username, login.password))
        };
        let of = |name: &str, password: &str| Some((name.to_owned(), password.to_owned()));
        let mut settings = broker(Scheme::Mqtt, "h");
        assert_eq!(user(&settings, None), None);
        assert_eq!(user(&settings, Some("box")), of("box", ""));
        settings.password = Some(Secret::new("pw".to_owned()));
        assert_eq!(user(&settings, None), of("client", "pw"));
        settings.username = Some("name".to_owned());
        assert_eq!(user(&settings, Some("box")), of("name", "pw"));
    }

    #[test]
    fn a_certificate_file_that_is_none_is_named_with_what_to_do() {
        let dir = tempfile::tempdir().unwrap();
        let mut settings = broker(Scheme::Mqtts, "h");
        let refusal = |settings: &Broker| {
            Session::new(settings, "c", None).err().map(|error| error.to_string()).unwrap()
        };
        settings.ca_file = Some(dir.path().join("missing.pem"));
        assert!(refusal(&settings).contains("missing.pem cannot be read"));
        let empty = dir.path().join("empty.pem");
        fs::write(&empty, "nothing here").unwrap();
        settings.ca_file = Some(empty);
        let text = refusal(&settings);
        assert!(text.contains("empty.pem") && text.contains("set mqtt.ca_file"), "{text}");
        let broken = dir.path().join("broken.pem");
        let pem = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        fs::write(&broken, pem).unwrap();
        settings.ca_file = Some(broken);
        assert!(refusal(&settings).contains("broken.pem"));
    }

    proptest! {
        #[test]
        fn waits_stay_below_a_ceiling_that_doubles_and_only_a_stable_link_resets_it(seed: u64) {
            let pace = Pace::default();
            let mut backoff = Backoff::new(seed, pace);
            let mut ceiling = pace.wait_min;
            for _ in 0..12 {
                prop_assert!(backoff.wait() <= ceiling);
                // Accepted, and dead within the second.
                backoff.held(Duration::from_secs(1));
                ceiling = (ceiling * 2).min(pace.wait_max);
            }
            let again = (0..12).map(|_| Backoff::new(seed, pace).wait());
            prop_assert!(again.collect::<Vec<_>>().windows(2).all(|w| w[0] == w[1]));
            backoff.held(pace.stable_after);
            prop_assert!(backoff.wait() <= pace.wait_min);
        }
    }

    #[test]
    fn a_fleet_comes_back_spread_over_the_whole_wait() {
        let mut tenths = [0; 10];
        for n in 0..1000 {
            let mut backoff = Backoff::of(&format!("box-{n}"), 1, Pace::default());
            let wait = (0..10).fold(Duration::ZERO, |_, _| backoff.wait());
            tenths[usize::try_from(wait.as_millis() / 3001).unwrap()] += 1;
        }
        assert!(tenths.iter().all(|boxes| (60..=140).contains(boxes)), "{tenths:?}");
    }
}
