//! What both directions of the link share: its pulse, and how its state is shown and logged.

use std::time::Duration;

use tokio::sync::watch;

use super::LinkStatus;
use super::backoff::Backoff;
use crate::clock::Clock;

/// The link's own clock: silence, patience and stability are counted in these.
pub(super) const BEAT: Duration = Duration::from_secs(1);
/// Time in beats, so that no clock is read.
#[derive(Debug, Default)]
pub(super) struct Beats {
    /// Since the connection was tried.
    pub(super) all: u32,
    silent: u32,
    connected: u32,
}

impl Beats {
    /// The event loop gave a sign of life.
    pub(super) fn heard(&mut self) {
        self.silent = 0;
    }

    /// A beat has passed, with or without a connection. Answers why the connection has to be given up,
    /// if so: an event loop that lives has an event within `silence_max`, if only its own ping.
    pub(super) fn pass(
        &mut self,
        connected: bool,
        silence_max: Duration,
        backoff: &mut Backoff,
    ) -> Option<String> {
        self.all += 1;
        self.silent += 1;
        if connected {
            self.connected += 1;
            backoff.held(BEAT * self.connected);
        }
        (BEAT * self.silent > silence_max).then(|| format!("no sign of life for {silence_max:?}"))
    }
}

/// Shows and logs the end of a connection or try; logs once per loss, not once per try.
pub(super) fn lost(
    status: &watch::Sender<LinkStatus>,
    clock: &Clock,
    client_id: &str,
    why: String,
) {
    status.send_modify(|s| {
        if s.connected || s.since.is_none() {
            tracing::warn!(client_id, error = %why, "link to the broker is down");
            s.since = Some(clock.now().utc);
        }
        s.connected = false;
        s.last_error = Some(why);
    });
}

/// Shows and logs an accepted connection.
pub(super) fn found(status: &watch::Sender<LinkStatus>, clock: &Clock, client_id: &str, conn: u32) {
    tracing::info!(client_id, conn, "link to the broker is up");
    status.send_modify(|s| {
        s.connected = true;
        s.conn = conn;
        s.since = Some(clock.now().utc);
        s.last_error = None;
        s.denied = 0;
    });
}
