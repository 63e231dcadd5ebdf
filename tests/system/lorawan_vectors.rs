//! Published uplinks with what the vendor's own decoder makes of them: ours must read the same.

use std::collections::BTreeSet;

use domain::decode::lorawan::{Codec, decode};
use domain::place::{Datum, Position};
use domain::sample::{Absent, Fix, Missing, NoData, Quantity};
use domain::time::Span;
use domain::units::{MilliCelsius, Millimetres, MillimetresPerSecond, Millivolts, Permille};
use serde::Deserialize;
use serde_json::{Map, Value};
use system_tests::data;

/// One line of the set.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Vector {
    device: String,
    f_port: u8,
    hex: String,
    expect: Expected,
    note: String,
}

#[derive(Deserialize)]
struct Expected {
    data: Map<String, Value>,
    #[serde(default)]
    warnings: Vec<String>,
}

/// What the vendors' decoders also tell and a sample has no place for.
const ABOUT_THE_DEVICE: &str = "type debugCodes firmwareVersion resetCause startFlag id length flag \
    frameCnt protocolVersion hardwareVersion sn imei imsi iccid csq data_length firmware_version \
    reset_cause battery_health hw_health_status previous_state_duration_overflow device_id \
    protocol_version number_of_valid_samples fixFailed inTrip manDown headingDeg full empty motion \
    angle frame_counter periodic_upload_interval periodic_interval detection_interval \
    empty_alarm_threshold full_alarm_threshold fire_alarm_threshold tilt_alarm_threshold \
    tilt_enable ultrasonic_range EXTI_Trigger mes_type Interrupt_flag Sensor_flag ALARM_status FW \
    LON MD Pitch Roll humidity x y z pressure keepAlive reset No_Beacon Radar Obstruction \
    Good_Battery Parking_ID Beacon_RSSI Beacons geofence_status motion_status";

/// What a sample could hold and we leave out, with the reason.
const LEFT_OUT: [(&str, &str, &str); 4] = [
    ("noah/trashbin", "voltage", "its scale is not documented"),
    ("dragino/ldds04", "distance2_cm", "a device is one place: only the first probe is read"),
    ("dragino/ldds04", "distance3_cm", "a device is one place: only the first probe is read"),
    ("dragino/ldds04", "distance4_cm", "a device is one place: only the first probe is read"),
];

/// A number, bare, in a text with its unit, or in an object with its unit.
fn number(value: &Value) -> f64 {
    match value {
        Value::String(text) => text.split(' ').next().unwrap().parse().unwrap(),
        Value::Object(object) => number(&object["value"]),
        _ => value.as_f64().unwrap(),
    }
}

fn truth(value: &Value) -> bool {
    value.as_bool().unwrap_or_else(|| number(value) == 1.0)
}

fn absent(what: Missing, why: NoData) -> Quantity {
    Quantity::Absent(Absent { what, why })
}

/// The vendor's fields as quantities.
fn quantities(device: &str, fields: &Map<String, Value>) -> Vec<Quantity> {
    let mut quantities = Vec::new();
    for (name, value) in fields {
        let scaled = |factor: f64| (number(value) * factor).round() as i32;
        quantities.push(match name.as_str() {
            "occupied" => Quantity::Occupied(truth(value)),
            "previous_state_duration" => {
                let minutes = |name: &str| Span::from_mins(fields[name].as_u64().unwrap());
                let error = minutes("previous_state_duration_error");
                Quantity::PreviousState { lasted: minutes(name), error }
            }
            // A flag with some, a charge with others.
            "battery" if value.is_boolean() => continue,
            "battery" => Quantity::BatteryLevel(Permille::from_percent(number(value) as i64)),
            "battery_voltage" | "batV" | "Bat" | "BatV" => {
                Quantity::BatteryVoltage(Millivolts(scaled(1000.0) as u16))
            }
            // An option, which sends 0 where it is not there.
            "TempC_DS18B20" if number(value) == 0.0 => continue,
            "temperature" | "Temperature" | "temp" | "TempC_DS18B20" => {
                Quantity::Temperature(MilliCelsius(scaled(1000.0)))
            }
            "distance" if value == "No Sensor" => absent(Missing::Distance, NoData::SensorFault),
            "level" if device == "noah/trashbin" => {
                Quantity::Level(Permille::clamped(scaled(10.0).into()))
            }
            "distance" | "Distance" | "level" => {
                Quantity::Distance(Millimetres(scaled(1.0) as u32))
            }
            "distance1_cm" => Quantity::Distance(Millimetres(scaled(10.0) as u32)),
            "position" => Quantity::Tilted(value == "tilt"),
            "tilt" => Quantity::Tilted(truth(value)),
            "fire" => Quantity::Fire(truth(value)),
            "latitude" | "latitudeDeg" => fix(fields),
            "longitude" | "longitudeDeg" | "speedKmph" => continue,
            "previous_state_duration_error" => continue,
            // Frames that carry reports.
            "data" => {
                for report in value.as_array().unwrap() {
                    quantities.extend(self::quantities(device, report.as_object().unwrap()));
                }
                continue;
            }
            other => {
                let known = ABOUT_THE_DEVICE.split_whitespace().any(|known| known == other)
                    || LEFT_OUT.iter().any(|(of, what, _)| (*of, *what) == (device, other));
                assert!(known, "{device}: field {other} is not mapped");
                continue;
            }
        });
    }
    quantities
}

