//! The only room that names sled: what must not be lost, until a PUBACK says it arrived.
//!
//! ```text
//! Turn ─► commit ─► draft ─► store (one batch, synced) ─► take ─► pipe ─► PUBACK ─► settle ─► deleted
//! ```
//!
//! * A **turn** is what one or several engine steps decided. Its records and messages are one batch; when
//!   [`Outbox::commit`] returns, they are on the device.
//! * Every message gets its **number** in its lane when it is committed, and its payload is made then and
//!   stored, so that whatever is sent again is the same bytes. Numbers have no gaps, over restarts too.
//! * Only an acknowledgement, or a loss that is counted with its reason, takes a message out.
//!
//! What goes which way is decided elsewhere: this room knows neither brokers nor assets.

mod block;
mod columns;
mod committer;
mod disk;
mod draft;
mod entry;
mod floor;
mod generations;
mod held;
pub mod inspect;
mod ledger;
mod look;
mod memory;
mod open;
mod pack;
mod queue;
mod reserve;
mod restore;
mod sled;
mod store;
mod value;
mod witness;

#[cfg(test)]
mod tests;

use std::path::PathBuf;
use std::thread;
use std::time::Duration;

use domain::output::{Lane, Message, Record};
use domain::site::Identity;
use domain::time::{Boot, Utc};
use tokio::sync::{mpsc, oneshot, watch};

pub use self::entry::{Entry, Key, Lanes};
pub use self::ledger::{DropReason, Gap, Ledger, Position};
pub use self::look::look;
pub use self::queue::Outcome;
pub use self::store::StoreError;

use self::committer::Request;
use self::inspect::Kept;
use self::restore::{Restored, Settings};
use crate::config::Buffer;
use crate::mqtt::topics::Prefix;

/// Requests waiting for the committer. Full: the caller waits, so that nothing is taken from a source
/// faster than it can be stored.
const REQUESTS_MAX: usize = 64;
/// Telemetry in memory longer than this is stored, within as long again. What is lost when the power
/// fails is younger than twice this.
pub const AGE_MAX: Duration = Duration::from_secs(5);
/// Readings wait so long for others to share a message with, while a link is up; while none is, until
/// they are stored.
pub const BLOCK_AGE_MAX: Duration = Duration::from_secs(1);
/// The thread on which stores are opened. A panic there is caught and means a damaged store, so a panic
/// hook that ends the process has to spare it.
pub const OPENING_THREAD: &str = "outbox-open";

/// What one or several engine steps decided, to be stored as one.
#[derive(Debug, Default)]
pub struct Turn {
    /// Engine state.
    pub records: Vec<Record>,
    /// Messages, in order.
    pub messages: Vec<Message>,
    /// Nothing of it may stay in memory: a source will be told that it is safe.
    pub durable: bool,
    /// Messages in front of these that are given up, by lane, highest first: each takes a number.
    pub passed_over: [u64; 4],
    /// The time, where it can be trusted: what has become too old by it makes room.
    pub now: Option<Utc>,
}

/// The outbox. Cheap to clone; when the last clone is gone the committer stores what it knows and ends.
#[derive(Debug, Clone)]
pub struct Outbox {
    requests: mpsc::Sender<Request>,
    ready: watch::Receiver<u64>,
}

/// An outbox just opened, and what it held.
#[derive(Debug)]
pub struct Opened {
    /// The outbox.
    pub outbox: Outbox,
    /// The engine's records, in the order of their keys.
    pub records: Vec<Record>,
    /// Which start of the box this is; counted on disk already.
    pub boot: Boot,
    /// Names of records that could not be read. They are still there, and gone once written anew.
    pub damaged: Vec<String>,
    /// The store that was found was beyond use: a reason for a ticket.
    pub quarantined: Option<Quarantined>,
}

/// A store that could not be opened and was moved aside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Quarantined {
    /// Where it is now.
    pub moved_to: PathBuf,
    /// What was wrong with it.
    pub cause: String,
}

/// Why there is no outbox.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The store cannot be used, and moving it aside would not help.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A newer steward wrote it. Nothing was touched.
    #[error(
        "the store {path} has layout {found}, this program knows {known}; \
         install the newer steward again, or set another buffer.dir"
    )]
    NewerSchema {
        /// Its directory.
        path: PathBuf,
        /// Its layout.
        found: u64,
        /// The newest known.
        known: u32,
    },
    /// There is no name left to move a damaged store to.
    #[error("{count} damaged stores stand beside {path}; look at them and remove them")]
    TooManyDamaged {
        /// The store's directory.
        path: PathBuf,
        /// How many.
        count: u32,
    },
    /// The machine has no thread left for the committer.
    #[error("the outbox's thread cannot be started: {0}")]
    Thread(#[source] std::io::Error),
}

