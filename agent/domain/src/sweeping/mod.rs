//! Vehicles: from positions to what they do, how far they went, and what they swept.
//!
//! ```text
//! fixes ─► vehicle (activity, way) ─► path (pieces) ─► coverage (cells of planned roads)
//! ```

mod collection;
mod coverage;
mod network;
mod path;
mod plane;
mod road;
mod track;
mod vehicle;
mod window;

pub use collection::{Outcome, Progress, Round, Stop, Tolerance, Visit};
pub use coverage::{
    CellState, Coverage, Layout, PASS_APART, Plan, ROAD_MAX_M, Side, Stretch, Sums,
};
pub(crate) use network::Network;
pub use path::{ACCURACY_MAX_MM, JOIN_DISTANCE_MAX_M, JOIN_TIME_MAX, Path, Piece, Step, Worth};
pub(crate) use road::RoadChange;
pub use road::{Ended, Road, RoadState};
pub use track::{
    BadTrack, Doing, SEND_EVERY, SEND_POINTS, Track, TrackPoint, WINDOW_MAX, Why, decode, encode,
    length_m, synchronised_error_m,
};
pub(crate) use vehicle::PositionView;
pub use vehicle::{Activity, Tracker, VehicleState};
pub use window::{Shift, Window, shift_of};
