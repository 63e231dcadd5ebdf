//! What a terminal says besides where it is: who it is, what it has understood, what its bus carries.

use std::fmt;

use super::header::{Bytes, Layout};
use crate::decode::Reason;
use crate::decode::can::{CanId, Frame};

/// The terminal's general response (0x0001): what became of a message of ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Response {
    /// Our serial number.
    pub serial: u16,
    /// Our message.
    pub message: u16,
    /// 0 done, 1 failed, 2 not understood, 3 not supported.
    pub result: u8,
}

/// A terminal asks to be known (0x0100).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Registration {
    /// Province, the first two digits of GB/T 2260; 0 where it is left to the platform.
    pub province: u16,
    /// City, the last four digits.
    pub city: u16,
    /// Code of the builder.
    pub maker: String,
    /// Model.
    pub model: String,
    /// The builder's number of this terminal.
    pub id: String,
    /// Colour of the plate by JT/T 415; 0 is no plate.
    pub plate_colour: u8,
    /// The plate in GBK; without a plate the vehicle identification number.
    pub plate: Private,
}

/// A terminal says who it is (0x0102).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Authentication {
    /// The code that it got when it registered.
    pub code: Private,
    /// Serial number of its modem; since 2019.
    pub imei: Option<String>,
    /// Version of its software; since 2019.
    pub software: Option<String>,
}

/// Something that names a vehicle or opens a door: never written to a log.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Private(Vec<u8>);

impl Private {
    /// The bytes.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Private {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Private({} bytes)", self.0.len())
    }
}

impl Response {
    pub(super) fn parse(body: &[u8]) -> Result<Response, Reason> {
        let mut rest = Bytes(body);
        Ok(Response { serial: rest.u16()?, message: rest.u16()?, result: rest.u8()? })
    }
}

impl Registration {
    /// The fields grew from edition to edition. The layout of 2011 had 8 bytes of model and that of
    /// 2013 has 20; both have the same header, and a plate is at least 7 bytes long.
    pub(super) fn parse(layout: Layout, body: &[u8]) -> Result<Registration, Reason> {
        const FIXED_OF_2013: usize = 2 + 2 + 5 + 20 + 7 + 1;
        let (maker, model, id) = match layout {
            Layout::Of2019(_) => (11, 30, 30),
            Layout::Of2013 if body.len() >= FIXED_OF_2013 => (5, 20, 7),
            Layout::Of2013 => (5, 8, 7),
        };
        let mut rest = Bytes(body);
        Ok(Registration {
            province: rest.u16()?,
            city: rest.u16()?,
            maker: text(rest.take(maker)?),
            model: text(rest.take(model)?),
            id: text(rest.take(id)?),
            plate_colour: rest.u8()?,
            plate: Private(trimmed(rest.0).to_vec()),
        })
    }
}

impl Authentication {
    /// Of 2013 the code is the body; since 2019 its length stands before it and the modem and the
    /// software behind it.
    pub(super) fn parse(layout: Layout, body: &[u8]) -> Result<Authentication, Reason> {
        if layout == Layout::Of2013 {
            let code = Private(trimmed(body).to_vec());
            return Ok(Authentication { code, imei: None, software: None });
        }
        let mut rest = Bytes(body);
        let length = rest.u8()?;
        Ok(Authentication {
            code: Private(rest.take(length.into())?.to_vec()),
            imei: Some(text(rest.take(15)?)),
            software: Some(text(rest.0)),
        })
    }
}

/// Location reports that are sent together (0x0704), usually after the network was gone: each body, or
/// what is wrong with the rest. The type that stands before them, usual or from a blind area, changes
/// nothing about what they say.
pub(super) fn batch(body: &[u8]) -> Result<Vec<Result<&[u8], Reason>>, Reason> {
    let mut rest = Bytes(body);
    let (count, _usual_or_blind) = (rest.u16()?, rest.u8()?);
    let mut items = Vec::new();
    for _ in 0..count {
        let item = rest.u16().and_then(|length| rest.take(length.into()));
        let is_damaged = item.is_err();
        items.push(item);
        if is_damaged {
            return Ok(items);
        }
    }
    if !rest.0.is_empty() {
        items.push(Err(Reason::Malformed));
    }
    Ok(items)
}

/// Frames of the vehicle's buses (0x0705), or what is wrong with the rest. The time before them has no
/// date and is left out.
pub(super) fn bus(body: &[u8]) -> Result<Vec<Result<Frame, Reason>>, Reason> {
    let mut rest = Bytes(body);
    let count = rest.u16()?;
    rest.take(5)?;
    let mut items = Vec::new();
    for _ in 0..count {
        let item = bus_frame(&mut rest);
        let is_damaged = item.is_err();
        items.push(item);
        if is_damaged {
            return Ok(items);
        }
    }
    if !rest.0.is_empty() {
        items.push(Err(Reason::Malformed));
    }
    Ok(items)
}

/// Bit 31 of the identifier is the bus, bit 30 says that it has 29 bits, bit 29 that it is a mean.
fn bus_frame(rest: &mut Bytes<'_>) -> Result<Frame, Reason> {
    const EXTENDED: u32 = 1 << 30;
    let (word, data) = (rest.u32()?, rest.take(8)?);
    let number = word & 0x1fff_ffff;
    // Some leave bit 30 out; what has more than eleven bits is extended.
    let standard = u16::try_from(number).ok().filter(|_| word & EXTENDED == 0);
    let id = standard.and_then(CanId::standard).or_else(|| CanId::extended(number));
    id.and_then(|id| Frame::new(id, data)).ok_or(Reason::Malformed)
}

