//! `camera`: where its pictures come from, its models, and its zones.

mod zone;

use std::path::PathBuf;
use std::time::Duration;

use vision::manifest::{Family, Manifest};
use vision::motion::Thresholds;
use vision::picture::Limits;
use vision::scene::Settings;

use self::zone::Models;
use super::super::super::section::{Section, Value};
use super::super::super::{
    Camera, CameraModel, CameraServer, Pictures, Secret, built_in_manifest, defaults, values,
};
use super::super::broker;
use super::{json, refused, sections};

/// The most zones of a camera.
const ZONES_MAX: usize = 32;

/// Reads a source of kind `camera`.
pub(super) fn camera(section: &Section<'_>) -> Option<Camera> {
    let pictures = pictures(section);
    let range = |from, to| Duration::from_millis(from)..=Duration::from_secs(to);
    let every = section.or("every", defaults::CAMERA_EVERY, values::duration(range(100, 3600)));
    let mut models = Models::default();
    let model = section.required("model", "\"yolox_nano_416\"", |v| models.open(v));
    let faces = section.optional("faces", |value| faces(value, &mut models));
    let gate = gate(section);
    let fault_after =
        section.or("fault_after", defaults::CAMERA_FAULT, values::duration(range(1000, 86_400)));
    let given = sections(section, "zone");
    if given.is_empty() {
        section.missing(
            "zone",
            "{ name = \"b-1001\", finds = \"occupancy\", polygon = [[0.1, 0.5], …] }",
        );
    }
    if given.len() > ZONES_MAX {
        let said = format!("it has {} zones; keep {ZONES_MAX}", given.len());
        refused(section, section.at, &said);
    }
    let read = given.iter().filter_map(|zone| zone::zone(zone, model, &mut models));
    let zones: Vec<_> = read.collect();
    let names: Vec<_> = zones.iter().map(|(_, zone)| zone.name.clone()).collect();
    if let Some(twice) = (1..names.len()).find(|n| names[..*n].contains(&names[*n])) {
        refused(
            section,
            section.at,
            &format!("two zones are called {}; give each its own name", names[twice]),
        );
    }
    let complete = zones.len() == given.len() && !zones.is_empty();
    let (looks, zones) = zones.into_iter().unzip();
    let settings = Settings {
        zones: looks,
        faces,
        limits: Limits::default(),
        gate,
        fault_after: millis(fault_after),
    };
    model?;
    let camera =
        Camera { pictures: pictures?, every, models: models.into_inner(), settings, zones };
    complete.then_some(camera)
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// A model that finds faces.
fn faces(value: &Value<'_>, models: &mut Models) -> Option<usize> {
    let number = models.open(value)?;
    if models.manifest(number).family == Family::Classifier {
        value.error("a classifier finds no faces".to_owned(), "name a detector, such as YuNet");
        return None;
    }
    Some(number)
}

fn gate(section: &Section<'_>) -> Thresholds {
    let range = Duration::from_secs(1)..=Duration::from_secs(3600);
    let moved = section.or("moved_pct", defaults::CAMERA_MOVED, values::percent);
    let keepalive =
        section.or("keepalive", defaults::CAMERA_KEEPALIVE, values::duration(range.clone()));
    let frozen = section.value("frozen_after");
    let frozen_after = match &frozen {
        None => Some(defaults::CAMERA_FROZEN),
        Some(value) if value.raw().as_str() == Some("never") => None,
        Some(value) => values::duration(range)(value),
    };
    Thresholds {
        moved_permille: moved.get(),
        keepalive: millis(keepalive),
        frozen_after: frozen_after.map(millis),
    }
}

/// `folder`, `url` with `stream`, `command`, or `usb`.
fn pictures(section: &Section<'_>) -> Option<Pictures> {
    let folder = section.optional("folder", values::path);
    let keep = section.or("keep", false, values::boolean);
    let url = section.value("url");
    let stream = section.or("stream", false, values::boolean);
    let command = section.optional("command", command);
    let usb = section.optional("usb", usb);
    let login = login(section);
    let ca_file = section.value("ca_file");
    let ways = ["folder", "url", "command", "usb"].map(|key| section.value(key).is_some());
    match ways.iter().filter(|given| **given).count() {
        0 => section.missing("folder", "\"/var/lib/camera\", or url = …, command = […] or usb = …"),
        1 => {}
        _ => refused(
            section,
            section.at,
            "it has several ways to its pictures; keep one of folder, url, command and usb",
        ),
    }
    if let Some(folder) = folder {
        return Some(Pictures::Folder { path: folder, keep });
    }
    if let Some(value) = url {
        let url = json::url(&value)?;
        let plain = !url.tls;
        if login.is_some() && plain && !broker::is_here(&url.host) {
            let cause = "the password travels unencrypted".to_owned();
            value.warning(cause, "write https:// in the url, where the camera can");
        }
        let ca_file = ca_file.and_then(|value| broker::certificates(&value, plain));
        let server = CameraServer { url, login, ca_file };
        return Some(if stream { Pictures::Stream(server) } else { Pictures::Snapshot(server) });
    }
    command.map(Pictures::Command).or(usb.map(Pictures::Usb))
}

/// The device of a USB camera.
fn usb(value: &Value<'_>) -> Option<PathBuf> {
    let device = values::path(value)?;
    if !cfg!(feature = "usb-camera") {
        value.error(
            "this program was built without USB cameras".to_owned(),
            "read it with ffmpeg (command, docs/sources.md), or build with --features usb-camera",
        );
        return None;
    }
    Some(device)
}

fn login(section: &Section<'_>) -> Option<(String, Secret)> {
    let user = section.optional("username", values::name);
    let password = section.optional("password_file", broker::password);
    if section.value("username").is_some() != section.value("password_file").is_some() {
        refused(
            section,
            section.at,
            "username and password_file belong together; add the other one",
        );
    }
    Some((user?, password?))
}

/// A program and its arguments. There is no shell that could read them another way.
fn command(value: &Value<'_>) -> Option<Vec<String>> {
    let wanted = "\"ffmpeg\", \"-i\", \"rtsp://…\"";
    let words: Option<Vec<String>> =
        value.items(wanted)?.iter().map(|word| word.as_text(wanted).map(str::to_owned)).collect();
    let words = words?;
    if words.first().is_none_or(String::is_empty) || words.iter().any(|word| word.contains('\0')) {
        value.error("\"command\" names no program".to_owned(), format!("write [{wanted}]"));
        return None;
    }
    Some(words)
}

/// A manifest: a built-in one by its name, any other by its path. Says what is wrong with it.
fn manifest(value: &Value<'_>) -> Option<CameraModel> {
    let wanted = "the path of a manifest, or the name of a built-in one: \"yolox_nano_416\"";
    let text = value.as_text(wanted)?;
    let (path, read) = match built_in_manifest(text) {
        Some((path, text)) => {
            let read = Manifest::parse(&path, text);
            (path, read)
        }
        None => {
            let path = value.as_path(wanted)?;
            let read = Manifest::read(&path);
            (path, read)
        }
    };
    match read {
        Ok(manifest) => Some(CameraModel { manifest, path, place: value.place() }),
        Err(error) => {
            let said = error.to_string();
            let (cause, fix) = said.rsplit_once("; ").unwrap_or((&said, "correct the manifest"));
            value.error(cause.to_owned(), fix);
            None
        }
    }
}
