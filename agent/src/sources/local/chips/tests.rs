use drivers::hcsr04::Pulse;
use drivers::{ads1115 as adc, adxl345, lis3mdl, tmp102};
use embedded_hal_mock::eh1::delay::NoopDelay;
use embedded_hal_mock::eh1::digital::{Mock as Pin, State, Transaction as Level};
use embedded_hal_mock::eh1::i2c::{Mock, Transaction};

use super::*;

fn occupied(yes: bool) -> Looked {
    Ok(vec![Quantity::Occupied(yes)])
}

#[test]
fn a_magnetometer_tells_a_vehicle_with_hysteresis() {
    let field = |x: i16| {
        let [low, high] = x.to_le_bytes();
        [
            Transaction::write_read(0x1c, vec![0x27], vec![0x08]),
            Transaction::write_read(0x1c, vec![0xa8], vec![low, high, 0, 0, 0, 0]),
        ]
    };
    // 6.842 counts are 100 nT: 3, 0.1, 6, 3 and 2 µT from the empty bay, which has 10 along X.
    let start = [
        Transaction::write_read(0x1c, vec![0x0f], vec![0x3d]),
        Transaction::write(0x1c, vec![0x20, 0x70]),
        Transaction::write(0x1c, vec![0x21, 0x00]),
        Transaction::write(0x1c, vec![0x23, 0x0c]),
        Transaction::write(0x1c, vec![0x22, 0x00]),
    ];
    let looks = [889, 691, 1095, 889, 821].map(field);
    let transactions: Vec<Transaction> =
        start.into_iter().chain(looks.into_iter().flatten()).collect();
    let mut chip = Lis3mdl::new(Mock::new(&transactions), lis3mdl::Address::Ground);
    chip.start().unwrap();
    let settings = Magnet { empty_nt: [10_000, 0, 0], arrive_nt: 5000, leave_nt: 2500 };
    let mut bay = Bay { magnetometer: chip, settings, state: None };
    assert_eq!(bay.look(0), Ok(vec![]), "between the two nothing is known yet");
    assert_eq!(bay.look(1), occupied(false));
    assert_eq!(bay.look(2), occupied(true));
    assert_eq!(bay.look(3), occupied(true));
    assert_eq!(bay.look(4), occupied(false));
    bay.magnetometer.release().done();
}

#[test]
fn an_accelerometer_tells_a_bin_that_leans() {
    let at = |bytes: [u8; 6]| Transaction::write_read(0x53, vec![0x32], bytes.to_vec());
    let transactions = [
        Transaction::write_read(0x53, vec![0x00], vec![0xe5]),
        Transaction::write(0x53, vec![0x2c, 0x07]),
        Transaction::write(0x53, vec![0x31, 0x0b]),
        Transaction::write(0x53, vec![0x2d, 0x08]),
        at([0, 0, 0, 0, 0, 1]),
        at([0, 1, 0, 0, 0, 0]),
        at([0, 2, 0, 2, 0, 2]),
    ];
    let mut chip = Adxl345::new(Mock::new(&transactions), adxl345::Address::Ground);
    chip.start().unwrap();
    let mut bin = Leaning { accelerometer: chip, settings: Incline { degrees: 45 } };
    assert_eq!(bin.look(0), Ok(vec![Quantity::Tilted(false)]));
    assert_eq!(bin.look(1), Ok(vec![Quantity::Tilted(true)]));
    assert_eq!(bin.look(2), Ok(vec![]), "it is being lifted");
    bin.accelerometer.release().done();
}

#[test]
fn a_thermometer_a_battery_and_their_faults() {
    let transactions = [
        Transaction::write_read(0x48, vec![0x00], vec![0x15, 0x80]),
        Transaction::write_read(0x48, vec![0x00], vec![0, 0])
            .with_error(embedded_hal::i2c::ErrorKind::Bus),
    ];
    let mut chip = Tmp102::new(Mock::new(&transactions), tmp102::Address::Ground);
    assert_eq!(chip.look(0), Ok(vec![Quantity::Temperature(MilliCelsius(21_500))]));
    assert_eq!(chip.look(1), Err("reading Temperature: Bus".to_owned()));
    chip.release().done();

    let transactions = [
        Transaction::write(0x48, vec![0x01, 0xd3, 0x83]),
        Transaction::write_read(0x48, vec![0x01], vec![0xd3, 0x83]),
        Transaction::write_read(0x48, vec![0x00], vec![0x4b, 0x00]),
        Transaction::write(0x48, vec![0x01, 0xd3, 0x83]),
        Transaction::write_read(0x48, vec![0x01], vec![0x53, 0x83]),
    ];
    let chip = Ads1115::new(Mock::new(&transactions), adc::Address::Ground);
    let settings = Analog { channel: 1, ratio_milli: 5000 };
    let mut battery = Voltage { chip, delay: NoopDelay::new(), settings };
    assert_eq!(battery.look(0), Ok(vec![Quantity::BatteryVoltage(Millivolts(12_000))]));
    assert!(battery.look(1).is_err(), "it never ends");
    battery.chip.release().done();
}

