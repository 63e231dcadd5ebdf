//! Several uplinks: what each broker beside the first gets, and how it comes into its store.
//!
//! ```text
//!           ┌─► first store (records, journal, messages of [mqtt]) ─► pipe ─► broker of [mqtt]
//! engine ───┤        │ committed: sources are acknowledged
//!           └────────┴─► feeder of an uplink ─► its own store ─► its own pipe ─► its broker
//! ```
//! * An uplink has a filter, a profile, a store with lanes, numbers and bounds of its own, and a connection.
//! * What it gets is written into the first store as a **journal** record, in the batch of the turn, and
//!   taken out when the uplink's own store has it. That store remembers up to where it has taken, so that
//!   a kill in between neither loses a message nor tells it twice.
//! * Telemetry that may be lost with the power is not journaled, as it is not in the first store either.
//! * A slow or dead uplink keeps nobody waiting. When its store takes nothing for 64 turns, what
//!   would follow is passed over and counted. It takes numbers in that store once it takes turns again, so
//!   that the far end sees the gap, and `P/health` says why.

mod journal;

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use domain::ids::{TicketId, UplinkName};
use domain::output::{Body, Lane, Message, Outputs, Record, Topic};
use domain::profile::Profile;
use domain::tickets::Ticket;
use domain::time::Utc;
use tokio::sync::{mpsc, watch};

use crate::config::{Filter, Uplink};
use crate::engine::join;
use crate::mqtt::{LinkStatus, topics};
use crate::outbox::{CommitFault, Outbox, Turn};

/// Turns on their way to an uplink's store. Full: the messages of the next ones are passed over for this
/// uplink, and counted; the others go on.
const TURNS_MAX: usize = 64;
/// Between two tries to commit a turn that an uplink's store did not take.
const RETRY: Duration = Duration::from_secs(1);

/// What an uplink shows of itself, beside its store and its link.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Status {
    /// Messages for which the profile has no form.
    pub no_form: u64,
    /// Messages that its store could not take in time.
    pub passed_over: u64,
    /// Why the store takes nothing at present.
    pub store_trouble: Option<String>,
}

/// An uplink as health and metrics see it.
#[derive(Debug, Clone)]
pub struct Shown {
    /// Its name.
    pub name: UplinkName,
    /// The word for its profile.
    pub profile: &'static str,
    /// Its store.
    pub outbox: Outbox,
    /// Its link.
    pub link: watch::Receiver<LinkStatus>,
    /// The rest.
    pub status: watch::Receiver<Status>,
    /// Ready-made payloads for `P/health` at its broker.
    pub health: watch::Sender<Option<Vec<u8>>>,
}

/// What is handed to an uplink's store as one.
#[derive(Debug)]
struct Handed {
    /// Its number in the journal, if it is there.
    number: Option<u64>,
    messages: Vec<Message>,
    durable: bool,
    now: Option<Utc>,
    /// How many were passed over before this turn, by lane, since that is counted.
    passed: [u64; 4],
}

/// The way from the engine to one uplink's store.
#[derive(Debug)]
struct Way {
    name: UplinkName,
    filter: Filter,
    profile: Profile,
    turns: mpsc::Sender<Handed>,
    status: watch::Sender<Status>,
    /// Of the present turn.
    messages: Vec<Message>,
    /// The number of the next turn in the journal.
    next: u64,
    /// Numbers that are in the journal.
    journaled: VecDeque<u64>,
    /// Up to which the store has taken.
    taken: Arc<AtomicU64>,
    /// Messages passed over, by lane, as the first store knows it.
    passed: [u64; 4],
}

/// Every uplink beside the first, as the engine's task works with them.
#[derive(Debug, Default)]
pub struct Uplinks {
    ways: Vec<Way>,
    /// Journal records of uplinks that are not configured any more.
    orphans: Vec<Record>,
}

/// What is to be handed over once the turn is committed.
#[must_use]
pub(crate) struct Ready<'a>(Vec<(mpsc::Permit<'a, Handed>, Handed)>);

impl Ready<'_> {
    /// The turn is committed.
    pub(crate) fn hand_over(self) {
        for (permit, handed) in self.0 {
            permit.send(handed);
        }
    }
}

impl Uplinks {
    /// Whether there is none.
    pub(crate) fn is_empty(&self) -> bool {
        self.ways.is_empty()
    }

