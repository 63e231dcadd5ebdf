//! Where a byte stream is cut says nothing: every golden frame of the stream protocols is read whole, in
//! one-byte pieces and cut at chance places, with the same samples, the same words and the same counts.

use std::fmt::Debug;

use domain::decode::gnss::Gnss;
use domain::decode::modbus::listen::Listener;
use domain::decode::node_link::NodeLink;
use domain::decode::{Decode, Raw, Tally};
use domain::ids::{DeviceKey, SourceName};
use domain::sample::Sample;
use domain::time::Utc;
use serde_json::Value;
use system_tests::data;

use crate::jt808_frames::{self, bytes};
use crate::modbus_level;

/// Ways to cut each stream by chance; the same ones in every run.
const SEEDS: std::ops::RangeInclusive<u32> = 1..=4;
/// The longest piece of a cut by chance.
const PIECE_MAX: u32 = 97;

/// Everything that a decoder made of a stream; the words are what it hands to its source beside samples.
#[derive(Debug, PartialEq)]
struct Made<W> {
    samples: Vec<Sample>,
    words: W,
    tally: Tally,
}

fn read<D: Decode, W>(mut decoder: D, pieces: &[&[u8]], words: impl Fn(&mut D) -> W) -> Made<W> {
    let mut samples = Vec::new();
    for piece in pieces {
        decoder.feed(Raw::Bytes(piece), Utc::from_ms(0), &mut samples);
    }
    decoder.finish(&mut samples);
    Made { samples, words: words(&mut decoder), tally: decoder.tally().clone() }
}

/// `stream` in pieces of 1 to [`PIECE_MAX`] bytes, by chance of `seed`.
fn cut(stream: &[u8], seed: u32) -> Vec<&[u8]> {
    let (mut rest, mut chance, mut pieces) = (stream, seed, Vec::new());
    while !rest.is_empty() {
        // Numerical Recipes, 7.1; the upper bits are the better ones.
        chance = chance.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let length = ((chance >> 16) % PIECE_MAX + 1) as usize;
        let (piece, tail) = rest.split_at(length.min(rest.len()));
        pieces.push(piece);
        rest = tail;
    }
    pieces
}

/// Reads `stream` in every way and gives what it said, which is the same in all of them.
fn read_in_pieces<D: Decode, W: Debug + PartialEq>(
    name: &str,
    stream: &[u8],
    decoder: impl Fn() -> D,
    words: impl Fn(&mut D) -> W,
) -> Made<W> {
    let whole = read(decoder(), &[stream], &words);
    let bytes: Vec<&[u8]> = stream.chunks(1).collect();
    // Not assert_eq: a difference would print megabytes.
    assert!(read(decoder(), &bytes, &words) == whole, "{name}: byte by byte it is another");
    for seed in SEEDS {
        let again = read(decoder(), &cut(stream, seed), &words);
        assert!(again == whole, "{name}: cut by seed {seed} it is another");
    }
    whole
}

#[test]
fn chance_cuts_leave_every_byte_in_its_place() {
    let stream: Vec<u8> = (0..1000_u32).map(|n| n as u8).collect();
    let cuts: Vec<Vec<&[u8]>> = SEEDS.map(|seed| cut(&stream, seed)).collect();
    for pieces in &cuts {
        assert_eq!(pieces.concat(), stream);
    }
    assert!(cuts[0].iter().any(|piece| piece.len() > 60));
    assert_ne!(cuts[0], cuts[1]);
}

#[test]
fn terminals() {
    let Some(set) = data::set("jt808") else { return };
    for (file, frames) in
        [("frames_with_json.jsonl", 69), ("frames_with_asserted_fields.jsonl", 12)]
    {
        let text = data::text(&set, file);
        let hex = |line: &str| {
            let line: Value = serde_json::from_str(line).unwrap();
            bytes(line["hex"].as_str().unwrap())
        };
        let each: Vec<Vec<u8>> = text.lines().map(hex).collect();
        assert_eq!(each.len(), frames);
        let words = |link: &mut domain::decode::jt808::Link| link.take_calls();
        let mut calls = 0;
        for frame in &each {
            calls += read_in_pieces(file, frame, jt808_frames::link, words).words.len();
        }
        // One after the other on one line, so that the cuts also fall between frames.
        let line = read_in_pieces(file, &each.concat(), jt808_frames::link, words);
        assert!(calls >= frames - 1 && line.words.len() >= frames - 1, "{file}: {calls} calls");
    }
}

#[test]
fn level_sensors_on_a_line() {
    let Some(set) = data::set("modbus_level") else { return };
    let exchanges: Value = serde_json::from_str(&data::text(&set, "exchanges.json")).unwrap();
    let frames = |exchange: &Value| {
        let hex = |name: &str| exchange[name].as_str().map(bytes).unwrap_or_default();
        [hex("request"), hex("response")].concat()
    };
    let line: Vec<u8> = exchanges.as_array().unwrap().iter().flat_map(frames).collect();
    let (_, map) = modbus_level::maps().swap_remove(0);
    let listener = || {
        let device = DeviceKey::new("bin-24").unwrap();
        Listener::new(SourceName::new("levels").unwrap(), [(1, (device, map.clone()))].into())
    };
    let made = read_in_pieces("exchanges.json", &line, listener, |_| ());
    // The processed and the real-time distance, and the temperature.
    assert_eq!(made.samples.len(), 3, "{:?}", made.tally);
}

#[test]
fn receivers() {
    let Some(set) = data::set("gnss_gpsd") else { return };
    let mut logs: Vec<String> = std::fs::read_dir(&set)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.ends_with(".log"))
        .collect();
    logs.sort();
    assert!(logs.len() >= 50, "only {} logs", logs.len());
    let mut samples = 0;
    for log in &logs {
        let gnss = || Gnss::new(SourceName::new("gnss").unwrap());
        samples += read_in_pieces(log, &data::read(&set, log), gnss, |_| ()).samples.len();
    }
    assert!(samples > 1000, "only {samples} positions");
}

/// The frames that are pinned beside the format itself.
fn golden_frames() -> Vec<Vec<u8>> {
    let pinned = include_str!("../../firmware/wire/tests/golden.rs");
    let is_frame = |text: &&str| text.len() >= 20 && text.bytes().all(|c| c.is_ascii_hexdigit());
    pinned.split('"').filter(is_frame).map(bytes).collect()
}

#[test]
fn nodes() {
    let frames = golden_frames();
    assert!(frames.len() >= 17, "only {} golden frames", frames.len());
    let link = || NodeLink::new(SourceName::new("line-1").unwrap());
    let words = |link: &mut NodeLink| (link.take_news(), link.unknown_kinds());
    for frame in &frames {
        assert_eq!(read_in_pieces("golden", frame, link, words).tally.frames, 1, "{frame:02x?}");
    }
    let line = read_in_pieces("golden", &frames.concat(), link, words);
    assert_eq!(line.tally.frames, frames.len() as u64);
    assert_eq!(line.tally.rejected_total(), 0, "{:?}", line.tally.rejected);
    assert!(!line.samples.is_empty() && !line.words.0.is_empty());
}
