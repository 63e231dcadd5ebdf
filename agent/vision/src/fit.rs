//! From a picture to the numbers a network wants, and from its boxes back to the picture.
//!
//! A wrong setting here costs accuracy without a word (red and blue swapped loses a tenth of the average
//! precision), which is why a manifest must state all of them and can be checked against expected
//! detections.

use crate::bounds::Bounds;
use crate::picture::Picture;

/// How a picture is brought to the size of the input.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fit {
    /// Stretched: the aspect is lost.
    Stretch,
    /// The aspect is kept; the picture lies at the top left, the rest is filled.
    TopLeft,
    /// The aspect is kept; the picture lies in the middle, the rest is filled.
    Centre,
}

/// The order of the channels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Colour {
    /// Red first.
    Rgb,
    /// Blue first.
    Bgr,
}

/// What a network wants of its input.
#[derive(Debug, Clone, PartialEq)]
pub struct Preprocessing {
    /// Width of the input in pixels.
    pub width: u32,
    /// Height of the input in pixels.
    pub height: u32,
    /// How the picture is brought to that size.
    pub fit: Fit,
    /// What fills the rest, 0 to 255.
    pub pad: u8,
    /// The order of the channels.
    pub colour: Colour,
    /// Taken off each channel, on the scale 0 to 255, in the order of `colour`.
    pub mean: [f32; 3],
    /// Each channel is divided by it, on the scale 0 to 255, in the order of `colour`; not 0.
    pub std: [f32; 3],
}

/// Where the picture lies in the input.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Placement {
    /// Input pixels for the whole width and height of the picture.
    scale: (f32, f32),
    /// Input pixels left of it and above it.
    offset: (f32, f32),
}

impl Placement {
    /// A box in pixels of the input as one in fractions of the picture; it may reach beyond it.
    #[must_use]
    pub fn back(&self, x1: f32, y1: f32, x2: f32, y2: f32) -> Bounds {
        let x = |v: f32| (v - self.offset.0) / self.scale.0;
        let y = |v: f32| (v - self.offset.1) / self.scale.1;
        Bounds { x1: x(x1), y1: y(y1), x2: x(x2), y2: y(y2) }
    }
}

impl Preprocessing {
    /// The input of a picture: one plane for each channel, rows from the top; and where it lies in it.
    #[must_use]
    pub fn apply(&self, picture: &Picture) -> (Vec<f32>, Placement) {
        let (scale, size) = self.size(picture);
        let (left, top) = match self.fit {
            Fit::Stretch | Fit::TopLeft => (0, 0),
            Fit::Centre => ((self.width - size.0) / 2, (self.height - size.1) / 2),
        };
        let plane = self.width as usize * self.height as usize;
        let mut input = Vec::with_capacity(3 * plane);
        for channel in 0..3 {
            let filler = self.normal(f32::from(self.pad), channel);
            input.resize(input.len() + plane, filler);
        }
        let columns: Vec<Between> = taps(picture.width(), size.0);
        for (n, row) in taps(picture.height(), size.1).into_iter().enumerate() {
            let (upper, lower) = (picture.row(row.first), picture.row(row.second));
            let start = (top as usize + n) * self.width as usize + left as usize;
            for channel in 0..3 {
                let from = match self.colour {
                    Colour::Rgb => channel,
                    Colour::Bgr => 2 - channel,
                };
                let out = &mut input[channel * plane + start..][..size.0 as usize];
                for (value, column) in out.iter_mut().zip(&columns) {
                    let mixed = row.mix(column.of(upper, from), column.of(lower, from));
                    *value = self.normal(mixed.round(), channel);
                }
            }
        }
        (input, Placement { scale, offset: (left as f32, top as f32) })
    }

    fn normal(&self, value: f32, channel: usize) -> f32 {
        (value - self.mean[channel]) / self.std[channel]
    }

    /// Input pixels per picture edge, and the size of the picture in the input in whole pixels.
    fn size(&self, picture: &Picture) -> ((f32, f32), (u32, u32)) {
        let input = (self.width as f32, self.height as f32);
        if self.fit == Fit::Stretch {
            return (input, (self.width, self.height));
        }
        let edges = (picture.width() as f32, picture.height() as f32);
        let scale = (input.0 / edges.0).min(input.1 / edges.1);
        let exact = (edges.0 * scale, edges.1 * scale);
        let whole = |exact: f32, most: u32| (exact.round() as u32).clamp(1, most);
        (exact, (whole(exact.0, self.width), whole(exact.1, self.height)))
    }
}

