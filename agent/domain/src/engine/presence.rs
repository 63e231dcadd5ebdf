//! Crews that are there: a card at a reader, or a vehicle that stands at the place.
//!
//! A card of a crew that a reader sees says that the crew is where the reader is. A vehicle of a crew that
//! has stood for [`STANDS_FOR`] says that the crew is there: longer than a red light. Either is written into
//! the tickets that were given to that crew and are about that place, once for each time they were given.

use super::*;
use crate::ids::CrewId;
use crate::place::Position;
use crate::sample::Quantity;
use crate::waste::Tag;

/// A vehicle that stands for so long has stopped for something.
const STANDS_FOR: Span = Span::from_secs(120);

impl Engine {
    /// The crew that has a card.
    fn crew_of(&self, tag: Tag) -> Option<&CrewId> {
        let mut crews = self.site.tickets.crews.iter();
        crews.find(|(_, crew)| crew.cards.contains(&tag)).map(|(id, _)| id)
    }

    /// Takes the cards of crews out of a report: no bin is lifted by them.
    pub(super) fn take_cards(&self, quantities: &mut Vec<Quantity>) -> Vec<CrewId> {
        let mut shown = vec![];
        quantities.retain(|quantity| {
            let Quantity::Lift(lift) = quantity else { return true };
            let crew = self.crew_of(lift.tag);
            shown.extend(crew.cloned());
            crew.is_none()
        });
        shown
    }

    /// Crews showed their cards at the reader of an asset.
    pub(super) fn cards_shown(
        &mut self,
        key: &AssetKey,
        crews: &[CrewId],
        at: Moment,
        out: &mut Outputs,
    ) {
        let stands = self.site.assets[key].position;
        let drives = self.assets.get(key).and_then(Watched::stands_since).map(|s| s.0);
        for crew in crews {
            let by = format!("card of {crew}");
            self.arrive(crew, Some(key), stands.or(drives), &by, at, out);
        }
    }

    /// A vehicle may have stopped where its crew has something to do.
    pub(super) fn may_have_stopped(&mut self, key: &AssetKey, at: Moment, out: &mut Outputs) {
        let of_vehicle = |crew: &crate::site::Crew| crew.vehicles.contains(&key.id);
        let crews = self.site.tickets.crews.iter().filter(|(_, crew)| of_vehicle(crew));
        let crews: Vec<CrewId> = crews.map(|(id, _)| id.clone()).collect();
        if crews.is_empty() {
            return;
        }
        let stood = self.assets.get(key).and_then(Watched::stands_since);
        let Some((place, since)) = stood else { return };
        if at.since(since) < STANDS_FOR {
            return;
        }
        for crew in &crews {
            self.arrive(crew, None, Some(place), &key.to_string(), at, out);
        }
    }

    fn arrive(
        &mut self,
        crew: &CrewId,
        asset: Option<&AssetKey>,
        place: Option<Position>,
        by: &str,
        at: Moment,
        out: &mut Outputs,
    ) {
        let news = self.desk.arrive(&self.site, crew, asset, place, by, at);
        self.spread(news, out);
    }
}
