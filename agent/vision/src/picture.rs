//! Pictures: JPEG in, pixels out, and back.
//!
//! Everything that arrives is hostile until it has been decoded: sizes are read from the header and
//! compared with [`Limits`] before memory is asked for, and a file without its end is refused. Only JPEG
//! is taken: it is what cameras, `ffmpeg` and `rpicam-vid` write.

use std::borrow::Cow;

use jpeg_encoder::{ColorType, Encoder};
use zune_jpeg::JpegDecoder;
use zune_jpeg::zune_core::bytestream::ZCursor;
use zune_jpeg::zune_core::colorspace::ColorSpace;
use zune_jpeg::zune_core::options::DecoderOptions;

use crate::bounds::Bounds;

/// The most a picture may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of the file.
    pub bytes: usize,
    /// Pixels, width times height.
    pub pixels: u64,
}

impl Default for Limits {
    /// 8 MiB and 4K (4096 by 2304 pixels, which take 28 MB decoded).
    fn default() -> Limits {
        Limits { bytes: 8 * 1024 * 1024, pixels: 4096 * 2304 }
    }
}

/// Why a picture was not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadPicture {
    /// No bytes.
    #[error("it is empty")]
    Empty,
    /// It does not begin as a JPEG.
    #[error("it is no JPEG")]
    NotJpeg,
    /// It does not end as a JPEG: the file is still being written, or was cut.
    #[error("its end is missing")]
    Cut,
    /// More bytes than [`Limits::bytes`].
    #[error("it has {0} bytes, more than is taken")]
    TooManyBytes(usize),
    /// More pixels than [`Limits::pixels`].
    #[error("it has {width}x{height} pixels, more than are taken")]
    TooManyPixels {
        /// Width in pixels.
        width: usize,
        /// Height in pixels.
        height: usize,
    },
    /// The decoder cannot read it.
    #[error("it is damaged")]
    Damaged,
}

/// A picture in memory: rows from the top, each pixel red, green, blue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Picture {
    width: u32,
    height: u32,
    rgb: Vec<u8>,
}

/// The longest edge of a picture; the JPEG format ends here.
const EDGE_MAX: u32 = 65_535;

impl Picture {
    /// A picture of these pixels; `None` when their number is not `width * height * 3`, or there are none.
    #[must_use]
    pub fn from_rgb(width: u32, height: u32, rgb: Vec<u8>) -> Option<Picture> {
        let fits = (1..=EDGE_MAX).contains(&width) && (1..=EDGE_MAX).contains(&height);
        let size = width as usize * height as usize * 3;
        (fits && rgb.len() == size).then_some(Picture { width, height, rgb })
    }

    /// One colour everywhere. Edges are cut to what a JPEG can hold.
    #[must_use]
    pub fn plain(width: u32, height: u32, colour: [u8; 3]) -> Picture {
        let (width, height) = (width.clamp(1, EDGE_MAX), height.clamp(1, EDGE_MAX));
        let rgb = colour.repeat(width as usize * height as usize);
        Picture { width, height, rgb }
    }

    /// Decodes a JPEG.
    ///
    /// # Errors
    /// [`BadPicture`]: nothing larger than `limits` is ever allocated.
    pub fn decode(jpeg: &[u8], limits: &Limits) -> Result<Picture, BadPicture> {
        if jpeg.is_empty() {
            return Err(BadPicture::Empty);
        }
        if jpeg.len() > limits.bytes {
            return Err(BadPicture::TooManyBytes(jpeg.len()));
        }
        if !jpeg.starts_with(&[0xff, 0xd8, 0xff]) {
            return Err(BadPicture::NotJpeg);
        }
        if !ends(jpeg) {
            return Err(BadPicture::Cut);
        }
        let edge = EDGE_MAX as usize;
        let options = DecoderOptions::new_safe()
            .set_max_width(edge)
            .set_max_height(edge)
            .jpeg_set_out_colorspace(ColorSpace::RGB);
        let jpeg = with_tables(jpeg);
        let mut decoder = JpegDecoder::new_with_options(ZCursor::new(&*jpeg), options);
        decoder.decode_headers().map_err(|_| BadPicture::Damaged)?;
        let info = decoder.info().ok_or(BadPicture::Damaged)?;
        let (width, height) = (usize::from(info.width), usize::from(info.height));
        if width as u64 * height as u64 > limits.pixels {
            return Err(BadPicture::TooManyPixels { width, height });
        }
        let rgb = decoder.decode().map_err(|_| BadPicture::Damaged)?;
        let (width, height) = (u32::from(info.width), u32::from(info.height));
        Picture::from_rgb(width, height, rgb).ok_or(BadPicture::Damaged)
    }

