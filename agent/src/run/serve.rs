//! The life of a box: started, stopped, and started anew under another configuration, which is on trial
//! until it has shown that it works.
//!
//! ```text
//! command, SIGHUP ─► (fetched) ─► checked ─► stop, start under it ─► connected ─► confirmed
//!                        └► refused ◄┘               └──────────────┴► in time? else stop, start as before: reverted
//! ```
//! The buffer is closed and opened between the two and otherwise left alone. An update of the program runs
//! beside all this: another program comes after this one, and root starts it.

mod updating;

mod signals;
mod told;

use std::path::PathBuf;
use std::time::Duration;

use domain::commands::upkeep::{Apply, ConfigText, ConfirmedBy, Order, Stage, Upkeep};
use domain::input::Input;
use serde_json::{Map, Value, json};
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;

use self::signals::Signals;
use self::told::{cut_short_in_words, fingerprints, map, progress, refuse, reverted};
use super::{Launch, Pace, RunError, Station};
use crate::clock::{Clock, instant};
use crate::config::Config;
use crate::control::fetch::{Fetched, Fetching, fetched};
use crate::control::trial::{Asked, Trial};
use crate::control::versions::{Begun, Origin, Versions, fits};
use crate::evidence::post::PAUSE;
use crate::logging::LogFilter;
use crate::mqtt::LinkStatus;
use crate::update::{News, Updates};

/// At a stop, the backlog is sent for at most this long while the broker takes it.
const DRAIN_WITHIN: Duration = Duration::from_secs(5);
/// A file that somebody changed on the box must be connected in this time.
const FILE_WITHIN: Duration = Duration::from_secs(120);

/// What a box is started with.
#[derive(Debug)]
pub struct Start {
    /// The file of its configuration.
    pub file: PathBuf,
    /// What that says.
    pub config: Config,
    /// Where inputs are written down.
    pub record: Option<PathBuf>,
    /// The log.
    pub log: LogFilter,
}

/// Runs the box until SIGTERM or SIGINT.
///
/// # Errors
/// It cannot start, or a part of it ended: the process must end.
pub async fn serve(start: Start) -> Result<(), RunError> {
    let mut signals = Signals::new().map_err(RunError::Signal)?;
    let path = start.config.buffer.dir.join("config");
    let now = Pace::System.clock(domain::time::Boot(0)).now().utc;
    let begun = Versions::open(&start.file, start.config, now)
        .map_err(|source| RunError::Versions { path, source })?;
    let Begun { versions, config, cut_short } = begun;
    let mut first: Vec<_> = cut_short.map(|cut| cut_short_in_words(&cut)).into_iter().collect();
    let (updates, told) = Updates::open(&config);
    first.extend(told.into_iter().map(updating::in_words));
    let mut life = Life {
        versions,
        config,
        trial: None,
        updates,
        fetching: None,
        record: start.record,
        log: start.log,
        log_until: None,
        picture_at: None,
        first,
        certificates: vec![],
    };
    while let Next::Anew = life.once(&mut signals).await? {}
    tracing::info!("stopped; everything is stored");
    Ok(())
}

/// What comes after a stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Next {
    /// The end.
    End,
    /// A start, with whatever the life has become.
    Anew,
}

/// What happened to a box that runs.
enum Event {
    Broken(RunError),
    Stop(&'static str),
    PowerFails,
    Reload,
    Asked(Order),
    Update(News),
    Fetched(Box<Fetched>),
    Connected,
    TooLate,
    LogIsOver,
}

struct Life {
    versions: Versions,
    /// Under what the box runs.
    config: Config,
    trial: Option<Trial>,
    updates: Updates,
    /// A configuration that is on its way here.
    fetching: Option<Fetching>,
    record: Option<PathBuf>,
    log: LogFilter,
    /// When the log is as usual again.
    log_until: Option<Instant>,
    /// When a picture was sent last.
    picture_at: Option<Instant>,
    /// What the engine is told first after the next start.
    first: Vec<Input>,
    /// The files of certificates as they were at the start.
    certificates: Vec<Option<String>>,
}

impl Life {
    /// From a start to a stop.
    async fn once(&mut self, signals: &mut Signals) -> Result<Next, RunError> {
        let launch = Launch {
            pace: Pace::System,
            record: self.record.clone(),
            standing: Some(self.versions.standing()),
            update: self.config.update.is_some().then(|| self.updates.show()),
            first: std::mem::take(&mut self.first),
        };
        let mut station = match Station::start(self.config.clone(), launch).await {
            Ok(station) => station,
            Err(error) if self.trial.is_some() => {
                self.revert(&format!("it cannot start: {error}"))?;
                return Ok(Next::Anew);
            }
            Err(error) => return Err(error),
        };
        self.certificates = fingerprints(&self.config);
        self.updates.configure(&self.config);
        let identity = &self.config.site.identity;
        let (box_id, assets) = (identity.id.to_string(), self.config.site.assets.len());
        let version = self.versions.standing().version;
        tracing::info!(box_id, assets, version, boot = station.clock.boot().0, "steward runs");
        self.tell_stage(&station, Stage::Applied, None).await;
        let mut orders = station.orders.take().expect("a station that has just started has them");
        let mut link = station.link.clone();
        loop {
            let event = self.event(&mut station, signals, &mut orders, &mut link).await;
            if let Some(next) = self.handle(event, &station).await? {
                station.stop(DRAIN_WITHIN).await?;
                return Ok(next);
            }
        }
    }

