//! One frame: header, body and check, and how they lie in bytes.

use crc::{CRC_32_ISCSI, Crc, NoTable};
use postcard::experimental::max_size::MaxSize;
use serde::{Deserialize, Serialize};

use crate::auth::{Key, Sealed, TAG_LEN};
use crate::body::{
    Ack, Answer, Battery, Bay, Bin, Charge, Down, Hello, Identify, Measured, Report, Time, Up,
};
use crate::deframer::{Fault, Heard};
use crate::settings::Settings;

/// The version of frames without a tag.
pub const VERSION: u8 = 1;

/// The version of frames with a tag before the CRC.
pub const VERSION_SEALED: u8 = 2;

/// Ends every frame and stands nowhere inside one.
pub const DELIMITER: u8 = 0;

/// The node number that means every node: only in frames of the agent.
pub const BROADCAST: u32 = u32::MAX;

/// The most bytes of a frame on the line, its delimiter included. Well above what version 1 needs, so
/// that a receiver can hear kinds that are newer than itself.
pub const FRAME_MAX: usize = 128;

/// The check over a frame: CRC-32/ISCSI. Without a table, for a microcontroller has less flash than
/// time.
pub const CRC: Crc<u32, NoTable> = Crc::<u32, NoTable>::new(&CRC_32_ISCSI);

const HEADER_LEN: usize = Header::LEN;
const CRC_LEN: usize = 4;
/// COBS adds one byte to anything shorter than 255 bytes; the delimiter is another.
pub(crate) const RAW_MAX: usize = FRAME_MAX - 2;
/// The room for a body beside a tag.
const BODY_MAX: usize = RAW_MAX - HEADER_LEN - TAG_LEN - CRC_LEN;

// Every body fits, with a tag and without.
const _: () = {
    assert!(Hello::POSTCARD_MAX_SIZE <= BODY_MAX);
    assert!(Answer::POSTCARD_MAX_SIZE <= BODY_MAX);
    assert!(Aged::<Bay>::POSTCARD_MAX_SIZE <= BODY_MAX);
    assert!(Aged::<Bin>::POSTCARD_MAX_SIZE <= BODY_MAX);
    assert!(Aged::<Battery>::POSTCARD_MAX_SIZE <= BODY_MAX);
    assert!(Aged::<Charge>::POSTCARD_MAX_SIZE <= BODY_MAX);
    assert!(Ack::POSTCARD_MAX_SIZE <= BODY_MAX);
    assert!(Settings::POSTCARD_MAX_SIZE <= BODY_MAX);
    assert!(Identify::POSTCARD_MAX_SIZE <= BODY_MAX);
    assert!(Time::POSTCARD_MAX_SIZE <= BODY_MAX);
    assert!(RAW_MAX < 255);
};

/// The kind byte: what the body is. From 0x80 on the agent speaks.
mod kind {
    pub(super) const HELLO: u8 = 0x01;
    pub(super) const ANSWER: u8 = 0x02;
    pub(super) const BAY: u8 = 0x10;
    pub(super) const BIN: u8 = 0x11;
    pub(super) const BATTERY: u8 = 0x12;
    pub(super) const CHARGE: u8 = 0x13;
    pub(super) const ACK: u8 = 0x80;
    pub(super) const SETTINGS: u8 = 0x81;
    pub(super) const RECALIBRATE: u8 = 0x82;
    pub(super) const IDENTIFY: u8 = 0x83;
    pub(super) const TIME: u8 = 0x84;
    pub(super) const NEW_BATTERY: u8 = 0x85;
}

/// What every frame begins with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// The node that speaks, or that is spoken to.
    pub node: u32,
    /// From a node: the number of the report, counted up by one for each and never used twice, also
    /// not after a restart; a report that is sent again keeps it. Hello and answer carry the number
    /// that the next report will have. From the agent: the number of the command, which the answer
    /// repeats; 0 where no answer is due.
    pub counter: u32,
    /// Whole seconds since the sender started; 0 from the agent.
    pub uptime_s: u32,
}

/// One frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Frame {
    /// Who, which, when.
    pub header: Header,
    /// What.
    pub body: Body,
}

