//! Hardware in the loop, without hardware: the node's own program runs on an emulated board, reads an emulated
//! magnetometer over an emulated bus with the drivers of this project, and its UART is a source of the real
//! agent at a real broker. The test moves the magnetic field, and takes the power away from all three in turn.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use node::{Kind, Provision};
use serde_json::Value;
use steward::demo::pty::Pty;
use system_tests::emulator::{Board, Emulated};
use system_tests::mosquitto::Mosquitto;
use system_tests::program::{PATIENCE, Running};
use system_tests::subscriber::{Heard, Subscriber, prove};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use wire::{BayState, Body, Deframer, Frame, Measured, Up};

pub(crate) const NODE: u32 = 17;
pub(crate) const EMPTY: [u32; 3] = [30_000, 20_000, 40_000];
pub(crate) const CARS: [[u32; 3]; 4] = [
    [42_000, 26_000, 61_000],
    [24_000, 35_000, 52_000],
    [39_000, 11_000, 20_000],
    [55_000, 20_000, 47_000],
];

pub(crate) fn write_config(dir: &Path, broker: &str, tty: &Path, keys: &str) -> String {
    let path = dir.join("steward.toml");
    let text = format!(
        r#"
[box]
id = "xj-1"
tenant = "longcheng"
site = "xuejia"
timezone = "Asia/Shanghai"
[mqtt]
url = "{broker}"
[buffer]
dir = "{dir}/buffer"
[http]
enabled = false
[rules]
defaults = false
[[source]]
name = "nodes"
kind = "node-link"
device = "{tty}"
{keys}
[source.settings]
bay_sample = "50ms"
bay_settle = "500ms"
[[bay]]
id = "b-17"
source = "nodes"
device = {NODE}
max_stay = "2s"
occupied_after = "0s"
free_after = "0s"
[[rule]]
id = "bay-overstay"
class = "bay"
category = "overstay"
severity = "medium"
[rule.when]
overstay = true
grace = "1s"
"#,
        dir = dir.display(),
        tty = tty.display()
    );
    fs::write(&path, text).unwrap();
    path.display().to_string()
}

/// The board with its line to the agent: what one says the other hears, as long as it has power.
struct Node {
    board: Board,
    line: Line,
    running: Option<(Emulated, JoinHandle<()>)>,
    said: mpsc::UnboundedReceiver<BayState>,
}

/// The line, with an ear in the middle.
#[derive(Clone)]
struct Line {
    tty: Arc<Pty>,
    /// Nothing gets through.
    is_cut: Arc<AtomicBool>,
    /// What the node reports of its bay, cut or not.
    heard: mpsc::UnboundedSender<BayState>,
}

impl Node {
    fn new(board: Board) -> Node {
        let (heard, said) = mpsc::unbounded_channel();
        let tty = Arc::new(Pty::open().unwrap());
        let line = Line { tty, is_cut: Arc::default(), heard };
        Node { board, line, running: None, said }
    }

    /// Gives it power, with `field` at its sensor.
    async fn start(&mut self, field: [u32; 3]) {
        let mut emulated = self.board.power(field).await;
        let socket = emulated.line.take().unwrap();
        self.running = Some((emulated, tokio::spawn(connect(socket, self.line.clone()))));
    }

    /// Takes its power away.
    fn stop(&mut self) {
        let (emulated, line) = self.running.take().unwrap();
        drop(emulated);
        line.abort();
    }

    fn set_field(&mut self, field: [u32; 3]) {
        self.running.as_mut().unwrap().0.set_field(field);
    }

    /// Waits until it reports `state`, whether anybody hears it or not.
    async fn says(&mut self, state: BayState) {
        let said = async { while self.said.recv().await.unwrap() != state {} };
        tokio::time::timeout(PATIENCE, said).await.expect("the node reports what it sees");
    }

    /// Forgets what it has said.
    fn forget(&mut self) {
        while self.said.try_recv().is_ok() {}
    }

    fn cut(&self, is_cut: bool) {
        self.line.is_cut.store(is_cut, Ordering::SeqCst);
    }
}

/// Carries bytes both ways until the board's end is gone.
async fn connect(mut socket: UnixStream, line: Line) {
    let (mut board, mut agent) = ([0; 512], [0; 512]);
    let mut ear = Deframer::new();
    loop {
        tokio::select! {
            read = socket.read(&mut board) => {
                let Ok(n @ 1..) = read else { return };
                ear.push_slice(&board[..n], |what| {
                    if let wire::Heard::Frame(Frame { body: Body::Up(Up::Report(report)), .. }) = what
                        && let Measured::Bay(bay) = report.measured
                    {
                        line.heard.send(bay.state).unwrap();
                    }
                });
                if !line.is_cut.load(Ordering::SeqCst) {
                    line.tty.write_all(&board[..n]).await.unwrap();
                }
            }
            read = line.tty.read(&mut agent) => {
                let n = read.unwrap();
                // A board that has lost its power hears nothing.
                if !line.is_cut.load(Ordering::SeqCst) && socket.write_all(&agent[..n]).await.is_err() {
                    return;
                }
            }
        }
    }
}

