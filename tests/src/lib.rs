//! What the system tests share: the brokers around the program, and how its outbox is set up.

pub mod broker;
pub mod outbox;
