//! The models of the data set see what ONNX Runtime sees, and what people marked.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use system_tests::onnx_runtime::OnnxRuntime;
use system_tests::{data, onnx_runtime};
use vision::accuracy::{self, Accuracy, Annotations, Tally};
use vision::agreement::{Agreement, Expected};
use vision::model::Model;
use vision::network::Network;
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
    manifest_of(dir, name, &set.join(format!("models/{name}.onnx")), change)
}

/// The same with other weights for it.
pub(super) fn manifest_of(
    dir: &Path,
    name: &str,
    file: &Path,
    change: impl Fn(String) -> String,
) -> PathBuf {
    let (_, family, edge, rest) = MODELS.iter().find(|model| model.0 == name).unwrap();
    let sha256 = sha256(file);
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

/// What a model finds in the marked pictures, from nearly nothing on.
fn judged<N: Network>(set: &Path, annotations: &Annotations, model: &mut Model<N>) -> Tally {
    let mut tally = Tally::default();
    model.see_from(FAINT);
    for file in annotations.files() {
        let bytes = data::read(set, &format!("coco/images/{}", file.display()));
        let picture = Picture::decode(&bytes, &Limits::default()).unwrap();
        let found = model.look(&picture).unwrap();
        tally.add(annotations.of(file).unwrap(), &found, &model.manifest().classes);
    }
    tally
}

/// Detections less sure than this change no average precision that anybody could measure.
const FAINT: f32 = 0.01;

/// A line for each class with enough marks, and one for all: ours, and those of the reference.
fn print(name: &str, score_min: f32, ours: &Tally, theirs: &Tally) {
    let percent = |value: Option<f64>| value.map_or(f64::NAN, |value| value * 100.0);
    let show = |a: Accuracy| {
        let (p, r, ap) = (percent(a.precision()), percent(a.recall()), percent(a.average));
        format!("{p:5.1} {r:5.1} {ap:5.1}")
    };
    data::say(&format!("{name}: precision, recall at {score_min}, AP@0.5; ours | ONNX Runtime"));
    let classes = ours.classes();
    let enough = classes.iter().filter(|class| ours.of(class, 0.0).marks >= accuracy::ENOUGH);
    for class in enough {
        let (own, other) = (ours.of(class, score_min), theirs.of(class, score_min));
        data::say(&format!("  {class:<14} {:>4} {} | {}", own.marks, show(own), show(other)));
    }
    let (own, other) = (ours.all(score_min), theirs.all(score_min));
    data::say(&format!("  {:<14} {:>4} {} | {}", "all, mAP", own.marks, show(own), show(other)));
}

/// Precision and recall at the configured score, and average precision, of both engines on the same
/// pictures with the same preprocessing and the same reader: what differs is the engine alone, and that is
/// nothing that could be counted.
#[test]
fn precision_recall_and_map_are_those_of_the_reference_runtime() {
    let Some(set) = data::set("vision") else { return };
    if onnx_runtime::command(&[]).is_none() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let annotations = Annotations::read(&set.join("coco/annotations.json")).unwrap();
    for name in ["fastestdet_352", "yolox_nano_416"] {
        let mut model = open(&set, dir.path(), name);
        let manifest = model.manifest().clone();
        let score_min = manifest.score_min;
        let weights = onnx_runtime::weights(&manifest.file);
        let mut reference = Model::<OnnxRuntime>::with(manifest, weights).unwrap();
        let ours = judged(&set, &annotations, &mut model);
        let theirs = judged(&set, &annotations, &mut reference);
        print(name, score_min, &ours, &theirs);
        assert!(ours.all(score_min).average > Some(0.1), "the model sees what people see");
        for class in ours.classes() {
            let (own, other) = (ours.of(class, score_min), theirs.of(class, score_min));
            let counts = |a: Accuracy| (a.marks, a.found, a.right);
            assert_eq!(counts(own), counts(other), "{name} {class}");
            let far = own.average.unwrap() - other.average.unwrap();
            assert!(far.abs() < 0.005, "{name} {class}: {own:?} {other:?}");
        }
    }
}

/// The same against detections that were made elsewhere, with another decoder of JPEGs and other code
/// around the engine: the sums are the same within one in a hundred.
#[test]
fn precision_and_recall_are_those_of_another_implementation() {
    let Some(set) = data::set("vision") else { return };
    let dir = tempfile::tempdir().unwrap();
    let annotations = Annotations::read(&set.join("coco/annotations.json")).unwrap();
    for name in ["fastestdet_352", "yolox_nano_416"] {
        let mut model = open(&set, dir.path(), name);
        let file = set.join(format!("expected/{name}__coco.json"));
        let expected = Expected::read_with(&file, &set.join("coco/images")).unwrap();
        model.see_from(expected.score_min());
        let (mut ours, mut theirs) = (Tally::default(), Tally::default());
        for file in annotations.files() {
            let bytes = data::read(&set, &format!("coco/images/{}", file.display()));
            let picture = Picture::decode(&bytes, &Limits::default()).unwrap();
            let (marks, found) = (annotations.of(file).unwrap(), model.look(&picture).unwrap());
            let classes = &model.manifest().classes;
            ours.add(marks, &found, classes);
            theirs.add(marks, &expected.of(file, classes, &picture).unwrap(), classes);
        }
        print(name, expected.score_min(), &ours, &theirs);
        let rates = |tally: &Tally| {
            let all = tally.all(expected.score_min());
            [all.precision(), all.recall(), all.average].map(|rate| 100.0 * rate.unwrap())
        };
        let (own, other) = (rates(&ours), rates(&theirs));
        data::say(&format!("{name}: precision, recall, AP {own:.1?}, elsewhere {other:.1?}"));
        // Of few marks one weighs much: a traffic light of fourteen is a point of the mean over classes.
        let near =
            own.iter().zip(other).zip([1.0, 1.0, 2.0]).all(|((a, b), by)| (a - b).abs() <= by);
        assert!(near, "{name}: {own:?} {other:?}");
    }
}
