use proptest::prelude::*;

use super::*;
use crate::decode::can::{BitOrder, Bits, Selector, Signal};
use crate::decode::measure::{Measure, Scaling};
use crate::place::{Datum, Position};
use crate::sample::{Absent, Fix, Missing, NoData};
use crate::units::{CentiDegrees, Metres, Millilitres, MillimetresPerSecond};

// Frames that were published with open implementations; the two marked so are of real terminals.

const ESCAPED: &str = "7E02000026123456789012007D02000000010000000200BA7F0E07E4F11C0028003C0000\
    1810151010100104000000640202007D01137E";
const ALARMED: &str = "7E0200002611223344556622B8000000010000000200BA7F0E07E4F11C0028003C000018\
    071510101001040000006402020037577E";
const BATCH: &str = "7E0704005311223344556622B80002000026000000010000000200BA7F0E07E4F11C0028003C\
    0000180715101010010400000064020200370026000000020000000100CB735507E6A32300290036007818071510\
    103001040000006002020042D47E";
const REGISTER: &str = "7E0100002D000123456789000A002800323132333400736D616C6C6368693132330000\
    000000000000004348493132330001D4C14131323334358A7E";
const NO_PLACE: &str = "7e0200407c0100000000017299841738ffff000004000000080006eeb6ad02633df70138\
    0003006320070719235901040000000b02020016030200210402002c051e37373700000000000000000000000000\
    00000000000000000000000000001105420000004212064d0000004d4d1307000000580058582504000000632a02\
    000a2b040000001430011e310128637e";
/// Of a real terminal: the flag of 2019 with the layout of 2013, and cells in field 0x05.
const REAL: &str = "7e0200406c010030000681090e00000000000c0003026c936f074c794c0004036300d7210625\
    155739010400000000052801cc00210625155739054145bbc91e4145a2fa1141450000004145bbc8194145a1370a\
    4145000000240200002a0200002b04000000003001153101125f0a89860418231870850620757e";
/// Of the same terminal.
const REAL_AUTHENTICATION: &str = "7E0102400C01003000068109024A3130303330303030363831857E";

fn hex(text: &str) -> Vec<u8> {
    let pair = |at| u8::from_str_radix(&text[at..at + 2], 16).unwrap();
    (0..text.len()).step_by(2).map(pair).collect()
}

fn link() -> Link {
    Link::new(SourceName::new("fleet").unwrap())
}

fn read(mut link: Link, pieces: &[&[u8]]) -> (Vec<Sample>, Vec<Call>, Tally) {
    let mut samples = Vec::new();
    for piece in pieces {
        link.feed(Raw::Bytes(piece), Utc::from_ms(0), &mut samples);
    }
    link.finish(&mut samples);
    let calls = link.take_calls();
    assert_eq!(calls.iter().map(|call| call.samples).sum::<usize>(), samples.len());
    (samples, calls, link.tally().clone())
}

fn read_one(text: &str) -> (Vec<Sample>, Vec<Call>, Tally) {
    read(link(), &[&hex(text)])
}

fn device(text: &str) -> Option<DeviceKey> {
    Some(DeviceKey::new(text).unwrap())
}

/// What a located golden report says of the vehicle, and its fix.
fn quantities(
    lat: f64,
    lon: f64,
    motion: (u32, Option<u16>),
    way: u64,
    fuel: u32,
) -> Vec<Quantity> {
    vec![
        Quantity::Ignition(false),
        Quantity::Odometer(Metres(way)),
        Quantity::FuelVolume(Millilitres(fuel)),
        Quantity::Fix(Fix {
            position: Position::from_degrees(lat, lon, Datum::Wgs84).unwrap(),
            speed: Some(MillimetresPerSecond(motion.0)),
            course: motion.1.map(CentiDegrees),
            accuracy: None,
            satellites: None,
        }),
    ]
}

