//! Parsers of streams. The first byte of the input says how the rest is cut.

use std::collections::BTreeMap;
use std::fmt::Debug;

use domain::decode::can::{BitOrder, Bits, Can, Selector, Signal, SignalMap};
use domain::decode::gnss::Gnss;
use domain::decode::gpsd::Gpsd;
use domain::decode::jt808::Link;
use domain::decode::measure::{Measure, Scaling};
use domain::decode::modbus::listen::Listener;
use domain::decode::modbus::{Encoding, Register, RegisterMap, Table, rtu};
use domain::decode::node_link::NodeLink;
use domain::decode::{Decode, Raw};
use domain::ids::{DeviceKey, SourceName};
use domain::sample::Sample;
use domain::time::Utc;
use wire::{Deframer, FRAME_MAX, Heard};

/// Everything arrives on 4 June 2026.
const RECEIVED: Utc = Utc::from_ms(1_780_545_600_000);

fn source() -> SourceName {
    SourceName::new("s").expect("a name")
}

/// Feeds a decoder in one piece and in pieces of the size that the first byte says.
fn cut<D: Decode, W: Debug + PartialEq>(
    input: &[u8],
    decoder: impl Fn() -> D,
    words: impl Fn(&mut D) -> W,
) -> bool {
    let Some((&size, stream)) = input.split_first() else { return false };
    let read = |size: usize| {
        let (mut decoder, mut samples) = (decoder(), Vec::<Sample>::new());
        for piece in stream.chunks(size) {
            decoder.feed(Raw::Bytes(piece), RECEIVED, &mut samples);
        }
        decoder.finish(&mut samples);
        let words = words(&mut decoder);
        let tally = decoder.tally().clone();
        assert_eq!(tally.samples, samples.len() as u64, "every sample is counted");
        assert_eq!(tally.bytes, stream.len() as u64, "every byte is counted");
        (samples, words, tally)
    };
    let whole = read(stream.len().max(1));
    assert_eq!(read(usize::from(size).max(1)), whole, "where a stream is cut says nothing");
    whole.2.frames > 0
}

pub(super) fn gnss(input: &[u8]) -> bool {
    cut(input, || Gnss::new(source()), |_| ())
}

/// Lines become sentences with the right check sum.
pub(super) fn nmea_body(input: &[u8]) -> bool {
    let mut stream = vec![61];
    for line in input.split(|byte| *byte == b'\n') {
        let sum = line.iter().fold(0, |sum, byte| sum ^ byte);
        stream.push(b'$');
        stream.extend_from_slice(line);
        stream.extend_from_slice(format!("*{sum:02X}\r\n").as_bytes());
    }
    gnss(&stream)
}

/// The input is class, identity and payload of one message, framed rightly.
pub(super) fn ubx_body(input: &[u8]) -> bool {
    let Some((head, payload)) = input.split_first_chunk::<2>() else { return false };
    let Ok(length) = u16::try_from(payload.len()) else { return false };
    let frame = [head, &length.to_le_bytes()[..], payload].concat();
    let (a, b) = frame.iter().fold((0_u8, 0_u8), |(a, b), byte| {
        let a = a.wrapping_add(*byte);
        (a, b.wrapping_add(a))
    });
    gnss(&[&[7, 0xb5, 0x62], &frame[..], &[a, b]].concat())
}

pub(super) fn gpsd(input: &[u8]) -> bool {
    cut(input, || Gpsd::new(source()), |_| ())
}

fn signals() -> SignalMap {
    let scaling = Scaling::new(Measure::Speed).with_scale(1.0 / 256.0, 0.0).expect("a scale");
    let selector = Selector::Pgn { pgn: 0xfef1, source_address: None };
    let bits = Bits::new(8, 16, BitOrder::Intel).expect("bits of a frame");
    let signal = Signal::new(selector, bits, scaling).expect("a signal");
    SignalMap::new(vec![signal]).expect("a map")
}

pub(super) fn jt808(input: &[u8]) -> bool {
    cut(input, || Link::new(source()).with_bus(signals()), Link::take_calls)
}

/// The input is a message without its check, framed and escaped rightly.
pub(super) fn jt808_body(input: &[u8]) -> bool {
    jt808(&[&[3], &terminal_frame(input)[..]].concat())
}

/// A message of a terminal as it is on the line: with its check, escaped, between its flags.
pub(super) fn terminal_frame(body: &[u8]) -> Vec<u8> {
    let sum = body.iter().fold(0, |sum, byte| sum ^ byte);
    let mut frame = vec![0x7e];
    for byte in body.iter().chain([&sum]) {
        match byte {
            0x7e => frame.extend([0x7d, 0x02]),
            0x7d => frame.extend([0x7d, 0x01]),
            other => frame.push(*other),
        }
    }
    frame.push(0x7e);
    frame
}

pub(super) fn can(input: &[u8]) -> bool {
    cut(input, || Can::new(source(), signals()), |_| ())
}

/// As it is; and every part between two 0xfe as one frame of the line, with the right check.
pub(super) fn modbus(input: &[u8]) -> bool {
    let scaling = Scaling::new(Measure::Distance);
    let register =
        Register::new(Table::Holding, 0x100, Encoding::U16, scaling).expect("a register");
    let map = RegisterMap::new(vec![register]).expect("a map");
    let device = DeviceKey::new("well-3").expect("a device");
    let listener = || Listener::new(source(), BTreeMap::from([(1, (device.clone(), map.clone()))]));
    let raw = cut(input, listener, |_| ());
    let mut line = vec![5];
    for payload in input.split(|byte| *byte == 0xfe).filter(|payload| payload.len() < 250) {
        line.extend(rtu::frame(1, payload));
    }
    raw | cut(&line, listener, |_| ())
}

pub(super) fn node_link(input: &[u8]) -> bool {
    cut(input, || NodeLink::new(source()), |link| (link.take_news(), link.unknown_kinds()))
}

/// The input is header and body of one frame, with the right check. What is read is written the same.
pub(super) fn node_link_body(input: &[u8]) -> bool {
    let sum = wire::CRC.checksum(input).to_le_bytes();
    let raw = [input, &sum].concat();
    let mut stuffed = cobs(&raw);
    stuffed.push(0);
    let mut deframer = Deframer::new();
    deframer.push_slice(&stuffed, |heard| {
        let Heard::Frame(frame) = heard else { return };
        let mut out = [0; FRAME_MAX];
        let written = frame.encode(&mut out).expect("FRAME_MAX always suffices");
        let mut again = Deframer::new();
        again.push_slice(written, |heard| assert_eq!(heard, Heard::Frame(frame)));
    });
    node_link(&[&[2], &stuffed[..]].concat())
}

/// Consistent overhead byte stuffing (Cheshire and Baker, 1999), written anew so that the one in `wire` is
/// not checked by itself.
fn cobs(raw: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    for block in raw.split(|byte| *byte == 0) {
        let mut rest = block;
        while rest.len() >= 254 {
            out.push(255);
            out.extend_from_slice(&rest[..254]);
            rest = &rest[254..];
        }
        out.push(rest.len() as u8 + 1);
        out.extend_from_slice(rest);
    }
    out
}
