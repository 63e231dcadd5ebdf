//! Published JT/T 808 frames with what two other implementations make of them: ours must read the same,
//! and write the same answers.

use domain::decode::can::{BitOrder, Bits, CanId, Selector, Signal, SignalMap};
use domain::decode::jt808::{Call, Layout, Link, Location, Outcome, Refusal, Said};
use domain::decode::measure::{Measure, Scaling};
use domain::decode::{Decode, Raw, Reason, Tally};
use domain::ids::SourceName;
use domain::sample::{Missing, Quantity, Sample};
use domain::time::Utc;
use domain::units::Metres;
use serde_json::Value;
use system_tests::data;

struct Heard {
    bytes: Vec<u8>,
    /// Header and body without escapes and check byte.
    inside: Vec<u8>,
    samples: Vec<Sample>,
    calls: Vec<Call>,
    tally: Tally,
}

pub(crate) fn bytes(hex: &str) -> Vec<u8> {
    let pair = |at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap();
    (0..hex.len()).step_by(2).map(pair).collect()
}

pub(crate) fn link() -> Link {
    // Four bytes of whatever identifier the published bus frames have.
    let id = Selector::Id(CanId::extended(0x0102_0304).unwrap());
    let bits = Bits::new(7, 32, BitOrder::Motorola).unwrap();
    let signal = Signal::new(id, bits, Scaling::new(Measure::Odometer)).unwrap();
    Link::new(SourceName::new("fleet").unwrap()).with_bus(SignalMap::new(vec![signal]).unwrap())
}

fn hear(hex: &str) -> Heard {
    let bytes = bytes(hex);
    let mut runs = [bytes.len(), 1].map(|size| {
        let (mut link, mut samples) = (link(), Vec::new());
        for piece in bytes.chunks(size) {
            link.feed(Raw::Bytes(piece), Utc::from_ms(0), &mut samples);
        }
        link.finish(&mut samples);
        (samples, link.take_calls(), link.tally().clone())
    });
    assert_eq!(runs[0], runs[1], "byte by byte");
    let (samples, calls, tally) = std::mem::take(&mut runs[0]);
    let text: Vec<String> = bytes.iter().map(|byte| format!("{byte:02x} ")).collect();
    let text = text.concat().replace("7d 02 ", "7e ").replace("7d 01 ", "7d ").replace(' ', "");
    let inside = self::bytes(&text[2..text.len() - 4]);
    Heard { bytes, inside, samples, calls, tally }
}

impl Heard {
    fn call(&self) -> &Call {
        assert_eq!(self.calls.len(), 1);
        &self.calls[0]
    }

    fn body(&self) -> &[u8] {
        match self.call().terminal.layout() {
            Layout::Of2013 => &self.inside[12..],
            Layout::Of2019(_) => &self.inside[17..],
        }
    }
}

fn each(file: &str, lines: usize, check: impl Fn(&Value, &Heard)) {
    let Some(set) = data::set("jt808") else { return };
    let text = data::text(&set, file);
    assert_eq!(text.lines().count(), lines);
    for line in text.lines() {
        let line: Value = serde_json::from_str(line).unwrap();
        check(&line, &hear(line["hex"].as_str().unwrap()));
    }
}

fn number(value: &Value) -> u64 {
    value.as_u64().unwrap_or_else(|| panic!("{value} is a number"))
}

fn hex_number(value: &Value) -> u64 {
    u64::from_str_radix(value.as_str().unwrap().trim_start_matches("0x"), 16).unwrap()
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_else(|| panic!("{value} is text"))
}

fn significant(phone: &Value) -> &str {
    text(phone).trim_start_matches('0')
}

/// The layout of the fields of a location with what was published of them.
fn compare(location: &Location, expect: &Value) {
    let found = [
        ("warnBit", u64::from(location.alarm)),
        ("statusBit", location.status.into()),
        ("latitude", location.lat_e6.into()),
        ("longitude", location.lon_e6.into()),
        ("altitude", location.altitude_m.into()),
        ("speed", location.speed.into()),
        ("direction", location.direction.into()),
    ];
    for (name, found) in found {
        assert_eq!(found, number(&expect[name]), "{name}");
    }
    let at = Utc::parse(&format!("{}+08:00", text(&expect["deviceTime"]))).unwrap();
    assert_eq!(location.at, Some(at));
    assert_eq!(location.damage, None);
    let fields = &location.fields;
    let found = [
        ("1", fields.mileage.map(u64::from)),
        ("2", fields.fuel.map(u64::from)),
        ("3", fields.recorder_speed.map(u64::from)),
        ("37", fields.extended.map(u64::from)),
        ("42", fields.io.map(u64::from)),
        ("48", fields.signal.map(u64::from)),
        ("49", fields.satellites.map(u64::from)),
    ];
    for (id, found) in found {
        assert_eq!(found, expect["attributes"][id].as_u64(), "field {id}");
    }
}

