//! The wiring of the brokers: for each one a store, a connection that publishes and, where commands are
//! taken from it, one that listens; and what brings the decisions of the engine into every store.

mod trouble;

use std::path::PathBuf;

use domain::ids::UplinkName;
use domain::input::{Fault, Trouble};
use domain::output::Record;
use domain::time::Boot;
use tokio::sync::{mpsc, watch};

use super::Station;
use crate::config::{Broker, Config, Traffic, Uplink};
use crate::control::audit::Via;
use crate::control::{self, Desk, Door};
use crate::evidence::post::Part;
use crate::home_assistant::{self, Greeting};
use crate::mqtt::LinkStatus;
use crate::mqtt::inbound::{self, COMMANDS_MAX, Post};
use crate::mqtt::pipe::Pipe;
use crate::mqtt::topics::Prefix;
use crate::outbox::{Opened, Outbox, Quarantined};
use crate::run::RunError;
use crate::sources::Arrival;
use crate::uplinks::{self, Shown, Uplinks};

/// Every store, open.
pub(super) struct Stores {
    pub(super) outbox: Outbox,
    pub(super) boot: Boot,
    /// The engine's.
    pub(super) records: Vec<Record>,
    /// What was found wrong with them.
    pub(super) trouble: Vec<Trouble>,
    pub(super) uplinks: Uplinks,
    pub(super) feeders: Vec<Feeding>,
}

/// What brings turns into the store of an uplink, what it shows, and that store.
pub(super) type Feeding = (uplinks::Feeder, watch::Receiver<uplinks::Status>, Outbox);

/// Opens every store. May take a while on a slow card, and may have to be tried again: not on a task's
/// thread.
pub(super) async fn open(config: &Config) -> Result<Stores, RunError> {
    let config = config.clone();
    let opening = tokio::task::spawn_blocking(move || open_all(&config));
    opening.await.map_err(|e| RunError::Panicked(e.to_string()))?
}

fn open_all(config: &Config) -> Result<Stores, RunError> {
    let identity = &config.site.identity;
    let first = Outbox::open(&config.buffer, identity)?;
    let mut trouble = trouble_of(&first, None);
    let (mut records, boot) = (first.records, first.boot);
    let mut others = vec![];
    for settings in &config.uplinks {
        let opened = Outbox::open_beside(&settings.buffer, identity, boot)?;
        trouble.extend(trouble_of(&opened, Some(&settings.name)));
        let Opened { outbox, records, .. } = opened;
        others.push(uplinks::Opened { settings, outbox, records });
    }
    let (uplinks, feeders) = uplinks::connect(&others, &mut records);
    let feeders = feeders.into_iter().zip(others);
    let feeders = feeders.map(|((feeder, shown), other)| (feeder, shown, other.outbox)).collect();
    Ok(Stores { outbox: first.outbox, boot, records, trouble, uplinks, feeders })
}

/// Logs what was wrong with a store, and says what a ticket has to say of it.
fn trouble_of(opened: &Opened, uplink: Option<&UplinkName>) -> Vec<Trouble> {
    let uplink = uplink.map_or("", UplinkName::as_str);
    for name in &opened.damaged {
        tracing::error!(uplink, record = name, "a stored record cannot be read");
    }
    let Some(bad) = &opened.quarantined else { return vec![] };
    tracing::error!(uplink, moved_to = %bad.moved_to.display(), error = bad.cause, "the buffer was damaged; started with an empty one");
    vec![damaged(bad)]
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

/// One connection that publishes.
struct Publishing<'c> {
    settings: &'c Broker,
    traffic: Traffic,
    outbox: Outbox,
    dir: PathBuf,
    health: watch::Receiver<Option<Vec<u8>>>,
    greeting: Greeting,
    /// Pictures that somebody has asked for, where they go.
    pictures: Option<mpsc::Receiver<Part>>,
}

impl Station {
    /// Starts what brings turns into the stores of the uplinks beside the first.
    pub(super) fn spawn_feeders(&mut self, config: &Config, feeders: Vec<Feeding>) {
        for ((feeder, status, outbox), settings) in feeders.into_iter().zip(&config.uplinks) {
            let link = watch::channel(LinkStatus::default()).1;
            let (name, profile) = (settings.name.clone(), settings.profile.as_str());
            let (health, _) = watch::channel(None);
            self.uplinks.push(Shown { name, profile, outbox, link, status, health });
            let feeding = async { ("the way to an uplink", feeder.run().await) };
            self.feeders.spawn(self.pulses.watch("the way to an uplink", feeding));
        }
    }

