//! The statements of the lease against its rule, `wiber_model::lease`, which the bridge's simulation uses.

use wiber_model::lease::Lease as Rule;
use wiber_model::outbox::LEASE_MS_MAX;

use super::Outbox;
use crate::Lease;

const HOLDERS: [&str; 3] = ["a", "b", "c"];

/// A sequence that looks like chance and is the same each time.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, count: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % count
    }
}

#[tokio::test]
async fn the_statements_do_what_the_rule_says() {
    let outbox = Outbox::new();
    let database = outbox.open().await;
    let mut numbers = Numbers(1);
    let (mut held, mut tenure, mut now_ms): (Option<Rule>, i64, i64) = (None, 0, 1_000_000);
    for step in 0..2_000 {
        let holder = HOLDERS[numbers.below(3) as usize];
        // Mostly a little later, sometimes the very end of the lease, sometimes a clock that jumps.
        now_ms = match (numbers.below(8), &held) {
            (0, _) => 1_000_000 + numbers.below(4 * LEASE_MS_MAX) as i64,
            (1, Some(held)) => held.expires_at_ms - 1 + numbers.below(3) as i64,
            (2, Some(held)) => held.expires_at_ms - LEASE_MS_MAX as i64 - 1 + numbers.below(3) as i64,
            _ => now_ms + numbers.below(2_000) as i64,
        };
        let ttl_ms = [1, 5_000, LEASE_MS_MAX, 2 * LEASE_MS_MAX][numbers.below(4) as usize];
        match numbers.below(4) {
            0 => {
                let released = database.release(holder).await.unwrap();
                let expected = held.take_if(|held| held.holder == holder);
                assert_eq!(released, u64::from(expected.is_some()), "step {step}");
            }
            1 => {
                let reads = database.holds_lease(Lease { holder, now_ms }).await.unwrap();
                assert_eq!(reads, Rule::may_read(held.as_ref(), holder, now_ms), "step {step}: {held:?}");
            }
            _ => {
                let taken = database.lease(Lease { holder, now_ms }, ttl_ms).await.unwrap();
                assert_eq!(taken.is_some(), Rule::may_take(held.as_ref(), holder, now_ms), "step {step}: {held:?}");
                if taken.is_some() {
                    tenure += i64::from(Rule::begins_tenure(held.as_ref(), holder));
                    held = Some(Rule::granted(holder, now_ms, ttl_ms));
                    assert_eq!(taken, Some(tenure), "step {step}: {held:?}");
                }
            }
        }
    }
}
