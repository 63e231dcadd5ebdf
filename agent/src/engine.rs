//! Owns [`domain::Engine`]: takes what arrives, decides, commits once, and only then tells the sources.
//!
//! One turn is everything that has arrived by now: its steps are decided one after another and stored as
//! one batch. While the store cannot take a turn (a full disk), the turn is held and tried again and
//! nothing new is taken in: the sources wait, and what they have read stays where it is.

mod early;

use std::collections::BTreeMap;
use std::time::Duration;

use domain::commands::upkeep::{Order, Progress, Stage};
use domain::commands::{Action, Command};
use domain::decode::Reason;
use domain::ids::SourceName;
use domain::input::Input;
use domain::output::{Body, Message, Outputs, Rejected, Request, Topic};
use domain::time::{ClockQuality, Moment, Now, Utc};
use serde_json::{Map, Value};
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{broadcast, mpsc, oneshot, watch};

use self::early::Early;
use crate::clock::Clock;
use crate::control::{AnswerTo, Wish};
use crate::mqtt::topics;
use crate::outbox::{CommitFault, Outbox, Turn};
use crate::record::Recorder;
use crate::sources::Arrival;
use crate::uplinks::Uplinks;

/// Inputs decided in one turn at the most: bounds the batch, and the time until the first of them is
/// acknowledged.
const TURN_MAX: usize = 256;
/// Points of one asset that travel in one telemetry message at the most, to keep it below 32 KB.
const POINTS_MAX: usize = 100;
/// A turn begins at least this often, so that the watchdog can tell an idle engine from a stuck one.
const BEAT: Duration = Duration::from_secs(5);
/// Between two tries to commit a turn that the store did not take.
const RETRY: Duration = Duration::from_secs(1);

/// What the engine shows of itself.
#[derive(Debug, Clone, Default)]
pub struct Status {
    /// Turns so far; standing still means stuck.
    pub turns: u64,
    /// Inputs so far.
    pub inputs: u64,
    /// What was refused, by the source's name (`command` for commands) and the reason.
    pub rejected: BTreeMap<String, BTreeMap<Reason, u64>>,
    /// Tickets on which work may still be due.
    pub open_tickets: usize,
    /// Requests to devices that their source could not take.
    pub not_asked: u64,
    /// Why the store does not take turns at present.
    pub store_trouble: Option<String>,
}

/// Why the engine ended.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// The outbox has gone away.
    #[error("the outbox has stopped")]
    OutboxGone,
}

/// Everything the engine task works with.
pub struct EngineTask {
    /// The core.
    pub engine: domain::Engine,
    /// What happens. Bounded by [`crate::sources::ARRIVALS_MAX`]; its end ends the task.
    pub arrivals: mpsc::Receiver<Arrival>,
    /// Where turns go.
    pub outbox: Outbox,
    /// What brokers beside the first get of them.
    pub uplinks: Uplinks,
    /// The time.
    pub clock: Clock,
    /// Where inputs are written down, if they are.
    pub recorder: Option<Recorder>,
    /// What the task shows.
    pub status: watch::Sender<Status>,
    /// What there is to decide from before there was an engine: trouble with the box, and what became of
    /// what was to be done with it.
    pub first: Vec<Input>,
    /// The configuration is on trial: what the one before it needs is not thrown away yet.
    pub on_trial: bool,
    /// What the box says of itself (`P/info`): stored before anything else, and again when it changes and
    /// with everything that is published afresh.
    pub info: watch::Receiver<Message>,
    /// Where to put what devices are asked to do, by the source that has them.
    pub requests: BTreeMap<SourceName, mpsc::Sender<Request>>,
    /// Where to put what is to be done with the box itself.
    pub order: mpsc::Sender<Order>,
    /// Those that are not stored yet: of one turn.
    pub orders: Vec<Order>,
    /// Where to show what is decided, to whoever watches.
    pub live: broadcast::Sender<Live>,
    /// Whether a receiver of the box's own will tell the time, and until then nobody knows it.
    pub awaits_time: bool,
}

