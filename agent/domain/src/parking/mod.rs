//! Bays: from what a sensor says to who stood where, and how long.
//!
//! * `occupancy`: a bay's state with debounce and staleness.
//! * `session`: a stay, from arrival to departure, with how well its length is known.

mod occupancy;
mod session;
pub mod tariff;

pub(crate) use occupancy::Change;
pub use occupancy::{BayState, Occupancy, Status};
pub use session::{Ended, Session, SessionQuality};
