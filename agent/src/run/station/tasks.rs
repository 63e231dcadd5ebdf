//! The tasks of a box, each with what it is given.

use std::collections::{BTreeMap, BTreeSet};

use domain::Engine;
use domain::commands::upkeep::Order;
use domain::ids::SourceName;
use domain::input::Input;
use domain::output::{Message, Request};
use domain::time::ClockQuality;
use tokio::sync::{mpsc, watch};

use super::{ENGINE, Station};
use crate::config::{self, Broker, Config, Scheme, SourceKind};
use crate::control::stores::Stores;
use crate::control::{self, Desk, local};
use crate::engine::{self, EngineTask};
use crate::evidence::Album;
use crate::health::{Health, is_time_restored};
use crate::http;
use crate::http::open311::{ASKED_MAX, Keeping, Open311};
use crate::record::Recorder;
use crate::run::RunError;
use crate::sources::http_json::Inlets;
use crate::sources::{self, Context, Inbox};
use crate::tls;
use crate::uplinks::Uplinks;

/// What the engine's task is given beside what the box has.
pub(super) struct Handed {
    pub(super) engine: Engine,
    pub(super) uplinks: Uplinks,
    pub(super) received: mpsc::Receiver<sources::Arrival>,
    pub(super) recorder: Option<Recorder>,
    pub(super) requests: BTreeMap<SourceName, mpsc::Sender<Request>>,
    pub(super) first: Vec<Input>,
    pub(super) order: mpsc::Sender<Order>,
    pub(super) info: watch::Receiver<Message>,
    pub(super) on_trial: bool,
}

impl Station {
    pub(super) fn spawn_engine(&mut self, config: &Config, handed: Handed) {
        let Handed { received, first, on_trial, .. } = handed;
        let Handed { engine, uplinks, recorder, requests, order, info, .. } = handed;
        let (status, engine_status) = watch::channel(engine::Status::default());
        self.engine = engine_status;
        let task = EngineTask {
            engine,
            arrivals: received,
            outbox: self.outbox.clone(),
            uplinks,
            clock: self.clock.clone(),
            recorder,
            status,
            first,
            on_trial,
            info,
            requests,
            order,
            orders: vec![],
            live: self.live.clone(),
            awaits_time: self.awaits_time(config),
        };
        let task = async { (ENGINE, task.run().await.map_err(|e| e.to_string())) };
        self.tasks.spawn(self.pulses.watch(ENGINE, task));
    }

    /// Whether a receiver of the box's own will tell the time, and until then nobody knows it.
    fn awaits_time(&self, config: &Config) -> bool {
        let unknown = self.clock.now().clock == ClockQuality::Unset || is_time_restored();
        self.clock.is_machines() && unknown && config.sources.iter().any(tells_time)
    }

    /// Starts the thread that looks at the pictures of all cameras.
    #[cfg(feature = "vision")]
    pub(super) fn open_eyes(&self, config: &Config, inboxes: &mut BTreeMap<SourceName, Inbox>) {
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
    pub(super) fn open_eyes(&self, _: &Config, _: &mut BTreeMap<SourceName, Inbox>) {}

    pub(super) fn spawn_sources(
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
            sources::spawn(source, context, box_id, inbox, &self.pulses, &mut self.source_tasks);
        }
    }

    /// Everything that brokers keep is published again now and then.
    pub(super) fn spawn_refresh(
        &mut self,
        config: &Config,
        arrivals: mpsc::Sender<sources::Arrival>,
    ) {
        let every = control::refresh_every(config.site.identity.id.as_str());
        self.source_tasks.spawn(control::refresh(every, arrivals, self.intake.clone()));
    }

