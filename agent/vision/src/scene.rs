//! One camera: from a frame to what is news in its zones.
//!
//! A [`Scene`] holds what is remembered of a camera between frames, and no model: models are shared by
//! all cameras of a box, and handed in with each frame. Time is an argument.

use std::hash::{DefaultHasher, Hash, Hasher};

use crate::bounds::{Bounds, Detection};
use crate::evidence;
use crate::manifest::Family;
use crate::model::{LookError, Model};
use crate::motion::{Blind, Gate, Thresholds, Worth};
use crate::network::{Network, Rten};
use crate::picture::{BadPicture, Limits, Picture};
use crate::redact::Private;
use crate::watch::{Change, Millis, Seen, Terms, Touch, Watch, is_in};
use crate::zone::Polygon;

/// What a zone is for.
#[derive(Debug, Clone, PartialEq)]
pub enum Task {
    /// Tells with every look what stands there: of these classes, each with the least score.
    Occupancy(Vec<(usize, f32)>),
    /// Tells when a problem begins and when it is over.
    Problem(Terms),
}

/// A zone of a camera.
#[derive(Debug, Clone, PartialEq)]
pub struct Zone {
    /// Where it is in the picture.
    pub polygon: Polygon,
    /// The model that looks at it, by its number among the models of the box. A classifier is shown the
    /// part of the picture around the polygon; every other model the whole picture.
    pub model: usize,
    /// What it is for.
    pub task: Task,
}

/// What a camera is set to.
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    /// The zones.
    pub zones: Vec<Zone>,
    /// The model that finds faces, by its number.
    pub faces: Option<usize>,
    /// The most a picture may be.
    pub limits: Limits,
    /// When a frame is worth a look.
    pub gate: Thresholds,
    /// A camera that shows nothing for so long is out of order.
    pub fault_after: Millis,
}

/// What became of a frame.
#[derive(Debug, Clone, PartialEq)]
pub enum Outcome {
    /// It is no picture that is taken.
    Refused(BadPicture),
    /// It shows nothing.
    Blind(Blind),
    /// Nothing moved: no network has seen it.
    Still,
    /// A model failed on it: its number, and why.
    Failed(usize, LookError),
    /// It was looked at.
    Looked,
}

/// What is news after a frame.
#[derive(Debug, Clone, PartialEq)]
pub enum News {
    /// What stands in a zone: the class and the score of the surest object, or nothing.
    Occupancy {
        /// The number of the zone.
        zone: usize,
        /// The object; `None`: none is as sure as asked for.
        seen: Option<(usize, f32)>,
    },
    /// A problem begins.
    Begins {
        /// The number of the zone.
        zone: usize,
        /// What was seen.
        seen: Seen,
        /// The picture of it, redacted; `None` where none may leave, or none is small enough.
        picture: Option<Vec<u8>>,
    },
    /// A problem is over, or there is none.
    Over {
        /// The number of the zone.
        zone: usize,
    },
    /// The camera has shown nothing for too long.
    Fault(Blind),
    /// The camera shows something again, or for the first time.
    Works,
}

/// Whether the camera shows anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sight {
    Unknown,
    Good,
    Blind { kind: Blind, since: Millis, told: bool },
}

/// A night without a lamp is no fault; darkness for longer is.
const DARK_MAX: Millis = 18 * 60 * 60 * 1000;

/// What is remembered of a camera.
#[derive(Debug, Clone)]
pub struct Scene {
    settings: Settings,
    gate: Gate,
    watches: Vec<Option<Watch>>,
    private: Vec<Private>,
    sight: Sight,
}

impl Scene {
    /// Has seen nothing yet. `models` are those that frames will be shown to.
    #[must_use]
    pub fn new<N: Network>(settings: Settings, models: &[Model<N>]) -> Scene {
        let watch = |zone: &Zone| match &zone.task {
            Task::Occupancy(_) => None,
            Task::Problem(terms) => Some(Watch::new(terms.clone())),
        };
        Scene {
            gate: Gate::new(settings.gate),
            watches: settings.zones.iter().map(watch).collect(),
            private: models.iter().map(|m| Private::of(&m.manifest().classes)).collect(),
            sight: Sight::Unknown,
            settings,
        }
    }

    /// Takes a frame.
    pub fn take<N: Network>(
        &mut self,
        jpeg: &[u8],
        models: &mut [Model<N>],
        now: Millis,
    ) -> (Outcome, Vec<News>) {
        let picture = match Picture::decode(jpeg, &self.settings.limits) {
            Ok(picture) => picture,
            Err(bad) => return (Outcome::Refused(bad), vec![]),
        };
        let worth = self.gate.judge(&picture, print(jpeg), now);
        let mut news = Vec::new();
        news.extend(self.sight(worth, now));
        match worth {
            Worth::Blind(blind) => return (Outcome::Blind(blind), news),
            Worth::Still => return (Outcome::Still, news),
            Worth::Look => {}
        }
        match Found::by(&self.settings, &picture, models) {
            Ok(found) => {
                self.look(&picture, &found, models, now, &mut news);
                (Outcome::Looked, news)
            }
            Err((model, error)) => (Outcome::Failed(model, error), news),
        }
    }

