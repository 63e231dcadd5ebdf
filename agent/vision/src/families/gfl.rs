//! NanoDet and PicoDet: the head of generalised focal loss (Li et al., 2020).
//!
//! For each cell a score per class, and for each side of the box a distribution over `bins` distances;
//! its expectation, in strides, is the distance from the middle of the cell. The two come as one output
//! per grid each, or joined in one output for all grids.

use super::{Layout, Raw};

/// The strides a grid can have, the finest first.
const STRIDES: [usize; 5] = [8, 16, 32, 64, 128];

pub(super) fn read(layout: &Layout<'_>) -> Result<Vec<Raw>, String> {
    let wanted =
        || format!("[1, cells, {}] and [1, cells, 4 x bins] for each grid", layout.classes);
    let rows: Option<Vec<_>> = layout.outputs.iter().map(Layout::rows).collect();
    let rows = rows.filter(|rows| !rows.is_empty()).ok_or_else(wanted)?;
    let mut boxes = Vec::new();
    if let [(cells, length, data)] = *rows {
        let sides = length.checked_sub(layout.classes).filter(|sides| is_sides(*sides));
        let strides = (1..=STRIDES.len()).map(|n| &STRIDES[..n]).find(|s| layout.cells(s) == cells);
        let (Some(sides), Some(strides)) = (sides, strides) else { return Err(wanted()) };
        for (row, cell) in data.chunks_exact(length).zip(layout.walk(strides)) {
            boxes.extend(one(layout, &row[..layout.classes], &row[layout.classes..], sides, cell));
        }
        return Ok(boxes);
    }
    let (scores, sides): (Vec<_>, Vec<_>) = rows.iter().partition(|row| row.1 == layout.classes);
    if scores.len() != sides.len() || is_sides(layout.classes) && sides.is_empty() {
        return Err(wanted());
    }
    for (cells, _, scores) in scores {
        let pair = sides.iter().find(|side| side.0 == cells && is_sides(side.1));
        let stride = STRIDES.iter().position(|stride| layout.cells(&[*stride]) == cells);
        let (Some((_, length, sides)), Some(stride)) = (pair, stride) else { return Err(wanted()) };
        let rows = scores.chunks_exact(layout.classes).zip(sides.chunks_exact(*length));
        for ((scores, sides), cell) in rows.zip(layout.walk(&STRIDES[stride..=stride])) {
            boxes.extend(one(layout, scores, sides, *length, cell));
        }
    }
    Ok(boxes)
}

/// Whether so many values can be the distributions of four sides.
const fn is_sides(length: usize) -> bool {
    length >= 8 && length.is_multiple_of(4)
}

fn one(
    layout: &Layout<'_>,
    scores: &[f32],
    sides: &[f32],
    length: usize,
    (x, y, stride): (f32, f32, f32),
) -> Option<Raw> {
    let (class, score) = layout.surest(scores.iter().copied());
    if score < layout.score_min {
        return None;
    }
    let mut distances = sides.chunks_exact(length / 4).map(|bins| expectation(bins) * stride);
    let mut next = || distances.next().unwrap_or(0.0);
    let (left, top, right, bottom) = (next(), next(), next(), next());
    let (x, y) = ((x + 0.5) * stride, (y + 0.5) * stride);
    Some(Raw { class, score, x1: x - left, y1: y - top, x2: x + right, y2: y + bottom })
}

/// The mean bin, each weighted by the softmax of its value.
fn expectation(bins: &[f32]) -> f32 {
    let top = bins.iter().copied().fold(f32::MIN, f32::max);
    let weights = bins.iter().map(|bin| (bin - top).exp());
    let (sum, mean) = weights
        .enumerate()
        .fold((0.0, 0.0), |(sum, mean), (n, weight)| (sum + weight, mean + n as f32 * weight));
    mean / sum
}
