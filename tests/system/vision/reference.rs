//! The models of the data set see what ONNX Runtime sees, and what people marked.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_json::{Value, json};
use system_tests::data;
use vision::agreement::{Agreement, Expected};
use vision::bounds::{Bounds, Detection};
use vision::model::Model;
use vision::picture::{Limits, Picture};

/// How each model of the set is fed and read: name, family, edge of the input, the rest of the manifest.
const MODELS: [(&str, &str, u32, &str); 4] = [
    (
        "fastestdet_352",
        "fastestdet",
        352,
        "fit = \"stretch\"\nstd = [255.0, 255.0, 255.0]\nscore_min = 0.35\noverlap_max = 0.6\nclasses = \"coco80\"",
    ),
    (
        "yolox_nano_416",
        "yolox",
        416,
        "fit = \"letterbox-top-left\"\nscore_min = 0.35\noverlap_max = 0.6\nclasses = \"coco80\"",
    ),
    ("yunet_n_320", "yunet", 320, YUNET),
    ("yunet_s_320", "yunet", 320, YUNET),
];

const YUNET: &str = "fit = \"letterbox-top-left\"\npad = 0\nscore_min = 0.6\noverlap_max = 0.3\nclasses = [\"face\"]";

/// Writes the manifest of a model of the set into `dir`, and opens it.
pub(super) fn open(set: &Path, dir: &Path, name: &str) -> Model {
    Model::open(&manifest(set, dir, name, |text| text)).unwrap()
}

/// Writes the manifest of a model of the set.
pub(super) fn manifest(
    set: &Path,
    dir: &Path,
    name: &str,
    change: impl Fn(String) -> String,
) -> PathBuf {
    let (_, family, edge, rest) = MODELS.iter().find(|model| model.0 == name).unwrap();
    let file = set.join(format!("models/{name}.onnx"));
    let sha256 = sha256(&file);
    let text = format!(
        "file = {file:?}\nsha256 = \"{sha256}\"\nfamily = \"{family}\"\ninput = [{edge}, {edge}]\n\
         colour = \"bgr\"\nlicence = \"see the data set\"\n{rest}\n"
    );
    let path = dir.join(format!("{name}.toml"));
    std::fs::write(&path, change(text)).unwrap();
    path
}

fn sha256(file: &Path) -> String {
    vision::manifest::sha256(&std::fs::read(file).unwrap())
}

fn compare(set: &Path, model: &mut Model) -> Agreement {
    let file = set.join(format!("expected/{}__coco.json", model.manifest().name));
    let expected = Expected::read_with(&file, &set.join("coco/images")).unwrap();
    expected.compare(model).unwrap()
}

fn percentile(values: &[f32], percent: usize) -> f32 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f32::total_cmp);
    sorted[(sorted.len() - 1) * percent / 100]
}

#[test]
fn every_model_makes_the_detections_of_the_reference_runtime() {
    let Some(set) = data::set("vision") else { return };
    let dir = tempfile::tempdir().unwrap();
    for (name, ..) in MODELS {
        let agreement = compare(&set, &mut open(&set, dir.path(), name));
        let overlap = [5, 50].map(|p| percentile(&agreement.overlaps, p));
        let difference = percentile(&agreement.differences, 95);
        data::say(&format!(
            "{name}: {agreement}; overlap p5 {:.3} median {:.3}, score difference p95 {difference:.3}",
            overlap[0], overlap[1]
        ));
        assert!(agreement.is_good(), "{name}: {agreement}");
        assert_eq!(agreement.found, agreement.expected, "{name}: {agreement}");
        assert!(overlap[0] > 0.9 && difference < 0.05, "{name}: {overlap:?} {difference}");
    }
}

#[test]
fn a_wrong_manifest_is_caught_by_its_check() {
    let Some(set) = data::set("vision") else { return };
    let dir = tempfile::tempdir().unwrap();
    let expected = data::text(&set, "expected/yolox_nano_416__coco.json");
    let mut expected: Value = serde_json::from_str(&expected).unwrap();
    // The pictures are named from the folder of the file. A dozen is enough to tell.
    expected["pictures"] = json!(set.join("coco/images"));
    expected["images"].as_array_mut().unwrap().truncate(12);
    std::fs::write(dir.path().join("expected.json"), expected.to_string()).unwrap();
    let checked = |text: String| text + "check = \"expected.json\"\n";
    let open = |change: &dyn Fn(String) -> String| {
        Model::open(&manifest(&set, dir.path(), "yolox_nano_416", change))
    };
    assert!(open(&checked).is_ok());
    let wrong: [(&str, &str); 3] = [
        ("\"bgr\"", "\"rgb\""),
        ("\"letterbox-top-left\"", "\"stretch\""),
        ("score_min", "std = [255.0, 255.0, 255.0]\nscore_min"),
    ];
    for (right, wrong) in wrong {
        let said = open(&|text| checked(text.replace(right, wrong))).unwrap_err().to_string();
        assert!(said.contains("yolox_nano_416: check: of"), "{wrong}: {said}");
    }
}

#[derive(Deserialize)]
struct Marked {
    file: String,
    width: f32,
    height: f32,
    boxes: Vec<Mark>,
}

#[derive(Deserialize)]
struct Mark {
    label: String,
    x: f32,
    y: f32,
    w: f32,
    h: f32,
}

