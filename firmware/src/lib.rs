//! A battery node: what it measures, when, what it makes of it, and how it gets it across.
//!
//! ```text
//! board: pins, bus, clock, line, memory
//!   │ Event                                                              ▲ Action
//!   ▼                                                                    │
//! Node::step ──► thermometer ─┐                                          │
//!            ──► bay ─────────┼─► unsent (until acknowledged) ──► wire::Frame
//!            ──► bin ─────────┘         │ kept ──► memory                │
//!            ◄── commands ◄── wire::Heard        record (settings, counters) ──► memory
//! ```
//!
//! Responsible for every decision of a node. It touches no hardware, reads no clock and never waits:
//! the board hands in what happened and the time, and carries out what comes back. Everything has a
//! fixed size, everything is an integer, and no byte from outside can make it panic.

#![no_std]

#[cfg(test)]
extern crate std;

mod event;

mod node;
mod watch;

mod bay;
mod bin;
mod thermometer;

mod kept;
mod unsent;

mod command;
mod provision;
mod record;

mod instruments;
mod station;

mod bay_board;

mod energy;

pub use bay::Phase;
pub use bay_board::{BayBoard, Pins};
pub use energy::{Cell, Draw, Duty, Street, Supply};
pub use event::{ACTIONS_MAX, Action, Actions, Event, Reading, Sense};
pub use instruments::Instruments;
pub use kept::KEPT_LEN;
pub use node::{Counters, Identity, Kind, Node};
pub use provision::{PROVISION_LEN, Provision, ProvisionFault};
pub use record::{RECORD_LEN, Record, RecordFault};
pub use station::{Board, MEMORY_LEN, PROVISION_AT, SLOTS, Station};
