//! What the street's sensors notice and send, and when: truth in, reports out.
//!
//! A report is what a sensor has to say; how it is put into bytes is the business of the wire formats:
//! * `nodes`: our own battery nodes on a serial line, sent again until acknowledged.
//! * `lns`: LoRaWAN devices behind a ChirpStack network server, published to a broker.
//! * `gnss`: the receivers of the sweepers, which talk once a second whatever happens.

pub mod gnss;
pub mod lns;
pub mod nodes;

use domain::time::Span;

use super::chance::Chance;
use super::street::{BIN_EMPTY_MM, BIN_FULL_MM};
use super::world::{Filling, Fillings, Outage, Outages, Spot, Stay, Stays, World};

/// A sensor that has nothing new to say repeats its state after this long.
pub const KEEP_ALIVE: Span = Span::from_mins(5);

/// Bins are measured this often.
const BIN_SAMPLE: Span = Span::from_mins(1);
/// A level that has changed by this much since the last report is reported at once, in millimetres.
const BIN_CHANGE_MM: u32 = 50;
/// Standard deviation of a distance measurement, in millimetres.
const BIN_NOISE_MM: f64 = 3.0;

/// What one sensor has to say at one moment.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Report {
    /// When it was measured, from the start.
    pub at: Span,
    /// What was measured.
    pub measured: Measured,
    /// At the sensor, in thousandths of a degree Celsius.
    pub temperature_mc: i32,
}

/// What was measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Measured {
    /// Whether something stands on the bay.
    Bay {
        /// It does.
        occupied: bool,
        /// The state has just changed.
        changed: bool,
        /// How long the state before lasted, where the sensor saw its beginning.
        lasted: Option<Span>,
    },
    /// How far the waste is from the sensor.
    Bin {
        /// In millimetres.
        distance_mm: u32,
    },
}

/// Every report of the spot's sensor, in order and without end.
#[must_use]
pub fn reports(world: &World, spot: Spot) -> Reports {
    let outages = world.outages(spot);
    match spot {
        Spot::Bay(i) => {
            let chance = Chance::new(world.seed, "bay sensor", i as u64);
            Reports(Kind::Bay(BaySensor::new(world.stays(i), chance), Silence::new(outages)))
        }
        Spot::Bin(i) => {
            let chance = Chance::new(world.seed, "bin sensor", i as u64);
            Reports(Kind::Bin(BinSensor::new(world.fillings(i), chance), Silence::new(outages)))
        }
    }
}

/// See [`reports`].
#[derive(Debug, Clone)]
pub struct Reports(Kind);

#[derive(Debug, Clone)]
enum Kind {
    Bay(BaySensor, Silence),
    Bin(BinSensor, Silence),
}

impl Iterator for Reports {
    type Item = Report;

    fn next(&mut self) -> Option<Report> {
        // A silent sensor still measures; what it would have said is lost.
        match &mut self.0 {
            Kind::Bay(sensor, silence) => sensor.find(|report| !silence.covers(report.at)),
            Kind::Bin(sensor, silence) => sensor.find(|report| !silence.covers(report.at)),
        }
    }
}

/// The outages, looked at in the order of time.
#[derive(Debug, Clone)]
struct Silence {
    outages: Outages,
    present: Option<Outage>,
}

impl Silence {
    fn new(mut outages: Outages) -> Silence {
        let present = outages.next();
        Silence { outages, present }
    }

    fn covers(&mut self, t: Span) -> bool {
        while self.present.is_some_and(|outage| outage.until <= t) {
            self.present = self.outages.next();
        }
        self.present.is_some_and(|outage| outage.from <= t)
    }
}

/// A bay's sensor: tells changes at once and repeats its state otherwise.
#[derive(Debug, Clone)]
struct BaySensor {
    chance: Chance,
    stays: Stays,
    /// The stay that goes on, or the next one.
    stay: Stay,
    occupied: bool,
    /// When the present state began; `None`: before the start.
    since: Option<Span>,
    /// How long after a change it is sure of it.
    lag: Span,
    repeat: Span,
}

impl BaySensor {
    fn new(mut stays: Stays, mut chance: Chance) -> BaySensor {
        let stay = stays.next().expect("stays do not end");
        let (lag, repeat) = (lag(&mut chance), Span::from_ms(chance.between(1_000, 25_000)));
        BaySensor { chance, stays, stay, occupied: false, since: None, lag, repeat }
    }

    fn change(&mut self, at: Span) -> Report {
        let lasted = self.since.map(|since| Span::from_ms(at.as_ms() - since.as_ms()));
        // A car that stood there from the start came before anything was measured.
        let seen = self.occupied || self.stay.arrive > Span::ZERO;
        self.occupied = !self.occupied;
        self.since = Some(at);
        if !self.occupied {
            self.stay = self.stays.next().expect("stays do not end");
        }
        self.lag = lag(&mut self.chance);
        self.report(at, seen, lasted)
    }

    fn report(&mut self, at: Span, changed: bool, lasted: Option<Span>) -> Report {
        let repeat_in = Span::from_ms(KEEP_ALIVE.as_ms() - self.chance.between(0, 4_000));
        self.repeat = at.saturating_add(repeat_in);
        let measured = Measured::Bay { occupied: self.occupied, changed, lasted };
        Report { at, measured, temperature_mc: temperature(&mut self.chance) }
    }
}

impl Iterator for BaySensor {
    type Item = Report;

    fn next(&mut self) -> Option<Report> {
        let edge = if self.occupied { self.stay.leave } else { self.stay.arrive };
        let change = edge.saturating_add(self.lag);
        Some(if change <= self.repeat {
            self.change(change)
        } else {
            self.report(self.repeat, false, None)
        })
    }
}