#[derive(Deserialize)]
struct Reference {
    score_threshold: f32,
    images: Vec<ReferenceImage>,
}

#[derive(Deserialize)]
struct ReferenceImage {
    file: String,
    det: Vec<ReferenceBox>,
}

#[derive(Deserialize)]
struct ReferenceBox {
    label: String,
    score: f32,
    x1: f32,
    y1: f32,
    x2: f32,
    y2: f32,
}

/// A detection by the name of its class, in one picture.
struct Named {
    picture: usize,
    label: String,
    score: f32,
    bounds: Bounds,
}

/// What was right, what was wrong, what was not seen, of one class.
#[derive(Default, Clone, Copy, PartialEq, Debug)]
struct Counts {
    right: usize,
    wrong: usize,
    missed: usize,
}

/// Pairs detections with marks of the same class that they overlap by half, the surest first.
fn count(marks: &[Named], found: &[Named]) -> BTreeMap<String, Counts> {
    let mut counts: BTreeMap<String, Counts> = BTreeMap::new();
    let mut free: Vec<&Named> = marks.iter().collect();
    let mut sorted: Vec<&Named> = found.iter().collect();
    sorted.sort_by(|a, b| b.score.total_cmp(&a.score));
    for one in sorted {
        let fits = |mark: &Named| {
            let same = mark.picture == one.picture && mark.label == one.label;
            if same { mark.bounds.overlap(&one.bounds) } else { 0.0 }
        };
        let best = (0..free.len()).max_by(|a, b| fits(free[*a]).total_cmp(&fits(free[*b])));
        let of = counts.entry(one.label.clone()).or_default();
        match best.filter(|n| fits(free[*n]) >= 0.5) {
            Some(n) => {
                free.swap_remove(n);
                of.right += 1;
            }
            None => of.wrong += 1,
        }
    }
    for mark in free {
        counts.entry(mark.label.clone()).or_default().missed += 1;
    }
    counts
}

fn named(picture: usize, model: &Model, one: &Detection) -> Named {
    let label = model.manifest().classes[one.class].clone();
    Named { picture, label, score: one.score, bounds: one.bounds }
}

/// Precision and recall per class at the same least score, ours and the reference's, against the marks.
/// The classes with enough marks are printed; the sums must be the same within one in a hundred.
#[test]
fn precision_and_recall_are_those_of_the_reference_runtime() {
    let Some(set) = data::set("vision") else { return };
    let dir = tempfile::tempdir().unwrap();
    let marked: Vec<Marked> =
        serde_json::from_str(&data::text(&set, "coco/annotations.json")).unwrap();
    for name in ["fastestdet_352", "yolox_nano_416"] {
        let mut model = open(&set, dir.path(), name);
        let text = data::text(&set, &format!("expected/{name}__coco.json"));
        let reference: Reference = serde_json::from_str(&text).unwrap();
        let (mut marks, mut ours, mut theirs) = (vec![], vec![], vec![]);
        for (n, image) in marked.iter().enumerate() {
            let Marked { file, width: w, height: h, boxes } = image;
            marks.extend(boxes.iter().map(|b| Named {
                picture: n,
                label: b.label.clone(),
                score: 1.0,
                bounds: Bounds {
                    x1: b.x / w,
                    y1: b.y / h,
                    x2: (b.x + b.w) / w,
                    y2: (b.y + b.h) / h,
                },
            }));
            let bytes = data::read(&set, &format!("coco/images/{file}"));
            let picture = Picture::decode(&bytes, &Limits::default()).unwrap();
            let found = model.look(&picture).unwrap();
            let sure = found.iter().filter(|one| one.score >= reference.score_threshold);
            ours.extend(sure.map(|one| named(n, &model, one)));
            let seen = reference.images.iter().filter(|i| i.file == *file).flat_map(|i| &i.det);
            theirs.extend(seen.map(|b| Named {
                picture: n,
                label: b.label.clone(),
                score: b.score,
                bounds: Bounds { x1: b.x1 / w, y1: b.y1 / h, x2: b.x2 / w, y2: b.y2 / h },
            }));
        }
        judge(name, &count(&marks, &ours), &count(&marks, &theirs));
    }
}

fn judge(name: &str, ours: &BTreeMap<String, Counts>, theirs: &BTreeMap<String, Counts>) {
    let rates = |c: Counts| {
        let share = |of: usize| 100.0 * c.right as f64 / (c.right + of).max(1) as f64;
        (share(c.wrong), share(c.missed))
    };
    let sum = |all: &BTreeMap<String, Counts>| {
        let zero = Counts::default();
        all.values().fold(zero, |a, b| Counts {
            right: a.right + b.right,
            wrong: a.wrong + b.wrong,
            missed: a.missed + b.missed,
        })
    };
    for (label, own) in ours.iter().filter(|(_, c)| c.right + c.missed >= 10) {
        let other = theirs.get(label).copied().unwrap_or_default();
        data::say(&format!(
            "{name} {label}: precision, recall {:.0?} reference {:.0?}",
            rates(*own),
            rates(other)
        ));
    }
    let (own, other) = (rates(sum(ours)), rates(sum(theirs)));
    data::say(&format!("{name} all classes: precision, recall {own:.1?}, reference {other:.1?}"));
    assert!((own.0 - other.0).abs() <= 1.0 && (own.1 - other.1).abs() <= 1.0, "{own:?} {other:?}");
}
