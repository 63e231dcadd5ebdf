//! Messages from an MQTT broker: the events of a LoRaWAN network server (ChirpStack v4, The Things Stack
//! v3), or JSON of any shape.
//!
//! Has a client of its own with a persistent session. A message is acknowledged to the broker only after
//! every sample of it is on disk; until then the broker keeps it, also while the box is off. A message
//! that gives no sample is acknowledged in its turn; the decoder has counted why.
//!
//! A retained message is as old as it may be: what it says without a time of its own is not dated to
//! now, but counted as [`Reason::Time`] and left out.

use std::collections::VecDeque;

use domain::decode::{Decode, Raw, Reason, Tally};
use domain::ids::BoxId;
use domain::sample::Sample;
use domain::time::Utc;
use tokio::sync::{mpsc, oneshot, watch};

use super::Context;
use super::intake::{Intake, Stopped};
use crate::config::Broker;
use crate::mqtt::LinkStatus;
use crate::mqtt::inbound::{Delivery, subscribe};

/// Messages between the client and the decoder. Full: the client holds what it has and then stops
/// reading, and the broker keeps the rest.
const DELIVERIES_MAX: usize = 16;

/// Messages that wait for the commit of their samples. Full: no further message is taken until the
/// oldest is decided.
const WAITING_MAX: usize = 256;

/// What is subscribed to, and where.
#[derive(Debug, Clone)]
pub(super) struct Subscription {
    pub(super) broker: Broker,
    /// The topic filter.
    pub(super) topic: String,
}

/// Consumes the messages until the box stops.
pub(super) async fn run(settings: Subscription, decoder: Make, context: Context, box_id: BoxId) {
    let client_id = format!("{box_id}-{}", context.name);
    let (sender, deliveries) = mpsc::channel(DELIVERIES_MAX);
    let (link, seen) = watch::channel(LinkStatus::default());
    let filters = [settings.topic.clone()];
    let stop = context.stop.clone();
    let subscription =
        subscribe(&settings.broker, &client_id, &filters, sender, link, &context.clock, stop);
    let decoder = Forgetful::new(decoder);
    tokio::select! {
        ended = subscription => {
            if let Err(error) = ended {
                // Trying again would not help; the other sources go on.
                tracing::error!(%error, "cannot subscribe");
                context.status.send_modify(|status| status.trouble = Some(error.to_string()));
            }
        }
        Stopped = consume(deliveries, Intake::new(decoder, context.clone())) => {}
        Stopped = show_link(seen, &settings, &context) => {}
    }
    context.stop.cancelled().await;
}

/// Decodes messages and acknowledges them, in the order of their arrival.
pub(super) async fn consume(
    mut deliveries: mpsc::Receiver<Delivery>,
    mut intake: Intake<Forgetful>,
) -> Stopped {
    let mut waiting = VecDeque::new();
    loop {
        tokio::select! {
            biased;
            () = intake.publish_due() => {}
            decision = decided(&mut waiting) => match decision {
                // The connection may have ended; then the broker sends the message again.
                Ok(done) => drop(done.send(())),
                Err(NotStored) => give_back(&mut waiting, &mut intake),
            },
            delivery = deliveries.recv(), if waiting.len() < WAITING_MAX => {
                let Some(delivery) = delivery else { return Stopped };
                match take(delivery, &mut intake).await {
                    Ok(message) => waiting.push_back(message),
                    Err(Stopped) => return Stopped,
                }
            }
        }
    }
}

/// A message that is with the engine, not yet acknowledged.
#[derive(Debug)]
struct Waiting {
    /// One for each sample that is not yet known to be stored.
    samples: Vec<oneshot::Receiver<()>>,
    done: oneshot::Sender<()>,
}

/// A sample of the oldest message could not be stored.
#[derive(Debug)]
struct NotStored;

async fn take(delivery: Delivery, intake: &mut Intake<Forgetful>) -> Result<Waiting, Stopped> {
    let Delivery { topic, payload, retain, done, response: _ } = delivery;
    intake.decoder().retained = retain;
    let mut samples = Vec::new();
    let safe = |_: &Sample| {
        let (tell, committed) = oneshot::channel();
        samples.push(committed);
        Some(tell)
    };
    intake.take(Raw::Mqtt { topic: &topic, payload: &payload }, safe).await?;
    Ok(Waiting { samples, done })
}

