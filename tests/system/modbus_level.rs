//! Published register maps and exchanges of level sensors through the Modbus room: every request is
//! built to the byte, every answer measures what it says.

use domain::decode::measure::{Measure, Scaling, Unit};
use domain::decode::modbus::{Encoding, Read, Register, RegisterMap, Table, rtu, write_register};
use domain::sample::Quantity;
use domain::units::{MilliCelsius, Millimetres};
use serde::Deserialize;
use system_tests::data;

#[derive(Deserialize)]
struct Device {
    device: String,
    registers: Vec<Published>,
}

#[derive(Deserialize)]
struct Published {
    addr: String,
    name: String,
    #[serde(rename = "type")]
    encoding: Option<String>,
    unit: Option<String>,
}

#[derive(Deserialize)]
struct Exchange {
    device: String,
    what: String,
    request: String,
    response: Option<String>,
    meaning: String,
}

fn bytes(hex: &str) -> Vec<u8> {
    let pair = |at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap();
    (0..hex.len()).step_by(2).map(pair).collect()
}

fn hex_number(text: &str) -> u16 {
    u16::from_str_radix(text.trim_start_matches("0x"), 16).unwrap()
}

/// The published register as one of ours; `None` for what measures nothing.
fn register(published: &Published) -> Option<Register> {
    let measure = match published.name.as_str() {
        "processed distance" | "real-time distance" | "distance" | "height" => Measure::Distance,
        "temperature" | "internal temperature" | "external temperature" => Measure::Temperature,
        "tilt" => Measure::Tilted,
        _ => return None,
    };
    let (scale, unit) = match published.unit.as_deref() {
        Some("mm") => (1.0, Unit::Millimetre),
        Some("0.1 mm (check)" | "0.1 mm as published") => (0.1, Unit::Millimetre),
        Some("0.1 C") => (0.1, Unit::Celsius),
        None => (1.0, Unit::State),
        Some(other) => panic!("unit {other} of {} is not mapped", published.name),
    };
    let mut scaling = Scaling::new(measure).with_unit(unit).unwrap();
    if !measure.is_state() {
        scaling = scaling.with_scale(scale, 0.0).unwrap();
    }
    let encoding = match &published.encoding {
        Some(word) => word.parse().unwrap(),
        None => Encoding::U16,
    };
    Some(Register::new(Table::Holding, hex_number(&published.addr), encoding, scaling).unwrap())
}

pub(crate) fn maps() -> Vec<(String, RegisterMap)> {
    let Some(set) = data::set("modbus_level") else { return Vec::new() };
    let devices: Vec<Device> =
        serde_json::from_str(&data::text(&set, "register_maps.json")).unwrap();
    assert_eq!(devices.len(), 4);
    let map = |device: Device| {
        let registers = device.registers.iter().filter_map(register).collect();
        (device.device, RegisterMap::new(registers).unwrap())
    };
    devices.into_iter().map(map).collect()
}

#[test]
fn the_four_maps_are_read_in_as_few_questions_as_their_gaps_allow() {
    let maps = maps();
    let read = |first, count| Read::new(Table::Holding, first, count).unwrap();
    let expected: [&[Read]; 4] = [
        &[read(0x0100, 3)],
        &[read(0x0005, 3)],
        &[read(0x0100, 1), read(0x0102, 1)],
        &[read(0x0100, 1)],
    ];
    for ((device, map), expected) in maps.iter().zip(expected) {
        assert_eq!(map.reads(), expected, "{device}");
    }
    let mm = |mm| Quantity::Distance(Millimetres(mm));
    let celsius = |milli| Quantity::Temperature(MilliCelsius(milli));
    // Numbers chosen here; units and order as published.
    let answers: [&[(&[u16], &[Quantity])]; 4] = [
        &[(&[754, 751, 300], &[mm(754), mm(751), celsius(30_000)])],
        &[(&[5234, 0xffce, 215], &[mm(523), celsius(-5000), celsius(21_500)])],
        &[(&[12_345], &[mm(1235)]), (&[1], &[Quantity::Tilted(true)])],
        &[(&[4500], &[mm(4500)])],
    ];
    for ((device, map), answers) in maps.iter().zip(answers) {
        for (&read, (values, expected)) in map.reads().iter().zip(answers) {
            assert_eq!(map.decode(read, values).as_deref(), Ok(*expected), "{device}");
        }
    }
}

#[test]
fn the_eight_exchanges_are_built_and_read_to_the_byte() {
    let Some(set) = data::set("modbus_level") else { return };
    let exchanges: Vec<Exchange> =
        serde_json::from_str(&data::text(&set, "exchanges.json")).unwrap();
    assert_eq!(exchanges.len(), 8);
    for Exchange { device, what, request, response, .. } in &exchanges {
        let frame = bytes(request);
        let number = |at: usize| u16::from_be_bytes([frame[at], frame[at + 1]]);
        let payload = match frame[1] {
            3 => Read::new(Table::Holding, number(2), number(4)).unwrap().request(),
            6 => write_register(number(2), number(4)),
            other => panic!("{device}, {what}: function {other}"),
        };
        assert_eq!(rtu::frame(frame[0], &payload), frame, "{device}, {what}");
        if let (Some(response), 6) = (response, frame[1]) {
            assert_eq!(rtu::payload(frame[0], &bytes(response)), Ok(&payload[..]), "{what}");
        }
    }
}

#[test]
fn the_answers_measure_what_is_written_beside_them() {
    let Some(set) = data::set("modbus_level") else { return };
    let maps = maps();
    let family = &maps[0].1;
    let exchanges: Vec<Exchange> =
        serde_json::from_str(&data::text(&set, "exchanges.json")).unwrap();
    let mut measured = Vec::new();
    for exchange in &exchanges {
        let (request, Some(response)) = (bytes(&exchange.request), &exchange.response) else {
            continue;
        };
        if request[1] != 3 {
            continue;
        }
        let first = u16::from_be_bytes([request[2], request[3]]);
        let read = Read::new(Table::Holding, first, 1).unwrap();
        let response = bytes(response);
        let values = read.answer(rtu::payload(request[0], &response).unwrap()).unwrap();
        assert_eq!(response.len(), read.answer_length() + 3, "{}", exchange.what);
        if request[0] == rtu::ANY {
            assert!(exchange.meaning.ends_with(&format!("address {}", values[0])));
            assert_eq!(family.decode(read, &values), Ok(vec![]), "a setting measures nothing");
            continue;
        }
        let words: Vec<&str> = exchange.meaning.split(' ').collect();
        assert_eq!(values, [hex_number(words[3])], "{}", exchange.meaning);
        let value: f64 = words[5].parse().unwrap();
        let expected = match words[6] {
            "mm" => Quantity::Distance(Millimetres(value as u32)),
            "C" => Quantity::Temperature(MilliCelsius((value * 1000.0) as i32)),
            unit => panic!("{unit}"),
        };
        assert_eq!(family.decode(read, &values), Ok(vec![expected]), "{}", exchange.meaning);
        measured.push(first);
        for at in 0..response.len() {
            let mut damaged = response.clone();
            damaged[at] ^= 0x10;
            assert!(rtu::payload(request[0], &damaged).is_err(), "{}, byte {at}", exchange.what);
        }
    }
    assert_eq!(measured, [0x0100, 0x0101, 0x0102]);
}
