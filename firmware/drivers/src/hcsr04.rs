//! HC-SR04 and its waterproof kin (JSN-SR04T in pulse mode): an ultrasonic range finder with two pins.
//!
//! A pulse of 10 µs on TRIG asks for a measurement; ECHO is then high for as long as the sound was on
//! its way there and back. Let 60 ms pass between two measurements, or the old echo answers the new
//! question.

use core::fmt;

use embedded_hal::delay::DelayNs;
use embedded_hal::digital::OutputPin;

use crate::Range;

/// The nearest and the farthest distance that the sensor measures, in millimetres.
pub const REACH: core::ops::RangeInclusive<u32> = 20..=4000;

/// After this long ECHO counts as stuck. Without an echo the sensor itself gives up, after 38 ms, and
/// some makes after 200 ms.
pub const TIMEOUT_US: u32 = 250_000;

/// Measures how long a pin is high. The board does it with a timer or by polling.
pub trait EchoPin {
    /// What can fail.
    type Error: fmt::Debug;

    /// Waits for the pin to be high and then to be low again, for no longer than `timeout_us` in all.
    ///
    /// # Errors
    /// The pin cannot be read.
    fn high_pulse(&mut self, timeout_us: u32) -> Result<Pulse, Self::Error>;
}

/// What was seen on a pin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pulse {
    /// A pulse of this many microseconds.
    Microseconds(u32),
    /// The pin never went high.
    Missing,
    /// The pin went high and stayed so.
    Endless,
}

/// Why there is no measurement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Error<T, E> {
    /// TRIG cannot be driven.
    Trigger(T),
    /// ECHO cannot be read.
    Echo(E),
    /// The sensor does not answer: no power, or a broken wire.
    Silent,
    /// ECHO stays high: the sensor hangs, or the wire touches the supply.
    Stuck,
}

impl<T: fmt::Debug, E: fmt::Debug> fmt::Display for Error<T, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Trigger(error) => write!(f, "driving TRIG: {error:?}"),
            Error::Echo(error) => write!(f, "reading ECHO: {error:?}"),
            Error::Silent => f.write_str("ECHO never went high: no power, or a broken wire"),
            Error::Stuck => {
                f.write_str("ECHO stays high: the sensor hangs, or the wire is shorted")
            }
        }
    }
}

impl<T: fmt::Debug, E: fmt::Debug> core::error::Error for Error<T, E> {}

/// The air that the sound travels through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Air {
    /// Thousandths of a degree Celsius, within [`Air::TEMPERATURE`].
    milli_celsius: i32,
}

impl Air {
    /// What air at a sensor can have, in thousandths of a degree Celsius.
    pub const TEMPERATURE: core::ops::RangeInclusive<i32> = -60_000..=120_000;

    /// 15 °C, for a place without a thermometer. Every degree that it is wrong by makes a distance wrong
    /// by 0.18 %.
    pub const MILD: Air = Air { milli_celsius: 15_000 };

    /// Air of this many thousandths of a degree Celsius; `None` when no air can have that.
    #[must_use]
    pub fn new(milli_celsius: i32) -> Option<Air> {
        Air::TEMPERATURE.contains(&milli_celsius).then_some(Air { milli_celsius })
    }

    /// The speed of sound in millimetres per second: 331.3 m/s at 0 °C and 0.606 m/s more per degree,
    /// the usual linear form, within 0.3 % from -40 to 70 °C.
    #[must_use]
    pub const fn sound_mm_per_s(self) -> u32 {
        // Between 294 940 and 404 020: positive.
        (331_300 + self.milli_celsius * 606 / 1000).unsigned_abs()
    }

    /// How far away it is when the sound needs `microseconds` for the way there and back.
    #[must_use]
    pub fn range(self, microseconds: u32) -> Range {
        let twice = u64::from(microseconds) * u64::from(self.sound_mm_per_s()) / 1_000_000;
        match u16::try_from(twice.div_ceil(2)) {
            Ok(mm) if REACH.contains(&mm.into()) => Range::Millimetres(mm),
            Ok(mm) if u32::from(mm) < *REACH.start() => Range::TooClose,
            _ => Range::NoTarget,
        }
    }
}

/// The sensor on its pins.
#[derive(Debug)]
pub struct Hcsr04<T, E> {
    trigger: T,
    echo: E,
}

impl<T: OutputPin, E: EchoPin> Hcsr04<T, E> {
    /// Takes the pins; does not touch them.
    pub const fn new(trigger: T, echo: E) -> Hcsr04<T, E> {
        Hcsr04 { trigger, echo }
    }

    /// Gives the pins back.
    pub fn release(self) -> (T, E) {
        (self.trigger, self.echo)
    }

