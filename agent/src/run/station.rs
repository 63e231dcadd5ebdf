//! A box that runs: started whole, stopped in order.

mod links;
mod tasks;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use domain::Engine;
use domain::commands::upkeep::Order;
use domain::ids::SourceName;
use domain::input::Input;
use domain::output::Message;
use domain::time::Utc;
use tokio::sync::{broadcast, mpsc, oneshot, watch};
use tokio::task::{JoinError, JoinSet};
use tokio_util::sync::CancellationToken;

use self::tasks::Handed;
use super::info::{info, tell_update};
use super::{Launch, Report, RunError};
use crate::clock::{self, Clock};
use crate::config::Config;
use crate::control::audit::Audit;
use crate::control::{Desk, Guard};
use crate::engine::{self, Live};
use crate::health::notify;
use crate::http;
use crate::mqtt::LinkStatus;
use crate::mqtt::topics::Prefix;
use crate::outbox::{LaneStats, Outbox, OutboxError, Stats};
use crate::pulse::Pulses;
use crate::record::{self, Recorder};
use crate::sources::{self, ARRIVALS_MAX};
use crate::uplinks::Shown;

/// Between two looks at whether the backlog is gone.
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// Things to be done with the box that wait for it. Full: what follows is refused, and whoever asked is
/// told so.
const ORDERS_MAX: usize = 4;
/// Messages that somebody who watches may be behind.
const LIVE_MAX: usize = 256;

/// A box that runs.
pub struct Station {
    /// Its time.
    pub clock: Clock,
    /// Where its web server listens, if it has one.
    pub http: Option<SocketAddr>,
    /// Every source.
    pub sources: BTreeMap<SourceName, watch::Receiver<sources::Status>>,
    /// The engine.
    pub engine: watch::Receiver<engine::Status>,
    /// The link to the broker of `[mqtt]`.
    pub link: watch::Receiver<LinkStatus>,
    /// The other brokers.
    pub uplinks: Vec<Shown>,
    /// What people want done with the box itself, for whoever runs it: taken by him, or dropped, so that
    /// it is refused.
    pub orders: Option<mpsc::Receiver<Order>>,
    /// The way to the engine while it runs, without keeping it.
    arrivals: mpsc::WeakSender<sources::Arrival>,
    outbox: Outbox,
    /// Whether every task goes on.
    pulses: Pulses,
    /// What it says of itself.
    info: watch::Sender<Message>,
    /// What happens, for whoever watches. Full: who is slow misses the oldest, and is told how many.
    live: broadcast::Sender<Live>,
    /// The last heartbeat.
    beats: watch::Receiver<Option<Vec<u8>>>,
    tasks: JoinSet<Ended>,
    /// What brings turns into the stores of the other brokers; ends after the engine.
    feeders: JoinSet<Ended>,
    source_tasks: JoinSet<()>,
    /// Stops what brings inputs in.
    intake: CancellationToken,
    /// Stops the link, the web server and the heartbeat.
    rest: CancellationToken,
}

