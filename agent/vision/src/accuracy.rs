//! How good detections are, against what people have marked in the same pictures.
//!
//! A detection is right when its box overlaps a mark of its class by half (intersection over union) that no
//! surer detection has taken. Precision is the share of detections that are right, recall that of marks that
//! were found, both at the least score that a model is used with. Average precision needs no such score: it
//! is the area under precision over recall, from the surest detection to the least sure one, where each
//! precision counts as the best that any larger recall has (PASCAL VOC since 2010: Everingham et al., The
//! Pascal Visual Object Classes Challenge, IJCV 88, 2010, section 4.2). Its mean over classes leaves out
//! those with fewer than [`ENOUGH`] marks: there one box more or less decides.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::agreement::CheckError;
use crate::bounds::{Bounds, Detection};

/// Marks that a class must have before its average precision says anything: with ten, one box is a tenth.
pub const ENOUGH: usize = 10;
/// So much of a box and a mark must be common for them to be the same object.
pub const SAME: f32 = 0.5;

/// What people have marked in pictures.
///
/// As JSON: `[{"file": "a.jpg", "width": 640, "height": 480, "boxes": [{"label": "car", "x": 10.5, "y": 20.0,
/// "w": 100.0, "h": 60.0}]}]`, in pixels; `x` and `y` are of the upper left corner.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Annotations {
    pictures: BTreeMap<PathBuf, Vec<Mark>>,
}

/// An object that somebody has marked.
#[derive(Debug, Clone, PartialEq)]
pub struct Mark {
    /// The name of its class.
    pub class: String,
    /// Where.
    pub bounds: Bounds,
}

#[derive(Debug, Deserialize)]
struct Written {
    file: PathBuf,
    width: f32,
    height: f32,
    boxes: Vec<WrittenMark>,
}

#[derive(Debug, Deserialize)]
struct WrittenMark {
    label: String,
    x: f32,
    y: f32,
    w: f32,
    h: f32,
}

impl Annotations {
    /// Reads a file of marks.
    ///
    /// # Errors
    /// [`CheckError::Unreadable`], [`CheckError::Malformed`], and [`CheckError::Nothing`] where nothing is
    /// marked in it.
    pub fn read(path: &Path) -> Result<Annotations, CheckError> {
        let own = |error| CheckError::Unreadable { path: path.to_owned(), error };
        let text = std::fs::read(path).map_err(own)?;
        let written: Vec<Written> = serde_json::from_slice(&text)
            .map_err(|error| CheckError::Malformed { path: path.to_owned(), error })?;
        if written.iter().all(|picture| picture.boxes.is_empty()) {
            return Err(CheckError::Nothing { path: path.to_owned() });
        }
        let pictures = written.into_iter().map(|picture| (picture.file.clone(), picture.marks()));
        Ok(Annotations { pictures: pictures.collect() })
    }

    /// The marks in the picture of this name; `None`: nobody has looked at it.
    #[must_use]
    pub fn of(&self, file: &Path) -> Option<&[Mark]> {
        self.pictures.get(file).map(Vec::as_slice)
    }

    /// The names of the pictures.
    pub fn files(&self) -> impl Iterator<Item = &Path> {
        self.pictures.keys().map(PathBuf::as_path)
    }
}

impl Written {
    fn marks(self) -> Vec<Mark> {
        let (w, h) = (self.width.max(1.0), self.height.max(1.0));
        let mark = |mark: WrittenMark| Mark {
            class: mark.label,
            bounds: Bounds {
                x1: mark.x / w,
                y1: mark.y / h,
                x2: (mark.x + mark.w) / w,
                y2: (mark.y + mark.h) / h,
            },
        };
        self.boxes.into_iter().map(mark).collect()
    }
}

/// What is known of a class, or of all: counts at a least score, and the average precision.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Accuracy {
    /// Objects that were marked.
    pub marks: usize,
    /// Detections at least as sure as the score.
    pub found: usize,
    /// Of these, how many are right.
    pub right: usize,
    /// The average precision over every detection, 0 to 1; of all classes, the mean over those with
    /// [`ENOUGH`] marks. `None` where nothing, or in all classes too little, was marked.
    pub average: Option<f64>,
}