/// Waits until every sample of the oldest message is stored, or one cannot be. May be dropped at any
/// time.
async fn decided(waiting: &mut VecDeque<Waiting>) -> Result<oneshot::Sender<()>, NotStored> {
    let Some(oldest) = waiting.front_mut() else { return std::future::pending().await };
    while let Some(sample) = oldest.samples.last_mut() {
        sample.await.map_err(|_| NotStored)?;
        oldest.samples.pop();
    }
    let oldest = waiting.pop_front().expect("its front was just seen");
    Ok(oldest.done)
}

/// The oldest message could not be stored: it and all after it go back to the broker, which sends them
/// again in order. The decoder forgets what it has seen: what comes again must not pass for a repeat,
/// which would be acknowledged without being stored.
fn give_back(waiting: &mut VecDeque<Waiting>, intake: &mut Intake<Forgetful>) {
    let messages = waiting.len() as u64;
    tracing::warn!(messages, "messages not stored, the broker is to send them again");
    intake.show(|status| status.unacknowledged += messages);
    waiting.clear();
    intake.decoder().forget();
}

/// Shows in the source's status whether the broker is there.
async fn show_link(
    mut seen: watch::Receiver<LinkStatus>,
    settings: &Subscription,
    context: &Context,
) -> Stopped {
    let url = &settings.broker.url;
    while seen.changed().await.is_ok() {
        let link = seen.borrow_and_update();
        let trouble = (!link.connected)
            .then(|| link.last_error.as_ref())
            .flatten()
            .map(|error| format!("broker {}:{}: {error}", url.host, url.port));
        context.status.send_if_modified(|status| {
            let changed = (status.connected, &status.trouble) != (link.connected, &trouble);
            status.connected = link.connected;
            status.trouble = trouble;
            changed
        });
    }
    Stopped
}

/// Makes the decoder of a source anew, as at the beginning.
pub(super) type Make = Box<dyn Fn() -> Box<dyn Decode + Send> + Send>;

/// A decoder that can be told to forget which messages it has seen, and goes on counting.
pub(super) struct Forgetful {
    make: Make,
    decoder: Box<dyn Decode + Send>,
    /// What was counted before the decoder last forgot.
    before: Tally,
    tally: Tally,
    /// Whether the next message was retained.
    retained: bool,
    /// Samples of retained messages that were left out, since nobody knows when they were measured.
    undated: u64,
}

impl Forgetful {
    pub(super) fn new(make: Make) -> Forgetful {
        let decoder = make();
        let (before, tally) = (Tally::default(), Tally::default());
        Forgetful { make, decoder, before, tally, retained: false, undated: 0 }
    }

    fn forget(&mut self) {
        self.before.add(self.decoder.tally());
        self.decoder = (self.make)();
    }

    fn add_up(&mut self) {
        self.tally.clone_from(&self.before);
        self.tally.add(self.decoder.tally());
        if self.undated > 0 {
            self.tally.samples -= self.undated;
            *self.tally.rejected.entry(Reason::Time).or_default() += self.undated;
        }
    }
}

impl Decode for Forgetful {
    fn feed(&mut self, raw: Raw<'_>, received: Utc, samples: &mut Vec<Sample>) {
        let first = samples.len();
        self.decoder.feed(raw, received, samples);
        if self.retained {
            let all = samples.len();
            let dated: Vec<Sample> =
                samples.drain(first..).filter(|sample| sample.at.is_some()).collect();
            samples.extend(dated);
            self.undated += (all - samples.len()) as u64;
        }
        self.add_up();
    }

    fn finish(&mut self, samples: &mut Vec<Sample>) {
        self.decoder.finish(samples);
        self.add_up();
    }

    fn tally(&self) -> &Tally {
        &self.tally
    }
}