/// What a frame says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Body {
    /// A node says it.
    Up(Up),
    /// The agent says it.
    Down(Down),
}

/// The buffer cannot hold the frame; one of [`FRAME_MAX`] bytes always can.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BufferTooSmall;

impl core::fmt::Display for BufferTooSmall {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "the buffer is too small for the frame; {FRAME_MAX} bytes always suffice")
    }
}

impl core::error::Error for BufferTooSmall {}

/// A report's body on the line: the age first, then what was measured.
#[derive(Serialize, Deserialize, MaxSize)]
struct Aged<T> {
    age_s: u32,
    measured: T,
}

impl Frame {
    /// Writes the frame, its delimiter included, into `out` and returns what was written.
    ///
    /// # Errors
    /// `out` is too small; [`FRAME_MAX`] bytes always suffice.
    pub fn encode<'b>(&self, out: &'b mut [u8]) -> Result<&'b [u8], BufferTooSmall> {
        self.write(None, out)
    }

    /// As [`Frame::encode`], with a tag that only who has `key` can make.
    ///
    /// # Errors
    /// As [`Frame::encode`].
    pub fn seal<'b>(&self, key: &Key, out: &'b mut [u8]) -> Result<&'b [u8], BufferTooSmall> {
        self.write(Some(key), out)
    }

    fn write<'b>(&self, key: Option<&Key>, out: &'b mut [u8]) -> Result<&'b [u8], BufferTooSmall> {
        let mut raw = [0; RAW_MAX];
        let (header, rest) = raw.split_at_mut(HEADER_LEN);
        let version = if key.is_some() { VERSION_SEALED } else { VERSION };
        self.header.write(version, self.body.kind(), header);
        let body = self.body.write(rest).expect("BODY_MAX holds every body, asserted above");
        let mut checked = HEADER_LEN + body;
        if let Some(key) = key {
            let tag = key.tag(&raw[..checked]);
            raw[checked..checked + TAG_LEN].copy_from_slice(&tag);
            checked += TAG_LEN;
        }
        let sum = CRC.checksum(&raw[..checked]).to_le_bytes();
        raw[checked..checked + CRC_LEN].copy_from_slice(&sum);
        let raw = &raw[..checked + CRC_LEN];

        let stuffed = cobs::try_encode(raw, out).map_err(|_| BufferTooSmall)?;
        *out.get_mut(stuffed).ok_or(BufferTooSmall)? = DELIMITER;
        Ok(&out[..=stuffed])
    }

    /// Reads what stood between two delimiters; the bytes are unstuffed in place.
    pub(crate) fn decode(stuffed: &mut [u8]) -> Heard {
        let checked = match check(stuffed) {
            Ok(checked) => checked,
            Err(fault) => return Heard::Fault(fault),
        };
        match checked.first() {
            Some(&VERSION) => Frame::read(checked),
            Some(&VERSION_SEALED) => {
                Sealed::new(checked).map_or(Heard::Fault(Fault::Truncated), Heard::Sealed)
            }
            Some(&version) => Heard::Fault(Fault::Version(version)),
            None => Heard::Fault(Fault::Truncated),
        }
    }

    /// Reads header and body, whose check and version are good.
    pub(crate) fn read(checked: &[u8]) -> Heard {
        let Some((head, body)) = checked.split_first_chunk() else {
            return Heard::Fault(Fault::Truncated);
        };
        let (header, kind) = Header::read(head);
        match Body::read(kind, body) {
            Some(Ok(body)) if header.fits(&body) => Heard::Frame(Frame { header, body }),
            Some(_) => Heard::Fault(Fault::Malformed { kind }),
            None => Heard::Unknown { header, kind },
        }
    }
}

/// Undoes the stuffing and checks length and CRC, in this order.
fn check(stuffed: &mut [u8]) -> Result<&[u8], Fault> {
    let len = cobs::decode_in_place(stuffed).map_err(|_| Fault::Truncated)?;
    let raw = stuffed.get(..len).ok_or(Fault::Truncated)?;
    let (checked, sum) = raw.split_last_chunk::<CRC_LEN>().ok_or(Fault::Truncated)?;
    if checked.len() < HEADER_LEN {
        return Err(Fault::Truncated);
    }
    if CRC.checksum(checked) != u32::from_le_bytes(*sum) {
        return Err(Fault::Checksum);
    }
    Ok(checked)
}

