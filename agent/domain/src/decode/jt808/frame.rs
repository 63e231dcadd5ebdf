//! The frame of the link: flag bytes, escapes, check byte. Knows nothing of what is inside.
//!
//! `7E`, header and body and their check byte, `7E` (JT/T 808-2013, 4.4; unchanged in 2019). Inside,
//! `7E` is written `7D 02` and `7D` is written `7D 01`. The check byte is the exclusive-or of header and
//! body before they are escaped. One flag may end a frame and begin the next.

use crate::decode::Reason;

const FLAG: u8 = 0x7e;
const ESCAPE: u8 = 0x7d;

/// The longest frame between its flags, without escapes: a 2019 header of a part, the longest body
/// that ten bits can say, the check byte.
pub(super) const LENGTH_MAX: usize = 21 + 1023 + 1;

/// Holds the frame that is under way, at most [`LENGTH_MAX`] bytes.
#[derive(Debug, Clone, Default)]
pub(super) struct Deframer {
    held: Vec<u8>,
    state: State,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum State {
    /// Before the first flag; what stands there is the rest of something.
    #[default]
    Outside,
    Inside,
    /// Behind `7D`.
    Escaped,
    /// In a frame that has been counted as bad; its rest is passed over.
    Bad,
}

impl Deframer {
    /// Takes a piece of the stream and hands every frame that ended in it to `take`: header and body
    /// when the check byte is right, the reason when not.
    pub(super) fn feed(&mut self, bytes: &[u8], mut take: impl FnMut(Result<&[u8], Reason>)) {
        for &byte in bytes {
            self.state = match (self.state, byte) {
                (State::Outside, FLAG) => State::Inside,
                (State::Outside, _) => State::Outside,
                (State::Bad, FLAG) => State::Inside,
                (State::Bad, _) => State::Bad,
                (State::Inside, FLAG) => {
                    if !self.held.is_empty() {
                        take(checked(&self.held));
                        self.held.clear();
                    }
                    State::Inside
                }
                (State::Escaped, FLAG) => {
                    take(Err(Reason::Malformed));
                    self.held.clear();
                    State::Inside
                }
                (State::Inside, ESCAPE) => State::Escaped,
                (State::Inside, byte) => self.push(byte, &mut take),
                (State::Escaped, 0x01) => self.push(ESCAPE, &mut take),
                (State::Escaped, 0x02) => self.push(FLAG, &mut take),
                (State::Escaped, _) => self.spoil(Reason::Malformed, &mut take),
            };
        }
    }

    /// The stream has ended: a frame without its end is counted.
    pub(super) fn finish(&mut self, mut take: impl FnMut(Result<&[u8], Reason>)) {
        if !self.held.is_empty() || self.state == State::Escaped {
            take(Err(Reason::Truncated));
        }
        *self = Deframer::default();
    }

    fn push(&mut self, byte: u8, take: &mut impl FnMut(Result<&[u8], Reason>)) -> State {
        if self.held.len() == LENGTH_MAX {
            return self.spoil(Reason::TooLong, take);
        }
        self.held.push(byte);
        State::Inside
    }

