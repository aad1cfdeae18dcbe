//! Names that no other test and no earlier run used, and the seed of a run's random draws.

use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering};

use rand::SeedableRng as _;
use rand::rngs::StdRng;

/// Repeats the random draws of an earlier run.
const SEED: &str = "WIBER_TEST_SEED";

static RUN: LazyLock<u32> = LazyLock::new(rand::random);
static NEXT: AtomicU64 = AtomicU64::new(1);
static RUN_SEED: LazyLock<u64> =
    LazyLock::new(|| std::env::var(SEED).ok().and_then(|text| text.parse().ok()).unwrap_or_else(rand::random));

/// `prefix` made unique: 15 to 20 characters more, all of `[a-z0-9-]`.
#[must_use]
pub fn unique(prefix: &str) -> String {
    format!("{prefix}-{:08x}-{}", *RUN, NEXT.fetch_add(1, Ordering::Relaxed))
}

/// Two users who have never spoken.
#[must_use]
pub fn pair() -> (String, String) {
    (unique("alice"), unique("bob"))
}

/// The seed of this run, printed at its start.
#[must_use]
pub fn seed() -> u64 {
    *RUN_SEED
}

/// Random draws that `WIBER_TEST_SEED` repeats; `salt` keeps the tests apart.
#[must_use]
pub fn draws(salt: &str) -> StdRng {
    let salt = salt
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3));
    StdRng::seed_from_u64(seed() ^ salt)
}
