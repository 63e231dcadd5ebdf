//! `camera`: pictures in, samples and sightings out.
//!
//! Pictures come from a folder, from a web server, or from a program; what is in them is decided by one
//! thread for all cameras ([`eyes`]). The newest picture counts: one that nobody had time for is dropped
//! and counted, and readings never are. A camera whose model cannot be used says so and changes nothing
//! else in the box. Raw pictures stay in memory; only redacted ones are kept ([`crate::evidence`]).

mod child;
pub mod eyes;
mod folder;
mod live;
mod server;
mod usb;

use std::time::Duration;

use domain::decode::Reason;
use domain::ids::{Category, DeviceKey, SourceName};
use domain::input::Input;
use domain::rules::Severity;
use domain::sample::{Detection, Quantity, Sample};
use domain::sightings::{Change, Look, Seen, Sighting, Subject};
use domain::time::{Now, Span, Utc};
use domain::units::Permille;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use vision::scene::{Outcome, Task};

use self::eyes::{Eyes, Told, Verdict};
use self::folder::{Folder, Picture};
use self::live::Live;
use self::server::Visitor;
use super::intake::{Gate, Stopped};
use super::retry::Retry;
use super::{Context, PictureCounts};
use crate::config::{Camera, CameraServer, CameraZone, Pictures, Problem};

/// Between two looks into a folder that has nothing new.
const FOLDER_EVERY: Duration = Duration::from_millis(500);

/// Looks at pictures until the box stops.
pub(super) async fn run(camera: Box<Camera>, eyes: Option<Eyes>, context: Context) {
    let stop = context.stop.clone();
    let gate = Gate::new(context.clone());
    let Some(eyes) = eyes else {
        gate.trouble("nobody looks at pictures".to_owned());
        return stop.cancelled().await;
    };
    let pictures = camera.pictures.clone();
    let counts = PictureCounts::default();
    let mut viewer = Viewer { camera: *camera, eyes, context, gate, counts };
    tokio::select! {
        () = stop.cancelled() => {}
        // It only ends when the engine has: the box stops then.
        Stopped = viewer.view(&pictures) => {}
    }
    viewer.gate.publish_now();
    stop.cancelled().await;
}

/// Reads a stream, and opens it again whenever it ends.
async fn keep_reading(pictures: &Pictures, live: &mut Live, stop: &CancellationToken) {
    let mut retry = Retry::new();
    let mut visitor = match pictures {
        Pictures::Stream(server) => Some(Visitor::new(server)),
        _ => None,
    };
    loop {
        let before = live.number;
        let why = match (pictures, &mut visitor) {
            (Pictures::Command(words), _) => child::run(words, live).await,
            (Pictures::Usb(device), _) => usb::run(device, live).await,
            (_, Some(visitor)) => visitor.stream(live).await,
            _ => return,
        };
        if live.number > before {
            retry.carried();
        }
        live.state.send_replace(Some(Err(why)));
        if !retry.wait(stop).await {
            return;
        }
    }
}

/// A camera and what is made of its pictures.
struct Viewer {
    camera: Camera,
    eyes: Eyes,
    context: Context,
    gate: Gate,
    counts: PictureCounts,
}

impl Viewer {
    async fn view(&mut self, pictures: &Pictures) -> Stopped {
        let ended = match pictures {
            Pictures::Folder { path, keep } => {
                let most = self.camera.settings.limits.bytes as u64;
                self.folder(Folder::new(path.clone(), *keep, most), &path.display().to_string())
                    .await
            }
            Pictures::Snapshot(server) => self.snapshots(server).await,
            Pictures::Stream(_) | Pictures::Command(_) | Pictures::Usb(_) => {
                self.live(pictures).await
            }
        };
        ended.err().unwrap_or(Stopped)
    }

    async fn folder(&mut self, mut folder: Folder, name: &str) -> Result<(), Stopped> {
        loop {
            // A look is a few system calls on a local disk.
            match folder.look() {
                Err(error) => {
                    self.gate.trouble(format!("{name}: {error}"));
                    self.rest(FOLDER_EVERY).await;
                }
                Ok(haul) => {
                    self.counts.dropped += haul.dropped;
                    match haul.picture {
                        None => {
                            self.seems_well();
                            self.rest(FOLDER_EVERY).await;
                        }
                        Some(Picture::TooLong(_)) => self.gate.reject(Reason::TooLong),
                        Some(Picture::Bytes(jpeg)) => {
                            self.look(jpeg).await?;
                            self.rest(self.camera.every).await;
                        }
                    }
                }
            }
        }
    }

