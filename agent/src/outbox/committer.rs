//! The thread that owns the queue. It answers requests in order, stores turns that wait together as one
//! group, and deletes what is settled with the next commit or when `commit_every` has passed. Telemetry in
//! memory is stored when the link is gone, when it is older than [`AGE_MAX`], and before the end.

use std::future;
use std::io;
use std::pin::Pin;
use std::thread;
use std::time::Duration;

use domain::output::Lane;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::Sleep;

use super::entry::{Entry, Key, Lanes};
use super::inspect::Kept;
use super::ledger::Position;
use super::queue::{Outcome, Queue};
use super::store::StoreError;
use super::{AGE_MAX, BLOCK_AGE_MAX, CommitError, CommitFault, Stats, Turn};

/// Turns stored as one at most.
const GROUP_MAX: usize = 64;
/// Messages and records in a group at most (the turn that passes it is still in).
const GROUP_ITEMS_MAX: usize = 2048;

type Reply<T> = oneshot::Sender<T>;
type Timer = Option<Pin<Box<Sleep>>>;

/// What the thread is asked for.
#[derive(Debug)]
pub(super) enum Request {
    Commit { turn: Turn, reply: Reply<Result<(), CommitError>> },
    Take { max: usize, lanes: Lanes, reply: Reply<Result<Vec<Entry>, StoreError>> },
    Settle(Vec<(Key, Outcome)>),
    LinkUp { conn: u32, reply: Reply<Result<(), StoreError>> },
    LinkDown { reply: Reply<()> },
    Spill { reply: Reply<Result<(), StoreError>> },
    Stats { reply: Reply<Result<Stats, StoreError>> },
    Page { lane: Lane, from: Position, reply: Reply<Result<Vec<Kept>, StoreError>> },
    Close { reply: Reply<Result<(), StoreError>> },
}

/// Starts the thread.
pub(super) fn start(
    queue: Queue,
    requests: mpsc::Receiver<Request>,
    announce: watch::Sender<u64>,
    commit_every: Duration,
) -> io::Result<()> {
    // A runtime of its own, for the timer only: everything else on this thread blocks.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build()?;
    let committer = Committer {
        queue,
        requests,
        announce,
        commit_every,
        due: None,
        closing: None,
        ageing: None,
    };
    let work = move || runtime.block_on(committer.run());
    thread::Builder::new().name("outbox".to_owned()).spawn(work).map(drop)
}

struct Committer {
    queue: Queue,
    requests: mpsc::Receiver<Request>,
    announce: watch::Sender<u64>,
    commit_every: Duration,
    /// When what is settled must be deleted at the latest.
    due: Timer,
    /// When readings have waited long enough for others to share a message with.
    closing: Timer,
    /// Until when telemetry that is in memory now may stay there, and the last number of it.
    ageing: Option<(u64, Pin<Box<Sleep>>)>,
}

impl Committer {
    async fn run(mut self) {
        let mut next = None;
        loop {
            let request = match next.take() {
                Some(request) => Some(request),
                None => self.wait().await,
            };
            match request {
                Some(Request::Commit { turn, reply }) => next = self.group(turn, reply),
                Some(Request::Close { reply }) => {
                    let flushed = self.queue.spill_at_end();
                    // Closed before anybody is told so.
                    drop(self.queue);
                    return answer(reply, flushed);
                }
                Some(other) => {
                    if let Err(Damaged) = self.answer(other) {
                        return;
                    }
                }
                None => {
                    if let Err(error) = self.queue.spill_at_end() {
                        tracing::warn!(error = %error, "telemetry in memory is lost, and acknowledged messages will be sent again");
                    }
                    return;
                }
            }
            self.rearm();
        }
    }

    /// The next request; `None` when nobody can ask any more. Deletes what is settled when that is due.
    async fn wait(&mut self) -> Option<Request> {
        loop {
            let ageing = self.ageing.as_mut().map(|(_, sleep)| sleep);
            tokio::select! {
                request = self.requests.recv() => return request,
                () = elapsed(self.due.as_mut()) => {
                    self.due = None;
                    if let Err(error) = self.queue.flush() {
                        tracing::warn!(error = %error, "acknowledged messages stay for now");
                    }
                }
                () = elapsed(self.closing.as_mut()) => {
                    self.closing = None;
                    if let Err(error) = self.queue.close_blocks() {
                        tracing::warn!(error = %error, "readings wait for others for now");
                    }
                    self.announce();
                }
                () = elapsed(ageing) => {
                    let last = self.ageing.take().map_or(0, |(last, _)| last);
                    if let Err(error) = self.queue.spill_up_to(last) {
                        tracing::warn!(error = %error, "telemetry stays in memory for now");
                    }
                }
            }
            self.rearm();
        }
    }

