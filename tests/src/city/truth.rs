//! What truly happens in the district of a seed, and which tickets must come of it.
//!
//! Cars come and go, bins fill and are emptied, sweepers drive their streets or stay in the depot, sensors
//! fall silent or stick, people report litter. All of it is known before anything runs. Problems are planted
//! with a margin: what is planted must be found, and nothing else may be, whatever the weather.

use steward::demo::chance::Chance;
use steward::demo::street::{Leg, Line, Point, Round};

use domain::time::Span;

/// An hour.
pub(super) const HOUR: u64 = 3_600_000;
/// A minute.
pub(super) const MINUTE: u64 = 60_000;
/// A second.
pub(super) const SECOND: u64 = 1000;

/// The longest stay on a bay that has a limit.
pub(super) const STAY_MAX: u64 = 2 * HOUR;
/// Over the limit for this long is an overstay (the built-in rule's).
const GRACE: u64 = 5 * MINUTE;
/// A bay or bin is silent after this long without a report.
pub(super) const SILENT_AFTER: u64 = 3 * HOUR;
/// A bay that was occupied for this long is stuck.
pub(super) const STUCK_AFTER: u64 = 30 * HOUR;
/// Nothing new begins so long before the end, so that everything can be found and told.
const QUIET: u64 = HOUR;
/// When the streets are to be swept: from midnight of the day to here.
pub(super) const SWEPT_BY: u64 = 6 * HOUR;

/// How much there is of everything.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Size {
    /// Parking bays.
    pub bays: usize,
    /// Bins.
    pub bins: usize,
    /// Sweepers, each with a street of its own.
    pub sweepers: usize,
    /// Days, from midnight to midnight.
    pub days: u64,
}

impl Size {
    /// Two bays of each kind, and enough of the rest that every fault finds somebody: for every commit.
    pub const SMALL: Size = Size { bays: 16, bins: 10, sweepers: 1, days: 2 };
    /// A district for a week.
    pub const DISTRICT: Size = Size { bays: 500, bins: 300, sweepers: 10, days: 7 };

    /// The length of the run in milliseconds.
    pub(super) const fn until(self) -> u64 {
        self.days * 24 * HOUR
    }
}

/// From one time to before another, in milliseconds from the start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Window {
    pub(super) from: u64,
    pub(super) until: u64,
}

impl Window {
    pub(super) fn covers(self, at: u64) -> bool {
        (self.from..self.until).contains(&at)
    }

    pub(super) fn touches(self, other: Window) -> bool {
        self.from < other.until && other.from < self.until
    }

    /// As much longer at both ends.
    pub(super) fn wider(self, by: u64) -> Window {
        Window { from: self.from.saturating_sub(by), until: self.until + by }
    }
}

/// What measures a bay or bin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sensor {
    /// A node on the serial line, by its number.
    Node(u32),
    /// A LoRaWAN device, by its DevEUI.
    LoRa(u64),
}

/// A bay.
#[derive(Debug, Clone)]
pub(super) struct Bay {
    pub(super) sensor: Sensor,
    /// Whether one may stay for [`STAY_MAX`] only.
    pub(super) limited: bool,
    pub(super) stays: Vec<Window>,
    /// When its sensor says nothing.
    pub(super) silent: Option<Window>,
    /// When its sensor says occupied, whatever is so.
    pub(super) stuck: Option<Window>,
    /// Since when it is there: a bay can be added.
    pub(super) since: u64,
}

/// A bin.
#[derive(Debug, Clone)]
pub(super) struct Bin {
    pub(super) sensor: Sensor,
    pub(super) fillings: Vec<Filling>,
    pub(super) silent: Option<Window>,
    pub(super) fire: Option<Window>,
}

/// From one emptying of a bin to the next.
#[derive(Debug, Clone, Copy)]
pub(super) struct Filling {
    pub(super) time: Window,
    /// How full it gets, in percent.
    pub(super) peak: u64,
}