impl Header {
    pub(crate) const LEN: usize = 14;

    fn write(&self, version: u8, kind: u8, out: &mut [u8]) {
        out[0] = version;
        out[1..5].copy_from_slice(&self.node.to_le_bytes());
        out[5..9].copy_from_slice(&self.counter.to_le_bytes());
        out[9..13].copy_from_slice(&self.uptime_s.to_le_bytes());
        out[13] = kind;
    }

    /// The node of a header of any version.
    pub(crate) fn node(raw: &[u8]) -> u32 {
        match raw {
            [_, a, b, c, d, ..] => u32::from_le_bytes([*a, *b, *c, *d]),
            _ => BROADCAST,
        }
    }

    fn read(raw: &[u8; HEADER_LEN]) -> (Header, u8) {
        let [_version, a, b, c, d, e, f, g, h, i, j, k, l, kind] = *raw;
        let header = Header {
            node: u32::from_le_bytes([a, b, c, d]),
            counter: u32::from_le_bytes([e, f, g, h]),
            uptime_s: u32::from_le_bytes([i, j, k, l]),
        };
        (header, kind)
    }

    /// A node has a number of its own: it never speaks for all.
    const fn fits(&self, body: &Body) -> bool {
        self.node != BROADCAST || matches!(body, Body::Down(_))
    }
}

impl Body {
    const fn kind(&self) -> u8 {
        match self {
            Body::Up(Up::Hello(_)) => kind::HELLO,
            Body::Up(Up::Answer(_)) => kind::ANSWER,
            Body::Up(Up::Report(report)) => match report.measured {
                Measured::Bay(_) => kind::BAY,
                Measured::Bin(_) => kind::BIN,
                Measured::Battery(_) => kind::BATTERY,
                Measured::Charge(_) => kind::CHARGE,
            },
            Body::Down(Down::Ack(_)) => kind::ACK,
            Body::Down(Down::Settings(_)) => kind::SETTINGS,
            Body::Down(Down::Recalibrate) => kind::RECALIBRATE,
            Body::Down(Down::Identify(_)) => kind::IDENTIFY,
            Body::Down(Down::Time(_)) => kind::TIME,
            Body::Down(Down::NewBattery) => kind::NEW_BATTERY,
        }
    }

    /// Writes the body and returns its length.
    fn write(&self, out: &mut [u8]) -> postcard::Result<usize> {
        match self {
            Body::Up(Up::Hello(hello)) => write(hello, out),
            Body::Up(Up::Answer(answer)) => write(answer, out),
            Body::Up(Up::Report(Report { age_s, measured })) => match *measured {
                Measured::Bay(measured) => write(&Aged { age_s: *age_s, measured }, out),
                Measured::Bin(measured) => write(&Aged { age_s: *age_s, measured }, out),
                Measured::Battery(measured) => write(&Aged { age_s: *age_s, measured }, out),
                Measured::Charge(measured) => write(&Aged { age_s: *age_s, measured }, out),
            },
            Body::Down(Down::Ack(ack)) => write(ack, out),
            Body::Down(Down::Settings(settings)) => write(settings, out),
            Body::Down(Down::Recalibrate | Down::NewBattery) => Ok(0),
            Body::Down(Down::Identify(identify)) => write(identify, out),
            Body::Down(Down::Time(time)) => write(time, out),
        }
    }