#[cfg(test)]
pub(super) mod tests {
    use std::collections::BTreeMap;
    use std::net::SocketAddr;
    use std::time::Duration;

    use domain::decode::Reason;
    use domain::decode::json::{JsonMap, Layout, LayoutText, RuleText};
    use domain::decode::lorawan::chirpstack::ChirpStack;
    use domain::decode::lorawan::things_stack::ThingsStack;
    use domain::ids::DeviceKey;
    use domain::input::Input;
    use domain::sample::Quantity;
    use domain::units::Millimetres;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpStream;

    use super::*;
    use crate::config::{Broker, BrokerUrl, NetworkServer, Scheme};
    use crate::mqtt::broker;
    use crate::sources::tests::{Bench, in_time};
    use crate::sources::{maker, subscription};

    const EUI: &str = "24e124713b000001";

    /// A network server whose broker listens on a port of this machine.
    pub(in crate::sources) fn settings(port: u16) -> NetworkServer {
        let url = BrokerUrl {
            scheme: Scheme::Mqtt,
            host: "127.0.0.1".to_owned(),
            port,
            path: String::new(),
        };
        let broker = Broker {
            url,
            username: None,
            password: None,
            ca_file: None,
            identity: None,
            keep_alive: Duration::from_secs(30),
            connect_timeout: Duration::from_secs(5),
            reconnect_spread: Duration::from_secs(1),
            window: 20,
            packet_max: 256 * 1024,
        };
        let topic = "application/+/device/+/event/+".to_owned();
        NetworkServer { broker, topic, devices: BTreeMap::new(), decoded: BTreeMap::new() }
    }

    pub(in crate::sources) fn topic() -> String {
        format!("application/7/device/{EUI}/event/up")
    }

    /// What makes the decoder of a ChirpStack.
    fn make(bench: &Bench) -> Make {
        maker(bench.context.name.clone(), |name| ChirpStack::new(name, BTreeMap::new()))
    }

    /// An uplink of an EM310-UDL that sees 2116 mm.
    pub(in crate::sources) fn uplink(counter: u32) -> String {
        serde_json::json!({
            "deduplicationId": format!("00000000-0000-0000-0000-{counter:012}"),
            "time": "2026-06-04T04:00:03.120Z",
            "deviceInfo": { "devEui": EUI, "deviceProfileName": "Milesight EM310-UDL" },
            "devAddr": "01dfbaf2",
            "fCnt": counter,
            "fPort": 85,
            "data": "AXVcA4JECAQAAA==",
        })
        .to_string()
    }

    /// The two ends of [`consume`].
    struct Desk {
        bench: Bench,
        deliveries: mpsc::Sender<Delivery>,
    }

    impl Desk {
        fn new() -> Desk {
            let bench = Bench::new("lns", 1000);
            let (deliveries, receiver) = mpsc::channel(DELIVERIES_MAX);
            let decoder = Forgetful::new(make(&bench));
            tokio::spawn(consume(receiver, Intake::new(decoder, bench.context.clone())));
            Desk { bench, deliveries }
        }

        async fn deliver(&self, payload: &str) -> oneshot::Receiver<()> {
            let (done, acknowledged) = oneshot::channel();
            let payload = payload.as_bytes().to_vec();
            let delivery =
                Delivery { topic: topic(), payload, retain: false, response: None, done };
            in_time(self.deliveries.send(delivery)).await.unwrap();
            acknowledged
        }
    }

    #[tokio::test]
    async fn a_message_is_acknowledged_after_its_commit_and_one_without_a_sample_in_its_turn() {
        let mut desk = Desk::new();
        let mut first = desk.deliver(&uplink(1)).await;
        let mut noise = desk.deliver("{").await;
        let mut second = desk.deliver(&uplink(2)).await;
        let (sample, committed) = desk.bench.arrival().await;
        assert_eq!(sample.counter, Some(1));
        let later = desk.bench.arrival().await.1.unwrap();
        later.send(()).unwrap();
        for early in [&mut first, &mut noise, &mut second] {
            assert!(early.try_recv().is_err(), "the first is not committed");
        }
        committed.unwrap().send(()).unwrap();
        in_time(async { (first.await.unwrap(), noise.await.unwrap(), second.await.unwrap()) })
            .await;
        let status = in_time(desk.bench.until(|status| status.tally.frames == 2)).await;
        assert_eq!(status.tally.rejected, [(Reason::Json, 1)].into());
    }

