//! From what arrived to arrivals at the engine: the part that every live source shares.
//!
//! Feeds the decoder, hands each sample over, waits while the engine's channel is full, and shows the
//! counters. Knows nothing of devices, and keeps nothing: when [`Intake::take`] returns, every sample is
//! with the engine.

use std::time::Duration;

use domain::decode::{Decode, Raw};
use domain::input::Input;
use domain::sample::Sample;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Interval, MissedTickBehavior};

use super::{Arrival, Context, Status};

/// The least time between two publications of the counters.
pub(super) const PUBLISH_EVERY: Duration = Duration::from_millis(250);

/// The box stops, or the engine has ended: the source ends too.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stopped;

/// A decoder on its way to the engine.
#[derive(Debug)]
pub(super) struct Intake<D> {
    context: Context,
    decoder: D,
    publish: Interval,
    changed: bool,
}

impl<D: Decode> Intake<D> {
    pub(super) fn new(decoder: D, context: Context) -> Intake<D> {
        let mut publish = tokio::time::interval(PUBLISH_EVERY);
        publish.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Intake { context, decoder, publish, changed: false }
    }

    pub(super) fn decoder(&mut self) -> &mut D {
        &mut self.decoder
    }

    /// Decodes what arrived and hands every sample to the engine, waiting while it takes none. For
    /// each sample `safe` may give the sender by which the engine tells that it is committed.
    pub(super) async fn take(
        &mut self,
        raw: Raw<'_>,
        safe: impl FnMut(&Sample) -> Option<oneshot::Sender<()>>,
    ) -> Result<(), Stopped> {
        let received = self.context.clock.now().utc;
        let mut samples = Vec::new();
        self.decoder.feed(raw, received, &mut samples);
        self.hand_over(samples, safe).await
    }

    /// The input has ended: hands over what the decoder held back.
    pub(super) async fn finish(&mut self) -> Result<(), Stopped> {
        let mut samples = Vec::new();
        self.decoder.finish(&mut samples);
        self.hand_over(samples, |_| None).await
    }

    async fn hand_over(
        &mut self,
        samples: Vec<Sample>,
        mut safe: impl FnMut(&Sample) -> Option<oneshot::Sender<()>>,
    ) -> Result<(), Stopped> {
        self.changed = true;
        let mut samples = samples.into_iter();
        while let Some(sample) = samples.next() {
            let Ok(place) = self.place().await else {
                self.publish_now();
                let samples = 1 + samples.len();
                tracing::warn!(samples, "stopped with samples that the engine did not take");
                return Err(Stopped);
            };
            let committed = safe(&sample);
            place.send(Arrival { input: Input::Sample(sample), committed });
        }
        Ok(())
    }

    /// Waits for a place in the engine's channel, and keeps the counters fresh meanwhile.
    async fn place(&mut self) -> Result<mpsc::OwnedPermit<Arrival>, Stopped> {
        let engine = self.context.engine.clone().reserve_owned();
        let stop = self.context.stop.clone();
        tokio::pin!(engine);
        loop {
            tokio::select! {
                biased; // what there is room for is handed over even when the box stops
                place = &mut engine => return place.map_err(|_| Stopped),
                () = stop.cancelled() => return Err(Stopped),
                () = self.publish_due() => {}
            }
        }
    }

    /// Publishes the counters once they have changed and the last time is long enough ago. To be
    /// awaited beside the device; may be dropped at any time.
    pub(super) async fn publish_due(&mut self) {
        if !self.changed {
            return std::future::pending().await;
        }
        self.publish.tick().await;
        self.publish_now();
    }

    /// Publishes the counters at once: the source is about to rest.
    pub(super) fn publish_now(&mut self) {
        self.changed = false;
        let tally = self.decoder.tally();
        self.context.status.send_modify(|status| status.tally.clone_from(tally));
    }

    /// Changes what else the source shows.
    pub(super) fn show(&self, change: impl FnOnce(&mut Status)) {
        self.context.status.send_modify(change);
    }
}
