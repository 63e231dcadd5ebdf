//! A LoRaWAN network server behind an MQTT broker: ChirpStack v4.
//!
//! Has a client of its own with a persistent session. A message is acknowledged to the broker only after
//! every sample of it is on disk; until then the broker keeps it, also while the box is off. A message
//! that gives no sample is acknowledged in its turn; the decoder has counted why.

use std::collections::{BTreeMap, VecDeque};

use domain::decode::lorawan::{Codec, chirpstack};
use domain::decode::{Decode, Raw, Tally};
use domain::ids::{BoxId, DeviceKey, SourceName};
use domain::sample::Sample;
use domain::time::Utc;
use tokio::sync::{mpsc, oneshot, watch};

use super::Context;
use super::intake::{Intake, Stopped};
use crate::config::ChirpStack;
use crate::mqtt::LinkStatus;
use crate::mqtt::inbound::{Delivery, subscribe};

/// Messages between the client and the decoder. Full: the client holds what it has and then stops
/// reading, and the broker keeps the rest.
const DELIVERIES_MAX: usize = 16;

/// Messages that wait for the commit of their samples. Full: no further message is taken until the
/// oldest is decided.
const WAITING_MAX: usize = 256;

/// Consumes the events until the box stops.
pub(super) async fn run(settings: ChirpStack, context: Context, box_id: BoxId) {
    let client_id = format!("{box_id}-{}", context.name);
    let (sender, deliveries) = mpsc::channel(DELIVERIES_MAX);
    let (link, seen) = watch::channel(LinkStatus::default());
    let filters = [settings.topic.clone()];
    let stop = context.stop.clone();
    let subscription =
        subscribe(&settings.broker, &client_id, &filters, sender, link, &context.clock, stop);
    let decoder = Forgetful::new(context.name.clone(), settings.devices.clone());
    tokio::select! {
        ended = subscription => {
            if let Err(error) = ended {
                // Trying again would not help; the other sources go on.
                tracing::error!(%error, "cannot subscribe");
                context.status.send_modify(|status| status.trouble = Some(error.to_string()));
            }
        }
        Stopped = consume(deliveries, Intake::new(decoder, context.clone())) => {}
        Stopped = show_link(seen, &settings, &context) => {}
    }
    context.stop.cancelled().await;
}

/// Decodes messages and acknowledges them, in the order of their arrival.
async fn consume(
    mut deliveries: mpsc::Receiver<Delivery>,
    mut intake: Intake<Forgetful>,
) -> Stopped {
    let mut waiting = VecDeque::new();
    loop {
        tokio::select! {
            biased;
            () = intake.publish_due() => {}
            decision = decided(&mut waiting) => match decision {
                // The connection may have ended; then the broker sends the message again.
                Ok(done) => drop(done.send(())),
                Err(NotStored) => give_back(&mut waiting, &mut intake),
            },
            delivery = deliveries.recv(), if waiting.len() < WAITING_MAX => {
                let Some(delivery) = delivery else { return Stopped };
                match take(delivery, &mut intake).await {
                    Ok(message) => waiting.push_back(message),
                    Err(Stopped) => return Stopped,
                }
            }
        }
    }
}

/// A message that is with the engine, not yet acknowledged.
#[derive(Debug)]
struct Waiting {
    /// One for each sample that is not yet known to be stored.
    samples: Vec<oneshot::Receiver<()>>,
    done: oneshot::Sender<()>,
}

/// A sample of the oldest message could not be stored.
#[derive(Debug)]
struct NotStored;

async fn take(delivery: Delivery, intake: &mut Intake<Forgetful>) -> Result<Waiting, Stopped> {
    let Delivery { topic, payload, retain: _, done } = delivery;
    let mut samples = Vec::new();
    let safe = |_: &Sample| {
        let (tell, committed) = oneshot::channel();
        samples.push(committed);
        Some(tell)
    };
    intake.take(Raw::Mqtt { topic: &topic, payload: &payload }, safe).await?;
    Ok(Waiting { samples, done })
}

/// Waits until every sample of the oldest message is stored, or one cannot be. May be dropped at any
/// time.
async fn decided(waiting: &mut VecDeque<Waiting>) -> Result<oneshot::Sender<()>, NotStored> {
    let Some(oldest) = waiting.front_mut() else { return std::future::pending().await };
    while let Some(sample) = oldest.samples.last_mut() {
        sample.await.map_err(|_| NotStored)?;
        oldest.samples.pop();
    }
    let oldest = waiting.pop_front().expect("its front was just seen");
    Ok(oldest.done)
}

/// The oldest message could not be stored: it and all after it go back to the broker, which sends them
/// again in order. The decoder forgets what it has seen: what comes again must not pass for a repeat,
/// which would be acknowledged without being stored.
fn give_back(waiting: &mut VecDeque<Waiting>, intake: &mut Intake<Forgetful>) {
    let messages = waiting.len() as u64;
    tracing::warn!(messages, "messages not stored, the broker is to send them again");
    intake.show(|status| status.unacknowledged += messages);
    waiting.clear();
    intake.decoder().forget();
}

/// Shows in the source's status whether the broker is there.
async fn show_link(
    mut seen: watch::Receiver<LinkStatus>,
    settings: &ChirpStack,
    context: &Context,
) -> Stopped {
    let url = &settings.broker.url;
    while seen.changed().await.is_ok() {
        let link = seen.borrow_and_update();
        let trouble = (!link.connected)
            .then(|| link.last_error.as_ref())
            .flatten()
            .map(|error| format!("broker {}:{}: {error}", url.host, url.port));
        context.status.send_if_modified(|status| {
            let changed = (status.connected, &status.trouble) != (link.connected, &trouble);
            status.connected = link.connected;
            status.trouble = trouble;
            changed
        });
    }
    Stopped
}

/// A decoder that can be told to forget which messages it has seen, and goes on counting.
#[derive(Debug)]
struct Forgetful {
    source: SourceName,
    devices: BTreeMap<DeviceKey, Option<Codec>>,
    decoder: chirpstack::ChirpStack,
    /// What was counted before the decoder last forgot.
    before: Tally,
    tally: Tally,
}

impl Forgetful {
    fn new(source: SourceName, devices: BTreeMap<DeviceKey, Option<Codec>>) -> Forgetful {
        let decoder = chirpstack::ChirpStack::new(source.clone(), devices.clone());
        Forgetful { source, devices, decoder, before: Tally::default(), tally: Tally::default() }
    }

    fn forget(&mut self) {
        self.before = self.tally.clone();
        self.decoder = chirpstack::ChirpStack::new(self.source.clone(), self.devices.clone());
    }

    fn add_up(&mut self) {
        self.tally.clone_from(&self.before);
        self.tally.add(self.decoder.tally());
    }
}

impl Decode for Forgetful {
    fn feed(&mut self, raw: Raw<'_>, received: Utc, samples: &mut Vec<Sample>) {
        self.decoder.feed(raw, received, samples);
        self.add_up();
    }

    fn finish(&mut self, samples: &mut Vec<Sample>) {
        self.decoder.finish(samples);
        self.add_up();
    }

    fn tally(&self) -> &Tally {
        &self.tally
    }
}
