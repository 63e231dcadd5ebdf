//! What cameras find by themselves.

use super::{Engine, reject};
use crate::decode::Reason;
use crate::output::Outputs;
use crate::sightings::Sighting;
use crate::time::Now;

impl Engine {
    /// Opens or clears the ticket that a sighting is about.
    pub(super) fn sighting(&mut self, sighting: &Sighting, now: Now, out: &mut Outputs) {
        self.hear_source(&sighting.source, now, out);
        match self.desk.sight(&self.site, sighting, now) {
            Ok(news) => self.spread(news, out),
            Err(untaken) => {
                let detail = format!("{} of {}: {untaken}", sighting.category, sighting.by());
                reject(&sighting.source, Reason::UnknownDevice, detail, out);
            }
        }
    }
}
