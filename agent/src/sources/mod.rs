//! One file per way into the box. Each reads the world, feeds a decoder of the core, and hands the
//! samples to the engine; it acknowledges to its device only what the engine has committed.
//!
//! What a source must not do: decide what a sample means, keep samples (the engine's channel is the
//! only queue; when it is full the source stops reading), or give up. A device, file or broker that is
//! not there is waited for and shown as [`Status::trouble`].

mod gnss;
mod intake;
mod lorawan;
mod node_link;
pub mod replay;
mod serial;

use domain::decode::lorawan::chirpstack::ChirpStack;
use domain::decode::nmea::Nmea;
use domain::decode::node_link::NodeLink;
use domain::decode::{Decode, Tally};
use domain::ids::{BoxId, SourceName};
use domain::input::Input;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::{AbortHandle, JoinSet};
use tokio_util::sync::CancellationToken;
use tracing::Instrument;

use crate::clock::Clock;
use crate::config::{self, SourceKind};

/// Inputs on their way to the engine. Full: the source waits, so that a serial buffer, a file or a
/// broker holds what the box cannot take yet, and nothing is dropped.
pub const ARRIVALS_MAX: usize = 1024;

/// Something for the engine, with the wish to be told when it is safe.
#[derive(Debug)]
pub struct Arrival {
    /// What happened.
    pub input: Input,
    /// Told once what came of it is on disk; dropped without a word when it could not be stored.
    pub committed: Option<oneshot::Sender<()>>,
}

/// What every source is given.
#[derive(Debug, Clone)]
pub struct Context {
    /// The source's name.
    pub name: SourceName,
    /// The clock.
    pub clock: Clock,
    /// The way to the engine.
    pub engine: mpsc::Sender<Arrival>,
    /// Where the source shows how it is doing.
    pub status: watch::Sender<Status>,
    /// Cancelled when the box stops.
    pub stop: CancellationToken,
}

/// How a source is doing.
#[derive(Debug, Clone, Default)]
pub struct Status {
    /// Whether its device, file or broker is there.
    pub connected: bool,
    /// The last trouble, in words; `None` when there is none.
    pub trouble: Option<String>,
    /// Its counters, at most [`PUBLISH_EVERY`](intake::PUBLISH_EVERY) old.
    pub tally: Tally,
    /// Reports that did not get their acknowledgement: they could not be stored, or the line did not
    /// take it. The device sends them again.
    pub unacknowledged: u64,
}

/// Starts the source. Its task runs until the box stops; one that ends earlier, or panics, shows in
/// `tasks`, and the caller ends the process. The handle's id tells which source it was.
pub fn spawn(
    source: &config::Source,
    context: Context,
    box_id: &BoxId,
    tasks: &mut JoinSet<()>,
) -> AbortHandle {
    let span = tracing::info_span!("source", name = context.name.as_str());
    match source.kind.clone() {
        SourceKind::NodeLink(serial) => {
            tasks.spawn(node_link::run(serial, context).instrument(span))
        }
        SourceKind::Nmea(serial) => tasks.spawn(gnss::run(serial, context).instrument(span)),
        SourceKind::ChirpStack(settings) => {
            tasks.spawn(lorawan::run(settings, context, box_id.clone()).instrument(span))
        }
    }
}

/// The decoder of a source's kind, without assumptions about when its input was made: for replay.
fn decoder(source: &config::Source) -> Box<dyn Decode + Send> {
    let name = source.name.clone();
    match &source.kind {
        SourceKind::NodeLink(_) => Box::new(NodeLink::new(name)),
        SourceKind::Nmea(_) => Box::new(Nmea::new(name)),
        SourceKind::ChirpStack(settings) => {
            Box::new(ChirpStack::new(name, settings.devices.clone()))
        }
    }
}

/// The word of the configuration for a kind.
fn kind(kind: &SourceKind) -> &'static str {
    match kind {
        SourceKind::NodeLink(_) => "node-link",
        SourceKind::Nmea(_) => "nmea",
        SourceKind::ChirpStack(_) => "chirpstack",
    }
}
