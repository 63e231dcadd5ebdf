//! What truly happens in the street, under one seed: cars come and go, bins fill and are emptied, sensors
//! fall silent, sweepers drive.
//!
//! Everything is a pure function of the seed and of the time since the start. Nothing is remembered and
//! nothing ends: each life is an iterator that can be begun again by whoever wants to know, which is how
//! `sensors` and `plan` see the same street without sharing it. What a sensor makes of it is not told
//! here.
//!
//! Some of what happens is planted early, so that an hour of this street shows each kind of problem; the
//! rest comes by chance.

use domain::time::Span;

use super::chance::Chance;
use super::street::{BAYS, Leg, Point, Round};

/// The most grace on top of a bay's longest stay that the planted stays reckon with. A rule with more
/// still works; fewer stays are found by it.
pub const GRACE_MAX: Span = Span::from_mins(5);

const MINUTE: u64 = 60_000;

/// What has a sensor of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Spot {
    /// A bay, by its place in the street's list.
    Bay(usize),
    /// A bin, by its place in the street's list.
    Bin(usize),
}

/// The street under one seed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct World {
    /// The seed.
    pub seed: u64,
}

/// A car on a bay. Times count from the start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stay {
    /// When it came; zero for a car that stood there already.
    pub arrive: Span,
    /// When it leaves.
    pub leave: Span,
    /// It stays longer than the bay allows.
    pub over: bool,
}

/// A bin between two collections. Times count from the start.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Filling {
    /// When the collector left.
    pub from: Span,
    /// When the collector comes again.
    pub until: Span,
    /// The level in the beginning, in thousandths.
    pub level: f64,
    /// Thousandths in an hour.
    pub rate: f64,
    /// The level at which nothing more goes in, in thousandths; it may be over the full line.
    pub cap: f64,
    /// It is not collected before it is full.
    pub over: bool,
}

/// A sensor that says nothing. Times count from the start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Outage {
    /// From then on nothing is sent.
    pub from: Span,
    /// From then on it is sent again.
    pub until: Span,
}

/// A sweeper at one moment.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Motion {
    /// Where it is.
    pub at: Point,
    /// Its speed in metres per second.
    pub speed: f64,
    /// Where it heads: degrees clockwise from north.
    pub course: f64,
    /// Whether the brush is down.
    pub brush: bool,
    /// Whether satellites can be seen.
    pub sky: bool,
}

impl World {
    /// The street of `seed`.
    #[must_use]
    pub const fn new(seed: u64) -> World {
        World { seed }
    }

    /// Every stay on the bay, in order, never overlapping.
    #[must_use]
    pub fn stays(&self, bay: usize) -> Stays {
        Stays { chance: Chance::new(self.seed, "stays", bay as u64), bay, left: None }
    }

    /// Every filling of the bin, in order, without gaps.
    #[must_use]
    pub fn fillings(&self, bin: usize) -> Fillings {
        Fillings { chance: Chance::new(self.seed, "fillings", bin as u64), bin, emptied: None }
    }

    /// Every time the spot's sensor falls silent, in order, never overlapping.
    #[must_use]
    pub fn outages(&self, spot: Spot) -> Outages {
        let number = match spot {
            Spot::Bay(i) => i as u64,
            Spot::Bin(i) => 1000 + i as u64,
        };
        Outages { chance: Chance::new(self.seed, "outages", number), spot, back: None }
    }
}

/// See [`World::stays`].
#[derive(Debug, Clone)]
pub struct Stays {
    chance: Chance,
    bay: usize,
    left: Option<Span>,
}

impl Iterator for Stays {
    type Item = Stay;

    fn next(&mut self) -> Option<Stay> {
        let max = BAYS[self.bay].max_stay.as_ms();
        let chance = &mut self.chance;
        let (wait, over) = match (self.left, self.bay) {
            // Two loading bays are blocked soon after the start.
            (None, 0) => (chance.between(2 * MINUTE, 3 * MINUTE), true),
            (None, 1) => (chance.between(5 * MINUTE, 9 * MINUTE), true),
            (None, _) if chance.once_in(2) => (0, false),
            (None, _) => (chance.between(MINUTE, 20 * MINUTE), false),
            (Some(_), _) => (chance.between(2 * MINUTE, 5 * MINUTE + max / 5), chance.once_in(10)),
        };
        let length = if over {
            max + GRACE_MAX.as_ms() + chance.between(6 * MINUTE, 12 * MINUTE + max / 4)
        } else {
            chance.between(3 * MINUTE, max - 4 * MINUTE)
        };
        let arrive = Span::from_ms(self.left.map_or(0, Span::as_ms) + wait);
        let leave = arrive.saturating_add(Span::from_ms(length));
        self.left = Some(leave);
        Some(Stay { arrive, leave, over })
    }
}