    async fn event(
        &mut self,
        station: &mut Station,
        signals: &mut Signals,
        orders: &mut mpsc::Receiver<Order>,
        link: &mut watch::Receiver<LinkStatus>,
    ) -> Event {
        let awaits_link =
            self.trial.as_ref().is_some_and(|trial| !trial.connected) || self.updates.awaits_link();
        let late = self.trial.as_ref().map(|trial| trial.until);
        tokio::select! {
            error = station.broken() => Event::Broken(error),
            event = signals.next() => event,
            Some(order) = orders.recv() => Event::Asked(order),
            news = self.updates.next() => Event::Update(news),
            fetched = fetched(&mut self.fetching) => Event::Fetched(Box::new(fetched)),
            Ok(_) = link.wait_for(|l| l.connected && l.acked > 0), if awaits_link => Event::Connected,
            () = until(late), if late.is_some() => Event::TooLate,
            () = until(self.log_until), if self.log_until.is_some() => Event::LogIsOver,
        }
    }

    /// Answers what comes after a stop, if the box is to stop.
    async fn handle(&mut self, event: Event, station: &Station) -> Result<Option<Next>, RunError> {
        match event {
            Event::Broken(error) => return Err(error),
            Event::Stop(why) => {
                tracing::info!("{why}");
                return Ok(Some(Next::End));
            }
            Event::PowerFails => station.store_all().await,
            Event::Reload => return self.reload(station).await,
            Event::Asked(order) => return self.carry_out(order, station).await,
            Event::Update(news) => self.updated(news, station).await,
            Event::Fetched(fetched) => return self.try_fetched(*fetched, station).await,
            Event::Connected => self.connected(station).await?,
            Event::TooLate => {
                let why = self.trial.as_ref().map_or("", Trial::lacking);
                self.revert(why)?;
                return Ok(Some(Next::Anew));
            }
            Event::LogIsOver => {
                self.log_until = None;
                self.set_log(None);
            }
        }
        Ok(None)
    }

    async fn connected(&mut self, station: &Station) -> Result<(), RunError> {
        let told = self.updates.connected();
        self.tell_updates(told, station).await;
        let Some(trial) = self.trial.as_mut().filter(|trial| !trial.connected) else {
            return Ok(());
        };
        let enough = trial.connected();
        self.tell_stage(station, Stage::Connected, None).await;
        if enough { self.confirm(station).await } else { Ok(()) }
    }

    async fn confirm(&mut self, station: &Station) -> Result<(), RunError> {
        self.versions.confirm().map_err(|source| self.unkept(source))?;
        self.tell_stage(station, Stage::Confirmed, None).await;
        self.trial = None;
        tracing::info!(version = self.versions.standing().version, "the configuration stays");
        Ok(())
    }

    /// Goes back to what was confirmed; whoever asked is told after the next start.
    fn revert(&mut self, why: &str) -> Result<(), RunError> {
        self.config = self.versions.revert().map_err(|source| self.unkept(source))?;
        let Some(trial) = self.trial.take() else { return Ok(()) };
        let version = trial.version;
        tracing::error!(version, why, "the configuration is taken back");
        self.first.push(reverted(version, trial.asked, why));
        Ok(())
    }

