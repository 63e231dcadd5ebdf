//! What each chip tells: from the units of its driver to quantities. Generic over embedded-hal, so that
//! the tests hold every byte on the bus; which pins and buses there are is not known here.

use std::fmt::Display;

use domain::sample::{Absent, Missing, NoData, Quantity};
use domain::units::{MilliCelsius, Millimetres, Millivolts};
use domain::waste::{Lift, Tag};
use drivers::ads1115::{self, Ads1115};
use drivers::adxl345::Adxl345;
use drivers::debounce::Debounce;
use drivers::hcsr04::{Air, EchoPin, Hcsr04};
use drivers::lis3dh::Lis3dh;
use drivers::lis3mdl::Lis3mdl;
use drivers::lsm303dlhc::{Gain, Lsm303dlhc, Rate};
use drivers::qmc5883l::Qmc5883l;
use drivers::tmp102::Tmp102;
use drivers::{Acceleration, Field, Range, ds18b20};
use embedded_hal::delay::DelayNs;
use embedded_hal::digital::{InputPin, OutputPin};
use embedded_hal::i2c::I2c;
use embedded_hal::spi::SpiDevice;
use mfrc522::comm::blocking::spi::{DummyDelay, SpiInterface};
use mfrc522::{Initialized, Mfrc522};

use crate::config::{Analog, DigitalInput, Incline, Magnet, Signal};

/// What comes of one look at a chip.
pub(super) type Looked = Result<Vec<Quantity>, String>;

/// A chip that is open.
pub(super) trait Chip: Send {
    /// Looks at it, at `now_ms` of the boot. An error ends it: it is opened anew.
    fn look(&mut self, now_ms: u64) -> Looked;
}

fn said(error: impl Display) -> String {
    error.to_string()
}

const fn absent(what: Missing, why: NoData) -> Quantity {
    Quantity::Absent(Absent { what, why })
}

/// A distance, or why there is none.
pub(super) fn distance(range: Range) -> Quantity {
    match range {
        Range::Millimetres(mm) => Quantity::Distance(Millimetres(mm.into())),
        Range::NoTarget => absent(Missing::Distance, NoData::NoTarget),
        Range::TooClose => absent(Missing::Distance, NoData::TooClose),
    }
}

/// An ultrasonic range finder on two pins. The air counts as mild: every degree that it is not makes a
/// distance wrong by 0.18 %.
pub(super) struct Ultrasonic<T, E, D> {
    pub(super) sensor: Hcsr04<T, E>,
    pub(super) delay: D,
}

impl<T, E, D> Chip for Ultrasonic<T, E, D>
where
    T: OutputPin + Send,
    E: EchoPin + Send,
    D: DelayNs + Send,
{
    fn look(&mut self, _now_ms: u64) -> Looked {
        let range = self.sensor.measure(Air::MILD, &mut self.delay).map_err(said)?;
        Ok(vec![distance(range)])
    }
}

/// A range finder that gives whole millimetres, and more than it can reach when it sees nothing.
pub(super) struct TimeOfFlight<M>(pub(super) M);

/// What a VL53L0X can reach, in millimetres (ST DocID029104 Rev 2, table 11).
const REACH: std::ops::RangeInclusive<u16> = 30..=2000;

impl<M: FnMut() -> Result<u16, String> + Send> Chip for TimeOfFlight<M> {
    fn look(&mut self, _now_ms: u64) -> Looked {
        let range = match (self.0)()? {
            mm if REACH.contains(&mm) => Range::Millimetres(mm),
            mm if mm < *REACH.start() => Range::TooClose,
            _ => Range::NoTarget,
        };
        Ok(vec![distance(range)])
    }
}

/// Starts a VL53L0X at `address` and measures once at each look. The error says what the chip or the bus said.
pub(super) fn start_vl53l0x<B>(bus: B, address: u8) -> Result<impl Chip, String>
where
    B: I2c + Send,
{
    let mut chip =
        vl53l0x::VL53L0x::with_address(bus, address).map_err(|error| format!("{error:?}"))?;
    Ok(TimeOfFlight(move || {
        chip.read_range_single_millimeters_blocking().map_err(|error| format!("{error:?}"))
    }))
}

/// A magnetometer as a bay sensor. Between the two thresholds the last state stands, and before there
/// is one, nothing is said.
pub(super) struct Bay<M> {
    pub(super) magnetometer: M,
    pub(super) settings: Magnet,
    pub(super) state: Option<bool>,
}

/// A chip that measures the field.
pub(super) trait Magnetometer: Send {
    /// The latest field; `None` while it is being measured.
    fn field(&mut self) -> Result<Option<Field>, String>;
}

impl<B: I2c + Send> Magnetometer for Lis3mdl<B> {
    fn field(&mut self) -> Result<Option<Field>, String> {
        Lis3mdl::field(self).map_err(said)
    }
}

