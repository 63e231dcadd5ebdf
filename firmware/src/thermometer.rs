//! The node's thermometer: its latest word, and whether it burns.

use wire::Temperature;

/// After this much cooling below the threshold the fire is over: thousandths of a degree.
const HYSTERESIS: i32 = 10_000;

/// What is known of the temperature.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Thermometer {
    /// As a report gives it. Until the first answer: a thermometer that does not answer.
    pub(crate) latest: Temperature,
    /// Whether it burns; `None` without a working thermometer.
    pub(crate) fire: Option<bool>,
    /// The latest reading was hot, and alone.
    suspicion: bool,
}

impl Thermometer {
    pub(crate) const fn new() -> Thermometer {
        Thermometer { latest: Temperature::Fault, fire: None, suspicion: false }
    }

    /// Takes a reading. Two hot ones in a row are a fire; a thermometer that falls silent in a fire does
    /// not end it.
    pub(crate) fn read(&mut self, reading: Temperature, fire_mc: i32) {
        self.latest = reading;
        let Temperature::MilliCelsius(mc) = reading else {
            self.fire = self.fire.filter(|burns| *burns);
            self.suspicion = false;
            return;
        };
        let burns = self.fire == Some(true);
        let hot = mc >= if burns { fire_mc.saturating_sub(HYSTERESIS) } else { fire_mc };
        self.fire = Some(hot && (burns || self.suspicion));
        self.suspicion = hot && self.fire != Some(true);
    }

    /// Its latest word in thousandths of a degree, if it has one.
    pub(crate) const fn milli_celsius(&self) -> Option<i32> {
        match self.latest {
            Temperature::MilliCelsius(mc) => Some(mc),
            Temperature::NotFitted | Temperature::Fault => None,
        }
    }

    /// Whether another reading should follow soon.
    pub(crate) const fn is_suspicious(&self) -> bool {
        self.suspicion
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_hot_readings_are_a_fire_until_it_has_cooled_well_below() {
        let mut thermometer = Thermometer::new();
        assert_eq!((thermometer.latest, thermometer.fire), (Temperature::Fault, None));
        let table = [
            (64_999, Some(false), false),
            (65_000, Some(false), true),
            (64_000, Some(false), false),
            (70_000, Some(false), true),
            (90_000, Some(true), false),
            (55_000, Some(true), false),
            (54_999, Some(false), false),
            (60_000, Some(false), false),
            (i32::MAX, Some(false), true),
            (i32::MIN, Some(false), false),
        ];
        for (mc, fire, suspicious) in table {
            thermometer.read(Temperature::MilliCelsius(mc), 65_000);
            assert_eq!((thermometer.fire, thermometer.is_suspicious()), (fire, suspicious), "{mc}");
        }
    }

    #[test]
    fn a_thermometer_that_falls_silent_tells_nothing_and_ends_no_fire() {
        let mut thermometer = Thermometer::new();
        thermometer.read(Temperature::MilliCelsius(20_000), 65_000);
        thermometer.read(Temperature::Fault, 65_000);
        assert_eq!(thermometer.fire, None);
        for _ in 0..2 {
            thermometer.read(Temperature::MilliCelsius(99_000), 65_000);
        }
        thermometer.read(Temperature::Fault, 65_000);
        assert_eq!((thermometer.latest, thermometer.fire), (Temperature::Fault, Some(true)));
        thermometer.read(Temperature::MilliCelsius(20_000), 65_000);
        assert_eq!(thermometer.fire, Some(false));
    }
}
