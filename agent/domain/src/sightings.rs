//! What a camera finds by itself: a problem in one of its zones, or that it shows nothing.
//!
//! When something that is seen is a problem is decided where the pictures are (they do not come here);
//! which ticket that is, and whether a person has to look first, is decided by the tickets. A box that
//! starts says of every zone that shows nothing that its problem is over, so that what ended while it
//! was off is cleared.

use serde::{Deserialize, Serialize};

use crate::ids::{AssetKey, Category, SourceName};
use crate::place::Position;
use crate::rules::{Evidence, Severity};
use crate::time::{Now, Utc};
use crate::units::Permille;

/// What a camera has to say of a problem.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Sighting {
    /// The camera.
    pub source: SourceName,
    /// The zone of the picture; `None`: the picture as a whole.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub zone: Option<String>,
    /// What kind of problem.
    pub category: Category,
    /// How bad it is.
    pub severity: Severity,
    /// What it is about.
    pub subject: Subject,
    /// Whether it begins or is over.
    pub change: Change,
}

/// What a sighting is about.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Subject {
    /// An asset that the zone shows.
    Asset(AssetKey),
    /// A place that the zone shows.
    Place(Position),
    /// The camera itself.
    Camera,
}

/// Whether a problem begins or is over.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Change {
    /// It begins.
    Begins(Seen),
    /// It is over, or was not there when the camera began to look.
    Over,
}

/// What was seen when a problem began.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seen {
    /// How sure that is, in percent.
    pub confidence: u8,
    /// In words, for the ticket.
    pub text: String,
    /// What the model saw; `None` where no model was asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub look: Option<Look>,
    /// The picture: `sha256:` and the digits of its hash. `None` where none may leave.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub media: Option<String>,
}

/// What a model saw.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Look {
    /// The zone.
    pub zone: String,
    /// The model.
    pub model: String,
    /// The SHA-256 of its weights.
    pub model_sha256: String,
    /// The class, in the words of the model.
    pub class: String,
    /// How sure it was at best.
    pub score: Permille,
    /// The box: left, upper, right and lower edge, in thousandths of the picture.
    #[serde(rename = "box")]
    pub bounds: [u16; 4],
    /// Frames it was seen in.
    pub hits: u32,
    /// Frames that were looked at meanwhile.
    pub frames: u32,
    /// When it was first seen.
    pub first: Utc,
    /// When it was last seen.
    pub last: Utc,
}

impl Sighting {
    /// Who says so: the camera, and the zone where it is one.
    #[must_use]
    pub fn by(&self) -> String {
        match &self.zone {
            Some(zone) => format!("{}/{zone}", self.source),
            None => self.source.to_string(),
        }
    }

    /// The same as a reading that a ticket rests on.
    pub(crate) fn evidence(&self, now: Now) -> Evidence {
        let by = self.by();
        let (value, text) = match &self.change {
            Change::Begins(seen) => (Some(f64::from(seen.confidence)), seen.text.clone()),
            Change::Over => (None, format!("{by}: it is not seen any more")),
        };
        let unit = value.map(|_| "%".to_owned());
        Evidence { at: now.utc, fact: self.category.to_string(), value, unit, text, received: None }
    }
}
