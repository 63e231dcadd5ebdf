//! What concerns many bins at once: a collection vehicle that comes near, lifts and is weighed; and the
//! figures of a day.

use std::collections::{BTreeMap, BTreeSet};

use super::{Engine, publish, reject};
use crate::decode::Reason;
use crate::ids::{AssetKey, Class, SourceName};
use crate::output::{Outputs, Record, to_map};
use crate::place::Position;
use crate::rules::{Fact, FactName};
use crate::sample::Quantity;
use crate::site::{Kind, Site, VehicleKind};
use crate::time::{ClockQuality, Moment, Now, Span};
use crate::timers::Timer;
use crate::units::Grams;
use crate::waste::figures::{Days, Ended, Figures};
use crate::waste::{Capacity, Lift, Tag, Trip};

/// Nearer than this a vehicle can be emptying a bin.
const NEAR_M: f64 = 30.0;

/// A day is closed this long after its end: reports are late by minutes.
const DAY_CLOSE_AFTER: Span = Span::from_mins(15);

/// The vehicles that collect, and the bins they find.
#[derive(Debug, Default)]
pub(super) struct Rounds {
    tags: BTreeMap<Tag, AssetKey>,
    /// Bins by their place.
    places: Vec<(Position, AssetKey)>,
    /// The bins of each street that is an asset.
    pub(super) streets: BTreeMap<AssetKey, Vec<AssetKey>>,
    trips: BTreeMap<AssetKey, Trip>,
    pub(super) days: Days,
    /// Bins whose day has grown since an hour was closed.
    pub(super) grown: BTreeSet<AssetKey>,
}

impl Rounds {
    pub(super) fn new(site: &Site) -> Rounds {
        let mut rounds = Rounds::default();
        for (key, asset) in &site.assets {
            if let Kind::Bin(bin) = &asset.kind {
                rounds.tags.extend(bin.service.tag.map(|tag| (tag, key.clone())));
                rounds.places.extend(asset.position.map(|place| (place, key.clone())));
                let street = asset.street.clone().map(|id| AssetKey::new(Class::Street, id));
                if let Some(street) = street.filter(|key| site.assets.contains_key(key)) {
                    rounds.streets.entry(street).or_default().push(key.clone());
                }
            }
        }
        rounds
    }

    /// Takes back a stored trip; answers whether its vehicle is still one of ours.
    pub(super) fn restore(&mut self, site: &Site, vehicle: &str, value: &[u8]) -> bool {
        let key = vehicle.parse::<AssetKey>().ok().filter(|key| site.assets.contains_key(key));
        match (key, serde_json::from_slice(value)) {
            (Some(key), Ok(trip)) => self.trips.insert(key, trip).is_none(),
            _ => false,
        }
    }

    fn near(&self, place: Position) -> Vec<AssetKey> {
        let near = |(bin, _): &&(Position, AssetKey)| {
            bin.distance_m(place).is_some_and(|metres| metres <= NEAR_M)
        };
        self.places.iter().filter(near).map(|(_, key)| key.clone()).collect()
    }
}

fn record(vehicle: &AssetKey, trip: &Trip) -> Record {
    let empty = *trip == Trip::default();
    let value = (!empty).then(|| serde_json::to_vec(trip).expect("a trip is plain data"));
    Record { key: format!("trip/{vehicle}"), value }
}

impl Engine {
    /// What a report of a vehicle means for bins and for its trip.
    pub(super) fn on_round(
        &mut self,
        vehicle: &AssetKey,
        source: &SourceName,
        quantities: &[Quantity],
        at: Moment,
        now: Now,
        out: &mut Outputs,
    ) {
        if vehicle.class != Class::Vehicle {
            return;
        }
        let Kind::Vehicle(settings) = &self.site.assets[vehicle].kind else { return };
        let collects = settings.kind == VehicleKind::Collector;
        for quantity in quantities {
            match *quantity {
                Quantity::Fix(fix) if collects => self.beside(vehicle, fix.position, at, out),
                Quantity::Lift(lift) => self.lift(vehicle, source, lift, at, out),
                Quantity::StationWeight(weight) => self.weigh(vehicle, weight, at, now, out),
                _ => {}
            }
        }
    }

    fn beside(&mut self, vehicle: &AssetKey, place: Position, at: Moment, out: &mut Outputs) {
        for key in self.rounds.near(place) {
            let watched = self.assets.get_mut(&key).expect("every bin is watched");
            // Not worth a write of its own for every second beside the bin: the first one and what
            // the bin itself reports next carry it.
            if watched.bin_mut().expect("places are of bins").visited(&vehicle.id, at) {
                out.records.push(watched.record(&key));
            }
        }
    }

