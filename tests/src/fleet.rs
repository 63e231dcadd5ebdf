//! A fleet in one process: each box has a store of its own on disk, with its thread, and the link and the
//! subscription of the program. What is left out of a box is the engine above them, in whose place somebody
//! commits turns, and the process around it.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use domain::ids::{BoxId, SiteId, TenantId};
use domain::output::Lane;
use domain::site::Identity;
use domain::time::Boot;
use steward::audit::judge::{self, Judge};
use steward::clock::Clock;
use steward::config::{Broker, Rate, Traffic};
use steward::mqtt::LinkStatus;
use steward::mqtt::backoff::Pace;
use steward::mqtt::inbound::{self, Delivery};
use steward::outbox::{Outbox, Turn};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::outbox::{Running, buffer, message, start_as, stored};
use crate::subscriber::Heard;

/// Deliveries that may wait; nobody sends any here.
const COMMANDS_MAX: usize = 16;
/// Messages that a far end may have heard and nobody has taken. Full: the broker keeps what follows.
const HEARD_MAX: usize = 100_000;
/// How long the far end may take to hear what the broker has.
const PATIENCE: Duration = Duration::from_secs(300);

/// What a fleet does.
#[derive(Debug, Clone, Copy)]
pub struct Manner {
    /// How patient its links are.
    pub pace: Pace,
    /// Whether each box subscribes to its commands too, over a connection of its own.
    pub commands: bool,
    /// Between two turns of a box; each has a message of every lane.
    pub every: Duration,
}

/// A fleet that runs.
#[derive(Debug)]
pub struct Fleet {
    boxes: Vec<Member>,
    /// Stops what is said, and then the connections.
    quiet: CancellationToken,
    stop: CancellationToken,
}

#[derive(Debug)]
struct Member {
    running: Running,
    producer: JoinHandle<()>,
    commands: Option<watch::Receiver<LinkStatus>>,
}

/// The last number of each lane, by box (`tenant/site/box`) and lane.
pub type Last = BTreeMap<(String, String), u64>;

impl Fleet {
    /// Starts boxes with a store below `dir` and a link to the broker that each is given.
    ///
    /// # Panics
    /// A store cannot be opened.
    #[must_use]
    pub fn start(dir: &Path, brokers: &[Broker], manner: Manner) -> Fleet {
        let (quiet, stop) = (CancellationToken::new(), CancellationToken::new());
        let member = |(n, broker): (usize, &Broker)| {
            let identity = identity(n);
            let dir = dir.join(identity.id.as_str());
            let opened = Outbox::open(&buffer(&dir), &identity).expect("the folder is ours");
            let clock = Clock::system(opened.boot);
            let traffic = Traffic { replay: Rate::UNLIMITED, ..Traffic::default() };
            let commands =
                manner.commands.then(|| listen(broker.clone(), &identity, clock, stop.clone()));
            let running = start_as(identity, manner.pace, opened, &dir, broker.clone(), traffic);
            let said = say(running.outbox.clone(), manner.every, quiet.clone());
            Member { running, producer: tokio::spawn(said), commands }
        };
        let boxes = brokers.iter().enumerate().map(member).collect();
        Fleet { boxes, quiet, stop }
    }

    /// Waits until every connection is there.
    ///
    /// # Panics
    /// A link has ended.
    pub async fn connected(&mut self) {
        for status in self.links() {
            status.clone().wait_for(|s| s.connected).await.expect("the link goes on");
        }
    }

    /// Begins to wait for every connection to be lost and to be there again; then answers when each came
    /// back, counted from the call.
    ///
    /// # Panics
    /// Later, when a link has ended.
    #[allow(clippy::disallowed_methods, reason = "what a test measures is real time")]
    pub fn watch_return(&self) -> JoinHandle<Vec<Duration>> {
        let begun = std::time::Instant::now();
        let mut returns = vec![];
        for status in self.links() {
            let (mut status, before) = (status.clone(), status.borrow().conn);
            returns.push(tokio::spawn(async move {
                let back = status.wait_for(|s| s.connected && s.conn > before).await;
                back.expect("the link goes on");
                begun.elapsed()
            }));
        }
        tokio::spawn(async move {
            let mut back = vec![];
            for one in returns {
                back.push(one.await.expect("nothing panics"));
            }
            back
        })
    }