    /// Starts the connections that publish. `health` is what the first sends as `P/health`; `pictures` go
    /// over it, too.
    pub(super) fn spawn_links(
        &mut self,
        config: &Config,
        health: &watch::Sender<Option<Vec<u8>>>,
        pictures: mpsc::Receiver<Part>,
    ) {
        let first = Publishing {
            settings: &config.broker,
            traffic: config.traffic,
            outbox: self.outbox.clone(),
            dir: config.buffer.dir.clone(),
            health: health.subscribe(),
            greeting: home_assistant::greeting(config),
            pictures: Some(pictures),
        };
        self.link = self.spawn_pipe(config, first);
        self.spawn_forgetting(config);
        for (at, uplink) in config.uplinks.iter().enumerate() {
            let publishing = Publishing {
                settings: &uplink.broker,
                traffic: uplink.traffic,
                outbox: self.uplinks[at].outbox.clone(),
                dir: uplink.buffer.dir.clone(),
                health: self.uplinks[at].health.subscribe(),
                greeting: None,
                pictures: None,
            };
            self.uplinks[at].link = self.spawn_pipe(config, publishing);
        }
    }

    /// A document that is not wanted any more is forgotten once the broker has taken it away.
    fn spawn_forgetting(&mut self, config: &Config) {
        let (config, link, rest) = (config.clone(), self.link.clone(), self.rest.clone());
        self.tasks.spawn(async move {
            tokio::select! {
                () = home_assistant::forget(&config, link) => rest.cancelled().await,
                () = rest.cancelled() => {}
            }
            ("Home Assistant", Ok(()))
        });
    }

    fn spawn_pipe(
        &mut self,
        config: &Config,
        publishing: Publishing<'_>,
    ) -> watch::Receiver<LinkStatus> {
        let Publishing { settings, traffic, outbox, dir, health, greeting, pictures } = publishing;
        let (status, link) = watch::channel(LinkStatus::default());
        let pipe = Pipe {
            settings: settings.clone(),
            traffic,
            identity: config.site.identity.clone(),
            outbox,
            dir,
            clock: self.clock.clone(),
            health,
            greeting,
            pictures,
            status,
            stop: self.rest.clone(),
        };
        let sending = async { ("the link", pipe.run().await.map_err(|e| e.to_string())) };
        self.tasks.spawn(self.pulses.watch("the link", sending));
        link
    }

    /// Has trouble of the links told to the engine.
    pub(super) fn watch_links(&mut self, arrivals: &mpsc::Sender<Arrival>) {
        let others =
            self.uplinks.iter().map(|uplink| (uplink.name.to_string(), uplink.link.clone()));
        let all: Vec<_> =
            std::iter::once(("mqtt".to_owned(), self.link.clone())).chain(others).collect();
        for (name, link) in all {
            let (arrivals, stop) = (arrivals.clone(), self.intake.clone());
            self.source_tasks.spawn(trouble::watch(name, link, arrivals, stop));
        }
    }

    /// Starts listening for commands on every broker from which they are taken.
    pub(super) fn spawn_doors(&mut self, config: &Config, desk: &Desk) {
        let door = Door { number: 0, via: Via::Mqtt(None) };
        self.spawn_commands(config, &config.broker, config.traffic, desk.clone(), door);
        for (at, uplink) in config.uplinks.iter().enumerate().filter(|(_, up)| up.commands) {
            let Uplink { broker, traffic, name, .. } = uplink;
            let door = Door { number: at + 1, via: Via::Mqtt(Some(name.clone())) };
            self.spawn_commands(config, broker, *traffic, desk.clone(), door);
        }
    }

    /// Commands come over a session of their own; when it ends, a sender of arrivals is gone.
    fn spawn_commands(
        &mut self,
        config: &Config,
        broker: &Broker,
        traffic: Traffic,
        desk: Desk,
        door: Door,
    ) {
        let (tell, commands) = mpsc::channel(COMMANDS_MAX);
        let mut settings = broker.clone();
        let box_id = config.site.identity.id.to_string();
        settings.username.get_or_insert_with(|| box_id.clone());
        let prefix = Prefix::new(&config.site.identity);
        let (status, _) = watch::channel(LinkStatus::default());
        let (clock, stop) = (self.clock.clone(), self.intake.clone());
        let receiving = async move {
            let protocol = traffic.protocol;
            let post = Post { settings: &settings, protocol, box_id: &box_id, prefix: &prefix };
            let ended = inbound::commands(&post, tell, status, &clock, stop).await;
            if let Err(error) = ended {
                tracing::error!(error = %error, "commands cannot be received");
            }
        };
        self.source_tasks.spawn(self.pulses.watch("commands", receiving));
        let serving = control::run(commands, desk, door);
        self.source_tasks.spawn(self.pulses.watch("the desk", serving));
    }
}