    async fn snapshots(&mut self, server: &CameraServer) -> Result<(), Stopped> {
        let mut visitor = Visitor::new(server);
        loop {
            let asked = self.context.clock.now().monotonic;
            match visitor.snapshot(self.camera.settings.limits.bytes).await {
                Ok(jpeg) => self.look(jpeg).await?,
                Err(error) => {
                    self.gate.trouble(error);
                }
            }
            let took = self.context.clock.now().monotonic.as_ms().saturating_sub(asked.as_ms());
            self.rest(self.camera.every.saturating_sub(Duration::from_millis(took))).await;
        }
    }

    /// A stream is read all the time, so that the newest picture is new; it is looked at when there is
    /// time.
    async fn live(&mut self, pictures: &Pictures) -> Result<(), Stopped> {
        let (newest, seen) = watch::channel((0, Vec::new()));
        let (too_long, long) = watch::channel(0);
        let (state, told) = watch::channel(None);
        let most = self.camera.settings.limits.bytes;
        let patience = live::patience(self.camera.every);
        let mut live = Live { patience, most, newest, too_long, state, number: 0 };
        let stop = self.context.stop.clone();
        tokio::select! {
            () = keep_reading(pictures, &mut live, &stop) => Ok(()),
            ended = self.keep_looking(seen, long, told) => ended,
        }
    }

    async fn keep_looking(
        &mut self,
        mut seen: watch::Receiver<(u64, Vec<u8>)>,
        long: watch::Receiver<u64>,
        mut told: watch::Receiver<Option<Result<(), String>>>,
    ) -> Result<(), Stopped> {
        let (mut last, mut counted) = (0, 0);
        loop {
            // The other end lives as long as this one: a change is never an error.
            tokio::select! {
                Ok(()) = told.changed() => {
                    let state = told.borrow_and_update().clone();
                    self.show(state.as_ref());
                }
                Ok(()) = seen.changed() => {
                    let (number, jpeg) = seen.borrow_and_update().clone();
                    self.counts.dropped += number.saturating_sub(last + 1);
                    last = number;
                    let refused = *long.borrow();
                    (counted..refused).for_each(|_| self.gate.reject(Reason::TooLong));
                    counted = refused;
                    self.look(jpeg).await?;
                    self.rest(self.camera.every).await;
                }
                () = self.gate.publish_due() => {}
            }
        }
    }

    fn show(&self, state: Option<&Result<(), String>>) {
        match state {
            Some(Err(why)) => {
                self.gate.trouble(why.clone());
            }
            Some(Ok(())) => self.seems_well(),
            None => {}
        }
    }

    /// There is a picture, or nothing hinders one; what the models say of themselves stays.
    fn seems_well(&self) {
        if !self.context.status.borrow().connected {
            self.gate.connected();
        }
    }

    /// Keeps the counters fresh for so long.
    async fn rest(&mut self, rest: Duration) {
        let over = tokio::time::sleep(rest);
        tokio::pin!(over);
        loop {
            tokio::select! {
                () = &mut over => return,
                () = self.gate.publish_due() => {}
            }
        }
    }

    /// Has a picture looked at, and hands over what is news.
    async fn look(&mut self, jpeg: Vec<u8>) -> Result<(), Stopped> {
        let bytes = jpeg.len() as u64;
        self.gate.count(|tally| tally.bytes += bytes);
        let now = self.context.clock.now();
        let verdict = self.eyes.look(&self.context.name, jpeg, now).await;
        match verdict {
            Ok(verdict) => self.tell(verdict, now).await,
            Err(why) => {
                self.counts.failed += 1;
                self.show_counts();
                self.gate.trouble(why);
                Ok(())
            }
        }
    }

    async fn tell(&mut self, verdict: Verdict, now: Now) -> Result<(), Stopped> {
        let Verdict { outcome, news } = verdict;
        match &outcome {
            Outcome::Looked => self.counts.looked += 1,
            Outcome::Still => self.counts.still += 1,
            Outcome::Blind(_) => self.counts.blind += 1,
            Outcome::Failed(..) => self.counts.failed += 1,
            Outcome::Refused(_) => {}
        }
        match outcome {
            Outcome::Refused(bad) => {
                tracing::debug!(reason = %bad, "picture refused");
                self.gate.reject(eyes::reason(bad));
            }
            Outcome::Failed(_, error) => {
                self.gate.trouble(format!("the model fails on its pictures: {error}"));
            }
            _ => {
                self.gate.count(|tally| tally.frames += 1);
                self.gate.connected();
            }
        }
        self.show_counts();
        let mut samples = vec![];
        for told in news {
            if let Told::Occupancy { zone, seen } = told {
                samples.push(self.sample(zone, seen, now.utc));
            } else {
                let sighting = self.sighting(told, now);
                self.gate.hand_over_input(Input::Sighting(Box::new(sighting))).await?;
            }
        }
        self.gate.count(|tally| samples.iter().for_each(|sample| tally.sample(sample.at)));
        self.gate.hand_over(samples, |_| None).await
    }

