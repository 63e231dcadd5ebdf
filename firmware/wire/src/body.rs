//! What a frame can say: one type per kind, up from the node and down from the agent.
//!
//! The order of fields and variants is the format and never changes; see the crate's documentation for
//! what may. The bytes of each kind are pinned in `tests/golden.rs`.

use postcard::experimental::max_size::MaxSize;
use serde::{Deserialize, Serialize};

use crate::settings::Settings;

/// From a node to the agent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Up {
    /// Who the node is: sent at every start and from time to time.
    Hello(Hello),
    /// What became of a command.
    Answer(Answer),
    /// What was measured. Sent again, with the same counter, until it is acknowledged.
    Report(Report),
}

/// From the agent to a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Down {
    /// A report is stored for good. Not answered.
    Ack(Ack),
    /// How the node shall work from now on. Answered.
    Settings(Settings),
    /// Learn the surroundings anew: the bay is empty now. Answered.
    Recalibrate,
    /// Show where you are (a light, a sound). Answered.
    Identify(Identify),
    /// A new battery is in: count from its beginning. Answered.
    NewBattery,
    /// What time it is. Not answered; may be sent to all nodes.
    Time(Time),
}

/// Who the node is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, MaxSize)]
pub struct Hello {
    /// The program it runs.
    pub firmware: Firmware,
    /// What it measures.
    pub kind: NodeKind,
    /// Starts of the node so far, this one included; from 1.
    pub boot: u32,
    /// [`Settings::revision`] that is in force.
    pub settings: u16,
}

/// A program version, `major.minor.patch`.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, MaxSize,
)]
pub struct Firmware {
    /// Major version.
    pub major: u8,
    /// Minor version.
    pub minor: u8,
    /// Patch level.
    pub patch: u8,
}

/// What a node measures. A kind that this program does not know stays readable.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(from = "u8", into = "u8")]
pub enum NodeKind {
    /// Occupancy of a parking bay (0).
    Bay,
    /// Level of a bin (1).
    Bin,
    /// Something newer than this program.
    Other(u8),
}

impl From<u8> for NodeKind {
    fn from(code: u8) -> NodeKind {
        match code {
            0 => NodeKind::Bay,
            1 => NodeKind::Bin,
            other => NodeKind::Other(other),
        }
    }
}

impl From<NodeKind> for u8 {
    fn from(kind: NodeKind) -> u8 {
        match kind {
            NodeKind::Bay => 0,
            NodeKind::Bin => 1,
            NodeKind::Other(code) => code,
        }
    }
}

impl MaxSize for NodeKind {
    const POSTCARD_MAX_SIZE: usize = u8::POSTCARD_MAX_SIZE;
}

/// What became of a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, MaxSize)]
pub struct Answer {
    /// The counter in the header of the command's frame.
    pub to: u32,
    /// The outcome.
    pub outcome: Outcome,
}

/// The outcome of a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(from = "u8", into = "u8")]
pub enum Outcome {
    /// Done (0).
    Done,
    /// A value is outside what the node accepts; nothing was changed (1).
    OutOfRange,
    /// This kind of node has nothing to do for it (2).
    NotForMe,
    /// Its number is not above the one of the latest command that was believed: said before, perhaps by
    /// somebody who listened. Nothing was changed (3). Only to sealed commands.
    Stale,
    /// Something newer than this program.
    Other(u8),
}

impl From<u8> for Outcome {
    fn from(code: u8) -> Outcome {
        match code {
            0 => Outcome::Done,
            1 => Outcome::OutOfRange,
            2 => Outcome::NotForMe,
            3 => Outcome::Stale,
            other => Outcome::Other(other),
        }
    }
}

impl From<Outcome> for u8 {
    fn from(outcome: Outcome) -> u8 {
        match outcome {
            Outcome::Done => 0,
            Outcome::OutOfRange => 1,
            Outcome::NotForMe => 2,
            Outcome::Stale => 3,
            Outcome::Other(code) => code,
        }
    }
}

impl MaxSize for Outcome {
    const POSTCARD_MAX_SIZE: usize = u8::POSTCARD_MAX_SIZE;
}

/// Something measured, and how long ago.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Report {
    /// Whole seconds from the measurement to the sending of this very frame; grows when it is sent again.
    /// [`Report::AGE_UNKNOWN`] when it cannot be told.
    pub age_s: u32,
    /// What was measured. Each has a kind of its own on the line.
    pub measured: Measured,
}

impl Report {
    /// The age of what was measured before the node last started, by a node that was not told the time:
    /// older than its uptime, and nobody knows by how much.
    pub const AGE_UNKNOWN: u32 = u32::MAX;
}

/// What a report can be about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Measured {
    /// Occupancy of a bay.
    Bay(Bay),
    /// Level and state of a bin.
    Bin(Bin),
    /// The node's battery.
    Battery(Battery),
    /// What is left of the node's battery.
    Charge(Charge),
}

/// Occupancy of a bay.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, MaxSize)]
pub struct Bay {
    /// What the bay is now.
    pub state: BayState,
    /// Whole seconds that the state before this one lasted. Only in the report of a change; `None` when
    /// the report repeats a state, or when the beginning of the previous state was not seen.
    pub previous_s: Option<u32>,
    /// At the sensor.
    pub temperature: Temperature,
}

/// Whether something stands on the bay.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, MaxSize)]
pub enum BayState {
    /// Nothing stands there.
    Free,
    /// A vehicle stands there.
    Occupied,
    /// The sensor cannot say: it does not answer or is out of its range.
    Fault,
}

/// Level and state of a bin, measured together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, MaxSize)]
pub struct Bin {
    /// From the sensor to the waste.
    pub distance: Distance,
    /// Whether the bin lies over; `None` without such a sensor.
    pub tilted: Option<bool>,
    /// Whether the lid is open; `None` without such a sensor.
    pub lid_open: Option<bool>,
    /// Whether it burns; `None` without a working thermometer.
    pub fire: Option<bool>,
    /// At the sensor.
    pub temperature: Temperature,
}

/// A distance, or the reason why there is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, MaxSize)]
pub enum Distance {
    /// Millimetres.
    Millimetres(u16),
    /// No echo: nothing within range, or something that swallows sound.
    NoTarget,
    /// Nearer than the sensor can measure.
    TooClose,
    /// The sensor does not answer.
    Fault,
}

/// A temperature, or the reason why there is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, MaxSize)]
pub enum Temperature {
    /// The node has no thermometer.
    NotFitted,
    /// The thermometer does not answer.
    Fault,
    /// Thousandths of a degree Celsius.
    MilliCelsius(i32),
}

/// The node's battery.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, MaxSize)]
pub struct Battery {
    /// Millivolts under load.
    pub millivolts: u16,
}

/// What is left of the node's battery by the node's own count of what it has done: an estimate, beside
/// which a voltage that was measured goes on being told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, MaxSize)]
pub struct Charge {
    /// Thousandths of what can be taken out of a new one, 0 to 1000.
    pub left_permille: u16,
}

/// A report is stored for good.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, MaxSize)]
pub struct Ack {
    /// The counter in the header of the report's frame.
    pub counter: u32,
}

/// Show where you are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, MaxSize)]
pub struct Identify {
    /// For how many seconds; 0 ends it.
    pub seconds: u16,
}

/// What time it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, MaxSize)]
pub struct Time {
    /// Whole seconds since 1970-01-01T00:00:00Z.
    pub unix_s: u64,
}
