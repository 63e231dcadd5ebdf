//! A street as a magnetometer in the ground sees it: what each vehicle adds to the field of the earth, and what
//! the weather, the railway and the sensor add to both.
//!
//! A vehicle is three magnetic dipoles (front, middle, rear), whose field falls with the third power of the
//! distance. How strong they are is drawn such that the vehicle changes the field by what is measured on
//! streets: 5 to 50 µT above the sensor, or 0.5 to 3 µT from 2.5 m beside it, each as likely on a scale of
//! factors. Everything else that it does follows from the dipoles: on its way, from farther away, or when it
//! passes on the lane. Of those that pass, one in ten is a lorry or a bus with 2.5 times as much.
//!
//! The sensor is the worst that the drivers know. Its sensitivity falls by 0.3 % per degree (HMC5883L, whose
//! family the LSM303DLHC belongs to; of the offset it is free, for it measures in both directions), its noise is
//! 2 mG, and it counts in steps of 91 nT. Everything comes from a seed.

use drivers::Field;

/// Metres, along the bay, across it, and up.
type Place = [f64; 3];

pub(crate) const SECOND: u64 = 1000;
pub(crate) const HOUR: u64 = 3600 * SECOND;
pub(crate) const DAY: u64 = 24 * HOUR;

/// µ0 / 4π, so that A·m² at a metre give µT.
const MU: f64 = 0.1;
/// What the sensor loses of its sensitivity with each degree, from the best to the worst.
const LOSS_PER_DEGREE: (f64, f64) = (0.001, 0.003);
/// Of one reading and axis, in µT.
const NOISE_UT: f64 = 0.2;
/// One count of the magnetometer at its finest gain, in nanotesla.
const COUNT_NT: f64 = 100_000.0 / 1100.0;

/// What a vehicle changes that stands beside the sensor, on the next of bays side by side.
const BESIDE_UT: (f64, f64) = (0.5, 3.0);
const BESIDE: Place = [0.0, 2.5, 0.0];
/// What a lorry or a bus is more than a car.
const LORRY: f64 = 2.5;

/// Numbers by chance, the same for the same seed (splitmix).
#[derive(Clone)]
pub(crate) struct Chance(u64);

impl Chance {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    pub(crate) fn between(&mut self, low: f64, high: f64) -> f64 {
        low + (high - low) * (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// Of standard deviation 1: the sum of twelve even numbers.
    fn normal(&mut self) -> f64 {
        (0..12).map(|_| self.between(0.0, 1.0)).sum::<f64>() - 6.0
    }

    fn ms(&mut self, low: u64, high: u64) -> u64 {
        self.between(low as f64, high as f64) as u64
    }
}

/// A vehicle as its dipoles: where in it, and how strong.
#[derive(Clone)]
struct Vehicle([(Place, Place); 3]);

impl Vehicle {
    /// One that changes the field by as much as `range` allows, standing at `at`: each as likely on a scale of
    /// factors.
    fn seen(chance: &mut Chance, at: Place, range: (f64, f64)) -> Vehicle {
        let wanted = chance.between(range.0.ln(), range.1.ln()).exp();
        let mut dipole = |along: f64| {
            let place =
                [along + 0.2 * chance.normal(), 0.2 * chance.normal(), chance.between(0.5, 0.75)];
            let moment = [
                chance.between(-30.0, 30.0),
                chance.between(-30.0, 30.0),
                -chance.between(15.0, 60.0),
            ];
            (place, moment)
        };
        let vehicle = Vehicle([dipole(1.3), dipole(0.0), dipole(-1.3)]);
        let is = length(vehicle.field(at));
        vehicle.stronger(wanted / is)
    }

    fn stronger(mut self, factor: f64) -> Vehicle {
        for (_, moment) in &mut self.0 {
            *moment = moment.map(|axis| axis * factor);
        }
        self
    }

