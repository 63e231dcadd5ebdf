//! From what arrived to arrivals at the engine: the part that every live source shares.
//!
//! Feeds the decoder, hands each sample over, waits while the engine's channel is full, and shows the
//! counters. Knows nothing of devices, and keeps nothing: when [`Intake::take`] returns, every sample is
//! with the engine.

use std::time::Duration;

use domain::decode::{Decode, Raw};
use domain::input::Input;
use domain::sample::{Quantity, Sample};
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
    /// Whether its fixes tell the box the time: a receiver of its own, heard as it speaks.
    tells_time: bool,
}

impl<D: Decode> Intake<D> {
    pub(super) fn new(decoder: D, context: Context) -> Intake<D> {
        let mut publish = tokio::time::interval(PUBLISH_EVERY);
        publish.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Intake { context, decoder, publish, changed: false, tells_time: false }
    }

    /// The same, of a receiver of the box's own: its fixes tell the time.
    pub(super) fn of_own_receiver(self) -> Intake<D> {
        Intake { tells_time: true, ..self }
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
            let has_fix = sample.quantities.iter().any(|q| matches!(q, Quantity::Fix(_)));
            if let (true, true, Some(at)) = (self.tells_time, has_fix, sample.at) {
                self.context.clock.hear_gnss(at);
            }
            let Ok(place) = self.place().await else {
                self.publish_now();
                let samples = 1 + samples.len();
                tracing::warn!(samples, "stopped with samples that the engine did not take");
                return Err(Stopped);
            };
            let committed = safe(&sample);
            place.send(Arrival { input: Input::Sample(sample), committed, answer: None });
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

#[cfg(test)]
mod tests {
    use domain::decode::nmea::Nmea;

    use super::*;
    use crate::sources::tests::{Bench, fix};

    fn intake(bench: &Bench) -> Intake<Nmea> {
        Intake::new(Nmea::new(bench.context.name.clone()), bench.context.clone())
    }

    #[tokio::test(start_paused = true)]
    async fn counters_are_shown_a_few_times_a_second_whatever_arrives() {
        let mut bench = Bench::new("gnss", 1);
        let mut intake = intake(&bench);
        let mut shown = 0;
        for _ in 0..100 {
            intake.take(Raw::Bytes(b"noise"), |_| None).await.unwrap();
            let wait = tokio::time::timeout(Duration::from_millis(10), intake.publish_due());
            shown += u32::from(wait.await.is_ok());
        }
        assert!((4..=5).contains(&shown), "{shown} times in a second");
        let status = bench.until(|status| status.tally.bytes == 100 * 5);
        tokio::select! {
            () = intake.publish_due() => {}
            _ = status => panic!("the last change was shown too early"),
        }
        assert_eq!(bench.status.borrow().tally.bytes, 500);
    }

    #[tokio::test(start_paused = true)]
    async fn while_the_engine_is_full_the_source_waits_and_the_counters_go_on() {
        let mut bench = Bench::new("gnss", 1);
        let mut intake = intake(&bench);
        let text = fix("040000", "040626") + &fix("040001", "040626") + &fix("040002", "040626");
        let waiting = intake.take(Raw::Bytes(text.as_bytes()), |_| None);
        tokio::pin!(waiting);
        tokio::select! {
            biased;
            _ = &mut waiting => panic!("there is room for one"),
            status = bench.until(|status| status.tally.frames == 6) => {
                assert_eq!(status.tally.bytes, text.len() as u64);
            }
        }
        let drained = async {
            for second in ["00", "01", "02"] {
                let Some(Arrival { input: Input::Sample(sample), .. }) =
                    bench.arrivals.recv().await
                else {
                    panic!("no sample")
                };
                let expected = format!("2026-06-04T04:00:{second}.000Z");
                assert_eq!(sample.at.unwrap().to_string(), expected);
            }
        };
        let (taken, ()) = tokio::join!(waiting, drained);
        assert_eq!(taken, Ok(()));
    }

    #[tokio::test(start_paused = true)]
    async fn a_stop_ends_the_waiting_but_not_before_what_there_is_room_for() {
        let mut bench = Bench::new("gnss", 1);
        let mut intake = intake(&bench);
        bench.context.stop.cancel();
        let text = fix("040000", "040626") + &fix("040001", "040626");
        let taken = intake.take(Raw::Bytes(text.as_bytes()), |_| None).await;
        assert_eq!(taken, Err(Stopped));
        assert!(bench.arrivals.recv().await.is_some());
        assert!(bench.is_quiet());
    }

    #[tokio::test]
    async fn without_an_engine_the_source_ends() {
        let mut bench = Bench::new("gnss", 1);
        let mut intake = intake(&bench);
        bench.arrivals.close();
        let text = fix("040000", "040626");
        assert_eq!(intake.take(Raw::Bytes(text.as_bytes()), |_| None).await, Err(Stopped));
    }
}
