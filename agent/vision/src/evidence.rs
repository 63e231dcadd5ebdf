//! The picture that goes with a finding: redacted, with the zone and the box drawn in, and small.

use crate::bounds::Bounds;
use crate::picture::Picture;
use crate::redact::redact;
use crate::zone::Polygon;

/// The most bytes of a picture that is kept.
pub const BYTES_MAX: usize = 80 * 1024;
/// Its width in pixels at the most.
const WIDTH_MAX: u32 = 640;
/// Below this width there is nothing to be seen any more.
const WIDTH_MIN: u32 = 160;
/// JPEG qualities that are tried, the best first.
const QUALITIES: [u8; 3] = [60, 45, 30];
/// The line of a zone.
const ZONE_COLOUR: [u8; 3] = [0, 220, 255];
/// The line of the box.
const BOX_COLOUR: [u8; 3] = [255, 40, 40];

/// A JPEG of at most [`BYTES_MAX`] bytes: `hidden` is made unrecognisable first, in full resolution.
/// `None` when the scene is so restless that no size fits.
#[must_use]
pub fn draw(
    picture: &Picture,
    hidden: &[Bounds],
    zone: &Polygon,
    found: &Bounds,
) -> Option<Vec<u8>> {
    let mut picture = picture.clone();
    redact(&mut picture, hidden);
    let mut width = picture.width().min(WIDTH_MAX);
    while width >= WIDTH_MIN.min(picture.width()) {
        let height = u64::from(picture.height()) * u64::from(width) / u64::from(picture.width());
        let mut small = picture.shrunk(width, u32::try_from(height).unwrap_or(u32::MAX));
        for (from, to) in zone.edges() {
            line(&mut small, from, to, ZONE_COLOUR);
        }
        frame(&mut small, found);
        let fitting = QUALITIES.iter().map(|quality| small.encode(*quality));
        if let Some(jpeg) = fitting.into_iter().find(|jpeg| jpeg.len() <= BYTES_MAX) {
            return Some(jpeg);
        }
        width = width * 3 / 4;
    }
    None
}

fn frame(picture: &mut Picture, bounds: &Bounds) {
    let Bounds { x1, y1, x2, y2 } = *bounds;
    let corners = [(x1, y1), (x2, y1), (x2, y2), (x1, y2), (x1, y1)];
    for pair in corners.windows(2) {
        line(picture, pair[0], pair[1], BOX_COLOUR);
    }
}

/// A line two pixels wide between two points in fractions of the picture.
fn line(picture: &mut Picture, from: (f32, f32), to: (f32, f32), colour: [u8; 3]) {
    let (width, height) = (picture.width() as f32, picture.height() as f32);
    let (dx, dy) = ((to.0 - from.0) * width, (to.1 - from.1) * height);
    let steps = dx.abs().max(dy.abs()).ceil().clamp(1.0, 100_000.0) as u32;
    for step in 0..=steps {
        let share = step as f32 / steps as f32;
        let x = (from.0 * width + dx * share) as u32;
        let y = (from.1 * height + dy * share) as u32;
        for row in [y, y + 1].map(|y| y.min(picture.height() - 1)) {
            let x = x.min(picture.width().saturating_sub(2)) as usize * 3;
            let pixels = picture.row_mut(row).get_mut(x..x + 6);
            pixels.unwrap_or_default().as_chunks_mut::<3>().0.fill(colour);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::picture::Limits;

    fn zone() -> Polygon {
        Polygon::new(vec![(0.1, 0.1), (0.9, 0.1), (0.9, 0.9), (0.1, 0.9)]).unwrap()
    }

    const FOUND: Bounds = Bounds { x1: 0.3, y1: 0.3, x2: 0.6, y2: 0.6 };

    /// Noise: every pixel is another one.
    fn noise(width: u32, height: u32) -> Picture {
        let value = |n: u32| {
            let n = (n ^ n >> 15).wrapping_mul(0x2c1b_3c6d);
            ((n ^ n >> 12).wrapping_mul(0x297a_2d39) >> 24) as u8
        };
        Picture::from_rgb(width, height, (0..width * height * 3).map(value).collect()).unwrap()
    }

    #[test]
    fn the_picture_shows_zone_and_box_and_hides_what_it_must() {
        let hidden = Bounds { x1: 0.4, y1: 0.4, x2: 0.5, y2: 0.5 };
        let mut street = Picture::plain(1280, 720, [90; 3]);
        // A face, as far as pixels go: black and white in turn.
        for y in 288..360 {
            for (n, pixel) in
                street.row_mut(y)[512 * 3..640 * 3].as_chunks_mut::<3>().0.iter_mut().enumerate()
            {
                *pixel = [if (n / 6 + y as usize / 6).is_multiple_of(2) { 0 } else { 255 }; 3];
            }
        }
        let show = |hidden: &[Bounds]| {
            let jpeg = draw(&street, hidden, &zone(), &FOUND).unwrap();
            Picture::decode(&jpeg, &Limits::default()).unwrap()
        };
        let spread = |picture: &Picture| {
            let inner = Bounds { x1: 0.42, y1: 0.42, x2: 0.48, y2: 0.48 };
            let part = picture.crop(&inner).unwrap();
            part.rgb().iter().max().unwrap() - part.rgb().iter().min().unwrap()
        };
        let (open, shown) = (show(&[]), show(&[hidden]));
        assert_eq!((shown.width(), shown.height()), (640, 360));
        assert!(spread(&open) > 150 && spread(&shown) < 40, "{} {}", spread(&open), spread(&shown));
        let at = |x: usize, y: u32| shown.row(y)[x * 3..x * 3 + 3].to_vec();
        assert!(at(192, 150)[0] > 180, "the box is red: {:?}", at(192, 150));
        assert!(at(64, 150)[2] > 180, "the zone is blue: {:?}", at(64, 150));
    }

    #[test]
    fn the_size_is_bounded_whatever_is_in_the_picture() {
        for (width, height) in [(1920, 1080), (640, 640), (300, 1200), (16, 16)] {
            let jpeg = draw(&noise(width, height), &[], &zone(), &FOUND).unwrap();
            assert!(jpeg.len() <= BYTES_MAX, "{width}x{height}: {}", jpeg.len());
        }
        assert_eq!(
            draw(&noise(160, 60_000), &[], &zone(), &FOUND),
            None,
            "a strip fits in no size"
        );
    }
}
