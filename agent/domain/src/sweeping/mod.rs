//! Vehicles: from positions to what they do, how far they went, and what they swept.
//!
//! ```text
//! fixes ─► vehicle (activity, trips, facts) ─► path (pieces) ─► coverage (cells of planned roads)
//!             └─► track (what is sent)   └─► collection (stops)
//! ```

mod collection;
mod coverage;
mod datum;
mod network;
mod path;
mod plane;
mod road;
mod track;
mod vehicle;
mod window;
mod zone;

pub(crate) use collection::RoundNews;
pub use collection::{Outcome, Progress, Round, Stop, Tally, Tolerance, Visit};
pub use coverage::{
    CellState, Coverage, Layout, PASS_APART, Plan, ROAD_MAX_M, Side, Stretch, Sums,
};
pub(crate) use datum::{DatumDoubt, elsewhere};
pub(crate) use network::Network;
pub use path::{ACCURACY_MAX_MM, JOIN_DISTANCE_MAX_M, JOIN_TIME_MAX, Path, Piece, Step, Worth};
pub(crate) use road::RoadChange;
pub use road::{Ended, Road, RoadState};
pub(crate) use track::Sent;
pub use track::{
    BadTrack, Doing, SEND_EVERY, SEND_POINTS, Track, TrackPoint, WINDOW_MAX, Why, decode, encode,
    length_m, synchronised_error_m,
};
pub use vehicle::{Activity, Tracker, Travelled, VehicleState};
pub(crate) use vehicle::{Arrival, Change, Over, PositionView};
pub use window::{Shift, Window, shift_of};
pub use zone::{Course, POINTS_MAX, Zone, ZoneKind};
