//! How good a model is on pictures that people have marked, beside another runtime's detections of them.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use vision::accuracy::{self, Accuracy, Annotations, Tally};
use vision::agreement::{CheckError, Expected};
use vision::model::Model;

/// Detections less sure than this change no average precision that anybody could measure.
const FAINT: f32 = 0.01;

/// What detections are compared with.
#[derive(Debug, Clone)]
pub struct Marked {
    /// What people marked, as [`Annotations`] are written.
    pub annotations: PathBuf,
    /// What another runtime saw, as [`Expected`] is written.
    pub reference: Option<PathBuf>,
}

/// Looks at `pictures` and writes a line for each class with marks enough, and one for all. What is
/// wrong goes to `err`; answers whether nothing was.
pub(super) fn measure(
    model: &mut Model,
    pictures: &[PathBuf],
    marked: &Marked,
    out: &mut impl Write,
    err: &mut impl Write,
) -> io::Result<bool> {
    let (annotations, reference) = match read(marked) {
        Ok(both) => both,
        Err(error) => {
            writeln!(err, "{error}")?;
            return Ok(false);
        }
    };
    let used = model.manifest().score_min;
    // The average is over everything that both were made from.
    model.see_from(reference.as_ref().map_or(FAINT, Expected::score_min));
    let (mut all, mut ours, mut theirs) = (true, Tally::default(), Tally::default());
    for path in pictures {
        let looked = add(model, path, &annotations, reference.as_ref(), [&mut ours, &mut theirs]);
        if let Err(said) = looked {
            all = false;
            writeln!(err, "{}: {said}", path.display())?;
        }
    }
    let faint = model.manifest().score_min;
    model.see_from(used);
    let at = reference.as_ref().map_or(used, |reference| used.max(reference.score_min()));
    let theirs = reference.map(|_| theirs);
    table(out, at, faint, &ours, theirs.as_ref())?;
    Ok(all)
}

fn read(marked: &Marked) -> Result<(Annotations, Option<Expected>), CheckError> {
    let reference = marked.reference.as_deref().map(Expected::read).transpose()?;
    Ok((Annotations::read(&marked.annotations)?, reference))
}

fn add(
    model: &mut Model,
    path: &Path,
    annotations: &Annotations,
    reference: Option<&Expected>,
    [ours, theirs]: [&mut Tally; 2],
) -> Result<(), String> {
    let file = Path::new(path.file_name().unwrap_or_default());
    let marks = annotations.of(file).ok_or("nothing is marked in it; it is left out")?;
    let picture = super::read(path)?;
    let classes = model.manifest().classes.clone();
    let seen = match reference {
        None => None,
        Some(reference) => Some(
            reference
                .of(file, &classes, &picture)
                .ok_or("the reference has not looked at it; it is left out")?,
        ),
    };
    let found = model.look(&picture).map_err(|error| error.to_string())?;
    ours.add(marks, &found, &classes);
    if let Some(seen) = seen {
        theirs.add(marks, &seen, &classes);
    }
    Ok(())
}

fn table(
    out: &mut impl Write,
    score_min: f32,
    faint: f32,
    ours: &Tally,
    theirs: Option<&Tally>,
) -> io::Result<()> {
    let (at, from, enough) = (score_min * 100.0, faint * 100.0, accuracy::ENOUGH);
    writeln!(
        out,
        "precision and recall of detections from {at:.0} % on, AP@0.5 of those from {from:.0} % on; \
         classes with {enough} marks or more"
    )?;
    let beside = if theirs.is_some() { "  reference: the same" } else { "" };
    writeln!(out, "{:<16} marks  precision recall AP@0.5{beside}", "class")?;
    let classes = ours.classes();
    let enough = classes.iter().filter(|class| ours.of(class, 0.0).marks >= enough);
    for class in enough {
        let own = ours.of(class, score_min);
        row(out, class, own, theirs.map(|theirs| theirs.of(class, score_min)))?;
    }
    row(out, "all, mAP", ours.all(score_min), theirs.map(|theirs| theirs.all(score_min)))
}

fn row(out: &mut impl Write, name: &str, own: Accuracy, other: Option<Accuracy>) -> io::Result<()> {
    let percent = |share: Option<f64>| {
        share.map_or_else(|| "–".to_owned(), |share| format!("{:.1}", share * 100.0))
    };
    let three = |a: Accuracy| {
        let [p, r, ap] = [a.precision(), a.recall(), a.average].map(percent);
        format!("{p:>9} {r:>6} {ap:>6}")
    };
    let beside = other.map_or_else(String::new, |other| format!("  {}", three(other)));
    writeln!(out, "{name:<16} {:>5}  {}{beside}", own.marks, three(own))
}