impl Accuracy {
    /// The share of detections that are right; `None` without any.
    #[must_use]
    pub fn precision(&self) -> Option<f64> {
        share(self.right, self.found)
    }

    /// The share of marks that were found; `None` without any.
    #[must_use]
    pub fn recall(&self) -> Option<f64> {
        share(self.right, self.marks)
    }
}

fn share(part: usize, of: usize) -> Option<f64> {
    (of > 0).then(|| part as f64 / of as f64)
}

/// Counts, picture by picture.
#[derive(Debug, Clone, Default)]
pub struct Tally {
    classes: BTreeMap<String, Class>,
}

#[derive(Debug, Clone, Default)]
struct Class {
    marks: usize,
    /// Every detection: how sure, and whether it is right.
    found: Vec<(f32, bool)>,
}

impl Tally {
    /// Adds a picture: what was marked in it, and what a model with these `classes` found.
    pub fn add(&mut self, marks: &[Mark], found: &[Detection], classes: &[String]) {
        for mark in marks {
            self.class(&mark.class).marks += 1;
        }
        let mut free: Vec<&Mark> = marks.iter().collect();
        let mut sorted: Vec<&Detection> = found.iter().collect();
        sorted.sort_by(|a, b| b.score.total_cmp(&a.score));
        for one in sorted {
            let class = classes.get(one.class).map_or("unknown to the model", String::as_str);
            let fit = |mark: &Mark| {
                if mark.class == class { mark.bounds.overlap(&one.bounds) } else { 0.0 }
            };
            let best = (0..free.len()).max_by(|a, b| fit(free[*a]).total_cmp(&fit(free[*b])));
            let best = best.filter(|n| fit(free[*n]) >= SAME);
            if let Some(n) = best {
                free.swap_remove(n);
            }
            self.class(class).found.push((one.score, best.is_some()));
        }
    }

    fn class(&mut self, name: &str) -> &mut Class {
        self.classes.entry(name.to_owned()).or_default()
    }

    /// The classes that were marked, those with the most marks first.
    #[must_use]
    pub fn classes(&self) -> Vec<&str> {
        let mut marked: Vec<_> = self.classes.iter().filter(|(_, class)| class.marks > 0).collect();
        marked.sort_by_key(|(_, class)| std::cmp::Reverse(class.marks));
        marked.into_iter().map(|(name, _)| name.as_str()).collect()
    }

    /// What is known of a class, with the counts of detections as sure as `score_min`.
    #[must_use]
    pub fn of(&self, class: &str, score_min: f32) -> Accuracy {
        self.classes.get(class).map_or_else(Accuracy::default, |class| class.accuracy(score_min))
    }

    /// The same of all classes together.
    #[must_use]
    pub fn all(&self, score_min: f32) -> Accuracy {
        let each: Vec<Accuracy> =
            self.classes.values().map(|class| class.accuracy(score_min)).collect();
        let enough = each.iter().filter(|class| class.marks >= ENOUGH);
        let averages: Vec<f64> = enough.filter_map(|class| class.average).collect();
        let sum = |of: fn(&Accuracy) -> usize| each.iter().map(of).sum();
        Accuracy {
            marks: sum(|class| class.marks),
            found: sum(|class| class.found),
            right: sum(|class| class.right),
            average: (!averages.is_empty())
                .then(|| averages.iter().sum::<f64>() / averages.len() as f64),
        }
    }
}

impl Class {
    fn accuracy(&self, score_min: f32) -> Accuracy {
        let sure = self.found.iter().filter(|(score, _)| *score >= score_min);
        Accuracy {
            marks: self.marks,
            found: sure.clone().count(),
            right: sure.filter(|(_, right)| *right).count(),
            average: (self.marks > 0).then(|| self.average_precision()),
        }
    }

