//! Whether planned roads are drawn in another datum than they are said to be in.
//!
//! A plan that is drawn on a web map of China and said to be WGS84 lies half a kilometre beside the
//! streets: nothing would ever be swept. The way of the vehicles tells: it fits the plan in the one datum
//! and not in the other.

use super::path::{Piece, Step};
use crate::place::{Datum, Position};

/// So many pieces that fit only in another datum are no chance.
const PIECES_MIN: u32 = 50;
/// For each piece that fits as it is, so many must not.
const SHARE: u32 = 10;

/// What the pieces of one vehicle have said.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct DatumDoubt {
    plain: u32,
    shifted: u32,
    raised: bool,
}

/// A place as the same map would show it in another datum.
type Moved = fn(Position) -> Position;

/// The piece as it would lie in the plan if that were drawn in another datum, with that datum.
pub(crate) fn elsewhere(piece: &Piece) -> impl Iterator<Item = (Datum, Piece)> {
    let moved = |piece: &Piece, how: Moved| {
        let step = |step: Step| Step { position: how(step.position), ..step };
        let before = piece.before.map(how);
        Piece { from: step(piece.from), to: step(piece.to), before, ..*piece }
    };
    let piece = *piece;
    let ways: [(Datum, Moved); 3] = [
        (Datum::Gcj02, |p| p.to_datum(Datum::Gcj02).read_as(Datum::Wgs84)),
        (Datum::Bd09, |p| p.to_datum(Datum::Bd09).read_as(Datum::Wgs84)),
        (Datum::Wgs84, |p| p.read_as(Datum::Gcj02).to_wgs84()),
    ];
    ways.into_iter().map(move |(datum, how)| (datum, moved(&piece, how)))
}

impl DatumDoubt {
    /// What was answered last.
    pub(crate) fn is_raised(&self) -> bool {
        self.raised
    }

    /// Counts a swept piece that lies on the plan, or would do so in another datum. Answers, when there
    /// is enough to say so, whether the plan is in another datum.
    pub(crate) fn count(&mut self, plain: bool) -> Option<bool> {
        let side = if plain { &mut self.plain } else { &mut self.shifted };
        *side += 1;
        if self.plain + self.shifted > 4 * PIECES_MIN {
            // What is long ago weighs less: plans are mended.
            (self.plain, self.shifted) = (self.plain / 2, self.shifted / 2);
        }
        let doubtful = self.shifted >= PIECES_MIN && self.plain * SHARE <= self.shifted;
        let clear = self.plain >= PIECES_MIN && self.shifted * SHARE <= self.plain;
        if !doubtful && !clear {
            return None;
        }
        self.raised = doubtful;
        Some(doubtful)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_takes_many_pieces_to_doubt_a_plan_and_many_to_trust_it_again() {
        let mut doubt = DatumDoubt::default();
        let said: Vec<_> = (0..50).map(|_| doubt.count(false)).collect();
        assert_eq!(said.iter().filter(|s| s.is_some()).count(), 1, "the fiftieth");
        assert_eq!(said[49], Some(true));
        let said: Vec<_> = (0..400).filter_map(|_| doubt.count(true)).collect();
        assert_eq!(said.last(), Some(&false));
        let mut mixed = DatumDoubt::default();
        assert!((0..500).all(|n| mixed.count(n % 3 == 0).is_none()), "neither nor");
    }
}
