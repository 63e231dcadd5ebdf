//! What is known of a model: the file beside the weights that says how to feed them and how to read
//! what comes out.
//!
//! A manifest is TOML. It names the ONNX file with its SHA-256, so that a ticket can say which weights
//! saw a problem, and every setting of the preprocessing: none of them can be told from the weights, and
//! a wrong one only shows as worse detections. Weights are not part of the program; whoever configures
//! them answers for their licence, which the manifest names.

use std::path::{Path, PathBuf};

use serde::Deserialize;
use sha2::{Digest, Sha256};

use crate::fit::{Colour, Fit, Preprocessing};

/// How the outputs of a network are laid out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Family {
    /// YOLOX: one row per cell, box relative to the cell, objectness and class scores.
    Yolox,
    /// YOLOv5: one row per anchor, box in pixels, objectness and class scores.
    Yolov5,
    /// YOLOv8 and v11: one column per cell, box in pixels, class scores.
    Yolov8,
    /// FastestDet: one plane per value, one grid.
    Fastestdet,
    /// NanoDet and PicoDet: class scores and distributions of the four distances, one or more grids.
    Gfl,
    /// YuNet: faces, three grids.
    Yunet,
    /// One score per class for the whole picture.
    Classifier,
}

impl Family {
    /// The word in manifests.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Family::Yolox => "yolox",
            Family::Yolov5 => "yolov5",
            Family::Yolov8 => "yolov8",
            Family::Fastestdet => "fastestdet",
            Family::Gfl => "gfl",
            Family::Yunet => "yunet",
            Family::Classifier => "classifier",
        }
    }
}

/// A manifest, checked.
#[derive(Debug, Clone, PartialEq)]
pub struct Manifest {
    /// What the model is called: the name of the manifest without its ending.
    pub name: String,
    /// The ONNX file.
    pub file: PathBuf,
    /// The SHA-256 of the file, 64 small hexadecimal digits.
    pub sha256: String,
    /// How the outputs are laid out.
    pub family: Family,
    /// What the network wants of its input.
    pub input: Preprocessing,
    /// The names of the classes, in the order of the outputs.
    pub classes: Vec<String>,
    /// Detections less sure than this are not made, 0 to 1.
    pub score_min: f32,
    /// Two boxes of one class that overlap more are one object, 0 to 1.
    pub overlap_max: f32,
    /// The class scores are logits: the classifier has no softmax at its end.
    pub logits: bool,
    /// Pictures with the detections that a trusted runtime makes of them: the model is only taken when
    /// it makes the same. Without it, an int8 model is refused.
    pub check: Option<PathBuf>,
    /// Under which licence the weights are.
    pub licence: String,
}

/// Why a manifest or its model file was not taken; each says where and what to do.
#[derive(Debug, thiserror::Error)]
pub enum ManifestError {
    /// It cannot be read.
    #[error("{}: cannot be read: {error}; check the path and its permissions", path.display())]
    Unreadable {
        /// Which file.
        path: PathBuf,
        /// What the system said.
        error: std::io::Error,
    },
    /// It is no TOML, or has wrong keys or types.
    #[error("{}: {error}", path.display())]
    Malformed {
        /// Which file.
        path: PathBuf,
        /// What and where, by the parser.
        error: Box<toml::de::Error>,
    },
    /// A value cannot be.
    #[error("{}: {key}: {cause}; {fix}", path.display())]
    Value {
        /// Which file.
        path: PathBuf,
        /// Which key.
        key: &'static str,
        /// What is wrong.
        cause: String,
        /// What to do.
        fix: String,
    },
    /// The model file is another one.
    #[error(
        "{}: its SHA-256 is {found}, and {} says {wanted}; fetch the file again, or correct sha256 if \
         you trust this one", file.display(), manifest.display()
    )]
    OtherFile {
        /// The manifest.
        manifest: PathBuf,
        /// The model file.
        file: PathBuf,
        /// What the manifest says.
        wanted: String,
        /// What the file has.
        found: String,
    },
}

