//! One test program over all packages. What a module tests stands at its head.
#![allow(clippy::unwrap_used, reason = "here a panic is the verdict, helpers of tests included")]

mod outbox_chaos;
mod outbox_commands;
mod outbox_kills;