/// The plate is in GBK; its first character is the province, two bytes long.
fn has_plate(bytes: &[u8], plate: &str) {
    let rest: String = plate.chars().skip(1).collect();
    assert_eq!(&bytes[2..], rest.as_bytes(), "{plate}");
    assert!(!bytes[0].is_ascii());
}

fn check_locations(heard: &Heard, message: u16, expect: &Value) {
    match message {
        0x0200 => {
            compare(&Location::parse(heard.body()).unwrap(), expect);
            // All published with a latitude beyond the pole.
            assert_eq!(heard.call().said, Said::Refused(Reason::OutOfRange));
        }
        0x0704 => {
            let items = expect["items"].as_array().unwrap();
            assert_eq!(items.len() as u64, number(&expect["total"]));
            for (item, body) in items.iter().zip(heard.body()[3..].chunks(30)) {
                compare(&Location::parse(&body[2..]).unwrap(), item);
            }
            assert_eq!(heard.call().said, Said::Reports);
            assert_eq!(heard.tally.rejected[&Reason::OutOfRange], items.len() as u64);
        }
        _ => panic!("{message:04x} has no location"),
    }
    assert_eq!(heard.samples, []);
}

fn check_words(heard: &Heard, expect: &Value) {
    let call = heard.call();
    match &call.said {
        Said::Registers(registration) => {
            assert_eq!(u64::from(registration.province), number(&expect["provinceId"]));
            assert_eq!(u64::from(registration.city), number(&expect["cityId"]));
            assert_eq!(registration.maker, text(&expect["makerId"]));
            assert_eq!(registration.model, text(&expect["deviceModel"]));
            assert_eq!(registration.id, text(&expect["deviceId"]));
            assert_eq!(u64::from(registration.plate_colour), number(&expect["plateColor"]));
            has_plate(registration.plate.bytes(), text(&expect["plateNo"]));
        }
        Said::Authenticates(authentication) => {
            assert_eq!(authentication.code.bytes(), text(&expect["token"]).as_bytes());
            assert_eq!(authentication.imei.as_deref(), expect["imei"].as_str());
            assert_eq!(authentication.software.as_deref(), expect["softwareVersion"].as_str());
        }
        Said::Reports => {
            let items = expect["items"].as_array().unwrap();
            assert_eq!(heard.samples.len(), items.len());
            for (sample, item) in heard.samples.iter().zip(items) {
                let data = item["data"].as_array().unwrap();
                let km = data[..4].iter().fold(0, |sum, byte| sum << 8 | number(byte));
                assert_eq!(sample.quantities, [Quantity::Odometer(Metres(km * 1000))]);
                assert_eq!(number(&item["id"]), 0x0102_0304);
            }
        }
        Said::Heartbeat | Said::Other => assert_eq!(heard.samples, []),
        other => panic!("{:04x}: {other:?}", call.message),
    }
    assert_eq!(heard.tally.rejected_total(), 0);
}

#[test]
fn whole_decodes_of_a_library() {
    each("frames_with_json.jsonl", 69, |line, heard| {
        let (call, expect) = (heard.call(), &line["expect"]);
        assert_eq!(u64::from(call.message), number(&expect["messageId"]));
        assert_eq!(u64::from(call.serial), number(&expect["serialNo"]));
        assert_eq!(call.terminal.device().as_str(), significant(&expect["clientId"]));
        let version = number(&expect["protocolVersion"]) as u8;
        let is_2019 = line["version_2019"].as_bool().unwrap();
        let layout = if is_2019 { Layout::Of2019(version) } else { Layout::Of2013 };
        assert_eq!(call.terminal.layout(), layout);
        match call.message {
            message @ (0x0200 | 0x0704) => check_locations(heard, message, expect),
            _ => check_words(heard, expect),
        }
        // What the platform says, said by us.
        let (own, to) = (call.serial, |name| number(&expect[name]) as u16);
        let answer = match call.message {
            0x8001 => {
                assert_eq!(number(&expect["resultCode"]), 3);
                let (message, serial) = (to("responseMessageId"), to("responseSerialNo"));
                Some(call.terminal.general_response(own, message, serial, Outcome::NotSupported))
            }
            0x8100 => {
                let code = text(&expect["token"]).as_bytes();
                call.terminal.registered(own, to("responseSerialNo"), code)
            }
            _ => None,
        };
        assert_eq!(answer.as_ref().unwrap_or(&heard.bytes), &heard.bytes);
    });
}

