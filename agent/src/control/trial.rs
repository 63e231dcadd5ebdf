//! Whether a configuration on trial has succeeded: the broker must take the box's messages under it, and
//! where a person is to confirm it, that person's command must have reached the box, all in time.
//!
//! It knows no clock and no file: what happens is told to it.

use domain::commands::upkeep::ConfirmedBy;
use domain::ids::Requester;
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

/// Which command asked for something, and whose it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Asked {
    /// The command's id.
    pub id: String,
    /// Who asked.
    pub by: Requester,
}

/// A configuration on trial.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trial {
    /// Its version.
    pub version: u64,
    /// Who asked for it; `None`: SIGHUP.
    pub asked: Option<Asked>,
    /// By when it must have succeeded.
    pub until: Instant,
    /// What confirms it.
    pub by: ConfirmedBy,
    /// Whether the broker has taken a message under it.
    pub connected: bool,
}

impl Trial {
    /// The broker has taken a message. Answers whether that is all there was to wait for.
    pub fn connected(&mut self) -> bool {
        self.connected = true;
        self.by == ConfirmedBy::Connection
    }

    /// Somebody says that `version` is right; without one, that what is on trial is.
    ///
    /// # Errors
    /// Another one is on trial, or the broker has not taken a message under it yet.
    pub fn confirm(&self, version: Option<u64>) -> Result<(), String> {
        if let Some(version) = version.filter(|version| *version != self.version) {
            return Err(format!("version {} is on trial, not {version}", self.version));
        }
        if !self.connected {
            return Err(format!(
                "version {} is not connected to its broker yet; confirm it once it is",
                self.version
            ));
        }
        Ok(())
    }

    /// What it has not come to, for whoever asked for it.
    #[must_use]
    pub fn lacking(&self) -> &'static str {
        if self.connected {
            "nobody confirmed it in time"
        } else {
            "the broker took no message under it in time"
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trial_needs_the_broker_and_the_word_that_was_asked_for() {
        let until = crate::clock::instant();
        let mut trial =
            Trial { version: 4, asked: None, until, by: ConfirmedBy::Command, connected: false };
        assert!(trial.confirm(None).unwrap_err().contains("not connected"));
        assert!(trial.lacking().contains("the broker took no message"));
        assert!(!trial.connected());
        assert!(trial.confirm(Some(3)).unwrap_err().contains("version 4 is on trial"));
        assert_eq!((trial.confirm(Some(4)), trial.confirm(None)), (Ok(()), Ok(())));
        assert!(trial.lacking().contains("nobody confirmed"));
        trial.by = ConfirmedBy::Connection;
        assert!(trial.connected());
    }
}
