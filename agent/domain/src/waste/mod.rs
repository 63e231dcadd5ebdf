//! Bins: from a distance to how full, and when somebody emptied it.
//!
//! * `level`: distance to filling level.
//! * `bin`: a bin's state, the full mark with hysteresis, and emptying.

mod bin;
mod level;

pub use bin::{BinState, Collection, Container, Status};
pub use level::filling_level;
