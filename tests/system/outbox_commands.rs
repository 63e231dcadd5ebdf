//! Commands from a broker: obeyed once they are safe, in order, again after a broken link, and never when
//! they are retained or too large.

use std::time::Duration;

use domain::time::Boot;
use steward::clock::Clock;
use steward::config::Version;
use steward::mqtt::LinkStatus;
use steward::mqtt::inbound::{CommandArrival, Post, SubscribeError, commands, subscribe};
use steward::mqtt::topics::Prefix;
use system_tests::broker::{Offer, ScriptedBroker, Temper};
use system_tests::outbox::{broker_at, identity};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

const PATIENCE: Duration = Duration::from_secs(30);

struct Running {
    broker: ScriptedBroker,
    arrivals: mpsc::Receiver<CommandArrival>,
    status: watch::Receiver<LinkStatus>,
    stop: CancellationToken,
    task: JoinHandle<Result<(), SubscribeError>>,
}

async fn start() -> Running {
    let broker = ScriptedBroker::start(1, Temper::default()).await.unwrap();
    let (sender, arrivals) = mpsc::channel(4);
    let (shown, status) = watch::channel(LinkStatus::default());
    let stop = CancellationToken::new();
    let (settings, until) = (broker_at(broker.addr(), 10), stop.clone());
    let task = tokio::spawn(async move {
        let (prefix, clock) = (Prefix::new(&identity().unwrap()), Clock::system(Boot(1)));
        let (settings, prefix) = (&settings, &prefix);
        let post = Post { settings, protocol: Some(Version::V311), box_id: "box", prefix };
        commands(&post, sender, shown, &clock, until).await
    });
    Running { broker, arrivals, status, stop, task }
}

fn offer(name: &str, payload: &str, retain: bool) -> Offer {
    let topic = format!("steward/v1/t/s/box/cmd/{name}");
    Offer { topic, payload: payload.as_bytes().to_vec(), retain }
}

#[tokio::test]
async fn a_command_is_acknowledged_when_it_is_safe_and_in_its_turn() {
    let mut running = start().await;
    for n in 0..3 {
        running.broker.offer(offer("ping", &n.to_string(), false));
    }
    let mut held = vec![];
    for n in 0..3 {
        let command = running.arrivals.recv().await.unwrap();
        assert_eq!((command.name.as_str(), command.payload), ("ping", n.to_string().into_bytes()));
        held.push(command.done);
    }
    assert_eq!(running.broker.look(|seen| seen.offers_acknowledged.len()), 0);
    // The last is safe first, and still has to wait for its turn.
    for done in held.into_iter().rev() {
        done.send(()).unwrap();
    }
    assert!(running.broker.wait(PATIENCE, |seen| seen.offers_acknowledged == [0, 1, 2]).await);
    let seen = running.broker.seen();
    assert_eq!(seen.clients, [("box-cmd".to_owned(), false)], "its session must persist");
    assert!(seen.filters.contains("steward/v1/t/s/box/cmd/#"));
    running.stop.cancel();
    running.task.await.unwrap().unwrap();
}

#[tokio::test]
async fn a_command_that_could_not_be_taken_comes_again() {
    let mut running = start().await;
    running.broker.offer(offer("ping", "a", false));
    running.broker.offer(offer("ping", "b", false));
    drop(running.arrivals.recv().await.unwrap().done);
    // Everything that comes now is taken; what the broken link had already brought comes twice, and
    // an answer to that leads nowhere.
    let mut arrivals = running.arrivals;
    let answering = tokio::spawn(async move {
        let mut payloads = vec![];
        while let Some(command) = arrivals.recv().await {
            if command.done.send(()).is_ok() {
                payloads.push(command.payload);
            }
        }
        payloads
    });
    assert!(running.broker.wait(PATIENCE, |seen| seen.offers_acknowledged == [0, 1]).await);
    assert_eq!(running.broker.look(|seen| seen.connections), 2);
    running.stop.cancel();
    running.task.await.unwrap().unwrap();
    assert!(answering.await.unwrap().ends_with(&[b"a".to_vec(), b"b".to_vec()]));
}

#[tokio::test]
async fn what_is_retained_too_large_or_nameless_is_refused_and_does_not_come_again() {
    let mut running = start().await;
    running.broker.offer(offer("old", "x", true));
    running.broker.offer(offer("large", &"x".repeat(200_000), false));
    running.broker.offer(offer("a/b", "x", false));
    running.broker.offer(offer("good", "x", false));
    let command = running.arrivals.recv().await.unwrap();
    assert_eq!(command.name, "good");
    command.done.send(()).unwrap();
    assert!(running.broker.wait(PATIENCE, |seen| seen.offers_acknowledged == [0, 1, 2, 3]).await);
    let status = running.status.borrow_and_update().clone();
    assert_eq!((status.refused, status.received, status.conn), (3, 4, 1));
    running.stop.cancel();
    running.task.await.unwrap().unwrap();
}

#[tokio::test]
async fn a_message_beyond_all_bounds_does_not_lock_the_box_out() {
    let mut running = start().await;
    running.broker.offer(offer("huge", &"x".repeat(2 << 20), false));
    // Asked for again a few times; then the session is given up with it.
    let clean = |seen: &system_tests::broker::Seen| seen.clients.iter().any(|(_, clean)| *clean);
    assert!(running.broker.wait(PATIENCE, clean).await);
    assert!(running.status.borrow_and_update().last_error.is_some());
    running.stop.cancel();
    running.task.await.unwrap().unwrap();
}

#[tokio::test]
async fn a_filter_that_is_none_is_an_error_at_once() {
    let settings = broker_at(([127, 0, 0, 1], 9).into(), 10);
    let (deliveries, _receiver) = mpsc::channel(1);
    let (status, clock) = (watch::Sender::new(LinkStatus::default()), Clock::system(Boot(1)));
    let filters = ["a/#/b".to_owned()];
    let stop = CancellationToken::new();
    let ended = subscribe(&settings, "c", &filters, deliveries, status, &clock, stop).await;
    assert!(ended.unwrap_err().to_string().contains("a/#/b"));
}
