//! The one thread that looks at pictures, for all cameras of a box.
//!
//! A camera hands over one picture and waits for the verdict before it takes its newest next one, so
//! that frames are dropped at the camera and readings never. Between two looks the thread rests for
//! twice as long as the last one took, and for longer when the processor is hot: two thirds of a core
//! stay for everything else.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;
use std::time::Duration;

use domain::ids::SourceName;
use domain::time::Now;
use tokio::sync::oneshot;
use vision::model::Model;
use vision::picture::BadPicture;
use vision::scene::{Models, News, Outcome, Scene};
use vision::watch::Seen;

use crate::clock::Clock;
use crate::config::{Camera, CameraModel, Source, SourceKind};
use crate::evidence::Album;
use crate::health;

/// The longest rest after a look.
const REST_MAX: Duration = Duration::from_secs(5);
/// Rest after a look, in looks.
const REST: u32 = 2;
/// The same when the processor is hot.
const REST_HOT: u32 = 8;
/// From here on it is, in degrees Celsius: a Pi slows down by itself at 80.
const HOT: f64 = 75.0;
/// Pictures on their way to the thread, of all cameras. Each camera waits for its verdict, so that there
/// is never more than one of each.
const QUEUE_MAX: usize = 64;

/// A picture for the thread.
struct Job {
    camera: SourceName,
    jpeg: Vec<u8>,
    at: Now,
    verdict: oneshot::Sender<Result<Verdict, String>>,
}

/// What the thread says of a picture.
#[derive(Debug)]
pub(super) struct Verdict {
    pub(super) outcome: Outcome,
    pub(super) news: Vec<Told>,
}

/// What is news, with the picture kept.
#[derive(Debug)]
pub(super) enum Told {
    Occupancy { zone: usize, seen: Option<(usize, f32)> },
    Begins { zone: usize, seen: Seen, model: ModelId, class: String, picture: Option<String> },
    Over { zone: usize },
    Fault(&'static str),
    Works,
}

/// Which weights saw it.
#[derive(Debug, Clone)]
pub(super) struct ModelId {
    pub(super) name: String,
    pub(super) sha256: String,
}

/// The way to the thread.
#[derive(Clone)]
pub struct Eyes(SyncSender<Job>);

impl fmt::Debug for Eyes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Eyes")
    }
}

impl Eyes {
    /// Starts the thread if there is a camera. It ends when nobody holds a way to it any more.
    pub fn open(sources: &[Source], buffer: &std::path::Path, clock: Clock) -> Option<Eyes> {
        let camera = |source: &Source| match &source.kind {
            SourceKind::Camera(camera) => Some((source.name.clone(), (**camera).clone())),
            _ => None,
        };
        let cameras: Vec<_> = sources.iter().filter_map(camera).collect();
        if cameras.is_empty() {
            return None;
        }
        let (jobs, taken) = sync_channel(QUEUE_MAX);
        let album = Album::of(buffer);
        let looker = move || Looker::new(cameras, album, clock).run(&taken);
        // Without the thread there are no verdicts, which every camera then shows as its trouble.
        if let Err(error) = thread::Builder::new().name("eyes".to_owned()).spawn(looker) {
            tracing::error!(error = %error, "no thread for cameras");
        }
        Some(Eyes(jobs))
    }

    /// Has a picture looked at; an error says in words why nobody can.
    pub(super) async fn look(
        &self,
        camera: &SourceName,
        jpeg: Vec<u8>,
        at: Now,
    ) -> Result<Verdict, String> {
        let (verdict, heard) = oneshot::channel();
        let job = Job { camera: camera.clone(), jpeg, at, verdict };
        // There is room: one picture of each camera at the most.
        self.0.try_send(job).map_err(|_| "nobody looks at pictures".to_owned())?;
        heard.await.map_err(|_| "nobody looks at pictures".to_owned())?
    }
}

struct Looker {
    models: Models,
    scenes: BTreeMap<SourceName, Result<Scene, String>>,
    zones: BTreeMap<SourceName, Vec<usize>>,
    album: Album,
    clock: Clock,
}

