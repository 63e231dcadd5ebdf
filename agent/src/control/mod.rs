//! Commands on their way to the engine and back, from the broker and from the local socket: read, handed
//! over, written into the audit log, and answered once the answer is on disk. A command that cannot be
//! read is answered too, as far as it is known who asks.

pub mod ask;
pub mod audit;
pub mod fetch;
pub mod local;
pub mod signed;
pub mod stores;
pub mod trial;
pub mod versions;

use std::sync::Arc;
use std::time::Duration;

use domain::commands::{BadCommand, Command};
use domain::input::Input;
use domain::output::Topic;
use domain::time::Now;
use serde_json::{Value, json};
use tokio::sync::{Mutex, mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use self::audit::{Audit, Via};
use self::signed::Actors;
use crate::clock::Clock;
use crate::mqtt::inbound::CommandArrival;
use crate::mqtt::topics::Prefix;
use crate::sources::Arrival;

/// The time after which everything that brokers keep is published again: a broker may have lost it.
const REFRESH_EVERY: Duration = Duration::from_secs(6 * 3600);
/// By so much boxes differ, so that those which were switched on together do not speak together.
const REFRESH_SPREAD_S: u32 = 600;

/// How often the box called `name` publishes afresh: six hours, or up to ten minutes less.
#[must_use]
pub fn refresh_every(name: &str) -> Duration {
    let less = crc32fast::hash(name.as_bytes()) % REFRESH_SPREAD_S;
    REFRESH_EVERY - Duration::from_secs(less.into())
}

/// Has everything that brokers keep published again after each `every`, until `stop`, or until the engine
/// is gone.
pub async fn refresh(every: Duration, engine: mpsc::Sender<Arrival>, stop: CancellationToken) {
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(every) => {}
        }
        if engine
            .send(Arrival { input: Input::Refresh, committed: None, answer: None })
            .await
            .is_err()
        {
            return;
        }
    }
}

/// Who may hand in commands from the broker.
#[derive(Debug)]
pub struct Guard {
    /// Where the box's topics are.
    pub prefix: Prefix,
    /// Whose signatures are known.
    pub actors: Actors,
}

impl Guard {
    /// Reads a command as it came. Whoever may open the local socket needs no signature.
    fn read(&self, name: &str, payload: &[u8], via: &Via) -> Result<Command, BadCommand> {
        match via {
            Via::Mqtt(_) => {
                let topic = self.prefix.join(&format!("cmd/{name}"));
                self.actors.read(&topic, name, payload)
            }
            Via::Local | Via::Public => Command::parse(name, payload),
        }
    }
}

/// Where commands are handed in.
#[derive(Debug, Clone)]
pub struct Desk {
    engine: mpsc::Sender<Arrival>,
    clock: Clock,
    guard: Arc<Guard>,
    /// Held for one line at a time.
    audit: Arc<Mutex<Audit>>,
}

impl Desk {
    /// The time.
    #[must_use]
    pub fn now(&self) -> Now {
        self.clock.now()
    }

    /// A desk before the engine.
    #[must_use]
    pub fn new(engine: mpsc::Sender<Arrival>, clock: Clock, guard: Guard, audit: Audit) -> Desk {
        Desk { engine, clock, guard: Arc::new(guard), audit: Arc::new(Mutex::new(audit)) }
    }

    /// Has a command carried out; gives the answer once it is stored. `None`: the engine is gone, or
    /// could not store what came of it.
    pub async fn carry(
        &self,
        name: &str,
        payload: &[u8],
        via: &Via,
        to: AnswerTo,
    ) -> Option<Value> {
        let (input, unread) = match self.guard.read(name, payload, via) {
            Ok(command) => (Input::Command(command), None),
            Err(bad) => {
                let answer = not_read(&bad.why);
                (Input::BadCommand(bad), Some(answer))
            }
        };
        // A command without a requester has no answer of the engine's.
        let answer = self.hand_over(input, to).await?.or(unread)?;
        let asked = signed::body(payload);
        self.audit.lock().await.note(self.clock.now(), via, name, &asked, &answer);
        Some(answer)
    }

    /// Hands an input to the engine and gives its answer, if it has one, once that is stored; `None` as for
    /// [`Desk::carry`].
    pub async fn hand_over(&self, input: Input, to: AnswerTo) -> Option<Option<Value>> {
        let (told, committed) = oneshot::channel();
        let (tell, answer) = oneshot::channel();
        let arrival = Arrival { input, committed: Some(told), answer: Some(Wish { tell, to }) };
        self.engine.send(arrival).await.ok()?;
        committed.await.ok()?;
        Some(answer.await.ok())
    }

    /// Writes down what the public reported.
    pub async fn note_public(&self, said: &Value, answer: &Value) {
        let said = said.to_string();
        let mut audit = self.audit.lock().await;
        audit.note(self.clock.now(), &Via::Public, "open311.report", said.as_bytes(), answer);
    }
}

/// The wish to be told the answer to a command.
#[derive(Debug)]
pub struct Wish {
    /// Told the body of the reply once it is stored.
    pub tell: oneshot::Sender<Value>,
    /// Where else it goes.
    pub to: AnswerTo,
}

