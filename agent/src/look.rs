//! `steward vision`: a model and pictures, for people who set up a camera.
//!
//! Does what a box does with each picture, one by one: decode, look, say what is there. Annotated copies
//! are redacted like the pictures of findings.

mod accuracy;

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use domain::time::{Boot, Monotonic};
use serde_json::json;
use vision::bounds::{Bounds, Detection};
use vision::model::Model;
use vision::picture::{Limits, Picture};
use vision::redact::Private;
use vision::zone::Polygon;
use vision::{evidence, manifest::Manifest};

pub use self::accuracy::Marked;
use crate::clock::Clock;
use crate::config;

/// What is wanted.
#[derive(Debug, Clone)]
pub struct Request {
    /// The manifest: a path, or the name of a built-in one.
    pub model: String,
    /// Pictures.
    pub pictures: Vec<PathBuf>,
    /// One JSON object a line instead of text.
    pub json: bool,
    /// Where annotated copies go.
    pub annotate: Option<PathBuf>,
    /// Say how long it took.
    pub bench: bool,
    /// Say how much of what people marked is found.
    pub marked: Option<Marked>,
}

/// Looks at every picture; answers whether the model works and all of them could be read. What is wrong
/// goes to `err`.
///
/// # Errors
/// An output cannot be written.
pub fn look(request: &Request, out: &mut impl Write, err: &mut impl Write) -> io::Result<bool> {
    let mut model = match open(&request.model) {
        Ok(model) => model,
        Err(said) => {
            writeln!(err, "{said}")?;
            return Ok(false);
        }
    };
    let clock = Clock::system(Boot(0));
    let (mut all, mut times) = (true, Vec::new());
    for path in &request.pictures {
        let before = clock.now().monotonic;
        let looked = read(path)
            .and_then(|picture| Ok((model.look(&picture).map_err(|e| e.to_string())?, picture)));
        times.push(elapsed(before, clock.now().monotonic));
        match looked {
            Ok((found, picture)) => {
                tell(request, path, &found, model.manifest(), out)?;
                if let Some(dir) = &request.annotate {
                    annotate(dir, path, &picture, &found, model.manifest(), err)?;
                }
            }
            Err(said) => {
                all = false;
                writeln!(err, "{}: {said}", path.display())?;
            }
        }
    }
    if request.bench {
        write_times(&mut times, out)?;
    }
    if let Some(marked) = &request.marked {
        all &= accuracy::measure(&mut model, &request.pictures, marked, out, err)?;
    }
    Ok(all)
}

