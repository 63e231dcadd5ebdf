//! From the way of vehicles to the coverage of streets.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::watched::Watched;
use super::{Engine, publish};
use crate::ids::{AssetId, AssetKey, Class};
use crate::output::Outputs;
use crate::rules::{Fact, FactName};
use crate::sweeping::{Network, Piece, Shift, Stretch, Worth, elsewhere};
use crate::time::{Moment, Now};

/// Where the planned streets are.
pub(super) fn network(assets: &BTreeMap<AssetKey, Watched>) -> Network {
    let mut network = Network::default();
    for (key, watched) in assets {
        if let Some(road) = watched.road() {
            network.add(key, road.layout());
        }
    }
    network
}

/// The most bytes of features in one answer; brokers take packets of 256 KiB and less.
const ANSWER_MAX: usize = 96 * 1024;

impl Engine {
    /// A vehicle has gone along `piece`: every planned street near it looks whether it was swept.
    pub(super) fn sweep(
        &mut self,
        vehicle: &AssetKey,
        piece: &Piece,
        at: Moment,
        now: Now,
        out: &mut Outputs,
    ) {
        if piece.worth == Worth::Swept {
            self.doubt_plan(vehicle, piece, at, now, out);
        }
        for street in self.network.near(piece) {
            self.change(&street, at, now, out, |w, _, spec| w.swept(&spec.asset.kind, piece, at));
        }
    }

    /// Whether a street is planned where the piece lies.
    fn is_planned(&self, piece: &Piece) -> bool {
        let near = self.network.near(piece);
        let roads = near.iter().filter_map(|key| self.assets.get(key)?.road());
        roads.into_iter().any(|road| road.layout().fits(piece))
    }

    /// Tells when the streets lie where the vehicle sweeps only if their plan is in another datum.
    fn doubt_plan(
        &mut self,
        vehicle: &AssetKey,
        piece: &Piece,
        at: Moment,
        now: Now,
        out: &mut Outputs,
    ) {
        let plain = self.is_planned(piece);
        let other = if plain {
            None
        } else {
            match elsewhere(piece).find(|(_, shifted)| self.is_planned(shifted)) {
                Some((datum, _)) => Some(datum),
                // Where nothing is planned in any datum, nothing is said of the plan.
                None => return,
            }
        };
        let doubt = self.doubts.entry(vehicle.clone()).or_default();
        let before = doubt.is_raised();
        let Some(raised) = doubt.count(plain).filter(|raised| *raised != before) else { return };
        if let Some(datum) = other.filter(|_| raised) {
            let data = Map::from_iter([("fits".to_owned(), json!(datum))]);
            out.messages.push(publish::event(vehicle, "sweep.plan_shifted", data, at));
        }
        let facts = [Fact::Value(FactName::PlanShifted, i64::from(raised) * 1000)];
        self.find(vehicle, &facts, at, now, out);
    }

    /// What was swept in the windows of the last day and the present ones, as GeoJSON: stretches of
    /// equal state, of one street or of all. An answer that would be too long says with `next` where
    /// the following one begins.
    pub(super) fn coverage_of(
        &self,
        street: Option<&AssetId>,
        from: usize,
    ) -> Result<Map<String, Value>, (&'static str, String)> {
        let wanted = street.map(|street| AssetKey::new(Class::Street, street.clone()));
        let all = self.assets.iter().filter(|(key, _)| wanted.as_ref().is_none_or(|w| w == *key));
        let roads: Vec<_> = all.filter_map(|(key, watched)| Some((key, watched.road()?))).collect();
        if let (Some(street), true) = (street, roads.is_empty()) {
            return Err(("unknown", format!("no street {street} is planned to be swept")));
        }
        let stretches = roads.iter().flat_map(|(key, road)| {
            let windows = road.windows();
            windows.flat_map(move |(shift, stretches)| {
                stretches.into_iter().map(move |stretch| (&key.id, shift, stretch))
            })
        });
        let (mut features, mut bytes, mut next) = (vec![], 0, None);
        for (n, (street, shift, stretch)) in stretches.enumerate().skip(from) {
            let feature = feature(street, shift, &stretch);
            bytes += feature.to_string().len();
            if bytes > ANSWER_MAX && !features.is_empty() {
                next = Some(n);
                break;
            }
            features.push(feature);
        }
        let mut map = Map::new();
        map.insert("type".into(), json!("FeatureCollection"));
        map.insert("features".into(), Value::Array(features));
        if let Some(street) = street {
            map.insert("street".into(), json!(street));
        }
        if let Some(shift) = street.and_then(|_| roads.first()).and_then(|(_, road)| road.shift()) {
            map.insert("window".into(), json!({"from": shift.from, "until": shift.until}));
        }
        if let Some(next) = next {
            map.insert("next".into(), json!(next));
        }
        Ok(map)
    }
}

fn feature(street: &AssetId, shift: Shift, stretch: &Stretch) -> Value {
    let line: Vec<_> = stretch.line.iter().map(|p| [p.lon(), p.lat()]).collect();
    json!({
        "type": "Feature",
        "properties": {
            "street": street, "from": shift.from, "until": shift.until, "state": stretch.state,
            "passes": stretch.passes, "cells": stretch.cells, "at": stretch.at,
        },
        "geometry": {"type": "LineString", "coordinates": line},
    })
}
