//! A year of a city's bins: noise, missed echoes, lids, fires, sensor faults, restarts; every emptying,
//! overflow and ticket is compared with what truly happened.
//!
//! What no sensor could have seen is not planted: at most two of five readings in a row are astray, which
//! is what the median of five is there for. Three of five look like a level, or like an emptying, to whoever
//! has the readings alone.
//!
//! The ordinary run takes some bins over some weeks; `whole_year_of_bins` takes 500 over a year:
//! `cargo test --release -p system-tests -- --ignored --nocapture whole_year_of_bins`.

use std::collections::BTreeMap;

use domain::Engine;
use domain::ids::AssetKey;
use domain::output::{Body, Record};
use domain::rules::FactName;
use domain::sample::{Absent, Missing, NoData, Quantity};
use domain::site::{Asset, Kind, Sensing};
use domain::time::{Span, Utc};
use domain::units::{MilliCelsius, Millimetres};
use system_tests::data;

use super::street::{Chance, Habit, START};
use super::{asset, bin, events, flag, full_rule, key, moment, report, site, tickets};

const STEP: Span = Span::from_mins(30);
const FULL: f64 = 85.0;
/// A truth this near to a mark may be judged either way: three times the noise of the sensor.
const DOUBT: f64 = 4.0;
const NOISE: f64 = 1.2;

/// What keeps the sensor from seeing the waste, or makes it burn.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Trouble {
    None,
    Lid,
    Fault,
    Fire,
}

/// One bin: the truth, and what was found of it.
struct Bin {
    name: String,
    habit: Habit,
    chance: Chance,
    level: f64,
    trouble: Trouble,
    /// Steps until the trouble ends.
    left: u32,
    /// Which of the latest four echoes went astray: a bit each, the latest lowest.
    astray: u8,
    /// Steps in which the truth was clearly full and seen, and whether that was ever in doubt.
    full_steps: u32,
    highest: f64,
    over_steps: u32,
    /// When it was last truly emptied, until that is found.
    emptied: Option<Utc>,
    raised: u32,
    overflowed: bool,
    fires: u32,
    fire_tickets: u32,
}

#[derive(Debug, Default)]
struct Count {
    truth: u32,
    found: u32,
    false_: u32,
    missed: u32,
}

#[derive(Debug, Default)]
struct Counts {
    emptyings: Count,
    overflows: Count,
    full: Count,
    fires: Count,
    readings: u64,
    restarts: u32,
}

impl Bin {
    fn new(i: u64) -> Bin {
        let mut chance = Chance::new(2026, i);
        Bin {
            name: format!("bin-{i}"),
            habit: Habit::new(&mut chance),
            level: chance.between(0.0, 50.0),
            chance,
            trouble: Trouble::None,
            left: 0,
            astray: 0,
            full_steps: 0,
            highest: 0.0,
            over_steps: 0,
            emptied: None,
            raised: 0,
            overflowed: false,
            fires: 0,
            fire_tickets: 0,
        }
    }

    /// Half an hour passes. Returns whether the bin was emptied in it.
    fn live(&mut self, t: Utc) -> bool {
        self.level = (self.level + self.habit.put_in(t, STEP, &mut self.chance)).min(104.0);
        if self.left > 0 {
            self.left -= 1;
            return false;
        }
        self.trouble = Trouble::None;
        let hour = t.since(START).as_secs() / 3600 % 24;
        let due = self.level >= 88.0 && self.full_steps + self.over_steps >= 8;
        if hour == 6 && due {
            return true;
        }
        // A lid every ten days, a fault every month, a fire every two years. None while the bin is nearly
        // full: whether it was seen to be full must not hang on the trouble.
        let calm = self.level < 70.0 && self.emptied.is_none();
        (self.trouble, self.left) = match () {
            () if calm && self.chance.once_in(480.0) => (Trouble::Lid, 2),
            () if calm && self.chance.once_in(1440.0) => (Trouble::Fault, 12),
            () if calm && self.chance.once_in(35_000.0) => {
                self.fires += 1;
                (Trouble::Fire, 5)
            }
            () => (Trouble::None, 0),
        };
        false
    }

    /// One echo in fifty is lost and comes back from the bottom, or from a neighbour; never three in five.
    fn goes_astray(&mut self) -> bool {
        let astray = self.chance.once_in(50.0) && self.astray.count_ones() < 2;
        self.astray = (self.astray << 1 | u8::from(astray)) & 0b1111;
        astray
    }

    /// What the sensor says.
    fn report(&mut self) -> Vec<Quantity> {
        let astray = self.goes_astray();
        let measured = match self.trouble {
            Trouble::Fault => {
                Quantity::Absent(Absent { what: Missing::Distance, why: NoData::SensorFault })
            }
            Trouble::Lid => Quantity::Distance(Millimetres(2000)),
            _ if astray => {
                let wild = self.chance.between(300.0, 1500.0);
                Quantity::Distance(Millimetres(wild as u32))
            }
            _ => {
                let seen = self.level + self.chance.noise() * NOISE;
                Quantity::Distance(Millimetres((1500.0 - seen * 12.0).max(1.0) as u32))
            }
        };
        let heat = if self.trouble == Trouble::Fire { 95.0 } else { 18.0 };
        let celsius = heat + self.chance.noise();
        vec![
            measured,
            Quantity::Temperature(MilliCelsius((celsius * 1000.0) as i32)),
            Quantity::LidOpen(self.trouble == Trouble::Lid),
        ]
    }

