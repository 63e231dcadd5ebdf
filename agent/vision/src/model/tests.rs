//! Models that are made here, so that every way a model can be wrong is tried without weights.

use std::path::Path;

use super::*;
use crate::manifest::Manifest;
use crate::swatch;

/// Writes a network and a manifest; opens them.
fn open(dir: &Path, onnx: &[u8], change: impl Fn(String) -> String) -> Result<Model, ModelError> {
    std::fs::write(dir.join("m.onnx"), onnx).unwrap();
    let text = change(swatch::manifest("m.onnx", onnx, swatch::CLASSES));
    std::fs::write(dir.join("m.toml"), text).unwrap();
    Model::open(&dir.join("m.toml"))
}

fn refused(onnx: &[u8], change: impl Fn(String) -> String) -> String {
    let dir = tempfile::tempdir().unwrap();
    open(dir.path(), onnx, change).unwrap_err().to_string()
}

#[test]
fn a_network_runs_and_finds_what_is_there() {
    let dir = tempfile::tempdir().unwrap();
    let mut model = Model::open(&swatch::write(dir.path()).unwrap()).unwrap();
    let picture = swatch::picture(640, 360, &[(1, 2, 0), (3, 0, 1)]);
    let mut found = model.look(&picture).unwrap();
    found.sort_by_key(|d| d.class);
    assert_eq!(found.iter().map(|d| d.class).collect::<Vec<_>>(), [0, 1]);
    let Bounds { x1, y1, x2, y2 } = found[0].bounds;
    let far = [x1 - 0.25, y1 - 0.5, x2 - 0.5, y2 - 0.75].map(f32::abs);
    assert!(far.iter().all(|far| *far < 0.01), "{:?}", found[0]);
    assert!(found.iter().all(|d| d.score > 0.9), "{found:?}");
    assert_eq!(model.look(&swatch::picture(64, 64, &[])).unwrap(), []);
}

#[test]
fn a_model_that_cannot_work_is_refused_before_it_is_used() {
    let good = swatch::onnx(1.0);
    let cut = refused(&good[..good.len() / 2], |t| t);
    assert!(cut.contains("m.onnx: the engine cannot read it"), "{cut}");
    let noise = refused(b"this is no model at all", |t| t);
    assert!(noise.contains("m.onnx: the engine cannot read it"), "{noise}");
    let nan = refused(&swatch::onnx(f32::NAN), |t| t);
    assert!(nan.contains("m: an output is not a number"), "{nan}");
    let size = refused(&good, |t| t.replace("[64, 64]", "[128, 64]"));
    assert!(size.contains("the model takes 64x64 and the manifest says 128x64"), "{size}");
    let classes = refused(&good, |t| t.replace("\"person\"", "\"person\", \"dog\""));
    assert!(classes.contains("4 classes would be [1, 9, rows, columns]"), "{classes}");
    assert!(classes.contains("this model has [1, 8, 4, 4]"), "{classes}");
    let family = refused(&good, |t| t.replace("\"fastestdet\"", "\"yolov8\""));
    assert!(family.contains("a yolov8 with 3 classes would be [1, 7, cells]"), "{family}");
}

#[test]
fn damage_anywhere_in_the_file_is_refused_by_its_hash() {
    let dir = tempfile::tempdir().unwrap();
    let manifest = swatch::write(dir.path()).unwrap();
    let mut onnx = swatch::onnx(1.0);
    let middle = onnx.len() / 2;
    onnx[middle] ^= 1;
    std::fs::write(dir.path().join("swatch.onnx"), onnx).unwrap();
    let said = Model::open(&manifest).unwrap_err().to_string();
    assert!(said.contains("swatch.onnx: its SHA-256 is"), "{said}");
}

/// Pictures with what another runtime, which is never wrong, made of them.
fn expected(dir: &Path, label: &str) {
    let picture = swatch::picture(64, 64, &[(1, 1, 0)]);
    std::fs::write(dir.join("a.jpg"), picture.encode(95)).unwrap();
    let text = format!(
        "{{\"score_threshold\": 0.5, \"images\": [{{\"file\": \"a.jpg\", \"det\": [{{\"label\": {label:?}, \
         \"score\": 0.96, \"x1\": 16, \"y1\": 16, \"x2\": 32, \"y2\": 32}}]}}]}}"
    );
    std::fs::write(dir.join("expected.json"), text).unwrap();
}

#[test]
fn a_check_finds_wrong_preprocessing() {
    let dir = tempfile::tempdir().unwrap();
    expected(dir.path(), "car");
    let checked = |t: String| t + "check = \"expected.json\"\n";
    assert!(open(dir.path(), &swatch::onnx(1.0), checked).is_ok());
    let swapped = |t: String| checked(t.replace("\"rgb\"", "\"bgr\""));
    let said = open(dir.path(), &swatch::onnx(1.0), swapped).unwrap_err().to_string();
    assert!(said.contains("m: check: of 1 expected detections it has 0"), "{said}");
    let missing = |t: String| t + "check = \"other.json\"\n";
    let said = open(dir.path(), &swatch::onnx(1.0), missing).unwrap_err().to_string();
    assert!(said.contains("other.json"), "{said}");
}

/// A network that says of everything what it was told to say, whatever its bytes are.
struct Parrot;

impl Network for Parrot {
    fn load(_: Vec<u8>) -> Result<Parrot, NetworkError> {
        Ok(Parrot)
    }

    fn input_size(&self) -> (Option<usize>, Option<usize>) {
        (None, None)
    }

    fn run(&mut self, input: Vec<f32>, _: usize, _: usize) -> Result<Vec<Tensor>, NetworkError> {
        // One box in the middle of the picture that is as sure as the second channel is bright.
        let score = input[input.len() / 2];
        let data = vec![32.0, 32.0, 16.0, 16.0, score, 0.0, 0.0];
        Ok(vec![Tensor { shape: vec![1, 7, 1], data }])
    }
}

#[test]
fn an_int8_model_needs_a_check_that_it_passes() {
    let dir = tempfile::tempdir().unwrap();
    expected(dir.path(), "car");
    let manifest = |check: &str| -> Manifest {
        let text = swatch::manifest("m.onnx", b"", swatch::CLASSES);
        let text = text.replace("fastestdet", "yolov8") + check;
        std::fs::write(dir.path().join("m.toml"), text).unwrap();
        Manifest::read(&dir.path().join("m.toml")).unwrap()
    };
    let int8 = b"\x0a\x0bConvInteger".to_vec();
    let said = Model::<Parrot>::with(manifest(""), int8.clone()).err().unwrap().to_string();
    assert!(said.contains("m: the model is quantised to int8"), "{said}");
    let said = Model::<Parrot>::with(manifest("check = \"expected.json\"\n"), int8).err().unwrap();
    assert!(said.to_string().contains("it has 0"), "{said}");
    assert!(Model::<Parrot>::with(manifest(""), b"Conv".to_vec()).is_ok(), "fp32 needs none");
}
