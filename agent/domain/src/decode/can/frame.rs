//! CAN frames, and how `candump` writes them.
//!
//! Classic frames of up to eight bytes; those of CAN FD are refused, since no signal is named in them.

use crate::decode::Reason;
use crate::time::Utc;

/// Which message a frame is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CanId(Width);

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Width {
    Standard(u16),
    Extended(u32),
}

impl CanId {
    /// An identifier of 11 bits; `None` when it is greater.
    #[must_use]
    pub const fn standard(id: u16) -> Option<CanId> {
        if id <= 0x7ff { Some(CanId(Width::Standard(id))) } else { None }
    }

    /// An identifier of 29 bits; `None` when it is greater.
    #[must_use]
    pub const fn extended(id: u32) -> Option<CanId> {
        if id <= 0x1fff_ffff { Some(CanId(Width::Extended(id))) } else { None }
    }

    /// The parameter group of SAE J1939-21, for identifiers of 29 bits: data page, format and, for
    /// messages to all (format 240 and above), the group extension.
    #[must_use]
    pub const fn pgn(self) -> Option<u32> {
        let Width::Extended(id) = self.0 else { return None };
        let group = id >> 8 & 0x3_ffff;
        let to_all = group >> 8 & 0xff >= 240;
        Some(if to_all { group } else { group & 0x3_ff00 })
    }

    /// The sender by SAE J1939-21, for identifiers of 29 bits.
    #[must_use]
    pub const fn source_address(self) -> Option<u8> {
        match self.0 {
            Width::Extended(id) => Some(id.to_le_bytes()[0]),
            Width::Standard(_) => None,
        }
    }
}

/// A data frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Frame {
    id: CanId,
    data: [u8; 8],
    length: u8,
}

impl Frame {
    /// A frame with up to eight bytes of data; `None` when there are more.
    #[must_use]
    pub fn new(id: CanId, data: &[u8]) -> Option<Frame> {
        let mut room = [0; 8];
        room.get_mut(..data.len())?.copy_from_slice(data);
        Some(Frame { id, data: room, length: u8::try_from(data.len()).ok()? })
    }

    /// Which message it is.
    #[must_use]
    pub const fn id(&self) -> CanId {
        self.id
    }

    /// Its data.
    #[must_use]
    pub fn data(&self) -> &[u8] {
        &self.data[..usize::from(self.length)]
    }

    /// Its data, and zeros up to eight bytes.
    pub(super) const fn padded(&self) -> [u8; 8] {
        self.data
    }
}

/// Times before this are not of day: candump can also count from its start.
const DAYTIME_FROM_S: i64 = 631_152_000;

/// A line of candump: when, where it says so, and the frame. No frame is given for a request and for an
/// error frame, which carry no data of a sender.
///
/// `(1780545600.123456) can0 18FEF100#FF00240000000000`, as in log files, or
/// `can0  18FEF100   [8]  FF 00 24 00 00 00 00 00`, as on the screen.
pub(super) fn candump(line: &[u8]) -> Result<(Option<Utc>, Option<Frame>), Reason> {
    let line = std::str::from_utf8(line).map_err(|_| Reason::Malformed)?;
    let mut words = line.split_ascii_whitespace().peekable();
    let time = words.next_if(|word| word.starts_with('('));
    let at = time.map(timestamp).transpose()?.flatten();
    let _interface = words.next().ok_or(Reason::Malformed)?;
    let word = words.next().ok_or(Reason::Malformed)?;
    let frame = match word.split_once('#') {
        Some((id, data)) => compact(id, data)?,
        None => columns(word, words)?,
    };
    Ok((at, frame))
}

fn timestamp(word: &str) -> Result<Option<Utc>, Reason> {
    let inner =
        word.strip_prefix('(').and_then(|w| w.strip_suffix(')')).ok_or(Reason::Malformed)?;
    let (seconds, fraction) = inner.split_once('.').unwrap_or((inner, ""));
    if fraction.len() > 9 || !fraction.bytes().all(|b| b.is_ascii_digit()) {
        return Err(Reason::Malformed);
    }
    let seconds: i64 = seconds.parse().map_err(|_| Reason::Malformed)?;
    let digit = |i| fraction.as_bytes().get(i).map_or(0, |b| i64::from(b - b'0'));
    let ms = digit(0) * 100 + digit(1) * 10 + digit(2);
    Ok((seconds >= DAYTIME_FROM_S)
        .then(|| Utc::from_ms(seconds.saturating_mul(1000).saturating_add(ms))))
}

fn compact(id: &str, data: &str) -> Result<Option<Frame>, Reason> {
    let id = identifier(id)?;
    if data.starts_with('#') {
        return Err(Reason::Version);
    }
    if data.starts_with('R') {
        return Ok(None);
    }
    if !data.len().is_multiple_of(2) || !data.is_ascii() {
        return Err(Reason::Malformed);
    }
    if data.len() > 16 {
        return Err(Reason::TooLong);
    }
    let mut bytes = [0; 8];
    let length = data.len() / 2;
    for (i, byte) in bytes[..length].iter_mut().enumerate() {
        *byte = hex_byte(&data[2 * i..2 * i + 2])?;
    }
    Ok(id.and_then(|id| Frame::new(id, &bytes[..length])))
}

