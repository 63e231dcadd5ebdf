//! What a Pi sees: the same as this machine. The program for arm64 runs in the emulator, which says
//! nothing about its speed; `make vision-arm64` builds it and runs this.

use std::path::{Path, PathBuf};
use std::process::Command;

use system_tests::data;
use vision::agreement::Expected;
use vision::bounds::Detection;
use vision::picture::{Limits, Picture};

use super::reference;

/// Other instructions round otherwise: so far apart may scores, and the edges of a box in fractions of the
/// picture, be.
const NEAR: f32 = 0.001;

/// Models, and how many pictures each of them is shown: the emulator takes seconds for one.
const MODELS: [(&str, usize); 3] =
    [("fastestdet_352", 53), ("yolox_nano_416", 12), ("yunet_n_320", 12)];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// How far apart two detections are; of other classes, infinitely.
fn far(a: &Detection, b: &Detection) -> f32 {
    let edges = [
        a.score - b.score,
        a.bounds.x1 - b.bounds.x1,
        a.bounds.y1 - b.bounds.y1,
        a.bounds.x2 - b.bounds.x2,
        a.bounds.y2 - b.bounds.y2,
    ];
    let most = edges.into_iter().map(f32::abs).fold(0.0, f32::max);
    if a.class == b.class { most } else { f32::INFINITY }
}

#[test]
#[ignore = "make vision-arm64 builds the program for it"]
fn an_arm64_machine_makes_the_same_detections() {
    let program = root().join("target/arm64/aarch64-unknown-linux-gnu/debug/examples/expect");
    assert!(program.exists(), "{} is missing: make vision-arm64", program.display());
    let set = data::set("vision").expect("there are pictures to look at");
    let pictures = set.join("coco/images");
    let mut files: Vec<_> =
        std::fs::read_dir(&pictures).unwrap().map(|file| file.unwrap().path()).collect();
    files.sort();
    for (name, count) in MODELS {
        let files = &files[..count.min(files.len())];
        let dir = tempfile::tempdir().unwrap();
        let mut model = reference::open(&set, dir.path(), name);
        let there = Command::new("qemu-aarch64-static")
            .arg(&program)
            .arg(dir.path().join(format!("{name}.toml")))
            .args(files)
            .output()
            .unwrap();
        assert!(there.status.success(), "{}", String::from_utf8_lossy(&there.stderr));
        let seen = dir.path().join("seen.json");
        std::fs::write(&seen, &there.stdout).unwrap();
        let theirs = Expected::read_with(&seen, &pictures).unwrap();
        let (mut count, mut worst) = (0, 0.0_f32);
        for path in files {
            let bytes = std::fs::read(path).unwrap();
            let picture = Picture::decode(&bytes, &Limits::default()).unwrap();
            let ours = model.look(&picture).unwrap();
            let file = Path::new(path.file_name().unwrap());
            let theirs = theirs.of(file, &model.manifest().classes, &picture).unwrap();
            assert_eq!(ours.len(), theirs.len(), "{name}: {}", path.display());
            for one in &ours {
                let nearest = theirs.iter().map(|other| far(one, other)).fold(f32::MAX, f32::min);
                assert!(nearest <= NEAR, "{name}: {}: {one:?} {theirs:?}", path.display());
                worst = worst.max(nearest);
                count += 1;
            }
        }
        let pictures = files.len();
        data::say(&format!(
            "{name}: {count} detections in {pictures} pictures, on arm64 the same within {worst:.6}"
        ));
    }
}
