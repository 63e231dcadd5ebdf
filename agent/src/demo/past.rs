//! The week before the demo begins: what the box would remember of it, had it been watching.
//!
//! A box on its first day has no forecast, no yesterday and nothing to compare with, and a demo that shows
//! only that shows little. So the same engine lives through the seven days before, in some hundred
//! milliseconds, and what it would have stored is in the buffer when the demo's box starts.
//!
//! Only the past takes this way. It must not touch what is judged: it has no rules and so no tickets, and
//! it ends as the live street begins, bins at the levels they have then.

use std::collections::BTreeMap;

use domain::Engine;
use domain::ids::{AssetId, AssetKey, Class};
use domain::input::Input;
use domain::output::Record;
use domain::sample::{Quantity, Sample};
use domain::site::{Kind, Site};
use domain::time::{Boot, ClockQuality, Moment, Monotonic, Span, Utc};
use domain::units::Millimetres;

use super::chance::Chance;
use super::street::{BAYS, BIN_EMPTY_MM, BIN_FULL_MM, BINS, bay_id, bin_id};
use super::world::{GRACE_MAX, World};

const MINUTE: u64 = 60_000;
const HOUR: u64 = 60 * MINUTE;
/// Seven days, and the night before the street begins at eight.
const LENGTH_MS: u64 = (7 * 24 + 8) * HOUR;
/// Bins are measured this often: enough for their habits.
const BIN_SAMPLE_MS: u64 = 30 * MINUTE;
/// Sensors of the past repeat nothing, and none of them fails.
const NEVER_STALE: Span = Span::from_mins(60 * 24 * 60);

/// What a box of `site` would have stored by `start`, its latest boot being `boot`.
pub(super) fn records(site: &Site, world: &World, boot: Boot, start: Utc) -> Vec<Record> {
    let from = start - Span::from_ms(LENGTH_MS);
    let now = |ms: u64| Moment {
        boot,
        monotonic: Monotonic::from_ms(ms),
        utc: from + Span::from_ms(ms),
        clock: ClockQuality::Ntp,
    };
    let site = unjudged(site);
    let mut engine = Engine::new(site.clone(), vec![], now(0));
    let mut kept = BTreeMap::new();
    let mut step = |input, ms| {
        for Record { key, value } in engine.step(input, now(ms)).records {
            kept.insert(key, value);
        }
    };
    step(Input::Start, 0);
    for (ms, key, quantity) in reports(world) {
        if let Some(feed) = site.assets.get(&key).and_then(|asset| asset.feeds.first()) {
            let (source, device) = (feed.source.clone(), feed.device.clone());
            let quantities = vec![quantity];
            step(Input::Sample(Sample { source, device, counter: None, at: None, quantities }), ms);
        }
    }
    step(Input::Tick, LENGTH_MS);
    let left = kept.into_iter().filter(|(_, value)| value.is_some());
    left.map(|(key, value)| Record { key, value }).collect()
}

/// The site without anything that could become a ticket.
fn unjudged(site: &Site) -> Site {
    let mut site = site.clone();
    site.rules.clear();
    for asset in site.assets.values_mut() {
        match &mut asset.kind {
            Kind::Bay(bay) => bay.stale_after = NEVER_STALE,
            Kind::Bin(bin) => bin.stale_after = NEVER_STALE,
            _ => {}
        }
    }
    site
}

/// Everything the sensors would have said, by the milliseconds since the past began.
fn reports(world: &World) -> Vec<(u64, AssetKey, Quantity)> {
    let mut all = vec![];
    for bay in 0..BAYS.len() {
        let said = |ms, occupied| (ms, key(Class::Bay, &bay_id(bay)), Quantity::Occupied(occupied));
        all.push(said(0, false));
        all.extend(
            stays(world, bay)
                .into_iter()
                .flat_map(|(arrive, leave)| [said(arrive, true), said(leave, false)]),
        );
    }
    for bin in 0..BINS.len() {
        let levels = levels(world, bin);
        all.extend(levels.map(|(ms, mm)| {
            (ms, key(Class::Bin, &bin_id(bin)), Quantity::Distance(Millimetres(mm)))
        }));
    }
    all.sort_by(|a, b| (a.0, &a.1).cmp(&(b.0, &b.1)));
    all
}

fn key(class: Class, id: &str) -> AssetKey {
    AssetKey::new(class, AssetId::new(id).expect("the ids of the street are ids"))
}

