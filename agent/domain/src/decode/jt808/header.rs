//! The header of a message, and the terminal that it names.
//!
//! Two layouts are in use. Of 2013: message, properties, phone in six bytes of BCD, serial number: 12
//! bytes. Of 2019: a version byte behind the properties and ten bytes of phone: 17 bytes. Bit 14 of the
//! properties should tell them apart, and terminals are on the road that set it and send the layout of
//! 2013. The length of the body tells them apart without doubt, for the two differ by five bytes.

use std::fmt;

use crate::decode::Reason;
use crate::ids::DeviceKey;
use crate::time::Utc;

/// In the properties: how long the body is.
const BODY_LENGTH: u16 = 0x03ff;
/// In the properties: how the body is encrypted; 0 is not at all.
const ENCRYPTION: u16 = 0x1c00;
/// In the properties: the message comes in parts.
const IN_PARTS: u16 = 0x2000;
/// In the properties: the layout of 2019.
const VERSIONED: u16 = 0x4000;

/// Which layout a terminal speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Layout {
    /// JT/T 808-2013, and 2011 before it.
    Of2013,
    /// JT/T 808-2019, with its version byte: 1 in the first edition.
    Of2019(u8),
}

/// A terminal: its phone number, and the layout in which it is answered.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Terminal {
    /// BCD, filled up with zeros on the left.
    phone: [u8; 10],
    layout: Layout,
}

/// Which part of a message a frame carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Part {
    /// How many there are.
    pub(super) total: u16,
    /// Which one, from 1 to `total`.
    pub(super) index: u16,
}

/// What stands before a body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Header {
    /// Which message.
    pub(super) message: u16,
    /// Who sends it.
    pub(super) terminal: Terminal,
    /// The terminal's own count of frames; goes round after 65 535.
    pub(super) serial: u16,
    /// Of a message in parts.
    pub(super) part: Option<Part>,
    /// Whether the body is encrypted.
    pub(super) is_encrypted: bool,
}

impl Terminal {
    /// The phone number without leading zeros, which the layouts add in different number: what the
    /// terminal is called in samples and in the configuration.
    #[must_use]
    pub fn device(&self) -> DeviceKey {
        DeviceKey::new(&self.phone()).expect("one to twenty digits are a device key")
    }

    /// The layout in which it sends and is answered.
    #[must_use]
    pub const fn layout(&self) -> Layout {
        self.layout
    }

    fn phone(&self) -> String {
        let digits: String = self.phone.iter().map(|byte| format!("{byte:02x}")).collect();
        let significant = digits.trim_start_matches('0');
        if significant.is_empty() { "0".to_owned() } else { significant.to_owned() }
    }

    /// The frame with which the platform sends this terminal a message. `serial` is the platform's own
    /// count of frames.
    pub(super) fn frame(&self, message: u16, serial: u16, body: &[u8]) -> Vec<u8> {
        let length = u16::try_from(body.len()).ok().filter(|&length| length <= BODY_LENGTH);
        let length = length.expect("no answer is longer than a body can be");
        let mut inside = message.to_be_bytes().to_vec();
        match self.layout {
            Layout::Of2013 => {
                inside.extend(length.to_be_bytes());
                inside.extend(&self.phone[4..]);
            }
            Layout::Of2019(version) => {
                inside.extend((length | VERSIONED).to_be_bytes());
                inside.push(version);
                inside.extend(&self.phone);
            }
        }
        inside.extend(serial.to_be_bytes());
        inside.extend(body);
        super::frame::frame(&inside)
    }
}

impl fmt::Debug for Terminal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Terminal({}, {:?})", self.phone(), self.layout)
    }
}

/// Splits what a frame carries into header and body.
///
/// # Errors
/// [`Reason::Truncated`] or [`Reason::Malformed`] where no layout has a body of the length it states,
/// or the phone number is none.
pub(super) fn parse(inside: &[u8]) -> Result<(Header, &[u8]), Reason> {
    let mut rest = Bytes(inside);
    let (message, properties) = (rest.u16()?, rest.u16()?);
    let parts = if properties & IN_PARTS == 0 { 0 } else { 4 };
    let body = usize::from(properties & BODY_LENGTH);
    let (short, long) = (12 + parts + body, 17 + parts + body);
    let (layout, phone) = match inside.len() {
        length if length == short => (Layout::Of2013, rest.bcd(6)?),
        length if length == long => (Layout::Of2019(rest.u8()?), rest.bcd(10)?),
        length if length < short => return Err(Reason::Truncated),
        _ => return Err(Reason::Malformed),
    };
    let mut padded = [0; 10];
    padded[10 - phone.len()..].copy_from_slice(phone);
    let serial = rest.u16()?;
    let part = if parts > 0 { Some(part(&mut rest)?) } else { None };
    let terminal = Terminal { phone: padded, layout };
    let is_encrypted = properties & ENCRYPTION != 0;
    Ok((Header { message, terminal, serial, part, is_encrypted }, rest.0))
}

fn part(rest: &mut Bytes<'_>) -> Result<Part, Reason> {
    let part = Part { total: rest.u16()?, index: rest.u16()? };
    if (1..=part.total).contains(&part.index) { Ok(part) } else { Err(Reason::Malformed) }
}

/// Reads a body from front to back, high byte first. What is not there is [`Reason::Truncated`].
#[derive(Debug, Clone, Copy)]
pub(super) struct Bytes<'a>(pub(super) &'a [u8]);

