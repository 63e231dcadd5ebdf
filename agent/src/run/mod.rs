//! The wiring: every task, every channel, and the order in which they stop.
//!
//! ```text
//! sources ──(1024, waits)──► engine ──► outbox ──► pipe ──► broker
//!    ▲ stop first              │ ends when nobody sends any more       stop last ▲
//!    ▲──(64, refuses)── requests ◄── engine
//! web server ──(16, waits)──► engine: what the public reports
//! control ◄──(16, waits)── commands ◄──────────────────────────────── broker
//! ```
//! Every further uplink has its own way: `engine ──(64, passes over)──► feeder ──► outbox ──► pipe`.
//!
//! A task that ends before it is told to, or panics, ends the box: a service manager starts it again, and
//! the outbox makes that cheap. There is no half a box.

mod info;
mod serve;
mod station;

use std::collections::BTreeMap;
use std::path::PathBuf;

use domain::decode::{Reason, Tally};
use domain::ids::SourceName;
use domain::input::Input;
use domain::time::{Boot, Utc};

pub use self::serve::{Start, serve};
pub use self::station::Station;
use crate::clock::Clock;
use crate::control::versions::Standing;
use crate::health::machine_clock;
use crate::http;
use crate::outbox::{LaneStats, OpenError, OutboxError};

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
    /// The configurations that were kept.
    #[error("the configurations in {path} cannot be kept: {source}")]
    Versions {
        /// Where they are.
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
    /// Which of its configurations it runs under; `None`: it keeps only one.
    pub standing: Option<Standing>,
    /// How far an update of the program has come; `None`: it takes none.
    pub update: Option<serde_json::Value>,
    /// What is decided first, after the start.
    pub first: Vec<Input>,
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
