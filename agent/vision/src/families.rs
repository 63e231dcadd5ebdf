//! From the numbers a network puts out to boxes: one reader for each family of detectors.
//!
//! Outputs are told apart by their shapes and never by their names or order, which change with every
//! exporter. A shape that does not fit is said with the one that would. What a box means in pixels is
//! written at each reader, with where the layout comes from.

mod fastestdet;
mod gfl;
mod yolo;
mod yunet;

use crate::manifest::{Family, Manifest};
use crate::network::Tensor;

/// A box in pixels of the input.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Raw {
    pub(crate) class: usize,
    pub(crate) score: f32,
    pub(crate) x1: f32,
    pub(crate) y1: f32,
    pub(crate) x2: f32,
    pub(crate) y2: f32,
}

impl Raw {
    /// From the middle and the size.
    fn around(class: usize, score: f32, centre: (f32, f32), size: (f32, f32)) -> Raw {
        let (w, h) = (size.0 / 2.0, size.1 / 2.0);
        let (x1, x2) = (centre.0 - w, centre.0 + w);
        Raw { class, score, x1, y1: centre.1 - h, x2, y2: centre.1 + h }
    }
}

/// Why outputs could not be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OutputError {
    /// The shapes are not those of the family.
    #[error(
        "the outputs of a {family} with {classes} classes would be {wanted}, and this model has {found}; \
         correct family, classes or input in the manifest"
    )]
    Shape {
        /// What the manifest says.
        family: &'static str,
        /// How many classes it names.
        classes: usize,
        /// The shapes that would fit.
        wanted: String,
        /// The shapes there are.
        found: String,
    },
    /// A value is NaN or infinite.
    #[error("an output is not a number: the weights are damaged, or the input does not suit them")]
    NotANumber,
}

/// What the readers need to know.
pub(crate) struct Layout<'a> {
    classes: usize,
    width: usize,
    height: usize,
    score_min: f32,
    logits: bool,
    outputs: &'a [Tensor],
}

/// The boxes in the outputs that are as sure as the manifest asks, not yet rid of doubles.
pub(crate) fn read(manifest: &Manifest, outputs: &[Tensor]) -> Result<Vec<Raw>, OutputError> {
    if outputs.iter().any(|t| t.data.iter().any(|value| !value.is_finite())) {
        return Err(OutputError::NotANumber);
    }
    let layout = Layout {
        classes: manifest.classes.len(),
        width: manifest.input.width as usize,
        height: manifest.input.height as usize,
        score_min: manifest.score_min,
        logits: manifest.logits,
        outputs,
    };
    let boxes = match manifest.family {
        Family::Yolox => yolo::x(&layout),
        Family::Yolov5 => yolo::v5(&layout),
        Family::Yolov8 => yolo::v8(&layout),
        Family::Fastestdet => fastestdet::read(&layout),
        Family::Gfl => gfl::read(&layout),
        Family::Yunet => yunet::read(&layout),
        Family::Classifier => classifier(&layout),
    };
    boxes.map_err(|wanted| OutputError::Shape {
        family: manifest.family.as_str(),
        classes: layout.classes,
        wanted,
        found: shapes(outputs),
    })
}

fn shapes(outputs: &[Tensor]) -> String {
    let shapes: Vec<_> = outputs.iter().map(|t| format!("{:?}", t.shape)).collect();
    shapes.join(" ")
}

impl Layout<'_> {
    /// An output as rows, its leading dimensions of length 1 left away; `None` when it is something else.
    fn rows(tensor: &Tensor) -> Option<(usize, usize, &[f32])> {
        match *tensor.shape.as_slice() {
            [1, count, length] | [count, length] => Some((count, length, &tensor.data)),
            [1, 1, count, length] => Some((count, length, &tensor.data)),
            _ => None,
        }
    }

    /// The only output; the shape that is wanted when there are more, or it is something else.
    fn only(&self, wanted: &str) -> Result<(usize, usize, &[f32]), String> {
        let [tensor] = self.outputs else { return Err(wanted.to_owned()) };
        Layout::rows(tensor).ok_or_else(|| wanted.to_owned())
    }

    /// Columns and rows of the grid with this stride.
    fn grid(&self, stride: usize) -> (usize, usize) {
        (self.width.div_ceil(stride), self.height.div_ceil(stride))
    }

    /// How many cells the grids of these strides have together.
    fn cells(&self, strides: &[usize]) -> usize {
        strides.iter().map(|stride| self.grid(*stride)).map(|(w, h)| w * h).sum()
    }

    /// The cells of these strides in the order of the rows: column, row, stride.
    fn walk(&self, strides: &[usize]) -> impl Iterator<Item = (f32, f32, f32)> {
        strides.iter().flat_map(move |stride| {
            let (columns, rows) = self.grid(*stride);
            let stride = *stride as f32;
            (0..rows).flat_map(move |y| (0..columns).map(move |x| (x as f32, y as f32, stride)))
        })
    }

    /// The surest of some class scores.
    fn surest(&self, scores: impl Iterator<Item = f32>) -> (usize, f32) {
        let best = scores.enumerate().max_by(|a, b| a.1.total_cmp(&b.1)).unwrap_or((0, 0.0));
        (best.0, if self.logits { sigmoid(best.1) } else { best.1 })
    }
}