#[test]
fn golden_locations() {
    for (frame, phone, serial, time, fuel) in [
        (ESCAPED, "123456789012", 126, "2018-10-15T10:10:10+08:00", 12_500),
        (ALARMED, "112233445566", 8888, "2018-07-15T10:10:10+08:00", 5500),
    ] {
        let (samples, calls, tally) = read_one(frame);
        let expected = Sample {
            source: SourceName::new("fleet").unwrap(),
            device: device(phone),
            counter: Some(serial),
            at: Some(Utc::parse(time).unwrap()),
            quantities: quantities(12.222_222, 132.444_444, (1667, Some(0)), 10_000, fuel),
        };
        assert_eq!(samples, [expected]);
        assert_eq!(calls[0].said, Said::Reports);
        assert_eq!((calls[0].message, u32::from(calls[0].serial)), (0x0200, serial));
        assert_eq!((tally.frames, tally.samples, tally.rejected_total()), (1, 1, 0));
    }
}

#[test]
fn golden_batch_with_an_item_that_is_not_located() {
    let (samples, calls, tally) = read_one(BATCH);
    assert_eq!((calls.len(), calls[0].samples, tally.rejected_total()), (1, 2, 0));
    assert!(samples.iter().all(|sample| sample.device == device("112233445566")));
    let located = quantities(12.222_222, 132.444_444, (1667, Some(0)), 10_000, 5500);
    assert_eq!(samples[0].quantities, located);
    assert_eq!(samples[0].at, Utc::parse("2018-07-15T10:10:10+08:00").ok());
    // Its position is there to be read, and is not believed.
    let not_located = [
        Quantity::Ignition(true),
        Quantity::Odometer(Metres(9600)),
        Quantity::FuelVolume(Millilitres(6600)),
        Quantity::Absent(Absent { what: Missing::Fix, why: NoData::NoFix }),
    ];
    assert_eq!(samples[1].quantities, not_located);
    assert_eq!(samples[1].at, Utc::parse("2018-07-15T10:10:30+08:00").ok());
    assert_eq!(samples[0].counter, Some(1 << 16 | 8888));
    assert_eq!(samples[1].counter, Some(2 << 16 | 8888), "each item has its own");
}

#[test]
fn golden_registration() {
    let (samples, calls, _) = read_one(REGISTER);
    assert_eq!(samples, []);
    let Said::Registers(registration) = &calls[0].said else { panic!("{calls:?}") };
    assert_eq!((registration.province, registration.city), (40, 50));
    assert_eq!((&*registration.maker, &*registration.model), ("1234", "smallchi123"));
    assert_eq!((&*registration.id, registration.plate_colour), ("CHI123", 1));
    // 粤A12345 in GBK.
    assert_eq!(registration.plate.bytes(), b"\xd4\xc1A12345");
    assert_eq!(calls[0].terminal.device().as_str(), "123456789");
}

#[test]
fn a_latitude_that_cannot_be_is_refused() {
    let (samples, calls, tally) = read_one(NO_PLACE);
    assert_eq!(samples, []);
    assert_eq!(tally.rejected.into_iter().collect::<Vec<_>>(), [(Reason::OutOfRange, 1)]);
    assert_eq!(calls[0].said, Said::Refused(Reason::OutOfRange));
    assert_eq!(calls[0].terminal.device().as_str(), "17299841738");
    assert_eq!(calls[0].terminal.layout(), Layout::Of2019(1));
}

#[test]
fn the_flag_of_2019_with_the_layout_of_2013_and_a_field_with_another_meaning() {
    let (samples, calls, tally) = read_one(&[REAL, REAL_AUTHENTICATION].concat());
    let fix = Fix {
        position: Position::from_degrees(40.670_063, 122.452_3, Datum::Wgs84).unwrap(),
        speed: Some(MillimetresPerSecond(24_083)),
        course: Some(CentiDegrees(21_500)),
        accuracy: None,
        satellites: Some(18),
    };
    let expected = [Quantity::Ignition(true), Quantity::Odometer(Metres(0)), Quantity::Fix(fix)];
    assert_eq!(samples[0].quantities, expected);
    assert_eq!(samples[0].at, Utc::parse("2021-06-25T15:57:39+08:00").ok());
    assert_eq!((&samples[0].device, samples[0].counter), (&device("10030000681"), Some(0x090e)));
    assert_eq!(tally.rejected_total(), 0);
    let Said::Authenticates(authentication) = &calls[1].said else { panic!("{calls:?}") };
    assert_eq!(authentication.code.bytes(), b"J10030000681");
    assert_eq!(calls[0].terminal, calls[1].terminal);
    // It is answered in the layout that it speaks.
    let answer = calls[1].terminal.general_response(1, 0x0102, 0x0902, Outcome::Done);
    let start = hex("7e80010005010030000681000109020102");
    assert_eq!(answer[..start.len()], start);
    let (mut samples, mut back) = (Vec::new(), link());
    back.feed(Raw::Bytes(&answer), Utc::from_ms(0), &mut samples);
    assert_eq!(back.take_calls()[0].terminal.layout(), Layout::Of2013);
}