/// Text that is filled up with zeros or spaces, in front by some and behind by others. What is not
/// ASCII becomes the replacement character: nothing is decided by it.
fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(trimmed(bytes)).into_owned()
}

fn trimmed(bytes: &[u8]) -> &[u8] {
    let is_filling = |byte: &u8| matches!(byte, 0 | b' ');
    let start = bytes.iter().position(|b| !is_filling(b)).unwrap_or(bytes.len());
    let end = bytes.iter().rposition(|b| !is_filling(b)).map_or(start, |last| last + 1);
    &bytes[start..end]
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn filled(text: &str, length: usize) -> Vec<u8> {
        let mut bytes = text.as_bytes().to_vec();
        bytes.resize(length, 0);
        bytes
    }

    #[test]
    fn a_registration_of_every_edition() {
        // 粤A12345 in GBK.
        let plate = b"\xd4\xc1A12345";
        for (layout, maker, model, id) in
            [(Layout::Of2013, 5, 8, 7), (Layout::Of2013, 5, 20, 7), (Layout::Of2019(1), 11, 30, 30)]
        {
            let body = [
                &[0, 40, 0, 50][..],
                &filled("1234", maker),
                &filled("tk12345", model),
                &filled("CHI123", id),
                &[1],
                plate,
            ]
            .concat();
            let registration = Registration::parse(layout, &body).unwrap();
            assert_eq!((registration.province, registration.city), (40, 50));
            assert_eq!(registration.maker, "1234");
            assert_eq!((&*registration.model, &*registration.id), ("tk12345", "CHI123"));
            assert_eq!(registration.plate_colour, 1);
            assert_eq!(registration.plate.bytes(), plate);
            assert_eq!(Registration::parse(layout, &body[..20]), Err(Reason::Truncated));
        }
    }

    #[test]
    fn what_is_private_is_not_shown() {
        let authentication = Authentication::parse(Layout::Of2013, b"J10030000681").unwrap();
        assert_eq!(authentication.code.bytes(), b"J10030000681");
        let shown = format!("{authentication:?}");
        assert!(shown.contains("Private(12 bytes)") && !shown.contains("J1003"), "{shown}");
    }

    #[test]
    fn an_authentication_of_2019_has_three_fields() {
        let body = [&[3][..], b"abc", b"123456789012345", &filled("v1", 20)].concat();
        let authentication = Authentication::parse(Layout::Of2019(1), &body).unwrap();
        assert_eq!(authentication.code.bytes(), b"abc");
        assert_eq!(authentication.imei.as_deref(), Some("123456789012345"));
        assert_eq!(authentication.software.as_deref(), Some("v1"));
        let cut = Authentication::parse(Layout::Of2019(1), &body[..10]);
        assert_eq!(cut, Err(Reason::Truncated));
    }

    #[test]
    fn a_batch_gives_what_is_whole_and_says_what_is_not() {
        let body = [0, 2, 0, 0, 1, 7, 0, 2, 8, 9];
        assert_eq!(batch(&body), Ok(vec![Ok(&[7][..]), Ok(&[8, 9])]));
        assert_eq!(batch(&body[..9]), Ok(vec![Ok(&[7][..]), Err(Reason::Truncated)]));
        assert_eq!(batch(&body[..6]), Ok(vec![Ok(&[7][..]), Err(Reason::Truncated)]));
        let more = [&body[..], &[1]].concat();
        assert_eq!(batch(&more).unwrap()[2], Err(Reason::Malformed));
        assert_eq!(batch(&[0, 2]), Err(Reason::Truncated));
        assert_eq!(batch(&[0, 0, 0]), Ok(vec![]));
    }

    #[test]
    fn frames_of_the_bus_with_either_width() {
        let body = |word: u32| {
            [&[0, 1, 0, 0, 0x23, 0x59, 0x59][..], &word.to_be_bytes(), &[1, 2, 3, 4, 5, 6, 7, 8]]
                .concat()
        };
        let data = [1, 2, 3, 4, 5, 6, 7, 8];
        for (word, id) in [
            (0x521, CanId::standard(0x521)),
            (0x8000_0521, CanId::standard(0x521)),
            (0x4000_0521, CanId::extended(0x521)),
            (0x58fe_f100, CanId::extended(0x18fe_f100)),
            (0x0102_0304, CanId::extended(0x0102_0304)),
        ] {
            let frame = Frame::new(id.unwrap(), &data).unwrap();
            assert_eq!(bus(&body(word)), Ok(vec![Ok(frame)]), "{word:08x}");
        }
        assert_eq!(bus(&body(0x521)[..18]), Ok(vec![Err(Reason::Truncated)]));
        assert_eq!(bus(&[0, 1, 0]), Err(Reason::Truncated));
        let more = [body(0x521), vec![1]].concat();
        assert_eq!(bus(&more).unwrap()[1], Err(Reason::Malformed));
    }

    proptest! {
        #[test]
        fn any_body_is_survived(body in proptest::collection::vec(any::<u8>(), 0..150)) {
            for layout in [Layout::Of2013, Layout::Of2019(1)] {
                prop_assert!(Registration::parse(layout, &body).is_ok() || body.len() < 76);
                if let Ok(authentication) = Authentication::parse(layout, &body) {
                    prop_assert!(authentication.code.bytes().len() <= body.len());
                }
            }
            prop_assert!(batch(&body).is_ok() || body.len() < 3);
            prop_assert!(bus(&body).is_ok() || body.len() < 7);
        }
    }
}