    /// Notes what the uplinks get of a step's outputs. `ticket` is asked for a ticket as it is now.
    pub(crate) fn note<'t>(
        &mut self,
        site: &domain::site::Site,
        outputs: &Outputs,
        ticket: impl Fn(&TicketId) -> Option<&'t Ticket>,
    ) {
        let then = |id: &TicketId, rev: u64| {
            let stored = ticket_in(&outputs.records, id, rev);
            stored.or_else(|| ticket(id).filter(|now| u64::from(now.rev) == rev).cloned())
        };
        for way in &mut self.ways {
            for message in &outputs.messages {
                way.note(site, message, then);
            }
        }
    }

    /// As [`Uplinks::note`], of a single message that is about no ticket.
    pub(crate) fn note_one(&mut self, site: &domain::site::Site, message: &Message) {
        for way in &mut self.ways {
            way.note(site, message, |_, _| None);
        }
    }

    /// Notes the answer to a command that came over the uplink counted `number`, from 1.
    pub(crate) fn answer(&mut self, number: usize, message: Message) {
        if let Some(way) = number.checked_sub(1).and_then(|at| self.ways.get_mut(at)) {
            way.messages.push(message);
        }
    }

    /// The configuration is on trial: what uplinks that it does not have had on their way stays.
    pub(crate) fn spare_orphans(&mut self) {
        self.orphans.clear();
    }

    /// Writes what the uplinks get into the turn's journal, and takes out of it what they have.
    pub(crate) fn prepare(&mut self, turn: &mut Turn) -> Ready<'_> {
        turn.records.append(&mut self.orphans);
        Ready(self.ways.iter_mut().filter_map(|way| way.prepare(turn)).collect())
    }
}

impl Way {
    fn note(
        &mut self,
        site: &domain::site::Site,
        message: &Message,
        ticket: impl Fn(&TicketId, u64) -> Option<Ticket>,
    ) {
        // An answer goes to whoever asked, and to nobody else.
        let answer = matches!(message.topic, Topic::Reply(_) | Topic::Answer { .. });
        if answer || !self.filter.wants(message.lane, &topics::path(&message.topic)) {
            return;
        }
        let forms = self.profile.forms(site, message, ticket);
        if forms.is_empty() {
            self.status.send_modify(|status| status.no_form += 1);
        }
        for form in forms {
            if !join(&mut self.messages, &form) {
                self.messages.push(form);
            }
        }
    }

    fn prepare(&mut self, turn: &mut Turn) -> Option<(mpsc::Permit<'_, Handed>, Handed)> {
        let Turn { durable, now, ref mut records, .. } = *turn;
        let taken = self.taken.load(Ordering::Acquire);
        while let Some(number) = self.journaled.front().copied().filter(|n| *n <= taken) {
            self.journaled.pop_front();
            records.push(journal::removal(&self.name, number));
        }
        let messages = std::mem::take(&mut self.messages);
        if messages.is_empty() {
            return None;
        }
        let Ok(permit) = self.turns.try_reserve() else {
            let count = messages.len() as u64;
            let name = self.name.as_str();
            tracing::error!(
                uplink = name,
                count,
                "the uplink's store is stuck: messages are passed over for it"
            );
            self.status.send_modify(|status| status.passed_over += count);
            // What is empty has no number to miss.
            for message in messages.iter().filter(|message| message.body != Body::Empty) {
                self.passed[message.lane as usize] += 1;
            }
            records.push(journal::passed(&self.name, self.passed));
            return None;
        };
        let must_stay = |message: &&Message| durable || message.lane != Lane::Telemetry;
        let kept: Vec<Message> = messages.iter().filter(must_stay).cloned().collect();
        let number = (!kept.is_empty()).then(|| {
            records.push(journal::record(&self.name, self.next, &kept));
            self.journaled.push_back(self.next);
            self.next += 1;
            self.next - 1
        });
        Some((permit, Handed { number, messages, durable, now, passed: self.passed }))
    }
}

/// The ticket `id` as it was at `rev`, if a step has stored it so.
fn ticket_in(records: &[Record], id: &TicketId, rev: u64) -> Option<Ticket> {
    let key = format!("ticket/{id}");
    let of_ticket = records.iter().filter(|record| record.key == key);
    let read = |record: &Record| serde_json::from_slice::<Ticket>(record.value.as_deref()?).ok();
    of_ticket.filter_map(read).find(|ticket| u64::from(ticket.rev) == rev)
}

/// The end of an uplink's way: brings what is handed over into its store.
pub struct Feeder {
    name: UplinkName,
    turns: mpsc::Receiver<Handed>,
    /// What a kill had left in the journal.
    left: Vec<Handed>,
    outbox: Outbox,
    taken: Arc<AtomicU64>,
    status: watch::Sender<Status>,
    /// Messages passed over that have their numbers, by lane.
    passed_told: [u64; 4],
}

impl Feeder {
    /// Works until the engine's task is gone and everything it handed over is stored.
    ///
    /// # Errors
    /// The uplink's outbox has stopped: the box must not go on without it.
    pub async fn run(mut self) -> Result<(), String> {
        for handed in std::mem::take(&mut self.left) {
            self.store(handed).await?;
        }
        while let Some(handed) = self.turns.recv().await {
            self.store(handed).await?;
        }
        Ok(())
    }

