//! FastestDet: one grid, one plane for each value.
//!
//! Layout of the author's own example for ONNX Runtime: objectness, `tanh` offsets of the middle in
//! cells, `sigmoid` of the size as a share of the picture, then the classes;
//! score = objectness^0.6 x class^0.4.

use super::{Layout, Raw, sigmoid};

pub(super) fn read(layout: &Layout<'_>) -> Result<Vec<Raw>, String> {
    let length = 5 + layout.classes;
    let wanted = || format!("[1, {length}, rows, columns]");
    let [tensor] = layout.outputs else { return Err(wanted()) };
    let (rows, columns) = match *tensor.shape.as_slice() {
        [1, planes, rows, columns] if planes == length => (rows, columns),
        _ => return Err(wanted()),
    };
    let cells = rows * columns;
    let (width, height) = (layout.width as f32, layout.height as f32);
    let boxes = (0..cells).filter_map(|cell| {
        let value = |plane: usize| tensor.data[plane * cells + cell];
        let (class, best) = layout.surest((5..length).map(value));
        let score = value(0).max(0.0).powf(0.6) * best.max(0.0).powf(0.4);
        let x = ((cell % columns) as f32 + value(1).tanh()) / columns as f32;
        let y = ((cell / columns) as f32 + value(2).tanh()) / rows as f32;
        let size = (sigmoid(value(3)) * width, sigmoid(value(4)) * height);
        (score >= layout.score_min)
            .then(|| Raw::around(class, score, (x * width, y * height), size))
    });
    Ok(boxes.collect())
}