fn fix(fields: &Map<String, Value>) -> Quantity {
    let of = |names: [&str; 2]| number(names.iter().find_map(|name| fields.get(*name)).unwrap());
    let (lat, lon) = (of(["latitude", "latitudeDeg"]), of(["longitude", "longitudeDeg"]));
    let kmh = fields.get("speedKmph").map(|speed| number(speed) as u32);
    Quantity::Fix(Fix {
        position: Position::from_degrees(lat, lon, Datum::Wgs84).unwrap(),
        speed: kmh.map(MillimetresPerSecond::from_kmh),
        course: None,
        accuracy: None,
        satellites: None,
    })
}

impl Vector {
    fn expected(&self) -> Vec<Quantity> {
        let mut expected = quantities(&self.device, &self.expect.data);
        if self.expect.warnings.iter().any(|warning| warning.contains("location")) {
            expected.push(absent(Missing::Fix, NoData::NoFix));
        }
        expected
    }

    /// Whether the vendor's decoder tells the battery too. The one of the oldest Dragino firmware does
    /// not, though it is there.
    fn tells_battery(&self) -> bool {
        !matches!(self.device.as_str(), "dragino/ldds75" | "dragino/ldds20")
    }

    /// Whether it only answers a setting.
    fn is_setting(&self) -> bool {
        self.note == "Command confirmation"
    }
}

/// The codec of a device of the set. Its NPS405 is of the first generation: `ca` is an occupied bay.
fn codec(device: &str) -> Option<Codec> {
    match device {
        "nwave/nps405" => Some(Codec::NwaveNps405V1),
        _ => device.parse().ok(),
    }
}

fn bytes(hex: &str) -> Vec<u8> {
    let pair = |at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap();
    (0..hex.len()).step_by(2).map(pair).collect()
}

/// The vectors of devices that have a codec; the others are named to whoever runs this.
fn implemented() -> Vec<(Codec, Vector)> {
    let Some(set) = data::set("lorawan_vectors") else { return Vec::new() };
    let mut implemented = Vec::new();
    let mut missing = BTreeSet::new();
    for line in data::text(&set, "device_uplinks.jsonl").lines() {
        let device = serde_json::from_str::<Map<String, Value>>(line).unwrap();
        let device = device["device"].as_str().unwrap().to_owned();
        match codec(&device) {
            Some(codec) => implemented.push((codec, serde_json::from_str(line).unwrap())),
            None => _ = missing.insert(device),
        }
    }
    let missing: Vec<String> = missing.into_iter().collect();
    data::say(&format!(
        "lorawan_vectors: {} vectors checked; NOT IMPLEMENTED: {}",
        implemented.len(),
        missing.join(", ")
    ));
    for (device, field, why) in LEFT_OUT {
        data::say(&format!("lorawan_vectors: {device} {field} is left out: {why}"));
    }
    let tried: BTreeSet<Codec> = implemented.iter().map(|(codec, _)| *codec).collect();
    assert!(tried.len() >= 18, "the set has vectors of eighteen of our codecs, found {tried:?}");
    implemented
}

fn sorted(quantities: &[Quantity]) -> Vec<String> {
    let mut sorted: Vec<String> = quantities.iter().map(|q| format!("{q:?}")).collect();
    sorted.sort();
    sorted
}

#[test]
fn every_vector_reads_as_its_vendor_says() {
    for (codec, vector) in implemented() {
        let Vector { device, f_port, hex, note, .. } = &vector;
        let expected = vector.expected();
        assert_eq!(expected.is_empty(), vector.is_setting(), "{device}: {note}");
        let read = decode(codec, *f_port, &bytes(hex));
        let mut read = read.unwrap_or_else(|reason| panic!("{device} {hex}: {reason:?}"));
        if !vector.tells_battery() {
            read.retain(|quantity| !matches!(quantity, Quantity::BatteryVoltage(_)));
        }
        assert_eq!(sorted(&read), sorted(&expected), "{device} {hex}");
        // A Milesight record means the same where the model is not known.
        if *f_port == 85 && !hex.starts_with("02") && codec != Codec::MilesightAt101 {
            let inferred = decode(Codec::infer("", *f_port).unwrap(), *f_port, &bytes(hex));
            assert_eq!(inferred.as_ref().map(|read| sorted(read)), Ok(sorted(&expected)), "{hex}");
        }
    }
}

#[test]
fn what_is_left_of_a_cut_vector_is_refused_or_true() {
    for (codec, vector) in implemented() {
        let Vector { device, f_port, hex, .. } = &vector;
        let whole = bytes(hex);
        let all = decode(codec, *f_port, &whole).unwrap();
        for length in 0..whole.len() {
            // Records end where they end: a cut between two of them leaves fewer, never others. The
            // LDDS75 says by its shortest form that it has no sensor.
            for quantity in decode(codec, *f_port, &whole[..length]).unwrap_or_default() {
                let none = codec == Codec::DraginoLdds75 && matches!(quantity, Quantity::Absent(_));
                assert!(none || all.contains(&quantity), "{device} {hex} {length}");
            }
        }
    }
}

/// Read by the other generation, the same byte says something else: that is why a device has to be
/// pinned to one.
#[test]
fn the_generations_of_the_nps405_do_not_agree() {
    for (codec, vector) in implemented() {
        if codec == Codec::NwaveNps405V1 && vector.f_port == 1 {
            let today = decode(Codec::NwaveNps405, 1, &bytes(&vector.hex)).unwrap();
            assert_ne!(sorted(&today), sorted(&vector.expected()), "{}", vector.hex);
        }
    }
}