    /// People at the box are served until nothing more comes in.
    pub(super) fn spawn_local(&mut self, config: &Config, desk: Desk) -> Result<(), RunError> {
        let dir = &config.buffer.dir;
        let listener = local::listen(dir)
            .map_err(|source| RunError::Local { path: local::path(dir), source })?;
        let others = self.uplinks.iter().map(|up| (up.name.to_string(), up.outbox.clone()));
        let stores = Stores::new(self.outbox.clone(), others.collect());
        let shown = local::Shown { beats: self.beats.clone(), live: self.live.clone(), stores };
        let serving = local::run(listener, desk, shown, self.intake.clone());
        self.source_tasks.spawn(self.pulses.watch("the local socket", serving));
        Ok(())
    }

    /// Has certificates that end soon told to the engine, those of every broker.
    pub(super) fn spawn_certificates(
        &mut self,
        config: &Config,
        arrivals: mpsc::Sender<sources::Arrival>,
    ) {
        let brokers = config.uplinks.iter().map(|uplink| &uplink.broker);
        let brokers = std::iter::once(&config.broker).chain(brokers);
        let files: BTreeSet<_> = brokers.flat_map(Broker::certificate_files).collect();
        if !files.is_empty() {
            let (clock, stop) = (self.clock.clone(), self.intake.clone());
            let files = files.into_iter().collect();
            self.source_tasks.spawn(tls::watch::run(files, clock, arrivals, stop));
        }
    }

    pub(super) fn spawn_heartbeat(
        &mut self,
        config: &Config,
        payloads: watch::Sender<Option<Vec<u8>>>,
    ) {
        let heartbeat = Health {
            clock: self.clock.clone(),
            outbox: self.outbox.clone(),
            dir: config.buffer.dir.clone(),
            engine: self.engine.clone(),
            link: self.link.clone(),
            uplinks: self.uplinks.clone(),
            sources: self.sources.clone(),
            pulses: self.pulses.clone(),
            payloads,
            stop: self.rest.clone(),
        };
        self.tasks.spawn(async {
            heartbeat.run().await;
            ("the heartbeat", Ok(()))
        });
    }

    /// The public is served until nothing more comes in; then the web server tells it to come again.
    pub(super) fn spawn_public(
        &mut self,
        config: &Config,
        settings: config::Open311,
        desk: Desk,
    ) -> Open311 {
        let keeping = Keeping::new(&config.buffer.dir, settings.photos_max, settings.keep);
        let (asks, asked) = mpsc::channel(ASKED_MAX);
        let stop = self.intake.clone();
        self.source_tasks.spawn(http::open311::run(asked, desk, keeping.clone(), stop));
        Open311::new(settings, config.site.clone(), self.clock.clone(), keeping, asks)
    }

    pub(super) fn spawn_http(
        &mut self,
        config: &Config,
        listening: http::Listening,
        inlets: Inlets,
        open311: Option<Open311>,
    ) {
        let tiles = config.http.as_ref().and_then(|http| http.tiles.as_ref());
        let site = http::Site {
            files: http::files::Files::embedded().with_tiles(tiles),
            tiles: tiles.and_then(|tiles| tiles.origin.clone()),
            broker: bridge(&config.broker),
            patience: http::bridge::Patience::default(),
            metrics: Some(http::metrics::Metrics {
                clock: self.clock.clone(),
                outbox: self.outbox.clone(),
                engine: self.engine.clone(),
                link: self.link.clone(),
                uplinks: self.uplinks.clone(),
                sources: self.sources.clone(),
                public: open311.as_ref().map(Open311::counts),
            }),
            names: vec![],
            inlets,
            open311,
            evidence: Some(Album::of(&config.buffer.dir)),
        };
        let stop = self.rest.clone();
        let serving = async move {
            ("the web server", listening.serve(site, stop).await.map_err(|e| e.to_string()))
        };
        self.tasks.spawn(self.pulses.watch("the web server", serving));
    }
}

/// Whether the source is a satellite receiver of the box's own.
fn tells_time(source: &config::Source) -> bool {
    matches!(source.kind, SourceKind::Gnss(_) | SourceKind::Gpsd(_))
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
