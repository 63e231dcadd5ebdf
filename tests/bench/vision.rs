//! What a look at a picture costs: each step, each model of the data set, and memory; beside ONNX Runtime
//! on one thread, where `make onnx` has installed it.
//!
//! The best of several runs is taken, because the machine does other things too. Pictures are drawn here,
//! so that the steps are measured on every machine; models come with the data set.

use std::hint::black_box;
use std::path::Path;
use std::process::Command;
use std::time::Instant;

use system_tests::{data, onnx_runtime};
use vision::bounds::Bounds;
use vision::evidence;
use vision::model::Model;
use vision::picture::{Limits, Picture};
use vision::swatch;
use vision::zone::Polygon;

use crate::table::Table;

/// The word by which this program is asked to do nothing but look at a picture.
pub(crate) const ONLY: &str = "only-looks";
/// Rounds of each step; the best one counts.
const ROUNDS: u32 = 20;
/// Name, family, edge of the input, the rest of the manifest.
const MODELS: [(&str, &str, u32, &str); 3] = [
    (
        "fastestdet_352",
        "fastestdet",
        352,
        "fit = \"stretch\"\nstd = [255.0, 255.0, 255.0]\nclasses = \"coco80\"",
    ),
    ("yolox_nano_416", "yolox", 416, "fit = \"letterbox-top-left\"\nclasses = \"coco80\""),
    ("yunet_n_320", "yunet", 320, "fit = \"letterbox-top-left\"\npad = 0\nclasses = [\"face\"]"),
];

pub(crate) fn rows(table: &mut Table) {
    steps(table);
    let Some(set) = data::set("vision") else { return };
    let dir = tempfile::tempdir().unwrap();
    for (name, family, edge, rest) in MODELS {
        let file = set.join(format!("models/{name}.onnx"));
        let sha256 = vision::manifest::sha256(&std::fs::read(&file).unwrap());
        let text = format!(
            "file = {file:?}\nsha256 = \"{sha256}\"\nfamily = \"{family}\"\ninput = [{edge}, {edge}]\n\
             colour = \"bgr\"\nlicence = \"see the data set\"\n{rest}\n"
        );
        let manifest = dir.path().join(format!("{name}.toml"));
        std::fs::write(&manifest, text).unwrap();
        model(table, name, &manifest, &file, edge);
    }
}

/// A street of 1280x720 with colours, as noisy as a camera's.
fn street() -> Picture {
    let cells = [(0, 3, 0), (1, 2, 1), (2, 3, 0), (3, 1, 2)];
    let mut rgb = swatch::picture(1280, 720, &cells).rgb().to_vec();
    for (n, value) in rgb.iter_mut().enumerate() {
        let noise = ((n as u32).wrapping_mul(0x2c1b_3c6d) >> 27) as u8;
        *value = value.saturating_add(noise % 16);
    }
    Picture::from_rgb(1280, 720, rgb).unwrap()
}

/// The best time of several rounds in seconds.
fn best(rounds: u32, mut work: impl FnMut()) -> f64 {
    let round = |_| {
        let start = Instant::now();
        work();
        start.elapsed().as_secs_f64()
    };
    (0..rounds).map(round).fold(f64::INFINITY, f64::min)
}

fn steps(table: &mut Table) {
    let picture = street();
    let jpeg = picture.encode(85);
    let limits = Limits::default();
    let how = format!("1280x720, {} KB, best of {ROUNDS}", jpeg.len() / 1024);
    let decode = best(ROUNDS, || drop(black_box(Picture::decode(&jpeg, &limits))));
    table.row("JPEG, decode", 1.0 / decode, "pictures/s").how(how);
    let shrink = best(ROUNDS, || drop(black_box(picture.shrunk(160, 90))));
    table.row("motion, small grey picture", shrink / decode, "x").how("of decoding the JPEG");
    let zone = Polygon::new(vec![(0.1, 0.1), (0.9, 0.1), (0.9, 0.9), (0.1, 0.9)]).unwrap();
    let hidden = [Bounds { x1: 0.3, y1: 0.3, x2: 0.6, y2: 0.6 }];
    let mut bytes = 0;
    let draw = best(ROUNDS, || {
        bytes = evidence::draw(&picture, &hidden, &zone, &hidden[0]).map_or(0, |jpeg| jpeg.len());
    });
    table.row("evidence, redact and encode", draw / decode, "x").how("of decoding the JPEG");
    table
        .row("evidence, size", bytes as f64, "bytes")
        .at_most(evidence::BYTES_MAX as f64)
        .how("640 pixels wide");
}

fn model(table: &mut Table, name: &str, manifest: &Path, file: &Path, edge: u32) {
    let start = Instant::now();
    let mut model = Model::open(manifest).unwrap();
    let load = start.elapsed().as_secs_f64();
    let picture = street();
    let look = best(ROUNDS, || drop(black_box(model.look(&picture))));
    table
        .row(format!("{name}, look"), look * 1000.0, "ms")
        .how(format!("resize, network, boxes; one thread, {edge}x{edge}, best of {ROUNDS}"));
    table.row(format!("{name}, load"), load / look, "looks").how("hash, load, one picture");
    let network = best(ROUNDS, || drop(black_box(model.run(&picture))));
    let theirs = reference(file, edge);
    let peak = peak(manifest);
    if let Some((seconds, _)) = theirs {
        table
            .row(format!("{name}, ONNX Runtime"), seconds * 1000.0, "ms")
            .how("its network alone, one thread, same run");
        table
            .row(format!("{name}, time of ONNX Runtime's"), network / seconds, "x")
            .how("resize and network, against its network alone");
    }
    if let Some(kb) = peak {
        let how = "of a process that only looks, 1280x720 in memory";
        table.row(format!("{name}, peak memory"), kb / 1024.0, "MiB").at_most(100.0).how(how);
    }
    if let (Some(kb), Some((_, theirs))) = (peak, theirs) {
        table.row(format!("{name}, memory of ONNX Runtime's"), kb / theirs, "x").how(
            "whole process, against what loading and running it adds to a Python with the input",
        );
    }
}

/// The best time of ONNX Runtime for the same network, in seconds, and the memory it took, in KiB.
fn reference(file: &Path, edge: u32) -> Option<(f64, f64)> {
    let words = ["best", &file.to_string_lossy(), &edge.to_string(), &ROUNDS.to_string()];
    let out = onnx_runtime::command(&words)?.output().ok()?;
    let said = String::from_utf8_lossy(&out.stdout).into_owned();
    let (seconds, kb) = said.trim().split_once(' ')?;
    Some((seconds.parse().ok()?, kb.parse().ok()?))
}

/// The most memory of this program when it only looks, in KiB.
fn peak(manifest: &Path) -> Option<f64> {
    let out = Command::new(std::env::current_exe().ok()?).arg(ONLY).arg(manifest).output().ok()?;
    String::from_utf8_lossy(&out.stdout).trim().parse().ok()
}

/// Looks at a picture a few times; answers the most memory it took, in KiB.
pub(crate) fn only_looks(manifest: &str) -> Option<u64> {
    let mut model = Model::open(Path::new(manifest)).ok()?;
    let picture = street();
    for _ in 0..3 {
        black_box(model.look(&picture).ok()?);
    }
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.trim().trim_end_matches(" kB").parse().ok()
}
