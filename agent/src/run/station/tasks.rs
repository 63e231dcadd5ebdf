//! The tasks of a box, each with what it is given.

use std::collections::BTreeMap;

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
use crate::health::{Health, is_time_restored};
use crate::http;
use crate::record::Recorder;
use crate::run::RunError;
use crate::sources::http_json::Inlets;
use crate::sources::{self, Context, Inbox};
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
    pub(super) info: Message,
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
            awaits_time: self.awaits_time(config),
        };
        self.tasks.spawn(async { (ENGINE, task.run().await.map_err(|e| e.to_string())) });
    }

    /// Whether a receiver of the box's own will tell the time, and until then nobody knows it.
    fn awaits_time(&self, config: &Config) -> bool {
        let unknown = self.clock.now().clock == ClockQuality::Unset || is_time_restored();
        self.clock.is_machines() && unknown && config.sources.iter().any(tells_time)
    }

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
            sources::spawn(source, context, box_id, inbox, &mut self.source_tasks);
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
        self.source_tasks.spawn(local::run(listener, desk, stores, self.intake.clone()));
        Ok(())
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
            payloads,
            stop: self.rest.clone(),
        };
        self.tasks.spawn(async {
            heartbeat.run().await;
            ("the heartbeat", Ok(()))
        });
    }

    pub(super) fn spawn_http(
        &mut self,
        broker: &Broker,
        listening: http::Listening,
        inlets: Inlets,
    ) {
        let site = http::Site {
            files: http::files::Files::embedded(),
            broker: bridge(broker),
            patience: http::bridge::Patience::default(),
            metrics: Some(http::metrics::Metrics {
                clock: self.clock.clone(),
                outbox: self.outbox.clone(),
                engine: self.engine.clone(),
                link: self.link.clone(),
                uplinks: self.uplinks.clone(),
                sources: self.sources.clone(),
            }),
            names: vec![],
            inlets,
        };
        let stop = self.rest.clone();
        self.tasks.spawn(async move {
            ("the web server", listening.serve(site, stop).await.map_err(|e| e.to_string()))
        });
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
