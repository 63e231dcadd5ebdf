//! Tickets: one per problem, with its evidence, its life and its flow.
//!
//! * `life`: the states and the steps between them, as a table.
//! * `flow`: what happened, as a chain that nobody can change unseen.
//! * `limit`: the four kinds of time in which cities set limits.
//! * `deadline`: the limit of one ticket while it runs.
//! * `ticket`: a ticket.
//! * `reports`: what people and cameras say, and which problem that is.
//! * `archive`: what is kept for assessment of tickets that are gone.
//! * `desk`: every ticket of the box: identity, opening, reopening, closing, purging.
//! * `handling`: what a rule says of its tickets: quiet hours, and getting worse with age.
//! * `orders`: what people do with tickets.
//! * `passing`: what time does with tickets.
//! * `presence`: a crew is where its tickets are.
//! * `public`: what the public has asked for.
//! * `news`: what is told and stored of a change.

mod archive;
mod deadline;
mod desk;
mod flow;
mod handling;
mod life;
mod limit;
mod news;
mod orders;
mod passing;
mod presence;
mod public;
mod query;
mod reports;
mod ticket;

pub use deadline::{Deadline, Running};
pub(crate) use desk::Desk;
pub use flow::{Broken, Flow, FlowLog, Folded};
pub use life::{Lead, Refusal, State, TicketStep};
pub use limit::{BadLimit, LIMIT_MAX, LimitKind, TimeLimit, WorkingHours, Worktime};
pub(crate) use news::News;
pub(crate) use public::Requests;
pub use ticket::{Flapping, RuleRef, SuppressedBy, Suppression, Ticket, Witness, WitnessKind};