    /// Stores a turn, however long that takes; at a stop once: the journal has it.
    async fn store(&mut self, handed: Handed) -> Result<(), String> {
        let Handed { number, messages, durable, now, passed } = handed;
        let mut records: Vec<Record> = number.map(journal::taken).into_iter().collect();
        let passed_over =
            std::array::from_fn(|lane| passed[lane].saturating_sub(self.passed_told[lane]));
        if passed_over != [0; 4] {
            records.push(journal::passed_told(passed));
        }
        let mut turn = Turn { records, messages, durable, now, passed_over };
        loop {
            let Err(error) = self.outbox.commit(turn).await else {
                self.trouble(None);
                for (told, passed) in self.passed_told.iter_mut().zip(passed) {
                    *told = passed.max(*told);
                }
                if let Some(number) = number {
                    self.taken.store(number, Ordering::Release);
                }
                return Ok(());
            };
            let gone = || format!("the outbox of uplink {} has stopped", self.name);
            let held = error.turn.ok_or_else(gone)?;
            if matches!(error.why, CommitFault::Stopped) {
                return Err(gone());
            }
            self.trouble(Some(error.why.to_string()));
            if self.turns.is_closed() {
                return Ok(());
            }
            turn = held;
            tokio::time::sleep(RETRY).await;
        }
    }

    fn trouble(&self, why: Option<String>) {
        let before = self.status.borrow().store_trouble.clone();
        if before == why {
            return;
        }
        let name = self.name.as_str();
        match &why {
            Some(why) => {
                tracing::error!(uplink = name, error = %why, "the uplink's store takes nothing");
            }
            None => tracing::info!(uplink = name, "the uplink's store takes turns again"),
        }
        self.status.send_modify(|status| status.store_trouble = why);
    }
}

/// One uplink whose store is open.
#[derive(Debug)]
pub struct Opened<'c> {
    /// Its settings.
    pub settings: &'c Uplink,
    /// Its store.
    pub outbox: Outbox,
    /// What that store has of ours.
    pub records: Vec<Record>,
}

/// Connects the engine's task with the stores of the uplinks, and takes the journal out of the records of
/// the first store.
#[must_use]
pub fn connect(
    opened: &[Opened<'_>],
    records: &mut Vec<Record>,
) -> (Uplinks, Vec<(Feeder, watch::Receiver<Status>)>) {
    let (mut uplinks, mut feeders) = (Uplinks::default(), vec![]);
    let mut journal: Vec<(UplinkName, u64, Record)> = vec![];
    let ours = |record: &mut Record| journal::parse_key(&record.key).is_some();
    let mut passed: BTreeMap<UplinkName, [u64; 4]> = BTreeMap::new();
    records.retain(|record| match journal::parse_passed(record) {
        Some((name, counts)) => {
            passed.insert(name, counts);
            false
        }
        None => true,
    });
    for record in records.extract_if(.., ours) {
        let (name, number) = journal::parse_key(&record.key).expect("it was one just now");
        journal.push((name, number, record));
    }
    for Opened { settings, outbox, records } in opened {
        let taken = journal::taken_up_to(records);
        let of_this: Vec<_> = journal.extract_if(.., |(name, ..)| *name == settings.name).collect();
        let last = of_this.iter().map(|(_, number, _)| *number).max().unwrap_or(0);
        let (sender, receiver) = mpsc::channel(TURNS_MAX);
        let (status, shown) = watch::channel(Status::default());
        let shared = Arc::new(AtomicU64::new(taken));
        let passed_told = journal::passed_told_in(records);
        // The first store may be younger than this one.
        let before = passed.get(&settings.name).copied().unwrap_or_default();
        let passed = std::array::from_fn(|lane| before[lane].max(passed_told[lane]));
        uplinks.ways.push(Way {
            name: settings.name.clone(),
            filter: settings.filter.clone(),
            profile: settings.profile.clone(),
            turns: sender,
            status: status.clone(),
            messages: vec![],
            next: taken.max(last) + 1,
            journaled: of_this.iter().map(|(_, number, _)| *number).collect(),
            taken: Arc::clone(&shared),
            passed,
        });
        let left = of_this.into_iter().filter(|(_, number, _)| *number > taken);
        let feeder = Feeder {
            name: settings.name.clone(),
            turns: receiver,
            left: left.map(|(name, number, record)| left_over(&name, number, &record)).collect(),
            outbox: outbox.clone(),
            taken: shared,
            status,
            passed_told,
        };
        feeders.push((feeder, shown));
    }
    for (name, number, _) in journal {
        tracing::warn!(
            uplink = name.as_str(),
            number,
            "an uplink that is gone had this on its way"
        );
        uplinks.orphans.push(journal::removal(&name, number));
    }
    (uplinks, feeders)
}

fn left_over(name: &UplinkName, number: u64, record: &Record) -> Handed {
    let messages = record.value.as_deref().and_then(journal::messages);
    if messages.is_none() {
        tracing::error!(uplink = name.as_str(), number, "a turn in the journal cannot be read");
    }
    let messages = messages.unwrap_or_default();
    // What was passed over is told with the first turn of this boot, behind what was left.
    Handed { number: Some(number), messages, durable: true, now: None, passed: [0; 4] }
}

#[cfg(test)]
mod tests;
