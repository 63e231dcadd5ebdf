//! Fields at which the bay came to rest, to find out whether the empty bay is one of them.
//!
//! A node that was switched on under a vehicle takes the vehicle's field for that of the empty bay. When the
//! vehicle has gone the bay seems occupied, and goes on to seem so. The same comes of a steel plate that is laid
//! beside the bay for good. But every vehicle bends the field in its own way, and no two stand alike; the empty
//! bay looks the same each time. So the first field that comes again, with others in between, is the empty bay's.

use drivers::Field;
use heapless::Vec;
use wire::BaySettings;

use super::{distance_squared, squared};

/// How many are remembered. Full: the oldest is forgotten, which costs another round until the mistake is found.
const PLATEAUS_MAX: usize = 4;
/// How near to the same a field comes again: nanotesla. Neighbours and noise, and no second vehicle.
const SAME_NT: u16 = 1_500;

/// The latest fields of rest, the one seen last at the end, each with how often it was seen.
#[derive(Debug, Default)]
pub(super) struct Plateaus {
    fields: Vec<(Field, u8), PLATEAUS_MAX>,
}

impl Plateaus {
    /// Takes the field of a bay at rest that seems occupied; how often it was seen by now.
    pub(super) fn returns(&mut self, mean: Field, settings: &BaySettings) -> u8 {
        let is_near = |field: &Field, nt| distance_squared(*field, mean) < squared(nt);
        if let Some((last, times)) = self.fields.last_mut()
            && is_near(last, settings.arrive_nt)
        {
            // The same vehicle; it drifts.
            *last = mean;
            return *times;
        }
        let known = self.fields.iter().position(|(field, _)| is_near(field, SAME_NT));
        let times = known.map_or(0, |at| self.fields.remove(at).1);
        if self.fields.is_full() {
            self.fields.remove(0);
        }
        let times = times.saturating_add(1);
        self.fields.push((mean, times)).expect("room was made above");
        times
    }
}
