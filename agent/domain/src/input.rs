//! What goes into [`crate::Engine::step`].

use serde::{Deserialize, Serialize};

use crate::commands::{BadCommand, Command};
use crate::sample::Sample;

/// One thing that happened.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Input {
    /// The box has started: everything that brokers keep is published afresh.
    Start,
    /// A device reported.
    Sample(Sample),
    /// Somebody wants something done.
    Command(Command),
    /// Somebody wants something that cannot be read: answered where it is known who asks.
    BadCommand(BadCommand),
    /// Everything that brokers keep is to be published again: a broker may have lost it.
    Refresh,
    /// Time passed: a deadline of [`crate::Engine::next_deadline`] came.
    Tick,
}
