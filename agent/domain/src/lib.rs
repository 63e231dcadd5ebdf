//! The decisions of Steward: pure, synchronous, deterministic.
pub mod commands;
pub mod decode;
pub mod ids;
pub mod input;
pub mod output;
pub mod place;
pub mod rules;
pub mod sample;
pub mod site;
pub mod time;
pub mod units;
