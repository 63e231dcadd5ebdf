//! `steward demo`: starts the broker, the street and an ordinary box in front of it, shows what happens,
//! and says at the end whether everything came out as it must.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, IsTerminal, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use domain::decode::{Reason, Tally};
use domain::time::{Moment, Span, Utc};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::feed::{self, FeedError, Played, Ports};
use super::judge::{self, Judge, News, Step, Verdict};
use super::past;
use super::plan::{Plan, slack};
use super::pty::{Pty, PtyError};
use super::screen::{Opening, Screen, Status};
use super::sensors::lns::Uplink;
use super::street::{self, SWEEPERS};
use super::summary::{Figures, Sent};
use super::world::World;
use crate::config::{self, Config};
use crate::mqtt::broker::{Broker, BrokerError, Running, Storage};
use crate::mqtt::peer::{Message, Peer, PeerError};
use crate::outbox::{LaneStats, OpenError, Opened, Outbox, Turn};
use crate::run::{Launch, Pace, Report, RunError, Station};

/// What is to be shown.
#[derive(Debug, Clone)]
pub struct Options {
    /// Where the dashboard listens.
    pub http: SocketAddr,
    /// Where the broker listens.
    pub mqtt: SocketAddr,
    /// How many times real time the street runs.
    pub speed: u32,
    /// Which street.
    pub seed: u64,
    /// Ends by itself after this (real) time.
    pub length: Option<Duration>,
    /// Where the configuration and the buffer are kept; `None`: in a directory that is removed.
    pub dir: Option<PathBuf>,
    /// The summary as JSON.
    pub json: bool,
}

