//! Writes what a model sees in pictures as a file of expected detections, which the `check` of a manifest
//! takes: `expect MANIFEST PICTURE… > expected.json`. The name of a picture stands for it, so the file
//! belongs beside them.
//!
//! Run on one machine and checked on another, it shows whether both see the same.

use std::error::Error;
use std::io::Write;
use std::path::Path;

use serde_json::{Value, json};
use vision::model::Model;
use vision::picture::{Limits, Picture};

fn main() -> Result<(), Box<dyn Error>> {
    let mut words = std::env::args().skip(1);
    let manifest = words.next().ok_or("expect MANIFEST PICTURE…")?;
    let mut model = Model::open(Path::new(&manifest))?;
    let mut images = Vec::new();
    for picture in words {
        let seen = look(&mut model, Path::new(&picture));
        images.push(seen.map_err(|error| format!("{picture}: {error}"))?);
    }
    let seen = json!({"score_threshold": model.manifest().score_min, "images": images});
    writeln!(std::io::stdout(), "{seen}")?;
    Ok(())
}

fn look(model: &mut Model, path: &Path) -> Result<Value, Box<dyn Error>> {
    let picture = Picture::decode(&std::fs::read(path)?, &Limits::default())?;
    let (w, h) = (picture.width() as f32, picture.height() as f32);
    let found = model.look(&picture)?;
    let classes = &model.manifest().classes;
    let detections = found.iter().map(|one| {
        let (label, b) = (&classes[one.class], one.bounds);
        json!({"label": label, "score": one.score,
            "x1": b.x1 * w, "y1": b.y1 * h, "x2": b.x2 * w, "y2": b.y2 * h})
    });
    let file = path.file_name().map(|name| name.to_string_lossy().into_owned());
    Ok(json!({"file": file, "det": detections.collect::<Vec<_>>()}))
}
