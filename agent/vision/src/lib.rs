//! What a camera sees: from JPEGs to findings, with nothing leaving that shows a face.
//!
//! ```text
//! bytes ─► stream ─► picture ─► motion ─► model ─► zone ─► watch ─► finding
//!                                         │ manifest, fit, network, families
//!                       evidence ◄─ redact ◄─ the picture it was seen in
//! ```
//!
//! Knows no clock, no network, no configuration file but the manifests of models, and no asset: a zone
//! has a name, and what that means is the caller's business. Everything that arrives is refused unless it
//! is right, and no input makes it panic or grow.
#![cfg_attr(test, allow(clippy::unwrap_used))]
#![cfg_attr(test, allow(clippy::cast_possible_truncation))]

pub mod accuracy;
pub mod agreement;
pub mod bounds;
pub mod evidence;
pub mod families;
pub mod fit;
pub mod manifest;
pub mod model;
pub mod motion;
pub mod network;
pub mod picture;
pub mod redact;
pub mod scene;
pub mod stream;
pub mod swatch;
pub mod watch;
pub mod zone;
