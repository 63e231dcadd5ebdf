//! Cuts a byte stream into sentences and checks them.
//!
//! A sentence runs from `$` to the next line end, `$`, or byte that is not printable ASCII; receivers
//! end lines with CR, LF or both, and a mixed stream (UBX between NMEA) ends them with anything. What
//! stands between sentences is passed over: a stream may begin in the middle of one. This room knows
//! nothing of what a sentence says.

use crate::decode::Reason;

/// The longest sentence, counted from after `$` to the last character before the line end. The
/// standard says 82 with `$` and line end; real receivers with high-precision fields send a hundred.
pub(super) const LENGTH_MAX: usize = 120;

/// Where in the stream we are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// At the first byte of a line.
    LineStart,
    /// Waiting for `$`.
    Between,
    /// In a line that begins with `#`: the header of a recorded log. A `$` in it begins nothing.
    Remark,
    /// After a `$`, collecting.
    Inside,
    /// In a sentence that has grown over the bound and was counted.
    Overlong,
}

/// Holds the sentence that is under way, in a buffer of fixed size.
#[derive(Debug, Clone)]
pub(super) struct Framer {
    state: State,
    buffer: [u8; LENGTH_MAX],
    length: usize,
}

impl Framer {
    /// At the start of a stream.
    pub(super) const fn new() -> Framer {
        Framer { state: State::LineStart, buffer: [0; LENGTH_MAX], length: 0 }
    }

    /// Takes a piece of the stream and hands every sentence that ended in it to `take`: what stands
    /// between `$` and `*` when its checksum fits, the reason when not.
    pub(super) fn feed(&mut self, mut bytes: &[u8], mut take: impl FnMut(Result<&[u8], Reason>)) {
        while let Some((&first, rest)) = bytes.split_first() {
            if self.state == State::Inside {
                let run = bytes.iter().position(|&b| ends_sentence(b)).unwrap_or(bytes.len());
                self.collect(&bytes[..run], &mut take);
                let Some((&end, rest)) = bytes[run..].split_first() else { return };
                if self.state == State::Inside {
                    self.close(&mut take);
                }
                self.state = after_end(end);
                bytes = rest;
                continue;
            }
            self.skip(first);
            bytes = rest;
        }
    }

    /// The stream has ended: a sentence that lacks only its line end is whole.
    pub(super) fn finish(&mut self, mut take: impl FnMut(Result<&[u8], Reason>)) {
        if self.state == State::Inside {
            self.close(&mut take);
        }
        self.state = State::LineStart;
    }

    fn skip(&mut self, byte: u8) {
        self.state = match (self.state, byte) {
            (State::Remark, b'\r' | b'\n') => State::LineStart,
            // Log headers are text, UTF-8 included. A control byte means this never was one.
            (State::Remark, b'\t' | 0x20..) => State::Remark,
            (State::LineStart, b'#') => State::Remark,
            (State::Overlong, byte) if !ends_sentence(byte) => State::Overlong,
            (_, byte) => after_end(byte),
        };
        self.length = 0;
    }

    fn collect(&mut self, run: &[u8], take: &mut impl FnMut(Result<&[u8], Reason>)) {
        let Some(room) = self.buffer[self.length..].get_mut(..run.len()) else {
            // The head decides whether this was a sentence at all, so it is completed first.
            let kept = LENGTH_MAX - self.length;
            self.buffer[self.length..].copy_from_slice(&run[..kept]);
            if is_sentence(&self.buffer) {
                take(Err(Reason::TooLong));
            }
            self.state = State::Overlong;
            self.length = 0;
            return;
        };
        room.copy_from_slice(run);
        self.length += run.len();
    }

    fn close(&mut self, take: &mut impl FnMut(Result<&[u8], Reason>)) {
        let text = &self.buffer[..self.length];
        if is_sentence(text) {
            take(checked(text));
        }
        self.length = 0;
    }
}

fn ends_sentence(byte: u8) -> bool {
    byte == b'$' || !(0x20..0x7f).contains(&byte)
}

fn after_end(byte: u8) -> State {
    match byte {
        b'$' => State::Inside,
        b'\r' | b'\n' => State::LineStart,
        _ => State::Between,
    }
}

/// Whether this is meant to be a sentence: it begins with an address. The shortest that is used is
/// `PUBX`, four capital letters or digits. A `$` in binary data or in a receiver's banner is not one,
/// and is not worth a rejection.
fn is_sentence(text: &[u8]) -> bool {
    text.len() >= 4 && text[..4].iter().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit())
}

