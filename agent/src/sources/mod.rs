//! One file per way into the box. Each reads the world, feeds a decoder of the core, and hands the
//! samples to the engine; it acknowledges to its device only what the engine has committed.
//!
//! What a source must not do: decide what a sample means, keep samples (the engine's channel is the
//! only queue; when it is full the source stops reading), or give up. A device, file or broker that is
//! not there is waited for and shown as [`Status::trouble`].

mod broker;
#[cfg(feature = "vision")]
pub mod camera;
mod can;
mod gnss;
mod gpsd;
pub(crate) mod http_get;
pub mod http_json;
mod intake;
mod jt808;
mod local;
mod modbus;
mod node_link;
pub mod replay;
mod retry;
mod rhythm;
mod serial;

use std::collections::BTreeMap;

use domain::decode::gnss::Gnss;
use domain::decode::json::JsonMap;
use domain::decode::lorawan::chirpstack::ChirpStack;
use domain::decode::lorawan::things_stack::ThingsStack;
use domain::decode::modbus::listen::Listener;
use domain::decode::node_link::NodeLink;
use domain::decode::{Decode, Raw, Reason, Tally};
use domain::ids::{BoxId, SourceName};
use domain::input::Input;
use domain::output::Request;
use domain::sample::Sample;
use domain::time::Utc;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::{AbortHandle, JoinSet};
use tokio_util::sync::CancellationToken;
use tracing::Instrument;

use crate::clock::Clock;
use crate::config::{self, NetworkServer, SourceKind};
use crate::control::Wish;
use crate::mqtt::inbound::Delivery;
use crate::pulse::Pulses;

pub use self::rhythm::Heard;

/// Inputs on their way to the engine. Full: the source waits, so that a serial buffer, a file or a
/// broker holds what the box cannot take yet, and nothing is dropped.
pub const ARRIVALS_MAX: usize = 1024;

/// Something for the engine, with the wish to be told when it is safe.
#[derive(Debug)]
pub struct Arrival {
    /// What happened.
    pub input: Input,
    /// Told once what came of it is on disk; dropped without a word when it could not be stored.
    pub committed: Option<oneshot::Sender<()>>,
    /// Told the answer to a command, after `committed`.
    pub answer: Option<Wish>,
}

/// What every source is given.
#[derive(Debug, Clone)]
pub struct Context {
    /// The source's name.
    pub name: SourceName,
    /// The clock.
    pub clock: Clock,
    /// The way to the engine.
    pub engine: mpsc::Sender<Arrival>,
    /// Where the source shows how it is doing.
    pub status: watch::Sender<Status>,
    /// Cancelled when the box stops.
    pub stop: CancellationToken,
}

/// How a source is doing.
#[derive(Debug, Clone, Default)]
pub struct Status {
    /// Whether its device, file or broker is there.
    pub connected: bool,
    /// The last trouble, in words; `None` when there is none.
    pub trouble: Option<String>,
    /// Its counters, a quarter of a second old at most.
    pub tally: Tally,
    /// Reports that did not get their acknowledgement: they could not be stored, or the line did not
    /// take it. The device sends them again.
    pub unacknowledged: u64,
    /// Commands that a device answered "done".
    pub carried_out: u64,
    /// Commands that a device refused, or never answered.
    pub not_carried_out: u64,
    /// Clients that found no place.
    pub turned_away: u64,
    /// How often it is heard, and who has fallen silent.
    pub heard: Heard,
    /// What became of the pictures of a camera.
    pub pictures: Option<PictureCounts>,
}

/// What is counted of a camera's pictures.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize)]
pub struct PictureCounts {
    /// Pictures that a network saw.
    pub looked: u64,
    /// Pictures in which nothing had moved.
    pub still: u64,
    /// Pictures that show nothing: dark, covered, frozen.
    pub blind: u64,
    /// Pictures that nobody had time for.
    pub dropped: u64,
    /// Pictures on which a model failed.
    pub failed: u64,
}

/// What others have for a source.
#[derive(Debug, Default)]
pub struct Inbox {
    /// Documents that the web server was sent for it.
    pub documents: Option<mpsc::Receiver<Delivery>>,
    /// What its devices are asked to do.
    pub requests: Option<mpsc::Receiver<Request>>,
    /// Who looks at its pictures.
    #[cfg(feature = "vision")]
    pub eyes: Option<camera::eyes::Eyes>,
}