/// The JPEGs of a folder, by name.
///
/// # Errors
/// It cannot be read.
pub fn pictures_in(dir: &Path) -> io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(dir)? {
        let path = entry?.path();
        let ending = path.extension().and_then(|e| e.to_str()).unwrap_or_default();
        if ending.eq_ignore_ascii_case("jpg") || ending.eq_ignore_ascii_case("jpeg") {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}

fn open(model: &str) -> Result<Model, String> {
    let (path, manifest) = match config::built_in_manifest(model) {
        Some((path, text)) => {
            let manifest = Manifest::parse(&path, text);
            (path, manifest)
        }
        None => {
            let path = PathBuf::from(model);
            let manifest = Manifest::read(&path);
            (path, manifest)
        }
    };
    let manifest = manifest.map_err(|error| error.to_string())?;
    Model::of(manifest, &path).map_err(|error| error.to_string())
}

fn read(path: &Path) -> Result<Picture, String> {
    let limits = Limits::default();
    let size = std::fs::metadata(path).map_err(|e| e.to_string())?.len();
    if size > limits.bytes as u64 {
        return Err(format!("it has {size} bytes, more than is taken"));
    }
    let jpeg = std::fs::read(path).map_err(|e| e.to_string())?;
    Picture::decode(&jpeg, &limits).map_err(|e| e.to_string())
}

fn tell(
    request: &Request,
    path: &Path,
    found: &[Detection],
    manifest: &Manifest,
    out: &mut impl Write,
) -> io::Result<()> {
    if request.json {
        let one = |one: &Detection| {
            let Bounds { x1, y1, x2, y2 } = one.bounds;
            json!({"class": manifest.classes[one.class], "score": one.score, "box": [x1, y1, x2, y2]})
        };
        let found: Vec<_> = found.iter().map(one).collect();
        return writeln!(out, "{}", json!({"picture": path, "detections": found}));
    }
    writeln!(out, "{}", path.display())?;
    for one in found {
        let Bounds { x1, y1, x2, y2 } = one.bounds;
        let class = &manifest.classes[one.class];
        let score = one.score * 100.0;
        writeln!(out, "  {class:<16} {score:>3.0} %  {x1:.3} {y1:.3} {x2:.3} {y2:.3}")?;
    }
    Ok(())
}

/// A redacted copy with the surest box drawn in; none where nobody could be hidden.
fn annotate(
    dir: &Path,
    path: &Path,
    picture: &Picture,
    found: &[Detection],
    manifest: &Manifest,
    err: &mut impl Write,
) -> io::Result<()> {
    let private = Private::of(&manifest.classes);
    if !private.knows_people() {
        let name = &manifest.name;
        return writeln!(err, "{}: no copy, because {name} does not know people", path.display());
    }
    let hidden = private.boxes(found, &[]);
    let whole = [(0.0, 0.0), (1.0, 0.0), (1.0, 1.0), (0.0, 1.0)];
    let whole = Polygon::new(whole.to_vec()).expect("the whole picture is a polygon");
    let surest = found.first().map_or(Bounds::ALL, |one| one.bounds);
    let Some(jpeg) = evidence::draw(picture, &hidden, &whole, &surest) else {
        return writeln!(err, "{}: no copy is small enough", path.display());
    };
    std::fs::create_dir_all(dir)?;
    std::fs::write(dir.join(path.file_name().unwrap_or_default()), jpeg)
}

fn elapsed(from: Monotonic, to: Monotonic) -> Duration {
    Duration::from_millis(to.as_ms().saturating_sub(from.as_ms()))
}

fn write_times(times: &mut [Duration], out: &mut impl Write) -> io::Result<()> {
    times.sort();
    let (Some(last), count) = (times.last(), times.len()) else { return Ok(()) };
    let (middle, most) = (times[count / 2].as_millis(), last.as_millis());
    writeln!(out, "{count} pictures, decoded and looked at: median {middle} ms, most {most} ms")
}

#[cfg(test)]
mod tests {
    use vision::swatch;

    use super::*;

    fn request(dir: &Path, json: bool) -> Request {
        Request {
            model: swatch::write(dir).unwrap().display().to_string(),
            pictures: vec![dir.join("a.jpg"), dir.join("b.jpg")],
            json,
            annotate: Some(dir.join("out")),
            bench: !json,
            marked: None,
        }
    }

    #[test]
    fn what_people_marked_is_compared_with_what_is_found_and_with_a_reference() {
        let dir = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| std::fs::write(dir.path().join(name), text).unwrap();
        let red = swatch::picture(128, 128, &[(1, 2, 0), (3, 0, 2)]).encode(90);
        std::fs::write(dir.path().join("a.jpg"), &red).unwrap();
        std::fs::write(dir.path().join("b.jpg"), &red).unwrap();
        // Ten cars were marked where the model sees one; the reference saw none and a person.
        let car = r#"{"label": "car", "x": 32, "y": 64, "w": 32, "h": 32}"#;
        let cars = [car; 10].join(",");
        write(
            "marks.json",
            &format!(r#"[{{"file": "a.jpg", "width": 128, "height": 128, "boxes": [{cars}]}}]"#),
        );
        write(
            "seen.json",
            r#"{"score_threshold": 0.5, "images": [{"file": "a.jpg", "det": [
                {"label": "person", "score": 0.9, "x1": 0, "y1": 0, "x2": 9, "y2": 9}]}]}"#,
        );
        let at = |name: &str| dir.path().join(name);
        let marked = Marked { annotations: at("marks.json"), reference: Some(at("seen.json")) };
        let request =
            Request { annotate: None, marked: Some(marked), ..request(dir.path(), false) };
        let (mut out, mut err) = (vec![], vec![]);
        assert!(!look(&request, &mut out, &mut err).unwrap(), "nobody has marked the second");
        let (out, err) = (String::from_utf8(out).unwrap(), String::from_utf8(err).unwrap());
        assert!(err.ends_with("b.jpg: nothing is marked in it; it is left out\n"), "{err}");
        let words = |start: &str| -> Vec<String> {
            let line = out.lines().find(|line| line.starts_with(start)).unwrap();
            line.split_whitespace().map(str::to_owned).collect()
        };
        assert_eq!(words("car"), ["car", "10", "100.0", "10.0", "10.0", "–", "0.0", "0.0"]);
        // Of all: the person that is there was not marked.
        assert_eq!(words("all")[2..], ["10", "50.0", "10.0", "10.0", "0.0", "0.0", "0.0"]);
    }

    #[test]
    fn pictures_are_looked_at_and_what_is_wrong_is_said() {
        let dir = tempfile::tempdir().unwrap();
        let red = swatch::picture(128, 128, &[(1, 2, 0), (3, 0, 2)]).encode(90);
        std::fs::write(dir.path().join("a.jpg"), red).unwrap();
        std::fs::write(dir.path().join("b.jpg"), b"no picture").unwrap();
        let (mut out, mut err) = (vec![], vec![]);
        assert!(!look(&request(dir.path(), false), &mut out, &mut err).unwrap());
        let (out, err) = (String::from_utf8(out).unwrap(), String::from_utf8(err).unwrap());
        assert!(out.contains("car") && out.contains("0.250 0.500 0.500 0.750"), "{out}");
        assert!(out.contains("2 pictures, decoded and looked at: median"), "{out}");
        assert!(err.ends_with("b.jpg: it is no JPEG\n"), "{err}");
        let copy = std::fs::read(dir.path().join("out/a.jpg")).unwrap();
        assert!(Picture::decode(&copy, &Limits::default()).is_ok());
        assert_eq!(pictures_in(dir.path()).unwrap().len(), 2);
        let (mut out, mut err) = (vec![], vec![]);
        look(&request(dir.path(), true), &mut out, &mut err).unwrap();
        let line: serde_json::Value = serde_json::from_slice(&out).unwrap();
        let mut classes: Vec<_> = line["detections"]
            .as_array()
            .unwrap()
            .iter()
            .map(|one| one["class"].as_str())
            .collect();
        classes.sort_unstable();
        assert_eq!(classes, [Some("car"), Some("person")]);
    }

    #[test]
    fn a_model_that_is_not_there_is_said_with_its_path() {
        let mut err = vec![];
        let dir = tempfile::tempdir().unwrap();
        let request = Request { model: "yunet_n_320".into(), ..request(dir.path(), true) };
        assert!(!look(&request, &mut vec![], &mut err).unwrap());
        let err = String::from_utf8(err).unwrap();
        assert!(err.contains("/var/lib/steward/models/yunet_n_320.onnx: cannot be read"), "{err}");
    }
}
