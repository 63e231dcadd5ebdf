//! A scripted broker that speaks just enough MQTT 3.1.1 and 5 to be unkind: it cuts connections before and
//! after it has taken a message, keeps acknowledgements back, sends them late and in another order, and
//! refuses with a reason. All of it follows a seed. It remembers everything it has taken, in order, for a judge to look at.
//!
//! It is no broker for subscribers: what a test puts into [`ScriptedBroker::offer`] is sent to whoever
//! subscribes, again after each reconnect, until it is acknowledged.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::io::AsyncWriteExt;
use tokio::net::tcp::OwnedWriteHalf;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, watch};

use crate::packets::{
    CONNECT, DISCONNECT, Fields, PINGREQ, PUBACK, PUBLISH, Packet, Properties, SUBSCRIBE, connack,
    packet, puback, publish, read_packets,
};

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
    /// Does not take a PUBLISH and says so, with a reason that is no fault of the message (MQTT 5).
    pub negative: u64,
    /// With what reason it does so; 0: any.
    pub reason: u8,
    /// Which versions it speaks.
    pub speaks: Speaks,
    /// Publishes it takes before it answers, as it says in CONNACK (MQTT 5); 0: it does not say.
    pub receive_max: u16,
    /// The largest packet; it hangs up on a larger one. It says so in CONNACK (MQTT 5). 0: any.
    pub packet_max: u32,
    /// Hangs up whenever a payload has this in it.
    pub poison: Option<&'static str>,
    /// Stops reading after so many PUBLISHes of a connection, and keeps it open; 0: never.
    pub deaf_after: u64,
}

/// Which versions of MQTT a broker speaks.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Speaks {
    /// 3.1.1 and 5.
    #[default]
    Both,
    /// 3.1.1; others are refused with the return code 1.
    Old,
    /// 3.1.1; on others it hangs up without a word.
    OldAndRude,
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
    /// The media type it came with (MQTT 5).
    pub content_type: Option<String>,
    /// The user properties it came with (MQTT 5).
    pub user: Vec<(String, String)>,
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
    /// The protocol level of each CONNECT, refused ones included: 4 is MQTT 3.1.1.
    pub levels: Vec<u8>,
    /// Messages, in the order in which they were taken.
    pub taken: Vec<Taken>,
    /// The last message of each retained topic.
    pub retained: BTreeMap<String, Vec<u8>>,
    /// PUBACKs sent for what was taken.
    pub acknowledged: u64,
    /// PUBACKs sent for what was not.
    pub negatives: u64,
    /// Packets it hung up on because they were too large.
    pub oversize: u64,
    /// The most publishes of one connection that waited for an answer.
    pub unanswered_max: usize,
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

    /// The messages taken since the last call, which are then forgotten.
    pub fn drain(&self) -> Vec<Taken> {
        std::mem::take(&mut self.shared().seen.taken)
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
        let deaf_after = self.shared().temper.deaf_after;
        let reading = tokio::spawn(read_packets(reader, sender, deaf_after));
        let mut connection = Connection {
            broker: self,
            packets,
            writer,
            number: 0,
            five: false,
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

/// Reasons of a negative PUBACK that are about the box, not about the message.
const REASONS: [u8; 4] = [0x80, 0x83, 0x87, 0x97];
/// How long late acknowledgements wait for company.
const LATE: Duration = Duration::from_millis(3);

struct Connection<'b> {
    broker: &'b ScriptedBroker,
    packets: mpsc::Receiver<Packet>,
    writer: OwnedWriteHalf,
    number: u64,
    /// Whether it speaks MQTT 5.
    five: bool,
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
        let (_protocol, level) = (fields.text()?, fields.byte()?);
        self.five = level == 5;
        let temper = {
            let shared = &mut self.broker.shared();
            shared.seen.levels.push(level);
            shared.temper
        };
        if self.five && temper.speaks != Speaks::Both {
            if temper.speaks == Speaks::Old {
                self.writer.write_all(&[0x20, 2, 0, 1]).await?;
            }
            return Ok(false);
        }
        let flags = fields.byte()?;
        let _keep_alive = fields.number()?;
        if self.five {
            fields.block()?;
        }
        let client = fields.text()?;
        if flags & 0b100 != 0 {
            if self.five {
                fields.block()?;
            }
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
        let answer = connack(self.five, temper.receive_max, temper.packet_max)?;
        self.writer.write_all(&answer).await?;
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
                if self.five {
                    fields.block()?;
                }
                let filter = fields.text()?;
                self.broker.shared().seen.filters.insert(filter);
                self.next_offer = Some(0);
                let body: &[u8] =
                    if self.five { &[id[0], id[1], 0, 1] } else { &[id[0], id[1], 1] };
                self.writer.write_all(&packet(0x90, body)?).await?;
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
        let packet_bytes = fields.0.len() + 2;
        let (qos, retain) = (first >> 1 & 3, first & 1 == 1);
        let topic = fields.text()?;
        let id = if qos > 0 { Some(fields.number()?) } else { None };
        let properties = if self.five { fields.properties()? } else { Properties::default() };
        if self.broker.chance(|temper| temper.cut_before) || self.dies_of(fields.0, packet_bytes) {
            return Ok(false);
        }
        if let Some(id) = id
            && self.five
            && self.broker.chance(|temper| temper.negative)
        {
            return self.refuse(id).await;
        }
        let payload = fields.0.to_vec();
        let batch = {
            let mut shared = self.broker.shared();
            if retain {
                shared.seen.retained.insert(topic.clone(), payload.clone());
            }
            let Properties { content_type, user } = properties;
            let connection = self.number;
            shared.seen.taken.push(Taken {
                connection,
                topic,
                payload,
                retain,
                qos,
                content_type,
                user,
            });
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
            let seen = &mut self.broker.shared().seen;
            seen.unanswered_max = seen.unanswered_max.max(self.late.len());
        }
        if self.late.len() >= batch {
            self.acknowledge(batch / 2).await?;
        }
        Ok(true)
    }

    /// Whether it cannot stand the payload, or the packet of so many bytes.
    fn dies_of(&self, payload: &[u8], packet_bytes: usize) -> bool {
        let mut shared = self.broker.shared();
        let Temper { poison, packet_max, .. } = shared.temper;
        let max = usize::try_from(packet_max).unwrap_or(usize::MAX);
        if max > 0 && packet_bytes > max {
            shared.seen.oversize += 1;
            return true;
        }
        poison.is_some_and(|word| payload.windows(word.len()).any(|at| at == word.as_bytes()))
    }

    /// Says that it has not taken a message.
    async fn refuse(&mut self, id: u16) -> io::Result<bool> {
        let reason = {
            let mut shared = self.broker.shared();
            shared.seen.negatives += 1;
            let any = shared.random.below(REASONS.len() as u64);
            match shared.temper.reason {
                0 => REASONS[usize::try_from(any).unwrap_or(0)],
                reason => reason,
            }
        };
        self.writer.write_all(&puback(id, reason)).await?;
        self.broker.change();
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
                self.late.remove(usize::try_from(at).unwrap_or(0))
            };
            self.writer.write_all(&puback(id, 0)).await?;
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
                let Offer { topic, payload, retain } = offer;
                let packet = publish(self.five, topic, id, payload, *retain)?;
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