impl Looker {
    /// Loads every model once. A camera with a model that cannot be used is blind, and says why.
    fn new(cameras: Vec<(SourceName, Camera)>, album: Album, clock: Clock) -> Looker {
        let mut numbers: BTreeMap<PathBuf, Result<usize, String>> = BTreeMap::new();
        let mut models: Models = Vec::new();
        let mut ready = Vec::new();
        for (name, camera) in cameras {
            let own: Result<Vec<usize>, String> = camera
                .models
                .iter()
                .map(|model| {
                    let open = || open(model, &mut models);
                    numbers.entry(model.path.clone()).or_insert_with(open).clone()
                })
                .collect();
            ready.push((name, camera, own));
        }
        let (mut scenes, mut zones) = (BTreeMap::new(), BTreeMap::new());
        for (name, camera, own) in ready {
            let mut settings = camera.settings;
            let scene = own.map(|own| {
                // The numbers of a camera's own models become those of all.
                settings.faces = settings.faces.map(|model| own[model]);
                for zone in &mut settings.zones {
                    zone.model = own[zone.model];
                }
                zones.insert(name.clone(), settings.zones.iter().map(|z| z.model).collect());
                Scene::new(settings, &models)
            });
            scenes.insert(name, scene);
        }
        Looker { models, scenes, zones, album, clock }
    }

    #[allow(
        clippy::disallowed_methods,
        reason = "a rest is time, on a thread that does nothing else"
    )]
    fn run(mut self, jobs: &Receiver<Job>) {
        while let Ok(job) = jobs.recv() {
            let before = self.clock.now().monotonic;
            let verdict = self.look(&job);
            let looked = matches!(&verdict, Ok(Verdict { outcome: Outcome::Looked, .. }));
            let took = self.clock.now().monotonic.as_ms().saturating_sub(before.as_ms());
            // The camera may have stopped meanwhile.
            drop(job.verdict.send(verdict));
            if looked {
                thread::sleep(rest(Duration::from_millis(took), health::temperature()));
            }
        }
    }

    fn look(&mut self, job: &Job) -> Result<Verdict, String> {
        let scene = self.scenes.get_mut(&job.camera).ok_or("it is no camera")?;
        let scene = scene.as_mut().map_err(|why| why.clone())?;
        let (outcome, news) = scene.take(&job.jpeg, &mut self.models, job.at.monotonic.as_ms());
        let zones = &self.zones[&job.camera];
        let news = news.into_iter().map(|news| self.tell(zones, news)).collect();
        Ok(Verdict { outcome, news })
    }

    fn tell(&self, zones: &[usize], news: News) -> Told {
        match news {
            News::Occupancy { zone, seen } => Told::Occupancy { zone, seen },
            News::Over { zone } => Told::Over { zone },
            News::Fault(blind) => Told::Fault(blind.as_str()),
            News::Works => Told::Works,
            News::Begins { zone, seen, picture } => {
                let manifest = self.models[zones[zone]].manifest();
                let model =
                    ModelId { name: manifest.name.clone(), sha256: manifest.sha256.clone() };
                let class = manifest.classes[seen.class].clone();
                let picture = picture.and_then(|jpeg| match self.album.keep(&jpeg) {
                    Ok(hash) => Some(hash),
                    Err(error) => {
                        tracing::error!(error = %error, "the picture of a finding cannot be kept");
                        None
                    }
                });
                Told::Begins { zone, seen, model, class, picture }
            }
        }
    }
}

/// Opens a model and gives it the next number.
fn open(model: &CameraModel, models: &mut Models) -> Result<usize, String> {
    match Model::of(model.manifest.clone(), &model.path) {
        Ok(model) => {
            let manifest = model.manifest();
            tracing::info!(model = manifest.name, sha256 = manifest.sha256, "model is ready");
            models.push(model);
            Ok(models.len() - 1)
        }
        Err(error) => {
            tracing::error!(error = %error, "a model cannot be used; the box goes on without it");
            Err(error.to_string())
        }
    }
}

/// How long to rest after a look.
fn rest(took: Duration, temperature: Option<f64>) -> Duration {
    let hot = temperature.is_some_and(|degrees| degrees >= HOT);
    (took * if hot { REST_HOT } else { REST }).min(REST_MAX)
}

/// Under which reason a picture that was not taken is counted.
pub(super) fn reason(bad: BadPicture) -> domain::decode::Reason {
    use domain::decode::Reason;
    match bad {
        BadPicture::Empty | BadPicture::Cut => Reason::Truncated,
        BadPicture::NotJpeg | BadPicture::Damaged => Reason::Malformed,
        BadPicture::TooManyBytes(_) => Reason::TooLong,
        BadPicture::TooManyPixels { .. } => Reason::OutOfRange,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_thirds_of_a_core_stay_free_and_more_when_it_is_hot() {
        let took = Duration::from_millis(400);
        assert_eq!(rest(took, None), Duration::from_millis(800));
        assert_eq!(rest(took, Some(74.9)), Duration::from_millis(800));
        assert_eq!(rest(took, Some(80.0)), Duration::from_millis(3200));
        assert_eq!(rest(Duration::from_secs(9), None), REST_MAX);
    }
}