    fn lift(
        &mut self,
        vehicle: &AssetKey,
        source: &SourceName,
        lift: Lift,
        at: Moment,
        out: &mut Outputs,
    ) {
        let trip = self.rounds.trips.entry(vehicle.clone()).or_default();
        trip.lift(lift, at);
        out.records.push(record(vehicle, trip));
        let Some(key) = self.rounds.tags.get(&lift.tag).cloned() else {
            let detail = format!("{vehicle} lifted a bin with tag {}, which none has", lift.tag);
            reject(source, Reason::UnknownDevice, detail, out);
            return;
        };
        let watched = self.assets.get_mut(&key).expect("every bin is watched");
        watched.bin_mut().expect("tags are of bins").lifted(&vehicle.id, lift, at);
        out.records.push(watched.record(&key));
        let mut data = to_map(&lift);
        data.insert("vehicle".into(), vehicle.id.as_str().into());
        if let Some(net) = lift.net() {
            data.insert("net_kg".into(), net.kilograms().into());
        }
        out.messages.push(publish::event(&key, "waste.lift", data, at));
        let lifted_g = lift.net().map_or(0, |net| u64::from(net.0));
        self.count_waste(&key, &Figures { lifted_g, ..Figures::default() }, at, out);
    }

    /// Counts what a bin's day grows by. Without a clock there are no days.
    pub(super) fn count_waste(
        &mut self,
        bin: &AssetKey,
        figures: &Figures,
        at: Moment,
        out: &mut Outputs,
    ) {
        if figures.is_empty() || at.clock == ClockQuality::Unset {
            return;
        }
        self.rounds.grown.insert(bin.clone());
        let calendar = &self.site.calendar;
        out.records.push(self.rounds.days.add(&bin.id, figures, at.utc, calendar));
    }

    /// Looks at the clock again when the present day can be closed.
    pub(super) fn arm_day(&mut self, now: Now) {
        let has_bins = self.assets.keys().any(|key| key.class == Class::Bin);
        let end = self.site.calendar.next_day(now.utc - DAY_CLOSE_AFTER);
        let at = now.at(end + DAY_CLOSE_AFTER).monotonic;
        self.timers.set(Timer::Day, has_bins.then_some(at));
    }

    /// Tells what bins did on the day that has just ended.
    pub(super) fn close_day(&mut self, at: Moment, out: &mut Outputs) {
        self.arm_day(at);
        if at.clock == ClockQuality::Unset {
            return;
        }
        let calendar = &self.site.calendar;
        let today = calendar.date(at.utc);
        let Ok(yesterday) = today.yesterday() else { return };
        let mut streets: BTreeMap<AssetKey, Figures> = BTreeMap::new();
        for (bin, ended) in self.rounds.days.of(yesterday) {
            let key = AssetKey::new(Class::Bin, bin.clone());
            let Some(asset) = self.site.assets.get(&key) else { continue };
            if let Some(street) = &asset.street {
                let street = AssetKey::new(Class::Street, street.clone());
                streets.entry(street).or_default().add(ended.figures);
            }
            out.messages.push(publish::event(&key, "waste.day", to_map(&ended), at));
        }
        // Of a day before this box there is nothing to say; after a restart past midnight, only what the
        // bins of the street were seen to do.
        let was_there = calendar.date(self.started.utc) <= yesterday;
        for (street, bins) in &self.rounds.streets {
            let seen = streets.remove(street);
            let Some(figures) = seen.or(was_there.then(Figures::default)) else { continue };
            let mut data = to_map(&Ended::of(yesterday, &figures));
            data.insert("capacity".into(), to_map(&self.capacity(bins, at)).into());
            out.messages.push(publish::event(street, "waste.street", data, at));
        }
        out.records.extend(self.rounds.days.forget(today));
    }

    pub(super) fn capacity(&self, bins: &[AssetKey], at: Moment) -> Capacity {
        let of = |key: &AssetKey| match (&self.site.assets[key].kind, self.assets[key].bin()) {
            (Kind::Bin(settings), Some(bin)) => (bin, settings),
            _ => unreachable!("only bins are noted as the bins of a street"),
        };
        Capacity::of(bins.iter().map(of), at.utc)
    }

    fn weigh(
        &mut self,
        vehicle: &AssetKey,
        weight: Grams,
        at: Moment,
        now: Now,
        out: &mut Outputs,
    ) {
        let trip = self.rounds.trips.entry(vehicle.clone()).or_default();
        let (event, apart) = trip.weigh(weight, at);
        out.records.push(record(vehicle, trip));
        out.messages.push(publish::event(vehicle, "waste.trip", to_map(&event), at));
        if let Some(apart) = apart {
            let facts = [Fact::Value(FactName::WeighDifferencePct, apart)];
            self.find(vehicle, &facts, at, now, out);
        }
    }
}
