//! What the answers to calls for the lease mean for this relay. Pure.
//!
//! The lease decides who reads and saves duplicates; correctness rests on it in one thing only: see
//! [`Tenure::goes_on`]. So silence changes nothing: a relay that hears nothing goes on, though another may have taken over
//! meanwhile. Only the word that another holds the lease ends a session.

use std::time::Duration;

use super::session::End;

/// How long the outbox keeps the lease for a relay that says nothing more: how long its rows wait for another relay when
/// it was killed.
const TTL_MIN: Duration = Duration::from_secs(2);
/// The same where calls take long, as on a slow disk: there a short lease would have run out before it is of use.
const TTL_MAX: Duration = Duration::from_secs(5);
/// Calls that a lease lasts at least, so far as the longest one allows.
const CALLS_A_LEASE: u32 = 4;
/// Renewals within one lease.
const RENEWALS_A_LEASE: u32 = 3;

/// A time through which nobody else held the lease of an outbox file, by the outbox's own count.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Tenure {
    /// The outbox's id.
    pub(super) outbox_id: String,
    /// Its number; none from an outbox of an older version, which does not count and cannot fill a gap.
    pub(super) number: Option<i64>,
}

/// Whether the lease is held, and how long calls for it take.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Held {
    /// Since when, while it is held.
    pub(super) tenure: Option<Tenure>,
    /// How long the last call took.
    took: Duration,
}

/// What a call for the lease came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Answer {
    /// It is held.
    Granted(Tenure),
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
    /// How long a lease the next call asks for.
    pub(super) fn ttl(&self) -> Duration {
        self.took.saturating_mul(CALLS_A_LEASE).clamp(TTL_MIN, TTL_MAX)
    }

    /// Takes the answer to a call for [`ttl`](Self::ttl) that took so long.
    pub(super) fn answered(&mut self, answer: Answer, took: Duration) -> NextCall {
        let ttl = self.ttl();
        self.took = took;
        match answer {
            Answer::Granted(tenure) => {
                self.tenure = Some(tenure);
                NextCall::Renew(ttl / RENEWALS_A_LEASE)
            }
            Answer::HeldByAnother => {
                self.tenure = None;
                NextCall::Retry
            }
            Answer::Silence => NextCall::Retry,
        }
    }

    /// Why a session that began in a tenure cannot go on, if it cannot. One that sends everything again ends with its
    /// tenure, since it would not count any more; for any other that another relay was there meanwhile means duplicates
    /// at worst.
    pub(super) fn ending(&self, begun: &Tenure, resends: bool) -> Option<End> {
        match &self.tenure {
            None => Some(End::LeaseLost),
            Some(now) if now.outbox_id != begun.outbox_id => Some(End::Replaced),
            Some(now) => (now != begun && resends).then_some(End::LeaseLost),
        }
    }
}

impl Tenure {
    /// Whether it goes on, by the answer to a call for the lease; `None`: nobody knows.
    ///
    /// A relay that has sent everything again asks before it records that for a gap. Another relay, without knowing of
    /// the gap, may have begun with newer rows meanwhile, which then stand before the ones that were sent again. The
    /// outbox counts the holders, so no clock is asked, and a call that is carried out late counts too.
    pub(super) fn goes_on(&self, answer: &Answer) -> Option<bool> {
        match answer {
            Answer::Granted(tenure) => Some(tenure == self),
            Answer::HeldByAnother => Some(false),
            Answer::Silence => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOON: Duration = Duration::from_millis(1);

    fn tenure(number: i64) -> Tenure {
        Tenure { outbox_id: "a".into(), number: Some(number) }
    }

    #[test]
    fn only_another_holder_takes_the_lease_away() {
        let mut held = Held::default();
        assert_eq!(held.answered(Answer::Silence, SOON), NextCall::Retry);
        assert_eq!(held.tenure, None);
        assert_eq!(held.answered(Answer::Granted(tenure(1)), SOON), NextCall::Renew(TTL_MIN / 3));
        assert_eq!(held.answered(Answer::Silence, SOON), NextCall::Retry);
        assert_eq!(held.tenure, Some(tenure(1)));
        assert_eq!(held.answered(Answer::HeldByAnother, SOON), NextCall::Retry);
        assert_eq!(held.tenure, None);
    }

    #[test]
    fn a_lease_lasts_longer_where_calls_take_long() {
        let mut held = Held::default();
        assert_eq!(held.ttl(), TTL_MIN);
        held.answered(Answer::Granted(tenure(1)), Duration::from_millis(800));
        assert_eq!(held.ttl(), Duration::from_millis(3_200));
        held.answered(Answer::Silence, Duration::from_secs(5));
        assert_eq!(held.ttl(), TTL_MAX);
        held.answered(Answer::Granted(tenure(1)), SOON);
        assert_eq!(held.ttl(), TTL_MIN);
    }

    #[test]
    fn what_is_sent_again_ends_with_its_tenure() {
        let held = |tenure| Held { tenure, took: SOON };
        assert_eq!(held(Some(tenure(1))).ending(&tenure(1), true), None);
        assert_eq!(held(Some(tenure(3))).ending(&tenure(1), true), Some(End::LeaseLost));
        assert_eq!(held(Some(tenure(3))).ending(&tenure(1), false), None);
        assert_eq!(held(None).ending(&tenure(1), false), Some(End::LeaseLost));
        let replaced = Tenure { outbox_id: "b".into(), number: Some(1) };
        assert_eq!(held(Some(replaced)).ending(&tenure(1), false), Some(End::Replaced));
    }

    #[test]
    fn a_tenure_ends_where_another_held_the_lease() {
        let begun = tenure(3);
        assert_eq!(begun.goes_on(&Answer::Granted(tenure(3))), Some(true));
        assert_eq!(begun.goes_on(&Answer::Granted(tenure(5))), Some(false));
        assert_eq!(begun.goes_on(&Answer::HeldByAnother), Some(false));
        assert_eq!(begun.goes_on(&Answer::Silence), None);
        let replaced = Tenure { outbox_id: "b".into(), number: Some(3) };
        assert_eq!(begun.goes_on(&Answer::Granted(replaced)), Some(false));
    }
}