    /// As a JPEG of this quality, 1 to 100, with nothing of the metadata the original had.
    #[must_use]
    pub fn encode(&self, quality: u8) -> Vec<u8> {
        let mut jpeg = Vec::new();
        let edge = |pixels: u32| u16::try_from(pixels).expect("edges are at most 65535");
        Encoder::new(&mut jpeg, quality.clamp(1, 100))
            .encode(&self.rgb, edge(self.width), edge(self.height), ColorType::Rgb)
            .expect("a picture has as many bytes as its edges say, and memory takes them");
        jpeg
    }

    /// Width in pixels.
    #[must_use]
    pub const fn width(&self) -> u32 {
        self.width
    }

    /// Height in pixels.
    #[must_use]
    pub const fn height(&self) -> u32 {
        self.height
    }

    /// The pixels.
    #[must_use]
    pub fn rgb(&self) -> &[u8] {
        &self.rgb
    }

    /// One row.
    pub(crate) fn row(&self, y: u32) -> &[u8] {
        let length = self.width as usize * 3;
        &self.rgb[y as usize * length..][..length]
    }

    /// One row, to be painted on.
    pub(crate) fn row_mut(&mut self, y: u32) -> &mut [u8] {
        let length = self.width as usize * 3;
        &mut self.rgb[y as usize * length..][..length]
    }

    /// Columns `x1..x2` and rows `y1..y2` of a box; empty ranges where it is thinner than a pixel.
    #[must_use]
    pub fn pixels(&self, bounds: &Bounds) -> (std::ops::Range<u32>, std::ops::Range<u32>) {
        // In range by the clamp; a NaN becomes 0.
        let at = |fraction: f32, edge: u32| (fraction.clamp(0.0, 1.0) * edge as f32).round() as u32;
        let x = at(bounds.x1, self.width)..at(bounds.x2, self.width);
        let y = at(bounds.y1, self.height)..at(bounds.y2, self.height);
        (x, y)
    }

    /// The part inside a box; `None` where that is thinner than a pixel.
    #[must_use]
    pub fn crop(&self, bounds: &Bounds) -> Option<Picture> {
        let (x, y) = self.pixels(bounds);
        let columns = x.start as usize * 3..x.end as usize * 3;
        let rows = y.clone().flat_map(|y| self.row(y).get(columns.clone()).unwrap_or_default());
        let rgb: Vec<u8> = rows.copied().collect();
        let width = x.end.saturating_sub(x.start);
        Picture::from_rgb(width, y.end.saturating_sub(y.start), rgb)
    }

    /// In another size, each pixel the mean of those it covers. For pictures that people look at.
    #[must_use]
    pub fn shrunk(&self, width: u32, height: u32) -> Picture {
        let (width, height) = (width.clamp(1, self.width), height.clamp(1, self.height));
        let span = |n: u32, of: u32, from: u32| {
            let edge = |n: u32| u64::from(n) * u64::from(from) / u64::from(of);
            (edge(n) as u32, (edge(n + 1) as u32).max(edge(n) as u32 + 1))
        };
        let mut rgb = Vec::with_capacity(width as usize * height as usize * 3);
        for y in 0..height {
            let (y1, y2) = span(y, height, self.height);
            for x in 0..width {
                let (x1, x2) = span(x, width, self.width);
                rgb.extend(self.mean(x1..x2, y1..y2));
            }
        }
        Picture { width, height, rgb }
    }

