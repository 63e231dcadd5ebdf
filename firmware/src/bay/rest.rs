//! The field at the latest rest, and how far it has been from there since.
//!
//! What lies further back than the latest rest (drift, a neighbour who came in the night) is the same before and
//! after a movement. So the difference between two rests shows what moved, and hardly anything else. How far the
//! field came in between shows whether it moved above the sensor: a vehicle on the next bay never comes that near.

use drivers::Field;

use super::distance_squared;

/// The rest follows slow drift by 1/16 of the difference every time it is told to: 80 s.
const FOLLOW_SHIFT: u32 = 4;

/// The field at the latest rest.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rest {
    field: Field,
    /// Square of the farthest that a reading has been from it since.
    farthest: i64,
    has_moved: bool,
}

impl Rest {
    pub(super) const fn new(field: Field) -> Rest {
        Rest { field, farthest: 0, has_moved: false }
    }

    /// A reading, and whether the field moves.
    pub(super) fn see(&mut self, reading: Field, moves: bool) {
        self.farthest = self.farthest.max(distance_squared(reading, self.field));
        self.has_moved |= moves;
    }

    /// Whether something has moved since.
    pub(super) const fn has_moved(&self) -> bool {
        self.has_moved
    }

    /// Square of the farthest that a reading has been from it since, in nanotesla.
    pub(super) const fn farthest_squared(&self) -> i64 {
        self.farthest
    }

    /// What has changed since.
    pub(super) fn change(&self, mean: Field) -> Field {
        difference(mean, self.field)
    }

    /// Follows a field where nothing moves.
    pub(super) fn follow(&mut self, mean: Field) {
        let change = self.change(mean);
        self.field.x += change.x >> FOLLOW_SHIFT;
        self.field.y += change.y >> FOLLOW_SHIFT;
        self.field.z += change.z >> FOLLOW_SHIFT;
        self.farthest = distance_squared(mean, self.field);
    }
}

/// `to` less `from`, of plausible fields.
pub(super) const fn difference(to: Field, from: Field) -> Field {
    Field { x: to.x - from.x, y: to.y - from.y, z: to.z - from.z }
}

/// Of two differences between plausible fields.
pub(super) const fn sum(one: Field, other: Field) -> Field {
    Field { x: one.x + other.x, y: one.y + other.y, z: one.z + other.z }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIELD: Field = Field { x: 10_000, y: -20_000, z: 30_000 };

    #[test]
    fn what_moved_is_known_until_the_next_rest() {
        let mut rest = Rest::new(FIELD);
        rest.see(Field { x: 10_300, ..FIELD }, false);
        assert!(!rest.has_moved());
        rest.see(Field { z: 42_000, ..FIELD }, true);
        rest.see(Field { z: 35_000, ..FIELD }, false);
        assert!(rest.has_moved());
        assert_eq!(rest.farthest_squared(), 12_000 * 12_000);
        let change = rest.change(Field { z: 35_000, ..FIELD });
        assert_eq!(change, Field { x: 0, y: 0, z: 5_000 });
    }

    #[test]
    fn drift_is_followed_and_a_creeping_vehicle_is_not() {
        let mut rest = Rest::new(FIELD);
        let mut field = FIELD;
        // 2 µT in an hour, and once more.
        for _ in 0..2 * 720 {
            field.x += 3;
            rest.follow(field);
        }
        assert!(rest.change(field).x < 100);
        // 12 µT in 40 s.
        for _ in 0..8 {
            field.x += 1_500;
            rest.follow(field);
        }
        assert!(rest.change(field).x > 9_000);
    }
}