    #[tokio::test]
    async fn what_gives_no_sample_is_acknowledged_at_once() {
        let desk = Desk::new();
        for payload in ["", "{}", "[1]"] {
            in_time(desk.deliver(payload).await).await.unwrap();
        }
    }

    #[tokio::test]
    async fn what_could_not_be_stored_goes_back_and_is_no_repeat_when_it_comes_again() {
        let mut desk = Desk::new();
        let first = desk.deliver(&uplink(1)).await;
        // The connection broke meanwhile, and the broker has sent it again.
        let again = desk.deliver(&uplink(1)).await;
        in_time(desk.bench.until(|status| status.tally.rejected_total() == 1)).await;
        drop(desk.bench.arrival().await);
        assert!(in_time(first).await.is_err() && in_time(again).await.is_err());
        let status = in_time(desk.bench.until(|status| status.unacknowledged == 2)).await;
        assert_eq!(status.tally.rejected, [(Reason::Duplicate, 1)].into());

        let third = desk.deliver(&uplink(1)).await;
        let (sample, committed) = desk.bench.arrival().await;
        assert_eq!(sample.counter, Some(1));
        committed.unwrap().send(()).unwrap();
        in_time(third).await.unwrap();
        let status = in_time(desk.bench.until(|status| status.tally.frames == 3)).await;
        assert_eq!(status.tally.samples, 2, "the counters go on");
    }

    #[tokio::test]
    async fn messages_without_a_decision_are_bounded() {
        let desk = Desk::new();
        let filling = async {
            for counter in 0..1000 {
                let _acknowledged = desk.deliver(&uplink(counter)).await;
            }
        };
        let stuck = tokio::time::timeout(Duration::from_millis(500), filling).await;
        assert!(stuck.is_err());
        assert_eq!(desk.bench.arrivals.len(), WAITING_MAX);
    }