    /// Whether the camera shows something, and since when it does not.
    fn sight(&mut self, worth: Worth, now: Millis) -> Option<News> {
        let Worth::Blind(kind) = worth else {
            let before = std::mem::replace(&mut self.sight, Sight::Good);
            let told = matches!(before, Sight::Unknown | Sight::Blind { told: true, .. });
            return told.then_some(News::Works);
        };
        let (since, told) = match self.sight {
            Sight::Blind { kind: before, since, told } if before == kind => (since, told),
            // Another kind of nothing: the fault that was told stays told.
            Sight::Blind { told, .. } => (now, told),
            Sight::Unknown | Sight::Good => (now, false),
        };
        let most = if kind == Blind::Dark { DARK_MAX } else { self.settings.fault_after };
        let due = !told && now.saturating_sub(since) >= most;
        self.sight = Sight::Blind { kind, since, told: told || due };
        due.then_some(News::Fault(kind))
    }

    fn look<N: Network>(
        &mut self,
        picture: &Picture,
        found: &Found,
        models: &mut [Model<N>],
        now: Millis,
        news: &mut Vec<News>,
    ) {
        for (number, zone) in self.settings.zones.iter().enumerate() {
            let own = found.of(number, zone.model);
            match (&zone.task, self.watches.get_mut(number).and_then(Option::as_mut)) {
                (Task::Problem(_), Some(watch)) => match watch.look(&zone.polygon, own, now) {
                    Some(Change::Begins(seen)) => {
                        let picture = self.private_picture(picture, found, models, zone, &seen);
                        news.push(News::Begins { zone: number, seen, picture });
                    }
                    Some(Change::Over) => news.push(News::Over { zone: number }),
                    None => {}
                },
                (Task::Occupancy(classes), _) => {
                    let seen = surest(&zone.polygon, classes, own);
                    news.push(News::Occupancy { zone: number, seen });
                }
                (Task::Problem(_), None) => unreachable!("every problem has its watch"),
            }
        }
    }

    /// The picture of a finding, if one may leave.
    fn private_picture<N: Network>(
        &self,
        picture: &Picture,
        found: &Found,
        models: &mut [Model<N>],
        zone: &Zone,
        seen: &Seen,
    ) -> Option<Vec<u8>> {
        let faces = match self.settings.faces {
            None => vec![],
            // A face model that fails has found no faces, which is not to say that there are none.
            Some(n) => models.get_mut(n)?.look(picture).ok()?,
        };
        let knows_people = found.whole.iter().any(|(n, _)| self.private[*n].knows_people());
        if self.settings.faces.is_none() && !knows_people {
            return None;
        }
        let faces: Vec<Bounds> = faces.iter().map(|face| face.bounds).collect();
        let mut hidden = Private::default().boxes(&[], &faces);
        for (model, found) in &found.whole {
            hidden.extend(self.private[*model].boxes(found, &[]));
        }
        evidence::draw(picture, &hidden, &zone.polygon, &seen.bounds)
    }
}

/// What the models found in one frame.
struct Found {
    /// By the detectors, in the whole picture.
    whole: Vec<(usize, Vec<Detection>)>,
    /// By classifiers, in the part around a zone: number of the zone.
    parts: Vec<(usize, Vec<Detection>)>,
}

impl Found {
    fn by<N: Network>(
        settings: &Settings,
        picture: &Picture,
        models: &mut [Model<N>],
    ) -> Result<Found, (usize, LookError)> {
        let mut found = Found { whole: vec![], parts: vec![] };
        for (number, zone) in settings.zones.iter().enumerate() {
            let Some(model) = models.get_mut(zone.model) else { continue };
            let failed = |error| (zone.model, error);
            if model.manifest().family == Family::Classifier {
                let bounds = zone.polygon.bounds();
                let Some(part) = picture.crop(&bounds) else { continue };
                let said = model.look(&part).map_err(failed)?;
                let there = said.into_iter().map(|one| Detection { bounds, ..one });
                found.parts.push((number, there.collect()));
            } else if found.whole.iter().all(|(known, _)| *known != zone.model) {
                found.whole.push((zone.model, model.look(picture).map_err(failed)?));
            }
        }
        Ok(found)
    }

    fn of(&self, zone: usize, model: usize) -> &[Detection] {
        let part = self.parts.iter().find(|(number, _)| *number == zone);
        let whole = || self.whole.iter().find(|(number, _)| *number == model);
        part.or_else(whole).map_or(&[], |(_, found)| found)
    }
}

/// The surest object of some classes that stands in a polygon.
fn surest(
    polygon: &Polygon,
    classes: &[(usize, f32)],
    found: &[Detection],
) -> Option<(usize, f32)> {
    let wanted = |one: &&Detection| {
        classes.iter().any(|(class, least)| *class == one.class && one.score >= *least)
            && is_in(polygon, Touch::Foot, &one.bounds)
    };
    let best = found.iter().filter(wanted).max_by(|a, b| a.score.total_cmp(&b.score));
    best.map(|one| (one.class, one.score))
}

/// Tells the bytes of a frame from those of others.
fn print(jpeg: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    jpeg.hash(&mut hasher);
    hasher.finish()
}

/// The models of a box, opened by the engine that is built in.
pub type Models = Vec<Model<Rten>>;

#[cfg(test)]
mod tests;
