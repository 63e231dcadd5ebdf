//! What a vehicle has to tell, and what is sent of its track.

use serde_json::{Map, Value, json};

use super::watched::Told;
use crate::ids::AssetKey;
use crate::output::{Body, Lane, Message, Quality, Topic, to_map};
use crate::rules::{Fact, FactName};
use crate::sample::{Missing, Quantity};
use crate::site::{Kind, Vehicle};
use crate::sweeping::{Change, Outcome, Over, Round, RoundNews, Sent, Tally};
use crate::time::Moment;

/// What a change of a vehicle means for everybody else.
pub(super) fn told(change: Change, settings: &Vehicle) -> Told {
    let mut told = Told {
        state: change.state,
        keeps: change.keeps,
        duplicate: change.duplicate,
        pieces: change.pieces,
        track: change.track,
        ..Told::default()
    };
    told.facts.extend(change.facts.into_iter().map(|(name, value)| Fact::Value(name, value)));
    for over in change.over {
        told.events.push(match over {
            Over::Trip(trip) => ("vehicle.trip", to_map(&trip)),
            Over::Shift(shift) => ("vehicle.shift", to_map(&shift)),
        });
    }
    if let Some(round) = &settings.duty.round {
        for news in change.rounds {
            add_round(&mut told, news, round);
        }
    }
    told
}

/// Events and facts of a round: a stop that went well changes no count, and so no fact.
fn add_round(told: &mut Told, news: RoundNews, round: &Round) {
    let (counts, event) = match news {
        RoundNews::Stop(visit, tally) => {
            let stop = &round.stops[visit.stop];
            let off = visit.came.map(|came| (came.as_ms() - visit.due.as_ms()) / 1000);
            let data = json!({
                "route": stop.route, "stop": stop.name, "due": visit.due, "came": visit.came,
                "off_s": off, "outcome": visit.outcome,
            });
            let counts = (visit.outcome != Outcome::Served).then(|| faults(&tally));
            (counts, ("route.stop", object(data)))
        }
        RoundNews::Over(tally) => (Some(faults(&tally)), ("route.round", to_map(&tally))),
    };
    told.events.push(event);
    told.facts.extend(counts.into_iter().flatten());
}

fn faults(tally: &Tally) -> [Fact; 3] {
    let names = [FactName::StopsSkipped, FactName::StopsLate, FactName::StopsEarly];
    let counts = tally.faults().map(|count| i64::from(count) * 1000);
    std::array::from_fn(|i| Fact::Value(names[i], counts[i]))
}

fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(map) => map,
        other => unreachable!("it is written as an object above, not {other}"),
    }
}

/// The quantities of a report that are sent as they are. What the track tells already is left out:
/// places, where the work begins and ends, and where the signal was lost.
pub(super) fn sent_raw(kind: &Kind, quantities: &[Quantity]) -> Vec<Quantity> {
    let on_track = |quantity: &Quantity| match quantity {
        Quantity::Fix(_) | Quantity::Working(_) => true,
        Quantity::Absent(absent) => absent.what == Missing::Fix,
        _ => false,
    };
    let all = !matches!(kind, Kind::Vehicle(vehicle) if !vehicle.duty.raw_fixes);
    quantities.iter().filter(|quantity| all || !on_track(quantity)).copied().collect()
}

/// A piece of a vehicle's track.
pub(super) fn track(key: &AssetKey, sent: &Sent, at: Moment) -> Message {
    let track = Value::Object(to_map(sent));
    Message {
        lane: Lane::Telemetry,
        topic: Topic::AssetTelemetry(key.clone()),
        at: at.utc,
        clock: at.clock,
        quality: Quality::Good,
        body: Body::Flat(Map::from_iter([("track".to_owned(), track)])),
    }
}
