//! An asset's state, whatever its class, behind one set of questions.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::ids::AssetKey;
use crate::output::{Record, to_map};
use crate::parking::{self, Occupancy};
use crate::reading::Heard;
use crate::rules::{Fact, FactName};
use crate::sample::{NoData, Quantity};
use crate::site::{Asset, Feed, Kind};
use crate::sweeping::Tracker;
use crate::time::{Moment, Monotonic, Now, Utc};
use crate::units::Permille;
use crate::waste::{self, Container};

/// One asset.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Watched {
    state: State,
    /// The latest reports of each of its devices.
    reports: BTreeMap<String, Heard>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum State {
    Bay(Occupancy),
    Bin(Box<Container>),
    Vehicle(Tracker),
}

/// What an asset has to tell after a report or a deadline.
#[derive(Debug, Default)]
pub(super) struct Told {
    /// Its published state is a new one.
    pub(super) state: bool,
    /// Events, with their type.
    pub(super) events: Vec<(&'static str, Map<String, Value>)>,
    /// Facts for the rules.
    pub(super) facts: Vec<Fact>,
    /// The level of a bin that counts, where a report measured one.
    pub(super) level: Option<Permille>,
}

impl Watched {
    /// A watched asset of that kind; a street is not watched.
    pub(super) fn new(kind: &Kind) -> Option<Watched> {
        let state = match kind {
            Kind::Bay(_) => State::Bay(Occupancy::default()),
            Kind::Bin(_) => State::Bin(Box::default()),
            Kind::Vehicle(_) => State::Vehicle(Tracker::default()),
            Kind::Street { .. } => return None,
        };
        Some(Watched { state, reports: BTreeMap::new() })
    }

    /// Takes back what was stored, if it is of the same kind; answers whether it could be read.
    pub(super) fn restore(&mut self, value: &[u8]) -> bool {
        match serde_json::from_slice::<Watched>(value) {
            Ok(stored) if same_kind(&stored.state, &self.state) => {
                *self = stored;
                true
            }
            _ => false,
        }
    }

    pub(super) fn record(&self, key: &AssetKey) -> Record {
        let value = serde_json::to_vec(self).expect("an asset's state is plain data");
        Record { key: format!("asset/{key}"), value: Some(value) }
    }

    pub(super) fn view(&self) -> Map<String, Value> {
        match &self.state {
            State::Bay(bay) => to_map(&bay.view()),
            State::Bin(bin) => to_map(&bin.view()),
            State::Vehicle(vehicle) => to_map(&vehicle.view()),
        }
    }

    /// The bin, if it is one.
    pub(super) fn bin_mut(&mut self) -> Option<&mut Container> {
        match &mut self.state {
            State::Bin(bin) => Some(bin),
            _ => None,
        }
    }

    /// Whether a report is not one of the latest ones again.
    pub(super) fn is_new(&mut self, feed: &Feed, counter: Option<u32>, at: Utc) -> bool {
        if counter.is_none() {
            return true;
        }
        let device = feed.device.as_ref().map_or("", |d| d.as_str());
        let name = format!("{}/{device}", feed.source);
        self.reports.entry(name).or_default().note(counter, at)
    }

    pub(super) fn heard(&self) -> Option<Moment> {
        match &self.state {
            State::Bay(bay) => bay.heard(),
            State::Bin(bin) => bin.heard(),
            State::Vehicle(vehicle) => vehicle.heard(),
        }
    }

    /// Whether there is a value to show, rather than a reason for its absence.
    pub(super) fn is_known(&self) -> bool {
        match &self.state {
            State::Bay(bay) => bay.status() != parking::Status::Unknown,
            State::Bin(bin) => bin.level().is_some(),
            State::Vehicle(vehicle) => vehicle.activity() != crate::sweeping::Activity::Unknown,
        }
    }

    /// Since when a car stands there, if the asset is a bay that is known to be occupied.
    pub(super) fn stay_since(&self) -> Option<Moment> {
        match &self.state {
            State::Bay(bay) if bay.status() == parking::Status::Occupied => bay.stay_since(),
            _ => None,
        }
    }

