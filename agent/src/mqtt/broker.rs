//! The embedded broker: what `steward demo` and a box without a broker of its own talk to.
//!
//! It is a whole MQTT 3.1.1 and 5 broker on a TCP port, from the crate `mqtt5`, which is named in this
//! file only. It lets everybody in without a password, therefore it listens on loopback and nowhere
//! else. A site that wants its broker on the network runs a broker made for that.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use mqtt5::broker::config::{AuthConfig, StorageBackend, StorageConfig};
use mqtt5::broker::{BrokerConfig, BrokerShutdownHandle, MqttBroker};
use tokio::task::JoinHandle;

/// Largest packet taken, in bytes. The crate's own default (2²⁸) is one more than MQTT can express and
/// is refused by some clients.
const PACKET_MAX: usize = 1_048_576;

/// Messages kept for one client that is away or slow. Full: its oldest message of QoS 1 is dropped, a
/// message of QoS 0 is not queued at all; other clients do not notice.
const QUEUE_MAX: usize = 20_000;

/// How long connected clients may take to leave when the broker stops.
const STOP_WITHIN: Duration = Duration::from_secs(5);

/// Where the broker keeps retained messages and the sessions of clients that are away.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Storage {
    /// In memory: gone with the process.
    Memory,
    /// In files below this directory, which is created: there again after a restart.
    Files(PathBuf),
}

/// A broker to be started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Broker {
    /// Where it keeps what it must keep.
    pub storage: Storage,
}

/// A broker that runs. Dropping it stops the broker without waiting for its clients.
#[derive(Debug)]
pub struct Running {
    /// Where it listens: with the port the system chose when port 0 was asked for.
    pub addr: SocketAddr,
    stop: Stop,
    task: JoinHandle<mqtt5::Result<()>>,
}

/// Why there is no broker.
#[derive(Debug, thiserror::Error)]
pub enum BrokerError {
    /// The address is reachable from other machines.
    #[error(
        "the embedded broker lets everybody in and therefore listens on loopback only, not on {0}; \
         use 127.0.0.1:{port}, or install a broker such as mosquitto and name it in [mqtt] url",
        port = .0.port()
    )]
    NotLoopback(SocketAddr),
    /// Something else listens there.
    #[error(
        "address {0} is in use, perhaps by another broker or another steward; stop it, or choose \
         another port (port 0 takes any free one)"
    )]
    InUse(SocketAddr),
    /// The address cannot be listened on.
    #[error("cannot listen on {addr}: {source}")]
    Listen {
        /// The address.
        addr: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
    /// The broker did not come up or broke off.
    #[error("the embedded broker failed: {0}")]
    Failed(String),
}

impl Broker {
    /// Starts the broker on `addr` and returns when it takes connections. Port 0 lets the system choose;
    /// the choice is in [`Running::addr`].
    ///
    /// # Errors
    /// The address is not loopback, is in use or cannot be listened on; the storage cannot be opened.
    pub async fn start(&self, addr: SocketAddr) -> Result<Running, BrokerError> {
        if !addr.ip().is_loopback() {
            return Err(BrokerError::NotLoopback(addr));
        }
        probe(addr)?;
        // Boxed: the crate's futures are large.
        let mut broker =
            Box::pin(MqttBroker::with_config(self.config(addr))).await.map_err(failed)?;
        let addr = broker
            .local_addr()
            .ok_or_else(|| BrokerError::Failed("it has no listener".to_owned()))?;
        let stop = Stop(broker.shutdown_handle());
        let mut ready = broker.ready_receiver();
        let mut task = tokio::spawn(async move { Box::pin(broker.run()).await });
        tokio::select! {
            came_up = ready.wait_for(|ready| *ready) => match came_up {
                Ok(_) => {}
                Err(_) => return Err(ended((&mut task).await)),
            },
            outcome = &mut task => return Err(ended(outcome)),
        }
        Ok(Running { addr, stop, task })
    }

