//! One file per way into the box. Each reads the world, feeds a decoder of the core, and hands the
//! samples to the engine; it acknowledges to its device only what the engine has committed.

use domain::decode::Tally;
use domain::ids::SourceName;
use domain::input::Input;
use tokio::sync::{mpsc, oneshot, watch};
use tokio_util::sync::CancellationToken;

use crate::clock::Clock;

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
    /// Its counters.
    pub tally: Tally,
}
