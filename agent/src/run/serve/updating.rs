//! Updates of the program, as far as the life of a box has to do with them: what is asked for goes to
//! [`Updates`](crate::update::Updates), and what that has to tell goes to the engine and into `P/info`.

use domain::commands::update::Update;
use domain::commands::upkeep::Stage;
use domain::input::Input;
use serde_json::{Map, Value};

use super::{Life, Next, map, progress};
use crate::control::trial::Asked;
use crate::run::{RunError, Station};
use crate::update::{News, Told};

/// What the engine is told.
pub(super) fn in_words(told: Told) -> Input {
    let Told { asked, stage, result, why } = told;
    progress(asked, stage, map(result), why)
}

impl Life {
    pub(super) async fn updated(&mut self, news: News, station: &Station) {
        let told = self.updates.hear(news);
        self.tell_updates(told, station).await;
    }

    pub(super) async fn tell_updates(&self, told: Vec<Told>, station: &Station) {
        if told.is_empty() {
            return;
        }
        station.show_update(self.updates.show());
        for one in told {
            station.tell(in_words(one)).await;
        }
    }

    /// Begins an update; what comes of it is told later.
    pub(super) async fn update(
        &mut self,
        update: Update,
        asked: Asked,
        station: &Station,
    ) -> Result<Option<Next>, RunError> {
        let begun = match &self.trial {
            Some(trial) => Err(format!(
                "configuration {} is on trial; confirm or revert it first",
                trial.version
            )),
            None => self.updates.apply(update, asked.clone()),
        };
        match begun {
            Ok(()) => station.show_update(self.updates.show()),
            Err(why) => {
                let refused = progress(asked, Stage::Refused, Map::new(), Some(why));
                station.tell(refused).await;
            }
        }
        Ok(None)
    }

    pub(super) async fn revert_update(
        &mut self,
        station: &Station,
    ) -> Result<Map<String, Value>, String> {
        let told = self.updates.revert()?;
        self.tell_updates(told, station).await;
        Ok(self.tell_of_updates())
    }

    /// For whoever asks how far an update has come.
    pub(super) fn tell_of_updates(&self) -> Map<String, Value> {
        map(self.updates.show())
    }
}
