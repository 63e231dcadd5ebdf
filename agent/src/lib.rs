//! Everything of Steward that touches the world.
//!
//! ```text
//! sources ─► engine (owns domain::Engine) ─► outbox (sled) ─► mqtt ─► broker
//!                ▲                                             │
//!                └──────────────── control ◄── commands ◄──────┘
//! ```
//! Modules stand in the order the data flows.

pub mod clock;
pub mod config;
pub mod sources;
pub mod tls;

pub mod engine;

pub mod evidence;
pub mod outbox;
pub mod uplinks;

pub mod control;
pub mod mqtt;
pub mod update;

pub mod http;

pub mod health;
pub mod logging;
pub mod pulse;
pub mod wear;

pub mod run;

pub mod audit;
pub mod bundle;
pub mod check;
pub mod demo;
pub mod doctor;
#[cfg(feature = "vision")]
pub mod look;
pub mod record;
pub mod replay;
pub mod report;
pub mod schema;
pub mod stored;
pub mod ticket;
pub mod watch;