    /// SIGHUP: takes the file as it is now.
    async fn reload(&mut self, station: &Station) -> Result<Option<Next>, RunError> {
        let (unchanged, text) = match (
            self.versions.is_file_unchanged(),
            std::fs::read(self.versions.file()),
        ) {
            (Ok(unchanged), Ok(text)) => (unchanged, text),
            (Err(error), _) | (_, Err(error)) => {
                tracing::error!(error = %error, "the configuration cannot be read; nothing is changed");
                return Ok(None);
            }
        };
        if unchanged && self.trial.is_none() {
            return Ok(self.renew());
        }
        let apply = Apply {
            text: ConfigText::Inline(String::from_utf8_lossy(&text).into_owned()),
            within_s: u32::try_from(FILE_WITHIN.as_secs()).unwrap_or(u32::MAX),
            by: ConfirmedBy::Connection,
        };
        match self.apply(&apply, Origin::File, None, station).await? {
            Ok(_) => Ok(Some(Next::Anew)),
            Err(why) => {
                tracing::error!("the configuration is not right; nothing is changed\n{why}");
                Ok(None)
            }
        }
    }

    /// The configuration is as it was; new certificates are a reason for new connections all the same.
    fn renew(&mut self) -> Option<Next> {
        let now = fingerprints(&self.config);
        if now == self.certificates {
            tracing::info!("the configuration is as it was");
            return None;
        }
        tracing::info!("certificates are new: every connection is made anew");
        Some(Next::Anew)
    }

    async fn carry_out(
        &mut self,
        order: Order,
        station: &Station,
    ) -> Result<Option<Next>, RunError> {
        let Order { id, by, what } = order;
        let asked = Asked { id, by };
        let name = what.name();
        tracing::info!(name, by = %asked.by, "asked for");
        let outcome = match what {
            Upkeep::Apply(apply) => return self.take_up(asked, apply, station).await,
            Upkeep::Confirm { version } => match &self.trial {
                None => Err("no configuration is on trial".to_owned()),
                Some(trial) => match trial.confirm(version) {
                    Ok(()) => {
                        self.confirm(station).await?;
                        Ok(map(self.versions.tell()))
                    }
                    Err(why) => Err(why),
                },
            },
            Upkeep::Revert => return self.take_back(asked, station).await,
            Upkeep::Show => Ok(map(self.versions.tell())),
            Upkeep::Log { level, for_s } => {
                self.log_until = Some(instant() + Duration::from_secs(for_s.into()));
                self.set_log(Some(level.as_str()));
                Ok(Map::new())
            }
            Upkeep::Update(update) => return self.update(update, asked, station).await,
            Upkeep::ConfirmUpdate => self.updates.confirm().map(|()| self.tell_of_updates()),
            Upkeep::RevertUpdate => self.revert_update(station).await,
            Upkeep::ShowUpdate => Ok(self.tell_of_updates()),
            Upkeep::Evidence { sha256 } => self.send_picture(&sha256, station),
        };
        let told = match outcome {
            Ok(result) => progress(asked, Stage::Done, result, None),
            Err(why) => progress(asked, Stage::Refused, Map::new(), Some(why)),
        };
        station.tell(told).await;
        Ok(None)
    }

    /// A command brings a configuration, or says where it is.
    async fn take_up(
        &mut self,
        asked: Asked,
        apply: Apply,
        station: &Station,
    ) -> Result<Option<Next>, RunError> {
        let at = match &apply.text {
            ConfigText::Inline(_) => {
                return self.try_out(asked, &apply, station).await;
            }
            ConfigText::At { url, sha256 } => (url.clone(), sha256.clone()),
        };
        if self.fetching.is_some() || self.trial.is_some() {
            let why = "another configuration is being fetched or on trial; try again after it";
            refuse(asked, why.to_owned(), station).await;
            return Ok(None);
        }
        let ca_file = self.config.broker.ca_file.clone();
        self.fetching = Some(Fetching::begin(asked, apply, at, ca_file));
        Ok(None)
    }

    async fn try_fetched(
        &mut self,
        (asked, mut apply, text): Fetched,
        station: &Station,
    ) -> Result<Option<Next>, RunError> {
        match text {
            Ok(text) => {
                apply.text = ConfigText::Inline(text);
                self.try_out(asked, &apply, station).await
            }
            Err(why) => {
                refuse(asked, why, station).await;
                Ok(None)
            }
        }
    }

