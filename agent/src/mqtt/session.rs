//! From settings to one connection.
//!
//! What was on its way over a connection that has ended is known elsewhere: by the outbox, or by the
//! broker's session.

use std::io;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use rumqttc::{
    AsyncClient, ConnectionError, Event, EventLoop, MqttOptions, NetworkOptions, TlsConfiguration,
    Transport,
};
use tokio_rustls::rustls::ClientConfig;

use super::event_loop::Events;
use crate::config::{Broker, Scheme};
use crate::tls::{self, TlsError};

/// Beside what the settings allow, how long a link may do nothing at all before it counts as dead.
const SILENCE_MARGIN: Duration = Duration::from_secs(5);

/// Why a connection could not even be tried.
#[derive(Debug, thiserror::Error)]
pub enum SessionError {
    /// TLS.
    #[error(transparent)]
    Tls(#[from] TlsError),
}

/// How a broker is reached and who comes, whichever version of the protocol is spoken.
#[derive(Clone)]
pub(super) struct Access {
    /// Name or address, without brackets.
    pub(super) host: String,
    /// As rumqttc wants it.
    pub(super) address: String,
    pub(super) port: u16,
    pub(super) transport: Transport,
    /// TLS, where it is used.
    pub(super) tls: Option<Arc<ClientConfig>>,
    pub(super) web_socket: bool,
    /// Whole seconds, 1 s to 18 h.
    pub(super) keep_alive: Duration,
    pub(super) login: Option<(String, String)>,
    pub(super) network: NetworkOptions,
    /// The longest time TCP, TLS and CONNACK may take together.
    pub(super) connect_timeout: Duration,
}

impl Access {
    /// The way of `client_id` to `broker`. Reads the certificates anew, so that renewed ones are used
    /// without a restart.
    pub(super) fn of(
        broker: &Broker,
        client_id: &str,
        default_user: Option<&str>,
    ) -> Result<Access, SessionError> {
        let secure = matches!(broker.url.scheme, Scheme::Mqtts | Scheme::Wss);
        let tls = if secure { Some(tls(broker)?) } else { None };
        let web_socket = matches!(broker.url.scheme, Scheme::Ws | Scheme::Wss);
        let transport = match (tls.clone().map(TlsConfiguration::Rustls), web_socket) {
            (None, false) => Transport::tcp(),
            (None, true) => Transport::ws(),
            (Some(tls), false) => Transport::tls_with_config(tls),
            (Some(tls), true) => Transport::wss_with_config(tls),
        };
        let password = broker.password.as_ref().map_or("", |secret| secret.reveal());
        // A password without a name is not allowed in MQTT 3.1.1 (3.1.2.9).
        let fallback = default_user.or_else(|| (!password.is_empty()).then_some(client_id));
        let user = broker.username.as_deref().or(fallback);
        let mut network = NetworkOptions::new();
        network.set_tcp_nodelay(true);
        network.set_connection_timeout(broker.connect_timeout.as_secs().max(1));
        Ok(Access {
            host: bare(broker).to_owned(),
            address: address(broker),
            port: broker.url.port,
            transport,
            tls,
            web_socket,
            // The protocol counts whole seconds in 16 bits.
            keep_alive: broker
                .keep_alive
                .clamp(Duration::from_secs(1), Duration::from_secs(u16::MAX.into())),
            login: user.map(|user| (user.to_owned(), password.to_owned())),
            network,
            connect_timeout: broker.connect_timeout,
        })
    }

    /// The longest time a connection that lives can go without a sign of it, when it pings every
    /// `keep_alive`.
    pub(super) fn silence_max(&self, keep_alive: Duration) -> Duration {
        keep_alive + self.connect_timeout + SILENCE_MARGIN
    }
}

/// What one connection of MQTT 3.1.1 is made of.
pub(super) struct Session {
    /// For the event loop.
    pub(super) options: MqttOptions,
    pub(super) network: NetworkOptions,
    /// The longest time an event loop that lives can go without an event.
    pub(super) silence_max: Duration,
}

impl Session {
    /// The session of `client_id` at `broker`, as [`Access::of`].
    pub(super) fn new(
        broker: &Broker,
        client_id: &str,
        default_user: Option<&str>,
    ) -> Result<Session, SessionError> {
        Ok(Session::with(&Access::of(broker, client_id, default_user)?, client_id))
    }

    /// The session of `client_id` over `access`.
    pub(super) fn with(access: &Access, client_id: &str) -> Session {
        let mut options = MqttOptions::new(client_id, access.address.clone(), access.port);
        options.set_transport(access.transport.clone());
        options.set_keep_alive(access.keep_alive);
        if let Some((user, password)) = &access.login {
            options.set_credentials(user, password);
        }
        let silence_max = access.silence_max(access.keep_alive);
        Session { options, network: access.network.clone(), silence_max }
    }
}

/// rumqttc wants a host for plain and TLS connections, and the whole URL for WebSockets.
fn address(broker: &Broker) -> String {
    let (url, bare) = (&broker.url, bare(broker));
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

fn bare(broker: &Broker) -> &str {
    broker.url.host.trim_start_matches('[').trim_end_matches(']')
}

fn tls(broker: &Broker) -> Result<Arc<ClientConfig>, SessionError> {
    Ok(Arc::new(tls::client(broker.ca_file.as_deref(), broker.identity.as_ref())?))
}

/// One connection: the client to ask with, and the event loop that does it.
pub(super) struct Connection {
    /// Only its `try_` methods may be used by the task that waits for events.
    pub(super) client: AsyncClient,
    events: Events<EventLoop>,
}

impl Connection {
    /// Prepares a connection that begins with the first call of [`Connection::event`].
    /// `capacity`: requests that may wait for the event loop; more are refused by `try_…`.
    pub(super) fn open(session: Session, capacity: usize) -> Connection {
        let (client, mut event_loop) = AsyncClient::new(session.options, capacity);
        event_loop.set_network_options(session.network);
        Connection { client, events: Events::of(event_loop) }
    }

    /// As [`Connection::event`].
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<Event, ConnectionError>> {
        self.events.poll(cx)
    }

    /// The next event. Can be dropped and called again without losing anything.
    pub(super) async fn event(&mut self) -> Result<Event, ConnectionError> {
        self.events.next().await
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
    use super::*;
    use crate::config::{BrokerUrl, Secret};

    fn broker(scheme: Scheme, host: &str) -> Broker {
        let path = if matches!(scheme, Scheme::Ws | Scheme::Wss) { "/mqtt" } else { "" };
        Broker {
            url: BrokerUrl { scheme, host: host.to_owned(), port: 1234, path: path.to_owned() },
            username: None,
            password: None,
            ca_file: None,
            identity: None,
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
}