    fn config(&self, addr: SocketAddr) -> BrokerConfig {
        let storage = StorageConfig::new().with_max_queued_messages_per_client(QUEUE_MAX);
        let storage = match &self.storage {
            Storage::Memory => storage.with_backend(StorageBackend::Memory),
            Storage::Files(dir) => {
                storage.with_backend(StorageBackend::File).with_base_dir(dir.clone())
            }
        };
        BrokerConfig::default()
            .with_bind_address(addr)
            .with_max_packet_size(PACKET_MAX)
            .with_client_channel_capacity(QUEUE_MAX)
            .with_storage(storage.with_persistence(true))
            .with_auth(AuthConfig::new().with_allow_anonymous(true))
    }
}

impl Running {
    /// Waits until the broker ends, which it should not do by itself.
    pub async fn ended(&mut self) -> BrokerError {
        ended((&mut self.task).await)
    }

    /// Stops the broker, writes out what it stores, and waits for that (at most 5 s).
    ///
    /// # Errors
    /// It had failed before, or did not stop in time.
    pub async fn stop(mut self) -> Result<(), BrokerError> {
        self.stop.0.shutdown();
        match tokio::time::timeout(STOP_WITHIN, &mut self.task).await {
            Ok(Ok(Ok(()))) => Ok(()),
            Ok(outcome) => Err(ended(outcome)),
            Err(_late) => {
                self.task.abort();
                Err(BrokerError::Failed(format!("it did not stop within {STOP_WITHIN:?}")))
            }
        }
    }
}

/// The crate's handle, made printable.
struct Stop(BrokerShutdownHandle);

impl std::fmt::Debug for Stop {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Stop")
    }
}

impl Drop for Stop {
    fn drop(&mut self) {
        self.0.shutdown();
    }
}

/// Listens for a moment, because the crate tells the reason of a failure in words only. Between this and
/// the real listening somebody may take the port; then the crate's words are shown.
fn probe(addr: SocketAddr) -> Result<(), BrokerError> {
    match std::net::TcpListener::bind(addr) {
        Ok(_closed_again) => Ok(()),
        Err(e) if e.kind() == io::ErrorKind::AddrInUse => Err(BrokerError::InUse(addr)),
        Err(source) => Err(BrokerError::Listen { addr, source }),
    }
}

fn failed(e: impl std::fmt::Display) -> BrokerError {
    BrokerError::Failed(e.to_string())
}

