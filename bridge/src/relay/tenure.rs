//! What the answers to calls for the lease mean for this relay. Pure.
//!
//! The lease decides who reads and saves duplicates; correctness never rests on it. So silence changes nothing: an outbox
//! that does not answer lets no other relay read either. Only the word that another holds it ends a session.

use std::time::Duration;

/// How long the outbox keeps the lease for a relay that says nothing more.
pub(super) const TTL: Duration = Duration::from_secs(5);
/// A third of it, so that two renewals may fail.
pub(super) const RENEWAL: Duration = Duration::from_millis(1_666);

/// Whether the lease is held, and of which outbox file.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Held {
    /// The outbox's id while the lease is held.
    pub(super) outbox_id: Option<String>,
}

/// What a call for the lease came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Answer {
    /// It is held, of the outbox with this id.
    Granted(String),
    /// Another holds it.
    HeldByAnother,
    /// Nobody knows.
    Silence,
}

/// When to call next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NextCall {
    /// After this time, or as soon as a read was refused.
    Renew(Duration),
    /// After a wait that grows.
    Retry,
}

impl Held {
    /// Takes the answer to a call.
    pub(super) fn answered(&mut self, answer: Answer) -> NextCall {
        match answer {
            Answer::Granted(outbox_id) => {
                self.outbox_id = Some(outbox_id);
                NextCall::Renew(RENEWAL)
            }
            Answer::HeldByAnother => {
                self.outbox_id = None;
                NextCall::Retry
            }
            Answer::Silence => NextCall::Retry,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_another_holder_ends_a_tenure() {
        let mut held = Held::default();
        assert_eq!(held.answered(Answer::Silence), NextCall::Retry);
        assert_eq!(held.outbox_id, None);
        assert_eq!(held.answered(Answer::Granted("a".into())), NextCall::Renew(RENEWAL));
        assert_eq!(held.answered(Answer::Silence), NextCall::Retry);
        assert_eq!(held.outbox_id.as_deref(), Some("a"));
        assert_eq!(held.answered(Answer::HeldByAnother), NextCall::Retry);
        assert_eq!(held.outbox_id, None);
    }
}
