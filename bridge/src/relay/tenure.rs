//! What the answers to calls for the lease mean for this relay. Pure.
//!
//! The lease decides who reads and saves duplicates; correctness rests on it in one thing only: see [`Held::ending`]. So silence changes nothing: an outbox
//! that does not answer lets no other relay read either. Only the word that another holds it ends a session.

use std::time::Duration;

use super::session::End;

/// How long the outbox keeps the lease for a relay that says nothing more.
pub(super) const TTL: Duration = Duration::from_secs(5);
/// A third of it, so that two renewals may fail.
pub(super) const RENEWAL: Duration = Duration::from_millis(1_666);

/// Whether the lease is held, and of which outbox file. Times are those of a clock that only goes on.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Held {
    /// The outbox's id while the lease is held.
    pub(super) outbox_id: Option<String>,
    /// Counts the times that nobody else can have held it in between.
    pub(super) tenure: u64,
    /// No other can have held it before this time.
    until: Duration,
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
    /// Takes the answer to a call that was made at `called`.
    pub(super) fn answered(&mut self, answer: Answer, called: Duration, now: Duration) -> NextCall {
        match answer {
            Answer::Granted(outbox_id) => {
                // The answer comes from between the two.
                if now > self.until || self.outbox_id.as_ref() != Some(&outbox_id) {
                    self.tenure += 1;
                }
                self.until = called + TTL;
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

    /// How a session ended that began in `tenure`. One that sent everything again has done so only if no other relay can
    /// have sent meanwhile: without knowing of the gap, that one may have begun with newer rows, which then stand before
    /// the ones that this session sent.
    pub(super) fn ending(&self, end: Option<End>, tenure: u64, now: Duration) -> Option<End> {
        end.or((!self.is_still(tenure, now)).then_some(End::LeaseLost))
    }

    /// Whether no other relay can have held the lease since `tenure` began.
    fn is_still(&self, tenure: u64, now: Duration) -> bool {
        self.outbox_id.is_some() && self.tenure == tenure && now <= self.until
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn granted() -> Answer {
        Answer::Granted("a".into())
    }

    fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn only_another_holder_takes_the_lease_away() {
        let mut held = Held::default();
        assert_eq!(held.answered(Answer::Silence, at(1), at(1)), NextCall::Retry);
        assert_eq!(held.outbox_id, None);
        assert_eq!(held.answered(granted(), at(2), at(2)), NextCall::Renew(RENEWAL));
        assert_eq!(held.answered(Answer::Silence, at(3), at(3)), NextCall::Retry);
        assert_eq!(held.outbox_id.as_deref(), Some("a"));
        assert_eq!(held.answered(Answer::HeldByAnother, at(4), at(4)), NextCall::Retry);
        assert_eq!(held.outbox_id, None);
    }

    #[test]
    fn a_tenure_ends_where_another_may_have_held_the_lease() {
        let mut held = Held::default();
        held.answered(granted(), at(10), at(11));
        let first = held.tenure;
        held.answered(granted(), at(12), at(14));
        // Five seconds after it was called, not after it was answered.
        assert!(held.is_still(first, at(17)) && !held.is_still(first, at(18)));
        held.answered(granted(), at(15), at(18));
        assert!(!held.is_still(first, at(18)), "the answer may be from after the lease ran out");
        let second = held.tenure;
        assert!(held.is_still(second, at(18)));
        held.answered(Answer::HeldByAnother, at(19), at(19));
        assert!(!held.is_still(second, at(19)));
        held.answered(granted(), at(20), at(20));
        assert!(!held.is_still(second, at(20)));
        assert_eq!(held.ending(None, second, at(20)), Some(End::LeaseLost));
        assert_eq!(held.ending(None, held.tenure, at(20)), None);
        assert_eq!(held.ending(Some(End::Failed), second, at(20)), Some(End::Failed));
    }
}
