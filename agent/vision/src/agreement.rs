//! Whether a model makes the detections that another runtime made of the same pictures.
//!
//! Small differences are no fault: two JPEG decoders differ by a level or two, and an object at the least
//! score is seen by one and not by the other. So what the reference saw clearly must be found again, with
//! nearly the same score.

use std::fmt;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::bounds::{Bounds, Detection};
use crate::model::{LookError, Model};
use crate::network::Network;
use crate::picture::{BadPicture, Limits, Picture};

/// Pictures with what a trusted runtime saw in them.
///
/// As JSON: `{"score_threshold": 0.35, "pictures": "folder", "images": [{"file": "a.jpg",
/// "det": [{"label": "car", "score": 0.8, "x1": 1.0, "y1": 2.0, "x2": 3.0, "y2": 4.0}]}]}`, boxes in pixels
/// of the picture; `pictures` is found from the folder of the file, which it is without it.
#[derive(Debug, Clone, PartialEq)]
pub struct Expected {
    folder: PathBuf,
    score_min: f32,
    images: Vec<Image>,
}

#[derive(Debug, Deserialize)]
struct Written {
    score_threshold: f32,
    #[serde(default)]
    pictures: Option<PathBuf>,
    images: Vec<Image>,
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
struct Image {
    file: PathBuf,
    det: Vec<Seen>,
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
struct Seen {
    label: String,
    score: f32,
    x1: f32,
    y1: f32,
    x2: f32,
    y2: f32,
}

/// Why a comparison could not be made.
#[derive(Debug, thiserror::Error)]
pub enum CheckError {
    /// A file cannot be read.
    #[error("{}: {error}", path.display())]
    Unreadable {
        /// Which.
        path: PathBuf,
        /// Why.
        error: std::io::Error,
    },
    /// The file of expected detections is no such file.
    #[error("{}: {error}", path.display())]
    Malformed {
        /// Which.
        path: PathBuf,
        /// Why, and where.
        error: serde_json::Error,
    },
    /// A picture cannot be read.
    #[error("{}: {error}", path.display())]
    Picture {
        /// Which.
        path: PathBuf,
        /// Why.
        error: BadPicture,
    },
    /// The model failed on a picture.
    #[error("{}: {error}", path.display())]
    Look {
        /// Which.
        path: PathBuf,
        /// Why.
        error: LookError,
    },
    /// There is nothing to compare.
    #[error("{}: it expects no detection that is sure enough; give it pictures with objects", path.display())]
    Nothing {
        /// Which file.
        path: PathBuf,
    },
}

/// How far the two agree.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Agreement {
    /// Detections of the reference that it was clearly sure of.
    pub expected: usize,
    /// Of these, how many the model has too: same class, boxes that overlap by half.
    pub found: usize,
    /// Of these, how many have nearly the same score.
    pub alike: usize,
    /// Clear detections of the model that the reference has not, not even as unclear ones.
    pub extra: usize,
    /// Overlap of the boxes of each pair, in the order of the pictures.
    pub overlaps: Vec<f32>,
    /// Difference of the scores of each pair.
    pub differences: Vec<f32>,
}

impl Agreement {
    /// So far above the least score a detection is clear.
    pub const CLEAR: f32 = 0.05;
    /// So far apart scores are nearly the same.
    pub const NEAR: f32 = 0.05;

    /// Whether it is the same model, fed and read the same way: 98 % of the reference's clear detections
    /// are found, 95 % of those with nearly the same score, and no more than 2 % were added.
    #[must_use]
    pub const fn is_good(&self) -> bool {
        self.found * 100 >= self.expected * 98
            && self.alike * 100 >= self.found * 95
            && self.extra * 100 <= self.expected * 2 + 100
    }
}

impl fmt::Display for Agreement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Agreement { expected, found, alike, extra, .. } = self;
        write!(
            f,
            "of {expected} expected detections it has {found}, {alike} with nearly the same score, and \
             {extra} that are not expected"
        )
    }
}

impl Expected {
    /// Reads a file of expected detections.
    ///
    /// # Errors
    /// [`CheckError`], which names the file.
    pub fn read(path: &Path) -> Result<Expected, CheckError> {
        let folder = path.parent().unwrap_or(Path::new("")).to_owned();
        Expected::read_with(path, &folder)
    }

    /// The same, with the pictures in a folder of one's own choice.
    ///
    /// # Errors
    /// As [`Expected::read`].
    pub fn read_with(path: &Path, folder: &Path) -> Result<Expected, CheckError> {
        let own = |error| CheckError::Unreadable { path: path.to_owned(), error };
        let text = std::fs::read(path).map_err(own)?;
        let written: Written = serde_json::from_slice(&text)
            .map_err(|error| CheckError::Malformed { path: path.to_owned(), error })?;
        let clear = written.score_threshold + Agreement::CLEAR;
        if !written.images.iter().flat_map(|image| &image.det).any(|seen| seen.score >= clear) {
            return Err(CheckError::Nothing { path: path.to_owned() });
        }
        let folder = written.pictures.map_or(folder.to_owned(), |pictures| folder.join(pictures));
        Ok(Expected { folder, score_min: written.score_threshold, images: written.images })
    }