/// A message, for whoever watches.
#[derive(Debug, Clone)]
pub struct Live {
    /// Its topic, below the box's prefix.
    pub topic: String,
    /// When what it tells was so.
    pub at: Utc,
    /// What it tells.
    pub body: Value,
}

impl EngineTask {
    /// Works until every sender of arrivals is gone and what they sent is stored.
    ///
    /// # Errors
    /// The outbox is gone: the box must not go on without it.
    pub async fn run(mut self) -> Result<(), EngineError> {
        let now = self.clock.now();
        let mut turn = Turn::default();
        self.tell_info(now, &mut turn);
        self.decide(Input::Start, now, &mut turn);
        if self.on_trial {
            turn.records.retain(|record| record.value.is_some());
            self.uplinks.spare_orphans();
        }
        for input in std::mem::take(&mut self.first) {
            self.decide(input, now, &mut turn);
        }
        self.commit(turn, vec![]).await?;
        let mut early = Early::new(self.awaits_time, now);
        let mut batch = Vec::with_capacity(TURN_MAX);
        loop {
            let ended = self.gather(&mut batch).await;
            let mut turn = Turn::default();
            let (mut waiting, mut answers) = (vec![], vec![]);
            let now = self.clock.now();
            if let Some(waits) = &mut early {
                batch = waits.take(batch, now);
            }
            if let Some(over) = early.take_if(|waits| ended || waits.is_over(now)) {
                batch.extend(over.end(now));
            }
            if batch.is_empty() {
                self.decide(Input::Tick, now, &mut turn);
            }
            for Arrival { input, committed, answer: wish } in batch.drain(..) {
                let answer = self.decide_for(input, now, &mut turn, wish.as_ref());
                waiting.extend(committed);
                answers.extend(wish.zip(answer));
            }
            if self.info.has_changed().unwrap_or(false) {
                self.tell_info(now, &mut turn);
            }
            self.commit(turn, waiting).await?;
            for (wish, answer) in answers {
                // Whoever asked has gone meanwhile.
                let _ = wish.tell.send(answer);
            }
            self.pass_on().await?;
            if ended {
                return Ok(());
            }
        }
    }

    fn tell_info(&mut self, now: Now, turn: &mut Turn) {
        let info = self.info.borrow_and_update().clone();
        let info = Message { at: now.utc, clock: now.clock, ..info };
        self.uplinks.note_one(self.engine.site(), &info);
        turn.messages.push(info);
    }

    /// Waits for arrivals or for the next deadline; answers whether no more can come.
    async fn gather(&mut self, batch: &mut Vec<Arrival>) -> bool {
        let due = self.engine.next_deadline().map_or(BEAT, |at| self.clock.until(at).min(BEAT));
        match tokio::time::timeout(due, self.arrivals.recv_many(batch, TURN_MAX)).await {
            Ok(0) => true,
            Ok(_) | Err(_) => false,
        }
    }

    fn decide(&mut self, input: Input, now: Now, turn: &mut Turn) {
        self.decide_for(input, now, turn, None);
    }

    /// Decides, and gives the answer to a command if somebody wants it.
    fn decide_for(
        &mut self,
        input: Input,
        now: Now,
        turn: &mut Turn,
        wish: Option<&Wish>,
    ) -> Option<Value> {
        let ticked = input == Input::Tick;
        if let Some(recorder) = &mut self.recorder {
            // A beat on which nothing was due decides nothing, and needs no line.
            let due = self.engine.next_deadline().is_some_and(|at| at <= now.monotonic);
            if !ticked || due {
                recorder.record(now, &input);
            }
        }
        if is_refresh(&input) {
            self.tell_info(now, turn);
        }
        let mut outputs = self.engine.step(input, now);
        self.status.send_modify(|status| {
            status.inputs += u64::from(!ticked);
            count(status, &outputs.rejected);
        });
        let answer = wish.and_then(|wish| self.answer(&mut outputs.messages, wish));
        self.ask(&outputs.requests);
        if !self.uplinks.is_empty() {
            let (engine, uplinks) = (&self.engine, &mut self.uplinks);
            uplinks.note(engine.site(), &outputs, |id| engine.ticket(id));
        }
        self.orders.append(&mut outputs.orders);
        self.show(&outputs.messages);
        absorb(turn, outputs, now);
        answer
    }