    /// Reads a body that fills `bytes` exactly; `None` for a kind that is not known.
    fn read(kind: u8, bytes: &[u8]) -> Option<postcard::Result<Body>> {
        let up = |up| Body::Up(up);
        let down = |down| Body::Down(down);
        Some(match kind {
            kind::HELLO => read(bytes).map(|hello| up(Up::Hello(hello))),
            kind::ANSWER => read(bytes).map(|answer| up(Up::Answer(answer))),
            kind::BAY => read(bytes).map(|aged| report(aged, Measured::Bay)),
            kind::BIN => read(bytes).map(|aged| report(aged, Measured::Bin)),
            kind::BATTERY => read(bytes).map(|aged| report(aged, Measured::Battery)),
            kind::CHARGE => read(bytes).map(|aged| report(aged, Measured::Charge)),
            kind::ACK => read(bytes).map(|ack| down(Down::Ack(ack))),
            kind::SETTINGS => read(bytes).map(|settings| down(Down::Settings(settings))),
            kind::RECALIBRATE => read(bytes).map(|()| down(Down::Recalibrate)),
            kind::IDENTIFY => read(bytes).map(|identify| down(Down::Identify(identify))),
            kind::TIME => read(bytes).map(|time| down(Down::Time(time))),
            kind::NEW_BATTERY => read(bytes).map(|()| down(Down::NewBattery)),
            _ => return None,
        })
    }
}

fn report<T>(aged: Aged<T>, measured: impl FnOnce(T) -> Measured) -> Body {
    Body::Up(Up::Report(Report { age_s: aged.age_s, measured: measured(aged.measured) }))
}

fn write(body: &impl Serialize, out: &mut [u8]) -> postcard::Result<usize> {
    postcard::to_slice(body, out).map(|written| written.len())
}

