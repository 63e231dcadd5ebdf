//! One test program over all packages. What a module tests stands at its head.
#![allow(clippy::unwrap_used, reason = "here a panic is the verdict, helpers of tests included")]

mod lns_events;
mod lorawan_vectors;
mod nmea_drives;
mod nmea_receivers;
mod parking_polls;
mod waste;

mod bad_input;
mod command_line;
mod demo;
mod outage;
mod tidy;