    /// The least score of the detections it has.
    #[must_use]
    pub const fn score_min(&self) -> f32 {
        self.score_min
    }

    /// What is expected of the picture of this name, in fractions of `picture`; a class that is not among
    /// `classes` has a number beyond theirs. `None`: it was not looked at.
    #[must_use]
    pub fn of(&self, file: &Path, classes: &[String], picture: &Picture) -> Option<Vec<Detection>> {
        let image = self.images.iter().find(|image| image.file == file)?;
        Some(image.of(classes, picture))
    }

    /// Looks at every picture, and compares.
    ///
    /// # Errors
    /// [`CheckError`], which names the picture.
    pub fn compare<N: Network>(&self, model: &mut Model<N>) -> Result<Agreement, CheckError> {
        let mut agreement = Agreement::default();
        for image in &self.images {
            let path = self.folder.join(&image.file);
            let bytes = std::fs::read(&path)
                .map_err(|error| CheckError::Unreadable { path: path.clone(), error })?;
            let picture = Picture::decode(&bytes, &Limits::default())
                .map_err(|error| CheckError::Picture { path: path.clone(), error })?;
            let found = model
                .look(&picture)
                .map_err(|error| CheckError::Look { path: path.clone(), error })?;
            let classes = &model.manifest().classes;
            agreement.add(self.score_min, &image.of(classes, &picture), &found);
        }
        Ok(agreement)
    }
}

impl Image {
    /// What is expected, in fractions of the picture; classes that the model has not are not found.
    fn of(&self, classes: &[String], picture: &Picture) -> Vec<Detection> {
        let (w, h) = (picture.width() as f32, picture.height() as f32);
        let seen = self.det.iter().map(|seen| Detection {
            class: classes.iter().position(|c| *c == seen.label).unwrap_or(usize::MAX),
            score: seen.score,
            bounds: Bounds { x1: seen.x1 / w, y1: seen.y1 / h, x2: seen.x2 / w, y2: seen.y2 / h },
        });
        seen.collect()
    }
}

impl Agreement {
    /// Adds one picture.
    fn add(&mut self, score_min: f32, expected: &[Detection], found: &[Detection]) {
        let clear = score_min + Agreement::CLEAR;
        let best = |one: &Detection, among: &[Detection]| {
            let same = among.iter().filter(|other| other.class == one.class);
            let pairs = same.map(|other| (other.bounds.overlap(&one.bounds), other.score));
            pairs.filter(|(overlap, _)| *overlap >= 0.5).max_by(|a, b| a.0.total_cmp(&b.0))
        };
        for one in expected.iter().filter(|one| one.score >= clear) {
            self.expected += 1;
            let Some((overlap, score)) = best(one, found) else { continue };
            let difference = (score - one.score).abs();
            self.found += 1;
            self.alike += usize::from(difference <= Agreement::NEAR);
            self.overlaps.push(overlap);
            self.differences.push(difference);
        }
        let extra = found.iter().filter(|one| one.score >= clear && best(one, expected).is_none());
        self.extra += extra.count();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(class: usize, score: f32, x1: f32) -> Detection {
        Detection { class, score, bounds: Bounds { x1, y1: 0.0, x2: x1 + 0.2, y2: 0.5 } }
    }

    #[test]
    fn clear_detections_are_paired_and_unclear_ones_forgiven() {
        let mut agreement = Agreement::default();
        let expected = [one(1, 0.9, 0.0), one(2, 0.5, 0.5), one(1, 0.36, 0.7)];
        let found = [one(1, 0.88, 0.01), one(3, 0.8, 0.5), one(1, 0.41, 0.7), one(1, 0.37, 0.3)];
        agreement.add(0.35, &expected, &found);
        let Agreement { expected, found, alike, extra, .. } = agreement;
        assert_eq!((expected, found, alike, extra), (2, 1, 1, 1));
    }

    #[test]
    fn good_is_nearly_everything() {
        let with = |expected, found, alike, extra| {
            Agreement { expected, found, alike, extra, ..Agreement::default() }.is_good()
        };
        assert!(with(100, 98, 94, 3));
        assert!(!with(100, 97, 97, 0));
        assert!(!with(100, 100, 94, 0));
        assert!(!with(100, 100, 100, 4));
        assert!(!with(1, 0, 0, 0));
    }

    #[test]
    fn a_check_that_expects_nothing_is_no_check() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("e.json");
        std::fs::write(
            &path,
            r#"{"score_threshold": 0.3, "images": [{"file": "a.jpg", "det": []}]}"#,
        )
        .unwrap();
        let said = Expected::read(&path).unwrap_err().to_string();
        assert!(said.contains("e.json: it expects no detection"), "{said}");
        std::fs::write(&path, "{").unwrap();
        let said = Expected::read(&path).unwrap_err().to_string();
        assert!(said.contains("e.json: EOF"), "{said}");
    }
}
