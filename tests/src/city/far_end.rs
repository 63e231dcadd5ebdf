//! The far end: takes messages from the outbox, keeps what arrives, and acknowledges, or not.
//!
//! It stands for pipe and broker together, and does what both may do to an outbox: nothing, half of it, the
//! whole twice. What has arrived has arrived, whatever becomes of the box.

use std::collections::VecDeque;

use domain::output::Lane;
use steward::outbox::{DropReason, Entry, Key, Outbox, Outcome};

use super::weather::Link;

/// Messages that may be on their way.
pub(super) const WINDOW: usize = 64;
/// Windows in one turn of a link in good health.
const WINDOWS_MAX: usize = 200;
/// Messages in one turn of a slow one.
const SLOW: usize = 3;

/// A message that arrived.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Arrived {
    /// Its topic below the box's prefix.
    pub(super) path: String,
    /// Its lane.
    pub(super) lane: Lane,
    /// The number under which the box keeps it; none where nothing can carry one.
    pub(super) seq: Option<u64>,
    /// The bytes, without the mark of a repeat.
    pub(super) payload: Vec<u8>,
    /// Whether it is sent later than meant.
    pub(super) replay: bool,
    /// Whether the far end keeps it; otherwise the box was told that it is not wanted.
    pub(super) wanted: bool,
}

/// What is left when it is down: the connection.
#[derive(Debug, Default)]
pub(super) struct FarEnd {
    /// Connections in this boot.
    conn: u32,
    up: bool,
    /// What arrived and was not looked at.
    pub(super) arrived: VecDeque<Arrived>,
    /// Messages that came, repeats included; and those that the far end did not want.
    pub(super) count: u64,
    pub(super) refused: u64,
    /// Taken and never to be acknowledged in this connection.
    stuck: usize,
    dice: u64,
}

/// Whether the acknowledgements of this turn reach the box.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Settled {
    Yes,
    /// It is killed before.
    Never,
}

impl FarEnd {
    /// The box has started anew.
    pub(super) fn box_started(&mut self) {
        (self.conn, self.up, self.stuck) = (0, false, 0);
    }

    /// One turn with the link as it is.
    ///
    /// # Panics
    /// The outbox cannot be asked.
    pub(super) async fn turn(&mut self, outbox: &Outbox, link: Link, settled: Settled) {
        if link == Link::Lost {
            return self.disconnect(outbox).await;
        }
        if self.up && self.stuck > 0 && link != Link::HalfOpen {
            // The box has noticed at last: the session is lost, and all of it comes again.
            self.disconnect(outbox).await;
        }
        self.connect(outbox).await;
        match link {
            Link::Lost => unreachable!("handled above"),
            Link::Good | Link::Picky => {
                for _ in 0..WINDOWS_MAX {
                    let taken = take(outbox, WINDOW).await;
                    if taken.is_empty() {
                        break;
                    }
                    let picky = link == Link::Picky;
                    let outcomes = taken.into_iter().map(|entry| self.accept(entry, picky));
                    let outcomes = outcomes.collect();
                    if settled == Settled::Yes {
                        outbox.settle(outcomes).await.expect("the outbox is there");
                    }
                }
            }
            Link::Slow => {
                let taken = take(outbox, SLOW).await;
                let outcomes = taken.into_iter().map(|entry| self.accept(entry, false)).collect();
                outbox.settle(outcomes).await.expect("the outbox is there");
            }
            Link::HalfOpen => {
                let taken = take(outbox, WINDOW - self.stuck.min(WINDOW)).await;
                // A stream arrives to some point, and not beyond.
                let arrive = (WINDOW / 2).saturating_sub(self.stuck);
                self.stuck += taken.len();
                for entry in taken.into_iter().take(arrive) {
                    self.accept(entry, false);
                }
            }
            Link::Refusing => {
                let mut taken = take(outbox, 2).await.into_iter();
                if let Some(first) = taken.next() {
                    let outcome = self.accept(first, false);
                    outbox.settle(vec![outcome]).await.expect("the outbox is there");
                }
                self.disconnect(outbox).await;
            }
        }
    }

    async fn connect(&mut self, outbox: &Outbox) {
        if !self.up {
            self.conn += 1;
            self.up = true;
            outbox.link_up(self.conn).await.expect("the outbox is there");
        }
    }

    async fn disconnect(&mut self, outbox: &Outbox) {
        if self.up {
            (self.up, self.stuck) = (false, 0);
            outbox.release_all().await.expect("the outbox is there");
        }
    }

    /// A message has arrived; gives what the box is told of it.
    fn accept(&mut self, entry: Entry, picky: bool) -> (Key, Outcome) {
        let Key { lane, position } = entry.key;
        self.count += 1;
        let wanted = !(picky && lane == Lane::Telemetry && self.die(5));
        let seq = (position.sub == 0).then_some(position.seq);
        let Entry { key, path, payload, replay, .. } = entry;
        self.arrived.push_back(Arrived { path, lane, seq, payload, replay, wanted });
        if wanted {
            return (key, Outcome::Acknowledged);
        }
        self.refused += 1;
        (key, Outcome::Dropped(DropReason::Refused))
    }

    /// Once in `n`: not by chance of its own, so that a seed stays what it is.
    fn die(&mut self, n: u64) -> bool {
        self.dice += 1;
        self.dice.is_multiple_of(n)
    }
}

async fn take(outbox: &Outbox, max: usize) -> Vec<Entry> {
    outbox.take(max).await.expect("the outbox can be read")
}
