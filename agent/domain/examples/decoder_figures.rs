//! Measures the decoders on one core: `cargo run --release -p domain --example decoder_figures`. Prints
//! one line per decoder: sentences, frames or messages per second, megabytes per second, and samples.
//! Streams are fed in pieces of 4096 bytes, as the sources read them; every report must be read, or there
//! are no figures.
#![allow(clippy::print_stdout, reason = "figures are what it is for")]
#![allow(clippy::disallowed_methods, reason = "it measures time")]
#![allow(clippy::unwrap_used, reason = "what is not read is not measured")]

use std::collections::BTreeMap;
use std::fmt::Write;
use std::time::Instant;

use domain::decode::gnss::Gnss;
use domain::decode::gpsd::Gpsd;
use domain::decode::jt808::Link;
use domain::decode::lorawan::chirpstack::ChirpStack;
use domain::decode::nmea::Nmea;
use domain::decode::node_link::NodeLink;
use domain::decode::{Decode, Raw};
use domain::ids::SourceName;
use domain::time::{Span, Utc};
use wire::{Bin, Body, Distance, FRAME_MAX, Frame, Header, Measured, Report, Temperature, Up};

/// Reports per decoder.
const REPORTS: u32 = 300_000;

/// What a serial source reads at once.
const PIECE: usize = 4096;

/// A location report of a terminal (0x0200, the layout of 2013), as open implementations publish it.
const LOCATION: &str = "7E02000026123456789012007D02000000010000000200BA7F0E07E4F11C0028003C0000\
                        1810151010100104000000640202007D01137E";

const EUI: &str = "24e124713b000001";

fn main() {
    let source = || SourceName::new("s").unwrap();
    let sentences = sentences();
    stream("nmea", Nmea::new(source()), sentences.as_bytes(), REPORTS.into());
    stream("gnss, NMEA", Gnss::new(source()), sentences.as_bytes(), REPORTS.into());
    stream("gnss, UBX", Gnss::new(source()), &solutions(), REPORTS.into());
    stream("gpsd", Gpsd::new(source()), reports().as_bytes(), REPORTS.into());
    stream("node-link", NodeLink::new(source()), &frames(), REPORTS.into());
    stream("jt808", Link::new(source()), &locations(), REPORTS.into());
    messages("chirpstack", ChirpStack::new(source(), BTreeMap::new()), &uplinks());
}

/// When report `n` is of: every second from the morning of 4 June 2026 on.
fn moment(n: u32) -> String {
    (Utc::from_ms(1_780_545_600_000) + Span::from_secs(n.into())).to_string()
}

/// RMC and GGA of every second.
fn sentences() -> String {
    let mut text = String::new();
    for n in 0..REPORTS {
        let at = moment(n);
        let (day, time) = at.split_once('T').unwrap();
        let time = time[..8].replace(':', "");
        let day = format!("{}{}{}", &day[8..10], &day[5..7], &day[2..4]);
        for body in [
            format!("GNRMC,{time}.00,A,3148.6000,N,11958.4400,E,5.0,90.0,{day},,,A"),
            format!("GNGGA,{time}.00,3148.6000,N,11958.4400,E,1,09,1.0,5.0,M,,M,,"),
        ] {
            let sum = body.bytes().fold(0, |sum, byte| sum ^ byte);
            write!(text, "${body}*{sum:02X}\r\n").unwrap();
        }
    }
    text
}

/// NAV-PVT of every second.
fn solutions() -> Vec<u8> {
    let mut stream = Vec::new();
    for n in 0..REPORTS {
        let at = moment(n);
        let part = |from: usize| at[from..from + 2].parse::<u8>().unwrap();
        let mut payload = [0; 92];
        let clock = [part(5), part(8), part(11), part(14), part(17), 0b0111];
        payload[4..6].copy_from_slice(&2026_u16.to_le_bytes());
        payload[6..12].copy_from_slice(&clock);
        payload[20..24].copy_from_slice(&[3, 1, 0, 14]);
        payload[24..28].copy_from_slice(&1_199_740_000_i32.to_le_bytes());
        payload[28..32].copy_from_slice(&318_100_000_i32.to_le_bytes());
        let frame = [&[0x01, 0x07, 92, 0], &payload[..]].concat();
        let (a, b) = frame.iter().fold((0_u8, 0_u8), |(a, b), byte| {
            let a = a.wrapping_add(*byte);
            (a, b.wrapping_add(a))
        });
        stream.extend([&[0xb5, 0x62], &frame[..], &[a, b]].concat());
    }
    stream
}

