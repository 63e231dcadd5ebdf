//! What a camera is and what is looked for in its pictures. Everything here was checked when the
//! configuration was read; the weights of the models were not, so that a damaged file costs the box its
//! eyes and not its ears.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use domain::ids::{Category, DeviceKey};
use domain::rules::Severity;
use domain::sample::Object;
use domain::sightings::Subject;
use vision::manifest::Manifest;
use vision::model::Model;
use vision::scene::Settings;

use super::{Fault, HttpUrl, Level, Place, Secret, Source, SourceKind};

/// A camera.
#[derive(Debug, Clone)]
pub struct Camera {
    /// Where its pictures come from.
    pub pictures: Pictures,
    /// The least time between two looks.
    pub every: Duration,
    /// Its models, in the order of their numbers in `settings`.
    pub models: Vec<CameraModel>,
    /// Zones, thresholds and limits.
    pub settings: Settings,
    /// What each zone of `settings` means.
    pub zones: Vec<CameraZone>,
}

/// A model, by what is known of it; its weights were not looked at.
#[derive(Clone)]
pub struct CameraModel {
    /// The manifest.
    pub manifest: Manifest,
    /// Where that stands, or would stand if it were not built in.
    pub path: PathBuf,
    /// Where the configuration names it.
    pub place: Place,
}

impl fmt::Debug for CameraModel {
    /// Without its place: it means the same on every line.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("CameraModel");
        shown.field("manifest", &self.manifest).field("path", &self.path).finish_non_exhaustive()
    }
}

/// Where pictures come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Pictures {
    /// Files that somebody puts into a folder.
    Folder {
        /// Which.
        path: PathBuf,
        /// They stay there after they were taken.
        keep: bool,
    },
    /// A picture for each question to a web server.
    Snapshot(CameraServer),
    /// One answer of a web server that never ends (MJPEG).
    Stream(CameraServer),
    /// The output of a program: one JPEG after the other. The first word is the program.
    Command(Vec<String>),
    /// A USB camera: its device.
    Usb(PathBuf),
}

/// A web server with pictures.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CameraServer {
    /// Where.
    pub url: HttpUrl,
    /// User name and password, shown as the server asks for them: HTTP Digest or Basic.
    pub login: Option<(String, Secret)>,
    /// Own certificate authority, PEM; `None`: the system's roots.
    pub ca_file: Option<PathBuf>,
}

/// What a zone means.
#[derive(Debug, Clone)]
pub struct CameraZone {
    /// Its name: the device that a bay names.
    pub name: DeviceKey,
    /// What a class of its model is in the street, by its number.
    pub objects: Vec<Option<Object>>,
    /// The problem it looks for; `None`: it tells a bay what stands there.
    pub problem: Option<Problem>,
}

/// A problem that a zone looks for.
#[derive(Debug, Clone)]
pub struct Problem {
    /// What kind.
    pub category: Category,
    /// How bad.
    pub severity: Severity,
    /// What it is about.
    pub subject: Subject,
}

/// What a class is in the street, by its name.
#[must_use]
pub fn object(class: &str) -> Option<Object> {
    Some(match class {
        "car" | "van" | "vehicle" => Object::Car,
        "truck" => Object::Truck,
        "bus" => Object::Bus,
        "motorcycle" => Object::Motorcycle,
        "bicycle" => Object::Bicycle,
        "person" | "pedestrian" => Object::Person,
        _ => return None,
    })
}

/// Opens every model that a camera names; answers what is wrong with them.
///
/// A box that starts does the same, and goes on without a model that cannot be used: a damaged file
/// costs it its eyes and not its ears. Who checks a configuration wants to know.
#[must_use]
pub fn try_models(sources: &[Source]) -> Vec<Fault> {
    let cameras = sources.iter().filter_map(|source| match &source.kind {
        SourceKind::Camera(camera) => Some(camera),
        _ => None,
    });
    let models: BTreeMap<&PathBuf, &CameraModel> =
        cameras.flat_map(|camera| &camera.models).map(|model| (&model.path, model)).collect();
    let tried = models.into_values().filter_map(|model| {
        let said = Model::of(model.manifest.clone(), &model.path).err()?.to_string();
        let (cause, fix) = said.rsplit_once("; ").unwrap_or((&said, "use another model"));
        // Weights are brought to a box after its configuration; until then the camera alone waits.
        let level = if model.path.exists() { Level::Error } else { Level::Warning };
        let place = model.place.clone();
        Some(Fault { place, level, cause: cause.to_owned(), fix: fix.to_owned() })
    });
    tried.collect()
}

/// Where the weights of built-in manifests are looked for.
const MODELS_DIR: &str = "/var/lib/steward/models";

/// The manifests that are built in, by their names.
const MANIFESTS: [(&str, &str); 3] = [
    ("fastestdet_352", include_str!("../../../config/models/fastestdet_352.toml")),
    ("yolox_nano_416", include_str!("../../../config/models/yolox_nano_416.toml")),
    ("yunet_n_320", include_str!("../../../config/models/yunet_n_320.toml")),
];

/// The built-in manifest of this name: its text, and where it would stand.
#[must_use]
pub fn built_in_manifest(name: &str) -> Option<(PathBuf, &'static str)> {
    let (name, text) = MANIFESTS.iter().find(|(known, _)| *known == name)?;
    Some((Path::new(MODELS_DIR).join(format!("{name}.toml")), text))
}