/// Between which two pixels of a row or column a pixel of the input lies, and how near the second.
struct Between {
    first: u32,
    second: u32,
    share: f32,
}

impl Between {
    fn mix(&self, first: f32, second: f32) -> f32 {
        first + (second - first) * self.share
    }

    fn of(&self, row: &[u8], channel: usize) -> f32 {
        let at = |column: u32| f32::from(row[column as usize * 3 + channel]);
        self.mix(at(self.first), at(self.second))
    }
}

/// Linear interpolation between pixel centres, as most training pipelines resize: without smoothing.
fn taps(from: u32, to: u32) -> Vec<Between> {
    let ratio = from as f32 / to as f32;
    let tap = |n: u32| {
        let at = ((n as f32 + 0.5) * ratio - 0.5).max(0.0);
        let first = (at.floor() as u32).min(from - 1);
        Between { first, second: (first + 1).min(from - 1), share: at - first as f32 }
    };
    (0..to).map(tap).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn wants(width: u32, height: u32, fit: Fit) -> Preprocessing {
        let colour = Colour::Rgb;
        let (mean, std) = ([0.0; 3], [1.0; 3]);
        Preprocessing { width, height, fit, pad: 114, colour, mean, std }
    }

    /// Left half red, right half blue.
    fn halves(width: u32, height: u32) -> Picture {
        let row =
            |_| (0..width).flat_map(|x| if x < width / 2 { [200, 0, 10] } else { [0, 0, 250] });
        Picture::from_rgb(width, height, (0..height).flat_map(row).collect()).unwrap()
    }

    #[test]
    fn the_picture_lies_where_the_fit_says_and_the_rest_is_filled() {
        let picture = halves(8, 4);
        let red = |fit| wants(4, 4, fit).apply(&picture).0[..16].to_vec();
        let (full, fill) = ([200.0, 200.0, 0.0, 0.0], [114.0; 4]);
        assert_eq!(red(Fit::Stretch), [full; 4].concat());
        assert_eq!(red(Fit::TopLeft), [full, full, fill, fill].concat());
        assert_eq!(red(Fit::Centre), [fill, full, full, fill].concat());
    }

    #[test]
    fn channels_come_in_the_order_asked_for_and_normalised_in_it() {
        let mut wants = wants(2, 1, Fit::Stretch);
        wants.colour = Colour::Bgr;
        wants.mean = [10.0, 0.0, 0.0];
        wants.std = [2.0, 1.0, 100.0];
        let (input, _) = wants.apply(&halves(2, 1));
        assert_eq!(input, [0.0, 120.0, 0.0, 0.0, 2.0, 0.0]);
    }

    #[test]
    fn linear_interpolation_takes_pixel_centres() {
        let picture = Picture::from_rgb(2, 1, vec![0, 0, 0, 100, 100, 100]).unwrap();
        let (input, _) = wants(4, 1, Fit::Stretch).apply(&picture);
        assert_eq!(input[..4], [0.0, 25.0, 75.0, 100.0]);
    }

    proptest! {
        #[test]
        fn a_box_comes_back_to_where_it_was(
            (w, h) in (1..900_u32, 1..900_u32),
            (x, y) in (0.0..1.0_f32, 0.0..1.0_f32),
            fit in prop::sample::select(vec![Fit::Stretch, Fit::TopLeft, Fit::Centre]),
        ) {
            let picture = Picture::plain(w, h, [1, 2, 3]);
            let wants = wants(64, 48, fit);
            let (input, placement) = wants.apply(&picture);
            prop_assert_eq!(input.len(), 3 * 64 * 48);
            let px = x * placement.scale.0 + placement.offset.0;
            let py = y * placement.scale.1 + placement.offset.1;
            prop_assert!(px <= 64.01 && py <= 48.01);
            let back = placement.back(px, py, px, py);
            prop_assert!((back.x1 - x).abs() < 1e-3 && (back.y1 - y).abs() < 1e-3, "{back:?}");
        }
    }
}