fn ended(outcome: Result<mqtt5::Result<()>, tokio::task::JoinError>) -> BrokerError {
    match outcome {
        Ok(Ok(())) => BrokerError::Failed("it ended by itself".to_owned()),
        Ok(Err(e)) => failed(e),
        Err(panicked) => failed(panicked),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use rumqttc::{
        AsyncClient, Event, EventLoop, LastWill, MqttOptions, Outgoing, Packet, Publish, QoS,
    };

    use super::*;

    const ANY_PORT: SocketAddr =
        SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 0);

    async fn broker() -> Running {
        Broker { storage: Storage::Memory }.start(ANY_PORT).await.unwrap()
    }

    fn options(addr: SocketAddr, id: &str) -> MqttOptions {
        let mut options = MqttOptions::new(id, addr.ip().to_string(), addr.port());
        options.set_keep_alive(Duration::from_secs(30));
        options.set_max_packet_size(PACKET_MAX, PACKET_MAX);
        options
    }

    /// A client of the test: publishes and receives one step at a time.
    struct Client {
        handle: AsyncClient,
        events: EventLoop,
    }

    impl Client {
        async fn connect(options: MqttOptions) -> (Client, bool) {
            let (handle, events) = AsyncClient::new(options, 4096);
            let mut client = Client { handle, events };
            let session = client
                .until(|event| match event {
                    Event::Incoming(Packet::ConnAck(ack)) => Some(ack.session_present),
                    _ => None,
                })
                .await;
            (client, session)
        }

        async fn open(addr: SocketAddr, id: &str) -> Client {
            Client::connect(options(addr, id)).await.0
        }

        async fn until<T>(&mut self, mut wanted: impl FnMut(Event) -> Option<T>) -> T {
            let search = async {
                loop {
                    let event = self.events.poll().await.unwrap();
                    if let Some(found) = wanted(event) {
                        return found;
                    }
                }
            };
            tokio::time::timeout(Duration::from_secs(20), search).await.expect("in time")
        }

        async fn subscribe(&mut self, filter: &str) {
            self.handle.subscribe(filter, QoS::AtLeastOnce).await.unwrap();
            self.until(|e| matches!(e, Event::Incoming(Packet::SubAck(_))).then_some(())).await;
        }

        /// Publishes at QoS 1 and waits for as many PUBACKs.
        async fn publish(&mut self, messages: &[(String, bool, Vec<u8>)]) {
            for (topic, retain, payload) in messages {
                let sent = self.handle.publish(topic, QoS::AtLeastOnce, *retain, payload.clone());
                sent.await.unwrap();
            }
            let mut missing = messages.len();
            self.until(|event| {
                if matches!(event, Event::Incoming(Packet::PubAck(_))) {
                    missing -= 1;
                }
                (missing == 0).then_some(())
            })
            .await;
        }

        async fn receive(&mut self) -> Publish {
            self.until(|event| match event {
                Event::Incoming(Packet::Publish(publish)) => Some(publish),
                _ => None,
            })
            .await
        }

        /// Everything that arrives until the broker answers a message to ourselves, which it puts
        /// behind what it had to send before.
        async fn receive_until_echo(&mut self, echo: &str) -> Vec<Publish> {
            let sent = self.handle.publish(echo, QoS::AtLeastOnce, false, "");
            sent.await.unwrap();
            let mut got = Vec::new();
            loop {
                let publish = self.receive().await;
                if publish.topic == echo {
                    return got;
                }
                got.push(publish);
            }
        }

        async fn leave(mut self) {
            self.handle.disconnect().await.unwrap();
            self.until(|e| matches!(e, Event::Outgoing(Outgoing::Disconnect)).then_some(())).await;
        }
    }

    fn message(topic: &str, retain: bool, payload: &str) -> (String, bool, Vec<u8>) {
        (topic.to_owned(), retain, payload.as_bytes().to_vec())
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn more_than_a_thousand_retained_messages_come_by_wildcard_and_can_be_cleared() {
        let broker = broker().await;
        let mut box_ = Client::open(broker.addr, "box").await;
        let all: Vec<_> =
            (0..1200).map(|i| message(&format!("p/bay/{i}/state"), true, "x")).collect();
        box_.publish(&all).await;
        box_.publish(&[message("p/bay/7/state", true, "")]).await;

        let mut dashboard = Client::open(broker.addr, "dashboard").await;
        dashboard.subscribe("p/bay/+/state").await;
        let mut topics = BTreeSet::new();
        while topics.len() < 1199 {
            let publish = dashboard.receive().await;
            assert!(publish.retain, "{}", publish.topic);
            assert!(topics.insert(publish.topic.clone()), "twice: {}", publish.topic);
        }
        assert!(!topics.contains("p/bay/7/state"));
        broker.stop().await.unwrap();
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn messages_arrive_in_order_and_once() {
        let broker = broker().await;
        let mut judge = Client::open(broker.addr, "judge").await;
        judge.subscribe("p/#").await;
        let mut box_ = Client::open(broker.addr, "box").await;
        let all: Vec<_> = (0..500).map(|i| message("p/tel", false, &i.to_string())).collect();
        box_.publish(&all).await;
        for i in 0..500 {
            let publish = judge.receive().await;
            assert_eq!(publish.payload, i.to_string());
            assert!(!publish.retain);
        }
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_lost_box_leaves_its_last_will_retained_and_a_parting_box_does_not() {
        let broker = broker().await;
        let mut judge = Client::open(broker.addr, "judge").await;
        judge.subscribe("p/+/status").await;

        let with_will = |id: &str| {
            let mut options = options(broker.addr, id);
            let topic = format!("p/{id}/status");
            options.set_last_will(LastWill::new(topic, "lost", QoS::AtLeastOnce, true));
            options
        };
        Client::connect(with_will("parting")).await.0.leave().await;
        drop(Client::connect(with_will("torn")).await);
        let publish = judge.receive().await;
        assert_eq!((publish.topic.as_str(), &publish.payload[..]), ("p/torn/status", &b"lost"[..]));

        let mut late = Client::open(broker.addr, "late").await;
        late.subscribe("p/#").await;
        let got = late.receive_until_echo("p/echo").await;
        let topics: Vec<_> = got.iter().map(|p| (p.topic.as_str(), p.retain)).collect();
        assert_eq!(topics, [("p/torn/status", true)]);
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_persistent_session_finds_its_messages_when_it_returns() {
        let broker = broker().await;
        let persistent = || {
            let mut options = options(broker.addr, "consumer");
            options.set_clean_session(false);
            options
        };
        let (mut consumer, session) = Client::connect(persistent()).await;
        assert!(!session);
        consumer.subscribe("p/ticket/#").await;
        consumer.leave().await;

        let mut box_ = Client::open(broker.addr, "box").await;
        let all: Vec<_> =
            (0..300).map(|i| message("p/ticket/t/event", false, &i.to_string())).collect();
        box_.publish(&all).await;

        let (mut consumer, session) = Client::connect(persistent()).await;
        assert!(session);
        for i in 0..300 {
            assert_eq!(consumer.receive().await.payload, i.to_string());
        }
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn retained_messages_in_files_survive_a_restart() {
        let dir = tempfile::tempdir().unwrap();
        let broker = Broker { storage: Storage::Files(dir.path().join("broker")) };
        let first = broker.start(ANY_PORT).await.unwrap();
        let mut box_ = Client::open(first.addr, "box").await;
        box_.publish(&[message("p/info", true, "kept")]).await;
        box_.leave().await;
        first.stop().await.unwrap();

        let second = broker.start(ANY_PORT).await.unwrap();
        let mut late = Client::open(second.addr, "late").await;
        late.subscribe("p/#").await;
        assert_eq!(late.receive().await.payload, "kept");
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_packet_over_the_limit_costs_its_sender_the_connection_and_nobody_else() {
        let broker = broker().await;
        let mut judge = Client::open(broker.addr, "judge").await;
        judge.subscribe("p/#").await;
        let mut options = options(broker.addr, "glutton");
        options.set_max_packet_size(2 * PACKET_MAX, 2 * PACKET_MAX);
        let (mut glutton, _) = Client::connect(options).await;
        let huge = vec![0; PACKET_MAX + 1];
        glutton.handle.publish("p/huge", QoS::AtLeastOnce, false, huge).await.unwrap();
        let broken = async { while glutton.events.poll().await.is_ok() {} };
        tokio::time::timeout(Duration::from_secs(20), broken).await.expect("in time");
        assert!(judge.receive_until_echo("p/echo").await.is_empty());
    }

    #[tokio::test]
    async fn an_address_in_use_says_so_and_what_to_do() {
        let taken = std::net::TcpListener::bind(ANY_PORT).unwrap();
        let addr = taken.local_addr().unwrap();
        let e = Broker { storage: Storage::Memory }.start(addr).await.unwrap_err();
        assert!(matches!(e, BrokerError::InUse(a) if a == addr), "{e}");
        assert!(e.to_string().contains("port 0"), "{e}");
    }

    #[tokio::test]
    async fn it_listens_on_loopback_only() {
        let open = "0.0.0.0:1883".parse().unwrap();
        let e = Broker { storage: Storage::Memory }.start(open).await.unwrap_err();
        assert!(e.to_string().contains("127.0.0.1:1883"), "{e}");
    }
}
