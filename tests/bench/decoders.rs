//! How fast the decoders are on one core, and how often they ask for memory; and the whole way in, from
//! bytes to a decision.
//!
//! Streams are fed in pieces of 4096 bytes, as the sources read them; every report must be read, or there
//! are no figures.

use std::alloc::System;
use std::collections::BTreeMap;
use std::fmt::Write;
use std::time::Instant;

use domain::Engine;
use domain::decode::can::{BitOrder, Bits, Can, Selector, Signal, SignalMap};
use domain::decode::gnss::Gnss;
use domain::decode::gpsd::Gpsd;
use domain::decode::jt808::Link;
use domain::decode::lorawan::chirpstack::ChirpStack;
use domain::decode::measure::{Measure, Scaling};
use domain::decode::modbus::listen::Listener;
use domain::decode::modbus::{Encoding, Register, RegisterMap, Table as Registers, rtu};
use domain::decode::nmea::Nmea;
use domain::decode::node_link::NodeLink;
use domain::decode::{Decode, Raw};
use domain::ids::{DeviceKey, SourceName};
use domain::input::Input;
use domain::time::{Boot, ClockQuality, Moment, Monotonic, Span, Utc};
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};
use wire::{Bin, Body, Distance, FRAME_MAX, Frame, Header, Measured, Report, Temperature, Up};

use crate::table::Table;

#[global_allocator]
static ALLOCATIONS: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// Reports per decoder.
const REPORTS: u32 = 300_000;
/// What the pure decoders are meant to reach, in sentences or frames a second.
const WANTED: f64 = 1_000_000.0;
/// What a serial source reads at once.
const PIECE: usize = 4096;

/// A location report of a terminal (0x0200, the layout of 2013), as open implementations publish it.
const LOCATION: &str = "7E02000026123456789012007D02000000010000000200BA7F0E07E4F11C0028003C0000\
                        1810151010100104000000640202007D01137E";

const EUI: &str = "24e124713b000001";