#[test]
fn one_wire_as_the_kernel_writes_it() {
    let look = |text: &str| {
        let text = text.to_owned();
        OneWire(move || Ok(text.clone())).look(0)
    };
    let good = "91 01 4b 46 7f ff 0f 10 25 : crc=25 YES\n91 01 4b 46 7f ff 0f 10 25 t=25062\n";
    assert_eq!(look(good), Ok(vec![Quantity::Temperature(MilliCelsius(25_062))]));
    let fresh = "50 05 4b 46 7f ff 0c 10 1c : crc=1c YES\n";
    assert_eq!(look(fresh), Ok(vec![absent(Missing::Temperature, NoData::SensorFault)]));
    for bad in [&good.replace("91", "90"), "", "00 00", "zz 01 4b 46 7f ff 0c 10 e5", "\u{fffd}"] {
        assert!(look(bad).is_err(), "{bad:?}");
    }
}

struct Echo(Pulse);

impl EchoPin for Echo {
    type Error = &'static str;

    fn high_pulse(&mut self, _timeout_us: u32) -> Result<Pulse, &'static str> {
        Ok(self.0)
    }
}

#[test]
fn range_finders_tell_why_they_see_nothing() {
    let look = |pulse| {
        let levels = [Level::set(State::High), Level::set(State::Low)];
        let mut pin = Pin::new(&levels);
        let sensor = Hcsr04::new(pin.clone(), Echo(pulse));
        let looked = Ultrasonic { sensor, delay: NoopDelay::new() }.look(0);
        pin.done();
        looked
    };
    let mm = |mm| Ok(vec![Quantity::Distance(Millimetres(mm))]);
    assert_eq!(look(Pulse::Microseconds(5874)), mm(1000));
    assert_eq!(
        look(Pulse::Microseconds(38_000)),
        Ok(vec![absent(Missing::Distance, NoData::NoTarget)])
    );
    assert!(look(Pulse::Missing).unwrap_err().contains("broken wire"));
    let mut answers = [1234, 8190, 12].into_iter();
    let mut chip = TimeOfFlight(move || answers.next().ok_or_else(|| "gone".to_owned()));
    assert_eq!(chip.look(0), mm(1234));
    assert_eq!(chip.look(1), Ok(vec![absent(Missing::Distance, NoData::NoTarget)]));
    assert_eq!(chip.look(2), Ok(vec![absent(Missing::Distance, NoData::TooClose)]));
    assert_eq!(chip.look(3), Err("gone".to_owned()));
}

#[test]
fn a_contact_tells_its_changes_and_its_state_now_and_then() {
    let levels = [true, true, false, true, false, false, false, false]
        .map(|high| Level::get(if high { State::High } else { State::Low }));
    let mut pin = Pin::new(&levels);
    let settings =
        DigitalInput { pin: 17, signal: Signal::LidOpen, active_low: true, debounce_ms: 50 };
    let mut lid = Contact::new(pin.clone(), settings, 1000);
    let times = [0, 60, 100, 120, 200, 250, 900, 1250];
    let told: Vec<_> = times
        .iter()
        .flat_map(|&at| lid.look(at).unwrap().into_iter().map(move |q| (at, q)))
        .collect();
    let expected =
        [(60, false), (250, true), (1250, true)].map(|(at, o)| (at, Quantity::LidOpen(o)));
    assert_eq!(told, expected);
    pin.done();
}

#[test]
fn a_card_that_stays_is_said_once() {
    let tag = |n: u8| Tag::from_hex(&format!("62e3086c{n:02x}"));
    let mut seen = [None, tag(1), tag(1), tag(2), None, tag(2)].into_iter();
    let mut reader = Cards { read: move || Ok(seen.next().unwrap()), present: None };
    let said: Vec<usize> = (0..6).map(|at| reader.look(at).unwrap().len()).collect();
    assert_eq!(said, [0, 1, 0, 1, 0, 1]);
}
