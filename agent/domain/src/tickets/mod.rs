//! Tickets: one per problem, with its evidence, its life and its flow.
//!
//! * `ticket`: the ticket, its states and the steps between them.
//! * `desk`: every ticket of the box: identity, opening, reopening, closing, purging.

mod desk;
mod ticket;

pub(crate) use desk::{Desk, News};
pub use ticket::{Flow, Refusal, State, Ticket};
