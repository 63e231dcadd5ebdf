//! The decisions of Steward: pure, synchronous, deterministic.
//!
//! ```text
//! bytes ─► decode ─► Sample ─► Reading ─► parking │ waste │ sweeping ─► facts ─► rules
//!                                                                               │ findings
//! Outputs (records, messages) ◄──────────────────────────────── tickets ◄───────┘
//! ```
//!
//! [`Engine::step`] takes one [`input::Input`] and the time, and gives one [`output::Outputs`]. The crate
//! knows no clock, no I/O, no logging and no hash-ordered iteration: the same inputs give the same
//! outputs, byte for byte, on every machine. Modules stand in the order the data flows.

pub mod ids;
pub mod place;
pub mod time;
pub mod units;

pub mod calendar;

pub mod input;
pub mod sample;

pub mod decode;
pub mod site;

pub mod reading;

pub mod parking;
pub mod sweeping;
pub mod waste;

pub mod rules;
pub mod tickets;

pub mod assessment;
pub mod outward;
pub mod profile;

pub mod commands;
mod timers;

mod engine;
pub mod output;

pub use engine::Engine;