/// Requests to devices of one source that wait. Full: a further one is refused, and who wants it asks
/// again.
const REQUESTS_MAX: usize = 64;

/// An inbox for every source that can carry requests to its devices, and its other end for the engine.
#[must_use]
pub fn inboxes(
    sources: &[config::Source],
) -> (BTreeMap<SourceName, mpsc::Sender<Request>>, BTreeMap<SourceName, Inbox>) {
    let (mut requests, mut inboxes) = (BTreeMap::new(), BTreeMap::new());
    for source in sources.iter().filter(|s| matches!(s.kind, SourceKind::NodeLink(_))) {
        let (to, from) = mpsc::channel(REQUESTS_MAX);
        requests.insert(source.name.clone(), to);
        inboxes.insert(source.name.clone(), Inbox { requests: Some(from), ..Inbox::default() });
    }
    (requests, inboxes)
}

/// Starts the source. Its task runs until the box stops; one that ends earlier, or panics, shows in
/// `tasks`, and the caller ends the process. The handle's id tells which source it was.
pub fn spawn(
    source: &config::Source,
    context: Context,
    box_id: &BoxId,
    inbox: Inbox,
    pulses: &Pulses,
    tasks: &mut JoinSet<()>,
) -> AbortHandle {
    let span = tracing::info_span!("source", name = context.name.as_str());
    let box_id = box_id.clone();
    let name = format!("source {}", context.name);
    match source.kind.clone() {
        SourceKind::NodeLink(line) => tasks.spawn(
            pulses.watch(name, node_link::run(line, inbox.requests, context).instrument(span)),
        ),
        SourceKind::Gnss(serial) => {
            tasks.spawn(pulses.watch(name, gnss::run(serial, context).instrument(span)))
        }
        SourceKind::Gpsd(server) => {
            tasks.spawn(pulses.watch(name, gpsd::run(server, context).instrument(span)))
        }
        SourceKind::ChirpStack(server) => {
            let from = subscription(&server);
            let make = maker(source.name.clone(), move |name| chirpstack(name, &server));
            tasks.spawn(
                pulses.watch(name, broker::run(from, make, context, box_id).instrument(span)),
            )
        }
        SourceKind::ThingsStack(server) => {
            let from = subscription(&server);
            let make = maker(source.name.clone(), move |name| things_stack(name, &server));
            tasks.spawn(
                pulses.watch(name, broker::run(from, make, context, box_id).instrument(span)),
            )
        }
        SourceKind::MqttJson(feed) => {
            let config::JsonBroker { broker, topic, layout } = feed;
            let make = maker(source.name.clone(), move |name| JsonMap::new(name, layout.clone()));
            let from = broker::Subscription { broker, topic };
            tasks.spawn(
                pulses.watch(name, broker::run(from, make, context, box_id).instrument(span)),
            )
        }
        SourceKind::HttpJson(feed) => tasks.spawn(
            pulses.watch(name, http_json::run(feed, inbox.documents, context).instrument(span)),
        ),
        SourceKind::Jt808(platform) => {
            tasks.spawn(pulses.watch(name, jt808::run(platform, context).instrument(span)))
        }
        SourceKind::Modbus(modbus) => {
            tasks.spawn(pulses.watch(name, modbus::run(modbus, context).instrument(span)))
        }
        SourceKind::Can(bus) => {
            tasks.spawn(pulses.watch(name, can::run(bus, context).instrument(span)))
        }
        SourceKind::Local(chips) => {
            tasks.spawn(pulses.watch(name, local::run(chips, context).instrument(span)))
        }
        #[cfg(feature = "vision")]
        SourceKind::Camera(camera) => tasks
            .spawn(pulses.watch(name, camera::run(camera, inbox.eyes, context).instrument(span))),
    }
}

fn subscription(server: &NetworkServer) -> broker::Subscription {
    broker::Subscription { broker: server.broker.clone(), topic: server.topic.clone() }
}

/// What makes the decoder of a source anew.
fn maker<D: Decode + Send + 'static>(
    name: SourceName,
    new: impl Fn(SourceName) -> D + Send + 'static,
) -> broker::Make {
    Box::new(move || Box::new(new(name.clone())))
}

fn chirpstack(name: SourceName, server: &NetworkServer) -> ChirpStack {
    ChirpStack::new(name, server.devices.clone()).with_decoded(&server.decoded)
}