/// See [`World::fillings`].
#[derive(Debug, Clone)]
pub struct Fillings {
    chance: Chance,
    bin: usize,
    emptied: Option<Span>,
}

impl Iterator for Fillings {
    type Item = Filling;

    fn next(&mut self) -> Option<Filling> {
        let chance = &mut self.chance;
        let (level, rate, over) = match (self.emptied, self.bin) {
            // Two bins of the market street are nearly full when it begins.
            (None, 0) => (chance.between(755, 775), chance.between(1500, 1700), true),
            (None, 1) => (chance.between(620, 660), chance.between(540, 660), true),
            (None, _) => (chance.between(50, 400), chance.between(80, 240), chance.once_in(4)),
            (Some(_), _) => (chance.between(20, 50), chance.between(80, 300), chance.once_in(4)),
        };
        let cap = chance.between(1000, 1030);
        let from = self.emptied.unwrap_or(Span::ZERO);
        // Milliseconds until the level is reached.
        let reach = |goal: u64| (goal - level) * 60 * MINUTE / rate;
        let length = if over {
            reach(cap) + chance.between(14 * MINUTE, 22 * MINUTE)
        } else {
            reach(chance.between(500, 700))
        };
        let until = from.saturating_add(Span::from_ms(length));
        self.emptied = Some(until);
        let (level, rate, cap) = (level as f64, rate as f64, cap as f64);
        Some(Filling { from, until, level, rate, cap, over })
    }
}

impl Filling {
    /// The level at `t`, in thousandths of the way from the bottom to the full line.
    #[must_use]
    pub fn level_at(&self, t: Span) -> f64 {
        let hours = t.as_ms().saturating_sub(self.from.as_ms()) as f64 / 3_600_000.0;
        (self.level + self.rate * hours).min(self.cap)
    }
}

/// See [`World::outages`].
#[derive(Debug, Clone)]
pub struct Outages {
    chance: Chance,
    spot: Spot,
    back: Option<Span>,
}

impl Iterator for Outages {
    type Item = Outage;

    fn next(&mut self) -> Option<Outage> {
        let chance = &mut self.chance;
        let (wait, length) = match (self.back, self.spot) {
            // One comes back within the hour, one stays away for half a day.
            (None, Spot::Bay(2)) => {
                (chance.between(4 * MINUTE, 6 * MINUTE), chance.between(30 * MINUTE, 34 * MINUTE))
            }
            (None, Spot::Bin(2)) => (chance.between(9 * MINUTE, 13 * MINUTE), 12 * 60 * MINUTE),
            _ => (
                chance.between(36 * 60 * MINUTE, 120 * 60 * MINUTE),
                chance.between(30 * MINUTE, 180 * MINUTE),
            ),
        };
        let from = Span::from_ms(self.back.map_or(0, Span::as_ms) + wait);
        let until = from.saturating_add(Span::from_ms(length));
        self.back = Some(until);
        Some(Outage { from, until })
    }
}

/// Metres per second with the brush down: 8 km/h, what operators prescribe.
pub const SWEEPING: f64 = 8.0 / 3.6;
/// Metres per second with the brush up: 22 km/h.
pub const TRAVELLING: f64 = 22.0 / 3.6;

impl Leg {
    /// How long it takes, in seconds.
    fn seconds(self) -> f64 {
        match self {
            Leg::Sweep(line) => line.length() / SWEEPING,
            Leg::Travel(line) => line.length() / TRAVELLING,
            Leg::Stop(span) => span.as_ms() as f64 / 1000.0,
        }
    }
}

impl Round {
    /// Where the sweeper is, and what it does, `t` after the start.
    #[must_use]
    pub fn motion(&self, t: Span) -> Motion {
        let cycle: f64 = self.legs.iter().map(|leg| leg.seconds()).sum();
        let mut left = (t.as_ms() as f64 / 1000.0) % cycle;
        // Where a stop stands: the end of the last line before it.
        let mut end = self.last_line_end();
        for (i, leg) in self.legs.iter().enumerate() {
            let seconds = leg.seconds();
            let here = left < seconds;
            let (line, speed, brush) = match *leg {
                Leg::Sweep(line) => (line, SWEEPING, true),
                Leg::Travel(line) => (line, TRAVELLING, false),
                Leg::Stop(_) if here => {
                    return Motion {
                        at: end.0,
                        speed: 0.0,
                        course: end.1,
                        brush: false,
                        sky: true,
                    };
                }
                Leg::Stop(_) => {
                    left -= seconds;
                    continue;
                }
            };
            if here {
                let along = left * speed;
                let (at, direction) = line.along(along);
                let tunnel = i == 0 && (self.tunnel.0..self.tunnel.1).contains(&along);
                return Motion { at, speed, course: course(direction), brush, sky: !tunnel };
            }
            let (at, direction) = line.along(f64::INFINITY);
            end = (at, course(direction));
            left -= seconds;
        }
        Motion { at: end.0, speed: 0.0, course: end.1, brush: false, sky: true }
    }