    /// Shows messages to whoever watches, before they are stored: it is a view, not a promise.
    fn show(&self, messages: &[Message]) {
        if self.live.receiver_count() == 0 {
            return;
        }
        for message in messages {
            let body = match &message.body {
                Body::Flat(body) => Value::Object(body.clone()),
                Body::Form(form) => form.clone(),
                Body::Event { kind, data } => serde_json::json!({"type": kind, "data": data}),
                Body::Empty => Value::Null,
            };
            let (topic, at) = (topics::path(&message.topic), message.at);
            // Nobody may be left by now.
            let _ = self.live.send(Live { topic, at, body });
        }
    }

    /// The answer among the messages of a command, which goes where the wish says.
    fn answer(&mut self, messages: &mut Vec<Message>, wish: &Wish) -> Option<Value> {
        let at = messages.iter().rposition(|m| matches!(m.topic, Topic::Reply(_)))?;
        let Body::Flat(body) = &messages[at].body else { return None };
        let answer = Value::Object(body.clone());
        match &wish.to {
            AnswerTo::Caller => _ = messages.remove(at),
            AnswerTo::Uplink { number, response } => {
                let mut message = messages.remove(at);
                if let Some(topic) = response {
                    message.topic = topic.clone();
                }
                if *number == 0 {
                    messages.insert(at, message);
                } else {
                    self.uplinks.answer(*number, message);
                }
            }
        }
        Some(answer)
    }

    /// Passes on what devices are asked to do. One that its source cannot take is dropped and counted:
    /// nothing waits for it, and who wants it asks again.
    fn ask(&mut self, requests: &[Request]) {
        for request in requests {
            let Request { feed, what } = request;
            let device = feed.device.as_ref().map_or("", |d| d.as_str());
            let taken = self.requests.get(&feed.source).map(|to| to.try_send(request.clone()));
            if matches!(taken, Some(Ok(()))) {
                tracing::info!(source = %feed.source, device, ?what, "device is asked");
            } else {
                let why = "the source has no way to its devices, or too much to ask already";
                tracing::warn!(source = %feed.source, device, ?what, why, "device is not asked");
                self.status.send_modify(|status| status.not_asked += 1);
            }
        }
    }

    /// Passes on what is to be done with the box, now that it is stored that somebody asked for it. What
    /// cannot be taken is refused, and whoever asked is told so.
    async fn pass_on(&mut self) -> Result<(), EngineError> {
        let mut refused = Turn::default();
        for order in std::mem::take(&mut self.orders) {
            let (order, why) = match self.order.try_send(order) {
                Ok(()) => continue,
                Err(TrySendError::Full(order)) => (order, "the box has too much to do already"),
                Err(TrySendError::Closed(order)) => {
                    (order, "this box cannot be changed by command")
                }
            };
            let Order { id, by, what: _ } = order;
            let (stage, why) = (Stage::Refused, Some(why.to_owned()));
            let progress = Progress { id, by, stage, result: Map::new(), why };
            self.decide(Input::Progress(progress), self.clock.now(), &mut refused);
        }
        if refused.messages.is_empty() { Ok(()) } else { self.commit(refused, vec![]).await }
    }

    async fn commit(
        &mut self,
        mut turn: Turn,
        waiting: Vec<oneshot::Sender<()>>,
    ) -> Result<(), EngineError> {
        if let Some(recorder) = &mut self.recorder {
            recorder.flush();
        }
        // A source that is told may forget its input, and one that repeats it finds it known by the
        // records: either way telemetry left in memory could not be had again.
        turn.durable = !waiting.is_empty();
        let now = self.clock.now();
        turn.now = (now.clock >= ClockQuality::Ntp).then_some(now.utc);
        let ready = self.uplinks.prepare(&mut turn);
        if !turn.records.is_empty() || !turn.messages.is_empty() {
            store(&self.outbox, &self.status, turn).await?;
        }
        ready.hand_over();
        for told in waiting {
            // A source that has gone meanwhile does not wait for the answer any more.
            let _ = told.send(());
        }
        let open_tickets = self.engine.open_tickets();
        self.status.send_modify(|status| {
            status.turns += 1;
            status.open_tickets = open_tickets;
        });
        Ok(())
    }
}

