//! Boxes in a picture, and which of several on one object stays.
//!
//! Coordinates are fractions of the picture, so that zones and boxes mean the same at every resolution
//! a camera is set to.

use serde::{Deserialize, Serialize};

/// A box in fractions of the picture: `x` to the right, `y` downwards, `x1 <= x2` and `y1 <= y2`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Bounds {
    /// Left edge.
    pub x1: f32,
    /// Upper edge.
    pub y1: f32,
    /// Right edge.
    pub x2: f32,
    /// Lower edge.
    pub y2: f32,
}

impl Bounds {
    /// The whole picture.
    pub const ALL: Bounds = Bounds { x1: 0.0, y1: 0.0, x2: 1.0, y2: 1.0 };

    /// Width times height, as a fraction of the picture.
    #[must_use]
    pub fn area(&self) -> f32 {
        (self.x2 - self.x1).max(0.0) * (self.y2 - self.y1).max(0.0)
    }

    /// The part inside the picture; `None` when nothing of it is.
    #[must_use]
    pub fn clamped(&self) -> Option<Bounds> {
        let clamp = |v: f32| v.clamp(0.0, 1.0);
        let inside = Bounds {
            x1: clamp(self.x1),
            y1: clamp(self.y1),
            x2: clamp(self.x2),
            y2: clamp(self.y2),
        };
        (inside.area() > 0.0).then_some(inside)
    }

    /// What both cover.
    #[must_use]
    pub fn common(&self, other: &Bounds) -> f32 {
        let both = Bounds {
            x1: self.x1.max(other.x1),
            y1: self.y1.max(other.y1),
            x2: self.x2.min(other.x2),
            y2: self.y2.min(other.y2),
        };
        if both.x2 <= both.x1 || both.y2 <= both.y1 { 0.0 } else { both.area() }
    }

    /// Intersection over union: 1 for the same box, 0 for two that do not touch.
    #[must_use]
    pub fn overlap(&self, other: &Bounds) -> f32 {
        let common = self.common(other);
        let union = self.area() + other.area() - common;
        if union > 0.0 { common / union } else { 0.0 }
    }

    /// The point in its middle.
    #[must_use]
    pub fn centre(&self) -> (f32, f32) {
        (f32::midpoint(self.x1, self.x2), f32::midpoint(self.y1, self.y2))
    }

    /// Where the object touches the ground: the middle of the lower edge, a little above it, so that what
    /// is cut by the lower edge of the picture stands in a zone that reaches there.
    #[must_use]
    pub fn foot(&self) -> (f32, f32) {
        const ABOVE: f32 = 0.02;
        (f32::midpoint(self.x1, self.x2), self.y2 - (self.y2 - self.y1) * ABOVE)
    }

    /// Grown by this share of its size on every side, inside the picture.
    #[must_use]
    pub fn grown(&self, share: f32) -> Bounds {
        let (dx, dy) = ((self.x2 - self.x1) * share, (self.y2 - self.y1) * share);
        let clamp = |v: f32| v.clamp(0.0, 1.0);
        Bounds {
            x1: clamp(self.x1 - dx),
            y1: clamp(self.y1 - dy),
            x2: clamp(self.x2 + dx),
            y2: clamp(self.y2 + dy),
        }
    }
}

/// One object that a network found.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Detection {
    /// Which class, as the manifest counts them.
    pub class: usize,
    /// How sure the network is, 0 to 1.
    pub score: f32,
    /// Where.
    pub bounds: Bounds,
}

/// Detections that enter the suppression, the surest first. A picture with more is noise: the rest is cut.
const CANDIDATES_MAX: usize = 3000;
/// Detections kept of one picture.
pub const DETECTIONS_MAX: usize = 300;

/// Keeps the surest detection of every object: of two boxes of one class that overlap by more than
/// `overlap_max` the less sure one goes.
#[must_use]
pub fn suppress(mut found: Vec<Detection>, overlap_max: f32) -> Vec<Detection> {
    found.sort_by(|a, b| b.score.total_cmp(&a.score));
    found.truncate(CANDIDATES_MAX);
    let mut kept: Vec<Detection> = Vec::new();
    for one in found {
        let covered =
            |k: &Detection| k.class == one.class && k.bounds.overlap(&one.bounds) > overlap_max;
        if kept.len() < DETECTIONS_MAX && !kept.iter().any(covered) {
            kept.push(one);
        }
    }
    kept
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn bounds(x1: f32, y1: f32, x2: f32, y2: f32) -> Bounds {
        Bounds { x1, y1, x2, y2 }
    }

    #[test]
    fn overlap_is_what_is_common_of_all_that_is_covered() {
        let a = bounds(0.0, 0.0, 0.4, 0.4);
        let b = bounds(0.2, 0.0, 0.6, 0.4);
        assert!((a.overlap(&b) - 1.0 / 3.0).abs() < 1e-6);
        assert_eq!(a.overlap(&bounds(0.4, 0.0, 0.8, 0.4)), 0.0, "an edge is no overlap");
        assert_eq!(bounds(0.5, 0.5, 0.5, 0.5).overlap(&a), 0.0);
    }

    #[test]
    fn the_surest_box_of_each_class_stays() {
        let at =
            |class, score, x1| Detection { class, score, bounds: bounds(x1, 0.0, x1 + 0.2, 0.2) };
        let kept = suppress(
            vec![at(1, 0.5, 0.01), at(1, 0.9, 0.0), at(2, 0.4, 0.0), at(1, 0.3, 0.5)],
            0.6,
        );
        let kept: Vec<_> = kept.iter().map(|d| (d.class, d.score)).collect();
        assert_eq!(kept, [(1, 0.9), (2, 0.4), (1, 0.3)]);
    }

    fn any_bounds() -> impl Strategy<Value = Bounds> {
        (0.0..0.9_f32, 0.0..0.9_f32, 0.01..0.5_f32, 0.01..0.5_f32)
            .prop_map(|(x, y, w, h)| bounds(x, y, x + w, y + h))
    }

    proptest! {
        #[test]
        fn overlap_is_symmetric_and_bounded(a in any_bounds(), b in any_bounds()) {
            let (ab, ba) = (a.overlap(&b), b.overlap(&a));
            prop_assert!((ab - ba).abs() < 1e-5);
            prop_assert!((0.0..=1.0001).contains(&ab));
            prop_assert!((a.overlap(&a) - 1.0).abs() < 1e-4);
        }

        #[test]
        fn what_stays_does_not_overlap_and_suppressing_again_changes_nothing(
            all in prop::collection::vec((any_bounds(), 0..3_usize, 0.0..1.0_f32), 0..40)
        ) {
            let all = all.into_iter().map(|(bounds, class, score)| Detection { class, score, bounds });
            let kept = suppress(all.collect(), 0.5);
            for (n, a) in kept.iter().enumerate() {
                for b in &kept[n + 1..] {
                    prop_assert!(a.class != b.class || a.bounds.overlap(&b.bounds) <= 0.5);
                    prop_assert!(a.score >= b.score);
                }
            }
            prop_assert_eq!(suppress(kept.clone(), 0.5), kept);
        }
    }
}