/// Why there is no demo.
#[derive(Debug, thiserror::Error)]
pub enum DemoError {
    /// The directory.
    #[error("cannot use {path}: {source}")]
    Dir {
        /// Which.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// No pseudo-terminal for a simulated serial line.
    #[error(transparent)]
    Pty(#[from] PtyError),
    /// The embedded broker.
    #[error(transparent)]
    Broker(#[from] BrokerError),
    /// The street's configuration is refused by the ordinary loader.
    #[error("the demo's own configuration is wrong:\n{0}")]
    Config(config::Faults),
    /// The buffer, before the box has it.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// What the box remembers of the week before cannot be stored.
    #[error("cannot store the week before: {0}")]
    Past(String),
    /// The box.
    #[error(transparent)]
    Run(#[from] RunError),
    /// The judge or the network server lost the broker.
    #[error(transparent)]
    Peer(#[from] PeerError),
    /// The street.
    #[error(transparent)]
    Feed(#[from] FeedError),
    /// A part of the demo ended early.
    #[error("{0} ended early")]
    Ended(&'static str),
    /// The terminal.
    #[error("cannot print: {0}")]
    Print(#[from] io::Error),
}

/// The street begins at this local time of a working day, whenever the demo is run, so that the same seed
/// is the same street: 08:00 in Changzhou.
const START: &str = "2026-06-04T00:00:00Z";
/// A status line this often.
const STATUS_EVERY: Duration = Duration::from_secs(10);
/// What is still on its way when the street ends may take this long.
const DRAIN_WITHIN: Duration = Duration::from_secs(20);
/// And the box's goodbye this long on top.
const GOODBYE_WITHIN: Duration = Duration::from_secs(5);
/// What the network server published may take this long into the box.
const ARRIVE_WITHIN: Duration = Duration::from_secs(5);
/// Messages on their way to the judge. Full: the judge's client waits, and the broker queues.
const DELIVERIES_MAX: usize = 1024;
/// Ticket news on their way to the screen. Full: the judge waits.
const NEWS_MAX: usize = 256;

/// Shows the demo until its time is over or it is interrupted; answers whether the verdict is good.
///
/// # Errors
/// Something that the demo needs cannot be had, or a part of it broke.
pub async fn show(options: Options) -> Result<bool, DemoError> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let colour = io::stdout().is_terminal() && !options.json;
    let (mut stage, mut news) = Stage::set(&options).await?;
    let out: Box<dyn Write> =
        if options.json { Box::new(io::stderr()) } else { Box::new(io::stdout()) };
    let (config, timezone) = (&stage.config, stage.config.timezone.clone());
    let mut screen = Screen::new(out, colour, timezone, &config.site);
    screen.opening(&stage.opening(&options))?;
    let mut open = 0;
    let over = async {
        match options.length {
            Some(length) => tokio::time::sleep(length).await,
            None => std::future::pending().await,
        }
    };
    tokio::pin!(over);
    let mut look = tokio::time::interval(STATUS_EVERY);
    look.tick().await;
    loop {
        tokio::select! {
            biased;
            () = &mut over => break,
            _ = interrupt.recv() => break,
            _ = terminate.recv() => break,
            error = stage.broken() => return Err(error),
            Some(told) = news.recv() => {
                open += change(told.step);
                screen.ticket(&told)?;
            }
            _ = look.tick() => screen.status(&stage.status(open))?,
        }
    }
    let figures = stage.strike(&options, &mut news, &mut screen).await?;
    if options.json {
        figures.print_json(&mut io::stdout())?;
    } else {
        let (out, colour) = screen.end();
        figures.print(out, colour)?;
        out.flush()?;
    }
    Ok(figures.good())
}

/// Everything that runs during a demo.
struct Stage {
    config: Config,
    config_path: PathBuf,
    mqtt: SocketAddr,
    world: World,
    origin: Moment,
    station: Station,
    street: JoinHandle<Result<(Played, Vec<Pty>), FeedError>>,
    publisher: JoinHandle<Result<u64, PeerError>>,
    judge: JoinHandle<Judge>,
    listener: JoinHandle<Result<(), PeerError>>,
    stop_street: CancellationToken,
    stop_judge: CancellationToken,
    broker: Running,
    /// Removed at the end, unless it was asked for by name.
    _dir: Dir,
}

impl Stage {
    /// Starts, in this order: the broker, the judge, the box, the street. So nothing is missed.
    async fn set(options: &Options) -> Result<(Stage, mpsc::Receiver<News>), DemoError> {
        let dir = Dir::of(options.dir.as_deref())?;
        let broker = Broker { storage: Storage::Memory }.start(options.mqtt).await?;
        let (line, receivers) = (Pty::open()?, SWEEPERS.iter().map(|_| Pty::open()));
        let receivers = receivers.collect::<Result<Vec<Pty>, PtyError>>()?;
        let written = write_config(options, broker.addr, &dir.path, &line, &receivers)?;
        let config = config::load(&written).map_err(DemoError::Config)?.config;
        let judge = Judge::new(&config.site);
        let (filter, stop_judge) = (judge.filter(), CancellationToken::new());
        let (deliver, deliveries) = mpsc::channel(DELIVERIES_MAX);
        let (tell, news) = mpsc::channel(NEWS_MAX);
        let (ready, subscribed) = oneshot::channel();
        let listener = tokio::spawn({
            let (peer, stop) = (Peer::new(broker.addr, "demo-judge"), stop_judge.clone());
            async move { peer.listen(&filter, deliver, ready, stop).await }
        });
        subscribed.await.map_err(|_| DemoError::Ended("the judge"))?;
        let judge = tokio::spawn(judge::run(judge, deliveries, tell, stop_judge.clone()));
        let start = Utc::parse(START).expect("a constant");
        let launch = Launch {
            pace: Pace::Scaled { start, speed: options.speed },
            record: None,
            standing: None,
            update: None,
            first: vec![],
        };
        remember(&config, options.seed, start).await?;
        let mut station = Station::start(config.clone(), launch).await?;
        // The demo keeps its configuration: who wants another one is told so.
        station.orders = None;
        let (clock, origin) = (station.clock.clone(), station.clock.now());
        let (publish, uplinks) = mpsc::channel(feed::UPLINKS_MAX);
        let publisher = publisher(Peer::new(broker.addr, "demo-network-server"), uplinks);
        let ports = Ports { line, receivers, uplinks: publish };
        let (world, stop_street) = (World::new(options.seed), CancellationToken::new());
        let street = feed::run(world, ports, clock, origin, options.speed, stop_street.clone());
        let stage = Stage {
            config,
            config_path: written,
            mqtt: broker.addr,
            world,
            origin,
            station,
            street: tokio::spawn(street),
            publisher,
            judge,
            listener,
            stop_street,
            stop_judge,
            broker,
            _dir: dir,
        };
        Ok((stage, news))
    }

    fn opening(&self, options: &Options) -> Opening<'_> {
        Opening {
            http: self.station.http.unwrap_or(options.http),
            mqtt: self.mqtt,
            config: &self.config_path,
            seed: options.seed,
            speed: options.speed,
        }
    }

    fn status(&self, open: i64) -> Status {
        let now = self.station.clock.now();
        let tallies: Vec<Tally> =
            self.station.sources.values().map(|s| s.borrow().tally.clone()).collect();
        Status {
            now: now.utc,
            simulated: now.since(self.origin),
            samples: tallies.iter().map(|t| t.samples).sum(),
            refused: tallies.iter().map(Tally::rejected_total).sum(),
            received: self.station.link.borrow().acked,
            open: usize::try_from(open).unwrap_or(0),
        }
    }

    /// Waits until something ends that should have gone on. May be dropped at any time.
    async fn broken(&mut self) -> DemoError {
        tokio::select! {
            error = self.station.broken() => DemoError::Run(error),
            error = self.broker.ended() => DemoError::Broker(error),
            ended = &mut self.street => match ended {
                Ok(Err(error)) => DemoError::Feed(error),
                _ => DemoError::Ended("the street"),
            },
            ended = &mut self.listener => match ended {
                Ok(Err(error)) => DemoError::Peer(error),
                _ => DemoError::Ended("the judge"),
            },
        }
    }

    /// Ends everything in order: the street, the box once it has sent what came, the judge, the broker.
    async fn strike(
        mut self,
        options: &Options,
        news: &mut mpsc::Receiver<News>,
        screen: &mut Screen<impl Write>,
    ) -> Result<Figures, DemoError> {
        self.stop_street.cancel();
        let street = self.street.await.map_err(|_| DemoError::Ended("the street"))?;
        // The lines stay until the box has left them.
        let (played, _lines) = street?;
        self.publisher.await.map_err(|_| DemoError::Ended("the network server"))??;
        arrived(&self.station, &played).await;
        let until = self.station.clock.now().since(self.origin);
        let stopped = self.station.stop(DRAIN_WITHIN);
        tokio::pin!(stopped);
        let mut report = None;
        let mut judged = None;
        let mut patience = Box::pin(tokio::time::sleep(DRAIN_WITHIN + GOODBYE_WITHIN));
        // The judge goes on hearing while the box sends its last, and its news are shown.
        while report.is_none() || judged.is_none() {
            tokio::select! {
                done = &mut stopped, if report.is_none() => report = Some(done?),
                done = &mut self.judge, if judged.is_none() => {
                    judged = Some(done.map_err(|_| DemoError::Ended("the judge"))?);
                }
                Some(told) = news.recv() => screen.ticket(&told)?,
                () = &mut patience => self.stop_judge.cancel(),
            }
        }
        self.stop_judge.cancel();
        self.listener.await.map_err(|_| DemoError::Ended("the judge"))??;
        while let Ok(told) = news.try_recv() {
            screen.ticket(&told)?;
        }
        let (Some(report), Some(judge)) = (report, judged) else {
            return Err(DemoError::Ended("the judge"));
        };
        let plan = Plan::new(&self.world, &self.config.site, until, slack(options.speed));
        let figures = figures(options, until, played, report, judge.verdict(&plan));
        self.broker.stop().await?;
        Ok(figures)
    }
}

/// Lays into a new buffer what the box would remember of the week before.
async fn remember(config: &Config, seed: u64, start: Utc) -> Result<(), DemoError> {
    let (buffer, site) = (config.buffer.clone(), config.site.clone());
    let made = tokio::task::spawn_blocking(move || {
        let Opened { outbox, records, boot, .. } = Outbox::open(&buffer, &site.identity)?;
        // A buffer that was kept from another demo has a past of its own.
        let is_new = records.is_empty();
        let past = is_new.then(|| past::records(&site, &World::new(seed), boot, start));
        Ok::<_, OpenError>((outbox, past.unwrap_or_default()))
    });
    let (outbox, records) = made.await.map_err(|_| DemoError::Ended("the week before"))??;
    let turn = Turn { records, durable: true, ..Turn::default() };
    outbox.commit(turn).await.map_err(|e| DemoError::Past(e.to_string()))?;
    outbox.close().await.map_err(|e| DemoError::Past(e.to_string()))
}

/// By how much a step changes the number of open tickets.
const fn change(step: Step) -> i64 {
    match step {
        Step::Raised | Step::Reopened => 1,
        Step::Cleared | Step::Expired | Step::Ended => -1,
        Step::Handled => 0,
    }
}

/// Waits a little until the box has what the network server published: it lies with the broker.
async fn arrived(station: &Station, played: &Played) {
    let Some(lns) = station.sources.iter().find(|(n, _)| n.as_str() == street::LNS_SOURCE) else {
        return;
    };
    let published = played.lns.reports + played.lns.repeated;
    let mut status = lns.1.clone();
    let all = status.wait_for(|s| s.tally.frames + s.tally.rejected_total() >= published);
    // What has not come by then is still with the broker, and counts as not taken in.
    let _late = tokio::time::timeout(ARRIVE_WITHIN, all).await;
}

fn figures(
    options: &Options,
    simulated: Span,
    played: Played,
    report: Report,
    verdict: Verdict,
) -> Figures {
    let mut refused: BTreeMap<Reason, u64> = BTreeMap::new();
    for (reason, count) in report.rejected.values().flatten() {
        *refused.entry(*reason).or_default() += count;
    }
    let sent = |lane: &LaneStats| {
        let acknowledged = lane.ledger.acknowledged + lane.settled;
        (lane.lane, Sent { published: acknowledged + lane.in_flight, acknowledged })
    };
    Figures {
        seed: options.seed,
        speed: options.speed,
        simulated,
        sources: report.sources.into_iter().map(|(name, t)| (name.to_string(), t)).collect(),
        refused,
        sent: report.lanes.iter().map(sent).collect(),
        played,
        verdict,
    }
}

/// Publishes what the street's network server says.
fn publisher(
    peer: Peer,
    mut uplinks: mpsc::Receiver<Uplink>,
) -> JoinHandle<Result<u64, PeerError>> {
    let (say, from) = mpsc::channel(feed::UPLINKS_MAX);
    tokio::spawn(async move {
        while let Some(Uplink { topic, payload }) = uplinks.recv().await {
            if say.send(Message { topic, payload: payload.into_bytes() }).await.is_err() {
                return;
            }
        }
    });
    tokio::spawn(peer.publish(from))
}

fn write_config(
    options: &Options,
    mqtt: SocketAddr,
    dir: &Path,
    line: &Pty,
    receivers: &[Pty],
) -> Result<PathBuf, DemoError> {
    let text = street::config_toml(&street::Options {
        http: options.http,
        mqtt,
        dir: dir.join("buffer"),
        line: line.slave().to_owned(),
        receivers: receivers.iter().map(|pty| pty.slave().to_owned()).collect(),
    });
    let path = dir.join("demo.toml");
    fs::write(&path, text).map_err(|source| DemoError::Dir { path: path.clone(), source })?;
    Ok(path)
}

/// The demo's directory.
struct Dir {
    path: PathBuf,
    keep: bool,
}

impl Dir {
    /// The directory asked for, which is made if it must be; or a new one of our own.
    fn of(asked: Option<&Path>) -> Result<Dir, DemoError> {
        let (path, keep) = match asked {
            Some(path) => (path.to_owned(), true),
            None => {
                let name = format!("steward-demo-{}", std::process::id());
                (std::env::temp_dir().join(name), false)
            }
        };
        let failed = |source| DemoError::Dir { path: path.clone(), source };
        fs::create_dir_all(&path).map_err(failed)?;
        Ok(Dir { path, keep })
    }
}

impl Drop for Dir {
    fn drop(&mut self) {
        if !self.keep
            && let Err(error) = fs::remove_dir_all(&self.path)
        {
            tracing::warn!(path = %self.path.display(), error = %error, "cannot remove the demo's directory");
        }
    }
}
