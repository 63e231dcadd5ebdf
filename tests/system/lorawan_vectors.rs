//! Published uplinks with what the vendor's own decoder makes of them: ours must read the same.

use domain::decode::lorawan::{Codec, decode};
use domain::place::{Datum, Position};
use domain::sample::{Absent, Fix, Missing, NoData, Quantity};
use domain::time::Span;
use domain::units::{
    CentiDegrees, MilliCelsius, Millimetres, MillimetresPerSecond, Millivolts, Permille,
};
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
    Good_Battery Parking_ID Beacon_RSSI Beacons geofence_status motion_status pack_type \
    demolish_state idle_state motion_state low_power_state lorawan_downlink_count motion_count \
    last_restart_reason work_mode payload serial_nr gps_count lora_count us_sensor_count \
    ShortSleepTime LongSleepTime";

/// The same, of names in several words.
const VERSION_OF_FIRMWARE: &str = "firmware ver";

/// What a sample could hold and we leave out, with the reason.
const LEFT_OUT: [(&str, &str, &str); 8] = [
    ("noah/trashbin", "voltage", "its scale is not documented"),
    ("dragino/ldds04", "distance2_cm", "a device is one place: only the first probe is read"),
    ("dragino/ldds04", "distance3_cm", "a device is one place: only the first probe is read"),
    ("dragino/ldds04", "distance4_cm", "a device is one place: only the first probe is read"),
    (
        "decentlab/dl-dws",
        "frequency",
        "it stands for a weight only by the calibration of that scale",
    ),
    ("decentlab/dl-dws", "weight", "it takes the calibration of that scale, which no report has"),
    ("milesight/em500-swl", "depth", "the water over a sensor is no distance to a surface"),
    ("nwave/ncc405", "counter_value", "a count of vehicles belongs to no asset"),
];

/// A number, bare, in a text with its unit, or in an object with its unit.
fn number(value: &Value) -> f64 {
    match value {
        Value::String(text) => {
            let digits = |c: char| c.is_ascii_digit() || c == '.' || c == '-';
            let end = text.find(|c| !digits(c)).unwrap_or(text.len());
            text[..end].parse().unwrap()
        }
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
            "battery_voltage" | "battery voltage" | "battery_vol" | "batV" | "Bat" | "BatV" => {
                Quantity::BatteryVoltage(Millivolts(scaled(1000.0) as u16))
            }
            // An option, which sends 0 where it is not there.
            "TempC_DS18B20" if number(value) == 0.0 => continue,
            "temperature" | "Temperature" | "temp" | "TempC_DS18B20" | "ic_temperature" => {
                Quantity::Temperature(MilliCelsius(scaled(1000.0)))
            }
            "distance" if value == "No Sensor" => absent(Missing::Distance, NoData::SensorFault),
            "level" if device == "noah/trashbin" => {
                Quantity::Level(Permille::clamped(scaled(10.0).into()))
            }
            "distance" | "Distance" | "level" => {
                Quantity::Distance(Millimetres(scaled(1.0) as u32))
            }
            "fillinglvl" => Quantity::Level(Permille::from_percent(number(value) as i64)),
            "distance1_cm" | "proxx" => Quantity::Distance(Millimetres(scaled(10.0) as u32)),
            "position" => Quantity::Tilted(value == "tilt"),
            "tilt" => Quantity::Tilted(truth(value)),
            "fire" => Quantity::Fire(truth(value)),
            "latitude" | "latitudeDeg" => fix(fields),
            "longitude" | "longitudeDeg" | "speedKmph" | "direction" => continue,
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
                    || other == VERSION_OF_FIRMWARE
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
        course: fields
            .get("direction")
            .map(|degrees| CentiDegrees((number(degrees) * 100.0) as u16)),
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

    /// Whether it says nothing of the world: it answers a setting, tells of itself, or counts.
    fn is_no_sample(&self) -> bool {
        matches!(
            (self.device.as_str(), self.note.as_str()),
            (_, "Command confirmation")
                | ("rivercity/lynx", "Sleep Time Info")
                | ("nwave/ncc405", "Counter Update" | "Startup")
        )
    }
}

/// The codec of a device of the set. Its NPS405 is of the first generation: `ca` is an occupied bay.
fn codec(device: &str) -> Codec {
    match device {
        "nwave/nps405" => Codec::NwaveNps405V1,
        _ => device.parse().unwrap_or_else(|unknown| panic!("{unknown}")),
    }
}

fn bytes(hex: &str) -> Vec<u8> {
    let pair = |at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap();
    (0..hex.len()).step_by(2).map(pair).collect()
}

/// How many lines the set has: one that is lost, or not yet looked at, must be noticed.
const VECTORS: usize = 42;

/// Every vector with its codec; none when the set is not there, which has then been said.
fn vectors() -> Vec<(Codec, Vector)> {
    let Some(set) = data::set("lorawan_vectors") else { return Vec::new() };
    let text = data::text(&set, "device_uplinks.jsonl");
    let vectors: Vec<(Codec, Vector)> = text
        .lines()
        .map(|line| serde_json::from_str::<Vector>(line).unwrap())
        .map(|vector| (codec(&vector.device), vector))
        .collect();
    assert_eq!(vectors.len(), VECTORS);
    for (device, field, why) in LEFT_OUT {
        data::say(&format!("lorawan_vectors: {device} {field} is left out: {why}"));
    }
    vectors
}

fn sorted(quantities: &[Quantity]) -> Vec<String> {
    let mut sorted: Vec<String> = quantities.iter().map(|q| format!("{q:?}")).collect();
    sorted.sort();
    sorted
}

#[test]
fn every_vector_reads_as_its_vendor_says() {
    for (codec, vector) in vectors() {
        let Vector { device, f_port, hex, note, .. } = &vector;
        let expected = vector.expected();
        assert_eq!(expected.is_empty(), vector.is_no_sample(), "{device}: {note}");
        let read = decode(codec, *f_port, &bytes(hex));
        let mut read = read.unwrap_or_else(|reason| panic!("{device} {hex}: {reason:?}"));
        if !vector.tells_battery() {
            read.retain(|quantity| !matches!(quantity, Quantity::BatteryVoltage(_)));
        }
        assert_eq!(sorted(&read), sorted(&expected), "{device} {hex}");
        // A Milesight record means the same where the model is not known.
        let told_apart = matches!(codec, Codec::MilesightAt101 | Codec::MilesightEm500Swl);
        if *f_port == 85 && !hex.starts_with("02") && !told_apart {
            let inferred = decode(Codec::infer("", *f_port).unwrap(), *f_port, &bytes(hex));
            assert_eq!(inferred.as_ref().map(|read| sorted(read)), Ok(sorted(&expected)), "{hex}");
        }
    }
}

#[test]
fn what_is_left_of_a_cut_vector_is_refused_or_true() {
    for (codec, vector) in vectors() {
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
    for (codec, vector) in vectors() {
        if codec == Codec::NwaveNps405V1 && vector.f_port == 1 {
            let today = decode(Codec::NwaveNps405, 1, &bytes(&vector.hex)).unwrap();
            assert_ne!(sorted(&today), sorted(&vector.expected()), "{}", vector.hex);
        }
    }
}

#[test]
fn the_documents_list_every_codec() {
    let documents = include_str!("../../docs/sources.md");
    for codec in Codec::ALL {
        assert!(documents.contains(&format!("`{}`", codec.as_str())), "{codec:?}");
    }
}
