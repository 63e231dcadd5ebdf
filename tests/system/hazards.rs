//! Mistakes that codecs, platforms and papers of this field really made: one test each, so that none of
//! them comes back. Each says what was wrong where.

use domain::Engine;
use domain::decode::json::{Mapping, RuleText};
use domain::decode::jt808::Link;
use domain::decode::lorawan::{Codec, decode};
use domain::decode::{Decode, Raw, Reason};
use domain::ids::{DeviceKey, SourceName};
use domain::input::Input;
use domain::output::{Body, Topic};
use domain::place::{Datum, Position};
use domain::sample::{Missing, NoData, Quantity, Sample};
use domain::sweeping::{Coverage, Layout, Path, Plan, Side, Step, Window};
use domain::time::{Boot, ClockQuality, Moment, Monotonic, Span, Utc};
use domain::units::{Millimetres, Permille};
use serde_json::json;

fn bytes(hex: &str) -> Vec<u8> {
    let digits: Vec<char> = hex.chars().filter(|c| !c.is_whitespace()).collect();
    let pair = |pair: &[char]| u8::from_str_radix(&pair.iter().collect::<String>(), 16).unwrap();
    digits.chunks(2).map(pair).collect()
}

fn read(codec: Codec, port: u8, hex: &str) -> Result<Vec<Quantity>, Reason> {
    decode(codec, port, &bytes(hex))
}

fn absent(what: Missing, quantities: &[Quantity]) -> Option<NoData> {
    quantities.iter().find_map(|quantity| match quantity {
        Quantity::Absent(absent) if absent.what == what => Some(absent.why),
        _ => None,
    })
}

fn place(quantities: &[Quantity]) -> Option<Position> {
    quantities.iter().find_map(|quantity| match quantity {
        Quantity::Fix(fix) => Some(fix.position),
        _ => None,
    })
}

/// Two generations of one codec read the same byte with its bits the other way round.
#[test]
fn hazard_01_the_generation_of_an_nwave_codec_is_pinned() {
    let minutes = |codec| {
        let quantities = read(codec, 1, "95").unwrap();
        assert!(quantities.contains(&Quantity::Occupied(true)));
        quantities.iter().find_map(|quantity| match quantity {
            Quantity::PreviousState { lasted, .. } => Some(lasted.as_secs() / 60),
            _ => None,
        })
    };
    assert_eq!(minutes(Codec::NwaveNps405), Some(74));
    assert_eq!(minutes(Codec::NwaveNps405V1), Some(21));
    assert_eq!(Codec::infer("NPS405", 1), None, "nobody can tell them apart");
}

/// The manual says longitude first, the device sends latitude first; its history has it the other way.
#[test]
fn hazard_02_a_milesight_position_is_latitude_first_and_its_history_is_no_position() {
    let there = Position::from_degrees(24.624_95, 118.030_576, Datum::Wgs84).unwrap();
    let live = read(Codec::MilesightAt101, 85, "0488 36BF7701 F0000907 22").unwrap();
    assert!(place(&live).unwrap().distance_m(there).unwrap() < 1.0);
    let swapped = read(Codec::MilesightAt101, 85, "0488 F0000907 36BF7701 22").unwrap();
    assert_eq!((place(&swapped), absent(Missing::Fix, &swapped)), (None, Some(NoData::OutOfRange)));
    let history = "20CE 00112233 F0000907 36BF7701 000000000000";
    assert_eq!(read(Codec::MilesightAt101, 85, history), Err(Reason::Payload));
}

/// One device gives its temperature in hundredths in one frame and in tenths in another.
#[test]
fn hazard_03_a_dragino_dds75_lb_has_two_scales_of_temperature() {
    let mc = |hex| {
        read(Codec::DraginoDds75Lb, 2, hex).unwrap().iter().find_map(|quantity| match quantity {
            Quantity::Temperature(temperature) => Some(temperature.0),
            _ => None,
        })
    };
    assert_eq!(mc("0D3B 0AEF 00 0105 01"), Some(2_610));
    assert_eq!(mc("1D3B 000000000000 0384 00 0105 01"), Some(26_100));
}

/// The maker's own decoder mixed up its alarms, which are nibbles of two bytes.
#[test]
fn hazard_04_the_alarms_of_a_dingtek_df702_are_nibbles() {
    let alarms = |b11: u8, b12: u8| {
        let hex = format!("8000010111 07D0 00 19 00 00 {b11:02X} {b12:02X} 00 00 00 81");
        let quantities = read(Codec::DingtekDf702, 3, &hex).unwrap();
        let has = |quantity| quantities.contains(&quantity);
        (has(Quantity::Tilted(true)), has(Quantity::Fire(true)))
    };
    assert_eq!(alarms(0x00, 0x00), (false, false));
    assert_eq!(alarms(0x10, 0x01), (false, false), "full, and a low battery");
    assert_eq!(alarms(0x01, 0x00), (false, true));
    assert_eq!(alarms(0x00, 0x10), (true, false));
}

