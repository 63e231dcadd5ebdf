//! What the sensors of bays and bins notice of the truth, and when they say it.
//!
//! Responsible for lag, noise, heartbeats, silence and sticking. How it is put into bytes is the business of
//! the demo's wire formats; what becomes of it on the way is the weather's.

use domain::time::Span;
use steward::demo::chance::Chance;
use steward::demo::sensors::{Measured, Report};

use super::site::{EMPTY_MM, FULL_MM};
use super::truth::{Bay, Bin, HOUR, MINUTE, SECOND, Truth};

/// Whose sensor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Who {
    /// The bay with this number.
    Bay(usize),
    /// The bin with this number.
    Bin(usize),
}

/// What a sensor says. Changes are confirmed by the network and sent until they are: the air may delay them
/// and may not lose them.
#[derive(Debug, Clone, Copy)]
pub(super) struct Told {
    pub(super) who: Who,
    pub(super) report: Report,
    pub(super) confirmed: bool,
}

impl Told {
    fn new(who: Who, at: u64, measured: Measured, temperature_mc: i32, confirmed: bool) -> Told {
        let report = Report { at: Span::from_ms(at), measured, temperature_mc };
        Told { who, report, confirmed }
    }

    /// When it was measured, in milliseconds from the start.
    pub(super) fn at(&self) -> u64 {
        self.report.at.as_ms()
    }
}

/// Everything that is said, in the order of time.
pub(super) fn told(truth: &Truth) -> Vec<Told> {
    let until = truth.size.until();
    let number = |i: usize| u64::try_from(i).expect("a district is small");
    let die = |purpose, i| Chance::new(truth.seed, purpose, number(i));
    let mut all = Vec::new();
    for (i, bay) in truth.bays.iter().enumerate() {
        of_bay(bay, Who::Bay(i), &mut die("bay sensor", i), until, &mut all);
    }
    for (i, bin) in truth.bins.iter().enumerate() {
        of_bin(bin, Who::Bin(i), &mut die("bin sensor", i), until, &mut all);
    }
    all.sort_by_key(|told| (told.at(), told.who));
    all
}

/// How long after a change a sensor is sure of it.
pub(super) const LAG: (u64, u64) = (2 * SECOND, 6 * SECOND);

fn of_bay(bay: &Bay, who: Who, chance: &mut Chance, until: u64, all: &mut Vec<Told>) {
    // A sensor that is added begins when the box that knows it has started.
    let begins = if bay.since > 0 { bay.since + 5 * MINUTE } else { 0 };
    let mut edges: Vec<(u64, bool)> = vec![(begins + chance.between(SECOND, MINUTE), false)];
    for stay in &bay.stays {
        edges.push((stay.from + chance.between(LAG.0, LAG.1), true));
        edges.push((stay.until + chance.between(LAG.0, LAG.1), false));
    }
    if let Some(stuck) = bay.stuck {
        edges.retain(|(at, _)| !stuck.covers(*at));
        edges.push((stuck.from, true));
        edges.push((stuck.until, bay.occupied(stuck.until)));
        edges.sort_unstable();
        edges.dedup_by_key(|(_, occupied)| *occupied);
    }
    edges.retain(|(at, _)| *at >= bay.since);
    edges.push((until, false));
    let mut began = None;
    for pair in edges.windows(2) {
        let ((at, occupied), (next, _)) = (pair[0], pair[1]);
        let lasted = began.replace(at).map(|since| Span::from_ms(at - since));
        let (mut now, mut changed) = (at, true);
        while now < next {
            if !bay.silent.is_some_and(|silent| silent.covers(now)) {
                let lasted = lasted.filter(|_| changed);
                let measured = Measured::Bay { occupied, changed, lasted };
                all.push(Told::new(who, now, measured, warmth(chance), changed));
            }
            changed = false;
            now += HOUR - chance.between(0, MINUTE);
        }
    }
}

/// Standard deviation of a distance, in millimetres.
const NOISE_MM: f64 = 3.0;

fn of_bin(bin: &Bin, who: Who, chance: &mut Chance, until: u64, all: &mut Vec<Told>) {
    let mut now = chance.between(SECOND, 20 * MINUTE);
    let mut burning = false;
    while now < until {
        let burns = bin.fire.is_some_and(|fire| fire.covers(now));
        if !bin.silent.is_some_and(|silent| silent.covers(now)) {
            let filling = bin.fillings.partition_point(|f| f.time.until <= now);
            let level = bin.fillings[filling].level(now) / 100.0;
            let depth = f64::from(EMPTY_MM - FULL_MM);
            let noise = chance.bell() * NOISE_MM;
            let distance_mm = (f64::from(EMPTY_MM) - depth * level + noise).round() as u32;
            let heat = if burns { 85_000 } else { warmth(chance) };
            let measured = Measured::Bin { distance_mm };
            all.push(Told::new(who, now, measured, heat, burns || burning));
        }
        burning = burns;
        let next = now + 20 * MINUTE - chance.between(0, MINUTE);
        now = match bin.fire {
            // Heat is told at once, and as long as there is any.
            Some(fire) if now < fire.from && fire.from < next => fire.from,
            Some(_) if burns => now + 3 * MINUTE,
            _ => next,
        };
    }
}

/// At the sensor, in thousandths of a degree Celsius.
fn warmth(chance: &mut Chance) -> i32 {
    i32::try_from(chance.between(18_000, 30_000)).expect("a summer's day")
}