/// The one class of the whole picture that is the surest.
fn classifier(layout: &Layout<'_>) -> Result<Vec<Raw>, String> {
    let wanted = || format!("[1, {}]", layout.classes);
    let [tensor] = layout.outputs else { return Err(wanted()) };
    if tensor.data.len() != layout.classes
        || tensor.shape.iter().any(|n| *n != 1 && *n != layout.classes)
    {
        return Err(wanted());
    }
    let (class, best) = (Layout { logits: false, ..*layout }).surest(tensor.data.iter().copied());
    let score = if layout.logits {
        1.0 / tensor.data.iter().map(|value| (value - best).exp()).sum::<f32>()
    } else {
        best
    };
    let (x2, y2) = (layout.width as f32, layout.height as f32);
    Ok(vec![Raw { class, score, x1: 0.0, y1: 0.0, x2, y2 }])
}

fn sigmoid(value: f32) -> f32 {
    1.0 / (1.0 + (-value).exp())
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::fit::{Colour, Fit, Preprocessing};

    pub(crate) fn manifest(family: Family, width: u32, height: u32, classes: &[&str]) -> Manifest {
        Manifest {
            name: "m".into(),
            file: "m.onnx".into(),
            sha256: String::new(),
            family,
            input: Preprocessing {
                width,
                height,
                fit: Fit::Stretch,
                pad: 0,
                colour: Colour::Rgb,
                mean: [0.0; 3],
                std: [1.0; 3],
            },
            classes: classes.iter().map(|class| (*class).to_owned()).collect(),
            score_min: 0.3,
            overlap_max: 0.5,
            logits: false,
            check: None,
            licence: "none".into(),
        }
    }

    fn tensor(shape: &[usize], fill: impl Fn(&mut [f32])) -> Tensor {
        let mut data = vec![0.0; shape.iter().product()];
        fill(&mut data);
        Tensor { shape: shape.to_vec(), data }
    }

    #[track_caller]
    fn is_near(raw: &Raw, class: usize, score: f32, edges: [f32; 4]) {
        assert_eq!(raw.class, class);
        let pairs = [raw.score, raw.x1, raw.y1, raw.x2, raw.y2].into_iter();
        let wanted = [score, edges[0], edges[1], edges[2], edges[3]];
        for (found, wanted) in pairs.zip(wanted) {
            assert!((found - wanted).abs() < 1e-3, "{raw:?} is not {score} {edges:?}");
        }
    }

    #[test]
    fn yolox_counts_from_the_cell_in_strides() {
        // 64x32: 8x4 + 4x2 + 2x1 cells. The tenth cell of the first grid is column 1, row 1.
        let out = tensor(&[1, 42, 7], |data| {
            data[9 * 7..10 * 7].copy_from_slice(&[0.5, 0.25, 0.0, 0.0, 0.8, 0.1, 0.9]);
            data[41 * 7..].copy_from_slice(&[0.0, 0.5, 0.0, 0.0, 0.5, 0.5, 0.4]);
        });
        let found = read(&manifest(Family::Yolox, 64, 32, &["a", "b"]), &[out]).unwrap();
        is_near(&found[0], 1, 0.72, [8.0, 6.0, 16.0, 14.0]);
        assert_eq!(found.len(), 1, "0.25 is not sure enough");
    }

    #[test]
    fn yolov5_and_yolov8_are_in_pixels_whichever_way_they_lie() {
        let rows = tensor(&[1, 3, 7], |data| {
            data[7..14].copy_from_slice(&[20.0, 10.0, 8.0, 4.0, 0.5, 0.2, 0.9]);
        });
        let found = read(&manifest(Family::Yolov5, 64, 32, &["a", "b"]), &[rows]).unwrap();
        is_near(&found[0], 1, 0.45, [16.0, 8.0, 24.0, 12.0]);
        let columns = tensor(&[1, 6, 42], |data| {
            for (row, value) in [20.0, 10.0, 8.0, 4.0, 0.9, 0.2].into_iter().enumerate() {
                data[row * 42 + 5] = value;
            }
        });
        let lying = tensor(&[1, 42, 6], |data| {
            data[5 * 6..6 * 6].copy_from_slice(&[20.0, 10.0, 8.0, 4.0, 0.9, 0.2]);
        });
        for out in [columns, lying] {
            let found = read(&manifest(Family::Yolov8, 64, 32, &["a", "b"]), &[out]).unwrap();
            assert_eq!(found.len(), 1);
            is_near(&found[0], 0, 0.9, [16.0, 8.0, 24.0, 12.0]);
        }
    }

    #[test]
    fn fastestdet_has_planes() {
        let out = tensor(&[1, 7, 2, 4], |data| {
            let cell = 4 + 2;
            data[cell] = 0.9;
            data[3 * 8 + cell] = 0.0;
            data[4 * 8 + cell] = -100.0;
            data[6 * 8 + cell] = 0.8;
        });
        let found = read(&manifest(Family::Fastestdet, 64, 32, &["a", "b"]), &[out]).unwrap();
        let score = 0.9_f32.powf(0.6) * 0.8_f32.powf(0.4);
        is_near(&found[0], 1, score, [32.0 - 16.0, 16.0, 32.0 + 16.0, 16.0]);
    }

    #[test]
    fn gfl_expects_each_distance_in_strides_from_the_middle_of_the_cell() {
        // Eight bins for each side; all weight on bin 2 of left and right, on bin 1 above and below.
        let distances = |data: &mut [f32], row: usize| {
            for (side, bin) in [2, 1, 2, 1].into_iter().enumerate() {
                data[row * 32 + side * 8 + bin] = 100.0;
            }
        };
        let scores = tensor(&[1, 8, 3], |data| data[5 * 3 + 2] = 0.7);
        let sides = tensor(&[1, 8, 32], |data| distances(data, 5));
        let wanted = manifest(Family::Gfl, 32, 16, &["a", "b", "c"]);
        // Cell 5 of the grid of 4x2 with stride 8: column 1, row 1, middle at 12, 12.
        for outputs in [vec![scores.clone(), sides.clone()], vec![sides, scores]] {
            let found = read(&wanted, &outputs).unwrap();
            is_near(&found[0], 2, 0.7, [12.0 - 16.0, 12.0 - 8.0, 12.0 + 16.0, 12.0 + 8.0]);
        }
        let joined = tensor(&[1, 11, 35], |data| {
            data[8 * 35 + 1] = 0.6; // the first cell of the grid of 2x1 with stride 16
            for (side, bin) in [0, 0, 1, 1].into_iter().enumerate() {
                data[8 * 35 + 3 + side * 8 + bin] = 100.0;
            }
        });
        let found = read(&wanted, &[joined]).unwrap();
        is_near(&found[0], 1, 0.6, [8.0, 8.0, 24.0, 24.0]);
    }

    #[test]
    fn yunet_is_paired_by_shape_whatever_the_order() {
        let grids = |order: [usize; 9]| -> Vec<Tensor> {
            let ones = |cells: usize, at: usize| {
                tensor(&[1, cells, 1], |data| data[at] = if cells == 8 { 0.81 } else { 0.0 })
            };
            let sides = |cells: usize| tensor(&[1, cells, 4], |_| {});
            let all = [
                ones(8, 5),
                ones(2, 0),
                ones(1, 0),
                ones(8, 5),
                ones(2, 0),
                ones(1, 0),
                sides(8),
                sides(2),
                sides(1),
            ];
            order.map(|n| all[n].clone()).to_vec()
        };
        for order in [[0, 1, 2, 3, 4, 5, 6, 7, 8], [8, 6, 7, 3, 4, 5, 0, 2, 1]] {
            let found = read(&manifest(Family::Yunet, 32, 16, &["face"]), &grids(order)).unwrap();
            assert_eq!(found.len(), 1);
            is_near(&found[0], 0, 0.81, [4.0, 4.0, 12.0, 12.0]);
        }
    }

    #[test]
    fn a_classifier_says_one_class_of_everything() {
        let mut wanted = manifest(Family::Classifier, 32, 16, &["ok", "full", "overflow"]);
        let out = tensor(&[1, 3], |data| data.copy_from_slice(&[0.0, 1.0, 3.0]));
        wanted.logits = true;
        let found = read(&wanted, std::slice::from_ref(&out)).unwrap();
        is_near(&found[0], 2, 0.8438, [0.0, 0.0, 32.0, 16.0]);
        wanted.logits = false;
        let found = read(&wanted, &[out]).unwrap();
        assert_eq!((found[0].class, found[0].score), (2, 3.0));
    }

    #[test]
    fn outputs_that_do_not_fit_are_said_with_those_that_would() {
        let families = [
            (Family::Yolox, "[1, 42, 7]"),
            (Family::Yolov5, "[1, anchors, 7]"),
            (Family::Yolov8, "[1, 6, cells]"),
            (Family::Fastestdet, "[1, 7, rows, columns]"),
            (Family::Gfl, "[1, cells, 2] and [1, cells, 4 x bins]"),
            (Family::Classifier, "[1, 2]"),
        ];
        for (family, wanted) in families {
            let wrong = [tensor(&[1, 11, 13], |_| {}), tensor(&[5], |_| {})];
            for outputs in [&wrong[..], &wrong[..1], &[]] {
                let said = read(&manifest(family, 64, 32, &["a", "b"]), outputs).unwrap_err();
                assert!(said.to_string().contains(wanted), "{family:?}: {said}");
            }
        }
    }

    #[test]
    fn what_is_no_number_is_refused() {
        for bad in [f32::NAN, f32::INFINITY] {
            let out = tensor(&[1, 3, 7], |data| data[12] = bad);
            let said = read(&manifest(Family::Yolov5, 64, 32, &["a", "b"]), &[out]).unwrap_err();
            assert_eq!(said, OutputError::NotANumber);
        }
    }
}
