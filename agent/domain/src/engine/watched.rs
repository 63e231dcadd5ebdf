//! An asset's state, whatever its class, behind one set of questions.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::vehicles;
use crate::calendar::Calendar;
use crate::commands::BayStep;
use crate::ids::{AssetKey, PermitId};
use crate::output::{Record, to_map};
use crate::parking::{self, Meter, Occupancy, Sum, Verdict};
use crate::place::Position;
use crate::reading::{Gap, Heard};
use crate::rules::{Due, Fact, FactName, Stay};
use crate::sample::{NoData, Quantity};
use crate::site::{Asset, Bay, Feed, Kind, Site};
use crate::sweeping::{Arrival, Piece, Road, Sent, Tracker};
use crate::time::{Moment, Monotonic, Now, Span, Utc};
use crate::units::Permille;
use crate::waste::{self, Container};

/// One asset.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Watched {
    state: State,
    /// The latest reports of each of its devices.
    reports: BTreeMap<String, Heard>,
    /// The open hours of a bay.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    meter: Option<Meter>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum State {
    Bay(Occupancy),
    Bin(Box<Container>),
    Vehicle(Box<Tracker>),
    Street(Road),
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
    /// What the day's figures of a bin grow by.
    pub(super) figures: waste::figures::Figures,
    /// Devices that are to learn their empty bay anew.
    pub(super) recalibrate: Vec<Feed>,
    /// Pieces of way that a vehicle has made.
    pub(super) pieces: Vec<Piece>,
    /// A piece of a vehicle's track that is to be sent.
    pub(super) track: Option<Sent>,
    /// The report was there before: it tells nothing.
    pub(super) duplicate: bool,
    /// Nothing changed that is worth storing now.
    pub(super) keeps: bool,
}

/// A receiver that gives no accuracy is taken to know its place to this.
const DOUBT_M: f64 = 10.0;

/// About as long as the record of a bay is.
const RECORD_BYTES: usize = 1536;

impl Watched {
    /// A watched asset of that kind; a street that nobody sweeps is not watched.
    pub(super) fn new(kind: &Kind) -> Option<Watched> {
        let state = match kind {
            Kind::Bay(_) => State::Bay(Occupancy::default()),
            Kind::Bin(_) => State::Bin(Box::default()),
            Kind::Vehicle(_) => State::Vehicle(Box::default()),
            Kind::Street { line, sweep } => State::Street(Road::new(line, sweep.as_ref()?)),
        };
        let meter = matches!(state, State::Bay(_)).then(Meter::default);
        Some(Watched { state, reports: BTreeMap::new(), meter })
    }

    /// Takes back what was stored, if it is of the same kind; answers whether it could be read.
    pub(super) fn restore(&mut self, value: &[u8]) -> bool {
        match serde_json::from_slice::<Watched>(value) {
            Ok(Watched { state: State::Street(stored), .. }) => match &mut self.state {
                State::Street(road) => {
                    road.restore(stored);
                    true
                }
                _ => false,
            },
            Ok(stored) if same_kind(&stored.state, &self.state) => {
                *self = stored;
                true
            }
            _ => false,
        }
    }

    pub(super) fn record(&self, key: &AssetKey) -> Record {
        // Written with every report: room for it from the start.
        let mut value = Vec::with_capacity(RECORD_BYTES);
        serde_json::to_writer(&mut value, self).expect("an asset's state is plain data");
        Record { key: format!("asset/{key}"), value: Some(value) }
    }

