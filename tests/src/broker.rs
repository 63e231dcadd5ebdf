//! A scripted broker that speaks just enough MQTT 3.1.1 to be unkind: it cuts connections before and
//! after it has taken a message, keeps acknowledgements back, and sends them late and in another order.
//! All of it follows a seed. It remembers everything it has taken, in order, for a judge to look at.
//!
//! It is no broker for subscribers: what a test puts into [`ScriptedBroker::offer`] is sent to whoever
//! subscribes, again after each reconnect, until it is acknowledged.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, watch};

/// How unkind it is. Chances are per mille.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Temper {
    /// Hangs up instead of CONNACK.
    pub refuse: u64,
    /// Hangs up right behind CONNACK.
    pub kick: u64,
    /// Hangs up on a PUBLISH without having taken it.
    pub cut_before: u64,
    /// Takes a PUBLISH and hangs up.
    pub cut_after: u64,
    /// Takes a PUBLISH and never acknowledges it on this connection.
    pub withhold: u64,
    /// Acknowledges so many at a time, in a random order; 0 and 1: at once.
    pub batch: usize,
}

/// A message it has taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Taken {
    /// The connection, counted from 1.
    pub connection: u64,
    /// The topic.
    pub topic: String,
    /// The payload.
    pub payload: Vec<u8>,
    /// The retain flag.
    pub retain: bool,
    /// 0 or 1.
    pub qos: u8,
}

/// A message for whoever subscribes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Offer {
    /// The topic.
    pub topic: String,
    /// The payload.
    pub payload: Vec<u8>,
    /// The retain flag.
    pub retain: bool,
}

/// Everything that happened.
#[derive(Debug, Default, Clone)]
pub struct Seen {
    /// Connections, those it hung up on included.
    pub connections: u64,
    /// What CONNECT said, per connection: client id, and whether the session is a clean one.
    pub clients: Vec<(String, bool)>,
    /// Messages, in the order in which they were taken.
    pub taken: Vec<Taken>,
    /// The last message of each retained topic.
    pub retained: BTreeMap<String, Vec<u8>>,
    /// PUBACKs sent.
    pub acknowledged: u64,
    /// Filters subscribed to.
    pub filters: BTreeSet<String>,
    /// Offers acknowledged to us, in that order, by their place among the offers.
    pub offers_acknowledged: Vec<usize>,
    /// Offers sent, those sent again included.
    pub offers_sent: u64,
    /// Connections that ended with a DISCONNECT.
    pub goodbyes: u64,
    /// Last wills, taken when a connection ended without one.
    pub wills: Vec<Vec<u8>>,
}

#[derive(Debug)]
struct Shared {
    temper: Temper,
    random: Random,
    seen: Seen,
    offers: Vec<Offer>,
}

/// A running broker; ends with the runtime it was started on.
#[derive(Debug, Clone)]
pub struct ScriptedBroker {
    addr: SocketAddr,
    shared: Arc<Mutex<Shared>>,
    changed: watch::Sender<u64>,
}

impl ScriptedBroker {
    /// Listens on a port of its own on the loopback address.
    ///
    /// # Errors
    /// The address cannot be listened on.
    pub async fn start(seed: u64, temper: Temper) -> io::Result<ScriptedBroker> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let shared =
            Shared { temper, random: Random(seed), seen: Seen::default(), offers: Vec::new() };
        let broker = ScriptedBroker {
            addr: listener.local_addr()?,
            shared: Arc::new(Mutex::new(shared)),
            changed: watch::Sender::new(0),
        };
        let accepting = broker.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let broker = accepting.clone();
                tokio::spawn(async move {
                    // A connection that breaks is what this broker is for.
                    let _ = broker.serve(stream).await;
                    broker.change();
                });
            }
        });
        Ok(broker)
    }

    /// Where it listens.
    #[must_use]
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Changes its temper from the next packet on.
    pub fn set_temper(&self, temper: Temper) {
        self.shared().temper = temper;
    }

    /// Everything that happened so far.
    #[must_use]
    pub fn seen(&self) -> Seen {
        self.shared().seen.clone()
    }

    /// A look at what happened, without copying it.
    pub fn look<T>(&self, at: impl FnOnce(&Seen) -> T) -> T {
        at(&self.shared().seen)
    }

    /// Offers a message to whoever subscribes.
    pub fn offer(&self, offer: Offer) {
        self.shared().offers.push(offer);
        self.change();
    }

    /// Waits until `true_at` holds of what happened, at most `within`; answers whether it does.
    pub async fn wait(&self, within: Duration, true_at: impl Fn(&Seen) -> bool) -> bool {
        let mut changed = self.changed.subscribe();
        let holds = async {
            while !self.look(&true_at) {
                if changed.changed().await.is_err() {
                    return;
                }
            }
        };
        tokio::time::timeout(within, holds).await.is_ok()
    }

    fn shared(&self) -> MutexGuard<'_, Shared> {
        // A judge that panicked while it looked has changed nothing.
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change(&self) {
        self.changed.send_modify(|n| *n += 1);
    }

    fn chance(&self, per_mille: impl Fn(&Temper) -> u64) -> bool {
        let mut shared = self.shared();
        let wanted = per_mille(&shared.temper);
        shared.random.below(1000) < wanted
    }

    async fn serve(&self, stream: TcpStream) -> io::Result<()> {
        stream.set_nodelay(true)?;
        let (reader, writer) = stream.into_split();
        // Read on a task of its own: half a packet must not be lost when something else happens.
        let (sender, packets) = mpsc::channel(16);
        let reading = tokio::spawn(read_packets(reader, sender));
        let mut connection = Connection {
            broker: self,
            packets,
            writer,
            number: 0,
            will: None,
            late: Vec::new(),
            sent: BTreeMap::new(),
            next_offer: None,
        };
        let ended = connection.run().await;
        reading.abort();
        if let Some(will) = connection.will {
            self.shared().seen.wills.push(will);
        }
        ended
    }
}

