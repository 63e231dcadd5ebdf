//! A new version on trial, on the side of root: what of it is written down, so that a power failure at any
//! moment leaves somebody who knows how to go on, and how long it is waited for.

use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{Folder, Request, Verdict, WORD, Word};
use crate::clock::instant;

/// Between two looks at what the new version says.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// A trial that a power failure has interrupted begins anew this often in all; then the old version is back.
pub(super) const STARTS_MAX: u32 = 3;

/// What is written down of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Trial {
    pub(super) request: Request,
    /// The version before.
    pub(super) from: String,
    /// The new one.
    pub(super) to: String,
    /// Where the service says whether it works.
    pub(super) stage: PathBuf,
    pub(super) step: Step,
    /// How often it has begun.
    pub(super) starts: u32,
    /// Why it is taken back.
    pub(super) why: Option<String>,
}

/// What root is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Step {
    Installing,
    Watching,
    Reverting,
}

impl Trial {
    /// Waits for the word of the new version; otherwise says why the old one must come back. `given_up`
    /// answers whether the service manager starts it no more.
    pub(super) async fn wait(&self, given_up: impl Fn() -> bool) -> Result<(), String> {
        let within = Duration::from_secs(self.request.within_s.into());
        let until = instant() + within;
        loop {
            match self.word() {
                Some(Verdict::Confirmed) => return Ok(()),
                Some(Verdict::Revert) => return Err("it was taken back by command".to_owned()),
                None if instant() >= until => {
                    let seconds = self.request.within_s;
                    return Err(format!(
                        "version {} did not show that it works in {seconds} s",
                        self.to
                    ));
                }
                None if given_up() => {
                    return Err(format!(
                        "version {} ended again and again, and the service manager has given it up",
                        self.to
                    ));
                }
                None => tokio::time::sleep(LOOK_EVERY).await,
            }
        }
    }

    /// What the service has said of this request.
    fn word(&self) -> Option<Verdict> {
        let word: Word = Folder::open(&self.stage).ok()?.note(WORD)?;
        (word.id == self.request.id).then_some(word.says)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trial(stage: &std::path::Path) -> Trial {
        let request = Request {
            id: "c1".into(),
            sha256: "ab".repeat(32),
            size: 1,
            within_s: 30,
            allow_downgrade: false,
        };
        Trial {
            request,
            from: "1".into(),
            to: "2".into(),
            stage: stage.to_owned(),
            step: Step::Watching,
            starts: 1,
            why: None,
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_version_that_is_started_no_more_is_not_waited_for() {
        let dir = tempfile::tempdir().unwrap();
        let trial = trial(dir.path());
        let begun = instant();
        // Given up at the fifth look: long before its time is over.
        let looks = std::cell::Cell::new(0);
        let given_up = || looks.replace(looks.get() + 1) == 4;
        assert!(trial.wait(given_up).await.unwrap_err().contains("has given it up"));
        assert_eq!(begun.elapsed(), 4 * LOOK_EVERY);
        // A word that was said counts more.
        let word = "{\"id\":\"c1\",\"says\":\"confirmed\"}";
        std::fs::write(dir.path().join(WORD), word).unwrap();
        assert_eq!(trial.wait(|| true).await, Ok(()));
    }

    #[tokio::test(start_paused = true)]
    async fn only_its_own_word_in_time_counts() {
        let dir = tempfile::tempdir().unwrap();
        let trial = trial(dir.path());
        let say = |id: &str, says: &str| {
            let text = format!("{{\"id\":\"{id}\",\"says\":\"{says}\"}}");
            std::fs::write(dir.path().join(WORD), text).unwrap();
        };
        say("c0", "confirmed");
        let begun = instant();
        assert!(
            trial.wait(|| false).await.unwrap_err().contains("did not show that it works in 30 s")
        );
        assert!(begun.elapsed() >= Duration::from_secs(30));
        say("c1", "confirmed");
        assert_eq!(trial.wait(|| false).await, Ok(()));
        say("c1", "revert");
        assert!(trial.wait(|| false).await.unwrap_err().contains("by command"));
    }
}
