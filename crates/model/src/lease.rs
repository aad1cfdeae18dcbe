//! The rule of an outbox's lease. Pure: the outbox's statements do the same, and a test compares them.

use crate::outbox::LEASE_MS_MAX;

/// Who reads an outbox, and until when.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lease {
    /// Who.
    pub holder: String,
    /// By the outbox's wall clock, Unix milliseconds.
    pub expires_at_ms: i64,
}

impl Lease {
    /// Whether `asker` may take or renew the lease while `held` is what was granted last. One that ends further ahead
    /// than any lease may is a clock that jumped back, and counts as ended.
    #[must_use]
    pub fn may_take(held: Option<&Self>, asker: &str, now_ms: i64) -> bool {
        let longest = i64::try_from(LEASE_MS_MAX).unwrap_or(i64::MAX);
        held.is_none_or(|held| {
            held.holder == asker || held.expires_at_ms <= now_ms || held.expires_at_ms > now_ms.saturating_add(longest)
        })
    }

    /// Whether `asker` may read.
    #[must_use]
    pub fn may_read(held: Option<&Self>, asker: &str, now_ms: i64) -> bool {
        held.is_some_and(|held| held.holder == asker && held.expires_at_ms > now_ms)
    }

    /// Whether what is granted to `asker` begins a tenure, as it does for everyone but the one who holds it by name.
    #[must_use]
    pub fn begins_tenure(held: Option<&Self>, asker: &str) -> bool {
        held.is_none_or(|held| held.holder != asker)
    }

    /// What is held after it was granted for `ttl_ms`.
    #[must_use]
    pub fn granted(asker: &str, now_ms: i64, ttl_ms: u64) -> Self {
        let ttl = i64::try_from(ttl_ms.min(LEASE_MS_MAX)).unwrap_or(i64::MAX);
        Self { holder: asker.to_owned(), expires_at_ms: now_ms.saturating_add(ttl) }
    }
}
