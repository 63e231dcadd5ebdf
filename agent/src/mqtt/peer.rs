//! Another party on the broker: the demo's network server, which publishes, and its judge, which listens.
//!
//! Not for the box itself: a peer keeps nothing on disk and promises nothing beyond its own connection.

use std::net::SocketAddr;
use std::time::Duration;

use rumqttc::{AsyncClient, ClientError, ConnectReturnCode, Event, EventLoop};
use rumqttc::{MqttOptions, Packet, QoS, SubscribeReasonCode};
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;
use tracing::warn;

/// Messages on their way without PUBACK. Full: the sender waits.
const WINDOW: usize = 64;
/// Requests on their way to the event loop: the window and a few words of protocol.
const REQUESTS_MAX: usize = WINDOW + 8;
/// Largest packet in either direction, in bytes.
const PACKET_MAX: usize = 1024 * 1024;
/// Between two tries to connect.
const RETRY: Duration = Duration::from_millis(500);
/// Tries in a row before it is given up.
const TRIES_MAX: u32 = 20;
/// How long the last messages may take to be acknowledged.
const DRAIN_WITHIN: Duration = Duration::from_secs(5);

/// A message to be published, at QoS 1 and not retained.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// Where to.
    pub topic: String,
    /// What.
    pub payload: Vec<u8>,
}

/// A message that came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivery {
    /// Where it was published.
    pub topic: String,
    /// What was published.
    pub payload: Vec<u8>,
    /// It is what the broker had kept, not something that happens now.
    pub retained: bool,
}

/// Why a peer gave up.
#[derive(Debug, thiserror::Error)]
pub enum PeerError {
    /// The broker did not come back.
    #[error("no connection to the broker on {addr} after {TRIES_MAX} tries: {source}")]
    Away {
        /// Where it should be.
        addr: SocketAddr,
        /// What happened at the last try.
        source: Box<rumqttc::ConnectionError>,
    },
    /// The broker does not allow the subscription.
    #[error("the broker refuses the subscription to {0}")]
    Refused(String),
    /// The topic or filter is not one.
    #[error("not a topic or filter: {0}")]
    Topic(#[from] ClientError),
}

/// A peer that is to connect.
#[derive(Debug, Clone)]
pub struct Peer {
    addr: SocketAddr,
    id: String,
}

/// One connection, and how often it failed in a row.
struct Connection {
    addr: SocketAddr,
    client: AsyncClient,
    events: EventLoop,
    failures: u32,
}

impl Peer {
    /// The peer called `id`, for the broker on `addr`.
    #[must_use]
    pub fn new(addr: SocketAddr, id: &str) -> Peer {
        Peer { addr, id: id.to_owned() }
    }

    /// Its session is kept by the broker while it is away, so that it misses nothing.
    fn connection(self) -> Connection {
        let mut options = MqttOptions::new(self.id, self.addr.ip().to_string(), self.addr.port());
        options.set_clean_session(false);
        options.set_keep_alive(Duration::from_secs(30));
        options.set_max_packet_size(PACKET_MAX, PACKET_MAX);
        let (client, events) = AsyncClient::new(options, REQUESTS_MAX);
        Connection { addr: self.addr, client, events, failures: 0 }
    }

    /// Hands every message that matches `filter` to `to`, until `stop` or until nobody takes them.
    /// `ready` is told once the broker has accepted the subscription: nothing published after that is
    /// missed. When `to` is full the peer waits, and the broker queues.
    ///
    /// # Errors
    /// The broker is away for long, or refuses.
    pub async fn listen(
        self,
        filter: &str,
        to: mpsc::Sender<Delivery>,
        ready: oneshot::Sender<()>,
        stop: CancellationToken,
    ) -> Result<(), PeerError> {
        let mut connection = self.connection();
        let mut ready = Some(ready);
        loop {
            let event = tokio::select! {
                event = connection.next() => event?,
                () = stop.cancelled() => break,
            };
            match event {
                Some(Packet::ConnAck(ack)) if ack.code == ConnectReturnCode::Success => {
                    connection.client.try_subscribe(filter, QoS::AtLeastOnce)?;
                }
                Some(Packet::SubAck(ack)) => {
                    if ack.return_codes.contains(&SubscribeReasonCode::Failure) {
                        return Err(PeerError::Refused(filter.to_owned()));
                    }
                    if let Some(ready) = ready.take() {
                        // Whoever waited may have gone; then nobody needs to be told.
                        let _nobody = ready.send(());
                    }
                }
                Some(Packet::Publish(publish)) => {
                    let delivery = Delivery {
                        topic: publish.topic,
                        payload: publish.payload.to_vec(),
                        retained: publish.retain,
                    };
                    if to.send(delivery).await.is_err() {
                        break;
                    }
                }
                _ => {}
            }
        }
        connection.leave().await;
        Ok(())
    }

