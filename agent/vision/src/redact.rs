//! What may leave: a picture in which nobody can be known, or none.
//!
//! Faces and number plates are made unrecognisable in the pixels themselves, before anything is encoded:
//! the boxes that a face model finds, a little grown; and, because such models miss small and turned
//! faces, the upper part of every person and the part of every vehicle where plates are. There is no
//! plate detector here: none with a licence and a size that fit was found. Where neither a face model is
//! there nor the detector knows people, no picture leaves at all.

use crate::bounds::{Bounds, Detection};
use crate::picture::Picture;

/// Which classes of a model have what must not be seen.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Private {
    people: Vec<usize>,
    vehicles: Vec<usize>,
}

/// Cells across a box after which nobody can be known.
const CELLS: u32 = 8;
/// A face is more than the box around it: chin, ears, hair.
const FACE_GROWN: f32 = 0.3;
/// The upper share of a person's box that is made unrecognisable.
const HEAD_SHARE: f32 = 0.3;
/// The lower share of a vehicle's box in which plates are, from bumper to the middle of a lorry's rear.
const PLATE_SHARE: f32 = 0.6;

impl Private {
    /// Those of a model with these classes.
    #[must_use]
    pub fn of(classes: &[String]) -> Private {
        const VEHICLES: [&str; 6] = ["car", "truck", "bus", "motorcycle", "van", "vehicle"];
        let numbers = |wanted: &dyn Fn(&str) -> bool| {
            let named = classes.iter().enumerate().filter(|(_, name)| wanted(name));
            named.map(|(n, _)| n).collect()
        };
        Private {
            people: numbers(&|name| matches!(name, "person" | "pedestrian" | "rider")),
            vehicles: numbers(&|name| VEHICLES.contains(&name)),
        }
    }

    /// Whether people are found at all.
    #[must_use]
    pub const fn knows_people(&self) -> bool {
        !self.people.is_empty()
    }

    /// What has to be hidden: in `found` by the detector, and the faces.
    #[must_use]
    pub fn boxes(&self, found: &[Detection], faces: &[Bounds]) -> Vec<Bounds> {
        let hidden = found.iter().filter_map(|one| {
            let Bounds { y1, y2, .. } = one.bounds;
            if self.people.contains(&one.class) {
                let head = Bounds { y2: y1 + (y2 - y1) * HEAD_SHARE, ..one.bounds };
                Some(head.grown(0.1))
            } else if self.vehicles.contains(&one.class) {
                Some(Bounds { y1: y2 - (y2 - y1) * PLATE_SHARE, ..one.bounds })
            } else {
                None
            }
        });
        hidden.chain(faces.iter().map(|face| face.grown(FACE_GROWN))).collect()
    }
}

/// Makes boxes unrecognisable: each becomes a mosaic of at most eight cells across.
pub fn redact(picture: &mut Picture, boxes: &[Bounds]) {
    for bounds in boxes {
        let (x, y) = picture.pixels(bounds);
        let longest = (x.end.saturating_sub(x.start)).max(y.end.saturating_sub(y.start));
        let cell = longest.div_ceil(CELLS).max(1);
        for top in y.clone().step_by(cell as usize) {
            let rows = top..(top + cell).min(y.end);
            for left in x.clone().step_by(cell as usize) {
                let columns = left..(left + cell).min(x.end);
                let colour = picture.mean(columns.clone(), rows.clone());
                for row in rows.clone() {
                    let pixels = &mut picture.row_mut(row)
                        [columns.start as usize * 3..columns.end as usize * 3];
                    pixels.as_chunks_mut::<3>().0.fill(colour);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Noise: every pixel is another one.
    fn noise(width: u32, height: u32) -> Picture {
        let value = |n: u32| {
            let n = (n ^ n >> 15).wrapping_mul(0x2c1b_3c6d);
            ((n ^ n >> 12).wrapping_mul(0x297a_2d39) >> 24) as u8
        };
        Picture::from_rgb(width, height, (0..width * height * 3).map(value).collect()).unwrap()
    }

    fn colours(picture: &Picture, bounds: &Bounds) -> usize {
        let part = picture.crop(bounds).unwrap();
        let mut colours: Vec<_> = part.rgb().as_chunks::<3>().0.to_vec();
        colours.sort_unstable();
        colours.dedup();
        colours.len()
    }

    #[test]
    fn nothing_is_left_of_a_box_but_a_few_cells() {
        let mut picture = noise(320, 240);
        let before = picture.clone();
        let face = Bounds { x1: 0.25, y1: 0.25, x2: 0.5, y2: 0.5 };
        redact(&mut picture, &[face]);
        assert!(colours(&before, &face) > 1000);
        assert!(colours(&picture, &face) <= 64, "{}", colours(&picture, &face));
        for y in 0..240_usize {
            for x in 0..320_usize {
                let inside = (80..160).contains(&x) && (60..120).contains(&y);
                let at = (y * 320 + x) * 3;
                assert!(inside || before.rgb()[at..at + 3] == picture.rgb()[at..at + 3], "{x} {y}");
            }
        }
    }

    #[test]
    fn boxes_at_the_edge_or_thinner_than_a_pixel_are_no_trouble() {
        let mut picture = noise(31, 17);
        let at = |x1, y1, x2, y2| Bounds { x1, y1, x2, y2 };
        let boxes = [
            at(-1.0, -1.0, 0.1, 0.1),
            at(0.9, 0.9, 2.0, 2.0),
            at(0.5, 0.5, 0.5001, 0.9),
            at(0.7, 0.7, 0.2, 0.2),
            at(f32::NAN, 0.0, 1.0, 1.0),
        ];
        redact(&mut picture, &boxes);
        assert_eq!((picture.width(), picture.height()), (31, 17));
    }

    #[test]
    fn heads_plates_and_faces_are_hidden_and_nothing_else() {
        let classes = ["person", "car", "dog"].map(str::to_owned);
        let private = Private::of(&classes);
        assert!(private.knows_people() && !Private::of(&classes[1..]).knows_people());
        let bounds = Bounds { x1: 0.4, y1: 0.2, x2: 0.6, y2: 0.8 };
        let of = |class| Detection { class, score: 0.5, bounds };
        let boxes = private.boxes(&[of(0), of(1), of(2)], &[bounds]);
        let [head, plate, face] = boxes.as_slice() else { panic!("{boxes:?}") };
        assert!(head.y1 < 0.2 && (0.38..0.41).contains(&head.y2), "{head:?}");
        assert!((plate.y1 - 0.44).abs() < 1e-6 && plate.y2 == 0.8, "{plate:?}");
        assert!(face.x1 < 0.4 && face.y2 > 0.8, "{face:?}");
    }
}
