//! Models with 8-bit weights, made by ONNX Runtime's own quantiser from a model of the data set: refused
//! without a check, and with one taken only when our engine makes of them what ONNX Runtime does.

use std::path::Path;

use serde_json::json;
use system_tests::data;
use system_tests::onnx_runtime::{self, OnnxRuntime};
use vision::agreement::Expected;
use vision::manifest::Manifest;
use vision::model::{Model, ModelError};
use vision::network::NetworkError;
use vision::picture::{Limits, Picture};

use super::reference;

/// Pictures with cars, people and things.
const PICTURES: usize = 16;

/// What ONNX Runtime sees with these weights, as a check for us.
fn write_check(set: &Path, manifest: &Manifest, weights: &Path, to: &Path) {
    let network = onnx_runtime::weights(weights);
    let mut model = Model::<OnnxRuntime>::with(manifest.clone(), network).unwrap();
    let mut files: Vec<_> = std::fs::read_dir(set.join("coco/images")).unwrap().collect();
    files.sort_by_key(|file| file.as_ref().unwrap().path());
    let images = files.into_iter().take(PICTURES).map(|file| {
        let path = file.unwrap().path();
        let picture = Picture::decode(&std::fs::read(&path).unwrap(), &Limits::default()).unwrap();
        let (w, h) = (picture.width() as f32, picture.height() as f32);
        let found = model.look(&picture).unwrap();
        let det = found.iter().map(|one| {
            let (label, b) = (&manifest.classes[one.class], one.bounds);
            json!({"label": label, "score": one.score,
                "x1": b.x1 * w, "y1": b.y1 * h, "x2": b.x2 * w, "y2": b.y2 * h})
        });
        let det: Vec<_> = det.collect();
        json!({"file": path.file_name().unwrap().to_str(), "det": det})
    });
    let images: Vec<_> = images.collect();
    let pictures = set.join("coco/images");
    let check =
        json!({"score_threshold": manifest.score_min, "pictures": pictures, "images": images});
    std::fs::write(to, check.to_string()).unwrap();
}

#[test]
fn an_int8_model_is_taken_only_when_it_does_what_another_runtime_does_with_it() {
    let Some(set) = data::set("vision") else { return };
    for kind in ["int8", "qdq"] {
        let dir = tempfile::tempdir().unwrap();
        let weights = dir.path().join("small.onnx");
        let whole = set.join("models/yolox_nano_416.onnx");
        if !onnx_runtime::quantise(kind, &whole, &weights) {
            return;
        }
        let sizes = [&whole, &weights].map(|file| std::fs::metadata(file).unwrap().len());
        assert!(sizes[1] * 2 < sizes[0], "it is a third of the size: {sizes:?}");
        let manifest = |more: &str| {
            reference::manifest_of(dir.path(), "yolox_nano_416", &weights, |text| text + more)
        };
        let without = Model::open(&manifest("")).unwrap_err();
        assert!(matches!(without, ModelError::Unchecked { .. }), "{kind}: {without}");
        let check = dir.path().join("expected.json");
        let plain = Manifest::read(&manifest("")).unwrap();
        write_check(&set, &plain, &weights, &check);
        let path = manifest("check = \"expected.json\"\n");
        let checked = Manifest::read(&path).unwrap();
        let said = match Model::of(checked, &path) {
            Ok(mut model) => {
                let agreement = Expected::read(&check).unwrap().compare(&mut model).unwrap();
                assert!(agreement.is_good(), "{kind}: {agreement}");
                format!("taken: {agreement}")
            }
            Err(ModelError::Disagrees { agreement, .. }) => {
                assert!(!agreement.is_good(), "{kind}: {agreement}");
                format!("refused: {agreement}")
            }
            Err(ModelError::Network { error: NetworkError::Unreadable(why), .. }) => {
                format!("refused: the engine cannot read it: {why}")
            }
            Err(other) => panic!("{kind}: {other}"),
        };
        data::say(&format!("yolox_nano_416 as {kind}: {said}"));
    }
}