    /// Publishes what comes from `from` until it is closed, then waits up to 5 s for the last PUBACKs.
    /// Answers how many messages were acknowledged.
    ///
    /// # Errors
    /// The broker is away for long, or a topic is none.
    pub async fn publish(self, mut from: mpsc::Receiver<Message>) -> Result<u64, PeerError> {
        let mut connection = self.connection();
        let (mut sent, mut acknowledged) = (0_u64, 0_u64);
        let mut open = true;
        while open {
            let room = sent - acknowledged < WINDOW as u64;
            tokio::select! {
                message = from.recv(), if room => match message {
                    Some(Message { topic, payload }) => {
                        connection.client.try_publish(topic, QoS::AtLeastOnce, false, payload)?;
                        sent += 1;
                    }
                    None => open = false,
                },
                event = connection.next() => {
                    acknowledged += u64::from(matches!(event?, Some(Packet::PubAck(_))));
                }
            }
        }
        let drain = async {
            while acknowledged < sent {
                let event = connection.next().await?;
                acknowledged += u64::from(matches!(event, Some(Packet::PubAck(_))));
            }
            Ok::<(), PeerError>(())
        };
        match tokio::time::timeout(DRAIN_WITHIN, drain).await {
            Ok(outcome) => outcome?,
            Err(_late) => warn!(missing = sent - acknowledged, "peer leaves without PUBACK"),
        }
        connection.leave().await;
        Ok(acknowledged)
    }
}

impl Connection {
    /// The next packet, `None` for anything else that happens. Connects anew as often as it must.
    /// Nothing is lost when this is dropped while it waits.
    async fn next(&mut self) -> Result<Option<Packet>, PeerError> {
        match self.events.poll().await {
            Ok(event) => {
                self.failures = 0;
                Ok(match event {
                    Event::Incoming(packet) => Some(packet),
                    Event::Outgoing(_) => None,
                })
            }
            Err(source) => {
                self.failures += 1;
                if self.failures > TRIES_MAX {
                    return Err(PeerError::Away { addr: self.addr, source: Box::new(source) });
                }
                tokio::time::sleep(RETRY).await;
                Ok(None)
            }
        }
    }

    /// Says goodbye, if the broker still listens.
    async fn leave(mut self) {
        if self.client.try_disconnect().is_err() {
            return;
        }
        let goodbye = async { while self.events.poll().await.is_ok() {} };
        // A broker that does not close the connection in time has heard it all the same.
        let _closed = tokio::time::timeout(Duration::from_millis(500), goodbye).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mqtt::broker::{Broker, Storage};

    fn message(i: u32) -> Message {
        Message { topic: format!("p/{i}"), payload: i.to_string().into_bytes() }
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn what_one_peer_publishes_another_hears_in_order_and_once() {
        let addr = "127.0.0.1:0".parse().unwrap();
        let broker = Broker { storage: Storage::Memory }.start(addr).await.unwrap();
        let (to, mut heard) = mpsc::channel(8);
        let (ready, is_ready) = oneshot::channel();
        let stop = CancellationToken::new();
        let judge = Peer::new(broker.addr, "judge");
        let stopped = stop.clone();
        let listening = tokio::spawn(async move { judge.listen("p/#", to, ready, stopped).await });
        is_ready.await.unwrap();

        let (say, from) = mpsc::channel(8);
        let publishing = tokio::spawn(Peer::new(broker.addr, "lns").publish(from));
        let speak = async {
            for i in 0..1000 {
                say.send(message(i)).await.unwrap();
            }
            drop(say);
        };
        let hear = async {
            for i in 0..1000 {
                let delivery = heard.recv().await.unwrap();
                assert_eq!((delivery.topic, delivery.retained), (format!("p/{i}"), false));
            }
        };
        let both = async { tokio::join!(speak, hear) };
        tokio::time::timeout(Duration::from_secs(20), both).await.expect("in time");
        assert_eq!(publishing.await.unwrap().unwrap(), 1000);
        stop.cancel();
        listening.await.unwrap().unwrap();
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_wrong_topic_is_an_error_with_its_name() {
        let addr = "127.0.0.1:0".parse().unwrap();
        let broker = Broker { storage: Storage::Memory }.start(addr).await.unwrap();
        let (say, from) = mpsc::channel(8);
        say.send(Message { topic: "p/#".to_owned(), payload: vec![] }).await.unwrap();
        let outcome = Peer::new(broker.addr, "lns").publish(from).await;
        assert!(matches!(outcome, Err(PeerError::Topic(_))), "{outcome:?}");
    }
}
