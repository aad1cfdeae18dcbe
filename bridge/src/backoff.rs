//! Exponential backoff with jitter: how every role waits for a dependency.
//!
//! It knows nothing of what is retried.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

/// Waits that double from `first` to `max`, each shortened at random by up to half, so that many retriers spread out.
#[derive(Debug, Clone)]
pub struct Backoff {
    first: Duration,
    max: Duration,
    next: Duration,
}

impl Backoff {
    /// Waits from `first`, doubling, to `max`.
    #[must_use]
    pub fn new(first: Duration, max: Duration) -> Self {
        Self { first, max, next: first }
    }

    /// The usual waits for a server: 100 ms to 2 s, so that recovery is noticed within two seconds.
    #[must_use]
    pub fn for_servers() -> Self {
        Self::new(Duration::from_millis(100), Duration::from_secs(2))
    }

    /// The next wait.
    pub fn next_wait(&mut self) -> Duration {
        let wait = self.next;
        self.next = wait.saturating_mul(2).min(self.max);
        wait.mul_f64(rand::random_range(0.5..=1.0))
    }

    /// Begins again from the first wait, after a success.
    pub fn reset(&mut self) {
        self.next = self.first;
    }

    /// Waits; `false` if `shutdown` came first.
    pub async fn wait(&mut self, shutdown: &CancellationToken) -> bool {
        let wait = self.next_wait();
        pause(wait, shutdown).await
    }
}

/// Waits for `duration`; `false` if `shutdown` came first.
pub async fn pause(duration: Duration, shutdown: &CancellationToken) -> bool {
    tokio::select! {
        biased;
        () = shutdown.cancelled() => false,
        () = tokio::time::sleep(duration) => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_to_the_maximum_and_start_again() {
        let mut backoff = Backoff::new(Duration::from_millis(100), Duration::from_millis(350));
        for full_ms in [100, 200, 350, 350] {
            let wait = backoff.next_wait();
            assert!(wait <= Duration::from_millis(full_ms) && wait >= Duration::from_millis(full_ms / 2), "{wait:?}");
        }
        backoff.reset();
        assert!(backoff.next_wait() <= Duration::from_millis(100));
    }
}
