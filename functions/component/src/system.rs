//! Clock and randomness of the host.

use std::time::{SystemTime, UNIX_EPOCH};

use spin_sdk::wasip3::random::random::get_random_u64;
use wiber_handlers::Entropy;

/// The host's clock and randomness.
pub struct System;

impl Entropy for System {
    fn now_ms(&self) -> i64 {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
    }

    fn random(&self) -> u128 {
        u128::from(get_random_u64()) << 64 | u128::from(get_random_u64())
    }
}