/// What is left in a bin that was emptied, in percent.
const LEFT: f64 = 5.0;

impl Filling {
    /// The level at `at` in percent: it rises evenly and then stays.
    pub(super) fn level(self, at: u64) -> f64 {
        let length = (self.time.until - self.time.from) as f64 * 0.8;
        let passed = at.saturating_sub(self.time.from) as f64;
        LEFT + (self.peak as f64 - LEFT) * (passed / length).min(1.0)
    }
}

/// A sweeper with its street.
#[derive(Debug, Clone)]
pub(super) struct Sweeper {
    pub(super) line: Line,
    pub(super) round: Round,
    /// When it leaves the depot, from midnight.
    pub(super) leaves: u64,
    /// How long it drives.
    pub(super) drives: u64,
    /// Days on which it stays there.
    pub(super) broken: Vec<u64>,
    /// When its receiver says nothing.
    pub(super) silent: Option<Window>,
}

/// Litter that somebody reports, and somebody else again.
#[derive(Debug, Clone, Copy)]
pub(super) struct Litter {
    pub(super) at: u64,
    pub(super) place: Point,
}

/// A problem that was planted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Problem {
    pub(super) category: &'static str,
    /// `bay/b-7`; nothing for what lies somewhere.
    pub(super) asset: Option<String>,
    pub(super) time: Window,
}

/// All of it.
#[derive(Debug, Clone)]
pub(super) struct Truth {
    pub(super) seed: u64,
    pub(super) size: Size,
    pub(super) bays: Vec<Bay>,
    pub(super) bins: Vec<Bin>,
    pub(super) sweepers: Vec<Sweeper>,
    pub(super) litter: Vec<Litter>,
}

impl Truth {
    /// What `seed` means for a district of `size`.
    #[must_use]
    pub(super) fn new(seed: u64, size: Size) -> Truth {
        let until = size.until();
        let number = |i: usize| u64::try_from(i).expect("a district is small");
        let die = |purpose, i| Chance::new(seed, purpose, number(i));
        let mut bays: Vec<Bay> =
            (0..size.bays).map(|i| bay(i, &mut die("city bay", i), until)).collect();
        if let Some(last) = bays.last_mut() {
            last.come_later(&mut die("city grows", 0), until);
        }
        Truth {
            seed,
            size,
            bays,
            bins: (0..size.bins).map(|i| bin(i, &mut die("city bin", i), until)).collect(),
            sweepers: (0..size.sweepers)
                .map(|i| sweeper(i, &mut die("city sweeper", i), size.days))
                .collect(),
            litter: litter(&mut die("city litter", 0), size),
        }
    }

    /// When the configuration changes.
    pub(super) fn grows_at(&self) -> Option<u64> {
        self.bays.iter().map(|bay| bay.since).filter(|since| *since > 0).min()
    }

    /// Everything that must be found.
    pub(super) fn problems(&self) -> Vec<Problem> {
        let mut all = Vec::new();
        let mut plant = |category, asset: String, time| {
            all.push(Problem { category, asset: Some(asset), time });
        };
        for (i, bay) in self.bays.iter().enumerate() {
            for stay in bay.overstays() {
                let from = stay.from + STAY_MAX + GRACE;
                plant("overstay", bay_key(i), Window { from, ..stay });
            }
            if let Some(silent) = bay.silent {
                let from = silent.from + SILENT_AFTER;
                plant("parking_device_fault", bay_key(i), Window { from, ..silent });
            }
            if let Some(stuck) = bay.stuck {
                let from = stuck.from + STUCK_AFTER;
                plant("parking_device_fault", bay_key(i), Window { from, ..stuck });
            }
        }
        for (i, bin) in self.bins.iter().enumerate() {
            for full in bin.fillings.iter().filter(|filling| filling.peak > 90) {
                plant("bin_overflow", bin_key(i), full.time);
            }
            if let Some(fire) = bin.fire {
                plant("bin_fire", bin_key(i), fire);
            }
            if let Some(silent) = bin.silent {
                let from = silent.from + SILENT_AFTER;
                plant("bin_fault", bin_key(i), Window { from, ..silent });
            }
        }
        for (i, sweeper) in self.sweepers.iter().enumerate() {
            for day in &sweeper.broken {
                let from = day * 24 * HOUR + SWEPT_BY;
                let swept = Window { from, until: from + 24 * HOUR };
                plant("unswept_road", format!("street/{}", road_id(i)), swept);
            }
            if let Some(silent) = sweeper.silent {
                plant("signal_lost", format!("vehicle/{}", sweeper_id(i)), silent);
            }
        }
        let lies = |litter: &Litter| Problem {
            category: "exposed_litter",
            asset: None,
            time: Window { from: litter.at, until: u64::MAX },
        };
        all.extend(self.litter.iter().map(lies));
        all
    }
}