/// A turn that was not stored.
#[derive(Debug, thiserror::Error)]
#[error("{why}")]
pub struct CommitError {
    /// Why.
    pub why: CommitFault,
    /// The turn, to be tried again; `None` when the outbox has gone with it.
    pub turn: Option<Turn>,
}

/// Why a turn was not stored.
#[derive(Debug, Clone, thiserror::Error)]
pub enum CommitFault {
    /// The store said so; the same for every turn of the group.
    #[error("{0}")]
    Store(String),
    /// The outbox has ended.
    #[error("the outbox has stopped")]
    Stopped,
}

/// Why a question to the outbox has no answer.
#[derive(Debug, thiserror::Error)]
pub enum OutboxError {
    /// The store said so.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The outbox has ended.
    #[error("the outbox has stopped")]
    Stopped,
}

/// The counts of the outbox.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stats {
    /// The boot.
    pub boot: Boot,
    /// Bytes of messages that may be stored.
    pub bytes_max: u64,
    /// Per lane, highest first.
    pub lanes: Vec<LaneStats>,
}

/// The counts of a lane.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LaneStats {
    /// The lane.
    pub lane: Lane,
    /// What became of its messages, as of the last commit.
    pub ledger: Ledger,
    /// Messages on their way.
    pub in_flight: u64,
    /// Messages in memory only: what a power failure would cost.
    pub in_memory: u64,
    /// Readings gathered for a message that has no number yet, in memory only.
    pub gathering: u64,
    /// Messages done with, that the next commit takes out of the ledger's `stored`.
    pub settled: u64,
    /// The time of the oldest message that is not done with.
    pub oldest_at: Option<Utc>,
}

impl Outbox {
    /// Opens the outbox of the box `identity` in `buffer.dir`, and counts the boot. Blocks.
    ///
    /// A damaged store is moved aside and reported in [`Opened::quarantined`].
    ///
    /// # Errors
    /// See [`OpenError`]: all of them need somebody to act.
    pub fn open(buffer: &Buffer, identity: &Identity) -> Result<Opened, OpenError> {
        Outbox::open_beside(buffer, identity, Boot(0))
    }

    /// As [`Outbox::open`], beside an outbox that has counted `boot`: the two count the same, or this one
    /// more.
    ///
    /// # Errors
    /// As [`Outbox::open`].
    pub fn open_beside(
        buffer: &Buffer,
        identity: &Identity,
        boot: Boot,
    ) -> Result<Opened, OpenError> {
        let settings = Settings { boot_min: boot, ..settings(buffer, identity) };
        let (restored, quarantined) =
            open::open_on_disk(&buffer.dir, &settings, &disk::Medium::default())?;
        Outbox::start(restored, quarantined, buffer)
    }

    /// An outbox in memory, as empty as a new one: for simulation, and for a box that may forget.
    ///
    /// # Errors
    /// The machine has no thread left.
    pub fn in_memory(buffer: &Buffer, identity: &Identity) -> Result<Opened, OpenError> {
        let store = Box::new(memory::MemoryStore::default());
        let restored = restore::restore(store, None, settings(buffer, identity));
        let restored = restored.expect("an empty store in memory is whole and of this layout");
        Outbox::start(restored, None, buffer)
    }

    fn start(
        restored: Restored,
        quarantined: Option<Quarantined>,
        buffer: &Buffer,
    ) -> Result<Opened, OpenError> {
        let Restored { queue, records, damaged } = restored;
        let boot = queue.boot;
        let (requests, receiver) = mpsc::channel(REQUESTS_MAX);
        let (announce, ready) = watch::channel(0);
        committer::start(queue, receiver, announce, buffer.commit_every)
            .map_err(OpenError::Thread)?;
        let outbox = Outbox { requests, ready };
        Ok(Opened { outbox, records, boot, damaged, quarantined })
    }

    /// Stores `turn`, durably but for telemetry, unless [`Turn::durable`]: that stays in memory until it is
    /// acknowledged, the link goes down, or [`AGE_MAX`] has passed. Readings of one topic join into one
    /// message. Turns that arrive together are stored together. A commit that is not waited for to its
    /// end may still happen.
    ///
    /// # Errors
    /// Nothing of the turn is stored; it comes back.
    pub async fn commit(&self, turn: Turn) -> Result<(), CommitError> {
        let (reply, answer) = oneshot::channel();
        if let Err(back) = self.requests.send(Request::Commit { turn, reply }).await {
            let Request::Commit { turn, .. } = back.0 else { unreachable!("it was sent above") };
            return Err(CommitError { why: CommitFault::Stopped, turn: Some(turn) });
        }
        answer.await.unwrap_or(Err(CommitError { why: CommitFault::Stopped, turn: None }))
    }