fn things_stack(name: SourceName, server: &NetworkServer) -> ThingsStack {
    ThingsStack::new(name, server.devices.clone()).with_decoded(&server.decoded)
}

/// The decoder of a source's kind, without assumptions about when its input was made: for replay.
fn decoder(source: &config::Source) -> Box<dyn Decode + Send> {
    let name = source.name.clone();
    match &source.kind {
        SourceKind::NodeLink(line) => Box::new(NodeLink::new(name).with_keys(line.keys.clone())),
        SourceKind::Gnss(_) => Box::new(Gnss::new(name)),
        SourceKind::Gpsd(server) => Box::new(server.decoder(name)),
        SourceKind::ChirpStack(server) => Box::new(chirpstack(name, server)),
        SourceKind::ThingsStack(server) => Box::new(things_stack(name, server)),
        SourceKind::MqttJson(feed) => Box::new(JsonMap::new(name, feed.layout.clone())),
        SourceKind::HttpJson(feed) => Box::new(JsonMap::new(name, feed.layout.clone())),
        SourceKind::Jt808(platform) => Box::new(platform.decoder(name)),
        SourceKind::Modbus(modbus) => {
            let maps = modbus.stations.iter();
            let maps = maps.map(|s| (s.address, (s.device.clone(), s.map.clone()))).collect();
            Box::new(Listener::new(name, maps))
        }
        SourceKind::Can(bus) => Box::new(bus.decoder(name)),
        SourceKind::Local(_) => Box::new(NoBytes::default()),
        #[cfg(feature = "vision")]
        SourceKind::Camera(_) => Box::new(NoBytes::default()),
    }
}

/// A source that reads chips or pictures and not bytes: recordings of it hold samples and sightings. Bytes for it are counted as
/// [`Reason::Malformed`].
#[derive(Debug, Default)]
struct NoBytes(Tally);

impl Decode for NoBytes {
    fn feed(&mut self, raw: Raw<'_>, _received: Utc, _samples: &mut Vec<Sample>) {
        let (Raw::Bytes(bytes) | Raw::Mqtt { payload: bytes, .. }) = raw;
        self.0.bytes += bytes.len() as u64;
        self.0.reject(Reason::Malformed);
    }

    fn finish(&mut self, _samples: &mut Vec<Sample>) {}

    fn tally(&self) -> &Tally {
        &self.0
    }
}