pub(super) fn bay_id(i: usize) -> String {
    format!("b-{i}")
}

pub(super) fn bin_id(i: usize) -> String {
    format!("bin-{i}")
}

pub(super) fn sweeper_id(i: usize) -> String {
    format!("sweeper-{i}")
}

pub(super) fn road_id(i: usize) -> String {
    format!("road-{i}")
}

pub(super) fn bay_key(i: usize) -> String {
    format!("bay/{}", bay_id(i))
}

pub(super) fn bin_key(i: usize) -> String {
    format!("bin/{}", bin_id(i))
}

impl Bay {
    fn overstays(&self) -> impl Iterator<Item = Window> {
        let over = |stay: &&Window| self.limited && stay.until - stay.from > STAY_MAX + GRACE;
        self.stays.iter().filter(over).copied()
    }

    /// The bay is not there from the beginning: a change of the configuration adds it.
    fn come_later(&mut self, chance: &mut Chance, until: u64) {
        self.since = chance.between(until / 5, until / 2);
        let since = self.since;
        self.stays.retain(|stay| stay.from > since + 10 * MINUTE);
        (self.silent, self.stuck) = (None, None);
        self.sensor = Sensor::LoRa(0x24e1_2499_0000_0000);
    }

    /// What the sensor would say of `at`.
    pub(super) fn occupied(&self, at: u64) -> bool {
        let there = self.stays.partition_point(|stay| stay.until <= at);
        self.stays.get(there).is_some_and(|stay| stay.covers(at))
    }
}

fn window(chance: &mut Chance, from: (u64, u64), lasts: (u64, u64)) -> Window {
    let from = chance.between(from.0, from.1);
    Window { from, until: from + chance.between(lasts.0, lasts.1) }
}

/// Of six bays two have a limit; of the rest one in nine has a sensor that falls silent, and one in nine,
/// where the run is long enough, one that sticks.
fn bay(i: usize, chance: &mut Chance, until: u64) -> Bay {
    let limited = i.is_multiple_of(3);
    let mut stays = Vec::new();
    let mut at = chance.between(5 * MINUTE, 2 * HOUR);
    loop {
        let lasts = match (limited, chance.between(0, 11)) {
            (true, 0) => chance.between(150 * MINUTE, 5 * HOUR),
            (true, _) => chance.between(5 * MINUTE, 105 * MINUTE),
            (false, 0) => chance.between(4 * HOUR, 10 * HOUR),
            (false, _) => chance.between(5 * MINUTE, 4 * HOUR),
        };
        if at + lasts > until - QUIET {
            break;
        }
        stays.push(Window { from: at, until: at + lasts });
        at += lasts + chance.between(5 * MINUTE, 4 * HOUR);
    }
    let silent =
        (i % 9 == 1).then(|| window(chance, (4 * HOUR, until - 18 * HOUR), (6 * HOUR, 9 * HOUR)));
    let stuck = (i % 9 == 4 && until > 46 * HOUR)
        .then(|| window(chance, (2 * HOUR, until - 44 * HOUR), (34 * HOUR, 38 * HOUR)));
    let number = u32::try_from(i).expect("a district is small");
    let sensor = match i % 5 {
        0 | 3 => Sensor::Node(1000 + number),
        _ => Sensor::LoRa(0x24e1_2400_0000_0000 + u64::from(number)),
    };
    Bay { sensor, limited, stays, silent, stuck, since: 0 }
}

