//! Transient faults: tried again with backoff and jitter until they pass, or until the partition is given up.

use std::error::Error;
use std::future::Future;

use tokio_util::sync::CancellationToken;

use crate::backoff::Backoff;
use crate::report::Chain;
use crate::telemetry::{Metrics, Operation};

/// The partition was given up while something was being tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stopped;

/// Tries one thing again and again.
pub(super) struct Retry<'a> {
    operation: Operation,
    metrics: &'a Metrics,
    stop: &'a CancellationToken,
    backoff: Backoff,
    failing: bool,
}

impl<'a> Retry<'a> {
    pub(super) fn new(operation: Operation, metrics: &'a Metrics, stop: &'a CancellationToken) -> Self {
        Self { operation, metrics, stop, backoff: Backoff::for_servers(), failing: false }
    }

    /// Repeats `attempt` until it succeeds. Giving up the partition interrupts it, so it must be harmless to drop.
    pub(super) async fn until_ok<T, E: Error + 'static, F: Future<Output = Result<T, E>>>(
        &mut self,
        what: &'static str,
        attempt: impl Fn() -> F,
    ) -> Result<T, Stopped> {
        loop {
            let result = tokio::select! {
                biased;
                () = self.stop.cancelled() => return Err(Stopped),
                result = attempt() => result,
            };
            match result {
                Ok(value) => {
                    self.succeeded(what);
                    return Ok(value);
                }
                Err(error) => self.failed(what, &error),
            }
            self.wait().await?;
        }
    }

    /// Notes a failure. Only the first of a row is worth a line that stands out.
    pub(super) fn failed(&mut self, what: &'static str, error: &(dyn Error + 'static)) {
        self.metrics.count_retry(self.operation);
        if self.failing {
            tracing::debug!(error = %Chain(error), "{what} failed again");
        } else {
            tracing::warn!(error = %Chain(error), "{what} failed and is tried again");
        }
        self.failing = true;
    }

    /// Notes a success.
    pub(super) fn succeeded(&mut self, what: &'static str) {
        if self.failing {
            tracing::info!("{what} works again");
        }
        self.failing = false;
        self.backoff.reset();
    }

    /// Waits a little longer than the last time.
    pub(super) async fn wait(&mut self) -> Result<(), Stopped> {
        if self.backoff.wait(self.stop).await { Ok(()) } else { Err(Stopped) }
    }
}
