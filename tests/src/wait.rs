//! Waiting for a state, never for a time.

use std::fmt::Display;
use std::future::Future;
use std::time::{Duration, Instant};

/// How long a state may take on a loaded machine before its test fails.
pub const DEADLINE: Duration = Duration::from_secs(120);

/// How long a program may take from its start to its first answer: the first host of a run compiles the components.
pub const START: Duration = Duration::from_secs(180);

const POLL_MIN: Duration = Duration::from_millis(5);
const POLL_MAX: Duration = Duration::from_millis(200);

/// Asks `probe` until it answers `Ok`.
///
/// # Panics
/// If that has not happened by [`DEADLINE`]; the message has the last thing seen.
pub async fn until<T, E: Display>(what: &str, probe: impl AsyncFnMut() -> Result<T, E>) -> T {
    until_within(DEADLINE, what, probe).await
}

/// As [`until`], with a deadline of its own.
///
/// # Panics
/// If `limit` passes first.
pub async fn until_within<T, E: Display>(
    limit: Duration,
    what: &str,
    mut probe: impl AsyncFnMut() -> Result<T, E>,
) -> T {
    let started = Instant::now();
    let mut pause = POLL_MIN;
    loop {
        match probe().await {
            Ok(value) => return value,
            Err(seen) => {
                assert!(started.elapsed() < limit, "waited {limit:?} for {what}; last seen: {seen}");
            }
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 3 / 2).min(POLL_MAX);
    }
}

/// Runs `work`, which must end within `limit`.
///
/// # Panics
/// If it does not.
pub async fn within<T>(limit: Duration, what: &str, work: impl Future<Output = T>) -> T {
    match tokio::time::timeout(limit, work).await {
        Ok(value) => value,
        Err(_) => panic!("{what} took longer than {limit:?}"),
    }
}
