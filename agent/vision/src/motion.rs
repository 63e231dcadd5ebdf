//! Whether a frame is worth a look: something moved, or too much time has passed; and whether it shows
//! anything at all.
//!
//! A frame that shows nothing is not an empty street: it is told apart here, before any network sees it,
//! so that nothing is cleared by it.

use crate::picture::Picture;
use crate::watch::Millis;

/// Cells of the small grey picture that frames are compared by.
const COLUMNS: u32 = 160;
/// Rows of it.
const ROWS: u32 = 90;
/// A cell has changed when its level is so far from the mean of the last frames, of 255.
const CHANGE_MIN: u8 = 15;
/// The weight of a new frame in that mean, as a power of two: one eighth.
const FADE: u32 = 3;
/// Below this standard deviation of the levels the frame is of one colour: the lens is covered, or fogged.
const CONTRAST_MIN: u32 = 4;
/// Below this mean level, and with less contrast than [`CONTRAST_DARK`], it is too dark to tell anything.
const LEVEL_DARK: u32 = 16;
/// What street lights leave of contrast in a frame that is still of use.
const CONTRAST_DARK: u32 = 12;

/// What is wrong with what a camera shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Blind {
    /// Of one colour: covered, fogged, or broken.
    Plain,
    /// Too dark.
    Dark,
    /// The same bytes as before, for longer than can be believed.
    Frozen,
}

impl Blind {
    /// The word in counters and tickets.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Blind::Plain => "plain",
            Blind::Dark => "dark",
            Blind::Frozen => "frozen",
        }
    }
}

/// What to do with a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Worth {
    /// Look at it.
    Look,
    /// Nothing has changed: what was seen last still holds.
    Still,
    /// It shows nothing.
    Blind(Blind),
}

/// What the gate goes by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Thresholds {
    /// A look is worth it when so many thousandths of the picture have changed; 0: always.
    pub moved_permille: u16,
    /// Without movement a look is worth it after so long.
    pub keepalive: Millis,
    /// The same bytes for so long are a frozen picture; `None`: they are believed.
    pub frozen_after: Option<Millis>,
}

/// Remembers the frames of one camera.
#[derive(Debug, Clone)]
pub struct Gate {
    thresholds: Thresholds,
    /// The mean of the last frames, in levels times `2^FADE`; empty before the first.
    mean: Vec<u16>,
    looked: Option<Millis>,
    same: Option<(u64, Millis)>,
}

impl Gate {
    /// Has seen nothing yet.
    #[must_use]
    pub const fn new(thresholds: Thresholds) -> Gate {
        Gate { thresholds, mean: Vec::new(), looked: None, same: None }
    }

    /// Judges a frame; `print` tells its bytes from others.
    pub fn judge(&mut self, picture: &Picture, print: u64, now: Millis) -> Worth {
        let grey = grey(picture);
        if let Some(blind) = self.blind(&grey, print, now) {
            return Worth::Blind(blind);
        }
        let moved = self.moved(&grey);
        let due = self.looked.is_none_or(|at| now.saturating_sub(at) >= self.thresholds.keepalive);
        if moved || due {
            self.looked = Some(now);
            Worth::Look
        } else {
            Worth::Still
        }
    }

    fn blind(&mut self, grey: &[u8], print: u64, now: Millis) -> Option<Blind> {
        let since = match self.same {
            Some((last, since)) if last == print => since,
            _ => {
                self.same = Some((print, now));
                now
            }
        };
        let (level, contrast) = level_and_contrast(grey);
        if contrast < CONTRAST_MIN {
            Some(if level < LEVEL_DARK { Blind::Dark } else { Blind::Plain })
        } else if level < LEVEL_DARK && contrast < CONTRAST_DARK {
            Some(Blind::Dark)
        } else if self.thresholds.frozen_after.is_some_and(|most| now.saturating_sub(since) >= most)
        {
            Some(Blind::Frozen)
        } else {
            None
        }
    }

    /// Whether enough has changed, and takes the frame into the mean.
    fn moved(&mut self, grey: &[u8]) -> bool {
        if self.mean.is_empty() {
            self.mean = grey.iter().map(|level| u16::from(*level) << FADE).collect();
            return true;
        }
        let mut changed = 0;
        for (mean, level) in self.mean.iter_mut().zip(grey) {
            let old = (*mean >> FADE) as u8;
            changed += usize::from(old.abs_diff(*level) >= CHANGE_MIN);
            *mean = *mean - (*mean >> FADE) + u16::from(*level);
        }
        changed * 1000 >= usize::from(self.thresholds.moved_permille) * grey.len()
    }
}

