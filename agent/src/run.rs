//! The wiring: every task, every channel, and the order in which they stop.
//!
//! ```text
//! sources ──(1024, waits)──► engine ──► outbox ──► pipe ──► broker
//!    ▲ stop first              │ ends when nobody sends any more       stop last ▲
//!    ▲──(64, refuses)── requests ◄── engine
//! control ◄──(16, waits)── commands ◄──────────────────────────────── broker
//! ```
//! A task that ends before it is told to, or panics, ends the box: a service manager starts it again, and
//! the outbox makes that cheap. There is no half a box.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use domain::Engine;
use domain::decode::{Reason, Tally};
use domain::ids::SourceName;
use domain::input::{Fault, Trouble};
use domain::output::{Body, Lane, Message, Quality, Request, Topic};
use domain::time::{Boot, ClockQuality, Utc};
use serde_json::{Map, Value, json};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing_subscriber::EnvFilter;

use crate::clock::Clock;
use crate::config::{self, Broker, Config, Scheme, SourceKind};
use crate::control::audit::Audit;
use crate::control::{self, Desk, local};
use crate::engine::{self, EngineTask};
use crate::evidence::Album;
use crate::health::{Health, is_time_restored, machine_clock, notify};
use crate::http;
use crate::mqtt::LinkStatus;
use crate::mqtt::inbound::{self, COMMANDS_MAX};
use crate::mqtt::pipe::Pipe;
use crate::mqtt::topics::Prefix;
use crate::outbox::{LaneStats, OpenError, Outbox, OutboxError, Quarantined};
use crate::record::{self, Recorder};
use crate::sources::http_json::Inlets;
use crate::sources::{self, ARRIVALS_MAX, Context, Inbox};

