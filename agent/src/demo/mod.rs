//! The simulated street as byte streams into the real sources.

pub mod pty;