/// Of nine bins one burns and one has a sensor that falls silent; neither overflows.
fn bin(i: usize, chance: &mut Chance, until: u64) -> Bin {
    let (burns, falls_silent) = (i % 9 == 2, i % 9 == 5);
    let mut fillings = Vec::new();
    let mut at = 0;
    while at < until {
        let next = at + chance.between(10 * HOUR, 26 * HOUR);
        let may = !burns && !falls_silent && next < until - QUIET;
        let peak = if may && chance.once_in(3) { 95 } else { chance.between(30, 70) };
        fillings.push(Filling { time: Window { from: at, until: next }, peak });
        at = next;
    }
    let fire = burns.then(|| window(chance, (HOUR, until - 4 * HOUR), (20 * MINUTE, 40 * MINUTE)));
    let silent =
        falls_silent.then(|| window(chance, (4 * HOUR, until - 18 * HOUR), (6 * HOUR, 9 * HOUR)));
    let number = u32::try_from(i).expect("a district is small");
    let sensor = match i % 3 {
        0 => Sensor::Node(5000 + number),
        _ => Sensor::LoRa(0x24e1_2470_0000_0000 + u64::from(number)),
    };
    Bin { sensor, fillings, silent, fire }
}

/// Where the depot is: the western end of every street.
pub(super) const DEPOT: (f64, f64) = (119.9485, 119.9515);
/// Metres of a street.
const ROAD_EAST: f64 = 119.976;

fn sweeper(i: usize, chance: &mut Chance, days: u64) -> Sweeper {
    let lat = 31.80 + 0.004 * i as f64;
    let (west, east) = (Point { lon: 119.95, lat }, Point { lon: ROAD_EAST, lat });
    // A round lives as long as the program, as that of a demo does; the tests make a few of them.
    let there = Line(Box::leak(Box::new([west, east])));
    let back = Line(Box::leak(Box::new([east, west])));
    let drives = there.length() / (8.0 / 3.6) + back.length() / (22.0 / 3.6);
    let drives = (drives * 1000.0) as u64;
    let rest = Leg::Stop(Span::from_ms(24 * HOUR - drives));
    let legs = Box::leak(Box::new([Leg::Sweep(there), Leg::Travel(back), rest]));
    let day = chance.between(0, days - 1);
    // The day after shows whether the ticket is cleared, so the last one is never missed.
    let broken = if day + 1 < days { vec![day] } else { vec![] };
    let silent = (i.is_multiple_of(2)).then(|| {
        let noon = chance.between(0, days - 1) * 24 * HOUR + 9 * HOUR;
        window(chance, (noon, noon + 8 * HOUR), (20 * MINUTE, 70 * MINUTE))
    });
    let leaves = 3 * HOUR + chance.between(0, 40) * MINUTE;
    let round = Round { plate: "city", legs, tunnel: (0.0, 0.0) };
    Sweeper { line: there, round, leaves, drives, broken, silent }
}

/// One place for each day and fifty bays, far from each other.
fn litter(chance: &mut Chance, size: Size) -> Vec<Litter> {
    let count = size.days * (1 + u64::try_from(size.bays / 50).expect("a district is small"));
    let place = |n: u64| Point {
        lon: 119.953 + 0.0011 * (n % 20) as f64,
        lat: 31.7985 - 0.001 * (n / 20) as f64,
    };
    (0..count)
        .map(|n| Litter { at: chance.between(HOUR, size.until() - 2 * HOUR), place: place(n) })
        .collect()
}
