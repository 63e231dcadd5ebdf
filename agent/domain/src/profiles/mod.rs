//! The same messages in the words of others: each profile is a pure function from a message to its own
//! topic and payload.

pub mod fiware;
