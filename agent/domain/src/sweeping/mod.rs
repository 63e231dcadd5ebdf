//! Vehicles: from positions to what they do and how far they went.

mod vehicle;

pub(crate) use vehicle::PositionView;
pub use vehicle::{Activity, Tracker, VehicleState};