    /// Puts a configuration that is here on trial, and tells whoever asked for it what came of that.
    async fn try_out(
        &mut self,
        asked: Asked,
        apply: &Apply,
        station: &Station,
    ) -> Result<Option<Next>, RunError> {
        match self.apply(apply, Origin::Command, Some(asked.clone()), station).await? {
            Ok(version) => {
                let result = map(json!({"version": version}));
                station.tell(progress(asked, Stage::Checked, result, None)).await;
                Ok(Some(Next::Anew))
            }
            Err(why) => {
                refuse(asked, why, station).await;
                Ok(None)
            }
        }
    }

    /// Has the picture of a finding sent, unless that was done just now.
    fn send_picture(
        &mut self,
        sha256: &str,
        station: &Station,
    ) -> Result<Map<String, Value>, String> {
        let now = instant();
        if self.picture_at.is_some_and(|at| now < at + PAUSE) {
            let pause = PAUSE.as_secs();
            return Err(format!("one picture in {pause} s is sent; ask again later"));
        }
        let told = station.post.send(sha256)?;
        self.picture_at = Some(now);
        Ok(told)
    }

    /// Back to the version before: at once from a trial, else by a trial of that one.
    async fn take_back(
        &mut self,
        asked: Asked,
        station: &Station,
    ) -> Result<Option<Next>, RunError> {
        if self.trial.is_some() {
            self.revert("it was taken back by command")?;
            self.first.push(progress(asked, Stage::Done, map(self.versions.tell()), None));
            return Ok(Some(Next::Anew));
        }
        let before = self.versions.previous().map_err(|source| self.unkept(source))?;
        let why = match before.map(String::from_utf8) {
            Some(Ok(text)) => {
                let (text, by) = (ConfigText::Inline(text), ConfirmedBy::Connection);
                let within_s = domain::commands::upkeep::CONFIRM_S;
                let apply = Apply { text, within_s, by };
                match self.apply(&apply, Origin::Command, Some(asked.clone()), station).await? {
                    Ok(_) => return Ok(Some(Next::Anew)),
                    Err(why) => why,
                }
            }
            _ => "no configuration is kept from before this one".to_owned(),
        };
        refuse(asked, why, station).await;
        Ok(None)
    }

    /// Checks a new configuration and puts it on trial; otherwise says why not.
    async fn apply(
        &mut self,
        apply: &Apply,
        origin: Origin,
        asked: Option<Asked>,
        station: &Station,
    ) -> Result<Result<u64, String>, RunError> {
        if let Some(trial) = &self.trial {
            let why = format!("version {} is on trial; confirm or revert it first", trial.version);
            return Ok(Err(why));
        }
        let ConfigText::Inline(text) = &apply.text else {
            return Ok(Err("its text has not been fetched".to_owned()));
        };
        let stored = station.stored_bytes().await?;
        let begun =
            self.versions.begin(text.as_bytes(), origin, asked.clone(), now(&station.clock));
        let version = begun.map_err(|source| self.unkept(source))?;
        let right = self.versions.load(version).map_err(|faults| faults.to_string());
        let right = right.and_then(|next| fits(&self.config, &next, stored).map(|()| next));
        match right {
            Ok(next) => {
                let until = instant() + Duration::from_secs(apply.within_s.into());
                let (by, connected) = (apply.by, false);
                self.trial = Some(Trial { version, asked, until, by, connected });
                self.config = next;
                Ok(Ok(version))
            }
            Err(why) => {
                self.versions.revert().map_err(|source| self.unkept(source))?;
                Ok(Err(why))
            }
        }
    }

    /// Tells whoever asked for the trial how far it has come.
    async fn tell_stage(&self, station: &Station, stage: Stage, why: Option<String>) {
        let Some(trial) = &self.trial else { return };
        tracing::info!(version = trial.version, stage = stage.as_str(), "configuration");
        if let Some(asked) = &trial.asked {
            let result = map(json!({"version": trial.version}));
            station.tell(progress(asked.clone(), stage, result, why)).await;
        }
    }

    fn set_log(&self, level: Option<&str>) {
        let set = match level {
            Some(level) => self.log.from_level(level),
            None => self.log.as_usual(),
        };
        match set {
            Ok(()) => tracing::warn!(level = level.unwrap_or("as usual"), "the log is changed"),
            Err(error) => tracing::error!(error, "the log cannot be changed"),
        }
    }

    fn unkept(&self, source: std::io::Error) -> RunError {
        RunError::Versions { path: self.config.buffer.dir.join("config"), source }
    }
}

fn now(clock: &Clock) -> domain::time::Utc {
    clock.now().utc
}

async fn until(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at).await,
        None => std::future::pending().await,
    }
}
