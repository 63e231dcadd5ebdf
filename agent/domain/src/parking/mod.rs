//! Bays: from what sensors say to who stood where, how long, what it costs and what it comes to.
//!
//! * `votes`: several sensors of one bay, as one word.
//! * `session`: a stay, from arrival to departure, with how well its length is known.
//! * `occupancy`: a bay's state with debounce, lost reports, staleness and doubt.
//! * `policy`: who may stand there, and how long.
//! * `tariff`, `bill`: what a stay costs, and whether the box may bill it.
//! * `figures`, `ledger`: hours and days, per bay and street.
//! * `guidance`: free bays for drivers.
//! * `report`: stored days as a table.
//! * `profile`: the same facts as other platforms read them.

mod votes;

mod session;

mod occupancy;

mod policy;

pub mod tariff;

mod bill;

mod figures;

mod ledger;

mod week;

mod guidance;

pub mod report;

pub mod profile;

pub use bill::{Bill, NotBilled, bill};
pub use figures::{Meter, Metrics, Sum};
pub(crate) use guidance::Guidance;
pub(crate) use ledger::{CLOSE_AFTER, Ledger};
pub use ledger::{DAYS_KEPT, Day};
pub use occupancy::{BayState, Occupancy, Status};
pub(crate) use occupancy::{Change, Report};
pub(crate) use policy::{Verdict, judge};
pub use session::{Ended, Session, SessionQuality};