    /// The mean colour of some columns of some rows, which must not be empty.
    pub(crate) fn mean(&self, x: std::ops::Range<u32>, y: std::ops::Range<u32>) -> [u8; 3] {
        let mut sums = [0_u64; 3];
        let count = u64::from(x.end - x.start) * u64::from(y.end - y.start);
        for row in y {
            let row = &self.row(row)[x.start as usize * 3..x.end as usize * 3];
            for pixel in row.as_chunks::<3>().0 {
                for (sum, value) in sums.iter_mut().zip(pixel) {
                    *sum += u64::from(*value);
                }
            }
        }
        sums.map(|sum| u8::try_from(sum / count.max(1)).expect("a mean of bytes is a byte"))
    }
}

/// Whether a file has the end of a JPEG. Some cameras pad it.
fn ends(jpeg: &[u8]) -> bool {
    let padding = jpeg.iter().rev().take_while(|byte| matches!(byte, 0x00 | b'\r' | b'\n')).count();
    jpeg[..jpeg.len() - padding].ends_with(&[0xff, 0xd9])
}

/// A JPEG that has its Huffman tables, or says that they are the usual ones. USB cameras leave them out
/// (ITU-T T.81, annex K.3, has them), and most do not say so as AVI files do: by a segment "AVI1", which is
/// what the decoder goes by.
fn with_tables(jpeg: &[u8]) -> Cow<'_, [u8]> {
    const SCAN: u8 = 0xda;
    const TABLES: u8 = 0xc4;
    const AVI1: &[u8] = b"\xff\xe0\x00\x10AVI1\0\0\0\0\0\0\0\0\0\0";
    let (start, mut rest) = jpeg.split_at(2);
    while let [0xff, kind, high, low, ..] = *rest {
        if kind == TABLES {
            return Cow::Borrowed(jpeg);
        }
        if kind == SCAN {
            return Cow::Owned([start, AVI1, &jpeg[2..]].concat());
        }
        let length = 2 + usize::from(u16::from_be_bytes([high, low]));
        rest = rest.get(length..).unwrap_or_default();
    }
    // What is no row of segments is the decoder's to refuse.
    Cow::Borrowed(jpeg)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A picture with a gradient, so that every pixel is another one.
    fn gradient(width: u32, height: u32) -> Picture {
        let pixels = (0..height).flat_map(|y| {
            (0..width).flat_map(move |x| [(x * 255 / width) as u8, (y * 255 / height) as u8, 90])
        });
        Picture::from_rgb(width, height, pixels.collect()).unwrap()
    }

    /// USB cameras leave the Huffman tables out: they are always the same (ITU-T T.81, annex K.3).
    #[test]
    fn a_frame_of_mjpeg_without_its_tables_is_the_same_picture() {
        let street = crate::swatch::picture(64, 48, &[(1, 2, 0), (3, 0, 2)]);
        let jpeg = street.encode(90);
        let (mut bare, mut at) = (jpeg[..2].to_vec(), 2);
        // Segments, up to the one after which the pixels come.
        while jpeg[at + 1] != 0xda {
            let length = 2 + usize::from(u16::from_be_bytes([jpeg[at + 2], jpeg[at + 3]]));
            if jpeg[at + 1] != 0xc4 {
                bare.extend(&jpeg[at..at + length]);
            }
            at += length;
        }
        bare.extend(&jpeg[at..]);
        assert!(bare.len() + 300 < jpeg.len(), "the tables are gone");
        let decode = |jpeg: &[u8]| Picture::decode(jpeg, &Limits::default()).unwrap();
        assert_eq!(decode(&bare), decode(&jpeg));
    }

    #[test]
    fn a_picture_survives_the_way_through_a_jpeg() {
        let picture = gradient(64, 48);
        let back = Picture::decode(&picture.encode(95), &Limits::default()).unwrap();
        assert_eq!((back.width(), back.height()), (64, 48));
        let far = picture.rgb().iter().zip(back.rgb()).map(|(a, b)| a.abs_diff(*b)).max();
        assert!(far < Some(16), "{far:?}");
    }

    #[test]
    fn what_is_no_whole_jpeg_of_a_fair_size_is_refused_with_its_reason() {
        let jpeg = gradient(64, 48).encode(90);
        let limits = Limits::default();
        let decode = |bytes: &[u8]| Picture::decode(bytes, &limits).unwrap_err();
        assert_eq!(decode(b""), BadPicture::Empty);
        assert_eq!(decode(b"\x89PNG\r\n\x1a\n"), BadPicture::NotJpeg);
        assert_eq!(decode(&jpeg[..jpeg.len() / 2]), BadPicture::Cut);
        assert_eq!(
            decode(&vec![0xff; limits.bytes + 1]),
            BadPicture::TooManyBytes(limits.bytes + 1)
        );
        let mut damaged = jpeg[..30].to_vec();
        damaged.extend([0xff, 0xd9]);
        assert_eq!(decode(&damaged), BadPicture::Damaged);
        let mut padded = jpeg.clone();
        padded.extend([0; 12]);
        assert!(Picture::decode(&padded, &limits).is_ok(), "cameras pad");
    }

    /// Says another size in the header: nothing but the header has it.
    fn claim(jpeg: &mut [u8], width: u16, height: u16) {
        let frame = jpeg.windows(2).position(|w| w == [0xff, 0xc0]).unwrap();
        jpeg[frame + 5..frame + 7].copy_from_slice(&height.to_be_bytes());
        jpeg[frame + 7..frame + 9].copy_from_slice(&width.to_be_bytes());
    }

    #[test]
    fn a_bomb_is_refused_before_memory_is_asked_for() {
        let mut jpeg = gradient(64, 48).encode(90);
        claim(&mut jpeg, 20_000, 20_000);
        let refused = Picture::decode(&jpeg, &Limits::default()).unwrap_err();
        assert_eq!(refused, BadPicture::TooManyPixels { width: 20_000, height: 20_000 });
        claim(&mut jpeg, 65_535, 65_535);
        let refused = Picture::decode(&jpeg, &Limits::default()).unwrap_err();
        assert_eq!(refused, BadPicture::TooManyPixels { width: 65_535, height: 65_535 });
    }

    #[test]
    fn a_part_has_the_pixels_of_its_place_and_what_is_thin_has_none() {
        let picture = gradient(100, 50);
        let part = picture.crop(&Bounds { x1: 0.5, y1: 0.2, x2: 0.7, y2: 0.4 }).unwrap();
        assert_eq!((part.width(), part.height()), (20, 10));
        assert_eq!(part.row(0)[..3], picture.row(10)[150..153]);
        assert_eq!(picture.crop(&Bounds { x1: 0.5, y1: 0.2, x2: 0.501, y2: 0.4 }), None);
    }

    #[test]
    fn a_smaller_picture_keeps_the_means() {
        let shrunk = gradient(100, 50).shrunk(10, 5);
        assert_eq!((shrunk.width(), shrunk.height()), (10, 5));
        assert_eq!(shrunk.row(2)[..3], [11, 124, 90]);
        assert_eq!(gradient(4, 4).shrunk(100, 100), gradient(4, 4), "it never grows");
    }

    proptest! {
        #[test]
        fn damage_never_panics(at in 2..1500_usize, with in prop::collection::vec(any::<u8>(), 1..40)) {
            let mut jpeg = gradient(64, 48).encode(80);
            let at = at.min(jpeg.len() - 2);
            let end = (at + with.len()).min(jpeg.len() - 2);
            jpeg[at..end].copy_from_slice(&with[..end - at]);
            let limits = Limits { bytes: 1 << 20, pixels: 1 << 20 };
            if let Ok(picture) = Picture::decode(&jpeg, &limits) {
                prop_assert!(u64::from(picture.width()) * u64::from(picture.height()) <= limits.pixels);
            }
        }
    }
}
