//! What the system tests share: where the recorded data is, and later the simulated street.

pub mod data;