/// The maker's own example gives -117 °C.
#[test]
fn hazard_05_a_temperature_that_cannot_be_is_none() {
    let hex = "80003102 17 06B4 00 00 0161 0010 FFF6 FFF0 8B 2D 00 0100 81";
    let quantities = read(Codec::DingtekDo201, 3, hex).unwrap();
    assert_eq!(absent(Missing::Temperature, &quantities), Some(NoData::OutOfRange));
    assert!(quantities.contains(&Quantity::Distance(Millimetres(1716))));
}

/// A location report, in a frame of 2013 or with the flag of 2019 set by a device that has the header of
/// 2013 all the same.
fn location(status: u32, says_2019: bool, extra: &[u8]) -> Vec<u8> {
    let body = [
        &[0; 4][..],
        &status.to_be_bytes(),
        &31_811_000_u32.to_be_bytes(),
        &119_974_000_u32.to_be_bytes(),
        &[0, 5, 0, 100, 0, 90, 0x26, 6, 4, 0x12, 0, 0],
        extra,
    ]
    .concat();
    let attributes = body.len() as u16 | if says_2019 { 1 << 14 } else { 0 };
    let inside =
        [&[2, 0][..], &attributes.to_be_bytes(), &[1, 0x39, 0x12, 0x34, 0x56, 0x78, 0, 7], &body]
            .concat();
    let sum = inside.iter().fold(0, |sum, byte| sum ^ byte);
    let mut frame = vec![0x7e];
    for byte in inside.into_iter().chain([sum]) {
        match byte {
            0x7e => frame.extend([0x7d, 2]),
            0x7d => frame.extend([0x7d, 1]),
            byte => frame.push(byte),
        }
    }
    frame.push(0x7e);
    frame
}

fn hear(frame: &[u8]) -> Vec<Sample> {
    let mut link = Link::new(SourceName::new("fleet").unwrap());
    let mut samples = Vec::new();
    link.feed(Raw::Bytes(frame), Utc::from_ms(0), &mut samples);
    samples
}

/// Devices set the flag of the 2019 edition and send the header of 2013; others have fields of their own.
#[test]
fn hazard_06_the_edition_of_jt808_is_told_by_the_length_and_strange_fields_are_let_pass() {
    for says_2019 in [false, true] {
        let [sample] = &hear(&location(3, says_2019, &[5, 2, 9, 9]))[..] else { panic!() };
        assert_eq!(sample.device, Some(DeviceKey::new("13912345678").unwrap()), "{says_2019}");
        assert!(place(&sample.quantities).is_some());
        assert_eq!(sample.counter, Some(7));
    }
}

/// A report that says "not located" still carries a position: an old one, or a mast's.
#[test]
fn hazard_07_a_position_of_a_terminal_that_is_not_located_is_none() {
    let [sample] = &hear(&location(1, false, &[]))[..] else { panic!() };
    assert_eq!(place(&sample.quantities), None);
    assert_eq!(absent(Missing::Fix, &sample.quantities), Some(NoData::NoFix));
}

/// One platform gives fullness as 0 to 10, another as a share of one, others in percent.
#[test]
fn hazard_08_every_scale_of_fullness_is_named_and_none_is_guessed() {
    let level = |unit: Option<&str>, scale: Option<f64>, value: f64| {
        let rule = RuleText {
            name: "level".to_owned(),
            pointer: "/f".to_owned(),
            unit: unit.map(str::to_owned),
            scale,
            ..RuleText::default()
        };
        let mapping = Mapping::new(Datum::default(), &[rule]).ok()?;
        mapping.read(&json!({ "f": value })).quantities.pop()
    };
    let sixty = Some(Quantity::Level(Permille::clamped(600)));
    assert_eq!(level(Some("percent"), Some(10.0), 6.0), sixty);
    assert_eq!(level(Some("ratio"), None, 0.6), sixty);
    assert_eq!(level(Some("percent"), None, 60.0), sixty);
    assert_eq!(level(None, None, 60.0), None, "without a unit there is no mapping");
}

