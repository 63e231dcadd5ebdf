//! What the box offers to the public: Open311.

use domain::open311::Offer;
use domain::time::Span;

use super::Secret;

/// `[open311]`: where people report problems.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Open311 {
    /// What may be reported, and in which language.
    pub offer: Offer,
    /// The endpoint as the public reaches it; `None`: as each one asks for it.
    pub url: Option<String>,
    /// Whom to write to, for the discovery file.
    pub contact: String,
    /// The only jurisdiction there is; `None`: whatever is asked for.
    pub jurisdiction: Option<String>,
    /// The keys that programs show.
    pub keys: Vec<Secret>,
    /// Whether a report without a key is refused.
    pub key_required: bool,
    /// Reports of one address in an hour.
    pub reports_per_hour: u32,
    /// Reports of all together in an hour.
    pub reports_per_hour_all: u32,
    /// The longest photo, in bytes.
    pub photo_max: u64,
    /// All photos together, in bytes.
    pub photos_max: u64,
    /// How long photos, and what is known of people, are kept.
    pub keep: Span,
    /// Whether a reverse proxy of ours stands in front and says who asks.
    pub behind_proxy: bool,
}