    /// What it adds at the sensor, standing at `at`.
    fn field(&self, at: Place) -> Place {
        let mut sum = [0.0; 3];
        for (place, moment) in &self.0 {
            let r = [at[0] + place[0], at[1] + place[1], place[2]];
            let square = r.iter().map(|x| x * x).sum::<f64>();
            let dot = r.iter().zip(moment).map(|(a, b)| a * b).sum::<f64>();
            let scale = MU / (square * square.sqrt());
            for axis in 0..3 {
                sum[axis] += scale * (3.0 * dot * r[axis] / square - moment[axis]);
            }
        }
        sum
    }
}

fn length(field: Place) -> f64 {
    field.iter().map(|axis| axis * axis).sum::<f64>().sqrt()
}

/// A vehicle that comes, stays and goes.
#[derive(Clone)]
struct Visit {
    vehicle: Vehicle,
    /// Where it stands, and from where it comes.
    place: Place,
    way: Place,
    /// When it begins to come, stands, begins to go, and is gone.
    times: [u64; 4],
}

impl Visit {
    fn field(&self, now: u64) -> Option<Place> {
        let [comes, stands, goes, gone] = self.times;
        let part = |from: u64, to: u64| {
            let x = (now - from) as f64 / (to - from) as f64;
            // Gently off and gently to a stop.
            x * x * (3.0 - 2.0 * x)
        };
        let away = match now {
            t if t < comes || t >= gone => return None,
            t if t < stands => 1.0 - part(comes, stands),
            t if t < goes => 0.0,
            _ => part(goes, gone),
        };
        let at = [0, 1, 2].map(|axis| self.place[axis] + away * self.way[axis]);
        Some(self.vehicle.field(at))
    }
}

/// A vehicle that passes on the lane.
#[derive(Clone)]
struct Passage {
    vehicle: Vehicle,
    at: u64,
    metres_per_s: f64,
}

/// How a street lies.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Lie {
    /// Bays side by side, 2.5 m; the lane crosses at their end.
    Across,
    /// Bays one behind the other, 6 m; the lane runs beside them.
    Along,
}

/// What happens on a street.
#[derive(Clone, Copy)]
pub(crate) struct Life {
    pub(crate) days: u64,
    /// What the cars of this bay change: µT, from and to.
    pub(crate) signature: (f64, f64),
    pub(crate) lie: Lie,
    /// Direct currents of a railway.
    pub(crate) railway: bool,
    /// Whether anybody parks on the next bays.
    pub(crate) neighbours: bool,
}

/// A recording of a street.
pub(crate) struct Street {
    chance: Chance,
    earth: Place,
    visits: Vec<Visit>,
    neighbours: Vec<Visit>,
    passages: Vec<Passage>,
    /// Part of the sensitivity that goes with each degree.
    loss: f64,
    mean_c: f64,
    swing_c: f64,
    railway: Option<f64>,
    lie: Lie,
    /// The first of each that is not over.
    next: [usize; 3],
}

impl Street {
    pub(crate) fn new(seed: u64, life: Life) -> Street {
        let mut chance = Chance(seed);
        let chance = &mut chance;
        let earth =
            [chance.between(15.0, 30.0), chance.between(-10.0, 10.0), chance.between(30.0, 45.0)];
        let visits = visits(chance, life, [0.0; 3], |chance, place| {
            Vehicle::seen(chance, place, life.signature)
        });
        let step = match life.lie {
            Lie::Across => [0.0, 2.5, 0.0],
            Lie::Along => [6.0, 0.0, 0.0],
        };
        let mut neighbours = visits_of_neighbours(chance, life, step);
        neighbours.sort_by_key(|visit| visit.times[3]);
        neighbours.retain(|_| life.neighbours);
        let mut passages = vec![];
        let mut at = 60 * SECOND;
        while at < life.days * DAY {
            let factor = if chance.between(0.0, 1.0) < 0.1 { LORRY } else { 1.0 };
            passages.push(Passage {
                vehicle: Vehicle::seen(chance, BESIDE, BESIDE_UT).stronger(factor),
                at,
                metres_per_s: chance.between(3.0, 14.0),
            });
            at += chance.ms(5 * SECOND, 120 * SECOND);
        }
        Street {
            earth,
            visits,
            neighbours,
            passages,
            loss: chance.between(LOSS_PER_DEGREE.0, LOSS_PER_DEGREE.1),
            mean_c: chance.between(5.0, 30.0),
            swing_c: chance.between(5.0, 20.0),
            railway: life.railway.then(|| chance.between(0.5, 1.5)),
            lie: life.lie,
            chance: chance.clone(),
            next: [0; 3],
        }
    }

    /// When each vehicle of this bay stands still, moves off, and is gone.
    pub(crate) fn truth(&self) -> Vec<[u64; 3]> {
        self.visits
            .iter()
            .map(|Visit { times: [_, stands, goes, gone], .. }| [*stands, *goes, *gone])
            .collect()
    }

    /// Thousandths of a degree at the sensor.
    pub(crate) fn mc(&self, now: u64) -> i32 {
        let day = std::f64::consts::TAU * now as f64 / DAY as f64;
        ((self.mean_c - self.swing_c * day.cos()) * 1000.0) as i32
    }

    /// What the magnetometer would say of the empty bay, without noise.
    pub(crate) fn empty(&self, now: u64) -> Field {
        self.said(now, self.earth)
    }