/// A bin's sensor: measures every minute, tells a change of the level at once and repeats it otherwise.
#[derive(Debug, Clone)]
struct BinSensor {
    chance: Chance,
    fillings: Fillings,
    filling: Filling,
    sample: Span,
    told: Option<(Span, u32)>,
}

impl BinSensor {
    fn new(mut fillings: Fillings, mut chance: Chance) -> BinSensor {
        let filling = fillings.next().expect("fillings do not end");
        let sample = Span::from_ms(chance.between(2_000, 28_000));
        BinSensor { chance, fillings, filling, sample, told: None }
    }

    fn distance_mm(&mut self, at: Span) -> u32 {
        while self.filling.until <= at {
            self.filling = self.fillings.next().expect("fillings do not end");
        }
        let depth = f64::from(BIN_EMPTY_MM - BIN_FULL_MM);
        let height = self.filling.level_at(at) / 1000.0 * depth;
        let noise = self.chance.bell() * BIN_NOISE_MM;
        // Positive and small: the cap of a filling leaves some 170 mm.
        (f64::from(BIN_EMPTY_MM) - height + noise).round() as u32
    }
}

impl Iterator for BinSensor {
    type Item = Report;

    fn next(&mut self) -> Option<Report> {
        loop {
            let at = self.sample;
            self.sample = at.saturating_add(BIN_SAMPLE);
            let distance_mm = self.distance_mm(at);
            let news = self.told.is_none_or(|(when, told)| {
                told.abs_diff(distance_mm) >= BIN_CHANGE_MM || at >= when.saturating_add(KEEP_ALIVE)
            });
            if news {
                self.told = Some((at, distance_mm));
                let measured = Measured::Bin { distance_mm };
                return Some(Report {
                    at,
                    measured,
                    temperature_mc: temperature(&mut self.chance),
                });
            }
        }
    }
}

/// How long a magnetometer waits until the field keeps still.
fn lag(chance: &mut Chance) -> Span {
    Span::from_ms(chance.between(2_000, 6_000))
}

/// A warm day in June, with the noise of a cheap thermometer.
fn temperature(chance: &mut Chance) -> i32 {
    // Within some degrees of 27 °C.
    27_000 + (chance.bell() * 300.0).round() as i32
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::demo::street::{BAYS, BINS};

    fn spot() -> impl Strategy<Value = Spot> {
        prop_oneof![(0..BAYS.len()).prop_map(Spot::Bay), (0..BINS.len()).prop_map(Spot::Bin)]
    }

    proptest! {
        #[test]
        fn a_sensor_is_never_quiet_for_long_unless_it_is_out(seed: u64, spot in spot()) {
            let world = World::new(seed);
            let mut outages = world.outages(spot);
            let mut outage = outages.next().unwrap();
            let mut before = Span::ZERO;
            for report in reports(&world, spot).take(2000) {
                prop_assert!(report.at > before);
                let limit = KEEP_ALIVE.saturating_add(BIN_SAMPLE);
                let quiet = Span::from_ms(report.at.as_ms() - before.as_ms());
                if quiet > limit {
                    let length = outage.until.as_ms() - outage.from.as_ms();
                    prop_assert!(before <= outage.from && outage.until <= report.at);
                    prop_assert!(quiet.as_ms() <= length + 2 * limit.as_ms());
                }
                if report.at >= outage.until {
                    outage = outages.next().unwrap();
                }
                prop_assert!(report.at < outage.from, "spoke while it was out");
                before = report.at;
            }
        }

        #[test]
        fn a_bay_sensor_tells_what_is_true(seed: u64, bay in 0..BAYS.len()) {
            let world = World::new(seed);
            let mut stays = world.stays(bay);
            let mut stay = stays.next().unwrap();
            for report in reports(&world, Spot::Bay(bay)).take(1000) {
                let Measured::Bay { occupied, changed, lasted } = report.measured else {
                    return Err(TestCaseError::fail("a bay sensor told of a bin"));
                };
                let settled = Span::from_secs(6);
                while stay.leave.saturating_add(settled) < report.at {
                    stay = stays.next().unwrap();
                }
                let inside = stay.arrive <= report.at && report.at < stay.leave;
                let turning = report.at < stay.arrive.saturating_add(settled)
                    || (stay.leave <= report.at && report.at <= stay.leave.saturating_add(settled));
                prop_assert!(occupied == inside || turning, "{:?} {:?}", report, stay);
                prop_assert!(changed || lasted.is_none());
            }
        }

        #[test]
        fn a_bin_sensor_tells_the_level_within_its_noise(seed: u64, bin in 0..BINS.len()) {
            let world = World::new(seed);
            let mut fillings = world.fillings(bin);
            let mut filling = fillings.next().unwrap();
            for report in reports(&world, Spot::Bin(bin)).take(1000) {
                while filling.until <= report.at {
                    filling = fillings.next().unwrap();
                }
                let Measured::Bin { distance_mm } = report.measured else {
                    return Err(TestCaseError::fail("a bin sensor told of a bay"));
                };
                let depth = f64::from(BIN_EMPTY_MM - BIN_FULL_MM);
                let level = (f64::from(BIN_EMPTY_MM) - f64::from(distance_mm)) / depth * 1000.0;
                let error = (level - filling.level_at(report.at)).abs();
                prop_assert!(error <= 6.0 * BIN_NOISE_MM + 1.0, "{}", error);
            }
        }
    }
}
