//! Between two tries to reach what is not there: at first a second, later ever longer, half a minute at
//! the most, for as long as the box runs.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

/// The first wait.
const MIN: Duration = Duration::from_secs(1);
/// The longest wait.
const MAX: Duration = Duration::from_secs(30);

/// How long to wait next.
#[derive(Debug)]
pub(super) struct Retry(Duration);

impl Retry {
    pub(super) const fn new() -> Retry {
        Retry(MIN)
    }

    /// It was there, and said something: the next loss is tried again soon.
    pub(super) const fn carried(&mut self) {
        self.0 = MIN;
    }

    /// Waits until the next try is due; false when the box stops.
    pub(super) async fn wait(&mut self, stop: &CancellationToken) -> bool {
        let wait = self.0;
        self.0 = (wait * 2).min(MAX);
        tokio::select! {
            () = stop.cancelled() => false,
            () = tokio::time::sleep(wait) => true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_waits_grow_to_half_a_minute_and_begin_anew() {
        let stop = CancellationToken::new();
        let mut retry = Retry::new();
        let mut waits = Vec::new();
        for turn in 0..8 {
            let before = tokio::time::Instant::now();
            assert!(retry.wait(&stop).await);
            waits.push(before.elapsed().as_secs());
            if turn == 6 {
                retry.carried();
            }
        }
        assert_eq!(waits, [1, 2, 4, 8, 16, 30, 30, 1]);
        stop.cancel();
        assert!(!retry.wait(&stop).await);
    }
}