    fn spoil(&mut self, why: Reason, take: &mut impl FnMut(Result<&[u8], Reason>)) -> State {
        self.held.clear();
        take(Err(why));
        State::Bad
    }
}

fn checked(content: &[u8]) -> Result<&[u8], Reason> {
    // With the check byte itself the exclusive-or is 0.
    if content.iter().fold(0, |sum, byte| sum ^ byte) != 0 {
        return Err(Reason::Checksum);
    }
    let (_, inside) = content.split_last().ok_or(Reason::Truncated)?;
    Ok(inside)
}

/// The frame that carries header and body.
pub(super) fn frame(inside: &[u8]) -> Vec<u8> {
    let check = inside.iter().fold(0, |sum, byte| sum ^ byte);
    let mut frame = Vec::with_capacity(inside.len() + 8);
    frame.push(FLAG);
    for &byte in inside.iter().chain([&check]) {
        match byte {
            FLAG => frame.extend([ESCAPE, 0x02]),
            ESCAPE => frame.extend([ESCAPE, 0x01]),
            byte => frame.push(byte),
        }
    }
    frame.push(FLAG);
    frame
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    type Cut = Result<Vec<u8>, Reason>;

    fn cut_at(stream: &[u8], size: usize) -> Vec<Cut> {
        let (mut deframer, mut cuts) = (Deframer::default(), Vec::new());
        let mut take = |cut: Result<&[u8], Reason>| cuts.push(cut.map(<[u8]>::to_vec));
        for piece in stream.chunks(size.max(1)) {
            deframer.feed(piece, &mut take);
        }
        deframer.finish(&mut take);
        cuts
    }

    fn cut(stream: &[u8]) -> Vec<Cut> {
        let whole = cut_at(stream, stream.len());
        assert_eq!(cut_at(stream, 1), whole, "byte by byte");
        whole
    }

    #[test]
    fn escapes_are_taken_out_also_of_the_check_byte() {
        // The heartbeat of a real terminal, whose check byte is 7E.
        let heartbeat = [
            0x7e, 0x00, 0x02, 0x00, 0x00, 0x04, 0x00, 0x21, 0x67, 0x92, 0x87, 0x00, 0x2b, 0x7d,
            0x02, 0x7e,
        ];
        let inside = heartbeat[1..13].to_vec();
        assert_eq!(cut(&heartbeat), [Ok(inside.clone())]);
        assert_eq!(frame(&inside), heartbeat);
        assert_eq!(frame(&[0x7d, 0x7e]), [0x7e, 0x7d, 0x01, 0x7d, 0x02, 0x03, 0x7e]);
    }

    #[test]
    fn a_flag_may_be_shared_and_flags_may_stand_alone() {
        let one = frame(&[1, 2, 3]);
        let shared = [&one[..], &one[1..]].concat();
        assert_eq!(cut(&shared), [Ok(vec![1, 2, 3]), Ok(vec![1, 2, 3])]);
        assert_eq!(cut(&[0x7e, 0x7e, 0x7e]), []);
        let noise_first = [&[9, 0x7d, 9][..], &one].concat();
        assert_eq!(cut(&noise_first), [Ok(vec![1, 2, 3])]);
    }

    #[test]
    fn bad_frames_are_counted_once_and_the_next_is_read() {
        let good = frame(&[1, 2, 3]);
        let after = |bad: &[u8]| cut(&[bad, &good[1..]].concat());
        assert_eq!(after(&[0x7e, 1, 2, 3, 1, 0x7e]), [Err(Reason::Checksum), Ok(vec![1, 2, 3])]);
        assert_eq!(
            after(&[0x7e, 1, 0x7d, 9, 0x7d, 9, 0x7e]),
            [Err(Reason::Malformed), Ok(vec![1, 2, 3])]
        );
        assert_eq!(after(&[0x7e, 1, 0x7d, 0x7e]), [Err(Reason::Malformed), Ok(vec![1, 2, 3])]);
        let mut long = vec![0x7e];
        long.extend([0; 3 * LENGTH_MAX]);
        long.push(0x7e);
        assert_eq!(after(&long), [Err(Reason::TooLong), Ok(vec![1, 2, 3])]);
        let longest = vec![7; LENGTH_MAX - 1];
        assert_eq!(cut(&frame(&longest)), [Ok(longest)]);
        assert_eq!(cut(&good[..4]), [Err(Reason::Truncated)]);
    }

    proptest! {
        #[test]
        fn what_is_framed_comes_out(
            inside in proptest::collection::vec(prop_oneof![any::<u8>(), Just(0x7e), Just(0x7d)], 1..200),
        ) {
            prop_assert_eq!(cut(&frame(&inside)), vec![Ok(inside)]);
        }
    }
}