/// Position reports of gpsd.
fn reports() -> String {
    let report = |n| {
        format!(
            "{{\"class\":\"TPV\",\"device\":\"/dev/ttyS0\",\"mode\":3,\"time\":\"{}\",\"lat\":31.81,\
             \"lon\":119.974,\"alt\":5.0,\"track\":90.0,\"speed\":2.572,\"eph\":4.1}}\n",
            moment(n)
        )
    };
    (0..REPORTS).map(report).collect()
}

/// Reports of a hundred bin nodes.
fn frames() -> Vec<u8> {
    let mut stream = Vec::new();
    for n in 0..REPORTS {
        let measured = Measured::Bin(Bin {
            distance: Distance::Millimetres(1100),
            tilted: Some(false),
            lid_open: Some(false),
            fire: Some(false),
            temperature: Temperature::MilliCelsius(21_000),
        });
        let header = Header { node: n % 100, counter: n / 100, uptime_s: n };
        let body = Body::Up(Up::Report(Report { age_s: 0, measured }));
        stream.extend(Frame { header, body }.encode(&mut [0; FRAME_MAX]).unwrap());
    }
    stream
}

fn locations() -> Vec<u8> {
    let digits = LOCATION.as_bytes().chunks(2);
    let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap();
    let frame: Vec<u8> = digits.map(byte).collect();
    frame.repeat(REPORTS as usize)
}

/// Events of an EM310-UDL.
fn uplinks() -> Vec<String> {
    let uplink = |n| {
        format!(
            "{{\"deduplicationId\":\"00000000-0000-0000-0000-{n:012}\",\"time\":\"{}\",\
             \"deviceInfo\":{{\"devEui\":\"{EUI}\",\"deviceProfileName\":\"Milesight EM310-UDL\"}},\
             \"devAddr\":\"01dfbaf2\",\"fCnt\":{n},\"fPort\":85,\"data\":\"AXVcA4JECAQAAA==\"}}",
            moment(n)
        )
    };
    (0..REPORTS).map(uplink).collect()
}

fn stream(name: &str, mut decoder: impl Decode, bytes: &[u8], expected: u64) {
    let mut samples = Vec::new();
    let begin = Instant::now();
    for piece in bytes.chunks(PIECE) {
        samples.clear();
        decoder.feed(Raw::Bytes(piece), Utc::from_ms(1_780_545_600_000), &mut samples);
    }
    decoder.finish(&mut samples);
    let seconds = begin.elapsed().as_secs_f64();
    tell(name, &decoder, seconds, expected);
}

fn messages(name: &str, mut decoder: impl Decode, payloads: &[String]) {
    let mut samples = Vec::new();
    let topic = format!("application/7/device/{EUI}/event/up");
    let begin = Instant::now();
    for payload in payloads {
        samples.clear();
        let raw = Raw::Mqtt { topic: &topic, payload: payload.as_bytes() };
        decoder.feed(raw, Utc::from_ms(1_780_545_600_000), &mut samples);
    }
    let seconds = begin.elapsed().as_secs_f64();
    tell(name, &decoder, seconds, payloads.len() as u64);
}

fn tell(name: &str, decoder: &impl Decode, seconds: f64, expected: u64) {
    let tally = decoder.tally();
    assert_eq!(tally.samples, expected, "{name}: {tally:?}");
    let per_second = |count: u64| count as f64 / seconds;
    let (frames, megabytes) = (per_second(tally.frames), per_second(tally.bytes) / 1e6);
    println!(
        "{name:<12} {frames:>10.0} frames/s {megabytes:>7.1} MB/s {:>8} samples",
        tally.samples
    );
}
