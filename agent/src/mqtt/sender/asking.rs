//! When the outbox is to be asked for more.
//!
//! Pure. What happens while an answer is awaited counts for the next question: a shelf that runs low then
//! must not be forgotten because the answer, to an older question, was "nothing".

/// Whether it is to be asked again.
#[derive(Debug)]
pub(super) struct Asking {
    due: bool,
}

impl Asking {
    /// The first question is due.
    pub(super) fn new() -> Asking {
        Asking { due: true }
    }

    /// Whether a question is due.
    pub(super) fn is_due(&self) -> bool {
        self.due
    }

    /// It is being asked now.
    pub(super) fn asked(&mut self) {
        self.due = false;
    }

    /// The outbox may have something that it had not, or could not give, when it was asked last.
    pub(super) fn again(&mut self) {
        self.due = true;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_happens_while_an_answer_is_awaited_is_not_forgotten() {
        let mut asking = Asking::new();
        assert!(asking.is_due());
        asking.asked();
        assert!(!asking.is_due());
        asking.again();
        // The answer to the question before comes, with nothing in it: that says nothing about this one.
        assert!(asking.is_due());
    }
}