pub(crate) fn rows(table: &mut Table) {
    let source = || SourceName::new("s").unwrap();
    let reports = u64::from(REPORTS);
    let text = sentences();
    let nodes = frames();
    stream(table, "NMEA", Nmea::new(source()), text.as_bytes(), reports, Some(WANTED));
    stream(table, "GNSS, NMEA", Gnss::new(source()), text.as_bytes(), reports, Some(WANTED));
    stream(table, "GNSS, UBX", Gnss::new(source()), &solutions(), reports, Some(WANTED));
    stream(table, "node link", NodeLink::new(source()), &nodes, reports, Some(WANTED));
    stream(table, "JT/T 808", Link::new(source()), &locations(), reports, None);
    stream(table, "Modbus line", listener(), &exchanges(), reports, None);
    stream(table, "CAN, candump", can(), bus().as_bytes(), reports, None);
    stream(table, "gpsd", Gpsd::new(source()), self::reports().as_bytes(), reports, None);
    messages(table, "ChirpStack", ChirpStack::new(source(), BTreeMap::new()), &uplinks());
    way_in(table, &nodes);
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

/// Questions and answers of a level sensor.
fn exchanges() -> Vec<u8> {
    let question = rtu::frame(1, &[3, 1, 0, 0, 1]);
    let exchange = |n: u32| {
        let [.., high, low] = (n % 7000).to_be_bytes();
        [question.clone(), rtu::frame(1, &[3, 2, high, low])].concat()
    };
    (0..REPORTS).flat_map(exchange).collect()
}

fn listener() -> Listener {
    let scaling = Scaling::new(Measure::Distance);
    let register = Register::new(Registers::Holding, 0x100, Encoding::U16, scaling).unwrap();
    let map = RegisterMap::new(vec![register]).unwrap();
    let device = DeviceKey::new("well-3").unwrap();
    Listener::new(SourceName::new("s").unwrap(), [(1, (device, map))].into())
}

/// Wheel speed once a second, as candump writes it.
fn bus() -> String {
    let line = |n| format!("({}.000000) can0 18FEF100#FF00240000000000\n", 1_780_545_600 + n);
    (0..REPORTS).map(line).collect()
}

fn can() -> Can {
    let scaling = Scaling::new(Measure::Speed).with_scale(1.0 / 256.0, 0.0).unwrap();
    let selector = Selector::Pgn { pgn: 0xfef1, source_address: None };
    let bits = Bits::new(8, 16, BitOrder::Intel).unwrap();
    let signal = Signal::new(selector, bits, scaling).unwrap();
    Can::new(SourceName::new("s").unwrap(), SignalMap::new(vec![signal]).unwrap())
}

/// A stream, and what came of it.
fn stream(
    table: &mut Table,
    name: &str,
    mut decoder: impl Decode,
    bytes: &[u8],
    expected: u64,
    wanted: Option<f64>,
) {
    // Room for what one piece gives, as a source keeps it.
    let mut samples = Vec::with_capacity(PIECE);
    let region = Region::new(ALLOCATIONS);
    let begin = Instant::now();
    for piece in bytes.chunks(PIECE) {
        samples.clear();
        decoder.feed(Raw::Bytes(piece), Utc::from_ms(1_780_545_600_000), &mut samples);
    }
    decoder.finish(&mut samples);
    let seconds = begin.elapsed().as_secs_f64();
    tell(table, name, &decoder, seconds, region.change().allocations, expected, wanted);
}

fn messages(table: &mut Table, name: &str, mut decoder: impl Decode, payloads: &[String]) {
    let mut samples = Vec::new();
    let topic = format!("application/7/device/{EUI}/event/up");
    let region = Region::new(ALLOCATIONS);
    let begin = Instant::now();
    for payload in payloads {
        samples.clear();
        let raw = Raw::Mqtt { topic: &topic, payload: payload.as_bytes() };
        decoder.feed(raw, Utc::from_ms(1_780_545_600_000), &mut samples);
    }
    let seconds = begin.elapsed().as_secs_f64();
    let allocations = region.change().allocations;
    tell(table, name, &decoder, seconds, allocations, payloads.len() as u64, None);
}

fn tell(
    table: &mut Table,
    name: &str,
    decoder: &impl Decode,
    seconds: f64,
    allocations: usize,
    expected: u64,
    wanted: Option<f64>,
) {
    let tally = decoder.tally();
    assert_eq!(tally.samples, expected, "{name}: {tally:?}");
    let per_second = tally.frames as f64 / seconds;
    let row = table.row(format!("{name}, frames"), per_second, "frames/s");
    row.how(format!("one core, pieces of {PIECE} bytes, {} frames", tally.frames));
    if let Some(wanted) = wanted {
        row.at_least(wanted);
    }
    let each = allocations as f64 / tally.frames as f64;
    table.row(format!("{name}, allocations"), each, "per frame").how("counted by the allocator");
}

/// From the bytes of a line to what the engine decides, for the bins of the reference configuration.
fn way_in(table: &mut Table, bytes: &[u8]) {
    let file = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../config/steward.toml");
    let site = steward::config::load(&file).unwrap().config.site;
    let now = |n: u64| Moment {
        boot: Boot(1),
        monotonic: Monotonic::from_ms(n * 100),
        utc: Utc::from_ms(1_780_545_600_000) + Span::from_ms(n * 100),
        clock: ClockQuality::Ntp,
    };
    let mut engine = Engine::new(site, vec![], now(0));
    let mut decoder = NodeLink::new(SourceName::new("nodes").unwrap());
    let (mut samples, mut count, mut decided) = (Vec::new(), 0_u64, 0_usize);
    let begin = Instant::now();
    for piece in bytes.chunks(PIECE) {
        decoder.feed(Raw::Bytes(piece), now(count).utc, &mut samples);
        for sample in samples.drain(..) {
            count += 1;
            let out = engine.step(Input::Sample(sample), now(count));
            decided += out.messages.len() + out.rejected.len();
        }
    }
    let per_second = count as f64 / begin.elapsed().as_secs_f64();
    assert!(decided > 0);
    table
        .row("node link, the whole way in", per_second, "reports/s")
        .how("bytes, frames, samples, decisions; one core, no disk");
}