impl<B: I2c + Send> Magnetometer for Qmc5883l<B> {
    fn field(&mut self) -> Result<Option<Field>, String> {
        Qmc5883l::field(self).map_err(said)
    }
}

impl<B: I2c + Send> Magnetometer for Lsm303dlhc<B> {
    fn field(&mut self) -> Result<Option<Field>, String> {
        Lsm303dlhc::field(self).map(Some).map_err(said)
    }
}

/// Starts one for a bay: the finest range, a few readings a second.
pub(super) fn start_lsm303dlhc<B: I2c>(bus: B) -> Result<Lsm303dlhc<B>, String> {
    let mut chip = Lsm303dlhc::new(bus);
    chip.start(Gain::MicroTesla130, Rate::Hz15).map_err(said)?;
    Ok(chip)
}

impl<M: Magnetometer> Chip for Bay<M> {
    fn look(&mut self, _now_ms: u64) -> Looked {
        let Some(field) = self.magnetometer.field()? else { return Ok(vec![]) };
        let [x, y, z] = self.settings.empty_nt;
        let apart = field.distance(Field { x, y, z });
        if self.state.is_none() {
            // What to write into the configuration while the bay is empty.
            tracing::info!(x = field.x, y = field.y, z = field.z, apart, "field of the bay, nT");
        }
        if apart >= self.settings.arrive_nt {
            self.state = Some(true);
        } else if apart < self.settings.leave_nt {
            self.state = Some(false);
        }
        Ok(self.state.map(Quantity::Occupied).into_iter().collect())
    }
}

/// An accelerometer as an inclinometer. While it is knocked nothing is said.
pub(super) struct Leaning<A> {
    pub(super) accelerometer: A,
    pub(super) settings: Incline,
}

/// A chip that measures acceleration.
pub(super) trait Accelerometer: Send {
    /// The latest acceleration.
    fn acceleration(&mut self) -> Result<Acceleration, String>;
}

impl<B: I2c + Send> Accelerometer for Adxl345<B> {
    fn acceleration(&mut self) -> Result<Acceleration, String> {
        Adxl345::acceleration(self).map_err(said)
    }
}

impl<B: I2c + Send> Accelerometer for Lis3dh<B> {
    fn acceleration(&mut self) -> Result<Acceleration, String> {
        Lis3dh::acceleration(self).map_err(said)
    }
}

impl<A: Accelerometer> Chip for Leaning<A> {
    fn look(&mut self, _now_ms: u64) -> Looked {
        let acceleration = self.accelerometer.acceleration()?;
        let cosine = f64::from(self.settings.degrees).to_radians().cos();
        // Between 0 and 1000: exact.
        let leans = acceleration.leans_beyond((cosine * 1000.0).round() as i32);
        Ok(leans.map(Quantity::Tilted).into_iter().collect())
    }
}

impl<B: I2c + Send> Chip for Tmp102<B> {
    fn look(&mut self, _now_ms: u64) -> Looked {
        Ok(vec![Quantity::Temperature(MilliCelsius(self.temperature().map_err(said)?))])
    }
}

/// A thermometer on the kernel's 1-Wire bus: what stands in its `w1_slave`.
pub(super) struct OneWire<R>(pub(super) R);

impl<R: FnMut() -> Result<String, String> + Send> Chip for OneWire<R> {
    fn look(&mut self, _now_ms: u64) -> Looked {
        let text = (self.0)()?;
        let scratchpad = scratchpad(&text).ok_or("the kernel says nothing of a scratchpad")?;
        Ok(vec![match ds18b20::temperature(&scratchpad) {
            Ok(mc) => Quantity::Temperature(MilliCelsius(mc)),
            // The wire is there, the sensor is not well.
            Err(ds18b20::Error::NotMeasured) => absent(Missing::Temperature, NoData::SensorFault),
            Err(ds18b20::Error::OutOfRange) => absent(Missing::Temperature, NoData::OutOfRange),
            Err(error @ ds18b20::Error::Checksum) => return Err(said(error)),
        }])
    }
}

/// `91 01 4b 46 7f ff 0c 10 e5 : crc=e5 YES`, and a second line that repeats it with its temperature.
fn scratchpad(text: &str) -> Option<[u8; 9]> {
    let mut bytes = [0; 9];
    let mut words = text.lines().next()?.split(' ');
    for byte in &mut bytes {
        *byte = u8::from_str_radix(words.next()?, 16).ok()?;
    }
    Some(bytes)
}

/// A battery at an analogue input.
pub(super) struct Voltage<B, D> {
    pub(super) chip: Ads1115<B>,
    pub(super) delay: D,
    pub(super) settings: Analog,
}