    /// Says nothing more, waits until everything is acknowledged, and stops. Answers what was the last of
    /// each lane.
    ///
    /// # Panics
    /// Something was dropped, is never acknowledged, or a link ends badly.
    pub async fn finish(self) -> Last {
        self.quiet.cancel();
        let mut last = Last::new();
        for (n, member) in self.boxes.into_iter().enumerate() {
            member.producer.await.expect("nothing panics");
            let empty = |s: &steward::outbox::Stats| {
                s.lanes.iter().all(|l| l.ledger.stored == 0 && l.gathering == 0)
            };
            let stats = stored(&member.running.outbox, PATIENCE, empty).await;
            for lane in &stats.lanes {
                assert!(lane.ledger.dropped.is_empty(), "{:?}", lane.ledger.dropped);
                let name = format!("t/s/{}", identity(n).id);
                last.insert((name, lane.lane.as_str().to_owned()), lane.ledger.last.seq);
            }
            member.running.stop.cancel();
            member.running.pipe.await.expect("nothing panics").expect("the outbox is there");
            member.running.outbox.close().await.expect("it can be closed");
        }
        self.stop.cancel();
        last
    }

    fn links(&self) -> impl Iterator<Item = &watch::Receiver<LinkStatus>> {
        self.boxes.iter().flat_map(|m| std::iter::once(&m.running.status).chain(&m.commands))
    }
}

/// Box number `n`: `steward/v1/t/s/box-<n>`.
fn identity(n: usize) -> Identity {
    let good = "the ids are good";
    Identity {
        tenant: TenantId::new("t").expect(good),
        site: SiteId::new("s").expect(good),
        id: BoxId::new(&format!("box-{n}")).expect(good),
    }
}

/// The subscription of a box to its commands.
fn listen(
    broker: Broker,
    identity: &Identity,
    clock: Clock,
    stop: CancellationToken,
) -> watch::Receiver<LinkStatus> {
    let client = format!("{}-cmd", identity.id);
    let filters = [format!("steward/v1/t/s/{}/cmd/#", identity.id)];
    let (deliveries, mut received) = mpsc::channel::<Delivery>(COMMANDS_MAX);
    let (status, shown) = watch::channel(LinkStatus::default());
    tokio::spawn(async move {
        let subscribed =
            inbound::subscribe(&broker, &client, &filters, deliveries, status, &clock, stop);
        let taking = async { while received.recv().await.is_some() {} };
        let (subscribed, ()) = tokio::join!(subscribed, taking);
        subscribed.expect("the filter is right");
    });
    shown
}

/// Commits a turn with a message of every lane, again and again.
async fn say(outbox: Outbox, every: Duration, quiet: CancellationToken) {
    let mut turn = tokio::time::interval(every);
    turn.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut value = 0;
    loop {
        tokio::select! {
            () = quiet.cancelled() => return,
            _ = turn.tick() => {}
        }
        let of_lane = |lane| {
            value += 1;
            message(lane, u32::try_from(value % 3).unwrap_or(0), value).expect("the ids are good")
        };
        let messages = Lane::ALL.into_iter().map(of_lane).collect();
        outbox.commit(Turn { messages, ..Turn::default() }).await.expect("it can be stored");
    }
}

/// A far end that hears everything as `steward audit` does, over a session that the broker keeps.
#[derive(Debug)]
pub struct Auditor {
    heard: mpsc::Receiver<Heard>,
    /// Ends the subscription.
    _stop: DropGuard,
}