/// Where the answer to a command goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AnswerTo {
    /// To whoever called, and nowhere else.
    Caller,
    /// Over the uplink that the command came by.
    Uplink {
        /// 0 for that of `[mqtt]`, from 1 in the order of the file for the others.
        number: usize,
        /// Where the requester wants it; `None`: on `P/reply/<by>`.
        response: Option<Topic>,
    },
}

/// The uplink over which commands come.
#[derive(Debug, Clone)]
pub struct Door {
    /// As in [`AnswerTo::Uplink`].
    pub number: usize,
    /// Its name in the audit log.
    pub via: Via,
}

/// The answer to what cannot be read.
fn not_read(why: &str) -> Value {
    json!({"ok": false, "error": {"code": "invalid", "msg": why}})
}

/// Takes commands from the broker until there are no more, or the engine is gone. One at a time: the
/// next one waits until the answer to the one before it is stored.
pub async fn run(mut commands: mpsc::Receiver<CommandArrival>, desk: Desk, door: Door) {
    while let Some(CommandArrival { name, payload, response, done }) = commands.recv().await {
        let to = AnswerTo::Uplink { number: door.number, response };
        // Not stored: not acknowledged, and the broker delivers it again.
        if desk.carry(&name, &payload, &door.via, to).await.is_some() {
            // A session that has ended meanwhile delivers it again; the engine knows it by its id.
            let _ = done.send(());
        } else if desk.engine.is_closed() {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn first() -> Door {
        Door { number: 0, via: Via::Mqtt(None) }
    }

    fn desk(folder: &tempfile::TempDir) -> (Desk, mpsc::Receiver<Arrival>) {
        let (engine, arrivals) = mpsc::channel(1);
        let clock = Clock::system(domain::time::Boot(1));
        let identity = domain::site::Identity {
            tenant: domain::ids::TenantId::new("t").unwrap(),
            site: domain::ids::SiteId::new("s").unwrap(),
            id: domain::ids::BoxId::new("b").unwrap(),
        };
        let guard = Guard { prefix: Prefix::new(&identity), actors: Actors::default() };
        (Desk::new(engine, clock, guard, Audit::new(folder.path())), arrivals)
    }

    #[tokio::test]
    async fn a_command_is_acknowledged_when_its_answer_is_stored() {
        let folder = tempfile::tempdir().unwrap();
        let (tell, commands) = mpsc::channel(1);
        let (desk, mut arrivals) = desk(&folder);
        let task = tokio::spawn(run(commands, desk, first()));
        for (payload, readable) in [(&br#"{"id":"1","by":"duty"}"#[..], true), (b"{", false)] {
            let (done, mut acknowledged) = oneshot::channel();
            let arrival = CommandArrival {
                name: "ping".into(),
                payload: payload.into(),
                response: None,
                done,
            };
            tell.send(arrival).await.unwrap();
            let arrival = arrivals.recv().await.unwrap();
            assert_eq!(matches!(arrival.input, Input::Command(_)), readable);
            assert!(acknowledged.try_recv().is_err(), "not before");
            arrival.committed.unwrap().send(()).unwrap();
            let wish = arrival.answer.unwrap();
            if readable {
                wish.tell.send(json!({"ok": true})).unwrap();
            } else {
                drop(wish);
            }
            acknowledged.await.unwrap();
        }
        drop(tell);
        task.await.unwrap();
        let log = std::fs::read_to_string(folder.path().join("audit.jsonl")).unwrap();
        assert_eq!(log.lines().count(), 2, "{log}");
    }

    #[tokio::test(start_paused = true)]
    async fn everything_is_published_afresh_every_six_hours_until_the_stop() {
        let (engine, mut arrivals) = mpsc::channel(1);
        let stop = CancellationToken::new();
        let every = refresh_every("xj-0412");
        assert!(every <= REFRESH_EVERY && every > REFRESH_EVERY - Duration::from_secs(600));
        assert_ne!(every, refresh_every("xj-0413"));
        let task = tokio::spawn(refresh(every, engine, stop.clone()));
        let begun = tokio::time::Instant::now();
        for day_quarter in 1..=8 {
            let arrival = arrivals.recv().await.unwrap();
            assert_eq!(arrival.input, Input::Refresh);
            assert_eq!(begun.elapsed().as_secs(), (every * day_quarter).as_secs());
        }
        stop.cancel();
        task.await.unwrap();
    }

    #[tokio::test]
    async fn what_was_not_stored_is_not_acknowledged() {
        let folder = tempfile::tempdir().unwrap();
        let (tell, commands) = mpsc::channel(1);
        let (desk, mut arrivals) = desk(&folder);
        tokio::spawn(run(commands, desk, first()));
        let (done, acknowledged) = oneshot::channel();
        let payload = br#"{"id":"1","by":"duty"}"#.to_vec();
        tell.send(CommandArrival { name: "ping".into(), payload, response: None, done })
            .await
            .unwrap();
        drop(arrivals.recv().await.unwrap().committed);
        assert!(acknowledged.await.is_err());
    }
}