    fn show_counts(&self) {
        let counts = self.counts;
        self.context.status.send_if_modified(|status| {
            let changed = status.pictures != Some(counts);
            status.pictures = Some(counts);
            changed
        });
    }

    fn sample(&self, zone: usize, seen: Option<(usize, f32)>, at: Utc) -> Sample {
        let CameraZone { name, objects, .. } = &self.camera.zones[zone];
        let what = seen.and_then(|(class, _)| objects.get(class).copied().flatten());
        let confidence = match seen {
            Some((_, score)) => permille(score),
            // No object of these classes is as sure as the least score: it can be no surer than that.
            None => Permille::clamped(1000 - i64::from(self.least(zone).get())),
        };
        Sample {
            source: self.context.name.clone(),
            device: Some(name.clone()),
            counter: None,
            at: Some(at),
            quantities: vec![Quantity::Detected(Detection { what, confidence })],
        }
    }

    /// The least score of a zone that tells what stands there.
    fn least(&self, zone: usize) -> Permille {
        let least = match &self.camera.settings.zones[zone].task {
            Task::Occupancy(classes) => classes.iter().map(|(_, score)| *score).fold(1.0, f32::min),
            Task::Problem(_) => 1.0,
        };
        permille(least)
    }

    fn sighting(&self, told: Told, now: Now) -> Sighting {
        let source = self.context.name.clone();
        match told {
            Told::Fault(blind) => fault(source, Some(blind)),
            Told::Works => fault(source, None),
            Told::Over { zone } => of_zone(source, &self.camera.zones[zone], Change::Over),
            Told::Begins { zone, seen, model, class, picture } => {
                let zone = &self.camera.zones[zone];
                let look = look(&zone.name, &seen, model, class, now);
                let text = format!(
                    "{}: {} in {} of {} pictures",
                    zone.name, look.class, look.hits, look.frames
                );
                let confidence = (look.score.get() / 10) as u8;
                let media = picture.map(|hash| format!("sha256:{hash}"));
                let seen = Seen { confidence, text, look: Some(look), media };
                of_zone(source, zone, Change::Begins(seen))
            }
            Told::Occupancy { .. } => unreachable!("what stands in a zone is a sample"),
        }
    }
}

fn of_zone(source: SourceName, zone: &CameraZone, change: Change) -> Sighting {
    let problem = zone.problem.as_ref().expect("only zones with a problem have news of one");
    let Problem { category, severity, subject } = problem.clone();
    Sighting { source, zone: Some(zone.name.to_string()), category, severity, subject, change }
}

/// The camera shows nothing, or something again.
fn fault(source: SourceName, blind: Option<&str>) -> Sighting {
    let change = blind.map_or(Change::Over, |blind| {
        let text = match blind {
            "frozen" => "the picture has not changed at all: the camera hangs",
            "dark" => "the picture has been dark for longer than any night",
            _ => "the picture is of one colour: the lens is covered, or broken",
        };
        Change::Begins(Seen { confidence: 90, text: text.to_owned(), look: None, media: None })
    });
    Sighting {
        source,
        zone: None,
        category: Category::new("camera_fault").expect("a symbol of the catalogue"),
        severity: Severity::Medium,
        subject: Subject::Camera,
        change,
    }
}

fn look(
    zone: &DeviceKey,
    seen: &vision::watch::Seen,
    model: eyes::ModelId,
    class: String,
    now: Now,
) -> Look {
    let thousandths = |fraction: f32| permille(fraction).get();
    let ago = |then: u64| now.utc - Span::from_ms(now.monotonic.as_ms().saturating_sub(then));
    let bounds = seen.bounds;
    Look {
        zone: zone.to_string(),
        model: model.name,
        model_sha256: model.sha256,
        class,
        score: permille(seen.score),
        bounds: [bounds.x1, bounds.y1, bounds.x2, bounds.y2].map(thousandths),
        hits: seen.hits,
        frames: seen.frames,
        first: ago(seen.first),
        last: ago(seen.last),
    }
}

/// A share from 0 to 1 in thousandths.
fn permille(share: f32) -> Permille {
    Permille::clamped((f64::from(share) * 1000.0).round() as i64)
}

#[cfg(test)]
mod tests;
