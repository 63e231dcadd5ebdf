//! The signals that a box obeys, as events.

use tokio::signal::unix::{Signal, SignalKind, signal};

use super::Event;

/// What a UPS sends when the power fails: signal(7), the same number on ARM and x86.
const SIGPWR: i32 = 30;

/// The signals that a box obeys.
pub(super) struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hangup: Signal,
    power: Signal,
}

impl Signals {
    pub(super) fn new() -> std::io::Result<Signals> {
        Ok(Signals {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hangup: signal(SignalKind::hangup())?,
            power: signal(SignalKind::from_raw(SIGPWR))?,
        })
    }

    pub(super) async fn next(&mut self) -> Event {
        tokio::select! {
            _ = self.terminate.recv() => Event::Stop("asked to stop"),
            _ = self.interrupt.recv() => Event::Stop("interrupted"),
            _ = self.hangup.recv() => Event::Reload,
            _ = self.power.recv() => Event::PowerFails,
        }
    }
}
