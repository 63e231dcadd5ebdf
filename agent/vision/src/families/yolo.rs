//! The YOLO families: rows of a box, sometimes an objectness, and a score for each class.
//!
//! Layouts as the exporters of YOLOX (Megvii, 2021), YOLOv5 and YOLOv8 (Ultralytics) write them.

use super::{Layout, Raw, sigmoid};

/// The strides of the three grids of YOLOX.
const STRIDES: [usize; 3] = [8, 16, 32];

/// YOLOX: `x, y` from the cell in strides, `ln w, ln h` in strides; score = objectness x class.
pub(super) fn x(layout: &Layout<'_>) -> Result<Vec<Raw>, String> {
    let (cells, length) = (layout.cells(&STRIDES), 5 + layout.classes);
    let wanted = format!("[1, {cells}, {length}]");
    let (count, row, data) = layout.only(&wanted)?;
    if (count, row) != (cells, length) {
        return Err(wanted);
    }
    let rows = data.chunks_exact(length).zip(layout.walk(&STRIDES));
    let boxes = rows.filter_map(|(row, (x, y, stride))| {
        let (class, score) = objective(layout, row)?;
        let centre = ((row[0] + x) * stride, (row[1] + y) * stride);
        Some(Raw::around(class, score, centre, (row[2].exp() * stride, row[3].exp() * stride)))
    });
    Ok(boxes.collect())
}

/// YOLOv5: middle and size in pixels; score = objectness x class.
pub(super) fn v5(layout: &Layout<'_>) -> Result<Vec<Raw>, String> {
    let length = 5 + layout.classes;
    let wanted = format!("[1, anchors, {length}]");
    let (_, row, data) = layout.only(&wanted)?;
    if row != length {
        return Err(wanted);
    }
    let boxes = data.chunks_exact(length).filter_map(|row| {
        let (class, score) = objective(layout, row)?;
        Some(Raw::around(class, score, (row[0], row[1]), (row[2], row[3])))
    });
    Ok(boxes.collect())
}

/// YOLOv8 and v11: one column per cell, middle and size in pixels; some exporters turn it round.
pub(super) fn v8(layout: &Layout<'_>) -> Result<Vec<Raw>, String> {
    let length = 4 + layout.classes;
    let wanted = format!("[1, {length}, cells]");
    let (rows, columns, data) = layout.only(&wanted)?;
    // Where value `k` of cell `n` is: as exported, or turned round.
    let (cells, step, next) = match (rows == length, columns == length) {
        (true, _) => (columns, columns, 1),
        (false, true) => (rows, 1, columns),
        (false, false) => return Err(wanted),
    };
    let value = |n: usize, k: usize| data[k * step + n * next];
    let boxes = (0..cells).filter_map(|n| {
        let (class, score) = layout.surest((4..length).map(|k| value(n, k)));
        let (centre, size) = ((value(n, 0), value(n, 1)), (value(n, 2), value(n, 3)));
        (score >= layout.score_min).then(|| Raw::around(class, score, centre, size))
    });
    Ok(boxes.collect())
}

/// The surest class of a row that has an objectness; `None` below the least score.
fn objective(layout: &Layout<'_>, row: &[f32]) -> Option<(usize, f32)> {
    let objectness = if layout.logits { sigmoid(row[4]) } else { row[4] };
    // No class can make more of it.
    if objectness < layout.score_min {
        return None;
    }
    let (class, score) = layout.surest(row[5..].iter().copied());
    let score = score * objectness;
    (score >= layout.score_min).then_some((class, score))
}