    #[tokio::test]
    async fn a_retained_message_without_a_time_of_its_own_is_not_dated_to_now() {
        let mut bench = Bench::new("bays", 8);
        let (deliveries, receiver) = mpsc::channel(DELIVERIES_MAX);
        let layout = |at: Option<&str>| {
            let quantity = RuleText {
                name: "occupied".to_owned(),
                pointer: "/taken".to_owned(),
                ..RuleText::default()
            };
            let at = at.map(str::to_owned);
            Layout::new(&LayoutText { at, quantity: vec![quantity], ..LayoutText::default() })
        };
        let undated = layout(None).unwrap();
        let make =
            maker(bench.context.name.clone(), move |name| JsonMap::new(name, undated.clone()));
        tokio::spawn(consume(receiver, Intake::new(Forgetful::new(make), bench.context.clone())));
        let deliver = |retain, payload: &[u8]| {
            let (done, acknowledged) = oneshot::channel();
            let (topic, payload) = ("bays/1".to_owned(), payload.to_vec());
            deliveries.try_send(Delivery { topic, payload, retain, response: None, done }).unwrap();
            acknowledged
        };
        in_time(deliver(true, br#"{"taken":true}"#)).await.unwrap();
        assert!(bench.is_quiet(), "nobody knows when that was");
        let acknowledged = deliver(false, br#"{"taken":false}"#);
        let (sample, committed) = bench.arrival().await;
        assert_eq!(sample.quantities, [Quantity::Occupied(false)]);
        committed.unwrap().send(()).unwrap();
        in_time(acknowledged).await.unwrap();
        let status = in_time(bench.until(|status| status.tally.samples == 1)).await;
        assert_eq!(status.tally.rejected, [(Reason::Time, 1)].into());
        assert_eq!(status.tally.frames, 2);

        // With a time of its own a retained message is as good as any.
        let dated = layout(Some("/at")).unwrap();
        let make = maker(bench.context.name.clone(), move |name| JsonMap::new(name, dated.clone()));
        let mut decoder = Forgetful::new(make);
        decoder.retained = true;
        let mut samples = Vec::new();
        let payload = br#"{"taken":true,"at":"2026-06-04T04:00:00Z"}"#;
        let raw = Raw::Mqtt { topic: "bays/1", payload };
        decoder.feed(raw, Utc::from_ms(0), &mut samples);
        assert_eq!(samples[0].at, Some(Utc::parse("2026-06-04T04:00:00Z").unwrap()));
    }

    /// A publisher with just enough of MQTT 3.1.1: QoS 1, and waiting for the PUBACK.
    struct Publisher(TcpStream);

    impl Publisher {
        async fn connect(addr: SocketAddr) -> Publisher {
            let mut stream = TcpStream::connect(addr).await.unwrap();
            let connect = b"\x10\x0f\x00\x04MQTT\x04\x02\x00\x3c\x00\x03lns";
            stream.write_all(connect).await.unwrap();
            let mut connack = [0; 4];
            stream.read_exact(&mut connack).await.unwrap();
            assert_eq!(connack, [0x20, 2, 0, 0]);
            Publisher(stream)
        }

        async fn publish(&mut self, topic: &str, payload: &str) {
            let len = 2 + topic.len() + 2 + payload.len();
            assert!((128..16_384).contains(&len));
            let mut packet = vec![0x32, (len % 128 + 128) as u8, (len / 128) as u8];
            packet.extend_from_slice(&(topic.len() as u16).to_be_bytes());
            packet.extend_from_slice(topic.as_bytes());
            packet.extend_from_slice(&[0, 1]);
            packet.extend_from_slice(payload.as_bytes());
            self.0.write_all(&packet).await.unwrap();
            let mut puback = [0; 4];
            in_time(self.0.read_exact(&mut puback)).await.unwrap();
            assert_eq!(puback, [0x40, 2, 0, 1]);
        }
    }

    #[tokio::test]
    async fn the_broker_keeps_what_was_not_committed_through_a_restart_of_the_box() {
        let broker = broker::Broker { storage: broker::Storage::Memory };
        let broker = Box::pin(broker.start("127.0.0.1:0".parse().unwrap())).await.unwrap();
        let start = |bench: &Bench| {
            let box_id = BoxId::new("xj-0412").unwrap();
            tokio::spawn(run(
                subscription(&settings(broker.addr.port())),
                make(bench),
                bench.context.clone(),
                box_id,
            ))
        };
        let mut bench = Bench::new("lns", 8);
        let task = start(&bench);
        in_time(bench.until(|status| status.connected)).await;
        let mut server = Publisher::connect(broker.addr).await;
        // Until the subscription stands, nobody hears: the first message that arrives shows it.
        let mut counter = 0;
        let committed = loop {
            counter += 1;
            server.publish(&topic(), &uplink(counter)).await;
            let heard = tokio::time::timeout(Duration::from_millis(200), bench.arrivals.recv());
            if let Ok(arrival) = heard.await {
                break arrival.unwrap().committed.unwrap();
            }
        };
        server.publish(&topic(), &uplink(100)).await;
        let (sample, not_committed) = bench.arrival().await;
        assert_eq!(sample.counter, Some(100));
        committed.send(()).unwrap();
        // The first is acknowledged before the box goes down; there is no other sign of it here.
        tokio::time::sleep(Duration::from_millis(200)).await;
        bench.context.stop.cancel();
        in_time(task).await.unwrap();
        drop(not_committed);
        server.publish(&topic(), &uplink(101)).await;

        let mut bench = Bench::new("lns", 8);
        let task = start(&bench);
        for expected in [100, 101] {
            let (sample, committed) = bench.arrival().await;
            assert_eq!(sample.counter, Some(expected));
            committed.unwrap().send(()).unwrap();
        }
        assert!(bench.is_quiet());
        bench.context.stop.cancel();
        in_time(task).await.unwrap();
        broker.stop().await.unwrap();
    }

    /// The same sensor, as The Things Stack publishes it.
    fn things_stack_uplink(counter: u32) -> String {
        serde_json::json!({
            "end_device_ids": {
                "device_id": "bin-21",
                "application_ids": { "application_id": "parking" },
                "dev_eui": EUI.to_uppercase(),
                "dev_addr": "01DFBAF2",
            },
            "received_at": "2026-06-04T04:00:03.320Z",
            "uplink_message": {
                "session_key_id": "AYfg",
                "f_port": 85,
                "f_cnt": counter,
                "frm_payload": "AXVcA4JECAQAAA==",
                "received_at": "2026-06-04T04:00:03.120Z",
            },
        })
        .to_string()
    }

    #[tokio::test]
    async fn the_things_stack_is_read_by_the_codec_of_the_device_and_acknowledged_after_commit() {
        let broker = broker::Broker { storage: broker::Storage::Memory };
        let broker = Box::pin(broker.start("127.0.0.1:0".parse().unwrap())).await.unwrap();
        let codec = "milesight/em310-udl".parse().unwrap();
        let devices = [(DeviceKey::new(EUI).unwrap(), Some(codec))].into();
        let topic = "v3/+/devices/+/+".to_owned();
        let settings = NetworkServer { topic, devices, ..settings(broker.addr.port()) };
        let mut bench = Bench::new("ttn", 8);
        let devices = settings.devices.clone();
        let make =
            maker(bench.context.name.clone(), move |name| ThingsStack::new(name, devices.clone()));
        let box_id = BoxId::new("xj-0412").unwrap();
        let task = tokio::spawn(run(subscription(&settings), make, bench.context.clone(), box_id));
        in_time(bench.until(|status| status.connected)).await;
        let mut server = Publisher::connect(broker.addr).await;
        // Until the subscription stands, nobody hears.
        let mut counter = 0;
        let arrival = loop {
            counter += 1;
            let topic = "v3/parking@ttn/devices/bin-21/up";
            server.publish(topic, &things_stack_uplink(counter)).await;
            let heard = tokio::time::timeout(Duration::from_millis(200), bench.arrivals.recv());
            if let Ok(arrival) = heard.await {
                break arrival.unwrap();
            }
        };
        let Input::Sample(sample) = arrival.input else { panic!("not a sample") };
        assert_eq!(sample.device, Some(DeviceKey::new(EUI).unwrap()));
        assert_eq!(sample.counter, Some(counter));
        assert_eq!(sample.at.unwrap().to_string(), "2026-06-04T04:00:03.120Z");
        assert!(sample.quantities.contains(&Quantity::Distance(Millimetres(2116))));
        arrival.committed.unwrap().send(()).unwrap();
        bench.context.stop.cancel();
        in_time(task).await.unwrap();
        broker.stop().await.unwrap();
    }

    #[tokio::test]
    async fn a_broker_that_is_not_there_is_shown() {
        let mut bench = Bench::new("lns", 1);
        let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let box_id = BoxId::new("xj-0412").unwrap();
        let task = tokio::spawn(run(
            subscription(&settings(nobody.port())),
            make(&bench),
            bench.context.clone(),
            box_id,
        ));
        let status = in_time(bench.until(|status| status.trouble.is_some())).await;
        let expected = format!("broker 127.0.0.1:{}: ", nobody.port());
        assert!(status.trouble.unwrap().starts_with(&expected));
        assert!(!status.connected);
        bench.context.stop.cancel();
        in_time(task).await.unwrap();
    }

    #[tokio::test]
    async fn a_filter_that_no_broker_takes_is_trouble_and_no_end() {
        let mut bench = Bench::new("lns", 1);
        let settings = NetworkServer { topic: "a/#/b".to_owned(), ..settings(1) };
        let box_id = BoxId::new("xj-0412").unwrap();
        let task =
            tokio::spawn(run(subscription(&settings), make(&bench), bench.context.clone(), box_id));
        let status = in_time(bench.until(|status| status.trouble.is_some())).await;
        assert!(status.trouble.unwrap().contains("a/#/b"));
        assert!(!task.is_finished());
        bench.context.stop.cancel();
        in_time(task).await.unwrap();
    }
}
