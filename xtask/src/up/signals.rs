//! Ctrl-C and its relatives.

use anyhow::{Context as _, bail};
use tokio::signal::unix::{Signal, SignalKind, signal};

/// The signals that mean "stop".
pub(super) struct Signals {
    interrupt: Signal,
    terminate: Signal,
    hang_up: Signal,
}

impl Signals {
    pub(super) fn listen() -> anyhow::Result<Self> {
        let listen = |kind| signal(kind).context("cannot listen for signals");
        Ok(Self {
            interrupt: listen(SignalKind::interrupt())?,
            terminate: listen(SignalKind::terminate())?,
            hang_up: listen(SignalKind::hangup())?,
        })
    }

    /// Waits for the next one and says which.
    pub(super) async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.interrupt.recv() => "Ctrl-C",
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.hang_up.recv() => "the terminal was closed",
        }
    }

    /// Finishes `work` unless another signal comes, which ends everything at once.
    pub(super) async fn until_second(&mut self, work: impl Future<Output = ()>) -> anyhow::Result<()> {
        tokio::select! {
            () = work => Ok(()),
            name = self.next() => bail!("{name} again: what still ran was killed"),
        }
    }
}