impl<B: I2c + Send, D: DelayNs + Send> Chip for Voltage<B, D> {
    fn look(&mut self, _now_ms: u64) -> Looked {
        use ads1115::Input::{A0, A1, A2, A3};
        let input = [A0, A1, A2, A3][usize::from(self.settings.channel & 3)];
        self.chip.convert(input).map_err(said)?;
        self.delay.delay_ms(ads1115::CONVERSION_MS);
        let mv = self.chip.millivolts().map_err(said)?.ok_or("the conversion does not end")?;
        let scaled = i64::from(mv) * i64::from(self.settings.ratio_milli) / 1000;
        // Noise around nothing may be a little below it.
        let quantity = match u16::try_from(scaled.max(0)) {
            Ok(mv) => Quantity::BatteryVoltage(Millivolts(mv)),
            Err(_) => absent(Missing::Battery, NoData::OutOfRange),
        };
        Ok(vec![quantity])
    }
}

/// A contact. Looked at often; says something when a new state counts, and now and then.
pub(super) struct Contact<P> {
    pin: P,
    settings: DigitalInput,
    debounce: Debounce,
    every_ms: u64,
    told: Option<u64>,
}

impl<P> Contact<P> {
    /// Says its state every `every_ms` milliseconds although it has not changed.
    pub(super) const fn new(pin: P, settings: DigitalInput, every_ms: u64) -> Contact<P> {
        let debounce = Debounce::new(settings.debounce_ms);
        Contact { pin, settings, debounce, every_ms, told: None }
    }
}

impl<P: InputPin + Send> Chip for Contact<P> {
    fn look(&mut self, now_ms: u64) -> Looked {
        let high = self.pin.is_high().map_err(|error| format!("{error:?}"))?;
        let changed = self.debounce.look(high, now_ms).is_some();
        let is_due = self.told.is_none_or(|told| now_ms.saturating_sub(told) >= self.every_ms);
        let Some(high) = self.debounce.state().filter(|_| changed || is_due) else {
            return Ok(vec![]);
        };
        self.told = Some(now_ms);
        let is_so = high != self.settings.active_low;
        Ok(vec![match self.settings.signal {
            Signal::LidOpen => Quantity::LidOpen(is_so),
            Signal::Working => Quantity::Working(is_so),
            Signal::Ignition => Quantity::Ignition(is_so),
            Signal::Occupied => Quantity::Occupied(is_so),
            Signal::Tilted => Quantity::Tilted(is_so),
            Signal::Fire => Quantity::Fire(is_so),
        }])
    }
}

/// A card reader: which card is near now, if one is. A card that stays is said once.
pub(super) struct Cards<R> {
    pub(super) read: R,
    pub(super) present: Option<Tag>,
}

impl<R: FnMut() -> Result<Option<Tag>, String> + Send> Chip for Cards<R> {
    fn look(&mut self, _now_ms: u64) -> Looked {
        let now = (self.read)()?;
        let before = std::mem::replace(&mut self.present, now);
        let new = now.filter(|tag| before != Some(*tag));
        Ok(new.map(lift).into_iter().collect())
    }
}

/// Starts an MFRC522. The error says what the reader or the bus said.
pub(super) fn start_mfrc522<S>(spi: S) -> Result<impl Chip, String>
where
    S: SpiDevice + Send,
{
    let reader = Mfrc522::new(SpiInterface::new(spi));
    let mut reader = reader.init().map_err(|error| format!("{error:?}"))?;
    answers(&mut reader)?;
    let read = move || {
        // Each time: of a reader that is gone the driver would wait for a card without end.
        answers(&mut reader)?;
        // A card that has been asked once sleeps; this wakes it, so that one that stays is seen.
        let Ok(answer) = reader.wupa() else { return Ok(None) };
        let Ok(card) = reader.select(&answer) else { return Ok(None) };
        // Without it the card answers no further question; its silence is the right answer.
        let _ = reader.hlta();
        let digits: String = card.as_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
        Ok(Tag::from_hex(&digits))
    };
    Ok(Cards { read, present: None })
}

/// Whether it is there. 0x91 and 0x92 are NXP's, 0x88 is a common clone's; nothing at all answers with all zeros
/// or ones.
fn answers<S: SpiDevice>(
    reader: &mut Mfrc522<SpiInterface<S, DummyDelay>, Initialized>,
) -> Result<(), String> {
    match reader.version() {
        Ok(0x00 | 0xff) => Err("nothing answers".to_owned()),
        Ok(_) => Ok(()),
        Err(error) => Err(format!("{error:?}")),
    }
}

/// A reader sits on the arm of a vehicle: a card at it is a bin that is being lifted.
pub(super) const fn lift(tag: Tag) -> Quantity {
    Quantity::Lift(Lift { tag, gross: None, tare: None })
}

#[cfg(test)]
mod mfrc522_tests;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod vl53l0x_tests;