fn read<'b, T: Deserialize<'b>>(bytes: &'b [u8]) -> postcard::Result<T> {
    match postcard::take_from_bytes(bytes)? {
        (body, []) => Ok(body),
        _ => Err(postcard::Error::DeserializeBadEncoding),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Deframer;
    use std::vec::Vec;

    const HEADER: Header = Header { node: 7, counter: 0, uptime_s: 1 };

    /// A frame made by hand around `version`, `kind` and `body`, with a good CRC.
    fn by_hand(version: u8, node: u32, kind: u8, body: &[u8]) -> Vec<u8> {
        let mut raw = std::vec![0; HEADER_LEN];
        Header { node, ..HEADER }.write(version, kind, &mut raw);
        raw.extend_from_slice(body);
        let sum = CRC.checksum(&raw);
        raw.extend_from_slice(&sum.to_le_bytes());
        let mut stuffed = std::vec![0; cobs::max_encoding_length(raw.len()) + 1];
        let len = cobs::encode(&raw, &mut stuffed);
        stuffed.truncate(len + 1);
        stuffed
    }

    fn heard(bytes: &[u8]) -> Vec<Heard> {
        let mut all = Vec::new();
        Deframer::new().push_slice(bytes, |heard| all.push(heard));
        all
    }

    #[test]
    fn the_check_is_the_one_of_the_catalogue() {
        // The check value of CRC-32/ISCSI in the catalogue of parametrised CRC algorithms.
        assert_eq!(CRC.checksum(b"123456789"), 0xE306_9283);
    }

    #[test]
    fn a_kind_that_is_not_known_is_told_with_its_header() {
        for kind in [0x00, 0x03, 0x14, 0x7F, 0x86, 0xFF] {
            assert_eq!(
                heard(&by_hand(VERSION, 7, kind, b"anything")),
                [Heard::Unknown { header: HEADER, kind }]
            );
        }
    }

    #[test]
    fn the_largest_body_of_a_kind_that_is_not_known_is_heard() {
        const BODY_MAX: usize = super::BODY_MAX + TAG_LEN;
        let body = [1; BODY_MAX];
        let bytes = by_hand(VERSION, 7, 0x7F, &body);
        assert_eq!(bytes.len(), FRAME_MAX);
        assert_eq!(heard(&bytes), [Heard::Unknown { header: HEADER, kind: 0x7F }]);
        let bytes = by_hand(VERSION, 7, 0x7F, &[1; BODY_MAX + 1]);
        assert_eq!(heard(&bytes), [Heard::Fault(Fault::TooLong)]);
    }

    #[test]
    fn another_version_is_refused_before_its_kind_is_looked_at() {
        for version in [0, 3, 255] {
            assert_eq!(
                heard(&by_hand(version, 7, kind::HELLO, &[1, 0, 0, 0, 1, 0])),
                [Heard::Fault(Fault::Version(version))]
            );
        }
    }

    #[test]
    fn a_body_fills_its_frame_exactly() {
        let good: [u8; 6] = [1, 2, 3, 0, 9, 0];
        assert!(matches!(heard(&by_hand(VERSION, 7, kind::HELLO, &good))[..], [Heard::Frame(_)]));
        let malformed = Heard::Fault(Fault::Malformed { kind: kind::HELLO });
        assert_eq!(heard(&by_hand(VERSION, 7, kind::HELLO, &good[..5])), [malformed]);
        assert_eq!(heard(&by_hand(VERSION, 7, kind::HELLO, &[1, 2, 3, 0, 9, 0, 0])), [malformed]);
        let malformed = Heard::Fault(Fault::Malformed { kind: kind::RECALIBRATE });
        assert_eq!(heard(&by_hand(VERSION, 7, kind::RECALIBRATE, &[0])), [malformed]);
    }

    #[test]
    fn only_the_agent_speaks_to_all() {
        let command = by_hand(VERSION, BROADCAST, kind::RECALIBRATE, &[]);
        assert!(matches!(heard(&command)[..], [Heard::Frame(_)]));
        let hello = by_hand(VERSION, BROADCAST, kind::HELLO, &[1, 2, 3, 0, 9, 0]);
        assert_eq!(heard(&hello), [Heard::Fault(Fault::Malformed { kind: kind::HELLO })]);
    }

    #[test]
    fn a_buffer_one_byte_too_small_is_refused() {
        let frame = Frame { header: HEADER, body: Body::Down(Down::Recalibrate) };
        let mut room = [0; FRAME_MAX];
        let len = frame.encode(&mut room).unwrap().len();
        assert_eq!(frame.encode(&mut room[..len - 1]), Err(BufferTooSmall));
        assert_eq!(frame.encode(&mut room[..len]).map(<[u8]>::len), Ok(len));
        assert_eq!(frame.encode(&mut []), Err(BufferTooSmall));
    }

    #[test]
    fn a_sealed_frame_is_opened_by_its_key_alone() {
        let frame = Frame { header: HEADER, body: Body::Down(Down::Recalibrate) };
        let (key, other) = (Key::new([7; 32]), Key::new([8; 32]));
        let mut room = [0; FRAME_MAX];
        let bytes = frame.seal(&key, &mut room).unwrap();
        let [Heard::Sealed(sealed)] = heard(bytes)[..] else { panic!("not sealed") };
        assert_eq!(sealed.node(), HEADER.node);
        assert_eq!(sealed.open(&key), Ok(Heard::Frame(frame)));
        assert_eq!(sealed.open(&other), Err(crate::WrongTag));
    }

    /// With a CRC that fits: what an attacker sends, and not what the line does.
    #[test]
    fn no_part_of_a_sealed_frame_can_be_changed() {
        let frame =
            Frame { header: HEADER, body: Body::Down(Down::Identify(Identify { seconds: 9 })) };
        let key = Key::new([7; 32]);
        let mut room = [0; FRAME_MAX];
        let mut raw = frame.seal(&key, &mut room).unwrap().to_vec();
        raw.pop();
        let len = cobs::decode_in_place(&mut raw).unwrap();
        raw.truncate(len - CRC_LEN);
        // The version is what makes it a sealed frame.
        for bit in 8..raw.len() * 8 {
            let mut forged = raw.clone();
            forged[bit / 8] ^= 1 << (bit % 8);
            let sealed = Sealed::new(&forged).unwrap();
            assert_eq!(sealed.open(&key), Err(crate::WrongTag), "bit {bit}");
        }
        for len in 0..raw.len() {
            let cut = Sealed::new(&raw[..len]);
            assert!(cut.is_none_or(|sealed| sealed.open(&key).is_err()), "{len} bytes");
        }
    }

    #[test]
    fn what_is_sealed_may_be_newer_than_this_program() {
        let key = Key::new([7; 32]);
        let mut raw = std::vec![0; HEADER_LEN];
        HEADER.write(VERSION_SEALED, 0x7F, &mut raw);
        raw.extend(key.tag(&raw));
        let sealed = Sealed::new(&raw).unwrap();
        assert_eq!(sealed.open(&key), Ok(Heard::Unknown { header: HEADER, kind: 0x7F }));
    }
}