    /// Takes up to `max` messages that are not on their way already, the highest lane first; none while
    /// no link is up. The next message of a retained topic waits until the one before is settled.
    ///
    /// # Errors
    /// The store cannot be read, or the outbox has stopped.
    pub async fn take(&self, max: usize) -> Result<Vec<Entry>, OutboxError> {
        self.take_of(Lanes::ALL, max).await
    }

    /// As [`Outbox::take`], of some lanes only.
    ///
    /// # Errors
    /// As [`Outbox::take`].
    pub async fn take_of(&self, lanes: Lanes, max: usize) -> Result<Vec<Entry>, OutboxError> {
        Ok(self.ask(|reply| Request::Take { max, lanes, reply }).await??)
    }

    /// Settles messages that were taken. They are deleted with the next commit, or within
    /// `buffer.commit_every`.
    ///
    /// # Errors
    /// The outbox has stopped.
    pub async fn settle(&self, settled: Vec<(Key, Outcome)>) -> Result<(), OutboxError> {
        self.requests.send(Request::Settle(settled)).await.map_err(|_| OutboxError::Stopped)
    }

    /// Settles messages without waiting; gives them back when the committer is busy.
    ///
    /// # Errors
    /// The settled messages, to be tried again.
    pub fn try_settle(&self, settled: Vec<(Key, Outcome)>) -> Result<(), Vec<(Key, Outcome)>> {
        self.requests.try_send(Request::Settle(settled)).map_err(|back| match back.into_inner() {
            Request::Settle(settled) => settled,
            _ => unreachable!("it was sent above"),
        })
    }

    /// Connection `conn`, counted from 1 in this boot, was accepted. To be waited for before anything
    /// is sent over it.
    ///
    /// # Errors
    /// The store cannot be written: it would not be known after a restart that something was sent.
    pub async fn link_up(&self, conn: u32) -> Result<(), OutboxError> {
        Ok(self.ask(|reply| Request::LinkUp { conn, reply }).await??)
    }

    /// The connection died: everything taken and not settled can be taken again, in order.
    ///
    /// # Errors
    /// The outbox has stopped.
    pub async fn release_all(&self) -> Result<(), OutboxError> {
        self.ask(|reply| Request::LinkDown { reply }).await
    }

    /// Stores everything that is in memory: the power is failing.
    ///
    /// # Errors
    /// It stays in memory, or the outbox has stopped.
    pub async fn spill(&self) -> Result<(), OutboxError> {
        Ok(self.ask(|reply| Request::Spill { reply }).await??)
    }

    /// The counts.
    ///
    /// # Errors
    /// The store cannot be read, or the outbox has stopped.
    pub async fn stats(&self) -> Result<Stats, OutboxError> {
        Ok(self.ask(|reply| Request::Stats { reply }).await??)
    }

    /// Some of what is stored or in memory, from `from` on and in order; none: there is no more.
    ///
    /// # Errors
    /// The store cannot be read, or the outbox has stopped.
    pub async fn page(&self, lane: Lane, from: Position) -> Result<Vec<Kept>, OutboxError> {
        Ok(self.ask(|reply| Request::Page { lane, from, reply }).await??)
    }

    /// Changes whenever there may be something new to take.
    #[must_use]
    pub fn ready(&self) -> watch::Receiver<u64> {
        self.ready.clone()
    }

    /// Stores what is settled and ends the committer; the store is closed when this returns.
    ///
    /// # Errors
    /// The last deletions could not be stored: those messages will be sent again.
    pub async fn close(&self) -> Result<(), OutboxError> {
        Ok(self.ask(|reply| Request::Close { reply }).await??)
    }

    async fn ask<T>(
        &self,
        request: impl FnOnce(oneshot::Sender<T>) -> Request,
    ) -> Result<T, OutboxError> {
        let (reply, answer) = oneshot::channel();
        self.requests.send(request(reply)).await.map_err(|_| OutboxError::Stopped)?;
        answer.await.map_err(|_| OutboxError::Stopped)
    }
}

fn settings(buffer: &Buffer, identity: &Identity) -> Settings {
    Settings {
        box_id: identity.id.to_string(),
        prefix: Prefix::new(identity),
        bytes_max: buffer.max_size,
        free_min: buffer.free_min,
        max_age: buffer.max_age,
        columns: buffer.columns,
        boot_min: Boot(0),
    }
}

/// Runs `work` on [`OPENING_THREAD`]; a panic becomes an error with its words.
fn on_opening_thread<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, String> {
    let spawned = thread::Builder::new().name(OPENING_THREAD.to_owned()).spawn(work);
    let thread = spawned.map_err(|e| format!("no thread to open the store on: {e}"))?;
    thread.join().map_err(|panic| {
        let words = panic.downcast_ref::<String>().map(String::as_str);
        let words = words.or_else(|| panic.downcast_ref::<&str>().copied());
        format!("opening it panicked: {}", words.unwrap_or("without a word"))
    })
}
