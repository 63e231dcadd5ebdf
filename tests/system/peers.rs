//! The ways in against real peers: a Modbus device by pymodbus, a line by socat, mosquitto. (gpsd and
//! gpsfake stand beside the source itself.) A peer that is not installed is said, and the test ends well.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use domain::decode::node_link::Keys;
use domain::ids::{BoxId, DeviceKey};
use domain::input::Input;
use domain::sample::{Quantity, Sample};
use domain::time::Boot;
use domain::units::{MilliCelsius, Millimetres, Millivolts};
use steward::clock::Clock;
use steward::config;
use steward::sources::{self, Arrival, Context, Inbox, Status};
use system_tests::data::say;
use system_tests::mosquitto::{Mosquitto, free_port};
use system_tests::program::PATIENCE;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// One source that runs, seen from the engine.
struct Way {
    arrivals: mpsc::Receiver<Arrival>,
    status: watch::Receiver<Status>,
    stop: CancellationToken,
    tasks: JoinSet<()>,
}

impl Way {
    /// The first source of a configuration.
    fn start(sections: &str) -> Way {
        let text = format!(
            "[box]\nid = \"xj-0412\"\ntenant = \"longcheng\"\nsite = \"xuejia\"\n\
             timezone = \"Asia/Shanghai\"\n[mqtt]\nurl = \"mqtt://127.0.0.1\"\n{sections}"
        );
        let config = config::load_text("box.toml", &text).unwrap_or_else(|f| panic!("{f}")).config;
        let source = &config.sources[0];
        let (engine, arrivals) = mpsc::channel(64);
        let (status, shown) = watch::channel(Status::default());
        let stop = CancellationToken::new();
        let context = Context {
            name: source.name.clone(),
            clock: Clock::system(Boot(1)),
            engine,
            status,
            stop: stop.clone(),
        };
        let mut tasks = JoinSet::new();
        let box_id = BoxId::new("xj-0412").unwrap();
        let pulses = steward::pulse::Pulses::default();
        sources::spawn(source, context, &box_id, Inbox::default(), &pulses, &mut tasks);
        Way { arrivals, status: shown, stop, tasks }
    }

    async fn sample(&mut self) -> (Sample, Option<oneshot::Sender<()>>) {
        let arrival = in_time(self.arrivals.recv()).await.unwrap();
        let Input::Sample(sample) = arrival.input else { panic!("not a sample") };
        (sample, arrival.committed)
    }

    async fn until(&mut self, wanted: impl Fn(&Status) -> bool) -> Status {
        in_time(self.status.wait_for(wanted)).await.unwrap().clone()
    }

    async fn stop(mut self) {
        self.stop.cancel();
        while let Some(ended) = in_time(self.tasks.join_next()).await {
            ended.unwrap();
        }
    }
}

async fn in_time<T>(what: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, what).await.unwrap()
}

/// A program that ends with the test.
struct Peer(Child);