/// A coverage that counts what was swept twice as two, and an empty plan as swept.
#[test]
fn hazard_09_coverage_counts_no_overlap_and_an_empty_plan_has_no_percentage() {
    let noon = Utc::parse("2026-06-04T04:00:00Z").unwrap();
    let at = |metres: f64| {
        let east = metres / (111_320.0 * 31.811_f64.to_radians().cos());
        Position::from_degrees(31.811, 119.974 + east, Datum::Wgs84).unwrap()
    };
    let plan = Plan {
        side: Side::Along,
        width_m: 12.0,
        windows: vec![Window::ALWAYS],
        passes: 1,
        zone: jiff::tz::TimeZone::UTC,
    };
    let done = |line: &[Position]| {
        let layout = Layout::new(line, &plan).unwrap();
        let (mut coverage, mut path) = (Coverage::default(), Path::default());
        coverage.open(&layout, &plan, noon);
        // Half of the road, three times.
        for round in 0..3 {
            let mut pieces = vec![];
            for second in 0..=25 {
                let after = Span::from_secs(round * 3600 + second);
                let position = at(second as f64 * 2.0);
                let step = Step { position, at: noon + after, accuracy_mm: None };
                path.take(step, second < 25, &mut pieces);
            }
            pieces.iter().for_each(|piece| {
                coverage.take(&layout, piece);
            });
        }
        coverage.sums(&plan).done_milli_pct()
    };
    let half = done(&[at(0.0), at(100.0)]).unwrap();
    assert!((40_000..=60_000).contains(&half), "{half}");
    assert_eq!(done(&[at(0.0), at(0.0)]), None);
}

/// A route planner that was fed longitude and latitude the wrong way round.
#[test]
fn hazard_10_a_latitude_cannot_be_given_for_a_longitude() {
    assert!(Position::from_degrees(119.974, 31.811, Datum::Wgs84).is_err());
    let text = street(&BIN.replace("31.811, lon = 119.974", "119.974, lon = 31.811"));
    let said = steward::config::load_text("box.toml", &text).unwrap_err().to_string();
    assert!(said.contains("are lat and lon swapped?"), "{said}");
}

const BIN: &str = "[[bin]]\nid = \"bin-21\"\nsource = \"nodes\"\ndevice = 21\n\
    position = { lat = 31.811, lon = 119.974 }\nempty_mm = 1500\nfull_mm = 300\n";

fn street(assets: &str) -> String {
    format!(
        "[box]\nid = \"xj-0412\"\ntenant = \"longcheng\"\nsite = \"xuejia\"\n\
         timezone = \"Asia/Shanghai\"\n[mqtt]\nurl = \"mqtt://127.0.0.1\"\n\
         [[source]]\nname = \"nodes\"\nkind = \"node-link\"\ndevice = \"/dev/null\"\n{assets}"
    )
}

/// Alerts went by one filter of the readings and the picture of the bin by another, so that a bin that
/// was shown as half full had a ticket.
#[test]
fn hazard_11_a_ticket_and_the_picture_of_a_bin_come_from_one_reading() {
    let config = steward::config::load_text("box.toml", &street(BIN)).unwrap().config;
    let start = Utc::parse("2026-06-04T04:00:00Z").unwrap();
    let now = |minute: u64| Moment {
        boot: Boot(1),
        monotonic: Monotonic::from_ms(minute * 60_000),
        utc: start + Span::from_mins(minute),
        clock: ClockQuality::Ntp,
    };
    let mut engine = Engine::new(config.site, vec![], now(0));
    let (mut shown, mut raised) = (String::new(), 0);
    // Half full with wild readings in between, then filling up.
    let walk = (0..400_u64).map(|minute| match minute {
        0..200 if minute % 7 == 3 => 310,
        0..200 => 900,
        _ => 900 - 3 * (minute as u32 - 200),
    });
    for (minute, mm) in walk.enumerate() {
        let sample = Sample {
            source: SourceName::new("nodes").unwrap(),
            device: Some(DeviceKey::new("21").unwrap()),
            counter: Some(minute as u32 + 1),
            at: None,
            quantities: vec![Quantity::Distance(Millimetres(mm))],
        };
        let out = engine.step(Input::Sample(sample), now(minute as u64 + 1));
        for message in &out.messages {
            match (&message.topic, &message.body) {
                (Topic::AssetState(_), Body::Flat(body)) => shown = body["status"].to_string(),
                (Topic::TicketEvent(_), Body::Event { kind, .. }) if kind.ends_with("raised") => {
                    raised += 1;
                    assert_ne!(shown, "\"ok\"", "minute {minute}");
                }
                _ => {}
            }
        }
    }
    assert_eq!(raised, 1, "{shown}");
}

/// The words beside the maker's example say 1.3 V; its own decoder gives 13060 without a unit.
#[test]
fn hazard_12_what_has_no_unit_is_no_voltage() {
    let quantities = read(Codec::NoahTrashbin, 1, "AE 00 04 33 1A 5E").unwrap();
    assert!(quantities.iter().any(|q| matches!(q, Quantity::Level(p) if p.get() == 48)));
    assert!(!quantities.iter().any(|q| matches!(q, Quantity::BatteryVoltage(_))), "{quantities:?}");
}
