//! From what arrived to arrivals at the engine: the part that every live source shares.
//!
//! [`Gate`] hands samples over, waits while the engine's channel is full, and shows the counters and the
//! rhythm of the source; [`Intake`] is a gate with a decoder in front of it. Knows nothing of devices,
//! and keeps no sample: when [`Gate::hand_over`] returns, every sample is with the engine.

use std::time::Duration;

use domain::decode::{Decode, Raw, Reason, Tally};
use domain::input::Input;
use domain::sample::{Quantity, Sample};
use domain::time::Utc;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Interval, MissedTickBehavior};

use super::rhythm::Rhythm;
use super::{Arrival, Context, Status};

/// The least time between two publications of the counters.
pub(super) const PUBLISH_EVERY: Duration = Duration::from_millis(250);
/// Between two publications while nothing is heard: how late a silence shows.
const LOOK_EVERY: Duration = Duration::from_secs(15);

/// The box stops, or the engine has ended: the source ends too.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stopped;

/// The way to the engine.
#[derive(Debug)]
pub(super) struct Gate {
    context: Context,
    publish: Interval,
    look: Interval,
    changed: bool,
    tally: Tally,
    rhythm: Rhythm,
    /// Whether its fixes tell the box the time: a receiver of its own, heard as it speaks.
    tells_time: bool,
}

impl Gate {
    pub(super) fn new(context: Context) -> Gate {
        let every = |period| {
            let mut interval = tokio::time::interval(period);
            interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
            interval
        };
        Gate {
            context,
            publish: every(PUBLISH_EVERY),
            look: every(LOOK_EVERY),
            changed: false,
            tally: Tally::default(),
            rhythm: Rhythm::default(),
            tells_time: false,
        }
    }

    /// Changes the counters.
    pub(super) fn count(&mut self, change: impl FnOnce(&mut Tally)) {
        change(&mut self.tally);
        self.changed = true;
    }

    /// Counts one refusal.
    pub(super) fn reject(&mut self, reason: Reason) {
        self.count(|tally| tally.reject(reason));
    }

    /// Hands every sample to the engine, waiting while it takes none. For each sample `safe` may give
    /// the sender by which the engine tells that it is committed.
    pub(super) async fn hand_over(
        &mut self,
        samples: Vec<Sample>,
        mut safe: impl FnMut(&Sample) -> Option<oneshot::Sender<()>>,
    ) -> Result<(), Stopped> {
        self.changed = true;
        let now = self.context.clock.now();
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
            self.rhythm.hear(sample.device.as_ref(), now.monotonic, now.utc);
            let committed = safe(&sample);
            place.send(Arrival { input: Input::Sample(sample), committed, answer: None });
        }
        Ok(())
    }

    /// Hands over what is no sample, as [`Gate::hand_over`].
    #[cfg(feature = "vision")]
    pub(super) async fn hand_over_input(&mut self, input: Input) -> Result<(), Stopped> {
        let place = self.place().await?;
        place.send(Arrival { input, committed: None, answer: None });
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

    /// Publishes the counters once they have changed and the last time is long enough ago, and now and
    /// then although they have not: a silence is news too. To be awaited beside the device; may be
    /// dropped at any time.
    pub(super) async fn publish_due(&mut self) {
        if self.changed {
            self.publish.tick().await;
        } else {
            self.look.tick().await;
        }
        self.publish_now();
    }

    /// Publishes the counters at once: the source is about to rest.
    pub(super) fn publish_now(&mut self) {
        self.changed = false;
        let heard = self.rhythm.heard(self.context.clock.now().monotonic);
        self.context.status.send_if_modified(|status| {
            let changed = status.tally != self.tally || status.heard != heard;
            status.tally.clone_from(&self.tally);
            status.heard = heard;
            changed
        });
    }

    /// Changes what else the source shows.
    pub(super) fn show(&self, change: impl FnOnce(&mut Status)) {
        self.context.status.send_modify(change);
    }

    /// Shows that the device, server or network is there.
    pub(super) fn connected(&self) {
        self.show(|status| {
            status.connected = true;
            status.trouble = None;
        });
    }

    /// Shows that it is not, and logs why unless that was said already. Answers whether it was news.
    pub(super) fn trouble(&self, trouble: String) -> bool {
        let is_news = self.context.status.borrow().trouble.as_ref() != Some(&trouble);
        if is_news {
            tracing::warn!(trouble, "source has no connection");
        }
        self.show(|status| {
            status.connected = false;
            status.trouble = Some(trouble);
        });
        is_news
    }
}

/// A decoder on its way to the engine.
#[derive(Debug)]
pub(super) struct Intake<D> {
    gate: Gate,
    decoder: D,
}

impl<D: Decode> Intake<D> {
    pub(super) fn new(decoder: D, context: Context) -> Intake<D> {
        Intake { gate: Gate::new(context), decoder }
    }

    /// The same, of a receiver of the box's own: its fixes tell the time.
    pub(super) fn of_own_receiver(mut self) -> Intake<D> {
        self.gate.tells_time = true;
        self
    }

    pub(super) fn decoder(&mut self) -> &mut D {
        &mut self.decoder
    }

    pub(super) fn gate(&mut self) -> &mut Gate {
        &mut self.gate
    }

    /// Decodes what arrived and hands every sample over, as [`Gate::hand_over`].
    pub(super) async fn take(
        &mut self,
        raw: Raw<'_>,
        safe: impl FnMut(&Sample) -> Option<oneshot::Sender<()>>,
    ) -> Result<(), Stopped> {
        self.take_with(|decoder, received, samples| decoder.feed(raw, received, samples), safe)
            .await
    }

    /// As [`Intake::take`], for what is not raw any more when it arrives.
    pub(super) async fn take_with(
        &mut self,
        feed: impl FnOnce(&mut D, Utc, &mut Vec<Sample>),
        safe: impl FnMut(&Sample) -> Option<oneshot::Sender<()>>,
    ) -> Result<(), Stopped> {
        let received = self.gate.context.clock.now().utc;
        let mut samples = Vec::new();
        feed(&mut self.decoder, received, &mut samples);
        self.recount();
        self.gate.hand_over(samples, safe).await
    }

    /// The input has ended: hands over what the decoder held back.
    pub(super) async fn finish(&mut self) -> Result<(), Stopped> {
        let mut samples = Vec::new();
        self.decoder.finish(&mut samples);
        self.recount();
        self.gate.hand_over(samples, |_| None).await
    }

    fn recount(&mut self) {
        self.gate.count(|tally| tally.clone_from(self.decoder.tally()));
    }

    /// See [`Gate::publish_due`].
    pub(super) async fn publish_due(&mut self) {
        self.gate.publish_due().await;
    }

    /// See [`Gate::publish_now`].
    pub(super) fn publish_now(&mut self) {
        self.gate.publish_now();
    }

    /// See [`Gate::show`].
    pub(super) fn show(&self, change: impl FnOnce(&mut Status)) {
        self.gate.show(change);
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