/// The word of the configuration for a kind.
pub(crate) fn kind(kind: &SourceKind) -> &'static str {
    match kind {
        SourceKind::NodeLink(_) => "node-link",
        SourceKind::Gnss(_) => "gnss",
        SourceKind::Gpsd(_) => "gpsd",
        SourceKind::ChirpStack(_) => "chirpstack",
        SourceKind::ThingsStack(_) => "ttn",
        SourceKind::MqttJson(_) => "mqtt-json",
        SourceKind::HttpJson(_) => "http-json",
        SourceKind::Jt808(_) => "jt808",
        SourceKind::Modbus(config::Modbus { link: config::ModbusLink::Line(_), .. }) => {
            "modbus-rtu"
        }
        SourceKind::Modbus(_) => "modbus-tcp",
        SourceKind::Can(_) => "can",
        SourceKind::Local(_) => "local",
        #[cfg(feature = "vision")]
        SourceKind::Camera(_) => "camera",
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::sync::{Arc, Mutex, PoisonError};
    use std::time::Duration;

    use domain::decode::node_link::Keys;
    use domain::sample::Sample;
    use domain::time::{Boot, Utc};

    use super::*;
    use crate::config::{NodeLine, Serial};

    /// An engine's end of a source, on the bench.
    pub(super) struct Bench {
        pub(super) context: Context,
        pub(super) arrivals: mpsc::Receiver<Arrival>,
        pub(super) status: watch::Receiver<Status>,
    }

    impl Bench {
        /// For a source of that name; the engine's channel holds `room` arrivals.
        pub(super) fn new(name: &str, room: usize) -> Bench {
            let (engine, arrivals) = mpsc::channel(room);
            let (status, seen) = watch::channel(Status::default());
            let start = Utc::parse("2026-06-04T04:00:00Z").unwrap();
            let context = Context {
                name: SourceName::new(name).unwrap(),
                clock: Clock::scaled(Boot(1), start, 1),
                engine,
                status,
                stop: CancellationToken::new(),
            };
            Bench { context, arrivals, status: seen }
        }

        /// Waits until the status is as wanted.
        pub(super) async fn until(&mut self, wanted: impl Fn(&Status) -> bool) -> Status {
            self.status.wait_for(wanted).await.unwrap().clone()
        }

        /// The next sample at the engine, and the wish to be told.
        pub(super) async fn arrival(&mut self) -> (Sample, Option<oneshot::Sender<()>>) {
            let arrival = in_time(self.arrivals.recv()).await.unwrap();
            let Input::Sample(sample) = arrival.input else { panic!("not a sample") };
            (sample, arrival.committed)
        }

        /// Whether no sample is there now.
        pub(super) fn is_quiet(&mut self) -> bool {
            self.arrivals.try_recv().is_err()
        }
    }

    /// Fails the test when the world takes longer than it ever should. Not for paused time.
    pub(super) async fn in_time<T>(what: impl Future<Output = T>) -> T {
        tokio::time::timeout(Duration::from_secs(20), what).await.unwrap()
    }

    /// What the present thread logs while the guard lives.
    pub(super) struct Log {
        text: Arc<Mutex<Vec<u8>>>,
        _guard: tracing::subscriber::DefaultGuard,
    }

    impl Log {
        pub(super) fn capture() -> Log {
            let text = Arc::new(Mutex::new(Vec::new()));
            let out = Arc::clone(&text);
            let subscriber = tracing_subscriber::fmt()
                .with_ansi(false)
                .without_time()
                .with_writer(move || Sink(Arc::clone(&out)))
                .finish();
            Log { text, _guard: tracing::subscriber::set_default(subscriber) }
        }

        pub(super) fn lines(&self) -> Vec<String> {
            let text = self.text.lock().unwrap_or_else(PoisonError::into_inner);
            String::from_utf8_lossy(&text).lines().map(|line| line.trim().to_owned()).collect()
        }
    }

    struct Sink(Arc<Mutex<Vec<u8>>>);

    impl std::io::Write for Sink {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    /// A sentence with its checksum and line end.
    pub(super) fn sentence(body: &str) -> String {
        let sum = body.bytes().fold(0, |sum, byte| sum ^ byte);
        format!("${body}*{sum:02X}\r\n")
    }

    /// A valid position at a time (`hhmmss`) on a day (`ddmmyy`): two sentences, and complete with them.
    pub(super) fn fix(time: &str, day: &str) -> String {
        let rmc = format!("GNRMC,{time},A,3148.6,N,11958.44,E,5.0,90.0,{day},,,A");
        let gga = format!("GNGGA,{time},3148.6,N,11958.44,E,1,9,1.0,5.0,M,,M,,");
        sentence(&rmc) + &sentence(&gga)
    }

    pub(super) fn serial(device: &Path) -> Serial {
        Serial { device: device.to_owned(), baud: 115_200, parity: config::Parity::None }
    }

    #[tokio::test]
    async fn every_kind_starts_waits_for_its_device_and_ends_when_the_box_stops() {
        let nowhere = Path::new("/nonexistent/tty");
        let server = broker::tests::settings(1);
        let kinds = [
            SourceKind::NodeLink(NodeLine {
                serial: serial(nowhere),
                settings: None,
                keys: Keys::default(),
            }),
            SourceKind::Gnss(serial(nowhere)),
            SourceKind::Gpsd(gpsd::tests::settings(1)),
            SourceKind::ChirpStack(server.clone()),
            SourceKind::ThingsStack(server),
            SourceKind::Can(can::tests::bus(config::CanFrom::Interface("nocan7".to_owned()))),
            SourceKind::Modbus(modbus::tests::line(nowhere)),
        ];
        for kind in kinds {
            let mut bench = Bench::new("s", 1);
            let source = config::Source { name: bench.context.name.clone(), kind };
            let mut tasks = JoinSet::new();
            let box_id = BoxId::new("xj-0412").unwrap();
            let handle = spawn(
                &source,
                bench.context.clone(),
                &box_id,
                Inbox::default(),
                &Pulses::default(),
                &mut tasks,
            );
            let status = in_time(bench.until(|status| status.trouble.is_some())).await;
            assert!(!status.connected);
            assert!(tasks.try_join_next().is_none(), "trouble is no end");
            bench.context.stop.cancel();
            let (id, ()) = in_time(tasks.join_next_with_id()).await.unwrap().unwrap();
            assert_eq!(id, handle.id());
        }
    }
}