    /// What the magnetometer says; times must not go back.
    pub(crate) fn read(&mut self, now: u64) -> Field {
        let mut sum = self.earth;
        let mut add = |part: Place| (0..3).for_each(|axis| sum[axis] += part[axis]);
        let (own, next) = (&self.visits, &self.neighbours);
        self.next[0] += own[self.next[0]..].iter().take_while(|v| v.times[3] <= now).count();
        self.next[1] += next[self.next[1]..].iter().take_while(|v| v.times[3] <= now).count();
        own[self.next[0]..].iter().take(1).filter_map(|v| v.field(now)).for_each(&mut add);
        next[self.next[1]..].iter().take(4).filter_map(|v| v.field(now)).for_each(&mut add);
        let reach = 8 * SECOND;
        let passed = |p: &&Passage| p.at + reach < now;
        self.next[2] += self.passages[self.next[2]..].iter().take_while(passed).count();
        for passage in self.passages[self.next[2]..].iter().take_while(|p| p.at < now + reach) {
            let way = passage.metres_per_s * (now as f64 - passage.at as f64) / 1000.0;
            add(passage.vehicle.field(match self.lie {
                Lie::Across => [5.5, way, 0.0],
                Lie::Along => [way, 2.9, 0.0],
            }));
        }
        if let Some(strength) = self.railway {
            let t = now as f64 / 1000.0;
            // Trains come and go; nothing of it is faster than seconds.
            let current = (t / 47.0).sin() * (t / 131.0).sin() * strength;
            add([current, 0.3 * current, 0.6 * current]);
        }
        let noise = [0; 3].map(|_| NOISE_UT * self.chance.normal());
        self.said(now, [0, 1, 2].map(|axis| sum[axis] + noise[axis]))
    }

    /// What the chip makes of a field: as sensitive as it is at its temperature, in counts and back.
    fn said(&self, now: u64, ut: Place) -> Field {
        let sensitivity = 1.0 - self.loss * (f64::from(self.mc(now)) / 1000.0 - 25.0);
        let [x, y, z] = ut.map(|axis| {
            let counts = (axis * sensitivity * 1000.0 / COUNT_NT).round();
            (counts * COUNT_NT) as i32
        });
        Field { x, y, z }
    }
}

/// Visits of one bay, one after the other.
fn visits(
    chance: &mut Chance,
    life: Life,
    place: Place,
    vehicle: impl Fn(&mut Chance, Place) -> Vehicle,
) -> Vec<Visit> {
    let mut all = vec![];
    let mut at = chance.ms(20 * 60 * SECOND, 40 * 60 * SECOND);
    loop {
        // Some stay for minutes, some for the night.
        let stay = chance.between(300_f64.ln(), 36_000_f64.ln()).exp() * 1000.0;
        let stands = at + chance.ms(3 * SECOND, 15 * SECOND);
        let goes = stands + stay as u64;
        let gone = goes + chance.ms(3 * SECOND, 10 * SECOND);
        if gone + HOUR > life.days * DAY {
            return all;
        }
        // They turn in from the lane.
        let way = match life.lie {
            Lie::Across => [8.0, chance.between(-2.5, 2.5), 0.0],
            Lie::Along => [6.0, 2.5, 0.0],
        };
        let off = [0.4 * chance.normal(), 0.15 * chance.normal(), 0.0];
        let place = [0, 1, 2].map(|axis| place[axis] + off[axis]);
        let vehicle = vehicle(chance, place);
        all.push(Visit { vehicle, place, way, times: [at, stands, goes, gone] });
        at = gone + chance.ms(60 * SECOND, 90 * 60 * SECOND);
    }
}

fn visits_of_neighbours(chance: &mut Chance, life: Life, step: Place) -> Vec<Visit> {
    let other = step.map(|metres| -metres);
    // Farther away than beside it is the vehicle that is as elsewhere, and not what it does.
    let vehicle = |chance: &mut Chance, place: Place| match life.lie {
        Lie::Across => Vehicle::seen(chance, place, BESIDE_UT),
        Lie::Along => Vehicle::seen(chance, BESIDE, BESIDE_UT),
    };
    let mut all = visits(chance, life, step, vehicle);
    all.extend(visits(chance, life, other, vehicle));
    all
}

#[test]
fn the_vehicles_do_what_vehicles_do() {
    let mut chance = Chance(1);
    let strength = |vehicle: &Vehicle, at| length(vehicle.field(at));
    for _ in 0..1_000 {
        let own = Vehicle::seen(&mut chance, [0.0; 3], (5.0, 50.0));
        assert!((4.99..50.01).contains(&strength(&own, [0.0; 3])));
        let other = Vehicle::seen(&mut chance, BESIDE, BESIDE_UT);
        assert!((0.49..3.01).contains(&strength(&other, BESIDE)));
        // From afar it falls with the third power of the distance.
        let ratio = strength(&other, [0.0, 40.0, 0.0]) / strength(&other, [0.0, 80.0, 0.0]);
        assert!((7.5..8.5).contains(&ratio), "{ratio}");
        // On a lane beside a row of bays, and on one that crosses at their end.
        assert!(strength(&other, [0.0, 2.9, 0.0]) < 3.0);
        assert!(strength(&other, [5.5, 0.0, 0.0]) < 1.0);
    }
}