fn columns<'a>(
    id: &str,
    mut words: impl Iterator<Item = &'a str>,
) -> Result<Option<Frame>, Reason> {
    let id = identifier(id)?;
    let length = words.next().and_then(|w| w.strip_prefix('[')?.strip_suffix(']'));
    let length = length.ok_or(Reason::Malformed)?;
    // CAN FD writes two digits.
    if length.len() > 1 {
        return Err(Reason::Version);
    }
    let length: usize = length.parse().map_err(|_| Reason::Malformed)?;
    let mut bytes = [0; 8];
    for byte in bytes.get_mut(..length).ok_or(Reason::TooLong)? {
        match words.next() {
            Some("remote") => return Ok(None),
            Some(word) => *byte = hex_byte(word)?,
            None => return Err(Reason::Truncated),
        }
    }
    Ok(id.and_then(|id| Frame::new(id, &bytes[..length])))
}

/// Three digits are 11 bits and eight are 29; bit 29 marks an error frame, which has no identifier.
fn identifier(text: &str) -> Result<Option<CanId>, Reason> {
    const ERROR: u32 = 1 << 29;
    if !text.bytes().all(|b| b.is_ascii_hexdigit()) {
        return Err(Reason::Malformed);
    }
    let id = u32::from_str_radix(text, 16).map_err(|_| Reason::Malformed)?;
    let id = match text.len() {
        3 => u16::try_from(id).ok().and_then(CanId::standard),
        8 if id & ERROR != 0 => return Ok(None),
        8 => CanId::extended(id),
        _ => None,
    };
    id.map(Some).ok_or(Reason::Malformed)
}

fn hex_byte(text: &str) -> Result<u8, Reason> {
    let is_byte = text.len() == 2 && text.bytes().all(|b| b.is_ascii_hexdigit());
    let byte = is_byte.then(|| u8::from_str_radix(text, 16).ok()).flatten();
    byte.ok_or(Reason::Malformed)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn extended(id: u32) -> CanId {
        CanId::extended(id).unwrap()
    }

    #[test]
    fn parameter_groups() {
        for (id, pgn, from) in [
            // Cruise control and vehicle speed, electronic engine controller 1, vehicle distance.
            (0x18fe_f100, 65_265, 0),
            (0x0cf0_0400, 61_444, 0),
            (0x18fe_e017, 65_248, 0x17),
            // A request to one receiver: its address is no part of the group.
            (0x18ea_ff00, 0xea00, 0),
            // Data page 1.
            (0x19fe_f121, 0x1_fef1, 0x21),
        ] {
            assert_eq!(
                (extended(id).pgn(), extended(id).source_address()),
                (Some(pgn), Some(from))
            );
        }
        let standard = CanId::standard(0x521).unwrap();
        assert_eq!((standard.pgn(), standard.source_address()), (None, None));
        assert_eq!((CanId::standard(0x800), CanId::extended(0x2000_0000)), (None, None));
    }

    #[test]
    fn both_forms_of_candump() {
        let at = Some(Utc::from_ms(1_436_509_052_249));
        let frame = |id, data: &[u8]| Frame::new(id, data);
        let standard = CanId::standard(0x044).unwrap();
        let five = [0x2a, 0x36, 0x6c, 0x2b, 0xba];
        for (line, expected) in [
            ("(1436509052.249713) vcan0 044#2A366C2BBA", (at, frame(standard, &five))),
            ("(1436509052.249713) vcan0 044#2A366C2BBA R", (at, frame(standard, &five))),
            (
                "(1436509052) can0 18FEF100#",
                (Some(Utc::from_ms(1_436_509_052_000)), frame(extended(0x18fe_f100), &[])),
            ),
            ("  vcan0  044   [5]  2A 36 6C 2B BA   '*6l+.'", (None, frame(standard, &five))),
            ("(000.000000) can0 044 [0]", (None, frame(standard, &[]))),
            ("(1436509052.249713) can0 044#R", (at, None)),
            ("can0 044 [4] remote request", (None, None)),
            ("(1436509052.249713) can0 20000080#0000000000000000", (at, None)),
        ] {
            assert_eq!(candump(line.as_bytes()), Ok(expected), "{line}");
        }
    }

    #[test]
    fn lines_that_are_none() {
        for (line, reason) in [
            ("can0", Reason::Malformed),
            ("can0 044", Reason::Malformed),
            ("can0 044#2", Reason::Malformed),
            ("can0 044#+2", Reason::Malformed),
            ("can0 0440#22", Reason::Malformed),
            ("can0 FFF#22", Reason::Malformed),
            ("can0 +44#22", Reason::Malformed),
            ("(1436509052.2x) can0 044#22", Reason::Malformed),
            ("(1436509052 can0 044#22", Reason::Malformed),
            ("can0 044 [2] 11", Reason::Truncated),
            ("can0 044 [9] 11", Reason::TooLong),
            ("can0 044 [12] 11", Reason::Version),
            ("can0 044#112233445566778899", Reason::TooLong),
            ("can0 044##1112233", Reason::Version),
            ("can0 044 [1] \u{e4}", Reason::Malformed),
        ] {
            assert_eq!(candump(line.as_bytes()), Err(reason), "{line}");
        }
        assert_eq!(candump(b"can0 044#\xff\xff"), Err(Reason::Malformed));
        assert_eq!(Frame::new(extended(1), &[0; 9]), None);
    }
}
