//! Which planned roads a piece of way may touch: a grid over the map.

use std::collections::{BTreeMap, BTreeSet};

use super::coverage::Layout;
use super::path::Piece;
use crate::ids::AssetKey;
use crate::place::Position;

/// Edge of a tile in 1e-7 degrees, some 200 m.
const TILE_E7: i32 = 20_000;
/// Around a cell in 1e-7 degrees of latitude, some 65 m: half of the longest piece, and how far beside
/// a cell it may pass. A degree of longitude is shorter, so it is twice that.
const MARGIN_E7: i32 = 6_000;
/// A piece is looked up at points that are at most this far apart.
const STEP_M: f64 = 50.0;

type Tile = (i32, i32);

/// Every planned road by the tiles it touches.
#[derive(Debug, Default)]
pub(crate) struct Network(BTreeMap<Tile, BTreeSet<AssetKey>>);

impl Network {
    pub(crate) fn add(&mut self, key: &AssetKey, layout: &Layout) {
        // The next cell mostly touches the tiles of the one before.
        let mut last = [None; 4];
        for (lat, lon) in layout.centres().map(e7) {
            let corners = [(-1, -2), (-1, 2), (1, -2), (1, 2)];
            for (last, (north, east)) in last.iter_mut().zip(corners) {
                let north = lat.saturating_add(north * MARGIN_E7);
                let tile = tile((north, lon.saturating_add(east * MARGIN_E7)));
                if last.replace(tile) != Some(tile) {
                    self.0.entry(tile).or_default().insert(key.clone());
                }
            }
        }
    }

    /// The roads near a piece, in the order of their names.
    pub(crate) fn near(&self, piece: &Piece) -> BTreeSet<AssetKey> {
        let (from, to) = (e7(piece.from.position), e7(piece.to.position));
        let metres = piece.from.position.distance_m(piece.to.position).unwrap_or(0.0);
        // Pieces are at most some kilometres long.
        let steps = (metres / STEP_M).clamp(0.0, 1000.0) as i32 + 1;
        let between = |a: i32, b: i32, i: i32| {
            let part = (i64::from(b) - i64::from(a)) * i64::from(i) / i64::from(steps);
            i32::try_from(i64::from(a) + part).unwrap_or(b)
        };
        let tiles = (0..=steps).map(|i| tile((between(from.0, to.0, i), between(from.1, to.1, i))));
        tiles.filter_map(|tile| self.0.get(&tile)).flatten().cloned().collect()
    }
}

fn e7(position: Position) -> (i32, i32) {
    // Degrees are at most 180, so that their ten millionths fit.
    (libm::round(position.lat() * 1e7) as i32, libm::round(position.lon() * 1e7) as i32)
}

fn tile((lat, lon): (i32, i32)) -> Tile {
    (lat.div_euclid(TILE_E7), lon.div_euclid(TILE_E7))
}