#[test]
fn fields_that_the_tests_of_another_library_assert() {
    each("frames_with_asserted_fields.jsonl", 12, |line, heard| {
        let (asserted, generic) = (&line["asserted"], &line["generic"]);
        if generic["checksum_ok"] == false {
            assert_eq!((heard.samples.len(), heard.calls.len()), (0, 0));
            assert_eq!(heard.tally.rejected.iter().collect::<Vec<_>>(), [(&Reason::Checksum, &1)]);
            return;
        }
        let call = heard.call();
        assert_eq!(u64::from(call.message), hex_number(&generic["msg_id"]));
        let is_whole = generic["body_len_declared"] == generic["body_len_actual"];
        if is_whole {
            assert_eq!(u64::from(call.serial), number(&generic["serial"]));
            assert_eq!(call.terminal.device().as_str(), significant(&generic["phone_bcd"]));
        } else {
            // By the length of its body this one has the layout of 2019, whatever its flag says.
            assert_eq!(call.message, 0x8104);
            assert_eq!(call.terminal.layout(), Layout::Of2019(1));
            assert_eq!((call.serial, heard.body().len()), (1, 0));
        }
        match &call.said {
            Said::Registers(registration) => {
                assert_eq!(u64::from(registration.province), number(&asserted["AreaID"]));
                assert_eq!(u64::from(registration.city), number(&asserted["CityOrCountyId"]));
                assert_eq!(registration.maker, text(&asserted["MakerId"]));
                assert_eq!(registration.model, text(&asserted["TerminalModel"]));
                assert_eq!(registration.id, text(&asserted["TerminalId"]));
                assert_eq!(u64::from(registration.plate_colour), number(&asserted["PlateColor"]));
                has_plate(registration.plate.bytes(), text(&asserted["PlateNo"]));
            }
            Said::Heartbeat => assert_eq!(call.message, 0x0002),
            Said::Other => assert!(call.message > 0x0102, "{:04x}", call.message),
            other => panic!("{other:?}"),
        }
        if call.message == 0x8100 {
            assert_eq!(text(&asserted["JT808TerminalRegisterResult"]), "terminal_not_database");
            let to = number(&asserted["AckMsgNum"]) as u16;
            let answer = call.terminal.not_registered(call.serial, to, Refusal::TerminalUnknown);
            assert_eq!(answer, heard.bytes);
        }
    });
}

#[test]
fn a_report_that_is_not_located_gives_no_position_wherever_it_stands() {
    let Some(set) = data::set("jt808") else { return };
    let mut located = 0;
    for file in ["frames_with_json.jsonl", "frames_with_asserted_fields.jsonl"] {
        for line in data::text(&set, file).lines() {
            let line: Value = serde_json::from_str(line).unwrap();
            let mut frame = bytes(text(&line["hex"]));
            if frame[1..3] != [0x02, 0x00] {
                continue;
            }
            // The same report with a latitude that exists, at the place it has in its layout; the
            // check byte follows.
            let body = if frame[3] & 0x40 == 0 { 13 } else { 18 };
            let last = frame.len() - 2;
            frame[body + 8..body + 12].copy_from_slice(&[1, 0x0e, 0xee, 0xb6]);
            frame[last] = frame[1..last].iter().fold(0, |sum, byte| sum ^ byte);
            let hex: String = frame.iter().map(|byte| format!("{byte:02x}")).collect();
            let heard = hear(&hex);
            let [sample] = &heard.samples[..] else { panic!("{:?}", heard.tally) };
            let last = sample.quantities.last().unwrap();
            assert!(matches!(last, Quantity::Absent(a) if a.what == Missing::Fix), "{last:?}");
            assert!(sample.at.is_some());
            located += 1;
        }
    }
    assert_eq!(located, 3);
}