/// Arrivals and departures of the bay, in order: busy by day, long and few by night. The last car has left
/// before the street begins.
fn stays(world: &World, bay: usize) -> Vec<(u64, u64)> {
    let mut chance = Chance::new(world.seed, "past stays", bay as u64);
    let max = BAYS[bay].max_stay.as_ms();
    let mut all = vec![];
    let mut free_from = chance.between(MINUTE, 2 * HOUR);
    loop {
        // The past begins at local midnight.
        let by_day = (8..21).contains(&(free_from / HOUR % 24));
        let wait = if by_day { (2 * MINUTE, 40 * MINUTE) } else { (30 * MINUTE, 5 * HOUR) };
        let length = if chance.once_in(15) {
            max + GRACE_MAX.as_ms() + chance.between(5 * MINUTE, 40 * MINUTE)
        } else {
            chance.between(4 * MINUTE, max - 2 * MINUTE)
        };
        let arrive = free_from + chance.between(wait.0, wait.1);
        let leave = arrive + length;
        if leave + 10 * MINUTE > LENGTH_MS {
            return all;
        }
        all.push((arrive, leave));
        free_from = leave;
    }
}

/// A bin between two collections, backwards from the start of the street.
struct Before {
    /// Milliseconds before the start at which the collector had left.
    since: f64,
    /// The level then, in thousandths, and what an hour adds.
    level: f64,
    rate: f64,
    cap: f64,
}

/// The distances that the bin's sensor would have measured, in order. The last filling is the one that
/// goes on when the street begins.
fn levels(world: &World, bin: usize) -> impl Iterator<Item = (u64, u32)> {
    let mut chance = Chance::new(world.seed, "past fillings", bin as u64);
    let first = world.fillings(bin).next().expect("fillings do not end");
    let hour = HOUR as f64;
    let bottom = 30.0_f64.min(first.level);
    let mut fillings = vec![Before {
        since: (first.level - bottom) / first.rate * hour,
        level: bottom,
        rate: first.rate,
        cap: first.cap,
    }];
    while let Some(later) = fillings.last().filter(|later| later.since < LENGTH_MS as f64) {
        let over = chance.once_in(8);
        let cap = chance.between(1000, 1030) as f64;
        let (level, rate) = (chance.between(20, 50) as f64, chance.between(80, 300) as f64);
        let goal = if over { cap } else { chance.between(500, 700) as f64 };
        let waited = if over { chance.between(14 * MINUTE, 50 * MINUTE) as f64 } else { 0.0 };
        let since = later.since + (goal - level) / rate * hour + waited;
        fillings.push(Before { since, level, rate, cap });
    }
    (0..LENGTH_MS).step_by(BIN_SAMPLE_MS as usize).map(move |ms| {
        let before = (LENGTH_MS - ms) as f64;
        let filling = fillings.iter().find(|filling| filling.since >= before);
        let filling = filling.expect("they reach back to the beginning");
        let hours = (filling.since - before) / hour;
        let level = (filling.level + filling.rate * hours).min(filling.cap);
        let depth = f64::from(BIN_EMPTY_MM - BIN_FULL_MM);
        // Positive and small: the cap of a filling leaves some 170 mm.
        (ms, (f64::from(BIN_EMPTY_MM) - level / 1000.0 * depth).round() as u32)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_past_ends_where_the_street_begins() {
        let world = World::new(1);
        for bin in 0..BINS.len() {
            let first = world.fillings(bin).next().unwrap();
            let (ms, mm) = levels(&world, bin).last().unwrap();
            assert_eq!(ms, LENGTH_MS - BIN_SAMPLE_MS);
            let hours = (LENGTH_MS - ms) as f64 / HOUR as f64;
            let promised = (first.level - first.rate * hours).max(0.0);
            let was = f64::from(BIN_EMPTY_MM - mm) / f64::from(BIN_EMPTY_MM - BIN_FULL_MM) * 1000.0;
            // Or it was before the last collection.
            assert!((was - promised).abs() < 2.0 || promised < 30.0, "bin {bin}: {was} {promised}");
        }
        for bay in 0..BAYS.len() {
            let stays = stays(&world, bay);
            assert!(stays.len() > 20, "bay {bay}");
            assert!(stays.windows(2).all(|pair| pair[0].1 < pair[1].0), "bay {bay}");
            assert!(stays.last().unwrap().1 < LENGTH_MS);
        }
    }
}