impl Peer {
    /// `None` when it is not installed; that has then been said.
    fn start(command: &mut Command, get: &str) -> Option<Peer> {
        let quiet = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        match quiet.spawn() {
            Ok(child) => Some(Peer(child)),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                say(&format!("SKIPPED: {command:?} cannot be started ({get})"));
                None
            }
            Err(error) => panic!("{command:?}: {error}"),
        }
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        // Ended already, or to be ended now: both are right.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// The python that has pymodbus, as `make peers` installs it.
fn pymodbus(kind: &str, place: &str) -> Option<Peer> {
    let python = root().join("target/peers/bin/python");
    let script = root().join("tests/peers/modbus.py");
    Peer::start(Command::new(python).arg(script).args([kind, place]), "make peers")
}

/// Two ttys that are one line.
fn socat(a: &Path, b: &Path) -> Option<Peer> {
    let end = |path: &Path| format!("pty,raw,echo=0,link={}", path.display());
    Peer::start(Command::new("socat").args([end(a), end(b)]), "apt-get install socat")
}

const STATION: &str = "[[source.station]]\naddress = 1\ndevice = \"pit\"\nevery = \"200ms\"\n\
    [[source.station.register]]\nquantity = \"distance\"\naddress = 0x0101\n\
    [[source.station.register]]\nquantity = \"temperature\"\naddress = 0x0102\ntype = \"i16\"\nscale = 0.1\n";

async fn reads_the_sensor(mut way: Way) {
    for _ in 0..3 {
        let (sample, _) = way.sample().await;
        assert_eq!(sample.device.unwrap().as_str(), "pit");
        let expected =
            [Quantity::Distance(Millimetres(754)), Quantity::Temperature(MilliCelsius(21_300))];
        assert_eq!(sample.quantities, expected);
    }
    let status = way.until(|status| status.connected && status.trouble.is_none()).await;
    assert_eq!(status.tally.rejected_total(), 0, "{:?}", status.tally);
    way.stop().await;
}

#[tokio::test]
async fn a_modbus_device_over_tcp_by_pymodbus() {
    let port = free_port();
    let Some(_device) = pymodbus("tcp", &port.to_string()) else { return };
    let source = "[[source]]\nname = \"pumps\"\nkind = \"modbus-tcp\"\n";
    reads_the_sensor(Way::start(&format!("{source}address = \"127.0.0.1:{port}\"\n{STATION}")))
        .await;
}

#[tokio::test]
async fn a_modbus_device_on_a_line_by_pymodbus() {
    let dir = tempfile::tempdir().unwrap();
    let (ours, theirs) = (dir.path().join("ours"), dir.path().join("theirs"));
    let Some(_line) = socat(&ours, &theirs) else { return };
    exists(&theirs).await;
    let Some(_device) = pymodbus("rtu", theirs.to_str().unwrap()) else { return };
    let source = format!(
        "[[source]]\nname = \"levels\"\nkind = \"modbus-rtu\"\ndevice = {:?}\n{STATION}",
        ours.display().to_string()
    );
    reads_the_sensor(Way::start(&source)).await;
}

/// Waits until somebody has made the file.
async fn exists(path: &Path) {
    in_time(async {
        while !path.exists() {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

/// A battery report, with the counter as its voltage.
fn report(node: u32, counter: u32) -> Vec<u8> {
    use wire::{Battery, Body, FRAME_MAX, Frame, Header, Measured, Report, Up};
    let millivolts = u16::try_from(counter).unwrap();
    let report = Report { age_s: 0, measured: Measured::Battery(Battery { millivolts }) };
    let header = Header { node, counter, uptime_s: 1 };
    let frame = Frame { header, body: Body::Up(Up::Report(report)) };
    frame.encode(&mut [0; FRAME_MAX]).unwrap().to_vec()
}

async fn reports_and_is_acknowledged(way: &mut Way, line: &mut File, node: u32, counter: u32) {
    line.write_all(&report(node, counter)).unwrap();
    let (sample, committed) = way.sample().await;
    assert_eq!(sample.device, Some(DeviceKey::new(&node.to_string()).unwrap()));
    let volts = Quantity::BatteryVoltage(Millivolts(u16::try_from(counter).unwrap()));
    assert_eq!(sample.quantities, [volts]);
    committed.unwrap().send(()).unwrap();
    let expected = Keys::default().ack_frame(&sample.device.unwrap(), counter).unwrap();
    let mut line = line.try_clone().unwrap();
    let length = expected.len();
    let read = tokio::task::spawn_blocking(move || {
        let mut got = vec![0; length];
        line.read_exact(&mut got).map(|()| got)
    });
    assert_eq!(in_time(read).await.unwrap().unwrap(), expected);
}

#[tokio::test]
async fn nodes_on_a_line_by_socat_that_is_pulled_out_and_comes_back() {
    let dir = tempfile::tempdir().unwrap();
    let (ours, theirs) = (dir.path().join("ours"), dir.path().join("theirs"));
    let mut way = Way::start(&format!(
        "[[source]]\nname = \"line-1\"\nkind = \"node-link\"\ndevice = {:?}\n",
        ours.display().to_string()
    ));
    way.until(|status| status.trouble.as_ref().is_some_and(|t| t.contains("no such device"))).await;
    for round in 0..2 {
        let Some(line) = socat(&ours, &theirs) else { return };
        exists(&theirs).await;
        way.until(|status| status.connected).await;
        let mut far = OpenOptions::new().read(true).write(true).open(&theirs).unwrap();
        for node in [21, 22, 23] {
            reports_and_is_acknowledged(&mut way, &mut far, node, round * 10 + node).await;
        }
        drop(line);
        way.until(|status| !status.connected).await;
        for path in [&ours, &theirs] {
            // socat takes its links away itself when it is given the time.
            let _ = std::fs::remove_file(path);
        }
    }
    way.stop().await;
}

const EUI: &str = "24e124713b000001";

/// An uplink of an EM310-UDL that sees 2116 mm, as ChirpStack v4 publishes it.
fn publish(broker: &Mosquitto, counter: u32) -> bool {
    let event = serde_json::json!({
        "deduplicationId": format!("00000000-0000-0000-0000-{counter:012}"),
        "time": "2026-06-04T04:00:03.120Z",
        "deviceInfo": { "devEui": EUI, "deviceProfileName": "Milesight EM310-UDL" },
        "devAddr": "01dfbaf2", "fCnt": counter, "fPort": 85, "data": "AXVcA4JECAQAAA==",
    });
    let topic = format!("application/7/device/{EUI}/event/up");
    let (port, event) = (broker.port.to_string(), event.to_string());
    let mut command = Command::new("mosquitto_pub");
    command.args(["-h", "127.0.0.1", "-p", &port, "-q", "1", "-t", &topic, "-m", &event]);
    let Some(mut peer) = Peer::start(&mut command, "apt-get install mosquitto-clients") else {
        return false;
    };
    peer.0.wait().unwrap().success()
}

#[tokio::test]
async fn mosquitto_keeps_events_of_chirpstack_while_the_box_is_off_and_until_they_are_stored() {
    let dir = tempfile::tempdir().unwrap();
    let Some(broker) = Mosquitto::start(dir.path()) else { return };
    let source =
        format!("[[source]]\nname = \"lns\"\nkind = \"chirpstack\"\nurl = \"{}\"\n", broker.url());
    let mut way = Way::start(&source);
    way.until(|status| status.connected).await;
    if !publish(&broker, 1) {
        return;
    }
    // It arrives, and is not stored when the box stops.
    let (sample, never_stored) = way.sample().await;
    assert_eq!(sample.counter, Some(1));
    way.stop().await;
    drop(never_stored);
    // One comes while the box is off, and the broker is restarted as well.
    assert!(publish(&broker, 2));
    let broker = broker.stop().start();
    let mut way = Way::start(&source);
    let mut counters = BTreeMap::new();
    while counters.len() < 2 {
        let (sample, committed) = way.sample().await;
        assert!(sample.quantities.contains(&Quantity::Distance(Millimetres(2116))));
        counters.insert(sample.counter.unwrap(), committed.unwrap().send(()));
    }
    assert_eq!(counters.into_keys().collect::<Vec<_>>(), [1, 2]);
    way.stop().await;
    drop(broker);
}