/// The first byte of a packet, and all behind its length.
type Packet = (u8, Vec<u8>);

const CONNECT: u8 = 1;
const PUBLISH: u8 = 3;
const PUBACK: u8 = 4;
const SUBSCRIBE: u8 = 8;
const PINGREQ: u8 = 12;
const DISCONNECT: u8 = 14;
/// How long late acknowledgements wait for company.
const LATE: Duration = Duration::from_millis(3);

struct Connection<'b> {
    broker: &'b ScriptedBroker,
    packets: mpsc::Receiver<Packet>,
    writer: OwnedWriteHalf,
    number: u64,
    /// Taken when the connection ends without a DISCONNECT.
    will: Option<Vec<u8>>,
    /// Packet ids still to be acknowledged.
    late: Vec<u16>,
    /// Offers on their way, by packet id.
    sent: BTreeMap<u16, usize>,
    /// The next offer to send, once something is subscribed to.
    next_offer: Option<usize>,
}

impl Connection<'_> {
    async fn run(&mut self) -> io::Result<()> {
        let mut changed = self.broker.changed.subscribe();
        let Some((first, body)) = self.packets.recv().await else { return Ok(()) };
        if first >> 4 != CONNECT || !self.connect(&body).await? {
            return Ok(());
        }
        loop {
            self.send_offers().await?;
            tokio::select! {
                Ok(()) = changed.changed(), if self.next_offer.is_some() => {}
                () = tokio::time::sleep(LATE), if !self.late.is_empty() => {
                    self.acknowledge(0).await?;
                }
                packet = self.packets.recv() => {
                    let Some((first, body)) = packet else { return Ok(()) };
                    if !self.handle(first, &body).await? {
                        return Ok(());
                    }
                }
            }
        }
    }

    /// Answers CONNECT; `false`: and hangs up.
    async fn connect(&mut self, body: &[u8]) -> io::Result<bool> {
        let mut fields = Fields(body);
        let (_protocol, _level) = (fields.text()?, fields.byte()?);
        let flags = fields.byte()?;
        let _keep_alive = fields.number()?;
        let client = fields.text()?;
        if flags & 0b100 != 0 {
            fields.text()?;
            self.will = Some(fields.bytes()?.to_vec());
        }
        {
            let seen = &mut self.broker.shared().seen;
            seen.connections += 1;
            self.number = seen.connections;
            seen.clients.push((client, flags & 0b10 != 0));
        }
        self.broker.change();
        if self.broker.chance(|temper| temper.refuse) {
            return Ok(false);
        }
        self.writer.write_all(&[0x20, 2, 0, 0]).await?;
        Ok(!self.broker.chance(|temper| temper.kick))
    }

    /// Does what a packet asks for; `false`: and hangs up.
    async fn handle(&mut self, first: u8, body: &[u8]) -> io::Result<bool> {
        match first >> 4 {
            PUBLISH => return self.publish(first, Fields(body)).await,
            PUBACK => {
                let id = Fields(body).number()?;
                if let Some(offer) = self.sent.remove(&id) {
                    self.broker.shared().seen.offers_acknowledged.push(offer);
                }
            }
            SUBSCRIBE => {
                let mut fields = Fields(body);
                let id = fields.number()?.to_be_bytes();
                let filter = fields.text()?;
                self.broker.shared().seen.filters.insert(filter);
                self.next_offer = Some(0);
                self.writer.write_all(&[0x90, 3, id[0], id[1], 1]).await?;
            }
            PINGREQ => self.writer.write_all(&[0xd0, 0]).await?,
            DISCONNECT => {
                self.will = None;
                self.broker.shared().seen.goodbyes += 1;
                return Ok(false);
            }
            other => return Err(io::Error::other(format!("packet type {other}"))),
        }
        self.broker.change();
        Ok(true)
    }

    async fn publish(&mut self, first: u8, mut fields: Fields<'_>) -> io::Result<bool> {
        let (qos, retain) = (first >> 1 & 3, first & 1 == 1);
        let topic = fields.text()?;
        let id = if qos > 0 { Some(fields.number()?) } else { None };
        if self.broker.chance(|temper| temper.cut_before) {
            return Ok(false);
        }
        let payload = fields.0.to_vec();
        let batch = {
            let mut shared = self.broker.shared();
            if retain {
                shared.seen.retained.insert(topic.clone(), payload.clone());
            }
            let connection = self.number;
            shared.seen.taken.push(Taken { connection, topic, payload, retain, qos });
            shared.temper.batch
        };
        self.broker.change();
        if self.broker.chance(|temper| temper.cut_after) {
            return Ok(false);
        }
        if let Some(id) = id
            && !self.broker.chance(|temper| temper.withhold)
        {
            self.late.push(id);
        }
        if self.late.len() >= batch {
            self.acknowledge(batch / 2).await?;
        }
        Ok(true)
    }

    /// Sends late acknowledgements in a random order, until `left` are left.
    async fn acknowledge(&mut self, left: usize) -> io::Result<()> {
        while self.late.len() > left {
            let id = {
                let mut shared = self.broker.shared();
                let among = self.late.len() as u64;
                // In order, unless it is told to be unkind.
                let at = if shared.temper.batch > 1 { shared.random.below(among) } else { 0 };
                shared.seen.acknowledged += 1;
                self.late.remove(usize::try_from(at).unwrap_or(0)).to_be_bytes()
            };
            self.writer.write_all(&[0x40, 2, id[0], id[1]]).await?;
        }
        self.broker.change();
        Ok(())
    }

    /// Sends every offer that was not acknowledged yet and not sent on this connection.
    async fn send_offers(&mut self) -> io::Result<()> {
        while let Some(at) = self.next_offer {
            let packet = {
                let mut shared = self.broker.shared();
                let Some(offer) = shared.offers.get(at) else { return Ok(()) };
                let id = u16::try_from(at + 1).map_err(io::Error::other)?;
                let packet = publish_packet(offer, id)?;
                self.next_offer = Some(at + 1);
                if shared.seen.offers_acknowledged.contains(&at) {
                    continue;
                }
                self.sent.insert(id, at);
                shared.seen.offers_sent += 1;
                packet
            };
            self.writer.write_all(&packet).await?;
        }
        Ok(())
    }
}