    fn rearm(&mut self) {
        let gathering = self.queue.has_open();
        match (gathering && self.queue.conn != 0, &self.closing) {
            (true, None) => self.closing = Some(Box::pin(tokio::time::sleep(BLOCK_AGE_MAX))),
            (false, Some(_)) => self.closing = None,
            _ => {}
        }
        match (gathering || self.queue.held_from().is_some(), &self.ageing) {
            (true, None) => {
                let sleep = Box::pin(tokio::time::sleep(AGE_MAX));
                self.ageing = Some((self.queue.last_given(), sleep));
            }
            (false, Some(_)) => self.ageing = None,
            _ => {}
        }
        match (self.queue.is_settled(), &self.due) {
            (true, None) => self.due = Some(Box::pin(tokio::time::sleep(self.commit_every))),
            (false, Some(_)) => self.due = None,
            _ => {}
        }
    }

    /// Stores the turn together with those that wait behind it; gives back the first other request.
    fn group(&mut self, turn: Turn, reply: Reply<Result<(), CommitError>>) -> Option<Request> {
        let items = |turn: &Turn| turn.records.len() + turn.messages.len();
        let mut size = items(&turn);
        let (mut turns, mut replies) = (vec![turn], vec![reply]);
        let mut next = None;
        while turns.len() < GROUP_MAX && size < GROUP_ITEMS_MAX {
            match self.requests.try_recv() {
                Ok(Request::Commit { turn, reply }) => {
                    size += items(&turn);
                    turns.push(turn);
                    replies.push(reply);
                }
                // It loses nothing by being answered now, and the commit deletes what it settles.
                Ok(Request::Settle(settled)) => self.settle(settled),
                Ok(other) => {
                    next = Some(other);
                    break;
                }
                Err(_) => break,
            }
        }
        match self.queue.commit(&turns) {
            Ok(()) => {
                replies.into_iter().for_each(|reply| answer(reply, Ok(())));
                if turns.iter().any(|turn| !turn.messages.is_empty()) {
                    self.announce();
                }
            }
            Err(error) => {
                let why = CommitFault::Store(error.to_string());
                for (reply, turn) in replies.into_iter().zip(turns) {
                    answer(reply, Err(CommitError { why: why.clone(), turn: Some(turn) }));
                }
            }
        }
        next
    }

    fn settle(&mut self, settled: Vec<(Key, Outcome)>) {
        for (key, outcome) in settled {
            self.queue.settle(key, outcome);
        }
    }

    /// Answers a request. A store of which a part cannot be read would keep the lane it is in for ever:
    /// it is condemned, and the next start looks at all of it and moves it aside.
    fn answer(&mut self, request: Request) -> Result<(), Damaged> {
        match request {
            Request::Take { max, lanes, reply } => {
                // Whoever asked may have given up waiting: then nothing may be taken.
                if !reply.is_closed() {
                    let taken = self.queue.take_of(lanes, max);
                    let damaged = matches!(taken, Err(StoreError::Damaged { .. }));
                    answer(reply, taken);
                    if damaged {
                        tracing::error!("the store is damaged: the box has to start anew");
                        self.queue.store.condemn();
                        return Err(Damaged);
                    }
                }
            }
            Request::Settle(settled) => self.settle(settled),
            Request::LinkUp { conn, reply } => {
                answer(reply, self.queue.link_up(conn));
                self.announce();
            }
            Request::LinkDown { reply } => {
                self.queue.link_down();
                if let Err(error) = self.queue.spill() {
                    tracing::warn!(error = %error, "telemetry stays in memory for now");
                }
                answer(reply, ());
            }
            Request::Spill { reply } => answer(reply, self.queue.spill()),
            Request::Stats { reply } => answer(reply, self.queue.stats()),
            Request::Page { lane, from, reply } => answer(reply, self.queue.page(lane, from)),
            Request::Commit { .. } | Request::Close { .. } => {
                unreachable!("handled where the loop can follow")
            }
        }
        Ok(())
    }

    fn announce(&self) {
        self.announce.send_modify(|n| *n += 1);
    }
}

/// The store cannot go on.
struct Damaged;

async fn elapsed(timer: Option<&mut Pin<Box<Sleep>>>) {
    match timer {
        Some(timer) => timer.await,
        None => future::pending().await,
    }
}

fn answer<T>(reply: Reply<T>, value: T) {
    // Whoever asked may have gone meanwhile; what was done stays done.
    let _ = reply.send(value);
}
