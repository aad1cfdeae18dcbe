//! SIGTERM and SIGINT: the first asks for an ordered shutdown, the second ends the process at once.

use std::io;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// The exit code after a second signal.
const FORCED: i32 = 1;

/// Both signals, caught from the moment this is made.
#[derive(Debug)]
pub struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    /// Begins to catch them.
    ///
    /// # Errors
    /// If the system refuses.
    pub fn catch() -> io::Result<Self> {
        Ok(Self { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    /// Cancels `shutdown` at the first signal; ends the process at the second.
    pub async fn forward(mut self, shutdown: CancellationToken) {
        self.next().await;
        tracing::info!("signal received; a second one ends the process at once");
        shutdown.cancel();
        self.next().await;
        tracing::warn!("second signal: ending at once");
        std::process::exit(FORCED);
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}