    /// The truth between two emptyings ends: was it found as it was?
    fn settle(&mut self, counts: &mut Counts) {
        let sure = self.full_steps >= 8;
        let never = self.highest < FULL - DOUBT;
        counts.full.truth += u32::from(sure);
        counts.full.found += u32::from(sure && self.raised >= 1);
        counts.full.missed += u32::from(sure && self.raised == 0);
        let allowed = u32::from(!never);
        counts.full.false_ += self.raised.saturating_sub(allowed);
        let over = self.over_steps >= 8;
        counts.overflows.truth += u32::from(over);
        counts.overflows.found += u32::from(over && self.overflowed);
        counts.overflows.missed += u32::from(over && !self.overflowed);
        counts.overflows.false_ += u32::from(self.overflowed && self.highest < 98.0 - DOUBT);
        (self.raised, self.overflowed) = (0, false);
        (self.full_steps, self.over_steps, self.highest) = (0, 0, 0.0);
    }

    /// Notes the truth of this step.
    fn note(&mut self) {
        self.highest = self.highest.max(self.level);
        self.full_steps += u32::from(self.level >= FULL + DOUBT);
        self.over_steps += u32::from(self.level >= 98.0 + DOUBT);
    }
}

fn city(bins: &[Bin]) -> domain::site::Site {
    let sensing = Sensing { median_of: 5, ..Sensing::PLAIN };
    let settings = domain::site::Bin { sensing, ..bin(85, 60) };
    let with = |b: &Bin| (key(&b.name), asset(&b.name, Kind::Bin(settings.clone())));
    let assets: BTreeMap<AssetKey, Asset> = bins.iter().map(with).collect();
    let fire = flag("fire", "bin_fire", FactName::Burning, 3);
    site(assets, vec![full_rule(2), fire])
}

fn take(bin: &mut Bin, messages: &[domain::output::Message], t: Utc, counts: &mut Counts) {
    for (kind, category, _) in tickets(messages) {
        let raised = matches!(kind, "ticket.raised" | "ticket.reopened");
        bin.raised += u32::from(raised && category == "bin_overflow");
        bin.fire_tickets += u32::from(raised && category == "bin_fire");
    }
    let overflows =
        |body: &Body| matches!(body, Body::Flat(b) if b.get("status") == Some(&"overflow".into()));
    // Until the emptying has been confirmed, the bin rightly shows what it was.
    bin.overflowed |= bin.emptied.is_none() && messages.iter().any(|m| overflows(&m.body));
    for _ in events(messages, "waste.collection") {
        match bin.emptied.take() {
            Some(when) if t.since(when) <= Span::from_mins(4 * 60) => counts.emptyings.found += 1,
            _ => counts.emptyings.false_ += 1,
        }
    }
}

fn run(bins: usize, days: u64) -> Counts {
    let mut bins: Vec<Bin> = (0..bins as u64).map(Bin::new).collect();
    let mut counts = Counts::default();
    let mut chance = Chance::new(1, 1);
    let (mut boot, mut started) = (1, START);
    let mut engine = Engine::new(city(&bins), vec![], moment(boot, started, START));
    let mut stored: BTreeMap<String, Record> = BTreeMap::new();
    for step in 1..=days * 48 {
        let t = START + STEP.saturating_mul(step);
        // About once a week the power goes.
        if chance.once_in(336.0) {
            (boot, started) = (boot + 1, t);
            counts.restarts += 1;
            let records = stored.values().cloned().collect();
            engine = Engine::new(city(&bins), records, moment(boot, started, t));
        }
        for bin in &mut bins {
            if bin.live(t) {
                // What was emptied before and not found by now never will be.
                counts.emptyings.missed += u32::from(bin.emptied.is_some());
                counts.emptyings.truth += 1;
                bin.settle(&mut counts);
                bin.level = bin.chance.between(0.0, 4.0);
                bin.emptied = Some(t);
            }
            bin.note();
            let quantities = bin.report();
            let input = report(&bin.name, quantities);
            let out = engine.step(input, moment(boot, started, t));
            counts.readings += 1;
            take(bin, &out.messages, t, &mut counts);
            for record in out.records {
                match record.value {
                    Some(_) => stored.insert(record.key.clone(), record),
                    None => stored.remove(&record.key),
                };
            }
        }
    }
    for bin in &bins {
        counts.fires.truth += bin.fires;
        counts.fires.found += bin.fires.min(bin.fire_tickets);
        counts.fires.missed += bin.fires.saturating_sub(bin.fire_tickets);
        counts.fires.false_ += bin.fire_tickets.saturating_sub(bin.fires);
    }
    counts
}

/// Runs, prints and judges: emptyings, overflows and fires as they were; a ticket for each full bin.
fn check(bins: usize, days: u64) {
    let counts = run(bins, days);
    data::say(&format!(
        "{bins} bins, {days} days: {} readings, {} restarts; truth / found / false / missed",
        counts.readings, counts.restarts
    ));
    let Counts { emptyings, overflows, full, fires, .. } = counts;
    let of = [
        ("emptyings", emptyings),
        ("overflows", overflows),
        ("tickets for full bins", full),
        ("tickets for fires", fires),
    ];
    for (name, Count { truth, found, false_, missed }) in &of {
        data::say(&format!("  {name}: {truth} / {found} / {false_} / {missed}"));
    }
    assert!(of[0].1.truth > 100 && of[1].1.truth > 3 && of[2].1.truth > 100);
    for (name, count) in of {
        assert!(count.missed == 0 && count.false_ == 0, "{name}: {count:?}");
    }
}

#[test]
fn weeks_of_a_street() {
    check(30, 45);
}

#[test]
#[ignore = "minutes, and that in a release build: see the head of the file"]
fn whole_year_of_bins() {
    check(500, 365);
}