#[test]
fn a_wrong_check_byte_gives_nothing() {
    let mut bytes = hex(ESCAPED);
    let check = bytes.len() - 2;
    bytes[check] ^= 1;
    let (samples, calls, tally) = read(link(), &[&bytes]);
    assert_eq!((samples.len(), calls.len()), (0, 0));
    assert_eq!(tally.rejected.into_iter().collect::<Vec<_>>(), [(Reason::Checksum, 1)]);
}

/// A frame of a terminal with phone 13912345678 in the layout of 2013.
fn framed(message: u16, properties: u16, serial: u16, parts: &[u8], body: &[u8]) -> Vec<u8> {
    let length = u16::try_from(body.len()).unwrap();
    let phone = [0x01, 0x39, 0x12, 0x34, 0x56, 0x78];
    let numbers = [message.to_be_bytes(), (properties | length).to_be_bytes()].concat();
    frame::frame(&[&numbers[..], &phone, &serial.to_be_bytes(), parts, body].concat())
}

fn location_body(time: [u8; 6], fields: &[u8]) -> Vec<u8> {
    let numbers = [0, 2_u32, 31_811_000, 119_974_000].map(u32::to_be_bytes).concat();
    [&numbers[..], &[0; 6], &time, fields].concat()
}

const NOON: [u8; 6] = [0x26, 0x06, 0x04, 0x12, 0x00, 0x00];

#[test]
fn a_time_that_cannot_be_is_counted_and_left_out() {
    for time in [[0; 6], [0x00, 0x01, 0x01, 0, 0, 0], [0x26, 0x02, 0x30, 0, 0, 0], [0xff; 6]] {
        let bytes = framed(0x0200, 0, 1, &[], &location_body(time, &[]));
        let (samples, _, tally) = read(link(), &[&bytes]);
        assert_eq!((samples.len(), samples[0].at), (1, None), "{time:?}");
        assert_eq!(tally.rejected[&Reason::Time], 1);
    }
    let floor = Utc::parse("2026-07-01T00:00:00Z").unwrap();
    let bytes = framed(0x0200, 0, 1, &[], &location_body(NOON, &[]));
    let (samples, _, tally) = read(link().with_date_floor(floor), &[&bytes]);
    assert_eq!((samples[0].at, tally.rejected[&Reason::Time]), (None, 1));
}

#[test]
fn damage_behind_the_position_is_counted() {
    let bytes = framed(0x0200, 0, 1, &[], &location_body(NOON, &[0x01, 4, 0]));
    let (samples, calls, tally) = read(link(), &[&bytes]);
    assert_eq!((samples.len(), &calls[0].said), (1, &Said::Reports));
    assert_eq!(tally.rejected.into_iter().collect::<Vec<_>>(), [(Reason::Truncated, 1)]);
}

#[test]
fn each_terminal_may_be_wired_in_its_own_way() {
    let bytes = framed(0x0200, 0, 1, &[], &location_body(NOON, &[0x2a, 2, 0, 0x08]));
    let io = |bit, active| WorkingSignal::new(SignalField::Io, bit, active).unwrap();
    let works = |link: Link| match read(link, &[&bytes]).0[0].quantities[0] {
        Quantity::Working(yes) => Some(yes),
        _ => None,
    };
    assert_eq!(works(link()), None);
    assert_eq!(works(link().with_working(io(3, true))), Some(true));
    let own = link().with_working(io(3, true));
    let key = device("13912345678").unwrap();
    assert_eq!(works(own.clone().with_terminal(key, io(3, false))), Some(false));
    let other = device("13900000000").unwrap();
    assert_eq!(works(own.with_terminal(other, io(3, false))), Some(true));
}