fn status(message: &Heard) -> Option<&str> {
    message.topic.ends_with("bay/b-17/state").then(|| message.json["status"].as_str()).flatten()
}

/// Changes of the bay's status, in order.
fn statuses(heard: &[Heard]) -> Vec<String> {
    let mut all: Vec<String> = heard.iter().filter_map(status).map(str::to_owned).collect();
    all.dedup();
    all
}

pub(crate) fn now_is(heard: &[Heard], wanted: &str) -> bool {
    statuses(heard).last().is_some_and(|status| status == wanted)
}

/// The sessions that were told as ended, each once, by their id.
pub(crate) fn sessions(heard: &[Heard]) -> BTreeMap<String, Value> {
    heard
        .iter()
        .filter(|m| m.topic.ends_with("bay/b-17/event"))
        .map(|m| (m.json["id"].as_str().unwrap().to_owned(), m.json["data"].clone()))
        .collect()
}

fn overstays(heard: &[Heard]) -> usize {
    let raised = |m: &&Heard| {
        m.topic.contains("/ticket/")
            && m.topic.ends_with("/event")
            && m.json["type"].as_str().is_some_and(|kind| kind.ends_with("raised"))
    };
    let ids: BTreeSet<&str> =
        heard.iter().filter(raised).filter_map(|m| m.json["id"].as_str()).collect();
    ids.len()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_car_on_the_emulated_sensor_is_a_session_and_a_ticket_whoever_loses_power() {
    let dir = tempfile::tempdir().unwrap();
    let made = Provision { node: NODE, kind: Kind::Bay, has_range_finder: false, key: None };
    let Some(board) = Board::new(dir.path(), "node", &made) else { return };
    let Some(broker) = Mosquitto::start(dir.path()) else { return };
    let mut subscriber = Subscriber::start(broker.port, "auditor", "steward/v1/#");
    let mut node = Node::new(board);
    let config = write_config(dir.path(), &broker.url(), node.line.tty.slave(), "");
    let arguments = ["run", "--config", &config];

    // A car comes, stays too long, and goes.
    let agent = Running::start(&arguments);
    node.start(EMPTY).await;
    subscriber.wait_until("the empty bay", |heard| now_is(heard, "free"));
    node.set_field(CARS[0]);
    subscriber.wait_until("the first car", |heard| now_is(heard, "occupied"));
    subscriber.wait_until("its overstay", |heard| overstays(heard) == 1);
    node.set_field(EMPTY);
    subscriber.wait_until("the empty bay again", |heard| now_is(heard, "free"));

    // The node loses its power under a car, and the car goes while it has none.
    node.set_field(CARS[1]);
    subscriber.wait_until("the second car", |heard| now_is(heard, "occupied"));
    node.stop();
    node.start(EMPTY).await;
    subscriber.wait_until("the bay free after the node's restart", |heard| now_is(heard, "free"));

    // The agent is killed under a car; the car goes while it is away, and the node loses its power before
    // anybody has heard of it.
    node.set_field(CARS[2]);
    subscriber.wait_until("the third car", |heard| now_is(heard, "occupied"));
    agent.kill();
    node.cut(true);
    node.forget();
    node.set_field(EMPTY);
    node.says(BayState::Free).await;
    node.stop();
    node.start(EMPTY).await;
    node.cut(false);
    let mut agent = Running::start(&arguments);
    subscriber.wait_until("the bay free after both restarts", |heard| now_is(heard, "free"));

    // The broker is away while a car comes and goes.
    let stopped = broker.kill();
    agent.wait_for("link to the broker is down");
    node.forget();
    node.set_field(CARS[3]);
    node.says(BayState::Occupied).await;
    node.set_field(EMPTY);
    node.says(BayState::Free).await;
    let broker = stopped.start();
    subscriber.wait_until("all sessions", |heard| sessions(heard).len() == CARS.len());

    let proof = prove(&subscriber.heard);
    assert!(proof.faults.is_empty(), "{}", proof.faults.join("\n"));
    let sessions = sessions(&subscriber.heard);
    assert_eq!(sessions.len(), CARS.len(), "{sessions:#?}");
    drop((agent, broker));
}
