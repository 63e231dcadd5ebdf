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

pub mod engine;

pub mod outbox;
pub mod uplinks;

pub mod control;
pub mod mqtt;

pub mod http;

pub mod health;
pub mod logging;

pub mod run;

pub mod audit;
pub mod check;
pub mod demo;
pub mod record;
pub mod replay;
pub mod report;
pub mod stored;
pub mod ticket;
