//! Cuts a byte stream into lines of text, bounded.
//!
//! A line ends with LF, with or without CR before it; empty lines are passed over. This room knows
//! nothing of what a line says.

use crate::decode::Reason;

/// Holds the line that is under way, at most as long as the longest that is taken.
#[derive(Debug, Clone)]
pub(super) struct Lines {
    held: Vec<u8>,
    max: usize,
    /// The line under way was too long and has been counted.
    overlong: bool,
}

impl Lines {
    /// At the start of a stream. Lines of more than `max` bytes are refused.
    pub(super) const fn new(max: usize) -> Lines {
        Lines { held: Vec::new(), max, overlong: false }
    }

    /// How many bytes of an unfinished line are kept.
    #[cfg(test)]
    pub(super) fn held(&self) -> usize {
        self.held.len()
    }

    /// Takes a piece of the stream and hands every line that ended in it to `take`, or once for each
    /// line that is too long [`Reason::TooLong`].
    pub(super) fn feed(&mut self, bytes: &[u8], mut take: impl FnMut(Result<&[u8], Reason>)) {
        for part in bytes.split_inclusive(|&b| b == b'\n') {
            match part.split_last() {
                Some((b'\n', rest)) => {
                    self.collect(rest, &mut take);
                    self.finish(&mut take);
                }
                _ => self.collect(part, &mut take),
            }
        }
    }

    /// The stream has ended: what lacks only its line end is a line.
    pub(super) fn finish(&mut self, mut take: impl FnMut(Result<&[u8], Reason>)) {
        let line = self.held.strip_suffix(b"\r").unwrap_or(&self.held);
        if !line.is_empty() {
            take(Ok(line));
        }
        self.held.clear();
        self.overlong = false;
    }

    fn collect(&mut self, part: &[u8], take: &mut impl FnMut(Result<&[u8], Reason>)) {
        if self.overlong {
            return;
        }
        if self.held.len() + part.len() > self.max {
            take(Err(Reason::TooLong));
            self.overlong = true;
            self.held.clear();
            return;
        }
        self.held.extend_from_slice(part);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cut(stream: &str) -> Vec<Result<String, Reason>> {
        let cut_at = |size| {
            let (mut lines, mut found) = (Lines::new(5), Vec::new());
            let text = |line: &[u8]| String::from_utf8_lossy(line).into_owned();
            let mut take = |line: Result<&[u8], Reason>| found.push(line.map(text));
            for piece in stream.as_bytes().chunks(size) {
                lines.feed(piece, &mut take);
            }
            lines.finish(&mut take);
            found
        };
        let whole = cut_at(stream.len().max(1));
        assert_eq!(cut_at(1), whole, "byte by byte");
        whole
    }

    #[test]
    fn lines_end_where_they_end() {
        let ok = |text: &str| Ok(text.to_owned());
        assert_eq!(cut("a\nbc\r\n\n\r\nd\re\n"), [ok("a"), ok("bc"), ok("d\re")]);
        assert_eq!(cut("a\nbc"), [ok("a"), ok("bc")]);
        assert_eq!(cut(""), []);
    }

    #[test]
    fn a_line_that_is_too_long_is_counted_once_and_the_next_is_read() {
        let ok = |text: &str| Ok(text.to_owned());
        let long = Err(Reason::TooLong);
        assert_eq!(cut("12345\n123456\nx\n"), [ok("12345"), long.clone(), ok("x")]);
        assert_eq!(cut("1234567890123456\nx"), [long.clone(), ok("x")]);
        assert_eq!(cut("1234567"), [long]);
    }
}
