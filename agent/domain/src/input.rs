//! What goes into [`crate::Engine::step`].

use serde::{Deserialize, Serialize};

use crate::commands::upkeep::Progress;
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
    /// Something is wrong with the box itself.
    Trouble(Trouble),
    /// How far the shell has come with something that is to be done with the box.
    Progress(Progress),
    /// Everything that brokers keep is to be published again: a broker may have lost it.
    Refresh,
    /// Time passed: a deadline of [`crate::Engine::next_deadline`] came.
    Tick,
}

/// Something is wrong with the box itself, and somebody has to look.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trouble {
    /// What.
    pub fault: Fault,
    /// In words, with what can be done.
    pub text: String,
}

/// What can be wrong with a box.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fault {
    /// Its store was damaged, and was moved aside.
    Store,
    /// A broker is there, and does not take what the box sends.
    Link,
    /// A new configuration did not work, and the one before it is back.
    Configuration,
    /// A certificate that the box needs is about to end.
    Certificate,
}

impl Fault {
    /// The word in evidence.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Fault::Store => "store_damaged",
            Fault::Link => "link_trouble",
            Fault::Configuration => "configuration_reverted",
            Fault::Certificate => "certificate_ends",
        }
    }
}