    fn last_line_end(&self) -> (Point, f64) {
        let lines = self.legs.iter().rev().find_map(|leg| match leg {
            Leg::Sweep(line) | Leg::Travel(line) => Some(*line),
            Leg::Stop(_) => None,
        });
        let (at, direction) = lines.expect("a round has a line").along(f64::INFINITY);
        (at, course(direction))
    }
}

/// Degrees clockwise from north of a direction, east and north.
fn course((east, north): (f64, f64)) -> f64 {
    let degrees = east.atan2(north).to_degrees();
    if degrees < 0.0 { degrees + 360.0 } else { degrees }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::demo::street::{BINS, SWEEPERS};

    const HOUR: Span = Span::from_mins(60);

    #[test]
    fn the_same_seed_is_the_same_street_and_another_is_another() {
        let stays = |seed| World::new(seed).stays(5).take(50).collect::<Vec<_>>();
        assert_eq!(stays(7), stays(7));
        assert_ne!(stays(7), stays(8));
        let first = |bay| World::new(7).stays(bay).nth(3);
        assert_ne!(first(4), first(5), "bays of one street differ");
    }

    #[test]
    fn a_sweeper_goes_its_round_without_jumps() {
        for round in SWEEPERS {
            let mut before = round.motion(Span::ZERO);
            let (mut swept, mut dark) = (0, 0);
            for second in 1..7200 {
                let now = round.motion(Span::from_secs(second));
                let moved = before.at.distance(now.at);
                assert!(moved < TRAVELLING + 0.5, "{} jumps {moved} m at {second} s", round.plate);
                swept += u32::from(now.brush);
                dark += u32::from(!now.sky);
                before = now;
            }
            assert!(swept > 3000, "{} swept {swept} s of two hours", round.plate);
            let tunnel = round.tunnel.1 > round.tunnel.0;
            assert_eq!(dark > 0, tunnel, "{}", round.plate);
        }
    }

    proptest! {
        #[test]
        fn stays_follow_each_other_and_are_as_long_as_they_say(seed: u64, bay in 0..BAYS.len()) {
            let max = BAYS[bay].max_stay;
            let mut free_since = Span::ZERO;
            for stay in World::new(seed).stays(bay).take(200) {
                prop_assert!(stay.arrive >= free_since && stay.leave > stay.arrive);
                let length = Span::from_ms(stay.leave.as_ms() - stay.arrive.as_ms());
                let limit = max.saturating_add(GRACE_MAX);
                prop_assert_eq!(stay.over, length > limit);
                prop_assert!(stay.over || length < max);
                free_since = stay.leave;
            }
        }

        #[test]
        fn fillings_follow_each_other_and_rise(seed: u64, bin in 0..BINS.len()) {
            let mut emptied = Span::ZERO;
            for filling in World::new(seed).fillings(bin).take(100) {
                prop_assert_eq!(filling.from, emptied);
                let (first, last) = (filling.level_at(filling.from), filling.level_at(filling.until));
                prop_assert!(first < last && last <= 1030.0);
                prop_assert_eq!(filling.over, last >= 800.0);
                emptied = filling.until;
            }
        }

        #[test]
        fn the_first_hour_has_one_of_each_and_the_first_soon(seed: u64) {
            let world = World::new(seed);
            let over = |bay: usize| world.stays(bay).next().unwrap();
            prop_assert!(over(0).over && over(0).leave < HOUR && over(1).over);
            prop_assert!(world.fillings(0).next().unwrap().until < HOUR);
            let at_four_minutes = world.fillings(0).next().unwrap().level_at(Span::from_mins(4));
            prop_assert!(at_four_minutes > 810.0, "{}", at_four_minutes);
            let silent = world.outages(Spot::Bay(2)).next().unwrap();
            prop_assert!(silent.until < HOUR);
        }
    }
}