    pub(super) fn view(&self, kind: &Kind) -> Map<String, Value> {
        match &self.state {
            State::Street(road) => match kind {
                Kind::Street { sweep: Some(plan), .. } => to_map(&road.view(plan)),
                _ => unreachable!("only planned streets are watched"),
            },
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

    /// The bin, to look at.
    pub(super) fn bin(&self) -> Option<&Container> {
        match &self.state {
            State::Bin(bin) => Some(bin),
            _ => None,
        }
    }

    /// Notes a report: what is missing before it, or `None` when it is one of the latest ones again.
    pub(super) fn note(&mut self, feed: &Feed, counter: Option<u32>, at: Utc) -> Option<Gap> {
        if counter.is_none() {
            return Some(Gap::None);
        }
        let heard = self.reports.entry(name_of(feed)).or_default();
        let gap = heard.gap(counter, at);
        heard.note(counter, at).then_some(gap)
    }

    pub(super) fn heard(&self) -> Option<Moment> {
        match &self.state {
            State::Bay(bay) => bay.heard(),
            State::Bin(bin) => bin.heard(),
            State::Vehicle(vehicle) => vehicle.heard(),
            State::Street(_) => None,
        }
    }

    /// Whether there is a value to show, rather than a reason for its absence.
    pub(super) fn is_known(&self) -> bool {
        match &self.state {
            State::Bay(bay) => bay.status() != parking::Status::Unknown,
            State::Bin(bin) => bin.level().is_some(),
            State::Vehicle(vehicle) => vehicle.activity() != crate::sweeping::Activity::Unknown,
            State::Street(_) => true,
        }
    }

    /// What rules ask for beside what they are told.
    pub(super) fn due(&self) -> Due {
        let stay = match &self.state {
            State::Bay(bay) => stay_of(bay),
            _ => Stay::Unknown,
        };
        Due { stay, heard: self.heard() }
    }

    /// Where it is, as far as it says so itself, known to so many metres.
    fn place(&self, quantities: &[Quantity]) -> Option<Fact> {
        let fix = quantities.iter().rev().find_map(|quantity| match quantity {
            Quantity::Fix(fix) => Some(fix),
            _ => None,
        })?;
        // Of a vehicle only what is believed.
        let believed = match &self.state {
            State::Vehicle(vehicle) => vehicle.position() == Some(fix.position),
            _ => true,
        };
        let doubt_m = fix.accuracy.map_or(DOUBT_M, |mm| 2.0 * f64::from(mm.0) / 1000.0);
        believed.then_some(Fact::At(fix.position, doubt_m))
    }

    /// Takes what one of its devices reports.
    pub(super) fn report(&mut self, id: &str, place: &Place<'_>, heard: &Hearing<'_>) -> Told {
        let Hearing { feed, gap, quantities, arrival } = *heard;
        let Arrival { at, now, .. } = arrival;
        if matches!(self.state, State::Bay(_)) {
            let sensor = name_of(feed);
            let rank = place.asset.feeds.iter().position(|f| f == feed).unwrap_or_default();
            let rank = u8::try_from(rank).unwrap_or(u8::MAX);
            let report = parking::Report { sensor: &sensor, rank, gap, quantities, at };
            let mut told = self
                .bay(id, place, at, now, |bay, settings| bay.report(id, &report, now, settings));
            told.facts.extend(quantities.iter().filter_map(common_fact));
            // A platform that is asked gives the last report of a dead sensor for ever: when the sensor
            // spoke counts, not when that was heard of.
            told.facts.push(Fact::Heard(self.heard().unwrap_or(now)));
            return told;
        }
        let mut told = match (&mut self.state, &place.asset.kind) {
            (State::Bin(bin), Kind::Bin(settings)) => {
                bin_told(bin.report(quantities, at, place.asset.position, settings))
            }
            (State::Vehicle(vehicle), Kind::Vehicle(settings)) => {
                let told = vehicles::told(vehicle.report(quantities, arrival, settings), settings);
                if told.duplicate {
                    return told;
                }
                told
            }
            _ => unreachable!("a watched asset keeps the kind it was made of"),
        };
        told.facts.extend(quantities.iter().filter_map(common_fact));
        told.facts.extend(self.place(quantities));
        told.facts.push(Fact::Heard(now));
        told
    }

    /// Where a vehicle stands, and since when; `None`: it drives, or is none.
    pub(super) fn stands_since(&self) -> Option<(Position, Moment)> {
        match &self.state {
            State::Vehicle(vehicle) => vehicle.stands_since(),
            _ => None,
        }
    }

    /// The road, if the asset is a planned street.
    pub(super) fn road(&self) -> Option<&Road> {
        match &self.state {
            State::Street(road) => Some(road),
            _ => None,
        }
    }

    /// A vehicle has gone along a street.
    pub(super) fn swept(&mut self, kind: &Kind, piece: &Piece, at: Moment) -> Told {
        match (&mut self.state, kind) {
            (State::Street(road), Kind::Street { sweep: Some(plan), .. }) => {
                let change = road.take(plan, piece, at);
                Told { state: change.tell, keeps: !change.tell, ..Told::default() }
            }
            _ => Told::default(),
        }
    }

    /// A change may have held for long enough.
    pub(super) fn settle(&mut self, id: &str, place: &Place<'_>, at: Moment) -> Told {
        match (&mut self.state, &place.asset.kind) {
            (State::Bay(_), _) => {
                self.bay(id, place, at, at, |bay, settings| bay.settle(id, at, settings))
            }
            (State::Vehicle(vehicle), Kind::Vehicle(settings)) => {
                vehicles::told(vehicle.settle(at, settings), settings)
            }
            (State::Street(road), Kind::Street { sweep: Some(plan), .. }) => {
                road_told(road.settle(plan, at))
            }
            _ => Told::default(),
        }
    }

    pub(super) fn settle_at(&self, place: &Place<'_>, now: Now) -> Option<Monotonic> {
        match (&self.state, &place.asset.kind) {
            (State::Bay(bay), Kind::Bay(settings)) => {
                let verdict = parking::judge(bay, settings, &place.site.calendar, now);
                let asked = verdict.next.map(|utc| now.at(utc).monotonic);
                bay.settle_at(now, settings).into_iter().chain(asked).min()
            }
            (State::Vehicle(vehicle), Kind::Vehicle(settings)) => vehicle.due(now, settings),
            (State::Street(road), _) => road.settle_at(now),
            _ => None,
        }
    }

    /// Nothing was heard for too long.
    pub(super) fn silent(&mut self, id: &str, place: &Place<'_>, at: Moment) -> Told {
        match (&mut self.state, &place.asset.kind) {
            (State::Bay(_), _) => {
                self.bay(id, place, at, at, |bay, _| bay.lose(NoData::Silent, at))
            }
            (State::Bin(bin), _) => Told { state: bin.silent(), ..Told::default() },
            (State::Vehicle(vehicle), Kind::Vehicle(settings)) => {
                vehicles::told(vehicle.silent(at, settings), settings)
            }
            _ => Told::default(),
        }
    }

    /// A person does something with a bay; `None` when it is none, or when nobody stands there to check
    /// in.
    pub(super) fn bay_step(
        &mut self,
        id: &str,
        place: &Place<'_>,
        step: BayStep,
        permit: Option<PermitId>,
        now: Now,
    ) -> Option<Told> {
        let State::Bay(bay) = &self.state else { return None };
        if step == BayStep::CheckIn && bay.stay_since().is_none() {
            return None;
        }
        Some(self.bay(id, place, now, now, |bay, _| match step {
            BayStep::OutOfService => bay.take_out(id, now),
            BayStep::InService => bay.put_back(now),
            BayStep::CheckIn => permit.and_then(|p| bay.check_in(p)).unwrap_or_default(),
            BayStep::Recalibrate => {
                let all = place.asset.feeds.iter().map(name_of).collect();
                parking::Change { recalibrate: all, ..parking::Change::default() }
            }
        }))
    }

    /// Lets `how` change the bay; adds up its hours and bills what ended.
    fn bay(
        &mut self,
        id: &str,
        place: &Place<'_>,
        at: Moment,
        now: Now,
        how: impl FnOnce(&mut Occupancy, &Bay) -> parking::Change,
    ) -> Told {
        let (State::Bay(bay), Kind::Bay(settings)) = (&mut self.state, &place.asset.kind) else {
            unreachable!("a watched asset keeps the kind it was made of: {id}");
        };
        let calendar = &place.site.calendar;
        let before = bay.status();
        let change = how(bay, settings);
        let meter = self.meter.get_or_insert_default();
        if bay.status() != before {
            let since = bay.since().unwrap_or(at).utc;
            meter.advance(before, since, calendar);
            meter.correct(before, bay.status(), since, calendar);
        }
        let mut told = Told { state: change.state, ..Told::default() };
        for ended in change.ended {
            let bill = parking::bill(&ended, &settings.policy, &place.site.parking, calendar);
            let due = bill.as_ref().filter(|b| b.billable).map(|b| b.fee.total);
            meter.ended(&ended, due, bill.as_ref().is_some_and(|b| !b.billable), calendar);
            let mut data = to_map(&ended);
            if let Some(bill) = &bill {
                data.append(&mut to_map(bill));
            }
            told.events.push(("parking.session", data));
        }
        if !change.recalibrate.is_empty() {
            let named = |feed: &&Feed| change.recalibrate.contains(&name_of(feed));
            told.recalibrate = place.asset.feeds.iter().filter(named).cloned().collect();
        }
        told.facts = bay_facts(bay, parking::judge(bay, settings, calendar, now));
        told
    }

    /// The meter of a bay goes on at `now`. What it was before counts on if silence had not made it
    /// unknown yet.
    pub(super) fn resume(&mut self, kind: &Kind, now: Now) {
        let State::Bay(bay) = &self.state else { return };
        let stale = match kind {
            Kind::Bay(settings) => settings.stale_after,
            _ => Span::ZERO,
        };
        let still = bay.heard().is_some_and(|heard| now.utc.since(heard.utc) < stale);
        let meter = self.meter.get_or_insert_default();
        if !still {
            meter.resume(now.utc);
        }
    }

    /// Closes the hour of a bay.
    pub(super) fn close_hour(&mut self, hour: Utc, end: Utc, calendar: &Calendar) -> Option<Sum> {
        let State::Bay(bay) = &self.state else { return None };
        let meter = self.meter.as_mut().filter(|meter| meter.is_older_than(end))?;
        meter.advance(bay.status(), end, calendar);
        Some(meter.close(hour, end))
    }

    /// The status, if it is a bay.
    pub(super) fn bay_status(&self) -> Option<parking::Status> {
        match &self.state {
            State::Bay(bay) => Some(bay.status()),
            _ => None,
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

fn road_told(change: crate::sweeping::RoadChange) -> Told {
    let mut told = Told { state: change.tell, keeps: !change.tell, ..Told::default() };
    if let Some(ended) = change.ended {
        told.facts.extend(ended.possible.map(|pct| Fact::Value(FactName::SweptPct, pct)));
        told.events.push(("sweep.road", to_map(&ended)));
    }
    told
}

fn same_kind(a: &State, b: &State) -> bool {
    std::mem::discriminant(a) == std::mem::discriminant(b)
}

fn bin_told(change: waste::Change) -> Told {
    let mut told = Told {
        state: change.state,
        level: change.level,
        figures: change.figures,
        ..Told::default()
    };
    let deposits = change.deposits.iter().map(|deposit| ("waste.deposit", to_map(deposit)));
    told.events.extend(deposits);
    told.events.extend(change.collection.map(|c| ("waste.collection", to_map(&c))));
    told.facts.extend(change.facts.into_iter().map(|(name, value)| Fact::Value(name, value)));
    told
}

/// Where an asset stands in its site.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place<'a> {
    pub(super) site: &'a Site,
    pub(super) asset: &'a Asset,
}

/// One report of one of an asset's devices.
#[derive(Debug, Clone, Copy)]
pub(super) struct Hearing<'a> {
    pub(super) feed: &'a Feed,
    pub(super) gap: Gap,
    pub(super) quantities: &'a [Quantity],
    pub(super) arrival: Arrival,
}

/// A device's name inside its asset.
fn name_of(feed: &Feed) -> String {
    format!("{}/{}", feed.source, feed.device.as_ref().map_or("", |d| d.as_str()))
}

fn bay_facts(bay: &Occupancy, verdict: Verdict) -> Vec<Fact> {
    let flag = |name, yes: bool| Fact::Value(name, i64::from(yes) * 1000);
    let stay = stay_of(bay);
    let mut facts = vec![
        Fact::Stay(stay),
        flag(FactName::BayStuck, bay.is_stuck()),
        flag(FactName::BayContested, bay.is_contested()),
        flag(FactName::BayDrifted, bay.is_drifted()),
    ];
    if bay.status() != parking::Status::Unknown {
        facts.push(flag(FactName::BayForbidden, verdict.forbidden));
        facts.push(flag(FactName::BayUnpermitted, verdict.unpermitted));
        facts.push(flag(FactName::BayZombie, verdict.zombie));
        facts.extend(verdict.stay_pct.map(|pct| Fact::Value(FactName::StayPct, pct * 1000)));
    }
    if stay != Stay::Unknown {
        facts.push(flag(FactName::Occupied, stay != Stay::None));
    }
    facts
}

fn stay_of(bay: &Occupancy) -> Stay {
    match bay.status() {
        parking::Status::Occupied => bay.stay_since().map_or(Stay::Unknown, Stay::Since),
        parking::Status::Free => Stay::None,
        parking::Status::Unknown | parking::Status::OutOfService => Stay::Unknown,
    }
}

/// Facts that any class of asset can have.
fn common_fact(quantity: &Quantity) -> Option<Fact> {
    Some(match *quantity {
        Quantity::Temperature(t) => Fact::Value(FactName::TemperatureC, i64::from(t.0)),
        Quantity::BatteryLevel(b) => Fact::Value(FactName::BatteryPct, i64::from(b.get()) * 100),
        Quantity::FuelLevel(fuel) => Fact::Value(FactName::FuelPct, i64::from(fuel.get()) * 100),
        Quantity::Detected(seen) => Fact::Seen(seen),
        Quantity::BatteryVoltage(v) => Fact::Value(FactName::BatteryV, i64::from(v.0)),
        _ => return None,
    })
}