#[test]
fn every_message_that_wants_an_answer_is_a_call() {
    for (message, body, said) in [
        (0x0002, &[][..], Said::Heartbeat),
        (0x0003, &[], Said::LogsOut),
        (0x0004, &[], Said::AsksTime),
        (
            0x0001,
            &[0, 7, 0x81, 0, 3],
            Said::Responds(Response { serial: 7, message: 0x8100, result: 3 }),
        ),
        (0x0001, &[0, 7], Said::Refused(Reason::Truncated)),
        (0x0200, &[0; 27], Said::Refused(Reason::Truncated)),
        (0x0704, &[0], Said::Refused(Reason::Truncated)),
        (0x0800, &[1, 2, 3], Said::Other),
    ] {
        let bytes = framed(message, 0, 43, &[], body);
        let (samples, calls, tally) = read(link(), &[&bytes]);
        assert_eq!(samples, []);
        assert_eq!((calls.len(), calls[0].message, calls[0].serial), (1, message, 43));
        assert_eq!(calls[0].said, said, "{message:04x}");
        let refused = matches!(said, Said::Refused(_));
        assert_eq!((tally.frames, tally.rejected_total()), (1, u64::from(refused)));
    }
    let bytes = framed(0x0200, 0x0400, 1, &[], &location_body(NOON, &[]));
    let (samples, calls, _) = read(link(), &[&bytes]);
    assert_eq!((samples.len(), &calls[0].said), (0, &Said::Refused(Reason::Codec)));
}

#[test]
fn a_message_in_parts_is_put_together() {
    let body = [&[0, 1, 0, 0, 28][..], &location_body(NOON, &[])].concat();
    let part = |index: u8, range: std::ops::Range<usize>| {
        framed(0x0704, 0x2000, 10 + u16::from(index), &[0, 3, 0, index], &body[range])
    };
    let (one, two, three) = (part(1, 0..10), part(2, 10..20), part(3, 20..33));
    let (samples, calls, tally) = read(link(), &[&one, &three, &two]);
    assert_eq!((samples.len(), tally.rejected_total(), tally.frames), (1, 0, 3));
    let said: Vec<_> = calls.iter().map(|call| (call.serial, call.said.clone())).collect();
    assert_eq!(said, [(11, Said::Part), (13, Said::Part), (12, Said::Reports)]);
    assert_eq!(calls[2].samples, 1);
    // A part that never comes is counted when the connection ends.
    let (samples, _, tally) = read(link(), &[&one, &two]);
    assert_eq!((samples.len(), tally.rejected[&Reason::Truncated]), (0, 1));
    let many = framed(0x0704, 0x2000, 1, &[1, 0, 0, 1], &[0]);
    let (_, calls, _) = read(link(), &[&many]);
    assert_eq!(calls[0].said, Said::Refused(Reason::TooLong));
    // A picture in many parts is not kept.
    let picture = framed(0x0801, 0x2000, 1, &[1, 0, 0, 1], &[0]);
    let (_, calls, tally) = read(link(), &[&picture]);
    assert_eq!((&calls[0].said, tally.rejected_total()), (&Said::Part, 0));
}

#[test]
fn more_parts_under_way_than_there_is_room_for_are_counted() {
    let first = |serial: u16| framed(0x0704, 0x2000, serial, &[0, 2, 0, 1], &[0]);
    let frames: Vec<Vec<u8>> = (0..6).map(|i| first(i * 10)).collect();
    let (_, _, tally) = read(link(), &[&frames.concat()]);
    assert_eq!(tally.rejected.into_iter().collect::<Vec<_>>(), [(Reason::Truncated, 6)]);
}