fn publish_packet(offer: &Offer, id: u16) -> io::Result<Vec<u8>> {
    let topic_len = u16::try_from(offer.topic.len()).map_err(io::Error::other)?;
    let mut length = 2 + offer.topic.len() + 2 + offer.payload.len();
    let mut packet = vec![0x32 | u8::from(offer.retain)];
    while length >= 128 {
        packet.push(u8::try_from(length % 128).map_err(io::Error::other)? | 128);
        length /= 128;
    }
    packet.push(u8::try_from(length).map_err(io::Error::other)?);
    packet.extend_from_slice(&topic_len.to_be_bytes());
    packet.extend_from_slice(offer.topic.as_bytes());
    packet.extend_from_slice(&id.to_be_bytes());
    packet.extend_from_slice(&offer.payload);
    Ok(packet)
}

async fn read_packets(mut reader: OwnedReadHalf, packets: mpsc::Sender<Packet>) {
    while let Ok(packet) = read_packet(&mut reader).await {
        if packets.send(packet).await.is_err() {
            return;
        }
    }
}

async fn read_packet(reader: &mut OwnedReadHalf) -> io::Result<Packet> {
    let first = reader.read_u8().await?;
    let mut length = 0;
    for shift in [0, 7, 14, 21] {
        let byte = reader.read_u8().await?;
        length |= usize::from(byte & 127) << shift;
        if byte & 128 == 0 {
            break;
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).await?;
    Ok((first, body))
}

/// The fields of a packet, one after another.
struct Fields<'p>(&'p [u8]);

impl<'p> Fields<'p> {
    fn split(&mut self, n: usize) -> io::Result<&'p [u8]> {
        let (head, rest) = self.0.split_at_checked(n).ok_or(io::ErrorKind::UnexpectedEof)?;
        self.0 = rest;
        Ok(head)
    }

    fn byte(&mut self) -> io::Result<u8> {
        Ok(self.split(1)?[0])
    }

    fn number(&mut self) -> io::Result<u16> {
        let bytes = self.split(2)?;
        Ok(u16::from_be_bytes([bytes[0], bytes[1]]))
    }

    fn bytes(&mut self) -> io::Result<&'p [u8]> {
        let length = self.number()?;
        self.split(length.into())
    }

    fn text(&mut self) -> io::Result<String> {
        String::from_utf8(self.bytes()?.to_vec()).map_err(io::Error::other)
    }
}

/// SplitMix64: the same seed, the same day.
#[derive(Debug, Clone, Copy)]
pub struct Random(pub u64);

impl Random {
    /// The next number.
    pub fn draw(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// A number below `n`, which is at least 1.
    pub fn below(&mut self, n: u64) -> u64 {
        self.draw() % n.max(1)
    }
}