impl<'a> Bytes<'a> {
    pub(super) fn take(&mut self, length: usize) -> Result<&'a [u8], Reason> {
        let (head, tail) = self.0.split_at_checked(length).ok_or(Reason::Truncated)?;
        self.0 = tail;
        Ok(head)
    }

    fn chunk<const N: usize>(&mut self) -> Result<[u8; N], Reason> {
        let (head, tail) = self.0.split_first_chunk().ok_or(Reason::Truncated)?;
        self.0 = tail;
        Ok(*head)
    }

    pub(super) fn u8(&mut self) -> Result<u8, Reason> {
        self.chunk().map(u8::from_be_bytes)
    }

    pub(super) fn u16(&mut self) -> Result<u16, Reason> {
        self.chunk().map(u16::from_be_bytes)
    }

    pub(super) fn u32(&mut self) -> Result<u32, Reason> {
        self.chunk().map(u32::from_be_bytes)
    }

    /// Bytes of two decimal digits each.
    fn bcd(&mut self, length: usize) -> Result<&'a [u8], Reason> {
        let bytes = self.take(length)?;
        if bytes.iter().all(|&byte| from_bcd(byte).is_some()) {
            Ok(bytes)
        } else {
            Err(Reason::Malformed)
        }
    }
}

/// The number of two decimal digits.
pub(super) const fn from_bcd(byte: u8) -> Option<u8> {
    let (high, low) = (byte >> 4, byte & 0xf);
    if high < 10 && low < 10 { Some(high * 10 + low) } else { None }
}

/// `yyMMddHHmmss` of the years 2000 to 2099; `None` when the calendar has no such time.
pub(super) fn civil(bcd: [u8; 6]) -> Option<Utc> {
    let mut numbers = [0; 6];
    for (number, byte) in numbers.iter_mut().zip(bcd) {
        *number = from_bcd(byte)?;
    }
    let [year, month, day, hour, minute, second] = numbers;
    Utc::from_civil((2000 + i16::from(year), month, day), (hour, minute, second))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(inside: &[u8]) -> Header {
        parse(inside).unwrap().0
    }

    /// Message 2 with these properties, the rest of the header, and a body.
    fn inside(properties: u16, rest: &[u8], body: usize) -> Vec<u8> {
        [&[0, 2][..], &properties.to_be_bytes(), rest, &vec![0xaa; body]].concat()
    }

    const SHORT: &[u8] = &[0x01, 0x39, 0x12, 0x34, 0x56, 0x78, 0x00, 0x2b];
    const LONG: &[u8] = &[1, 0, 0, 0, 0, 0x01, 0x39, 0x12, 0x34, 0x56, 0x78, 0x00, 0x2b];

    #[test]
    fn the_length_of_the_body_decides_the_layout() {
        for (properties, rest, body, layout) in [
            (0x0000, SHORT, 0, Layout::Of2013),
            (0x0005, SHORT, 5, Layout::Of2013),
            // The flag of 2019 with the layout of 2013, and the other way round.
            (0x4005, SHORT, 5, Layout::Of2013),
            (0x0005, LONG, 5, Layout::Of2019(1)),
            (0x4000, LONG, 0, Layout::Of2019(1)),
            (0x43ff, LONG, 1023, Layout::Of2019(1)),
        ] {
            let inside = inside(properties, rest, body);
            let (header, found) = parse(&inside).unwrap();
            assert_eq!(header.terminal.layout(), layout, "{properties:04x}");
            assert_eq!(header.terminal.device().as_str(), "13912345678");
            assert_eq!((header.message, header.serial, found.len()), (2, 43, body));
        }
        let lies = |properties, body| parse(&inside(properties, SHORT, body)).unwrap_err();
        assert_eq!(lies(0x0005, 4), Reason::Truncated);
        assert_eq!(lies(0x0005, 6), Reason::Malformed);
        assert_eq!(lies(0x0005, 11), Reason::Malformed);
        assert_eq!(parse(&[0, 2, 0]).unwrap_err(), Reason::Truncated);
    }

    #[test]
    fn parts_and_encryption() {
        let part = |total, index| {
            let rest = [SHORT, &[0, total, 0, index]].concat();
            parse(&inside(0x2003, &rest, 3)).map(|(header, body)| (header.part, body.len()))
        };
        assert_eq!(part(3, 2), Ok((Some(Part { total: 3, index: 2 }), 3)));
        for (total, index) in [(3, 0), (3, 4), (0, 0)] {
            assert_eq!(part(total, index), Err(Reason::Malformed));
        }
        for (properties, encrypted) in [(0, false), (0x0400, true), (0x0800, true), (0x1000, true)]
        {
            assert_eq!(header(&inside(properties, SHORT, 0)).is_encrypted, encrypted);
        }
    }

    #[test]
    fn phone_numbers_are_digits() {
        let phone = |bytes: [u8; 6]| {
            let rest = [&bytes[..], &[0, 1]].concat();
            parse(&inside(0, &rest, 0)).map(|(header, _)| header.terminal.device().to_string())
        };
        assert_eq!(phone([0x12, 0x34, 0x56, 0x78, 0x90, 0x12]).as_deref(), Ok("123456789012"));
        assert_eq!(phone([0; 6]).as_deref(), Ok("0"));
        assert_eq!(phone([0, 0, 0, 0, 0x0a, 0]), Err(Reason::Malformed));
        assert_eq!(phone([0, 0, 0, 0, 0xf0, 0]), Err(Reason::Malformed));
    }

    #[test]
    fn civil_time_in_bcd() {
        let text = |bcd| civil(bcd).map(|at| at.to_string());
        let known = text([0x26, 0x06, 0x04, 0x12, 0x00, 0x59]);
        assert_eq!(known.as_deref(), Some("2026-06-04T12:00:59.000Z"));
        for bad in [[0; 6], [0x26, 0x13, 1, 0, 0, 0], [0x26, 0x0a, 1, 0, 0, 0], [0xff; 6]] {
            assert_eq!(text(bad), None, "{bad:?}");
        }
    }
}