#[test]
fn frames_of_the_bus_are_read_by_the_map() {
    let scaling = Scaling::new(Measure::Speed).with_scale(1.0 / 256.0, 0.0).unwrap();
    let speed = Selector::Pgn { pgn: 0xfef1, source_address: None };
    let bits = Bits::new(8, 16, BitOrder::Intel).unwrap();
    let map = SignalMap::new(vec![Signal::new(speed, bits, scaling).unwrap()]).unwrap();
    let item =
        |id: u32, speed: [u8; 2]| [&id.to_be_bytes()[..], &[0xff], &speed, &[0xff; 5]].concat();
    let body = [
        &[0, 3, 0x12, 0, 0, 0, 0][..],
        &item(0x58fe_f100, [0, 0x24]),
        &item(0x0000_0521, [0, 0x24]),
        &item(0x58fe_f100, [0xff, 0xff]),
    ]
    .concat();
    let bytes = framed(0x0705, 0, 5, &[], &body);
    let mut mapped = link().with_bus(map);
    let mut samples = Vec::new();
    mapped.feed(Raw::Bytes(&bytes), Utc::from_ms(0), &mut samples);
    assert_eq!(samples.len(), 1);
    assert_eq!(samples[0].quantities, [Quantity::Speed(MillimetresPerSecond(10_000))]);
    assert_eq!((samples[0].counter, samples[0].at), (Some(1 << 16 | 5), None));
    assert_eq!(mapped.not_available(), 1);
    let (samples, calls, _) = read(link(), &[&bytes]);
    assert_eq!((samples.len(), &calls[0].said), (0, &Said::Reports));
}

#[test]
fn calls_that_nobody_takes_are_bounded_and_counted() {
    let mut link = link();
    let heartbeat = framed(0x0002, 0, 1, &[], &[]);
    for _ in 0..CALLS_MAX + 3 {
        link.feed(Raw::Bytes(&heartbeat), Utc::from_ms(0), &mut Vec::new());
    }
    assert_eq!(link.calls_dropped(), 3);
    assert_eq!(link.take_calls().len(), CALLS_MAX);
    assert_eq!(link.take_calls(), []);
}

#[test]
fn a_message_is_not_a_byte_stream() {
    let mut link = link();
    let message = Raw::Mqtt { topic: "fleet", payload: &hex(ESCAPED) };
    link.feed(message, Utc::from_ms(0), &mut Vec::new());
    assert_eq!(link.tally().rejected[&Reason::Malformed], 1);
}

fn stream() -> impl Strategy<Value = Vec<u8>> {
    let golden = prop_oneof![
        Just(hex(ESCAPED)),
        Just(hex(BATCH)),
        Just(hex(REGISTER)),
        Just(hex(REAL)),
        Just(hex(NO_PLACE)),
    ];
    let own = (
        prop_oneof![Just(0x0200_u16), Just(0x0704), Just(0x0705), Just(0x0100), any::<u16>()],
        prop_oneof![Just(0_u16), Just(0x2000)],
        0..6_u16,
        proptest::collection::vec(any::<u8>(), 4..80),
    )
        .prop_map(|(message, properties, serial, body)| {
            let parts: &[u8] = if properties == 0 { &[] } else { &[0, 2, 0, 1] };
            framed(message, properties, serial, parts, &body)
        });
    let noise =
        proptest::collection::vec(prop_oneof![any::<u8>(), Just(0x7e_u8), Just(0x7d_u8)], 0..80);
    proptest::collection::vec(prop_oneof![golden, own, noise], 0..12)
        .prop_map(|parts| parts.concat())
}

proptest! {
    #[test]
    fn the_cut_changes_nothing(
        stream in stream(),
        cuts in proptest::collection::vec(0..60_usize, 0..40),
    ) {
        let whole = read(link(), &[&stream]);
        let (mut rest, mut pieces) = (&stream[..], Vec::new());
        for cut in cuts {
            let (head, tail) = rest.split_at(cut.min(rest.len()));
            pieces.push(head);
            rest = tail;
        }
        pieces.push(rest);
        prop_assert_eq!(&read(link(), &pieces), &whole);
        let single: Vec<&[u8]> = stream.chunks(1).collect();
        prop_assert_eq!(&read(link(), &single), &whole);
    }

    #[test]
    fn noise_never_panics_and_is_never_a_sample(
        noise in proptest::collection::vec(prop_oneof![any::<u8>(), Just(0x7e_u8)], 0..3000),
    ) {
        let (samples, _, tally) = read(link(), &[&noise]);
        prop_assert_eq!(tally.bytes, noise.len() as u64);
        prop_assert!(tally.frames > 0 || samples.is_empty());
    }

    #[test]
    fn a_damaged_frame_gives_no_sample(at in any::<prop::sample::Index>(), flip in 1..=255_u8) {
        let mut bytes = hex(ALARMED);
        let at = at.index(bytes.len());
        bytes[at] ^= flip;
        let (samples, ..) = read(link(), &[&bytes]);
        prop_assert_eq!(samples, vec![]);
    }
}