/// The picture in few grey cells, each the mean of what it covers.
fn grey(picture: &Picture) -> Vec<u8> {
    let small = picture.shrunk(COLUMNS, ROWS);
    let level = |[r, g, b]: &[u8; 3]| {
        let sum = 77 * u32::from(*r) + 150 * u32::from(*g) + 29 * u32::from(*b);
        (sum >> 8) as u8
    };
    small.rgb().as_chunks::<3>().0.iter().map(level).collect()
}

/// The mean and the standard deviation of the levels.
fn level_and_contrast(grey: &[u8]) -> (u32, u32) {
    let count = grey.len().max(1) as u64;
    let sum: u64 = grey.iter().map(|level| u64::from(*level)).sum();
    let squares: u64 = grey.iter().map(|level| u64::from(*level).pow(2)).sum();
    let mean = sum / count;
    let variance = (squares * count).saturating_sub(sum * sum) / (count * count);
    (mean as u32, variance.isqrt() as u32)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::swatch;

    const SECOND: Millis = 1000;

    fn gate() -> Gate {
        Gate::new(Thresholds {
            moved_permille: 5,
            keepalive: 30 * SECOND,
            frozen_after: Some(600 * SECOND),
        })
    }

    fn street(car: Option<u32>) -> Picture {
        let cells: Vec<_> = car.map(|column| (column, 2, 0)).into_iter().collect();
        // A wall beside the street, so that an empty one has contrast.
        let mut picture = swatch::picture(320, 180, &cells);
        for y in 0..40 {
            picture.row_mut(y).fill(200);
        }
        picture
    }

    #[test]
    fn a_still_street_is_looked_at_now_and_then_and_a_car_at_once() {
        let mut gate = gate();
        let worth: Vec<_> = (0..40)
            .map(|n| (n, gate.judge(&street((n >= 37).then_some(1)), n, n * SECOND)))
            .filter(|(_, worth)| *worth == Worth::Look)
            .map(|(n, _)| n)
            .collect();
        assert_eq!(worth, [0, 30, 37, 38], "what stays becomes part of the picture");
    }

    #[test]
    fn what_shows_nothing_is_no_empty_street() {
        let mut gate = gate();
        let plain = |level| Picture::plain(320, 180, [level; 3]);
        assert_eq!(gate.judge(&street(None), 1, 0), Worth::Look);
        assert_eq!(gate.judge(&plain(120), 2, SECOND), Worth::Blind(Blind::Plain));
        assert_eq!(gate.judge(&plain(3), 3, 2 * SECOND), Worth::Blind(Blind::Dark));
        let mut night = plain(2);
        for y in 0..8 {
            night.row_mut(y)[..60].fill(90);
        }
        assert_eq!(gate.judge(&night, 4, 3 * SECOND), Worth::Blind(Blind::Dark));
        for y in 0..90 {
            night.row_mut(y)[..300].fill(90);
        }
        assert_eq!(gate.judge(&night, 5, 4 * SECOND), Worth::Look, "street lights are enough");
        assert_eq!(gate.judge(&street(None), 6, 5 * SECOND), Worth::Look, "the lens is free again");
    }

    #[test]
    fn the_same_bytes_for_long_are_a_frozen_picture() {
        let mut gate = gate();
        let worth = |gate: &mut Gate, print, s| gate.judge(&street(Some(1)), print, s * SECOND);
        assert_eq!(worth(&mut gate, 7, 0), Worth::Look);
        assert_eq!(worth(&mut gate, 7, 599), Worth::Look);
        assert_eq!(worth(&mut gate, 7, 600), Worth::Blind(Blind::Frozen));
        assert_ne!(worth(&mut gate, 8, 601), Worth::Blind(Blind::Frozen));
        let never = Thresholds { frozen_after: None, ..gate.thresholds };
        let mut gate = Gate::new(never);
        assert_eq!(worth(&mut gate, 7, 0), Worth::Look);
        assert_eq!(worth(&mut gate, 7, 100_000), Worth::Look);
    }
}
