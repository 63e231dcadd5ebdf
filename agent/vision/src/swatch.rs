//! A network so small that it is written by hand: it says which sixteenths of a picture are red, green
//! or blue.
//!
//! It proves the way from a picture to a ticket on a machine that has no weights: in tests, in the
//! demonstration, and where somebody tries out zones and rules with coloured paper. The bytes are those of
//! an ONNX file (`onnx.proto`, opset 13): an average over each sixteenth, then one linear layer whose
//! outputs are laid out as FastestDet's.

use std::path::{Path, PathBuf};

use crate::manifest::sha256;
use crate::picture::Picture;

/// Its classes, red, green and blue, unless others are asked for.
pub const CLASSES: [&str; 3] = ["car", "overflow", "person"];
/// Cells in a row and in a column.
pub const GRID: u32 = 4;
/// Edge of the input in pixels.
const EDGE: u64 = 64;
/// Channel of an objectness of 1, of the two offsets to the middle of the cell (`atanh(0.5)`), and of the
/// two sizes of one cell (`ln(1/3)`).
const BOX: [f32; 5] = [1.0, 0.549_306, 0.549_306, -1.098_612, -1.098_612];

/// A field that is a number.
fn number(out: &mut Vec<u8>, field: u64, value: u64) {
    varint(out, field << 3);
    varint(out, value);
}

/// A field that is text, bytes or a message.
fn bytes(out: &mut Vec<u8>, field: u64, value: &[u8]) {
    varint(out, field << 3 | 2);
    varint(out, value.len() as u64);
    out.extend_from_slice(value);
}

fn varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push((value & 0x7f) as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

fn message(fill: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let mut out = Vec::new();
    fill(&mut out);
    out
}

/// An operator with one output, and attributes that are lists of whole numbers.
fn operator(kind: &str, inputs: &[&str], output: &str, attributes: &[(&str, &[u64])]) -> Vec<u8> {
    message(|node| {
        for input in inputs {
            bytes(node, 1, input.as_bytes());
        }
        bytes(node, 2, output.as_bytes());
        bytes(node, 4, kind.as_bytes());
        for (name, values) in attributes {
            let attribute = message(|attribute| {
                bytes(attribute, 1, name.as_bytes());
                values.iter().for_each(|value| number(attribute, 8, *value));
                number(attribute, 20, 7);
            });
            bytes(node, 5, &attribute);
        }
    })
}

/// Weights: single precision, as raw bytes.
fn weights(name: &str, shape: &[u64], values: &[f32]) -> Vec<u8> {
    message(|tensor| {
        shape.iter().for_each(|length| number(tensor, 1, *length));
        number(tensor, 2, 1);
        bytes(tensor, 8, name.as_bytes());
        bytes(tensor, 9, &values.iter().flat_map(|v| v.to_le_bytes()).collect::<Vec<u8>>());
    })
}

/// An input or output: single precision of this shape.
fn value(name: &str, shape: &[u64]) -> Vec<u8> {
    let dimensions = message(|dimensions| {
        for length in shape {
            bytes(dimensions, 1, &message(|dimension| number(dimension, 1, *length)));
        }
    });
    let tensor = message(|tensor| {
        number(tensor, 1, 1);
        bytes(tensor, 2, &dimensions);
    });
    message(|value| {
        bytes(value, 1, name.as_bytes());
        bytes(value, 2, &message(|kind| bytes(kind, 1, &tensor)));
    })
}

/// The ONNX file. `sure` is the score of a cell that has nothing but its colour, 1 for a network that
/// works.
#[must_use]
pub fn onnx(sure: f32) -> Vec<u8> {
    let outputs = BOX.len() as u64 + 3;
    let mut layer = vec![0.0; BOX.len() * 3];
    for own in 0..3 {
        layer.extend((0..3).map(|channel| if channel == own { sure } else { -sure }));
    }
    let mut bias = BOX.to_vec();
    bias.extend([0.0; 3]);
    let cell = [EDGE / u64::from(GRID); 2];
    let graph = message(|graph| {
        let average = [("kernel_shape", cell.as_slice()), ("strides", cell.as_slice())];
        bytes(graph, 1, &operator("AveragePool", &["picture"], "cells", &average));
        let inputs = ["cells", "layer", "bias"];
        bytes(graph, 1, &operator("Conv", &inputs, "found", &[("kernel_shape", &[1, 1])]));
        bytes(graph, 2, b"swatch");
        bytes(graph, 5, &weights("layer", &[outputs, 3, 1, 1], &layer));
        bytes(graph, 5, &weights("bias", &[outputs], &bias));
        bytes(graph, 11, &value("picture", &[1, 3, EDGE, EDGE]));
        bytes(graph, 12, &value("found", &[1, outputs, u64::from(GRID), u64::from(GRID)]));
    });
    message(|model| {
        number(model, 1, 8);
        bytes(model, 7, &graph);
        bytes(model, 8, &message(|opset| number(opset, 2, 13)));
    })
}

/// The manifest of [`onnx`] with one's own names for red, green and blue.
#[must_use]
pub fn manifest(file: &str, onnx: &[u8], classes: [&str; 3]) -> String {
    let sha256 = sha256(onnx);
    format!(
        "# Says which sixteenths of a picture are red, green or blue.\n\
         file = \"{file}\"\nsha256 = \"{sha256}\"\nfamily = \"fastestdet\"\ninput = [{EDGE}, {EDGE}]\n\
         fit = \"stretch\"\ncolour = \"rgb\"\nstd = [255.0, 255.0, 255.0]\nclasses = {classes:?}\n\
         score_min = 0.5\noverlap_max = 0.3\nlicence = \"Apache-2.0\"\n"
    )
}

/// Writes the network and its manifest into a folder; answers the path of the manifest.
///
/// # Errors
/// Those of the file system.
pub fn write(folder: &Path) -> std::io::Result<PathBuf> {
    let onnx = onnx(1.0);
    std::fs::write(folder.join("swatch.onnx"), &onnx)?;
    let path = folder.join("swatch.toml");
    std::fs::write(&path, manifest("swatch.onnx", &onnx, CLASSES))?;
    Ok(path)
}

/// A grey picture with coloured sixteenths: column, row, and which class.
#[must_use]
pub fn picture(width: u32, height: u32, cells: &[(u32, u32, usize)]) -> Picture {
    let mut picture = Picture::plain(width, height, [96, 96, 96]);
    for (column, row, class) in cells {
        let mut colour = [8; 3];
        colour[*class % 3] = 240;
        let (x1, x2) = (column * width / GRID, (column + 1) * width / GRID);
        for y in row * height / GRID..(row + 1) * height / GRID {
            let pixels = &mut picture.row_mut(y)[x1 as usize * 3..x2 as usize * 3];
            for pixel in pixels.as_chunks_mut::<3>().0 {
                *pixel = colour;
            }
        }
    }
    picture
}
