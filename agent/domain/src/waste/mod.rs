//! Bins: from a distance to how full, when somebody emptied it, and whose hands it went through.
//!
//! * `level`: distance to filling level, for every shape.
//! * `filter`: the median that counts.
//! * `heat`: whether it burns.
//! * `plan`: when it is to be emptied.
//! * `emptying`: when it was, by whom, and when it was not.
//! * `forecast`: when it will be full.
//! * `trace`: deposits, lifts, trips.
//! * `figures`: what a day adds up to.
//! * `capacity`: what a street's bins hold and will hold.
//! * `bin`: the state that all of this makes.
//! * `profile`: the same in the words of others.

pub(crate) mod bin;
mod capacity;
mod emptying;
pub mod figures;
mod filter;
mod forecast;
mod heat;
mod level;
mod plan;
pub mod profile;
mod trace;

pub use bin::{BinState, Container, Status};
pub(crate) use bin::{Change, refuse};
pub(crate) use capacity::Capacity;
pub use emptying::Collection;
pub use forecast::{Forecast, Habits};
pub use level::{BadTable, Geometry, Table, filling_level};
pub use plan::WeekPlan;
pub use trace::{
    By, Deposit, DepositEvent, KnownBy, Lift, PERSON_KEY_MIN, PersonKey, Pseudonym, ShortKey, Tag,
    Trip, TripEvent, Violation, WasteKind, judge,
};
