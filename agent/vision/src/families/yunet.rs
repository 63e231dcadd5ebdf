//! YuNet: faces (Wu et al., 2023), three grids.
//!
//! For each grid two outputs of one value per cell, whose product is the square of the score, and one of
//! four: the middle from the cell in strides, and the logarithm of the size in strides. Landmarks are
//! there too and not needed: faces are only found to be blurred.

use super::{Layout, Raw};

const STRIDES: [usize; 3] = [8, 16, 32];

pub(super) fn read(layout: &Layout<'_>) -> Result<Vec<Raw>, String> {
    let counts = STRIDES.map(|stride| layout.cells(&[stride]));
    let wanted = || {
        let grid = |n| format!("twice [1, {n}, 1] with [1, {n}, 4]");
        counts.map(grid).join(", ")
    };
    if layout.classes != 1 {
        return Err(wanted());
    }
    let rows: Vec<_> = layout.outputs.iter().filter_map(Layout::rows).collect();
    let mut boxes = Vec::new();
    for (stride, cells) in STRIDES.into_iter().zip(counts) {
        let of = |length: usize| rows.iter().filter(move |r| (r.0, r.1) == (cells, length));
        let ones: Vec<_> = of(1).map(|row| row.2).collect();
        let ([class, object], Some((_, _, sides))) = (ones.as_slice(), of(4).next()) else {
            return Err(wanted());
        };
        let scores = class.iter().zip(*object).map(|(a, b)| (a.max(0.0) * b.max(0.0)).sqrt());
        let cells =
            scores.zip(sides.as_chunks::<4>().0).zip(layout.walk(&[stride]).collect::<Vec<_>>());
        for ((score, [dx, dy, w, h]), (x, y, stride)) in cells {
            if score >= layout.score_min {
                let centre = ((x + dx) * stride, (y + dy) * stride);
                let size = (w.exp() * stride, h.exp() * stride);
                boxes.push(Raw::around(0, score, centre, size));
            }
        }
    }
    Ok(boxes)
}
