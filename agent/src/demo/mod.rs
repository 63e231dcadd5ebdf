//! The simulated street as byte streams into the real sources.
//!
//! ```text
//! street ─► world (truth) ─► sensors (noise, wire formats) ─► feed ─► ptys, broker ─► the real sources
//!              │                                                                          ⋮
//!              └──► plan (the tickets that must come of it) ─► judge ◄── broker ◄── the real outbox
//! ```
//! Nothing in here knows how the box works inside: it goes in by wire formats and comes out by MQTT. One
//! thing is laid before it: what it would remember of the week before (`past`).

pub mod street;

pub mod chance;
pub mod world;

mod past;

pub mod sensors;

pub mod pty;

pub mod feed;

pub mod plan;

pub mod judge;

pub mod screen;
pub mod summary;

mod show;
pub use show::{DemoError, Options, show};