/// How a task ended: its name, and why if it was not told to.
type Ended = (&'static str, Result<(), String>);

/// The engine's task, which ends by itself once nothing can come in any more.
const ENGINE: &str = "the engine";

impl Station {
    /// Opens the buffer and starts everything.
    ///
    /// # Errors
    /// The buffer, the recording or the web server's address cannot be had.
    pub async fn start(config: Config, launch: Launch) -> Result<Station, RunError> {
        // What can fail for reasons of the configuration comes before the buffer.
        let listening = match &config.http {
            Some(http) => Some(http::listen(http.listen).await?),
            None => None,
        };
        let recorder = launch.record.clone().map(open_recorder).transpose()?;
        remember_times(&config.buffer.dir);
        let stores = links::open(&config).await?;
        let clock = launch.pace.clock(stores.boot);
        let (info, told) = watch::channel(info(&config, &launch, &clock));
        let on_trial = launch.standing.is_some_and(|standing| standing.on_trial);
        let mut first = launch.first;
        first.extend(stores.trouble.into_iter().map(Input::Trouble));
        let (arrivals, received) = mpsc::channel(ARRIVALS_MAX);
        let (order, orders) = mpsc::channel(ORDERS_MAX);
        let (payloads, _) = watch::channel(None);
        let mut station = Station {
            clock,
            http: listening.as_ref().map(|l| l.addr),
            sources: BTreeMap::new(),
            engine: watch::channel(engine::Status::default()).1,
            link: watch::channel(LinkStatus::default()).1,
            orders: Some(orders),
            arrivals: arrivals.downgrade(),
            uplinks: vec![],
            outbox: stores.outbox,
            pulses: Pulses::default(),
            info,
            live: broadcast::channel(LIVE_MAX).0,
            beats: payloads.subscribe(),
            tasks: JoinSet::new(),
            feeders: JoinSet::new(),
            source_tasks: JoinSet::new(),
            intake: CancellationToken::new(),
            rest: CancellationToken::new(),
        };
        station.spawn_feeders(&config, stores.feeders);
        let engine = Engine::new(config.site.clone(), stores.records, station.clock.now());
        let uplinks = stores.uplinks;
        let (requests, mut inboxes) = sources::inboxes(&config.sources);
        let inlets = sources::http_json::inlets(&config.sources, &mut inboxes);
        station.open_eyes(&config, &mut inboxes);
        let info = told;
        let handed =
            Handed { engine, uplinks, received, recorder, requests, first, order, info, on_trial };
        station.spawn_engine(&config, handed);
        station.spawn_sources(&config, &arrivals, inboxes);
        let guard =
            Guard { prefix: Prefix::new(&config.site.identity), actors: config.actors.clone() };
        let audit = Audit::new(&config.buffer.dir);
        let desk = Desk::new(arrivals.clone(), station.clock.clone(), guard, audit);
        station.spawn_local(&config, desk.clone())?;
        station.spawn_certificates(&config, arrivals.clone());
        let open311 =
            config.open311.clone().map(|o| station.spawn_public(&config, o, desk.clone()));
        station.spawn_doors(&config, &desk);
        station.spawn_refresh(&config, arrivals.clone());
        station.spawn_links(&config, &payloads);
        station.watch_links(&arrivals);
        drop((arrivals, desk));
        station.spawn_heartbeat(&config, payloads);
        if let Some(listening) = listening {
            station.spawn_http(&config, listening, inlets, open311);
        }
        notify(&[sd_notify::NotifyState::Ready]);
        Ok(station)
    }

    /// Waits until a task ends that should have gone on. May be dropped at any time.
    pub async fn broken(&mut self) -> RunError {
        tokio::select! {
            Some(ended) = self.tasks.join_next() => untold(ended),
            Some(ended) = self.feeders.join_next() => untold(ended),
            Some(ended) = self.source_tasks.join_next() => match ended {
                Ok(()) => RunError::Ended { task: "a source", why: "without being told to".into() },
                Err(error) => RunError::Panicked(error.to_string()),
            },
            else => RunError::Ended { task: "everything", why: "nothing was left to run".into() },
        }
    }

    /// Stops in order: what brings inputs in; the engine, once everything that came is stored; the link,
    /// once the backlog is sent or `drain` is over; the buffer.
    ///
    /// # Errors
    /// A task panicked on the way, or the buffer could not be closed well.
    pub async fn stop(mut self, drain: Duration) -> Result<Report, RunError> {
        notify(&[sd_notify::NotifyState::Stopping]);
        self.intake.cancel();
        while let Some(ended) = self.source_tasks.join_next().await {
            ended.map_err(|e| RunError::Panicked(e.to_string()))?;
        }
        while let Some(ended) = self.tasks.join_next().await {
            let (task, outcome) = ended.map_err(|e| RunError::Panicked(e.to_string()))?;
            outcome.map_err(|why| RunError::Ended { task, why })?;
            if task == ENGINE {
                break;
            }
        }
        all_ended(&mut self.feeders).await?;
        self.drain(drain).await?;
        self.rest.cancel();
        all_ended(&mut self.tasks).await?;
        let stats = self.outbox.stats().await?;
        let report = Report {
            sources: self
                .sources
                .iter()
                .map(|(n, s)| (n.clone(), s.borrow().tally.clone()))
                .collect(),
            rejected: self.engine.borrow().rejected.clone(),
            lanes: stats.lanes,
        };
        self.outbox.close().await?;
        for uplink in &self.uplinks {
            uplink.outbox.close().await?;
        }
        Ok(report)
    }

    /// Has `input` decided and stored. Without an engine nothing is done: the box is about to end.
    pub(super) async fn tell(&self, input: Input) {
        let Some(arrivals) = self.arrivals.upgrade() else { return };
        let (told, committed) = oneshot::channel();
        let arrival = sources::Arrival { input, committed: Some(told), answer: None };
        if arrivals.send(arrival).await.is_ok() {
            drop(arrivals);
            // An engine that could not store it is ending, and so is the box.
            let _ = committed.await;
        }
    }

    /// How far an update of the program has come; told with the next thing that is decided.
    pub(super) fn show_update(&self, update: serde_json::Value) {
        self.info.send_modify(|info| tell_update(info, update));
    }

    /// Bytes of messages that are stored and not delivered yet.
    pub(super) async fn stored_bytes(&self) -> Result<u64, OutboxError> {
        Ok(self.outbox.stats().await?.lanes.iter().map(|lane| lane.ledger.bytes).sum())
    }

    /// Every store, with the state of its link.
    fn ways_out(&self) -> impl Iterator<Item = (&Outbox, &watch::Receiver<LinkStatus>)> {
        let others = self.uplinks.iter().map(|uplink| (&uplink.outbox, &uplink.link));
        std::iter::once((&self.outbox, &self.link)).chain(others)
    }

    /// Stores what is in memory, for the power is failing: everywhere, whatever one store says.
    pub(super) async fn store_all(&self) {
        for (outbox, _) in self.ways_out() {
            match outbox.spill().await {
                Ok(()) => tracing::warn!("power is failing; everything is stored"),
                Err(error) => {
                    tracing::error!(error = %error, "power is failing; memory is not stored");
                }
            }
        }
    }

    /// Waits while the backlog is being sent: not without a link, and not for longer than `within`.
    async fn drain(&self, within: Duration) -> Result<(), OutboxError> {
        let sent = async {
            let mut look = tokio::time::interval(LOOK_EVERY);
            loop {
                look.tick().await;
                let mut left = 0;
                for (outbox, link) in self.ways_out() {
                    if link.borrow().connected {
                        left += waiting(&outbox.stats().await?);
                    }
                }
                if left == 0 {
                    return Ok(());
                }
            }
        };
        tokio::time::timeout(within, sent).await.unwrap_or(Ok(()))
    }
}

/// Messages and readings that are not delivered.
fn waiting(stats: &Stats) -> u64 {
    let of_lane = |l: &LaneStats| l.ledger.stored.saturating_sub(l.settled) + l.gathering;
    stats.lanes.iter().map(of_lane).sum()
}

/// What it means that a task has ended that was not told to.
fn untold(ended: Result<Ended, JoinError>) -> RunError {
    match ended {
        Ok((task, outcome)) => RunError::Ended {
            task,
            why: outcome.err().unwrap_or_else(|| "without being told to".to_owned()),
        },
        Err(error) => RunError::Panicked(error.to_string()),
    }
}

/// Waits until all of `tasks` have ended well.
async fn all_ended(tasks: &mut JoinSet<Ended>) -> Result<(), RunError> {
    while let Some(ended) = tasks.join_next().await {
        let (task, outcome) = ended.map_err(|e| RunError::Panicked(e.to_string()))?;
        outcome.map_err(|why| RunError::Ended { task, why })?;
    }
    Ok(())
}

/// A box without a clock of its own knows at least that it is later than when it last wrote.
fn remember_times(dir: &Path) {
    let entries = std::fs::read_dir(dir).into_iter().flatten().filter_map(Result::ok);
    for entry in entries {
        let written = entry.metadata().and_then(|found| found.modified());
        let since = written.ok().and_then(|at| at.duration_since(std::time::UNIX_EPOCH).ok());
        if let Some(ms) = since.and_then(|since| i64::try_from(since.as_millis()).ok()) {
            clock::remember(Utc::from_ms(ms));
        }
    }
}

fn open_recorder(path: PathBuf) -> Result<Recorder, RunError> {
    Recorder::append(&path, record::SIZE_MAX).map_err(|source| RunError::Record { path, source })
}
