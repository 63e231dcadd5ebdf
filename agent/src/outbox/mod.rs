//! The only room that names sled: what must not be lost, until a PUBACK says it arrived.

use domain::output::{Message, Record};

/// What one or several engine steps decided, to be stored as one.
#[derive(Debug, Default)]
pub struct Turn {
    /// Engine state.
    pub records: Vec<Record>,
    /// Messages, in order.
    pub messages: Vec<Message>,
}