    /// Measures once; takes up to [`TIMEOUT_US`]. `delay` is for the 10 µs of the trigger.
    ///
    /// # Errors
    /// A pin fails, or the sensor does not answer.
    pub fn measure(
        &mut self,
        air: Air,
        delay: &mut impl DelayNs,
    ) -> Result<Range, Error<T::Error, E::Error>> {
        self.trigger.set_high().map_err(Error::Trigger)?;
        delay.delay_us(10);
        self.trigger.set_low().map_err(Error::Trigger)?;
        match self.echo.high_pulse(TIMEOUT_US).map_err(Error::Echo)? {
            Pulse::Microseconds(us) => Ok(air.range(us)),
            Pulse::Endless => Err(Error::Stuck),
            Pulse::Missing => Err(Error::Silent),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use embedded_hal_mock::eh1::MockError;
    use embedded_hal_mock::eh1::delay::{CheckedDelay, Transaction as Delay};
    use embedded_hal_mock::eh1::digital::{Mock as Pin, State, Transaction};

    struct Echo(Result<Pulse, &'static str>);

    impl EchoPin for Echo {
        type Error = &'static str;
        fn high_pulse(&mut self, timeout_us: u32) -> Result<Pulse, &'static str> {
            assert_eq!(timeout_us, TIMEOUT_US);
            self.0
        }
    }

    fn measure(echo: Result<Pulse, &'static str>) -> Result<Range, Error<MockError, &'static str>> {
        let pin = Pin::new(&[Transaction::set(State::High), Transaction::set(State::Low)]);
        let mut delay = CheckedDelay::new(&[Delay::delay_us(10)]);
        let mut sensor = Hcsr04::new(pin, Echo(echo));
        let range = sensor.measure(Air::MILD, &mut delay);
        sensor.release().0.done();
        delay.done();
        range
    }

    #[test]
    fn it_is_triggered_and_its_echo_is_read() {
        assert_eq!(measure(Ok(Pulse::Microseconds(5880))), Ok(Range::Millimetres(1001)));
        assert_eq!(measure(Ok(Pulse::Microseconds(38_000))), Ok(Range::NoTarget));
        assert_eq!(measure(Ok(Pulse::Endless)), Err(Error::Stuck));
        assert_eq!(measure(Ok(Pulse::Missing)), Err(Error::Silent));
        assert_eq!(measure(Err("pin")), Err(Error::Echo("pin")));
    }

    #[test]
    fn a_trigger_that_fails_is_told() {
        let error = MockError::Io(std::io::ErrorKind::NotConnected);
        let pin = Pin::new(&[Transaction::set(State::High).with_error(error)]);
        let mut sensor = Hcsr04::new(pin, Echo(Ok(Pulse::Missing)));
        let mut delay = CheckedDelay::new(&[]);
        assert!(matches!(sensor.measure(Air::MILD, &mut delay), Err(Error::Trigger(_))));
        delay.done();
        sensor.release().0.done();
    }

    #[test]
    fn sound_is_faster_in_warm_air() {
        let table = [
            (-60_000, 294_940),
            (-20_000, 319_180),
            (0, 331_300),
            (15_000, 340_390),
            (20_000, 343_420),
            (40_000, 355_540),
            (120_000, 404_020),
        ];
        for (mc, speed) in table {
            assert_eq!(Air::new(mc).map(Air::sound_mm_per_s), Some(speed), "{mc}");
        }
        for mc in [i32::MIN, -60_001, 120_001, i32::MAX] {
            assert_eq!(Air::new(mc), None, "{mc}");
        }
    }

    #[test]
    fn the_same_echo_is_farther_in_warm_air() {
        let range = |mc, us| Air::new(mc).map(|air| air.range(us));
        assert_eq!(range(-20_000, 10_000), Some(Range::Millimetres(1596)));
        assert_eq!(range(20_000, 10_000), Some(Range::Millimetres(1717)));
        assert_eq!(range(40_000, 10_000), Some(Range::Millimetres(1778)));
    }

    #[test]
    fn the_edges_of_the_reach() {
        let range = |us| Air::MILD.range(us);
        let mut last = 0;
        for us in 0..30_000 {
            match range(us) {
                Range::TooClose => assert!(us < 118, "{us}"),
                Range::Millimetres(mm) => {
                    assert!((20..=4000).contains(&mm) && mm >= last, "{us}: {mm}");
                    last = mm;
                }
                Range::NoTarget => assert!(us > 23_500, "{us}"),
            }
        }
        assert_eq!(last, 4000);
        assert_eq!((range(0), range(u32::MAX)), (Range::TooClose, Range::NoTarget));
    }
}