/// Stores a turn, however long that takes.
async fn store(
    outbox: &Outbox,
    status: &watch::Sender<Status>,
    mut turn: Turn,
) -> Result<(), EngineError> {
    loop {
        let Err(error) = outbox.commit(turn).await else {
            trouble(status, None);
            return Ok(());
        };
        let Some(held) = error.turn else { return Err(EngineError::OutboxGone) };
        if matches!(error.why, CommitFault::Stopped) {
            return Err(EngineError::OutboxGone);
        }
        turn = held;
        trouble(status, Some(error.why.to_string()));
        tokio::time::sleep(RETRY).await;
    }
}

/// Shows trouble of the store, and logs it once when it comes and once when it goes.
fn trouble(status: &watch::Sender<Status>, why: Option<String>) {
    let before = status.borrow().store_trouble.clone();
    match (&before, &why) {
        (None, Some(why)) => tracing::error!(error = %why, "the outbox does not take turns"),
        (Some(_), None) => tracing::info!("the outbox takes turns again"),
        _ => {}
    }
    if before != why {
        status.send_modify(|status| status.store_trouble = why);
    }
}

fn count(status: &mut Status, rejected: &[Rejected]) {
    for one in rejected {
        let source = one.source.as_ref().map_or("command", |s| s.as_str());
        let reasons = status.rejected.entry(source.to_owned()).or_default();
        let n = reasons.entry(one.reason).or_default();
        *n += 1;
        // The first of its kind is news; the rest is a number.
        if *n == 1 {
            tracing::warn!(source, reason = one.reason.as_str(), detail = %one.detail, "rejected");
        } else {
            tracing::debug!(source, reason = one.reason.as_str(), detail = %one.detail, "rejected");
        }
    }
}

/// Whether everything that brokers keep is published again.
fn is_refresh(input: &Input) -> bool {
    let asked = |command: &Command| command.action == Action::Refresh;
    *input == Input::Refresh || matches!(input, Input::Command(command) if asked(command))
}

/// Adds what a step decided to the turn. Points of one asset join one telemetry message.
fn absorb(turn: &mut Turn, outputs: Outputs, now: Moment) {
    let Outputs { records, messages, rejected: _, requests: _, orders: _ } = outputs;
    turn.records.extend(records);
    for message in messages {
        tell(&message, now);
        if !join(&mut turn.messages, &message) {
            turn.messages.push(message);
        }
    }
}

/// Logs what happens to tickets: that is what an operator looks for in the journal.
fn tell(message: &Message, now: Moment) {
    if let (Topic::TicketEvent(ticket), Body::Event { kind, data }) =
        (&message.topic, &message.body)
    {
        let category = data.get("category").and_then(Value::as_str).unwrap_or_default();
        let late_ms = now.utc.since(message.at).as_ms();
        tracing::info!(ticket_id = %ticket, kind, category, late_ms, "ticket");
    }
}

/// Lets the points of a telemetry message join an earlier one of its asset; answers whether they did.
pub(crate) fn join(messages: &mut [Message], message: &Message) -> bool {
    let Topic::AssetTelemetry(key) = &message.topic else { return false };
    let of_asset = |m: &&mut Message| matches!(&m.topic, Topic::AssetTelemetry(k) if k == key);
    let Some(earlier) = messages.iter_mut().rev().find(of_asset) else { return false };
    if earlier.quality != message.quality || earlier.clock != message.clock {
        return false;
    }
    let (Body::Flat(body), Body::Flat(more)) = (&mut earlier.body, &message.body) else {
        return false;
    };
    let (Some(Value::Array(points)), Some(Value::Array(new))) =
        (body.get_mut("points"), more.get("points"))
    else {
        return false;
    };
    if points.len() + new.len() > POINTS_MAX {
        return false;
    }
    points.extend(new.iter().cloned());
    true
}
