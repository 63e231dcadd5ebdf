//! Looks at the box's certificates every hour and says when one is about to end: 30, 14 and 3 days before,
//! and when it has.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use domain::input::{Fault, Input, Trouble};
use domain::time::{ClockQuality, Now, Utc};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::certificate::validities;
use crate::clock::Clock;
use crate::sources::Arrival;

/// Between two looks.
const EVERY: Duration = Duration::from_secs(3600);
/// Days before the end at which it is said.
const DAYS: [i64; 4] = [0, 3, 14, 30];
const DAY_MS: i64 = 86_400_000;

/// The step of [`DAYS`] that a certificate which ends at `until` has reached; `None`: it is good for longer.
fn step(until: Utc, now: Utc) -> Option<i64> {
    let left = until.as_ms() - now.as_ms();
    DAYS.into_iter().find(|days| left <= days * DAY_MS)
}

/// What was said, by file: until when its certificate is valid, and the last step.
#[derive(Debug, Default)]
struct Said(BTreeMap<PathBuf, (Utc, i64)>);

impl Said {
    /// What is to be said of a certificate in `file` that ends at `until`, if it is new.
    fn news(&mut self, file: &PathBuf, until: Utc, now: Utc) -> Option<String> {
        let step = step(until, now)?;
        if self.0.get(file).is_some_and(|(of, last)| *of == until && *last <= step) {
            return None;
        }
        self.0.insert(file.clone(), (until, step));
        let left = (until.as_ms() - now.as_ms()).div_euclid(DAY_MS);
        let when = if step == 0 { "has ended" } else { "ends" };
        let days = if step == 0 { String::new() } else { format!(" (in {left} days)") };
        let file = file.display();
        Some(format!(
            "the certificate {file} {when} at {until}{days}; put a new one in its place, it is used from the \
             next connection on (systemctl reload steward makes one)"
        ))
    }
}

/// The earliest end among the certificates of a file; `None` when there is none to be read, which the
/// connection says better.
#[must_use]
pub fn ends(file: &PathBuf) -> Option<Utc> {
    let found = validities(&fs::read(file).ok()?).ok()?;
    found.into_iter().map(|validity| validity.until).min()
}

/// Watches `files` until `stop`, or until the engine is gone.
pub async fn run(
    files: Vec<PathBuf>,
    clock: Clock,
    engine: mpsc::Sender<Arrival>,
    stop: CancellationToken,
) {
    let mut said = Said::default();
    let mut turn = tokio::time::interval(EVERY);
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            _ = turn.tick() => {}
        }
        let Now { utc, clock: quality, .. } = clock.now();
        if quality == ClockQuality::Unset {
            continue;
        }
        for file in &files {
            let Some(text) = ends(file).and_then(|until| said.news(file, until, utc)) else {
                continue;
            };
            tracing::warn!("{text}");
            let input = Input::Trouble(Trouble { fault: Fault::Certificate, text });
            if engine.send(Arrival { input, committed: None, answer: None }).await.is_err() {
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_said_at_each_step_once_and_again_for_another_certificate() {
        let file = PathBuf::from("box.pem");
        let until = Utc::from_ms(100 * DAY_MS);
        let at = |days: i64| Utc::from_ms(days * DAY_MS);
        let mut said = Said::default();
        let told: Vec<i64> =
            (60..=110).filter(|day| said.news(&file, until, at(*day)).is_some()).collect();
        assert_eq!(told, [70, 86, 97, 100]);
        assert!(said.news(&file, at(120), at(110)).unwrap().contains("in 10 days"));
        assert!(said.news(&file, at(120), at(121)).unwrap().contains("has ended"));
    }
}