/// The TOML as it is written.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    file: PathBuf,
    sha256: String,
    family: Family,
    input: [u32; 2],
    fit: WrittenFit,
    #[serde(default = "grey")]
    pad: u8,
    colour: WrittenColour,
    #[serde(default)]
    mean: [f32; 3],
    #[serde(default = "ones")]
    std: [f32; 3],
    classes: Classes,
    #[serde(default = "score_min")]
    score_min: f32,
    #[serde(default = "overlap_max")]
    overlap_max: f32,
    #[serde(default)]
    logits: bool,
    check: Option<PathBuf>,
    licence: String,
    /// Where the weights come from, for people.
    #[serde(default, rename = "source")]
    _source: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum WrittenFit {
    Stretch,
    LetterboxTopLeft,
    LetterboxCentre,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
enum WrittenColour {
    Rgb,
    Bgr,
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Classes {
    Set(String),
    Named(Vec<String>),
}

const fn grey() -> u8 {
    114
}

const fn ones() -> [f32; 3] {
    [1.0; 3]
}

const fn score_min() -> f32 {
    0.35
}

const fn overlap_max() -> f32 {
    0.6
}

/// The largest edge of an input in pixels: one frame of it takes 48 MB already.
const EDGE_MAX: u32 = 2048;
/// The most classes.
const CLASSES_MAX: usize = 2000;
/// The largest model file in bytes: what is larger runs for minutes on such machines.
const FILE_MAX: u64 = 256 * 1024 * 1024;
/// The largest manifest in bytes.
const MANIFEST_MAX: u64 = 1024 * 1024;

impl Manifest {
    /// Reads a manifest. The model file is looked for beside it, and not opened.
    ///
    /// # Errors
    /// [`ManifestError`], which names the file and the key.
    pub fn read(path: &Path) -> Result<Manifest, ManifestError> {
        let bytes = read_bounded(path, MANIFEST_MAX)?;
        Manifest::parse(path, &String::from_utf8_lossy(&bytes))
    }

    /// Reads the text of a manifest that stands, or would stand, at `path`.
    ///
    /// # Errors
    /// As [`Manifest::read`].
    pub fn parse(path: &Path, text: &str) -> Result<Manifest, ManifestError> {
        let written = toml::from_str(text).map_err(|error| ManifestError::Malformed {
            path: path.to_owned(),
            error: Box::new(error),
        })?;
        check(path, written)
    }

    /// Reads the model file and compares its hash.
    ///
    /// # Errors
    /// [`ManifestError::Unreadable`] and [`ManifestError::OtherFile`].
    pub fn weights(&self, manifest: &Path) -> Result<Vec<u8>, ManifestError> {
        let bytes = read_bounded(&self.file, FILE_MAX)?;
        let found = sha256(&bytes);
        if found != self.sha256 {
            return Err(ManifestError::OtherFile {
                manifest: manifest.to_owned(),
                file: self.file.clone(),
                wanted: self.sha256.clone(),
                found,
            });
        }
        Ok(bytes)
    }

    /// The number of a class; `None` when the model does not know it.
    #[must_use]
    pub fn class(&self, name: &str) -> Option<usize> {
        self.classes.iter().position(|class| class == name)
    }
}

fn read_bounded(path: &Path, most: u64) -> Result<Vec<u8>, ManifestError> {
    let failed = |error| ManifestError::Unreadable { path: path.to_owned(), error };
    let size = std::fs::metadata(path).map_err(failed)?.len();
    if size > most {
        let text = format!("it has {size} bytes, more than the {most} that are taken");
        return Err(failed(std::io::Error::other(text)));
    }
    std::fs::read(path).map_err(failed)
}

/// Key, cause and fix of a wrong value.
type Wrong = (&'static str, String, &'static str);

/// Whether every value but the classes can be.
fn numbers(written: &Written) -> Result<(), Wrong> {
    if written.sha256.len() != 64 || !written.sha256.bytes().all(|b| b.is_ascii_hexdigit()) {
        let cause = format!("{:?} is no SHA-256", written.sha256);
        return Err(("sha256", cause, "write what sha256sum prints for the file"));
    }
    let [width, height] = written.input;
    if !(8..=EDGE_MAX).contains(&width) || !(8..=EDGE_MAX).contains(&height) {
        let cause = format!("{width}x{height} is no size of an input");
        return Err(("input", cause, "write [width, height], each from 8 to 2048"));
    }
    if !written.std.iter().all(|std| std.is_finite() && *std > 0.0) {
        let cause = format!("{:?} has a value that is not above 0", written.std);
        return Err(("std", cause, "write 1.0 for no division, 255.0 for a scale from 0 to 1"));
    }
    if !written.mean.iter().all(|mean| mean.is_finite()) {
        return Err(("mean", "it has a value that is no number".into(), "write 0.0 for none"));
    }
    for (key, value) in [("score_min", written.score_min), ("overlap_max", written.overlap_max)] {
        if !(value > 0.0 && value < 1.0) {
            return Err((key, format!("{value} is not between 0 and 1"), "write such as 0.5"));
        }
    }
    if written.licence.trim().is_empty() {
        return Err(("licence", "it is empty".into(), "write the licence of the weights"));
    }
    Ok(())
}

fn check(path: &Path, written: Written) -> Result<Manifest, ManifestError> {
    let wrong = |(key, cause, fix): Wrong| ManifestError::Value {
        path: path.to_owned(),
        key,
        cause,
        fix: fix.to_owned(),
    };
    numbers(&written).map_err(wrong)?;
    let classes = classes(written.classes).map_err(wrong)?;
    let beside = |file: &Path| path.parent().unwrap_or(Path::new("")).join(file);
    let [width, height] = written.input;
    Ok(Manifest {
        name: path.file_stem().unwrap_or_default().to_string_lossy().into_owned(),
        file: beside(&written.file),
        sha256: written.sha256.to_ascii_lowercase(),
        family: written.family,
        input: Preprocessing {
            width,
            height,
            fit: match written.fit {
                WrittenFit::Stretch => Fit::Stretch,
                WrittenFit::LetterboxTopLeft => Fit::TopLeft,
                WrittenFit::LetterboxCentre => Fit::Centre,
            },
            pad: written.pad,
            colour: match written.colour {
                WrittenColour::Rgb => Colour::Rgb,
                WrittenColour::Bgr => Colour::Bgr,
            },
            mean: written.mean,
            std: written.std,
        },
        classes,
        score_min: written.score_min,
        overlap_max: written.overlap_max,
        logits: written.logits,
        check: written.check.as_deref().map(beside),
        licence: written.licence,
    })
}

fn classes(written: Classes) -> Result<Vec<String>, Wrong> {
    let names = match written {
        Classes::Set(set) if set == "coco80" => COCO80.iter().map(|s| (*s).to_owned()).collect(),
        Classes::Set(set) => {
            let fix = "write \"coco80\", or the names in brackets: [\"ok\", \"overflow\"]";
            return Err(("classes", format!("no set of classes is called {set:?}"), fix));
        }
        Classes::Named(names) => names,
    };
    if names.is_empty() || names.len() > CLASSES_MAX {
        return Err(("classes", format!("{} classes", names.len()), "write from 1 to 2000 names"));
    }
    let mut sorted = names.clone();
    sorted.sort();
    if let Some(twice) = sorted.windows(2).find(|pair| pair[0] == pair[1]) {
        let cause = format!("{:?} is there twice", twice[0]);
        return Err(("classes", cause, "give each class its own name"));
    }
    Ok(names)
}

/// The SHA-256 of some bytes, as manifests and tickets write it.
#[must_use]
pub fn sha256(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

/// Bytes as small hexadecimal digits.
fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digit = |n: u8| char::from(DIGITS[usize::from(n & 15)]);
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(*byte)]).collect()
}