/// The part between `$` and `*`, when the exclusive-or of its bytes is what stands after `*`
/// (NMEA 0183, 5.3.2). What follows the two digits is noise on the line and changes nothing.
fn checked(text: &[u8]) -> Result<&[u8], Reason> {
    let star = text.iter().position(|&b| b == b'*').ok_or(Reason::NoChecksum)?;
    let (body, sum) = (&text[..star], &text[star + 1..]);
    let [high, low, ..] = sum else { return Err(Reason::NoChecksum) };
    let digit = |b: &u8| char::from(*b).to_digit(16).ok_or(Reason::NoChecksum);
    let stated = digit(high)? * 16 + digit(low)?;
    let computed = body.iter().fold(0, |sum, b| sum ^ b);
    if u32::from(computed) == stated { Ok(body) } else { Err(Reason::Checksum) }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Cut = Result<Vec<u8>, Reason>;

    fn cut_at(stream: &[u8], pieces: usize) -> Vec<Cut> {
        let mut framer = Framer::new();
        let mut cuts = Vec::new();
        for piece in stream.chunks(pieces.max(1)) {
            framer.feed(piece, |cut| cuts.push(cut.map(<[u8]>::to_vec)));
        }
        framer.finish(|cut| cuts.push(cut.map(<[u8]>::to_vec)));
        cuts
    }

    fn cut(stream: &[u8]) -> Vec<Cut> {
        let whole = cut_at(stream, stream.len());
        assert_eq!(whole, cut_at(stream, 1), "byte by byte");
        whole
    }

    fn ok(body: &str) -> Cut {
        Ok(body.as_bytes().to_vec())
    }

    #[test]
    fn every_line_end_will_do() {
        for end in ["\r\n", "\n", "\r", "", "\u{1}", "\n\n\r"] {
            let stream = format!("$GPGLL,1*4D{end}$GPGLL,2*4E{end}");
            assert_eq!(cut(stream.as_bytes()), [ok("GPGLL,1"), ok("GPGLL,2")], "{end:?}");
        }
    }

    #[test]
    fn a_stream_may_begin_in_the_middle() {
        assert_eq!(cut(b",36,,*75\r\njR\":1\r\n$GPGLL,1*4D\r\n"), [ok("GPGLL,1")]);
        assert_eq!(cut(b"\xb5\x62\x01\x24\x01$GPGLL,1*4D\xb5\x62"), [ok("GPGLL,1")]);
    }

    #[test]
    fn the_checksum_is_required_and_checked() {
        assert_eq!(cut(b"$GPGLL,1*00\r\n"), [Err(Reason::Checksum)]);
        for cut_short in ["$GPGLL,1", "$GPGLL,1*", "$GPGLL,1*4", "$GPGLL,1*4\x1b[H3", "$GPGLL*g3"] {
            assert_eq!(cut(cut_short.as_bytes()), [Err(Reason::NoChecksum)], "{cut_short:?}");
        }
        assert_eq!(cut(b"$GPGLL,1$GPGLL,1*4D"), [Err(Reason::NoChecksum), ok("GPGLL,1")]);
        assert_eq!(cut(b"$GPGLL,1*4d\n$GPGLL,1*4D\n"), [ok("GPGLL,1"), ok("GPGLL,1")]);
    }

    #[test]
    fn an_overlong_sentence_is_counted_once() {
        let at_bound = format!("$GPTXT,{}*00\r\n", "x".repeat(LENGTH_MAX - 9));
        assert_eq!(cut(at_bound.as_bytes()), [Err(Reason::Checksum)]);
        let over = format!("$GPTXT,{}*00\r\n$GPGLL,1*4D\r\n", "x".repeat(LENGTH_MAX - 8));
        assert_eq!(cut(over.as_bytes()), [Err(Reason::TooLong), ok("GPGLL,1")]);
        let far_over = format!("$GPTXT,{}\r\n$GPGLL,1*4D", "x".repeat(10 * LENGTH_MAX));
        assert_eq!(cut(far_over.as_bytes()), [Err(Reason::TooLong), ok("GPGLL,1")]);
    }

    #[test]
    fn what_only_begins_with_a_dollar_is_no_sentence() {
        assert_eq!(cut(b"$SkyTraq,Venus6\r\n$\r\n$x\x00$$$ 12\r\n"), []);
        let banner = format!("$ver{}\r\n$GPGLL,1*4D", "x".repeat(2 * LENGTH_MAX));
        assert_eq!(cut(banner.as_bytes()), [ok("GPGLL,1")]);
    }

    #[test]
    fn remarks_of_recorded_logs_hold_no_sentences() {
        let log = "# odd $GAGSV,1 -- Empf\u{e4}nger\n# $GPGLL,1*4D\r\n$GPGLL,2*4E\r\n";
        assert_eq!(cut(log.as_bytes()), [ok("GPGLL,2")]);
        // Not at the start of a line, or with a control byte after it: no remark.
        assert_eq!(cut(b"x#$GPGLL,2*4E\r\n"), [ok("GPGLL,2")]);
        assert_eq!(cut(b"\r\n#\x00$GPGLL,2*4E\r\n"), [ok("GPGLL,2")]);
    }
}