impl Auditor {
    /// Subscribes at `broker`, and waits until it is connected.
    ///
    /// # Panics
    /// It is never connected.
    pub async fn start(broker: Broker) -> Auditor {
        let (tell, heard) = mpsc::channel(HEARD_MAX);
        let (deliveries, mut received) = mpsc::channel::<Delivery>(COMMANDS_MAX);
        let (status, mut shown) = watch::channel(LinkStatus::default());
        let stop = CancellationToken::new();
        let ending = stop.clone();
        tokio::spawn(async move {
            let (filters, clock) = (["steward/v1/#".to_owned()], Clock::system(Boot(0)));
            let subscribed = inbound::subscribe(
                &broker, "auditor", &filters, deliveries, status, &clock, ending,
            );
            let taking = async {
                while let Some(one) = received.recv().await {
                    let text = String::from_utf8_lossy(&one.payload).into_owned();
                    let json = serde_json::from_str(&text).unwrap_or_default();
                    let heard = Heard { topic: one.topic, text, json, retained: one.retain };
                    if tell.send(heard).await.is_err() {
                        return;
                    }
                    // A session that has ended meanwhile delivers it again.
                    let _ = one.done.send(());
                }
            };
            let (subscribed, ()) = tokio::join!(subscribed, taking);
            subscribed.expect("the filter is right");
        });
        shown.wait_for(|s| s.connected).await.expect("the broker is there");
        Auditor { heard, _stop: stop.drop_guard() }
    }

    /// What has come since the last call.
    pub fn take(&mut self) -> Vec<Heard> {
        std::iter::from_fn(|| self.heard.try_recv().ok()).collect()
    }
}

/// Listens until `last` is heard of every lane, and judges what was heard, as `steward audit` does. `take`
/// gives what has come since it was asked last.
///
/// # Panics
/// It does not come in time.
pub async fn judge(mut take: impl FnMut() -> Vec<Heard>, last: &Last) -> judge::Report {
    let mut judge = Judge::default();
    let heard_all = async {
        let mut missing = last.clone();
        missing.retain(|_, seq| *seq > 0);
        while !missing.is_empty() {
            for one in take() {
                let (topic, payload) = (one.topic.as_str(), one.text.as_bytes());
                judge.hear(judge::Heard { topic, payload, retained: one.retained });
                if let Some(place) = place(&one)
                    && missing.get(&place).is_some_and(|seq| one.json["seq"] == *seq)
                {
                    missing.remove(&place);
                }
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let in_time = tokio::time::timeout(PATIENCE, heard_all).await;
    assert!(in_time.is_ok(), "the far end has not heard the last of everything: {}", told(&judge));
    judge.report()
}

/// The box and the lane of a message.
fn place(heard: &Heard) -> Option<(String, String)> {
    let rest = heard.topic.strip_prefix("steward/v1/")?;
    let end = rest.match_indices('/').nth(2)?.0;
    Some((rest[..end].to_owned(), heard.json["lane"].as_str()?.to_owned()))
}

fn told(judge: &Judge) -> String {
    let report = judge.report();
    let lanes = report.lanes.iter().filter(|(_, _, lane)| lane.missing > 0);
    let told: Vec<_> =
        lanes.map(|(name, lane, found)| format!("{name} {lane} {:?}", found.gaps)).collect();
    format!("{} heard; {}", report.heard, told.join("; "))
}

/// How many came back in each slice of time, for people: a line each.
#[must_use]
pub fn histogram(back: &[Duration], slice: Duration) -> String {
    let mut slices = BTreeMap::<u128, usize>::new();
    for at in back {
        *slices.entry(at.as_millis() / slice.as_millis()).or_default() += 1;
    }
    let end = slices.keys().last().copied().unwrap_or(0);
    let line = |n: u128| {
        let count = slices.get(&n).copied().unwrap_or(0);
        format!("{:>4} s {:<40} {count}\n", n * slice.as_millis() / 1000, "#".repeat(count.min(60)))
    };
    (0..=end).map(line).collect()
}
