//! From the way of vehicles to the coverage of streets.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::Engine;
use super::watched::Watched;
use crate::ids::{AssetId, AssetKey, Class};
use crate::output::Outputs;
use crate::sweeping::{Network, Piece};
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

impl Engine {
    /// A vehicle has gone along `piece`: every planned street near it looks whether it was swept.
    pub(super) fn sweep(&mut self, piece: &Piece, at: Moment, now: Now, out: &mut Outputs) {
        for street in self.network.near(piece) {
            self.change(&street, at, now, out, |w, _, spec| w.swept(&spec.asset.kind, piece, at));
        }
    }

    /// The coverage of a street in its present window as GeoJSON: stretches of equal state.
    pub(super) fn coverage_of(
        &self,
        street: &AssetId,
    ) -> Result<Map<String, Value>, (&'static str, String)> {
        let key = AssetKey::new(Class::Street, street.clone());
        let road = self.assets.get(&key).and_then(Watched::road);
        let Some(road) = road else {
            return Err(("unknown", format!("no street {street} is planned to be swept")));
        };
        let features: Vec<Value> = road
            .stretches()
            .iter()
            .map(|stretch| {
                let line: Vec<_> = stretch.line.iter().map(|p| [p.lon(), p.lat()]).collect();
                json!({
                    "type": "Feature",
                    "properties": {"state": stretch.state, "passes": stretch.passes},
                    "geometry": {"type": "LineString", "coordinates": line},
                })
            })
            .collect();
        let mut map = Map::new();
        map.insert("type".into(), json!("FeatureCollection"));
        map.insert("street".into(), json!(street));
        if let Some(shift) = road.shift() {
            map.insert("window".into(), json!({"from": shift.from, "until": shift.until}));
        }
        map.insert("features".into(), Value::Array(features));
        Ok(map)
    }
}
