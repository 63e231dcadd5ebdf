//! From a stream of bytes, cut anywhere, to frames and to reasons why there is none.

use crate::auth::Sealed;
use crate::frame::{DELIMITER, FRAME_MAX, Frame, Header};

/// What stood between two delimiters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Heard {
    /// A whole frame.
    Frame(Frame),
    /// A whole frame of a kind that is newer than this program.
    Unknown {
        /// Its header.
        header: Header,
        /// Its kind byte.
        kind: u8,
    },
    /// A whole frame with a tag. Who has the key opens it.
    Sealed(Sealed),
    /// Not a frame.
    Fault(Fault),
}

/// Why some bytes are not a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// More than [`FRAME_MAX`] bytes without a delimiter. Counts once, however many follow.
    TooLong,
    /// Ended before it was whole.
    Truncated,
    /// The CRC does not fit.
    Checksum,
    /// The CRC fits, the version is neither [`crate::VERSION`] nor [`crate::VERSION_SEALED`].
    Version(u8),
    /// CRC and version fit, the body is not what its kind says.
    Malformed {
        /// The kind byte.
        kind: u8,
    },
}

/// Finds frames in a stream of bytes. After any disturbance it is back in step at the next delimiter.
/// Two delimiters in a row are nothing.
///
/// Whoever dates a frame dates it by its last byte that is not a delimiter: when its own delimiter is
/// lost, the one in front of the next frame completes it, perhaps minutes later.
#[derive(Debug, Clone)]
pub struct Deframer {
    /// What came since the last delimiter. Full queue: the rest up to the next delimiter is dropped and
    /// counts as one [`Fault::TooLong`].
    buffer: [u8; FRAME_MAX - 1],
    len: usize,
    /// The present frame was too long and was told so.
    skipping: bool,
}

impl Default for Deframer {
    fn default() -> Deframer {
        Deframer::new()
    }
}

impl Deframer {
    /// In step: the next byte begins a frame.
    #[must_use]
    pub const fn new() -> Deframer {
        Deframer { buffer: [0; FRAME_MAX - 1], len: 0, skipping: false }
    }

    /// Takes one byte; answers when it completes something.
    pub fn push(&mut self, byte: u8) -> Option<Heard> {
        if byte == DELIMITER {
            return self.delimit();
        }
        if self.skipping {
            return None;
        }
        if let Some(free) = self.buffer.get_mut(self.len) {
            *free = byte;
            self.len += 1;
            return None;
        }
        self.skipping = true;
        Some(Heard::Fault(Fault::TooLong))
    }

    /// Takes some bytes and hands on what they complete, in order.
    pub fn push_slice(&mut self, bytes: &[u8], mut hear: impl FnMut(Heard)) {
        for &byte in bytes {
            if let Some(heard) = self.push(byte) {
                hear(heard);
            }
        }
    }

    /// The stream has ended: a frame that was begun is [`Fault::Truncated`]. In step again afterwards.
    pub fn finish(&mut self) -> Option<Fault> {
        let begun = self.len > 0 && !self.skipping;
        *self = Deframer::new();
        begun.then_some(Fault::Truncated)
    }

    fn delimit(&mut self) -> Option<Heard> {
        let (len, skipped) = (self.len, self.skipping);
        (self.len, self.skipping) = (0, false);
        match self.buffer.get_mut(..len) {
            Some(stuffed) if len > 0 && !skipped => Some(Frame::decode(stuffed)),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delimiters_alone_are_nothing() {
        let mut deframer = Deframer::new();
        assert!((0..1000).all(|_| deframer.push(DELIMITER).is_none()));
        assert_eq!(deframer.finish(), None);
    }

    #[test]
    fn too_long_counts_once() {
        let mut deframer = Deframer::new();
        let mut heard = std::vec![];
        deframer.push_slice(&[1; 10 * FRAME_MAX], |h| heard.push(h));
        assert_eq!(heard, [Heard::Fault(Fault::TooLong)]);
        assert_eq!(deframer.push(DELIMITER), None);
        deframer.push_slice(&[1; FRAME_MAX - 1], |h| heard.push(h));
        assert_eq!(heard.len(), 1, "the longest frame is not too long");
        assert_eq!(deframer.push(DELIMITER), Some(Heard::Fault(Fault::Checksum)));
    }

    #[test]
    fn an_end_inside_a_frame_is_told_once() {
        let mut deframer = Deframer::new();
        assert_eq!(deframer.push(5), None);
        assert_eq!(deframer.finish(), Some(Fault::Truncated));
        assert_eq!(deframer.finish(), None);
        deframer.push_slice(&[1; 2 * FRAME_MAX], |_| ());
        assert_eq!(deframer.finish(), None, "it was told as too long");
    }

    #[test]
    fn short_pieces_are_truncated() {
        for len in 1..19 {
            let mut deframer = Deframer::new();
            // 0x01 is an empty COBS block: the piece unstuffs to len - 1 zeros.
            deframer.push_slice(&[1; 19][..len], |_| panic!("nothing is complete yet"));
            assert_eq!(
                deframer.push(DELIMITER),
                Some(Heard::Fault(Fault::Truncated)),
                "{len} bytes"
            );
        }
    }
}