/// The 80 classes of the COCO data set, in the order that detectors number them.
#[rustfmt::skip]
const COCO80: [&str; 80] = [
    "person", "bicycle", "car", "motorcycle", "airplane", "bus", "train", "truck", "boat",
    "traffic light", "fire hydrant", "stop sign", "parking meter", "bench", "bird", "cat", "dog",
    "horse", "sheep", "cow", "elephant", "bear", "zebra", "giraffe", "backpack", "umbrella",
    "handbag", "tie", "suitcase", "frisbee", "skis", "snowboard", "sports ball", "kite",
    "baseball bat", "baseball glove", "skateboard", "surfboard", "tennis racket", "bottle",
    "wine glass", "cup", "fork", "knife", "spoon", "bowl", "banana", "apple", "sandwich", "orange",
    "broccoli", "carrot", "hot dog", "pizza", "donut", "cake", "chair", "couch", "potted plant",
    "bed", "dining table", "toilet", "tv", "laptop", "mouse", "remote", "keyboard", "cell phone",
    "microwave", "oven", "toaster", "sink", "refrigerator", "book", "clock", "vase", "scissors",
    "teddy bear", "hair drier", "toothbrush",
];

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) const GOOD: &str = "file = \"m.onnx\"\n\
        sha256 = \"E3B0C44298FC1C149AFBF4C8996FB92427AE41E4649B934CA495991B7852B855\"\n\
        family = \"yolox\"\ninput = [416, 320]\nfit = \"letterbox-top-left\"\ncolour = \"bgr\"\n\
        classes = \"coco80\"\nlicence = \"Apache-2.0\"\n";

    fn read(text: &str) -> Result<Manifest, ManifestError> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("nano.toml");
        std::fs::write(&path, text).unwrap();
        Manifest::read(&path)
    }

    #[test]
    fn a_manifest_says_everything_about_a_model() {
        let manifest = read(GOOD).unwrap();
        assert_eq!(manifest.name, "nano");
        assert!(manifest.file.ends_with("m.onnx") && manifest.file.is_absolute());
        assert!(manifest.sha256.starts_with("e3b0c442"));
        assert_eq!((manifest.input.width, manifest.input.height), (416, 320));
        assert_eq!((manifest.input.fit, manifest.input.colour), (Fit::TopLeft, Colour::Bgr));
        assert_eq!((manifest.input.pad, manifest.input.std), (114, [1.0; 3]));
        assert_eq!(manifest.class("truck"), Some(7));
        assert_eq!(manifest.class("toothbrush"), Some(79));
        assert_eq!(manifest.class("lorry"), None);
    }

    #[test]
    fn what_is_wrong_is_named_with_its_place() {
        let cases = [
            ("colour = \"bgr\"", "", "missing field `colour`"),
            ("\"yolox\"", "\"yolo\"", "unknown variant `yolo`"),
            ("input = [416, 320]", "input = [416, 4]", "input: 416x4 is no size of an input"),
            ("input", "imput", "line 4"),
            ("sha256 = \"E3", "sha256 = \"", "sha256: \"B0C4"),
            ("licence = \"Apache-2.0\"", "licence = \" \"", "licence: it is empty"),
            ("\"coco80\"", "\"coco81\"", "no set of classes is called \"coco81\""),
            ("\"coco80\"", "[\"a\", \"b\", \"a\"]", "\"a\" is there twice"),
            ("\"coco80\"", "[]", "classes: 0 classes"),
            ("\"coco80\"", "\"coco80\"\nstd = [1.0, 0.0, 1.0]", "std: [1.0, 0.0, 1.0] has a value"),
            ("\"coco80\"", "\"coco80\"\nscore_min = 1.5", "score_min: 1.5 is not between 0 and 1"),
        ];
        for (good, bad, said) in cases {
            let error = read(&GOOD.replacen(good, bad, 1)).unwrap_err().to_string();
            assert!(error.contains(said) && error.contains("nano.toml"), "{bad}: {error}");
        }
    }

    #[test]
    fn only_the_file_with_the_hash_of_the_manifest_is_taken() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("nano.toml");
        std::fs::write(&path, GOOD).unwrap();
        let manifest = Manifest::read(&path).unwrap();
        let missing = manifest.weights(&path).unwrap_err().to_string();
        assert!(missing.contains("m.onnx: cannot be read"), "{missing}");
        std::fs::write(dir.path().join("m.onnx"), b"").unwrap();
        assert_eq!(
            manifest.weights(&path).unwrap(),
            b"",
            "the hash in the test is that of nothing"
        );
        std::fs::write(dir.path().join("m.onnx"), b"x").unwrap();
        let other = manifest.weights(&path).unwrap_err().to_string();
        assert!(other.contains("m.onnx: its SHA-256 is 2d711642"), "{other}");
        assert!(other.contains("nano.toml says e3b0c442"), "{other}");
    }
}