    pub(super) fn report(
        &mut self,
        id: &str,
        spec: &Asset,
        quantities: &[Quantity],
        at: Moment,
        now: Now,
    ) -> Told {
        let mut told = match (&mut self.state, &spec.kind) {
            (State::Bay(bay), Kind::Bay(settings)) => {
                let change = bay.report(id, quantities, at, now, settings);
                bay_told(bay, change)
            }
            (State::Bin(bin), Kind::Bin(settings)) => {
                bin_told(bin.report(quantities, at, spec.position, settings))
            }
            (State::Vehicle(vehicle), Kind::Vehicle(settings)) => {
                let change = vehicle.report(quantities, at, settings);
                let milli_kmh = |mm_s: u32| i64::from(mm_s) * 36 / 10;
                let speed = change.speed.map(|s| Fact::Value(FactName::SpeedKmh, milli_kmh(s.0)));
                Told { state: change.state, facts: speed.into_iter().collect(), ..Told::default() }
            }
            _ => unreachable!("a watched asset keeps the kind it was made of"),
        };
        told.facts.extend(quantities.iter().filter_map(common_fact));
        told.facts.push(Fact::Heard(now));
        told
    }

    /// A change may have held for long enough.
    pub(super) fn settle(&mut self, id: &str, kind: &Kind, at: Moment) -> Told {
        match (&mut self.state, kind) {
            (State::Bay(bay), Kind::Bay(settings)) => {
                let change = bay.settle(id, at, settings);
                bay_told(bay, change)
            }
            (State::Vehicle(vehicle), Kind::Vehicle(settings)) => {
                Told { state: vehicle.settle(at, settings), ..Told::default() }
            }
            _ => Told::default(),
        }
    }

    pub(super) fn settle_at(&self, kind: &Kind, now: Now) -> Option<Monotonic> {
        match (&self.state, kind) {
            (State::Bay(bay), Kind::Bay(settings)) => bay.settle_at(now, settings),
            (State::Vehicle(vehicle), Kind::Vehicle(settings)) => vehicle.parked_at(now, settings),
            _ => None,
        }
    }

    /// Nothing was heard for too long.
    pub(super) fn silent(&mut self, at: Moment) -> Told {
        match &mut self.state {
            State::Bay(bay) => {
                let change = bay.lose(NoData::Silent, at);
                bay_told(bay, change)
            }
            State::Bin(bin) => Told { state: bin.silent(), ..Told::default() },
            State::Vehicle(vehicle) => {
                Told { state: vehicle.lose(NoData::Silent, at), ..Told::default() }
            }
        }
    }

    /// When silence makes the asset unknown. What was heard before this start counts from the start:
    /// the box itself was deaf in between.
    pub(super) fn stale_at(&self, kind: &Kind, started: Moment, now: Now) -> Option<Monotonic> {
        let after = match kind {
            Kind::Bay(bay) => bay.stale_after,
            Kind::Bin(bin) => bin.stale_after,
            Kind::Vehicle(vehicle) => vehicle.stale_after,
            Kind::Street { .. } => return None,
        };
        if !self.is_known() {
            return None;
        }
        let heard = self.heard()?;
        let from = if heard.boot == started.boot { heard } else { started };
        Some(from.deadline(after, now))
    }
}

fn same_kind(a: &State, b: &State) -> bool {
    std::mem::discriminant(a) == std::mem::discriminant(b)
}

fn bin_told(change: waste::Change) -> Told {
    let mut told = Told { state: change.state, level: change.level, ..Told::default() };
    let deposits = change.deposits.iter().map(|deposit| ("waste.deposit", to_map(deposit)));
    told.events.extend(deposits);
    told.events.extend(change.collection.map(|c| ("waste.collection", to_map(&c))));
    told.facts.extend(change.facts.into_iter().map(|(name, value)| Fact::Value(name, value)));
    told
}

fn bay_told(bay: &Occupancy, change: parking::Change) -> Told {
    let mut told = Told { state: change.state, ..Told::default() };
    if let Some(ended) = change.ended {
        told.events.push(("parking.session", to_map(&ended)));
    }
    told.facts.push(match bay.status() {
        parking::Status::Occupied => Fact::Stay(bay.stay_since()),
        parking::Status::Free => Fact::Stay(None),
        parking::Status::Unknown => Fact::StayUnknown,
    });
    told
}

/// Facts that any class of asset can have.
fn common_fact(quantity: &Quantity) -> Option<Fact> {
    Some(match *quantity {
        Quantity::Temperature(t) => Fact::Value(FactName::TemperatureC, i64::from(t.0)),
        Quantity::BatteryLevel(b) => Fact::Value(FactName::BatteryPct, i64::from(b.get()) * 100),
        Quantity::BatteryVoltage(v) => Fact::Value(FactName::BatteryV, i64::from(v.0)),
        _ => return None,
    })
}
