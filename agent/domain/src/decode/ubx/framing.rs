//! Cuts UBX frames out of a byte stream; what is none is passed on for others to read.
//!
//! `B5 62`, class, number, length (two bytes, low first), payload, two check bytes over everything
//! from the class to the payload (Fletcher's sum of eight bits, as in RFC 1145). The two sync bytes
//! may also stand in noise or inside another message. When the frame that they announce does not hold, reading
//! goes on behind them, so that a false beginning costs nothing but itself.

use crate::decode::Reason;

/// The longest payload that is taken. The longest message a receiver sends by itself is signal
/// information (NAV-SIG), 8 + 16 · 184 = 2952 bytes.
pub(in crate::decode) const PAYLOAD_MAX: usize = 4096;

const SYNC: [u8; 2] = [0xb5, 0x62];
const HEADER: usize = 6;
const OVERHEAD: usize = HEADER + 2;
const FRAME_MAX: usize = PAYLOAD_MAX + OVERHEAD;

/// A frame whose checksum was right.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::decode) struct Message<'a> {
    pub(in crate::decode) class: u8,
    pub(in crate::decode) number: u8,
    pub(in crate::decode) payload: &'a [u8],
}

/// What a stream is cut into. Every byte is in exactly one of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::decode) enum Piece<'a> {
    /// A whole frame.
    Message(Message<'a>),
    /// The beginning of a frame that did not hold; its two bytes follow as [`Piece::Other`].
    Bad(Reason),
    /// No frame.
    Other(&'a [u8]),
}

/// Holds the frame that is under way: at most [`FRAME_MAX`] bytes.
#[derive(Debug, Clone, Default)]
pub(in crate::decode) struct Splitter {
    held: Vec<u8>,
}

/// What stands at the beginning of the bytes at hand.
enum Next {
    Other(usize),
    Frame(usize),
    Bad(Reason),
    Incomplete,
}

impl Splitter {
    /// Takes a piece of the stream and hands everything that is decided to `take`.
    pub(in crate::decode) fn feed(&mut self, mut bytes: &[u8], mut take: impl FnMut(Piece<'_>)) {
        while !bytes.is_empty() {
            // A frame of the greatest length is decided when it is whole, so there is always room.
            let room = FRAME_MAX - self.held.len();
            let (now, later) = bytes.split_at(room.min(bytes.len()));
            self.held.extend_from_slice(now);
            bytes = later;
            self.cut(&mut take);
        }
    }

    /// The stream has ended: what was held back is decided too.
    pub(in crate::decode) fn finish(&mut self, mut take: impl FnMut(Piece<'_>)) {
        loop {
            self.cut(&mut take);
            if self.held.len() < SYNC.len() {
                break;
            }
            take(Piece::Bad(Reason::Truncated));
            take(Piece::Other(&self.held[..SYNC.len()]));
            self.held.drain(..SYNC.len());
        }
        if !self.held.is_empty() {
            take(Piece::Other(&self.held));
            self.held.clear();
        }
    }

    fn cut(&mut self, take: &mut impl FnMut(Piece<'_>)) {
        let mut at = 0;
        loop {
            let rest = &self.held[at..];
            at += match next(rest) {
                Next::Other(length) => {
                    take(Piece::Other(&rest[..length]));
                    length
                }
                Next::Frame(length) => {
                    take(Piece::Message(Message {
                        class: rest[2],
                        number: rest[3],
                        payload: &rest[HEADER..length - 2],
                    }));
                    length
                }
                Next::Bad(reason) => {
                    take(Piece::Bad(reason));
                    take(Piece::Other(&rest[..SYNC.len()]));
                    SYNC.len()
                }
                Next::Incomplete => break,
            };
        }
        self.held.drain(..at);
    }
}

fn next(bytes: &[u8]) -> Next {
    match bytes.iter().position(|&b| b == SYNC[0]) {
        None if bytes.is_empty() => return Next::Incomplete,
        None => return Next::Other(bytes.len()),
        Some(0) => {}
        Some(before) => return Next::Other(before),
    }
    if bytes.get(1).is_some_and(|&b| b != SYNC[1]) {
        return Next::Other(1);
    }
    let Some(header) = bytes.first_chunk::<HEADER>() else { return Next::Incomplete };
    let payload = usize::from(u16::from_le_bytes([header[4], header[5]]));
    if payload > PAYLOAD_MAX {
        return Next::Bad(Reason::TooLong);
    }
    let length = payload + OVERHEAD;
    let Some(frame) = bytes.get(..length) else { return Next::Incomplete };
    if checksum(&frame[2..length - 2]) == frame[length - 2..] {
        Next::Frame(length)
    } else {
        Next::Bad(Reason::Checksum)
    }
}

fn checksum(bytes: &[u8]) -> [u8; 2] {
    bytes.iter().fold([0, 0], |[a, b], &byte| {
        let a = u8::wrapping_add(a, byte);
        [a, u8::wrapping_add(b, a)]
    })
}

/// A whole frame, for the tests of every room that reads them.
#[cfg(test)]
pub(in crate::decode) fn frame(class: u8, number: u8, payload: &[u8]) -> Vec<u8> {
    let length = u16::try_from(payload.len()).unwrap().to_le_bytes();
    let inner = [&[class, number], &length[..], payload].concat();
    [&SYNC[..], &inner, &checksum(&inner)].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, PartialEq)]
    enum Owned {
        Message(u8, u8, Vec<u8>),
        Bad(Reason),
        Other(Vec<u8>),
    }

    /// The pieces, with neighbouring ones that are no frame joined: how they are cut is not said.
    fn cut_at(stream: &[u8], size: usize) -> Vec<Owned> {
        let (mut splitter, mut pieces) = (Splitter::default(), Vec::new());
        let mut take = |piece: Piece<'_>| match (piece, pieces.last_mut()) {
            (Piece::Other(more), Some(Owned::Other(bytes))) => bytes.extend_from_slice(more),
            (Piece::Other(bytes), _) => pieces.push(Owned::Other(bytes.to_vec())),
            (Piece::Bad(reason), _) => pieces.push(Owned::Bad(reason)),
            (Piece::Message(m), _) => {
                pieces.push(Owned::Message(m.class, m.number, m.payload.to_vec()));
            }
        };
        for piece in stream.chunks(size.max(1)) {
            splitter.feed(piece, &mut take);
        }
        splitter.finish(&mut take);
        pieces
    }

    fn cut(stream: &[u8]) -> Vec<Owned> {
        let whole = cut_at(stream, stream.len());
        for size in [1, 3, 4097] {
            assert_eq!(cut_at(stream, size), whole, "pieces of {size}");
        }
        whole
    }

    fn other(bytes: &[u8]) -> Owned {
        Owned::Other(bytes.to_vec())
    }

    #[test]
    fn frames_are_cut_out_of_what_stands_around_them() {
        let poll = [0xb5, 0x62, 0x0a, 0x04, 0, 0, 0x0e, 0x34];
        assert_eq!(frame(0x0a, 0x04, &[]), poll, "the poll of MON-VER, as in the description");
        let stream = [b"$GN\xb5", &poll[..], b"\r\n", &frame(1, 7, &[9; 92]), b"\xb5"].concat();
        let expected = [
            other(b"$GN\xb5"),
            Owned::Message(0x0a, 4, vec![]),
            other(b"\r\n"),
            Owned::Message(1, 7, vec![9; 92]),
            other(b"\xb5"),
        ];
        assert_eq!(cut(&stream), expected);
    }

    #[test]
    fn a_false_beginning_costs_only_itself() {
        let good = frame(1, 7, &[1, 2, 3]);
        let expected = [
            Owned::Bad(Reason::Checksum),
            other(b"\xb5\x62\x01\x07\x0b\x00"),
            Owned::Message(1, 7, vec![1, 2, 3]),
            other(&[0; 30]),
        ];
        let false_beginning = [&b"\xb5\x62\x01\x07\x0b\x00"[..], &good, &[0; 30]].concat();
        assert_eq!(cut(&false_beginning), expected);

        let too_long = [&b"\xb5\x62\x01\x07\x01\x10"[..], &good].concat();
        let expected = [
            Owned::Bad(Reason::TooLong),
            other(b"\xb5\x62\x01\x07\x01\x10"),
            Owned::Message(1, 7, vec![1, 2, 3]),
        ];
        assert_eq!(cut(&too_long), expected);
    }

    #[test]
    fn the_longest_payload_is_taken() {
        let longest = vec![0xb5; PAYLOAD_MAX];
        assert_eq!(cut(&frame(2, 3, &longest)), [Owned::Message(2, 3, longest)]);
    }

    #[test]
    fn a_frame_that_is_cut_short_is_counted_and_what_it_hid_comes_out() {
        let good = frame(1, 7, &[1, 2, 3]);
        let stream = [&b"\xb5\x62\x01\x07\x0b\x00"[..], &good].concat();
        let expected = [
            Owned::Bad(Reason::Truncated),
            other(b"\xb5\x62\x01\x07\x0b\x00"),
            Owned::Message(1, 7, vec![1, 2, 3]),
        ];
        assert_eq!(cut(&stream), expected);
    }

    #[test]
    fn every_bit_of_a_frame_counts() {
        let good = frame(1, 7, &[1, 2, 3]);
        for bit in 0..good.len() * 8 {
            let mut damaged = good.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            let pieces = cut(&damaged);
            assert!(!pieces.iter().any(|p| matches!(p, Owned::Message(..))), "bit {bit}");
        }
    }
}