/// At a stop, the backlog is sent for at most this long while the broker takes it.
const DRAIN_WITHIN: Duration = Duration::from_secs(5);
/// Between two looks at whether the backlog is gone.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// Why a box cannot run, or ended.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The buffer.
    #[error("the buffer cannot be opened: {0}")]
    Outbox(#[from] OpenError),
    /// The recording.
    #[error("cannot record into {path}: {source}")]
    Record {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// The local web server.
    #[error(transparent)]
    Http(#[from] http::HttpError),
    /// The local socket.
    #[error("cannot listen on {path}: {source}")]
    Local {
        /// The socket.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// Signals cannot be received.
    #[error("signals cannot be received: {0}")]
    Signal(#[source] std::io::Error),
    /// A task ended that should have gone on.
    #[error("{task} ended: {why}")]
    Ended {
        /// Which.
        task: &'static str,
        /// What it said.
        why: String,
    },
    /// A task panicked.
    #[error("a task panicked: {0}")]
    Panicked(String),
    /// The buffer stopped answering.
    #[error("the buffer: {0}")]
    OutboxEnded(#[from] OutboxError),
}

/// What a box is started with besides its configuration.
#[derive(Debug, Clone)]
pub struct Launch {
    /// How its clock runs.
    pub pace: Pace,
    /// Where inputs are written down.
    pub record: Option<PathBuf>,
}

/// How a clock runs.
#[derive(Debug, Clone, Copy)]
pub enum Pace {
    /// As the machine's.
    System,
    /// From `start` on, `speed` times as fast.
    Scaled {
        /// The first moment.
        start: Utc,
        /// How many times as fast.
        speed: u32,
    },
}

impl Pace {
    fn clock(self, boot: Boot) -> Clock {
        match self {
            Pace::System => {
                let clock = Clock::system(boot);
                clock.set_quality(machine_clock());
                clock
            }
            Pace::Scaled { start, speed } => Clock::scaled(boot, start, speed),
        }
    }
}

/// What a box has done, told when it has stopped.
#[derive(Debug)]
pub struct Report {
    /// By source: what came in.
    pub sources: BTreeMap<SourceName, Tally>,
    /// What the engine refused, by source and reason.
    pub rejected: BTreeMap<String, BTreeMap<Reason, u64>>,
    /// By lane: what went out.
    pub lanes: Vec<LaneStats>,
}

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
    /// The link to the broker.
    pub link: watch::Receiver<LinkStatus>,
    outbox: Outbox,
    tasks: JoinSet<Ended>,
    source_tasks: JoinSet<()>,
    /// Stops what brings inputs in.
    intake: CancellationToken,
    /// Stops the link, the web server and the heartbeat.
    rest: CancellationToken,
}

/// How a task ended: its name, and why if it was not told to.
type Ended = (&'static str, Result<(), String>);

/// What a UPS sends when the power fails: signal(7), the same number on ARM and x86.
const SIGPWR: i32 = 30;
/// The engine's task, which ends by itself once nothing can come in any more.
const ENGINE: &str = "the engine";

impl Station {
    /// Opens the buffer and starts everything.
    ///
    /// # Errors
    /// The buffer, the recording or the web server's address cannot be had.
    pub async fn start(config: Config, launch: Launch) -> Result<Station, RunError> {
        let opened = open(&config).await?;
        let clock = launch.pace.clock(opened.boot);
        let mut trouble = vec![];
        if let Some(bad) = &opened.quarantined {
            tracing::error!(moved_to = %bad.moved_to.display(), error = bad.cause, "the buffer was damaged; started with an empty one");
            trouble.push(damaged(bad));
        }
        for name in &opened.damaged {
            tracing::error!(record = name, "a stored record cannot be read");
        }
        let recorder = launch.record.map(open_recorder).transpose()?;
        let listening = match &config.http {
            Some(http) => Some(http::listen(http.listen).await?),
            None => None,
        };
        let (arrivals, received) = mpsc::channel(ARRIVALS_MAX);
        let mut station = Station {
            clock,
            http: listening.as_ref().map(|l| l.addr),
            sources: BTreeMap::new(),
            engine: watch::channel(engine::Status::default()).1,
            link: watch::channel(LinkStatus::default()).1,
            outbox: opened.outbox,
            tasks: JoinSet::new(),
            source_tasks: JoinSet::new(),
            intake: CancellationToken::new(),
            rest: CancellationToken::new(),
        };
        let engine = Engine::new(config.site.clone(), opened.records, station.clock.now());
        let (requests, mut inboxes) = sources::inboxes(&config.sources);
        let inlets = sources::http_json::inlets(&config.sources, &mut inboxes);
        station.open_eyes(&config, &mut inboxes);
        station.spawn_engine(&config, engine, received, recorder, requests, trouble);
        station.spawn_sources(&config, &arrivals, inboxes);
        let desk =
            Desk::new(arrivals.clone(), station.clock.clone(), Audit::new(&config.buffer.dir));
        station.spawn_local(&config, desk.clone())?;
        station.spawn_commands(&config, arrivals, desk);
        station.spawn_link(&config);
        if let Some(listening) = listening {
            station.spawn_http(&config, listening, inlets);
        }
        notify(&[sd_notify::NotifyState::Ready]);
        Ok(station)
    }

    fn spawn_engine(
        &mut self,
        config: &Config,
        engine: Engine,
        arrivals: mpsc::Receiver<sources::Arrival>,
        recorder: Option<Recorder>,
        requests: BTreeMap<SourceName, mpsc::Sender<Request>>,
        trouble: Vec<Trouble>,
    ) {
        let (status, engine_status) = watch::channel(engine::Status::default());
        self.engine = engine_status;
        let task = EngineTask {
            engine,
            arrivals,
            outbox: self.outbox.clone(),
            clock: self.clock.clone(),
            recorder,
            status,
            trouble,
            info: info(config, &self.clock),
            requests,
            awaits_time: self.awaits_time(config),
        };
        self.tasks.spawn(async { (ENGINE, task.run().await.map_err(|e| e.to_string())) });
    }

    /// Whether a receiver of the box's own will tell the time, and until then nobody knows it.
    fn awaits_time(&self, config: &Config) -> bool {
        let unknown = self.clock.now().clock == ClockQuality::Unset || is_time_restored();
        self.clock.is_machines() && unknown && config.sources.iter().any(tells_time)
    }

    /// Starts the thread that looks at the pictures of all cameras.
    #[cfg(feature = "vision")]
    fn open_eyes(&self, config: &Config, inboxes: &mut BTreeMap<SourceName, Inbox>) {
        use crate::sources::camera::eyes::Eyes;
        let eyes = Eyes::open(&config.sources, &config.buffer.dir, self.clock.clone());
        for source in &config.sources {
            if matches!(source.kind, SourceKind::Camera(_)) {
                inboxes.entry(source.name.clone()).or_default().eyes.clone_from(&eyes);
            }
        }
    }

    /// Built without cameras.
    #[cfg(not(feature = "vision"))]
    fn open_eyes(&self, _: &Config, _: &mut BTreeMap<SourceName, Inbox>) {}

    fn spawn_sources(
        &mut self,
        config: &Config,
        arrivals: &mpsc::Sender<sources::Arrival>,
        mut inboxes: BTreeMap<SourceName, Inbox>,
    ) {
        for source in &config.sources {
            let (status, shown) = watch::channel(sources::Status::default());
            self.sources.insert(source.name.clone(), shown);
            let context = Context {
                name: source.name.clone(),
                clock: self.clock.clone(),
                engine: arrivals.clone(),
                status,
                stop: self.intake.clone(),
            };
            let inbox = inboxes.remove(&source.name).unwrap_or_default();
            let box_id = &config.site.identity.id;
            sources::spawn(source, context, box_id, inbox, &mut self.source_tasks);
        }
    }

    /// Commands come over a session of their own; when it ends, the last sender of arrivals is gone.
    fn spawn_commands(
        &mut self,
        config: &Config,
        arrivals: mpsc::Sender<sources::Arrival>,
        desk: Desk,
    ) {
        let (tell, commands) = mpsc::channel(COMMANDS_MAX);
        let mut settings = config.broker.clone();
        let box_id = config.site.identity.id.to_string();
        settings.username.get_or_insert_with(|| box_id.clone());
        let prefix = Prefix::new(&config.site.identity);
        let (status, _) = watch::channel(LinkStatus::default());
        let (clock, stop) = (self.clock.clone(), self.intake.clone());
        self.source_tasks.spawn(async move {
            let ended =
                inbound::commands(&settings, &box_id, &prefix, tell, status, &clock, stop).await;
            if let Err(error) = ended {
                tracing::error!(error = %error, "commands cannot be received");
            }
        });
        let every = control::refresh_every(config.site.identity.id.as_str());
        self.source_tasks.spawn(control::refresh(every, arrivals, self.intake.clone()));
        self.source_tasks.spawn(control::run(commands, desk));
    }

    /// People at the box are served until nothing more comes in.
    fn spawn_local(&mut self, config: &Config, desk: Desk) -> Result<(), RunError> {
        let dir = &config.buffer.dir;
        let listener = local::listen(dir)
            .map_err(|source| RunError::Local { path: local::path(dir), source })?;
        self.source_tasks.spawn(local::run(listener, desk, self.intake.clone()));
        Ok(())
    }

    fn spawn_link(&mut self, config: &Config) {
        let (status, link) = watch::channel(LinkStatus::default());
        self.link = link;
        let (payloads, health) = watch::channel(None);
        let pipe = Pipe {
            settings: config.broker.clone(),
            traffic: config.traffic,
            identity: config.site.identity.clone(),
            outbox: self.outbox.clone(),
            dir: config.buffer.dir.clone(),
            clock: self.clock.clone(),
            health,
            status,
            stop: self.rest.clone(),
        };
        self.tasks.spawn(async { ("the link", pipe.run().await.map_err(|e| e.to_string())) });
        let heartbeat = Health {
            clock: self.clock.clone(),
            outbox: self.outbox.clone(),
            dir: config.buffer.dir.clone(),
            engine: self.engine.clone(),
            link: self.link.clone(),
            sources: self.sources.clone(),
            payloads,
            stop: self.rest.clone(),
        };
        self.tasks.spawn(async {
            heartbeat.run().await;
            ("the heartbeat", Ok(()))
        });
    }

    fn spawn_http(&mut self, config: &Config, listening: http::Listening, inlets: Inlets) {
        let site = http::Site {
            files: http::files::Files::embedded(),
            broker: bridge(&config.broker),
            patience: http::bridge::Patience::default(),
            metrics: Some(http::metrics::Metrics {
                clock: self.clock.clone(),
                outbox: self.outbox.clone(),
                engine: self.engine.clone(),
                link: self.link.clone(),
                sources: self.sources.clone(),
            }),
            names: vec![],
            inlets,
            evidence: Some(Album::of(&config.buffer.dir)),
        };
        let stop = self.rest.clone();
        self.tasks.spawn(async move {
            ("the web server", listening.serve(site, stop).await.map_err(|e| e.to_string()))
        });
    }

    /// Waits until a task ends that should have gone on. May be dropped at any time.
    pub async fn broken(&mut self) -> RunError {
        tokio::select! {
            Some(ended) = self.tasks.join_next() => match ended {
                Ok((task, outcome)) => RunError::Ended {
                    task,
                    why: outcome.err().unwrap_or_else(|| "without being told to".to_owned()),
                },
                Err(error) => RunError::Panicked(error.to_string()),
            },
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
        self.drain(drain).await?;
        self.rest.cancel();
        while let Some(ended) = self.tasks.join_next().await {
            let (task, outcome) = ended.map_err(|e| RunError::Panicked(e.to_string()))?;
            outcome.map_err(|why| RunError::Ended { task, why })?;
        }
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
        Ok(report)
    }

    /// Stores what is in memory, for the power is failing.
    async fn store_all(&self) {
        match self.outbox.spill().await {
            Ok(()) => tracing::warn!("power is failing; everything is stored"),
            Err(error) => tracing::error!(error = %error, "power is failing; memory is not stored"),
        }
    }

    /// Waits while the backlog is being sent: not without a link, and not for longer than `within`.
    async fn drain(&self, within: Duration) -> Result<(), OutboxError> {
        let sent = async {
            let mut look = tokio::time::interval(LOOK_EVERY);
            loop {
                look.tick().await;
                let stats = self.outbox.stats().await?;
                let left: u64 = stats
                    .lanes
                    .iter()
                    .map(|l| l.ledger.stored.saturating_sub(l.settled) + l.gathering)
                    .sum();
                if left == 0 || !self.link.borrow().connected {
                    return Ok(());
                }
            }
        };
        tokio::time::timeout(within, sent).await.unwrap_or(Ok(()))
    }
}

/// Runs the box that `config` describes until SIGTERM or SIGINT.
///
/// # Errors
/// It cannot start, or a part of it ended: the process must end.
pub async fn serve(config: Config, record: Option<PathBuf>) -> Result<(), RunError> {
    let mut terminate = signal(SignalKind::terminate()).map_err(RunError::Signal)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(RunError::Signal)?;
    let mut power = signal(SignalKind::from_raw(SIGPWR)).map_err(RunError::Signal)?;
    let box_id = config.site.identity.id.to_string();
    let assets = config.site.assets.len();
    let mut station = Station::start(config, Launch { pace: Pace::System, record }).await?;
    tracing::info!(box_id, assets, boot = station.clock.boot().0, "steward runs");
    loop {
        tokio::select! {
            error = station.broken() => return Err(error),
            _ = terminate.recv() => {
                tracing::info!("asked to stop");
                break;
            }
            _ = interrupt.recv() => {
                tracing::info!("interrupted");
                break;
            }
            _ = power.recv() => station.store_all().await,
        }
    }
    station.stop(DRAIN_WITHIN).await?;
    tracing::info!("stopped; everything is stored");
    Ok(())
}

/// Sends log lines to stderr: `RUST_LOG`, or everything from `level` on.
pub fn log(level: &str) {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| {
        // The crates under us are quiet unless asked: what matters of them is told by our own rooms.
        EnvFilter::new(format!("warn,steward={level},mqtt5=error"))
    });
    // A second call (in tests) changes nothing.
    let _ =
        tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).try_init();
}

/// Opening may take a while on a slow card, and may have to be tried again: not on a task's thread.
async fn open(config: &Config) -> Result<crate::outbox::Opened, RunError> {
    let (buffer, identity) = (config.buffer.clone(), config.site.identity.clone());
    let opening = tokio::task::spawn_blocking(move || Outbox::open(&buffer, &identity));
    Ok(opening.await.map_err(|e| RunError::Panicked(e.to_string()))??)
}

/// What the ticket about a damaged buffer says.
fn damaged(bad: &Quarantined) -> Trouble {
    let (place, cause) = (bad.moved_to.display(), &bad.cause);
    let text = format!(
        "the buffer was damaged ({cause}) and moved to {place}; look at the card, and read what is left \
         of it: steward outbox salvage"
    );
    Trouble { fault: Fault::Store, text }
}

fn open_recorder(path: PathBuf) -> Result<Recorder, RunError> {
    Recorder::append(&path, record::SIZE_MAX).map_err(|source| RunError::Record { path, source })
}

/// `P/info`: who the box is and what it watches.
fn info(config: &Config, clock: &Clock) -> Message {
    let now = clock.now();
    let assets: Vec<String> = config.site.assets.keys().map(ToString::to_string).collect();
    let mut body = Map::new();
    body.insert("version".into(), json!(env!("CARGO_PKG_VERSION")));
    body.insert("hardware".into(), json!(hardware()));
    body.insert("config".into(), json!(config.hash));
    body.insert("timezone".into(), json!(config.timezone.iana_name()));
    body.insert("capabilities".into(), json!(["ticket", "tickets", "report", "ping", "refresh"]));
    body.insert("assets".into(), Value::from(assets));
    if let Some(speed) = clock.speed() {
        // Whoever shows ages must count them by the box's clock, not by their own.
        body.insert("simulated".into(), json!({"speed": speed}));
    }
    Message {
        lane: Lane::State,
        topic: Topic::Info,
        at: now.utc,
        clock: now.clock,
        quality: if now.clock > ClockQuality::Unset { Quality::Good } else { Quality::Uncertain },
        body: Body::Flat(body),
    }
}

/// Whether the source is a satellite receiver of the box's own.
fn tells_time(source: &config::Source) -> bool {
    matches!(source.kind, SourceKind::Gnss(_) | SourceKind::Gpsd(_))
}

/// The board's name as its firmware tells it; elsewhere the processor's kind.
fn hardware() -> String {
    let model = std::fs::read_to_string("/proc/device-tree/model").ok();
    let model = model.map(|text| text.trim_end_matches('\0').trim().to_owned());
    model.filter(|text| !text.is_empty()).unwrap_or_else(|| std::env::consts::ARCH.to_owned())
}

/// The way of the dashboard to the broker.
fn bridge(broker: &Broker) -> http::bridge::Connect {
    let url = &broker.url;
    if url.scheme == Scheme::Mqtt {
        return http::bridge::tcp(url.host.clone(), url.port);
    }
    tracing::warn!(
        "the dashboard's /mqtt reaches brokers over plain TCP only, not over this one's transport; open the dashboard with ?broker=… instead"
    );
    std::sync::Arc::new(|| {
        Box::pin(async {
            let why = "the broker is not reached over plain TCP";
            Err(std::io::Error::new(std::io::ErrorKind::Unsupported, why))
        })
    })
}
