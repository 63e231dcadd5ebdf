//! Fields at which the bay came to rest, to find out whether the empty bay is one of them.
//!
//! A node that was switched on under a vehicle takes the vehicle's field for that of the empty bay. When the
//! vehicle has gone the bay seems occupied, and goes on to seem so. But every vehicle bends the field in its
//! own way, and no two stand alike; the empty bay looks the same each time. So the first field that comes
//! again, with another one in between, is the empty bay's.

use drivers::Field;
use heapless::Vec;
use wire::BaySettings;

use super::{distance_squared, squared};

/// How many are remembered. Full: the oldest is forgotten, which costs another round until the mistake is found.
const PLATEAUS_MAX: usize = 4;
/// How near to the same a field comes again: nanotesla. Neighbours and noise, and no second vehicle.
const SAME_NT: u16 = 1_500;

/// The latest fields of rest, oldest first.
#[derive(Debug, Default)]
pub(super) struct Plateaus {
    fields: Vec<Field, PLATEAUS_MAX>,
}

impl Plateaus {
    /// Takes the field of a bay at rest that seems occupied; whether it is one of before.
    pub(super) fn comes_again(&mut self, mean: Field, settings: &BaySettings) -> bool {
        let is_near = |field: &Field, nt| distance_squared(*field, mean) < squared(nt);
        if let Some(last) = self.fields.last_mut()
            && is_near(last, settings.arrive_nt)
        {
            // The same vehicle; it drifts.
            *last = mean;
            return false;
        }
        if self.fields.iter().any(|field| is_near(field, SAME_NT)) {
            return true;
        }
        if self.fields.is_full() {
            self.fields.remove(0);
        }
        self.fields.push(mean).expect("room was made above");
        false
    }
}