    fn average_precision(&self) -> f64 {
        let mut sorted = self.found.clone();
        sorted.sort_by(|a, b| b.0.total_cmp(&a.0));
        let mut right = 0;
        let mut curve: Vec<(f64, f64)> = Vec::new();
        for (n, (score, is_right)) in sorted.iter().enumerate() {
            right += usize::from(*is_right);
            // Equally sure ones have no order: only the last of them is a point of the curve.
            if sorted.get(n + 1).is_none_or(|next| next.0 < *score) {
                curve.push((right as f64 / self.marks as f64, right as f64 / (n + 1) as f64));
            }
        }
        let (mut area, mut best) = (0.0, 0.0_f64);
        for n in (0..curve.len()).rev() {
            let (recall, precision) = curve[n];
            let before = if n == 0 { 0.0 } else { curve[n - 1].0 };
            best = best.max(precision);
            area += (recall - before) * best;
        }
        area
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A box in the n-th of ten columns, so far to the right of where it belongs.
    fn bounds(n: usize, off: f32) -> Bounds {
        let x1 = n as f32 * 0.1 + off;
        Bounds { x1, y1: 0.2, x2: x1 + 0.1, y2: 0.8 }
    }

    fn mark(class: &str, n: usize) -> Mark {
        Mark { class: class.to_owned(), bounds: bounds(n, 0.0) }
    }

    fn one(class: usize, score: f32, n: usize, off: f32) -> Detection {
        Detection { class, score, bounds: bounds(n, off) }
    }

    fn tally(marks: &[Mark], found: &[Detection]) -> Tally {
        let mut tally = Tally::default();
        tally.add(marks, found, &["car", "bin"].map(str::to_owned));
        tally
    }

    fn average(marks: usize, found: &[(f32, bool)]) -> f64 {
        Class { marks, found: found.to_vec() }.average_precision()
    }

    fn near(a: f64, b: f64) -> bool {
        (a - b).abs() < 1e-9
    }

    #[test]
    fn a_box_that_overlaps_by_half_is_right_once() {
        let marks = [mark("car", 0), mark("car", 2), mark("bin", 4), mark("car", 6)];
        let found = [
            one(0, 0.9, 0, 0.0),
            // A second one on the same car, and one too far off (overlap 1/3).
            one(0, 0.8, 0, 0.01),
            one(0, 0.7, 2, 0.05),
            // Of another class, and right but less sure than asked.
            one(0, 0.6, 4, 0.0),
            one(0, 0.3, 6, 0.03),
        ];
        let tally = tally(&marks, &found);
        let car = tally.of("car", 0.35);
        assert_eq!((car.marks, car.found, car.right), (3, 4, 1));
        assert!(near(car.precision().unwrap(), 0.25) && near(car.recall().unwrap(), 1.0 / 3.0));
        // Right, wrong, wrong, wrong, right: 1/3 at precision 1, then 1/3 at 2/5, and one never.
        assert!(near(car.average.unwrap(), 1.0 / 3.0 + 2.0 / 15.0), "{car:?}");
        let bin = tally.of("bin", 0.35);
        assert_eq!((bin.marks, bin.found, bin.average), (1, 0, Some(0.0)));
        assert_eq!(tally.classes(), ["car", "bin"]);
        assert_eq!(tally.of("dog", 0.35), Accuracy::default());
    }

    #[test]
    fn the_surer_detection_takes_the_mark_and_each_takes_the_nearest() {
        // Both boxes fit the left mark; the surer one, though listed last, fits the right one better.
        let marks = [mark("car", 0), Mark { bounds: bounds(0, 0.03), ..mark("car", 0) }];
        let found = [one(0, 0.5, 0, 0.0), one(0, 0.9, 0, 0.025)];
        let car = tally(&marks, &found).of("car", 0.0);
        assert_eq!((car.found, car.right), (2, 2));
        assert_eq!(car.average, Some(1.0));
    }

    #[test]
    fn the_area_is_that_of_cases_done_by_hand() {
        let all = [(0.9, true), (0.8, true)];
        assert!(near(average(2, &all), 1.0));
        assert!(near(average(4, &all), 0.5), "half of them were never found");
        assert!(near(average(2, &[]), 0.0));
        assert!(near(average(1, &[(0.9, false), (0.8, true)]), 0.5));
        // Precision 1, 1/2, 2/3 at recalls 1/2, 1/2, 1: the dip does not count.
        assert!(near(average(2, &[(0.9, true), (0.8, false), (0.7, true)]), 0.5 + 1.0 / 3.0));
        // The envelope: what comes late and is better raises what is before it.
        let found = [(0.9, false), (0.8, true), (0.7, true), (0.6, true)];
        assert!(near(average(3, &found), 0.75));
    }

    #[test]
    fn equally_sure_detections_have_no_order() {
        let (right, wrong) = ((0.5, true), (0.5, false));
        assert!(near(average(1, &[right, wrong]), 0.5));
        assert!(near(average(1, &[wrong, right]), 0.5));
    }

    #[test]
    fn the_mean_is_over_classes_with_enough_marks() {
        let mut tally = Tally::default();
        let classes = ["car", "bin"].map(str::to_owned);
        for n in 0..ENOUGH {
            let found = if n < 5 { vec![one(0, 0.9, 0, 0.0)] } else { vec![] };
            tally.add(&[mark("car", 0)], &found, &classes);
        }
        tally.add(&[mark("bin", 3)], &[one(1, 0.9, 3, 0.0)], &classes);
        let all = tally.all(0.5);
        assert_eq!((all.marks, all.found, all.right), (11, 6, 6));
        assert!(near(all.average.unwrap(), 0.5), "one bin says nothing: {all:?}");
        assert_eq!(Tally::default().all(0.5).average, None);
    }

    #[test]
    fn marks_are_read_with_their_place_in_the_picture() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("marks.json");
        let read = |text: &str| {
            std::fs::write(&path, text).unwrap();
            Annotations::read(&path)
        };
        let good = r#"[{"file": "a.jpg", "width": 200, "height": 100, "licence": "CC0",
            "boxes": [{"cls": 2, "label": "car", "x": 20.0, "y": 10.0, "w": 100.0, "h": 50.0}]}]"#;
        let marks = read(good).unwrap();
        let [car] = marks.of(Path::new("a.jpg")).unwrap() else { panic!("{marks:?}") };
        assert_eq!(car.bounds, Bounds { x1: 0.1, y1: 0.1, x2: 0.6, y2: 0.6 });
        assert_eq!(marks.of(Path::new("b.jpg")), None);
        assert_eq!(marks.files().collect::<Vec<_>>(), [Path::new("a.jpg")]);
        let cases = [
            ("[", "marks.json: EOF"),
            ("{}", "marks.json: invalid type"),
            (
                r#"[{"file": "a.jpg", "width": 2, "height": 2, "boxes": []}]"#,
                "expects no detection",
            ),
        ];
        for (text, said) in cases {
            let error = read(text).unwrap_err().to_string();
            assert!(error.contains(said), "{text}: {error}");
        }
    }

    proptest! {
        #[test]
        fn an_average_is_a_share_and_order_does_not_matter(
            found in prop::collection::vec((0..20_u8, any::<bool>()), 0..40),
            more in 0..5_usize,
        ) {
            let found: Vec<_> = found.into_iter().map(|(s, r)| (f32::from(s) / 20.0, r)).collect();
            let right = found.iter().filter(|(_, right)| *right).count();
            let marks = right + more + 1;
            let whole = average(marks, &found);
            let turned: Vec<_> = found.iter().rev().copied().collect();
            prop_assert!((0.0..=1.0).contains(&whole));
            prop_assert!(whole <= right as f64 / marks as f64 + 1e-9);
            prop_assert!(near(whole, average(marks, &turned)));
        }
    }
}
