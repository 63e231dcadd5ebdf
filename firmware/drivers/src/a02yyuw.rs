//! A02YYUW (DFRobot SEN0311, DYP-A02): a waterproof ultrasonic range finder that talks by itself.
//!
//! Ten times a second it sends four bytes at 9600 baud, 8N1: `FF`, the distance in millimetres with the
//! high byte first, and the low byte of the sum of the three. Nothing marks the end, and `FF` can stand
//! anywhere, so that only the sum tells where a frame begins.

use crate::Range;

/// The nearest and the farthest distance that the sensor measures, in millimetres.
pub const REACH: core::ops::RangeInclusive<u16> = 30..=4500;

const HEAD: u8 = 0xFF;

/// More than this the sensor never says. Without the bound a steady 511 mm, `FF 01 FF FF`, entered at its
/// third byte would read as a steady 65 281 mm, for ever.
const SENT_MAX: u16 = 10_000;

/// Finds measurements in the bytes of the sensor. After any disturbance it is back in step within two
/// frames.
#[derive(Debug, Clone, Default)]
pub struct Parser {
    /// The beginning of what may be a frame: empty, or begins with [`HEAD`].
    window: [u8; 4],
    len: usize,
    skipped: u32,
}

impl Parser {
    /// Knows nothing yet.
    #[must_use]
    pub const fn new() -> Parser {
        Parser { window: [0; 4], len: 0, skipped: 0 }
    }

    /// Takes one byte; answers when it completes a measurement.
    pub fn push(&mut self, byte: u8) -> Option<Range> {
        self.window[self.len] = byte;
        self.len += 1;
        if self.len == self.window.len() {
            if let Some(range) = read(self.window) {
                self.len = 0;
                return Some(range);
            }
            self.skip_one();
        }
        while self.len > 0 && self.window[0] != HEAD {
            self.skip_one();
        }
        None
    }

    /// Bytes that belonged to no frame so far. The two or three at the beginning, where the stream was
    /// entered, are in it.
    #[must_use]
    pub const fn skipped(&self) -> u32 {
        self.skipped
    }

    fn skip_one(&mut self) {
        self.window.copy_within(1.., 0);
        self.len -= 1;
        self.skipped = self.skipped.saturating_add(1);
    }
}

/// The measurement in four bytes; `None` when they are not a frame.
fn read([head, high, low, sum]: [u8; 4]) -> Option<Range> {
    let mm = u16::from_be_bytes([high, low]);
    let whole = head == HEAD && head.wrapping_add(high).wrapping_add(low) == sum;
    (whole && mm <= SENT_MAX).then(|| range(mm))
}

/// Without an echo the sensor says 0 or more than it can reach.
fn range(mm: u16) -> Range {
    match mm {
        0 => Range::NoTarget,
        mm if REACH.contains(&mm) => Range::Millimetres(mm),
        mm if mm < *REACH.start() => Range::TooClose,
        _ => Range::NoTarget,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec::Vec;

    fn frame(mm: u16) -> [u8; 4] {
        let [high, low] = mm.to_be_bytes();
        [0xFF, high, low, 0xFF_u8.wrapping_add(high).wrapping_add(low)]
    }

    fn parse(bytes: &[u8]) -> (Vec<Range>, u32) {
        let mut parser = Parser::new();
        let ranges = bytes.iter().filter_map(|byte| parser.push(*byte)).collect();
        (ranges, parser.skipped())
    }

    #[test]
    fn the_makers_example() {
        assert_eq!(parse(&[0xFF, 0x07, 0xA1, 0xA7]), (std::vec![Range::Millimetres(1953)], 0));
    }

    #[test]
    fn the_edges_of_the_reach() {
        let table = [
            (0, Range::NoTarget),
            (1, Range::TooClose),
            (29, Range::TooClose),
            (30, Range::Millimetres(30)),
            (4500, Range::Millimetres(4500)),
            (4501, Range::NoTarget),
            (SENT_MAX, Range::NoTarget),
        ];
        for (mm, expected) in table {
            assert_eq!(parse(&frame(mm)), (std::vec![expected], 0), "{mm}");
        }
    }

    #[test]
    fn every_distance_is_read_wherever_the_stream_is_entered() {
        for mm in REACH {
            let bytes = frame(mm).repeat(4);
            for from in 0..4 {
                let (ranges, _) = parse(&bytes[from..]);
                assert!(ranges.len() >= 2, "{mm} from {from}");
                assert!(ranges.iter().all(|r| *r == Range::Millimetres(mm)), "{mm} from {from}");
            }
        }
    }

    #[test]
    fn more_than_the_sensor_says_is_no_frame() {
        assert_eq!(parse(&frame(SENT_MAX + 1)), (std::vec![], 4));
    }

    #[test]
    fn a_wrong_sum_costs_one_frame_and_is_counted() {
        let mut bytes = frame(1000).to_vec();
        bytes[2] ^= 0x10;
        bytes.extend(frame(1234));
        assert_eq!(parse(&bytes), (std::vec![Range::Millimetres(1234)], 4));
    }

    #[test]
    fn a_frame_behind_a_stray_head_is_found() {
        let bytes = [&[0xFF, 0x12][..], &frame(500), &[0xFF, 0xFF], &frame(0x00FF)].concat();
        let expected = std::vec![Range::Millimetres(500), Range::Millimetres(255)];
        assert_eq!(parse(&bytes), (expected, 4));
    }

    #[test]
    fn any_three_bytes_after_a_head_are_safe_and_none_is_lost_from_the_count() {
        for bytes in (0..=0x00FF_FFFF_u32).step_by(257).map(u32::to_be_bytes) {
            let mut parser = Parser::new();
            let found = [0xFF, bytes[1], bytes[2], bytes[3]]
                .iter()
                .filter(|byte| parser.push(**byte).is_some())
                .count();
            let kept = parser.len + parser.skipped as usize + 4 * found;
            assert_eq!(kept, 4, "{bytes:02x?}");
        }
    }
}
